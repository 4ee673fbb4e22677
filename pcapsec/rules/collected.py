"""Small facts of all conversations of a run that rules about captures read at the end: bounded, picklable, and the same whichever worker saw what.

A worker's judge fills one, the judge of the run merges them. What no longer fits is counted and left out: then a rule may miss something, and never invents it.
"""
from __future__ import annotations

from typing import NamedTuple

from ..records import CLIENT, Session
from .requests import MAIL_SERVICES, MAX_LISTED

MAX_HOSTS = 10_000  # of either kind; with their paths a few MiB


class Place(NamedTuple):
    """Where something was first seen; the smallest is the first, and the same in every run."""

    ts_ns: int
    capture: str
    frame: int
    session_id: str
    server: str  # address:port


class ClearHost:
    """A host that answered requests to mail services over http:// with 200."""

    __slots__ = ("first", "paths", "addresses", "n_requests")

    def __init__(self, first: Place):
        self.first = first
        self.paths: set[str] = set()  # the first few in the order of the alphabet, so that it does not matter who saw which
        self.addresses: set[str] = set()
        self.n_requests = 0

    def add(self, place: Place, paths: set[str], addresses: set[str], n_requests: int) -> None:
        self.first = min(self.first, place)
        self.paths = set(sorted(self.paths | paths)[:MAX_LISTED])
        self.addresses = set(sorted(self.addresses | addresses)[:MAX_LISTED])
        self.n_requests += n_requests


class Collected:
    """What was collected.

    Attributes:
        clear: host name (without one, the server's address) -> ClearHost.
        encrypted: server name, or the address where the client named none, of TLS on web ports -> where it was first seen.
        n_more: hosts that no longer fitted.
    """

    def __init__(self) -> None:
        self.clear: dict[str, ClearHost] = {}
        self.encrypted: dict[str, Place] = {}
        self.n_more = 0

    def session(self, session: Session) -> None:
        """Take what a conversation over HTTP or TLS has to tell."""
        if session.tls_mode == "implicit":
            self._tls(session)
        elif session.facts.http is not None:
            self._http(session)

    def _tls(self, session: Session) -> None:
        tls = session.tls
        if tls is None or tls.version is None or tls.established is False or session.service not in (None, "https"):
            return
        name = (tls.sni or session.server_ip).lower().rstrip(".")
        known = self.encrypted.get(name)
        if known is None and len(self.encrypted) >= MAX_HOSTS:
            self.n_more += 1
        elif known is None or session.start_ns <= known.ts_ns:
            place = Place(session.start_ns, session.capture, session.frame, session.session_id, _server(session))
            self.encrypted[name] = place if known is None else min(known, place)

    def _http(self, session: Session) -> None:
        answered: dict[str, tuple[int, set[str], int]] = {}
        for request in session.facts.http.requests:  # type: ignore[union-attr]
            if request.status == 200 and request.service in MAIL_SERVICES:
                name = (request.host or session.server_ip).rstrip(".")
                at, paths, n = answered.get(name) or (request.at, set(), 0)
                if request.path is not None and len(paths) < MAX_LISTED:
                    paths.add(request.path)
                answered[name] = at, paths, n + 1
        for name, (at, paths, n) in answered.items():
            capture, frame, ts_ns = session.locate(CLIENT, at) if session.locate is not None else (session.capture, session.frame, session.start_ns)
            self._clear(name, Place(ts_ns, capture, frame, session.session_id, _server(session)), paths, {session.server_ip}, n)

    def _clear(self, name: str, place: Place, paths: set[str], addresses: set[str], n_requests: int) -> None:
        host = self.clear.get(name)
        if host is None:
            if len(self.clear) >= MAX_HOSTS:
                self.n_more += 1
                return
            host = self.clear[name] = ClearHost(place)
        host.add(place, paths, addresses, n_requests)

    def merge(self, other: "Collected") -> None:
        """Add what another worker collected."""
        self.n_more += other.n_more
        for name, host in other.clear.items():
            self._clear(name, host.first, host.paths, host.addresses, host.n_requests)
        for name, place in other.encrypted.items():
            known = self.encrypted.get(name)
            if known is not None or len(self.encrypted) < MAX_HOSTS:
                self.encrypted[name] = place if known is None else min(known, place)
            else:
                self.n_more += 1


def _server(session: Session) -> str:
    return f"[{session.server_ip}]:{session.server_port}" if ":" in session.server_ip else f"{session.server_ip}:{session.server_port}"
