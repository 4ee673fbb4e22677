"""PS516: mailbox data was read out of RPC calls.

What
    Below level 6, after XOR and compression were undone, the calls showed a user's directory name, operations of the mailbox or readable text.

Why
    It proves what an unencrypted level means: content of the mailbox or the directory is in the capture.

Evidence
    interface, interface_source, transport: what was called; the interface is also the variant.
    auth_type, auth_level, auth_level_name: protection in force.
    obfuscation: what had to be undone.
    user_dn_seen: a directory name of the user stood in the connect call.
    strings: kinds of readable text, with counts; never the text.
    rops: names of mailbox operations, with counts.
    decoded_bytes, clear_stub_bytes: bytes that made sense, and all that could be read.

Not a finding when
    - the calls are at level 6;
    - nothing of the kind was found in the readable bytes.
    The directory's interfaces (NSPI, RFR) show names and addresses only: medium.

References
    [MS-OXCRPC] §3.1.4.1
    [MS-OXCROPS]
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, RpcContext, Session
from ..exchange import (
    MAILBOX, MAX_FINDINGS, MAX_SHOWN, PRIVACY, columns, described, exchange_contexts, login_of, named, nothing_to_judge, unless_lost, weakest_of,
)
from ..rule import RPC, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS516", slug="rpc-plain-stub-content", title="Readable mailbox data in RPC stub", severity="high", confidence="medium",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT, SERVER),
    remediation="Tick 'Encrypt data between Outlook and Exchange', and require it on the server: Set-RpcClientAccess -EncryptionRequired $true.",
    references=("[MS-OXCRPC] §3.1.4.1", "[MS-OXCROPS]"),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    found = exchange_contexts(facts)
    if not found:
        return nothing_to_judge(session, facts)
    findings = [_finding(session, context, kind) for _, context, kind in found if _shows_content(context)]
    return findings[:MAX_FINDINGS] or unless_lost(session, facts, CLIENT, SERVER)


def _shows_content(context: RpcContext) -> bool:
    mapi = context.mapi
    return mapi is not None and context.auth_level != PRIVACY and bool(mapi.user_dn or mapi.rop_names or any(mapi.strings.values()))


def _finding(session: Session, context: RpcContext, kind: str) -> Finding:
    mapi, login, mailbox = context.mapi, login_of(context), kind in MAILBOX
    evidence = {
        **described(context), "user_dn_seen": mapi.user_dn is not None, "strings": dict(list(mapi.strings.items())[:MAX_SHOWN]),
        "rops": dict(list(mapi.rop_names.items())[:MAX_SHOWN]), "decoded_bytes": mapi.decoded_bytes, "clear_stub_bytes": context.clear_stub_bytes,
    }
    if context.obfuscation is not None:
        evidence["obfuscation"] = context.obfuscation
    side, at = weakest_of(context) if mapi.user_dn_at is None else (CLIENT, mapi.user_dn_at)
    return Finding(
        rule=RULE, severity=RULE.severity if mailbox else "medium", severity_reason="" if mailbox else "directory data",
        confidence=RULE.confidence, variant=kind,
        title=f"{'Mailbox' if mailbox else 'Directory'} data{named(login)} read from RPC calls to {session.server_ip} port {session.server_port}",
        side=side, at=at, **columns(login, context.auth_type), evidence=evidence,
    )
