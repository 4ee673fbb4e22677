"""Presentation contexts of one DCE/RPC connection and what they are used for: rows are begun here, calls counted, and summed up at the end."""
from __future__ import annotations

from typing import Callable

from ..records import CLIENT, SERVER, Login, RpcContext, RpcFacts
from . import dcerpc_pdu as pdu
from .dcerpc_pdu import LEVEL_PRIVACY
from .dcerpc_security import Securities, Security, type_name
from .dcerpc_shapes import CallShapes
from .endpoint_mapper import EndpointReader
from .mapi import MapiReader
from .rpc_interfaces import CALLS, EPM, EXCHANGE, INTERFACES

MAX_CONTEXTS = 1000  # rows of one connection; DCOM clients have some dozens
MAX_USES = 4096  # distinct (opnum, context, trailer) that are counted at once; then they are added up and begun anew
MAX_OPNUMS = 1000  # distinct ones of a context; no interface has as many
UNKNOWN = -1  # in place of a trailer that was lost, and of an opnum that only a request tells


class Context:
    """A row while bytes pass."""

    __slots__ = ("row", "reader", "announced", "trailers", "securities", "in_force")

    def __init__(self, row: RpcContext):
        self.row = row
        self.reader: EndpointReader | MapiReader | CallShapes | None = None
        self.announced: list[int] = []  # levels of the trailers that it was defined and answered with
        self.trailers: set[int] = set()  # levels of its calls' own trailers
        self.securities: list[Security] = []  # announced with it
        self.in_force: list[Security] = []  # on its calls


class Use:
    """Calls of one opnum on one context under one trailer."""

    __slots__ = ("context", "security", "opnum", "level", "kind", "at", "n", "size", "n_answers", "answer_size", "reader")

    def __init__(self, context: Context, security: Security | None, opnum: int, level: int | None, kind: int, at: int):
        self.context = context
        self.security = security
        self.opnum = opnum
        self.level = level  # in force; None: not known
        self.kind = kind  # auth_type and auth_level of the trailer as one number, 0 without one
        self.at = at  # of the first
        self.n = self.size = self.n_answers = self.answer_size = 0
        self.reader = None  # takes the stubs


class Contexts:
    """One connection's contexts.

    Args:
        rpc: what is filled.
        anomaly: takes code, side, stream offset, detail.
        transport: tcp, http or smb, for the rows.

    Attributes:
        by_id: by context id, as defined last.
        uses: by (opnum, context id, kind of trailer, auth_context_id).
        pending: requests that wait for an answer, by call id.
    """

    def __init__(self, rpc: RpcFacts, anomaly: Callable[[str, int, int, str], None], transport: str):
        self.rpc = rpc
        self.anomaly = anomaly
        self.transport = transport
        self.securities = Securities(rpc, anomaly)
        self.by_id: dict[int, Context] = {}
        self.uses: dict[tuple[int, int, int, int], Use] = {}
        self.pending: dict[int, Use] = {}
        self._all_uses: list[Use] = []
        self._rows: list[Context] = []
        self._full = False

    def level(self, level: int, side: int, at: int) -> int | None:
        """An auth_level as sent; None, and an anomaly, when there is no such level."""
        if 1 <= level <= LEVEL_PRIVACY:
            return level
        self.anomaly("unknown-auth-level", side, at, f"level {level}")
        return None

    def was_answered(self, security: Security) -> bool:
        """Whether a call under a security context was answered."""
        if not security.answered and any(one.n_answers and one.security is security for one in self._all_uses):
            security.answered = True
        return security.answered

    def define(self, element: pdu.ContextElement, at: int) -> Context | None:
        """The context that an element of a bind or alter_context defines: the same again, one that was used before its definition was seen, or a new row."""
        known = self.by_id.get(element.context_id)
        if known is not None:
            row = known.row
            if row.interface_uuid == element.interface_uuid and row.interface_version == element.interface_version:
                return known
            if row.interface_source != "bind" and row.interface_uuid in (None, element.interface_uuid):
                row.interface_uuid, row.interface, row.interface_version = element.interface_uuid, element.interface, element.interface_version
                row.interface_source, row.transfer_syntax = "bind", row.transfer_syntax or element.transfer_syntax or None
                known.reader = None
                return known
        row = RpcContext(
            at=at, context_id=element.context_id, interface_uuid=element.interface_uuid, interface=element.interface, interface_version=element.interface_version,
            interface_source="bind", transfer_syntax=element.transfer_syntax or None, transport=self.transport)
        return self.add(row, CLIENT)

    def add(self, row: RpcContext, side: int) -> Context | None:
        """A new row, None when there are too many."""
        if len(self._rows) >= MAX_CONTEXTS:
            if not self._full:
                self._full = True
                self.anomaly("too-many-contexts", side, row.at, f"over {MAX_CONTEXTS} on one connection")
            return None
        context = Context(row)
        self._rows.append(context)
        self.rpc.contexts.append(row)
        self.by_id[row.context_id] = context
        return context

    def of_answer(self, results: list[tuple[int, int, str]], at: int) -> list[Context | None]:
        """Only the answer was captured: what was accepted becomes a row, numbered as clients do, from 0 on."""
        contexts: list[Context | None] = []
        for number, (result, _reason, _syntax) in enumerate(results):
            context = self.by_id.get(number)
            if context is None and result == pdu.ACCEPTANCE:
                context = self.add(RpcContext(at=at, side=SERVER, context_id=number, transport=self.transport), SERVER)
            contexts.append(context if result == pdu.ACCEPTANCE else None)
        return contexts

    def use(self, side: int, key: tuple[int, int, int, int], trailer: pdu.Trailer | None, token: bytes, at: int) -> Use | None:
        """The counter of a kind of call that was not seen before."""
        opnum, context_id, kind, _auth_context_id = key
        context = self.by_id.get(context_id)
        if context is None:
            context = self.add(RpcContext(at=at, side=side, context_id=context_id, transport=self.transport), side)
            if context is None:
                return None
        security, level = None, None
        if trailer is not None:
            level = self.level(trailer.auth_level, side, at)
            security = self.securities.used(side, trailer.auth_type, trailer.auth_context_id, at)
            if security is not None and token:
                security.message_token(token)
        elif kind == 0:
            level, security = self.securities.without_trailer()
        use = Use(context, security, opnum, level, kind, at)
        if level is not None and level < LEVEL_PRIVACY and opnum != UNKNOWN:
            use.reader = self._reader(context)
        if len(self._all_uses) >= MAX_USES:
            self.add_up()
        self._all_uses.append(use)
        self.uses[key] = use
        return use

    def _reader(self, context: Context) -> EndpointReader | MapiReader | CallShapes | None:
        """Who understands the context's stubs; they tell NDR and NDR64 apart by themselves."""
        row = context.row
        if context.reader is None:
            if row.interface_uuid is None:
                context.reader = CallShapes(lambda found: self._told(context, found))
            elif row.interface_uuid == EPM:
                context.reader = EndpointReader(self.rpc)
            elif row.interface_uuid in EXCHANGE:
                context.reader = MapiReader(INTERFACES[row.interface_uuid])
        return context.reader

    def _told(self, context: Context, interface_uuid: str) -> EndpointReader | MapiReader:
        """The shape of calls told the interface."""
        row = context.row
        row.interface_uuid, row.interface, row.interface_source = interface_uuid, INTERFACES[interface_uuid], "calls"
        context.reader = None
        reader = self._reader(context)
        for use in self._all_uses:
            if use.context is context and use.reader is not None:
                use.reader = reader
        return reader

    # --- sums

    def add_up(self) -> None:
        """Counters to rows; those whose answer is still to come stay."""
        types = self.rpc.pdu_types
        for use in self._all_uses:
            self._count(use)
            for packet_type, n in ((pdu.REQUEST, use.n), (pdu.RESPONSE, use.n_answers)):
                if n:
                    types[packet_type] = types.get(packet_type, 0) + n
            use.n = use.size = use.n_answers = use.answer_size = 0
        waiting = {id(use): use for use in self.pending.values()}
        if len(waiting) > MAX_USES // 2:  # nobody answers: what may still come is counted with its context alone
            self.pending.clear()
            waiting.clear()
        self._all_uses = list(waiting.values())
        self.uses.clear()

    def _count(self, use: Use) -> None:
        context, level = use.context, use.level
        row, security = context.row, use.security
        row.requests += use.n
        row.responses += use.n_answers
        size = use.size + use.answer_size
        row.stub_bytes += size
        if level is not None and level < LEVEL_PRIVACY:
            row.clear_stub_bytes += size
        if use.n_answers and security is not None:
            security.answered = True
        if security is not None and security not in context.in_force:
            context.in_force.append(security)
        if use.n:
            opnums = row.opnums
            if use.opnum in opnums or len(opnums) < MAX_OPNUMS:
                opnums[use.opnum] = opnums.get(use.opnum, 0) + use.n
            if row.first_request_at is None or use.at < row.first_request_at:
                row.first_request_at = use.at
            if level is not None:
                row.levels[level] = row.levels.get(level, 0) + use.n
                if row.auth_level is None or level < row.auth_level or level == row.auth_level and use.at < row.weakest_request_at:
                    row.auth_level, row.weakest_request_at = level, use.at
                    row.auth_type = type_name(security) if security is not None else None
        if level is not None and use.kind > 0:
            context.trailers.add(level)

    def finish(self) -> list[Login]:
        """Sum up; returns the logins."""
        self.add_up()
        logins = self.securities.settle()
        for context in self._rows:
            row = context.row
            row.transport = self.transport
            row.securities = [security.record for security in context.in_force or context.securities]
            levels = dict.fromkeys(context.announced)
            for record in row.securities:
                levels.update(dict.fromkeys(record.levels_announced))
            for level in sorted(context.trailers):
                if level != row.auth_level:
                    levels[level] = None
            row.levels_announced = tuple(levels)
            names = CALLS.get(row.interface_uuid or "")
            if names and row.opnums:
                row.call_names = tuple(names[opnum] for opnum in sorted(row.opnums) if opnum in names)
            reader = context.reader
            if isinstance(reader, MapiReader):
                row.mapi, row.obfuscation = reader.facts, reader.obfuscation
        self._leftover_levels()
        self.rpc.n_pdus = sum(self.rpc.pdu_types.values())
        return logins

    def _leftover_levels(self) -> None:
        """Levels that only an auth3 or an alter_context without contexts announced stand with the contexts that were there."""
        rows = self.rpc.contexts
        told = {level for row in rows for level in row.levels_announced}
        for record in self.rpc.securities:
            for level in record.levels_announced:
                if level not in told and 1 <= level <= LEVEL_PRIVACY:
                    told.add(level)
                    for row in rows:
                        row.levels_announced = (*row.levels_announced, level)
