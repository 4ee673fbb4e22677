"""What of a flow is kept: segments with their bytes, the beginnings of turns, TLS until it hides everything, and notes of what was dropped on purpose."""
from __future__ import annotations

from numba import int64

from .flow_table import MASK32, allocate, append_segment, distance
from .jit import inlined, part
from .layers import ACK, ACK_FLAG, FIN, FLAGS, IP_LENGTH, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, SEQ
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_TLS_KEPT = 16384  # bytes per side of TLS: both hellos and the certificates, unless application data come earlier
_TURN_KEPT = 12  # segments, or units of 4 KiB if larger, kept of what one side of HTTP or SMB says at a time: heads, forms, pipes; bodies and files are longer


@inlined
def store(data, t, entry, side, sequence, ts_ns, frame, marks):
    """Store the packet's payload as segments of a flow; DONE or the table that is full."""
    packet, segments, scalars = t.packet, t.segments, t.scalars
    length, wire, at = packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE], packet[PAYLOAD_AT]
    info = packet[FLAGS] | (min(packet[IP_LENGTH], 0xFFFF) << 16) | (marks << 40)
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
        append_segment(t, entry, side, sequence, part_length, part_length + (wire - length) if last_part else part_length, place, ts_ns, frame, info)
        if last_part:
            return DONE
        sequence = (sequence + part_length) & MASK32
        at += part_length
        length -= part_length
        wire -= part_length
        info &= ~FIN


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
    if tail >= 0 and segments[tail, S_FLOW] == side and segments[tail, S_INFO] >> 40 & MARK_DROPPED:
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
