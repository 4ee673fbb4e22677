"""PS122: a password crosses the network readable in a web form.

What
    Over http:// a form with a user and a password field was posted, the password not being empty.

Why
    Anyone on the way can read it and log in. A page that came the same way could have been altered to send the password elsewhere.

Evidence
    auth_result, auth_reason, reply_code: as far as the answer tells.
    host, path, status, location: where the form went, and where the answer leads (scheme and host).
    fields: names of the form's fields, never their values.
    service, user_agent, proxy: what the path is for, and which program sent it.
    secret_length: length of the password as a class.

Not a finding when
    - the password field is empty, or the page was only fetched;
    - the form is Outlook Web App's (PS601).

References
    CWE-319
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import owa_login, request_of, shown, target, variant_of
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS122", slug="http-form-login-clear", title="Password form POST over http://", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("http",), needs=(CLIENT,), mechanisms=("FORM",),
    remediation="Serve the login page and take its form over HTTPS only, and change the password.",
    references=("CWE-319",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "password" or not login.secret:
        return PASS
    request = request_of(session, login)
    if owa_login(request) is not None:
        return PASS
    evidence = shown(request)
    if login.details.get("fields"):
        evidence["fields"] = list(login.details["fields"])
    return login_finding(RULE, session, login, f"Password of {who(login)} sent readable to {target(session, request)} (web form)", variant=variant_of(request),
                         evidence=evidence)
