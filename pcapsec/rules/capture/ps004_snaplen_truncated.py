"""PS004: packets were cut when they were captured.

What
    Frames of the conversation hold fewer bytes than passed the wire, and payload is among what was cut.

Why
    The capture was made with a snap length: the ends of long packets are gone for good, and with them parts of replies, mails and certificates.

Evidence
    truncated_frames: frames that were cut.
    truncated_bytes: bytes that are missing for it.

Not a finding when
    - only the Ethernet trailer or padding was cut and the IP packet is whole.

References
    pcap and pcapng file format: captured and original length
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS004", slug="snaplen-truncated", title="Packets cut by snap length", severity="low", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Capture whole packets: tcpdump -s 0, dumpcap without -s.",
    references=("pcap and pcapng file format: captured and original length",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not session.n_truncated_frames:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{session.n_truncated_frames} packets of a connection to {session.server_ip} port {session.server_port} were cut when captured",
        evidence={"truncated_frames": session.n_truncated_frames, "truncated_bytes": session.truncated_bytes},
    )
