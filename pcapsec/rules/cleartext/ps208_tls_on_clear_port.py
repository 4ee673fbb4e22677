"""PS208: TLS from the first byte on a port where the conversation begins in clear.

What
    A client opened TLS at once on 24, 25, 110, 119, 143, 389, 587 or 4190.

Why
    The program was told the wrong port or the wrong kind of TLS; a server that expects text answers with an error that nobody understands.

Evidence
    port: of the server.
    established: whether the server took it all the same.
    answered_in_text: the server answered with something that is no TLS.

Not a finding when
    - TLS began after STARTTLS.

References
    RFC 8446 §5.1
    RFC 8314 §3
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS208", slug="tls-on-clear-port", title="TLS from byte 0 on a STARTTLS port", severity="info", confidence="high",
    category="cleartext", scope="session", protocols=("tls",),
    remediation="Set the program to STARTTLS, or to the port for TLS (465, 993, 995).",
    references=("RFC 8446 §5.1", "RFC 8314 §3"),
)
PORTS = frozenset((24, 25, 110, 119, 143, 389, 587, 4190))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None or session.tls_mode != "implicit" or session.server_port not in PORTS:
        return NOT_APPLICABLE
    if tls.client_hello_at is None:
        return PASS
    text = any(anomaly.code == "not-a-tls-record" and anomaly.side == SERVER for anomaly in facts.anomalies)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=str(session.server_port), side=CLIENT, at=tls.client_hello_at,
        title=f"{session.client_ip} opened TLS at once on port {session.server_port} of {session.server_ip}",
        evidence={"port": session.server_port, "established": tls.established, "answered_in_text": text},
    )
