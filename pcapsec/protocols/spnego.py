"""SPNEGO tokens: which mechanisms a client offers, which one the server chose, and the mechanism's own token inside (RFC 4178 §4.2, [MS-SPNG] §2.2).

Tokens come wrapped by the GSS-API (`60 … OID …`, RFC 2743 §3.1) or as the bare choice (`A0` NegTokenInit, `A1` NegTokenResp); Windows' first answer and SMB's hint
may be either. Only what fits is read: a length that lies ends the reading there and makes the token not well formed.
"""
from __future__ import annotations

from dataclasses import dataclass

from . import der

MAX_TOKEN_BYTES = 131072  # 64 KiB auth_value of DCE/RPC, and SMB2's security buffer of as much
MAX_MECHANISMS = 16
SPNEGO_OID = bytes.fromhex("06062b0601050502")
NEGOEX_SIGNATURE = b"NEGOEXTS"  # [MS-NEGOEX] §2.2.1
# Values of OBJECT IDENTIFIERs. RFC 4178 App. C and [MS-SPNG] §3.2.5.1 for the second: 113554 cut to 16 bits by an early Windows.
MECHANISMS = {
    bytes.fromhex("2a864886f712010202"): "KERBEROS",  # 1.2.840.113554.1.2.2
    bytes.fromhex("2a864882f712010202"): "MS-KERBEROS",  # 1.2.840.48018.1.2.2
    bytes.fromhex("2a864886f71201020203"): "KERBEROS-U2U",  # 1.2.840.113554.1.2.2.3
    bytes.fromhex("2b05010502"): "KERBEROS-DRAFT",  # 1.3.5.1.5.2, before RFC 1964
    bytes.fromhex("2b0601050205"): "IAKERB",  # 1.3.6.1.5.2.5
    bytes.fromhex("2b06010401823702020a"): "NTLM",  # 1.3.6.1.4.1.311.2.2.10
    bytes.fromhex("2b06010401823702021e"): "NEGOEX",  # 1.3.6.1.4.1.311.2.2.30
    bytes.fromhex("2b0601050502"): "SPNEGO",  # 1.3.6.1.5.5.2
    bytes.fromhex("2b060105050e"): "SCRAM-SHA-1",  # 1.3.6.1.5.5.14, RFC 5802 §8
}
KERBEROS_NAMES = frozenset(("KERBEROS", "MS-KERBEROS", "KERBEROS-U2U", "KERBEROS-DRAFT", "IAKERB"))
STATES = {0: "accept-completed", 1: "accept-incomplete", 2: "reject", 3: "request-mic"}  # RFC 4178 §4.2.2


@dataclass(slots=True, kw_only=True)
class SpnegoToken:
    """One NegTokenInit or NegTokenResp."""

    kind: str  # init, resp
    mechanisms: tuple[str, ...] = ()  # mechTypes in order, by name or dotted OID
    token: bytes = b""  # mechToken or responseToken
    state: str | None = None  # negState
    selected: str | None = None  # supportedMech
    has_mic: bool = False  # mechListMIC
    hint: str | None = None  # hintName of NegTokenInit2
    well_formed: bool = True


def mechanism_name(value: bytes) -> str:
    """The name of an OID's value, or the OID in dots; `?` when it is none."""
    return MECHANISMS.get(value) or der.dotted_oid(value) or "?"


def gss_content(token: bytes) -> tuple[str, int, int] | None:
    """Of `60 length 06 length OID …`: the mechanism's name, and start and end of what follows; None when it is no such token (RFC 2743 §3.1)."""
    if token[:1] != b"\x60":
        return None
    outer = der.read_der(token, 0, len(token))
    if outer is None:
        return None
    oid = der.read_der(token, outer[1], outer[2])
    if oid is None or oid[0] != 0x06:
        return None
    return mechanism_name(token[oid[1]:oid[2]]), oid[2], outer[2]


def read(token: bytes) -> SpnegoToken | None:
    """The SPNEGO message in a token; None when it is something else."""
    start, end = 0, len(token)
    if end > MAX_TOKEN_BYTES:
        return None
    if token[:1] == b"\x60":
        inside = gss_content(token)
        if inside is None or inside[0] != "SPNEGO":
            return None
        start, end = inside[1:]
    choice = der.read_der(token, start, end)
    if choice is None or choice[0] not in (0xA0, 0xA1):
        return None
    sequence = der.read_der(token, choice[1], choice[2])
    if sequence is None or sequence[0] != 0x30:
        return None
    fields = der.children(token, sequence[1:])
    return _init(token, fields, sequence) if choice[0] == 0xA0 else _response(token, fields, sequence)


def _value(token: bytes, span: tuple[int, int] | None, tag: int, message: SpnegoToken) -> bytes | None:
    """The value inside an explicit tag."""
    if span is None:
        return None
    found = der.read_der(token, span[0], span[1])
    if found is None or found[0] != tag:
        message.well_formed = False
        return None
    return token[found[1]:found[2]]


def _covered(fields: dict, sequence: tuple[int, int, int]) -> bool:
    """The elements read fill the SEQUENCE."""
    return max((span[1] for span in fields.values()), default=sequence[1]) == sequence[2]


def _init(token: bytes, fields: dict[int, tuple[int, int]], sequence: tuple[int, int, int]) -> SpnegoToken:
    # NegTokenInit ::= SEQUENCE { mechTypes [0] SEQUENCE OF OID, reqFlags [1] BIT STRING, mechToken [2] OCTET STRING, mechListMIC [3] OCTET STRING }
    # NegTokenInit2 has negHints [3] SEQUENCE { hintName [0] GeneralString, hintAddress [1] } and mechListMIC [4] ([MS-SPNG] §2.2.1)
    message = SpnegoToken(kind="init", well_formed=_covered(fields, sequence))
    listed = _value(token, fields.get(0xA0), 0x30, message)
    if listed:
        names: list[str] = []
        pos, end = 0, len(listed)
        while pos < end and len(names) < MAX_MECHANISMS:
            oid = der.read_der(listed, pos, end)
            if oid is None or oid[0] != 0x06:
                message.well_formed = False
                break
            names.append(mechanism_name(listed[oid[1]:oid[2]]))
            pos = oid[2]
        message.mechanisms = tuple(names)
    message.token = _value(token, fields.get(0xA2), 0x04, message) or b""
    third = fields.get(0xA3)
    if third is not None and token[third[0]:third[0] + 1] == b"\x30":
        hint = der.descend(token, third, 0x30, 0xA0, 0x1B)
        if hint is not None:
            message.hint = token[hint[0]:min(hint[1], hint[0] + 256)].decode("ascii", "replace")
        third = None
    message.has_mic = third is not None or 0xA4 in fields
    return message


def _response(token: bytes, fields: dict[int, tuple[int, int]], sequence: tuple[int, int, int]) -> SpnegoToken:
    # NegTokenResp ::= SEQUENCE { negState [0] ENUMERATED, supportedMech [1] OID, responseToken [2] OCTET STRING, mechListMIC [3] OCTET STRING }
    message = SpnegoToken(kind="resp", well_formed=_covered(fields, sequence))
    state = _value(token, fields.get(0xA0), 0x0A, message)
    if state is not None:
        message.state = STATES.get(state[0]) if len(state) == 1 else None
        message.well_formed = message.well_formed and message.state is not None
    oid = _value(token, fields.get(0xA1), 0x06, message)
    if oid is not None:
        message.selected = mechanism_name(oid)
    message.token = _value(token, fields.get(0xA2), 0x04, message) or b""
    message.has_mic = 0xA3 in fields
    return message
