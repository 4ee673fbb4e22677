"""PS118: somebody logged in anonymously.

What
    A client used SASL ANONYMOUS, `LOGIN anonymous`, an LDAP bind without name and password, or NTLM without user and response.

Why
    No secret is lost. It tells that the server lets people in without an account, which is either meant or forgotten.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    trace: what the client left as its name, such as a mail address.
    secret_length, initial_response, form, challenge_seen, cancelled: how the exchange went.

Not a finding when
    - a mechanism with a real password was used for a user who is named anonymous; `LOGIN anonymous` cannot tell, hence medium confidence;
    - it is the NTLM session of SMB, where that is usual (PS508).

References
    RFC 4505
    RFC 9051 §6.2
    RFC 4513 §5.1.1
    [MS-NLMP] §3.2.5.1.2
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import is_anonymous_command, login_finding
from ..rule import MAIL, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS118", slug="anonymous-auth", title="Anonymous authentication", severity="info", confidence="high",
    category="credential", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT,),
    mechanisms=("ANONYMOUS", "LOGIN-COMMAND", "NTLM", "GSS-SPNEGO", "SIMPLE-BIND"),
    remediation="Switch anonymous access off if it is not wanted.",
    references=("RFC 4505", "RFC 9051 §6.2", "RFC 4513 §5.1.1", "[MS-NLMP] §3.2.5.1.2"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    command = is_anonymous_command(login)
    if login.mechanism == "SIMPLE-BIND":
        if login.principal or login.exposure != "none":
            return PASS
    elif not command and login.mechanism != "ANONYMOUS" and login.details.get("ntlm_version") != "anonymous" or login.protocol == "smb":
        return PASS
    trace = login.details.get("trace")
    return login_finding(
        RULE, session, login, f"Anonymous login to {session.server_ip} port {session.server_port} ({login.mechanism})",
        variant=login.mechanism, confidence="medium" if command else None, evidence=None if trace is None else {"trace": trace})
