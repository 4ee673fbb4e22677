"""PS902: mail went in clear to a domain that promises TLS.

What
    A message for a domain was sent in clear to one of its own mail exchangers, as DNS names them in the captures, and the domain asks senders to insist on TLS: by MTA-STS
    (variant mta-sts), by TLSA records of that exchanger with DNSSEC (variant dane), or both.

Why
    The recipient did all it can. A sender that obeyed would have kept the mail rather than sent it readable; whoever takes STARTTLS out on the way reads along.

Evidence
    domain: of the recipients.
    exchangers: hosts of the domain at that address.
    mode: of the MTA-STS policy as the policy file says; unknown without it.
    listed: whether that policy lists the exchanger, where the policy file tells.
    sts_id: of the MTA-STS record.
    sts_record, tlsa_records: what DNS answered, and where: capture and frame.
    offered: whether the server offered STARTTLS in that conversation.
    n_messages: how many messages there were.
    possible_causes: innocent explanations that are not ruled out.

Not a finding when
    - the server is not known to be an exchanger of the domain: a relay on the sender's own side may still use TLS on the next hop;
    - the MTA-STS policy is in mode testing or none by the policy file, and there is no DANE;
    - the TLSA records came without DNSSEC's word (AD or RRSIG), or are of usages that do not count for mail;
    - the message says TLS-Required: No.
    What the MTA-STS policy says is unknown without the policy file: then confidence is low.

References
    RFC 8461 §5
    RFC 7672 §2.2
    RFC 8689 §5
"""
from __future__ import annotations

from typing import Any

from ...records import Capture, DnsAnswer, Finding
from ..deliveries import Delivery
from ..dns_policy import covers
from ..policy import StsPolicy
from ..promises import MAX_SHOWN
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..site import LOOPBACK, Site

RULE = Rule(
    id="PS902", slug="policy-dns-violation", title="MTA-STS/DANE domain received clear mail", severity="high", confidence="medium", category="correlation", scope="capture",
    protocols=("smtp",), several=True,
    remediation="Let the sending server obey MTA-STS and DANE (Postfix: smtp_tls_security_level=dane, and an MTA-STS resolver), and find out why TLS was missing.",
    references=("RFC 8461 §5", "RFC 7672 §2.2", "RFC 8689 §5"),
)
CAUSES = ("the sending server knows neither MTA-STS nor DANE", "the sending server is set to do without TLS for this domain")


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    here = {key: delivery for key, delivery in site.collected.deliveries.clear.items() if delivery.first[1] == capture.name}
    if not here:
        return NOT_APPLICABLE
    if not site.collected.dns:
        return not_observable("no_dns_seen")
    told = dict(site.policy.mta_sts)
    findings, unknown = [], False
    for (domain, address, port), delivery in sorted(here.items()):
        hosts = site.collected.dns.hosts_at(domain, address)
        if hosts:
            finding = _judged(site, domain, port, hosts, told.get(domain), delivery)
            if finding is not None:
                findings.append(finding)
        else:
            unknown = unknown or site.collected.dns.promises_sts(domain) is not None
    return findings or (not_observable("exchangers_unknown") if unknown else PASS)


def _judged(site: Site, domain: str, port: int, hosts: list[str], told: StsPolicy | None, delivery: Delivery) -> Finding | None:
    dns = site.collected.dns
    sts = dns.promises_sts(domain)
    mode = told.mode if told is not None else "unknown" if sts is not None else None
    by_sts = mode in ("enforce", "unknown")
    tlsa = next((found for host in hosts if (found := dns.promises_dane(host, port)) is not None), None)
    if not by_sts and tlsa is None:
        return None
    variant = "both" if by_sts and tlsa is not None else "mta-sts" if by_sts else "dane"
    evidence: dict[str, Any] = {"domain": domain, "exchangers": hosts[:MAX_SHOWN], "offered": delivery.offered, "n_messages": delivery.n_messages, "possible_causes": list(CAUSES)}
    if by_sts:
        evidence["mode"] = mode
        if told is not None and told.mx:
            evidence["listed"] = any(covers(told.mx, host) for host in hosts)
        if sts is not None:
            evidence["sts_id"], evidence["sts_record"] = sts.records[0][0], _seen(site, sts)
    if tlsa is not None:
        evidence["tlsa_records"] = _seen(site, tlsa)
    sure = mode == "enforce" or tlsa is not None and dns.is_proven(domain)
    ts_ns, name, frame, _ = delivery.first
    loopback = site.nearness(delivery.ends.client_ip, delivery.ends.server_ip) is LOOPBACK
    promise = {"both": "MTA-STS and DANE", "mta-sts": "MTA-STS", "dane": "DANE"}[variant]
    return Finding(
        rule=RULE, severity="info" if loopback else RULE.severity, severity_reason="both ends loopback" if loopback else "", confidence=RULE.confidence if sure else "low",
        variant=variant, finding_id=finding_id(RULE.id, variant, f"{domain}\0{delivery.ends.server_ip}\0{port}", ""),
        title=f"Mail for {domain} went in clear to {delivery.ends.server_ip} port {port}, although the domain promises TLS by {promise}",
        capture=name, frame=frame, ts_ns=ts_ns, ends=delivery.ends, evidence=evidence)


def _seen(site: Site, answer: DnsAnswer) -> dict[str, Any]:
    sighting = site.collected.dns.seen[answer]
    return {"records": list(answer.values[:MAX_SHOWN]), "capture": sighting.capture, "frame": sighting.frame, "authenticated": answer.authenticated}
