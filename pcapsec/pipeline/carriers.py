"""What the kernels counted of ESP, AH and tunnels, as records: sessions of protocol esp for pairs of hosts, and notes for rules about captures."""
from __future__ import annotations

from typing import Callable

from ..kernels import tables
from ..records import CLIENT, SERVER, EspAssociation, EspFacts, Facts, Session
from ..rules.carriers import MAX_CARRIERS, MAX_LISTED, Carriers, Tunnel
from ..streams.engine import Engine
from .session import address_text, encapsulation, hashed_id

MAX_ROWS = 20_000  # associations and tunnels of a capture that are remembered, 300 bytes each; the tables of the kernels hold fewer at a time
LEAST_PACKETS = 3  # of ESP in UDP: port 4500 may be anybody's, so its sequence numbers must go up
_KINDS = {tables.KIND_ESP: "esp", tables.KIND_WESP: "wesp", tables.KIND_AH: "ah", tables.KIND_WIREGUARD: "wireguard", tables.KIND_OPENVPN: "openvpn"}
_IN_IP = (4, 41)  # next headers of tunnel mode


class CarrierRows:
    """Remembers the rows of one capture, for those that give way to others in the kernels' table.

    Args:
        engine: of the capture; job: number of the worker: the first tells what all of them see.
    """

    def __init__(self, engine: Engine, job: int):
        self._engine, self._job = engine, job
        self._rows: dict[tuple[int, ...], list[int]] = {}
        self.n_more = 0

    def look(self) -> None:
        """Take the rows as they stand."""
        for row in self._engine.carriers() if not self._job else ():
            key = (*row[:tables.V_KEY + 1], row[tables.V_FRAME])
            if key in self._rows or len(self._rows) < MAX_ROWS:
                self._rows[key] = row
            else:
                self.n_more += 1

    def settle(self, carriers: Carriers, locate: Callable[[int], tuple[str, int]], matches: Callable[[list[int]], bool]) -> None:
        """The capture is over: say what there was.

        Args:
            carriers: filled.
            locate: global frame number -> (capture, frame in it).
            matches: whether somebody wants to know about a row's addresses.
        """
        self.look()
        pairs: dict[tuple[tuple[int, int], tuple[int, int]], list[list[int]]] = {}
        carriers.n_more += self.n_more
        for row in sorted(self._rows.values(), key=lambda one: (one[tables.V_FIRST_NS], one[tables.V_FRAME])):
            kind = row[tables.V_KEY] >> 32
            if not matches(row):
                continue
            if kind in (tables.KIND_WIREGUARD, tables.KIND_OPENVPN):
                if row[tables.V_STATE] == tables.CARRIER_CLEAR and len(carriers.tunnels) < MAX_CARRIERS:
                    carriers.tunnels.append(_tunnel(row, _KINDS[kind], locate))
            elif kind == tables.KIND_AH:
                ends = sorted((address_text(row[0], row[1]), address_text(row[2], row[3])))
                known = carriers.ah.setdefault((locate(row[tables.V_FRAME])[0], *ends), []) if len(carriers.ah) < MAX_CARRIERS else []
                if len(known) < MAX_LISTED:
                    known.append(row[tables.V_KEY] & 0xFFFFFFFF)
            elif not row[tables.V_PORTS] or row[tables.V_ORDERLY] >= LEAST_PACKETS - 1 or row[tables.V_STATE] == tables.CARRIER_CLEAR:
                a, b = (row[0], row[1]), (row[2], row[3])
                pairs.setdefault((a, b) if (b, a) not in pairs else (b, a), []).append(row)
        for rows in pairs.values():
            if len(carriers.esp) < MAX_CARRIERS:
                carriers.esp.append(_session(rows, locate))
            else:
                carriers.n_more += 1


def _tunnel(row: list[int], kind: str, locate: Callable[[int], tuple[str, int]]) -> tuple[int, Tunnel]:
    ports = row[tables.V_PORTS]
    ends = (address_text(row[0], row[1]), ports >> 16, address_text(row[2], row[3]), ports & 0xFFFF)
    if row[tables.V_FORM] == 2:
        ends = ends[2:] + ends[:2]
    capture, frame = locate(row[tables.V_FRAME])
    return frame, Tunnel(kind, ends, capture, row[tables.V_FIRST_NS], row[tables.V_LAST_NS], row[tables.V_PACKETS], row[tables.V_BYTES])


def _association(row: list[int]) -> EspAssociation:
    ports = row[tables.V_PORTS]
    clear = row[tables.V_STATE] == tables.CARRIER_CLEAR
    return EspAssociation(
        spi=row[tables.V_KEY] & 0xFFFFFFFF, source=address_text(row[0], row[1]), destination=address_text(row[2], row[3]), kind=_KINDS[row[tables.V_KEY] >> 32],
        ports=(ports >> 16, ports & 0xFFFF) if ports else None, packets=row[tables.V_PACKETS], bytes=row[tables.V_BYTES], first_ns=row[tables.V_FIRST_NS], last_ns=row[tables.V_LAST_NS],
        frame=row[tables.V_FRAME], orderly=row[tables.V_ORDERLY], clear=clear, sealed=row[tables.V_STATE] == tables.CARRIER_SEALED or row[tables.V_FAILS] > 0 and row[tables.V_PASSES] == 0,
        icv_bytes=row[tables.V_FORM] & 255 if clear else None, iv_bytes=row[tables.V_FORM] >> 8 if clear else None, tested=row[tables.V_PASSES],
        tunnel=row[tables.V_NEXT] in _IN_IP if clear else None)


def _session(rows: list[list[int]], locate: Callable[[int], tuple[str, int]]) -> Session:
    """The ESP between two hosts, whoever sent first as the client."""
    first = rows[0]
    associations = [_association(row) for row in rows]
    client, server = associations[0].source, associations[0].destination
    packets, size = [0, 0], [0, 0]
    for one in associations:
        side = CLIENT if one.source == client else SERVER
        packets[side] += one.packets
        size[side] += one.bytes
    capture, frame = locate(first[tables.V_FRAME])
    last_capture, last_frame = locate(max(row[tables.V_LAST_FRAME] for row in rows))
    ports = associations[0].ports or (0, 0)
    unseen = ["one_sided" if not n else None for n in packets]
    start_ns = first[tables.V_FIRST_NS]
    shown = sorted(associations, key=lambda one: not one.clear)[:MAX_LISTED]
    return Session(
        session_id=hashed_id(50, (*first[:4], 0), (first[tables.V_KEY] & 0xFFFFFFFF, 0), start_ns), capture=capture, start_ns=start_ns, end_ns=max(one.last_ns for one in associations), frame=frame,
        last_frame=last_frame if last_capture == capture else frame, client_ip=client, client_port=ports[0], server_ip=server, server_port=ports[1], role_source="content",
        facts=Facts(protocol="esp", esp=EspFacts(associations=shown, n_more=len(associations) - len(shown))), protocol="esp",
        completeness="one_sided" if any(unseen) else "full", unseen_client=unseen[CLIENT], unseen_server=unseen[SERVER], packets_client=packets[CLIENT], packets_server=packets[SERVER],
        bytes_client=size[CLIENT], bytes_server=size[SERVER], encapsulation=encapsulation(first[tables.V_WRAPPED]))
