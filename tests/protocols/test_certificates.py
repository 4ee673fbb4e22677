"""Certificates: every field against `cryptography`, hostile DER, names, and chains that lead to given roots."""
from __future__ import annotations

import base64
import datetime
import ipaddress
import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tls_bytes import key, make_certificate

from pcapsec.errors import DefinitionError
from pcapsec.protocols import certificates, x509_names
from pcapsec.protocols.certificates import MAX_EXTENSIONS, MAX_NAMES, certificate
from pcapsec.protocols.x509_names import encode_oid, escape, name_text, oid_text
from pcapsec.protocols.x509_trust import TrustStore, has_signed
from pcapsec.records import Certificate

NAMES = {x509.ObjectIdentifier(oid): name for oid, name in x509_names.ATTRIBUTES.items()}


def ns(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text + "+00:00").timestamp()) * 10**9


def tlv(tag: int, body: bytes) -> bytes:
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else b"\x81" + bytes([n]) if n < 256 else b"\x82" + n.to_bytes(2, "big") if n < 65536 else b"\x83" + n.to_bytes(3, "big")) + body


def name_der(*parts: tuple[str, int, bytes]) -> bytes:
    """A name's RDNs without the outer header: (OID, tag, value)."""
    return b"".join(tlv(0x31, tlv(0x30, tlv(6, encode_oid(oid)) + tlv(tag, value))) for oid, tag, value in parts)


def der(*, version: bytes = b"\xa0\3\2\1\2", serial: bytes = b"\x01", issuer: bytes = name_der(("2.5.4.3", 12, b"CA")), subject: bytes = name_der(("2.5.4.3", 12, b"a")),
        begin: bytes = tlv(0x17, b"240101000000Z"), end: bytes = tlv(0x17, b"250101000000Z"), spki: bytes | None = None, extensions: bytes | None = b"",
        signature: str = "1.2.840.113549.1.1.11") -> bytes:
    """A certificate put together by hand; its signature is empty."""
    if spki is None:
        spki = tlv(0x30, tlv(0x30, tlv(6, encode_oid("1.3.101.112"))) + tlv(3, bytes(33)))
    algorithm = tlv(0x30, tlv(6, encode_oid(signature)))
    body = version + tlv(2, serial) + algorithm + tlv(0x30, issuer) + tlv(0x30, begin + end) + tlv(0x30, subject) + spki
    if extensions is not None:
        body += tlv(0xA3, tlv(0x30, extensions))
    return tlv(0x30, tlv(0x30, body) + algorithm + tlv(3, b"\0"))


def ext(oid: str, body: bytes, critical: bytes = b"") -> bytes:
    return tlv(0x30, tlv(6, encode_oid(oid)) + critical + tlv(4, body))


def second_opinion(raw: bytes) -> dict:
    """The same fields as `cryptography` reads them."""
    one = x509.load_der_x509_certificate(raw)

    def extension(oid):
        try:
            return one.extensions.get_extension_for_oid(oid).value
        except x509.ExtensionNotFound:
            return None

    names, constraints = extension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME), extension(ExtensionOID.BASIC_CONSTRAINTS)
    subject_key, authority, purposes = extension(ExtensionOID.SUBJECT_KEY_IDENTIFIER), extension(ExtensionOID.AUTHORITY_KEY_IDENTIFIER), extension(ExtensionOID.EXTENDED_KEY_USAGE)
    public = one.public_key()
    return {
        "sha256": one.fingerprint(hashes.SHA256()).hex(), "version": one.version.value + 1, "serial": f"{one.serial_number:x}",
        "subject": one.subject.rfc4514_string(NAMES), "issuer": one.issuer.rfc4514_string(NAMES),
        "sans": tuple(str(name.value) for name in names) if names is not None else (),
        "dns_names": tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)) if names is not None else (),
        "ip_addresses": tuple(map(str, names.get_values_for_type(x509.IPAddress))) if names is not None else (),
        "not_before_ns": int(one.not_valid_before_utc.timestamp()) * 10**9, "not_after_ns": int(one.not_valid_after_utc.timestamp()) * 10**9,
        "key_bits": getattr(public, "key_size", None), "signature_algorithm": one.signature_algorithm_oid._name,
        "is_ca": constraints.ca if constraints is not None else None,
        "subject_key_id": subject_key.digest.hex() if subject_key is not None else None,
        "authority_key_id": authority.key_identifier.hex() if authority is not None else None,
        "extended_key_usage": tuple(one._name for one in purposes) if purposes is not None else None,
        "spki_sha256": hashes_of(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)),
    }


def hashes_of(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


@pytest.mark.parametrize("kind, size, key_type, bits, curve, exponent", [
    ("EC", 256, "EC", 256, "secp256r1", None), ("EC", 384, "EC", 384, "secp384r1", None), ("EC", 521, "EC", 521, "secp521r1", None), ("RSA", 2048, "RSA", 2048, None, 65537),
    ("RSA", 1024, "RSA", 1024, None, 65537), ("DSA", 1024, "DSA", 1024, None, None), ("Ed25519", 0, "Ed25519", 253, None, None), ("Ed448", 0, "Ed448", 448, None, None)])
def test_keys_and_all_else_as_cryptography_reads_them(kind, size, key_type, bits, curve, exponent):
    raw = make_certificate("CN=mail.example,OU=IT\\, Mail,O=Example \\+ Söhne,C=DE", issuer="CN=Test CA,O=Example", signer=key("EC"), public=key(kind, size),
                           names=("Mail.example", "*.example", "192.0.2.1", "2001:db8::1", "postmaster@mail.example"), ca=False, purposes=("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"))
    found = certificate(raw)
    expected = second_opinion(raw)
    if kind.startswith("Ed"):
        expected["key_bits"] = bits
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.key_type, found.key_bits, found.curve, found.exponent, found.common_name, found.self_issued, found.self_signed, found.malformed, found.der) == (
        key_type, bits, curve, exponent, "mail.example", False, False, None, raw)


@pytest.mark.parametrize("oid, expected", x509_names.SIGNATURES.items())
def test_signature_algorithms(oid, expected):
    assert certificate(der(signature=oid)).signature_algorithm == expected


def test_self_signed():
    assert certificate(make_certificate()).self_signed
    assert certificate(make_certificate(identifiers=False)).self_signed
    other = certificate(make_certificate(issuer="CN=mail.example", signer=key("EC", 384)))  # the same name, another key
    assert (other.self_issued, other.self_signed) == (True, False)


def test_the_same_certificate_is_one_object():
    raw = make_certificate()
    assert certificate(raw) is certificate(bytes(bytearray(raw)))


def test_what_is_remembered_has_a_limit(monkeypatch):
    monkeypatch.setattr(certificates, "MAX_KNOWN", 3)
    certificates._known.clear()
    for n in range(10):
        certificate(der(serial=bytes([n + 1])))
    assert len(certificates._known) <= 3


@pytest.mark.parametrize("begin, expected", [
    (tlv(0x17, b"491231235959Z"), "2049-12-31T23:59:59"), (tlv(0x17, b"500101000000Z"), "1950-01-01T00:00:00"), (tlv(0x18, b"20500101000000Z"), "2050-01-01T00:00:00"),
    (tlv(0x18, b"99991231235959Z"), "9999-12-31T23:59:59"), (tlv(0x17, b"2401010000Z"), "2024-01-01T00:00:00"), (tlv(0x17, b"240101020000+0200"), "2024-01-01T00:00:00")])
def test_times(begin, expected):
    found = certificate(der(begin=begin))
    assert (found.not_before_ns, found.malformed, found.subject) == (ns(expected), None, "CN=a")


@pytest.mark.parametrize("begin", [tlv(0x17, b"241301000000Z"), tlv(0x17, b"240101250000Z"), tlv(0x17, b"24010100000xZ"), tlv(0x17, b"240101000000"), tlv(0x13, b"240101000000Z"),
                                   tlv(0x17, b""), tlv(0x18, "２０２４0101000000Z".encode()), tlv(0x18, b"00000101000000Z")])
def test_what_is_no_time(begin):
    found = certificate(der(begin=begin))
    assert (found.not_before_ns, found.not_after_ns, found.malformed, found.subject, found.key_type) == (None, ns("2025-01-01T00:00:00"), "validity", "CN=a", "Ed25519")


@pytest.mark.parametrize("raw, text, common_name", [
    (name_der(("2.5.4.6", 0x13, b"DE"), ("2.5.4.10", 12, "Bücher, Söhne".encode()), ("2.5.4.3", 12, b"mail")), "CN=mail,O=Bücher\\, Söhne,C=DE", "mail"),
    (name_der(("2.5.4.3", 0x1E, "Ünï".encode("utf-16-be"))), "CN=Ünï", "Ünï"), (name_der(("2.5.4.3", 0x1C, "Ü".encode("utf-32-be"))), "CN=Ü", "Ü"),
    (name_der(("1.2.3.4", 12, b"x")), "1.2.3.4=x", None), (name_der(("2.5.4.3", 4, b"\1\2")), "CN=#0102", None), (name_der(("2.5.4.3", 12, b"\xff")), "CN=�", "�"),
    (name_der(("2.5.4.3", 12, b"one"), ("2.5.4.3", 12, b"two")), "CN=two,CN=one", "two"), (b"", "", None),
    (tlv(0x31, tlv(0x30, tlv(6, encode_oid("2.5.4.3")) + tlv(12, b"a")) + tlv(0x30, tlv(6, encode_oid("2.5.4.10")) + tlv(12, b"b"))), "CN=a+O=b", "a")])
def test_names(raw, text, common_name):
    assert name_text(raw) == (text, common_name)
    assert name_text(raw) == (text, common_name)  # remembered


@pytest.mark.parametrize("raw", [b"\x31", b"\x31\x05\x30", b"\x30\x00", b"\x31\x02\x30\x00", b"\x31\x84\1\1\1\1", tlv(0x31, tlv(0x30, tlv(6, b"\x55"))), tlv(0x31, b"\x30\x05\x06\x05abc"), b"\x31\x00" * 5000])
def test_what_is_no_name(raw):
    assert name_text(raw) is None


@pytest.mark.parametrize("value, expected", [("a b", "a b"), (" a", "\\ a"), ("a ", "a\\ "), ("#a", "\\#a"), ('a"b\\c+d,e;f<g>h', 'a\\"b\\\\c\\+d\\,e\\;f\\<g\\>h'), ("a\0b", "a\\00b"), ("", ""), ("ä=ö", "ä=ö")])
def test_escapes(value, expected):
    assert escape(value) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=12))
def test_escapes_as_cryptography_writes_them(value):
    if value == " ":  # cryptography leaves a single blank as it is
        return
    try:
        name = x509.NameAttribute(x509.ObjectIdentifier("2.5.4.10"), value)
    except ValueError:
        return
    assert f"O={escape(value)}" == name.rfc4514_string()


@pytest.mark.parametrize("text", ["1.2.840.113549.1.1.11", "2.5.4.3", "0.9.2342.19200300.100.1.25", "2.999.1", "2.16.840.1.101.3.4.3.18"])
def test_object_identifiers(text):
    assert oid_text(encode_oid(text)) == text
    assert oid_text(b"") == "?" and oid_text(b"\x88") == "?88"


def test_unknown_numbers_stay():
    spki = tlv(0x30, tlv(0x30, tlv(6, encode_oid("1.2.3"))) + tlv(3, b"\0abc"))
    found = certificate(der(spki=spki, signature="1.2.3.4", extensions=ext("2.5.29.37", tlv(0x30, tlv(6, encode_oid("1.2.5"))))))
    assert (found.key_type, found.key_bits, found.signature_algorithm, found.extended_key_usage, found.malformed) == ("1.2.3", None, "1.2.3.4", ("1.2.5",), None)


def test_explicit_curve_and_odd_keys():
    point = tlv(3, b"\0\4" + bytes(64))
    found = certificate(der(spki=tlv(0x30, tlv(0x30, tlv(6, encode_oid("1.2.840.10045.2.1")) + tlv(0x30, b"\2\1\1")) + point)))
    assert (found.key_type, found.curve, found.key_bits) == ("EC", "explicit", 256)
    found = certificate(der(spki=tlv(0x30, tlv(0x30, tlv(6, encode_oid("1.2.840.10045.2.1")) + tlv(6, encode_oid("1.2.9"))) + point)))
    assert (found.curve, found.key_bits) == ("1.2.9", 256)
    modulus = tlv(2, b"\0" + b"\xff" * 64)
    found = certificate(der(spki=tlv(0x30, tlv(0x30, tlv(6, encode_oid("1.2.840.113549.1.1.1")) + b"\5\0") + tlv(3, b"\0" + tlv(0x30, modulus + tlv(2, b"\3"))))))
    assert (found.key_type, found.key_bits, found.exponent) == ("RSA", 512, 3)


def test_version_1_has_no_extensions():
    found = certificate(der(version=b"", extensions=None))
    assert (found.version, found.sans, found.extended_key_usage, found.is_ca, found.malformed) == (1, (), None, None, None)


@pytest.mark.parametrize("extensions, part", [
    (ext("2.5.29.17", tlv(0x30, tlv(0x82, b"a.example"))) * 2, "subject_alternative_name"), (ext("2.5.29.17", b"\x30\x05\x82"), "subject_alternative_name"),
    (ext("2.5.29.19", b"\x31\0"), "basic_constraints"), (ext("2.5.29.37", tlv(0x30, b"\x02\1\1")), "extended_key_usage"), (b"\x30\x09\6", "extensions"),
    (ext("2.5.29.17", tlv(0x30, tlv(0x82, b"a.example") * (MAX_NAMES + 5))), "subject_alternative_name"), (ext("1.2.3", b"") * (MAX_EXTENSIONS + 1), "extensions")])
def test_broken_extensions(extensions, part):
    found = certificate(der(extensions=extensions + ext("2.5.29.14", tlv(4, b"\1\2"))))
    assert (found.malformed, found.subject, len(found.sans) <= MAX_NAMES) == (part, "CN=a", True)
    if part not in ("extensions",):
        assert found.subject_key_id == "0102"


def test_every_truncation_and_flip_is_read_without_an_error():
    good = make_certificate("CN=mail.example,O=Example", issuer="CN=CA", signer=key("RSA", 2048), public=key("RSA", 2048), names=("a.example", "192.0.2.1"), ca=True)
    whole = Certificate(sha256="", der=good)
    certificates.read(whole)
    assert whole.malformed is None
    for n in range(len(good)):
        found = Certificate(sha256="", der=good[:n])
        certificates.read(found)
        assert found.malformed is not None
    chance = random.Random(5)
    for _ in range(3000):
        broken = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        certificates.read(Certificate(sha256="", der=bytes(broken)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(raw):
    certificates.read(Certificate(sha256="", der=raw))
    certificates.read(Certificate(sha256="", der=tlv(0x30, tlv(0x30, raw))))


def test_deep_and_wide_structures_cost_nothing():
    deep = b"\x30\x80" * 20000
    found = certificate(tlv(0x30, tlv(0x30, deep)))
    assert found.malformed == "version" or found.malformed == "serialNumber"
    nested = b""
    for _ in range(3000):
        nested = tlv(0x30, nested)
    assert certificate(der(extensions=ext("2.5.29.19", nested))).is_ca is False


@pytest.mark.parametrize("names, common_name, host, how", [
    (("mail.example",), None, "mail.example", "san"), (("Mail.Example",), None, "MAIL.example.", "san"), (("*.example",), None, "mail.example", "san"),
    (("*.example",), None, "a.mail.example", None), (("*.example",), None, "example", None), (("other.example",), "mail.example", "mail.example", None),
    ((), "mail.example", "mail.example", "cn"), ((), "*.example", "mail.example", "cn"), ((), None, "mail.example", None), (("192.0.2.1",), None, "192.0.2.1", "san"),
    (("m*.example",), None, "mail.example", None), (("postmaster@mail.example",), "mail.example", "mail.example", "cn")])
def test_which_hosts_a_certificate_names(names, common_name, host, how):
    raw = make_certificate(f"CN={common_name}" if common_name else "O=Example", names=names)
    assert certificate(raw).covers(host) == how


def test_trust(tmp_path):
    root_key, middle_key = key("EC", 384), key("EC", 521)
    root = make_certificate("CN=Root", public=root_key, ca=True, names=())
    middle = make_certificate("CN=Middle", issuer="CN=Root", signer=root_key, public=middle_key, ca=True, names=())
    leaf = make_certificate(issuer="CN=Middle", signer=middle_key)
    forged = make_certificate(issuer="CN=Middle", signer=root_key)
    alone = make_certificate("CN=alone")
    renewed = make_certificate("CN=Root", public=root_key, ca=True, names=(), serial=7)
    chain = {name: certificate(raw) for name, raw in {"root": root, "middle": middle, "leaf": leaf, "forged": forged, "alone": alone, "renewed": renewed}.items()}
    pem = tmp_path / "roots.pem"
    pem.write_bytes(b"# comment\n-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(root) + b"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nx!\n-----END CERTIFICATE-----\n")
    store = TrustStore.load(pem)
    assert len(store) == 1

    def why(*names):
        return store.why_not(tuple(chain[name] for name in names))

    assert [why("leaf", "middle"), why("leaf", "middle", "root"), why("middle"), why("root"), why("leaf", "middle", "renewed")] == [None] * 5
    assert [why("leaf"), why("alone"), why("forged", "middle"), why(), why("leaf", "alone")] == ["issuer unknown", "self-signed", "bad signature", "no certificate", "issuer unknown"]
    other = TrustStore([chain["alone"]])
    assert [other.why_not((chain["leaf"], chain["middle"], chain["root"])), other.why_not((chain["alone"],))] == ["unknown root", None]
    assert (has_signed(chain["root"], chain["middle"]), has_signed(chain["middle"], chain["root"]), has_signed(certificate(b"x"), chain["root"])) == (True, False, False)


def test_two_authorities_that_name_each_other_end():
    one, two = key("EC", 384), key("EC", 521)
    first = certificate(make_certificate("CN=One", issuer="CN=Two", signer=two, public=one, ca=True))
    second = certificate(make_certificate("CN=Two", issuer="CN=One", signer=one, public=two, ca=True))
    assert TrustStore([certificate(make_certificate("CN=alone"))]).why_not((first, second)) == "issuer unknown"


@pytest.mark.parametrize("content, words", [(None, "No such file"), (b"hello", "no certificate found"), (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "no certificate found")])
def test_a_file_without_roots(tmp_path, content, words):
    path = tmp_path / "x.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DefinitionError, match=words):
        TrustStore.load(path)


def test_the_addresses_are_those_of_the_standard_library():
    raw = der(extensions=ext("2.5.29.17", tlv(0x30, tlv(0x87, b"\xc0\0\2\1") + tlv(0x87, bytes(16)) + tlv(0x87, b"\1\2\3") + tlv(0x86, b"https://a.example/"))))
    assert certificate(raw).sans == ("192.0.2.1", str(ipaddress.IPv6Address(0)), "https://a.example/")
