"""Two sequences of lines or chunks laid beside one another: where they differ, in time that grows with their length.

Equal ends are cut off, then what stands once in both is taken for the same (patience), and what is left between two such anchors goes through the greedy
algorithm of Myers (An O(ND) Difference Algorithm, 1986) with a bound: beyond `MAX_EDITS` edits the whole stretch is one difference. So hostile input costs
accuracy, never time.
"""
from __future__ import annotations

import re
from typing import Hashable, Sequence

import numpy

MAX_EDITS = 300  # of one stretch between anchors: 45,000 steps and as many numbers in memory
MAX_DEPTH = 12  # anchors within anchors
MAX_LINE = 4096  # a longer line is cut like bytes without lines
MAX_CHUNK = 256  # bytes
MIN_CHUNK = 8
MAX_PAIRED = 32  # elements of each side of a difference that are matched by likeness
ALIKE = 0.5  # from this share of equal bytes on two lines are one line that was changed

Block = tuple[int, int, int, int]  # first[i1:i2] differs from second[j1:j2]
_WORD = re.compile(rb"[ \t]*[^ \t\r\n]+|[ \t]+|\r?\n|\r")


def align(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[Block]:
    """The stretches in which two sequences differ, in order."""
    found: list[Block] = []
    stack = [(0, len(first), 0, len(second), 0)]
    while stack:
        i1, i2, j1, j2, depth = stack.pop()
        while i1 < i2 and j1 < j2 and first[i1] == second[j1]:
            i1, j1 = i1 + 1, j1 + 1
        while i1 < i2 and j1 < j2 and first[i2 - 1] == second[j2 - 1]:
            i2, j2 = i2 - 1, j2 - 1
        if i1 == i2 or j1 == j2:
            if i1 < i2 or j1 < j2:
                found.append((i1, i2, j1, j2))
            continue
        anchors = _anchors(first, second, i1, i2, j1, j2) if depth < MAX_DEPTH else []
        if not anchors:
            found += _myers(first, second, i1, i2, j1, j2)
            continue
        for i, j in anchors:
            stack.append((i1, i, j1, j, depth + 1))
            i1, j1 = i + 1, j + 1
        stack.append((i1, i2, j1, j2, depth + 1))
    return _joined(sorted(found))


def _joined(blocks: list[Block]) -> list[Block]:
    """Stretches that touch are one."""
    joined: list[Block] = []
    for block in blocks:
        if joined and joined[-1][1] == block[0] and joined[-1][3] == block[2]:
            joined[-1] = joined[-1][0], block[1], joined[-1][2], block[3]
        else:
            joined.append(block)
    return joined


def _anchors(first: Sequence[Hashable], second: Sequence[Hashable], i1: int, i2: int, j1: int, j2: int) -> list[tuple[int, int]]:
    """Places of what stands once in each part, as many as go up in both."""
    places: dict[Hashable, int] = {}
    for i in range(i1, i2):
        places[first[i]] = -1 if first[i] in places else i
    others: dict[Hashable, int] = {}
    for j in range(j1, j2):
        if second[j] in places:
            others[second[j]] = -1 if second[j] in others else j
    pairs = sorted((i, others[key]) for key, i in places.items() if i >= 0 and others.get(key, -1) >= 0)
    tails: list[int] = []  # index of the pair that ends the shortest rising run of each length
    before = [-1] * len(pairs)
    for index, (_i, j) in enumerate(pairs):
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            if pairs[tails[middle]][1] < j:
                low = middle + 1
            else:
                high = middle
        before[index] = tails[low - 1] if low else -1
        tails[low:low + 1] = [index]
    run = []
    index = tails[-1] if tails else -1
    while index >= 0:
        run.append(pairs[index])
        index = before[index]
    return run[::-1]


def _myers(first: Sequence[Hashable], second: Sequence[Hashable], i1: int, i2: int, j1: int, j2: int) -> list[Block]:
    n, m = i2 - i1, j2 - j1
    reach = {1: 0}  # diagonal -> how far along `first`
    trace: list[dict[int, int]] = []
    for edits in range(min(MAX_EDITS, n + m) + 1):
        trace.append(reach.copy())
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or diagonal != edits and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
            x = reach[diagonal + 1] if down else reach[diagonal - 1] + 1
            y = x - diagonal
            while x < n and y < m and first[i1 + x] == second[j1 + y]:
                x, y = x + 1, y + 1
            reach[diagonal] = x
            if x >= n and y >= m:
                return _blocks(trace, n, m, i1, j1)
    return [(i1, i2, j1, j2)]


def _blocks(trace: list[dict[int, int]], n: int, m: int, i1: int, j1: int) -> list[Block]:
    """The edits on the way that was found, backwards, as stretches."""
    blocks: list[Block] = []
    x, y = n, m
    for edits in range(len(trace) - 1, 0, -1):
        reach, diagonal = trace[edits], x - y
        down = diagonal == -edits or diagonal != edits and reach.get(diagonal - 1, -1) < reach.get(diagonal + 1, -1)
        previous = diagonal + 1 if down else diagonal - 1
        x0 = reach[previous]
        y0 = x0 - previous
        blocks.append((i1 + x0, i1 + x0 + (0 if down else 1), j1 + y0, j1 + y0 + (1 if down else 0)))
        x, y = x0, y0
    return _joined(blocks[::-1])


# --- bytes into elements

def lines_of(data: bytes) -> list[bytes]:
    """Lines with their ends; what is too long for a line as chunks."""
    lines = data.split(b"\n")
    last = lines.pop()
    found: list[bytes] = []
    for line in lines:
        if len(line) < MAX_LINE:
            found.append(line + b"\n")
        else:
            found += chunks_of(line + b"\n")
    if last:
        found += [last] if len(last) <= MAX_LINE else chunks_of(last)
    return found


def chunks_of(data: bytes) -> list[bytes]:
    """Pieces of some 40 bytes whose ends hang on the bytes themselves, so that they fall alike wherever in the stream the same bytes stand."""
    ends = cuts(data, 31)
    found, at = [], 0
    for end in [*ends.tolist(), len(data)]:
        while end - at > MAX_CHUNK:
            found.append(data[at:at + MAX_CHUNK])
            at += MAX_CHUNK
        if end - at >= MIN_CHUNK or end == len(data) and end > at:
            found.append(data[at:end])
            at = end
    return found


def cuts(data: bytes | bytearray, mask: int) -> numpy.ndarray:
    """Where a number made of the last four bytes has none of the bits of `mask`: int64[n], offsets behind the byte."""
    values = numpy.frombuffer(data, dtype=numpy.uint8).astype(numpy.uint32)
    if len(values) < 4:
        return numpy.zeros(0, dtype=numpy.int64)
    mixed = (values[3:] * 0x9E3779B1 + values[2:-1] * 0x85EBCA77 + values[1:-2] * 0xC2B2AE3D + values[:-3] * 0x27D4EB2F + 0x165667B1) >> numpy.uint32(11)
    return numpy.flatnonzero(mixed & numpy.uint32(mask) == 0) + 4


# --- inside a difference

def likeness(one: bytes, other: bytes) -> float:
    """Share of bytes at the beginning and end of two lines that are equal; lines of one length may always be one, for masks keep it."""
    a, b = one.rstrip(b"\r\n"), other.rstrip(b"\r\n")
    if not a or not b:
        return 0.0
    head, tail = common_ends(a, b)
    share = 2 * (head + tail) / (len(a) + len(b))
    if head == min(len(a), len(b)):  # a list that became shorter
        share = max(share, ALIKE)
    if len(a) == len(b):
        share = max(share, sum(x == y for x, y in zip(a, b)) / len(a), ALIKE)
    return share


def common_ends(one: bytes, other: bytes) -> tuple[int, int]:
    """How many bytes two texts share at their beginning, and then at their end."""
    shorter = min(len(one), len(other))
    head = 0
    if one[:shorter] == other[:shorter]:
        head = shorter
    else:
        low, high = 0, shorter
        while low < high:  # the longest equal beginning, by halves
            middle = (low + high + 1) // 2
            if one[:middle] == other[:middle]:
                low = middle
            else:
                high = middle - 1
        head = low
    low, high = 0, shorter - head
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle:] == other[len(other) - middle:]:
            low = middle
        else:
            high = middle - 1
    return head, low


def pair_up(first: Sequence[bytes], second: Sequence[bytes]) -> list[tuple[int | None, int | None]]:
    """Which elements of a difference are the same line, changed: indexes side by side in order, None where one stands alone."""
    n, m = len(first), len(second)
    if n == m == 1:
        return [(0, 0)]
    if n > MAX_PAIRED or m > MAX_PAIRED:
        return [(i, None) for i in range(n)] + [(None, j) for j in range(m)]
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    like = [[likeness(a, b) for b in second] for a in first]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            together = like[i][j] + best[i + 1][j + 1] if like[i][j] >= ALIKE else -1.0
            best[i][j] = max(best[i + 1][j], best[i][j + 1], together)
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < n and j < m:
        if like[i][j] >= ALIKE and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    return pairs + [(k, None) for k in range(i, n)] + [(None, k) for k in range(j, m)]


def changed_words(one: bytes, other: bytes) -> list[Block]:
    """Byte ranges in which two versions of a line differ: word by word where most words are the same, else one range without the equal ends."""
    a, b = _WORD.findall(one), _WORD.findall(other)
    if max(len(a), len(b)) <= 400:
        blocks = align(a, b)
        if len(blocks) * 2 <= max(len(a), len(b)):
            at_a, at_b = _offsets(a), _offsets(b)
            return [_trimmed(one, other, (at_a[i1], at_a[i2], at_b[j1], at_b[j2])) for i1, i2, j1, j2 in blocks]
    return [_trimmed(one, other, (0, len(one), 0, len(other)))]


def _offsets(words: list[bytes]) -> list[int]:
    offsets = [0]
    for word in words:
        offsets.append(offsets[-1] + len(word))
    return offsets


def _trimmed(one: bytes, other: bytes, block: Block) -> Block:
    i1, i2, j1, j2 = block
    head, tail = common_ends(one[i1:i2], other[j1:j2])
    return i1 + head, i2 - tail, j1 + head, j2 - tail
