"""PS008: packets of a conversation were captured twice.

What
    Frames with equal sequence, acknowledgement, flags, options and payload followed each other within milliseconds: a mirror port that copies both
    ingress and egress, or two taps in one file.

Why
    It explains doubled packets that are no retransmissions. Copies of equal content count once in all tables.

Evidence
    duplicate_frames: frames that were seen before.
    duplicate_ratio: their share of the conversation's packets.

Not a finding when
    - TCP sent a segment again: acknowledgement or timestamp option have moved on then.

References
    RFC 6864 §4.1
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS008", slug="duplicate-packets", title="Same packet captured twice (SPAN duplicates / two taps)", severity="info", confidence="medium",
    category="capture", scope="session", protocols=ANY,
    remediation="Mirror each port once, or in one direction only; nothing need be done for pcapsec.",
    references=("RFC 6864 §4.1",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    copies = session.n_duplicate_frames
    if not copies:
        return PASS
    packets = session.packets_client + session.packets_server
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{copies} packets of a connection to {session.server_ip} port {session.server_port} were captured twice",
        evidence={"duplicate_frames": copies, "duplicate_ratio": round(copies / max(packets, copies), 3)},
    )
