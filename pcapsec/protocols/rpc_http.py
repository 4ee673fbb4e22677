"""RPC over HTTP version 2: the PDUs inside the bodies of RPC_IN_DATA and RPC_OUT_DATA ([MS-RPCH] §2.2.3, §2.2.4, §3.2).

One virtual connection is two HTTP connections: what the client says flows in the body of an RPC_IN_DATA request, what the server says in the body of the answer to an RPC_OUT_DATA
request. Both begin with an RTS PDU of the client that names the virtual connection by its cookie: CONN/B1 on the IN channel, CONN/A1 in the (short) body of the RPC_OUT_DATA request;
successor channels (IN_R1/A1, IN_R2/A1, OUT_R1/A3, OUT_R2/A3) repeat it. A channel reader cuts a body into PDUs, reads the RTS ones and keeps all others whole with their stream
offsets in `RpcChannel.pieces`; who knows the packets' times merges both channels' pieces in time order and feeds them to the DCE/RPC parser.

After damage a reader looks for the next plausible PDU header: version 5.0 or 5.1, known type, little- or big-endian ASCII IEEE, a length of at least 16.
"""
from __future__ import annotations

import re
import struct

from ..records import Facts, RpcChannel
from .http_framing import note

MAX_CHANNEL_BYTES = 4 << 20  # kept of one channel; a mailbox's first synchronisation is larger, the security of its calls is told by then
MAX_PIECES = 65536  # of one channel: PDUs of a few bytes cost more than they hold
MAX_ALL_BYTES = 64 << 20  # of all channels that are kept at once
PIECE_BYTES = 160  # what keeping one costs beside its bytes
MAX_COMMANDS = 64  # of one RTS PDU; the specified ones have at most 10
HEADER_BYTES = 16
RTS = 20  # PTYPE, §2.2.3.6.1
MIN_CHANNEL_LENGTH = 0x11  # a shorter Content-Length is an echo request (§2.1.2.1.5) or a login without body

# §2.2.3.5: bytes behind the command's type; None: by the value itself
_SIZES = {0: 4, 1: 24, 2: 4, 3: 16, 4: 4, 5: 4, 6: 4, 7: 0, 8: None, 9: 0, 10: 0, 11: None, 12: 16, 13: 4, 14: 4}
COOKIE, VERSION, PADDING, CLIENT_ADDRESS, ASSOCIATION_GROUP = 3, 6, 8, 11, 12
_PLAUSIBLE = re.compile(rb"\x05[\x00\x01][\x00-\x14][\x00-\xff][\x00\x10]\x00\x00\x00", re.DOTALL)


def read_rts(pdu: bytes) -> list[tuple[int, bytes]] | None:
    """Commands of an RTS PDU as (type, content); None when it does not hold its grammar.

    Common header 16, flags 2, number of commands 2, then each: type 4, content (§2.2.3.6.1, §2.2.3.5).
    """
    if len(pdu) < 20:
        return None
    count = int.from_bytes(pdu[18:20], "little")
    if count > MAX_COMMANDS:
        return None
    pos, out = 20, []
    for _ in range(count):
        if pos + 4 > len(pdu):
            return None
        kind = int.from_bytes(pdu[pos:pos + 4], "little")
        pos += 4
        if kind not in _SIZES:
            return None
        size = _SIZES[kind]
        if size is None:
            if pos + 4 > len(pdu):
                return None
            value = int.from_bytes(pdu[pos:pos + 4], "little")
            size = 4 + value if kind == PADDING else (4 if value == 0 else 16) + 16  # §2.2.3.2: type, address, 12 bytes of padding
        if pos + size > len(pdu):
            return None
        out.append((kind, pdu[pos:pos + size]))
        pos += size
    return out


def virtual_connection(commands: list[tuple[int, bytes]]) -> bytes | None:
    """The cookie of the virtual connection in a PDU that opens a channel: the first Cookie behind a Version (§2.2.4.2, §2.2.4.5, §2.2.4.9, §2.2.4.25); others name channels alone."""
    for place, (kind, content) in enumerate(commands):
        if kind == COOKIE:
            n_cookies = sum(1 for one, _ in commands if one == COOKIE)
            return content if n_cookies >= 2 and place and commands[place - 1][0] == VERSION else None
    return None


class Share:
    """What the pieces of one channel take of MAX_ALL_BYTES, until they are read or the channel is gone."""

    __slots__ = ("taken",)
    all_taken = 0

    def __init__(self):
        self.taken = 0

    def take(self, n_bytes: int) -> bool:
        """Room for one more piece; False: there is none."""
        cost = n_bytes + PIECE_BYTES
        if Share.all_taken + cost > MAX_ALL_BYTES:
            return False
        Share.all_taken += cost
        self.taken += cost
        return True

    def release(self) -> None:
        """The pieces are not kept any more."""
        Share.all_taken -= self.taken
        self.taken = 0

    __del__ = release


class ChannelReader:
    """Cuts one body into PDUs.

    Args:
        channel: gets the cookie, and the pieces unless `keep` is False.
        facts: gets anomalies.
        side: whose body it is.
        keep: False for the body of an RPC_OUT_DATA request, which only names the channel.
    """

    __slots__ = ("channel", "_facts", "_side", "_keep", "_held", "_held_at", "_lost", "_full", "_lost_noted", "_share")

    def __init__(self, channel: RpcChannel, facts: Facts, side: int, keep: bool = True):
        self.channel, self._facts, self._side, self._keep = channel, facts, side, keep
        self._held = bytearray()  # at most one unfinished PDU, 64 KiB
        self._held_at = 0
        self._lost = False  # looking for the next header
        self._full = self._lost_noted = False
        self._share = channel.share = channel.share or Share()

    def feed(self, data: bytes, at: int) -> None:
        """Body bytes; `at` is the stream offset of the first. The frame of a chunked body may lie between two calls."""
        held = self._held
        before, before_at = len(held), self._held_at  # what is held came from before_at on, the rest from at on
        if before:
            held += data
            if not self._lost and len(held) >= HEADER_BYTES and len(held) < self._length(held, 0):
                return
            data = bytes(held)
            held.clear()
            at -= before
        pos, n = 0, len(data)
        while n - pos >= HEADER_BYTES:
            if self._lost:
                pos = self._search(data, pos)
                if self._lost:
                    break
                continue
            size = self._length(data, pos)
            place = before_at + pos if pos < before else at + pos
            if not size:
                self._damaged(place)
                pos += 1
                continue
            if pos + size > n:
                break
            self._pdu(data[pos:pos + size], place)
            pos += size
        if pos < n:
            held += data[pos:]
            self._held_at = before_at + pos if pos < before else at + pos

    def gap(self, length: int, at: int) -> None:
        """Body bytes are missing."""
        self._held.clear()
        self._lost = True
        self.channel.complete = False

    def finish(self) -> None:
        """The body is over."""
        if self._held:
            self.channel.complete = False
            self._held.clear()

    def _damaged(self, at: int) -> None:
        if not self._lost_noted:
            self._lost_noted = True
            note(self._facts, "rpc-channel-damaged", self._side, at, "no PDU header where one should be")
        self._lost = True
        self.channel.complete = False

    def _length(self, data: bytes | bytearray, pos: int) -> int:
        """Length of the PDU whose header is at `pos`: version 5.0 or 5.1, type, flags, representation 4, length 2 (C706 §12.6.3.1); 0 when it is none."""
        if data[pos] != 5 or data[pos + 1] > 1 or data[pos + 2] > RTS:
            return 0
        size = int.from_bytes(data[pos + 8:pos + 10], "little" if data[pos + 4] & 0x10 else "big")
        return size if size >= HEADER_BYTES else 0

    def _search(self, data: bytes, pos: int) -> int:
        """Where the next plausible header begins, then `_lost` is over; else how far nothing was found."""
        while (match := _PLAUSIBLE.search(data, pos)) is not None:
            start = match.start()
            if start + HEADER_BYTES > len(data):
                return start
            if self._length(data, start):
                self._lost = False
                return start
            pos = start + 1
        return max(pos, len(data) - 7)

    def _pdu(self, pdu: bytes, at: int) -> None:
        channel = self.channel
        if pdu[2] == RTS:
            commands = read_rts(pdu)
            if commands is None:
                note(self._facts, "rpc-rts-malformed", self._side, at, f"{len(pdu)} bytes")
                return
            cookie = virtual_connection(commands)
            if cookie is not None:
                if channel.virtual_connection is None:
                    channel.virtual_connection = cookie
                elif channel.virtual_connection != cookie:
                    note(self._facts, "rpc-channel-cookie-changed", self._side, at, "a second virtual connection is named on one channel")
            for kind, content in commands:
                if kind == ASSOCIATION_GROUP and channel.association_group is None:
                    channel.association_group = content
            return
        if not self._keep:
            return
        if self._full:
            return
        if channel.n_bytes + len(pdu) > MAX_CHANNEL_BYTES or len(channel.pieces) >= MAX_PIECES:
            self._full, channel.complete = True, False
            note(self._facts, "rpc-channel-too-large", self._side, at, f"over {MAX_CHANNEL_BYTES} bytes or {MAX_PIECES} PDUs")
            return
        if not self._share.take(len(pdu)):
            self._full, channel.complete = True, False
            note(self._facts, "rpc-channels-too-large", self._side, at, f"over {MAX_ALL_BYTES} bytes in all")
            return
        channel.pieces.append((at, pdu))
        channel.n_bytes += len(pdu)


def echo_answer(body: bytes) -> bool:
    """Whether an answer's body is the echo of a proxy: one RTS PDU of 20 bytes with the flag ECHO (§2.1.2.1.6, §2.2.4.48)."""
    return len(body) == 20 and body[:3] == b"\x05\x00\x14" and struct.unpack_from("<H", body, 16)[0] & 0x40 == 0x40
