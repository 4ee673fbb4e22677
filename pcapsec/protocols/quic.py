"""The TLS hellos inside QUIC's Initial packets, whose keys anybody can derive (RFC 9001 §5.2, RFC 9369 §3.3).

QUIC versions 1 and 2, and the drafts 23 to 32 that servers spoke until 2021. Pure functions over the payloads of UDP datagrams; what they give is the same handshake
message that TLS over TCP sends in records, and goes through the same readers. Every length is checked, lists have limits, and what cannot be opened is passed over.
"""
from __future__ import annotations

import hashlib
import hmac
from typing import Iterable, Iterator

from ..records import TlsHandshake
from .tls_hello import read_client_hello, read_server_hello

MAX_HELLO_BYTES = 65536  # a ClientHello takes up to four datagrams of 1,200 bytes and more
MAX_DATAGRAMS = 64  # looked at; a hello is in the first few
MAX_PACKETS = 8  # in one datagram
MAX_FRAMES = 512  # in one packet, runs of padding count once
LEAST_PACKET_BYTES = 21  # after the packet number's place: its longest form and a sample of 16 bytes, one less

VERSION_1, VERSION_2 = 0x00000001, 0x6B3343CF
_SALT_1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SALTS = {VERSION_1: _SALT_1, VERSION_2: _SALT_2,
          **dict.fromkeys(range(0xFF000017, 0xFF00001D), bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")),  # drafts 23 to 28
          **dict.fromkeys(range(0xFF00001D, 0xFF000021), bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"))}  # drafts 29 to 32
PADDING, PING, ACK, ACK_ECN, CRYPTO, CONNECTION_CLOSE = 0, 1, 2, 3, 6, 0x1C

Keys = tuple[bytes, bytes, bytes]  # key, initialisation vector, header protection


def is_initial(datagram: bytes) -> bool:
    """Whether a datagram begins with an Initial packet of a version whose keys are known (RFC 9000 §17.2.2)."""
    if len(datagram) < 7 or datagram[0] & 0xC0 != 0xC0:
        return False
    version = int.from_bytes(datagram[1:5], "big")
    return version in _SALTS and datagram[0] >> 4 & 3 == (1 if version == VERSION_2 else 0)


def _expand(secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context, up to one block (RFC 8446 §7.1)."""
    name = b"tls13 " + label.encode()
    return hmac.digest(secret, length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0\1", "sha256")[:length]


def initial_keys(version: int, connection_id: bytes, side: str) -> Keys:
    """Keys of a side's Initial packets.

    Args:
        version: of QUIC, one whose salt is known.
        connection_id: destination of the client's first Initial packet.
        side: client, server.

    Source: RFC 9001 §5.1, §5.2; RFC 9369 §3.3.1, §3.3.2.
    """
    secret = _expand(hmac.digest(_SALTS[version], connection_id, "sha256"), f"{side} in", hashlib.sha256().digest_size)
    label = "quicv2" if version == VERSION_2 else "quic"
    return _expand(secret, f"{label} key", 16), _expand(secret, f"{label} iv", 12), _expand(secret, f"{label} hp", 16)


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """A variable-length integer (RFC 9000 §16) and where it ends; -1 when it is cut off."""
    if pos >= len(data):
        return -1, pos
    size = 1 << (data[pos] >> 6)
    if pos + size > len(data):
        return -1, pos
    return int.from_bytes(data[pos:pos + size], "big") & (1 << size * 8 - 2) - 1, pos + size


def _packets(datagram: bytes) -> Iterator[tuple[int, bytes, int, int, int]]:
    """Initial packets of a datagram: version, destination connection id, start, place of the packet number, end (RFC 9000 §12.2, §17.2)."""
    start = 0
    for _ in range(MAX_PACKETS):
        if len(datagram) - start < 7 or datagram[start] & 0x80 == 0:
            return
        version = int.from_bytes(datagram[start + 1:start + 5], "big")
        if version not in _SALTS:
            return
        pos = start + 6
        stop = pos + datagram[start + 5]
        if stop >= len(datagram):
            return
        connection_id = datagram[pos:stop]
        pos = stop + 1 + datagram[stop]
        kind = (datagram[start] >> 4 & 3) - (1 if version == VERSION_2 else 0) & 3
        if kind == 3:  # Retry has no length and ends the datagram
            return
        if kind == 0:
            token, pos = _varint(datagram, pos)
            if token < 0:
                return
            pos += token
        length, pos = _varint(datagram, pos)
        end = pos + length
        if length < 0 or end > len(datagram):
            return
        if kind == 0 and end - pos >= LEAST_PACKET_BYTES:
            yield version, connection_id, start, pos, end
        start = end


def _open(datagram: bytes, start: int, pos: int, end: int, keys: Keys) -> bytes | None:
    """A packet's frames, without protection (RFC 9001 §5.3, §5.4); None when these are not its keys."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, vector, protection = keys
    mask = Cipher(algorithms.AES(protection), modes.ECB()).encryptor().update(datagram[pos + 4:pos + 20])
    first = datagram[start] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(datagram[pos:pos + size], mask[1:]))
    header = bytes([first]) + datagram[start + 1:pos] + number
    nonce = (int.from_bytes(vector, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    try:
        return AESGCM(key).decrypt(nonce, datagram[pos + size:end], header)
    except InvalidTag:
        return None


def _crypto_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of the CRYPTO frames of an Initial packet (RFC 9000 §12.4, §19)."""
    pos, end = 0, len(data)
    for _ in range(MAX_FRAMES):
        while pos < end and data[pos] == PADDING:
            pos += 1
        if pos >= end:
            return
        kind = data[pos]
        pos += 1
        if kind == CRYPTO:
            offset, pos = _varint(data, pos)
            length, pos = _varint(data, pos)
            if offset < 0 or length < 0 or pos + length > end:
                return
            yield offset, data[pos:pos + length]
            pos += length
        elif kind in (ACK, ACK_ECN):
            numbers = []
            for _ in range(4):  # largest acknowledged, delay, range count, first range
                number, pos = _varint(data, pos)
                numbers.append(number)
            if min(numbers) < 0 or numbers[2] > MAX_FRAMES:
                return
            for _ in range(numbers[2] * 2 + (3 if kind == ACK_ECN else 0)):
                _, pos = _varint(data, pos)
        elif kind != PING:
            return


def _hello(datagrams: Iterable[bytes], side: str, connection_id: bytes | None, kind: int) -> bytes | None:
    """The handshake message that a side's CRYPTO frames begin with, put together over packets; None when it is not whole."""
    pieces: dict[int, bytes] = {}
    keys: dict[tuple[int, bytes], Keys] = {}
    n_bytes = 0
    for n, datagram in enumerate(datagrams):
        if n >= MAX_DATAGRAMS or n_bytes > MAX_HELLO_BYTES:
            return None
        for version, own_id, start, pos, end in _packets(datagram):
            connection_id = own_id if connection_id is None else connection_id
            for one in ((connection_id, own_id) if side == "client" and own_id != connection_id else (connection_id,)):  # a Retry changes the client's keys
                if (version, one) not in keys:
                    keys[version, one] = initial_keys(version, one, side)
                data = _open(datagram, start, pos, end, keys[version, one])
                if data is not None:
                    break
            for offset, piece in _crypto_frames(data) if data is not None else ():
                if offset <= MAX_HELLO_BYTES and len(piece) > len(pieces.get(offset, b"")):
                    pieces[offset] = piece
                    n_bytes += len(piece)
        message = _join(pieces)
        if len(message) >= 4:
            length = 4 + int.from_bytes(message[1:4], "big")
            if message[0] != kind or length > MAX_HELLO_BYTES:
                return None
            if len(message) >= length:
                return message[:length]
    return None


def _join(pieces: dict[int, bytes]) -> bytes:
    """What is there from offset 0 on without a hole."""
    out = bytearray()
    for offset in sorted(pieces):
        if offset > len(out):
            break
        out += pieces[offset][len(out) - offset:]
    return bytes(out)


def initial_connection_id(datagrams: Iterable[bytes]) -> bytes | None:
    """Destination of the first Initial packet: what the keys of both sides are derived from."""
    for datagram in datagrams:
        for _version, connection_id, *_ in _packets(datagram):
            return connection_id
    return None


def initial_client_hello(datagrams: list[bytes]) -> bytes | None:
    """The ClientHello message, its four header bytes included, in a client's UDP payloads in order sent; None: not all of it is there."""
    return _hello(datagrams, "client", None, 1)


def initial_server_hello(datagrams: list[bytes], connection_id: bytes) -> bytes | None:
    """The ServerHello message in a server's UDP payloads; `connection_id` as `initial_connection_id` finds it in the client's."""
    return _hello(datagrams, "server", connection_id, 2)


def read_handshake(client: list[bytes], server: list[bytes]) -> TlsHandshake | None:
    """What the first datagrams of both sides say of TLS; None when no ClientHello can be read."""
    message = initial_client_hello(client)
    if message is None:
        return None
    handshake = TlsHandshake(client_hello_at=0)
    read_client_hello(handshake, message, 4, len(message), "q")
    connection_id = initial_connection_id(client)
    answer = initial_server_hello(server, connection_id) if connection_id is not None else None
    if answer is not None:
        handshake.server_hello_at = 0
        read_server_hello(handshake, answer, 4, len(answer))
    return handshake
