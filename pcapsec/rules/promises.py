"""What the rules about DNS answers share: which of them belong to a capture, and how a finding shows one."""
from __future__ import annotations

from typing import Any, Iterator

from ..records import Capture, DnsAnswer, Finding, Sighting
from .rule import Rule, finding_id
from .site import Site

MAX_FINDINGS = 1000  # of one rule about one capture; table dns_policy has all
MAX_SHOWN = 20


def said(site: Site, capture: Capture, kind: str) -> Iterator[tuple[str, DnsAnswer, Sighting]]:
    """Answers of a kind that were first seen in a capture, by domain and name asked for; of several with the same name the first."""
    n = 0
    for domain, answers in site.collected.dns.of(kind):
        told = set()
        for answer, sighting in answers:
            if answer.name not in told:
                told.add(answer.name)
                if sighting.capture == capture.name and n < MAX_FINDINGS:
                    n += 1
                    yield domain, answer, sighting


def about(rule: Rule, domain: str, answer: DnsAnswer, sighting: Sighting, title: str, variant: str, evidence: dict[str, Any]) -> Finding:
    """A finding that stands where the answer was first seen."""
    return Finding(
        rule=rule, severity=rule.severity, confidence=rule.confidence, variant=variant, title=title, finding_id=finding_id(rule.id, variant, answer.name, ""),
        capture=sighting.capture, frame=sighting.frame, ts_ns=sighting.ts_ns,
        evidence={"domain": domain, "records": list(answer.values[:MAX_SHOWN]), **{name: value for name, value in evidence.items() if value is not None},
                  "authenticated": answer.authenticated, "asked_by": sighting.asked_by, "answered_by": sighting.answered_by})
