"""A credential that does not print itself."""
from __future__ import annotations

import hashlib
import hmac
import os
from typing import Collection


class Secret:
    """Bytes that let somebody log in or guess offline.

    `repr`, `str`, formatting, JSON and pickles show no byte of it; `.reveal()` is the only way out, so that every use can be found with grep.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes):
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """The bytes themselves. Only output that the user asked for may call this."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self):
        raise TypeError("a Secret is never pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def is_among(self, values: Collection[bytes]) -> bool:
        """Whether the secret is one of some known values."""
        return self._value in values

    def length_bucket(self) -> str:
        """The length as `0`, `1-7`, `8-11` or `12+`: the exact one would help a guesser."""
        n = len(self._value)
        return "0" if n == 0 else "1-7" if n < 8 else "8-11" if n < 12 else "12+"


class Fingerprints:
    """HMAC-SHA256 under one key for a run, so that equal secrets show as equal and nothing can be brute-forced from a table.

    Args:
        key: bytes to use (from `--fingerprint-key FILE`); a random key of this run when None.
    """

    def __init__(self, key: bytes | None = None):
        self._key = key or os.urandom(32)
        self._known: dict[Secret, str] = {}

    def __reduce__(self):
        raise TypeError("Fingerprints are never pickled: a key leaves no process")

    def of(self, secret: Secret) -> str:
        """First 16 hex digits of the HMAC of a secret."""
        known = self._known.get(secret)
        if known is None:
            if len(self._known) >= 65536:  # a ceiling, not a policy: passwords repeat, guesses do not
                self._known.clear()
            known = self._known[secret] = hmac.new(self._key, secret.reveal(), hashlib.sha256).hexdigest()[:16]
        return known
