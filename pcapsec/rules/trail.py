"""The same message on several hops: what each conversation showed of it, joined by Message-ID at the end of the run.

A message that is sent by SMTP has so many Received fields; the server that takes it puts one more on top. So the field that a server wrote about a captured
conversation is the next one above those that the message had there, in every later copy of the message.
"""
from __future__ import annotations

from typing import Any, NamedTuple

from ..greetings import greeting_host
from ..records import Ends, Facts, Hop, Message, Session, ends_of
from .bounded import Kept, join

MAX_MESSAGES = 20_000  # of which conversations are remembered, some KiB each with their hops
MAX_LEGS = 16  # of one message
MAX_ALIKE = 2  # of those with as many Received fields: copies to many recipients tell no more
MAX_CLAIMS = 12  # newest hops of each
_SENDING = frozenset(("smtp", "lmtp"))
_SEALED = frozenset(("smime-encrypted", "pgp-mime-encrypted"))


class Leg(NamedTuple):
    """One conversation that carried a message; the smallest of equal ones is the first in time."""

    ts_ns: int
    capture: str
    frame: int
    session_id: str
    server: str  # address:port
    client_ip: str
    client_name: str | None  # of EHLO, lower case
    sent: bool  # by SMTP or LMTP: the server writes a Received field
    protected: bool  # it passed inside TLS
    n_hops: int  # Received fields it had
    hops: tuple[Hop, ...]  # the newest of them
    end_ns: int
    verdict: str  # of the conversation
    ends: Ends
    from_domain: str | None
    rcpt_domain: str | None  # of the first recipient of the envelope, else of To:
    size_bytes: int  # content seen
    sealed: bool  # the content itself is encrypted
    bulk: bool  # a list sent it on, or it says that it is bulk mail

    @property
    def server_ip(self) -> str:
        return self.ends.server_ip

    @property
    def claims(self) -> Hop | None:
        """The newest Received field, which the sender's own system wrote."""
        return self.hops[0] if self.hops else None


class Contradiction(NamedTuple):
    """A Received field that says something else than was seen."""

    message_id: str
    wire: Leg
    header: Leg
    hop: Hop


class Trail:
    """What was remembered of messages.

    Attributes:
        legs: Message-ID -> conversations, in any order.
        answers: what rules found out of all of them, for each of them to be asked once.
    """

    def __init__(self) -> None:
        self.legs: Kept[str, list[Leg]] = Kept(MAX_MESSAGES)
        self.answers: dict[str, Any] = {}
        self._joined: tuple[list[Contradiction], set[str]] | None = None

    def take(self, session: Session, facts: Facts, protected: bool) -> None:
        """Remember the messages of a conversation, as far as their headers were seen."""
        for message in facts.messages:
            message_id = message.message_id
            if message_id is None or message.lacks == "headers" or not message.has_content:
                continue
            name = facts.client_name
            address = f"[{session.server_ip}]" if ":" in session.server_ip else session.server_ip
            self._add(message_id, Leg(
                session.start_ns, session.capture, session.frame, session.session_id, f"{address}:{session.server_port}", session.client_ip,
                name.lower().rstrip(".") if name else None, facts.protocol in _SENDING, protected, message.n_hops,
                tuple(message.hops[:MAX_CLAIMS]), session.end_ns, session.verdict, ends_of(session, _server_name(session, facts)), message.from_domain, _rcpt_domain(message),
                message.size_bytes, message.protection in _SEALED, message.bulk))

    def merge(self, other: "Trail") -> None:
        """Add what another worker remembered."""
        for message_id, legs in other.legs.items():
            for leg in legs:
                self._add(message_id, leg)
        join(self.legs, other.legs)

    def _add(self, message_id: str, leg: Leg) -> None:
        self._joined = None
        self.answers.clear()
        legs = self.legs.get(message_id)
        if legs is None:
            if self.legs.room(message_id):
                self.legs[message_id] = [leg]
            return
        alike = [one for one in legs if one.n_hops == leg.n_hops and one.sent == leg.sent] + [leg]
        legs.append(leg)
        if len(alike) > MAX_ALIKE:  # the earliest stay, whichever worker saw them first
            legs.remove(max(alike, key=_order))
        if len(legs) > MAX_LEGS:
            legs.remove(max(legs, key=lambda one: (one.n_hops, *_order(one))))

    def contradictions(self) -> list[Contradiction]:
        """Received fields that say something else than was seen, in order of time."""
        return self._compare()[0]

    def compared(self) -> set[str]:
        """Captures that hold a message whose earlier hop was captured too."""
        return self._compare()[1]

    def _compare(self) -> tuple[list[Contradiction], set[str]]:
        if self._joined is None:
            found, captures = [], set()
            self.legs.settle()
            for message_id, legs in self.legs.items():
                if len(legs) > 1:
                    for wire in legs:
                        for header in legs:
                            hop = written_about(wire, header)
                            if hop is not None and hop.protected is not None:
                                captures.add(header.capture)
                                if hop.protected != wire.protected:
                                    found.append(Contradiction(message_id, wire, header, hop))
            found.sort(key=lambda one: (_order(one.header), one.hop.hop, _order(one.wire), one.message_id))
            self._joined = found, captures
        return self._joined


def _order(leg: Leg) -> tuple[int, str, int, str]:
    return leg[:4]


def written_about(wire: Leg, header: Leg) -> Hop | None:
    """The field in one copy that the server of another conversation wrote."""
    if not wire.sent or header.n_hops <= wire.n_hops or wire.session_id == header.session_id:
        return None
    for hop in header.hops:
        if hop.hop == wire.n_hops + 1:
            if hop.local or hop.from_ip != wire.client_ip and (wire.client_name is None or hop.from_host != wire.client_name):
                return None
            return hop
    return None


def _server_name(session: Session, facts: Facts) -> str | None:
    tls = session.tls
    return tls.sni or tls.dns_name if tls is not None and (tls.sni or tls.dns_name) else greeting_host(facts.greeting)


def _rcpt_domain(message: Message) -> str | None:
    for address in message.rcpt_accepted or message.rcpt_to:
        if "@" in address:
            return address.rpartition("@")[2].lower().rstrip(".")[:200]
    return message.to_domains[0] if message.to_domains else None
