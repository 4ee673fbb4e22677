"""IMAP (RFC 3501, RFC 9051): the server's responses, paired by tag with the commands of imap_commands, and what they say.

A gap within a literal is stepped over exactly; after any other gap both what was half known of that side and the bytes up to the next line end are dropped.
Whether a capability list speaks for a client that has not logged in is tracked (`_authenticated`: True, False, None unknown), as STARTTLS, AUTH= and
LOGINDISABLED are rightly missing from later lists. After COMPRESS DEFLATE both sides are inflated and parsed on (see layers).
"""
from __future__ import annotations

import re

from ..records import CLIENT, SERVER
from .imap_commands import Command, CommandSide
from .imap_grammar import DISCOVERY, HEADER, TEXT, WHOLE, capability_list, fetched_part, is_command, is_response, literal_at_end, probe
from .message import MessageReader

__all__ = ["ImapParser", "probe"]

# RFC 5530 §3 and RFC 9051 §7.1: response code of a NO to a login -> (result, reason)
LOGIN_REASONS = {
    b"AUTHENTICATIONFAILED": ("failed", "wrong-credentials"), b"AUTHORIZATIONFAILED": ("success", "authorization-failed"),
    b"PRIVACYREQUIRED": ("failed", "refused"),
    b"UNAVAILABLE": ("unknown", "temporary"), b"INUSE": ("unknown", "temporary"), b"LIMIT": ("unknown", "temporary"), b"SERVERBUG": ("unknown", "temporary"),
    b"EXPIRED": ("failed", "locked"), b"CONTACTADMIN": ("failed", "locked"), b"NOPERM": ("failed", "refused"), b"REFERRAL": ("unknown", None),
}
_STATUS_WORDS = {b"OK": "OK", b"NO": "NO", b"BAD": "BAD"}
MAX_GREETING = 500  # characters; most of them may be a list of capabilities, and the server's own words come behind it
_EARLY_CODES = {b"ALERT": "alert", b"REFERRAL": "referral", b"NEWNAME": "newname"}
_HOST = re.compile(rb"imaps?://(?:[^@/ ]{0,200}@)?([A-Za-z0-9.:\[\]-]{1,255})", re.IGNORECASE)


def _of_login(command: Command | tuple[str, int] | None) -> bool:
    """Whether a capability list in a command's answer speaks of what comes after a login: of unseen commands hardly any other answer has one."""
    return command is None or (command[1] if type(command) is tuple else command.kind) != DISCOVERY


class ImapParser(CommandSide):
    """Both sides of one IMAP conversation; see LineParser for the interface."""

    # where a conversation begins; on the class, as most never change one
    _greeted = False
    _server_taker = None  # takes the next server line in place of the usual grammar
    _fetch = b""  # sequence number of the FETCH response under way, empty in other responses
    _open: tuple[MessageReader, bytes, str, int, int] | None = None  # fetched message that may go on: reader, number, part, next octet, first length
    _whole = True  # the literal under way ends its message

    def awaits(self, side: int) -> str:
        if side == CLIENT and self._auth is not None:
            return "token"
        taker = self._server_taker if side == SERVER else self._client_taker
        return "content" if taker is not None else super().awaits(side)

    def server_line(self, line: bytes, at: int) -> None:
        """`response = *(continue-req / response-data) response-done` (RFC 9051 §9)."""
        taker = self._server_taker
        if taker is not None:
            taker(line, at)
            return
        if self._inflaters is not None:
            at = self._chunk_at[SERVER]
        words = line.split(b" ", 2)
        first = words[0]
        if len(words) < 2:
            if first == b"+":
                self._continuation(b"")
            elif line and self.start_seen:
                self.anomaly("not-a-response", SERVER, at, f"{len(line)} bytes")
        elif first == b"*":
            self.facts.n_replies += 1
            word = words[1]
            handle = self._UNTAGGED.get(word)
            if handle is None:
                if word.isdigit():
                    if self._authenticated is not True:
                        self._mailbox_data(words[2][:8].split(b" ")[0] if len(words) > 2 else b"", line, b"", at)
                    if line[-1] == 125:
                        self._fetch = word if words[-1][:6].upper() == b"FETCH " else b""
                        self._server_literal(line)
                    return
                handle = self._UNTAGGED.get(word.upper())
            if handle is not None:
                handle(self, word, line, words[2] if len(words) > 2 else b"", at)
            if line[-1:] == b"}" and handle not in self._WITHOUT_LITERALS:
                self._fetch = b""
                self._server_literal(line)
        elif first == b"+":
            self._continuation(line[2:])
        else:
            status = _STATUS_WORDS.get(words[1]) or _STATUS_WORDS.get(words[1].upper())
            if status is not None:
                self.facts.n_replies += 1
                self._greeted = True
                self._tagged(first, status, words[2] if len(words) > 2 else b"", at)
            elif self.start_seen:
                self.anomaly("not-a-response", SERVER, at, f"{len(line)} bytes")

    def _continuation(self, text: bytes) -> None:
        """`continue-req = "+" SP (resp-text / base64) CRLF`, by some servers without the blank (RFC 9051 §9)."""
        self.facts.n_replies += 1
        self._greeted = True
        if self._auth is not None:
            self._auth.exchange.server(text.strip())
        else:
            self._confirmed = True

    # --- untagged responses

    def _status(self, word: bytes, line: bytes, text: bytes, at: int) -> None:
        """`greeting = "*" SP (resp-cond-auth / resp-cond-bye) CRLF`, later untagged status (RFC 9051 §7.1)."""
        if not self._greeted:
            self._greeted = True
            # a late start may begin with any status
            if self.start_seen or word.upper() == b"PREAUTH" or text[:12].upper() == b"[CAPABILITY " or b"ready" in text.lower():
                facts = self.facts
                facts.greeting, facts.greeting_code, facts.greeting_at = line[:MAX_GREETING].decode("latin-1"), word.upper().decode(), at
                self._authenticated = facts.preauth = facts.greeting_code == "PREAUTH"
        if text[:1] == b"[":
            if text[:12].upper() == b"[CAPABILITY ":
                self._capabilities(text[12:].partition(b"]")[0], at)
            elif self._authenticated is False:
                self._early_code(text, at)

    def _early_code(self, text: bytes, at: int) -> None:
        """Response codes that speak to the user, or send the client elsewhere, before anybody logged in: `[ALERT]`, `[REFERRAL imap://…]` (RFC 2221, RFC 2193), `[NEWNAME …]`."""
        name, _, rest = text[1:].partition(b"]")[0].partition(b" ")
        code = _EARLY_CODES.get(name.upper())
        if code is not None:
            host = _HOST.match(rest) if code == "referral" else None
            self.note(self.oddities.early_data, code, at, host[1].decode("latin-1").lower() if host else "")

    def _untagged_capability(self, word: bytes, line: bytes, text: bytes, at: int) -> None:
        self._capabilities(text, at)

    def _mailbox_data(self, word: bytes, line: bytes, text: bytes, at: int) -> None:
        if self._authenticated is False and self.facts.first_clear_command is None and self._client_whole:
            self.note(self.oddities.early_data, "mailbox-data", at, word.upper().decode("latin-1") if word.isalpha() else "")
        self._greeted = self._authenticated = True

    _UNTAGGED = {b"OK": _status, b"PREAUTH": _status, b"BYE": _status, b"NO": _status, b"BAD": _status, b"CAPABILITY": _untagged_capability,
                 b"FLAGS": _mailbox_data, b"LIST": _mailbox_data, b"LSUB": _mailbox_data, b"STATUS": _mailbox_data, b"SEARCH": _mailbox_data}
    _WITHOUT_LITERALS = (_status, _untagged_capability)

    def _capabilities(self, text: bytes, at: int, of_login: bool = False) -> None:
        """`capability-data = "CAPABILITY" *(SP capability)` (RFC 9051 §7.2.2).

        Args:
            of_login: the list stands in the answer to a login, and so speaks of what comes after it.
        """
        found = capability_list(text)
        facts = self.facts
        if facts.starttls_accepted:  # decrypted in place, or a downgrade: the lists that count came before
            self.oddities.offer_after_accept = found.offers_starttls
            return
        if self._authenticated is False and not of_login:
            for code, detail in found.notes:
                self.note(self.oddities.list_notes, code, at, detail)
            if self._auth is None and self._login_tag is None and facts.n_commands:
                self.compare_lists(facts.capabilities, found.atoms, at)
        if not found.offers_starttls:
            late = of_login or self._authenticated is not False or self._auth is not None or self._login_tag is not None
            if late or facts.starttls_offered and not facts.n_commands:  # without the client's side nobody knows what came between two lists
                if facts.capabilities is None:
                    facts.capabilities, facts.capabilities_at = found.atoms, at
                return
        elif facts.starttls_offered_at is None:
            facts.starttls_offered_at = at
        facts.capabilities, facts.capabilities_at, facts.capabilities_complete = found.atoms, at, True
        facts.starttls_offered = found.offers_starttls
        facts.masked_tokens = found.masked
        facts.auth_mechanisms = found.mechanisms
        facts.auth_mechanisms_at = at if found.mechanisms else None
        facts.login_disabled = found.login_disabled
        if found.login_disabled and facts.login_disabled_at is None:
            facts.login_disabled_at = at

    # --- tagged responses

    def _tagged(self, tag: bytes, status: str, text: bytes, at: int) -> None:
        """`response-tagged = tag SP resp-cond-state CRLF`, with `resp-text-code` in brackets (RFC 9051 §7.1)."""
        facts = self.facts
        accepted = status == "OK"
        name, reply = b"", status
        if not accepted and text[:1] == b"[":
            name = text[1:].partition(b"]")[0].partition(b" ")[0][:40].upper()
            reply = f"{status} [{name.decode('latin-1')}]"
            if name == b"PRIVACYREQUIRED" and facts.encryption_required_code is None:
                facts.encryption_required_code = "PRIVACYREQUIRED"
        command = self._pending.pop(tag, None)
        if self._odd is not None and tag in self._odd:
            self.odd_answered(self._odd.pop(tag), status, text.decode("latin-1"))
        auth = self._auth
        if auth is not None and auth.tag == tag:
            command = auth
            self._close_exchange(*self._judge(status, name, auth.exchange.cancelled), reply)
        if accepted and text[:12].upper() == b"[CAPABILITY ":
            self._capabilities(text[12:].partition(b"]")[0], at, _of_login(command))
        if command is None:
            if accepted:
                self._answer_to_unseen(text)
            return
        self._client_sure = True
        if type(command) is tuple:
            if accepted:
                self._accepted(*command)
            return
        if command is self._command and not self._confirmed and self._left[CLIENT]:
            self._literal_refused()
        if tag == self._login_tag:
            self._login_tag = None
        login = command.login
        if login is not None:
            login.result, login.reason = self._judge(status, name, False)
            login.reply_code = reply
        if command.messages:
            for message in command.messages:
                message.accepted, message.reply_code = accepted, reply
        if command.name == "STARTTLS":
            self.starttls_answered(accepted, status, text.decode("latin-1"), at)
        elif command.name == "COMPRESS":
            self.compress_answered(accepted, at)
        elif accepted:
            self._accepted(command.name, command.kind)
            if command.exchange is not None:
                self.expect_layer(command.exchange.mechanism)

    def _accepted(self, name: str, kind: int) -> None:
        if kind != DISCOVERY:
            self._authenticated = name != "UNAUTHENTICATE"  # RFC 8437
            if self.facts.accepted_clear_command is None:
                self.facts.accepted_clear_command, self.facts.accepted_clear_code = name, "OK"

    @staticmethod
    def _judge(status: str, code: bytes, cancelled: bool) -> tuple[str, str | None]:
        """Result and reason of a login (RULES PS110, RFC 5530 §3)."""
        if status == "OK":
            return "success", None
        if cancelled:  # the server answers `*` with BAD (RFC 9051 §6.2.2), some with NO
            return "failed", "cancelled"
        if code in LOGIN_REASONS:
            return LOGIN_REASONS[code]
        return ("failed", None) if status == "NO" else ("unknown", "malformed")

    def _answer_to_unseen(self, text: bytes) -> None:
        """A command that the capture lacks succeeded: it may have been a login, or STARTTLS."""
        if self._authenticated is False:
            self._authenticated = None
        if b"TLS" in text.upper() and not self.facts.n_commands:
            self.expect_tls()

    # --- literals

    def _server_literal(self, line: bytes) -> None:
        """A line of a response that ends in a literal, or only seems to."""
        literal = literal_at_end(line)
        if literal is None:
            self._server_taker = None
            self._close_fetched()
            return
        start, octets, _ = literal
        self._server_taker = self._response_continued
        part = fetched_part(line[:start]) if self._fetch and octets else None
        if part is None:
            self._close_fetched()
        else:
            self._begin[SERVER] = lambda at: self._fetched(part, octets, at)
        if octets:
            self._left[SERVER] = octets
            self._whole = True
            self.bulk[SERVER] = self._server_octets

    def _response_continued(self, line: bytes, at: int) -> None:
        """What follows a literal within the same response."""
        if line[-1:] == b"}":
            self._server_literal(line)
        else:
            self._server_taker = None
            if self._open is not None:
                self._close_fetched()

    def _server_octets(self, data: bytes, pos: int, at: int) -> int:
        left, n = self._left[SERVER], len(data) - pos
        if n > left:
            n = left
        begin = self._begin[SERVER]
        if begin is not None:
            self._begin[SERVER] = None
            begin(self.where(SERVER, at))
        reader = self._readers[SERVER]
        if reader is not None:
            reader.feed(data[pos:pos + n])
        self._left[SERVER] = left - n
        if n == left:
            self._server_literal_over()
        return n

    def _server_literal_over(self) -> None:
        self.bulk[SERVER] = None
        reader, self._readers[SERVER] = self._readers[SERVER], None
        if reader is None:
            return
        if self._open is None or self._open[0] is not reader:
            reader.finish(self._whole)
        elif not self._whole:
            self._open = None
            reader.finish(False)

    def _fetched(self, part: tuple[str, int | None], octets: int, at: int) -> None:
        """The first octet of a literal with message content: find or make the reader that takes it.

        Header and text of one response are one message, and so are the pieces of a partial fetch that follow one another.
        """
        kind, origin = part
        number = self._fetch
        if self._open is not None:
            reader, of, open_kind, expected, first = self._open
            if of == number and (kind == TEXT and open_kind == HEADER and not origin or kind == WHOLE == open_kind and origin and origin == expected):
                self._readers[SERVER] = reader
                self._open = None if kind == TEXT or octets < first else (reader, number, WHOLE, expected + octets, first)
                return
            self._close_fetched(pieces=True)
        message = None if origin else self._message("fetched", SERVER, at)
        if message is None:
            return
        message.accepted = True
        reader = self._readers[SERVER] = MessageReader(message)
        if kind == HEADER:
            self._open = reader, number, HEADER, 0, 0
        elif kind == TEXT:
            reader.feed(b"\r\n")  # an empty header section, so that no line of the text is taken for a header
            reader.shorten(2)
            self._whole = origin is None
        elif origin is not None:
            self._open = reader, number, WHOLE, octets, octets

    def _close_fetched(self, *, pieces: bool = False) -> None:
        """A message that could have gone on does not. Pieces of a partial fetch come in responses of their own, so they wait longer."""
        if self._open is not None and (pieces or self._open[2] == HEADER):
            reader, self._open = self._open[0], None
            reader.finish(False)

    # --- damage and end

    def gap(self, side: int, length: int, at: int) -> None:
        """Missing bytes; the octets of a literal are counted on, so that one that swallows the gap ends where it should."""
        left = self._left[side]
        if left and self._inflaters is None and not (side == CLIENT and self._waiting):
            missing = length + len(self._rest[side])
            self._rest[side] = b""
            self._damage_literal(side)
            if missing < left:
                self._left[side] = left - missing
                return
            self._left[side] = 0
            if side == CLIENT:
                self._client_literal_over()
            else:
                self._server_literal_over()
            if missing == left:
                return
        super().gap(side, length, at)

    def _damage_literal(self, side: int) -> None:
        """Its octets are counted on, what they held is incomplete."""
        self._begin[side] = None
        if side == CLIENT:
            self._confirmed = self._argument_lost = self._command.damaged = True
        else:
            self._whole = False
        if self._readers[side] is not None:
            self._readers[side].lost()

    def lost(self, side: int, length: int, at: int) -> None:
        if self._auth is not None:
            self._auth.exchange.lost()
        if self._authenticated is False:
            self._authenticated = None
        if side == CLIENT:
            self._client_sure = self._client_whole = False
            if self._command is not None:
                self._command.damaged = True
                self._close_arguments(self._command, complete=False)
        else:
            self._greeted = True
            self._server_taker = None
            self._close_fetched(pieces=True)

    def ended(self) -> None:
        for reader in self._readers:
            if reader is not None and (self._open is None or self._open[0] is not reader):
                reader.finish(False)
        self._close_fetched(pieces=True)
        if self._command is not None:
            self._close_arguments(self._command, complete=False)
        if self._auth is not None:
            self._close_exchange("unknown", None, None)
        facts = self.facts
        if facts.starttls_requested is None and facts.n_commands and self._client_whole:
            facts.starttls_requested = False

    def _plausible_start(self, side: int, line: bytes) -> bool:
        return is_response(line) if side == SERVER else is_command(line)
