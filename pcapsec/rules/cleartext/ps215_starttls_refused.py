"""PS215: the client asked for STARTTLS and the server refused.

What
    STARTTLS (STLS) was answered by an error: 454 or another 4xx (variant temp), 500 or 502 or BAD (unknown_command), or anything else (policy).

Why
    The client wanted protection and did not get it; what follows is clear text, or no mail at all.

Evidence
    offered: whether the server had offered STARTTLS before.
    reply_code, reply_text: the answer.
    next: what the client did then: clear, retry or quit.

Not a finding when
    - the command came at the wrong time (503, or after a login): then the client erred;
    - the answer was not seen: not_observable.

References
    RFC 3207 §4
    RFC 2595
    RFC 4642 §2.2
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..offers import refusal, went_on
from ..rule import MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS215", slug="starttls-refused", title="STARTTLS requested and refused", severity="medium", confidence="high",
    category="cleartext", scope="session", protocols=MAIL, needs=(CLIENT, SERVER),
    remediation="Repair the server's TLS: certificate, key, library; see its log.",
    references=("RFC 3207 §4", "RFC 2595", "RFC 4642 §2.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.starttls_requested:
        if session.unseen_client is not None and not facts.tls_started:
            return not_observable(session.unseen_client)
        return NOT_APPLICABLE
    if facts.tls_started or facts.starttls_accepted:
        return PASS
    if facts.starttls_accepted is None:
        return not_observable(session.unseen_server or "unanswered")
    code = refusal(facts)
    if code is None:
        return NOT_APPLICABLE
    if code in ("500", "502", "BAD") and not (code == "502" and session.protocol == "nntp"):
        variant = "unknown_command"
    else:
        variant = "temp" if code[:1] == "4" else "policy"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant,
        title=f"{session.server_ip} port {session.server_port} refused {facts.starttls_verb or 'STARTTLS'}: {code}",
        side=SERVER, at=facts.starttls_answered_at,
        evidence={"offered": facts.starttls_offered, "reply_code": facts.starttls_reply_code, "reply_text": facts.starttls_reply_text, "next": went_on(facts)},
    )

