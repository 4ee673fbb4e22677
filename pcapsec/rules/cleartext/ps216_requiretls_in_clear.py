"""PS216: REQUIRETLS was used where there is no TLS.

What
    A server lists REQUIRETLS, or a client adds it to MAIL FROM, on a conversation without TLS; or a message says `TLS-Required: No` in its header (info).

Why
    REQUIRETLS asks that a mail travel by TLS alone; in clear it means nothing, and the sender relies on what does not hold. `TLS-Required: No` asks
    for the opposite: to deliver even if policy says TLS.

Evidence
    seen_in: ehlo, mail or header.

Not a finding when
    - the word stands in a message's text;
    - the conversation went on to TLS.

References
    RFC 8689 §2, §4, §5
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import SMTP, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS216", slug="requiretls-in-clear", title="REQUIRETLS or TLS-Required handling visible in clear", severity="medium", confidence="high",
    category="cleartext", scope="session", protocols=SMTP, needs=(CLIENT, SERVER),
    remediation="Start TLS before MAIL; let the server list REQUIRETLS inside TLS only.",
    references=("RFC 8689 §2, §4, §5",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    where = facts.requiretls
    if where and not facts.tls_started:
        sent = "mail" in where
        return Finding(
            rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="mail" if sent else "ehlo",
            title=f"REQUIRETLS was {'asked for' if sent else 'offered'} in clear at {session.server_ip} port {session.server_port}",
            side=CLIENT if sent else SERVER, at=facts.requiretls_at, evidence={"seen_in": list(where)},
        )
    for message in facts.messages:
        if message.tls_required_no:
            return Finding(
                rule=RULE, severity="info", confidence=RULE.confidence, variant="tls-required-no", severity_reason="header asks to deliver without TLS",
                title=f"A message to {session.server_ip} port {session.server_port} asks to be delivered even without TLS (TLS-Required: No)",
                side=message.side, at=message.at, evidence={"seen_in": ["header"]},
            )
    unseen = session.unseen_client or session.unseen_server
    return PASS if unseen is None else not_observable(unseen)
