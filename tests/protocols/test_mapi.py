"""Exchange's calls in clear: who connects, how payloads are hidden and that this hides nothing."""
from __future__ import annotations

import dataclasses
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapi_stubs import HANDLE, USER, Ndr, auxiliary, connect, connected, header, legacy, rops, rpc_ext, rpc_ext_answer, squeeze, xor

from pcapsec.protocols import mapi_payload, mapi_rops
from pcapsec.protocols.mapi import EC_NOT_ENCRYPTED, MAX_EXPANDED_PAYLOADS, MapiReader
from pcapsec.protocols.mapi_lz77 import expand
from pcapsec.records import MapiFacts

LAYOUTS = [{"little": True, "wide": False}, {"little": True, "wide": True}, {"little": False, "wide": False}]
RELEASE, OPEN = b"\1\0\0", b"\2\0\0\1" + b"\1" * 8 + b"\0"
LOGON = b"\xfe\0\0\1" + b"\x0c\x04\0\1" + b"\0" * 4 + struct.pack("<H", len(USER) + 1) + USER + b"\0"


def facts(reader: MapiReader) -> dict:
    """Facts that are not as they begin."""
    blank = MapiFacts(user_dn_at=0)
    return {field.name: value for field in dataclasses.fields(MapiFacts) if (value := getattr(reader.facts, field.name)) not in (None, getattr(blank, field.name))}


def emsmdb(*calls: tuple[str, int, bytes], little: bool = True) -> MapiReader:
    reader = MapiReader("EMSMDB")
    for number, (side, opnum, stub) in enumerate(calls):
        (reader.request if side == "C" else reader.response)(opnum, stub, 100 * number, little)
    return reader


@pytest.mark.parametrize("how", LAYOUTS)
def test_connecting(how):
    reader = emsmdb(("C", 10, connect(**how)), ("S", 10, connected(**how)), little=how["little"])
    assert facts(reader) == {"user_dn": USER.decode(), "client_version": "12.0.6206.1000", "server_version": "8.1.240.5", "strings": {"legacy-dn": 1}}
    assert reader.facts.user_dn_at == 0 and reader.obfuscation is None


def test_the_old_way_to_connect():
    reader = emsmdb(("C", 0, connect(words=(11, 5608, 0), auxiliary=None)), ("S", 0, connected(auxiliary=None)))
    assert facts(reader) == {"user_dn": USER.decode(), "client_version": "11.0.5608.0", "server_version": "8.1.240.5", "strings": {"legacy-dn": 1}}


@pytest.mark.parametrize("opnum, how", [(0, {}), (10, {}), (10, {"little": False})])
def test_refused_without_encryption(opnum, how):
    stub = connected(words=(0, 0, 0), result=EC_NOT_ENCRYPTED, prefix=b"", auxiliary=None if opnum == 0 else b"", **how)
    reader = emsmdb(("C", opnum, connect(auxiliary=None if opnum == 0 else b"", **how)), ("S", opnum, stub), ("S", opnum, stub), little=how.get("little", True))
    assert (reader.facts.not_encrypted_refused, reader.facts.not_encrypted_at, reader.facts.server_version) == (2, 100, None)
    reader = emsmdb(("S", 11, b"\0" * 40 + struct.pack("<I", EC_NOT_ENCRYPTED)), ("S", opnum, connected(result=1 + EC_NOT_ENCRYPTED)))
    assert reader.facts.not_encrypted_refused == 0


KINDS = [(4, "none", 0), (6, "xor", 1), (5, "compressed", 1), (7, "both", 1)]
BODY = b"\x0a\0\0" + struct.pack("<H", 200) + ("a subject that repeats, repeats, repeats" * 2).encode("utf-16-le")[:150] + b"\0" * 50  # RopSetProperties


@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("flags, kind, decoded", KINDS)
def test_every_way_to_hide_a_request(flags, kind, decoded, how):
    payload = rops(LOGON, OPEN, BODY, RELEASE)
    reader = emsmdb(("C", 11, rpc_ext(header(payload, flags), **how)), little=how["little"])
    assert reader.obfuscation == kind
    expected: dict = {"rop_names": {"RopLogon": 1, "RopOpenFolder": 1, "RopSetProperties": 1, "RopRelease": 1}, "n_header_ext": 1, "flags": flags, "mailbox_dn": USER.decode(),
                "strings": {"legacy-dn": 1, "utf16": 1}}
    assert facts(reader) == expected | ({"n_decoded": 1, "decoded_bytes": len(payload)} if decoded else {})


@pytest.mark.parametrize("how", LAYOUTS)
def test_answers_name_operations_only_alone(how):
    answer = b"\xfe\0" + b"\0" * 160
    stub = rpc_ext_answer(header(rops(answer), 2) + header(rops(b"\x2a\0\0\0\0" + b"\0" * 40), 6), header(auxiliary((0x16, b"\0" * 12)), 7), **how)
    reader = emsmdb(("S", 11, stub), little=how["little"])
    assert facts(reader) == {"rop_names": {"RopLogon": 1, "RopNotify": 1}, "n_header_ext": 3, "flags": 7, "n_decoded": 3, "decoded_bytes": 2 * 2 + 162 + 45 + 8 + 16}
    assert reader.obfuscation == "both"
    reader = emsmdb(("C", 11, rpc_ext(header(rops(LOGON)), **how)), ("S", 11, stub), little=how["little"])
    assert reader.facts.rop_names == {"RopLogon": 1, "RopNotify": 1}


def test_the_strongest_is_kept():
    order = [6, 4, 5, 6, 7, 4]
    reader = MapiReader("EMSMDB")
    seen = []
    for flags in order:
        reader.request(11, rpc_ext(header(rops(LOGON, LOGON), flags)), 0)
        seen.append(reader.obfuscation)
    assert seen == ["xor", "xor", "compressed", "compressed", "both", "both"]


@pytest.mark.parametrize("treat, kind", [(xor, "xor"), (bytes, "none")])
def test_legacy_calls(treat, kind):
    payload = rops(OPEN, RELEASE)
    reader = emsmdb(("C", 2, legacy(treat(payload))), ("S", 2, legacy(treat(rops(b"\2\1\0\0\0\0\0\0")))))
    assert reader.obfuscation == kind and reader.facts.rop_names == {"RopOpenFolder": 1, "RopRelease": 1} and reader.facts.n_header_ext == 0
    assert reader.facts.n_decoded == (2 if kind == "xor" else 0)


def test_auxiliary_buffers_of_connecting():
    aux = auxiliary((2, b"\0" * 20 + "PC-OF-JANE".encode("utf-16-le") + b"\0\0"), (1, b"\0" * 8))
    reader = emsmdb(("C", 10, connect(auxiliary=header(aux, 6))), ("S", 10, connected(auxiliary=header(auxiliary((0x17, b"\0" * 4))))))
    assert reader.obfuscation == "xor" and facts(reader) == {
        "user_dn": USER.decode(), "client_version": "12.0.6206.1000", "server_version": "8.1.240.5", "n_header_ext": 2, "flags": 6, "n_decoded": 1, "decoded_bytes": len(aux),
        "strings": {"legacy-dn": 1, "utf16": 1}}


@pytest.mark.parametrize("stub", [
    rpc_ext(struct.pack("<HHHH", 1, 4, 4, 4) + b"\2\0\0\0"), rpc_ext(struct.pack("<HHHH", 0, 12, 2, 2) + b"\2\0"), rpc_ext(struct.pack("<HHHH", 0, 4, 99, 99) + b"\2\0"),
    rpc_ext(struct.pack("<HHHH", 0, 4, 2, 3) + b"\2\0"), rpc_ext(struct.pack("<HHHH", 0, 5, 2, 2) + b"\2\0"), Ndr()(HANDLE, ("I", 3), ("I", 99)).data + header(rops(LOGON)), b"", b"\0" * 300,
    rpc_ext(b"")])
def test_what_is_no_header(stub):
    reader = emsmdb(("C", 11, stub), ("S", 11, stub), ("C", 10, stub), ("S", 10, stub), ("C", 2, stub), ("S", 0, stub))
    assert facts(reader) == {} and reader.obfuscation is None


def test_a_header_whose_payload_does_not_expand():
    reader = emsmdb(("C", 11, rpc_ext(struct.pack("<HHHH", 0, 5, 6, 600) + b"\xff\xff\xff\xff\xff\xff")), ("C", 11, rpc_ext(struct.pack("<HHHH", 0, 4, 4, 4) + b"\xff\xff\0\0")))
    assert facts(reader) == {"n_header_ext": 2, "flags": 5} and reader.obfuscation is None


def test_a_client_without_a_name():
    assert facts(emsmdb(("C", 10, connect(user=b"")))) == {"client_version": "12.0.6206.1000"}
    assert facts(emsmdb(("C", 10, connect(user=b"x" * 3000)))) == {}


def test_directory_calls():
    stat = struct.pack("<9I", 0, 0, 0, 0, 0, 0, 1252, 1033, 1033)
    reader = MapiReader("NSPI")
    reader.request(0, b"\0" * 4 + stat + b"\0\0\2\0" + b"\1" * 16, 5)
    names = Ndr()(HANDLE, ("I", 0)).varying("jane.dow@corp.example\0".encode("utf-16-le")).data
    reader.request(20, names, 400)
    reader.response(3, Ndr()(b"\0" * 8).varying(USER + b"\0").varying(b"jane@corp.example\0").data, 9)
    assert facts(reader) == {"bind_codepage": 1252, "strings": {"utf16": 1, "smtp-address": 2, "legacy-dn": 1}}
    reader = MapiReader("NSPI")
    reader.request(0, b"\xaa" * 64, 5)
    assert facts(reader) == {}


@pytest.mark.parametrize("how", LAYOUTS)
def test_referral(how):
    reader = MapiReader("RFR")
    reader.request(0, Ndr(**how)(("I", 0)).varying(USER + b"\0")(("N", 0), ("N", 0)).data, 77, how["little"])
    assert facts(reader) == {"user_dn": USER.decode(), "user_dn_at": 77, "strings": {"legacy-dn": 1}}


def test_other_interfaces_are_left_alone():
    reader = MapiReader("AsyncEMSMDB")
    reader.request(0, HANDLE + b"\0" * 4, 0)
    reader.response(0, b"\0" * 8, 0)
    assert facts(reader) == {}


def test_strings_are_counted_never_kept():
    counts: dict[str, int] = {}
    mapi_payload.count_strings(b"/O=Corp/OU=Site/cn=Recipients/cn=a" + "Quarterly report".encode("utf-16-le") + b"\0\0" + b"a@b.example c@d.example" + "e@f.example".encode("utf-16-le"), counts)
    assert counts == {"legacy-dn": 1, "utf16": 2, "smtp-address": 3}


# --- operations

NAMED = b"\x56\0\0\2" + struct.pack("<H", 3) + b"\0" + b"g" * 16 + b"\1\0\0\0" + b"\1" + b"g" * 16 + b"\6n\0a\0\0\0" + b"\xff" + b"g" * 16


@pytest.mark.parametrize("request_bytes", [
    RELEASE, OPEN, LOGON, BODY, NAMED, b"\x07\0\0\0\0\0\0" + struct.pack("<H", 3) + b"t" * 12, b"\x0e\0\0" + struct.pack("<H", 1) + b"c" * 4 + struct.pack("<H", 2) + (b"\0" * 5 + b"\2\0xy") * 2,
    b"\x13\0\0\0" + struct.pack("<HHH", 2, 0, 0) + b"s" * 10, b"\x29\0\0\1\2\0\1", b"\x29\0\0\1\2\0\0" + b"i" * 16, b"\x2c\0\0\xbe\xba\0\x10\0\0", b"\x2c\0\0\0\x10",
    b"\x4e\0\0\xbe\xba\0\x10", b"\x4e\0\0\0\x10", b"\x5f\0\0\0\1" + b"g" * 16, b"\x5f\0\0\0\0", b"\x26\0\0" + b"f" * 8 + b"IPM.Note\0", b"\x27\0\0IPM\0",
    b"\x33\0\0\1" + struct.pack("<H", 2) + b"m" * 16 + b"\0\1", b"\x70\0\0\1\1\0\0\0" + struct.pack("<H", 1) + b"r" + b"\0" * 4 + struct.pack("<H", 1) + b"t" * 4,
    b"\x76\0\0" + struct.pack("<I", 5) + b"state", b"\x78\0\0" + struct.pack("<I", 1) * 1 + b"a" + struct.pack("<I", 0) * 4, b"\x55\0\0" + struct.pack("<H", 2) + b"idid",
    b"\x4f\0\0\0" + struct.pack("<H", 2) + b"rr\1" + struct.pack("<H", 0), b"\x15\0\0\0\1\x32\0"])
def test_the_length_of_requests(request_bytes):
    """Each is followed by a RopRelease, which is only found at the right place."""
    name = mapi_rops.ROP_NAMES[request_bytes[0]]
    found = mapi_rops.request_rops(request_bytes + RELEASE)
    assert [mapi_rops.ROP_NAMES[rop] for rop, _ in found] == [name, "RopRelease"]


def test_operations_of_unknown_length_end_the_walk():
    assert mapi_rops.request_rops(b"\x72\0\0" + b"\0" * 40 + RELEASE) == [(0x72, 3)]
    assert mapi_rops.request_rops(b"\x28\0\0") == [] and mapi_rops.request_rops(b"") == [] and mapi_rops.request_rops(b"\x2a\0\0\0") == []
    assert mapi_rops.request_rops(b"\x0a\0\0\xff\xff") == []  # longer than the buffer: no such operation
    assert len(mapi_rops.request_rops(RELEASE * 5000)) == mapi_rops.MAX_ROPS


# --- LZ77

@pytest.mark.parametrize("data, plain", [  # [MS-XCA] §3.1
    (bytes.fromhex("3f000000") + b"abcdefghijklmnopqrstuvwxyz", b"abcdefghijklmnopqrstuvwxyz"), (bytes.fromhex("ffffff1f61626317000fff2601"), b"abc" * 100)])
def test_the_specification_s_examples(data, plain):
    assert expand(data) == plain and expand(data, 9) == plain[:9]


@pytest.mark.parametrize("data, plain", [
    (b"", None), (b"\0\0", None), (b"\0\0\0\0", None), (b"\0\0\0\x80", b""), (b"\0\0\0\x80\0", None), (b"\0\0\0\x80\0\0", None),  # cut, and a match before anything
    (b"\0\0\0\x40a\x08\0", None), (b"\0\0\0\x40a\x07\0", None), (b"\0\0\0\x40a\x07\0\x0f", None), (b"\0\0\0\x40a\x07\0\x0f\xff", None), (b"\0\0\0\x40a\x07\0\x0f\xff\x01\0", None),
    (b"\0\0\0\x40a\x07\0\x0f\xff\0\0", None), (b"\0\0\0\x60a\0\0", b"aaaa"), (b"\xff\xff\xff\x7fa\x07\0\x51\x07\0", b"a" * (1 + 11 + 15)),  # two lengths share a byte
    (b"\xff\xff\xff\x7fa\x07\0\x0f\x02", b"a" * (1 + 3 + 7 + 15 + 2)), (b"\xff\xff\xff\x7fa\x07\0\x0f\xff\0\0\x00\x01\0\0", b"a" * 260)])
def test_every_length_and_every_cut(data, plain):
    assert expand(data) == plain


def test_a_bomb_stays_small():
    bomb = b"\xff\xff\xff\x7fa" + b"\x07\0\x0f\xff\0\0\xff\xff\xff\x7f" * 30
    began = time.perf_counter()
    assert len(expand(bomb)) == 65535 and expand(bomb, 1 << 40) == b"a" * 65535 and expand(bomb, 100) == b"a" * 100
    many = b"\xff\xff\xff\x7fa" + b"\0\0" * 31 + (b"\xff\xff\xff\xff" + b"\0\0" * 32) * 950
    assert len(expand(many)) == 65535
    assert time.perf_counter() - began < 0.5


def test_only_so_many_payloads_are_expanded_whole():
    payload = rops(LOGON, *[OPEN] * 100)
    stub = rpc_ext(header(payload, 5))
    reader = emsmdb(*[("C", 11, stub)] * (MAX_EXPANDED_PAYLOADS + 2))
    whole, short = MAX_EXPANDED_PAYLOADS, 2
    assert (reader.facts.n_decoded, reader.facts.decoded_bytes) == (whole + short, whole * len(payload) + short * 512)
    assert reader.facts.rop_names["RopLogon"] == whole + short


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"abc" * 9, b"q" * 300, b"\0" * 40])), max_size=8))
def test_what_was_squeezed_expands_again(parts):
    data = b"".join(parts)
    squeezed = squeeze(data)
    assert expand(squeezed, len(data)) == data if data else expand(squeezed) == b""
    assert expand(squeezed + b"", 65535) == data


STUBS = [connect(), connected(), connect(auxiliary=header(auxiliary((2, b"x" * 20)), 7)), rpc_ext(header(rops(LOGON, NAMED, BODY), 7)), rpc_ext_answer(header(rops(OPEN), 5), header(b"", 4)),
         legacy(xor(rops(LOGON)))]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(STUBS), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=5), st.integers(0, 400), st.booleans(),
       st.sampled_from(["EMSMDB", "NSPI", "RFR", "EPM"]))
def test_damaged_stubs_never_raise(stub, changes, cut, little, interface):
    damaged = bytearray(stub)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    damaged = bytes(damaged[:max(0, len(damaged) - cut)]) if cut < 200 else bytes(damaged)
    reader = MapiReader(interface)
    for opnum in range(12):
        reader.request(opnum, damaged, 0, little)
        reader.response(opnum, damaged, 0, little)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_never_raise(data):
    expand(data)
    mapi_rops.request_rops(data)
    mapi_payload.read_headers(data, 65535)
    mapi_payload.is_auxiliary(data)
    for rop in mapi_rops.ROP_NAMES:
        mapi_rops.request_rops(bytes([rop]) + data)
