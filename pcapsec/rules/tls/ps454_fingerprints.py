"""PS454: which program opened TLS.

What
    The fingerprints JA3 and JA4 of a client's first hello.

Why
    They tell programs apart behind one address, and a device that suddenly uses another program.

Evidence
    ja3: MD5 over version, suites, extensions, groups and point formats.
    ja4: what it is, its suites and its extensions, in three parts.

Not a finding when
    - the same fingerprint was already told in this run, of whatever client; that of each connection is in table tls.
    Browsers shuffle their extensions, which makes a new JA3 each time; JA4 sorts them.

References
    JA3, JA4: public descriptions
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import fail
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS454", slug="fingerprints", title="JA3/JA4 fingerprints", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Nothing to do; compare with what you expect to run there.",
    references=("JA3, JA4: public descriptions",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    offer = tls.offer
    if offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if offer.ja4 is None or not site.first_time((RULE.id, offer.ja4)):
        return PASS
    return fail(RULE, tls, f"{session.client_ip} uses a TLS client with the fingerprint {offer.ja4}", {"ja3": offer.ja3, "ja4": offer.ja4}, side=CLIENT)
