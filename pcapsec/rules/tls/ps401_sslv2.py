"""PS401: SSL 2.0.

What
    A server answered in SSL 2.0, or a client spoke nothing newer.

Why
    SSL 2.0 protects neither the handshake nor the ends of messages, and a server that still answers it gives away the keys of its newer connections too
    (DROWN).

Evidence
    version: what was negotiated, where the server answered.
    cipher_suite: the kind of cipher that the client chose.
    cipher_kinds: what the client offered.

Not a finding when
    - a hello in the format of SSL 2.0 offers SSL 3.0 or more: old clients say hello that way, see PS440.

References
    RFC 6176 §3
    RFC 5246 Appendix E.2
    CVE-2016-0800 (DROWN)
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..handshake import MAX_SHOWN, fail, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS401", slug="sslv2", title="SSLv2 hello or session", severity="critical", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Disable SSL 2.0 in every service that uses the same key; give services keys of their own.",
    references=("RFC 6176 §3", "RFC 5246 Appendix E.2", "CVE-2016-0800 (DROWN)"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.version == "SSLv2":
        return fail(RULE, tls, f"{place(session)} speaks SSL 2.0", _evidence(tls), variant="negotiated", side=SERVER)
    if tls.offer is not None and tls.offer.legacy_version == "SSLv2":
        return fail(RULE, tls, f"{session.client_ip} offers SSL 2.0 only", _evidence(tls), variant="offered", side=CLIENT)
    return PASS


def _evidence(tls):
    return {"version": tls.version, "cipher_suite": tls.cipher_suite, "cipher_kinds": list(tls.offer.suites[:MAX_SHOWN]) if tls.offer is not None else []}
