"""PS908: somebody guesses passwords.

What
    Ten or more logins failed within ten minutes, for one account of a server or from one client, and they were not the same login again and again.
    Variant `account`: many passwords for one account. Variant `spray`: few passwords for many accounts. Variant `accounts`: many of both.

Why
    Guessing is answered by the server as long as nothing slows it down, and one weak password is enough.

Evidence
    n_failed: failed logins in those ten minutes; n_inside_tls: how many of them were read inside TLS.
    begin, minutes: when, and how many minutes of the ten had failures.
    n_accounts, n_passwords: distinct names and passwords tried; 16 stands for 16 or more; an answer to a challenge does not show which password it was made from.
    accounts, clients, servers: the first few.
    n_worked: logins of that client that worked in the same time.
    worked: accounts among those tried into which one of those clients got, at any time.

Not a finding when
    - one program repeats one wrong password: there are fewer than five different ones for the account, fewer than ten pairs of name and password from the client;
    - as many logins of that client worked: a webmail server, a proxy, an office behind one address;
    - the server refused without looking at the password, or put the client off.
    Where answers are not in the capture: not_observable.

References
    CWE-307
    NIST SP 800-63B §5.2.2
"""
from __future__ import annotations

from typing import Any, NamedTuple

from ...records import Capture, Finding
from ..accounts import MANY, MAX_FINDINGS, MINUTE_NS, WINDOW, Accounts, Minute, Target, smallest
from ..handshake import when
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..site import Site

RULE = Rule(
    id="PS908", slug="password-guessing", title="Many failed logins in clear", severity="medium", confidence="medium",
    category="correlation", scope="capture", protocols=ANY, several=True,
    remediation="Limit failed logins per client and per account, look who the client is, and change the password of each account that was got into.",
    references=("CWE-307", "NIST SP 800-63B §5.2.2"),
)
LEAST, LEAST_PASSWORDS, LEAST_ACCOUNTS = 10, 5, 5


class Window(NamedTuple):
    """The ten minutes with the most failures."""

    begin: int  # minute since 1970
    n_minutes: int
    all: Minute


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    accounts = site.collected.accounts
    if capture.name not in accounts.captures:
        return NOT_APPLICABLE
    found = accounts.answer(RULE.id, _guessing).get(capture.name)
    return found or (not_observable(accounts.unanswered[capture.name]) if capture.name in accounts.unanswered else PASS)


def _guessing(accounts: Accounts) -> dict[str, list[Finding]]:
    """Capture -> findings whose first evidence stands there."""
    targets: dict[Target, dict[int, Minute]] = {}
    for (target, minute), one in accounts.failures.items():
        targets.setdefault(target, {})[minute] = one
    findings, told = [], set()
    for target in sorted(targets, key=lambda target: (target[0] != "client", target)):  # clients first: their findings cover accounts
        window = _worst(targets[target])
        variant = _variant(target, window, accounts)
        if variant is None or target[0] == "account" and window.all.clients <= told:
            continue
        if target[0] == "client":
            told.add(target[1])
        if len(findings) < MAX_FINDINGS:
            findings.append(_finding(target, variant, window, accounts))
    found: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: (one.ts_ns, one.capture, one.frame, one.finding_id)):
        found.setdefault(finding.capture, []).append(finding)
    return found


def _worst(minutes: dict[int, Minute]) -> Window:
    order, best, begin = sorted(minutes), (0, 0), 0
    for end, minute in enumerate(order):
        while order[begin] <= minute - WINDOW:
            begin += 1
        n = sum(minutes[one].n for one in order[begin:end + 1])
        best = max(best, (n, -order[begin]))
    within = [minute for minute in order if -best[1] <= minute < -best[1] + WINDOW]
    joined = minutes[within[0]].copy()
    for minute in within[1:]:
        joined.add(minutes[minute])
    return Window(within[0], len(within), joined)


def _variant(target: Target, window: Window, accounts: Accounts) -> str | None:
    seen = window.all
    if seen.n < LEAST:
        return None
    if target[0] == "account":
        return "account" if len(seen.fingerprints) >= LEAST_PASSWORDS else None
    if len(seen.names) < LEAST_ACCOUNTS or len(seen.tries) < LEAST:
        return None
    worked = accounts.n_worked(target[1], window.begin, window.begin + WINDOW - 1)
    if worked is None or worked >= seen.n:
        return None
    return "spray" if seen.fingerprints and len(seen.fingerprints) <= len(seen.names) // 3 else "accounts"


def _finding(target: Target, variant: str, window: Window, accounts: Accounts) -> Finding:
    seen, scope = window.all, target[0]
    names, first = sorted(name for name in seen.names if name), seen.first
    inside = {(key.principal or "")[:64].lower() for key, use in accounts.settled()
              if use.n_success and not key.failed and key.server_ip in seen.servers and use.clients & seen.clients} & set(names)
    many = f"{'at least ' if len(seen.names) == MANY else ''}{len(seen.names)} accounts"
    title = f"{seen.n} logins of {target[2]} on {target[1]} failed within ten minutes" if scope == "account" else f"{target[1]} failed {seen.n} times to log in, to {many}, within ten minutes"
    evidence: dict[str, Any] = {
        "n_failed": seen.n, "n_inside_tls": seen.n_inside, "begin": when(window.begin * MINUTE_NS), "minutes": window.n_minutes, "n_accounts": len(seen.names),
        "n_passwords": len(seen.fingerprints), "accounts": names[:MANY], "clients": sorted(seen.clients), "servers": sorted(seen.servers),
        "n_worked": sum(accounts.n_worked(client, window.begin, window.begin + WINDOW - 1) or 0 for client in smallest(seen.clients, MANY)), "worked": sorted(inside)}
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant, title=title, evidence=evidence,
        finding_id=finding_id(RULE.id, variant, "\n".join(target), window.begin), principal=target[2] or None, auth_result="failed",
        capture=first.capture, frame=first.frame, ts_ns=first.ts_ns, ends=first.ends)
