"""Answers of the endpoint mapper: which interface is reached where (C706 appendices I and O, [MS-RPCE] §2.2.1.2).

Towers are not reached by walking NDR but found by their first floor. That reads ept_map and ept_lookup, NDR and NDR64, either byte order (towers are always little
endian), and answers of which only a part was captured.
"""
from __future__ import annotations

import struct

from ..records import RpcEndpoint, RpcFacts
from .dcerpc_pdu import read_uuid
from .rpc_interfaces import INTERFACES

EPT_LOOKUP, EPT_MAP = 2, 3
MAX_ENDPOINTS = 1000  # of one connection; a domain controller registers about 300
MAX_FLOORS = 12  # 5 for TCP and HTTP, 4 for pipes; OSI and DECnet towers have 6
MAX_TEXT = 200  # characters of a pipe's or host's name

_FIRST_FLOOR = b"\x13\x00\x0d"  # 19 bytes on the left side: 0D, UUID, major version
_CONNECTIONLESS, _CONNECTION, _LOCAL = 0x0A, 0x0B, 0x0C  # floor 3
_TCP, _UDP, _IP, _PIPE, _NETBIOS, _LOCAL_PIPE, _HTTP = 0x07, 0x08, 0x09, 0x0F, 0x11, 0x10, 0x1F
_short = struct.Struct("<H").unpack_from


class EndpointReader:
    """Takes the calls of an endpoint mapper context and keeps the endpoints it answered."""

    def __init__(self, rpc: RpcFacts):
        self.rpc = rpc
        self._seen: set[tuple] = set()

    def request(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """Requests ask with a tower too, but one without a port: nothing to keep."""

    def response(self, opnum: int, stub: bytes, at: int, little_endian: bool = True) -> None:
        """The stub of an answer; `at` is its server stream offset."""
        if opnum in (EPT_LOOKUP, EPT_MAP):
            for endpoint in read_towers(stub, at, MAX_ENDPOINTS - len(self.rpc.endpoints)):
                key = (endpoint.interface_uuid, endpoint.interface_version, endpoint.protocol, endpoint.port, endpoint.address, endpoint.pipe)
                if key not in self._seen:
                    self._seen.add(key)
                    self.rpc.endpoints.append(endpoint)


def read_towers(stub: bytes, at: int, limit: int = MAX_ENDPOINTS) -> list[RpcEndpoint]:
    """The endpoints of all towers in a stub, at most `limit`."""
    found: list[RpcEndpoint] = []
    pos = stub.find(_FIRST_FLOOR, 2)
    while pos >= 2 and len(found) < limit:
        endpoint, following = _tower(stub, pos - 2, at)
        if endpoint is not None:
            found.append(endpoint)
        pos = stub.find(_FIRST_FLOOR, max(following, pos + 1))
    return found


def _tower(stub: bytes, pos: int, at: int) -> tuple[RpcEndpoint | None, int]:
    """floor_count(2), each floor: length(2) protocol id and data, length(2) address data; returns the endpoint, if it is a whole one, and where the tower ends."""
    n_floors = _short(stub, pos)[0]
    if not 3 <= n_floors <= MAX_FLOORS:
        return None, pos
    pos += 2
    floors: list[tuple[bytes, bytes]] = []
    n = len(stub)
    for _ in range(n_floors):
        halves = []
        for _half in range(2):
            if n - pos < 2:
                return None, pos
            length = _short(stub, pos)[0]
            pos += 2
            if length > n - pos:
                return None, pos
            halves.append(stub[pos:pos + length])
            pos += length
        if not halves[0]:
            return None, pos
        floors.append((halves[0], halves[1]))
    name, minor = floors[0]
    if len(name) != 19 or len(minor) < 2:
        return None, pos
    interface_uuid = read_uuid(name[1:17], True)
    endpoint = RpcEndpoint(
        at=at, interface_uuid=interface_uuid, interface=INTERFACES.get(interface_uuid), interface_version=f"{_short(name, 17)[0]}.{_short(minor, 0)[0]}", protocol="")
    return (endpoint if _reached(endpoint, floors[2:]) else None), pos


def _reached(endpoint: RpcEndpoint, floors: list[tuple[bytes, bytes]]) -> bool:
    """Fill protocol, port, address and pipe from the floors behind the transfer syntax; False when they make no endpoint that can be reached."""
    ids = [left[0] for left, _right in floors]
    rpc = ids[0]
    for kind, (_left, right) in zip(ids[1:], floors[1:]):
        if kind in (_TCP, _UDP, _HTTP) and len(right) == 2:
            endpoint.port = right[0] << 8 | right[1]
            endpoint.protocol = {_TCP: "ncacn_ip_tcp", _UDP: "ncadg_ip_udp", _HTTP: "ncacn_http"}[kind]
        elif kind == _IP and len(right) == 4:
            endpoint.address = ".".join(map(str, right))
        elif kind in (_PIPE, _LOCAL_PIPE):
            endpoint.pipe = _text(right)
            endpoint.protocol = "ncacn_np" if kind == _PIPE and rpc == _CONNECTION else "ncalrpc"
        elif kind == _NETBIOS:
            endpoint.address = _text(right) or None
    if rpc not in (_CONNECTION, _CONNECTIONLESS, _LOCAL) or not endpoint.protocol:
        return False
    return endpoint.port != 0 and endpoint.pipe != ""


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0][:MAX_TEXT].decode("latin-1")
