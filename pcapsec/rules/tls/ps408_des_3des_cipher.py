"""PS408: DES or 3DES.

What
    Client and server agreed on DES or 3DES.

Why
    DES has 56 bits and is searched through in hours. 3DES has blocks of 64 bits: after some 2^32 of them in one connection, repeated blocks tell about the text
    (Sweet32).

Evidence
    cipher_suite: the suite.
    bits: of the key.
    bytes_in_session: how much was sent; 2^32 blocks are 32 GiB.

Not a finding when
    - the suite is of export grade: PS406 says more.

References
    RFC 9325 §4.1
    CVE-2016-2183 (Sweet32)
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place, suite
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS408", slug="des-3des-cipher", title="DES or 3DES suite negotiated", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Remove DES and 3DES from server and client.",
    references=("RFC 9325 §4.1", "CVE-2016-2183 (Sweet32)"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    chosen = suite(tls.cipher_suite)
    if chosen.weakness not in ("des", "3des"):
        return PASS
    single = chosen.weakness == "des"
    return fail(RULE, tls, f"{place(session)} encrypts with {'DES' if single else '3DES'}: {tls.cipher_suite}",
                {"cipher_suite": tls.cipher_suite, "bits": chosen.bits, "bytes_in_session": session.bytes_client + session.bytes_server},
                severity="high" if single else None, reason="56-bit key" if single else "", variant=chosen.weakness)
