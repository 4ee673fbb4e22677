"""PS202: a submission server works without TLS.

What
    On the submission port, or where a client logged in, the server accepted AUTH or MAIL before TLS.

Why
    A server that insists on TLS protects even users whose program is set up badly; this one does not.

Evidence
    command, reply_code: what it accepted, and its answer.
    authenticated: whether the client tried to log in.

Not a finding when
    - the server answered that TLS comes first (530, 538, 554 to everything): it enforces TLS, which is a pass;
    - a host of one's own network mailed on 587 without logging in: it may be trusted by address, and others not: not_observable;
    - it is a mail exchanger's port and nobody logged in.

References
    RFC 8314 §3.3, §5
    RFC 6409
    RFC 3207 §4
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, Rule, Verdict, not_observable, unless_unseen
from ..site import PUBLIC, Site

RULE = Rule(
    id="PS202", slug="submission-without-tls", title="Submission port usable without TLS", severity="high", confidence="high",
    category="cleartext", scope="session", protocols=("smtp",), needs=(CLIENT, SERVER),
    remediation="Require TLS on 587 (Postfix: smtpd_tls_security_level=encrypt) or move clients to 465.",
    references=("RFC 8314 §3.3, §5", "RFC 6409", "RFC 3207 §4"),
)
COMMANDS = frozenset(("AUTH", "X-EXPS", "MAIL", "RCPT", "DATA", "BDAT"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    logins = facts.logins
    if session.server_port != 587 and session.service != "submission" and not logins:
        return NOT_APPLICABLE
    command, code = _accepted(facts)
    if command is None:
        return unless_unseen(session, CLIENT, SERVER)
    if not logins and site.scope(session.client_ip) != PUBLIC:
        return not_observable("trusted_client")
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=str(session.server_port) if session.server_port in (25, 587, 2525) else "",
        title=f"{session.server_ip} port {session.server_port} accepted {command} without TLS",
        side=CLIENT, at=facts.first_clear_command_at, evidence={"command": command, "reply_code": code, "authenticated": bool(logins)},
    )


def _accepted(facts: Facts) -> tuple[str | None, str | None]:
    """What the server took before TLS, and its answer; the first command that it took may have been neither a login nor a mail."""
    if facts.accepted_clear_command in COMMANDS:
        return facts.accepted_clear_command, facts.accepted_clear_code
    for login in facts.logins:
        if login.result == "success":
            return "AUTH", login.reply_code
    for message in facts.messages:
        if message.mail_from_reply is not None and message.mail_from_reply // 100 == 2:
            return "MAIL", str(message.mail_from_reply)
    return None, None
