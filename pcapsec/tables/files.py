"""Tables as files: CSV, JSON lines or Parquet.

Files are created readable by the user alone under a temporary name and renamed when they are complete, never through a link, and an existing table is
not replaced unless forced. `Destination` checks all of that before an hour of analysis begins, and again when it writes.
"""
from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from typing import Any, BinaryIO, Callable, Iterable, Iterator

from ..errors import OutputError
from ..records import Capture, DnsAnswer, Finding, Session, Sighting
from ..secret import Fingerprints
from . import schema
from .rows import First, Rows, join_firsts
from .runs import RUN_BYTES, Run, merged, write_run
from .text import encodable, iso, to_json

FORMATS = ("csv", "jsonl", "parquet")
WEIGH_EVERY = 500  # rows between two looks at how much there is: with rows of a few kB, a small part of a run


class FileSink:
    """Collects the rows of one worker and writes sorted runs.

    Args:
        directory: where runs go; private to the user.
        format: csv, jsonl or parquet.
        reveal: credentials have their secret.
        fingerprints: one for the whole run, so that equal secrets look equal in all workers.
        wanted: tables to fill; None: all.
        run_bytes: text held before a run is written.
    """

    def __init__(self, directory: str, format: str = "csv", *, reveal: bool = False, fingerprints: Fingerprints | None = None,
                 wanted: Iterable[str] | None = None, run_bytes: int = RUN_BYTES):
        self.directory, self.format, self.run_bytes = os.fspath(directory), format, run_bytes
        self._rows = Rows(text=format == "csv", reveal=reveal, fingerprints=fingerprints, wanted=wanted)
        self._encoders = {} if format == "csv" else {table: line_encoder(table, format, reveal) for table in schema.TABLES}
        self._runs: list[Run] = []
        self._unweighed = 0

    def session(self, session: Session) -> None:
        self._rows.session(session)
        facts = session.facts
        self._unweighed += 1 + len(session.findings)
        for message in facts.messages:
            self._unweighed += 1 + len(message.hops)
        if facts.http is not None:
            self._unweighed += len(facts.http.requests)
        if facts.rpc is not None:
            self._unweighed += sum([len(association.contexts) for association in facts.rpc])
        if self._unweighed >= WEIGH_EVERY:
            self._unweighed = 0
            if self._rows.size() >= self.run_bytes:
                self._flush()

    def findings(self, findings: list[Finding], capture: str = "") -> None:
        """Judgements on a whole capture."""
        self._rows.capture_findings(findings)

    def close(self) -> "FilePart":
        """Write what is left; the result is picklable."""
        self._flush()
        return FilePart(self._runs, self._rows.firsts)

    def finish(self, captures: Iterable[Capture], rules: dict[str, Any], counts: dict[str, Any], firsts: dict[str, First], paths: Iterable[Any] = (),
               answers: Iterable[tuple[DnsAnswer, Sighting]] = ()) -> "FilePart":
        """The tables that only the end of the run can fill."""
        self._rows.captures(captures)
        self._rows.paths(paths)
        self._rows.answers(answers)
        self._rows.rule_summary(rules, counts, firsts)
        return self.close()

    def _flush(self) -> None:
        tables = self._rows.entries
        if self._encoders:
            tables = {table: [(ns, tie, self._encoders[table](row)) for ns, tie, row in entries] for table, entries in tables.items()}
        try:
            run = write_run(self.directory, tables)
        except OSError as error:
            raise OutputError(f"{self.directory}: rows could not be put aside ({error.strerror}); free some space or name another directory with -o") from None
        if run is not None:
            self._runs.append(run)
        self._rows.clear()


class FilePart:
    """What one sink leaves behind: its runs, and where each rule's first finding stands."""

    def __init__(self, runs: list[Run], firsts: dict[str, First]):
        self.runs, self.firsts = runs, firsts

    @staticmethod
    def joined(parts: Iterable["FilePart"]) -> "FilePart":
        parts = list(parts)
        return FilePart([run for part in parts for run in part.runs], join_firsts(part.firsts for part in parts))


_SHA256 = re.compile(rb"\b[0-9a-f]{64}\b")
MAX_SEEN = 1 << 20  # certificates of which a second row is noticed, 80 bytes each


def line_encoder(table: str, format: str, reveal: bool) -> Callable[[tuple], str]:
    """A function from a row's values to a line of JSON; times are ISO text for people (jsonl), numbers for the Parquet writer."""
    columns = schema.columns(table, reveal)
    names = [c.name for c in columns]
    times = [c.name for c in columns if c.dtype == "time"] if format == "jsonl" else []

    def encode(values: tuple) -> str:
        row = dict(zip(names, values))
        for name in times:
            if row[name] is not None:
                row[name] = iso(row[name])
        return to_json(row) + "\n"

    return encode


def merge_runs(parts: Iterable[FilePart], destination: "Destination", captures: Iterable[Capture], rules: dict[str, Any], counts: dict[str, Any],
               directory: str, *, fingerprints: Fingerprints | None = None, paths: Iterable[Any] = (),
               answers: Iterable[tuple[DnsAnswer, Sighting]] = ()) -> list[str]:
    """Write the final tables from the parts of all workers.

    Args:
        parts: what the sinks' `close` returned.
        destination: where and how.
        captures, rules, counts: for the captures and rule_summary tables.
        directory: of the runs.
        paths: ways of mail, for the table of them.
        answers: what DNS said of mail, for the table dns_policy.

    Returns:
        Paths of the tables.
    """
    whole = FilePart.joined(parts)
    last = FileSink(directory, destination.format, reveal=destination.reveal, fingerprints=fingerprints)
    runs = whole.runs + last.finish(captures, rules, counts, whole.firsts, paths, answers).runs
    return [destination.write(table, first_of_each(merged(runs, table)) if table == "certificates" else merged(runs, table)) for table in schema.TABLES]


def first_of_each(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Of the rows about one certificate the first: each worker wrote one when it met it. Its SHA-256 is the first 64 hexadecimal digits of a row."""
    seen: set[bytes] = set()
    for piece in pieces:
        kept = []
        for line in piece.splitlines(keepends=True):
            found = _SHA256.search(line)
            if found is not None:
                digest = bytes.fromhex(found[0].decode("ascii"))[:16]
                if digest in seen:
                    continue
                if len(seen) < MAX_SEEN:
                    seen.add(digest)
            kept.append(line)
        yield b"".join(kept)


# --- writing one file

@contextlib.contextmanager
def _directory(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _exists(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def check_target(path: str, force: bool) -> None:
    """Raise OutputError when a file may not be written to `path`."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        with _directory(os.path.realpath(folder)) as directory:
            _check(path, _exists(name, directory), force)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise OutputError(f"{path}: the directory {folder} is not writable")
    except OSError as error:
        raise OutputError(f"{path}: the directory {folder} cannot be used ({error.strerror})") from None


def _check(path: str, found: os.stat_result | None, force: bool) -> None:
    if found is None:
        return
    if stat.S_ISLNK(found.st_mode):
        raise OutputError(f"{path} is a link; pcapsec writes to no link, name its target or remove it")
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(f"{path} exists and is no regular file; name another file, or - for standard output")
    if not force:
        raise OutputError(f"{path} exists; --force replaces it")


def write_file(path: str, pieces: Iterable[bytes] | Callable[[BinaryIO], None], force: bool) -> None:
    """Write a file that appears complete or not at all.

    Args:
        path: the file.
        pieces: its content, or a function that writes it to a binary file.
        force: an existing regular file is replaced.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = f".{name}.{secrets.token_hex(8)}.part"
    try:
        with _directory(os.path.realpath(folder)) as directory:
            _check(path, _exists(name, directory), force)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
            try:
                with open(descriptor, "wb") as file:
                    if callable(pieces):
                        pieces(file)
                    else:
                        for piece in pieces:
                            file.write(piece)
                _publish(path, temporary, name, directory, force)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)
                raise
    except OSError as error:
        raise OutputError(f"{path} could not be written: {error.strerror or error}") from None


def _publish(path: str, temporary: str, name: str, directory: int, force: bool) -> None:
    """Give the complete file its name."""
    if force:
        _check(path, _exists(name, directory), force)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)  # replaces a link itself, never what it points to
        return
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)  # fails where the name exists by now
    except FileExistsError:
        raise OutputError(f"{path} exists; --force replaces it") from None
    except OSError:  # a file system without hard links
        _check(path, _exists(name, directory), force)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        return
    os.unlink(temporary, dir_fd=directory)


class Destination:
    """A directory for tables.

    Args:
        directory: created when missing, readable by the user alone.
        format: csv, jsonl or parquet.
        force: existing tables are replaced.
        reveal: credentials have their secret.
        tables: those that will be written.
    """

    def __init__(self, directory: str, format: str = "csv", *, force: bool = False, reveal: bool = False, tables: Iterable[str] = schema.TABLES):
        if format not in FORMATS:
            raise OutputError(f"{format} is no format; use one of {', '.join(FORMATS)}")
        self.directory = os.fspath(directory).rstrip("/") or "/"
        self.format, self.force, self.reveal = format, force, reveal
        if format == "parquet":
            _pyarrow()
        if os.path.islink(self.directory):
            raise OutputError(f"{self.directory} is a link; pcapsec writes through no link, name its target instead")
        try:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
            with _directory(self.directory) as descriptor:
                for table in tables:
                    for ending in FORMATS:
                        _check(self._path(table, ending), _exists(f"{table}.{ending}", descriptor), force)
        except OSError as error:
            raise OutputError(f"{self.directory} cannot be used for tables: {error.strerror or error}") from None
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise OutputError(f"{self.directory} is not writable")

    def _path(self, table: str, ending: str) -> str:
        return os.path.join(self.directory, f"{table}.{ending}")

    def write(self, table: str, pieces: Iterable[bytes]) -> str:
        """One table from pieces of whole lines, without a header."""
        path = self._path(table, self.format)
        if self.format == "csv":
            write_file(path, _with_header(table, self.reveal, pieces), self.force)
        elif self.format == "jsonl":
            write_file(path, pieces, self.force)
        else:
            write_file(path, lambda file: _write_parquet(file, table, self.reveal, pieces), self.force)
        if self.force:  # the same table of an earlier run in another format would contradict this one
            for ending in FORMATS:
                if ending != self.format:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path(table, ending))
        return path


def _with_header(table: str, reveal: bool, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield schema.header(table, reveal).encode()
    yield from pieces


def merged_findings(parts: Iterable[FilePart]) -> Iterator[bytes]:
    """The rows of the findings table alone, in pieces, without a header."""
    return merged(FilePart.joined(parts).runs, "findings")


def findings_csv(parts: Iterable[FilePart]) -> Iterator[bytes]:
    """The findings table alone, with its header, in pieces."""
    return _with_header("findings", False, merged_findings(parts))


# --- Parquet

def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise OutputError("Parquet needs pyarrow: pip install 'pcapsec[parquet]', or choose --format csv or jsonl") from None
    return pyarrow


_ARROW_TYPES = {"string": "string", "category": "string", "boolean": "bool_", "UInt8": "uint8", "UInt16": "uint16", "UInt32": "uint32", "UInt64": "uint64",
                "Int64": "int64", "dict": "string"}


def arrow_schema(table: str, reveal: bool) -> Any:
    """The Parquet schema of a table; dicts are JSON text, lists are lists."""
    pa = _pyarrow()
    fields = []
    for column in schema.columns(table, reveal):
        if column.dtype == "time":
            kind = pa.timestamp("ns", tz="UTC")
        elif column.dtype == "list":
            kind = pa.list_(pa.int64() if column.name in INTEGER_LISTS else pa.string())
        else:
            kind = getattr(pa, _ARROW_TYPES[column.dtype])()
        fields.append(pa.field(column.name, kind, nullable=True))
    return pa.schema(fields)


INTEGER_LISTS = frozenset(("link_types", "auth_level_announced", "opnums"))


def _write_parquet(file: BinaryIO, table: str, reveal: bool, pieces: Iterable[bytes]) -> None:
    import json

    pa = _pyarrow()
    kinds = arrow_schema(table, reveal)
    dicts = [c.name for c in schema.columns(table, reveal) if c.dtype == "dict"]
    with pa.parquet.ParquetWriter(file, kinds) as writer:
        for piece in pieces:
            rows = [json.loads(line) for line in piece.splitlines()]
            for name in dicts:
                for row in rows:
                    row[name] = encodable(to_json(row[name]))
            writer.write_table(pa.Table.from_pylist(rows, kinds))
