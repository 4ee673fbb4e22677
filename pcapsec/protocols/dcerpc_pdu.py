"""The bytes of connection-oriented DCE/RPC PDUs: headers, context lists, results, security trailers (C706 chapter 12, [MS-RPCE] §2.2.2).

Functions read where they are told and check every bound; what does not fit ends the reading.
"""
from __future__ import annotations

import struct
import uuid
from typing import NamedTuple

from ..records import CLIENT, SERVER
from .rpc_interfaces import FEATURE_NEGOTIATION, INTERFACES, TRANSFER_SYNTAXES

REQUEST, PING, RESPONSE, FAULT, WORKING, NOCALL, REJECT, ACK, CL_CANCEL, FACK, CANCEL_ACK = range(11)
BIND, BIND_ACK, BIND_NAK, ALTER_CONTEXT, ALTER_CONTEXT_RESP, AUTH3, SHUTDOWN, CO_CANCEL, ORPHANED, RTS = range(11, 21)
LAST_TYPE = RTS

FIRST_FRAGMENT, LAST_FRAGMENT, HEADER_SIGNING, OBJECT_UUID = 0x01, 0x02, 0x04, 0x80  # pfc_flags; 0x04 is PENDING_CANCEL outside bind and its answers
HEADER_BYTES = 16  # of every PDU
CALL_BYTES = 24  # header and what precedes the stub of a request or response
TRAILER_BYTES = 8  # sec_trailer before auth_value

LEVEL_NONE, LEVEL_CONNECT, LEVEL_PRIVACY = 1, 2, 6
AUTH_TYPES = {  # [MS-RPCE] §2.2.1.1.7 and rpcdce.h; what passes as mechanism once it is settled
    1: "DCE-KERBEROS", 9: "SPNEGO", 10: "NTLM", 14: "SCHANNEL", 16: "KERBEROS", 17: "DPA", 18: "MSN", 20: "KERNEL", 21: "DIGEST", 30: "NEGOEXTS", 31: "PKU2U",
    68: "NETLOGON", 82: "LIVE-SSP", 83: "LIVEXP-SSP", 84: "CLOUD-AP"}
TOKEN_TYPES = frozenset((9, 10, 16))  # whose tokens protocols/negotiation.py reads

ACCEPTANCE, USER_REJECTION, PROVIDER_REJECTION, NEGOTIATE_ACK = range(4)  # p_cont_def_result_t
ACCESS_DENIED = 0x00000005
AUTHENTICATION_FAULTS = {  # fault status that says that the caller's security did not hold, and the reason for its login; [MS-ERREF] §2.2, C706 appendix E
    ACCESS_DENIED: "refused", 0x00000721: "refused",  # RPC_S_SEC_PKG_ERROR
    0x0000052E: "wrong-credentials", 0x00000533: "refused", 0x00000775: "locked",  # ERROR_LOGON_FAILURE, ERROR_ACCOUNT_DISABLED, ERROR_ACCOUNT_LOCKED_OUT
    0x1C00001D: "refused", 0x1C00001F: "refused"}  # nca_s_unsupported_authn_level, nca_s_invalid_checksum
PROTOCOL_ERROR = 0x1C01000B  # nca_proto_error: what Samba answers to the first call behind an auth3 that it did not believe, since an auth3 has no answer of its own

_FROM_CLIENT = frozenset((REQUEST, BIND, ALTER_CONTEXT, AUTH3, CO_CANCEL, ORPHANED, RTS))
_FROM_SERVER = frozenset((RESPONSE, FAULT, BIND_ACK, BIND_NAK, ALTER_CONTEXT_RESP, SHUTDOWN, RTS))
SENT_BY = (_FROM_CLIENT, _FROM_SERVER)
_LEAST = {  # bytes below which a PDU of that type cannot be right
    REQUEST: 24, RESPONSE: 24, FAULT: 28, BIND: 28, BIND_ACK: 26, BIND_NAK: 18, ALTER_CONTEXT: 28, ALTER_CONTEXT_RESP: 26, AUTH3: 24}

HEAD = (struct.Struct(">4x4xHHI"), struct.Struct("<4x4xHHI"))  # frag_length, auth_length, call_id; index: little endian
_COUNTS = (struct.Struct(">HHI"), struct.Struct("<HHI"))
_TWO_SHORTS = (struct.Struct(">HH"), struct.Struct("<HH"))
_LONG = (struct.Struct(">I"), struct.Struct("<I"))
_SHORT = (struct.Struct(">H"), struct.Struct("<H"))
TRAILER = (struct.Struct(">BBBxI"), struct.Struct("<BBBxI"))  # auth_type, auth_level, auth_pad_length, auth_context_id

MAX_CACHE = 1024  # context lists and names; one of a client library is the same in each of its connections
MAX_CACHED_LIST_BYTES = 1024  # 44 bytes a context


class ContextElement(NamedTuple):
    """One p_cont_elem_t of bind or alter_context."""

    context_id: int
    interface_uuid: str
    interface: str | None
    interface_version: str
    transfer_syntax: str  # ndr, ndr64 or UUID; of several the first
    negotiates_features: bool  # not a context at all


class Trailer(NamedTuple):
    """A sec_trailer and where its auth_value stands."""

    auth_type: int
    auth_level: int
    pad_length: int
    auth_context_id: int
    token_at: int  # in the PDU


_uuids: dict[bytes, str] = {}
_lists: dict[tuple[bytes, bool], tuple[tuple[ContextElement, ...], bool]] = {}


def plausible(data: bytes, pos: int) -> bool:
    """Whether 16 bytes are a header as they occur: version 5.0 or 5.1, known type and drep, lengths that fit one another (C706 §12.6.3.1)."""
    if len(data) - pos < HEADER_BYTES or data[pos] != 5 or data[pos + 1] > 1:
        return False
    packet_type, order = data[pos + 2], data[pos + 4]
    if packet_type > LAST_TYPE or order not in (0x00, 0x01, 0x10, 0x11) or data[pos + 5] > 3 or data[pos + 6] or data[pos + 7]:
        return False
    length, auth_length, _call_id = HEAD[order >> 4].unpack_from(data, pos)
    return length >= _LEAST.get(packet_type, HEADER_BYTES) and (not auth_length or auth_length + TRAILER_BYTES + HEADER_BYTES <= length)


def plausible_from(data: bytes, pos: int, side: int) -> bool:
    """As `plausible`, and of a connection-oriented type that this side sends."""
    return plausible(data, pos) and data[pos + 2] in SENT_BY[side]


def frag_length(data: bytes, pos: int) -> int:
    """Bytes of the PDU whose header stands at `pos`."""
    return _SHORT[data[pos + 4] >> 4 & 1].unpack_from(data, pos + 8)[0]


def read_uuid(raw: bytes, little: bool) -> str:
    """16 bytes as text, lower case; the first three fields are in the sender's byte order (C706 appendix A)."""
    key = raw if little else b"\0" + raw
    text = _uuids.get(key)
    if text is None:
        if len(_uuids) >= MAX_CACHE:
            _uuids.clear()
        text = _uuids[key] = str(uuid.UUID(bytes_le=raw) if little else uuid.UUID(bytes=raw))
    return text


def read_trailer(data: bytes, pos: int, end: int, auth_length: int, little: bool) -> Trailer | None:
    """`auth_type auth_level auth_pad_length reserved auth_context_id auth_value` at the end of a PDU ([MS-RPCE] §2.2.2.11); None when the lengths lie."""
    at = end - auth_length - TRAILER_BYTES
    if not auth_length or at < pos + HEADER_BYTES:
        return None
    return Trailer(*TRAILER[little].unpack_from(data, at), at + TRAILER_BYTES)


def read_contexts(data: bytes, pos: int, end: int, little: bool) -> tuple[tuple[ContextElement, ...], bool]:
    """p_context_list of a bind whose fixed part begins at `pos` (C706 §12.6.4.3); the flag says that it was whole.

    n_context_elem(1) reserved(3), each: p_cont_id(2) n_transfer_syn(1) reserved(1) abstract_syntax(20) transfer_syntaxes(20 each).
    """
    if end - pos > MAX_CACHED_LIST_BYTES:
        return _read_contexts(data, pos, end, little)
    key = (data[pos:end], little)
    found = _lists.get(key)
    if found is None:
        if len(_lists) >= MAX_CACHE:
            _lists.clear()
        found = _lists[key] = _read_contexts(data, pos, end, little)
    return found


def _read_contexts(data: bytes, pos: int, end: int, little: bool) -> tuple[tuple[ContextElement, ...], bool]:
    if end - pos < 4:
        return (), False
    n, pos = data[pos], pos + 4
    elements: list[ContextElement] = []
    for _ in range(n):
        if end - pos < 24:
            return tuple(elements), False
        context_id = _SHORT[little].unpack_from(data, pos)[0]
        n_syntaxes = data[pos + 2]
        interface_uuid, version = _syntax(data, pos + 4, little)
        pos += 24
        first = ""
        features = False
        for number in range(n_syntaxes):
            if end - pos < 20:
                break
            if number == 0:
                name, (major, _minor) = _syntax(data, pos, little)
                features = name.startswith(FEATURE_NEGOTIATION)
                first = TRANSFER_SYNTAXES.get((name, major), name)
            pos += 20
        else:
            number = n_syntaxes
        elements.append(ContextElement(context_id, interface_uuid, INTERFACES.get(interface_uuid), f"{version[0]}.{version[1]}", first, features))
        if number != n_syntaxes:
            return tuple(elements), False
    return tuple(elements), True


def _syntax(data: bytes, pos: int, little: bool) -> tuple[str, tuple[int, int]]:
    """p_syntax_id_t: UUID and a version whose low half is the major one."""
    version = _LONG[little].unpack_from(data, pos + 16)[0]
    return read_uuid(data[pos:pos + 16], little), (version & 0xFFFF, version >> 16)


def read_results(data: bytes, pos: int, end: int, little: bool) -> list[tuple[int, int, str]] | None:
    """(result, reason, transfer syntax) of each context in a bind_ack or alter_context_resp whose header begins at `pos`; None when it is cut short.

    max_xmit(2) max_recv(2) assoc_group_id(4) sec_addr: length(2) text, padded to 4; n_results(1) reserved(3), each result(2) reason(2) transfer_syntax(20).
    """
    if end - pos < 26:
        return None
    length = _SHORT[little].unpack_from(data, pos + 24)[0]
    at = pos + (26 + length + 3 & ~3)
    if end - at < 4:
        return None
    n, at = data[at], at + 4
    results = []
    for _ in range(min(n, (end - at) // 24)):
        result, reason = _TWO_SHORTS[little].unpack_from(data, at)
        name, (major, _minor) = _syntax(data, at + 4, little)
        results.append((result, reason, TRANSFER_SYNTAXES.get((name, major), name)))
        at += 24
    return results


def association_group(data: bytes, pos: int, end: int, little: bool) -> int | None:
    """assoc_group_id of bind, alter_context and their answers."""
    return _COUNTS[little].unpack_from(data, pos + 16)[2] if end - pos >= 24 else None


def short(data: bytes, pos: int, end: int, little: bool) -> int | None:
    """A 16-bit number, None when it is not there."""
    return _SHORT[little].unpack_from(data, pos)[0] if end - pos >= 2 else None


def long(data: bytes, pos: int, end: int, little: bool) -> int | None:
    """A 32-bit number, None when it is not there."""
    return _LONG[little].unpack_from(data, pos)[0] if end - pos >= 4 else None


def find_header(data: bytes | bytearray, pos: int, side: int) -> tuple[int, int]:
    """Search from `pos` on for the next PDU of a side: a plausible header behind which another stands.

    Returns: its place and 0; or the place from which bytes have to be kept and how many are needed there before the search can go on.
    """
    n = len(data)
    while (pos := data.find(b"\5", pos)) >= 0:
        if n - pos < HEADER_BYTES:
            return pos, HEADER_BYTES
        if plausible_from(data, pos, side):
            following = pos + frag_length(data, pos)
            if n - following < HEADER_BYTES:
                return pos, following - pos + HEADER_BYTES
            if plausible_from(data, following, side):
                return pos, 0
        pos += 1
    return n, HEADER_BYTES


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether a conversation begins with DCE/RPC: a header as the client or the server sends it, or the greeting of RPC over HTTP version 1."""
    if client:
        verdict = _begins(client, CLIENT)
        if verdict is not None or not server:
            return verdict
        if server.startswith(GREETING):
            return True
        return None if len(server) > 2 and _begins(server, SERVER) is not False else False  # two bytes are SOCKS' choice of a method
    if not server:
        return None
    if server[:14] == GREETING[:len(server)]:
        return True if len(server) >= len(GREETING) else None
    return _begins(server, SERVER)


GREETING = b"ncacn_http/1.0"  # [MS-RPCH] §2.1.1.1.1: the server of version 1 says so before anything else


def _begins(data: bytes, side: int) -> bool | None:
    if len(data) >= HEADER_BYTES:
        return plausible_from(data, 0, side) and data[2] != RTS
    if data[0] != 5 or data[1:2] > b"\1" or len(data) > 2 and data[2] not in SENT_BY[side] or len(data) > 4 and data[4] not in (0x00, 0x01, 0x10, 0x11):
        return False
    return None


def late(client: bytes, server: bytes) -> bool:
    """Whether the middle of a conversation holds DCE/RPC: a PDU at the very start, two in a row, or one that ends with the bytes."""
    for side, data in ((CLIENT, client), (SERVER, server)):
        if plausible_from(data, 0, side) and data[2] != RTS:
            return True
        pos, n = 0, len(data)
        while 0 <= (pos := data.find(b"\5", pos + 1)) <= n - HEADER_BYTES:
            if plausible_from(data, pos, side) and data[pos + 2] != RTS:
                following = pos + frag_length(data, pos)
                if following == n or plausible_from(data, following, side):
                    return True
    return False
