"""What POP3 and NNTP share: replies that pair with commands, blocks that end with a lone dot, SASL between lines, masked capability words.

Pairing: each command waits in `pending` for its reply. Bytes that are lost on the server's side make the waiting ones unknown; a reply that nothing
waits for is judged by its own shape (subclasses). After a gap inside a block the block goes on to its dot; when the dot itself was lost, the client's next
command ends the block.
"""
from __future__ import annotations

import re
from collections import deque
from typing import Callable

from ..records import SERVER, Login, Message
from .layers import LayeredParser
from .masking import looks_masked
from .message import MessageReader
from .sasl import Exchange

MAX_PENDING = 1024  # commands that wait for a reply; clients pipeline some hundreds, a capture of the client's side alone never gets one
MAX_LIST_BYTES = 16384  # capability lists and the like; real ones stay below 1 KiB
MAX_CACHE = 256  # capability lists that were read already; a server sends the same one to everybody

# Tokens that a client sends at least, so that a token can be told from a command where the server's prompts are not seen
_N_TOKENS = {
    "PLAIN": 1, "LOGIN": 2, "CRAM-MD5": 1, "DIGEST-MD5": 2, "NTLM": 2, "XOAUTH2": 1, "OAUTHBEARER": 1, "EXTERNAL": 1, "ANONYMOUS": 1,
    "GSSAPI": 3, "GSS-SPNEGO": 3}
_DOT_LINE = re.compile(rb"\n\.")


class Block:
    """`*(line CRLF) "." CRLF` as a bulk consumer, with the stuffed dots removed (RFC 3977 §3.1.1, RFC 1939 §3); this one drops the content.

    Args:
        parser: the conversation; `parser.bulk[side]` is given back when the dot came.
    """

    __slots__ = ("parser", "side", "wanted", "fresh", "damaged")

    def __init__(self, parser: "DottedParser", side: int):
        self.parser, self.side = parser, side
        self.wanted = False  # content goes to `take`
        self.fresh = True  # the next byte begins a line
        self.damaged = False
        parser.bulk[side] = self

    def take(self, content: bytes, at: int) -> None:
        """Content and its stream offset."""

    def lost(self) -> None:
        """Bytes are missing inside the block."""
        self.damaged, self.fresh = True, False

    def done(self, seen: bool) -> None:
        """The block is over; `seen`: its dot was seen."""

    def __call__(self, data: bytes, pos: int, at: int) -> int:
        start, n = pos, len(data)
        if self.fresh and data[pos] == 46:
            head = data[pos:pos + 3]
            if head == b".\r\n" or head[:2] == b".\n":
                self.end(True)
                return 3 if head == b".\r\n" else 2
            if head == b"." or head == b".\r":
                return 0
            start += 1
        dot = _DOT_LINE.search(data, pos)  # one search finds both the end and stuffed dots; three times as fast as bytes.find
        if dot is None:
            stop, found = n, -1
        else:
            stop, found = self._stop(data, dot.start(), n)
        if self.wanted and stop > start:
            content = data[start:stop]
            if dot is not None and found != dot.start():
                content = content.replace(b"\n.", b"\n")
            self.take(content, self.parser.where(self.side, at))
        if found < 0:
            if stop > pos:
                self.fresh = data[stop - 1] == 10
            return stop - pos
        self.end(True)
        return (found + 4 if data[found + 2] == 13 else found + 3) - pos

    def _stop(self, data: bytes, dot: int, n: int) -> tuple[int, int]:
        """Where the content ends, given its first line that begins with a dot, and where the ending one stands; -1 when it did not come yet."""
        found = dot if data[dot + 2:dot + 4] == b"\r\n" else data.find(b"\n.\r\n", dot)
        if self.parser.facts.lf_only:
            bare = data.find(b"\n.\n", dot, found + 2 if found >= 0 else n)
            if bare >= 0:
                found = bare
        if found >= 0:
            return found + 1, found
        if data[n - 2:] == b"\n.":
            return n - 1, -1
        if data[n - 3:] == b"\n.\r":
            return n - 2, -1
        return n, -1

    def end(self, seen: bool) -> None:
        if self.parser.bulk[self.side] is self:
            self.parser.bulk[self.side] = None
        self.done(seen)


class ListBlock(Block):
    """A short list of the server; `then(block, at, complete)` gets it with its line ends."""

    __slots__ = ("then", "at", "pieces", "size")

    def __init__(self, parser: "DottedParser", at: int, then: Callable[[bytes, int, bool], None]):
        super().__init__(parser, SERVER)
        self.wanted, self.then, self.at = True, then, at
        self.pieces: list[bytes] = []
        self.size = 0

    def take(self, content: bytes, at: int) -> None:
        if not self.size:
            self.at = at
        self.size += len(content)
        if self.size <= MAX_LIST_BYTES:
            self.pieces.append(content)

    def done(self, seen: bool) -> None:
        if not seen and not self.damaged and self.size:
            self.parser.note(self.parser.oddities.list_notes, "unfinished", self.at)
        self.then(b"".join(self.pieces), self.at, seen and not self.damaged and self.size <= MAX_LIST_BYTES)


class MessageBlock(Block):
    """A block that holds a mail message or an article; the record exists from its first byte on."""

    __slots__ = ("direction", "message", "reader", "body_only", "reply_code")

    def __init__(self, parser: "DottedParser", side: int, direction: str, *, reply_code: str | None = None, body_only: bool = False):
        super().__init__(parser, side)
        self.wanted = True
        self.direction, self.body_only, self.reply_code = direction, body_only, reply_code
        self.message: Message | None = None
        self.reader: MessageReader | None = None

    def take(self, content: bytes, at: int) -> None:
        if self.reader is None:
            self.message = Message(protocol=self.parser.protocol, direction=self.direction, side=self.side, at=at, reply_code=self.reply_code)
            self.parser.facts.messages.append(self.message)
            self.reader = MessageReader(self.message)
            if self.body_only:
                self.reader.feed(b"\r\n")  # no header comes
                self.reader.shorten(2)
        self.reader.feed(content)

    def lost(self) -> None:
        self.damaged, self.fresh = True, False
        if self.reader is not None:
            self.reader.lost()

    def done(self, seen: bool) -> None:
        if self.reader is not None:
            self.reader.finish(seen)
            if self.direction == "fetched" and seen:
                self.message.accepted = True


class DottedParser(LayeredParser):
    """Command and reply pairing, blocks and SASL for POP3 and NNTP."""

    verbs: frozenset[bytes] = frozenset()  # upper case; only these are ever written into facts: another first word may be a token

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self.pending: deque = deque()  # (verb, what its reply is needed for)
        self.exchange: Exchange | None = None  # the client's next line may be its token
        self.prompted = False  # the server asked for one
        self.user: Login | None = None  # from the name, until its password
        self.user_name: str | None = None
        self.logged_in = False
        self.client_lost = not start_seen  # client bytes are missing: absence of a command proves nothing
        self.greeted = False

    def feed(self, side: int, data: bytes, at: int) -> None:
        """As LineParser.feed, with a short way for the usual turn: one whole line."""
        last = len(data) - 1
        if last > 0 and data.find(b"\n") == last and data[last - 1] == 13 and self.bulk[side] is None and not (
                self._rest[side] or self._waiting or self._switching or self._skipping[side]):
            (self.server_line if side else self.client_line)(data[:-2], at)
            if self._switching:
                self._settle()
        elif self._skipping[side] and b"\n" not in data and self.bulk[side] is None and not (self._rest[side] or self._waiting or self._switching):
            self._rest[side] = data  # the whole line decides whether reading resumes with it
        else:
            super().feed(side, data, at)

    def _resumes_at(self, side: int, line: bytes) -> bool:
        """Lost bytes mostly end with a segment, and a segment with a line: a line that begins with a known word is whole."""
        return self.is_reply(line) if side else self.is_command(line)

    def is_reply(self, line: bytes) -> bool:
        """Whether a server line has the form of a reply."""
        raise NotImplementedError

    def awaits(self, side: int) -> str:
        if side == SERVER:
            return "list" if isinstance(self.bulk[SERVER], ListBlock) else super().awaits(SERVER)
        return "token" if self.exchange is not None else super().awaits(side)

    def is_command(self, line: bytes) -> bool:
        return line.partition(b" ")[0].strip().upper() in self.verbs

    def verb_of(self, line: bytes) -> str | None:
        word = line[:32].partition(b" ")[0].strip().upper()
        return word.decode() if word in self.verbs else None

    def command_word(self, line: bytes) -> str:
        word = line[:32].partition(b" ")[0].strip().upper()
        return word.decode() if word in self.verbs else "?"

    # --- commands and replies

    def expect(self, verb: bytes, what: object = None) -> None:
        if len(self.pending) >= MAX_PENDING:
            self.abandon_pending()
        self.pending.append((verb, what))

    def abandon_pending(self) -> None:
        """Replies of the waiting commands will not be recognised: what hangs on them stays unknown."""
        for _, what in self.pending:
            if type(what) is Exchange:
                self.end_exchange(what, "unknown")
        self.pending.clear()

    def end_damaged_block(self) -> None:
        """The client goes on: a block whose dot may have been lost is over."""
        block = self.bulk[SERVER]
        if isinstance(block, Block) and block.damaged and not self.pending:
            block.end(False)
            self._skipping[SERVER] = False

    def lost(self, side: int, length: int, at: int) -> None:
        block = self.bulk[side]
        if isinstance(block, Block):
            block.lost()
            self._skipping[side] = False
        if side == SERVER:
            self.greeted = True
            if self.exchange is None or self.has_tokens(self.exchange):
                if not isinstance(block, Block):
                    self.abandon_pending()
                    self.exchange = None
        else:
            self.client_lost = True
            self.user = self.user_name = None  # another name may have been among them
            if self.exchange is not None:
                self.exchange.lost()

    def ended(self) -> None:
        for block in self.bulk:
            if isinstance(block, Block):
                block.end(False)
        self.abandon_pending()
        facts = self.facts
        if facts.starttls_requested is None and facts.n_commands and not self.client_lost:
            facts.starttls_requested = False

    # --- SASL

    def begin_exchange(self, mechanism: bytes, initial: bytes | None, at: int) -> Exchange:
        exchange = self.exchange = Exchange(self.protocol, mechanism.decode("latin-1").upper(), at)
        self.prompted = False
        if initial is not None:
            exchange.client(initial, at, initial=True)
        return exchange

    @staticmethod
    def has_tokens(exchange: Exchange) -> bool:
        """Whether the client has sent as much as the mechanism needs."""
        wanted = _N_TOKENS.get(exchange.mechanism) or (2 if exchange.mechanism.startswith("SCRAM-") else 4)
        return exchange.cancelled or len(exchange.client_tokens) >= wanted

    def take_token(self, line: bytes, at: int) -> bool:
        """Whether a client line belongs to the exchange; then it is taken.

        Clients pipeline their tokens and captures lack the prompts: without a prompt a line is a token while the mechanism needs one, unless it reads
        like a command.
        """
        exchange = self.exchange
        if not self.prompted:
            if self.has_tokens(exchange) or b" " in line or line.upper() in self.verbs:
                self.exchange = None
                return False
        self.prompted = False
        exchange.client(line, at)
        return True

    def prompt(self, challenge: bytes) -> None:
        if self.exchange is not None:
            self.exchange.server(challenge)
            self.prompted = True

    def end_exchange(self, exchange: Exchange, result: str, reason: str | None = None, reply_code: str | None = None) -> None:
        if self.exchange is exchange:
            self.exchange = None
        login = exchange.finish(result, reason, reply_code)
        self.facts.logins.append(login)
        if result == "success":
            self.logged_in = True
            self.expect_layer(exchange.mechanism)

    # --- capability lists

    def note_capabilities(self, read: "Capabilities", complete: bool, at: int) -> None:
        """A capability list that was sent in clear.

        After a login servers leave out STARTTLS and the mechanisms (RFC 2595 §4, RFC 4642 §2.1): such a list denies nothing.
        """
        facts = self.facts
        if facts.starttls_accepted:  # decrypted in place, or a downgrade: the lists that count came before
            if complete:
                self.oddities.offer_after_accept = read.offer_at is not None
            return
        if self.logged_in and facts.capabilities is not None:
            return
        for code, place, detail in read.notes:
            self.note(self.oddities.list_notes, code, at + place, detail)
        if complete and not self.logged_in and self.exchange is None:
            self.compare_lists(facts.capabilities, read.lines, at)
        if facts.capabilities is None or complete:
            facts.capabilities, facts.capabilities_at = read.lines, at
            facts.capabilities_complete = complete
        if read.mechanisms:
            facts.auth_mechanisms = tuple(dict.fromkeys(facts.auth_mechanisms + read.mechanisms)) if facts.auth_mechanisms else read.mechanisms
            if facts.auth_mechanisms_at is None:
                facts.auth_mechanisms_at = at
        if read.masked:
            facts.masked_tokens = read.masked
        if read.offer_at is not None:
            facts.starttls_offered = True
            if facts.starttls_offered_at is None:
                facts.starttls_offered_at = at + read.offer_at
        elif complete and not self.logged_in and facts.starttls_offered is None:
            facts.starttls_offered = False


class Capabilities:
    """A capability list, read once and shared: never changed."""

    __slots__ = ("lines", "mechanisms", "masked", "offer_at", "notes")

    def __init__(self, block: bytes, offer: str, known: frozenset[str], mechanisms_of: Callable[[list[str]], list[str]]):
        lines, mechanisms, masked, notes = [], [], [], []
        self.offer_at: int | None = None  # of the offering line within the block
        place = 0
        whole, _, _ = block.rpartition(b"\n")  # a last line without its end may lack letters
        for raw in whole.split(b"\n") if whole else ():
            line = raw.decode("latin-1").rstrip()
            words = line.upper().split()
            if words:
                lines.append(line)
                if words[0] == offer:
                    if self.offer_at is None:
                        self.offer_at = place
                else:
                    mechanisms += mechanisms_of(words)
                    if words[0] not in known and looks_masked(words[0], offer):
                        masked.append(line.split()[0])
                    if len(line) == len(offer) and line in lines[:-1]:
                        notes.append(("repeated-word", place, ""))
            else:
                n_blanks = len(raw.rstrip(b"\r"))
                notes.append(("padded-line", place, f"{n_blanks} blanks") if n_blanks >= len(offer) else ("empty-line", place, ""))
            place += len(raw) + 1
        self.lines, self.mechanisms, self.masked, self.notes = tuple(lines), tuple(dict.fromkeys(mechanisms)), tuple(masked), tuple(notes)
