"""Envelopes and message content of SMTP: DATA with its dots, BDAT chunks, and what happens to both when bytes are missing."""
from __future__ import annotations

import re
from collections import deque
from typing import Any

from ..records import CLIENT, Message
from .lines import LineParser
from .message import MessageReader
from .smtp_grammar import STRICT_COMMAND

MAX_MESSAGES = 10000  # per conversation
MAX_COMMAND_BYTES = 1024  # RFC 5321 §4.5.3.1.4 says 512, extensions add to it; longer lines are never believed to be commands in doubtful places

COMMAND, TOKENS, AHEAD, UNKNOWN = range(4)  # states of the client's side, see smtp.py
SUBMISSION_PORTS = frozenset((465, 587, 2525))
_DOT_LINE = re.compile(rb"\r\n\.")
_BARE_END = re.compile(rb"\n\.\r?\n")
_END = b"\r\n.\r\n"

Pending = tuple[str, int, Any]  # a command that awaits its reply: verb, client offset, what its handler needs


class MailContent(LineParser):
    """The part of the SMTP parser that reads content."""

    _auth_tried = False
    _tail = b""  # last content bytes, for ends that only the server recognised
    _headless = False  # the first content bytes were lost
    _ahead_at = 0  # where bytes behind an unanswered DATA begin
    _chunk_left = 0
    _chunk_last = False

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self._state = COMMAND if start_seen else UNKNOWN
        self._client_damaged = not start_seen  # client bytes are missing somewhere
        self._fresh = True  # nothing from the client since the last complete reply
        self._fresh_skip = 0  # client bytes kept back when that reply came
        self._message: Message | None = None  # the open transaction
        self._reader: MessageReader | None = None  # its content, while that passes
        self._early_reply: bytes | None = None  # final answer that came before the content's end was seen
        self._bare_content: bool | None = None  # content lines end in LF alone; None before the first line end
        self._pending: deque[Pending] = deque()

    def new_message(self, at: int) -> Message:
        """Open a transaction."""
        self.close_chunks()
        direction = "delivered" if self.protocol == "lmtp" else "submitted" if self._auth_tried or self.server_port in SUBMISSION_PORTS else "relayed"
        message = self._message = Message(protocol=self.protocol, direction=direction, side=CLIENT, at=at, has_content=False)
        messages = self.facts.messages
        if len(messages) < MAX_MESSAGES:
            messages.append(message)
        elif len(messages) == MAX_MESSAGES:
            self.anomaly("more-messages-dropped", CLIENT, at)
        return message

    def reset_transaction(self) -> None:
        """RSET, or an accepted EHLO (RFC 5321 §4.1.4)."""
        self.close_chunks()
        self._message = None

    def start_content(self) -> None:
        """The client's next bytes are content."""
        self._reader = None
        self._bare_content = None
        self._early_reply = None
        self._tail = b""
        self._state = COMMAND
        self.bulk[CLIENT] = self.content

    def _open_reader(self, at: int) -> MessageReader:
        """The content's first byte: from here on there is a message."""
        message = self._message or self.new_message(at)
        if not message.has_content:
            message.has_content, message.at = True, at
        reader = self._reader = MessageReader(message)
        if self._headless:
            reader.lost()
            self._headless = False
        return reader

    # --- consumers of client bytes (see lines.Consumer)

    def after_data(self, data: bytes, pos: int, at: int) -> int:
        """Bytes behind DATA whose answer is not there (pipelined, lost or not captured): their first line tells what they are."""
        newline = data.find(b"\n", pos)
        if newline < 0 and len(data) - pos < MAX_COMMAND_BYTES:
            self._ahead_at = at
            return 0
        if newline >= 0 and newline - pos < MAX_COMMAND_BYTES and STRICT_COMMAND.match(data[pos:newline].rstrip(b"\r")):
            self._state = COMMAND
            self.bulk[CLIENT] = None
        else:
            self.start_content()
        return 0

    def content(self, data: bytes, pos: int, at: int) -> int:
        """Octets of DATA up to CRLF.CRLF, dots unstuffed (RFC 5321 §4.5.2)."""
        if self._early_reply is not None and self._fresh and self._looks_over(data, pos):
            return 0
        start, n = pos, len(data)
        reader = self._reader
        if reader is None:
            self._ahead_at = at
            if data[pos] == 46:
                head = data[pos:pos + 3]
                if head == b".\r\n":
                    self.end_content(True)
                    return 3
                if len(head) < 3 and b".\r\n".startswith(head):
                    return 0
                pos += 1
            reader = self._open_reader(at)
        if self._bare_content is None:
            newline = data.find(b"\n", pos)
            if newline >= 0:
                self._bare_content = newline == 0 or data[newline - 1] != 13
        if self._bare_content:
            return self._bare(data, start, pos)
        found = _DOT_LINE.search(data, pos)
        if found is not None:
            dot = found.end()
            if data.startswith(b"\r\n", dot):
                reader.feed(data[pos:dot - 1])
                self.end_content(True)
                return dot + 2 - start
            end = data.find(_END, dot - 3)
            if end >= 0:
                reader.feed(data[pos:end + 2].replace(b"\r\n.", b"\r\n"))
                self.end_content(True)
                return end + 5 - start
        end = n
        if data[-1] in b"\r\n.":
            for k in (4, 3, 2, 1):
                if data.endswith(_END[:k]):
                    end = max(pos, n - k)
                    break
        if end > pos:
            piece = data[pos:end]
            self._tail = (self._tail + piece[-5:])[-5:]
            reader.feed(piece.replace(b"\r\n.", b"\r\n") if found is not None else piece)
        return end - start

    def _bare(self, data: bytes, start: int, pos: int) -> int:
        """Content whose lines end in LF alone: a lone dot between LFs ends it, as servers for such clients have it."""
        found = _BARE_END.search(data, pos)
        if found is not None:
            self._reader.feed(data[pos:found.start() + 1].replace(b"\n.", b"\n"))
            self.end_content(True)
            return found.end() - start
        end = len(data)
        for tail in (b"\n.\r", b"\n.", b"\n"):
            if data.endswith(tail):
                end = max(pos, end - len(tail))
                break
        if end > pos:
            piece = data[pos:end]
            self._tail = (self._tail + piece[-5:])[-5:]
            self._reader.feed(piece.replace(b"\n.", b"\n"))
        return end - start

    def chunk(self, data: bytes, pos: int, at: int) -> int:
        """Octets of one BDAT (RFC 3030 §2)."""
        n = min(self._chunk_left, len(data) - pos)
        reader = self._reader or self._open_reader(at)
        reader.feed(data[pos:pos + n])
        self._chunk_left -= n
        if not self._chunk_left:
            self.bulk[CLIENT] = None
            if self._chunk_last:
                self.end_chunks()
        return n

    def skip_chunk(self, data: bytes, pos: int, at: int) -> int:
        """Octets that belong to no message (XEXCH50)."""
        n = min(self._chunk_left, len(data) - pos)
        self._chunk_left -= n
        if not self._chunk_left:
            self.bulk[CLIENT] = None
        return n

    # --- ends

    def end_content(self, complete: bool) -> None:
        """The content is over: its answer is due, unless it came early."""
        message, reader = self._message, self._reader
        if reader is not None:
            reader.finish(complete)
        elif message is not None:
            message.complete = complete
        self._reader = self._message = None
        self.bulk[CLIENT] = None
        early, self._early_reply = self._early_reply, None
        if early is not None:
            if message is not None:
                message.reply_code, message.accepted = early.decode(), early[:1] == b"2"
        elif self.protocol == "lmtp" and message is not None:  # RFC 2033 §4.2: one answer for each accepted recipient
            self._pending.extend([("END", 0, message)] * max(1, len(message.rcpt_accepted)))
        else:
            self._pending.append(("END", 0, message))

    def end_chunks(self) -> None:
        """The last chunk is complete."""
        if self._reader is not None:
            self._reader.finish(True)
        elif self._message is not None:
            self._message.complete = True
        self._reader = self._message = None

    def close_chunks(self) -> None:
        """Chunks without a last one, then a reset."""
        if self._reader is not None:
            self._reader.finish(False)
            self._reader = None

    def _looks_over(self, data: bytes, pos: int) -> bool:
        """The server answered before we saw an end: a strict command as the client's next word means that the end was lost.

        Returns:
            True to stop reading content now, because it is over or because that word is not complete yet.
        """
        place = pos + self._fresh_skip
        newline = data.find(b"\n", place)
        if newline < 0 and len(data) - place < MAX_COMMAND_BYTES:
            return True
        self._fresh = False
        if newline < 0 or newline - place > MAX_COMMAND_BYTES or not STRICT_COMMAND.match(data[place:newline].rstrip(b"\r")):
            return False
        self.end_content(False)
        return True

    def reply_in_content(self, code: bytes) -> None:
        """The server answered while content was passing: it saw an end that we did not, or gave up."""
        rest = bytes(self._rest[CLIENT])
        tail = (self._tail + rest)[-5:]
        if self._reader is not None and tail.endswith((b"\n.\n", b"\n.\r\n")):  # a lone dot between other line ends than CRLF
            self._rest[CLIENT] = b""
            self._reader.feed(rest)
            self._reader.shorten((2 if tail.endswith(b"\r\n") else 1) + (0 if tail.endswith(b"\r\n.\n") else 1))  # a dot behind CRLF is gone already
            self._early_reply = code
            self.end_content(True)
        elif self._early_reply is None:
            self._early_reply = code

    # --- damage

    def lost_in_bulk(self, length: int) -> None:
        """Client bytes are missing while content or chunks pass, or between DATA and its answer."""
        consumer = self.bulk[CLIENT]
        self._skipping[CLIENT] = False
        if consumer == self.content:
            self._tail = b""
            if self._reader is not None:
                self._reader.lost()
            else:
                self._headless = True
            return
        if consumer == self.after_data:
            self._headless = True
            return
        if self._reader is not None:
            self._reader.lost()
        elif consumer == self.chunk:
            self._headless = True
        if length <= self._chunk_left:
            self._chunk_left -= length
            beyond = 0
        else:
            beyond, self._chunk_left = length - self._chunk_left, 0
        if not self._chunk_left:
            self.bulk[CLIENT] = None
            if self._chunk_last and consumer == self.chunk:
                self.end_chunks()
            if beyond:
                self._state = UNKNOWN
                self._skipping[CLIENT] = True

    def content_cut_off(self) -> None:
        """The conversation ended inside content."""
        rest = bytes(self._rest[CLIENT])
        if self.bulk[CLIENT] == self.after_data and rest and not STRICT_COMMAND.match(rest.strip()):
            self.start_content()
        if self.bulk[CLIENT] == self.content and rest and (self._reader is not None or rest[:1] != b"."):
            (self._reader or self._open_reader(self._ahead_at)).feed(rest)
        reader, message = self._reader, self._message
        if reader is None:
            return
        reader.finish(False)
        if self._early_reply is not None and message is not None:
            message.reply_code, message.accepted = self._early_reply.decode(), self._early_reply[:1] == b"2"
