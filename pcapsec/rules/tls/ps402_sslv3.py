"""PS402: SSL 3.0.

What
    Client and server agreed on SSL 3.0.

Why
    Its CBC padding is not authenticated: an active attacker who can make the client repeat itself reads it byte by byte (POODLE); its hash functions are broken.

Evidence
    version: what was negotiated.
    cipher_suite: with which suite.
    client_max: the best version the client offered.

Not a finding when
    - only the record layer or the hello's version field of a newer handshake says 3.0: what the ServerHello says counts.

References
    RFC 7568 §3
    RFC 9325 §3.1.1
    CVE-2014-3566 (POODLE)
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS402", slug="sslv3", title="SSL 3.0 negotiated", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Disable SSL 3.0; require TLS 1.2 or more.",
    references=("RFC 7568 §3", "RFC 9325 §3.1.1", "CVE-2014-3566 (POODLE)"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.version is None:
        return no_hello(session, tls)
    if tls.version != "SSLv3":
        return PASS
    return fail(RULE, tls, f"{place(session)} and {session.client_ip} agreed on SSL 3.0",
                {"version": tls.version, "cipher_suite": tls.cipher_suite, "client_max": tls.offered_versions[0] if tls.offered_versions else None})
