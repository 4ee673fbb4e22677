"""QUIC Initial packets: keys of the RFCs' examples, hellos over frames, packets and datagrams, versions, and hostile bytes."""
from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tls_bytes import CHOSE_13, SNI, VERSIONS, alpn, client_hello, extension, server_hello, vector

from pcapsec.protocols import quic
from pcapsec.protocols.quic import VERSION_1, VERSION_2, initial_client_hello, initial_connection_id, initial_keys, initial_server_hello, is_initial, read_handshake

DESTINATION, SOURCE = bytes.fromhex("8394c8f03e515708"), b"client-id"
HELLO = client_hello(extensions=VERSIONS + SNI + alpn(b"h3") + extension(57, bytes(40)))
ANSWER = server_hello(suite=0x1301, extensions=CHOSE_13)


def varint(n: int) -> bytes:
    return bytes([n]) if n < 64 else (n | 0x4000).to_bytes(2, "big") if n < 16384 else (n | 0x80000000).to_bytes(4, "big")


def crypto(offset: int, data: bytes) -> bytes:
    return b"\6" + varint(offset) + varint(len(data)) + data


def initial(frames: bytes, *, version: int = VERSION_1, number: int = 2, side: str = "client", destination: bytes = DESTINATION, secret_id: bytes = DESTINATION, token: bytes = b"",
            size: int = 4, kind: int = 0, pad: int = 0) -> bytes:
    """A protected packet (RFC 9001 §5), written from the RFC and not from the reader under test."""
    key, vector_, protection = initial_keys(version, secret_id, side)
    plain = frames + bytes(max(0, pad - len(frames)))
    first = 0xC0 | ((kind + 1) % 4 if version == VERSION_2 else kind) << 4 | size - 1
    packet_number = number.to_bytes(size, "big")
    header = bytes([first]) + version.to_bytes(4, "big") + vector(destination, 1) + vector(SOURCE, 1)
    if kind == 0:
        header += varint(len(token)) + token
    header += varint(size + len(plain) + 16) + packet_number
    nonce = (int.from_bytes(vector_, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, plain, header)
    sample = (packet_number + sealed)[4:20]
    mask = Cipher(algorithms.AES(protection), modes.ECB()).encryptor().update(sample)
    covered = bytes([first ^ mask[0] & 0x0F]) + header[1:-size] + bytes(a ^ b for a, b in zip(packet_number, mask[1:]))
    return covered + sealed


@pytest.mark.parametrize("version, side, expected", [  # RFC 9001 Appendix A.1, RFC 9369 Appendix A.1
    (VERSION_1, "client", ("1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2")),
    (VERSION_1, "server", ("cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314")),
    (VERSION_2, "client", ("8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"))])
def test_keys_of_the_examples(version, side, expected):
    assert tuple(one.hex() for one in initial_keys(version, DESTINATION, side)) == expected


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2, 0xFF00001D, 0xFF000020, 0xFF000017])
def test_versions(version):
    datagram = initial(crypto(0, HELLO), version=version, pad=1162)
    assert is_initial(datagram)
    assert initial_client_hello([datagram]) == HELLO
    assert initial_connection_id([datagram]) == DESTINATION


def test_a_handshake():
    server = initial(b"\2\0\0\0\0" + crypto(0, ANSWER), side="server", destination=SOURCE, number=0)
    found = read_handshake([initial(crypto(0, HELLO), pad=1162)], [server])
    assert (found.version, found.cipher_suite, found.group, found.sni, found.alpn, found.alpn_chosen, found.offered_versions, found.resumed) == (
        "TLSv1.3", "TLS_AES_128_GCM_SHA256", "x25519", "mail.example", "h3", False, ("TLSv1.3", "TLSv1.2"), False)
    assert found.offer.ja4.startswith("q13d0204h3_")
    found = read_handshake([initial(crypto(0, HELLO))], [])
    assert (found.version, found.sni, found.server_hello_at) == (None, "mail.example", None)
    assert read_handshake([], [server]) is None
    assert initial_server_hello([server], b"other id") is None


def test_frames_in_any_order_over_packets_and_datagrams():
    pieces = [(i, HELLO[i:i + 23]) for i in range(0, len(HELLO), 23)]
    random.Random(3).shuffle(pieces)
    one = initial(b"\1" + b"".join(crypto(at, piece) + b"\0\0\1" for at, piece in pieces[:3]), number=0)
    two = initial(b"".join(crypto(at, piece) for at, piece in pieces[3:]), number=1, size=1)
    assert initial_client_hello([one, two]) == HELLO
    assert initial_client_hello([one + two]) == HELLO
    assert initial_client_hello([one]) is None
    assert initial_client_hello([one, one, two, two]) == HELLO


def test_other_packets_in_a_datagram_are_passed():
    handshake = initial(crypto(0, b"x" * 40), kind=2)
    assert initial_client_hello([handshake + initial(crypto(0, HELLO)) + b"\x40short header"]) == HELLO
    acked = b"\2\x05\0\2\1\1\0\1\1" + b"\3\5\0\0\1\1\2\3" + crypto(0, HELLO)
    assert initial_client_hello([initial(acked)]) == HELLO
    assert initial_client_hello([initial(b"\x1c\0\0\0" + crypto(0, HELLO))]) is None  # CONNECTION_CLOSE ends it


def test_token_and_retry():
    assert initial_client_hello([initial(crypto(0, HELLO), token=b"t" * 100)]) == HELLO
    first = initial(crypto(0, HELLO[:50]), number=0)
    again = initial(crypto(0, HELLO), destination=b"retried", secret_id=b"retried", number=1)
    assert initial_client_hello([first, again]) == HELLO
    later = initial(crypto(50, HELLO[50:]), destination=b"servers id", number=1)  # the same keys under the id that the server chose
    assert initial_client_hello([first, later]) == HELLO


@pytest.mark.parametrize("datagram", [b"", b"\xc0", b"\xc0\0\0\0\1\xff", b"\xc0\0\0\0\1\0\0\0\0", b"\xc0\0\0\0\7" + bytes(100), bytes(1200), b"\xff" * 1200, b"\xc0\0\0\0\1" + bytes(1200)])
def test_what_is_no_initial(datagram):
    assert initial_client_hello([datagram]) is None
    assert initial_connection_id([b"\xc0\0\0\0\7" + bytes(100)]) is None


def test_limits():
    far = initial(crypto(100000, b"x"))
    assert initial_client_hello([far]) is None
    huge = client_hello(extensions=extension(21, bytes(60000)))[:4]
    assert initial_client_hello([initial(crypto(0, huge + bytes(1000)))] * 3) is None
    assert initial_client_hello([initial(crypto(0, b"\1\xff\xff\xff" + bytes(100)))]) is None
    assert initial_client_hello([initial(crypto(0, b"\2\0\0\4abcd" + bytes(30)))]) is None
    assert initial_client_hello([b"x"] * quic.MAX_DATAGRAMS + [initial(crypto(0, HELLO))]) is None


def test_every_flip_and_truncation():
    datagram = initial(crypto(0, HELLO), pad=400)
    for n in range(0, len(datagram), 3):
        assert initial_client_hello([datagram[:n]]) is None
        broken = bytearray(datagram)
        broken[n] ^= 0x11
        assert initial_client_hello([bytes(broken)]) in (None, HELLO)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(lambda body: initial(body, pad=30)), max_size=4))
def test_never_raises(datagrams):
    read_handshake(datagrams, datagrams)
