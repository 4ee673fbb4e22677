"""NTLM messages as they stand in the clear: names, versions and the kind of response ([MS-NLMP] §2.2).

All fields are offset and length pairs that the sender chose: each is checked against the bytes there are, and one that lies makes the message not well formed.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

SIGNATURE = b"NTLMSSP\0"
MAX_MESSAGE_BYTES = 65536
UNICODE, OEM_DOMAIN, OEM_WORKSTATION, VERSION = 0x00000001, 0x00001000, 0x00002000, 0x02000000
ANONYMOUS, EXTENDED_SESSION_SECURITY = 0x00000800, 0x00080000
_AV_NAMES = {1: "nb_host", 2: "nb_domain", 3: "dns_host", 4: "dns_domain"}  # §2.2.2.1
_MAX_AV_PAIRS = 32


@dataclass(slots=True, kw_only=True)
class NtlmMessage:
    """One message of either side; fields that its type has not are empty."""

    kind: int  # 1 NEGOTIATE, 2 CHALLENGE, 3 AUTHENTICATE
    flags: int | None = None
    os_version: str | None = None  # "10.0.17763"
    user: str = ""
    domain: str = ""
    workstation: str = ""
    nt_response: bytes = b""
    lm_response: bytes = b""
    target: dict[str, str] = field(default_factory=dict)  # nb_host, nb_domain, dns_host, dns_domain
    has_timestamp: bool = False  # MsvAvTimestamp in the target info
    well_formed: bool = True


def find_message(token: bytes, anywhere: bool = False) -> NtlmMessage | None:
    """The NTLM message in a token, at its start or, inside SPNEGO, anywhere; None when there is none."""
    start = token.find(SIGNATURE) if anywhere else 0 if token.startswith(SIGNATURE) else -1
    if start < 0 or len(token) < start + 12:
        return None
    data = token[start:start + MAX_MESSAGE_BYTES]
    kind = int.from_bytes(data[8:12], "little")
    reader = {1: _negotiate, 2: _challenge, 3: _authenticate}.get(kind)
    if reader is None:
        return None
    message = NtlmMessage(kind=kind)
    reader(data, message)
    return message


def _field(data: bytes, pos: int, message: NtlmMessage) -> bytes:
    """Len 2, MaxLen 2, BufferOffset 4 at `pos`, and the bytes that they point at."""
    if pos + 8 > len(data):
        return b""
    length, _, offset = struct.unpack_from("<HHI", data, pos)
    if not length:
        return b""
    if offset + length > len(data):
        message.well_formed = False
        return b""
    return data[offset:offset + length]


def _text(value: bytes, unicode: bool) -> str:
    """UTF-16LE or an OEM code page; code page 437 maps every byte, and its ASCII half is that of all others."""
    return value.decode("utf-16-le", "replace") if unicode else value.decode("cp437")


def _version(data: bytes, pos: int, message: NtlmMessage) -> None:
    """Major 1, minor 1, build 2, reserved 3, revision 1 (§2.2.2.10); zeros mean not filled."""
    if (message.flags or 0) & VERSION and pos + 8 <= len(data) and data[pos:pos + 4] != b"\0\0\0\0":
        message.os_version = f"{data[pos]}.{data[pos + 1]}.{int.from_bytes(data[pos + 2:pos + 4], 'little')}"


def _flags(data: bytes, pos: int) -> int | None:
    return int.from_bytes(data[pos:pos + 4], "little") if pos + 4 <= len(data) else None


def _negotiate(data: bytes, message: NtlmMessage) -> None:
    """§2.2.1.1: flags at 12, domain 16, workstation 24, version 32; both names are always OEM text."""
    message.flags = _flags(data, 12)
    message.well_formed = message.flags is not None
    flags = message.flags or 0
    if flags & OEM_DOMAIN:
        message.domain = _text(_field(data, 16, message), False)
    if flags & OEM_WORKSTATION:
        message.workstation = _text(_field(data, 24, message), False)
    _version(data, 32, message)


def _challenge(data: bytes, message: NtlmMessage) -> None:
    """§2.2.1.2: target name at 12, flags 20, server challenge 24, reserved 32, target info 40, version 48."""
    message.flags = _flags(data, 20)
    if len(data) < 32:
        message.well_formed = False
        return
    message.domain = _text(_field(data, 12, message), bool((message.flags or 0) & UNICODE))
    info = _field(data, 40, message) if len(data) >= 48 else b""
    _read_target(info, message)
    _version(data, 48, message)


def _read_target(info: bytes, message: NtlmMessage) -> None:
    """AV_PAIR list: id 2, length 2, value; id 0 ends it (§2.2.2.1). Values are always UTF-16LE."""
    pos = 0
    for _ in range(_MAX_AV_PAIRS):
        if pos + 4 > len(info):
            break
        av_id, length = struct.unpack_from("<HH", info, pos)
        pos += 4
        if av_id == 0 or pos + length > len(info):
            break
        if av_id in _AV_NAMES:
            message.target[_AV_NAMES[av_id]] = info[pos:pos + length].decode("utf-16-le", "replace")[:256]
        elif av_id == 7:
            message.has_timestamp = True
        pos += length


def _authenticate(data: bytes, message: NtlmMessage) -> None:
    """§2.2.1.3: LM response at 12, NT 20, domain 28, user 36, workstation 44, session key 52, flags 60, version 64, MIC 72.

    Old clients stop after the session key or before it: without flags the text is taken for UTF-16 when every second byte says so.
    """
    message.lm_response, message.nt_response = _field(data, 12, message), _field(data, 20, message)
    domain, user, workstation = (_field(data, pos, message) for pos in (28, 36, 44))
    payload = min((struct.unpack_from("<I", data, pos + 4)[0] for pos in (12, 20, 28, 36, 44) if pos + 8 <= len(data) and data[pos:pos + 2] != b"\0\0"), default=64)
    if payload >= 64:
        message.flags = _flags(data, 60)
    if payload >= 72:
        _version(data, 64, message)
    if len(data) < 52:
        message.well_formed = False
    names = domain + user + workstation
    if message.flags is not None:
        unicode = bool(message.flags & UNICODE)
    else:
        unicode = len(names) % 2 == 0 and 2 * names[1::2].count(0) >= len(names) // 2
    message.domain, message.user, message.workstation = (_text(value, unicode) for value in (domain, user, workstation))


def response_kind(message: NtlmMessage, agreed_flags: int | None) -> str | None:
    """NTLMv2, NTLMv1, LM or anonymous by the lengths of the responses; None when no response passed (§3.3, and trap: NTLMv2 has a 24-byte LMv2 response too)."""
    nt, lm = len(message.nt_response), len(message.lm_response)
    if nt > 24:
        return "NTLMv2"
    if nt == 24:
        return "NTLMv1"
    if not message.user and nt == 0 and lm <= 1:  # §3.2.5.1.2: the LM response of an anonymous user is one zero byte
        return "anonymous"
    flags = message.flags if message.flags is not None else agreed_flags or 0
    if lm == 24 and any(message.lm_response) and not flags & EXTENDED_SESSION_SECURITY:
        return "LM"
    return None


def describe(negotiate: NtlmMessage | None, challenge: NtlmMessage | None, authenticate: NtlmMessage | None, details: dict[str, Any]) -> str | None:
    """Put what the messages of one exchange tell into a login's details.

    Returns:
        The kind of response, as `response_kind` names it; None without one.
    """
    details["server_challenge_seen"] = details["challenge_seen"] = challenge is not None
    kind = None
    if challenge is not None:
        if challenge.target:
            details["target"] = challenge.target
        if challenge.domain:
            details.setdefault("target", {}).setdefault("nb_domain", challenge.domain[:256])
        if challenge.os_version:
            details["target_os_version"] = challenge.os_version
    last = authenticate or negotiate
    if last is not None:
        if last.workstation:
            details["workstation"] = last.workstation[:256]
        if last.os_version:
            details["os_version"] = last.os_version
        if last.flags is not None:
            details["ntlm_flags"] = last.flags
    if authenticate is not None:
        kind = response_kind(authenticate, challenge.flags if challenge else None)
        details["nt_length"], details["lm_length"] = len(authenticate.nt_response), len(authenticate.lm_response)
        details["ess"] = bool((authenticate.flags or (challenge.flags if challenge else None) or 0) & EXTENDED_SESSION_SECURITY)
        if kind is not None:
            details["ntlm_version"] = kind
    elif negotiate is not None and challenge is None:
        details["type1_only"] = True
        if negotiate.domain:
            details["client_domain"] = negotiate.domain[:256]
    return kind
