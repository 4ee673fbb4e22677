"""PS510: the headers of RPC messages are not protected, although their content is.

What
    Calls run at level 5 or 6, but bind or bind_ack lacks the flag that agrees on signed headers.

Why
    Operation number, context and object of a call stand in the header: without its signature an attacker on the way can turn one call into another.

Evidence
    interface, interface_source, transport: what was called.
    auth_type, auth_level, auth_level_name: the weakest protection in force, and levels with the number of requests at each.
    header_signing: false: not agreed on.

Not a finding when
    - no call is at level 5 or above: then nothing is signed anyway (PS502);
    - the login behind those calls was refused, so that none of them was done (PS518);
    - bind or bind_ack is not in the capture: the same bit means something else in other messages, so that they cannot tell: not_observable.
    For interfaces that are not Exchange's it is info.

References
    [MS-RPCE] §2.2.2.3
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, RpcContext, RpcFacts, Session
from ..exchange import INTEGRITY, KINDS, MAX_FINDINGS, columns, described, level_name, login_of, nothing_to_judge, unless_lost
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS510", slug="rpc-header-not-signed", title="Header signing not negotiated", severity="low", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT, SERVER),
    remediation="Use client and server software that agrees on header signing; all supported Windows versions do.",
    references=("[MS-RPCE] §2.2.2.3",),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    findings, judged, unsure = [], False, PASS
    for association in facts.rpc or ():
        context = _best(association)
        if context is None:
            continue
        judged = True
        if association.header_signing is None:
            unsure = not_observable(session.unseen_client or session.unseen_server or "midstream")
        elif association.header_signing is False and len(findings) < MAX_FINDINGS:
            findings.append(_finding(session, association, context))
    if findings or unsure is not PASS:
        return findings or unsure
    if judged:
        return PASS
    if not facts.rpc:
        return nothing_to_judge(session, facts)
    answer = unless_lost(session, facts, CLIENT)
    return answer if answer is not PASS else NOT_APPLICABLE


def _best(association: RpcFacts) -> RpcContext | None:
    """The context with calls at level 5 or above that says most: one of Exchange's before others."""
    signed = [context for context in association.contexts if context.accepted is not False and max(context.levels, default=0) >= INTEGRITY and not _refused(context)]
    return next((context for context in signed if context.interface_uuid in KINDS), signed[0] if signed else None)


def _refused(context: RpcContext) -> bool:
    return bool(context.securities) and all(security.established is False for security in context.securities)


def _finding(session: Session, association: RpcFacts, context: RpcContext) -> Finding:
    mail = context.interface_uuid in KINDS
    side, at = (context.side, context.at) if association.bind_at is None else (CLIENT, association.bind_at)
    return Finding(
        rule=RULE, severity=RULE.severity if mail else "info", severity_reason="" if mail else "not an interface of Exchange", confidence=RULE.confidence,
        variant="mail" if mail else "other",
        title=f"RPC headers to {session.server_ip} port {session.server_port} are not signed",
        side=side, at=at, **columns(login_of(context), context.auth_type),
        evidence={**described(context), "levels": {level_name(level): count for level, count in sorted(context.levels.items())}, "header_signing": False},
    )
