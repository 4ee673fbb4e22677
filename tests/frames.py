"""TCP conversations as frames in memory, with loss, reordering, retransmission and whatever else a mirror port does to them."""
from __future__ import annotations

import ipaddress
import random
import struct
from dataclasses import dataclass, field, replace

import numpy

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START_NS = 1_700_000_000_000_000_000


def ones_complement(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@dataclass(slots=True, kw_only=True)
class Segment:
    """One TCP segment to be."""

    side: int  # 0: client sends
    sequence: int
    acknowledgement: int = 0
    flags: int = ACK
    payload: bytes = b""
    ts_ns: int = START_NS
    identification: int = 0
    bad_checksum: bool = False
    ttl: int | None = None  # None: its side's
    timestamp: int | None = None  # TSval; None: without the option


@dataclass(slots=True, kw_only=True)
class Talk:
    """Two endpoints and what they say; makes segments with right numbers."""

    client: str = "192.0.2.10"
    client_port: int = 40000
    server: str = "198.51.100.20"
    server_port: int = 25
    isn: tuple[int, int] = (1000, 5000)
    step_ns: int = 1_000_000
    ttl: tuple[int, int] = (64, 64)
    segments: list[Segment] = field(default_factory=list)
    next: list[int] = field(default_factory=lambda: [0, 0])
    clock: int = START_NS
    packet_id: int = 1

    def __post_init__(self):
        self.next = [self.isn[0], self.isn[1]]

    def _add(self, side: int, flags: int, payload: bytes = b"") -> Segment:
        self.clock += self.step_ns
        self.packet_id += 1
        made = Segment(side=side, sequence=self.next[side] & 0xFFFFFFFF, acknowledgement=self.next[1 - side] & 0xFFFFFFFF if flags & ACK else 0,
                       flags=flags, payload=payload, ts_ns=self.clock, identification=self.packet_id & 0xFFFF)
        self.next[side] += len(payload) + (1 if flags & (SYN | FIN) else 0)
        self.segments.append(made)
        return made

    def open(self) -> "Talk":
        self._add(0, SYN)
        self._add(1, SYN | ACK)
        self._add(0, ACK)
        return self

    def say(self, side: int, data: bytes, size: int = 1400, acknowledge: bool = False) -> "Talk":
        for at in range(0, len(data), size):
            self._add(side, ACK | PSH, data[at:at + size])
        if acknowledge:
            self._add(1 - side, ACK)
        return self

    def turns(self, turns: list[tuple[int, bytes]], size: int = 1400) -> "Talk":
        for side, data in turns:
            self.say(side, data, size)
        return self

    def close(self) -> "Talk":
        self._add(0, FIN | ACK)
        self._add(1, FIN | ACK)
        self._add(0, ACK)
        return self

    def frames(self) -> list[tuple[int, bytes]]:
        return [(segment.ts_ns, self.frame(segment)) for segment in self.segments]

    def packet(self, segment: Segment) -> bytes:
        """An IP packet without a link layer."""
        ends = [(self.client, self.client_port), (self.server, self.server_port)]
        (source, sport), (target, dport) = ends[segment.side], ends[1 - segment.side]
        src, dst = ipaddress.ip_address(source), ipaddress.ip_address(target)
        ttl = self.ttl[segment.side] if segment.ttl is None else segment.ttl
        options = b"" if segment.timestamp is None else b"\x01\x01\x08\x0a" + struct.pack("!II", segment.timestamp, 0)
        tcp = struct.pack("!HHIIBBHHH", sport, dport, segment.sequence, segment.acknowledgement, (20 + len(options)) * 4, segment.flags, 65535, 0, 0) + options + segment.payload
        checksum = ones_complement(src.packed + dst.packed + (struct.pack("!BBH", 0, 6, len(tcp)) if src.version == 4 else struct.pack("!II", len(tcp), 6)) + tcp)
        if segment.bad_checksum:
            checksum ^= 0x5555
        tcp = tcp[:16] + struct.pack("!H", checksum) + tcp[18:]
        if src.version == 4:
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), segment.identification, 0, ttl, 6, 0, src.packed, dst.packed)
            head = head[:10] + struct.pack("!H", ones_complement(head)) + head[12:]
            return head + tcp
        return struct.pack("!IHBB16s16s", 6 << 28, len(tcp), 6, ttl, src.packed, dst.packed) + tcp

    def frame(self, segment: Segment) -> bytes:
        """An Ethernet frame."""
        packet = self.packet(segment)
        return bytes(12) + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def window(frames: list[tuple[int, bytes]], link: int = 1, original: list[int] | None = None) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Frames as the walk kernels hand them on: (uint8 window, int64[n, 5] rows)."""
    data = numpy.frombuffer(bytearray(b"".join(frame for _ts, frame in frames) or b"\0"), dtype=numpy.uint8)
    rows = numpy.zeros((max(1, len(frames)), 5), dtype=numpy.int64)
    at = 0
    for i, (ts_ns, frame) in enumerate(frames):
        rows[i] = at, len(frame), original[i] if original else len(frame), ts_ns, link
        at += len(frame)
    return data, rows


def pcap(frames: list[tuple[int, bytes]], link: int = 1, snap: int = 262144, original: list[int] | None = None) -> bytes:
    """Frames as a pcap file with nanoseconds."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snap, link)]
    for i, (ts_ns, frame) in enumerate(frames):
        out.append(struct.pack("<IIII", ts_ns // 10**9, ts_ns % 10**9, len(frame), original[i] if original else len(frame)) + frame)
    return b"".join(out)


def mirrored(segments: list[Segment], rng: random.Random, *, lost: float = 0.0, reordered: float = 0.0, duplicated: float = 0.0) -> list[Segment]:
    """What a mirror port makes of segments; times stay those of the capture order."""
    times = [segment.ts_ns for segment in segments]
    order = list(segments)
    at = 0
    while at < len(order) - 1:
        if order[at].payload and rng.random() < reordered:
            to = min(len(order) - 1, at + rng.randint(1, 4))
            order.insert(to, order.pop(at))
        at += 1
    out = []
    for ts_ns, segment in zip(times, order):
        if segment.payload and rng.random() < lost:
            continue
        out.append(replace(segment, ts_ns=ts_ns))
        if rng.random() < duplicated:
            out.append(replace(segment, ts_ns=ts_ns + 1000))
    return out
