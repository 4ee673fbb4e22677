"""ESP and AH: which security associations pass, which of them do not encrypt at all, and what those carry (RFC 4302, 4303, 5840, 5879).

ESP does not say how it protects. Without encryption its trailer can be read, and a checksum holds inside, once one knows how long the integrity check value (ICV) is; so each packet is tried
with the lengths in use, after the heuristics of RFC 5879 §7. A packet counts as readable only where the trailer is well formed (§2.4: padding 1, 2, 3 …, a known next header) *and* a checksum
inside holds over all its bytes. Of random bytes a fraction of 2**-34 passes for TCP in transport mode (next header 8 bits, pad length 8, header 6, checksum 16; six forms), and less for a whole IP
packet in tunnel mode; three such packets are asked for before an association is called unencrypted, about 2**-100.
"""
from __future__ import annotations

from numba import int64

from .flow_table import mix, pair_hash
from .jit import part
from .layers import (DPORT, DST_HIGH, DST_LOW, IP_VERSION, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, PROTOCOL, SPI, SPORT, SRC_HIGH, SRC_LOW, TCP_AT, TCP_CHECKSUM, TCP_LENGTH, VLAN, W_ESP_NULL,
                     WRAPPED, checksum_state)
from .memory import i64, u16, u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

ICMP, IPV4, TCP, UDP, IPV6, ICMPV6 = 1, 4, 6, 17, 41, 58  # next headers that are believed
READABLE = 3  # packets that must be readable before an association is called unencrypted
SEALED = 16  # packets that are not, and none that is, before it is no longer tried
IDLE_NS = 60_000_000_000  # an association that was silent so long gives its row to another one
_BAD, _UNSURE, _GOOD = 0, 1, 2
_NAT_WESP = 2  # in UDP, this stands in the place of the SPI before a WESP header (RFC 5840 §2.1)


@part
def find_carrier(t, a0, a1, b0, b1, key, ts_ns):
    """(row that holds an association or tunnel or -1, row to write it to). In a full set a silent one goes, else the one with fewest packets, so that a flood of made-up ones displaces itself."""
    rows = t.carriers
    first = (mix(pair_hash(a0, a1, b0, b1, t.parameters[P_SEED]) ^ key) & (CARRIER_SETS - 1)) * WAYS
    victim, least = first, -1
    for i in range(first, first + WAYS):
        if rows[i, V_PACKETS] and rows[i, V_KEY] == key and rows[i, V_A0] == a0 and rows[i, V_A1] == a1 and rows[i, V_B0] == b0 and rows[i, V_B1] == b1:
            return i, i
        use = 0 if rows[i, V_LAST_NS] < ts_ns - IDLE_NS else rows[i, V_PACKETS]
        if least < 0 or use < least:
            victim, least = i, use
    return -1, victim


@part
def carrier(t, a0, a1, b0, b1, key, ts_ns, frame, length):
    """The row of an association or tunnel, with this packet counted."""
    rows = t.carriers
    row, victim = find_carrier(t, a0, a1, b0, b1, key, ts_ns)
    if row < 0:
        row = victim
        for i in range(N_CARRIER):
            rows[row, i] = 0
        rows[row, V_A0], rows[row, V_A1], rows[row, V_B0], rows[row, V_B1], rows[row, V_KEY] = a0, a1, b0, b1, key
        rows[row, V_FIRST_NS] = ts_ns
        rows[row, V_LAST_NS] = ts_ns
        rows[row, V_FRAME] = frame
        rows[row, V_WRAPPED] = (t.packet[WRAPPED] << WRAP_SHIFT) | (t.packet[VLAN] << VLAN_SHIFT)
    if rows[row, V_LAST_FRAME] != frame:  # a frame is offered again where a table was full
        rows[row, V_LAST_FRAME] = frame
        rows[row, V_PACKETS] += 1
        rows[row, V_BYTES] += length
        rows[row, V_LAST_NS] = max(ts_ns, rows[row, V_LAST_NS])
    return row


@part
def note_ah(t, ts_ns, frame, length):
    """Count a packet that has AH over what decode() found, under the innermost addresses."""
    packet = t.packet
    carrier(t, packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], (KIND_AH << 32) | packet[SPI], ts_ns, frame, length)


@part
def _words(data, at, length):
    """The sum of 16-bit words with end-around carry (RFC 1071); 0xFFFF where the checksum among them holds."""
    total = 0
    for i in range(at, at + length - 1, 2):
        total += u16(data, i)
    if length & 1:
        total += int64(data[at + length - 1]) << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@part
def _transport(data, at, end, protocol, packet):
    """Whether data[at:end] is a whole TCP segment, UDP datagram or ICMPv6 message between the packet's addresses: its own fields, then its checksum."""
    length = end - at
    if protocol == TCP:
        if length < 20 or (int64(data[at + 12]) >> 4) * 4 < 20 or (int64(data[at + 12]) >> 4) * 4 > length or data[at + 12] & 0x0E:
            return _BAD
        flags = int64(data[at + 13])
        if not flags & 0x16 or flags & 3 == 3 or flags & 6 == 6:  # one of SYN, RST, ACK; no SYN together with FIN or RST
            return _BAD
        packet[TCP_CHECKSUM] = u16(data, at + 16)
    elif protocol == UDP:
        if length < 8 or u16(data, at + 4) != length:
            return _BAD
        packet[TCP_CHECKSUM] = u16(data, at + 6)
        if packet[TCP_CHECKSUM] == 0:
            return _UNSURE if packet[IP_VERSION] == 4 else _BAD
    else:
        if length < 8 or packet[IP_VERSION] != 6:
            return _BAD
        packet[TCP_CHECKSUM] = u16(data, at + 2)
    packet[TCP_AT] = at
    packet[TCP_LENGTH] = length
    return _GOOD if checksum_state(data, packet, protocol) == 1 else _BAD


@part
def _inside(data, at, end, protocol, packet):
    """Whether data[at:end] is a whole packet of this protocol: _GOOD where a checksum proves it, _UNSURE where it could be."""
    length = end - at
    if protocol == IPV4:  # RFC 791 §3.1
        if length < 20 or data[at] >> 4 != 4 or (int64(data[at]) & 15) < 5 or (int64(data[at]) & 15) * 4 > length or u16(data, at + 2) != length:
            return _BAD
        return _GOOD if _words(data, at, (int64(data[at]) & 15) * 4) == 0xFFFF else _BAD
    if protocol == IPV6:  # RFC 8200 §3: no checksum of its own
        if length < 40 or data[at] >> 4 != 6 or u16(data, at + 4) + 40 != length:
            return _BAD
        following = int64(data[at + 6])
        if following != TCP and following != UDP and following != ICMPV6:
            return _UNSURE
        s0, s1, d0, d1, version = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], packet[IP_VERSION]
        packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], packet[IP_VERSION] = i64(data, at + 8), i64(data, at + 16), i64(data, at + 24), i64(data, at + 32), 6
        verdict = _transport(data, at + 40, end, following, packet)
        packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], packet[IP_VERSION] = s0, s1, d0, d1, version
        return verdict
    if protocol == ICMP:
        return _UNSURE if length >= 8 and packet[IP_VERSION] == 4 and _words(data, at, length) == 0xFFFF else _BAD
    return _transport(data, at, end, protocol, packet)


@part
def _trailer(data, at, end):
    """Where the payload ends before a trailer (RFC 4303 §2.4-2.6) that ends at `end`; -1 where it is none."""
    if end - at < 2 or (end - at) & 3:
        return -1
    following = int64(data[end - 1])
    if following != TCP and following != UDP and following != IPV4 and following != IPV6 and following != ICMP and following != ICMPV6:
        return -1
    pad = int64(data[end - 2])
    stop = end - 2 - pad
    if stop < at:
        return -1
    for i in range(pad):
        if data[stop + i] != i + 1:
            return -1
    return stop


@part
def form_of(number):
    """How ESP without encryption may look: (bytes between sequence number and payload, bytes of ICV). HMAC-MD5-96 and -SHA1-96, HMAC-SHA-256, -384, -512, GMAC (RFC 4543), 64 bits."""
    if number == 0:
        return 0, 12
    if number == 1:
        return 0, 16
    if number == 2:
        return 8, 16
    if number == 3:
        return 0, 24
    if number == 4:
        return 0, 32
    return 0, 8


@part
def _try(data, at, end, rows, row, packet):
    """Try a packet whose payload and trailer stand in data[at:end] in each form, and write down what came out; returns whether it is readable in the row's form."""
    best, found = _BAD, -1
    for number in range(6):
        before, icv = form_of(number)
        stop = _trailer(data, at + before, end - icv)
        if stop < 0:
            continue
        verdict = _inside(data, at + before, stop, int64(data[end - icv - 1]), packet)
        if verdict > best:
            best, found = verdict, before << 8 | icv
        if best == _GOOD:
            break
    if best == _GOOD:
        if rows[row, V_PASSES] == 0 or rows[row, V_PASSES] == 1 and rows[row, V_FORM] != found:
            rows[row, V_FORM] = found
            rows[row, V_PASSES] = 0
        if rows[row, V_FORM] == found:
            rows[row, V_PASSES] += 1
            if rows[row, V_PASSES] >= READABLE and rows[row, V_FAILS] <= rows[row, V_PASSES]:
                rows[row, V_STATE] = CARRIER_CLEAR
            return True
    if best != _UNSURE:
        rows[row, V_FAILS] += 1
        if rows[row, V_FAILS] >= SEALED and rows[row, V_FAILS] > 4 * rows[row, V_PASSES]:
            rows[row, V_STATE] = CARRIER_SEALED
    return False


@part
def _unwrap(data, at, end, packet):
    """What a WESP header says (RFC 5840 §2): (offset of the ESP header, form, whether it says that the payload is not encrypted); offset -1 where it is damaged."""
    if end - at < 12 or data[at + 3] >> 6:
        return -1, 0, False
    flags = int64(data[at + 3])
    inner = at + (8 if flags & 0x10 else 4)
    before = int64(data[at + 1]) - (inner - at) - 8
    plain = not flags & 0x20 and before >= 0
    return inner, (before << 8 | int64(data[at + 2])) if plain else 0, plain


@part
def esp(data, t, ts_ns, frame):
    """An ESP packet, in UDP or not, in WESP or not: counted, tried, and opened where it is not encrypted.

    Returns: the next header of what it carries, whose place decode() finds in PAYLOAD_AT, PAYLOAD_LENGTH and PAYLOAD_WIRE then; -1 where that cannot be seen.
    """
    packet, rows = t.packet, t.carriers
    at, length, wire = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE]
    end = at + length
    if length < 12:
        return -1
    kind, form, plain = KIND_ESP, 0, False
    if packet[PROTOCOL] == 141 or packet[PROTOCOL] == 17 and u32(data, at) == _NAT_WESP:
        kind = KIND_WESP
        at, form, plain = _unwrap(data, at + (4 if packet[PROTOCOL] == 17 else 0), end, packet)
        if at < 0 or at + 12 > end:
            return -1
    sequence = u32(data, at + 4)
    row = carrier(t, packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], (kind << 32) | u32(data, at), ts_ns, frame, wire)
    rows[row, V_PORTS] = packet[SPORT] << 16 | packet[DPORT]
    if 0 < sequence - rows[row, V_SEQUENCE] <= 64:
        rows[row, V_ORDERLY] += 1
    rows[row, V_SEQUENCE] = sequence
    state = rows[row, V_STATE]
    if state == CARRIER_SEALED or kind == KIND_WESP and not plain:
        rows[row, V_STATE] = CARRIER_SEALED
        return -1
    if kind == KIND_WESP:
        rows[row, V_FORM] = form
    at += 8
    if length < wire:  # cut off: the trailer is not there, but an IP packet inside says itself how long it is
        if state != CARRIER_CLEAR or rows[row, V_NEXT] != IPV4 and rows[row, V_NEXT] != IPV6:
            return -1
        return _open(packet, at + (rows[row, V_FORM] >> 8), end, end - length + wire, rows[row, V_NEXT])
    if state == CARRIER_OPEN and kind == KIND_ESP and not _try(data, at, end, rows, row, packet):
        return -1
    if rows[row, V_FORM] == 0:
        return -1
    before, icv = rows[row, V_FORM] >> 8, rows[row, V_FORM] & 255
    stop = _trailer(data, at + before, end - icv)
    if stop < 0:
        return -1
    following = int64(data[end - icv - 1])
    if kind == KIND_WESP and state == CARRIER_OPEN:
        if _inside(data, at + before, stop, following, packet) != _GOOD:
            return -1
        rows[row, V_PASSES] += 1
        rows[row, V_STATE] = CARRIER_CLEAR
    rows[row, V_NEXT] = following
    return _open(packet, at + before, stop, stop, following)


@part
def _open(packet, at, end, wire_end, following):
    packet[WRAPPED] |= W_ESP_NULL
    packet[PAYLOAD_AT] = at
    packet[PAYLOAD_LENGTH] = max(0, end - at)
    packet[PAYLOAD_WIRE] = max(0, wire_end - at)
    return following
