"""Small facts of all conversations of a run that rules about captures read at the end: bounded, picklable, and the same whichever worker saw what.

A worker's judge fills one, the judge of the run merges them. What no longer fits is counted and left out: then a rule may miss something, and never invents it.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..records import CLIENT, Facts, Session, TlsHandshake
from .accounts import Accounts
from .carriers import Carriers
from .deliveries import Deliveries
from .dns_policy import Dns
from .links import Links
from .requests import MAIL_SERVICES, MAX_LISTED
from .resets import Resets
from .trail import Trail
from .visits import Visits
from .webnames import MAYBE_WEB

if TYPE_CHECKING:
    from .site import Site

MAX_HOSTS = 10_000  # of either kind; with their paths a few MiB
MAX_KEYS, MAX_CHOICES = 8, 32  # of one server
_NONE: dict = {}


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


class KeyUse:
    """A public key that a server showed."""

    __slots__ = ("first", "last_ns", "issuer")

    def __init__(self, first: Place, last_ns: int, issuer: str | None):
        self.first, self.last_ns, self.issuer = first, last_ns, issuer

    def __reduce__(self):
        return KeyUse, (self.first, self.last_ns, self.issuer)


class Collected:
    """What was collected.

    Attributes:
        clear: host name (without one, the server's address) -> ClearHost.
        encrypted: server name, or the address where the client named none, of TLS on web ports -> where it was first seen.
        keys: address, port and server name of TLS -> hash of each public key shown there -> KeyUse.
        choices: address and port of TLS 1.2 -> (suite chosen, suites offered) -> where it was first seen.
        trail: messages, for those that were seen on several hops.
        visits: conversations with mail servers, for rules that compare them.
        resets: those of them that were reset where TLS was to begin.
        accounts: logins.
        carriers: IPsec and tunnels, and the hosts of mail conversations.
        dns: what DNS answers say of mail.
        deliveries: what passed in clear over SMTP, by the domain it was for.
        links: what passed in clear between the policy's sites.
        n_more: hosts and servers that no longer fitted.
    """

    def __init__(self) -> None:
        self.clear: dict[str, ClearHost] = {}
        self.encrypted: dict[str, Place] = {}
        self.keys: dict[tuple[str, int, str], dict[str, KeyUse]] = {}
        self.choices: dict[tuple[str, int], dict[tuple[str, tuple[str, ...]], Place]] = {}
        self.trail = Trail()
        self.visits = Visits()
        self.resets = Resets()
        self.accounts = Accounts()
        self.carriers = Carriers()
        self.dns = Dns()
        self.deliveries = Deliveries()
        self.links = Links()
        self.n_more = 0

    def session(self, session: Session, of_mail: bool = True) -> None:
        """Take what a conversation over HTTP or TLS has to tell; of TLS that has nothing to do with mail, only that it was there."""
        if session.tls_mode == "implicit":
            self._tls(session)
        elif session.facts.http is not None:
            self._http(session)
        if of_mail and session.tls is not None and session.tls.cipher_suite is not None:
            self._handshake(session, session.tls)

    def judged(self, session: Session, facts: Facts, site: "Site") -> None:
        """Take what a conversation of any kind has to tell once it was judged."""
        self.visits.take(session)
        self.carriers.take(session)
        self.resets.take(session)
        if session.protocol == "smtp":
            self.deliveries.take(session, facts)
        if site.policy.sites:
            self.links.take(session, facts, site)

    def _handshake(self, session: Session, tls: TlsHandshake) -> None:
        if tls.certificates and (spki := tls.certificates[0].spki_sha256) is not None:
            name = session.server_ip, session.server_port, (tls.sni or "").lower()
            use = self.keys.get(name, _NONE).get(spki)
            if use is not None and session.start_ns >= use.first.ts_ns:
                use.last_ns = max(use.last_ns, session.start_ns)
            else:
                self._key(name, spki, KeyUse(_place(session), session.start_ns, tls.certificates[0].issuer))
        if tls.version == "TLSv1.2" and tls.offer is not None:
            choice = tls.cipher_suite, tls.offer.suites
            place = self.choices.get((session.server_ip, session.server_port), _NONE).get(choice)
            if place is None or session.start_ns < place.ts_ns:
                self._choice((session.server_ip, session.server_port), choice, _place(session))

    def _key(self, name: tuple[str, int, str], spki: str, use: KeyUse) -> None:
        uses = self.keys.get(name)
        if uses is None:
            if len(self.keys) >= MAX_HOSTS:
                self.n_more += 1
                return
            uses = self.keys[name] = {}
        known = uses.get(spki)
        if known is None:
            if len(uses) < MAX_KEYS:
                uses[spki] = use
            return
        if use.first < known.first:
            known.first, known.issuer = use.first, use.issuer
        known.last_ns = max(known.last_ns, use.last_ns)

    def _choice(self, name: tuple[str, int], choice: tuple[str, tuple[str, ...]], place: Place) -> None:
        choices = self.choices.get(name)
        if choices is None:
            if len(self.choices) >= MAX_HOSTS:
                self.n_more += 1
                return
            choices = self.choices[name] = {}
        known = choices.get(choice)
        if known is not None:
            choices[choice] = min(known, place)
        elif len(choices) < MAX_CHOICES:
            choices[choice] = place

    def _tls(self, session: Session) -> None:
        name = self.name_of(session)
        if name is None:
            return
        name = name or session.server_ip
        known = self.encrypted.get(name)
        if known is None and len(self.encrypted) >= MAX_HOSTS:
            self.n_more += 1
        elif known is None or session.start_ns <= known.ts_ns:
            place = Place(session.start_ns, session.capture, session.frame, session.session_id, _server(session))
            self.encrypted[name] = place if known is None else min(known, place)

    def name_of(self, session: Session) -> str | None:
        """Under which name a TLS conversation is noted: "" for its server's address, None for not at all."""
        tls = session.tls
        if tls is None or tls.version is None or tls.established is False or session.service not in MAYBE_WEB:
            return None
        return (tls.sni or "").lower().rstrip(".")

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
        self.trail.merge(other.trail)
        self.visits.merge(other.visits)
        self.resets.merge(other.resets)
        self.accounts.merge(other.accounts)
        self.carriers.merge(other.carriers)
        self.dns.merge(other.dns)
        self.deliveries.merge(other.deliveries)
        self.links.merge(other.links)
        for name, uses in other.keys.items():
            for spki, use in uses.items():
                self._key(name, spki, use)
        for server, choices in other.choices.items():
            for choice, place in choices.items():
                self._choice(server, choice, place)
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


def _place(session: Session) -> Place:
    return Place(session.start_ns, session.capture, session.frame, session.session_id, _server(session))
