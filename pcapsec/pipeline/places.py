"""Which file a frame stands in: the frames of a capture's files are numbered through."""
from __future__ import annotations

import bisect

from ..records import Capture


class Files:
    """The files of one capture, as far as they were read. Sessions ask for places long after, when other captures are being read."""

    __slots__ = ("read", "bases")

    def __init__(self):
        self.read: list[Capture] = []
        self.bases: list[int] = []  # global number of the frame before each file's first

    def begin(self, capture: Capture, seen: int) -> None:
        """The next frames are this file's, unless they were already; `seen` frames are in front of them."""
        if not self.read or self.read[-1] is not capture:
            self.bases.append(seen)
            self.read.append(capture)

    def locate(self, global_frame: int) -> tuple[str, int]:
        """Name of the capture file, and the frame's number in it."""
        bases = self.bases
        index = bisect.bisect_left(bases, global_frame) - 1 if len(bases) > 1 else 0
        return self.read[index].name, global_frame - bases[index]
