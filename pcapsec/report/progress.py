"""Progress on stderr while a capture is read: bytes, rate, time left, findings so far."""
from __future__ import annotations

import sys
import time
from typing import TextIO

EVERY_S = 0.2  # more often is only flicker
FIRST_AFTER_S = 0.5  # a small capture is done before anybody could read it
SMOOTHING = 0.3  # weight of the newest rate: steady enough to read, quick enough to follow


def size(n_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" or n_bytes >= 100 else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def span(seconds: float) -> str:
    """A length of time as people read it."""
    s = int(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60:02d} s"
    if s < 172800:
        return f"{s // 3600} h {s % 3600 // 60:02d} min"
    return f"{s // 86400} days {s % 86400 // 3600} h"


class Progress:
    """Called by the pipeline as `progress(bytes_done, bytes_total, findings)`; bytes_total is 0 or None for a pipe.

    Args:
        file: where to draw; nothing is drawn unless it is a terminal.
        clock: seconds, monotonic.
    """

    def __init__(self, file: TextIO | None = None, clock=time.monotonic):
        self.file = sys.stderr if file is None else file
        self.clock = clock
        try:
            self.shown = self.file.isatty()
        except (AttributeError, ValueError):
            self.shown = False
        self._begun = self._last = clock()
        self._last_bytes = 0
        self._rate = 0.0
        self._drawn = False

    def __call__(self, bytes_done: int, bytes_total: int | None, findings: int) -> None:
        if not self.shown:
            return
        now = self.clock()
        if now - self._last < EVERY_S or now - self._begun < FIRST_AFTER_S:
            return
        rate = max(bytes_done - self._last_bytes, 0) / (now - self._last)
        self._rate = rate if not self._rate else (1 - SMOOTHING) * self._rate + SMOOTHING * rate
        self._last, self._last_bytes = now, bytes_done
        self._draw(line(bytes_done, bytes_total, self._rate, findings))

    def _draw(self, text: str) -> None:
        try:
            self.file.write(f"\r\x1b[2K{text}")
            self.file.flush()
            self._drawn = True
        except (OSError, ValueError):  # the terminal went away: the run goes on
            self.shown = False

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._draw("")
            self._drawn = False


def line(bytes_done: int, bytes_total: int | None, rate: float, findings: int) -> str:
    """One line of progress."""
    parts = []
    if bytes_total:
        share = min(bytes_done / bytes_total, 1.0)
        parts.append(f"{share:4.0%} of {size(bytes_total)}")
    else:
        parts.append(size(bytes_done))
    parts.append(f"{size(rate)}/s")
    if bytes_total and rate > 0:
        parts.append(f"{span(max(bytes_total - bytes_done, 0) / rate)} left")
    parts.append(f"{findings:,} finding{'' if findings == 1 else 's'} so far")
    return ", ".join(parts)
