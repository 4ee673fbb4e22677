"""PS102: an SMTP password crosses the network readable, by AUTH LOGIN.

What
    Outside TLS a client sent `AUTH LOGIN` and answered the server's two prompts, or one when the name stood in the command, with name and password in
    base64.

Why
    Base64 is no encryption: everybody on the way can read the password and use it.

Evidence
    auth_result, auth_reason, reply_code: what the server answered; a failed login is one step less severe, an unseen answer one step less sure.
    initial_response: whether the name stood in the AUTH command itself.
    secret_length: the password's length as a class.
    cancelled: the client broke off.

Not a finding when
    - only the name passed and the password prompt was not answered, or with `*` (PS119 says that the name is known);
    - the password is empty.
    Prompts are counted, not read: servers word them differently.

References
    [MS-XLOGIN] §4
    draft-murchison-sasl-login-00
    RFC 4954 §4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import SMTP, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS102", slug="smtp-auth-login", title="SMTP AUTH LOGIN in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=SMTP, needs=(CLIENT,), mechanisms=("LOGIN",),
    remediation="Change the password; require TLS before AUTH (465, or 587 with STARTTLS). LOGIN is obsolete: offer PLAIN inside TLS instead.",
    references=("[MS-XLOGIN] §4", "draft-murchison-sasl-login-00", "RFC 4954 §4"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    return password_finding(RULE, session, login, "SMTP AUTH LOGIN")
