"""Peak resident memory under floods, in short: the long form is benchmarks/make_flood.py and /usr/bin/time -v (benchmarks/README.md)."""
from __future__ import annotations

import csv
import gc
import io
import subprocess
import sys
from pathlib import Path

import pytest
from frames import Talk, pcap

import pcapsec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import make_flood  # noqa: E402

CLIENT, SERVER = 0, 1
MEASURE = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
SYNS, IDLE = 200_000, 50_000
WINDOW_MB = 12  # what a first full window touches more than a small capture does: the window itself and its rows
PER_IDLE_BYTES = 128 + 3 * (64 + 128) + 16 + 140  # a flow, up to three kept segments with their bytes, its share of the index, what is remembered of it to compare
ROWS_MB = 48  # rows put aside and sorted, with Python's overhead


def peak_mb(capture: Path, out: Path) -> float:
    """Peak memory of `analyze -o`, kernels compiled."""
    done = subprocess.run([sys.executable, "-c", MEASURE, sys.executable, "-m", "pcapsec", "analyze", str(capture), "-o", str(out), "--quiet"], cwd=ROOT, capture_output=True,
                          text=True, timeout=300)
    code, kilobytes = done.stdout.split()
    assert code == "0", done.stderr
    return int(kilobytes) / 1024


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def base_mb(tmp_path_factory) -> float:
    folder = tmp_path_factory.mktemp("base")
    sample = ROOT / "samples" / "smtp-helo.pcap"
    peak_mb(sample, folder / "compiles")
    return peak_mb(sample, folder / "measured")


def test_a_syn_flood_takes_no_memory_and_hides_no_mail(base_mb, tmp_path):
    summary = make_flood.make("syn", tmp_path / "syn.pcap", SYNS, n_mail=50)
    peak = peak_mb(tmp_path / "syn.pcap", tmp_path / "out")
    assert peak < base_mb + WINDOW_MB + 16, f"{peak:.0f} MB, {base_mb:.0f} MB on a small capture"
    assert len(rows(tmp_path / "out", "sessions")) == summary["mail"]["made"]["conversations"]["total"]


def test_idle_connections_take_what_they_must(base_mb, tmp_path):
    make_flood.make("idle", tmp_path / "idle.pcap", IDLE)
    peak = peak_mb(tmp_path / "idle.pcap", tmp_path / "out")
    assert peak < base_mb + WINDOW_MB + ROWS_MB + IDLE * PER_IDLE_BYTES / 2**20, f"{peak:.0f} MB, {base_mb:.0f} MB on a small capture"
    sessions = rows(tmp_path / "out", "sessions")
    assert len(sessions) == IDLE and {row["completeness"] for row in sessions} == {"full"}


def test_conversations_that_go_on_are_bounded(monkeypatch):
    """When too many were parsed in part, those silent longest end where they are, and say so."""
    from importlib import import_module

    from pcapsec.streams import engine

    run = import_module("pcapsec.pipeline.run")
    monkeypatch.setattr(run, "MAX_OPEN", 20)
    monkeypatch.setattr(engine, "KEPT_LIMIT", 0)
    monkeypatch.setattr(engine, "SWEEP_FRAMES", 1)
    monkeypatch.setattr(run, "open_source", lambda *inputs, open_source=run.open_source, **options: open_source(*inputs, window_bytes=8192, rows=64, **options))
    talks = [Talk(client_port=1000 + n, clock=Talk().clock + n * 10**9).open().turns([(SERVER, b"220 mx ESMTP\r\n"), (CLIENT, b"EHLO pc\r\n"), (SERVER, b"250 mx\r\n")])
             for n in range(100)]
    frames = [frame for talk in talks for frame in talk.frames()]
    quit_late = [(talks[-1].clock + n, talks[n].frame(talks[n]._add(CLIENT, 24, b"AUTH PLAIN AGFubmEAc2VjcmV0\r\n"))) for n in (0, 99)]
    sessions = pcapsec.analyze(io.BytesIO(pcap(frames + quit_late))).sessions.sort_values("client_port")
    assert sessions["client_port"].tolist() == list(range(1000, 1100))
    evicted = sessions["completeness"].eq("evicted").tolist()
    assert 80 <= sum(evicted) < 100 and evicted == sorted(evicted, reverse=True)
    assert sessions["principals"].tolist()[0] == [] and sessions["principals"].tolist()[99] == ["anna"]


def test_what_open_conversations_hold_is_bounded(monkeypatch):
    """Few of them may hold many rows: then, too, those silent longest end where they are."""
    from importlib import import_module

    from pcapsec.streams import engine

    run = import_module("pcapsec.pipeline.run")
    monkeypatch.setattr(run, "MAX_OPEN_ROWS", 1000)
    monkeypatch.setattr(engine, "KEPT_LIMIT", 0)
    monkeypatch.setattr(engine, "SWEEP_FRAMES", 1)
    monkeypatch.setattr(run, "open_source", lambda *inputs, open_source=run.open_source, **options: open_source(*inputs, window_bytes=8192, rows=64, **options))
    asked = [(CLIENT, b"GET /owa/ HTTP/1.1\r\nHost: a\r\n\r\n" * 10), (SERVER, b"HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n" * 10)]
    talks = [Talk(client_port=1000 + n, server_port=80, clock=Talk().clock + n * 10**9).open().turns(asked * 10) for n in range(30)]
    held: list[int] = []
    batch = run._Worker._batch

    def watched(worker, one):
        batch(worker, one)
        held.append(sum(conversation.n_rows for conversation in worker.open.values()))
        assert worker.open_rows == held[-1]

    monkeypatch.setattr(run._Worker, "_batch", watched)
    result = pcapsec.analyze(io.BytesIO(pcap([frame for talk in talks for frame in talk.frames()])))
    assert 500 < max(held) <= 1000
    assert len(result.http) == 3000 and result.sessions["completeness"].eq("evicted").sum() >= 20


def test_the_callers_garbage_collection_stays_as_it_was():
    before = gc.get_threshold()
    pcapsec.analyze(str(ROOT / "samples" / "smtp-helo.pcap"))
    assert gc.get_threshold() == before
