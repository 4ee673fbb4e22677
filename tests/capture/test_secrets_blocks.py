"""Decryption secrets blocks of a pcapng: their key logs come out, frames stay what they were."""
from __future__ import annotations

import io
import struct

import capture_files as made
import pytest

from pcapsec.capture import walking
from pcapsec.capture.inputs import Input, plan
from pcapsec.capture.source import open_source

TEXT = b"CLIENT_RANDOM 00 11\n"
TLS, WIREGUARD, ZIGBEE = 0x544C534B, 0x57474B4C, 0x5A4E574B


def secrets(text: bytes = TEXT, kind: int = TLS, size: int | None = None, order: str = "<") -> bytes:
    return made.block(10, struct.pack(order + "II", kind, len(text) if size is None else size) + text, order)


def read(data: bytes, **more) -> tuple[list[bytes], list[bytes]]:
    source = open_source([Input("made", file=io.BytesIO(data))], **more)
    frames = [window.data[row[0]:row[0] + row[1]].tobytes() for window in source for row in window.frames[:window.n_frames]]
    return source.secrets, frames


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_key_logs_come_out_wherever_they_stand(order, where):
    blocks = [made.interface(order=order), made.enhanced(b"first", 1, order=order), made.enhanced(b"second", 2, order=order)]
    blocks.insert(where, secrets(order=order))
    assert read(made.section(order) + b"".join(blocks)) == ([TEXT], [b"first", b"second"])


def test_several_and_those_of_other_protocols():
    data = made.section() + made.interface() + secrets(b"one\n") + secrets(b"two\n", WIREGUARD) + secrets(b"three\n") + secrets(b"four\n", ZIGBEE) + made.enhanced(b"frame", 1)
    assert read(data) == ([b"one\n", b"three\n"], [b"frame"])


@pytest.mark.parametrize("block", [secrets(size=21), secrets(size=0xFFFFFFFF), made.block(10, b""), made.block(10, struct.pack("<I", TLS))])
def test_blocks_that_say_more_than_they_hold(block):
    assert read(made.section() + made.interface() + block + made.enhanced(b"frame", 1)) == ([], [b"frame"])


def test_a_block_over_several_windows():
    text = b"x" * 300_000
    assert read(made.section() + secrets(text) + made.interface() + made.enhanced(b"frame", 1), window_bytes=1 << 16) == ([text], [b"frame"])


def test_a_limit(monkeypatch):
    monkeypatch.setattr(walking, "MAX_SECRET_BYTES", 30)
    assert read(made.section() + secrets() + secrets() + made.interface() + made.enhanced(b"frame", 1)) == ([TEXT], [b"frame"])


@pytest.mark.parametrize(("with_keys", "expected"), [(True, True), (False, False)])
def test_a_look_at_the_head_tells_of_them(tmp_path, with_keys, expected):
    path = tmp_path / "made.pcapng"
    path.write_bytes(made.section() + (secrets() if with_keys else b"") + made.interface() + made.enhanced(bytes(60), 1))
    assert [one.has_secrets for group in plan([str(path)]) for one in group] == [expected]
