"""What was spoken inside TLS: plaintext through our own parsers, and where in the capture each byte of it was.

Offsets that parsers see begin at INNER and count plaintext. Facts learnt here are never judged as if they had passed in clear; they stand beside the session's own.
"""
from __future__ import annotations

import bisect
from array import array
from typing import Any

from ..protocols.detect import PARSERS, detect
from ..records import CLIENT, INNER, SERVER, Facts
from .decryption_http2 import PREFACE, Http2
from .decryption_spool import Spool

LOOK = 4096  # bytes of each side that detection looks at
MAX_UNDECIDED = 65_536  # bytes kept while no protocol is recognised
MAX_PLACES = 65_536  # records of a side whose places are remembered exactly; of a longer one every 16th after that
_GREETINGS = {"smtp": b"220 \r\n", "imap": b"* OK \r\n", "pop3": b"+OK \r\n", "nntp": b"200 \r\n"}  # what a session that was upgraded has behind it


class Inner:
    """The plaintext of one connection.

    Args:
        protocol: what was spoken before STARTTLS; None: the content tells.
        server_port: a hint.

    Attributes:
        facts: what was learnt; None when nothing known was spoken. `finish` first.
        n_bytes: of both sides.
        fault: which fault of ours stopped it.
        http2: the connection as HTTP/2, which needs tshark once more before it can be finished.
    """

    def __init__(self, protocol: str | None, server_port: int, heads: Spool):
        self.protocol = protocol
        self.facts: Facts | None = None
        self.n_bytes = 0
        self.fault: str | None = None
        self.http2: Http2 | None = None
        self._heads = heads
        self._server_port = server_port
        self._parser: Any = None
        self._undecided: list[tuple[int, bytes, int]] | None = []
        self._first = [b"", b""]
        self._waiting_bytes = 0
        self._end = [0, 0]  # plaintext bytes of each side so far
        self._lost = [False, False]
        self._from = (array("q"), array("q"))  # plaintext offsets where records begin
        self._outer = (array("q"), array("q"))  # and their offsets in the conversation
        if protocol is not None:
            self._begin("smtp" if protocol == "lmtp" else protocol, True)

    # --- what comes

    def feed(self, side: int, data: bytes, outer_at: int) -> None:
        """The plaintext of one record, which begins at an offset of the conversation."""
        if self.fault is not None or self._lost[side]:
            return
        at = self._end[side]
        self._note(side, at, outer_at)
        self._end[side] = at + len(data)
        self.n_bytes += len(data)
        if self._undecided is not None:
            self._wait(side, data, at)
        elif self.http2 is not None:
            self.http2.feed(side, data, at)
        else:
            self._feed(side, data, at)

    def lost(self, side: int, length: int) -> None:
        """From here on a side's bytes cannot be read any more."""
        if self._lost[side] or self.fault is not None:
            return
        self._lost[side] = True
        if self._undecided is not None:
            self._decide(True)
        if self.http2 is not None:
            self.http2.gap(side)
        elif self._parser is not None:
            self._call("gap", side, max(1, length), INNER + self._end[side])

    def finish(self) -> None:
        """No more bytes will come. `facts` holds what was learnt, unless `http2` is to be settled first."""
        if self._undecided is not None:
            self._decide(True)
        if self.http2 is None:
            self._finish()

    def settle_http2(self) -> None:
        """All heads of the HTTP/2 connection are known now."""
        http2, self.http2 = self.http2, None
        if http2 is None:
            return
        before = [(self._from[side], self._outer[side]) for side in (CLIENT, SERVER)]
        self._from, self._outer, self._end = (array("q"), array("q")), (array("q"), array("q")), [0, 0]
        self._begin("http", False)

        def noted(side: int, at: int) -> int:
            self._note(side, self._end[side], _outer_of(*before[side], at))
            return self._end[side]

        def feed(side: int, data: bytes, at: int) -> None:
            here = noted(side, at)
            self._end[side] += len(data)
            self._feed(side, data, here)

        def skipped(side: int, length: int, at: int) -> None:
            here = noted(side, at)
            self._end[side] += length
            self._call("skipped", side, length, INNER + here)

        http2.play(feed, skipped)
        self._finish()
        if self.facts is not None and self.facts.http is not None:
            self.facts.http.http2 = True
            for request in self.facts.http.requests:
                request.version = "2"

    def outer_place(self, side: int, at: int) -> int:
        """Offset in the conversation of the record that brought a plaintext byte."""
        return _outer_of(self._from[side], self._outer[side], at - INNER)

    # --- inside

    def _note(self, side: int, at: int, outer_at: int) -> None:
        known = self._from[side]
        if len(known) < MAX_PLACES or at - known[-1] > 1 << 18 and len(known) < 4 * MAX_PLACES:
            known.append(at)
            self._outer[side].append(outer_at)

    def _wait(self, side: int, data: bytes, at: int) -> None:
        self._undecided.append((side, data, at))
        self._waiting_bytes += len(data)
        if len(self._first[side]) < LOOK:
            self._first[side] += data[:LOOK]
        self._decide(False)

    def _decide(self, final: bool) -> None:
        client, server = self._first
        if client[:len(PREFACE)] == PREFACE:
            waiting, self._undecided, self.protocol = self._undecided, None, "http"
            self.http2 = Http2(self._heads)
            for side, data, at in waiting:
                self.http2.feed(side, data, at)
            return
        if not final and client and PREFACE.startswith(client):
            return
        found = detect(client, server, self._server_port, True, final=final) if client or server else "other"
        if (found is None or found == "other" and not client) and not final and self._waiting_bytes < MAX_UNDECIDED:  # a server of HTTP/2 may speak first
            return
        waiting, self._undecided = self._undecided, None
        if found not in PARSERS or found in ("tls", "tunnel"):  # TLS inside TLS has keys of its own
            return
        self._begin(found, False)
        for side, data, at in waiting:
            self._feed(side, data, at)

    def _begin(self, protocol: str, upgraded: bool) -> None:
        self._undecided = None
        if protocol not in PARSERS or protocol in ("tls", "tunnel"):
            return
        self.protocol = protocol
        self._parser = PARSERS[protocol](start_seen=True, server_port=self._server_port)
        self.facts = self._parser.facts
        greeting = _GREETINGS.get(protocol) if upgraded else None
        if greeting is not None:
            self._call("feed", SERVER, greeting, INNER)
            facts = self.facts
            facts.greeting = facts.greeting_code = facts.greeting_at = None

    def _feed(self, side: int, data: bytes, at: int) -> None:
        self._call("feed", side, data, INNER + at)

    def _call(self, name: str, side: int, what: Any, at: int) -> None:
        parser = self._parser
        if parser is None:
            return
        if name == "skipped" and not hasattr(parser, "skipped"):
            name = "gap"
        try:
            getattr(parser, name)(side, what, at)
            if parser.handover is not None:
                self._hand_over()
        except Exception as error:
            self._broken(error, side, at)

    def _hand_over(self) -> None:
        given, before = self._parser.handover, self.facts
        self._parser = None
        if given.to not in PARSERS or given.to in ("tls", "tunnel"):
            return
        self._begin(given.to, False)  # RPC over HTTP version 1: the connection goes on as DCE/RPC
        self.facts.http = before.http
        self.facts.logins[:0] = before.logins
        for side in (CLIENT, SERVER):
            if given.rest[side]:
                self._call("feed", side, given.rest[side], given.at[side])

    def _finish(self) -> None:
        for _step in range(3):
            parser = self._parser
            if parser is None:
                return
            try:
                parser.finish()
                if parser.handover is not None:
                    self._hand_over()
            except Exception as error:
                self._broken(error, CLIENT, INNER)
            if self._parser is parser:
                return

    def _broken(self, error: Exception, side: int, at: int) -> None:
        """A parser raised: say where, never with what message, which may hold what was decrypted."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename.rsplit('pcapsec', 1)[-1]}:{place.tb_lineno}" if place is not None else "?"
        self.fault = f"{type(error).__name__} in {type(self._parser).__name__} at pcapsec{where}, decrypted bytes of the {'server' if side else 'client'}, offset {at - INNER}"
        self._parser = None


def _outer_of(known: array, outer: array, at: int) -> int:
    index = bisect.bisect_right(known, at) - 1
    return outer[index] if index >= 0 else outer[0] if outer else 0
