"""PS706: an encrypted message shows its subject.

What
    A message is encrypted with S/MIME or OpenPGP, and its Subject stands readable outside, with the addresses.

Why
    Encryption of the body leaves the header section as it is, and people write what matters into the subject. Newer programs put the true subject inside.

Evidence
    subject_present, subject_length: that there is one, and its characters; never its text.
    system, form: kind of encryption.
    from_domain, to_domains: domains of the addresses that are readable.
    message_id: which message.

Not a finding when
    - the Subject is missing, empty, or a placeholder (`...`, `[...]`): header protection.
    - only a part of the message is encrypted.

References
    RFC 9788
    RFC 8551 §3.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import WITH_MESSAGES, name_of, unseen, without_sealing
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS706", slug="headers-exposed-despite-e2e", title="Encrypted body but subject/addresses readable", severity="low", confidence="high",
    category="message", scope="message", protocols=WITH_MESSAGES, needs=(CLIENT, SERVER),
    remediation="Use TLS on this hop; use mail programs with header protection.",
    references=("RFC 9788", "RFC 8551 §3.1"),
)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    sealing = message.sealing
    if sealing is None:
        return without_sealing(session, message)
    if sealing.encrypted is None:
        return unseen(session, message)
    if not sealing.encrypted or sealing.partial or not message.subject_length or message.subject_hidden:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, title=f"An encrypted message {name_of(message)} shows its subject",
        side=message.side, at=message.at,
        evidence={
            "subject_present": True, "subject_length": message.subject_length, "system": sealing.system, "form": sealing.form, "from_domain": message.from_domain,
            "to_domains": list(message.to_domains), "message_id": message.message_id,
        },
    )
