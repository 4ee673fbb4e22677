"""One run over hostile bytes, and what must hold of it: whatever comes in, no exception but ours, no fault, no hang, and tables that are well formed."""
from __future__ import annotations

import contextlib
import csv
import functools
import importlib
import io
import json
import signal
import traceback
from pathlib import Path
from typing import Any, Iterator

from pcapsec import pipeline
from pcapsec.errors import CaptureError
from pcapsec.kernels import tables
from pcapsec.report.summary import Summary
from pcapsec.rules import Policy, all_rules
from pcapsec.secret import Fingerprints
from pcapsec.streams import engine
from pcapsec.tables import schema
from pcapsec.tables.rows import Rows

pipeline_run = importlib.import_module("pcapsec.pipeline.run")  # the package's attribute of that name is the function
FINGERPRINTS = Fingerprints(b"0123456789abcdef0123456789abcdef")
POLICY = Policy.parse(b"version: 1\ninternal_networks: [192.0.2.0/24]\nlocal_domains: [example.org]\n")
FULL_EVERY = 16  # runs between two that also make DataFrames, JSON lines and the terminal's summary


TIGHT_EVERY = 5  # runs between two with tables so small that they are full all the time


class Hang(BaseException):
    """A run took longer than its time limit; no parser may catch it."""


class _Sink:
    """Rows as text, and the summary; what a sink does in earnest, without files."""

    def __init__(self, text: bool):
        self.rows = Rows(text=text, reveal=True, fingerprints=FINGERPRINTS)
        self.summary = Summary()

    def session(self, session: Any) -> None:
        self.rows.session(session)
        self.summary.session(session)

    def findings(self, findings: list, capture: str = "") -> None:
        self.rows.capture_findings(findings)
        self.summary.findings(findings, capture)

    def close(self) -> "_Sink":
        return self


def _ring(_signal: int, _frame: Any) -> None:
    raise Hang


@contextlib.contextmanager
def tight() -> Iterator[None]:
    """Tables for a handful of flows, windows of a few frames, conversations parsed in parts: what a flood does to large tables, small ones show with few frames."""
    small = {"MAX_FLOWS": 16, "MAX_SEGMENTS": 320, "ARENA_BYTES": 1 << 17, "KEPT_LIMIT": 3000, "SWEEP_FRAMES": 20, "OUT_BYTES": 2048}
    before, max_open = {name: getattr(engine, name) for name in small}, pipeline_run.MAX_OPEN
    new_tables, open_source = tables.new_tables, pipeline_run.open_source
    try:
        for name, value in small.items():
            setattr(engine, name, value)
        pipeline_run.MAX_OPEN = 3
        tables.new_tables = functools.partial(new_tables, index_entries=8)
        pipeline_run.open_source = functools.partial(open_source, window_bytes=8192, rows=16)
        yield
    finally:
        for name, value in before.items():
            setattr(engine, name, value)
        tables.new_tables, pipeline_run.open_source, pipeline_run.MAX_OPEN = new_tables, open_source, max_open


def examine(inputs: Any, seconds: float, full: bool, policy: Policy | None = None) -> tuple[str | None, int]:
    """Run the pipeline.

    Args:
        inputs: what pipeline.run takes.
        seconds: the time limit.
        full: also all other shapes of output.
        policy: to judge by.
    Returns: what is wrong, None when nothing is; and the number of sessions.
    """
    signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        outcome = pipeline.run(inputs, make_sink=lambda _worker: _Sink(not full), policy=policy, full_assessments=full)
        sink = outcome.partials[0] if outcome.partials else None
        return _judge(outcome, sink, full), sink.summary.n_sessions if sink is not None else 0
    except Hang:
        return f"hang: {_where()}", 0
    except Exception:
        return traceback.format_exc(limit=-6), 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _where() -> str:
    return traceback.format_exc(limit=-5)


def _judge(outcome: Any, sink: _Sink | None, full: bool) -> str | None:
    if outcome.internal_errors:
        return "fault: " + "; ".join(outcome.internal_errors[:5])
    if any(not isinstance(error, CaptureError) for error in outcome.errors):
        return f"an error that is no CaptureError: {outcome.errors!r}"
    if not outcome.captures and not outcome.errors:
        return "neither a capture nor an error"
    if sink is None:
        return None
    sink.rows.captures(outcome.captures)
    sink.rows.rule_summary(all_rules(), outcome.counts, {})
    packets = {capture.name: capture.packets for capture in outcome.captures}
    for table, entries in sink.rows.entries.items():
        columns = schema.columns(table, True)
        if full:
            rows: Any = [entry[2] for entry in entries]
        else:
            text = "".join(entry[2] for entry in entries)
            text.encode("utf-8", "backslashreplace")
            rows = list(csv.reader(io.StringIO(text), strict=True))
            if any(ord(letter) < 32 and letter != "\n" for letter in text):
                return f"{table}: a control character in {text!r}"
        wrong = _rows(table, [column.name for column in columns], rows, packets)
        if wrong:
            return wrong
    return _other_shapes(outcome, sink) if full else None


def _rows(table: str, names: list[str], rows: list, packets: dict[str, int]) -> str | None:
    capture_at = names.index("capture") if "capture" in names else -1
    frame_at = names.index("frame") if "frame" in names else -1
    for row in rows:
        if len(row) != len(names):
            return f"{table}: {len(row)} fields instead of {len(names)}: {row!r}"
        if capture_at >= 0 and frame_at >= 0 and row[frame_at] not in ("", None):
            capture, frame = row[capture_at], int(row[frame_at])
            if capture in packets and not 1 <= frame <= packets[capture]:
                return f"{table}: frame {frame} of {packets[capture]}: {row!r}"
    return None


def _other_shapes(outcome: Any, sink: _Sink) -> str | None:
    """DataFrames, JSON lines and what the terminal shows."""
    from pcapsec.report.terminal import render
    from pcapsec.tables.files import line_encoder
    from pcapsec.tables.frames import frame

    for table, entries in sink.rows.entries.items():
        rows = [entry[2] for entry in entries]
        if len(frame(table, rows, True)) != len(rows):
            return f"{table}: the DataFrame has another number of rows"
        encode = line_encoder(table, "jsonl", True)
        for row in rows:
            line = encode(row)
            line.encode("utf-8", "backslashreplace")
            json.loads(line)
    shown = render(sink.summary, outcome.captures, unread=[str(error) for error in outcome.errors], elapsed_s=1.0)
    if any(ord(letter) < 32 and letter != "\n" or 127 <= ord(letter) < 160 for letter in shown):
        return f"a control character on the terminal: {shown!r}"
    return None


def examine_bytes(data: bytes, number: int, folder: Path, seconds: float, other: bytes | None = None) -> tuple[str | None, int]:
    """Bytes as one of the inputs that users have: a stream, a file, or a file among several."""
    policy = POLICY if number % 3 == 0 else None
    full = number % FULL_EVERY == 0
    with tight() if number % TIGHT_EVERY == 0 else contextlib.nullcontext():
        return _as_input(data, number, folder, seconds, other, full, policy)


def _as_input(data: bytes, number: int, folder: Path, seconds: float, other: bytes | None, full: bool, policy: Policy | None) -> tuple[str | None, int]:
    if number % 4:
        return examine([io.BytesIO(data)], seconds, full, policy)
    path = folder / "one"
    path.write_bytes(data)
    if other is None:
        return examine([str(path)], seconds, full, policy)
    second = folder / "two"
    second.write_bytes(other)
    return examine([str(path), str(second)], seconds, full, policy)
