"""Alignment: what it says must turn one sequence into the other, and say little where little differs."""
from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.pipeline.alignment import align, changed_words, chunks_of, common_ends, cuts, likeness, lines_of, pair_up


def applied(first, second, blocks):
    """The first sequence with its differing stretches replaced by the second's."""
    out, at = [], 0
    for i1, i2, j1, j2 in blocks:
        out += [*first[at:i1], *second[j1:j2]]
        at = i2
    return out + list(first[at:])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=30), st.lists(st.integers(0, 4), max_size=30))
def test_the_stretches_turn_one_into_the_other(first, second):
    blocks = align(first, second)
    assert applied(first, second, blocks) == second
    assert blocks == sorted(blocks) and all(i1 < i2 or j1 < j2 for i1, i2, j1, j2 in blocks)
    assert bool(blocks) == (first != second)


@pytest.mark.parametrize("first, second, blocks", [
    ("abcdef", "abcdef", []), ("abcdef", "abdef", [(2, 3, 2, 2)]), ("abdef", "abcdef", [(2, 2, 2, 3)]), ("abcdef", "abXdef", [(2, 3, 2, 3)]),
    ("abcdef", "XabcdefY", [(0, 0, 0, 1), (6, 6, 7, 8)]), ("", "ab", [(0, 0, 0, 2)]), ("aaaa", "aaa", [(3, 4, 3, 3)]), ("abc", "xyz", [(0, 3, 0, 3)]),
    ("abcabba", "cbabac", None),
])
def test_small_ones(first, second, blocks):
    found = align(first, second)
    assert "".join(applied(first, second, found)) == second
    if blocks is not None:
        assert found == blocks


def test_scattered_edits_in_a_long_text_are_found_one_by_one():
    rng = random.Random(3)
    lines = [f"line {number} {rng.random()}" for number in range(50_000)]
    changed = list(lines)
    for at in (100, 20_000, 49_999):
        changed[at] = "other"
    del changed[30_000]
    assert align(lines, changed) == [(100, 101, 100, 101), (20_000, 20_001, 20_000, 20_001), (30_000, 30_001, 30_000, 30_000), (49_999, 50_000, 49_998, 49_999)]


@pytest.mark.parametrize("make", [
    lambda rng: ([rng.randint(0, 1) for _ in range(100_000)], [rng.randint(0, 1) for _ in range(100_000)]),
    lambda rng: ([0] * 100_000 + [1], [0] * 50_000 + [1] + [0] * 50_000),
    lambda rng: (list(range(100_000)), list(range(100_000))[::-1]),
    lambda rng: ([n % 1000 for n in range(200_000)], [n % 999 for n in range(200_000)]),
])
def test_hostile_input_costs_no_time(make):
    first, second = make(random.Random(1))
    begun = time.monotonic()
    blocks = align(first, second)
    assert time.monotonic() - begun < 20
    assert applied(first, second, blocks) == second


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_elements_are_the_bytes(data):
    assert b"".join(lines_of(data)) == data == b"".join(chunks_of(data))


def test_chunks_fall_alike_wherever_they_stand():
    data = random.Random(2).randbytes(20_000)
    before, after = chunks_of(data), chunks_of(b"inserted" + data)
    assert len(set(before) & set(after)) > 0.95 * len(before)
    assert 20 < len(data) / len(before) < 80
    assert len(cuts(data, 4095)) < 20 and not len(cuts(b"abc", 31))
    assert max(map(len, chunks_of(bytes(100_000)))) <= 256 and max(map(len, lines_of(b"x" * 100_000 + b"\n"))) <= 4096


def test_common_ends():
    assert common_ends(b"250-STARTTLS\r\n", b"250-XXXXXXXA\r\n") == (4, 2)
    assert common_ends(b"abc", b"abc") == (3, 0) and common_ends(b"", b"abc") == (0, 0) and common_ends(b"aXa", b"aa") == (1, 1)


def test_lines_are_paired_with_what_became_of_them():
    assert pair_up([b"250-A\r\n", b"250-STARTTLS\r\n", b"250 HELP\r\n"], [b"250-A\r\n", b"250-XXXXXXXX\r\n", b"250 HELP\r\n"]) == [(0, 0), (1, 1), (2, 2)]
    assert pair_up([b"250-HELP\r\n", b"250 STARTTLS\r\n"], [b"250 HELP\r\n"]) == [(0, 0), (1, None)]
    assert pair_up([b"STARTTLS\r\n"], [b"XXXXXXXX\r\n"]) == [(0, 0)]
    assert pair_up([], [b"a", b"b"]) == [(None, 0), (None, 1)]
    assert likeness(b"", b"a") == 0 and likeness(b"250-SIZE 1\r\n", b"250-SIZE 1\r\n") == 1


def test_words_of_a_line():
    one, other = b"* CAPABILITY IMAP4rev1 STARTTLS IDLE AUTH=PLAIN\r\n", b"* CAPABILITY IMAP4rev1 IDLE AUTH=LOGIN\r\n"
    assert [(one[a1:a2], other[b1:b2]) for a1, a2, b1, b2 in changed_words(one, other)] == [(b" STARTTLS", b""), (b"PLA", b"LOG")]
    assert changed_words(b"250-STARTTLS\r\n", b"250-XXXXXXXA\r\n") == [(4, 12, 4, 12)]
