"""Captures of Solaris' snoop and of Microsoft's Network Monitor 1 and 2: the same rows as the kernels make of pcap and pcapng, in plain Python.

Snoop is a stream of records and walked as a pcap is: window by window, everything remembered in the `state` of kernels.walk. After a record that cannot
be true, `walk_snoop` goes on at the next place where two plausible ones follow one another. Network Monitor puts a table of its frames at the file's end:
`FrameTable` reads here and there in a file, and holds whole what comes out of a pipe or a packed file, up to MAX_HELD_BYTES. Entries of the table that
point to no whole frame are left out and counted.

Source: RFC 1761 and IANA's snoop datalink types; "Capture File Format" in Network Monitor 3's help; the peculiarities as Wireshark's libwiretap describes them.
"""
from __future__ import annotations

import datetime
import struct

import numpy as np

from ..errors import CaptureError
from ..kernels import walk

SNOOP, NETMON = "snoop", "netmon"
SNOOP_MAGIC = b"snoop\0\0\0"
NETMON_MAGICS = (b"RTSS", b"GMBU")

MAX_HELD_BYTES = 1 << 28  # of a Network Monitor capture that cannot be read here and there
AHEAD_BYTES = 1 << 16  # read at a time: a frame's neighbour is mostly the next one
MAX_PADDING = 1024  # behind a snoop record's frame; Surveyor keeps some 20 bytes of its own there
SURVEYOR_BYTES = 16  # so much behind the first frame is no padding but Surveyor's (Shomiti, Finisar), which has its own datalink numbers

# LINKTYPE of a snoop datalink type; those not named here: no known link
_SNOOP_LINKS = {0: 1, 4: 1, 2: 6, 8: 10, 9: 0, 14: 0, 16: 122, 18: 123, 0x80000005: 226}
_SURVEYOR_LINKS = {0: 1, 4: 1, 10: 1, 12: 1, 19: 1, 2: 6, 11: 6, 13: 6, 14: 6, 8: 10}
# LINKTYPE of a Network Monitor network type; 0 is written for Ethernet by some, 7 to 9 are IP without a link layer
_NETMON_LINKS = {0: 1, 1: 1, 2: 6, 3: 10, 7: 101, 8: 101, 9: 101}
_NETMON_FROM_PCAP = 0xE000  # + LINKTYPE, below 0xE080: converted from pcap
_NETMON_NO_PACKET = (0xFFFC, 0xFFFD, 0xFFFE)  # head of a reassembled payload, adapters, DNS cache: Wireshark does not count them either
_FILETIME_1970 = 116_444_736_000_000_000  # 100 ns steps from 1601 to 1970

_SNOOP_RECORD = struct.Struct(">6I")  # original, included, record length, drops so far, seconds, microseconds
_NETMON_1_RECORD = struct.Struct("<IHH")  # ms since the start, original, captured
_NETMON_2_RECORD = struct.Struct("<QII")  # µs since the start, original, captured
_NETMON_TRAILERS = {0: 0, 1: 2, 2: 6}  # bytes behind a frame by minor version of 2.x; from 2.3 on 15


def format_of(head: bytes) -> str | None:
    """"snoop", "netmon", or None when the bytes begin neither."""
    if head[:8] == SNOOP_MAGIC:
        return SNOOP
    return NETMON if head[:4] in NETMON_MAGICS else None


def start(name: str, form: str, head: bytes, state: np.ndarray) -> None:
    """Set what the head decides.

    Raises:
        CaptureError: a version that nobody has described, or not even a whole head.
    """
    if len(head) < 16:
        raise CaptureError(name, len(head), f"a {form} head", f"the end of the file after {len(head)} bytes", "the file was cut off")
    if form == NETMON:
        if head[5] not in (1, 2):
            raise CaptureError(name, 5, "version 1 or 2 of Network Monitor's format", f"version {head[5]}", "if Wireshark opens it: editcap -F pcapng FILE NEW.pcapng")
        return
    version, datalink = struct.unpack_from(">II", head, 8)
    if not 2 <= version <= 5:  # 3 to 5 are Surveyor's
        raise CaptureError(name, 8, "version 2 of the snoop format", f"version {version}", "if Wireshark opens it: editcap -F pcapng FILE NEW.pcapng")
    links = _SNOOP_LINKS
    if len(head) >= 40:
        _original, included, length = struct.unpack_from(">III", head, 16)
        if SURVEYOR_BYTES <= length - 24 - included <= MAX_PADDING:
            links = _SURVEYOR_LINKS
    state[walk.LINK] = links.get(datalink, walk.NO_LINK)
    state[walk.AT] = 16


def _give(state: np.ndarray, out_frames: np.ndarray, rows: list[tuple[int, int, int, int, int]]) -> int:
    """Write the rows and bring the state's counts up to date, as the kernels do."""
    n = len(rows)
    if n == 0:
        return 0
    out_frames[:n] = rows
    times = out_frames[:n, walk.FRAME_TIME]
    timed = state[walk.N_TIMED] > 0
    newest = np.maximum.accumulate(times)
    if timed:
        newest = np.maximum(newest, state[walk.NEWEST_NS])
    state[walk.FIRST_NS] = min(int(times.min()), int(state[walk.FIRST_NS])) if timed else times.min()
    state[walk.NEWEST_NS] = newest[-1]
    state[walk.BACKSTEPS] += int((newest - times > walk.BACKSTEP_NS).sum())
    state[walk.LAST_NS] = times[-1]
    state[walk.N_TIMED] += n
    state[walk.PACKETS] += n
    state[walk.BYTES] += int(out_frames[:n, walk.FRAME_CAPTURED].sum())
    state[walk.TRUNCATED] += int((out_frames[:n, walk.FRAME_CAPTURED] < out_frames[:n, walk.FRAME_ORIGINAL]).sum())
    return n


# ---- snoop --------------------------------------------------------------------------------------------------------------------------------------


def walk_snoop(data: np.ndarray, end: int, final: int, state: np.ndarray, out_frames: np.ndarray) -> int:
    """Walk snoop records; arguments, rows and state as of kernels.walk.walk_pcap."""
    view = memoryview(data)
    at, link, dropped = int(state[walk.AT]), int(state[walk.LINK]), int(state[walk.DROPPED])
    capacity = out_frames.shape[0]
    rows: list[tuple[int, int, int, int, int]] = []
    last_s = int(state[walk.LAST_NS]) // 1_000_000_000 if state[walk.N_TIMED] else None
    status, needed = walk.WINDOW_DONE, 24
    while True:
        if state[walk.SEARCHING]:
            place, found = _find_snoop(data, at, end, final, last_s)
            state[walk.SKIPPED] += place - at
            at = place
            if not found:
                needed = end - at + 1
                if final:
                    state[walk.SKIPPED] += end - at
                    at = end
                break
            state[walk.SEARCHING] = 0
        if len(rows) == capacity:
            status = walk.ROWS_FULL
            break
        if at + 24 > end:
            break
        original, included, length, drops, seconds, microseconds = _SNOOP_RECORD.unpack_from(view, at)
        if included > walk.MAX_CAPTURED_BYTES or not 24 <= length - included <= 24 + MAX_PADDING:
            state[walk.SEARCHING] = 1
            state[walk.DAMAGES] += 1
            state[walk.SKIPPED] += 1
            at += 1
            continue
        if at + length > end:
            needed = length
            if not final or at + 24 + included > end:
                break
            length = end - at  # only padding is missing
        rows.append((at + 24, included, original, seconds * 1_000_000_000 + microseconds * 1000, link))
        last_s = seconds
        dropped = max(dropped, drops)
        at += length
    state[walk.AT], state[walk.STATUS], state[walk.NEEDED] = at, status, needed
    if dropped:  # 0 is what those write that cannot count
        state[walk.DROPPED], state[walk.HAS_DROPPED] = dropped, 1
    return _give(state, out_frames, rows)


def _find_snoop(data: np.ndarray, at: int, end: int, final: int, last_s: int | None) -> tuple[int, bool]:
    """First place from `at` on where two plausible records follow one another, or one that ends with the file; else (where to go on, False)."""
    view = memoryview(data)
    last = end - 23  # exclusive: a head begins before it
    if at < last:
        d = data
        # lengths below 2**19 and not all zero: nearly every place fails here
        likely = (d[at:last] == 0) & (d[at + 4 : last + 4] == 0) & (d[at + 8 : last + 8] == 0) & (d[at + 5 : last + 5] <= 4) & (d[at + 9 : last + 9] <= 4)
        likely &= (d[at + 6 : last + 6] | d[at + 7 : last + 7] | d[at + 5 : last + 5]) > 0
        for place in (np.flatnonzero(likely) + at).tolist():
            verdict = _snoop_chain(view, place, end, final, last_s)
            if verdict is None:
                return place, False
            if verdict:
                return place, True
    return max(at, last), False


def _snoop_chain(view: memoryview, at: int, end: int, final: int, last_s: int | None) -> bool | None:
    """Whether records begin here; None: bytes behind the window decide."""
    for n in range(2):
        if at + 24 > end:
            return (n == 1 and at == end) if final else None
        original, included, length, _drops, seconds, microseconds = _SNOOP_RECORD.unpack_from(view, at)
        if not 1 <= included <= original <= walk.MAX_ORIGINAL_BYTES or included > walk.MAX_CAPTURED_BYTES or not 24 <= length - included <= 24 + MAX_PADDING:
            return False
        if microseconds >= 1_000_000 or (last_s is not None and abs(seconds - last_s) > walk.NEAR_S):
            return False
        last_s = seconds
        at += length
    return True


# ---- Network Monitor ----------------------------------------------------------------------------------------------------------------------------


class Held:
    """Bytes of a stream that was read to its end."""

    def __init__(self, data: bytes | bytearray):
        self._data = memoryview(data)
        self.size = len(data)

    def read_at(self, at: int, n: int) -> memoryview:
        return self._data[at : at + n]


class FrameTable:
    """The frames that a Network Monitor capture's table lists.

    Args:
        name: the capture's name for errors.
        places: where its bytes are read, from the capture's first one on: `read_at(at, n)` gives n bytes or fewer at the end, `size` how many there are.

    Raises:
        CaptureError: the head or the whole table is missing.
    """

    def __init__(self, name: str, places):
        self._places = places
        self._ahead: bytes | memoryview = b""
        self._ahead_at = 0
        head = bytes(places.read_at(0, 32))
        if len(head) < 32:
            raise CaptureError(name, len(head), "a Network Monitor head of 128 bytes", f"the end of the file after {len(head)}", "the file was cut off")
        minor, major, network = struct.unpack_from("<BBH", head, 4)
        self._table_at, length = struct.unpack_from("<II", head, 24)
        self._record = _NETMON_2_RECORD if major == 2 else _NETMON_1_RECORD
        self._tick = 1000 if major == 2 else 1_000_000
        self._trailer = _NETMON_TRAILERS.get(minor, 15) if major == 2 else 0
        self._network = network
        self.links: list[int] = []  # in order of appearance; declared by the head in versions without a trailer
        self.notes: list[str] = []
        if not self._trailer and network in _NETMON_LINKS:
            self.links.append(_NETMON_LINKS[network])
        self._start_ns = self._start_of(head)
        here = max(0, min(length, places.size - self._table_at)) // 4
        if length >= 4 and here == 0:
            raise CaptureError(
                name, self._table_at, "the table of its frames", f"the end of the file at byte {places.size}", "the file was cut off, or its capture never ended in order"
            )
        self._n_entries = here
        self.missing = length // 4 - here
        self.wrong = 0  # entries that point to no whole frame
        self._next = 0
        self._unknown: dict[int, int] = {}
        self._left = places.size  # what all records together may take: a table that lists the same bytes again and again is an attack on our time

    def _start_of(self, head: bytes) -> int:
        year, month, _weekday, day, hour, minute, second, millisecond = struct.unpack_from("<8H", head, 8)
        if self._trailer < 15:
            self.notes.append("times are local ones of the machine that captured, the format names no time zone: taken as UTC")
        try:
            then = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc)
        except ValueError:
            self.notes.append("the start time is no date: times are counted from 1970")
            return 0
        return int(then.timestamp()) * 1_000_000_000 + millisecond * 1_000_000

    def walk(self, buffers, state: np.ndarray) -> int:
        """Copy the next frames into buffers.data; rows, state and STATUS as of kernels.walk.walk_pcap."""
        rows: list[tuple[int, int, int, int, int]] = []
        filled, capacity = 0, len(buffers.frames)
        entries = self._entries(capacity)
        taken = 0
        for at in entries:
            frame = self._frame(at)
            if frame is not None:
                data, original, ts_ns, link = frame
                if filled + len(data) > len(buffers.data):
                    if rows:
                        break  # this entry again in the next window
                    buffers.data = np.empty(2 * len(data), np.uint8)
                buffers.data[filled : filled + len(data)] = np.frombuffer(data, np.uint8)
                rows.append((filled, len(data), original, ts_ns, link))
                filled += len(data)
                self._left -= self._record.size + len(data) + self._trailer
                if link == walk.NO_LINK:
                    self._unknown[self._last_network] = self._unknown.get(self._last_network, 0) + 1
                elif link not in self.links:
                    self.links.append(link)
            taken += 1
            if self._left < 0:
                self.notes.append(f"frames overlap: the last {self._n_entries - self._next - taken} of the table are left out")
                self.wrong += 1
                self._n_entries = self._next + taken
                break
        self._next += taken
        state[walk.STATUS] = walk.ROWS_FULL if self._next < self._n_entries else walk.WINDOW_DONE
        return _give(state, buffers.frames, rows)

    def _entries(self, n: int) -> list[int]:
        data = self._places.read_at(self._table_at + 4 * self._next, 4 * min(n, self._n_entries - self._next))
        entries = np.frombuffer(data, "<u4", len(data) // 4).tolist()
        if not entries:  # the file shrank meanwhile
            self.missing += self._n_entries - self._next
            self._n_entries = self._next
        return entries

    def _frame(self, at: int) -> tuple[memoryview | bytes, int, int, int] | None:
        """(bytes, original length, ts_ns, link) of the record at a place; None when it is no packet."""
        header = self._record.size
        head = self._read(at, header)
        if len(head) < header or at < 32:
            self.wrong += 1
            return None
        delta, original, captured = self._record.unpack(head)
        if captured > walk.MAX_CAPTURED_BYTES:
            self.wrong += 1
            return None
        data = self._read(at + header, captured + self._trailer)
        if len(data) < captured + self._trailer:
            self.wrong += 1
            return None
        if self._tick == 1000:
            delta = (delta * 10 + (1 << 63)) % (1 << 64) - (1 << 63)  # signed once it counts 100 ns, says the format: frames may be older than the start
            ts_ns = self._start_ns + delta * 100
        else:
            ts_ns = self._start_ns + delta * self._tick
        network = self._network
        if self._trailer:
            network = int.from_bytes(data[captured : captured + 2], "little")
            if network in _NETMON_NO_PACKET:
                return None
            if self._trailer == 15:
                ts_ns = (int.from_bytes(data[captured + 6 : captured + 14], "little") - _FILETIME_1970) * 100
        self._last_network = network
        if _NETMON_FROM_PCAP <= network < _NETMON_FROM_PCAP + 0x80 or _NETMON_FROM_PCAP + 0x8B <= network < _NETMON_FROM_PCAP + 0x1000:
            link = network - _NETMON_FROM_PCAP
        else:
            link = _NETMON_LINKS.get(network, walk.NO_LINK)
        return data[:captured], original, min(max(ts_ns, 0), walk.MAX_NS), link

    def _read(self, at: int, n: int) -> memoryview | bytes:
        begin = at - self._ahead_at
        if begin < 0 or begin + n > len(self._ahead):
            self._ahead = memoryview(self._places.read_at(at, max(n, AHEAD_BYTES)))
            self._ahead_at, begin = at, 0
        return self._ahead[begin : begin + n]

    def finish(self) -> tuple[list[str], bool]:
        """What to note about the capture, and whether it was complete."""
        notes = list(self.notes)
        if self._unknown:
            kinds = ", ".join(f"{kind:#x} ({n})" if kind > 255 else f"{kind} ({n})" for kind, n in sorted(self._unknown.items())[:8])
            notes.append(f"packets of network types that cannot be decoded: {kinds}")
        if self.missing:
            notes.append(f"the table of frames is cut off: {self.missing} of its entries are missing")
        if self.wrong:
            notes.append(f"{self.wrong} entries of the table of frames point to no whole frame")
        return notes, not (self.missing or self.wrong)
