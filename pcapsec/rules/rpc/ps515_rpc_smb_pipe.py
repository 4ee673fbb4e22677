"""PS515: an interface of Exchange was reached through a named pipe of SMB.

What
    A pipe was opened by SMB and one of EMSMDB, AsyncEMSMDB, NSPI or RFR was bound on it.

Why
    It is a road to the mailbox or directory that is easily forgotten; how safe it is hangs on SMB's signing and encryption and on RPC's own level.

Evidence
    interfaces: what was bound.
    pipe: name of the pipe.
    dialect: of SMB.
    signed, signing_required, encrypted: protection by SMB; missing when not seen.

Not a finding when
    - the pipe carries other interfaces, of Windows;
    - SMB encrypts: the pipes are not seen: not_observable.

References
    [MS-RPCE] §2.1.1.2
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, RpcContext, RpcFacts, Session, SmbFacts
from ..exchange import MAX_FINDINGS, columns, exchange_contexts, interface_names, login_of, nothing_to_judge
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS515", slug="rpc-smb-pipe", title="MAPI/RPC over SMB named pipe", severity="info", confidence="medium",
    category="rpc", scope="session", protocols=("smb",), several=True, needs=(CLIENT,),
    remediation="Block SMB to Exchange servers from clients; require SMB encryption where it is wanted.",
    references=("[MS-RPCE] §2.1.1.2",),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    by_pipe: dict[int, tuple[RpcFacts, list[RpcContext]]] = {}
    for association, context, _ in exchange_contexts(facts):
        by_pipe.setdefault(id(association), (association, []))[1].append(context)
    if not by_pipe:
        return nothing_to_judge(session, facts)
    return [_finding(session, association, found, facts.smb or SmbFacts()) for association, found in list(by_pipe.values())[:MAX_FINDINGS]]


def _finding(session: Session, association: RpcFacts, found: list[RpcContext], smb: SmbFacts) -> Finding:
    names = interface_names(found)
    side, at = (found[0].side, found[0].at) if association.bind_at is None else (CLIENT, association.bind_at)
    evidence: dict = {"interfaces": names, "encrypted": smb.encrypted}
    for name, value in (("pipe", association.pipe), ("dialect", smb.dialect), ("signed", smb.signed), ("signing_required", smb.signing_required)):
        if value is not None:
            evidence[name] = value
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{', '.join(names)} of {session.server_ip} reached by SMB through the pipe {(association.pipe or 'unnamed')[:64]}",
        side=side, at=at, **columns(login_of(found[0]), found[0].auth_type), evidence=evidence,
    )
