"""PS214: a server relayed mail from outside to outside, for somebody who did not log in.

What
    A client with a public address, without login and TLS, had a mail from a foreign domain to a foreign domain accepted: recipient and content.

Why
    An open relay is found within hours and used for spam; the server ends on block lists, and its mail is refused elsewhere.

Evidence
    mail_from_domain: domain of the sender.
    rcpt_domains: foreign domains of accepted recipients, at most 20.
    exchangers: hosts that take mail for the first of them, as far as DNS in the capture tells.
    reply_code: the answer to the content.

Not a finding when
    - the policy does not name one's local domains: not_observable, for any server looks like a relay then;
    - sender or all recipients are local, or the sender is empty (a delivery report);
    - recipient or content were refused;
    - DNS in the capture named the server as an exchanger of the foreign domain: then it takes that domain's mail rightly.
    A backup exchanger, a forwarding service or a partner that is allowed by address look the same, hence medium confidence.

References
    RFC 5321 §7.9
    RFC 2505
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..rule import NOT_APPLICABLE, Rule, Verdict, not_observable, unless_unseen
from ..site import PUBLIC, Site

RULE = Rule(
    id="PS214", slug="open-relay-observed", title="External client relayed to external domain without auth", severity="critical", confidence="medium",
    category="cleartext", scope="session", protocols=("smtp",), needs=(CLIENT, SERVER),
    remediation="Close the relay: accept foreign recipients only from clients that logged in or are one's own.",
    references=("RFC 5321 §7.9", "RFC 2505"),
)
MAX_SHOWN = 20


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.tls_started or facts.logins or site.scope(session.client_ip) != PUBLIC:
        return NOT_APPLICABLE
    for message in facts.messages:
        sender = _domain(message.mail_from or "")
        if not message.accepted or not sender or site.is_local(sender):
            continue
        foreign = sorted({domain for domain in map(_domain, message.rcpt_accepted) if domain and not site.is_local(domain) and not _takes(session, site, domain)})
        if foreign:
            if not site.local_domains:
                return not_observable("local_domains_unknown")
            return Finding(
                rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
                title=f"{session.server_ip} port {session.server_port} relayed mail from {session.client_ip} to a foreign domain without login",
                side=message.side, at=message.at,
                evidence={"mail_from_domain": sender, "rcpt_domains": foreign[:MAX_SHOWN], "reply_code": message.reply_code,
                          **({"exchangers": hosts} if (hosts := sorted(site.collected.dns.exchangers(foreign[0], session.end_ns))[:MAX_SHOWN]) else {})},
            )
    return unless_unseen(session, CLIENT, SERVER)


def _takes(session: Session, site: Site, domain: str) -> bool:
    return bool(site.collected.dns.hosts_at(domain, session.server_ip, session.end_ns))


def _domain(address: str) -> str:
    """Domain of an address; empty where it is none, or a name of this network."""
    domain = address.rpartition("@")[2].lower().rstrip(".") if "@" in address else ""
    return domain if "." in domain else ""
