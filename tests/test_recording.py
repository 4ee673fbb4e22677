"""The recorder works: some samples are recorded again, from real programs, and hold what samples.csv says.

Recording needs root (network namespaces, servers that drop their rights) and goes through sudo where we are not; it never runs against servers of the machine.
"""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from samples import FOLDER, SAMPLES, Sample, built, handshakes, rows

import pcapsec

NAMES = ("imap-login.pcap", "pop3-stls.pcap", "managesieve-plain.pcap", "lmtp-deliver.pcap", "path-vlan.pcap", "tls-versions.pcap")  # Dovecot alone, and openssl, serve these


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("recorded")
    command = [sys.executable, str(FOLDER / "record" / "record.py"), "-o", str(folder), *NAMES]
    if os.geteuid():
        assert shutil.which("sudo"), "recording needs root: run the tests as root, or install sudo"
        command = ["sudo", "--non-interactive", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.name in NAMES], ids=lambda sample: sample.name)
def test_recorded_again_it_says_the_same(sample: Sample, recorded: pathlib.Path):
    result = pcapsec.analyze(str(recorded / sample.name))
    assert rows(result.sessions, "protocol", "service", "tls_mode", "starttls_state", "completeness") == list(sample.sessions)
    assert rows(result.credentials, "mechanism", "principal", "exposure", "auth_result") == list(sample.logins)
    assert rows(result.messages, "protocol", "direction", "mail_from", "rcpt_to", "message_id", "protection") == list(sample.messages)
    assert handshakes(result.tls) == list(sample.tls)
    assert sorted(set(result.findings["rule_id"])) == built(sample.findings)


def test_nothing_is_left_behind(recorded: pathlib.Path):
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.split()
    ours = [name for name in spaces if name.startswith("pcapsec")]
    running = [name for name in ours if pathlib.Path(f"/proc/{name.removeprefix('pcapsec').partition('-')[0]}").exists()]  # another recording of this moment
    assert sorted(set(ours) - set(running)) == []


def test_samples_csv_is_what_the_recorder_writes(tmp_path: pathlib.Path):
    """samples.csv and the table of samples/README.md come from samples/record/scenarios.py; neither is edited by hand."""
    copy = tmp_path / "samples"
    copy.mkdir()
    shutil.copytree(FOLDER / "record", copy / "record", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(FOLDER / "README.md", copy)
    subprocess.run([sys.executable, str(copy / "record" / "record.py"), "--describe"], check=True)
    assert (copy / "samples.csv").read_text(encoding="utf-8") == (FOLDER / "samples.csv").read_text(encoding="utf-8")
    assert (copy / "README.md").read_text(encoding="utf-8") == (FOLDER / "README.md").read_text(encoding="utf-8")
