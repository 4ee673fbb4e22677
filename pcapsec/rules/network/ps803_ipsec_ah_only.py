"""PS803: mail passes in clear inside AH, which does not encrypt.

What
    Mail conversations without TLS passed between two hosts in packets that have IPsec's Authentication Header (IP protocol 51) and no ESP.

Why
    AH only shows alterations. Everybody on the way reads the mail and its passwords, while those who run it may believe that IPsec protects them.

Evidence
    client, server: the two hosts.
    spis: security associations of AH between them, the first few.
    n_sessions, n_clear: mail conversations inside AH, and how many of them were without TLS.

Not a finding when
    - AH stands over ESP: what ESP does is PS801's and PS802's to say.
    - all mail conversations inside it use TLS.

References
    RFC 4302 §2
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..carriers import Carriers, spi_text
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS803", slug="ipsec-ah-only", title="AH without ESP around mail", severity="high", confidence="high", category="network", scope="capture",
    protocols=("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve"), several=True,
    remediation="Replace AH by ESP with an AEAD such as AES-GCM on both ends, or use TLS for the mail inside.",
    references=("RFC 4302 §2",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    carriers = site.collected.carriers
    keys = sorted(key for key in carriers.in_ah if key[0] == capture.name)
    if not keys:
        return NOT_APPLICABLE
    return [_finding(carriers, *key) for key in keys if carriers.in_ah[key].n_clear] or PASS


def _finding(carriers: Carriers, capture: str, client: str, server: str) -> Finding:
    seen = carriers.in_ah[capture, client, server]
    ts_ns, _name, frame, ends = seen.first
    one, other = sorted((client, server))
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, finding_id=finding_id(RULE.id, "", f"{client} {server}", capture),
        title=f"Mail between {client} and {server} passes in clear inside IPsec AH, which does not encrypt",
        capture=capture, frame=frame, ts_ns=ts_ns, ends=ends,
        evidence={"client": client, "server": server, "spis": [spi_text(spi) for spi in carriers.ah.get((capture, one, other), ())], "n_sessions": seen.n_sessions, "n_clear": seen.n_clear},
    )
