"""PS411: a small Diffie-Hellman group.

What
    The prime of the finite-field key exchange has fewer than 2048 bits.

Why
    One computation breaks every connection that uses the same prime; for 1024 bits states can afford it, and many servers share one prime (Logjam).

Evidence
    p_bits: size of the prime.
    group_name: ffdhe2048, modp1024 and so on where it is a known one, else dh.

Not a finding when
    - keys are agreed over elliptic curves, or by RSA (PS409).

References
    RFC 9325 §4.1, §4.5
    RFC 7919
    CVE-2015-4000 (Logjam)
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..handshake import fail, is_modern, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS411", slug="weak-dh-group", title="Small or well-known DH group", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Prefer ECDHE; where DHE must stay, use a group of 2048 bits or more (ffdhe2048).",
    references=("RFC 9325 §4.1, §4.5", "RFC 7919", "CVE-2015-4000 (Logjam)"),
)
LEAST_BITS, BROKEN_BITS = 2048, 1024


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.dh_bits is None:
        if tls.cipher_suite is None:
            return no_hello(session, tls)
        if not tls.cipher_suite.startswith(("TLS_DHE_", "TLS_DH_anon_")) or is_modern(tls.version) or tls.established is False:
            return NOT_APPLICABLE
        return not_observable("resumed_session" if tls.resumed else session.unseen_server or "no_key_exchange_seen")
    if tls.dh_bits >= LEAST_BITS:
        return PASS
    broken = tls.dh_bits < BROKEN_BITS
    known = f", the well-known group {tls.group}" if tls.group not in (None, "dh") else ""
    return fail(RULE, tls, f"{place(session)} agrees on keys with a prime of {tls.dh_bits} bits{known}", {"p_bits": tls.dh_bits, "group_name": tls.group},
                severity="critical" if broken else None, reason="below 1024 bits" if broken else "", side=SERVER, at=tls.key_exchange_at)
