"""PS009: a conversation on a mail port that no parser could read.

What
    The bytes of a connection to a mail port are no protocol that pcapsec knows, or its parser gave up before any command.

Why
    It may be mail in a wrapping that is not known here; nothing can be said about it, neither good nor bad.

Evidence
    reason: why it was not parsed.
    bytes_client, bytes_server: payload bytes captured of each side. The bytes themselves are not shown, for they may hold a password.

Not a finding when
    - it is TLS or another encryption by design;
    - no payload was captured.

References
    HAProxy PROXY protocol specification
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS009", slug="undecoded-session", title="Session on a mail port could not be parsed", severity="info", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Look at the connection by hand; if it is mail, report a sample.",
    references=("HAProxy PROXY protocol specification",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.unparsed is None and session.protocol != "unknown":
        return PASS
    if session.protocol == "tls" or session.tls_mode == "implicit" or not (session.bytes_client or session.bytes_server):
        return NOT_APPLICABLE
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=session.protocol,
        title=f"A connection to {session.server_ip} port {session.server_port} could not be read as mail",
        evidence={"reason": session.unparsed or "no protocol recognised", "bytes_client": session.bytes_client, "bytes_server": session.bytes_server},
    )
