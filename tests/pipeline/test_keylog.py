"""Key logs: what is taken from them, and what is not."""
from __future__ import annotations

import io
import random

import pytest

from pcapsec.errors import PcapsecError
from pcapsec.pipeline import keylog
from pcapsec.pipeline.keylog import KeyLog

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
MASTER = f"CLIENT_RANDOM {ONE.hex()} {'ab' * 48}"
TRAFFIC = [f"{label} {TWO.hex()} {'cd' * 32}" for label in ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")]
TEXT = "\n".join(["# written by a program", "", MASTER, *TRAFFIC]).encode() + b"\n"


def taken(text: bytes, *cuts: int) -> KeyLog:
    keys = KeyLog()
    places = [0, *cuts, len(text)]
    keys.take(text[begin:end] for begin, end in zip(places, places[1:]))
    return keys


def written(keys: KeyLog, *randoms: bytes) -> list[str]:
    file = io.BytesIO()
    keys.write(file, randoms)
    return file.getvalue().decode().splitlines()


def test_each_connection_has_its_lines():
    keys = taken(TEXT)
    assert (ONE in keys, TWO in keys, bytes(32) in keys, len(keys), keys.n_lines, keys.n_strange) == (True, True, False, 2, 5, 0)
    assert written(keys, ONE) == [MASTER]
    assert written(keys, TWO, bytes(32)) == TRAFFIC


def test_it_says_the_same_however_the_text_is_cut():
    shaken = random.Random(7)
    for _ in range(50):
        keys = taken(TEXT, *sorted(shaken.randrange(len(TEXT)) for _ in range(shaken.randrange(6))))
        assert (written(keys, ONE, TWO), keys.n_strange) == ([MASTER, *TRAFFIC], 0)


@pytest.mark.parametrize("line", [
    b"CLIENT_RANDOM", b"CLIENT_RANDOM zz", MASTER.encode()[:-1], MASTER.encode()[:100], MASTER.encode() + b" more", b"RSA 0011 " + b"ab" * 48, b"-o tls.debug_file:/tmp/x",
    b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"ab" * 200, b"\xff" * 300, b"CLIENT_RANDOM " * 100, b"CLIENT_RANDOM\0" + b"00" * 32, b"x" * 100_000])
def test_lines_that_are_none_are_counted_and_go_nowhere(line: bytes):
    keys = taken(line + b"\n" + TEXT)
    assert (written(keys, ONE, TWO), keys.n_strange) == ([MASTER, *TRAFFIC], 1)


def test_a_last_line_that_was_cut_off_is_none():
    keys = taken(TEXT + MASTER.replace(ONE.hex(), "ee" * 32).encode()[:120])
    assert (len(keys), keys.n_strange) == (2, 1)


def test_the_first_of_two_secrets_counts():
    assert written(taken(TEXT + MASTER.replace("ab", "ef").encode()), ONE) == [MASTER]


def test_windows_line_ends():
    assert written(taken(TEXT.replace(b"\n", b"\r\n")), ONE, TWO) == [MASTER, *TRAFFIC]


def test_a_limit_of_connections(monkeypatch):
    monkeypatch.setattr(keylog, "MAX_CONNECTIONS", 1)
    keys = taken(TEXT)
    assert (ONE in keys, TWO in keys, keys.n_left_out) == (True, False, 4)


def test_nothing_of_the_secrets_in_its_representation():
    assert repr(taken(TEXT)) == "<KeyLog of 2 connections>"


def test_files(tmp_path):
    path = tmp_path / "keys"
    with pytest.raises(PcapsecError, match="keys: the key log cannot be read: No such file"):
        KeyLog().read(str(path))
    path.write_bytes(b"no key log\n")
    with pytest.raises(PcapsecError, match="no line of a key log in it; expected lines like CLIENT_RANDOM"):
        KeyLog().read(str(path))
    path.write_bytes(TEXT)
    keys = KeyLog()
    keys.read(str(path))
    assert written(keys, ONE, TWO) == [MASTER, *TRAFFIC]
    with pytest.raises(PcapsecError):
        keys.read(str(tmp_path))
