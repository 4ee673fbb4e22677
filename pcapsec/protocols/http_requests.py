"""A request of HTTP/1 that is looked at closely, between its head and its answer."""
from __future__ import annotations

from ..records import HttpRequest, Login, RpcChannel
from .http_forms import MAX_FORM_BYTES
from .http_logins import Attempt


class Request:
    """A request that is looked at closely, until it is answered and its body over. It takes its body itself when that is needed."""

    __slots__ = ("method", "at", "head", "row", "kept", "attempts", "form", "login", "body", "body_at", "body_bytes", "body_open", "body_whole", "body_over", "channel", "answer")

    def __init__(self, method: bytes, at: int, head: bytes, row: HttpRequest | None):
        self.method, self.at, self.head, self.row = method, at, head, row
        self.kept = False  # the row is in facts.http.requests
        self.attempts: list[Attempt] = []
        self.form: tuple[str, bytes, bool] | None = None  # kind and content type of a body that may hold a login; the path says that it does
        self.login: Login | None = None  # from the body
        self.body: bytearray | None = None
        self.body_at = self.body_bytes = 0
        self.body_open = self.body_whole = self.body_over = True  # more of it is kept; none is missing; nothing is to come
        self.channel: RpcChannel | None = None  # that RPC_IN_DATA is or RPC_OUT_DATA asks for
        self.answer: tuple[int | None, dict[bytes, bytes]] | None = None  # came before the body was over

    def feed(self, data: bytes, at: int) -> None:
        """Body bytes."""
        body = self.body
        self.body_bytes += len(data)
        if body is None or not self.body_open:
            return
        if not body:
            self.body_at = at
        room = MAX_FORM_BYTES - len(body)
        if len(data) > room:
            self.body_whole = False
            data = data[:room]
        body += data

    def gap(self, length: int, at: int) -> None:
        """Body bytes are missing: what follows them is not looked at."""
        self.body_bytes += length
        if length:
            self.body_whole = self.body_open = False
