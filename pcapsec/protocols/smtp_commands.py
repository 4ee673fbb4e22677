"""The client's side of SMTP: commands, SASL answers, and lines of which it is not known what they are."""
from __future__ import annotations

import re
from typing import Callable

from ..records import CLIENT, Message
from .lines import MAX_HELD_BYTES
from .sasl import Exchange, decode_base64
from .smtp_content import AHEAD, COMMAND, MAX_COMMAND_BYTES, TOKENS, MailContent, Pending
from .smtp_grammar import STRICT_COMMAND, read_path

MAX_PENDING = 1000  # commands without an answer; Postfix pipelines at most some hundred recipients
MAX_RECIPIENTS = 50000  # kept of one conversation; servers take at most some 1000 per message
MAX_LOGINS = 1000
MAX_NAME = 255

NO_CLEAR_COMMAND = frozenset(("EHLO", "HELO", "LHLO", "STARTTLS", "X-ANONYMOUSTLS", "NOOP", "RSET", "HELP", "QUIT", "CONNECT", "END", "?"))
_LOOSE_WORD = re.compile(rb"(?:MAIL(?=[ \t]*FROM)|RCPT(?=[ \t]*TO)|[A-Z0-9-]+(?=[ \t]))", re.IGNORECASE)

# which command may stand behind which, for captures without a server; a lone dot ends content
_AFTER_MAIL = frozenset((b"MAIL", b"RSET", b"QUIT", b"NOOP"))
_FOLLOWERS = {
    b"EHLO": frozenset((b"MAIL", b"AUTH", b"STAR", b"X-EX", b"EHLO", b"HELO")), b"HELO": frozenset((b"MAIL",)), b"LHLO": frozenset((b"MAIL", b"STAR")), b"MAIL": frozenset((b"RCPT",)),
    b"RCPT": frozenset((b"RCPT", b"DATA", b"BDAT")), b"RSET": frozenset((b"MAIL", b"QUIT")), b"AUTH": frozenset((b"MAIL", b"QUIT")),
    b".": _AFTER_MAIL,
}
_BARE_AUTH = re.compile(rb"AUTH \S+\s*\Z", re.IGNORECASE)


class SmtpCommands(MailContent):
    """The part of the SMTP parser that reads client lines."""

    _replies_lost: bool
    _reply_broken: bool
    _reply_lines: list[bytes]
    _cut_reply: Callable[..., None]
    _candidate: tuple[bytes, int] | None = None  # a strict command seen in state UNKNOWN without a server
    _exchange: Exchange | None = None  # the login that is going on
    _n_recipients = 0
    _prompted = False  # the server asked for a token that did not come yet
    _hello: str | None = None  # EHLO, HELO or LHLO while it is not answered

    def client_line(self, line: bytes, at: int) -> None:
        state = self._state
        if state == COMMAND:
            self._command(line, at)
        elif state == TOKENS:
            self._token_line(line, at)
        else:
            self._unknown_line(line, at)

    def _command(self, line: bytes, at: int) -> None:
        if self._reply_broken:  # the client read what came before the loss: the next reply begins anew
            self._cut_reply()
            self._reply_broken = False
        if self._replies_lost:  # the client goes on: what it sent before the loss was answered
            self._replies_lost = False
            self._forget_pending()
        self._fresh = False
        space = line.find(b" ")
        word = line if space < 0 else line[:space]
        entry = _COMMANDS.get(word)
        if entry is None:
            entry = self._unusual_command(line, word, at)
            if entry is None:
                return
        verb, handler = entry
        facts = self.facts
        facts.n_commands += 1
        if facts.first_clear_command is None and verb not in NO_CLEAR_COMMAND:
            facts.first_clear_command, facts.first_clear_command_at = verb, at
        if len(self._pending) >= MAX_PENDING:
            self._drop(self._pending.popleft())
        handler(self, verb, line, at)

    def _unusual_command(self, line: bytes, word: bytes, at: int) -> tuple[str, Callable] | None:
        """Lower case, tabs, no blank behind the verb; None and counted when it is no command that we know."""
        word = word.upper().strip()
        entry = _COMMANDS.get(word)
        if entry is None:
            match = _LOOSE_WORD.match(line)
            entry = _COMMANDS.get(match[0].upper()) if match else None
        if entry is not None:
            return entry
        if word == b"PROXY" and not self.facts.n_commands and self.facts.tunnel is None:
            self._proxy(line)
        elif word:
            self.facts.n_commands += 1
            if len(self._pending) < MAX_PENDING:
                self._pending.append(("?", at, self.odd_command(word, at, len(line) > len(word))))
            kind = "letters" if word.isalpha() else "printable" if word.isascii() and word.decode("ascii").isprintable() else "binary"
            kind = "one letter repeated" if len(word) > 3 and word == word[:1] * len(word) else kind
            self.anomaly("unknown-command", CLIENT, at, f"{len(word)} characters, {kind}")
        return None

    def _proxy(self, line: bytes) -> None:
        """`PROXY TCP4 source destination source-port destination-port` (PROXY protocol version 1, §2.1)."""
        words = line[:107].decode("latin-1").split()
        self.facts.tunnel = "proxy-protocol"
        self.facts.identity["proxy"] = " ".join(words[1:])
        if len(words) == 6:
            self.facts.tunnel_target = f"{words[3]}:{words[5]}"

    def _cmd_plain(self, verb: str, line: bytes, at: int) -> None:
        self._pending.append((verb, at, None))

    def _cmd_hello(self, verb: str, line: bytes, at: int) -> None:
        facts = self.facts
        facts.client_name = line[5:].strip().decode("utf-8", "replace")[:MAX_NAME] or facts.client_name
        if self._reply_lines:  # who greets again amid a reply has waited for its last line in vain
            self._cut_reply("the client greeted anew")
        self._hello = verb
        if verb == "LHLO":
            facts.protocol = self.protocol = "lmtp"
        self._pending.append(("EHLO", at, (verb, self._message)))

    def _cmd_mail(self, verb: str, line: bytes, at: int) -> None:
        before, message = self._message, None
        start = _argument(line, b"FROM")
        if start:
            address, parameters = read_path(line, start)
            message = self.new_message(at)
            message.mail_from = address
            if parameters:
                upper = parameters.upper()
                if b"AUTH=" in upper or b"REQUIRETLS" in upper:
                    self._mail_parameters(parameters, message, at)
        self._pending.append(("MAIL", at, (message, before)))

    def _mail_parameters(self, parameters: bytes, message: Message, at: int) -> None:
        for word in parameters.split():
            name = word[:10].upper()
            if name == b"REQUIRETLS" and len(word) == 10:  # RFC 8689 §4
                message.requiretls = True
                self._note_requiretls("mail", at)
            elif name[:5] == b"AUTH=" and word[5:] != b"<>":  # RFC 4954 §5
                self.facts.identity["mail-auth"] = word[5:].decode("latin-1")[:MAX_NAME]

    def _cmd_rcpt(self, verb: str, line: bytes, at: int) -> None:
        message = self._message
        extra = None
        start = _argument(line, b"TO")
        if start:
            if message is None and self._client_damaged:
                message = self.new_message(at)
            if message is not None and self._n_recipients < MAX_RECIPIENTS:
                self._n_recipients += 1
                address = read_path(line, start)[0]
                message.rcpt_to.append(address)
                extra = (message, address)
        self._pending.append(("RCPT", at, extra))

    def _cmd_data(self, verb: str, line: bytes, at: int) -> None:
        self._pending.append(("DATA", at, None))
        self.close_chunks()
        self._state = AHEAD
        self._headless = False
        self.bulk[CLIENT] = self.after_data

    def _cmd_bdat(self, verb: str, line: bytes, at: int) -> None:
        words = line.split()
        size = int(words[1]) if len(words) > 1 and words[1].isdigit() and len(words[1]) <= 12 else -1
        last = len(words) > 2 and words[2].upper() == b"LAST"
        if len(words) > 2 and not last:  # RFC 3030 §2: nothing else may stand there; servers refuse it and read on in lines
            size = -1
        if size < 0:
            self._pending.append(("?", at, None))
            return
        message = self._message
        if message is None and (size or self._client_damaged):
            message = self.new_message(at)
        self._pending.append(("BDAT", at, (message, last)))
        self._chunk_left, self._chunk_last = size, last
        if size:
            self.bulk[CLIENT] = self.chunk
        elif last:
            self.end_chunks()

    def _cmd_rset(self, verb: str, line: bytes, at: int) -> None:
        self.reset_transaction()
        self._pending.append(("RSET", at, None))

    def _cmd_auth(self, verb: str, line: bytes, at: int) -> None:
        words = line.split(None, 2)
        if len(words) < 2:
            self._pending.append(("?", at, None))
            return
        self._auth_tried = True
        exchange = self._exchange = Exchange(self.protocol, words[1].decode("latin-1").upper(), at)
        if len(words) > 2:
            exchange.client(words[2], at, initial=True)
        self._pending.append(("AUTH", at, exchange))
        self._state = TOKENS

    def _cmd_starttls(self, verb: str, line: bytes, at: int) -> None:
        self._pending.append((verb, at, None))
        self.starttls_requested(verb, at, bool(line[len(verb):].strip()))

    def verb_of(self, line: bytes) -> str | None:
        entry = _COMMANDS.get(line[:32].split(b" ", 1)[0].strip().upper())
        return None if entry is None else entry[0]

    def _cmd_identity(self, verb: str, line: bytes, at: int) -> None:
        self.facts.identity[verb.lower()] = line.partition(b" ")[2].decode("utf-8", "replace")[:512]
        self._pending.append((verb, at, None))

    def _cmd_exchange50(self, verb: str, line: bytes, at: int) -> None:
        words = line.split()
        size = int(words[1]) if len(words) > 1 and words[1].isdigit() and len(words[1]) <= 9 else 0
        self._pending.append(("XEXCH50", at, size))

    def _token_line(self, line: bytes, at: int) -> None:
        """State TOKENS: the client's answer. One that nobody asked for may be a command beyond doubt instead: the end of the login was lost, or not waited for."""
        if not self._prompted and (b" " in line or len(line) <= 8) and len(line) < MAX_COMMAND_BYTES and STRICT_COMMAND.match(line):
            self._state = COMMAND
            self._command(line, at)
            return
        self._prompted = False
        exchange = self._exchange
        exchange.client(line, at)
        if exchange.at < 0:
            exchange.at = at

    def await_server(self, data: bytes, pos: int, at: int) -> int:
        """Consumer for a capture that starts late: nothing is believed before the server speaks, or too much has passed for that."""
        self._ahead_at = at
        if len(data) - pos > MAX_HELD_BYTES:
            self.bulk[CLIENT] = None
        return 0

    def _server_speaks(self) -> bool:
        """The first reply of a capture that starts late: what the client said before it were commands if each line is one beyond doubt.

        Returns:
            whether there were commands, which the reply may answer.
        """
        before = bytes(self._rest[CLIENT])
        self.bulk[CLIENT] = None
        self._rest[CLIENT] = b""
        self._skipping[CLIENT] = before[-1:] not in (b"", b"\n")
        if not self._skipping[CLIENT] and before and all(self._plausible_start(CLIENT, line) for line in before[:-1].split(b"\n")):
            self._state = COMMAND
            self._rest[CLIENT] = self._lines(CLIENT, before, self._ahead_at)
            return True
        return False

    def _unknown_line(self, line: bytes, at: int) -> None:
        """State UNKNOWN: believe a strict command where it cannot well be message text (module docstring of smtp.py)."""
        fresh, self._fresh = self._fresh, False
        strict = len(line) < MAX_COMMAND_BYTES and STRICT_COMMAND.match(line) is not None
        candidate, self._candidate = self._candidate, None
        if self.facts.n_replies:
            if strict and fresh:
                self._state = COMMAND
                self._forget_pending()
                self._command(line, at)
        elif candidate is not None and (
                strict and line[:4].upper() in _FOLLOWERS.get(candidate[0][:4].upper(), ()) or not strict and _BARE_AUTH.match(candidate[0]) and line and decode_base64(line) is not None):
            self._state = COMMAND
            if candidate[0] != b".":
                self._command(*candidate)
            self.client_line(line, at)
        elif strict or line == b".":
            self._candidate = (line, at)

    def _drop(self, entry: Pending) -> None:
        """A command that will get no answer."""
        if entry[0] == "AUTH":
            self._login_over(entry[2], "unknown", None, None)

    def _forget_pending(self) -> None:
        while self._pending:
            self._drop(self._pending.popleft())

    def _login_over(self, exchange: Exchange, result: str, reason: str | None, code: str | None) -> None:
        if exchange is self._exchange:
            self._exchange = None
            if self._state == TOKENS:
                self._state = COMMAND
        if len(self.facts.logins) < MAX_LOGINS and exchange.at >= 0:
            self.facts.logins.append(exchange.finish(result, reason, code))

    def _note_requiretls(self, where: str, at: int) -> None:
        facts = self.facts
        if not facts.requiretls:
            facts.requiretls_at = at
        if where not in facts.requiretls:
            facts.requiretls += (where,)


def _argument(line: bytes, word: bytes) -> int:
    """Where the path begins in `MAIL FROM:path` or `RCPT TO:path`, whatever blanks stand around the colon; 0 when the word is missing."""
    end = 5 + len(word)
    if line[5:end + 1] == word + b":":
        return end + 1
    text = line[4:].lstrip()
    if text[:len(word)].upper() != word:
        return 0
    return len(line) - len(text[len(word):].lstrip(b" :\t"))


_COMMANDS: dict[bytes, tuple[str, Callable]] = {
    verb.encode(): (verb, handler) for handler, verbs in (
        (SmtpCommands._cmd_hello, "EHLO HELO LHLO"), (SmtpCommands._cmd_mail, "MAIL"), (SmtpCommands._cmd_rcpt, "RCPT"), (SmtpCommands._cmd_data, "DATA"),
        (SmtpCommands._cmd_bdat, "BDAT"), (SmtpCommands._cmd_rset, "RSET"), (SmtpCommands._cmd_auth, "AUTH X-EXPS"), (SmtpCommands._cmd_starttls, "STARTTLS X-ANONYMOUSTLS"),
        (SmtpCommands._cmd_identity, "XCLIENT XFORWARD"), (SmtpCommands._cmd_exchange50, "XEXCH50"),
        (SmtpCommands._cmd_plain, "NOOP QUIT HELP VRFY EXPN ETRN TURN ATRN BURL")) for verb in verbs.split()}
