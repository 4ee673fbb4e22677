"""CMS (RFC 5652, PKCS #7) as far as it shows without a key: what kind it is, and the algorithms that it names.

    fill_cms(raw, whole, sealing)      # raw: the bytes of the structure, as many as were kept

BER with definite or indefinite lengths, as mailers write it while they stream. What is cut is read as far as it goes. Nothing raises, and the work is bounded by
`MAX_ELEMENTS`.
"""
from __future__ import annotations

from ..records import Sealing
from .der import dotted_oid
from .x509_names import SIGNATURES

MAX_ELEMENTS = 4000  # looked at in one structure; one of a hundred recipients and ten certificates has some 1,500
_MAX_DEPTH = 12
_MAX_NAMES = 16  # different algorithms of one kind

ENVELOPED, SIGNED, ENCRYPTED = "1.2.840.113549.1.7.3", "1.2.840.113549.1.7.2", "1.2.840.113549.1.7.6"
AUTH_ENVELOPED, COMPRESSED = "1.2.840.113549.1.9.16.1.23", "1.2.840.113549.1.9.16.1.9"
FORMS = {
    ENVELOPED: "enveloped-data", AUTH_ENVELOPED: "authEnveloped-data", SIGNED: "signed-data", COMPRESSED: "compressed-data", ENCRYPTED: "encrypted-data",
}
# OID -> name, key bits, authenticated; RFC 3370 §5, RFC 3565, RFC 5084, RFC 8103, RFC 3657, RFC 4010
CONTENT_CIPHERS: dict[str, tuple[str, int | None, bool]] = {
    "1.2.840.113549.3.7": ("3DES-CBC", 168, False), "1.2.840.113549.3.2": ("RC2-CBC", None, False), "1.3.14.3.2.7": ("DES-CBC", 56, False),
    "1.2.840.113549.3.4": ("RC4", None, False), "1.2.840.113533.7.66.10": ("CAST5-CBC", 128, False), "1.3.6.1.4.1.188.7.1.1.2": ("IDEA-CBC", 128, False),
    "2.16.840.1.101.3.4.1.2": ("AES-128-CBC", 128, False), "2.16.840.1.101.3.4.1.22": ("AES-192-CBC", 192, False),
    "2.16.840.1.101.3.4.1.42": ("AES-256-CBC", 256, False), "2.16.840.1.101.3.4.1.6": ("AES-128-GCM", 128, True),
    "2.16.840.1.101.3.4.1.26": ("AES-192-GCM", 192, True), "2.16.840.1.101.3.4.1.46": ("AES-256-GCM", 256, True),
    "2.16.840.1.101.3.4.1.7": ("AES-128-CCM", 128, True), "2.16.840.1.101.3.4.1.27": ("AES-192-CCM", 192, True),
    "2.16.840.1.101.3.4.1.47": ("AES-256-CCM", 256, True), "1.2.840.113549.1.9.16.3.18": ("ChaCha20-Poly1305", 256, True),
    "1.2.392.200011.61.1.1.1.2": ("Camellia-128-CBC", 128, False), "1.2.392.200011.61.1.1.1.3": ("Camellia-192-CBC", 192, False),
    "1.2.392.200011.61.1.1.1.4": ("Camellia-256-CBC", 256, False), "1.2.410.200004.1.4": ("SEED-CBC", 128, False),
    "1.2.643.2.2.21": ("GOST28147", 256, False), "1.2.643.7.1.1.5.1.1": ("Magma-CTR", 256, False), "1.2.643.7.1.1.5.2.1": ("Kuznyechik-CTR", 256, False),
}
KEY_TRANSPORTS = {"1.2.840.113549.1.1.1": "RSA", "1.2.840.113549.1.1.7": "RSA-OAEP", "1.2.840.113549.1.9.16.3.14": "RSA-KEM"}
DIGESTS = {
    "1.2.840.113549.2.2": "MD2", "1.2.840.113549.2.5": "MD5", "1.3.14.3.2.26": "SHA-1", "2.16.840.1.101.3.4.2.4": "SHA-224", "2.16.840.1.101.3.4.2.1": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384", "2.16.840.1.101.3.4.2.3": "SHA-512", "2.16.840.1.101.3.4.2.7": "SHA3-224", "2.16.840.1.101.3.4.2.8": "SHA3-256",
    "2.16.840.1.101.3.4.2.9": "SHA3-384", "2.16.840.1.101.3.4.2.10": "SHA3-512", "1.3.36.3.2.1": "RIPEMD-160", "1.2.643.7.1.1.2.2": "Streebog-256",
    "1.2.643.7.1.1.2.3": "Streebog-512", "2.16.840.1.101.3.4.2.12": "SHAKE256",
}
SIGNERS = {"1.2.840.113549.1.1.1": "rsaEncryption", "1.2.840.10045.2.1": "ecPublicKey", "1.2.840.10040.4.1": "dsa", **SIGNATURES}
_RC2_BITS = {160: 40, 120: 64, 58: 128}  # version numbers of RFC 2268 §6

Span = tuple[int, int]  # start and end of an element's content; an end beyond what is there is cut to it


class _Budget(Exception):
    """Inside this file only: there are more elements than an honest structure has."""


class _Reader:
    """Elements of BER (X.690 §8.1), counted."""

    def __init__(self, data: bytes):
        self.data = data
        self.left = MAX_ELEMENTS

    def head(self, pos: int, end: int) -> tuple[int, int, int | None] | None:
        """Tag, start of the content, and its end (None: indefinite). The end may lie beyond `end`: cut. None where no head fits."""
        self.left -= 1
        if self.left < 0:
            raise _Budget
        data = self.data
        if pos + 2 > end:
            return None
        tag, length = data[pos], data[pos + 1]
        pos += 2
        if tag & 0x1F == 0x1F:  # no structure here has tags above 30
            return None
        if length == 0x80:
            return (tag, pos, None) if tag & 0x20 else None
        if length & 0x80:
            n = length & 0x7F
            if n > 4 or pos + n > end:
                return None
            length = int.from_bytes(data[pos:pos + n], "big")
            pos += n
        return tag, pos, pos + length

    def behind(self, start: int, stop: int | None, end: int, depth: int = 0) -> int | None:
        """Where the element whose content begins at `start` is over; None when that was cut."""
        if stop is not None:
            return stop if stop <= end else None
        pos: int | None = start
        while pos is not None:
            if self.data[pos:pos + 2] == b"\0\0":
                return pos + 2
            head = self.head(pos, end)
            if head is None or depth >= _MAX_DEPTH:
                return None
            pos = self.behind(head[1], head[2], end, depth + 1)
        return None

    def elements(self, span: Span | None):
        """(tag, content, whole) of each element in a content, as far as it is there."""
        if span is None:
            return
        pos: int | None
        pos, end = span
        while pos is not None and self.data[pos:pos + 2] != b"\0\0":
            head = self.head(pos, end)
            if head is None:
                return
            tag, start, stop = head
            pos = self.behind(start, stop, end)
            yield tag, (start, min(stop, end) if stop is not None else pos - 2 if pos is not None else end), pos is not None

    def oid(self, span: Span) -> str | None:
        return dotted_oid(self.data[span[0]:span[1]])

    def algorithm(self, span: Span) -> tuple[str | None, Span | None]:
        """OID and parameters of an AlgorithmIdentifier (RFC 5280 §4.1.1.2)."""
        oid, parameters = None, None
        for n, (tag, content, whole) in enumerate(self.elements(span)):
            if n == 0:
                oid = self.oid(content) if tag == 0x06 and whole else None
            else:
                parameters = content if tag == 0x30 else None
                break
        return oid, parameters


def fill_cms(raw: bytes, whole: bool, sealing: Sealing) -> None:
    """Read a CMS structure into a sealing.

    Args:
        raw: from its first byte on.
        whole: nothing behind `raw` is missing.
        sealing: its form and `encrypted` are set by the content type; stays as it is where there is none.
    """
    reader = _Reader(raw)
    try:
        _content_info(reader, sealing)
    except _Budget:
        sealing.cut = True
    if not whole:
        sealing.cut = True
    if sealing.content_oid is None and (whole or len(raw) >= 64):
        sealing.malformed = bool(raw)


def _content_info(reader: _Reader, sealing: Sealing) -> None:
    """ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] } (RFC 5652 §3)."""
    outer = next(reader.elements((0, len(reader.data))), None)
    if outer is None or outer[0] != 0x30:
        return
    oid = None
    for tag, content, whole in reader.elements(outer[1]):
        if oid is None:
            oid = reader.oid(content) if tag == 0x06 and whole else None
            if oid is None:
                return
            sealing.content_oid = oid
            sealing.form = FORMS.get(oid, sealing.form)
            sealing.encrypted = oid in (ENVELOPED, AUTH_ENVELOPED, ENCRYPTED)
            sealing.signed = oid == SIGNED
        elif tag == 0xA0:
            inner = next(reader.elements(content), None)
            if inner is None or inner[0] != 0x30:
                return
            if oid in (ENVELOPED, AUTH_ENVELOPED, ENCRYPTED):
                _enveloped(reader, inner[1], sealing)
            elif oid == SIGNED:
                _signed(reader, inner[1], inner[2], sealing)
            return


def _enveloped(reader: _Reader, span: Span, sealing: Sealing) -> None:
    """EnvelopedData ::= SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos SET, encryptedContentInfo … } (RFC 5652 §6.1, RFC 5083 §2.1)."""
    for tag, content, whole in reader.elements(span):
        if tag == 0x31:
            _recipients(reader, content, whole, sealing)
        elif tag == 0x30:
            for number, (inner_tag, inner, inner_whole) in enumerate(reader.elements(content)):
                if number == 1 and inner_tag == 0x30 and inner_whole:
                    _content_cipher(reader, inner, sealing)
                    return
            return


def _content_cipher(reader: _Reader, span: Span, sealing: Sealing) -> None:
    oid, parameters = reader.algorithm(span)
    sealing.encryption_oid = oid
    name, bits, authenticated = CONTENT_CIPHERS.get(oid or "", (None, None, None))
    sealing.encryption, sealing.key_bits, sealing.authenticated = name, bits, authenticated
    if sealing.content_oid == AUTH_ENVELOPED:
        sealing.authenticated = True
    if name == "RC2-CBC":  # RC2CBCParameter ::= SEQUENCE { rc2ParameterVersion INTEGER, iv } (RFC 3370 §5.2)
        first = next(reader.elements(parameters), None)
        if first is not None and first[0] == 0x02 and 1 <= first[1][1] - first[1][0] <= 4:
            version = int.from_bytes(reader.data[first[1][0]:first[1][1]], "big")
            sealing.key_bits = _RC2_BITS.get(version, version if version >= 256 else None)
        elif parameters is None or first is not None:  # the IV alone means 32 bits (RFC 2268 §6)
            sealing.key_bits = 32


def _recipients(reader: _Reader, span: Span, whole: bool, sealing: Sealing) -> None:
    """RecipientInfo ::= CHOICE { ktri, kari [1], kekri [2], pwri [3], ori [4] } (RFC 5652 §6.2)."""
    transports: dict[str, None] = {}
    n, smallest = 0, None
    for tag, content, complete in reader.elements(span):
        name, bits, count = _recipient(reader, tag, content)
        n += count
        if name is not None and len(transports) < _MAX_NAMES:
            transports[name] = None
        if bits is not None and complete:
            smallest = bits if smallest is None else min(bits, smallest)
    sealing.key_transports = tuple(transports)
    sealing.n_recipients = n if whole else None
    sealing.recipient_key_bits = smallest


def _recipient(reader: _Reader, tag: int, span: Span) -> tuple[str | None, int | None, int]:
    """Key transport, bits of the RSA key (its ciphertext is as long as the modulus), recipients."""
    if tag == 0x30:
        name, bits = None, None
        for number, (inner_tag, inner, whole) in enumerate(reader.elements(span)):
            if number == 2 and inner_tag == 0x30:
                oid = reader.algorithm(inner)[0]
                name = KEY_TRANSPORTS.get(oid or "", oid)
            elif number == 3 and inner_tag == 0x04 and whole and name in ("RSA", "RSA-OAEP"):
                bits = 8 * (inner[1] - inner[0])
        return name, bits, 1
    if tag == 0xA1:
        last: Span | None = None
        for inner_tag, inner, _ in reader.elements(span):
            last = inner if inner_tag == 0x30 else last
        return "ECDH", None, max(1, sum(1 for _ in reader.elements(last)))
    return {0xA2: "KEK", 0xA3: "password", 0xA4: "other"}.get(tag), None, 1


def _signed(reader: _Reader, span: Span, whole: bool, sealing: Sealing) -> None:
    """SignedData ::= SEQUENCE { version, digestAlgorithms SET, encapContentInfo, certificates [0], crls [1], signerInfos SET } (RFC 5652 §5.1)."""
    sets = 0
    has_content, n_signers = False, 0
    digests: dict[str, None] = dict.fromkeys(sealing.digests)
    signatures: dict[str, None] = {}
    for tag, content, complete in reader.elements(span):
        if tag == 0x30:
            has_content = any(inner_tag == 0xA0 for inner_tag, _, _ in reader.elements(content))
        if tag != 0x31:
            continue
        sets += 1
        for inner_tag, inner, _ in reader.elements(content):
            if inner_tag != 0x30:
                continue
            if sets == 1:
                oid = reader.algorithm(inner)[0]
                if oid is not None and len(digests) < _MAX_NAMES:
                    digests[DIGESTS.get(oid, oid)] = None
            else:
                n_signers += 1
                _signer(reader, inner, signatures)
        if sets == 2:
            whole = whole and complete
    sealing.digests, sealing.signatures = tuple(digests), tuple(signatures)
    if sets >= 2 and whole and not n_signers and not has_content:
        sealing.form, sealing.signed = "certs-only", False  # RFC 8551 §3.8


def _signer(reader: _Reader, span: Span, signatures: dict[str, None]) -> None:
    """SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] OPTIONAL, signatureAlgorithm, signature … } (RFC 5652 §5.3)."""
    sequences = 0
    for number, (tag, content, whole) in enumerate(reader.elements(span)):
        if tag == 0x30 and number > 1:
            sequences += 1
            if sequences == 2:
                oid = reader.algorithm(content)[0]
                if oid is not None and whole and len(signatures) < _MAX_NAMES:
                    signatures[SIGNERS.get(oid, oid)] = None
                return
