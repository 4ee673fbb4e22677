"""Load every kernel once, compiling it where no earlier run left machine code."""
from __future__ import annotations

import numpy

from ..kernels import assembly, carriers, flow_table, walk, walk_ng


def load_kernels(rare: bool = False) -> None:
    """Call each kernel on nothing, so that forked workers find them ready and a capture's clock does not pay for compilation; `rare`: also the one that few captures need."""
    from .engine import Engine

    engine = Engine()
    data = numpy.zeros(64, dtype=numpy.uint8)
    frames = numpy.zeros((1, walk.FRAME_COLUMNS), dtype=numpy.int64)
    state = numpy.zeros(walk.STATE_COLUMNS, dtype=numpy.int64)
    walk.walk_pcap(data, 0, 1, state, frames)
    walk_ng.walk_pcapng(data, 0, 1, state, numpy.zeros((1, walk_ng.INTERFACE_COLUMNS), dtype=numpy.int64), frames)
    engine.prepare(data, frames)
    if rare:
        carriers.examine(engine.tables, engine.tables.datagrams, engine.tables.datagram_data, 0, frames)
    flow_table.rehash(engine.tables, numpy.zeros(1 << 16, dtype=numpy.int32))
    assembly.locate(numpy.zeros((1, assembly.N_MARK), dtype=numpy.int64), 0, 0, 0, 0)
