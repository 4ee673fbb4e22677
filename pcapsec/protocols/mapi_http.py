"""Bodies of MAPI over HTTP's requests to a mailbox and of their answers ([MS-OXCMAPIHTTP] §2.2.4.1, §2.2.4.2): what EcDoConnectEx and EcDoRpcExt2 carry, wrapped anew.

Parameters stand one after the other, little endian and without padding. An answer begins with lines of text (`PROCESSING`, `PENDING`, `DONE`, then fields) and an empty one
(§2.2.7). Told is what `MapiReader` tells; a body that is cut or damaged is read as far as it makes sense.
"""
from __future__ import annotations

from ..records import MapiFacts
from .mapi import MAX_NAME_BYTES, MapiReader

KINDS = frozenset(("Connect", "Execute"))  # values of X-RequestType whose bodies are read
MAX_BODY_BYTES = 65536  # of an answer: two buffers of 32 KiB


class MapiBodies:
    """The bodies of one connection."""

    def __init__(self):
        self._reader = MapiReader("EMSMDB")

    @property
    def facts(self) -> MapiFacts:
        return self._reader.facts

    @property
    def obfuscation(self) -> str | None:
        """The strongest seen: none, xor, compressed, both; None: no payload was read."""
        return self._reader.obfuscation

    def request(self, kind: str, body: bytes, at: int) -> None:
        """Connect: UserDn, Flags 4, DefaultCodePage 4, LcidSort 4, LcidString 4, auxiliary. Execute: Flags 4, RopBufferSize 4, RopBuffer, MaxRopOut 4, auxiliary.

        Args:
            kind: X-RequestType.
            at: client stream offset of the body.
        """
        if kind == "Connect":
            end = body.find(b"\0", 0, MAX_NAME_BYTES + 1)
            if end >= 0:
                self._reader.user(body[:end + 1], at)
                self._auxiliary(body, end + 17, 0)
        else:
            self._auxiliary(body, self._operations(body, 4, 0) + 4, 0)

    def answer(self, kind: str, body: bytes) -> None:
        """Connect: StatusCode 4, ErrorCode 4, PollsMax 4, RetryCount 4, RetryDelay 4, DnPrefix, DisplayName, auxiliary. Execute: StatusCode 4, ErrorCode 4, Flags 4,
        RopBufferSize 4, RopBuffer, auxiliary."""
        start = body.find(b"\r\n\r\n") + 4
        if start < 4 or body[start:start + 8] != bytes(8):
            return
        if kind == "Execute":
            self._auxiliary(body, self._operations(body, start + 12, 1), 1)
            return
        end = body.find(b"\0", start + 20, start + 21 + MAX_NAME_BYTES) + 1
        for pos in range(end, min(end + 2 * MAX_NAME_BYTES, len(body)), 2):
            if end and body[pos:pos + 2] == b"\0\0":
                self._auxiliary(body, pos + 2, 1)
                break

    def _operations(self, body: bytes, pos: int, side: int) -> int:
        """`RopBufferSize 4, RopBuffer`; returns where it ends."""
        end = pos + 4 + int.from_bytes(body[pos:pos + 4], "little")
        self._reader.operations(body[pos + 4:end], side)
        return end

    def _auxiliary(self, body: bytes, pos: int, side: int) -> None:
        """`AuxiliaryBufferSize 4, AuxiliaryBuffer`."""
        end = pos + 4 + int.from_bytes(body[pos:pos + 4], "little")
        self._reader.auxiliary(body[pos + 4:end], side)


class AnswerBody:
    """Takes the body of one answer."""

    def __init__(self, bodies: MapiBodies, kind: str):
        self._bodies, self._kind = bodies, kind
        self._data = bytearray()
        self._open = True

    def feed(self, data: bytes, at: int) -> None:
        if self._open:
            self._data += data[:MAX_BODY_BYTES - len(self._data)]

    def gap(self, length: int, at: int) -> None:
        if length:
            self._open = False

    def over(self) -> None:
        """No more of it comes."""
        self._bodies.answer(self._kind, bytes(self._data))
        self._data.clear()
