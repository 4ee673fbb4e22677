"""PS119: the name of an account was shown without its secret.

What
    Outside TLS a client named an account, by USER, the first line of AUTH LOGIN or the like, and no secret followed in the capture.

Why
    Half of a login is known, and others can guess the rest. Often the next attempt shows the password.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    initial_response, authzid, challenge_seen, cancelled: how the exchange went.

Not a finding when
    - a secret passed with it: that is another finding;
    - the name is the envelope address of a mail, which is no login;
    - the login is anonymous;
    - it is an LDAP bind with an empty password (PS116).

References
    RFC 8314 §3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import is_anonymous_command, login_finding, who
from ..rule import MAIL, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS119", slug="username-only", title="Login name disclosed without secret", severity="low", confidence="high",
    category="credential", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT,),
    remediation="Use TLS from the first byte (465, 993, 995), or require STARTTLS before the login.",
    references=("RFC 8314 §3",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "none" or login.secret or not login.principal or login.mechanism in ("ANONYMOUS", "SIMPLE-BIND") or is_anonymous_command(login):
        return PASS
    return login_finding(RULE, session, login, f"Account name {who(login)} sent readable to {session.server_ip} port {session.server_port} ({login.mechanism})")
