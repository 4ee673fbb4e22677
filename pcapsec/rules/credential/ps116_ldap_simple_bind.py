"""PS116: a password crosses the network readable in an LDAP bind.

What
    Outside TLS a client sent a BindRequest with a name and a password (simple authentication). Variant unauthenticated: a name with an empty password.

Why
    Anyone who could see this traffic can log in as that account from now on; accounts that bind to directories often are service accounts with many rights. A
    server that answers a bind with an empty password with success lets programs believe that somebody logged in.

Evidence
    auth_result, auth_reason, reply_code: the result: 0 success, 49 wrong credentials, 8 and 13 that the server wants protection first.
    dn: the name as sent.
    secret_length: length of the password as a class.

Not a finding when
    - name and password are both empty: an anonymous bind (PS118);
    - the bind is SASL: its mechanism is judged by rules of its own;
    - it follows inside TLS after StartTLS, where it cannot be seen.
    An empty password is low: no secret passed, but an application that takes the answer for a login can be deceived.

References
    RFC 4511 §4.2
    RFC 4513 §5.1.1-5.1.3, §6.3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS116", slug="ldap-simple-bind", title="LDAP simple bind with password in clear", severity="critical", confidence="high",
    category="credential", scope="login", protocols=("ldap",), needs=(CLIENT,), mechanisms=("SIMPLE-BIND",),
    remediation="Use LDAPS or StartTLS, let the server require them or signing, and change the password.",
    references=("RFC 4511 §4.2", "RFC 4513 §5.1.1-5.1.3, §6.3"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    where = f"{session.server_ip} port {session.server_port}"
    if login.exposure == "password" and login.secret:
        return login_finding(RULE, session, login, f"Password of {who(login)} sent readable to {where} (LDAP simple bind)", evidence={"dn": login.principal})
    if not login.details.get("unauthenticated"):
        return PASS
    return login_finding(
        RULE, session, login, f"{who(login)} bound to {where} by LDAP with an empty password", variant="unauthenticated", severity="low", reason="empty password",
        evidence={"dn": login.principal}, outcome_matters=False)
