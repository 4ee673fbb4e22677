"""Hostile values as cells."""
from __future__ import annotations

import csv
import io
import json
import time

import pytest
from hypothesis import given, strategies

from pcapsec.tables.text import Cells, ListCells, cell, guard, iso, json_cell, texts_cell, to_json, unguard, visible


@pytest.mark.parametrize("text, field", [
    (None, ""),
    ("", '""'),
    ("alice@example.com", "alice@example.com"),
    ("a,b", '"a,b"'),
    ('say "hi"', '"say ""hi"""'),
    ("=1+1", "'=1+1"),
    ("+49 1", "'+49 1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    (" =1+1", "' =1+1"),
    ("＝1", "'＝1"),
    ("'=1", "''=1"),
    ("'quoted'", "'quoted'"),
    ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
    ("\t=1", "\\x09=1"),
    ("\r=1", "\\x0d=1"),
    ("a\nb", "a\\x0ab"),
    ("\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"),
    ("a\x9bb\x7f", "a\\x9bb\\x7f"),
    ("\x00", "\\x00"),
    ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
    ("a\u200bb", "a\\u200bb"),
    ("a\U000e0041b", "a\\U000e0041b"),
    ("caf\udce9", "caf\\xe9"),
    ("half \ud800", "half \\ud800"),
    ("müller@例え.jp", "müller@例え.jp"),
    ("DOMAIN\\user", "DOMAIN\\user"),
    (" a", '" a"'),
    ("a ", '"a "'),
])
def test_cell(text, field):
    assert cell(text) == field
    assert Cells()[text] == field


@given(strategies.text())
def test_any_text_is_one_harmless_field(text):
    field = cell(text)
    field.encode()
    (row,) = csv.reader(io.StringIO(f"{field},x\n"))
    assert row[1:] == ["x"]
    assert visible(row[0]) == row[0]
    assert row[0].lstrip(" \u00a0\u3000")[:1] not in tuple("=+-@＝＋－＠")
    assert unguard(row[0]) == visible(text)


@given(strategies.text())
def test_guard_can_be_taken_back(text):
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("value, field", [
    (None, ""),
    ([], "[]"),
    ((), "[]"),
    (["a"], '"[""a""]"'),
    ([1, 2], '"[1,2]"'),
    ({"a": None, "b": True}, '"{""a"":null,""b"":true}"'),
    ({"e": "\x1b[m"}, '"{""e"":""\\u001b[m""}"'),
    ({"e": "\udcff"}, '"{""e"":""\\\\xff""}"'),
    ({"raw": b"secret"}, '"{""raw"":""6 bytes""}"'),
    ({"set": {"b", "a"}}, '"{""set"":[""a"",""b""]}"'),
])
def test_json_cell(value, field):
    assert json_cell(value) == field


@given(strategies.recursive(strategies.text() | strategies.integers() | strategies.booleans() | strategies.none(),
                            lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(), inner, max_size=3), max_leaves=8))
def test_json_is_strict_ascii(value):
    text = to_json(value)
    assert text.isascii() and text.isprintable()
    json.loads(text).__repr__().encode()


@pytest.mark.parametrize("ns, text", [
    (None, ""),
    (0, "1970-01-01T00:00:00.000000000Z"),
    (1_714_550_400_123_456_789, "2024-05-01T08:00:00.123456789Z"),
    (-1, "1969-12-31T23:59:59.999999999Z"),
    ((1 << 63) - 1, "2262-04-11T23:47:16.854775807Z"),
])
def test_iso(ns, text):
    assert iso(ns) == text


def test_memos_are_bounded(monkeypatch):
    monkeypatch.setattr("pcapsec.tables.text.MAX_MEMO_ENTRIES", 10)
    cells, lists = Cells(), ListCells()
    for i in range(100):
        assert cells[f"user{i}"] == f"user{i}"
        assert lists[(f"user{i}",)] == json_cell([f"user{i}"])
    assert len(cells) <= 10 and len(lists) <= 10
    long = "x" * 5000
    assert cells[long] == long and long not in cells


def test_long_cells_take_linear_time():
    begun = time.process_time()
    for text in ("'" * 200_000, " " * 200_000, "\x1b" * 200_000, "=" * 200_000, '"' * 200_000):
        cell(text)
    assert time.process_time() - begun < 2


_ANY_TEXT = strategies.text(strategies.characters(max_codepoint=0x10FFFF, exclude_categories=()), max_size=8)


@given(strategies.one_of(strategies.none(), strategies.lists(_ANY_TEXT, max_size=3)))
def test_texts_cell_says_what_json_cell_says(values):
    assert texts_cell(values) == json_cell(values)


@given(strategies.dictionaries(strategies.sampled_from(("a", "b_c", "d", "e")), strategies.one_of(_ANY_TEXT, strategies.integers(), strategies.booleans(), strategies.lists(_ANY_TEXT, max_size=3)), max_size=4))
def test_json_cell_is_the_json_quoted(value):
    text = to_json(value)
    assert json_cell(value) == ('"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text)
