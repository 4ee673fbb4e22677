"""PS010: the capture's clock cannot be trusted.

What
    Packets carry times before 1995 or in the future, or times that jump back by more than an hour.

Why
    Whether a certificate was valid, and which session came first, is judged by packet times.

Evidence
    first_time_ns, last_time_ns: earliest and latest packet time, nanoseconds since 1970.
    backsteps: packets more than an hour older than the newest before them.

Not a finding when
    - packets are out of order by less than an hour, as merged files and several queues make them.

References
    pcap and pcapng file format: timestamps
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict, file_name
from ..site import Site

RULE = Rule(
    id="PS010", slug="clock-anomaly", title="Capture timestamps unusable for certificate dates", severity="info", confidence="medium",
    category="capture", scope="capture", protocols=ANY,
    remediation="Set the clock of the capturing host; sort merged files by time before analysing them.",
    references=("pcap and pcapng file format: timestamps",),
)
YEAR_1995_NS = 788_918_400 * 10**9
DAY_NS = 86_400 * 10**9  # clocks of two hosts may differ by a time zone


def judge(capture: Capture, site: Site) -> Finding | Verdict:
    first, last = capture.first_ns, capture.last_ns
    if first is None or last is None:
        return NOT_APPLICABLE
    if first < YEAR_1995_NS:
        variant, what = "before-1995", "carries times before 1995"
    elif last > site.now_ns + DAY_NS:
        variant, what = "future", "carries times in the future"
    elif capture.time_backsteps:
        variant, what = "backsteps", "jumps back in time by more than an hour"
    else:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant, title=f"The clock of {file_name(capture)} {what}",
        evidence={"first_time_ns": first, "last_time_ns": last, "backsteps": capture.time_backsteps},
    )
