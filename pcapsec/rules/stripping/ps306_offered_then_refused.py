"""PS306: STARTTLS was offered and then refused on the same connection.

What
    The server's list has the offer, the client asks, and the answer is an error. Variant unknown_command: the server says that it does not know the command
    which it has just offered (500, 502, BAD). Variants temp (454 and other 4xx) and refused (anything else): real servers say that too.

Why
    A server knows what it offers. When the answer contradicts the offer, somebody between both changed the request or answered in the server's place, so
    that the client goes on in clear.

Evidence
    offered_at: server stream offset of the offer.
    reply_code, reply_text: the answer.
    requests: how often the client asked.
    next: what the client did then: clear, retry or quit.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the offer came only after the request, or its answer was not seen: not_observable;
    - the command came at the wrong time (503, or after a login) or with parameters (501): then the client erred;
    - a later request on the connection was accepted.
    454 and other refusals are medium with low confidence: a broken certificate or key and a limit on connections look so.

References
    RFC 3207 §4, §6
    RFC 2595 §3.1
    RFC 4642 §2.2
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..innocence import BROKEN_KEY, BUILT_WITHOUT, LIMIT, LOST, NO_TLS, OWN_FIREWALL, SCANNER, causes
from ..offers import OFFER, misused, refusal, says_unknown, went_on
from ..rule import LOWER, MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, seen_before
from ..site import Site

RULE = Rule(
    id="PS306", slug="offered-then-refused", title="Offered STARTTLS, then refused it on the same connection", severity="high", confidence="medium",
    category="stripping", scope="session", protocols=MAIL, needs=(CLIENT, SERVER),
    remediation="Ask for STARTTLS from another network: where that works, find the middlebox on this path, or treat it as hostile and require TLS; where it does "
                "not, repair the server's TLS.",
    references=("RFC 3207 §4, §6", "RFC 2595 §3.1", "RFC 4642 §2.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.starttls_requested or not facts.starttls_offered:
        if facts.tls_started or facts.starttls_requested is False or facts.starttls_offered is False:
            return NOT_APPLICABLE
        return not_observable(session.unseen_client or session.unseen_server or "no_capability_list") if facts.n_commands or session.unseen_client else NOT_APPLICABLE
    if facts.tls_started or facts.starttls_accepted:
        return PASS
    if facts.starttls_accepted is None:
        return not_observable(session.unseen_server or "unanswered")
    code = refusal(facts)
    if code is None or misused(facts) or not seen_before(session, facts.starttls_offered_at, facts.starttls_requested_at):
        return NOT_APPLICABLE
    severity, confidence, variant, reason = LOWER[RULE.severity], "low", "refused", "servers in trouble answer so"
    if says_unknown(code, facts.starttls_reply_text, session.protocol):
        severity, confidence, variant, reason = RULE.severity, RULE.confidence, "unknown_command", ""
    elif code[:1] == "4":
        variant = "temp"
    contradicts = variant == "unknown_command"
    where, verb = f"{session.server_ip} port {session.server_port}", facts.starttls_verb or OFFER[session.protocol]
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=confidence, variant=variant, side=SERVER, at=facts.starttls_answered_at,
        title=f"{where} offered {verb} and then said that it does not know it: a middlebox may have changed the request or answered in its place" if contradicts
        else f"{where} offered {verb} to {session.client_ip} and then refused it: {code or 'no reason given'}",
        evidence={"offered_at": facts.starttls_offered_at, "reply_code": facts.starttls_reply_code, "reply_text": facts.starttls_reply_text,
                  "requests": facts.n_starttls_requests, "next": went_on(facts),
                  **causes((LOST, True), (NO_TLS, True), (BROKEN_KEY, contradicts), (LIMIT, contradicts), (BUILT_WITHOUT, False), (OWN_FIREWALL, False), (SCANNER, False))},
    )
