"""Tables as pandas DataFrames with real dtypes; unknown is <NA>, never False or 0."""
from __future__ import annotations

import json
import os
from typing import Any, Iterable, Sequence

import numpy as np
import pandas as pd

from ..errors import CaptureError, OutputError
from ..records import Capture, DnsAnswer, Finding, Session, Sighting
from ..secret import Fingerprints
from . import schema
from .files import FORMATS, INTEGER_LISTS, Destination, line_encoder
from .rows import UNKNOWN_TIME, Rows, join_firsts
from .schema import Column
from .text import BOOLEAN, cell, iso, json_cell, unguard

LATER = frozenset(("paths", "dns_policy"))  # tables that earlier versions did not write
_NO_TIME = np.iinfo(np.int64).min  # NaT in int64


class FrameSink:
    """Keeps rows as tuples until they become DataFrames.

    Args:
        reveal: credentials have their secret.
        fingerprints: one for the whole run.
    """

    def __init__(self, *, reveal: bool = False, fingerprints: Fingerprints | None = None):
        self._rows = Rows(text=False, reveal=reveal, fingerprints=fingerprints)

    def session(self, session: Session) -> None:
        self._rows.session(session)

    def findings(self, findings: list[Finding], capture: str = "") -> None:
        """Judgements on a whole capture."""
        self._rows.capture_findings(findings)

    def close(self) -> "FramePart":
        return FramePart(self._rows)


class FramePart:
    """What one sink leaves behind; picklable."""

    def __init__(self, rows: Rows):
        self.entries, self.firsts = rows.entries, rows.firsts


_SHA256 = [column.name for column in schema.columns("certificates", False)].index("certificate_sha256")


class Result:
    """The tables of a run, one DataFrame per attribute: findings, sessions, credentials, messages, hops, paths, tls, certificates, rpc, http, dns_policy, assessments,
    rule_summary, captures, anomalies.

    Args:
        tables: table -> DataFrame.

    Attributes:
        errors: CaptureErrors of inputs that could not be read.
        internal_errors: faults of ours, one line each.
    """

    findings: pd.DataFrame
    sessions: pd.DataFrame
    credentials: pd.DataFrame
    messages: pd.DataFrame
    hops: pd.DataFrame
    paths: pd.DataFrame
    tls: pd.DataFrame
    certificates: pd.DataFrame
    rpc: pd.DataFrame
    http: pd.DataFrame
    dns_policy: pd.DataFrame
    assessments: pd.DataFrame
    rule_summary: pd.DataFrame
    captures: pd.DataFrame
    anomalies: pd.DataFrame

    def __init__(self, tables: dict[str, pd.DataFrame]):
        for table in schema.TABLES:
            setattr(self, table, tables[table])
        self.errors: list[CaptureError] = []
        self.internal_errors: list[str] = []

    @classmethod
    def of_parts(cls, parts: Iterable[FramePart], captures: Iterable[Capture], rules: dict[str, Any], counts: dict[str, Any], *, reveal: bool = False,
                 paths: Iterable[Any] = (), answers: Iterable[tuple[DnsAnswer, Sighting]] = ()) -> "Result":
        """Build the tables from what the sinks of all workers collected."""
        parts = list(parts)
        last = Rows(text=False, reveal=reveal)
        last.captures(captures)
        last.paths(paths)
        last.answers(answers)
        last.rule_summary(rules, counts, join_firsts(part.firsts for part in parts))
        parts.append(FramePart(last))
        tables = {}
        for table in schema.TABLES:
            entries = [entry for part in parts for entry in part.entries[table]]
            entries.sort(key=lambda entry: entry[:2])
            if table == "certificates":
                entries = list({entry[2][_SHA256]: entry for entry in reversed(entries)}.values())[::-1]
            tables[table] = frame(table, [entry[2] for entry in entries], reveal)
        return cls(tables)

    def save(self, directory: str | os.PathLike, format: str = "csv", force: bool = False) -> list[str]:
        """Write all tables into a directory, as the command line does.

        Args:
            directory: created when missing, readable by the user alone.
            format: csv, jsonl or parquet (needs pyarrow).
            force: existing tables are replaced.

        Returns:
            Paths of the files.

        Raises:
            OutputError: a file exists, is a link, or cannot be written.
        """
        reveal = "secret" in self.credentials.columns
        destination = Destination(os.fspath(directory), format, force=force, reveal=reveal)
        return [destination.write(table, _lines(table, getattr(self, table), format, reveal)) for table in schema.TABLES]

    def __repr__(self) -> str:
        return "Result(" + ", ".join(f"{table}: {len(getattr(self, table))}" for table in schema.TABLES) + ")"


def frame(table: str, rows: Sequence[tuple], reveal: bool = False) -> pd.DataFrame:
    """Rows in the order of the schema as a DataFrame."""
    columns = schema.columns(table, reveal)
    values = list(zip(*rows)) if rows else [()] * len(columns)
    return pd.DataFrame({column.name: series(column, value) for column, value in zip(columns, values)})


def series(column: Column, values: Sequence[Any]) -> pd.Series:
    """Values with None for unknown as a Series of the column's dtype."""
    kind = column.dtype
    if kind == "time":
        numbers = np.fromiter((_NO_TIME if v is None or v == UNKNOWN_TIME else v for v in values), np.int64, len(values))
        return pd.Series(pd.DatetimeIndex(numbers.view("datetime64[ns]")).tz_localize("UTC"))
    if kind == "category":
        if column.order:
            return pd.Series(pd.Categorical(values, categories=list(column.order), ordered=True))
        return pd.Series(pd.Categorical(values, categories=sorted({v for v in values if v is not None})))
    if kind in ("list", "dict"):
        cells = np.empty(len(values), object)
        for i, v in enumerate(values):
            cells[i] = list(v) if isinstance(v, tuple) else v if v is not None else pd.NA
        return pd.Series(cells, dtype=object)
    if kind == "string":  # Python's storage: wire text may hold what Arrow's UTF-8 cannot
        return pd.Series(pd.array([pd.NA if v is None else v for v in values], dtype=pd.StringDtype("python", na_value=pd.NA)))
    return pd.Series(pd.array([pd.NA if v is None else v for v in values], dtype=kind))


def _values(column: Column, data: pd.Series) -> list[Any]:
    """A Series of any origin as Python values, None for unknown, int64 ns for times."""
    if column.dtype == "time":
        data = pd.to_datetime(data, utc=True).dt.as_unit("ns")
        numbers = data.to_numpy("datetime64[ns]").view(np.int64).tolist()
        return [None if n == _NO_TIME else n for n in numbers]
    result = data.astype(object).tolist()
    if column.dtype in ("list", "dict"):
        return [None if v is None or v is pd.NA or isinstance(v, float) else v for v in result]
    return [None if v is None or v is pd.NA or v != v else v for v in result]


def _lines(table: str, data: pd.DataFrame, format: str, reveal: bool) -> Iterable[bytes]:
    """A DataFrame as lines of the format, in pieces."""
    columns = schema.columns(table, reveal)
    missing = [c.name for c in columns if c.name not in data.columns]
    if missing:
        raise OutputError(f"table {table} lacks the columns {', '.join(missing)}; it cannot be saved")
    values = [_values(column, data[column.name]) for column in columns]
    if format == "csv":
        writers = [_writer(column) for column in columns]
        cells = [list(map(write, column)) for write, column in zip(writers, values)]
        lines = [",".join(row) + "\n" for row in zip(*cells)]
    else:
        lines = list(map(line_encoder(table, format, reveal), zip(*values)))
    for at in range(0, len(lines), 4096):
        yield "".join(lines[at:at + 4096]).encode("utf-8", "backslashreplace")


def _writer(column: Column) -> Any:
    if column.dtype == "boolean":
        return lambda v: BOOLEAN[None if v is None else bool(v)]
    if column.dtype == "time":
        return iso
    if column.dtype in ("list", "dict"):
        return json_cell
    if column.dtype in ("string", "category"):
        return cell
    return lambda v: "" if v is None else str(int(v))


# --- reading back

def load(directory: str | os.PathLike) -> Result:
    """Read the tables that `save` or `analyze -o` wrote.

    Args:
        directory: with findings.csv (or .jsonl, .parquet) and its neighbours.

    Returns:
        Result: what cannot be told from a CSV (bytes that were not UTF-8, an empty text from a missing one) is text with escapes, or missing.

    Raises:
        OutputError: a table is missing or not one of ours.
    """
    folder = os.fspath(directory)
    tables = {}
    for table in schema.TABLES:
        for ending in FORMATS:
            path = os.path.join(folder, f"{table}.{ending}")
            if os.path.exists(path):
                break
        else:
            if table in LATER:
                tables[table] = frame(table, [])
                continue
            raise OutputError(f"{folder} holds no table {table}; is it a directory that `pcapsec analyze -o` wrote?")
        try:
            tables[table] = _read(table, path, ending)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise OutputError(f"{path} is not a table as pcapsec writes it: {error}") from None
    return Result(tables)


def _read(table: str, path: str, ending: str) -> pd.DataFrame:
    if ending == "csv":
        names = pd.read_csv(path, nrows=0).columns
        raw = pd.read_csv(path, dtype=object, keep_default_na=False)
        given = {name: [_parse(column, v) for v in raw[name]] for name, column in _known(table, names)}
    elif ending == "jsonl":
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        names = list(rows[0]) if rows else [c.name for c in schema.columns(table)]
        given = {name: [_parse_json(column, row[name]) for row in rows] for name, column in _known(table, names)}
    else:
        import pyarrow.parquet as parquet

        data = parquet.read_table(path)
        given = {}
        for name, column in _known(table, data.column_names):
            values = data[name]
            if column.dtype == "time":
                values = values.cast("int64")
            items = values.to_pylist()
            given[name] = [json.loads(v) if v is not None else None for v in items] if column.dtype == "dict" else items
    reveal = "secret" in given
    return pd.DataFrame({c.name: series(c, given[c.name]) for c in schema.columns(table, reveal)})


def _known(table: str, names: Iterable[str]) -> list[tuple[str, Column]]:
    """The columns that the file has; KeyError when one of ours is missing. Columns of later versions are left aside."""
    names = set(names)
    wanted = schema.columns(table, "secret" in names)
    lacking = [c.name for c in wanted if c.name not in names]
    if lacking:
        raise KeyError(f"columns {', '.join(lacking)} are missing")
    return [(c.name, c) for c in wanted]


def _parse(column: Column, text: str) -> Any:
    """A CSV field as a value."""
    kind = column.dtype
    if text == "":
        return None if column.nullable or kind != "string" else ""
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "time":
        return pd.Timestamp(text).value
    if kind in ("list", "dict"):
        value = json.loads(text)
        return [int(v) for v in value] if column.name in INTEGER_LISTS else value
    if kind in ("string", "category"):
        return text if column.ours else unguard(text)
    return int(text)


def _parse_json(column: Column, value: Any) -> Any:
    return pd.Timestamp(value).value if column.dtype == "time" and value is not None else value
