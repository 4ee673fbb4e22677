"""How segments were sent, where that tells anything of who sent them: TTL, IP id, timestamps.

What one host sends to another comes the same way: with one TTL, with or without the timestamps option (RFC 7323), with IP ids that count on. Who forges a segment from
elsewhere must guess them. So for each flow that is assembled stands beside its turns which of its segments came otherwise than those before them, each FIN and RST
that was noted, and both versions of bytes that came twice. Facts only: routes change, load balancers reset with a TTL of their own.
"""
from __future__ import annotations

from .flow_table import MASK32, distance
from .jit import part
from .layers import RST
from .memory import copy
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

# out_hints: int64[:, N_HINT]; info and stamp are S_INFO and TSval as in tables.py
H_KIND, H_SIDE, H_FRAME, H_NS, H_SEQ, H_INFO, H_STAMP = 0, 1, 2, 3, 4, 5, 6  # H_SEQ: sequence << 32 | acknowledgement
H_COUNT, H_LATE, H_INFO1, H_STAMP1, H_INFO2, H_FRAME1, H_NS1, H_PLACE, H_PLACE1, H_OFFSET = 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
# RUN: segments of a side that were sent alike, of which this is the first; COUNT of them; INFO1, STAMP1: of the segment before it, 0: none
# END: an RST, or a FIN with another TTL than what its side sent before; COUNT: its S_AT; LATE: segments of its side that came after it, with data from its number on; INFO1, STAMP1, INFO2: of the side's last segment before it, and the one before that
# CLASH: two versions of the same bytes, of which this one comes later in the stream; COUNT: bytes from the first that differs, OFFSET: its place in the stream; PLACE, PLACE1: where
# up to CLASH_BYTES of both stand in out_bytes; INFO1, STAMP1, FRAME1, NS1: the other version; LATE: 1 when its receiver was seen to acknowledge that one before this one came
N_HINT = 18
RUN, END, CLASH = 0, 1, 2
MOST_HINTS = (16, 8, 8)  # of each kind, for one flow in one call
FLOW_HINTS = 32
CLASH_BYTES = 1024
_SENT_ALIKE = 0xFF00 | STAMPED  # of S_INFO: what all segments of a side have in common
_NOT_SENT = MARK_DUPLICATE | MARK_DROPPED | MARK_COUNTED  # another tap's copy, or a note that stands for several

# what is remembered while a flow is assembled, in the same work int64[:] as assembly.py's
HINTS = 40  # rows of out_hints
_RUNS, _ENDS, _CLASHES = 41, 42, 43  # the flow's hints of each kind
_SENT0, _RUN0, _BEGUN0, _LAST0, _BEFORE0, _RESET0 = 44, 46, 48, 50, 52, 54  # two each: how a side's segments are sent; row of its run, -1: it is the first; first, last segment and the one before; row of its last END
_LOOKED0, _BACK0 = 56, 58  # two each: segments; end of the side's room in out_bytes
_FIRST_MARK, _FIRST_ROW = 60, 61
N_HINT_WORK = 62


@part
def begin_hints(work, first_mark, first_row, end0, end1):
    """A flow begins.

    Args:
        first_mark, first_row int64   its first row of out_marks and of segments
        end0, end1 int64              where each side's room in out_bytes ends
    """
    for i in range(_RUNS, _SENT0):
        work[i] = 0
    for i in range(_SENT0, _LOOKED0):
        work[i] = -1
    work[_LOOKED0] = work[_LOOKED0 + 1] = 0
    work[_BACK0], work[_BACK0 + 1] = end0, end1
    work[_FIRST_MARK], work[_FIRST_ROW] = first_mark, first_row


@part
def _hint(segments, row, kind, side, before, out_hints, work):
    """Begin a hint about a segment, with the one that stood before it; returns its row, -1 when there are enough of its kind."""
    if work[_RUNS + kind] == MOST_HINTS[kind]:
        return -1
    work[_RUNS + kind] += 1
    hint = work[HINTS]
    work[HINTS] = hint + 1
    for column in range(H_COUNT, N_HINT):
        out_hints[hint, column] = 0
    out_hints[hint, H_KIND] = kind
    out_hints[hint, H_SIDE] = side
    out_hints[hint, H_FRAME] = segments[row, S_FRAME]
    out_hints[hint, H_NS] = segments[row, S_NS]
    out_hints[hint, H_SEQ] = segments[row, S_SEQ]
    out_hints[hint, H_INFO] = segments[row, S_INFO]
    out_hints[hint, H_STAMP] = segments[row, S_FLOW] >> 32
    if before >= 0:
        out_hints[hint, H_INFO1] = segments[before, S_INFO]
        out_hints[hint, H_STAMP1] = segments[before, S_FLOW] >> 32
    return hint


@part
def look(segments, row, side, out_hints, work):
    """How a segment was sent, compared with the one of its side before it."""
    info = segments[row, S_INFO]
    if info & LOOKED_AT or (info >> 40) & _NOT_SENT:
        return
    segments[row, S_INFO] = info | LOOKED_AT
    sent, usual, run, last = info & _SENT_ALIKE, work[_SENT0 + side], work[_RUN0 + side], work[_LAST0 + side]
    if sent == usual:
        if run >= 0:
            out_hints[run, H_COUNT] += 1
    elif usual < 0:
        work[_SENT0 + side] = sent
        work[_BEGUN0 + side] = row
    elif run >= 0 or work[_RUNS] + 2 <= MOST_HINTS[RUN]:
        if run < 0:
            run = _hint(segments, work[_BEGUN0 + side], RUN, side, -1, out_hints, work)
            out_hints[run, H_COUNT] = work[_LOOKED0 + side]
        fresh = _hint(segments, row, RUN, side, last, out_hints, work)
        if fresh >= 0:
            out_hints[fresh, H_COUNT] = 1
            work[_RUN0 + side] = fresh
            work[_SENT0 + side] = sent
    work[_LOOKED0 + side] += 1
    work[_BEFORE0 + side] = last
    work[_LAST0 + side] = row
    reset = work[_RESET0 + side]
    if reset >= 0 and distance((segments[row, S_SEQ] >> 32) & MASK32, (out_hints[reset, H_SEQ] >> 32) & MASK32) >= 0:
        out_hints[reset, H_LATE] += 1


@part
def sent_by(segments, start, side, work):
    """TTL of a side's first segment, else of its SYN, else 0, and how many segments were looked at << 8."""
    begun = work[_BEGUN0 + side]
    return (segments[begun, S_INFO] >> 8) & 0xFF | work[_LOOKED0 + side] << 8 if begun >= 0 else (start >> (16 if side else 8)) & 0xFF


@part
def ending(segments, row, side, start, out_hints, work):
    """A FIN or RST stands here; a FIN that came like what its side sent before tells nothing."""
    info = segments[row, S_INFO]
    if not info & RST and (info >> 8) & 0xFF == (sent_by(segments, start, side, work) if work[_LAST0 + side] < 0 else segments[work[_LAST0 + side], S_INFO] >> 8) & 0xFF:
        return
    hint = _hint(segments, row, END, side, work[_LAST0 + side], out_hints, work)
    if hint >= 0:
        out_hints[hint, H_COUNT] = segments[row, S_AT]
        if work[_BEFORE0 + side] >= 0:
            out_hints[hint, H_INFO2] = segments[work[_BEFORE0 + side], S_INFO]
        work[_RESET0 + side] = hint


@part
def clash(segments, arena, row, side, at, length, offset, place1, out_bytes, out_marks, n_marks, out_hints, work):
    """Both versions of bytes that differ from the stream's `offset` on; the row of the hint, or -1.

    Args:
        row, at, length int64   the later segment, where its bytes stand in the arena from the first that differs on, and how many
        place1 int64            where the others stand in out_bytes
        n_marks int64           rows of out_marks
    """
    hint = _hint(segments, row, CLASH, side, -1, out_hints, work)
    if hint < 0:
        return -1
    shown = min(length, CLASH_BYTES)
    place = work[_BACK0 + side] - shown  # room that these bytes would have had, were they new
    work[_BACK0 + side] = place
    copy(out_bytes, place, arena, at, shown)
    out_hints[hint, H_COUNT] = length
    out_hints[hint, H_OFFSET] = offset
    out_hints[hint, H_PLACE] = place
    out_hints[hint, H_PLACE1] = place1
    mark = n_marks - 1
    while mark >= work[_FIRST_MARK] and (out_marks[mark, 0] != side or out_marks[mark, 1] > offset):
        mark -= 1
    if mark < work[_FIRST_MARK]:
        return hint
    frame = out_marks[mark, 2]
    out_hints[hint, H_FRAME1] = frame
    out_hints[hint, H_NS1] = out_marks[mark, 3]
    sequence = (segments[row, S_SEQ] >> 32) & MASK32
    one, found = work[_FIRST_ROW], False
    while one >= 0 and one != row:
        sender = segments[one, S_FLOW] & SIDE
        if sender == side and segments[one, S_FRAME] == frame:
            found = True
            out_hints[hint, H_INFO1] = segments[one, S_INFO]
            out_hints[hint, H_STAMP1] = segments[one, S_FLOW] >> 32
        elif found and sender == 1 - side and not (segments[one, S_INFO] >> 40) & MARK_NO_ACK and distance(segments[one, S_SEQ] & MASK32, sequence) > 0:
            out_hints[hint, H_LATE] = 1
        one = segments[one, S_NEXT] - 1
    return hint
