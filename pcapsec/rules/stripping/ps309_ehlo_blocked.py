"""PS309: EHLO was refused or written over, so that TLS cannot be asked for.

What
    EHLO is answered 500 or 502 by a server whose greeting says ESMTP, or is hidden behind a firewall's asterisks (variant refused); or EHLO arrives as four
    equal letters with a name behind them, `XXXX client.example`, and is refused (variant written_over).

Why
    STARTTLS is offered in the answer to EHLO alone. Whoever blocks EHLO makes the client fall back to HELO and send its mail in clear.

Evidence
    banner: the server's greeting.
    word: what arrived in EHLO's place.
    reply_code, reply_text: the answer.
    next: what the client greeted with then, or quit.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - a later EHLO of the connection was accepted;
    - the answer is another one: 501 finds fault with the name, 4xx and 55x are policy;
    - the greeting does not speak of ESMTP: old servers know HELO alone;
    - the greeting was not seen: not_observable.

References
    RFC 5321 §3.2
    Cisco document 118584
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..innocence import BROKEN_CLIENT, LOST, OLD_SERVER, OWN_FIREWALL, SCANNER, causes
from ..offers import MIN_STARS, UNKNOWN_COMMAND
from ..rule import NOT_APPLICABLE, PASS, SMTP, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS309", slug="ehlo-blocked", title="EHLO rejected or rewritten so TLS cannot be asked", severity="high", confidence="medium",
    category="stripping", scope="session", protocols=SMTP, needs=(SERVER,),
    remediation="Let the firewall in front of the server pass EHLO (Cisco: no SMTP fixup or ESMTP inspection); if it is not yours, treat it as an attack.",
    references=("RFC 5321 §3.2", "Cisco document 118584"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.tls_started or facts.capabilities is not None:
        return PASS
    odd = facts.oddities
    word = next((one for one in odd.commands if one.like == "EHLO" and one.reply_code in UNKNOWN_COMMAND), None) if odd is not None else None
    if word is None and facts.ehlo_reject_code not in UNKNOWN_COMMAND:
        return unless_unseen(session, SERVER)
    greeting = facts.greeting
    if greeting is None:
        return not_observable(session.unseen_server or "no_greeting")
    if facts.greeting_code != "220":
        return NOT_APPLICABLE
    masked = odd is not None and odd.greeting_stars is not None and odd.greeting_stars >= MIN_STARS
    says_so = "ESMTP" in greeting.upper() or "LMTP" in greeting.upper()
    if not (says_so or masked):
        return NOT_APPLICABLE
    where = f"{session.server_ip} port {session.server_port}"
    if facts.ehlo_reject_code in UNKNOWN_COMMAND:
        variant, title, side, at = "refused", f"EHLO to {where} was refused although it speaks ESMTP: a middlebox may have blocked it", SERVER, odd.ehlo_rejected_at if odd is not None else None
        shown, code, text = None, facts.ehlo_reject_code, odd.ehlo_reject_text if odd is not None else None
    else:
        variant, title, side, at = "written_over", f"A middlebox wrote over EHLO from {session.client_ip} to {where}: it arrived as {word.word}", CLIENT, word.at
        shown, code, text = word.word, word.reply_code, word.reply_text
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant, title=title, side=side, at=at,
        evidence={"banner": greeting, "word": shown, "reply_code": code, "reply_text": text, "next": facts.hello_verb or "quit",
                  **causes((LOST, True), (OLD_SERVER, says_so), (BROKEN_CLIENT, variant == "refused"), (OWN_FIREWALL, False), (SCANNER, False))},
    )
