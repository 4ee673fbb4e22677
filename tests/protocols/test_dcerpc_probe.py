"""Which bytes are DCE/RPC."""
from __future__ import annotations

import random

import pytest
from tests.rpc_bytes import EMSMDB, ack, bind, nak, pdu, request, response

from pcapsec.protocols.dcerpc import late, probe
from pcapsec.protocols.dcerpc_pdu import GREETING, read_uuid
from pcapsec.protocols.rpc_interfaces import CALLS, EXCHANGE, INTERFACES

BIND, ACK = bind((0, EMSMDB, 0x510000)), ack()


@pytest.mark.parametrize("client, server, expected", [
    (BIND, b"", True), (BIND, ACK, True), (b"", ACK, True), (b"", nak(8), True), (BIND, b"junk that is none", True), (b"", GREETING, True), (b"", GREETING[:6], None),
    (BIND[:15], b"", None), (BIND[:1], b"", None), (b"", b"", None), (b"", ACK[:3], None), (BIND[:5], ACK[:5], None), (BIND[:5], b"HTTP/1.1", False),
    (ACK, b"", False), (b"", BIND, False), (bind((0, EMSMDB, 1), order=">"), b"", True),
    (b"\5\1\0", b"\5\0", False), (b"\5\1\0", b"", None), (BIND[:5], GREETING, True), (b"\5\2\0\2", b"", False), (b"\5\1\2", b"", False),  # SOCKS5
    (b"EHLO x\r\n", b"220 mx\r\n", False), (b"\x16\3\1\0\5", b"", False), (b"GET / HTTP/1.1\r\n\r\n", b"", False), (b"", b"+OK ready\r\n", False), (b"USER a\r\n", b"", False),
    (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n", False), (b"SSH-2.0-x\r\n", b"SSH-2.0-y\r\n", False), (b"NICK a\r\n", b"", False), (b"", b"220 ftp ready\r\n", False),
    (pdu(20, bytes(60)), b"", False), (BIND[:8] + b"\1\0" + BIND[10:], b"", False), (BIND[:10] + b"\xff\0" + BIND[12:], b"", False), (BIND[:6] + b"\1" + BIND[7:], b"", False),
])
def test_probe(client, server, expected):
    assert probe(client, server) is expected


def test_probe_decides_within_one_header():
    assert [probe(BIND[:n], b"") for n in range(1, 18)] == [None] * 15 + [True] * 2


@pytest.mark.parametrize("client, server, expected", [
    (request(5), b"", True), (b"", response(5), True), (b"x" * 33 + request(5) + request(6), b"", True), (b"x" * 33 + request(5), b"", True),
    (b"x" * 33 + request(5) + b"more", b"", False), (b"x" * 33 + request(5)[:20], b"", False), (response(5), b"", False), (b"", request(5), False),
    (b"", b"y" * 2000 + response(5) + response(6), True), (b"", b"", False), (b"EHLO x\r\n", b"250 ok\r\n", False), (pdu(20, bytes(60)), b"", False)])
def test_late(client, server, expected):
    assert late(client, server) is expected


def test_late_is_not_told_by_chance():
    chance = random.Random(1)
    assert not any(late(chance.randbytes(4096), chance.randbytes(4096)) for _ in range(200))
    assert not late(b"\5" * 4096, bytes(4096))


def test_uuids_in_both_orders():
    raw = bytes(range(16))
    assert (read_uuid(raw, True), read_uuid(raw, False)) == ("03020100-0504-0706-0809-0a0b0c0d0e0f", "00010203-0405-0607-0809-0a0b0c0d0e0f")


def test_names_are_complete():
    assert {INTERFACES[one] for one in EXCHANGE} == {"EMSMDB", "AsyncEMSMDB", "NSPI", "RFR"}
    assert set(CALLS) == EXCHANGE | {uuid for uuid, name in INTERFACES.items() if name == "EPM"}
    assert all(len(uuid) == 36 and uuid == uuid.lower() for uuid in INTERFACES)
