"""What Outlook and an Exchange server say in their calls, small and made up: the stubs of EMSMDB, NSPI, RFR and the endpoint mapper for `exchange.py` and its clients.

Layouts as in [MS-OXCRPC] §3.1.4, [MS-OXNSPI] §3.1.4, [MS-OXABREF] §3.1.4 and C706 appendices L and N; little endian NDR throughout.
"""
from __future__ import annotations

import struct

EMSMDB = ("a4f1db00-ca47-1067-b31f-00dd010662da", "0.81")
ASYNC_EMSMDB = ("5261574a-4572-206e-b268-6b199213b4e4", "0.1")
NSPI = ("f5cc5a18-4264-101a-8c59-08002b2f8426", "56.0")
RFR = ("1544f5e0-613c-11d1-93df-00c04fd7bd09", "1.0")
EPM = ("e1af8308-5d1f-11c9-91a4-08002b14a0fa", "3.0")

ORGANISATION = "/o=Example/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)"
SERVER_DN = f"{ORGANISATION}/cn=Configuration/cn=Servers/cn=EXCH1"
SERVER_NAME = "exch1.example.org"
OUTLOOK_2003, OUTLOOK_2007, OUTLOOK_2013 = (11, 8161, 8000), (12, 6423, 5000), (15, 4420, 1017)
EC_NOT_ENCRYPTED = 0x970
COMPRESSED, XOR_MAGIC, LAST = 1, 2, 4  # flags of RPC_HEADER_EXT ([MS-OXCRPC] §2.2.2.1)
COOKIES = ("cadata", "cadataTTL", "cadataKey", "cadataIV", "cadataSig")  # of Exchange's form login
COOKIE_VALUE, MAPI_CONTEXT, WEBMAIL_COOKIE = "bWFkZSBmb3IgYSByZWNvcmRpbmc", "made-up-mapi-context", "made-up-webmail-session"
SUBJECT = "Quarterly figures, for your eyes only"
BODY = "The figures for the first quarter are below. The figures for the second quarter are below the figures for the first quarter. " * 4


def user_dn(user: str) -> str:
    return f"{ORGANISATION}/cn=Recipients/cn={user}"


# --- obfuscation ----------------------------------------------------------------------------------------------------------------------------

def xored(data: bytes) -> bytes:
    """[MS-OXCRPC] §3.1.4.1.1.1.3: each byte with 0xA5."""
    return bytes(byte ^ 0xA5 for byte in data)


def compressed(data: bytes) -> bytes:
    """LZ77 as in [MS-OXCRPC] §3.1.4.1.1.1.2 (DIRECT2): after each 32 bits of flags, most significant first, as many literals (0) or matches (1)."""
    out, seen = bytearray(), {}
    flags_at, flags, n_flags = 0, 0, 32  # a new flag word is due
    nibble_at = None  # where half a byte of match length is still free
    at = 0
    while at < len(data):
        if n_flags == 32:
            if at:
                struct.pack_into("<I", out, flags_at, flags)
            flags_at, flags, n_flags = len(out), 0, 0
            out += bytes(4)
        start = seen.get(data[at:at + 3], -1)
        length = 0
        if 0 <= at - start - 1 < 8192 and start >= 0:
            while at + length < len(data) and data[start + length] == data[at + length]:
                length += 1
        seen[data[at:at + 3]] = at
        if length < 3:
            out.append(data[at])
            at += 1
        else:
            flags |= 1 << (31 - n_flags)
            rest = length - 3
            out += struct.pack("<H", at - start - 1 << 3 | min(rest, 7))
            if rest >= 7:
                rest -= 7
                if nibble_at is None:
                    nibble_at = len(out)
                    out.append(min(rest, 15))
                else:
                    out[nibble_at] |= min(rest, 15) << 4
                    nibble_at = None
                if rest >= 15:
                    rest -= 15
                    out += bytes([rest]) if rest < 255 else b"\xff" + struct.pack("<H", length - 3)
            at += length
        n_flags += 1
    if data:
        struct.pack_into("<I", out, flags_at, flags)
    return bytes(out)


def header_ext(payload: bytes, flags: int = 0) -> bytes:
    """RPC_HEADER_EXT and the payload, obfuscated as the flags say: compressed first, then XORed."""
    size = len(payload)
    if flags & COMPRESSED:
        payload = compressed(payload)
        if len(payload) >= size:
            raise ValueError("a payload that does not shrink is sent without the flag")
    if flags & XOR_MAGIC:
        payload = xored(payload)
    return struct.pack("<HHHH", 0, flags | LAST, len(payload), size) + payload


# --- ROPs ([MS-OXCROPS] §2.2) -----------------------------------------------------------------------------------------------------------------

def rop_buffer(*rops: bytes, handles: tuple[int, ...] = (0xFFFFFFFF,)) -> bytes:
    """RopSize, the ROPs, and the server object handle table."""
    joined = b"".join(rops)
    return struct.pack("<H", 2 + len(joined)) + joined + struct.pack(f"<{len(handles)}I", *handles)


def rop_logon(user: str) -> bytes:
    essdn = user_dn(user).encode() + b"\0"
    return struct.pack("<BBBBIIH", 0xFE, 0, 0, 0x01, 0x01000004, 0, len(essdn)) + essdn


def rop_open_folder() -> bytes:
    return struct.pack("<BBBB8sB", 0x02, 0, 0, 1, bytes.fromhex("0100000000001234"), 0)


def rop_get_contents_table() -> bytes:
    return struct.pack("<BBBBB", 0x05, 0, 0, 1, 0)


def rop_set_properties(subject: str, body: str) -> bytes:
    """PidTagSubject and PidTagBody, UTF-16."""
    values = struct.pack("<I", 0x0037001F) + subject.encode("utf-16-le") + b"\0\0" + struct.pack("<I", 0x1000001F) + body.encode("utf-16-le") + b"\0\0"
    return struct.pack("<BBBHH", 0x0A, 0, 0, 2 + len(values), 2) + values


def rop_submit() -> bytes:
    return struct.pack("<BBBB", 0x32, 0, 0, 0)


def rop_logon_answer() -> bytes:
    """RopLogon response for a private mailbox (§2.2.3.1.2)."""
    folders = b"".join(struct.pack("<HHI", 1, 0, number << 24) for number in range(1, 14))
    return struct.pack("<BBIB", 0xFE, 0, 0, 1) + folders + b"\x07" + bytes(16) + struct.pack("<H16s8sI", 1, bytes(range(16)), bytes.fromhex("2b1e09060505e807"), 0)


def rop_ok(rop: int, *more: int) -> bytes:
    """RopId, handle index, return value 0 and what follows."""
    return struct.pack("<BBI", rop, 0, 0) + bytes(more)


def rops_asked(step: str, user: str) -> bytes:
    """The request's ROP buffer of one step of a mailbox session."""
    if step == "logon":
        return rop_buffer(rop_logon(user))
    if step == "open":
        return rop_buffer(rop_open_folder(), rop_get_contents_table(), handles=(0x11, 0xFFFFFFFF))
    return rop_buffer(rop_set_properties(SUBJECT, BODY), rop_submit(), handles=(0x12,))


def rops_answered(asked: bytes) -> bytes:
    """The response's ROP buffer, by the first ROP that was asked."""
    first = asked[2]
    if first == 0xFE:
        return rop_buffer(rop_logon_answer(), handles=(0x11,))
    if first == 0x02:
        return rop_buffer(rop_ok(0x02, 0, 0), rop_ok(0x05, 4, 0, 0, 0), handles=(0x11, 0x13))
    return rop_buffer(rop_ok(0x0A, 0, 0), rop_ok(0x32), handles=(0x12,))


# --- NDR ------------------------------------------------------------------------------------------------------------------------------------

def padded(data: bytes, boundary: int = 4) -> bytes:
    return data + bytes(-len(data) % boundary)


def ndr_string(text: str) -> bytes:
    """A conformant varying string of 8-bit characters, with its zero."""
    data = text.encode() + b"\0"
    return padded(struct.pack("<III", len(data), 0, len(data)) + data)


def ndr_array(data: bytes) -> bytes:
    """A conformant array of bytes."""
    return padded(struct.pack("<I", len(data)) + data)


def ndr_varying(data: bytes) -> bytes:
    """A conformant varying array of bytes."""
    return padded(struct.pack("<III", len(data), 0, len(data)) + data)


class Reader:
    """Values of a stub, in order."""

    def __init__(self, data: bytes, at: int = 0):
        self.data, self.at = data, at

    def u32(self) -> int:
        self.at += -self.at % 4
        self.at += 4
        return struct.unpack_from("<I", self.data, self.at - 4)[0]

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n:self.at]

    def string(self) -> str:
        _, _, n = self.u32(), self.u32(), self.u32()
        return self.take(n).rstrip(b"\0").decode()

    def array(self) -> bytes:
        return self.take(self.u32())


CONTEXT = struct.pack("<I16s", 0, bytes.fromhex("6d61696c626f78000102030405060708"))  # a context handle as the server gives it
SERVER_VERSION = (14, 33304, 3)  # rgwServerVersion, Exchange 2010, as normalised in [MS-OXCRPC] §3.1.4.1.3


def do_connect_ex(user: str, version: tuple[int, int, int]) -> bytes:
    """EcDoConnectEx (opnum 10), [MS-OXCRPC] §3.1.4.1."""
    aux = header_ext(struct.pack("<HBBHHIHHHH", 16, 1, 2, 1, 0, 7, 0, 0, 0, 0))  # one AUX block of performance data
    return (ndr_string(user_dn(user)) + struct.pack("<IIIIIII", 0, 0x3F1A9, 0, 1252, 1033, 1033, 0xFFFFFFFF)
            + struct.pack("<H3H", 1, *version) + struct.pack("<I", 0) + ndr_array(aux) + struct.pack("<II", len(aux), 0x1008))


def do_connect_ex_answer(refused: int = 0, flags: int = 0) -> bytes:
    """Its response; `refused` is the return value of a server that does not take it."""
    if refused:
        return bytes(20) + struct.pack("<IIIHH", 0, 0, 0, 0, 0) + struct.pack("<II", 0, 0) + struct.pack("<6H", *SERVER_VERSION, 0, 0, 0) + struct.pack("<I", 0) + ndr_varying(b"") + struct.pack("<II", 0, refused)
    aux = header_ext(b"\x08\x00\x01\x06" + bytes(4), flags & XOR_MAGIC)
    return (CONTEXT + struct.pack("<IIIHH", 60000, 6, 10000, 0x10, 0) + struct.pack("<I", 0x20000) + ndr_string("") + struct.pack("<I", 0x20004) + ndr_string("Alice")
            + struct.pack("<6H", *SERVER_VERSION, 0, 0, 0) + struct.pack("<I", 0x4D2) + ndr_varying(aux) + struct.pack("<II", len(aux), 0))


def do_rpc_ext2(rops: bytes, flags: int) -> bytes:
    """EcDoRpcExt2 (opnum 11), §3.1.4.2; without compression where a payload would not shrink."""
    if flags & COMPRESSED and len(compressed(rops)) >= len(rops):
        flags &= ~COMPRESSED
    payload = header_ext(rops, flags)
    return CONTEXT + struct.pack("<I", 0) + ndr_array(payload) + struct.pack("<II", len(payload), 0x8007) + ndr_array(b"") + struct.pack("<II", 0, 0x1008)


def do_rpc_ext2_answer(rops: bytes, flags: int) -> bytes:
    if flags & COMPRESSED and len(compressed(rops)) >= len(rops):
        flags &= ~COMPRESSED
    payload = header_ext(rops, flags)
    return CONTEXT + struct.pack("<I", 0) + ndr_varying(payload) + struct.pack("<I", len(payload)) + ndr_varying(b"") + struct.pack("<III", 0, 1, 0)


def ept_map_answer(interface: bytes, port: int, address: bytes, over_http: bool = False) -> bytes:
    """ept_map's response with one tower of five floors (C706 appendix L): interface, NDR, RPC-CO, TCP port or HTTP port, IP address."""
    ndr = bytes.fromhex("045d888aeb1cc9119fe808002b104860")
    floors = [(b"\x0d" + interface[:18], interface[18:20]), (b"\x0d" + ndr + b"\x02\0", b"\0\0"), (b"\x0b", b"\0\0"), (b"\x1f" if over_http else b"\x07", struct.pack(">H", port)), (b"\x09", address)]
    tower = struct.pack("<H", len(floors)) + b"".join(struct.pack("<H", len(left)) + left + struct.pack("<H", len(right)) + right for left, right in floors)
    return bytes(20) + struct.pack("<IIIII", 1, 1, 0, 1, 3) + padded(struct.pack("<II", len(tower), len(tower)) + tower) + struct.pack("<I", 0)


def nspi_bind_answer() -> bytes:
    guid = bytes.fromhex("dca740c8c042101ab4b908002b2fe182")
    return struct.pack("<I", 0x20000) + guid + CONTEXT + struct.pack("<I", 0)


def rfr_server_answer() -> bytes:
    """RfrGetFQDNFromServerDN's response: a unique pointer to the name, and 0."""
    return struct.pack("<I", 0x20000) + ndr_string(SERVER_NAME) + struct.pack("<I", 0)


def rfr_dsa_answer() -> bytes:
    """RfrGetNewDSA's response: no ppszUnused, the server's name, and 0."""
    return struct.pack("<III", 0, 0x20000, 0x20004) + ndr_string(SERVER_NAME) + struct.pack("<I", 0)
