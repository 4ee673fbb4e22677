"""PS105: an APOP digest can be read, so that the password can be guessed offline.

What
    Outside TLS a POP3 client sent `APOP name digest`, the MD5 of the greeting's timestamp and the password.

Why
    Timestamp and digest let anyone try passwords offline at the speed of MD5. A timestamp that is no message id (variant bad-challenge) is the shape
    of an attack that recovers the password's first characters.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    challenge_seen: whether the greeting's timestamp is in the capture.
    secret_length: length of the digest as a class.

Not a finding when
    - a greeting has a timestamp but APOP was not used.

References
    RFC 1939 §7
    CVE-2007-1558
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..rule import LESS_SURE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS105", slug="pop3-apop", title="POP3 APOP digest readable", severity="high", confidence="high",
    category="credential", scope="login", protocols=("pop3",), needs=(CLIENT,), mechanisms=("APOP",),
    remediation="Use 995 or STLS, and PLAIN or SCRAM inside it; switch APOP off.",
    references=("RFC 1939 §7", "CVE-2007-1558"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "guessable" or not login.secret:
        return PASS
    details = login.details
    return login_finding(
        RULE, session, login, f"Password of {who(login)} can be guessed offline: POP3 APOP to {session.server_ip} port {session.server_port} in clear",
        variant="bad-challenge" if details.get("malformed_timestamp") else "",
        confidence=None if details.get("challenge_seen", True) else LESS_SURE[RULE.confidence])
