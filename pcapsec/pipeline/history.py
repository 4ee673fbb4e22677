"""The baseline file: what earlier captures showed of each server, in SQLite, read before a run and added to after it.

Several runs may write to one file at the same time: each adds its own in one transaction, and adding is merging (the smallest first time, the largest last
one), so that neither the order nor doing it twice makes a difference. Nothing is written to a file that is not whole, and nothing is followed through a link.

The file may come from anywhere. It must hold our tables and nothing else, no trigger and no view, and each value that is read is checked.
"""
from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from contextlib import closing
from typing import Any, Callable, get_type_hints
from urllib.parse import quote

from ..errors import BaselineError, PcapsecError
from ..rules.collected import Collected
from ..rules.remembered import MAX_KEYS, MAX_LIST_BYTES, MAX_OFFERS, MAX_PAIRS, MAX_TEXT, MAX_VERSIONS, KeySeen, OfferSeen, PairSeen, Remembered, VersionSeen
from ..rules.remembering import gather

APPLICATION_ID = 0x50435342  # "PCSB", at offset 68 of the file
VERSION = 1
MAX_FILE_BYTES = 1 << 30
MAX_VALUE_BYTES = 1 << 16  # of a text or a row inside SQLite
MAX_PER_SERVER = 16  # lists below one greeting, and keys below one name: more are nobody's configuration
WAIT_S = 60.0  # for other runs that write
_MAGIC = b"SQLite format 3\0"
_MAX_INT = (1 << 63) - 1
_ONE_AT_A_TIME = threading.RLock()  # closing a file takes away the locks that another thread of the process has on it (POSIX)

_TABLES = {  # name: row type, columns of its key, ceiling, those of which only so many are kept, whether for each of them
    "offers": (OfferSeen, 4, MAX_OFFERS, 3),
    "keys": (KeySeen, 4, MAX_KEYS, 3),
    "versions": (VersionSeen, 3, MAX_VERSIONS, 2),
    "pairs": (PairSeen, 4, MAX_PAIRS, 0),
}
_KINDS = {row_type: get_type_hints(row_type) for row_type, *_rest in _TABLES.values()}  # field: int or str
_TABLE_OF = {row_type: name for name, (row_type, *_rest) in _TABLES.items()}


def _create(name: str) -> str:
    row_type, n_key, *_rest = _TABLES[name]
    columns = ", ".join(f"{field} {'INTEGER' if kind is int else 'TEXT'} NOT NULL" for field, kind in _KINDS[row_type].items())
    return f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({', '.join(row_type._fields[:n_key])})) WITHOUT ROWID"


def _last(name: str) -> str:
    return "max(tls_last_ns, clear_last_ns)" if name == "pairs" else "last_ns"


def _merge(name: str) -> str:
    """Add a row, or merge it with the one that has its key; which of two texts stays hangs on times, and then on the texts."""
    row_type, n_key, *_rest = _TABLES[name]
    fields = row_type._fields
    stamp = {"pairs": "tls_last_ns"}.get(name, "last_ns")
    updates = []
    for field in fields[n_key:]:
        mine, new = f"{name}.{field}", f"excluded.{field}"
        if field.endswith("first_ns"):
            updates.append(f"{field} = CASE WHEN {mine} = 0 THEN {new} WHEN {new} = 0 THEN {mine} ELSE min({mine}, {new}) END")
        elif field.endswith("last_ns") or field in ("n", "offered"):
            updates.append(f"{field} = max({mine}, {new})")
        else:
            updates.append(f"{field} = CASE WHEN (excluded.{stamp}, {new}) > ({name}.{stamp}, {mine}) THEN {new} ELSE {mine} END")
    return f"INSERT INTO {name} VALUES ({', '.join('?' * len(fields))}) ON CONFLICT ({', '.join(fields[:n_key])}) DO UPDATE SET {', '.join(updates)}"


def _prune(name: str) -> list[tuple[str, tuple[int, ...]]]:
    """Statements that keep a table below its ceilings: what was seen last stays."""
    row_type, n_key, most, n_group = _TABLES[name]
    key = ", ".join(row_type._fields[:n_key])
    said = []
    if n_group:
        group = ", ".join(row_type._fields[:n_group])
        said.append((f"DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM (SELECT {key}, row_number() OVER (PARTITION BY {group} ORDER BY {_last(name)} DESC, {key}) AS place FROM {name}) "
                     "WHERE place > ?)", (MAX_PER_SERVER,)))
    said.append((f"DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} ORDER BY {_last(name)} DESC, {key} LIMIT -1 OFFSET ?)", (most,)))
    return said


class History:
    """A baseline file.

    Args:
        path: where it is; it is made when a run is over and there is none yet.
        readonly: it must be there, and is not written to.
    Raises: PcapsecError when the file is none of ours or of a newer version, or cannot be made there.
    """

    def __init__(self, path: str, readonly: bool = False):
        self.path, self.readonly = path, readonly
        self.broken = False  # not to be written to
        try:
            with _ONE_AT_A_TIME:
                self._look()
        except BaselineError:  # said when it is read
            pass

    def read(self) -> Remembered:
        """What it holds; nothing when it is new.

        Raises: BaselineError when it is damaged or holds what pcapsec did not write.
        """
        remembered = Remembered()
        try:
            with _ONE_AT_A_TIME:
                if self._look():
                    self._do(lambda connection: self._read(connection, remembered))
        except BaselineError:
            self.broken = True
            raise
        return remembered

    def update(self, collected: Collected, now_ns: int) -> None:
        """Add what a run saw.

        Raises: BaselineError when it cannot be written; then it stays as it was.
        """
        if self.readonly or self.broken:
            return
        found = gather(collected, now_ns)
        with _ONE_AT_A_TIME:
            try:
                if not self._look():
                    self._make()
            except OSError as error:
                raise BaselineError(f"{self.path}: the baseline cannot be made: {error.strerror}") from None
            except BaselineError:
                raise
            except PcapsecError as error:  # somebody put another file there in the meantime
                raise BaselineError(str(error)) from None
            self._do(lambda connection: self._write(connection, found))

    # --- the file

    def _look(self) -> bool:
        """Whether there is something to read; an empty file is a new one."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if self.readonly:
                raise PcapsecError(f"{self.path}: there is no such baseline to compare with") from None
            folder = os.path.dirname(os.path.abspath(self.path))
            if not os.path.isdir(folder):
                raise PcapsecError(f"{self.path}: the baseline cannot be made: there is no folder {folder}") from None
            return False
        except OSError as error:
            if os.path.islink(self.path):
                raise PcapsecError(f"{self.path}: a baseline is not read or written through a link; name the file itself") from None
            raise PcapsecError(f"{self.path}: the baseline cannot be read: {error.strerror}") from None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise PcapsecError(f"{self.path}: a baseline is a file, and this is none")
            head = os.read(descriptor, 100)
        finally:
            os.close(descriptor)  # before SQLite has the file open: closing takes its locks
        if found.st_size > MAX_FILE_BYTES:
            raise PcapsecError(f"{self.path}: over {MAX_FILE_BYTES >> 20} MiB; this is no baseline of pcapsec")
        for ending in ("-journal", "-wal", "-shm"):
            if os.path.islink(self.path + ending):
                raise PcapsecError(f"{self.path}{ending}: a link stands where SQLite keeps what it needs; take it away")
        if not head:
            return False
        if len(head) < 100 and _MAGIC.startswith(head[:16]):
            raise self._damaged("it ends within its first 100 bytes") if len(head) > 16 else PcapsecError(f"{self.path}: not a baseline of pcapsec; name another file")
        version, application = int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big")
        if not head.startswith(_MAGIC) or application != APPLICATION_ID:
            raise PcapsecError(f"{self.path}: not a baseline of pcapsec; name another file, it is made when there is none")
        if version > VERSION:
            raise PcapsecError(f"{self.path}: a baseline of version {version}, written by a newer pcapsec; this one knows version {VERSION}")
        return True

    def _make(self) -> None:
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except FileExistsError:  # another run was faster
            self._look()

    def _do(self, work: Callable[[sqlite3.Connection], Any]) -> None:
        """Do something with the open file; any error of SQLite becomes one of ours."""
        try:
            with closing(self._open()) as connection:
                work(connection)
        except sqlite3.OperationalError as error:
            raise BaselineError(f"{self.path}: the baseline could not be used ({error}); it stays as it was") from None
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            raise self._damaged(str(error)) from None

    def _open(self) -> sqlite3.Connection:
        mode = "ro" if self.readonly else "rw"
        connection = sqlite3.connect(f"file:{quote(os.path.abspath(self.path))}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "temp_store = MEMORY"):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _damaged(self, why: str) -> BaselineError:
        return BaselineError(f"{self.path}: the baseline is damaged ({why}); nothing was compared with it or added to it. Put a copy in its place, or name another file to begin afresh")

    def _schema(self, connection: sqlite3.Connection) -> bool:
        """Whether our tables are there; nothing at all is a new file.

        Raises: BaselineError when there is anything else.
        """
        found = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name LIMIT 100").fetchall()
        if not found:
            return False
        if found != sorted((("table", name, _create(name)) for name in _TABLES), key=lambda row: row[1]):
            ours = {("table", name) for name in _TABLES}
            strange = next((f"{kind} {name}" for kind, name, _sql in found if (kind, name) not in ours), "its tables are not ours")
            raise self._damaged(f"it holds what pcapsec does not make: {str(strange)[:80]}")
        [[answer]] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if answer != "ok":
            raise self._damaged(str(answer).replace("\n", " ")[:200])
        return True

    # --- reading

    def _read(self, connection: sqlite3.Connection, remembered: Remembered) -> None:
        connection.execute("BEGIN")
        if self._schema(connection):
            for name, (row_type, _n_key, most, _n_group) in _TABLES.items():
                for n, values in enumerate(connection.execute(f"SELECT * FROM {name} LIMIT ?", (most + 1,))):
                    if n >= most or not _is_sound(row_type, values):
                        raise self._damaged(f"table {name} holds what pcapsec does not write")
                    remembered.add(row_type(*values))
        connection.execute("ROLLBACK")

    # --- writing

    def _write(self, connection: sqlite3.Connection, found: Remembered) -> None:
        self._transaction(connection, self._begin)  # by itself: whoever looks at the file meanwhile finds its first page in order
        self._transaction(connection, lambda connection: self._add(connection, found))

    def _begin(self, connection: sqlite3.Connection) -> None:
        if not self._schema(connection):
            for name in _TABLES:
                connection.execute(_create(name))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _add(self, connection: sqlite3.Connection, found: Remembered) -> None:
        [[size]] = connection.execute("PRAGMA page_size").fetchall()
        connection.execute(f"PRAGMA max_page_count = {MAX_FILE_BYTES // size}")
        rows: dict[str, list[tuple]] = {name: [] for name in _TABLES}
        for row in found.rows():
            rows[_TABLE_OF[type(row)]].append(row)
        for name, some in rows.items():
            connection.executemany(_merge(name), some)
            for statement, values in _prune(name):
                connection.execute(statement, values)

    def _transaction(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do all of something or nothing of it."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _is_sound(row_type: Any, values: tuple) -> bool:
    """Whether a row may have been written by us."""
    for (field, kind), value in zip(_KINDS[row_type].items(), values):
        if kind is int:
            if value.__class__ is not int or not 0 <= value <= _MAX_INT:
                return False
        elif value.__class__ is not str or len(value) > (MAX_LIST_BYTES if field == "listed" else MAX_TEXT):
            return False
    row = row_type(*values)
    return row.server_port < 65536 and (row_type is not OfferSeen or row.offered < 2 and _is_list(row.listed))


_lists: dict[str, bool] = {}


def _is_list(text: str) -> bool:
    """Whether a text is a capability list as `packed` writes it: three lists of texts."""
    known = _lists.get(text)
    if known is None:
        try:
            value = json.loads(text)
            known = isinstance(value, list) and len(value) == 3 and all(isinstance(part, list) and all(isinstance(entry, str) for entry in part) for part in value)
        except (ValueError, RecursionError):
            known = False
        if len(_lists) >= MAX_PER_SERVER:
            _lists.clear()
        _lists[text] = known
    return known
