"""A certificate chain as web servers send it: a leaf of about 1.5 KB with the usual extensions, and its issuer.

Written byte by byte, so that the same bytes come out each time; key and signature are random numbers, which nobody here verifies.
"""
from __future__ import annotations

from functools import lru_cache

import numpy as np

NAMES = (b"www.example.net", b"example.net", b"static.example.net")
SERIAL = b"A12345678901"  # of the leaf, where it occurs once; the caller may write twelve other bytes there
_RSA, _SHA256_WITH_RSA = "2a864886f70d010101", "2a864886f70d01010b"


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else b"\x81" + bytes([n]) if n < 256 else b"\x82" + n.to_bytes(2, "big")) + body


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, *parts)


def _oid(text: str) -> bytes:
    return _der(6, bytes.fromhex(text))


def _name(**parts: bytes) -> bytes:
    kinds = {"country": (6, 0x13), "organization": (10, 0x0C), "common": (3, 0x0C)}
    return _sequence(*[_der(0x31, _sequence(_oid(f"5504{kinds[kind][0]:02x}"), _der(kinds[kind][1], text))) for kind, text in parts.items()])


def _extension(oid: str, value: bytes, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), b"\x01\x01\xff" if critical else b"", _der(4, value))


def _key(rng: np.random.Generator) -> bytes:
    """SubjectPublicKeyInfo of RSA with 2048 bits."""
    numbers = _sequence(_der(2, b"\0\xc5", rng.bytes(254), b"\x01"), _der(2, b"\1\0\1"))
    return _sequence(_sequence(_oid(_RSA), b"\5\0"), _der(3, b"\0", numbers))


def _certificate(rng: np.random.Generator, serial: bytes, issuer: bytes, subject: bytes, times: tuple[bytes, bytes], extensions: tuple[bytes, ...]) -> bytes:
    algorithm = _sequence(_oid(_SHA256_WITH_RSA), b"\5\0")
    to_sign = _sequence(_der(0xA0, b"\2\1\2"), _der(2, serial), algorithm, issuer, _sequence(*[_der(0x17, time) for time in times]), subject, _key(rng),
                        _der(0xA3, _sequence(*extensions)))
    return _sequence(to_sign, algorithm, _der(3, b"\0", rng.bytes(256)))


@lru_cache(maxsize=None)
def usual_chain() -> tuple[bytes, bytes]:
    """Leaf and issuer (RFC 5280 §4)."""
    rng = np.random.default_rng(5280)
    root = _name(country=b"US", organization=b"Example Trust Services", common=b"Example Root CA G2")
    issuer = _name(country=b"US", organization=b"Example Trust Services", common=b"Example TLS RSA SHA256 Issuing CA 3")
    leaf_id, issuer_id, root_id = rng.bytes(20), rng.bytes(20), rng.bytes(20)
    crl, ocsp, parent = b"http://crl3.example.net/ExampleTLSRSASHA256IssuingCA3.crl", b"http://ocsp.example.net", b"http://certs.example.net/ExampleTLSRSASHA256IssuingCA3.crt"
    stamps = b"".join(b"\0\x76\0" + rng.bytes(32) + bytes.fromhex("0000018f00000000") + b"\0\0\4\3\0\x47" + rng.bytes(71) for _ in range(2))
    leaf = _certificate(rng, SERIAL, issuer, _name(common=NAMES[0]), (b"240301000000Z", b"250301235959Z"), (
        _extension("551d23", _sequence(_der(0x80, issuer_id))), _extension("551d0e", _der(4, leaf_id)),
        _extension("551d11", _sequence(*[_der(0x82, name) for name in NAMES])),
        _extension("551d20", _sequence(_sequence(_oid("67810c0102"), _sequence(_sequence(_oid("2b06010505070201"), _der(0x16, b"http://cps.example.net/CPS")))))),
        _extension("551d0f", b"\3\2\5\xa0", True), _extension("551d25", _sequence(_oid("2b06010505070301"), _oid("2b06010505070302"))),
        _extension("551d1f", _sequence(_sequence(_der(0xA0, _der(0xA0, _der(0x86, crl)))))),
        _extension("2b06010505070101", _sequence(_sequence(_oid("2b06010505073001"), _der(0x86, ocsp)), _sequence(_oid("2b06010505073002"), _der(0x86, parent)))),
        _extension("551d13", _sequence(), True), _extension("2b06010401d679020402", _der(4, len(stamps).to_bytes(2, "big") + stamps)),
    ))
    above = _certificate(rng, b"\x0b" + rng.bytes(15), root, issuer, (b"210414000000Z", b"310413235959Z"), (
        _extension("551d13", _sequence(b"\1\1\xff", b"\2\1\0"), True), _extension("551d0e", _der(4, issuer_id)),
        _extension("551d23", _sequence(_der(0x80, root_id))), _extension("551d0f", b"\3\2\1\x86", True),
        _extension("551d25", _sequence(_oid("2b06010505070301"), _oid("2b06010505070302"))),
        _extension("551d1f", _sequence(_sequence(_der(0xA0, _der(0xA0, _der(0x86, b"http://crl3.example.net/ExampleRootCAG2.crl")))))),
        _extension("551d20", _sequence(_sequence(_oid("67810c0102")))),
    ))
    return leaf, above
