"""Conversations written down as text, and the assertions that every parser has to stand."""
from __future__ import annotations

import dataclasses
import random
import re

from pcapsec.records import CLIENT, SERVER
from pcapsec.secret import Secret

SIDES = {"C": CLIENT, "S": SERVER}
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_NAMED = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}

Turn = tuple[int, bytes | int]


def unescape(text: str) -> bytes:
    """`\\r \\n \\t \\0 \\\\ \\xNN` as bytes; other characters in UTF-8."""
    pieces, last = [], 0
    for match in _ESCAPE.finditer(text):
        pieces.append(text[last:match.start()].encode())
        if match[1]:
            pieces.append(bytes([int(match[1], 16)]))
        elif match[2] in _NAMED:
            pieces.append(_NAMED[match[2]].encode())
        else:
            raise ValueError(f"unknown escape {match[0]!r} in {text!r}")
        last = match.end()
    pieces.append(text[last:].encode())
    return b"".join(pieces)


def dialogue(text: str) -> list[Turn]:
    """A conversation as turns of (side, bytes), or (side, int) for that many lost bytes.

    `C: line` and `S: line` get CRLF; `C> bytes` gets no line end; `C! 120` loses 120 bytes; blank lines and lines that begin with # are skipped.
    Blanks before a line are dropped, those behind it are kept.
    """
    turns: list[Turn] = []
    for line in text.split("\n"):
        line = line.lstrip()
        if not line or line[0] == "#":
            continue
        side, mark, rest = SIDES[line[0]], line[1], line[2:]
        rest = rest[1:] if rest[:1] == " " else rest
        if mark == ":":
            turns.append((side, unescape(rest) + b"\r\n"))
        elif mark == ">":
            turns.append((side, unescape(rest)))
        elif mark == "!":
            turns.append((side, int(rest)))
        else:
            raise ValueError(f"neither ':', '>' nor '!' behind the side: {line!r}")
    return turns


def converse(parser_class, turns: list[Turn] | str, *, finish: bool = True, **keywords):
    """The parser after it was fed all turns, as the pipeline does it: nothing more once it has handed over."""
    if isinstance(turns, str):
        turns = dialogue(turns)
    parser = parser_class(**keywords)
    at = [0, 0]
    for side, data in turns:
        if parser.handover is not None:
            break
        if isinstance(data, int):
            parser.gap(side, data, at[side])
            at[side] += data
        else:
            parser.feed(side, data, at[side])
            at[side] += len(data)
    if finish and parser.handover is None:
        parser.finish()
    return parser


def merged(turns: list[Turn]) -> list[Turn]:
    """Neighbouring turns of one side as one."""
    out: list[Turn] = []
    for side, data in turns:
        if out and out[-1][0] == side and isinstance(data, bytes) and isinstance(out[-1][1], bytes):
            out[-1] = (side, out[-1][1] + data)
        else:
            out.append((side, data))
    return out


def cut(turns: list[Turn], sizes) -> list[Turn]:
    """Turns cut into pieces; `sizes()` gives the length of the next piece."""
    out: list[Turn] = []
    for side, data in turns:
        if isinstance(data, int):
            out.append((side, data))
            continue
        pos = 0
        while pos < len(data):
            n = max(1, sizes())
            out.append((side, data[pos:pos + n]))
            pos += n
    return out


def outcome(parser):
    """What has to be equal however the bytes were cut."""
    handover = parser.handover
    return parser.facts, handover and (handover.to, handover.at[CLIENT])


def same_however_cut(parser_class, turns: list[Turn] | str, *, seed: int = 1, rounds: int = 8, **keywords):
    """Assert that facts are equal for the bytes whole, byte by byte and cut at random; returns the parser that got them whole."""
    if isinstance(turns, str):
        turns = dialogue(turns)
    whole = converse(parser_class, merged(turns), **keywords)
    expected = outcome(whole)
    assert outcome(converse(parser_class, turns, **keywords)) == expected, "turn by turn"
    assert outcome(converse(parser_class, cut(turns, lambda: 1), **keywords)) == expected, "byte by byte"
    for number in range(rounds):
        chance = random.Random(seed * 1000 + number)
        pieces = cut(merged(turns), lambda: chance.randint(1, 40))
        assert outcome(converse(parser_class, pieces, **keywords)) == expected, f"cut at random, seed {seed}, round {number}"
    return whole


def one_sided(parser_class, turns: list[Turn] | str, side: int, **keywords):
    """The parser after it was fed one side only."""
    if isinstance(turns, str):
        turns = dialogue(turns)
    return converse(parser_class, [turn for turn in turns if turn[0] == side], **keywords)


def swallow(parser_class, data: bytes, *, seed: int = 1, **keywords) -> None:
    """Feed arbitrary bytes as both sides, with gaps, and expect no exception."""
    chance = random.Random(seed)
    parser = parser_class(**keywords)
    at, pos = [0, 0], 0
    while pos < len(data) and parser.handover is None:
        side, n = chance.randrange(2), chance.choice((1, 2, 7, 60, 1460))
        if chance.random() < 0.05:
            parser.gap(side, n, at[side])
        else:
            parser.feed(side, data[pos:pos + n], at[side])
        at[side] += n
        pos += n
    if parser.handover is None:
        parser.finish()


def told(record, *leave_out: str) -> dict:
    """A record as a dict of the fields that are not at their default, records inside likewise and secrets as their bytes: a whole object on few lines."""
    out = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if field.name in leave_out:
            continue
        if field.default is not dataclasses.MISSING and value == field.default:
            continue
        if field.default_factory is not dataclasses.MISSING and value == field.default_factory():
            continue
        out[field.name] = _plain(value)
    return out


def _plain(value):
    if isinstance(value, Secret):
        return value.reveal()
    if dataclasses.is_dataclass(value):
        return told(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
