"""The walk over capture records: bytes of a window in, one row a frame out.

`walk_pcap` and `walk_pcapng` know where each captured frame begins, how long it is, when it passed and what link it comes from; they read nothing
inside it. Both go on where the last call stopped: everything they remember stands in an int64 `state` (columns below) that the caller owns.

Damage: a record that cannot be true sets the walk searching, byte by byte, for the next place that can. In a pcap that is two plausible record
headers in a row whose times are within a day of the last packet's (four in a row when they are not, or when no time is known); in a pcapng a block of
a known type whose two length fields agree. What lies between is counted, never read as a frame. Any decision that needs bytes behind the window waits
for them, so the rows do not depend on how the file is cut into windows.

Source: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; the older record headers as libpcap's and Wireshark's documentation describe them.
"""
from __future__ import annotations

from numpy import int64

from .jit import kernel, part

# columns of out_frames
FRAME_AT, FRAME_CAPTURED, FRAME_ORIGINAL, FRAME_TIME, FRAME_LINK = range(5)
FRAME_COLUMNS = 5

# state, both formats
AT = 0  # in: where to go on in the window; out: where the walk stopped, all before it is done with
STATUS = 1  # why it stopped: below
NEEDED = 2  # bytes from AT that the next step needs, when it stopped at the window's end
BIG = 3  # 1: the file (or section) is big-endian
SEARCHING = 4  # 1: after damage, no believable record found yet
LAST_NS = 5  # time of the last packet
FIRST_NS = 6  # earliest time
NEWEST_NS = 7  # latest time
N_TIMED = 8  # packets that carry a time
PACKETS = 9
BYTES = 10  # captured
TRUNCATED = 11  # packets captured shorter than they were
SKIPPED = 12  # bytes stepped over in damage
DAMAGES = 13  # places where that happened
BACKSTEPS = 14  # packets more than BACKSTEP_NS older than the newest before them
SNAP_LENGTH = 15  # smallest declared that is not 0; 0: none
# pcap alone
NANO = 16  # 1: the fraction counts nanoseconds
HEADER = 17  # length of a record header: 16, or 20, 24, 28 in old variants
LINK = 18
LIMIT = 19  # longest captured length that is believed
LENGTH_ORDER = 20  # 0: captured, original; 1: the other way round; 2: whichever is shorter is captured (version 2.3)
# pcapng alone
N_INTERFACES = 21  # in this section
PASS_OVER = 22  # bytes left of an oversized block without packets; its last four bytes must repeat PASS_LENGTH
PASS_LENGTH = 23
DROPPED = 24  # sum of what interface statistics say
HAS_DROPPED = 25
DROP_OPTIONS = 26  # sum of what packets say was lost before them
HAS_DROP_OPTIONS = 27
MISFIT = 28  # blocks whose inside does not fit their length; lengths were cut to fit, or the block left out
NO_INTERFACE = 29  # packets of an interface that no block describes
SECTIONS = 30
N_LINKS = 31  # link types declared, in order of appearance, from LINKS on
LINKS = 32
MAX_LINKS = 32
STATE_COLUMNS = LINKS + MAX_LINKS

# STATUS
WINDOW_DONE, ROWS_FULL, INTERFACES_FULL, HEADER_INSIDE = range(4)

# columns of interfaces
I_LINK, I_SNAP, I_KIND, I_SCALE, I_OFFSET_NS, I_IF_DROPPED, I_OS_DROPPED = range(7)
INTERFACE_COLUMNS = 7
MAX_INTERFACES = 65536  # per section; a capture of every container of a large host has thousands
DECIMAL, FINE_DECIMAL, BINARY = range(3)  # I_KIND: I_SCALE is nanoseconds a tick; the exponent of ten; the exponent of two

NO_LINK = 65536  # no LINKTYPE: of a row that is no packet of a known interface

MAX_CAPTURED_BYTES = 262144  # tcpdump's and Wireshark's own limit for a frame
MAX_ORIGINAL_BYTES = 1 << 26  # a longer "original length" is not believed while searching
MAX_BLOCK_BYTES = 1 << 24  # a pcapng block with packets is far smaller; only key logs and name tables may be larger, up to:
MAX_PASSED_BYTES = 1 << 30
MAX_SEARCHED_BYTES = 1 << 20  # a block longer than this is not looked for after damage, so that searching needs little room
MAX_NS = 9_223_372_036_000_000_000  # year 2262; times beyond are held here
MAX_DROPS = 1 << 40  # a larger counter is nonsense, and sums must not overflow
NEAR_S = 86400
NEAR_NS = NEAR_S * 1_000_000_000
BACKSTEP_NS = 3600 * 1_000_000_000

SECTION_HEADER, INTERFACE, OLD_PACKET, SIMPLE_PACKET, NAMES, STATISTICS, PACKET = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
JOURNAL, SECRETS, CUSTOM, CUSTOM_NO_COPY = 9, 10, 0x0BAD, 0x40000BAD
SYSTEM_CALL, SYSTEM_CALL_2, SYSTEM_CALL_2_LARGE = 0x204, 0x216, 0x221
OPTION_TSRESOL, OPTION_TSOFFSET, OPTION_IFDROP, OPTION_OSDROP, OPTION_DROPCOUNT = 9, 14, 5, 7, 4


@part
def _u16(data, at, big):
    """Two bytes as an int64; the caller has checked that they are there."""
    if big:
        return (int64(data[at]) << 8) | int64(data[at + 1])
    return (int64(data[at + 1]) << 8) | int64(data[at])


@part
def _u32(data, at, big):
    """Four bytes as an int64; the caller has checked that they are there."""
    if big:
        return (int64(data[at]) << 24) | (int64(data[at + 1]) << 16) | (int64(data[at + 2]) << 8) | int64(data[at + 3])
    return (int64(data[at + 3]) << 24) | (int64(data[at + 2]) << 16) | (int64(data[at + 1]) << 8) | int64(data[at])


@part
def _clamped_sum(a, b):
    """a + b held within ±MAX_NS; both lie within it already."""
    if b > 0 and a > MAX_NS - b:
        return MAX_NS
    if b < 0 and a < -MAX_NS - b:
        return -MAX_NS
    return a + b


# ---- pcap ---------------------------------------------------------------------------------------------------------------------------------------


@part
def _believable(data, at, big, nano, limit, order):
    """Captured length of a record header that can be true, -1 otherwise; 16 bytes are there."""
    fraction = _u32(data, at + 4, big)
    captured = _u32(data, at + 8, big)
    original = _u32(data, at + 12, big)
    if order == 1 or (order == 2 and captured > original):
        captured, original = original, captured
    if captured < 1 or captured > limit or original < captured or original > MAX_ORIGINAL_BYTES:
        return -1
    if fraction >= (1_000_000_000 if nano else 1_000_000):
        return -1
    return captured


@part
def _chain(data, at, end, final, state):
    """1: records begin at `at`; 0: they do not; -1: bytes behind the window decide."""
    big, nano, header, order = state[BIG], state[NANO], state[HEADER], state[LENGTH_ORDER]
    limit = min(state[LIMIT], MAX_CAPTURED_BYTES)  # so that searching needs little room behind a place
    near = state[N_TIMED] > 0
    previous_s = state[LAST_NS] // 1_000_000_000
    n = 0
    while True:
        if at + header > end:
            if not final:
                return -1
            # the last one before the end must be whole, and one alone must at least be near in time and end with the file
            return 1 if at <= end and (n >= 2 or (n == 1 and near and at == end)) else 0
        captured = _believable(data, at, big, nano, limit, order)
        if captured < 0:
            return 0
        time_s = _u32(data, at, big)
        if n == 0:
            near = near and abs(time_s - previous_s) <= NEAR_S
        elif abs(time_s - previous_s) > NEAR_S:
            return 0
        n += 1
        if n == (2 if near else 4):
            return 1
        previous_s = time_s
        at += header + captured


@part
def _find_record(data, at, end, final, state):
    """First place from `at` on where records begin.

    Returns (place, 1), or (place to go on from, 0) when more bytes are needed.
    """
    while at + state[HEADER] <= end:
        verdict = _chain(data, at, end, final, state)
        if verdict != 0:
            return at, (1 if verdict > 0 else 0)
        at += 1
    return at, 0


@part
def _is_file_header(data, at, end):
    """Whether the head of another pcap file stands here (files joined with cat); 24 bytes are asked for."""
    if at + 24 > end:
        return False
    for big in (0, 1):
        magic = _u32(data, at, big)
        if (magic == 0xA1B2C3D4 or magic == 0xA1B23C4D) and _u16(data, at + 4, big) == 2 and _u16(data, at + 6, big) == 4:
            return True
    return False


@kernel
def walk_pcap(data, end, final, state, out_frames):
    """Walk pcap records.

    Args:
        data uint8[n]: a window of the file.
        end int64: bytes of it that are filled.
        final int64: 1 when no byte follows `end` in the file.
        state int64[STATE_COLUMNS]: see the columns above; BIG, NANO, HEADER, LINK, LIMIT, LENGTH_ORDER as the file's head says.
        out_frames int64[capacity, FRAME_COLUMNS]: offset of the frame's first byte in `data`, captured and original length in bytes, time in ns since
            1970, LINKTYPE number.

    Returns:
        rows written. state[STATUS]: WINDOW_DONE, an incomplete record begins at state[AT]; ROWS_FULL, call again with an empty table;
        HEADER_INSIDE, the head of another file stands at state[AT].

    Source: draft-ietf-opsawg-pcap §5.
    """
    at, big, nano, header, link = state[AT], state[BIG], state[NANO], state[HEADER], state[LINK]
    limit, order = state[LIMIT], state[LENGTH_ORDER]
    last_ns, newest_ns, first_ns, n_timed = state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED]
    capacity = out_frames.shape[0]
    tick = 1 if nano else 1000
    ticks = 1_000_000_000 if nano else 1_000_000
    n_bytes = state[BYTES]
    rows = 0
    needed = header
    status = WINDOW_DONE
    while True:
        if state[SEARCHING]:
            state[LAST_NS], state[N_TIMED] = last_ns, n_timed
            place, found = _find_record(data, at, end, final, state)
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
        if at + header > end:
            needed = header
            break
        time_s = _u32(data, at, big)
        fraction = _u32(data, at + 4, big)
        captured = _u32(data, at + 8, big)
        original = _u32(data, at + 12, big)
        if order and (order == 1 or captured > original):
            captured, original = original, captured
        body = at + header
        if captured == 0 and original == 0:
            if at + 24 > end and not final:
                needed = 24
                break
            if _is_file_header(data, at, end):
                status = HEADER_INSIDE
                break
            if time_s == 0 and fraction == 0:  # a hole in the file, as a full disk or a crash leaves it
                state[SEARCHING] = 1
                state[DAMAGES] += 1
                continue
        if captured > limit:
            state[SEARCHING] = 1
            state[DAMAGES] += 1
            at += 1
            state[SKIPPED] += 1
            continue
        if body + captured > end:
            needed = header + captured
            if not final:
                break
            # cut off, or a length that lies: only if records go on behind it was it a lie
            state[LAST_NS], state[N_TIMED] = last_ns, n_timed
            place, found = _find_record(data, at + 1, end, final, state)
            if not found:
                break
            state[DAMAGES] += 1
            state[SKIPPED] += place - at
            at = place
            continue
        ts_ns = time_s * 1_000_000_000 + fraction * tick
        if fraction >= ticks or captured > original or (n_timed and abs(ts_ns - last_ns) > NEAR_NS):
            # odd, yet writers of such files exist: believed if a length that can be true follows
            follows = body + captured
            if follows + header > end:
                if not final:
                    needed = follows + header - at
                    break
            else:
                next_captured = _u32(data, follows + 8, big)
                if order and (order == 1 or next_captured > _u32(data, follows + 12, big)):
                    next_captured = _u32(data, follows + 12, big)
                if next_captured > limit:
                    state[SEARCHING] = 1
                    state[DAMAGES] += 1
                    at += 1
                    state[SKIPPED] += 1
                    continue
        out_frames[rows, 0] = body
        out_frames[rows, 1] = captured
        out_frames[rows, 2] = original
        out_frames[rows, 3] = ts_ns
        out_frames[rows, 4] = link
        rows += 1
        n_bytes += captured
        if captured < original:
            state[TRUNCATED] += 1
        if n_timed == 0:
            first_ns = ts_ns
            newest_ns = ts_ns
        elif ts_ns > newest_ns:
            newest_ns = ts_ns
        else:
            if ts_ns < first_ns:
                first_ns = ts_ns
            if newest_ns - ts_ns > BACKSTEP_NS:
                state[BACKSTEPS] += 1
        n_timed += 1
        last_ns = ts_ns
        at = body + captured
    state[AT], state[STATUS], state[NEEDED] = at, status, needed
    state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED] = last_ns, newest_ns, first_ns, n_timed
    state[PACKETS] += rows
    state[BYTES] = n_bytes
    return rows


# ---- pcapng -------------------------------------------------------------------------------------------------------------------------------------


@part
def _option(data, at, end, code, big):
    """Where the first option with this code has its value, and how long that is; (-1, 0) without one. Options lie in data[at:end]."""
    while at + 4 <= end:
        this = _u16(data, at, big)
        length = _u16(data, at + 2, big)
        if this == 0 or at + 4 + length > end:
            break
        if this == code:
            return at + 4, length
        at += 4 + ((length + 3) & ~3)
    return -1, 0


@part
def _counter(data, at, big):
    """Eight bytes that count something, held below MAX_DROPS."""
    high = _u32(data, at, big) if big else _u32(data, at + 4, big)
    low = _u32(data, at + 4, big) if big else _u32(data, at, big)
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
def _block_here(data, at, end, final, state, passing):
    """Whether a block of a known type with agreeing lengths stands at `at`: 1 yes, 0 no, -1 bytes behind the window decide.

    With `passing`, the lengths must be such that a search may rely on them (shorter than MAX_SEARCHED_BYTES).
    """
    if at + 12 > end:
        return 0 if final else -1
    big = state[BIG]
    kind = _u32(data, at, big)
    if kind == SECTION_HEADER:  # reads the same in both byte orders
        if _u32(data, at + 8, 0) == 0x1A2B3C4D:
            big = 0
        elif _u32(data, at + 8, 1) == 0x1A2B3C4D:
            big = 1
        else:
            return 0
    elif not (1 <= kind <= 10 or kind == CUSTOM or kind == CUSTOM_NO_COPY):
        return 0
    length = _u32(data, at + 4, big)
    if length < 12 or length > (MAX_SEARCHED_BYTES if passing else MAX_BLOCK_BYTES) or length & 3:
        return 0
    if at + length > end:
        return 0 if final else -1
    return 1 if _u32(data, at + length - 4, big) == length else 0


@part
def _find_block(data, at, end, final, state):
    """First place from `at` on where a block stands; (place, 1), or (place to go on from, 0) when more bytes are needed."""
    while at + 12 <= end:
        verdict = _block_here(data, at, end, final, state, True)
        if verdict != 0:
            return at, (1 if verdict > 0 else 0)
        at += 1
    return at, 0


@part
def _describe_interface(data, at, end, big, interfaces, which):
    """Fill a row of `interfaces` from an interface description block's body in data[at:end]."""
    link = _u16(data, at, big)
    interfaces[which, I_LINK] = link
    interfaces[which, I_SNAP] = _u32(data, at + 4, big)
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
        high = _u32(data, place, big) if big else _u32(data, place + 4, big)
        low = _u32(data, place + 4, big) if big else _u32(data, place, big)
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
        INTERFACES_FULL, call again with a longer `interfaces` (at most MAX_INTERFACES).

    Source: draft-ietf-opsawg-pcapng §3-4.
    """
    at, big = state[AT], state[BIG]
    last_ns, newest_ns, first_ns, n_timed = state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED]
    capacity = out_frames.shape[0]
    n_bytes = state[BYTES]
    rows = 0
    needed = 12
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
            if _u32(data, at, big) == state[PASS_LENGTH]:
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
        kind = _u32(data, at, big)
        order = big
        good = True
        if kind == SECTION_HEADER:
            if _u32(data, at + 8, 0) == 0x1A2B3C4D:
                order = 0
            elif _u32(data, at + 8, 1) == 0x1A2B3C4D:
                order = 1
            else:
                good = False
        length = _u32(data, at + 4, order)
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
        if good and _u32(data, at + padded - 4, order) != length:
            # the block is believed if another one follows where it ends, and nothing else is
            follows = _block_here(data, at + padded, end, final, state, True)
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
        if kind == PACKET:
            if length >= 32:
                which = _u32(data, at + 8, big)
                high = _u32(data, at + 12, big)
                low = _u32(data, at + 16, big)
                captured = _u32(data, at + 20, big)
                original = _u32(data, at + 24, big)
                body = at + 28
                room = length - 32
                timed = True
                options = body + ((captured + 3) & ~3)
            else:
                state[MISFIT] += 1
        elif kind == OLD_PACKET:
            if length >= 32:
                which = _u16(data, at + 8, big)
                high = _u32(data, at + 12, big)
                low = _u32(data, at + 16, big)
                captured = _u32(data, at + 20, big)
                original = _u32(data, at + 24, big)
                body = at + 28
                room = length - 32
                timed = True
                drops = _u16(data, at + 10, big)
                if drops != 0xFFFF:
                    state[DROP_OPTIONS] = min(state[DROP_OPTIONS] + drops, MAX_NS)
                    state[HAS_DROP_OPTIONS] = 1
            else:
                state[MISFIT] += 1
        elif kind == SIMPLE_PACKET:
            if length >= 16:
                which = 0
                original = _u32(data, at + 8, big)
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
                slot = _u32(data, at + 8, big)
                if slot < state[N_INTERFACES]:
                    _count_drops(data, at + 20, at + length - 4, big, state, interfaces, slot)
            else:
                state[MISFIT] += 1
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
    state[LAST_NS], state[NEWEST_NS], state[FIRST_NS], state[N_TIMED] = last_ns, newest_ns, first_ns, n_timed
    state[PACKETS] += rows
    state[BYTES] = n_bytes
    return rows
