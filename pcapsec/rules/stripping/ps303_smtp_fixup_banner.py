"""PS303: asterisks stand in the place of the server's greeting.

What
    The SMTP greeting has nothing but asterisks, and 2 and 0 here and there: `220 ****************0*2******`. Cisco's PIX and ASA write it so when they
    inspect SMTP.

Why
    A firewall rewrites this conversation. In its usual setting it also takes STARTTLS out of the list or masks it, so that mail on this path is
    never encrypted, whatever both servers can do. It is nearly always the firewall of one of the two operators, set so by default.

Evidence
    banner: the greeting.
    asterisks: per cent of its characters.
    offer: what became of STARTTLS: stands, masked (PS301 speaks of it), missing, or unknown where no complete list was seen.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - other lines or words of the greeting can be read: then the asterisks are decoration;
    - less than 80 per cent are asterisks.

References
    Cisco document 118584
    Cisco ASA, ESMTP inspection: mask-banner
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..innocence import LOST, OWN_FIREWALL, causes
from ..offers import MIN_STARS, masked_offer
from ..rule import PASS, Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS303", slug="smtp-fixup-banner", title="Cisco PIX/ASA SMTP inspection banner mask", severity="medium", confidence="high",
    category="stripping", scope="session", protocols=("smtp",), needs=(SERVER,),
    remediation="On the firewall in front of the server: no inspection of ESMTP, or `parameters allow-tls` in its inspection map.",
    references=("Cisco document 118584", "Cisco ASA, ESMTP inspection: mask-banner"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    stars = facts.oddities.greeting_stars if facts.oddities is not None else None
    if stars is None or stars < MIN_STARS:
        return PASS if facts.greeting is not None else unless_unseen(session, SERVER)
    if facts.starttls_offered:
        offer = "stands"
    elif masked_offer(facts.masked_tokens, session.protocol):
        offer = "masked"
    else:
        offer = "missing" if facts.capabilities_complete else "unknown"
    lets_through = {"stands": "", "masked": " and masks STARTTLS", "missing": ", and no STARTTLS comes through", "unknown": ""}[offer]
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=f"offer-{offer}",
        title=f"A firewall in front of {session.server_ip} port {session.server_port} rewrites SMTP: asterisks for a greeting{lets_through}",
        side=SERVER, at=facts.greeting_at,
        evidence={"banner": facts.greeting, "asterisks": stars, "offer": offer, **causes((LOST, True), (OWN_FIREWALL, False))},
    )
