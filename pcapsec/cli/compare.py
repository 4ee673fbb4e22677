"""`pcapsec compare`: the same traffic captured at two places, and what was changed between them."""
from __future__ import annotations

from typing import Any

import click

from ..records import SEVERITIES
from .analyze import Network, Time, scratch_of, say_what_takes_long, to_stdout


class Sinks:
    """Hands pairs to all that want them."""

    def __init__(self, parts: list[Any]):
        self.parts = parts

    def pair(self, pair: Any) -> None:
        for part in self.parts:
            part.pair(pair)


@click.command("compare", short_help="Compare two captures of the same traffic: what was changed in between.")
@click.argument("inside", metavar="INSIDE")
@click.argument("outside", metavar="OUTSIDE")
@click.option("-o", "--output", "directory", metavar="DIR", help="Write the tables findings, differences and pairs into DIR.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write the findings alone as CSV; - for standard output.")
@click.option("--format", "format_", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True, help="Of the tables in DIR.")
@click.option("--force", is_flag=True, help="Replace existing tables.")
@click.option("--policy", metavar="FILE", help="What is yours: internal networks, local domains (YAML).")
@click.option("--fail-on", type=click.Choice(SEVERITIES), metavar="SEVERITY", help="Exit with 1 when a finding is at or above: " + ", ".join(SEVERITIES) + ".")
@click.option("--host", metavar="NET", type=Network(), help="Only conversations with this address or network; behind address translation it differs, so name what both captures hold.")
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), help="Only conversations with this TCP port.")
@click.option("--since", metavar="TIME", type=Time(), help="Only packets from then on, by each capture's own clock; ISO 8601, UTC unless it says otherwise.")
@click.option("--until", metavar="TIME", type=Time(), help="Only packets before then.")
@click.option("--quiet", is_flag=True, help="No progress, no summary; errors only.")
def command(inside: str, outside: str, directory: str | None, csv_file: str | None, format_: str, force: bool, policy: str | None, fail_on: str | None, host: str | None,
            port: int | None, since: int | None, until: int | None, quiet: bool) -> int:
    """Compare two captures (files as for analyze, one of them may be - for a pipe) that were taken of the same traffic at two points: INSIDE nearer to the clients, OUTSIDE
    nearer to the servers.

    Conversations are found again through address translation, firewalls and proxies; every range of bytes that was removed, added or changed in between is told
    with its frames in both captures. What one capture lost is unknown, not different.

    \b
    Exit codes: 0 done, 1 a finding at or above --fail-on, 2 usage, 3 an input could not be read, 4 a fault of ours.
    """
    import tempfile
    import time

    from .. import pipeline
    from ..report.comparison import ComparisonSummary, render
    from ..report.progress import Progress
    from ..rules import Policy
    from ..tables.comparison import ComparisonFiles
    from ..tables.files import Destination, check_target, findings_csv, write_file
    from ..tables.schema import COMPARISON_TABLES
    from .main import DONE, FAULT, FOUND, UNREADABLE, say

    begun = time.monotonic()
    if inside == outside == "-":
        raise click.UsageError("only one of both captures can come from standard input")
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since is not before --until")
    rules_policy = Policy.load(policy) if policy else None
    destination = Destination(directory, format_, force=force, tables=COMPARISON_TABLES) if directory is not None else None
    if csv_file is not None and csv_file != "-":
        check_target(csv_file, force)
    progress = None if quiet else Progress()
    if not quiet:
        say_what_takes_long()
    summary = ComparisonSummary()
    with tempfile.TemporaryDirectory(prefix=".pcapsec-", dir=scratch_of(directory, csv_file), ignore_cleanup_errors=True) as scratch:
        tables = ComparisonFiles(scratch, format_) if destination is not None else None
        alone = ComparisonFiles(scratch, "csv") if csv_file is not None and (destination is None or format_ != "csv") else None
        try:
            outcome = pipeline.compare(inside, outside, sink=Sinks([part for part in (summary, tables, alone) if part is not None]), policy=rules_policy,
                                       filters=pipeline.Filters(host=host, port=port, since_ns=since, until_ns=until), progress=progress)
        finally:
            if progress is not None:
                progress.close()
        part = tables.close() if tables is not None else None
        if tables is not None:
            tables.write(part, destination)
        if csv_file is not None:
            pieces = findings_csv([alone.close() if alone is not None else part])
            if csv_file == "-":
                to_stdout(pieces)
            else:
                write_file(csv_file, pieces, force)
    for error in outcome.errors:
        say(f"pcapsec: {error}")
    for fault in outcome.internal_errors[:10]:
        say(f"pcapsec: a fault of ours: {fault}; that conversation was not compared, the others were")
    if not quiet:
        if destination is None and csv_file is None:
            import sys

            to_stdout([render(summary, outcome, elapsed_s=time.monotonic() - begun).encode(sys.stdout.encoding or "utf-8", "replace")])
        elif destination is not None:
            more = f"; {tables.rows.n_more:,} rows found no room" if tables.rows.n_more else ""
            say(f"{outcome.n_pairs:,} conversations in both, {summary.n_changed:,} changed in {summary.n_differences:,} places; tables in {destination.directory}{more}")
    code = DONE
    if fail_on is not None and any(summary.roots[severity] for severity in SEVERITIES[SEVERITIES.index(fail_on):]):
        code = FOUND
    if outcome.errors:
        code = UNREADABLE
    return FAULT if outcome.internal_errors else code
