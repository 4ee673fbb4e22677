"""TLS: hellos, alerts, what counts as established, damage."""
from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.protocols.tls import HELLO_RETRY, TlsParser, probe, version_name
from pcapsec.protocols.tls_names import GREASE
from pcapsec.protocols.tls_suites import SUITES, suite_name
from pcapsec.records import CLIENT, SERVER, TlsHandshake


def u16(n: int) -> bytes:
    return n.to_bytes(2, "big")


def record(kind: int, body: bytes, version: int = 0x0301) -> bytes:
    return bytes([kind]) + u16(version) + u16(len(body)) + body


def extension(kind: int, body: bytes) -> bytes:
    return u16(kind) + u16(len(body)) + body


def client_hello(version: int = 0x0303, extensions: bytes = b"", session: bytes = b"") -> bytes:
    body = u16(version) + bytes(32) + bytes([len(session)]) + session + u16(6) + u16(0x2A2A) + u16(0x1301) + u16(0xC02F) + b"\1\0"
    if extensions:
        body += u16(len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body


def server_hello(version: int = 0x0303, suite: int = 0xC02F, extensions: bytes = b"", nonce: bytes = bytes(32)) -> bytes:
    body = u16(version) + nonce + b"\0" + u16(suite) + b"\0"
    if extensions:
        body += u16(len(extensions)) + extensions
    return b"\2" + len(body).to_bytes(3, "big") + body


SNI = extension(0, u16(15) + b"\0" + u16(12) + b"mail.example")
ALPN = extension(16, u16(13) + b"\2\x1a\x1a" + b"\4imap" + b"\4smtp")
VERSIONS = extension(43, b"\6" + u16(0x4A4A) + u16(0x0304) + u16(0x0303))
CCS = record(20, b"\1")
FINISHED = record(22, bytes(40))
DATA = record(23, bytes(100))

TLS12 = [(CLIENT, record(22, client_hello(extensions=SNI + ALPN))), (SERVER, record(22, server_hello() + b"\x0b\0\0\x05abcde") + record(22, b"\x0e\0\0\0")),
         (CLIENT, record(22, b"\x10\0\0\1x") + CCS + FINISHED), (SERVER, CCS + FINISHED), (CLIENT, DATA)]
TLS13 = [(CLIENT, record(22, client_hello(extensions=VERSIONS + SNI, session=bytes(32)))), (SERVER, record(22, server_hello(suite=0x1301, extensions=extension(43, u16(0x0304)))) + CCS + DATA),
         (CLIENT, CCS + DATA), (SERVER, DATA)]


def parse(turns, *, finish: bool = False, **keywords) -> TlsParser:
    parser = TlsParser(**keywords)
    at = [0, 0]
    for side, data in turns:
        if isinstance(data, int):
            parser.gap(side, data, at[side])
            at[side] += data
        else:
            parser.feed(side, data, at[side])
            at[side] += len(data)
    if finish:
        parser.finish()
    return parser


def cut(turns, seed):
    chance = random.Random(seed)
    for side, data in turns:
        while data:
            n = chance.randint(1, 60) if seed else 1
            yield side, data[:n]
            data = data[n:]


def same(turns) -> TlsHandshake:
    """The handshake, after checking that cuts change nothing."""
    whole = parse(turns)
    for seed in range(6):
        assert parse(cut(turns, seed)).handshake == whole.handshake
    assert whole.anomalies == []
    return whole.handshake


def test_tls12():
    assert same(TLS12) == TlsHandshake(
        version="TLSv1.2", offered_versions=("TLSv1.2",), cipher_suite="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", sni="mail.example", alpn="imap", client_hello_at=5,
        server_hello_at=5, established=True, complete=True)


def test_tls13():
    assert same(TLS13) == TlsHandshake(
        version="TLSv1.3", offered_versions=("TLSv1.3", "TLSv1.2"), cipher_suite="TLS_AES_128_GCM_SHA256", sni="mail.example", client_hello_at=5, server_hello_at=5,
        established=True, complete=True)


def test_nothing_is_established_before_both_sides_encrypt():
    for turns in (TLS12, TLS13):
        found = parse(turns[:-2]).handshake
        assert (found.established, found.complete) == (None, False)


def test_server_chooses_alpn():
    turns = [TLS12[0], (SERVER, record(22, server_hello(extensions=extension(16, u16(5) + b"\4smtp"))))]
    assert same(turns).alpn == "smtp"


def test_hello_retry():
    retry = server_hello(suite=0x1302, extensions=extension(43, u16(0x0304)), nonce=HELLO_RETRY)
    turns = [TLS13[0], (SERVER, record(22, retry) + CCS), (CLIENT, CCS + TLS13[0][1]), *TLS13[1:]]
    found = same(turns)
    assert (found.version, found.cipher_suite, found.established, found.server_hello_at) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256", True, 5)


def test_drafts():
    assert same([(SERVER, record(22, server_hello(extensions=extension(43, u16(0x7F1C)))))]).version == "TLSv1.3-draft28"
    body = u16(0x7F12) + bytes(32) + u16(0x1301) + u16(4) + extension(51, b"")
    found = same([(SERVER, record(22, b"\2" + len(body).to_bytes(3, "big") + body))])
    assert (found.version, found.cipher_suite) == ("TLSv1.3-draft18", "TLS_AES_128_GCM_SHA256")


@pytest.mark.parametrize("code, name", [(0x0002, "SSLv2"), (0x0300, "SSLv3"), (0x0301, "TLSv1.0"), (0x0302, "TLSv1.1"), (0x0304, "TLSv1.3"), (0xFB1A, "0xfb1a"), (0x002C, "0x002c")])
def test_version_names(code, name):
    assert version_name(code) == name
    assert same([(SERVER, record(22, server_hello(code)))]).version == name


def test_hello_over_many_records_and_segments():
    hello = client_hello(extensions=extension(51, bytes(3000)) + SNI)
    pieces = b"".join(record(22, hello[i:i + 7]) for i in range(0, len(hello), 7))
    found = same([(CLIENT, pieces), *TLS12[1:]])
    assert (found.sni, found.established, found.client_hello_at) == ("mail.example", True, 5)


@pytest.mark.parametrize("side, name", [(CLIENT, "client"), (SERVER, "server")])
def test_fatal_alert(side, name):
    found = same([*TLS12[:2], (side, record(21, b"\2\x30"))])
    assert (found.alert, found.established, found.complete) == (f"{name}:48 unknown_ca", False, True)


def test_warning_alert_decides_nothing():
    found = same([TLS12[0], (SERVER, record(21, b"\1\x70") + TLS12[1][1]), *TLS12[2:]])
    assert (found.alert, found.established) == ("server:112 unrecognized_name", True)


def test_encrypted_alert_is_no_alert_in_clear():
    found = same([*TLS12[:3], (SERVER, CCS + record(21, bytes(26)))])
    assert (found.alert, found.established) == (None, None)
    found = same([*TLS13[:2], (CLIENT, CCS + record(23, bytes(19)))])
    assert found.established is None


def test_one_sided():
    client = parse([turn for turn in TLS12 if turn[0] == CLIENT], finish=True).handshake
    assert (client.sni, client.offered_versions, client.version, client.established, client.complete) == ("mail.example", ("TLSv1.2",), None, None, True)
    server = parse([turn for turn in TLS12 if turn[0] == SERVER]).handshake
    assert (server.version, server.sni, server.established) == ("TLSv1.2", None, None)


def test_gap_inside_a_skipped_record_costs_nothing():
    certificate = record(22, server_hello()) + record(22, b"\x0b\0\x03\xe8" + bytes(1000))
    turns = [TLS12[0], (SERVER, certificate[:-900]), (SERVER, 800), (SERVER, certificate[-100:]), *TLS12[2:]]
    found = parse(turns)
    assert (found.handshake.established, found.anomalies) == (True, [])


def test_gap_inside_the_hello():
    hello = TLS12[0][1]
    found = parse([(CLIENT, hello[:30]), (CLIENT, len(hello) - 30), *TLS12[1:]]).handshake
    assert (found.version, found.sni, found.client_hello_at, found.established) == ("TLSv1.2", None, None, True)


def test_text_is_given_up():
    found = parse([(CLIENT, b"EHLO a.example\r\n"), (SERVER, b"250 ok\r\n")])
    assert (found.handshake, [one.code for one in found.anomalies]) == (TlsHandshake(complete=True), ["not-a-tls-record"])


def test_late_start():
    found = parse([(CLIENT, DATA), (SERVER, DATA)], start_seen=False).handshake
    assert found == TlsHandshake(established=True, complete=True)


def test_sslv2_hello_for_tls():
    body = b"\1" + u16(0x0301) + u16(6) + u16(0) + u16(16) + b"\0\0\x2f" + b"\1\0\x80" + bytes(16)
    found = same([(CLIENT, u16(0x8000 | len(body)) + body), (SERVER, record(22, server_hello(0x0301, 0x002F))), (CLIENT, CCS + FINISHED), (SERVER, CCS + FINISHED)])
    assert (found.version, found.offered_versions, found.cipher_suite, found.established, found.client_hello_at) == (
        "TLSv1.0", ("TLSv1.0", "SSLv2"), "TLS_RSA_WITH_AES_128_CBC_SHA", True, 0)


def test_sslv2():
    hello = b"\1" + u16(2) + u16(3) + u16(0) + u16(16) + b"\1\0\x80" + bytes(16)
    answer = b"\4\0\1" + u16(2) + u16(4) + u16(3) + u16(16) + b"cert" + b"\1\0\x80" + bytes(16)
    key = b"\2\1\0\x80" + bytes(40)
    found = same([(CLIENT, u16(0x8000 | len(hello)) + hello), (SERVER, u16(0x8000 | len(answer)) + answer), (CLIENT, u16(0x8000 | len(key)) + key),
                  (SERVER, u16(0x8000 | 33) + bytes(33)), (CLIENT, u16(0x8000 | 33) + bytes(33))])
    assert (found.version, found.offered_versions, found.cipher_suite, found.established) == ("SSLv2", ("SSLv2",), "SSL_CK_RC4_128_WITH_MD5", True)


def test_malformed_hellos_are_anomalies():
    for body in (b"\1\0\0\4abcd", client_hello(extensions=extension(0, b"abc"))[:-1] + b"", b"\2\0\0\4abcd"):
        side = CLIENT if body[0] == 1 else SERVER
        if body[0] == 1 and len(body) > 8:
            body = b"\1" + (len(body) - 4).to_bytes(3, "big") + body[4:]
        assert [one.code for one in parse([(side, record(22, body))]).anomalies] == ["malformed-hello"]


def test_endless_connection_is_let_go():
    parser = parse([TLS12[0]] + [(CLIENT, record(22, bytes(16000)))] * 20)
    assert parser.complete


def test_suite_table():
    assert len(SUITES) > 350
    assert not GREASE & SUITES.keys()
    assert suite_name(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert suite_name(0x0000) == "TLS_NULL_WITH_NULL_NULL"
    assert suite_name(0x002F) == "TLS_RSA_WITH_AES_128_CBC_SHA"
    assert suite_name(0x00FF) == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
    assert suite_name(0xC030) == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    assert suite_name(0xCCA8) == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    assert suite_name(0xABCD) == "0xabcd"


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.binary(max_size=200) | st.integers(1, 50) | st.binary(max_size=120).map(lambda b: record(22, b)) | st.binary(
    max_size=120).map(lambda b: record(22, b"\1" + len(b).to_bytes(3, "big") + b)) | st.binary(max_size=120).map(lambda b: record(22, b"\2" + len(b).to_bytes(3, "big") + b)) | st.binary(
    max_size=60).map(lambda b: u16(0x8000 | len(b)) + b) | st.binary(max_size=60).map(lambda b: client_hello(extensions=b))), max_size=8))
def test_never_raises(turns):
    parse(turns, finish=True)


@pytest.mark.parametrize("client, server, expected", [
    (TLS12[0][1], b"", True), (TLS12[0][1][:3], b"", None), (b"", TLS12[1][1], True), (b"", b"220 x\r\n", False), (b"EHLO", b"", False), (b"\x16\x03\x09", b"", False),
    (b"\x80\x2e\1\3\1", b"", True), (b"\x80\x2e\7", b"", False), (b"", b"", None), (b"", b"\x15\x03\x01\0\2\2\x28", True), (DATA, b"", False)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected
