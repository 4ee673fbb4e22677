"""Who reached an Exchange server by which road, and what protected it there: the aggregates behind the summary's table of Exchange access.

Only what could be read counts with an account: RPC and HTTP. Encrypted roads to the same servers are counted without one. Everything is bounded.
"""
from __future__ import annotations

from typing import Iterator

from ..records import SEVERITIES, Facts, Finding, HttpRequest, RpcContext, Session
from ..rules.exchange import exchange_contexts
from ..rules.requests import redirected
from ..tables.access import LEVEL_NAMES, login_of

MAX_ROADS = 5000  # (server, account, road, protection) remembered
MAX_ENCRYPTED = 5000  # (server, service) of encrypted conversations remembered
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}

ROADS = {"tcp": "RPC/TCP", "http": "RPC over HTTP", "smb": "RPC over SMB"}
HTTP_ROADS = {"owa": "OWA", "ecp": "OWA", "ews": "EWS", "activesync": "ActiveSync", "mapi-http": "MAPI/HTTP", "rpc-proxy": "RPC over HTTP", "autodiscover": "Autodiscover"}
MAIL_ROADS = {  # services and protocols that may lead to the same mailboxes
    "imap": "IMAP", "imaps": "IMAP", "pop3": "POP3", "pop3s": "POP3", "smtp": "SMTP", "submission": "SMTP", "submissions": "SMTP", "smtps": "SMTP",
    "https": "HTTPS",
}
WEB_PORTS = frozenset((443, 444, 8443))  # 444: Exchange's back end
SCHEMES = {"BASIC": "Basic", "DIGEST": "Digest", "NTLM": "NTLM", "NEGOTIATE": "Kerberos", "BEARER": "OAuth token", "FORM": "form"}
_PASSED = frozenset((200, 201, 204, 206, 207, 304))
NOTHING: tuple[int, str] = (-1, "")
_NO_FINDING = (-1, False, "")


class Road:
    """How one account used one road to one server."""

    __slots__ = ("n", "worst", "first_ns", "last_ns")

    def __init__(self) -> None:
        self.n = 0
        self.worst = NOTHING  # (rank of the severity, rule_id)
        self.first_ns = self.last_ns = 0

    def add(self, n: int, worst: tuple[int, str], first_ns: int, last_ns: int) -> None:
        self.first_ns = min(self.first_ns, first_ns) if self.n else first_ns
        self.last_ns = max(self.last_ns, last_ns)
        self.n += n
        self.worst = worse(self.worst, worst)


def worse(one: tuple[int, str], two: tuple[int, str]) -> tuple[int, str]:
    """The more severe of two; of equals the smaller id, so that the order of workers does not matter."""
    return min(one, two, key=lambda known: (-known[0], known[1]))


class Worst:
    """The worst finding of a conversation for each account; one that speaks of nobody in particular is everybody's."""

    def __init__(self, findings: list[Finding]) -> None:
        self._of: dict[str | None, tuple[int, bool, str]] = {}
        for finding in sorted(findings, key=lambda finding: finding.rule.id, reverse=True):  # of equals the root of a story, then the smaller id
            if finding.rule.category != "capture":
                known = RANK[finding.severity], finding.because_of is None, finding.rule.id
                if known[:2] >= self._of.get(finding.principal, _NO_FINDING)[:2]:
                    self._of[finding.principal] = known

    def of(self, principal: str | None) -> tuple[int, str]:
        own, everybodys = self._of.get(principal, _NO_FINDING), self._of.get(None, _NO_FINDING)
        rank, _, rule_id = own if own[:2] >= everybodys[:2] else everybodys
        return rank, rule_id


class ExchangeAccess:
    """Roads to Exchange.

    Attributes:
        roads: (server_ip, account, road, outer protection, inner protection) -> Road.
        names: server_ip -> a name of it.
        encrypted: (server_ip, road, outer protection) -> conversations in which no account could be seen.
        n_more: uses that no longer fitted.
    """

    def __init__(self) -> None:
        self.roads: dict[tuple[str, str | None, str, str, str], Road] = {}
        self.names: dict[str, str] = {}
        self.encrypted: dict[tuple[str, str, str], int] = {}
        self.n_more = 0

    def session(self, session: Session, name: str | None) -> None:
        """Take a conversation that has RPC or HTTP in it."""
        uses = list(dict.fromkeys((*_rpc_uses(session), *_http_uses(session))))
        outer = "TLS" if session.tls_mode == "implicit" else "none"
        worst = Worst(session.findings)
        for account, principal, road, inner in uses:
            self._add((session.server_ip, account, road, outer, inner), 1, worst.of(principal), session.start_ns, session.start_ns)
        if uses and (name := name or _told_name(session)):
            self._name(session.server_ip, name)

    def encrypted_session(self, session: Session) -> None:
        """Count a conversation inside TLS; only those to servers that turn out to be Exchange are shown."""
        road = MAIL_ROADS.get(session.service or "") or ("HTTPS" if session.server_port in WEB_PORTS else None)
        if road is not None:
            key = session.server_ip, road, "TLS" if session.tls_mode == "implicit" else "STARTTLS"
            known = self.encrypted.get(key)
            if known is not None or len(self.encrypted) < MAX_ENCRYPTED:
                self.encrypted[key] = (known or 0) + 1

    def _add(self, key: tuple[str, str | None, str, str, str], n: int, worst: tuple[int, str], first_ns: int, last_ns: int) -> None:
        road = self.roads.get(key)
        if road is None:
            if len(self.roads) >= MAX_ROADS:
                self.n_more += n
                return
            road = self.roads[key] = Road()
        road.add(n, worst, first_ns, last_ns)

    def _name(self, server_ip: str, name: str) -> None:
        known = self.names.get(server_ip)
        if known is not None or len(self.names) < MAX_ROADS:
            self.names[server_ip] = name if known is None else min(known, name)

    def merge(self, other: "ExchangeAccess") -> None:
        """Add what another worker saw."""
        for key, road in other.roads.items():
            self._add(key, road.n, road.worst, road.first_ns, road.last_ns)
        for server_ip, name in other.names.items():
            self._name(server_ip, name)
        for where, n in other.encrypted.items():
            if where in self.encrypted or len(self.encrypted) < MAX_ENCRYPTED:
                self.encrypted[where] = self.encrypted.get(where, 0) + n
        self.n_more += other.n_more


def seen_facts(session: Session) -> Facts:
    """What is known of a conversation's use: what was read inside TLS, where keys were given."""
    return session.facts if session.inner is None else session.inner


def _told_name(session: Session) -> str | None:
    """The server's name as its logins tell it: in NTLM's challenge, or in the name of the service that a Kerberos ticket is for."""
    for login in seen_facts(session).logins:
        details = login.details
        name = (details.get("target") or {}).get("dns_host") or (details.get("spn") or "").partition("/")[2]
        if name:
            return name.lower()
    return None


Use = tuple[str | None, str | None, str, str]  # account as shown, principal of its findings, road, inner protection


def _rpc_uses(session: Session) -> Iterator[Use]:
    for _, context, _ in exchange_contexts(seen_facts(session)):
        login = login_of(context)
        principal = login.principal if login is not None else None
        account = f"{login.domain}\\{principal}" if principal and login.domain and "\\" not in principal and "@" not in principal else principal
        if account is None and context.mapi is not None and context.mapi.user_dn:
            account = context.mapi.user_dn.rpartition("=")[2]
        yield account, principal, ROADS.get(context.transport, "RPC"), rpc_protection(context)


def rpc_protection(context: RpcContext) -> str:
    """What protects the calls themselves: level, mechanism, and what that leaves."""
    level = context.auth_level
    if level is None:
        announced = max(context.levels_announced, default=None)
        return "no call seen" if announced is None else f"no call seen; {LEVEL_NAMES.get(announced, announced)} announced"
    if level <= 1:
        return "none: readable"
    name = f"{mechanism_of(context)} {LEVEL_NAMES.get(level, level)}"
    if level < 6:
        return f"{name}: readable" + (f" ({context.obfuscation})" if context.obfuscation in ("xor", "both") else "")
    return name


def mechanism_of(context: RpcContext) -> str:
    """Mechanism with the strength of its cipher."""
    login = login_of(context)
    details = login.details if login is not None else {}
    mechanism = context.auth_type
    if mechanism == "NTLM":
        bits = details.get("key_bits")
        return f"NTLM {bits} bit" if bits and context.auth_level == 6 else "NTLM"
    if mechanism == "KERBEROS":
        ciphers = [security.token_algorithm for security in context.securities if security.token_algorithm]
        return f"Kerberos {ciphers[0]}" if ciphers else "Kerberos"
    return mechanism or "unknown"


def _http_uses(session: Session) -> Iterator[Use]:
    facts = seen_facts(session)
    http = facts.http
    if http is None:
        return
    by_road: dict[str, list[HttpRequest]] = {}
    for request in http.requests:
        road = HTTP_ROADS.get(request.service)
        if road is not None and request.service_sure and not (redirected(request) and request.auth_scheme is None and not request.session_cookie):
            by_road.setdefault(road, []).append(request)
    of_connection = next((login for login in facts.logins if login.protocol == "http" and login.principal), None)  # NTLM counts for what follows it
    for road, requests in by_road.items():
        if road == "RPC over HTTP" and facts.rpc:  # told by its contexts, with the inner protection
            continue
        named = [request for request in requests if request.principal]
        if named:
            for request in named:
                scheme = request.auth_scheme or (of_connection.mechanism if of_connection is not None else None)
                yield request.principal, request.principal, road, _login_words(scheme, request.session_cookie)
        elif of_connection is not None:
            yield of_connection.principal, of_connection.principal, road, _login_words(of_connection.mechanism, False)
        else:
            cookie = any(request.session_cookie for request in requests)
            schemes = [request.auth_scheme for request in requests if request.auth_scheme]
            if cookie or schemes or any(request.status in _PASSED for request in requests):
                yield None, None, road, _login_words(schemes[0] if schemes else None, cookie)


def _login_words(scheme: str | None, cookie: bool) -> str:
    """HTTP has no inner protection; what matters is the login that passes."""
    if scheme is None:
        return "none (cookie)" if cookie else "none"
    return f"none ({SCHEMES.get(scheme, scheme[:20])})"
