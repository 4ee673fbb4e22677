"""PS414: TLS compression.

What
    Client and server agreed to compress inside TLS.

Why
    The size of what is sent then tells whether a guess of a secret near it was right (CRIME).

Evidence
    method: compression method.

Not a finding when
    - it was only offered.

References
    RFC 9325 §3.3
    CVE-2012-4929 (CRIME)
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS414", slug="compression", title="TLS compression negotiated", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Switch TLS compression off.",
    references=("RFC 9325 §3.3", "CVE-2012-4929 (CRIME)"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.compression == "null":
        return PASS
    if tls.compression is None:
        return no_hello(session, tls) if tls.version is None else NOT_APPLICABLE
    return fail(RULE, tls, f"{place(session)} compresses inside TLS", {"method": tls.compression})
