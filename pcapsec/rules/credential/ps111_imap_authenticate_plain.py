"""PS111: an IMAP password crosses the network readable, by AUTHENTICATE PLAIN or LOGIN.

What
    Outside TLS a client sent `AUTHENTICATE PLAIN` or `AUTHENTICATE LOGIN` and base64 that holds the password, in the command (SASL-IR) or behind `+`.

Why
    Base64 is no encryption: everybody on the way can read the password and use it.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    initial_response: whether the token stood in the command itself.
    authzid: another identity that was asked for, where one was.
    secret_length: the password's length as a class.
    cancelled: the client broke off.

Not a finding when
    - the token is empty (`=`) or the exchange was cancelled (`*`) before a password passed;
    - the password is empty.

References
    RFC 9051 §6.2.2
    RFC 4959
    RFC 4616
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import password_finding
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS111", slug="imap-authenticate-plain", title="IMAP AUTHENTICATE PLAIN/LOGIN in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("imap",), needs=(CLIENT,), mechanisms=("PLAIN", "LOGIN"),
    remediation="Change the password; announce LOGINDISABLED and no AUTH=PLAIN until TLS runs, or serve 993 only.",
    references=("RFC 9051 §6.2.2", "RFC 4959", "RFC 4616"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    return password_finding(RULE, session, login, f"IMAP AUTHENTICATE {login.mechanism}", login.mechanism)
