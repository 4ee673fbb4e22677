"""PS907: a secret passed in clear although the same account, or the same client, reaches that server over TLS too.

What
    A login could be read, and the same account logged in inside TLS (read with keys), or the same client had conversations over TLS with that server.

Why
    TLS elsewhere does not bring the secret back: it was readable once, and opens what is encrypted otherwise. One forgotten program, port or phone is
    usually the cause, and the server lets it.

Evidence
    n_clear: logins in clear; n_tls: those inside TLS, or conversations over TLS where logins cannot be seen.
    known_by: account (the same name logged in inside TLS), password (the same password did), client (the same address).
    clear_server, tls_server: address and port of both.
    first_clear, first_tls: when.
    source_finding_ids: findings that say where it passed readable.
    related_session_ids: the first conversation of either kind.

Not a finding when
    - the server refused the login;
    - TLS with that server failed, or is the conversation that holds the login, or was one of mail servers among themselves.
    Where all that is known is that the same address used TLS, confidence is medium, and low where several accounts log in from that address.

References
    RFC 8314 §3
    CWE-319
"""
from __future__ import annotations

from typing import NamedTuple

from ...records import Capture, Finding
from ..accounts import MAX_FINDINGS, Accounts, Key, Use, finding_ids, place, session_ids
from ..handshake import ACCESS_SERVICES, when
from ..rule import ANY, LESS_SURE, LOWER, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site
from ..visit_flags import ESTABLISHED, LOGGED_IN
from ..visits import Visits

RULE = Rule(
    id="PS907", slug="secret-clear-and-tls", title="Secret leaked in clear for a host that is otherwise TLS-only for this user", severity="high", confidence="high",
    category="correlation", scope="capture", protocols=ANY, several=True,
    remediation="Change the password: TLS elsewhere does not help. Then find the program that logs in without it, and let the server refuse logins in clear.",
    references=("RFC 8314 §3", "CWE-319"),
)


class Protected(NamedTuple):
    """TLS that the same account or client used."""

    known_by: str
    n: int
    server: str
    ts_ns: int
    session_id: str


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    accounts = site.collected.accounts
    if capture.name not in accounts.captures:
        return NOT_APPLICABLE
    return accounts.answer(RULE.id, lambda accounts: _leaks(accounts, site.collected.visits)).get(capture.name) or PASS


def _leaks(accounts: Accounts, visits: Visits) -> dict[str, list[Finding]]:
    """Capture -> findings whose first evidence stands there."""
    clear: dict[tuple[str, str], list[tuple[Key, Use]]] = {}
    by_account: dict[tuple[str, str], list[tuple[Key, Use]]] = {}
    by_password: dict[str, list[tuple[Key, Use]]] = {}
    for key, use in accounts.settled():
        if key.failed or key.exposure == "ticket":
            continue
        who = key.server_ip, (key.principal or "").lower()
        if not key.inside:
            if use.first.finding_id:
                clear.setdefault(who, []).append((key, use))
            continue
        if who[1]:
            by_account.setdefault(who, []).append((key, use))
        if key.fingerprint is not None:
            by_password.setdefault(key.fingerprint, []).append((key, use))
    names: dict[str, set[str]] = {}  # client -> accounts
    for who, uses in clear.items():
        for client in {client for _, use in uses for client in use.clients}:
            names.setdefault(client, set()).add(who[1])
    tls = _sessions(visits, {(client, who[0]) for who, uses in clear.items() for _, use in uses for client in use.clients})
    found: dict[str, list[Finding]] = {}
    for who, uses in list(clear.items())[:MAX_FINDINGS]:
        protected = _inside("account", by_account.get(who, [])) or _inside("password", [one for key, _ in uses for one in by_password.get(key.fingerprint or "", [])])
        clients = sorted({client for _, use in uses for client in use.clients if (client, who[0]) in tls})
        if protected is None and clients:
            protected = tls[clients[0], who[0]]
        if protected is not None:
            finding = _finding(uses, protected, len(names[clients[0]]) == 1 if clients else True)
            found.setdefault(finding.capture, []).append(finding)
    return found


def _inside(known_by: str, uses: list[tuple[Key, Use]]) -> Protected | None:
    """Logins that were read inside TLS."""
    if not uses:
        return None
    key, use = min(uses, key=lambda one: one[1].first.order())
    return Protected(known_by, sum(use.n for _, use in uses), place(key), use.first.ts_ns, use.first.ends.session_id)


def _sessions(visits: Visits, pairs: set[tuple[str, str]]) -> dict[tuple[str, str], Protected]:
    """Client and server -> conversations over TLS for users' programs, in which no login passed in clear."""
    found: dict[tuple[str, str], Protected] = {}
    if not pairs or not len(visits):
        return found
    rows, clients, servers = visits.rows(), visits.clients.values, visits.servers.values
    users = {number for number, kind in enumerate(visits.kinds.values) if kind is not None and kind[1] in ACCESS_SERVICES}
    for row in rows[(rows["flags"] & (ESTABLISHED | LOGGED_IN)) == ESTABLISHED]:
        pair = clients[row["client"]], servers[row["server"]][0]
        if pair in pairs and int(row["kind"]) in users:
            known = found.get(pair)
            if known is None:
                visit = visits.look_up(row)
                address = f"[{visit.server_ip}]" if ":" in visit.server_ip else visit.server_ip
                known = Protected("client", 0, f"{address}:{visit.server_port}", visit.start_ns, visit.session_id)
            found[pair] = known._replace(n=known.n + 1)
    return found


def _finding(uses: list[tuple[Key, Use]], protected: Protected, alone: bool) -> Finding:
    key, use = uses[0]
    first, who = use.first, key.principal or "an account without name"
    guessed = all(one.exposure == "guessable" for one, _ in uses)
    worked = any(one.n_success for _, one in uses)
    confidence = RULE.confidence if protected.known_by != "client" else LESS_SURE[RULE.confidence] if alone else "low"
    return Finding(
        rule=RULE, severity=LOWER[RULE.severity] if guessed else RULE.severity, severity_reason="it can only be guessed offline" if guessed else "",
        confidence=confidence if worked else LESS_SURE[confidence], variant=protected.known_by,
        finding_id=finding_id(RULE.id, protected.known_by, f"{key.server_ip}\n{who.lower()}", first.ends.session_id),
        title=f"{'An answer' if guessed else 'The secret'} of {who[:64]} passed in clear to {place(key)}, which is reached over TLS too", principal=key.principal, mechanism=key.mechanism,
        capture=first.capture, frame=first.frame, ts_ns=first.ts_ns, ends=first.ends,
        evidence={"n_clear": sum(one.n for _, one in uses), "n_tls": protected.n, "known_by": protected.known_by, "clear_server": place(key), "tls_server": protected.server,
                  "first_clear": when(first.ts_ns), "first_tls": when(protected.ts_ns), "source_finding_ids": finding_ids(uses),
                  "related_session_ids": [*session_ids(uses), protected.session_id]})
