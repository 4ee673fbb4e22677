"""HTTP/1 as mail services use it: heads of requests and answers, their pairing, and what their bodies are needed for (RFC 9110, RFC 9112).

Heads are read by hand: httptools only splits a request and its answer, in 2.3 µs, and this reader passes over a pair that nobody asks for in 4.3 µs with pairing and bodies, but that one
gives up at RPC_IN_DATA, bare LF, folded fields and repeated lengths, takes what follows an answer to HEAD for its body, and knows neither offsets nor missing bytes.

A request matters, and becomes a row of `facts.http.requests`, when its path, method or fields name a mail service, or when it carries or is asked for a login (Authorization, forms,
401 and 407). All others are only counted: the request line and one search over the head decide that, nothing is split.

Answers go to requests in order (RFC 9112 §9.3). Where a request is sent although bytes of the server are missing, those before it count as unanswered, since only pipelining clients
do not wait. An answer whose request was not seen makes a row only when it asks for a login; its method is empty.
Resynchronisation after damage: see `http_framing`.
"""
from __future__ import annotations

import re
from collections import deque
from operator import attrgetter

from ..records import CLIENT, SERVER, Facts, HttpFacts, HttpRequest, RpcChannel
from .http_forms import form_login, may_hold_login
from .http_framing import CHUNKS, LENGTH, SIZE_LINE, UNTIL_CLOSE, WAIT, Framing, Side, note
from .http_heads import (ANSWER_FIELDS, ANSWER_MARK, HEAD_END, HTTP2_PREFACE, LETTERS, MAX_HEAD_BYTES, REQUEST_FIELDS, REQUEST_LINE, REQUEST_MARK, STATUS_LINE, STATUS_START,
                         content_length, fields, is_chunked, schemes, set_cookie_names, text)
from .http_logins import Logins
from .http_probe import late, probe  # noqa: F401 - detection asks a parser's module for them
from .http_requests import Request
from .http_services import (EXCHANGE_FIELDS, LOGIN_PATHS, RPC_METHODS, SEGMENTS, classify, first_segment, location_of, media_type, request_row, row_of,
                            split_target)
from .mapi_http import KINDS, AnswerBody, MapiBodies
from .rpc_http import MIN_CHANNEL_LENGTH, ChannelReader

MAX_ROWS = 10000  # of one connection
MAX_CHANNELS = 1000  # of one connection; it carries one, or two where they follow one another
MAX_OPEN = 1000  # requests that wait for their answers; pipelining clients send a few dozen, where the server's side was not captured all wait

_CHUNKED = -2  # instead of a length
_LOOKED_AT = RPC_METHODS | {b"CONNECT"}  # whatever their fields say
_WITHOUT_BODY = frozenset((b"204", b"304"))  # RFC 9112 §6.3; 1xx are looked at closely
_ASKING = frozenset((b"401", b"407"))
_MAIL_ADDRESS = re.compile(rb"<(?:\w{1,20}:)?EMailAddress>[^<@\s]{1,200}@[^<@\s]{1,200}<", re.IGNORECASE).search


class HttpParser(Framing):
    """Both sides of an HTTP/1 connection.

    Args:
        start_seen: the connection's first bytes are in the capture.
        server_port: unused; all parsers have it.
    """

    protocol = "http"
    has_own_skipping = True
    _waiting: Request | None = None  # CONNECT or RPC_CONNECT whose answer decides
    _server_spoke = False
    _logins: Logins | None = None
    _mapi: MapiBodies | None = None
    _over = _too_many_channels = False

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        facts = Facts(protocol="http")
        super().__init__(facts, start_seen)
        self.http = facts.http = HttpFacts()
        self._open: deque[tuple[bytes, int] | Request] = deque()  # waiting for answers; requests that nobody asks for as (head, offset)
        self._channels: list[ChannelReader] = []

    def finish(self) -> None:
        """No more bytes will come."""
        if self._over:
            return
        self._over = True
        client = self.sides[CLIENT]
        waiting = self._waiting
        if waiting is not None and client.held and not self._server_spoke:  # the client's side alone: that it goes on shows that the answer was yes
            self._tunnel(waiting)
            self._hand_over(b"", 0)
        self.end()
        while self._open:
            self._unanswered(self._open.popleft())
        if self._logins is not None:
            self._logins.finish()
        facts, http = self.facts, self.http
        if self._mapi is not None:
            http.mapi, http.obfuscation = self._mapi.facts, self._mapi.obfuscation
        if facts.channels is not None:
            for reader in self._channels:
                reader.finish()
            facts.channels = [channel for channel in facts.channels if channel.pieces or channel.virtual_connection is not None] or None
        if len(http.requests) > 1:
            http.requests.sort(key=attrgetter("at"))
        facts.n_commands, facts.n_replies = http.n_requests, http.n_responses

    # --- requests

    def client_head(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        if side.searched:
            found = self.ends(side, data, pos, at)
            if found != 1:
                return found
        line = REQUEST_LINE(data, pos)
        if line is None:
            return self._no_request(side, data, pos, at)
        mark = REQUEST_MARK(data, line.end() - 1)
        if mark is None:
            return self.not_yet(side, data, pos, at)
        end = mark.end()
        method, segment, _, other = line.groups()
        if data[end - 1] == 10 and end - pos <= MAX_HEAD_BYTES and method not in _LOOKED_AT:
            if (segment if other is None else first_segment(other)).lower() not in SEGMENTS:
                if self.server_lost:
                    self._forget_open()
                self._open.append((bytes(data[pos:end]), at))
                self._requested()
                return end - pos
        if data[end - 1] != 10:
            found = HEAD_END(data, end)
            if found is None:
                return self.not_yet(side, data, pos, at)
            end = found.end()
        if end - pos > MAX_HEAD_BYTES:
            return self.too_long(side, data, pos, at)
        self._request(side, bytes(data[pos:end]), at)
        return end - pos

    def _no_request(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        if data[pos] == 0x50 and data[pos:pos + 16] == HTTP2_PREFACE[:16]:  # the rest are frames
            self.http.http2 = True
            self.opaque()
            return -1
        return self.no_head(side, data, pos, at, data[pos] in LETTERS)

    def _requested(self) -> None:
        """One more request was sent."""
        self.http.n_requests += 1
        server = self.sides[SERVER]
        if server.mode:
            self.peek(server)
        if len(self._open) > MAX_OPEN:
            self._unanswered(self._open.popleft())

    def _request(self, side: Side, head: bytes, at: int, cut: bool = False) -> None:
        """A request head that is looked at closely; `cut`: its end is missing, and with it what is known of its body."""
        line = REQUEST_LINE(head)
        if line is None:
            return
        method = line[1]
        target, _, version = line[0].rstrip()[len(method) + 1:].rpartition(b" HTTP/")
        named = fields(head, REQUEST_FIELDS)
        parts = split_target(target)
        lower = parts[1].lower()
        found = classify(method, lower, parts[2], named)
        service = found[0]
        login = b"authorization" in named or b"proxy-authorization" in named
        request = None
        if service != "other" or login or method in _LOOKED_AT:
            request = Request(method, at, head, request_row(method, target, version, named, at, parts, found))
            if login:
                self._attempts(request, named)
            elif self._logins is not None and request.row.principal is None:
                request.row.principal = self._logins.bound
            if service != "other" or request.row.auth_scheme is not None:
                self._keep(request)
        elif method in (b"POST", b"PUT") and may_hold_login(named.get(b"content-type")) is not None and not cut:
            request = Request(method, at, head, None)
        if self.server_lost:
            self._forget_open()
        self._open.append((head, at) if request is None else request)
        self._requested()
        if cut:
            return
        if method == b"CONNECT" or method == b"RPC_CONNECT":
            self._waiting, self.switch_at, side.mode = request, at + len(head), WAIT
            return
        length = content_length(named)
        if is_chunked(named):
            side.mode, side.chunk, length = CHUNKS, SIZE_LINE, MIN_CHANNEL_LENGTH
        elif length is None or length == 0:
            length = 0
        elif length < 0:
            note(self.facts, "http-length-malformed", CLIENT, at)
            self.resume_after(side)
            return
        else:
            side.mode, side.remaining = LENGTH, length
        if request is not None:
            if length:
                self._needs_body(side, request, named, length, lower)
            if request.row is None and request.body_over:
                self._open[-1] = (head, at)

    def _attempts(self, request: Request, named: dict[bytes, bytes]) -> None:
        self._logins = self._logins or Logins(self.facts)
        for name, proxy in ((b"authorization", False), (b"proxy-authorization", True)):
            value = named.get(name)
            if value is not None:
                attempt = self._logins.attempt(request.row, value, request.at, proxy)
                if attempt is not None:
                    request.attempts.append(attempt)

    def _needs_body(self, side: Side, request: Request, named: dict[bytes, bytes], length: int, path: bytes) -> None:
        """Decide what a request's body is needed for."""
        row, method = request.row, request.method
        if request.kept:
            side.row = row
        if method in RPC_METHODS:
            if length < MIN_CHANNEL_LENGTH:
                return
            inbound = method == b"RPC_IN_DATA"
            channel = request.channel = self._channel(CLIENT if inbound else SERVER, row.rpc_target, request.at)
            if channel is not None:
                side.take = self._reader(channel, CLIENT, inbound)
            return
        content_type = named.get(b"content-type")
        kind = may_hold_login(content_type)
        alone = path.decode("latin-1") in LOGIN_PATHS
        if method in (b"POST", b"PUT") and (kind is not None or alone):
            request.form = kind or "urlencoded", content_type or b"", alone
        elif not _holds_mapi(row) and (row is None or row.service != "autodiscover"):
            return
        request.body, request.body_over = bytearray(), False
        side.take = request

    def _channel(self, side: int, target: str | None, at: int) -> RpcChannel | None:
        """One more channel of RPC over HTTP, None when there are too many."""
        if self.facts.channels is None:
            self.facts.channels = []
        if len(self.facts.channels) >= MAX_CHANNELS:
            if not self._too_many_channels:
                self._too_many_channels = True
                note(self.facts, "http-too-many-channels", side, at, f"more than {MAX_CHANNELS}")
            return None
        channel = RpcChannel(side=side, target=target)
        self.facts.channels.append(channel)
        return channel

    def _reader(self, channel: RpcChannel, side: int, keep: bool) -> ChannelReader:
        reader = ChannelReader(channel, self.facts, side, keep)
        self._channels.append(reader)
        return reader

    def body_over(self, side: Side, whole: bool) -> None:
        request = side.take
        if type(request) is AnswerBody:
            request.over()
        if type(request) is not Request or request.body_over:
            return
        request.body_over = True
        body, request.body = request.body, None
        if body:
            if request.form is not None:
                kind, content_type, alone = request.form
                login = request.login = form_login(body, kind, content_type, whole and request.body_whole, request.at, request.body_at, alone)
                if login is not None:
                    row = self._row(request)
                    row.auth_scheme, row.principal = row.auth_scheme or "FORM", login.principal or row.principal
                    row.request_bytes = request.body_bytes
            if request.row is not None and request.row.service == "autodiscover" and _MAIL_ADDRESS(body) is not None:
                request.row.email_seen = True
            if _holds_mapi(request.row):
                self._mapi = self._mapi or MapiBodies()
                self._mapi.request(request.row.request_type, bytes(body), request.body_at)
        if request.answer is not None:
            self._settle(request, *request.answer)
        elif request.row is None and self._open and self._open[-1] is request:
            self._open[-1] = (request.head, request.at)  # no login after all

    def _row(self, request: Request) -> HttpRequest:
        """The request's row, among those that are kept from now on."""
        row = request.row
        if row is None:
            row = request.row = row_of(request.head, request.at)
        if not request.kept:
            self._keep(request)
        return row

    def _keep(self, request: Request) -> None:
        """The request becomes a row."""
        request.kept = True
        self._add_row(request.row)

    def _add_row(self, row: HttpRequest) -> None:
        rows = self.http.requests
        if len(rows) < MAX_ROWS:
            rows.append(row)
        elif not any(anomaly.code == "http-too-many-requests" for anomaly in self.facts.anomalies):
            note(self.facts, "http-too-many-requests", CLIENT, row.at, f"more than {MAX_ROWS}")

    # --- answers

    def server_head(self, side: Side, data: bytes | bytearray, pos: int, at: int) -> int:
        if side.searched:
            found = self.ends(side, data, pos, at)
            if found != 1:
                return found
        line = STATUS_LINE(data, pos)
        if line is None:
            n = len(data) - pos
            return self.no_head(side, data, pos, at, n < 13 and STATUS_START.startswith(bytes(data[pos:pos + 7])))
        status, end, length, plain = line[1], line.end(), -1, True
        while True:
            mark = ANSWER_MARK(data, end)
            if mark is None:
                return self.not_yet(side, data, pos, at)
            end = mark.end()
            if data[end - 1] == 10:
                break
            if mark[1] is not None and length == -1:
                length = int(mark[1])
            elif mark[1] is None and mark[2] is None:
                length = _CHUNKED
            else:
                plain = False
        if end - pos > MAX_HEAD_BYTES:
            return self.too_long(side, data, pos, at)
        waiting = self._open
        request = waiting[0] if waiting else None
        if not plain or request is None or status in _ASKING or status[0] == 49 or type(request) is Request:
            self._answer(side, bytes(data[pos:end]), at)
            return end - pos
        self.http.n_responses += 1
        self._server_spoke = True
        waiting.popleft()
        if self.sides[CLIENT].mode:
            self.peek(self.sides[CLIENT])
        if status in _WITHOUT_BODY or request[0][:5] == b"HEAD ":
            return end - pos
        if length > 0:
            if length <= len(data) - end:
                return end - pos + length
            side.mode, side.remaining = LENGTH, length
        elif length == _CHUNKED:
            side.mode, side.chunk = CHUNKS, SIZE_LINE
        elif length < 0:
            side.mode = UNTIL_CLOSE
        return end - pos

    def _answer(self, side: Side, head: bytes, at: int, cut: bool = False) -> None:
        """An answer's head that is looked at closely."""
        line = STATUS_LINE(head)
        if line is None:
            return
        status = int(line[1])
        named = fields(head, ANSWER_FIELDS)
        waiting = self._open
        self._server_spoke = True
        if status < 200 and status != 101:
            return
        self.http.n_responses += 1
        request = waiting.popleft() if waiting else None
        row = self._answered(request, status, named, at)
        client = self.sides[CLIENT]
        if client.mode:
            self.peek(client)
        if type(request) is Request:
            method = request.method
            self._settle(request, status, named)
        else:
            method = request[0].partition(b" ")[0] if request is not None else b""
        if cut:
            return
        if status == 101:
            self._upgraded(named, request)
            return
        if request is not None and request is self._waiting:
            self._waiting = None
            if 200 <= status < 300:
                self._tunnel(request)
                return
        self._answer_body(side, request, row, method, status, named, at)
        if client.mode == WAIT and self._waiting is None:
            self.release()

    def _answer_body(self, side: Side, request, row: HttpRequest | None, method: bytes, status: int, named: dict[bytes, bytes], at: int) -> None:
        """Which kind of body follows (RFC 9112 §6.3), and what it is needed for."""
        if method == b"HEAD" or status in (204, 304):
            return
        length = content_length(named)
        if is_chunked(named):
            side.mode, side.chunk = CHUNKS, SIZE_LINE
        elif length is None:
            side.mode = UNTIL_CLOSE
        elif length < 0:
            note(self.facts, "http-length-malformed", SERVER, at)
            self.resume_after(side)
            return
        elif length:
            side.mode, side.remaining = LENGTH, length
        else:
            return
        side.row = row
        if 200 <= status < 300 and (length is None or length > 20):
            if type(request) is Request:
                if request.channel is not None and request.channel.side == SERVER:
                    side.take = self._reader(request.channel, SERVER, True)
                elif self._mapi is not None and _holds_mapi(request.row):
                    side.take = AnswerBody(self._mapi, request.row.request_type)
            elif request is None and media_type(named.get(b"content-type")) == "application/rpc":
                channel = self._channel(SERVER, None, at)
                if channel is not None:
                    side.take = self._reader(channel, SERVER, True)

    def _answered(self, request, status: int, named: dict[bytes, bytes], at: int) -> HttpRequest | None:
        """Fill the answer into the request's row, which a 401 or 407 makes. Returns it, None when there is none."""
        challenge = named.get(b"proxy-authenticate" if status == 407 else b"www-authenticate")
        asks = status in (401, 407) and challenge is not None
        if type(request) is Request:
            row, kept = self._row(request) if asks else request.row, request.kept
            if row is None:
                return None
        elif asks:
            row = HttpRequest(at=0, method="") if request is None else row_of(*request)
            self._add_row(row)
            kept = True
        else:
            return None
        row.status, row.status_at = status, at
        if asks:
            row.auth_offered = schemes(challenge)
            row.proxy = row.proxy or status == 407
        if 300 <= status < 400 or status == 201:
            row.location = location_of(named.get(b"location"))
        row.response_type = media_type(named.get(b"content-type"))
        row.set_cookies = set_cookie_names(named.get(b"set-cookie"))
        if not row.service_sure and row.service in ("owa", "mapi-http") and any(name in named for name in EXCHANGE_FIELDS):
            row.service_sure = True
        return row if kept else None

    def _settle(self, request: Request, status: int | None, named: dict[bytes, bytes]) -> None:
        """The outcome of a request's logins; waits for the end of a body that may hold one."""
        if not request.body_over:
            request.answer = status, named
            return
        if request.attempts:
            self._logins.settle(request.attempts, request.row, status, named)
        if request.login is not None:
            self._logins = self._logins or Logins(self.facts)
            self._logins.settle_form(request.login, request.row, status, named)

    def _unanswered(self, request) -> None:
        if type(request) is Request:
            channel = request.channel
            if channel is not None and channel.side == CLIENT and channel.pieces and request.attempts:
                # an IN channel is never answered; calls on it show that both channels, and with them the logins of both, were accepted
                self._logins.settle(request.attempts, request.row, None, {}, accepted=True)
            else:
                self._settle(request, None, {})
            if request is self._waiting:
                self._waiting = None

    def _forget_open(self) -> None:
        """Answers were lost and the client goes on: what it asked before was answered in there."""
        self.server_lost = False
        while self._open:
            self._unanswered(self._open.popleft())

    def cut_head(self, side: Side, head: bytes, at: int) -> None:
        head = head[:head.rfind(b"\n") + 1]  # half a line may be half a credential
        if not head:
            return
        if side.number:
            self._answer(side, head, at, True)
        else:
            self._request(side, head, at, True)

    # --- what follows HTTP

    def _hand_over(self, rest: bytes | bytearray, at: int) -> None:
        super()._hand_over(rest, at)
        self.finish()

    def _tunnel(self, request: Request) -> None:
        """CONNECT (RFC 9110 §9.3.6) or RPC_CONNECT ([MS-RPCH] §2.1.1) was granted."""
        if request.method == b"RPC_CONNECT":
            self.switch = "dcerpc"
            return
        self.switch = "detect"
        self.facts.tunnel, self.facts.tunnel_target = "http-connect", request.row.path

    def _upgraded(self, named: dict[bytes, bytes], request) -> None:
        """101 Switching Protocols (RFC 9110 §7.8)."""
        word = text(named.get(b"upgrade", b"").partition(b",")[0].strip().lower(), 40) or "unknown"
        self.http.upgraded = word
        if word.startswith("tls"):  # RFC 2817 §3.3
            self.switch = "tls"
            if request is not None:
                head, at = (request.head, request.at) if type(request) is Request else request
                self.switch_at = at + len(head)
            return
        if word.startswith("h2c"):
            self.http.http2 = True
        self.opaque()


def _holds_mapi(row: HttpRequest | None) -> bool:
    """Whether the bodies of a request and its answer are read for what MAPI over HTTP shows."""
    return row is not None and row.service == "mapi-http" and row.request_type in KINDS
