"""What a Kerberos token of the GSS-API shows in clear: for which service a ticket was used and how it is encrypted (RFC 4120 §5, RFC 4121, RFC 1964).

DER is read by hand and only as far as needed; lengths are checked against the bytes there are.
"""
from __future__ import annotations

from typing import NamedTuple

KRB5_OID = bytes.fromhex("06092a864886f712010202")
LAYERS = {1: "none", 2: "integrity", 4: "confidentiality"}  # RFC 4752 §3.3
_AP_REQ_TOKEN = KRB5_OID + b"\1\0"  # RFC 4121 §4.1: token id 01 00


class Ticket(NamedTuple):
    """The clear fields of the ticket in an AP-REQ."""

    realm: str
    spn: str
    etype: int | None


def read_der(data: bytes, pos: int, end: int) -> tuple[int, int, int] | None:
    """Tag, start and end of the value at `pos`; None when it does not fit (X.690 §8.1, definite lengths only)."""
    if pos + 2 > end:
        return None
    tag, length = data[pos], data[pos + 1]
    pos += 2
    if length & 0x80:
        n = length & 0x7F
        if not 1 <= n <= 4 or pos + n > end:
            return None
        length = int.from_bytes(data[pos:pos + n], "big")
        pos += n
    return (tag, pos, pos + length) if pos + length <= end else None


def _child(data: bytes, pos: int, end: int, tag: int) -> tuple[int, int] | None:
    """The first element with a tag among those between `pos` and `end`."""
    while pos < end:
        element = read_der(data, pos, end)
        if element is None:
            return None
        if element[0] == tag:
            return element[1], element[2]
        pos = element[2]
    return None


def _descend(data: bytes, span: tuple[int, int] | None, *tags: int) -> tuple[int, int] | None:
    for tag in tags:
        if span is None:
            return None
        span = _child(data, *span, tag)
    return span


def find_ticket(token: bytes) -> Ticket | None:
    """The ticket of the AP-REQ in a GSS token, bare or inside SPNEGO; None when there is none."""
    found = token.find(_AP_REQ_TOKEN)
    if found < 0:
        return None
    # AP-REQ ::= [APPLICATION 14] SEQUENCE { pvno [0], msg-type [1], ap-options [2], ticket [3], authenticator [4] }
    # Ticket ::= [APPLICATION 1] SEQUENCE { tkt-vno [0], realm [1], sname [2], enc-part [3] }
    ticket = _descend(token, (found + len(_AP_REQ_TOKEN), len(token)), 0x6E, 0x30, 0xA3, 0x61, 0x30)
    if ticket is None:
        return None
    realm = _descend(token, ticket, 0xA1, 0x1B)
    names = _descend(token, ticket, 0xA2, 0x30, 0xA1, 0x30)
    etype = _descend(token, ticket, 0xA3, 0x30, 0xA0, 0x02)
    parts: list[str] = []
    while names is not None and names[0] < names[1] and len(parts) < 8:
        name = read_der(token, names[0], names[1])
        if name is None:
            break
        parts.append(token[name[1]:name[2]].decode("utf-8", "replace"))
        names = (name[2], names[1])
    return Ticket(
        realm=token[realm[0]:realm[1]].decode("utf-8", "replace") if realm else "", spn="/".join(parts),
        etype=int.from_bytes(token[etype[0]:etype[1]], "big", signed=True) if etype and etype[1] - etype[0] <= 4 else None)  # Int32 (RFC 4120 §5.2.4)


def unwrap_clear(token: bytes) -> bytes | None:
    """The message inside a wrap token that is signed but not sealed; None when it is sealed or no wrap token."""
    if token[:2] == b"\x05\x04":  # RFC 4121 §4.2.6.2: 05 04, flags, FF, EC, RRC, sequence number, data, checksum
        if len(token) < 16 or token[2] & 2:
            return None
        extra, rotation = int.from_bytes(token[4:6], "big"), int.from_bytes(token[6:8], "big")
        body = token[16:]
        if rotation and body:
            rotation %= len(body)
            body = body[rotation:] + body[:rotation]
        return body[:len(body) - extra] if extra <= len(body) else None
    found = token.find(KRB5_OID + b"\2\1", 0, 32)
    if found >= 0:  # RFC 1964 §1.2.2: 02 01, SGN_ALG, SEAL_ALG, FF FF, SND_SEQ 8, checksum 8, confounder 8, data, padding 1
        body = token[found + len(KRB5_OID):]
        if len(body) < 33 or body[4:6] != b"\xff\xff":
            return None
        return body[32:-1]
    return None
