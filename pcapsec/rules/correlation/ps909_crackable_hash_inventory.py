"""PS909: all that can be guessed offline, account by account.

What
    Answers to challenges, and Kerberos tickets under an RC4 key, that passed readable in this capture and let anyone try passwords without the server.

Why
    Each of them stands in a finding of its own; this is the list to work off, the most exposed first. How long a password holds depends on it alone: one of
    ten ordinary characters does not last against NTLM.

Evidence
    n_accounts, n_exchanges: how many accounts, and how many logins.
    kinds: how many accounts by kind of exchange.
    strongest: the kind that gives way first.
    accounts: account, domain, kind, servers, n, n_success of each, the first few; hashcat_mode: the number under which that program's documentation
    describes the kind, where it has one.
    source_finding_ids: findings that show the exchanges, the first few.

Not a finding when
    - fewer than two accounts did so: its own finding says it all;
    - the challenge was not captured, or the account has no password to guess (anonymous).

References
    hashcat: example hashes
    MS-NLMP §3.3
"""
from __future__ import annotations

from typing import Any

from ...records import Capture, Finding
from ..accounts import Accounts, Key, Use, finding_ids, identity, place
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS909", slug="crackable-hash-inventory", title="Inventory of offline-crackable exchanges", severity="info", confidence="high",
    category="correlation", scope="capture", protocols=ANY,
    remediation="Change these passwords, machine accounts aside, and let the logins pass inside TLS only.",
    references=("hashcat: example hashes", "MS-NLMP §3.3"),
)
MAX_SHOWN = 50  # accounts
_HASHCAT = {"LM": None, "NetNTLMv1": 5500, "NetNTLMv2": 5600, "CRAM-MD5": 10200, "HTTP Digest": 11400, "Kerberos RC4 ticket": 13100}
_WEAKEST = ("LM", "NetNTLMv1", "APOP", "CRAM-MD5", "DIGEST-MD5", "HTTP Digest", "NetNTLMv2", "NetNTLM", "Kerberos RC4 ticket")  # others last


def judge(capture: Capture, site: Site) -> Finding | Verdict:
    accounts = site.collected.accounts
    if capture.name not in accounts.captures:
        return NOT_APPLICABLE
    return accounts.answer(RULE.id, _inventories).get(capture.name, PASS)


def _inventories(accounts: Accounts) -> dict[str, Finding]:
    """Capture -> what of its logins can be guessed, each login where it was seen first."""
    by_capture: dict[str, list[tuple[Key, Use]]] = {}
    for key, use in accounts.settled():
        if key.kind is not None and not key.inside:
            by_capture.setdefault(use.first.capture, []).append((key, use))
    return {capture: finding for capture, uses in by_capture.items() if (finding := _finding(capture, uses)) is not None}


def _finding(capture: str, uses: list[tuple[Key, Use]]) -> Finding | None:
    rows: dict[tuple[str, str, str], list[tuple[Key, Use]]] = {}
    for key, use in uses:
        rows.setdefault((key.kind or "", *identity(key)), []).append((key, use))
    named = {row[1:] for row in rows}
    if len(named) < 2:
        return None
    order = sorted(rows, key=lambda row: (_rank(row[0]), row))
    kinds: dict[str, int] = {}
    for kind, _, _ in order:
        kinds[kind] = kinds.get(kind, 0) + 1
    n = sum(use.n for _, use in uses)
    first = uses[0][1].first
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, title=f"{n:,} logins of {len(named):,} accounts can be guessed offline: {', '.join(kinds)}",
        finding_id=finding_id(RULE.id, "", capture, first.ends.session_id), capture=first.capture, frame=first.frame, ts_ns=first.ts_ns, ends=first.ends,
        evidence={"n_accounts": len(named), "n_exchanges": n, "kinds": kinds, "strongest": order[0][0], "accounts": [_row(kind, rows[kind, name, domain]) for kind, name, domain in order[:MAX_SHOWN]],
                  "source_finding_ids": finding_ids(uses)})


def _rank(kind: str) -> int:
    return _WEAKEST.index(kind) if kind in _WEAKEST else len(_WEAKEST)


def _row(kind: str, uses: list[tuple[Key, Use]]) -> dict[str, Any]:
    key = uses[0][0]
    row = {"account": key.principal, "domain": key.domain, "kind": kind, "hashcat_mode": _HASHCAT.get(kind), "servers": sorted({place(one) for one, _ in uses})[:10],
           "n": sum(use.n for _, use in uses), "n_success": sum(use.n_success for _, use in uses)}
    return {name: value for name, value in row.items() if value is not None}
