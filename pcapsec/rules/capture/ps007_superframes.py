"""PS007: packets larger than the network carries, joined by the card or the driver.

What
    IP packets of more than 1500 bytes on Ethernet: the capturing host joined several (GRO, LRO) or had not yet cut them (TSO).

Why
    The packets of the file are not those of the wire. Which bytes shared a packet proves nothing here; stream offsets still do, and pcapsec
    judges by those alone.

Evidence
    superframes: packets longer than 1500 bytes.
    largest_packet: IP length of the largest, in bytes.

Not a finding when
    - no packet is longer than 1500 bytes. A network with jumbo frames shows packets up to about 9000 bytes too, so the confidence is medium
      unless one is longer than 9216.

References
    Wireshark wiki, CaptureSetup/Offloading
    ethtool(8), -k
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..rule import ANY, PASS, Rule, Verdict, file_name
from ..site import Site

RULE = Rule(
    id="PS007", slug="superframes", title="GRO/LRO/TSO frames larger than MTU", severity="info", confidence="high",
    category="capture", scope="capture", protocols=ANY,
    remediation="Nothing need be done; ethtool -K IFACE gro off lro off tso off while capturing shows the packets of the wire.",
    references=("Wireshark wiki, CaptureSetup/Offloading", "ethtool(8), -k"),
)
LARGEST_JUMBO = 9216  # what switches commonly carry


def judge(capture: Capture, site: Site) -> Finding | Verdict:
    if not capture.superframes:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="high" if capture.max_ip_length > LARGEST_JUMBO else "medium",
        title=f"{capture.superframes} packets in {file_name(capture)} are larger than Ethernet carries: joined by the capturing host",
        evidence={"superframes": capture.superframes, "largest_packet": capture.max_ip_length},
    )
