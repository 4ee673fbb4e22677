"""Sorted runs on disk, merged into time order with bounded memory.

A worker collects rows; at `RUN_BYTES` they are sorted by time and written as one run: a file with, per table, the text of its rows, their times, ties and
ends. The merge takes all runs of all workers slab by slab: it chooses a time below which about `SLAB_BYTES` of rows lie, reads those, sorts their times
with numpy and joins the texts. Rows of one time are ordered by their tie, a number made of the session's id, and rows of one session as they came; so the
result depends neither on the number of workers nor on the format.
"""
from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import BinaryIO, Iterator

import numpy as np

RUN_BYTES = 16 << 20  # text a worker holds before it writes a run; with Python's overhead about 25 MiB
SLAB_BYTES = 1 << 20  # text the merge holds: what fits the processor's cache is merged twice as fast as 8 MiB
ROWS_AT_ONCE = 256  # rows joined, encoded and written in one go: some 200 KiB
MAX_KEYS = 1 << 19  # rows whose times, ties and ends the merge holds, of all runs together: 12 MiB


@dataclass(frozen=True, slots=True)
class Section:
    """One table's part of a run file."""

    text_at: int  # byte offset of the rows
    text_bytes: int
    keys_at: int  # byte offset of n int64 times, then n int64 ties, then n int64 ends (byte offsets behind each row, from text_at)
    n: int
    first: int  # smallest time
    last: int  # largest time


@dataclass(frozen=True, slots=True)
class Run:
    """One run file; picklable, so that a worker can hand it over."""

    path: str
    sections: dict[str, Section]


def write_run(directory: str, tables: dict[str, list[tuple[int, int, str]]]) -> Run | None:
    """Sort what a worker has and write it as one run file; None when there is nothing.

    Args:
        directory: of the run file.
        tables: table -> (time, tie, text of one or several lines) of each row.
    """
    if not any(tables.values()):
        return None
    path = os.path.join(directory, f"run-{os.getpid()}-{secrets.token_hex(8)}")
    sections: dict[str, Section] = {}
    at = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        for table, entries in tables.items():
            if not entries:
                continue
            times, ties, texts = zip(*entries)
            keys, second = np.array(times, np.int64), np.array(ties, np.int64)
            order = _in_order(keys, second)
            keys, second = keys[order], second[order]
            ends = np.cumsum(_write_texts(file, texts, order.tolist()))
            size = int(ends[-1])
            for part in (keys, second, ends):
                file.write(part)
            sections[table] = Section(at, size, at + size, len(texts), int(keys[0]), int(keys[-1]))
            at += size + 24 * len(texts)
    return Run(path, sections)


def _in_order(keys: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where the rows stand in order of time and tie. Rows of one time are mostly those of one session, which the sort by time leaves in order."""
    order = np.argsort(keys, kind="stable")
    times, ties = keys[order], second[order]
    disputed = (times[1:] == times[:-1]) & (ties[1:] < ties[:-1])
    return np.lexsort((second, keys)) if disputed.any() else order


def _write_texts(file: BinaryIO, texts: tuple[str, ...], order: list[int]) -> np.ndarray:
    """Write rows in an order, piece by piece so that each stays in the processor's cache on its way.

    Returns: their lengths in bytes, int64[n].
    """
    lengths = np.empty(len(order), np.int64)
    for first in range(0, len(order), ROWS_AT_ONCE):
        rows = [texts[i] for i in order[first:first + ROWS_AT_ONCE]]
        joined = "".join(rows)
        data = joined.encode("utf-8", "backslashreplace")
        exact = rows if len(data) == len(joined) else [row.encode("utf-8", "backslashreplace") for row in rows]
        lengths[first:first + len(rows)] = np.fromiter(map(len, exact), np.int64, len(rows))
        file.write(data)
    return lengths


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows taken from one run: times, ties, ends (from the start of `text`) and text."""

    times: np.ndarray
    ties: np.ndarray
    ends: np.ndarray
    text: bytes


class _Reader:
    """Reads one section forward. The file is opened for each read: hundreds of runs must not need hundreds of descriptors."""

    def __init__(self, path: str, section: Section, n_keys: int):
        self.path, self.section = path, section
        self.n_keys = n_keys  # rows whose times are held at once
        self.row = 0  # first row not yet taken
        self.byte = 0  # its text offset
        self.base = 0  # row number of keys[0]
        self.keys = self.ties = self.ends = np.empty(0, np.int64)

    def _read(self, at: int, length: int) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            pieces = []
            while length:
                piece = os.pread(descriptor, length, at)
                if not piece:
                    raise OSError(f"{self.path} ends too early")
                pieces.append(piece)
                at, length = at + len(piece), length - len(piece)
            return b"".join(pieces)
        finally:
            os.close(descriptor)

    @property
    def done(self) -> bool:
        return self.row == self.section.n

    def next_time(self) -> int:
        if self.row == 0:
            return self.section.first
        self._fill()
        return int(self.keys[self.row - self.base])

    def _fill(self) -> None:
        """Have the keys of the next rows in memory."""
        if self.row < self.base + len(self.keys):
            return
        s = self.section
        n = min(self.n_keys, s.n - self.row)
        self.base = self.row
        self.keys, self.ties, self.ends = (np.frombuffer(self._read(s.keys_at + 8 * (i * s.n + self.row), 8 * n), np.int64) for i in range(3))

    def cut(self, budget: int) -> int:
        """A time such that the rows up to it, with it, fit the budget; at least that of the next row."""
        self._fill()
        k = self.row - self.base
        end = int(np.searchsorted(self.ends, self.byte + budget, "right"))
        if end >= len(self.keys):
            return int(self.keys[-1])
        return int(self.keys[max(k, end - 1)])

    def take(self, cut: int, limit: int) -> _Part | None:
        """The next rows not later than `cut`, at most about `limit` bytes of text; None when there are none."""
        if self.next_time() > cut:
            return None
        self._fill()
        k = self.row - self.base
        end = int(np.searchsorted(self.keys, cut, "right"))
        end = min(end, max(k + 1, int(np.searchsorted(self.ends, self.byte + limit, "right"))))
        ends = self.ends[k:end]
        part = _Part(self.keys[k:end], self.ties[k:end], ends - self.byte, self._read(self.section.text_at + self.byte, int(ends[-1]) - self.byte))
        self.row += len(ends)
        self.byte = int(ends[-1])
        return part


def merged(runs: list[Run], table: str) -> Iterator[bytes]:
    """The rows of one table from all runs in order of time, in pieces of about SLAB_BYTES."""
    holding = [run for run in runs if table in run.sections]
    readers = [_Reader(run.path, run.sections[table], max(MAX_KEYS // len(holding), 256)) for run in holding]
    while readers:
        # runs overlap only where workers or sources do: those that begin behind the first run's cut need not be looked at yet
        horizon = min(reader.section.last for reader in readers)
        active = [reader for reader in readers if reader.next_time() <= horizon]
        budget = max(SLAB_BYTES // len(active), 4096)
        cut = min(min(reader.cut(budget) for reader in active), horizon)
        parts = [reader.take(cut, max(SLAB_BYTES, budget)) for reader in active]  # more only where rows of one time fill more than a slab
        yield _join([part for part in parts if part is not None])
        readers = [reader for reader in readers if not reader.done]


def _join(parts: list[_Part]) -> bytes:
    """Rows of several runs as one text in order."""
    if len(parts) == 1:
        return parts[0].text
    base, starts, ends = 0, [], []
    for part in parts:
        starts.append(np.concatenate(([0], part.ends[:-1])) + base)
        ends.append(part.ends + base)
        base += len(part.text)
    text = b"".join([part.text for part in parts])
    order = np.lexsort((np.concatenate([part.ties for part in parts]), np.concatenate([part.times for part in parts])))
    start, end = np.concatenate(starts)[order], np.concatenate(ends)[order]
    # rows that already stood side by side are copied as one
    breaks = np.flatnonzero(start[1:] != end[:-1]) + 1
    first = start[np.concatenate(([0], breaks))].tolist()
    last = end[np.concatenate((breaks - 1, [len(end) - 1]))].tolist()
    return b"".join([text[a:b] for a, b in zip(first, last)])
