"""PS204: the server offered STARTTLS and the client went on in clear.

What
    The offer stands in the server's list, then a login, a mail or a mailbox command follows in clear, and STARTTLS was never asked for.

Why
    Protection cost one command. Client or connector are set to do without it, so that mail and passwords pass readable.

Evidence
    command: the first command that the client sent in clear.
    offered_at: server stream offset of the offer.
    client_name: name that the client gave.
    server_name: words of the server's greeting.
    encryption_required: the answer by which the server insisted on TLS, where it did.

Not a finding when
    - the client only looked (EHLO, CAPABILITY, NOOP, QUIT), as monitoring does: info, variant probe;
    - the request may stand in lost bytes: not_observable;
    - the client never sent a command;
    - the offer came only after the command;
    - a SASL security layer encrypts what follows the login.
    Where the server took nothing before TLS (variant enforced) little passed: one step less severe. Where the client came back with TLS at once, PS911
    (variant reconnected) tells it.

References
    RFC 3207 §6
    RFC 8314 §5.2
    RFC 7435
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import LOWER, MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, seen_before
from ..site import Site

RULE = Rule(
    id="PS204", slug="starttls-offered-unused", title="STARTTLS offered but client continued in clear", severity="high", confidence="high",
    category="cleartext", scope="session", protocols=MAIL, needs=(CLIENT, SERVER),
    remediation="Set the client or connector to require TLS.",
    references=("RFC 3207 §6", "RFC 8314 §5.2", "RFC 7435"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if not facts.starttls_offered:
        if facts.starttls_offered is None and not facts.tls_started:
            return not_observable(session.unseen_server or "no_capability_list")
        return NOT_APPLICABLE
    if facts.starttls_requested or facts.tls_started or facts.sasl_wrapped:
        return PASS
    command = facts.first_clear_command
    if facts.starttls_requested is None or (command is None and session.unseen_client is not None):
        return not_observable(session.unseen_client) if session.unseen_client else NOT_APPLICABLE
    if facts.preauth:
        return NOT_APPLICABLE
    severity, reason, variant = RULE.severity, "", ""
    evidence = {"command": command, "offered_at": facts.starttls_offered_at, "client_name": facts.client_name, "server_name": facts.greeting}
    if command is None:
        if not session.finished:
            return not_observable("unfinished")
        severity, reason, variant = "info", "only probed", "probe"
    elif session.protocol != "smtp" and not seen_before(session, facts.starttls_offered_at, facts.first_clear_command_at):
        return NOT_APPLICABLE
    elif facts.encryption_required_code is not None and facts.accepted_clear_command is None:
        severity, reason, variant = LOWER[severity], "server insisted on TLS", "enforced"
        evidence["encryption_required"] = facts.encryption_required_code
    did = "looked at" if command is None else f"sent {command} in clear to"
    return Finding(
        rule=RULE, severity=severity, confidence="high" if session.unseen_client is None else "medium", variant=variant, severity_reason=reason,
        title=f"{session.client_ip} {did} {session.server_ip} port {session.server_port} and did not use the STARTTLS on offer",
        side=SERVER if command is None else CLIENT, at=facts.starttls_offered_at if command is None else facts.first_clear_command_at, evidence=evidence,
    )
