"""Names of what X.509 certificates identify by number, and distinguished names as text.

Sources: RFC 5280 §4 and Appendix A, RFC 4514 §3 (short names of attributes), RFC 4519; RFC 3279, 4055, 5758, 8410 (keys and signatures), RFC 5480 (curves),
RFC 5639 (brainpool), RFC 9881 (ML-DSA). Spellings of signature algorithms are those of the RFCs, which OpenSSL prints too.
"""
from __future__ import annotations

import re

MAX_NAME_BYTES = 8192  # of one distinguished name; larger ones have no honest use
MAX_TEXT = 1024  # characters of one value that are kept
_MAX_KNOWN = 4096  # names, and parts of names, that are remembered
_MAX_KNOWN_BYTES = 512  # of each; usual ones are below 300

ATTRIBUTES = {  # OID -> short name of RFC 4514 §3, else the name of the attribute's RFC
    "2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "emailAddress", "2.5.4.5": "serialNumber", "2.5.4.4": "SN", "2.5.4.42": "GN", "2.5.4.12": "title", "2.5.4.13": "description",
    "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode", "2.5.4.97": "organizationIdentifier",
}
SIGNATURES = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption", "1.2.840.113549.1.1.4": "md5WithRSAEncryption", "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.3.14.3.2.29": "sha1WithRSAEncryption", "1.2.840.113549.1.1.14": "sha224WithRSAEncryption", "1.2.840.113549.1.1.11": "sha256WithRSAEncryption",
    "1.2.840.113549.1.1.12": "sha384WithRSAEncryption", "1.2.840.113549.1.1.13": "sha512WithRSAEncryption", "1.2.840.113549.1.1.10": "RSASSA-PSS",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1", "1.2.840.10045.4.3.1": "ecdsa-with-SHA224", "1.2.840.10045.4.3.2": "ecdsa-with-SHA256",
    "1.2.840.10045.4.3.3": "ecdsa-with-SHA384", "1.2.840.10045.4.3.4": "ecdsa-with-SHA512", "1.2.840.10040.4.3": "dsa-with-sha1",
    "2.16.840.1.101.3.4.3.1": "dsa-with-sha224", "2.16.840.1.101.3.4.3.2": "dsa-with-sha256", "1.3.101.112": "ed25519", "1.3.101.113": "ed448",
    "1.2.156.10197.1.501": "sm2-with-SM3", "1.2.643.7.1.1.3.2": "gost2012-256", "1.2.643.7.1.1.3.3": "gost2012-512", "1.2.643.2.2.3": "gost94-with-gost2001",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}
KEYS = {  # OID of a public key's algorithm -> type, bits where the algorithm alone says it
    "1.2.840.113549.1.1.1": ("RSA", None), "1.2.840.113549.1.1.10": ("RSA", None), "2.5.8.1.1": ("RSA", None), "1.2.840.10045.2.1": ("EC", None),
    "1.2.840.10040.4.1": ("DSA", None), "1.2.840.10046.2.1": ("DH", None), "1.2.840.113549.1.3.1": ("DH", None),
    "1.3.101.110": ("X25519", 253), "1.3.101.111": ("X448", 448), "1.3.101.112": ("Ed25519", 253), "1.3.101.113": ("Ed448", 448),
    "1.2.643.2.2.19": ("GOST2001", 256), "1.2.643.7.1.1.1.1": ("GOST2012-256", 256), "1.2.643.7.1.1.1.2": ("GOST2012-512", 512),
    "2.16.840.1.101.3.4.3.17": ("ML-DSA-44", None), "2.16.840.1.101.3.4.3.18": ("ML-DSA-65", None), "2.16.840.1.101.3.4.3.19": ("ML-DSA-87", None),
}
CURVES = {
    "1.2.840.10045.3.1.1": ("secp192r1", 192), "1.3.132.0.33": ("secp224r1", 224), "1.2.840.10045.3.1.7": ("secp256r1", 256), "1.3.132.0.34": ("secp384r1", 384),
    "1.3.132.0.35": ("secp521r1", 521), "1.3.132.0.8": ("secp160r1", 160), "1.3.132.0.9": ("secp160k1", 160), "1.3.132.0.30": ("secp160r2", 160),
    "1.3.132.0.31": ("secp192k1", 192), "1.3.132.0.32": ("secp224k1", 224), "1.3.132.0.10": ("secp256k1", 256),
    "1.3.132.0.6": ("secp112r1", 112), "1.3.132.0.7": ("secp112r2", 112), "1.3.132.0.28": ("secp128r1", 128), "1.3.132.0.29": ("secp128r2", 128),
    "1.3.132.0.1": ("sect163k1", 163), "1.3.132.0.2": ("sect163r1", 163), "1.3.132.0.15": ("sect163r2", 163), "1.3.132.0.24": ("sect193r1", 193),
    "1.3.132.0.25": ("sect193r2", 193), "1.3.132.0.26": ("sect233k1", 233), "1.3.132.0.27": ("sect233r1", 233), "1.3.132.0.3": ("sect239k1", 239),
    "1.3.132.0.16": ("sect283k1", 283), "1.3.132.0.17": ("sect283r1", 283), "1.3.132.0.36": ("sect409k1", 409), "1.3.132.0.37": ("sect409r1", 409),
    "1.3.132.0.38": ("sect571k1", 571), "1.3.132.0.39": ("sect571r1", 571),
    "1.3.36.3.3.2.8.1.1.7": ("brainpoolP256r1", 256), "1.3.36.3.3.2.8.1.1.11": ("brainpoolP384r1", 384), "1.3.36.3.3.2.8.1.1.13": ("brainpoolP512r1", 512),
    "1.2.156.10197.1.301": ("curveSM2", 256),
}
PURPOSES = {  # of an extended key usage
    "1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth", "1.3.6.1.5.5.7.3.3": "codeSigning", "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping", "1.3.6.1.5.5.7.3.9": "OCSPSigning", "2.5.29.37.0": "any", "1.3.6.1.4.1.311.10.3.3": "msSGC",
    "2.16.840.1.113730.4.1": "nsSGC", "1.3.6.1.4.1.311.20.2.2": "smartcardLogon", "1.3.6.1.5.2.3.5": "kerberosKDC",
}


def encode_oid(text: str) -> bytes:
    """An OID's content bytes (X.690 §8.19)."""
    first, second, *rest = map(int, text.split("."))
    out = bytearray()
    for number in (first * 40 + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return bytes(out)


def oid_text(content: bytes) -> str:
    """An OID's content bytes as dotted numbers; an empty or cut one as hex with a question mark."""
    if not content or content[-1] & 0x80 or len(content) > 64:
        return "?" + content[:64].hex()
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def by_bytes(names: dict) -> dict:
    """A table keyed by the OIDs' content bytes."""
    return {encode_oid(text): value for text, value in names.items()}


_ATTRIBUTE = by_bytes(ATTRIBUTES)
_special = re.compile('[\\\\"+,;<>\0]|^[ #]|^ | $').search
_TO_ESCAPE = re.compile('[\\\\"+,;<>]')
_ENCODINGS = {0x0C: "utf-8", 0x13: "latin-1", 0x16: "latin-1", 0x14: "latin-1", 0x12: "latin-1", 0x1A: "latin-1", 0x1B: "latin-1", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}


def escape(value: str) -> str:
    """A value as RFC 4514 §2.4 writes it."""
    if not _special(value):
        return value
    value = _TO_ESCAPE.sub(r"\\\g<0>", value).replace("\0", "\\00")
    if value[0] in "# ":
        value = "\\" + value
    if value[-1] == " " and len(value) > 1 and value != "\\ ":
        value = value[:-1] + "\\ "
    return value


def _value(tag: int, content: bytes) -> tuple[str, str]:
    """A value's text, plain and as it stands in a name; a kind of value that is no text is `#` and hex of the whole (RFC 4514 §2.4)."""
    encoding = _ENCODINGS.get(tag)
    if encoding is None:
        return "", f"#{content[:MAX_TEXT].hex()}"
    text = content.decode(encoding, "replace")[:MAX_TEXT]
    return text, escape(text)


_relative_names: dict[bytes, tuple[str, str | None] | None] = {}  # one RelativeDistinguishedName -> its text, its common name; None: malformed


def _relative_name(raw: bytes) -> tuple[str, str | None] | None:
    """`SET OF SEQUENCE { type OBJECT IDENTIFIER, value ANY }` (RFC 5280 §4.1.2.4), without the set's own header."""
    parts, common_name, pos, end = [], None, 0, len(raw)
    while pos < end:
        if end - pos < 6 or raw[pos] != 0x30:
            return None
        length, pos = read_length(raw, pos + 1, end)
        stop = pos + length
        if length < 5 or raw[pos] != 0x06:
            return None
        length, pos = read_length(raw, pos + 1, stop)
        if length < 0 or pos + length + 2 > stop:
            return None
        kind = raw[pos:pos + length]
        pos += length
        tag = raw[pos]
        length, pos = read_length(raw, pos + 1, stop)
        if length < 0 or pos + length != stop:
            return None
        plain, shown = _value(tag, raw[pos:stop])
        name = _ATTRIBUTE.get(kind) or oid_text(kind)
        if name == "CN" and plain:
            common_name = plain
        parts.append(f"{name}={shown}")
        pos = stop
    return "+".join(parts), common_name


def read_length(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """A DER length of at most three bytes and where its value begins; length -1 when it does not fit before `end` (X.690 §8.1.3)."""
    if pos >= end:
        return -1, pos
    length = data[pos]
    pos += 1
    if length & 0x80:
        n = length & 0x7F
        if not 0 < n < 4 or pos + n > end:
            return -1, pos
        length = int.from_bytes(data[pos:pos + n], "big")
        pos += n
    return (length, pos) if pos + length <= end else (-1, pos)


_names: dict[bytes, tuple[str, str | None]] = {}


def name_text(raw: bytes) -> tuple[str, str | None] | None:
    """A distinguished name without its outer header, as text, the last part first (RFC 4514 §2.1), and its most specific common name; None: malformed or too long."""
    found = _names.get(raw)
    if found is not None:
        return found
    pos, end = 0, len(raw)
    if end > MAX_NAME_BYTES:
        return None
    parts, common_name = [], None
    while pos < end:
        length = raw[pos + 1] if pos + 1 < end else 255
        start = pos + 2
        if raw[pos] != 0x31:
            return None
        if length & 0x80:
            length, start = read_length(raw, pos + 1, end)
            if length < 0:
                return None
        pos = start + length
        if pos > end:
            return None
        one = raw[start:pos]
        if one in _relative_names:
            part = _relative_names[one]
        else:
            part = _relative_name(one)
            if length <= _MAX_KNOWN_BYTES:
                if len(_relative_names) >= _MAX_KNOWN:
                    _relative_names.clear()
                _relative_names[one] = part
        if part is None:
            return None
        parts.append(part[0])
        if part[1] is not None:
            common_name = part[1]
    parts.reverse()
    found = ",".join(parts), common_name
    if end <= _MAX_KNOWN_BYTES:
        if len(_names) >= _MAX_KNOWN:
            _names.clear()
        _names[raw] = found
    return found
