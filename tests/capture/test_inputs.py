"""Which files are meant, when their packets passed, and which of them are one capture."""
from __future__ import annotations

import gzip
import io
import os
import sys

import pytest

from pcapsec.capture.inputs import TAIL_BYTES, WALKED_WHOLE_BYTES, Input, look_at_end, look_at_head, plan
from pcapsec.errors import CaptureError
from tests import capture_files as made

SECOND = 10**9


def write(path, *, at_s=0, n=3, step_s=1, link=1, form=made.pcap, pack=bytes):
    """A capture with a packet every step_s from at_s on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pack(form(made.frames(n), start_ns=made.START_NS + at_s * SECOND, step_ns=step_s * SECOND, link=link)))
    return str(path)


def names(groups):
    return [[os.path.basename(one.name) for one in group] for group in groups]


def test_a_file_is_looked_at(tmp_path):
    path = write(tmp_path / "a.pcap", link=113, pack=gzip.compress)
    [[one]] = plan(path)
    assert (one.name, one.path, one.size, one.plain) == (path, path, os.path.getsize(path), True)
    assert (one.format, one.compression, one.link_types, one.first_ns) == ("pcap", "gzip", (113,), made.START_NS)


def test_files_one_after_the_other_are_one_capture_in_order_of_their_first_packet(tmp_path):
    late, early, middle = write(tmp_path / "a", at_s=20), write(tmp_path / "b", at_s=0), write(tmp_path / "c", at_s=10, form=made.pcapng, pack=gzip.compress)
    assert names(plan([late, early, middle])) == [["b", "c", "a"]]


def test_overlapping_files_are_separate_and_may_be_joined(tmp_path):
    one, two = write(tmp_path / "one", at_s=0, n=10), write(tmp_path / "two", at_s=5, n=10)
    assert names(plan([two, one])) == [["one"], ["two"]]
    assert names(plan([two, one], join=True)) == [["one", "two"]]


def test_other_link_types_are_another_capture(tmp_path):
    one, two = write(tmp_path / "one", at_s=0), write(tmp_path / "two", at_s=50, link=113)
    assert names(plan([one, two])) == [["one"], ["two"]]


def test_two_points_of_capture_that_rotate_are_two_captures(tmp_path):
    paths = [write(tmp_path / f"{tap}-{n:05}.pcap", at_s=n * 10 + shift, n=10) for n in range(3) for tap, shift in (("eth0", 0), ("eth1", 5))]
    assert names(plan(paths)) == [[f"{tap}-{n:05}.pcap" for n in range(3)] for tap in ("eth0", "eth1")]


def test_files_that_touch_are_one_capture_and_copies_are_not(tmp_path):
    first = write(tmp_path / "a", at_s=0, n=3)
    touching = write(tmp_path / "b", at_s=2, n=3)
    assert names(plan([first, touching])) == [["a", "b"]]
    moment, copy = write(tmp_path / "c", n=1), write(tmp_path / "d", n=1)
    assert names(plan([moment, copy])) == [["c"], ["d"]]


def test_a_directory_is_searched_for_what_begins_like_a_capture(tmp_path):
    write(tmp_path / "x" / "2.pcap", at_s=10)
    write(tmp_path / "x" / "deep" / "er" / "1", at_s=0, pack=gzip.compress)
    write(tmp_path / "x" / ".hidden", at_s=0)
    (tmp_path / "x" / "notes.txt").write_text("nothing")
    (tmp_path / "x" / "empty.pcap").write_bytes(b"")
    (tmp_path / "x" / "text.gz").write_bytes(gzip.compress(b"words"))
    os.symlink("nowhere", tmp_path / "x" / "dangling")
    assert names(plan([str(tmp_path / "x")])) == [["1", "2.pcap"]]
    assert [one.name for one in plan([str(tmp_path / "x")])[0]] == [str(tmp_path / "x" / "deep" / "er" / "1"), str(tmp_path / "x" / "2.pcap")]


def test_patterns_and_names_that_look_like_patterns(tmp_path):
    write(tmp_path / "a1.pcap", at_s=0)
    write(tmp_path / "a2.pcap", at_s=10)
    write(tmp_path / "b[1].pcap", at_s=20)
    assert names(plan([str(tmp_path / "a*.pcap")])) == [["a1.pcap", "a2.pcap"]]
    assert names(plan([str(tmp_path / "b[1].pcap")])) == [["b[1].pcap"]]


def test_a_file_named_twice_counts_once(tmp_path):
    path = write(tmp_path / "a")
    assert names(plan([path, str(tmp_path), str(tmp_path / "*")])) == [["a"]]


def test_files_without_times_stand_alone(tmp_path):
    (tmp_path / "none").write_bytes(made.pcap([]))
    (tmp_path / "simple").write_bytes(made.section() + made.interface() + made.simple(b"x"))
    timed = write(tmp_path / "timed")
    assert names(plan([str(tmp_path / "none"), str(tmp_path / "simple"), timed])) == [["timed"], ["none"], ["simple"]]


def test_standard_input_pipes_and_file_objects_are_captures_of_their_own(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path / "a")
    stream = io.BytesIO(b"")
    groups = plan(["-", str(tmp_path / "pipe"), stream, path])
    assert names(groups) == [["a"], ["-"], ["pipe"], ["<stream>"]]
    assert [group[0].plain for group in groups] == [True, False, False, False]
    assert groups[1][0].file is sys.stdin.buffer and groups[3][0].file is stream
    assert names(plan(["-", path], join=True)) == [["a", "-"]]


def test_what_cannot_be_read_is_raised_or_noted(tmp_path):
    good = write(tmp_path / "good")
    (tmp_path / "text").write_text("words")
    (tmp_path / "hollow").mkdir()
    bad = [str(tmp_path / "missing"), str(tmp_path / "no*such"), str(tmp_path / "text"), str(tmp_path / "hollow")]
    for path in bad:
        with pytest.raises(CaptureError) as caught:
            plan([good, path])
        assert caught.value.path == path
    errors = []
    assert names(plan([*bad, good], errors=errors)) == [["good"]]
    assert [(error.path, error.found) for error in errors] == [
        (bad[0], "nothing of that name"),
        (bad[1], "nothing of that name"),
        (bad[2], "text"),
        (bad[3], "none"),
    ]


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = write(tmp_path / "closed")

    def refuse(*_args, **_named):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CaptureError) as caught:
        plan([path])
    assert (caught.value.found, caught.value.path) == ("no permission", path)


@pytest.mark.parametrize("form", [made.pcap, made.pcapng])
def test_the_last_time_of_a_large_file_is_found_in_its_tail(tmp_path, form):
    n = (WALKED_WHOLE_BYTES + TAIL_BYTES) // 1000
    path = tmp_path / "large"
    path.write_bytes(form([bytes([n % 251]) * 1000 for n in range(n)], step_ns=1000)[:-5])
    one = Input("large", path=str(path), size=os.path.getsize(path))
    look_at_head(one)
    opened = []
    real = open

    def counting(*args, **named):
        file = real(*args, **named)
        opened.append(file)
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.open", counting)
        look_at_end(one)
    assert len(opened) == 1  # the tail was enough
    assert one.last_ns == made.START_NS + (n - 2) * 1000


def test_a_large_file_whose_tail_cannot_be_read_is_walked(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(made.pcap(made.frames(4)) + made.pcap_record(b"last", made.START_NS + 77 * SECOND) + b"\xee" * (WALKED_WHOLE_BYTES + 1))
    one = Input("large", path=str(path), size=os.path.getsize(path))
    look_at_head(one)
    look_at_end(one)
    assert one.last_ns == made.START_NS + 77 * SECOND
