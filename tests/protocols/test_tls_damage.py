"""TLS with bytes missing, in odd pieces, over limits, and written by somebody hostile."""
from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tls_bytes import (
    CCS, CLIENT_KEY, DATA, DONE, FINISHED, SNI, VERSIONS, certificates, client_hello, cut, ecdhe, extension, make_certificate, message, parse, record, same, server_hello, tls12, tls13,
    u16, u24)

from pcapsec.protocols.certificates import certificate
from pcapsec.protocols.tls import MAX_ANOMALIES, MAX_CERTIFICATE_MESSAGE_BYTES, MAX_HELLO_BYTES, MAX_RECORD_BYTES, MAX_SIDE_BYTES, TlsParser
from pcapsec.records import CLIENT, SERVER, TlsHandshake


def codes(parser: TlsParser) -> list[str]:
    return [one.code for one in parser.anomalies]


# --- pieces

def test_hello_over_many_records_and_segments():
    hello = client_hello(extensions=extension(51, bytes(3000)) + SNI)
    pieces = b"".join(record(22, hello[i:i + 7]) for i in range(0, len(hello), 7))
    found = same([(CLIENT, pieces), *tls12()[1:]])
    assert (found.sni, found.established, found.client_hello_at) == ("mail.example", True, 5)


def test_all_messages_over_one_byte_records():
    raw = make_certificate()
    client, (side, server), *rest = tls12(chain=(raw,), exchange=ecdhe())
    body = server_hello() + certificates(raw) + ecdhe() + DONE
    found = same([client, (SERVER, b"".join(record(22, body[i:i + 1]) for i in range(len(body)))), *rest])
    assert (found.certificates, found.group, found.established) == ((certificate(raw),), "secp256r1", True)


def test_all_messages_in_one_record():
    raw = make_certificate()
    client, _server, *rest = tls12()
    found = same([client, (SERVER, record(22, server_hello() + certificates(raw) + ecdhe() + DONE)), *rest])
    assert (found.chain_length, found.key_exchange_at, found.established) == (1, 5 + len(server_hello() + certificates(raw)), True)


def test_empty_records_between():
    client, (side, server), *rest = tls12()
    assert same([client, (side, record(22, b"") * 20 + server + record(22, b"")), *rest]).established is True


def test_a_million_tiny_records_end():
    started = time.perf_counter()
    parser = parse([(SERVER, record(22, b"\2")), (SERVER, record(22, b"") * 1_000_000)])
    assert parser.complete
    parser = parse([(SERVER, record(22, b"\x0b\x01\xff\xff")), *[(SERVER, record(22, b"x") * 4096)] * 300])
    assert parser.complete
    hello = client_hello(extensions=extension(21, bytes(60000)))
    parser = parse([(CLIENT, b"".join(record(22, hello[i:i + 1]) for i in range(len(hello))))])
    assert parser.complete
    assert time.perf_counter() - started < 10  # seconds; quadratic behaviour takes minutes


# --- one side, late start, gaps

def test_one_sided():
    client = parse([turn for turn in tls12() if turn[0] == CLIENT], finish=True).handshake
    assert (client.sni, client.offered_versions, client.version, client.established, client.complete, client.client_key_bytes) == ("mail.example", ("TLSv1.2",), None, None, True, 66)
    server = parse([turn for turn in tls12(chain=(make_certificate(),)) if turn[0] == SERVER], finish=True).handshake
    assert (server.version, server.sni, server.established, server.chain_length, server.resumed, server.name_matches) == ("TLSv1.2", None, None, 1, False, None)


def test_late_start():
    found = parse([(CLIENT, DATA), (SERVER, DATA)], start_seen=False).handshake
    assert found == TlsHandshake(established=True, complete=True)


def test_a_capture_that_begins_with_the_certificate():
    raw = make_certificate()
    parser = parse([(SERVER, record(22, certificates(raw)) + record(22, DONE)), (CLIENT, record(22, CLIENT_KEY) + CCS + FINISHED), (SERVER, CCS + FINISHED)], start_seen=False)
    assert (parser.handshake.certificates, parser.handshake.established, parser.handshake.resumed) == ((certificate(raw),), True, False)
    assert codes(parser) == ["hello-expected", "hello-expected"]


def test_gap_inside_a_message():
    raw = make_certificate()
    chain = record(22, server_hello()) + record(22, certificates(raw)) + record(22, ecdhe(29)) + record(22, DONE)
    start = len(record(22, server_hello())) + 60
    client, _server, *rest = tls12()
    parser = parse([client, (SERVER, chain[:start]), (SERVER, 100), (SERVER, chain[start + 100:]), *rest])
    found = parser.handshake
    assert (found.version, found.chain_length, found.group, found.established, codes(parser)) == ("TLSv1.2", None, "x25519", True, [])


def test_gap_over_a_record_header():
    raw = make_certificate()
    chain = record(22, server_hello()) + record(22, certificates(raw)) + record(22, ecdhe(29)) + record(22, DONE)
    start, end = len(record(22, server_hello())) + 60, len(chain) - len(record(22, ecdhe()) + record(22, DONE))
    client, _server, *rest = tls12()
    for begin in (start, len(record(22, server_hello())) - 3):
        parser = parse([client, (SERVER, chain[:begin]), (SERVER, end - begin), (SERVER, chain[end:]), *rest])
        found = parser.handshake
        assert (found.chain_length, found.group is None or found.group == "x25519", found.established, codes(parser)) == (None, True, True, [])


def test_gap_inside_the_hello():
    client, *rest = tls12()
    parser = parse([(CLIENT, client[1][:30]), (CLIENT, len(client[1]) - 30), *rest])
    found = parser.handshake
    assert (found.version, found.sni, found.client_hello_at, found.established, codes(parser)) == ("TLSv1.2", None, None, True, [])


def test_gap_before_everything():
    parser = parse([(SERVER, 300), (SERVER, record(22, ecdhe()) + record(22, DONE)), *tls12()[2:]])
    assert (parser.handshake.established, parser.handshake.version, codes(parser)) == (True, None, ["hello-expected"])


def test_gap_inside_a_skipped_record_costs_nothing():
    first, (side, server), *rest = tls13()
    parser = parse([first, (side, server), (SERVER, DATA[:50]), (SERVER, 40), (SERVER, DATA[90:]), *rest])
    assert (parser.handshake.established, codes(parser)) == (True, [])


def test_after_a_gap_encrypted_bytes_are_not_read_as_messages():
    client, *_rest = tls12()
    parser = parse([client, (SERVER, 5000), (SERVER, FINISHED + record(22, b"\x0b" + u24(5) + bytes(5)) + DATA), (CLIENT, DATA)])
    assert (parser.handshake.chain_length, parser.handshake.established, codes(parser)) == (None, True, [])


def test_text_is_given_up():
    parser = parse([(CLIENT, b"EHLO a.example\r\n"), (SERVER, b"250 ok\r\n")])
    assert (parser.handshake, codes(parser)) == (TlsHandshake(complete=True), ["not-a-tls-record"])
    parser = parse([tls12()[0], (SERVER, b"HTTP/1.1 400 Bad Request\r\n"), (CLIENT, record(21, b"\2\x16"))])
    assert (parser.handshake.sni, parser.handshake.alert, codes(parser)) == ("mail.example", "client:22 record_overflow", ["not-a-tls-record"])


# --- limits

def test_endless_connection_is_let_go():
    assert parse([tls12()[0]] + [(CLIENT, record(22, message(16, bytes(16000))))] * 20).complete
    assert not parse([tls12()[0]] + [(CLIENT, record(22, message(16, bytes(16000))))] * 5).complete


def test_a_record_over_the_limit():
    client, _server, *rest = tls12()
    long = record(22, server_hello() + certificates(bytes(30000)) + DONE)
    parser = parse([client, (SERVER, long), *rest])
    assert (parser.handshake.chain_length, parser.handshake.established, codes(parser)) == (1, True, ["record-too-long"])
    parser = parse([*tls13()[:1], (SERVER, record(22, server_hello(suite=0x1301, extensions=extension(43, u16(0x0304)))) + record(23, bytes(MAX_RECORD_BYTES + 1))), (CLIENT, DATA)])
    assert (parser.handshake.established, codes(parser)) == (True, ["record-too-long"])
    assert parser.anomalies[0].detail == f"{MAX_RECORD_BYTES + 1} bytes"


@pytest.mark.parametrize("side, kind, limit, code", [(CLIENT, 1, MAX_HELLO_BYTES, "hello-too-long"), (SERVER, 2, MAX_HELLO_BYTES, "hello-too-long"),
                                                     (SERVER, 11, MAX_CERTIFICATE_MESSAGE_BYTES, "handshake-message-too-long")])
def test_messages_of_16_mb(side, kind, limit, code):
    before = [(SERVER, record(22, server_hello()))] if kind == 11 else []
    parser = parse([*before, (side, record(22, bytes([kind]) + u24((1 << 24) - 1) + bytes(1000))), *[(side, record(22, bytes(16000)))] * 30])
    assert (codes(parser), parser.complete, max(map(len, parser._buffer))) == ([code], True, 0)
    assert limit < MAX_SIDE_BYTES


def test_a_certificate_bomb():
    client, _server, *rest = tls12()
    many = certificates(*[b"\x30\x82\xff\xff" + bytes(40)] * 2000)
    pieces = b"".join(record(22, many[i:i + 16000]) for i in range(0, len(many), 16000))
    parser = parse([client, (SERVER, record(22, server_hello()) + pieces + record(22, DONE)), *rest])
    assert (parser.handshake.chain_length, len(parser.handshake.certificates), parser.handshake.established, codes(parser)) == (2000, 16, True, ["certificate-chain-too-long"])


def test_anomalies_are_few():
    parser = TlsParser()
    for n in range(1000):
        parser._anomaly(f"code-{n}", SERVER, n)
        parser._anomaly("again", CLIENT, n)
    assert len(parser.anomalies) == MAX_ANOMALIES


def test_unknown_messages():
    client, _server, *rest = tls12()
    parser = parse([client, (SERVER, record(22, server_hello() + message(99, b"abc") + DONE)), *rest])
    assert (parser.handshake.established, [(one.code, one.side, one.detail) for one in parser.anomalies]) == (True, [("unknown-handshake-message", SERVER, "type 99, 3 bytes")])
    parser = parse([(CLIENT, record(22, message(16, b"abc")))])
    assert [(one.code, one.side, one.at, one.detail) for one in parser.anomalies] == [("hello-expected", CLIENT, 5, "type 16, 3 bytes")]


def test_a_second_hello_changes_nothing():
    client, (side, server), *rest = tls12()
    found = same([client, (side, server + record(22, server_hello(0x0301, 0x0005))), (CLIENT, record(22, client_hello(0x0300))), *rest])
    assert (found.version, found.cipher_suite, found.offered_versions, found.established) == ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ("TLSv1.2",), True)


# --- never an error

@st.composite
def _piece(draw):
    body = draw(st.binary(max_size=120))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return body
    if kind == 1:
        return draw(st.integers(1, 50))
    if kind == 2:
        return record(22, body)
    if kind == 3:
        return record(22, message(draw(st.sampled_from([0, 1, 2, 4, 6, 11, 12, 13, 14, 16, 22, 99])), body))
    if kind == 4:
        return record(draw(st.sampled_from([20, 21, 23, 24])), body)
    if kind == 5:
        return u16(0x8000 | len(body)) + body
    if kind == 6:
        return client_hello(extensions=body)
    return record(22, server_hello(suite=draw(st.sampled_from([0xC02F, 0x0033, 0x0003, 0x1301])), extensions=body))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), _piece()), max_size=8))
def test_never_raises(turns):
    parse(turns, finish=True)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.integers(0, 700), st.integers(0, 255), st.integers(0, 5))
def test_a_flipped_byte_is_read_the_same_however_cut(turn, place, value, seed):
    turns = tls12(chain=(make_certificate(),), exchange=ecdhe()) if seed % 2 else tls13(client=client_hello(extensions=VERSIONS + SNI + extension(42)))
    side, data = turns[turn % len(turns)]
    broken = bytearray(data)
    broken[place % len(broken)] = value
    turns[turn % len(turns)] = (side, bytes(broken))
    whole, other = parse(turns, finish=True), parse(cut(turns, seed), finish=True)
    assert (other.handshake, other.anomalies) == (whole.handshake, whole.anomalies)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3), st.integers(0, 900), st.integers(1, 400))
def test_any_gap_invents_nothing(turn, place, length):
    turns = tls12(chain=(make_certificate(),), exchange=ecdhe())
    whole = parse(turns, finish=True).handshake
    side, data = turns[turn]
    place %= len(data)
    turns[turn:turn + 1] = [(side, data[:place]), (side, min(length, len(data) - place)), (side, data[place + length:])]
    found = parse(turns, finish=True).handshake
    for name in ("version", "cipher_suite", "sni", "alpn", "group", "signature", "chain_length", "alert"):
        assert getattr(found, name) in (None, getattr(whole, name)), name
    assert found.certificates in ((), whole.certificates) and found.resumed in (None, False) and found.established in (None, True)
