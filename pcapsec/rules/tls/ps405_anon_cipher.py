"""PS405: TLS without a certificate.

What
    Client and server agreed on a suite in which nobody proves who they are.

Why
    Whoever stands in between can be the other end for both.

Evidence
    cipher_suite: the suite.
    port: of the server; on 25 mail servers use such suites on purpose.

Not a finding when
    - such a suite was only offered.

References
    RFC 7672 §8.2
    RFC 9325 §4.1
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, is_relay, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS405", slug="anon-cipher", title="Anonymous key exchange negotiated", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Remove anonymous suites (aNULL); between mail servers authenticate with DANE or MTA-STS.",
    references=("RFC 7672 §8.2", "RFC 9325 §4.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    if "_anon_" not in tls.cipher_suite:
        return PASS
    relay = is_relay(session)
    return fail(RULE, tls, f"Neither end of TLS with {place(session)} proved who it is: {tls.cipher_suite}", {"cipher_suite": tls.cipher_suite, "port": session.server_port},
                severity="medium" if relay else None, reason="opportunistic TLS between mail servers" if relay else "")
