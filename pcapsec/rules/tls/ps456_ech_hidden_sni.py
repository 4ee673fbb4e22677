"""PS456: the server's name may be hidden.

What
    A ClientHello carries an encrypted one inside: the server name that is seen is then only that of the front.

Why
    Rules and tables that go by the server's name may name the wrong one.

Evidence
    sni: the outer name.

Not a finding when
    - the same client and outer name were already reported in this run.
    Browsers send a dummy extension that looks the same, so that nobody refuses the real one: which it is cannot be told.

References
    RFC 9849
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import cut, fail
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS456", slug="ech-hidden-sni", title="Encrypted ClientHello offered", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Nothing to do; take the server's name with care.",
    references=("RFC 9849",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if not tls.offer.encrypted_client_hello or not site.first_time((RULE.id, session.client_ip, tls.sni)):
        return PASS
    return fail(RULE, tls, f"{session.client_ip} offers an encrypted hello{f' behind the name {cut(tls.sni)}' if tls.sni else ''}", {"sni": cut(tls.sni) if tls.sni else None}, side=CLIENT)
