"""S/MIME and OpenPGP in messages: kind, algorithms, limits, damage."""
from __future__ import annotations

import base64
import random
import time
import zlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from helpers import told
from tests.tls_bytes import key, make_certificate

from pcapsec.protocols.message import MAX_BODY_BYTES, MAX_SEALED_BYTES, MAX_TAIL_BYTES, MessageReader
from pcapsec.protocols.message_cms import fill_cms
from pcapsec.protocols.x509_names import encode_oid
from pcapsec.records import CLIENT, Message, Sealing


def read(content: bytes | str, *, pieces=None, complete=True) -> Message:
    if isinstance(content, str):
        content = content.replace("\n", "\r\n").encode()
    reader = MessageReader(Message(protocol="smtp", direction="relayed", side=CLIENT, at=0))
    pos = 0
    while pos < len(content):
        n = pieces() if pieces else len(content)
        reader.feed(content[pos:pos + n])
        pos += n
    reader.finish(complete)
    return reader.message


def sealed(content, **keywords) -> tuple[str, dict]:
    """Protection and sealing, the same whole and cut at random."""
    whole = read(content, **keywords)
    chance = random.Random(1)
    for pieces in (lambda: chance.randint(1, 90), lambda: 5000, lambda: 100000):
        assert read(content, pieces=pieces, **keywords) == whole
    return whole.protection, told(whole.sealing) if whole.sealing else {}


# --- CMS by hand, for what libraries no longer write

def tlv(tag: int, *parts: bytes, indefinite: bool = False) -> bytes:
    body = b"".join(parts)
    n = len(body)
    if indefinite:
        return bytes([tag, 0x80]) + body + b"\0\0"
    return bytes([tag]) + (bytes([n]) if n < 128 else b"\x82" + n.to_bytes(2, "big")) + body


def oid(text: str) -> bytes:
    return tlv(6, encode_oid(text))


def algorithm(text: str, *parameters: bytes) -> bytes:
    return tlv(0x30, oid(text), *parameters)


IV = tlv(4, bytes(16))
AES_CBC = algorithm("2.16.840.1.101.3.4.1.42", IV)
AES_GCM = algorithm("2.16.840.1.101.3.4.1.46", tlv(0x30, tlv(4, bytes(12)), tlv(2, b"\x10")))
RSA, OAEP = algorithm("1.2.840.113549.1.1.1", tlv(5)), algorithm("1.2.840.113549.1.1.7", tlv(0x30))
ENVELOPED, AUTH_ENVELOPED, SIGNED, COMPRESSED = "1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23", "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.9"


def ktri(transport: bytes = RSA, n_bytes: int = 256) -> bytes:
    return tlv(0x30, tlv(2, b"\0"), tlv(0x30, tlv(0x30), tlv(2, b"\1")), transport, tlv(4, bytes(n_bytes)))


def enveloped(cipher: bytes = AES_CBC, *recipients: bytes, kind: str = ENVELOPED, content: int = 100, indefinite: bool = False) -> bytes:
    def made(tag: int, *parts: bytes) -> bytes:
        return tlv(tag, *parts, indefinite=indefinite)
    return made(0x30, oid(kind), made(0xA0, made(0x30, tlv(2, b"\0"), tlv(0x31, *(recipients or (ktri(),))), made(0x30, oid("1.2.840.113549.1.7.1"), cipher, tlv(0x80, bytes(content))))))


def signed(digest: str = "2.16.840.1.101.3.4.2.1", signature: str = "1.2.840.113549.1.1.1", *, content: bytes | None = None, signers: int = 1, certificates: bytes = b"") -> bytes:
    signer = tlv(0x30, tlv(2, b"\1"), tlv(0x30, tlv(0x30), tlv(2, b"\1")), algorithm(digest), tlv(0xA0, bytes(20)), algorithm(signature), tlv(4, bytes(256)))
    inside = tlv(0x30, oid("1.2.840.113549.1.7.1"), *(() if content is None else (tlv(0xA0, tlv(4, content)),)))
    return tlv(0x30, oid(SIGNED), tlv(0xA0, tlv(0x30, tlv(2, b"\1"), tlv(0x31, *([algorithm(digest)] if signers else [])), inside, *([tlv(0xA0, certificates)] if certificates else []),
                                                tlv(0x31, *[signer] * signers))))


def lines(raw: bytes) -> bytes:
    return base64.encodebytes(raw).replace(b"\n", b"\r\n")


def smime(raw: bytes, parameters: str = "; name=smime.p7m", kind: str = "application/pkcs7-mime") -> bytes:
    return f"Subject: x\r\nContent-Type: {kind}{parameters}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode() + lines(raw)


AES = {"system": "smime", "form": "enveloped-data", "encrypted": True, "content_oid": ENVELOPED, "encryption": "AES-256-CBC", "encryption_oid": "2.16.840.1.101.3.4.1.42", "key_bits": 256,
       "authenticated": False, "key_transports": ("RSA",), "recipient_key_bits": 2048, "n_recipients": 1}


@pytest.mark.parametrize("raw, changes", [
    (enveloped(), {}),
    (enveloped(indefinite=True), {}),
    (enveloped(AES_CBC, ktri(n_bytes=128), ktri(OAEP)), {"key_transports": ("RSA", "RSA-OAEP"), "recipient_key_bits": 1024, "n_recipients": 2}),
    (enveloped(AES_GCM, kind=AUTH_ENVELOPED), {"form": "authEnveloped-data", "content_oid": AUTH_ENVELOPED, "encryption": "AES-256-GCM", "encryption_oid": "2.16.840.1.101.3.4.1.46", "authenticated": True}),
    (enveloped(algorithm("1.2.840.113549.3.7", tlv(4, bytes(8)))), {"encryption": "3DES-CBC", "encryption_oid": "1.2.840.113549.3.7", "key_bits": 168}),
    (enveloped(algorithm("1.3.14.3.2.7", tlv(4, bytes(8)))), {"encryption": "DES-CBC", "encryption_oid": "1.3.14.3.2.7", "key_bits": 56}),
    (enveloped(algorithm("1.2.840.113549.3.2", tlv(0x30, tlv(2, b"\x00\xa0"), tlv(4, bytes(8))))), {"encryption": "RC2-CBC", "encryption_oid": "1.2.840.113549.3.2", "key_bits": 40}),
    (enveloped(algorithm("1.2.840.113549.3.2", tlv(0x30, tlv(2, b"\x3a"), tlv(4, bytes(8))))), {"encryption": "RC2-CBC", "encryption_oid": "1.2.840.113549.3.2", "key_bits": 128}),
    (enveloped(algorithm("1.2.3.4")), {"encryption": None, "encryption_oid": "1.2.3.4", "key_bits": None, "authenticated": None}),
    (enveloped(AES_CBC, tlv(0xA1, tlv(2, b"\3"), tlv(0xA0, tlv(0x30)), algorithm("1.3.132.1.11.1"), tlv(0x30, tlv(0x30), tlv(0x30)))), {"key_transports": ("ECDH",), "recipient_key_bits": None, "n_recipients": 2}),
    (enveloped(AES_CBC, tlv(0xA3, tlv(2, b"\0"))), {"key_transports": ("password",), "recipient_key_bits": None}),
    (enveloped(AES_CBC, tlv(0xA2, tlv(2, b"\4"))), {"key_transports": ("KEK",), "recipient_key_bits": None}),
])
def test_enveloped(raw, changes):
    expected = {name: value for name, value in {**AES, **changes}.items() if value is not None}
    assert sealed(smime(raw)) == ("smime-encrypted", expected)
    assert sealed(smime(raw).split(b"\r\n\r\n")[0] + b"\r\n\r\n" + raw)[1] == expected  # binary, as BINARYMIME has it


def test_many_recipients_need_more_than_the_first_bytes():
    many = enveloped(AES_CBC, *[ktri() for _ in range(60)], content=40000)
    protection, told_ = sealed(smime(many))
    assert len(smime(many)) > MAX_SEALED_BYTES and told_ == {**AES, "n_recipients": 60, "cut": True}
    too_many = enveloped(AES_CBC, *[ktri() for _ in range(200)])
    protection, told_ = sealed(smime(too_many))
    assert protection == "smime-encrypted" and told_ == {"system": "smime", "form": "enveloped-data", "encrypted": True, "content_oid": ENVELOPED, "key_transports": ("RSA",), "recipient_key_bits": 2048, "cut": True}


SIGNED_DATA = {"system": "smime", "form": "signed-data", "signed": True, "content_oid": SIGNED, "digests": ("SHA-256",), "signatures": ("rsaEncryption",)}


@pytest.mark.parametrize("raw, protection, expected", [
    (signed(content=b"readable"), "smime-signed", SIGNED_DATA),
    (signed("1.3.14.3.2.26", "1.2.840.113549.1.1.5", content=b"x"), "smime-signed", {**SIGNED_DATA, "digests": ("SHA-1",), "signatures": ("sha1WithRSAEncryption",)}),
    (signed("1.2.840.113549.2.5", content=b"x"), "smime-signed", {**SIGNED_DATA, "digests": ("MD5",)}),
    (signed("1.9.9", "1.9.8", content=b"x"), "smime-signed", {**SIGNED_DATA, "digests": ("1.9.9",), "signatures": ("1.9.8",)}),
    (signed(signers=0, certificates=bytes(300)), "none", {"system": "smime", "form": "certs-only", "content_oid": SIGNED}),
    (tlv(0x30, oid(COMPRESSED), tlv(0xA0, tlv(0x30, tlv(2, b"\0")))), "none", {"system": "smime", "form": "compressed-data", "content_oid": COMPRESSED}),
])
def test_signed_and_other_structures(raw, protection, expected):
    assert sealed(smime(raw)) == (protection, expected)


def test_the_structure_outweighs_the_parameter():
    assert sealed(smime(signed(content=b"x"), "; smime-type=enveloped-data")) == ("smime-signed", {**SIGNED_DATA, "smime_type": "enveloped-data"})
    assert sealed(smime(enveloped(), "; smime-type=signed-data"))[0] == "smime-encrypted"
    text = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nnothing of the kind is in here, only words that anybody can read\r\n"
    assert sealed(text) == ("none", {"system": "smime", "form": "enveloped-data", "smime_type": "enveloped-data", "malformed": True})


def test_a_name_is_enough_where_the_structure_agrees():
    assert sealed(smime(enveloped(), '; name="smime.p7m"', "application/octet-stream")) == ("smime-encrypted", AES)
    assert sealed(smime(bytes(300), '; name="smime.p7m"', "application/octet-stream")) == ("none", {})
    assert sealed(smime(enveloped(), '; name="data.bin"', "application/octet-stream")) == ("none", {})


def test_cut_before_it_tells():
    head = smime(enveloped())[:-300].split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert sealed(head, complete=False) == ("none", {"system": "smime", "form": "pkcs7-mime", "encrypted": None, "cut": True})
    assert sealed(head + b"MIIB", complete=False) == ("none", {"system": "smime", "form": "pkcs7-mime", "encrypted": None, "cut": True})
    some = head + lines(enveloped()[:40])
    assert sealed(some, complete=False) == ("smime-encrypted", {"system": "smime", "form": "enveloped-data", "encrypted": True, "content_oid": ENVELOPED, "cut": True})
    declared = head.replace(b"; name", b"; smime-type=enveloped-data; name")
    assert sealed(declared) == ("smime-encrypted", {"system": "smime", "form": "enveloped-data", "encrypted": True, "smime_type": "enveloped-data"})


@pytest.mark.parametrize("n", range(len(enveloped())))
def test_every_truncation(n):
    sealing = Sealing(system="smime", form="x")
    fill_cms(enveloped()[:n], False, sealing)
    assert sealing.cut and sealing.encrypted is (True if n >= 15 else False)


def multipart(signature: bytes, text: bytes = b"Content-Type: text/plain\r\n\r\nhello\r\n", parameters: str = '; protocol="application/pkcs7-signature"; micalg=sha-256',
              part: bytes = b"application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64") -> bytes:
    return (f'Subject: x\r\nContent-Type: multipart/signed; boundary="b?=b"{parameters}\r\n\r\npreamble\r\n--b?=b\r\n'.encode() + text + b"\r\n--b?=b\r\nContent-Type: " + part + b"\r\n\r\n"
            + signature + b"\r\n--b?=b--\r\n")


CLEAR_SIGNED = {"system": "smime", "form": "multipart-signed", "signed": True, "micalg": "sha-256", "digests": ("SHA-256",), "signatures": ("rsaEncryption",)}


def test_multipart_signed():
    assert sealed(multipart(lines(signed()))) == ("smime-signed", CLEAR_SIGNED)
    assert sealed(multipart(lines(signed("1.3.14.3.2.26")), parameters="")) == ("smime-signed", {**{k: v for k, v in CLEAR_SIGNED.items() if k != "micalg"}, "digests": ("SHA-1",)})
    protected = b'Content-Type: multipart/mixed; boundary=i; protected-headers="v1"\r\n\r\n--i\r\n\r\nhello\r\n--i--\r\n'
    assert sealed(multipart(lines(signed()), protected)) == ("smime-signed", {**CLEAR_SIGNED, "header_protection": "v1"})
    assert read(multipart(lines(signed()), protected)).part_types == ("multipart/mixed", "application/pkcs7-signature", "text/plain")


@pytest.mark.parametrize("size", [MAX_BODY_BYTES - 200, MAX_BODY_BYTES, 20000, 300000])
def test_the_signature_behind_a_long_text(size):
    text = b"Content-Type: text/plain\r\n\r\n" + b"word word word word\r\n" * (size // 21)
    assert sealed(multipart(lines(signed()), text)) == ("smime-signed", CLEAR_SIGNED)


def test_a_signature_that_is_longer_than_what_is_kept_of_the_end():
    huge = lines(signed(certificates=bytes(MAX_TAIL_BYTES)))
    assert sealed(multipart(huge, b"\r\n" + b"word\r\n" * 50000)) == ("smime-signed", {"system": "smime", "form": "multipart-signed", "signed": True, "micalg": "sha-256", "cut": True})


def test_the_signature_was_lost():
    content = multipart(lines(signed()), b"\r\n" + b"word word\r\n" * 3000)
    cut = content[:len(content) - 900]
    expected = {"system": "smime", "form": "multipart-signed", "signed": True, "micalg": "sha-256", "cut": True}
    assert sealed(cut[:20000], complete=False) == ("smime-signed", expected)
    reader = MessageReader(Message(protocol="smtp", direction="relayed", side=CLIENT, at=0))
    reader.feed(content[:25000])
    reader.lost()
    reader.feed(content[26000:])
    reader.finish(True)
    assert told(reader.message.sealing) == CLEAR_SIGNED  # the end came behind the loss


def test_signed_outside_and_encrypted_inside():
    inner = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n" + lines(enveloped())
    assert sealed(multipart(lines(signed()), inner)) == ("smime-encrypted", {
        **AES, "smime_type": "enveloped-data", "signed": True, "micalg": "sha-256", "digests": ("SHA-256",), "signatures": ("rsaEncryption",)})


def test_a_sealed_part_beside_others_does_not_seal_the_message():
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nforwarded:\r\n--x\r\nContent-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\n" + lines(enveloped()) + b"--x--\r\n"
    assert sealed(content) == ("none", {**AES, "partial": True})
    assert read(content).part_types == ("text/plain", "application/pkcs7-mime")
    alone = content.replace(b"\r\nforwarded:\r\n--x", b"").replace(b"--x\r\n\r\nContent", b"--x\r\nContent")
    assert sealed(alone) == ("smime-encrypted", AES)


def test_real_pkcs7():
    """What the cryptography library writes."""
    private = key("RSA", 2048)
    certificate_ = x509.load_der_x509_certificate(make_certificate(public=private))
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"hello\r\n").add_signer(certificate_, private, hashes.SHA384())
    detached = builder.sign(serialization.Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Text])
    assert sealed(detached) == ("smime-signed", {"system": "smime", "form": "multipart-signed", "signed": True, "micalg": "sha-384", "digests": ("SHA-384",), "signatures": ("rsaEncryption",)})
    opaque = builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
    assert sealed(smime(opaque)) == ("smime-signed", {**SIGNED_DATA, "digests": ("SHA-384",), "signatures": ("rsaEncryption",)})
    encrypted = pkcs7.PKCS7EnvelopeBuilder().set_data(b"hello").add_recipient(certificate_).encrypt(serialization.Encoding.SMIME, [])
    assert sealed(encrypted) == ("smime-encrypted", {**AES, "smime_type": "enveloped-data", "encryption": "AES-128-CBC", "encryption_oid": "2.16.840.1.101.3.4.1.2", "key_bits": 128})


# --- OpenPGP

def packet(tag: int, body: bytes, *, old: bool = False) -> bytes:
    if old:
        return bytes([0x81 | tag << 2]) + len(body).to_bytes(2, "big") + body
    n = len(body)
    return bytes([0xC0 | tag]) + (bytes([n]) if n < 192 else bytes([(n - 192 >> 8) + 192, n - 192 & 0xFF]) if n < 8384 else b"\xff" + n.to_bytes(4, "big")) + body


def pkesk(key_id: str = "c62442eb814ea031", kind: int = 1) -> bytes:
    return packet(1, b"\3" + bytes.fromhex(key_id) + bytes([kind]) + bytes(258), old=True)


def armor(raw: bytes, headers: str = "Version: GnuPG v2\r\n") -> bytes:
    return f"-----BEGIN PGP MESSAGE-----\r\n{headers}\r\n".encode() + lines(raw) + b"=abcd\r\n-----END PGP MESSAGE-----\r\n"


def pgp_mime(raw: bytes) -> bytes:
    return (b'Subject: ...\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\r\n\r\n--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n'
            b"\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n" + armor(raw) + b"\r\n--x--\r\n")


SEIPD1 = packet(18, b"\1" + bytes(300))
PGP = {"system": "pgp", "form": "inline", "encrypted": True, "authenticated": True, "packet": "SEIPDv1", "key_transports": ("RSA",), "n_recipients": 1, "key_ids": ("c62442eb814ea031",)}
NO_KEYS = {"key_transports": None, "key_ids": None}


@pytest.mark.parametrize("raw, changes", [
    (pkesk() + SEIPD1, {}),
    (pkesk() + packet(9, bytes(300)), {"packet": "SED", "authenticated": False}),
    (pkesk() + bytes([0xA7]) + bytes(300), {"packet": "SED", "authenticated": False}),
    (pkesk() + packet(18, bytes([2, 9, 2, 6]) + bytes(300)), {"packet": "SEIPDv2", "encryption": "AES-256-OCB", "key_bits": 256}),
    (pkesk() + packet(20, bytes([1, 9, 2, 16]) + bytes(300)), {"packet": "OCB", "encryption": "AES-256-OCB", "key_bits": 256}),
    (pkesk() + bytes([0xD2, 0xED, 1]) + bytes(9000), {}),  # partial lengths
    (pkesk("44c0c28891933e1e", 18) + pkesk() + SEIPD1, {"key_transports": ("ECDH", "RSA"), "n_recipients": 2, "key_ids": ("44c0c28891933e1e", "c62442eb814ea031")}),
    (pkesk("0" * 16) + SEIPD1, {"key_ids": ("0" * 16,)}),
    (packet(3, bytes([4, 9, 3, 8]) + bytes(9)) + SEIPD1, {"key_transports": ("password",), "key_ids": None, "encryption": "AES-256", "key_bits": 256}),
    (packet(1, bytes([6, 33, 6]) + bytes(32) + bytes([25]) + bytes(40)) + packet(18, bytes([2, 7, 3, 6]) + bytes(50)), {
        "key_transports": ("X25519",), "key_ids": ("00" * 32,), "packet": "SEIPDv2", "encryption": "AES-128-GCM", "key_bits": 128}),
    (packet(10, b"PGP") + pkesk() + SEIPD1, {}),
    (pkesk(), {"packet": None, "authenticated": None, "n_recipients": None, "cut": True}),
])
def test_pgp_encrypted(raw, changes):
    expected = {name: value for name, value in {**PGP, **changes}.items() if value is not None}
    assert sealed(b"Subject: x\r\n\r\nhello\r\n" + armor(raw)) == ("pgp-inline", expected)
    assert sealed(pgp_mime(raw)) == ("pgp-mime-encrypted", {**expected, "form": "multipart-encrypted"})


ONE_PASS = packet(4, bytes([3, 0, 8, 22]) + bytes(9))


@pytest.mark.parametrize("raw, expected", [
    (ONE_PASS + packet(11, b"b\0hello"), {"signed": True, "digests": ("SHA-256",), "signatures": ("EdDSA",)}),
    (packet(2, bytes([4, 0, 1, 2]) + bytes(30)) + packet(11, b"b\0hello"), {"signed": True, "digests": ("SHA-1",), "signatures": ("RSA",)}),
    (packet(11, b"b\0hello"), {}),
    (packet(8, b"\2" + zlib.compress(ONE_PASS + packet(11, b"b\0hello"))), {"signed": True, "digests": ("SHA-256",), "signatures": ("EdDSA",)}),
    (packet(8, b"\2" + zlib.compress(packet(11, b"b\0hello"))), {}),
    (packet(8, b"\3BZh9"), {}), (packet(8, b"\1\xff\xff\xff"), {}), (packet(8, b""), {}),
])
def test_pgp_readable_in_the_same_armor(raw, expected):
    assert sealed(b"Subject: x\r\n\r\n" + armor(raw)) == ("none", {"system": "pgp", "form": "inline", **expected})


def test_armor_that_holds_no_message():
    assert sealed(b"Subject: x\r\n\r\n" + armor(bytes(100))) == ("none", {})
    assert sealed(b"Subject: x\r\n\r\n-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n\r\nabcd\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n" + armor(pkesk() + SEIPD1)) == ("pgp-inline", PGP)
    assert sealed(b"Subject: x\r\n\r\n" + armor(pkesk() + SEIPD1).replace(b"\r\n", b"\r\n> ")) == ("none", {})
    assert sealed(pgp_mime(bytes(100))) == ("none", {"system": "pgp", "form": "multipart-encrypted", "malformed": True})


def test_armor_elsewhere():
    """Inside base64 text, in quoted-printable, and in what Exchange makes of PGP/MIME."""
    assert sealed(b"Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines(armor(pkesk() + SEIPD1))) == ("pgp-inline", PGP)
    assert sealed(b"Subject: x\r\n\r\n" + armor(pkesk() + SEIPD1).replace(b"=", b"=3D")) == ("pgp-inline", PGP)
    mangled = pgp_mime(pkesk() + SEIPD1).replace(b'multipart/encrypted; protocol="application/pgp-encrypted"', b"multipart/mixed")
    assert sealed(mangled) == ("pgp-mime-encrypted", {**PGP, "form": "multipart-encrypted"})
    inside = b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\r\n\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    assert sealed(inside + lines(armor(pkesk() + SEIPD1)) + b"--x--\r\n") == ("pgp-mime-encrypted", {**PGP, "form": "multipart-encrypted"})


def test_pgp_cut():
    text = b"Subject: x\r\n\r\n" + armor(pkesk() + SEIPD1)
    at = text.find(b"-----BEGIN")
    assert sealed(text[:at + 30], complete=False) == ("pgp-inline", {"system": "pgp", "form": "inline", "encrypted": None, "cut": True})
    assert sealed(text[:at + 80], complete=False)[1] == {"system": "pgp", "form": "inline", "encrypted": True, "key_transports": ("RSA",), "key_ids": ("c62442eb814ea031",), "cut": True}
    assert sealed(pgp_mime(pkesk())[:150], complete=False) == ("pgp-mime-encrypted", {"system": "pgp", "form": "multipart-encrypted", "encrypted": True, "cut": True})


def test_pgp_signed():
    block = b"-----BEGIN PGP SIGNATURE-----\r\n\r\n" + lines(packet(2, bytes([4, 0, 27, 10]) + bytes(80), old=True)) + b"-----END PGP SIGNATURE-----\r\n"
    content = multipart(block, parameters='; protocol="application/pgp-signature"; micalg=pgp-sha512', part=b"application/pgp-signature; name=signature.asc")
    assert sealed(content) == ("pgp-mime-signed", {"system": "pgp", "form": "multipart-signed", "signed": True, "micalg": "pgp-sha512", "digests": ("SHA-512",), "signatures": ("Ed25519",)})
    long = multipart(block, b"\r\n" + b"word\r\n" * 9000, '; protocol="application/pgp-signature"', b"application/pgp-signature")
    assert sealed(long)[1]["digests"] == ("SHA-512",)
    clear = b"Subject: x\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256, SHA1\r\n\r\nhello\r\n" + block
    assert sealed(clear) == ("none", {"system": "pgp", "form": "inline", "signed": True, "digests": ("SHA-256", "SHA-1")})


# --- headers

@pytest.mark.parametrize("subject, hidden", [(b"...", True), (b"[...]", True), (b"", True), (b"Encrypted Message", True), ("…".encode(), True), (b"merger", False), (b". . .", False)])
def test_placeholders_of_the_subject(subject, hidden):
    assert read(pgp_mime(pkesk() + SEIPD1).replace(b"...", subject)).subject_hidden is hidden
    assert read(b"Subject: " + subject + b"\r\n\r\nhello\r\n").subject_hidden is False


@pytest.mark.parametrize("field, labels", [
    ("Sensitivity: Company-Confidential", ("sensitivity: company-confidential",)), ("Sensitivity: Normal", ()), ("Subject: classified", ()),
    ("msip_labels: MSIP_Label_0a1b2c3d-1111-2222-3333-444455556666_Enabled=True;\r\n MSIP_Label_0a1b2c3d-1111-2222-3333-444455556666_Name=Secret Plans;", ("Secret Plans",)),
    ("X-Microsoft-Classification: Company Internal", ("Company Internal",)), ("X-MS-Exchange-Organization-Classification: a1", ("a1",)),
])
def test_labels(field, labels):
    assert read(f"{field}\r\n\r\nhello\r\n".encode()).labels == labels


@pytest.mark.parametrize("field, bulk", [("List-Id: <x.example>", True), ("Precedence: bulk", True), ("Precedence: list", True), ("Precedence: first-class", False), ("X-List-Id: x", False)])
def test_bulk(field, bulk):
    assert read(f"{field}\r\n\r\nhello\r\n".encode()).bulk is bulk


# --- hostile

NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(200))


@pytest.mark.parametrize("content", [
    smime(b"\x30\x80" * 20000), smime(b"\x30\x80\x06\x09" + b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03" + b"\xa0\x80\x30\x80" + b"\x31\x80" * 15000), smime(tlv(0x30, oid(ENVELOPED)) + b"\x31\0" * 15000),
    smime(b"\x30\x84\xff\xff\xff\xff" * 6000), smime(enveloped(AES_CBC, *[tlv(0x30)] * 9000)), NESTED, b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 20000,
    b"Content-Type: multipart/signed; boundary=x; protocol=pkcs7-signature\r\n\r\n" + b"\r\nContent-Type: application/pkcs7-signature" * 20000,
    b"\r\n" + b"\r\n-----BEGIN PGP MESSAGE-----" * 3000, b"\r\n" + b"-----BEGIN PGP SIGNED MESSAGE-----\r\n" * 3000, b"Subject: x\r\n\r\n" + armor(b"\xc1\x01\x00" * 12000), b"\r\n" + armor(bytes(0), "a: b\r\n" * 5000),
])
def test_hostile_content_takes_linear_time(content):
    started = time.process_time()
    read(content)
    read(content, pieces=lambda: 997, complete=False)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("seed", range(60))
def test_nothing_raises(seed):
    """Bytes changed, cut out and doubled in good messages."""
    chance = random.Random(seed)
    for good in (smime(enveloped(AES_CBC, ktri(), ktri(OAEP))), smime(signed(content=b"x")), multipart(lines(signed())), pgp_mime(pkesk() + SEIPD1)):
        made = bytearray(good)
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(made))
            kind = chance.randrange(3)
            if kind == 0:
                made[at] = chance.randrange(256)
            elif kind == 1:
                del made[at:at + chance.randint(1, 60)]
            else:
                made[at:at] = made[at:at + chance.randint(1, 60)]
        read(bytes(made), pieces=lambda: chance.randint(1, 500), complete=chance.random() < 0.5)
        raw = bytearray(enveloped(AES_CBC, ktri(), indefinite=chance.random() < 0.5))
        for _ in range(5):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        fill_cms(bytes(raw), True, Sealing(system="smime", form=""))
