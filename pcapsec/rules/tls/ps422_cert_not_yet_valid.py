"""PS422: a certificate that is not valid yet.

What
    The server's certificate begins after the packets passed.

Why
    Programs that check refuse it. Either the certificate was put in place too early, or a clock is wrong.

Evidence
    not_before: begin of validity.
    checked_at: packet time.
    subject, issuer, sha256: which certificate.
    established: whether the client went on with it.

Not a finding when
    - packet times are before 1995, and so no times: not_observable;
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 5280 §4.1.2.5
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import YEAR_1995_NS, describe, fail, leaf, place, when
from ..rule import PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS422", slug="cert-not-yet-valid", title="Certificate not yet valid", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Put it in place when its time has come, or set the clocks.",
    references=("RFC 5280 §4.1.2.5",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    now = session.start_ns
    if now < YEAR_1995_NS:
        return not_observable("clock")
    begin = own.not_before_ns
    if begin is None or begin <= now:
        return PASS
    return fail(RULE, tls, f"The certificate of {place(session)} is valid from {when(begin)[:10]} only",
                {"not_before": when(begin), "checked_at": when(now), "established": tls.established, **describe(own)}, side=SERVER, at=tls.certificate_at)
