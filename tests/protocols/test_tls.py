"""TLS handshakes from the first record to encrypted data: what is learnt, when it is established, who alerted, what was resumed."""
from __future__ import annotations

import hashlib

import pytest
from tests.tls_bytes import (
    ALPN, CCS, CHOSE_13, CLIENT_KEY, DATA, DONE, FINISHED, SNI, VERSIONS, alpn, certificates, client_hello, codes, dhe, ecdhe, extension, key, make_certificate, message, parse,
    record, same, server_hello, sni, tls12, tls13, u16, vector)

from pcapsec.protocols.certificates import certificate
from pcapsec.protocols.tls import HELLO_RETRY, MAX_ALERTS, probe, version_name
from pcapsec.protocols.tls_exchange import MAX_CHAIN
from pcapsec.records import CLIENT, SERVER, TlsHandshake, TlsOffer

RANDOM = bytes(range(32))
OFFER_12 = TlsOffer(
    legacy_version="TLSv1.2", versions=("TLSv1.2",), suites=("TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), alpn=("imap", "smtp"), compressions=("null",),
    extensions=(0, 16), ja3=hashlib.md5(b"771,4865-49199,0-16,,").hexdigest(),
    ja4="t12d0202ip_" + hashlib.sha256(b"1301,c02f").hexdigest()[:12] + "_000000000000", grease=True)


def test_tls12():
    leaf, issuer = make_certificate(issuer="CN=CA", signer=key("EC", 384)), make_certificate("CN=CA", public=key("EC", 384), ca=True, names=())
    client = client_hello(extensions=SNI + ALPN + extension(23) + extension(22), session=b"s" * 32)
    server = server_hello(session=b"new", extensions=extension(0xFF01, b"\0") + extension(23) + alpn(b"smtp") + extension(11, b"\1\0"))
    found = same(tls12(client=client, server=server, chain=(leaf, issuer), exchange=ecdhe()))
    assert found.offer.ja4[:10] == "t12d0204ip"
    expected = TlsHandshake(
        version="TLSv1.2", offered_versions=("TLSv1.2",), cipher_suite="TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", sni="mail.example", alpn="smtp", client_hello_at=5, server_hello_at=5,
        established=True, complete=True, offer=found.offer, alpn_chosen=True, cipher_recommended="Y", group="secp256r1", group_recommended="Y", signature="ecdsa_secp256r1_sha256",
        key_exchange_at=found.key_exchange_at, client_key_bytes=66, forward_secret=True, compression="null", extended_master_secret=True, encrypt_then_mac=False,
        secure_renegotiation=True, heartbeat=False, resumed=False, certificates=(certificate(leaf), certificate(issuer)), chain_length=2, certificate_at=found.certificate_at,
        name_matches=True, name_matched_by="san", client_random=RANDOM)
    assert found == expected
    assert (found.certificate_at, found.key_exchange_at) == (5 + len(server) + 5, 5 + len(server) + 5 + len(certificates(leaf, issuer)) + 5)


def test_tls13():
    found = same(tls13())
    assert found == TlsHandshake(
        version="TLSv1.3", offered_versions=("TLSv1.3", "TLSv1.2"), cipher_suite="TLS_AES_128_GCM_SHA256", sni="mail.example", client_hello_at=5, server_hello_at=5, established=True,
        complete=True, offer=found.offer, cipher_recommended="Y", group="x25519", group_recommended="Y", forward_secret=True, compression="null", resumed=False,
        client_random=RANDOM)


def test_what_a_client_offers():
    assert same(tls12()).offer == OFFER_12
    assert same(tls12()).offer is same(tls12()).offer


def test_nothing_is_established_before_both_sides_encrypt():
    for turns in (tls12()[:-2], tls13()[:-2]):
        found = parse(turns).handshake
        assert (found.established, found.complete) == (None, False)


@pytest.mark.parametrize("server, exchange, facts", [
    (server_hello(suite=0xC02F), ecdhe(29, 0x0804), ("x25519", "Y", None, "rsa_pss_rsae_sha256", True)), (server_hello(suite=0xC013), ecdhe(1, 0x0201), ("sect163k1", "D", None, "rsa_pkcs1_sha1", True)),
    (server_hello(0x0301, 0xC013), ecdhe(23), ("secp256r1", "Y", None, None, True)), (server_hello(suite=0x009E), dhe(b"\xc1" + bytes(127)), ("dh", None, 1024, "rsa_pkcs1_sha256", True)),
    (server_hello(suite=0x0033), dhe(bytes.fromhex("ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1") + bytes(232), 0x0601), ("ffdhe2048", "N", 2048, "rsa_pkcs1_sha512", True)),
    (server_hello(0x0302, 0x0033), dhe(bytes.fromhex("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1") + bytes(104), None), ("modp1024", None, 1024, None, True)),
    (server_hello(suite=0xC018), ecdhe(23), ("secp256r1", "Y", None, None, True)),
    (server_hello(suite=0xC02F), message(12, b"\1" + bytes(100)), ("arbitrary_explicit_prime_curves", "N", None, None, True)),
    (server_hello(suite=0xC02F), message(12, b"\3" + u16(0x1234) + b"\0" + u16(0x0303) + u16(0)), ("0x1234", None, None, "ecdsa_sha224", True)),
    (server_hello(suite=0x002F), None, (None, None, None, None, False)), (server_hello(suite=0xABCD), ecdhe(), (None, None, None, None, None)),
    (server_hello(suite=0xC035), message(12, vector(b"hint") + b"\3" + u16(24) + vector(bytes(97), 1)), ("secp384r1", "Y", None, None, True))])
def test_key_exchange(server, exchange, facts):
    found = same(tls12(server=server, exchange=exchange))
    assert (found.group, found.group_recommended, found.dh_bits, found.signature, found.forward_secret) == facts


def test_export_grade_rsa():
    exchange = message(12, vector(b"\xff" * 64) + vector(b"\1\0\1") + vector(bytes(128)))
    found = same(tls12(server=server_hello(0x0301, 0x0003), exchange=exchange))
    assert (found.cipher_suite, found.temporary_rsa_bits, found.dh_bits, found.forward_secret) == ("TLS_RSA_EXPORT_WITH_RC4_40_MD5", 512, None, False)


@pytest.mark.parametrize("exchange", [message(12, b"\3\0"), message(12, b"\3\0\x17\xff"), message(12, b"\7\0\0\0"), message(12)])
def test_malformed_key_exchange(exchange):
    found = same(tls12(exchange=exchange), ("malformed-handshake-message",))
    assert (found.established, found.key_exchange_at is not None) == (True, True)


@pytest.mark.parametrize("extensions, compression, facts", [
    (extension(22) + extension(15, b"\1"), 0, (False, True, False, True, "null")), (extension(23) + extension(0xFF01, b"\0"), 1, (True, False, True, False, "DEFLATE")),
    (b"", 64, (False, False, False, False, "LZS")), (b"", 77, (False, False, False, False, "77"))])
def test_what_the_server_agrees_to(extensions, compression, facts):
    found = same(tls12(server=server_hello(extensions=extensions, compression=compression)))
    assert (found.extended_master_secret, found.encrypt_then_mac, found.secure_renegotiation, found.heartbeat, found.compression) == facts


@pytest.mark.parametrize("tail, expected", [(b"DOWNGRD\1", "TLSv1.2"), (b"DOWNGRD\0", "TLSv1.1"), (b"DOWNGRD\2", None)])
def test_downgrade_sentinel(tail, expected):
    assert same(tls12(server=server_hello(nonce=bytes(24) + tail))).downgrade_sentinel == expected
    assert same(tls13(server=server_hello(extensions=CHOSE_13, nonce=bytes(24) + tail, suite=0x1301))).downgrade_sentinel is None


@pytest.mark.parametrize("code, name", [(0x0002, "SSLv2"), (0x0300, "SSLv3"), (0x0301, "TLSv1.0"), (0x0302, "TLSv1.1"), (0x0304, "TLSv1.3"), (0xFB1A, "0xfb1a"), (0x002C, "0x002c")])
def test_version_names(code, name):
    assert version_name(code) == name
    assert same([(SERVER, record(22, server_hello(code)))]).version == name


def test_drafts():
    assert same([(SERVER, record(22, server_hello(extensions=extension(43, u16(0x7F1C)))))]).version == "TLSv1.3-draft28"
    for code, name in ((0x7F12, "TLSv1.3-draft18"), (0x0304, "TLSv1.3")):
        body = u16(code) + bytes(32) + u16(0x1301) + vector(extension(40, u16(23) + vector(bytes(65))))
        found = same([(SERVER, record(22, message(2, body)))])
        assert (found.version, found.cipher_suite, found.group) == (name, "TLS_AES_128_GCM_SHA256", "secp256r1")


# --- HelloRetryRequest

def test_hello_retry():
    retry = server_hello(suite=0x1302, extensions=extension(43, u16(0x0304)) + extension(51, u16(24)), nonce=HELLO_RETRY)
    first, *rest = tls13()
    found = same([first, (SERVER, record(22, retry) + CCS), (CLIENT, CCS + first[1]), *rest])
    assert (found.version, found.cipher_suite, found.group, found.hello_retry, found.established, found.server_hello_at) == (
        "TLSv1.3", "TLS_AES_128_GCM_SHA256", "x25519", True, True, 5)


def test_old_hello_retry():
    found = same([tls13()[0], (SERVER, record(22, message(6, u16(0x7F0E) + vector(b"")))), *tls13()])
    assert (found.version, found.hello_retry, found.established) == ("TLSv1.3", True, True)


# --- resumption

def abbreviated(client: bytes, server: bytes, ticket: bytes = b"") -> list:
    return [(CLIENT, record(22, client)), (SERVER, record(22, server) + ticket + CCS + FINISHED), (CLIENT, CCS + FINISHED), (CLIENT, DATA)]


def test_resumed_by_id():
    found = same(abbreviated(client_hello(session=b"i" * 32), server_hello(session=b"i" * 32)))
    assert (found.resumed, found.resumption, found.established, found.chain_length, found.ticket_issued) == (True, "id", True, None, False)


def test_resumed_by_ticket():
    ticket = extension(35, b"ticket")
    found = same(abbreviated(client_hello(extensions=ticket), server_hello(extensions=extension(35)), record(22, message(4, bytes(4) + vector(b"fresh")))))
    assert (found.resumed, found.resumption, found.established, found.ticket_issued) == (True, "ticket", True, True)
    found = same(abbreviated(client_hello(extensions=ticket, session=b"x" * 32), server_hello(session=b"x" * 32)))
    assert (found.resumed, found.resumption) == (True, "ticket")


def test_an_echoed_id_before_a_certificate_is_no_resumption():
    found = same(tls12(client=client_hello(session=b"i" * 32), server=server_hello(session=b"i" * 32)))
    assert (found.resumed, found.resumption) == (False, None)


def test_resumed_by_psk():
    server = server_hello(suite=0x1301, extensions=CHOSE_13 + extension(41, u16(0)))
    found = same(tls13(server=server))
    assert (found.resumed, found.resumption, found.forward_secret) == (True, "psk", True)
    server = server_hello(suite=0x1301, extensions=extension(43, u16(0x0304)) + extension(41, u16(0)))
    found = same(tls13(server=server))
    assert (found.resumed, found.resumption, found.forward_secret, found.group) == (True, "psk", False, None)


def test_early_data():
    client = client_hello(extensions=VERSIONS + SNI + extension(42) + extension(41, bytes(50)))
    first, *rest = tls13(client=client)
    found = same([(CLIENT, first[1] + CCS + DATA), *rest])
    assert (found.offer.early_data, found.early_data, found.established) == (True, True, True)
    assert same(tls13(client=client)).early_data is False


# --- certificates

def test_one_certificate_without_the_name_asked_for():
    raw = make_certificate(names=("other.example",))
    found = same(tls12(chain=(raw,)))
    assert (found.certificates, found.chain_length, found.name_matches, found.name_matched_by) == ((certificate(raw),), 1, False, None)
    found = same(tls12(client=client_hello(), chain=(raw,)))
    assert (found.sni, found.name_matches) == (None, None)
    found = same(tls12(client=client_hello(extensions=sni("other.example")), chain=(make_certificate("CN=other.example", names=()),)))
    assert (found.name_matches, found.name_matched_by) == (True, "cn")


def test_names_match_whichever_side_came_first():
    client, server, *rest = tls12(chain=(make_certificate(),))
    assert parse([server, client, *rest]).handshake.name_matches is True


@pytest.mark.parametrize("body, n, anomaly", [
    (b"", 0, True), (vector(b"", 3), 0, False), (vector(vector(b"x", 3), 3), 1, False), (b"\0\0\x09" + vector(b"x", 3), 1, True), (vector(b"\0\0\x09x", 3), 0, True)])
def test_odd_certificate_messages(body, n, anomaly):
    client, _server, *rest = tls12()
    found = same([client, (SERVER, record(22, server_hello() + message(11, body) + DONE)), *rest], ("malformed-handshake-message",) if anomaly else ())
    assert (found.chain_length, len(found.certificates), found.established) == (n, n, True)


def test_a_long_chain():
    found = same(tls12(chain=tuple(bytes([n]) for n in range(MAX_CHAIN + 5))), ("certificate-chain-too-long",))
    assert (found.chain_length, len(found.certificates)) == (MAX_CHAIN + 5, MAX_CHAIN)


def test_client_certificate():
    raw = make_certificate("CN=alice", names=())
    client, _server, *rest = tls12()
    request = (SERVER, record(22, server_hello() + certificates(make_certificate()) + message(13, vector(b"\1", 1) + vector(codes(0x0403)) + u16(0)) + DONE))
    found = same([client, request, (CLIENT, record(22, certificates(raw) + CLIENT_KEY + message(15, bytes(74))) + CCS + FINISHED), *rest[1:]])
    assert (found.certificate_requested, found.client_certificate_sent, found.client_certificates, found.client_key_bytes) == (True, True, (certificate(raw),), 66)
    found = same([client, request, (CLIENT, record(22, certificates() + CLIENT_KEY) + CCS + FINISHED), *rest[1:]])
    assert (found.certificate_requested, found.client_certificate_sent, found.client_certificates) == (True, False, ())
    found = same([client, request, *rest])
    assert (found.certificate_requested, found.client_certificate_sent) == (True, False)
    found = same(tls12())
    assert (found.certificate_requested, found.client_certificate_sent) == (False, None)


def test_stapled_status_and_request():
    client, _server, *rest = tls12()
    found = same([client, (SERVER, record(22, message(0) * 3 + server_hello() + certificates() + message(22, b"\1" + vector(bytes(400), 3)) + DONE)), *rest])
    assert (found.ocsp_stapled, found.established) == (True, True)


# --- alerts

@pytest.mark.parametrize("side, name", [(CLIENT, "client"), (SERVER, "server")])
def test_fatal_alert(side, name):
    turns = tls12()[:2]
    found = same([*turns, (side, record(21, b"\2\x30"))])
    assert (found.alert, found.alerts, found.alert_side, found.alert_at, found.alert_fatal, found.established, found.complete) == (
        f"{name}:48 unknown_ca", (f"{name}:fatal:48 unknown_ca",), side, len(turns[side][1]), True, False, True)


def test_warning_alert_decides_nothing():
    client, (side, server), *rest = tls12()
    found = same([client, (side, record(21, b"\1\x70") + server), *rest])
    assert (found.alert, found.alert_fatal, found.established) == ("server:112 unrecognized_name", False, True)
    found = same([client, (side, record(21, b"\1\x70") + server), (CLIENT, record(21, b"\2\x2e"))])
    assert (found.alert, found.alerts) == ("client:46 certificate_unknown", ("server:warning:112 unrecognized_name", "client:fatal:46 certificate_unknown"))


def test_many_alerts():
    found = same([tls12()[0], (SERVER, record(21, b"\1\x5a") * 50)])
    assert found.alerts == ("server:warning:90 user_canceled",) * MAX_ALERTS


def test_encrypted_alert_is_no_alert_in_clear():
    found = same([*tls12()[:3], (SERVER, CCS + record(21, bytes(26)))])
    assert (found.alert, found.established) == (None, None)
    found = same([*tls13()[:2], (CLIENT, CCS + record(23, bytes(19)))])
    assert (found.alert, found.hidden_alert, found.established) == (None, CLIENT, None)


def test_encrypted_extensions_in_a_record_of_their_own():
    client, _server, *rest = tls13()
    alone = record(22, server_hello(suite=0x1301, extensions=CHOSE_13)) + CCS + record(23, bytes(29))
    found = same([client, (SERVER, alone), (CLIENT, CCS + DATA)])
    assert (found.established, found.hidden_alert) == (True, None)
    found = same([client, (SERVER, alone[:-34] + record(23, bytes(19))), (CLIENT, CCS + record(23, bytes(29)))])
    assert (found.established, found.hidden_alert) == (None, SERVER)


def test_alert_as_first_answer():
    found = same([tls12()[0], (SERVER, record(21, b"\2\x28"))])
    assert found == TlsHandshake(offered_versions=("TLSv1.2",), sni="mail.example", alpn="imap", client_hello_at=5, established=False, alert="server:40 handshake_failure", complete=True,
                                 offer=OFFER_12, alerts=("server:fatal:40 handshake_failure",), alert_side=SERVER, alert_at=0, alert_fatal=True, client_random=RANDOM)


# --- heartbeat

def heartbeat(claimed: int, length: int, kind: int = 1) -> bytes:
    return record(24, (bytes([kind]) + u16(claimed) + bytes(length))[:length])


def test_heartbleed():
    turns = tls12()[:2]
    found = same([*turns, (CLIENT, heartbeat(16384, 3)), (SERVER, heartbeat(16384, 16000, 2) * 2)], ("heartbeat-overread",))
    assert (found.heartbeat_overread, found.heartbeat_side, found.heartbeat_at, found.heartbeat_answer, found.established) == ((16384, 3), CLIENT, len(turns[0][1]), 16000, None)


def test_an_honest_heartbeat_is_none():
    found = same([*tls12()[:2], (CLIENT, heartbeat(16, 35)), (SERVER, heartbeat(16, 35, 2)), *tls12()[2:]])
    assert (found.heartbeat_overread, found.heartbeat_answer, found.established) == (None, 0, True)
    encrypted = [*tls12()[:2], (CLIENT, record(22, CLIENT_KEY) + CCS + heartbeat(60000, 40))]
    assert same(encrypted).heartbeat_overread is None


# --- SSL 2.0

def sslv2(body: bytes, padding: int | None = None) -> bytes:
    return u16(0x8000 | len(body)) + body if padding is None else u16(len(body) + padding) + bytes([padding]) + body + bytes(padding)


HELLO_V2 = b"\1" + u16(2) + u16(6) + u16(0) + u16(16) + b"\1\0\x80\7\0\xc0" + bytes(16)


def test_sslv2():
    raw = make_certificate()
    answer = b"\4\0\1" + u16(2) + u16(len(raw)) + u16(3) + u16(16) + raw + b"\1\0\x80" + bytes(16)
    key_message = b"\2\1\0\x80" + bytes(40)
    found = same([(CLIENT, sslv2(HELLO_V2)), (SERVER, sslv2(answer)), (CLIENT, sslv2(key_message)), (SERVER, sslv2(bytes(33), 3)), (CLIENT, sslv2(bytes(33)))])
    assert found == TlsHandshake(
        version="SSLv2", offered_versions=("SSLv2",), cipher_suite="SSL_CK_RC4_128_WITH_MD5", client_hello_at=0, server_hello_at=0, established=True, complete=True,
        offer=TlsOffer(legacy_version="SSLv2", versions=("SSLv2",), suites=("SSL_CK_RC4_128_WITH_MD5", "SSL_CK_DES_192_EDE3_CBC_WITH_MD5")), forward_secret=False, resumed=False,
        certificates=(certificate(raw),), chain_length=1, certificate_at=0)


def test_sslv2_session_id_hit():
    answer = b"\4\1\0" + u16(2) + u16(0) + u16(0) + u16(16) + bytes(16)
    found = same([(CLIENT, sslv2(HELLO_V2)), (SERVER, sslv2(answer))])
    assert (found.version, found.resumed, found.resumption, found.certificates, found.chain_length) == ("SSLv2", True, "id", (), None)


def test_sslv2_error():
    found = same([(CLIENT, sslv2(HELLO_V2)), (SERVER, sslv2(b"\0\0\1"))])
    assert (found.alert, found.established, found.complete, found.alert_fatal) == ("server:1 no_cipher", False, True, True)


def test_sslv2_hello_for_tls():
    body = b"\1" + u16(0x0301) + u16(9) + u16(0) + u16(16) + b"\0\0\x2f" + b"\1\0\x80" + b"\0\0\xff" + bytes(16)
    found = same([(CLIENT, sslv2(body)), (SERVER, record(22, server_hello(0x0301, 0x002F) + certificates(make_certificate()) + DONE)),
                  (CLIENT, record(22, CLIENT_KEY) + CCS + FINISHED), (SERVER, CCS + FINISHED)])
    assert (found.version, found.offered_versions, found.cipher_suite, found.established, found.client_hello_at, found.chain_length) == (
        "TLSv1.0", ("TLSv1.0", "SSLv2"), "TLS_RSA_WITH_AES_128_CBC_SHA", True, 0, 1)
    assert found.offer == TlsOffer(legacy_version="TLSv1.0", versions=("TLSv1.0", "SSLv2"), secure_renegotiation=True,
                                   suites=("TLS_RSA_WITH_AES_128_CBC_SHA", "SSL_CK_RC4_128_WITH_MD5", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"))


@pytest.mark.parametrize("hello", [HELLO_V2[:3] + u16(7) + HELLO_V2[5:], HELLO_V2[:3] + u16(600) + HELLO_V2[5:]])
def test_malformed_sslv2_hello(hello):
    assert same([(CLIENT, sslv2(hello))], ("malformed-hello",)).offered_versions == ("SSLv2",)


@pytest.mark.parametrize("client, server, expected", [
    (tls12()[0][1], b"", True), (tls12()[0][1][:3], b"", None), (b"", tls12()[1][1], True), (b"", b"220 x\r\n", False), (b"EHLO", b"", False), (b"\x16\x03\x09", b"", False),
    (b"\x80\x2e\1\3\1", b"", True), (b"\x80\x2e\7", b"", False), (b"", b"", None), (b"", b"\x15\x03\x01\0\2\2\x28", True), (DATA, b"", False),
    (tls12()[2][1], tls12()[1][1], True), (CCS + FINISHED, tls12()[1][1], True), (tls12()[2][1], b"", False), (tls12()[2][1], DATA, False), (tls12()[2][1], b"220 x\r\n", False)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected
