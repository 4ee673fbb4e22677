"""How segments were sent (kernels/hints.py): compiled, as plain Python and by a slow reference, the same; no read outside an array."""
from __future__ import annotations

import os
import pathlib
import random
import subprocess
import sys
from dataclasses import replace

import numpy
import pytest
from frames import ACK, FIN, RST, Segment, Talk, window

from pcapsec.kernels import hints, keeping, layers, tables
from pcapsec.kernels.hints import (CLASH, END, H_COUNT, H_FRAME, H_FRAME1, H_INFO, H_INFO1, H_KIND, H_LATE, H_OFFSET, H_PLACE, H_PLACE1, H_SEQ, H_SIDE, H_STAMP, MOST_HINTS, N_HINT, RUN)
from pcapsec.kernels.tables import R_HINT, R_HINTS, R_SENT_A, R_SENT_B, R_START
from pcapsec.streams.engine import FORGET, Engine

ROOT = pathlib.Path(__file__).parent.parent.parent
CLIENT, SERVER = 0, 1
GREETING = b"220 mx.example ESMTP\r\n"


def heard(made: Talk):
    """Result, hints and bytes of one conversation."""
    engine = Engine()
    frames = made.frames()
    data, rows = window(frames)
    for source in (engine.take(data, rows, len(frames), 1), engine.finish()):
        for batch in source:
            engine.steer(batch.entries, [FORGET] * len(batch.entries))
            if batch.results:
                (result,) = batch.results
                return result, batch.hints[result[R_HINT]:result[R_HINT] + result[R_HINTS]], batch.data
    raise AssertionError("nothing came")


def some_talk(rng: random.Random, n: int) -> Talk:
    """A conversation of short lines whose packets come in many ways."""
    made = Talk().open().say(SERVER, GREETING)
    for _ in range(n):
        made.say(rng.randrange(2), b"%04d is said here\r\n" % rng.randrange(10000))
    for segment in made.segments:
        segment.ttl = 60 + segment.side if rng.random() < 0.7 else rng.choice([50, 70, 255, 0])
        segment.timestamp = rng.choice([None, 5, 0xFFFFFFFF]) if rng.random() < 0.2 else 7
        segment.identification = rng.choice([0, 1, 40000, 0xFFFF])
    return made


def expected_runs(made: Talk) -> list[tuple]:
    """RUN rows as a plain loop tells them: (side, frame, ttl, stamp, packets), both sides in the order in which their runs are found."""
    rows: list[list] = []
    now: dict[int, list | None] = {CLIENT: None, SERVER: None}
    first: dict[int, list | None] = {CLIENT: None, SERVER: None}
    for number, segment in enumerate(made.segments, 1):
        side = segment.side
        if not segment.payload:
            continue
        how = segment.ttl, segment.timestamp is not None
        row = [side, number, segment.ttl, None if segment.timestamp is None else segment.timestamp & 0x7FFFFFFF, 1, how]
        if now[side] is None:
            now[side] = first[side] = row
        elif now[side][5] == how:
            now[side][4] += 1
        elif len(rows) + (2 if now[side] is first[side] else 1) <= MOST_HINTS[RUN]:
            if now[side] is first[side]:
                rows.append(now[side])
                first[side] = None
            rows.append(row)
            now[side] = row
    return [tuple(row[:5]) for row in rows]


@pytest.mark.parametrize("seed", range(30))
def test_runs_are_those_of_a_plain_loop(seed):
    rng = random.Random(seed)
    made = some_talk(rng, rng.choice([3, 9, 30]))
    result, rows, _data = heard(made)
    runs = [row for row in rows if row[H_KIND] == RUN]
    if len(runs) < MOST_HINTS[RUN]:
        assert [(row[H_SIDE], row[H_FRAME], row[H_INFO] >> 8 & 0xFF, row[H_STAMP] if row[H_INFO] & tables.STAMPED else None, row[H_COUNT]) for row in runs] == expected_runs(made)
    said = [segment for segment in made.segments if segment.payload]
    for side, column in ((CLIENT, R_SENT_A), (SERVER, R_SENT_B)):
        mine = [segment for segment in said if segment.side == side]
        assert result[column] == (mine[0].ttl | len(mine) << 8 if mine else made.segments[side].ttl)
    assert (result[R_START] >> 8 & 0xFF, result[R_START] >> 16 & 0xFF) == (made.segments[0].ttl, made.segments[1].ttl)


def test_a_reset():
    made = Talk().open().say(SERVER, GREETING).say(CLIENT, b"EHLO a\r\n")
    made.segments.append(Segment(side=SERVER, sequence=made.next[SERVER] + 9, acknowledgement=made.next[CLIENT] - 3, flags=RST | ACK, ts_ns=made.clock + 1000, ttl=99, identification=77, timestamp=5))
    made.next[SERVER] += 20
    made.say(SERVER, b"later").say(CLIENT, b"mine")
    _result, rows, _data = heard(made)
    (end,) = [row for row in rows if row[H_KIND] == END]
    assert (end[H_SIDE], end[H_FRAME], end[H_LATE], end[H_STAMP], end[H_SEQ]) == (SERVER, 6, 1, 5, (made.next[SERVER] - 25 + 9) << 32 | made.next[CLIENT] - 7)
    assert (end[H_INFO] & 0xFF, end[H_INFO] >> 8 & 0xFF, end[H_INFO] >> 47) == (RST | ACK, 99, 77)
    assert (end[H_COUNT] >> 32, end[H_COUNT] & 0x7FFFFFFF) == (9, 0x7FFFFFFF - 2)
    assert end[H_INFO1] >> 8 & 0xFF == 64


@pytest.mark.parametrize("ttl, said", [(64, 0), (90, 1)])
def test_a_fin_tells_something_only_where_it_came_another_way(ttl, said):
    made = Talk().open().say(SERVER, GREETING)
    made._add(SERVER, FIN | ACK).ttl = ttl
    _result, rows, _data = heard(made)
    assert [row[H_KIND] for row in rows] == [END] * said


def test_no_more_than_there_is_room_for():
    made = Talk().open().say(SERVER, GREETING)
    for number in range(40):
        made.segments.append(Segment(side=SERVER, sequence=made.next[SERVER], flags=RST, ts_ns=made.clock + number, identification=number))
    _result, rows, _data = heard(made)
    assert [row[H_KIND] for row in rows] == [END] * MOST_HINTS[END]


@pytest.mark.parametrize("seed", range(20))
def test_both_versions(seed):
    """Lines that are said again in other words, whole or in part: each pair stands where the hint says it does."""
    rng = random.Random(seed)
    made = Talk().open().say(SERVER, GREETING)
    forged = []
    for number in range(12):
        made.say(rng.randrange(2), bytes(rng.randrange(97, 123) for _ in range(rng.choice([2, 30, 1400, 3000]))), size=1400)
        if rng.random() < 0.4:
            one = made.segments[-1]
            cut = rng.randrange(len(one.payload))
            changed = bytearray(one.payload)
            changed[cut] ^= 0x20
            forged.append((len(made.segments) + 1, one, cut, bytes(changed)))
            made.segments.append(replace(one, payload=bytes(changed), identification=rng.randrange(65536), ts_ns=made.clock + 1, ttl=rng.choice([64, 200])))
    result, rows, data = heard(made)
    clashes = [row for row in rows if row[H_KIND] == CLASH]
    wanted = [one for one in forged if len(one[1].payload) > 1][:MOST_HINTS[CLASH]]
    assert [row[H_FRAME] for row in clashes] == [frame for frame, *_ in wanted]
    for row, (_frame, one, cut, changed) in zip(clashes, wanted):
        n = min(row[H_COUNT], hints.CLASH_BYTES)
        assert row[H_COUNT] == len(changed) - cut
        assert data[row[H_PLACE]:row[H_PLACE] + n] == changed[cut:][:n]
        assert data[row[H_PLACE1]:row[H_PLACE1] + n] == one.payload[cut:][:n]
        assert row[H_FRAME1] == made.segments.index(one) + 1 and row[H_OFFSET] == one.sequence + cut - made.isn[one.side] - 1


STAMP = b"\x08\x0a\x80\0\0\1\0\0\0\2"


@pytest.mark.parametrize("options, value", [
    (b"\1\1" + STAMP, 0x80000001), (STAMP + b"\1\1", 0x80000001), (b"\2\4\5\xb4\4\2" + STAMP + b"\1\3\3\7", 0x80000001), (b"", -1), (b"\1" * 12, -1), (b"\0" + STAMP + b"\0", -1),
    (b"\5\0" + STAMP, -1), (b"\5\1" + STAMP, -1), (b"\x08\x08" + STAMP, -1), (b"\1\1" + STAMP[:6], -1), (b"\5\x28" + STAMP, -1)])
def test_timestamps(options, value):
    frame = bytes(7) + bytes(20) + options
    packet = numpy.zeros(layers.N_PACKET, dtype=numpy.int64)
    packet[layers.TCP_AT], packet[layers.PAYLOAD_AT] = 7, len(frame)
    data = numpy.frombuffer(bytearray(frame), dtype=numpy.uint8)
    assert layers.timestamp(data, packet) == layers.timestamp.py_func(data, packet) == value


def plain_alert(data: bytes) -> bool:
    if len(data) < 7:
        return False
    lengths = [len(data) - 5] + [n for n in (18, 22, 24, 26, 32, 40, 48, 64, 80) if n + 5 <= len(data)]
    return any(data[len(data) - n - 5] == 21 and data[len(data) - n - 4] == 3 and int.from_bytes(data[len(data) - n - 2:len(data) - n], "big") == n for n in lengths)


def test_alerts_at_the_end_of_a_segment():
    rng = random.Random(1)
    alert = b"\x15\3\3\0\x1a" + bytes(26)
    cases = [b"", alert, alert[:-1], b"x" + alert, bytes(300) + alert, bytes(300) + alert + b"x", b"\x15\3\3\0\2\1\0", b"\x15\3\1\1\0" + bytes(256), b"\x17\3\3\0\x1a" + bytes(26)]
    cases += [bytes(rng.choice([21, 3, 0, 26, 18]) for _ in range(rng.randrange(90))) for _ in range(500)]
    found = 0
    for case in cases:
        data = numpy.frombuffer(bytearray(b"\x15\3\3" + case + b"\x15"), dtype=numpy.uint8)
        said = keeping.has_alert(data, 3, len(case))
        assert said == keeping.has_alert.py_func(data, 3, len(case)) == plain_alert(case), case
        found += said
    assert found >= 5


def test_compiled_and_plain_python_say_the_same(monkeypatch):
    """All of hints.py on random kept segments, compiled inside assembly and as plain Python by itself."""
    for seed in range(10):
        rng = random.Random(seed)
        made = some_talk(rng, 20)
        made.segments.append(Segment(side=SERVER, sequence=made.next[SERVER], flags=RST, ts_ns=made.clock, ttl=3))
        _result, rows, _data = heard(made)
        for name in ("begin_hints", "look", "ending", "sent_by", "_hint", "distance"):
            function = getattr(hints, name)
            monkeypatch.setattr(hints, name, getattr(function, "py_func", function))
        engine = Engine()
        data, frames = window(made.frames())
        list(engine.take(data, frames, len(made.segments), 1))
        segments = engine.tables.segments
        work, out = numpy.zeros(hints.N_HINT_WORK, dtype=numpy.int64), numpy.zeros((hints.FLOW_HINTS, N_HINT), dtype=numpy.int64)
        row = int(engine.tables.flows[0, tables.SEGMENTS] >> 32) - 1
        hints.begin_hints(work, 0, row, 0, 0)
        while row >= 0:
            side = int(segments[row, tables.S_FLOW]) & tables.SIDE
            if side >= tables.ENDING:
                hints.ending(segments, row, side - tables.ENDING, engine.tables.starts[0], out, work)
            else:
                hints.look(segments, row, side, out, work)
            row = int(segments[row, tables.S_NEXT]) - 1
        assert out[:work[hints.HINTS]].tolist() == rows


CHECK = """
import numpy, pytest, sys
from pcapsec.kernels.jit import part

@part
def canary(data, at):
    return data[at]

try:
    canary(numpy.zeros(4, numpy.uint8), 9)
except IndexError:
    pass
else:
    sys.exit("bounds checking is off: an out-of-range read was not noticed")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/kernels/test_hints.py", "-k", "not bounds"]))
"""


def test_bounds():
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", CHECK], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "failed" not in run.stdout
