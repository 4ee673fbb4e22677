"""Stubs of Exchange's calls built parameter by parameter, in NDR and NDR64, and the buffers inside them ([MS-OXCRPC] §2.2.2, §3.1.4; [MS-OXCROPS] §2.2)."""
from __future__ import annotations

import struct

HANDLE = b"\0" * 4 + bytes(range(16))
USER = b"/o=First Organization/ou=First Administrative Group/cn=recipients/cn=janedow"


class Ndr:
    """Parameters in order; `wide` is NDR64."""

    def __init__(self, little: bool = True, wide: bool = False):
        self.data, self.order, self.wide = b"", "<" if little else ">", wide

    def __call__(self, *values: tuple[str, int] | bytes) -> "Ndr":
        for value in values:
            if isinstance(value, bytes):
                self.data += value
                continue
            kind, number = value
            kind = {"N": "Q" if self.wide else "I"}.get(kind, kind)
            size = struct.calcsize(kind)
            self.data += b"\0" * (-len(self.data) % size) + struct.pack(self.order + kind, number)
        return self

    def array(self, data: bytes) -> "Ndr":
        return self(("N", len(data)), data)

    def varying(self, data: bytes, most: int | None = None) -> "Ndr":
        return self(("N", len(data) if most is None else most), ("N", 0), ("N", len(data)), data)


def connect(user: bytes = USER, words=(12, 0x183E, 1000), auxiliary: bytes | None = b"", **how) -> bytes:
    """EcDoConnectEx; without an auxiliary buffer EcDoConnect."""
    stub = Ndr(**how).varying(user + b"\0")(*(("I", number) for number in (0, 0x340567, 0, 1252, 1033, 1033, 0xFFFFFFFF)), ("H", 1), *(("H", word) for word in words), ("I", 0))
    return stub.data if auxiliary is None else stub.array(auxiliary)(("I", len(auxiliary)), ("I", 0x1008)).data


def connected(words=(0x0801, 0x8000 | 240, 5), auxiliary: bytes | None = b"", result: int = 0, prefix=b"/o=First Organization", **how) -> bytes:
    stub = Ndr(**how)(HANDLE, ("I", 60000), ("I", 6), ("I", 10000), ("H", 7), ("N", 0x20000)).varying(prefix + b"\0")(("N", 0x20004)).varying(b"Jane Dow\0")
    stub(*(("H", word) for word in (*words, 12, 0x183E, 1000)), ("I", 1))
    if auxiliary is not None:
        stub.varying(auxiliary)(("I", len(auxiliary)))
    return stub(("I", result)).data


def rpc_ext(data: bytes, auxiliary: bytes = b"", **how) -> bytes:
    return Ndr(**how)(HANDLE, ("I", 3)).array(data)(("I", len(data)), ("I", 0x8007)).array(auxiliary)(("I", len(auxiliary)), ("I", 0x1008)).data


def rpc_ext_answer(data: bytes, auxiliary: bytes = b"", **how) -> bytes:
    return Ndr(**how)(HANDLE, ("I", 0)).varying(data)(("I", len(data))).varying(auxiliary)(("I", len(auxiliary)), ("I", 15), ("I", 0)).data


def legacy(data: bytes, **how) -> bytes:
    return Ndr(**how)(HANDLE).varying(data, 0x7C00)(("H", len(data)), ("H", 0x7C00)).data


def xor(data: bytes) -> bytes:
    return bytes(byte ^ 0xA5 for byte in data)


def rops(*requests: bytes, handles: int = 1) -> bytes:
    listed = b"".join(requests)
    return struct.pack("<H", len(listed) + 2) + listed + b"\xff\xff\xff\xff" * handles


def header(payload: bytes, flags: int = 4) -> bytes:
    """RPC_HEADER_EXT and its payload, treated as the flags say: 1 compressed, 2 XORed."""
    actual = len(payload)
    if flags & 1:
        payload = squeeze(payload)
    if flags & 2:
        payload = xor(payload)
    return struct.pack("<HHHH", 0, flags, len(payload), actual) + payload


def auxiliary(*blocks: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HBB", 4 + len(body), 1, kind) + body for kind, body in blocks)


def squeeze(data: bytes) -> bytes:
    """LZ77 with DIRECT2, after [MS-XCA] §2.3: plain search, every length encoding."""
    out = bytearray()
    mask = n_bits = 0
    mask_at, shared_at = 0, -1
    out += b"\0\0\0\0"
    pos = 0

    def bit(value: int) -> None:
        nonlocal mask, n_bits, mask_at
        if n_bits == 32:
            out[mask_at:mask_at + 4] = struct.pack("<I", mask)
            mask, n_bits, mask_at = 0, 0, len(out)
            out.extend(b"\0\0\0\0")
        mask |= value << 31 - n_bits
        n_bits += 1

    while pos < len(data):
        best, distance = 0, 0
        for start in range(max(0, pos - 8192), pos):
            length = 0
            while length < 65535 and pos + length < len(data) and data[start + length] == data[pos + length]:
                length += 1
            if length > best:
                best, distance = length, pos - start
        if best < 3:
            bit(0)
            out.append(data[pos])
            pos += 1
            continue
        bit(1)
        rest = best - 3
        out += struct.pack("<H", distance - 1 << 3 | min(rest, 7))
        if rest >= 7:
            half = min(rest - 7, 15)
            if shared_at < 0:
                shared_at = len(out)
                out.append(half)
            else:
                out[shared_at] |= half << 4
                shared_at = -1
            if half == 15:
                more = rest - 22
                out += bytes([more]) if more < 255 else b"\xff" + struct.pack("<H", rest)
        pos += best
    bit(1)
    for _ in range(32 - n_bits):
        bit(1)
    out[mask_at:mask_at + 4] = struct.pack("<I", mask)
    return bytes(out)
