"""PS206: a message crosses the network readable.

What
    Outside TLS the content of a mail or article was sent: SMTP DATA or BDAT, an IMAP FETCH literal, a POP3 RETR or TOP body, an NNTP article.

Why
    Anyone on the way can read it, keep it and alter it.

Evidence
    direction: submitted, relayed, delivered or fetched.
    message_id: of the header.
    from_domain, to_domains: domains of the From, To and Cc headers.
    size_bytes: content bytes seen.
    subject_length: characters of the subject, never its text.
    content_type, protection: media type, and whether the message itself is encrypted or signed.
    reply_code: the answer to the content.

Not a finding when
    - no content passed.
    Between mail exchangers (port 25, no login) it is medium, for TLS cannot be relied on there; S/MIME or PGP encrypted content is two steps less
    severe; articles of newsgroups and delivery reports are info.

References
    RFC 5321 §7.1
    RFC 3207 §6
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..rule import LOWER, MAIL, PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS206", slug="message-content-clear", title="Message content transferred in clear", severity="high", confidence="high",
    category="cleartext", scope="message", protocols=MAIL, needs=(CLIENT, SERVER),
    remediation="Use TLS on this hop.",
    references=("RFC 5321 §7.1", "RFC 3207 §6"),
)
SEALED = frozenset(("smime-encrypted", "pgp-mime-encrypted"))
WORDS = {"submitted": "sent", "relayed": "relayed", "delivered": "delivered", "fetched": "fetched"}


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    if not message.has_content or not message.size_bytes:
        return PASS
    severity, reason, variant = RULE.severity, "", message.direction
    if session.protocol == "nntp":
        severity, reason = "info", "newsgroup article"
    elif message.content_type == "multipart/report":
        severity, reason = "info", "delivery report"
    else:
        if session.server_port == 25 and session.protocol == "smtp" and not session.facts.logins:
            severity, reason = "medium", "port 25 between mail servers"
        if message.protection in SEALED:
            severity, reason = LOWER[LOWER[severity]], reason + ";message encrypted" if reason else "message encrypted"
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, variant=variant,
        confidence="high" if session.unseen_client is None and session.unseen_server is None else "medium",
        title=f"A message was {WORDS.get(message.direction, 'sent')} readable between {session.client_ip} and {session.server_ip} port {session.server_port}",
        side=message.side, at=message.at,
        evidence={
            "direction": message.direction, "message_id": message.message_id, "from_domain": message.from_domain, "to_domains": list(message.to_domains),
            "size_bytes": message.size_bytes, "subject_length": message.subject_length, "content_type": message.content_type,
            "protection": message.protection, "reply_code": message.reply_code,
        },
    )
