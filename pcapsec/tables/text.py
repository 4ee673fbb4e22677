"""Values as text: CSV cells, JSON, times. Everything from the wire is hostile where it is shown.

- Control characters, terminal sequences, bidirectional overrides and bytes that are not UTF-8 are written `\\xNN` or `\\uNNNN`.
- A text cell that a spreadsheet would run (`=`, `+`, `-`, `@` and their full-width forms, also behind blanks) gets a leading apostrophe; one that
  already has apostrophes before such a sign gets one more, so that `unguard` gives the text back.
- Unknown is an empty cell, an empty text is `""`.

Formatting is memoised: hosts, users, replies and times repeat. Each memo has a ceiling and starts over when it is reached.
"""
from __future__ import annotations

import json
import re
import time
from json.encoder import c_make_encoder, encode_basestring_ascii
from typing import Any

MAX_MEMO_ENTRIES = 32768  # per memo: a few MiB at worst
MAX_MEMO_LENGTH = 256  # longer texts are rare and would fill memory
BOOLEAN = {None: "", True: "true", False: "false"}
EMPTY = ""

_PLAIN = re.compile(r"[A-Za-z0-9_.<(\[{/*#$%&;:?!^~|`\\][A-Za-z0-9_.@:/ <>\[\]()*!#$%&;?^{}|~`\\'=+-]*\Z").match
_PLAIN_JSON = re.compile(r"[ !#-\[\]-~]*\Z").match  # JSON as it stands: printable ASCII but quote and backslash
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff0-\uffff\ud800-\udfff]")
_UNSAFE_WIDE = re.compile("[\U000e0000-\U000e0fff]")  # tag characters: invisible text
_RUNS = re.compile(r"'*[ \u00a0\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20]").match  # what a spreadsheet takes for a formula
_GUARDED = re.compile(r"'+[ \u00a0\u3000]*[=+\-@\uff1d\uff0b\uff0d\uff20]").match
_SURROGATES = re.compile("[\ud800-\udfff]")


def _escape(match: re.Match) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """The text with everything that could steer a terminal, hide or reorder characters written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE_WIDE.sub(_escape, _UNSAFE.sub(_escape, text))


def encodable(text: str) -> str:
    """The text with bytes that were not UTF-8 as `\\xNN`: what JSON and Parquet can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub(_escape, text)
    return text


def guard(text: str) -> str:
    """The text with a leading apostrophe when a spreadsheet would run it."""
    return "'" + text if _RUNS(text) else text


def unguard(text: str) -> str:
    """Take back what `guard` did."""
    return text[1:] if _GUARDED(text) else text


def quote(text: str) -> str:
    """A CSV field by RFC 4180 §2."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    if "," in text or not text or text[0] == " " or text[-1] == " ":
        return '"' + text + '"'
    return text


def cell(text: str | None) -> str:
    """A CSV field of a text from the wire."""
    if text is None:
        return ""
    if _PLAIN(text):
        return text if text[-1] != " " else quote(text)
    return quote(guard(visible(text)))


class Cells(dict):
    """`cells[text]` is the CSV field of a text."""

    def __missing__(self, text: str) -> str:
        field = cell(text)
        if len(field) <= MAX_MEMO_LENGTH:
            if len(self) >= MAX_MEMO_ENTRIES:
                self.clear()
            self[text] = field
        return field


class _Seconds(dict):
    """`seconds[s]` is the ISO text of a second, up to and with the point."""

    def __missing__(self, second: int) -> str:
        t = time.gmtime(second)
        text = f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}."
        if len(self) >= MAX_MEMO_ENTRIES:
            self.clear()
        self[second] = text
        return text


seconds = _Seconds()


def iso(ts_ns: int | None) -> str:
    """A time as `2024-05-01T08:00:00.123456789Z`, empty when unknown."""
    if ts_ns is None:
        return ""
    second, rest = divmod(ts_ns, 1_000_000_000)
    return f"{seconds[second]}{rest:09d}Z"


# --- JSON: always ASCII, so control characters come out as \u00NN

def _plain_value(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"  # raw bytes never reach a table
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _clean(value: Any) -> Any:
    """The same value with only encodable text in it."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {encodable(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    return value


_slow_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_plain_value).encode



class _Quoted(dict):
    """`quoted[text]` is a text as JSON inside a quoted CSV field: its quotes are doubled. Keys and most values of evidence repeat."""

    def __missing__(self, text: str) -> str:
        field = f'""{text}""' if _PLAIN_JSON(text) else encode_basestring_ascii(encodable(text)).replace('"', '""')
        if len(field) <= MAX_MEMO_LENGTH and "@" not in text:  # addresses and message ids hardly repeat
            if len(self) >= MAX_MEMO_ENTRIES:
                self.clear()
            self[text] = field
        return field


_quoted = _Quoted()

if c_make_encoder is None:
    def _pieces(value: Any, depth: int) -> tuple[str, ...]:
        return (_slow_encode(value),)

    def _cell_pieces(value: Any, depth: int) -> tuple[str, ...]:
        return (to_json(value).replace('"', '""'),)
else:  # json.dumps builds this object anew for every call, which costs more than the encoding of a small dict
    _pieces = c_make_encoder(None, _plain_value, encode_basestring_ascii, None, ":", ",", False, False, True)
    _cell_pieces = c_make_encoder(None, _plain_value, _quoted.__getitem__, None, ":", ",", False, False, True)


def to_json(value: Any) -> str:
    """Compact JSON; text that was not UTF-8 is escaped first, since half a surrogate pair is no JSON text elsewhere."""
    text = "".join(_pieces(value, 0))
    return text if "\\ud" not in text else _slow_encode(_clean(value))


def json_cell(value: Any) -> str:
    """A CSV field with a dict or list as JSON; empty when unknown."""
    if value is None:
        return ""
    text = "".join(_cell_pieces(value, 0))
    return f'"{text}"' if '"' in text or "," in text else text


def texts_cell(values: list[str] | tuple[str, ...] | None) -> str:
    """What `json_cell` gives, for lists that mostly hold one plain text and hardly ever repeat."""
    if not values:
        return "" if values is None else "[]"
    if len(values) == 1 and _PLAIN_JSON(values[0]):
        return f'"[""{values[0]}""]"'
    return json_cell(values)


class ListCells(dict):
    """`lists[tuple]` is the CSV field of a tuple of texts."""

    def __missing__(self, values: tuple | None) -> str:
        field = json_cell(values)
        if len(field) <= 4 * MAX_MEMO_LENGTH:
            if len(self) >= MAX_MEMO_ENTRIES:
                self.clear()
            self[values] = field
        return field
