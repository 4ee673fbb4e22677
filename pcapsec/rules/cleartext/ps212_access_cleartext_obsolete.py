"""PS212: a mail program used its server in clear from beginning to end.

What
    A conversation between a mail program and its server (a login or mailbox commands were seen: IMAP, POP3, ManageSieve, submission) ended without TLS.

Why
    Clear text is obsolete for reading and submitting mail: everything in the session could be read and altered.

Evidence
    role: what shows that it is a mail program: login, mailbox commands or preauth.
    logins: number of logins seen.
    mailbox_commands: commands that read or changed a mailbox.

Not a finding when
    - it is relay between mail servers (PS201, PS204, PS206 speak of that);
    - STARTTLS may stand in lost bytes: not_observable;
    - the server took nothing before TLS;
    - a SASL security layer encrypts what follows the login.

References
    RFC 8314 §1, §3, §4
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS212", slug="access-cleartext-obsolete", title="Mail access/submission session fully in clear", severity="high", confidence="high",
    category="cleartext", scope="session", protocols=("smtp", "imap", "pop3", "managesieve"), needs=(CLIENT,),
    remediation="Use implicit TLS: 993, 995, 465.",
    references=("RFC 8314 §1, §3, §4",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.tls_started or facts.sasl_wrapped:
        return PASS
    logins, commands = len(facts.logins), facts.n_mailbox_commands
    if session.protocol == "smtp":
        if not logins:
            return NOT_APPLICABLE
        role = "login"
    elif logins or commands or facts.preauth:
        role = "login" if logins else "mailbox commands" if commands else "preauth"
    else:
        return unless_unseen(session, CLIENT)
    if facts.encryption_required_code is not None and facts.accepted_clear_command is None:
        return PASS
    if facts.starttls_requested is None and session.unseen_client is not None:
        return not_observable(session.unseen_client)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=session.protocol,
        title=f"{session.client_ip} used its mail server {session.server_ip} port {session.server_port} in clear throughout",
        side=CLIENT, at=facts.first_clear_command_at, evidence={"role": role, "logins": logins, "mailbox_commands": commands},
    )
