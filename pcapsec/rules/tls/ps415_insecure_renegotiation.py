"""PS415: no secure renegotiation.

What
    The client announced secure renegotiation and the server does not know it.

Why
    An attacker can put his own words before those of a client, and the server takes both for one conversation.

Evidence
    client_signalled: the client sent renegotiation_info or its SCSV.
    server_knows: the server answered with renegotiation_info.

Not a finding when
    - the client announced nothing: not_observable;
    - TLS 1.3, which has no renegotiation.

References
    RFC 5746
    CVE-2009-3555
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS415", slug="insecure-renegotiation", title="Secure renegotiation not supported", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Update the server's TLS library, or switch renegotiation off.",
    references=("RFC 5746", "CVE-2009-3555"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.secure_renegotiation is None:
        return no_hello(session, tls) if tls.version is None else NOT_APPLICABLE
    if tls.secure_renegotiation:
        return PASS
    if tls.offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if not tls.offer.secure_renegotiation:
        return not_observable("client_did_not_ask")
    return fail(RULE, tls, f"{place(session)} does not know secure renegotiation", {"client_signalled": True, "server_knows": False})
