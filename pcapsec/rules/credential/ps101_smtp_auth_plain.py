"""PS101: an SMTP password crosses the network readable, by AUTH PLAIN.

What
    Outside TLS a client sent `AUTH PLAIN` and a base64 token, in the command or behind the server's 334, that holds name and password.

Why
    Base64 is no encryption: everybody on the way can read the password and use it, for this mailbox and wherever else it is used.

Evidence
    auth_result, auth_reason, reply_code: what the server answered; a failed login is one step less severe, an unseen answer one step less sure.
    initial_response: whether the token stood in the AUTH command itself.
    authzid: another identity that was asked for, where one was.
    secret_length: the password's length as a class.
    cancelled: the client broke off.

Not a finding when
    - the token is empty (`=`) or the exchange was cancelled (`*`) before a password passed;
    - a line of base64 stands outside the exchange, as in a message;
    - the password is empty.
    A token without exactly two NUL characters is reported with low confidence.

References
    RFC 4954 §4, §6
    RFC 4616 §2
    RFC 8314 §3.3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import SMTP, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS101", slug="smtp-auth-plain", title="SMTP AUTH PLAIN in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=SMTP, needs=(CLIENT,), mechanisms=("PLAIN",),
    remediation="Change the password; require TLS before AUTH (465, or 587 with STARTTLS) and do not advertise PLAIN without it.",
    references=("RFC 4954 §4, §6", "RFC 4616 §2", "RFC 8314 §3.3"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    return password_finding(RULE, session, login, "SMTP AUTH PLAIN")
