"""Captures as windows of bytes with rows of frames; the same for files, packed files and pipes."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

from ..errors import CaptureError
from ..records import Capture
from .inputs import Input, opened
from .walking import ROWS, WINDOW_BYTES, Buffers, Walk


@dataclass(slots=True)
class Window:
    """Some frames of a capture; all of it is valid only until the next window is asked for."""

    data: np.ndarray  # uint8[n], writable: the buffer that the rows point into
    frames: np.ndarray  # int64[n_frames, 5]: offset in data, captured length, original length, ts_ns, link type (kernels.walk.FRAME_*)
    n_frames: int
    first_frame: int  # number in its file of the frame in row 0, 1-based as Wireshark counts
    capture: Capture  # being filled; final once a window of the next file comes or the source ends
    index: int  # which of the inputs
    bytes_done: int  # bytes read so far of all inputs, as they lie on disk: compare with the sum of Input.size


class Source:
    """The inputs of one capture, one after the other; iterate once.

    Attributes:
        captures: a record per input that was opened, in order.
        errors: inputs that could not be read, or not to their end.
        secrets: TLS key logs met inside the captures, for whoever holds the source to take out.
    """

    def __init__(self, inputs: list[Input], *, window_bytes: int = WINDOW_BYTES, rows: int = ROWS, errors: list[CaptureError] | None = None):
        self.inputs = list(inputs)
        self.captures: list[Capture] = []
        self.errors: list[CaptureError] = [] if errors is None else errors
        self.secrets: list[bytes] = []
        self._raises = errors is None
        self._buffers = Buffers(window_bytes, rows)

    def __iter__(self) -> Iterator[Window]:
        done = 0
        for index, one in enumerate(self.inputs):
            try:
                with opened(one) as file:
                    walk = Walk(one.name, file, self._buffers, self.secrets)
                    frame = 1
                    for n in walk.batches():
                        if frame == 1:
                            self.captures.append(walk.capture)
                        yield Window(self._buffers.data, self._buffers.frames[:n], n, frame, walk.capture, index, done + walk.bytes_done)
                        frame += n
                    if frame == 1:
                        self.captures.append(walk.capture)
                    if walk.error is not None:
                        self.errors.append(walk.error)
                    done += one.size if one.size is not None else walk.bytes_done
            except CaptureError as error:
                if self._raises:
                    raise
                self.errors.append(error)
                done += one.size or 0


def open_source(inputs: list[Input], *, window_bytes: int = WINDOW_BYTES, rows: int = ROWS, errors: list[CaptureError] | None = None) -> Source:
    """Open the inputs of one capture.

    Args:
        inputs: one of the lists that `inputs.plan` returns.
        window_bytes: size of the reused buffer; it grows only for a block that does not fit.
        rows: frames in a window at most; a buffer with more comes several times.
        errors: where an input that is no capture or cannot be read is noted, and the next one is gone on with; None: CaptureError is raised. A stream that
            breaks off is no reason to raise: Source.errors and Capture.notes say so.

    Returns:
        a Source: iterate it for `Window`s, then look at its `captures` and `errors`.
    """
    return Source(inputs, window_bytes=window_bytes, rows=rows, errors=errors)
