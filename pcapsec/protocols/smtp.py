"""SMTP, submission and LMTP: commands paired with replies, envelopes, message content, logins and STARTTLS.

Replies are paired by state, not by count alone: codes that only one command gets (220, 221, 235, 334, 354) find that command in the queue, and those before
it stay unanswered. The client's side is in one of these states:

| state | client bytes are | left by |
| --- | --- | --- |
| COMMAND | command lines | DATA, BDAT, AUTH, damage |
| TOKENS | SASL answers, unless a line is a command beyond doubt | the final reply to AUTH |
| AHEAD | bytes behind DATA whose answer is not there yet | 354: content; refusal: commands; no answer: what their first line is |
| content, chunk | message octets (bulk mode, smtp_content.py) | CRLF.CRLF; the octets that BDAT announced |
| UNKNOWN | not known: the capture starts late or lacks bytes | a line that is a command beyond doubt and directly follows a reply |

Resync rule: message text is never taken for commands. After a late start or a gap a strict command is believed when it is the first thing said after a complete
reply. What a late-starting capture holds before the server's first reply counts only if every line of it is such a command. Where the server is not captured at
all, two of them in a row that may follow one another are believed, or one behind a lone dot; a transcript inside a message can deceive that.
"""
from __future__ import annotations

import re
from typing import Any, Callable

from ..records import CLIENT, SERVER, Message
from .lines import looks_like_tls
from .sasl import Exchange, decode_base64
from .smtp_commands import NO_CLEAR_COMMAND, SmtpCommands
from .smtp_content import COMMAND, MAX_COMMAND_BYTES, TOKENS, UNKNOWN
from .smtp_grammar import AUTH_RESULTS, KNOWN_KEYWORDS, MAX_CACHED_LIST_BYTES, STRICT_COMMAND, asks_for_tls, is_known_list, probe, read_ehlo

__all__ = ["SmtpParser", "probe"]

MAX_REPLY_LINES = 200  # kept of one reply; HELP of an old Sendmail has some 50
MIN_STARS = 10  # in a greeting that a firewall wrote over
MAX_REPLY_BYTES = 16384  # kept of one of its lines, and most that is read as a reply in one go

_REPLY = re.compile(rb"\d\d\d(?:[ -]|\Z)")
_MASK = (b"*", b"0", b"2", b" ")
_PROMPT = re.compile(rb"user|pass", re.IGNORECASE)

# which commands a code can answer, where it cannot answer all; others take what comes
_ONLY_FOR = {
    b"220": frozenset(("CONNECT", "STARTTLS", "X-ANONYMOUSTLS", "XCLIENT")), b"221": frozenset(("QUIT",)), b"235": frozenset(("AUTH",)),
    b"334": frozenset(("AUTH",)), b"354": frozenset(("DATA", "XEXCH50")), b"353": frozenset(("END",)), b"214": frozenset(("HELP", "?")),
}
_NEVER_250 = frozenset(("CONNECT", "AUTH", "DATA", "STARTTLS", "X-ANONYMOUSTLS"))
_TLS_VERBS = frozenset(("STARTTLS", "X-ANONYMOUSTLS"))


class SmtpParser(SmtpCommands):
    """One SMTP or LMTP conversation; `facts.protocol` is lmtp once LHLO was said."""

    protocol = "smtp"

    _reply_at = 0
    _last_unpaired = b""
    _cut: tuple[int, str] | None = None  # where the last line stands of a reply whose end never came although nothing was lost, and what came in place of the end
    _list_after = -1  # how many commands had passed when the last keyword list came

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        if start_seen:
            self._pending.append(("CONNECT", 0, None))
        else:
            self.bulk[CLIENT] = self.await_server
        self._reply_broken = not start_seen  # bytes were lost inside the unfinished reply or just before it
        self._replies_lost = False
        self._reply_lines: list[bytes] = []  # of an unfinished multi-line reply

    # --- bytes to lines and replies

    def awaits(self, side: int) -> str:
        if side or self._state == COMMAND:
            return super().awaits(side)
        return "token" if self._state == TOKENS else "content"

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side; one whole line, or content, in a state that needs no care is what most calls bring, and goes straight to its place."""
        if not data or self._waiting or self._switching or self._rest[side] or self._skipping[side]:
            super().feed(side, data, at)
            return
        consumer = self.bulk[side]
        if consumer is not None:
            used = consumer(data, 0, at)
            if used == len(data):
                return
            data, at = data[used:], at + used
        elif data[-2:] == b"\r\n" and data.find(b"\n") == len(data) - 1 and len(data) <= MAX_COMMAND_BYTES:
            if side:
                if data[3:4] == b" " and data[:3].isdigit() and not self._reply_lines:
                    broken, self._reply_broken = self._reply_broken, False
                    self._reply(data[:3], data, at, not broken)
                    return
            elif self._state == COMMAND and data[0] != 0x16:
                self._command(data[:-2], at)
                return
        super().feed(side, data, at)

    def gap(self, side: int, length: int, at: int) -> None:
        """Bytes of a side are missing; content kept back because it might have begun the end is content after all."""
        if side == CLIENT and self._reader is not None and self._rest[CLIENT] and self.bulk[CLIENT] == self.content:
            self._reader.feed(bytes(self._rest[CLIENT]))
        super().gap(side, length, at)

    def _lines(self, side: int, data: bytes, at: int) -> bytes:
        for _ in range(4):  # more turns between text and something like TLS are no conversation, and each copies
            if self.bulk[side] is not None:
                break
            if data[0] == 0x16:
                is_tls = looks_like_tls(data)
                if is_tls is not False:
                    return self._unannounced_tls(side, data, at) if is_tls else data
            if side and not self._reply_lines and data[-2:] == b"\r\n" and data[:3].isdigit():
                if data[3] == 45 and (is_known_list(data) or self._is_one_reply(data)):
                    self._skipping[SERVER] = False
                    broken, self._reply_broken = self._reply_broken, False
                    self._reply(data[:3], data, at, not broken)
                    return b""
            found = data.find(b"\n\x16\x03") + 1
            if not found or not looks_like_tls(data[found:found + 5]):
                break
            rest = super()._lines(side, data[:found], at)
            if self.handover is not None:
                return b""
            if self._switching or (self._waiting and not side):
                self._keep(side, data[found:], at + found)
                return b""
            data, at = rest + data[found:], at + found - len(rest)
        rest = super()._lines(side, data, at)
        if rest and rest[0] == 0x16 and self.bulk[side] is None and looks_like_tls(rest):
            return self._unannounced_tls(side, rest, at + len(data) - len(rest))
        return rest

    def _is_one_reply(self, data: bytes) -> bool:
        """Whether bytes that begin `250-` and end in CRLF are one complete reply (RFC 5321 §4.2.1)."""
        last = data.rfind(b"\n", 0, -2) + 1
        code = data[:3]
        if data[last:last + 3] != code or data[last + 3] not in (32, 13):
            return False
        n = data.count(b"\r\n")
        return n <= MAX_REPLY_LINES and len(data) <= MAX_REPLY_BYTES and data.count(b"\n") == n and data.count(b"\n" + code + b"-") == n - 2

    def _plausible_start(self, side: int, line: bytes) -> bool:
        line = line[:-1] if line[-1:] == b"\r" else line
        return _REPLY.match(line) is not None if side else len(line) < MAX_COMMAND_BYTES and STRICT_COMMAND.match(line) is not None

    def _resumes_at(self, side: int, line: bytes) -> bool:
        return self._plausible_start(side, line)

    def _unannounced_tls(self, side: int, data: bytes, at: int) -> bytes:
        """TLS begins although no STARTTLS exchange was seen: it was lost, or the side that asked or answered was not captured."""
        if self._last_unpaired == b"220" and self.facts.starttls_accepted is None and not self._waiting:
            self.facts.starttls_accepted, self.facts.starttls_reply_code = True, "220"
        self._held[side], self._held_at[side] = data, at
        clear = self._clear_before_tls(self._held[CLIENT])
        self._hand_over(len(self._held[CLIENT]) if clear is None else clear)
        return b""

    def server_line(self, line: bytes, at: int) -> None:
        if not _REPLY.match(line):
            if line and not self._reply_lines:
                self.anomaly("not-a-reply", SERVER, at, f"{len(line)} bytes")
            elif line and len(self._reply_lines) < MAX_REPLY_LINES:  # a server's line break inside its text
                self._reply_lines.append(line[:MAX_REPLY_BYTES])
            return
        lines = self._reply_lines
        if lines and lines[0][:3] != line[:3]:
            self._cut_reply("another reply came")
            lines = self._reply_lines
        if not lines:
            self._reply_at = at
        if len(lines) < MAX_REPLY_LINES:
            lines.append(line[:MAX_REPLY_BYTES])
        else:
            self._reply_broken = True
        if line[3:4] != b"-":
            self._reply_lines = []
            broken, self._reply_broken = self._reply_broken, False
            self._reply(lines[0][:3], b"\r\n".join(lines) + b"\r\n", self._reply_at, not broken)

    def _cut_reply(self, instead: str = "") -> None:
        """A multi-line reply whose last line never came; `instead` says what did."""
        lines, broken = self._reply_lines, self._reply_broken
        self._reply_lines, self._reply_broken = [], False
        if lines:
            whole = b"\r\n".join(lines) + b"\r\n"
            self._cut = None if broken else (self._reply_at + len(whole) - len(lines[-1]) - 2, instead)
            self._reply(lines[0][:3], whole, self._reply_at, False)
            self._cut = None

    # --- replies

    def _reply(self, code: bytes, block: bytes, at: int, whole: bool) -> None:
        """One reply; `whole` is False when lines of it may be missing."""
        facts = self.facts
        facts.n_replies += 1
        self._fresh = True
        self._fresh_skip = len(self._rest[CLIENT])
        pending = self._pending
        if not pending:
            self._unpaired(code, block, at, whole)
            return
        verb, command_at, extra = pending[0]
        only = _ONLY_FOR.get(code)
        if only is not None:
            if verb not in only:
                if not self._skip_to(only.__contains__):
                    self._unpaired(code, block, at, whole)
                    return
                verb, command_at, extra = pending[0]
        elif verb in _NEVER_250 and code == b"250":
            if not self._make_fit(verb):
                self._unpaired(code, block, at, whole)
                return
            if not pending:
                self._unpaired(code, block, at, whole)
                return
            verb, command_at, extra = pending[0]
        if code != b"334":
            pending.popleft()
        if code[0] < 52:  # 2xx and 3xx
            if facts.accepted_clear_command is None and verb not in NO_CLEAR_COMMAND:
                facts.accepted_clear_command, facts.accepted_clear_code = verb, code.decode()
        elif facts.encryption_required_code is None and verb not in _TLS_VERBS and asks_for_tls(code, block):
            facts.encryption_required_code = code.decode()
        handler = _ON_REPLY.get(verb)
        if handler is not None:
            handler(self, code, block, at, whole, extra)

    def _skip_to(self, fits: Callable[[str], bool]) -> bool:
        """Drop commands whose answers are missing, up to the first that fits; False and nothing dropped when none does."""
        pending = self._pending
        for index, entry in enumerate(pending):
            if fits(entry[0]):
                for _ in range(index):
                    self._drop(pending.popleft())
                return True
        return False

    def _make_fit(self, verb: str) -> bool:
        """A 250 came for a command that never gets one: its own answer was lost. False when the 250 belongs to nothing."""
        pending = self._pending
        if self._skip_to(lambda one: one not in _NEVER_250):
            return True
        if verb == "DATA" and self.bulk[CLIENT] == self.content:  # 354 was lost, the content passes already
            pending.popleft()
            return bool(pending)
        if verb in _TLS_VERBS:
            if self._waiting and self._held[CLIENT] and looks_like_tls(self._held[CLIENT]) is False:  # the client went on in clear
                pending.popleft()
                self._release_client()
                return bool(pending)
            return True  # an odd server's refusal
        return False

    def _unpaired(self, code: bytes, block: bytes, at: int, whole: bool) -> None:
        """A reply to nothing that was seen: one-sided captures, late starts, losses, time-outs."""
        facts = self.facts
        consumer = self.bulk[CLIENT]
        self._last_unpaired = code
        if consumer == self.await_server:
            if self._server_speaks() and self._pending:
                facts.n_replies -= 1
                self._reply(code, block, at, block[block.rfind(b"\n", 0, -2) + 4:][:1] != b"-")  # it was asked for in the capture, so it begins in it
                return
            consumer = self.bulk[CLIENT]
        if consumer == self.content:
            if code[:1] != b"3":
                self.reply_in_content(code)
        elif code == b"354":
            if consumer is None and (self._client_damaged or not facts.n_commands):
                self.start_content()
                self._skipping[CLIENT] = False
        elif code == b"334":
            if self._client_damaged and self._exchange is None and _PROMPT.match(decode_base64(block[4:].strip()) or b""):
                exchange = self._exchange = Exchange(self.protocol, "LOGIN", -1)  # its AUTH line was lost; the prompt says what comes next
                exchange.lost()
                exchange.server(block[4:].strip())
                self._prompted = True
                self._pending.append(("AUTH", 0, exchange))
                self._state = TOKENS
                self._skipping[CLIENT] = False
        elif code == b"220":
            if facts.greeting is None and not facts.n_commands and facts.capabilities is None:
                self._on_connect(code, block, at, whole, None)
        elif code == b"250" and facts.capabilities is None and b"\n250" in block and read_ehlo(block).n_known:
            self._take_list(block, at, whole)
        elif code == b"250" and facts.n_commands and self._list_after == facts.n_commands and not self._client_damaged and read_ehlo(b"250-\r\n" + block[:MAX_CACHED_LIST_BYTES]).n_known:
            self.note(self.oddities.list_notes, "lines-after-end", at)

    def _on_connect(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        facts = self.facts
        if facts.greeting is None:
            line = block[:block.find(b"\r")] if b"\r" in block else block
            facts.greeting, facts.greeting_code, facts.greeting_at = line.decode("utf-8", "replace")[:200], code.decode(), at
            if whole and block[4:5] in _MASK and code == b"220":
                self._masked_greeting(block)

    def _masked_greeting(self, block: bytes) -> None:
        """Cisco's inspection writes asterisks over all of a greeting but 2, 0 and blanks."""
        text = b"".join(line[4:] for line in block.split(b"\r\n")).replace(b" ", b"")
        if len(text) >= MIN_STARS and not text.strip(b"*02"):
            self.oddities.greeting_stars = 100 * text.count(b"*") // len(text)

    def _on_hello(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        verb, message = extra
        self._hello = None
        facts = self.facts
        if code[:1] != b"2":
            if verb != "HELO":
                facts.ehlo_reject_code = code.decode()
                self.oddities.ehlo_rejected_at, self.oddities.ehlo_reject_text = at, _text_of(block)
            return
        facts.hello_verb = verb
        if message is not None and message is self._message:
            self.reset_transaction()
        if verb != "HELO":
            self._take_list(block, at, whole)

    def _take_list(self, block: bytes, at: int, whole: bool) -> None:
        facts = self.facts
        if facts.starttls_accepted:  # decrypted in place, or a downgrade: the lists that count came before
            if whole:
                self.oddities.offer_after_accept = read_ehlo(block).starttls_place >= 0
            return
        if not whole and block[4:].split(None, 1)[:1] and block[4:].split(None, 1)[0].decode("latin-1").upper() in KNOWN_KEYWORDS:
            block, at = b"250-\r\n" + block, at - 6  # the first line was lost, this is a keyword
        found = read_ehlo(block)
        if whole:
            self._list_after = facts.n_commands
            if facts.capabilities is not None:
                self.compare_lists(facts.capabilities, found.capabilities, at)
        elif self._cut is not None:
            self.note(self.oddities.list_notes, "unfinished", *self._cut)
        for note, place, detail in found.notes:
            self.note(self.oddities.list_notes, note, at + place, detail)
        facts.capabilities, facts.capabilities_complete, facts.capabilities_at = found.capabilities, whole, at
        facts.masked_tokens = found.masked
        if found.starttls_place >= 0:
            facts.starttls_offered, facts.starttls_offered_at = True, at + found.starttls_place
        elif whole and facts.starttls_offered is None:
            facts.starttls_offered = False
        if found.auth_place >= 0:
            facts.auth_mechanisms, facts.auth_mechanisms_at = found.auth_mechanisms, at + found.auth_place
        if found.requiretls_place >= 0:
            self._note_requiretls("ehlo", at + found.requiretls_place)

    def _on_starttls(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        self.starttls_answered(code == b"220", code.decode(), _text_of(block), at)

    def _on_unknown(self, code: bytes, block: bytes, at: int, whole: bool, odd: Any) -> None:
        if odd is not None:
            self.odd_answered(odd, code.decode(), _text_of(block))

    def _on_auth(self, code: bytes, block: bytes, at: int, whole: bool, exchange: Exchange) -> None:
        if code == b"334":
            exchange.server(block[4:].partition(b"\r")[0])
            self._prompted = True
            if exchange is self._exchange and self.bulk[CLIENT] is None:
                self._state = TOKENS
                self._skipping[CLIENT] = False
            return
        result, reason = AUTH_RESULTS.get(code, (None, None))
        if exchange.cancelled and code[:1] == b"5":
            reason = "cancelled"
        if result is None:
            result = "success" if code[:1] == b"2" else "unknown" if code[:1] == b"4" else "failed"
            reason = reason or ("temporary" if code[:1] == b"4" else "refused" if result == "failed" else None)
        self._login_over(exchange, result, reason, code.decode())

    def _on_mail(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        message, before = extra
        if message is None:
            return
        message.mail_from_reply = int(code)
        if code == b"503" and before is not None and before.mail_from_reply == 250 and message is self._message:  # nested MAIL: the first one stands
            before.rcpt_to += message.rcpt_to
            self._message = before
            if self.facts.messages and self.facts.messages[-1] is message:
                self.facts.messages.pop()

    def _on_rcpt(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        if extra is not None and code[0] == 50:
            message, address = extra
            message.rcpt_accepted.append(address)

    def _on_data(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        if self.bulk[CLIENT] == self.after_data:
            if code == b"354":
                self.start_content()
            else:
                self._state = COMMAND
                self.bulk[CLIENT] = None
        elif code != b"354":  # content was sent without waiting, and refused
            if self.bulk[CLIENT] == self.content:
                self._early_reply = code
                self._fresh = False
            elif self._pending and self._pending[0][0] == "END":
                self._on_end(code, block, at, whole, self._pending.popleft()[2])

    def _on_end(self, code: bytes, block: bytes, at: int, whole: bool, message: Message | None) -> None:
        if message is None:
            return
        if code == b"353":  # PRDR: an answer for each recipient, then the final one
            self._pending.extendleft([("END", 0, message)] + [("PRDR", 0, None)] * len(message.rcpt_accepted))
        elif not message.accepted:  # LMTP answers once for each recipient; one acceptance is delivery
            message.reply_code, message.accepted = code.decode(), code[0] == 50

    def _on_bdat(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        message, last = extra
        if message is not None and message.accepted is None and (last or code[0] != 50):
            message.reply_code, message.accepted = code.decode(), code[0] == 50

    def _on_exchange50(self, code: bytes, block: bytes, at: int, whole: bool, size: int) -> None:
        if code == b"354" and size:
            self._pending.appendleft(("?", 0, None))
            self._chunk_left, self._chunk_last = size, False
            self.bulk[CLIENT] = self.skip_chunk

    def _on_turn(self, code: bytes, block: bytes, at: int, whole: bool, extra: Any) -> None:
        if code[0] == 50:
            self.anomaly("roles-turned", SERVER, at, "the sides changed roles; what follows was not read")
            self.bulk[CLIENT] = self.bulk[SERVER] = _swallow

    # --- damage and the end

    def lost(self, side: int, length: int, at: int) -> None:
        if self._exchange is not None:
            self._exchange.lost()
            self._prompted = False
        if side == SERVER:
            self._replies_lost = self._reply_broken = True
            self._fresh = True
            return
        self._client_damaged = True
        if self.bulk[CLIENT] is not None:
            self.lost_in_bulk(length)
        elif self._state == COMMAND:
            self._state = UNKNOWN
            self._fresh = False

    def ended(self) -> None:
        facts = self.facts
        if self._reply_lines:
            self._cut_reply()
        if self.bulk[CLIENT] == self.await_server and self._rest[CLIENT]:
            self.bulk[CLIENT] = None
            self._rest[CLIENT] = self._lines(CLIENT, bytes(self._rest[CLIENT]), self._ahead_at)
        self.content_cut_off()
        self._forget_pending()
        if facts.hello_verb is None and self._hello is not None:
            facts.hello_verb = self._hello
        if facts.starttls_requested is None and facts.n_commands and not self._client_damaged and not facts.tls_started:
            facts.starttls_requested = False


def _text_of(block: bytes) -> str:
    """The first line of a reply, without its code."""
    return block[4:].partition(b"\r")[0].decode("utf-8", "replace").strip()[:200]


def _swallow(data: bytes, pos: int, at: int) -> int:
    return len(data) - pos


_ON_REPLY: dict[str, Callable] = {
    "?": SmtpParser._on_unknown, "CONNECT": SmtpParser._on_connect, "EHLO": SmtpParser._on_hello, "STARTTLS": SmtpParser._on_starttls, "X-ANONYMOUSTLS": SmtpParser._on_starttls,
    "AUTH": SmtpParser._on_auth, "MAIL": SmtpParser._on_mail, "RCPT": SmtpParser._on_rcpt, "DATA": SmtpParser._on_data, "END": SmtpParser._on_end,
    "BDAT": SmtpParser._on_bdat, "XEXCH50": SmtpParser._on_exchange50, "TURN": SmtpParser._on_turn, "ATRN": SmtpParser._on_turn,
}
