"""Scripts compiled into tables of frames.

Each script is compiled twice, for IPv4 and IPv6, since the segment sizes differ. A frame's time is `A * rtt + B * pace` after the start of its
conversation, so that one table serves near and far, fast and slow peers; rows stand in time order for any positive rtt and pace. The capture point is
beside the server.
"""
from __future__ import annotations

import numpy as np

from .script import CLIENT, SERVER, US, Fact, Pool, Script

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, SYN_CLIENT, SYN_SERVER, UDP = 0, 1, 2, 3  # frame kinds; TCP carries timestamps (12 option bytes), the SYNs MSS, SACK, window scale as well (20)
HEADER_BYTES = (32, 40, 40, 8)
SEGMENT_BYTES = (1448, 1428)  # IPv4, IPv6 at MTU 1500 with timestamps
DATAGRAM_BYTES = 1252
GAP_NS = 12 * US  # a full frame at 1 Gbit/s
FIRST_WINDOW, LARGEST_WINDOW = 10, 64  # segments

ROW = np.dtype([("pool_at", "i8"), ("length", "i4"), ("side", "u1"), ("flags", "u1"), ("kind", "u1"), ("mail", "u1"), ("seq", "i8"), ("ack", "i8"),
                ("number", "i4"), ("echo", "i4"),
                ("rtts", "f8"), ("ns", "f8"), ("slot", "i4"), ("slot_end", "i4"), ("payload_sum", "i8")])
SLOT = np.dtype([("at", "i4"), ("value_at", "i4"), ("width", "i4")])


class _Compiler:
    """One script for one IP version."""

    def __init__(self, script: Script, v6: bool, slots: list[tuple[int, int, int]], rows: list[tuple]):
        self.script, self.slots, self.rows, self.first = script, slots, rows, len(rows)
        self.segment = DATAGRAM_BYTES if script.udp else SEGMENT_BYTES[v6]
        self.sent = [0, 0]  # next sequence number, relative
        self.acked = [0, 0]  # what each side acknowledges
        self.numbers = [0, 0]  # IP ids
        self.last = [-1, -1]  # row of each side's last frame, for timestamp echoes
        self.rtts, self.ns = 0.0, 0.0
        self.mail = script.protocol is not None

    def row(self, side: int, flags: int, kind: int = TCP, pool_at: int = 0, length: int = 0, slots: tuple[int, int] = (0, 0), ack: int | None = None) -> None:
        echo = self.last[1 - side]
        self.last[side] = len(self.rows) - self.first
        self.rows.append((pool_at, length, side, flags, kind, self.mail, self.sent[side], self.acked[side] if ack is None else ack, self.numbers[side], echo,
                          self.rtts, self.ns, *slots, 0))
        self.numbers[side] += 1
        self.sent[side] += length + (1 if flags & (SYN | FIN) else 0)

    def pure_ack(self, side: int, ack: int | None = None) -> None:
        if ack is None:
            self.acked[side] = self.sent[1 - side]
        self.row(side, ACK, ack=ack)

    def compile(self) -> None:
        script = self.script
        if not script.udp:
            self.row(CLIENT, SYN, SYN_CLIENT)
            if script.start == "syn":
                return
            self.ns += 40 * US
            self.acked[SERVER] = 1
            self.row(SERVER, SYN | ACK, SYN_SERVER)
            self.rtts += 1
            self.pure_ack(CLIENT)
        talker = CLIENT
        for number, step in enumerate(script.steps):
            if step.side != talker:
                self.rtts += step.side == CLIENT
                talker = step.side
            self.ns += max(step.think_ns, 20 * US)
            self.acked[talker] = self.sent[1 - talker]
            segments = [(at, min(self.segment, step.length - at)) for at in range(0, step.length, self.segment)]
            (self._upload if talker == CLIENT or script.udp else self._download)(step, segments)
            if not script.udp and len(segments) == 1 and (number * 7 + step.length) % 20 < 7:  # a delayed acknowledgement now and then
                self.rtts += talker == SERVER
                self.ns += 40 * US
                self.pure_ack(1 - talker)
                if talker == SERVER:
                    talker = CLIENT  # the round trip is paid
        if not script.udp and script.ending != "open":
            self._end()

    def _segment(self, step, at: int, length: int, push: bool) -> None:
        if step.region is None:
            pool_at = step.pool_at + at
        else:
            pool_at = step.region.base + (step.region_at + at) % step.region.period
        first = len(self.slots)
        for slot_at, value_at, width in step.slots:
            start, end = max(slot_at, at), min(slot_at + width, at + length)
            if start < end:
                self.slots.append((start - at, value_at + start - slot_at, end - start))
        kind = UDP if self.script.udp else TCP
        self.row(step.side, ACK | PSH if push else ACK, kind, pool_at, length, (first, len(self.slots)))

    def _upload(self, step, segments: list[tuple[int, int]]) -> None:
        """Seen beside the receiver: each second segment is acknowledged at once; a window per round trip."""
        window, in_window = FIRST_WINDOW, 0
        for number, (at, length) in enumerate(segments, 1):
            if in_window == window and not self.script.udp:
                self.rtts += 1
                window, in_window = min(2 * window, LARGEST_WINDOW), 0
            in_window += 1
            self._segment(step, at, length, number == len(segments))
            self.ns += GAP_NS
            if number % 2 == 0 and not self.script.udp:
                self.ns += 3 * US
                self.pure_ack(1 - step.side)
                self.ns += 3 * US

    def _download(self, step, segments: list[tuple[int, int]]) -> None:
        """Seen beside the sender: acknowledgements come a round trip later and clock the next segments out."""
        waiting: list[int] = []  # sequence numbers that will be acknowledged
        coming: list[int] = []
        n, position = len(segments), 0
        window = FIRST_WINDOW
        while position < n or waiting:
            for ack in waiting:
                self.row(CLIENT, ACK, ack=ack)
                self.acked_client(ack)
                self.ns += 4 * US
                release = 4 if window < LARGEST_WINDOW else 2
                position = self._release(step, segments, position, release, coming)
            if not waiting:
                position = self._release(step, segments, position, window, coming)
            window = min(2 * window, LARGEST_WINDOW)
            waiting, coming = coming, []
            if waiting:
                self.rtts += 1
                self.ns += 20 * US

    def acked_client(self, ack: int) -> None:
        self.acked[CLIENT] = max(self.acked[CLIENT], ack)

    def _release(self, step, segments: list[tuple[int, int]], position: int, count: int, coming: list[int]) -> int:
        for at, length in segments[position:position + count]:
            position += 1
            self._segment(step, at, length, position == len(segments))
            self.ns += GAP_NS
            if position % 2 == 0:
                coming.append(self.sent[SERVER])
        return position

    def _end(self) -> None:
        first = SERVER if self.script.ending == "fin-server" else CLIENT
        self.ns += 300 * US
        if first == CLIENT:
            self.rtts += 1
        self.acked[first] = self.sent[1 - first]
        if self.script.ending == "reset":
            self.row(first, RST | ACK)
            return
        self.row(first, FIN | ACK)
        self.rtts += first == SERVER
        self.ns += 40 * US
        self.acked[1 - first] = self.sent[first]
        self.row(1 - first, FIN | ACK)
        self.rtts += first == CLIENT
        self.ns += 20 * US
        self.pure_ack(first)


class Library:
    """All scripts as arrays.

    Attributes:
        rows: ROW[frames]; `slots`: SLOT[...]; `pool`: uint8[bytes].
        bounds: int64[scripts, 2, 2], first and last row per script and IP version.
        mean_bytes: float[scripts], bytes of one playing in the file, over both IP versions in the mix.
    """

    def __init__(self, scripts: list[Script], pool: Pool, v6_share: float):
        self.scripts = scripts
        rows: list[tuple] = []
        slots: list[tuple[int, int, int]] = []
        bounds = []
        for script in scripts:
            both = []
            for v6 in (False, True):
                first = len(rows)
                _Compiler(script, v6, slots, rows).compile()
                both.append((first, len(rows)))
            bounds.append(both)
        self.rows = np.array(rows, dtype=ROW)
        self.slots = np.array(slots or [(0, 0, 0)], dtype=SLOT)
        self.pool = np.frombuffer(pool.data, np.uint8)  # of a bytearray, so writable
        self.bounds = np.array(bounds, dtype=np.int64)
        sizes = self.rows["length"] + np.take(np.array(HEADER_BYTES), self.rows["kind"]) + 16 + 14
        total = np.concatenate([[0], np.cumsum(sizes)])
        per_version = total[self.bounds[:, :, 1]] - total[self.bounds[:, :, 0]] + (self.bounds[:, :, 1] - self.bounds[:, :, 0]) * np.array([20, 40])
        self.mean_bytes = per_version @ np.array([1 - v6_share, v6_share])
        self.facts: list[list[Fact]] = [script.facts for script in scripts]
