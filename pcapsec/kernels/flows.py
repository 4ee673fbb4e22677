"""Frames in, kept segments of possible mail conversations out: duplicates, fragments, the flow table, the sift.

A flow has an entry from its first payload on. SYNs write to a direct-mapped table only, so a SYN flood costs nothing and can at worst make
starts unknown. What the sift calls something else is counted and never stored.
"""
from __future__ import annotations


from .calls import count_call
from .datagrams import keep, of_use
from .flow_table import MASK32, distance, find, free_segments, insert, mix, pair_hash, unlink, way
from .jit import inlined, kernel, part
from .keeping import drop, ended, has_alert, in_turn, note_ending, store, tls_bytes_of_use, turns_to_tls
from .layers import (ACK, ACK_FLAG, DPORT, DST_HIGH, DST_LOW, ESP, FIN, FLAGS, FRAGMENT, FRAGMENT_AT, FRAGMENT_END, FRAGMENT_ID, FRAGMENT_MORE, FRAGMENT_PROTOCOL,
                     FRAGMENT_START, IP_ID, IP_LENGTH, OTHER_IP, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, RST, SEQ, SPORT, SRC_HIGH, SRC_LOW, SYN, TCP, TCP_CHECKSUM, TTL, TUNNEL,
                     UDP, UNDECODED, VLAN, WRAPPED, CUT, W_AH, checksum_state, decode, timestamp)
from .names import DNS_PORT, note_answer
from .sift import MAIL_PORTS, sift
from .sift import HTTP as SAYS_HTTP
from .sift import LDAP as SAYS_LDAP
from .sift import OTHER as SAYS_OTHER
from .sift import RPC as SAYS_RPC
from .sift import SMB as SAYS_SMB
from .sift import TLS as SAYS_TLS
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_SYN_FRESH_NS = 300_000_000_000  # a SYN older than five minutes belongs to another conversation
_TIME_MASK = (1 << 28) - 1
_SIFT_TRIES = 4  # segments looked at in a flow whose start was not seen


@part
def _classify(data, t, entry, side, sequence, port_kind):
    """Look at a segment of an undecided flow; returns the class from now on."""
    flows, packet = t.flows, t.packet
    state = flows[entry, STATE]
    start_known = state & (ISN_B if side else ISN_A)
    base = (flows[entry, BASE] & MASK32) if side else (flows[entry, BASE] >> 32) & MASK32
    if start_known and sequence != base:
        if (flows[entry, KEPT] >> 32) > KEPT_UNDECIDED:
            return MAIL if port_kind else OTHER
        return UNDECIDED
    at = packet[PAYLOAD_AT]
    if packet[PAYLOAD_LENGTH] == 0:  # cut off by the snap length: nothing to look at, and nothing to come
        return MAIL if port_kind else OTHER
    says = sift(data, at, at + packet[PAYLOAD_LENGTH], port_kind)
    if says == SAYS_TLS:
        return MAIL_TLS if port_kind else TLS
    if says == SAYS_HTTP:
        return HTTP
    if says == SAYS_RPC:
        return RPC
    if says == SAYS_LDAP:
        return LDAP
    if says == SAYS_SMB:
        return SMB
    if says == SAYS_OTHER:
        if port_kind:
            return MAIL
        if start_known:
            return OTHER
        tries = ((state >> TRIES_SHIFT) & 15) + 1
        flows[entry, STATE] = (state & ~(15 << TRIES_SHIFT)) | (tries << TRIES_SHIFT)
        return OTHER if tries >= _SIFT_TRIES else UNDECIDED
    return MAIL


@part
def _new_flow(t, key_hash, a0, a1, b0, b1, ports, side, sequence, ts_ns, frame):
    """A flow entry for a first payload, with what a remembered SYN tells; -1 when the table is full."""
    flows, scalars, syns = t.flows, t.scalars, t.syns
    entry = scalars[FLOW_FREE] - 1
    if entry >= 0:
        scalars[FLOW_FREE] = flows[entry, SEGMENTS]
    else:
        entry = scalars[FLOW_TOP]
        if entry >= len(flows):
            return -1
        scalars[FLOW_TOP] = entry + 1
    flows[entry, KEY_A0] = a0
    flows[entry, KEY_A1] = a1
    flows[entry, KEY_B0] = b0
    flows[entry, KEY_B1] = b1
    flows[entry, KEY_PORTS] = ports
    state = UNDECIDED | (t.packet[WRAPPED] << WRAP_SHIFT) | (t.packet[VLAN] << VLAN_SHIFT)
    first_ns, first_frame = ts_ns, frame
    base = start = 0
    row, victim = way(syns, key_hash)
    if row >= 0 and ts_ns - syns[row, 1] < _SYN_FRESH_NS:
        who = syns[row, 3] & 15
        mine = (syns[row, 2] & MASK32) if side else (syns[row, 2] >> 32) & MASK32
        known = who & (10 if side else 5)
        if not known or -2 < distance(sequence, mine + 1) < (1 << 26):
            first_ns, first_frame, start = syns[row, 1], syns[row, 3] >> 24, syns[row, 3] & 0xFFFFFF
            state |= who << 6
            if who & 5 or syns[row, 3] & 16:
                state |= ISN_A | SEEN_A
            if who & 10 or syns[row, 3] & 16:
                state |= ISN_B | SEEN_B
            base = ((((syns[row, 2] >> 32) + 1) & MASK32) << 32) | (((syns[row, 2] & MASK32) + 1) & MASK32)
            syns[row, 0] = 0
    elif syns[victim, 0] != 0:
        state |= OVERWRITTEN
        scalars[C_UNKNOWN_STARTS] += 1
    t.starts[entry] = start
    flows[entry, STATE] = state
    flows[entry, BASE] = base
    flows[entry, NEXT] = base
    flows[entry, ACKED] = 0
    flows[entry, FIRST_NS] = first_ns
    flows[entry, LAST_NS] = ts_ns
    flows[entry, BYTES_A] = 0
    flows[entry, BYTES_B] = 0
    flows[entry, FRAMES] = first_frame << 28
    flows[entry, SEGMENTS] = 0
    flows[entry, KEPT] = 0
    if t.calls[entry & (CALL_ROWS - 1), C_OWNER] == entry + 1:
        t.calls[entry & (CALL_ROWS - 1), C_OWNER] = 0
    insert(flows, t.index, entry, t.parameters[P_SEED])
    scalars[INDEX_USED] += 1
    return entry


@part
def _remember_syn(data, t, key_hash, side, ts_ns, frame):
    """Write a SYN or SYN/ACK to the direct-mapped table."""
    packet, syns = t.packet, t.syns
    known_row, row = way(syns, key_hash)
    answer = packet[FLAGS] & ACK_FLAG
    sequence = packet[SEQ]
    stored = syns[row, 2] if known_row >= 0 else 0
    mine = (stored & MASK32) if side else (stored >> 32) & MASK32
    known = syns[row, 3] & (10 if side else 5)
    if known_row < 0 or known and mine != sequence or ts_ns - syns[row, 1] > _SYN_FRESH_NS:
        syns[row, 0] = key_hash
        syns[row, 1] = ts_ns
        syns[row, 2] = 0
        syns[row, 3] = frame << 24
        known = 0
    syns[row, 3] |= (2 if side else 1) << (2 if answer else 0)
    if not known:
        syns[row, 3] |= packet[TTL] << (16 if side else 8) | (0 if timestamp(data, packet) < 0 else 64 if side else 32)
    if side:
        syns[row, 2] = (syns[row, 2] & ~MASK32) | sequence
    else:
        syns[row, 2] = (syns[row, 2] & MASK32) | (sequence << 32)
    if answer and not syns[row, 3] & (5 if side else 10):  # the SYN itself was missed: its number stands in the answer
        asked = (packet[ACK] - 1) & MASK32
        if side:
            syns[row, 2] = (syns[row, 2] & MASK32) | (asked << 32)
        else:
            syns[row, 2] = (syns[row, 2] & ~MASK32) | asked
        syns[row, 3] |= 16


@part
def _remember_answer(t, key_hash, side):
    """The last step of a handshake tells the other side's initial sequence number where its SYN/ACK was not seen."""
    packet, syns = t.packet, t.syns
    row, _victim = way(syns, key_hash)
    if row < 0:
        return
    who = syns[row, 3]
    if who & (10 if not side else 5) or not who & (10 if side else 5) or who & 16 or packet[FLAGS] != ACK_FLAG:
        return
    mine = (syns[row, 2] & MASK32) if side else (syns[row, 2] >> 32) & MASK32
    if packet[SEQ] != (mine + 1) & MASK32:
        return
    theirs = (packet[ACK] - 1) & MASK32
    if side:
        syns[row, 2] = (syns[row, 2] & MASK32) | (theirs << 32)
    else:
        syns[row, 2] = (syns[row, 2] & ~MASK32) | theirs
    syns[row, 3] |= 16


@part
def _detach(t, entry):
    """Another conversation begins on the same key: the old one waits to be finished."""
    t.flows[entry, STATE] |= DETACHED
    unlink(t.flows, t.index, t.scalars, entry, t.parameters[P_SEED])


@part
def _matches_filter(p, a0, a1, b0, b1, ports):
    if p[P_HOST_SET]:
        if not ((a0 & p[P_HOST_MASK0]) == p[P_HOST0] and (a1 & p[P_HOST_MASK1]) == p[P_HOST1]
                or (b0 & p[P_HOST_MASK0]) == p[P_HOST0] and (b1 & p[P_HOST_MASK1]) == p[P_HOST1]):
            return False
    if p[P_PORT]:
        return ((ports >> 48) & 0xFFFF) == p[P_PORT] or ((ports >> 32) & 0xFFFF) == p[P_PORT]
    return True


@part
def _seen_lately(seen, print_hash, ts_ns):
    """Whether a frame with this hash passed within the window. A set has four entries: 36 bits of the hash, 28 bits of time in steps of 4096 ns."""
    first = (print_hash & (SEEN_ENTRIES // 4 - 1)) * 4
    for i in range(4):
        entry = seen[first + i]
        if (entry ^ print_hash) & ~_TIME_MASK == 0:
            age = (((ts_ns >> 12) - entry + (1 << 27)) & _TIME_MASK) - (1 << 27)
            return -DUPLICATE_WINDOW_NS >> 12 <= age <= DUPLICATE_WINDOW_NS >> 12
    return False


@part
def _note_seen(seen, print_hash, ts_ns):
    """Remember a frame; the oldest of its set goes."""
    first = (print_hash & (SEEN_ENTRIES // 4 - 1)) * 4
    seen[first + 3] = seen[first + 2]
    seen[first + 2] = seen[first + 1]
    seen[first + 1] = seen[first]
    seen[first] = (print_hash & ~_TIME_MASK) | ((ts_ns >> 12) & _TIME_MASK)


@inlined
def _segment(data, t, ts_ns, frame):
    """One TCP segment into the tables; DONE, or which table must be enlarged or emptied before it is offered again."""
    packet, scalars, flows, parameters = t.packet, t.scalars, t.flows, t.parameters
    s0, s1, d0, d1 = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW]
    sport, dport = packet[SPORT], packet[DPORT]
    if s0 < d0 or s0 == d0 and (s1 < d1 or s1 == d1 and sport <= dport):
        side, a0, a1, b0, b1 = 0, s0, s1, d0, d1
        ports = (sport << 48) | (dport << 32) | packet[TUNNEL]
    else:
        side, a0, a1, b0, b1 = 1, d0, d1, s0, s1
        ports = (dport << 48) | (sport << 32) | packet[TUNNEL]
    pair = pair_hash(a0, a1, b0, b1, parameters[P_SEED])
    if parameters[P_JOBS] > 1 and ((pair >> 20) & 0xFFFFFF) % parameters[P_JOBS] != parameters[P_JOB]:
        return DONE
    if (parameters[P_HOST_SET] or parameters[P_PORT]) and not _matches_filter(parameters, a0, a1, b0, b1, ports):
        scalars[C_FILTERED] += 1
        return DONE
    if scalars[INDEX_USED] * 2 >= len(t.index):
        return INDEX_FULL
    if scalars[N_LIVE] + 64 > len(t.segments):
        return SEGMENTS_FULL
    key_hash = mix(pair ^ ports)
    flags, length, wire, sequence = packet[FLAGS], packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE], packet[SEQ]

    print_hash = mix(key_hash ^ ((sequence << 32) | packet[ACK])) ^ mix((packet[IP_ID] << 48) ^ (packet[TCP_CHECKSUM] << 32) ^ (flags << 20) ^ wire ^ (side << 62))
    duplicate = _seen_lately(t.seen, print_hash, ts_ns) and (wire > 0 or flags & (SYN | FIN | RST) or packet[IP_ID] != 0)

    entry = find(flows, t.index, key_hash, a0, a1, b0, b1, ports)
    known_state = flows[entry, STATE] if entry >= 0 else 0
    if entry >= 0 and not flags & SYN and ((known_state & CLASS_MASK) > LAST_KEPT or known_state & (COUNT_A | COUNT_B) == COUNT_A | COUNT_B):
        if duplicate or length < 50 or known_state & CLASS_MASK != OTHER or not turns_to_tls(data, t, entry, side):  # nothing of it is kept: count, and be done
            scalars[C_TCP] += 1
            if duplicate:
                scalars[C_DUPLICATES] += 1
                scalars[C_DUPLICATE_PAYLOAD] += 1 if wire > 0 else 0
                return DONE
            _note_seen(t.seen, print_hash, ts_ns)
            flows[entry, LAST_NS] = ts_ns
            flows[entry, BYTES_B if side else BYTES_A] += (length << 24) | 1
            frames = flows[entry, FRAMES]
            flows[entry, FRAMES] = (frames & ~0xFFFFFFF) | min(max(frame - (frames >> 28), frames & 0xFFFFFFF), 0xFFFFFFF)
            if known_state & CLASS_MASK <= MAIL_TLS and has_alert(data, packet[PAYLOAD_AT], length):
                flows[entry, STATE] |= ALERT_B if side else ALERT_A
            if flags & (FIN | RST):
                flows[entry, STATE] = ended(flows[entry, STATE], side, flags)
            return DONE
    if flags & SYN:
        if entry >= 0 and not duplicate:
            known = flows[entry, STATE] & (ISN_B if side else ISN_A)
            first = flows[entry, FIRST_NS]
            if known:
                row_base = (flows[entry, BASE] & MASK32) if side else (flows[entry, BASE] >> 32) & MASK32
                ahead = distance(row_base, sequence + 1)
                ends = flows[entry, STATE] & (FIN_A | FIN_B | RST_A | RST_B)
                open_yet = ends == 0 or ahead == 0 and flags & ACK_FLAG and (ends == FIN_A or ends == FIN_B)  # the answer again, to a client that has given up
                same = 0 <= ahead < (1 << 30) and ts_ns - first < 120_000_000_000 and open_yet
            else:
                same = ts_ns - first < 3_000_000_000
            if not same:
                _detach(t, entry)
                entry = -1
        if entry < 0:
            _remember_syn(data, t, key_hash, side, ts_ns, frame)
        sequence = (sequence + 1) & MASK32
    elif entry < 0 and wire == 0:
        _remember_answer(t, key_hash, side)

    if wire > 0 and not (duplicate and entry < 0):
        port_kind = max(int(MAIL_PORTS[sport]), int(MAIL_PORTS[dport]))
        if entry < 0:
            entry = _new_flow(t, key_hash, a0, a1, b0, b1, ports, side, sequence, ts_ns, frame)
            if entry < 0:
                return FLOWS_FULL
        state = flows[entry, STATE]
        kind = state & CLASS_MASK
        if kind <= LAST_KEPT and not state & (COUNT_B if side else COUNT_A):
            if kind == UNDECIDED and not duplicate:
                kind = _classify(data, t, entry, side, sequence, port_kind)
                state = (flows[entry, STATE] & ~CLASS_MASK) | kind
                if kind == HTTP or kind == SMB:
                    state &= ~(15 << TRIES_SHIFT)
                flows[entry, STATE] = state
                if kind > LAST_KEPT:
                    free_segments(flows, t.segments, t.blocks, scalars, entry)
            if kind <= LAST_KEPT:
                keep = True
                if kind == HTTP or kind == SMB:
                    keep = duplicate or in_turn(flows, entry, side, length)
                    if not keep:
                        status = drop(t, entry, side, sequence, ts_ns, frame)
                        if status != DONE:
                            return status
                elif kind == MAIL_TLS or kind == TLS or kind == MAIL:
                    keep = tls_bytes_of_use(data, t, entry, side, sequence, length, kind)
                elif kind == RPC:
                    keep = duplicate or not count_call(data, t, entry, side, sequence, ts_ns, frame)
                if keep:
                    verdict = -1
                    if length <= CHECKED_BYTES or (flows[entry, KEPT] & MASK32) < CHECKED_SEGMENTS:
                        verdict = checksum_state(data, packet)
                    marks = MARK_DUPLICATE if duplicate else 0
                    if verdict >= 0:
                        marks |= MARK_CHECKED
                        if verdict == 0:
                            marks |= MARK_BAD_CHECKSUM
                        elif verdict == 2:
                            marks |= MARK_BAD_CHECKSUM | MARK_OFFLOAD
                    if not flags & ACK_FLAG:
                        marks |= MARK_NO_ACK
                    status = store(data, t, entry, side, sequence, ts_ns, frame, marks)
                    if status != DONE:
                        return status
    scalars[C_TCP] += 1
    if duplicate:
        scalars[C_DUPLICATES] += 1
        if wire > 0:
            scalars[C_DUPLICATE_PAYLOAD] += 1
        return DONE
    _note_seen(t.seen, print_hash, ts_ns)
    if entry >= 0:
        flows[entry, LAST_NS] = max(ts_ns, flows[entry, LAST_NS])
        flows[entry, BYTES_B if side else BYTES_A] += (length << 24) | 1
        frames = flows[entry, FRAMES]
        flows[entry, FRAMES] = (frames & ~0xFFFFFFF) | min(max(frame - (frames >> 28), frames & 0xFFFFFFF), 0xFFFFFFF)
        state = flows[entry, STATE]
        if flags & (FIN | RST):
            if wire == 0 and (state & CLASS_MASK) <= LAST_KEPT and (not state & (FIN_A | FIN_B | RST_A | RST_B) or flags & RST and (flows[entry, KEPT] & MASK32) < MAX_ENDINGS):
                note_ending(data, t, entry, side, sequence, ts_ns, frame)
            state = ended(state, side, flags)
        if state & (COUNT_A | COUNT_B) and (state & CLASS_MASK) <= MAIL_TLS and has_alert(data, packet[PAYLOAD_AT], length):
            state |= ALERT_B if side else ALERT_A
        flows[entry, STATE] = state
        if (state & CLASS_MASK) <= LAST_KEPT:
            ends = flows[entry, NEXT]
            seen_end = (sequence + wire) & MASK32
            shift = 0 if side else 32
            if not state & (SEEN_B if side else SEEN_A) or distance(seen_end, (ends >> shift) & MASK32) > 0:
                if wire > 0 or flags & FIN:  # a FIN tells where the data ended, even where the last of it was lost
                    flows[entry, NEXT] = (ends & ~(MASK32 << shift)) | (seen_end << shift)
                if wire > 0:
                    flows[entry, STATE] |= SEEN_B if side else SEEN_A
            if flags & ACK_FLAG and not flags & RST:
                acked = flows[entry, ACKED]
                if acked == 0 or ((acked >> shift) & MASK32) == 0 or distance(packet[ACK], (acked >> shift) & MASK32) > 0:
                    flows[entry, ACKED] = (acked & ~(MASK32 << shift)) | (packet[ACK] << shift)
    return DONE


@part
def _gather(data, t, ts_ns):
    """Put a fragment into its slot (RFC 791 §3.2, RFC 8200 §4.5); the slot's number when the datagram is whole, else -1.

    The first bytes to arrive win; later ones are ignored where they overlap.
    """
    packet, fragments = t.packet, t.fragments
    key = mix(mix(packet[SRC_LOW] ^ mix(packet[SRC_HIGH])) ^ mix(packet[DST_LOW] ^ mix(packet[DST_HIGH])) ^ (packet[FRAGMENT_ID] << 8) ^ packet[FRAGMENT_PROTOCOL] ^ (packet[TUNNEL] << 32)) | 1
    slot = -1
    oldest = 0
    for i in range(FRAGMENT_SLOTS):
        if fragments[i, 0] == key:
            slot = i
            break
        if fragments[i, 1] < fragments[oldest, 1] or fragments[i, 0] == 0 and fragments[oldest, 0] != 0:
            oldest = i
    if slot >= 0 and not 0 <= ts_ns - fragments[slot, 1] < 60_000_000_000 and fragments[slot, 1] <= ts_ns:
        oldest, slot = slot, -1
    if slot < 0:
        slot = oldest
        if fragments[slot, 0] != 0:
            t.scalars[C_FRAGMENTS_LOST] += 1
        fragments[slot, 0] = key
        fragments[slot, 1] = ts_ns
        fragments[slot, 2] = -1
        fragments[slot, 3] = 0
        for i in range(FRAGMENT_BYTES // 8):
            t.fragment_map[slot, i] = 0
    start = packet[FRAGMENT_AT]
    length = packet[FRAGMENT_END] - packet[FRAGMENT_START]
    if packet[FRAGMENT_MORE]:
        length &= ~7
    if length <= 0 or start + length > FRAGMENT_BYTES:
        return -1
    for unit in range((length + 7) // 8):
        place = start // 8 + unit
        if t.fragment_map[slot, place] == 0:
            t.fragment_map[slot, place] = 1
            size = min(8, length - unit * 8)
            fragments[slot, 3] += size
            for i in range(size):
                t.fragment_data[slot, place * 8 + i] = data[packet[FRAGMENT_START] + unit * 8 + i]
    if not packet[FRAGMENT_MORE]:
        fragments[slot, 2] = start + length
    return slot if fragments[slot, 2] >= 0 and fragments[slot, 3] >= fragments[slot, 2] else -1


@kernel
def scan(data, frames, first, last, frame_base, t):
    """Walk decoded frames of a window into the tables.

    Args:
        data uint8[:]           the window
        frames int64[n, 5]      offset, captured length, original length, ts_ns, link type; above the low 32 bits of the third: what is to be added to the frame number
        first, last int64       rows to take
        frame_base int64        number of row 0 over the whole capture, from 1
        t Tables                state, written
    Returns: (row, status): row == last and DONE, or the row to offer again once the table named by status has room.
    """
    scalars, packet, parameters = t.scalars, t.packet, t.parameters
    for i in range(first, last):
        ts_ns = frames[i, 3]
        if ts_ns < parameters[P_SINCE] or ts_ns >= parameters[P_UNTIL]:
            continue
        at = frames[i, 0]
        frame = frame_base + i + (frames[i, 2] >> 32)
        status = decode(data, at, at + frames[i, 1], frames[i, 4], at + max(frames[i, 1], frames[i, 2] & MASK32), 0, packet)
        code = DONE
        source = data
        slot = -1
        if status == FRAGMENT:
            slot = _gather(data, t, ts_ns)
            if slot >= 0:
                end = t.fragments[slot, 2]
                packet[IP_LENGTH] = end + (20 if packet[FRAGMENT_PROTOCOL] >= 0 else 0)
                status = decode(t.fragment_data[slot], 0, end, -1, end, packet[FRAGMENT_PROTOCOL], packet)
                source = t.fragment_data[slot]
        aside = D_AH if packet[WRAPPED] & W_AH else -1
        if status == ESP:
            aside = D_ESP
        elif status == UDP and packet[SPORT] != DNS_PORT:
            aside = of_use(source, packet, t)
        if aside >= 0:
            code = keep(source, packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH], aside, t, ts_ns, frame)
            if code != DONE:
                return i, code
        if packet[SPORT] == DNS_PORT and (status == UDP or status == TCP):
            code = note_answer(source, t, ts_ns, frame, status == TCP)
            if code != DONE:
                return i, code
        if status == TCP:
            code = _segment(source, t, ts_ns, frame)
            if packet[IP_LENGTH] > 1500 and frames[i, 4] == 1 and code == DONE and parameters[P_JOB] == 0:
                scalars[C_SUPERFRAMES] += 1
                scalars[C_MAX_IP] = max(scalars[C_MAX_IP], packet[IP_LENGTH])
        if slot >= 0 and code == DONE:
            t.fragments[slot, 0] = 0
            t.fragments[slot, 1] = 0
        if code != DONE:
            return i, code
        scalars[C_FRAMES] += 1
        scalars[NOW_NS] = ts_ns
        if status == UNDECODED:
            scalars[C_UNDECODED] += 1
        elif status == OTHER_IP or status == UDP or status == ESP:
            scalars[C_OTHER_IP] += 1
        elif status == FRAGMENT:
            scalars[C_FRAGMENTS] += 1
        elif status == CUT:
            scalars[C_CUT] += 1
    return last, DONE
