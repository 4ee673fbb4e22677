"""PS517: the mailbox client says that it is an old one.

What
    The connect call names a client version of Outlook 2007 (12), 2003 (11) or before, or the client used EcDoConnect, which later versions left.

Why
    Up to Outlook 2003 mailbox traffic was not encrypted by default, and no updates come any more.

Evidence
    interface, interface_source, transport: what was called.
    auth_type, auth_level, auth_level_name: protection in force.
    client_version: as the client says; missing where only the old call tells.
    opnums: requests by operation number; 0 is EcDoConnect.

Not a finding when
    - the version is newer;
    - the connect call is encrypted, or lost: not_observable.
    Other programs (OpenChange, Evolution) claim versions of their choice: medium confidence.

References
    [MS-OXCRPC] §3.2.4.1.3.2
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, RpcContext, Session
from ..exchange import MAX_FINDINGS, PRIVACY, calls, columns, described, exchange_contexts, login_of, nothing_to_judge, start_of, unless_lost
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS517", slug="old-outlook-client", title="Old MAPI client version", severity="info", confidence="medium",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT,),
    remediation="Upgrade the mail program.",
    references=("[MS-OXCRPC] §3.2.4.1.3.2",),
)
OLDEST_GOOD = 14  # 13 was left out
FAMILIES = {11: "2003", 12: "2007"}
EC_DO_CONNECT = 0


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    found = exchange_contexts(facts)
    mailbox = [context for _, context, kind in found if kind == "emsmdb"]
    if not mailbox:
        return NOT_APPLICABLE if found else nothing_to_judge(session, facts)
    findings = [_finding(session, context) for context in mailbox if _is_old(context)]
    if findings:
        return findings[:MAX_FINDINGS]
    if any(_major(context) is not None for context in mailbox):
        return PASS
    if any(context.auth_level == PRIVACY for context in mailbox):
        return not_observable("encrypted")
    answer = unless_lost(session, facts, CLIENT)
    return NOT_APPLICABLE if answer is PASS else answer


def _major(context: RpcContext) -> int | None:
    if context.mapi is None or context.mapi.client_version is None:
        return None
    major = context.mapi.client_version.partition(".")[0]
    return int(major) if major.isdecimal() else None


def _is_old(context: RpcContext) -> bool:
    major = _major(context)
    return 0 < major < OLDEST_GOOD if major is not None else EC_DO_CONNECT in context.opnums


def _finding(session: Session, context: RpcContext) -> Finding:
    major, login = _major(context), login_of(context)
    evidence = {**described(context), "opnums": calls(context)}
    if major is None:
        variant, what = "ecdoconnect", "a call that Outlook left with version 2007"
    else:
        variant = FAMILIES.get(major, "older")
        what = f"version {context.mapi.client_version}" + (f" (Outlook {variant})" if major in FAMILIES else "")
        evidence["client_version"] = context.mapi.client_version
    side, at = start_of(context)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant,
        title=f"The mailbox client {session.client_ip} of {session.server_ip} uses {what}",
        side=side, at=at, **columns(login, context.auth_type), evidence=evidence,
    )
