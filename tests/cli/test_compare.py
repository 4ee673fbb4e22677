"""`pcapsec compare`: exit codes, tables, and the view that a mail administrator reads."""
from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from tests.frames import START_NS, Talk
from tests.two_taps import PASSWORD, SMTP, capture, replaced, talk

import pcapsec
from pcapsec.cli import main as commands
from pcapsec.report.comparison import BOXES, UNKNOWN
from pcapsec.tables import schema
from pcapsec.tables.comparison import _FILL


def run(*arguments):
    return commands.run([str(argument) for argument in arguments])


@pytest.fixture
def taps(tmp_path):
    """Paths of a capture inside, where STARTTLS is missing, and of one outside, packed."""
    inside, outside = tmp_path / "inside.pcap", tmp_path / "outside.pcap.gz"
    inside.write_bytes(capture(talk(edit=replaced(b"250-STARTTLS\r\n", b""))).getvalue())
    outside.write_bytes(gzip.compress(capture(talk(clock=START_NS + 3_000_000_000)).getvalue()))
    return inside, outside


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_view_says_what_was_removed_where_and_that_the_server_offered_it(taps, capsys):
    assert run("compare", *taps) == 0
    out, err = capsys.readouterr()
    said = flat(out)
    for words in ("inside: inside.pcap", "outside: outside.pcap.gz", "the outside clock is 3.0 s ahead of the inside one", "1 of 1 conversation changed",
                  "CRITICAL A box between the two captures removed STARTTLS from the reply of 198.51.100.20 port 25 PS312", "mail.example.org (198.51.100.20 port 25), 1 conversation",
                  "server to client: inside frame 8: nothing at byte 74; outside frame 8: 250-STARTTLS (14 bytes at byte 74)", "The server did offer it: it stands in the outside capture.",
                  "The box sits between the two points.", "To do: Find the box", "1 conversation passes between the two points with nothing else changed"):
        assert words in said, words
    assert err == "" and not any(word.decode() in said for word in (PASSWORD, b"UzNjcmV0", b"nobody else"))


def test_tables_and_findings(taps, tmp_path, capsys):
    for format_ in ("csv", "jsonl", "parquet"):
        assert run("compare", *taps, "-o", tmp_path / format_, "--format", format_, "--csv", tmp_path / f"{format_}.csv") == 0
        assert sorted(path.name for path in (tmp_path / format_).iterdir()) == sorted(f"{table}.{format_}" for table in schema.COMPARISON_TABLES)
        assert (tmp_path / format_).stat().st_mode & 0o77 == 0
    assert "1 conversations in both, 1 changed in 1 places; tables in" in capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "csv" / "differences.csv").open()))
    assert [(row["meaning"], row["shown_outside"], row["offset_inside"], row["length_outside"]) for row in rows] == [("offer-removed", "250-STARTTLS", "74", "14")]
    assert [json.loads(line)["box"] for line in (tmp_path / "jsonl" / "pairs.jsonl").open()] == ["none"]
    assert (tmp_path / "csv.csv").read_bytes() == (tmp_path / "csv" / "findings.csv").read_bytes() == (tmp_path / "parquet.csv").read_bytes()
    capsys.readouterr()
    assert run("compare", *taps, "--csv", "-") == 0
    assert capsys.readouterr().out == (tmp_path / "csv.csv").read_text()
    import pandas
    result = pcapsec.compare(*taps)
    for table in ("differences", "pairs"):
        assert pandas.read_parquet(tmp_path / "parquet" / f"{table}.parquet").columns.tolist() == getattr(result, table).columns.tolist()
    assert run("compare", *taps, "-o", tmp_path / "csv") == 2
    assert "exists; --force replaces it" in capsys.readouterr().err


def test_exit_codes(taps, tmp_path, capsys):
    inside, outside = taps
    assert run("compare", *taps, "--quiet", "--fail-on", "critical") == 1
    assert run("compare", inside, inside, "--quiet", "--fail-on", "info") == 0
    assert capsys.readouterr() == ("", "")
    (tmp_path / "text").write_text("no capture at all, but some words\n")
    for pair in ((inside, tmp_path / "missing"), (tmp_path / "missing", outside), (inside, tmp_path / "text")):
        assert run("compare", *pair) == 3
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("pcapsec: ")
    for arguments, words in (((inside,), "Missing argument"), (("-", "-"), "only one of both"), ((*taps, "--since", "2024-05-02", "--until", "2024-05-01"), "--since is not before")):
        assert run("compare", *arguments) == 2
        assert words in capsys.readouterr().err


def test_a_capture_that_breaks_off_is_compared_as_far_as_it_goes(taps, tmp_path, capsys):
    inside, outside = taps
    broken = tmp_path / "broken.pcap.gz"
    broken.write_bytes(outside.read_bytes()[:-40])
    assert run("compare", inside, broken) == 0
    assert "Cut off or damaged: broken.pcap.gz." in flat(capsys.readouterr().out)


@pytest.mark.parametrize("outside, words", [
    (talk(), " Nothing was changed between the two points in what could be compared: 1 conversation"),
    (talk(client="203.0.113.9"), "passes address translation (NAT)"),
    (talk(isn=(1, 2), size=50), "passes a proxy that ends TCP"),
    (talk(SMTP[:3], isn=(1, 2), clock=START_NS + 10**13), "Nothing in common. No conversation of one capture (1 inside) was found in the other (1 outside): their times do not overlap."),
    (Talk().open(), "Nothing in common."),
])
def test_what_else_it_says(outside, words, tmp_path, capsys):
    for name, made in (("inside", talk()), ("outside", outside)):
        (tmp_path / name).write_bytes(capture(made).getvalue())
    assert run("compare", tmp_path / "inside", tmp_path / "outside") == 0
    assert flat(words) in flat(capsys.readouterr().out)


def test_wire_text_steers_no_terminal(tmp_path, capsys):
    evil = talk(edit=replaced(b"mail.example.org ESMTP", b"\x1b[31mevil\x07 \xe2\x80\xae"))
    for name, made in (("inside", evil), ("outside", talk())):
        (tmp_path / name).write_bytes(capture(made).getvalue())
    assert run("compare", tmp_path / "inside", tmp_path / "outside") == 0
    assert run("compare", tmp_path / "inside", tmp_path / "outside", "-o", tmp_path / "out") == 0
    shown = capsys.readouterr().out + "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "evil" in shown and not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_each_column_is_filled_and_each_word_has_its_sentence(tmp_path):
    for table, (_arguments, fill) in _FILL.items():
        assert list(fill) and set(fill) == {column.name for column in schema.columns(table)}
    assert {"none", "router", "nat", "resegmenting", "sequence-rewriting", "tcp-proxy", "tls-proxy", "tls-one-sided"} == set(BOXES)
    assert {"loss", "late-start", "early-end", "one-sided", "encrypted", "not-kept", "fault"} == set(UNKNOWN)


def test_the_python_interface_takes_files():
    made = capture(talk())
    result = pcapsec.compare(made, io.BytesIO(made.getvalue()))
    assert repr(result) == "Comparison(pairs: 1, differences: 0, findings: 0)" and result.outcome.n_equal == 1
    with pytest.raises(pcapsec.CaptureError):
        pcapsec.compare(io.BytesIO(b"no capture"), io.BytesIO(made.getvalue()))
