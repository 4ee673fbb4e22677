"""The walk over pcapng blocks; what it shares with the walk over pcap records, and how damage is met, stands in walk.py.

Source: draft-ietf-opsawg-pcapng §3-4.
"""
from __future__ import annotations

from numpy import int64

from .jit import kernel, part
from .walk import (
    AT, BACKSTEPS, BACKSTEP_NS, BIG, BYTES, DAMAGES, DROPPED, DROP_OPTIONS, FIRST_NS, HAS_DROPPED, HAS_DROP_OPTIONS, INTERFACES_FULL,
    LAST_NS, LINKS, MAX_BLOCK_BYTES, MAX_LINKS, MAX_NS, MISFIT, NEEDED, NEWEST_NS, NO_INTERFACE, NO_LINK, N_INTERFACES, N_LINKS, N_TIMED, PACKETS,
    PASS_LENGTH, PASS_OVER, ROWS_FULL, SEARCHING, SECRETS_HERE, SECRET_AT, SECRET_LENGTH, SECTIONS, SKIPPED, SNAP_LENGTH, STATUS, TRUNCATED, WINDOW_DONE, u16,
    u32,
)

# columns of interfaces
I_LINK, I_SNAP, I_KIND, I_SCALE, I_OFFSET_NS, I_IF_DROPPED, I_OS_DROPPED = range(7)
INTERFACE_COLUMNS = 7
MAX_INTERFACES = 65536  # per section; a capture of every container of a large host has thousands
DECIMAL, FINE_DECIMAL, BINARY = range(3)  # I_KIND: I_SCALE is nanoseconds a tick; the exponent of ten; the exponent of two

MAX_PASSED_BYTES = 1 << 30  # key logs and name tables may be longer than MAX_BLOCK_BYTES: up to this they are passed over unseen
MAX_SEARCHED_BYTES = 1 << 20  # a block longer than this is not looked for after damage, so that searching needs little room
MAX_DROPS = 1 << 40  # a larger counter is nonsense, and sums must not overflow

SECTION_HEADER, INTERFACE, OLD_PACKET, SIMPLE_PACKET, NAMES, STATISTICS, PACKET = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
JOURNAL, SECRETS, CUSTOM, CUSTOM_NO_COPY = 9, 10, 0x0BAD, 0x40000BAD
SYSTEM_CALL, SYSTEM_CALL_2, SYSTEM_CALL_2_LARGE = 0x204, 0x216, 0x221
OPTION_TSRESOL, OPTION_TSOFFSET, OPTION_IFDROP, OPTION_OSDROP, OPTION_DROPCOUNT = 9, 14, 5, 7, 4


@part
def _clamped_sum(a, b):
    """a + b held within ±MAX_NS; both lie within it already."""
    if b > 0 and a > MAX_NS - b:
        return MAX_NS
    if b < 0 and a < -MAX_NS - b:
        return -MAX_NS
    return a + b


@part
def _option(data, at, end, code, big):
    """Where the first option with this code has its value, and how long that is; (-1, 0) without one. Options lie in data[at:end]."""
    while at + 4 <= end:
        this = u16(data, at, big)
        length = u16(data, at + 2, big)
        if this == 0 or at + 4 + length > end:
            break
        if this == code:
            return at + 4, length
        at += 4 + ((length + 3) & ~3)
    return -1, 0


@part
def _counter(data, at, big):
    """Eight bytes that count something, held below MAX_DROPS."""
    high = u32(data, at, big) if big else u32(data, at + 4, big)
    low = u32(data, at + 4, big) if big else u32(data, at, big)
    if high >= 256:
        return MAX_DROPS
    return min((high << 32) | low, MAX_DROPS)


@part
def _divided(high, low, divisor):
    """(high * 2**32 + low) // divisor as two 32-bit halves, without overflow; divisor below 2**31."""
    rest = high % divisor
    quotient = ((rest << 32) | low) // divisor
    return high // divisor + (quotient >> 32), quotient & 0xFFFFFFFF


@part
def _ticks_to_ns(high, low, interfaces, which):
    """Time of a packet in ns since 1970, held within ±MAX_NS (pcapng §4.2, if_tsresol and if_tsoffset)."""
    kind = interfaces[which, I_KIND]
    scale = interfaces[which, I_SCALE]
    if kind == DECIMAL:
        if high >= 0x80000000:
            ns = MAX_NS
        else:
            ticks = (high << 32) | low
            ns = MAX_NS if ticks > MAX_NS // scale else ticks * scale
    elif kind == FINE_DECIMAL:
        left = scale - 9
        while left > 0 and (high or low):
            digits = min(left, 9)
            high, low = _divided(high, low, 10**digits)
            left -= digits
        ns = MAX_NS if high >= 0x80000000 else min((high << 32) | low, MAX_NS)
    else:
        # whole seconds and the fraction apart; a fraction finer than 2**-32 s is cut to that
        if scale >= 64:
            seconds, fraction = 0, (high if scale < 96 else 0) >> (scale - 64 if scale < 96 else 0)
        elif scale >= 32:
            seconds = high >> (scale - 32)
            fraction = (((high & ((1 << (scale - 32)) - 1)) << (64 - scale)) | (low >> (scale - 32))) if scale > 32 else low
        else:
            seconds = (high << (32 - scale)) | (low >> scale)
            fraction = (low & ((1 << scale) - 1)) << (32 - scale)
        ns = MAX_NS if seconds > 9_223_372_034 or seconds < 0 else seconds * 1_000_000_000 + ((fraction * 1_000_000_000) >> 32)
    return _clamped_sum(ns, interfaces[which, I_OFFSET_NS])


@part
def _block_here(data, at, end, final, state):
    """Whether a block of a known type with agreeing lengths stands at `at`: 1 yes, 0 no, -1 bytes behind the window decide."""
    if at + 12 > end:
        return 0 if final else -1
    big = state[BIG]
    kind = u32(data, at, big)
    if kind == SECTION_HEADER:  # reads the same in both byte orders
        if u32(data, at + 8, 0) == 0x1A2B3C4D:
            big = 0
        elif u32(data, at + 8, 1) == 0x1A2B3C4D:
            big = 1
        else:
            return 0
    elif not (1 <= kind <= 10 or kind == CUSTOM or kind == CUSTOM_NO_COPY):
        return 0
    length = u32(data, at + 4, big)
    if length < 12 or length > MAX_SEARCHED_BYTES or length & 3:
        return 0
    if at + length > end:
        return 0 if final else -1
    return 1 if u32(data, at + length - 4, big) == length else 0


@part
def _find_block(data, at, end, final, state):
    """First place from `at` on where a block stands; (place, 1), or (place to go on from, 0) when more bytes are needed."""
    big = state[BIG]
    while at + 12 <= end:
        kind = u32(data, at, big)
        if kind == SECTION_HEADER or 1 <= kind <= 10 or kind == CUSTOM or kind == CUSTOM_NO_COPY:  # most places fail here, and quickly
            verdict = _block_here(data, at, end, final, state)
            if verdict != 0:
                return at, (1 if verdict > 0 else 0)
        at += 1
    return at, 0


@part
def _describe_interface(data, at, end, big, interfaces, which):
    """Fill a row of `interfaces` from an interface description block's body in data[at:end]."""
    link = u16(data, at, big)
    interfaces[which, I_LINK] = link
    interfaces[which, I_SNAP] = u32(data, at + 4, big)
    interfaces[which, I_KIND] = DECIMAL
    interfaces[which, I_SCALE] = 1000
    interfaces[which, I_OFFSET_NS] = 0
    interfaces[which, I_IF_DROPPED] = 0
    interfaces[which, I_OS_DROPPED] = 0
    place, length = _option(data, at + 8, end, OPTION_TSRESOL, big)
    if length == 1:
        exponent = int64(data[place]) & 0x7F
        if data[place] & 0x80:
            interfaces[which, I_KIND] = BINARY
            interfaces[which, I_SCALE] = exponent
        elif exponent <= 9:
            interfaces[which, I_SCALE] = 10 ** (9 - exponent)
        else:
            interfaces[which, I_KIND] = FINE_DECIMAL
            interfaces[which, I_SCALE] = exponent
    place, length = _option(data, at + 8, end, OPTION_TSOFFSET, big)
    if length == 8:
        high = u32(data, place, big) if big else u32(data, place + 4, big)
        low = u32(data, place + 4, big) if big else u32(data, place, big)
        if high >= 0x80000000:
            high -= 0x100000000
        seconds = high * 0x100000000 + low
        interfaces[which, I_OFFSET_NS] = min(max(seconds, -9_223_372_036), 9_223_372_036) * 1_000_000_000


@part
def _count_drops(data, at, end, big, state, interfaces, which):
    """Take the drop counters of an interface statistics block whose options lie in data[at:end]; they are totals, so the last ones count."""
    for code, column in ((OPTION_IFDROP, I_IF_DROPPED), (OPTION_OSDROP, I_OS_DROPPED)):
        place, length = _option(data, at, end, code, big)
        if length == 8:
            now = _counter(data, place, big)
            state[DROPPED] = min(max(state[DROPPED] + now - interfaces[which, column], 0), MAX_NS)
            interfaces[which, column] = now
            state[HAS_DROPPED] = 1


@kernel
def walk_pcapng(data, end, final, state, interfaces, out_frames):
    """Walk pcapng blocks.

    Args:
        data uint8[n]: a window of the file.
        end int64: bytes of it that are filled.
        final int64: 1 when no byte follows `end` in the file.
        state int64[STATE_COLUMNS]: see the columns above; all zero at the start of the file.
        interfaces int64[n, INTERFACE_COLUMNS]: the interfaces of the section; kept between calls.
        out_frames int64[capacity, FRAME_COLUMNS]: as in walk_pcap. A frame of an interface that no block describes, and a block that
            Wireshark numbers though it holds no packet (journal entries, system calls, custom blocks), have the link type NO_LINK.

    Returns:
        rows written. state[STATUS]: WINDOW_DONE, an incomplete block begins at state[AT]; ROWS_FULL, call again with an empty table;
        INTERFACES_FULL, call again with a longer `interfaces` (at most MAX_INTERFACES); SECRETS_HERE, a decryption secrets block was passed, its body
        stands in the window (state[SECRET_AT], state[SECRET_LENGTH]): call again.

    Source: draft-ietf-opsawg-pcapng §3-4.
    """
    at, big = state[AT], state[BIG]
    last_ns, newest_ns, first_ns, n_timed = state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED]
    capacity = out_frames.shape[0]
    n_bytes = state[BYTES]
    rows = 0
    needed = 12
    secret_at, secret_length = int64(0), int64(0)
    status = WINDOW_DONE
    while True:
        if state[PASS_OVER] > 0:
            step = min(state[PASS_OVER], end - at)
            at += step
            state[PASS_OVER] -= step
            if state[PASS_OVER] > 0:
                needed = 1
                break
            state[PASS_OVER] = -1
        if state[PASS_OVER] < 0:  # the end of the oversized block
            if at + 4 > end:
                needed = 4
                break
            state[PASS_OVER] = 0
            if u32(data, at, big) == state[PASS_LENGTH]:
                at += 4
            else:
                state[SEARCHING] = 1
                state[DAMAGES] += 1
                state[SKIPPED] += state[PASS_LENGTH] - 4
        if state[SEARCHING]:
            place, found = _find_block(data, at, end, final, state)
            state[SKIPPED] += place - at
            at = place
            if not found:
                needed = end - at + 1
                if final:
                    state[SKIPPED] += end - at
                    at = end
                break
            state[SEARCHING] = 0
        if rows == capacity:
            status = ROWS_FULL
            break
        if at + 12 > end:
            needed = 12
            break
        kind = u32(data, at, big)
        order = big
        good = True
        if kind == SECTION_HEADER:
            if u32(data, at + 8, 0) == 0x1A2B3C4D:
                order = 0
            elif u32(data, at + 8, 1) == 0x1A2B3C4D:
                order = 1
            else:
                good = False
        length = u32(data, at + 4, order)
        padded = (length + 3) & ~3  # the length should be a multiple of four; writers that forget it still pad
        if length < 12 or (kind == SECTION_HEADER and length < 28):
            good = False
        elif padded > MAX_BLOCK_BYTES and good:
            if (kind == NAMES or kind == SECRETS) and length <= MAX_PASSED_BYTES and not length & 3:
                state[PASS_OVER] = length - 12
                state[PASS_LENGTH] = length
                at += 8
                continue
            good = False
        if good and at + padded > end:
            needed = padded
            if not final:
                break
            place, found = _find_block(data, at + 1, end, final, state)
            if not found:
                break
            state[DAMAGES] += 1
            state[SKIPPED] += place - at
            at = place
            continue
        if good and u32(data, at + padded - 4, order) != length:
            # the block is believed if another one follows where it ends, and nothing else is
            follows = _block_here(data, at + padded, end, final, state)
            if follows < 0:
                needed = end - at + 1
                break
            good = follows > 0
            if good:
                state[DAMAGES] += 1
        if not good:
            state[SEARCHING] = 1
            state[DAMAGES] += 1
            state[SKIPPED] += 1
            at += 1
            continue
        options = 0
        captured = -1
        original = 0
        body = at + 8
        room = 0
        which = -1
        high = 0
        low = 0
        timed = False
        link = NO_LINK
        if kind == PACKET or kind == OLD_PACKET:
            if length >= 32:
                which = u32(data, at + 8, big) if kind == PACKET else u16(data, at + 8, big)
                high = u32(data, at + 12, big)
                low = u32(data, at + 16, big)
                captured = u32(data, at + 20, big)
                original = u32(data, at + 24, big)
                body = at + 28
                room = length - 32
                timed = True
                if kind == PACKET:
                    options = body + ((captured + 3) & ~3)
                else:
                    drops = u16(data, at + 10, big)
                    if drops != 0xFFFF:
                        state[DROP_OPTIONS] = min(state[DROP_OPTIONS] + drops, MAX_NS)
                        state[HAS_DROP_OPTIONS] = 1
            else:
                state[MISFIT] += 1
        elif kind == SIMPLE_PACKET:
            if length >= 16:
                which = 0
                original = u32(data, at + 8, big)
                body = at + 12
                room = length - 16
                captured = original
                if state[N_INTERFACES] > 0 and interfaces[0, I_SNAP] > 0:
                    captured = min(captured, interfaces[0, I_SNAP])
                captured = min(captured, room)
            else:
                state[MISFIT] += 1
        elif kind == SECTION_HEADER:
            big = order
            state[BIG] = order
            state[N_INTERFACES] = 0
            state[SECTIONS] += 1
        elif kind == INTERFACE:
            if length >= 20:
                slot = state[N_INTERFACES]
                if slot >= interfaces.shape[0] and slot < MAX_INTERFACES:
                    status = INTERFACES_FULL
                    break
                if slot < MAX_INTERFACES:
                    _describe_interface(data, at + 8, at + length - 4, big, interfaces, slot)
                    state[N_INTERFACES] = slot + 1
                    snap = interfaces[slot, I_SNAP]
                    if snap > 0 and (state[SNAP_LENGTH] == 0 or snap < state[SNAP_LENGTH]):
                        state[SNAP_LENGTH] = snap
                    known = False
                    for index in range(state[N_LINKS]):
                        if state[LINKS + index] == interfaces[slot, I_LINK]:
                            known = True
                    if not known and state[N_LINKS] < MAX_LINKS:
                        state[LINKS + state[N_LINKS]] = interfaces[slot, I_LINK]
                        state[N_LINKS] += 1
            else:
                state[MISFIT] += 1
        elif kind == STATISTICS:
            if length >= 24:
                slot = u32(data, at + 8, big)
                if slot < state[N_INTERFACES]:
                    _count_drops(data, at + 20, at + length - 4, big, state, interfaces, slot)
            else:
                state[MISFIT] += 1
        elif kind == SECRETS:
            secret_at, secret_length = at + 8, length - 12
            at += padded
            status = SECRETS_HERE
            break
        elif kind == JOURNAL or kind == CUSTOM or kind == CUSTOM_NO_COPY or kind == SYSTEM_CALL or kind == SYSTEM_CALL_2 or kind == SYSTEM_CALL_2_LARGE:
            captured = 0  # no packet, but Wireshark numbers it, so that ours stay its numbers
        if captured >= 0:
            if captured > room:
                state[MISFIT] += 1
                captured = room
                options = 0
            ts_ns = last_ns
            if which >= 0:
                if which < state[N_INTERFACES]:
                    link = interfaces[which, I_LINK]
                    if timed:
                        ts_ns = _ticks_to_ns(high, low, interfaces, which)
                else:
                    state[NO_INTERFACE] += 1
                    timed = False
            if options and options + 4 <= at + length - 4:
                place, size = _option(data, options, at + length - 4, OPTION_DROPCOUNT, big)
                if size == 8:
                    state[DROP_OPTIONS] = min(state[DROP_OPTIONS] + _counter(data, place, big), MAX_NS)
                    state[HAS_DROP_OPTIONS] = 1
            out_frames[rows, 0] = body
            out_frames[rows, 1] = captured
            out_frames[rows, 2] = original
            out_frames[rows, 3] = ts_ns
            out_frames[rows, 4] = link
            rows += 1
            n_bytes += captured
            if captured < original:
                state[TRUNCATED] += 1
            if timed:
                if n_timed == 0:
                    first_ns = ts_ns
                    newest_ns = ts_ns
                elif ts_ns > newest_ns:
                    newest_ns = ts_ns
                else:
                    if ts_ns < first_ns:
                        first_ns = ts_ns
                    if newest_ns - BACKSTEP_NS > ts_ns:
                        state[BACKSTEPS] += 1
                n_timed += 1
                last_ns = ts_ns
        at += padded
    state[AT], state[STATUS], state[NEEDED] = at, status, needed
    state[SECRET_AT], state[SECRET_LENGTH] = secret_at, secret_length
    state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED] = last_ns, newest_ns, first_ns, n_timed
    state[PACKETS] += rows
    state[BYTES] = n_bytes
    return rows
