"""Hellos: what a client offers, its fingerprints, malformed and repeated extensions, and the tables of names."""
from __future__ import annotations

import pytest
from tests.tls_bytes import ALPN, SNI, VERSIONS, alpn, client_hello, codes, extension, message, record, same, server_hello, u16, vector

from pcapsec.protocols import tls_hello, tls_names, tls_suites
from pcapsec.protocols.tls_fingerprints import decimal_list, hex_list, ja3, ja4, short_hash
from pcapsec.protocols.tls_names import GREASE, alert_name, group_name, signature_name
from pcapsec.protocols.tls_suites import RECOMMENDED, SUITES, is_forward_secret, key_exchange, suite_name
from pcapsec.records import CLIENT, SERVER, TlsOffer

# The example of JA4's public description
JA4_SUITES = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035)
JA4_EXTENSIONS = (0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005, 0x0023, 0x0012, 0x002B, 0xFF01, 0x000B, 0x000A, 0x0015)
JA4_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)


def hello(extensions: bytes, **more):
    return same([(CLIENT, record(22, client_hello(extensions=extensions, **more)))])


def ja4_hello(grease: bool) -> bytes:
    """A ClientHello with the lists of JA4's example."""
    bodies = {0: SNI[4:], 16: alpn(b"h2", b"http/1.1")[4:], 13: vector(codes(*JA4_SIGNATURES)), 43: vector(codes(*((0x2A2A,) if grease else ()), 0x0304, 0x0303), 1),
              10: vector(codes(*((0x3A3A,) if grease else ()), 29, 23)), 11: b"\1\0"}
    extensions = b"".join(extension(kind, bodies.get(kind, b"")) for kind in JA4_EXTENSIONS)
    suites = codes(*JA4_SUITES)
    if grease:
        extensions, suites = extension(0x0A0A) + extensions + extension(0xFAFA, b"\0"), u16(0xDADA) + suites
    return client_hello(extensions=extensions, suites=suites)


@pytest.mark.parametrize("grease", [False, True])
def test_ja4_of_its_description(grease):
    offer = same([(CLIENT, record(22, ja4_hello(grease)))]).offer
    assert (offer.ja4, offer.grease, offer.extensions, offer.groups) == ("t13d1516h2_8daaf6152771_e5627efa2ab1", grease, JA4_EXTENSIONS, ("x25519", "secp256r1"))


def test_ja3_of_its_description():
    assert ja3(769, "47-53-5-10-49161-49162-49171-49172-50-56-19-4", "0-10-11", "23-24-25", "0") == "ada70206e40642a3e4461f35503241d5"
    suites = codes(47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4)
    found = hello(SNI + extension(10, vector(codes(23, 24, 25))) + extension(11, b"\1\0"), version=0x0301, suites=suites)
    assert found.offer.ja3 == "ada70206e40642a3e4461f35503241d5"


@pytest.mark.parametrize("first, expected", [(None, "00"), (b"", "00"), (b"h2", "h2"), (b"http/1.1", "h1"), (b"x", "xx"), (b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"0\xab", "3b"),
                                             (b"01\xab\xcd", "3d"), (b"0\xab\xcd1", "01")])
def test_ja4_protocol(first, expected):
    assert ja4("t", 0x0304, 3, "0" * 12, (), "", first) == f"t13i0300{expected}_{'0' * 12}_{'0' * 12}"


@pytest.mark.parametrize("version, expected", [(0x0304, "13"), (0x0303, "12"), (0x0302, "11"), (0x0301, "10"), (0x0300, "s3"), (0x0002, "s2"), (0x7F1C, "00")])
def test_ja4_version(version, expected):
    assert ja4("q", version, 200, "0" * 12, range(150), "", None)[:10] == f"q{expected}d9999" + "00"


def test_ja4_without_signatures_has_no_underscore():
    listed = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
    assert hex_list(sorted(kind for kind in JA4_EXTENSIONS if kind not in (0, 16))) == listed
    assert ja4("t", 0x0304, 15, "8daaf6152771", JA4_EXTENSIONS, "", b"h2").endswith("_6d807ffa2a79")
    assert (short_hash(""), decimal_list((1, 2)), decimal_list(())) == ("000000000000", "1-2", "")


def test_an_offer():
    extensions = (SNI + ALPN + VERSIONS + extension(10, vector(codes(0x0A0A, 4588, 29, 23, 257, 0x1234))) + extension(13, vector(codes(0x0804, 0x0403, 0x0201, 0x0202, 0x9999)))
                  + extension(0xFE0D, bytes(30)) + extension(42) + extension(22) + extension(23) + extension(15, b"\1") + extension(0xFF01, b"\0"))
    found = hello(extensions, suites=codes(0x1302, 0x00FF, 0x5600, 0xABCD), compressions=b"\1\0")
    assert found.offer == TlsOffer(
        legacy_version="TLSv1.2", versions=("TLSv1.3", "TLSv1.2"), suites=("TLS_AES_256_GCM_SHA384", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "TLS_FALLBACK_SCSV", "0xabcd"),
        groups=("X25519MLKEM768", "x25519", "secp256r1", "ffdhe3072", "0x1234"), signatures=("rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256", "rsa_pkcs1_sha1", "dsa_sha1", "0x9999"),
        alpn=("imap", "smtp"), compressions=("DEFLATE", "null"), extensions=(0, 16, 43, 10, 13, 0xFE0D, 42, 22, 23, 15, 0xFF01), ja3=found.offer.ja3, ja4=found.offer.ja4,
        secure_renegotiation=True, fallback_scsv=True, extended_master_secret=True, encrypt_then_mac=True, heartbeat=True, early_data=True, encrypted_client_hello=True)
    assert (found.sni, found.alpn, found.alpn_chosen) == ("mail.example", "imap", False)


def test_offers_differ_where_hellos_do():
    base = SNI + extension(10, vector(codes(29)))
    one, two = hello(base).offer, hello(base + extension(22)).offer
    assert (one.encrypt_then_mac, two.encrypt_then_mac, one is hello(base).offer) == (False, True, True)
    assert hello(SNI + extension(10, vector(codes(23)))).offer.groups == ("secp256r1",)
    assert hello(base, compressions=b"\1").offer.compressions == ("DEFLATE",)


def test_names_come_from_each_hello():
    for name in ("a.example", "b.example"):
        assert hello(extension(0, vector(b"\0" + vector(name.encode())))).sni == name


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\5\1\0\2ab", b"\0\5\0\0\x09ab", b"\0\3\0\0\0"])
def test_odd_server_names(body):
    assert hello(extension(0, body)).sni is None


@pytest.mark.parametrize("body, expected", [(b"\0\0", ()), (b"\0\3\2h", ()), (b"\0\6\2h2\0\1x", ("h2", "x")), (b"\0\4\3\xff\0a", ("\xff\0a",)), (b"", ())])
def test_odd_protocol_lists(body, expected):
    assert hello(extension(16, body)).offer.alpn == expected


def test_repeated_extensions():
    assert same([(CLIENT, record(22, client_hello(extensions=SNI + SNI)))], ("repeated-extension",)).sni == "mail.example"
    assert same([(SERVER, record(22, server_hello(extensions=extension(23) * 2)))], ("repeated-extension",)).extended_master_secret is True


def test_too_many_extensions():
    many = b"".join(extension(1000 + n) for n in range(tls_hello.MAX_EXTENSIONS + 7))
    assert len(same([(CLIENT, record(22, client_hello(extensions=many)))], ("too-many-extensions",)).offer.extensions) == tls_hello.MAX_EXTENSIONS


@pytest.mark.parametrize("body", [b"abcd", b"\3\3" + bytes(32), b"\3\3" + bytes(32) + b"\xff", b"\3\3" + bytes(32) + b"\0\0\xff", b"\3\3" + bytes(32) + b"\0\0\2\x13\1\xff"])
def test_cut_client_hellos(body):
    found = same([(CLIENT, record(22, message(1, body)))], ("malformed-hello",))
    assert (found.client_hello_at, found.offer) == (5, None)


@pytest.mark.parametrize("body", [b"abcd", b"\3\3" + bytes(33), b"\3\3" + bytes(32) + b"\xff\0\0"])
def test_cut_server_hellos(body):
    found = same([(SERVER, record(22, message(2, body)))], ("malformed-hello",))
    assert (found.server_hello_at, found.cipher_suite) == (5, None)


def test_extensions_that_do_not_fit():
    good = client_hello(extensions=SNI)
    assert same([(CLIENT, record(22, message(1, good[4:-1])))], ("malformed-hello",)).sni is None
    cut = client_hello(extensions=SNI + extension(16)[:2] + u16(9))
    assert same([(CLIENT, record(22, cut))], ("malformed-hello",)).sni == "mail.example"
    assert same([(SERVER, record(22, server_hello(extensions=extension(23) + b"\0\x10\0\x09")))], ("malformed-hello",)).extended_master_secret is True


def test_what_is_remembered_has_a_limit(monkeypatch):
    monkeypatch.setattr(tls_hello, "_MAX_KNOWN", 4)
    for known in (tls_hello._offers, tls_hello._suites):
        known.clear()
    for n in range(20):
        hello(SNI, suites=codes(0x1301, n))
    assert len(tls_hello._offers) <= 4 and len(tls_hello._suites) <= 4


# --- tables

def test_suites():
    assert len(SUITES) > 350
    assert not GREASE & SUITES.keys()
    assert [suite_name(code) for code in (0x1301, 0x0000, 0x002F, 0x00FF, 0xC030, 0xCCA8, 0xABCD)] == [
        "TLS_AES_128_GCM_SHA256", "TLS_NULL_WITH_NULL_NULL", "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "0xabcd"]


def test_recommended_suites():
    names = {column: sorted(SUITES[code] for code, value in RECOMMENDED.items() if value == column) for column in ("Y", "D")}
    assert all("GCM" in name or "CCM" in name or "CHACHA20" in name for name in names["Y"]) and len(names["Y"]) == 24
    assert all(is_forward_secret(name) is not False for name in names["Y"])
    assert all("NULL" in name or "RC4" in name or "KRB5" in name or name in ("TLS_SHA256_SHA256", "TLS_SHA384_SHA384") for name in names["D"]) and len(names["D"]) == 26
    assert (RECOMMENDED[0x002F], RECOMMENDED[0x0060], RECOMMENDED.get(0xABCD)) == ("N", None, None)


@pytest.mark.parametrize("name, exchange, secret", [
    ("TLS_RSA_WITH_AES_128_CBC_SHA", "RSA", False), ("TLS_RSA_EXPORT1024_WITH_RC4_56_SHA", "RSA", False), ("TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", "DHE_RSA", True),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE_ECDSA", True), ("TLS_ECDH_RSA_WITH_AES_128_CBC_SHA", "ECDH_RSA", False), ("TLS_DH_anon_WITH_AES_128_CBC_SHA", "DH_anon", True),
    ("TLS_PSK_WITH_AES_128_CBC_SHA", "PSK", False), ("TLS_PSK_DHE_WITH_AES_128_CCM_8", "DHE_PSK", True), ("TLS_AES_128_GCM_SHA256", "", None), ("0xabcd", "", None),
    ("SSL_CK_RC4_128_WITH_MD5", "", False), ("TLS_NULL_WITH_NULL_NULL", "NULL", False), ("TLS_SRP_SHA_WITH_AES_128_CBC_SHA", "SRP_SHA", True)])
def test_key_exchange_of_suites(name, exchange, secret):
    assert (key_exchange(name), is_forward_secret(name)) == (exchange, secret)


def test_groups_and_schemes():
    assert [group_name(code) for code in (1, 14, 15, 23, 25, 26, 29, 30, 33, 41, 256, 260, 4588, 25497, 65281, 7777)] == [
        "sect163k1", "sect571r1", "secp160k1", "secp256r1", "secp521r1", "brainpoolP256r1", "x25519", "x448", "brainpoolP512r1tls13", "curveSM2", "ffdhe2048", "ffdhe8192",
        "X25519MLKEM768", "X25519Kyber768Draft00", "arbitrary_explicit_prime_curves", "0x1e61"]
    assert [tls_names.GROUPS_RECOMMENDED.get(code) for code in (1, 22, 23, 29, 256, 7777)] == ["D", "N", "Y", "Y", "N", None]
    assert [signature_name(code) for code in (0x0201, 0x0401, 0x0804, 0x0807, 0x080B, 0x0905, 0x0101, 0x0302, 0x0840)] == [
        "rsa_pkcs1_sha1", "rsa_pkcs1_sha256", "rsa_pss_rsae_sha256", "ed25519", "rsa_pss_pss_sha512", "mldsa65", "rsa_pkcs1_md5", "dsa_sha224", "0x0840"]
    assert [alert_name(code) for code in (0, 48, 121, 200)] == ["0 close_notify", "48 unknown_ca", "121 ech_required", "200 unknown"]
    assert not GREASE & (tls_names.GROUPS.keys() | tls_names.SIGNATURE_SCHEMES.keys())


def test_the_names_wireshark_knows():
    """Second opinion: Wireshark's own value tables, where it is installed."""
    import shutil
    import subprocess

    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    lines = subprocess.run(["tshark", "-G", "values"], capture_output=True, text=True).stdout.split("\n")
    tables = {"tls.handshake.ciphersuite": tls_suites.SUITES, "tls.handshake.extensions_supported_group": tls_names.GROUPS, "tls.handshake.sig_hash_alg": tls_names.SIGNATURE_SCHEMES}
    compared = 0
    for line in lines:
        part = line.split("\t")
        if len(part) >= 4 and part[0] == "V" and part[1] in tables:
            ours = tables[part[1]].get(int(part[2], 0))
            if ours is not None and int(part[2], 0) not in (0x0200, 0x0201, 0x0202):
                assert ours == part[3], line
                compared += 1
    assert compared > 300
