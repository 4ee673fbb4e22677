"""Regular TLS conversations and their keys."""
from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys

import numpy
import pytest
from frames import Talk, window
from tls_bytes import (ALPN, CCS, CLIENT_KEY, DATA, DONE, FINISHED, SNI, VERSIONS, certificates, client_hello, codes, ecdhe, extension, message, record, server_hello, sni, tls12,
                       tls13, u16, vector)

from pcapsec.kernels.handshakes import (G_CHAIN, G_CHAIN_END, G_CLIENT, G_ENTRY, G_EXCHANGE_AT, G_FLIP, G_HELLO, G_HELLO_END, G_ID, G_KEY, G_KEY_END, G_SERVER, G_SERVER_PORT, G_SNI, G_SNI_END, G_TAIL,
                                        ID_BYTES)
from pcapsec.streams.engine import FORGET, Engine

ROOT = pathlib.Path(__file__).parents[2]
CLIENT, SERVER = 0, 1
CHAIN = (b"first", b"second")


def digest(turns, engine: Engine | None = None, **talk):
    """The one batch that a conversation makes."""
    engine = engine or Engine()
    data, rows = window(Talk(**{"server_port": 443, **talk}).open().turns(turns, 700).close().frames())
    found = []
    for batches in (engine.take(data, rows, len(rows), 1), engine.finish()):
        for batch in batches:
            entries = batch.entries + [row[G_ENTRY] for row in batch.regular]
            engine.steer(entries, [FORGET] * len(entries))
            found += [batch] if entries else []
    assert len(found) == 1
    return found[0]


def key(turns, **talk) -> bytes:
    batch = digest(turns, **talk)
    assert len(batch.regular) == 1 and not batch.entries, "not regular"
    row = batch.regular[0]
    return batch.keys[row[G_KEY]:row[G_KEY_END]]


def hello(**changes) -> bytes:
    given = {"extensions": SNI + ALPN, "session": b"s" * 32, **changes}
    return client_hello(**given)


def full(*, client: bytes | None = None, server: bytes | None = None, exchange: bytes | None = None, chain=CHAIN, **more):
    return tls12(client=client or hello(), server=server or server_hello(session=b"e" * 32), exchange=exchange or ecdhe(), chain=chain, **more)


def test_places():
    batch = digest(full(), server="192.0.2.1", client="192.0.2.9")
    row = batch.regular[0]
    assert batch.data[row[G_HELLO]:row[G_HELLO_END]] == hello()[4:]
    assert batch.data[row[G_SNI]:row[G_SNI_END]] == b"mail.example"
    assert batch.data[row[G_CHAIN]:row[G_CHAIN_END]] == certificates(*CHAIN)[4:]
    flight = record(22, server_hello(session=b"e" * 32)) + record(22, certificates(*CHAIN))
    assert row[G_EXCHANGE_AT] == len(flight) + 5
    assert (row[G_FLIP], row[G_SERVER_PORT]) == (1, 443)
    assert len(batch.keys[row[G_ID]:row[G_ID] + ID_BYTES]) == ID_BYTES
    assert row[G_KEY] < row[G_CLIENT] < row[G_SERVER] < row[G_TAIL] < row[G_KEY_END]


def other_random(data: bytes) -> bytes:
    return data[:6] + bytes(byte ^ 0x55 for byte in data[6:38]) + data[38:]


@pytest.mark.parametrize("turns", [
    full(client=other_random(hello())), full(server=other_random(server_hello(session=b"e" * 32))), full(client=hello(session=b"t" * 32)),
    full(client=hello(suites=codes(0x8A8A, 0x1301, 0xC02F))), full(exchange=ecdhe()[:9] + b"\x77" + ecdhe()[10:]),
    [*full()[:-1], (CLIENT, DATA + DATA)], [*full(), (SERVER, DATA), (CLIENT, record(21, bytes(20)))],
])
def test_what_makes_no_difference(turns):
    assert key(turns) == key(full())
    assert key(turns, client="2001:db8::1", server="2001:db8::2", client_port=1) == key(full())


@pytest.mark.parametrize("turns", [
    full(client=hello(suites=codes(0x1301, 0xC02F))), full(client=hello(suites=codes(0x2A2A, 0xC02F, 0x1301))), full(client=hello(compressions=b"\0\1")),
    full(client=hello(extensions=ALPN + SNI)), full(client=hello(extensions=sni("mail.examplf") + ALPN)), full(client=hello(extensions=SNI)), full(client=hello(version=0x0302)),
    full(client=hello(extensions=SNI + ALPN + extension(35))), full(client=hello(extensions=SNI + ALPN + extension(23))), full(client=hello(session=b"e" * 32)),
    full(server=server_hello(session=b"e" * 32, suite=0xC030)), full(server=server_hello(session=b"e" * 32, extensions=extension(23))), full(server=server_hello(0x0302, session=b"e" * 32)),
    full(server=server_hello(session=b"e" * 32, compression=1)), full(server=server_hello(session=b"e" * 32, nonce=bytes(24) + b"DOWNGRD\0")), full(exchange=ecdhe(29)),
    full(exchange=ecdhe(23, 0x0804)), full(chain=(b"first", b"secomd")), full(chain=(b"first",)), full()[:3],
])
def test_what_makes_a_difference(turns):
    assert key(turns) != key(full())


def test_ports_and_ends_make_a_difference():
    assert key(full(), server_port=993) != key(full())


def test_hidden_lengths_of_tls_13():
    assert key(tls13()) == key([*tls13(), (SERVER, DATA)])


@pytest.mark.parametrize("turns", [
    full(client=hello(extensions=SNI + SNI)), full(client=hello(extensions=SNI + extension(42))), full(client=hello(extensions=VERSIONS + extension(0))), full(client=hello()[:-1]),
    full(client=hello() + b"\0"), full(server=server_hello(extensions=extension(43, u16(0x7F1C)))), full(server=server_hello(suite=0x009E)), full()[:1], full()[1:],
    [(CLIENT, record(22, hello()[:9]) + record(22, hello()[9:])), *full()[1:]], [(CLIENT, record(22, hello())), (CLIENT, DATA), *full()[1:]],
    [full()[0], (SERVER, record(22, server_hello()) + record(21, b"\1\x70") + record(22, certificates(*CHAIN)))],
    [*full()[:2], (CLIENT, record(21, b"\2\x2a"))], [*full()[:2], (CLIENT, record(22, certificates(b"own")) + record(22, CLIENT_KEY) + CCS + FINISHED), *full()[3:]],
    [full()[0], (SERVER, record(22, server_hello()) + record(22, message(13, bytes(9)) + DONE)), *full()[2:]],
    [*full()[:2], (CLIENT, record(22, CLIENT_KEY) + record(24, b"\1\x40\0" + bytes(16)) + CCS + FINISHED)],
    [tls13()[0], (SERVER, tls13()[1][1][:-105] + record(23, bytes(19))), *tls13()[2:]],
])
def test_not_regular(turns):
    batch = digest(turns)
    assert (len(batch.entries), batch.regular) == (1, [])


def test_damage_stays_within_the_arrays():
    """Every truncation of each side, and random bytes in a record's clothes."""
    chance = random.Random(4)
    for turns in (full(client=hello(extensions=SNI + ALPN + VERSIONS + extension(10, vector(codes(29, 23))))), tls13()):
        for index in (0, 1):
            side, data = turns[index]
            for at in range(6, len(data), 3):
                digest([*turns[:index], (side, data[:at]), *turns[index + 1:]])
            for _ in range(60):
                broken = bytearray(data)
                for _byte in range(chance.randint(1, 6)):
                    broken[chance.randrange(5, len(broken))] = chance.choice((0, 255, chance.randrange(256)))
                digest([*turns[:index], (side, bytes(broken)), *turns[index + 1:]])


CHECK = """
import numba, numpy, pytest, sys
import pcapsec.kernels.jit

@numba.njit
def canary(data, at):
    return data[at]

try:
    canary(numpy.zeros(4, numpy.uint8), 9)
except IndexError:
    pass
else:
    sys.exit("bounds checking is off: an out-of-range read was not noticed")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/kernels/test_handshakes.py", "-k", "not bounds"]))
"""


def test_bounds():
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", CHECK], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "failed" not in run.stdout


def test_no_room_is_no_key():
    small = Engine()
    small._digest = (*small._digest[:3], numpy.zeros(300, dtype=numpy.uint8), *small._digest[4:])
    batch = digest(full(), small)
    assert (len(batch.entries), batch.regular, batch.keys) == (1, [], b"")
