"""ManageSieve (RFC 5804): capability lines, commands answered in order, AUTHENTICATE with quoted or literal strings, scripts in literals.

Answers carry no tags, so commands wait in a queue; the greeting is the answer to a command that nobody sent. A literal is consumed by its octet count, so a
script is never a command; a gap within one is stepped over exactly. After any other gap the queue is dropped, and answers
pair again from the client's next command on.
"""
from __future__ import annotations

import re
from collections import deque

from ..records import CLIENT, SERVER, OddCommand
from . import sasl
from .imap_grammar import literal_at_end, read_strings
from .layers import LayeredParser
from .masking import looks_masked

MAX_PENDING = 1000  # commands without an answer
MAX_LOGINS = 1000  # of one conversation
MAX_CAPABILITIES = 64  # lines of one list; RFC 5804 §1.7 knows eleven
MAX_CAPABILITY_CHARACTERS = 512  # of one line; "SIEVE" lists some forty extensions
MAX_TOKEN_BYTES = 65536  # of one string of AUTHENTICATE
MAX_GREETING = 200  # characters

DISCOVERY, SCRIPT, ACCESS = range(3)
COMMANDS = {name.encode(): (name, kind) for kind, names in (
    (DISCOVERY, "CAPABILITY NOOP LOGOUT STARTTLS"),
    (ACCESS, "AUTHENTICATE UNAUTHENTICATE"),
    (SCRIPT, "HAVESPACE PUTSCRIPT LISTSCRIPTS SETACTIVE GETSCRIPT DELETESCRIPT RENAMESCRIPT CHECKSCRIPT"),
) for name in names.split()}  # RFC 5804 §2
KNOWN_CAPABILITIES = frozenset(
    "IMPLEMENTATION SASL SIEVE STARTTLS MAXREDIRECTS NOTIFY LANGUAGE OWNER VERSION RENAME NOOP UNAUTHENTICATE XSIEVE EXTLISTS".split())
_VERDICTS = {b"OK": "OK", b"NO": "NO", b"BYE": "BYE"}

# RFC 5804 §1.3: response code of NO or BYE -> (result, reason)
LOGIN_REASONS = {"ENCRYPT-NEEDED": ("failed", "refused"), "AUTH-TOO-WEAK": ("failed", "refused"), "TRANSITION-NEEDED": ("failed", "refused"),
                 "TRYLATER": ("unknown", "temporary"), "REFERRAL": ("unknown", None)}

_CODE = re.compile(rb"\((?:\"([^\"]{1,40})\"|([A-Za-z0-9/_-]{1,40}))")


class ManageSieveParser(LayeredParser):
    """Both sides of one ManageSieve conversation; see LineParser for the interface."""

    protocol = "managesieve"

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self._pending: deque[tuple[str | OddCommand, int]] = deque([("", DISCOVERY)] if start_seen else ())  # "" is the greeting
        self._authenticated: bool | None = False if start_seen else None
        self._client_whole = start_seen
        self._list: list[str] | None = []  # capability lines since the last answer; None: one was lost
        self._list_at: int | None = None
        self._auth: sasl.Exchange | None = None
        self._continued = [False, False]  # the next line goes on behind a literal
        self._left = [0, 0]  # octets to come of the literal under way
        self._token: bytearray | None = None  # octets of a literal of AUTHENTICATE
        self._token_side = CLIENT
        self._token_at: int | None = None
        self._token_use: str = ""  # initial, client, server
        self._damaged = False

    def awaits(self, side: int) -> str:
        if self._continued[side]:
            return "content"
        return "token" if side == CLIENT and self._auth is not None else super().awaits(side)

    # --- client

    def client_line(self, line: bytes, at: int) -> None:
        """`command = verb *(SP argument) CRLF` (RFC 5804 §4)."""
        literal = literal_at_end(line)
        if self._continued[CLIENT]:
            self._continued[CLIENT] = False
            if literal is not None:
                self._expect(CLIENT, literal[1])
            return
        if self._auth is not None and self._take_token(line, literal, at):
            return
        verb, _, arguments = line.partition(b" ")
        known = COMMANDS.get(verb) or COMMANDS.get(verb.upper())
        if known is None:
            odd = self.odd_command(verb, at, bool(arguments)) if line else None
            if odd is not None and len(self._pending) < MAX_PENDING:
                self.facts.n_commands += 1
                self._pending.append((odd, DISCOVERY))
            if line:
                self.anomaly("not-a-command", CLIENT, at, f"{len(line)} bytes")
            return
        name, kind = known
        facts = self.facts
        facts.n_commands += 1
        if kind != DISCOVERY and facts.first_clear_command is None:
            facts.first_clear_command, facts.first_clear_command_at = name, at
        if len(self._pending) >= MAX_PENDING:
            self._pending.clear()
        self._pending.append(known)
        if kind == SCRIPT:
            facts.n_mailbox_commands += 1
        elif name == "AUTHENTICATE":
            self._begin_authenticate(arguments, literal, at)
            return
        elif name == "STARTTLS":
            self.starttls_requested("STARTTLS", at, bool(arguments.strip()))
        if literal is not None:
            self._expect(CLIENT, literal[1])

    def _begin_authenticate(self, arguments: bytes, literal: tuple[int, int, bool] | None, at: int) -> None:
        """`"AUTHENTICATE" SP auth-type [SP string] *(CRLF string)` (RFC 5804 §4); in place of a quoted string a literal may stand."""
        if self._auth is not None:
            self._close_exchange("unknown", None, None)
        values, _ = read_strings(arguments if literal is None else arguments[:arguments.rfind(b"{")])
        mechanism = values[0][0] if values else b""
        self._auth = sasl.Exchange("managesieve", mechanism.decode("latin-1").upper(), at)
        if len(values) > 1:
            self._auth.client(values[1][0], at, initial=True)
        elif literal is not None:
            self._expect(CLIENT, literal[1], "initial")

    def _take_token(self, line: bytes, literal: tuple[int, int, bool] | None, at: int) -> bool:
        """A string of the exchange under way (RFC 5804 §2.1); False when the line is a command, whose predecessor's answer was missed."""
        if literal is not None and literal[0] == 0:
            self._expect(CLIENT, literal[1], "client")
        elif line[:1] == b'"':
            values, _ = read_strings(line)
            self._auth.client(values[0][0], at)
        elif line.partition(b" ")[0].upper() in COMMANDS:
            self._close_exchange("unknown", None, None)
            self._pending.clear()
            return False
        elif line:
            self._auth.client(line, at)  # some clients forget the quotes, above all around "*"
        return True

    # --- server

    def server_line(self, line: bytes, at: int) -> None:
        """`response = *(capability / string / script name) ("OK" / "NO" / "BYE") [SP "(" resp-code ")"] [SP string] CRLF` (RFC 5804 §4)."""
        literal = literal_at_end(line)
        if self._continued[SERVER]:
            self._continued[SERVER] = False
        else:
            first = line[:1]
            if first == b'"':
                self._string_line(line, at)
            elif first == b"{" and self._auth is not None:
                if literal is not None:
                    self._expect(SERVER, literal[1], "server")
                return
            else:
                word, _, text = line.partition(b" ")
                verdict = _VERDICTS.get(word) or _VERDICTS.get(word.upper())
                if verdict is not None:
                    if literal is not None:  # before the answer is judged: it may end the clear conversation
                        self._expect(SERVER, literal[1])
                    self._answer(verdict, text, line, at)
                    return
                if line and first != b"{" and self.start_seen:
                    self.anomaly("not-a-response", SERVER, at, f"{len(line)} bytes")
        if literal is not None:
            self._expect(SERVER, literal[1])

    def _string_line(self, line: bytes, at: int) -> None:
        """A capability, a script name, or a challenge."""
        if self._auth is not None:
            values, _ = read_strings(line)
            self._auth.server(values[0][0])
        elif self._list is not None and len(self._list) < MAX_CAPABILITIES:
            if not self._list:
                self._list_at = at
            values, _ = read_strings(line[:MAX_CAPABILITY_CHARACTERS])
            self._list.append(b" ".join(value for value, _ in values).decode("latin-1").strip())

    def _answer(self, verdict: str, text: bytes, line: bytes, at: int) -> None:
        facts = self.facts
        facts.n_replies += 1
        accepted = verdict == "OK"
        found = _CODE.match(text)
        code = "" if found is None else (found[1] or found[2]).decode("latin-1").upper()
        reply = f"{verdict} ({code})" if code and not accepted else verdict
        if code == "ENCRYPT-NEEDED" and not accepted and facts.encryption_required_code is None:
            facts.encryption_required_code = code
        listed, self._list = self._list, []
        name, kind = self._pending.popleft() if self._pending else (None, DISCOVERY)
        if name.__class__ is OddCommand:
            self.odd_answered(name, reply, text.decode("latin-1"))
            return
        if name == "" or name is None and not facts.n_commands and facts.greeting is None and listed:
            facts.greeting, facts.greeting_code, facts.greeting_at = line[:MAX_GREETING].decode("latin-1"), verdict, at
        if listed and accepted and (name in ("", "CAPABILITY") or name is None and any(one[:14].upper() == "IMPLEMENTATION" for one in listed)):
            self._capabilities(listed)
        if self._auth is not None and (name is None or name == "AUTHENTICATE"):
            name, kind = "AUTHENTICATE", ACCESS
            if accepted and code == "SASL":
                data = text.partition(b'"')[2].partition(b'"')[0]
                self._auth.server(data)
            mechanism = self._auth.mechanism
            self._close_exchange(*self._judge(verdict, code), reply)
            if accepted:
                self.expect_layer(mechanism)
        if accepted and kind != DISCOVERY:
            self._authenticated = name != "UNAUTHENTICATE"
            if facts.accepted_clear_command is None:
                facts.accepted_clear_command, facts.accepted_clear_code = name, verdict
        elif accepted and name is None and self._authenticated is False and facts.greeting is not None:
            self._authenticated = None  # the command is not in the capture: it may have been a login
        if name == "STARTTLS":
            self.starttls_answered(accepted, verdict, text.decode("latin-1"), at)
        elif name is None and accepted and not facts.n_commands and self.bulk[SERVER] is None:
            self.expect_tls()

    def _judge(self, verdict: str, code: str) -> tuple[str, str | None]:
        """Result and reason of a login (RFC 5804 §1.3, §2.1)."""
        if verdict == "OK":
            return "success", None
        if self._auth.cancelled:
            return "failed", "cancelled"
        return LOGIN_REASONS.get(code, ("failed", None))

    def _capabilities(self, lines: list[str]) -> None:
        """`capability = DQUOTE name DQUOTE [SP string] CRLF` (RFC 5804 §1.7); after a login STARTTLS is rightly missing."""
        facts = self.facts
        words = [line.partition(" ") for line in lines]
        names = [name.upper() for name, _, _ in words]
        offered = "STARTTLS" in names
        if facts.starttls_accepted:  # decrypted in place, or a downgrade: the lists that count came before
            self.oddities.offer_after_accept = offered
            return
        if self._authenticated is False:
            if "" in names:
                self.note(self.oddities.list_notes, "empty-line", self._list_at)
            if any(len(name) == len(self.offer) and names.count(name) > 1 for name in names):
                self.note(self.oddities.list_notes, "repeated-word", self._list_at)
            if self._auth is None and facts.n_commands:
                self.compare_lists(facts.capabilities, tuple(lines), self._list_at)
        if not offered and (self._authenticated is not False or self._auth is not None or facts.starttls_offered and not facts.n_commands):
            if facts.capabilities is None:
                facts.capabilities, facts.capabilities_at = tuple(lines), self._list_at
            return
        facts.capabilities, facts.capabilities_at, facts.capabilities_complete = tuple(lines), self._list_at, True
        facts.starttls_offered = offered
        if offered and facts.starttls_offered_at is None:
            facts.starttls_offered_at = self._list_at
        mechanisms = next((value for name, _, value in words if name.upper() == "SASL"), "").upper().split()
        facts.auth_mechanisms = tuple(mechanisms)
        facts.auth_mechanisms_at = self._list_at if mechanisms else None
        facts.masked_tokens = tuple(name for name, _, _ in words if 6 <= len(name) <= 10 and name.upper() not in KNOWN_CAPABILITIES and looks_masked(name.upper()))

    def _close_exchange(self, result: str, reason: str | None, code: str | None) -> None:
        exchange, self._auth = self._auth, None
        if len(self.facts.logins) < MAX_LOGINS:
            self.facts.logins.append(exchange.finish(result, reason, code))
        else:
            self.anomaly("logins-dropped", CLIENT, exchange.at)

    # --- literals

    def _expect(self, side: int, octets: int, use: str = "") -> None:
        """`literal-c2s = "{" number "+}" CRLF *OCTET`, `literal-s2c = "{" number "}" CRLF *OCTET` (RFC 5804 §4)."""
        self._continued[side] = True
        self._left[side] = octets
        if use:
            self._token, self._token_use, self._token_at, self._token_side, self._damaged = bytearray(), use, None, side, False
        if octets:
            self.bulk[side] = self._server_octets if side else self._client_octets
        else:
            self._literal_over(side)

    def _client_octets(self, data: bytes, pos: int, at: int) -> int:
        return self._octets(CLIENT, data, pos, at)

    def _server_octets(self, data: bytes, pos: int, at: int) -> int:
        return self._octets(SERVER, data, pos, at)

    def _octets(self, side: int, data: bytes, pos: int, at: int) -> int:
        n = min(self._left[side], len(data) - pos)
        if self._token is not None and side == self._token_side:
            if self._token_at is None:
                self._token_at = at
            if len(self._token) + n <= MAX_TOKEN_BYTES:
                self._token += data[pos:pos + n]
            elif not self._damaged:
                self._damaged = True
                self.anomaly("literal-too-long", side, at, f"over {MAX_TOKEN_BYTES} octets in AUTHENTICATE")
        self._left[side] -= n
        if not self._left[side]:
            self._literal_over(side)
        return n

    def _literal_over(self, side: int) -> None:
        self.bulk[side] = None
        if self._token is None or side != self._token_side:
            return
        token, self._token = bytes(self._token), None
        exchange = self._auth
        if exchange is None:
            return
        if self._damaged:
            exchange.lost()
        elif side == SERVER:
            exchange.server(token)
        else:
            exchange.client(token, exchange.at if self._token_at is None else self._token_at, initial=self._token_use == "initial")

    # --- damage and end

    def gap(self, side: int, length: int, at: int) -> None:
        """Missing bytes; the octets of a literal are counted on, so that one that swallows the gap ends where it should."""
        left = self._left[side]
        if left and not (side == CLIENT and self._waiting):
            if side == self._token_side:
                self._damaged = True
            if length < left:
                self._left[side] = left - length
                return
            self._left[side] = 0
            self._literal_over(side)
            if length == left:
                return
        super().gap(side, length, at)

    def lost(self, side: int, length: int, at: int) -> None:
        self._pending.clear()
        self._continued[side] = False
        self._list = None
        if self._auth is not None:
            self._auth.lost()
        if self._authenticated is False:
            self._authenticated = None
        if side == CLIENT:
            self._client_whole = False

    def ended(self) -> None:
        if self._auth is not None:
            self._close_exchange("unknown", None, None)
        facts = self.facts
        if self._list and self._pending and self._pending[0][0] in ("", "CAPABILITY"):
            self.note(self.oddities.list_notes, "unfinished", self._list_at)
        if facts.starttls_requested is None and facts.n_commands and self._client_whole:
            facts.starttls_requested = False

    def verb_of(self, line: bytes) -> str | None:
        known = COMMANDS.get(line[:32].split(b" ", 1)[0].upper())
        return None if known is None else known[0]

    def _plausible_start(self, side: int, line: bytes) -> bool:
        word = line.partition(b" ")[0].upper()
        return word in _VERDICTS or line[:1] == b'"' if side == SERVER else word in COMMANDS


# --- detection

_SERVER_LINE = re.compile(rb"\"(?:IMPLEMENTATION|SIEVE|SASL|VERSION|NOTIFY|STARTTLS|MAXREDIRECTS|LANGUAGE|OWNER|UNAUTHENTICATE)\"[ \r\n]", re.IGNORECASE)
_CLIENT_LINE = re.compile(
    rb"(?:AUTHENTICATE \"[A-Z0-9_-]{1,32}\"|(?:PUTSCRIPT|GETSCRIPT|SETACTIVE|DELETESCRIPT|RENAMESCRIPT|HAVESPACE|CHECKSCRIPT) [\"{]"
    rb"|LISTSCRIPTS\r?\n|UNAUTHENTICATE\r?\n)", re.IGNORECASE)
_PERHAPS = re.compile(rb"(?:CAPABILITY|STARTTLS|LOGOUT|NOOP)\r?\n|OK(?: \"|\r?\n)", re.IGNORECASE)


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of both sides are ManageSieve: a capability line in quotes, or a command that no other protocol has.

    Returns: True, False, or None when more bytes are needed.
    """
    if _SERVER_LINE.match(server) or _CLIENT_LINE.match(client):
        return True
    client_open = not client or b"\n" not in client[:64] and len(client) < 64 or _PERHAPS.match(client)
    if not client_open:
        return False
    if server:
        if server[0] == 34:
            return None if b"\n" not in server[:64] and len(server) < 64 else False
        if not _PERHAPS.match(server) and not (len(server) < 5 and b"\n" not in server):
            return False
    lines = client[:512].split(b"\n")
    if any(_CLIENT_LINE.match(line + b"\n") for line in lines[1:-1]):
        return True
    return None if len(client) < 512 and len(server) < 512 else False
