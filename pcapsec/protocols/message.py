"""What the content of a mail message or article tells before its body begins, read once and cheaply.

    reader = MessageReader(Message(protocol="imap", direction="fetched", side=SERVER, at=offset_of_first_byte))
    reader.feed(octets)          # content as it comes, after dot-unstuffing, or the octets of a literal; any number of pieces
    reader.lost()                # bytes are missing here
    reader.finish(complete)      # True when the end of the content was seen; fills reader.message, which was the caller's all along

Only the first bytes are kept: headers up to `MAX_HEADER_BYTES` and `MAX_BODY_BYTES` of the body behind them (`MAX_SEALED_BYTES` of S/MIME and PGP/MIME, and the
last `MAX_TAIL_BYTES` where a signature stands at the end); the rest is counted. Message text and subject are never stored. Nothing raises, whatever the bytes.
"""
from __future__ import annotations

import binascii
import re

from ..records import Message
from .message_mime import LOOKED_AT, hides_subject, inline, look, look_at_end
from .received import read_hops

MAX_HEADER_BYTES = 65536  # real ones stay below 32 KiB, with fifty hops and several signatures
MAX_BODY_BYTES = 8192  # inline PGP and the part headers of a TNEF attachment that shows at all stand here
MAX_SEALED_BYTES = 49152  # of a body that is encrypted: behind the keys of some fifty recipients it says with which algorithm
MAX_TAIL_BYTES = 16384  # a signature with the certificates of its chain
MAX_DOMAINS = 200  # of To and Cc
MAX_SUBJECT_BYTES = 8192
MAX_TEXT = 200  # characters of Message-ID, media type, mailer
MAX_LABELS = 8

_CHARSETS = re.compile(r"(?:utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|iso-2022-(?:jp|kr)|shift_jis)\Z", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,40})(?:\*[A-Za-z-]{0,20})?\?([BbQq])\?([^? ]{0,1000})\?=")  # RFC 2047 §2
_BETWEEN_WORDS = re.compile(r"\?=[ \t]+=\?")
_FOLDS = bytes.maketrans(b"\t", b" ")
_ONE_MAILBOX = re.compile(rb'[^@",;()<]*+<?[^@",;()<> ]++@([a-z0-9.-]*[a-z0-9])>?[ \t]*\Z')
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an open one runs to the end: looking for its end again and again would be quadratic
_COMMENT = re.compile(rb"\([^()]*\)")
_SENSITIVE = frozenset((b"personal", b"private", b"company-confidential"))  # RFC 4021 §2.1.55
_LABEL = re.compile(rb"msip_label_[0-9a-f-]{1,40}_name=([^;\n]{1,60})", re.IGNORECASE)  # Microsoft Information Protection


class MessageReader:
    """Reads one message's content into a Message.

    Args:
        message: the record to fill; its `size_bytes`, `complete` and all fields that headers tell are set by `finish`.
    """

    __slots__ = ("message", "_size", "_head", "_searched", "_headers_end", "_done", "_limit", "_tail")

    def __init__(self, message: Message):
        self.message = message
        self._size = 0
        self._head: bytes | bytearray = b""
        self._searched = 0  # up to where the blank line was looked for
        self._headers_end = -1  # where the body begins in _head
        self._done = False
        self._limit = MAX_BODY_BYTES  # of the body
        self._tail: bytearray | None = None  # the last bytes, where a signature is expected there

    def feed(self, data: bytes) -> None:
        """The next content octets."""
        self._size += len(data)
        if self._done:
            if self._tail is not None:
                self._keep(data)
            return
        head = self._head
        taken = len(data)
        if not head:
            head = self._head = data  # most messages come in one piece: no copy
        else:
            if type(head) is bytes:
                head = self._head = bytearray(head)
            taken = MAX_HEADER_BYTES + MAX_SEALED_BYTES - len(head)
            head += data[:taken]
        if self._headers_end < 0:
            self._find_end(head)
            if self._headers_end < 0:
                if len(head) >= MAX_HEADER_BYTES + MAX_SEALED_BYTES:
                    self._read(True)
                return
        if len(head) >= self._headers_end + self._limit:
            if self._limit == MAX_BODY_BYTES and (head.find(b"pkcs7", 0, self._headers_end) >= 0 or head.find(b"pgp-enc", 0, self._headers_end) >= 0):
                self._limit = MAX_SEALED_BYTES
                if len(head) < self._headers_end + MAX_SEALED_BYTES:
                    return
            self._read(True)
            if self._tail is not None and taken < len(data):
                self._keep(data[taken:])

    def _keep(self, data: bytes) -> None:
        """More of the content's end."""
        tail = self._tail
        tail += data[-MAX_TAIL_BYTES:]
        if len(tail) > 4 * MAX_TAIL_BYTES:
            del tail[:-MAX_TAIL_BYTES]

    def lost(self) -> None:
        """Bytes are missing here: what follows may be body already, so no header is read from it."""
        if not self._done:
            self._read(False)
        if self._tail is not None:
            self._tail.clear()

    def shorten(self, n: int) -> None:
        """The last `n` octets were not content after all."""
        self._size = max(0, self._size - n)

    def finish(self, complete: bool) -> None:
        """The content is over; `complete` tells whether its end was seen."""
        message = self.message
        if not self._done:
            self._read(complete, complete)
        message.size_bytes = self._size
        message.complete = complete
        if 2 < self._headers_end >= self._size and message.lacks is None:
            message.lacks = "body"
        if self._tail is not None:
            look_at_end(b"\n" + self._tail[-MAX_TAIL_BYTES:], message)
            self._tail = None

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

    def _read(self, whole: bool, ended: bool = False) -> None:
        """Take the message's facts from what was kept.

        Args:
            whole: False when its last line may be cut.
            ended: nothing behind it is missing.
        """
        self._done = True
        head, self._head = self._head, b""
        message = self.message
        end = self._headers_end
        if end < 0:
            if not ended or len(head) > MAX_HEADER_BYTES:
                message.lacks = "headers"
            end = min(len(head), MAX_HEADER_BYTES)
            if not whole:
                end = head.rfind(b"\n", 0, end) + 1
        elif end <= 2:
            message.lacks = "no-headers"
        text = b"\n%b\n\n" % bytes(head[:end])  # so that every field has a line end before it and behind it
        lower = text.lower()
        value = read_headers(text, lower, message)
        if self._headers_end < 0:
            return
        body = bytes(head[end - 1:end + self._limit])  # with the line end before it
        if value is not None:
            if look(value, lower, body, ended and len(head) <= end + self._limit, message):
                self._tail = bytearray(head[-MAX_TAIL_BYTES:])
        elif len(body) > 1:
            inline(body, ended, message)
        sealing = message.sealing
        if sealing is not None and sealing.encrypted:
            at = lower.find(b"\nsubject:")
            message.subject_hidden = at >= 0 and hides_subject(_unfold(text, at + 9))


def read_headers(text: bytes, lower: bytes, message: Message) -> bytes | None:
    """Fill a message from its header section.

    Args:
        text: the section, with a line end before it and two behind it.
        lower: the same in lower case.

    Returns:
        The value of Content-Type where it says that a deeper look pays, else None.
    """
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
        read_hops(text, lower, at, message)
    at = find(b"\ntls-required:")
    if at >= 0 and _unfold(lower, at + 14).strip() == b"no":  # RFC 8689 §5
        message.tls_required_no = True
    if find(b"\nlist-id:") >= 0 or (at := find(b"\nprecedence:")) >= 0 and _unfold(lower, at + 12).strip() in (b"bulk", b"list", b"junk"):
        message.bulk = True
    if find(b"\nsensitivity:") >= 0 or text.find(b"MSIP_") >= 0 or text.find(b"-Classif") >= 0:  # rare capitals are found faster
        message.labels = _labels(text, lower)
    at = find(b"\ncontent-type:")
    if at < 0:
        return None
    value = _unfold(text, at + 14)
    kind = value.partition(b";")[0].strip().lower()
    message.content_type = kind.decode("latin-1")[:MAX_TEXT] or None
    return value if kind in LOOKED_AT or kind[:12] == b"application/" else None


def _labels(text: bytes, lower: bytes) -> tuple[str, ...]:
    """What headers claim about confidentiality: Sensitivity (RFC 4021 §2.1.55), labels of Microsoft Information Protection, classifications of Exchange."""
    labels = []
    at = lower.find(b"\nsensitivity:")
    if at >= 0:
        word = _unfold(lower, at + 13).strip()
        if word in _SENSITIVE:
            labels.append(f"sensitivity: {word.decode()}")
    at = lower.find(b"\nmsip_label")
    if at >= 0:
        labels += [match[1].strip().decode("latin-1") for match in _LABEL.finditer(_unfold(text, at + 1)[:8192])]
    for name in (b"\nx-microsoft-classification:", b"\nx-ms-exchange-organization-classification:"):
        at = lower.find(name)
        if at >= 0:
            labels.append(_unfold(text, at + len(name)).strip().decode("latin-1")[:60])
    return tuple(dict.fromkeys(label for label in labels if label))[:MAX_LABELS]


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
