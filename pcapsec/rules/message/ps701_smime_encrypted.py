"""PS701: a message is encrypted with S/MIME.

What
    A message that passed outside TLS is application/pkcs7-mime with enveloped or authenticated-enveloped data (CMS), or holds such a part. A .p7m file
    counts when its CMS structure says so; what the structure says outweighs the parameter smime-type.

Why
    The content stays closed to who reads the wire. Envelope, headers and size do not.

Evidence
    form, smime_type, content_oid: kind of CMS structure, as it says and as the parameter does.
    encryption, encryption_oid, key_bits, authenticated: algorithm of the content, and whether an altered ciphertext would be noticed.
    key_transports, recipient_key_bits, n_recipients: how the key reaches the recipients, the smallest RSA key among them, how many they are.
    message_id, from_domain, size_bytes: which message.
    partial: only a part of the message is encrypted, the rest is readable.
    cut: not all of the structure was seen.

Not a finding when
    - the structure is signed-data, compressed-data or certs-only: those are readable.
    - it is no CMS at all, whatever the parameter says.
    - headers, or the structure's first bytes, were not seen and nothing else tells: not_observable.

References
    RFC 8551 §3.2.2
    RFC 8551 §3.3
    RFC 5652 §6
    RFC 5083
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import WITH_MESSAGES, name_of, sealing_evidence, unseen, without_sealing
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS701", slug="smime-encrypted", title="S/MIME enveloped message seen", severity="info", confidence="high",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="None for the content; protect headers and envelope with TLS on each hop.",
    references=("RFC 8551 §3.2.2", "RFC 8551 §3.3", "RFC 5652 §6", "RFC 5083"),
)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    sealing = message.sealing
    if sealing is None:
        return without_sealing(session, message)
    if sealing.system != "smime":
        return PASS
    if sealing.encrypted is None:
        return unseen(session, message)
    if not sealing.encrypted:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="high" if sealing.content_oid is not None else "medium", variant=sealing.form,
        title=f"A message {name_of(message)} is encrypted with S/MIME" + (f" ({sealing.encryption})" if sealing.encryption else ""),
        side=message.side, at=message.at,
        evidence={
            **sealing_evidence(message, sealing), "smime_type": sealing.smime_type, "content_oid": sealing.content_oid, "encryption": sealing.encryption,
            "encryption_oid": sealing.encryption_oid, "key_bits": sealing.key_bits, "authenticated": sealing.authenticated,
            "key_transports": list(sealing.key_transports), "recipient_key_bits": sealing.recipient_key_bits, "n_recipients": sealing.n_recipients,
        },
    )
