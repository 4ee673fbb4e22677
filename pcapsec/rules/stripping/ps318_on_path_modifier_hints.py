"""PS318: single packets of a conversation came another way than those before and after them.

What
    A packet with data differs in at least two things from what its side sent just before and after: its TTL, the timestamps option, the series of IP ids, its
    checksum. Or a reset did not end the conversation of the host whose address it carries, or guesses, and came another way.

Why
    One host's packets come alike. Who puts packets into a conversation from elsewhere must guess what the host would have sent, and seldom gets all of it
    right. It says nothing of what was done; findings PS301 to PS317 on the same conversation do.

Evidence
    packets: up to 8 such: side whose address it carries, frame, ttl and usual_ttl, ip_id, checksum, and signs: what is odd (ttl, timestamp, ip_id, checksum).
    resets: up to 8 resets with such signs: kind (rst or fin), frame, ttl and usual_ttl, ip_id and last_ip_ids of its side, ahead: how far its sequence number is from
        what its side would have sent, later_packets: those that came after it and go on; signs: ttl, late_data, stepped, ip_id.
    n_packets: how many packets are odd.
    ruled_out, not_ruled_out: harmless explanations.

Not a finding when
    - only one thing is odd: a TTL alone changes with the route;
    - all later packets come the new way: the route changed;
    - the packets of a side come in many ways: several paths, a load balancer;
    - packets were captured twice: taps stand at several distances;
    - the packet is an RST with a TTL and an IP id of its own and nothing else: load balancers do that.

References
    Weaver, Sommer, Paxson, Detecting Forged TCP Reset Packets, NDSS 2009
    RFC 7323 §3.2
    RFC 6864 §4.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..innocence import ANSWERED_FOR, PATHS, ROUTE, causes
from ..packets import MAX_SHOWN, SURE, reset, reset_signs, stranger
from ..rule import ANY, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS318", slug="on-path-modifier-hints", title="Packet-level hints of an inline modifier or injector", severity="low", confidence="low",
    category="stripping", scope="session", protocols=ANY,
    remediation="Look at what else was found on this conversation; alone it calls for nothing. To be sure, capture at both ends and compare.",
    references=("Weaver, Sommer, Paxson, Detecting Forged TCP Reset Packets, NDSS 2009", "RFC 7323 §3.2", "RFC 6864 §4.1"),
)
LEAST_SIGNS = 2


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not session.n_hints:
        return PASS
    if session.n_duplicate_frames:
        return not_observable("duplicates")
    hints = session.packet_hints
    packets = [one for one in hints.strangers if len(one.signs) >= LEAST_SIGNS]
    by_side = [[one for one in hints.resets if one.side == side] for side in (CLIENT, SERVER)]
    signs = [reset_signs(resets) for resets in by_side]
    forged = [side for side in (CLIENT, SERVER) if len(signs[side]) >= LEAST_SIGNS and SURE & set(signs[side])]
    if not packets and not forged:
        return PASS
    side = packets[0].side if packets else forged[0]
    sender = session.server_ip if side == SERVER else session.client_ip
    resets = [one for which in forged for one in by_side[which]]
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="packet" if packets else "reset",
        title=f"{'Packets' if packets else 'Resets'} in the name of {sender} came another way than its others: something on the path may have sent them", side=None, at=None,
        evidence={
            "packets": [stranger(one) for one in packets[:MAX_SHOWN]], "resets": [reset(one) for one in resets[:MAX_SHOWN]], "signs": sorted({sign for which in forged for sign in signs[which]}),
            "n_packets": sum(one.n for one in packets) + len(resets), **causes((ROUTE, True), (PATHS, True), (ANSWERED_FOR, False))},
    )
