"""The baseline file: two days, two writers, and files that are damaged, hostile, older, newer or none of ours."""
from __future__ import annotations

import os
import pathlib
import signal
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

import pcapsec
from pcapsec.errors import BaselineError, PcapsecError
from pcapsec.pipeline import History, history as module
from pcapsec.rules import Judge
from tests.rules.comparisons import clear, looked, upgraded

NOW_NS = 1_800_000_000 * 10**9
DAY = 86_400
ROOT = pathlib.Path(__file__).parent.parent.parent
SAMPLES = ROOT / "samples"


def collected(*sessions):
    judge = Judge()
    for session in sessions:
        judge.session(session)
    return judge.site.collected


def rows(path) -> list:
    return sorted(History(str(path)).read().rows(), key=repr)


def write(path, *sessions) -> None:
    History(str(path)).update(collected(*sessions), NOW_NS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


@pytest.fixture
def filled(path):
    write(path, upgraded(0), clear(60, client_name="\udc80odd\0name", greeting="220 caf\udce9.example"))
    return path


def test_what_is_written_is_read(filled):
    offers, versions, pairs = ([row for row in rows(filled) if row.__class__.__name__ == name] for name in ("OfferSeen", "VersionSeen", "PairSeen"))
    assert len(offers) == 2 and [(row.version, row.n) for row in versions] == [("TLSv1.2", 1)]
    assert sorted(row.client_name for row in pairs) == ["\\udc80odd\\0name", "relay.example"]
    assert stat.S_IMODE(filled.stat().st_mode) == 0o600
    assert os.listdir(filled.parent) == [filled.name]


def test_adding_is_merging_whatever_the_order(tmp_path):
    runs = [[upgraded(0), looked(10)], [clear(DAY, offer=False)], [upgraded(2 * DAY), clear(2 * DAY + 5)]]
    said = []
    for name, order in (("a", (0, 1, 2)), ("b", (2, 1, 0)), ("c", (1, 0, 2, 2, 0, 1))):
        for n in order:
            write(tmp_path / name, *runs[n])
        said.append(rows(tmp_path / name))
    assert said[0] == said[1] == said[2]
    [pair] = [row for row in said[0] if row.__class__.__name__ == "PairSeen"]
    start = 1_700_000_000
    assert [value // 10**9 - start for value in pair[4:8]] == [0, 2 * DAY, DAY, 2 * DAY + 5]


def test_many_writers_at_once(path):
    """Processes that make the file and add to it at the same time: nothing is lost, and readers in between see whole states."""
    children = []
    for writer in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for n in range(10):
                    write(path, looked(writer * 100 + n, server_ip=f"203.0.113.{writer * 10 + n}"), upgraded(n))
                    History(str(path), readonly=True).read()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert len({row.server_ip for row in rows(path) if row.__class__.__name__ == "OfferSeen"}) == 40
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_writer_that_is_killed(path):
    """Whatever it was at: the file holds whole runs."""
    for delay_s in (0.02, 0.05, 0.08):
        child = os.fork()
        if child == 0:
            for n in range(10_000):
                write(path, upgraded(n))
            os._exit(0)
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kinds = sorted(row.__class__.__name__ for row in rows(path))
        assert kinds in ([], ["OfferSeen", "PairSeen", "VersionSeen"])
    write(path, upgraded(0))
    assert len(rows(path)) == 3


def test_ceilings(path, monkeypatch):
    """What was seen last stays."""
    monkeypatch.setattr(module, "_TABLES", {name: (*table[:2], 5, table[3]) for name, table in module._TABLES.items()})
    for n in range(9):
        write(path, upgraded(n * 10, server_ip=f"203.0.113.{n}"))
    assert {row.server_ip for row in rows(path)} == {f"203.0.113.{n}" for n in range(4, 9)}


def test_lists_of_one_server_have_a_ceiling(path):
    write(path, *(looked(n, capabilities=(f"X{n}", "STARTTLS")) for n in range(module.MAX_PER_SERVER + 5)))
    assert sorted(int(row.offer.capabilities[0][1:]) for row in rows(path)) == list(range(5, module.MAX_PER_SERVER + 5))


# --- files that are not as they should be

def sql(*statements):
    def change(path):
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    return change


def cut(n):
    return lambda path: os.truncate(path, n)


def overwritten(begin, size):
    def change(path):
        with open(path, "r+b") as file:
            file.seek(begin)
            file.write(b"\xff" * size)
    return change


BROKEN = {
    "cut in the header": cut(50), "cut behind the header": cut(100), "cut in the middle": cut(4096 + 700), "a page gone": cut(4096), "a page overwritten": overwritten(4096, 4096),
    "page 1 overwritten": overwritten(100, 3000), "a trigger": sql("CREATE TRIGGER t AFTER INSERT ON offers BEGIN DELETE FROM offers; END"), "a view": sql("CREATE VIEW v AS SELECT 1"),
    "another table": sql("CREATE TABLE other (x)"), "a table gone": sql("DROP TABLE keys"), "a view for a table": sql("DROP TABLE keys", "CREATE VIEW keys AS SELECT randomblob(1000000000)"),
    "an index": sql("CREATE INDEX i ON offers (last_ns)"),
    "a column without its type": sql("PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = replace(sql, 'banner TEXT', 'banner')"),
}
WRONG = {  # values that only somebody else writes
    "text for a time": sql("UPDATE offers SET last_ns = 'soon'"), "a blob for a text": sql("UPDATE pairs SET banner = x'ff00'"),
    "a time below 0": sql("UPDATE offers SET first_ns = -5"), "huge text": sql("UPDATE pairs SET banner = printf('%.1000c', 'x')"),
    "monstrous text": sql("UPDATE pairs SET banner = printf('%.30000000c', 'x')"), "a port that is none": sql("UPDATE pairs SET server_port = 70000"),
    "no list": sql("UPDATE offers SET listed = '[[1],[],[]]' WHERE offered = 1"), "no JSON": sql("UPDATE offers SET listed = printf('%.4000c', '[') WHERE offered = 1"),
    "bytes that are no text": sql("UPDATE pairs SET banner = CAST(x'fffe' AS TEXT)"),
}


@pytest.mark.parametrize("change", [*BROKEN.values(), *WRONG.values()], ids=[*BROKEN, *WRONG])
def test_a_damaged_or_hostile_file_is_left_alone(filled, change):
    change(filled)
    before = filled.read_bytes()
    history = History(str(filled))
    with pytest.raises(BaselineError, match="history.sqlite: the baseline "):
        history.read()
    history.update(collected(looked(0)), NOW_NS)  # does nothing: it was broken when it was read
    assert filled.read_bytes() == before


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_nothing_is_added_to_a_file_that_broke_in_the_meantime(filled, change):
    change(filled)
    before = filled.read_bytes()
    with pytest.raises(BaselineError):
        write(filled, looked(0))
    assert filled.read_bytes() == before


@pytest.mark.parametrize("content, message", [
    (b"hello\n", "not a baseline of pcapsec"), (b"SQLite format 3\0" + b"\0" * 5000, "not a baseline of pcapsec"), (b"S", "not a baseline of pcapsec"), (b"x" * 5000, "not a baseline of pcapsec")])
def test_a_file_that_is_not_ours(path, content, message):
    path.write_bytes(content)
    with pytest.raises(PcapsecError, match=message):
        History(str(path))
    assert path.read_bytes() == content


def test_a_newer_file(filled):
    sql("PRAGMA user_version = 2")(filled)
    with pytest.raises(PcapsecError, match="a baseline of version 2, written by a newer pcapsec; this one knows version 1"):
        History(str(filled))


def test_links_folders_and_what_is_not_there(filled, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(filled)
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("link", "through a link"), ("loose", "through a link"), ("pipe", "is a file, and this is none"), (".", "is a file, and this is none"), ("no/such", "there is no folder")):
        with pytest.raises(PcapsecError, match=message):
            History(str(tmp_path / name))
    with pytest.raises(PcapsecError, match="no such baseline"):
        History(str(tmp_path / "absent"), readonly=True)
    (tmp_path / "history.sqlite-journal").symlink_to(tmp_path / "absent")
    with pytest.raises(PcapsecError, match="a link stands where"):
        History(str(filled))
    assert not (tmp_path / "nowhere").exists() and not (tmp_path / "absent").exists()


def test_an_empty_file_is_a_new_one(path):
    path.touch()
    assert rows(path) == []
    write(path, looked(0))
    assert len(rows(path)) == 1


def test_readonly_adds_nothing(filled):
    before = filled.read_bytes()
    history = History(str(filled), readonly=True)
    assert len(list(history.read().rows())) == 5
    history.update(collected(looked(9)), NOW_NS)
    assert filled.read_bytes() == before


def test_a_file_that_somebody_else_holds(filled, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.1)
    holder = sqlite3.connect(filled)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BaselineError, match="could not be used .database is locked.; it stays as it was"):
        History(str(filled)).read()
    holder.close()


def test_a_full_file_stays_as_it_was(filled, monkeypatch):
    before = rows(filled)
    monkeypatch.setattr(module, "MAX_FILE_BYTES", filled.stat().st_size)
    with pytest.raises(BaselineError, match="could not be used .database or disk is full"):
        write(filled, *(looked(n, server_ip=f"203.0.113.{n}", capabilities=("X" * 300, f"Y{n}")) for n in range(200)))
    assert rows(filled) == before


# --- whole runs

def shifted(name: str, days: int, path: pathlib.Path) -> str:
    """A sample as if taken so many days later."""
    data = bytearray((SAMPLES / name).read_bytes())
    order = "little" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else "big"
    at = 24
    while at < len(data):
        data[at:at + 4] = (int.from_bytes(data[at:at + 4], order) + days * DAY).to_bytes(4, order)
        at += 16 + int.from_bytes(data[at + 8:at + 12], order)
    path.write_bytes(data)
    return str(path)


def told(result) -> list[tuple]:
    found = result.findings
    return [tuple(row) for row in found[found["variant"] == "baseline"][["rule_id", "severity"]].itertuples(index=False)]


@pytest.fixture
def days(tmp_path):
    """The same server on three days: with the offer, with the offer, and without it on the way to the client."""
    return [shifted("strip-smtp-removed-outside.pcap", 0, tmp_path / "monday.pcap"), shifted("strip-smtp-removed-outside.pcap", 1, tmp_path / "tuesday.pcap"),
            shifted("strip-smtp-removed-inside.pcap", 2, tmp_path / "wednesday.pcap")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_three_days(days, path, jobs):
    assert [told(pcapsec.analyze(day, baseline=path, jobs=jobs)) for day in days] == [[], [], [("PS305", "medium")]]
    assert told(pcapsec.analyze(days[2], baseline=path, baseline_readonly=True)) == [("PS305", "medium")]
    assert told(pcapsec.analyze(days[0], baseline=path)) == []


def test_the_policy_names_it(days, path):
    policy = path.parent / "policy.yaml"
    policy.write_text("version: 1\nbaseline: history.sqlite\n")
    assert [told(pcapsec.analyze(day, policy=policy)) for day in days] == [[], [], [("PS305", "medium")]]
    assert path.exists()


def test_a_damaged_baseline_takes_nothing_from_the_analysis(days, filled):
    BROKEN["a page overwritten"](filled)
    before = filled.read_bytes()
    result = pcapsec.analyze(days[0], baseline=filled)
    assert len(result.sessions) == 1 and [type(error) for error in result.errors] == [BaselineError]
    command = [sys.executable, "-m", "pcapsec", "analyze", days[0], "--quiet", "--baseline", str(filled)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 3 and "the baseline is damaged" in run.stderr and filled.read_bytes() == before
    filled.unlink()
    write(filled, looked(0))
    sql("PRAGMA user_version = 9")(filled)
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 2 and "a newer pcapsec" in run.stderr
    run = subprocess.run([*command[:6], "--baseline-readonly"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 2 and "--baseline-readonly goes with --baseline FILE" in run.stderr
