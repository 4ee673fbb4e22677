"""Mail messages: headers of a relayed message, text, HTML, base64 attachments.

Sizes are log-normal with median 12 KB and mean near 32 KB (sigma 1.4), between 700 bytes and a ceiling; stratified, so that even a few hundred
messages have the right mean.
"""
from __future__ import annotations

import base64
import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from .script import MESSAGE, Part, Slot, Text, width

MEDIAN_BYTES, SIGMA = 12_000, 1.4
SMALLEST_BYTES = 700

FIRST = "anna bernd carla daniel elena frank greta hans ines jonas karin lukas maria nils olga peter rosa stefan tanja ulrich vera walter".split()
LAST = """albers becker conrad dietrich engel fischer graf hartmann jansen keller
 lorenz maurer neumann otto peters richter sommer thiel vogt weber ziegler""".split()
DOMAINS = """example.com example.net example.org mail.example stadtwerke.example klinik.example handel.example uni.example kanzlei.example
 post.test werk.test verlag.test""".split()
WORDS = """the we you please find attached report invoice meeting on for of and with regards order delivery update project draft contract schedule next week
 review customer system server price offer number until before after question answer team office travel budget version document change request
 confirm""".split()


class Message(NamedTuple):
    """One message: `text` is its content with slots, without dot-stuffing."""

    text: Text
    message_id: Text
    head_bytes: int
    size: int
    sender: Text
    recipients: tuple[Text, ...]


def sizes(n: int, ceiling: int) -> list[int]:
    """`n` message sizes, one from each n-th of the distribution."""
    normal = NormalDist()
    return [int(min(max(MEDIAN_BYTES * math.exp(SIGMA * normal.inv_cdf((i + 0.5) / n)), SMALLEST_BYTES), ceiling)) for i in range(n)]


def pick(rng: np.random.Generator, names: list[str]) -> str:
    return names[int(rng.integers(len(names)))]


def prose(rng: np.random.Generator, length: int, dotted: bool = False) -> bytes:
    """Lines of words, CRLF; with `dotted` some lines begin with a dot."""
    lines, have = [], 0
    while have < length:
        line = " ".join(WORDS[i] for i in rng.integers(len(WORDS), size=int(rng.integers(4, 11))))[:72]
        if dotted and rng.random() < 0.1:
            line = "." + line
        lines.append(line)
        have += len(line) + 2
    return "\r\n".join(lines).encode() + b"\r\n"


def attachment(rng: np.random.Generator, length: int) -> bytes:
    """About `length` bytes of base64 lines."""
    return base64.encodebytes(rng.bytes(max(length * 57 // 78, 57))).replace(b"\n", b"\r\n")


def compose(rng: np.random.Generator, size: int, sender: Text, recipients: tuple[Text, ...], suffix: bytes, received: int) -> Message:
    """A message of about `size` bytes with `received` trace headers."""
    host = pick(rng, DOMAINS).encode()
    message_id: Text = (b"<", MESSAGE, b"." + suffix + b"@" + host + b">")
    parts: list[Part] = []
    for hop in range(received):
        protocol = (b"ESMTPS (TLS1.3) tls TLS_AES_256_GCM_SHA384", b"ESMTP", b"ESMTPSA")[int(rng.integers(3))]
        relay = b"relay%d." % hop + host
        parts += [b"Received: from " + relay + b" (" + relay + b" [192.0.2.%d])\r\n" % int(rng.integers(1, 255))
                  + b"\tby mx%d.example.net (Postfix) with " % hop + protocol + b"\r\n\tid ", MESSAGE,
                  b"; Mon, 13 May 2024 08:0%d:%02d +0200\r\n" % (hop, int(rng.integers(60)))]
    parts += [b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + host + b"; s=s2024;\r\n"
              + b"\th=from:to:subject:date:message-id; bh=" + base64.b64encode(rng.bytes(32))
              + b";\r\n\tb=" + base64.b64encode(rng.bytes(48)) + b"\r\n\t " + base64.b64encode(rng.bytes(48)) + b"\r\n"] if rng.random() < 0.6 else []
    parts += [b"From: ", pick(rng, FIRST).title().encode() + b" <", *sender, b">\r\nTo: "]
    for n, recipient in enumerate(recipients):
        parts += [b",\r\n\t<" if n else b"<", *recipient, b">"]
    subject = " ".join(WORDS[i] for i in rng.integers(len(WORDS), size=5)).encode()
    parts += [b"\r\nSubject: " + subject + b"\r\nDate: Mon, 13 May 2024 08:%02d:00 +0200\r\nMessage-ID: " % int(rng.integers(60)), *message_id,
              b"\r\nMIME-Version: 1.0\r\n"]
    if rng.random() < 0.5:
        parts.append(b"User-Agent: Mozilla Thunderbird\r\nX-Priority: 3\r\n")
    parts.append(_body(rng, max(size - width(tuple(parts)), 100)))
    text = tuple(parts)
    head = width(text) - len(text[-1]) + text[-1].index(b"\r\n\r\n") + 4 if not isinstance(text[-1], Slot) else 0
    return Message(text, message_id, head, width(text), sender, recipients)


def _body(rng: np.random.Generator, length: int) -> bytes:
    """Content-Type header, blank line and content."""
    plain = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    if length < 4_000:
        return plain + prose(rng, length - len(plain), dotted=rng.random() < 0.3)
    boundary = b"=_%s" % rng.bytes(12).hex().encode()
    kind = b"alternative" if length < 14_000 else b"mixed"
    text = prose(rng, min(length // 3, 3_000), dotted=rng.random() < 0.3)
    out = (b"Content-Type: multipart/" + kind + b';\r\n boundary="' + boundary + b'"\r\n\r\nThis is a multi-part message in MIME format.\r\n'
           + b"--" + boundary + b"\r\n" + plain + text)
    if kind == b"alternative":
        paragraphs = prose(rng, max(length - len(out) - 200, 200)).replace(b"\r\n", b"</p>\r\n<p>")
        out += b"--" + boundary + b"\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>" + paragraphs + b"</p></body></html>\r\n"
    else:
        name = rng.bytes(3).hex().encode()
        out += (b"--" + boundary + b'\r\nContent-Type: application/pdf; name="report-' + name
                + b'.pdf"\r\nContent-Disposition: attachment; filename="report-' + name + b'.pdf"\r\n'
                + b"Content-Transfer-Encoding: base64\r\n\r\n" + attachment(rng, max(length - len(out) - 300, 100)))
    return out + b"--" + boundary + b"--\r\n"


def stuffed(text: Text) -> Text:
    """RFC 5321 §4.5.2: a line that begins with a dot gets a second one. Slots never begin a line."""
    return tuple(part if isinstance(part, Slot) else part.replace(b"\r\n.", b"\r\n..") for part in text)
