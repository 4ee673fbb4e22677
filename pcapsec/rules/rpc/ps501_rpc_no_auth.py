"""PS501: an interface of Exchange was used without any authentication.

What
    A client bound EMSMDB, AsyncEMSMDB, NSPI or RFR without an authentication trailer, the server took it, and calls followed without one.

Why
    Nothing proves who the client or the server is, and nothing protects the calls: they can be read, altered and invented.

Evidence
    interface, interface_uuid, context_id, transport: what was bound; the interface is also the variant.
    interface_source: how the interface is known; here always bind.
    auth_level, auth_level_name: level in force, 1 is none.
    requests, responses, opnums: calls that followed, by operation number.
    stub_bytes: bytes of the calls and their answers.

Not a finding when
    - a later alter_context or auth3 of the same connection brings authentication: binding first without it is legal;
    - the server rejected the bind, or no call followed;
    - the calls go through a named pipe: there the SMB session is what authenticates;
    - the bind is missing or client bytes were lost: calls at level CONNECT have no trailer either, so nobody can tell: not_observable;
    - it happens inside HTTPS, where nothing is seen.

References
    [MS-RPCE] §2.2.2.11, §3.3.1.5
    [MS-OXCRPC] §2.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, RpcContext, Session
from ..exchange import MAX_FINDINGS, NONE, calls, described, exchange_contexts, lost, nothing_to_judge, start_of, unless_lost
from ..rule import PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS501", slug="rpc-no-auth", title="MAPI interface bound without authentication", severity="high", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT, SERVER),
    remediation="Require RPC encryption on the server: Set-RpcClientAccess -EncryptionRequired $true.",
    references=("[MS-RPCE] §2.2.2.11, §3.3.1.5", "[MS-OXCRPC] §2.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    found = exchange_contexts(facts)
    if not found:
        return nothing_to_judge(session, facts)
    findings, unsure = [], PASS
    for association, context, kind in found:
        if context.transport == "smb" or association.securities or context.securities or not context.levels.get(NONE):
            continue
        if context.interface_source not in (None, "bind"):
            unsure = not_observable(session.unseen_client or "midstream")
        elif lost(session, facts, CLIENT) is not None:
            unsure = unless_lost(session, facts, CLIENT)
        elif context.accepted is None and not context.responses:
            unsure = unless_lost(session, facts, SERVER) if unsure is PASS else unsure
        elif len(findings) < MAX_FINDINGS:
            findings.append(_finding(session, context, kind))
    return findings or (unsure if unsure is not PASS else unless_lost(session, facts, CLIENT))


def _finding(session: Session, context: RpcContext, kind: str) -> Finding:
    side, at = start_of(context)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=kind, side=side, at=at,
        title=f"{context.interface or kind.upper()} of {session.server_ip} port {session.server_port} used without authentication",
        evidence={
            **described(context), "interface_uuid": context.interface_uuid, "context_id": context.context_id, "requests": context.requests,
            "responses": context.responses, "opnums": calls(context), "stub_bytes": context.stub_bytes,
        },
    )
