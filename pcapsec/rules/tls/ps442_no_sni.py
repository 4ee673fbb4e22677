"""PS442: a mail client does not name the server.

What
    A program that submits or reads mail opens TLS without the server name extension.

Why
    A server with several names cannot choose its certificate, and the program most likely does not check the name either.

Evidence
    ja4: fingerprint of the client's program.
    port: of the server.

Not a finding when
    - mail servers speak among themselves;
    - the client may know the server by its address alone, which may not be sent: nobody can tell from here;
    - the same client program at the same address was already reported in this run.

References
    RFC 6066 §3
    RFC 9325 §3.7
    RFC 8461 §7.1
    RFC 7672 §8.1
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..handshake import fail, is_access, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS442", slug="no-sni", title="No SNI from a submission/access client", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Configure the server by name, and update the program.",
    references=("RFC 6066 §3", "RFC 9325 §3.7", "RFC 8461 §7.1", "RFC 7672 §8.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None or not is_access(session):
        return NOT_APPLICABLE
    offer = tls.offer
    if offer is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if 0 in offer.extensions or not site.first_time((RULE.id, session.client_ip, offer.ja4 or offer.legacy_version)):
        return PASS
    return fail(RULE, tls, f"{session.client_ip} does not say which server it means at {place(session)}", {"ja4": offer.ja4, "port": session.server_port}, side=CLIENT)
