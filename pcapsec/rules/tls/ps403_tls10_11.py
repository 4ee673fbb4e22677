"""PS403: TLS 1.0 or 1.1.

What
    Client and server agreed on TLS 1.0 or 1.1.

Why
    Both are withdrawn: their handshakes are signed over MD5 and SHA-1, their CBC suites have a history of attacks, and no authenticated cipher exists for them.

Evidence
    version: what was negotiated.
    cipher_suite: with which suite.
    client_max: the best version the client offered.
    role: relay between mail servers, access by a user's program, or other.

Not a finding when
    - TLS 1.3 keeps an old number in its version field: the extension counts.

References
    RFC 8996
    RFC 8997
    RFC 9325 §3.1.1
    RFC 9846 §1.2
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, is_access, is_relay, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS403", slug="tls10-11", title="TLS 1.0 or 1.1 negotiated", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Require TLS 1.2 or more on submission and mailbox access; prefer it between mail servers.",
    references=("RFC 8996", "RFC 8997", "RFC 9325 §3.1.1", "RFC 9846 §1.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    version = tls.version
    if version is None:
        return no_hello(session, tls)
    if version != "TLSv1.0" and version != "TLSv1.1":
        return PASS
    access = is_access(session)
    return fail(RULE, tls, f"{place(session)} and {session.client_ip} agreed on {version.replace('v', ' ')}",
                {"version": version, "cipher_suite": tls.cipher_suite, "client_max": tls.offered_versions[0] if tls.offered_versions else None,
                 "role": "relay" if is_relay(session) else "access" if access else "other"},
                severity="high" if access else None, reason="submission or mailbox access" if access else "", variant=version)
