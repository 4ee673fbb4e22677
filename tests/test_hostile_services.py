"""Bad input for the services that carry mail or logins to it: what never ends, lies about its length, nests, collides or comes by the hundred thousand. Limits hold and are told, nothing
raises, and time grows with the bytes alone.

Most of it is fed to the parsers directly, since the kernels keep only the beginning of such conversations; the rest goes through the whole pipeline, some of it in a process whose
memory is measured. Random mutations of all of it: `benchmarks/fuzz.py`.
"""
from __future__ import annotations

import base64
import io
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy
import pytest
from tests import ldap_bytes as ldap
from tests import rpc_bytes as rpc
from tests import security_tokens as tokens
from tests import smb_bytes as smb
from tests import tls_bytes as tls
from tests.frames import Talk, pcap

import pcapsec
from pcapsec.pipeline import channels
from pcapsec.protocols import rpc_http
from pcapsec.protocols.certificates import certificate
from pcapsec.protocols.dcerpc import DcerpcParser
from pcapsec.protocols.http import HttpParser
from pcapsec.protocols.ldap import LdapParser
from pcapsec.protocols.smb import SmbParser
from pcapsec.protocols.tls import TlsParser

ROOT = Path(__file__).resolve().parents[1]
C, S = 0, 1
MAIL = (0, rpc.EMSMDB, 0x510000)
SECONDS = 10.0  # for each of what follows; a busy machine takes about one
SEGMENT = 1400


@pytest.fixture(scope="module", autouse=True)
def kernels():
    """Compiled before anything is timed."""
    from pcapsec.streams.warm import load_kernels

    load_kernels(rare=True)


def cut(data: bytes, side: int = C, size: int = SEGMENT) -> list[tuple[int, bytes]]:
    return [(side, data[at:at + size]) for at in range(0, len(data), size)]


def fed(parser_class, turns, **keywords):
    """The parser after all turns (a number is that many lost bytes), in time; and how often it said what."""
    parser, at, begun = parser_class(**keywords), [0, 0], time.monotonic()
    for side, data in turns:
        if isinstance(data, int):
            parser.gap(side, data, at[side])
            at[side] += data
        else:
            parser.feed(side, data, at[side])
            at[side] += len(data)
    parser.finish()
    assert time.monotonic() - begun < SECONDS
    return parser, Counter(one.code for one in (parser.anomalies if parser_class is TlsParser else parser.facts.anomalies))


def talk(turns, port: int, size: int = 8000, **how) -> list[tuple[int, bytes]]:
    """Frames of a conversation."""
    return Talk(server_port=port, step_ns=1000, **how).open().turns(turns, size).close().frames()


def analysed(frames) -> pcapsec.Result:
    data, begun = pcap(frames), time.monotonic()
    result = pcapsec.analyze(io.BytesIO(data))
    assert result.internal_errors == [] and time.monotonic() - begun < SECONDS
    return result


# --- DCE/RPC


def test_a_call_in_fragments_that_never_ends():
    bound = rpc.ntlm_bind(2, MAIL)
    parser, said = fed(DcerpcParser, bound + [(C, rpc.request(2, 11, b"a" * 4000, flags=1))] + [(C, rpc.request(2, 11, b"a" * 4000, flags=0))] * 5000)
    assert said == {"fragmented-call-too-long": 1} and parser.rpc.contexts[0].requests == 1 and parser.rpc.contexts[0].stub_bytes == 5001 * 4000
    parser, said = fed(DcerpcParser, bound + [(C, rpc.request(number, 11, b"a" * 2000, flags=1)) for number in range(5000)])
    assert said == {"too-many-fragmented-calls": 100, "more-anomalies-dropped": 1} and parser.rpc.contexts[0].requests == 5000


@pytest.mark.parametrize("length", [0, 15, 16, 17, 24, 0xFFFF])
@pytest.mark.parametrize("auth_length", [0, 1, 16, 0x7FFF, 0xFFFF])
def test_rpc_lengths_that_lie(length, auth_length):
    lie = rpc.request(2, 11, b"stub")
    lie = lie[:8] + struct.pack("<HH", length, auth_length) + lie[12:]
    for sides in ((C, S), (S, C)):
        parser, _ = fed(DcerpcParser, rpc.ntlm_bind(2, MAIL) + [(sides[0], lie * 500), (sides[1], lie * 500), (C, rpc.request(3, 11)), (S, rpc.response(3))])
        assert parser.rpc.contexts[0].interface == "EMSMDB"


@pytest.mark.parametrize("count", [0, 1, 200, 255])
def test_context_lists_that_lie_about_their_number(count):
    bind = bytearray(rpc.bind(MAIL))
    bind[24] = count
    parser, said = fed(DcerpcParser, [(C, bytes(bind)), (S, rpc.ack()), (C, rpc.request(2, 11))])
    assert len(parser.rpc.contexts) == 1 and (said == {"bad-context-list": 1} if count > 1 else not said)


def test_ten_thousand_contexts():
    many = [(C, rpc.alter(*((number % 65536, rpc.SAMR, number) for number in range(first, first + 100)), call=first)) for first in range(0, 10_000, 100)]
    parser, said = fed(DcerpcParser, [(C, rpc.bind(MAIL)), (S, rpc.ack())] + many + [(C, rpc.request(number, 5, context=number)) for number in range(10_000)])
    assert said == {"too-many-contexts": 1} and len(parser.rpc.contexts) == 1000
    parser, said = fed(DcerpcParser, [(C, rpc.bind(MAIL, level=6, token=tokens.negotiate(), auth_id=number)) for number in range(10_000)])
    assert said == {"too-many-security-contexts": 1} and len(parser.rpc.securities) == 100


def test_spnego_inside_spnego():
    token = tokens.negotiate()
    for _ in range(900):
        token = tokens.init(tokens.NTLM, token=token)
    parser, _ = fed(DcerpcParser, [(C, rpc.bind(MAIL, level=6, token=token, auth_type=9)), (S, rpc.ack(level=6, token=token, auth_type=9))] * 20)
    assert {one.mechanism for one in parser.rpc.securities} <= {None, "NTLM"}
    for parser_class, carried in ((HttpParser, b"GET /ews/ HTTP/1.1\r\nAuthorization: Negotiate %b\r\n\r\n" % base64.b64encode(token)), (LdapParser, ldap.sasl(1, b"GSS-SPNEGO", token)),
                                  (SmbParser, smb.netbios(smb.negotiate2()) + smb.netbios(smb.setup2(1, token)))):
        parser, _ = fed(parser_class, [(C, carried)])
        assert [one.principal for one in parser.facts.logins] in ([], [None])


def test_calls_of_a_hundred_thousand_kinds():
    parser, said = fed(DcerpcParser, [(C, rpc.bind(MAIL)), (S, rpc.ack())] + [(C, rpc.request(number, number % 65536, b"")) for number in range(100_000)])
    context, = parser.rpc.contexts
    assert (context.requests, len(context.opnums), said) == (100_000, 1000, {})


@pytest.mark.parametrize("junk", [b"\5", b"\5\0\0\3\x10\0\0\0\x11\0\0\0\0\0\0\0", b"\5\0\0\3\x10\0\0\0\xff\xff\0\0\0\0\0\0" + b"a" * 20])
@pytest.mark.parametrize("start_seen", [True, False])
def test_junk_that_looks_like_pdus(junk, start_seen):
    parser, said = fed(DcerpcParser, [(C, rpc.bind(MAIL))] + cut(junk * (2_000_000 // len(junk))), start_seen=start_seen)
    assert len(parser.facts.anomalies) <= 101


# --- RPC over HTTP


def rts(cookie: bytes) -> bytes:
    """An RTS PDU that names a virtual connection."""
    body = struct.pack("<HHI", 0, 3, 6) + b"\1\0\0\0" + struct.pack("<I", 3) + cookie + struct.pack("<I", 3) + b"i" * 16
    return struct.pack("<BBBB4sHHI", 5, 0, 20, 3, b"\x10\0\0\0", 16 + len(body), 0, 0) + body


def inbound(cookie: bytes, more: bytes = b"") -> tuple[int, bytes]:
    body = rts(cookie) + rpc.bind(MAIL) + rpc.request(2, 11, b"call") + more
    return C, b"RPC_IN_DATA /rpc/rpcproxy.dll?ex:6001 HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def outbound(cookie: bytes) -> list[tuple[int, bytes]]:
    asked, told = rts(cookie), rts(cookie) + rpc.ack() + rpc.response(2)
    return [(C, b"RPC_OUT_DATA /rpc/rpcproxy.dll?ex:6001 HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked),
            (S, b"HTTP/1.1 200 ok\r\nContent-Type: application/rpc\r\nContent-Length: %d\r\n\r\n" % len(told) + told)]


def number(n: int) -> bytes:
    return n.to_bytes(16, "big")


def test_cookies_that_collide():
    """Two thousand IN channels with one cookie, then as many OUT channels: each is told, the pairs that there are once."""
    frames = [frame for n in range(2000) for frame in talk([inbound(b"k" * 16)], 80, client_port=1000 + n)]
    frames += [frame for n in range(2000) for frame in talk(outbound(b"k" * 16), 80, client_port=4000 + n)]
    result = analysed(frames)
    assert len(result.sessions) == 4000 == result.sessions["session_id"].nunique()
    assert (len(result.rpc), result.rpc["responses"].sum()) == (3999, 2000)


def test_one_connection_with_many_channels():
    """Nine hundred IN channels one after the other, each with its OUT channel in another conversation: offsets of each still lead to their frames."""
    first = talk([inbound(number(n)) for n in range(900)], 80, client_port=1000)
    frames, n_first = list(first), len(first)
    for n in range(900):
        frames += talk(outbound(number(n)), 80, client_port=2000 + n, clock=first[-1][0])
    result = analysed(frames)
    assert len(result.sessions) == 901 and len(result.rpc) == 900
    assert result.rpc["accepted"].eq(True).all() and result.rpc["frame"].max() <= n_first
    twice = analysed(talk([inbound(b"k" * 16)] * 300, 80))
    assert (len(twice.sessions), len(twice.rpc)) == (1, 300)


def test_both_channels_on_one_connection_and_a_cookie_too_many():
    result = analysed(talk([*outbound(b"k" * 16), *outbound(b"k" * 16), inbound(b"k" * 16), inbound(b"k" * 16)], 80))
    assert len(result.sessions) == 1 and sorted(result.rpc["responses"]) == [0, 1, 1]


def test_channels_have_limits(monkeypatch):
    parser, said = fed(HttpParser, [inbound(b"k" * 16)] * 3000)
    assert said == {"http-too-many-channels": 1} and len(parser.facts.channels) == 1000
    endless = [(C, b"RPC_IN_DATA /rpc/rpcproxy.dll?ex:6001 HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n" + rts(b"k" * 16))] + [(C, rpc.request(2, 11, b"a" * 4000))] * 2000
    parser, said = fed(HttpParser, endless)
    assert said == {"rpc-channel-too-large": 1} and parser.facts.channels[0].n_bytes <= rpc_http.MAX_CHANNEL_BYTES
    before = rpc_http.Share.all_taken
    monkeypatch.setattr(rpc_http, "MAX_ALL_BYTES", before + 1_000_000)
    kept = [fed(HttpParser, endless[:51]) for _ in range(20)]
    assert sum(said["rpc-channels-too-large"] for _, said in kept) == 16 and rpc_http.Share.all_taken <= before + 1_000_000
    del kept, parser
    assert rpc_http.Share.all_taken < before


def test_channels_that_wait_are_not_many():
    result = analysed([frame for n in range(channels.MAX_WAITING + 500) for frame in talk([inbound(number(n))], 80, client_port=1000 + n)])
    assert len(result.sessions) == len(result.rpc) == channels.MAX_WAITING + 500


def test_places_in_a_channel_of_small_pieces():
    """The packet of each of 40,000 PDUs is found."""
    turns = [(C, b"RPC_IN_DATA /rpc/rpcproxy.dll?ex:6001 HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n" + rts(b"k" * 16))]
    turns += [(C, rpc.request(n, 11, b"x" * 20)) for n in range(40_000)]
    result = analysed(talk(turns, 80, SEGMENT))
    assert result.rpc["requests"].tolist() == [40_000]


# --- HTTP


def test_heads_without_end():
    for line in (b"X" * 6_000_000, b"A: b\r\n" * 1_000_000):
        parser, said = fed(HttpParser, cut(b"GET /owa/ HTTP/1.1\r\n" + line))
        assert said == {"http-head-too-long": 1} and [row.path for row in parser.http.requests] == ["/owa/"]
    fields = b"".join((b"Cookie: " + b"a=b; " * 9000, b"\r\nAuthorization: Digest " + b'a="b",' * 3000, b"\r\n" + b"A: b\r\n" * 2000))
    parser, said = fed(HttpParser, cut((b"GET /owa/ HTTP/1.1\r\n" + fields + b"\r\n") * 60))
    assert len(parser.http.requests) == 60 and set(said) == {"http-credentials-malformed"} and len(parser.http.requests[0].cookies) <= 100


@pytest.mark.parametrize("size, code", [(b"FFFFFFFFFFFFFFFFFF", True), (b"-1", True), (b"1;" + b"x" * 100_000, True), (b"0x10", True), (b"7fffffff", False), (b"0" * 30 + b"5", True)])
def test_chunk_sizes_that_lie(size, code):
    request = b"POST /ews/exchange.asmx HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
    parser, said = fed(HttpParser, cut(request * 50 + b"x" * 1_000_000))
    assert (said["http-chunk-malformed"] > 0) == code and 1 <= len(parser.http.requests) <= 50


def test_a_million_chunks():
    parser, said = fed(HttpParser, cut(b"POST /ews/exchange.asmx HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 500_000 + b"0\r\n\r\nGET /owa/ HTTP/1.1\r\n\r\n"))
    assert [(row.path, row.request_bytes) for row in parser.http.requests] == [("/ews/exchange.asmx", 500_000), ("/owa/", 0)] and not said


@pytest.mark.parametrize("length", [b"-1", b"5, 6", b"99999999999999999999999", b"0x5", b"5 5"])
def test_lengths_of_bodies_that_lie(length):
    parser, said = fed(HttpParser, [(C, b"POST /ews/ HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n" + b"y" * 1000)] * 300)
    assert said["http-length-malformed"] >= 1 and len(parser.facts.anomalies) <= 101


def test_a_hundred_thousand_pipelined_requests():
    parser, said = fed(HttpParser, cut(b"GET /owa/ HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000))
    assert (parser.http.n_requests, len(parser.http.requests), said) == (100_000, 10_000, {"http-too-many-requests": 1})
    logins = (b"GET /owa/ HTTP/1.1\r\nAuthorization: Basic %b\r\n\r\n" % base64.b64encode(b"u%d:p%d" % (n, n)) for n in range(60_000))
    parser, said = fed(HttpParser, cut(b"".join(logins)))
    assert (len(parser.facts.logins), said) == (10_000, {"http-too-many-requests": 1, "http-too-many-logins": 1})
    asked, told = (C, b"GET /x HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 401 no\r\nWWW-Authenticate: " + b'Basic realm="' * 100 + b"\r\nContent-Length: 0\r\n\r\n")
    parser, said = fed(HttpParser, [asked, told] * 20_000)
    assert (parser.http.n_responses, len(parser.http.requests), said) == (20_000, 10_000, {"http-too-many-requests": 1})


@pytest.mark.parametrize("junk", [b"A", b" HTTP/1.1 ", b"\nGET ", b"GET / HTTP/1.", b"\r\n", b"HTTP/1.1 "])
def test_the_way_back_is_not_searched_twice(junk):
    for side in (C, S):
        fed(HttpParser, [(side, b"GET / HTTP/1.1\r\n" if side == C else b"HTTP/1.1 200 ok\r\n"), (side, 10)] + cut(junk * (2_000_000 // len(junk)), side))


@pytest.mark.parametrize("kind, body", [(b"application/x-www-form-urlencoded", b"a&"), (b"application/json", b"["), (b"application/json", b'{"a":'), (b"multipart/form-data; boundary=a", b"--a\r\n")])
def test_forms_that_only_begin(kind, body):
    parser, _ = fed(HttpParser, [(C, b"POST /x HTTP/1.1\r\nContent-Type: " + kind + b"\r\nContent-Length: 16000\r\n\r\n" + (body * 16000)[:16000])] * 200)
    assert (parser.http.n_requests, parser.facts.logins) == (200, [])


# --- LDAP


@pytest.mark.parametrize("head", [b"\x30\x84\xff\xff\xff\xff\2\1\1\x60", b"\x30\x84\x03\xff\xff\xff\2\1\1\x60\x84\xff\xff\xff\xff", b"\x30\x80\2\1\1\x60", b"\x30\x88" + b"\xff" * 8])
def test_elements_of_four_gigabytes(head):
    parser, said = fed(LdapParser, [(C, ldap.simple(1, b"cn=a", b"secret"))] + cut(head + b"x" * 2_000_000))
    assert set(said) <= {"not-an-ldap-message", "no-ldap-message-found", "ldap-message-too-long"} and [one.principal for one in parser.facts.logins] == ["cn=a"]


def test_ldap_by_the_ten_thousand():
    parser, said = fed(LdapParser, cut(b"".join(ldap.simple(n, b"cn=%d" % n, b"password %d" % n) for n in range(1, 30_000))))
    assert (len(parser.facts.logins), said) == (1000, {"too-many-logins": 1})
    rows = {f"a{n}": [b"v"] * 300 for n in range(300)}
    fed(LdapParser, [(C, ldap.search(1, b"", 0)), (S, ldap.entry(1, b"", **rows))] * 20)
    for junk in (b"\x30", b"\x30\x0c\2\1\1"):
        _, said = fed(LdapParser, [(C, ldap.simple(1, b"a", b"secret")), (C, 10)] + cut(junk * (2_000_000 // len(junk))))
        assert len(said) <= 2
    layered = [(C, ldap.sasl(1, b"GSS-SPNEGO", tokens.init(tokens.NTLM, token=tokens.authenticate()))), (S, ldap.challenge(1, tokens.answer(0), 0))]
    fed(LdapParser, layered + cut((b"\0\xff\xff\xff" + b"x" * 100) * 20_000))


# --- SMB


@pytest.mark.parametrize("following", [0, 1, 8, 64, 0x7FFFFFF8, 0xFFFFFFC0, 0xFFFFFFFF])
def test_compounds_that_loop(following):
    chain = smb.head2(5, 1, following=following) * 1000
    parser, _ = fed(SmbParser, [(C, smb.netbios(smb.negotiate2())), (S, smb.netbios(smb.negotiated2()))] + cut(smb.netbios(chain) * 20))
    assert parser.facts.smb.dialect == "3.1.1" and len(parser.facts.anomalies) <= 101


@pytest.mark.parametrize("following", [0, 1, 32, 33, 0xFFFF])
def test_chained_commands_that_point_at_themselves(following):
    parser, _ = fed(SmbParser, cut(smb.netbios(smb.smb1(0x73, smb.andx(0x73, following) + bytes(22), b"x" * 200)) * 3000))
    assert len(parser.facts.logins) <= 1000


def test_smb_by_the_ten_thousand():
    def both(asked: bytes, told: bytes) -> list[tuple[int, bytes]]:
        return [(C, smb.netbios(asked)), (S, smb.netbios(told))]

    begun = both(smb.negotiate2(), smb.negotiated2())
    fed(SmbParser, begun + [turn for n in range(10_000) for turn in both(smb.tree2(n), smb.treed2(n, tree=n))])
    opened = [turn for n in range(3000) for turn in (*both(smb.create2(n, f"pipe{n}"), smb.created2(n, number(n))), (C, smb.netbios(smb.write2(n, rpc.bind(MAIL), number(n)))))]
    parser, said = fed(SmbParser, begun + both(smb.tree2(1), smb.treed2(1)) + opened)
    assert set(said) <= {"too-many-pipes", "more-anomalies-dropped"} and len(parser.facts.rpc) <= 1024
    fed(SmbParser, begun + [(C, smb.netbios(smb.setup2(n, tokens.init(tokens.NTLM, token=tokens.negotiate()), session=n))) for n in range(10_000)])
    for lie in (b"\0\xff\xff\xff" + smb.negotiate2() + b"x" * 2_000_000, (b"\0\xff\xff\xff" + smb.negotiate2()) * 10_000):
        fed(SmbParser, begun + cut(lie))


# --- TLS


HELLO = tls.record(22, tls.client_hello(extensions=tls.VERSIONS + tls.SNI))
ANSWER = tls.record(22, tls.server_hello())


def test_a_message_of_sixteen_megabytes():
    for kind in (11, 12, 13, 22):
        long = b"".join(tls.record(22, (bytes([kind]) + b"\xff\xff\xff" if n == 0 else b"") + bytes(16000)) for n in range(1100))
        parser, said = fed(TlsParser, [(C, HELLO), (S, ANSWER)] + cut(long, S))
        assert said == ({"handshake-message-too-long": 1} if kind in (11, 12) else {}) and parser.handshake.sni == "mail.example" and parser.handshake.cipher_suite is not None
    long = tls.record(22, b"\1\xff\xff\xff" + bytes(16000))
    assert fed(TlsParser, cut(long + tls.record(22, bytes(16000)) * 1000))[1] == {"hello-too-long": 1}


def test_a_million_tiny_records():
    parser, _ = fed(TlsParser, cut(HELLO + tls.record(22, b"") * 1_000_000))
    assert parser.handshake.complete and parser.handshake.sni == "mail.example"
    bytewise = [(S, tls.record(22, bytes([byte]))) for byte in tls.server_hello() + tls.certificates(b"\x30\0")]
    parser, _ = fed(TlsParser, [(C, HELLO)] + bytewise)
    assert (parser.handshake.cipher_suite, parser.handshake.chain_length) == ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 1)
    fed(TlsParser, cut(HELLO + tls.record(21, b"\1\x5a") * 100_000))
    _, said = fed(TlsParser, cut(HELLO + tls.record(24, b"\1\xff\xff") * 100_000))
    assert said == {"heartbeat-overread": 1}


def test_extensions_repeated():
    _, said = fed(TlsParser, [(C, tls.record(22, tls.client_hello(extensions=tls.SNI * 600))), (S, tls.record(22, tls.server_hello(extensions=tls.CHOSE_13 * 100)))])
    assert said == {"too-many-extensions": 1, "repeated-extension": 1} or set(said) == {"too-many-extensions", "repeated-extension"}
    _, said = fed(TlsParser, [(C, tls.record(22, tls.client_hello(extensions=tls.extension(0x1234) * 3900)))])
    assert "too-many-extensions" in said


def test_certificates_without_end():
    many = tls.certificates(*[b"\x30\0"] * 20_000)
    parser, said = fed(TlsParser, [(C, HELLO), (S, ANSWER)] + [(S, tls.record(22, many[at:at + 16000])) for at in range(0, len(many), 16000)])
    assert said == {"certificate-chain-too-long": 1} and len(parser.handshake.certificates) == 16


def der(tag: int, value: bytes) -> bytes:
    return bytes((tag, 0x84)) + struct.pack(">I", len(value)) + value


def test_certificates_of_odd_shapes():
    deep = b""
    for _ in range(9000):
        deep = der(0x30, deep)
    wide = der(0x30, der(0x30, der(0x31, b"") * 9000))
    whole = tls.make_certificate(names=tuple(f"host{n}.example" for n in range(2500)))
    begun = time.monotonic()
    for data in (deep, wide, der(0x30, b"\x30\x84\xff\xff\xff\xff" * 5000), b"\x30\x80" * 9000):
        certificate(data)
    for at in range(0, len(whole), 41):
        certificate(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1:])
    assert time.monotonic() - begun < SECONDS
    assert len(certificate(whole).dns_names) == 1000


# --- QUIC


def test_initials_that_decrypt_to_nonsense(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from hostile import binary
    from traffic import quic_bytes

    rng, frames = numpy.random.default_rng(1), []
    for n in range(6000):  # noise under keys that do not fit
        packet = b"\xc1\0\0\0\1\x08" + n.to_bytes(8, "big") + b"\0\0" + struct.pack("!H", 0x4000 | 1180) + rng.bytes(1180)
        frames.append((1_700_000_000 * 10**9 + n * 1000, binary.datagram(packet, 0, (1024 + n, 443))))
    wrong = (b"\1" * 1100, b"\6\0\x44\0" + b"\xff" * 1100, b"\6\xff\xff\xff\xff\xff\xff\xff\xff\x41\0" + bytes(256), b"\2" + b"\xff" * 1100, b"\6\0\x40\xff" + b"\1\0\xff\xff" + bytes(300), b"\x1e" * 90)
    for n in range(3000):  # decrypted, and no sense in it
        own = n.to_bytes(8, "big")
        packet = quic_bytes.initial(own, own, own, wrong[n % len(wrong)].ljust(1150, b"\0"), False)
        frames.append((1_700_000_010 * 10**9 + n * 1000, binary.datagram(packet, 0, (20_000 + n, 443))))
    assert len(analysed(frames).sessions) == 0


# --- memory


MEASURED = """
import resource, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
import pcapsec
from tests import test_hostile_services as hostile
pcapsec.analyze({root!r} + "/samples/smtp-helo.pcap")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for frames in hostile.large():
    data = hostile.pcap(frames)
    pcapsec.analyze(hostile.io.BytesIO(data))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def large():
    """Captures of about 20 MB, made one at a time."""
    yield talk(rpc.ntlm_bind(2, MAIL) + [(C, rpc.request(2, 11, b"a" * 4000, flags=1))] + [(C, rpc.request(2, 11, b"a" * 4000, flags=0) * 10)] * 500, 135)
    yield talk([(C, b"GET /owa/ HTTP/1.1\r\nHost: a\r\n\r\n"), (S, b"HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n")] * 60_000, 80)
    yield talk([(C, HELLO), (S, ANSWER + tls.record(22, b"\x0b\xff\xff\xff" + bytes(16000)))] + [(S, tls.record(22, bytes(16000)))] * 1200, 443)
    yield [frame for n in range(6) for frame in talk([inbound(number(n), rpc.request(3, 11, b"a" * 4000) * 1000)], 80, client_port=1000 + n)]
    yield talk([(C, ldap.simple(n, b"cn=a", b"secret")) for n in range(1, 2000)] + [(C, b"\x30\x84\x03\xff\xff\xff\2\1\1\x60\x84\3\xff\xff\xf0" + b"x" * 10_000_000)], 389)


def test_memory_is_bounded():
    """The captures themselves, the window that reads them and the frames that they are made from are all that grows."""
    done = subprocess.run([sys.executable, "-c", MEASURED.format(root=str(ROOT))], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 250
