"""SMB messages built field by field: SMB2 ([MS-SMB2] §2.2) and SMB1 ([MS-CIFS] §2.2.3, §2.2.4)."""
from __future__ import annotations

import struct

MORE_PROCESSING, LOGON_FAILURE, OVERFLOW, PENDING = 0xC0000016, 0xC000006D, 0x80000005, 0x103
TRANSCEIVE = 0x0011C017
FILE = b"F" * 16
SAME = b"\xff" * 16


def u(text: str) -> bytes:
    return text.encode("utf-16-le")


def netbios(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(3, "big") + message


# --- SMB2

def head2(command: int, message: int, *, flags: int = 0, status: int = 0, following: int = 0, tree: int = 0, session: int = 0) -> bytes:
    return b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 1, status, command, 1, flags, following, message, 0, tree, session) + bytes(16)


def ask2(command: int, message: int, body: bytes, **how) -> bytes:
    return head2(command, message, **how) + body


def say2(command: int, message: int, body: bytes, flags: int = 0, **how) -> bytes:
    return head2(command, message, flags=flags | 1, **how) + body


def related(*pdus: bytes) -> bytes:
    """A compound: each PDU but the last padded to 8 bytes, with its NextCommand."""
    out = b""
    for number, one in enumerate(pdus):
        if number + 1 < len(pdus):
            one += bytes(-len(one) % 8)
            one = one[:20] + struct.pack("<I", len(one)) + one[24:]
        out += one
    return out


def negotiate2(message: int = 0, mode: int = 1) -> bytes:
    return ask2(0, message, struct.pack("<HHHHI16sQ", 36, 2, mode, 0, 0, b"g" * 16, 0) + struct.pack("<HH", 0x0210, 0x0311))


def negotiated2(message: int = 0, dialect: int = 0x0311, mode: int = 1) -> bytes:
    return say2(0, message, struct.pack("<HHHH16sIIIIQQHHI", 65, mode, dialect, 0, b"g" * 16, 0, 65536, 65536, 65536, 0, 0, 128, 0, 0))


def setup2(message: int, token: bytes, session: int = 0, mode: int = 1) -> bytes:
    return ask2(1, message, struct.pack("<HBBIIHHQ", 25, 0, mode, 0, 0, 88, len(token), 0) + token, session=session)


def set_up2(message: int, status: int = 0, token: bytes = b"", session: int = 0, session_flags: int = 0) -> bytes:
    return say2(1, message, struct.pack("<HHHH", 9, session_flags, 72, len(token)) + token, status=status, session=session)


def tree2(message: int, path: str = "\\\\server\\IPC$") -> bytes:
    return ask2(3, message, struct.pack("<HHHH", 9, 0, 72, len(u(path))) + u(path))


def treed2(message: int, tree: int = 1, kind: int = 2) -> bytes:
    return say2(3, message, struct.pack("<HBBIII", 16, kind, 0, 0, 0, 0), tree=tree)


def create2(message: int, name: str, tree: int = 1, **how) -> bytes:
    return ask2(5, message, struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 120, len(u(name)), 0, 0) + u(name), tree=tree, **how)


def created2(message: int, file: bytes = FILE, tree: int = 1, **how) -> bytes:
    return say2(5, message, struct.pack("<HBBI", 89, 0, 0, 1) + bytes(56) + file + bytes(8), tree=tree, **how)


def close2(message: int, file: bytes = FILE, tree: int = 1, **how) -> bytes:
    return ask2(6, message, struct.pack("<HHI", 24, 0, 0) + file, tree=tree, **how)


def closed2(message: int, **how) -> bytes:
    return say2(6, message, struct.pack("<H", 60) + bytes(58), **how)


def write2(message: int, data: bytes, file: bytes = FILE, tree: int = 1, **how) -> bytes:
    return ask2(9, message, struct.pack("<HHIQ", 49, 112, len(data), 0) + file + bytes(16) + data, tree=tree, **how)


def written2(message: int, **how) -> bytes:
    return say2(9, message, struct.pack("<HHIII", 17, 0, 0, 0, 0), **how)


def read2(message: int, file: bytes = FILE, tree: int = 1, **how) -> bytes:
    return ask2(8, message, struct.pack("<HBBIQ", 49, 0, 0, 4096, 0) + file + bytes(17), tree=tree, **how)


def was_read2(message: int, data: bytes, **how) -> bytes:
    return say2(8, message, struct.pack("<HBBIII", 17, 80, 0, len(data), 0, 0) + data, **how)


def ioctl2(message: int, data: bytes, file: bytes = FILE, control: int = TRANSCEIVE, tree: int = 1, **how) -> bytes:
    return ask2(11, message, struct.pack("<HHI16sIIIIIIII", 57, 0, control, file, 120, len(data), 0, 0, 0, 4096, 1, 0) + data, tree=tree, **how)


def ioctled2(message: int, data: bytes, file: bytes = FILE, control: int = TRANSCEIVE, **how) -> bytes:
    return say2(11, message, struct.pack("<HHI16sIIIIII", 49, 0, control, file, 112, 0, 112, len(data), 0, 0) + data, **how)


def error2(command: int, message: int, status: int, **how) -> bytes:
    return say2(command, message, struct.pack("<HBBI", 9, 0, 0, 0) + b"\0", status=status, **how)


# --- SMB1

UNICODE, EXTENDED, NT = 0x8000, 0x0800, 0x4000


def smb1(command: int, words: bytes, data: bytes, message: int = 1, *, reply: bool = False, status: int = 0, tree: int = 1, user: int = 0, flags2: int = UNICODE | NT | EXTENDED,
         signature: bytes = bytes(8)) -> bytes:
    return (b"\xffSMB" + struct.pack("<BIBHH8sHHHHH", command, status, 0x80 if reply else 0x18, flags2, 0, signature, 0, tree, 0xFEFF, user, message)
            + bytes([len(words) // 2]) + words + struct.pack("<H", len(data) & 0xFFFF) + data)


def bytes_at(words: int) -> int:
    """Where the bytes begin behind so many words."""
    return 32 + 1 + 2 * words + 2


def andx(command: int = 0xFF, following: int = 0) -> bytes:
    return struct.pack("<BBH", command, 0, following)


def negotiate1(*dialects: bytes, message: int = 0) -> bytes:
    return smb1(0x72, b"", b"".join(b"\2" + name + b"\0" for name in dialects), message)


def negotiated1(mode: int = 3, challenge: bytes = b"\x11" * 8, message: int = 0) -> bytes:
    words = struct.pack("<HBHHIIIIQHB", 0, mode, 50, 1, 16644, 65536, 0, 0, 0, 0, len(challenge))
    return smb1(0x72, words, challenge + u("CORP\0"), message, reply=True)


def setup1(token: bytes, message: int = 1, user: int = 0) -> bytes:
    return smb1(0x73, andx() + struct.pack("<HHHIHII", 16644, 2, 1, 0, len(token), 0, 0), token + b"\0", message, user=user)


def set_up1(status: int = 0, token: bytes = b"", message: int = 1, user: int = 5, action: int = 0) -> bytes:
    return smb1(0x73, andx() + struct.pack("<HH", action, len(token)), token, message, reply=True, status=status, user=user)


def old_setup1(lm: bytes, nt: bytes, user: str, domain: str, message: int = 1, flags2: int = UNICODE | NT, chained: bytes = b"", chained_command: int = 0xFF) -> bytes:
    """Thirteen words: responses and names; perhaps another command behind."""
    start = bytes_at(13)
    names = "".join(f"{name}\0" for name in (user, domain, "OS", "LM"))
    if flags2 & UNICODE:
        data = lm + nt + bytes((start + len(lm) + len(nt)) & 1) + u(names)
    else:
        data = lm + nt + names.encode()
    words = andx(chained_command, start + len(data) if chained else 0) + struct.pack("<HHHIHHII", 16644, 2, 1, 0, len(lm), len(nt), 0, 0)
    return smb1(0x73, words, data, message, flags2=flags2) + chained


def tree1(path: str = "\\\\SERVER\\IPC$", message: int = 2, service: bytes = b"?????\0", start: int = bytes_at(4), bare: bool = False) -> bytes:
    """`bare`: only words and bytes, to stand behind another command at `start`."""
    data = b"\0" + bytes((start + 1) & 1) + u(path + "\0") + service
    words = andx() + struct.pack("<HH", 0, 1)
    return bytes([4]) + words + struct.pack("<H", len(data)) + data if bare else smb1(0x75, words, data, message)


def treed1(service: bytes = b"IPC\0", tree: int = 1, message: int = 2) -> bytes:
    return smb1(0x75, andx() + b"\1\0", service + b"\0\0", message, reply=True, tree=tree)


def create1(name: str, message: int = 3, tree: int = 1, flags2: int = UNICODE | NT) -> bytes:
    raw = b"\0" + u(name + "\0") if flags2 & UNICODE else name.encode() + b"\0"
    length = len(u(name)) if flags2 & UNICODE else len(name)
    words = andx() + struct.pack("<BHIIIQIIIIIB", 0, length, 0x16, 0, 0, 0, 0, 3, 1, 0, 2, 0)
    return smb1(0xA2, words, raw, message, tree=tree, flags2=flags2)


def created1(file: int = 0x4000, kind: int = 2, message: int = 3) -> bytes:
    return smb1(0xA2, andx() + struct.pack("<BHI", 0, file, 1) + bytes(52) + struct.pack("<HHB", kind, 0, 0), b"", message, reply=True)


def write1(data: bytes, file: int = 0x4000, message: int = 4, mode: int = 8, tree: int = 1, **how) -> bytes:
    words = andx() + struct.pack("<HIIHHHHHI", file, 0, 0, mode, 0, len(data) >> 16, len(data) & 0xFFFF, bytes_at(14) + 1, 0)
    return smb1(0x2F, words, b"\xee" + data, message, tree=tree, **how)


def read1(file: int = 0x4000, message: int = 5, tree: int = 1) -> bytes:
    return smb1(0x2E, andx() + struct.pack("<HIHHIHI", file, 0, 1024, 1024, 0, 1024, 0), b"", message, tree=tree)


def was_read1(data: bytes, message: int = 5, status: int = 0, **how) -> bytes:
    words = andx() + struct.pack("<HHHHHHHHHH", 0, 0, 0, len(data) & 0xFFFF, bytes_at(12) + 1, len(data) >> 16, 0, 0, 0, 0)
    return smb1(0x2E, words, b"\0" + data, message, reply=True, status=status, **how)


def transact1(data: bytes, file: int = 0x4000, message: int = 6, function: int = 0x26) -> bytes:
    name = b"\0" + u("\\PIPE\\\0")
    start = bytes_at(16) + len(name)
    words = struct.pack("<HHHHBBHIHHHHHBBHH", 0, len(data), 0, 1024, 0, 0, 0, 0, 0, 0, start, len(data), start, 2, 0, function, file)
    return smb1(0x25, words, name + data, message)


def transacted1(data: bytes, message: int = 6, status: int = 0) -> bytes:
    start = bytes_at(10) + 1
    return smb1(0x25, struct.pack("<HHHHHHHHHBB", 0, len(data), 0, 0, start, 0, len(data), start, 0, 0, 0), b"\0" + data, message, reply=True, status=status)


def close1(file: int = 0x4000, message: int = 7) -> bytes:
    return smb1(0x04, struct.pack("<HI", file, 0), b"", message)


def closed1(message: int = 7) -> bytes:
    return smb1(0x04, b"", b"", message, reply=True)
