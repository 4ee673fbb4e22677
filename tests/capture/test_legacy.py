"""snoop and Network Monitor: the rows that the files' writers meant, and no harm from what nobody meant."""
from __future__ import annotations

import datetime
import gzip
import io
import os
import random
import struct
import threading

import pytest

from pcapsec.capture import legacy
from pcapsec.capture.inputs import Input, plan
from pcapsec.capture.source import open_source
from pcapsec.errors import CaptureError
from pcapsec.kernels import walk
from tests import capture_files as made

START_S = made.START_NS // 10**9
UTC_NOTE = "times are local ones of the machine that captured, the format names no time zone: taken as UTC"


def snoop_record(frame: bytes, ts_ns=made.START_NS, *, original=None, drops=0, padding=None) -> bytes:
    padding = bytes(-len(frame) % 4) if padding is None else padding
    seconds, rest = divmod(ts_ns, 10**9)
    return struct.pack(">6I", original or len(frame), len(frame), 24 + len(frame) + len(padding), drops, seconds, rest // 1000) + frame + padding


def snoop(frames, *, datalink=4, version=2, **how) -> bytes:
    records = [snoop_record(frame, made.START_NS + n * 1_000_000, **how) for n, frame in enumerate(frames)]
    return b"snoop\0\0\0" + struct.pack(">II", version, datalink) + b"".join(records)


def netmon(frames, *, version=(2, 0), network=1, networks=None, deltas=None, order=None, hole=b"", filetimes=None) -> bytes:
    """A whole file; the records stand in the file as `order` says, the table lists them as in `frames`."""
    then = datetime.datetime.fromtimestamp(START_S, datetime.timezone.utc)
    major, minor = version
    places, body = {}, bytearray()
    for n in order or range(len(frames)):
        delta = (deltas or range(0, 10**9, 1000 if major == 2 else 1))[n]
        places[n] = 128 + len(body)
        frame = frames[n]
        body += struct.pack("<QII", delta % 2**64, len(frame), len(frame)) if major == 2 else struct.pack("<IHH", delta, len(frame), len(frame))
        body += frame
        if major == 2 and minor:
            body += struct.pack("<H", (networks or [network] * len(frames))[n])
        if major == 2 and minor >= 2:
            body += bytes(4)
        if major == 2 and minor >= 3:
            body += struct.pack("<QB", (filetimes or [0] * len(frames))[n], 0)
        body += hole
    table = b"".join(struct.pack("<I", places[n]) for n in range(len(frames)))
    head = struct.pack("<4sBBH8H2I", b"GMBU" if major == 2 else b"RTSS", minor, major, network, then.year, then.month, 3, then.day, then.hour, then.minute,
                       then.second, 0, 128 + len(body), len(table))
    return head.ljust(128, b"\0") + bytes(body) + table


def everything(one, **how):
    source = open_source([one], **how)
    found = []
    for window in source:
        assert window.first_frame == len(found) + 1
        for at, captured, original, ts_ns, link in window.frames.tolist():
            found.append((window.data[at : at + captured].tobytes(), original, ts_ns, link))
    return found, source


def of(data: bytes) -> Input:
    return Input("x", file=io.BytesIO(data), size=len(data))


def on_disk(tmp_path, data: bytes) -> Input:
    path = tmp_path / "capture.cap"
    path.write_bytes(data)
    return Input("x", path=str(path), size=len(data))


FRAMES = made.frames(50)
EXPECTED = [(frame, len(frame), made.START_NS + n * 1_000_000, 1) for n, frame in enumerate(FRAMES)]


@pytest.mark.parametrize("window_bytes", [48, 100, 1000, 1 << 16])
@pytest.mark.parametrize("rows", [1, 7, 4096])
@pytest.mark.parametrize(
    "data, form",
    [(snoop(FRAMES), "snoop"), (snoop(FRAMES, padding=b"ab\0\1\2\3"), "snoop"), (netmon(FRAMES), "netmon"), (netmon(FRAMES, version=(1, 1)), "netmon"),
     (netmon(FRAMES, version=(2, 1)), "netmon"), (netmon(FRAMES, version=(2, 2)), "netmon"), (netmon(FRAMES, hole=b"what is no frame"), "netmon"),
     (netmon(FRAMES, order=[*range(30, 50), *range(30)]), "netmon")],
)
def test_every_frame_once_whatever_the_window(tmp_path, data, form, window_bytes, rows):
    for one in (of(data), on_disk(tmp_path, data), of(gzip.compress(data))):
        found, source = everything(one, window_bytes=window_bytes, rows=rows)
        assert found == EXPECTED
        capture = source.captures[0]
        assert (capture.format, capture.link_types, capture.packets, capture.bytes) == (form, (1,), 50, sum(map(len, FRAMES)))
        assert (capture.first_ns, capture.last_ns, capture.time_backsteps) == (EXPECTED[0][2], EXPECTED[-1][2], 0)
        assert capture.complete and capture.notes == ([UTC_NOTE] if form == "netmon" else []) and source.errors == []


def test_a_pipe(tmp_path):
    for data in (snoop(FRAMES), netmon(FRAMES)):
        reading, writing = os.pipe()

        def write():
            with open(writing, "wb", buffering=0) as file:
                file.write(data)

        thread = threading.Thread(target=write)
        thread.start()
        with open(reading, "rb") as file:
            assert everything(Input("-", file=file))[0] == EXPECTED
        thread.join()


def test_a_plain_file_is_read_from_where_it_stands(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"before" + netmon(FRAMES))
    with open(path, "rb") as file:
        file.read(6)
        assert everything(Input("x", file=file))[0] == EXPECTED


def test_files_are_found_and_grouped_by_time(tmp_path):
    (tmp_path / "a.cap").write_bytes(netmon(FRAMES))
    (tmp_path / "b.snoop").write_bytes(b"snoop\0\0\0" + struct.pack(">II", 2, 4) + snoop_record(b"later", made.START_NS + made.DAY_NS))
    (tmp_path / "c.cap").write_bytes(b"something else")
    [group] = plan([str(tmp_path)])
    assert [(os.path.basename(one.name), one.format, one.link_types) for one in group] == [("a.cap", "netmon", (1,)), ("b.snoop", "snoop", (1,))]


# ---- snoop


@pytest.mark.parametrize("datalink, padding, link", [(0, None, 1), (2, None, 6), (8, None, 10), (18, None, 123), (0x80000005, None, 226), (12, None, walk.NO_LINK),
                                                     (12, bytes(16), 1), (77, None, walk.NO_LINK)])
def test_snoop_datalink_types(datalink, padding, link):
    found, source = everything(of(snoop(FRAMES[:2], datalink=datalink, padding=padding)))
    assert [row[3] for row in found] == [link, link]
    known = link != walk.NO_LINK
    assert source.captures[0].link_types == ((link,) if known else ())
    assert source.captures[0].notes == ([] if known else ["packets of a datalink type that cannot be decoded"])


def test_snoop_lengths_drops_and_times_out_of_order():
    data = b"snoop\0\0\0" + struct.pack(">II", 2, 4) + snoop_record(b"abc", 5 * 10**12, original=900, drops=2) + snoop_record(b"defg", 10**9, drops=7)
    found, source = everything(of(data))
    assert found == [(b"abc", 900, 5 * 10**12, 1), (b"defg", 4, 10**9, 1)]
    capture = source.captures[0]
    assert (capture.truncated_frames, capture.dropped, capture.time_backsteps, capture.first_ns, capture.last_ns) == (1, 7, 1, 10**9, 5 * 10**12)
    assert everything(of(snoop(FRAMES)))[1].captures[0].dropped is None


def test_a_snoop_cut_anywhere_gives_its_whole_frames():
    data = snoop(FRAMES[:3])
    ends = [16]
    for frame in FRAMES[:3]:
        ends.append(ends[-1] + 24 + len(frame) + -len(frame) % 4)
    for cut in range(16, len(data)):
        found, source = everything(of(data[:cut]))
        whole = sum(1 for n in range(3) if cut >= ends[n] + 24 + len(FRAMES[n]))
        assert found == EXPECTED[:whole]
        assert source.captures[0].complete == (cut == ends[whole] or whole > 0 and cut < ends[whole])


@pytest.mark.parametrize("window_bytes", [64, 1 << 16])
@pytest.mark.parametrize("what", [b"\xff" * 100, bytes(200), b"\0\0\0\x10" * 30, snoop_record(b"x" * 50)[:40]])
def test_damage_in_a_snoop_is_stepped_over(what, window_bytes):
    head, tail = snoop(FRAMES[:20]), b"".join(snoop_record(frame, made.START_NS + n * 1_000_000) for n, frame in enumerate(FRAMES) if n >= 20)
    found, source = everything(of(head + what + tail), window_bytes=window_bytes)
    assert found[:20] == EXPECTED[:20] and found[-28:] == EXPECTED[-28:]
    capture = source.captures[0]
    assert not capture.complete and capture.skipped_bytes > 0 or what.startswith(struct.pack(">I", 50))


# ---- Network Monitor


def test_network_types_by_packet():
    kinds = [1, 0, 2, 7, 9, 6, 0xE071, 0xFFFD, 0xFFE0, 0xE084, 0xFFFF]
    found, source = everything(of(netmon(FRAMES[:11], version=(2, 2), networks=kinds)))
    unknown = walk.NO_LINK
    assert [row[3] for row in found] == [1, 1, 6, 101, 101, unknown, 0x71, unknown, unknown, unknown]  # 0xFFFD is no packet
    assert source.captures[0].link_types == (1, 6, 101, 0x71)
    assert source.captures[0].notes == [UTC_NOTE, "packets of network types that cannot be decoded: 6 (1), 0xe084 (1), 0xffe0 (1), 0xffff (1)"]


def test_times():
    filetime = (made.START_NS + 123_456_700) // 100 + 116_444_736_000_000_000
    found, source = everything(of(netmon(FRAMES[:3], version=(2, 3), filetimes=[filetime, 0, 2**64 - 1])))
    assert [row[2] for row in found] == [made.START_NS + 123_456_700, 0, walk.MAX_NS]
    assert source.captures[0].notes == []
    before = (-5_000_000 * 2) % 2**64 // 2  # the format's own way to say five seconds before the start
    found, _ = everything(of(netmon(FRAMES[:2], deltas=[before, 2**40])))
    assert [row[2] - made.START_NS for row in found] == [-5 * 10**9, 2**40 * 1000]
    data = bytearray(netmon(FRAMES[:1]))
    data[10:12] = b"\xff\xff"
    found, source = everything(of(bytes(data)))
    assert found[0][2] == 0 and "the start time is no date: times are counted from 1970" in source.captures[0].notes


def test_entries_that_point_nowhere_are_left_out(tmp_path):
    data = netmon(FRAMES)
    table_at = len(data) - 200
    bad = struct.pack("<4I", 0, len(data) - 3, 0xFFFFFFFF, 130)
    hostile = data[:table_at] + data[table_at : table_at + 40] + bad + data[table_at + 40 :]
    hostile = hostile[:28] + struct.pack("<I", 216) + hostile[32:]
    for one in (of(hostile), on_disk(tmp_path, hostile)):
        found, source = everything(one)
        assert found == EXPECTED
        assert not source.captures[0].complete and "4 entries of the table of frames point to no whole frame" in source.captures[0].notes


def test_a_table_that_lists_one_frame_again_and_again_is_not_followed(tmp_path):
    big = b"\x01" * 60_000
    data = bytearray(netmon([big] * 1))
    table = data[-4:] * 20_000
    data[-4:] = table
    data[28:32] = struct.pack("<I", len(table))
    for one in (of(bytes(data)), on_disk(tmp_path, bytes(data))):
        found, source = everything(one)
        assert 1 <= len(found) <= 3 and not source.captures[0].complete
        assert any(note.startswith("frames overlap") for note in source.captures[0].notes)


def test_a_cut_table_gives_what_it_still_lists(tmp_path):
    data = netmon(FRAMES)
    for one in (of(data[:-7]), on_disk(tmp_path, data[:-7]), of(gzip.compress(data[:-7]))):
        found, source = everything(one)
        assert found == EXPECTED[:48]
        assert not source.captures[0].complete and "the table of frames is cut off: 2 of its entries are missing" in source.captures[0].notes


@pytest.mark.parametrize("data, found", [(netmon(FRAMES)[:-200], "end of the file"), (netmon(FRAMES)[:20], "end of the file"), (netmon(FRAMES)[:15], "end of the file"),
                                         (b"GMBU\0\3" + bytes(200), "version 3"), (snoop(FRAMES, version=9), "version 9"), (snoop(FRAMES)[:14], "end of the file")])
def test_what_cannot_be_read_says_why(tmp_path, data, found):
    for one in (of(data), on_disk(tmp_path, data)):
        with pytest.raises(CaptureError) as caught:
            everything(one)
        assert found in caught.value.found and caught.value.path == "x"


def test_a_long_pipe_is_refused_with_something_to_try(tmp_path, monkeypatch):
    monkeypatch.setattr(legacy, "MAX_HELD_BYTES", 1000)
    data = netmon(FRAMES)
    with pytest.raises(CaptureError) as caught:
        everything(of(data), window_bytes=512)
    assert "plain file" in caught.value.hint
    assert everything(on_disk(tmp_path, data), window_bytes=512)[0] == EXPECTED


def test_an_empty_table_is_an_empty_capture():
    found, source = everything(of(netmon([])))
    assert found == [] and source.captures[0].complete and source.captures[0].first_ns is None


@pytest.mark.parametrize("seed", range(60))
def test_rubbish_is_survived(seed, tmp_path):
    rng = random.Random(seed)
    for data in (snoop(FRAMES), netmon(FRAMES), netmon(FRAMES, version=(2, 3)), netmon(FRAMES, version=(1, 0))):
        data = bytearray(data)
        for _ in range(rng.choice([1, 5, 50])):
            at = rng.randrange(6 if rng.random() < 0.3 else 32, len(data))
            data[at] = rng.choice([0, 255, rng.randrange(256)])
        if rng.random() < 0.3:
            del data[rng.randrange(32, len(data)) :]
        results = []
        for one, window_bytes in ((of(bytes(data)), 4096), (of(bytes(data)), 64), (on_disk(tmp_path, bytes(data)), 300)):
            try:
                results.append(everything(one, window_bytes=window_bytes)[0])
            except CaptureError as error:
                results.append(str(error))
        assert results[0] == results[1] == results[2]
