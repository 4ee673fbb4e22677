"""Names that DNS answers give to addresses, and the answers that are kept because they concern mail."""
from __future__ import annotations

import numpy
import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from tests import dns_bytes as made
from tests.frames import window as frames_of

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


def kept(*frames) -> list[tuple[int, bytes]]:
    """(frame number, payload) of the answers that the kernel keeps of some frames; payloads become datagrams."""
    listed = []
    for frame in frames:
        listed += [made.udp(frame, 1_000 + len(listed))] if isinstance(frame, bytes) else frame
    engine = Engine()
    data, rows = frames_of(listed)
    for _batch in engine.take(data, rows, len(listed), 1):
        pass
    return [(row[tables.D_FRAME], payload) for row, payload in engine.fetch_answers()]


CONCERNS_MAIL = {
    "mx": made.answer(*made.MX), "tlsa": made.answer(*made.TLSA), "mta-sts": made.answer(*made.STS), "MTA-STS": made.answer('_MTA-STS.b.example. 60 IN TXT "v=STSv1; id=1"'),
    "tlsrpt": made.answer(*made.RPT), "autodiscover": made.answer("Autodiscover.b.example. 60 IN A 198.51.100.1"),
    "autodiscover cname": made.answer("autodiscover.b.example. 60 IN CNAME autodiscover.outlook.com.", kind="AAAA"),
    **{service: made.answer(f"_{service}._tcp.b.example. 60 IN SRV 0 1 1 x.b.example.") for service in ("submission", "submissions", "imap", "imaps", "pop3", "pop3s", "sieve", "autodiscover")},
}


@pytest.mark.parametrize("name", CONCERNS_MAIL)
def test_answers_that_concern_mail_are_kept(name):
    assert kept(CONCERNS_MAIL[name]) == [(1, CONCERNS_MAIL[name])]


@pytest.mark.parametrize("message", [
    made.answer("b.example. 60 IN A 198.51.100.1"), made.answer('b.example. 60 IN TXT "v=spf1 -all"'), made.answer('_dmarc.b.example. 60 IN TXT "v=DMARC1"'),
    made.answer('_smtp.b.example. 60 IN TXT "x"'), made.answer("_ldap._tcp.b.example. 60 IN SRV 0 1 389 x."), made.answer("_kerberos._tcp.b.example. 60 IN SRV 0 1 88 x."),
    made.answer(asked="b.example.", kind="MX"), made.answer(*made.MX, rcode=3), made.answer(*made.MX, rcode=2), made.answer(*[f"b.example. 60 IN MX {n} m{n}." for n in range(33)]),
    made.answer(*made.MX)[:-1], made.answer(*made.MX, more=tuple(f"n{n}. 60 IN A 192.0.2.1" for n in range(65))),
    made.answer("x." * 3 + "b.example. 60 IN MX 1 m.", more=tuple(f"{'n' * 60}{n}. 60 IN TXT \"{'x' * 70}\"" for n in range(40))),
])
def test_ordinary_and_odd_answers_are_not(message):
    assert kept(message) == []


def test_questions_and_other_ports_are_not():
    query = bytearray(CONCERNS_MAIL["mx"])
    query[2] &= 0x7F
    assert kept(bytes(query), [made.udp(CONCERNS_MAIL["mx"], 1, sport=5353)]) == []


def test_addresses_of_exchangers_are_kept_once_these_are_known():
    address, other = made.answer("MX2.b.example. 60 IN A 198.51.100.2"), made.answer("www.b.example. 60 IN A 198.51.100.3")
    six = made.answer("mx2.b.example. 60 IN AAAA 2001:db8::2")
    assert kept(address, CONCERNS_MAIL["mx"], other, address, six) == [(2, CONCERNS_MAIL["mx"]), (4, address), (5, six)]


def test_what_was_said_before_is_not_kept_again():
    mx = made.answer(*made.MX)
    later = made.answer("b.example. 7 IN MX 10 mx1.b.example.", "b.example. 7 IN MX 20 mx2.b.example.", id=9)
    sure, changed = made.answer(*made.MX, ad=True), made.answer("b.example. 60 IN MX 11 mx1.b.example.")
    assert kept(mx, mx, later, sure, changed, later) == [(1, mx), (4, sure), (5, changed)]
    first, turned = (made.answer(*(f"x.example. 60 IN SRV 0 1 1 {name}." for name in names), asked="_imaps._tcp.x.example.", kind="SRV") for names in ("ab", "ba"))
    assert kept(first, turned) == [(1, first)]


def test_answers_over_tcp_are_kept():
    mx = CONCERNS_MAIL["mx"]
    assert kept(made.tcp(mx, 10**9)) == [(4, mx)]
    assert kept(made.tcp(mx + b"x" * 3000, 10**9)) == []  # more than one segment


def test_a_full_table_loses_nothing():
    messages = [made.answer(f"d{n}.example. 60 IN MX 10 mx.d{n}.example.") for n in range(tables.DATAGRAMS + 50)]
    assert [payload for _, payload in kept(*messages)] == messages


def test_every_cut_and_any_byte_of_what_is_kept_is_survived():
    rng = numpy.random.default_rng(4)
    damaged = [whole[:n] for whole in CONCERNS_MAIL.values() for n in range(0, len(whole), 3)]
    for whole in CONCERNS_MAIL.values():
        for _n in range(60):
            bent = bytearray(whole)
            for place in rng.integers(0, len(bent), 3):
                bent[place] = int(rng.integers(256)) if rng.random() < 0.5 else int(rng.choice([0xC0, 0xFF, 0x3F]))
            damaged.append(bytes(bent))
    assert all(payload in set(damaged) for _, payload in kept(*damaged))
