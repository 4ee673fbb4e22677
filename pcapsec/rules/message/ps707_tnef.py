"""PS707: a message in Outlook's own format.

What
    A message is, or has attached, application/ms-tnef: winmail.dat, also by the magic number at its front.

Why
    The text, the attachments and properties of the mailbox stand in it, readable for who knows the format and not for scanners that do not.

Evidence
    size_bytes, message_id: which message.
    content_type, part_types: media types of the message and of its parts.
    place: the whole message, or a part of it.

Not a finding when
    - there is no such part in what was kept of the body: the first 8 KiB.

References
    [MS-OXTNEF] §2.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import WITH_MESSAGES, name_of, without_sealing
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS707", slug="tnef", title="TNEF/winmail.dat or Exchange rich content", severity="info", confidence="high",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="Let Exchange send HTML or plain text to other domains.",
    references=("[MS-OXTNEF] §2.1",),
)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    if not message.tnef:
        return without_sealing(session, message)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, title=f"A message {name_of(message)} carries Outlook's own format (winmail.dat)",
        side=message.side, at=message.at,
        evidence={
            "size_bytes": message.size_bytes, "message_id": message.message_id, "content_type": message.content_type, "part_types": list(message.part_types),
            "place": "part" if (message.content_type or "").startswith("multipart/") else "message",
        },
    )
