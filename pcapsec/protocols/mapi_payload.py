"""What stands inside the buffers of EcDoConnectEx, EcDoRpcExt2 and EcDoRpc: headers, obfuscation, ROP lists, readable text.

[MS-OXCRPC] §2.2.2, §3.1.4.1.1 and §3.1.4.2.1.
"""
from __future__ import annotations

import re
from typing import NamedTuple

from . import mapi_lz77, mapi_rops

COMPRESSED, XOR_MAGIC, LAST = 1, 2, 4  # flags of RPC_HEADER_EXT (§2.2.2.1)
KINDS = ("none", "compressed", "xor", "both")  # by the two flags' bits
STRENGTH = {None: -1, "none": 0, "xor": 1, "compressed": 2, "both": 3}
MAX_BUFFERS = 64  # RPC_HEADER_EXT in one parameter; pcbOut is at most 256 KiB, a packed buffer 32 KiB
MAX_PAYLOAD_BYTES = 65535
_UNDO_XOR = bytes(byte ^ 0xA5 for byte in range(256))  # §3.1.4.1.1.3
_SCANNED_BYTES = 2048  # of one payload, for readable text
_DN = re.compile(rb"/o=[^/\0]{1,64}/ou=", re.IGNORECASE)  # legacyExchangeDN of a person or server
_PRINTABLE = bytes(0x20 <= byte <= 0x7E for byte in range(256))
_ZERO = bytes(byte == 0 for byte in range(256))
_LEAST_UTF16 = 6  # characters in a row that count as text
_DOMAIN = re.compile(rb"(?:[0-9A-Za-z-]{1,63}\.){1,8}[A-Za-z]{2}")
_MAX_ADDRESSES = 64  # @ signs looked at in one payload


class Payload(NamedTuple):
    """One payload behind an RPC_HEADER_EXT."""

    flags: int
    data: bytes | None  # plain; None where it does not expand
    size_actual: int  # as the header says


def undo_xor(data: bytes) -> bytes:
    """Every byte exclusive or 0xA5."""
    return data.translate(_UNDO_XOR)


def read_headers(data: bytes, ceiling: int) -> list[Payload]:
    """The payloads of an extended buffer: `Version 2 = 0, Flags 2, Size 2, SizeActual 2, payload`, one after the other up to the one with Last.

    Args:
        data: the parameter's bytes.
        ceiling: most bytes that a compressed payload is expanded to.

    Returns:
        What was read up to the first header that cannot be one; always little-endian, whatever the call's byte order.
    """
    found: list[Payload] = []
    pos, end = 0, len(data)
    while pos + 8 <= end and len(found) < MAX_BUFFERS:
        flags = data[pos + 2] | data[pos + 3] << 8
        size, size_actual = data[pos + 4] | data[pos + 5] << 8, data[pos + 6] | data[pos + 7] << 8
        compressed = flags & COMPRESSED
        if data[pos] or data[pos + 1] or flags & ~7 or pos + 8 + size > end or (size >= size_actual if compressed else size != size_actual):
            break
        pos += 8
        payload: bytes | None = data[pos:pos + size]
        if flags & XOR_MAGIC:
            payload = payload.translate(_UNDO_XOR)
        if compressed:
            payload = mapi_lz77.expand(payload, min(size_actual, ceiling))
        found.append(Payload(flags, payload, size_actual))
        pos += size
        if flags & LAST:
            break
    return found


def rop_list(payload: bytes, size_actual: int) -> bytes | None:
    """The ROPs of a payload `RopSize 2, ROPs, handles of 4 bytes`, RopSize counting itself; None when the sizes do not fit ([MS-OXCROPS] §2.2.1)."""
    if len(payload) < 2:
        return None
    size = payload[0] | payload[1] << 8
    if size < 2 or size > size_actual or size_actual - size & 3:
        return None
    return payload[2:size]


def is_auxiliary(payload: bytes) -> bool:
    """The payload is blocks of `Size 2, Version 1, Type 1, …`, the size counting all (§2.2.2.2)."""
    pos, end = 0, len(payload)
    for _ in range(64):
        if pos + 4 > end:
            break
        size = payload[pos] | payload[pos + 1] << 8
        if size < 4 or not 1 <= payload[pos + 2] <= 2 or pos + size > end:
            return False
        pos += size
    return pos > 0


def count_strings(data: bytes, counts: dict[str, int]) -> None:
    """Count readable text by its kind: distinguished names, runs of UTF-16, mail addresses. The text itself is never kept."""
    data = data[:_SCANNED_BYTES]
    if b"/o=" in data or b"/O=" in data:
        _add(counts, "legacy-dn", len(_DN.findall(data)))
    texts = _utf16_texts(data, 0) + _utf16_texts(data, 1)
    _add(counts, "utf16", len(texts))
    _add(counts, "smtp-address", _addresses(data) + sum(_addresses(text) for text in texts))


def _add(counts: dict[str, int], kind: str, n: int) -> None:
    if n:
        counts[kind] = counts.get(kind, 0) + n


def _utf16_texts(data: bytes, start: int) -> list[bytes]:
    """Runs of ASCII characters in UTF-16, of those that begin at even or at odd places: where the one byte is printable and the next is zero."""
    characters, highs = data[start::2], data[start + 1::2]
    n = len(highs)
    both = int.from_bytes(characters[:n].translate(_PRINTABLE), "little") & int.from_bytes(highs.translate(_ZERO), "little")
    marks = both.to_bytes(n, "little")
    if b"\1" * _LEAST_UTF16 not in marks:
        return []
    texts, pos = [], 0
    for run in marks.split(b"\0"):
        if len(run) >= _LEAST_UTF16:
            texts.append(characters[pos:pos + len(run)])
        pos += len(run) + 1
    return texts


def _addresses(data: bytes) -> int:
    """Signs of @ between a letter or digit and a domain."""
    n, at = 0, data.find(b"@", 1)
    for _ in range(_MAX_ADDRESSES):
        if at < 0:
            break
        if data[at - 1:at].isalnum() and _DOMAIN.match(data, at + 1):
            n += 1
        at = data.find(b"@", at + 1)
    return n


def rop_names(rops: list[tuple[int, int]], counts: dict[str, int]) -> None:
    """Add the names of ROPs to their counts."""
    for rop, _ in rops:
        name = mapi_rops.ROP_NAMES[rop]
        counts[name] = counts.get(name, 0) + 1
