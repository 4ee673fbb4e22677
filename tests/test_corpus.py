"""A corpus of other people's captures with independent truth, where PCAPSEC_CORPUS names one: nothing invented, at least 98 % found."""
from __future__ import annotations

import csv
import os
import pathlib
import subprocess
import sys
import warnings

FEATURES = (
    "readable", "sessions", "starttls", "credentials", "secrets", "messages", "tls", "certificates", "rpc", "ntlm", "http-logins", "false-alarms",
)
ROOT = pathlib.Path(__file__).parent.parent
DISPUTED = ROOT / "tests" / "disputed.csv"
N_CAPTURES = 658  # of the corpus that the project is measured with
SECONDS = 900


def test_corpus():
    corpus = os.environ.get("PCAPSEC_CORPUS")
    if not corpus:
        warnings.warn(f"corpus not given: {N_CAPTURES} captures not checked (set PCAPSEC_CORPUS)", stacklevel=1)
        return
    score = pathlib.Path(corpus) / "score.py"
    assert score.exists(), f"PCAPSEC_CORPUS: {score} is missing"
    chosen = [word for feature in FEATURES for word in ("--feature", feature)]
    done = subprocess.run([sys.executable, str(score), "--corpus", corpus, "--disputed", str(DISPUTED), "--jobs", "2", "--details", *chosen], capture_output=True, text=True, timeout=SECONDS,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def test_each_disputed_fact_has_its_reason():
    with DISPUTED.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row for row in rows if row["feature"] not in FEATURES or not row["file"] or not row["fact"] or "frame" not in row["why"]] == []
    facts = [(row["file"], row["feature"], row["fact"]) for row in rows]
    assert len(facts) == len(set(facts))
