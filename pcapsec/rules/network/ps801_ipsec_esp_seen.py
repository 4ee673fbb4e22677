"""PS801: ESP passes between two mail hosts.

What
    IPsec ESP passes between two hosts that also exchange mail in the capture, one of them as a server. What is inside cannot be read.

Why
    Mail between the two may be protected below the session: what seems to be missing, such as a relay that never shows, may be inside. Mail conversations
    between the same two that are in this capture in clear went around the tunnel, or were captured on one of the two hosts itself, where packets show
    once more after decryption.

Evidence
    associations: source, destination, SPI, packets and bytes of each direction, and whether UDP carries it (NAT traversal); the first few.
    n_associations: how many there were.
    packets, bytes: of all.
    natt: whether any of it is carried in UDP.

Not a finding when
    - one of the two hosts, or both, had no mail conversation in the capture: gateways are not mail hosts.
    - it does not encrypt: that is PS802.
    Whether whole packets are inside (tunnel mode) cannot be told from ESP.

References
    RFC 4303 §2
    RFC 3948 §2.1
"""
from __future__ import annotations

from ...records import EspAssociation, Facts, Finding, Session
from ..carriers import opened, spi_text
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS801", slug="ipsec-esp-seen", title="IPsec ESP between mail hosts", severity="info", confidence="high", category="network", scope="session", protocols=("esp",),
    remediation="Nothing needs to be done; make sure that all mail between the two hosts takes this way.",
    references=("RFC 4303 §2", "RFC 3948 §2.1"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    esp = facts.esp
    if esp is None or not site.collected.carriers.are_mail_hosts(session.client_ip, session.server_ip):
        return NOT_APPLICABLE
    if opened(esp):
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, title=f"IPsec protects traffic between the mail hosts {session.client_ip} and {session.server_ip}",
        evidence={"associations": [_shown(one) for one in esp.associations], "n_associations": len(esp.associations) + esp.n_more,
                  "packets": session.packets_client + session.packets_server, "bytes": session.bytes_client + session.bytes_server,
                  "natt": any(one.ports is not None for one in esp.associations)},
    )


def _shown(one: EspAssociation) -> dict[str, object]:
    return {"source": one.source, "destination": one.destination, "spi": spi_text(one.spi), "packets": one.packets, "bytes": one.bytes, "natt": one.ports is not None}
