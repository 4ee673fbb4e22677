"""Flow table, fragments, duplicates, workers: what reaches the engine, whatever the frames look like."""
from __future__ import annotations

import random
from dataclasses import replace

import numpy
import pytest
from frames import START_NS, Talk, window
from scapy.layers.inet import IP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether

from pcapsec.kernels import assembly, flow_table, flows, tables
from pcapsec.streams.engine import FORGET, GO_ON, Engine

CLIENT, SERVER = 0, 1
DIALOGUE = [(SERVER, b"220 mx.example ESMTP\r\n"), (CLIENT, b"EHLO client.example\r\n"), (SERVER, b"250 " + b"x" * 1300 + b"\r\n"), (CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")]


def conversations(frames, parameters=None):
    """The bytes of every conversation, both sides in the order spoken, and the engine."""
    engine = Engine(parameters)
    said: dict[int, bytes] = {}
    data, rows = window(frames)
    for source in (engine.take(data, rows, len(frames), 1), engine.finish()):
        for batch in source:
            for entry, result in zip(batch.entries, batch.results):
                turns = batch.turns[result[assembly.R_TURN]:result[assembly.R_TURN] + result[assembly.R_TURNS]]
                said[entry] = said.get(entry, b"") + b"".join(batch.data[turn[2]:turn[2] + turn[3]] for turn in turns if turn[0] == assembly.DATA)
            engine.steer(batch.entries, [FORGET if r[assembly.R_OVER] and not r[assembly.R_MORE] else GO_ON for r in batch.results])
    return sorted(said.values()), engine


SAID = b"".join(data for _side, data in DIALOGUE)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", ["in order", "reversed", "shuffled", "twice"])
def test_fragments_come_together(version, order):
    addresses = {} if version == 4 else {"client": "2001:db8::1", "server": "2001:db8::2"}
    talk = Talk(**addresses).open().turns(DIALOGUE).close()
    rng = random.Random(3)
    frames = []
    for n, segment in enumerate(talk.segments):
        packet = talk.packet(segment)
        if version == 4:
            parts = [bytes(part) for part in fragment(IP(packet), fragsize=256)]
        else:
            whole = IPv6(packet)
            parts = [bytes(part) for part in fragment6(IPv6(src=whole.src, dst=whole.dst) / IPv6ExtHdrFragment(id=n) / whole.payload, 300)] if len(packet) > 300 else [packet]
        parts = {"in order": parts, "reversed": parts[::-1], "shuffled": rng.sample(parts, len(parts)), "twice": [p for part in parts for p in (part, part)]}[order]
        frames += [(segment.ts_ns + i, bytes(Ether(type=0x0800 if version == 4 else 0x86DD)) + part) for i, part in enumerate(parts)]
    said, engine = conversations(frames)
    assert said == [SAID]
    assert engine.scalars[tables.C_FRAGMENTS] > 0


def test_a_lost_fragment_loses_its_datagram_only():
    talk = Talk().open().turns(DIALOGUE).close()
    frames = []
    for segment in talk.segments:
        parts = [bytes(part) for part in fragment(IP(talk.packet(segment)), fragsize=256)]
        frames += [(segment.ts_ns, bytes(Ether(type=0x0800)) + part) for i, part in enumerate(parts) if i != 1]
    said, _engine = conversations(frames)
    assert said == [SAID.replace(b"250 " + b"x" * 1300 + b"\r\n", b"")]


def test_workers_share_the_work_and_lose_nothing():
    frames = []
    for n in range(60):
        talk = Talk(client=f"192.0.2.{n + 1}", client_port=30000 + n).open().turns(DIALOGUE).close()
        frames += [(ts + n * 1000, frame) for ts, frame in talk.frames()]
    frames.sort(key=lambda one: one[0])
    found = []
    for job in range(3):
        parameters = numpy.zeros(tables.N_PARAMETER, dtype=numpy.int64)
        parameters[tables.P_JOB], parameters[tables.P_JOBS], parameters[tables.P_SINCE], parameters[tables.P_UNTIL] = job, 3, -(1 << 62), 1 << 62
        said, _engine = conversations(frames, parameters)
        assert 0 < len(said) < 60
        found += said
    assert found == [SAID] * 60


@pytest.mark.parametrize("name, value, kept", [(tables.P_PORT, 25, 1), (tables.P_PORT, 26, 0), (tables.P_SINCE, START_NS + 10**12, 0), (tables.P_UNTIL, START_NS, 0)])
def test_filters(name, value, kept):
    parameters = numpy.zeros(tables.N_PARAMETER, dtype=numpy.int64)
    parameters[tables.P_JOBS], parameters[tables.P_SINCE], parameters[tables.P_UNTIL] = 1, -(1 << 62), 1 << 62
    parameters[name] = value
    said, _engine = conversations(Talk().open().turns(DIALOGUE).close().frames(), parameters)
    assert said == [SAID] * kept


def test_the_same_segment_in_two_vlans_counts_once():
    talk = Talk().open().turns(DIALOGUE).close()
    frames = []
    for ts, frame in talk.frames():
        frames += [(ts, frame[:12] + b"\x81\x00\x00\x0a" + frame[12:]), (ts + 2000, frame[:12] + b"\x81\x00\x00\x14" + frame[12:22] + b"\x3f" + frame[23:])]
    said, engine = conversations(frames)
    assert said == [SAID]
    assert engine.scalars[tables.C_DUPLICATES] == len(talk.segments)


def test_a_retransmission_is_no_duplicate_frame():
    talk = Talk().open().turns(DIALOGUE[:1])
    again = replace(talk.segments[-1], ts_ns=talk.clock + 300_000_000, identification=4242)
    talk.segments.append(again)
    talk.turns(DIALOGUE[1:]).close()
    said, engine = conversations(talk.frames())
    assert said == [SAID]
    assert engine.scalars[tables.C_DUPLICATES] == 0


def test_equal_pure_acknowledgements_are_no_duplicates():
    talk = Talk().open().turns(DIALOGUE[:2])
    for _ in range(5):
        talk._add(CLIENT, 16).identification = 0
    talk.turns(DIALOGUE[2:]).close()
    _said, engine = conversations(talk.frames())
    assert engine.scalars[tables.C_DUPLICATES] == 0


def test_a_syn_flood_takes_no_flow():
    talk = Talk(server_port=80)
    frames = [(START_NS + n, talk.frame(replace(Talk(client_port=n % 65536, isn=(n, 0))._add(0, 2), ts_ns=START_NS + n))) for n in range(500)]
    _said, engine = conversations(frames)
    assert engine.scalars[tables.FLOW_TOP] == 0


def test_the_index_grows_and_the_table_forgets_when_it_must():
    engine = Engine()
    engine.tables = tables.new_tables(max_flows=64, max_segments=1 << 14, arena_bytes=1 << 20, index_entries=16)
    frames = []
    for n in range(300):
        frames += Talk(client=f"192.0.{n // 200}.{n % 200 + 1}").open().turns(DIALOGUE[:2]).frames()
    data, rows = window(frames)
    seen = 0
    for source in (engine.take(data, rows, len(frames), 1), engine.finish()):
        for batch in source:
            seen += len(batch.entries)
            engine.steer(batch.entries, [FORGET if r[assembly.R_OVER] else GO_ON for r in batch.results])
    assert seen >= 300
    assert engine.scalars[tables.C_EVICTED] > 0
    assert engine.scalars[tables.N_LIVE] == 0


def test_every_kernel_has_one_signature():
    conversations(Talk().open().turns(DIALOGUE).close().frames())
    flow_table.rehash(Engine().tables, numpy.zeros(1 << 16, dtype=numpy.int32))
    for kernel in (flows.scan, flow_table.rehash, flow_table.sweep, flow_table.steer, assembly.assemble):
        assert len(kernel.signatures) == 1, kernel
