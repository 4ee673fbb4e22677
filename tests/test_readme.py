"""What README.md says is so: its commands run and print what it shows, its Python runs, its tables and codes are the real ones."""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
EXIT_CODE = re.compile(r"exit code (\d)\n")


def commands() -> list[tuple[str, str]]:
    """(command, what it prints) for each `$` line of the console blocks."""
    return [tuple(part.split("\n", 1)) for kind, text in BLOCKS if kind == "console" for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> pathlib.Path:
    """A folder with samples/ in it, and a `pcapsec` to call that is this Python's."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "samples").symlink_to(ROOT / "samples")
    (folder / "bin").mkdir()
    program = folder / "bin" / "pcapsec"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m pcapsec "$@"\n')
    program.chmod(0o755)
    return folder


def shown(text: str, expected: str) -> bool:
    """`…` stands for anything: the rest of a line, or on a line of its own for any lines. Nothing shown is nothing asked."""
    if not expected.strip():
        return True
    pattern = re.escape(expected).replace(re.escape("…\n"), "…\n")
    pattern = re.sub("(?m)^…\n", "(?:.*\n)*?", pattern)
    return re.fullmatch(pattern.replace("…", ".*"), text) is not None


@pytest.mark.parametrize("command, expected", commands(), ids=lambda text: text.partition("\n")[0][:60])
def test_commands_print_what_is_shown(command: str, expected: str, place: pathlib.Path):
    environment = os.environ | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(["bash", "-c", command], cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    code = EXIT_CODE.search(expected)
    assert done.returncode == (int(code[1]) if code else 0), done.stderr
    assert shown(done.stdout, EXIT_CODE.sub("", expected)), done.stdout


def test_python_runs(place: pathlib.Path):
    [program] = [text for kind, text in BLOCKS if kind == "python"]
    done = subprocess.run([sys.executable, "-c", program], cwd=place, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "alice@example.org" in done.stdout
    assert (place / "attempts" / "findings.parquet").exists()


def test_the_policy_is_one(tmp_path: pathlib.Path):
    from pcapsec.rules.policy import Policy
    [text] = [text for kind, text in BLOCKS if kind == "yaml"]
    (tmp_path / "policy.yaml").write_text(text)
    assert [str(network) for network in Policy.load(tmp_path / "policy.yaml").internal_networks] == ["10.0.0.0/8"]


def test_the_two_commands_are_there_and_continuous_integration_runs_the_second():
    install, run = [text.strip() for kind, text in BLOCKS if kind == "sh"]
    script, _, analysis = install.partition(" && ")
    assert os.access(ROOT / script, os.X_OK)
    assert analysis.startswith(".venv/bin/pcapsec analyze samples/") and (ROOT / analysis.split()[-1]).is_file()
    assert os.access(ROOT / run, os.X_OK)
    assert f"exec bash {run}" in (ROOT / ".ci" / "run").read_text()


def test_each_table_is_named():
    from pcapsec.tables.schema import TABLES
    assert [name for name in TABLES if not re.search(rf"\b{name}\b", README)] == []


def test_each_file_that_is_named_is_there():
    named = re.findall(r"\b((?:samples|tests|benchmarks|pcapsec)/[\w./-]*\w|[A-Z]{5,}(?:\.md)?)\b", README)
    files = [name for name in named if "/" in name or name.endswith(".md") or name == "LICENSE"]
    assert len(files) > 5
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_law_comes_before_the_first_command():
    assert README.index("Capture only what you may") < README.index("```")


def test_ellipses_match():
    assert shown("a\nb\nc d\n", "…\nc …\n") and shown("x\ny\n", "…\n") and not shown("a\nb\n", "…\nc\n")
