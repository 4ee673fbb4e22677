"""One of two captures, read for a comparison: its mail conversations with their bytes, and how every TCP connection in it was opened.

Memory stays bounded: of each side of a conversation the first `KEPT_BYTES` are kept as they are, of the rest a digest for each stretch of some 4 KiB. Kept
bytes beyond `MEMORY_BYTES` go to a temporary file without a name, encrypted under a key that never leaves memory.
"""
from __future__ import annotations

import os
import re
import struct
import tempfile
from array import array
from hashlib import blake2b
from typing import Any, Callable

import numpy

from ..capture.inputs import plan
from ..capture.source import open_source
from ..errors import CaptureError
from ..kernels import assembly, openings, tables
from ..kernels.layers import N_PACKET
from ..records import Capture, Facts, Session, TlsHandshake
from ..streams.engine import FORGET, SOMETHING_ELSE, Engine
from ..tables.rows import server_name
from .alignment import cuts
from .conversation import HOME_PORTS, Conversation
from .places import Files
from .session import build_session

KEPT_BYTES = 262_144  # of each side of a conversation: greetings, capabilities, commands and a message of usual size
MEMORY_BYTES = 64 << 20  # of kept bytes before they go to a file
SPOOL_BYTES = 8 << 30  # of that file; what comes later is not compared, and counted
MAX_FLOWS = 100_000  # conversations remembered of a capture, 3 KB each
MAX_OPEN = 20_000  # conversations under way
MAX_PIECES = 50_000  # turns and losses of a conversation, 32 bytes each
MAX_DIGESTS = 65_536  # of a side: 256 MiB of a message
MAX_OPENINGS = 1_000_000  # SYNs and SYN/ACKs remembered of a capture, 120 bytes each
MAX_TOKENS = 48  # lines of a conversation by which it is found again
MAX_MARKS = 4096  # places of segments remembered of a conversation
LOST, NOT_KEPT = -1, -2  # places of a piece without bytes

_DIGEST_MASK = 4095
_TLS_RECORDS = frozenset((20, 21, 22, 23))
_TELLING = re.compile(rb"\d{9,}|(?<![0-9A-Za-z])(?=[0-9A-Za-z]*\d[0-9A-Za-z]*\d[0-9A-Za-z]*\d)(?=[0-9A-Za-z]*[A-Za-z])[0-9A-Za-z]{10,}")
"""A number or an identifier that hardly ever comes twice: of a message, of a queue, a challenge."""
_STATIC = re.compile(rb"\d{3}[- ]SIZE |220[- ]|\d{3}-", re.IGNORECASE)


class Spool:
    """Bytes put aside, in memory or in a file that only this process can read."""

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)
        self._key = os.urandom(32)
        self.size = 0

    def put(self, data: bytes) -> int | None:
        """The place of the bytes; None: no room is left."""
        if self.size + len(data) > SPOOL_BYTES:
            return None
        place = self.size
        self._file.seek(place)
        self._file.write(self._crypt(data, place))
        self.size += len(data)
        return place

    def get(self, place: int, length: int) -> bytes:
        self._file.seek(place)
        return self._crypt(self._file.read(length), place)

    def _crypt(self, data: bytes, place: int) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

        return Cipher(ChaCha20(self._key, struct.pack("<QQ", 0, place)), None).encryptor().update(data)

    def close(self) -> None:
        self._file.close()


class Tail:
    """What of a side lies behind its kept bytes, as digests of stretches whose ends hang on the bytes."""

    __slots__ = ("rows", "_buffer", "_at", "_synced", "_key")

    def __init__(self, key: bytes):
        self.rows = array("q")  # stream offset, length, digest; digest 0: not known
        self._buffer, self._at, self._synced, self._key = bytearray(), 0, False, key

    def feed(self, data: bytes, at: int) -> None:
        if not self._buffer:
            self._at = at
        self._buffer += data
        if len(self._buffer) >= 65_536:
            self._digest()

    def _digest(self) -> None:
        begin = 0
        for end in cuts(self._buffer, _DIGEST_MASK).tolist():
            if end - begin < 64 and self._synced:
                continue
            self._row(begin, end, self._synced)
            begin, self._synced = end, True
        if len(self._buffer) - begin > 65_536:  # nothing to cut at: bytes that repeat
            self._row(begin, len(self._buffer), self._synced)
            begin = len(self._buffer)
        del self._buffer[:begin]
        self._at += begin

    def _row(self, begin: int, end: int, known: bool) -> None:
        if len(self.rows) >= 3 * MAX_DIGESTS:
            self.rows[-1] = 0
            self.rows[-2] = self._at + end - self.rows[-3]
            return
        digest = int.from_bytes(blake2b(self._buffer[begin:end], digest_size=8, key=self._key).digest(), "little", signed=True) or 1
        self.rows.extend((self._at + begin, end - begin, digest if known else 0))

    def lost(self, at: int, length: int) -> None:
        self.finish(False)
        self.rows.extend((at, length, 0))

    def finish(self, whole: bool) -> None:
        """The end, or a hole: what is left is a stretch of its own only when the stream really ends there."""
        self._digest()
        if self._buffer:
            self._row(0, len(self._buffer), whole and self._synced)
            self._buffer, self._synced = bytearray(), False


class TapFlow:
    """A conversation at one tap."""

    __slots__ = ("session_id", "capture", "start_ns", "end_ns", "frame", "last_frame", "client_ip", "client_port", "server_ip", "server_port", "role_source", "protocol", "service",
                 "name", "greeting", "capabilities", "tunnel", "completeness", "encapsulation", "isn", "first", "start_seen", "ended", "counted", "silent", "flip", "client_random", "sni",
                 "tls_version", "tls_from", "tls_mode", "bytes", "pieces", "records", "tails", "marks", "static", "telling", "tap", "files", "partner")

    def __init__(self, **fields: Any):
        for name, value in fields.items():
            setattr(self, name, value)
        self.partner = None

    @property
    def ends(self) -> tuple[str, int, str, int]:
        return self.client_ip, self.client_port, self.server_ip, self.server_port

    def data(self) -> bytes:
        """The kept bytes that pieces point into."""
        return b"".join(self.tap.spool.get(place, length) for place, length in self.records)

    def segments(self) -> numpy.ndarray:
        """int64[n, 4]: side of the flow, stream offset, global frame, ts_ns of the segments that brought new bytes."""
        place, n = self.marks
        return numpy.frombuffer(self.tap.spool.get(place, n * 32), dtype=numpy.int64).reshape(n, 4) if n else numpy.zeros((0, 4), dtype=numpy.int64)

    def session(self) -> Session:
        """Who, when and what was spoken, for rows about it."""
        facts = Facts(protocol=self.protocol, greeting=self.greeting)
        return Session(
            session_id=self.session_id, capture=self.capture, start_ns=self.start_ns, end_ns=self.end_ns, frame=self.frame, last_frame=self.last_frame, client_ip=self.client_ip,
            client_port=self.client_port, server_ip=self.server_ip, server_port=self.server_port, role_source=self.role_source, facts=facts, protocol=self.protocol,
            service=self.service, tls=TlsHandshake(sni=self.sni) if self.sni else None, tls_mode=self.tls_mode, completeness=self.completeness,
            bytes_client=self.bytes[0], bytes_server=self.bytes[1])


class _Recorder:
    """The bytes of a conversation under way."""

    __slots__ = ("conversation", "pieces", "records", "size", "base", "kept", "tails", "static", "telling", "full")

    def __init__(self, conversation: Conversation):
        self.conversation = conversation
        self.pieces = array("q")  # side, stream offset, length, place among the kept bytes or LOST or NOT_KEPT; in the order in which the sides spoke
        self.records: list[tuple[int, int]] = []
        self.size = 0
        self.base, self.kept = [0, 0], [0, 0]
        self.tails: list[Tail | None] = [None, None]
        self.static: set[int] = set()
        self.telling: set[int] = set()
        self.full = False

    def take(self, result: list[int], turns: list[list[int]], data: bytes, spool: Spool, key: bytes) -> None:
        first, base, parts, size = result[assembly.R_TURN], self.base, [], 0
        for kind, side, place, length, offset in turns[first:first + result[assembly.R_TURNS]]:
            at = base[side] + offset
            if kind == assembly.CONFLICT or length <= 0:
                continue
            if len(self.pieces) >= 4 * MAX_PIECES:
                self.kept = [KEPT_BYTES, KEPT_BYTES]
            tail = self.tails[side]
            if kind != assembly.DATA:
                if tail is not None:
                    tail.lost(at, length)
                elif len(self.pieces) < 8 * MAX_PIECES:
                    self.pieces.extend((side, at, length, LOST if kind in (assembly.GAP, assembly.GAP_SNAPLEN, assembly.SILENT) else NOT_KEPT))
                continue
            n = 0 if tail is not None else min(KEPT_BYTES - self.kept[side], length)
            if n:
                part = data[place:place + n]
                parts.append(part)
                self.pieces.extend((side, at, n, self.size + size))
                size += n
                self.kept[side] += n
                if len(self.static) + len(self.telling) < MAX_TOKENS:
                    self._note(part)
            if length > n:
                if tail is None:
                    tail = self.tails[side] = Tail(key)
                tail.feed(data[place + n:place + length], at + n)
        base[0] += result[assembly.R_DELIVERED_A]
        base[1] += result[assembly.R_DELIVERED_B]
        if parts:
            place = spool.put(b"".join(parts))
            if place is None:
                self.full = True
            else:
                self.records.append((place, size))
                self.size += size

    def _note(self, part: bytes) -> None:
        """Lines by which the conversation may be found in the other capture."""
        if part[0] in _TLS_RECORDS and part[1:2] == b"\3":  # its random number tells more
            return
        if b"\n" not in part[:4096]:
            if len(part) >= 64:
                self.telling.add(hash(part[:512]))
            return
        for line in part[:16_384].split(b"\n", 24)[:24]:
            if len(line) >= 12:
                (self.telling if _TELLING.search(line, 0, 400) is not None and _STATIC.match(line) is None else self.static).add(hash(line))


class Tap:
    """A capture, or several files of one, read from beginning to end.

    Attributes:
        flows: conversations that may be compared, in order of their ends.
        openings: int64[n, N_OPENING], rows of kernels/openings.py; frames are global, see `locate`.
        captures: as read; errors: inputs that could not be read; faults: ours.
        n_more_flows, n_unkept, n_more_openings: what no longer fitted.
    """

    def __init__(self, name: str, parameters: numpy.ndarray, key: bytes):
        self.name, self.key = name, key
        self.parameters = parameters.copy()
        self.parameters[tables.P_WHOLE_RPC] = 1
        self.flows: list[TapFlow] = []
        self.captures: list[Capture] = []
        self.errors: list[CaptureError] = []
        self.faults: list[str] = []
        self.spool = Spool()
        self.n_more_flows = self.n_unkept = self.n_more_openings = 0
        self._chunks: list[numpy.ndarray] = []
        self._n_openings = 0
        self._packet = numpy.zeros(N_PACKET, dtype=numpy.int64)
        self._rows = numpy.zeros((4096, openings.N_OPENING), dtype=numpy.int64)

    @property
    def openings(self) -> numpy.ndarray:
        return numpy.concatenate(self._chunks) if self._chunks else numpy.zeros((0, openings.N_OPENING), dtype=numpy.int64)

    @property
    def span(self) -> tuple[int, int] | None:
        """Times of the first and the last frame that were looked at, ns."""
        firsts = [one.first_ns for one in self.captures if one.first_ns is not None]
        lasts = [one.last_ns for one in self.captures if one.last_ns is not None]
        if not firsts or not lasts:
            return None
        return max(min(firsts), int(self.parameters[tables.P_SINCE])), min(max(lasts), int(self.parameters[tables.P_UNTIL]))

    def read(self, inputs: list[Any], progress: Callable[[int, int, int], None] | None, done: int, total: int) -> None:
        for group in inputs:
            self._group(group, progress, done, total)
            done += sum(max(0, item.size or 0) for item in group)

    def _group(self, group: list[Any], progress: Callable[[int, int, int], None] | None, done: int, total: int) -> None:
        engine = Engine(self.parameters)
        engine.tells_regular = False
        self.files = Files()
        self._open: dict[int, _Recorder] = {}
        source = open_source(group, errors=self.errors)
        seen = 0
        for window in source:
            self.files.begin(window.capture, seen)
            base = self.files.bases[-1] + window.first_frame
            self._note_openings(window, base)
            for batch in engine.take(window.data, window.frames, window.n_frames, base):
                self._batch(engine, batch)
            engine.fetch_datagrams()
            seen = base + window.n_frames - 1
            if progress is not None:
                progress(done + window.bytes_done, total, 0)
        for batch in engine.finish():
            self._batch(engine, batch)
        self.captures += source.captures
        if source.captures:
            source.captures[-1].evicted_flows += int(engine.scalars[tables.C_EVICTED])

    def _note_openings(self, window: Any, base: int) -> None:
        row = 0
        while True:
            row, n = openings.openings(window.data, window.frames, row, window.n_frames, base, self.parameters, self._packet, self._rows, 0)
            if n and self._n_openings < MAX_OPENINGS:
                self._chunks.append(self._rows[:n].copy())
                self._n_openings += n
            elif n:
                self.n_more_openings += n
            if row >= window.n_frames:
                return

    def _batch(self, engine: Engine, batch: Any) -> None:
        orders = []
        for entry, row, result in zip(batch.entries, batch.flows, batch.results):
            recorder = self._open.pop(entry, None)
            if recorder is None:
                recorder = _Recorder(Conversation(row, result))
            recorder.take(result, batch.turns, batch.data, self.spool, self.key)
            conversation = recorder.conversation
            order = conversation.take(row, result, batch.turns, batch.data, batch.marks, batch.hints)
            if conversation.protocol == "other":
                order = SOMETHING_ELSE if order != FORGET else FORGET
                self._over(recorder)
            elif order == FORGET:
                self._over(recorder)
            else:
                conversation.settle_marks()
                self._open[entry] = recorder
            orders.append(order)
        engine.steer(batch.entries, orders)
        if len(self._open) > MAX_OPEN:
            silent = list(self._open)[:len(self._open) - MAX_OPEN * 3 // 4]
            for entry, row in zip(silent, engine.tables.flows[silent].tolist()):
                recorder = self._open.pop(entry)
                recorder.conversation.give_up(row)
                self._over(recorder)
            engine.give_up(silent)

    def _over(self, recorder: _Recorder) -> None:
        conversation = recorder.conversation
        if conversation.fault is not None:
            self.faults.append(conversation.fault)
        if conversation.flip < 0 or conversation.protocol in (None, "other") and conversation.server_port() not in HOME_PORTS:
            return
        if len(self.flows) >= MAX_FLOWS:
            self.n_more_flows += 1
            return
        if recorder.full:
            self.n_unkept += 1
            return
        self.flows.append(self._flow(recorder, conversation))

    def _flow(self, recorder: _Recorder, conversation: Conversation) -> TapFlow:
        state, flip = conversation.row[tables.STATE], conversation.flip
        session = build_session(conversation, self.files.locate)
        isn_known = (state & tables.ISN_A, state & tables.ISN_B)
        fin = (state & tables.FIN_A, state & tables.FIN_B)
        reset = bool(state & (tables.RST_A | tables.RST_B))
        for side, tail in enumerate(recorder.tails):
            if tail is not None:
                tail.finish(bool(fin[side]) and not reset)
        ordered = (lambda pair: (pair[0], pair[1])) if flip == 0 else (lambda pair: (pair[1], pair[0]))
        handshake, facts = conversation.handshake, session.facts
        marks = numpy.concatenate([marks[first:last] for marks, first, last in conversation.marks])[:MAX_MARKS] if conversation.marks else numpy.zeros((0, 4), dtype=numpy.int64)
        place = self.spool.put(numpy.ascontiguousarray(marks).tobytes())
        pieces = recorder.pieces
        if flip:
            for at in range(0, len(pieces), 4):
                pieces[at] ^= 1
        tls_from = conversation.tls_from
        if tls_from is not None and session.tls_mode == "starttls" and not all(tls_from):
            blob = b"".join(self.spool.get(*one) for one in recorder.records)
            tls_from = tuple(at or _tls_begin(pieces, blob, side) for side, at in enumerate(tls_from))
        return TapFlow(
            tap=self, files=self.files, session_id=session.session_id, capture=session.capture, start_ns=session.start_ns, end_ns=session.end_ns, frame=session.frame, last_frame=session.last_frame,
            client_ip=session.client_ip, client_port=session.client_port, server_ip=session.server_ip, server_port=session.server_port, role_source=session.role_source,
            protocol=session.protocol, service=session.service, name=server_name(session), greeting=facts.greeting, capabilities=facts.capabilities or (), tunnel=facts.tunnel,
            completeness=session.completeness, encapsulation=session.encapsulation,
            isn=ordered([first if known else None for first, known in zip(conversation.first_sequence, isn_known)]), first=ordered(conversation.first_sequence), start_seen=session.start_seen,
            ended=ordered([bool(one) and not reset and not state & tables.EVICTED for one in fin]), counted=ordered((bool(state & tables.COUNT_A), bool(state & tables.COUNT_B))),
            silent=(session.unseen_client == "one_sided", session.unseen_server == "one_sided"), flip=flip,
            client_random=handshake.client_random if handshake is not None else None, sni=handshake.sni if handshake is not None else None,
            tls_version=handshake.version if handshake is not None else None, tls_from=tls_from, tls_mode=session.tls_mode,
            bytes=(session.bytes_client, session.bytes_server), pieces=pieces, records=recorder.records, tails=ordered(recorder.tails),
            marks=(place or 0, len(marks) if place is not None else 0), static=frozenset(recorder.static), telling=frozenset(recorder.telling))

    def close(self) -> None:
        self.spool.close()


def _tls_begin(pieces: array, blob: bytes, side: int) -> int:
    """The stream offset of a side's first TLS record behind clear text; the end of what was kept when there is none."""
    end = 0
    for index in range(0, len(pieces), 4):
        at, length, place = pieces[index + 1:index + 4]
        if pieces[index] == side and place >= 0:
            data = blob[place:place + length]
            if data[:2] in (b"\x16\x03", b"\x15\x03"):
                return at
            found = [place for place in (data.find(b"\n\x16\x03"), data.find(b"\n\x15\x03")) if place >= 0]
            if found:
                return at + min(found) + 1
            end = at + length
    return end


def inputs_of(paths: Any) -> tuple[list[list[Any]], int]:
    """The captures that a name means, and their size on disk.

    Raises: CaptureError.
    """
    groups = plan(paths if isinstance(paths, (list, tuple)) else [paths])
    return groups, sum(max(0, item.size or 0) for group in groups for item in group)
