"""Conversations inside ESP and AH, by scapy's IPsec layer; WESP and ESP of anybody by hand."""
from __future__ import annotations

import random
import struct
import warnings
from typing import Iterable

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation

from .frames import Talk

KEYS = {"HMAC-SHA1-96": b"k" * 20, "SHA2-256-128": b"k" * 32, "SHA2-384-192": b"k" * 48, "SHA2-512-256": b"k" * 64, "HMAC-MD5-96": b"k" * 16, "AES-CMAC-96": b"k" * 16,
        "AES-NULL-GMAC": b"k" * 16 + b"salt", "AES-GCM": b"k" * 16 + b"salt", "AES-CBC": b"k" * 16, "NULL": None}
SPIS = (0x1000, 0xC0FFEE00)


def associations(crypt: str = "NULL", auth: str | None = "HMAC-SHA1-96", *, tunnel: tuple[str, str] | None = None, udp: bool = False, protocol=ESP, spis: tuple[int, int] = SPIS):
    """One association for each direction. tunnel: the two gateways, the client's first."""
    made = []
    for side in (0, 1):
        words = {}
        if tunnel is not None:
            ends = tunnel if side == 0 else tunnel[::-1]
            words["tunnel_header"] = (IPv6 if ":" in ends[0] else IP)(src=ends[0], dst=ends[1])
        if udp:
            words["nat_t_header"] = UDP(sport=4500, dport=4500)
        if protocol is ESP:
            words |= {"crypt_algo": crypt, "crypt_key": KEYS[crypt]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.append(SecurityAssociation(protocol, spi=spis[side], auth_algo=auth, auth_key=KEYS[auth] if auth else None, **words))
    return made


def sealed(talk: Talk, made, *, times: Iterable[int] | None = None) -> list[tuple[int, bytes]]:
    """The frames of a conversation as two gateways send them."""
    frames = []
    for segment in talk.segments:
        packet = talk.packet(segment)
        whole = (IP if packet[0] >> 4 == 4 else IPv6)(packet)
        inside = bytes(made[segment.side].encrypt(whole))
        frames.append((segment.ts_ns, ethernet(inside)))
    return frames


def ethernet(packet: bytes) -> bytes:
    return b"\2" * 12 + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def ip(payload: bytes, protocol: int, source: str = "192.0.2.10", destination: str = "198.51.100.20", number: int = 7) -> bytes:
    """An IP packet around anything; its header checksum is left out."""
    if ":" in source:
        return bytes(IPv6(src=source, dst=destination, nh=protocol, plen=len(payload))) + payload
    return bytes(IP(src=source, dst=destination, proto=protocol, id=number, len=20 + len(payload))) + payload


def wesp(talk: Talk, *, icv: int = 12, before: int = 0, encrypted: bool = False, padded: bool = False, udp: bool = False, version: int = 0) -> list[tuple[int, bytes]]:
    """A conversation in WESP, transport mode (RFC 5840 §2)."""
    frames = []
    for n, segment in enumerate(talk.segments):
        packet = talk.packet(segment)
        head = 20 if packet[0] >> 4 == 4 else 40
        inside = packet[head:]
        pad = -(len(inside) + 2) % 4
        esp = struct.pack("!II", SPIS[segment.side], n + 1) + bytes(before) + inside + bytes(range(1, pad + 1)) + bytes((pad, 6)) + b"i" * icv
        lead = 8 if padded else 4
        wrapped = bytes((0 if encrypted else 6, 0 if encrypted else lead + 8 + before, 0 if encrypted else icv, version << 6 | (0x20 if encrypted else 0) | (0x10 if padded else 0)))
        wrapped += bytes(lead - 4) + esp
        ends = (talk.client, talk.server) if segment.side == 0 else (talk.server, talk.client)
        if udp:
            wrapped = struct.pack("!HHHH", 4500, 4500, 12 + len(wrapped), 0) + b"\0\0\0\2" + wrapped
        frames.append((segment.ts_ns, ethernet(ip(wrapped, 17 if udp else 141, *ends, number=n))))
    return frames


def random_esp(n: int, rng: random.Random, size: int = 80) -> list[tuple[int, bytes]]:
    """ESP packets of one association whose content nobody can read."""
    return [(1_700_000_000_000_000_000 + i * 1000, ethernet(ip(struct.pack("!II", 0xABCD, i + 1) + rng.randbytes(size), 50))) for i in range(n)]


__all__ = ["AH", "ESP", "KEYS", "SPIS", "associations", "ethernet", "ip", "random_esp", "sealed", "wesp"]
