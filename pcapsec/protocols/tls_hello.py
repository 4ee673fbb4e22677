"""ClientHello and ServerHello (RFC 8446 §4.1, RFC 5246 §7.4.1), and their SSL 2.0 forms (SSL 2.0 specification §2.4 to §2.6; RFC 5246 Appendix E.2).

Each function reads one whole message into a handshake and answers with the code of an anomaly, or None. What a client offers is equal in all its connections but for
random values, so it is read once and remembered by the bytes that make it up; clients that shuffle extensions or send GREASE share at least the lists.
"""
from __future__ import annotations

import struct

from ..records import TlsHandshake, TlsOffer
from .tls_fingerprints import decimal_list, hex_list, ja3, ja4, short_hash
from .tls_names import COMPRESSIONS, GREASE, GROUPS_RECOMMENDED, group_name, signature_name, version_name
from .tls_suites import RECOMMENDED, SSLV2_KINDS, is_forward_secret, suite_name

HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 §4.1.3
SENTINELS = {b"DOWNGRD\x01": "TLSv1.2", b"DOWNGRD\x00": "TLSv1.1"}  # RFC 8446 §4.1.3: the server could do more than this
MALFORMED, REPEATED, TOO_MANY = "malformed-hello", "repeated-extension", "too-many-extensions"
MAX_EXTENSIONS = 200  # clients send up to 25
_MAX_KNOWN = 1024  # offers remembered
_MAX_KNOWN_BYTES = 4096  # of each

SERVER_NAME, SUPPORTED_GROUPS, POINT_FORMATS, SIGNATURES, HEARTBEAT, ALPN = 0, 10, 11, 13, 15, 16
ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET, SESSION_TICKET, PRE_SHARED_KEY, EARLY_DATA = 22, 23, 35, 41, 42
SUPPORTED_VERSIONS, OLD_KEY_SHARE, KEY_SHARE, ENCRYPTED_CLIENT_HELLO, RENEGOTIATION_INFO = 43, 40, 51, 0xFE0D, 0xFF01
RENEGOTIATION_SCSV, FALLBACK_SCSV = 0x00FF, 0x5600
_two = struct.Struct(">HH").unpack_from


def _codes(data: bytes) -> tuple[int, ...]:
    """A list of 16-bit values without GREASE; an odd last byte is dropped."""
    n = len(data) >> 1
    return tuple([code for code in struct.unpack_from(f">{n}H", data) if code not in GREASE])


class _Known(dict):
    """Remembers what was made of some bytes."""

    def __init__(self, make):
        self._make = make

    def __missing__(self, data: bytes):
        value = self._make(data)
        if len(data) <= _MAX_KNOWN_BYTES:
            if len(self) >= _MAX_KNOWN:
                self.clear()
            self[data] = value
        return value


def _read_suites(data: bytes) -> tuple:
    codes = _codes(data)
    return tuple([suite_name(code) for code in codes]), decimal_list(codes), len(codes), short_hash(hex_list(sorted(codes))), RENEGOTIATION_SCSV in codes, FALLBACK_SCSV in codes


def _read_groups(data: bytes) -> tuple[tuple[str, ...], str]:
    codes = _codes(data[2:])
    return tuple([group_name(code) for code in codes]), decimal_list(codes)


def _read_signatures(data: bytes) -> tuple[tuple[str, ...], str]:
    codes = _codes(data[2:])
    return tuple([signature_name(code) for code in codes]), hex_list(codes)


def _read_protocols(data: bytes) -> tuple[tuple[str, ...], bytes | None]:
    """`list length(2), each: length(1) name` (RFC 7301 §3.1)."""
    names, pos, end = [], 2, len(data)
    while pos < end and len(names) < 100:
        stop = pos + 1 + data[pos]
        if stop > end:
            break
        name = data[pos + 1:stop]
        if name and not (len(name) == 2 and name[0] << 8 | name[1] in GREASE):
            names.append(name)
        pos = stop
    return tuple([name.decode("latin-1") for name in names]), names[0] if names else None


_suites, _groups, _signatures, _protocols = _Known(_read_suites), _Known(_read_groups), _Known(_read_signatures), _Known(_read_protocols)
_versions = _Known(lambda data: _codes(data[1:]))
_compressions = _Known(lambda data: tuple([COMPRESSIONS.get(one) or str(one) for one in data]))
_offers: dict[tuple, TlsOffer] = {}


def _make_offer(legacy: int, suites: bytes, compressions: bytes, kinds: tuple[int, ...], groups: bytes, formats: bytes, signatures: bytes, alpn: bytes,
                versions: bytes, transport: str) -> TlsOffer:
    suite_names, suite_list, n_suites, suite_hash, secure, fallback = _suites[suites]
    group_names, group_list = _groups[groups]
    signature_names, signature_list = _signatures[signatures]
    protocols, first = _protocols[alpn]
    offered = _versions[versions] or (legacy,)
    extensions = tuple([kind for kind in kinds if kind not in GREASE])
    return TlsOffer(
        legacy_version=version_name(legacy), versions=tuple([version_name(code) for code in offered]), suites=suite_names, groups=group_names, signatures=signature_names,
        alpn=protocols, compressions=_compressions[compressions], extensions=extensions,
        ja3=ja3(legacy, suite_list, decimal_list(extensions), group_list, "-".join(map(str, formats[1:]))),
        ja4=ja4(transport, max(offered), n_suites, suite_hash, extensions, signature_list, first),
        grease=len(extensions) != len(kinds) or n_suites * 2 != len(suites), secure_renegotiation=secure or RENEGOTIATION_INFO in extensions, fallback_scsv=fallback,
        extended_master_secret=EXTENDED_MASTER_SECRET in extensions, encrypt_then_mac=ENCRYPT_THEN_MAC in extensions, heartbeat=HEARTBEAT in extensions,
        early_data=EARLY_DATA in extensions, encrypted_client_hello=ENCRYPTED_CLIENT_HELLO in extensions)


def read_client_hello(handshake: TlsHandshake, data: bytes, pos: int, end: int, transport: str = "t") -> tuple[str | None, bytes, bool]:
    """`legacy_version random(32) legacy_session_id<0..32> cipher_suites<2..> legacy_compression<1..> extensions<..>` (RFC 8446 §4.1.2).

    Returns: anomaly, session id, whether a ticket of an earlier session was sent.
    """
    if end - pos < 35:
        return MALFORMED, b"", False
    legacy = data[pos] << 8 | data[pos + 1]
    pos += 34
    handshake.client_random = data[pos - 32:pos]
    start = pos + 1
    pos = start + data[pos]
    if pos + 2 > end:
        return MALFORMED, b"", False
    session_id = data[start:pos]
    start = pos + 2
    pos = start + (data[pos] << 8 | data[pos + 1])
    if pos >= end:
        return MALFORMED, session_id, False
    suites = data[start:pos]
    start = pos + 1
    pos = start + data[pos]
    if pos > end:
        return MALFORMED, session_id, False
    compressions = data[start:pos]
    anomaly, kinds = None, []
    where: dict[int, int] = {}
    stop = pos
    if pos + 2 <= end:
        stop = pos + 2 + (data[pos] << 8 | data[pos + 1])
        pos += 2
        if stop > end:
            anomaly, stop = MALFORMED, end
        while pos + 4 <= stop:
            kind, length = _two(data, pos)
            pos += 4
            if pos + length > stop:
                anomaly = MALFORMED
                break
            where[kind] = pos
            kinds.append(kind)
            pos += length
        if len(where) != len(kinds):
            anomaly = anomaly or REPEATED
        if len(kinds) > MAX_EXTENSIONS:
            anomaly, kinds = TOO_MANY, kinds[:MAX_EXTENSIONS]

    def content(kind: int) -> bytes:
        at = where.get(kind)
        return data[at:at + (data[at - 2] << 8 | data[at - 1])] if at is not None else b""

    key = (legacy, suites, compressions, tuple(kinds), content(SUPPORTED_GROUPS), content(POINT_FORMATS), content(SIGNATURES), content(ALPN), content(SUPPORTED_VERSIONS), transport)
    offer = _offers.get(key)
    if offer is None:
        offer = _make_offer(*key)
        if end - start < _MAX_KNOWN_BYTES:
            if len(_offers) >= _MAX_KNOWN:
                _offers.clear()
            _offers[key] = offer
    handshake.offer = offer
    handshake.offered_versions = offer.versions
    if offer.alpn and handshake.alpn is None:
        handshake.alpn = offer.alpn[0]
    at = where.get(SERVER_NAME)
    if at is not None:
        handshake.sni = _server_name(data, at, at + (data[at - 2] << 8 | data[at - 1]))
    at = where.get(SESSION_TICKET)
    ticket = at is not None and data[at - 2:at] != b"\0\0"
    return anomaly, session_id, ticket


def _server_name(data: bytes, pos: int, end: int) -> str | None:
    """`list length(2) name_type(1)=0 length(2) name` (RFC 6066 §3)."""
    if end - pos < 5 or data[pos + 2] != 0:
        return None
    length = data[pos + 3] << 8 | data[pos + 4]
    if pos + 5 + length > end:
        return None
    return data[pos + 5:pos + 5 + length][:255].decode("latin-1") or None


_suite_facts: dict[int, tuple[str, str | None, bool | None]] = {}  # code -> name, IANA's column, forward secrecy


def _suite(code: int) -> tuple[str, str | None, bool | None]:
    found = _suite_facts.get(code)
    if found is None:
        name = suite_name(code)
        found = _suite_facts[code] = name, RECOMMENDED.get(code), is_forward_secret(name)
    return found


def read_server_hello(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> tuple[str | None, bytes, bool]:
    """`legacy_version random(32) legacy_session_id_echo<0..32> cipher_suite(2) legacy_compression(1) extensions<..>` (RFC 8446 §4.1.3).

    The drafts of TLS 1.3 before 22 leave out session id and compression; the first ones call themselves 0x0304, which no ServerHello of today does.

    Returns: anomaly, echoed session id, whether it is a HelloRetryRequest.
    """
    if end - pos < 36:
        return MALFORMED, b"", False
    code = data[pos] << 8 | data[pos + 1]
    random = data[pos + 2:pos + 34]
    pos += 34
    old_draft = 0x7F00 < code <= 0x7F15 or code == 0x0304 and data[pos] not in (0, 32)
    session_id = b""
    if not old_draft:
        start = pos + 1
        pos = start + data[pos]
        session_id = data[start:pos]
    if pos + (2 if old_draft else 3) > end:
        handshake.version = version_name(code)
        return MALFORMED, session_id, False
    handshake.cipher_suite, handshake.cipher_recommended, forward_secret = _suite(data[pos] << 8 | data[pos + 1])
    pos += 2
    compression = 0
    if not old_draft:
        compression = data[pos]
        pos += 1
    anomaly = None
    secure = master = mac = heartbeat = pre_shared_key = False
    group = None
    kinds = 0
    if pos + 2 <= end:
        stop = pos + 2 + (data[pos] << 8 | data[pos + 1])
        pos += 2
        if stop > end:
            anomaly, stop = MALFORMED, end
        seen = set()
        while pos + 4 <= stop and kinds < MAX_EXTENSIONS:
            kind, length = _two(data, pos)
            pos += 4
            if pos + length > stop:
                anomaly = MALFORMED
                break
            seen.add(kind)
            kinds += 1
            if kind == SUPPORTED_VERSIONS:
                if length == 2:
                    code = data[pos] << 8 | data[pos + 1]
            elif kind == KEY_SHARE or kind == OLD_KEY_SHARE:
                if length >= 2:
                    group = data[pos] << 8 | data[pos + 1]
            elif kind == ALPN:
                chosen = _protocols[data[pos:pos + length]][0]
                if chosen:
                    handshake.alpn, handshake.alpn_chosen = chosen[0], True
            pos += length
        if len(seen) != kinds:
            anomaly = anomaly or REPEATED
        secure, master, mac = RENEGOTIATION_INFO in seen, EXTENDED_MASTER_SECRET in seen, ENCRYPT_THEN_MAC in seen
        heartbeat, pre_shared_key = HEARTBEAT in seen, PRE_SHARED_KEY in seen
    version = handshake.version = version_name(code)
    if group is not None:
        handshake.group, handshake.group_recommended = group_name(group), GROUPS_RECOMMENDED.get(group)
    if random == HELLO_RETRY:
        return anomaly, session_id, True
    if version[:7] == "TLSv1.3" or forward_secret is None and group is not None:
        handshake.forward_secret = group is not None
        handshake.resumed = pre_shared_key
        if pre_shared_key:
            handshake.resumption = "psk"
    else:
        handshake.forward_secret = forward_secret
        handshake.secure_renegotiation, handshake.extended_master_secret, handshake.encrypt_then_mac, handshake.heartbeat = secure, master, mac, heartbeat
        handshake.downgrade_sentinel = SENTINELS.get(random[24:])
    handshake.compression = COMPRESSIONS.get(compression) or str(compression)
    return anomaly, session_id, False


# --- SSL 2.0

def read_sslv2_client_hello(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> tuple[str | None, int]:
    """`1 version(2) cipher_spec_length(2) session_id_length(2) challenge_length(2) specs session_id challenge`.

    Returns: anomaly, version that it offers at most; TLS records follow one that offers more than SSL 2.0, unless the server speaks SSL 2.0.
    """
    version = data[pos + 1] << 8 | data[pos + 2]
    length, stop = data[pos + 3] << 8 | data[pos + 4], end
    anomaly = MALFORMED if length % 3 or pos + 9 + length > end else None
    specs = data[pos + 9:min(stop, pos + 9 + length)]
    suites, has_kinds = [], False
    for at in range(0, len(specs) - 2, 3):  # kinds of SSL 2.0 begin with their number, suites of TLS with zero
        code = specs[at] << 16 | specs[at + 1] << 8 | specs[at + 2]
        if specs[at]:
            has_kinds = True
            suites.append(SSLV2_KINDS.get(code) or f"0x{code:06x}")
        else:
            suites.append(suite_name(code))
    versions = (version_name(version),) if version == 2 or not has_kinds else (version_name(version), "SSLv2")
    handshake.offered_versions = versions
    handshake.offer = TlsOffer(legacy_version=version_name(version), versions=versions, suites=tuple(suites), fallback_scsv="TLS_FALLBACK_SCSV" in suites,
                               secure_renegotiation="TLS_EMPTY_RENEGOTIATION_INFO_SCSV" in suites)
    return anomaly, version


def read_sslv2_server_hello(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> tuple[str | None, bytes]:
    """`4 session_id_hit(1) certificate_type(1) version(2) certificate_length(2) cipher_specs_length(2) connection_id_length(2) certificate specs connection_id`.

    Returns: anomaly, certificate.
    """
    if end - pos < 11:
        return MALFORMED, b""
    handshake.version = version_name(data[pos + 3] << 8 | data[pos + 4])
    handshake.resumed = data[pos + 1] != 0
    if handshake.resumed:
        handshake.resumption = "id"
    length, specs = data[pos + 5] << 8 | data[pos + 6], data[pos + 7] << 8 | data[pos + 8]
    start = pos + 11
    anomaly = MALFORMED if specs % 3 or start + length + specs > end else None
    return anomaly, data[start:start + length] if length and start + length <= end else b""
