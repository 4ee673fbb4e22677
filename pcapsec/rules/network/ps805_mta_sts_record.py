"""PS805: a domain says that it has an MTA-STS policy.

What
    DNS answered a TXT record of _mta-sts.<domain> that begins with v=STSv1. Variant invalid: there are several such records, or the one that is there has no well-formed id, so
    that senders must act as if there were none.

Why
    The domain promises that its mail exchangers speak TLS with a valid certificate, and asks senders to insist on it. Mail that reaches it in clear broke that promise (PS902).

Evidence
    domain, id: the domain, and the id that changes with its policy.
    records: as answered.
    mode: enforce, testing or none as the policy file says; else unknown, for the policy itself is fetched inside TLS.
    fetched: whether somebody fetched it from mta-sts.<domain> in the captures.
    authenticated: the resolver says that DNSSEC proves the answer.
    asked_by, answered_by: who asked whom first.

Not a finding when
    - the record is not of version STSv1.
    An alias (CNAME) of _mta-sts.<domain> is followed.

References
    RFC 8461 §3.1, §3.2, §3.3
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..promises import about, said
from ..rule import ANY, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS805", slug="mta-sts-record", title="Recipient domain publishes MTA-STS", severity="info", confidence="high", category="network", scope="capture", protocols=ANY, several=True,
    remediation="Let the sending servers obey MTA-STS; where the record is invalid, correct it.",
    references=("RFC 8461 §3.1, §3.2, §3.3",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    told = dict(site.policy.mta_sts)
    findings = []
    for domain, answer, sighting in said(site, capture, "mta-sts"):
        valid = bool(answer.valid)
        if not valid and not any(text.startswith("v=STSv1") for text in answer.values):
            continue
        findings.append(about(
            RULE, domain, answer, sighting, f"{domain} publishes an MTA-STS record" if valid else f"{domain} publishes an MTA-STS record that counts for nothing", "" if valid else "invalid",
            {"id": answer.records[0][0] if valid else None, "mode": told[domain].mode if domain in told else "unknown", "fetched": f"mta-sts.{domain}" in site.collected.encrypted}))
    return findings or site.collected.dns.answer_of_nothing()
