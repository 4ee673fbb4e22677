"""Every error that pcapsec raises on purpose."""
from __future__ import annotations


class PcapsecError(Exception):
    """Base of all errors that a user can do something about."""


class CaptureError(PcapsecError):
    """A capture could not be read.

    Args:
        path: the file, directory or "-" that was asked for.
        offset: byte offset at which reading stopped, None when it never began.
        expected: what would have been right there.
        found: what stood there instead.
        hint: what to try.
    """

    def __init__(self, path: str, offset: int | None, expected: str, found: str, hint: str = ""):
        self.path, self.offset, self.expected, self.found, self.hint = path, offset, expected, found, hint
        place = f"{path}: " if offset is None else f"{path}, byte {offset}: "
        super().__init__(f"{place}expected {expected}, found {found}" + (f"; {hint}" if hint else ""))

    def __reduce__(self):
        return type(self), (self.path, self.offset, self.expected, self.found, self.hint)


class DefinitionError(PcapsecError):
    """A rule, table or policy file is not well formed; the message says where and what to write instead."""


class BaselineError(PcapsecError):
    """A baseline file is damaged or could not be written; it stays as it was, and the analysis is done without it."""


class OutputError(PcapsecError):
    """A table could not be written; the message says which file, why, and what to try."""
