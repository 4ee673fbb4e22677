"""PS407: RC4.

What
    Client and server agreed on RC4.

Why
    RC4's output is biased: text that is sent again and again, such as a password at each login, can be read from enough connections.

Evidence
    cipher_suite: the suite.

Not a finding when
    - RC4 was only offered (PS440).

References
    RFC 7465 §2
    RFC 9325 §4.1
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS407", slug="rc4-cipher", title="RC4 suite negotiated", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Remove RC4 from server and client.",
    references=("RFC 7465 §2", "RFC 9325 §4.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.cipher_suite is None:
        return no_hello(session, tls)
    if "RC4" not in tls.cipher_suite:
        return PASS
    return fail(RULE, tls, f"{place(session)} encrypts with RC4: {tls.cipher_suite}", {"cipher_suite": tls.cipher_suite})
