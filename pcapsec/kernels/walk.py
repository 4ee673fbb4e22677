"""The walk over capture records: bytes of a window in, one row a frame out. Here that over pcap, in walk_ng.py that over pcapng.

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
SECRET_AT = LINKS + MAX_LINKS  # where the body of a decryption secrets block begins, and how long it is, when the walk stopped right behind one, else 0
SECRET_LENGTH = SECRET_AT + 1
STATE_COLUMNS = SECRET_LENGTH + 1

# STATUS
WINDOW_DONE, ROWS_FULL, INTERFACES_FULL, HEADER_INSIDE, SECRETS_HERE = range(5)

NO_LINK = 65536  # no LINKTYPE: of a row that is no packet of a known interface

MAX_CAPTURED_BYTES = 262144  # tcpdump's and Wireshark's own limit for a frame
MAX_ORIGINAL_BYTES = 1 << 26  # a longer "original length" is not believed while searching
MAX_BLOCK_BYTES = 1 << 24  # a pcapng block with packets is far smaller; a longer one is damage
MAX_NS = 9_223_372_036_000_000_000  # year 2262; times beyond are held here
NEAR_S = 86400
NEAR_NS = NEAR_S * 1_000_000_000
BACKSTEP_NS = 3600 * 1_000_000_000


@part
def u16(data, at, big):
    """Two bytes as an int64; the caller has checked that they are there."""
    if big:
        return (int64(data[at]) << 8) | int64(data[at + 1])
    return (int64(data[at + 1]) << 8) | int64(data[at])


@part
def u32(data, at, big):
    """Four bytes as an int64; the caller has checked that they are there."""
    if big:
        return (int64(data[at]) << 24) | (int64(data[at + 1]) << 16) | (int64(data[at + 2]) << 8) | int64(data[at + 3])
    return (int64(data[at + 3]) << 24) | (int64(data[at + 2]) << 16) | (int64(data[at + 1]) << 8) | int64(data[at])


@part
def _believable(data, at, big, nano, limit, order):
    """Captured length of a record header that can be true, -1 otherwise; 16 bytes are there."""
    fraction = u32(data, at + 4, big)
    captured = u32(data, at + 8, big)
    original = u32(data, at + 12, big)
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
        time_s = u32(data, at, big)
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
    big, header, order = state[BIG], state[HEADER], state[LENGTH_ORDER]
    limit = min(state[LIMIT], MAX_CAPTURED_BYTES)
    while at + header <= end:
        captured = u32(data, at + 8, big)
        if order:
            captured = min(captured, u32(data, at + 12, big))
        if 1 <= captured <= limit:  # most places fail here, and quickly
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
        magic = u32(data, at, big)
        if (magic == 0xA1B2C3D4 or magic == 0xA1B23C4D) and u16(data, at + 4, big) == 2 and u16(data, at + 6, big) == 4:
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
        time_s = u32(data, at, big)
        fraction = u32(data, at + 4, big)
        captured = u32(data, at + 8, big)
        original = u32(data, at + 12, big)
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
                next_captured = u32(data, follows + 8, big)
                if order and (order == 1 or next_captured > u32(data, follows + 12, big)):
                    next_captured = u32(data, follows + 12, big)
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
