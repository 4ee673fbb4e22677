"""PS207: a readable protocol on a port that is for TLS alone.

What
    On 465, 563, 636, 993, 995 or 443 the conversation began readable.

Why
    Whoever uses these ports believes that TLS is on from the first byte. Here it is not, and programs that were told "SSL/TLS" fail or fall back.

Evidence
    port: of the server.
    banner: the server's first words, at most 64 characters.
    first_command: the client's first command word.
    tls_followed: TLS began later, by STARTTLS.

Not a finding when
    - a web server tells the client that it must speak TLS (400): a client's error alone;
    - the conversation runs inside a proxy's tunnel, whose port it is.

References
    RFC 8314 §3
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import MAIL, NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS207", slug="cleartext-on-tls-port", title="Plain protocol on an implicit-TLS port", severity="high", confidence="high",
    category="cleartext", scope="session", protocols=MAIL + ("http", "ldap"),
    remediation="Serve TLS from the first byte on this port, or move the plain service to its own port with STARTTLS.",
    references=("RFC 8314 §3",),
)
PORTS = frozenset((443, 465, 563, 636, 993, 995))
MAX_SHOWN = 64  # characters of the banner


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.server_port not in PORTS or facts.tunnel is not None:
        return NOT_APPLICABLE
    if facts.http is not None and not any(request.status not in (None, 400) for request in facts.http.requests):
        return PASS
    later = facts.tls_started
    at, side = (facts.greeting_at, SERVER) if facts.greeting_at is not None else (facts.first_clear_command_at, CLIENT)
    return Finding(
        rule=RULE, severity="medium" if later else RULE.severity, severity_reason="TLS followed" if later else "", confidence=RULE.confidence, variant=session.protocol,
        title=f"{session.server_ip} port {session.server_port} speaks {session.protocol.upper()} without TLS", side=side if at is not None else None, at=at,
        evidence={"port": session.server_port, "banner": (facts.greeting or "")[:MAX_SHOWN], "first_command": facts.first_clear_command, "tls_followed": later},
    )
