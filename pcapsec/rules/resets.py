"""Conversations that were reset where TLS was to begin: what PS307 compares of a whole run."""
from __future__ import annotations

from typing import Any, NamedTuple

from ..records import CLIENT, SERVER, Ends, Session, ends_of
from .packets import FORGED_TTL, reset, reset_signs
from .visits import is_mail

MAX_ATTEMPTS = 10_000  # 2 KB each at most; of more the earliest stay
WINDOW_NS = 2_000_000_000  # from the ClientHello, or from the answer to STARTTLS, to the reset


class Attempt(NamedTuple):
    """One conversation that was reset."""

    ts_ns: int  # of the reset
    capture: str
    frame: int  # of the reset
    ends: Ends
    stage: str  # starttls: after the server agreed, client-hello: after that
    wait_ms: int  # from there to the reset
    signs: tuple[str, ...]  # see packets.reset_signs
    is_own: bool  # its TTL, sequence number and IP id are those of the host whose address it carries
    first: dict[str, Any]  # the first reset, as evidence

    @property
    def place(self) -> tuple[int, str, int, str]:
        """What orders attempts: the same in every run."""
        return self.ts_ns, self.capture, self.frame, self.ends.session_id


class Resets:
    """What was kept of them.

    Attributes:
        n_more: attempts that no longer fitted.
    """

    def __init__(self) -> None:
        self._attempts: list[Attempt] = []
        self.n_more = 0

    def take(self, session: Session) -> None:
        """Remember a conversation that was reset where TLS was to begin."""
        if session.n_hints and is_mail(session):
            attempt = attempt_of(session)
            if attempt is not None:
                self._add([attempt])

    def merge(self, other: "Resets") -> None:
        """Add what another worker kept."""
        self.n_more += other.n_more
        self._add(other._attempts)

    def _add(self, attempts: list[Attempt]) -> None:
        self._attempts += attempts
        if len(self._attempts) > 2 * MAX_ATTEMPTS:
            self.n_more += len(self._attempts) - MAX_ATTEMPTS
            self._attempts = sorted(self._attempts, key=_place)[:MAX_ATTEMPTS]

    def by_server(self) -> dict[tuple[str, int], list[Attempt]]:
        """Address and port -> attempts, in order of time."""
        found: dict[tuple[str, int], list[Attempt]] = {}
        for attempt in sorted(self._attempts, key=_place)[:MAX_ATTEMPTS]:
            found.setdefault((attempt.ends.server_ip, attempt.ends.server_port), []).append(attempt)
        return found


def _place(attempt: Attempt) -> tuple[int, str, int, str]:
    return attempt.place


def attempt_of(session: Session) -> Attempt | None:
    """The attempt that a conversation was; None when it was none, or when its end has another reason: an alert, a FIN, time that went by."""
    begun = _begun(session)
    if begun is None:
        return None
    stage, begun_ns = begun
    hints = session.packet_hints
    last_ns = begun_ns + WINDOW_NS
    tls = session.tls
    if tls is not None:  # what comes after an answer has another reason; an answer that comes after it was on its way
        for ns in (_ns(session, SERVER, tls.server_hello_at), _ns(session, tls.alert_side or CLIENT, tls.alert_at)):
            last_ns = last_ns if ns is None else min(last_ns, ns - 1)
    resets = [one for one in hints.resets if begun_ns <= one.ts_ns <= last_ns]
    own = [one for one in resets if one.side == SERVER and (one.ttl_differs >= FORGED_TTL if one.fin else hints.reset_first)]
    forged = [one for one in resets if one.side == CLIENT and not one.fin and hints.reset_first and one.ttl_differs >= FORGED_TTL]
    found = own or forged
    if not found:
        return None
    first = found[0]
    is_own = all(one.usual_ttl == one.ttl and one.ip_id_fits and one.ahead == 0 and not one.n_later for one in found)
    return Attempt(
        ts_ns=first.ts_ns, capture=session.capture, frame=first.frame, ends=ends_of(session), stage=stage, wait_ms=(first.ts_ns - begun_ns) // 1_000_000, signs=reset_signs(found), is_own=is_own,
        first=reset(first))


def _begun(session: Session) -> tuple[str, int] | None:
    """(stage, time) at which the connection was as far as TLS."""
    facts, tls = session.facts, session.tls
    if tls is not None:
        if tls.established:
            return None
        ns = _ns(session, CLIENT, tls.client_hello_at)
        return ("client-hello", ns) if ns is not None else None
    if not facts.starttls_accepted or facts.tls_started or facts.cleartext_after_accept is not None:
        return None
    ns = _ns(session, SERVER, facts.starttls_answered_at)
    return ("starttls", ns) if ns is not None else None


def _ns(session: Session, side: int, at: int | None) -> int | None:
    return session.locate(side, at)[2] if at is not None and session.locate is not None else None
