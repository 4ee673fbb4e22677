"""PS127: a Kerberos login was used on a connection without TLS.

What
    Outside TLS a client logged in by GSSAPI or SPNEGO with a Kerberos ticket.

Why
    No password passes, but the ticket tells service, realm and encryption type, and unless a security layer with confidentiality follows, the whole
    mailbox session stays readable.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    realm, spn, etype: realm, service and encryption type of the ticket.
    layer: security layer that was chosen: none, integrity or confidentiality; missing when not seen.
    initial_response, authzid, secret_length, cancelled: how the exchange went.

Not a finding when
    - a security layer with confidentiality was chosen: what follows is encrypted, though not by TLS;
    - SPNEGO carried NTLM (PS106);
    - no ticket passed.

References
    RFC 4752 §3.1, §3.3
    RFC 4422 §3.7
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding
from ..rule import MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS127", slug="gssapi-clear", title="SASL GSSAPI / SPNEGO over a cleartext session", severity="medium", confidence="high",
    category="credential", scope="login", protocols=MAIL + ("ldap",), needs=(CLIENT,), mechanisms=("GSSAPI", "GSS-SPNEGO", "GS2-KRB5"),
    remediation="Require TLS before the login.",
    references=("RFC 4752 §3.1, §3.3", "RFC 4422 §3.7"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    if login.exposure != "ticket" or login.details.get("layer") in ("conf", "confidentiality"):
        return PASS
    details = login.details
    whose = f"of {login.principal[:64]} " if login.principal else ""
    return login_finding(
        RULE, session, login, f"Kerberos login {whose}to {session.server_ip} port {session.server_port} on a connection without TLS",
        variant=login.mechanism, evidence={name: details[name] for name in ("realm", "spn", "etype", "layer") if details.get(name) is not None})
