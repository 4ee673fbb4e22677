"""PS006: one side's checksums are wrong because its network card fills them in after the capture.

What
    Nearly all packets of one direction carry a wrong TCP checksum while those of the other are right: the capture was made on the sending host
    itself, where the card computes checksums later.

Why
    It says where the capture was made, and keeps anyone from reading these packets as damaged or forged. They are used like all others.

Evidence
    bad_checksums_client, bad_checksums_server: packets with a wrong checksum of each side.
    checked_client, checked_server: packets whose checksum was computed.
    host: address of the side that was captured on.

Not a finding when
    - wrong checksums stand on both sides, or only here and there: damage, or tampering;
    - fewer than four packets of the side were checked.

References
    Wireshark wiki, CaptureSetup/Offloading
"""
from __future__ import annotations

from ...records import Facts, Finding, Session
from ..rule import ANY, NOT_APPLICABLE, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS006", slug="checksum-offload", title="Local transmit checksums invalid (offload)", severity="info", confidence="high",
    category="capture", scope="session", protocols=ANY,
    remediation="Nothing need be done; ethtool -K IFACE tx off while capturing gives right checksums.",
    references=("Wireshark wiki, CaptureSetup/Offloading",),
)
LEAST_CHECKED = 4  # of fewer packets nine in ten says nothing


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    bad_client, bad_server = session.n_bad_checksum_client, session.n_bad_checksum_server
    if not bad_client and not bad_server:
        return PASS if session.n_checked_client or session.n_checked_server else NOT_APPLICABLE
    checked_client, checked_server = session.n_checked_client, session.n_checked_server
    client_bad, server_bad = _nearly_all(bad_client, checked_client), _nearly_all(bad_server, checked_server)
    if client_bad == server_bad or not checked_client or not checked_server:
        return PASS
    if (bad_server if client_bad else bad_client) * 10 > (checked_server if client_bad else checked_client):
        return PASS
    host = session.client_ip if client_bad else session.server_ip
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence,
        title=f"Checksums of nearly all packets from {host} are wrong, as where the capturing host's own card fills them in later",
        evidence={"bad_checksums_client": bad_client, "bad_checksums_server": bad_server, "checked_client": checked_client,
                  "checked_server": checked_server, "host": host},
    )


def _nearly_all(bad: int, checked: int) -> bool:
    return checked >= LEAST_CHECKED and bad * 10 > checked * 9
