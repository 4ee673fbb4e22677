"""DNS answers as bytes, and as UDP and TCP frames."""
from __future__ import annotations

import ipaddress
import struct

import dns.flags
import dns.message
import dns.rrset

from tests.frames import Talk, ones_complement

CLIENT, RESOLVER = "192.0.2.10", "192.0.2.53"
MX = ("b.example. 60 IN MX 10 mx1.b.example.", "b.example. 60 IN MX 20 mx2.b.example.")
STS = ("_mta-sts.b.example. 60 IN TXT \"v=STSv1; id=20240101;\"",)
RPT = ("_smtp._tls.b.example. 60 IN TXT \"v=TLSRPTv1; rua=mailto:tls@b.example\"",)
TLSA = ("_25._tcp.mx1.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32,)
SRV = ("_imaps._tcp.b.example. 60 IN SRV 0 1 993 imap.b.example.",)
NO_SRV = ("_imap._tcp.b.example. 60 IN SRV 0 0 0 .",)


def answer(*records: str, asked: str | None = None, kind: str | None = None, more: tuple[str, ...] = (), ad: bool = False, id: int = 7, rcode: int = 0) -> bytes:
    """A response whose answers are written as in a zone file; the question is that of the first record."""
    words = records[0].split() if records else []
    query = dns.message.make_query(asked or words[0], kind or words[3], use_edns=False, id=id)
    response = dns.message.make_response(query)
    response.set_rcode(rcode)
    if ad:
        response.flags |= dns.flags.AD
    for section, texts in ((response.answer, records), (response.additional, more)):
        for text in texts:
            name, ttl, _, what, rest = text.split(maxsplit=4)
            section.append(dns.rrset.from_text(name, int(ttl), "IN", what, rest))
    return response.to_wire()


def udp(payload: bytes, ts_ns: int, source: str = RESOLVER, target: str = CLIENT, sport: int = 53, dport: int = 40053) -> tuple[int, bytes]:
    """One frame of an answer."""
    src, dst = ipaddress.ip_address(source), ipaddress.ip_address(target)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 64, 17, 0, src.packed, dst.packed)
    head = head[:10] + struct.pack("!H", ones_complement(head)) + head[12:]
    return ts_ns, bytes(12) + b"\x08\0" + head + struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(payload: bytes, clock: int) -> list[tuple[int, bytes]]:
    """A conversation over TCP in which the resolver sends one answer."""
    talk = Talk(client=CLIENT, server=RESOLVER, server_port=53, clock=clock).open()
    return talk.say(1, len(payload).to_bytes(2, "big") + payload).close().frames()
