"""Row functions generated from the schema.

A row of 50 columns built by a loop over column objects costs 30 µs; the same row as one generated f-string costs 3. So for each table `rows.py` says which
expression fills which column, and this file makes one function of it: for CSV text, or for a tuple of values. An expression `@X` means that the
column belongs to a block that was formatted before and is shared by several rows.
"""
from __future__ import annotations

from typing import Any, Callable, Iterable

from .schema import Column
from .text import BOOLEAN, EMPTY, Cells, ListCells, cell, iso, json_cell, seconds

Fill = dict[str, str]

NAMESPACE: dict[str, Any] = {"B": BOOLEAN, "NIL": EMPTY, "cells": Cells(), "lists": ListCells(), "cell": cell, "iso": iso, "seconds": seconds,
                             "json_cell": json_cell}
KNOWN = frozenset(("ns", "s.start_ns", "s.end_ns"))  # expressions that are never None


def field(column: Column, expression: str) -> str:
    """The column's part of the f-string."""
    if column.dtype == "time" and expression in KNOWN:
        return f"{{seconds[{expression} // 1000000000]}}{{{expression} % 1000000000:09d}}Z"
    return "{" + _code(column, expression) + "}"


def _code(column: Column, expression: str) -> str:
    """Python code whose value is the column's CSV field."""
    if column.secret:  # never memoised
        return f"cell({expression})"
    if column.distinct:  # a memo would only be filled
        return f"json_cell({expression})" if column.dtype == "list" else f"cell({expression})"
    if column.dtype == "boolean":
        return f"B[{expression}]"
    if column.dtype == "time":
        return f"iso({expression})"
    if column.dtype == "list":
        return f"lists[tuple({expression}) if {expression} is not None else None]"
    if column.dtype == "dict":
        return f"json_cell({expression})"
    if column.dtype in ("string", "category") and not column.ours:
        return f"cells[{expression}]"
    if column.nullable:
        return f"NIL if {expression} is None else {expression}"
    return expression


def _parts(columns: Iterable[Column], fill: Fill, text: bool) -> list[str]:
    parts: list[str] = []
    last = ""
    for column in columns:
        expression = fill[column.name]
        if expression.startswith("@"):
            if expression != last:
                parts.append("{" + expression[1:] + "}" if text else "*" + expression[1:])
            last = expression
        else:
            parts.append(field(column, expression) if text else expression)
            last = ""
    return parts


def row_function(name: str, arguments: str, columns: Iterable[Column], fill: Fill, *, text: bool, line: bool = True) -> Callable[..., Any]:
    """A function of `arguments` that returns a row (or, with line=False, a block of one).

    Args:
        name: shows in profiles.
        arguments: its parameters, separated by commas.
        columns: in the order of the table.
        fill: column name -> expression over the arguments, or `@argument` for a block.
        text: a CSV text; False: a tuple of values.
        line: the text ends with a line end.
    """
    parts = _parts(columns, fill, text)
    end = "\\n" if line else ""
    body = 'f"""' + ",".join(parts) + end + '"""' if text else "(" + ", ".join(parts) + ",)"
    scope = dict(NAMESPACE)
    exec(f"def {name}({arguments}):\n    return {body}\n", scope)  # our own declarations, nothing from outside
    return scope[name]
