"""PS906: one password opens several doors.

What
    The same password was read in logins of several accounts, at several organisations, servers or protocols. Passwords are compared by a fingerprint under a
    key of this run, never shown and never kept.

Why
    Whoever read it once in clear gets into all of them, also into those that are well protected themselves; each has to be changed.

Evidence
    accounts, servers, protocols: what it opens, the first few; n_accounts, n_servers: how many.
    logins: account, server, protocol, mechanism of each, and tls: that one was read inside TLS.
    source_finding_ids: findings that say where it passed readable.
    related_session_ids: the first conversation of each login.

Not a finding when
    - the server refused the login;
    - it is a token, an anonymous login, or an answer to a challenge, which is another one each time;
    - it only passed inside TLS, or within one host.
    One account at one server with several protocols is no reuse, but still one leak for all of them: info. Servers of one organisation, or of unknown
    names, may share a directory: low. Accounts whose names differ in their numbers alone are devices that share a password on purpose: medium.

References
    CWE-1391
    NIST SP 800-63B §5.1.1
"""
from __future__ import annotations

import re
from typing import Any

from ...records import Capture, Finding
from ..accounts import MAX_FINDINGS, MAX_SHOWN, Accounts, Key, Use, finding_ids, local_part, place, session_ids
from ..rule import ANY, LESS_SURE, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..site import LOOPBACK, Site
from ..suffixes import registrable

RULE = Rule(
    id="PS906", slug="credential-reuse", title="Same secret on several protocols, hosts or users", severity="high", confidence="high",
    category="correlation", scope="capture", protocols=ANY, several=True,
    remediation="Change the password everywhere it is used, and give each account and each organisation its own.",
    references=("CWE-1391", "NIST SP 800-63B §5.1.1"),
)
_SEVERITY = {"accounts": ("high", ""), "devices": ("medium", "names differ in their numbers alone: devices that share it on purpose?"), "organisations": ("high", ""),
             "servers": ("low", "one account, whose servers may share a directory"), "protocols": ("info", "one account at one server")}
_DIGITS = re.compile(r"\d+")


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    accounts = site.collected.accounts
    if capture.name not in accounts.captures:
        return NOT_APPLICABLE
    found = accounts.answer(RULE.id, lambda accounts: _reuses(accounts, site))
    if capture.name in found:
        return found[capture.name]
    readable = any(key.fingerprint is not None and use.first.capture == capture.name for key, use in accounts.settled())
    return PASS if readable else not_observable("not_comparable")


def _reuses(accounts: Accounts, site: Site) -> dict[str, list[Finding]]:
    """Capture -> findings whose first evidence stands there."""
    groups: dict[str, list[tuple[Key, Use]]] = {}
    for key, use in accounts.settled():
        if key.fingerprint is not None and not key.failed and site.scope(key.server_ip) != LOOPBACK:
            groups.setdefault(key.fingerprint, []).append((key, use))
    found: dict[str, list[Finding]] = {}
    for uses in list(groups.values())[:MAX_FINDINGS]:
        if len(uses) > 1 and (variant := _variant(uses)) is not None and not all(key.inside for key, _ in uses):
            finding = _finding(variant, uses)
            found.setdefault(finding.capture, []).append(finding)
    return found


def _variant(uses: list[tuple[Key, Use]]) -> str | None:
    """What kind of reuse it is; None: none."""
    locals_ = {local_part(key.principal) for key, _ in uses}
    if len(locals_) > 1:
        return "devices" if len({_DIGITS.sub("#", name) for name in locals_}) == 1 else "accounts"
    domains = {registrable(domain) for key, _ in uses if (domain := (key.principal or "").rpartition("@")[2].lower()) and "@" in (key.principal or "")}
    names = {registrable(use.first.ends.server_name) for _, use in uses if use.first.ends.server_name}
    if len(domains) > 1 or len(names) > 1 and not domains:
        return "organisations"
    if len({key.server_ip for key, _ in uses}) > 1:
        return "servers"
    return "protocols" if len({key.protocol for key, _ in uses}) > 1 else None


def _finding(variant: str, uses: list[tuple[Key, Use]]) -> Finding:
    names = sorted({key.principal or "" for key, _ in uses})
    servers, protocols = sorted({key.server_ip for key, _ in uses}), sorted({key.protocol for key, _ in uses})
    first = next(use.first for key, use in uses if not key.inside)
    severity, reason = _SEVERITY[variant]
    sure = all(use.n_success for _, use in uses)
    shown: list[dict[str, Any]] = [{"account": key.principal, "server": place(key), "protocol": key.protocol, "mechanism": key.mechanism, "tls": key.inside} for key, _ in uses[:MAX_SHOWN]]
    one = (names[0] or "an account without name")[:64]
    title = {
        "accounts": f"{one} and {len(names) - 1} more accounts have the same password", "devices": f"{one} and {len(names) - 1} more accounts have the same password",
        "organisations": f"{one} has the same password at several organisations", "servers": f"{one} has the same password on {len(servers)} servers",
        "protocols": f"The password of {one} opens {' and '.join(protocols).upper()} on {servers[0]}",
    }[variant].replace(" 1 more accounts", " 1 more account")
    return Finding(
        rule=RULE, severity=severity, confidence=RULE.confidence if sure else LESS_SURE[RULE.confidence], variant=variant, severity_reason=reason, title=title,
        finding_id=finding_id(RULE.id, variant, "\n".join(sorted(f"{place(key)} {key.protocol} {key.mechanism} {key.principal}" for key, _ in uses)), first.ends.session_id),
        principal=names[0] or None if len(names) == 1 else None, capture=first.capture, frame=first.frame, ts_ns=first.ts_ns, ends=first.ends,
        because_of=first.finding_id or None if severity in ("low", "info") else None,
        evidence={"accounts": names[:MAX_SHOWN], "n_accounts": len(names), "servers": servers[:MAX_SHOWN], "n_servers": len(servers), "protocols": protocols, "logins": shown,
                  "source_finding_ids": finding_ids(uses), "related_session_ids": session_ids(uses)})
