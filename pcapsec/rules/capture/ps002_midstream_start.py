"""PS002: the beginning of a conversation is not in the capture.

What
    Neither SYN nor SYN/ACK of the connection was captured: it was already open when the capture began, or its start was lost.

Why
    Greeting, capability list, STARTTLS and login stand at the beginning. What they said is unknown, and rules about them answer `not_observable`
    unless the bytes are there all the same.

Evidence
    first_frame: number of the first frame that was captured.
    role_source: how client and server were told apart without a SYN.

Not a finding when
    - the capture begins with the SYN/ACK: the server's bytes are then all there;
    - data stands on the SYN itself (TCP Fast Open).

References
    RFC 9293 §3.5
    RFC 7413
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS002", slug="midstream-start", title="Connection start not captured", severity="info", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Start the capture earlier; until then read greeting and STARTTLS of this connection as unknown.",
    references=("RFC 9293 §3.5", "RFC 7413"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.start_seen:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"A connection to {session.server_ip} port {session.server_port} was already open when the capture began",
        evidence={"first_frame": session.frame, "role_source": session.role_source},
    )
