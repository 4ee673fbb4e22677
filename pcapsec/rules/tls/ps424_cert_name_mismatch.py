"""PS424: a certificate for another name.

What
    The client asked for a name, and the server's certificate does not hold it. Of a mail server that was asked for no name the names count under which DNS in the capture sends
    mail to its address.

Why
    A client that goes on does not know who it speaks with.

Evidence
    sni: the name asked for, or by which DNS sends mail there.
    sans: names in the certificate, the first few.
    common_name: of its subject; it counts only where there are no other names, which RFC 7817 still allows and RFC 9525 does not.
    reference: where the name comes from: sni, mx.
    subject, issuer, sha256: which certificate.
    established: whether the client went on with it.

Not a finding when
    - the client named no server, and DNS in the capture gave it no name as a mail exchanger: not_observable;
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
    relay, name, reference, matches = is_relay(session), tls.sni, "sni", tls.name_matches
    if name is None:
        names = site.collected.dns.exchanger_names(session.server_ip, session.end_ns) if relay else ()
        if not names:
            return not_observable("no_reference_name")
        name, reference, matches = names[0], "mx", any(own.covers(one) is not None for one in names)  # type: ignore[union-attr]
    if matches or own.malformed is not None:  # type: ignore[union-attr]
        return PASS if matches else not_observable("certificate_malformed")
    return fail(RULE, tls, f"The certificate of {place(session)} is not for {cut(name)}",
                {"sni": cut(name), "sans": [cut(name) for name in own.sans[:MAX_SHOWN]], "common_name": cut(own.common_name) if own.common_name else None,
                 "reference": reference, "established": tls.established, **describe(own)},
                severity="low" if relay else None, reason="mail servers do not check names unless DANE or MTA-STS tells them to" if relay else "", side=SERVER, at=tls.certificate_at)
