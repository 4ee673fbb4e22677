"""QUIC connections as sessions: the first datagrams of both sides say in clear what TLS over TCP says in its hellos (RFC 9001 §5.2)."""
from __future__ import annotations

from typing import Callable

from ..kernels import tables
from ..protocols import quic
from ..records import Facts, Session
from .conversation import SERVICE_PORTS
from .services import provider_of, service_of, sureness
from .session import address_text, encapsulation, hashed_id

MAX_OPEN = 4096  # connections whose hellos are not read yet, about 10 KB each
MAX_DATAGRAMS = 8  # of a side; two carry a ClientHello with post-quantum key shares
PATIENCE_NS = 10_000_000_000  # for the server's answer


class _Connection:
    """The Initial packets of one pair of endpoints."""

    __slots__ = ("row", "frames", "last_ns", "last_frame", "said")

    def __init__(self, row: list[int]):
        self.row = row
        self.frames: tuple[list[int], list[int]] = ([], [])
        self.last_ns = row[tables.D_NS]
        self.last_frame = row[tables.D_FRAME]
        self.said: tuple[list[bytes], list[bytes]] = ([], [])


def swapped(ports: int) -> int:
    """The two ports of a datagram's row the other way round, as an int64 of the table: a first port of 32768 and above makes it negative."""
    turned = (ports >> 48 & 0xFFFF) << 32 | (ports >> 32 & 0xFFFF) << 48 | ports & 0xFFFFFFFF
    return turned - (1 << 64) if turned >> 63 else turned


class QuicConnections:
    """Initial packets in, sessions out.

    Args:
        locate_frame: global frame number -> (capture, frame in it).
    """

    def __init__(self, locate_frame: Callable[[int], tuple[str, int]]):
        self._locate = locate_frame
        self._open: dict[tuple[int, ...], _Connection] = {}
        self._done: dict[tuple[int, ...], int] = {}  # key -> time of the last datagram: later Initial packets of it are no new connection

    def take(self, datagrams: list[tuple[list[int], bytes]]) -> list[Session]:
        """Sessions that are complete now."""
        ready: list[Session] = []
        for row, payload in datagrams:
            ports = row[tables.D_PORTS]
            key = (row[0], row[1], row[2], row[3], ports)
            back = (row[2], row[3], row[0], row[1], swapped(ports))
            side = 0
            connection = self._open.get(key)
            if connection is None and back in self._open:
                side, key = 1, back
                connection = self._open[back]
            if connection is None:
                known = self._done.get(key) or self._done.get(back)
                if known is not None and abs(row[tables.D_NS] - known) < PATIENCE_NS:
                    continue
                if (ports >> 48 & 0xFFFF) in SERVICE_PORTS and (ports >> 32 & 0xFFFF) not in SERVICE_PORTS:
                    side, key = 1, back  # the server's packets come first, or alone
                connection = self._open[key] = _Connection(row)
            connection.last_ns, connection.last_frame = max(connection.last_ns, row[tables.D_NS]), row[tables.D_FRAME]
            if len(connection.said[side]) < MAX_DATAGRAMS:
                connection.said[side].append(payload)
                connection.frames[side].append(row[tables.D_FRAME])
            if side == 1 and connection.said[0]:
                ready += self._finish(key, unless_incomplete=True)
            if len(self._open) > MAX_OPEN:
                ready += self._finish(next(iter(self._open)))
        if datagrams:
            now = datagrams[-1][0][tables.D_NS]
            for key in [key for key, connection in self._open.items() if now - connection.last_ns > PATIENCE_NS]:
                ready += self._finish(key)
        return ready

    def settle(self) -> list[Session]:
        """The capture is over: whatever can be read of the rest."""
        return [session for key in list(self._open) for session in self._finish(key)]

    def _finish(self, key: tuple[int, ...], unless_incomplete: bool = False) -> list[Session]:
        connection = self._open[key]
        handshake = quic.read_handshake(*connection.said)
        if unless_incomplete and (handshake is None or handshake.server_hello_at is None) and len(connection.said[1]) < MAX_DATAGRAMS:
            return []
        del self._open[key]
        if len(self._done) >= MAX_OPEN:
            self._done.clear()
        self._done[key] = connection.last_ns
        if handshake is None:
            return []
        ports = key[4]
        first = min(connection.frames[0][:1] + connection.frames[1][:1])
        capture, frame = self._locate(first)
        last_capture, last_frame = self._locate(connection.last_frame)
        facts = Facts(protocol="quic")
        service, source = service_of("tls", facts, handshake, ports >> 32 & 0xFFFF)
        start_ns = connection.row[tables.D_NS]

        def locate(side: int, at: int) -> tuple[str, int, int]:
            frames = connection.frames[side] or connection.frames[1 - side]
            return (*self._locate(frames[0]), start_ns)

        return [Session(
            session_id=hashed_id(17, key, (0, 0), start_ns), capture=capture, start_ns=start_ns, end_ns=connection.last_ns, frame=frame,
            last_frame=last_frame if last_capture == capture else frame, client_ip=address_text(key[0], key[1]), client_port=ports >> 48 & 0xFFFF,
            server_ip=address_text(key[2], key[3]), server_port=ports >> 32 & 0xFFFF, role_source="content", facts=facts, tls=handshake, protocol="quic",
            service=service, service_source=source, service_confidence=sureness(source, handshake), provider=provider_of(handshake), tls_mode="implicit", completeness="full" if connection.said[1] else "one_sided",
            unseen_server=None if connection.said[1] else "one_sided", packets_client=len(connection.said[0]), packets_server=len(connection.said[1]),
            bytes_client=sum(map(len, connection.said[0])), bytes_server=sum(map(len, connection.said[1])),
            encapsulation=encapsulation(connection.row[tables.D_STATE]), locate=locate)]
