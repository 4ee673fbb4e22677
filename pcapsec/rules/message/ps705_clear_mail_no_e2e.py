"""PS705: a mail is readable on the wire and does not protect itself.

What
    A message passed outside TLS and is encrypted neither with S/MIME nor with OpenPGP.

Why
    Whoever reads along reads the text and the attachments. TLS on each hop, or encryption from end to end, would each have been enough here.

Evidence
    message_id, size_bytes: which message.
    content_type, part_types: media types of the message and of its parts, as far as they were kept.
    labels: what headers claim about confidentiality: Sensitivity, labels of Microsoft Information Protection, classifications of Exchange.
    protection: none, signed, or Outlook's own format.

Not a finding when
    - the message is encrypted (PS701, PS704).
    - no body passed, or it is an article of a newsgroup.
    It is high when its headers claim that it is confidential; low for lists, bulk mail, delivery reports, and messages of which a part is encrypted.

References
    RFC 5322
    RFC 8314 §1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import PRIVATE_MAIL, name_of, unseen
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS705", slug="clear-mail-no-e2e", title="Readable mail body with no message encryption", severity="medium", confidence="high",
    category="message", scope="message", protocols=PRIVATE_MAIL, needs=(CLIENT, SERVER),
    remediation="Use TLS on this hop, and S/MIME or OpenPGP for what must not be read by others.",
    references=("RFC 5322", "RFC 8314 §1"),
)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    if not message.has_content:
        return NOT_APPLICABLE
    sealing = message.sealing
    if sealing is not None and not sealing.partial:
        if sealing.encrypted:
            return PASS
        if sealing.encrypted is None:
            return unseen(session, message)
    if message.lacks is not None or not message.size_bytes:
        return _without(session, message)
    severity, reason = RULE.severity, ""
    if message.labels:
        severity, reason = "high", "headers claim confidentiality"
    elif sealing is not None and sealing.partial and sealing.encrypted:
        severity, reason = "low", "part of it encrypted"
    elif message.bulk:
        severity, reason = "low", "list or bulk mail"
    elif message.content_type == "multipart/report":
        severity, reason = "low", "delivery report"
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=RULE.confidence, variant=message.direction,
        title=f"A mail {name_of(message)} passed readable and is not encrypted itself", side=message.side, at=message.at,
        evidence={
            "message_id": message.message_id, "size_bytes": message.size_bytes, "content_type": message.content_type, "part_types": list(message.part_types),
            "labels": list(message.labels), "protection": message.protection,
        },
    )


def _without(session: Session, message: Message) -> Verdict:
    """Headers or body are not there: either nobody asked for them, or they were lost."""
    if message.lacks == "body":
        reason = session.unseen_server if message.side == SERVER else session.unseen_client
        return not_observable(reason) if reason is not None and not message.complete else PASS
    return unseen(session, message) if message.lacks is not None else PASS
