"""HTTP/2 that was decrypted (RFC 9113): frames apart, heads through tshark, and each request with its answer as HTTP/1 text for our own parser.

Bodies need nothing but the frame format, so only the frames that carry heads are handed to tshark, which undoes HPACK (RFC 7541). Streams run beside one another; the parser
gets one exchange after the other, those without an answer last.
"""
from __future__ import annotations

import re
from typing import Any, Callable

from ..records import CLIENT, SERVER
from .decryption_spool import Spool

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES = 1 << 20  # endpoints agree on 16 KiB unless they say otherwise (RFC 9113 §4.2)
MAX_STREAMS = 10_000  # of a connection; the HTTP parser keeps as many requests
MAX_BODY_BYTES = 65_536  # kept of each body: forms and login pages are shorter
MAX_BODIES_BYTES = 4 << 20  # kept of all bodies of a connection
MAX_HEADERS = 200  # of a head; at most so many lines go to the parser
DATA, HEADERS, SETTINGS, PUSH_PROMISE, CONTINUATION = 0, 1, 4, 5, 9
PADDED = 8
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}").fullmatch
_NOT_IN_VALUES = re.compile(rb"[\r\n\0]").search
_PER_CONNECTION = frozenset((b"connection", b"content-length", b"transfer-encoding", b"host", b"cookie", b"upgrade", b"keep-alive", b"proxy-connection"))

Head = list[tuple[bytes, bytes]]


class _Side:
    """What one side of a stream said."""

    __slots__ = ("head", "at", "body", "kept", "size")

    def __init__(self) -> None:
        self.head: Head | None = None
        self.at: int | None = None  # plaintext offset where it begins
        self.body: list[tuple[bytes, int]] = []  # kept bytes and their places
        self.kept = self.size = 0


class Http2:
    """One connection.

    Args:
        spool: where frames with heads are put for tshark.
    """

    def __init__(self, spool: Spool):
        self._spool = spool
        self._stream = spool.open(self)
        self._buffer = [bytearray(), bytearray()]
        self._begin = [0, 0]
        self._skip = [len(PREFACE), 0]
        self._dead = [False, False]
        self._streams: dict[int, tuple[_Side, _Side]] = {}
        self._kept = 0
        self._preface_sent = False

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Plaintext of a side from an offset on."""
        if self._dead[side]:
            return
        if not self._preface_sent:  # so that tshark knows the client
            self._spool.add(self._stream, CLIENT, PREFACE, 0)
            self._preface_sent = True
        skip = min(self._skip[side], len(data))
        if skip:
            self._skip[side] -= skip
            data, at = data[skip:], at + skip
        buffer = self._buffer[side]
        if not buffer:
            self._begin[side] = at
        buffer += data
        pos, n = 0, len(buffer)
        while n - pos >= 9:
            length = buffer[pos] << 16 | buffer[pos + 1] << 8 | buffer[pos + 2]
            if length > MAX_FRAME_BYTES:
                self._dead[side] = True
                buffer.clear()
                return
            if n - pos < 9 + length:
                break
            self._frame(side, buffer, pos, length, self._begin[side] + pos)
            pos += 9 + length
        del buffer[:pos]
        self._begin[side] += pos

    def gap(self, side: int) -> None:
        """Bytes of a side are lost: its frames cannot be told from there on."""
        self._dead[side] = True

    def _frame(self, side: int, data: bytearray, pos: int, length: int, at: int) -> None:
        """`length(24) type(8) flags(8) stream(31)` (RFC 9113 §4.1)."""
        kind, flags, number = data[pos + 3], data[pos + 4], int.from_bytes(data[pos + 5:pos + 9], "big") & 0x7FFFFFFF
        if kind == SETTINGS or kind == PUSH_PROMISE or kind == CONTINUATION:
            self._for_tshark(side, data, pos, length, number)
            return
        if kind != HEADERS and kind != DATA or not number:
            return
        streams = self._streams.get(number)
        if streams is None:
            if len(self._streams) >= MAX_STREAMS:
                if kind == HEADERS:  # HPACK's tables go on all the same
                    self._for_tshark(side, data, pos, length, number)
                return
            streams = self._streams[number] = (_Side(), _Side())
        said = streams[side]
        if said.at is None:
            said.at = at
        if kind == HEADERS:
            self._for_tshark(side, data, pos, length, number)
            return
        begin, end = pos + 9, pos + 9 + length
        if flags & PADDED and length:
            end = max(begin + 1, end - data[begin])
            begin += 1
        room = min(MAX_BODY_BYTES - said.kept, MAX_BODIES_BYTES - self._kept, end - begin)
        if room > 0 and said.kept == said.size:  # a body is kept up to its first byte that is not
            said.body.append((bytes(data[begin:begin + room]), at + begin - pos))
            said.kept += room
            self._kept += room
        said.size += max(0, end - begin)

    def _for_tshark(self, side: int, data: bytearray, pos: int, length: int, number: int) -> None:
        self._spool.add(self._stream, side, data[pos:pos + 9 + length], number)

    def head(self, side: int, number: int, head: Head) -> None:
        """A head as tshark read it. 1xx answers are passed over; what comes behind the first is trailers."""
        streams = self._streams.get(number)
        if streams is None or streams[side].head is not None:
            return
        begins = _pseudo(head, b":status" if side else b":method")
        if begins is None or side == SERVER and begins[:1] == b"1":
            return
        streams[side].head = head[:MAX_HEADERS]

    def play(self, feed: Callable[[int, bytes, int], None], skipped: Callable[[int, int, int], None]) -> None:
        """The exchanges as HTTP/1 text, in the order of their requests.

        Args:
            feed: side, text, plaintext offset it stands for; skipped: side, bytes left out, offset.
        """
        exchanges = [pair for pair in self._streams.values() if pair[CLIENT].head is not None]
        exchanges.sort(key=lambda pair: (pair[SERVER].head is None, pair[CLIENT].at or 0))
        for request, answer in exchanges:
            text = _request(request)
            if text is None:
                continue
            _say(feed, skipped, CLIENT, request, text)
            text = _answer(answer, request) if answer.head is not None else None
            if text is not None:
                _say(feed, skipped, SERVER, answer, text)


def _say(feed: Callable[[int, bytes, int], None], skipped: Callable[[int, int, int], None], side: int, said: _Side, head: bytes) -> None:
    feed(side, head, said.at or 0)
    at = said.at or 0
    for piece, at in said.body:
        feed(side, piece, at)
    if said.size > said.kept:
        skipped(side, said.size - said.kept, at)


def _pseudo(head: Head, wanted: bytes) -> bytes | None:
    value = next((value for name, value in head if name == wanted), None)
    return None if value is None or _NOT_IN_VALUES(value) or b" " in value else value


def _fields(head: Head) -> list[bytes]:
    """Field lines without what belongs to one connection of HTTP/1; crumbs of a cookie are one line again (RFC 9113 §8.2.3)."""
    lines = [name + b": " + value for name, value in head if _TOKEN(name) and name.lower() not in _PER_CONNECTION and not _NOT_IN_VALUES(value)]
    cookies = [value for name, value in head if name.lower() == b"cookie" and not _NOT_IN_VALUES(value)]
    return lines + [b"cookie: " + b"; ".join(cookies)] if cookies else lines


def _request(said: _Side) -> bytes | None:
    head = said.head or []
    method, path, authority = (_pseudo(head, name) for name in (b":method", b":path", b":authority"))
    if method is None or not _TOKEN(method) or method == b"CONNECT" or not path:
        return None
    host = authority or next((value for name, value in head if name.lower() == b"host" and not _NOT_IN_VALUES(value)), None)
    lines = [method + b" " + path + b" HTTP/1.1"] + ([b"host: " + host] if host else []) + _fields(head)
    if said.size or any(name.lower() == b"content-length" for name, _value in head):
        lines.append(b"content-length: %d" % said.size)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _answer(said: _Side, request: _Side) -> bytes | None:
    status = _pseudo(said.head or [], b":status")
    if status is None or len(status) != 3 or not status.isdigit():
        return None
    lines = [b"HTTP/1.1 " + status + b" "] + _fields(said.head or [])
    if _pseudo(request.head or [], b":method") != b"HEAD" and status not in (b"204", b"304"):
        lines.append(b"content-length: %d" % said.size)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def heads_in(packet: Any) -> Head:
    """The field lines of a packet that tshark dissected as HTTP/2, as the octets that HPACK gives."""
    if "http2" not in packet:
        return []
    layer = packet.http2
    names, values = (_all(layer, name) for name in ("header_name", "header_value"))
    return list(zip(names, values)) if len(names) == len(values) else []


def _all(layer: Any, name: str) -> list[bytes]:
    field = layer.get_field(name)
    if field is None:
        return []
    found = []
    for one in field.all_fields:
        try:
            found.append(bytes.fromhex(one.raw_value or ""))
        except ValueError:
            found.append(b"")
    return found
