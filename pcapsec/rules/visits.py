"""The mail conversations of a run, some 100 bytes each, for rules that compare them.

A visit is one conversation of a client with a mail server: SMTP, LMTP, IMAP, POP3, NNTP, ManageSieve, or TLS on behalf of one of them. A worker's judge
keeps those it sees, the judge of the run merges them. Rows are packed as they come; texts, servers and capability lists are numbered in tables. Numbers
depend on who saw what first, so rules compare them for equality and nothing else; the order of rows does not.

Everything has a ceiling. Of too many visits the earliest stay, whoever saw them. A text that no longer fits has the number MORE: unknown, and equal to
nothing.
"""
from __future__ import annotations

import functools
import struct
import zlib
from hashlib import blake2b
from typing import Any, NamedTuple

from ..greetings import greeting_host, greeting_shape
from ..records import Ends, RegularSession, Session
from .rule import MAIL
from .stories import RANK
from .visit_flags import SILENT, flags_of

MAX_VISITS = 2_000_000  # 200 MB
MAX_SERVERS, MAX_CLIENTS = 1 << 18, 1 << 20
MAX_CAPTURES = 0xFFFF
MAX_TEXTS = 1 << 18  # names, greetings, fingerprints
MAX_KINDS = 0xFFFF  # protocols with services and versions
MAX_OFFERS = 1 << 15  # a KiB or two each
MAX_LISTED = 100  # entries of a capability list; of a longer one nothing is known
MAX_TEXT = 200  # characters
MAX_LIKES = 4096
MAX_FACES = 1 << 16  # greetings with names, 300 bytes each
CHUNK_BYTES = 1 << 22
NONE, MORE = 0, 1  # numbers of no value, and of a value that did not fit

SERVICES = frozenset(("smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "nntp", "nntps", "managesieve"))
VERDICTS = ("unknown", "protected", "exposed", "weak")
_STORIES = frozenset(("credential", "cleartext", "stripping"))  # families whose finding may be the root of one about several conversations

VERDICT_SHIFT, _RANK_SHIFT = 24, 26  # in flags: of the verdict, and of 1 + the rank of the root's severity

FIELDS = (  # name, struct code, numpy type; a visit's row, in this order
    ("start_ns", "q", "<i8"),
    ("session_id", "Q", "<u8"),
    ("root", "Q", "<u8"),  # id of the session's worst root finding about credentials, clear text or stripping; 0: none
    ("duration_ms", "I", "<u4"),
    ("frame", "I", "<u4"),  # 0: beyond 32 bits
    ("last_frame", "I", "<u4"),
    ("client", "I", "<u4"),
    ("server", "I", "<u4"),
    ("flags", "I", "<u4"),
    ("name", "I", "<u4"),  # of the server: asked for, given by DNS, or in its greeting
    ("offer", "I", "<u4"),
    ("banner", "I", "<u4"),  # greeting without what changes each time
    ("client_name", "I", "<u4"),  # EHLO or HELO, IMAP's ID
    ("ja4", "I", "<u4"),
    ("reason", "I", "<u4"),  # why TLS failed: an alert's name, "closed", "unanswered", "not begun", "given up", a reply code
    ("envelope", "I", "<u4"),  # hash of sender and first recipient of the first message; 0: none seen
    ("from_domain", "I", "<u4"),
    ("rcpt_domain", "I", "<u4"),
    ("size", "I", "<u4"),  # content bytes of all messages
    ("bytes_client", "I", "<u4"),
    ("client_port", "H", "<u2"),
    ("capture", "H", "<u2"),
    ("kind", "H", "<u2"),  # protocol, service, version of TLS
)
_ROW = struct.Struct("<" + "".join(code for _name, code, _type in FIELDS))
ROW_BYTES = _ROW.size
_pack = _ROW.pack
_U32 = 0xFFFFFFFF
_VERDICT_BITS = {verdict: number << VERDICT_SHIFT for number, verdict in enumerate(VERDICTS)}


class Offer(NamedTuple):
    """A capability list before TLS, as sent."""

    capabilities: tuple[str, ...]
    mechanisms: tuple[str, ...]
    masked: tuple[str, ...]


class Visit(NamedTuple):
    """A row with its numbers looked up; None is unknown."""

    start_ns: int
    end_ns: int  # to the millisecond
    session_id: str
    capture: str
    frame: int
    last_frame: int
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    protocol: str
    service: str | None
    flags: int
    verdict: str
    root: str | None
    root_rank: int  # of its severity; -1 without one
    name: str | None
    offer: Offer | None
    banner: str | None
    client_name: str | None
    ja4: str | None
    reason: str | None
    version: str | None
    envelope: int
    from_domain: str | None
    rcpt_domain: str | None
    size: int
    bytes_client: int

    @property
    def ends(self) -> Ends:
        """What a finding whose primary evidence it is carries."""
        return Ends(self.session_id, self.client_ip, self.client_port, self.server_ip, self.server_port, self.protocol, self.service, self.frame, self.last_frame, self.name)

    @property
    def place(self) -> tuple[int, str, int, str]:
        """What orders visits: the same in every run."""
        return self.start_ns, self.capture, self.frame, self.session_id


class Numbers:
    """Values and their numbers, up to a limit."""

    __slots__ = ("values", "ids", "limit", "n_more")

    def __init__(self, limit: int):
        self.limit, self.n_more = limit, 0
        self.values: list[Any] = [None, None]  # NONE, MORE
        self.ids: dict[Any, int] = {None: NONE}

    def of(self, value: Any) -> int:
        try:
            return self.ids[value]
        except KeyError:
            number = len(self.values)
            if number > self.limit:
                self.n_more += 1
                return MORE
            self.ids[value] = number
            self.values.append(value)
            return number

    def __len__(self) -> int:
        return len(self.values) - 2

    def __getstate__(self):
        return self.values, self.limit, self.n_more

    def __setstate__(self, state) -> None:
        self.values, self.limit, self.n_more = state
        self.ids = {value: number for number, value in enumerate(self.values) if number != MORE}


_TABLES = {"client": "clients", "server": "servers", "capture": "captures", "offer": "offers", "kind": "kinds",
           **dict.fromkeys(("name", "banner", "client_name", "ja4", "reason", "from_domain", "rcpt_domain"), "texts")}  # column -> table of its numbers
_PLACED = ("client", "server", "capture")  # without these a visit is of no use


class Visits:
    """What was kept of them.

    Attributes:
        n_more: visits that no longer fitted.
        clients, servers, captures, texts, kinds, offers: what numbers stand for.
    """

    def __init__(self) -> None:
        self.n_more = 0
        self.clients, self.servers, self.captures = Numbers(MAX_CLIENTS), Numbers(MAX_SERVERS), Numbers(MAX_CAPTURES)
        self.texts, self.kinds, self.offers = Numbers(MAX_TEXTS), Numbers(MAX_KINDS), Numbers(MAX_OFFERS)
        self._chunks: list[Any] = []  # structured arrays; never changed, so they may be shared
        self._open = bytearray()
        self._n = 0  # rows in chunks
        self._likes: dict[int, tuple] = {}
        self._faces: dict[tuple[str | None, str | None], tuple[int, int]] = {}
        self._rows: Any = None  # all of them in order of time, once they were asked for
        self.answers: dict[str, Any] = {}  # what rules found out of all visits, for each of them to be asked once

    def __len__(self) -> int:
        return self._n + len(self._open) // ROW_BYTES

    def __getstate__(self):
        self._close()
        return self.n_more, self.clients, self.servers, self.captures, self.texts, self.kinds, self.offers, self._chunks

    def __setstate__(self, state) -> None:
        self.__init__()
        self.n_more, self.clients, self.servers, self.captures, self.texts, self.kinds, self.offers, self._chunks = state
        self._n = sum(map(len, self._chunks))

    # --- filling

    def take(self, session: Session) -> None:
        """Remember a conversation that was judged, if it is one with a mail server."""
        if session.__class__ is RegularSession:
            like = session.like  # type: ignore[attr-defined]
            known = self._likes.get(id(like))
            if known is None:
                known = like, self._shape(like) if is_mail(like) else None
                if len(self._likes) >= MAX_LIKES:
                    self._likes.clear()
                self._likes[id(like)] = known
            shape = known[1]
            root, rank, verdict = 0, 0, like.verdict
        else:
            if not is_mail(session):
                return
            shape = self._shape(session)
            root, rank = _root(session) if session.findings else (0, 0)
            verdict = session.verdict
        if shape is None:
            return
        flags, name, offer, banner, client_name, ja4, reason, envelope, from_domain, rcpt_domain, size, kind = shape
        address, endpoint, file = session.client_ip, (session.server_ip, session.server_port), session.capture
        client = self.clients.ids.get(address) or self.clients.of(address)
        server = self.servers.ids.get(endpoint) or self.servers.of(endpoint)
        capture = self.captures.ids.get(file) or self.captures.of(file)
        if client == MORE or server == MORE or capture == MORE:
            self.n_more += 1
            return
        if self._rows is not None:
            self._forget()
        try:
            number = int(session.session_id, 16)
        except ValueError:
            number = int.from_bytes(blake2b(session.session_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        frame, last_frame, start_ns, n_bytes = session.frame, session.last_frame, session.start_ns, session.bytes_client
        duration_ms = (session.end_ns - start_ns) // 1_000_000
        self._open += _pack(
            start_ns, number, root, duration_ms if 0 <= duration_ms <= _U32 else 0 if duration_ms < 0 else _U32, frame if frame <= _U32 else 0,
            last_frame if last_frame <= _U32 else 0, client, server, flags | rank << _RANK_SHIFT | _VERDICT_BITS[verdict], name, offer, banner, client_name, ja4,
            reason, envelope, from_domain, rcpt_domain, size, n_bytes if n_bytes <= _U32 else _U32, session.client_port, capture, kind)
        if len(self._open) >= CHUNK_BYTES:
            self._close()

    def _shape(self, session: Session) -> tuple | None:
        """What a visit shares with those that are like it: everything but endpoints, place, time and findings. None where nothing was said: floods and probes consist of that."""
        facts, tls, inner, texts, ja4, version = session.facts, session.tls, session.inner, self.texts, None, None
        shown = facts if inner is None or session.tls_mode != "implicit" else inner
        flags, reason = flags_of(session, facts, tls)
        if not flags & ~SILENT:
            return None
        greeting, asked, capabilities, offer = shown.greeting, None, facts.capabilities, NONE
        if tls is not None:
            version, asked = tls.version, tls.sni or tls.dns_name
            if tls.offer is not None:
                ja4 = tls.offer.ja4
        if capabilities is not None:
            listed = capabilities, facts.auth_mechanisms, facts.masked_tokens
            offer = self.offers.ids.get(listed) or (self.offers.of(Offer(*listed)) if len(capabilities) <= MAX_LISTED else MORE)
        name, banner = self._faces.get((greeting, asked)) or self._face(greeting, asked)
        client_name = shown.client_name or shown.identity and shown.identity.get("imap-id")
        messages = facts.messages or inner is not None and inner.messages
        envelope = from_domain = rcpt_domain = size = 0
        if messages:
            envelope, from_domain, rcpt_domain = self._envelope(messages[0])
            size = messages[0].size_bytes if len(messages) == 1 else sum([message.size_bytes for message in messages])
        kind = session.protocol, session.service, version
        return (flags, name, offer, banner, texts.of(client_name[:MAX_TEXT].lower().rstrip(".")) if client_name else NONE, ja4 and texts.of(ja4) or NONE,
                reason and texts.of(reason) or NONE, envelope, from_domain, rcpt_domain, size if size <= _U32 else _U32, self.kinds.ids.get(kind) or self.kinds.of(kind))

    def _face(self, greeting: str | None, asked: str | None) -> tuple[int, int]:
        """Numbers of a server's name and its greeting, remembered for what it shows."""
        name = asked or greeting_host(greeting)
        if len(self._faces) >= MAX_FACES:
            self._faces.clear()
        face = self._faces[greeting, asked] = (self.texts.of(name[:MAX_TEXT].lower().rstrip(".")) if name else NONE, self.texts.of(greeting_shape(greeting)) if greeting else NONE)
        return face

    def _envelope(self, message: Any) -> tuple[int, int, int]:
        """Hash of sender and first recipient, numbers of their domains."""
        if not message.rcpt_to:
            return NONE, NONE, NONE
        sender, recipient = (message.mail_from or "").lower(), message.rcpt_to[0].lower()
        number = zlib.crc32(f"{sender}\n{recipient}".encode("utf-8", "surrogatepass"))
        return number or 1, self._domain(sender), self._domain(recipient)

    def _domain(self, address: str) -> int:
        domain = address[address.rfind("@") + 1:].rstrip(".") if "@" in address else ""
        return (self.texts.ids.get(domain) or self.texts.of(domain[:MAX_TEXT])) if domain else NONE

    def merge(self, other: "Visits") -> None:
        """Add what another worker kept."""
        self.n_more += other.n_more
        self._forget()
        self._faces.clear(), self._likes.clear()
        other._close()
        self._close()
        if not self._n and not len(self.texts) and not len(self.clients):
            self._chunks = other._chunks.copy()
            for name in ("clients", "servers", "captures", "texts", "kinds", "offers"):
                table = Numbers(0)
                table.__setstate__((getattr(other, name).values.copy(), getattr(self, name).limit, getattr(other, name).n_more))
                setattr(self, name, table)
            self._n = other._n
            return
        import numpy

        numbers = {}
        for name in dict.fromkeys(_TABLES.values()):
            of = getattr(self, name).of
            numbers[name] = numpy.array([NONE, MORE, *map(of, getattr(other, name).values[2:])], dtype="<u4")
        for chunk in other._chunks:
            rows = chunk.copy()
            for column, table in _TABLES.items():
                rows[column] = numbers[table][rows[column]]
            kept = numpy.logical_and.reduce([rows[column] != MORE for column in _PLACED])
            rows = rows if kept.all() else rows[kept]
            self.n_more += len(chunk) - len(rows)
            self._chunks.append(rows)
            self._n += len(rows)
        self._limit(MAX_VISITS)

    def _close(self) -> None:
        """Put away what came since the last time."""
        if self._open:
            import numpy

            rows = numpy.frombuffer(bytes(self._open), dtype=row_type())
            self._chunks.append(rows)
            self._n += len(rows)
            self._open.clear()
            self._limit(MAX_VISITS + MAX_VISITS // 4)  # some more than will stay, for sorting takes a while

    def _limit(self, most: int) -> None:
        """Of more than this the earliest MAX_VISITS stay."""
        if self._n > most:
            rows = self._in_order()[:MAX_VISITS].copy()
            self.n_more += self._n - len(rows)
            self._chunks, self._n = [rows], len(rows)

    def _forget(self) -> None:
        self._rows = None
        self.answers.clear()

    # --- reading

    def rows(self) -> Any:
        """All visits as a structured array in order of time; see FIELDS. Not to be written to."""
        if self._rows is None:
            self._close()
            self._limit(MAX_VISITS)
            self._rows = self._in_order()
        return self._rows

    def _in_order(self) -> Any:
        """All chunks as one, in order of time; one chunk after the other goes, so that nothing is in memory twice."""
        import numpy

        columns = [numpy.concatenate([numpy.empty(0, kind), *[chunk[name] for chunk in self._chunks]]) for name, kind in (("session_id", "<u8"), ("frame", "<u4"), ("start_ns", "<i8"))]
        order = numpy.lexsort(columns)
        place = numpy.empty(len(order), dtype="<i8")
        place[order] = numpy.arange(len(order))
        rows = numpy.empty(len(order), dtype=row_type())
        end = len(order)
        while self._chunks:
            chunk = self._chunks.pop()
            rows[place[end - len(chunk):end]] = chunk
            end -= len(chunk)
        self._chunks = [rows]
        return rows

    def look_up(self, row: Any) -> Visit:
        """A row with its numbers looked up."""
        (start_ns, number, root, duration_ms, frame, last_frame, client, server, flags, name, offer, banner, client_name, ja4, reason, envelope, from_domain, rcpt_domain,
         size, bytes_client, client_port, capture, kind) = row.item()
        texts, (server_ip, server_port), (protocol, service, version) = self.texts.values, self.servers.values[server], self.kinds.values[kind] or ("unknown", None, None)
        return Visit(
            start_ns, start_ns + duration_ms * 1_000_000, "%016x" % number, self.captures.values[capture], frame, last_frame, self.clients.values[client], client_port,
            server_ip, server_port, protocol, service, flags, VERDICTS[flags >> VERDICT_SHIFT & 3], "%016x" % root if root else None,
            (flags >> _RANK_SHIFT & 7) - 1, texts[name], self.offers.values[offer], texts[banner], texts[client_name], texts[ja4], texts[reason], version, envelope,
            texts[from_domain], texts[rcpt_domain], size, bytes_client)


def is_mail(session: Session) -> bool:
    """Whether a conversation is one with a mail server."""
    return session.protocol in MAIL or session.tls_mode != "none" and session.service in SERVICES


@functools.cache
def row_type() -> Any:
    """The numpy type of a row."""
    import numpy

    return numpy.dtype([(name, kind) for name, _code, kind in FIELDS])


def ordered(rows: Any, *columns: str) -> Any:
    """Rows, which are in order of time, in order of columns and then of time."""
    import numpy

    return rows[numpy.lexsort([rows[column] for column in reversed(columns)])]  # a stable sort


def _root(session: Session) -> tuple[int, int]:
    """(id, 1 + rank of its severity) of the session's worst root finding about credentials, clear text or stripping; (0, 0) without one."""
    worst = None
    for finding in session.findings:
        if finding.because_of is None and finding.rule.category in _STORIES and (worst is None or RANK[finding.severity] > RANK[worst.severity]):
            worst = finding
    return (int(worst.finding_id, 16), 1 + RANK[worst.severity]) if worst is not None else (0, 0)
