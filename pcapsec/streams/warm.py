"""Load every kernel once, compiling it where no earlier run left machine code."""
from __future__ import annotations

import numpy

from ..kernels import flows, tables, walk


def load_kernels() -> None:
    """Call each kernel on nothing, so that forked workers find them ready and a capture's clock does not pay for compilation."""
    from .engine import Engine

    engine = Engine()
    data = numpy.zeros(64, dtype=numpy.uint8)
    for _batch in engine.take(data, numpy.zeros((1, 5), dtype=numpy.int64), 1, 1):
        pass
    flows.rehash(engine.tables, numpy.zeros(1 << 16, dtype=numpy.int32))
    for _batch in engine.finish():
        pass
    for _batch in engine._assemble(numpy.zeros((0, 2), dtype=numpy.int64)):
        pass
    engine.steer([], [])
    walk.load()
