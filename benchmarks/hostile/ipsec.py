"""Captures of IPsec and tunnels to mutate: what ESP without encryption carries, its trailers and headers, AH, IKE, WireGuard and OpenVPN; mutations keep IP's own length right."""
from __future__ import annotations

import functools
import random
import struct

from tests import ike_bytes as ike
from tests.frames import START_NS, Talk, pcap
from tests.ipsec_frames import AH, associations, ethernet, ip, sealed, wesp

from .mutations import mutate_bytes

_MAIL = [(1, b"220 mx.example ESMTP\r\n"), (0, b"EHLO pc.example\r\n"), (1, b"250-mx.example\r\n250 AUTH PLAIN\r\n"), (0, b"AUTH PLAIN AGFsaWNlAHNlY3JldHdvcmQ=\r\n"), (1, b"235 ok\r\n"), (0, b"QUIT\r\n")]
_GATEWAYS = ("203.0.113.1", "203.0.113.2")
_PORTS = (500, 4500, 51820, 1194, 443)


@functools.cache
def _conversations() -> list[list[tuple[int, bytes]]]:
    talk, talk6 = Talk().open().turns(_MAIL).close(), Talk(client="2001:db8::10", server="2001:db8::20").open().turns(_MAIL).close()
    found = [sealed(one, associations(crypt, auth, tunnel=tunnel, udp=udp)) for one in (talk, talk6) for crypt, auth in (("NULL", "HMAC-SHA1-96"), ("NULL", "SHA2-512-256"), ("AES-NULL-GMAC", None))
             for tunnel, udp in ((None, False), (_GATEWAYS, False), (_GATEWAYS, True))]
    found += [sealed(talk, associations("AES-GCM", None)), sealed(talk, associations(protocol=AH, auth="SHA2-256-128")), sealed(talk6, associations(protocol=AH, auth="SHA2-256-128", tunnel=_GATEWAYS))]
    return found + [wesp(talk, padded=padded, udp=udp) for padded in (False, True) for udp in (False, True)]


def _datagrams(chance: random.Random) -> list[tuple[int, bytes]]:
    several = [[ike.init(ike.STRONG, ike.WEAK), ike.answer(ike.WEAK), ike.auth(8), ike.auth(0x20)], ike.aggressive(ike.OLD), ike.main_mode([ike.OLD, ike.BROKEN], ike.OLD), [ike.init(ike.WEAK), ike.refused()],
               [b"\1\0\0\0ABCD" + bytes(140), b"\2\0\0\0WXYZABCD" + bytes(80), b"\4\0\0\0WXYZ" + bytes(100)],
               [b"\x38sessionC" + bytes(5), b"\x40sessionS\1\0\0\0\0sessionC" + bytes(4), b"\x48" + bytes(60)]]
    port = chance.choice(_PORTS)
    frames = []
    for n, data in enumerate(chance.choice(several)):
        data = mutate_bytes(data, chance)[:8000] if chance.random() < 0.5 else data
        data = bytes(4) + data if port == 4500 and chance.random() < 0.8 else data
        ends = ("192.0.2.10", "198.51.100.20")
        frames.append((START_NS + n, ethernet(ip(struct.pack("!HHHH", port, port, 8 + len(data) & 0xFFFF, 0) + data, 17, *ends[::1 if n % 2 == 0 else -1]))))
    return frames


def _harmed(frame: bytes, chance: random.Random) -> bytes:
    """The frame with something else behind its IP header, whose length is put right; often only the last bytes, where ESP's trailer stands."""
    head = 34 if frame[12:14] == b"\x08\0" else 54
    body = frame[head:]
    if chance.random() < 0.5:
        at = max(0, len(body) - chance.choice((2, 14, 18, 34, 40)))
        body = body[:at] + mutate_bytes(body[at:] or b"\0", chance)
    else:
        body = mutate_bytes(body or b"\0", chance)
    body = body[:4000]
    if head == 34:
        return frame[:16] + struct.pack("!H", 20 + len(body)) + frame[18:34] + body
    return frame[:18] + struct.pack("!H", len(body)) + frame[20:54] + body


def ipsec(chance: random.Random) -> bytes:
    """A capture of IPsec or of a tunnel in which some packets are wrong."""
    if chance.random() < 0.3:
        frames = _datagrams(chance)
    else:
        frames = list(chance.choice(_conversations()))
        share = chance.choice((0.0, 0.1, 0.5, 1.0))
        frames = [(ts_ns, _harmed(frame, chance) if chance.random() < share else frame) for ts_ns, frame in frames]
    if chance.random() < 0.3:
        chance.shuffle(frames)
    original = [len(frame) for _ts, frame in frames]
    if chance.random() < 0.2:
        frames = [(ts_ns, frame[:chance.choice((34, 42, 60, 100, 1000))]) for ts_ns, frame in frames]
    return pcap(frames * chance.choice((1, 1, 1, 2, 20)), original=original * 20)
