"""PS301: the word STARTTLS was written over in the server's list.

What
    Where STARTTLS (POP3: STLS) should stand, the list has a word of its length made of one letter (XXXXXXXX, XXXXXXXA), or the word with one or two
    letters changed.

Why
    A middlebox between client and server masks what it does not know, or does not want used. The client believes that TLS is not to be had and
    sends everything in clear. Usually it is the operator's own firewall.

Evidence
    token, length, position: the word, its length and its place in the list.
    distance: letters that differ from the offer.
    masked: all words of the list that look masked, at most 10.
    requested, reply_code: whether the client asked all the same, and the answer.

Not a finding when
    - the real word stands in the list too: then something else was masked;
    - the word has another length: middleboxes also mask PIPELINING, SIZE and others;
    - the word is a known keyword: 8BITMIME, CHUNKING and SMTPUTF8 are as long as STARTTLS, USER, UIDL and SASL as STLS.
    Confidence is high when the client asked for STARTTLS and got 500 or 502, or when the three other common words of that length stand in clear beside
    it; a masked word of four letters without USER and UIDL beside it is low.

References
    Cisco document 118550
    Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015
    RFC 3207 §6
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..offers import COMMON_EIGHT, COMMON_FOUR, OFFER, distance, masked_offer
from ..rule import PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS301", slug="masked-offer-token", title="Capability word masked where STARTTLS should be", severity="high", confidence="medium",
    category="stripping", scope="session", protocols=("smtp", "lmtp", "imap", "pop3", "managesieve"), needs=(SERVER,),
    remediation="Let the firewall pass STARTTLS (Cisco ASA: allow-tls in the ESMTP inspection map, or no ESMTP inspection); "
                "if it is not yours, treat it as an attack.",
    references=("Cisco document 118550", "Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015", "RFC 3207 §6"),
)
UNKNOWN_COMMAND = frozenset(("500", "502", "BAD", "-ERR"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.starttls_offered:
        return PASS
    token = masked_offer(facts.masked_tokens, session.protocol) if facts.masked_tokens else None
    if token is None:
        return PASS if facts.capabilities_complete else not_observable(session.unseen_server or "no_capability_list")
    words = [line.partition(" ")[0].strip('"').upper() for line in facts.capabilities or ()]
    if facts.starttls_requested and facts.starttls_accepted is False and (facts.starttls_reply_code or "").upper() in UNKNOWN_COMMAND:
        confidence = "high"
    elif OFFER[session.protocol] == "STLS":
        confidence = RULE.confidence if COMMON_FOUR.issubset(words) else "low"
    else:
        confidence = "high" if COMMON_EIGHT.issubset(words) else RULE.confidence
    position = words.index(token.upper()) if token.upper() in words else None
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=confidence, variant=session.protocol,
        title=f"A middlebox removed STARTTLS from the reply of {session.server_ip} port {session.server_port}: {token} stands in its place",
        side=SERVER, at=facts.capabilities_at,
        evidence={"token": token, "length": len(token), "position": position, "distance": distance(token.upper(), OFFER[session.protocol]),
                  "masked": list(facts.masked_tokens[:10]), "requested": facts.starttls_requested, "reply_code": facts.starttls_reply_code},
    )
