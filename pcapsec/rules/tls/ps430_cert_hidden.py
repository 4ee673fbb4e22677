"""PS430: the certificate could not be seen.

What
    No certificate was seen in a connection that was established: TLS 1.3 encrypts it, a resumed session does without, or bytes are missing.

Why
    What the rules about certificates would say of this server is not known. Their answer is not_observable, and silence is no praise.

Evidence
    cause: tls13, resumed, or missing.
    version: TLS version.
    sni: the name asked for.

Not a finding when
    - the same server was already reported for the same cause in this run;
    - the suite needs no certificate.

References
    RFC 8446 §2, §4.4
"""
from __future__ import annotations

from ...records import Certificate, Facts, Finding, Session
from ..handshake import cut, fail, leaf, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS430", slug="cert-hidden", title="Certificate not observable", severity="info", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Decrypt with --keylog, or look at the server's certificate by connecting to it.",
    references=("RFC 8446 §2, §4.4",),
)
CAUSES = {"tls13_cert_hidden": ("tls13", "TLS 1.3 encrypts it"), "resumed_session": ("resumed", "sessions are resumed")}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is Certificate:
        return PASS
    if tls is None or own.name == "not_applicable" or tls.version is None or not tls.established:
        return NOT_APPLICABLE
    cause, why = CAUSES.get(own.reason, ("missing", "bytes are missing"))
    if not site.first_time((RULE.id, session.server_ip, session.server_port, cause)):
        return PASS
    return fail(RULE, tls, f"The certificate of {place(session)} is not seen: {why}", {"cause": cause, "version": tls.version, "sni": cut(tls.sni) if tls.sni else None}, variant=cause)
