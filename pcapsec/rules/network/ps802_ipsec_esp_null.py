"""PS802: IPsec that does not encrypt: mail inside ESP can be read.

What
    ESP passes whose packets are whole without decryption: NULL encryption (RFC 2410), GMAC (RFC 4543), or WESP that says so itself. It was opened, and
    what is inside was analysed like any other traffic: conversations that came out of it have esp-null in the column encapsulation.

Why
    Everybody on the way reads the mail and its passwords, while those who run the tunnel believe that IPsec protects them. Only alterations are noticed.
    It is often a test setting or a lowest common proposal that stayed.

Evidence
    associations: source, destination, SPI, mode (transport, tunnel), icv_bytes and iv_bytes (the form in which packets are whole), packets_tested (that were
    whole before it was believed), packets; kind is wesp where the packet itself says it.
    n_mail_sessions: mail conversations of the capture that came out of such ESP.

Not a finding when
    - fewer than three packets of an association are whole. Each must have a well-formed trailer and a checksum that holds inside: of encrypted packets fewer
      than one in 10^10 does by chance, so three are no chance.
    - neither of the hosts has anything to do with mail, and no mail came out of it.

References
    RFC 5879
    RFC 5840
    RFC 2410
    RFC 4543
"""
from __future__ import annotations

from ...records import EspAssociation, Facts, Finding, Session
from ..carriers import opened, spi_text
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS802", slug="ipsec-esp-null", title="ESP with NULL encryption (integrity only)", severity="high", confidence="high", category="network", scope="session", protocols=("esp",),
    remediation="Configure ESP with an AEAD such as AES-GCM on both ends and remove NULL and GMAC from the proposals.",
    references=("RFC 5879", "RFC 5840", "RFC 2410", "RFC 4543"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    esp = facts.esp
    if esp is None:
        return NOT_APPLICABLE
    found = opened(esp)
    if not found:
        return PASS if any(one.sealed for one in esp.associations) else not_observable("too_few_packets")
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=found[0].kind,
        title=f"IPsec between {session.client_ip} and {session.server_ip} does not encrypt: mail inside it can be read",
        evidence={"associations": [_shown(one) for one in found], "n_mail_sessions": site.collected.carriers.null_mail.get(session.capture, 0)},
    )


def _shown(one: EspAssociation) -> dict[str, object]:
    return {"source": one.source, "destination": one.destination, "spi": spi_text(one.spi), "kind": one.kind, "mode": "tunnel" if one.tunnel else "transport", "icv_bytes": one.icv_bytes,
            "iv_bytes": one.iv_bytes, "packets_tested": one.tested, "packets": one.packets}
