"""PS704: a message is encrypted with OpenPGP.

What
    A message that passed outside TLS is PGP/MIME (multipart/encrypted), or has armor of a PGP message in its text whose first packets are keys and
    encrypted data. A signed-only message wears the same armor; there they are a signature's.

Why
    The content stays closed to who reads the wire. Envelope, headers, size and the recipients' key ids do not. The oldest kind of container (SED) lets its
    ciphertext be altered without notice, which EFAIL used: that is medium.

Evidence
    form: multipart-encrypted or inline.
    packet: SED (no integrity), SEIPDv1 (hash inside), SEIPDv2 or OCB (AEAD).
    aead, authenticated: whether the encryption is AEAD, and whether an altered ciphertext would be noticed.
    encryption, key_bits: symmetric algorithm, where it is not hidden behind the keys.
    key_ids, key_transports, n_recipients: to which keys, with which algorithms; a key id of zeros hides its owner.
    message_id, from_domain, size_bytes: which message.
    partial: only a part of the message is encrypted.
    cut: not all packets before the content were seen.

Not a finding when
    - it is signed only, or a key block, or armor quoted in a reply.
    - its first packets were not seen: not_observable.

References
    RFC 3156 §4
    RFC 9580 §5
    RFC 9580 §5.7
    RFC 4880 §4.3
    CVE-2017-17688
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import WITH_MESSAGES, name_of, sealing_evidence, unseen, without_sealing
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS704", slug="pgp-encrypted", title="OpenPGP encrypted message seen", severity="info", confidence="high",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="None for the content, unless it lacks integrity protection: then update the sender's program. Protect headers and envelope with TLS on each hop.",
    references=("RFC 3156 §4", "RFC 9580 §5", "RFC 9580 §5.7", "RFC 4880 §4.3", "CVE-2017-17688"),
)
AEAD = frozenset(("SEIPDv2", "OCB"))


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    sealing = message.sealing
    if sealing is None:
        return without_sealing(session, message)
    if sealing.system != "pgp":
        return PASS
    if sealing.encrypted is None:
        return unseen(session, message)
    if not sealing.encrypted:
        return PASS
    severity, reason = ("medium", "no integrity protection") if sealing.packet == "SED" else (RULE.severity, "")
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, variant=sealing.form,
        confidence="high" if sealing.packet is not None or sealing.key_ids else "medium",
        title=f"A message {name_of(message)} is encrypted with OpenPGP" + (", in the old way that notices no change" if sealing.packet == "SED" else ""),
        side=message.side, at=message.at,
        evidence={
            **sealing_evidence(message, sealing), "packet": sealing.packet, "aead": None if sealing.packet is None else sealing.packet in AEAD,
            "authenticated": sealing.authenticated, "encryption": sealing.encryption, "key_bits": sealing.key_bits, "key_ids": list(sealing.key_ids),
            "key_transports": list(sealing.key_transports), "n_recipients": sealing.n_recipients,
        },
    )
