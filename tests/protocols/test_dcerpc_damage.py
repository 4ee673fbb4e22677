"""DCE/RPC with bytes lost, lengths that lie, and more of everything than a connection has."""
from __future__ import annotations

import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers import converse, same_however_cut, swallow
from tests.rpc_bytes import (EMSMDB, EPM, NDR, NTLM_TOKENS, SAMR, SIGNATURE, ack, alter, altered, auth3, bind, fault, mapped, nak, ntlm_bind, object_request, pdu, request, response,
                             tower)

from pcapsec.protocols import dcerpc_association, dcerpc_contexts, dcerpc_security
from pcapsec.protocols.dcerpc import MAX_ANOMALIES, MAX_PENDING_CALLS, DcerpcParser
from pcapsec.protocols.endpoint_mapper import MAX_ENDPOINTS, read_towers
from pcapsec.records import CLIENT, SERVER

C, S = CLIENT, SERVER
MAIL = (0, EMSMDB, 0x510000)
BOUND = [(C, bind(MAIL)), (S, ack())]


def facts(turns, **keywords):
    return same_however_cut(DcerpcParser, turns, rounds=4, **keywords).facts


def row(turns, **keywords):
    rows = facts(turns, **keywords).rpc[0].contexts
    assert len(rows) == 1
    return rows[0]


def holed(data: bytes, start: int, length: int, side: int = C) -> list:
    """A PDU of which a part is missing."""
    return [(side, data[:start]), (side, length), (side, data[start + length:])]


def codes(found) -> list[str]:
    return [one.code for one in found.anomalies]


# --- losses

def test_gap_in_a_stub_keeps_level_and_place():
    call = request(2, 11, b"x" * 100, level=5, token=SIGNATURE)
    found = row(ntlm_bind(5) + holed(call, 40, 50) + [(S, response(2, level=5, token=SIGNATURE)), (C, request(3, 12, level=5, token=SIGNATURE))])
    assert (found.requests, found.opnums, found.levels, found.stub_bytes, found.responses) == (2, {11: 1, 12: 1}, {5: 2}, 110, 1)


def test_gap_over_a_trailer_leaves_the_level_unknown():
    call = request(2, 11, b"x" * 100, level=5, token=SIGNATURE)
    found = row(ntlm_bind(5) + [(C, call[:60]), (C, len(call) - 60), (S, response(2, level=5, token=SIGNATURE)), (C, request(3, 12, level=5, token=SIGNATURE))])
    assert (found.requests, found.responses, found.opnums, found.levels) == (2, 1, {11: 1, 12: 1}, {5: 1})


def test_two_gaps_in_one_pdu():
    call = request(2, 11, b"x" * 200)
    turns = BOUND + [(C, call[:30]), (C, 20), (C, call[50:90]), (C, 60), (C, call[150:]), (C, request(3, 12))]
    assert row(turns).opnums == {11: 1, 12: 1}


def test_gap_over_the_next_pdu_too():
    first, second, third = request(2, 11, b"x" * 100), request(3, 12, b"y" * 50), request(4, 13)
    turns = BOUND + [(C, first[:50]), (C, len(first) - 50 + 20), (C, second[20:] + third + request(5, 14))]
    found = facts(turns)
    assert (found.rpc[0].contexts[0].opnums, found.anomalies) == ({11: 1, 13: 1, 14: 1}, [])


def test_gap_between_pdus():
    found = row(BOUND + [(C, len(request(2))), (C, request(3, 12)), (S, response(2)), (S, response(3))])
    assert (found.opnums, found.responses) == ({12: 1}, 2)


def test_gap_in_a_header():
    found = row(BOUND + holed(request(2, 11, b"x" * 60), 8, 30) + [(C, request(3, 12) + request(4, 13))])
    assert found.opnums == {12: 1, 13: 1}


def test_gap_inside_a_bind():
    whole = bind(MAIL, (1, SAMR, 1), level=6, token=NTLM_TOKENS[0])
    cut = 28 + 44 + 10
    found = facts(holed(whole, cut, 20) + [(S, ack((0, 0, NDR), (0, 0, NDR), level=6, token=NTLM_TOKENS[1]))])
    assert [(one.context_id, one.interface, one.accepted, one.levels_announced) for one in found.rpc[0].contexts] == [(0, "EMSMDB", True, (6,))]
    found = facts([(C, whole[:90]), (C, len(whole) - 90)])
    assert [(one.interface, one.levels_announced) for one in found.rpc[0].contexts] == [("EMSMDB", ())] and codes(found) == []


def test_gap_inside_a_token():
    token = NTLM_TOKENS[2]
    whole = auth3(level=6, token=token)
    found = facts(ntlm_bind(6)[:2] + holed(whole, len(whole) - 20, 10))
    assert (found.rpc[0].contexts[0].levels_announced, found.logins) == ((6,), [])


def test_end_inside_a_pdu():
    call = request(2, 11, b"x" * 100)
    assert row(BOUND + [(C, call[:24])]).opnums == {11: 1}
    assert row(BOUND + [(C, call[:23])]).opnums == {}
    found = row(ntlm_bind(6) + [(C, request(2, 11, level=6, token=SIGNATURE)[:-1])])
    assert (found.requests, found.levels) == (1, {6: 1})


def test_fragments_behind_a_gap_are_not_joined():
    answer = mapped(tower(EMSMDB))
    first, last = response(2, answer[:60], flags=1), response(2, answer[60:], flags=2)
    turns = [(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3)), (S, first), (S, 500), (S, last)]
    assert facts(turns).rpc[0].endpoints == []


def test_lost_call_leaves_its_answer_with_the_context():
    found = row(BOUND + [(C, len(request(2))), (S, response(2, b"12345678"))])
    assert (found.requests, found.responses, found.stub_bytes, found.clear_stub_bytes) == (0, 1, 8, 8)


def test_sync_is_found_again_behind_junk():
    found = facts(BOUND + [(C, request(2, 1) + b"\5\0\0\3junk" * 5 + request(3, 2) + request(4, 3))])
    assert (found.rpc[0].contexts[0].opnums, codes(found), found.anomalies[0].at) == ({1: 1, 2: 1, 3: 1}, ["bad-pdu-header"], 72 + 28)


def test_a_header_inside_a_stub_is_not_taken_for_one():
    inner = request(99, 77, b"z" * 4000)[:40]
    first = request(2, 1, b"x" * 50 + inner + b"x" * 400)
    found = row([(C, first[30:] + request(3, 2) + request(4, 3))], start_seen=False)
    assert found.opnums == {2: 1, 3: 1}


def test_last_header_is_taken_without_a_second():
    first = request(2, 1, b"x" * 50)
    found = row([(C, first[30:] + request(3, 2))], start_seen=False)
    assert found.opnums == {2: 1}
    found = row([(C, first[30:] + request(3, 2)), (C, 1000), (C, request(4, 3))], start_seen=False)
    assert found.opnums == {2: 1, 3: 1}


def test_search_costs_no_more_than_what_is_searched():
    """Headers that promise much and are followed by none."""
    header = pdu(0, bytes(8), 1)[:8] + struct.pack("<HHI", 60000, 0, 1)
    turns = [(C, b"?" + header * 20000)]
    started = time.perf_counter()
    converse(DcerpcParser, turns, start_seen=False)
    parser = DcerpcParser(start_seen=False)
    data = turns[0][1]
    for pos in range(0, len(data), 1000):
        parser.feed(C, data[pos:pos + 1000], pos)
    parser.finish()
    assert time.perf_counter() - started < 5


def test_junk_between_pairs_does_not_recurse():
    found = converse(DcerpcParser, [(C, bind(MAIL) + (request(2, 1) + request(3, 2) + b"?") * 3000)]).facts
    assert found.rpc[0].contexts[0].requests == 6000
    assert (len(found.anomalies), found.anomalies[-1].code) == (MAX_ANOMALIES + 1, "more-anomalies-dropped")


# --- lengths that lie

@pytest.mark.parametrize("length", [0, 15, 23])
def test_fragment_shorter_than_its_type_allows(length):
    wrong = bytearray(request(2, 1, b"x" * 40))
    wrong[8:10] = struct.pack("<H", length)
    found = facts(BOUND + [(C, bytes(wrong) + request(3, 2) + request(4, 3))])
    assert (codes(found), found.rpc[0].contexts[0].opnums) == (["bad-pdu-header"], {2: 1, 3: 1})


def test_auth_length_beyond_the_pdu():
    wrong = bytearray(request(2, 1, b"x" * 40))
    wrong[10:12] = struct.pack("<H", 60)
    found = facts(BOUND + [(C, bytes(wrong) + request(3, 2) + request(4, 3))])
    assert (codes(found), found.rpc[0].contexts[0].opnums) == (["bad-pdu-header"], {2: 1, 3: 1})


def test_trailer_over_the_fields_of_a_call():
    wrong = bytearray(request(2, 1, b"x" * 20))
    wrong[10:12] = struct.pack("<H", len(wrong) - 24)
    found = facts(BOUND + [(C, bytes(wrong)), (C, request(3, 2))])
    assert found.rpc[0].contexts[0].requests == 2


@pytest.mark.parametrize("n", [2, 255])
def test_more_contexts_promised_than_there_are(n):
    wrong = bytearray(bind(MAIL))
    wrong[24] = n
    found = facts([(C, bytes(wrong)), (S, ack())])
    assert ([one.accepted for one in found.rpc[0].contexts], codes(found)) == ([True], ["bad-context-list"])


def test_results_cut_short():
    found = facts([(C, bind(MAIL)), (S, ack(address=b"x" * 10)[:20] + bytes(10))])
    assert found.rpc[0].contexts[0].accepted is None
    wrong = bytearray(ack())
    wrong[24:26] = b"\xff\xff"
    found = facts([(C, bind(MAIL)), (S, bytes(wrong))])
    assert (codes(found), found.rpc[0].contexts[0].accepted) == (["bad-result-list"], None)


# --- limits

def test_contexts_without_end():
    turns = [(C, bind(*((number * 200 + i, SAMR, 1) for i in range(200)), call=number)) for number in range(50)]
    found = converse(DcerpcParser, turns).facts
    assert (len(found.rpc[0].contexts), codes(found)) == (dcerpc_contexts.MAX_CONTEXTS, ["too-many-contexts"])


def test_unknown_contexts_without_end():
    found = converse(DcerpcParser, [(C, b"".join(request(call, 1, context=call) for call in range(3000)))]).facts
    assert (len(found.rpc[0].contexts), codes(found), found.rpc[0].pdu_types) == (1000, ["too-many-contexts"], {0: 1000})


def test_security_contexts_without_end():
    turns = [(C, alter(MAIL, call=number, level=6, token=NTLM_TOKENS[0], auth_id=number)) for number in range(300)]
    found = converse(DcerpcParser, turns).facts
    assert (len(found.rpc[0].securities), codes(found)) == (dcerpc_security.MAX_SECURITIES, ["too-many-security-contexts"])
    turns = BOUND + [(C, b"".join(request(number, 1, level=6, token=SIGNATURE, auth_id=number) for number in range(300)))]
    found = converse(DcerpcParser, turns).facts
    assert (found.rpc[0].contexts[0].levels, codes(found)) == ({6: 300}, ["too-many-security-contexts"])


def test_opnums_without_end():
    data = b"".join(request(call, call % 65536) for call in range(10000))
    parser = converse(DcerpcParser, BOUND + [(C, data)])
    context = parser.facts.rpc[0].contexts[0]
    assert (context.requests, len(context.opnums), context.levels) == (10000, dcerpc_contexts.MAX_OPNUMS, {1: 10000})


def test_calls_that_nobody_answers():
    parser = converse(DcerpcParser, BOUND, finish=False)
    for number in range(200):
        parser.feed(C, b"".join(request(number * 100 + i, 1) for i in range(100)), 72 + number * 2800)
    assert len(parser.association.pending) <= MAX_PENDING_CALLS + 100
    parser.finish()
    assert parser.facts.rpc[0].contexts[0].requests == 20000


def test_fragmented_calls_without_end():
    turns = [(C, bind((0, EPM, 3))), (S, ack())] + [(C, request(number, 3, b"x" * 1000, flags=1)) for number in range(40)]
    found = facts(turns)
    assert (codes(found)[0], found.rpc[0].contexts[0].requests) == ("too-many-fragmented-calls", 40)


def test_a_call_whose_fragments_never_end():
    parser = converse(DcerpcParser, [(C, bind((0, EPM, 3))), (S, ack()), (C, request(2, 3, flags=1))], finish=False)
    middle, at = request(2, 3, b"x" * 30000, flags=0), 100
    for _ in range(20):
        parser.feed(C, middle, at)
        at += len(middle)
    (_use, joined, _at), = parser.association._joined.values()
    assert len(joined) == dcerpc_association.MAX_CALL_BYTES
    parser.finish()
    assert parser.facts.rpc[0].contexts[0].stub_bytes == 600_004


def test_naks_and_faults_without_end():
    found = converse(DcerpcParser, BOUND + [(S, b"".join(nak(number) for number in range(50)) + b"".join(fault(1, 1000 + number) for number in range(200)))]).facts
    assert (len(found.rpc[0].naks), len(found.rpc[0].contexts[0].faults), found.rpc[0].pdu_types[3]) == (dcerpc_association.MAX_NAKS, dcerpc_association.MAX_FAULTS, 200)


def test_binds_that_nobody_answers():
    parser = converse(DcerpcParser, [(C, b"".join(alter(MAIL, call=number) for number in range(500)))], finish=False)
    assert len(parser.association._binds) == dcerpc_association.MAX_BINDS


def test_answers_to_binds_of_another_number():
    assert row([(C, bind(MAIL, call=1)), (S, ack(call=9))]).accepted is True
    assert [one.accepted for one in facts([(C, bind(MAIL, call=1)), (S, ack((0, 0, NDR), (0, 0, NDR), call=9))]).rpc[0].contexts] == [True, True]


# --- towers

def test_towers_without_end():
    assert len(read_towers(tower(EMSMDB) * 2000, 0)) == MAX_ENDPOINTS
    ports = b"".join(tower(EMSMDB, where=struct.pack(">H", 1 + number)) for number in range(300))
    turns = [(C, bind((0, EPM, 3))), (S, ack())]
    for number in range(2, 12):
        turns += [(C, request(number, 2)), (S, response(number, ports.replace(b"\x13\0\x0d\0", b"\x13\0\x0d" + bytes([number]))))]
    assert len(converse(DcerpcParser, turns).facts.rpc[0].endpoints) <= MAX_ENDPOINTS


@pytest.mark.parametrize("change", [
    lambda data: data[:60], lambda data: b"\1\0" + data[2:], lambda data: b"\xff\xff" + data[2:], lambda data: data.replace(b"\x0b\2\0", b"\x0d\2\0"),
    lambda data: data.replace(b"\xc0\1", b"\0\0"), lambda data: data[:2] + b"\x12" + data[3:], lambda data: b"", lambda data: b"\x13\0\x0d"])
def test_towers_that_are_none(change):
    data = tower(EMSMDB)
    assert len(read_towers(data, 0)) == 1
    assert read_towers(change(data), 0) == []


@pytest.mark.parametrize("kind, rpc, where, expected", [
    (0x08, 0x0A, b"\0\x87", ("ncadg_ip_udp", 135, None)), (0x10, 0x0C, b"LRPC-1\0", ("ncalrpc", None, "LRPC-1")), (0x07, 0x0B, b"\0\x87", ("ncacn_ip_tcp", 135, None))])
def test_other_protocols_of_towers(kind, rpc, where, expected):
    found, = read_towers(tower(EMSMDB, (0, 81), kind, where, rpc=rpc), 5)
    assert (found.protocol, found.port, found.pipe, found.interface, found.at) == (*expected, "EMSMDB", 5)


# --- anything at all

def some_conversation() -> list:
    turns = ntlm_bind(2) + [(C, request(2, 10)), (S, response(2)), (C, object_request(3, 1)), (S, fault(3))]
    turns += [(C, alter((1, EPM, 3), level=5, token=NTLM_TOKENS[0], auth_id=3)), (S, altered(level=5, token=NTLM_TOKENS[1], auth_id=3))]
    return turns + [(C, request(4, 3, b"x" * 300, context=1, flags=1)), (C, request(4, 3, b"y" * 30, context=1, flags=2)), (S, response(4, mapped(tower(EMSMDB))))]


@given(st.binary(max_size=4000), st.integers(0, 1000), st.booleans())
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes(data, seed, start_seen):
    swallow(DcerpcParser, data, seed=seed, start_seen=start_seen)


@pytest.mark.parametrize("seed", range(30))
def test_mutations_are_cut_invariant(seed):
    chance = random.Random(seed)
    turns = []
    for side, data in some_conversation():
        changed = bytearray(data)
        for _ in range(chance.choice((0, 0, 1, 3))):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 5, 255, chance.randrange(256)))
        turns.append((side, bytes(changed)))
        if chance.random() < 0.1:
            turns.append((side, chance.randint(1, 200)))
    facts(turns, start_seen=bool(seed % 2))


def test_finish_twice():
    parser = converse(DcerpcParser, BOUND + [(C, request(2))])
    parser.finish()
    assert parser.facts.rpc[0].contexts[0].requests == 1
