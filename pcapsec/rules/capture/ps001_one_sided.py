"""PS001: only one direction of a conversation is in the capture.

What
    Bytes of one side were captured while the other side's are missing altogether, although it did speak: its bytes were acknowledged, or no packet of it
    exists at all.

Why
    Whatever only the missing side says is unknown: whether STARTTLS was offered, whether a login succeeded. Rules that need it answer
    `not_observable` for this session instead of `pass`.

Evidence
    seen: the side whose bytes are there.
    bytes_client, bytes_server: payload bytes captured of each side.
    unseen_bytes: bytes of the missing side that were acknowledged.

Not a finding when
    - the other side truly sent nothing: it answered with packets, but its acknowledged sequence never moved;
    - neither side sent a byte.

References
    RFC 9293 §3.4
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS001", slug="one-sided", title="Only one direction of the TCP connection captured", severity="info", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Capture both directions at one tap; on a SPAN port mirror rx and tx.",
    references=("RFC 9293 §3.4",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.protocol == "esp":  # its associations are one-way, and may take two ways
        return NOT_APPLICABLE
    client, server = session.bytes_client, session.bytes_server
    if client and server:
        return PASS
    if not client and not server:
        return NOT_APPLICABLE
    seen, missing = ("client", "server") if client else ("server", "client")
    unseen = session.acked_unseen_server if client else session.acked_unseen_client
    if not unseen and (session.packets_server if client else session.packets_client):
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"Only the {seen}'s side of a connection to {session.server_ip} port {session.server_port} was captured; the {missing}'s is missing",
        evidence={"seen": seen, "bytes_client": client, "bytes_server": server, "unseen_bytes": unseen},
    )
