"""What `--verify` says: how far Wireshark agrees, and where it does not."""
from __future__ import annotations

import shutil
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .words import STYLE, file_name, n_of, wire

MAX_SHOWN = 50


def render(comparison: Any, file: TextIO) -> None:
    """Write the result of pipeline.verification.compare as text."""
    out = Console(file=file, width=min(shutil.get_terminal_size((120, 24)).columns, 160) if file.isatty() else 160, highlight=False, emoji=False, markup=False)
    agreed, differed = sum(comparison.agreed.values()), sum(comparison.differed.values())
    part = "" if comparison.complete else " (the beginning; the rest was not compared)"
    out.print(Text(f"Second opinion: Wireshark read {n_of(comparison.packets, 'packet')}{part} and was compared on {n_of(comparison.sessions, 'conversation')}: "
                   f"{n_of(agreed, 'fact')} agreed, {differed} differed."))
    if comparison.agreed:
        out.print(Text("  agreed: " + ", ".join(f"{aspect} {n}" for aspect, n in sorted(comparison.agreed.items()))))
    if comparison.only_ours:
        out.print(Text(f"  {n_of(comparison.only_ours, 'conversation')} on which Wireshark has no opinion: it goes by ports, or does not know the protocol"))
    if comparison.not_compared:
        out.print(Text(f"  {n_of(comparison.not_compared, 'conversation')} not compared: behind the part that was read, or in several files"))
    for skipped in comparison.skipped:
        out.print(Text("  " + wire(skipped, 300)))
    if not comparison.differences:
        return
    table = Table(box=None, pad_edge=False, header_style=STYLE.get("head", "bold"))
    for name in ("differs", "conversation", "pcapsec", "Wireshark", "frame"):
        table.add_column(name, overflow="fold")
    several = len({one.capture for one in comparison.differences}) > 1
    for one in comparison.differences[:MAX_SHOWN]:
        table.add_row(*(Text(wire(cell, 200)) for cell in (one.aspect, one.where, one.ours, one.theirs, f"{file_name(one.capture)} {one.frame}" if several else str(one.frame))))
    out.print(table)
    if differed > MAX_SHOWN:
        out.print(Text(f"… and {differed - MAX_SHOWN} more"))
