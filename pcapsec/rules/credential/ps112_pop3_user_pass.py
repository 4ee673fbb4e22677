"""PS112: a POP3 password crosses the network readable.

What
    Outside TLS a client sent `USER name` and `PASS password`, or `AUTH PLAIN` or `AUTH LOGIN` with the password in base64.

Why
    Everybody on the way can read the password and use it. POP3 clients log in every few minutes, so it passes often.

Evidence
    auth_result, auth_reason, reply_code: what the server answered; -ERR [IN-USE] means that the password was right, [AUTH] that it was not, the other
    codes say nothing about it.
    initial_response, authzid, cancelled: how an AUTH exchange went.
    secret_length: the password's length as a class.

Not a finding when
    - only the name passed (PS119): no PASS followed, for example because USER was refused;
    - the password is empty.

References
    RFC 1939 §7
    RFC 5034 §4
    RFC 2449 §8.1
    RFC 3206 §4, §5
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS112", slug="pop3-user-pass", title="POP3 USER/PASS in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("pop3",), needs=(CLIENT,), mechanisms=("USER-PASS", "PLAIN", "LOGIN"),
    remediation="Change the password; make STLS mandatory or serve 995 only.",
    references=("RFC 1939 §7", "RFC 5034 §4", "RFC 2449 §8.1", "RFC 3206 §4, §5"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    how = "POP3 USER and PASS" if login.mechanism == "USER-PASS" else f"POP3 AUTH {login.mechanism}"
    return password_finding(RULE, session, login, how, login.mechanism)
