"""What Kerberos tokens of the GSS-API show in clear: for which service a ticket was used, how it and the session are encrypted, and whether messages are sealed
(RFC 4120 §5, RFC 1964, RFC 4121, RFC 4757, [MS-KILE] §3.4.5).

Tokens come in the GSS-API's wrapper with a token id (`60 … OID 01 00 6E …`) or, DCE style, as the bare message (`6E`, `6F`, `7E`). Lengths are checked against the
bytes there are.
"""
from __future__ import annotations

from dataclasses import dataclass

from . import der, spnego
from .der import read_der

KRB5_OID = bytes.fromhex("06092a864886f712010202")
LAYERS = {1: "none", 2: "integrity", 4: "confidentiality"}  # RFC 4752 §3.3
MAX_NAME_BYTES = 512
_AP_REQ_TOKEN = KRB5_OID + b"\1\0"  # RFC 4121 §4.1: token id 01 00
_KINDS = {0x6E: "ap-req", 0x6F: "ap-rep", 0x7E: "error"}  # [APPLICATION 14], [15], [30] (RFC 4120 §5.10)
_SEAL_ALGORITHMS = {b"\0\0": "DES", b"\2\0": "3DES", b"\x10\0": "RC4"}  # RFC 1964 §1.2.2, RFC 4757 §7.3; FF FF is none
_SIGN_ALGORITHMS = {b"\0\0": "DES", b"\1\0": "DES", b"\2\0": "DES", b"\4\0": "3DES", b"\x11\0": "RC4"}
# RFC 4120 §7.5.9, those that a login meets; others are shown as their number
ERRORS = {
    6: "client-unknown", 7: "service-unknown", 12: "policy", 14: "etype-not-supported", 18: "client-revoked", 23: "key-expired", 24: "preauth-failed",
    25: "preauth-required", 31: "bad-integrity", 32: "ticket-expired", 33: "ticket-not-yet-valid", 34: "replay", 35: "not-us", 36: "bad-match", 37: "clock-skew",
    39: "bad-version", 40: "message-type", 41: "modified", 44: "bad-key-version", 45: "no-key", 46: "mutual-failed", 48: "method", 50: "inappropriate-checksum",
    52: "response-too-big", 60: "generic", 68: "wrong-realm",
}


@dataclass(slots=True, kw_only=True)
class KerberosToken:
    """One message of the exchange that sets up a context."""

    kind: str  # ap-req, ap-rep, error, tgt-req, tgt-rep
    realm: str = ""  # the service's
    spn: str = ""  # "exchangeMDB/mail.example.com"
    ticket_etype: int | None = None
    authenticator_etype: int | None = None  # the session key's, which protects what follows; of an AP-REP that of its encrypted part
    mutual: bool = False  # ap-options mutual-required
    user_to_user: bool = False  # ap-options use-session-key
    error: int | None = None  # error-code of KRB-ERROR
    client_principal: str = ""  # cname@crealm of a KRB-ERROR, where it has them
    well_formed: bool = True


def read(token: bytes) -> KerberosToken | None:
    """The Kerberos message that a token is, wrapped or bare; None when it is something else."""
    start, end = 0, len(token)
    if token[:1] == b"\x60":
        inside = spnego.gss_content(token)
        if inside is None or inside[0] not in spnego.KERBEROS_NAMES:
            return None
        start, end = inside[1:]
        token_id = token[start:start + 2]
        if token_id in (b"\4\0", b"\4\1"):  # user to user (draft-swift-win2k-krb-user2user): KERB-TGT-REQUEST and its answer
            return KerberosToken(kind="tgt-req" if token_id == b"\4\0" else "tgt-rep")
        if token_id not in (b"\1\0", b"\2\0", b"\3\0"):  # RFC 1964 §1.1: AP-REQ, AP-REP, KRB-ERROR
            return None
        start += 2
    outer = read_der(token, start, end)
    if outer is None or outer[0] not in _KINDS:
        return None
    sequence = read_der(token, outer[1], outer[2])
    if sequence is None or sequence[0] != 0x30:
        return None
    fields = der.children(token, sequence[1:])
    if _integer(token, fields, 0xA0) not in (5, None):  # pvno
        return None
    message = KerberosToken(kind=_KINDS[outer[0]])
    if outer[0] == 0x6E:
        _ap_req(token, fields, message)
    elif outer[0] == 0x6F:  # AP-REP ::= [APPLICATION 15] SEQUENCE { pvno [0], msg-type [1], enc-part [2] }
        message.authenticator_etype = _etype(token, fields.get(0xA2))
    else:
        _error(token, fields, message)
    return message


def _integer(token: bytes, fields: dict[int, tuple[int, int]], tag: int) -> int | None:
    return der.integer(token, der.descend(token, fields.get(tag), 0x02))


def _etype(token: bytes, span: tuple[int, int] | None) -> int | None:
    """EncryptedData ::= SEQUENCE { etype [0] Int32, kvno [1], cipher [2] }."""
    return der.integer(token, der.descend(token, span, 0x30, 0xA0, 0x02))


def _text(token: bytes, span: tuple[int, int] | None) -> str:
    return token[span[0]:min(span[1], span[0] + MAX_NAME_BYTES)].decode("utf-8", "replace") if span else ""


def _name(token: bytes, span: tuple[int, int] | None) -> str:
    """PrincipalName ::= SEQUENCE { name-type [0] Int32, name-string [1] SEQUENCE OF KerberosString }, its parts joined by slashes."""
    names = der.descend(token, span, 0x30, 0xA1, 0x30)
    parts: list[str] = []
    while names is not None and names[0] < names[1] and len(parts) < 8:
        name = read_der(token, names[0], names[1])
        if name is None:
            break
        parts.append(_text(token, name[1:]))
        names = (name[2], names[1])
    return "/".join(parts)[:MAX_NAME_BYTES]


def _ap_req(token: bytes, fields: dict[int, tuple[int, int]], message: KerberosToken) -> None:
    # AP-REQ ::= [APPLICATION 14] SEQUENCE { pvno [0], msg-type [1], ap-options [2] BIT STRING, ticket [3] Ticket, authenticator [4] EncryptedData }
    # Ticket ::= [APPLICATION 1] SEQUENCE { tkt-vno [0], realm [1], sname [2] PrincipalName, enc-part [3] EncryptedData }
    options = der.descend(token, fields.get(0xA2), 0x03)
    if options is not None and options[1] - options[0] >= 2:
        message.user_to_user, message.mutual = bool(token[options[0] + 1] & 0x40), bool(token[options[0] + 1] & 0x20)
    ticket = der.children(token, der.descend(token, fields.get(0xA3), 0x61, 0x30))
    message.realm = _text(token, der.descend(token, ticket.get(0xA1), 0x1B))
    message.spn = _name(token, ticket.get(0xA2))
    message.ticket_etype = _etype(token, ticket.get(0xA3))
    message.authenticator_etype = _etype(token, fields.get(0xA4))
    message.well_formed = message.ticket_etype is not None and message.authenticator_etype is not None


def _error(token: bytes, fields: dict[int, tuple[int, int]], message: KerberosToken) -> None:
    # KRB-ERROR ::= [APPLICATION 30] SEQUENCE { …, error-code [6], crealm [7], cname [8], realm [9], sname [10], e-text [11], e-data [12] }
    message.error = _integer(token, fields, 0xA6)
    message.realm = _text(token, der.descend(token, fields.get(0xA9), 0x1B))
    message.spn = _name(token, fields.get(0xAA))
    client, realm = _name(token, fields.get(0xA8)), _text(token, der.descend(token, fields.get(0xA7), 0x1B))
    message.client_principal = f"{client}@{realm}" if client and realm else client


def find_ap_req(token: bytes) -> KerberosToken | None:
    """The AP-REQ that a token is or, behind a damaged wrapper, holds; None when there is none."""
    message = read(token)
    if message is None and (found := token.find(_AP_REQ_TOKEN)) >= 0:
        message = read(token[found + len(_AP_REQ_TOKEN):])
    return message if message is not None and message.kind == "ap-req" else None


def token_state(verifier: bytes) -> tuple[str, bool] | None:
    """Algorithm (RC4, DES, 3DES, AES) and whether sealed, of a per-message token such as a DCE/RPC auth_value; None when it is none.

    RFC 4121 tokens name no algorithm: AES is what they were made for, and nothing else that Windows or Samba speaks uses them.
    """
    head = verifier[:8]
    if head[:1] == b"\x60":
        found = verifier.find(KRB5_OID, 0, 6 + len(KRB5_OID))  # behind a length of 1 to 5 bytes
        if found < 0:
            return None
        head = verifier[found + len(KRB5_OID):found + len(KRB5_OID) + 8]
        if len(head) < 8:
            return None
        if head[:2] == b"\2\1" and head[6:8] == b"\xff\xff":  # Wrap: 02 01, SGN_ALG 2, SEAL_ALG 2, FF FF
            sealing = _SEAL_ALGORITHMS.get(head[4:6])
            algorithm = sealing or _SIGN_ALGORITHMS.get(head[2:4])
            return (algorithm, sealing is not None) if algorithm and (sealing or head[4:6] == b"\xff\xff") else None
        if head[:2] == b"\1\1" and head[4:8] == b"\xff\xff\xff\xff":  # MIC: 01 01, SGN_ALG 2, FF FF FF FF
            algorithm = _SIGN_ALGORITHMS.get(head[2:4])
            return (algorithm, False) if algorithm else None
        return None
    if len(verifier) < 16 or head[2:3] > b"\7":  # flags: SentByAcceptor 1, Sealed 2, AcceptorSubkey 4 (RFC 4121 §4.2.2)
        return None
    if head[:2] == b"\5\4" and head[3] == 0xFF:  # Wrap: 05 04, flags, FF, EC 2, RRC 2, SND_SEQ 8
        return "AES", bool(head[2] & 2)
    if head[:2] == b"\4\4" and head[3:8] == b"\xff\xff\xff\xff\xff":  # MIC: 04 04, flags, FF × 5, SND_SEQ 8
        return "AES", False
    return None


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
