"""PS518: an RPC server refused a login, an interface or a call.

What
    The server answered a call with access denied (5) or unknown interface (0x1C010003), a bind with the reason that the authentication type is not
    known (8) or its checksum is wrong (9), or ended a login by a refusal.

Why
    It explains why a client fails, or shows somebody trying doors.

Evidence
    faults: status of refused calls, hexadecimal, with counts.
    bind_refusals: reasons of refused binds, with counts.
    login_refused: the login of a security context was refused.
    interfaces: what it was about.

Not a finding when
    - the server answered other faults, which are the call's own;
    - the server's side is lost: not_observable.
    For interfaces that are not Exchange's it is info.

References
    [MS-RPCE] §2.2.2.5, §3.3
"""
from __future__ import annotations

from typing import Any

from ...records import SERVER, Facts, Finding, RpcContext, RpcFacts, Session
from ..exchange import KINDS, MAX_FINDINGS, columns, interface_names, nothing_to_judge, unless_lost
from ..rule import PASS, RPC, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS518", slug="rpc-auth-failed", title="RPC authentication or access failure", severity="low", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(SERVER,),
    remediation="Look for the reason: wrong password, missing right, or an interface that is not there.",
    references=("[MS-RPCE] §2.2.2.5, §3.3",),
)
ACCESS_DENIED, UNKNOWN_INTERFACE = 0x00000005, 0x1C010003
FAULTS = {ACCESS_DENIED: "access-denied", UNKNOWN_INTERFACE: "unknown-interface"}
REFUSALS = {8: "auth-type-unknown", 9: "checksum-wrong"}


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    findings = [finding for association in (facts.rpc or ())[:MAX_FINDINGS] if (finding := _judge(session, association)) is not None]
    if findings:
        return findings
    if not facts.rpc:
        return nothing_to_judge(session, facts)
    answer = unless_lost(session, facts, SERVER)
    return answer if answer is not PASS else PASS


def _judge(session: Session, association: RpcFacts) -> Finding | None:
    faulty = [context for context in association.contexts if any(status in context.faults for status in FAULTS)]
    naks = [(reason, at) for reason, at in association.naks if reason in REFUSALS]
    refused = [security for security in association.securities if security.established is False]
    if not faulty and not naks and not refused:
        return None
    statuses: dict[int, int] = {}
    for context in faulty:
        for status in FAULTS:
            if status in context.faults:
                statuses[status] = statuses.get(status, 0) + context.faults[status]
    about: list[RpcContext] = faulty or association.contexts
    mail = any(context.interface_uuid in KINDS for context in about)
    evidence: dict[str, Any] = {"interfaces": interface_names(about)}
    if statuses:
        evidence["faults"] = {f"0x{status:08x}": count for status, count in statuses.items()}
    if naks:
        evidence["bind_refusals"] = {REFUSALS[reason]: sum(one == reason for one, _ in naks) for reason, _ in naks}
    if refused:
        evidence["login_refused"] = True
    login = next((security.login for security in refused or association.securities if security.login is not None), None)
    variant = REFUSALS[naks[0][0]] if naks else "login-refused" if refused else FAULTS[min(statuses)]
    side, at = SERVER, min([at for _, at in naks] + [context.first_fault_at for context in faulty if context.first_fault_at is not None], default=None)
    if at is None:
        side, at = (refused[0].side, refused[0].at) if refused else (about[0].side, about[0].at)
    return Finding(
        rule=RULE, severity=RULE.severity if mail else "info", severity_reason="" if mail else "not an interface of Exchange", confidence=RULE.confidence,
        variant=variant, title=f"RPC server {session.server_ip} port {session.server_port} refused {session.client_ip}: {variant.replace('-', ' ')}",
        side=side, at=at, **columns(login, None), evidence=evidence,
    )
