"""PS210: an IMAP client sent LOGIN although the server forbade it.

What
    The server listed LOGINDISABLED in clear, and then the client sent LOGIN on the same connection without TLS.

Why
    The password has passed readable even though the server refuses it: the client breaks the one rule that protects it.

Evidence
    auth_result: whether the login succeeded all the same; the login's own finding shows more of it.
    disabled_at: server stream offset of the list.
    login_at: client stream offset of the command.

Not a finding when
    - LOGINDISABLED came only after the LOGIN;
    - the login is anonymous.

References
    RFC 3501 §6.2.3
    RFC 9051 §6.2.3
    RFC 2595 §3.2
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Login, Session
from ..logins import is_anonymous_command, login_finding, who
from ..rule import PASS, Rule, Verdict, seen_before
from ..site import Site

RULE = Rule(
    id="PS210", slug="logindisabled-ignored", title="Client sent LOGIN despite LOGINDISABLED", severity="high", confidence="high",
    category="cleartext", scope="login", protocols=("imap",), needs=(CLIENT, SERVER), mechanisms=("LOGIN-COMMAND",),
    remediation="Update or replace the client; set it to require TLS.",
    references=("RFC 3501 §6.2.3", "RFC 9051 §6.2.3", "RFC 2595 §3.2"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    facts = session.facts
    if facts.login_disabled_at is None or is_anonymous_command(login):
        return PASS
    at_that_time = login.details.get("login_disabled")  # what the list in force said when the command came
    if at_that_time is False or at_that_time is None and not seen_before(session, facts.login_disabled_at, login.at):
        return PASS
    return login_finding(
        RULE, session, login, f"A client sent LOGIN for {who(login)} to {session.server_ip} port {session.server_port} although the server forbids it without TLS",
        evidence={"disabled_at": facts.login_disabled_at, "login_at": login.at}, outcome_matters=False, brief=True)
