"""PS806: a mail server has TLSA records.

What
    DNS answered TLSA records of a mail port of a host. Variant mismatch: the server showed certificates on that address in the captures, and none of them fits any of the records.

Why
    With DNSSEC the records bind the server to its key: senders that obey DANE speak TLS with it or not at all. Mail that reaches it in clear broke that promise (PS902). Where the
    certificate does not fit, such senders cannot deliver.

Evidence
    domain, port: the host and port that the records are about.
    records: usage, selector, matching type and data, as answered.
    usable: how many of them count between mail servers (usages 2 and 3).
    certificate_matches: whether a certificate that was seen fits; missing where none was readable.
    authenticated, signed: the resolver says that DNSSEC proves the answer; its signatures came along.
    asked_by, answered_by: who asked whom first.

Not a finding when
    - the records are about another port than those of mail.
    The resolver's word (AD) is only worth what the path to it is: nobody validates DNSSEC here. Without it and without signatures the records bind nobody.

References
    RFC 7672 §2.1.1, §2.2.3, §3.1
    RFC 6698
    RFC 7671
"""
from __future__ import annotations

from ...records import Capture, DnsAnswer, Finding
from ..promises import about, said
from ..rule import ANY, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS806", slug="dane-tlsa", title="Recipient MX has TLSA", severity="info", confidence="high", category="network", scope="capture", protocols=ANY, several=True,
    remediation="Let the sending servers obey DANE; where the certificate does not fit, publish the hash of the new key before it is used.",
    references=("RFC 7672 §2.1.1, §2.2.3, §3.1", "RFC 6698", "RFC 7671"),
)
_KEY, _SHA256 = 1, 1  # selector, matching type
_END_ENTITY = frozenset((1, 3))  # usages that mean the server's own certificate


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    findings = []
    for host, answer, sighting in said(site, capture, "tlsa"):
        matches = _matches(site, host, answer)
        port = answer.records[0][0]
        finding = about(
            RULE, host, answer, sighting, f"{host} port {port} has TLSA records" + (", and the certificate it showed fits none of them" if matches is False else ""),
            "mismatch" if matches is False else "", {"port": port, "usable": sum(record[1] in (2, 3) for record in answer.records), "signed": answer.signed})
        if matches is not None:
            finding.evidence["certificate_matches"] = matches
        if matches is False and (answer.authenticated or answer.signed):
            finding.severity, finding.severity_reason, finding.confidence = "medium", "senders that obey DANE cannot deliver", "medium"
        findings.append(finding)
    return findings or site.collected.dns.answer_of_nothing()


def _matches(site: Site, host: str, answer: DnsAnswer) -> bool | None:
    """Whether any chain that the host showed over SMTP fits any of the records; None: nothing readable, or hashes of another kind. Another answer about the same host may fit, too."""
    collected = site.collected
    chains = [chain for address in collected.dns.addresses(host) for chain in collected.deliveries.chains.get(address, ())]
    records = {record for other, _ in collected.dns.about("tlsa", host) if other.name == answer.name for record in other.records}
    if answer.records[0][0] != 25 or not chains:
        return None
    if any(_fits(record, chain) for record in records for chain in chains):
        return True
    return False if all(record[3] == _SHA256 and (record[2] != _KEY or chain[0][1] is not None) for record in records for chain in chains) else None


def _fits(record: tuple, chain: tuple[tuple[str, str | None], ...]) -> bool:
    _port, usage, selector, kind, held = record
    places = chain[:1] if usage in _END_ENTITY else chain
    return kind == _SHA256 and any((key if selector == _KEY else certificate) == held for certificate, key in places)
