"""PS421: an expired certificate.

What
    The server's certificate, or one that it sent along, had expired when the packets passed.

Why
    Programs that check refuse it; where mail went on all the same, the client checks nothing.

Evidence
    not_after: end of validity.
    checked_at: packet time.
    subject, issuer, sha256: which certificate.
    position: 0 is the server's own, 1 its issuer, and so on.
    established: whether the client went on with it.

Not a finding when
    - packet times are before 1995, and so no times (PS010): not_observable;
    - the certificate is a root sent along: whoever trusts it has it, with dates of his own;
    - it was hidden by TLS 1.3 or by resumption: not_observable.
    Where a TLSA record of usage 3 exists, mail servers must ignore the date (RFC 7671 §5.1): ask the DNS.

References
    RFC 5280 §4.1.2.5
    RFC 7671 §5.1
    RFC 7672 §3.1.1
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import YEAR_1995_NS, describe, fail, is_relay, leaf, place, when
from ..rule import PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS421", slug="cert-expired", title="Certificate expired at capture time", severity="high", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Renew the certificate, and let a program do it from now on.",
    references=("RFC 5280 §4.1.2.5", "RFC 7671 §5.1", "RFC 7672 §3.1.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    now = session.start_ns
    if now < YEAR_1995_NS:
        return not_observable("clock")
    for position, one in enumerate(tls.certificates):
        if one.not_after_ns is not None and one.not_after_ns < now and not (position and one.self_issued):
            break
    else:
        return PASS
    relay = is_relay(session)
    whose = "The certificate" if position == 0 else "A certificate in the chain"
    return fail(RULE, tls, f"{whose} of {place(session)} had expired on {when(one.not_after_ns)[:10]}",
                {"not_after": when(one.not_after_ns), "checked_at": when(now), "position": position, "established": tls.established, **describe(one)},
                severity="medium" if relay else None, reason="opportunistic TLS between mail servers" if relay else "", variant="chain" if position else "",
                side=SERVER, at=tls.certificate_at)
