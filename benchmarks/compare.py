"""Compare pcapsec with Suricata, tshark and a plain read: whole process against whole process.

    python benchmarks/compare.py --kind mixed --sizes 500M,2G,8G --tools pcapsec,suricata,tshark,read --runs 3
    python benchmarks/compare.py --kind mail --sizes 500M,2G,8G --tools pcapsec,suricata,tshark,read --jobs 2

Missing captures are made first (benchmarks/make_capture.py). The tools take turns (A B C, A B C ...) on the same file in the page cache, each pinned
to the same core; medians are compared. Each tool is timed from its start to its exit, interpreter, compiled-kernel cache, output and all.

pcapsec   analyze --quiet -o DIR FILE, kernels compiled before by an untimed run on a small capture.
suricata  -r FILE -S /dev/null --runmode single -k none -l DIR with its default configuration: no signatures, all parsers and logs that the
          configuration turns on.
tshark    -n -r FILE -Y 'smtp || imap || pop || nntp' -T fields -e frame.number, to /dev/null: one pass with reassembly and the dissectors that a list
          of mail needs, and the least output that still makes it dissect every frame. No second pass (-2) and no statistics, which would cost it more.
          Its memory grows with the file, so it has sizes of its own (--tshark-sizes).
read      dd bs=32M of=/dev/null: what merely copying the file out of the page cache costs.

The cost per further GB is the slope between two sizes, which leaves start-up out. GB is 10**9 bytes. A line per target of the project says PASS or
SHORT, or that it was not measured. The tables of pcapsec's last run on each file are checked against what the maker put in.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measuring  # noqa: E402
from measuring import Series, Tool  # noqa: E402
from sizes import size_in_bytes  # noqa: E402
from targets import judge  # noqa: E402

KINDS = ("mixed", "mail", "rpc", "rpc-alter", "web", "tls-same", "tls-distinct", "https")
PER_CONVERSATION = ("mail", "rpc", "rpc-alter", "tls-same", "tls-distinct")  # kinds that hold nothing else, so that a cost for each makes sense
RESERVE_BYTES = 4 << 30  # of the disk stay free


def capture_path(directory: Path, kind: str, size: str, seed: int) -> Path:
    return directory / (f"{kind}-{size}.pcap" if seed == 1 else f"{kind}-{size}-seed{seed}.pcap")


def prepare(directory: Path, kind: str, sizes: list[str], seed: int) -> None:
    """Make the captures that are missing."""
    missing = [size for size in sizes if not capture_path(directory, kind, size, seed).with_suffix(".json").exists()]
    needed = sum(size_in_bytes(size) for size in missing)
    free = shutil.disk_usage(directory).free
    if needed + RESERVE_BYTES > free:
        sys.exit(f"{directory}: {needed / 1e9:.1f} GB are needed for {kind} captures of {', '.join(missing)}, {free / 1e9:.1f} GB are free "
                 f"({RESERVE_BYTES / 1e9:.0f} GB must stay free). Choose smaller --sizes or another --dir.")
    maker = Path(__file__).resolve().with_name("make_capture.py")
    for size in missing:  # in a process of its own: what this one ever used would count as the peak of every process it starts
        subprocess.run([sys.executable, maker, kind, capture_path(directory, kind, size, seed), "--size", size, "--seed", str(seed)], check=True,
                       stdout=sys.stderr)


def measure(directory: Path, kind: str, seed: int, plan: list[tuple[str, Tool]], runs: int) -> dict[tuple[str, str], Series]:
    """Let the tools take turns; medians later."""
    series = {(tool.name, size): Series(tool.name, size) for size, tool in plan}
    for number in range(runs):
        for size, tool in plan:
            file = capture_path(directory, kind, size, seed)
            measuring.warm(file)
            out = directory / "out" / f"{tool.name.replace(' ', '')}-{kind}-{size}"
            measured = measuring.run(tool, file, out, directory / "last.log")
            series[tool.name, size].runs.append(measured)
            peak = max(measured.peak_bytes, measured.total_peak_bytes)
            print(f"run {number + 1} {tool.name:18} {size:>5} {measured.wall_s:8.2f} s wall {measured.cpu_s:8.2f} s cpu {peak / 1e6:7.0f} MB",
                  file=sys.stderr, flush=True)
            if measured.status:
                print(f"  {tool.name} ended with {measured.status}: {(directory / 'last.log').read_text(errors='replace')[-500:]}", file=sys.stderr)
            if not tool.writes_tables:
                shutil.rmtree(out, ignore_errors=True)
    return series


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, default="mixed")
    parser.add_argument("--sizes", default="500M,2G,8G")
    parser.add_argument("--tools", default="pcapsec,suricata,tshark,read")
    parser.add_argument("--tshark-sizes", default="250M,1G", help="sizes for tshark, which needs memory as large as several times the file")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                        help="compare wall time, or user and system time where others use the machine too (not with --jobs)")
    parser.add_argument("--jobs", type=int, default=0, help="measure pcapsec --jobs N as well, on N cores")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=Path("/tmp/pcapsec-bench"), help="for captures and outputs")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--keep", action="store_true", help="keep pcapsec's tables")
    return parser.parse_args(arguments)


def main() -> int:
    given = parse()
    given.dir.mkdir(parents=True, exist_ok=True)
    sizes, names = given.sizes.split(","), given.tools.split(",")
    known = measuring.tools(jobs=max(given.jobs, 2))
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"unknown tools: {', '.join(unknown)}; known: {', '.join(known)}")
    for name in names:
        if not shutil.which(known[name].command[0]):
            sys.exit(f"{known[name].command[0]} is not installed; install it or leave it out with --tools")
    if given.jobs:
        names.append(f"pcapsec --jobs {given.jobs}")
    tshark_sizes = given.tshark_sizes.split(",") if "tshark" in names else []
    prepare(given.dir, given.kind, [*dict.fromkeys(sizes + tshark_sizes)], given.seed)
    plan = [(size, known[name]) for size in dict.fromkeys(sizes + tshark_sizes) for name in names if size in (tshark_sizes if name == "tshark" else sizes)]
    if os.getloadavg()[0] > 0.7:
        print(f"note: the load of this machine is {os.getloadavg()[0]:.1f}, figures will be worse than they are", file=sys.stderr)
    startup = None
    measuring.clock = given.clock
    if "pcapsec" in names:  # also compiles the kernels
        prepare(given.dir, given.kind, ["1M"], given.seed)
        small = capture_path(given.dir, given.kind, "1M", given.seed)
        startup = min(measuring.run(known["pcapsec"], small, given.dir / "out" / "small", given.dir / "last.log").time_s for _n in range(4))
    series = measure(given.dir, given.kind, given.seed, plan, given.runs)
    truths = {size: json.loads(capture_path(given.dir, given.kind, size, given.seed).with_suffix(".json").read_text()) for size, _tool in plan}
    verdicts = report(given, series, truths, startup)
    import checking  # heavy, so only now

    checks = {}
    for (name, size), one in series.items():
        if known[name].writes_tables and not one.failed:
            checked = checking.check(given.dir / "out" / f"{name.replace(' ', '')}-{given.kind}-{size}", capture_path(given.dir, given.kind, size, given.seed))
            checks[f"{name} {size}"] = asdict(checked)
            print(f"\ntables of {name} on {given.kind} {size} against what was made: {'PASS' if checked.right else 'SHORT'}")
            checking.show(checked)
    if given.json:
        given.json.write_text(json.dumps({
            "kind": given.kind, "seed": given.seed, "clock": given.clock,
            "machine": {"processor": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
            "series": [{"tool": one.tool, "size": one.size, "wall_s": one.wall_s, "cpu_s": one.cpu_s, "peak_bytes": one.peak_bytes,
                        "runs": [asdict(run) for run in one.runs]} for one in series.values()],
            "pcapsec_startup_s": startup, "targets": [asdict(verdict) for verdict in verdicts], "checks": checks}, indent=1, default=str) + "\n")
    if not given.keep:
        shutil.rmtree(given.dir / "out", ignore_errors=True)
    return 0


def report(given: argparse.Namespace, series: dict[tuple[str, str], Series], truths: dict[str, dict], startup: float | None) -> list:
    """Print the table of figures and a line per target."""
    print(f"\n{given.kind}, medians of {given.runs}, compared by {given.clock} time" + (f"; pcapsec on a 1 MB capture: {startup:.2f} s" if startup else ""))
    print(f"{'tool':18} {'size':>6} {'wall s':>9} {'cpu s':>9} {'peak MB':>8} {'Mpackets/s':>11} {'MB/s':>8} {'us/conversation':>15}")
    for (name, size), one in series.items():
        truth = truths[size]
        per_mail = f"{one.time_s / truth['mail']['made']['conversations']['total'] * 1e6:15.1f}" if given.kind in PER_CONVERSATION else " " * 15
        print(f"{name:18} {size:>6} {one.wall_s:9.2f} {one.cpu_s:9.2f} {one.peak_bytes / 1e6:8.0f} {truth['frames'] / one.time_s / 1e6:11.3f} "
              f"{truth['bytes'] / one.time_s / 1e6:8.0f} {per_mail}" + ("  FAILED" if one.failed else ""))
    slopes = {}
    for name in dict.fromkeys(name for name, _size in series):
        mine = sorted((truths[size]["bytes"], one.time_s, size) for (tool, size), one in series.items() if tool == name and not one.failed)
        for (small_bytes, small_s, small), (large_bytes, large_s, large) in zip(mine, mine[1:]):
            slopes[name] = (large_s - small_s) / (large_bytes - small_bytes) * 1e9
            print(f"{name:18} per further GB from {small} to {large}: {slopes[name]:.3f} s")
    if "pcapsec" in slopes:
        for name, slope in slopes.items():
            if not name.startswith("pcapsec"):
                print(f"one further GB: {name} takes {slope / slopes['pcapsec']:.2f} times as long as pcapsec")
    verdicts = judge(given.kind, series, truths, slopes, startup)
    print()
    for verdict in verdicts:
        print(f"{verdict.word:12} {verdict.target}: {verdict.found}")
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
