"""Both sides of a line protocol cut into lines, and the switch to TLS in its middle.

Subclasses implement `client_line` and `server_line`. A side may be put into bulk mode (`self.bulk[side] = consumer`) for message content and
literals. After damage (`gap`) a side resumes at its next line end; what lies before it is dropped.

STARTTLS: the subclass calls `starttls_requested` when the command passes; client bytes behind it are held, not parsed, until the answer.
- Refused (`starttls_answered(False)`): the held bytes are parsed at once, before the server's next line.
- Accepted: the client's bytes decide. A TLS record makes `self.handover`; clear bytes that were pipelined before it are an injection and counted.
  Clear bytes sent after the answer, followed by anything from the server in clear, are an upgrade that did not happen: noted, and parsed on.
- No answer seen: a TLS record from the server, or from the client once server bytes were lost or the capture ends, counts as the upgrade.
"""
from __future__ import annotations

from typing import Callable

from ..records import CLIENT, SERVER, Anomaly, Facts, Handover, Note, OddCommand, Oddities
from .masking import looks_masked

MAX_LINE_BYTES = 65536  # RFC 4954 §4 allows 12288 for SASL, RFC 7628 tokens are larger in practice; beyond this a line is damage or attack
MAX_HELD_BYTES = 16384  # a ClientHello with post-quantum key shares is below 4 KiB; enough to see what follows STARTTLS
MAX_ANOMALIES = 100  # per conversation; the last one says that more were dropped
MAX_ODDITIES = 8  # of each kind, per conversation: rules look at the first ones
MAX_CLEAR_ALONE = 512  # clear bytes between STARTTLS and TLS that are believed to be there where no answer was seen: beyond, the request was refused

Consumer = Callable[[bytes, int, int], int]
"""Takes (data, pos, at): bytes of a side from data[pos:], the stream offset of data[pos]. Returns how many it used; 0 waits for more bytes,
which then come together with the unused ones. It ends bulk mode by setting `bulk[side]` to None or to another consumer."""


_PROXY = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")  # version 1 and 2 of the PROXY protocol, §2.1 and §2.2


def looks_like_tls(data: bytes) -> bool | None:
    """Whether bytes begin a TLS record or an SSLv2 hello; None when too few to say.

    RFC 8446 §5.1 (handshake = 22, legacy version 3.0-3.4), RFC 5246 Appendix E.2 (two-byte length with the high bit, message type 1).
    """
    if not data:
        return None
    if data[0] == 0x16:
        if len(data) < 3:
            return None if len(data) < 2 or data[1] == 3 else False
        return data[1] == 3 and data[2] <= 4
    if data[0] & 0x80:
        if len(data) < 5:
            return None
        return data[2] == 1 and (data[3], data[4]) in ((0, 2), (3, 0), (3, 1), (3, 2), (3, 3))
    return False


class LineParser:
    """What all mail line protocols share.

    Args:
        start_seen: the connection's first bytes are in the capture; False starts in the UNKNOWN state.
        server_port: a hint, for protocols that share a grammar.
    """

    protocol = "unknown"
    offer = "STARTTLS"  # the word that offers TLS and asks for it

    # what few conversations change stands here, what each touches in __init__: CPython keeps up to 30 attributes of an object fast
    handover: Handover | None = None
    _early = 0  # how many client bytes were held when the accepting answer came
    _answer_lost = False  # server bytes were lost while waiting for the answer
    _switch_damaged = False  # client bytes were lost at the switch: what follows may be the middle of a record
    _held_lost = 0  # client bytes dropped behind the held ones, after a gap
    _server_damaged = False  # server bytes were lost at the switch: likewise
    _over = False

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        self.start_seen = start_seen
        self.server_port = server_port
        self.facts = Facts(protocol=self.protocol)
        self.bulk: list[Consumer | None] = [None, None]
        self._rest: list[bytes | bytearray] = [b"", b""]  # the unfinished last line of each side; a bytearray while it grows in small pieces
        self._skipping = [not start_seen, not start_seen]  # drop bytes up to the next line end
        self._overlong = [False, False]  # inside a line that is too long; such a side is skipping too
        self._waiting = False  # STARTTLS sent, answer not seen: client bytes are held
        self._switching = False  # STARTTLS accepted: the client's next bytes decide
        self._held = [b"", b""]
        self._held_at = [0, 0]

    # --- for subclasses

    def client_line(self, line: bytes, at: int) -> None:
        """One client line without its line end, and its stream offset."""
        raise NotImplementedError

    def server_line(self, line: bytes, at: int) -> None:
        """One server line without its line end, and its stream offset."""
        raise NotImplementedError

    def lost(self, side: int, length: int, at: int) -> None:
        """Bytes of a side are missing: drop half-known state of that side."""

    def ended(self) -> None:
        """The clear conversation is over, by its end or by TLS: settle what is still open. Called once."""

    def command_word(self, line: bytes) -> str:
        """The command in a client line, for `cleartext_after_accept`."""
        return line[:32].split(b" ", 1)[0].decode("latin-1").strip().upper()

    def anomaly(self, code: str, side: int, at: int, detail: str = "") -> None:
        """Note a violation or a loss, up to a limit."""
        found = self.facts.anomalies
        if len(found) < MAX_ANOMALIES:
            found.append(Anomaly(code=code, side=side, at=at, detail=detail))
        elif len(found) == MAX_ANOMALIES:
            found.append(Anomaly(code="more-anomalies-dropped", side=side, at=at))

    def verb_of(self, line: bytes) -> str | None:
        """The command in a client line, where it is one that is known."""
        return None

    @property
    def oddities(self) -> Oddities:
        """Where what few conversations have is put down."""
        facts = self.facts
        if facts.oddities is None:
            facts.oddities = Oddities()
        return facts.oddities

    def odd_command(self, word: bytes, at: int, has_argument: bool = False) -> OddCommand | None:
        """Note a command that no table knows where it may be the request for TLS written over; other words may be secrets and are not kept."""
        text = word[:16].decode("latin-1").upper()
        if len(word) > 16 or not text.isprintable() or not text:
            return None
        like = self.offer if looks_masked(text, self.offer) else "EHLO" if self.protocol == "smtp" and has_argument and text == text[0] * 4 else None
        if like is None or text[0].isdigit() or len(self.oddities.commands) >= MAX_ODDITIES:
            return None
        odd = OddCommand(word=text, like=like, at=at, has_argument=has_argument, offered=bool(self.facts.starttls_offered))
        self.oddities.commands.append(odd)
        return odd

    @staticmethod
    def odd_answered(odd: OddCommand, code: str, text: str) -> None:
        """The server's answer to a command that `odd_command` noted."""
        odd.reply_code, odd.reply_text = code, text[:200]

    def note(self, notes: list[Note], code: str, at: int, detail: str = "") -> None:
        """Add to one of the lists of `oddities`, once for each code."""
        if len(notes) < MAX_ODDITIES and all(one.code != code for one in notes):
            notes.append(Note(code=code, at=at, detail=detail))

    def compare_lists(self, before: tuple[str, ...] | None, now: tuple[str, ...], at: int) -> None:
        """Two complete lists of one state, one after the other: do they differ by the offer alone? Then somebody edits one of them."""
        facts = self.facts
        if before is None or before == now or not facts.capabilities_complete or facts.starttls_requested or facts.logins or "xclient" in facts.identity:
            return
        without = [tuple(one for one in words if one.strip('"').upper() != self.offer) for words in (before, now)]
        if without[0] == without[1] and len(before) != len(now):
            self.note(self.oddities.list_notes, "offer-withdrawn" if len(before) > len(now) else "offer-appeared", at)

    def starttls_requested(self, verb: str, at: int, parameters: bool = False) -> None:
        """The client asked for TLS: hold what it sends until the answer."""
        facts = self.facts
        if parameters or facts.starttls_accepted:
            misuse = self.oddities.misuse
            self.oddities.misuse = tuple(dict.fromkeys(misuse + ("parameters",) * parameters + ("again",) * bool(facts.starttls_accepted)))
        facts.n_starttls_requests += 1
        facts.starttls_requested = True
        if facts.starttls_requested_at is None:
            facts.starttls_requested_at, facts.starttls_verb = at, verb
        self._waiting = True
        self._answer_lost = False

    def starttls_answered(self, accepted: bool, code: str, text: str, at: int) -> None:
        """The server's answer; call it last in `server_line`, since held client lines are parsed inside when it refuses."""
        facts = self.facts
        facts.starttls_accepted, facts.starttls_reply_code = accepted, code
        facts.starttls_reply_text, facts.starttls_answered_at = text[:200], at
        if not self._waiting:
            return
        self._waiting = False
        if not accepted:
            self._release_client()
            return
        self._switching = True
        if self._held_lost and looks_like_tls(self._held[CLIENT]) is not True:
            self._held[CLIENT], self._held_lost, self._switch_damaged = b"", 0, True
        self._early = len(self._held[CLIENT])

    # --- for the pipeline

    def awaits(self, side: int) -> str:
        """What the next bytes of a side are: "line" of the protocol, "list" (lines that name capabilities), "token" of a login, else "content", which may be anything."""
        return "content" if self.bulk[side] is not None or self._skipping[side] else "line"

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first.

        The pipeline looks at `self.handover` after each call and feeds no more once it is set.
        """
        if not data or (self._waiting or self._switching) and self._hold(side, data, at):
            return
        rest = self._rest[side]
        if rest:
            at -= len(rest)
            if len(rest) > 8 and self.bulk[side] is None and b"\n" not in data:
                if type(rest) is bytes:
                    rest = self._rest[side] = bytearray(rest)
                rest += data
                if len(rest) > MAX_LINE_BYTES:
                    self._too_long(side, at)
                    self._rest[side] = b""
                return
            data = bytes(rest) + data
        self._rest[side] = self._lines(side, data, at)
        if self._switching:
            self._settle()

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if side == CLIENT and (self._waiting or self._switching):
            if self._waiting and self._held[CLIENT]:
                self._held_lost += length
                return
            self._held[CLIENT], self._early, self._switch_damaged = b"", 0, True
        if side == SERVER and (self._waiting or self._switching):
            self._server_damaged = True
        self._rest[side] = b""
        self._skipping[side] = True
        self._overlong[side] = False
        self.lost(side, length, at)
        if side == SERVER:
            self._held[SERVER] = b""
            if self._waiting:
                self._answer_lost = True
                self._decide_without_answer()

    def finish(self) -> None:
        """No more bytes will come; `self.handover` may be set one last time."""
        for _ in range(MAX_ODDITIES):  # a request among the bytes that are released holds what follows it again
            if not self._waiting:
                break
            clear = self._clear_alone()
            if clear is not None:
                self._hand_over(clear)
            else:
                self._release_client()
        if self._switching and self.handover is None:
            if looks_like_tls(self._held[SERVER]):
                self._hand_over(self._early)
            else:
                self._resume()
        self._end()

    # --- inside

    def _end(self) -> None:
        if not self._over:
            self._over = True
            self.ended()

    def _too_long(self, side: int, at: int) -> None:
        """A line beyond the limit: it is dropped up to its end, however far that is."""
        if not self._overlong[side]:
            self.anomaly("line-too-long", side, at, f"over {MAX_LINE_BYTES} bytes without a line end")
            self._overlong[side] = self._skipping[side] = True

    def _lines(self, side: int, data: bytes, at: int) -> bytes:
        """Consume whole lines and bulk bytes; return what is left for the next call."""
        handle = self.server_line if side else self.client_line
        bulk = self.bulk
        pos, n = 0, len(data)
        while pos < n:
            consumer = bulk[side]
            if consumer is not None:
                used = consumer(data, pos, at + pos)
                pos += used
                if not used and bulk[side] is consumer:
                    break
                continue
            end = data.find(b"\n", pos)
            if end < 0:
                if n - pos <= MAX_LINE_BYTES:
                    break
                self._too_long(side, at + pos)
                return b""
            if self._skipping[side]:
                resumes = not self._overlong[side] and self._resumes_at(side, data[pos:end])
                self._skipping[side] = self._overlong[side] = False
                if not resumes:
                    pos = end + 1
                    continue
            if end - pos > MAX_LINE_BYTES:
                self._too_long(side, at + pos)
                self._overlong[side] = self._skipping[side] = False
            elif end > pos and data[end - 1] == 13:
                handle(data[pos:end - 1], at + pos)
            else:
                self.facts.lf_only = True
                handle(data[pos:end], at + pos)
            pos = end + 1
            if self._switching or (side == CLIENT and self._waiting):
                if pos < n:
                    self._keep(side, data[pos:], at + pos)
                return b""
            if self.handover is not None:
                return b""
        return data[pos:] if pos < n else b""

    def _resumes_at(self, side: int, line: bytes) -> bool:
        """Whether the first line after a loss or a late start is a whole one; after a loss only a protocol with a strict grammar can say yes."""
        return not self.start_seen and self._plausible_start(side, line)

    def _plausible_start(self, side: int, line: bytes) -> bool:
        """Whether a capture that starts late begins with a whole line on this side."""
        return line[:1].isalnum() or line[:1] in b"+-*" if line else False

    def _keep(self, side: int, data: bytes, at: int) -> None:
        if side == CLIENT and self._held_lost:
            self._held_lost += len(data)
            return
        if not self._held[side]:
            self._held_at[side] = at
        self._held[side] += data

    def _hold(self, side: int, data: bytes, at: int) -> bool:
        """Take bytes while the switch is open; False when they are to be parsed as lines after all."""
        if self._waiting:
            if side == CLIENT:
                self._keep(CLIENT, data, at)
                if self._answer_lost or len(self._held[CLIENT]) > MAX_HELD_BYTES:
                    self._decide_without_answer()
                return True
            if self._rest[SERVER] or data[0] != 0x16:
                return False
            self._waiting, self._switching = False, True  # the answer is missing, TLS goes on all the same
            self._early = len(self._held[CLIENT])
            self._skipping[SERVER] = False
        elif side == SERVER and self._is_clear_beyond_answer():
            self._resume()
            return self._switching and self._hold(side, data, at)
        self._keep(side, data, at)
        self._settle()
        return True

    def _is_clear_beyond_answer(self) -> bool:
        """Whether the client sent clear text after it could have read the accepting answer."""
        fresh = self._held[CLIENT][self._early:]
        return bool(fresh) and looks_like_tls(fresh) is False

    def _decide_without_answer(self) -> None:
        clear = None if self._answer_lost and not looks_like_tls(self._held[CLIENT]) else self._clear_alone()
        if clear is not None:
            self._hand_over(clear)
        elif looks_like_tls(self._held[CLIENT]) is False:
            self._waiting = False
            self._release_client()

    def _clear_alone(self) -> int | None:
        """The same as `_clear_before_tls` where no answer was seen: the clear bytes are few, and commands that are no further request."""
        client = self._held[CLIENT]
        clear = self._clear_before_tls(client)
        if clear and (clear > MAX_CLEAR_ALONE or any(self.verb_of(line.rstrip(b"\r")) in (None, self.offer, "DATA") for line in client[:clear].split(b"\n")[:-1])):
            return None
        return clear

    def _settle(self) -> None:
        """STARTTLS was accepted: hand over once TLS shows, go on as text once it cannot come any more."""
        while self._switching and self.handover is None:
            client, server = self._held
            clear = self._clear_before_tls(client)
            if clear is not None:
                self._hand_over(clear)
            elif looks_like_tls(server) and not self._is_clear_beyond_answer():
                self._hand_over(self._early)  # the client's side was not captured or lost
            elif self._switch_damaged and len(client) >= 8 and not client[:8].isascii():
                self._hand_over(0)
            elif len(client) > MAX_HELD_BYTES or len(server) > MAX_HELD_BYTES:
                self._resume()
            else:
                return

    def _clear_before_tls(self, client: bytes) -> int | None:
        """How many clear bytes stand before the first TLS record; None while none is seen.

        A record is only looked for at the start, behind what came before the answer, and behind line ends: anywhere else 16 03 is chance.
        """
        if looks_like_tls(client):
            return 0
        if self._early and looks_like_tls(client[self._early:]):
            return self._early
        found = client.find(b"\n\x16\x03")
        if found >= 0 and looks_like_tls(client[found + 1:]):
            return found + 1
        return None

    def _hand_over(self, clear: int) -> None:
        """Pass the flow on to TLS; `clear` held client bytes come before it."""
        client, server = self._held
        client_at, server_at = self._held_at
        if clear:
            self.facts.injected_client_bytes = clear
            self._note_client_clear(client[:clear])
            self.anomaly("pipelined-behind-starttls", CLIENT, client_at, f"{clear} clear bytes before the first TLS record")
            client, client_at = client[clear:], client_at + clear
        if server and looks_like_tls(server) is False and server[0] not in (0x15, 0x14):
            found = server.find(b"\n\x16\x03")
            clear = found + 1 if found >= 0 else len(server)
            if not self._server_damaged:  # else it may be the middle of a record
                self.facts.injected_server_bytes = clear
                self.oddities.server_clear, self.oddities.server_clear_at = self._server_kind(server[:clear]), server_at
                self.anomaly("clear-reply-before-tls", SERVER, server_at, f"{clear} clear bytes behind the accepting reply")
            server, server_at = server[clear:], server_at + clear
        self.facts.tls_started = True
        self.handover = Handover(to="tls", rest=(client, server), at=(client_at, server_at))
        self._held = [b"", b""]
        self._waiting = self._switching = False
        self._end()

    def _note_client_clear(self, data: bytes) -> None:
        """What clear bytes the client sent behind its request."""
        lines = [line.rstrip(b"\r") for line in data.split(b"\n") if line.strip()]
        verbs = [verb for verb in map(self.verb_of, lines[:MAX_ODDITIES]) if verb is not None]
        kind = _kind_of(data)
        if data.startswith(_PROXY):
            kind = "proxy"
        elif kind == "text" and verbs:
            kind = "commands"
        odd = self.oddities
        odd.client_clear, odd.client_verbs, odd.client_clear_at = kind, tuple(verbs), self._held_at[CLIENT]

    def _server_kind(self, data: bytes) -> str:
        """What clear bytes the server sent behind its accepting answer."""
        kind = _kind_of(data)
        return "replies" if kind == "text" and self._plausible_start(SERVER, data.split(b"\n", 1)[0].rstrip(b"\r")) else kind

    def _release_client(self) -> None:
        """Parse the client bytes that were held, as lines."""
        self._waiting = False
        held, self._held[CLIENT] = self._held[CLIENT], b""
        n_lost, self._held_lost = self._held_lost, 0
        if held:
            at = self._held_at[CLIENT]
            self._rest[CLIENT] = self._lines(CLIENT, held, at)
            if n_lost:
                self.gap(CLIENT, n_lost, at + len(held))

    def _resume(self) -> None:
        """Clear text goes on although the server accepted: say so, and parse what was held."""
        self._switching = False
        client, server = self._held
        early, self._early = self._early, 0
        word_at = early if len(client) > early else 0
        if (len(client) > early or server) and client and not self._switch_damaged:
            facts = self.facts
            facts.cleartext_after_accept = self.command_word(client[word_at:].split(b"\n", 1)[0])
            facts.cleartext_after_accept_at = self._held_at[CLIENT] + word_at
            if len(client) > early:
                self.oddities.n_replies_before = facts.n_replies
        if early and client and not self._switch_damaged and looks_like_tls(client) is False:
            self.oddities.pipelined_bytes = early
            self._note_client_clear(client[:early])
        self._switch_damaged = False
        self._held = [b"", b""]
        if client:
            self._rest[CLIENT] = self._lines(CLIENT, client, self._held_at[CLIENT])
        if server:
            self._rest[SERVER] = self._lines(SERVER, server, self._held_at[SERVER])


def _kind_of(data: bytes) -> str:
    """blank, text or binary; nothing of the bytes themselves is kept."""
    if not data.strip(b"\r\n\t \0"):
        return "blank"
    return "text" if data.isascii() and data.decode("ascii").replace("\r", "").replace("\n", "").replace("\t", "").isprintable() else "binary"
