"""PS502: calls to the mailbox or the directory of Exchange are not encrypted.

What
    Requests on EMSMDB, AsyncEMSMDB, NSPI or RFR had an authentication level below 6 (privacy) in force. A request's level is that of its own
    trailer; without one it is 2 where the connection was authenticated at CONNECT, else 1. What bind, alter_context or auth3 announce is not in force yet.

Why
    Below level 6 the calls' content is readable: mails, folders, addresses. Level 5 only shows that nobody altered it.

Evidence
    interface, interface_uuid, interface_source, context_id, transport: what was called; the interface is also the variant.
    auth_type, auth_level, auth_level_name: the weakest protection in force, and levels with the number of requests at each.
    auth_ctx_ids, levels_announced: security contexts used, and the levels that were announced.
    requests, opnums, calls: requests in all, by operation number, and names of operations.
    clear_stub_bytes: bytes that could be read.
    header_ext_flags: flags of RPC_HEADER_EXT, or-ed; missing when none was read.
    pipe: the named pipe that carried it.

Not a finding when
    - all requests were at level 6, whatever the bind announced: a later alter_context may raise the level, and another security context of the
      same connection may have a lower one;
    - the interface is the endpoint mapper's, the management interface or another one of Windows;
    - no request was seen, the interface is unknown, or the calls are inside TLS: not_observable.
    NSPI and RFR hold directory data only: medium.

References
    [MS-RPCE] §2.2.1.1.8
    [MS-OXCRPC] §3.1.4.1.1.3
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, RpcContext, RpcFacts, Session
from ..exchange import (
    MAILBOX, MAX_FINDINGS, MAX_SHOWN, PRIVACY, calls, columns, described, exchange_contexts, has_unknown, level_name, login_of, named,
    nothing_to_judge, sureness, unless_lost, weakest_of,
)
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS502", slug="rpc-level-below-privacy", title="MAPI/NSPI traffic not encrypted (auth level < 6)", severity="high", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT,),
    remediation="Tick 'Encrypt data between Outlook and Exchange', and require it on the server: Set-RpcClientAccess -EncryptionRequired $true.",
    references=("[MS-RPCE] §2.2.1.1.8", "[MS-OXCRPC] §3.1.4.1.1.3"),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    found = exchange_contexts(facts)
    if not found:
        return nothing_to_judge(session, facts)
    findings, called = [], False
    for association, context, kind in found:
        level = context.auth_level
        if level is None:
            continue
        called = True
        if level < PRIVACY and len(findings) < MAX_FINDINGS:
            findings.append(_finding(session, association, context, kind))
    if findings:
        return findings
    answer = unless_lost(session, facts, CLIENT)
    if answer is PASS and has_unknown(facts):
        return not_observable("midstream")
    if called or answer is not PASS:
        return answer
    if any(context.responses for _, context, _ in found):  # answers without requests: the client's side is not in the capture
        return not_observable("one_sided")
    return NOT_APPLICABLE


def _finding(session: Session, association: RpcFacts, context: RpcContext, kind: str) -> Finding:
    login, mailbox, (side, at) = login_of(context), kind in MAILBOX, weakest_of(context)
    evidence = {
        **described(context), "interface_uuid": context.interface_uuid, "context_id": context.context_id,
        "levels": {level_name(level): count for level, count in sorted(context.levels.items())}, "levels_announced": list(context.levels_announced),
        "auth_ctx_ids": [security.auth_context_id for security in context.securities][:MAX_SHOWN], "requests": context.requests, "opnums": calls(context),
        "calls": list(context.call_names)[:MAX_SHOWN], "clear_stub_bytes": context.clear_stub_bytes,
    }
    if context.mapi is not None and context.mapi.n_header_ext:
        evidence["header_ext_flags"] = f"0x{context.mapi.flags:04x}"
    if association.pipe is not None:
        evidence["pipe"] = association.pipe
    return Finding(
        rule=RULE, severity=RULE.severity if mailbox else "medium", severity_reason="" if mailbox else "directory data",
        confidence=sureness(context), variant=kind,
        title=f"{'Mailbox' if mailbox else 'Directory'} traffic{named(login)} readable: {context.interface or kind.upper()} to {session.server_ip} "
              f"port {session.server_port} at RPC level {level_name(context.auth_level)}",
        side=side, at=at,
        **columns(login, context.auth_type), evidence=evidence,
    )
