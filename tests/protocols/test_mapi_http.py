"""MAPI over HTTP: what the bodies of Connect and Execute show, however they are cut, and what is no such body."""
from __future__ import annotations

import struct

import pytest
from tests.helpers import converse, same_however_cut, told
from tests.mapi_stubs import USER, auxiliary, header, rops

from pcapsec.protocols.http import HttpParser
from pcapsec.protocols.mapi_http import MAX_BODY_BYTES
from pcapsec.records import CLIENT, SERVER

LOGON = b"\xfe\0\0\1" + struct.pack("<IIH", 0, 0, len(USER) + 1) + USER + b"\0"
META = b"PROCESSING\r\nDONE\r\nX-ElapsedTime: 12\r\n\r\n"
CLIENT_BLOCK = auxiliary((2, b"\0" * 8))


def asked(kind: str, body: bytes, *, path: bytes = b"/mapi/emsmdb/", length: int | None = None) -> tuple[int, bytes]:
    head = b"POST %b HTTP/1.1\r\nHost: ex\r\nContent-Type: application/mapi-http\r\nX-RequestType: %b\r\nContent-Length: %d\r\n\r\n"
    return CLIENT, head % (path, kind.encode(), len(body) if length is None else length) + body


def answered(body: bytes, *, chunked: bool = False, status: bytes = b"200 OK") -> tuple[int, bytes]:
    if chunked:
        return SERVER, b"HTTP/1.1 %b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (status, len(body), body)
    return SERVER, b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def connect(user: bytes = USER, aux: bytes = b"") -> bytes:
    return user + b"\0" + struct.pack("<IIII", 0, 1252, 1033, 1033) + sized(aux)


def execute(buffer: bytes, aux: bytes = b"") -> bytes:
    return struct.pack("<I", 0) + sized(buffer) + struct.pack("<I", 0x8007) + sized(aux)


def connected(aux: bytes = b"") -> bytes:
    return META + struct.pack("<IIIII", 0, 0, 60000, 6, 10000) + b"/o=Example\0" + "Jane Dow\0".encode("utf-16-le") + sized(aux)


def executed(buffer: bytes, aux: bytes = b"") -> bytes:
    return META + struct.pack("<III", 0, 0, 0) + sized(buffer) + sized(aux)


def mapi(turns, **keywords):
    """(obfuscation, what the bodies show), equal however the bytes were cut."""
    http = same_however_cut(HttpParser, turns, rounds=4, **keywords).facts.http
    return http.obfuscation, None if http.mapi is None else told(http.mapi)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_mailbox_session(chunked):
    turns = [asked("Connect", connect(aux=header(CLIENT_BLOCK))), answered(connected(header(CLIENT_BLOCK)), chunked=chunked),
             asked("Execute", execute(header(rops(LOGON), 6), header(CLIENT_BLOCK))), answered(executed(header(rops(b"\xfe\0" + bytes(20)))), chunked=chunked)]
    obfuscation, found = mapi(turns)
    assert obfuscation == "xor"
    at = len(turns[0][1]) - len(connect(aux=header(CLIENT_BLOCK)))
    assert found == {"user_dn": USER.decode(), "user_dn_at": at, "mailbox_dn": USER.decode(), "rop_names": {"RopLogon": 1}, "n_header_ext": 5, "flags": 6, "n_decoded": 1,
                     "decoded_bytes": len(rops(LOGON)), "strings": {"legacy-dn": 2}}


@pytest.mark.parametrize("flags, kind", [(4, "none"), (5, "compressed"), (6, "xor"), (7, "both")])
def test_each_obfuscation(flags, kind):
    assert mapi([asked("Execute", execute(header(rops(LOGON), flags))), answered(b"")])[0] == kind
    assert mapi([asked("Execute", b""), answered(b""), asked("Execute", execute(b"")), answered(executed(header(rops(b"\xf9\0" + b"a" * 400), flags)))])[0] == kind


@pytest.mark.parametrize("turns", [
    [asked("Disconnect", execute(header(rops(LOGON), 6)))], [asked("Execute", execute(header(rops(LOGON), 6)), path=b"/other"), asked("Bind", connect(), path=b"/mapi/nspi/")][1:],
    [asked("Execute", b"\xff" * 100)], [asked("Execute", execute(b"\0\0\x10\0" + bytes(40)))], [asked("Connect", b"x" * 3000)], [asked("Connect", b"")],
    [asked("Execute", execute(b"")), answered(b"\xff" * 200)], [asked("Execute", execute(b"")), answered(META + b"\1\0\0\0\0\0\0\0" + sized(header(rops(LOGON), 6)))],
    [asked("Execute", execute(b"")), answered(executed(header(rops(LOGON), 6)), status=b"500 No")],
])
def test_what_shows_nothing(turns):
    obfuscation, found = mapi(turns)
    assert (obfuscation, found or {}) == (None, {})


def test_lengths_that_lie_end_the_reading():
    body = struct.pack("<II", 0, 0xFFFFFFFF) + header(rops(LOGON), 6)
    assert mapi([asked("Execute", body)])[0] == "xor"
    assert mapi([asked("Execute", execute(header(rops(LOGON), 6))[:-60])])[0] is None
    assert mapi([asked("Connect", USER + b"\0" + bytes(16) + b"\xff\xff\xff\xff")])[1]["user_dn"] == USER.decode()


def test_a_body_with_a_hole_is_read_up_to_it():
    body = execute(header(rops(LOGON), 6) * 1)
    side, data = asked("Execute", body + bytes(500), length=len(body) + 500 + 40)
    found = converse(HttpParser, [(side, data), (CLIENT, 40), asked("Execute", b""), answered(b""), answered(b"")]).http
    assert (found.obfuscation, found.n_requests) == ("xor", 2)


def test_no_more_of_an_answer_is_kept_than_the_limit():
    parser = HttpParser()
    for side, data in [asked("Execute", execute(b"")), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n" + META)]:
        parser.feed(side, data, 0)
    for number in range(20):
        parser.feed(SERVER, bytes(MAX_BODY_BYTES // 8), number)
    assert len(parser.sides[SERVER].take._data) == MAX_BODY_BYTES
    parser.finish()
    assert parser.http.obfuscation is None
