"""PS809: which mail exchangers a domain has, for domains whose exchangers were spoken to.

What
    DNS answered MX records of a domain and addresses of their hosts, and the captures hold SMTP with one of those addresses.

Why
    It tells which server stands for whom: a delivery to a domain's exchanger from relay through somebody else's server, and under which name a certificate must be valid.

Evidence
    domain: whose mail it is.
    records: preference and host, as answered.
    servers: addresses of these hosts that were spoken to, and their conversations over SMTP.
    authenticated: the resolver says that DNSSEC proves the answer.
    asked_by, answered_by: who asked whom first.

Not a finding when
    - none of the domain's exchangers was spoken to in the captures; table dns_policy has all answers.
    Split DNS may say something else to others.

References
    RFC 5321 §5.1
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..promises import MAX_SHOWN, about, said
from ..rule import ANY, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS809", slug="mx-map", title="MX map for role detection", severity="info", confidence="high", category="network", scope="capture", protocols=ANY, several=True,
    remediation="Nothing to do: it helps to read the other findings.",
    references=("RFC 5321 §5.1",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    dns, spoken = site.collected.dns, site.collected.deliveries.servers
    findings = []
    for domain, answer, sighting in said(site, capture, "mx"):
        hosts = [host for _, host in answer.records if host]
        servers = {address: spoken[address] for host in hosts for address in dns.addresses(host) if address in spoken}
        if servers:
            shown = {address: servers[address] for address in sorted(servers)[:MAX_SHOWN]}
            findings.append(about(RULE, domain, answer, sighting, f"Mail for {domain} goes to {', '.join(hosts[:3])}{' and others' if len(hosts) > 3 else ''}", "", {"servers": shown}))
    return findings or dns.answer_of_nothing()
