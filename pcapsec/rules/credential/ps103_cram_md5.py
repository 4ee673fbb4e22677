"""PS103: a CRAM-MD5 exchange can be read, so that the password can be guessed offline.

What
    Outside TLS a client answered a CRAM-MD5 challenge: `name SP 32 hex digits`.

Why
    Challenge and answer together let anyone try passwords at the speed of MD5, without the server noticing. The session itself stays readable too.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    challenge_seen: whether the challenge is in the capture; without it the answer cannot be tested, and the finding is less sure.
    secret_length: length of the answer as a class.
    initial_response, cancelled: how the exchange went.

Not a finding when
    - the exchange was cancelled before the answer.

References
    RFC 2195 §2
    RFC 4954 §4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..rule import LESS_SURE, MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS103", slug="cram-md5", title="CRAM-MD5 exchange readable (offline crackable)", severity="high", confidence="high",
    category="credential", scope="login", protocols=MAIL, needs=(CLIENT,), mechanisms=("CRAM-MD5",),
    remediation="Require TLS and use PLAIN or SCRAM inside it; switch CRAM-MD5 off.",
    references=("RFC 2195 §2", "RFC 4954 §4"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "guessable" or not login.secret:
        return PASS
    confidence = None if login.details.get("challenge_seen", True) else LESS_SURE[RULE.confidence]
    return login_finding(
        RULE, session, login, f"Password of {who(login)} can be guessed offline: CRAM-MD5 to {session.server_ip} port {session.server_port} in clear",
        confidence=confidence)
