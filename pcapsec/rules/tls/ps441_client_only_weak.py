"""PS441: a client offers nothing modern.

What
    A client's list of suites holds none that is authenticated encryption, and none with ephemeral keys.

Why
    No server can make a good connection of it; such clients are old printers, scanners and libraries.

Evidence
    suites: what it offers, the first few.
    max_version: best version offered.

Not a finding when
    - there is at least one such suite;
    - the same client program at the same address was already reported in this run.

References
    RFC 9325 §4.1, §4.2
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import MAX_SHOWN, fail, suite
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS441", slug="client-only-weak", title="Client offers nothing modern", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Update or replace the device.",
    references=("RFC 9325 §4.1, §4.2",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    offer = tls.offer
    if offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    for name in offer.suites:  # one of the first few, hardly ever more
        one = suite(name)
        if one.is_aead or one.is_ephemeral:
            return PASS
    if not offer.suites or not site.first_time((RULE.id, session.client_ip, offer.ja4 or offer.legacy_version)):
        return PASS
    return fail(RULE, tls, f"{session.client_ip} offers neither authenticated encryption nor forward secrecy",
                {"suites": list(offer.suites[:MAX_SHOWN]), "max_version": offer.versions[0] if offer.versions else None}, side=CLIENT)
