"""PS702: a message is signed, and readable.

What
    A message that passed outside TLS is signed and not encrypted: multipart/signed, S/MIME signed-data (opaque, which looks like an encrypted one and is
    not), or the same with OpenPGP.

Why
    A signature shows who wrote it. It hides nothing: opaque signed-data only needs base64 to be undone.

Evidence
    system: smime or pgp.
    form: multipart-signed, signed-data, inline.
    micalg, digests, signatures: algorithms, by the media type's parameter and by the signature itself.
    header_protection: parameter hp or protected-headers of the signed part.
    message_id, from_domain, size_bytes: which message.
    partial: only a part of the message is signed.
    cut: not all of the signature was seen.

Not a finding when
    - the message is encrypted as well.
    - certificates are sent and nothing is signed (certs-only).

References
    RFC 8551 §3.5.2
    RFC 8551 §3.5.3
    RFC 1847 §2.1
    RFC 3156 §5
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import WITH_MESSAGES, name_of, sealing_evidence, unseen, without_sealing
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS702", slug="smime-signed-only", title="Signed but readable message", severity="info", confidence="high",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="Encrypt it too where the content is sensitive.",
    references=("RFC 8551 §3.5.2", "RFC 8551 §3.5.3", "RFC 1847 §2.1", "RFC 3156 §5"),
)
NAMES = {"smime": "S/MIME", "pgp": "OpenPGP"}


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    sealing = message.sealing
    if sealing is None:
        return without_sealing(session, message)
    if sealing.encrypted is None:
        return unseen(session, message)
    if sealing.encrypted or not sealing.signed:
        return PASS
    system = "" if sealing.system == "smime" else "pgp-"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=system + sealing.form,
        title=f"A message {name_of(message)} is signed with {NAMES[sealing.system]} and readable", side=message.side, at=message.at,
        evidence={
            **sealing_evidence(message, sealing), "system": sealing.system, "micalg": sealing.micalg, "digests": list(sealing.digests),
            "signatures": list(sealing.signatures), "header_protection": sealing.header_protection,
        },
    )
