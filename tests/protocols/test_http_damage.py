"""HTTP/1 with bytes missing, heads that never end, lengths that lie, and bytes that are none of it."""
from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import converse, cut, merged, outcome, same_however_cut, swallow

from pcapsec.protocols import http, http_framing, http_heads
from pcapsec.protocols.http import HttpParser
from pcapsec.records import CLIENT, SERVER

LOGIN = b"GET /owa/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1;x\r\ne\r\n0\r\n\r\n"
POST = b"POST /owa/auth.owa HTTP/1.1\r\nContent-Length: 21\r\n\r\nusername=a&password=b"
TALK = [(CLIENT, LOGIN), (SERVER, OK), (CLIENT, POST), (SERVER, CHUNKED), (CLIENT, b"HEAD /ecp/ HTTP/1.0\n\n"), (SERVER, b"HTTP/1.0 304 No\nContent-Length: 9\n\n"), (CLIENT, LOGIN), (SERVER, OK)]


def codes(parser) -> list[str]:
    return [anomaly.code for anomaly in parser.facts.anomalies]


# --- heads

def test_head_whose_end_is_missing_is_read_as_far_as_it_goes():
    parser = same_however_cut(HttpParser, [(CLIENT, LOGIN[:-4])])
    assert (parser.facts.logins, [row.path for row in parser.http.requests]) == ([], ["/owa/"])  # half a line may be half a credential
    parser = same_however_cut(HttpParser, [(CLIENT, LOGIN[:-2])])
    assert [login.principal for login in parser.facts.logins] == ["a"]


def test_gap_inside_a_head():
    parser = same_however_cut(HttpParser, [(CLIENT, LOGIN[:-2]), (CLIENT, 300), (CLIENT, b"x: y\r\n\r\n"), (SERVER, OK), (CLIENT, LOGIN), (SERVER, OK)])
    assert [(row.status, row.login is not None) for row in parser.http.requests] == [(200, True), (200, True)]
    assert parser.facts.logins[0].details["n_requests"] == 2


@pytest.mark.parametrize("step", [1, 1000, 1 << 20])
def test_head_beyond_the_limit(step):
    head = LOGIN[:-2] + b"x: " + b"y" * (2 * http_heads.MAX_HEAD_BYTES) + b"\r\n\r\n"
    if step == 1:
        head = head[:http_heads.MAX_HEAD_BYTES + 100]
    parser = converse(HttpParser, cut([(CLIENT, head)], lambda: step) + [(CLIENT, b"\r\n\r\n" + LOGIN)])
    assert codes(parser) == ["http-head-too-long"]
    assert [row.path for row in parser.http.requests] == ["/owa/", "/owa/"]


@pytest.mark.parametrize("prefix", [b"", b"GET ", b"GET /owa/ HTTP/1.1\r\nHost: ", b"\n" * 10, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 ", b"HTTP/1.1 401 No\r\nWWW-Authenticate: "])
@pytest.mark.parametrize("filler", [b"a", b" ", b"\r", b"\n", b'"\\', b" HTTP/1.", b"\nHTTP/1.1", b"a:\r\n ", b"0", b",", b"\n\r", b"GET /"])
def test_many_small_pieces_cost_no_more_than_their_number(prefix, filler):
    """120 KB in pieces of two bytes: quadratic reading of any buffer here would take minutes."""
    data = prefix + filler * (120_000 // len(filler))
    side = SERVER if prefix[:4] == b"HTTP" else CLIENT
    began = time.process_time()
    for start_seen in (True, False):
        parser = HttpParser(start_seen=start_seen)
        for at in range(0, len(data), 2):
            parser.feed(side, data[at:at + 2], at)
        parser.finish()
    assert time.process_time() - began < 20
    assert all(reader.held is None or len(reader.held) <= http_heads.MAX_HEAD_BYTES + 2 for reader in parser.sides)


@pytest.mark.parametrize("head", [
    b'HTTP/1.1 401 x\r\nWWW-Authenticate: ' + b'"\\' * 40000 + b"\r\n\r\n", b"HTTP/1.1 401 x\r\nWWW-Authenticate: " + b"a, " * 30000 + b"\r\n\r\n",
    b"HTTP/1.1 200 x\r\nSet-Cookie: " + b"a=b;" * 20000 + b"\r\n\r\n", b"HTTP/1.1 401 x\r\n" + b"WWW-Authenticate: x y\r\n" * 4000 + b"\r\n",
    b"HTTP/1.1 401 x\r\nWWW-Authenticate: x" + b" " * 90000 + b"\r\n\r\n"])
def test_costly_answers(head):
    began = time.process_time()
    converse(HttpParser, [(CLIENT, LOGIN), (SERVER, head)])
    assert time.process_time() - began < 2


@pytest.mark.parametrize("field", [b"Digest " + b'a="\\' * 20000, b"Digest " + b"a=b," * 20000, b"Basic " + b"A" * 90000, b"Negotiate " + b"YII" * 20000, b"x " * 40000])
def test_costly_requests(field):
    began = time.process_time()
    converse(HttpParser, [(CLIENT, b"GET / HTTP/1.1\r\nAuthorization: " + field + b"\r\nCookie: " + b";a=" * 1000 + b"\r\n\r\n"), (SERVER, OK)])
    assert time.process_time() - began < 2


# --- lengths

@pytest.mark.parametrize("field, code", [
    (b"Content-Length: -1", "http-length-malformed"), (b"Content-Length: 1x", "http-length-malformed"), (b"Content-Length: " + b"9" * 30, "http-length-malformed"),
    (b"Content-Length: 1\r\nContent-Length: 2", "http-length-malformed"), (b"Transfer-Encoding: chunked\r\n\r\nxyz", "http-chunk-malformed"),
    (b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcde", "http-chunk-malformed"), (b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n", "http-chunk-malformed")])
@pytest.mark.parametrize("side", [CLIENT, SERVER])
def test_lengths_that_lie(field, code, side):
    if side == SERVER:
        turns = [(CLIENT, LOGIN), (SERVER, b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\njunk\r\n"), (CLIENT, LOGIN), (SERVER, OK)]
    else:
        turns = [(CLIENT, b"POST /owa/x HTTP/1.1\r\n" + field + b"\r\n\r\njunk\r\n"), (SERVER, OK), (CLIENT, LOGIN), (SERVER, OK)]
    parser = same_however_cut(HttpParser, turns)
    assert codes(parser) == [code]
    assert [row.status for row in parser.http.requests] == [200, 200]


def test_length_beyond_what_is_sent():
    """A body that claims more than it has gives way to the next start line, once the other side went on."""
    parser = same_however_cut(HttpParser, [(CLIENT, LOGIN), (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\nok"), (CLIENT, LOGIN), (SERVER, OK)])
    assert ([row.status for row in parser.http.requests], codes(parser)) == ([200, 200], ["http-body-abandoned"])


def test_garbage_between_messages():
    parser = same_however_cut(HttpParser, [(CLIENT, b"\x00\x01\x02 words\r\n" + LOGIN), (SERVER, b"what? HTTP/1.1 200\r\n" + OK), (CLIENT, LOGIN), (SERVER, OK)])
    assert (codes(parser), [row.status for row in parser.http.requests]) == (["http-start-line-malformed"] * 2, [200, 200])


# --- numbers

def test_requests_that_nobody_answers_are_bounded():
    parser = HttpParser()
    request = b"GET / HTTP/1.1\r\n\r\n"
    for number in range(3 * http.MAX_OPEN):
        parser.feed(CLIENT, request, number * len(request))
    assert (parser.http.n_requests, len(parser._open)) == (3 * http.MAX_OPEN, http.MAX_OPEN)


def test_rows_are_bounded(monkeypatch):
    monkeypatch.setattr(http, "MAX_ROWS", 3)
    parser = converse(HttpParser, [(CLIENT, LOGIN), (SERVER, OK)] * 5)
    assert (len(parser.http.requests), codes(parser), parser.facts.logins[0].details["n_requests"]) == (3, ["http-too-many-requests"], 5)


def test_bytes_behind_connect_are_bounded():
    parser = converse(HttpParser, [(CLIENT, b"CONNECT a:1 HTTP/1.1\r\n\r\n")] + [(CLIENT, b"x" * 1000)] * 100)
    assert (parser.handover, codes(parser)) == (None, ["http-tunnel-unanswered"])


def test_anomalies_are_bounded():
    parser = converse(HttpParser, [(CLIENT, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), (SERVER, OK)] * 300)
    assert len(parser.facts.anomalies) == http_framing.MAX_ANOMALIES + 1


# --- anything

@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", LOGIN, POST, OK, CHUNKED, b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n", b"RPC_IN_DATA /rpc/rpcproxy.dll?a:1 HTTP/1.1\r\nContent-Length: 1000\r\n\r\n\5\0\x14\3\x10\0\0\0",
                        b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization: Digest "]),
       st.binary(max_size=300), st.integers(0, 50), st.booleans())
def test_never_raises(start, data, seed, start_seen):
    swallow(HttpParser, start + data + start, seed=seed, start_seen=start_seen)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_talk_reads_the_same_however_it_is_cut(seed):
    chance = random.Random(seed)
    turns = []
    for side, data in TALK:
        data = bytearray(data)
        for _ in range(chance.choice((0, 0, 1, 3))):
            data[chance.randrange(len(data))] = chance.choice(b"\r\n :;0a\0\xff/")
        if chance.random() < 0.3:
            at = chance.randrange(1, len(data))
            lost = chance.randrange(1, 60)
            turns += [(side, bytes(data[:at])), (side, lost)]
            data = data[at + lost if chance.random() < 0.7 else at:]
        if data:
            turns.append((side, bytes(data)))
    whole = converse(HttpParser, merged(turns), start_seen=bool(seed % 3))
    for sizes in (lambda: 1, lambda: chance.randint(1, 30)):
        pieces = converse(HttpParser, cut(turns, sizes), start_seen=bool(seed % 3))
        assert outcome(pieces) == outcome(whole)
