"""PS418: early data in TLS 1.3.

What
    The client sent data behind its hello, before the server had spoken, and the connection went on.

Why
    Early data can be recorded and sent again: a server that acts on it acts twice. No mail protocol says that it may be used.

Evidence
    version: TLS version.
    alpn: application protocol, where one was named.

Not a finding when
    - early data was only announced, or the connection failed.

References
    RFC 8446 §2.3, §4.2.10, §8
    RFC 9325 §3.10
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import fail, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS418", slug="early-data", title="0-RTT early data used with mail protocol", severity="low", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Switch early data off for services where repeating a command does harm.",
    references=("RFC 8446 §2.3, §4.2.10, §8", "RFC 9325 §3.10"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if not tls.early_data or not tls.established:
        return PASS
    return fail(RULE, tls, f"{session.client_ip} sent early data to {place(session)}", {"version": tls.version, "alpn": tls.alpn}, side=CLIENT)
