"""What a visit's flags say of its conversation: STARTTLS and TLS, what passed in clear, and what was not seen."""
from __future__ import annotations

from ..records import CLIENT, Facts, Session, TlsHandshake
from .handshake import why_failed
from .offers import masked_offer, refusal

LISTED = 1 << 0  # the whole capability list was seen before TLS, in a place where STARTTLS stands if it is on offer
OFFERED = 1 << 1  # STARTTLS stands in it
MASKED = 1 << 2  # a word that masks the offer does (PS301)
REQUESTED = 1 << 3
ACCEPTED = 1 << 4
REFUSED = 1 << 5  # when it could have been accepted
IMPLICIT = 1 << 6  # TLS from the first byte
STARTED = 1 << 7  # TLS began, either way
ESTABLISHED = 1 << 8
FAILED = 1 << 9  # TLS did not come about: a fatal alert, closed before the end, or never begun after it was accepted
RESET = 1 << 10  # a RST was seen
CLEAR = 1 << 11  # without TLS the client sent more than discovery and goodbye
ENFORCED = 1 << 12  # the server took nothing before TLS
MAIL_SENT = 1 << 13  # a mail transaction in clear
LOGGED_IN = 1 << 14  # a login in clear, whatever its result
CONTENT = 1 << 15  # mail, or commands on a mailbox, in clear
DELIVERED = 1 << 16  # the server took a message in clear
PROBE = 1 << 17  # the client only looked
UNSEEN_CLIENT = 1 << 18  # not all clear bytes of that side were seen
UNSEEN_SERVER = 1 << 19
FINISHED = 1 << 20  # FIN or RST seen
DECRYPTED = 1 << 21  # read with keys: envelope, size and names are those inside TLS
HELO = 1 << 22  # no EHLO, so no list
SILENT = RESET | PROBE | FINISHED | HELO  # all that is said of a connection on which nothing was said
_LOST_SHIFT = 29  # of why bytes were not seen
LOST_MASK = 7 << _LOST_SHIFT
LOST = ("", "one_sided", "midstream", "gap", "snaplen", "evicted", "unparsed", "unseen")
_LOST_BITS = {reason: number << _LOST_SHIFT for number, reason in enumerate(LOST)}
_LOST_OTHERWISE = (len(LOST) - 1) << _LOST_SHIFT


def lost(flags: int) -> str:
    """Why not all clear bytes of a visit were seen, the server's first; empty: all were."""
    return LOST[flags >> _LOST_SHIFT & 7]


def flags_of(session: Session, facts: Facts, tls: TlsHandshake | None) -> tuple[int, str | None]:
    """What a visit's flags say, and why TLS failed."""
    flags, reason = _of_tls(session, facts, tls, _of_offer(session, facts))
    if session.tls_mode == "none":
        if facts.first_clear_command is None:
            if session.unseen_client is None and session.finished:
                flags |= PROBE
        elif not facts.sasl_wrapped and not facts.starttls_accepted:  # clear text behind an accepted STARTTLS was decrypted on its way to the capture
            flags |= CLEAR
            if facts.encryption_required_code is not None and facts.accepted_clear_command is None:
                flags |= ENFORCED
    for message in facts.messages:
        flags |= MAIL_SENT
        if message.has_content:
            flags |= CONTENT | DELIVERED if message.accepted else CONTENT
    if facts.logins:
        flags |= LOGGED_IN
    if facts.n_mailbox_commands and not facts.sasl_wrapped:
        flags |= CONTENT
    if session.unseen_server is not None:
        flags |= UNSEEN_SERVER | _LOST_BITS.get(session.unseen_server, _LOST_OTHERWISE)
    if session.unseen_client is not None:
        flags |= UNSEEN_CLIENT if flags & UNSEEN_SERVER else UNSEEN_CLIENT | _LOST_BITS.get(session.unseen_client, _LOST_OTHERWISE)
    if session.finished:
        flags |= FINISHED
    if session.reset_by is not None:
        flags |= RESET
    if session.inner is not None:
        flags |= DECRYPTED
    return flags, reason


def _of_offer(session: Session, facts: Facts) -> int:
    """What was listed before TLS."""
    flags = HELO if facts.hello_verb == "HELO" else 0
    if facts.capabilities is None:
        return flags
    if facts.capabilities_complete and facts.starttls_offered is not None and not facts.preauth and not (session.unseen_server == "midstream" and facts.greeting_code is None):
        flags |= LISTED
    if facts.starttls_offered:
        flags |= OFFERED
    elif facts.masked_tokens and masked_offer(facts.masked_tokens, session.protocol):
        flags |= MASKED
    return flags


def _of_tls(session: Session, facts: Facts, tls: TlsHandshake | None, flags: int) -> tuple[int, str | None]:
    """What became of TLS, and why it failed."""
    mode, reason = session.tls_mode, None
    if mode != "none":
        flags |= STARTED | IMPLICIT if mode == "implicit" else STARTED
    if facts.starttls_requested:
        flags |= REQUESTED
        if facts.starttls_accepted:
            flags |= ACCEPTED
        elif (reason := refusal(facts)) is not None:
            flags |= REFUSED
    if tls is not None:
        if tls.established:
            flags |= ESTABLISHED
        elif (why := why_failed(session, tls)).__class__ is str:
            flags, reason = flags | FAILED, why
    elif flags & ACCEPTED and mode == "none" and session.finished and not session.unseen_client and not session.unseen_server and facts.cleartext_after_accept is None:
        flags, reason = flags | FAILED, "given up" if session.reset_by == CLIENT else "not begun"
    return flags, reason
