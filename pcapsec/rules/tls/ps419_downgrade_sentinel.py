"""PS419: the server says that it could have done better.

What
    The last bytes of the server's random value say that it knows a newer TLS than the one that was agreed on.

Why
    If the client offered the newer version too, somebody in between took it out of the hello. If it did not, the client is merely old.

Evidence
    sentinel: what the server could do more than.
    negotiated: version agreed on.
    client_offered: versions the client offered, as the server's side of the capture shows them.

Not a finding when
    - the client offers nothing newer: then info, for an old client is no attack.

References
    RFC 8446 §4.1.3
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import OBSOLETE, fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS419", slug="downgrade-sentinel", title="Server random carries downgrade sentinel", severity="high", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Update the client; where it did offer the newer version, find out who changed its hello.",
    references=("RFC 8446 §4.1.3",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.version is None:
        return no_hello(session, tls)
    sentinel = tls.downgrade_sentinel
    if sentinel is None or (tls.version != "TLSv1.2" if sentinel == "TLSv1.2" else tls.version not in OBSOLETE):
        return PASS
    evidence = {"sentinel": sentinel, "negotiated": tls.version, "client_offered": list(tls.offered_versions)}
    if tls.offer is None:
        return fail(RULE, tls, f"{place(session)} could do more than {tls.version}", evidence)
    if "TLSv1.3" in tls.offered_versions or sentinel == "TLSv1.1" and "TLSv1.2" in tls.offered_versions:
        return fail(RULE, tls, f"{session.client_ip} and {place(session)} both know more than {tls.version}, on which they agreed: somebody changed the hello",
                    evidence, severity="critical", reason="the client offered the newer version", variant="active")
    return fail(RULE, tls, f"{place(session)} could do more than {tls.version}, {session.client_ip} could not", evidence, severity="info",
                reason="the client offers nothing newer", variant="old-client")
