"""PS423: a self-signed certificate.

What
    The server's own certificate is signed by itself.

Why
    It proves nothing to a client that has not been given it before; users learn to click warnings away, and then an attacker's certificate does as well.

Evidence
    subject, issuer, sha256: which certificate.
    established: whether the client went on with it.

Not a finding when
    - it is among the roots that were given with --ca;
    - it is a root that a server sent behind its own certificate;
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 5280 §3.2
    RFC 8314 §4.4
    RFC 7817 §3
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import cut, describe, fail, is_relay, leaf, place
from ..rule import PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS423", slug="cert-self-signed", title="Self-signed leaf", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Use a certificate of a CA that clients know; between mail servers publish it with DANE.",
    references=("RFC 5280 §3.2", "RFC 8314 §4.4", "RFC 7817 §3"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    if not own.self_signed or tls.trusted:
        return PASS
    relay = is_relay(session)
    return fail(RULE, tls, f"{place(session)} shows a certificate that it signed itself: {cut(own.subject)}", {"established": tls.established, **describe(own)},
                severity="low" if relay else None, reason="opportunistic TLS between mail servers" if relay else "", side=SERVER, at=tls.certificate_at)
