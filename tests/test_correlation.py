"""The short form of benchmarks/correlation.py: what was planted is found, and nothing else, whoever remembered what; and the work grows with the conversations."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import correlation  # noqa: E402


def remembered(plan: correlation.Plan, jobs: int) -> list:
    return [correlation.remembered(plan, job, jobs)[0] for job in range(jobs)]


@pytest.fixture(scope="module")
def plan() -> correlation.Plan:
    return correlation.Plan(20_000, 1500, 7)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_exactly_what_was_planted(plan, jobs):
    assert len(plan.rows) == 20_000
    assert correlation.judged(remembered(plan, jobs)) == sorted(plan.planted)
    assert {rule_id for rule_id, _ in plan.planted} == set(correlation.RULES)


def test_two_processes():
    result = correlation.run(5000, 700, 3)
    assert (result["sessions"], result["missing"], result["invented"]) == (5000, [], []) and result["found"] == result["planted"]
    assert sum(result["planted"].values()) == 9 * 2


def calls(n_sessions: int) -> int:
    """Functions called while the rules judge so many conversations, of which as many in a thousand are worth a finding."""
    memories = remembered(correlation.Plan(n_sessions, n_sessions // 14, 5), 2)
    correlation.judged([])  # what is imported once
    n = 0

    def count(_frame, event, _argument):
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        correlation.judged(memories)
    finally:
        sys.setprofile(before)
    return n


def test_the_work_grows_with_the_conversations():
    few, many = calls(5000), calls(40_000)
    assert many < 8 * few * 1.25
