"""PS601: a password for Outlook on the web crosses the network readable.

What
    The login form of Outlook Web App, or that of an ISA or TMG proxy before it, was posted over http:// with a password in it.

Why
    It is usually the Windows domain password: whoever sees it can log in everywhere, not only to mail, from now on.

Evidence
    auth_result, auth_reason, reply_code: whether the server let the user in: the redirect after the form tells.
    host, path, status, location: where the form went and what came back; location is the scheme and host of the redirect.
    service, user_agent, proxy: what the request was for, which program sent it, and whether the login is one to a proxy.
    secret_length: length of the password as a class.
    form: which login form it is: 2010 (and later), 2007, 2003, or proxy; also the variant.

Not a finding when
    - the password field is empty;
    - http:// only answers with a redirect to https:// before any form is posted.
    A login that failed is one step less severe: a mistyped or old password is still a lead.

References
    CWE-319
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import owa_login, request_of, shown, target
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS601", slug="owa-login-clear", title="OWA forms login over http://", severity="critical", confidence="high",
    category="web", scope="login", protocols=("http",), needs=(CLIENT,), mechanisms=("FORM",),
    remediation="Require TLS on the virtual directories of Outlook on the web, redirect http:// before any page is shown, and change the passwords.",
    references=("CWE-319",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "password" or not login.secret:
        return PASS
    request = request_of(session, login)
    generation = owa_login(request)
    if generation is None:
        return PASS
    return login_finding(
        RULE, session, login, f"Password of {who(login)} sent readable to {target(session, request)} (Outlook on the web, login form)",
        variant=generation, evidence={**shown(request), "form": generation})
