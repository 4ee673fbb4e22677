"""PS511: the Exchange server refused a mailbox connection because it was not encrypted.

What
    A client connected to its mailbox below level 6 and got ecNotEncrypted (0x970) in a readable answer.

Why
    The server protects itself, the client does not: its profile asks for no encryption, and the refused attempt has already told the user's name.

Evidence
    interface, interface_source, transport: what was called.
    auth_type, auth_level, auth_level_name: protection in force.
    user_dn, client_version: what the refused attempt told.
    refused: answers that said so.
    next_level: the level that the client then used on the same connection; missing when it did not.

Not a finding when
    - the number stands elsewhere than in the place of the call's result;
    - the calls are encrypted: then nothing is refused, or nobody can see it.
    Exchange 2010 came with encryption required; a fresh server with service pack 1 does not require it, an upgraded one keeps what it had.

References
    [MS-OXCRPC] §3.1.4.1
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, RpcContext, Session
from ..exchange import MAILBOX, MAX_FINDINGS, PRIVACY, columns, described, exchange_contexts, login_of, named, nothing_to_judge, sureness, unless_lost
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS511", slug="rpc-server-requires-encryption", title="Server refused unencrypted MAPI (ecNotEncrypted)", severity="info", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(SERVER,),
    remediation="Tick 'Encrypt data between Outlook and Exchange' in the Outlook profile.",
    references=("[MS-OXCRPC] §3.1.4.1",),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    found = exchange_contexts(facts)
    mailbox = [context for _, context, kind in found if kind in MAILBOX]
    if not mailbox:
        return NOT_APPLICABLE if found else nothing_to_judge(session, facts)
    findings = [_finding(session, context) for context in mailbox if context.mapi is not None and context.mapi.not_encrypted_refused]
    if findings:
        return findings[:MAX_FINDINGS]
    return PASS if all(context.auth_level == PRIVACY for context in mailbox) else unless_lost(session, facts, SERVER)


def _finding(session: Session, context: RpcContext) -> Finding:
    mapi, login = context.mapi, login_of(context)
    evidence = {**described(context), "refused": mapi.not_encrypted_refused}
    if mapi.user_dn:
        evidence["user_dn"] = mapi.user_dn
    if mapi.client_version:
        evidence["client_version"] = mapi.client_version
    if context.levels.get(PRIVACY):
        evidence["next_level"] = PRIVACY
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=sureness(context), variant="retried" if "next_level" in evidence else "",
        title=f"{session.server_ip} port {session.server_port} refused an unencrypted mailbox connection{named(login)}",
        side=SERVER, at=mapi.not_encrypted_at, **columns(login, context.auth_type), evidence=evidence,
    )
