"""PS311: two packets carry different bytes for the same place in a stream.

What
    One side's bytes were captured twice, and the two versions differ.

Why
    A host that sends again sends the same. Who forges packets from beside the path cannot take the real ones away: both arrive, and what comes first
    counts. So a reply can be replaced, STARTTLS struck from a list, or a command put in.

Evidence
    n_conflicts: how often this was seen in the conversation.
    overlaps: up to 8 such places: side that they claim to come from, offset and length of the bytes that differ, and of the first and the second version the
        frame, TTL, IP id (ip_id), whether the checksum is right, what kind of content it is (text, tls, binary), and offers_starttls: whether it has that word.
        acknowledged_first: its receiver acknowledged the bytes before the second version came.
    offer_differs: one version offers STARTTLS and the other does not.
    ttl_differs: hops by which the two packets' ways differ.
    ruled_out, not_ruled_out: harmless explanations.

Not a finding when
    - the bytes are equal, however they are cut into packets; the capture's snap length left only equal bytes to compare;
    - one version has a wrong checksum: its receiver dropped it;
    - one version is filler (one byte again and again, or padding that a box counted into an acknowledgement), or a single byte, as keep-alives and window probes send;
    - the two versions are more than five minutes apart: that is another conversation;
    - packets were captured twice, by two taps: their content is equal.
    Confidence is medium where a checksum could not be computed, or where both versions came in the same way: then the host itself may have sent both.

References
    Ptacek and Newsham, Insertion, Evasion, and Denial of Service, 1998
    RFC 9293 §3.10.7.4
    RFC 3207 §6
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Overlap, Session
from ..innocence import CHANGED_DATA, CUT_OR_FILLED, DAMAGED, PROBES, REWRITING, SENT_AGAIN, causes
from ..packets import MAX_SHOWN, overlap
from ..rule import ANY, PASS, Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS311", slug="tcp-overlap-conflict", title="Two different payloads for the same sequence range", severity="critical", confidence="high",
    category="stripping", scope="session", protocols=ANY, needs=(CLIENT, SERVER),
    remediation="Find out who can send packets into this path: capture at both ends and compare. Until then require TLS for this peer.",
    references=("Ptacek and Newsham, Insertion, Evasion, and Denial of Service, 1998", "RFC 9293 §3.10.7.4", "RFC 3207 §6"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not session.n_overlap_conflicts:
        return unless_unseen(session, CLIENT, SERVER)
    found = [one for one in session.packet_hints.overlaps if one.explained is None]
    if not found:
        return PASS
    main = next((one for one in found if _offer_differs(one)), found[0])
    checked = main.first.sent.checksum == main.second.sent.checksum == "right"
    hops = abs((main.first.sent.ttl or 0) - (main.second.sent.ttl or 0))
    sender, receiver = (session.server_ip, session.client_ip) if main.side == SERVER else (session.client_ip, session.server_ip)
    what = "one version offers STARTTLS, the other does not" if _offer_differs(main) else f"{main.length} bytes differ"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="high" if checked and hops else "medium", variant="offer" if _offer_differs(main) else main.second.content,
        title=f"What {sender} sent to {receiver} was captured in two versions ({what}): somebody on the path may forge packets", side=main.side, at=main.at,
        evidence={
            "n_conflicts": session.n_overlap_conflicts, "overlaps": [overlap(one) for one in found[:MAX_SHOWN]], "offer_differs": _offer_differs(main), "ttl_differs": hops,
            **causes((SENT_AGAIN, True), (PROBES, True), (CUT_OR_FILLED, True), (DAMAGED, checked), (CHANGED_DATA, hops > 0), (REWRITING, False))},
    )


def _offer_differs(one: Overlap) -> bool:
    return one.first.offers_starttls != one.second.offers_starttls
