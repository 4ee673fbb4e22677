"""PS708: an earlier hop of a message was in clear.

What
    A Received field of a message names a network protocol without TLS: `with SMTP`, `ESMTP`, `ESMTPA`, `LMTP`, `HTTP` and the UTF8 forms, or `Microsoft
    SMTP Server`, and no clause or comment about TLS. Postfix, Exim, Sendmail, Exchange, Gmail, qmail, Courier, Haraka, OpenSMTPD, MDaemon, Domino and their
    like are understood.

Why
    One hop in clear is enough to read the message, however well the others are protected.

Evidence
    hops: those steps, at most ten: number (1 is the first), who handed over (from, ip), who took it (by), with which protocol.
    n_hops, n_clear_hops: steps in all, and those in clear.
    message_id: which message.

Not a finding when
    - the step stays within a host or a mail system: localhost, `with mapi`, `with local`, `by uid`, `via Frontend Transport`, or nobody is named who handed
      it over.
    - the field says nothing about the protocol.
    What servers before one's own wrote proves nothing: confidence is medium where a clear hop is the last one before the captured conversation, low for
    older ones.

References
    RFC 3848 §1
    RFC 3848 §3
    RFC 6531 §4.3
    RFC 5321 §4.4
    RFC 8314 §4.3
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import MAX_SHOWN_HOPS, PRIVATE_MAIL, adjacent, hop_evidence, hop_text, without_sealing
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS708", slug="received-clear-hop", title="Received chain shows an unencrypted hop", severity="medium", confidence="medium",
    category="message", scope="message", protocols=PRIVATE_MAIL, needs=(CLIENT, SERVER),
    remediation="Use TLS on that hop, or on the connector that feeds it.",
    references=("RFC 3848 §1", "RFC 3848 §3", "RFC 6531 §4.3", "RFC 5321 §4.4", "RFC 8314 §4.3"),
)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    if not message.n_clear_hops:
        return without_sealing(session, message)
    clear = [hop for hop in message.hops if hop.protected is False]
    if len(clear) == 1:
        title = f"A mail went from {hop_text(clear[0])} in clear, its header says"
    else:
        title = f"A mail passed {message.n_clear_hops} hops in clear, its header says; the last from {hop_text(clear[0])}"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="medium" if adjacent(message, clear[0]) else "low", title=title, side=message.side, at=message.at,
        evidence={
            "hops": [hop_evidence(hop) for hop in clear[:MAX_SHOWN_HOPS]], "n_hops": message.n_hops, "n_clear_hops": message.n_clear_hops,
            "message_id": message.message_id,
        },
    )
