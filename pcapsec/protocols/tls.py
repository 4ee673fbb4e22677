"""What TLS says in clear: records, ClientHello, ServerHello, alerts, and whether both sides went on to encrypted data.

RFC 8446 (1.3), RFC 5246 (1.2), RFC 6101 (SSL 3.0), the SSL 2.0 specification. Only the hellos are kept; every other record is counted past by its length.
Resync after damage: a gap inside a record that is skipped anyway costs nothing; otherwise the side goes on where the next bytes begin a plausible
record header, and is given up where they do not. Nothing is searched for: `16 03` occurs in any binary data.
"""
from __future__ import annotations

import struct

from ..records import CLIENT, SERVER, SIDE_NAMES, Anomaly, Handover, TlsHandshake
from .tls_suites import GREASE, SSLV2_KINDS, suite_name

MAX_HELLO_BYTES = 65536  # a ClientHello with post-quantum shares and ECH is below 8 KiB
MAX_RECORD_BYTES = 16384 + 2048  # RFC 5246 §6.2.3: the largest ciphertext
MAX_SIDE_BYTES = 262144  # certificate chains reach 64 KiB; beyond this much from one side nothing more is to be learnt
LEAST_FINISHED_BYTES = 40  # an encrypted Finished of TLS 1.3 takes 53 bytes and more, an encrypted alert 19

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 §4.1.3
VERSIONS = {0x0002: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3",
            0x7E01: "TLSv1.3-experiment", 0x7E02: "TLSv1.3-experiment2"}  # the last two: trials of browsers in 2017
ALERTS = {  # RFC 8446 §6, and the retired ones of RFC 5246 §7.2 and RFC 6101 §5.4
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow", 30: "decompression_failure",
    40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
    109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name", 113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value", 115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol", 121: "ech_required"}
_two = struct.Struct(">HH").unpack_from


def version_name(code: int) -> str:
    """SSLv3, TLSv1.2, TLSv1.3-draft28, or 0x1234."""
    name = VERSIONS.get(code)
    if name is None:
        name = f"TLSv1.3-draft{code & 0xFF}" if code >> 8 == 0x7F else f"0x{code:04x}"
    return name


def record_header(data: bytes, pos: int) -> bool:
    """Whether five bytes are a plausible record header (RFC 8446 §5.1): type, version 3.0-3.4, length."""
    return 20 <= data[pos] <= 24 and data[pos + 1] == 3 and data[pos + 2] <= 4 and (data[pos + 3] << 8 | data[pos + 4]) <= MAX_RECORD_BYTES


class TlsParser:
    """Both sides of a TLS connection, from its first record on.

    Attributes:
        handshake: what was learnt; `handshake.complete` when nothing more is to be learnt.
        handover: always None.
        anomalies: protocol violations.
    """

    protocol = "tls"
    __slots__ = (
        "handshake", "handover", "anomalies", "_rest", "_skip", "_hello", "_hello_at", "_want_hello", "_changed", "_encrypted", "_dead", "_sslv2", "_n_bytes",
        "_retried")

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        self.handshake = TlsHandshake()
        self.handover: Handover | None = None
        self.anomalies: list[Anomaly] = []
        self._rest = [b"", b""]
        self._skip = [0, 0]  # bytes of the current record that are of no interest
        self._hello = [bytearray(), bytearray()]  # handshake bytes until the hello of that side is whole
        self._hello_at = [0, 0]
        self._want_hello = [True, True]
        self._changed = [False, False]  # ChangeCipherSpec seen
        self._encrypted = [False, False]  # encrypted Finished or application data seen
        self._dead = [False, False]
        self._sslv2 = False  # both sides speak SSL 2.0 records
        self._n_bytes = [0, 0]
        self._retried = False

    @property
    def complete(self) -> bool:
        return self.handshake.complete

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        if self.handshake.complete or self._dead[side]:
            return
        self._n_bytes[side] += len(data)
        rest = self._rest[side]
        if rest:
            data, at = rest + data, at - len(rest)
            self._rest[side] = b""
        pos, n = 0, len(data)
        while pos < n:
            skip = self._skip[side]
            if skip:
                step = skip if skip <= n - pos else n - pos
                self._skip[side] = skip - step
                pos += step
                continue
            if self._sslv2 or (data[pos] & 0x80 and self._want_hello[side] and not self._hello[side]):
                used = self._sslv2_record(side, data, pos, at + pos)
            elif n - pos < 5:
                used = 0
            elif record_header(data, pos):
                used = self._record(side, data, pos, at + pos)
            else:
                self._give_up(side, at + pos)
                return
            if self.handshake.complete or self._dead[side]:
                return
            if not used:
                self._rest[side] = data[pos:]
                break
            pos += used
        if self._n_bytes[side] > MAX_SIDE_BYTES:
            self.handshake.complete = True

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if self._skip[side] >= length:
            self._skip[side] -= length
            return
        self._skip[side] = 0
        self._rest[side] = b""
        self._hello[side].clear()
        self._want_hello[side] = False
        if self._sslv2:
            self._dead[side] = True

    def finish(self) -> None:
        """No more bytes will come."""
        self.handshake.complete = True

    # --- records

    def _record(self, side: int, data: bytes, pos: int, at: int) -> int:
        """`type(1) version(2) length(2) fragment` (RFC 8446 §5.1); returns the bytes used, 0 for too few."""
        kind = data[pos]
        length = data[pos + 3] << 8 | data[pos + 4]
        if kind == HANDSHAKE:
            if self._want_hello[side]:
                if len(data) - pos < 5 + length:
                    return 0
                self._handshake_bytes(side, data[pos + 5:pos + 5 + length], at + 5)
                return 5 + length
            if self._changed[side]:
                self._went_on(side)
        elif kind == CHANGE_CIPHER_SPEC:
            self._changed[side] = True
        elif kind == APPLICATION_DATA:
            if length >= LEAST_FINISHED_BYTES or self._changed[1 - side] and not self._is_13():
                self._went_on(side)
        elif kind == ALERT and length == 2 and not self._encrypted[side] and (not self._changed[side] or self._is_13()):
            if len(data) - pos < 7:
                return 0
            self._alert(side, data[pos + 5], data[pos + 6])
            return 7
        available = len(data) - pos - 5
        if available >= length:
            return 5 + length
        self._skip[side] = length - available
        return 5 + available

    def _is_13(self) -> bool:
        return self.handshake.version is not None and self.handshake.version.startswith("TLSv1.3")

    def _went_on(self, side: int) -> None:
        self._encrypted[side] = True
        if self._encrypted[1 - side]:
            if self.handshake.established is None:
                self.handshake.established = True
            self.handshake.complete = True

    def _alert(self, side: int, level: int, description: int) -> None:
        """`level(1) description(1)` (RFC 8446 §6)."""
        handshake = self.handshake
        if level == 2 or handshake.alert is None:
            handshake.alert = f"{SIDE_NAMES[side]}:{description} {ALERTS.get(description, 'unknown')}"
        if level == 2:
            handshake.established = False
            handshake.complete = True

    def _give_up(self, side: int, at: int) -> None:
        self.anomalies.append(Anomaly(code="not-a-tls-record", side=side, at=at))
        self._dead[side] = True
        if self._dead[1 - side] or self.handshake.client_hello_at is None and self.handshake.server_hello_at is None:
            self.handshake.complete = True

    # --- hellos

    def _handshake_bytes(self, side: int, fragment: bytes, at: int) -> None:
        """`msg_type(1) length(3) body` (RFC 8446 §4), over as many records as it takes."""
        hello = self._hello[side]
        if hello:
            hello += fragment
            if len(hello) < 4 or len(hello) < 4 + (hello[1] << 16 | hello[2] << 8 | hello[3]) <= MAX_HELLO_BYTES:
                return
            fragment = bytes(hello)
            hello.clear()
        else:
            self._hello_at[side] = at
        if side == SERVER and fragment[:4] == b"\0\0\0\0":  # HelloRequest, any number (RFC 5246 §7.4.1.1)
            fragment = fragment[(len(fragment) - len(fragment.lstrip(b"\0"))) // 4 * 4:]
        if len(fragment) < 4:
            hello += fragment
            return
        kind = fragment[0]
        length = fragment[1] << 16 | fragment[2] << 8 | fragment[3]
        wanted = kind == 1 if side == CLIENT else kind in (2, 6)
        if not wanted or length > MAX_HELLO_BYTES:
            self._want_hello[side] = False
            if self.handshake.client_hello_at is None or self.handshake.server_hello_at is None:
                code = "hello-too-long" if wanted else "hello-expected"
                self.anomalies.append(Anomaly(code=code, side=side, at=at, detail=f"type {kind}, {length} bytes"))
            return
        if len(fragment) < 4 + length:
            hello += fragment
            return
        self._want_hello[side] = False
        if kind == 1:
            if self.handshake.client_hello_at is None:
                self.handshake.client_hello_at = self._hello_at[side]
                self._client_hello(fragment, 4, 4 + length)
        elif kind == 2:
            self._server_hello(fragment, 4, 4 + length)
        else:  # hello_retry_request of the drafts before 22 of TLS 1.3
            self._retry()

    def _retry(self) -> None:
        if not self._retried:
            self._retried = True
            self._want_hello[SERVER] = True

    def _client_hello(self, data: bytes, pos: int, end: int) -> None:
        """`legacy_version random(32) legacy_session_id<0..32> cipher_suites<2..> legacy_compression<1..> extensions<..>` (RFC 8446 §4.1.2)."""
        handshake = self.handshake
        if end - pos < 35:
            self._malformed(CLIENT)
            return
        legacy = data[pos] << 8 | data[pos + 1]
        handshake.offered_versions = (version_name(legacy),)
        pos += 34
        pos += 1 + data[pos]
        if pos + 2 <= end:
            pos += 2 + (data[pos] << 8 | data[pos + 1])
        if pos < end:
            pos += 1 + data[pos]
        if pos > end:
            self._malformed(CLIENT)
        elif pos + 2 <= end:
            stop = pos + 2 + (data[pos] << 8 | data[pos + 1])
            pos += 2
            if stop > end:
                self._malformed(CLIENT)
                stop = end
            while pos + 4 <= stop:
                kind, length = _two(data, pos)
                pos += 4
                if pos + length > stop:
                    self._malformed(CLIENT)
                    return
                if kind == 0:
                    handshake.sni = _server_name(data, pos, pos + length)
                elif kind == 16:
                    handshake.alpn = _first_alpn(data, pos, pos + length)
                elif kind == 43 and length:
                    self._supported_versions(data, pos + 1, min(pos + 1 + data[pos], pos + length))
                pos += length

    def _supported_versions(self, data: bytes, pos: int, end: int) -> None:
        """`versions<2..254>` (RFC 8446 §4.2.1)."""
        versions = []
        while pos + 2 <= end:
            code = data[pos] << 8 | data[pos + 1]
            if code not in GREASE:
                versions.append(version_name(code))
            pos += 2
        if versions:
            self.handshake.offered_versions = tuple(versions)

    def _server_hello(self, data: bytes, pos: int, end: int) -> None:
        """`legacy_version random(32) legacy_session_id_echo<0..32> cipher_suite legacy_compression extensions<6..>` (RFC 8446 §4.1.3).

        Drafts 1-21 of TLS 1.3 write their number as the version and have neither session id nor compression.
        """
        handshake = self.handshake
        if handshake.server_hello_at is None:
            handshake.server_hello_at = self._hello_at[SERVER]
        if end - pos < 36:
            self._malformed(SERVER)
            return
        code = data[pos] << 8 | data[pos + 1]
        random = data[pos + 2:pos + 34]
        old_draft = 0x7F00 < code <= 0x7F15
        pos += 34
        if not old_draft:
            pos += 1 + data[pos]
        if pos + 2 > end:
            self._malformed(SERVER)
            handshake.version = version_name(code)
            return
        handshake.cipher_suite = suite_name(data[pos] << 8 | data[pos + 1])
        pos += 2 if old_draft else 3
        if pos + 2 <= end:
            stop = min(end, pos + 2 + (data[pos] << 8 | data[pos + 1]))
            pos += 2
            chosen = None
            while pos + 4 <= stop:
                kind, length = _two(data, pos)
                pos += 4
                if pos + length > stop:
                    self._malformed(SERVER)
                    break
                if kind == 43 and length == 2:
                    code = data[pos] << 8 | data[pos + 1]
                elif kind == 16:
                    chosen = _first_alpn(data, pos, pos + length)
                pos += length
            if chosen is not None:
                handshake.alpn = chosen
        handshake.version = version_name(code)
        if random == HELLO_RETRY:
            self._retry()

    def _malformed(self, side: int) -> None:
        anomaly = Anomaly(code="malformed-hello", side=side, at=self._hello_at[side])
        if anomaly not in self.anomalies:
            self.anomalies.append(anomaly)

    # --- SSL 2.0

    def _sslv2_record(self, side: int, data: bytes, pos: int, at: int) -> int:
        """A two-byte header with the high bit set, or a three-byte one with padding (SSL 2.0 specification, 1.1); returns the bytes used, 0 for too few."""
        if len(data) - pos < 4:
            return 0
        first = data[pos]
        head, length = (2, (first & 0x7F) << 8 | data[pos + 1]) if first & 0x80 else (3, (first & 0x3F) << 8 | data[pos + 1])
        if self._want_hello[side]:
            if length < 9 or data[pos + head] != (1 if side == CLIENT else 4):
                self._give_up(side, at)
                return 0
            if len(data) - pos < head + length:
                return 0
            self._want_hello[side] = False
            (self._sslv2_client_hello if side == CLIENT else self._sslv2_server_hello)(data, pos + head, pos + head + length, at)
        elif not self._changed[CLIENT]:
            if side == CLIENT:
                if len(data) - pos < min(head + length, head + 4):
                    return 0
                body = data[pos + head:pos + head + 4]
                if len(body) == 4 and body[0] == 2:  # CLIENT-MASTER-KEY: the client chooses the kind of cipher
                    kind = int.from_bytes(body[1:], "big")
                    self.handshake.cipher_suite = SSLV2_KINDS.get(kind, f"0x{kind:06x}")
                    self._changed[CLIENT] = True
        else:
            self._went_on(side)
        available = len(data) - pos - head
        if available >= length:
            return head + length
        self._skip[side] = length - available
        return head + available

    def _sslv2_client_hello(self, data: bytes, pos: int, end: int, at: int) -> None:
        """`1 version(2) …`: what it offers at most (RFC 5246 Appendix E.2); TLS records follow unless the server speaks SSL 2.0."""
        handshake = self.handshake
        handshake.client_hello_at = at
        version = data[pos + 1] << 8 | data[pos + 2]
        handshake.offered_versions = (version_name(version),)
        if version != 2 and end - pos >= 9:
            kinds = data[pos + 9:min(end, pos + 9 + (data[pos + 3] << 8 | data[pos + 4]))]
            if any(kinds[i] for i in range(0, len(kinds), 3)):  # kinds of SSL 2.0; suites of TLS begin with zero here
                handshake.offered_versions += ("SSLv2",)
        if version == 2:
            self._sslv2 = True

    def _sslv2_server_hello(self, data: bytes, pos: int, end: int, at: int) -> None:
        """`4 session-id-hit(1) certificate-type(1) version(2) …`."""
        self.handshake.server_hello_at = at
        self.handshake.version = version_name(data[pos + 3] << 8 | data[pos + 4])
        self._sslv2 = True


def _server_name(data: bytes, pos: int, end: int) -> str | None:
    """`list length(2) name_type(1)=0 length(2) name` (RFC 6066 §3)."""
    if end - pos < 5 or data[pos + 2] != 0:
        return None
    length = data[pos + 3] << 8 | data[pos + 4]
    if pos + 5 + length > end:
        return None
    return data[pos + 5:pos + 5 + length][:255].decode("latin-1") or None


def _first_alpn(data: bytes, pos: int, end: int) -> str | None:
    """`list length(2) length(1) name …` (RFC 7301 §3.1); the first that is not GREASE."""
    pos += 2
    while pos < end:
        stop = pos + 1 + data[pos]
        if stop > end:
            return None
        name = data[pos + 1:stop]
        if not (len(name) == 2 and name[0] << 8 | name[1] in GREASE):
            return name.decode("latin-1") or None
        pos = stop
    return None


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes begin TLS: a ClientHello record or an SSL 2.0 hello from the client, a ServerHello or an alert from the server."""
    if client:
        if client[0] == HANDSHAKE:
            if len(client) < 6:
                return None if client[1:2] in (b"", b"\3") and (len(client) < 3 or client[2] <= 4) else False
            return record_header(client, 0) and client[5] == 1
        if client[0] & 0x80:
            if len(client) < 5:
                return None if client[2:3] in (b"", b"\1") else False
            length = (client[0] & 0x7F) << 8 | client[1]
            return client[2] == 1 and length >= 9 and (client[3], client[4]) in ((0, 2), (3, 0), (3, 1), (3, 2), (3, 3))
        return False
    if not server or server[0] not in (HANDSHAKE, ALERT):
        return None if not server else False
    if len(server) < 6:
        return None if server[1:2] in (b"", b"\3") else False
    return record_header(server, 0) and (server[5] == 2 if server[0] == HANDSHAKE else server[3:5] == b"\0\2" and server[5] in (1, 2))
