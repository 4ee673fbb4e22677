"""One conversation as the turns of its two sides.

A script is written once and played many times: what differs from one playing to the next stands in slots of fixed width, which the engine fills
from the value row of each conversation. What a reader of the capture must find is written down as facts, with the stream ranges that carry them, so that a
lost frame can be translated into what nobody can know any more.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

CLIENT, SERVER = 0, 1
US, MS = 1_000, 1_000_000  # ns


class Slot(NamedTuple):
    """A place in a stream that is filled from the value row of each conversation."""

    at: int  # first byte in the value row
    width: int


USER = Slot(0, 7)  # serial of the account or sender, base 36
RECIPIENT = Slot(8, 7)
PASSWORD = Slot(16, 9)
MESSAGE = Slot(32, 12)  # serial in Message-IDs and queue ids
TOKEN_AT = 64  # base64 tokens follow from here, one after the other
VALUE_BYTES = 208

Part = bytes | Slot
Text = tuple[Part, ...]  # literal and slots in a row


def width(text: Text) -> int:
    """Bytes that a text takes on the wire."""
    return sum(part.width if isinstance(part, Slot) else len(part) for part in text)


def fill(text: Text, values: bytes) -> str:
    """A text with its slots filled from one value row."""
    return b"".join(values[part.at:part.at + part.width] if isinstance(part, Slot) else part for part in text).decode("latin-1")


class Span(NamedTuple):
    """Bytes of one side, by stream offset."""

    side: int
    start: int
    end: int

    def hit_by(self, side: int, start: int, end: int) -> bool:
        return side == self.side and start < self.end and end > self.start


@dataclass(slots=True, kw_only=True)
class Fact:
    """Something a reader of the capture must find.

    `texts` may hold slots, `plain` are the same in every playing. `needs` says for each field which bytes carry it.
    """

    kind: str  # login, message, starttls, tls
    plain: dict[str, Any]
    texts: dict[str, Text] = field(default_factory=dict)
    needs: dict[str, tuple[Span, ...]] = field(default_factory=dict)

    def filled(self, values: bytes) -> dict[str, Any]:
        return {**self.plain, **{name: fill(text, values) for name, text in self.texts.items()}}


class Region(NamedTuple):
    """Endless bytes: `period` bytes in the pool that repeat (with a tail so that a segment never has to wrap)."""

    base: int
    period: int


class Step(NamedTuple):
    side: int
    pool_at: int
    length: int
    slots: tuple[tuple[int, int, int], ...]  # (offset in the step, offset in the value row, width)
    think_ns: int
    region: Region | None
    region_at: int


@dataclass(slots=True)
class Pool:
    """All literal bytes of all scripts, one behind the other."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> int:
        at = len(self.data)
        self.data += data
        return at

    def region(self, data: bytes) -> Region:
        return Region(self.add(data + data[:2048]), len(data))


class Script:
    """The turns of one conversation, and its facts.

    Args:
        pool: where the bytes go.
        kind: name under which the truth counts it.
        port: of the server.
        protocol: mail protocol, None for anything else.
        udp: each send is one datagram; no handshake, no acknowledgements.
    """

    def __init__(self, pool: Pool, kind: str, port: int, protocol: str | None = None, udp: bool = False):
        self.pool, self.kind, self.port, self.protocol, self.udp = pool, kind, port, protocol, udp
        self.steps: list[Step] = []
        self.facts: list[Fact] = []
        self.length = [0, 0]  # stream bytes so far
        self.tokens: list[Text] = []  # what the base64 token slots encode
        self._token_at = TOKEN_AT
        self.ending = "fin-client"  # fin-client, fin-server, reset, open
        self.start = "full"  # full, syn (nothing but the client's SYN)
        self.servers = "internet"  # group of addresses, see engine.Addresses
        self.clients = "office"

    def send(self, side: int, *text: Part, think_ns: int = 0) -> Span:
        """One write of a side; it starts a segment of its own."""
        literal, slots = bytearray(), []
        for part in text:
            if isinstance(part, Slot):
                slots.append((len(literal), part.at, part.width))
                literal += bytes(part.width)  # zero adds nothing to a checksum
            else:
                literal += part
        start = self.length[side]
        self.length[side] += len(literal)
        self.steps.append(Step(side, self.pool.add(bytes(literal)), len(literal), tuple(slots), think_ns, None, 0))
        return Span(side, start, self.length[side])

    def client(self, *text: Part, think_ns: int = 200 * US) -> Span:
        return self.send(CLIENT, *text, think_ns=think_ns)

    def server(self, *text: Part, think_ns: int = 300 * US) -> Span:
        return self.send(SERVER, *text, think_ns=think_ns)

    def bulk(self, side: int, region: Region, length: int, at: int = 0, think_ns: int = 0) -> Span:
        """`length` bytes of an endless region."""
        start = self.length[side]
        self.length[side] += length
        self.steps.append(Step(side, 0, length, (), think_ns, region, at))
        return Span(side, start, self.length[side])

    def token(self, *text: Part) -> Slot:
        """A slot for the base64 of a text."""
        slot = Slot(self._token_at, (width(text) + 2) // 3 * 4)
        self._token_at += slot.width
        if self._token_at > VALUE_BYTES:
            raise ValueError("tokens do not fit the value row")
        self.tokens.append(text)
        return slot

    def login(self, mechanism: str, result: str, principal: Text, opened: tuple[Span, ...], named: Span, secret: Span, answered: Span) -> None:
        """A login in clear: `opened` are the lines without which it is not seen as one, `named` carries the account."""
        self.facts.append(Fact(kind="login", plain={"protocol": self.protocol, "mechanism": mechanism, "result": result}, texts={"principal": principal},
                               needs={"principal": (*opened, named), "mechanism": (*opened, named, secret), "result": (*opened, secret, answered)}))

    def message(self, direction: str, message_id: Text, content: Span, head_bytes: int, size: int, sender: tuple[Text, Span] | None = None,
                recipients: tuple[tuple[Text, Span], ...] = (), answered: Span | None = None, opened: tuple[Span, ...] = ()) -> None:
        """A message in clear; `head_bytes` of its content hold the header, `opened` are the lines without which it is not seen as a message."""
        head = Span(content.side, content.start, content.start + head_bytes)
        texts, needs = {"message_id": message_id}, {"message_id": (head, *opened), "size": (content, *opened)}
        if sender is not None:
            texts["mail_from"], needs["mail_from"] = sender[0], (sender[1],)
        joined: list[Part] = []
        for text, _span in recipients:
            joined += [*text, b","]
        if joined:
            texts["rcpt_to"], needs["rcpt_to"] = tuple(joined[:-1]), tuple(span for _text, span in recipients)
        if answered is not None:
            needs["accepted"] = (answered, *opened)
        self.facts.append(Fact(kind="message", plain={"protocol": self.protocol, "direction": direction, "size": size}, texts=texts, needs=needs))

    def starttls(self, offered: Span, requested: Span, answered: Span, client_hello: Span, server_hello: Span) -> None:
        self.facts.append(Fact(kind="starttls", plain={"protocol": self.protocol},
                               needs={"offered": (offered,), "requested": (requested,), "accepted": (answered,),
                                      "client_hello": (client_hello,), "server_hello": (server_hello,)}))

    def implicit_tls(self, client_hello: Span, server_hello: Span) -> None:
        self.facts.append(Fact(kind="tls", plain={"protocol": self.protocol}, needs={"client_hello": (client_hello,), "server_hello": (server_hello,)}))
