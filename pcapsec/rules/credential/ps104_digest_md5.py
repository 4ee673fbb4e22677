"""PS104: a DIGEST-MD5 exchange can be read, so that the password can be guessed offline.

What
    Outside TLS a client answered a DIGEST-MD5 challenge with its 32-digit response.

Why
    Everything that went into the response but the password is in the exchange: anyone can try passwords offline. The mechanism is Historic. With
    qop auth-int or auth-conf later bytes are wrapped, with ciphers that are weak today.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    challenge_seen: whether the challenge is in the capture.
    realm, qop, cipher, digest_uri: as the client sent them; qop is also the variant.
    secret_length: length of the response as a class.
    initial_response, cancelled, authzid: how the exchange went.

Not a finding when
    - no response passed.

References
    RFC 2831 §2.1
    RFC 6331
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..rule import LESS_SURE, MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS104", slug="digest-md5", title="DIGEST-MD5 exchange readable", severity="high", confidence="high",
    category="credential", scope="login", protocols=MAIL + ("ldap",), needs=(CLIENT,), mechanisms=("DIGEST-MD5",),
    remediation="Require TLS and use a modern mechanism inside it; switch DIGEST-MD5 off.",
    references=("RFC 2831 §2.1", "RFC 6331"),
)
SHOWN = ("realm", "qop", "cipher", "digest_uri")
QOP = ("auth", "auth-int", "auth-conf")


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "guessable" or not login.secret:
        return PASS
    details = login.details
    qop = details.get("qop")
    return login_finding(
        RULE, session, login, f"Password of {who(login)} can be guessed offline: DIGEST-MD5 to {session.server_ip} port {session.server_port} in clear",
        variant=qop if qop in QOP else "", confidence=None if details.get("challenge_seen", True) else LESS_SURE[RULE.confidence],
        evidence={name: details[name] for name in SHOWN if details.get(name) is not None})
