"""SYNs as rows, against what the frames were made of."""
from __future__ import annotations

import struct

import numpy
import pytest
from tests.frames import START_NS, SYN, Talk, window

from pcapsec.kernels import openings, tables
from pcapsec.kernels.layers import N_PACKET

OPTIONS = struct.pack("!BBH", 2, 4, 1400) + b"\1\3\3\7" + b"\4\2" + struct.pack("!BBII", 8, 10, 123456789, 0)


def rows_of(frames, room: int = 64, **parameters):
    data, rows = window(frames)
    given = numpy.zeros(tables.N_PARAMETER, dtype=numpy.int64)
    given[tables.P_SINCE], given[tables.P_UNTIL] = tables.ALWAYS
    for name, value in parameters.items():
        given[getattr(tables, name)] = value
    out = numpy.zeros((room, openings.N_OPENING), dtype=numpy.int64)
    at, n, found = 0, 0, []
    while at < len(frames):
        at, n = openings.openings(data, rows, at, len(frames), 1, given, numpy.zeros(N_PACKET, dtype=numpy.int64), out, 0)
        found += out[:n].tolist()
    return found


def with_options(frame: bytes, options: bytes) -> bytes:
    length = struct.pack("!H", len(frame) - 14 + len(options))
    return frame[:16] + length + frame[18:46] + bytes([(20 + len(options)) // 4 << 4]) + frame[47:54] + options + frame[54:]


def test_both_steps_of_a_handshake():
    talk = Talk(ttl=(61, 57)).open().say(0, b"EHLO x\r\n").close()
    found = rows_of(talk.frames())
    common = [-1, 0, -1]
    a, b = 0xFFFFC000020A, 0xFFFFC6336414
    assert found == [[0, a, 0, b, 40000 << 16 | 25, 1000, 0, START_NS + 1_000_000, 1, 0, 61, 65535, *common], [0, b, 0, a, 25 << 16 | 40000, 5000, 1001, START_NS + 2_000_000, 2, 1, 57, 65535, *common]]
    assert rows_of(talk.frames() * 3, room=2) == [row[:8] + [row[8] + 7 * n] + row[9:] for n in range(3) for row in found] or len(rows_of(talk.frames() * 3, room=2)) == 6


def test_options():
    talk = Talk()
    talk._add(0, SYN)
    frame = talk.frame(talk.segments[0])
    [row] = rows_of([(START_NS, with_options(frame, OPTIONS))])
    assert row[openings.O_MSS] == 1400 and row[openings.O_TIMESTAMP] == 123456789 and row[openings.O_SHAPE] != 0
    [other] = rows_of([(START_NS, with_options(frame, OPTIONS[4:8] + OPTIONS[:4] + OPTIONS[8:]))])
    assert other[openings.O_SHAPE] != row[openings.O_SHAPE]


def test_filters():
    frames = Talk().open().frames() + Talk(server_port=110, client="192.0.2.77").open().frames()
    assert len(rows_of(frames)) == 4 and len(rows_of(frames, P_PORT=110)) == 2
    host = {"P_HOST_SET": 1, "P_HOST0": 0, "P_HOST1": 0xFFFFC000024D, "P_HOST_MASK0": -1, "P_HOST_MASK1": -1}
    assert len(rows_of(frames, **host)) == 2
    assert len(rows_of(frames, P_SINCE=START_NS + 2_000_000)) == 2 and len(rows_of(frames, P_UNTIL=START_NS + 2_000_000)) == 2


@pytest.mark.parametrize("frame", [with_options(Talk().open().frames()[0][1], OPTIONS)])
def test_every_truncation_and_damaged_options(frame):
    for end in range(len(frame) + 1):
        rows_of([(START_NS, frame[:end])])
    for at in range(54, len(frame)):
        for value in (0, 1, 2, 8, 255):
            rows_of([(START_NS, frame[:at] + bytes([value]) + frame[at + 1:])])
    assert len(openings.openings.signatures) <= 1
