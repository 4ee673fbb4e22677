"""PS426: a small key in a certificate.

What
    The key of the server's certificate, or of one between it and its root, is too small: RSA, DSA or DH below 2048 bits, elliptic curves below 224.

Why
    Whoever computes the private key is the server; 512 bits take hours, 768 were done in public, 1024 are within a state's means.

Evidence
    key_type, key_bits: what key it is.
    exponent: public exponent of an RSA key, where it is 1 or 3.
    position: 0 is the server's own, 1 its issuer, and so on.
    subject, issuer, sha256: which certificate.

Not a finding when
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 9325 §4.5
"""
from __future__ import annotations

from typing import Any

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import describe, fail, leaf, place
from ..rule import PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS426", slug="cert-weak-key", title="Small key", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Make a new key, RSA of 2048 bits or more or P-256, and have a certificate issued for it.",
    references=("RFC 9325 §4.5",),
)
LEAST = {"RSA": 2048, "DSA": 2048, "DH": 2048, "EC": 224}
BROKEN_BITS = 1024


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    weakest: tuple[int, int, Certificate] | None = None
    for position, one in enumerate(tls.certificates):
        if one.key_bits is not None and one.key_bits < LEAST.get(one.key_type or "", 0) and (weakest is None or one.key_bits < weakest[0]):
            weakest = one.key_bits, position, one
    if weakest is None:
        return PASS
    bits, position, one = weakest
    broken = bits < BROKEN_BITS and one.key_type != "EC"
    evidence: dict[str, Any] = {"key_type": one.key_type, "key_bits": bits, "position": position, **describe(one)}
    if one.exponent in (1, 3):
        evidence["exponent"] = one.exponent
    return fail(RULE, tls, f"{'The certificate' if position == 0 else 'A certificate in the chain'} of {place(session)} has a key of only {bits} bits ({one.key_type})", evidence,
                severity="critical" if broken else None, reason="below 1024 bits" if broken else "", side=SERVER, at=tls.certificate_at)
