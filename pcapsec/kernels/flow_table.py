"""The flow table's own business: finding, adding and forgetting flows, keeping and releasing their segments."""
from __future__ import annotations

from .jit import kernel, part
from .layers import ACK
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

MASK32 = 0xFFFFFFFF


@part
def distance(later, earlier):
    """Signed distance of two sequence numbers (RFC 9293 §3.4)."""
    return ((later - earlier + 0x80000000) & MASK32) - 0x80000000


@part
def mix(x):
    x = (x ^ ((x >> 31) & 0x1FFFFFFFF)) * -0x61C8864680B583EB
    x = (x ^ ((x >> 29) & 0x7FFFFFFFF)) * -0x4B47D0C5A6B3F1D3
    return x ^ ((x >> 32) & MASK32)


@part
def pair_hash(a0, a1, b0, b1, seed):
    """Hash of two addresses in their order; the seed is drawn anew for each run, so that no capture can be made to crowd one place of a table."""
    return mix(mix(a0 + seed) ^ a1) ^ mix(mix(b0 ^ seed) + b1)


@part
def find(flows, index, key_hash, a0, a1, b0, b1, ports):
    """Number of the flow with this key, -1 when there is none."""
    mask = len(index) - 1
    slot = key_hash & mask
    while True:
        entry = int(index[slot])
        if entry == 0:
            return -1
        entry -= 1
        if flows[entry, KEY_PORTS] == ports and flows[entry, KEY_A1] == a1 and flows[entry, KEY_B1] == b1 and flows[entry, KEY_A0] == a0 \
                and flows[entry, KEY_B0] == b0:
            return entry
        slot = (slot + 1) & mask


@part
def hash_of(flows, entry, seed):
    return mix(pair_hash(flows[entry, KEY_A0], flows[entry, KEY_A1], flows[entry, KEY_B0], flows[entry, KEY_B1], seed) ^ flows[entry, KEY_PORTS])


@part
def insert(flows, index, entry, seed):
    mask = len(index) - 1
    slot = hash_of(flows, entry, seed) & mask
    while index[slot] != 0:
        slot = (slot + 1) & mask
    index[slot] = entry + 1


@part
def unlink(flows, index, scalars, entry, seed):
    """Take a flow out of the index, closing the hole behind it so that later probes need no tombstones."""
    mask = len(index) - 1
    slot = hash_of(flows, entry, seed) & mask
    while index[slot] != entry + 1:
        if index[slot] == 0:
            return
        slot = (slot + 1) & mask
    hole = slot
    scalars[INDEX_USED] -= 1
    while True:
        slot = (slot + 1) & mask
        other = int(index[slot])
        if other == 0:
            break
        home = hash_of(flows, other - 1, seed) & mask
        if ((slot - home) & mask) >= ((slot - hole) & mask):
            index[hole] = other
            hole = slot
    index[hole] = 0


@part
def free_segments(flows, segments, blocks, scalars, entry):
    """Give back everything a flow keeps."""
    row = (flows[entry, SEGMENTS] >> 32) - 1
    while row >= 0:
        following = segments[row, S_NEXT] - 1
        release_segment(segments, blocks, scalars, row)
        row = following
    flows[entry, SEGMENTS] = 0
    flows[entry, KEPT] = 0


@part
def release_segment(segments, blocks, scalars, row):
    """Give back one kept segment and its bytes."""
    n_blocks = ((segments[row, S_LENGTH] >> 32) + BLOCK - 1) // BLOCK
    if n_blocks > 0:
        scalars[LIVE_BYTES] -= n_blocks * BLOCK
        head = segments[row, S_AT] >> 3
        blocks[head] = scalars[ARENA_FREE + n_blocks]
        scalars[ARENA_FREE + n_blocks] = segments[row, S_AT] + 1
    segments[row, S_NEXT] = scalars[SEGMENT_FREE]
    scalars[SEGMENT_FREE] = row + 1
    scalars[N_LIVE] -= 1


@part
def append_segment(t, entry, side, sequence, captured, wire, place, ts_ns, frame, info):
    """Put a segment, or a note that stands for some, behind what a flow keeps; returns its row. The caller knows that there is room."""
    segments, scalars, flows = t.segments, t.scalars, t.flows
    row = scalars[SEGMENT_FREE] - 1
    if row >= 0:
        scalars[SEGMENT_FREE] = segments[row, S_NEXT]
    else:
        row = scalars[SEGMENT_TOP]
        scalars[SEGMENT_TOP] = row + 1
    scalars[N_LIVE] += 1
    segments[row, S_FLOW] = side
    segments[row, S_SEQ] = (sequence << 32) | t.packet[ACK]
    segments[row, S_LENGTH] = (captured << 32) | wire
    segments[row, S_AT] = place
    segments[row, S_NS] = ts_ns
    segments[row, S_FRAME] = frame
    segments[row, S_NEXT] = 0
    segments[row, S_INFO] = info
    ends = flows[entry, SEGMENTS]
    tail = (ends & MASK32) - 1
    if tail >= 0:
        segments[tail, S_NEXT] = row + 1
        flows[entry, SEGMENTS] = (ends & ~MASK32) | (row + 1)
    else:
        flows[entry, SEGMENTS] = ((row + 1) << 32) | (row + 1)
    flows[entry, KEPT] += (captured << 32) + 1
    return row


@part
def allocate(blocks, scalars, n_blocks, arena_bytes):
    """(arena offset, blocks) of n_blocks contiguous blocks, or of fewer where no stretch is that long any more; -1 when the arena is full.

    Freed stretches are not joined again, so after many short ones there may be none for a long payload although most of the arena is free.
    """
    head = scalars[ARENA_FREE + n_blocks]
    if head:
        scalars[ARENA_FREE + n_blocks] = blocks[(head - 1) >> 3]
        scalars[LIVE_BYTES] += n_blocks * BLOCK
        return head - 1, n_blocks
    at = scalars[ARENA_TOP]
    if at + n_blocks * BLOCK <= arena_bytes:
        scalars[ARENA_TOP] = at + n_blocks * BLOCK
        scalars[LIVE_BYTES] += n_blocks * BLOCK
        return at, n_blocks
    for size in range(n_blocks + 1, MAX_BLOCKS + 1):
        head = scalars[ARENA_FREE + size]
        if head:  # the rest of a longer stretch goes to its own list
            scalars[ARENA_FREE + size] = blocks[(head - 1) >> 3]
            rest = head - 1 + n_blocks * BLOCK
            blocks[rest >> 3] = scalars[ARENA_FREE + size - n_blocks]
            scalars[ARENA_FREE + size - n_blocks] = rest + 1
            scalars[LIVE_BYTES] += n_blocks * BLOCK
            return head - 1, n_blocks
    size = (arena_bytes - at) // BLOCK
    if size > 0:
        scalars[ARENA_TOP] = at + size * BLOCK
        scalars[LIVE_BYTES] += size * BLOCK
        return at, size
    for size in range(n_blocks - 1, 0, -1):
        head = scalars[ARENA_FREE + size]
        if head:
            scalars[ARENA_FREE + size] = blocks[(head - 1) >> 3]
            scalars[LIVE_BYTES] += size * BLOCK
            return head - 1, size
    return -1, 0


@part
def way(table, key_hash):
    """(row that holds a hash or -1, row to write it to) in a table of sets of WAYS: an empty row, else the oldest. Column 0 is the hash, column 1 the time."""
    first = (key_hash & (len(table) // WAYS - 1)) * WAYS
    victim = first
    for row in range(first, first + WAYS):
        if table[row, 0] == key_hash:
            return row, row
        if table[victim, 0] != 0 and (table[row, 0] == 0 or table[row, 1] < table[victim, 1]):
            victim = row
    return -1, victim


@part
def count_flow(t, entry):
    kind = t.flows[entry, STATE] & CLASS_MASK
    t.scalars[CLASS_FLOWS + kind] += 1
    t.scalars[CLASS_BYTES + kind] += (t.flows[entry, BYTES_A] >> 24) + (t.flows[entry, BYTES_B] >> 24)


@part
def drop_flow(t, entry):
    """Forget a flow: count it by class, take it out of the index, free its entry."""
    flows, scalars = t.flows, t.scalars
    if flows[entry, STATE] & CLASS_MASK != DONE_WITH:
        count_flow(t, entry)
    free_segments(flows, t.segments, t.blocks, scalars, entry)
    if not flows[entry, STATE] & DETACHED:
        unlink(flows, t.index, scalars, entry, t.parameters[P_SEED])
    flows[entry, STATE] = FREE
    flows[entry, SEGMENTS] = scalars[FLOW_FREE]
    scalars[FLOW_FREE] = entry + 1


@kernel
def rehash(t, index):
    """Fill a larger, empty index int32[:] with all linked flows."""
    for entry in range(t.scalars[FLOW_TOP]):
        state = t.flows[entry, STATE]
        if (state & CLASS_MASK) != FREE and not state & DETACHED:
            insert(t.flows, index, entry, t.parameters[P_SEED])


@kernel
def steer(t, entries, orders):
    """Carry out what parsers said of flows: orders int64[n]: 0 go on, 1 count both sides from now on, 2 forget the flow, 3 it is something else, 4 it is HTTP."""
    for i in range(len(entries)):
        entry = entries[i]
        if orders[i] == 1:
            t.flows[entry, STATE] |= COUNT_A | COUNT_B
            free_segments(t.flows, t.segments, t.blocks, t.scalars, entry)
        elif orders[i] == 2:
            state = t.flows[entry, STATE]
            if state & (DETACHED | EVICTED):
                drop_flow(t, entry)
            else:  # the entry stays a while, so that late copies of its segments do not look like a new conversation
                count_flow(t, entry)
                free_segments(t.flows, t.segments, t.blocks, t.scalars, entry)
                t.flows[entry, STATE] = (state & ~CLASS_MASK) | DONE_WITH
        elif orders[i] == 4:
            if t.flows[entry, STATE] & CLASS_MASK < LAST_KEPT:
                t.flows[entry, STATE] = (t.flows[entry, STATE] & ~(CLASS_MASK | 15 << TRIES_SHIFT)) | HTTP
        elif orders[i] == 3:
            free_segments(t.flows, t.segments, t.blocks, t.scalars, entry)
            t.flows[entry, STATE] = (t.flows[entry, STATE] & ~CLASS_MASK) | OTHER
            if t.flows[entry, STATE] & (DETACHED | EVICTED):
                drop_flow(t, entry)


@kernel
def sweep(t, start, now_ns, settle_ns, linger_ns, idle_mail_ns, idle_other_ns, kept_limit, evict, out_ready):
    """Look over the flow table: choose flows to parse, drop those that are over and were never kept.

    Args:
        t Tables; start int64: flow to begin at; now_ns int64
        settle_ns int64      age after FIN or RST at which a conversation is parsed to its end
        linger_ns int64      age after FIN or RST at which an entry is forgotten
        idle_mail_ns, idle_other_ns int64   age of flows without an end
        kept_limit int64     bytes kept of a flow that make it be parsed in part
        evict int64          1: flows ended by age are marked evicted and counted
        out_ready int64[n, 2]  written: flow, 1 if over else 0
    Returns: (n_ready, flow to go on at, or -1 when all were looked at).
    """
    flows, scalars = t.flows, t.scalars
    n_ready = 0
    for entry in range(start, scalars[FLOW_TOP]):
        state = flows[entry, STATE]
        kind = state & CLASS_MASK
        if kind == FREE:
            continue
        age = now_ns - flows[entry, LAST_NS]
        ended = (state & (FIN_A | FIN_B)) == (FIN_A | FIN_B) or state & (RST_A | RST_B)
        if kind <= LAST_KEPT:
            aged = age > idle_mail_ns
            over = state & DETACHED or ended and age > settle_ns or aged
            if over or (flows[entry, KEPT] >> 32) > kept_limit or (flows[entry, KEPT] & MASK32) > 4096:
                if n_ready == len(out_ready):
                    return n_ready, entry
                if evict and aged and not ended and not state & DETACHED:
                    flows[entry, STATE] |= EVICTED
                    scalars[C_EVICTED] += 1
                out_ready[n_ready, 0] = entry
                out_ready[n_ready, 1] = 1 if over else 0
                n_ready += 1
        elif state & DETACHED or ended and age > (4 * linger_ns if kind == DONE_WITH else linger_ns) or age > idle_other_ns:
            if evict and not ended and not state & DETACHED:
                scalars[C_EVICTED] += 1
            drop_flow(t, entry)
    return n_ready, -1
