"""PS416: no extended master secret.

What
    TLS 1.2 or less was agreed on without the extension extended_master_secret.

Why
    Without it two different handshakes can end with the same keys, which the triple handshake attack builds on.

Evidence
    version: TLS version.
    client_offered: whether the client offered it; None where its hello was not seen.

Not a finding when
    - TLS 1.3, which has it built in;
    - the same server was already reported in this run.

References
    RFC 7627
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS416", slug="no-ems", title="Extended master secret not used", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Update the TLS library of the end that lacks it.",
    references=("RFC 7627",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.extended_master_secret is None:
        return no_hello(session, tls) if tls.version is None else NOT_APPLICABLE
    if tls.extended_master_secret or not site.first_time((RULE.id, session.server_ip, session.server_port)):
        return PASS
    return fail(RULE, tls, f"TLS with {place(session)} went without the extended master secret",
                {"version": tls.version, "client_offered": tls.offer.extended_master_secret if tls.offer is not None else None})
