"""DNS answers (RFC 1035 §4): which name was asked for when an address was answered, so that a server that says no name has one; and the answers that tell how mail is to be sent."""
from __future__ import annotations

from numba import int64

from .datagrams import keep
from .flow_table import mix, pair_hash
from .jit import kernel, part
from .layers import PAYLOAD_AT, PAYLOAD_LENGTH
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

DNS_PORT = 53
_HEADER = 12
_A, _CNAME, _MX, _TXT, _AAAA, _SRV, _TLSA = 1, 5, 15, 16, 28, 33, 52
_MAX_ANSWERS = 32  # of one message that are looked at
_MAX_OTHERS = 64  # records in the other sections of an answer that is kept: whoever parses it must not be kept busy
_MAX_HOPS = 16  # pointers in one name
_MAX_NAME = 255  # bytes (§2.3.4)
_PRIME = 0x100000001B3
_IPV4_IN_IPV6 = 0xFFFF << 32


@part
def _past_name(data, at, end):
    """Offset behind a name; -1 when it does not end within the message. A pointer ends a name (§4.1.4), so nothing can loop."""
    while at < end:
        length = int64(data[at])
        if length == 0:
            return at + 1
        if length & 0xC0 == 0xC0:
            return at + 2
        if length & 0xC0:
            return -1
        at += 1 + length
    return -1


@part
def _word(data, at):
    """Eight bytes as int64, network order."""
    value = 0
    for i in range(8):
        value = (value << 8) | int64(data[at + i])
    return value


@part
def _place(t, high, low):
    """Row of the table of names in which an address stands, if it does."""
    return pair_hash(high, low, 0, 0, t.parameters[P_SEED]) & (NAME_ENTRIES - 1)


@part
def _remember(t, high, low, ts_ns, data, name_at, name_length):
    """Write a name under an address; the newest answer wins, also over another address that has the same place."""
    row = _place(t, high, low)
    t.names[row, N_HIGH] = high
    t.names[row, N_LOW] = low
    t.names[row, N_NS] = ts_ns
    t.names[row, N_LENGTH] = name_length
    copy(t.name_data, row * NAME_BYTES, data, name_at, name_length)


@part
def _name_hash(data, begin, at, end, seed):
    """Hash of a name without regard to case, pointers followed; 0 when it does not end within the message that begins at `begin`, hops too often or is too long."""
    value = seed | 1
    hops = size = 0
    while at < end:
        length = int64(data[at])
        if length & 0xC0 == 0xC0:
            hops += 1
            if at + 1 >= end or hops > _MAX_HOPS:
                return 0
            at = begin + ((length & 0x3F) << 8 | int64(data[at + 1]))
            continue
        size += 1 + length
        if length & 0xC0 or at + 1 + length > end or size > _MAX_NAME:
            return 0
        if length == 0:
            return mix(value) | 1
        for i in range(length + 1):
            byte = int64(data[at + i])
            value = (value ^ (byte + 32 if 65 <= byte <= 90 else byte)) * _PRIME
        at += 1 + length
    return 0


@part
def _concerns_mail(data, at, length, kind):
    """Whether a question is one that tells how a domain's mail is to be sent or read, by its type and the look of its first label; a few others slip through, and whoever parses them notices.

    MX, TLSA; TXT of _mta-sts and _smtp._tls; SRV of _submission(s), _imap(s), _pop3(s), _sieve, _autodiscover; the address of autodiscover.
    """
    size, first, second = int64(data[at]), int64(data[at + 1]), int64(data[at + 2]) | 0x20
    if kind == _MX or kind == _TLSA:
        return True
    if length < 12 or size < 5:
        return False
    if kind == _TXT:
        return first == 0x5F and (size == 8 and second == 0x6D or size == 5 and second == 0x73 and data[at + 6] == 4)
    if kind == _SRV:
        return first == 0x5F and (size <= 6 or 11 <= size <= 13) and (second == 0x73 or second == 0x69 or second == 0x70 or second == 0x61)
    return size == 12 and first | 0x20 == 0x61 and second == 0x75 and (kind == _A or kind == _AAAA or kind == _CNAME)


@part
def note_answer(data, t, ts_ns, frame, is_tcp):
    """Take the addresses of a DNS answer into the table of names, and keep the answer when it concerns mail; anything that is no whole answer to a question is passed over.

    An answer that says the same as one before it is not kept again, whatever its lifetimes and the order of its records.
    Returns: DONE, or DATAGRAMS_FULL when the kept ones must be fetched before it is offered again.
    """
    at, end = t.packet[PAYLOAD_AT], t.packet[PAYLOAD_AT] + t.packet[PAYLOAD_LENGTH]
    if is_tcp:  # two bytes of length stand before it (§4.2.2); only what one segment holds is looked at
        at += 2
        if end < at or (int64(data[at - 2]) << 8 | int64(data[at - 1])) != end - at:
            return DONE
    if end - at < _HEADER + 16:
        return DONE
    begin = at
    if data[at + 2] & 0xF8 != 0x80 or data[at + 3] & 0x0F or data[at + 4] or data[at + 5] != 1:  # an answer to a query, no error, one question
        return DONE
    n_answers = min(int64(data[at + 6]) << 8 | int64(data[at + 7]), _MAX_ANSWERS)
    name_at = at + _HEADER
    pos = _past_name(data, name_at, end)
    if pos < 0 or pos + 4 > end or data[name_at] & 0xC0:
        return DONE
    name_length = pos - name_at
    seed = t.parameters[P_SEED]
    asked = int64(data[pos]) << 8 | int64(data[pos + 1])
    kept, digest = False, asked ^ (int64(data[at + 3]) << 32)
    if data[at + 6] == 0 and 0 < data[at + 7] <= _MAX_ANSWERS and data[at + 8] == 0 and data[at + 10] == 0 and int64(data[at + 9]) + int64(data[at + 11]) <= _MAX_OTHERS:
        kept = _concerns_mail(data, name_at, name_length, asked)
        if kept or (asked == _A or asked == _AAAA) and t.scalars[HAS_EXCHANGERS] > 0:
            host = _name_hash(data, begin, name_at, end, seed)
            kept = host != 0 and (kept or t.names[NAME_ENTRIES + (host & (HASH_ROWS - 1)), N_EXCHANGER] == host)
            digest ^= host
    pos += 4
    for _answer in range(n_answers):
        pos = _past_name(data, pos, end)
        if pos < 0 or pos + 10 > end:
            return DONE
        kind = int64(data[pos]) << 8 | int64(data[pos + 1])
        length = int64(data[pos + 8]) << 8 | int64(data[pos + 9])
        pos += 10
        if pos + length > end:
            return DONE
        if kind == _A and length == 4 and name_length <= NAME_BYTES:
            low = _IPV4_IN_IPV6 | int64(data[pos]) << 24 | int64(data[pos + 1]) << 16 | int64(data[pos + 2]) << 8 | int64(data[pos + 3])
            _remember(t, int64(0), int64(low), ts_ns, data, name_at, name_length)
        elif kind == _AAAA and length == 16 and name_length <= NAME_BYTES:
            _remember(t, _word(data, pos), _word(data, pos + 8), ts_ns, data, name_at, name_length)
        if kept:
            value = kind
            for i in range(length):
                value = (value ^ int64(data[pos + i])) * _PRIME
            digest += mix(value)
            if kind == _MX and length > 2:
                host = _name_hash(data, begin, pos + 2, end, seed)
                t.names[NAME_ENTRIES + (host & (HASH_ROWS - 1)), N_EXCHANGER] = host
                t.scalars[HAS_EXCHANGERS] = 1
        pos += length
    if not kept:
        return DONE
    digest = mix(digest) | 1
    if t.names[NAME_ENTRIES + (digest & (HASH_ROWS - 1)), N_ANSWER] == digest:
        return DONE
    if end - at > MAX_ANSWER_BYTES:
        return DONE
    code = keep(data, at, end - at, D_ANSWER, t, ts_ns, frame)
    if code == DONE:
        t.names[NAME_ENTRIES + (digest & (HASH_ROWS - 1)), N_ANSWER] = digest
    return code


@kernel
def find_name(t, high, low):
    """Row of the table of names that holds an address, or -1.

    Args:
        t Tables; high, low int64   address as in a flow's key
    """
    row = _place(t, high, low)
    if t.names[row, N_LENGTH] > 0 and t.names[row, N_HIGH] == high and t.names[row, N_LOW] == low:
        return row
    return -1
