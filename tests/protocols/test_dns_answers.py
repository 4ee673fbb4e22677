"""DNS answers that matter to mail."""
from __future__ import annotations

import hashlib
import random

import pytest
from tests import dns_bytes as made

from pcapsec.protocols.dns_answers import MAX_TEXT, MAX_VALUES, read_answer
from pcapsec.records import DnsAnswer


def told(*records: str, **options) -> list[tuple]:
    return [tuple(answer)[:6] for answer in read_answer(made.answer(*records, **options))]


def test_exchangers_and_the_addresses_that_come_along():
    more = ("mx1.b.example. 60 IN A 198.51.100.1", "mx1.b.example. 60 IN AAAA 2001:db8::1", "ns.b.example. 60 IN A 198.51.100.9")
    assert read_answer(made.answer(*made.MX, more=more, ad=True)) == [
        DnsAnswer("mx", "b.example", "b.example", ("10 mx1.b.example", "20 mx2.b.example"), ((10, "mx1.b.example"), (20, "mx2.b.example")), None, True, False),
        DnsAnswer("address", "mx1.b.example", "mx1.b.example", ("198.51.100.1",), (), None, False, False),
        DnsAnswer("address", "mx1.b.example", "mx1.b.example", ("2001:db8::1",), (), None, False, False)]
    assert told("B.Example. 60 IN MX 0 .") == [("mx", "b.example", "b.example", ("0 .",), ((0, ""),), None)]
    assert told("mx1.b.example. 60 IN A 198.51.100.1", "mx1.b.example. 60 IN A 198.51.100.2") == [
        ("address", "mx1.b.example", "mx1.b.example", ("198.51.100.1", "198.51.100.2"), (), None)]


def test_signatures_are_noticed():
    signature = "b.example. 60 IN RRSIG MX 8 2 60 20300101000000 20200101000000 1 b.example. aaaa"
    assert [answer.signed for answer in read_answer(made.answer(*made.MX, signature))] == [True]


@pytest.mark.parametrize("texts, records, valid", [
    (('"v=STSv1; id=20240101;"',), (("20240101",),), True), (('"v=STSv1; " "id=1"',), (("1",),), True), (('"v=STSv1; x=1; id=a1;"',), (("a1",),), True),
    (('"v=STSv1;id=1"', '"v=spf1 -all"'), (("1",),), True),  # records of other versions do not count
    (('"v=STSv1; id=1"', '"v=STSv1; id=2"'), (("1",), ("2",)), False), (('"v=STSv1; id="',), (), False), (('"v=STSv1; id=a-b;"',), (), False),
    (('"v=STSv1;"',), (), False), (('"v=STSv2; id=1"',), (), False), (('""',), (), False), (('"v=STSv1; id=' + "a" * 33 + '"',), (), False),
])
def test_mta_sts(texts, records, valid):
    [(kind, domain, name, _, parts, found)] = told(*[f"_mta-sts.b.example. 60 IN TXT {text}" for text in texts])
    assert (kind, domain, name, parts, found) == ("mta-sts", "b.example", "_mta-sts.b.example", records, valid)


@pytest.mark.parametrize("text, records, valid", [
    ('"v=TLSRPTv1; rua=mailto:a@b.example"', (("mailto:a@b.example",),), True), ('"v=TLSRPTv1;rua=https://b.example/,mailto:a@b.example;"', (("https://b.example/,mailto:a@b.example",),), True),
    ('"v=TLSRPTv1; rua=ftp://b.example"', (), False), ('"v=TLSRPTv1 rua=mailto:a@b.example"', (), False), ('"v=TLSRPTv1;"', (), False),
])
def test_tlsrpt(text, records, valid):
    [(kind, domain, _, _, parts, found)] = told(f"_smtp._tls.b.example. 60 IN TXT {text}")
    assert (kind, domain, parts, found) == ("tlsrpt", "b.example", records, valid)


def test_tlsa():
    assert told(*made.TLSA, "_25._tcp.mx1.b.example. 60 IN TLSA 2 0 2 " + "cd" * 64, "_25._tcp.mx1.b.example. 60 IN TLSA 3 0 0 01020304") == [
        ("tlsa", "mx1.b.example", "_25._tcp.mx1.b.example", ("2 0 2 " + "cd" * 64, "3 0 0 01020304", "3 1 1 " + "ab" * 32),
         ((25, 2, 0, 2, "cd" * 64), (25, 3, 0, 1, hashlib.sha256(bytes([1, 2, 3, 4])).hexdigest()), (25, 3, 1, 1, "ab" * 32)), None)]
    assert told("_443._tcp.www.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32) == told("_25._udp.mx1.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32) == told("mx1.b.example. 60 IN TLSA 3 1 1 " + "ab" * 32) == []


def test_srv():
    assert told(*made.SRV) == [("srv", "b.example", "_imaps._tcp.b.example", ("0 1 993 imap.b.example",), (("imaps", 0, 1, 993, "imap.b.example"),), None)]
    assert told(*made.NO_SRV) == [("srv", "b.example", "_imap._tcp.b.example", ("0 0 0 .",), (("imap", 0, 0, 0, ""),), None)]
    assert told("_sip._tcp.b.example. 60 IN SRV 0 1 5060 sip.b.example.") == told("_imaps._udp.b.example. 60 IN SRV 0 1 993 x.") == []


@pytest.mark.parametrize("records, kind, values", [
    (("autodiscover.b.example. 60 IN CNAME autodiscover.outlook.com.", "autodiscover.outlook.com. 60 IN A 198.51.100.1"), "A", ("autodiscover.outlook.com",)),
    (("autodiscover.b.example. 60 IN CNAME autodiscover.outlook.com.",), "CNAME", ("autodiscover.outlook.com",)),
    (("autodiscover.b.example. 60 IN CNAME autodiscover.outlook.com.",), "AAAA", ("autodiscover.outlook.com",)),
    (("autodiscover.b.example. 60 IN A 198.51.100.1",), "A", ("198.51.100.1",)),
])
def test_autodiscover(records, kind, values):
    assert told(*records, asked="autodiscover.b.example.", kind=kind) == [("autodiscover", "b.example", "autodiscover.b.example", values, (), None)]


def test_an_alias_of_the_record_is_followed():
    [(kind, domain, *_, valid)] = told("_mta-sts.b.example. 60 IN CNAME _mta-sts.host.example.", '_mta-sts.host.example. 60 IN TXT "v=STSv1; id=1"', kind="TXT")
    assert (kind, domain, valid) == ("mta-sts", "b.example", True)


def test_limits():
    [answer] = read_answer(made.answer(*[f"b.example. 60 IN MX {n} mx{n}.b.example." for n in range(100)]))
    assert len(answer.values) == len(answer.records) == MAX_VALUES
    [answer] = read_answer(made.answer('_mta-sts.b.example. 60 IN TXT "' + "x" * 250 + '" "' + "y" * 250 + '"'))
    assert answer.values == ("x" * 250 + "y" * 50,) and len(answer.values[0]) == MAX_TEXT


def loop(at: int) -> bytes:
    """An answer with a name that points at itself."""
    return bytes.fromhex("0007 8180 0001 0001 0000 0000") + b"\1b\7example\0" + bytes.fromhex("000f0001") + bytes([0xC0, at]) + bytes.fromhex("000f0001 0000003c 0004 000a") + bytes([0xC0, at])


@pytest.mark.parametrize("data", [b"", b"\0" * 11, loop(27), loop(28), loop(12)[:-1], loop(200), made.answer(*made.MX)[:-1], bytes.fromhex("0007 8180 0000 0000 0000 0000"),
                                  bytes.fromhex("0007 8180 0002 0000 0000 0000") + b"\0\0\x0f\0\1" * 2, made.answer(*made.MX, rcode=3)])
def test_damage_says_nothing(data):
    assert read_answer(data) == []


def test_hostile_bytes_raise_nothing():
    rng = random.Random(5)
    seeds = [made.answer(*records) for records in (made.MX, made.STS, made.RPT, made.TLSA, made.SRV, made.NO_SRV)]
    for n in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x3F, 0xC0, 0xC1, 0xFF, rng.randrange(256)))
        for answer in read_answer(bytes(data[:rng.randint(0, len(data))] if n % 3 == 0 else data)):
            assert len(answer.values) <= MAX_VALUES and all(len(value) <= MAX_TEXT for value in answer.values)
