"""PS406: export-grade TLS.

What
    Client and server agreed on a suite of the 1990s' export rules, or on a temporary RSA or Diffie-Hellman key of 512 bits.

Why
    40 or 56 bits, and 512-bit keys, are broken with little money (FREAK, Logjam).

Evidence
    cipher_suite: the suite.
    bits: of the cipher.
    key_bits: of the temporary key, where it was seen.

Not a finding when
    - such a suite was only offered.

References
    RFC 9325 §4.1
    CVE-2015-0204 (FREAK)
    CVE-2015-4000 (Logjam)
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import bits_of, fail, no_hello, place, suite
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS406", slug="export-cipher", title="EXPORT-grade suite negotiated", severity="critical", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Remove EXPORT suites and 512-bit keys from server and client.",
    references=("RFC 9325 §4.1", "CVE-2015-0204 (FREAK)", "CVE-2015-4000 (Logjam)"),
)
BROKEN_BITS = 512


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    size = bits_of(tls)
    if "EXPORT" not in tls.cipher_suite and (size is None or size > BROKEN_BITS):
        return PASS
    return fail(RULE, tls, f"{place(session)} uses export-grade TLS: {tls.cipher_suite}{f' with a key of {size} bits' if size is not None else ''}",
                {"cipher_suite": tls.cipher_suite, "bits": suite(tls.cipher_suite).bits, "key_bits": size})
