"""PS114: a ManageSieve password crosses the network readable.

What
    Before STARTTLS a client sent `AUTHENTICATE "PLAIN"` (or LOGIN) and base64 that holds the password, in the command or on a line of its own.

Why
    It is the mailbox's password: everybody on the way can read it and use it.

Evidence
    auth_result, auth_reason, reply_code: what the server answered; NO (ENCRYPT-NEEDED) refuses, but a password in the command has passed by then.
    initial_response: whether the token stood in the command itself.
    authzid: another identity that was asked for, where one was.
    secret_length: the password's length as a class.
    cancelled: the client broke off.

Not a finding when
    - the server only lists mechanisms in its SASL line;
    - the exchange was cancelled (`"*"`) before a password passed.

References
    RFC 5804 §1.1, §1.3, §1.7, §2.1, §2.2
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS114", slug="managesieve-auth", title="ManageSieve AUTHENTICATE in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("managesieve",), needs=(CLIENT,), mechanisms=("PLAIN", "LOGIN"),
    remediation='Change the password; use STARTTLS first, and let the server list "SASL" "" until then.',
    references=("RFC 5804 §1.1, §1.3, §1.7, §2.1, §2.2",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    return password_finding(RULE, session, login, f"ManageSieve AUTHENTICATE {login.mechanism}", login.mechanism)
