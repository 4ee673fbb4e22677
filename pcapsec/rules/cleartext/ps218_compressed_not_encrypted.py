"""PS218: a conversation is compressed, which looks like encryption and is none.

What
    COMPRESS DEFLATE was accepted outside TLS: the bytes that follow are deflated, and anyone can inflate them.

Why
    Tools that judge by how random bytes look take it for encrypted. pcapsec inflates and reads on; all other rules apply to what it finds.

Evidence
    compressed_at: client stream offset of the command.
    inflated: whether the bytes could be inflated.

Not a finding when
    - COMPRESS was refused (NO, BAD, 403, 502);
    - it happened inside TLS.

References
    RFC 4978 §3
    RFC 8054 §2.2
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS218", slug="compressed-not-encrypted", title="COMPRESS makes the clear stream look random", severity="info", confidence="high",
    category="cleartext", scope="session", protocols=("imap", "nntp"), needs=(CLIENT, SERVER),
    remediation="Use TLS; compression protects nothing.",
    references=("RFC 4978 §3", "RFC 8054 §2.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.compressed:
        return unless_unseen(session, CLIENT, SERVER)
    broken = any("inflate" in anomaly.code or "deflate" in anomaly.code for anomaly in facts.anomalies)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"The conversation with {session.server_ip} port {session.server_port} is compressed but not encrypted",
        side=CLIENT, at=facts.compressed_at, evidence={"compressed_at": facts.compressed_at, "inflated": not broken},
    )
