"""Windows of files, packed files, pipes and file objects: every frame once, numbered, and a true record of the capture."""
from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import threading
import time
import tracemalloc
import zlib

import lz4.frame
import numpy as np
import pytest
import zstandard

from pcapsec.capture import readers
from pcapsec.capture.inputs import Input
from pcapsec.capture.source import open_source
from pcapsec.errors import CaptureError
from pcapsec.kernels import walk
from pcapsec.records import Capture
from tests import capture_files as made

PACKERS = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def everything(inputs, **how):
    """All frames as (number, frame, original, ts_ns, link) and the source."""
    source = open_source(inputs, **how)
    found = []
    for window in source:
        assert window.data.dtype == np.uint8 and window.data.flags.c_contiguous and window.data.flags.writeable
        assert window.frames.shape == (window.n_frames, walk.FRAME_COLUMNS)
        for n, (at, captured, original, ts_ns, link) in enumerate(window.frames.tolist()):
            found.append((window.first_frame + n, window.data[at : at + captured].tobytes(), original, ts_ns, link))
    return found, source


def numbered(rows):
    return [(n, *row) for n, row in enumerate(rows, 1)]


def of(data: bytes, name="x") -> Input:
    return Input(name, file=io.BytesIO(data), size=len(data))


@pytest.mark.parametrize("window_bytes", [48, 100, 1000, 1 << 16])
@pytest.mark.parametrize("rows", [1, 7, 4096])
def test_a_file_gives_every_frame_once_whatever_the_window(tmp_path, window_bytes, rows):
    for data, slow in ((made.pcap(made.frames(100)), made.read_pcap_slowly), (made.pcapng(made.frames(100)), made.read_pcapng_slowly)):
        path = tmp_path / "a"
        path.write_bytes(data)
        found, source = everything([Input("a", path=str(path), size=len(data))], window_bytes=window_bytes, rows=rows)
        assert found == numbered(slow(data))
        assert source.captures[0].complete and source.errors == []


def test_the_record_of_a_pcap():
    frames = made.frames(5)
    data = made.pcap_head(snap_length=500) + b"".join(made.pcap_record(frame, made.START_NS + n * 10**12 * 4, original=900) for n, frame in enumerate(frames))
    data += made.pcap_record(b"old", made.START_NS)
    _, source = everything([of(data, "five.pcap")])
    assert source.captures == [
        Capture(
            name="five.pcap",
            format="pcap",
            link_types=(1,),
            snap_length=500,
            packets=6,
            bytes=sum(map(len, frames)) + 3,
            first_ns=made.START_NS,
            last_ns=made.START_NS + 4 * 4 * 10**12,
            truncated_frames=5,
            time_backsteps=1,
        )
    ]


def test_the_record_of_a_pcapng():
    data = made.section() + made.interface(1, 96) + made.interface(113) + made.enhanced(b"a", 7) + made.enhanced(b"bb", 5, 1) + made.statistics(1, if_dropped=2, os_dropped=3)
    _, source = everything([of(data)])
    assert source.captures == [Capture(name="x", format="pcapng", link_types=(1, 113), snap_length=96, packets=2, bytes=3, first_ns=5000, last_ns=7000, dropped=5)]


def test_a_capture_without_packets_still_has_its_record():
    found, source = everything([of(made.pcap([])), of(made.section())])
    assert found == []
    assert source.captures == [Capture(name="x", link_types=(1,), snap_length=65535), Capture(name="x", format="pcapng")]


def test_a_cut_last_record_is_a_note():
    data = made.pcap(made.frames(3))[:-10]
    found, source = everything([of(data)])
    assert found == numbered(made.read_pcap_slowly(data))
    assert (source.captures[0].complete, source.captures[0].notes, source.errors) == (False, ["the last record is cut off after 68 bytes"], [])


def test_damage_is_noted_and_counted():
    data = made.pcap(made.frames(4))
    second = made.pcap_record(made.frames(4)[0], made.START_NS)
    at = 24 + len(second)
    found, source = everything([of(data[:at] + b"\xf1" * 33 + data[at:])], window_bytes=128)
    assert [row[1] for row in found] == made.frames(4)
    capture = source.captures[0]
    assert (capture.skipped_bytes, capture.complete, capture.notes) == (33, False, ["damaged in 1 places, 33 bytes skipped"])


def test_several_files_follow_one_another_each_with_its_own_numbers():
    one, two = made.pcap(made.frames(3)), made.pcapng(made.frames(2))
    found, source = everything([of(one, "one"), of(two, "two")])
    assert found == numbered(made.read_pcap_slowly(one)) + numbered(made.read_pcapng_slowly(two))
    assert [(capture.name, capture.packets) for capture in source.captures] == [("one", 3), ("two", 2)]
    windows = [(window.index, window.first_frame, window.bytes_done) for window in open_source([of(one), of(two)])]
    assert windows == [(0, 1, len(one)), (1, 1, len(one) + len(two))]


def test_files_joined_with_cat_are_one_capture():
    data = made.pcap(made.frames(3)) + made.pcap(made.frames(2), link=113, order=">")
    found, source = everything([of(data)], window_bytes=64)
    assert [row[1] for row in found] == made.frames(3) + made.frames(2)
    assert source.captures[0].link_types == (1, 113)
    assert source.captures[0].notes == ["1 further pcap heads inside: files joined one after the other"]


def test_endless_heads_end_in_damage():
    found, source = everything([of(made.pcap_head() * 3000 + made.pcap_record(b"x" * 40) * 3)])
    assert [row[1] for row in found] == [b"x" * 40] * 3
    assert source.captures[0].skipped_bytes > 24 * 1900


def test_a_block_larger_than_the_window_makes_it_grow_and_no_further(tmp_path):
    large = bytes(range(256)) * 4096 * 3
    data = made.section() + made.interface() + made.enhanced(large, 1) + made.enhanced(b"after", 2)
    source = open_source([of(data)], window_bytes=4096)
    windows = [(window.frames[:, 1].tolist(), len(window.data)) for window in source]
    assert [length for lengths, _ in windows for length in lengths] == [len(large), 5]
    assert max(size for _, size in windows) <= 4 * len(large) + 4096


# ---- packed -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", PACKERS)
@pytest.mark.parametrize("n_members", [1, 3])
def test_packed_captures(tmp_path, compression, n_members):
    plain = made.pcapng(made.frames(200, 300))
    third = len(plain) // n_members
    pieces = [plain[n * third : (n + 1) * third if n < n_members - 1 else None] for n in range(n_members)]
    path = tmp_path / "whatever.name"
    path.write_bytes(b"".join(PACKERS[compression](piece) for piece in pieces))
    found, source = everything([Input("p", path=str(path))], window_bytes=5000)
    assert found == numbered(made.read_pcapng_slowly(plain))
    capture = source.captures[0]
    assert (capture.compression, capture.complete, capture.notes, source.errors) == (compression, True, [], [])


@pytest.mark.parametrize("compression", PACKERS)
def test_every_cut_of_a_packed_capture_keeps_what_came_before(compression):
    plain = made.pcap([random.Random(n).randbytes(50) for n in range(8)])
    half = 24 + 4 * 66
    first, second = PACKERS[compression](plain[:half]), PACKERS[compression](plain[half:])
    for length in range(len(first + second)):
        source = open_source([of((first + second)[:length])])
        try:
            n = sum(window.n_frames for window in source)
        except CaptureError as error:
            assert length < len(first), error  # some give nothing before the end of a block
            continue
        capture = source.captures[0]
        assert (n == 4 if length == len(first) else n <= 4 if length < len(first) else 4 <= n <= 8) and source.errors == [], length
        cut = any("stream is cut off" in note or "bytes that are not" in note for note in capture.notes)  # the latter: not even a whole magic
        assert (capture.complete, cut) == ((True, False) if length == len(first) else (False, True)), (length, capture.notes)


@pytest.mark.parametrize("compression", PACKERS)
def test_a_damaged_packed_capture_keeps_what_came_before_and_says_so(compression):
    shaken = random.Random(5)
    plain = made.pcap([bytes(shaken.choices(b"etaoin shrdlu\r\n", k=1000)) for n in range(1500)])
    packed = bytearray(PACKERS[compression](plain) + PACKERS[compression](plain[24:]))
    place = len(packed) * 3 // 4
    packed[place : place + 400] = b"\xa5" * 400
    found, source = everything([of(bytes(packed))])
    capture = source.captures[0]
    assert not capture.complete
    assert 1000 < len(found) < 3000 and len(source.errors) == 1
    assert "damaged" in source.errors[0].found and source.errors[0].found in capture.notes


def test_what_follows_a_packed_stream():
    packed = gzip.compress(made.pcap(made.frames(2)))
    for tail, complete in ((b"", True), (bytes(2000), True), (b"rubbish-rubbish", False)):
        found, source = everything([of(packed + tail)])
        assert (len(found), source.captures[0].complete, source.errors) == (2, complete, [])


def test_packed_nonsense_is_named():
    for packed, found in ((gzip.compress(b"hello, this is text\n"), "text inside gzip"), (bz2.compress(b""), "nothing inside bzip2"), (gzip.compress(gzip.compress(b"abc")), "gzip data inside gzip")):
        with pytest.raises(CaptureError) as caught:
            list(open_source([of(packed)]))
        assert caught.value.found == found


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4", "bzip2"])
def test_a_bomb_is_unpacked_a_little_at_a_time(compression):
    plain = made.section() + made.interface() + made.block(0x7777, bytes(1 << 20)) * 60
    data = PACKERS[compression](plain)
    assert len(data) < len(plain) // 100
    list(open_source([of(data)]))  # imports are done
    tracemalloc.start()
    list(open_source([of(data)], window_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("content_size", [True, False])
@pytest.mark.parametrize("size", [0, 1, 300, 70_000, 400_000])
def test_the_end_of_a_zstd_frame_is_known_exactly(checksum, content_size, size):
    plain = random.Random(size).randbytes(size // 2) + bytes(size - size // 2)
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size)
    packed = compressor.compress(plain) if content_size else b"".join((lambda o: (o.compress(plain), o.flush()))(compressor.compressobj()))
    packed += struct.pack("<II", 0x184D2A50, 5) + b"skip!"
    ends = {len(packed), len(packed) - 13, 0}
    shaken = random.Random(3)
    for length in {*shaken.sample(range(len(packed)), min(200, len(packed))), *ends, len(packed) - 1, len(packed) - 12}:
        for step in (1 if length < 3000 else 997, 1 << 20):
            frames = readers._ZstdFrames()
            for at in range(0, length, step):
                frames.feed(packed[at : min(at + step, length)])
            assert frames.whole == (length in ends), (length, step)


# ---- pipes and file objects ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_pipe_is_read_to_its_end(pack):
    plain = made.pcap(made.frames(3000))
    data = pack(plain)
    end, start = os.pipe()

    def write():
        with os.fdopen(start, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(end, "rb") as file:
        found, source = everything([Input("-", file=file, plain=False)])
    writer.join()
    assert found == numbered(made.read_pcap_slowly(plain))
    assert source.captures[0].complete


@pytest.mark.parametrize("buffered", [True, False])
def test_a_slow_pipe_hands_on_what_has_arrived(buffered):
    frames = made.frames(4)
    records = [made.pcap_record(frame, made.START_NS + n) for n, frame in enumerate(frames)]
    end, start = os.pipe()

    def write():
        with os.fdopen(start, "wb", buffering=0) as file:
            file.write(made.pcap_head() + records[0] + records[1][:20])
            time.sleep(0.7)
            file.write(records[1][20:] + records[2])
            time.sleep(0.7)
            file.write(records[3])

    writer = threading.Thread(target=write)
    began = time.monotonic()
    writer.start()
    with os.fdopen(end, "rb", buffering=-1 if buffered else 0) as file:
        seen = [(window.first_frame, window.n_frames, time.monotonic() - began) for window in open_source([Input("-", file=file, plain=False)])]
    writer.join()
    assert [(first, n) for first, n, _ in seen] == [(1, 1), (2, 2), (4, 1)]
    assert seen[0][2] < 0.65 and seen[1][2] < 1.35


class Grudging(io.RawIOBase):
    """A file object that gives one to three bytes at a time."""

    def __init__(self, data):
        self._data, self._at, self._shaken = data, 0, random.Random(1)

    def readable(self):
        return True

    def readinto(self, view):
        piece = self._data[self._at : self._at + min(self._shaken.randrange(1, 4), len(view))]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class OnlyRead:
    """The least that a file object can be."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, n):
        return self._file.read(n)


@pytest.mark.parametrize("kind", [io.BytesIO, Grudging, OnlyRead, lambda data: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data)))])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, lz4.frame.compress])
def test_file_objects_of_every_kind(kind, pack):
    plain = made.pcap(made.frames(50))
    found, _ = everything([Input("object", file=kind(pack(plain)), plain=False)], window_bytes=512)
    assert found == numbered(made.read_pcap_slowly(plain))


class Failing(io.RawIOBase):
    """A disk that gives up."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, view):
        n = self._file.readinto(view[:100])
        if n == 0:
            raise OSError(5, "Input/output error")
        return n


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_a_failing_disk_keeps_what_was_read(pack):
    found, source = everything([Input("disk", file=Failing(pack(made.pcap(made.frames(9)))), plain=False)])
    assert len(found) == 9
    assert "reading failed" in source.captures[0].notes[-1] and len(source.errors) == 1


# ---- inputs that cannot be read -----------------------------------------------------------------------------------------------------------------


def test_one_bad_input_does_not_stop_the_others(tmp_path):
    errors = []
    good = made.pcap(made.frames(2))
    found, source = everything([of(good), Input("gone", path=str(tmp_path / "gone"), size=7), of(b"hello there, no capture"), of(good)], errors=errors)
    assert len(found) == 4 and len(source.captures) == 2
    assert [(error.path, error.found) for error in errors] == [("gone", "nothing of that name"), ("x", "text")]
    with pytest.raises(CaptureError):
        everything([of(b"")])


def test_the_file_is_closed_when_reading_stops_early(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(made.pcap(made.frames(100)))
    before = len(os.listdir("/proc/self/fd"))
    windows = iter(open_source([Input("a", path=str(path))], window_bytes=1000))
    next(windows)
    windows.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_stays_flat(tmp_path):
    path = tmp_path / "large"
    records = b"".join(made.pcap_record(bytes(900), made.START_NS) for _ in range(2000))
    with open(path, "wb") as file:
        file.write(made.pcap_head())
        for _ in range(60):
            file.write(records)
    list(open_source([Input("large", path=str(path))]))
    tracemalloc.start()
    n = sum(window.n_frames for window in open_source([Input("large", path=str(path))]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 120_000 and peak < 10 << 20
    assert zlib.crc32(path.read_bytes()[:24]) == zlib.crc32(made.pcap_head())
