"""PS905: the same message was seen encrypted on one step of its way and in clear on another.

What
    One message, by its Message-ID, passed several captured conversations: one in clear and one inside TLS (variant `mixed`), or all of them in clear (variant
    `clear`). Inside TLS the message was read with keys, or its Received field names the two ends of a captured conversation, or the server that took it sent
    something of that size inside TLS right afterwards and nothing else.

Why
    A message is as protected as the worst step of its way: the TLS of one step is no use where the next one can be read.

Evidence
    message_ids: the first few that went this way; n_messages: how many.
    steps: role, from, to, protected, source and session of each step, as far as it was captured or a Received field tells of it: captured, both (captured
    inside TLS, and the field names it), guessed (captured inside TLS, told by time and size), header.
    n_earlier: steps before that of which nothing is known.
    related_session_ids: captured conversations in the order of the way.

Not a finding when
    - it is mail to a list, or bulk mail: copies share their Message-ID;
    - only one step was captured: then PS206 and PS708 tell;
    - between the same two servers there was clear mail at that time as well: then nobody knows which conversation it was.

References
    RFC 5321 §4.4
    RFC 3207 §6
"""
from __future__ import annotations

from typing import Any

from ...records import Capture, Finding
from ..journeys import Journey, Step, journeys
from ..rule import NOT_APPLICABLE, PASS, SMTP, Rule, Verdict, finding_id, not_observable
from ..site import Site

RULE = Rule(
    id="PS905", slug="same-message-both", title="Same message seen encrypted on one hop and clear on another", severity="medium", confidence="high",
    category="correlation", scope="capture", protocols=(*SMTP, "imap", "pop3"), several=True,
    remediation="Require TLS on every step: on the connector that sends in clear first of all.",
    references=("RFC 5321 §4.4", "RFC 3207 §6"),
)
MAX_SHOWN = 20
MAX_FINDINGS = 1000
_CONFIDENCE = {"captured": "high", "both": "medium", "guessed": "low"}


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    trail = site.collected.trail
    if "PS905" not in trail.answers:
        trail.answers["PS905"] = _by_capture(journeys(trail, site.collected.visits))
    seen, found = trail.answers["PS905"]
    if capture.name in found:
        return found[capture.name]
    return NOT_APPLICABLE if capture.name not in seen else PASS if seen[capture.name] else not_observable("one_hop")


def _by_capture(all_journeys: list[Journey]) -> tuple[dict[str, bool], dict[str, list[Finding]]]:
    """Captures with messages -> whether a second step of one was captured; captures -> findings, one for each way that messages took."""
    seen: dict[str, bool] = {}
    ways: dict[tuple, list[Journey]] = {}
    for journey in all_journeys:
        captured = [step for step in journey.steps if step.session_ids]
        name = journey.leg.capture
        seen[name] = seen.get(name, False) or len(captured) > 1
        if len(captured) > 1 and not any(step.leg is not None and step.leg.bulk for step in captured):
            verdicts = [step.verdict == "exposed" for step in captured]
            if any(verdicts):
                ways.setdefault(tuple((step.from_ip, step.to_ip, step.verdict, step.source) for step in captured), []).append(journey)
    found: dict[str, list[Finding]] = {}
    for way in list(ways.values())[:MAX_FINDINGS]:
        finding = _finding(way)
        found.setdefault(finding.capture, []).append(finding)
    return seen, found


def _finding(way: list[Journey]) -> Finding:
    captured = [step for step in way[0].steps if step.session_ids]
    mixed = not all(step.verdict == "exposed" for step in captured)
    clear = next(step for step in captured if step.leg is not None and step.verdict == "exposed")
    leg = clear.leg
    assert leg is not None
    confidence = min((_CONFIDENCE[step.source] for step in captured), key=("low", "medium", "high").index)
    sessions = [session_id for step in captured for session_id in step.session_ids]
    many = "A message" if len(way) == 1 else f"{len(way):,} messages"
    others = next((step for step in captured if step.verdict != "exposed"), None)
    return Finding(
        rule=RULE, severity=RULE.severity if mixed else "low", severity_reason="" if mixed else "no step was seen encrypted", confidence=confidence, variant="mixed" if mixed else "clear",
        finding_id=finding_id(RULE.id, "", leg.session_id, "\n".join(f"{step.from_ip} {step.to_ip} {step.verdict}" for step in captured)),
        title=f"{many} went encrypted from {_way(others)} and in clear from {_way(clear)}" if others is not None else f"{many} went {len(captured)} steps in clear, the last from {_way(captured[-1])}",
        capture=leg.capture, frame=leg.frame, ts_ns=leg.ts_ns, ends=leg.ends,
        evidence={"message_ids": [journey.message_id for journey in way[:MAX_SHOWN]], "n_messages": len(way), "steps": [_shown(step) for step in way[0].steps], "n_earlier": way[0].n_earlier,
                  "related_session_ids": sessions[:MAX_SHOWN]})


def _way(step: Step) -> str:
    return f"{(step.from_name or step.from_ip or 'an unnamed host')[:80]} to {(step.to_name or step.to_ip or 'an unnamed host')[:80]}"


def _shown(step: Step) -> dict[str, Any]:
    shown = {"role": step.role, "from": step.from_name or step.from_ip, "to": step.to_name or step.to_ip, "protected": None if step.verdict == "unknown" else step.verdict != "exposed",
             "source": step.source, "session": step.session_ids[0] if step.session_ids else None}
    return {name: value for name, value in shown.items() if value is not None}
