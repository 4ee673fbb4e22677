"""SMB2: negotiation, logins, pipes with DCE/RPC, what is skipped."""
from __future__ import annotations

import pytest
import rpc_bytes as rpc
from helpers import CLIENT, SERVER, converse, one_sided, same_however_cut, told
from security_tokens import NTLM, answer, ap_rep, ap_req, authenticate, gss, init, negotiate
from security_tokens import challenge as ntlm_challenge
from smb_bytes import (
    FILE, LOGON_FAILURE, MORE_PROCESSING, OVERFLOW, PENDING, SAME, close2, closed2, create2, created2, error2, ioctl2, ioctled2, negotiate2, negotiated2,
    netbios, read2, related, set_up2, setup2, tree2, treed2, was_read2, write2, written2)

from pcapsec.protocols.smb import SmbParser, late, probe
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


NEGOTIATION = c(negotiate2()) + s(negotiated2())
LOGIN = (c(setup2(1, init(NTLM, token=negotiate()))) + s(set_up2(1, MORE_PROCESSING, answer(1, NTLM, ntlm_challenge()), session=9))
         + c(setup2(2, answer(token=authenticate()), session=9)) + s(set_up2(2, token=answer(0), session=9)))
OPEN = c(tree2(3)) + s(treed2(3)) + c(create2(4, "epmapper")) + s(created2(4))
CLOSE = c(close2(90)) + s(closed2(90))


def length(turns, side: int) -> int:
    return sum(len(data) for one, data in turns if one == side)


# --- negotiation

def test_negotiation():
    assert smb(NEGOTIATION) == Facts(protocol="smb", n_commands=1, n_replies=1, rpc=[], smb=SmbFacts(dialect="3.1.1", signing_required=False))


@pytest.mark.parametrize("dialect, name", [(0x0202, "2.0.2"), (0x0210, "2.1"), (0x0300, "3.0"), (0x0302, "3.0.2"), (0x0320, "0x0320"), (0x02FF, None)])
def test_dialects(dialect, name):
    assert smb(c(negotiate2()), s(negotiated2(dialect=dialect))).smb.dialect == name


@pytest.mark.parametrize("client, server, expected", [(1, 1, False), (3, 1, True), (1, 3, True), (3, None, True), (1, None, None)])
def test_signing_required(client, server, expected):
    assert smb(c(negotiate2(mode=client)), s(negotiated2(mode=server)) if server else []).smb.signing_required is expected


def test_signing_required_in_the_session_setup():
    assert smb(NEGOTIATION, c(setup2(1, b"", mode=2))).smb.signing_required is True


@pytest.mark.parametrize("magic, encrypted", [(b"\xfdSMB", True), (b"\xfcSMB", False)])
def test_what_cannot_be_read(magic, encrypted):
    facts = smb(NEGOTIATION, c(magic + bytes(400)), s(magic + bytes(400)))
    assert (facts.smb.encrypted, facts.anomalies, facts.n_commands) == (encrypted, [], 1)


# --- logins

def test_ntlm():
    facts = smb(NEGOTIATION, LOGIN)
    assert len(facts.logins) == 1
    login = facts.logins[0]
    assert (login.protocol, login.mechanism, login.principal, login.domain, login.exposure, login.secret) == ("smb", "NTLM", "tim", "CORP", "guessable", Secret(b"\x22" * 60))
    assert (login.result, login.reason, login.reply_code, login.at, login.secret_at) == (
        "success", None, "0x00000000", length(NEGOTIATION, CLIENT) + 4, length(NEGOTIATION + LOGIN[:2], CLIENT) + 4)
    assert (login.details["server_challenge_seen"], login.details["ntlm_version"]) == (True, "NTLMv2")


def test_kerberos():
    facts = smb(c(setup2(1, gss(ap_req(spn=("cifs", "server"))))), s(set_up2(1, token=gss(ap_rep(), b"\2\0"), session=9)))
    assert [(one.mechanism, one.exposure, one.result, one.details["spn"]) for one in facts.logins] == [("GSSAPI", "ticket", "success", "cifs/server")]


@pytest.mark.parametrize("status, outcome", [
    (LOGON_FAILURE, ("failed", "wrong-credentials", "0xc000006d")), (0xC0000234, ("failed", "locked", "0xc0000234")), (0xC0000022, ("failed", "refused", "0xc0000022")),
    (0xC000005E, ("unknown", "temporary", "0xc000005e")), (0xC0001234, ("failed", None, "0xc0001234"))])
def test_refused(status, outcome):
    facts = smb(LOGIN[:3], s(error2(1, 2, status, session=9)))
    assert [(one.result, one.reason, one.reply_code) for one in facts.logins] == [outcome]


def test_guest():
    facts = smb(LOGIN[:3], s(set_up2(2, session=9, session_flags=1)))
    assert [(one.result, one.details["guest"]) for one in facts.logins] == [("success", True)]


def test_anonymous():
    facts = smb(LOGIN[:2], c(setup2(2, answer(token=authenticate(b"", b"\0", "", "")), session=9)), s(set_up2(2, session=9, session_flags=2)))
    assert [(one.principal, one.exposure, one.details["ntlm_version"]) for one in facts.logins] == [(None, "none", "anonymous")]


def test_two_setups_at_a_time():
    def token(user):
        return answer(token=authenticate(user=user))

    facts = smb(
        c(setup2(1, init(NTLM, token=negotiate())), setup2(2, init(NTLM, token=negotiate()))),
        s(set_up2(2, MORE_PROCESSING, answer(1, NTLM, ntlm_challenge()), session=8), set_up2(1, MORE_PROCESSING, answer(1, NTLM, ntlm_challenge()), session=7)),
        c(setup2(3, token("ann"), session=7), setup2(4, token("bob"), session=8)), s(error2(1, 4, LOGON_FAILURE, session=8), set_up2(3, session=7)))
    assert sorted((one.principal, one.result) for one in facts.logins) == [("ann", "success"), ("bob", "failed")]


def test_a_login_of_which_only_the_client_was_captured():
    facts = one_sided(SmbParser, NEGOTIATION + LOGIN + LOGIN, CLIENT).facts
    assert [(one.principal, one.result, one.details["server_challenge_seen"]) for one in facts.logins] == [("tim", "unknown", False)] * 2


def test_a_login_that_began_before_the_capture():
    facts = smb(LOGIN[1:], start_seen=False)
    assert [(one.principal, one.result, one.at, one.details["server_challenge_seen"]) for one in facts.logins] == [("tim", "success", 4, True)]


# --- pipes

def test_a_pipe():
    before = NEGOTIATION + LOGIN + OPEN
    calls = (c(write2(5, BIND)) + s(written2(5)) + c(read2(6)) + s(was_read2(6, ACK)) + c(ioctl2(7, rpc.request(2, 3, b"stub"))) + s(ioctled2(7, rpc.response(2, b"towers"))))
    facts = smb(before, calls, CLOSE)
    assert (facts.smb, facts.anomalies, len(facts.logins)) == (SmbFacts(dialect="3.1.1", signing_required=False, signed=False, pipes=("epmapper",)), [], 1)
    assert len(facts.rpc) == 1
    association = facts.rpc[0]
    assert (association.pipe, association.bind_at, association.pdu_types) == ("epmapper", length(before, CLIENT) + 4 + 112, {11: 1, 12: 1, 0: 1, 2: 1})
    row = association.contexts[0]
    assert (row.interface_uuid, row.transport, row.requests, row.responses, row.opnums) == (EPM, "smb", 1, 1, {3: 1})
    assert row.first_request_at == length(before + calls[:4], CLIENT) + 4 + 120


def test_logins_inside_a_pipe():
    first, second, third = rpc.ntlm_bind(6)
    facts = smb(OPEN, c(write2(5, first[1])), c(read2(6)), s(was_read2(6, second[1])), c(write2(7, third[1])), CLOSE)
    assert [(one.protocol, one.mechanism, one.principal) for one in facts.logins] == [("dcerpc", "NTLM", "tim")]
    assert facts.logins[0].secret_at == length(OPEN + c(write2(5, first[1]), read2(6)), CLIENT) + 4 + 112


def test_a_call_in_pieces():
    """A PDU in two writes, its answer in a transceive that overflows and a read."""
    call, reply = rpc.request(2, 3, b"x" * 300), rpc.response(2, b"y" * 300)
    facts = smb(
        OPEN, c(ioctl2(5, BIND)), s(ioctled2(5, ACK)), c(write2(6, call[:100]), write2(7, call[100:200])), c(ioctl2(8, call[200:])),
        s(ioctled2(8, reply[:50], status=OVERFLOW)), c(read2(9)), s(error2(8, 9, PENDING, flags=2), was_read2(9, reply[50:])))
    assert (facts.rpc[0].pdu_types, facts.rpc[0].contexts[0].responses, facts.anomalies) == ({11: 1, 12: 1, 0: 1, 2: 1}, 1, [])


def test_a_compound():
    """Open, write and read in one message, the file named by the request before."""
    facts = smb(
        OPEN[:2], c(related(create2(4, "lsarpc"), write2(5, BIND, SAME, flags=4), read2(6, SAME, flags=4))),
        s(related(created2(4), written2(5), was_read2(6, ACK, flags=4))), c(ioctl2(7, rpc.request(2))), s(ioctled2(7, rpc.response(2))))
    assert (facts.rpc[0].pipe, facts.rpc[0].pdu_types, facts.n_commands, facts.n_replies) == ("lsarpc", {11: 1, 12: 1, 0: 1, 2: 1}, 5, 5)


def test_two_pipes_at_a_time():
    other = b"G" * 16
    facts = smb(
        OPEN, c(create2(5, "samr")), s(created2(5, other)), c(write2(6, BIND), write2(7, BIND, other)), c(ioctl2(8, rpc.request(2), other)),
        s(ioctled2(8, rpc.response(2), other)), CLOSE, c(ioctl2(9, rpc.request(3), other)), s(ioctled2(9, rpc.response(3), other)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [("epmapper", {11: 1}), ("samr", {11: 1, 0: 2, 2: 2})]
    assert facts.smb.pipes == ("epmapper", "samr")


def test_a_closed_pipe_is_another_one_when_opened_again():
    facts = smb(OPEN, c(ioctl2(5, BIND)), s(ioctled2(5, ACK)), CLOSE, c(create2(6, "samr")), s(created2(6)), c(ioctl2(7, BIND)), s(ioctled2(7, ACK)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [("epmapper", {11: 1, 12: 1}), ("samr", {11: 1, 12: 1})]


@pytest.mark.parametrize("flags, expected", [((8, 8), True), ((8, 0), False), ((0, 0), False)])
def test_signed(flags, expected):
    facts = smb(OPEN, c(ioctl2(5, BIND, flags=flags[0])), s(ioctled2(5, ACK, flags=flags[1])))
    assert facts.smb.signed is expected


def test_a_pipe_without_rpc():
    facts = smb(OPEN, c(write2(5, b"hello")), c(read2(6)), s(was_read2(6, b"world")))
    assert (facts.rpc, facts.smb.pipes, facts.smb.signed, facts.anomalies) == ([], ("epmapper",), None, [])


def test_other_controls_are_not_fed():
    facts = smb(OPEN, c(ioctl2(5, BIND, control=0x00060194)), c(ioctl2(6, BIND, control=0x0011400C)), s(ioctled2(6, ACK, control=0x0011400C)))
    assert facts.rpc == []


def test_files_on_a_disk_are_no_pipes():
    facts = smb(c(tree2(3, "\\\\server\\share")), s(treed2(3, kind=1)), c(create2(4, "epmapper")), s(created2(4)), c(write2(5, BIND)), c(read2(6)), s(was_read2(6, ACK)))
    assert (facts.rpc, facts.smb.pipes, facts.n_commands, facts.n_replies) == ([], (), 4, 3)


def test_a_file_opened_elsewhere():
    """Before the capture, or on another channel of the session."""
    facts = smb(c(write2(5, BIND)), c(read2(6)), s(was_read2(6, ACK)), c(write2(7, b"no rpc", b"H" * 16)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [(None, {11: 1, 12: 1})]
    facts = smb(c(read2(6)), s(was_read2(6, ACK)))
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [(None, {12: 1})]


def test_an_open_whose_share_is_not_known():
    facts = smb(c(create2(4, "epmapper"), create2(5, "dir\\file.txt")), s(created2(4), created2(5, b"H" * 16)), c(ioctl2(6, BIND)), s(ioctled2(6, ACK)))
    assert ([one.pipe for one in facts.rpc], facts.smb.pipes) == (["epmapper"], ("epmapper",))


def test_a_pipe_of_which_only_the_client_was_captured():
    turns = OPEN + c(write2(5, BIND), read2(6), ioctl2(7, rpc.request(2))) + s(ioctled2(7, rpc.response(2)))
    facts = one_sided(SmbParser, turns, CLIENT).facts
    assert [(one.pipe, one.pdu_types) for one in facts.rpc] == [("epmapper", {11: 1, 0: 1})]


def test_a_pipe_of_which_only_the_server_was_captured():
    facts = one_sided(SmbParser, NEGOTIATION + LOGIN + OPEN + c(ioctl2(7, BIND)) + s(ioctled2(7, ACK)), SERVER).facts
    assert (facts.rpc, facts.smb.dialect, facts.logins, facts.n_replies) == ([], "3.1.1", [], 6)


def test_netbios_session():
    """Port 139: the session is asked for first, keep-alives come in between."""
    turns = [(CLIENT, b"\x81\0\0\x44\x20" + b"A" * 67), (SERVER, b"\x82\0\0\0")] + NEGOTIATION + [(CLIENT, b"\x85\0\0\0"), (CLIENT, netbios(b""))] + LOGIN
    facts = smb(turns)
    assert (facts.smb.dialect, len(facts.logins), facts.anomalies) == ("3.1.1", 1, [])
    assert probe(turns[0][1], b"") is True
    assert probe(b"", turns[1][1] + turns[3][1]) is True


# --- what is SMB

@pytest.mark.parametrize("client, server", [(netbios(negotiate2()), b""), (b"", netbios(negotiated2())), (netbios(b"\xffSMB" + bytes(60)), b"x"), (netbios(b"\xfdSMB" + bytes(60)), b"")])
def test_what_is_smb(client, server):
    assert probe(client, server) is True
    assert late(client, server) is True
    data = client or server
    assert [probe(*((data[:end], b"") if client else (b"", data[:end]))) for end in range(1, 8)] == [None] * 7


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\0\x05\1\0\0\1\xfe", b"\0\0\0\x10abcdefgh", b"\0\0\0\4\xfeSMB", b"\x82\0\0\1x", b"\x81\0\0\x45\x20", b"\xfeSMB", b"\5\0\x0b\3\x10\0\0\0"])
def test_what_is_not_smb(data):
    assert probe(data, b"") is False
    assert late(data, b"") is False


def test_nothing_is_not_yet_anything():
    assert probe(b"", b"") is None


def test_facts_tell_no_secret():
    assert "222222" not in repr(converse(SmbParser, NEGOTIATION + LOGIN).facts)
    assert told(converse(SmbParser, LOGIN).facts.logins[0])["secret"] == b"\x22" * 60
    assert FILE  # the usual file of these conversations
