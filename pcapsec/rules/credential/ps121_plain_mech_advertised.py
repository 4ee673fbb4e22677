"""PS121: a server invites clients to send passwords without TLS.

What
    In clear, a server lists mechanisms that send a password or token as it is (PLAIN, LOGIN, XOAUTH2, OAUTHBEARER, POP3's USER, NNTP's AUTHINFO USER),
    or an IMAP server does not say LOGINDISABLED; a web server asks for Basic (WWW-Authenticate, Proxy-Authenticate).

Why
    Clients take the offer: a password leaves them before anyone checks whether the line is protected, and an attacker on the way need only wait.

Evidence
    mechanisms: those of the list that give the secret away.
    starttls_offered: whether STARTTLS stands beside them.
    host, path, proxy: the HTTP request that was answered so, and whether a proxy asked.

Not a finding when
    - the list was sent inside TLS;
    - an IMAP server says LOGINDISABLED;
    - only mechanisms that hide the secret are listed.

References
    RFC 4954 §4, §6
    RFC 9051 §6.2.3, §11
    RFC 7617 §4
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..requests import target
from ..rule import MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS121", slug="plain-mech-advertised", title="Server advertises password mechanisms without TLS", severity="medium", confidence="high",
    category="credential", scope="session", protocols=MAIL + ("http",), needs=(SERVER,),
    remediation="Advertise AUTH only after TLS runs (Postfix: smtpd_tls_auth_only=yes; Dovecot: auth_allow_cleartext=no or disable_plaintext_auth=yes; web servers: https only).",
    references=("RFC 4954 §4, §6", "RFC 9051 §6.2.3, §11", "RFC 7617 §4"),
)
GIVEN_AWAY = frozenset(("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", "USER"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.protocol == "http":
        return _http(session, facts)
    if facts.preauth:
        return NOT_APPLICABLE
    listed = [name for name in facts.auth_mechanisms if name in GIVEN_AWAY]
    if session.protocol == "imap":
        if facts.login_disabled:
            return PASS
        if facts.login_disabled is False:
            listed.append("LOGIN-COMMAND")
    if not listed:
        if facts.capabilities_complete:
            return PASS
        return not_observable(session.unseen_server or "no_capability_list")
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{session.server_ip} port {session.server_port} invites passwords without TLS: {', '.join(listed)}",
        side=SERVER, at=facts.capabilities_at if facts.auth_mechanisms_at is None else facts.auth_mechanisms_at,
        evidence={"mechanisms": listed, "starttls_offered": facts.starttls_offered},
    )


def _http(session: Session, facts: Facts) -> Finding | Verdict:
    """The first request, if any, whose answer asks for Basic."""
    request = next((request for request in facts.http.requests if "BASIC" in request.auth_offered), None) if facts.http is not None else None
    if request is None:
        return unless_unseen(session, SERVER)
    evidence = {"mechanisms": ["BASIC"], "host": request.host, "path": request.path, "proxy": request.proxy}
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{target(session, request)} invites passwords without TLS: BASIC",
        side=SERVER, at=request.status_at, evidence={name: value for name, value in evidence.items() if value is not None})
