"""The logins of a run, for rules that compare them: who logged in where, how, with which result, and which of them used the same password.

Passwords themselves are never kept: each stands there as its fingerprint (an HMAC under a key of the run that this room never sees), so equal ones look
equal whichever worker saw them. A fingerprint never leaves this memory: findings name logins. Answers to challenges differ each time and have none.

A worker's judge fills one, the judge of the run merges them, and what is kept does not hang on who saw what: of too much, always the same part stays.
"""
from __future__ import annotations

from typing import Any, Callable, NamedTuple

from ..greetings import greeting_host
from ..records import CLIENT, Ends, Facts, Login, Session, ends_of
from ..secret import Secret
from .bounded import Kept, join
from .logins import is_anonymous_command
from .stories import CREDENTIALS, LOGINS, RANK

MAX_USES = 30_000  # ways in which accounts logged in, about a KiB each
MAX_MINUTES = 10_000  # of a client or an account with failed logins, two to five KiB each
MANY = 16  # accounts, passwords and servers that are told apart among those of a minute
MAX_CLIENTS = 8  # that are named for a use
MAX_SLOTS = 50_000  # ten minutes of a client with logins that worked
MAX_NAME = 64  # characters of an account tried
MAX_SHOWN = 20  # logins in evidence
MAX_FINDINGS = 1000  # of one rule about logins
MINUTE_NS = 60_000_000_000
WINDOW = 10  # minutes: within that many logins are counted together

TRIED = frozenset((None, "wrong-credentials", "locked"))  # reasons of a failure that say that somebody tried a password
READABLE = frozenset(("password", "token", "guessable"))
_NTLM = {"NTLMv1": "NetNTLMv1", "NTLMv2": "NetNTLMv2", "LM": "LM"}
_SHOWN_BY = CREDENTIALS | LOGINS | {"PS109", "PS507"}  # rules whose findings say that a login could be read or guessed
_RC4 = frozenset((23, 24))  # Kerberos encryption types whose keys are the password's NT hash (RFC 4757)


class Key(NamedTuple):
    """What makes two logins the same way to log in."""

    server_ip: str
    server_port: int
    protocol: str
    mechanism: str
    principal: str | None
    domain: str | None
    exposure: str  # password, token, guessable; ticket for those of Kerberos that can be guessed
    kind: str | None  # of what can be guessed offline: NetNTLMv2, CRAM-MD5 …
    fingerprint: str | None  # of a password
    inside: bool  # read inside TLS, with its keys
    failed: bool  # the server said no


class Sight(NamedTuple):
    """Where a login was seen."""

    ts_ns: int
    capture: str
    frame: int
    finding_id: str  # that says that it was readable; "" without one
    ends: Ends

    def order(self) -> tuple:
        return self.ts_ns, self.capture, self.frame, self.ends.session_id, self.finding_id


class Use:
    """How often an account logged in so, and where that was seen first."""

    __slots__ = ("first", "last_ns", "n", "n_success", "clients")

    def __init__(self, first: Sight, last_ns: int, n: int, n_success: int, clients: set[str]):
        self.first, self.last_ns, self.n, self.n_success, self.clients = first, last_ns, n, n_success, clients

    def __reduce__(self):
        return Use, (self.first, self.last_ns, self.n, self.n_success, self.clients)

    def add(self, other: "Use") -> None:
        if other.first.order() < self.first.order():
            self.first = other.first
        self.last_ns = max(self.last_ns, other.last_ns)
        self.n += other.n
        self.n_success += other.n_success
        self.clients = smallest(self.clients | other.clients, MAX_CLIENTS)


class Minute:
    """Failed logins of one minute; its sets hold MANY at most, which stands for that many or more."""

    __slots__ = ("first", "n", "n_inside", "names", "fingerprints", "tries", "servers", "clients")

    def __init__(self, first: Sight, n: int, n_inside: int, names: set[str], fingerprints: set[str], tries: set[str], servers: set[str], clients: set[str]):
        self.first, self.n, self.n_inside, self.names, self.fingerprints, self.tries, self.servers, self.clients = first, n, n_inside, names, fingerprints, tries, servers, clients

    def __reduce__(self):
        return Minute, (self.first, self.n, self.n_inside, self.names, self.fingerprints, self.tries, self.servers, self.clients)

    def copy(self) -> "Minute":
        return Minute(*self.__reduce__()[1])

    def add(self, other: "Minute") -> None:
        if other.first.order() < self.first.order():
            self.first = other.first
        self.n += other.n
        self.n_inside += other.n_inside
        for name in ("names", "fingerprints", "tries", "servers", "clients"):
            setattr(self, name, smallest(getattr(self, name) | getattr(other, name), MANY))


Target = tuple[str, str, str]  # "client", its address, "", or "account", server's address, name


class Accounts:
    """What was kept of them.

    Attributes:
        uses: how accounts logged in.
        failures: (a client, or an account of a server; minute since 1970) -> failed logins.
        worked: (client, ten minutes since 1970) -> logins that worked.
        unanswered: capture -> why answers to logins in it were not seen.
        captures: those with logins.
        answers: what rules found out of all of it, for each of them to be asked once.
    """

    def __init__(self) -> None:
        self.uses: Kept[Key, Use] = Kept(MAX_USES)
        self.failures: Kept[tuple[Target, int], Minute] = Kept(MAX_MINUTES)
        self.worked: Kept[tuple[str, int], int] = Kept(MAX_SLOTS)
        self.unanswered: dict[str, str] = {}
        self.captures: set[str] = set()
        self.answers: dict[str, Any] = {}

    def take(self, session: Session, fingerprint: Callable[[Secret], str]) -> None:
        """Remember the logins of a conversation that was judged.

        Args:
            fingerprint: what makes equal passwords look equal, the same for all workers.
        """
        self.answers.clear()
        self.captures.add(session.capture)
        if session.facts.logins:
            self._take(session, session.facts, False, fingerprint)
        if session.inner is not None and session.inner.logins:
            self._take(session, session.inner, True, fingerprint)

    def _take(self, session: Session, facts: Facts, inside: bool, fingerprint: Callable[[Secret], str]) -> None:
        findings = None
        for login in facts.logins:
            result, reason = login.result, login.reason
            if result == "unknown" and session.unseen_server is not None:
                self._unanswered(session.capture, session.unseen_server)
            exposure, kind = login.exposure, kind_of(login)
            shown = exposure in READABLE and bool(login.secret) and not is_anonymous_command(login)
            told = fingerprint(login.secret) if shown and exposure == "password" else None  # type: ignore[arg-type]
            failed = result == "failed"
            if failed and shown and exposure != "token" and reason in TRIED:
                self._failed(session, login, told, inside)
            elif result == "success":
                slot = session.client_ip, session.start_ns // (WINDOW * MINUTE_NS)
                n = self.worked.get(slot)
                if n is not None or self.worked.room(slot):
                    self.worked[slot] = (n or 0) + 1
            if not shown and kind is None:
                continue
            key = session.server_ip, session.server_port, login.protocol, login.mechanism, login.principal, login.domain, exposure, kind, told, inside, failed
            use = self.uses.get(key)  # type: ignore[call-overload]  # a plain tuple is made much faster, and equal
            if use is None and not self.uses.room(Key._make(key)):
                continue
            if use is not None and session.start_ns > use.first.ts_ns:
                use.n += 1
                use.n_success += result == "success"
                if session.start_ns > use.last_ns:
                    use.last_ns = session.start_ns
                if session.client_ip not in use.clients:
                    use.clients = smallest(use.clients | {session.client_ip}, MAX_CLIENTS)
                continue
            if findings is None:
                findings = _finding_ids(session)
            new = Use(_sight(session, login, findings), session.start_ns, 1, int(result == "success"), {session.client_ip})
            if use is None:
                self.uses[Key._make(key)] = new
            else:
                use.add(new)

    def _unanswered(self, capture: str, reason: str) -> None:
        self.unanswered[capture] = min(reason, self.unanswered.get(capture, reason))

    def _failed(self, session: Session, login: Login, told: str | None, inside: bool) -> None:
        sight = _sight(session, login, {})
        name, minute = (login.principal or "")[:MAX_NAME].lower(), sight.ts_ns // MINUTE_NS
        one = Minute(sight, 1, int(inside), {name}, {told} if told else set(), {f"{name}\n{told}"}, {session.server_ip}, {session.client_ip})
        self._fail((("client", session.client_ip, ""), minute), one)
        if name:
            self._fail((("account", session.server_ip, name), minute), one.copy())

    def _fail(self, key: tuple[Target, int], one: Minute) -> None:
        known = self.failures.get(key)
        if known is not None:
            known.add(one)
        elif self.failures.room(key):
            self.failures[key] = one

    def merge(self, other: "Accounts") -> None:
        """Add what another worker remembered."""
        self.answers.clear()
        self.captures |= other.captures
        for capture, reason in other.unanswered.items():
            self._unanswered(capture, reason)
        for key, use in other.uses.items():
            known = self.uses.get(key)
            if known is not None:
                known.add(use)
            elif self.uses.room(key):
                self.uses[key] = use
        for place, one in other.failures.items():
            self._fail(place, one)
        for slot, n in other.worked.items():
            known_n = self.worked.get(slot)
            if known_n is not None or self.worked.room(slot):
                self.worked[slot] = (known_n or 0) + n
        join(self.uses, other.uses), join(self.failures, other.failures), join(self.worked, other.worked)

    # --- reading

    def settled(self) -> list[tuple[Key, Use]]:
        """All uses in order of time; the same in every run."""
        known = self.answers.get("uses")
        if known is None:
            self.uses.settle(), self.failures.settle(), self.worked.settle()
            known = self.answers["uses"] = sorted(self.uses.items(), key=lambda item: (*item[1].first.order(), item[0].server_ip, item[0].server_port, item[0].mechanism, item[0].inside))
        return known

    def answer(self, name: str, make: Callable[["Accounts"], Any]) -> Any:
        """What a rule makes of all logins; made once, for rules are asked for each capture."""
        if name not in self.answers:
            self.settled()
            self.answers[name] = make(self)
        return self.answers[name]

    def n_worked(self, client_ip: str, begin: int, end: int) -> int | None:
        """Logins of a client that worked in the ten minutes that touch those from one minute to another; None where that is not known for all of them."""
        if self.worked.full:
            return None
        return sum(self.worked.get((client_ip, slot), 0) for slot in range(begin // WINDOW, end // WINDOW + 1))


def kind_of(login: Login) -> str | None:
    """What of a login can be guessed offline, by the name that people know it by; None: nothing."""
    if login.exposure == "guessable" and login.secret:
        if login.mechanism == "NTLM" or "ntlm_version" in login.details:
            return _NTLM.get(login.details.get("ntlm_version"), "NetNTLM")  # type: ignore[arg-type]
        return "HTTP Digest" if login.mechanism == "DIGEST" else login.mechanism
    if login.exposure == "ticket" and login.details.get("ticket_etype") in _RC4:
        return "Kerberos RC4 ticket"
    return None


def smallest(values: set[str], most: int) -> set[str]:
    """So many of a set, always the same ones."""
    return values if len(values) <= most else set(sorted(values)[:most])


def server_label(session: Session) -> str | None:
    """A name of the server: the one asked for, DNS's, or that of its greeting."""
    tls = session.tls
    if tls is not None and (tls.sni or tls.dns_name):
        return (tls.sni or tls.dns_name).lower().rstrip(".")  # type: ignore[union-attr]
    facts = session.inner if session.inner is not None and session.tls_mode == "implicit" else session.facts
    return greeting_host(facts.greeting)


def _finding_ids(session: Session) -> dict[int | None, str]:
    """Place of a login's secret -> id of the worst finding that says that it was readable."""
    worst: dict[int | None, Any] = {}
    for finding in session.findings:
        if finding.rule.id in _SHOWN_BY:
            known = worst.get(finding.at)
            if known is None or (RANK[finding.severity], known.rule.id) > (RANK[known.severity], finding.rule.id):
                worst[finding.at] = finding
    return {at: finding.finding_id for at, finding in worst.items()}


def _sight(session: Session, login: Login, findings: dict[int | None, str]) -> Sight:
    at = login.at if login.secret_at is None else login.secret_at
    capture, frame, ts_ns = session.locate(CLIENT, at) if session.locate is not None else (session.capture, session.frame, session.start_ns)
    return Sight(ts_ns, capture, frame, findings.get(at, ""), ends_of(session, server_label(session)))


def local_part(principal: str | None) -> str:
    """A name without the domain before or behind it, to compare names by."""
    return (principal or "").rpartition("\\")[2].partition("@")[0].lower()


def identity(key: Key) -> tuple[str, str]:
    """Name and domain of an account, however they were sent: alice@example.org is alice in the realm example.org."""
    name = (key.principal or "").lower()
    before, _, after = name.rpartition("\\")
    local, at, behind = after.partition("@")
    return local, behind if at else before or (key.domain or "").lower()


def place(key: Key) -> str:
    """A server's address and port in a text."""
    return f"[{key.server_ip}]:{key.server_port}" if ":" in key.server_ip else f"{key.server_ip}:{key.server_port}"


def finding_ids(uses: list[tuple[Key, Use]]) -> list[str]:
    """Ids of the findings behind some uses, the first few."""
    return list(dict.fromkeys(use.first.finding_id for _, use in uses if use.first.finding_id))[:MAX_SHOWN]


def session_ids(uses: list[tuple[Key, Use]]) -> list[str]:
    """The first conversation of each use, the first few."""
    return list(dict.fromkeys(use.first.ends.session_id for _, use in uses))[:MAX_SHOWN]
