"""Records of chosen connections in a capture file of our own, for tshark: one TLS record or HTTP/2 frame a packet.

The streams are our reassembly's, so tunnels, repeated and reordered segments are dealt with already, and the number of a packet says exactly which bytes of which
conversation it is. The packets are IPv4 and TCP without a handshake; a connection's number is its client's address.
"""
from __future__ import annotations

import os
import struct
from array import array
from typing import Any

SERVER_PORT, _CLIENT_PORT = 9, 40000  # discard: no dissector claims it, so that what is inside is told by us
MAX_PACKET_BYTES = 60_000  # of payload
_LINKTYPE_RAW = 101
_FILE_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, _LINKTYPE_RAW)
_RECORD = struct.Struct("<IIII")
_PACKET = struct.Struct("!BBHHHBBHIIHHIIBBHHH")
_SERVER = 0xC0000201


class Stream:
    """One connection inside a spool file.

    owner: whose it is; number: in its file; sequence: the next one of each side.
    """

    __slots__ = ("owner", "number", "sequence", "spool")

    def __init__(self, owner: Any, number: int, spool: "Spool"):
        self.owner, self.number, self.spool, self.sequence = owner, number, spool, [1, 1]


class Spool:
    """A capture file that only we can read, being written.

    Args:
        path: of the file; it must not exist.

    Attributes:
        size: bytes written; n: packets written.
    """

    def __init__(self, path: str):
        self.path = path
        self.size, self.n = len(_FILE_HEAD), 0
        self.streams: list[Stream] = []
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 16)
        self._file.write(_FILE_HEAD)
        self._whose = array("q")  # per packet: stream number << 1 | side
        self._at = array("q")  # per packet: what `add` was given

    def open(self, owner: Any) -> Stream:
        """A new connection."""
        stream = Stream(owner, len(self.streams), self)
        self.streams.append(stream)
        return stream

    def add(self, stream: Stream, side: int, data: bytes | bytearray, at: int) -> None:
        """One unit of a side, in as few packets as it takes; `at` is told with its last."""
        for begin in range(0, len(data), MAX_PACKET_BYTES):
            part = data[begin:begin + MAX_PACKET_BYTES]
            here, there = 0x0A000000 | stream.number, _SERVER
            ports = (_CLIENT_PORT, SERVER_PORT)
            if side:
                here, there, ports = there, here, ports[::-1]
            sequence = stream.sequence
            size = 40 + len(part)
            self.n += 1
            self._file.write(_RECORD.pack(self.n, 0, size, size))
            self._file.write(_PACKET.pack(0x45, 0, size, 0, 0, 64, 6, 0, here, there, *ports, sequence[side], sequence[1 - side], 0x50, 0x18, 0xFFFF, 0, 0))
            self._file.write(part)
            sequence[side] = (sequence[side] + len(part)) & 0xFFFFFFFF
            self.size += _RECORD.size + size
            self._whose.append(stream.number << 1 | side)
            self._at.append(at)

    def close(self) -> None:
        self._file.close()

    def of_packet(self, number: int) -> tuple[Any, int, int]:
        """Owner, side and place of a packet, whose number begins at 1."""
        whose = self._whose[number - 1]
        return self.streams[whose >> 1].owner, whose & 1, self._at[number - 1]
