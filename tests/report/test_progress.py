"""Progress on a terminal, and none elsewhere."""
from __future__ import annotations

import io

import pytest

from pcapsec.report.progress import Progress, line, size, span


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("n, text", [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (999_999_999, "1000 MB"), (8.1e9, "8.1 GB"), (5e15, "5000.0 TB")])
def test_size(n, text):
    assert size(n) == text


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (200_000, "2 days 7 h")])
def test_span(seconds, text):
    assert span(seconds) == text


def test_line():
    assert line(500_000_000, 2_000_000_000, 1e9, 1) == " 25% of 2.0 GB, 1.0 GB/s, 1 s left, 1 finding so far"
    assert line(500_000_000, None, 1e9, 1234) == "500 MB, 1.0 GB/s, 1,234 findings so far"
    assert line(0, 100, 0.0, 0) == "  0% of 100 B, 0 B/s, 0 findings so far"


def test_draws_on_a_terminal_now_and_then():
    file, clock = Terminal(), Clock()
    progress = Progress(file, clock)
    progress(1, 100, 0)
    assert file.getvalue() == ""
    clock.now = 1.0
    progress(50, 100, 2)
    assert file.getvalue() == "\r\x1b[2K 50% of 100 B, 50 B/s, 1 s left, 2 findings so far"
    clock.now = 1.1
    progress(60, 100, 2)
    assert file.getvalue().count("\r") == 1
    clock.now = 2.0
    progress(100, 100, 2)
    progress.close()
    assert file.getvalue().endswith("\r\x1b[2K") and file.getvalue().count("\r") == 3


def test_silent_elsewhere():
    file, clock = io.StringIO(), Clock()
    progress = Progress(file, clock)
    clock.now = 9.0
    progress(50, 100, 2)
    progress.close()
    assert file.getvalue() == ""


def test_a_terminal_that_goes_away_is_no_error():
    class Gone(Terminal):
        def write(self, text):
            raise OSError(5, "Input/output error")

    clock = Clock()
    progress = Progress(Gone(), clock)
    clock.now = 9.0
    progress(50, 100, 2)
    progress.close()
