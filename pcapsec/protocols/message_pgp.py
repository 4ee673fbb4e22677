"""OpenPGP messages (RFC 9580, before it RFC 4880) as far as they show without a key: to whom, and with which generation of encryption.

    armor_at(text)                        # where armor begins that is not quoted
    fill_pgp(text, at, whole, sealing)    # the armored message there

The packets tell: session keys for public keys (1) or passwords (3), then one encrypted container. The oldest container (9) has no protection against
alteration, which EFAIL used; 18 in version 1 has a hash inside, 18 in version 2 and GnuPG's 20 are AEAD. Signed-only messages wear the same armor: there
the first packets are a signature's, literal or compressed data. Nothing raises.
"""
from __future__ import annotations

import binascii

from ..records import Sealing

MESSAGE = b"\n-----BEGIN PGP MESSAGE"  # also "MESSAGE, PART 1/2"
SIGNED = b"\n-----BEGIN PGP SIGNED MESSAGE-----"
MAX_PACKETS = 256
MAX_KEY_IDS = 50
MAX_ARMOR_BYTES = 49152

PUBLIC_KEYS = {1: "RSA", 2: "RSA", 16: "ElGamal", 18: "ECDH", 25: "X25519", 26: "X448", 35: "ML-KEM-768+X25519", 36: "ML-KEM-1024+X448"}  # RFC 9580 §9.1
SIGNERS = {1: "RSA", 3: "RSA", 17: "DSA", 19: "ECDSA", 22: "EdDSA", 27: "Ed25519", 28: "Ed448"}
CIPHERS = {  # RFC 9580 §9.3: name, key bits
    1: ("IDEA", 128), 2: ("3DES", 168), 3: ("CAST5", 128), 4: ("Blowfish", 128), 7: ("AES-128", 128), 8: ("AES-192", 192), 9: ("AES-256", 256),
    10: ("Twofish-256", 256), 11: ("Camellia-128", 128), 12: ("Camellia-192", 192), 13: ("Camellia-256", 256),
}
AEAD = {1: "EAX", 2: "OCB", 3: "GCM"}  # §9.6
DIGESTS = {1: "MD5", 2: "SHA-1", 3: "RIPEMD-160", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512", 11: "SHA-224", 12: "SHA3-256", 14: "SHA3-512"}  # §9.5
_DIGEST_WORDS = {name.replace("-", "").upper(): name for name in DIGESTS.values()}
_KEY, _SIGNATURE, _PASSWORD, _ONE_PASS, _COMPRESSED, _SED, _MARKER, _LITERAL, _SEIPD, _OCB, _PADDING = 1, 2, 3, 4, 8, 9, 10, 11, 18, 20, 21


def armor_at(text: bytes) -> int:
    """Where the armor of a message begins at the start of a line; -1 where there is none. The text begins with a line end."""
    return text.find(MESSAGE)


def fill_pgp(text: bytes, at: int, whole: bool, sealing: Sealing) -> None:
    """Read an armored message into a sealing.

    Args:
        text: what was kept.
        at: of the line end before its armor header line.
        whole: nothing behind `text` is missing.
        sealing: `encrypted` becomes True or False by the first packets, None where they were cut.
    """
    raw, ended = dearmored(text, at)
    sealing.encrypted = None
    if not raw:
        sealing.cut = not ended and not whole
        sealing.malformed = not sealing.cut
        return
    _packets(raw, sealing)
    if sealing.encrypted is None:
        if ended or whole or len(raw) >= 16:
            sealing.malformed, sealing.encrypted = True, False
        else:
            sealing.cut = True


def dearmored(text: bytes, at: int) -> tuple[bytes, bool]:
    """The bytes inside armor (RFC 9580 §6.2), and whether its end was there."""
    stop = text.find(b"\n-----END PGP", at + 1)
    ended = stop >= 0
    block = text[at + 1:min(stop, at + MAX_ARMOR_BYTES) if ended else at + MAX_ARMOR_BYTES].replace(b"\r", b"")
    lines = block.split(b"\n")
    first = 1
    while first < len(lines) and lines[first].strip():  # armor headers, up to a blank line
        if b": " not in lines[first] and first > 20:
            return b"", ended
        first += 1
    data = []
    for line in lines[first + 1:]:
        if line[:1] == b"=" or line[:5] == b"-----":  # the checksum
            break
        data.append(line)
    joined = b"".join(data)
    joined = joined.replace(b"=3D", b"=").translate(None, b" \t")  # quoted-printable on the way
    try:
        return binascii.a2b_base64(joined[:len(joined) & ~3] if not joined.endswith(b"=") else joined + b"=="), ended
    except binascii.Error:
        return b"", ended


def _packets(raw: bytes, sealing: Sealing) -> None:
    """Walk packets up to the container (RFC 9580 §4.2)."""
    pos, end = 0, len(raw)
    key_ids: dict[str, None] = {}
    transports: dict[str, None] = {}
    n_recipients = 0
    for _ in range(MAX_PACKETS):
        found = _header(raw, pos, end)
        if found is None:
            break
        tag, start, stop = found
        body = raw[start:min(stop, start + 300)]
        if tag == _KEY:
            n_recipients += 1
            _public(body, key_ids, transports)
            sealing.encrypted = True
        elif tag == _PASSWORD:
            n_recipients += 1
            transports["password"] = None
            sealing.encrypted = True
            if len(body) > 1 and sealing.encryption is None:
                sealing.encryption, sealing.key_bits = CIPHERS.get(body[2 if body[0] == 6 and len(body) > 2 else 1], (None, None))
        elif tag in (_SED, _SEIPD, _OCB):
            sealing.encrypted = True
            _container(tag, body, sealing)
            sealing.n_recipients = n_recipients
            break
        elif tag in (_ONE_PASS, _SIGNATURE):
            sealing.encrypted, sealing.signed = False, True
            _signature(tag, body, sealing)
            break
        elif tag in (_COMPRESSED, _LITERAL):
            sealing.encrypted = False
            if tag == _COMPRESSED:
                _compressed(body, sealing)
            break
        elif tag not in (_MARKER, _PADDING):
            break
        pos = stop
    sealing.key_ids, sealing.key_transports = tuple(key_ids), tuple(transports)
    if sealing.encrypted and sealing.packet is None:
        sealing.cut = True


def _header(raw: bytes, pos: int, end: int) -> tuple[int, int, int] | None:
    """Tag, start and end of a packet's content; None where there is none."""
    if pos + 2 > end or not raw[pos] & 0x80:
        return None
    first = raw[pos]
    if first & 0x40:  # §4.2.1
        tag, length = first & 0x3F, raw[pos + 1]
        if length < 192:
            return tag, pos + 2, pos + 2 + length
        if length < 224:
            return (tag, pos + 3, pos + 3 + (length - 192 << 8) + raw[pos + 2] + 192) if pos + 3 <= end else None
        if length == 255:
            return (tag, pos + 6, pos + 6 + int.from_bytes(raw[pos + 2:pos + 6], "big")) if pos + 6 <= end else None
        return tag, pos + 2, pos + 2 + (1 << (length & 0x1F))  # partial: only containers and data are, and those are last
    tag, kind = first >> 2 & 0x0F, first & 3  # §4.2.2
    if kind == 3:
        return tag, pos + 1, end
    size = 1 << kind
    if pos + 1 + size > end:
        return None
    start = pos + 1 + size
    return tag, start, start + int.from_bytes(raw[pos + 1:start], "big")


def _public(body: bytes, key_ids: dict[str, None], transports: dict[str, None]) -> None:
    """Public-key encrypted session key (§5.1)."""
    if len(body) >= 10 and body[0] in (2, 3):
        key_id, algorithm = body[1:9].hex(), body[9]
    elif len(body) >= 3 and body[0] == 6:
        n = body[1]  # key version and fingerprint; none for an anonymous recipient
        if len(body) < 3 + n:
            return
        key_id, algorithm = body[3:2 + n].hex() if n else "0" * 16, body[2 + n]
    else:
        return
    if len(key_ids) < MAX_KEY_IDS:
        key_ids[key_id] = None
    if len(transports) < MAX_KEY_IDS:
        transports[PUBLIC_KEYS.get(algorithm, f"algorithm {algorithm}")] = None


def _container(tag: int, body: bytes, sealing: Sealing) -> None:
    """What holds the message (§5.7, §5.13; tag 20: GnuPG since 2.3, RFC 4880bis)."""
    version = body[0] if body else 0
    if tag == _SED:
        sealing.packet, sealing.authenticated = "SED", False
    elif tag == _SEIPD and version == 1:
        sealing.packet, sealing.authenticated = "SEIPDv1", True
    elif len(body) >= 3 and (tag == _SEIPD and version == 2 or tag == _OCB and version == 1):
        cipher, bits = CIPHERS.get(body[1], (None, None))
        mode = AEAD.get(body[2])
        sealing.packet, sealing.authenticated = "OCB" if tag == _OCB else "SEIPDv2", True
        if cipher is not None:
            sealing.encryption, sealing.key_bits = f"{cipher}-{mode}" if mode else cipher, bits


def _compressed(body: bytes, sealing: Sealing) -> None:
    """Compressed data (§5.6): its first packet tells whether it is signed."""
    import zlib

    if body[:1] not in (b"\x01", b"\x02"):  # ZIP, ZLIB
        return
    try:
        inner = zlib.decompressobj(-15 if body[0] == 1 else 15).decompress(body[1:], 64)
    except zlib.error:
        return
    found = _header(inner, 0, len(inner))
    if found is not None and found[0] in (_ONE_PASS, _SIGNATURE):
        sealing.signed = True
        _signature(found[0], inner[found[1]:found[2]], sealing)


def _signature(tag: int, body: bytes, sealing: Sealing) -> None:
    """One-pass signature (§5.4): version, type, hash, key algorithm. Signature (§5.2.3): version, type, key algorithm, hash.

    Version 3 of a signature (§5.2.2) has both behind the key id.
    """
    if tag == _ONE_PASS and len(body) >= 4:
        digest, signer = body[2], body[3]
    elif len(body) >= 4 and body[0] in (4, 5, 6):
        digest, signer = body[3], body[2]
    elif len(body) >= 17 and body[0] in (2, 3):
        digest, signer = body[16], body[15]
    else:
        return
    sealing.digests = (DIGESTS.get(digest, f"algorithm {digest}"),)
    sealing.signatures = (SIGNERS.get(signer, f"algorithm {signer}"),)


def fill_detached(text: bytes, sealing: Sealing) -> None:
    """The signature part of multipart/signed (RFC 3156 §5), where it is."""
    at = text.find(b"\n-----BEGIN PGP SIGNATURE-----")
    if at < 0:
        sealing.cut = True
        return
    raw, _ = dearmored(text, at)
    found = _header(raw, 0, len(raw))
    if found is not None and found[0] == _SIGNATURE:
        _signature(_SIGNATURE, raw[found[1]:found[1] + 300], sealing)


def clear_signed(text: bytes, at: int, sealing: Sealing) -> None:
    """Readable text with a signature around it (§7); its Hash headers name the digests."""
    sealing.encrypted, sealing.signed = False, True
    lines = text[at + 1:at + 500].replace(b"\r", b"").split(b"\n")[1:8]
    digests: dict[str, None] = {}
    for line in lines:
        if not line.strip():
            break
        name, _, value = line.partition(b":")
        if name.lower() == b"hash":
            for word in value.decode("latin-1").split(",")[:8]:
                digests[_DIGEST_WORDS.get(word.strip().upper().replace("-", ""), word.strip()[:20])] = None
    sealing.digests = tuple(digests)
