"""PS304: the client's STARTTLS arrived written over.

What
    Seen near the server: before any mail or login the client's line is a word as long as STARTTLS (POP3: STLS) made of one letter, `XXXXXXXX` (variant
    masked), or the word with one or two letters changed (changed), and the server does not know it (500, 502, BAD, -ERR). Seen near the client: the server does
    not know the STARTTLS that it has just offered (unknown), or its answer quotes such a word (echo).

Why
    A middlebox changes the client's request, so that TLS never begins although both sides can do it. The client goes on in clear, or the mail waits.

Evidence
    word: as it arrived, or as the server quotes it; empty where it was not seen.
    reply_code, reply_text: the answer.
    offered: whether the server had offered STARTTLS before.
    next: what the client did then: clear, retry or quit.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the same client's real STARTTLS arrived on this connection too: then the word was a slip;
    - letters are missing or added (STARTLS): a slip is more likely;
    - the line came in single characters: somebody types by hand, which Cisco's inspection turns into X each;
    - the server took the word, or its answer was not seen: not_observable;
    - mail or a login came before it.
    Without an offer before it, or where single letters were changed, less severe and low confidence. Seen near the client (unknown) one step less severe: the
    answer may be forged as well (PS306). Other refusals are PS306 alone.

References
    RFC 3207 §6
    Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015
    Cisco document 113423
"""
from __future__ import annotations

import re

from ...records import CLIENT, SERVER, Facts, Finding, OddCommand, Session
from ..innocence import BROKEN_CLIENT, BUILT_WITHOUT, LOST, NO_TLS, OWN_FIREWALL, SCANNER, TYPED, causes
from ..offers import OFFER, is_run, misused, refusal, says_unknown, went_on
from ..rule import MAIL, NOT_APPLICABLE, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS304", slug="garbled-starttls-command", title="Client STARTTLS arrived mutated", severity="critical", confidence="medium",
    category="stripping", scope="session", protocols=MAIL, needs=(CLIENT,),
    remediation="Find the middlebox between client and server that changes the command; if it is not yours, treat it as an attack and require TLS.",
    references=("RFC 3207 §6", "Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015", "Cisco document 113423"),
)
ECHO = re.compile(r"(?<![A-Z])(X{4,}[A-Z]?|\*{4,})(?![A-Z])", re.IGNORECASE)  # in a refusal that quotes the command, as Sendmail's does
TYPED_FRAMES = 3


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    offer = OFFER[session.protocol]
    if facts.starttls_requested:
        code, text = facts.starttls_reply_code, facts.starttls_reply_text
        echo = ECHO.search(text or "")
        if refusal(facts) is None or not says_unknown(code, "unknown" if echo else text, session.protocol) or not (echo or facts.starttls_offered) or misused(facts):
            return unless_unseen(session, CLIENT)
        offer, at = facts.starttls_offered, facts.starttls_answered_at
        if echo is not None:
            return _finding(session, facts, "echo", "critical", "high", "", echo[1], code, text, offer, SERVER, at)
        return _finding(session, facts, "unknown", "high", "medium", "only seen in the answer", None, code, text, offer, SERVER, at)
    odd = next((one for one in facts.oddities.commands if one.like == offer), None) if facts.oddities is not None else None
    if odd is None or facts.tls_started:
        return unless_unseen(session, CLIENT)
    masked = is_run(odd.word, offer)
    late = facts.first_clear_command_at is not None and facts.first_clear_command_at < odd.at
    if late or not masked and len(odd.word) != len(offer) or _typed(session, odd):
        return NOT_APPLICABLE
    if odd.reply_code is None:
        return not_observable(session.unseen_server or "unanswered")
    if not says_unknown(odd.reply_code, "unknown", session.protocol):
        return NOT_APPLICABLE
    severity, confidence, reason = "critical", "medium", ""
    if not masked:
        severity, confidence, reason = "medium", "low", "may be a slip of the client"
    elif not odd.offered:
        severity, confidence, reason = "high", "low", "no offer seen"
    return _finding(session, facts, "masked" if masked else "changed", severity, confidence, reason, odd.word, odd.reply_code, odd.reply_text, odd.offered, CLIENT, odd.at)


def _finding(session: Session, facts: Facts, variant: str, severity: str, confidence: str, reason: str, word: str | None, code: str | None, text: str | None, offered: bool | None,
             side: int, at: int | None) -> Finding:
    weighed = causes((LOST, True), (NO_TLS, True), (TYPED, word is not None), (BROKEN_CLIENT, variant in ("echo", "unknown")), *((BUILT_WITHOUT, False),) * (word is None),
                     (OWN_FIREWALL, False), (SCANNER, False))
    if not offered:
        weighed["ruled_out"].remove(NO_TLS)
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=confidence, variant=variant, side=side, at=at,
        title=f"A middlebox changed the request for TLS from {session.client_ip} to {session.server_ip} port {session.server_port}: it arrived as {word}" if word is not None
        else f"A middlebox may have changed the request for TLS from {session.client_ip}: {session.server_ip} port {session.server_port} offered it and does not know it",
        evidence={"word": word, "reply_code": code, "reply_text": text, "offered": offered, "next": went_on(facts), **weighed},
    )


def _typed(session: Session, odd: OddCommand) -> bool:
    """Whether the word came in more packets than a program sends it in."""
    locate = session.locate
    return locate is not None and len({locate(CLIENT, odd.at + place)[1] for place in range(len(odd.word))}) >= TYPED_FRAMES
