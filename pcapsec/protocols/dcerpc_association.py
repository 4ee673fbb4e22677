"""What the PDUs of one DCE/RPC connection mean: contexts and what they are used for, security, calls and their answers (C706 §12.6.4, [MS-RPCE] §3.3)."""
from __future__ import annotations

import struct
from typing import Callable

from ..records import CLIENT, SERVER, RpcContext, RpcFacts
from . import dcerpc_pdu as pdu
from .dcerpc_contexts import UNKNOWN, Context, Contexts, Use
from .dcerpc_pdu import FIRST_FRAGMENT, LAST_FRAGMENT, LEVEL_PRIVACY, OBJECT_UUID
from .dcerpc_security import Security

MAX_FAULTS = 64  # distinct status values of a context
MAX_NAKS = 20
MAX_BINDS = 64  # bind and alter_context PDUs that wait for an answer
MAX_CALL_BYTES = 65536  # of a fragmented call's stub that are joined for a reader; EcDoRpcExt2 carries 32 KiB, larger answers begin with what matters
MAX_JOINED_CALLS = 16  # at once; 1 MiB

_ctx_and_opnum = (struct.Struct(">HH").unpack_from, struct.Struct("<HH").unpack_from)
_Hole = tuple[int, int] | None


class Association:
    """One connection's contexts and calls.

    Args:
        rpc: what is filled.
        anomaly: takes code, side, stream offset, detail.
        transport: tcp, http or smb, for the rows.

    Attributes:
        uses: by (opnum, context id, kind of trailer, auth_context_id); the caller may count calls there by itself.
        pending: requests that wait for an answer, by call id.
    """

    def __init__(self, rpc: RpcFacts, anomaly: Callable[[str, int, int, str], None], transport: str):
        self.rpc = rpc
        self.anomaly = anomaly
        self.contexts = Contexts(rpc, anomaly, transport)
        self.securities = self.contexts.securities
        self.uses, self.pending = self.contexts.uses, self.contexts.pending
        self._binds: dict[int, tuple[list[Context | None], Security | None, bool]] = {}  # by call id: contexts asked for, security, header signing
        self._joined: dict[tuple[int, int], tuple[Use, bytearray, int]] = {}  # fragmented calls, by side and call id

    def take(self, side: int, data: bytes, pos: int, end: int, at: int, hole: _Hole) -> None:
        """One PDU with a plausible header; `at` is its stream offset, `hole` the part of `data` that was lost and is zero."""
        packet_type, flags, little = data[pos + 2], data[pos + 3], data[pos + 4] >> 4
        if not little:
            self.rpc.big_endian = True
        types = self.rpc.pdu_types
        if packet_type not in (pdu.REQUEST, pdu.RESPONSE):
            types[packet_type] = types.get(packet_type, 0) + 1
        elif not flags & FIRST_FRAGMENT or side != (packet_type == pdu.RESPONSE):
            types[packet_type] = types.get(packet_type, 0) + 1  # others are counted with their calls
        if packet_type not in pdu.SENT_BY[side]:
            self.anomaly("unexpected-pdu-type", side, at, f"type {packet_type}")
            return
        handle = _HANDLERS[side].get(packet_type)
        if handle is not None:
            handle(self, data, pos, end, at, flags, little, hole)

    def counted(self, opnum: int, context_id: int, kind: int, auth_context_id: int, at: int) -> Use | None:
        """The counter of a kind of call that is told in numbers."""
        key = (opnum, context_id, kind, auth_context_id)
        trailer = pdu.Trailer(kind & 0xFF, kind >> 8, 0, auth_context_id, 0) if kind else None
        return self.uses.get(key) or self.contexts.use(CLIENT, key, trailer, b"", at)

    def lost(self, side: int) -> None:
        """Bytes of a side are missing beyond a PDU: calls in fragments are not whole any more."""
        for key in [key for key in self._joined if key[0] == side]:
            del self._joined[key]

    # --- contexts

    def _bind(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """bind and alter_context: max_xmit_frag(2) max_recv_frag(2) assoc_group_id(4) p_context_list, sec_trailer."""
        _length, auth_length, call_id = pdu.HEAD[little].unpack_from(data, pos)
        trailer = self._trailer(CLIENT, data, pos, end, at, auth_length, little, hole)
        body_end = trailer.token_at - pdu.TRAILER_BYTES if trailer is not None else end
        if hole is not None:
            body_end = min(body_end, hole[0])
        elements, whole = pdu.read_contexts(data, pos + 24, body_end, little)
        if not whole and hole is None:
            self.anomaly("bad-context-list", CLIENT, at, f"{len(elements)} contexts read")
        rpc = self.rpc
        if data[pos + 2] == pdu.BIND:
            if rpc.bind_at is None:
                rpc.bind_at = at
            if rpc.association_group is None:
                rpc.association_group = pdu.association_group(data, pos, body_end, little) or None
        security, level = None, None
        if trailer is not None:
            token = data[trailer.token_at:end] if hole is None or hole[0] >= end or hole[1] <= trailer.token_at else b""
            level = self.contexts.level(trailer.auth_level, CLIENT, at)
            security = self.securities.announced(trailer.auth_type, trailer.auth_level, trailer.auth_context_id, token, at)
        asked: list[Context | None] = []
        for element in elements:
            if element.negotiates_features:
                asked.append(None)
                continue
            context = self.contexts.define(element, at)
            if context is not None:
                if level is not None and level not in context.announced:
                    context.announced.append(level)
                if security is not None and security not in context.securities:
                    context.securities.append(security)
            asked.append(context)
        if len(self._binds) >= MAX_BINDS:
            self._binds.pop(next(iter(self._binds)))
        self._binds[call_id] = (asked, security, bool(flags & pdu.HEADER_SIGNING))
        self.uses.clear()

    def _bind_ack(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """bind_ack and alter_context_resp: as a bind up to assoc_group_id, sec_addr, p_result_list, sec_trailer."""
        _length, auth_length, call_id = pdu.HEAD[little].unpack_from(data, pos)
        trailer = self._trailer(SERVER, data, pos, end, at, auth_length, little, hole)
        body_end = trailer.token_at - pdu.TRAILER_BYTES if trailer is not None else end
        if hole is not None:
            body_end = min(body_end, hole[0])
        results = pdu.read_results(data, pos, body_end, little)
        if results is None:
            results = []
            if hole is None:
                self.anomaly("bad-result-list", SERVER, at)
        rpc = self.rpc
        if data[pos + 2] == pdu.BIND_ACK:
            rpc.association_group = pdu.association_group(data, pos, body_end, little) or rpc.association_group
        asked, security, signs = self._asked(call_id, len(results))
        if asked is None:
            asked = self.contexts.of_answer(results, at)
        elif data[pos + 2] == pdu.BIND_ACK and rpc.header_signing is None:
            rpc.header_signing = signs and bool(flags & pdu.HEADER_SIGNING)
        for context, (result, reason, syntax) in zip(asked, results):
            if context is None:
                continue
            row = context.row
            if result == pdu.ACCEPTANCE:
                row.accepted, row.reject_reason, row.transfer_syntax = True, None, syntax
            elif row.accepted is None and result in (pdu.USER_REJECTION, pdu.PROVIDER_REJECTION):
                row.accepted, row.reject_reason = False, reason
        if trailer is not None:
            token = data[trailer.token_at:end] if hole is None or hole[0] >= end or hole[1] <= trailer.token_at else b""
            level = self.contexts.level(trailer.auth_level, SERVER, at)
            self.securities.answered(SERVER, trailer.auth_type, trailer.auth_level, trailer.auth_context_id, token, at)
            for context in asked:
                if context is not None and level is not None and level not in context.announced:
                    context.announced.append(level)
        elif security is not None and security.exchange is None:
            security.went_on = True
        self.uses.clear()

    def _asked(self, call_id: int, n_results: int) -> tuple[list[Context | None] | None, Security | None, bool]:
        found = self._binds.pop(call_id, None)
        if found is None and self._binds:
            last = next(reversed(self._binds))
            if len(self._binds[last][0]) == n_results:
                found = self._binds.pop(last)
        return found if found is not None else (None, None, False)

    def _bind_nak(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """bind_nak: provider_reject_reason(2), versions supported; also what a server says when a token does not hold."""
        call_id = pdu.HEAD[little].unpack_from(data, pos)[2]
        reason = pdu.short(data, pos + 16, end if hole is None else hole[0], little)
        if reason is not None and len(self.rpc.naks) < MAX_NAKS:
            self.rpc.naks.append((reason, at))
        asked, security, _signs = self._binds.pop(call_id, (None, None, False))
        for context in asked or ():
            if context is not None and context.row.accepted is None:
                context.row.accepted = False
        if security is None:
            security = self.securities.last()
        if security is not None and not self.contexts.was_answered(security):
            security.refused = True
            security.failed = ("refused", f"bind_nak {reason}" if reason is not None else "bind_nak")
        self.uses.clear()

    def _auth3(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """rpc_auth_3: pad(4), sec_trailer with the last token of the client ([MS-RPCE] §2.2.2.5)."""
        trailer = self._trailer(CLIENT, data, pos, end, at, pdu.HEAD[little].unpack_from(data, pos)[1], little, hole)
        if trailer is None:
            return
        token = data[trailer.token_at:end] if hole is None or hole[0] >= end or hole[1] <= trailer.token_at else b""
        self.contexts.level(trailer.auth_level, CLIENT, at)
        security = self.securities.announced(trailer.auth_type, trailer.auth_level, trailer.auth_context_id, token, at)
        if security is not None:
            security.by_auth3 = True
        self.uses.clear()

    # --- calls

    def _request(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """request: alloc_hint(4) p_cont_id(2) opnum(2) [object(16)] stub, auth padding, sec_trailer."""
        if hole is not None and hole[0] < pos + pdu.CALL_BYTES:
            return
        _length, auth_length, call_id = pdu.HEAD[little].unpack_from(data, pos)
        context_id, opnum = _ctx_and_opnum[little](data, pos + 20)
        start = pos + pdu.CALL_BYTES + (16 if flags & OBJECT_UUID else 0)
        trailer = self._trailer(CLIENT, data, pos, end, at, auth_length, little, hole)
        stub_end = self._stub_end(CLIENT, trailer, start, end, auth_length, at)
        kind, auth_context_id = (trailer.auth_type | trailer.auth_level << 8, trailer.auth_context_id) if trailer is not None else (UNKNOWN if auth_length else 0, 0)
        key = (opnum, context_id, kind, auth_context_id)
        use = self.uses.get(key)
        if use is None:
            use = self.contexts.use(CLIENT, key, trailer, data[trailer.token_at:end] if trailer is not None else b"", at)
            if use is None:
                return
        use.size += stub_end - start
        if flags & FIRST_FRAGMENT:
            use.n += 1
            self.pending[call_id] = use
        if use.reader is not None and hole is None:
            self._stub(CLIENT, use, call_id, flags, data[start:stub_end], at, little)

    def _response(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """response: alloc_hint(4) p_cont_id(2) cancel_count(1) reserved(1) stub, auth padding, sec_trailer."""
        if hole is not None and hole[0] < pos + pdu.CALL_BYTES:
            return
        _length, auth_length, call_id = pdu.HEAD[little].unpack_from(data, pos)
        start = pos + pdu.CALL_BYTES
        trailer = self._trailer(SERVER, data, pos, end, at, auth_length, little, hole)
        stub_end = self._stub_end(SERVER, trailer, start, end, auth_length, at)
        kind, auth_context_id = (trailer.auth_type | trailer.auth_level << 8, trailer.auth_context_id) if trailer is not None else (UNKNOWN if auth_length else 0, 0)
        asked = self.pending.pop(call_id, None) if flags & LAST_FRAGMENT else self.pending.get(call_id)
        use = asked
        if asked is None or kind not in (asked.kind, UNKNOWN):
            context_id = asked.context.row.context_id if asked is not None else _ctx_and_opnum[little](data, pos + 20)[0]
            key = (UNKNOWN, context_id, kind, auth_context_id)
            use = self.uses.get(key) or self.contexts.use(SERVER, key, trailer, b"", at)
            if use is None:
                return
        use.answer_size += stub_end - start
        if flags & FIRST_FRAGMENT:
            use.n_answers += 1
        if asked is not None and asked.reader is not None and hole is None and (use.level or LEVEL_PRIVACY) < LEVEL_PRIVACY:
            self._stub(SERVER, asked, call_id, flags, data[start:stub_end], at, little)

    def _fault(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """fault: alloc_hint(4) p_cont_id(2) cancel_count(1) reserved(1) status(4) reserved(4) stub."""
        limit = end if hole is None else hole[0]
        status = pdu.long(data, pos + pdu.CALL_BYTES, limit, little)
        if status is None:
            return
        _length, auth_length, call_id = pdu.HEAD[little].unpack_from(data, pos)
        trailer = self._trailer(SERVER, data, pos, end, at, auth_length, little, hole)
        use = self.pending.pop(call_id, None)
        bound = self._binds.pop(call_id, None) if use is None else None
        self._joined.pop((SERVER, call_id), None)
        if use is not None:
            context, security = use.context, use.security
        elif bound is not None:  # the answer to an alter_context
            context, security = next((one for one in bound[0] if one is not None), None), bound[1]
            for asked in bound[0]:
                if asked is not None and asked.row.accepted is None:
                    asked.row.accepted = False
            self.uses.clear()
        else:
            context_id = _ctx_and_opnum[little](data, pos + 20)[0]
            context = self.contexts.by_id.get(context_id) or self.contexts.add(RpcContext(at=at, side=SERVER, context_id=context_id, transport=self.contexts.transport), SERVER)
            security = None
        if trailer is not None:
            level = self.contexts.level(trailer.auth_level, SERVER, at)
            if level is not None and context is not None:
                context.trailers.add(level)
            security = security or self.securities.used(SERVER, trailer.auth_type, trailer.auth_context_id, at)
        if context is not None:
            faults = context.row.faults
            if status in faults or len(faults) < MAX_FAULTS:
                faults[status] = faults.get(status, 0) + 1
            if context.row.first_fault_at is None:
                context.row.first_fault_at = at
        reason = pdu.AUTHENTICATION_FAULTS.get(status)
        if reason is None and (bound is not None or status == pdu.PROTOCOL_ERROR and security is not None and security.by_auth3):
            reason = "refused"
        if reason is not None and security is not None and security.failed is None and not self.contexts.was_answered(security):
            security.failed = (reason, f"fault 0x{status:08x}")

    def _orphaned(self, data: bytes, pos: int, end: int, at: int, flags: int, little: int, hole: _Hole) -> None:
        """orphaned: the client wants no answer to this call any more."""
        self.pending.pop(pdu.HEAD[little].unpack_from(data, pos)[2], None)

    def _trailer(self, side: int, data: bytes, pos: int, end: int, at: int, auth_length: int, little: int, hole: _Hole) -> pdu.Trailer | None:
        """The sec_trailer, None without one or where it was lost; its auth_value may be lost all the same."""
        if not auth_length:
            return None
        trailer = pdu.read_trailer(data, pos, end, auth_length, little)
        if trailer is None or hole is not None and hole[0] < trailer.token_at and hole[1] > trailer.token_at - pdu.TRAILER_BYTES:
            return None
        return trailer

    def _stub_end(self, side: int, trailer: pdu.Trailer | None, start: int, end: int, auth_length: int, at: int) -> int:
        """Where the stub ends: before padding and trailer."""
        if trailer is None:
            return max(start, end - auth_length - pdu.TRAILER_BYTES) if auth_length else end
        stub_end = trailer.token_at - pdu.TRAILER_BYTES - trailer.pad_length
        if stub_end < start:
            self.anomaly("auth-padding-too-long", side, at, f"{trailer.pad_length} bytes")
            return start
        return stub_end

    def _stub(self, side: int, use: Use, call_id: int, flags: int, stub: bytes, at: int, little: int) -> None:
        """A stub in clear, whole or in fragments, for the reader of its context."""
        key = (side, call_id)
        if flags & FIRST_FRAGMENT and not flags & LAST_FRAGMENT:
            if len(self._joined) >= MAX_JOINED_CALLS and key not in self._joined:
                self.anomaly("too-many-fragmented-calls", side, at, f"over {MAX_JOINED_CALLS} at once")
                return
            self._joined[key] = (use, bytearray(stub), at)
            return
        if not flags & FIRST_FRAGMENT:
            begun = self._joined.get(key)
            if begun is None:
                return
            _use, joined, begun_at = begun
            if len(joined) < MAX_CALL_BYTES <= len(joined) + len(stub):
                self.anomaly("fragmented-call-too-long", side, at, f"no more than its first {MAX_CALL_BYTES} bytes are read")
            at = begun_at
            joined += stub[:MAX_CALL_BYTES - len(joined)]
            if not flags & LAST_FRAGMENT:
                return
            del self._joined[key]
            stub = bytes(joined)
        if side == CLIENT:
            use.reader.request(use.opnum, stub, at, bool(little))
        else:
            use.reader.response(use.opnum, stub, at, bool(little))


_HANDLERS = (  # by side that sends
    {pdu.REQUEST: Association._request, pdu.BIND: Association._bind, pdu.ALTER_CONTEXT: Association._bind, pdu.AUTH3: Association._auth3, pdu.ORPHANED: Association._orphaned},
    {pdu.RESPONSE: Association._response, pdu.FAULT: Association._fault, pdu.BIND_ACK: Association._bind_ack, pdu.ALTER_CONTEXT_RESP: Association._bind_ack,
     pdu.BIND_NAK: Association._bind_nak})
