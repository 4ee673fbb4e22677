"""PS211: an IMAP server offers STARTTLS but does not forbid logins without it.

What
    The capability list in clear has STARTTLS and lacks LOGINDISABLED.

Why
    A client that skips STARTTLS, or from which somebody hides it, may log in readable. LOGINDISABLED would tell it not to.

Evidence
    capabilities: the list as sent, at most 40 entries.

Not a finding when
    - the server does not offer STARTTLS (PS201);
    - the list was sent after a login.
    Servers often trust addresses of their own network: between private addresses it is one step less severe.

References
    RFC 9051 §6.2.3, §11.7
    RFC 2595 §3.2
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS211", slug="no-logindisabled", title="IMAP server with STARTTLS lacks LOGINDISABLED", severity="medium", confidence="high",
    category="cleartext", scope="session", protocols=("imap",), needs=(SERVER,),
    remediation="Forbid logins before TLS (Dovecot: auth_allow_cleartext=no or disable_plaintext_auth=yes).",
    references=("RFC 9051 §6.2.3, §11.7", "RFC 2595 §3.2"),
)
MAX_SHOWN = 40


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.starttls_offered is None or facts.login_disabled is None:
        return not_observable(session.unseen_server or "no_capability_list")
    if not facts.starttls_offered or facts.preauth:
        return NOT_APPLICABLE
    if facts.login_disabled:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"{session.server_ip} port {session.server_port} offers STARTTLS but allows logins without it (no LOGINDISABLED)",
        side=SERVER, at=facts.capabilities_at, evidence={"capabilities": list((facts.capabilities or ())[:MAX_SHOWN])},
    )
