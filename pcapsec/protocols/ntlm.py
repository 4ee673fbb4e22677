"""NTLM messages as they stand in the clear: names, versions, what was negotiated and the kind of response ([MS-NLMP] §2.2).

All fields are offset and length pairs that the sender chose: each is checked against the bytes there are, and one that lies makes the message not well formed.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

SIGNATURE = b"NTLMSSP\0"
MAX_MESSAGE_BYTES = 65536
MAX_NAME_BYTES = 1024  # of one name; [MS-NLMP] names are at most 256 characters long
UNICODE, SIGN, SEAL, DATAGRAM, LM_KEY = 0x00000001, 0x00000010, 0x00000020, 0x00000040, 0x00000080
ANONYMOUS, OEM_DOMAIN, OEM_WORKSTATION, LOCAL_CALL = 0x00000800, 0x00001000, 0x00002000, 0x00004000
EXTENDED_SESSION_SECURITY, VERSION, KEY_128, KEY_EXCHANGE, KEY_56 = 0x00080000, 0x02000000, 0x20000000, 0x40000000, 0x80000000
# §2.2.2.5; NETWARE, LOCAL_CALL, TARGET_TYPE_SHARE and REQUEST_ACCEPT_RESPONSE are reserved there and known from older descriptions
FLAG_NAMES = {
    0x00000001: "UNICODE", 0x00000002: "OEM", 0x00000004: "REQUEST_TARGET", SIGN: "SIGN", SEAL: "SEAL", DATAGRAM: "DATAGRAM", LM_KEY: "LM_KEY", 0x00000100: "NETWARE",
    0x00000200: "NTLM", 0x00000400: "NT_ONLY", ANONYMOUS: "ANONYMOUS", OEM_DOMAIN: "OEM_DOMAIN_SUPPLIED", OEM_WORKSTATION: "OEM_WORKSTATION_SUPPLIED",
    LOCAL_CALL: "LOCAL_CALL", 0x00008000: "ALWAYS_SIGN", 0x00010000: "TARGET_TYPE_DOMAIN", 0x00020000: "TARGET_TYPE_SERVER", 0x00040000: "TARGET_TYPE_SHARE",
    EXTENDED_SESSION_SECURITY: "EXTENDED_SESSIONSECURITY", 0x00100000: "IDENTIFY", 0x00200000: "REQUEST_ACCEPT_RESPONSE",
    0x00400000: "REQUEST_NON_NT_SESSION_KEY", 0x00800000: "TARGET_INFO", VERSION: "VERSION", KEY_128: "128", KEY_EXCHANGE: "KEY_EXCH", KEY_56: "56",
}
MIC_PRESENT = 0x00000002  # MsvAvFlags (§2.2.2.1)
_AV_NAMES = {1: "nb_host", 2: "nb_domain", 3: "dns_host", 4: "dns_domain"}  # §2.2.2.1
_AV_FLAGS, _AV_TIMESTAMP, _AV_TARGET_NAME, _AV_CHANNEL_BINDINGS = 6, 7, 9, 10
_MAX_AV_PAIRS = 32
_V2_AV_PAIRS_AT = 44  # NTProofStr 16, then versions 2, reserved 6, timestamp 8, client challenge 8, reserved 4 (§2.2.2.8, §2.2.2.7)
_known_flags: dict[int, list[str]] = {}  # flags -> names; a few dozen values in real traffic
_MAX_KNOWN_FLAGS = 4096


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
    target: dict[str, str] = field(default_factory=dict)  # nb_host, nb_domain, dns_host, dns_domain; of a type 3 the copies inside its NTLMv2 response
    has_timestamp: bool = False  # MsvAvTimestamp in the target info
    av_flags: int | None = None  # MsvAvFlags of an NTLMv2 response
    target_name: str | None = None  # MsvAvTargetName: the service that the client meant, "HTTP/mail.example.com"
    channel_bindings: bool | None = None  # NTLMv2 response: MsvAvChannelBindings there and not zero; None without AV pairs
    mic: bool | None = None  # type 3: a message integrity code that is not zero; None where the message ends before its place
    well_formed: bool = True


def find_message(token: bytes, anywhere: bool = False) -> NtlmMessage | None:
    """The NTLM message in a token, at its start or, inside SPNEGO, anywhere; None when there is none."""
    start = token.find(SIGNATURE) if anywhere else 0 if token.startswith(SIGNATURE) else -1
    if start < 0 or len(token) < start + 12:
        return None
    data = token[start:start + MAX_MESSAGE_BYTES]
    kind = int.from_bytes(data[8:12], "little")
    reader = _READERS.get(kind)
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
    """UTF-16LE or an OEM code page: 437 maps every byte, and its ASCII half is that of all others. An odd length is never UTF-16, whatever the flags say."""
    if not value:
        return ""
    unicode = unicode and not len(value) & 1
    value = value[:MAX_NAME_BYTES]
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
    _read_pairs(info, 0, message)
    _version(data, 48, message)


def _read_pairs(info: bytes, pos: int, message: NtlmMessage) -> None:
    """AV_PAIR list: id 2, length 2, value; id 0 ends it (§2.2.2.1). Text is always UTF-16LE."""
    end = len(info)
    for _ in range(_MAX_AV_PAIRS):
        if pos + 4 > end:
            return
        av_id, length = info[pos] | info[pos + 1] << 8, info[pos + 2] | info[pos + 3] << 8
        pos += 4
        if av_id == 0 or pos + length > end:
            return
        if av_id in _AV_NAMES:
            message.target[_AV_NAMES[av_id]] = info[pos:pos + min(length, 512)].decode("utf-16-le", "replace")
        elif av_id == _AV_TIMESTAMP:
            message.has_timestamp = True
        elif av_id == _AV_FLAGS and length == 4:
            message.av_flags = int.from_bytes(info[pos:pos + 4], "little")
        elif av_id == _AV_TARGET_NAME:
            message.target_name = info[pos:pos + min(length, 512)].decode("utf-16-le", "replace")
        elif av_id == _AV_CHANNEL_BINDINGS:
            message.channel_bindings = info.count(0, pos, pos + length) != length  # 16 zero bytes say that there are none
        pos += length


def _authenticate(data: bytes, message: NtlmMessage) -> None:
    """§2.2.1.3: LM response at 12, NT 20, domain 28, user 36, workstation 44, session key 52, flags 60, version 64, MIC 72.

    Old clients stop after the session key or before it: without flags the text is taken for UTF-16 when every second byte says so.
    """
    message.lm_response, message.nt_response = _field(data, 12, message), _field(data, 20, message)
    domain, user, workstation = _field(data, 28, message), _field(data, 36, message), _field(data, 44, message)
    if len(data) >= 52:
        fields = _FIVE_FIELDS.unpack_from(data, 12)
        payload = 1 << 32  # where the first of them begins
        for length, offset in zip(fields[::3], fields[2::3]):
            if length and offset < payload:
                payload = offset
        if payload >= 64:  # also of a message whose fields are all empty
            message.flags = _flags(data, 60)
        if payload >= 72:
            _version(data, 64, message)
        if message.flags is not None:
            key_length, _, key_at = struct.unpack_from("<HHI", data, 52)
            if key_length and key_at < payload:
                payload = key_at
            message.mic = payload >= 88 and len(data) >= 88 and data[72:88] != bytes(16)
            if key_length and key_at + key_length > len(data):
                message.well_formed = False
    else:
        message.well_formed = False
    if message.flags is not None:
        unicode = bool(message.flags & UNICODE)
    else:
        names = domain + user + workstation
        unicode = len(names) % 2 == 0 and 2 * names[1::2].count(0) >= len(names) // 2
    message.domain, message.user, message.workstation = _text(domain, unicode), _text(user, unicode), _text(workstation, unicode)
    if len(message.nt_response) >= _V2_AV_PAIRS_AT and message.nt_response[16:18] == b"\1\1":  # RespType, HiRespType
        message.channel_bindings = False
        _read_pairs(message.nt_response, _V2_AV_PAIRS_AT, message)


_FIVE_FIELDS = struct.Struct("<" + "HHI" * 5)
_READERS = {1: _negotiate, 2: _challenge, 3: _authenticate}


def flag_names(flags: int) -> list[str]:
    """The names of the flags that are set, from the lowest bit; bits without a name as hexadecimal."""
    known = _known_flags.get(flags)
    if known is None:
        if len(_known_flags) >= _MAX_KNOWN_FLAGS:
            _known_flags.clear()
        known = _known_flags[flags] = [FLAG_NAMES.get(1 << bit, f"{1 << bit:#010x}") for bit in range(32) if flags >> bit & 1]
    return known.copy()


def key_strength(flags: int) -> tuple[int | None, int | None]:
    """Bits of the sealing key, as implementations weaken it and as the pseudo-code of §3.4.5.3 says; both None where nothing is sealed.

    The two differ only without extended session security and without LM_KEY: the section's summary and impacket weaken the key there, its pseudo-code and Samba do not.
    """
    if not flags & SEAL:
        return None, None
    weak = 56 if flags & KEY_56 else 40
    if flags & EXTENDED_SESSION_SECURITY:
        bits = 128 if flags & KEY_128 else weak
        return bits, bits
    return weak, weak if flags & (LM_KEY | DATAGRAM) else 128


def response_kind(message: NtlmMessage, agreed_flags: int | None) -> str | None:
    """NTLMv2, NTLMv1, LM or anonymous by the lengths of the responses; None when no response passed (§3.3). NTLMv2 has a 24-byte LMv2 response too."""
    nt, lm = len(message.nt_response), len(message.lm_response)
    if nt > 24:
        return "NTLMv2"
    if nt == 24:
        return "NTLMv1"
    flags = message.flags if message.flags is not None else agreed_flags or 0
    if not message.user and nt == 0 and lm <= 1:  # §3.2.5.1.2: the LM response of an anonymous user is one zero byte
        return None if flags & LOCAL_CALL and not flags & ANONYMOUS else "anonymous"  # within one host names and responses stay away too
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
    elif authenticate is not None and authenticate.target:
        details["target"] = authenticate.target
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
        _describe_agreement(authenticate, challenge, kind, details)
        if kind is not None:
            details["ntlm_version"] = kind
    elif negotiate is not None and challenge is None:
        details["type1_only"] = True
        if negotiate.domain:
            details["client_domain"] = negotiate.domain[:256]
    return kind


def _describe_agreement(authenticate: NtlmMessage, challenge: NtlmMessage | None, kind: str | None, details: dict[str, Any]) -> None:
    """Flags in force are those of the last message that has any; type 1 only offers."""
    flags = authenticate.flags if authenticate.flags is not None else challenge.flags if challenge is not None else None
    details["ess"] = bool((flags or 0) & EXTENDED_SESSION_SECURITY)
    details["anonymous"] = kind == "anonymous"
    if flags is not None:
        details["ntlm_flag_names"] = flag_names(flags)
        details["sign"], details["seal"], details["key_exchange"] = bool(flags & SIGN), bool(flags & SEAL), bool(flags & KEY_EXCHANGE)
        details["key_bits"], details["spec_key_bits"] = key_strength(flags)
    details["mic"], details["channel_binding"], details["av_flags"] = authenticate.mic, authenticate.channel_bindings, authenticate.av_flags
    if authenticate.target_name:
        details["spn"] = authenticate.target_name[:256]
