"""Whole processes, timed: wall, user and system time, peak resident memory."""
from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


clock = "wall"  # what comparisons use: wall, or cpu (user and system)


@dataclass(slots=True)
class Measured:
    """One run of one process."""

    wall_s: float
    cpu_s: float
    peak_bytes: int  # of the largest process, as the kernel counts it
    total_peak_bytes: int  # of all its processes together, sampled; 0 when not sampled
    status: int

    @property
    def time_s(self) -> float:
        return self.wall_s if clock == "wall" else self.cpu_s


@dataclass(slots=True)
class Series:
    """Runs of one tool on one file."""

    tool: str
    size: str
    runs: list[Measured] = field(default_factory=list)

    @property
    def time_s(self) -> float:
        return self.wall_s if clock == "wall" else self.cpu_s

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        return max(max(run.peak_bytes, run.total_peak_bytes) for run in self.runs)

    @property
    def failed(self) -> bool:
        return any(run.status for run in self.runs)


@dataclass(frozen=True, slots=True)
class Tool:
    """How a program is called. `cores` 1 pins it to one core."""

    name: str
    command: tuple[str, ...]  # {file} and {out} are replaced
    cores: int = 1
    writes_tables: bool = False

    def filled(self, file: Path, out: Path) -> list[str]:
        return [word.replace("{file}", str(file)).replace("{out}", str(out)) for word in self.command]


def tools(tshark: str = "tshark", suricata: str = "suricata", jobs: int = 2) -> dict[str, Tool]:
    """All tools by name, whether installed or not."""
    analyze = (sys.executable, "-m", "pcapsec", "analyze", "--quiet", "-o", "{out}")
    return {tool.name: tool for tool in (
        Tool("pcapsec", (*analyze, "{file}"), writes_tables=True),
        Tool(f"pcapsec --jobs {jobs}", (*analyze, "--jobs", str(jobs), "{file}"), cores=jobs, writes_tables=True),
        Tool("suricata", (suricata, "-r", "{file}", "-S", "/dev/null", "--runmode", "single", "-k", "none", "-l", "{out}")),
        Tool("tshark", (tshark, "-n", "-r", "{file}", "-Y", "smtp || imap || pop || nntp", "-T", "fields", "-e", "frame.number")),
        Tool("read", ("dd", "if={file}", "bs=32M", "of=/dev/null", "status=none")),
    )}


def warm(file: Path) -> None:
    """Read a file, so that all tools find it in the page cache."""
    buffer = bytearray(1 << 20)  # small: what this process ever used counts as the peak of what it starts
    with open(file, "rb", buffering=0) as source:
        while source.readinto(buffer):
            pass


def _resident(leader: int) -> int:
    """Resident bytes of a process and its descendants; shared pages of forked processes count once each by their share (PSS)."""
    total, waiting = 0, [leader]
    while waiting:
        process = waiting.pop()
        try:
            waiting += [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
            with open(f"/proc/{process}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) << 10 for line in rollup if line.startswith("Pss:"))
        except (OSError, ValueError):
            continue
    return total


def run(tool: Tool, file: Path, out: Path, log: Path) -> Measured:
    """Run a tool on a file. `out` is a fresh directory for what it writes; standard error goes to `log`."""
    shutil.rmtree(out, ignore_errors=True)
    if tool.writes_tables:
        out.parent.mkdir(parents=True, exist_ok=True)
    else:
        out.mkdir(parents=True)
    cores = sorted(os.sched_getaffinity(0))
    pinned = {cores[-1]} if tool.cores == 1 else set(cores)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")]))}
    with open(log, "wb") as complaints:
        begun = time.perf_counter()
        process = subprocess.Popen(tool.filled(file, out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaints, env=environment)
        os.sched_setaffinity(process.pid, pinned)
        total = 0
        if tool.cores == 1:
            _pid, status, usage = os.wait4(process.pid, 0)
        else:
            while True:
                _pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if _pid:
                    break
                total = max(total, _resident(process.pid))
                time.sleep(0.2)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, total, process.returncode)
