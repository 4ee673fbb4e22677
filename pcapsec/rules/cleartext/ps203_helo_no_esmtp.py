"""PS203: a client greeted with HELO, so that TLS was impossible.

What
    HELO was accepted and mail was sent; the client never tried EHLO.

Why
    STARTTLS is offered in the answer to EHLO alone. This client cannot use TLS, whatever the server does.

Evidence
    helo: the name that the client gave.
    command: what it sent next.

Not a finding when
    - EHLO was refused before: then somebody took the choice from the client, and that is another story;
    - nothing was sent after HELO;
    - bytes of the client are missing that could hold an EHLO: not_observable.

References
    RFC 5321 §3.2, §4.1.1.1
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS203", slug="helo-no-esmtp", title="Client used HELO so TLS was impossible", severity="low", confidence="high",
    category="cleartext", scope="session", protocols=("smtp",), needs=(CLIENT,),
    remediation="Update or reconfigure the client so that it uses EHLO.",
    references=("RFC 5321 §3.2, §4.1.1.1",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    verb = facts.hello_verb
    if verb is None:
        return unless_unseen(session, CLIENT)
    if verb != "HELO" or facts.tls_started or facts.capabilities is not None:
        return PASS
    if facts.ehlo_reject_code is not None or not (facts.messages or facts.first_clear_command == "MAIL"):
        return NOT_APPLICABLE
    if session.unseen_client is not None:
        return not_observable(session.unseen_client)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{session.client_ip} greets {session.server_ip} port {session.server_port} with HELO and so cannot use TLS",
        side=CLIENT, at=facts.first_clear_command_at, evidence={"helo": facts.client_name, "command": facts.first_clear_command},
    )
