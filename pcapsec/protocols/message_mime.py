"""A deeper look at messages whose media type says that more is in them than text: S/MIME, OpenPGP, TNEF, and the types of attachments.

    look(value, lower, body, ended, message)   # fills protection, sealing, tnef, part_types; True: the end of the content is wanted too
    look_at_end(tail, message)                 # the signature of multipart/signed, which stands last

Only what was kept of the body is read, parts by their delimiters (RFC 2046 §5.1), at most `MAX_PARTS` and `MAX_DEPTH` deep. Parts that are cut are read as
far as they go. Nothing raises. Ordinary mail hardly comes here: text and multipart/alternative only need one search for armor.
"""
from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from ..records import Message, Sealing
from .message_cms import fill_cms
from .message_pgp import MESSAGE, SIGNED, armor_at, clear_signed, fill_detached, fill_pgp

MAX_PARTS = 32  # of one message, at all depths together
MAX_DEPTH = 4
MAX_PART_HEADER = 4096
MAX_TYPES = 16  # part types that are told
MAX_CMS_BYTES = 49152  # base64 characters decoded

LOOKED_AT = frozenset((b"multipart/mixed", b"multipart/signed", b"multipart/encrypted"))
CMS_TYPES = frozenset((b"application/pkcs7-mime", b"application/x-pkcs7-mime"))  # RFC 8551 §3.2, RFC 2311 §3.2.1
_SIGNATURES = frozenset((b"application/pkcs7-signature", b"application/x-pkcs7-signature"))
_SIGNATURE_PART = re.compile(rb"\ncontent-type:\s{0,10}application/(?:x-)?pkcs7-signature", re.IGNORECASE)
_CONTENT_TYPE = b"\ncontent-type:"
_PARAMETER = re.compile(rb';\s*([a-zA-Z-]+)\s*=\s*("[^"]*"|[^;\s]*)')
_TNEF_BASE64, _TNEF = b"eJ8+I", b"\x78\x9f\x3e\x22"  # [MS-OXTNEF] §2.1.3.1.1: signature 0x223E9F78
_ARMOR = b"\n-----BEGIN PGP "
_ARMOR_BASE64 = b"LS0tLS1CRUdJTiBQR1AgTUVTU0FHRS"  # the same, where the text is encoded as base64
_MAX_ARMORS = 8  # key blocks and signatures passed over in search of a message
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_DECLARED = {b"enveloped-data": ("enveloped-data", True), b"authenveloped-data": ("authEnveloped-data", True), b"signed-data": ("signed-data", False),
             b"compressed-data": ("compressed-data", False), b"certs-only": ("certs-only", False)}
_HIDDEN_SUBJECTS = frozenset((b"", b"...", b"[...]", b"encrypted message", "…".encode()))  # RFC 9788 §5.1, its drafts, Enigmail


class _Part(NamedTuple):
    """One body part."""

    kind: bytes  # media type, lower case; text/plain when none is named (RFC 2046 §5.1)
    value: bytes  # Content-Type with its parameters
    lower: bytes  # its header section in lower case, a line end before it and two behind it
    text: bytes
    at: int  # of the line end before the content in `text`, which ends with the content
    whole: bool  # its end was kept

    @property
    def content(self) -> bytes:
        """The content with a line end before it."""
        return self.text[self.at:] if self.at else self.text


def parameters(value: bytes) -> dict[bytes, bytes]:
    """Parameters of a Content-Type value, without quotes (RFC 2045 §5.1); of a repeated name the last counts."""
    return {name.lower(): text[1:-1] if text[:1] == b'"' == text[-1:] and len(text) > 1 else text for name, text in _PARAMETER.findall(value[:4096])}


def look(value: bytes, lower: bytes, body: bytes, ended: bool, message: Message) -> bool:
    """Read what the parts tell.

    Args:
        value: Content-Type in its own letters.
        lower: the header section in lower case, a line end before it and two behind it.
        body: the body as far as it was kept, a line end before it.
        ended: nothing behind it is missing.

    Returns:
        The end of the content is wanted: a signature stands there.
    """
    top = _Part(value.partition(b";")[0].strip().lower(), value, lower, body, 0, ended)
    looker = _Looker(message)
    sealing = looker.sealing(top, 0)
    message.part_types = tuple(looker.types[:MAX_TYPES])
    if sealing is None:
        inline(body, ended, message)
    else:
        settle(sealing, message)
    if message.tnef and message.protection == "none":
        message.protection = "tnef"
    return looker.wants_end and not ended


def settle(sealing: Sealing, message: Message) -> None:
    """Put a sealing into its message."""
    message.sealing = sealing
    if sealing.partial:
        return
    if sealing.system == "smime":
        message.protection = "smime-encrypted" if sealing.encrypted else "smime-signed" if sealing.signed else "none"
    elif sealing.form == "inline":
        message.protection = "pgp-inline" if sealing.encrypted is not False else "none"
    else:
        message.protection = "pgp-mime-encrypted" if sealing.encrypted else "pgp-mime-signed" if sealing.signed else "none"


def inline(body: bytes, ended: bool, message: Message) -> None:
    """Armor in the text itself."""
    at = body.find(_ARMOR)
    if at < 0:
        if body.find(_ARMOR_BASE64, 0, 100) >= 0:
            body, at = b"\n" + _decoded(body), 0
        else:
            return
    for _ in range(_MAX_ARMORS):
        if at < 0:
            return
        if body.startswith(MESSAGE, at):
            sealing = Sealing(system="pgp", form="inline")
            fill_pgp(body, at, ended, sealing)
            if not sealing.malformed:
                return settle(sealing, message)
        elif body.startswith(SIGNED, at):
            sealing = Sealing(system="pgp", form="inline")
            clear_signed(body, at, sealing)
            return settle(sealing, message)
        at = body.find(_ARMOR, at + 1)


def hides_subject(value: bytes) -> bool:
    """Whether a Subject is only a placeholder for one that stands inside what is encrypted."""
    return value.strip().lower() in _HIDDEN_SUBJECTS


class _Looker:
    """Goes through the parts of one message."""

    def __init__(self, message: Message):
        self.message = message
        self.left = MAX_PARTS
        self.types: list[str] = []
        self.wants_end = False

    def sealing(self, part: _Part, depth: int) -> Sealing | None:
        """The cryptography of a part and what is in it."""
        kind = part.kind
        if kind in CMS_TYPES or kind[:12] == b"application/" and b".p7m" in part.lower:
            return _cms(part)
        if kind == b"multipart/signed":
            return self._signed(part, depth)
        if kind == b"multipart/encrypted":
            return self._encrypted(part, depth)
        if kind == b"multipart/mixed":
            return self._mixed(part, depth)
        front = part.text[part.at:part.at + 12]
        if kind == b"application/ms-tnef" or b"winmail.dat" in part.lower or front.lstrip()[:5] == _TNEF_BASE64 or front[1:5] == _TNEF:
            self.message.tnef = True
        return None

    def parts(self, whole: _Part, depth: int) -> list[_Part]:
        """The parts of a multipart, as far as they were kept."""
        boundary = parameters(whole.value).get(b"boundary", b"")
        if not boundary or len(boundary) > 200 or depth >= MAX_DEPTH:
            return []
        found, body, delimiter = [], whole.content, b"\n--" + boundary
        at = body.find(delimiter)
        while at >= 0 and self.left > 0:
            begin = body.find(b"\n", at + len(delimiter))
            if begin < 0 or body.startswith(b"--", at + len(delimiter)):
                break
            after = body.find(delimiter, begin)
            stop = len(body) if after < 0 else after
            found.append(_part(body[begin:stop], after >= 0 or whole.whole))
            self.left -= 1
            if len(self.types) < MAX_TYPES:
                self.types.append(found[-1].kind.decode("latin-1")[:80])
            at = after
        return found

    def _mixed(self, whole: _Part, depth: int) -> Sealing | None:
        parts = self.parts(whole, depth)
        if any(part.kind == b"application/pgp-encrypted" for part in parts):  # Exchange makes multipart/mixed of multipart/encrypted
            return self._armored(whole, parts)
        best: Sealing | None = None
        for part in parts:
            inner = self.sealing(part, depth + 1)
            if inner is not None and (best is None or inner.encrypted and not best.encrypted):
                best = inner
        if best is not None:
            best.partial = best.partial or len(parts) > 1
        return best

    def _encrypted(self, whole: _Part, depth: int) -> Sealing | None:
        """RFC 3156 §4."""
        parts = self.parts(whole, depth)
        protocol = parameters(whole.value).get(b"protocol", b"").lower()
        if b"pgp-encrypted" not in protocol and not any(part.kind == b"application/pgp-encrypted" for part in parts):
            return None
        return self._armored(whole, parts)

    def _armored(self, whole: _Part, parts: list[_Part]) -> Sealing:
        sealing = Sealing(system="pgp", form="multipart-encrypted", encrypted=True)
        for text in (whole.content, *[b"\n" + _decoded(part.content) for part in parts if b"base64" in part.lower]):
            at = armor_at(text)
            if at >= 0:
                fill_pgp(text, at, whole.whole, sealing)
                if sealing.encrypted is None:  # cut too early: what the media type says counts
                    sealing.encrypted = True
                return sealing
        sealing.cut = not whole.whole
        if whole.whole and whole.content.strip():
            sealing.malformed, sealing.encrypted = True, False
        return sealing

    def _signed(self, whole: _Part, depth: int) -> Sealing | None:
        """RFC 1847 §2.1, RFC 8551 §3.5.3, RFC 3156 §5."""
        given = parameters(whole.value)
        protocol = given.get(b"protocol", b"").lower()
        parts = self.parts(whole, depth)
        last = parts[1] if len(parts) > 1 else None
        if b"pgp-signature" in protocol or last is not None and last.kind == b"application/pgp-signature":
            system = "pgp"
        elif b"pkcs7-signature" in protocol or last is not None and last.kind in _SIGNATURES:
            system = "smime"
        else:
            return None
        sealing = Sealing(system=system, form="multipart-signed", signed=True, micalg=given.get(b"micalg", b"").decode("latin-1").lower()[:80] or None)
        if parts:
            first = parameters(parts[0].value)
            told = first.get(b"hp") or first.get(b"protected-headers")
            sealing.header_protection = told.decode("latin-1").lower()[:20] if told else None
            inner = self.sealing(parts[0], depth + 1)
            if inner is not None and inner.encrypted and not inner.partial:  # signed again outside
                inner.signed, inner.micalg = True, sealing.micalg
                sealing = inner
        if last is not None and last.whole:
            _detached(last.content, system, True, sealing)
        elif depth == 0 and not whole.whole:
            self.wants_end = True
        else:
            sealing.cut = True
        return sealing


def _part(text: bytes, whole: bool) -> _Part:
    """A body part from the line end of its delimiter on."""
    if text[1:2] == b"\n" or text[1:3] == b"\r\n":  # no header
        at = text.find(b"\n", 1)
    else:
        at = text.find(b"\n\r\n", 0, MAX_PART_HEADER)
        lf = text.find(b"\n\n", 0, at if at >= 0 else MAX_PART_HEADER)
        at = lf + 1 if lf >= 0 else at + 2 if at >= 0 else min(len(text), MAX_PART_HEADER)
    header = text[:at] + b"\n\n"
    lower = header.lower()
    place = lower.find(_CONTENT_TYPE)
    if place < 0:
        return _Part(b"text/plain", b"", lower, text, at, whole)
    stop = lower.find(b"\n", place + 14)
    while lower[stop + 1] in b" \t":
        stop = lower.find(b"\n", stop + 1)
    value = header[place + 14:stop].translate(None, b"\r\n")
    return _Part(value.partition(b";")[0].strip().lower() or b"text/plain", value, lower, text, at, whole)


def _cms(part: _Part) -> Sealing | None:
    """application/pkcs7-mime, or a file named .p7m (RFC 8551 §3.2.1)."""
    told = parameters(part.value).get(b"smime-type", b"").lower()
    form, encrypted = _DECLARED.get(told, ("pkcs7-mime", None))
    sealing = Sealing(system="smime", form=form, encrypted=encrypted, signed=form == "signed-data", smime_type=told.decode("latin-1")[:40] or None)
    raw = _binary(part.content)
    if raw:
        fill_cms(raw, part.whole, sealing)
        if sealing.malformed:
            sealing.encrypted = sealing.signed = False
    else:  # a header section that was asked for alone: what the type says counts
        sealing.cut = not part.whole
    if sealing.content_oid is None and part.kind not in CMS_TYPES:  # a name alone proves nothing
        return None
    return sealing


def _binary(content: bytes) -> bytes:
    """The bytes of a part that is base64 or binary; DER begins with 0x30 and a length that is no letter."""
    text = content[:MAX_CMS_BYTES].lstrip()
    if text[:1] == b"0" and text[1:2] >= b"\x80":
        return text
    if content[1:2] == b"0" and content[2:3] >= b"\x80":
        return content[1:MAX_CMS_BYTES]
    return _decoded(text)


def _decoded(text: bytes) -> bytes:
    """Base64 with line ends, as far as it goes."""
    text = text[:MAX_CMS_BYTES].lstrip()
    end = text.find(b"\n--")
    letters = (text[:end] if end >= 0 else text).translate(None, _NOT_BASE64)
    try:
        return binascii.a2b_base64(letters[:len(letters) & ~3])
    except binascii.Error:
        return b""


def _detached(content: bytes, system: str, whole: bool, sealing: Sealing) -> None:
    """The algorithms of a signature that stands beside what it signs."""
    if system == "pgp":
        scratch = Sealing(system="pgp", form="")
        fill_detached(content, scratch)
    else:
        scratch = Sealing(system="smime", form="")
        fill_cms(_binary(content), whole, scratch)
    sealing.digests, sealing.signatures = scratch.digests, scratch.signatures
    sealing.cut = sealing.cut or scratch.cut


def look_at_end(tail: bytes, message: Message) -> None:
    """Read the signature of multipart/signed from the end of the content.

    Args:
        tail: its last bytes, a line end before them or in them.
    """
    sealing = message.sealing
    if sealing is None:
        return
    if sealing.system == "pgp":
        return _detached(tail, "pgp", True, sealing)
    last = None
    for last in _SIGNATURE_PART.finditer(tail):
        pass
    if last is None:
        sealing.cut = True
        return
    part = _part(tail[last.start():], True)
    end = part.content.find(b"\n--", 1)
    _detached(part.content[:end] if end >= 0 else part.content, "smime", end >= 0, sealing)
