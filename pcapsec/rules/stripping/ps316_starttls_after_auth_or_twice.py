"""PS316: the client used STARTTLS where it has no place.

What
    The request came after a login that succeeded in clear (variant after_auth), again after the server had accepted one (again), with parameters (parameters),
    or where the server says that it is out of order (503: out_of_order).

Why
    The password or the mail has passed by then. A client that asks so late, or twice, does not follow the protocol, and servers differ in what they make of it.

Evidence
    reply_code: the answer, where one was seen.
    tls_followed: whether the conversation went on to TLS.

Not a finding when
    - the first request was refused and the client tries again;
    - the login failed, or its outcome was not seen.

References
    RFC 3207 §4.2
    RFC 9051 §6.2.1
    RFC 4642 §2.2
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..rule import MAIL, PASS, Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS316", slug="starttls-after-auth-or-twice", title="STARTTLS used in the wrong state", severity="low", confidence="high",
    category="stripping", scope="session", protocols=MAIL, needs=(CLIENT,),
    remediation="Update the client: STARTTLS comes first, once and alone, before any login.",
    references=("RFC 3207 §4.2", "RFC 9051 §6.2.1", "RFC 4642 §2.2"),
)
SAYS = {"after_auth": "after it had logged in", "again": "again after it was accepted", "parameters": "with parameters", "out_of_order": "out of order"}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.starttls_requested:
        return PASS if facts.tls_started else unless_unseen(session, CLIENT)
    asked_at = facts.starttls_requested_at
    misuse = facts.oddities.misuse if facts.oddities is not None else ()
    if asked_at is not None and any(login.result == "success" and login.at < asked_at for login in facts.logins):
        variant = "after_auth"
    elif misuse:
        variant = "again" if "again" in misuse else "parameters"
    elif facts.starttls_reply_code == "503":
        variant = "out_of_order"
    else:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=variant,
        title=f"{session.client_ip} asked {session.server_ip} port {session.server_port} for {facts.starttls_verb or 'STARTTLS'} {SAYS[variant]}", side=CLIENT, at=asked_at,
        evidence={"reply_code": facts.starttls_reply_code, "tls_followed": facts.tls_started},
    )
