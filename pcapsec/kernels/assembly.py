"""Kept segments of a flow into turns: each side in sequence order, both sides in the order they spoke.

A segment is handed on once its side is complete up to it and the other side is complete up to what it acknowledges (RFC 9293 §3.4, §3.10.7.4):
acknowledgements settle what came first even where a mirror port delivers the two directions late or mixed. What does not
come within `PATIENCE` further segments and was acknowledged is a gap. The first copy of a byte counts; a later copy
with other content is reported as a conflict.

Beside the turns stands how segments were sent, where that tells anything, and both versions of a conflict (hints.py).
"""
from __future__ import annotations

from .flow_table import MASK32, distance, release_segment
from .hints import FLOW_HINTS, HINTS, N_HINT_WORK, begin_hints, clash, ending, look, sent_by
from .jit import kernel, part
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

PATIENCE = 24  # segments of the flow that may pass before an acknowledged hole is a gap
PATIENCE_UNACKED = 2048  # the same when nobody acknowledged the missing bytes: a retransmission may still come
PATIENCE_NS = 2_000_000_000  # or this much time
WIDE_BYTES = 1 << 22  # with an output of this size, what blocks most segments of a full call is given up; with a smaller one little may come, and the caller offers a larger one
MAX_GAP = 1 << 30  # a larger jump in sequence is not a gap but another numbering

# work int64[N_WORK]: what the parts of one flow's assembly share
_NEXT0, _NEXT1, _HEAD0, _HEAD1, _TAIL0, _TAIL1, _OFFSET0, _OFFSET1, _PLACE0, _PLACE1 = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
_KNOWN0, _KNOWN1, _LINE0, _LINE1, _LINE_PLACE0, _LINE_PLACE1, _ACK0, _ACK1, _FIN0, _FIN1 = 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
_PHANTOM0, _PHANTOM1, _TURNS, _MARKS, _CONFLICTS, _ENTRY_TURN, _PENDING, _ACKSET0, _ACKSET1 = 20, 21, 22, 23, 24, 25, 26, 27, 28
_LIMIT0, _LIMIT1 = 29, 30  # end of what was kept of a side that is only counted from there on; -1: all of it was kept
N_WORK = N_HINT_WORK  # from HINTS on: what hints.py remembers


@part
def _turn(out_turns, work, kind, side, place, length):
    row = work[_TURNS]
    if row >= len(out_turns):
        return
    out_turns[row, 0] = kind
    out_turns[row, 1] = side
    out_turns[row, 2] = place
    out_turns[row, 3] = length
    out_turns[row, 4] = work[_OFFSET0 + side]
    work[_TURNS] = row + 1


@part
def _gap(out_turns, work, kind, side, length, place):
    """Missing bytes of a side: say so, step over them, and begin a new stretch in which offsets and places run in parallel."""
    _turn(out_turns, work, kind, side, place, length)
    work[_OFFSET0 + side] += length
    work[_NEXT0 + side] = (work[_NEXT0 + side] + length) & MASK32
    work[_LINE0 + side] = work[_OFFSET0 + side]
    work[_LINE_PLACE0 + side] = work[_PLACE0 + side]


@part
def _mark(segments, row, side, out_marks, work):
    mark = work[_MARKS]
    out_marks[mark, 0] = side
    out_marks[mark, 1] = work[_OFFSET0 + side]
    out_marks[mark, 2] = segments[row, S_FRAME]
    out_marks[mark, 3] = segments[row, S_NS]
    work[_MARKS] = mark + 1


@part
def _deliver_note(segments, arena, row, side, fresh, out_bytes, out_turns, out_marks, work):
    """Hand on calls that were counted where they passed (see calls.py): `fresh` bytes of the stream."""
    held, place = segments[row, S_LENGTH] >> 32, work[_PLACE0 + side]
    copy(out_bytes, place, arena, segments[row, S_AT], held)
    work[_PLACE0 + side] = place + held
    _mark(segments, row, side, out_marks, work)
    _gap(out_turns, work, COUNTED, side, fresh, place if held else -1)


@part
def _deliver(segments, arena, row, side, out_bytes, out_turns, out_marks, out_hints, work):
    """Hand one segment on whose beginning is not ahead of its side."""
    behind = -distance(segments[row, S_SEQ] >> 32 & MASK32, work[_NEXT0 + side])
    captured = segments[row, S_LENGTH] >> 32
    wire = segments[row, S_LENGTH] & MASK32
    at = segments[row, S_AT]
    marks = segments[row, S_INFO] >> 40
    if marks & MARK_COUNTED:
        _deliver_note(segments, arena, row, side, max(0, wire - behind), out_bytes, out_turns, out_marks, work)
        return
    if behind > 0 and not (wire <= 1 and behind == 1) and not marks & MARK_BAD_CHECKSUM:  # a keep-alive may carry one garbage byte
        overlap = min(behind, captured)
        offset = work[_OFFSET0 + side] - behind
        first = max(0, work[_LINE0 + side] - offset)
        for i in range(first, overlap):
            if out_bytes[work[_LINE_PLACE0 + side] + offset + i - work[_LINE0 + side]] != arena[at + i]:
                work[_CONFLICTS] += 1
                saved = work[_OFFSET0 + side]
                work[_OFFSET0 + side] = offset + i
                hint = clash(segments, arena, row, side, at + i, overlap - i, offset + i, work[_LINE_PLACE0 + side] + offset + i - work[_LINE0 + side], out_bytes, out_marks, work[_MARKS], out_hints, work)
                _turn(out_turns, work, CONFLICT, side, hint, overlap - i)
                work[_OFFSET0 + side] = saved
                break
    if behind >= wire:
        return
    fresh = captured - behind
    if fresh > 0:
        place = work[_PLACE0 + side]
        copy(out_bytes, place, arena, at + behind, fresh)
        last = work[_TURNS] - 1
        if last >= work[_ENTRY_TURN] and out_turns[last, 0] == DATA and out_turns[last, 1] == side:
            out_turns[last, 3] += fresh
        else:
            _turn(out_turns, work, DATA, side, place, fresh)
        _mark(segments, row, side, out_marks, work)
        work[_PLACE0 + side] = place + fresh
        work[_OFFSET0 + side] += fresh
        work[_NEXT0 + side] = (work[_NEXT0 + side] + fresh) & MASK32
    cut = wire - max(captured, behind)
    if cut > 0:
        _gap(out_turns, work, SKIPPED if marks & MARK_DROPPED else GAP_SNAPLEN, side, cut, 0)


@part
def _waits(segments, row, side, work):
    """How many bytes of the other side a segment acknowledges that were not handed on yet."""
    other = 1 - side
    if (segments[row, S_INFO] >> 40) & MARK_NO_ACK or not work[_KNOWN0 + other]:
        return 0
    acknowledged = segments[row, S_SEQ] & MASK32
    limit = work[_LIMIT0 + other]
    if limit >= 0 and distance(acknowledged, limit) > 0:
        acknowledged = limit
    need = distance(acknowledged, work[_NEXT0 + other])
    if acknowledged == work[_FIN0 + other]:  # a FIN takes a number of its own
        need -= 1
    told = work[_PHANTOM0 + other]
    if told >= 0 and distance(acknowledged, told) <= 0:  # these bytes were said to be missing already
        return 0
    return need if 0 < need < MAX_GAP else 0


@part
def _pop(side, rows, after, before, gone, work):
    index = work[_HEAD0 + side]
    work[_HEAD0 + side] = after[index]
    if after[index] >= 0:
        before[after[index]] = -1
    else:
        work[_TAIL0 + side] = -1
    gone[index] = 1
    work[_PENDING] -= 1
    return rows[index]


@part
def _silence(segments, row, side, out_turns, work):
    """The other side is not in the capture at all: say that it spoke where acknowledgements show it."""
    other = 1 - side
    if (segments[row, S_INFO] >> 40) & MARK_NO_ACK or work[_KNOWN0 + other]:
        return
    acknowledged = segments[row, S_SEQ] & MASK32
    if work[_ACKSET0 + side]:
        advance = distance(acknowledged, work[_ACK0 + side])
        if 0 < advance < MAX_GAP:
            _turn(out_turns, work, SILENT, other, 0, advance)
            work[_OFFSET0 + other] += advance
    work[_ACK0 + side] = acknowledged
    work[_ACKSET0 + side] = 1


@part
def _progress(segments, arena, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, work, force):
    """Hand on what can be handed on; with force, first settle one thing that blocks. True when anything moved."""
    moved = False
    if force:
        choice = -1
        for side in range(2):
            index = work[_HEAD0 + side]
            if index < 0:
                continue
            hole = distance(segments[rows[index], S_SEQ] >> 32 & MASK32, work[_NEXT0 + side])
            if hole > 0 and (choice < 0 or index < work[_HEAD0 + choice]):
                choice = side
        if choice >= 0:
            head = rows[work[_HEAD0 + choice]]
            hole = distance(segments[head, S_SEQ] >> 32 & MASK32, work[_NEXT0 + choice])
            told = distance(work[_PHANTOM0 + choice], work[_NEXT0 + choice]) if work[_PHANTOM0 + choice] >= 0 else 0
            if 0 < told <= hole:  # this much was said to be missing already
                work[_OFFSET0 + choice] += told
                work[_NEXT0 + choice] = (work[_NEXT0 + choice] + told) & MASK32
                hole -= told
            work[_PHANTOM0 + choice] = -1
            if hole > 0:
                _gap(out_turns, work, GAP, choice, hole, 0)
            else:
                work[_LINE0 + choice] = work[_OFFSET0 + choice]
                work[_LINE_PLACE0 + choice] = work[_PLACE0 + choice]
        else:
            index0, index1 = work[_HEAD0], work[_HEAD1]
            choice = 0 if index1 < 0 or 0 <= index0 < index1 else 1
            row = rows[work[_HEAD0 + choice]]
            need = _waits(segments, row, choice, work)
            if need > 0:
                told = work[_PHANTOM1 - choice]
                already = max(0, distance(told, work[_NEXT1 - choice])) if told >= 0 else 0
                _turn(out_turns, work, GAP, 1 - choice, 0, need - already)
                work[_PHANTOM1 - choice] = (work[_NEXT1 - choice] + need) & MASK32
            _deliver(segments, arena, _pop(choice, rows, after, before, gone, work), choice, out_bytes, out_turns, out_marks, out_hints, work)
        moved = True
    again = True
    while again:
        again = False
        for side in range(2):
            while work[_HEAD0 + side] >= 0:
                row = rows[work[_HEAD0 + side]]
                if distance(segments[row, S_SEQ] >> 32 & MASK32, work[_NEXT0 + side]) > 0 or _waits(segments, row, side, work) > 0:
                    break
                _silence(segments, row, side, out_turns, work)
                _deliver(segments, arena, _pop(side, rows, after, before, gone, work), side, out_bytes, out_turns, out_marks, out_hints, work)
                moved = again = True
    return moved


@part
def _hole_is_acknowledged(segments, rows, work, acked0, acked1):
    """Whether something that blocks was seen by its receiver, so that no retransmission will bring it."""
    for side in range(2):
        index = work[_HEAD0 + side]
        if index < 0:
            continue
        if distance(segments[rows[index], S_SEQ] >> 32 & MASK32, work[_NEXT0 + side]) > 0:
            acked = acked1 if side == 0 else acked0
            if acked == 0 or distance(acked, work[_NEXT0 + side]) > 0:
                return True
        else:
            return True
    return False


@part
def _counts_no_syn(segments, rows, n, side, base):
    """Whether a side's data begins on its SYN's own number, as captures made by programs have it that forget that a SYN takes one (RFC 9293 §3.4).

    One byte there is a keep-alive; and where any segment begins behind the SYN, that one is right.
    """
    found = False
    for i in range(n):
        row = rows[i]
        if segments[row, S_FLOW] & SIDE == side:
            ahead = distance((segments[row, S_SEQ] >> 32) & MASK32, base)
            if ahead == 0:
                return False
            if ahead == -1 and (segments[row, S_LENGTH] >> 32) > 1:
                found = True
    return found


@part
def _one_flow(t, entry, over, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, out_result, work):
    """Assemble one flow; True when it keeps segments that did not fit into this call."""
    flows, segments = t.flows, t.segments
    state = flows[entry, STATE]
    row = first_row = (flows[entry, SEGMENTS] >> 32) - 1
    n = 0
    room = len(out_bytes) - work[_PLACE0]
    size0 = 0
    size = 0
    low0 = low1 = -1
    seen0 = seen1 = False
    high0 = high1 = 0
    while row >= 0 and n < len(rows) and work[_MARKS] + n < len(out_marks):
        captured = segments[row, S_LENGTH] >> 32
        if size + captured > room:
            break
        side = segments[row, S_FLOW] & SIDE
        sequence = (segments[row, S_SEQ] >> 32) & MASK32
        if side == 0:
            size0 += captured
            if not seen0 or captured > 1 and distance(sequence, low0) < 0:
                low0 = sequence
            end = (sequence + (segments[row, S_LENGTH] & MASK32)) & MASK32
            high0 = end if not seen0 or distance(end, high0) > 0 else high0
            seen0 = True
        elif side == 1:
            if not seen1 or captured > 1 and distance(sequence, low1) < 0:
                low1 = sequence
            end = (sequence + (segments[row, S_LENGTH] & MASK32)) & MASK32
            high1 = end if not seen1 or distance(end, high1) > 0 else high1
            seen1 = True
        size += captured
        rows[n] = row
        gone[n] = 0
        n += 1
        row = segments[row, S_NEXT] - 1
    rest = row + 1  # first segment that did not fit, plus one
    more = rest > 0
    final = over and not more

    start = work[_PLACE0]
    base = flows[entry, BASE]
    based0 = state & (ISN_A | BASED_A)
    based1 = state & (ISN_B | BASED_B)
    work[_NEXT0] = (base >> 32) & MASK32 if based0 else max(low0, 0)
    work[_NEXT1] = base & MASK32 if based1 else max(low1, 0)
    if seen0 and state & (ISN_A | BASED_A) == ISN_A and distance(low0, work[_NEXT0]) == -1 and _counts_no_syn(segments, rows, n, 0, work[_NEXT0]):
        work[_NEXT0] = low0
    if seen1 and state & (ISN_B | BASED_B) == ISN_B and distance(low1, work[_NEXT1]) == -1 and _counts_no_syn(segments, rows, n, 1, work[_NEXT1]):
        work[_NEXT1] = low1
    work[_KNOWN0] = 1 if seen0 or state & BASED_A or state & ISN_A and state & SEEN_A and flows[entry, BYTES_A] >> 24 else 0
    work[_KNOWN1] = 1 if seen1 or state & BASED_B or state & ISN_B and state & SEEN_B and flows[entry, BYTES_B] >> 24 else 0
    work[_HEAD0] = work[_HEAD1] = work[_TAIL0] = work[_TAIL1] = -1
    work[_OFFSET0] = work[_OFFSET1] = 0
    work[_PLACE1] = start + size0
    work[_LINE0] = work[_LINE1] = 0
    work[_LINE_PLACE0] = start
    work[_LINE_PLACE1] = work[_PLACE1]
    work[_ACK0] = work[_ACK1] = 0
    work[_ACKSET0] = work[_ACKSET1] = 0
    if state & ISN_B and not work[_KNOWN1]:
        work[_ACK0], work[_ACKSET0] = base & MASK32, 1
    if state & ISN_A and not work[_KNOWN0]:
        work[_ACK1], work[_ACKSET1] = (base >> 32) & MASK32, 1
    work[_FIN0] = (((flows[entry, NEXT] >> 32) & MASK32) + 1) & MASK32 if state & FIN_A else -1
    work[_FIN1] = ((flows[entry, NEXT] & MASK32) + 1) & MASK32 if state & FIN_B else -1
    work[_PHANTOM0] = work[_PHANTOM1] = -1
    work[_LIMIT0] = -1 if not state & COUNT_A else high0 if seen0 else work[_NEXT0]
    work[_LIMIT1] = -1 if not state & COUNT_B else high1 if seen1 else work[_NEXT1]
    work[_CONFLICTS] = 0
    work[_PENDING] = 0
    work[_ENTRY_TURN] = work[_TURNS]
    first_turn, first_mark, first_hint = work[_TURNS], work[_MARKS], work[HINTS]
    begin_hints(work, first_mark, first_row, start + size0, start + size)
    out_result[R_FIRST_A] = (base >> 32) & MASK32 if state & ISN_A else max(low0, 0)
    out_result[R_FIRST_B] = base & MASK32 if state & ISN_B else max(low1, 0)
    acked0 = (flows[entry, ACKED] >> 32) & MASK32
    acked1 = flows[entry, ACKED] & MASK32

    stuck = 0
    stuck_ns = 0
    for i in range(n):
        row = rows[i]
        side = segments[row, S_FLOW] & SIDE
        if side >= ENDING:
            ending(segments, row, side - ENDING, t.starts[entry], out_hints, work)
            gone[i] = 1
            continue
        look(segments, row, side, out_hints, work)
        out_result[R_MAX_IP] = max(out_result[R_MAX_IP], (segments[row, S_INFO] >> 16) & 0xFFFF)
        sequence = (segments[row, S_SEQ] >> 32) & MASK32
        place = work[_TAIL0 + side]
        while place >= 0 and distance((segments[rows[place], S_SEQ] >> 32) & MASK32, sequence) > 0:
            place = before[place]
        before[i] = place
        if place >= 0:
            after[i] = after[place]
            after[place] = i
        else:
            after[i] = work[_HEAD0 + side]
            work[_HEAD0 + side] = i
        if after[i] >= 0:
            before[after[i]] = i
        else:
            work[_TAIL0 + side] = i
        work[_PENDING] += 1
        if _progress(segments, t.arena, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, work, False):
            stuck = 0
            stuck_ns = segments[row, S_NS]
        while work[_PENDING] > 0:
            if stuck == 0:
                stuck_ns = segments[row, S_NS]
            stuck += 1
            waited = segments[row, S_NS] - stuck_ns
            if not ((stuck > PATIENCE or waited > PATIENCE_NS) and _hole_is_acknowledged(segments, rows, work, acked0, acked1) or stuck > PATIENCE_UNACKED):
                break
            _progress(segments, t.arena, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, work, True)
            stuck = 0
    # most of a full call's segments wait for bytes in front of them: those are lost, for memory is not endless, and what is looked at again and again costs time
    while more and 2 * work[_PENDING] > n and len(out_bytes) >= WIDE_BYTES:
        _progress(segments, t.arena, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, work, True)
    if final:
        while work[_PENDING] > 0:
            _progress(segments, t.arena, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, work, True)
        for side in range(2):
            acked = acked1 if side == 0 else acked0
            if acked and work[_KNOWN0 + side] and not state & (COUNT_B if side else COUNT_A):
                lost = distance(acked, work[_NEXT0 + side]) - (1 if acked == work[_FIN0 + side] else 0)
                told = work[_PHANTOM0 + side]
                if told >= 0:
                    lost -= max(0, distance(told, work[_NEXT0 + side]))
                if 1 < lost < MAX_GAP:
                    _gap(out_turns, work, GAP, side, lost, 0)
    out_result[R_UNSEEN_A] = distance(acked1, work[_ACK1]) if not work[_KNOWN0] and work[_ACKSET1] and acked1 else 0
    out_result[R_UNSEEN_B] = distance(acked0, work[_ACK0]) if not work[_KNOWN1] and work[_ACKSET0] and acked0 else 0

    # what was not handed on stays with the flow, in the order of the capture
    head = tail = 0
    kept = flows[entry, KEPT]
    for i in range(n):
        row = rows[i]
        if gone[i]:  # counted when it is handed on, for what stays comes again
            captured = segments[row, S_LENGTH] >> 32
            kept -= (captured << 32) + 1
            marks = segments[row, S_INFO] >> 40
            if marks & MARK_COUNTED:
                for column in range(4 if captured else 0):
                    out_result[R_CHECKED_A + column] += (t.blocks[(segments[row, S_AT] >> 3) + NOTE_CHECKED] >> 16 * column) & 0xFFFF
            elif marks & MARK_DUPLICATE:
                out_result[R_DUPLICATES] += 1
            else:
                cut = (segments[row, S_LENGTH] & MASK32) - captured
                if cut > 0 and not marks & MARK_DROPPED:
                    out_result[R_TRUNCATED] += 1
                    out_result[R_TRUNCATED_BYTES] += cut
                if marks & MARK_CHECKED:
                    out_result[R_CHECKED_A + (segments[row, S_FLOW] & SIDE)] += 1
                    if marks & MARK_BAD_CHECKSUM:
                        out_result[R_BAD_A + (segments[row, S_FLOW] & SIDE)] += 1
            release_segment(segments, t.blocks, t.scalars, row)
            continue
        if tail:
            segments[tail - 1, S_NEXT] = row + 1
        else:
            head = row + 1
        tail = row + 1
        segments[row, S_NEXT] = 0
    if rest:
        if tail:
            segments[tail - 1, S_NEXT] = rest
        else:
            head = rest
        tail = flows[entry, SEGMENTS] & MASK32
    flows[entry, SEGMENTS] = (head << 32) | tail
    flows[entry, KEPT] = kept
    if work[_KNOWN0] or based0:
        flows[entry, STATE] |= BASED_A
    if work[_KNOWN1] or based1:
        flows[entry, STATE] |= BASED_B
    flows[entry, BASE] = (work[_NEXT0] << 32) | work[_NEXT1]
    out_result[R_ENTRY] = entry
    out_result[R_MORE] = 1 if more else 0
    out_result[R_TURN] = first_turn
    out_result[R_TURNS] = work[_TURNS] - first_turn
    out_result[R_MARK] = first_mark
    out_result[R_MARKS] = work[_MARKS] - first_mark
    out_result[R_CONFLICTS] = work[_CONFLICTS]
    out_result[R_OVER] = 1 if over else 0
    out_result[R_LATER] = 1 if state & (BASED_A | BASED_B) else 0
    out_result[R_START] = t.starts[entry]
    out_result[R_SENT_A] = sent_by(segments, t.starts[entry], 0, work)
    out_result[R_SENT_B] = sent_by(segments, t.starts[entry], 1, work)
    out_result[R_HINT] = first_hint
    out_result[R_HINTS] = work[HINTS] - first_hint
    out_result[R_DELIVERED_A] = work[_OFFSET0]
    out_result[R_DELIVERED_B] = work[_OFFSET1]
    work[_PLACE0] = start + size
    return more


@kernel
def assemble(t, ready, first, last, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, out_results, work):
    """Turn the kept segments of flows into turns.

    Args:
        t Tables                     read and written: what is handed on is freed
        ready int64[n, 2]            flow, 1 if it is over; rows first:last are taken
        rows, after, before int64[m], gone uint8[m]   scratch; m limits the segments of a flow in one call
        out_bytes uint8[:]           both sides' bytes of each flow, each side in one piece
        out_turns int64[:, N_TURN], out_marks int64[:, N_MARK], out_results int64[:, N_RESULT]   written, see tables.py
        out_hints int64[:, N_HINT]   written, see hints.py
        work int64[N_WORK]           scratch; work[22], work[23] and work[HINTS] are the numbers of turns, marks and hints afterwards
    Returns: row of `ready` to go on at. A flow with R_MORE set did not fit and is offered again by the caller, with WIDE_BYTES of output, else it may be
    that nothing moves.
    """
    work[_TURNS] = work[_MARKS] = work[_PLACE0] = work[HINTS] = 0
    n_results = 0
    for k in range(first, last):
        entry = ready[k, 0]
        need = t.flows[entry, KEPT]
        if n_results and (work[_PLACE0] + (need >> 32) > len(out_bytes) or work[_MARKS] + (need & MASK32) > len(out_marks)
                          or work[_TURNS] + 4 * (need & MASK32) + 8 > len(out_turns) or work[HINTS] + FLOW_HINTS > len(out_hints)):
            return k
        if n_results == len(out_results):
            return k
        for i in range(N_RESULT):
            out_results[n_results, i] = 0
        _one_flow(t, entry, ready[k, 1] != 0, rows, after, before, gone, out_bytes, out_turns, out_marks, out_hints, out_results[n_results], work)
        n_results += 1
    return last


@kernel
def locate(marks, first, last, side, offset):
    """Row among marks[first:last] of the segment that brought a stream offset of a side; the last one before it, or -1.

    Args:
        marks int64[:, N_MARK]; first, last, side, offset int64
    """
    found = -1
    for row in range(first, last):
        if marks[row, 0] == side:
            if marks[row, 1] > offset:
                break
            found = row
    return found
