"""PS420: a client came back with less.

What
    The client says by TLS_FALLBACK_SCSV that it tries an older version after a newer one failed. Variant `blocked`: the server refused.

Why
    Such a fallback is what an attacker wants who breaks the first attempts.

Evidence
    client_max: version it now offers.
    alert: the server's answer, where it refused.

Not a finding when
    - the signal is absent.

References
    RFC 7507
    RFC 8996
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import fail, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS420", slug="fallback-scsv", title="Client signalled version fallback", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Find out why the first attempt failed; a server or a box before it does not bear new versions.",
    references=("RFC 7507", "RFC 8996"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if not tls.offer.fallback_scsv:
        return PASS
    blocked = tls.alert is not None and ":86 " in tls.alert
    return fail(RULE, tls, f"{session.client_ip} fell back to {tls.offered_versions[0]} with {place(session)}{', which refused' if blocked else ''}",
                {"client_max": tls.offered_versions[0], "alert": tls.alert}, variant="blocked" if blocked else "", side=CLIENT)
