"""SMB: losses, late starts, limits, hostile bytes."""
from __future__ import annotations

import random
import struct
import time

import pytest
import rpc_bytes as rpc
from helpers import CLIENT, SERVER, converse, same_however_cut, swallow
from hypothesis import given, settings
from hypothesis import strategies as st
from security_tokens import NTLM, answer, authenticate, init, negotiate
from security_tokens import challenge as ntlm_challenge
from smb_bytes import (
    MORE_PROCESSING, close1, close2, closed2, create1, create2, created1, created2, head2, ioctl2, ioctled2, negotiate1, negotiate2, negotiated1, negotiated2,
    netbios, old_setup1, read1, read2, related, set_up2, setup2, smb1, transact1, transacted1, tree1, tree2, treed1, treed2, was_read1, was_read2, write1, write2,
    written2)

from pcapsec.protocols import smb_pipes
from pcapsec.protocols.smb import MAX_RESYNC_BYTES, SmbParser, find_message, late, probe

BIND, ACK = rpc.bind((0, "e1af8308-5d1f-11c9-91a4-08002b14a0fa", 3, rpc.NDR)), rpc.ack()


def c(*messages: bytes):
    return [(CLIENT, netbios(one)) for one in messages]


def s(*messages: bytes):
    return [(SERVER, netbios(one)) for one in messages]


def codes(parser) -> list[str]:
    return [one.code for one in parser.facts.anomalies]


OPEN = c(tree2(3)) + s(treed2(3)) + c(create2(4, "epmapper")) + s(created2(4))
LOGIN = (c(setup2(1, init(NTLM, token=negotiate()))) + s(set_up2(1, MORE_PROCESSING, answer(1, NTLM, ntlm_challenge()), session=9))
         + c(setup2(2, answer(token=authenticate()), session=9)) + s(set_up2(2, token=answer(0), session=9)))
CONVERSATION = (
    c(negotiate2()) + s(negotiated2()) + LOGIN + OPEN + c(write2(5, BIND)) + s(written2(5)) + c(read2(6)) + s(was_read2(6, ACK))
    + c(ioctl2(7, rpc.request(2))) + s(ioctled2(7, rpc.response(2))) + c(related(create2(8, "samr"), write2(9, BIND, b"\xff" * 16, flags=4)))
    + s(related(created2(8, b"G" * 16), written2(9))) + c(close2(10)) + s(closed2(10)))
CONVERSATION_1 = (
    c(negotiate1(b"NT LM 0.12")) + s(negotiated1()) + c(old_setup1(b"L" * 24, b"N" * 24, "tim", "CORP")) + c(tree1()) + s(treed1()) + c(create1("\\srvsvc"))
    + s(created1()) + c(write1(BIND)) + c(read1()) + s(was_read1(ACK)) + c(transact1(rpc.request(2))) + s(transacted1(rpc.response(2))) + c(close1()))


def test_a_loss_inside_file_contents_costs_nothing():
    big = netbios(write2(5, bytes(60_000), b"H" * 16))
    turns = c(tree2(3, "\\\\s\\share")) + s(treed2(3, kind=1)) + [(CLIENT, big[:1000]), (CLIENT, 20_000), (CLIENT, big[21_000:])] + LOGIN
    parser = same_however_cut(SmbParser, turns)
    assert ([one.principal for one in parser.facts.logins], parser.facts.anomalies) == (["tim"], [])


def test_after_a_loss_the_next_message_is_found():
    turns = OPEN + c(write2(5, BIND))[:1] + [(CLIENT, 300)] + [(CLIENT, b"rest of something")] + c(ioctl2(7, rpc.request(2))) + s(ioctled2(7, rpc.response(2))) + LOGIN
    parser = same_however_cut(SmbParser, turns)
    assert [one.pdu_types for one in parser.facts.rpc] == [{11: 1, 0: 1, 2: 1}]
    assert [(one.principal, one.result) for one in parser.facts.logins] == [("tim", "success")]


def test_damage_is_passed_over():
    parser = same_however_cut(SmbParser, c(negotiate2()) + [(CLIENT, b"\x07garbage")] + LOGIN + s(negotiated2()))
    assert ([one.principal for one in parser.facts.logins], codes(parser), parser.facts.smb.dialect) == (["tim"], ["not-an-smb-message"], "3.1.1")


@pytest.mark.parametrize("bad", [
    netbios(b"\xf0SMB" + bytes(60)), netbios(b"\xfeSMB" + bytes(20)), netbios(b"\xfeSMB\x41\0" + bytes(70)), netbios(b"\xffSMB" + bytes(20)),
    netbios(head2(3, 1, following=40) + bytes(40)), netbios(head2(3, 1, following=4000) + bytes(40))])
def test_messages_that_lie(bad):
    parser = same_however_cut(SmbParser, [(CLIENT, bad)] + LOGIN)
    assert ([one.principal for one in parser.facts.logins], codes(parser)) == (["tim"], ["not-an-smb-message"])


def test_a_late_start():
    turns = [(CLIENT, b"tail of a message"), (SERVER, b"another\0\0\0tail")] + LOGIN + OPEN + c(ioctl2(7, BIND)) + s(ioctled2(7, ACK))
    parser = same_however_cut(SmbParser, turns, start_seen=False)
    assert ([one.principal for one in parser.facts.logins], [one.pipe for one in parser.facts.rpc], codes(parser)) == (["tim"], ["epmapper"], [])
    assert late(turns[0][1] + LOGIN[0][1], b"") is True


def test_a_side_is_given_up_at_the_limit():
    parser, at = SmbParser(), 0
    started = time.perf_counter()
    while at < 2 * MAX_RESYNC_BYTES:
        parser.feed(CLIENT, b"SMBSMB\xff\0" * 1000, at)
        at += 8000
    assert time.perf_counter() - started < 10
    parser.feed(CLIENT, netbios(negotiate2()), at)
    parser.feed(SERVER, netbios(negotiated2()), 0)
    parser.finish()
    assert (codes(parser), parser.facts.n_commands, parser.facts.smb.dialect) == (["not-an-smb-message", "no-smb-message-found"], 0, "3.1.1")


def test_contents_are_not_kept():
    """16 MB written to a file and read from one."""
    parser = SmbParser()
    at = [0, 0]
    for side, message in ((CLIENT, write2(5, bytes(8 << 20), b"H" * 16)), (CLIENT, read2(6, b"H" * 16)), (SERVER, was_read2(6, bytes(8 << 20)))):
        message = netbios(message)
        for start in range(0, len(message), 1460):
            piece = message[start:start + 1460]
            parser.feed(side, piece, at[side])
            at[side] += len(piece)
            assert len(parser._rest[side]) <= 256
    parser.finish()
    assert (parser.facts.n_commands, parser.facts.n_replies, parser.facts.anomalies) == (2, 1, [])


@pytest.mark.parametrize("opened, written", [(OPEN, write2(5, BIND + bytes(200_000))), (c(tree1()) + s(treed1()) + c(create1("\\srvsvc")) + s(created1()), write1(BIND + bytes(200_000)))])
def test_too_much_for_a_pipe_is_a_loss(opened, written):
    parser = same_however_cut(SmbParser, opened + c(written) + LOGIN, rounds=1)
    assert (parser.facts.rpc, len(parser.facts.logins)) == ([], 1)


def test_pipes_are_bounded():
    turns = c(tree2(3)) + s(treed2(3))
    for number in range(smb_pipes.MAX_PIPES + 5):
        file = struct.pack("<QQ", number, number)
        turns += c(create2(100 + number, f"pipe{number}")) + s(created2(100 + number, file)) + c(write2(1000 + number, BIND, file))
    parser = converse(SmbParser, turns, finish=False)
    assert (len(parser.facts.rpc), len(parser._pipes._open), len(parser.facts.smb.pipes)) == (smb_pipes.MAX_PIPES, smb_pipes.MAX_PIPES, smb_pipes.MAX_PIPE_NAMES)
    assert set(codes(parser)) == {"too-many-pipes"}
    parser.finish()
    assert parser._pipes._open == []


def test_pipes_whose_close_was_not_answered_make_room():
    turns = c(tree2(3)) + s(treed2(3))
    for number in range(smb_pipes.MAX_PIPES + 5):
        file = struct.pack("<QQ", number, number)
        turns += c(create2(100 + number, "samr")) + s(created2(100 + number, file)) + c(write2(1000 + number, BIND, file)) + c(close2(5000 + number, file))
    parser = converse(SmbParser, turns)
    assert (len(parser.facts.rpc), codes(parser)) == (smb_pipes.MAX_PIPES + 5, [])


def test_pipes_in_all_are_bounded(monkeypatch):
    monkeypatch.setattr(smb_pipes, "MAX_PIPES_IN_ALL", 3)
    turns = c(tree2(3)) + s(treed2(3))
    for number in range(5):
        turns += c(create2(10 * number, "samr")) + s(created2(10 * number)) + c(write2(10 * number + 1, BIND)) + c(close2(10 * number + 2)) + s(closed2(10 * number + 2))
    parser = converse(SmbParser, turns)
    assert (len(parser.facts.rpc), codes(parser)) == (3, ["too-many-pipes"] * 2)


def test_everything_else_is_bounded(monkeypatch):
    monkeypatch.setattr(smb_pipes, "MAX_LOGINS", 5)
    parser = SmbParser()
    at = 0
    for number in range(1000):
        for message in (tree2(number), read2(2000 + number), create2(4000 + number, "samr"), setup2(6000 + number, init(NTLM, token=authenticate()), session=number),
                        ioctl2(8000 + number, b"", struct.pack("<QQ", number, 0))):
            message = netbios(message)
            parser.feed(CLIENT, message, at)
            at += len(message)
    assert len(parser._smb2._pending) <= smb_pipes.MAX_PENDING
    assert len(parser._smb2._files) <= smb_pipes.MAX_FILES
    assert len(parser._setups._waiting) <= smb_pipes.MAX_SESSIONS
    parser.finish()
    assert (len(parser.facts.logins), codes(parser)) == (5, ["too-many-logins"])


def test_sessions_and_trees_are_bounded():
    parser, at = SmbParser(), [0, 0]
    for number in range(1000):
        for side, message in ((CLIENT, setup2(2 * number, negotiate())), (SERVER, set_up2(2 * number, MORE_PROCESSING, ntlm_challenge(), session=number + 1)),
                              (CLIENT, tree2(2 * number + 1)), (SERVER, treed2(2 * number + 1, number))):
            message = netbios(message)
            parser.feed(side, message, at[side])
            at[side] += len(message)
    assert (len(parser._setups._sessions), len(parser._smb2._trees)) == (smb_pipes.MAX_SESSIONS, smb_pipes.MAX_TREES)
    parser.finish()
    assert len(parser.facts.logins) == 1000


def test_a_chain_ends():
    """Commands that point at themselves or backwards, and more of them than anybody sends."""
    words = struct.pack("<BBH", 0x75, 0, 32) + struct.pack("<HH", 0, 0)
    parser = same_however_cut(SmbParser, c(smb1(0x75, words, b"")) + LOGIN)
    assert ([one.principal for one in parser.facts.logins], parser.facts.n_commands) == (["tim"], 3)
    parser = converse(SmbParser, c(related(*[close2(number) for number in range(1500)])))
    assert parser.facts.n_commands == 1500


def test_a_long_message_in_small_pieces():
    message = netbios(setup2(1, bytes(60_000)))
    parser = SmbParser()
    started = time.perf_counter()
    for at in range(len(message)):
        parser.feed(CLIENT, message[at:at + 1], at)
    assert (time.perf_counter() - started < 5, parser.facts.n_commands) == (True, 1)


# --- hostile bytes

@pytest.mark.parametrize("conversation", [CONVERSATION, CONVERSATION_1])
@pytest.mark.parametrize("seed", range(40))
def test_bits_flipped_and_bytes_lost(conversation, seed):
    chance = random.Random(seed)
    parser, at = SmbParser(start_seen=seed % 2 == 0), [0, 0]
    for side, data in conversation:
        damaged = bytearray(data)
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            parser.gap(side, len(data), at[side])
        else:
            parser.feed(side, bytes(damaged), at[side])
        at[side] += len(data)
    parser.finish()


@pytest.mark.parametrize("conversation", [CONVERSATION, CONVERSATION_1])
def test_every_length_cut_short(conversation):
    """Each message of a conversation ends early, at every place, and says so in its length: what is inside points behind the end."""
    for number, (side, data) in enumerate(conversation):
        for end in range(0, len(data) - 4):
            parser, at = SmbParser(), [0, 0]
            for one, sent in conversation[max(0, number - 4):number] + [(side, netbios(data[4:4 + end]))]:
                parser.feed(one, sent, at[one])
                at[one] += len(sent)
            parser.finish()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 99), st.booleans())
def test_any_bytes(data, seed, start_seen):
    swallow(SmbParser, data, seed=seed, start_seen=start_seen)
    probe(data, b"")
    probe(b"", data)
    late(data, data)
    find_message(data, 0)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(range(20)), st.binary(max_size=120), st.integers(0, 15), st.sampled_from([0, 0xC0000016, 0x80000005]))
def test_any_body(command, body, flags, status):
    parser = converse(SmbParser, OPEN, finish=False)
    for side in (CLIENT, SERVER):
        parser.feed(side, netbios(head2(command, 4, flags=flags & ~1 | side, status=status, tree=1) + body), 10_000)
        parser.feed(side, netbios(head2(command, 4, flags=flags & ~1 | side, status=status, tree=1) + b"\x31\0" + body), 20_000)
    parser.finish()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([0x04, 0x0A, 0x0B, 0x25, 0x26, 0x2D, 0x2E, 0x2F, 0x72, 0x73, 0x75, 0xA2]), st.binary(max_size=80), st.binary(max_size=80), st.booleans())
def test_any_words(command, words, data, unicode):
    parser = converse(SmbParser, c(tree1()) + s(treed1()) + c(create1("\\srvsvc")) + s(created1()), finish=False)
    words += bytes(len(words) & 1)
    for side in (CLIENT, SERVER):
        parser.feed(side, netbios(smb1(command, words, data, 3, reply=bool(side), flags2=0xC800 if unicode else 0x4000)), 10_000)
    parser.finish()
