"""PS425: a certificate signed over MD2, MD5 or SHA-1.

What
    The server's certificate, or one between it and its root, is signed over a hash function for which collisions can be computed.

Why
    Somebody may hold a certificate for another name under the same signature, as has happened with MD5.

Evidence
    signature_algorithm: how it is signed.
    position: 0 is the server's own, 1 its issuer, and so on.
    subject, issuer, sha256: which certificate.

Not a finding when
    - the certificate signed itself: its signature proves nothing anyway.
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 8446 §4.4.2.4
    RFC 9325 §4.5
    RFC 3279 §2.2
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import describe, fail, leaf, place
from ..rule import PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS425", slug="cert-weak-signature", title="MD5 or SHA-1 signed certificate", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Have it issued again, signed with SHA-256 or better.",
    references=("RFC 8446 §4.4.2.4", "RFC 9325 §4.5", "RFC 3279 §2.2"),
)
WEAK = {"md2WithRSAEncryption": "md5", "md5WithRSAEncryption": "md5", "sha1WithRSAEncryption": "sha1", "ecdsa-with-SHA1": "sha1", "dsa-with-sha1": "sha1"}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    for position, one in enumerate(tls.certificates):
        if one.signature_algorithm in WEAK and not one.self_issued:
            break
    else:
        return PASS
    older = WEAK[one.signature_algorithm] == "md5"
    return fail(RULE, tls, f"{'The certificate' if position == 0 else 'A certificate in the chain'} of {place(session)} is signed with {one.signature_algorithm}",
                {"signature_algorithm": one.signature_algorithm, "position": position, **describe(one)}, severity="critical" if older else None,
                reason="forged certificates were made this way" if older else "", variant=WEAK[one.signature_algorithm], side=SERVER, at=tls.certificate_at)
