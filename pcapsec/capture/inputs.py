"""Which files a command means, and which of them are one capture."""
from __future__ import annotations

import contextlib
import copy
import glob
import os
import re
import stat
import sys
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator

from ..errors import CaptureError
from . import formats

HEAD_WINDOW_BYTES = 1 << 20  # for a look at a file's first packets
HEAD_ROWS = 1 << 12
MAX_HEAD_BATCHES = 16  # packets without a time may come first; after so many looks the file is taken to have none
TAIL_BYTES = 1 << 22  # for a look at a file's last packets
WALKED_WHOLE_BYTES = 1 << 24  # a plain file up to this size is simply walked
TOLERATED_NS = 1_000_000  # rotated files may overlap by this much: several receive queues are not in strict order


@dataclass(slots=True)
class Input:
    """One thing to read: a file, a pipe, or an open file object."""

    name: str  # as the user gave it; for files in a directory, the directory as given and the path below it
    path: str | None = None  # to open; None for a file object
    file: Any = None  # binary file object; None for a path
    size: int | None = None  # bytes on disk; None: not known before the end
    plain: bool = True  # a regular file, which can be looked at before it is read
    format: str | None = None  # pcap, pcapng, snoop, netmon; None: not looked at
    compression: str | None = None
    link_types: tuple[int, ...] = ()  # as far as the first window tells
    first_ns: int | None = None  # time of the first packet; None: no packet, none with a time, or not looked at
    last_ns: int | None = None  # latest time; None: as first_ns, or there was nothing to compare with
    has_secrets: bool = False  # a TLS key log stands in the first window
    _tail: Any = field(default=None, repr=False)  # state of the walk after the file's head


def plan(paths: Iterable[Any], join: bool = False, errors: list[CaptureError] | None = None) -> list[list[Input]]:
    """Find the captures that are meant, and those that belong together.

    Args:
        paths: files, directories (searched through to the bottom, files that do not begin like a capture left out), patterns, "-" for standard input,
            named pipes, or binary file objects.
        join: take everything as one capture.
        errors: where inputs that cannot be read are noted; None: the first one raises.

    Returns:
        a list of captures, each a list of inputs in order of their first packets. Files belong to one capture when their times do not overlap and their
        link types agree. How the times are learnt: the first packet's from the file's head; the last packet's from the last TAIL_BYTES of an
        uncompressed file, small and compressed ones are walked once (only when there is another file to compare with, and not with `join`). Pipes and
        file objects cannot be looked at: each is a capture of its own.

    Raises:
        CaptureError: nothing of that name, not a capture, no permission, a directory without captures.
    """
    if isinstance(paths, (str, bytes, os.PathLike)) or hasattr(paths, "read"):
        paths = [paths]
    found: list[Input] = []
    for path in paths:
        try:
            for one in _expanded(path):
                _keep_looked_at(one, found, errors)
        except CaptureError as error:
            if errors is None:
                raise
            errors.append(error)
    found = _without_repeats(found)
    ordered = sorted(found, key=lambda one: (not one.plain, one.first_ns is None, one.first_ns or 0))  # stable: otherwise in order as given
    if join:
        return [ordered] if ordered else []
    return _grouped(ordered)


def _keep_looked_at(one: Input, found: list[Input], errors: list[CaptureError] | None) -> None:
    try:
        if one.plain:
            look_at_head(one)
    except CaptureError as error:
        if errors is None:
            raise
        errors.append(error)
    else:
        found.append(one)


@contextlib.contextmanager
def opened(one: Input) -> Iterator[Any]:
    """The input as a binary file object; closed afterwards unless it was given open."""
    if one.file is not None:
        yield one.file
        return
    try:
        file = open(one.path, "rb", buffering=0)
    except OSError as error:
        raise _not_opened(one.name, error) from None
    with file:
        yield file


def _not_opened(name: str, error: OSError) -> CaptureError:
    if isinstance(error, FileNotFoundError):
        return CaptureError(name, None, "a capture", "nothing of that name", "check the path; a pattern must match at least one file")
    if isinstance(error, PermissionError):
        return CaptureError(name, None, "a file that may be read", "no permission", "ask its owner, or run as a user who may read it")
    return CaptureError(name, None, "a file that can be opened", str(error.strerror or error))


# ---- what is meant ------------------------------------------------------------------------------------------------------------------------------


def _expanded(path: Any) -> Iterator[Input]:
    if hasattr(path, "read") or hasattr(path, "readinto"):
        yield Input(str(getattr(path, "name", "<stream>")), file=path, plain=False)
        return
    name = os.fsdecode(path)
    if name == "-":
        yield Input("-", file=sys.stdin.buffer, plain=False)
        return
    try:
        about = os.stat(name)
    except OSError as error:
        matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []
        if not matches:
            raise _not_opened(name, error) from None
        for match in matches:
            yield from _expanded(match)
        return
    if stat.S_ISDIR(about.st_mode):
        yield from _in_directory(name)
    elif stat.S_ISREG(about.st_mode):
        yield Input(name, path=name, size=about.st_size)
    else:
        yield Input(name, path=name, plain=False)


def _in_directory(directory: str) -> Iterator[Input]:
    n = 0
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.startswith(".") or not os.path.isfile(path):
                continue
            size = _size_of_capture(path)
            if size is not None:
                n += 1
                yield Input(path, path=path, size=size)
    if n == 0:
        raise CaptureError(directory, None, "captures in this directory", "none", "a capture is told by its content, not by its name; name a file to see what is wrong with it")


def _size_of_capture(path: str) -> int | None:
    """Size of a file that is a capture, or packed and holds one, by its first bytes; None for any other."""
    from . import readers

    try:
        with open(path, "rb", buffering=0) as file:
            reader, _compression = readers.open_reader(file)
            head = bytearray(formats.ENOUGH_HEAD)
            filled = 0
            while filled < len(head):
                n = reader.readinto(memoryview(head)[filled:])
                if n == 0:
                    break
                filled += n or 0
            return os.fstat(file.fileno()).st_size if formats.format_of(bytes(head[:filled])) is not None else None
    except OSError:  # gone meanwhile, or not ours to read: named alone it would be an error, met on the way it is not
        return None


def _without_repeats(found: list[Input]) -> list[Input]:
    """A file that was named twice (alone and by its directory) counts once."""
    seen = set()
    kept = []
    for one in found:
        key = os.path.realpath(one.path) if one.path is not None else id(one.file)
        if key not in seen:
            seen.add(key)
            kept.append(one)
    return kept


# ---- times --------------------------------------------------------------------------------------------------------------------------------------


def look_at_head(one: Input) -> None:
    """Fill in format, compression, link types and the time of the first packet.

    Raises:
        CaptureError: not a capture, or not readable.
    """
    from .walking import Buffers, Walk

    with opened(one) as file:
        buffers = Buffers(HEAD_WINDOW_BYTES, HEAD_ROWS)
        walk = Walk(one.name, file, buffers)
        for step, _n in enumerate(walk.batches()):
            if walk.first_packet_ns is not None or step >= MAX_HEAD_BATCHES:
                break
        one.format, one.compression, one.link_types = walk.capture.format, walk.capture.compression, walk.capture.link_types
        one.first_ns = walk.first_packet_ns
        one.has_secrets = walk.has_secrets
        one._tail = (copy.deepcopy(walk.state), buffers.interfaces)


def look_at_end(one: Input) -> None:
    """Fill in the latest time: from the file's tail, or by walking all of it where that is not possible."""
    if one.first_ns is None:
        return
    if one.format in ("pcap", "pcapng") and one.compression is None and one.size is not None and one.size > WALKED_WHOLE_BYTES:
        one.last_ns = _newest_in_tail(one)
    if one.last_ns is None or one.last_ns < one.first_ns:
        one.last_ns = _newest_of_all(one)
    one._tail = None


def _newest_in_tail(one: Input) -> int | None:
    import numpy as np

    from ..kernels import walk, walk_ng

    head_state, interfaces = one._tail
    state = head_state.copy()
    for column in (walk.AT, walk.N_TIMED, walk.PACKETS, walk.NO_INTERFACE, walk.PASS_OVER):
        state[column] = 0
    state[walk.SEARCHING] = 1
    data = np.empty(TAIL_BYTES, np.uint8)
    frames = np.empty((HEAD_ROWS, walk.FRAME_COLUMNS), np.int64)
    with opened(one) as file:
        file.seek(one.size - TAIL_BYTES)
        filled = 0
        while filled < TAIL_BYTES:
            n = file.readinto(memoryview(data)[filled:])
            if not n:
                break
            filled += n
    while True:
        if one.format == "pcap":
            walk.walk_pcap(data, filled, 1, state, frames)
        else:
            walk_ng.walk_pcapng(data, filled, 1, state, interfaces, frames)
        if state[walk.STATUS] not in (walk.ROWS_FULL, walk.SECRETS_HERE):
            break
    if not state[walk.N_TIMED] or state[walk.NO_INTERFACE] or state[walk.STATUS] != walk.WINDOW_DONE:
        return None
    return int(state[walk.NEWEST_NS])


def _newest_of_all(one: Input) -> int | None:
    from .walking import Buffers, Walk

    with opened(one) as file:
        walk = Walk(one.name, file, Buffers(1 << 22, 1 << 14))
        for _n in walk.batches():
            pass
        return walk.capture.last_ns


# ---- what belongs together ----------------------------------------------------------------------------------------------------------------------


def _grouped(ordered: list[Input]) -> list[list[Input]]:
    """Put each file behind the capture that it goes on with: one of the same link types that ended before; with several, the one of the most similar name."""
    alone = [one for one in ordered if not one.plain or one.first_ns is None]
    timed = [one for one in ordered if one.plain and one.first_ns is not None]
    groups: list[list[Input]] = []
    ends: list[int] = []
    if len(timed) > 1:
        for one in timed:
            look_at_end(one)
    for one in timed:
        candidates = [
            index
            for index, group in enumerate(groups)
            if set(group[0].link_types) == set(one.link_types)
            and (one.first_ns > ends[index] or (one.first_ns > ends[index] - TOLERATED_NS and one.first_ns > group[-1].first_ns and one.last_ns > ends[index]))
        ]
        if candidates:
            best = max(candidates, key=lambda index: (_stem(groups[index][-1].name) == _stem(one.name), ends[index]))
            groups[best].append(one)
            ends[best] = max(ends[best], one.last_ns)
        else:
            groups.append([one])
            ends.append(one.last_ns if one.last_ns is not None else one.first_ns)
    return groups + [[one] for one in alone]


def _stem(name: str) -> str:
    """A file's name without what rotation changes in it: numbers."""
    return re.sub(r"\d+", "#", name)
