"""What TLS says in clear, from SSL 2.0 to TLS 1.3: records and handshake messages, alerts, and whether both sides went on to encrypted data.

RFC 8446 (1.3), RFC 5246 (1.2), RFC 6101 (SSL 3.0), the SSL 2.0 specification. Messages are put together over records and segments; those of no interest are passed by
their length. Once both sides have sent encrypted data nothing more can be learnt.
Resync after damage: a gap inside a message of known length goes on behind it; one that swallows a record header goes on where the next bytes begin a plausible
record, and the side is given up where they do not. Nothing is searched for: `16 03` occurs in any binary data.
"""
from __future__ import annotations

from ..records import CLIENT, SERVER, SIDE_NAMES, Anomaly, Handover, TlsHandshake
from .certificates import certificate
from .tls_exchange import read_certificates, read_server_key_exchange
from .tls_hello import HELLO_RETRY, read_client_hello, read_server_hello, read_sslv2_client_hello, read_sslv2_server_hello
from .tls_names import SSLV2_ERRORS, alert_name, version_name
from .tls_suites import SSLV2_KINDS

__all__ = ["HELLO_RETRY", "TlsParser", "probe", "record_header", "version_name"]

MAX_RECORD_BYTES = 16384 + 2048  # RFC 5246 §6.2.3: the largest ciphertext
MAX_CLEAR_RECORD_BYTES = 16384  # RFC 8446 §5.1
MAX_HELLO_BYTES = 65536  # a ClientHello with post-quantum shares and ECH is below 8 KiB
MAX_CERTIFICATE_MESSAGE_BYTES = 131072  # chains reach 64 KiB
MAX_MESSAGE_BYTES = 65536  # any other message that is read
MAX_SIDE_BYTES = 262144  # beyond this much from one side nothing more is to be learnt
MAX_ALERTS = 16
MAX_ANOMALIES = 20
LEAST_FINISHED_BYTES = 40  # an encrypted Finished of TLS 1.3 takes 53 bytes and more
HIDDEN_ALERT_BYTES = (19, 11)  # of an encrypted alert in TLS 1.3: two bytes, the type, a tag of 16 or 8 bytes
LEAST_PADDING = 16  # of a heartbeat (RFC 6520 §4)

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, OLD_HELLO_RETRY, CERTIFICATE = 1, 2, 4, 6, 11
SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, CERTIFICATE_STATUS = 12, 13, 14, 16, 22
KNOWN_MESSAGES = frozenset((0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 67))


def record_header(data: bytes, pos: int) -> bool:
    """Whether five bytes are a plausible record header (RFC 8446 §5.1): type, version 3.0-3.4, length."""
    return 20 <= data[pos] <= 24 and data[pos + 1] == 3 and data[pos + 2] <= 4 and (data[pos + 3] << 8 | data[pos + 4]) <= MAX_RECORD_BYTES


class TlsParser:
    """Both sides of a TLS connection, from its first record on.

    Attributes:
        handshake: what was learnt; `handshake.complete` when nothing more is to be learnt.
        handover: always None.
        anomalies: protocol violations, at most `MAX_ANOMALIES`, each code once a side.
    """

    protocol = "tls"
    __slots__ = ("handshake", "handover", "anomalies", "_rest", "_left", "_clear", "_pass", "_buffer", "_need", "_begin", "_hello_seen", "_changed", "_encrypted", "_dead",
                 "_lost", "_sslv2", "_n_bytes", "_session_id", "_ticket_sent", "_full")

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        self.handshake = TlsHandshake()
        self.handover: Handover | None = None
        self.anomalies: list[Anomaly] = []
        self._rest = [b"", b""]  # the beginning of a header
        self._left = [0, 0]  # bytes of the current record still to come
        self._clear = [False, False]  # the current record holds clear handshake messages
        self._pass = [0, 0]  # bytes of the current message that are of no interest
        self._buffer = [bytearray(), bytearray()]  # the current message, as far as it is there
        self._need = [0, 0]  # its whole length; 0: not known yet
        self._begin = [0, 0]  # stream offset of its first byte
        self._hello_seen = [False, False]
        self._changed = [False, False]  # ChangeCipherSpec seen
        self._encrypted = [False, False]  # encrypted Finished or application data seen
        self._dead = [False, False]
        self._lost = [False, False]  # where the next message begins is not known
        self._sslv2 = False  # both sides speak SSL 2.0 records
        self._n_bytes = [0, 0]
        self._session_id = b""  # of the ClientHello
        self._ticket_sent = False
        self._full = False  # a message that only a full handshake has was seen

    @property
    def complete(self) -> bool:
        return self.handshake.complete

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        handshake = self.handshake
        if handshake.complete or self._dead[side]:
            return
        n_bytes = self._n_bytes[side] = self._n_bytes[side] + len(data)
        rest = self._rest[side]
        if rest:
            data, at = rest + data, at - len(rest)
            self._rest[side] = b""
        pos, n = 0, len(data)
        if n_bytes > MAX_SIDE_BYTES:
            n -= n_bytes - MAX_SIDE_BYTES
        left = self._left[side]
        while pos < n:
            if left:
                step = left if left <= n - pos else n - pos
                if self._clear[side]:
                    self._fragment(side, data, pos, pos + step, at)
                    if handshake.complete:
                        return
                left -= step
                pos += step
                continue
            kind = data[pos]
            if self._sslv2 and side == SERVER and not self._hello_seen[SERVER] and kind in (ALERT, HANDSHAKE):
                self._sslv2 = False  # a server of our days answers SSL 2.0 with an alert of TLS: a clear record of SSL 2.0 has the high bit set
            if self._sslv2 or kind & 0x80 and not self._hello_seen[side] and not self._buffer[side]:
                self._left[side] = 0
                used = self._sslv2_record(side, data, pos, at + pos)
                left = self._left[side]
                if handshake.complete or self._dead[side]:
                    return
                if not used:
                    self._rest[side] = data[pos:]
                    break
                pos += used
                continue
            if n - pos < 5:
                self._rest[side] = data[pos:]
                break
            if data[pos + 1] != 3 or kind < 20 or kind > 24 or data[pos + 2] > 4:
                self._give_up(side, at + pos)
                return
            left = data[pos + 3] << 8 | data[pos + 4]
            if left > MAX_RECORD_BYTES:
                self._anomaly("record-too-long", side, at + pos, f"{left} bytes")
            self._clear[side] = False
            if kind == HANDSHAKE:
                if not self._changed[side] or self._is_13() or not self._hello_seen[side] and not self._lost[side]:
                    self._clear[side] = True
                    if left > MAX_CLEAR_RECORD_BYTES:
                        self._anomaly("record-too-long", side, at + pos, f"{left} bytes in clear")
                else:
                    self._went_on(side)
            elif kind == APPLICATION_DATA:
                self._data(side, left)
            elif kind == CHANGE_CIPHER_SPEC:
                if not self._changed[side]:
                    self._change(side)
            elif not self._encrypted[side]:  # alert or heartbeat
                if n - pos < 8 and n - pos < 5 + left:
                    self._rest[side] = data[pos:]
                    left = 0
                    break
                if kind == HEARTBEAT:
                    self._heartbeat(side, data, pos + 5, left, at + pos)
                elif left == 2 and (not self._changed[side] or self._is_13()):
                    self._alert(side, data[pos + 5], data[pos + 6], at + pos)
            if handshake.complete:
                return
            pos += 5
        self._left[side] = left
        if n_bytes > MAX_SIDE_BYTES:
            self._finish()

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        self._rest[side] = b""
        self._hello_seen[side] = True  # or it will not be seen any more
        left = self._left[side]
        if length > left or self._sslv2:
            self._left[side] = 0
            if self._sslv2:
                self._dead[side] = True
            if left or length:
                self._lose_message(side)
            return
        self._left[side] = left - length
        if self._clear[side]:
            buffer, missing = self._buffer[side], self._pass[side]
            if buffer and self._need[side]:
                missing = self._need[side] - len(buffer)
                buffer.clear()
            if missing >= length and not buffer:
                self._pass[side] = missing - length
            else:
                self._lose_message(side)

    def finish(self) -> None:
        """No more bytes will come."""
        self._finish()

    def _finish(self) -> None:
        self.handshake.complete = True

    def _lose_message(self, side: int) -> None:
        self._buffer[side].clear()
        self._pass[side] = self._need[side] = 0
        self._lost[side] = True

    def _anomaly(self, code: str, side: int, at: int, detail: str = "") -> None:
        anomalies = self.anomalies
        if len(anomalies) < MAX_ANOMALIES and not any(one.code == code and one.side == side for one in anomalies):
            anomalies.append(Anomaly(code=code, side=side, at=at, detail=detail))

    # --- records

    def _is_13(self) -> bool:
        version = self.handshake.version
        return version is not None and version[:7] == "TLSv1.3"

    def _change(self, side: int) -> None:
        self._changed[side] = True
        handshake = self.handshake
        if side == SERVER and handshake.server_hello_at is not None and not self._full and not self._lost[SERVER] and not self._is_13():
            handshake.resumed = True  # nothing between ServerHello and ChangeCipherSpec but a new ticket (RFC 5246 §7.3, RFC 5077 §3.1)
            if self.handshake.offer is not None:
                handshake.resumption = "ticket" if self._ticket_sent else "id"

    def _data(self, side: int, length: int) -> None:
        handshake = self.handshake
        if side == CLIENT and handshake.server_hello_at is None and not self._encrypted[SERVER] and handshake.offer is not None and handshake.offer.early_data:
            handshake.early_data = True
        elif length >= LEAST_FINISHED_BYTES:
            self._went_on(side)
        elif not self._is_13():
            if self._changed[1 - side]:
                self._went_on(side)
        elif length not in HIDDEN_ALERT_BYTES:
            if side == SERVER:  # EncryptedExtensions in a record of its own, as some libraries send it
                self._went_on(side)
        elif handshake.hidden_alert is None and not self._encrypted[side]:
            handshake.hidden_alert = side

    def _went_on(self, side: int) -> None:
        self._encrypted[side] = True
        if self._encrypted[1 - side]:
            if self.handshake.established is None:
                self.handshake.established = True
            self._finish()

    def _alert(self, side: int, level: int, description: int, at: int) -> None:
        """`level(1) description(1)` (RFC 8446 §6)."""
        handshake = self.handshake
        name = alert_name(description)
        fatal = level == 2
        if len(handshake.alerts) < MAX_ALERTS:
            handshake.alerts += (f"{SIDE_NAMES[side]}:{'fatal' if fatal else 'warning'}:{name}",)
        if fatal or handshake.alert is None:
            handshake.alert, handshake.alert_side, handshake.alert_at, handshake.alert_fatal = f"{SIDE_NAMES[side]}:{name}", side, at, fatal
        if fatal:
            handshake.established = False
            self._finish()

    def _heartbeat(self, side: int, data: bytes, pos: int, length: int, at: int) -> None:
        """`type(1) payload_length(2) payload padding(16…)` (RFC 6520 §4), seen in clear only before ChangeCipherSpec."""
        if self._changed[side]:
            return
        handshake = self.handshake
        if length >= 3 and data[pos] == 1:
            claimed = data[pos + 1] << 8 | data[pos + 2]
            if claimed > max(length - 3 - LEAST_PADDING, 0) and (handshake.heartbeat_overread is None or claimed > handshake.heartbeat_overread[0]):
                handshake.heartbeat_overread, handshake.heartbeat_side, handshake.heartbeat_at = (claimed, length), side, at
                self._anomaly("heartbeat-overread", side, at, f"{claimed} bytes claimed in a record of {length}")
        elif handshake.heartbeat_side == 1 - side and length > handshake.heartbeat_answer:
            handshake.heartbeat_answer = length

    def _give_up(self, side: int, at: int) -> None:
        self._anomaly("not-a-tls-record", side, at)
        self._dead[side] = True
        if self._dead[1 - side] or self.handshake.client_hello_at is None and self.handshake.server_hello_at is None:
            self._finish()

    # --- handshake messages

    def _fragment(self, side: int, data: bytes, pos: int, stop: int, base: int) -> None:
        """`msg_type(1) length(3) body` (RFC 8446 §4), any number of them over any number of records."""
        buffer = self._buffer[side]
        while pos < stop:
            skip = self._pass[side]
            if skip:
                step = skip if skip <= stop - pos else stop - pos
                self._pass[side] = skip - step
                pos += step
                continue
            if buffer:
                need = self._need[side]
                if need:
                    step = min(need - len(buffer), stop - pos)
                    buffer += data[pos:pos + step]
                    pos += step
                    if len(buffer) == need:
                        message = bytes(buffer)
                        buffer.clear()
                        self._need[side] = 0
                        self._message(side, message[0], message, 4, need, self._begin[side])
                    continue
                step = min(4 - len(buffer), stop - pos)
                buffer += data[pos:pos + step]
                pos += step
                if len(buffer) < 4:
                    return
                kind, length = buffer[0], buffer[1] << 16 | buffer[2] << 8 | buffer[3]
                if not self._starts(side, kind, length, self._begin[side]):
                    buffer.clear()
                elif length:
                    self._need[side] = 4 + length
                else:
                    buffer.clear()
                    self._message(side, kind, b"", 0, 0, self._begin[side])
                continue
            if stop - pos < 4:
                buffer += data[pos:stop]
                self._begin[side], self._need[side] = base + pos, 0
                return
            kind, length = data[pos], data[pos + 1] << 16 | data[pos + 2] << 8 | data[pos + 3]
            end = pos + 4 + length
            if not self._starts(side, kind, length, base + pos):
                pos += 4
            elif end <= stop:
                self._message(side, kind, data, pos + 4, end, base + pos)
                pos = end
            else:
                buffer += data[pos:stop]
                self._begin[side], self._need[side] = base + pos, 4 + length
                return

    def _starts(self, side: int, kind: int, length: int, at: int) -> bool:
        """Whether a message is to be read; False: its `length` bytes are passed by."""
        if self._lost[side]:
            if kind not in KNOWN_MESSAGES or length > MAX_CERTIFICATE_MESSAGE_BYTES:
                self._pass[side] = 1 << 62  # the middle of a message, or encrypted: no more of this side's records is clear
                self._changed[side] = True
                return False
            self._lost[side] = False
        limit = _READ[side].get(kind, 0)
        if length <= limit:
            if not self._hello_seen[side] and kind != (SERVER_HELLO if side else CLIENT_HELLO) and kind not in (0, OLD_HELLO_RETRY):
                self._no_hello(side, kind, length, at)
            return True
        if limit:
            self._anomaly("hello-too-long" if kind <= SERVER_HELLO else "handshake-message-too-long", side, at, f"type {kind}, {length} bytes")
            self._hello_seen[side] = True
        elif not self._hello_seen[side]:
            self._no_hello(side, kind, length, at)
        elif kind not in KNOWN_MESSAGES:
            self._anomaly("unknown-handshake-message", side, at, f"type {kind}, {length} bytes")
        if kind == CLIENT_KEY_EXCHANGE and side == CLIENT:
            self.handshake.client_key_bytes = length
            if self.handshake.certificate_requested and self.handshake.client_certificate_sent is None and not self._lost[CLIENT]:
                self.handshake.client_certificate_sent = False  # SSL 3.0 answers with an alert instead (RFC 6101 §5.6.6)
        elif kind == NEW_SESSION_TICKET and side == SERVER:
            self.handshake.ticket_issued = True
        elif kind == CERTIFICATE_STATUS and side == SERVER:
            self.handshake.ocsp_stapled = True
        elif kind == CERTIFICATE_REQUEST and side == SERVER:
            self.handshake.certificate_requested = True
        self._pass[side] = length
        return False

    def _no_hello(self, side: int, kind: int, length: int, at: int) -> None:
        self._hello_seen[side] = True
        if self.handshake.client_hello_at is None or self.handshake.server_hello_at is None:
            self._anomaly("hello-expected", side, at, f"type {kind}, {length} bytes")

    def _message(self, side: int, kind: int, data: bytes, pos: int, end: int, at: int) -> None:
        """One whole message whose body is `data[pos:end]`."""
        handshake = self.handshake
        anomaly = None
        if kind == CLIENT_HELLO:
            self._hello_seen[CLIENT] = True
            if handshake.client_hello_at is None:
                handshake.client_hello_at = at
                anomaly, self._session_id, self._ticket_sent = read_client_hello(handshake, data, pos, end)
                if handshake.certificates:
                    self._match_name()
        elif kind == SERVER_HELLO:
            self._hello_seen[SERVER] = True
            if handshake.server_hello_at is None or handshake.hello_retry and handshake.resumed is None:
                handshake.server_hello_at = at if handshake.server_hello_at is None else handshake.server_hello_at
                anomaly, session_id, retry = read_server_hello(handshake, data, pos, end)
                if retry:
                    handshake.hello_retry = True
                elif session_id and session_id == self._session_id and not self._is_13():
                    handshake.resumed, handshake.resumption = True, "ticket" if self._ticket_sent else "id"  # unless a Certificate follows
        elif kind == CERTIFICATE:
            anomaly, n, chain = read_certificates(data, pos, end)
            if side == SERVER:
                self._is_full()
                if handshake.certificate_at is None:
                    handshake.certificate_at, handshake.chain_length, handshake.certificates = at, n, chain
                    self._match_name()
            elif handshake.client_certificate_sent is None:
                handshake.client_certificate_sent, handshake.client_certificates = n > 0, chain
        elif kind == SERVER_KEY_EXCHANGE:
            self._is_full()
            if handshake.key_exchange_at is None:
                handshake.key_exchange_at = at
                anomaly = read_server_key_exchange(handshake, data, pos, end)
        elif kind == SERVER_HELLO_DONE:
            self._is_full()
        elif kind == OLD_HELLO_RETRY:  # a message of its own in the drafts of TLS 1.3 before 22
            handshake.hello_retry = True
        if anomaly is not None:
            self._anomaly(anomaly, side, at)

    def _is_full(self) -> None:
        if not self._full:
            self._full = True
            self.handshake.resumed, self.handshake.resumption = False, None

    def _match_name(self) -> None:
        handshake = self.handshake
        if handshake.sni is not None and handshake.certificates:
            handshake.name_matched_by = handshake.certificates[0].covers(handshake.sni)
            handshake.name_matches = handshake.name_matched_by is not None

    # --- SSL 2.0

    def _sslv2_record(self, side: int, data: bytes, pos: int, at: int) -> int:
        """A two-byte header with the high bit set, or a three-byte one with padding (SSL 2.0 specification §1.1); returns the bytes used, 0 for too few."""
        if len(data) - pos < 4:
            return 0
        first = data[pos]
        head, length = (2, (first & 0x7F) << 8 | data[pos + 1]) if first & 0x80 else (3, (first & 0x3F) << 8 | data[pos + 1])
        handshake = self.handshake
        kind = data[pos + head]
        end = pos + head + length
        if not self._hello_seen[side]:
            if side == SERVER and kind == 0 and length == 3:  # ERROR: code(2)
                if len(data) < end:
                    return 0
                code = data[pos + head + 1] << 8 | data[pos + head + 2]
                handshake.alert, handshake.alert_side, handshake.alert_at = f"server:{code} {SSLV2_ERRORS.get(code, 'unknown')}", SERVER, at
                handshake.alert_fatal, handshake.established = True, False
                handshake.alerts += (f"server:fatal:{code} {SSLV2_ERRORS.get(code, 'unknown')}",)
                self._finish()
                return 0
            if length < 9 or kind != (1 if side == CLIENT else 4):
                self._give_up(side, at)
                return 0
            if len(data) < end:
                return 0
            self._hello_seen[side] = True
            if side == CLIENT:
                handshake.client_hello_at = at
                anomaly, version = read_sslv2_client_hello(handshake, data, pos + head, end)
                self._sslv2 = version == 2
            else:
                handshake.server_hello_at = at
                anomaly, der = read_sslv2_server_hello(handshake, data, pos + head, end)
                self._sslv2 = True
                if handshake.resumed:  # no key is sent: what follows is encrypted
                    self._changed = [True, True]
                if der:
                    handshake.certificate_at, handshake.chain_length, handshake.certificates = at, 1, (certificate(der),)
            if anomaly is not None:
                self._anomaly(anomaly, side, at)
            return head + length
        if not self._changed[CLIENT]:
            if side == CLIENT and kind == 2:  # CLIENT-MASTER-KEY: the client chooses the kind of cipher
                if len(data) - pos < head + 4:
                    return 0
                code = int.from_bytes(data[pos + head + 1:pos + head + 4], "big")
                handshake.cipher_suite, handshake.forward_secret = SSLV2_KINDS.get(code, f"0x{code:06x}"), False
                self._changed[CLIENT] = True
        else:
            self._went_on(side)
        self._clear[side] = False
        available = len(data) - pos - head
        if available < length:
            self._left[side] = length - available
            return head + available
        return head + length


_READ: tuple[dict[int, int], dict[int, int]] = (  # messages that are read, and how long they may be
    {CLIENT_HELLO: MAX_HELLO_BYTES, CERTIFICATE: MAX_CERTIFICATE_MESSAGE_BYTES},
    {0: 0, SERVER_HELLO: MAX_HELLO_BYTES, OLD_HELLO_RETRY: MAX_HELLO_BYTES, CERTIFICATE: MAX_CERTIFICATE_MESSAGE_BYTES, SERVER_KEY_EXCHANGE: MAX_MESSAGE_BYTES,
     SERVER_HELLO_DONE: MAX_MESSAGE_BYTES})


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes begin TLS: a ClientHello record or an SSL 2.0 hello from the client, a ServerHello or an alert from the server.

    Where the ClientHello was lost, the client begins with a later record, and the ServerHello says it.
    """
    if client:
        if len(client) > 5 and 20 <= client[0] <= 23 and (client[0] != HANDSHAKE or client[5] != 1) and record_header(client, 0) and len(server) > 5 and record_header(server, 0):
            return server[0] == HANDSHAKE and server[5] == 2
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
