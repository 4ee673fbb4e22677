"""How the summary words numbers, names and times."""
from __future__ import annotations

import os
import time

from ..tables.text import visible

MAX_CELL = 60  # characters of a name from the wire
STYLE = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim"}


def n_of(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def wire(text: str, limit: int = MAX_CELL) -> str:
    """Wire text made safe and short."""
    text = visible(text[:4 * limit])
    return text if len(text) <= limit else text[:limit - 1] + "…"


def file_name(name: str) -> str:
    """A capture's name without its folder, safe and short."""
    return wire(os.path.basename(name.rstrip("/")) or name, 80)


def when(ts_ns: int, style: str = "%Y-%m-%d %H:%M:%S") -> str:
    try:
        return time.strftime(style, time.gmtime(ts_ns // 1_000_000_000))
    except (ValueError, OverflowError, OSError):
        return "?"


def percent(part: int, whole: int) -> str:
    if not whole:
        return "0 %"
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 1 or not part else "under 1 %"
