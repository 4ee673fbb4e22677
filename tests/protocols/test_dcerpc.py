"""DCE/RPC: contexts, security levels as announced and as used, calls, logins."""
from __future__ import annotations

import pytest
from tests import mapi_stubs, security_tokens as tokens
from tests.helpers import one_sided, same_however_cut, told
from tests.rpc_bytes import (EMSMDB, EPM, FEATURES, NDR, NDR64, NSPI, NTLM_TOKENS, SAMR, SIGNATURE, ack, alter, altered, auth3, bind, fault, mapped, nak, ntlm_bind, object_request, pdu,
                             request, response, tower)

from pcapsec.protocols.dcerpc import DcerpcParser
from pcapsec.records import CLIENT, SERVER, RpcFacts
from pcapsec.secret import Secret

C, S = CLIENT, SERVER
MAIL = (0, EMSMDB, 0x510000)
BOUND_AT = sum(len(data) for side, data in ntlm_bind(6) if side == C)  # where the client goes on behind ntlm_bind


def rpc(turns, **keywords) -> RpcFacts:
    return same_however_cut(DcerpcParser, turns, rounds=4, **keywords).facts.rpc[0]


def facts(turns, **keywords):
    return same_however_cut(DcerpcParser, turns, rounds=4, **keywords).facts


def row(turns, **keywords):
    rows = rpc(turns, **keywords).contexts
    assert len(rows) == 1
    return rows[0]


def sealed(call: int, level: int = 6, **how) -> list:
    """A call and its answer under a trailer."""
    return [(C, request(call, 11, level=level, token=SIGNATURE, **how)), (S, response(call, level=level, token=SIGNATURE, **how))]


def clear(call: int, opnum: int = 5, **how) -> list:
    return [(C, request(call, opnum, **how)), (S, response(call))]


# --- a whole conversation

def test_whole_conversation():
    found = facts(ntlm_bind(6, flags=7) + sealed(2) + sealed(3))
    assert told(found.rpc[0], "securities") == {
        "contexts": [{
            "at": 0, "context_id": 0, "interface_uuid": EMSMDB, "interface": "EMSMDB", "interface_version": "0.81", "interface_source": "bind", "transfer_syntax": "ndr", "accepted": True,
            "securities": [told(found.rpc[0].securities[0])], "auth_type": "NTLM", "auth_level": 6, "levels": {6: 2}, "levels_announced": (6,), "requests": 2, "responses": 2,
            "opnums": {11: 2}, "call_names": ("EcDoRpcExt2",), "first_request_at": BOUND_AT, "weakest_request_at": BOUND_AT, "stub_bytes": 20}],
        "association_group": 0x1234, "header_signing": True, "bind_at": 0, "n_pdus": 7, "pdu_types": {11: 1, 12: 1, 16: 1, 0: 2, 2: 2}}
    security = found.rpc[0].securities[0]
    assert told(security, "login") == {"at": 0, "auth_context_id": 0, "auth_type": 10, "levels_announced": (6,), "mechanism": "NTLM", "established": True}
    assert found.logins == [security.login]
    login = found.logins[0]
    assert (login.protocol, login.mechanism, login.principal, login.domain, login.exposure, login.result) == ("dcerpc", "NTLM", "tim", "CORP", "guessable", "success")
    assert (login.secret, login.secret_at, login.details["ntlm_version"]) == (Secret(b"\x22" * 60), 72 + 8 + len(NTLM_TOKENS[0]), "NTLMv2")
    assert (found.protocol, found.n_commands, found.n_replies, found.anomalies) == ("dcerpc", 2, 2, [])


# --- the level in force

@pytest.mark.parametrize("announced, trailer, expected, clear_bytes", [
    (6, 6, 6, 0), (5, 5, 5, 10), (4, 4, 4, 10), (3, 3, 3, 10), (2, 2, 2, 10), (2, 0, 2, 10),
    (6, 2, 2, 10), (6, 0, 1, 10), (5, 0, 1, 10), (2, 6, 6, 0)])
def test_level_is_that_of_the_call(announced, trailer, expected, clear_bytes):
    found = row(ntlm_bind(announced) + (sealed(2, trailer) if trailer else clear(2)))
    assert (found.auth_level, found.levels, found.clear_stub_bytes, found.stub_bytes) == (expected, {expected: 1}, clear_bytes, 10)
    assert found.levels_announced == (announced,) and found.auth_type == (None if expected == 1 else "NTLM")


def test_no_security_is_level_1():
    found = row([(C, bind(MAIL)), (S, ack())] + clear(2))
    assert (found.auth_level, found.auth_type, found.levels_announced, found.securities) == (1, None, (), [])


@pytest.mark.parametrize("auth_id", [0, 7])
def test_bound_at_2_and_altered_to_6_before_any_call(auth_id):
    first, second, third = NTLM_TOKENS
    found = row(ntlm_bind(2) + [
        (C, alter(MAIL, level=6, token=first, auth_id=auth_id)), (S, altered(level=6, token=second, auth_id=auth_id)), (C, auth3(2, level=6, token=third, auth_id=auth_id))]
        + sealed(3, auth_id=auth_id))
    assert (found.auth_level, found.levels, found.levels_announced, found.clear_stub_bytes) == (6, {6: 1}, (2, 6), 0)
    assert [(one.auth_context_id, one.levels_announced) for one in found.securities] == [(auth_id, (6,))]


def test_bound_at_6_and_called_at_2():
    found = row(ntlm_bind(6) + sealed(2) + sealed(3, 2))
    assert (found.auth_level, found.levels, found.levels_announced, found.clear_stub_bytes) == (2, {6: 1, 2: 1}, (6,), 10)
    assert (found.first_request_at, found.weakest_request_at) == (BOUND_AT, BOUND_AT + 52)


def test_connect_beside_privacy_leaves_calls_without_trailer_at_2():
    first, second, third = NTLM_TOKENS
    turns = ntlm_bind(6) + [(C, alter(MAIL, level=2, token=first, auth_id=1)), (S, altered(level=2, token=second, auth_id=1)), (C, auth3(2, level=2, token=third, auth_id=1))]
    found = row(turns + clear(3) + sealed(4))
    assert (found.auth_level, found.levels, [one.auth_context_id for one in found.securities]) == (2, {2: 1, 6: 1}, [1, 0])


def test_refused_connect_protects_nothing():
    found = rpc([(C, bind(MAIL, level=2, token=NTLM_TOKENS[0])), (S, nak(8)), (C, bind(MAIL, call=2)), (S, ack(call=2))] + clear(3))
    assert (found.contexts[0].auth_level, found.contexts[0].accepted, found.naks) == (1, True, [(8, 0)])
    assert (found.securities[0].established, found.pdu_types) == (False, {11: 2, 13: 1, 12: 1, 0: 1, 2: 1})


def test_level_of_an_answer_counts_for_what_is_readable():
    found = row(ntlm_bind(6) + [(C, request(2, 11, level=6, token=SIGNATURE)), (S, response(2, b"readable", level=5, token=SIGNATURE))])
    assert (found.auth_level, found.levels, found.levels_announced, found.clear_stub_bytes) == (6, {6: 1}, (6, 5), 8)


def test_unknown_level_is_an_anomaly_and_no_level():
    found = facts(ntlm_bind(6) + sealed(2, 9))
    assert (found.rpc[0].contexts[0].auth_level, found.rpc[0].contexts[0].requests) == (None, 1)
    assert [one.code for one in found.anomalies] == ["unknown-auth-level"]


def test_announced_is_not_in_force():
    found = row(ntlm_bind(6))
    assert (found.auth_level, found.levels, found.levels_announced, found.auth_type, len(found.securities)) == (None, {}, (6,), None, 1)


# --- security contexts

def test_spnego_says_what_it_chose():
    first, second, third = NTLM_TOKENS
    turns = [
        (C, bind(MAIL, level=6, token=tokens.init(tokens.KERBEROS, tokens.NTLM, token=tokens.gss(tokens.ap_req())), auth_type=9)),
        (S, ack(level=6, token=tokens.answer(1, tokens.NTLM), auth_type=9)), (C, alter(MAIL, level=6, token=tokens.answer(token=first), auth_type=9)),
        (S, altered(level=6, token=tokens.answer(1, token=second), auth_type=9)), (C, alter(MAIL, call=3, level=6, token=tokens.answer(token=third), auth_type=9)),
        (S, altered(call=3, level=6, token=tokens.answer(0), auth_type=9))]
    found = row(turns + sealed(4, auth_type=9))
    security = found.securities[0]
    assert (found.auth_type, security.auth_type, security.mechanism, security.mechanisms_offered, security.established) == ("NTLM", 9, "NTLM", ("KERBEROS", "NTLM"), True)
    assert (security.login.principal, security.login.result) == ("tim", "success")


def test_kerberos_says_how_it_seals():
    turns = [(C, bind(MAIL, level=6, token=tokens.gss(tokens.ap_req()), auth_type=16)), (S, ack(level=6, token=tokens.ap_rep(), auth_type=16)),
             (C, auth3(level=6, token=tokens.ap_rep(), auth_type=16))]
    token = bytes.fromhex("050406ff0000001c") + bytes(52)
    found = row(turns + [(C, request(2, 11, level=6, token=token, auth_type=16)), (S, response(2, level=6, token=token, auth_type=16))])
    security = found.securities[0]
    assert (found.auth_type, security.mechanism, security.sealed_tokens, security.token_algorithm) == ("KERBEROS", "KERBEROS", True, "AES")
    assert (security.login.mechanism, security.login.domain, security.login.exposure, security.login.result) == ("GSSAPI", "CORP.EXAMPLE", "ticket", "success")


@pytest.mark.parametrize("auth_type, name", [(68, "NETLOGON"), (14, "SCHANNEL"), (30, "NEGOEXTS"), (99, "99")])
def test_security_without_a_login(auth_type, name):
    found = facts([(C, bind((0, SAMR, 1), level=6, token=b"\0" * 8, auth_type=auth_type)), (S, ack(level=6, token=b"\1" * 12, auth_type=auth_type))] + sealed(2, auth_type=auth_type))
    context = found.rpc[0].contexts[0]
    assert (context.auth_type, context.auth_level, context.securities[0].established, found.logins) == (name, 6, True, [])


def test_two_accounts_on_one_connection():
    first, second, third = NTLM_TOKENS
    other = tokens.authenticate(user="ann")
    turns = ntlm_bind(6) + [
        (C, alter(MAIL, level=6, token=first, auth_id=1)), (S, altered(level=6, token=second, auth_id=1)), (C, auth3(2, level=6, token=other, auth_id=1))]
    found = facts(turns + sealed(3) + [(C, request(4, 11, level=6, token=SIGNATURE, auth_id=1)), (S, fault(4, 5))])
    assert [(one.principal, one.result, one.reason, one.reply_code) for one in found.logins] == [("tim", "success", None, None), ("ann", "failed", "refused", "fault 0x00000005")]


def test_the_same_id_negotiated_anew():
    turns = ntlm_bind(6) + sealed(2)
    first, second, _third = NTLM_TOKENS
    turns += [(C, alter(MAIL, call=3, level=6, token=first)), (S, altered(call=3, level=6, token=second)), (C, auth3(3, level=6, token=tokens.authenticate(user="ann")))] + sealed(4)
    found = facts(turns)
    assert [(one.principal, one.result) for one in found.logins] == [("tim", "success"), ("ann", "success")]
    assert [one.auth_context_id for one in found.rpc[0].contexts[0].securities] == [0, 0]


@pytest.mark.parametrize("answer, expected", [
    ([(S, response(2))], ("success", None, None)),
    ([(S, fault(2, 5))], ("failed", "refused", "fault 0x00000005")),
    ([(S, fault(2, 0x52E))], ("failed", "wrong-credentials", "fault 0x0000052e")),
    ([(S, fault(2, 0x1C010002))], ("unknown", None, None)),
    ([(S, fault(2, 0x1C01000B))], ("failed", "refused", "fault 0x1c01000b")),  # Samba's answer to what follows an auth3 that did not hold
    ([(S, fault(2, 5)), (C, request(3)), (S, response(3))], ("success", None, None)),
    ([(S, nak(9))], ("failed", "refused", "bind_nak 9")),
    ([], ("unknown", None, None)),
])
def test_outcome_of_a_login(answer, expected):
    login, = facts(ntlm_bind(2) + [(C, request(2))] + answer).logins
    assert (login.result, login.reason, login.reply_code) == expected


@pytest.mark.parametrize("status, reason", [(0x721, "refused"), (0x52E, "wrong-credentials"), (0x1C010006, "refused")])
def test_a_fault_that_answers_an_alter_context_refuses_its_login(status, reason):
    first, second, third = NTLM_TOKENS
    begun = [(C, bind(MAIL, level=6, token=first, auth_type=9)), (S, ack(level=6, token=second, auth_type=9))]
    found = facts(begun + [(C, alter(MAIL, level=6, token=third, auth_type=9)), (S, fault(2, status))])
    assert [(one.principal, one.result, one.reason, one.reply_code) for one in found.logins] == [("tim", "failed", reason, f"fault 0x{status:08x}")]
    context, = found.rpc[0].contexts
    assert (context.accepted, context.faults, context.requests, found.rpc[0].securities[0].established) == (True, {status: 1}, 0, False)


def test_a_fault_that_answers_an_alter_context_refuses_its_interface():
    other = (3, NSPI, 0x380000)
    found = rpc(ntlm_bind(2) + clear(2) + [(C, alter(other, call=3)), (S, fault(3, 0x1C010003))])
    assert [(one.context_id, one.accepted, one.faults) for one in found.contexts] == [(0, True, {}), (3, False, {0x1C010003: 1})]


def test_a_protocol_error_after_an_answered_call_is_no_failed_login():
    assert facts(ntlm_bind(2) + clear(2) + [(C, request(3)), (S, fault(3, 0x1C01000B))]).logins[0].result == "success"


def test_access_denied_to_one_call_of_many_is_no_failed_login():
    turns = ntlm_bind(2) + clear(2) + [(C, request(3, 9))]
    found = facts(turns + [(S, fault(3, 5))])
    assert found.logins[0].result == "success"
    assert (found.rpc[0].contexts[0].faults, found.rpc[0].contexts[0].first_fault_at) == ({5: 1}, sum(len(data) for side, data in turns if side == S))


@pytest.mark.parametrize("client, server, expected", [(7, 7, True), (7, 3, False), (3, 7, False)])
def test_header_signing(client, server, expected):
    assert rpc([(C, bind(MAIL, flags=client)), (S, ack(flags=server))]).header_signing is expected


def test_header_signing_needs_both_sides():
    turns = [(C, bind(MAIL, flags=7)), (S, ack(flags=7))]
    assert one_sided(DcerpcParser, turns, C).facts.rpc[0].header_signing is None
    assert one_sided(DcerpcParser, turns, S).facts.rpc[0].header_signing is None


# --- contexts

def test_several_contexts_and_what_became_of_them():
    contexts = [MAIL, (1, EMSMDB, 0x510000, NDR64), (2, EMSMDB, 0x510000, FEATURES), (3, "01020304-0506-0708-090a-0b0c0d0e0f10", 0x20001)]
    found = rpc([(C, bind(*contexts)), (S, ack((2, 2, None), (0, 0, NDR64), (3, 3, None), (1, 1, None)))])
    assert [(one.context_id, one.interface, one.interface_version, one.transfer_syntax, one.accepted, one.reject_reason) for one in found.contexts] == [
        (0, "EMSMDB", "0.81", "ndr", False, 2), (1, "EMSMDB", "0.81", "ndr64", True, None), (3, None, "1.2", "ndr", False, 1)]
    assert found.contexts[2].interface_uuid == "01020304-0506-0708-090a-0b0c0d0e0f10"


def test_offered_transfer_syntaxes_in_one_context():
    assert row([(C, bind((0, EMSMDB, 0x510000, NDR, NDR64))), (S, ack((0, 0, NDR64)))]).transfer_syntax == "ndr64"


def test_a_context_id_defined_anew_begins_a_row():
    found = rpc(ntlm_bind(6) + sealed(2) + [(C, alter((0, NSPI, 56), call=3)), (S, altered(call=3))] + clear(4, 3))
    assert [(one.interface, one.requests, one.auth_level, one.opnums, one.levels_announced) for one in found.contexts] == [
        ("EMSMDB", 1, 6, {11: 1}, (6,)), ("NSPI", 1, 1, {3: 1}, ())]
    assert found.contexts[1].call_names == ("NspiQueryRows",)


def test_a_context_id_named_again_is_the_same_row():
    assert row([(C, bind(MAIL)), (S, ack()), (C, alter(MAIL)), (S, altered())] + clear(3)).requests == 1


def test_answers_of_calls_in_any_order():
    turns = [(C, bind(MAIL, (1, NSPI, 56))), (S, ack((0, 0, NDR), (0, 0, NDR)))]
    turns += [(C, request(2, 11)), (C, request(3, 3, context=1)), (C, request(4, 10)), (S, response(4)), (S, response(3, context=1)), (S, fault(2, 0x6F7))]
    first, second = rpc(turns).contexts
    assert (first.requests, first.responses, first.faults, first.opnums) == (2, 1, {0x6F7: 1}, {11: 1, 10: 1})
    assert (second.requests, second.responses, second.stub_bytes) == (1, 1, 10)


def test_big_endian():
    how = {"order": ">"}
    turns = ntlm_bind(5, **how) + [(C, request(2, 11, level=5, token=SIGNATURE, **how)), (S, response(2, level=5, token=SIGNATURE, **how)), (C, request(3, 12, **how)), (S, fault(3, 7, **how))]
    found = rpc(turns)
    assert found.big_endian is True and found.association_group == 0x1234
    context = found.contexts[0]
    assert (context.interface, context.interface_version, context.levels, context.opnums, context.faults, context.stub_bytes) == ("EMSMDB", "0.81", {5: 1, 1: 1}, {11: 1, 12: 1}, {7: 1}, 14)


@pytest.mark.parametrize("how, size", [({}, 4), ({"level": 6, "token": SIGNATURE, "pad": 12}, 4), ({"level": 6, "token": SIGNATURE, "pad": 0}, 4)])
def test_object_uuid_and_padding_are_no_stub(how, size):
    found = row([(C, bind(MAIL)), (S, ack()), (C, object_request(2, 1, **how)), (C, object_request(3, 1, **how))])
    assert (found.stub_bytes, found.requests, found.opnums) == (2 * size, 2, {1: 2})


def test_padding_that_is_longer_than_the_stub():
    found = facts([(C, bind(MAIL)), (C, request(2, 1, level=6, token=SIGNATURE)), (C, request(3, 1, level=6, token=SIGNATURE).replace(b"\x0a\6\0\0", b"\x0a\6\xff\0"))])
    assert (found.rpc[0].contexts[0].stub_bytes, [one.code for one in found.anomalies]) == (4, ["auth-padding-too-long"])


def test_other_pdus_are_counted():
    turns = [(C, bind(MAIL)), (S, ack()), (C, request(2)), (C, pdu(18, b"", 2)), (C, pdu(19, b"", 2)), (S, pdu(17, b"", 0)), (S, pdu(20, bytes(12), 0))]
    found = facts(turns)
    assert (found.rpc[0].pdu_types, found.rpc[0].n_pdus, found.anomalies) == ({11: 1, 12: 1, 18: 1, 19: 1, 17: 1, 20: 1, 0: 1}, 7, [])


@pytest.mark.parametrize("side, data", [(C, response(2)), (S, request(2)), (S, bind(MAIL)), (C, pdu(1, bytes(8))), (S, pdu(4, bytes(8)))])
def test_what_a_side_never_sends(side, data):
    found = facts([(C, bind(MAIL)), (S, ack()), (side, data)])
    assert ([one.code for one in found.anomalies], len(found.rpc[0].contexts), found.rpc[0].n_pdus) == (["unexpected-pdu-type"], 1, 3)


def test_minor_version_1():
    assert row([(C, bind(MAIL, minor=1)), (S, ack(minor=1)), (C, request(2, 4, minor=1)), (S, response(2, minor=1))]).opnums == {4: 1}


def test_greeting_of_rpc_over_http_version_1():
    found = facts([(S, b"ncacn_http/1.0"), (C, bind(MAIL)), (S, ack())] + clear(2))
    assert (found.rpc[0].ncacn_http, found.greeting, found.greeting_at, found.rpc[0].contexts[0].transport, found.rpc[0].contexts[0].responses) == (True, "ncacn_http/1.0", 0, "http", 1)
    assert facts([(S, b"ncacn_http/1.0")]).rpc[0].ncacn_http is True


def test_transport_is_what_the_caller_says():
    assert row([(C, bind(MAIL)), (S, ack())], transport="smb").transport == "smb"


# --- stubs

def test_endpoints():
    answer = mapped(tower(EMSMDB, (0, 81)), tower(NSPI, (56, 0), 0x1F, b"\x17\x74"), tower(SAMR, (1, 0), 0x0F, b"\\PIPE\\samr\0", b"\\\\DC1\0"))
    found = rpc([(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3)), (S, response(2, answer)), (C, request(3, 3)), (S, response(3, answer))])
    assert [told(one) for one in found.endpoints] == [
        {"at": 60, "interface_uuid": EMSMDB, "interface": "EMSMDB", "interface_version": "0.81", "protocol": "ncacn_ip_tcp", "port": 49153, "address": "10.0.0.5"},
        {"at": 60, "interface_uuid": NSPI, "interface": "NSPI", "interface_version": "56.0", "protocol": "ncacn_http", "port": 6004, "address": "10.0.0.5"},
        {"at": 60, "interface_uuid": SAMR, "interface": "SAMR", "interface_version": "1.0", "protocol": "ncacn_np", "address": "\\\\DC1", "pipe": "\\PIPE\\samr"}]
    assert found.contexts[0].call_names == ("ept_map",)


def test_endpoints_in_fragments():
    answer = mapped(tower(EMSMDB), tower(NSPI))
    pieces = [answer[:50], answer[50:51], answer[51:]]
    turns = [(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3, b"ab", flags=1)), (C, request(2, 3, b"cd", flags=2))]
    turns += [(S, response(2, piece, flags=flags)) for piece, flags in zip(pieces, (1, 0, 2))]
    found = rpc(turns)
    assert [one.interface for one in found.endpoints] == ["EMSMDB", "NSPI"]
    assert (found.contexts[0].requests, found.contexts[0].responses, found.contexts[0].stub_bytes, found.pdu_types) == (1, 1, len(answer) + 4, {11: 1, 12: 1, 0: 2, 2: 3})


def test_sealed_stubs_are_not_read():
    answer = mapped(tower(EMSMDB))
    turns = ntlm_bind(6, (0, EPM, 3)) + [(C, request(2, 3, level=6, token=SIGNATURE)), (S, response(2, answer, level=6, token=SIGNATURE))]
    assert rpc(turns).endpoints == []


def test_mapi_calls_in_clear():
    turns = ntlm_bind(2) + [(C, request(2, 10, mapi_stubs.connect())), (S, response(2, mapi_stubs.connected())),
                            (C, request(3, 11, mapi_stubs.rpc_ext(mapi_stubs.header(mapi_stubs.rops(b"\1\0\0"), 2)))), (S, response(3))]
    found = row(turns)
    assert (found.mapi.user_dn, found.mapi.user_dn_at, found.obfuscation) == (mapi_stubs.USER.decode(), BOUND_AT, "xor")
    assert found.call_names == ("EcDoConnectEx", "EcDoRpcExt2")
    assert row(ntlm_bind(6) + sealed(2)).mapi is None


def test_calls_that_tell_their_interface():
    stub = mapi_stubs.rpc_ext(mapi_stubs.header(mapi_stubs.rops(b"\1\0\0"), 2))
    found = row([(C, request(7, 11, stub)), (S, response(7)), (C, request(8, 11, stub))], start_seen=False)
    assert (found.interface, found.interface_uuid, found.interface_source, found.auth_level, found.obfuscation, found.mapi.n_header_ext) == ("EMSMDB", EMSMDB, "calls", 1, "xor", 2)
    found = rpc([(C, request(7, 3)), (S, response(7, mapped(tower(EMSMDB))))], start_seen=False)
    assert ([one.interface for one in found.endpoints], found.contexts[0].interface, found.contexts[0].interface_source) == (["EMSMDB"], "EPM", "calls")
    assert row([(C, request(7, 11, b"\0" * 60)), (S, response(7))], start_seen=False).interface is None


def test_ndr64_calls_tell_too():
    stub = mapi_stubs.rpc_ext(mapi_stubs.header(mapi_stubs.rops(b"\1\0\0")), wide=True)
    assert row([(C, request(7, 11, stub))], start_seen=False).interface_source == "calls"
    assert row([(C, request(7, 10, mapi_stubs.connect(wide=True)))], start_seen=False).interface_source == "calls"


@pytest.mark.parametrize("opnum, stub", [(10, mapi_stubs.connect()), (0, mapi_stubs.connect(auxiliary=None))])
def test_a_connect_tells_its_interface(opnum, stub):
    found = row([(C, request(7, opnum, stub)), (S, response(7, mapi_stubs.connected()))], start_seen=False)
    assert (found.interface, found.interface_source, found.mapi.user_dn, found.mapi.client_version, found.mapi.server_version) == (
        "EMSMDB", "calls", mapi_stubs.USER.decode(), "12.0.6206.1000", "8.1.240.5")
    assert row([(C, request(7, opnum + 1, stub)), (S, response(7))], start_seen=False).interface is None
    assert row([(C, request(7, opnum, stub.replace(b"/o=", b"/x=")))], start_seen=False).interface is None


# --- one side, late starts

def test_client_alone():
    found = one_sided(DcerpcParser, ntlm_bind(2) + clear(2) + clear(3), C).facts
    context = found.rpc[0].contexts[0]
    assert (context.interface, context.accepted, context.auth_level, context.requests, context.responses, context.levels_announced) == ("EMSMDB", None, 2, 2, 0, (2,))
    assert (found.logins[0].principal, found.logins[0].result, found.rpc[0].securities[0].established) == ("tim", "unknown", None)


def test_server_alone():
    found = one_sided(DcerpcParser, ntlm_bind(5) + sealed(2, 5), S).facts
    assert told(found.rpc[0].contexts[0], "securities") == {
        "at": 0, "side": SERVER, "context_id": 0, "transfer_syntax": "ndr", "accepted": True, "levels_announced": (5,), "responses": 1, "stub_bytes": 6, "clear_stub_bytes": 6}
    assert [(one.at, one.side, one.auth_type, one.levels_announced) for one in found.rpc[0].securities] == [(0, SERVER, 10, (5,))]
    assert found.logins == []


def test_late_start():
    found = facts(sealed(9) + sealed(10), start_seen=False)
    context = found.rpc[0].contexts[0]
    assert (context.at, context.side, context.interface_uuid, context.interface_source, context.auth_level, context.requests, context.responses) == (0, CLIENT, None, None, 6, 2, 2)
    assert (context.levels_announced, context.auth_type, context.securities[0].auth_type, context.securities[0].login) == ((), "NTLM", 10, None)


def test_late_start_inside_a_pdu():
    first, second = request(7, 4, b"x" * 300), request(8, 4, b"y" * 40)
    found = facts([(C, first[100:] + second + request(9, 4)), (S, response(8) + response(9))], start_seen=False)
    assert (found.rpc[0].contexts[0].requests, found.rpc[0].contexts[0].responses, found.rpc[0].contexts[0].at, found.anomalies) == (2, 2, 224, [])


def test_late_bind_names_a_context_that_was_used():
    found = row([(C, request(2, 4)), (S, response(2)), (C, alter(MAIL, call=3)), (S, altered(call=3))] + clear(4), start_seen=False)
    assert (found.interface, found.interface_source, found.requests, found.at, found.accepted) == ("EMSMDB", "bind", 2, 0, True)


@pytest.mark.parametrize("level", [2, 6])
def test_spnego_of_a_late_start_is_told_by_its_tokens(level):
    token = bytes.fromhex("050404ff00000000") + bytes(20)
    assert row([(C, request(2, 4, level=level, token=token, auth_type=9)), (S, response(2))], start_seen=False).auth_type == "KERBEROS"
    assert row([(C, request(2, 4, level=level, token=SIGNATURE, auth_type=9)), (S, response(2))], start_seen=False).auth_type == "NTLM"
    assert row([(C, request(2, 4, level=level, token=b"?" * 30, auth_type=9)), (S, response(2))], start_seen=False).auth_type == "SPNEGO"
