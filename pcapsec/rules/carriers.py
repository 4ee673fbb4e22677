"""What lies under mail conversations: ESP and AH between hosts, tunnels, wrappings; bounded, picklable, and the same whichever worker saw what.

A host is a mail host when a conversation of mail with it is in the capture; ESP between two of them may hold more of their mail. Associations and tunnels are told by one worker, which sees
them all; mail hosts by each worker for its share.
"""
from __future__ import annotations

from typing import Any

from ..records import Ends, EspAssociation, EspFacts, Session, ends_of
from .requests import MAIL_SERVICES
from .rule import MAIL

MAX_HOSTS = 100_000  # some 15 MB
MAX_CARRIERS = 4096  # pairs of hosts with ESP, tunnels, of each kind
MAX_LISTED = 16  # associations of a pair that are shown
MAX_STACKS = 256
CLIENT_BIT, SERVER_BIT = 1, 2
SERVICES = MAIL_SERVICES | {"smtp", "smtps", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "managesieve", "mapi", "nspi", "rfr", "exchange", "exchange-online", "webmail"}
TUNNEL_WORDS = frozenset(("mpls", "gre", "vxlan", "geneve", "ipip", "gtp", "teredo"))  # wrappings that carry traffic between places; VLAN, PPPoE and ERSPAN do not


class Tunnel:
    """WireGuard or OpenVPN between two hosts, the one that began it first."""

    __slots__ = ("kind", "ends", "capture", "first_ns", "last_ns", "packets", "bytes")

    def __init__(self, kind: str, ends: tuple[str, int, str, int], capture: str, first_ns: int, last_ns: int, packets: int, n_bytes: int):
        self.kind, self.ends, self.capture, self.first_ns, self.last_ns, self.packets, self.bytes = kind, ends, capture, first_ns, last_ns, packets, n_bytes


class Wrapped:
    """Mail conversations of one kind of wrapping, or between two hosts inside AH."""

    __slots__ = ("first", "n_sessions", "n_clear")

    def __init__(self, first: tuple[int, str, int, Ends], n_sessions: int, n_clear: int):
        self.first, self.n_sessions, self.n_clear = first, n_sessions, n_clear

    def add(self, first: tuple[int, str, int, Ends], n_sessions: int, n_clear: int) -> None:
        self.first = min(self.first, first)
        self.n_sessions += n_sessions
        self.n_clear += n_clear


class Carriers:
    """What was seen of it.

    Attributes:
        hosts: address -> CLIENT_BIT, SERVER_BIT, of mail conversations.
        esp: sessions of protocol esp, one for each pair of hosts in a capture, not judged yet.
        ah: (capture, smaller address, larger one) -> SPIs of AH.
        tunnels: those that were answered.
        stacks: (capture, wrappings) -> mail conversations in them.
        in_ah: (capture, client, server) -> mail conversations inside AH without ESP, n_clear of them in clear.
        null_mail: capture -> mail conversations that came out of ESP without encryption.
        n_more: what no longer fitted.
    """

    def __init__(self) -> None:
        self.hosts: dict[str, int] = {}
        self.esp: list[Session] = []
        self.ah: dict[tuple[str, str, str], list[int]] = {}
        self.tunnels: list[tuple[int, Tunnel]] = []
        self.stacks: dict[tuple[str, str], Wrapped] = {}
        self.in_ah: dict[tuple[str, str, str], Wrapped] = {}
        self.null_mail: dict[str, int] = {}
        self.n_more = 0

    def take(self, session: Session) -> None:
        """Note a conversation of mail, its hosts and what it came in."""
        if session.protocol not in MAIL and session.service not in SERVICES or session.protocol == "unknown":
            return
        hosts, client, server = self.hosts, session.client_ip, session.server_ip
        if hosts.get(server, 0) & SERVER_BIT == 0:
            self._host(server, SERVER_BIT)
        if hosts.get(client, 0) & CLIENT_BIT == 0:
            self._host(client, CLIENT_BIT)
        if session.encapsulation:
            self._wrapped(session)

    def _host(self, address: str, bit: int) -> None:
        known = self.hosts.get(address)
        if known is None and len(self.hosts) >= MAX_HOSTS:
            self.n_more += 1
        else:
            self.hosts[address] = (known or 0) | bit

    def _wrapped(self, session: Session) -> None:
        layers = [layer.partition(".")[0] for layer in session.encapsulation.split("/")]
        first = session.start_ns, session.capture, session.frame, ends_of(session)
        clear = int(session.tls_mode == "none" and session.protocol != "quic")
        stack = "/".join(layer for layer in layers if layer in TUNNEL_WORDS and (layer != "ipip" or "ah" not in layers))  # AH's tunnel mode is AH's
        if "esp-null" in layers:
            if session.capture in self.null_mail or len(self.null_mail) < MAX_STACKS:
                self.null_mail[session.capture] = self.null_mail.get(session.capture, 0) + 1
        elif "ah" in layers:
            self._note(self.in_ah, (session.capture, session.client_ip, session.server_ip), MAX_CARRIERS, first, 1, clear)
        if stack:
            self._note(self.stacks, (session.capture, stack), MAX_STACKS, first, 1, clear)

    def _note(self, table: dict[Any, Wrapped], key: tuple, limit: int, first: tuple, n_sessions: int, n_clear: int) -> None:
        known = table.get(key)
        if known is not None:
            known.add(first, n_sessions, n_clear)
        elif len(table) < limit:
            table[key] = Wrapped(first, n_sessions, n_clear)
        else:
            self.n_more += 1

    def are_mail_hosts(self, one: str, other: str) -> bool:
        """Whether mail passed with both, at one of them as a server."""
        first, second = self.hosts.get(one, 0), self.hosts.get(other, 0)
        return bool(first and second and (first | second) & SERVER_BIT)

    def sessions(self) -> list[Session]:
        """The pairs with ESP that concern mail: between two mail hosts, or unencrypted with mail inside."""
        return [one for one in self.esp if self.are_mail_hosts(one.client_ip, one.server_ip) or one.capture in self.null_mail and opened(one.facts.esp)]

    def merge(self, other: "Carriers") -> None:
        """Add what another worker noted."""
        self.n_more += other.n_more
        for address, bits in other.hosts.items():
            self._host(address, bits)
        self.esp += other.esp
        self.tunnels += other.tunnels
        for key, spis in other.ah.items():
            self.ah.setdefault(key, spis)
        for name, table in (("stacks", other.stacks), ("in_ah", other.in_ah)):
            for key, one in table.items():
                self._note(getattr(self, name), key, MAX_STACKS if name == "stacks" else MAX_CARRIERS, one.first, one.n_sessions, one.n_clear)
        for capture, n in other.null_mail.items():
            self.null_mail[capture] = self.null_mail.get(capture, 0) + n


def opened(facts: EspFacts | None) -> list[EspAssociation]:
    """The associations that do not encrypt."""
    return [one for one in facts.associations if one.clear] if facts is not None else []


def spi_text(spi: int) -> str:
    return f"0x{spi:08x}"
