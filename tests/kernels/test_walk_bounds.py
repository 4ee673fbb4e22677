"""The walk with numba's bounds checking on: no read or write outside the arrays, whatever the bytes."""
from __future__ import annotations

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

CHECK = """
import numba, numpy, pytest, sys
import pcapsec.kernels.jit

@numba.njit
def canary(data, at):
    return data[at]

try:
    canary(numpy.zeros(4, numpy.uint8), 9)
except IndexError:
    pass
else:
    sys.exit("bounds checking is off: an out-of-range read was not noticed")
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/kernels/test_walk.py"]))
"""


def test_the_walk_stays_within_its_arrays():
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", CHECK], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "failed" not in run.stdout
