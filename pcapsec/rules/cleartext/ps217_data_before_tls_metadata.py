"""PS217: names passed in clear before STARTTLS.

What
    Before the conversation went on to TLS, the client named itself in clear: EHLO name, IMAP ID, XCLIENT, XFORWARD or a PROXY line.

Why
    It shows who talks to whom, with which program, even when the mail itself is protected. With STARTTLS that cannot be helped.

Evidence
    client_name: argument of EHLO.
    identity: other names by where they stood.
    command: a command of login or mail that passed before TLS, where one did.

Not a finding when
    - TLS runs from the first byte;
    - the conversation never went on to TLS: then more than names passed, and other rules speak of it.

References
    RFC 3207 §6
    RFC 8314 §3
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS217", slug="data-before-tls-metadata", title="Envelope/identity leaked before STARTTLS", severity="info", confidence="high",
    category="cleartext", scope="session", protocols=("smtp", "imap"), needs=(CLIENT,),
    remediation="Use implicit TLS where both sides can (465, 993).",
    references=("RFC 3207 §6", "RFC 8314 §3"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.tls_started:
        return NOT_APPLICABLE
    name, identity = facts.client_name, facts.identity
    if name is None and not identity:
        return PASS if session.unseen_client is None else not_observable(session.unseen_client)
    return Finding(
        rule=RULE, severity="info", confidence="high",
        title=f"{session.client_ip} named itself in clear to {session.server_ip} port {session.server_port} before STARTTLS",
        side=CLIENT, at=0, evidence={"client_name": name, "identity": dict(identity) if identity else {}, "command": facts.first_clear_command},
    )
