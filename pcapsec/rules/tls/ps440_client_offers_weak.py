"""PS440: a client offers obsolete TLS.

What
    The best version that a client offers is below TLS 1.2, or its list of suites holds some without encryption, authentication or strength.

Why
    A server that is as careless will agree on one of them, and somebody in between may help it to.

Evidence
    max_version: best version offered.
    weak_suites: suites that should not be there, the first few.
    ja3, ja4: fingerprints of the client's program.

Not a finding when
    - the values are GREASE;
    - the same client program at the same address was already reported in this run.
    On port 25 mail servers offer anonymous suites on purpose: info.

References
    RFC 9325 §3.1.1, §4.1
    RFC 8701
    RFC 7672 §8.2
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import MAX_SHOWN, OBSOLETE, fail, is_relay, weak_suites
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS440", slug="client-offers-weak", title="Client offers obsolete versions or suites", severity="low", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Update the client.",
    references=("RFC 9325 §3.1.1, §4.1", "RFC 8701", "RFC 7672 §8.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    offer = tls.offer
    if offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    weak = weak_suites(offer)
    old = bool(offer.versions) and all(version in OBSOLETE for version in offer.versions)
    if not weak and not old or not site.first_time((RULE.id, session.client_ip, offer.ja4 or offer.legacy_version)):
        return PASS
    relay = is_relay(session)
    severity, reason = ("info", "opportunistic TLS between mail servers") if relay else ("medium", "nothing newer than TLS 1.1") if old else (None, "")
    what = f"nothing newer than {offer.versions[0]}" if old else f"{len(weak)} weak suites"
    return fail(RULE, tls, f"{session.client_ip} offers {what}", {"max_version": offer.versions[0] if offer.versions else None, "weak_suites": list(weak[:MAX_SHOWN]), "ja3": offer.ja3, "ja4": offer.ja4},
                severity=severity, reason=reason, variant="version" if old else "suites", side=CLIENT)
