"""Random mutations of captures and conversations through the whole pipeline, with numba's bounds checking on.

    python benchmarks/fuzz.py --mutations 100000 --seed 1 --jobs 2

Of the mutations 45 % hurt files (every sample; small files of PCAPSEC_CORPUS where that is set), 50 % conversations, which are framed afresh so that the parsers are met rather than
the walk, and 5 % what QUIC encrypts. Each run must end in time, with tables that are well formed, without a fault of ours and without any exception but CaptureError.
What fails is written to --save with its reason; `--only NUMBER` makes one mutation again. Exit code 0 when all held, 1 otherwise.
"""
from __future__ import annotations

import argparse
import mmap
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

SECONDS = 5.0  # one run's time limit; compiled code cannot be interrupted, so
STUCK_SECONDS = 60.0  # a worker that shows no progress for so long is ended from outside
_SLOT = struct.Struct("<qqq")  # mutation at work, failures, sessions


def canary() -> None:
    """Ends the program unless a kernel that reads out of range raises."""
    import numpy
    from pcapsec.kernels.jit import part

    @part
    def reads_at(data, at):
        return data[at]

    try:
        reads_at(numpy.zeros(4, numpy.uint8), 9)
    except IndexError:
        return
    sys.exit("bounds checking is off: an out-of-range read was not noticed")


class Mutator:
    """Makes mutation number n, always the same one for the same seeds.

    Args:
        seed: of all randomness.
        corpus: folder with more captures, None for none.
    """

    def __init__(self, seed: int, corpus: Path | None = None):
        from hostile import binary, captures, seeds

        self.seed = seed
        self.files = captures.made() | captures.files(ROOT / "samples", corpus)
        self.names = list(self.files)
        self.conversations = (list(seeds.dialogues().values()) + list(binary.conversations().values())) * 4 + captures.conversations_of(captures.files(ROOT / "samples"))

    def make(self, number: int) -> tuple[bytes, bytes | None]:
        """The bytes, and a second, unharmed file to read with them or None."""
        from hostile import binary, ipsec, mutations, seeds

        chance = random.Random(f"{self.seed}:{number}")
        second = self.files[chance.choice(self.names)] if chance.random() < 0.1 else None
        kind = chance.random()
        if kind < 0.05:
            return binary.quic(chance), second
        if kind < 0.1:
            return binary.dns(chance), second
        if kind < 0.15:
            return ipsec.ipsec(chance), second
        if kind < 0.55:
            return seeds.mutated_conversation(self.conversations, chance), second
        return mutations.mutate_file(self.files[chance.choice(self.names)], self.files[chance.choice(self.names)], chance), second


def work(mutator: Mutator, numbers: range, slot: memoryview, save: Path, seconds: float) -> None:
    """One worker's share."""
    from hostile.checking import examine_bytes

    failures = sessions = 0
    with tempfile.TemporaryDirectory(prefix="pcapsec-fuzz-") as folder:
        for number in numbers:
            _SLOT.pack_into(slot, 0, number, failures, sessions)
            data, second = mutator.make(number)
            wrong, n = examine_bytes(data, number, Path(folder), seconds, second)
            sessions += n
            if wrong is not None:
                failures += 1
                keep(save, number, data, second, wrong)
        _SLOT.pack_into(slot, 0, -1, failures, sessions)


def keep(save: Path, number: int, data: bytes, second: bytes | None, wrong: str) -> None:
    """Write down what failed."""
    save.mkdir(parents=True, exist_ok=True)
    (save / f"{number}.pcap").write_bytes(data)
    if second is not None:
        (save / f"{number}.second.pcap").write_bytes(second)
    (save / f"{number}.txt").write_text(wrong + "\n", errors="backslashreplace")
    print(f"\nmutation {number}: {wrong.strip().splitlines()[-1][:300]}", file=sys.stderr, flush=True)


def run(mutator: Mutator, first: int, last: int, jobs: int, save: Path, seconds: float, quiet: bool = False) -> tuple[int, int, int]:
    """All mutations of a range; (failures, sessions, peak memory in kB of the largest worker)."""
    shared = mmap.mmap(-1, _SLOT.size * jobs)
    slots = [memoryview(shared)[job * _SLOT.size:(job + 1) * _SLOT.size] for job in range(jobs)]
    failures = sessions = 0
    workers: dict[int, tuple[int, range]] = {}

    def start(job: int, numbers: range) -> None:
        _SLOT.pack_into(slots[job], 0, numbers[0] if numbers else -1, 0, 0)
        child = os.fork()
        if child == 0:
            code = 3
            try:
                work(mutator, numbers, slots[job], save, seconds)
                code = 0
            finally:
                os._exit(code)
        workers[child] = (job, numbers)

    for job in range(jobs):
        start(job, range(first + job, last, jobs))
    seen = {job: (0, time.monotonic()) for job in range(jobs)}
    begun = told = time.monotonic()
    while workers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        now = time.monotonic()
        if pid == 0:
            for child, (job, _numbers) in workers.items():
                at = _SLOT.unpack_from(slots[job])[0]
                if at != seen[job][0]:
                    seen[job] = (at, now)
                elif now - seen[job][1] > STUCK_SECONDS:
                    os.kill(child, signal.SIGKILL)
            if not quiet and now - told > 30:
                told = now
                done = sum(max(0, _SLOT.unpack_from(slot)[0] - first) for slot in slots) // jobs
                print(f"  {done:,} mutations, {done / (now - begun):.0f}/s", file=sys.stderr, flush=True)
            time.sleep(0.05)
            continue
        job, numbers = workers.pop(pid)
        number, failed, n = _SLOT.unpack_from(slots[job])
        failures, sessions = failures + failed, sessions + n
        if status != 0:  # crashed, or was ended: the mutation at work is to blame, and the rest goes on
            failures += 1
            data, second = mutator.make(number)
            keep(save, number, data, second, f"the worker ended with status {status}" + (" because it hung in compiled code" if status == signal.SIGKILL else ""))
            start(job, range(number + numbers.step, numbers.stop, numbers.step))
    return failures, sessions, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description="Random mutations through the whole pipeline with bounds checking on.")
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="one run's time limit")
    parser.add_argument("--save", type=Path, default=Path("fuzz-failures"), help="folder for what failed")
    parser.add_argument("--only", type=int, help="make and run one mutation, in this process")
    given = parser.parse_args()
    if os.environ.get("NUMBA_BOUNDSCHECK") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "NUMBA_BOUNDSCHECK": "1"})
    canary()
    from pcapsec.streams.warm import load_kernels

    load_kernels(rare=True)
    corpus = os.environ.get("PCAPSEC_CORPUS")
    mutator = Mutator(given.seed, Path(corpus) / "captures" if corpus else None)
    if given.only is not None:
        first, last = given.only, given.only + 1
    else:
        first, last = given.first, given.first + given.mutations
    print(f"{len(mutator.files)} files and {len(mutator.conversations)} conversations to mutate, seed {given.seed}, bounds checking is on", flush=True)
    begun = time.monotonic()
    failures, sessions, peak = run(mutator, first, last, min(given.jobs, last - first), given.save, given.seconds)
    took = time.monotonic() - begun
    print(f"{last - first:,} mutations in {took:.0f} s ({(last - first) / took:.0f}/s), {sessions:,} sessions in them, {failures} failures, peak memory of a worker {peak / 1024:.0f} MB")
    if failures:
        print(f"inputs and reasons in {given.save}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
