"""Both sides of a conversation at two taps, laid beside one another: which bytes differ, and what could not be compared.

What was lost, cut or not kept at a tap is a hole: it equals nothing and differs from nothing. Beside a hole only what must be there counts: a whole line at
one tap that stands nowhere at the other, where the other lacks nothing.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .alignment import ALIKE, align, changed_words, chunks_of, likeness, lines_of, pair_up
from .comparison_taps import LOST, TapFlow

MAX_DIFFERENCES = 200  # of one conversation that are told one by one
MAX_ELEMENTS = 400_000  # of one side; what lies behind is not compared
LINES = frozenset(("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve", "http"))


@dataclass(slots=True)
class Range:
    """Bytes that differ: offset and length at each tap, and the lines or chunks they stand in; None where there is nothing, or only a digest was kept."""

    at: tuple[int, int]
    length: tuple[int, int]
    lines: tuple[bytes | None, bytes | None]
    line_at: tuple[int, int]


class Stream:
    """One side of a conversation at one tap, in elements.

    Attributes:
        keys: bytes; a digest as (digest, length); a hole as a negative number that no other hole has.
        at, lengths: of each element; unknown: why there are holes; unknown_bytes: how many bytes they hide, as far as that is known.
    """

    def __init__(self, tap: int):
        self.keys: list[Any] = []
        self.at: list[int] = []
        self.lengths: list[int] = []
        self.unknown: set[str] = set()
        self.unknown_bytes = 0
        self.end = 0
        self._hole = -1 - tap  # even and odd: holes of the two taps never equal one another

    def hole(self, at: int, length: int, why: str) -> None:
        self.unknown.add(why)
        self.unknown_bytes += length
        self._add(self._hole, at, length)
        self._hole -= 2

    def digest(self, at: int, length: int, value: int) -> None:
        self._add((value, length), at, length)

    def data(self, data: bytes, at: int, lines: bool, cut_before: bool, cut_after: bool) -> None:
        """Bytes without a hole in them. What a hole cut in two is part of the hole."""
        elements = lines_of(data) if lines else chunks_of(data)
        for index, element in enumerate(elements):
            if len(self.keys) >= MAX_ELEMENTS:
                self.hole(at, len(element), "not-kept")
            elif index == 0 and cut_before or index == len(elements) - 1 and cut_after and not (lines and element.endswith(b"\n")):
                self._add(self._hole, at, len(element))
                self.unknown_bytes += len(element)
                self._hole -= 2
            else:
                self._add(element, at, len(element))
            at += len(element)

    def _add(self, key: Any, at: int, length: int) -> None:
        self.keys.append(key)
        self.at.append(at)
        self.lengths.append(length)
        self.end = at + length


def stream_of(flow: TapFlow, blob: bytes, side: int, tap: int, begin: int, end: int | None, lines: bool) -> Stream:
    """A side's bytes from stream offset `begin` to before `end` (None: all).

    Args:
        blob: `flow.data()`; tap: 0 or 1.
    """
    stream = Stream(tap)
    runs: list[list[Any]] = []  # [offset, pieces of bytes, end] of stretches without holes, or [offset, None, end, why]
    pieces = flow.pieces
    for index in range(0, len(pieces), 4):
        if pieces[index] != side:
            continue
        at, length, place = pieces[index + 1], pieces[index + 2], pieces[index + 3]
        skip = max(0, begin - at)
        stop = length if end is None else min(length, end - at)
        if stop <= skip:
            continue
        if place < 0:
            runs.append([at + skip, None, at + stop, "loss" if place == LOST else "not-kept"])
        elif runs and runs[-1][1] is not None and runs[-1][2] == at + skip:
            runs[-1][1].append(blob[place + skip:place + stop])
            runs[-1][2] = at + stop
        else:
            runs.append([at + skip, [blob[place + skip:place + stop]], at + stop])
    kept_end = runs[-1][2] if runs else begin
    tail = flow.tails[side] if end is None else None
    late = begin == 0 and flow.isn[side] is None
    if flow.silent[side]:
        stream.hole(begin, 0, "one-sided")
    elif late:
        stream.hole(begin, 0, "late-start")
    open_end = end is None and (not flow.ended[side] or flow.counted[side])
    expected = begin
    for index, run in enumerate(runs):
        if run[1] is None:
            stream.hole(run[0], run[2] - run[0], run[3])
        else:
            before = run[0] != expected or bool(stream.keys) and isinstance(stream.keys[-1], int)
            following = runs[index + 1] if index + 1 < len(runs) else None
            after = following is not None or tail is not None or open_end
            if run[0] > expected:
                stream.hole(expected, run[0] - expected, "loss")
            stream.data(b"".join(run[1]), run[0], lines, before, after)
        expected = run[2]
    if tail is not None:
        stream.hole(kept_end, 0, "not-kept")
        for row in range(0, len(tail.rows), 3):
            at, length, value = tail.rows[row:row + 3]
            if value:
                stream.digest(at, length, value)
            else:
                stream.hole(at, length, "not-kept")
    if open_end and not flow.silent[side]:
        stream.hole(stream.end or begin, 0, "encrypted" if flow.counted[side] and flow.tls_from is not None else "not-kept" if flow.counted[side] else "early-end")
    return stream


@dataclass(slots=True)
class Compared:
    """What a comparison of two streams says."""

    ranges: list[Range]
    n_ranges: int
    compared: int  # bytes at the first tap that could be compared
    equal: int  # of those


def compare(first: Stream, second: Stream) -> Compared:
    """Where two captures of one side differ."""
    ranges: list[Range] = []
    n = 0
    keys_a, keys_b = first.keys, second.keys
    blocks = align(keys_a, keys_b)
    sets: list[set] | None = None
    compared = sum(length for key, length in zip(keys_a, first.lengths) if key.__class__ is not int)
    in_blocks = 0
    unknown = 0
    for i1, i2, j1, j2 in blocks:
        in_blocks += sum(length for key, length in zip(keys_a[i1:i2], first.lengths[i1:i2]) if key.__class__ is not int)
        holes = any(key.__class__ is int for key in keys_a[i1:i2]), any(key.__class__ is int for key in keys_b[j1:j2])
        if holes[0] or holes[1]:
            if sets is None:
                sets = [set(key for key in keys if key.__class__ is not int) for keys in (keys_a, keys_b)]
            found = [] if holes[0] and holes[1] else _beside_hole(first, second, (i1, i2, j1, j2), 1 if holes[1] else 0, sets)
            unknown += sum(length for key, length in zip(keys_a[i1:i2], first.lengths[i1:i2]) if key.__class__ is not int) - sum(one.length[0] for one in found)
        else:
            found = _ranges(first, second, i1, i2, j1, j2)
        n += len(found)
        ranges += found[:max(0, MAX_DIFFERENCES - len(ranges))]
    return Compared(ranges, n, compared - unknown, compared - in_blocks)


def _place(stream: Stream, index: int) -> int:
    return stream.at[index] if index < len(stream.at) else stream.end


def _ranges(first: Stream, second: Stream, i1: int, i2: int, j1: int, j2: int) -> list[Range]:
    """Differences between elements that are known on both sides."""
    a, b = first.keys[i1:i2], second.keys[j1:j2]
    if any(key.__class__ is tuple for key in a) or any(key.__class__ is tuple for key in b):
        return [Range((_place(first, i1), _place(second, j1)), (sum(first.lengths[i1:i2]), sum(second.lengths[j1:j2])), (None, None), (_place(first, i1), _place(second, j1)))]
    found: list[Range] = []
    i, j = i1, j1  # where the other side stands when an element stands alone
    for x, y in pair_up(a, b):
        if x is not None and y is not None:
            i, j = i1 + x, j1 + y
            found += _changed(first, second, i, j)
            i, j = i + 1, j + 1
        elif x is not None:
            found.append(_alone(first, second, i1 + x, j, 0))
            i = i1 + x + 1
        else:
            found.append(_alone(first, second, i, j1 + y, 1))
            j = j1 + y + 1
    return found


def _changed(first: Stream, second: Stream, i: int, j: int) -> list[Range]:
    one, other = first.keys[i], second.keys[j]
    at_a, at_b = first.at[i], second.at[j]
    return [Range((at_a + a1, at_b + b1), (a2 - a1, b2 - b1), (one, other), (at_a, at_b)) for a1, a2, b1, b2 in changed_words(one, other)]


def _alone(first: Stream, second: Stream, i: int, j: int, tap: int) -> Range:
    """An element that the other tap lacks."""
    at = _place(first, i), _place(second, j)
    if tap == 0:
        return Range(at, (first.lengths[i], 0), (first.keys[i], None), at)
    return Range(at, (0, second.lengths[j]), (None, second.keys[j]), at)


def _beside_hole(first: Stream, second: Stream, block: tuple[int, int, int, int], holed: int, sets: list[set]) -> list[Range]:
    """What is surely different although one tap has a hole here: its own whole elements, if the other tap, which lacks nothing, has them nowhere."""
    i1, i2, j1, j2 = block
    (k1, k2), (w1, w2) = ((i1, i2), (j1, j2)) if holed == 0 else ((j1, j2), (i1, i2))
    own, whole = (first, second) if holed == 0 else (second, first)
    found: list[Range] = []
    before = True
    for k in range(k1, k2):
        key = own.keys[k]
        if key.__class__ is int:
            before = False
            continue
        if key.__class__ is tuple or key in sets[1 - holed]:
            continue
        w = w1 + (k - k1) if before else w2 - (k2 - k)
        if w1 <= w < w2 and whole.keys[w].__class__ is bytes and likeness(key, whole.keys[w]) >= ALIKE and whole.keys[w] not in sets[holed]:
            found += _changed(first, second, k, w) if holed == 0 else _changed(first, second, w, k)
        else:
            w = min(max(w, w1), w2)
            found.append(_alone(first, second, k, w, 0) if holed == 0 else _alone(first, second, w, k, 1))
    return found
