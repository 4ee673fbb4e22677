"""Where messages of HTTP/1 begin and end on each side: heads, bodies by length, by chunks and until the close, and the way back after damage (RFC 9112 §6, §7).

`http.HttpParser` reads the heads; this module finds them. Resynchronisation: after lost bytes, a late start, an over-long head and dropped bytes whose length no Content-Length
tells, a side resumes at the next start line, at the beginning of what it says after the other side spoke or behind a line end. A side that should be in the middle of a body but
begins its next words with a start line, after the other side went on, has left that body.
"""
from __future__ import annotations

import re
from typing import Protocol

from ..records import CLIENT, SERVER, Anomaly, Facts, Handover, HttpRequest
from .http_heads import CHUNK_SIZE, HEAD_END, MAX_HEAD_BYTES, METHODS, REQUEST_LINE, STATUS_LINE, STATUS_START

MAX_LINE_BYTES = 8192  # of a chunk's size line, a trailer, or a request line that is looked for after damage; servers refuse longer ones
MAX_HELD_BYTES = 65536  # behind CONNECT and RPC_CONNECT while their answer is awaited
MAX_ANOMALIES = 100  # per conversation; the last one says that more were dropped

# What a side is in the middle of
HEAD, LENGTH, CHUNKS, UNTIL_CLOSE, RESUME, PEEK, WAIT, OPAQUE = range(8)
SIZE_LINE, CHUNK_DATA, CHUNK_END, TRAILERS = range(4)  # where in a chunked body
_BODIES = (LENGTH, CHUNKS, UNTIL_CLOSE)

_METHOD_START = re.compile(rb"([A-Z][A-Z_-]{1,23}+) [/h*]").match
_METHOD_BEGUN = re.compile(rb"[A-Z][A-Z_-]{0,23}+ ?+\Z").match


def note(facts: Facts, code: str, side: int, at: int, detail: str = "") -> None:
    """Note a violation or a loss, up to a limit."""
    found = facts.anomalies
    if len(found) < MAX_ANOMALIES:
        found.append(Anomaly(code=code, side=side, at=at, detail=detail))
    elif len(found) == MAX_ANOMALIES:
        found.append(Anomaly(code="more-anomalies-dropped", side=side, at=at))


class BodyTaker(Protocol):
    """Gets the bytes of a body, transfer coding undone."""

    def feed(self, data: bytes, at: int) -> None:
        """Body bytes and the stream offset of the first."""

    def gap(self, length: int, at: int) -> None:
        """Body bytes are missing."""


class Side:
    """Where one side is."""

    __slots__ = ("number", "mode", "held", "held_at", "searched", "remaining", "chunk", "row", "take", "before", "fresh")

    def __init__(self, number: int, mode: int):
        self.number, self.mode = number, mode
        self.held: bytearray | None = None  # an unfinished head, size line or the like
        self.held_at = 0
        self.searched = 0  # how far `held` was searched for its end; below zero: for the end of its first line
        self.remaining = 0  # bytes of a body with a length, or of a chunk
        self.chunk = SIZE_LINE
        self.row: HttpRequest | None = None  # counts body bytes
        self.take: BodyTaker | None = None
        self.before = HEAD  # the body's mode that PEEK interrupts
        self.fresh = mode == RESUME  # the next byte may begin a line


class Framing:
    """Both sides cut into messages. Subclasses read heads and are told when a body is over.

    Args:
        facts: gets the anomalies.
        start_seen: the connection's first bytes are in the capture; False: each side resumes at its first start line.
    """

    handover: Handover | None = None
    server_lost = False  # answers may be missing
    switch: str | None = None  # the protocol that follows, set by an answer's head
    switch_at = 0  # client offset where it begins, when no client bytes are held
    _last = -1  # the side that spoke last

    def __init__(self, facts: Facts, start_seen: bool):
        self.facts = facts
        mode = HEAD if start_seen else RESUME
        self.sides = (Side(CLIENT, mode), Side(SERVER, mode))

    # --- for subclasses

    def client_head(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """Read the head at `pos`: how many bytes it has; `not_yet` or `no_head` decide when it is not whole or none. Sets the mode for what follows."""
        raise NotImplementedError

    def server_head(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """The same for an answer."""
        raise NotImplementedError

    def cut_head(self, side: Side, head: bytes, at: int) -> None:
        """The beginning of a head whose end is missing."""

    def body_over(self, side: Side, whole: bool) -> None:
        """A body ended; `whole`: where it should."""

    # --- for the pipeline

    def feed(self, number: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        side = self.sides[number]
        if number != self._last:
            self._last = number
            if side.mode == RESUME:
                side.fresh, side.held, side.searched = True, None, 0
        if side.held is None:
            self._run(side, data, at)
        else:
            side.held += data
            self._run(side, side.held, side.held_at)

    def gap(self, number: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        self._missing(self.sides[number], length, at)

    def skipped(self, number: int, length: int, at: int) -> None:
        """`length` bytes were seen and dropped on purpose: the rest of a long turn, nearly always of a body."""
        self._missing(self.sides[number], length, at)

    def end(self) -> None:
        """No more bytes will come: what is unfinished is read as far as it goes."""
        for side in self.sides:
            if side.mode == HEAD and side.held:
                held, side.held = bytes(side.held), None
                self.cut_head(side, held, side.held_at)
            elif side.mode in _BODIES or side.mode == PEEK:
                self.body_over(side, side.mode == UNTIL_CLOSE)
                side.row = side.take = None

    # --- inside

    def _run(self, side: Side, data: bytes | bytearray, at: int) -> None:
        """Read as far as the bytes allow; the rest is held. `data` may be `side.held` itself."""
        held, number = data is side.held, side.number
        pos, n = 0, len(data)
        while pos < n:
            mode = side.mode
            if mode:
                used = _READ[mode](self, side, data, pos, at + pos)
            elif number:
                used = self.server_head(side, data, pos, at + pos)
            else:
                used = self.client_head(side, data, pos, at + pos)
            if used <= 0:
                if used:  # in another mode now
                    side.searched = 0
                    continue
                break
            pos += used
            if held:  # what was held is whole: go on with plain bytes
                data, at, pos, held, side.held = bytes(data[pos:]), at + pos, 0, False, None
                n = len(data)
            if self.switch is not None:
                self._hand_over(data[pos:], at + pos)
                return
        if pos < n and not held:
            side.held, side.held_at = bytearray(data[pos:]), at + pos

    def _hand_over(self, rest: bytes | bytearray, at: int) -> None:
        client = self.sides[CLIENT]
        before = bytes(client.held) if client.held is not None else b""
        self.handover = Handover(to=self.switch or "detect", rest=(before, bytes(rest)), at=(client.held_at if before else self.switch_at, at))
        for side in self.sides:
            side.mode, side.held = OPAQUE, None

    def not_yet(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """The head's end is not there yet: 0 to wait for it, unless it is too long already."""
        n = len(data) - pos
        if n > MAX_HEAD_BYTES:
            return self.too_long(side, data, pos, at)
        side.searched = max(0, n - 3)
        return 0

    def ends(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """For a head that came in pieces: 1 when its end is there, else what the head reader shall return."""
        searched = side.searched
        if searched < 0:
            if data.find(b"\n", pos - searched) < 0:
                return self._no_line(side, data, pos, at)
        elif HEAD_END(data, pos + searched) is None:
            return self.not_yet(side, data, pos, at)
        side.searched = 0
        return 1

    def _no_line(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        n = len(data) - pos
        if n > MAX_HEAD_BYTES:
            return self.too_long(side, data, pos, at)
        side.searched = -n
        return 0

    def no_head(self, side: Side, data: bytes | bytearray, pos: int, at: int, may_begin: bool) -> int:
        """Something else than a start line is at `pos`. Line ends before one are stepped over (RFC 9112 §2.2); what cannot become one is damage."""
        if data[pos] in b"\r\n":
            end = pos + 1
            while end < len(data) and data[end] in b"\r\n":
                end += 1
            return end - pos
        if may_begin and data.find(b"\n", pos, pos + MAX_HEAD_BYTES) < 0:
            return self._no_line(side, data, pos, at)
        note(self.facts, "http-start-line-malformed", side.number, at)
        self._resume(side, False)
        return -1

    def too_long(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """A head beyond the limit: its beginning is read, then the next start line is looked for."""
        note(self.facts, "http-head-too-long", side.number, at, f"over {MAX_HEAD_BYTES} bytes")
        self.cut_head(side, bytes(data[pos:pos + MAX_HEAD_BYTES]), at)
        self._resume(side, False)
        return MAX_HEAD_BYTES

    def resume_after(self, side: Side) -> None:
        """Nobody can say where the body of the head just read ends."""
        self._resume(side, False)

    def _resume(self, side: Side, fresh: bool) -> None:
        if side.row is not None or side.take is not None:
            self.body_over(side, False)
        side.row = side.take = None
        side.mode, side.fresh, side.searched = RESUME, fresh, 0

    def peek(self, side: Side) -> None:
        """The other side went on although this one is in a body: its next bytes decide whether it still is."""
        if side.mode in _BODIES and side.held is None:
            side.before, side.mode = side.mode, PEEK

    def opaque(self) -> None:
        """What follows on both sides is not HTTP/1 any more."""
        for side in self.sides:
            side.mode, side.held = OPAQUE, None

    def release(self) -> None:
        """The answer refused what the client's held bytes are for: they are the next request."""
        client = self.sides[CLIENT]
        if client.mode == WAIT:
            client.mode = HEAD
            held, client.held = client.held, None
            if held:
                self._run(client, bytes(held), client.held_at)

    def _missing(self, side: Side, length: int, at: int) -> None:
        if side.mode == PEEK:
            side.mode = side.before
            held, side.held = side.held, None
            if held:
                self._run(side, bytes(held), side.held_at)
        mode = side.mode
        if mode == OPAQUE:
            return
        if mode in _BODIES and (side.held is None or mode == UNTIL_CLOSE):
            within = mode == UNTIL_CLOSE or (mode == LENGTH or side.chunk == CHUNK_DATA) and length <= side.remaining
            lost = length if within else side.remaining
            self._count(side, lost)
            if side.take is not None:
                side.take.gap(lost, at)
            if within:
                if mode != UNTIL_CLOSE:
                    side.remaining -= length
                    if not side.remaining:
                        if mode == LENGTH:
                            self._end_body(side)
                        else:
                            side.chunk = CHUNK_END
                return
        elif mode == HEAD and side.held:
            held, side.held = bytes(side.held), None
            self.cut_head(side, held, side.held_at)
        elif mode == WAIT:
            self.opaque()
            return
        side.held = None
        self._resume(side, True)
        if side.number == SERVER:
            self.server_lost = True

    # --- bodies

    def _count(self, side: Side, n: int) -> None:
        row = side.row
        if row is not None:
            if side.number:
                row.response_bytes += n
            else:
                row.request_bytes += n

    def _end_body(self, side: Side) -> None:
        side.mode = HEAD
        if side.row is not None or side.take is not None:
            self.body_over(side, True)
            side.row = side.take = None

    def _take(self, side: Side, data: bytes | bytearray, pos: int, n: int, at: int) -> None:
        self._count(side, n)
        if side.take is not None:
            side.take.feed(bytes(data[pos:pos + n]), at)

    def _read_length(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        n = min(side.remaining, len(data) - pos)
        if side.row is not None or side.take is not None:
            self._take(side, data, pos, n, at)
        side.remaining -= n
        if not side.remaining:
            self._end_body(side)
        return n

    def _read_until_close(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        n = len(data) - pos
        self._take(side, data, pos, n, at)
        return n

    def _read_chunks(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        """`chunk-size [ chunk-ext ] CRLF chunk-data CRLF`, a size of 0 and trailers at the end (RFC 9112 §7.1)."""
        start, n = pos, len(data)
        wanted = side.row is not None or side.take is not None
        while pos < n:
            where = side.chunk
            if where == CHUNK_DATA:
                size = min(side.remaining, n - pos)
                if wanted:
                    self._take(side, data, pos, size, at + pos - start)
                pos += size
                side.remaining -= size
                if not side.remaining:
                    side.chunk = CHUNK_END
                continue
            if where == CHUNK_END:
                if data[pos] == 13 and n - pos < 2:
                    break
                used = 1 if data[pos] == 10 else 2 if data[pos:pos + 2] == b"\r\n" else 0
                if not used:
                    return self._bad_chunk(side, start, pos, at)
                side.chunk = SIZE_LINE
                pos += used
                continue
            end = data.find(b"\n", pos + side.searched) + 1
            if not end:
                if n - pos > MAX_LINE_BYTES:
                    return self._bad_chunk(side, start, pos, at)
                if pos == start:
                    side.searched = n - pos
                break
            side.searched = 0
            if where == TRAILERS:
                blank = end - pos <= 2 and data[pos] in b"\r\n"
                pos = end
                if blank:
                    side.chunk = SIZE_LINE
                    self._end_body(side)
                    break
                continue
            match = CHUNK_SIZE(data, pos)
            if match is None or end - pos > MAX_LINE_BYTES:
                return self._bad_chunk(side, start, pos, at)
            size = int(match[1] or b"0", 16)
            side.remaining, side.chunk = size, CHUNK_DATA if size else TRAILERS
            pos = end
        return pos - start

    def _bad_chunk(self, side: Side, start: int, pos: int, at: int) -> int:
        note(self.facts, "http-chunk-malformed", side.number, at + pos - start)
        self._resume(side, False)
        return pos - start or -1

    def _read_wait(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        if len(data) - pos <= MAX_HELD_BYTES:
            return 0
        note(self.facts, "http-tunnel-unanswered", side.number, at, f"over {MAX_HELD_BYTES} bytes")
        side.mode = OPAQUE
        return len(data) - pos

    def _read_opaque(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        return len(data) - pos

    # --- the way back

    def _read_peek(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        n = len(data) - pos
        if side.number == SERVER:
            left = STATUS_LINE(data, pos) is not None
            begun = n < 13 and STATUS_START.startswith(bytes(data[pos:pos + 7]))
        else:
            match = _METHOD_START(data, pos)
            left = match is not None and match[1] in METHODS
            begun = match is None and _METHOD_BEGUN(data, pos) is not None
        if not left and begun:
            return 0
        side.mode = side.before
        if left:
            if side.mode != UNTIL_CLOSE:
                note(self.facts, "http-body-abandoned", side.number, at)
            self.body_over(side, side.mode == UNTIL_CLOSE)
            side.row = side.take = None
            side.mode = HEAD
        return -1

    def _read_resume(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        found = self._find_answer(side, data, pos) if side.number else self._find_request(side, data, pos)
        if found == pos:
            return 0 if side.mode == RESUME else -1
        side.searched = 0
        return found - pos

    def _find_answer(self, side: Side, data: bytes | bytearray, pos: int) -> int:
        """Where the next status line begins (then the mode is HEAD), or may begin; else the end."""
        n, at = len(data), pos
        while (at := data.find(STATUS_START, at)) >= 0:
            if at == pos and side.fresh or at > pos and data[at - 1] == 10:
                if STATUS_LINE(data, at) is not None:
                    side.mode = HEAD
                    return at
                if n - at < 13:
                    side.fresh = True
                    return at
            at += 1
        start = data.rfind(b"\n", max(pos, n - 8)) + 1
        if start > pos or side.fresh and n - pos < 7:
            start = max(start, pos)
            if STATUS_START.startswith(bytes(data[start:])):
                side.fresh = True
                return start
        side.fresh = False
        return n

    def _find_request(self, side: Side, data: bytes | bytearray, pos: int) -> int:
        """The same for a request line, whose method must be a known one."""
        n, at = len(data), pos + side.searched
        while (at := data.find(b" HTTP/1.", at)) >= 0:
            start = data.rfind(b"\n", max(pos, at - MAX_LINE_BYTES), at) + 1
            if start or side.fresh and at - pos <= MAX_LINE_BYTES:
                start = max(start, pos)
                match = _METHOD_START(data, start)
                if match is not None and match[1] in METHODS:
                    if REQUEST_LINE(data, start) is not None:
                        side.mode = HEAD
                        return start
                    if data.find(b"\n", at) < 0 and n - at < 16:
                        return self._hold(side, start, pos, n)
            at += 1
        start = data.rfind(b"\n", max(pos, n - MAX_LINE_BYTES)) + 1
        if start or side.fresh and n - pos <= MAX_LINE_BYTES:
            start = max(start, pos)
            match = _METHOD_START(data, start)
            if start == n or (match[1] in METHODS if match is not None else _METHOD_BEGUN(data, start)):
                return self._hold(side, start, pos, n)
        side.fresh = False
        return n

    def _hold(self, side: Side, start: int, pos: int, n: int) -> int:
        side.fresh = True
        if start == pos:
            side.searched = max(0, n - pos - 24)
        return start


_READ = (None, Framing._read_length, Framing._read_chunks, Framing._read_until_close, Framing._read_resume, Framing._read_peek, Framing._read_wait, Framing._read_opaque)  # by mode
