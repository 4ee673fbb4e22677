"""PS807: a domain asks for reports about TLS.

What
    DNS answered a TXT record of _smtp._tls.<domain> that begins with v=TLSRPTv1; and names where reports go. Variant invalid: there are several, or it names no address.

Why
    The domain wants to hear when senders cannot speak TLS with it, or find its certificates wrong: who takes part in this usually promised TLS as well.

Evidence
    domain, rua: the domain, and where reports go.
    records: as answered.
    authenticated: the resolver says that DNSSEC proves the answer.
    asked_by, answered_by: who asked whom first.

Not a finding when
    - the record does not begin with v=TLSRPTv1;

References
    RFC 8460 §3
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..promises import about, said
from ..rule import ANY, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS807", slug="tlsrpt", title="TLSRPT record", severity="info", confidence="high", category="network", scope="capture", protocols=ANY, several=True,
    remediation="Let the sending servers send TLS reports; where the record is invalid, correct it.",
    references=("RFC 8460 §3",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    findings = []
    for domain, answer, sighting in said(site, capture, "tlsrpt"):
        valid = bool(answer.valid)
        if valid or any(text.startswith("v=TLSRPTv1;") for text in answer.values):
            findings.append(about(RULE, domain, answer, sighting, f"{domain} asks for reports about TLS" + ("" if valid else ", in a record that counts for nothing"),
                                  "" if valid else "invalid", {"rua": answer.records[0][0] if valid else None}))
    return findings or site.collected.dns.answer_of_nothing()
