"""PS005: the capture itself says that packets were dropped.

What
    The interface statistics in a pcapng file, or of a live interface, count packets that the interface or the operating system dropped.

Why
    What was dropped is unknown and may have been anything. The connections that lack bytes carry PS001, PS002 or PS003 themselves; whole
    connections may be missing without a trace.

Evidence
    dropped: packets dropped by interface and kernel.
    packets: packets captured.

Not a finding when
    - the format has no counter (classic pcap): absence then means unknown, not zero, and the verdict is not_observable.

References
    draft-ietf-opsawg-pcapng, Interface Statistics Block, options isb_ifdrop and isb_osdrop
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..rule import ANY, PASS, Rule, Verdict, file_name, not_observable
from ..site import Site

RULE = Rule(
    id="PS005", slug="kernel-drops", title="Capture reports dropped packets", severity="low", confidence="high",
    category="capture", scope="capture", protocols=ANY,
    remediation="Use a bigger ring buffer (dumpcap -B), filter earlier, or write to a faster disk.",
    references=("draft-ietf-opsawg-pcapng, Interface Statistics Block, options isb_ifdrop and isb_osdrop",),
)


def judge(capture: Capture, site: Site) -> Finding | Verdict:
    if capture.dropped is None:
        return not_observable("no_drop_counter")
    if not capture.dropped:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{capture.dropped} packets were dropped while {file_name(capture)} was captured",
        evidence={"dropped": capture.dropped, "packets": capture.packets},
    )
