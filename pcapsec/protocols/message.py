"""What the content of a mail message or article tells before its body begins, read once and cheaply.

    reader = MessageReader(Message(protocol="imap", direction="fetched", side=SERVER, at=offset_of_first_byte))
    reader.feed(octets)          # content as it comes, after dot-unstuffing, or the octets of a literal; any number of pieces
    reader.lost()                # bytes are missing here
    reader.finish(complete)      # True when the end of the content was seen; fills reader.message, which was the caller's all along

Only the first bytes are kept: headers up to `MAX_HEADER_BYTES` and `MAX_BODY_BYTES` of the body behind them; the rest is counted. Message text and subject
are never stored. Nothing raises, whatever the bytes.
"""
from __future__ import annotations

import binascii
import re

from ..records import Message

MAX_HEADER_BYTES = 65536  # real ones stay below 32 KiB, with fifty hops and several signatures
MAX_BODY_BYTES = 8192  # inline PGP and the part headers of a TNEF attachment that shows at all stand here
MAX_HOPS = 200  # Received fields looked at; RFC 5321 §6.3 expects loops to be cut at 100
MAX_DOMAINS = 200  # of To and Cc
MAX_SUBJECT_BYTES = 8192
MAX_TEXT = 200  # characters of Message-ID, media type, mailer

_CHARSETS = re.compile(r"(?:utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|iso-2022-(?:jp|kr)|shift_jis)\Z", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,40})(?:\*[A-Za-z-]{0,20})?\?([BbQq])\?([^? ]{0,1000})\?=")  # RFC 2047 §2
_BETWEEN_WORDS = re.compile(r"\?=[ \t]+=\?")
_FOLDS = bytes.maketrans(b"\t", b" ")
_ONE_MAILBOX = re.compile(rb'[^@",;()<]*+<?[^@",;()<> ]++@([a-z0-9.-]*[a-z0-9])>?[ \t]*\Z')
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an open one runs to the end: looking for its end again and again would be quadratic
_COMMENT = re.compile(rb"\([^()]*\)")
_PARAMETER = re.compile(rb';\s*([a-z-]+)\s*=\s*("[^"]*"|[^;\s]*)')
_WITH = re.compile(rb"[ \t\n]with\s++(\(|(?:microsoft|https?|(?:utf8)?(?:e?sm|lm)tps?a?)(?![a-z0-9]))")  # not the "with cipher" of a TLS clause
# the TLS clauses that servers write into Received (RULES.md PS708)
_TLS_WORDS = re.compile(rb"tls[v_ ]?1|version=tls|version=ssl|\(tls\)|\busing tls|\busing ssl|\btls [a-z0-9_]{6,}|\bencrypted\) (?:e?smtp)|\bx=tls|\(ssl\)")
_CLEAR_WITH = frozenset(b"microsoft smtp esmtp esmtpa lmtp lmtpa http utf8smtp utf8smtpa utf8lmtp utf8lmtpa".split())  # RFC 3848 §1, RFC 6531 §4.3; Exchange never writes ESMTPS
_TLS_WITH = frozenset(b"esmtps esmtpsa lmtps lmtpsa https utf8smtps utf8smtpsa utf8lmtps utf8lmtpsa".split())
_ARMOR = b"\n-----BEGIN PGP MESSAGE-----"
_ENCRYPTED_TAGS = frozenset((1, 3, 9, 18, 20))  # RFC 9580 §5: session key packets and encrypted data
_CMS_ENVELOPED = bytes.fromhex("2a864886f70d010703")
_CMS_AUTH_ENVELOPED = bytes.fromhex("2a864886f70d0109100117")
_CMS_SIGNED = bytes.fromhex("2a864886f70d010702")


class MessageReader:
    """Reads one message's content into a Message.

    Args:
        message: the record to fill; its `size_bytes`, `complete` and all fields that headers tell are set by `finish`.
    """

    __slots__ = ("message", "_size", "_head", "_searched", "_headers_end", "_done")

    def __init__(self, message: Message):
        self.message = message
        self._size = 0
        self._head: bytes | bytearray = b""
        self._searched = 0  # up to where the blank line was looked for
        self._headers_end = -1  # where the body begins in _head
        self._done = False

    def feed(self, data: bytes) -> None:
        """The next content octets."""
        self._size += len(data)
        if self._done:
            return
        head = self._head
        if not head:
            head = self._head = data  # most messages come in one piece: no copy
        else:
            if type(head) is bytes:
                head = self._head = bytearray(head)
            head += data[:MAX_HEADER_BYTES + MAX_BODY_BYTES - len(head)]
        if self._headers_end < 0:
            self._find_end(head)
            if self._headers_end < 0:
                if len(head) >= MAX_HEADER_BYTES + MAX_BODY_BYTES:
                    self._read(True)
                return
        if len(head) >= self._headers_end + MAX_BODY_BYTES:
            self._read(True)

    def lost(self) -> None:
        """Bytes are missing here: what follows may be body already, so no header is read from it."""
        if not self._done:
            self._read(False)

    def shorten(self, n: int) -> None:
        """The last `n` octets were not content after all."""
        self._size = max(0, self._size - n)

    def finish(self, complete: bool) -> None:
        """The content is over; `complete` tells whether its end was seen."""
        if not self._done:
            self._read(complete)
        self.message.size_bytes = self._size
        self.message.complete = complete

    def _find_end(self, head: bytes | bytearray) -> None:
        if not self._searched and head[:1] in (b"\r", b"\n") and (head[:1] == b"\n" or head[:2] == b"\r\n"):
            self._headers_end = 1 if head[:1] == b"\n" else 2
            return
        crlf = head.find(b"\n\r\n", self._searched, MAX_HEADER_BYTES)
        lf = head.find(b"\n\n", self._searched, crlf if crlf >= 0 else MAX_HEADER_BYTES)
        if lf >= 0:
            self._headers_end = lf + 2
        elif crlf >= 0:
            self._headers_end = crlf + 3
        else:
            self._searched = max(0, min(len(head), MAX_HEADER_BYTES) - 2)

    def _read(self, whole: bool) -> None:
        """Take the message's facts from what was kept; `whole` is False when its last line may be cut."""
        self._done = True
        head, self._head = self._head, b""
        end = self._headers_end
        if end < 0:
            end = min(len(head), MAX_HEADER_BYTES)
            if not whole:
                end = head.rfind(b"\n", 0, end) + 1
        headers = bytes(head[:end])
        body = bytes(head[max(0, end - 1):end + MAX_BODY_BYTES])  # with the line end before it
        message = self.message
        protection = read_headers(headers, message)
        if protection == "pkcs7":
            message.protection = _cms_kind(body)
        elif message.protection == "none" and len(body) > 1:
            if body.find(_ARMOR) >= 0:
                if _is_encrypted_armor(body):
                    message.protection = "pgp-inline"
            elif (message.content_type or "").startswith("multipart/"):
                if b"application/ms-tnef" in body or b"winmail.dat" in body:
                    message.protection = "tnef"


def read_headers(headers: bytes, message: Message) -> str | None:
    """Fill a message from its header section.

    Returns:
        "pkcs7" when only the body can tell whether it is signed or encrypted, None otherwise.
    """
    text = b"\n%b\n\n" % headers  # so that every field has a line end before it and behind it
    lower = text.lower()
    find = lower.find

    at = find(b"\nmessage-id:")
    if at >= 0:
        message.message_id = _unfold(text, at + 12).strip().decode("latin-1")[:MAX_TEXT] or None
    at = find(b"\nfrom:")
    if at >= 0:
        domains = read_domains(_unfold(lower, at + 6))
        if domains:
            message.from_domain = domains[0]
    at = find(b"\nto:")
    if at >= 0:
        message.to_domains = read_domains(_unfold(lower, at + 4))
    at = find(b"\ncc:")
    if at >= 0:
        message.to_domains = tuple(dict.fromkeys(message.to_domains + read_domains(_unfold(lower, at + 4))))[:MAX_DOMAINS]
    at = find(b"\nsubject:")
    if at >= 0:
        message.subject_length = subject_length(_unfold(text, at + 9)[:MAX_SUBJECT_BYTES])
    at = find(b"\nx-mailer:")
    if at < 0:
        at = find(b"\nuser-agent:")
        at = at + 2 if at >= 0 else at
    if at >= 0:
        message.mailer = _unfold(text, at + 10).strip().decode("latin-1")[:MAX_TEXT] or None
    at = find(b"\nreceived:")
    if at >= 0:
        _read_hops(lower, at, message)
    at = find(b"\ntls-required:")
    if at >= 0 and _unfold(lower, at + 14).strip() == b"no":  # RFC 8689 §5
        message.tls_required_no = True
    at = find(b"\ncontent-type:")
    if at < 0:
        return None
    value = _unfold(lower, at + 14)
    kind = value.partition(b";")[0].strip()
    message.content_type = kind.decode("latin-1")[:MAX_TEXT] or None
    if kind[:5] == b"text/":
        return None
    return _read_protection(kind, dict(_PARAMETER.findall(value[:4096])), message)


def _unfold(text: bytes, start: int) -> bytes:
    """A field's value from `start` to its end, folding undone (RFC 5322 §2.2.3); the text ends in two line ends."""
    end = text.find(b"\n", start)
    if text[end + 1] not in b" \t":
        return text[start:end - 1] if text[end - 1] == 13 else text[start:end]
    while text[end + 1] in b" \t":
        end = text.find(b"\n", end + 1)
    return text[start:end].translate(_FOLDS, b"\r\n")


def read_domains(value: bytes) -> tuple[str, ...]:
    """Domains of the addresses in a From, To or Cc value, lower case, in order, each once (RFC 5322 §3.4)."""
    simple = _ONE_MAILBOX.match(value)
    if simple is not None:
        return (simple[1].decode("ascii"),)
    if b'"' in value:
        value = _QUOTED.sub(b"", value)
    if b"(" in value:
        value = _COMMENT.sub(b"", value)
    domains: dict[str, None] = {}
    for mailbox in value.replace(b";", b",").split(b","):
        if b"<" in mailbox:
            mailbox = mailbox[mailbox.rfind(b"<") + 1:].partition(b">")[0]
        local, at, domain = mailbox.rpartition(b"@")
        domain = domain.strip().rstrip(b".")
        if at and domain and b" " not in domain:
            domains[domain.decode("latin-1")[:255]] = None
            if len(domains) >= MAX_DOMAINS:
                break
    return tuple(domains)


def subject_length(value: bytes) -> int:
    """Characters of a Subject as a reader would see it: encoded words decoded, blanks between two of them dropped (RFC 2047 §6.2)."""
    value = value.strip()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    if "=?" not in text:
        return len(text)
    return len(_ENCODED_WORD.sub(_decode_word, _BETWEEN_WORDS.sub("?==?", text)))


def _decode_word(match: re.Match) -> str:
    charset, encoding, text = match.groups()
    raw = text.encode("latin-1", "replace")
    try:
        raw = binascii.a2b_base64(raw + b"==") if encoding in "Bb" else binascii.a2b_qp(raw, header=True)
    except binascii.Error:
        return match[0]
    try:
        return raw.decode(charset if _CHARSETS.match(charset) else "latin-1", "replace")
    except LookupError:  # iso-8859-12 was never made
        return raw.decode("latin-1")


def _read_hops(lower: bytes, at: int, message: Message) -> None:
    """Count Received fields, and those that name a transport without TLS; hops inside one host count as neither."""
    n_hops, n_clear, says = 0, 0, False
    any_local, any_tls = _is_local(lower), b"tls" in lower or b"ssl" in lower or b"encrypted" in lower  # most often neither: then no hop is asked again
    while at >= 0 and n_hops < MAX_HOPS:
        n_hops += 1
        end = lower.find(b"\n", at + 10)
        while lower[end + 1] in b" \t":
            end = lower.find(b"\n", end + 1)
        found = _WITH.search(lower, at + 10, end)
        if found is not None:
            word = found[1]
            if word in _CLEAR_WITH:
                if not (any_local and _is_local(lower[at:end])):
                    says = True
                    n_clear += not (any_tls and _TLS_WORDS.search(lower, at, end))
            elif word in _TLS_WITH or word == b"(" and lower.find(b" encrypted) ", at, end) >= 0:
                says = True
        at = lower.find(b"\nreceived:", end)
    message.n_hops = n_hops
    message.n_clear_hops = n_clear if says else None


def _is_local(value: bytes) -> bool:
    """Whether a hop stays inside one host."""
    return b"localhost" in value or b"127.0.0.1" in value or b"::1]" in value or b"via frontend transport" in value


def _read_protection(kind: bytes, parameters: dict[bytes, bytes], message: Message) -> str | None:
    """RFC 8551 §3.2, §3.5, RFC 3156 §4, §5, [MS-OXTNEF]; values are lower case already."""
    if kind in (b"application/pkcs7-mime", b"application/x-pkcs7-mime"):
        smime_type = parameters.get(b"smime-type", b"").strip(b'"')
        if smime_type in (b"enveloped-data", b"authenveloped-data"):
            message.protection = "smime-encrypted"
        elif smime_type == b"signed-data":
            message.protection = "smime-signed"
        elif not smime_type:
            return "pkcs7"
    elif kind == b"multipart/signed":
        protocol = parameters.get(b"protocol", b"")
        message.protection = "pgp-mime-signed" if b"pgp-signature" in protocol else "smime-signed" if b"pkcs7-signature" in protocol else "none"
    elif kind == b"multipart/encrypted":
        if b"pgp-encrypted" in parameters.get(b"protocol", b""):
            message.protection = "pgp-mime-encrypted"
    elif kind == b"application/ms-tnef" or b"winmail.dat" in parameters.get(b"name", b""):
        message.protection = "tnef"
    return None


def _cms_kind(body: bytes) -> str:
    """Whether a CMS body is enveloped or signed, by the OID at its front; base64 or binary."""
    raw = body[:400]
    try:
        raw += binascii.a2b_base64(body[:402].strip()[:400].replace(b"\r", b"").replace(b"\n", b"")[:320])
    except binascii.Error:
        pass
    if _CMS_ENVELOPED in raw or _CMS_AUTH_ENVELOPED in raw:
        return "smime-encrypted"
    return "smime-signed" if _CMS_SIGNED in raw else "none"


def _is_encrypted_armor(body: bytes) -> bool:
    """Whether armor at a line's start holds an encrypted message: a signed one wears the same armor, its first packet tells (RFC 9580 §4.2, §6.2)."""
    lines = body[body.find(_ARMOR) + len(_ARMOR):].replace(b"\r", b"").split(b"\n", 12)[1:]
    while lines and lines[0].strip():  # armor headers
        lines.pop(0)
    if len(lines) < 2:
        return True
    try:
        first = binascii.a2b_base64(lines[1][:4])[0]
    except (binascii.Error, IndexError):
        return True
    tag = first & 0x3F if first & 0x40 else (first & 0x3C) >> 2
    return not first & 0x80 or tag in _ENCRYPTED_TAGS
