"""A bounds-checked cursor over an NDR or NDR64 stub (C706 §14, [MS-RPCE] §2.2.5)."""
from __future__ import annotations


class Cursor:
    """Reads one parameter after the other; past the end everything is zero or empty and `failed` is set.

    Args:
        data: the stub.
        little_endian: the call's data representation.
        wide: NDR64, where counts and pointers take 8 bytes.
        pos: where to begin.
    """

    __slots__ = ("data", "order", "wide", "pos", "failed")

    def __init__(self, data: bytes, little_endian: bool, wide: bool = False, pos: int = 0):
        self.data, self.pos, self.wide = data, pos, wide
        self.order = "little" if little_endian else "big"
        self.failed = False

    def integer(self, size: int) -> int:
        """An unsigned integer, aligned to its size."""
        pos = -(-self.pos // size) * size
        self.pos = pos + size
        if self.pos > len(self.data):
            self.failed = True
            return 0
        return int.from_bytes(self.data[pos:self.pos], self.order)

    def count(self) -> int:
        """A conformance, variance or pointer: 4 bytes, 8 in NDR64."""
        return self.integer(8 if self.wide else 4)

    def take(self, length: int) -> bytes:
        """That many bytes."""
        start = self.pos
        self.pos = start + length
        if self.pos > len(self.data):
            self.failed = True
            self.pos = len(self.data)
            return b""
        return self.data[start:self.pos]

    def array(self) -> bytes:
        """A conformant array of bytes."""
        return self.take(self.count())

    def varying(self) -> bytes:
        """A conformant and varying array of bytes, as strings are: maximum, offset 0, actual count, bytes."""
        most, offset, actual = self.count(), self.count(), self.count()
        if offset or actual > most:
            self.failed = True
            return b""
        return self.take(actual)

    def pointed(self) -> bytes:
        """The same behind a unique pointer; empty behind a null one."""
        return self.varying() if self.count() else b""
