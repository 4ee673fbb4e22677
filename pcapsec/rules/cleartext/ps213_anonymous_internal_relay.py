"""PS213: a device or program relays mail without login and without TLS.

What
    A client with a private address had mail to another domain accepted on port 25, 26 or 2525, without AUTH and without TLS.

Why
    Printers, scanners and line-of-business programs mail like this. What they send passes readable, and whoever gets an address in that network may
    send in the organisation's name.

Evidence
    client_name: name that the client gave.
    rcpt_external, rcpt_internal: accepted recipients outside and inside the policy's local domains.
    local_domains_known: whether a policy names them; without one every other domain counts as external, and confidence is low.
    mailer: X-Mailer or User-Agent, where seen.

Not a finding when
    - all accepted recipients are of local domains: that is delivery, not relay;
    - the client logged in or used TLS, or has a public address (PS214).

References
    RFC 5321 §7.9
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, Rule, Verdict, unless_unseen
from ..site import PRIVATE, Site

RULE = Rule(
    id="PS213", slug="anonymous-internal-relay", title="Device/application relays mail anonymously in clear", severity="medium", confidence="medium",
    category="cleartext", scope="session", protocols=("smtp",), needs=(CLIENT, SERVER),
    remediation="Let devices use TLS and a login of their own, and allow relaying by address only where that cannot be.",
    references=("RFC 5321 §7.9",),
)
PORTS = frozenset((25, 26, 2525))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.server_port not in PORTS or facts.tls_started or facts.logins or site.scope(session.client_ip) != PRIVATE:
        return NOT_APPLICABLE
    external = internal = 0
    mailer = first = None
    for message in facts.messages:
        for recipient in message.rcpt_accepted:
            domain = recipient.rpartition("@")[2] if "@" in recipient else ""
            if "." not in domain.strip(".") or site.is_local(domain):  # a name without a dot is of this host or this network
                internal += 1
            else:
                external += 1
                first = first or message
        mailer = mailer or message.mailer
    if first is None:
        return unless_unseen(session, CLIENT, SERVER)
    known = bool(site.local_domains)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence if known else "low",
        title=f"{session.client_ip} relays mail through {session.server_ip} port {session.server_port} without login and TLS",
        side=first.side, at=first.at,
        evidence={"client_name": facts.client_name, "rcpt_external": external, "rcpt_internal": internal, "local_domains_known": known, "mailer": mailer},
    )
