"""PS811: mail passes in clear between two sites.

What
    Client and server are in networks of different sites of the policy file, and mail, a login, a mailbox or calls to Exchange passed between them without protection.

Why
    Links between data centres have been tapped. A leased line, MPLS or any other private link is a promise of the carrier, not encryption.

Evidence
    site_a, site_b: the client's site and the server's.
    passed: what passed: message, login, mailbox, page, calls.
    n_sessions, bytes: how many conversations, and their payload.
    related_session_ids: the first of them.
    possible_causes: what would explain it without anybody being able to listen.

Not a finding when
    - the policy names no two sites, or both ends are in one;
    - all that passed was inside TLS, or RPC at level privacy;
    - the captures hold encrypted ESP between the two sites: not_observable, for what was captured before a gateway may have gone through it.
    IPsec that was not captured, MACsec or an encrypting link behind the place of capture would protect it, too, and cannot be seen here: hence medium confidence.

References
    RFC 7258
    RFC 4301 §4.1
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..carriers import opened
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..site import Site

RULE = Rule(
    id="PS811", slug="dc-link-clear", title="Clear mail protocol between two data-centre networks", severity="high", confidence="medium", category="network", scope="capture",
    protocols=ANY, several=True,
    remediation="Require TLS between the servers of the two sites, or put IPsec between them.",
    references=("RFC 7258", "RFC 4301 §4.1"),
)
CAUSES = ("IPsec between gateways behind the place of capture", "MACsec or another encryption of the link")


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    links, tunnels = site.collected.links, _tunnels(site)
    findings, hidden = [], False
    for (one, two, protocol), link in sorted(links.clear.items()):
        ts_ns, name, frame, _ = link.first
        if frozenset((one, two)) in tunnels:
            hidden = True
        elif name == capture.name:
            findings.append(Finding(
                rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=protocol, finding_id=finding_id(RULE.id, protocol, f"{one}\0{two}", ""),
                title=f"{protocol.upper()} passes in clear from {one} to {two}: {link.n_sessions} conversation{'s' if link.n_sessions > 1 else ''}",
                capture=name, frame=frame, ts_ns=ts_ns, ends=link.ends,
                evidence={"site_a": one, "site_b": two, "passed": sorted(link.passed), "n_sessions": link.n_sessions, "bytes": link.n_bytes,
                          "related_session_ids": [session_id for _, session_id in sorted(link.sessions)], "possible_causes": list(CAUSES)}))
    return findings or (not_observable("ipsec_wrapped") if hidden else PASS if links.n_between else NOT_APPLICABLE)


def _tunnels(site: Site) -> set[frozenset[str | None]]:
    """Pairs of sites between which ESP passed that hides what it carries."""
    return {frozenset((site.sites[one.client_ip], site.sites[one.server_ip])) for one in site.collected.carriers.esp if not opened(one.facts.esp)}
