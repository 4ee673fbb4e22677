"""Bounded aggregates of a run for the terminal: what was exposed, whose secrets, and how much the capture can show.

A worker fills one Summary and hands it over; the results of all workers are merged. Every set and table has a ceiling, and what no longer fits is counted,
so memory does not grow with the capture.
"""
from __future__ import annotations

from typing import Iterable

from ..records import SEVERITIES, Finding, Login, Session
from ..tables.rows import server_name
from .exchange import NOTHING, ExchangeAccess, seen_facts, worse

MAX_SERVERS = 2000  # servers remembered per list: more than anybody reads on a terminal
MAX_ACCOUNTS = 20000  # accounts remembered in all
MAX_DISTINCT = 50000  # clients and accounts remembered for counting, in all
MAX_LABELS = 200  # kinds of service in the overview

RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}
EXPOSED = {"guessable": 1, "token": 2, "password": 3}  # what gives an account away; worse is higher
_EARLIER = {"failed": 0, "unknown": 1, "success": 2}


class Tally:
    """Findings per severity: all of them, and the roots that `--fail-on` counts."""

    def __init__(self) -> None:
        self.roots = dict.fromkeys(SEVERITIES, 0)
        self.n_findings = 0
        self.n_suppressed = 0  # of those, the ones that the policy says were looked at and accepted
        self.n_sessions = 0

    def session(self, session: Session) -> None:
        self.n_sessions += 1
        if session.findings:
            self._count(session.findings)

    def findings(self, findings: list[Finding], capture: str = "") -> None:
        """Judgements on a whole capture."""
        self._count(findings)

    def _count(self, findings: list[Finding]) -> None:
        self.n_findings += len(findings)
        for finding in findings:
            if finding.suppressed is not None:
                self.n_suppressed += 1
            elif finding.because_of is None:
                self.roots[finding.severity] += 1

    def close(self) -> "Tally":
        return self

    def merge(self, other: "Tally") -> None:
        self.n_findings += other.n_findings
        self.n_suppressed += other.n_suppressed
        self.n_sessions += other.n_sessions
        for severity, n in other.roots.items():
            self.roots[severity] += n


class Server:
    """One server's part in a group of findings."""

    __slots__ = ("n", "name", "clients", "accounts")

    def __init__(self, name: str | None = None):
        self.n = 0
        self.name = name
        self.clients: set[str] = set()
        self.accounts: set[str] = set()

    def merge(self, other: "Server") -> None:
        self.n += other.n
        self.name = self.name or other.name
        self.clients |= other.clients
        self.accounts |= other.accounts


class Group:
    """All root findings of one rule."""

    __slots__ = ("rule_id", "title", "remediation", "category", "severities", "servers", "n_elsewhere", "first", "part_of_it")

    def __init__(self, rule: object):
        self.rule_id: str = rule.id  # type: ignore[attr-defined]
        self.title: str = rule.title  # type: ignore[attr-defined]
        self.remediation: str = rule.remediation  # type: ignore[attr-defined]
        self.category: str = rule.category  # type: ignore[attr-defined]
        self.severities = dict.fromkeys(SEVERITIES, 0)
        self.servers: dict[tuple[str, int], Server] = {}
        self.n_elsewhere = 0  # on servers that no longer fitted
        self.first: tuple[int, str, int, str] | None = None  # ts_ns, capture, frame, the finding's own title
        self.part_of_it: dict[tuple[str, str], int] = {}  # (rule_id, title) of findings that this one is the root of -> how many

    @property
    def n(self) -> int:
        return sum(self.severities.values())

    @property
    def worst(self) -> str:
        return next((severity for severity in reversed(SEVERITIES) if self.severities[severity]), "info")

    def seen(self, ts_ns: int, capture: str, frame: int, title: str) -> None:
        if self.first is None or (ts_ns, capture, frame, title) < self.first:
            self.first = (ts_ns, capture, frame, title)

    def merge(self, other: "Group") -> None:
        for severity, n in other.severities.items():
            self.severities[severity] += n
        for key, server in other.servers.items():
            mine = self.servers.get(key)
            if mine is not None:
                mine.merge(server)
            elif len(self.servers) < MAX_SERVERS:
                self.servers[key] = server
            else:
                self.n_elsewhere += server.n
        self.n_elsewhere += other.n_elsewhere
        if other.first is not None:
            self.seen(*other.first)
        for key, n in other.part_of_it.items():
            self.part_of_it[key] = self.part_of_it.get(key, 0) + n


class Account:
    """One account on one server whose secret passed readable."""

    __slots__ = ("exposure", "mechanisms", "n", "result", "last_ns", "worst")

    def __init__(self) -> None:
        self.exposure = "guessable"
        self.mechanisms: set[str] = set()
        self.n = 0
        self.result = "failed"
        self.last_ns = 0
        self.worst = NOTHING  # (rank of the severity, rule_id) of its worst root finding

    def add(self, exposure: str, mechanisms: Iterable[str], n: int, result: str, last_ns: int) -> None:
        self.n += n
        if EXPOSED[exposure] > EXPOSED[self.exposure]:
            self.exposure = exposure
        if len(self.mechanisms) < 8:
            self.mechanisms.update(mechanisms)
        if _EARLIER[result] > _EARLIER[self.result]:
            self.result = result
        if last_ns > self.last_ns:
            self.last_ns = last_ns


class Share:
    """Conversations of one service."""

    __slots__ = ("sessions", "bytes", "verdicts")

    def __init__(self) -> None:
        self.sessions = self.bytes = 0
        self.verdicts = {"protected": 0, "exposed": 0, "weak": 0, "unknown": 0}

    def merge(self, other: "Share") -> None:
        self.sessions += other.sessions
        self.bytes += other.bytes
        for verdict, n in other.verdicts.items():
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + n


class Summary(Tally):
    """What the terminal shows of a run.

    Attributes:
        groups: rule_id -> root findings of that rule.
        accounts: (server_ip, server_port, protocol) -> principal (None: name not seen) -> Account.
        names: the same key -> best name of the server.
        shares: service or protocol -> Share.
        completeness: full, one_sided … -> conversations.
        n_more_accounts: logins of accounts that no longer fitted.
        gap_bytes: missing inside conversations.
        n_unparsed: conversations that no parser took.
        exchange: roads to Exchange servers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, Group] = {}
        self.accounts: dict[tuple[str, int, str], dict[str | None, Account]] = {}
        self.names: dict[tuple[str, int, str], str] = {}
        self.shares: dict[str, Share] = {}
        self.completeness: dict[str, int] = {}
        self.n_accounts = 0
        self.n_more_accounts = 0
        self.gap_bytes = 0
        self.n_unparsed = 0
        self.exchange = ExchangeAccess()
        self._n_distinct = 0

    def session(self, session: Session) -> None:
        super().session(session)
        label = session.service or session.protocol
        share = self.shares.get(label)
        if share is None:
            share = self.shares.setdefault(label if len(self.shares) < MAX_LABELS else "other", Share())
        share.sessions += 1
        share.bytes += session.bytes_client + session.bytes_server
        share.verdicts[session.verdict if session.verdict in share.verdicts else "unknown"] += 1
        self.completeness[session.completeness] = self.completeness.get(session.completeness, 0) + 1
        self.gap_bytes += session.gap_bytes_client + session.gap_bytes_server
        if session.unparsed:
            self.n_unparsed += 1
        facts = session.facts
        for login in facts.logins:
            if login.exposure in EXPOSED:
                self._login(session, login)
        if session.findings:
            self._findings(session, session.findings)
        seen = seen_facts(session)
        if seen.rpc is not None or seen.http is not None:
            self.exchange.session(session, server_name(session))
        elif session.tls_mode != "none":
            self.exchange.encrypted_session(session)

    def findings(self, findings: list[Finding], capture: str = "") -> None:
        super().findings(findings, capture)
        self._findings(None, findings)

    def _login(self, session: Session, login: Login) -> None:
        key = (session.server_ip, session.server_port, session.protocol)
        known = self.accounts.get(key)
        if known is None:
            if len(self.accounts) >= MAX_SERVERS:
                self.n_more_accounts += 1
                return
            known = self.accounts[key] = {}
            name = server_name(session)
            if name:
                self.names[key] = name
        account = known.get(login.principal)
        if account is None:
            if self.n_accounts >= MAX_ACCOUNTS:
                self.n_more_accounts += 1
                return
            self.n_accounts += 1
            account = known[login.principal] = Account()
        account.add(login.exposure, (login.mechanism,), 1, login.result, session.start_ns)

    def _findings(self, session: Session | None, findings: list[Finding]) -> None:
        roots: dict[str, Group] = {}
        accounts = self.accounts.get((session.server_ip, session.server_port, session.protocol)) if session is not None else None
        for finding in findings:
            if finding.because_of is not None or finding.suppressed is not None:
                continue
            rule_id = finding.rule.id
            group = self.groups.get(rule_id)
            if group is None:
                group = self.groups[rule_id] = Group(finding.rule)
            roots[finding.finding_id] = group
            group.severities[finding.severity] += 1
            if session is None:
                if finding.frame:
                    group.seen(finding.ts_ns, finding.capture, finding.frame, finding.title)
                if finding.ends is not None:
                    self._at_server(group, finding, finding.ends.server_ip, finding.ends.server_port, finding.ends.client_ip, finding.ends.server_name)
                continue
            if group.first is None or session.start_ns < group.first[0]:  # a look at the frame itself only where it can matter
                if finding.frame:
                    group.seen(finding.ts_ns, finding.capture, finding.frame, finding.title)
                elif finding.at is not None and finding.side is not None and session.locate is not None:
                    capture, frame, ts_ns = session.locate(finding.side, finding.at)
                    group.seen(ts_ns, capture, frame, finding.title)
                else:
                    group.seen(session.start_ns, session.capture, session.frame, finding.title)
            server = group.servers.get((session.server_ip, session.server_port))
            self._at_server(group, finding, session.server_ip, session.server_port, session.client_ip, server_name(session) if server is None else None)
            if accounts is not None and finding.principal in accounts:
                account = accounts[finding.principal]
                account.worst = worse(account.worst, (RANK[finding.severity], rule_id))
        for finding in findings:
            if finding.because_of is not None and finding.because_of in roots and finding.suppressed is None:
                part = roots[finding.because_of].part_of_it
                key = (finding.rule.id, finding.rule.title)
                part[key] = part.get(key, 0) + 1

    def _at_server(self, group: Group, finding: Finding, server_ip: str, server_port: int, client_ip: str, name: str | None) -> None:
        """Count a root finding at the server that it speaks of."""
        server = group.servers.get((server_ip, server_port))
        if server is None:
            if len(group.servers) >= MAX_SERVERS:
                group.n_elsewhere += 1
                return
            server = group.servers[server_ip, server_port] = Server(name)
        server.n += 1
        if self._n_distinct < MAX_DISTINCT:
            before = len(server.clients) + len(server.accounts)
            server.clients.add(client_ip)
            if finding.principal:
                server.accounts.add(finding.principal)
            self._n_distinct += len(server.clients) + len(server.accounts) - before

    def merge(self, other: "Tally") -> None:
        super().merge(other)
        if not isinstance(other, Summary):
            return
        for rule_id, group in other.groups.items():
            if rule_id in self.groups:
                self.groups[rule_id].merge(group)
            else:
                self.groups[rule_id] = group
        for key, accounts in other.accounts.items():
            mine = self.accounts.setdefault(key, {}) if len(self.accounts) < MAX_SERVERS or key in self.accounts else None
            for principal, account in accounts.items():
                if mine is None or (principal not in mine and self.n_accounts >= MAX_ACCOUNTS):
                    self.n_more_accounts += account.n
                    continue
                if principal not in mine:
                    mine[principal] = Account()
                    self.n_accounts += 1
                mine[principal].add(account.exposure, account.mechanisms, account.n, account.result, account.last_ns)
                mine[principal].worst = worse(mine[principal].worst, account.worst)
        for key, name in other.names.items():
            if key in self.accounts:
                self.names.setdefault(key, name)
        for label, share in other.shares.items():
            self.shares.setdefault(label if label in self.shares or len(self.shares) < MAX_LABELS else "other", Share()).merge(share)
        for word, n in other.completeness.items():
            self.completeness[word] = self.completeness.get(word, 0) + n
        self.n_more_accounts += other.n_more_accounts
        self.gap_bytes += other.gap_bytes
        self.n_unparsed += other.n_unparsed
        self.exchange.merge(other.exchange)
        self._n_distinct += other._n_distinct

    def worst_first(self) -> list[Group]:
        """Groups in the order in which they should be read."""
        return sorted(self.groups.values(), key=lambda g: (-RANK[g.worst], -g.severities[g.worst], g.rule_id))
