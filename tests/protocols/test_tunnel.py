"""Tunnels: CONNECT, SOCKS, the PROXY preamble; when they stand and what is behind them."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.protocols.tunnel import PROXY_V2, TunnelParser, probe
from pcapsec.records import CLIENT, SERVER, Facts, Handover
from tests.helpers import converse, cut, merged, swallow

CONNECT = [(CLIENT, b"CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example:25\r\n\r\n"), (SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n")]
SOCKS4 = [(CLIENT, b"\4\1\0\x19\xc0\0\2\1user\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0")]
SOCKS4A = [(CLIENT, b"\4\1\0\x19\0\0\0\1user\0mail.example\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0")]
SOCKS5 = [(CLIENT, b"\5\1\0"), (SERVER, b"\5\0"), (CLIENT, b"\5\1\0\3\x0cmail.example\0\x6e"), (SERVER, b"\5\0\0\1\x7f\0\0\1\x04\xd2")]
SOCKS5_LOGIN = [(CLIENT, b"\5\2\0\2"), (SERVER, b"\5\2"), (CLIENT, b"\1\4anna\2pw"), (SERVER, b"\1\0"), (CLIENT, b"\5\1\0\4" + bytes(15) + b"\1\0\x8f"), (SERVER, b"\5\0\0\4" + bytes(18))]
GREETING = b"220 mail.example ESMTP\r\n"


def handover(turns) -> tuple[Facts, Handover | None]:
    """What comes out, after checking that cuts change neither facts nor where the inner conversation begins."""
    whole = converse(TunnelParser, merged(turns))
    for size in (1, 3):
        pieces = converse(TunnelParser, cut(turns, lambda: size))
        assert pieces.facts == whole.facts
        assert (pieces.handover is None) == (whole.handover is None)
        if whole.handover is not None:
            assert pieces.handover.at == whole.handover.at
    return whole.facts, whole.handover


@pytest.mark.parametrize("turns, kind, target", [
    (CONNECT, "http-connect", "mail.example:25"), (SOCKS4, "socks4", "192.0.2.1:25"), (SOCKS4A, "socks4", "mail.example:25"), (SOCKS5, "socks5", "mail.example:110"),
    (SOCKS5_LOGIN, "socks5", "[::1]:143")])
def test_tunnel_stands(turns, kind, target):
    facts, found = handover([*turns, (SERVER, GREETING)])
    assert (facts.tunnel, facts.tunnel_target) == (kind, target)
    lengths = tuple(sum(len(data) for side, data in turns if side == wanted) for wanted in (CLIENT, SERVER))
    assert (found.to, found.at) == ("detect", lengths)
    assert found.rest[CLIENT] == b""
    assert GREETING.startswith(found.rest[SERVER])


@pytest.mark.parametrize("turns", [
    [CONNECT[0], (SERVER, b"HTTP/1.1 403 Forbidden\r\n\r\n")], [SOCKS4[0], (SERVER, b"\0\x5b\0\0\0\0\0\0")], [*SOCKS5[:3], (SERVER, b"\5\5\0\1\0\0\0\0\0\0")],
    [(CLIENT, b"\5\1\0"), (SERVER, b"\5\xff")], [*SOCKS5_LOGIN[:3], (SERVER, b"\1\1")], [(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")],
    [CONNECT[0]], [(CLIENT, b"\4\2\0\x19\xc0\0\2\1\0"), SOCKS4[1]]])
def test_refused_or_unanswered(turns):
    facts, found = handover([*turns, (SERVER, b"x" * 20)] if len(turns) > 1 else turns)
    assert (found, facts.tunnel) == (None, None)


def test_login_at_the_proxy_comes_first():
    asked = (SERVER, b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nno220")
    again = (CLIENT, b"CONNECT mail.example:587 HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\n\r\n")
    facts, found = handover([CONNECT[0], asked, again, CONNECT[1], (SERVER, GREETING)])
    assert (facts.tunnel, facts.tunnel_target, found.at[CLIENT]) == ("http-connect", "mail.example:587", len(CONNECT[0][1]) + len(again[1]))


def test_optimistic_client_bytes_are_passed_on():
    found = converse(TunnelParser, [(CLIENT, CONNECT[0][1] + b"EHLO a\r\n"), CONNECT[1]]).handover
    assert found == Handover(to="detect", rest=(b"EHLO a\r\n", b""), at=(len(CONNECT[0][1]), len(CONNECT[1][1])))


@pytest.mark.parametrize("turns, kind", [(CONNECT, "http-connect"), (SOCKS4A, "socks4"), (SOCKS5, "socks5"), (SOCKS5_LOGIN, "socks5")])
def test_client_side_alone(turns, kind):
    said = [turn for turn in turns if turn[0] == CLIENT]
    parser = converse(TunnelParser, [*said, (CLIENT, b"EHLO a\r\n")])
    assert (parser.facts.tunnel, parser.handover.rest) == (kind, (b"EHLO a\r\n", b""))
    assert converse(TunnelParser, said).handover is None


def test_server_side_alone():
    for turns, kind in ((CONNECT, "http-connect"), (SOCKS5, "socks5")):
        parser = converse(TunnelParser, [turn for turn in turns if turn[0] == SERVER] + [(SERVER, GREETING)])
        assert parser.facts.tunnel == kind


def test_proxy_preambles():
    facts, found = handover([(CLIENT, b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 25\r\n"), (SERVER, GREETING)])
    assert (facts.tunnel, facts.tunnel_target, facts.identity, found.at[CLIENT]) == ("proxy-protocol", "192.0.2.1:25", {"proxy": "192.0.2.7:50000"}, 41)
    facts, found = handover([(CLIENT, b"PROXY UNKNOWN\r\n"), (SERVER, GREETING)])
    assert (facts.tunnel, facts.tunnel_target, facts.identity) == ("proxy-protocol", None, {})
    addresses = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + b"\xc3\x50\0\x19"
    facts, found = handover([(CLIENT, PROXY_V2 + b"\x21\x11\0\x0f" + addresses + b"tlv"), (SERVER, GREETING)])
    assert (facts.tunnel_target, facts.identity, found.at[CLIENT]) == ("192.0.2.1:25", {"proxy": "192.0.2.7:50000"}, 31)
    facts, found = handover([(CLIENT, PROXY_V2 + b"\x20\0\0\0"), (SERVER, GREETING)])
    assert (facts.tunnel_target, facts.identity, found.at[CLIENT]) == (None, {}, 16)


def test_gap_ends_the_reading():
    parser = converse(TunnelParser, [CONNECT[0], (SERVER, 20), (SERVER, b"established\r\n\r\n")])
    assert (parser.handover, parser.failed) == (None, True)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([b"", b"CONNECT a:1 HTTP/1.0\r\n\r\n", b"\4\1\0\x19\0\0\0\1", b"\5\1\0", b"\5\1\2", b"PROXY ", PROXY_V2, PROXY_V2 + b"\x21\x21\0\x24", b"HTTP/1.1 407 x\r\n"]),
       st.binary(max_size=200), st.integers(0, 20))
def test_never_raises(start, data, seed):
    swallow(TunnelParser, start + data, seed=seed)


@pytest.mark.parametrize("client, server, expected", [
    (CONNECT[0][1], b"", True), (b"CONN", b"", None), (b"CONTROL", b"", False), (b"", CONNECT[1][1], True), (b"", b"HTTP/1.1 200 OK\r\n", False), (SOCKS4[0][1], b"", True),
    (b"\4\1", b"", None), (SOCKS5[0][1], b"", True), (b"\5", b"", None), (b"\5\0", b"", False), (PROXY_V2, b"", True), (PROXY_V2[:5], b"", None), (b"PROXY TCP4", b"", True),
    (b"PASS x\r\n", b"", False), (b"", b"220 x\r\n", False), (b"", b"", None)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected
