"""PS410: CBC without encrypt-then-MAC.

What
    A CBC suite without the extension encrypt_then_mac.

Why
    MAC-then-encrypt leaks through padding and timing again and again (Lucky Thirteen and its kin).

Evidence
    cipher_suite: the suite.
    version: TLS version.

Not a finding when
    - the suite is authenticated by itself (GCM, CCM, ChaCha20-Poly1305).

References
    RFC 7366 §2
    RFC 9325 §4.2
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS410", slug="cbc-without-etm", title="CBC suite without encrypt_then_mac", severity="low", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Prefer AES-GCM or ChaCha20-Poly1305.",
    references=("RFC 7366 §2", "RFC 9325 §4.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    if "_CBC_" not in tls.cipher_suite or tls.encrypt_then_mac is not False:
        return PASS
    return fail(RULE, tls, f"{place(session)} uses CBC with the MAC inside: {tls.cipher_suite}", {"cipher_suite": tls.cipher_suite, "version": tls.version})
