"""Runs, their merge, and files that appear complete or not at all."""
from __future__ import annotations

import csv
import json
import os
import pickle
import random
import stat

import numpy as np
import pytest

from pcapsec.errors import OutputError
from pcapsec.secret import Fingerprints
from pcapsec.tables import runs as run_files
from pcapsec.tables import schema
from pcapsec.tables.files import FORMATS, Destination, FileSink, check_target, findings_csv, merge_runs, write_file
from pcapsec.tables.runs import merged, write_run
from tests import sessions as made

KEY = Fingerprints(b"k" * 32)


@pytest.fixture(autouse=True)
def weigh_often(monkeypatch):
    monkeypatch.setattr("pcapsec.tables.files.WEIGH_EVERY", 1)


def write_tables(directory, sessions, *, workers=1, format="csv", force=False, reveal=False, run_bytes=1 << 24):
    directory.mkdir(exist_ok=True)
    sinks = [FileSink(directory, format, reveal=reveal, fingerprints=KEY, run_bytes=run_bytes) for _ in range(workers)]
    for n, session in enumerate(sessions):
        sinks[n % workers].session(session)
    sinks[0].findings([made.drops()])
    parts = [pickle.loads(pickle.dumps(sink.close())) for sink in sinks]
    destination = Destination(directory / "out", format, force=force, reveal=reveal)
    paths = merge_runs(parts, destination, [made.capture()], made.RULES, {"PS101": [1, 0, 0, 0]}, directory)
    return directory / "out", paths, parts


def test_all_tables_are_written_for_the_user_alone(tmp_path):
    out, paths, _ = write_tables(tmp_path / "a", [made.submission(), made.imaps(1)])
    assert sorted(paths) == sorted(str(out / f"{table}.csv") for table in schema.TABLES)
    assert sorted(os.listdir(out)) == sorted(f"{table}.csv" for table in schema.TABLES)
    assert {stat.S_IMODE(os.stat(path).st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    for table in schema.TABLES:
        lines = (out / f"{table}.csv").read_text().splitlines()
        assert lines[0] == ",".join(c.name for c in schema.columns(table))
    assert (out / "hops.csv").read_text() == schema.header("hops")
    assert len((out / "sessions.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("workers, run_bytes", [(1, 1 << 24), (1, 1), (1, 5000), (3, 1 << 24), (3, 3000)])
def test_rows_are_in_time_order_whatever_the_workers(tmp_path, workers, run_bytes):
    sessions = [made.submission(n) for n in range(60)]
    random.Random(1).shuffle(sessions)
    out, _, parts = write_tables(tmp_path / "a", sessions, workers=workers, run_bytes=run_bytes)
    expected, _, _ = write_tables(tmp_path / "b", sorted(sessions, key=lambda s: s.start_ns))
    assert (run_bytes > 10000) == (sum(len(part.runs) for part in parts) == workers)
    for table in schema.TABLES:
        assert (out / f"{table}.csv").read_bytes() == (expected / f"{table}.csv").read_bytes(), table
    times = [row["start"] for row in csv.DictReader((out / "sessions.csv").open())]
    assert times == sorted(times) and len(times) == 60


def random_runs(tmp_path, generator, n_runs, n_rows, span, width):
    made_runs, everything = [], []
    for _ in range(n_runs):
        times = [generator.randrange(-span, span) for _ in range(generator.randrange(n_rows))]
        ties = [generator.randrange(1 << 60) for _ in times]
        rows = [f"{t},{generator.randrange(1000)},{'é' if generator.random() < 0.1 else 'e' * generator.randrange(width)}\n" for t in times]
        everything += zip(times, ties, rows)
        run = write_run(str(tmp_path), {"t": list(zip(times, ties, rows))})
        if run:
            made_runs.append(run)
    return made_runs, everything


@pytest.mark.parametrize("seed", range(12))
def test_merge_is_a_sort(tmp_path, monkeypatch, seed):
    generator = random.Random(seed)
    monkeypatch.setattr(run_files, "SLAB_BYTES", generator.choice((1, 500, 5000, 1 << 20)))
    monkeypatch.setattr(run_files, "MAX_KEYS", generator.choice((1, 2000, 1 << 19)))
    made_runs, everything = random_runs(tmp_path, generator, 7, 300, generator.choice((50, 10**6)), 30)
    data = b"".join(merged(made_runs, "t"))
    lines = data.decode().splitlines(keepends=True)
    assert sorted(lines) == sorted(row for _, _, row in everything)
    times = [int(line.split(",")[0]) for line in lines]
    assert times == sorted(times)
    if run_files.SLAB_BYTES == 1 << 20 and run_files.MAX_KEYS > 2000:
        assert lines == [row for _, _, row in sorted(everything)]


def test_merge_holds_one_slab(tmp_path, monkeypatch):
    monkeypatch.setattr(run_files, "SLAB_BYTES", 4000)
    rows = [f"{'x' * 99}\n" for _ in range(5000)]
    same_time = [write_run(str(tmp_path), {"t": [(7, 0, row) for row in rows]}) for _ in range(3)]
    pieces = list(merged(same_time, "t"))
    assert sum(map(len, pieces)) == 1_500_000
    assert max(map(len, pieces)) <= 3 * 4100


def test_merge_opens_files_one_by_one(tmp_path):
    import resource

    many = [write_run(str(tmp_path), {"t": [(n, 0, f"{n}\n"), (1000 - n, 0, f"{1000 - n}\n")]}) for n in range(300)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        lines = b"".join(merged(many, "t")).splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [int(line) for line in lines] == sorted([*range(300), *(1000 - n for n in range(300))])


def test_an_empty_run_is_no_file(tmp_path):
    assert write_run(str(tmp_path), {"t": []}) is None
    assert os.listdir(tmp_path) == []


def test_times_at_the_edges(tmp_path):
    edge = np.iinfo(np.int64)
    run = write_run(str(tmp_path), {"t": [(edge.max, 1, "c\n"), (edge.min, 2, "a\n"), (0, 3, "b\n")]})
    assert b"".join(merged([run], "t")) == b"a\nb\nc\n"


def test_jsonl_has_real_types(tmp_path):
    out, _, _ = write_tables(tmp_path / "a", [made.submission()], format="jsonl")
    (row,) = [json.loads(line) for line in (out / "sessions.jsonl").read_text().splitlines()]
    assert {name: row[name] for name in ("start", "client_port", "starttls_offered", "starttls_accepted", "capabilities", "tls_version", "principals")} == {
        "start": "2024-05-01T08:00:00.000000000Z", "client_port": 40000, "starttls_offered": True, "starttls_accepted": None,
        "capabilities": ["SIZE 1000", "STARTTLS", "AUTH PLAIN"], "tls_version": None, "principals": ["alice@example.com"]}
    findings = [json.loads(line) for line in (out / "findings.jsonl").read_text().splitlines()]
    assert [list(row) for row in findings] == [[c.name for c in schema.columns("findings")]] * 3
    assert findings[1]["evidence"] == {"initial_response": True, "reply_code": "235"}
    assert (out / "hops.jsonl").read_bytes() == b""


def test_parquet_has_real_types(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    session = made.submission()
    session.facts.greeting = "not utf-8 \udcff"
    out, _, _ = write_tables(tmp_path / "a", [session], format="parquet")
    table = parquet.read_table(out / "sessions.parquet")
    assert table.schema.field("start").type == pa.timestamp("ns", tz="UTC")
    assert table.schema.field("client_port").type == pa.uint16()
    assert table.schema.field("starttls_accepted").type == pa.bool_()
    row = table.to_pylist()[0]
    assert (row["starttls_accepted"], row["capabilities"], row["banner"]) == (None, ["SIZE 1000", "STARTTLS", "AUTH PLAIN"], "not utf-8 \\xff")
    assert parquet.read_table(out / "hops.parquet").num_rows == 0
    assert json.loads(parquet.read_table(out / "findings.parquet").to_pylist()[1]["evidence"]) == {"initial_response": True, "reply_code": "235"}


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pcapsec\[parquet\]"):
        Destination(tmp_path / "out", "parquet")
    assert not (tmp_path / "out").exists()


def test_no_secret_in_any_file_unless_revealed(tmp_path):
    for format in FORMATS:
        out, paths, _ = write_tables(tmp_path / format, [made.submission(), made.mapi(1), made.webmail(2)], format=format)
        assert all(b"S3cret" not in open(path, "rb").read() for path in paths)
    out, _, _ = write_tables(tmp_path / "revealed", [made.submission()], reveal=True)
    (row,) = csv.DictReader((out / "credentials.csv").open())
    assert row["secret"] == "S3cret,pass\\xff"


@pytest.mark.parametrize("format", FORMATS)
def test_an_existing_table_is_not_replaced(tmp_path, format):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"messages.{format}").write_text("mine")
    with pytest.raises(OutputError, match="messages.*exists; --force replaces it"):
        Destination(tmp_path / "out", "csv")
    assert (tmp_path / "out" / f"messages.{format}").read_text() == "mine"
    Destination(tmp_path / "out", "csv", force=True)


def test_force_replaces_also_what_another_format_left(tmp_path):
    write_tables(tmp_path / "a", [made.submission()], format="jsonl")
    out, _, _ = write_tables(tmp_path / "a", [made.submission()], force=True)
    assert sorted(os.listdir(out)) == sorted(f"{table}.csv" for table in schema.TABLES)


@pytest.mark.parametrize("force", [False, True])
def test_links_are_refused(tmp_path, force):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "findings.csv").symlink_to(victim)
    with pytest.raises(OutputError, match="is a link"):
        Destination(tmp_path / "out", force=force)
    with pytest.raises(OutputError, match="is a link"):
        write_file(str(tmp_path / "out" / "findings.csv"), [b"x"], force)
    with pytest.raises(OutputError, match="is a link"):
        check_target(str(tmp_path / "out" / "findings.csv"), force)
    (tmp_path / "linked").symlink_to(tmp_path / "out")
    for name in ("linked", "linked/"):
        with pytest.raises(OutputError, match="is a link"):
            Destination(f"{tmp_path}/{name}", force=force)
    assert victim.read_text() == "precious" and sorted(os.listdir(tmp_path / "out")) == ["findings.csv"]


def test_a_link_made_meanwhile_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for force in (False, True):
        destination = Destination(tmp_path / f"out{force}", force=force)

        def pieces():
            (tmp_path / f"out{force}" / "findings.csv").symlink_to(victim)
            yield b"row\n"

        with pytest.raises(OutputError):
            destination.write("findings", pieces())
        assert os.listdir(tmp_path / f"out{force}") == ["findings.csv"]
    assert victim.read_text() == "precious"


def test_devices_are_refused():
    for force in (False, True):
        with pytest.raises(OutputError, match="no regular file"):
            check_target("/dev/null", force)
        with pytest.raises(OutputError, match="no regular file"):
            write_file("/dev/null", [b"x"], force)


def test_a_failed_write_leaves_nothing(tmp_path):
    def pieces():
        yield b"half"
        raise ValueError("broken")

    with pytest.raises(ValueError):
        write_file(str(tmp_path / "t.csv"), pieces(), False)
    assert os.listdir(tmp_path) == []
    write_file(str(tmp_path / "t.csv"), [b"whole"], False)
    with pytest.raises(ValueError):
        write_file(str(tmp_path / "t.csv"), pieces(), True)
    assert (tmp_path / "t.csv").read_bytes() == b"whole" and os.listdir(tmp_path) == ["t.csv"]


def test_a_name_taken_meanwhile_is_kept(tmp_path):
    def pieces():
        (tmp_path / "t.csv").write_text("other")
        yield b"mine"

    with pytest.raises(OutputError, match="exists"):
        write_file(str(tmp_path / "t.csv"), pieces(), False)
    assert (tmp_path / "t.csv").read_text() == "other" and os.listdir(tmp_path) == ["t.csv"]


def test_a_full_disk_is_an_error_with_the_path(tmp_path):
    def pieces():
        raise OSError(28, "No space left on device")
        yield

    with pytest.raises(OutputError, match=r"t\.csv could not be written: No space left on device"):
        write_file(str(tmp_path / "t.csv"), pieces(), False)


@pytest.mark.parametrize("path", ["missing/t.csv", "file/t.csv"])
def test_targets_that_cannot_be(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        check_target(str(tmp_path / path), False)
    with pytest.raises(OutputError):
        Destination(tmp_path / "file")


def test_findings_alone(tmp_path):
    sink = FileSink(tmp_path, "csv", wanted=("findings",))
    sink.session(made.submission(1)), sink.session(made.submission(0))
    rows = list(csv.DictReader(b"".join(findings_csv([sink.close()])).decode().splitlines()))
    assert [row["finding_id"] for row in rows] == ["00000000000000aa", "00000000000000bb", "00000001000000aa", "00000001000000bb"]
    assert b"".join(findings_csv([])) == schema.header("findings").encode()
