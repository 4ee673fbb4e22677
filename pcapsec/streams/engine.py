"""Windows of frames in, pieces of conversations out, in the order in which both sides spoke.

The engine owns the kernels' tables for one capture. A conversation usually comes as one piece when it is over; one that keeps more than
`KEPT_LIMIT` bytes comes in several. What the caller answers (`steer`) decides whether a flow's later bytes are kept.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy

from ..kernels import assembly, carriers, flow_table, flows, handshakes, hints, names, tables

SETTLE_NS = 200_000_000  # after FIN or RST: what a mirror port delivers late still belongs to the conversation
LINGER_NS = 2_000_000_000  # after FIN or RST: repeated segments are no new conversation; mail is remembered four times as long
IDLE_MAIL_NS = 7_200_000_000_000  # IMAP IDLE is renewed every 29 minutes (RFC 2177); four times that
IDLE_OTHER_NS = 300_000_000_000
KEPT_LIMIT = 262_144  # bytes kept of one flow before it is parsed in part
KEPT_IN_NEED = 4096  # the same when there is no room
ARENA_BYTES = 128 << 20  # ceiling of all kept bytes
ANY_AGE = -(1 << 63)  # clocks may jump back by centuries, so a flow may be younger than none
MAX_FLOWS = 1 << 21
MAX_SEGMENTS = 3 << 18  # of 64 bytes; beyond it the longest idle are parsed and forgotten
OUT_BYTES = 1 << 18  # of the conversations in a batch; one that holds more gets assembly.WIDE_BYTES
ROWS_IN_FLOW = 8192
MAX_READY = 4096
KEY_BYTES = 1 << 19  # of the regular TLS flows in a batch; what does not fit goes the general way
SWEEP_FRAMES = 65_536  # frames between two looks over the flow table, or
SWEEP_BYTES = 8 << 20  # bytes newly kept
GO_ON, COUNT, FORGET, SOMETHING_ELSE, HTTP = 0, 1, 2, 3, 4


@dataclass(slots=True)
class Batch:
    """Pieces of several conversations, and whole ones that went the usual way.

    entries: flow numbers; flows: their rows as lists (see kernels/tables.py); results: rows of assembly (R_ columns);
    turns: all turns as lists; data: all bytes that turns point into; marks: int64[n, 4] side, offset, frame, ts_ns; hints: rows of kernels/hints.py as lists;
    regular: rows of kernels/handshakes.py (G_ columns) of TLS conversations that are over and went the usual way, which are not among the entries; keys: what they point into.
    numbers: where the entries stand in the order of all, as G_ROW says it of the regular ones.
    """

    entries: list[int]
    flows: list[list[int]]
    results: list[list[int]]
    turns: list[list[int]]
    data: bytes
    marks: numpy.ndarray
    hints: list[list[int]]
    numbers: Sequence[int]
    regular: list[list[int]]
    keys: bytes
    _engine: "Engine"
    _lists: tuple[list[list[int]], list[list[int]]] | None = None

    def parts(self, number: int) -> tuple[list[int], list[int]]:
        """Row of the flow and result of a regular conversation (G_ROW), while the batch is the engine's last."""
        engine = self._engine
        if self._lists is None:
            results = engine._out_results[:len(self.numbers) + len(self.regular)]
            self._lists = engine.tables.flows[results[:, assembly.R_ENTRY]].tolist(), results.tolist()
        return self._lists[0][number], self._lists[1][number]

    def turns_of(self, result: list[int]) -> list[list[int]]:
        """The turns of such a conversation, while the batch is the engine's last."""
        first, result[assembly.R_TURN] = result[assembly.R_TURN], 0
        return self._engine._out_turns[first:first + result[assembly.R_TURNS]].tolist()


class Engine:
    """The flow tables of one capture and the kernels that work on them.

    Args:
        parameters: int64[N_PARAMETER] as kernels/tables.py lays them out (worker, filters); None: everything.
    """

    tells_regular = True  # False: all conversations are handed on as they are, so that tests can compare

    def __init__(self, parameters: numpy.ndarray | None = None):
        self.tables = tables.new_tables(MAX_FLOWS, MAX_SEGMENTS, ARENA_BYTES)
        if parameters is not None:
            self.tables.parameters[:] = parameters
        self._since_sweep = 0
        self._live_after_sweep = 0
        self._ready = numpy.zeros((MAX_READY, 2), dtype=numpy.int64)
        self._scratch = (numpy.zeros(ROWS_IN_FLOW, dtype=numpy.int64), numpy.zeros(ROWS_IN_FLOW, dtype=numpy.int64),
                         numpy.zeros(ROWS_IN_FLOW, dtype=numpy.int64), numpy.zeros(ROWS_IN_FLOW, dtype=numpy.uint8))
        self._out_bytes = numpy.zeros(OUT_BYTES, dtype=numpy.uint8)
        self._wide_bytes: numpy.ndarray | None = None
        self._out_turns = numpy.zeros((ROWS_IN_FLOW * 5, assembly.N_TURN), dtype=numpy.int64)
        self._out_marks = numpy.zeros((ROWS_IN_FLOW * 2, assembly.N_MARK), dtype=numpy.int64)
        self._out_hints = numpy.zeros((hints.FLOW_HINTS * 64, hints.N_HINT), dtype=numpy.int64)
        self._out_results = numpy.zeros((MAX_READY, assembly.N_RESULT), dtype=numpy.int64)
        self._work = numpy.zeros(assembly.N_WORK, dtype=numpy.int64)
        self._digest = (numpy.zeros(handshakes.MAX_EXTENSIONS, dtype=numpy.int64), numpy.zeros(handshakes.MAX_EXTENSIONS, dtype=numpy.int64),
                        numpy.zeros(handshakes.N_WORK, dtype=numpy.int64), numpy.zeros(KEY_BYTES, dtype=numpy.uint8),
                        numpy.zeros((MAX_READY, handshakes.N_REGULAR), dtype=numpy.int64), numpy.zeros(MAX_READY, dtype=numpy.uint8))
        self._fetched: list[tuple[list[int], bytes]] = []
        self._answers: list[tuple[list[int], bytes]] = []
        self._aside: tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray] | None = None  # the other datagrams and their bytes, which take turns; frames found inside

    @property
    def scalars(self) -> numpy.ndarray:
        """Counters of the tables, int64[N_SCALAR]."""
        return self.tables.scalars

    def take(self, data: numpy.ndarray, frames: numpy.ndarray, n_frames: int, frame_base: int) -> Iterator[Batch]:
        """Walk one window; yields what became ready to parse.

        Args:
            data: uint8[:] window; frames: int64[n, 5] as kernels/walk.py writes them; frame_base: number of row 0 over the whole capture.
        """
        yield from self._scan(data, frames, n_frames, frame_base)
        yield from self._fetch()
        self._since_sweep += n_frames
        if self._since_sweep >= SWEEP_FRAMES or self.scalars[tables.LIVE_BYTES] > self._live_after_sweep + SWEEP_BYTES:
            self._since_sweep = 0
            yield from self._collect(SETTLE_NS, LINGER_NS, IDLE_MAIL_NS, IDLE_OTHER_NS, KEPT_LIMIT)
            if self.scalars[tables.LIVE_BYTES] > len(self.tables.arena) // 2:
                yield from self._collect(0, LINGER_NS, IDLE_MAIL_NS, IDLE_OTHER_NS, KEPT_LIMIT // 16)
            self._live_after_sweep = int(self.scalars[tables.LIVE_BYTES])

    def _scan(self, data: numpy.ndarray, frames: numpy.ndarray, n_frames: int, frame_base: int) -> Iterator[Batch]:
        """Walk frames into the tables, and make room where they are full."""
        row, status = flows.scan(data, frames, 0, n_frames, frame_base, self.tables)
        while status != tables.DONE:
            yield from self._make_room(status)
            refused = (row, status)
            row, status = flows.scan(data, frames, row, n_frames, frame_base, self.tables)
            if (row, status) == refused and status not in (tables.INDEX_FULL, tables.DATAGRAMS_FULL):  # all was emptied for it and it still does not fit
                self.scalars[tables.C_UNKEPT] += 1
                row, status = flows.scan(data, frames, row + 1, n_frames, frame_base, self.tables)

    def finish(self) -> Iterator[Batch]:
        """The capture is over: everything that is left."""
        for _twice in range(2):  # what turns out to be something else is counted when it is looked at once more
            yield from self._collect(ANY_AGE, ANY_AGE, ANY_AGE, ANY_AGE, 0)

    def name_of(self, high: int, low: int) -> str | None:
        """The name that DNS in the capture gave to an address so far; None: none, or another address took its place in the table."""
        row = names.find_name(self.tables, high, low)
        if row < 0:
            return None
        at = row * tables.NAME_BYTES
        wire = self.tables.name_data[at:at + int(self.tables.names[row, tables.N_LENGTH])].tobytes()
        labels, pos = [], 0
        while pos < len(wire) and wire[pos]:
            labels.append(wire[pos + 1:pos + 1 + wire[pos]].decode("latin-1"))
            pos += 1 + wire[pos]
        return ".".join(labels).lower() or None

    def fetch_datagrams(self) -> list[tuple[list[int], bytes]]:
        """The datagrams of QUIC and IKE kept since the last call: rows as kernels/tables.py lays them out, and payloads."""
        fetched, self._fetched = self._fetched, []
        return fetched

    def fetch_answers(self) -> list[tuple[list[int], bytes]]:
        """The same of DNS."""
        fetched, self._answers = self._answers, []
        return fetched

    def carriers(self) -> list[list[int]]:
        """Associations of ESP and AH, and tunnels, as they stand: rows as kernels/tables.py lays them out (V_ columns)."""
        rows = self.tables.carriers
        return rows[rows[:, tables.V_PACKETS] > 0].tolist()

    def _fetch(self) -> Iterator[Batch]:
        """Take the kept datagrams out of the tables; what ESP carries without encryption is walked like any other frame."""
        scalars, t = self.scalars, self.tables
        n = int(scalars[tables.DATAGRAM_TOP])
        if not n:
            return
        rows, data, n_bytes, n_inside = t.datagrams, t.datagram_data, int(scalars[tables.DATAGRAM_BYTES]), 0
        if scalars[tables.C_CARRIED]:
            if self._aside is None:
                self._aside = numpy.zeros_like(rows), numpy.zeros_like(data), numpy.zeros((len(rows), 5), dtype=numpy.int64)
            other_rows, other_data, inside = self._aside
            n, n_inside = carriers.examine(t, rows, data, n, inside)
            if n_inside:  # they may keep datagrams in turn, for which there is room: no more and no larger ones
                self.tables = t._replace(datagrams=other_rows, datagram_data=other_data)
                self._aside = rows, data, inside
        if n:
            payloads = data[:n_bytes].tobytes()
            for row in rows[:n].tolist():
                kept = self._answers if row[tables.D_STATE] & tables.D_KIND == tables.D_ANSWER else self._fetched
                kept.append((row, payloads[row[tables.D_AT]:row[tables.D_AT] + row[tables.D_LENGTH]]))
        scalars[tables.DATAGRAM_TOP] = scalars[tables.DATAGRAM_BYTES] = scalars[tables.C_CARRIED] = 0
        if n_inside:
            now = int(scalars[tables.NOW_NS])
            yield from self._scan(data, inside, n_inside, 0)
            scalars[tables.NOW_NS] = now
            scalars[tables.C_FRAMES] -= n_inside  # they were counted as what they stood in
            yield from self._fetch()

    def prepare(self, data: numpy.ndarray, frames: numpy.ndarray) -> None:
        """Run each kernel of the engine on nothing."""
        flows.scan(data, frames, 0, 0, 1, self.tables)
        flow_table.sweep(self.tables, 0, 0, 0, 0, 0, 0, 0, 0, self._ready)
        assembly.assemble(self.tables, self._ready, 0, 0, *self._scratch, self._out_bytes, self._out_turns, self._out_marks, self._out_hints, self._out_results, self._work)
        handshakes.digest(self.tables, self._out_results, 0, self._out_turns, self._out_marks, self._out_bytes, *self._digest)
        names.find_name(self.tables, 0, 0)
        self.steer([], [])

    def steer(self, entries: list[int], orders: list[int]) -> None:
        """Carry out GO_ON, COUNT, FORGET, SOMETHING_ELSE or HTTP for each flow of a batch."""
        flow_table.steer(self.tables, numpy.array(entries, dtype=numpy.int64), numpy.array(orders, dtype=numpy.int64))

    def give_up(self, entries: list[int]) -> None:
        """The caller has no room for these conversations: forget them."""
        self.scalars[tables.C_EVICTED] += len(entries)
        self.steer(entries, [FORGET] * len(entries))

    def _collect(self, settle: int, linger: int, idle_mail: int, idle_other: int, kept_limit: int, evict: bool = False) -> Iterator[Batch]:
        now = int(self.scalars[tables.NOW_NS])
        at = 0
        while at >= 0:
            n_ready, at = flow_table.sweep(self.tables, at, now, settle, linger, idle_mail, idle_other, kept_limit, 1 if evict else 0, self._ready)
            if n_ready:
                yield from self._assemble(self._ready[:n_ready].copy())

    def _assemble(self, ready: numpy.ndarray) -> Iterator[Batch]:
        """Batches for the flows in `ready`; a flow that does not fit into one comes again until it does."""
        at, room = 0, self._out_bytes
        while at < len(ready):
            begun = at
            at = assembly.assemble(self.tables, ready, at, len(ready), *self._scratch, room, self._out_turns, self._out_marks, self._out_hints, self._out_results, self._work)
            n = at - begun
            entries = ready[begun:at, 0]
            n_turns, n_marks, n_bytes, n_hints = int(self._work[22]), int(self._work[23]), int(self._work[8]), int(self._work[hints.HINTS])
            n_regular = n_key_bytes = 0
            if self.tells_regular and not self.tables.parameters[tables.P_WHOLE_TLS]:
                n_regular, n_key_bytes = handshakes.digest(self.tables, self._out_results, n, self._out_turns, self._out_marks, room, *self._digest)
            numbers: Sequence[int] = range(n)
            results = self._out_results[:n]
            if n_regular:
                others = numpy.flatnonzero(self._digest[5][:n] == 0)
                results, entries, numbers = results[others], entries[others], others.tolist()
            results, entries = results.tolist(), entries.tolist()
            again = [[entry, result[assembly.R_OVER]] for entry, result in zip(entries, results) if result[assembly.R_MORE]]
            turns = self._turns_of(results) if n_regular else self._out_turns[:n_turns].tolist()
            yield Batch(entries, self.tables.flows[entries].tolist() if entries else [], results, turns,
                        room[:n_bytes].tobytes(), self._out_marks[:n_marks].copy(), self._out_hints[:n_hints].tolist() if n_hints else [], numbers, self._digest[4][:n_regular].tolist(), self._digest[3][:n_key_bytes].tobytes(), self)
            again = [one for one in again if (self.tables.flows[one[0], tables.STATE] & tables.CLASS_MASK) <= tables.LAST_KEPT]
            if again:
                if self._wide_bytes is None:
                    self._wide_bytes = numpy.zeros(assembly.WIDE_BYTES, dtype=numpy.uint8)
                ready, at, room = numpy.concatenate([numpy.array(again, dtype=numpy.int64), ready[at:]]), 0, self._wide_bytes

    def _turns_of(self, results: list[list[int]]) -> list[list[int]]:
        """The turns of some flows of the last call alone, and where they stand now."""
        turns: list[list[int]] = []
        for result in results:
            first, result[assembly.R_TURN] = result[assembly.R_TURN], len(turns)
            turns += self._out_turns[first:first + result[assembly.R_TURNS]].tolist()
        return turns

    def _make_room(self, status: int) -> Iterator[Batch]:
        """A table is full: enlarge the index, or parse and forget until there is room. What is lost by it is counted as evicted."""
        yield from self._fetch()  # in any case: what is judged next may ask what DNS said before
        t = self.tables
        if status == tables.DATAGRAMS_FULL:
            return
        if status == tables.INDEX_FULL:
            index = numpy.zeros(len(t.index) * 2, dtype=numpy.int32)
            self.tables = t = t._replace(index=index)
            flow_table.rehash(t, index)
            return
        yield from self._collect(0, LINGER_NS, IDLE_MAIL_NS, IDLE_OTHER_NS, KEPT_IN_NEED)
        for _step in range(6):  # each time the half that has been silent longest; half the flows need not hold half of what is kept
            if self._has_room():
                return
            limit = self._median_age(status)
            yield from self._collect(0, min(limit, LINGER_NS), limit, min(limit, IDLE_OTHER_NS) if status == tables.FLOWS_FULL else IDLE_OTHER_NS, KEPT_IN_NEED, evict=True)
        if not self._has_room():
            yield from self._collect(ANY_AGE, ANY_AGE, ANY_AGE, ANY_AGE, 0, evict=True)
            self._has_room()

    def _median_age(self, status: int) -> int:
        """An age that half of the flows have that take what is full, told from a sample."""
        top = int(self.scalars[tables.FLOW_TOP])
        some = self.tables.flows[:top:max(1, top // 65536)]
        taken = (some[:, tables.STATE] & tables.CLASS_MASK) != tables.FREE if status == tables.FLOWS_FULL else some[:, tables.KEPT] > 0
        ages = numpy.sort(int(self.scalars[tables.NOW_NS]) - some[taken, tables.LAST_NS])
        return int(ages[len(ages) // 2]) - 1 if len(ages) else ANY_AGE

    def _has_room(self) -> bool:
        t, scalars = self.tables, self.scalars
        used = int(scalars[tables.FLOW_TOP]) - self._free_flows()
        if scalars[tables.N_LIVE] == 0:  # nothing is kept: the arena starts anew in one piece
            scalars[tables.ARENA_TOP] = 0
            scalars[tables.ARENA_FREE:] = 0
        return used < len(t.flows) * 3 // 4 and scalars[tables.N_LIVE] < len(t.segments) * 3 // 4 and scalars[tables.LIVE_BYTES] < len(t.arena) * 3 // 4

    def _free_flows(self) -> int:
        top = int(self.scalars[tables.FLOW_TOP])
        return int(numpy.count_nonzero((self.tables.flows[:top, tables.STATE] & tables.CLASS_MASK) == tables.FREE))
