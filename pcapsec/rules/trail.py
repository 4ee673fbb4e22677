"""The same message on several hops: what each conversation showed of it, joined by Message-ID at the end of the run.

A message that is sent by SMTP has so many Received fields; the server that takes it puts one more on top. So the field that a server wrote about a captured
conversation is the next one above those that the message had there, in every later copy of the message.
"""
from __future__ import annotations

from typing import NamedTuple

from ..records import Facts, Hop, Session

MAX_MESSAGES = 20_000  # of which conversations are remembered, some KiB each with their hops
MAX_LEGS = 16  # of one message
MAX_ALIKE = 2  # of those with as many Received fields: copies to many recipients tell no more
MAX_CLAIMS = 12  # newest hops of each
_SENDING = frozenset(("smtp", "lmtp"))


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
        n_more: messages that no longer fitted.
    """

    def __init__(self) -> None:
        self.legs: dict[str, list[Leg]] = {}
        self.n_more = 0
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
                tuple(message.hops[:MAX_CLAIMS])))

    def merge(self, other: "Trail") -> None:
        """Add what another worker remembered."""
        self.n_more += other.n_more
        for message_id, legs in other.legs.items():
            for leg in legs:
                self._add(message_id, leg)

    def _add(self, message_id: str, leg: Leg) -> None:
        self._joined = None
        legs = self.legs.get(message_id)
        if legs is None:
            if len(self.legs) >= MAX_MESSAGES:
                self.n_more += 1
            else:
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
            for message_id, legs in self.legs.items():
                if len(legs) > 1:
                    for wire in legs:
                        for header in legs:
                            hop = _written_about(wire, header)
                            if hop is not None and hop.protected is not None:
                                captures.add(header.capture)
                                if hop.protected != wire.protected:
                                    found.append(Contradiction(message_id, wire, header, hop))
            found.sort(key=lambda one: (_order(one.header), one.hop.hop, _order(one.wire), one.message_id))
            self._joined = found, captures
        return self._joined


def _order(leg: Leg) -> tuple[int, str, int, str]:
    return leg[:4]


def _written_about(wire: Leg, header: Leg) -> Hop | None:
    """The field in one copy that the server of another conversation wrote."""
    if not wire.sent or header.n_hops <= wire.n_hops or wire.session_id == header.session_id:
        return None
    for hop in header.hops:
        if hop.hop == wire.n_hops + 1:
            if hop.local or hop.from_ip != wire.client_ip and (wire.client_name is None or hop.from_host != wire.client_name):
                return None
            return hop
    return None
