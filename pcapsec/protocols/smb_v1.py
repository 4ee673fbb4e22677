"""SMB 1 ([MS-CIFS], [MS-SMB]), as far as named pipes and logins need it: session setups of both kinds, and the ways to write to a pipe and read from it.

A message may chain several commands (AndX, [MS-CIFS] §2.2.3.4); each has its words and bytes and says where the next begins, counted from the header.
"""
from __future__ import annotations

import struct
from typing import Any

from ..records import CLIENT, Facts, Login
from ..secret import Secret
from .smb_pipes import (
    BUFFER_OVERFLOW, KNOWN_PIPES, MAX_FILES, MAX_NAME_CHARACTERS, MAX_PENDING, MAX_TREES, SUCCESS, Pipe, Pipes, Setups, judge, looks_like_rpc, pipe_name)

MAGIC, HEADER_BYTES = b"\xffSMB", 32
MAX_KEPT_BYTES = 131072  # of one message; without large writes one has 64 KiB at most
MAX_CHAIN = 8  # commands in one message; clients chain two or three
_PEEK_BYTES = HEADER_BYTES + 1 + 2 * 14 + 2 + 32  # WRITE_ANDX or READ_ANDX with the first bytes of its data

CLOSE, READ, WRITE, TRANSACTION, TRANSACTION_SECONDARY, OPEN_ANDX, READ_ANDX, WRITE_ANDX = 0x04, 0x0A, 0x0B, 0x25, 0x26, 0x2D, 0x2E, 0x2F
NEGOTIATE, SESSION_SETUP_ANDX, TREE_CONNECT_ANDX, NT_CREATE_ANDX = 0x72, 0x73, 0x75, 0xA2
IS_REPLY = 0x80  # Flags
SIGNED, UNICODE = 0x0004, 0x8000  # Flags2
ENCRYPT_PASSWORDS, SIGNING_REQUIRED = 0x02, 0x08  # SecurityMode
TRANSACT_PIPE, RAW_WRITE, WRITE_PIPE, RAW_READ, READ_PIPE = 0x26, 0x31, 0x37, 0x11, 0x36  # [MS-CIFS] §2.2.2.2
MESSAGE_PIPE = 2  # FileType, ResourceType
MORE_DATA = 0x00EA0001  # ERRDOS/ERRmoredata, as BUFFER_OVERFLOW is spelled without NT status

_ANDX = frozenset((OPEN_ANDX, READ_ANDX, WRITE_ANDX, SESSION_SETUP_ANDX, TREE_CONNECT_ANDX, NT_CREATE_ANDX, 0x24, 0x74))
_u16 = struct.Struct("<H").unpack_from
_u32 = struct.Struct("<I").unpack_from


class _Block:
    """One command of a message with its words and bytes."""

    __slots__ = ("pdu", "at", "words", "words_at", "bytes_at", "end", "status", "flags2", "tree", "user", "key", "signed")

    def u16(self, place: int) -> int:
        """A word's value at a byte offset inside the words; 0 behind their end."""
        return _u16(self.words, place)[0] if place + 2 <= len(self.words) else 0

    def u32(self, place: int) -> int:
        return _u32(self.words, place)[0] if place + 4 <= len(self.words) else 0

    def text(self, start: int, unicode: bool) -> tuple[str, int]:
        """A string that ends with a zero, and the place behind it; UTF-16 is aligned to the header (§2.2.1.1)."""
        pdu, end = self.pdu, self.end
        if not unicode:
            stop = pdu.find(b"\0", start, end)
            stop = end if stop < 0 else stop
            return pdu[start:min(stop, start + MAX_NAME_CHARACTERS)].decode("cp437"), min(stop + 1, end)
        start += start & 1
        stop = start
        while (stop := pdu.find(b"\0\0", stop, end)) >= 0 and (stop - start) & 1:
            stop += 1
        if stop < 0:
            stop = end
        return pdu[start:min(stop, start + 2 * MAX_NAME_CHARACTERS)].decode("utf-16-le", "replace"), min(stop + 2, end)


class Smb1:
    """Both sides' SMB1 state of a connection."""

    def __init__(self, facts: Facts, pipes: Pipes, setups: Setups):
        self.facts, self.pipes, self.setups = facts, pipes, setups
        self._trees: dict[int, bool] = {}  # TID -> whether it is IPC$
        self._files: dict[int, Pipe] = {}  # FID
        self._pending: dict[bytes, tuple[int, Any]] = {}  # process and message -> command, what its answer needs
        self._challenge_seen = False
        self._encrypts: bool | None = None  # the server takes challenge and response, not passwords

    def step(self, side: int, data: bytes, pos: int, available: int, left: int, at: int) -> int:
        """One message; arguments and result as `Smb2.step` has them."""
        if left < HEADER_BYTES + 3:
            return 0
        if available < HEADER_BYTES + 3:
            return -(HEADER_BYTES + 3)
        command = data[pos + 4]
        if bool(data[pos + 9] & IS_REPLY) != (side != CLIENT):
            return left
        handlers = _REQUESTS if side == CLIENT else _ANSWERS
        known = command in handlers
        with_data = known and command in _WITH_DATA[side]
        if with_data:
            peek = min(left, _PEEK_BYTES)
            if available < peek:
                return -peek
            known = self._is_of_pipe(side, command, data, pos, left)
        elif known and side != CLIENT and command in _NEEDS_REQUEST:
            known = _key(data, pos) in self._pending
        if known and left <= MAX_KEPT_BYTES:
            if available < left:
                return -left
            self._count(side)
            self._chain(handlers, data[pos:pos + left], at)
            return left
        self._count(side)
        if known and with_data:
            self._too_long(side, data, pos, left, at)
        return left

    def _count(self, side: int) -> None:
        if side == CLIENT:
            self.facts.n_commands += 1
        else:
            self.facts.n_replies += 1

    def _is_of_pipe(self, side: int, command: int, data: bytes, pos: int, left: int) -> bool:
        """Whether a write or an answer to a read belongs to a pipe, told before its data is there.

        A file whose open was not seen is one when its share may be IPC$ and its bytes are RPC.
        """
        n_words = data[pos + 32]
        words = pos + 33
        if left < 33 + 2 * n_words + 2:
            return False
        is_andx = command in _ANDX
        if n_words < (12 if is_andx else 5):
            return False
        if side == CLIENT:
            file = _u16(data, words + (4 if is_andx else 0))[0]
        else:
            waiting = self._pending.get(_key(data, pos))
            if waiting is None or waiting[0] != command:
                return False
            file = waiting[1]
        if file in self._files:
            return True
        if self._trees.get(_u16(data, pos + 24)[0]) is False:
            return False
        start = pos + _u16(data, words + (22 if side == CLIENT else 12))[0] if is_andx else words + 2 * n_words + 5
        if not looks_like_rpc(data[start:min(start + 16, pos + left)]):
            return False
        self._adopt(file)
        return True

    def _adopt(self, file: int) -> Pipe:
        pipe = None
        if not self.facts.n_replies:  # only the client's side was captured: most likely what was opened last
            key = next((key for key, (command, _) in reversed(self._pending.items()) if command in (NT_CREATE_ANDX, OPEN_ANDX)), None)
            if key is not None:
                pipe = self._pending.pop(key)[1]
        pipe = pipe or self.pipes.create(None, False)
        self._keep(file, pipe)
        return pipe

    def _too_long(self, side: int, data: bytes, pos: int, left: int, at: int) -> None:
        if side == CLIENT:
            file = _u16(data, pos + (37 if data[pos + 4] in _ANDX else 33))[0]
        else:
            file = self._pending.pop(_key(data, pos), (0, -1))[1]
        pipe = self._files.get(file)
        if pipe is not None:
            self.pipes.lost_of(pipe, side, left, at)

    def _chain(self, handlers: dict, pdu: bytes, at: int) -> None:
        """The commands of a message, as far as they are known and lie one behind the other."""
        block = _Block()
        block.pdu, block.at, block.end = pdu, at, len(pdu)
        block.status, block.flags2 = _u32(pdu, 5)[0], _u16(pdu, 10)[0]
        block.tree, block.user = _u16(pdu, 24)[0], _u16(pdu, 28)[0]
        block.key = _key(pdu, 0)
        block.signed = bool(block.flags2 & SIGNED) and any(pdu[14:22])
        command, place = pdu[4], HEADER_BYTES
        for _ in range(MAX_CHAIN):
            if place + 3 > len(pdu):
                return
            size = 2 * pdu[place]
            block.words_at = place + 1
            block.words = pdu[place + 1:place + 1 + size]
            block.bytes_at = place + 3 + size
            handle = handlers.get(command)
            if handle is None or block.bytes_at > len(pdu):
                return
            handle(self, block)
            if command not in _ANDX or size < 4 or block.words[0] == 0xFF:
                return
            command, following = block.words[0], _u16(block.words, 2)[0]
            if following < block.bytes_at:
                return
            place = following

    def _await(self, key: bytes, command: int, what: Any) -> None:
        pending = self._pending
        if key not in pending and len(pending) >= MAX_PENDING:
            del pending[next(iter(pending))]
        pending[key] = command, what

    def _answered(self, block: _Block, command: int) -> Any:
        waiting = self._pending.get(block.key)
        if waiting is None or waiting[0] != command:
            return None
        del self._pending[block.key]
        return waiting[1]

    # --- negotiation and logins

    def _negotiated(self, block: _Block) -> None:
        """DialectIndex 2, SecurityMode 1, …, Capabilities 4 at 19, …, ChallengeLength 1 at 33 ([MS-CIFS] §2.2.4.52.2, [MS-SMB] §2.2.4.5.2)."""
        words = block.words
        if block.status != SUCCESS or len(words) < 34 or block.u16(0) == 0xFFFF:
            return
        smb = self.facts.smb
        if smb.dialect is None:
            smb.dialect = "NT LM 0.12"  # the only one with 17 words
        smb.signing_required = bool(words[2] & SIGNING_REQUIRED)
        self._encrypts = bool(words[2] & ENCRYPT_PASSWORDS)
        self._challenge_seen = words[33] == 8

    def _session_setup(self, block: _Block) -> None:
        """Twelve words carry a token, thirteen two responses and names ([MS-SMB] §2.2.4.6.1, [MS-CIFS] §2.2.4.53.1)."""
        n_words, pdu = len(block.words) // 2, block.pdu
        if n_words == 12:
            start = block.bytes_at
            self.setups.request(("1", block.key), block.user, pdu[start:start + block.u16(14)], block.at)
        elif n_words == 13:
            n_lm, n_nt = block.u16(14), block.u16(16)
            start = block.bytes_at
            unicode = bool(block.flags2 & UNICODE)
            user, place = block.text(start + n_lm + n_nt, unicode)
            domain, _ = block.text(place, unicode)
            login = self._login(pdu[start:start + n_lm], pdu[start + n_lm:start + n_lm + n_nt], user, domain, block.at)
            self.setups.add(login)
            self._await(block.key, SESSION_SETUP_ANDX, login)

    def _login(self, lm: bytes, nt: bytes, user: str, domain: str, at: int) -> Login:
        """The old way, without NTLM messages: responses to the challenge of the negotiation, or passwords."""
        login = Login(protocol="smb", mechanism="NTLM", at=at, principal=user or None, domain=domain or None)
        details = login.details
        if not user and len(nt) <= 1 and len(lm) <= 1:
            details["ntlm_version"], details["anonymous"] = "anonymous", True
            return login
        if self._encrypts is False or self._encrypts is None and len(lm) != 24 and len(nt) != 24 and len(nt) < 44:  # NTLMv2's has 44 bytes and more
            login.mechanism = "PLAINTEXT"
            password = nt or lm
            if password.strip(b"\0"):
                login.secret, login.secret_at, login.exposure = Secret(password), at, "password"
            return login
        details["challenge_seen"] = details["server_challenge_seen"] = self._challenge_seen
        details["nt_length"], details["lm_length"], details["ess"] = len(nt), len(lm), False
        details["anonymous"] = False
        if len(nt) > 24:
            details["ntlm_version"] = "NTLMv2"
        elif len(nt) == 24:
            details["ntlm_version"] = "NTLMv1"
        elif len(lm) == 24 and any(lm):
            details["ntlm_version"] = "LM"
        response = nt or lm
        if any(response):
            login.secret, login.secret_at, login.exposure = Secret(response), at, "guessable"
        return login

    def _session_answer(self, block: _Block) -> None:
        """AndX 4, Action 2, and with four words SecurityBlobLength 2."""
        details = {"guest": True} if block.status == SUCCESS and block.u16(4) & 1 else {}
        login = self._answered(block, SESSION_SETUP_ANDX)
        if login is not None:
            login.result, login.reason, login.reply_code = judge(block.status)
            login.details.update(details)
            return
        token = block.pdu[block.bytes_at:block.bytes_at + block.u16(6)] if len(block.words) >= 8 else b""
        self.setups.answered(("1", block.key), block.user, block.status, token, **details)

    # --- trees and files

    def _tree_connect(self, block: _Block) -> None:
        """AndX 4, Flags 2, PasswordLength 2; password, path, service (§2.2.4.55.1)."""
        path, place = block.text(block.bytes_at + block.u16(6), bool(block.flags2 & UNICODE))
        service, _ = block.text(place, False)
        self._await(b"T" + block.key, TREE_CONNECT_ANDX, path.lower().endswith("\\ipc$") or service == "IPC")

    def _tree_answer(self, block: _Block) -> None:
        waiting = self._pending.pop(b"T" + block.key, None)
        service, _ = block.text(block.bytes_at, False)
        if block.status == SUCCESS and len(block.words) >= 4:
            if len(self._trees) >= MAX_TREES:
                del self._trees[next(iter(self._trees))]
            self._trees[block.tree] = waiting is not None and waiting[1] or service == "IPC"

    def _create(self, block: _Block) -> None:
        """AndX 4, Reserved 1, NameLength 2, … (§2.2.4.64.1)."""
        unicode = bool(block.flags2 & UNICODE)
        start = block.bytes_at + (block.bytes_at & 1 if unicode else 0)
        raw = block.pdu[start:start + min(block.u16(5), 2 * MAX_NAME_CHARACTERS)]
        self._opening(block, NT_CREATE_ANDX, raw.decode("utf-16-le", "replace") if unicode else raw.decode("cp437"))

    def _open(self, block: _Block) -> None:
        self._opening(block, OPEN_ANDX, block.text(block.bytes_at, bool(block.flags2 & UNICODE))[0])

    def _opening(self, block: _Block, command: int, path: str) -> None:
        name = pipe_name(path)
        is_ipc = self._trees.get(block.tree)
        if name and (is_ipc or is_ipc is None and (name in KNOWN_PIPES or path.lower().startswith("\\pipe\\"))):
            self._await(block.key, command, self.pipes.create(name))

    def _create_answer(self, block: _Block) -> None:
        """AndX 4, OpLockLevel 1, FID 2, … FileType 2 at 63."""
        pipe = self._answered(block, NT_CREATE_ANDX)
        if block.status == SUCCESS and len(block.words) >= 68:
            if pipe is None and block.u16(63) == MESSAGE_PIPE:
                pipe = self.pipes.create(None)
            self._opened(block.u16(5), pipe)

    def _open_answer(self, block: _Block) -> None:
        pipe = self._answered(block, OPEN_ANDX)
        if block.status == SUCCESS and len(block.words) >= 6:
            self._opened(block.u16(4), pipe)

    def _opened(self, file: int, pipe: Pipe | None) -> None:
        if pipe is not None:
            self._keep(file, pipe)
        elif file in self._files:  # closed and given to an ordinary file
            self.pipes.close(self._files.pop(file))

    def _keep(self, file: int, pipe: Pipe) -> None:
        files = self._files
        old = files.pop(file, None)
        if old is None and len(files) >= MAX_FILES:
            old = files.pop(next(iter(files)))
        if old is not None:
            self.pipes.close(old)
        files[file] = pipe

    def _close(self, block: _Block) -> None:
        pipe = self._files.get(block.u16(0))
        if pipe is not None:
            pipe.closing = True
            self._await(block.key, CLOSE, block.u16(0))

    def _close_answer(self, block: _Block) -> None:
        file = self._answered(block, CLOSE)
        pipe = self._files.get(file)
        if pipe is not None and pipe.closing:
            self.pipes.close(self._files.pop(file))

    # --- bytes of pipes

    def _feed(self, pipe: Pipe, side: int, block: _Block, start: int, length: int) -> None:
        if start >= block.bytes_at:
            self.pipes.feed(pipe, side, block.pdu[start:start + length], block.at + start, block.signed)

    def _write(self, block: _Block) -> None:
        """AndX 4, FID 2, Offset 4, Timeout 4, WriteMode 2, Remaining 2, DataLengthHigh 2, DataLength 2, DataOffset 2 (§2.2.4.43.1)."""
        pipe = self._files.get(block.u16(4))
        if pipe is None or len(block.words) < 24:
            return
        length, start = block.u16(18) << 16 | block.u16(20), block.u16(22)
        if block.u16(14) & 0x0C == 0x0C:  # raw mode and start of a message: its length stands first
            length, start = max(0, length - 2), start + 2
        self._feed(pipe, 0, block, start, length)

    def _write_plain(self, block: _Block) -> None:
        """FID 2, CountOfBytesToWrite 2, …; BufferFormat 1, DataLength 2, data (§2.2.4.12.1)."""
        pipe = self._files.get(block.u16(0))
        if pipe is not None:
            self._feed(pipe, 0, block, block.bytes_at + 3, block.u16(2))

    def _read_plain(self, block: _Block) -> None:
        """FID 2, … (§2.2.4.11.1)."""
        file = block.u16(0)
        if file in self._files or self._trees.get(block.tree) is not False:
            self._await(block.key, READ, file)

    def _read_plain_answer(self, block: _Block) -> None:
        """CountOfBytesReturned 2, …; BufferFormat 1, DataLength 2, data."""
        pipe = self._files.get(self._answered(block, READ))
        if pipe is not None and block.status in _GOOD:
            self._feed(pipe, 1, block, block.bytes_at + 3, block.u16(0))

    def _read(self, block: _Block) -> None:
        """AndX 4, FID 2 (§2.2.4.42.1)."""
        file = block.u16(4)
        if file in self._files or self._trees.get(block.tree) is not False:
            self._await(block.key, READ_ANDX, file)

    def _read_answer(self, block: _Block) -> None:
        """AndX 4, Available 2, DataCompactionMode 2, Reserved 2, DataLength 2, DataOffset 2, DataLengthHigh 2 (§2.2.4.42.2)."""
        pipe = self._files.get(self._answered(block, READ_ANDX))
        if pipe is not None and block.status in _GOOD and len(block.words) >= 16:
            self._feed(pipe, 1, block, block.u16(12), block.u16(14) << 16 | block.u16(10))

    def _transaction(self, block: _Block) -> None:
        """Fourteen words: … DataCount 2 at 22, DataOffset 2 at 24, SetupCount 1 at 26; then the setup: function and FID (§2.2.4.33.1, §2.2.5)."""
        words = block.words
        if len(words) < 32 or words[26] < 2:
            return
        function, file = block.u16(28), block.u16(30)
        if function not in (TRANSACT_PIPE, RAW_WRITE, WRITE_PIPE, RAW_READ, READ_PIPE):
            return
        pipe = self._files.get(file)
        if pipe is None:  # these functions are for pipes only
            pipe = self._adopt(file)
        if function in (TRANSACT_PIPE, RAW_WRITE, WRITE_PIPE):
            self._feed(pipe, 0, block, block.u16(24), block.u16(22))
        self._await(block.key, TRANSACTION, (pipe, function))

    def _secondary(self, block: _Block) -> None:
        """The rest of a transaction's data: … DataCount 2 at 10, DataOffset 2 at 12 (§2.2.4.34.1)."""
        waiting = self._pending.get(block.key)
        if waiting is not None and waiting[0] == TRANSACTION and waiting[1][1] in (TRANSACT_PIPE, RAW_WRITE, WRITE_PIPE):
            self._feed(waiting[1][0], 0, block, block.u16(12), block.u16(10))

    def _transaction_answer(self, block: _Block) -> None:
        """Ten words: TotalParameterCount 2, TotalDataCount 2, …, DataCount 2 at 12, DataOffset 2 at 14, DataDisplacement 2 at 16; none in an interim answer."""
        waiting = self._pending.get(block.key)
        if waiting is None or waiting[0] != TRANSACTION:
            return
        if len(block.words) < 20:
            if block.status != SUCCESS:
                del self._pending[block.key]
            return
        pipe, function = waiting[1]
        count, place = block.u16(12), block.u16(16)
        if place + count >= block.u16(2):
            del self._pending[block.key]
        if function in (TRANSACT_PIPE, RAW_READ, READ_PIPE) and block.status in _GOOD:
            self._feed(pipe, 1, block, block.u16(14), count)


def _ignored(smb: Smb1, block: _Block) -> None:
    """A request that counts only as such."""


def _key(data: bytes, pos: int) -> bytes:
    """PID and MID of a header, the same in request and answer."""
    return data[pos + 26:pos + 28] + data[pos + 30:pos + 32]


_GOOD = frozenset((SUCCESS, BUFFER_OVERFLOW, MORE_DATA))  # with data
_WITH_DATA = (frozenset((WRITE, WRITE_ANDX)), frozenset((READ, READ_ANDX)))
_NEEDS_REQUEST = frozenset((CLOSE, TRANSACTION))
_REQUESTS = {
    NEGOTIATE: _ignored, SESSION_SETUP_ANDX: Smb1._session_setup, TREE_CONNECT_ANDX: Smb1._tree_connect, NT_CREATE_ANDX: Smb1._create, OPEN_ANDX: Smb1._open,
    CLOSE: Smb1._close, READ: Smb1._read_plain, WRITE: Smb1._write_plain, READ_ANDX: Smb1._read, WRITE_ANDX: Smb1._write,
    TRANSACTION: Smb1._transaction, TRANSACTION_SECONDARY: Smb1._secondary}
_ANSWERS = {
    NEGOTIATE: Smb1._negotiated, SESSION_SETUP_ANDX: Smb1._session_answer, TREE_CONNECT_ANDX: Smb1._tree_answer, NT_CREATE_ANDX: Smb1._create_answer,
    OPEN_ANDX: Smb1._open_answer, CLOSE: Smb1._close_answer, READ: Smb1._read_plain_answer, READ_ANDX: Smb1._read_answer, TRANSACTION: Smb1._transaction_answer}
