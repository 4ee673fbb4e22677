"""SMB 2 and 3 ([MS-SMB2] §2.2), as far as named pipes and logins need it.

Requests are remembered by message id only where their answer matters: session setups, tree connects, opens of pipes, reads and transceives on pipes.
"""
from __future__ import annotations

import struct
from typing import Any

from ..records import CLIENT, Facts
from .smb_pipes import (
    BUFFER_OVERFLOW, KNOWN_PIPES, MAX_FILES, MAX_PENDING, MAX_TREES, MORE_PROCESSING, PENDING, SUCCESS, Pipe, Pipes, Setups, looks_like_rpc, pipe_name,
    read_name)

MAGIC, HEADER_BYTES = b"\xfeSMB", 64
MAX_KEPT_BYTES = 131072  # of one request or answer; a security buffer has 64 KiB at most, a pipe's message rarely more than 8
_PEEK_BYTES = HEADER_BYTES + 48 + 16  # a WRITE request with the first bytes of its data

NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, CLOSE, READ, WRITE, IOCTL = 0, 1, 3, 5, 6, 8, 9, 11
IS_RESPONSE, RELATED, SIGNED = 1, 4, 8  # §2.2.1.2 flags
SIGNING_REQUIRED = 2
PIPE_TRANSCEIVE = 0x0011C017
SHARE_PIPE = 2
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
_SAME_FILE = b"\xff" * 16  # in a related request: the file of the one before

_header = struct.Struct("<IHHIIQIIQ").unpack_from  # from offset 8: status, command, credits, flags, next, message, process, tree, session
_u16 = struct.Struct("<H").unpack_from
_u32 = struct.Struct("<I").unpack_from


class Smb2:
    """Both sides' SMB2 state of a connection."""

    def __init__(self, facts: Facts, pipes: Pipes, setups: Setups):
        self.facts, self.pipes, self.setups = facts, pipes, setups
        self._trees: dict[int, bool] = {}  # tree id -> whether it is IPC$
        self._files: dict[bytes, Pipe] = {}
        self._pending: dict[int, tuple[int, Any]] = {}  # message id -> command, what its answer needs
        self._chain: Pipe | None = None  # the file of the last request, for related ones

    def step(self, side: int, data: bytes, pos: int, available: int, left: int, at: int) -> int:
        """One PDU of a compound.

        Args:
            pos: where it begins in `data`; `available` bytes of it and what follows it are there, `left` belong to the message.
            at: its stream offset.

        Returns: its length; or, negative, how many bytes from `pos` on are needed first; 0 when it is none.
        """
        if left < HEADER_BYTES:
            return 0
        if available < HEADER_BYTES:
            return -HEADER_BYTES
        status, command, _, flags, following, message, _, tree, session = _header(data, pos + 8)
        if data[pos + 4:pos + 6] != b"\x40\0":
            return 0
        length = following or left
        if length < HEADER_BYTES or length > left:
            return 0
        if bool(flags & IS_RESPONSE) != (side != CLIENT):
            return length
        if side == CLIENT:
            handle = _REQUESTS.get(command)
            if command == WRITE:
                peek = min(length, _PEEK_BYTES)
                if available < peek:
                    return -peek
                self._chain = self._pipe_of_write(data, pos, length, flags, tree)
                if self._chain is None:
                    handle = None
        else:
            handle = _ANSWERS.get(command)
            if handle is not None and command in _NEEDS_REQUEST:
                waiting = self._pending.get(message)
                if waiting is None or waiting[0] != command:
                    handle = None
                elif type(waiting[1]) is bytes and waiting[1] not in self._files:
                    peek = min(length, _PEEK_BYTES)
                    if available < peek:
                        return -peek
                    start = pos + data[pos + 66] if length > 66 else pos
                    if status != PENDING and not looks_like_rpc(data[start:min(start + 16, pos + length)]):
                        del self._pending[message]
                        handle = None
        if handle is None:
            self._count(side)
            return length
        if length > MAX_KEPT_BYTES:
            self._count(side)
            self._too_long(side, command, message, length, at)
            return length
        if available < length:
            return -length
        self._count(side)
        if length - HEADER_BYTES >= 4:
            handle(self, data[pos:pos + length], at, (status, flags, message, tree, session))
        return length

    def _count(self, side: int) -> None:
        if side == CLIENT:
            self.facts.n_commands += 1
        else:
            self.facts.n_replies += 1

    def _too_long(self, side: int, command: int, message: int, length: int, at: int) -> None:
        pipe = self._chain if side == CLIENT else self._pending.pop(message, (0, None))[1]
        if command in (READ, WRITE) and type(pipe) is Pipe:
            self.pipes.lost_of(pipe, side, length, at)

    def _await(self, message: int, command: int, what: Any) -> None:
        pending = self._pending
        if len(pending) >= MAX_PENDING:
            del pending[next(iter(pending))]
        pending[message] = command, what

    # --- negotiation and logins

    def _negotiate(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.3: StructureSize 36, DialectCount, SecurityMode."""
        if _u16(pdu, 66)[0] and len(pdu) >= 70:
            self._signing(_u16(pdu, 68)[0])

    def _negotiated(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.4: StructureSize 65, SecurityMode, DialectRevision."""
        if head[0] == SUCCESS and len(pdu) >= 70:
            self._signing(_u16(pdu, 66)[0], True)
            dialect = _u16(pdu, 68)[0]
            if dialect != 0x02FF:  # "2.???": the client has to ask once more in SMB2
                self.facts.smb.dialect = DIALECTS.get(dialect, f"0x{dialect:04x}")

    def _signing(self, mode: int, by_server: bool = False) -> None:
        """Either side may require it; only the server's word says that nobody does, as far as it was seen."""
        smb = self.facts.smb
        if mode & SIGNING_REQUIRED:
            smb.signing_required = True
        elif by_server and smb.signing_required is None:
            smb.signing_required = False

    def _session_setup(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.5: StructureSize 25, Flags 1, SecurityMode 1, Capabilities 4, Channel 4, SecurityBufferOffset 2, SecurityBufferLength 2."""
        if len(pdu) < HEADER_BYTES + 24:
            return
        if pdu[67] & SIGNING_REQUIRED:
            self.facts.smb.signing_required = True
        self.setups.request(("2", head[2]), head[4], _buffer(pdu, 76), at)

    def _session_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.6: StructureSize 9, SessionFlags, SecurityBufferOffset, SecurityBufferLength."""
        token, details = b"", {}
        if len(pdu) >= HEADER_BYTES + 8 and _u16(pdu, 64)[0] == 9 and head[0] in (SUCCESS, MORE_PROCESSING):
            token = _buffer(pdu, 68)
            if _u16(pdu, 66)[0] & 1:
                details["guest"] = True
        self.setups.answered(("2", head[2]), head[4], head[0], token, **details)

    # --- trees and files

    def _tree_connect(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.9: StructureSize 9, Flags, PathOffset, PathLength."""
        if len(pdu) >= HEADER_BYTES + 8:
            start, length = _u16(pdu, 68)[0], _u16(pdu, 70)[0]
            self._await(head[2], TREE_CONNECT, read_name(pdu, start, start + length).lower().endswith("\\ipc$"))

    def _tree_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.10: StructureSize 16, ShareType."""
        _, is_ipc = self._pending.pop(head[2])
        if head[0] == SUCCESS:
            if len(self._trees) >= MAX_TREES:
                del self._trees[next(iter(self._trees))]
            self._trees[head[3]] = is_ipc or pdu[66] == SHARE_PIPE

    def _create(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.13: StructureSize 57, …, NameOffset at 44, NameLength at 46."""
        self._chain = None
        if len(pdu) < HEADER_BYTES + 48:
            return
        start, length = _u16(pdu, 108)[0], _u16(pdu, 110)[0]
        name = pipe_name(read_name(pdu, start, start + length))
        is_ipc = self._trees.get(head[3])
        if name and (is_ipc or is_ipc is None and name in KNOWN_PIPES):
            pipe = self._chain = self.pipes.create(name)
            self._await(head[2], CREATE, pipe)

    def _create_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.14: StructureSize 89, …, FileId at 64."""
        if head[0] == PENDING:
            return
        _, pipe = self._pending.pop(head[2])
        if head[0] == SUCCESS and len(pdu) >= HEADER_BYTES + 80:
            self._keep(pdu[128:144], pipe)

    def _keep(self, file: bytes, pipe: Pipe) -> None:
        files = self._files
        if file not in files and len(files) >= MAX_FILES:
            self.pipes.close(files.pop(next(iter(files))))
        files[file] = pipe

    def _close(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.15: StructureSize 24, Flags, Reserved 4, FileId."""
        file = pdu[72:88]
        if file != _SAME_FILE:
            pipe = self._files.pop(file, None)
        else:
            pipe = self._chain
        if pipe is not None:  # answers to reads may still be on their way: it ends with the answer
            pipe.closing = True
            self._await(head[2], CLOSE, pipe)

    def _close_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        self.pipes.close(self._pending.pop(head[2])[1])

    # --- bytes of pipes

    def _adopt(self, file: bytes) -> Pipe:
        """A pipe whose open was not seen: it was before the capture, or on another connection of the session (§3.2.4.1.7).

        Callers have made sure that its share may be IPC$ and that its bytes are RPC.
        """
        pipe = None
        if not self.facts.n_replies:  # only the client's side was captured: most likely what was opened last
            message = next((message for message, (command, _) in reversed(self._pending.items()) if command == CREATE), None)
            if message is not None:
                pipe = self._pending.pop(message)[1]
        pipe = pipe or self.pipes.create(None, False)
        self._keep(file, pipe)
        return pipe

    def _file(self, file: bytes, flags: int) -> Pipe | None:
        if file == _SAME_FILE and flags & RELATED:
            return self._chain
        pipe = self._chain = self._files.get(file)
        return pipe

    def _pipe_of_write(self, data: bytes, pos: int, length: int, flags: int, tree: int) -> Pipe | None:
        """The pipe that a WRITE request goes to (§2.2.21: DataOffset at 2, Length at 4, FileId at 16); None for ordinary files."""
        if length < HEADER_BYTES + 48:
            return None
        file = data[pos + 80:pos + 96]
        if file == _SAME_FILE and flags & RELATED:
            return self._chain
        pipe = self._files.get(file)
        if pipe is None and self._trees.get(tree) is not False:
            start = pos + _u16(data, pos + 66)[0]
            if looks_like_rpc(data[start:min(start + 16, pos + length)]):
                pipe = self._adopt(file)
        return pipe

    def _write(self, pdu: bytes, at: int, head: tuple) -> None:
        start, length = _u16(pdu, 66)[0], _u32(pdu, 68)[0]
        if start >= HEADER_BYTES:
            self.pipes.feed(self._chain, 0, pdu[start:start + length], at + start, bool(head[1] & SIGNED))

    def _read(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.19: StructureSize 49, Padding, Flags, Length 4, Offset 8, FileId."""
        file = pdu[80:96]
        pipe = self._file(file, head[1])
        if pipe is not None or self._trees.get(head[3]) is not False and len(file) == 16 and file != _SAME_FILE:
            self._await(head[2], READ, pipe or file)

    def _read_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.20: StructureSize 17, DataOffset 1, Reserved 1, DataLength 4."""
        self._answer(pdu, at, head, pdu[66], _u32(pdu, 68)[0] if len(pdu) >= 72 else 0)

    def _ioctl(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.31: StructureSize 57, Reserved, CtlCode 4, FileId 16, InputOffset 4, InputCount 4."""
        if len(pdu) < HEADER_BYTES + 32 or _u32(pdu, 68)[0] != PIPE_TRANSCEIVE:
            return
        file = pdu[72:88]
        start, length = _u32(pdu, 88)[0], _u32(pdu, 92)[0]
        sent = pdu[start:start + length] if start >= HEADER_BYTES else b""
        pipe = self._file(file, head[1])
        if pipe is None:  # this control is for pipes only
            pipe = self._chain = self._adopt(file)
        self.pipes.feed(pipe, 0, sent, at + start, bool(head[1] & SIGNED))
        self._await(head[2], IOCTL, pipe)

    def _ioctl_answer(self, pdu: bytes, at: int, head: tuple) -> None:
        """§2.2.32: StructureSize 49, Reserved, CtlCode 4, FileId 16, InputOffset 4, InputCount 4, OutputOffset 4, OutputCount 4."""
        if len(pdu) < HEADER_BYTES + 40:
            self._answer(pdu, at, head, 0, 0)
        else:
            self._answer(pdu, at, head, _u32(pdu, 96)[0], _u32(pdu, 100)[0])

    def _answer(self, pdu: bytes, at: int, head: tuple, start: int, length: int) -> None:
        if head[0] == PENDING:
            return
        pipe = self._pending.pop(head[2])[1]
        if head[0] not in (SUCCESS, BUFFER_OVERFLOW) or start < HEADER_BYTES:
            return
        received = pdu[start:start + length]
        if type(pipe) is bytes:
            pipe = self._files.get(pipe) or looks_like_rpc(received) and self._adopt(pipe)
            if not pipe:
                return
        self.pipes.feed(pipe, 1, received, at + start, bool(head[1] & SIGNED))


def _buffer(pdu: bytes, place: int) -> bytes:
    """Offset 2 from the header's start and length 2 at a place, and the bytes that they point at."""
    start, length = _u16(pdu, place)[0], _u16(pdu, place + 2)[0]
    return pdu[start:start + length] if start >= HEADER_BYTES else b""


_REQUESTS = {
    NEGOTIATE: Smb2._negotiate, SESSION_SETUP: Smb2._session_setup, TREE_CONNECT: Smb2._tree_connect, CREATE: Smb2._create, CLOSE: Smb2._close,
    READ: Smb2._read, WRITE: Smb2._write, IOCTL: Smb2._ioctl}
_ANSWERS = {
    NEGOTIATE: Smb2._negotiated, SESSION_SETUP: Smb2._session_answer, TREE_CONNECT: Smb2._tree_answer, CREATE: Smb2._create_answer,
    CLOSE: Smb2._close_answer, READ: Smb2._read_answer, IOCTL: Smb2._ioctl_answer}
_NEEDS_REQUEST = frozenset((TREE_CONNECT, CREATE, CLOSE, READ, IOCTL))
