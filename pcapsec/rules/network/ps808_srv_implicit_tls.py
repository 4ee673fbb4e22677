"""PS808: SRV records say where a domain's mail is read and submitted, and with which protection.

What
    DNS answered SRV records of _submissions, _imaps, _pop3s, _submission, _imap, _pop3, _sieve or _autodiscover below a domain. Variant: the service.

Why
    Programs set themselves up by these records. A service with TLS from the first byte is to be preferred; the target `.` says that there is no such service, and who uses it
    in clear all the same does something that the domain does not want.

Evidence
    domain, service: whose service it is.
    records: priority, weight, port and target, as answered.
    offered: whether there is such a service.
    implicit_tls: the service is TLS from the first byte.
    authenticated: the resolver says that DNSSEC proves the answer.
    asked_by, answered_by: who asked whom first.

Not a finding when
    - the records are about another service than those of mail.

References
    RFC 6186 §3, §3.4
    RFC 8314 §5.1
    RFC 5804 §1.8
    [MS-OXDISCO]
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..dns_policy import TLS_SERVICES
from ..promises import about, said
from ..rule import ANY, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS808", slug="srv-implicit-tls", title="SRV records tell TLS expectation", severity="info", confidence="high", category="network", scope="capture", protocols=ANY, several=True,
    remediation="Offer _submissions, _imaps and _pop3s, and say by the target `.` that the services without TLS do not exist.",
    references=("RFC 6186 §3, §3.4", "RFC 8314 §5.1", "RFC 5804 §1.8", "[MS-OXDISCO]"),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    findings = []
    for domain, answer, sighting in said(site, capture, "srv"):
        service, offered = answer.records[0][0], any(target for *_, target in answer.records)
        findings.append(about(RULE, domain, answer, sighting, f"{domain} says that it has {service}" if offered else f"{domain} says that it has no {service}", service,
                              {"service": service, "offered": offered, "implicit_tls": service in TLS_SERVICES}))
    return findings or site.collected.dns.answer_of_nothing()
