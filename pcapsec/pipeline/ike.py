"""IKE associations as sessions: what their first messages say in clear, one row for each pair of hosts and initiator's SPI."""
from __future__ import annotations

from typing import Callable

from ..kernels import tables
from ..protocols import ike
from ..records import CLIENT, SERVER, Facts, IkeFacts, Session
from .session import address_text, encapsulation, hashed_id

MAX_OPEN = 4096  # associations whose messages are still waited for, about 2 KB each
MAX_MESSAGES = 64  # of an association that are read
PATIENCE_NS = 300_000_000_000  # an association that is silent so long is shown; later messages of it are no new one
_MARKER = bytes(4)  # before IKE on port 4500 (RFC 3948 §2.2)
_Key = tuple[int, int, int, int, bytes]


class _Association:
    """The messages of one pair of hosts under one initiator's SPI."""

    __slots__ = ("row", "flip", "facts", "packets", "bytes", "last_ns", "last_frame", "sure")

    def __init__(self, row: list[int]):
        self.row = row  # of the first message: its ports are shown, which NAT traversal may change later
        self.flip = False  # the first message that was seen came from the responder
        self.sure = False  # that is known
        self.facts = IkeFacts()
        self.packets, self.bytes = [0, 0], [0, 0]
        self.last_ns = row[tables.D_NS]
        self.last_frame = row[tables.D_FRAME]


class IkeAssociations:
    """IKE messages in, sessions out.

    Args:
        locate_frame: global frame number -> (capture, frame in it).
    """

    def __init__(self, locate_frame: Callable[[int], tuple[str, int]]):
        self._locate = locate_frame
        self._open: dict[_Key, _Association] = {}
        self._done: set[_Key] = set()

    def take(self, datagrams: list[tuple[list[int], bytes]]) -> list[Session]:
        """Sessions that are over now."""
        ready: list[Session] = []
        for row, data in datagrams:
            wire = row[tables.D_IP] >> 32
            if data.startswith(_MARKER) and 4500 in (row[tables.D_PORTS] >> 48 & 0xFFFF, row[tables.D_PORTS] >> 32 & 0xFFFF):
                data, wire = data[4:], wire - 4
            if not ike.is_message(data) or int.from_bytes(data[24:28], "big") != wire:
                continue
            forward, back = (row[0], row[1], row[2], row[3], data[:8]), (row[2], row[3], row[0], row[1], data[:8])
            key = back if back in self._open or back in self._done else forward
            if key in self._done:
                continue
            association = self._open.get(key)
            if association is None:
                association = self._open[key] = _Association(row)
            self._message(association, key is forward, row, data)
            if len(self._open) > MAX_OPEN:
                ready.append(self._finish(next(iter(self._open))))
        if datagrams:
            now = datagrams[-1][0][tables.D_NS]
            ready += [self._finish(key) for key in [key for key, one in self._open.items() if now - one.last_ns > PATIENCE_NS]]
        return ready

    def settle(self) -> list[Session]:
        """The capture is over: the rest."""
        return [self._finish(key) for key in list(self._open)]

    def _message(self, one: _Association, as_first: bool, row: list[int], data: bytes) -> None:
        by_initiator = ike.from_initiator(data)
        if by_initiator is not None and not one.sure:
            one.sure = True
            if one.flip != (by_initiator != as_first):
                one.flip = not one.flip
                one.packets.reverse()
                one.bytes.reverse()
        side = CLIENT if as_first != one.flip else SERVER
        if sum(one.packets) < MAX_MESSAGES:
            ike.read_message(one.facts, side, data)
        one.packets[side] += 1
        one.bytes[side] += int.from_bytes(data[24:28], "big")
        one.last_ns, one.last_frame = max(one.last_ns, row[tables.D_NS]), row[tables.D_FRAME]

    def _finish(self, key: _Key) -> Session:
        one = self._open.pop(key)
        if len(self._done) >= MAX_OPEN * 4:
            self._done.clear()
        self._done.add(key)
        ports = one.row[tables.D_PORTS]
        ends = [(address_text(key[0], key[1]), ports >> 48 & 0xFFFF), (address_text(key[2], key[3]), ports >> 32 & 0xFFFF)]
        (client_ip, client_port), (server_ip, server_port) = reversed(ends) if one.flip else ends
        capture, frame = self._locate(one.row[tables.D_FRAME])
        last_capture, last_frame = self._locate(one.last_frame)
        start_ns = one.row[tables.D_NS]
        unseen = ["one_sided" if not n else None for n in one.packets]
        spi = int.from_bytes(key[4], "big")
        return Session(
            session_id=hashed_id(17, (*key[:4], ports), (spi >> 32, spi & 0xFFFFFFFF), start_ns), capture=capture, start_ns=start_ns, end_ns=one.last_ns, frame=frame,
            last_frame=last_frame if last_capture == capture else frame, client_ip=client_ip, client_port=client_port, server_ip=server_ip, server_port=server_port,
            role_source="content" if one.sure else "port", facts=Facts(protocol="ike", ike=one.facts), protocol="ike", service="ike", service_source="content", service_confidence="high",
            completeness="one_sided" if any(unseen) else "full", unseen_client=unseen[CLIENT], unseen_server=unseen[SERVER], packets_client=one.packets[CLIENT],
            packets_server=one.packets[SERVER], bytes_client=one.bytes[CLIENT], bytes_server=one.bytes[SERVER], encapsulation=encapsulation(one.row[tables.D_STATE]))
