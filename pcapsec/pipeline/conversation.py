"""One conversation between its first piece and its end: detection, parsers, hand-overs, and where in the capture each byte was."""
from __future__ import annotations

from typing import Any

import numpy

from ..kernels import assembly, tables
from ..kernels.assembly import (COUNTED, DATA, R_DELIVERED_A, R_DELIVERED_B, R_DUPLICATES, R_FIRST_A, R_FIRST_B, R_MARK, R_MARKS, R_MAX_IP, R_HINT, R_HINTS, R_MORE, R_OVER, R_SENT_A, R_SENT_B, R_TURN,
                                R_TURNS, R_UNSEEN_A, R_UNSEEN_B, locate)
from ..protocols.detect import PARSERS, detect, is_client_hello
from ..records import CLIENT, SERVER, Anomaly, Facts, TlsHandshake
from ..streams.engine import COUNT, FORGET, GO_ON, HTTP, SOMETHING_ELSE
from .packets import collect, looked_at

MAX_MARKS = 16384  # places of segments remembered exactly; a longer conversation keeps them all for its first part and every 16th after it
MAX_UNDECIDED = 65536  # bytes of a side that are kept while no protocol was recognised
NOTE_BYTES = tables.NOTE_WORDS * 8  # of calls that the kernels counted
LOOK = 4096  # bytes of each side that detection looks at
MAX_TURNS_TO_TLS = 24  # of a foreign protocol, before it goes over to TLS


class Conversation:
    """What is known of one flow while its pieces come in.

    Args:
        row: the flow's row as kernels/tables.py lays it out, at its first piece.
        result: assembly's row of its first piece.
        parsers: protocol -> parser; others than usual where TLS is to be decrypted.
    """

    __slots__ = ("row", "parsers", "first_sequence", "flip", "role_source", "parser", "facts", "handshake", "protocol", "around", "tls_from", "marks", "n_marks", "base",
                 "turned_tls", "waiting", "waited", "unseen", "gap_bytes", "n_gaps", "totals", "n_rows", "fault", "example", "hints")

    def __init__(self, row: list[int], result: list[int], parsers: dict[str, Any] = PARSERS):
        self.row = row
        self.parsers = parsers
        self.first_sequence = (result[R_FIRST_A], result[R_FIRST_B])
        self.flip = -1  # 0: A is the client, 1: B is; -1 not known yet
        self.role_source = ""
        self.parser = None
        self.facts: Facts | None = None
        self.handshake: TlsHandshake | None = None
        self.protocol: str | None = None
        self.around: Facts | None = None  # what was learnt of the tunnel or HTTP connection that carries this
        self.tls_from: tuple[int, int] | None = None
        self.turned_tls = False
        self.marks: list[tuple[numpy.ndarray, int, int]] = []
        self.n_marks = 0
        self.base = [0, 0]
        self.waiting: list[tuple[int, int, bytes | int, int]] | None = []
        self.waited = 0
        self.unseen: list[str | None] = [None, None]
        self.gap_bytes = [0, 0]
        self.n_gaps = 0
        self.totals: list[int] | None = None  # assembly's counts of all pieces so far, in the columns of its results
        self.n_rows = 0  # that it holds, as `grown` found them
        self.fault: str | None = None
        self.hints: list[tuple] | None = None  # rows of kernels/hints.py, those of conflicts with what their bytes are
        self.example: tuple[bytes, bytes] | None = None  # regular TLS that others may be like: its key, its certificates (pipeline/regular.py)

    # --- pieces

    def adopt(self, handshake: TlsHandshake, result: list[int], marks: numpy.ndarray) -> None:
        """The whole conversation at once, without its bytes: they are TLS, and what they say is known."""
        self.totals = result
        self._remember(marks, result[R_MARK], result[R_MARKS])
        self.settle_marks()
        self._roles_by_handshake(self.row)
        self.waiting, self.protocol, self.handshake, self.tls_from = None, "tls", handshake, (0, 0)

    def take(self, row: list[int], result: list[int], turns: list[list[int]], data: bytes, marks: numpy.ndarray, hints: list[list[int]]) -> int:
        """One piece: counts, then each turn to the parser. Returns what the engine shall do with later bytes."""
        self.row = row
        if self.totals is None:
            self.totals = result
        else:
            self._add(result)
        over = bool(result[R_OVER] and not result[R_MORE])
        if result[R_MARKS]:
            self._remember(marks, result[R_MARK], result[R_MARKS])
        if result[R_HINTS]:
            self.hints = collect(self.hints or [], hints[result[R_HINT]:result[R_HINT] + result[R_HINTS]], data, self.base)
        first = result[R_TURN]
        chosen = turns[first:first + result[R_TURNS]]
        if self.flip < 0:
            self._roles_by_handshake(row)
        if self.waiting is not None:
            chosen = self._recognise(chosen, data, over)
        if self.parser is not None:
            self._feed_turns(chosen, data)
        self.base[0] += result[R_DELIVERED_A]
        self.base[1] += result[R_DELIVERED_B]
        if over:
            self._finish()
            return FORGET
        if self.protocol == "other":
            return SOMETHING_ELSE
        if self.handshake is not None and self.handshake.complete or self.fault:
            return COUNT
        if self.protocol == "http" and row[tables.STATE] & tables.CLASS_MASK <= tables.MAIL and self.facts.channels is None:
            return HTTP
        return GO_ON

    def _add(self, result: list[int]) -> None:
        totals = self.totals
        for column in range(R_DUPLICATES, R_MAX_IP):
            totals[column] += result[column]
        for column in (R_MAX_IP, R_UNSEEN_A, R_UNSEEN_B):
            totals[column] = max(totals[column], result[column])
        for column in (R_SENT_A, R_SENT_B):
            totals[column] = max(totals[column], result[column], key=looked_at)

    def give_up(self, row: list[int]) -> None:
        """There is no room to wait for its end."""
        row[tables.STATE] |= tables.EVICTED
        self.row = row
        if self.waiting is not None:
            self._recognise([], b"", True)
        self._finish()

    def grown(self) -> int:
        """How many rows it has come to hold since it was asked last."""
        facts, before = self.facts, self.n_rows
        if facts is not None:
            self.n_rows = len(facts.logins) + len(facts.messages) + len(facts.anomalies)
            if facts.http is not None:
                self.n_rows += len(facts.http.requests)
            if facts.rpc:
                self.n_rows += sum(len(rpc.contexts) for rpc in facts.rpc)
        return self.n_rows - before

    def _feed_turns(self, turns: list[list[int]], data: bytes) -> None:
        """Turns to the parser. A parser never raises on traffic: if one does, that is our fault, told once, and the run goes on."""
        flip, base, parser = self.flip, self.base, self.parser
        role = at = 0
        try:
            for kind, side, place, length, offset in turns:
                role, at = side ^ flip, base[side] + offset
                if kind == DATA:
                    parser.feed(role, data[place:place + length], at)
                    if parser.handover is not None:
                        self._hand_over()
                    elif self.handshake is None or not self.handshake.complete:
                        continue
                    parser = self.parser
                    if parser is None or self.handshake is not None and self.handshake.complete:
                        return
                else:
                    if kind == COUNTED:
                        self._counted(role, data[place:place + NOTE_BYTES] if place >= 0 else b"", length, at)
                    else:
                        self._missing(kind, role, place, length, at)
                    parser = self.parser
                    if parser is None:
                        return
        except Exception as error:
            self._broken(error, role, at)

    def _feed(self, role: int, piece: bytes, at: int) -> None:
        parser = self.parser
        if parser is None:
            return
        try:
            parser.feed(role, piece, at)
            if parser.handover is not None:
                self._hand_over()
        except Exception as error:
            self._broken(error, role, at)

    def _missing(self, kind: int, role: int, place: int, length: int, at: int) -> None:
        if kind == assembly.CONFLICT:
            self._anomaly(Anomaly(code="overlap-conflict", side=role, at=at, detail=f"{length} bytes from there on differ from the copy seen first"))
            return
        if self.handshake is not None and self.handshake.complete:
            return
        if kind == assembly.SKIPPED:
            self._skipped(role, length, at)
            return
        if kind != assembly.SILENT:
            self.n_gaps += 1
            self.gap_bytes[role] += length
            if self.tls_from is None and self.unseen[role] is None:
                self.unseen[role] = "snaplen" if kind == assembly.GAP_SNAPLEN else "gap"
        parser = self.parser
        if parser is None:
            return
        try:
            parser.gap(role, length, at)
            if parser.handover is not None:
                self._hand_over()
        except Exception as error:
            self._broken(error, role, at)

    def _counted(self, role: int, note: bytes, length: int, at: int) -> None:
        """DCE/RPC calls that the kernels counted instead of keeping them."""
        parser = self.parser
        if isinstance(parser, PARSERS["dcerpc"]):
            try:
                parser.counted(role, note, length, at)
            except Exception as error:
                self._broken(error, role, at)
        elif parser is not None:
            self._skipped(role, length, at)

    def _skipped(self, role: int, length: int, at: int) -> None:
        """Bytes that the kernels saw and dropped: no loss, and only some parsers can tell the difference."""
        parser = self.parser
        if parser is None:
            return
        try:
            if hasattr(parser, "skipped"):
                parser.skipped(role, length, at)
            else:
                parser.gap(role, length, at)
            if parser.handover is not None:
                self._hand_over()
        except Exception as error:
            self._broken(error, role, at)

    def _broken(self, error: Exception, role: int, at: int) -> None:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename.rsplit('pcapsec', 1)[-1]}:{place.tb_lineno}" if place is not None else "?"
        self.fault = f"{type(error).__name__} in {type(self.parser).__name__} at pcapsec{where}, {'server' if role else 'client'} offset {at}"
        self.parser = None
        if self.tls_from is None:
            self.unseen = [self.unseen[0] or "unparsed", self.unseen[1] or "unparsed"]

    def _anomaly(self, anomaly: Anomaly) -> None:
        if self.facts is None:
            self.facts = Facts()
        if len(self.facts.anomalies) < 200:
            self.facts.anomalies.append(anomaly)

    # --- who is who, and what is spoken

    def _roles_by_handshake(self, row: list[int]) -> None:
        state = row[tables.STATE]
        if state & tables.SYN_A:
            self.flip, self.role_source = 0, "syn"
        elif state & tables.SYN_B:
            self.flip, self.role_source = 1, "syn"
        elif state & tables.SYNACK_B:
            self.flip, self.role_source = 0, "synack"
        elif state & tables.SYNACK_A:
            self.flip, self.role_source = 1, "synack"

    def _roles_by_port(self) -> bool:
        """The server is where a mail protocol is at home, else a service that carries mail."""
        port_a, port_b = self.ports()
        for home in (HOME_PORTS, SERVICE_PORTS):
            home_a, home_b = port_a in home, port_b in home
            if home_a != home_b:
                self.flip, self.role_source = (1 if home_a else 0), "port"
                return True
        return False

    def ports(self) -> tuple[int, int]:
        ports = self.row[tables.KEY_PORTS]
        return (ports >> 48) & 0xFFFF, (ports >> 32) & 0xFFFF

    def server_port(self) -> int:
        return self.ports()[1 - self.flip] if self.flip >= 0 else 0

    def _recognise(self, turns: list[list[int]], data: bytes, over: bool) -> list[list[int]]:
        """Look at each side's first bytes. Returns the turns that are still to be fed: none when they are kept for later, or were fed from there."""
        waiting = self.waiting
        if not waiting and len(turns) > 1 and turns[0][0] == DATA and turns[1][0] == DATA and turns[0][1] != turns[1][1]:
            _kind, side, place, length, _offset = turns[0]  # a greeting and its answer: nearly always enough
            other = turns[1][2]
            first = [data[place:place + min(length, LOOK)], data[other:other + min(turns[1][3], LOOK)]]
            found = self._detect(first[::-1] if side else first, over and len(turns) == 2)
            if found in _MAIL:
                self.waiting, self.protocol = None, found
                self._begin(found, self._start_seen())
                return turns
        first = [b"", b""]
        for kind, side, piece, _at in waiting:
            if kind == DATA and len(first[side]) < LOOK:
                first[side] += piece[:LOOK]
        found, looked = None, 0
        for enough in (2, 8):  # two turns usually say it; eight show more of a protocol than detection asks for
            for kind, side, place, length, _offset in turns[looked:enough]:
                if kind == DATA and len(first[side]) < LOOK:
                    first[side] += data[place:place + min(length, LOOK)]
            looked = enough
            if enough == 2 and (len(turns) > 2 or not over) and not (first[0] and first[1]):
                continue
            found = self._detect(first, over and (enough == 8 or len(turns) <= enough))
            if found in _MAIL:
                break
        if found is None and not over and self.waited < MAX_UNDECIDED:
            base = self.base
            for kind, side, place, length, offset in turns:
                if kind == DATA:
                    waiting.append((kind, side, data[place:place + length], base[side] + offset))
                    self.waited += length
                elif kind == COUNTED:
                    waiting.append((kind, side, (data[place:place + NOTE_BYTES] if place >= 0 else b"", length), base[side] + offset))
                else:
                    waiting.append((kind, side, (place, length), base[side] + offset))
            return []
        if self.flip < 0:
            ports = self.ports()
            self.flip, self.role_source = (0 if ports[0] >= ports[1] else 1), "port"
        self.waiting = None
        self.protocol = found if found in PARSERS else "other"
        if self.protocol == "other":
            return self._turned_tls(waiting, turns, data)
        self._begin(self.protocol, self._start_seen())
        for kind, side, piece, at in waiting:
            if kind == DATA:
                self._feed(side ^ self.flip, piece, at)
            elif kind == COUNTED:
                self._counted(side ^ self.flip, piece[0], piece[1], at)
            else:
                self._missing(kind, side ^ self.flip, piece[0], piece[1], at)
        return turns

    def _turned_tls(self, waiting: list, turns: list[list[int]], data: bytes) -> list[list[int]]:
        """A protocol that is none of ours may go over to TLS, as FTP does: then it is TLS from its ClientHello on, and the turns from there are to be fed."""
        base = self.base
        if waiting:  # it came in pieces
            return []
        for number, (kind, side, place, length, offset) in enumerate(turns[:MAX_TURNS_TO_TLS]):
            if kind == DATA and side == self.flip and is_client_hello(data[place:place + min(length, LOOK)]):
                self.protocol, self.tls_from = "tls", (base[side] + offset, 0)
                self.turned_tls = True
                self._begin("tls", True)
                return turns[number:]
        return []

    def _start_seen(self) -> bool:
        return bool(self.row[tables.STATE] & (tables.ISN_A | tables.ISN_B))

    def _detect(self, first: list[bytes], over: bool) -> str | None:
        start_seen = self._start_seen()
        if self.flip >= 0 or self._roles_by_port():
            return detect(first[self.flip], first[1 - self.flip], self.server_port(), start_seen, final=over)
        ports = self.ports()
        found = None
        for flip in ((0, 1) if ports[0] >= ports[1] else (1, 0)):
            found = detect(first[flip], first[1 - flip], ports[1 - flip], start_seen, final=over)
            if found not in (None, "other"):
                self.flip, self.role_source = flip, "content"
                break
        return found

    def _begin(self, protocol: str, start_seen: bool) -> None:
        early = self.facts.anomalies if self.facts is not None else None
        self.parser = self.parsers[protocol](start_seen=start_seen, server_port=self.server_port())
        if protocol == "tls":
            self.handshake = self.parser.handshake
            if self.tls_from is None:
                self.tls_from = (0, 0)
            if self.facts is None and self.around is not None:
                self.facts = _with_around(Facts(), self.around)
            return
        facts = self.parser.facts
        if early:
            facts.anomalies[:0] = early
        if self.around is not None:
            _with_around(facts, self.around)
        self.facts = facts

    def _hand_over(self) -> None:
        """The parser is done with its part: the next one gets the bytes that were held back."""
        given = self.parser.handover
        if given.to == "tls":
            self.tls_from = given.at
            self._begin("tls", True)
            self._feed_rest(given)
            return
        self.around = self.facts
        if given.to in PARSERS:  # RPC over HTTP version 1: the connection goes on as another protocol
            self.protocol = given.to
            self._begin(given.to, True)
            self._feed_rest(given)
            return
        self.facts, self.parser, self.protocol = None, None, None
        _Pending(self, given)

    def _feed_rest(self, given) -> None:
        for role in (CLIENT, SERVER):
            if given.rest[role] and self.parser is not None:
                self._feed(role, given.rest[role], given.at[role])

    def _finish(self) -> None:
        if self.parser is None:
            return
        for _step in range(4):  # finishing may hand over, at most tunnel → mail → TLS
            parser = self.parser
            try:
                parser.finish()
                if parser.handover is not None and parser is self.parser:
                    self._hand_over()
            except Exception as error:
                self._broken(error, CLIENT, -1)
            if self.parser is parser or self.parser is None:
                break
        if self.handshake is not None:
            for anomaly in self.parser.anomalies if self.parser is not None else ():
                self._anomaly(anomaly)

    # --- places

    def _remember(self, marks: numpy.ndarray, first: int, n: int) -> None:
        if not self.base[0] and not self.base[1]:
            self.n_marks = n
            self.marks.append((marks, first, first + n))
            return
        piece = marks[first:first + n:1 if self.n_marks < MAX_MARKS else 16].copy()
        piece[:, 1] += numpy.where(piece[:, 0] == 0, self.base[0], self.base[1])
        self.n_marks += len(piece)
        if self.n_marks < MAX_MARKS * 8:
            self.marks.append((piece, 0, len(piece)))

    def settle_marks(self) -> None:
        """The batch's arrays go away: keep a copy of what is this conversation's."""
        if len(self.marks) == 1:
            marks, first, last = self.marks[0]
            if first or last != len(marks):
                self.marks[0] = (marks[first:last].copy(), 0, last - first)

    def place(self, role: int, at: int) -> tuple[int, int]:
        """(global frame, ts_ns) of the segment that brought a stream offset of a side; the nearest one before it when that was not kept."""
        side = role ^ self.flip
        for marks, first, last in reversed(self.marks):
            row = locate(marks, first, last, side, at)
            if row >= 0:
                return marks.item(row, 2), marks.item(row, 3)
        return self.row[tables.FRAMES] >> 28, self.row[tables.FIRST_NS]


def _with_around(facts: Facts, around: Facts) -> Facts:
    """Facts of what a tunnel or an HTTP connection carries, with those of the carrier."""
    facts.tunnel, facts.tunnel_target = around.tunnel, around.tunnel_target
    facts.identity.update(around.identity)
    facts.http = around.http
    facts.logins[:0] = around.logins
    return facts


class _Pending:
    """Stands where a parser would, inside a tunnel, until the protocol within is recognised."""

    handover = None

    def __init__(self, owner: Conversation, given):
        self.owner = owner
        owner.parser = self
        self.turns: list[tuple[int, bytes | None, int, int]] = []
        self.first = [b"", b""]
        self.size = 0
        for role in (SERVER, CLIENT):
            if given.rest[role]:
                self.feed(role, given.rest[role], given.at[role])

    def feed(self, role: int, piece: bytes, at: int) -> None:
        self.turns.append((role, piece, at, 0))
        self.size += len(piece)
        if len(self.first[role]) < LOOK:
            self.first[role] += piece[:LOOK]
        self._decide(False)

    def gap(self, role: int, length: int, at: int) -> None:
        self.turns.append((role, None, at, length))

    def finish(self) -> None:
        self._decide(True)

    def _decide(self, over: bool) -> None:
        owner = self.owner
        found = detect(self.first[CLIENT], self.first[SERVER], 0, True, final=over)
        if found is None and not over and self.size < MAX_UNDECIDED:
            return
        owner.waiting = None
        if found not in PARSERS or found == "tunnel":
            owner.protocol, owner.parser = "other", None
            if owner.around is not None and owner.around.logins:  # nobody knows what was carried, but who asked for it logged in
                owner.protocol, owner.facts = "http", owner.around
            return
        owner.protocol = found
        owner._begin(found, True)
        for role, piece, at, length in self.turns:
            if owner.parser is None:
                break
            if piece is None:
                owner.parser.gap(role, length, at)
            else:
                owner._feed(role, piece, at)
        if over:
            owner._finish()


_MAIL = frozenset(PARSERS) - {"tunnel"}
HOME_PORTS = frozenset((25, 26, 587, 2525, 24, 143, 110, 119, 4190, 2000, 1025, 8025, 465, 993, 995, 563))
SERVICE_PORTS = frozenset((80, 443, 135, 139, 389, 445, 593, 636, 3268, 3269, 6001, 6002, 6004, 8080, 8443))
