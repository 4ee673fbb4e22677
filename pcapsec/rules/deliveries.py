"""Mail that passed in clear between servers, by the domain it was for; which servers were spoken to, and which certificates they showed."""
from __future__ import annotations

from ..records import Ends, Facts, Session, ends_of
from .requirements import domain_of

MAX_DELIVERIES = 20_000  # domains at servers
MAX_SERVERS = 20_000
MAX_CHAINS = 4  # of a server
MAX_DOMAINS = 20  # of one message


class Delivery:
    """Messages for one domain that one server was sent in clear.

    first: (ts_ns, capture, frame, session_id) of the earliest; ends: its conversation; offered: whether STARTTLS was on offer there.
    """

    __slots__ = ("first", "ends", "offered", "n_messages")

    def __init__(self, first: tuple[int, str, int, str], ends: Ends, offered: bool | None, n_messages: int):
        self.first, self.ends, self.offered, self.n_messages = first, ends, offered, n_messages

    def __reduce__(self):
        return Delivery, (self.first, self.ends, self.offered, self.n_messages)


class Deliveries:
    """What was collected.

    Attributes:
        clear: (domain, server's address, port) -> Delivery.
        servers: address -> conversations over SMTP.
        chains: address -> hashes of certificate and key of each certificate in a chain that it sent over SMTP, the first few chains.
        n_more: what no longer fitted.
    """

    def __init__(self) -> None:
        self.clear: dict[tuple[str, str, int], Delivery] = {}
        self.servers: dict[str, int] = {}
        self.chains: dict[str, set[tuple[tuple[str, str | None], ...]]] = {}
        self.n_more = 0

    def take(self, session: Session, facts: Facts) -> None:
        """Take an SMTP conversation."""
        self._count(session.server_ip, 1)
        if session.tls is not None and session.tls.certificates:
            self._chain(session.server_ip, tuple([(one.sha256, one.spki_sha256) for one in session.tls.certificates]))
        for message in facts.messages:
            if not message.has_content or not message.size_bytes or message.tls_required_no:
                continue
            recipients = message.rcpt_accepted or (message.rcpt_to if session.unseen_server is not None else ())
            for domain in sorted({domain for domain in map(domain_of, recipients) if "." in domain})[:MAX_DOMAINS]:
                self._message(session, facts, domain, message.side, message.at)

    def _message(self, session: Session, facts: Facts, domain: str, side: int, at: int) -> None:
        key = domain, session.server_ip, session.server_port
        known = self.clear.get(key)
        if known is not None and known.first[0] < session.start_ns:  # its place is only asked for where it can be earlier
            known.n_messages += 1
            return
        capture, frame, ts_ns = session.locate(side, at) if session.locate is not None else (session.capture, session.frame, session.start_ns)
        self._add(key, Delivery((ts_ns, capture, frame, session.session_id), ends_of(session), facts.starttls_offered, 1))

    def _add(self, key: tuple[str, str, int], delivery: Delivery) -> None:
        known = self.clear.get(key)
        if known is None:
            if len(self.clear) < MAX_DELIVERIES:
                self.clear[key] = delivery
            else:
                self.n_more += 1
            return
        known.n_messages += delivery.n_messages
        if delivery.first < known.first:
            known.first, known.ends, known.offered = delivery.first, delivery.ends, delivery.offered

    def _count(self, server: str, n: int) -> None:
        known = self.servers.get(server)
        if known is not None or len(self.servers) < MAX_SERVERS:
            self.servers[server] = (known or 0) + n

    def _chain(self, server: str, chain: tuple[tuple[str, str | None], ...]) -> None:
        chains = self.chains.get(server)
        if chains is None:
            if len(self.chains) >= MAX_SERVERS:
                return
            chains = self.chains[server] = set()
        if chain not in chains:
            chains.add(chain)
            if len(chains) > MAX_CHAINS:
                chains.remove(max(chains, key=lambda one: [(sha256, key or "") for sha256, key in one]))

    def merge(self, other: "Deliveries") -> None:
        """Add what another worker collected."""
        self.n_more += other.n_more
        for key, delivery in other.clear.items():
            self._add(key, delivery)
        for server, n in other.servers.items():
            self._count(server, n)
        for server, chains in other.chains.items():
            for chain in chains:
                self._chain(server, chain)
