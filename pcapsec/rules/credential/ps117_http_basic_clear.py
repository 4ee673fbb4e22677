"""PS117: a password crosses the network readable in an HTTP Basic login.

What
    Outside TLS a request carried `Authorization: Basic` or `Proxy-Authorization: Basic` with a user and a password.

Why
    Base64 is no protection, and the password is sent again with every request. It is usually the domain password.

Evidence
    auth_result, auth_reason, reply_code: by the status: 401 (407 from a proxy) failed, 2xx and 3xx accepted, others say nothing.
    host, path, status, location: the request, and where its answer leads (scheme and host).
    service: the mail service by its path; also the variant. proxy: the login is one to a proxy.
    user_agent, rpc_target: the program, and the server behind an RPC proxy.
    secret_length: length of the password as a class.

Not a finding when
    - only the server named Basic (PS121);
    - the password is empty or what was sent is no user and password.

References
    RFC 7617 §2, §4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import request_of, shown, target, variant_of
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS117", slug="http-basic-clear", title="HTTP Basic credentials over http://", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("http",), needs=(CLIENT,), mechanisms=("BASIC",),
    remediation="Offer the service over HTTPS only, switch Basic off, and change the password.",
    references=("RFC 7617 §2, §4",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "password" or not login.secret:
        return PASS
    request = request_of(session, login)
    how = "HTTP Basic to a proxy" if request is not None and request.proxy else "HTTP Basic"
    return login_finding(RULE, session, login, f"Password of {who(login)} sent readable to {target(session, request)} ({how})", variant=variant_of(request),
                         evidence=shown(request))
