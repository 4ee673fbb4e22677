"""Key logs: which secrets belong to which TLS connection.

The format is SSLKEYLOGFILE's, one `LABEL client_random secret` a line in hexadecimal (draft-ietf-tls-keylogfile §2). A key log may come from anybody, so each line is taken
apart and only what is well formed is kept and written out again; the text itself goes nowhere.
"""
from __future__ import annotations

import re
from typing import BinaryIO, Iterable

from ..errors import PcapsecError

MAX_CONNECTIONS = 250_000  # connections with secrets, about 400 bytes each; the first ones count
MAX_LINE_BYTES = 512  # a longer line is none of a key log
CHUNK_BYTES = 1 << 16
LABELS = (b"CLIENT_RANDOM", b"CLIENT_EARLY_TRAFFIC_SECRET", b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"SERVER_HANDSHAKE_TRAFFIC_SECRET", b"CLIENT_TRAFFIC_SECRET_0",
          b"SERVER_TRAFFIC_SECRET_0", b"EARLY_EXPORTER_SECRET", b"EXPORTER_SECRET")
_LINE = re.compile(rb"(" + b"|".join(LABELS) + rb") ([0-9A-Fa-f]{64}) ((?:[0-9A-Fa-f]{2}){32,64})\s*")
_NUMBER = {label: number for number, label in enumerate(LABELS)}


class KeyLog:
    """Secrets by client random.

    Attributes:
        n_lines: lines that were understood.
        n_strange: lines that hold something else, comments left out.
        n_left_out: secrets for which there was no room.
    """

    def __init__(self) -> None:
        self.n_lines = self.n_strange = self.n_left_out = 0
        self._secrets: dict[bytes, dict[int, bytes]] = {}

    def __contains__(self, client_random: bytes) -> bool:
        return client_random in self._secrets

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"<KeyLog of {len(self)} connections>"

    def read(self, path: str) -> None:
        """Take a file in.

        Raises:
            PcapsecError: it cannot be read, or no line of it is one of a key log.
        """
        before = self.n_lines
        try:
            with open(path, "rb") as file:
                self.take(iter(lambda: file.read(CHUNK_BYTES), b""))
        except OSError as error:
            raise PcapsecError(f"{path}: the key log cannot be read: {error.strerror}") from None
        if self.n_lines == before:
            raise PcapsecError(f"{path}: no line of a key log in it; expected lines like CLIENT_RANDOM, 64 hexadecimal digits, and the secret in hexadecimal, "
                               "as programs write them into the file that SSLKEYLOGFILE names")

    def take(self, chunks: Iterable[bytes]) -> None:
        """Take text in, however it is cut."""
        rest, too_long = b"", False
        for chunk in chunks:
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if too_long and lines:
                lines[0], too_long = b"", False
            for line in lines:
                self._line(line)
            if len(rest) > MAX_LINE_BYTES:
                self.n_strange += not too_long
                rest, too_long = b"", True
        if not too_long:
            self._line(rest)

    def _line(self, line: bytes) -> None:
        if not line.strip() or line.lstrip()[:1] == b"#":
            return
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE_BYTES else None
        if found is None:
            self.n_strange += 1
            return
        self.n_lines += 1
        label, random, secret = _NUMBER[found[1]], bytes.fromhex(found[2].decode()), bytes.fromhex(found[3].decode())
        known = self._secrets.get(random)
        if known is None:
            if len(self._secrets) >= MAX_CONNECTIONS:
                self.n_left_out += 1
                return
            known = self._secrets[random] = {}
        known.setdefault(label, secret)

    def write(self, file: BinaryIO, randoms: Iterable[bytes]) -> None:
        """The secrets of some connections, as a key log."""
        for random in randoms:
            for label, secret in self._secrets.get(random, {}).items():
                file.write(b"%s %s %s\n" % (LABELS[label], random.hex().encode(), secret.hex().encode()))
