"""X.509 certificates as TLS servers and clients send them: the fields that rules and tables need, read from DER in one pass (RFC 5280 §4.1).

A reader of our own and not `cryptography`, because its names and extensions cost 60 µs a certificate and it refuses what a broken server sends altogether;
it serves as second opinion in tests and verifies signatures (x509_trust.py). Nothing recurses, every length is checked against its parent, and every list has a limit.
What cannot be read ends the reading of that part; `malformed` names it and the rest stays empty.
"""
from __future__ import annotations

import hashlib
import ipaddress
from datetime import date

from ..records import Certificate
from .x509_names import CURVES, KEYS, PURPOSES, SIGNATURES, by_bytes, name_text, oid_text

MAX_NAMES = 1000  # subject alternative names kept; certificates of content networks have up to a few hundred
MAX_EXTENSIONS = 100
MAX_KNOWN = 8192  # certificates remembered, about 2 KB each
MAX_PURPOSES = 32

_SIGNATURE, _KEY, _CURVE, _PURPOSE = by_bytes(SIGNATURES), by_bytes(KEYS), by_bytes(CURVES), by_bytes(PURPOSES)
_sha256 = hashlib.sha256

_known: dict[bytes, Certificate] = {}


def certificate(der: bytes) -> Certificate:
    """The certificate that DER bytes are; read once, however often it is sent."""
    digest = _sha256(der).digest()
    found = _known.get(digest)
    if found is None:
        found = Certificate(sha256=digest.hex(), der=der)
        read(found)
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[digest] = found
    return found


def _open(der: bytes, pos: int, end: int, tag: int) -> tuple[int, int]:
    """Start and end of the value of one element (X.690 §8.1).

    Raises:
        ValueError, IndexError: it has another tag or does not fit; both are caught where a part is read.
    """
    if der[pos] != tag:
        raise ValueError
    length = der[pos + 1]
    pos += 2
    if length > 127:
        if length == 0x82:
            length = der[pos] << 8 | der[pos + 1]
            pos += 2
        elif length == 0x81:
            length = der[pos]
            pos += 1
        elif length == 0x83:
            length = der[pos] << 16 | der[pos + 1] << 8 | der[pos + 2]
            pos += 3
        else:
            raise ValueError
    stop = pos + length
    if stop > end:
        raise ValueError
    return pos, stop


def _skip(der: bytes, pos: int, end: int) -> int:
    return _open(der, pos, end, der[pos])[1]


def read(found: Certificate) -> None:
    """`SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }` (RFC 5280 §4.1) into a record; never raises."""
    der, part = found.der, "certificate"
    try:
        pos, end = _open(der, 0, len(der), 0x30)
        part = "tbsCertificate"
        pos, end = _open(der, pos, end, 0x30)
        part = "version"
        found.version = 1
        if der[pos] == 0xA0:
            start, pos = _open(der, pos, end, 0xA0)
            start, stop = _open(der, start, pos, 2)
            found.version = der[start] + 1 if stop - start == 1 else None
        part = "serialNumber"
        start, pos = _open(der, pos, end, 2)
        found.serial = der[start:pos][:64].hex().lstrip("0") or "0"
        part = "signature"
        start, pos = _open(der, pos, end, 0x30)
        start, stop = _open(der, start, pos, 6)
        oid = der[start:stop]
        found.signature_algorithm = _SIGNATURE.get(oid) or oid_text(oid)
        part = "issuer"
        start, pos = _open(der, pos, end, 0x30)
        issuer = der[start:pos]
        name = name_text(issuer)
        if name is None:
            found.malformed = part
        else:
            found.issuer = name[0]
        part = "validity"
        start, pos = _open(der, pos, end, 0x30)
        stop = _skip(der, start, pos)
        found.not_before_ns = _time(der, start, stop)
        found.not_after_ns = _time(der, stop, _skip(der, stop, pos))
        if (found.not_before_ns is None or found.not_after_ns is None) and found.malformed is None:
            found.malformed = part
        part = "subject"
        start, pos = _open(der, pos, end, 0x30)
        subject = der[start:pos]
        name = name_text(subject)
        if name is not None:
            found.subject, found.common_name = name
        elif found.malformed is None:
            found.malformed = part
        found.self_issued = subject == issuer
        part = "subjectPublicKeyInfo"
        start, stop = _open(der, pos, end, 0x30)
        found.spki_sha256 = _sha256(der[pos:stop]).hexdigest()
        _public_key(found, der, start, stop)
        pos = stop
        part = "extensions"
        if pos < end and der[pos] == 0x81:  # issuerUniqueID, subjectUniqueID
            pos = _skip(der, pos, end)
        if pos < end and der[pos] == 0x82:
            pos = _skip(der, pos, end)
        if pos < end:
            pos, end = _open(der, pos, end, 0xA3)
            pos, end = _open(der, pos, end, 0x30)
            _extensions(found, der, pos, end)
    except (IndexError, ValueError):
        if found.malformed is None:
            found.malformed = part
    found.self_signed = found.self_issued and (found.authority_key_id is None or found.subject_key_id is None or found.authority_key_id == found.subject_key_id)


_times: dict[bytes, int | None] = {}


def _time(der: bytes, pos: int, stop: int) -> int | None:
    """`UTCTime YYMMDDHHMMSSZ` or `GeneralizedTime YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5) as ns since 1970; None: neither. Offsets and missing seconds, of BER, are read too."""
    raw = der[pos:stop]
    if raw in _times:
        return _times[raw]
    ns = None
    if len(raw) >= 13 and raw[0] in (0x17, 0x18):
        text = raw[2:40].decode("latin-1")
        ns = _moment(text if raw[0] == 0x18 else ("19" if text[:2] >= "50" else "20") + text)
    if len(_times) >= MAX_KNOWN:
        _times.clear()
    if len(raw) < 40:
        _times[raw] = ns
    return ns


def _moment(text: str) -> int | None:
    digits, rest = text[:12], text[12:]
    if rest[:2].isdigit():
        second, rest = rest[:2], rest[2:]
    else:
        second = "0"
    if not (digits.isascii() and digits.isdigit() and second.isascii()) or len(digits) < 12:
        return None
    shift = 0
    if rest != "Z":
        if len(rest) != 5 or rest[0] not in "+-" or not (rest.isascii() and rest[1:].isdigit()):
            return None
        shift = (int(rest[1:3]) * 60 + int(rest[3:])) * (60 if rest[0] == "+" else -60)
    hour, minute = int(digits[8:10]), int(digits[10:])
    if hour > 23 or minute > 59 or int(second) > 59:
        return None
    try:
        days = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal() - 719163
    except ValueError:
        return None
    return (days * 86400 + hour * 3600 + minute * 60 + int(second) - shift) * 1_000_000_000


def _public_key(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE { AlgorithmIdentifier, subjectPublicKey BIT STRING }` (RFC 5280 §4.1.2.7)."""
    start, pos = _open(der, pos, end, 0x30)
    after = _skip(der, start, pos)
    oid = der[start + 2:after]
    known = _KEY.get(oid)
    if der[start] != 6 or known is None:
        found.key_type = oid_text(oid)
        return
    found.key_type, found.key_bits = known
    at, stop = _open(der, pos, end, 3)
    if known[0] == "RSA":  # RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 §A.1.1)
        at, stop = _open(der, at + 1, stop, 0x30)
        first, at = _open(der, at, stop, 2)
        found.key_bits = _bit_length(der, first, at)
        first, at = _open(der, at, stop, 2)
        if at - first <= 16:
            found.exponent = int.from_bytes(der[first:at], "big")
    elif known[0] == "EC":
        if after < pos and der[after] == 6:
            curve = der[after + 2:_skip(der, after, pos)]
            found.curve, found.key_bits = _CURVE.get(curve) or (oid_text(curve), None)
        else:
            found.curve = "explicit"
        if found.key_bits is None and der[at + 1] == 4:  # uncompressed point: both coordinates
            found.key_bits = (stop - at - 2) // 2 * 8
    elif known[0] in ("DSA", "DH") and after < pos and der[after] == 0x30:  # parameters begin with the prime (RFC 3279 §2.3.2, §2.3.3)
        first, stop = _open(der, after, pos, 0x30)
        first, stop = _open(der, first, stop, 2)
        found.key_bits = _bit_length(der, first, stop)


def _bit_length(der: bytes, pos: int, stop: int) -> int:
    """Of a positive INTEGER."""
    while pos < stop and not der[pos]:
        pos += 1
    return (stop - pos - 1) * 8 + der[pos].bit_length() if pos < stop else 0


# --- extensions

def _extensions(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE OF SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }` (RFC 5280 §4.1.2.9)."""
    seen = set()
    for _ in range(MAX_EXTENSIONS):
        if pos >= end:
            return
        start, pos = _open(der, pos, end, 0x30)
        at = start + 2 + der[start + 1]
        kind = der[start + 2:at]
        one = _EXTENSIONS.get(kind)
        if one is None:
            continue
        try:
            if der[start] != 6 or kind in seen:
                raise ValueError
            seen.add(kind)
            if der[at] == 1:
                at += 3
            start, stop = _open(der, at, pos, 4)
            one(found, der, start, stop)
        except (IndexError, ValueError):
            if found.malformed is None:
                found.malformed = one.__name__.strip("_")
    if pos < end and found.malformed is None:
        found.malformed = "extensions"


def _subject_alternative_name(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE OF GeneralName` (RFC 5280 §4.2.1.6): rfc822Name [1], dNSName [2], uniformResourceIdentifier [6], iPAddress [7]."""
    pos, end = _open(der, pos, end, 0x30)
    every, hosts, addresses = [], [], []
    for _ in range(MAX_NAMES):
        if pos >= end:
            break
        tag = der[pos]
        start, pos = _open(der, pos, end, tag)
        if tag == 0x82:
            name = der[start:pos][:255].decode("latin-1")
            every.append(name)
            hosts.append(name.lower())
        elif tag == 0x87:
            if pos - start in (4, 16):
                name = str(ipaddress.ip_address(der[start:pos]))
                every.append(name)
                addresses.append(name)
        elif tag in (0x81, 0x86):
            every.append(der[start:pos][:255].decode("latin-1"))
    found.sans, found.dns_names, found.ip_addresses = tuple(every), tuple(hosts), tuple(addresses)
    if pos < end:
        raise ValueError


def _subject_key_identifier(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`OCTET STRING` (RFC 5280 §4.2.1.2)."""
    pos, end = _open(der, pos, end, 4)
    found.subject_key_id = der[pos:end][:64].hex()


def _authority_key_identifier(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE { keyIdentifier [0], … }`, all of it optional (RFC 5280 §4.2.1.1)."""
    pos, end = _open(der, pos, end, 0x30)
    if pos < end and der[pos] == 0x80:
        pos, end = _open(der, pos, end, 0x80)
        found.authority_key_id = der[pos:end][:64].hex()


def _basic_constraints(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE { cA BOOLEAN DEFAULT FALSE, … }` (RFC 5280 §4.2.1.9)."""
    pos, end = _open(der, pos, end, 0x30)
    found.is_ca = end - pos >= 3 and der[pos] == 1 and der[pos + 2] != 0


def _extended_key_usage(found: Certificate, der: bytes, pos: int, end: int) -> None:
    """`SEQUENCE OF KeyPurposeId` (RFC 5280 §4.2.1.12)."""
    pos, end = _open(der, pos, end, 0x30)
    purposes = []
    while pos < end and len(purposes) < MAX_PURPOSES:
        start, pos = _open(der, pos, end, 6)
        oid = der[start:pos]
        purposes.append(_PURPOSE.get(oid) or oid_text(oid))
    found.extended_key_usage = tuple(purposes)


_EXTENSIONS = by_bytes({
    "2.5.29.17": _subject_alternative_name, "2.5.29.14": _subject_key_identifier, "2.5.29.35": _authority_key_identifier, "2.5.29.19": _basic_constraints,
    "2.5.29.37": _extended_key_usage})
