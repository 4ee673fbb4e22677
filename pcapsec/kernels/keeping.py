"""What of a flow is kept: segments with their bytes, the beginnings of turns, TLS until it hides everything, and notes of what was dropped on purpose."""
from __future__ import annotations

import numpy
from numba import int64

from .flow_table import MASK32, allocate, append_segment, distance
from .jit import inlined, part
from .layers import ACK, ACK_FLAG, FIN, FLAGS, IP_ID, IP_LENGTH, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, RST, SEQ, TTL, timestamp
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_TLS_KEPT = 16384  # bytes per side of TLS: both hellos and the certificates, unless application data come earlier
_ALERTS = numpy.array([18, 22, 24, 26, 32, 40, 48, 64, 80], dtype=numpy.int64)  # lengths of an encrypted alert: stream ciphers, AEADs, CBC with SHA-1 to SHA-384
_TURN_KEPT = 12  # segments, or units of 4 KiB if larger, kept of what one side of HTTP or SMB says at a time: heads, forms, pipes; bodies and files are longer


@part
def how_sent(data, packet, marks):
    """(S_INFO, lower 31 bits of TSval << 32) of the packet."""
    info = packet[FLAGS] | (packet[TTL] << 8) | (min(packet[IP_LENGTH], 0xFFFF) << 16) | (marks << 40) | (packet[IP_ID] << 47)
    stamp = timestamp(data, packet)
    if stamp < 0:
        return info, 0
    return info | STAMPED, (stamp & 0x7FFFFFFF) << 32


@part
def note_ending(data, t, entry, side, sequence, ts_ns, frame):
    """Keep what a FIN or RST says of its sender. The caller knows that there is room."""
    packet, flows = t.packet, t.flows
    state, ends = flows[entry, STATE], flows[entry, NEXT]
    mine, theirs = (ends & MASK32, (ends >> 32) & MASK32) if side else ((ends >> 32) & MASK32, ends & MASK32)
    sent = heard = UNEXPECTED
    if state & (SEEN_B if side else SEEN_A):
        sent = max(UNEXPECTED, min(distance(sequence, mine), -UNEXPECTED - 1))
    if state & (SEEN_A if side else SEEN_B) and packet[FLAGS] & ACK_FLAG:
        heard = max(UNEXPECTED, min(distance(packet[ACK], theirs), -UNEXPECTED - 1))
    info, stamp = how_sent(data, packet, 0)
    append_segment(t, entry, ENDING | side | stamp, sequence, 0, 0, (sent & 0x7FFFFFFF) << 32 | (heard & 0x7FFFFFFF), ts_ns, frame, info)


@part
def ended(state, side, flags):
    """State of a flow after a FIN or RST."""
    if not state & (FIN_A | FIN_B | RST_A | RST_B):
        state |= (ENDED_B if side else 0) | (ENDED_RST if flags & RST else 0)
    if flags & FIN:
        state |= FIN_B if side else FIN_A
    if flags & RST:
        state |= RST_B if side else RST_A
    return state


@part
def has_alert(data, at, length):
    """Whether a segment of encrypted TLS is an alert record or ends with one: `type(1)=21 version(2)=3.x length(2)` (RFC 5246 §6.2.1). Whoever says goodbye in the same
    breath as its last data sends both in one segment."""
    if length < 7:
        return False
    if data[at] == 21 and data[at + 1] == 3 and (int64(data[at + 3]) << 8 | int64(data[at + 4])) + 5 == length:
        return True
    for i in range(len(_ALERTS)):
        record = length - _ALERTS[i] - 5
        if record < 0:
            break
        place = at + record
        if data[place] == 21 and data[place + 1] == 3 and (int64(data[place + 3]) << 8 | int64(data[place + 4])) == _ALERTS[i]:
            return True
    return False


@inlined
def store(data, t, entry, side, sequence, ts_ns, frame, marks):
    """Store the packet's payload as segments of a flow; DONE or the table that is full."""
    packet, segments, scalars = t.packet, t.segments, t.scalars
    length, wire, at = packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE], packet[PAYLOAD_AT]
    info, stamp = how_sent(data, packet, marks)
    while True:
        if scalars[N_LIVE] >= len(segments):
            return SEGMENTS_FULL
        part_length = min(length, MAX_BLOCKS * BLOCK)
        place = 0
        if part_length > 0:
            place, n_blocks = allocate(t.blocks, scalars, (part_length + BLOCK - 1) // BLOCK, len(t.arena))
            if place < 0:
                return ARENA_FULL
            part_length = min(part_length, n_blocks * BLOCK)
            copy(t.arena, place, data, at, part_length)
        last_part = part_length == length
        append_segment(t, entry, side | stamp, sequence, part_length, part_length + (wire - length) if last_part else part_length, place, ts_ns, frame, info)
        if last_part:
            return DONE
        sequence = (sequence + part_length) & MASK32
        at += part_length
        length -= part_length
        wire -= part_length


@part
def in_turn(flows, entry, side, length):
    """Whether a segment belongs to the first part of what its side says until the other speaks; notes how much was said."""
    state = flows[entry, STATE]
    said = (state >> TRIES_SHIFT) & 15
    if ((state & SPOKE_B) != 0) != (side == 1):
        said = 0
        state ^= SPOKE_B
    state &= ~(15 << TRIES_SHIFT)
    flows[entry, STATE] = state | (min(said + 1 + (length >> 12), 15) << TRIES_SHIFT)
    return said < _TURN_KEPT


@part
def drop(t, entry, side, sequence, ts_ns, frame):
    """Note bytes of a side that are of no use, so that nobody takes them for lost; what follows directly adds to the same note. DONE or SEGMENTS_FULL."""
    packet, segments, scalars, flows = t.packet, t.segments, t.scalars, t.flows
    wire = packet[PAYLOAD_WIRE]
    ends = flows[entry, SEGMENTS]
    tail = (ends & MASK32) - 1
    if tail >= 0 and segments[tail, S_FLOW] & SIDE == side and segments[tail, S_INFO] >> 40 & MARK_DROPPED:
        noted = segments[tail, S_LENGTH]
        if noted < 1 << 28 and ((segments[tail, S_SEQ] >> 32) + noted) & MASK32 == sequence:
            segments[tail, S_LENGTH] = noted + wire
            return DONE
    if scalars[N_LIVE] >= len(segments):
        return SEGMENTS_FULL
    info = packet[FLAGS] | ((MARK_DROPPED | (0 if packet[FLAGS] & ACK_FLAG else MARK_NO_ACK)) << 40)
    append_segment(t, entry, side, sequence, 0, wire, 0, ts_ns, frame, info)
    return DONE


@part
def tls_bytes_of_use(data, t, entry, side, sequence, length, kind):
    """Whether a segment of TLS, or of mail that may have turned to it, is still worth keeping; sets COUNT_A, COUNT_B where nothing more is.

    The first application data of a side are kept, since they show that the handshake succeeded.
    """
    if t.parameters[P_WHOLE_TLS]:
        return True
    flows = t.flows
    state = flows[entry, STATE]
    at = t.packet[PAYLOAD_AT]
    record = length > 5 and data[at + 1] == 3 and data[at + 2] <= 4
    count = COUNT_B if side else COUNT_A
    if kind == MAIL:
        if record and data[at] == 0x16 and 1 <= data[at + 5] <= 2:
            flows[entry, STATE] = state | (HELLO_B if side else HELLO_A)
        if state & (HELLO_A | HELLO_B) != HELLO_A | HELLO_B:
            return True
        if (flows[entry, KEPT] >> 32) >= 4 * _TLS_KEPT:
            flows[entry, STATE] = state | COUNT_A | COUNT_B
            return False
    known = state & (ISN_B if side else ISN_A)
    base = (flows[entry, BASE] & MASK32) if side else (flows[entry, BASE] >> 32) & MASK32
    said = distance(sequence, base)
    if kind != MAIL and flows[entry, BYTES_B if side else BYTES_A] >> 24 >= _TLS_KEPT:
        flows[entry, STATE] = state | count
        return False
    if record and data[at] == 0x17:
        if not known or (flows[entry, BYTES_B if side else BYTES_A] >> 24) >= said:  # nothing in front of it is still to come
            flows[entry, STATE] = state | count
    return True


@part
def turns_to_tls(data, t, entry, side):
    """Whether a protocol that is none of ours goes over to TLS here, as FTP, XMPP and MySQL do; then the flow is TLS from this segment on.

    A ClientHello must begin the segment, be the record's only message as far as lengths tell, and come early: bytes that look like one stand in many files.
    """
    packet, flows = t.packet, t.flows
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    if data[at] != 0x16 or data[at + 1] != 3 or data[at + 2] > 3 or data[at + 5] != 1 or data[at + 9] != 3 or data[at + 10] > 3:
        return False
    record = int64(data[at + 3]) << 8 | int64(data[at + 4])
    message = int64(data[at + 6]) << 16 | int64(data[at + 7]) << 8 | int64(data[at + 8])
    if message + 4 < record or message > _TLS_KEPT or record + 5 < min(length, 400) or data[at + 43] > 32 or not packet[FLAGS] & ACK_FLAG:
        return False
    if (flows[entry, BYTES_A] >> 24) + (flows[entry, BYTES_B] >> 24) > _TLS_KEPT:
        return False
    state = flows[entry, STATE] & ~(CLASS_MASK | COUNT_A | COUNT_B | SEEN_A | SEEN_B | HELLO_A | HELLO_B)
    flows[entry, STATE] = state | TLS | BASED_A | BASED_B | TURNED_TLS
    first = packet[SEQ] | packet[ACK] << 32 if side else packet[SEQ] << 32 | packet[ACK]
    flows[entry, BASE] = first
    flows[entry, NEXT] = first
    flows[entry, ACKED] = 0
    return True
