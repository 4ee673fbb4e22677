"""SMB over TCP port 445 or NetBIOS port 139, only as far as it carries DCE/RPC and logins: dialect, signing, encryption, session setups, named pipes.

Each message has four bytes in front: 0 and its length ([MS-SMB2] §2.1, RFC 1002 §4.3). Its first bytes tell what it is: SMB1, SMB2, an encrypted or a
compressed message. Contents of ordinary files are skipped by their length and never kept.
Resync after damage: the next place where a length is followed by one of the four signatures, looked for within a limit; beyond it the side is only counted.
"""
from __future__ import annotations

from ..records import Anomaly, Facts, Handover, SmbFacts
from . import smb_v1, smb_v2
from .smb_pipes import MAX_ANOMALIES, Pipes, Setups

__all__ = ["SmbParser", "late", "probe"]

MAX_RESYNC_BYTES = 1 << 20  # of a side, looked through for the next message after damage
MAX_LATE_BYTES = 4096  # how far the start of a whole message is looked for
MAX_NETBIOS_BYTES = 1024  # of a session service packet that is no message; a session request has 68
ENCRYPTED, COMPRESSED = b"\xfdSMB", b"\xfcSMB"  # [MS-SMB2] §2.2.41, §2.2.42
_MAGICS = frozenset((smb_v1.MAGIC, smb_v2.MAGIC, ENCRYPTED, COMPRESSED))
_LEAST_BYTES = 32  # the shortest header of the four is compression's with 16, but none comes that short


class SmbParser:
    """Both sides of an SMB connection.

    Attributes:
        facts: what was learnt; `facts.rpc` has one entry for each pipe that spoke DCE/RPC.
        handover: always None.
    """

    protocol = "smb"

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        self.facts = Facts(protocol="smb", smb=SmbFacts(), rpc=[])
        self.handover: Handover | None = None
        self._pipes = Pipes(self.facts, self.anomaly)
        self._setups = Setups(self.facts, self.anomaly)
        self._smb1 = smb_v1.Smb1(self.facts, self._pipes, self._setups)
        self._smb2 = smb_v2.Smb2(self.facts, self._pipes, self._setups)
        self._rest: list[bytes | bytearray] = [b"", b""]
        self._need = [0, 0]  # bytes from the start of the rest, before which looking again is useless
        self._left = [0, 0]  # bytes of the current message that were not taken yet
        self._skip = [0, 0]  # of those, or behind them, bytes of no interest
        self._searching = [not start_seen, not start_seen]
        self._looked = [0, 0]
        self._dead = [False, False]
        self._over = False

    def anomaly(self, code: str, side: int, at: int, detail: str = "") -> None:
        """Note a violation or a loss, up to a limit."""
        found = self.facts.anomalies
        if len(found) < MAX_ANOMALIES:
            found.append(Anomaly(code=code, side=side, at=at, detail=detail))

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        if not data or self._dead[side]:
            return
        rest = self._rest[side]
        if rest:
            at -= len(rest)
            if len(rest) + len(data) < self._need[side]:
                if type(rest) is bytes:
                    rest = self._rest[side] = bytearray(rest)
                rest += data
                return
            data = bytes(rest) + data
        pos = self._take(side, data, at)
        self._rest[side] = data[pos:] if pos < len(data) else b""

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if self._dead[side]:
            return
        if self._skip[side] >= length:
            self._skip[side] -= length
            self._left[side] -= length
            return
        self._rest[side] = b""
        self._left[side] = self._skip[side] = 0
        self._searching[side] = True
        self._pipes.lost(side, length, at)

    def finish(self) -> None:
        """No more bytes will come."""
        if not self._over:
            self._over = True
            self._setups.finish()
            self._pipes.finish()

    # --- messages

    def _take(self, side: int, data: bytes, at: int) -> int:
        """Consume messages; returns where the bytes begin that wait for more."""
        pos, n = 0, len(data)
        while pos < n:
            skip = self._skip[side]
            if skip:
                step = min(skip, n - pos)
                self._skip[side] = skip - step
                self._left[side] -= step
                pos += step
                continue
            if self._searching[side]:
                pos = self._search(side, data, pos, at)
                if self._searching[side]:
                    return pos
            left = self._left[side]
            if not left:
                if n - pos < 4:
                    self._need[side] = 4
                    return pos
                length = int.from_bytes(data[pos + 1:pos + 4], "big")
                if data[pos] == 0:
                    self._left[side] = length
                elif 0x81 <= data[pos] <= 0x85 and length <= MAX_NETBIOS_BYTES:
                    self._left[side] = self._skip[side] = length
                else:
                    self._damaged(side, at + pos)
                    pos += 1
                    continue
                pos += 4
                continue
            used = self._message(side, data, pos, min(n - pos, left), left, at + pos)
            if used < 0:
                self._need[side] = -used
                return pos
            if used == 0:
                self._damaged(side, at + pos)
                continue
            step = min(used, n - pos)
            self._left[side] = left - step
            self._skip[side] = used - step
            pos += step
        return pos

    def _message(self, side: int, data: bytes, pos: int, available: int, left: int, at: int) -> int:
        """One SMB message, or one of a compound; see `Smb2.step`."""
        if left < 4:
            return left  # padding
        if available < 4:
            return -4
        magic = data[pos:pos + 4]
        if magic == smb_v2.MAGIC:
            return self._smb2.step(side, data, pos, available, left, at)
        if magic == smb_v1.MAGIC:
            return self._smb1.step(side, data, pos, available, left, at)
        if magic == ENCRYPTED:
            self.facts.smb.encrypted = True
            return left
        return left if magic == COMPRESSED else 0

    def _damaged(self, side: int, at: int) -> None:
        self.anomaly("not-an-smb-message", side, at)
        self._searching[side] = True
        self._left[side] = self._skip[side] = 0
        self._pipes.lost(side, 1, at)

    def _search(self, side: int, data: bytes, pos: int, at: int) -> int:
        """The place of the next message's length, with `_searching` taken back; else where the bytes to be kept begin."""
        found = find_message(data, pos)
        if found >= 0:
            self._searching[side] = False
            return found
        end = max(pos, len(data) - 7)
        self._looked[side] += end - pos
        self._need[side] = len(data) - end + 1
        if self._looked[side] > MAX_RESYNC_BYTES:
            self.anomaly("no-smb-message-found", side, at + pos, f"in {MAX_RESYNC_BYTES} bytes")
            self._dead[side] = True
            return len(data)
        return end


def find_message(data: bytes, pos: int, end: int | None = None) -> int:
    """Where the next message with its length in front begins; -1 when none is found."""
    end = len(data) if end is None else end
    begin = pos  # what stands before it was looked at already
    while (found := data.find(b"SMB", pos, end)) >= 0:
        start = found - 5
        if start >= begin and data[start] == 0 and data[found - 1:found + 3] in _MAGICS and int.from_bytes(data[start + 1:start + 4], "big") >= _LEAST_BYTES:
            return start
        pos = found + 3
    return -1


# --- first bytes

def _begins(data: bytes) -> bool | None:
    """Whether bytes begin with a message, or on port 139 with the packets that open a NetBIOS session (RFC 1002 §4.3)."""
    kind = data[0]
    if kind == 0x81:  # SESSION REQUEST: 68 bytes, two encoded names of 34
        return None if len(data) < 5 else data[1:5] == b"\0\0\x44\x20"
    if kind == 0x82:  # POSITIVE SESSION RESPONSE
        if len(data) <= 4:
            return None if data == b"\x82\0\0\0"[:len(data)] else False
        return data[:4] == b"\x82\0\0\0" and _begins(data[4:12])
    if kind:
        return False
    if len(data) < 8:
        return None if any(magic.startswith(data[4:]) for magic in _MAGICS) else False
    return data[4:8] in _MAGICS and int.from_bytes(data[1:4], "big") >= _LEAST_BYTES


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of either side are SMB."""
    if client:
        return _begins(client)
    return _begins(server) if server else None


def late(client: bytes, server: bytes) -> bool:
    """Whether bytes from the middle of a conversation hold an SMB message with its length in front."""
    return any(find_message(data, 0, MAX_LATE_BYTES) >= 0 for data in (client, server))
