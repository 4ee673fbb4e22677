"""Authentication tokens built field by field: NTLM ([MS-NLMP] §2.2), SPNEGO (RFC 4178 §4.2), Kerberos (RFC 4120 §5, RFC 1964 §1.1)."""
from __future__ import annotations

import struct

UNICODE, OEM, SIGN, SEAL, LM_KEY, ESS, VERSION, KEY_128, KEY_EXCHANGE, KEY_56 = 0x1, 0x2, 0x10, 0x20, 0x80, 0x80000, 0x2000000, 0x20000000, 0x40000000, 0x80000000
WINDOWS_10 = bytes([10, 0]) + struct.pack("<H", 17763) + b"\0\0\0\x0f"
KERBEROS, MS_KERBEROS = bytes.fromhex("2a864886f712010202"), bytes.fromhex("2a864882f712010202")
NTLM, NEGOEX = bytes.fromhex("2b06010401823702020a"), bytes.fromhex("2b06010401823702021e")


def u(text: str) -> bytes:
    return text.encode("utf-16-le")


def ntlm_message(kind: int, layout: str, fields: dict[str, bytes], flags: int, version: bytes = b"", room: bytes = b"") -> bytes:
    """`layout` names what stands behind the type: F flags, C challenge and 8 reserved bytes, other letters are fields; `room` stands before the payload, where the MIC is."""
    head, payload = b"NTLMSSP\0" + struct.pack("<I", kind), b""
    start = 12 + sum({"F": 4, "C": 16}.get(letter, 8) for letter in layout) + len(version) + len(room)
    for letter in layout:
        if letter == "F":
            head += struct.pack("<I", flags)
        elif letter == "C":
            head += b"\x11" * 8 + b"\0" * 8
        else:
            value = fields.get(letter, b"")
            head += struct.pack("<HHI", len(value), len(value), start + len(payload))
            payload += value
    return head + version + room + payload


def pairs(*more: tuple[int, bytes], **values: str) -> bytes:
    """AV_PAIRs of names, a timestamp, and more by their number."""
    ids = {"nb_host": 1, "nb_domain": 2, "dns_host": 3, "dns_domain": 4}
    listed = [(ids[name], u(text)) for name, text in values.items()] + [(7, struct.pack("<Q", 1))] + list(more)
    return b"".join(struct.pack("<HH", number, len(value)) + value for number, value in listed) + b"\0\0\0\0"


TARGET = {"nb_host": "MX1", "nb_domain": "CORP", "dns_host": "mx1.corp.example", "dns_domain": "corp.example"}


def negotiate(flags: int = 0x3207 | VERSION) -> bytes:
    return ntlm_message(1, "FDW", {"D": b"CORP", "W": b"PC1"}, flags, WINDOWS_10)


def challenge(flags: int = UNICODE | ESS | VERSION) -> bytes:
    return ntlm_message(2, "TFCI", {"T": u("CORP"), "I": pairs(**TARGET)}, flags, WINDOWS_10)


def v2_response(*more: tuple[int, bytes], **names: str) -> bytes:
    """NTProofStr, then versions, timestamp, client challenge and AV_PAIRs (§2.2.2.7, §2.2.2.8)."""
    return b"\x22" * 16 + b"\1\1\0\0\0\0\0\0" + struct.pack("<Q", 1) + b"\x44" * 8 + b"\0" * 4 + pairs(*more, **names) + b"\0\0\0\0"


def authenticate(nt: bytes = b"\x22" * 60, lm: bytes = b"\x33" * 24, user="tim", domain="CORP", workstation="PC1", flags=UNICODE | ESS | VERSION, encode=u, mic: bytes = b"\0" * 16,
                 key: bytes = b"") -> bytes:
    return ntlm_message(3, "LNDUWKF", {"L": lm, "N": nt, "D": encode(domain), "U": encode(user), "W": encode(workstation), "K": key}, flags, WINDOWS_10, mic)


def der(tag: int, *values: bytes) -> bytes:
    value = b"".join(values)
    n = len(value)
    length = bytes([n]) if n < 128 else bytes([0x81, n]) if n < 256 else b"\x82" + n.to_bytes(2, "big") if n < 65536 else b"\x83" + n.to_bytes(3, "big")
    return bytes([tag]) + length + value


def init(*mechanisms: bytes, token: bytes = b"", mic: bytes = b"", wrapped: bool = True, hint: str = "") -> bytes:
    """NegTokenInit, or NegTokenInit2 with a hint."""
    parts = [der(0xA0, der(0x30, *(der(6, oid) for oid in mechanisms)))]
    if token:
        parts.append(der(0xA2, der(4, token)))
    if hint:
        parts.append(der(0xA3, der(0x30, der(0xA0, der(0x1B, hint.encode())))))
    if mic:
        parts.append(der(0xA4 if hint else 0xA3, der(4, mic)))
    choice = der(0xA0, der(0x30, *parts))
    return der(0x60, bytes.fromhex("06062b0601050502"), choice) if wrapped else choice


def answer(state: int | None = None, selected: bytes = b"", token: bytes = b"", mic: bytes = b"") -> bytes:
    """NegTokenResp."""
    parts = [der(0xA0, der(0x0A, bytes([state])))] if state is not None else []
    if selected:
        parts.append(der(0xA1, der(6, selected)))
    if token:
        parts.append(der(0xA2, der(4, token)))
    if mic:
        parts.append(der(0xA3, der(4, mic)))
    return der(0xA1, der(0x30, *parts))


def _name(*parts: str) -> bytes:
    return der(0x30, der(0xA0, b"\2\1\2"), der(0xA1, der(0x30, *(der(0x1B, part.encode()) for part in parts))))


def _encrypted(etype: int) -> bytes:
    return der(0x30, der(0xA0, der(2, etype.to_bytes(1, "big", signed=True))), der(0xA1, b"\2\1\2"), der(0xA2, der(4, b"c" * 200)))


def ap_req(ticket_etype: int = 18, authenticator_etype: int = 18, spn=("exchangeMDB", "mx1.corp.example"), realm="CORP.EXAMPLE", options: int = 0x20) -> bytes:
    ticket = der(0x61, der(0x30, der(0xA0, b"\2\1\5"), der(0xA1, der(0x1B, realm.encode())), der(0xA2, _name(*spn)), der(0xA3, _encrypted(ticket_etype))))
    return der(0x6E, der(0x30, der(0xA0, b"\2\1\5"), der(0xA1, b"\2\1\x0e"), der(0xA2, bytes([3, 5, 0, options, 0, 0, 0])), der(0xA3, ticket), der(0xA4, _encrypted(authenticator_etype))))


def ap_rep(etype: int = 18) -> bytes:
    return der(0x6F, der(0x30, der(0xA0, b"\2\1\5"), der(0xA1, b"\2\1\x0f"), der(0xA2, _encrypted(etype))))


def krb_error(code: int, *client: str, realm="CORP.EXAMPLE", spn=("exchangeMDB", "mx1")) -> bytes:
    known = [der(0xA7, der(0x1B, realm.encode())), der(0xA8, _name(*client))] if client else []
    return der(0x7E, der(0x30, der(0xA0, b"\2\1\5"), der(0xA1, b"\2\1\x1e"), der(0xA4, der(0x18, b"20240101000000Z")), der(0xA5, b"\2\1\0"), der(0xA6, der(2, bytes([code]))), *known,
                          der(0xA9, der(0x1B, realm.encode())), der(0xAA, _name(*spn))))


def gss(message: bytes, token_id: bytes = b"\1\0", mechanism: bytes = KERBEROS) -> bytes:
    """The GSS-API's wrapper around a Kerberos message."""
    return der(0x60, der(6, mechanism), token_id + message)
