"""LDAP: losses, late starts, limits, hostile bytes, and what is taken for LDAP at all."""
from __future__ import annotations

import random
import time

import pytest
from helpers import CLIENT, SERVER, converse, same_however_cut, swallow
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap_bytes import CLIENT_HELLO, DONE, STARTTLS, UNBIND, bind, challenge, der, entry, extended, extended_answer, message, result, sasl, search, simple
from security_tokens import NTLM, answer, authenticate, init, negotiate
from security_tokens import challenge as ntlm_challenge

from pcapsec.protocols import ldap
from pcapsec.protocols.ldap import LdapParser, late, probe
from pcapsec.protocols.ldap_messages import read_bind, read_entry, read_head, read_result
from pcapsec.secret import Secret

CONVERSATION = [
    (CLIENT, search(1, b"", 0)), (SERVER, entry(1, b"", supportedExtension=[STARTTLS]) + result(1, tag=DONE)),
    (CLIENT, simple(2, b"cn=a", b"secret")), (SERVER, result(2, 49, text=b"error, data 52e,")),
    (CLIENT, sasl(3, b"GSS-SPNEGO", init(NTLM, token=negotiate()))), (SERVER, challenge(3, answer(1, NTLM, ntlm_challenge()))),
    (CLIENT, sasl(4, b"GSS-SPNEGO", answer(token=authenticate()))), (SERVER, result(4)),
    (CLIENT, search(5)), (SERVER, entry(5, cn=[b"x" * 300]) * 3 + result(5, tag=DONE)),
    (CLIENT, extended(6, STARTTLS)), (SERVER, extended_answer(6)), (CLIENT, CLIENT_HELLO)]


def codes(parser) -> list[str]:
    return [one.code for one in parser.facts.anomalies]


def test_a_loss_between_messages():
    lost = len(search(1))
    parser = same_however_cut(LdapParser, [(CLIENT, lost), (CLIENT, simple(2, b"cn=a", b"secret")), (SERVER, result(2))])
    assert [(one.at, one.secret, one.result) for one in parser.facts.logins] == [(lost, Secret(b"secret"), "success")]
    assert (parser.facts.starttls_requested, parser.facts.anomalies) == (None, [])


def test_a_loss_inside_a_message():
    first, second = simple(1, b"cn=a", b"secret"), simple(2, b"cn=b", b"0" * 300)
    cut = len(first) - 4
    parser = same_however_cut(LdapParser, [(CLIENT, first[:cut]), (CLIENT, 4), (CLIENT, second), (SERVER, result(2))])
    assert [(one.principal, one.at, one.result) for one in parser.facts.logins] == [("cn=b", len(first), "success")]


def test_a_loss_inside_an_entry_costs_nothing():
    big = entry(1, jpegPhoto=[bytes(5000)])
    parser = same_however_cut(LdapParser, [(SERVER, big[:100]), (SERVER, 3000), (SERVER, big[3100:]), (SERVER, result(1, 0, tag=DONE))])
    assert (parser.facts.n_replies, parser.facts.anomalies) == (1, [])


def test_a_lost_answer_of_starttls():
    turns = [(CLIENT, extended(1, STARTTLS)), (SERVER, len(extended_answer(1))), (CLIENT, CLIENT_HELLO)]
    parser = converse(LdapParser, turns)
    assert (parser.facts.starttls_accepted, parser.facts.tls_started, parser.handover.rest[0]) == (None, True, CLIENT_HELLO)


def test_a_late_start():
    tail = b"\x04\x0bsomething..0\x82\xff"
    parser = same_however_cut(LdapParser, [(CLIENT, tail + simple(7, b"cn=a", b"secret")), (SERVER, tail + result(7))], start_seen=False)
    assert [(one.at, one.secret, one.result) for one in parser.facts.logins] == [(len(tail), Secret(b"secret"), "success")]
    assert parser.facts.starttls_requested is None


def test_a_challenge_whose_request_is_missing():
    turns = [(SERVER, challenge(3, ntlm_challenge())), (CLIENT, sasl(4, b"NTLM", authenticate())), (SERVER, result(4))]
    parser = same_however_cut(LdapParser, turns, start_seen=False)
    assert [(one.principal, one.at, one.result) for one in parser.facts.logins] == [("tim", 0, "success")]


def test_damage_is_passed_over():
    parser = same_however_cut(LdapParser, [(CLIENT, simple(1, b"cn=a", b"1") + b"0garbage0" + simple(2, b"cn=b", b"2")), (SERVER, result(1) + result(2))])
    assert ([one.principal for one in parser.facts.logins], codes(parser)) == (["cn=a", "cn=b"], ["not-an-ldap-message"])


def test_a_side_is_given_up_at_the_limit():
    parser = LdapParser()
    at = 0
    started = time.perf_counter()
    for _ in range(1000):
        parser.feed(CLIENT, b"0" * 1000, at)
        at += 1000
    parser.feed(CLIENT, simple(1, b"cn=a", b"secret"), at)
    parser.feed(SERVER, result(1, 13), 0)
    parser.finish()
    assert time.perf_counter() - started < 5
    assert (parser.facts.logins, codes(parser), parser.facts.encryption_required_code) == ([], ["not-an-ldap-message", "no-ldap-message-found"], "13")


@pytest.mark.parametrize("extra, n", [(0, 1), (1, 0)])
def test_the_longest_bind(monkeypatch, extra, n):
    request = simple(1, b"cn=a", b"x" * 500)
    monkeypatch.setattr(ldap, "MAX_KEPT_BYTES", len(request) - extra)
    parser = same_however_cut(LdapParser, [(CLIENT, request), (CLIENT, simple(2, b"cn=b", b"y"))])
    assert [one.principal for one in parser.facts.logins] == ["cn=a"] * n + ["cn=b"]
    assert (codes(parser), parser.facts.n_commands) == (["ldap-message-too-long"] * extra, 1 + n)


def test_logins_are_bounded(monkeypatch):
    monkeypatch.setattr(ldap, "MAX_LOGINS", 5)
    parser = converse(LdapParser, [(CLIENT, simple(number, b"cn=a", b"x")) for number in range(9)])
    assert (len(parser.facts.logins), codes(parser), len(parser._binds)) == (5, ["too-many-logins"], 9)


def test_pending_binds_are_bounded():
    parser = converse(LdapParser, [(CLIENT, simple(number, b"cn=a", b"x")) for number in range(500)] + [(CLIENT, search(number, b"", 0)) for number in range(500)])
    assert (len(parser._binds), len(parser._root_searches)) == (ldap.MAX_PENDING, ldap.MAX_PENDING)


def test_many_small_pieces_of_a_long_bind_are_not_joined_again_and_again():
    request = sasl(1, b"GSSAPI", bytes(200_000))
    parser = LdapParser()
    started = time.perf_counter()
    for at in range(len(request)):
        parser.feed(CLIENT, request[at:at + 1], at)
    assert parser.facts.n_commands == 1
    assert time.perf_counter() - started < 5


def test_messages_held_behind_starttls_are_walked_once():
    parser = LdapParser()
    parser.feed(CLIENT, extended(1, STARTTLS), 0)
    at = len(extended(1, STARTTLS))
    parser.feed(SERVER, extended_answer(1), 0)
    started = time.perf_counter()
    for number in range(20_000):
        parser.feed(CLIENT, UNBIND[number % 7:number % 7 + 1], at)
        at += 1
    assert time.perf_counter() - started < 5


# --- hostile bytes

@pytest.mark.parametrize("seed", range(30))
def test_bits_flipped_and_bytes_lost(seed):
    chance = random.Random(seed)
    parser, at = LdapParser(start_seen=seed % 2 == 0), [0, 0]
    for side, data in CONVERSATION:
        if parser.handover is not None:
            break
        damaged = bytearray(data)
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            parser.gap(side, len(data), at[side])
        else:
            parser.feed(side, bytes(damaged), at[side])
        at[side] += len(data)
    parser.finish()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 99), st.booleans())
def test_any_bytes(data, seed, start_seen):
    swallow(LdapParser, data, seed=seed, start_seen=start_seen)
    probe(data, b"")
    probe(b"", data)
    late(data, data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([0x60, 0x61, 0x64, 0x77, 0x78, 0x63, 0x65, 0xA3]))
def test_any_bytes_as_content(data, tag):
    """What is inside a message is anything, the head is right."""
    for wrapped in (message(1, der(tag, data)), message(1, der(tag, b"\2\1\3\4\0" + data)), message(1, der(tag, b"\x0a\1\0\4\0\4\0" + data)), message(1, der(tag, b"\4\0" + data))):
        for side in (CLIENT, SERVER):
            parser = LdapParser()
            parser.feed(side, wrapped, 0)
            parser.feed(side, wrapped, len(wrapped))
            parser.finish()


@pytest.mark.parametrize("data, side", [(data, side) for side, data in CONVERSATION])
def test_every_truncation(data, side):
    for end in range(len(data)):
        parser = LdapParser()
        parser.feed(side, data[:end], 0)
        parser.finish()
        if end:
            read_head(data[:end], 0, side)
        probe(data[:end], b"")
        probe(b"", data[:end])


def test_readers_stay_inside():
    """The end that is given is the end, whatever stands behind it."""
    content = b"\2\1\3\4\2cn\x80\6secret"
    assert read_bind(content, 0, len(content)) == (3, b"cn", 0x80, b"", b"secret")
    assert read_bind(content, 0, len(content) - 1) == (3, b"cn", None, b"", None)
    assert read_bind(content, 0, 2) == (None, b"", None, b"", None)
    content = b"\x0a\1\0\4\1m\4\1d\x87\1t\x8a\1n"
    assert read_result(content, 0, len(content)) == (0, b"m", b"d", b"t", b"n")
    assert read_result(content, 0, 11) == (0, b"m", b"d", None, None)
    assert read_entry(der(4) + der(0x30, der(0x30, der(4, b"CN"), der(0x31, der(4, b"x")))), 0, 16, frozenset((b"cn",))) == {b"cn": [b"x"]}


# --- what is LDAP

@pytest.mark.parametrize("client, server", [
    (simple(1, b"cn=a", b"x"), b""), (sasl(1, b"GSSAPI", b"x"), b""), (search(1), b""), (search(1, b"", 0), b""), (extended(1, STARTTLS), b""), (UNBIND, b""),
    (b"", result(1)), (b"", challenge(1, b"x")), (b"", entry(1)), (b"", extended_answer(1)), (b"", result(70000, tag=DONE)), (simple(1, b"", b""), b"anything"),
])
def test_what_is_ldap(client, server):
    assert probe(client, server) is True
    data = client or server
    for end in range(1, len(data)):
        if probe(client[:end], server[:end] if not client else server) is False:
            raise AssertionError(f"no after {end} of {len(data)} bytes")


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\x05\1\0\0\1\xfe", b"0123456789", b"0\x82\1\0\2\1\0\4\6public\xa0\x19", b"\0\0\0\x80\x6c\x7e", b"SSH-2.0-x\r\n", bytes(64),
    b"\x30\x80\2\1\1\x60", b"\x30\5\2\1\1\x42\1", b"\x30\x0c\2\1\1\x60\7\2\1\4\4\0\x80\0", b"\x05\0\x0b\3\x10\0\0\0",
    b"\x30\x08\2\1\1\x77\3\x80\1x",
])
def test_what_is_not_ldap(data):
    assert probe(data, b"") is False
    assert late(data, data) is False


def test_nothing_is_not_yet_anything():
    assert probe(b"", b"") is None
    assert probe(b"0", b"") is None


@pytest.mark.parametrize("before", [b"", b"x" * 100, b"0" * 40])
def test_late(before):
    assert late(before + search(1) + search(2), b"") is True
    assert late(b"", before + result(1)) is True
    assert late(b"y" * 3000 + search(1) + search(2), b"") is False


def test_bind_without_content():
    parser = converse(LdapParser, [(CLIENT, bind(1, b"", b"")), (SERVER, message(1, der(0x61, b"\x0a\0")))])
    assert [(one.mechanism, one.result, one.well_formed) for one in parser.facts.logins] == [("UNKNOWN-BIND", "unknown", False)]
