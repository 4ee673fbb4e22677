"""What passed in clear between the sites that the policy names."""
from __future__ import annotations

from typing import TYPE_CHECKING

from ..records import Ends, Facts, Session, ends_of
from .exchange import PRIVACY, exchange_contexts
from .passed import passed

if TYPE_CHECKING:
    from .site import Site

MAX_LINKS = 10_000  # pairs of sites and protocols
MAX_SHOWN = 20


class Link:
    """Conversations of one protocol from one site to another.

    first: (ts_ns, capture, frame, session_id) of what passed first; ends: its conversation; sessions: (start_ns, session_id) of the first few.
    """

    __slots__ = ("first", "ends", "n_sessions", "n_bytes", "sessions", "passed")

    def __init__(self, first: tuple[int, str, int, str], ends: Ends, n_sessions: int, n_bytes: int, sessions: set[tuple[int, str]], passed: set[str]):
        self.first, self.ends, self.n_sessions, self.n_bytes, self.sessions, self.passed = first, ends, n_sessions, n_bytes, sessions, passed

    def __reduce__(self):
        return Link, (self.first, self.ends, self.n_sessions, self.n_bytes, self.sessions, self.passed)

    def add(self, other: "Link") -> None:
        self.n_sessions += other.n_sessions
        self.n_bytes += other.n_bytes
        self.sessions = set(sorted(self.sessions | other.sessions)[:MAX_SHOWN])
        self.passed |= other.passed
        if other.first < self.first:
            self.first, self.ends = other.first, other.ends


class Links:
    """Site of the client, site of the server and protocol -> Link. `n_between` counts the conversations between two sites that did not begin with TLS."""

    def __init__(self) -> None:
        self.clear: dict[tuple[str, str, str], Link] = {}
        self.n_between = 0

    def take(self, session: Session, facts: Facts, site: "Site") -> None:
        one, two = site.sites[session.client_ip], site.sites[session.server_ip]
        if one is None or two is None or one == two or session.tls_mode == "implicit":
            return
        self.n_between += 1
        found = passed(facts)
        if found is not None:
            what, side, at = found
        else:
            context = next((context for _, context, _ in exchange_contexts(facts) if context.auth_level is not None and context.auth_level < PRIVACY), None)
            if context is None:
                return
            what, side, at = "calls", 0, context.weakest_request_at
        place = session.locate(side, at) if session.locate is not None and side is not None and at is not None else (session.capture, session.frame, session.start_ns)
        capture, frame, ts_ns = place
        self._add((one, two, session.protocol), Link((ts_ns, capture, frame, session.session_id), ends_of(session), 1, session.bytes_client + session.bytes_server,
                                                     {(session.start_ns, session.session_id)}, {what}))

    def _add(self, key: tuple[str, str, str], link: Link) -> None:
        known = self.clear.get(key)
        if known is not None:
            known.add(link)
        elif len(self.clear) < MAX_LINKS:
            self.clear[key] = link

    def merge(self, other: "Links") -> None:
        """Add what another worker collected."""
        self.n_between += other.n_between
        for key, link in other.clear.items():
            self._add(key, link)
