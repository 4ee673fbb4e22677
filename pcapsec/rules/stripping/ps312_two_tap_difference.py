"""PS312: a conversation that was captured at two places does not carry the same bytes at both.

What
    `pcapsec compare INSIDE OUTSIDE` found one conversation in both captures, and bytes of it were removed, added or changed on the way between the two points.

Why
    Nobody but the two ends should write into a conversation. A box between the two points does, so it also decides whether the client learns of STARTTLS,
    what the client's commands say and what the server seems to answer. Usually it is the operator's own firewall or mail gateway; the captures show on which
    side of each point it sits, and the server is not to blame.

Evidence
    capture_inside, capture_outside, frame_inside, frame_outside: where the first difference that matters stands.
    session_inside, session_outside: the conversation in each capture.
    joined_by: what shows that they are one conversation: sequence-numbers, endpoints, tls-random, content, time.
    box: what kind of box fits the rest: none (it leaves everything else alone), router, nat, resegmenting, sequence-rewriting, tcp-proxy, tls-proxy,
    tls-one-sided; changed: what else differs: addresses, ports, sequence-numbers, segments, ttl, tcp-options, tls.
    nearer_client: which tap is nearer to the client: inside, outside, unknown.
    meanings: what the differences do, and how many of each there are.
    differences: the first 20: side, kind (removed, added, changed, in the direction in which the bytes travel), meaning, what, word, shown_inside,
    shown_outside, offset_inside, offset_outside, length_inside, length_outside, frame_inside, frame_outside; n_differences: all.
    compared_bytes, equal_bytes, unknown_bytes_inside, unknown_bytes_outside, unknown: how much could be compared, and why not all.
    ruled_out, not_ruled_out: innocent explanations.

Not a finding when
    - bytes are missing in one capture because it lost them, began later or ended earlier: a hole is unknown, not different;
    - the box only cuts segments otherwise, translates addresses, rewrites sequence numbers, or opens a connection of its own and passes on all bytes;
    - TLS ends at the box: then both sides differ in every byte and nothing says what was changed inside; `compare` names such a box.
    Severity is high when only the greeting was changed; medium when only header fields of HTTP were; low when only addresses were rewritten as address
    translation does, or marks of a proxy were added.

References
    RFC 3207 §6
    Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015
"""
from __future__ import annotations

from ...records import SIDE_NAMES, Difference, Finding, Session, TapPair
from ..differences import MEANINGS, main_difference, meanings_of, ruled_out, shown_difference
from ..rule import ANY, LESS_SURE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS312", slug="two-tap-difference", title="Same flow at two capture points carries different bytes", severity="critical", confidence="high",
    category="stripping", scope="comparison", protocols=ANY,
    remediation="Find the box between the two capture points and let it pass mail unchanged (Cisco ASA: allow-tls in the ESMTP inspection map, or no ESMTP "
                "inspection); if no box of yours stands there, treat it as an attack.",
    references=("RFC 3207 §6", "Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015"),
)
MAX_TOLD = 20
_TAPS = {None: "unknown", 0: "inside", 1: "outside"}


def judge(session: Session, pair: TapPair, site: Site) -> Finding | Verdict:
    if not pair.differences:
        return not_observable(pair.unknown[0]) if pair.unknown or not pair.compared_bytes else PASS
    inside, outside = pair.sessions
    main: Difference = main_difference(pair.differences)
    meanings = meanings_of(pair.differences)
    severity, reason = RULE.severity, ""
    for words, lower, why in MEANINGS:
        if set(meanings) <= words:
            severity, reason = lower, why
            break
    confidence = RULE.confidence
    if pair.joined_by in ("endpoints", "time"):
        confidence = LESS_SURE[confidence] if pair.joined_by == "endpoints" else "low"
    tells, does_not = ruled_out(pair)
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=confidence, variant=main.meaning, side=main.side, at=main.at[0],
        title=f"A box between the two captures {shown_difference(main, inside.server_ip, inside.server_port)}",
        capture=main.captures[0], frame=main.frames[0], ts_ns=main.times_ns[0],
        evidence={
            "capture_inside": main.captures[0], "capture_outside": main.captures[1], "frame_inside": main.frames[0], "frame_outside": main.frames[1],
            "session_inside": inside.session_id, "session_outside": outside.session_id, "joined_by": pair.joined_by, "box": pair.box, "changed": list(pair.changed),
            "nearer_client": _TAPS[pair.near_client], "meanings": meanings, "differences": [_told(one) for one in pair.differences[:MAX_TOLD]],
            "n_differences": pair.n_differences, "compared_bytes": pair.compared_bytes, "equal_bytes": pair.equal_bytes, "unknown_bytes_inside": pair.unknown_bytes[0],
            "unknown_bytes_outside": pair.unknown_bytes[1], "unknown": list(pair.unknown), "ruled_out": tells, "not_ruled_out": does_not})


def _told(one: Difference) -> dict:
    return {"side": SIDE_NAMES[one.side], "kind": one.kind, "meaning": one.meaning, "what": one.what, "word": one.word, "shown_inside": one.shown[0],
            "shown_outside": one.shown[1], "offset_inside": one.at[0], "offset_outside": one.at[1], "length_inside": one.length[0], "length_outside": one.length[1],
            "frame_inside": one.frames[0], "frame_outside": one.frames[1]}
