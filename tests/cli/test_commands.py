"""The command line: exit codes, messages, where output goes. The pipeline is replaced by one that hands over hand-made sessions."""
from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys

import pytest

import pcapsec
from pcapsec.cli import main as commands
from pcapsec.errors import CaptureError
from pcapsec.secret import Fingerprints
from pcapsec.tables import schema
from tests import sessions as made


@pytest.fixture
def engine(monkeypatch):
    """Stands in for pipeline.run; records its arguments."""
    from pcapsec import pipeline

    class Engine:
        sessions = [made.submission(0), made.imaps(1)]
        captures = [made.capture()]
        errors: list = []
        faults: list = []
        asked: dict = {}
        workers = 1

        def run(self, inputs, *, make_sink, **options):
            self.asked = {"inputs": inputs, **options}
            sinks = [make_sink(n) for n in range(self.workers)]
            for n, session in enumerate(self.sessions):
                sinks[n % self.workers].session(session)
            sinks[0].findings([made.drops()])
            return pipeline.Outcome(partials=[sink.close() for sink in sinks], captures=self.captures, counts={"PS101": [1, 0, 0, 0]}, errors=self.errors,
                                    internal_errors=self.faults)

    engine = Engine()
    monkeypatch.setattr(pipeline, "run", engine.run)
    return engine


def run(*arguments):
    return commands.run([str(argument) for argument in arguments])


def test_summary_on_stdout(engine, capsys):
    assert run("analyze", "monday.pcap") == 0
    out, err = capsys.readouterr()
    assert "1 account exposed" in out and "alice@example.com" in out and err == ""
    assert engine.asked["inputs"] == ["monday.pcap"] and engine.asked["jobs"] == 1 and engine.asked["join"] is False and engine.asked["full_assessments"] is False


def test_options_reach_the_pipeline(engine, capsys):
    assert run("analyze", "a", "b", "--jobs", 3, "--join", "--assessments", "full", "--host", "10.0.0.0/8", "--port", 25, "--since", "2024-05-01", "--until",
               "2024-05-01T10:00:00.5+02:00", "--quiet") == 0
    filters = engine.asked.pop("filters")
    assert isinstance(engine.asked.pop("fingerprints"), Fingerprints)
    assert {k: v for k, v in engine.asked.items() if k != "progress"} == {"inputs": ["a", "b"], "policy": None, "jobs": 3, "join": True, "full_assessments": True, "keys": None, "trust": None, "baseline": None}
    assert (filters.host, filters.port, filters.since_ns, filters.until_ns) == ("10.0.0.0/8", 25, 1_714_521_600_000_000_000, 1_714_550_400_500_000_000)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("content, words", [
    (b"version: 1\nrequire_tls:\n- id: a\n  match: {server_prt: 25}\n", "line 4: `server_prt` is not known in `match`; did you mean `server_port`?"),
    (b"version: 2\n", "line 1: version '2' is not known; this pcapsec reads version 1"), (b"\x89PNG\r\n\x1a\n\x00", "not YAML"), (b"a: &a [x]\nb: *a\n", "anchors"), (b"", "empty"),
])
def test_a_policy_that_is_none_is_wrong_usage(engine, capsys, tmp_path, content, words):
    (tmp_path / "policy.yaml").write_bytes(content)
    assert run("analyze", "a", "--policy", tmp_path / "policy.yaml") == 2
    out, err = capsys.readouterr()
    assert words in err and out == "" and len(err.splitlines()) == 1 and engine.asked == {}


def test_suppressed_findings_alarm_nobody(engine, capsys, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nsuppress:\n- {rule: PS101, reason: known}\n- {rule: PS102, reason: old, expires: 2024-01-31}\n")
    session = made.submission(0)
    session.findings[0].suppressed = "known"
    session.findings[1].because_of = None
    engine.sessions = [session]
    assert run("analyze", "a", "--policy", policy, "--fail-on", "critical") == 0
    out, err = capsys.readouterr()
    assert "line 3: the suppression of PS101 never expires" in err and "line 4: the suppression of PS102 expired on 2024-01-31" in err
    assert "1 finding more, suppressed by the policy" in out and "STARTTLS offered" in out and "PS101" not in out
    assert run("analyze", "a", "--policy", policy, "--fail-on", "high", "-o", tmp_path / "out") == 1
    assert "1 high, 1 low, 1 suppressed; tables in" in capsys.readouterr().err
    with open(tmp_path / "out" / "findings.csv", newline="") as file:
        assert [(row["rule_id"], row["severity"], row["suppressed"]) for row in csv.DictReader(file)] == [
            ("PS005", "low", ""), ("PS101", "critical", "known"), ("PS204", "high", "")]


@pytest.mark.parametrize("arguments, words", [
    ([], "Missing argument"), (["a", "--jobs", "0"], "jobs"), (["a", "--port", "70000"], "port"), (["a", "--host", "mail"], "no address or network"),
    (["a", "--since", "yesterday"], "is not a time"), (["a", "--since", "2024-05-02", "--until", "2024-05-01"], "--since is not before --until"),
    (["a", "--fail-on", "bad"], "fail-on"), (["a", "--format", "xml"], "format"), (["a", "--reveal-secrets"], "say where with -o"), (["a", "--nonsense"], "nonsense"),
    (["a", "--policy", "/nonexistent"], "cannot be read"), (["a", "--fingerprint-key", "/nonexistent"], "cannot be read"),
    (["a", "--fingerprint-key", "/dev/null"], "at least 16 bytes"), (["a", "--csv", "/nonexistent/x.csv"], "cannot be used"),
])
def test_usage_is_2(engine, capsys, arguments, words):
    assert run("analyze", *arguments) == 2
    out, err = capsys.readouterr()
    assert words in err and out == "" and engine.asked == {}


def test_unknown_commands_are_usage(capsys):
    assert run("live") == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize("severity, code", [("info", 1), ("high", 1), ("critical", 1)])
def test_fail_on(engine, severity, code):
    assert run("analyze", "a", "--quiet", "--fail-on", severity) == code


def test_fail_on_counts_roots_only(engine):
    engine.sessions = [made.submission(findings=made.submission().findings[1:])]  # high, but told by another finding
    assert run("analyze", "a", "--quiet", "--fail-on", "high") == 0
    assert run("analyze", "a", "--quiet", "--fail-on", "low") == 1


def test_an_unread_input_is_3_and_the_rest_is_kept(engine, capsys):
    engine.errors = [CaptureError("bad.pcap", 0, "a capture", "text \x1b[31m", "try tcpdump -w")]
    assert run("analyze", "a", "bad.pcap", "--fail-on", "low") == 3
    out, err = capsys.readouterr()
    assert "alice@example.com" in out and "bad.pcap, byte 0: expected a capture, found text \\x1b[31m; try tcpdump -w" in err and "\x1b" not in err + out


def test_nothing_read_is_3_without_a_summary(engine, capsys):
    engine.errors, engine.captures, engine.sessions = [CaptureError("bad.pcap", None, "a capture", "nothing")], [], []
    assert run("analyze", "bad.pcap") == 3
    assert capsys.readouterr().out == ""


def test_a_fault_of_ours_is_4_and_named(engine, capsys):
    engine.faults = [f"192.0.2.7:{n}: offset 7: KeyError" for n in range(12)]
    engine.errors = [CaptureError("bad.pcap", None, "a capture", "nothing")]
    assert run("analyze", "a", "--fail-on", "low") == 4
    err = capsys.readouterr().err
    assert "192.0.2.7:0: offset 7: KeyError" in err and "and 2 more faults" in err and "Traceback" not in err


def test_an_unforeseen_error_is_4_without_traceback_or_message(engine, monkeypatch, capsys):
    def run_badly(*_, **__):
        raise KeyError("S3cret")

    monkeypatch.setattr(pcapsec.pipeline, "run", run_badly)
    assert run("analyze", "a") == 4
    err = capsys.readouterr().err
    assert "a fault of ours: KeyError in test_commands.py, line" in err and "S3cret" not in err and "Traceback" not in err


def test_all_tables_into_a_directory(engine, tmp_path, capsys):
    assert run("analyze", "a", "-o", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert out == "" and err == f"2 conversations, findings: 1 critical, 1 low; tables in {tmp_path}/out\n"
    assert sorted(os.listdir(tmp_path / "out")) == sorted(f"{table}.csv" for table in schema.TABLES)
    assert stat.S_IMODE((tmp_path / "out" / "findings.csv").stat().st_mode) == 0o600
    summary = {row["rule_id"]: row for row in csv.DictReader((tmp_path / "out" / "rule_summary.csv").open())}
    assert summary["PS101"]["n_fail"] == "1" and summary["PS101"]["frame"] == "10" and len(summary) > 20
    assert run("analyze", "a", "-o", tmp_path / "out") == 2
    assert "exists; --force replaces it" in capsys.readouterr().err
    assert run("analyze", "a", "-o", tmp_path / "out", "--force", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_formats_and_findings_beside_them(engine, tmp_path, capsysbinary, format, workers):
    engine.workers = workers
    assert run("analyze", "a", "-o", tmp_path / "out", "--format", format, "--csv", tmp_path / "f.csv", "--quiet") == 0
    result = pcapsec.load(tmp_path / "out")
    assert result.findings["finding_id"].tolist() == ["00000000000000cc", "00000000000000aa", "00000000000000bb"]
    assert [row["finding_id"] for row in csv.DictReader((tmp_path / "f.csv").open())] == result.findings["finding_id"].tolist()
    assert sorted(os.listdir(tmp_path)) == ["f.csv", "out"] and len(os.listdir(tmp_path / "out")) == len(schema.TABLES)
    assert run("analyze", "a", "--csv", "-") == 0
    assert capsysbinary.readouterr().out == (tmp_path / "f.csv").read_bytes()


def test_an_existing_csv_is_kept(engine, tmp_path, capsys):
    (tmp_path / "f.csv").write_text("mine")
    assert run("analyze", "a", "--csv", tmp_path / "f.csv") == 2
    assert (tmp_path / "f.csv").read_text() == "mine" and engine.asked == {}
    assert run("analyze", "a", "--csv", tmp_path / "f.csv", "--force") == 0
    assert (tmp_path / "f.csv").read_text().startswith("finding_id,")


def test_secrets_only_when_asked_for(engine, tmp_path, capsys):
    assert run("analyze", "a", "-o", tmp_path / "hidden", "--csv", "-") == 0
    assert run("analyze", "a") == 0
    out, err = capsys.readouterr()
    assert "S3cret" not in out + err
    assert all(b"S3cret" not in path.read_bytes() for path in (tmp_path / "hidden").iterdir())
    assert run("analyze", "a", "-o", tmp_path / "shown", "--reveal-secrets", "--quiet") == 0
    (row,) = csv.DictReader((tmp_path / "shown" / "credentials.csv").open())
    assert row["secret"] == "S3cret,pass\\xff"


def test_a_fingerprint_key_makes_runs_comparable(engine, tmp_path):
    (tmp_path / "key").write_bytes(b"k" * 32)
    prints = []
    for n, options in enumerate(([], [], ["--fingerprint-key", tmp_path / "key"], ["--fingerprint-key", tmp_path / "key"])):
        assert run("analyze", "a", "-o", tmp_path / str(n), "--quiet", *options) == 0
        prints += [row["secret_fp"] for row in csv.DictReader((tmp_path / str(n) / "credentials.csv").open())]
    assert prints[0] != prints[1] and prints[2] == prints[3] != prints[0]


class Gone(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("arguments, code", [(["--csv", "-"], 0), ([], 0), (["--csv", "-", "--fail-on", "low"], 1), (["--fail-on", "low"], 1)])
def test_a_closed_pipe_ends_quietly(engine, monkeypatch, capsys, arguments, code):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Gone())))
    try:
        assert run("analyze", "a", *arguments) == code
    finally:
        gone, sys.stdout = sys.stdout, sys.__stdout__
        try:
            gone.close()
        except BrokenPipeError:
            pass
    assert capsys.readouterr().err == ""


def shell(line):
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, env={**os.environ, "PCAPSEC": f"{sys.executable} -m pcapsec"})


def test_a_closed_pipe_in_a_shell():
    result = shell("for i in 1 2 3; do $PCAPSEC rules --format jsonl; done | head -c 10; $PCAPSEC rules | true")
    assert result.stderr == ""


def test_help_is_light():
    code = ("import sys; sys.argv = ['pcapsec', '--help']\nfrom pcapsec.cli.main import run\nassert run(['--help']) == 0\nassert run(['analyze', '--help']) == 0\nassert run(['compare', '--help']) == 0\n"
            "heavy = {'pandas', 'numba', 'numpy', 'rich', 'scapy', 'pyshark', 'cryptography', 'yaml', 'pyarrow'} & set(sys.modules)\nassert not heavy, heavy")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for command in ("analyze", "compare", "rules", "explain"):
        assert command in result.stdout
    for later in ("live", "extract", "report"):
        assert f"  {later}" not in result.stdout


def test_importing_pcapsec_is_light():
    code = "import sys, pcapsec\npcapsec.__version__, pcapsec.CaptureError, pcapsec.PcapsecError, pcapsec.analyze\nassert not {'pandas', 'numba', 'numpy', 'rich'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    assert set(pcapsec.__all__) <= set(dir(pcapsec))
    with pytest.raises(AttributeError, match="nonsense"):
        pcapsec.nonsense


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"pcapsec, version {pcapsec.__version__}\n"


def test_rules_are_listed(capsys):
    from pcapsec.rules import all_rules

    assert run("rules") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(all_rules())
    assert run("rules", "--format", "csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert run("rules", "--format", "jsonl") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["rule_id"] for row in rows] == [row["rule_id"] for row in objects] == list(all_rules())
    assert [json.loads(row["references"]) for row in rows] == [row["references"] for row in objects]


def test_explain_is_the_manual_page(capsys):
    from pcapsec.rules import all_rules

    for rule in all_rules().values():
        assert run("explain", rule.id.lower()) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{rule.id} {rule.slug}: {rule.title}\n") and rule.page.strip() in out and rule.remediation in out
    assert run("explain", "smtp-auth-plain") == 0
    assert capsys.readouterr().out.startswith("PS101 ")
    assert run("explain", "PS999") == 2
    assert "there is no rule PS999" in capsys.readouterr().err


def test_the_python_interface(engine, tmp_path):
    result = pcapsec.analyze(tmp_path / "monday.pcap", reveal_secrets=True, jobs=2, since="2024-05-01", host="10.0.0.1")
    assert engine.asked["inputs"] == [str(tmp_path / "monday.pcap")] and engine.asked["jobs"] == 2 and engine.asked["filters"].host == "10.0.0.1"
    assert result.credentials["secret"][0].encode("utf-8", "surrogateescape") == made.PASSWORD
    assert result.errors == [] and len(result.sessions) == 2
    pcapsec.analyze(["a", tmp_path / "b"])
    assert engine.asked["inputs"] == ["a", str(tmp_path / "b")]
    file = io.BytesIO(b"")
    pcapsec.analyze(file)
    assert engine.asked["inputs"] is file
    with pytest.raises(ValueError, match="no capture"):
        pcapsec.analyze([])
    with pytest.raises(ValueError, match="assessments"):
        pcapsec.analyze("a", assessments="all")


def test_the_python_interface_raises_when_nothing_was_read(engine):
    engine.errors, engine.captures, engine.sessions = [CaptureError("bad.pcap", None, "a capture", "nothing")], [], []
    with pytest.raises(pcapsec.CaptureError, match="bad.pcap"):
        pcapsec.analyze("bad.pcap")
    engine.captures = [made.capture()]
    assert [str(error) for error in pcapsec.analyze(["bad.pcap", "good.pcap"]).errors] == ["bad.pcap: expected a capture, found nothing"]
