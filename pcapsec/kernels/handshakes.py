"""TLS conversations that went the usual way, told in a few numbers each, so that nobody need read their bytes in Python.

Many clients and servers shake hands in exactly the same words but for random values, names and certificates. For each assembled flow that holds one whole ordinary
handshake the kernel writes a *key*: what of both hellos matters to anybody, in a fixed order, with GREASE (RFC 8701) written as one value. Flows with equal keys say the
same. Anything out of the ordinary - loss, alerts, repeated extensions, a second hello, client certificates, what does not fit - is no regular flow, and is read by protocols/tls.py;
so this file only has to recognise what it knows well, and may refuse whatever it likes.

Regular (RFC 8446 §2, RFC 5246 §7.3): the client's first turn is one record with one ClientHello; the server's first turn begins with a ServerHello of SSL 3.0 to TLS 1.3;
up to TLS 1.2 the server goes on with Certificate, CertificateStatus, ServerKeyExchange with a named curve, ServerHelloDone or a ticket, the client with ClientKeyExchange; messages
do not cross records; then either side's records are encrypted.
"""
from __future__ import annotations

from numba import int64

from .assembly import (DATA, R_BAD_A, R_BAD_B, R_CHECKED_A, R_CHECKED_B, R_CONFLICTS, R_DUPLICATES, R_ENTRY, R_FIRST_A, R_FIRST_B, R_HINTS, R_LATER, R_MARK, R_MARKS, R_MAX_IP, R_MORE,
                       R_OVER, R_SENT_A, R_SENT_B, R_TRUNCATED, R_TURN, R_TURNS, R_UNSEEN_A, R_UNSEEN_B)
from .flow_table import mix
from .jit import kernel, part
from .memory import copy, i64, u16, u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

# --- out_rows, int64[N_REGULAR]: places are in the batch's bytes, but those of the key, which are in out_keys
G_ENTRY, G_FLIP, G_KEY, G_CLIENT, G_SERVER, G_TAIL, G_KEY_END, G_HELLO, G_HELLO_END, G_SNI, G_SNI_END, G_CHAIN, G_CHAIN_END = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
# key: G_KEY what the flow table says, G_CLIENT what the client offers, G_SERVER what the server answers, G_TAIL its certificates' hash and the name asked for, G_KEY_END;
# the ClientHello's body, the server name, the Certificate message's body
G_EXCHANGE_AT, G_HELLO_FRAME, G_HELLO_NS, G_START_NS, G_END_NS, G_FRAME, G_LAST_FRAME = 13, 14, 15, 16, 17, 18, 19  # server offset of ServerKeyExchange; frames as in FRAMES
G_CLIENT_HIGH, G_CLIENT_LOW, G_SERVER_HIGH, G_SERVER_LOW, G_CLIENT_PORT, G_SERVER_PORT = 20, 21, 22, 23, 24, 25
G_CLIENT_BYTES, G_SERVER_BYTES, G_CLIENT_CHECKED, G_SERVER_CHECKED, G_MAX_IP, G_CLIENT_TTL, G_SERVER_TTL, G_ENDED = 26, 27, 28, 29, 30, 31, 32, 33  # bytes << 24 | frames; bits of STATE
G_ID, G_ROW, G_MARK, G_MARK_END = 34, 35, 36, 37  # place in out_keys of what the session id is made of; number of the flow in this call; its marks
N_REGULAR = 38
CHAIN_KEY_BYTES = 14  # from G_TAIL on, where there is a Certificate message: offset of ServerKeyExchange, length and hash of the message
ID_BYTES = 57  # IP protocol, five words of the flow's key, both first sequences, day
DAY_NS = 86_400_000_000_000

MAX_TURNS = 64  # of a handshake and the beginning of the data; more is no regular flow
MAX_SIDE = 65536  # bytes of a side; the sieve keeps 16 KiB and the segment that goes beyond
MAX_EXTENSIONS = 48  # clients send up to 25
MAX_OFFER = 4096  # bytes of a ClientHello; with post-quantum shares it has 2 KiB
MAX_NAME = 255
_ROOM = 512  # of a key besides the hello's own bytes

CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA = 20, 22, 23
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET, CERTIFICATE, SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, CERTIFICATE_STATUS = 1, 2, 4, 11, 12, 14, 16, 22
SERVER_NAME, SUPPORTED_GROUPS, POINT_FORMATS, SIGNATURES, ALPN, SESSION_TICKET, OLD_KEY_SHARE, EARLY_DATA, SUPPORTED_VERSIONS, KEY_SHARE = 0, 10, 11, 13, 16, 35, 40, 42, 43, 51
MAX_RECORD = 16384  # in clear (RFC 8446 §5.1)
MAX_CIPHERTEXT = 16384 + 2048  # RFC 5246 §6.2.3
LEAST_FINISHED = 40  # an encrypted Finished of TLS 1.3 takes 53 bytes and more; protocols/tls.py says the same

# what is remembered while a flow is read: work int64[N_WORK]
_KEY_AT, _SESSION_ID, _SESSION_ID_LENGTH, _TICKET, _VERSION, _SUITE, _FULL, _SEEN, _CHAIN_AT, _CHAIN_END, _EXCHANGE, _CURVE, _SIGNATURE, _KEY_BYTES, _RESUMED = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
_CERTIFICATE_AT, _ENCRYPTED0, _ENCRYPTED1, _NAME_AT, _NAME_LENGTH = 15, 16, 17, 18, 19
N_WORK = 24


@part
def _put(keys, work, n, value):
    """Append the lowest n bytes of a value to the key; the caller has seen that there is room."""
    at = work[_KEY_AT]
    for i in range(n):
        keys[at + i] = (value >> (8 * (n - 1 - i))) & 0xFF
    work[_KEY_AT] = at + n


@part
def _plain(code):
    """A 16-bit value, or 0x0A0A for any of the sixteen of GREASE (RFC 8701 §2)."""
    return 0x0A0A if code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF else code


@part
def _put_codes(data, at, end, keys, work, first):
    """Append bytes with their length; from `first` on they are 16-bit values, in which GREASE is made one value."""
    _put(keys, work, 2, end - at)
    place, n = work[_KEY_AT], end - at
    copy(keys, place, data, at, n)
    i = first
    while i + 2 <= n:
        if keys[place + i] & 0x0F == 0x0A and keys[place + i] == keys[place + i + 1]:
            keys[place + i] = keys[place + i + 1] = 0x0A
        i += 2
    work[_KEY_AT] = place + n


@part
def _client_hello(data, pos, end, keys, work, kinds, places):
    """`legacy_version random(32) session_id<0..32> cipher_suites<2..> compression<1..> extensions<..>` (RFC 8446 §4.1.2) into the key; False: not a usual one."""
    if end - pos < 41 or end - pos > MAX_OFFER or work[_KEY_AT] + (end - pos) + _ROOM > len(keys):
        return False
    _put(keys, work, 2, u16(data, pos))
    pos += 34
    length = int64(data[pos])
    work[_SESSION_ID], work[_SESSION_ID_LENGTH] = pos + 1, length
    pos += 1 + length
    if length > 32 or pos + 2 > end:
        return False
    length = u16(data, pos)
    pos += 2
    if pos + length + 1 > end:
        return False
    _put_codes(data, pos, pos + length, keys, work, 0)
    pos += length
    length = int64(data[pos])
    pos += 1
    if pos + length > end:
        return False
    _put_codes(data, pos, pos + length, keys, work, length)
    pos += length
    n = 0
    if pos != end:
        if pos + 2 > end or pos + 2 + u16(data, pos) != end:
            return False
        pos += 2
        while pos < end:
            if pos + 4 > end or n == MAX_EXTENSIONS:
                return False
            kind, length = u16(data, pos), u16(data, pos + 2)
            if pos + 4 + length > end or kind == EARLY_DATA:
                return False
            for i in range(n):
                if kinds[i] == kind:
                    return False
            kinds[n], places[n] = kind, pos + 4
            n += 1
            pos += 4 + length
    _put(keys, work, 1, n)
    groups = formats = signatures = alpn = versions = -1
    work[_TICKET] = 0
    work[_NAME_AT], work[_NAME_LENGTH] = 0, 0
    for i in range(n):
        kind, at = kinds[i], places[i]
        length = u16(data, at - 2)
        _put(keys, work, 2, _plain(kind))
        if kind == SUPPORTED_GROUPS:
            groups = i
        elif kind == POINT_FORMATS:
            formats = i
        elif kind == SIGNATURES:
            signatures = i
        elif kind == ALPN:
            alpn = i
        elif kind == SUPPORTED_VERSIONS:
            versions = i
        elif kind == SESSION_TICKET:
            work[_TICKET] = 1 if length else 0
        elif kind == SERVER_NAME:  # `list length(2) name_type(1)=0 length(2) name` (RFC 6066 §3)
            if length < 6 or data[at + 2] != 0 or 5 + u16(data, at + 3) > length or u16(data, at + 3) == 0 or u16(data, at + 3) > MAX_NAME:
                return False
            work[_NAME_AT], work[_NAME_LENGTH] = at + 5, u16(data, at + 3)
    for i, first in ((groups, 2), (formats, MAX_OFFER), (signatures, 2), (alpn, MAX_OFFER), (versions, 1)):
        at = places[i] if i >= 0 else end
        _put_codes(data, at, at + (u16(data, at - 2) if i >= 0 else 0), keys, work, first)
    return True


@part
def _server_hello(data, pos, end, keys, work, kinds):
    """`legacy_version random(32) session_id_echo<0..32> cipher_suite(2) compression(1) extensions<..>` (RFC 8446 §4.1.3) into the key; False: not a usual one."""
    if end - pos < 38 or end - pos > MAX_OFFER or work[_KEY_AT] + (end - pos) + _ROOM > len(keys):
        return False
    version = u16(data, pos)
    if version < 0x0300 or version > 0x0303:
        return False
    if i64(data, pos + 2) == -0x30DE528B1A659EEF:  # the first bytes of a HelloRetryRequest's random (RFC 8446 §4.1.3): cf21ad74e59a6111
        return False
    sentinel = 0
    if u32(data, pos + 26) == 0x444F574E and u16(data, pos + 30) == 0x4752 and data[pos + 32] == 0x44:  # DOWNGRD (RFC 8446 §4.1.3)
        sentinel = 1 + int64(data[pos + 33])
    length = int64(data[pos + 34])
    pos += 35
    if length > 32 or pos + length + 3 > end:
        return False
    echo = length > 0 and length == work[_SESSION_ID_LENGTH]
    if echo:
        for i in range(length):
            if data[pos + i] != data[work[_SESSION_ID] + i]:
                echo = False
                break
    pos += length
    work[_SUITE] = u16(data, pos)
    _put(keys, work, 2, version)
    _put(keys, work, 3, int64(u16(data, pos)) << 8 | int64(data[pos + 2]))
    _put(keys, work, 2, sentinel)
    _put(keys, work, 1, (1 if echo else 0) | work[_TICKET] << 1)
    pos += 3
    n = 0
    counted_at = work[_KEY_AT]
    _put(keys, work, 1, 0)
    if pos != end:
        if pos + 2 > end or pos + 2 + u16(data, pos) != end:
            return False
        pos += 2
        while pos < end:
            if pos + 4 > end or n == MAX_EXTENSIONS:
                return False
            kind, length = u16(data, pos), u16(data, pos + 2)
            pos += 4
            if pos + length > end or kind == OLD_KEY_SHARE:
                return False
            for i in range(n):
                if kinds[i] == kind:
                    return False
            kinds[n] = kind
            n += 1
            _put(keys, work, 2, kind)
            if kind == SUPPORTED_VERSIONS:
                if length != 2 or u16(data, pos) != 0x0304:
                    return False
                version = 0x0304
            elif kind == KEY_SHARE:
                if length < 2:
                    return False
                _put(keys, work, 2, u16(data, pos))
            elif kind == ALPN:
                _put_codes(data, pos, pos + length, keys, work, MAX_OFFER)
            pos += length
    keys[counted_at] = n
    work[_VERSION] = version
    return True


@part
def _has_curve(suite):
    """Whether ServerKeyExchange of a suite is ECDHE's (RFC 8422 §5.4): ECDSA and RSA, with RC4, 3DES, AES, ChaCha20."""
    return (0xC006 <= suite <= 0xC00A or 0xC010 <= suite <= 0xC014 or 0xC023 <= suite <= 0xC024 or 0xC027 <= suite <= 0xC028 or 0xC02B <= suite <= 0xC02C
            or 0xC02F <= suite <= 0xC030 or 0xC0AC <= suite <= 0xC0AF or 0xCCA8 <= suite <= 0xCCA9)


@part
def _server_message(data, kind, pos, end, base, work):
    """A message of the server behind its hello, up to TLS 1.2; False: not a usual one."""
    if kind == CERTIFICATE:
        if work[_CHAIN_AT] or end - pos < 4:
            return False
        work[_CHAIN_AT], work[_CHAIN_END], work[_CERTIFICATE_AT] = pos, end, pos - 4 - base
        work[_FULL] = 1
    elif kind == SERVER_KEY_EXCHANGE:  # `curve_type(1)=3 named_curve(2) point<1..> signature scheme(2) signature<..>`
        if work[_EXCHANGE] or not _has_curve(work[_SUITE]) or end - pos < 8 or data[pos] != 3:
            return False
        at = pos + 4 + int64(data[pos + 3])
        if at + 4 > end:
            return False
        work[_EXCHANGE], work[_CURVE] = pos - 4 - base, u16(data, pos + 1)
        work[_SIGNATURE] = u16(data, at) if work[_VERSION] == 0x0303 else 0
        work[_FULL] = 1
    elif kind == SERVER_HELLO_DONE:
        work[_FULL] = 1
    elif kind == NEW_SESSION_TICKET and end > pos:
        work[_SEEN] |= 1
    elif kind == CERTIFICATE_STATUS and end > pos:
        work[_SEEN] |= 2
    else:
        return False
    return True


@part
def _records(data, base, first, size, side, work):
    """Records of one side behind its hello, from offset `first` on: as protocols/tls.py reads them, or False where anything is unusual."""
    pos, end = base + first, base + size
    tls13 = work[_VERSION] == 0x0304
    changed = encrypted = False
    while pos + 5 <= end:
        kind, length = int64(data[pos]), u16(data, pos + 3)
        if data[pos + 1] != 3 or data[pos + 2] > 4 or length > MAX_CIPHERTEXT:
            return False
        pos += 5
        if kind == HANDSHAKE:
            if changed and not tls13:
                encrypted = True
            else:
                stop = pos + length
                if encrypted or tls13 or length > MAX_RECORD or stop > end:
                    return False
                while pos < stop:
                    if pos + 4 > stop:
                        return False
                    message = int64(data[pos])
                    after = pos + 4 + (int64(data[pos + 1]) << 16 | u16(data, pos + 2))
                    if after > stop:
                        return False
                    if side:
                        if not _server_message(data, message, pos + 4, after, base, work):
                            return False
                    elif message != CLIENT_KEY_EXCHANGE or work[_KEY_BYTES] or after == pos + 4:
                        return False
                    else:
                        work[_KEY_BYTES] = after - pos - 4
                    pos = after
                continue
        elif kind == APPLICATION_DATA:
            if not encrypted:
                if not tls13 or length == 19 or length == 11:  # the length of an encrypted alert
                    return False
                encrypted = length >= LEAST_FINISHED or side == 1  # a server's EncryptedExtensions are shorter, and may stand alone
        elif kind == CHANGE_CIPHER_SPEC:
            if not changed and side and not tls13 and not work[_FULL]:
                work[_RESUMED] = 1
            changed = True
        elif kind < CHANGE_CIPHER_SPEC or kind > 24 or not encrypted:  # an alert or heartbeat that can be read
            return False
        pos += length
    work[_ENCRYPTED0 + side] = 1 if encrypted else 0
    return True


@part
def _hash(data, pos, end, seed):
    """64 bits of some bytes, in four strands; only for finding: who finds compares the bytes themselves."""
    one, two, three, four = seed, seed ^ 0x2545F4914F6CDD1D, ~seed, seed ^ 0x1234567890ABCDEF
    length = end - pos
    while pos + 32 <= end:
        one = (one ^ i64(data, pos)) * -7046029288634856825
        two = (two ^ i64(data, pos + 8)) * -4417276706812531889
        three = (three ^ i64(data, pos + 16)) * 1609587929392839161
        four = (four ^ i64(data, pos + 24)) * -8663945395140668459
        one ^= (one >> 31) & 0x1FFFFFFFF
        two ^= (two >> 31) & 0x1FFFFFFFF
        three ^= (three >> 31) & 0x1FFFFFFFF
        four ^= (four >> 31) & 0x1FFFFFFFF
        pos += 32
    while pos < end:
        one = (one ^ int64(data[pos])) * -7046029288634856825
        one ^= (one >> 31) & 0x1FFFFFFFF
        pos += 1
    return mix(mix(one ^ length) ^ mix(two + 1) ^ mix(three + 2) ^ mix(four + 3))


@part
def _one(t, result, turns, marks, data, keys, kinds, places, work, out):
    """One flow; True when it is regular: then `out` is written."""
    if not result[R_OVER] or result[R_MORE] or result[R_LATER] or result[R_DUPLICATES] or result[R_TRUNCATED] or result[R_CONFLICTS] or result[R_HINTS] or result[R_BAD_A] or result[R_BAD_B]:
        return False
    if result[R_CHECKED_A] + result[R_CHECKED_B] == 0 or result[R_UNSEEN_A] or result[R_UNSEEN_B]:
        return False
    flow = t.flows[result[R_ENTRY]]
    state = flow[STATE]
    kind = state & CLASS_MASK
    if kind != TLS and kind != MAIL_TLS or state & (ISN_A | ISN_B) != ISN_A | ISN_B or state & (EVICTED | TURNED_TLS):
        return False
    if not flow[BYTES_A] >> 24 or not flow[BYTES_B] >> 24:
        return False
    if state & SYN_A:
        flip, source = 0, 0
    elif state & SYN_B:
        flip, source = 1, 0
    elif state & SYNACK_B:
        flip, source = 0, 1
    elif state & SYNACK_A:
        flip, source = 1, 1
    else:
        return False
    first, n_turns = result[R_TURN], result[R_TURNS]
    if n_turns < 2 or n_turns > MAX_TURNS:
        return False
    sizes0 = sizes1 = 0
    for k in range(first, first + n_turns):
        if turns[k, 0] != DATA:
            return False
        if turns[k, 1] ^ flip:
            sizes1 += turns[k, 3]
        else:
            sizes0 += turns[k, 3]
    if turns[first, 1] != flip or turns[first + 1, 1] == flip or sizes0 > MAX_SIDE or sizes1 > MAX_SIDE:
        return False
    base0, said0 = turns[first, 2], turns[first, 3]
    base1, said1 = turns[first + 1, 2], turns[first + 1, 3]
    if base0 < 0 or base1 < 0 or base0 + sizes0 > len(data) or base1 + sizes1 > len(data):
        return False

    for i in range(N_WORK):
        if i != _KEY_AT:
            work[i] = 0
    begun = work[_KEY_AT]
    if begun + ID_BYTES + 16 > len(keys):
        return False
    ports = flow[KEY_PORTS]
    port0, port1 = (ports >> 48) & 0xFFFF, (ports >> 32) & 0xFFFF
    out[G_ID] = begun
    _put(keys, work, 1, 6)
    for i in range(5):
        _put(keys, work, 8, flow[i])
    _put(keys, work, 4, result[R_FIRST_A])
    _put(keys, work, 4, result[R_FIRST_B])
    _put(keys, work, 8, flow[FIRST_NS] // DAY_NS)
    out[G_KEY] = work[_KEY_AT]
    _put(keys, work, 2, port0 if flip else port1)
    farewell = 0  # what a session's `goodbye` and `closed_by` hang on
    if kind == MAIL_TLS and state & (COUNT_A | COUNT_B):
        closer = 1 if state & ENDED_B else 0
        farewell = 4 | (8 if closer != flip else 0) | (16 if state & (ALERT_B if closer else ALERT_A) else 0)
    _put(keys, work, 1, source | (2 if state & (FIN_A | FIN_B | RST_A | RST_B) else 0) | farewell)
    _put(keys, work, 3, ((state >> WRAP_SHIFT) & 0xFFF) << 12 | ((state >> VLAN_SHIFT) & 0xFFF))

    # the client's hello: one message, one record, one turn
    at = base0
    if said0 < 10 or data[at] != HANDSHAKE or data[at + 1] != 3 or data[at + 2] > 4 or u16(data, at + 3) != said0 - 5 or said0 - 5 > MAX_RECORD or data[at + 5] != CLIENT_HELLO:
        return False
    if (int64(data[at + 6]) << 16 | u16(data, at + 7)) != said0 - 9:
        return False
    out[G_CLIENT] = work[_KEY_AT]
    out[G_HELLO], out[G_HELLO_END] = at + 9, at + said0
    if not _client_hello(data, at + 9, at + said0, keys, work, kinds, places):
        return False

    # the server's hello: the first message of its first record, whole in its first turn
    at = base1
    if said1 < 10 or data[at] != HANDSHAKE or data[at + 1] != 3 or data[at + 2] > 4 or u16(data, at + 3) > MAX_RECORD or data[at + 5] != SERVER_HELLO:
        return False
    stop = at + 5 + u16(data, at + 3)
    end = at + 9 + (int64(data[at + 6]) << 16 | u16(data, at + 7))
    if end > stop or stop > base1 + sizes1 or end > base1 + said1:
        return False
    out[G_SERVER] = work[_KEY_AT]
    if not _server_hello(data, at + 9, end, keys, work, kinds):
        return False
    while end < stop:  # further messages of the same record
        if end + 4 > stop or work[_VERSION] == 0x0304:
            return False
        after = end + 4 + (int64(data[end + 1]) << 16 | u16(data, end + 2))
        if after > stop or not _server_message(data, int64(data[end]), end + 4, after, base1, work):
            return False
        end = after
    if not _records(data, base1, stop - base1, sizes1, 1, work) or not _records(data, base0, said0, sizes0, 0, work):
        return False
    if work[_KEY_AT] + MAX_NAME + 64 > len(keys):
        return False
    _put(keys, work, 1, work[_FULL] | work[_RESUMED] << 1 | work[_SEEN] << 2 | (16 if work[_ENCRYPTED0] and work[_ENCRYPTED1] else 0) | (32 if work[_EXCHANGE] else 0)
         | (64 if work[_CHAIN_AT] else 0))
    _put(keys, work, 3, work[_KEY_BYTES])
    _put(keys, work, 4, work[_CURVE] << 16 | work[_SIGNATURE])
    _put(keys, work, 3, work[_CERTIFICATE_AT])
    out[G_TAIL] = work[_KEY_AT]
    _put(keys, work, 3, work[_EXCHANGE])
    if work[_CHAIN_AT]:
        _put(keys, work, 3, work[_CHAIN_END] - work[_CHAIN_AT])
        _put(keys, work, 8, _hash(data, work[_CHAIN_AT], work[_CHAIN_END], t.parameters[P_SEED]))
    copy(keys, work[_KEY_AT], data, work[_NAME_AT], work[_NAME_LENGTH])
    work[_KEY_AT] += work[_NAME_LENGTH]
    out[G_KEY_END] = work[_KEY_AT]
    out[G_SNI], out[G_SNI_END] = work[_NAME_AT], work[_NAME_AT] + work[_NAME_LENGTH]
    out[G_CHAIN], out[G_CHAIN_END] = work[_CHAIN_AT], work[_CHAIN_END]
    out[G_EXCHANGE_AT] = work[_EXCHANGE]

    row = -1
    for k in range(result[R_MARK], result[R_MARK] + result[R_MARKS]):  # as assembly.locate() finds the hello, whose offset is 5
        if marks[k, 0] == flip:
            if marks[k, 1] > 5:
                break
            row = k
    if row < 0:
        return False
    out[G_MARK], out[G_MARK_END] = result[R_MARK], result[R_MARK] + result[R_MARKS]
    out[G_HELLO_FRAME], out[G_HELLO_NS] = marks[row, 2], marks[row, 3]
    out[G_ENTRY], out[G_FLIP] = result[R_ENTRY], flip
    out[G_START_NS], out[G_END_NS] = flow[FIRST_NS], flow[LAST_NS]
    out[G_FRAME] = flow[FRAMES] >> 28
    out[G_LAST_FRAME] = out[G_FRAME] + (flow[FRAMES] & 0xFFFFFFF)
    one, two = 2 * flip, 2 - 2 * flip
    out[G_CLIENT_HIGH], out[G_CLIENT_LOW] = flow[KEY_A0 + one], flow[KEY_A1 + one]
    out[G_SERVER_HIGH], out[G_SERVER_LOW] = flow[KEY_A0 + two], flow[KEY_A1 + two]
    out[G_CLIENT_PORT], out[G_SERVER_PORT] = (port1, port0) if flip else (port0, port1)
    out[G_CLIENT_BYTES], out[G_SERVER_BYTES] = flow[BYTES_A + flip], flow[BYTES_B - flip]
    out[G_CLIENT_CHECKED], out[G_SERVER_CHECKED] = result[R_CHECKED_A + flip], result[R_CHECKED_B - flip]
    out[G_MAX_IP] = result[R_MAX_IP]
    out[G_CLIENT_TTL], out[G_SERVER_TTL] = result[R_SENT_A + flip] & 0xFF, result[R_SENT_B - flip] & 0xFF
    out[G_ENDED] = state
    return True


@kernel
def digest(t, results, n, turns, marks, data, kinds, places, work, out_keys, out_rows, out_regular):
    """Tell the regular flows among those that assembly.assemble() just wrote.

    Args:
        t Tables                       read: flows, seed
        results int64[:, N_RESULT], turns int64[:, N_TURN], marks int64[:, N_MARK], data uint8[:]   as assemble() left them; n flows
        kinds, places int64[MAX_EXTENSIONS], work int64[N_WORK]   scratch
        out_keys uint8[:]              written: keys, and what session ids are made of
        out_rows int64[:, N_REGULAR]   written: one row for each regular flow, see above
        out_regular uint8[:]           written for each flow: 1 regular, 0 not
    Returns: (regular flows, bytes of out_keys).
    """
    work[_KEY_AT] = 0
    n_regular = 0
    for i in range(n):
        begun = work[_KEY_AT]
        if n_regular < len(out_rows) and _one(t, results[i], turns, marks, data, out_keys, kinds, places, work, out_rows[n_regular]):
            out_rows[n_regular, G_ROW] = i
            out_regular[i] = 1
            n_regular += 1
        else:
            out_regular[i] = 0
            work[_KEY_AT] = begun
    return n_regular, work[_KEY_AT]
