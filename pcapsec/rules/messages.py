"""What rules about the content of messages share: which of it was seen, and how its cryptography is told."""
from __future__ import annotations

from typing import Any

from ..records import SERVER, Hop, Message, Sealing, Session
from .rule import NOT_APPLICABLE, PASS, SMTP, Verdict, not_observable

PRIVATE_MAIL = (*SMTP, "imap", "pop3")  # articles of newsgroups are public
WITH_MESSAGES = (*PRIVATE_MAIL, "nntp")
MAX_SHOWN_HOPS = 10


def without_sealing(session: Session, message: Message) -> Verdict:
    """What a message without a sign of S/MIME or OpenPGP means: nothing where its headers were not seen."""
    if not message.has_content:
        return NOT_APPLICABLE
    if message.lacks is None or message.lacks == "body":
        return PASS
    return unseen(session, message)


def unseen(session: Session, message: Message) -> Verdict:
    """Why a part of a message was not seen; `unfinished`: its sender or reader went no further."""
    reason = session.unseen_server if message.side == SERVER else session.unseen_client
    return not_observable(reason or ("no_headers" if message.lacks == "no-headers" else "unfinished"))


def sealing_evidence(message: Message, sealing: Sealing) -> dict[str, Any]:
    """What S/MIME and OpenPGP findings tell about the message alike."""
    return {
        "message_id": message.message_id, "form": sealing.form, "partial": sealing.partial, "cut": sealing.cut, "from_domain": message.from_domain,
        "size_bytes": message.size_bytes,
    }


def name_of(message: Message) -> str:
    """A message as titles name it: not by its subject."""
    return f"from {message.from_domain[:80]}" if message.from_domain else "without a sender's domain"


def hop_text(hop: Hop) -> str:
    """A Received step in a title."""
    return f"{(hop.from_host or 'an unnamed host')[:80]} to {(hop.by_host or 'an unnamed host')[:80]}"


def hop_evidence(hop: Hop) -> dict[str, Any]:
    """A Received step as evidence."""
    shown = {
        "hop": hop.hop, "from": hop.from_host, "ip": hop.from_ip, "by": hop.by_host, "with": hop.with_protocol, "tls_version": hop.tls_version,
        "tls_cipher": hop.tls_cipher,
    }
    return {key: value for key, value in shown.items() if value is not None}


def adjacent(message: Message, hop: Hop) -> bool:
    """Whether no step over a network lies between a hop and the conversation that was captured: only then its header was not written by strangers."""
    for newer in message.hops:
        if newer is hop:
            return True
        if not newer.local:
            return False
    return False
