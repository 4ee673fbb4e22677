"""Calls that kernels count instead of keeping: whatever a mirror port did to a connection, what is told of it is the same as when every byte reached the parser."""
from __future__ import annotations

import os
import random
import struct
import subprocess
import sys

import pytest
from frames import Talk, mirrored, window

from pcapsec.kernels import assembly, tables
from pcapsec.pipeline.conversation import Conversation
from pcapsec.pipeline.run import parameters_of
from pcapsec.streams.engine import FORGET, Engine
from tests.helpers import told
from tests.rpc_bytes import (EMSMDB, NSPI, NTLM_TOKENS, SAMR, SIGNATURE, alter, altered, auth3, fault, ntlm_bind, object_request, pdu, request, response)

CLIENT, SERVER = 0, 1
SEALED = {"level": 6, "token": SIGNATURE}


def analysed(frames, whole: bool, windows: int = 1) -> tuple[list[dict], int]:
    """What the parsers of all conversations found, and how many bytes reached them."""
    parameters = parameters_of(None)
    parameters[tables.P_WHOLE_RPC] = whole
    engine = Engine(parameters)
    conversations: dict[int, Conversation] = {}
    over, n_bytes = [], 0

    def take(batch):
        nonlocal n_bytes
        n_bytes += sum(turn[3] for turn in batch.turns if turn[0] == assembly.DATA)
        orders = []
        for entry, row, result in zip(batch.entries, batch.flows, batch.results):
            conversation = conversations.get(entry) or Conversation(row, result)
            order = conversation.take(row, result, batch.turns, batch.data, batch.marks, batch.hints)
            if order == FORGET:
                over.append(conversation)
                conversations.pop(entry, None)
            else:
                conversation.settle_marks()
                conversations[entry] = conversation
            orders.append(order)
        engine.steer(batch.entries, orders)

    size = -(-len(frames) // windows) or 1
    for at in range(0, len(frames), size):
        data, rows = window(frames[at:at + size])
        for batch in engine.take(data, rows, len(rows), 1 + at):
            take(batch)
    for batch in engine.finish():
        take(batch)
    assert [conversation.fault for conversation in over] == [None] * len(over)
    return [told(conversation.facts) for conversation in over], n_bytes


def same(talk: Talk, segments=None, windows: int = 1) -> tuple[dict, float]:
    """The facts, which are the same either way, and the share of the bytes that had to be parsed."""
    frames = [(one.ts_ns, talk.frame(one)) for one in (talk.segments if segments is None else segments)]
    every, n_all = analysed(frames, True)
    counted, n_kept = analysed(frames, False, windows)
    assert counted == every
    assert len(every) == 1
    return every[0], n_kept / n_all


def sealed(kind, *arguments, **how):
    return kind(*arguments, **SEALED, **how)


def calls(n: int, first: int = 2, opnums=(5, 7), how=SEALED, size: int = 64) -> list[tuple[int, bytes]]:
    turns = []
    for number in range(first, first + n):
        turns += [(CLIENT, request(number, opnums[number % len(opnums)], b"q" * size, **how)), (SERVER, response(number, b"a" * 2 * size, **how))]
    return turns


def test_sealed_calls_are_counted():
    facts, share = same(Talk(server_port=49155).open().turns(ntlm_bind(6, (0, SAMR, 1)) + calls(100)).close())
    (context,) = facts["rpc"][0]["contexts"]
    assert (context["requests"], context["responses"], context["opnums"], context["levels"]) == (100, 100, {5: 50, 7: 50}, {6: 100})
    assert context["stub_bytes"] == 100 * (64 + 128)
    assert share < 0.1


def test_of_calls_that_nobody_reads_one_is_enough():
    facts, share = same(Talk(server_port=49155).open().turns(ntlm_bind(2, (0, SAMR, 1)) + calls(400, how={})).close())
    assert facts["rpc"][0]["contexts"][0]["levels"] == {2: 400}
    assert share < 0.03


def test_of_readable_calls_the_first_ones_and_some_later_ones_are_parsed():
    facts, share = same(Talk(server_port=49155).open().turns(ntlm_bind(2, (0, NSPI, 0x38)) + calls(400, how={})).close())
    assert facts["rpc"][0]["contexts"][0]["levels"] == {2: 400}
    assert 2 * tables.CLEAR_CALLS / 400 < share < 0.2


def test_operations_of_a_mailbox_are_named_from_those():
    buffer = struct.pack("<H", 6) + b"\x01\0\0\0" + bytes(4)
    stub = bytes(20) + struct.pack("<II", 0, 8 + len(buffer)) + struct.pack("<HHHH", 0, 4, len(buffer), len(buffer)) + buffer
    stub += bytes(-len(stub) % 4) + struct.pack("<III", 8 + len(buffer), 4096, 0)
    turns = ntlm_bind(2, (0, EMSMDB, 0x510000))
    for number in range(2, 102):
        turns += [(CLIENT, request(number, 11, stub)), (SERVER, response(number, bytes(40)))]
    talk = Talk(server_port=49155).open().turns(turns).close()
    (every,), _ = analysed(talk.frames(), True)
    (some,), _ = analysed(talk.frames(), False)
    assert every["rpc"][0]["contexts"][0]["mapi"]["n_header_ext"] == 100
    assert some["rpc"][0]["contexts"][0]["mapi"]["n_header_ext"] == tables.CLEAR_CALLS + 99 // tables.CLEAR_SAMPLE
    for facts in (every, some):
        facts["rpc"][0]["contexts"][0]["mapi"] = None
    assert some == every


SPECIAL = {
    "a fault": lambda n: [(CLIENT, sealed(request, n, 5)), (SERVER, fault(n, 0x1C010003))],
    "a fault that says why": lambda n: [(CLIENT, sealed(request, n, 5)), (SERVER, fault(n, 5))],
    "no answer": lambda n: [(CLIENT, sealed(request, n, 5))],
    "an answer to nobody": lambda n: [(SERVER, sealed(response, n + 5000))],
    "another level": lambda n: [(CLIENT, request(n, 5, level=5, token=SIGNATURE)), (SERVER, response(n, level=5, token=SIGNATURE))],
    "an answer without trailer": lambda n: [(CLIENT, sealed(request, n, 5)), (SERVER, response(n))],
    "no trailer": lambda n: [(CLIENT, request(n, 5)), (SERVER, response(n))],
    "fragments": lambda n: [(CLIENT, sealed(request, n, 5, b"f" * 900, flags=1) + sealed(request, n, 5, b"g" * 30, flags=2)), (SERVER, sealed(response, n))],
    "a call of several segments": lambda n: [(CLIENT, sealed(request, n, 5, b"l" * 4000)), (SERVER, sealed(response, n, b"m" * 5000))],
    "an object": lambda n: [(CLIENT, sealed(object_request, n, 5)), (SERVER, sealed(response, n))],
    "two at once": lambda n: [(CLIENT, sealed(request, n, 5)), (CLIENT, sealed(request, n + 1000, 7)), (SERVER, sealed(response, n + 1000)), (SERVER, sealed(response, n))],
    "ten at once": lambda n: [(CLIENT, sealed(request, n + 1000 * i, 5)) for i in range(10)] + [(SERVER, sealed(response, n + 1000 * i)) for i in range(9, -1, -1)],
    "two in one segment": lambda n: [(CLIENT, sealed(request, n, 5) + sealed(request, n + 1000, 5)), (SERVER, sealed(response, n) + sealed(response, n + 1000))],
    "another context": lambda n: [(CLIENT, alter((1, EMSMDB, 0x510000), call=n)), (SERVER, altered(call=n)), (CLIENT, sealed(request, n + 1000, 11, context=1)),
                                  (SERVER, sealed(response, n + 1000, context=1))],
    "another security": lambda n: [(CLIENT, alter((0, SAMR, 1), call=n, level=5, token=NTLM_TOKENS[0], auth_id=9)), (SERVER, altered(call=n, level=5, token=NTLM_TOKENS[1], auth_id=9)),
                                   (CLIENT, auth3(n, level=5, token=NTLM_TOKENS[2], auth_id=9))],
    "a context that nobody knows": lambda n: [(CLIENT, sealed(request, n, 5, context=77)), (SERVER, sealed(response, n, context=77))],
    "a call given up": lambda n: [(CLIENT, sealed(request, n, 5)), (CLIENT, pdu(19, b"", n)), (SERVER, sealed(response, n))],
    "big endian": lambda n: [(CLIENT, sealed(request, n, 5, order=">")), (SERVER, sealed(response, n, order=">"))],
    "the same number again": lambda n: [(CLIENT, sealed(request, 1, 5)), (CLIENT, sealed(request, 1, 7)), (SERVER, sealed(response, 1))],
    "padding that is too long": lambda n: [(CLIENT, request(n, 5, b"", level=6, token=SIGNATURE, pad=0)[:-24 + 2] + b"\xff" + sealed(request, n, 5, b"")[-21:]), (SERVER, sealed(response, n))],
    "many kinds": lambda n: [turn for i in range(20) for turn in ((CLIENT, sealed(request, n + i, 100 + i)), (SERVER, sealed(response, n + i)))],
}


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_not_usual_reaches_the_parser_in_its_place(name):
    turns = ntlm_bind(6, (0, SAMR, 1)) + calls(20)
    for at in (100, 200, 300):
        turns += SPECIAL[name](at) + calls(20, at + 30)
    facts, share = same(Talk(server_port=49155).open().turns(turns).close())
    assert share < 0.95


def scene(rng: random.Random) -> Talk:
    """A connection of usual and unusual calls."""
    turns = ntlm_bind(rng.choice((2, 5, 6)), (0, SAMR, 1))
    number = 2
    for _part in range(rng.randint(1, 8)):
        n = rng.randint(1, 40)
        turns += calls(n, number, opnums=rng.choice(((5,), (5, 7, 17), range(12))), how=rng.choice((SEALED, SEALED, {})), size=rng.choice((0, 16, 300)))
        number += n
        if rng.random() < 0.6:
            turns += SPECIAL[rng.choice(list(SPECIAL))](number)
            number += 30
    return Talk(server_port=49155, isn=(rng.getrandbits(32), rng.getrandbits(32))).open().turns(turns, size=rng.choice((200, 1400, 1400, 1400))).close()


@pytest.mark.parametrize("seed", range(60))
def test_reordering_and_duplicates_change_nothing(seed):
    rng = random.Random(seed)
    talk = scene(rng)
    same(talk, mirrored(talk.segments, rng, reordered=0.03, duplicated=0.03), windows=rng.choice((1, 3)))


@pytest.mark.parametrize("seed", range(60))
def test_lost_segments_change_nothing(seed):
    rng = random.Random(1000 + seed)
    talk = scene(rng)
    same(talk, mirrored(talk.segments, rng, reordered=0.02, duplicated=0.02, lost=0.02), windows=rng.choice((1, 3)))


@pytest.mark.parametrize("seed", range(30))
def test_damaged_calls_are_survived(seed):
    rng = random.Random(2000 + seed)
    talk = scene(rng)
    for segment in talk.segments:
        if segment.payload and rng.random() < 0.05:
            payload = bytearray(segment.payload)
            payload[rng.randrange(min(len(payload), 32))] = rng.randrange(256)
            segment.payload = bytes(payload)
    same(talk)


def test_one_side_and_late_starts_are_kept_whole():
    talk = Talk(server_port=49155).open().turns(ntlm_bind(6, (0, SAMR, 1)) + calls(30)).close()
    for segments in ([one for one in talk.segments if one.side == 0], [one for one in talk.segments if one.side == 1], talk.segments[10:]):
        same(talk, segments)


def test_every_place_is_checked():
    """The same under numba's bounds checking, in a process of its own, for that is compiled in."""
    code = ("import random, sys; sys.path[:0] = ['tests', '.']; from tests.kernels.test_calls import scene, same, mirrored\n"
            "for seed in range(12):\n    rng = random.Random(seed)\n    talk = scene(rng)\n    same(talk, mirrored(talk.segments, rng, reordered=0.03, duplicated=0.03, lost=0.02))\n")
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "NUMBA_BOUNDSCHECK": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
