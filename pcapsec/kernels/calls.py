"""DCE/RPC calls counted where they pass: most of a long connection is the same few calls again, of which only the first say anything new.

A segment that is one whole PDU, a request of a kind that was passed on often enough or the answer to such a request, is added to a note instead of being kept. Everything else is
kept as it is, so the parser sees each kind of call, each bind and each fault in its place. A pair of notes, one for each side, stands for calls and answers that followed one another
with nothing else in between; the client's holds the counts (`NOTE_` words), the server's only how many bytes they were.

Sides are followed strictly: the next PDU begins where the last one ended (C706 §12.6.3.1, frag_length). Missing bytes stop the counting of a side until they come, or until
`_HOLE_SEGMENTS` have passed and what is behind them begins with a header, as the parser has it too. What cannot be followed is kept for good.
"""
from __future__ import annotations

import numpy
from numba import int64

from .flow_table import MASK32, allocate, append_segment, distance
from .jit import part
from .layers import ACK_FLAG, FLAGS, IP_LENGTH, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, checksum_state
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_HOLE_SEGMENTS = 4  # of a side that may pass before missing bytes are taken for lost: mirror ports reorder by less
_LISTED = 64  # kept segments that are looked through for the one that goes on; a flow that keeps more is not counted any more
_SEALED = 6  # level from which on a stub tells nothing
_REQUEST, _RESPONSE, _FAULT, _BIND, _ALTER_CONTEXT, _CO_CANCEL, _ORPHANED = 0, 2, 3, 11, 14, 18, 19
_READABLE = numpy.array([0xA4F1DB00, 0x5261574A, 0xF5CC5A18, 0x1544F5E0, 0xE1AF8308], dtype=numpy.int64)  # first words of EMSMDB, AsyncEMSMDB, NSPI, RFR and the endpoint mapper


@part
def _begin(t, entry, row):
    """Take a row of the table of calls for a flow whose bytes were all seen and are all kept; False when they are not."""
    flows, calls = t.flows, t.calls
    state = flows[entry, STATE]
    if state & (ISN_A | ISN_B) != ISN_A | ISN_B or state & (BASED_A | BASED_B | DETACHED):
        return False
    if (flows[entry, BYTES_A] >> 24) + (flows[entry, BYTES_B] >> 24) != flows[entry, KEPT] >> 32 or (flows[entry, KEPT] & MASK32) > _LISTED:
        return False
    if state & SYN_A:
        client = 0
    elif state & SYN_B:
        client = 1
    elif state & SYNACK_B:
        client = 0
    elif state & SYNACK_A:
        client = 1
    else:
        return False
    calls[row, C_OWNER] = entry + 1
    calls[row, C_CLIENT] = client
    calls[row, C_NEXT] = flows[entry, BASE]
    calls[row, C_HOLES] = 0
    calls[row, C_EXACT] = 3
    calls[row, C_NOTES] = 0
    calls[row, C_KINDS] = 0
    calls[row, C_READABLE] = 1
    calls[row, C_COUNTED] = 0
    return True


@part
def _set_next(calls, row, side, sequence, exact):
    shift = 0 if side else 32
    calls[row, C_NEXT] = (calls[row, C_NEXT] & ~(MASK32 << shift)) | ((sequence & MASK32) << shift)
    bit = 2 if side else 1
    calls[row, C_EXACT] = (calls[row, C_EXACT] & ~bit) | (bit if exact else 0)


@part
def _little16(data, at):
    return int64(data[at]) | int64(data[at + 1]) << 8


@part
def _little32(data, at):
    return int64(data[at]) | int64(data[at + 1]) << 8 | int64(data[at + 2]) << 16 | int64(data[at + 3]) << 24


@part
def _usual(data, at, end, packet_type):
    """frag_length of a PDU that is a whole call or answer of version 5.0 in little-endian ASCII IEEE; 0 when it is none, or not all of it stands before `end`."""
    if end - at < 24 or data[at] != 5 or data[at + 1] != 0 or data[at + 2] != packet_type or data[at + 4] != 0x10 or data[at + 5] or data[at + 6] or data[at + 7]:
        return 0
    if data[at + 3] != 3 and (packet_type == _RESPONSE or data[at + 3] != 0x83):  # first and last fragment; a request may name an object
        return 0
    length, auth_length = _little16(data, at + 8), _little16(data, at + 10)
    if length < (40 if data[at + 3] & 0x80 else 24) or at + length > end or auth_length and auth_length + 48 > length:
        return 0
    return length


@part
def _trailer(data, at, length):
    """(auth_type | auth_level << 8, auth_pad_length, auth_context_id, bytes behind the stub) of a usual PDU; zeros without a sec_trailer."""
    auth_length = _little16(data, at + 10)
    if auth_length == 0:
        return 0, 0, 0, 0
    place = at + length - auth_length - 8
    pad = int64(data[place + 2])
    return _little16(data, place), pad, _little32(data, place + 4), auth_length + pad + 8


@part
def _kind_of(calls, row, opnum, kind):
    """Number of a kind of call that is known on this flow, -1 when it is not."""
    for i in range(calls[row, C_KINDS]):
        if calls[row, C_KIND + 3 * i] == opnum and calls[row, C_KIND + 3 * i + 1] == kind:
            return i
    return -1


@part
def _binds_readable(data, at, end):
    """1 unless a bind or alter_context names only interfaces whose stubs nobody reads (C706 §12.6.4.3, p_context_list)."""
    if end - at < 28 or data[at + 4] != 0x10:
        return 1
    pos = at + 28
    for _element in range(int64(data[at + 24])):
        if end - pos < 24:
            return 1
        first = _little32(data, pos + 4)
        for known in _READABLE:
            if first == known:
                return 1
        pos += 24 + 20 * int64(data[pos + 2])
    return 0


@part
def _read(data, at, end, calls, row, side, sequence):
    """Follow the PDUs of a segment that is kept, from data[at] on, whose sequence number is `sequence`; False when they cannot be followed."""
    client = side == calls[row, C_CLIENT]
    pos = at
    while pos < end:
        if end - pos < 16 or data[pos] != 5 or data[pos + 1] > 1 or data[pos + 2] > 20 or int64(data[pos + 4]) & 0xEF or data[pos + 5] > 3 or data[pos + 6] or data[pos + 7]:
            return False
        length = _little16(data, pos + 8) if data[pos + 4] else int64(data[pos + 8]) << 8 | int64(data[pos + 9])
        if length < 16:
            return False
        packet_type = int64(data[pos + 2])
        if client and packet_type == _REQUEST:
            if _usual(data, pos, end, _REQUEST):
                kind, _pad, context, behind = _trailer(data, pos, length)
                head = 40 if data[pos + 3] & 0x80 else 24
                if head + behind <= length:
                    opnum = _little16(data, pos + 22) | _little16(data, pos + 20) << 16
                    kind |= context << 16
                    number = _kind_of(calls, row, opnum, kind)
                    if number < 0 and calls[row, C_KINDS] < CALL_KINDS:
                        number = calls[row, C_KINDS]
                        calls[row, C_KINDS] = number + 1
                        calls[row, C_KIND + 3 * number] = opnum
                        calls[row, C_KIND + 3 * number + 1] = kind
                        calls[row, C_KIND + 3 * number + 2] = 0
                    if number >= 0:
                        calls[row, C_KIND + 3 * number + 2] += 1
        elif packet_type != _RESPONSE and packet_type != _FAULT and packet_type != _CO_CANCEL and packet_type != _ORPHANED:
            calls[row, C_KINDS] = 0  # contexts or their security change
            if client and packet_type == _BIND:
                calls[row, C_READABLE] = _binds_readable(data, pos, min(pos + length, end))
            elif client and packet_type == _ALTER_CONTEXT:
                calls[row, C_READABLE] |= _binds_readable(data, pos, min(pos + length, end))
        pos += length
    _set_next(calls, row, side, sequence + pos - at, pos == end)
    return True


@part
def _catch_up(t, entry, row, side):
    """Follow a side through segments that came too early; False when they cannot be followed."""
    flows, segments, calls = t.flows, t.segments, t.calls
    shift = 0 if side else 32
    for _step in range(_LISTED):
        expected = (calls[row, C_NEXT] >> shift) & MASK32
        if distance((flows[entry, NEXT] >> shift) & MASK32, expected) <= 0:
            calls[row, C_HOLES] &= ~(MASK32 << shift)
            return True
        at = (flows[entry, SEGMENTS] >> 32) - 1
        found = -1
        for _one in range(_LISTED):
            if at < 0:
                break
            if segments[at, S_FLOW] & SIDE == side and not (segments[at, S_INFO] >> 40) & MARK_COUNTED:
                behind = -distance((segments[at, S_SEQ] >> 32) & MASK32, expected)
                if 0 <= behind < segments[at, S_LENGTH] & MASK32:
                    found = at
                    break
            at = segments[at, S_NEXT] - 1
        if found < 0:
            return True
        captured = segments[found, S_LENGTH] >> 32
        behind = -distance((segments[found, S_SEQ] >> 32) & MASK32, expected)
        if captured != segments[found, S_LENGTH] & MASK32:
            return False
        place = segments[found, S_AT]
        if not _read(t.arena, place + behind, place + captured, calls, row, side, expected):
            return False
    return False


@part
def _behind_hole(t, entry, row, side, sequence):
    """The bytes in front of what was kept lately are lost: go on where it begins. False when that is in the middle of a PDU."""
    flows, segments, calls = t.flows, t.segments, t.calls
    if not calls[row, C_EXACT] & (2 if side else 1):
        return False
    shift = 0 if side else 32
    expected = (calls[row, C_NEXT] >> shift) & MASK32
    first = sequence
    at = (flows[entry, SEGMENTS] >> 32) - 1
    for _one in range(_LISTED):
        if at < 0:
            break
        if segments[at, S_FLOW] & SIDE == side:
            begins = (segments[at, S_SEQ] >> 32) & MASK32
            if distance(begins, expected) > 0 and distance(begins, first) < 0:
                first = begins
        at = segments[at, S_NEXT] - 1
    if at >= 0:
        return False
    calls[row, C_READABLE] = 1  # what was lost may have bound anything
    calls[row, C_HOLES] &= ~(MASK32 << shift)
    _set_next(calls, row, side, first, True)
    return _catch_up(t, entry, row, side)


@part
def _note(t, entry, side, sequence, place, ts_ns, frame):
    """Begin a note; returns its row among the segments. The caller knows that there is room."""
    flags = t.packet[FLAGS]
    info = flags | ((MARK_COUNTED | (0 if flags & ACK_FLAG else MARK_NO_ACK)) << 40)
    return append_segment(t, entry, side, sequence, NOTE_WORDS * 8 if place >= 0 else 0, 0, max(place, 0), ts_ns, frame, info)


@part
def _open_note(t, entry, row):
    """Row of the client's note when nothing was kept since it and its twin were begun, else -1."""
    segments, calls = t.segments, t.calls
    asked = (calls[row, C_NOTES] >> 32) - 1
    told = (calls[row, C_NOTES] & MASK32) - 1
    tail = (t.flows[entry, SEGMENTS] & MASK32) - 1
    if asked < 0 or tail < 0 or not (segments[tail, S_INFO] >> 40) & MARK_COUNTED:
        return -1
    if told < 0:
        return asked if tail == asked else -1
    return asked if tail == told and segments[asked, S_NEXT] == told + 1 else -1


@part
def _goes_on(segments, row, sequence):
    """Whether a note ends where a sequence number begins, with room for more."""
    told = segments[row, S_LENGTH] & MASK32
    return told < 1 << 28 and ((segments[row, S_SEQ] >> 32) + told) & MASK32 == sequence


@part
def _count_request(data, t, entry, row, side, sequence, ts_ns, frame):
    """Add a request to the client's note; False when it is to be kept."""
    packet, segments, calls, blocks = t.packet, t.segments, t.calls, t.blocks
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    if _usual(data, at, at + length, _REQUEST) != length:
        return False
    kind, _pad, context, behind = _trailer(data, at, length)
    size = length - (40 if data[at + 3] & 0x80 else 24) - behind
    number = _kind_of(calls, row, _little16(data, at + 22) | _little16(data, at + 20) << 16, kind | context << 16)
    if number < 0 or size < 0:
        return False
    seen = calls[row, C_KIND + 3 * number + 2]
    if seen == 0 or kind >> 8 != _SEALED and calls[row, C_READABLE] and (seen < CLEAR_CALLS or seen % CLEAR_SAMPLE == 0):
        return False
    call_id = _little32(data, at + 12)
    note = _open_note(t, entry, row)
    if note >= 0 and not _goes_on(segments, note, sequence):
        note = -1
    slot = -1
    if note >= 0:
        word = segments[note, S_AT] >> 3
        for i in range(NOTE_WAITING, NOTE_WAITING + CALLS_WAITING):
            if blocks[word + i] >> 8 == call_id and blocks[word + i]:
                slot = i
                break
            if slot < 0 and blocks[word + i] == 0:
                slot = i
        if slot < 0:
            return False
    else:
        needed = NOTE_WORDS * 8 // BLOCK
        place, n_blocks = allocate(blocks, t.scalars, needed, len(t.arena))
        if place < 0:
            return False
        if n_blocks < needed:
            t.scalars[LIVE_BYTES] -= n_blocks * BLOCK
            blocks[place >> 3] = t.scalars[ARENA_FREE + n_blocks]
            t.scalars[ARENA_FREE + n_blocks] = place + 1
            return False
        word = place >> 3
        for i in range(NOTE_WORDS):
            blocks[word + i] = 0
        note = _note(t, entry, side, sequence, place, ts_ns, frame)
        calls[row, C_NOTES] = (note + 1) << 32
        slot = NOTE_WAITING
    blocks[word + slot] = call_id << 8 | (number + 1)
    one = word + NOTE_KIND + NOTE_KIND_WORDS * number
    blocks[one] = calls[row, C_KIND + 3 * number]
    blocks[one + 1] = calls[row, C_KIND + 3 * number + 1]
    blocks[one + 2] += 1 << 32
    blocks[one + 3] += size
    calls[row, C_KIND + 3 * number + 2] += 1
    segments[note, S_LENGTH] += length
    _weigh(data, t, entry, row, note, word, side)
    return True


@part
def _count_response(data, t, entry, row, side, sequence, ts_ns, frame):
    """Add the answer to a counted request to the server's note; False when it is to be kept."""
    packet, segments, calls, blocks = t.packet, t.segments, t.calls, t.blocks
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    note = _open_note(t, entry, row)
    if note < 0 or _usual(data, at, at + length, _RESPONSE) != length:
        return False
    kind, _pad, _context, behind = _trailer(data, at, length)
    size = length - 24 - behind
    call_id = _little32(data, at + 12)
    word = segments[note, S_AT] >> 3
    slot = -1
    for i in range(NOTE_WAITING, NOTE_WAITING + CALLS_WAITING):
        if blocks[word + i] and blocks[word + i] >> 8 == call_id:
            slot = i
            break
    if slot < 0 or size < 0:
        return False
    one = word + NOTE_KIND + NOTE_KIND_WORDS * ((blocks[word + slot] & 0xFF) - 1)
    if blocks[one + 1] & 0xFFFF != kind:
        return False
    told = (calls[row, C_NOTES] & MASK32) - 1
    if told < 0:
        told = _note(t, entry, side, sequence, -1, ts_ns, frame)
        calls[row, C_NOTES] |= told + 1
    elif not _goes_on(segments, told, sequence):
        return False
    blocks[word + slot] = 0
    blocks[one + 2] += 1
    blocks[one + 4] += size
    segments[told, S_LENGTH] += length
    _weigh(data, t, entry, row, told, word, side)
    return True


@part
def _weigh(data, t, entry, row, note, word, side):
    """What a kept segment tells of itself, for one that was added to `note`: its checksum, in the pair's word for that, and its IP length."""
    packet, segments, blocks, calls = t.packet, t.segments, t.blocks, t.calls
    calls[row, C_COUNTED] += 1
    if packet[PAYLOAD_LENGTH] <= CHECKED_BYTES or calls[row, C_COUNTED] + (t.flows[entry, KEPT] & MASK32) < CHECKED_SEGMENTS:
        verdict = checksum_state(data, packet)
        shift = 16 if side else 0
        if verdict >= 0 and (blocks[word + NOTE_CHECKED] >> shift) & 0xFFFF < 0xFFFF:
            blocks[word + NOTE_CHECKED] += (1 << shift) + (0 if verdict == 1 else 1 << shift + 32)
    told = (segments[note, S_INFO] >> 16) & 0xFFFF
    longest = min(packet[IP_LENGTH], 0xFFFF)
    if longest > told:
        segments[note, S_INFO] += (longest - told) << 16


@part
def count_call(data, t, entry, side, sequence, ts_ns, frame):
    """Whether a segment of DCE/RPC was counted and need not be kept.

    Args:
        data uint8[:]      the window; t.packet says where the payload is
        t Tables           the flow's row of `calls` is written, and notes among its segments
        entry, side, sequence, ts_ns, frame int64
    Source: C706 §12.6.3 and §12.6.4, [MS-RPCE] §2.2.2.11.
    """
    packet, calls = t.packet, t.calls
    row = entry & (len(calls) - 1)
    if t.parameters[P_WHOLE_RPC]:
        return False
    if calls[row, C_OWNER] != entry + 1 and not _begin(t, entry, row):
        return False
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    if packet[PAYLOAD_WIRE] != length:
        calls[row, C_OWNER] = 0
        return False
    shift = 0 if side else 32
    ahead = distance(sequence, (calls[row, C_NEXT] >> shift) & MASK32)
    followed = True
    if ahead == 0:
        if side == calls[row, C_CLIENT]:
            counted = _count_request(data, t, entry, row, side, sequence, ts_ns, frame)
        else:
            counted = _count_response(data, t, entry, row, side, sequence, ts_ns, frame)
        if counted:
            _set_next(calls, row, side, sequence + length, True)
            if (calls[row, C_HOLES] >> shift) & MASK32 and not _catch_up(t, entry, row, side):
                calls[row, C_OWNER] = 0
            return True
    if ahead > 0:
        calls[row, C_HOLES] += 1 << shift
        if (calls[row, C_HOLES] >> shift) & MASK32 <= _HOLE_SEGMENTS:
            return False
        followed = _behind_hole(t, entry, row, side, sequence)
        ahead = distance(sequence, (calls[row, C_NEXT] >> shift) & MASK32)
    if followed and ahead <= 0 and -ahead < length:
        followed = _read(data, at - ahead, at + length, calls, row, side, (sequence - ahead) & MASK32)
    if followed and (calls[row, C_HOLES] >> shift) & MASK32:
        followed = _catch_up(t, entry, row, side)
    if not followed:
        calls[row, C_OWNER] = 0
    return False
