"""A dictionary that keeps so many keys, and always the same ones, in whatever order and by however many workers they were found."""
from __future__ import annotations

from hashlib import blake2b
from typing import Any, Generic, TypeVar

K, V = TypeVar("K"), TypeVar("V")
_HIGHEST = (1 << 64) - 1


class Kept(dict, Generic[K, V]):
    """Of too many keys those with the smallest hashes stay.

    A key that had to go never comes back, since as many smaller ones stay; so what is kept under a key is complete, and a merge keeps what one worker alone would.

    Args:
        limit: how many keys there are at most once `settle` was called; while it is filled, twice as many.

    Attributes:
        full: some key did not fit.
    """

    def __init__(self, limit: int):
        super().__init__()
        self.limit, self.full = limit, False
        self._bar = _HIGHEST  # hash of the largest key that may still come in

    def room(self, key: Any) -> bool:
        """Whether a key that is not here may be put in."""
        if self.full and _hash(key) > self._bar:
            return False
        if len(self) >= 2 * self.limit:
            self.settle()
            return _hash(key) <= self._bar
        return True

    def settle(self) -> None:
        """Bring it down to its limit; done before it is read."""
        if len(self) <= self.limit:
            return
        order = sorted(((_hash(key), key) for key in self), key=_first)
        for _, key in order[self.limit:]:
            del self[key]
        self.full, self._bar = True, order[self.limit - 1][0]

    def __reduce__(self):
        return _rebuilt, (self.limit, self.full, self._bar, dict(self))


def _rebuilt(limit: int, full: bool, bar: int, items: dict) -> Kept:
    kept: Kept = Kept(limit)
    kept.full, kept._bar = full, bar
    kept.update(items)
    return kept


def join(mine: Kept, theirs: Kept) -> None:
    """What another one says about what no longer fits; the keys are added by whoever knows how to add up their values."""
    if theirs.full:
        mine.full, mine._bar = True, min(mine._bar, theirs._bar)


def _hash(key: Any) -> int:
    return int.from_bytes(blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]
