"""SMB1: both kinds of session setup, chained commands, and every way to write to a pipe and read from it."""
from __future__ import annotations

import struct

import pytest
import rpc_bytes as rpc
from helpers import CLIENT, SERVER, one_sided, same_however_cut, told
from security_tokens import NTLM, answer, authenticate, init, negotiate
from security_tokens import challenge as ntlm_challenge
from smb_bytes import (
    LOGON_FAILURE, MORE_PROCESSING, NT, OVERFLOW, UNICODE, andx, bytes_at, close1, closed1, create1, created1, negotiate1, negotiated1, negotiated2, netbios,
    old_setup1, read1, set_up1, setup1, smb1, transact1, transacted1, tree1, treed1, was_read1, write1)

from pcapsec.protocols.smb import SmbParser
from pcapsec.records import Facts, SmbFacts
from pcapsec.secret import Secret

EPM = "e1af8308-5d1f-11c9-91a4-08002b14a0fa"
BIND, ACK = rpc.bind((0, EPM, 3, rpc.NDR)), rpc.ack()


def c(*messages: bytes):
    return [(CLIENT, netbios(one)) for one in messages]


def s(*messages: bytes):
    return [(SERVER, netbios(one)) for one in messages]


def smb(*turns, **keywords) -> Facts:
    return same_however_cut(SmbParser, [turn for part in turns for turn in part], **keywords).facts


NEGOTIATION = c(negotiate1(b"LANMAN1.0", b"NT LM 0.12")) + s(negotiated1())
OPEN = c(tree1()) + s(treed1()) + c(create1("\\srvsvc")) + s(created1())
BOUND = OPEN + c(write1(BIND)) + s(smb1(0x2F, andx() + bytes(8), b"", 4, reply=True)) + c(read1()) + s(was_read1(ACK))


@pytest.mark.parametrize("mode, required", [(3, False), (7, False), (15, True)])
def test_negotiation(mode, required):
    facts = smb(c(negotiate1(b"NT LM 0.12")), s(negotiated1(mode)))
    assert facts == Facts(protocol="smb", n_commands=1, n_replies=1, rpc=[], smb=SmbFacts(dialect="NT LM 0.12", signing_required=required))


def test_negotiation_that_goes_on_in_smb2():
    facts = smb(c(negotiate1(b"NT LM 0.12", b"SMB 2.002")), s(negotiated2(dialect=0x0202, mode=3)))
    assert facts.smb == SmbFacts(dialect="2.0.2", signing_required=True)


# --- logins

def test_tokens():
    turns = (NEGOTIATION, c(setup1(init(NTLM, token=negotiate()))), s(set_up1(MORE_PROCESSING, answer(1, NTLM, ntlm_challenge()))),
             c(setup1(answer(token=authenticate()), 2, user=5)), s(set_up1(0, answer(0), 2)))
    facts = smb(*turns)
    assert [(one.mechanism, one.principal, one.domain, one.exposure, one.result, one.details["server_challenge_seen"]) for one in facts.logins] == [
        ("NTLM", "tim", "CORP", "guessable", "success", True)]
    alone = one_sided(SmbParser, sum(map(list, turns), []), CLIENT).facts
    assert [(one.principal, one.result, one.details["server_challenge_seen"]) for one in alone.logins] == [("tim", "unknown", False)]


@pytest.mark.parametrize("lm, nt, version, secret", [
    (b"L" * 24, b"N" * 24, "NTLMv1", b"N" * 24), (b"L" * 24, b"N" * 80, "NTLMv2", b"N" * 80), (b"L" * 24, b"", "LM", b"L" * 24)])
@pytest.mark.parametrize("flags2", [UNICODE | NT, NT])
def test_responses(lm, nt, version, secret, flags2):
    facts = smb(NEGOTIATION, c(old_setup1(lm, nt, "tim", "CORP", flags2=flags2)), s(smb1(0x73, andx() + b"\0\0", b"", 1, reply=True)))
    at = sum(len(data) for side, data in NEGOTIATION if side == CLIENT) + 4
    assert [told(one) for one in facts.logins] == [{
        "protocol": "smb", "mechanism": "NTLM", "at": at, "principal": "tim", "domain": "CORP", "secret": secret, "secret_at": at, "exposure": "guessable",
        "result": "success", "reply_code": "0x00000000", "details": {
            "challenge_seen": True, "server_challenge_seen": True, "nt_length": len(nt), "lm_length": len(lm), "ess": False, "anonymous": False,
            "ntlm_version": version}}]


def test_responses_without_the_negotiation():
    login = smb(c(old_setup1(b"L" * 24, b"N" * 24, "tim", "CORP")), s(smb1(0x73, andx() + b"\0\0", b"", 1, reply=True, status=LOGON_FAILURE))).logins[0]
    assert (login.exposure, login.result, login.reason, login.details["challenge_seen"]) == ("guessable", "failed", "wrong-credentials", False)


@pytest.mark.parametrize("mode", [1, None])
def test_passwords(mode):
    before = [] if mode is None else c(negotiate1(b"NT LM 0.12")) + s(negotiated1(mode))
    login = smb(before, c(old_setup1(b"secret\0", b"", "tim", "CORP"))).logins[0]
    assert (login.mechanism, login.exposure, login.secret, login.result) == ("PLAINTEXT", "password", Secret(b"secret\0"), "unknown")


def test_anonymous_and_guest():
    turns = c(old_setup1(b"\0", b"", "", "")) + s(smb1(0x73, andx() + b"\1\0", b"", 1, reply=True))
    assert [(one.principal, one.exposure, one.result, one.details) for one in smb(NEGOTIATION, turns).logins] == [
        (None, "none", "success", {"ntlm_version": "anonymous", "anonymous": True, "guest": True})]


def test_commands_chained_behind_the_login():
    first = old_setup1(b"L" * 24, b"N" * 24, "tim", "CORP")
    start = len(first)
    turns = c(old_setup1(b"L" * 24, b"N" * 24, "tim", "CORP", chained=tree1(start=start + 11, bare=True), chained_command=0x75))
    answered = smb1(0x73, andx(0x75, bytes_at(3)) + b"\0\0", b"", 1, reply=True, tree=1) + bytes([3]) + andx() + b"\1\0" + b"\4\0IPC\0"
    facts = smb(turns, s(answered), c(create1("unusual")), s(created1(kind=0)), c(transact1(BIND)), s(transacted1(ACK)))
    assert ([one.principal for one in facts.logins], facts.smb.pipes, [one.pipe for one in facts.rpc]) == (["tim"], ("unusual",), ["unusual"])


# --- pipes

def association(*turns, **keywords):
    facts = smb(*turns, **keywords)
    assert len(facts.rpc) == 1
    assert facts.anomalies == []
    return facts.rpc[0]


def test_write_and_read():
    found = association(NEGOTIATION, BOUND)
    before = NEGOTIATION + OPEN
    assert (found.pipe, found.pdu_types, found.contexts[0].interface_uuid, found.contexts[0].transport) == ("srvsvc", {11: 1, 12: 1}, EPM, "smb")
    assert found.bind_at == sum(len(data) for side, data in before if side == CLIENT) + 4 + bytes_at(14) + 1


def test_transact():
    found = association(BOUND, c(transact1(rpc.request(2, 3))), s(transacted1(rpc.response(2))))
    assert (found.pdu_types, found.contexts[0].opnums) == ({11: 1, 12: 1, 0: 1, 2: 1}, {3: 1})


def test_an_answer_in_pieces():
    reply = rpc.response(2, b"y" * 300)
    found = association(BOUND, c(transact1(rpc.request(2))), s(transacted1(reply[:100], status=OVERFLOW)), c(read1(message=8)), s(was_read1(reply[100:], 8)))
    assert found.pdu_types == {11: 1, 12: 1, 0: 1, 2: 1}


def test_a_transaction_in_pieces():
    call = rpc.request(2, 3, b"x" * 100)
    begin = transact1(call[:60])
    begin = begin[:32 + 1 + 2] + struct.pack("<H", len(call)) + begin[32 + 5:]  # TotalDataCount
    start = bytes_at(8)
    rest = smb1(0x26, struct.pack("<HHHHHHHH", 0, len(call), 0, start, 0, len(call) - 60, start, 60), call[60:], 6)
    found = association(BOUND, c(begin), s(smb1(0x25, b"", b"", 6, reply=True)), c(rest), s(transacted1(rpc.response(2))))
    assert found.pdu_types == {11: 1, 12: 1, 0: 1, 2: 1}


def test_raw_mode_has_the_length_in_front():
    found = association(OPEN, c(write1(struct.pack("<H", len(BIND)) + BIND, mode=0x0C)), c(read1()), s(was_read1(ACK)))
    assert found.pdu_types == {11: 1, 12: 1}


def test_the_oldest_write_and_read():
    words = struct.pack("<HHIH", 0x4000, len(BIND), 0, 0)
    answered = struct.pack("<H", len(ACK)) + bytes(8)
    found = association(
        OPEN, c(smb1(0x0B, words, b"\1" + struct.pack("<H", len(BIND)) + BIND, 4)), c(smb1(0x0A, struct.pack("<HHIH", 0x4000, 4096, 0, 0), b"", 5)),
        s(smb1(0x0A, answered, b"\1" + struct.pack("<H", len(ACK)) + ACK, 5, reply=True)))
    assert found.pdu_types == {11: 1, 12: 1}


@pytest.mark.parametrize("function, expected", [(0x26, {11: 1, 12: 1}), (0x23, {}), (0x31, {11: 1})])
def test_functions(function, expected):
    """Transact, peek (whose answer is read again later) and raw write."""
    facts = smb(OPEN, c(transact1(BIND, function=function)), s(transacted1(ACK)))
    assert [one.pdu_types for one in facts.rpc] == ([expected] if expected else [])


@pytest.mark.parametrize("flags2", [UNICODE | NT, NT])
@pytest.mark.parametrize("name, pipe", [("\\srvsvc", "srvsvc"), ("LSARPC", "lsarpc"), ("\\PIPE\\epmapper", "epmapper")])
def test_names(name, pipe, flags2):
    facts = smb(c(tree1()), s(treed1()), c(create1(name, flags2=flags2)), s(created1()), c(transact1(BIND)))
    assert (facts.smb.pipes, [one.pipe for one in facts.rpc]) == ((pipe,), [pipe])


@pytest.mark.parametrize("signature, flags2, expected", [(b"\x5a" * 8, 4, True), (bytes(8), 4, False), (b"\x5a" * 8, 0, False)])
def test_signed(signature, flags2, expected):
    facts = smb(OPEN, c(write1(BIND, flags2=UNICODE | NT | flags2, signature=signature)))
    assert facts.smb.signed is expected


def test_a_closed_file_number_is_used_again():
    facts = smb(BOUND, c(close1()), s(closed1()), c(create1("\\samr", 9)), s(created1(message=9)), c(transact1(BIND, message=10)), s(transacted1(ACK, 10)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [("srvsvc", {11: 1, 12: 1}), ("samr", {11: 1, 12: 1})]


def test_files_on_a_disk_are_no_pipes():
    facts = smb(c(tree1("\\\\SERVER\\C$")), s(treed1(b"A:\0")), c(create1("\\srvsvc")), s(created1(kind=0)), c(write1(BIND)), c(read1()), s(was_read1(ACK)))
    assert (facts.rpc, facts.smb.pipes) == ([], ())


def test_a_file_opened_before_the_capture():
    facts = smb(c(write1(BIND)), c(read1()), s(was_read1(ACK)), c(write1(b"no rpc at all....", 0x4001)), start_seen=False)
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [(None, {11: 1, 12: 1})]


def test_a_pipe_told_by_its_type():
    """The request to open it was lost."""
    facts = smb(s(created1()), c(write1(BIND)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [(None, {11: 1})]


def test_a_pipe_of_which_only_the_client_was_captured():
    facts = one_sided(SmbParser, BOUND + c(transact1(rpc.request(2))), CLIENT).facts
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [("srvsvc", {11: 1, 0: 1})]
