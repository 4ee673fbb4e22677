"""PS113: a news server password crosses the network readable.

What
    Outside TLS a client sent `AUTHINFO USER` and `AUTHINFO PASS`, or `AUTHINFO SASL PLAIN` with the password in base64.

Why
    Everybody on the way can read the password and use it; it is often the one of the mailbox.

Evidence
    auth_result, auth_reason, reply_code: what the server answered: 281 success, 481 failed, 483 encryption demanded.
    initial_response, authzid, cancelled: how a SASL exchange went.
    secret_length: the password's length as a class.

Not a finding when
    - the server was content with the name (281 straight after USER): no password passed;
    - only the name passed (PS119).

References
    RFC 4643 §2.3, §2.4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS113", slug="nntp-authinfo", title="NNTP AUTHINFO USER/PASS or SASL PLAIN in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("nntp",), needs=(CLIENT,), mechanisms=("AUTHINFO", "PLAIN", "LOGIN"),
    remediation="Change the password; use STARTTLS or 563 and answer 483 to logins in clear.",
    references=("RFC 4643 §2.3, §2.4",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    how = "NNTP AUTHINFO USER and PASS" if login.mechanism == "AUTHINFO" else f"NNTP AUTHINFO SASL {login.mechanism}"
    return password_finding(RULE, session, login, how, login.mechanism)
