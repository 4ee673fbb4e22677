"""PS209: an IMAP server greets with PREAUTH on a connection without TLS.

What
    The server's first line in clear is `* PREAUTH`: the client counts as logged in before it sent a byte.

Why
    STARTTLS is only allowed before the login, so it is now impossible, and a client that goes on sends everything readable. Attackers on the way
    inject this greeting to keep clients from TLS.

Evidence
    greeting: the server's words.
    mailbox_commands: commands that read or changed a mailbox afterwards.

Not a finding when
    - it is said inside TLS, after a client certificate.
    IMAP over ssh or on one host uses PREAUTH rightly; between loopback addresses the finding is info.

References
    RFC 9051 §7.1.4, §11
    CVE-2020-12398
    CVE-2020-14093
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..rule import PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS209", slug="imap-preauth-clear", title="IMAP PREAUTH greeting without TLS", severity="high", confidence="high",
    category="cleartext", scope="session", protocols=("imap",), needs=(SERVER,),
    remediation="Use 993; a client must break off when PREAUTH comes before TLS. If the server does not send it, look for who does.",
    references=("RFC 9051 §7.1.4, §11", "CVE-2020-12398", "CVE-2020-14093"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.preauth:
        return Finding(
            rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
            title=f"{session.server_ip} port {session.server_port} declares clients logged in before TLS (PREAUTH)",
            side=SERVER, at=facts.greeting_at, evidence={"greeting": facts.greeting, "mailbox_commands": facts.n_mailbox_commands},
        )
    return PASS if facts.greeting_code is not None else not_observable(session.unseen_server or "no_greeting")
