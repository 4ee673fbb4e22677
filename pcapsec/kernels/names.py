"""DNS answers over UDP (RFC 1035 §4): which name was asked for when an address was answered, so that a server that says no name has one."""
from __future__ import annotations

from numba import int64

from .flow_table import pair_hash
from .jit import kernel, part
from .layers import PAYLOAD_AT, PAYLOAD_LENGTH, SPORT
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_DNS_PORT = 53
_HEADER = 12
_A, _AAAA = 1, 28
_MAX_ANSWERS = 32  # of one message that are looked at
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
def note_names(data, t, ts_ns):
    """Take the addresses of a DNS answer into the table of names; anything that is no whole answer to a question is passed over."""
    packet = t.packet
    at, end = packet[PAYLOAD_AT], packet[PAYLOAD_AT] + packet[PAYLOAD_LENGTH]
    if packet[SPORT] != _DNS_PORT or end - at < _HEADER + 16:
        return
    if data[at + 2] & 0xF8 != 0x80 or data[at + 3] & 0x0F or data[at + 4] or data[at + 5] != 1:  # an answer to a query, no error, one question
        return
    n_answers = min(int64(data[at + 6]) << 8 | int64(data[at + 7]), _MAX_ANSWERS)
    name_at = at + _HEADER
    pos = _past_name(data, name_at, end)
    if pos < 0 or pos - name_at > NAME_BYTES or data[name_at] & 0xC0:
        return
    name_length = pos - name_at
    pos += 4
    for _answer in range(n_answers):
        pos = _past_name(data, pos, end)
        if pos < 0 or pos + 10 > end:
            return
        kind = int64(data[pos]) << 8 | int64(data[pos + 1])
        length = int64(data[pos + 8]) << 8 | int64(data[pos + 9])
        pos += 10
        if pos + length > end:
            return
        if kind == _A and length == 4:
            low = _IPV4_IN_IPV6 | int64(data[pos]) << 24 | int64(data[pos + 1]) << 16 | int64(data[pos + 2]) << 8 | int64(data[pos + 3])
            _remember(t, int64(0), int64(low), ts_ns, data, name_at, name_length)
        elif kind == _AAAA and length == 16:
            _remember(t, _word(data, pos), _word(data, pos + 8), ts_ns, data, name_at, name_length)
        pos += length


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
