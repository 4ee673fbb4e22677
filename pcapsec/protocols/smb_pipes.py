"""What SMB1 and SMB2 share: named pipes with the DCE/RPC inside, session setups, and how a status reads.

Only pipes are followed. Each pipe that begins to speak DCE/RPC gets a parser of its own, which is fed the bytes with their offsets in the TCP stream, so
that its findings can be located; between two pieces of one pipe lie the SMB headers.
"""
from __future__ import annotations

from typing import Any, Callable

from ..records import CLIENT, Facts, Login
from .negotiation import Exchange

MAX_PIPES = 64  # open at a time, each with a parser; administration tools open about ten
MAX_PIPES_IN_ALL = 1024  # of one connection, opened one after the other
MAX_PIPE_NAMES = 64  # that are listed
MAX_TREES = 256  # connected shares
MAX_FILES = 512  # open pipes, those that carry no RPC included
MAX_PENDING = 512  # requests that wait for their answer; a server grants at most 512 credits by default ([MS-SMB2] §3.3.1.2, product notes)
MAX_SESSIONS = 64  # session setups under way
MAX_LOGINS = 1000
MAX_NAME_CHARACTERS = 256
MAX_ANOMALIES = 100

SUCCESS, PENDING, BUFFER_OVERFLOW, MORE_PROCESSING = 0, 0x00000103, 0x80000005, 0xC0000016  # [MS-ERREF] §2.3.1
_WRONG, _LOCKED = "wrong-credentials", "locked"
_REASONS = {
    0xC000006D: _WRONG, 0xC000006A: _WRONG, 0xC0000064: _WRONG,  # LOGON_FAILURE, WRONG_PASSWORD, NO_SUCH_USER
    0xC0000234: _LOCKED, 0xC0000072: _LOCKED, 0xC0000071: _LOCKED, 0xC0000193: _LOCKED, 0xC0000224: _LOCKED, 0xC000006E: _LOCKED, 0xC000006F: _LOCKED,
    0xC0000070: _LOCKED,  # ACCOUNT_LOCKED_OUT, DISABLED, PASSWORD_EXPIRED, ACCOUNT_EXPIRED, PASSWORD_MUST_CHANGE, ACCOUNT_RESTRICTION, hours, workstation
    0xC0000022: "refused", 0xC000015B: "refused", 0xC00000BB: "refused", 0xC000035C: "refused",  # ACCESS_DENIED, LOGON_TYPE_NOT_GRANTED, NOT_SUPPORTED, …
    0xC000005E: "temporary", 0xC000000D: "malformed",  # NO_LOGON_SERVERS, INVALID_PARAMETER
    0x00020002: _WRONG, 0x00050001: "refused", 0x08BF0002: _LOCKED, 0x08C20002: _LOCKED}  # DOS errors: ERRbadpw, ERRnoaccess, account and password expired

# Pipes that carry RPC, for captures that begin after the share was connected ([MS-RPCE] §2.1.1.2 and the protocols' own documents)
KNOWN_PIPES = frozenset((
    "epmapper lsarpc lsass samr netlogon srvsvc wkssvc svcctl winreg atsvc spoolss browser eventlog ntsvcs dnsserver dfs netdfs efsrpc initshutdown "
    "protected_storage protect tapsrv trkwks w32time wmi rpcss router keysvc plugplay scerpc ntlsa exchange fssagentrpc mssearch").split())

_PTYPES = frozenset((0, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19))


def looks_like_rpc(data: bytes) -> bool:
    """Whether data begins with the common header of a connection-oriented PDU (C706 §12.6.3.1): version 5, a type, a data representation, a length."""
    if len(data) < 16 or data[0] != 5 or data[1] > 1 or data[2] not in _PTYPES or data[4] not in (0x00, 0x10) or data[5] or data[6] or data[7]:
        return False
    return int.from_bytes(data[8:10], "little" if data[4] else "big") >= 16


def pipe_name(path: str) -> str:
    r"""`epmapper` of `\PIPE\epmapper`, `\epmapper` or `epmapper`, lower case."""
    name = path.strip("\\\0").lower()
    return name[5:] if name.startswith("pipe\\") else name


class Pipe:
    """One open named pipe."""

    __slots__ = ("name", "opened", "rpc", "listed", "refused", "closing")

    def __init__(self, name: str | None, opened: bool):
        self.name, self.opened = name, opened
        self.rpc: Any = None  # DcerpcParser, once the pipe has begun to speak DCE/RPC
        self.listed = False
        self.refused = False  # nothing more is read from it
        self.closing = False  # the answer to its close is awaited


class Pipes:
    """All pipes of a connection."""

    def __init__(self, facts: Facts, anomaly: Callable[[str, int, int, str], None]):
        self.facts, self._anomaly = facts, anomaly
        self._open: list[Pipe] = []
        self._n = 0
        self._signed: bool | None = None

    def create(self, name: str | None, opened: bool = True) -> Pipe:
        pipe = Pipe(name, opened)
        smb = self.facts.smb
        if name and name not in smb.pipes and len(smb.pipes) < MAX_PIPE_NAMES:
            smb.pipes += (name,)
        return pipe

    def feed(self, pipe: Pipe, side: int, data: bytes, at: int, signed: bool) -> None:
        """Bytes written to a pipe (CLIENT) or read from it (SERVER)."""
        if not data:
            return
        rpc = pipe.rpc
        if rpc is None:
            if pipe.refused or not looks_like_rpc(data):
                return
            rpc = self._begin(pipe, side, at)
            if rpc is None:
                return
        self._signed = signed if self._signed is None else self._signed and signed
        self.facts.smb.signed = self._signed
        rpc.feed(side, data, at)
        if not pipe.listed and rpc.facts.rpc:
            pipe.listed = True
            rpc.facts.rpc[0].pipe = pipe.name
            self.facts.rpc.append(rpc.facts.rpc[0])

    def _begin(self, pipe: Pipe, side: int, at: int) -> Any:
        if len(self._open) >= MAX_PIPES:
            closing = next((one for one in self._open if one.closing), None)
            if closing is not None:
                self.close(closing)
        if len(self._open) >= MAX_PIPES or self._n >= MAX_PIPES_IN_ALL:
            pipe.refused = True
            self._anomaly("too-many-pipes", side, at, f"more than {MAX_PIPES} at a time or {MAX_PIPES_IN_ALL} in all")
            return None
        from .dcerpc import DcerpcParser  # most SMB connections carry no RPC

        pipe.rpc = DcerpcParser(start_seen=pipe.opened, transport="smb")
        self._open.append(pipe)
        self._n += 1
        return pipe.rpc

    def lost(self, side: int, length: int, at: int) -> None:
        """Bytes of a side are missing, perhaps of any pipe."""
        for pipe in self._open:
            pipe.rpc.gap(side, length, at)

    def lost_of(self, pipe: Pipe, side: int, length: int, at: int) -> None:
        """Bytes of one pipe were not kept."""
        if pipe.rpc is not None:
            pipe.rpc.gap(side, length, at)

    def close(self, pipe: Pipe) -> None:
        rpc = pipe.rpc
        if rpc is None:
            return
        pipe.rpc, pipe.refused = None, True
        self._open.remove(pipe)
        rpc.finish()
        inner, facts = rpc.facts, self.facts
        facts.logins.extend(inner.logins[:max(0, MAX_LOGINS - len(facts.logins))])
        facts.anomalies.extend(inner.anomalies[:max(0, MAX_ANOMALIES - len(facts.anomalies))])

    def finish(self) -> None:
        for pipe in list(self._open):
            self.close(pipe)


class _Attempt:
    __slots__ = ("exchange", "goes_on", "orphan")

    def __init__(self, at: int, orphan: bool = False):
        self.exchange = Exchange("smb", at)
        self.goes_on: bool | None = None  # the last answer asked for more; None: not seen
        self.orphan = orphan  # no request of it was seen yet


class Setups:
    """Session setups: their tokens make logins.

    A setup is known by its request's message id until the server has given it a session, then by that.
    """

    def __init__(self, facts: Facts, anomaly: Callable[[str, int, int, str], None]):
        self.facts, self._anomaly = facts, anomaly
        self._waiting: dict[Any, _Attempt] = {}  # message -> attempt
        self._sessions: dict[int, _Attempt] = {}  # session -> attempt that goes on
        self._last: _Attempt | None = None  # for captures without the server's side
        self._dropped = False

    def request(self, message: Any, session: int, token: bytes, at: int) -> None:
        """A client's token; `session` is 0 while the server has not given one."""
        attempt = self._sessions.pop(session, None) if session else None
        if attempt is None:
            last = self._last
            if last is not None and last.goes_on is None and not last.exchange.has_login and not _begins(token):
                attempt = last
            else:
                attempt = _Attempt(at)
        elif attempt.orphan:
            attempt.orphan, attempt.exchange.at = False, at
        attempt.exchange.client(token, at)
        attempt.goes_on = None
        self._last = attempt
        other = self._waiting.get(message)
        if other is None and len(self._waiting) >= MAX_SESSIONS:
            other = next(iter(self._waiting.values()))
        if other is not None and other is not attempt:
            self._end(other, None)
        self._waiting[message] = attempt

    def answered(self, message: Any, session: int, status: int, token: bytes, **details: Any) -> None:
        """The server's token, and its verdict unless it asks for more."""
        attempt = self._waiting.pop(message, None)
        if attempt is None:
            if status != MORE_PROCESSING or not token:
                return
            attempt = _Attempt(0, orphan=True)
        attempt.exchange.server(token)
        attempt.goes_on = status == MORE_PROCESSING
        if attempt.goes_on:
            if len(self._sessions) >= MAX_SESSIONS:
                self._end(self._sessions.pop(next(iter(self._sessions))), None)
            self._sessions[session] = attempt
        else:
            self._end(attempt, status, **details)

    def add(self, login: Login) -> None:
        logins = self.facts.logins
        if len(logins) < MAX_LOGINS:
            logins.append(login)
        elif not self._dropped:
            self._dropped = True
            self._anomaly("too-many-logins", CLIENT, login.at, f"more than {MAX_LOGINS}")

    def finish(self) -> None:
        rest = {id(attempt): attempt for attempt in (*self._waiting.values(), *self._sessions.values())}
        self._waiting, self._sessions = {}, {}
        for attempt in rest.values():
            self._end(attempt, None)

    def _end(self, attempt: _Attempt, status: int | None, **details: Any) -> None:
        if attempt is self._last:
            self._last = None
        for message in [message for message, one in self._waiting.items() if one is attempt]:
            del self._waiting[message]
        if attempt.orphan:
            return
        result, reason, code = judge(status)
        login = attempt.exchange.login(result, reason, code)
        if login is not None:
            login.details.update(details)
            self.add(login)


def _begins(token: bytes) -> bool:
    """Whether a token begins an exchange: GSS-API's own tag, or NTLM's first message."""
    return token[:1] == b"\x60" or token[:12] == b"NTLMSSP\0\1\0\0\0"


def judge(status: int | None) -> tuple[str, str | None, str | None]:
    """What a status says of a login: result, reason and reply code of a Login; None when no answer was seen."""
    if status is None:
        return "unknown", None, None
    code = f"0x{status:08x}"
    if status == SUCCESS:
        return "success", None, code
    reason = _REASONS.get(status)
    return ("unknown" if reason == "temporary" else "failed"), reason, code


def read_name(data: bytes, start: int, end: int) -> str:
    """UTF-16LE between two places, cut to a sane length."""
    return data[start:min(end, start + 2 * MAX_NAME_CHARACTERS)].decode("utf-16-le", "replace")

