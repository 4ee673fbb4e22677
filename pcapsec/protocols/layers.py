"""What a line protocol may put under its lines in mid-stream, besides TLS: DEFLATE compression and SASL security layers.

Compression (RFC 4978 §3, RFC 8054 §2.2): the bytes are inflated within bounds and parsed on; every offset is then that of the compressed chunk. A stream that
breaks the grammar, loses bytes or grows beyond reason is given up, which is an anomaly, and the rest of that side stays unread.
Security layers (RFC 4422 §3.7): what follows cannot be read, except where a layer was negotiated and none is used; `facts.sasl_wrapped` says so.
"""
from __future__ import annotations

import zlib

from ..records import CLIENT, SERVER, Handover
from .lines import LineParser, looks_like_tls

PIECE_BYTES = 65536  # inflated at once, so that one small chunk never becomes one huge buffer before the ratio is looked at
FREE_BYTES = 4 << 20  # no stream is called a bomb before this much came out of it
MAX_RATIO = 100  # mail rarely passes 20 and DEFLATE ends at 1032; beyond this it is made to exhaust its reader
MAX_WAITING_BYTES = 65536  # client bytes behind the request to compress while its answer is awaited

# Mechanisms that can wind a security layer around what follows their success (RFC 4752 §3.3, RFC 2831 §2.4, RFC 4178).
LAYERED = frozenset(("GSSAPI", "GSS-SPNEGO", "DIGEST-MD5", "KERBEROS_V4", "NTLM"))


class Inflater:
    """One side of a compressed conversation."""

    __slots__ = ("_stream", "_taken", "_given", "failed")

    def __init__(self):
        self._stream = zlib.decompressobj(-15)
        self._taken = self._given = 0
        self.failed: str | None = None  # inflate-failed, inflate-bomb, inflate-ended, inflate-gap

    def feed(self, data: bytes) -> bytes:
        """What the bytes inflate to; empty once the stream has failed."""
        if self.failed is not None:
            return b""
        stream, pieces = self._stream, []
        self._taken += len(data)
        try:
            while data:
                piece = stream.decompress(data, PIECE_BYTES)
                self._given += len(piece)
                pieces.append(piece)
                if self._given > FREE_BYTES and self._given > MAX_RATIO * self._taken:
                    self.failed = "inflate-bomb"
                    break
                data = stream.unconsumed_tail
                if stream.eof:  # some end the stream when they close; whatever follows is no DEFLATE any more
                    if stream.unused_data:
                        self.failed = "inflate-ended"
                    break
        except zlib.error:
            self.failed = "inflate-failed"
        return b"".join(pieces)

    def lost(self) -> None:
        """Bytes are missing: what follows refers to a window that is not there."""
        self.failed = self.failed or "inflate-gap"


class LayeredParser(LineParser):
    """A line parser whose bytes may turn into compressed or wrapped ones.

    Subclasses call `compress_requested`, `compress_answered` and `expect_layer`, and take the offset of an event from `where`.
    """

    _inflaters: tuple[Inflater, Inflater] | None = None
    _chunk_at = (0, 0)  # of the compressed chunk under way, for each side
    _deferred: list[tuple[int, bytes, int]] | tuple = ()  # compressed bytes that came in the chunk of the answer, or before it
    _waiting_at = 0

    def awaits(self, side: int) -> str:
        return "content" if self._inflaters is not None or self.facts.sasl_wrapped else super().awaits(side)

    def where(self, side: int, at: int) -> int:
        """The stream offset of an event whose place among the plain bytes is `at`."""
        return at if self._inflaters is None else self._chunk_at[side]

    def is_command(self, line: bytes) -> bool:
        """Whether bytes behind an unanswered request to compress are plain after all."""
        raise NotImplementedError

    # --- compression

    def compress_requested(self) -> None:
        self.bulk[CLIENT] = self._behind_request

    def compress_answered(self, accepted: bool, at: int) -> None:
        if self._inflaters is None:
            self.bulk[CLIENT] = None
            if accepted:
                held, self._rest[CLIENT] = bytes(self._rest[CLIENT]), b""
                self._compress(at)
                if held:
                    self._deferred.append((CLIENT, held, self._waiting_at))

    def _behind_request(self, data: bytes, pos: int, at: int) -> int:
        """Client bytes wait for the server's answer; where no answers are in the capture their look decides."""
        if self.facts.n_replies and len(data) - pos < MAX_WAITING_BYTES:
            self._waiting_at = at
            return 0
        if self.is_command(data[pos:pos + 64].partition(b"\n")[0]):
            self.bulk[CLIENT] = None
            return 0
        self._compress(at)
        return 0

    def _compress(self, at: int) -> None:
        self.facts.compressed, self.facts.compressed_at = True, at
        self._inflaters, self._chunk_at = (Inflater(), Inflater()), [0, 0]
        self._deferred = []
        self.bulk[CLIENT], self.bulk[SERVER] = self._defer_client, self._defer_server
        self.feed = self._feed_compressed  # a caller that keeps the old one gets the same, at the end

    def _defer_client(self, data: bytes, pos: int, at: int) -> int:
        self._deferred.append((CLIENT, data[pos:], at))
        return len(data) - pos

    def _defer_server(self, data: bytes, pos: int, at: int) -> int:
        self._deferred.append((SERVER, data[pos:], at))
        return len(data) - pos

    def _feed_compressed(self, side: int, data: bytes, at: int) -> None:
        if self.bulk[SERVER] == self._defer_server:
            self._feed_deferred()
        self._inflate(side, data, at)

    def _feed_deferred(self) -> None:
        if self.bulk[SERVER] == self._defer_server:
            self.bulk[CLIENT] = self.bulk[SERVER] = None
        deferred, self._deferred = self._deferred, []
        for side, data, at in deferred:
            self._inflate(side, data, at)

    def _inflate(self, side: int, data: bytes, at: int) -> None:
        inflater = self._inflaters[side]
        if inflater.failed is not None:
            return
        self._chunk_at[side] = at
        plain = inflater.feed(data)
        if plain:
            LineParser.feed(self, side, plain, at)
        if inflater.failed is not None:
            self.anomaly(inflater.failed, side, at)

    # --- security layers

    def expect_layer(self, mechanism: str) -> None:
        """A login by `mechanism` succeeded: the next byte of each side tells whether a layer is there."""
        if mechanism in LAYERED:
            self.bulk[CLIENT], self.bulk[SERVER] = self._layer_of_client, self._layer_of_server

    def wrapped(self) -> None:
        """A layer was seen: nothing more can be read on either side."""
        self.facts.sasl_wrapped = True
        self.bulk[CLIENT] = self.bulk[SERVER] = self._swallow

    def _layer_of_client(self, data: bytes, pos: int, at: int) -> int:
        return self._layer(CLIENT, data[pos])

    def _layer_of_server(self, data: bytes, pos: int, at: int) -> int:
        return self._layer(SERVER, data[pos])

    def _layer(self, side: int, first: int) -> int:
        """Every wrapped buffer has its length in front, four octets below 2^24 and so with a zero first (RFC 4752 §3.1, RFC 2831 §2.3)."""
        if first == 0:
            self.wrapped()
        else:
            self.bulk[side] = None
        return 0

    # --- TLS where only the server's side was captured

    def expect_tls(self) -> None:
        """The server said yes to a command that is not in the capture: TLS in its next bytes shows that it was STARTTLS."""
        if self._inflaters is None:
            self.bulk[SERVER] = self._perhaps_tls

    def _perhaps_tls(self, data: bytes, pos: int, at: int) -> int:
        found = looks_like_tls(data[pos:pos + 5])
        if found is None:
            return 0
        self.bulk[SERVER] = None
        if not found:
            return 0
        self.facts.tls_started = True
        self.handover = Handover(to="tls", rest=(b"", data[pos:]), at=(0, at))
        self._end()
        return len(data) - pos

    def _swallow(self, data: bytes, pos: int, at: int) -> int:
        return len(data) - pos

    # --- damage and end

    def gap(self, side: int, length: int, at: int) -> None:
        if self._inflaters is None:
            super().gap(side, length, at)
            return
        self._feed_deferred()
        if self._inflaters[side].failed is None:
            self._inflaters[side].lost()
            self.anomaly("inflate-gap", side, at, f"{length} bytes missing")

    def finish(self) -> None:
        if self._deferred:
            self._feed_deferred()
        super().finish()
