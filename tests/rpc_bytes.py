"""DCE/RPC PDUs built field by field, in both byte orders (C706 §12.6, [MS-RPCE] §2.2.2), and towers of the endpoint mapper (C706 appendix I)."""
from __future__ import annotations

import struct
import uuid

from tests import security_tokens as tokens

EMSMDB, NSPI, EPM, SAMR = (
    "a4f1db00-ca47-1067-b31f-00dd010662da", "f5cc5a18-4264-101a-8c59-08002b2f8426", "e1af8308-5d1f-11c9-91a4-08002b14a0fa", "12345778-1234-abcd-ef00-0123456789ac")
NDR, NDR64 = ("8a885d04-1ceb-11c9-9fe8-08002b104860", 2), ("71710533-beba-4937-8319-b5dbef9ccc36", 1)
FEATURES = ("6cb71c2c-9812-4540-0300-000000000000", 1)
SIGNATURE = b"\1\0\0\0" + b"\x5a" * 12  # as NTLM signs
NTLM_TOKENS = (tokens.negotiate(), tokens.challenge(), tokens.authenticate())
CLIENT, SERVER = 0, 1


def pdu(kind: int, body: bytes, call: int = 1, *, flags: int = 3, level: int = 0, token: bytes = b"", auth_type: int = 10, auth_id: int = 0, pad: int | None = None, order: str = "<",
        minor: int = 0) -> bytes:
    """A PDU; with a level it gets padding, sec_trailer and token."""
    trailer = b""
    if level:
        pad = -len(body) % 4 if pad is None else pad
        body += bytes(pad)
        trailer = struct.pack(order + "BBBxI", auth_type, level, pad, auth_id) + token
    drep = b"\x10\0\0\0" if order == "<" else bytes(4)
    return struct.pack(order + "BBBB4sHHI", 5, minor, kind, flags, drep, 16 + len(body) + len(trailer), len(token) if level else 0, call) + body + trailer


def syntax(name: str, version: int, order: str = "<") -> bytes:
    value = uuid.UUID(name)
    return (value.bytes_le if order == "<" else value.bytes) + struct.pack(order + "I", version)


def bind(*contexts: tuple, kind: int = 11, call: int = 1, group: int = 0, order: str = "<", flags: int = 3, **security) -> bytes:
    """bind, or with kind 14 alter_context; each context is (id, uuid, version word, transfer syntaxes …)."""
    body = struct.pack(order + "HHIBxH", 5840, 5840, group, len(contexts), 0)
    for context_id, name, version, *syntaxes in contexts:
        syntaxes = syntaxes or [NDR]
        body += struct.pack(order + "HBx", context_id, len(syntaxes)) + syntax(name, version, order) + b"".join(syntax(*one, order) for one in syntaxes)
    return pdu(kind, body, call, order=order, flags=flags, **security)


def alter(*contexts: tuple, call: int = 2, **how) -> bytes:
    return bind(*contexts, kind=14, call=call, **how)


def ack(*results: tuple, kind: int = 12, call: int = 1, group: int = 0x1234, order: str = "<", flags: int = 3, address: bytes = b"49153\0", **security) -> bytes:
    """bind_ack, or with kind 15 alter_context_resp; each result is (result, reason, transfer syntax); none: one accepted."""
    body = struct.pack(order + "HHIH", 5840, 5840, group, len(address)) + address
    body += bytes(-len(body) % 4)
    results = results or ((0, 0, NDR),)
    body += struct.pack(order + "BxH", len(results), 0)
    for result, reason, name in results:
        body += struct.pack(order + "HH", result, reason) + (syntax(*name, order) if result == 0 else bytes(20))
    return pdu(kind, body, call, order=order, flags=flags, **security)


def altered(*results: tuple, call: int = 2, **how) -> bytes:
    return ack(*results, kind=15, call=call, address=b"", **how)


def auth3(call: int = 1, **security) -> bytes:
    return pdu(16, bytes(4), call, **security)


def request(call: int, opnum: int = 0, stub: bytes = b"stub", context: int = 0, order: str = "<", **how) -> bytes:
    return pdu(0, struct.pack(order + "IHH", len(stub), context, opnum) + stub, call, order=order, **how)


def object_request(call: int, opnum: int = 0, stub: bytes = b"stub", context: int = 0, **how) -> bytes:
    return pdu(0, struct.pack("<IHH", len(stub), context, opnum) + b"\x77" * 16 + stub, call, flags=0x83, **how)


def response(call: int, stub: bytes = b"answer", context: int = 0, order: str = "<", **how) -> bytes:
    return pdu(2, struct.pack(order + "IHBx", len(stub), context, 0) + stub, call, order=order, **how)


def fault(call: int, status: int = 5, context: int = 0, order: str = "<", **how) -> bytes:
    return pdu(3, struct.pack(order + "IHBxII", 32, context, 0, status, 0), call, order=order, **how)


def nak(reason: int, call: int = 1) -> bytes:
    return pdu(13, struct.pack("<HBBB", reason, 1, 5, 0), call)


def ntlm_bind(level: int, interface: tuple = (0, EMSMDB, 0x510000), **how) -> list[tuple[int, bytes]]:
    """The three PDUs that bind one interface with NTLM at a level."""
    first, second, third = NTLM_TOKENS
    return [(CLIENT, bind(interface, level=level, token=first, **how)), (SERVER, ack(level=level, token=second, **how)), (CLIENT, auth3(level=level, token=third, **how))]


def tower(interface: str, version: tuple[int, int] = (0, 0), kind: int = 0x07, where: bytes = b"\xc0\1", address: bytes = b"\n\0\0\5", rpc: int = 0x0B) -> bytes:
    """Five floors: interface, NDR, RPC, port or pipe, host."""
    major, minor = version

    def floor(left: bytes, right: bytes) -> bytes:
        return struct.pack("<H", len(left)) + left + struct.pack("<H", len(right)) + right

    named = [floor(b"\x0d" + uuid.UUID(name).bytes_le + struct.pack("<H", number), struct.pack("<H", minor)) for name, number, minor in ((interface, major, minor), (*NDR, 0))]
    host = floor(b"\x11" if kind == 0x0F else b"\x09", address)
    return struct.pack("<H", 5) + b"".join(named) + floor(bytes([rpc]), b"\0\0") + floor(bytes([kind]), where) + host


def mapped(*towers: bytes) -> bytes:
    """The stub of ept_map's answer: handle, number, array of pointers, towers, status."""
    stub = bytes(20) + struct.pack("<IIII", len(towers), 4, 0, len(towers)) + b"".join(struct.pack("<I", 3 + number) for number in range(len(towers)))
    for one in towers:
        stub += struct.pack("<II", len(one), len(one)) + one
        stub += bytes(-len(stub) % 4)
    return stub + bytes(4)
