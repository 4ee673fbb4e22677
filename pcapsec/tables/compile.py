"""Row functions generated from the schema.

A row of 50 columns built by a loop over column objects costs 30 µs; the same row as one generated f-string costs 3. So for each table `rows.py` says which
expression fills which column, and this file makes one function of it: for CSV text, or for a tuple of values. An expression `@X` means that the
column belongs to a block that was formatted before and is shared by several rows. Neighbouring columns whose values come together again and again
(what a server offers, what is hardly ever set) are looked up as one text.
"""
from __future__ import annotations

from itertools import groupby
from typing import Any, Callable, Iterable

from .access import LEVEL_NAMES, hexadecimal, in_range, offered
from .schema import Column
from .text import BOOLEAN, EMPTY, MAX_MEMO_LENGTH, Cells, ListCells, cell, iso, json_cell, seconds, texts_cell

MAX_TOGETHER = 4096  # texts remembered for each run of columns, a KiB each at most
Fill = dict[str, str]

NAMESPACE: dict[str, Any] = {"B": BOOLEAN, "NIL": EMPTY, "cells": Cells(), "lists": ListCells(), "cell": cell, "iso": iso, "seconds": seconds,
                             "json_cell": json_cell, "texts_cell": texts_cell, "LEVEL_NAMES": LEVEL_NAMES, "hexadecimal": hexadecimal,
                             "offered": offered, "in_range": in_range, "sides": {None: None, 0: "client", 1: "server"}}
KNOWN = frozenset(("ns", "s.start_ns", "s.end_ns"))  # expressions that are never None


def field(column: Column, expression: str) -> str:
    """The column's part of the f-string."""
    if expression == "None":
        return ""
    if column.dtype == "time" and expression in KNOWN:
        return f"{{seconds[{expression} // 1000000000]}}{{{expression} % 1000000000:09d}}Z"
    return "{(" + _code(column, expression) + ")}"


def _code(column: Column, expression: str) -> str:
    """Python code whose value is the column's CSV field."""
    if column.secret:  # never memoised
        return f"cell({expression})"
    if column.distinct:  # a memo would only be filled
        return f"texts_cell({expression})" if column.dtype == "list" else f"cell(v) if (v := {expression}) is not None else NIL"
    if column.dtype == "boolean":
        return f"B[{expression}]"
    if column.dtype == "time":
        return f"iso({expression})"
    if column.dtype == "list":
        return f"lists[tuple(v) if (v := {expression}) is not None else None]"
    if column.dtype == "dict":
        return f"json_cell({expression})"
    if column.dtype in ("string", "category") and not column.ours:
        return f"cells[{expression}]"
    if column.nullable:
        return f"NIL if (v := {expression}) is None else v"
    return expression


class _Together(dict):
    """`together[values]` is the text of several neighbouring columns."""

    def __init__(self, make: Callable[..., str]):
        super().__init__()
        self._make = make

    def __missing__(self, values: tuple) -> str:
        text = self._make(*values)
        if len(text) <= 4 * MAX_MEMO_LENGTH:
            if len(self) >= MAX_TOGETHER:
                self.clear()
            self[values] = text
        return text


def _text_part(columns: list[Column], fill: Fill, scope: dict[str, Any]) -> str:
    """The f-string part of columns that are looked up together."""
    names = [f"v{i}" for i in range(len(columns))]
    row = ",".join([field(column, name) for column, name in zip(columns, names)])
    make = _function("together", ", ".join(names), f'f"""{row}"""', dict(NAMESPACE))
    memo = f"together{len(scope)}"
    scope[memo] = _Together(make)
    return f"{{{memo}[{', '.join(fill[column.name] for column in columns)},]}}"


def _parts(columns: Iterable[Column], fill: Fill, text: bool, together: Iterable[tuple[str, str]], scope: dict[str, Any]) -> list[str]:
    columns = list(columns)
    names = [column.name for column in columns]
    run_of: dict[str, int] = {}
    for first, last in together if text else ():
        run_of.update(dict.fromkeys(names[names.index(first):names.index(last) + 1], names.index(first)))
    parts: list[str] = []
    for (expression, run), group in groupby(columns, lambda c: (fill[c.name] if fill[c.name].startswith("@") else "", run_of.get(c.name))):
        if expression:
            parts.append("{" + expression[1:] + "}" if text else "*" + expression[1:])
        elif run is not None:
            parts.append(_text_part(list(group), fill, scope))
        else:
            parts += [field(column, fill[column.name]) if text else fill[column.name] for column in group]
    return parts


def _function(name: str, arguments: str, body: str, scope: dict[str, Any]) -> Callable[..., Any]:
    exec(f"def {name}({arguments}):\n    return {body}\n", scope)  # our own declarations, nothing from outside
    return scope[name]


def row_function(name: str, arguments: str, columns: Iterable[Column], fill: Fill, *, text: bool, line: bool = True,
                 together: Iterable[tuple[str, str]] = ()) -> Callable[..., Any]:
    """A function of `arguments` that returns a row (or, with line=False, a block of one).

    Args:
        name: shows in profiles.
        arguments: its parameters, separated by commas.
        columns: in the order of the table.
        fill: column name -> expression over the arguments, or `@argument` for a block.
        text: a CSV text; False: a tuple of values.
        line: the text ends with a line end.
        together: first and last column of runs whose texts are looked up as one; their values are hashable.
    """
    scope = dict(NAMESPACE)
    parts = _parts(columns, fill, text, together, scope)
    end = "\\n" if line else ""
    body = 'f"""' + ",".join(parts) + end + '"""' if text else "(" + ", ".join(parts) + ",)"
    return _function(name, arguments, body, scope)
