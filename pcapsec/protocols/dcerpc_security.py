"""Security contexts of one DCE/RPC connection: what was negotiated under each auth_context_id, how it ended, and what protects a call without a trailer."""
from __future__ import annotations

from typing import Callable

from ..records import CLIENT, Login, RpcFacts, RpcSecurity
from . import kerberos
from .dcerpc_pdu import AUTH_TYPES, LEVEL_CONNECT, LEVEL_NONE, TOKEN_TYPES
from .negotiation import Exchange

MAX_SECURITIES = 100  # of one connection; a server application that acts for many users has a few dozen
MAX_LEVELS = 8  # distinct levels announced under one context; there are six

SPNEGO, NTLM = 9, 10
_SETTLED = {10: "NTLM", 14: "SCHANNEL", 16: "KERBEROS", 68: "NETLOGON"}  # types that leave no choice


class Security:
    """One security context while bytes pass."""

    __slots__ = ("record", "exchange", "level", "began", "answered", "went_on", "failed", "refused", "by_auth3", "by_tokens")

    def __init__(self, record: RpcSecurity, exchange: Exchange | None):
        self.record = record
        self.exchange = exchange
        self.level = 0  # announced last
        self.began = False  # a client token passed
        self.answered = False  # a response under it passed
        self.went_on = False  # the server continued after the client had said all
        self.failed: tuple[str | None, str] | None = None  # reason and reply code
        self.refused = False  # by bind_nak: it never came to be
        self.by_auth3 = False  # the client's last token has no answer of its own
        self.by_tokens: str | None = None  # mechanism that per-message tokens show

    @property
    def mechanism(self) -> str | None:
        """What is really used, as far as it is known."""
        settled = _SETTLED.get(self.record.auth_type)
        if settled is None and self.exchange is not None:
            settled = self.exchange.mechanism or self.by_tokens
        return settled

    def message_token(self, token: bytes) -> None:
        """The auth_value of a request: Kerberos' say how it is protected, and both kinds tell SPNEGO's choice where it was not seen."""
        record = self.record
        if record.auth_type == NTLM or record.sealed_tokens is not None or record.auth_type not in TOKEN_TYPES:
            return
        state = kerberos.token_state(token)
        if state is not None:
            record.token_algorithm, record.sealed_tokens = state
            self.by_tokens = "KERBEROS"
        elif len(token) == 16 and token[:4] == b"\1\0\0\0":  # NTLMSSP_MESSAGE_SIGNATURE ([MS-NLMP] §2.2.2.9)
            self.by_tokens = "NTLM"


class Securities:
    """All security contexts of a connection.

    Args:
        rpc: where the records go.
        anomaly: takes code, side, stream offset, detail.
    """

    def __init__(self, rpc: RpcFacts, anomaly: Callable[[str, int, int, str], None]):
        self.rpc = rpc
        self.anomaly = anomaly
        self.all: list[Security] = []
        self._by_id: dict[int, Security] = {}
        self._last: Security | None = None
        self._full = False

    def announced(self, auth_type: int, level: int, auth_context_id: int, token: bytes, at: int) -> Security | None:
        """The trailer of a bind, alter_context or auth3: it begins a context or goes on with one."""
        found = self._by_id.get(auth_context_id)
        if found is None or found.record.auth_type != auth_type or found.began and _is_first_token(token):
            found = self._begin(auth_type, auth_context_id, at, CLIENT)
            if found is None:
                return None
        found.began = True
        self._level(found, level)
        if found.exchange is not None and token:
            found.exchange.client(token, at)
        return found

    def answered(self, side: int, auth_type: int, level: int, auth_context_id: int, token: bytes, at: int) -> Security | None:
        """The trailer of bind_ack or alter_context_resp."""
        found = self._by_id.get(auth_context_id)
        if found is None or found.record.auth_type != auth_type:
            last = self._last
            if last is not None and last.began and last.record.auth_type == auth_type:
                found = last
            else:
                found = self._begin(auth_type, auth_context_id, at, side)
                if found is None:
                    return None
        if not found.level:  # the client's own announcement was not seen
            self._level(found, level)
        exchange = found.exchange
        if exchange is None:
            found.went_on = True
            return found
        if exchange.has_login:
            found.went_on = True
        if token:
            exchange.server(token)
        return found

    def used(self, side: int, auth_type: int, auth_context_id: int, at: int) -> Security | None:
        """The context behind the trailer of a call."""
        found = self._by_id.get(auth_context_id)
        if found is None or found.record.auth_type != auth_type:
            found = self._begin(auth_type, auth_context_id, at, side)
        return found

    def without_trailer(self) -> tuple[int, Security | None]:
        """Level in force for a call that has no trailer: CONNECT protected the bind only, and any other context protects nothing that does not name it."""
        for found in reversed(self.all):
            if found.level == LEVEL_CONNECT and not found.refused:
                return LEVEL_CONNECT, found
        return LEVEL_NONE, None

    def last(self) -> Security | None:
        """The context that was announced last."""
        return self._last

    def settle(self) -> list[Login]:
        """No more bytes: fill the records, and return the logins behind them."""
        logins = []
        for one in self.all:
            record, exchange = one.record, one.exchange
            record.mechanism = one.mechanism
            record.established = True if one.answered or one.went_on and one.failed is None else False if one.failed is not None else None
            if exchange is None:
                continue
            record.mechanisms_offered = exchange.offered
            result, reason, reply_code = "unknown", None, None
            if one.answered:
                result = "success"
            elif one.failed is not None:
                result, (reason, reply_code) = "failed", one.failed
            record.login = exchange.login(result=result, reason=reason, reply_code=reply_code)
            if record.login is not None and exchange.has_login:
                logins.append(record.login)
        return logins

    def _begin(self, auth_type: int, auth_context_id: int, at: int, side: int) -> Security | None:
        if len(self.all) >= MAX_SECURITIES:
            if not self._full:
                self._full = True
                self.anomaly("too-many-security-contexts", side, at, f"over {MAX_SECURITIES} on one connection")
            return None
        record = RpcSecurity(at=at, side=side, auth_context_id=auth_context_id, auth_type=auth_type)
        found = Security(record, Exchange("dcerpc", at) if auth_type in TOKEN_TYPES else None)
        self.all.append(found)
        self.rpc.securities.append(record)
        self._by_id[auth_context_id] = self._last = found
        return found

    @staticmethod
    def _level(found: Security, level: int) -> None:
        found.level = level
        levels = found.record.levels_announced
        if level not in levels and len(levels) < MAX_LEVELS:
            found.record.levels_announced = (*levels, level)


def _is_first_token(token: bytes) -> bool:
    """Whether a token begins a negotiation: NTLM type 1, NegTokenInit, GSS-wrapped or bare AP-REQ."""
    return token[:1] in (b"\x60", b"\x6e", b"\xa0") or token[:9] == b"NTLMSSP\0\1"


def type_name(security: Security) -> str:
    """What the row's auth_type says: the mechanism, or the name or number of the type while that is open."""
    return security.mechanism or AUTH_TYPES.get(security.record.auth_type) or str(security.record.auth_type)
