"""PS317: the server accepted STARTTLS and the conversation went on in clear.

What
    After the server's consent (220, OK, +OK, 382) the client sends a command in clear in place of TLS, and the server answers it in clear.

Why
    Both sides had agreed to encrypt and did not: mail and passwords pass readable. Somebody on the way may have taken the request from one side and given
    the consent in the other's place.

Evidence
    command: the client's first command in clear after the consent.
    replies: clear replies that the server sent after it.
    offer_afterwards: whether a later clear list of capabilities has the offer; empty where none came.
    next: what the client did then: clear, retry or quit.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the client only took its leave (QUIT, LOGOUT) or said NOOP or RSET;
    - the server said nothing more;
    - bytes are missing at the switch: not_observable.
    Where the client greets anew and the list that follows lacks the offer, as it must inside TLS, the capture was most likely decrypted in place by whoever
    made it: info, variant decrypted-in-place. Without a later list medium confidence.

References
    RFC 3207 §4
    RFC 9051 §6.2.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..innocence import BROKEN_CLIENT, DECRYPTED, LOST, OWN_FIREWALL, causes
from ..offers import went_on
from ..rule import LESS_SURE, MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS317", slug="cleartext-after-accept", title="Plain commands after server accepted STARTTLS", severity="high", confidence="high",
    category="stripping", scope="session", protocols=MAIL, needs=(CLIENT, SERVER),
    remediation="Set the client to give up when TLS does not follow; see in the server's log whether it got the request: if not, a middlebox answered in its place.",
    references=("RFC 3207 §4", "RFC 9051 §6.2.1"),
)
HARMLESS = frozenset(("QUIT", "LOGOUT", "NOOP", "RSET"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.starttls_accepted or facts.tls_started:
        return PASS if facts.tls_started or facts.starttls_accepted is False else unless_unseen(session, CLIENT)
    odd = facts.oddities
    command = facts.cleartext_after_accept
    if command is None or odd is None or odd.n_replies_before is None:
        return unless_unseen(session, CLIENT, SERVER)
    replies = facts.n_replies - odd.n_replies_before
    if replies < 1 or command in HARMLESS and facts.first_clear_command is None:
        return NOT_APPLICABLE
    unseen = session.unseen_client or session.unseen_server
    if unseen is not None:
        return not_observable(unseen)
    where = f"{session.server_ip} port {session.server_port}"
    in_place = odd.offer_after_accept is False
    severity, confidence, variant, reason = RULE.severity, RULE.confidence, "", ""
    title = f"{where} accepted {facts.starttls_verb or 'STARTTLS'} and {session.client_ip} went on in clear with {command}"
    if in_place:
        severity, confidence, variant, reason = "info", "low", "decrypted-in-place", "looks like TLS without its encryption"
        title = f"The conversation with {where} goes on in clear after {facts.starttls_verb or 'STARTTLS'}, as it would inside TLS: was this capture decrypted in place?"
    elif odd.offer_after_accept is None:
        confidence = LESS_SURE[confidence]
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=confidence, variant=variant, title=title, side=CLIENT, at=facts.cleartext_after_accept_at,
        evidence={"command": command, "replies": replies, "offer_afterwards": odd.offer_after_accept, "next": went_on(facts),
                  **causes((LOST, True), (DECRYPTED, odd.offer_after_accept is True), (BROKEN_CLIENT, False), (OWN_FIREWALL, False))},
    )
