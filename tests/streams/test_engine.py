"""Reassembly: what a conversation said comes out in the order in which it was said, whatever the mirror port did to it."""
from __future__ import annotations

import random
from dataclasses import replace

import pytest
from frames import Talk, mirrored, window

from pcapsec.kernels import assembly, tables
from pcapsec.streams.engine import FORGET, GO_ON, Engine

CLIENT, SERVER = 0, 1
DIALOGUE = [(SERVER, b"220 mx.example ESMTP\r\n"), (CLIENT, b"EHLO client.example\r\n"), (SERVER, b"250-mx.example\r\n250 SIZE 1000000\r\n"),
            (CLIENT, b"MAIL FROM:<a@example.org>\r\n"), (SERVER, b"250 ok\r\n"), (CLIENT, b"RCPT TO:<b@example.org>\r\n"), (SERVER, b"250 ok\r\n"),
            (CLIENT, b"DATA\r\n"), (SERVER, b"354 go\r\n"), (CLIENT, b"".join(b"line %d of the message\r\n" % i for i in range(400)) + b".\r\n"),
            (SERVER, b"250 queued\r\n"), (CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")]


def run_engine(frames, *, windows: int = 1, steer=None):
    """All turns of all flows as (kind, side 0 = smaller endpoint, bytes or length), and the engine."""
    engine = Engine()
    out: dict[int, list] = {}

    def take(batch):
        orders = []
        for entry, row, result in zip(batch.entries, batch.flows, batch.results):
            said = out.setdefault(entry, [])
            for kind, side, place, length, _offset in batch.turns[result[assembly.R_TURN]:result[assembly.R_TURN] + result[assembly.R_TURNS]]:
                said.append((kind, side, batch.data[place:place + length] if kind == assembly.DATA else length))
            orders.append(FORGET if result[assembly.R_OVER] and not result[assembly.R_MORE] else GO_ON)
        engine.steer(batch.entries, orders)

    size = -(-len(frames) // windows) or 1
    for at in range(0, len(frames), size):
        some = frames[at:at + size]
        data, rows = window(some)
        for batch in engine.take(data, rows, len(some), 1 + at):
            take(batch)
    for batch in engine.finish():
        take(batch)
    return out, engine


def merged(turns):
    """Neighbouring turns of the same kind and side as one."""
    out = []
    for kind, side, what in turns:
        if out and out[-1][0] == kind and out[-1][1] == side:
            out[-1] = (kind, side, out[-1][2] + what)
        else:
            out.append((kind, side, what))
    return out


def said(turns):
    return [(assembly.DATA, side, data) for side, data in turns]


def test_a_plain_conversation_comes_out_as_it_was_said():
    talk = Talk().open().turns(DIALOGUE).close()
    out, _ = run_engine(talk.frames())
    assert list(out.values()) == [said(DIALOGUE)]


@pytest.mark.parametrize("isn", [(0xFFFFFFF0, 0xFFFFFFFE), (0xFFFFFFFF, 0x7FFFFFFF), (0, 0)])
def test_sequence_numbers_wrap(isn):
    out, _ = run_engine(Talk(isn=isn).open().turns(DIALOGUE).close().frames())
    assert list(out.values()) == [said(DIALOGUE)]


@pytest.mark.parametrize("seed", range(40))
def test_reordering_and_duplicates_change_nothing(seed):
    rng = random.Random(seed)
    talk = Talk().open().turns(DIALOGUE, size=rng.choice([7, 100, 1400])).close()
    segments = mirrored(talk.segments, rng, reordered=0.2, duplicated=0.2)
    out, _ = run_engine([(s.ts_ns, talk.frame(s)) for s in segments], windows=rng.choice([1, 3]))
    assert [merged(turns) for turns in out.values()] == [said(DIALOGUE)]


@pytest.mark.parametrize("seed", range(40))
def test_loss_is_a_gap_of_the_right_length_and_the_rest_is_right(seed):
    rng = random.Random(seed)
    talk = Talk().open().turns(DIALOGUE, size=50).close()
    segments = mirrored(talk.segments, rng, lost=0.05, reordered=0.05)
    out, _ = run_engine([(s.ts_ns, talk.frame(s)) for s in segments])
    (turns,) = out.values()
    for side in (CLIENT, SERVER):
        whole = b"".join(data for who, data in DIALOGUE if who == side)
        rebuilt = b"".join(what if kind == assembly.DATA else b"?" * what for kind, who, what in turns if who == side)
        assert len(rebuilt) <= len(whole)
        assert all(mine in (ord("?"), theirs) for mine, theirs in zip(rebuilt, whole))
        assert len(whole) - len(rebuilt) <= 50  # a lost last segment leaves no trace but an acknowledgement


def test_the_acknowledgement_settles_order_when_one_direction_lags():
    talk = Talk().open().turns(DIALOGUE).close()
    client = [s for s in talk.segments if s.side == CLIENT]
    late = sorted(talk.segments, key=lambda s: s.ts_ns + (2_500_000 if s.side == SERVER else 0))
    assert [s.side for s in late] != [s.side for s in talk.segments] and client
    frames = [(1_700_000_000_000_000_000 + i * 1000, talk.frame(s)) for i, s in enumerate(late)]
    out, _ = run_engine(frames)
    assert [merged(turns) for turns in out.values()] == [said(DIALOGUE)]


def test_overlap_with_other_content_is_a_conflict_and_the_first_copy_counts():
    talk = Talk().open().turns(DIALOGUE)
    victim = talk.segments[3]
    forged = replace(victim, payload=b"220 XX.example ESMTP\r\n", ts_ns=victim.ts_ns + 1, identification=999)
    talk.segments.insert(4, forged)
    out, _ = run_engine(talk.frames())
    (turns,) = out.values()
    assert [turn for turn in turns if turn[0] == assembly.CONFLICT] == [(assembly.CONFLICT, SERVER, len(forged.payload) - 4)]
    assert merged([turn for turn in turns if turn[0] != assembly.CONFLICT]) == said(DIALOGUE)


@pytest.mark.parametrize("change", [{"bad_checksum": True}, {"payload": b"220 mx.example ESMTP\r\n"}])
def test_a_damaged_or_equal_copy_is_no_conflict(change):
    talk = Talk().open().turns(DIALOGUE)
    victim = talk.segments[3]
    talk.segments.insert(4, replace(victim, **{"payload": b"220 XX.example ESMTP\r\n", "ts_ns": victim.ts_ns + 1, "identification": 999, **change}))
    out, _ = run_engine(talk.frames())
    assert [merged(turns) for turns in out.values()] == [said(DIALOGUE)]


def test_a_keep_alive_with_a_garbage_byte_is_no_conflict():
    talk = Talk().open().turns(DIALOGUE[:2])
    last = talk.segments[-1]
    talk.segments.append(replace(last, sequence=last.sequence + len(last.payload) - 1, payload=b"\0", ts_ns=last.ts_ns + 5_000_000_000, identification=77))
    talk.clock += 5_000_000_000
    talk.turns(DIALOGUE[2:]).close()
    out, _ = run_engine(talk.frames())
    assert [merged(turns) for turns in out.values()] == [said(DIALOGUE)]


@pytest.mark.parametrize("isn", [(1000, 5000), (0, 0), (0xFFFFFFFF, 0)])
@pytest.mark.parametrize("sides", [(0, 1), (0,), (1,)])
def test_data_on_the_number_of_the_syn_loses_no_byte(isn, sides):
    talk = Talk(isn=isn).open().turns(DIALOGUE).close()
    segments = [replace(s, sequence=(s.sequence - (s.side in sides and not s.flags & 2)) & 0xFFFFFFFF,
                        acknowledgement=(s.acknowledgement - (1 - s.side in sides)) & 0xFFFFFFFF) for s in talk.segments]
    out, _ = run_engine([(s.ts_ns, talk.frame(s)) for s in segments])
    assert [merged(turns) for turns in out.values()] == [said(DIALOGUE)]


@pytest.mark.parametrize("garbage", [b"\0", b"\0junk"])
def test_what_stands_on_the_number_of_the_syn_beside_right_data_is_left_out(garbage):
    talk = Talk().open()
    server = talk.next[1]
    talk.turns(DIALOGUE).close()
    at = next(n for n, s in enumerate(talk.segments) if s.payload)
    talk.segments.insert(at, replace(talk.segments[at], sequence=server - 1, payload=garbage[:1], identification=78))
    talk.segments.insert(at + 2, replace(talk.segments[at + 1], sequence=server - 1, payload=garbage, identification=79))
    out, _ = run_engine(talk.frames())
    [turns] = out.values()
    assert merged([turn for turn in turns if turn[0] != assembly.CONFLICT]) == said(DIALOGUE)
    assert [turn for turn in turns if turn[0] == assembly.CONFLICT] == ([(assembly.CONFLICT, 1, 4)] if len(garbage) > 1 else [])


def test_one_side_only_says_where_the_other_spoke():
    talk = Talk().open().turns(DIALOGUE).close()
    frames = [(s.ts_ns, talk.frame(s)) for s in talk.segments if s.side == CLIENT]
    out, _ = run_engine(frames)
    (turns,) = out.values()
    assert [what for kind, side, what in turns if kind == assembly.DATA and side == CLIENT] == [data for side, data in DIALOGUE if side == CLIENT]
    assert sum(what for kind, side, what in turns if kind == assembly.SILENT) == sum(len(data) for side, data in DIALOGUE[:-1] if side == SERVER)


def test_a_port_pair_used_again_is_another_conversation():
    first = Talk(isn=(1000, 2000)).open().turns(DIALOGUE).close()
    second = Talk(isn=(900_000, 7_000_000)).open().turns(DIALOGUE).close()
    frames = first.frames() + [(ts + 500_000_000, frame) for ts, frame in second.frames()]
    out, _ = run_engine(frames)
    assert list(out.values()) == [said(DIALOGUE), said(DIALOGUE)]


def test_a_duplicate_frame_counts_once_and_is_counted():
    talk = Talk().open().turns(DIALOGUE).close()
    frames = [copy for ts, frame in talk.frames() for copy in ((ts, frame), (ts + 5000, frame))]
    out, engine = run_engine(frames)
    assert list(out.values()) == [said(DIALOGUE)]
    assert engine.scalars[tables.C_DUPLICATES] == len(frames) // 2


def test_what_cannot_be_mail_is_counted_and_not_kept():
    talk = Talk(server_port=22).open().turns([(CLIENT, b"SSH-2.0-x\r\n" + bytes(500)), (SERVER, b"SSH-2.0-y\r\n" + bytes(90000))]).close()
    out, engine = run_engine(talk.frames())
    assert out == {}
    assert engine.scalars[tables.CLASS_FLOWS + tables.OTHER] == 1
    assert engine.scalars[tables.CLASS_BYTES + tables.OTHER] == 511 + 90011
    assert engine.scalars[tables.SEGMENT_TOP] == 0


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(body).to_bytes(2, "big") + body


def test_of_tls_the_handshake_and_the_first_application_data_are_kept():
    hello, flight = record(22, b"\1" + bytes(300)), record(22, b"\2" + bytes(4000))
    turns = [(CLIENT, hello), (SERVER, flight), (CLIENT, record(23, bytes(40))), (SERVER, record(23, bytes(90))), (CLIENT, record(23, bytes(60))), (SERVER, record(23, bytes(16000)))]
    for port in (443, 993):
        out, engine = run_engine(Talk(server_port=port).open().turns(turns).close().frames())
        assert list(out.values()) == [[(assembly.DATA, side, what) for side, what in turns[:4]]]
        kind = tables.MAIL_TLS if port == 993 else tables.TLS
        assert engine.scalars[tables.CLASS_BYTES + kind] == sum(len(what) for _side, what in turns)


def test_application_data_in_front_of_a_missing_record_do_not_end_the_keeping():
    hello, flight, data = record(22, b"\1" + bytes(300)), record(22, b"\2" + bytes(900)), record(23, bytes(40))
    talk = Talk(server_port=443).open().turns([(CLIENT, hello), (SERVER, flight), (SERVER, data), (CLIENT, data)]).close()
    frames = talk.frames()
    late = next(index for index, (_ts, frame) in enumerate(frames) if flight[:200] in frame)
    frames[late], frames[late + 1] = (frames[late][0], frames[late + 1][1]), (frames[late + 1][0], frames[late][1])
    out, _engine = run_engine(frames)
    assert list(out.values()) == [[(assembly.DATA, CLIENT, hello), (assembly.DATA, SERVER, flight + data), (assembly.DATA, CLIENT, data)]]


def test_of_http_the_beginning_of_each_turn_is_kept():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"
    turns = [(CLIENT, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, head + bytes(90000)), (CLIENT, b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, head[:15] + b"\r\n\r\n")]
    out, engine = run_engine(Talk(server_port=80).open().turns(turns).close().frames())
    (pieces,) = out.values()
    assert [kind for kind, _side, _what in pieces] == [assembly.DATA, assembly.DATA, assembly.SKIPPED, assembly.DATA, assembly.DATA]
    kept = pieces[1][2]
    assert turns[1][1].startswith(kept) and 12_000 <= len(kept) <= 40_000 and len(kept) + pieces[2][2] == len(turns[1][1])
    assert [what for _kind, _side, what in pieces[3:]] == [turns[2][1], turns[3][1]]
    assert engine.scalars[tables.CLASS_BYTES + tables.HTTP] == sum(len(what) for _side, what in turns)


def test_cut_frames_leave_gaps():
    talk = Talk().open().turns(DIALOGUE).close()
    frames = [(ts, frame[:96]) for ts, frame in talk.frames()]
    data, rows = window(frames, original=[len(frame) for _ts, frame in talk.frames()])
    engine = Engine()
    kinds = []
    for source in (engine.take(data, rows, len(frames), 1), engine.finish()):
        for batch in source:
            kinds += [(turn[0], turn[3]) for turn in batch.turns]
            engine.steer(batch.entries, [FORGET] * len(batch.entries))
    message = sum(len(data) for side, data in DIALOGUE if len(data) > 42)
    assert sum(length for kind, length in kinds if kind == assembly.GAP_SNAPLEN) > message * 0.9


def test_no_frame_is_read_outside_its_bytes_at_any_cut():
    talk = Talk().open().turns(DIALOGUE[:3]).close()
    for ts, frame in talk.frames():
        for cut in range(len(frame)):
            data, rows = window([(ts, frame[:cut])], original=[len(frame)])
            engine = Engine()
            list(engine.take(data, rows, 1, 1))
            list(engine.finish())
