"""What the engine does when a table is full, a clock jumps or more is missing than it can wait for: it goes on, and what it gives up it counts."""
from __future__ import annotations

import random
import signal
import time

import pytest
from frames import START_NS, Segment, Talk, mirrored, window

from pcapsec.kernels import assembly, tables
from pcapsec.streams import engine as module
from pcapsec.streams.engine import FORGET, GO_ON, Engine

CLIENT, SERVER = 0, 1
HELLO = [(SERVER, b"220 mx.example ESMTP\r\n"), (CLIENT, b"EHLO client.example\r\n"), (SERVER, b"250 mx.example\r\n")]
SECONDS = 60


@pytest.fixture(autouse=True)
def limit():
    """These tests fail by never ending."""
    def ring(_signal, _frame):
        raise TimeoutError("the engine does not come to an end")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Listener:
    """Drives an engine and keeps what each conversation said: (kind, side, bytes or length) of each turn, which ones ended, and the sums of results."""

    def __init__(self):
        self.engine = Engine()
        self.said: dict[int, list] = {}
        self.over: list[int] = []
        self.evicted: list[int] = []
        self.duplicates = self.truncated = 0
        self.frame = 1

    def _take(self, batches):
        for batch in batches:
            orders = []
            for entry, row, result in zip(batch.entries, batch.flows, batch.results):
                turns = self.said.setdefault(row[tables.KEY_PORTS], [])
                for kind, side, place, length, _offset in batch.turns[result[assembly.R_TURN]:result[assembly.R_TURN] + result[assembly.R_TURNS]]:
                    what = batch.data[place:place + length] if kind == assembly.DATA else length
                    if turns and kind == assembly.DATA and turns[-1][:2] == (kind, side):
                        turns[-1] = (kind, side, turns[-1][2] + what)
                    else:
                        turns.append((kind, side, what))
                self.duplicates += result[assembly.R_DUPLICATES]
                self.truncated += result[assembly.R_TRUNCATED]
                ended = bool(result[assembly.R_OVER] and not result[assembly.R_MORE])
                if ended:
                    self.over.append(row[tables.KEY_PORTS])
                    if row[tables.STATE] & tables.EVICTED:
                        self.evicted.append(row[tables.KEY_PORTS])
                orders.append(FORGET if ended else GO_ON)
            self.engine.steer(batch.entries, orders)

    def take(self, frames, original=None):
        data, rows = window(frames, original=original)
        self._take(self.engine.take(data, rows, len(frames), self.frame))
        self.frame += len(frames)

    def finish(self):
        self._take(self.engine.finish())
        return self


def ports(talk: Talk) -> int:
    """The flow's key part of a conversation between the default addresses, of which the client's is the smaller."""
    return (talk.client_port << 48) | (talk.server_port << 32)


def long_upload(n: int) -> Talk:
    talk = Talk(step_ns=1000).open().turns([*HELLO, (CLIENT, b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"), (SERVER, b"354 go\r\n")])
    return talk.say(CLIENT, b"".join(b"%06d a line of the message\r\n" % i for i in range(n // 30)))


def test_a_hole_in_front_of_more_than_the_output_holds_waits_for_its_bytes(monkeypatch):
    """One lost segment, 400 kB sent behind it before it comes again."""
    monkeypatch.setattr(module, "SWEEP_FRAMES", 1)
    talk = long_upload(400_000)
    frames = talk.frames()
    lost = frames.pop(9)
    listener = Listener()
    listener.take(frames[:len(frames) // 2])
    listener.take([*frames[len(frames) // 2:], (talk.clock + 1, lost[1])])
    (turns,) = listener.finish().said.values()
    upload = b"".join(segment.payload for segment in talk.segments if segment.side == CLIENT)
    assert b"".join(what for kind, side, what in turns if (kind, side) == (assembly.DATA, CLIENT)) == upload
    assert [turn for turn in turns if turn[0] != assembly.DATA] == []


def test_a_hole_in_front_of_more_than_memory_may_hold_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "SWEEP_FRAMES", 1)
    talk = long_upload(9_000_000)
    frames = talk.frames()
    lost = frames.pop(9)
    listener = Listener()
    for at in range(0, len(frames), 1000):
        listener.take(frames[at:at + 1000])
    (turns,) = listener.finish().said.values()
    assert [turn for turn in turns if turn[0] != assembly.DATA] == [(assembly.GAP, CLIENT, len(lost[1]) - 54)]


def test_a_clock_that_jumps_back_by_a_century_ends_no_conversation_unheard():
    one, two = Talk(client_port=1111).open().turns(HELLO), Talk(client_port=2222).open().turns(HELLO)
    late = [(4_200_000_000 * 10**9 + n, frame) for n, (_ts, frame) in enumerate(one.frames())]
    early = [(n, frame) for n, (_ts, frame) in enumerate(two.frames())]
    listener = Listener()
    listener.take(late + early)
    assert sorted(listener.finish().over) == [ports(one), ports(two)]


def test_full_tables_are_emptied_even_when_all_is_younger_than_now(monkeypatch):
    monkeypatch.setattr(module, "MAX_FLOWS", 16)
    listener = Listener()
    frames = []
    for n in range(100):
        frames += [(START_NS - n * 10**12 + i, frame) for i, (_ts, frame) in enumerate(Talk(client_port=1000 + n).open().turns(HELLO).frames())]
    listener.take(frames)
    assert len(listener.finish().over) == 100
    assert listener.engine.scalars[tables.C_UNKEPT] == 0


def test_an_arena_of_short_pieces_still_takes_long_ones(monkeypatch):
    """Freed stretches are not joined: without cutting payloads up there would be room for none of them, for ever."""
    monkeypatch.setattr(module, "ARENA_BYTES", 1 << 20)
    monkeypatch.setattr(module, "SWEEP_FRAMES", 1)
    frames = Talk(client_port=999).open().turns(HELLO[:2]).frames()
    for n in range(3276):
        talk = Talk(client_port=1024 + n, clock=START_NS + n * 10**6, step_ns=1).open().turns([*HELLO, (CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")]).close()
        frames += talk.frames()
    listener = Listener()
    listener.take(frames)
    assert listener.engine.scalars[tables.ARENA_TOP] > (1 << 20) - 2048 and 0 < listener.engine.scalars[tables.LIVE_BYTES] < 1 << 17
    big = long_upload(60_000)
    big.client_port = 998
    listener.take([(ts_ns + 10**10, frame) for ts_ns, frame in big.frames()])
    said = listener.finish().said
    upload = b"".join(segment.payload for segment in big.segments if segment.side == CLIENT)
    assert b"".join(what for kind, side, what in said[ports(big)] if side == CLIENT) == upload
    assert len(listener.over) == 3278 and listener.evicted == []
    assert listener.engine.scalars[tables.LIVE_BYTES] == 0


def test_those_silent_longest_are_given_up(monkeypatch):
    """A table of 320 segments, 100 greetings of three segments: what was evicted came before what was not."""
    monkeypatch.setattr(module, "MAX_SEGMENTS", 320)
    talks = [Talk(client_port=1000 + n, clock=START_NS + n * 10**9).open().turns(HELLO) for n in range(100)]
    listener = Listener()
    listener.take([frame for talk in talks for frame in talk.frames()])
    listener.finish()
    assert sorted(listener.over) == [ports(talk) for talk in talks]
    kept = sorted(set(listener.over) - set(listener.evicted))
    assert listener.evicted and kept == [ports(talk) for talk in talks[-len(kept):]] and len(kept) >= 20
    assert listener.engine.scalars[tables.C_EVICTED] == len(listener.evicted)
    assert all([what for _kind, _side, what in turns] == [data for _side, data in HELLO] for turns in listener.said.values())


def test_what_is_assembled_in_parts_is_counted_once(monkeypatch):
    monkeypatch.setattr(module, "SWEEP_FRAMES", 1)
    monkeypatch.setattr(module, "KEPT_LIMIT", 0)
    talk = long_upload(60_000).close()
    segments = mirrored(talk.segments, random.Random(5), reordered=0.5, duplicated=0.5)
    whole = [(segment.ts_ns, talk.frame(segment)) for segment in segments]
    frames, lengths = [(ts_ns, frame[:200]) for ts_ns, frame in whole], [len(frame) for _ts, frame in whole]
    sums = []
    for step in (len(frames), 1):
        listener = Listener()
        for at in range(0, len(frames), step):
            listener.take(frames[at:at + step], lengths[at:at + step])
        listener.finish()
        sums.append((listener.duplicates, listener.truncated))
    assert sums[0] == sums[1] and sums[0][0] > 10 and sums[0][1] > 10


def test_segments_in_random_order_cost_no_more_than_their_number():
    """Each of 20,000 holes used to cost a look at everything behind it: 40 s."""
    talk = Talk(step_ns=100).open().turns(HELLO)
    order = list(range(20_000))
    random.Random(1).shuffle(order)
    begin, acknowledged = talk.next[CLIENT], talk.next[SERVER]
    for n, place in enumerate(order):
        talk.segments.append(Segment(side=CLIENT, sequence=begin + 2 * place, acknowledgement=acknowledged, flags=24, payload=b"ab", ts_ns=talk.clock + 100 * n))
    listener = Listener()
    frames = talk.frames()
    begun = time.process_time()
    listener.take(frames)
    listener.finish()
    assert time.process_time() - begun < 10
    (turns,) = listener.said.values()
    assert sum(len(what) if kind == assembly.DATA else what for kind, side, what in turns if side == CLIENT) >= 20_000
    assert listener.engine.scalars[tables.N_LIVE] == 0
