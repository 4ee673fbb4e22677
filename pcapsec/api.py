"""What Python programs call: a capture in, DataFrames out."""
from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO, Iterable

from .errors import CaptureError, OutputError

if TYPE_CHECKING:
    import pandas

    from .tables.frames import Result


def analyze(captures: str | os.PathLike | Iterable[str | os.PathLike] | BinaryIO, *, reveal_secrets: bool = False, policy: Any = None, jobs: int = 1,
            host: str | None = None, port: int | None = None, since: str | int | None = None, until: str | int | None = None, join: bool = False,
            assessments: str = "short", fingerprint_key: bytes | None = None, keylog: str | os.PathLike | Iterable[str | os.PathLike] | None = None,
            ca: str | os.PathLike | None = None, baseline: str | os.PathLike | None = None, baseline_readonly: bool = False) -> "Result":
    """Analyse captures and return all tables.

    Args:
        captures: a path (file, directory, glob, "-" for standard input), several, or one binary file object.
        reveal_secrets: `result.credentials` has the column `secret`; text, with bytes that are not UTF-8 as surrogates
            (`secret.encode("utf-8", "surrogateescape")` gives the bytes as sent).
        policy: path of a policy file, or a `pcapsec.rules.Policy`.
        jobs: processes.
        host: only conversations with this address or network.
        port: only conversations with this TCP port.
        since, until: only packets from this time on, and before that time; ISO 8601 (UTC unless it says otherwise) or ns since 1970.
        join: several inputs whose times overlap are one capture.
        assessments: "full" for all four verdicts of every rule on every conversation.
        keylog: key log, or several, as programs write them where SSLKEYLOGFILE is set: what TLS hides is read with it, by tshark. Keys inside a capture
            are used anyway.
        ca: PEM or DER file of the roots that you trust: servers' certificates are verified against them, as of the packet's time
            (columns trusted and trust_error of `result.tls`).
        baseline: file that remembers what earlier captures showed of each server, made when there is none: what is worse now becomes findings with both dates,
            then this run is added to it. The policy's when None. One that is damaged is left alone, which `result.errors` says.
        baseline_readonly: compare with it only.
        fingerprint_key: makes `secret_fp` comparable between runs; a random key of this run when None.

    Returns:
        Result: DataFrames findings, sessions, credentials, messages, …; what could not be read is in `result.errors`.

    Raises:
        CaptureError: nothing could be read.
        PcapsecError: an argument, the policy, a key log, `ca` or the baseline is not well formed, or there is a key log and no tshark.
    """
    from . import pipeline
    from .report.paths import build
    from .rules import Policy, all_rules
    from .secret import Fingerprints
    from .tables.frames import FrameSink, Result
    from .times import parse_time

    if assessments not in ("short", "full"):
        raise ValueError(f"assessments is 'short' or 'full', not {assessments!r}")
    if isinstance(captures, (str, os.PathLike)):
        inputs: Any = [os.fspath(captures)]
    elif hasattr(captures, "read"):
        inputs = captures
    else:
        inputs = [os.fspath(path) for path in captures]
        if not inputs:
            raise ValueError("no capture was named")
    if isinstance(policy, (str, os.PathLike)):
        policy = Policy.load(os.fspath(policy))
    keys = None
    if keylog is not None:
        keys = pipeline.KeyLog()
        for path in [keylog] if isinstance(keylog, (str, os.PathLike)) else keylog:
            keys.read(os.fspath(path))
    trust = pipeline.TrustStore.load(os.fspath(ca)) if ca is not None else None
    fingerprints = Fingerprints(fingerprint_key)
    if baseline is None and policy is not None:
        baseline = policy.baseline
    history = pipeline.History(os.fspath(baseline), baseline_readonly) if baseline is not None else None
    filters = pipeline.Filters(host=host, port=port, since_ns=parse_time(since), until_ns=parse_time(until))
    outcome = pipeline.run(inputs, make_sink=lambda worker: FrameSink(reveal=reveal_secrets, fingerprints=fingerprints), policy=policy, filters=filters, jobs=jobs,
                           join=join, full_assessments=assessments == "full", keys=keys, trust=trust, fingerprints=fingerprints, baseline=history)
    if outcome.errors and not any(capture.packets for capture in outcome.captures):
        raise outcome.errors[0]
    result = Result.of_parts(outcome.partials, outcome.captures, all_rules(), outcome.counts, reveal=reveal_secrets, paths=build(outcome.collected).paths, answers=outcome.answers())
    result.errors = [*outcome.errors, *outcome.baseline_errors]
    result.internal_errors = list(outcome.internal_errors)
    return result


class Comparison:
    """Two captures of the same traffic beside one another; columns are told in pcapsec/tables/schema.py.

    Attributes:
        findings: a row for each conversation whose bytes were changed between the two points.
        differences: a row for each range of bytes that differs.
        pairs: a row for each conversation that is in both captures, with the kind of box that must stand between.
        outcome: counts: conversations and connections seen at one point alone and why, offset of the clocks, inputs that could not be read.
    """

    findings: "pandas.DataFrame"
    differences: "pandas.DataFrame"
    pairs: "pandas.DataFrame"

    def __init__(self, tables: "dict[str, pandas.DataFrame]", outcome: Any):
        self.findings, self.differences, self.pairs, self.outcome = tables["findings"], tables["differences"], tables["pairs"], outcome

    def __repr__(self) -> str:
        return f"Comparison(pairs: {len(self.pairs)}, differences: {len(self.differences)}, findings: {len(self.findings)})"


def compare(inside: str | os.PathLike | BinaryIO, outside: str | os.PathLike | BinaryIO, *, policy: Any = None, host: str | None = None, port: int | None = None,
            since: str | int | None = None, until: str | int | None = None) -> Comparison:
    """Compare two captures of the same traffic, taken at two points of its way: which bytes were changed between them.

    Args:
        inside, outside: a path (file, directory, glob, "-" for standard input) or a binary file object each.
        policy, host, port, since, until: as for `analyze`.

    Returns:
        Comparison: DataFrames findings, differences, pairs.

    Raises:
        CaptureError: one of them could not be read.
        PcapsecError: an argument or the policy is not well formed.
    """
    from . import pipeline
    from .rules import Policy
    from .tables.comparison import ComparisonFrames
    from .times import parse_time

    if isinstance(policy, (str, os.PathLike)):
        policy = Policy.load(os.fspath(policy))
    filters = pipeline.Filters(host=host, port=port, since_ns=parse_time(since), until_ns=parse_time(until))
    sink = ComparisonFrames()
    paths = [one if hasattr(one, "read") else os.fspath(one) for one in (inside, outside)]
    outcome = pipeline.compare(*paths, sink=sink, policy=policy, filters=filters)
    return Comparison(sink.frames(), outcome)


def load(directory: str | os.PathLike) -> "Result":
    """Read the tables that `Result.save` or `pcapsec analyze -o` wrote.

    Args:
        directory: with findings.csv (or .jsonl, .parquet) and its neighbours.

    Returns:
        Result: the same tables.

    Raises:
        PcapsecError: a table is missing or is not one of ours.
    """
    from .tables.frames import load as read

    return read(directory)


__all__ = ["CaptureError", "Comparison", "OutputError", "analyze", "compare", "load"]
