"""IKE messages, written from the RFCs and not from the reader under test."""
from __future__ import annotations

import struct

INITIATOR, RESPONDER, NOBODY = b"initiato", b"responde", bytes(8)
RANDOM = bytes(range(1, 33))


def payload(kind: int, body: bytes) -> tuple[int, bytes]:
    return kind, body


def message(version: int, exchange: int, payloads: list[tuple[int, bytes]], *, flags: int = 0, responder: bytes = RESPONDER, initiator: bytes = INITIATOR, number: int = 0) -> bytes:
    """HDR and a chain of payloads (RFC 7296 §3.1-3.2, RFC 2408 §3.1-3.2)."""
    body = b""
    for n, (_kind, data) in enumerate(payloads):
        following = payloads[n + 1][0] if n + 1 < len(payloads) else 0
        body += struct.pack("!BBH", following, 0, 4 + len(data)) + data
    return initiator + responder + struct.pack("!BBBBII", payloads[0][0] if payloads else 0, version << 4, exchange, flags, number, 28 + len(body)) + body


def chain(items: list[bytes], more: int) -> bytes:
    """Proposals (more is 2) or transforms (3), each with its `more` byte and length."""
    return b"".join(struct.pack("!BBH", more if n + 1 < len(items) else 0, 0, 4 + len(item)) + item for n, item in enumerate(items))


def transform2(kind: int, number: int, key_bits: int | None = None) -> bytes:
    return struct.pack("!BBH", kind, 0, number) + (struct.pack("!HH", 0x800E, key_bits) if key_bits else b"")


def sa2(*proposals: list[bytes], protocol: int = 1) -> tuple[int, bytes]:
    return 33, chain([struct.pack("!BBBB", n + 1, protocol, 0, len(one) & 255) + chain(one, 3) for n, one in enumerate(proposals)], 2)


def transform1(number: int, **values: int) -> bytes:
    """encryption, hash, auth, group, key: attributes of IKEv1 (RFC 2409 App. A), and a life time of four bytes."""
    kinds = {"encryption": 1, "hash": 2, "auth": 3, "group": 4, "key": 14}
    attributes = b"".join(struct.pack("!HH", 0x8000 | kinds[name], value) for name, value in values.items())
    return struct.pack("!BBH", number, 1, 0) + attributes + struct.pack("!HH", 0x800B, 1) + struct.pack("!HHI", 12, 4, 28800)


def sa1(*transforms: bytes, protocol: int = 1, doi: int = 1, situation: int = 1) -> tuple[int, bytes]:
    return 1, struct.pack("!II", doi, situation) + chain([struct.pack("!BBBB", 1, protocol, 0, len(transforms)) + chain(list(transforms), 3)], 2)


STRONG = [transform2(1, 20, 256), transform2(2, 5), transform2(4, 19)]  # AES-GCM, HMAC-SHA2-256, ECP-256
WEAK = [transform2(1, 3), transform2(2, 1), transform2(3, 1), transform2(4, 2)]  # 3DES, MD5, MD5, MODP-1024
OLD = transform1(1, encryption=7, key=128, hash=2, auth=1, group=2)
BROKEN = transform1(2, encryption=1, hash=1, auth=1, group=1)


def init(*proposals: list[bytes]) -> bytes:
    """The initiator's first message of version 2."""
    return message(2, 34, [sa2(*proposals), payload(34, struct.pack("!HH", 19, 0) + RANDOM), payload(40, RANDOM)], flags=0x08, responder=NOBODY)


def answer(proposal: list[bytes]) -> bytes:
    return message(2, 34, [sa2(proposal), payload(34, struct.pack("!HH", 19, 0) + RANDOM), payload(40, RANDOM)], flags=0x20)


def refused(number: int = 14) -> bytes:
    return message(2, 34, [payload(41, struct.pack("!BBH", 0, 0, number))], flags=0x20)


def auth(flags: int) -> bytes:
    return message(2, 35, [payload(46, RANDOM * 3)], flags=flags, number=1)


def identity(text: bytes, kind: int = 3) -> tuple[int, bytes]:
    return 5, struct.pack("!BBH", kind, 17, 500) + text


def aggressive(*transforms: bytes) -> list[bytes]:
    """The three messages of aggressive mode (RFC 2409 §5.4); the last is not encrypted here, as some send it."""
    return [message(1, 4, [sa1(*transforms), payload(4, RANDOM * 4), payload(10, RANDOM), identity(b"office@example.org")], responder=NOBODY),
            message(1, 4, [sa1(transforms[0]), payload(4, RANDOM * 4), payload(10, RANDOM), identity(b"vpn.example.org", 2), payload(8, RANDOM[:20])]),
            message(1, 4, [payload(8, RANDOM[:20])])]


def main_mode(offer: list[bytes], chosen: bytes) -> list[bytes]:
    """The first four messages, then encrypted ones and a quick mode."""
    return [message(1, 2, [sa1(*offer), payload(13, RANDOM[:16])], responder=NOBODY), message(1, 2, [sa1(chosen)]), message(1, 2, [payload(4, RANDOM * 4), payload(10, RANDOM)]),
            message(1, 2, [payload(4, RANDOM * 4), payload(10, RANDOM)]), message(1, 2, [payload(5, RANDOM)], flags=1), message(1, 2, [payload(5, RANDOM)], flags=1),
            message(1, 32, [payload(8, RANDOM * 4)], flags=1, number=77)]
