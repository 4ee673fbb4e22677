"""PS417: a heartbeat that asks for more than it sent.

What
    Before encryption began, a heartbeat request claimed a payload longer than its record: the attack on OpenSSL that is called Heartbleed. Variant
    `offered`: both ends merely agreed on heartbeats.

Why
    A vulnerable server answers with its memory: keys, passwords, mail of others.

Evidence
    claimed: payload length in the request.
    record_length: length of the record that held it.
    answer_length: longest heartbeat that came back; more than was sent means memory was given away.
    sender: client or server.

Not a finding when
    - the request fits its record;
    - encryption has begun: lengths are then hidden, and such an attack is not seen.

References
    RFC 6520 §4
    CVE-2014-0160 (Heartbleed)
"""
from __future__ import annotations

from ...records import SIDE_NAMES, Facts, Finding, Session
from ..handshake import fail, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS417", slug="heartbeat-attack", title="Heartbeat record anomaly (Heartbleed)", severity="critical", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Update OpenSSL, then replace keys, certificates and passwords that the server held.",
    references=("RFC 6520 §4", "CVE-2014-0160 (Heartbleed)"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.heartbeat_overread is None or tls.heartbeat_side is None:
        if tls.heartbeat and site.first_time((RULE.id, session.server_ip, session.server_port)):
            return fail(RULE, tls, f"{place(session)} accepts TLS heartbeats", {}, severity="info", reason="extension only", variant="offered")
        return PASS
    claimed, length = tls.heartbeat_overread
    answered = tls.heartbeat_answer > length
    victim = session.client_ip if tls.heartbeat_side else place(session)
    return fail(RULE, tls, f"Heartbleed against {victim}{f', which answered with {tls.heartbeat_answer} bytes' if answered else ''}",
                {"claimed": claimed, "record_length": length, "answer_length": tls.heartbeat_answer, "sender": SIDE_NAMES[tls.heartbeat_side]},
                variant="answered" if answered else "asked", side=tls.heartbeat_side, at=tls.heartbeat_at)
