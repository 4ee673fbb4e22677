"""The three loops that touch every frame, compiled. Input is our own tables, so there is nothing hostile here."""
from __future__ import annotations

import numpy as np
from numba import njit

from .library import ACK, TCP, UDP
from .script import VALUE_BYTES

# a conversation that is being played
PLAY = np.dtype([("start_ns", "i8"), ("rtt_ns", "f8"), ("pace", "f8"), ("row", "i8"), ("left", "i4"), ("v6", "i4"), ("addresses", "u1", (32,)),
                 ("ports", "i4", (2,)), ("isn", "i8", (2,)), ("ip_id", "i8", (2,)), ("stamp", "i8", (2,)), ("ttl", "i4", (2,)),
                 ("values", "u1", (VALUE_BYTES,))])
MIN_GAP_NS = 1_000  # between two frames of one conversation: a reordered frame fits in between
REORDER_WITHIN_NS = 1_000_000
# columns of the counters; one row for mail, one for the rest
FRAMES, BYTES, LOST_PAYLOAD, LOST_PURE, DUPLICATED_PAYLOAD, DUPLICATED_PURE, REORDERED_PAYLOAD, REORDERED_PURE, SEGMENTS, N_COUNTERS = range(10)


@njit
def payload_sums(rows, pool):
    """Set the ones' complement sum of each row's payload; slots are still zero and count nothing."""
    for i in range(len(rows)):
        total = np.int64(0)
        base = rows[i].pool_at
        for j in range(rows[i].length):
            byte = np.int64(pool[base + j])
            total += byte if j & 1 else byte << 8
        rows[i].payload_sum = total


@njit
def _random(state):
    """splitmix64."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit
def _unit(state):
    return np.float64(_random(state) >> np.uint64(11)) / 9007199254740992.0


@njit
def schedule(rows, plays, slots_of, n_rows, first_number, seed, lost, duplicated, reordered, room, debt, out_time, out_play, out_row, out_lost, counters):
    """Frames of new conversations with their times; loss, duplication and reordering are decided here.

    Args:
        rows: ROW[]; plays: PLAY[]; slots_of: int64[n] where in plays the new ones stand; n_rows: int64[n] frames of each.
        first_number: number of the first conversation, for the random numbers; seed: uint64.
        lost, duplicated, reordered: probabilities. room: bytes that may still be made.
        debt: int64[1], reorderings that found no neighbour near enough and wait for a burst of segments.
        out_time int64[], out_play int32[], out_row int64[]: frames. out_lost int64[n, 2]: conversation in this call, row. counters int64[2, N_COUNTERS].

    Returns:
        (conversations taken, frames, lost frames, bytes made)
    """
    n_out, n_lost, made = 0, 0, np.int64(0)
    taken = 0
    for c in range(len(slots_of)):
        if made >= room:
            break
        taken += 1
        play = plays[slots_of[c]]
        header = 16 + 14 + (40 if play.v6 else 20)
        left = 0
        last = play.row + n_rows[c] - 1
        for r in range(play.row, last + 1):
            row = rows[r]
            at = play.start_ns + np.int64(row.rtts * play.rtt_ns + row.ns * play.pace)
            state = _random(seed ^ (np.uint64(first_number + c) << np.uint64(24)) ^ np.uint64(r - play.row))
            chance = _unit(state)
            mail = np.int64(row.mail)
            pure = 1 if row.length == 0 else 0
            copies, chosen = 1, False
            if row.kind != UDP:
                counters[mail, SEGMENTS] += 1
                if chance < lost:
                    counters[mail, LOST_PAYLOAD + pure] += 1
                    out_lost[n_lost, 0], out_lost[n_lost, 1] = c, r
                    n_lost += 1
                    continue
                if chance < lost + duplicated:
                    copies = 2
                    counters[mail, DUPLICATED_PAYLOAD + pure] += 1
                elif chance < lost + duplicated + reordered:
                    chosen = True
            size = np.int64(header + row.length) + (8 if row.kind == UDP else 32 if row.kind == TCP else 40)
            when = at
            if copies == 1 and row.kind != UDP and r < last and (chosen or (debt[0] > 0 and pure == 0 and rows[r + 1].side == row.side)):
                near = play.start_ns + np.int64(rows[r + 1].rtts * play.rtt_ns + rows[r + 1].ns * play.pace)
                if near - at < REORDER_WITHIN_NS and (chosen or _random(state + np.uint64(1)) & np.uint64(3) == np.uint64(0)):
                    when = near + 200 + np.int64(_random(state + np.uint64(2)) % np.uint64(600))
                    steps = 1 + np.int64(_random(state + np.uint64(3)) % np.uint64(3))  # behind the next one, two or three
                    for k in range(2, steps + 1):
                        if r + k > last:
                            break
                        far = play.start_ns + np.int64(rows[r + k].rtts * play.rtt_ns + rows[r + k].ns * play.pace)
                        if far - at >= REORDER_WITHIN_NS:
                            break
                        when = far + 200
                    if not chosen:
                        debt[0] -= 1
                    chosen = False
                    counters[mail, REORDERED_PAYLOAD + pure] += 1
            if chosen:
                debt[0] += 1
            for copy in range(copies):
                if copy:
                    when = at + 500 + np.int64(_random(state + np.uint64(4)) % np.uint64(900_000))
                out_time[n_out], out_play[n_out], out_row[n_out] = when, slots_of[c], r
                n_out += 1
                left += 1
                made += size
                counters[mail, FRAMES] += 1
                counters[mail, BYTES] += size
        plays[slots_of[c]].left = left
    return taken, n_out, n_lost, made


@njit
def _put16(out, at, value):
    out[at] = (value >> 8) & 0xFF
    out[at + 1] = value & 0xFF


@njit
def _put32(out, at, value):
    out[at] = (value >> 24) & 0xFF
    out[at + 1] = (value >> 16) & 0xFF
    out[at + 2] = (value >> 8) & 0xFF
    out[at + 3] = value & 0xFF


@njit
def _little32(out, at, value):
    out[at] = value & 0xFF
    out[at + 1] = (value >> 8) & 0xFF
    out[at + 2] = (value >> 16) & 0xFF
    out[at + 3] = (value >> 24) & 0xFF


@njit
def _sum(out, start, end):
    total = np.int64(0)
    for j in range(start, end - 1, 2):
        total += (np.int64(out[j]) << 8) + out[j + 1]
    if (end - start) & 1:
        total += np.int64(out[end - 1]) << 8
    return total


@njit
def _fold(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total) & 0xFFFF


@njit
def _stamp(play, row, side):
    """TCP timestamp of a side at one of its frames, in ms."""
    return play.stamp[side] + np.int64(play.start_ns + row.rtts * play.rtt_ns + row.ns * play.pace) // 1_000_000


@njit
def emit(times, of_play, of_row, first, rows, slots, pool, plays, ticks_ns, out, out_done):
    """Write frames with pcap record headers into `out` until it is full.

    Args:
        times int64[] ns since 1970, of_play int32[], of_row int64[]: frames in order; first: where to begin.
        ticks_ns: 1 for a nanosecond pcap, 1000 for microseconds.
        out: uint8[]. out_done int32[]: places in plays that came to their end.

    Returns:
        (next frame, bytes written, conversations ended)
    """
    at, n_done = 0, 0
    n = first
    while n < len(times) and at + 2_048 <= len(out):
        p = of_play[n]
        play = plays[p]
        row = rows[of_row[n]]
        side = np.int64(row.side)
        peer = 1 - side
        length = np.int64(row.length)
        transport = 8 if row.kind == UDP else 32 if row.kind == TCP else 40
        ip = at + 30
        head = 40 if play.v6 else 20
        total = 14 + head + transport + length
        _little32(out, at, times[n] // 1_000_000_000)
        _little32(out, at + 4, times[n] % 1_000_000_000 // ticks_ns)
        _little32(out, at + 8, total)
        _little32(out, at + 12, total)
        for j in range(2):  # Ethernet: both routers of the segment
            mac = at + 16 + 6 * j
            out[mac], out[mac + 1], out[mac + 2], out[mac + 3], out[mac + 4], out[mac + 5] = 0x02, 0, 0x5E, 0, 0, 1 + (side ^ j)
        number = (play.ip_id[side] + row.number) & 0xFFFF
        protocol = 17 if row.kind == UDP else 6
        if play.v6:
            out[at + 28], out[at + 29] = 0x86, 0xDD
            _put32(out, ip, 0x60000000 | (play.isn[side] & 0xFFFFF))
            _put16(out, ip + 4, transport + length)
            out[ip + 6], out[ip + 7] = protocol, play.ttl[side]
            for j in range(16):
                out[ip + 8 + j] = play.addresses[16 * side + j]
                out[ip + 24 + j] = play.addresses[16 * peer + j]
            pseudo = _sum(out, ip + 8, ip + 40)
        else:
            out[at + 28], out[at + 29] = 0x08, 0
            out[ip], out[ip + 1] = 0x45, 0
            _put16(out, ip + 2, total - 14)
            _put16(out, ip + 4, number)
            out[ip + 6], out[ip + 7], out[ip + 8], out[ip + 9], out[ip + 10], out[ip + 11] = 0x40, 0, play.ttl[side], protocol, 0, 0
            for j in range(4):
                out[ip + 12 + j] = play.addresses[16 * side + j]
                out[ip + 16 + j] = play.addresses[16 * peer + j]
            _put16(out, ip + 10, _fold(_sum(out, ip, ip + 20)))
            pseudo = _sum(out, ip + 12, ip + 20)
        tcp = ip + head
        _put16(out, tcp, play.ports[side])
        _put16(out, tcp + 2, play.ports[peer])
        if row.kind == UDP:
            _put16(out, tcp + 4, 8 + length)
            _put16(out, tcp + 6, 0)
        else:
            _put32(out, tcp + 4, play.isn[side] + row.seq)
            _put32(out, tcp + 8, play.isn[peer] + row.ack if row.flags & ACK else 0)
            out[tcp + 12], out[tcp + 13] = transport // 4 << 4, row.flags
            _put16(out, tcp + 14, 64240 if row.kind != TCP else 4096)
            _put32(out, tcp + 16, 0)
            option = tcp + 20
            if row.kind != TCP:  # MSS, SACK permitted
                _put32(out, option, 0x02040000 | (1440 if play.v6 else 1460))
                _put16(out, option + 4, 0x0402)
                option += 6
            else:
                _put16(out, option, 0x0101)
                option += 2
            _put16(out, option, 0x080A)
            _put32(out, option + 2, _stamp(play, row, side))
            _put32(out, option + 6, _stamp(play, rows[play.row + row.echo], peer) if row.echo >= 0 else 0)
            if row.kind != TCP:
                _put32(out, option + 10, 0x01030307)  # window scale 7
        body = tcp + transport
        out[body:body + length] = pool[row.pool_at:row.pool_at + length]
        check = pseudo + protocol + transport + length + _sum(out, tcp, body) + row.payload_sum
        for s in range(row.slot, row.slot_end):
            for j in range(slots[s].width):
                byte = np.int64(play.values[slots[s].value_at + j])
                where = np.int64(slots[s].at) + j
                out[body + where] = byte
                check += byte if where & 1 else byte << 8
        check = _fold(check)
        if row.kind == UDP:
            _put16(out, tcp + 6, check if check else 0xFFFF)
        else:
            _put16(out, tcp + 16, check)
        at = body + length
        plays[p].left -= 1
        if plays[p].left == 0:
            out_done[n_done] = p
            n_done += 1
        n += 1
    return n, at, n_done
