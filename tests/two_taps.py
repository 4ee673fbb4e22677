"""Conversations as two captures have them, and what a comparison says of them."""
from __future__ import annotations

import io
from typing import Callable

import pandas

import pcapsec
from tests.frames import START_NS, Segment, Talk, pcap

Edit = Callable[[int, bytes], bytes]
PASSWORD = b"S3cret-horse"
TEXT = b"".join(b"text number %d that nobody else shall read\r\n" % number for number in range(60))
EHLO_REPLY = b"250-mail.example.org\r\n250-PIPELINING\r\n250-STARTTLS\r\n250-8BITMIME\r\n250 HELP\r\n"
SMTP = [
    (1, b"220 mail.example.org ESMTP Postfix\r\n"), (0, b"EHLO pc.example.net\r\n"), (1, EHLO_REPLY), (0, b"AUTH LOGIN\r\n"), (1, b"334 VXNlcm5hbWU6\r\n"), (0, b"YWxpY2U=\r\n"),
    (1, b"334 UGFzc3dvcmQ6\r\n"), (0, b"UzNjcmV0LWhvcnNl\r\n"), (1, b"235 2.7.0 ok\r\n"), (0, b"MAIL FROM:<alice@example.net>\r\n"), (1, b"250 2.1.0 Ok\r\n"),
    (0, b"RCPT TO:<bob@example.org>\r\n"), (1, b"250 2.1.5 Ok\r\n"), (0, b"DATA\r\n"), (1, b"354 go\r\n"),
    (0, b"Message-ID: <20240102030405.ABCD@example.net>\r\nSubject: private\r\n\r\n" + TEXT + b".\r\n"), (1, b"250 2.0.0 Ok: queued as 4F1Yx83Tz2\r\n"),
    (0, b"QUIT\r\n"), (1, b"221 2.0.0 Bye\r\n")]


def talk(turns: list[tuple[int, bytes]] = SMTP, edit: Edit | None = None, *, size: int = 1400, close: bool = True, opened: bool = True, **ends) -> Talk:
    """A conversation; `edit(side, data)` is what the box made of each turn."""
    made = Talk(**ends)
    if opened:
        made.open()
    for side, data in turns:
        data = edit(side, data) if edit is not None else data
        if data:
            made.say(side, data, size, acknowledge=True)
    return made.close() if close else made


def replaced(old: bytes, new: bytes) -> Edit:
    return lambda _side, data: data.replace(old, new)


def capture(*talks: Talk | tuple[Talk, list[Segment]]) -> io.BytesIO:
    """Conversations, or chosen segments of them, as a capture."""
    frames = []
    for one in talks:
        made, segments = one if isinstance(one, tuple) else (one, one.segments)
        frames += [(segment.ts_ns, made.frame(segment)) for segment in segments]
    return io.BytesIO(pcap(sorted(frames, key=lambda frame: frame[0])))


def compared(inside, outside, **options) -> pcapsec.api.Comparison:
    """Compare; whatever is said, no fault of ours may be in it."""
    result = pcapsec.compare(inside if isinstance(inside, io.BytesIO) else capture(inside), outside if isinstance(outside, io.BytesIO) else capture(outside), **options)
    assert result.outcome.internal_errors == []
    return result


DIFFERENCE = ("side", "kind", "meaning", "what", "word", "shown_inside", "shown_outside", "offset_inside", "offset_outside", "length_inside", "length_outside", "frame", "frame_outside")


def told(result) -> list[tuple]:
    """Each difference in the order of DIFFERENCE, None for what is missing."""
    rows = result.differences[list(DIFFERENCE)].astype(object)
    return [tuple(None if pandas.isna(value) else value for value in row) for row in rows.itertuples(index=False)]


__all__ = ["START_NS", "capture", "compared", "replaced", "talk", "told"]
