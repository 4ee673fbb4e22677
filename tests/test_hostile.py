"""Bad input: whatever comes in, a clear error or a note, the exit code of the contract, everything readable in the tables, and never a traceback, a hang or a crash.

The long form of the mutations is `python benchmarks/fuzz.py --mutations 100000`.
"""
from __future__ import annotations

import bz2
import csv
import gzip
import io
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from frames import START_NS, Talk, pcap
from tests import capture_files as made

import pcapsec
from pcapsec import pipeline
from pcapsec.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from hostile import checking  # noqa: E402

MUTATIONS = 1500
CLIENT, SERVER = 0, 1
DIALOGUE = [(SERVER, b"220 mx ESMTP\r\n"), (CLIENT, b"EHLO pc\r\n"), (SERVER, b"250-mx\r\n250 AUTH PLAIN\r\n"), (CLIENT, b"AUTH PLAIN AGFubmEAc2VjcmV0\r\n"), (SERVER, b"235 ok\r\n"),
            (CLIENT, b"QUIT\r\n"), (SERVER, b"221 bye\r\n")]
TALK = Talk().open().turns(DIALOGUE).close()
GOOD = pcap(TALK.frames())
GOOD_NG = made.section() + made.interface() + b"".join(made.enhanced(frame, ts_ns // 1000) for ts_ns, frame in TALK.frames())


@pytest.fixture(scope="module", autouse=True)
def kernels():
    """Compiled before anything is timed."""
    from pcapsec.streams.warm import load_kernels

    load_kernels(rare=True)


@pytest.fixture
def analyze(capfd, tmp_path):
    """Run `pcapsec analyze`; returns exit code, rows of sessions and captures, and what it said."""
    count = iter(range(100))

    def command(*words) -> tuple[int, list[dict], list[dict], str]:
        folder = tmp_path / f"out-{next(count)}"
        code = run(["analyze", *map(str, words), "-o", str(folder)])
        out, err = capfd.readouterr()
        assert out == "" and "Traceback" not in err and "\x1b" not in err
        return code, *(list(csv.DictReader((folder / f"{table}.csv").open(newline=""))) for table in ("sessions", "captures")), err

    return command


def written(folder: Path, data: bytes, name: str = "x.pcap") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# --- with bounds checking, in a process of its own


def test_mutations_with_bounds_checking(tmp_path):
    """No read outside an array, no fault, no hang, and tables well formed, on the first mutations of the long form."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1"}
    done = subprocess.run([sys.executable, "benchmarks/fuzz.py", "--mutations", str(MUTATIONS), "--save", str(tmp_path / "failures")], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{MUTATIONS:,} mutations" in done.stdout and " 0 failures" in done.stdout


# --- the examination above finds what it looks for


def examined(number: int, tmp_path: Path, data: bytes = GOOD, seconds: float = 5) -> str | None:
    return checking.examine_bytes(data, number, tmp_path, seconds)[0]


@pytest.mark.parametrize("number", [1, checking.FULL_EVERY, checking.TIGHT_EVERY])
def test_a_good_capture_passes_the_examination(tmp_path, number):
    assert checking.examine_bytes(GOOD, number, tmp_path, 5) == (None, 1)


@pytest.mark.parametrize("number", [1, checking.FULL_EVERY])
def test_the_examination_finds_faults(monkeypatch, tmp_path, number):
    from pcapsec.protocols.smtp import SmtpParser
    from pcapsec.rules import all_rules
    from pcapsec.tables.rows import Rows

    def broken(*_arguments, **_keywords):
        raise KeyError("S3cret")

    for owner, name, says in ((SmtpParser, "feed", "fault: KeyError in SmtpParser"), (Rows, "session", "KeyError")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            assert says in (examined(number, tmp_path) or ""), name
    rule = all_rules()["PS101"]
    judge = rule.judge
    object.__setattr__(rule, "judge", broken)
    try:
        assert "KeyError" in (examined(number, tmp_path) or "")
    finally:
        object.__setattr__(rule, "judge", judge)


def test_the_examination_finds_hangs(monkeypatch, tmp_path):
    from pcapsec.protocols.smtp import SmtpParser

    def endless(*_arguments):
        while True:
            pass

    monkeypatch.setattr(SmtpParser, "feed", endless)
    assert examined(1, tmp_path, seconds=0.3).startswith("hang")


@pytest.mark.parametrize("row, says", [("a,b\n", "fields instead of"), ("a\x07\n", "control character")])
def test_the_examination_finds_rows_that_are_not_well_formed(monkeypatch, tmp_path, row, says):
    from pcapsec.tables.rows import Rows

    monkeypatch.setattr(Rows, "session", lambda self, session: self.entries["sessions"].append((0, 0, row)))
    assert says in examined(1, tmp_path)


# --- inputs that are none


NOT_CAPTURES = {
    "empty": (b"", "an empty file", "was it stopped before its first packet"), "text": (b"Nov 21 tcpdump: listening on eth0\n" * 40, "text", "tcpdump -w FILE"),
    "html": (b"<!DOCTYPE html><html><body>Please log in</body></html>", "an HTML page", "web page instead of the file"), "zeros": (bytes(4096), "nothing but zero bytes", "disk lost it"),
    "gz of text": (gzip.compress(b"nothing to see\n" * 50), "text inside gzip", "tcpdump -w FILE"), "gz of nothing": (gzip.compress(b""), "nothing inside gzip", "empty"),
    "zst of html": (zstandard.compress(b"<html></html>" * 10), "an HTML page inside zstd", "web page"), "zip": (b"PK\x03\x04" + bytes(100), "a zip archive", "unpack it"),
    "terminal codes": (b"\x1b[2J\x1b[31mhello\n" * 10, "text", "tcpdump"), "noise": (random.Random(1).randbytes(5000), "bytes ", "Wireshark"),
    "cut head": (GOOD[:11], "the end of the file after 11", "cut off"), "cut pcapng head": (GOOD_NG[:9], "the end of the file after 9", "cut off"),
}


@pytest.mark.parametrize("name", NOT_CAPTURES)
def test_what_is_no_capture(analyze, tmp_path, name):
    data, found, hint = NOT_CAPTURES[name]
    path = written(tmp_path, data)
    code, sessions, captures, said = analyze(path)
    assert (code, sessions, captures) == (3, [], [])
    assert said.startswith(f"pcapsec: {path}") and "expected " in said and found in said and hint in said
    with pytest.raises(pcapsec.CaptureError, match="expected"):
        pcapsec.analyze(path)


def test_places_without_a_capture(analyze, tmp_path):
    (tmp_path / "none").mkdir()
    written(tmp_path / "none", b"only notes\n", "notes.txt")
    file = written(tmp_path, GOOD)
    for place, found in ((tmp_path / "missing.pcap", "nothing of that name"), (tmp_path / "*.nothing", "nothing of that name"), (tmp_path / "none", "none"), (file / "inside", "Not a directory")):
        code, sessions, _captures, said = analyze(place)
        assert (code, sessions) == (3, []) and found in said and str(place) in said


def test_a_bad_input_takes_nothing_from_a_good_one(analyze, tmp_path):
    good, bad = written(tmp_path, GOOD, "good.pcap"), written(tmp_path, b"<html>", "bad.pcap")
    for inputs in ((good, bad), (bad, good), (tmp_path / "missing", good, bad)):
        code, sessions, captures, said = analyze(*inputs)
        assert code == 3 and str(bad) in said
        assert [(row["protocol"], row["principals"], row["completeness"]) for row in sessions] == [("smtp", '["anna"]', "full")]
        assert [(row["capture"], row["packets"]) for row in captures] == [(str(good), str(len(TALK.segments)))]


# --- captures that are damaged


def test_a_capture_without_packets(analyze, tmp_path):
    for data in (pcap([]), made.section() + made.interface()):
        code, sessions, captures, said = analyze(written(tmp_path, data))
        assert (code, sessions) == (0, []) and [(row["packets"], row["complete"]) for row in captures] == [("0", "true")]


class Sink:
    """Counts sessions."""

    def __init__(self):
        self.n = 0

    def session(self, session):
        self.n += 1

    def findings(self, findings, capture=""):
        pass

    def close(self):
        return self.n


@pytest.mark.parametrize("data, head", [(GOOD, 24), (GOOD_NG, 28)])
def test_a_capture_cut_at_every_byte(data, head):
    """What stands whole before the cut is read; only a head that is cut is an error."""
    for cut in range(len(data) + 1):
        outcome = pipeline.run([io.BytesIO(data[:cut])], make_sink=lambda _worker: Sink())
        assert outcome.internal_errors == []
        if outcome.errors:
            assert cut < head and outcome.captures == [] and "expected" in str(outcome.errors[0]), cut
            continue
        packets = read_whole(data[:cut])
        assert ([capture.packets for capture in outcome.captures], outcome.partials) == ([packets], [1 if packets >= 4 else 0]), cut
    assert packets == len(TALK.segments)


def read_whole(data: bytes) -> int:
    """Packets that stand whole in a capture, counted without our walk."""
    return len(made.read_pcap_slowly(data) if data[:4] != b"\x0a\x0d\x0d\x0a" else made.read_pcapng_slowly(data))


@pytest.mark.parametrize("captured", [0, 1, 13, 0xFFFF, 0x40000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_record_that_lies_about_its_length(analyze, tmp_path, captured):
    """Reading finds its way again behind the lie."""
    talk = Talk(client_port=40001, clock=TALK.clock).open().turns(DIALOGUE).close()
    frames = TALK.frames()
    before, lie, after = pcap(frames), struct.pack("<IIII", START_NS // 10**9, 5, captured, captured) + frames[0][1], pcap(talk.frames())[24:]
    code, sessions, captures, _said = analyze(written(tmp_path, before + lie + after))
    assert code == 0
    assert [(row["client_port"], row["principals"]) for row in sessions] == [("40000", '["anna"]'), ("40001", '["anna"]')]
    assert captures[0]["complete"] == "false" or captured == 0


@pytest.mark.parametrize("length", [0, 4, 11, 13, 0x7FFFFFFF, 0xFFFFFFFC])
def test_a_block_that_lies_about_its_length(analyze, tmp_path, length):
    lie = struct.pack("<II", 6, length) + bytes(40)
    talk = Talk(client_port=40001, clock=TALK.clock).open().turns(DIALOGUE).close()
    after = b"".join(made.enhanced(frame, ts_ns // 1000) for ts_ns, frame in talk.frames())
    code, sessions, captures, _said = analyze(written(tmp_path, GOOD_NG + lie + after))
    assert code == 0 and captures[0]["complete"] == "false"
    assert [(row["client_port"], row["principals"]) for row in sessions] == [("40000", '["anna"]'), ("40001", '["anna"]')]


PACKERS = {"gz": gzip.compress, "zst": zstandard.compress, "lz4": lz4.frame.compress, "bz2": lambda data: bz2.compress(data, 1)}


@pytest.mark.parametrize("name", PACKERS)
def test_packed_captures_that_are_cut_or_damaged(analyze, tmp_path, name):
    """Cut: a note, for files are copied while they grow. Damaged: an error, and what came before is kept."""
    frames = []
    for n in range(400):
        talk = Talk(client_port=1024 + n, clock=START_NS + n * 10**9)
        frames += talk.open().turns([*DIALOGUE[:2], (SERVER, b"250 " + random.Random(n).randbytes(900).hex().encode() + b"\r\n")]).close().frames()
    packed = PACKERS[name](pcap(frames))
    assert len(packed) > 100_000
    code, sessions, captures, _said = analyze(written(tmp_path, packed[:len(packed) * 3 // 4]))
    assert code == 0 and captures[0]["complete"] == "false" and len(sessions) > 50
    hurt = bytearray(packed)
    hurt[len(packed) * 3 // 4:len(packed) * 3 // 4 + 2000] = bytes(2000)
    code, sessions, captures, said = analyze(written(tmp_path, bytes(hurt)))
    assert code == 3 and captures[0]["complete"] == "false" and "damaged" in said


ABSURD = {"zero": [0] * 20, "2106": [4_294_967_295 * 10**9] * 20, "backwards": [START_NS - n * 10**15 for n in range(20)], "jumps": [(4_294_967_294 * 10**9 if n % 2 else 0) for n in range(20)]}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_clocks(analyze, tmp_path, name):
    """A clock may say anything: the conversation is there all the same."""
    frames = [(ts_ns, frame) for ts_ns, (_ts, frame) in zip(ABSURD[name], TALK.frames())]
    code, sessions, captures, _said = analyze(written(tmp_path, pcap(frames)))
    assert (code, len(captures)) == (0, 1) and captures[0]["packets"] == str(len(frames))
    assert {row["protocol"] for row in sessions} == {"smtp"} and [row["principals"] for row in sessions if row["principals"] != "[]"] == ['["anna"]']


@pytest.mark.parametrize("exponent", [0, 1, 9, 19, 63, 127, 128, 128 + 20, 128 + 63, 255])
def test_absurd_resolutions_of_pcapng(exponent):
    option = made.option(9, bytes((exponent,))) + made.option(14, struct.pack("<q", (-1) ** exponent * 2**62))
    data = made.section() + made.interface(options=option) + b"".join(made.enhanced(frame, (1 << 64) - 1 - n) for n, (_ts, frame) in enumerate(TALK.frames()))
    result = pcapsec.analyze(io.BytesIO(data))
    assert result.internal_errors == [] and int(result.captures["packets"].iloc[0]) == len(TALK.segments)
    assert result.sessions["protocol"].tolist() == ["smtp"]
