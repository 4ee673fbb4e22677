"""Names that DNS answers give to addresses."""
from __future__ import annotations

import numpy
import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from pcapsec.kernels import tables
from pcapsec.streams.engine import Engine

V4 = 0xFFFF << 32 | 0xC6336407  # 198.51.100.7


def answer(*records, name="mail.example.org", **header) -> DNS:
    return DNS(id=7, qr=1, qd=DNSQR(qname=name), an=list(records), **header)


def window(*messages: bytes, sport: int = 53) -> Engine:
    engine = Engine()
    frames = [bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="192.0.2.53", dst="192.0.2.9") / UDP(sport=sport, dport=40000) / bytes(message)) for message in messages]
    data = numpy.frombuffer(bytearray(b"".join(frames)), dtype=numpy.uint8)
    rows, at = [], 0
    for number, frame in enumerate(frames):
        rows.append((at, len(frame), len(frame), 1_000 + number, 1))
        at += len(frame)
    for _batch in engine.take(data, numpy.array(rows, dtype=numpy.int64), len(rows), 1):
        pass
    return engine


def test_addresses_get_the_name_that_was_asked_for():
    chain = answer(DNSRR(rrname="mail.example.org", type="CNAME", rdata="front.example.net"), DNSRR(rrname="front.example.net", type="A", rdata="198.51.100.7"),
                   DNSRR(rrname="front.example.net", type="AAAA", rdata="2001:db8::7"), name="Mail.Example.ORG")
    engine = window(chain)
    assert engine.name_of(0, V4) == "mail.example.org"
    assert engine.name_of(0x20010DB8 << 32, 7) == "mail.example.org"
    assert engine.name_of(0, V4 + 1) is None


def test_the_newest_answer_counts():
    engine = window(answer(DNSRR(rrname="a", type="A", rdata="198.51.100.7"), name="old.example"), answer(DNSRR(rrname="a", type="A", rdata="198.51.100.7"), name="new.example"))
    assert engine.name_of(0, V4) == "new.example"


@pytest.mark.parametrize("message, sport", [
    (DNS(id=7, qr=0, qd=DNSQR(qname="mail.example.org")), 53), (answer(DNSRR(rrname="a", type="A", rdata="198.51.100.7"), rcode=3), 53),
    (answer(DNSRR(rrname="a", type="A", rdata="198.51.100.7")), 5353), (answer(DNSRR(rrname="a", type="A", rdata="198.51.100.7"), name="a" * 60 + "." + "b" * 60 + ".example"), 53)])
def test_what_is_no_answer_names_nothing(message, sport):
    assert window(message, sport=sport).name_of(0, V4) is None


def test_every_cut_and_any_byte_is_survived():
    whole = bytes(answer(DNSRR(rrname="mail.example.org", type="A", rdata="198.51.100.7"), DNSRR(rrname="x", type="AAAA", rdata="2001:db8::7")))
    rng = numpy.random.default_rng(3)
    damaged = [whole[:n] for n in range(len(whole))]
    for _n in range(400):
        bent = bytearray(whole)
        for place in rng.integers(0, len(bent), 3):
            bent[place] = int(rng.integers(256))
        damaged.append(bytes(bent))
    engine = window(*damaged)
    assert engine.scalars[tables.C_FRAMES] == len(damaged)
