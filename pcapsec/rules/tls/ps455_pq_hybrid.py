"""PS455: keys that also withstand quantum computers.

What
    Client and server agreed on keys by a hybrid of elliptic curves and ML-KEM, or of its draft.

Why
    This is the good case. What is recorded today and protected by elliptic curves alone may be read once large quantum computers exist.

Evidence
    group: what was agreed on.
    offered: the groups the client offered.

Not a finding when
    - such a group was only offered;
    - the same client and server were already reported in this run.

References
    draft-ietf-tls-ecdhe-mlkem
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..handshake import MAX_SHOWN, fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS455", slug="pq-hybrid", title="Post-quantum hybrid key exchange", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Nothing to do.",
    references=("draft-ietf-tls-ecdhe-mlkem",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.version is None:
        return no_hello(session, tls)
    group = tls.group
    if group is None or "MLKEM" not in group and "Kyber" not in group:
        return PASS
    if not site.first_time((RULE.id, session.client_ip, session.server_ip)):
        return PASS
    return fail(RULE, tls, f"{session.client_ip} and {place(session)} agreed on keys with {group}",
                {"group": group, "offered": list(tls.offer.groups[:MAX_SHOWN]) if tls.offer is not None else []})
