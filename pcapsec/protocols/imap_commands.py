"""The client's half of an IMAP conversation: commands, logins, and the literals in them.

Literals are consumed by their octet count, so text in them is never a command. A `{n}` counts as sent only when octets follow it; without the server's "+"
they may also be the next command, after a refusal that the capture does not show, and are then recognised by their form.
"""
from __future__ import annotations

from ..records import CLIENT, Login, Message, OddCommand
from ..secret import Secret
from . import sasl
from .imap_grammar import COMMANDS, DISCOVERY, MAILBOX, is_command, is_sure_command, literal_at_end, read_strings
from .layers import LAYERED, LayeredParser
from .message import MessageReader

MAX_PENDING = 1000  # commands without an answer; more means that answers are not in the capture
MAX_LOGINS = 1000  # of one conversation
MAX_MESSAGES = 10_000  # of one conversation
MAX_ARGUMENT_BYTES = 65536  # of a literal in LOGIN or ID
MAX_ARGUMENTS = 64  # of LOGIN and ID; RFC 2971 §3.3 allows 30 pairs
MAX_IDENTITY_CHARACTERS = 400
PEEK_BYTES = 64  # of the octets behind `{n}`, to tell a command from a literal

# RFC 2971 §3.3, and what proxies add about the client; values of other fields may be tokens and are left out.
IDENTITY_FIELDS = frozenset(("name", "version", "os", "os-version", "vendor", "support-url", "address", "date", "command", "arguments", "environment",
                             "x-originating-ip", "x-originating-port", "x-connected-ip", "x-connected-port", "x-proxy-ttl"))


class Command:
    """One client command until its tagged answer."""

    login: Login | None = None
    exchange: sasl.Exchange | None = None
    messages: list[Message] | None = None
    arguments: list[tuple[bytes | None, int]]  # value (None: bytes of it are missing), offset; of LOGIN and ID only
    forms: list[str] | None = None  # how each of them was written: atom, quoted, literal, literal+
    damaged = False

    def __init__(self, name: str, kind: int, tag: bytes, at: int):
        self.name, self.kind, self.tag, self.at = name, kind, tag, at


class CommandSide(LayeredParser):
    """The client's half; ImapParser adds the server's."""

    protocol = "imap"
    is_command = staticmethod(is_command)

    # where a conversation begins; on the class, as most never change one
    _odd: dict[bytes, OddCommand] | None = None  # by tag, those that wait for their answers
    _login_tag: bytes | None = None  # of the last LOGIN without an answer
    _auth: Command | None = None  # AUTHENTICATE without an answer
    _client_taker = None  # takes the next client line in place of the usual grammar
    _command: Command | None = None  # broken into several lines by a literal
    _confirmed = True  # its literal is surely on its way
    _form = "literal"
    _argument: bytearray | None = None  # the literal so far, in LOGIN and ID
    _argument_at: int | None = None
    _argument_lost = False  # octets of the literal under way are missing

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self._client_sure = start_seen  # what looks like a command is one; False where it may be the middle of a message
        self._client_whole = start_seen  # no client bytes were lost so far
        self._authenticated: bool | None = False if start_seen else None
        self._pending: dict[bytes, Command | tuple[str, int]] = {}
        self._left = [0, 0]  # octets to come of the literal under way
        self._readers: list[MessageReader | None] = [None, None]  # where they go
        self._begin = [None, None]  # makes the reader when the first octet comes

    def client_line(self, line: bytes, at: int) -> None:
        """`command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF` (RFC 9051 §9)."""
        taker = self._client_taker
        if taker is not None:
            taker(line, at)
            return
        if self._inflaters is not None:
            at = self._chunk_at[CLIENT]
        words = line.split(b" ", 2)
        n_words = len(words)
        tag, verb, arguments = words[0], words[1] if n_words > 1 else b"", words[2] if n_words > 2 else b""
        known = COMMANDS.get(verb) or COMMANDS.get(verb.upper())
        if known is None:
            if not verb.replace(b"-", b"").isalnum() or not verb.isascii():
                if line and line.strip().upper() != b"DONE":  # DONE ends IDLE (RFC 2177)
                    self.anomaly("not-a-command", CLIENT, at, f"{len(line)} bytes")
                return
            odd = self.odd_command(verb, at, bool(arguments))
            if odd is not None:
                self._odd = {**(self._odd or {}), tag: odd}
            known = verb[:32].decode("ascii").upper(), DISCOVERY  # a word that no table knows opens no mailbox
        if not self._client_sure and not is_sure_command(line):
            return
        name, kind = known
        facts = self.facts
        facts.n_commands += 1
        if kind != DISCOVERY and facts.first_clear_command is None:
            facts.first_clear_command, facts.first_clear_command_at = name, at
        if len(self._pending) >= MAX_PENDING:
            self._pending.clear()
        self._pending[tag] = known
        if kind == MAILBOX:
            facts.n_mailbox_commands += 1
        else:
            begin = self._BEGIN.get(name)
            if begin is not None:
                begin(self, self._track(known, tag, at), arguments, at)
                return
        if line[-1] == 125:
            self._literal_announced(self._track(known, tag, at), arguments)

    def _track(self, known: tuple[str, int], tag: bytes, at: int) -> Command:
        """A record of its own for a command that needs one; the others share the entry of the command table."""
        command = self._pending[tag] = Command(known[0], known[1], tag, at)
        return command

    def verb_of(self, line: bytes) -> str | None:
        known = COMMANDS.get((line[:96].split(b" ", 2) + [b""])[1].upper())
        return None if known is None else known[0]

    def command_word(self, line: bytes) -> str:
        return (line[:64].split(b" ", 2) + [b""])[1][:32].decode("latin-1").strip().upper()

    # --- LOGIN and ID

    def _begin_login(self, command: Command, arguments: bytes, at: int) -> None:
        """`login = "LOGIN" SP userid SP password` (RFC 9051 §9): two astrings, each an atom, a quoted string or a literal."""
        facts = self.facts
        self._login_tag = command.tag
        login = command.login = Login(protocol="imap", mechanism="LOGIN-COMMAND", at=at)
        login.details["tag"] = command.tag[:32].decode("latin-1")
        if facts.login_disabled is not None:
            login.details["login_disabled"] = facts.login_disabled
        self._keep_login(login)
        if arguments[-1:] != b"}":
            values, login.well_formed = read_strings(arguments)
            if len(values) == 2:  # what nearly every client sends
                (name, _), (password, login.details["form"]) = values
                login.principal = sasl.to_text(name) or None
                if password:
                    login.secret, login.secret_at, login.exposure = Secret(password), at, "password"
                return
        self._begin_arguments(command, arguments, at)

    def _keep_login(self, login: Login) -> None:
        if len(self.facts.logins) < MAX_LOGINS:
            self.facts.logins.append(login)
        else:
            self.anomaly("logins-dropped", CLIENT, login.at)

    def _begin_identity(self, command: Command, arguments: bytes, at: int) -> None:
        """`id = "ID" SP id_params_list`, `id_params_list = "(" *(string SP nstring) ")" / nil` (RFC 2971 §4)."""
        if arguments[:1] == b"(":
            self._begin_arguments(command, arguments[1:-1] if arguments[-1:] == b")" else arguments[1:], at)

    def _begin_arguments(self, command: Command, arguments: bytes, at: int) -> None:
        command.arguments, command.forms = [], []
        self._take_arguments(command, arguments, at)

    def _take_arguments(self, command: Command, text: bytes, at: int) -> None:
        """One line of a command whose arguments matter: up to its end or to the next literal."""
        literal = literal_at_end(text)
        values, well_formed = read_strings(text if literal is None else text[:literal[0]])
        for value, form in values[:MAX_ARGUMENTS - len(command.arguments)]:
            command.arguments.append((value, at))
            command.forms.append(form)
        if not well_formed and command.login is not None:
            command.login.well_formed = False
        if literal is not None:
            self._expect_literal(command, literal, collect=True)
        else:
            self._close_arguments(command, complete=True)

    def _close_arguments(self, command: Command, *, complete: bool) -> None:
        """The command's arguments are all there, or will not come any more."""
        self._command = self._client_taker = self._argument = None
        if command.login is not None:
            self._close_login(command, complete)
        elif command.name == "ID":
            self._close_identity(command.arguments)

    def _close_login(self, command: Command, complete: bool) -> None:
        login, arguments = command.login, command.arguments
        if command.damaged or complete and len(arguments) != 2:
            login.well_formed = False
        if arguments and arguments[0][0] is not None:
            login.principal = sasl.to_text(arguments[0][0]) or None
        if len(arguments) > 1:
            value, at = arguments[1]
            if len(arguments) > 2:  # unquoted blanks: the server refuses it, the password has passed all the same
                value = b" ".join(piece or b"" for piece, _ in arguments[1:])
            login.details["form"] = command.forms[1]
            if value:
                login.secret, login.secret_at, login.exposure = Secret(value), at, "password"

    def _close_identity(self, arguments: list[tuple[bytes | None, int]]) -> None:
        pairs = []
        for (name, _), (value, _) in zip(arguments[::2], arguments[1::2]):
            field = sasl.to_text(name or b"").lower()
            if field in IDENTITY_FIELDS and value and value.upper() != b"NIL":
                pairs.append(f"{field}={sasl.to_text(value)}")
        if pairs:
            self.facts.identity["imap-id"] = "; ".join(pairs)[:MAX_IDENTITY_CHARACTERS]

    # --- AUTHENTICATE

    def _begin_authenticate(self, command: Command, arguments: bytes, at: int) -> None:
        """`authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp] *(CRLF base64)` (RFC 9051 §9)."""
        mechanism, _, initial = arguments.strip().partition(b" ")
        mechanism = mechanism.strip(b'"').upper()
        command.exchange = sasl.Exchange("imap", mechanism.decode("latin-1"), at)
        if initial:
            command.exchange.client(initial, at, initial=True)
        self._auth = command
        self._client_taker = self._token_line

    def _token_line(self, line: bytes, at: int) -> None:
        """A base64 line of the exchange under way; a command in its place shows that the answer was missed."""
        exchange = self._auth.exchange
        if b" " in line and is_command(line):
            self._close_exchange("unknown", None, None)
            self.client_line(line, at)
        elif line[:1] == b"\0" and exchange.mechanism in LAYERED:
            self.wrapped()
            self._close_exchange("unknown", None, None)
        else:
            exchange.client(line.rstrip(), self.where(CLIENT, at))

    def _close_exchange(self, result: str, reason: str | None, code: str | None) -> None:
        command, self._auth, self._client_taker = self._auth, None, None
        login = command.exchange.finish(result, reason, code)
        login.details["tag"] = command.tag[:32].decode("latin-1")
        self._keep_login(login)

    # --- STARTTLS and COMPRESS

    def _begin_starttls(self, command: Command, arguments: bytes, at: int) -> None:
        if self._authenticated is None:
            self._authenticated = False
        self.starttls_requested("STARTTLS", at, bool(arguments.strip()))

    def _begin_compress(self, command: Command, arguments: bytes, at: int) -> None:
        if arguments.strip().upper() == b"DEFLATE" and self._inflaters is None:
            self.compress_requested()

    _BEGIN = {"LOGIN": _begin_login, "AUTHENTICATE": _begin_authenticate, "STARTTLS": _begin_starttls, "ID": _begin_identity, "COMPRESS": _begin_compress}

    # --- literals

    def _literal_announced(self, command: Command, text: bytes) -> None:
        """A literal in a command other than LOGIN and ID. `append = "APPEND" SP mailbox 1*append-message` (RFC 9051 §6.3.12, RFC 3502)."""
        literal = literal_at_end(text)
        if literal is None:
            return
        if command.name == "APPEND" and (command is self._command or text[:1] != b"{"):  # a literal in first place names the mailbox
            self._begin[CLIENT] = self._appended
        self._expect_literal(command, literal)

    def _expect_literal(self, command: Command, literal: tuple[int, int, bool], *, collect: bool = False) -> None:
        _, octets, waits = literal
        self._command = command
        self._client_taker = self._command_continued
        self._confirmed, self._form = not waits, "literal" if waits else "literal+"
        self._argument, self._argument_at, self._argument_lost = bytearray() if collect else None, None, False
        self._left[CLIENT] = octets
        if octets:
            self.bulk[CLIENT] = self._client_octets
        else:
            self._begin[CLIENT] = None
            self._client_literal_over()

    def _client_octets(self, data: bytes, pos: int, at: int) -> int:
        left, n = self._left[CLIENT], len(data) - pos
        if not self._confirmed:
            peek, newline, _ = data[pos:pos + PEEK_BYTES].partition(b"\n")
            if not newline and n < left and n < PEEK_BYTES:
                return 0
            if is_command(peek):
                self._literal_refused()
                return 0
            self._confirmed = True
        if n > left:
            n = left
        begin = self._begin[CLIENT]
        if begin is not None:
            self._begin[CLIENT] = None
            begin(self.where(CLIENT, at))
        reader = self._readers[CLIENT]
        if reader is not None:
            reader.feed(data[pos:pos + n])
        elif self._argument is not None:
            if self._argument_at is None:
                self._argument_at = self.where(CLIENT, at)
            if len(self._argument) + n > MAX_ARGUMENT_BYTES and not self._argument_lost:
                self.anomaly("literal-too-long", CLIENT, at, f"over {MAX_ARGUMENT_BYTES} octets in an argument")
                self._argument_lost = self._command.damaged = True
            if not self._argument_lost:
                self._argument += data[pos:pos + n]
        self._left[CLIENT] = left - n
        if n == left:
            self._client_literal_over()
        return n

    def _client_literal_over(self) -> None:
        self.bulk[CLIENT] = None
        reader, self._readers[CLIENT] = self._readers[CLIENT], None
        if reader is not None:
            reader.finish(not self._argument_lost)
        command = self._command
        if self._argument is not None and len(command.arguments) < MAX_ARGUMENTS:
            command.arguments.append((None if self._argument_lost else bytes(self._argument), command.at if self._argument_at is None else self._argument_at))
            command.forms.append(self._form)
        self._argument = None

    def _command_continued(self, line: bytes, at: int) -> None:
        """What follows a literal within the same command."""
        command = self._command
        if command.forms is not None:
            if command.login is None and line[-1:] == b")":  # the end of ID's list
                line = line[:-1]
            self._take_arguments(command, line, self.where(CLIENT, at))
            return
        self._client_taker = None
        if line[-1:] == b"}":
            self._literal_announced(command, line)
        if self._client_taker is None:
            self._command = None

    def _literal_refused(self) -> None:
        """The literal that was announced does not come."""
        self.bulk[CLIENT] = self._begin[CLIENT] = None
        self._left[CLIENT] = 0
        self._close_arguments(self._command, complete=False)

    def _appended(self, at: int) -> None:
        command = self._command
        message = self._message("submitted", CLIENT, at)
        if message is not None:
            if command.messages is None:
                command.messages = []
            command.messages.append(message)
            self._readers[CLIENT] = MessageReader(message)

    def _message(self, direction: str, side: int, at: int) -> Message | None:
        """A new message among the facts; None when there are too many."""
        found = self.facts.messages
        if len(found) >= MAX_MESSAGES:
            self.anomaly("messages-dropped", side, at)
            return None
        message = Message(protocol="imap", direction=direction, side=side, at=at)
        found.append(message)
        return message
