"""PS302: a middlebox writes over keywords of the server's EHLO reply.

What
    Two or more keywords of one EHLO reply are runs of X, of whatever length (XXXX, XXXXXXXXXX, XXXXXXXXXF).

Why
    A firewall that inspects SMTP stands between client and server and masks what it does not know. The same setting masks STARTTLS, or takes the
    line out, so that no mail on this path is ever encrypted.

Evidence
    tokens, lengths: the masked words, at most 20.
    could_be: for each length the common keywords that do not stand in clear.
    counted: whether the last letters count up from A, as Cisco's inspection writes them.
    offer: what became of STARTTLS: stands, masked (PS301 speaks of it) or missing.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - a single word is masked;
    - vendors' keywords that begin with X (XCLIENT, XEXCH50) stand in the list.

References
    Cisco ASA, ESMTP inspection: match ehlo-reply-parameter others mask; no allow-tls
    Cisco document 118550
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..innocence import LOST, OWN_FIREWALL, SCANNER, causes
from ..offers import is_mask, masked_offer
from ..rule import PASS, SMTP, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS302", slug="masked-other-keywords", title="Middlebox masks other ESMTP keywords", severity="medium", confidence="medium",
    category="stripping", scope="session", protocols=SMTP, needs=(SERVER,),
    remediation="Turn the firewall's inspection of ESMTP off, or let it pass all keywords and STARTTLS (Cisco ASA: allow-tls).",
    references=("Cisco ASA, ESMTP inspection: match ehlo-reply-parameter others mask; no allow-tls", "Cisco document 118550"),
)
MAX_SHOWN = 20
COMMON = ("DSN", "AUTH", "ETRN", "HELP", "SIZE", "TURN", "VRFY", "XCLIENT", "XEXCH50", "8BITMIME", "CHUNKING", "SMTPUTF8", "STARTTLS", "DELIVERBY", "BINARYMIME",
          "PIPELINING", "ENHANCEDSTATUSCODES")


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tokens = [token.upper() for token in facts.masked_tokens if is_mask(token)] if len(facts.masked_tokens) > 1 else ()
    if len(tokens) < 2:
        return PASS if facts.capabilities_complete else not_observable(session.unseen_server or "no_capability_list")
    words = {line.partition(" ")[0].upper() for line in facts.capabilities or ()}
    last = [token[-1] for token in tokens if token[-1] != "X"]
    counted = len(last) > 1 and all(ord(after) > ord(before) for before, after in zip(last, last[1:]))
    lengths = [len(token) for token in tokens]
    offer = "stands" if facts.starttls_offered else "masked" if masked_offer(facts.masked_tokens, session.protocol) else "missing"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="high" if counted else RULE.confidence,
        title=f"A middlebox writes over {len(tokens)} keywords in the EHLO reply of {session.server_ip} port {session.server_port}",
        side=SERVER, at=facts.capabilities_at,
        evidence={"tokens": tokens[:MAX_SHOWN], "lengths": lengths[:MAX_SHOWN], "counted": counted, "offer": offer,
                  "could_be": {str(length): [word for word in COMMON if len(word) == length and word not in words] for length in sorted(set(lengths))[:MAX_SHOWN]},
                  **causes((LOST, True), (OWN_FIREWALL, False), (SCANNER, False))},
    )
