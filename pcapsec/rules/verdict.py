"""One word for a session: protected, exposed, weak or unknown."""
from __future__ import annotations

from ..records import Facts, Session
from .logins import is_anonymous_command

_READABLE = frozenset(("password", "token", "guessable"))
_SEALED = frozenset(("smime-encrypted", "pgp-mime-encrypted"))


def is_sound(session: Session) -> bool:
    """Whether the rules about the quality of the capture (PS001-PS009) would all pass: the common case, told by one look instead of many."""
    return bool(
        session.bytes_client and session.bytes_server and session.start_seen and session.unparsed is None and session.protocol != "unknown"
        and not session.n_gaps and not session.n_truncated_frames and not session.n_duplicate_frames
        and not session.n_bad_checksum_client and not session.n_bad_checksum_server and session.n_checked_client + session.n_checked_server
    )


def session_verdict(session: Session, facts: Facts) -> str:
    """protected: TLS throughout, or begun before anything that matters. exposed: a credential or content passed in clear.

    unknown: bytes that could have held either are missing. weak: nothing passed that matters, and nothing would have protected it.
    """
    if session.tls_mode == "implicit" or session.protocol == "tls":
        return "weak" if session.tls is not None and session.tls.established is False else "protected"
    if _is_exposed(session, facts):
        return "exposed"
    if session.protocol == "unknown" or session.unseen_client is not None or session.unseen_server is not None:
        return "unknown"
    if facts.tls_started and not facts.messages and (session.tls is None or session.tls.established is not False):
        return "protected"
    return "weak"


def _is_exposed(session: Session, facts: Facts) -> bool:
    for login in facts.logins:
        if login.exposure in _READABLE and not is_anonymous_command(login):
            return True
    if session.protocol == "nntp":  # articles are public
        return False
    if facts.n_mailbox_commands and not facts.sasl_wrapped:
        return True
    for message in facts.messages:
        if message.has_content and message.size_bytes and message.protection not in _SEALED:
            return True
    return False
