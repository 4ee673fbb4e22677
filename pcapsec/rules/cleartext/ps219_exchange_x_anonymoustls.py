"""PS219: two Exchange servers used X-ANONYMOUSTLS in place of STARTTLS.

What
    The client sent X-ANONYMOUSTLS and the server answered 220: TLS follows, as after STARTTLS.

Why
    It is how Exchange servers of one organisation talk, with certificates that they signed themselves. The mail is protected; the certificates prove
    nothing to others.

Evidence
    verb: the command.
    reply_code: the answer.

Not a finding when
    - the word is only offered and not used.

References
    Microsoft Exchange, SMTP verb X-ANONYMOUSTLS
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..rule import Rule, Verdict, PASS, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS219", slug="exchange-x-anonymoustls", title="Exchange X-ANONYMOUSTLS used instead of STARTTLS", severity="info", confidence="medium",
    category="cleartext", scope="session", protocols=("smtp",), needs=(CLIENT,),
    remediation="Nothing need be done inside one organisation.",
    references=("Microsoft Exchange, SMTP verb X-ANONYMOUSTLS",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.starttls_verb != "X-ANONYMOUSTLS":
        return PASS if facts.tls_started else unless_unseen(session, CLIENT)
    if not (facts.starttls_accepted or facts.tls_started):
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{session.client_ip} and {session.server_ip} port {session.server_port} use Exchange's X-ANONYMOUSTLS",
        side=CLIENT, at=facts.starttls_requested_at, evidence={"verb": facts.starttls_verb, "reply_code": facts.starttls_reply_code},
    )
