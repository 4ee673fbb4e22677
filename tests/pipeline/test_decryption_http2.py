"""HTTP/2 frames taken apart, and exchanges as HTTP/1 text; the heads come as tshark would give them."""
from __future__ import annotations

import random

import pytest

from pcapsec.pipeline import decryption_http2
from pcapsec.pipeline.decryption_http2 import PREFACE, Http2
from pcapsec.pipeline.decryption_spool import Spool
from pcapsec.records import CLIENT, SERVER

DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
POST = [(b":method", b"POST"), (b":path", b"/ews/exchange.asmx?x=1"), (b":scheme", b"https"), (b":authority", b"mail.example.org"), (b"cookie", b"a=1"), (b"cookie", b"b=2"),
        (b"authorization", b"Basic x"), (b"content-length", b"999"), (b"connection", b"close")]
GET = [(b":method", b"GET"), (b":path", b"/owa/"), (b":scheme", b"https"), (b"host", b"mail.example.org")]
OK = [(b":status", b"200"), (b"content-type", b"text/html"), (b"transfer-encoding", b"chunked")]
POST_TEXT = b"POST /ews/exchange.asmx?x=1 HTTP/1.1\r\nhost: mail.example.org\r\nauthorization: Basic x\r\ncookie: a=1; b=2\r\ncontent-length: 4\r\n\r\n"
OK_TEXT = b"HTTP/1.1 200 \r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n"


def frame(kind: int, stream: int, body: bytes = b"", flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


class Played:
    """What a connection says to the parser."""

    def __init__(self, tmp_path, number: int = 0):
        self.spool = Spool(str(tmp_path / f"heads-{number}.pcap"))
        self.http2 = Http2(self.spool)
        self.said: list[tuple[int, bytes | int]] = []

    def feed(self, side: int, data: bytes, *cuts: int) -> "Played":
        places = [0, *cuts, len(data)]
        for begin, end in zip(places, places[1:]):
            self.http2.feed(side, data[begin:end], begin)
        return self

    def play(self) -> list[tuple[int, bytes | int]]:
        self.http2.play(lambda side, data, at: self.said.append((side, data)), lambda side, length, at: self.said.append((side, length)))
        self.spool.close()
        return self.said


CLIENT_BYTES = PREFACE + frame(SETTINGS, 0) + frame(HEADERS, 1, b"head", END_HEADERS) + frame(DATA, 1, b"body", END_STREAM) + frame(HEADERS, 3, b"head", END_HEADERS | END_STREAM)
SERVER_BYTES = (frame(SETTINGS, 0) + frame(HEADERS, 3, b"three", END_HEADERS) + frame(HEADERS, 1, b"one", END_HEADERS) + frame(DATA, 3, b"thr") + frame(DATA, 1, b"one", END_STREAM)
                + frame(DATA, 3, b"ee", END_STREAM))


def heads(http2: Http2) -> None:
    http2.head(CLIENT, 1, POST)
    http2.head(CLIENT, 3, GET)
    http2.head(SERVER, 3, OK)
    http2.head(SERVER, 1, [(b":status", b"100")])
    http2.head(SERVER, 1, OK)
    http2.head(SERVER, 1, [(b"trailer", b"late")])


WHOLE = [(CLIENT, POST_TEXT), (CLIENT, b"body"), (SERVER, OK_TEXT % 3), (SERVER, b"one"),
         (CLIENT, b"GET /owa/ HTTP/1.1\r\nhost: mail.example.org\r\n\r\n"), (SERVER, OK_TEXT % 5), (SERVER, b"thr"), (SERVER, b"ee")]


def test_streams_beside_one_another_become_one_exchange_after_the_other(tmp_path):
    played = Played(tmp_path).feed(CLIENT, CLIENT_BYTES).feed(SERVER, SERVER_BYTES)
    heads(played.http2)
    assert played.play() == WHOLE


def test_it_says_the_same_however_it_is_cut(tmp_path):
    shaken = random.Random(5)
    for number in range(30):
        played = Played(tmp_path, number)
        for side, data in ((CLIENT, CLIENT_BYTES), (SERVER, SERVER_BYTES)):
            played.feed(side, data, *sorted(shaken.randrange(len(data)) for _ in range(shaken.randrange(8))))
        heads(played.http2)
        assert b"".join(data for _side, data in played.play()) == b"".join(data for _side, data in WHOLE)


def test_an_exchange_without_an_answer_comes_last(tmp_path):
    played = Played(tmp_path).feed(CLIENT, CLIENT_BYTES).feed(SERVER, frame(HEADERS, 3, b"head", END_HEADERS | END_STREAM))
    played.http2.head(CLIENT, 1, POST)
    played.http2.head(CLIENT, 3, GET)
    played.http2.head(SERVER, 3, [(b":status", b"401")])
    assert [data[:12] for _side, data in played.play()] == [b"GET /owa/ HT", b"HTTP/1.1 401", b"POST /ews/ex", b"body"]


@pytest.mark.parametrize("field", [(b":path", b"/x HTTP/1.1\r\nX: y"), (b":method", b"GET /y"), (b":path", b""), (b":method", b"CONNECT")])
def test_heads_that_no_request_can_have(tmp_path, field):
    played = Played(tmp_path).feed(CLIENT, PREFACE + frame(HEADERS, 1, b"head", END_HEADERS | END_STREAM))
    played.http2.head(CLIENT, 1, [field] + [one for one in GET if one[0] != field[0]])
    assert played.play() == []


def test_fields_that_would_become_others_are_left_out(tmp_path):
    played = Played(tmp_path).feed(CLIENT, PREFACE + frame(HEADERS, 1, b"head", END_HEADERS | END_STREAM))
    played.http2.head(CLIENT, 1, [*GET, (b"x: y\r\nauthorization", b"Basic z"), (b"x", b"1\r\nauthorization: Basic z"), (b"y", b"\0"), (b"fine", b"1")])
    assert played.play() == [(CLIENT, b"GET /owa/ HTTP/1.1\r\nhost: mail.example.org\r\nfine: 1\r\n\r\n")]


def test_padding_and_answers_without_a_body(tmp_path):
    played = Played(tmp_path).feed(CLIENT, PREFACE + frame(HEADERS, 1, b"head", END_HEADERS) + frame(DATA, 1, b"\3abc\0\0\0", END_STREAM | PADDED) + frame(DATA, 1, b"\xff", PADDED))
    played.feed(SERVER, frame(HEADERS, 1, b"head", END_HEADERS | END_STREAM))
    played.http2.head(CLIENT, 1, POST)
    played.http2.head(SERVER, 1, [(b":status", b"304")])
    assert [data for _side, data in played.play()] == [POST_TEXT.replace(b"length: 4", b"length: 3"), b"abc", b"HTTP/1.1 304 \r\n\r\n"]


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(decryption_http2, "MAX_BODY_BYTES", 6)
    played = Played(tmp_path).feed(CLIENT, PREFACE + frame(HEADERS, 1, b"head", END_HEADERS) + frame(DATA, 1, b"four") + frame(DATA, 1, b"more") + frame(DATA, 1, b"rest"))
    played.http2.head(CLIENT, 1, POST)
    assert played.play() == [(CLIENT, POST_TEXT.replace(b"length: 4", b"length: 12")), (CLIENT, b"four"), (CLIENT, b"mo"), (CLIENT, 6)]
    monkeypatch.setattr(decryption_http2, "MAX_STREAMS", 1)
    other = Played(tmp_path, 1).feed(CLIENT, CLIENT_BYTES)
    heads(other.http2)
    assert [side for side, _data in other.play()] == [CLIENT, CLIENT, SERVER]
    assert other.spool.n == 4  # preface, settings, both heads: HPACK's tables need each


def test_what_is_no_frame_ends_a_side(tmp_path):
    played = Played(tmp_path).feed(SERVER, b"\xff" * 40).feed(SERVER, SERVER_BYTES).feed(CLIENT, PREFACE + frame(HEADERS, 1, b"head", END_HEADERS))
    played.http2.head(CLIENT, 1, GET)
    assert played.play() == [(CLIENT, b"GET /owa/ HTTP/1.1\r\nhost: mail.example.org\r\n\r\n")]


def test_any_bytes_at_all(tmp_path):
    shaken = random.Random(11)
    played = Played(tmp_path)
    for _ in range(300):
        played.http2.feed(shaken.randrange(2), shaken.randbytes(shaken.randrange(60)) if shaken.randrange(2) else frame(shaken.randrange(12), shaken.randrange(4), b"x" * shaken.randrange(9), shaken.randrange(256)), 0)
    for _ in range(50):
        played.http2.head(shaken.randrange(2), shaken.randrange(5), [(shaken.randbytes(3), shaken.randbytes(4)), (b":status", shaken.randbytes(3)), (b":method", b"GET"), (b":path", b"/")])
    played.play()
