"""Connection-oriented DCE/RPC as it is spoken over TCP, named pipes and HTTP (C706 chapter 12, [MS-RPCE]): who calls which interface, and what protects each call.

Level in force for a request: that of its own sec_trailer; without one 2 when a context of this connection was announced at CONNECT, which protects only the bind, else 1.
What bind, alter_context and auth3 say is announced, never in force.

Resync: a gap inside a PDU whose header was seen leaves its length known, so the next PDU is found where it ends; what was lost of it is left out. Otherwise, and where a
capture starts late, the side is searched for the next plausible header: taken at once where it stands first, elsewhere once another header follows it.

A call that is one PDU each way on a known context is what nearly all traffic is: `feed` counts it without an object of its own.
"""
from __future__ import annotations

import struct
from functools import partial

from ..records import CLIENT, SERVER, Anomaly, Facts, RpcFacts
from . import dcerpc_pdu as pdu
from .dcerpc_association import Association
from .dcerpc_contexts import Use
from .dcerpc_pdu import GREETING, frag_length, late, plausible, plausible_from, probe

__all__ = ["DcerpcParser", "late", "probe"]

MAX_ANOMALIES = 100  # per connection; the last one says that more were dropped
MAX_PENDING_CALLS = 4096  # requests whose answer was not seen; a captured client alone never has one answered

_REQUEST = 0x0000001003000005  # first eight bytes: version 5.0, request, first and last fragment, little endian, ASCII, IEEE
_RESPONSE = 0x0000001003020005
_OBJECT_REQUEST = 0x0000001083000005
_call = struct.Struct("<QHHIIHH").unpack_from  # those, frag_length, auth_length, call_id, alloc_hint, p_cont_id, opnum
_note = struct.Struct("<48q").unpack
_NOTE_KIND = 8  # where kinds begin
_trailer = struct.Struct("<HBxI").unpack_from  # auth_type and auth_level, auth_pad_length, auth_context_id


def _note_anomaly(facts: Facts, code: str, side: int, at: int, detail: str = "") -> None:
    """Note a violation or a loss, up to a limit."""
    found = facts.anomalies
    if len(found) < MAX_ANOMALIES:
        found.append(Anomaly(code=code, side=side, at=at, detail=detail))
    elif len(found) == MAX_ANOMALIES:
        found.append(Anomaly(code="more-anomalies-dropped", side=side, at=at))


class DcerpcParser:
    """Both sides of a DCE/RPC connection.

    Args:
        start_seen: the bytes begin with the connection.
        server_port: unused, as every parser takes it.
        transport: tcp, http or smb, for the rows.
    """

    protocol = "dcerpc"
    __slots__ = ("facts", "handover", "rpc", "anomaly", "association", "_uses", "_pending", "_rest", "_rest_at", "_need", "_busy", "_search", "_fresh", "_hole", "_over")

    def __init__(self, *, start_seen: bool = True, server_port: int = 0, transport: str = "tcp"):
        self.facts = Facts(protocol="dcerpc")
        self.handover = None
        self.rpc = RpcFacts()
        self.facts.rpc = [self.rpc]
        self.anomaly = partial(_note_anomaly, self.facts)  # bound to the facts alone: a connection that is over shall die without the collector of cycles
        self.association = Association(self.rpc, self.anomaly, transport)
        self._uses, self._pending = self.association.uses, self.association.pending
        self._rest = [bytearray(), bytearray()]  # the unfinished PDU of each side, or what a search has to see again
        self._rest_at = [0, 0]
        self._need = [0, 0]  # bytes of it until it is looked at again
        self._search = [not start_seen, not start_seen]  # where the side's next PDU begins is not known
        self._fresh = [True, True]  # nothing was passed over since the search began
        self._busy = [not start_seen, not start_seen]  # the next bytes are not simply the next PDU
        self._hole: list[tuple[int, int] | None] = [None, None]  # lost part of the unfinished PDU
        self._over = False

    # --- for the pipeline

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        pos = 0
        if self._busy[side]:
            data, at, pos = self._joined(side, data, at)
        n = len(data)
        uses, pending = self._uses, self._pending
        while pos < n:
            if n - pos < 24:
                pos = self._next(side, data, pos, at)
                continue
            word, length, auth_length, call_id, _hint, context_id, opnum = _call(data, pos)
            end = pos + length
            if end > n or auth_length and auth_length + 48 > length:  # not whole, or too short for a usual call with a trailer
                pos = self._next(side, data, pos, at)
                continue
            if side:
                use = pending.get(call_id) if word == _RESPONSE else None
                if use is not None:
                    if auth_length:
                        kind, pad, _auth_context_id = _trailer(data, end - auth_length - 8)
                        size = length - auth_length - pad - 32
                    else:
                        kind, size = 0, length - 24
                    if kind == use.kind and size >= 0:
                        del pending[call_id]
                        use.n_answers += 1
                        use.answer_size += size
                        if use.reader is not None:
                            use.reader.response(use.opnum, data[pos + 24:pos + 24 + size], at + pos, True)
                        pos = end
                        continue
            elif word == _REQUEST or word == _OBJECT_REQUEST:
                head = 24 if word == _REQUEST else 40
                if auth_length:
                    kind, pad, auth_context_id = _trailer(data, end - auth_length - 8)
                    size = length - head - auth_length - pad - 8
                    use = uses.get((opnum, context_id, kind, auth_context_id))
                else:
                    size = length - head
                    use = uses.get((opnum, context_id, 0, 0))
                if use is not None and size >= 0:
                    use.n += 1
                    use.size += size
                    pending[call_id] = use
                    if use.reader is not None:
                        use.reader.request(opnum, data[pos + head:pos + head + size], at + pos, True)
                    pos = end
                    continue
            pos = self._next(side, data, pos, at)
        if len(pending) > MAX_PENDING_CALLS:
            pending.clear()

    def counted(self, side: int, note: bytes, length: int, at: int) -> None:
        """`length` bytes of a side that are whole calls of kinds that were fed before, or the answers to them.

        Args:
            note: with the requests, the counts of both (kernels/tables.py, NOTE_WAITING): calls without answer, then by kind; empty with the answers.
        """
        if self._busy[side]:  # behind lost bytes a header was found
            self._rest[side].clear()
            self._need[side], self._hole[side] = 0, None
            self._search[side] = self._busy[side] = False
        if not note:
            return
        words = _note(note)
        found: list[Use | None] = []
        for first in range(_NOTE_KIND, len(words), 5):
            call, kind, n, size, answer_size = words[first:first + 5]
            if not n:
                found.append(None)
                continue
            use = self.association.counted(call & 0xFFFF, call >> 16, kind & 0xFFFF, kind >> 16, at)
            found.append(use)
            if use is not None:
                use.n += n >> 32
                use.n_answers += n & 0xFFFFFFFF
                use.size += size
                use.answer_size += answer_size
        for waiting in words[1:_NOTE_KIND]:
            if waiting:
                use = found[(waiting & 0xFF) - 1]
                if use is not None:
                    self._pending[waiting >> 8] = use

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if self._search[side]:
            self._take_candidate(side)
        rest = self._rest[side]
        if not self._search[side] and len(rest) >= pdu.HEADER_BYTES:  # its header was checked before it was kept
            missing = frag_length(rest, 0) - len(rest)
            self._lose(side, min(length, missing))
            if length <= missing:
                return
        rest.clear()
        self._need[side], self._hole[side] = 0, None
        self._search[side] = self._fresh[side] = self._busy[side] = True
        self.association.lost(side)

    def finish(self) -> None:
        """No more bytes will come."""
        if self._over:
            return
        self._over = True
        for side in (CLIENT, SERVER):
            if self._search[side]:
                self._take_candidate(side)
            rest = self._rest[side]
            if side and rest == GREETING:
                self._greeted(self._rest_at[side])
            elif not self._search[side] and len(rest) >= pdu.HEADER_BYTES:
                self._lose(side, frag_length(rest, 0) - len(rest))
        facts = self.facts
        facts.logins.extend(self.association.contexts.finish())
        facts.n_commands, facts.n_replies = sum(row.requests for row in self.rpc.contexts), sum(row.responses for row in self.rpc.contexts)

    # --- where PDUs begin and end

    def _joined(self, side: int, data: bytes, at: int) -> tuple[bytes, int, int]:
        """What was kept and the new bytes as one, its offset, and where the next PDU begins in it; empty while more is needed."""
        rest = self._rest[side]
        if not rest:
            self._rest_at[side] = at
        rest += data
        if self._search[side]:
            if not self._found(side):
                return b"", at, 0
            self._search[side] = False
        elif len(rest) < self._need[side]:
            return b"", at, 0
        data, at, pos = bytes(rest), self._rest_at[side], 0
        rest.clear()
        self._busy[side] = False
        hole = self._hole[side]
        if hole is not None:
            self._hole[side] = None
            pos = frag_length(data, 0)
            self.association.take(side, data, 0, pos, at, hole)
        return data, at, pos

    def _next(self, side: int, data: bytes, pos: int, at: int) -> int:
        """One PDU that is not of the usual kind; returns where the next begins. What is not whole is kept."""
        left = len(data) - pos
        if left < pdu.HEADER_BYTES:
            return self._keep(side, data, pos, at, pdu.HEADER_BYTES)
        if not plausible(data, pos):
            if side and data.startswith(GREETING, pos):
                self._greeted(at + pos)
                return pos + len(GREETING)
            self.anomaly("bad-pdu-header", side, at + pos, "searching for the next plausible one")
            self.association.lost(side)
            pos, need = pdu.find_header(data, pos + 1, side)
            if need:
                self._search[side], self._fresh[side] = True, False
                return self._keep(side, data, pos, at, need)
            return pos
        length = frag_length(data, pos)
        if left < length:
            return self._keep(side, data, pos, at, length)
        self.association.take(side, data, pos, pos + length, at + pos, None)
        return pos + length

    def _keep(self, side: int, data: bytes, pos: int, at: int, need: int) -> int:
        self._rest[side] += data[pos:]
        self._rest_at[side] = at + pos
        self._need[side] = need
        self._busy[side] = True
        return len(data)

    def _found(self, side: int) -> bool:
        """Search what was kept for a header: bytes before it are dropped. One that nothing precedes is taken as it is, another only when a second follows."""
        rest = self._rest[side]
        n = len(rest)
        if n < self._need[side]:
            return False
        if self._fresh[side]:
            if n < pdu.HEADER_BYTES:
                return False
            if plausible_from(rest, 0, side):
                return True
            self._fresh[side] = False
        pos, need = pdu.find_header(rest, 0, side)
        del rest[:pos]
        self._rest_at[side] += pos
        self._need[side] = need
        return not need

    def _take_candidate(self, side: int) -> None:
        """Nothing more comes behind a header that waits for a second one: it has to do, unless two in a row stand behind it."""
        rest = self._rest[side]
        if not plausible_from(rest, 0, side):
            return
        start = pos = 0
        while pos < len(rest):
            pos, need = pdu.find_header(rest, pos + 1, side)
            if not need:
                start = pos
                break
        data = bytes(rest[start:])
        rest.clear()
        self._need[side] = 0
        self._search[side] = self._busy[side] = False
        self.feed(side, data, self._rest_at[side] + start)

    def _lose(self, side: int, n: int) -> None:
        """`n` bytes of the PDU in hand are missing; when it is whole by that, what there is of it is taken."""
        rest = self._rest[side]
        have, whole = len(rest), frag_length(rest, 0)
        hole = self._hole[side]
        hole = (hole[0] if hole else have, have + n)
        if have + n < whole:
            rest += bytes(n)
            self._hole[side] = hole
            return
        data = bytes(rest) + bytes(n)
        rest.clear()
        self._hole[side] = None
        self._busy[side] = False
        self.association.take(side, data, 0, whole, self._rest_at[side], hole)

    def _greeted(self, at: int) -> None:
        """`ncacn_http/1.0` ([MS-RPCH] §2.1.1.1.1)."""
        self.rpc.ncacn_http = True
        self.association.contexts.transport = "http"
        self.facts.greeting, self.facts.greeting_at = GREETING.decode(), at
