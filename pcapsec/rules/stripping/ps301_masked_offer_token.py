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
    could_be: common words of that length that do not stand in clear in the list.
    masked: all words of the list that look masked, at most 10.
    requested, reply_code: whether the client asked all the same, and the answer.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the real word stands in the list too: then something else was masked;
    - the word has another length: middleboxes also mask PIPELINING, SIZE and others (PS302);
    - the word is a known keyword: 8BITMIME, CHUNKING and SMTPUTF8 are as long as STARTTLS, USER, UIDL and SASL as STLS;
    - the masked word must be another one: BINARYMIME stands in clear, so that CHUNKING, which belongs to it, is the one that is missing: not_observable.
    Confidence is high when the client asked for STARTTLS and got 500 or 502, or when the three other common words of that length stand in clear beside
    it; a masked word of four letters without USER and UIDL beside it is low, as is a word of another length. Where TLS was used all the same, one step less
    severe.

References
    Cisco document 118550
    Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015
    RFC 3207 §6
    RFC 3030 §3
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..innocence import LOST, OTHER_KEYWORD, OWN_FIREWALL, SCANNER, causes
from ..offers import COMMON_EIGHT, COMMON_FOUR, OFFER, UNKNOWN_COMMAND, distance, is_run, masked_offer
from ..rule import LOWER, MAIL, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS301", slug="masked-offer-token", title="Capability word masked where STARTTLS should be", severity="high", confidence="medium",
    category="stripping", scope="session", protocols=MAIL, needs=(SERVER,),
    remediation="Let the firewall pass STARTTLS (Cisco ASA: allow-tls in the ESMTP inspection map, or no ESMTP inspection); "
                "if it is not yours, treat it as an attack.",
    references=("Cisco document 118550", "Durumeric et al., Neither Snow Nor Rain Nor MITM, IMC 2015", "RFC 3207 §6", "RFC 3030 §3"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.starttls_offered:
        return PASS
    offer = OFFER[session.protocol]
    token = masked_offer(facts.masked_tokens, session.protocol) if facts.masked_tokens else None
    if token is None:
        return PASS if facts.capabilities_complete else not_observable(session.unseen_server or "no_capability_list")
    words = [line.partition(" ")[0].strip('"').upper() for line in facts.capabilities or ()]
    whole_length, asked = len(token) == len(offer), facts.starttls_requested and facts.starttls_accepted is False
    could_be = [offer] + sorted(word for word in (COMMON_EIGHT if session.protocol in ("smtp", "lmtp") else COMMON_FOUR if offer == "STLS" else ()) if word not in words)
    if "BINARYMIME" in words and "CHUNKING" in could_be and is_run(token.upper(), offer) and not asked and sum(is_run(word.upper(), offer) for word in facts.masked_tokens) == 1:
        return not_observable("masked_list")
    if asked and (facts.starttls_reply_code or "").upper() in UNKNOWN_COMMAND | {"-ERR"}:
        confidence = "high"
    elif not whole_length or offer == "STLS" and (len(could_be) > 1 or not is_run(token.upper(), offer)):
        confidence = "low"
    else:
        confidence = "high" if COMMON_EIGHT.issubset(words) else RULE.confidence
    severity, reason = (LOWER[RULE.severity], "TLS was used all the same") if facts.tls_started else (RULE.severity, "")
    shown = token if token.isprintable() else f"a word of {len(token)} control characters"
    where = f"{session.server_ip} port {session.server_port}"
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=confidence, variant=session.protocol,
        title=f"A middlebox removed {offer} from the reply of {where}: {shown} stands in its place" if confidence == "high" or len(could_be) == 1 and whole_length
        else f"A middlebox wrote over a word in the reply of {where}, probably {offer}: {shown} stands in its place",
        side=SERVER, at=facts.capabilities_at,
        evidence={"token": token, "length": len(token), "position": words.index(token.upper()) if token.upper() in words else None, "distance": distance(token.upper(), offer),
                  "could_be": could_be, "masked": list(facts.masked_tokens[:10]), "requested": facts.starttls_requested, "reply_code": facts.starttls_reply_code,
                  **causes((LOST, True), (OTHER_KEYWORD, confidence == "high" or len(could_be) == 1 and whole_length), (OWN_FIREWALL, False), (SCANNER, False))},
    )
