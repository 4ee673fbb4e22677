"""`pcapsec analyze`: captures in, tables or a summary out."""
from __future__ import annotations

import os
import sys
from typing import Any, Iterable

import click

from ..errors import PcapsecError
from ..records import SEVERITIES

MAX_KEY_BYTES = 4096


class Time(click.ParamType):
    """A time as users write it, as int64 ns since 1970 UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from ..times import parse_time

        try:
            return value if isinstance(value, int) else parse_time(value)  # type: ignore[return-value]
        except PcapsecError as error:
            self.fail(str(error), param, ctx)


class Network(click.ParamType):
    """An address or a network."""

    name = "net"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        import ipaddress

        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            self.fail(f"{value!r} is no address or network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", param, ctx)
        return value


class Sinks:
    """Hands sessions to all that want them."""

    def __init__(self, parts: dict[str, Any]):
        self.parts = parts
        self._sessions = [part.session for part in parts.values()]

    def session(self, session: Any) -> None:
        for take in self._sessions:
            take(session)

    def findings(self, findings: list, capture: str = "") -> None:
        for part in self.parts.values():
            part.findings(findings, capture)

    def close(self) -> dict[str, Any]:
        return {name: part.close() for name, part in self.parts.items()}


@click.command("analyze", short_help="Analyse captures: exposed logins, mail, missing encryption.")
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@click.option("-o", "--output", "directory", metavar="DIR", help="Write all tables into DIR.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the findings alone as CSV; - for standard output.")
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True, help="Of the tables in DIR.")
@click.option("--force", is_flag=True, help="Replace existing tables.")
@click.option("--policy", metavar="FILE", help="What is yours, who must use TLS, which findings are accepted (YAML; README).")
@click.option("--baseline", metavar="FILE", help="What earlier captures showed of each server (SQLite, made when there is none): what is worse now becomes findings with both dates; then this run is added.")
@click.option("--baseline-readonly", is_flag=True, help="Compare with the baseline and add nothing.")
@click.option("--keylog", "key_logs", metavar="FILE", multiple=True, help="Keys that a TLS client or server wrote (SSLKEYLOGFILE): read what they encrypt, with tshark. Repeatable.")
@click.option("--ca", metavar="FILE", help="Roots that you trust, PEM or DER: verify the certificates that servers send against them, as of the packet's time.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes.")
@click.option("--fail-on", type=click.Choice(SEVERITIES), metavar="SEVERITY", help="Exit with 1 when a finding is at or above: " + ", ".join(SEVERITIES) + ".")
@click.option("--reveal-secrets", is_flag=True, help="Write passwords and tokens into the credentials table. Mind where the table goes.")
@click.option("--fingerprint-key", metavar="FILE", help="Key for secret_fp, so that the same secret looks the same in every run with it.")
@click.option("--host", metavar="NET", type=Network(), help="Only conversations with this address or network.")
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), help="Only conversations with this TCP port.")
@click.option("--since", metavar="TIME", type=Time(), help="Only packets from then on; ISO 8601, UTC unless it says otherwise.")
@click.option("--until", metavar="TIME", type=Time(), help="Only packets before then.")
@click.option("--assessments", type=click.Choice(["short", "full"]), default="short", show_default=True,
              help="full: every rule's verdict on every conversation, not only failures and what could not be observed.")
@click.option("--join", is_flag=True, help="Inputs whose times overlap are one capture, taken in several places of one network.")
@click.option("--verify", is_flag=True, help="Let tshark read the capture too, and say where Wireshark sees conversations otherwise.")
@click.option("--quiet", is_flag=True, help="No progress, no summary; errors only.")
def command(captures: tuple[str, ...], directory: str | None, csv_file: str | None, format_: str, force: bool, policy: str | None, baseline: str | None, baseline_readonly: bool, key_logs: tuple[str, ...], ca: str | None, jobs: int, fail_on: str | None,
            reveal_secrets: bool, fingerprint_key: str | None, host: str | None, port: int | None, since: int | None, until: int | None, assessments: str,
            join: bool, verify: bool, quiet: bool) -> int:
    """Read captures (pcap or pcapng, also gz, zst, lz4, bz2; files, directories, globs, or - for a pipe) and report what was exposed.

    Without -o and --csv, a summary goes to the terminal: the worst findings first, what to do, and which passwords to change.

    \b
    Exit codes: 0 done, 1 a finding at or above --fail-on, 2 usage, 3 an input could not be read or the baseline not used, 4 a fault of ours.
    """
    import tempfile
    import time

    from .. import pipeline
    from ..report.progress import Progress
    from ..report.summary import Summary, Tally
    from ..rules import Policy
    from ..secret import Fingerprints

    begun = time.monotonic()
    summarise = directory is None and csv_file is None
    if reveal_secrets and directory is None:
        raise click.UsageError("--reveal-secrets writes secrets into the credentials table; say where with -o DIR")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until")
    fingerprints = Fingerprints(_key(fingerprint_key))
    rules_policy = Policy.load(policy) if policy else None
    if rules_policy is not None:
        _tell(rules_policy)
        baseline = rules_policy.baseline if baseline is None else baseline
    if baseline_readonly and baseline is None:
        raise click.UsageError("--baseline-readonly goes with --baseline FILE, or a policy that names one")
    history = pipeline.History(baseline, baseline_readonly) if baseline is not None else None
    keys = None
    if key_logs:
        keys = pipeline.KeyLog()
        for path in key_logs:
            keys.read(path)
    trust = pipeline.TrustStore.load(ca) if ca is not None else None
    if verify:
        from ..pipeline import wireshark

        wireshark.find()
    destination = None
    if directory is not None:
        from ..tables.files import Destination

        destination = Destination(directory, format_, force=force, reveal=reveal_secrets)
    if csv_file is not None and csv_file != "-":
        from ..tables.files import check_target

        check_target(csv_file, force)
    progress = None if quiet else Progress()
    if not quiet:
        say_what_takes_long()
    with tempfile.TemporaryDirectory(prefix=".pcapsec-", dir=scratch_of(directory, csv_file), ignore_cleanup_errors=True) as scratch:

        def make_sink(worker: int) -> Sinks:
            parts: dict[str, Any] = {"summary": Summary() if summarise else Tally()}
            if not summarise:
                from ..tables.files import FileSink

                if destination is not None:
                    parts["tables"] = FileSink(scratch, format_, reveal=reveal_secrets, fingerprints=fingerprints)
                if csv_file is not None and (destination is None or format_ != "csv"):
                    parts["csv"] = FileSink(scratch, "csv", fingerprints=fingerprints, wanted=("findings",))
            if verify:
                from ..pipeline.verification import Memory

                parts["memory"] = Memory()
            return Sinks(parts)

        try:
            outcome = pipeline.run(list(captures), make_sink=make_sink, policy=rules_policy, filters=pipeline.Filters(host=host, port=port, since_ns=since, until_ns=until),
                                   jobs=jobs, join=join, full_assessments=assessments == "full", progress=progress, keys=keys, trust=trust, fingerprints=fingerprints, baseline=history)
        finally:
            if progress is not None:
                progress.close()
        summary = Summary() if summarise else Tally()
        for part in outcome.partials:
            summary.merge(part["summary"])
        _write(outcome, destination, csv_file, force, scratch)
    if verify:
        _verify(outcome, filtered=any(one is not None for one in (host, port, since, until)))
    code = _code(outcome, summary, fail_on)
    _complain(outcome)
    if not quiet:
        if summarise and outcome.captures:
            from ..report.paths import build
            from ..report.terminal import render

            text = render(summary, outcome.captures, unread=[str(error) for error in outcome.errors], elapsed_s=time.monotonic() - begun, paths=build(outcome.collected))
            to_stdout([text.encode(sys.stdout.encoding or "utf-8", "replace")])
        if destination is not None:
            _closing_line(summary, destination.directory)
    return code


def _tell(policy: Any) -> None:
    """What the policy's reader should know of it: suppressions that have expired, or never will."""
    import time

    from .main import say

    for note in policy.notes(time.time_ns()):
        say(f"pcapsec: {note}")


def say_what_takes_long() -> None:
    """The first run compiles; nobody shall wonder for what he waits."""
    from ..kernels.jit import FOLDER, is_compiled

    if FOLDER is None:
        click.echo("pcapsec: compiling for this processor, about half a minute; there is no folder that only you can write to keep it in (set XDG_CACHE_HOME)", err=True)
    elif not is_compiled():
        click.echo(f"pcapsec: compiling for this processor, about half a minute, once; kept in {FOLDER}", err=True)


def _key(path: str | None) -> bytes | None:
    """The fingerprint key in a file."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            key = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise PcapsecError(f"{path}: the key cannot be read: {error.strerror}") from None
    if len(key) < 16:
        raise PcapsecError(f"{path}: a key has at least 16 bytes, this file has {len(key)}; make one with: head -c 32 /dev/urandom > {path}")
    return key


def scratch_of(directory: str | None, csv_file: str | None) -> str | None:
    """Where rows are put aside: beside what they become, where there is room for it; the system's place for standard output and the summary."""
    if directory is not None:
        return directory
    if csv_file is not None and csv_file != "-":
        return os.path.dirname(os.path.abspath(csv_file))
    return None


def _write(outcome: Any, destination: Any, csv_file: str | None, force: bool, scratch: str) -> None:
    """The final tables, from the runs of all workers."""
    if destination is not None:
        from ..report.paths import build
        from ..rules import all_rules
        from ..tables.files import merge_runs

        merge_runs([part["tables"] for part in outcome.partials], destination, outcome.captures, all_rules(), outcome.counts, scratch, paths=build(outcome.collected).paths, answers=outcome.answers())
    if csv_file is None:
        return
    from ..tables.files import findings_csv, write_file

    pieces = findings_csv([part.get("csv") or part["tables"] for part in outcome.partials])
    if csv_file != "-":
        write_file(csv_file, pieces, force)
        return
    to_stdout(pieces)


def _verify(outcome: Any, filtered: bool) -> None:
    """The second opinion, on stderr."""
    from ..pipeline.verification import Memory, compare
    from ..report.second_opinion import render

    memory = Memory()
    for part in outcome.partials:
        memory.merge(part["memory"])
    paths = {capture.name: capture.name for capture in outcome.captures if os.path.isfile(capture.name)}
    try:
        render(compare(memory, outcome.captures, paths, all_of_it=not filtered), sys.stderr)
    except OSError:
        pass


def to_stdout(pieces: Iterable[bytes]) -> None:
    """Write and flush; a reader that has gone is no error and takes nothing from the exit code."""
    from .main import leave_pipe

    try:
        out = sys.stdout.buffer
        for piece in pieces:
            out.write(piece)
        out.flush()
    except BrokenPipeError:
        leave_pipe()


def _code(outcome: Any, summary: Any, fail_on: str | None) -> int:
    from .main import DONE, FAULT, FOUND, UNREADABLE

    code = DONE
    if fail_on is not None and any(summary.roots[severity] for severity in SEVERITIES[SEVERITIES.index(fail_on):]):
        code = FOUND
    if outcome.errors or outcome.baseline_errors:
        code = UNREADABLE
    if outcome.internal_errors:
        code = FAULT
    return code


def _complain(outcome: Any) -> None:
    """What could not be read, and our own faults, on stderr."""
    from .main import say

    for error in [*outcome.errors, *outcome.baseline_errors]:
        say(f"pcapsec: {error}")
    for fault in outcome.internal_errors[:10]:
        say(f"pcapsec: a fault of ours: {fault}; that conversation is marked unparsed, the others are complete")
    if len(outcome.internal_errors) > 10:
        say(f"pcapsec: and {len(outcome.internal_errors) - 10} more faults of ours")


def _closing_line(summary: Any, directory: str) -> None:
    from .main import say

    counts = ", ".join([f"{summary.roots[severity]:,} {severity}" for severity in reversed(SEVERITIES) if summary.roots[severity]]
                       + ([f"{summary.n_suppressed:,} suppressed"] if summary.n_suppressed else []))
    say(f"{summary.n_sessions:,} conversations, findings: {counts or 'none'}; tables in {directory}")

