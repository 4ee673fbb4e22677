"""PS424: a certificate for another name.

What
    The client asked for a name, and the server's certificate does not hold it.

Why
    A client that goes on does not know who it speaks with.

Evidence
    sni: the name asked for.
    sans: names in the certificate, the first few.
    common_name: of its subject; it counts only where there are no other names, which RFC 7817 still allows and RFC 9525 does not.
    reference: where the name comes from.
    subject, issuer, sha256: which certificate.
    established: whether the client went on with it.

Not a finding when
    - the client named no server: not_observable;
    - the certificate was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 7817 §3
    RFC 9525
    RFC 8461 §4.1, §4.2
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import MAX_SHOWN, cut, describe, fail, is_relay, leaf, place
from ..rule import PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS424", slug="cert-name-mismatch", title="Certificate does not match the name used", severity="medium", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Have the certificate issued again with every name that clients use.",
    references=("RFC 7817 §3", "RFC 9525", "RFC 8461 §4.1, §4.2"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    if tls.sni is None:
        return not_observable("no_reference_name")
    if tls.name_matches or own.malformed is not None:
        return PASS if tls.name_matches else not_observable("certificate_malformed")
    relay = is_relay(session)
    return fail(RULE, tls, f"The certificate of {place(session)} is not for {cut(tls.sni)}",
                {"sni": cut(tls.sni), "sans": [cut(name) for name in own.sans[:MAX_SHOWN]], "common_name": cut(own.common_name) if own.common_name else None,
                 "reference": "sni", "established": tls.established, **describe(own)},
                severity="low" if relay else None, reason="mail servers do not check names unless DANE or MTA-STS tells them to" if relay else "", side=SERVER, at=tls.certificate_at)
