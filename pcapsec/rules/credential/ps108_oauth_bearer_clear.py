"""PS108: an OAuth token crosses the network readable.

What
    Outside TLS a client sent a bearer token by XOAUTH2 or OAUTHBEARER, or in `Authorization: Bearer` of a request.

Why
    Whoever holds the token is the user until it expires, often for more than mail, and past any second factor.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    token_type: JWT, or opaque.
    jwt_iss, jwt_aud, jwt_exp: issuer, audience and end of validity (seconds since 1970) that the token names.
    secret_length: length of the token as a class.
    initial_response, cancelled, authzid: how the exchange went.
    host, path, status, location, service, user_agent, proxy, rpc_target: the HTTP request.

Not a finding when
    - the client's line is the empty answer to the server's error report.
    A token that had expired when it passed is one step less severe.

References
    RFC 7628 §3
    RFC 6750 §5.3
    Google, XOAUTH2 mechanism
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import TOKEN_MECHANISMS, login_finding, who
from ..requests import request_of, shown
from ..rule import LOWER, MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS108", slug="oauth-bearer-clear", title="OAuth bearer token in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=MAIL + ("http",), needs=(CLIENT,), mechanisms=TOKEN_MECHANISMS + ("BEARER",),
    remediation="Revoke the token and send tokens inside TLS only.",
    references=("RFC 7628 §3", "RFC 6750 §5.3", "Google, XOAUTH2 mechanism"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "token" or not login.secret:
        return PASS
    details = login.details
    expiry = details.get("jwt_exp")
    expired = isinstance(expiry, (int, float)) and expiry * 10**9 < session.start_ns
    return login_finding(
        RULE, session, login, f"Access token of {who(login)} sent readable to {session.server_ip} port {session.server_port} ({login.mechanism})",
        variant=login.mechanism, severity=LOWER[RULE.severity] if expired else None, reason="token had expired" if expired else "",
        evidence=shown(request_of(session, login)) | {name: details[name] for name in ("token_type", "jwt_iss", "jwt_aud", "jwt_exp") if details.get(name) is not None})
