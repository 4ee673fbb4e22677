"""One opened capture walked from its first byte to its last: windows of bytes and rows of frames out, a Capture record filled on the way."""
from __future__ import annotations

import time
from typing import Iterator

import numpy as np

from ..errors import CaptureError
from ..kernels import walk, walk_ng
from ..records import Capture
from . import formats, legacy, readers

WINDOW_BYTES = 1 << 22  # stays in the processor's cache between reading, walking and decoding: 1-8 MiB are equal, 32 MiB take 2.5 times as long
ROWS = 1 << 16  # in 4 MiB, frames of 60 bytes and more fit; shorter ones come in several batches
MAX_WINDOW_BYTES = 2 * walk.MAX_BLOCK_BYTES  # what a buffer may grow to for a single block and what must be seen behind it
LIVE_SECONDS = 0.2  # a pipe's bytes are handed on after this time at the latest
TLS_KEY_LOG = 0x544C534B  # type of the decryption secrets that browsers write as SSLKEYLOGFILE (draft-ietf-opsawg-pcapng §4.7)
MAX_SECRET_BYTES = 1 << 26  # of such blocks in one file; more is not taken
MAX_HEADS_INSIDE = 1000  # pcap files joined with cat; beyond this it is no longer an accident but an attack on our time


class Buffers:
    """What a walk works in; reused from file to file."""

    def __init__(self, window_bytes: int = WINDOW_BYTES, rows: int = ROWS):
        self.data = np.empty(window_bytes, np.uint8)
        self.frames = np.empty((rows, walk.FRAME_COLUMNS), np.int64)
        self.interfaces = np.zeros((16, walk_ng.INTERFACE_COLUMNS), np.int64)


class Walk:
    """The way through one capture.

    Args:
        name: the capture's name for records and errors.
        file: binary file object, from its current position on.
        buffers: to work in.
        secrets: where the text of TLS key logs inside the capture is put; None: they are passed over.

    After `batches` is exhausted, `capture` is final and `error` holds what broke the stream off, if anything did.
    """

    def __init__(self, name: str, file, buffers: Buffers, secrets: list[bytes] | None = None):
        self.capture = Capture(name=name)
        self.error: CaptureError | None = None
        self.state: np.ndarray | None = None
        self.first_packet_ns: int | None = None
        self._buffers = buffers
        self._reader, self.capture.compression = readers.open_reader(file)
        self._filled = 0
        self._ended = False
        self._links: list[int] = []
        self._n_heads = 0
        self._table: legacy.FrameTable | None = None
        self.has_secrets = False  # a TLS key log was met
        self._secrets = secrets
        self._secret_bytes = 0

    @property
    def bytes_done(self) -> int:
        """Bytes of the file itself that were read."""
        return self._reader.position

    def batches(self) -> Iterator[int]:
        """Number of rows each time some stand in buffers.frames, whose offsets point into buffers.data; valid until the next step.

        Raises:
            CaptureError: the file's first bytes are no capture; nothing was yielded.
        """
        self._begin()
        buffers, state = self._buffers, self.state
        form = self.capture.format
        while True:
            final = 1 if self._ended else 0
            if form == "pcap":
                n = walk.walk_pcap(buffers.data, self._filled, final, state, buffers.frames)
            elif form == "pcapng":
                n = walk_ng.walk_pcapng(buffers.data, self._filled, final, state, buffers.interfaces, buffers.frames)
            elif form == legacy.SNOOP:
                n = legacy.walk_snoop(buffers.data, self._filled, final, state, buffers.frames)
            else:
                n = self._table.walk(buffers, state)
            self._tell()
            if n:
                if self.first_packet_ns is None and state[walk.N_TIMED]:
                    self.first_packet_ns = int(buffers.frames[0, walk.FRAME_TIME])
                yield n
            status = state[walk.STATUS]
            if status == walk.ROWS_FULL:
                continue
            if status == walk.INTERFACES_FULL:
                buffers.interfaces = np.concatenate([buffers.interfaces, np.zeros_like(buffers.interfaces)])
                continue
            if status == walk.SECRETS_HERE:
                self._take_secrets()
                continue
            if status == walk.HEADER_INSIDE:
                self._head_inside()
                continue
            if self._ended:
                break
            self._carry()
            self._fill()
        self._finish()

    def _begin(self) -> None:
        while self._filled < formats.ENOUGH_HEAD and not self._ended:
            self._fill()
        head = self._buffers.data[: min(self._filled, 1 << 20)].tobytes()
        try:
            self.capture.format, self.state = formats.start_of_capture(self.capture.name, head, self.capture.compression)
        except CaptureError:
            if self._reader.broken:
                raise CaptureError(self.capture.name, self._reader.position, "a capture", self._reader.broken, "copy or unpack the file again") from None
            raise
        if self.capture.format == legacy.NETMON:
            self._hold()
        elif self.capture.format != "pcapng" and self.state[walk.LINK] != walk.NO_LINK:
            self._links.append(int(self.state[walk.LINK]))

    def _hold(self) -> None:
        """Network Monitor's table of frames stands behind them: read here and there if the file allows it, else take the whole stream."""
        name, reader = self.capture.name, self._reader
        if getattr(reader, "size", None) is not None:
            places = reader
        else:
            held = bytearray(memoryview(self._buffers.data)[: self._filled])
            while not self._ended:
                if len(held) > legacy.MAX_HELD_BYTES:
                    limit = f"a Network Monitor capture of at most {legacy.MAX_HELD_BYTES >> 20} MiB in a pipe or packed"
                    raise CaptureError(name, None, limit, "a longer one", "its table of frames stands at the end: give it as a plain file")
                self._filled = 0
                self._fill()
                held += memoryview(self._buffers.data)[: self._filled]
            places = legacy.Held(held)
        self._filled, self._ended = 0, True
        self._table = legacy.FrameTable(name, places)
        self._links = self._table.links

    def _head_inside(self) -> None:
        """Another pcap's head stands where a record should: from here on its rules hold."""
        state, at = self.state, int(self.state[walk.AT])
        self._n_heads += 1
        if self._n_heads > MAX_HEADS_INSIDE:
            state[walk.SEARCHING] = 1
            state[walk.DAMAGES] += 1
            state[walk.SKIPPED] += 24
            state[walk.AT] = at + 24
            return
        formats.read_pcap_head(self._buffers.data[at : at + 24].tobytes(), state)
        state[walk.AT] += at
        if int(state[walk.LINK]) not in self._links:
            self._links.append(int(state[walk.LINK]))

    def _take_secrets(self) -> None:
        """`secrets_type(4) secrets_length(4) secrets` of the block behind which the walk stopped (draft-ietf-opsawg-pcapng §4.7)."""
        state = self.state
        at, length, order = int(state[walk.SECRET_AT]), int(state[walk.SECRET_LENGTH]), "big" if state[walk.BIG] else "little"
        if length < 8:
            return
        kind, size = (int.from_bytes(self._buffers.data[place : place + 4].tobytes(), order) for place in (at, at + 4))
        if kind != TLS_KEY_LOG or size > length - 8:
            return
        self.has_secrets = True
        self._secret_bytes += size
        if self._secrets is not None and self._secret_bytes <= MAX_SECRET_BYTES:
            self._secrets.append(self._buffers.data[at + 8 : at + 8 + size].tobytes())

    def _carry(self) -> None:
        """Bring what is not walked yet to the front; more room when not even that is enough."""
        buffers, state = self._buffers, self.state
        at = int(state[walk.AT])
        rest = self._filled - at
        needed = int(state[walk.NEEDED])
        if needed > len(buffers.data) // 2 and len(buffers.data) < MAX_WINDOW_BYTES:
            # well above what is needed: were it just enough, a hostile file could have all of it carried for every few bytes of progress
            room = np.empty(min(max(4 * needed, 2 * len(buffers.data)), MAX_WINDOW_BYTES), np.uint8)
            room[:rest] = buffers.data[at : self._filled]
            buffers.data = room
        elif at and rest:
            buffers.data[:rest] = buffers.data[at : self._filled]  # numpy copies overlapping ranges rightly
        self._filled = rest
        state[walk.AT] = 0

    def _fill(self) -> None:
        """Read until the window is full, the file ends, or a slow source has given nothing more for a while."""
        view, reader = memoryview(self._buffers.data), self._reader
        deadline = None
        size = len(view)
        while self._filled < size:
            if reader.live:
                if deadline is None:
                    reader.wait(3600)
                elif not reader.wait(deadline - time.monotonic()):
                    break
            n = reader.readinto(view[self._filled :])
            if n is None:
                continue
            if n == 0:
                self._ended = True
                break
            self._filled += n
            if reader.live:
                now = time.monotonic()
                deadline = deadline or now + LIVE_SECONDS
                if now >= deadline:
                    break

    def _tell(self) -> None:
        """Bring the record up to date."""
        state, capture = self.state, self.capture
        capture.packets = int(state[walk.PACKETS])
        capture.bytes = int(state[walk.BYTES])
        if state[walk.N_TIMED]:
            capture.first_ns, capture.last_ns = int(state[walk.FIRST_NS]), int(state[walk.NEWEST_NS])
        capture.truncated_frames = int(state[walk.TRUNCATED])
        capture.skipped_bytes = int(state[walk.SKIPPED])
        capture.time_backsteps = int(state[walk.BACKSTEPS])
        capture.snap_length = int(state[walk.SNAP_LENGTH]) or None
        if capture.format == "pcapng":
            capture.link_types = tuple(int(link) for link in state[walk.LINKS : walk.LINKS + state[walk.N_LINKS]])
        else:
            capture.link_types = tuple(self._links)
        if state[walk.HAS_DROPPED]:
            capture.dropped = int(state[walk.DROPPED])
        elif state[walk.HAS_DROP_OPTIONS]:
            capture.dropped = int(state[walk.DROP_OPTIONS])

    def _finish(self) -> None:
        state, capture, reader = self.state, self.capture, self._reader
        rest = self._filled - int(state[walk.AT])
        if state[walk.PASS_OVER]:
            rest = int(state[walk.PASS_LENGTH]) - max(0, int(state[walk.PASS_OVER]))
        if rest > 0:
            capture.complete = False
            capture.notes.append(f"the last record is cut off after {rest} bytes")
        if state[walk.DAMAGES]:
            capture.complete = False
            capture.notes.append(f"damaged in {int(state[walk.DAMAGES])} places, {capture.skipped_bytes} bytes skipped")
        if state[walk.MISFIT]:
            capture.complete = False
            capture.notes.append(f"{int(state[walk.MISFIT])} blocks say more than they hold")
        if state[walk.NO_INTERFACE]:
            capture.notes.append(f"{int(state[walk.NO_INTERFACE])} packets of interfaces that the capture does not describe")
        if self._n_heads:
            capture.notes.append(f"{self._n_heads} further pcap heads inside: files joined one after the other")
        if self._table is not None:
            notes, whole = self._table.finish()
            capture.notes += notes
            capture.complete = capture.complete and whole
        elif capture.format == legacy.SNOOP and not self._links:
            capture.notes.append("packets of a datalink type that cannot be decoded")
        if reader.broken:
            capture.complete = False
            capture.notes.append(reader.broken)
            if not reader.cut:
                self.error = CaptureError(capture.name, reader.position, "a whole file", reader.broken, "what was readable before is kept")
