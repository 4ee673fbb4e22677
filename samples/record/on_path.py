"""A box on the path that changes mail dialogues, in the place of the switch: frames go from to-client to to-server and back, TCP segments are edited as they pass.

    on_path.py [--skip N] [--until N] [--ttl N] MANIPULATION...

--edit SIDE PATTERN TEXT     in what SIDE (client, server) sends, put TEXT for each match; sequence numbers behind it are shifted, as firewalls do
--mask SIDE PATTERN LETTER   put LETTER for each letter of each match: the length stays
--answer PATTERN TEXT        swallow what the client sent when it matches, and answer TEXT in the server's name
--reset PATTERN              swallow what the client sent when it matches, and reset both sides
--forge PATTERN TEXT         beside the path: send the client an edited copy of what the server sent, ahead of the real segment, which still arrives
--skip N, --until N          leave the first N connections alone, and those behind the Nth
--ttl N                      the time to live of what the box makes itself
--nat INNER OUTER            behind the box the client's address INNER is OUTER, and its ports are others

Patterns are regular expressions over the bytes of a segment, texts are templates of theirs (both may hold \\r and \\n); nothing is edited once TLS has begun (a reset still can be). Segments hold whole lines in these
recordings, and none is lost: the box neither gathers bytes nor keeps them for another time.
"""
from __future__ import annotations

import argparse
import re
import select
import socket
import struct
from dataclasses import dataclass, field

from relay import PACKET_OUTGOING, checksum, port

CLIENT, SERVER = 0, 1
SIDES = {"client": CLIENT, "server": SERVER}
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SPACE = 1 << 32
PORTS_MOVED = 0x1F00  # bits that the address translation turns over in the client's port


@dataclass
class Segment:
    """An IPv4 TCP frame taken apart; `built` puts it together with right lengths and checksums."""

    ethernet: bytes
    ip: bytearray
    tcp: bytearray
    data: bytes

    @classmethod
    def parsed(cls, frame: bytes) -> Segment | None:
        if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
            return None
        at = 14 + (frame[14] & 15) * 4
        end = 14 + struct.unpack("!H", frame[16:18])[0]
        data_at = at + (frame[at + 12] >> 4) * 4
        return cls(frame[:14], bytearray(frame[14:at]), bytearray(frame[at:data_at]), frame[data_at:end])

    def built(self) -> bytes:
        self.ip[2:4] = struct.pack("!H", len(self.ip) + len(self.tcp) + len(self.data))
        self.ip[10:12] = b"\0\0"
        self.ip[10:12] = struct.pack("!H", checksum(bytes(self.ip)))
        self.tcp[16:18] = b"\0\0"
        body = bytes(self.tcp) + self.data
        pseudo = bytes(self.ip[12:20]) + struct.pack("!HH", 6, len(body))
        self.tcp[16:18] = struct.pack("!H", checksum(pseudo + body + b"\0" * (len(body) % 2)))
        return self.ethernet + bytes(self.ip) + bytes(self.tcp) + self.data

    def number(self, at: int) -> int:
        return struct.unpack_from("!I", self.tcp, at)[0]

    def set_number(self, at: int, value: int) -> None:
        struct.pack_into("!I", self.tcp, at, value % SPACE)

    @property
    def ports(self) -> tuple[int, int]:
        return struct.unpack_from("!HH", self.tcp)

    @property
    def flags(self) -> int:
        return self.tcp[13]


@dataclass
class Edit:
    """At `at` of a side's own numbering `old` bytes became `new` bytes."""

    at: int
    old: int
    new: int


@dataclass
class Way:
    """One direction of a connection."""

    edits: list[Edit] = field(default_factory=list)
    done: dict[int, bytes] = field(default_factory=dict)  # what was sent instead of the segment at this number, for its retransmission
    next: int = 0  # number behind the last byte, as its sender counts
    last: Segment | None = None  # for the addresses and options of what the box makes itself

    def forwarded(self, number: int) -> int:
        """The sender's number as the receiver counts."""
        return number + sum(edit.new - edit.old for edit in self.edits if distance(number, edit.at) > 0 or (distance(number, edit.at) == 0 and edit.old == 0))

    def acknowledged(self, number: int) -> int:
        """The receiver's acknowledgement as the sender counts."""
        shift = 0
        for edit in self.edits:
            begin = edit.at + shift
            if distance(number, begin + edit.new) >= 0:
                shift += edit.new - edit.old
            elif distance(number, begin) >= 0:
                return edit.at
        return number - shift


def distance(a: int, b: int) -> int:
    return (a - b + SPACE // 2) % SPACE - SPACE // 2


@dataclass
class Connection:
    number: int
    ways: tuple[Way, Way] = field(default_factory=lambda: (Way(), Way()))
    closed: bool = False  # by a reset of the box: nothing passes any more
    tls: bool = False


class Box:
    """The box: `passes` takes a frame from one side and sends what must go to either."""

    def __init__(self, ask: argparse.Namespace, outs: tuple[socket.socket, socket.socket]):
        self.ask, self.outs = ask, outs
        self.connections: dict[tuple, Connection] = {}
        self.n_connections = 0
        self.made = 0x4D00  # IP identification of what the box makes itself

    def send(self, side: int, segment: Segment) -> None:
        """Towards a side; address translation happens on the server's side of everything else."""
        if self.ask.nat and side == SERVER:
            self.translated(segment, 12, 0, self.ask.nat[0], self.ask.nat[1])
        self.outs[side].send(segment.built())

    def translated(self, segment: Segment, address_at: int, port_at: int, old: str, new: str) -> None:
        if bytes(segment.ip[address_at:address_at + 4]) == socket.inet_aton(old):
            segment.ip[address_at:address_at + 4] = socket.inet_aton(new)
            segment.ip[8] -= 1  # a router too
            struct.pack_into("!H", segment.tcp, port_at, struct.unpack_from("!H", segment.tcp, port_at)[0] ^ PORTS_MOVED)

    def passes(self, side: int, frame: bytes) -> None:
        segment = Segment.parsed(frame)
        if segment is None:
            if self.ask.nat and frame[12:14] == b"\x08\x06":  # ARP
                old, new = (socket.inet_aton(address) for address in (self.ask.nat if side == CLIENT else self.ask.nat[::-1]))
                frame = frame[:22] + frame[22:].replace(old, new)
            self.outs[1 - side].send(frame)
            return
        if self.ask.nat and side == SERVER:
            self.translated(segment, 16, 2, self.ask.nat[1], self.ask.nat[0])
        ports = segment.ports if side == CLIENT else segment.ports[::-1]
        key = (*sorted((bytes(segment.ip[12:16]), bytes(segment.ip[16:20]))), ports)
        if segment.flags & (SYN | ACK) == SYN and (key not in self.connections or self.connections[key].ways[side].next != segment.number(4) + 1):
            self.connections[key] = Connection(self.n_connections)
            self.n_connections += 1
        connection = self.connections.get(key)
        if connection is None or not self.ask.skip <= connection.number < self.ask.until:
            self.send(1 - side, segment)
        elif not connection.closed:
            self.edited(connection, side, segment)

    def edited(self, connection: Connection, side: int, segment: Segment) -> None:
        """Forward a segment of a connection that is worked on."""
        way, back = connection.ways[side], connection.ways[1 - side]
        at, data = segment.number(4), segment.data
        length = len(data) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        repeated = bool(data) and distance(way.next, at) > 0
        if distance(at + length, way.next) > 0 or way.last is None:
            way.next = (at + length) % SPACE
        way.last = Segment(segment.ethernet, bytearray(segment.ip), bytearray(segment.tcp), b"")
        if data and not repeated:
            begun = connection.tls
            connection.tls = begun or (side == CLIENT and data[:2] == b"\x16\x03")
            if side == CLIENT and self.ask.reset and re.match(self.ask.reset.encode(), data, re.DOTALL):
                return self.reset(connection)
            if not connection.tls:
                for pattern, text in self.ask.answer if side == CLIENT else ():
                    if match := re.match(pattern.encode(), data, re.DOTALL):
                        return self.answer(connection, at, len(data), match.expand(text.encode()))
                if side == SERVER:
                    self.forge(connection, segment)
                segment.data = way.done[at] = self.changed(side, data)
                if len(segment.data) != len(data):
                    segment.set_number(4, way.forwarded(at))
                    way.edits.append(Edit(at, len(data), len(segment.data)))
        elif repeated:
            segment.data = way.done.get(at, data)
        segment.set_number(4, way.forwarded(at))
        if segment.flags & ACK:
            segment.set_number(8, back.acknowledged(segment.number(8)))
        self.send(1 - side, segment)

    def changed(self, side: int, data: bytes) -> bytes:
        for name, pattern, text in self.ask.edit:
            if SIDES[name] == side:
                data = re.sub(pattern.encode(), text.encode(), data, flags=re.DOTALL)
        for name, pattern, letter in self.ask.mask:
            if SIDES[name] == side:
                data = re.sub(pattern.encode(), lambda match, letter=letter: letter.encode() * len(match[0]), data, flags=re.MULTILINE)
        return data

    def own(self, connection: Connection, to: int, number: int, acknowledges: int, flags: int, data: bytes = b"") -> Segment:
        """A segment that the box makes, in the name of the other side."""
        model = connection.ways[1 - to].last
        made = Segment(model.ethernet, bytearray(model.ip), bytearray(model.tcp[:20]), data)  # without the options, which it does not keep track of
        self.made += 1
        made.ip[4:9] = struct.pack("!HHB", self.made, 0, self.ask.ttl)
        made.tcp[12:14] = bytes([0x50, flags])
        made.set_number(4, number)
        made.set_number(8, acknowledges)
        return made

    def answer(self, connection: Connection, at: int, length: int, text: bytes) -> None:
        """The client's segment ends here; the answer is put into the server's stream."""
        client, server = connection.ways
        number = server.forwarded(server.next)
        client.edits.append(Edit(at, length, 0))
        server.edits.append(Edit(server.next, 0, len(text)))
        self.send(CLIENT, self.own(connection, CLIENT, number, at + length, PSH | ACK, text))

    def reset(self, connection: Connection) -> None:
        client, server = connection.ways
        connection.closed = True
        self.send(CLIENT, self.own(connection, CLIENT, server.forwarded(server.next), client.next, RST | ACK))
        last = client.last
        self.send(SERVER, self.own(connection, SERVER, client.forwarded(last.number(4)), server.next, RST | ACK))

    def forge(self, connection: Connection, segment: Segment) -> None:
        for pattern, text in self.ask.forge:
            data = re.sub(pattern.encode(), text.encode(), segment.data, flags=re.DOTALL)
            if data != segment.data:
                self.send(CLIENT, self.own(connection, CLIENT, segment.number(4), segment.number(8), PSH | ACK, data))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--edit", nargs=3, action="append", default=[])
    ask.add_argument("--mask", nargs=3, action="append", default=[])
    ask.add_argument("--answer", nargs=2, action="append", default=[])
    ask.add_argument("--forge", nargs=2, action="append", default=[])
    ask.add_argument("--reset")
    ask.add_argument("--nat", nargs=2)
    ask.add_argument("--skip", type=int, default=0)
    ask.add_argument("--until", type=int, default=1 << 30)
    ask.add_argument("--ttl", type=int, default=249)
    sockets = port("to-client"), port("to-server")
    box = Box(ask.parse_args(), sockets)
    print("ready", flush=True)
    while True:
        for source in select.select(sockets, [], [])[0]:
            frame, (_, _, kind, *_) = source.recvfrom(65536)
            if kind != PACKET_OUTGOING:
                box.passes(sockets.index(source), frame)


if __name__ == "__main__":
    main()
