"""PS404: TLS without encryption.

What
    Client and server agreed on a suite that does not encrypt.

Why
    Everything passes readable; TLS only guards against changes, and both programs may show a padlock.

Evidence
    cipher_suite: the suite.
    version: TLS version.

Not a finding when
    - such a suite was only offered: PS440 and PS441 speak of offers.

References
    RFC 9325 §4.1
    RFC 9150
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place, suite
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS404", slug="null-cipher", title="NULL encryption suite negotiated", severity="critical", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Remove NULL suites (eNULL) from server and client.",
    references=("RFC 9325 §4.1", "RFC 9150"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    if suite(tls.cipher_suite).weakness != "null":
        return PASS
    return fail(RULE, tls, f"TLS of {place(session)} does not encrypt: {tls.cipher_suite}", {"cipher_suite": tls.cipher_suite, "version": tls.version})
