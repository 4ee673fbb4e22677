"""PS003: bytes are missing inside a conversation.

What
    A side acknowledged bytes of the other that the capture does not hold: they passed the wire but not the tap.

Why
    A command, an answer or a password may stand in the hole. Parsing goes on at the next line, and rules that need the lost bytes answer
    `not_observable`.

Evidence
    gap_count: holes on both sides.
    gap_bytes_client, gap_bytes_server: bytes that are missing on each side.

Not a finding when
    - the missing bytes were never acknowledged, or came later: normal loss and retransmission;
    - the hole is a keep-alive probe;
    - the capture holds the frames and cut them short: then PS004 says it, and the remedy is another;
    - a whole side is missing (PS001).

References
    RFC 9293 §3.8.4
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS003", slug="tcp-gap", title="Bytes missing inside a stream", severity="low", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Capture again with larger buffers or a narrower filter; the mirror port may be overloaded.",
    references=("RFC 9293 §3.8.4",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not session.n_gaps:
        return PASS
    missing = session.gap_bytes_client + session.gap_bytes_server - session.truncated_bytes
    if session.truncated_bytes and missing <= 0:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{missing} bytes are missing in a connection to {session.server_ip} port {session.server_port}",
        evidence={"gap_count": session.n_gaps, "gap_bytes_client": session.gap_bytes_client, "gap_bytes_server": session.gap_bytes_server},
    )
