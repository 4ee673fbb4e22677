"""What `pcapsec compare` prints: what was changed between the two points, what kind of box stands there, and what could not be compared.

Everything from the wire passes `visible` and is put into rich `Text` objects, so that no byte of a capture steers the terminal.
"""
from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..records import CLIENT, SEVERITIES, Difference, TapPair
from ..tables.rows import server_name
from ..tables.text import visible
from .progress import size, span
from .words import STYLE, file_name, n_of, wire

NARROWEST, WIDEST, NO_TERMINAL = 80, 120, 100
MAX_GROUPS = 2000
MAX_GROUPS_SHOWN = 30
MAX_LINES_SHOWN = 5  # differences of the example
MAX_PORTS_SHOWN = 4
TAPS = ("inside", "outside")

BOXES = {  # what must stand between -> what a mail administrator calls it
    "none": "pass between the two points with nothing else changed: addresses, sequence numbers and segments are the same",
    "router": "pass a router: only the time to live differs",
    "nat": "pass address translation (NAT): addresses or ports differ, sequence numbers are the same",
    "resegmenting": "are cut into other segments on the way; network cards that join segments before the capture look the same",
    "sequence-rewriting": "pass a firewall that gives them sequence numbers of its own",
    "tcp-proxy": "pass a proxy that ends TCP and opens a connection of its own: other sequence numbers, and other segments or TCP options",
    "tls-proxy": "pass a box that ends TLS and begins it anew: another handshake on each side. It reads everything and may change it; what passes inside cannot be compared",
    "tls-one-sided": "are encrypted on one side only: the box between takes TLS off or puts it on, and reads everything",
}
UNKNOWN = {
    "loss": "lack bytes that a capture lost", "late-start": "had begun before a capture did", "early-end": "were still going on when a capture ended, or their end is missing",
    "one-sided": "were captured in one direction only", "encrypted": "are encrypted anew between the points", "not-kept": "hold more than is kept for a comparison",
    "fault": "met a fault of ours",
}
ALONE = {
    "before-or-after": "opened while the other capture was not running",
    "unanswered": "asked for and not answered, and never seen at the other point: blocked in between, or no such server",
    "answered": "answered, and never seen at the other point: they take another way, are answered by a box in between, or were lost there",
}
LOSE_NOTHING = " Holes are unknown, not different."


class Group:
    """Conversations of one server that were changed alike."""

    __slots__ = ("example", "n", "severity")

    def __init__(self, example: TapPair):
        self.example, self.n = example, 0
        self.severity = example.sessions[0].findings[0].severity


class ComparisonSummary:
    """Bounded aggregates of a comparison.

    Attributes:
        groups: (server, port, what was done, word) -> conversations.
        boxes, unknown: kind -> conversations; roots: severity -> findings.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple, Group] = {}
        self.boxes: Counter = Counter()
        self.unknown: Counter = Counter()
        self.roots = dict.fromkeys(SEVERITIES, 0)
        self.n_differences = self.compared = self.n_changed = self.n_more = 0

    def pair(self, pair: TapPair) -> None:
        self.boxes[pair.box] += 1
        self.compared += pair.compared_bytes
        for why in pair.unknown:
            self.unknown[why] += 1
        self.n_differences += pair.n_differences
        session = pair.sessions[0]
        if not session.findings:
            return
        self.n_changed += 1
        finding = session.findings[0]
        self.roots[finding.severity] += 1
        key = session.server_ip, session.server_port, finding.variant, finding.title, finding.severity
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                self.n_more += 1
                return
            group = self.groups[key] = Group(pair)
        group.n += 1


def render(summary: ComparisonSummary, outcome: Any, *, elapsed_s: float | None = None, width: int | None = None, color: bool | None = None) -> str:
    """The whole view as text.

    Args:
        outcome: pipeline.Comparison.
        elapsed_s: how long it took; width, color: found out when None.
    """
    probe = Console()
    if width is None:
        width = shutil.get_terminal_size((NO_TERMINAL, 25)).columns if probe.is_terminal or os.environ.get("COLUMNS") else NO_TERMINAL
    if color is None:
        color = probe.is_terminal and not probe.is_dumb_terminal and not os.environ.get("NO_COLOR")
    text = io.StringIO()
    out = Console(file=text, width=min(max(width, NARROWEST), WIDEST), force_terminal=color, no_color=not color, color_system="standard" if color else None, highlight=False,
                  emoji=False, markup=False, legacy_windows=False)
    out.print(_head(outcome, elapsed_s))
    out.print()
    out.print(_verdict(summary, outcome))
    for title, parts in (("What was changed between the two points", _changes(summary)), ("What stands between them", _boxes(summary)),
                         ("What could not be compared", _limits(summary, outcome))):
        if parts:
            out.print()
            out.print(Text(title.upper(), style="bold"))
            for part in parts:
                out.print(part)
    if summary.n_differences:
        out.print()
        out.print(Text("Every range of bytes that differs: pcapsec compare -o DIR, table differences. About the rule: pcapsec explain PS312.", style="dim"))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _head(outcome: Any, elapsed_s: float | None) -> Text:
    text = Text()
    for tap, captures in zip(TAPS, outcome.captures):
        names = ", ".join(file_name(one.name) for one in captures[:3]) + (f" and {len(captures) - 3} more" if len(captures) > 3 else "")
        text.append(f"{tap + ':':<9}", style="dim")
        text.append(names, style="bold")
        text.append(f"  {n_of(sum(one.packets for one in captures), 'packet')}, {size(sum(one.bytes for one in captures))}\n", style="dim")
    facts = []
    if outcome.offset_ns is not None:
        facts.append("clocks agree" if abs(outcome.offset_ns) < 1_000_000 else
                     f"the outside clock is {_seconds(abs(outcome.offset_ns))} {'ahead of' if outcome.offset_ns > 0 else 'behind'} the inside one")
    if outcome.overlap_ns is not None:
        facts.append(f"common time {_seconds(outcome.overlap_ns)}" if outcome.overlap_ns >= 0 else "no common time")
    if elapsed_s is not None:
        facts.append(f"compared in {elapsed_s:.1f} s" if elapsed_s < 60 else f"compared in {span(elapsed_s)}")
    text.append(" · ".join(facts), style="dim")
    return text


def _seconds(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms" if ns < 1_000_000_000 else f"{ns / 1e9:.1f} s" if ns < 60_000_000_000 else span(ns / 1e9)


def _verdict(summary: ComparisonSummary, outcome: Any) -> Text:
    text = Text()
    if summary.n_changed:
        worst = next(severity for severity in reversed(SEVERITIES) if summary.roots[severity])
        text.append(f" {summary.n_changed:,} of {n_of(outcome.n_pairs, 'conversation')} changed ", style=STYLE[worst])
        text.append(f" between the two points, in {n_of(summary.n_differences, 'place')}. A box there writes into them.")
    elif outcome.n_pairs:
        n_ended = summary.boxes["tls-proxy"] + summary.boxes["tls-one-sided"]
        if n_ended == outcome.n_pairs:
            text.append(" TLS ends between the two points ", style=STYLE["high"])
            text.append(f" in {'the one conversation' if n_ended == 1 else f'all {n_ended:,} conversations'} that both captures hold.")
        elif not summary.compared:
            text.append("The captures hold the same conversations, but no bytes of them could be compared.", style="bold")
        else:
            text.append(" Nothing was changed ", style="bold green")
            text.append(f" between the two points in what could be compared: {n_of(outcome.n_pairs, 'conversation')}, {size(summary.compared)}.")
            if n_ended:
                text.append(f" In {n_of(n_ended, 'conversation')} TLS ends in between.")
    elif not any(outcome.n_flows):
        text.append("Neither capture holds a mail conversation.", style="bold")
    else:
        text.append(" Nothing in common. ", style=STYLE["medium"])
        text.append(f" No conversation of one capture ({outcome.n_flows[0]:,} inside) was found in the other ({outcome.n_flows[1]:,} outside)")
        if outcome.n_ambiguous:
            text.append(f"; {n_of(outcome.n_ambiguous, 'conversation')} could each be one of several")
        text.append(". Were both taken at the same time, on the way of the same traffic?" if outcome.overlap_ns is None or outcome.overlap_ns >= 0 else
                    ": their times do not overlap. Were both taken at the same time?")
    return text


def _changes(summary: ComparisonSummary) -> list:
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    groups = sorted(summary.groups.values(), key=lambda group: (-rank[group.severity], group.example.sessions[0].start_ns))
    parts: list = []
    for group in groups[:MAX_GROUPS_SHOWN]:
        parts.append(Padding(_group(group), (1, 0, 0, 0)))
    hidden = len(groups) - MAX_GROUPS_SHOWN
    if hidden > 0 or summary.n_more:
        parts.append(Text(f"\n… and {max(hidden, 0) + summary.n_more:,} more", style="dim"))
    return parts


def _group(group: Group) -> Table:
    pair = group.example
    inside, outside = pair.sessions
    finding = inside.findings[0]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(ratio=1)
    grid.expand = True
    title = Text(visible(finding.title), style="bold")
    title.append(f"  {finding.rule.id}", style="dim")
    grid.add_row(Text(f" {group.severity.upper()} ", style=STYLE[group.severity]), title)
    name = server_name(inside) or server_name(outside)
    where = f"{wire(name)} ({inside.server_ip} port {inside.server_port})" if name else f"{inside.server_ip} port {inside.server_port}"
    if (outside.server_ip, outside.server_port) != (inside.server_ip, inside.server_port):
        where += f", outside {outside.server_ip} port {outside.server_port}"
    grid.add_row("", Text(f"{where}, {n_of(group.n, 'conversation')}" + ("; the first of them:" if group.n > 1 else "")))
    shown = sorted(pair.differences, key=lambda one: one.meaning != finding.variant)[:MAX_LINES_SHOWN]
    for one in sorted(shown, key=lambda one: one.times_ns):
        grid.add_row("", Padding(_difference(one), (0, 0, 0, 2)))
    if pair.n_differences > len(shown):
        grid.add_row("", Text(f"  … and {pair.n_differences - len(shown):,} more differences in it", style="dim"))
    for sentence in _conclusions(pair, finding.variant):
        grid.add_row("", Text(sentence))
    grid.add_row("", Text(f"To do: {finding.rule.remediation}"))
    return grid


def _difference(one: Difference) -> Text:
    """Between inside and outside, what of which frame."""
    text = Text("client to server: " if one.side == CLIENT else "server to client: ")
    for tap in (0, 1):
        if tap:
            text.append("; ")
        text.append(f"{TAPS[tap]} frame {one.frames[tap]}: ")
        if not one.length[tap]:
            text.append(f"nothing at byte {one.at[tap]:,}", style="bold")
            continue
        if one.shown[tap] is not None:
            text.append(wire(one.shown[tap], 100), style="bold")
        else:
            text.append({"login": "part of a login", "content": "message text or other content", "tls": f"TLS {one.word or 'record'}"}.get(one.what, f"a {one.what}" if one.what != "bytes" else "bytes"))
        text.append(f" ({n_of(one.length[tap], 'byte')} at byte {one.at[tap]:,})", style="dim")
    return text


def _conclusions(pair: TapPair, main: str) -> list[str]:
    near = pair.near_client or 0
    client_tap, server_tap = TAPS[near], TAPS[1 - near]
    told = []
    if main in ("offer-removed", "offer-masked"):
        told.append(f"The server did offer it: it stands in the {server_tap} capture. The client, near the {client_tap} one, never saw it.")
    elif main.startswith("command-"):
        told.append(f"What the client said stands in the {client_tap} capture; the server, near the {server_tap} one, was told something else.")
    elif main == "reply-injected":
        told.append(f"The server never said it: the {server_tap} capture, nearer to it, does not have it.")
    told.append("The box sits between the two points." + ("" if pair.near_client is not None else " Nothing tells which point is nearer to the client; the inside was taken for it."))
    return told


def _boxes(summary: ComparisonSummary) -> list:
    lines = []
    for box in BOXES:
        n = summary.boxes[box]
        if n:
            lines.append(f"{n_of(n, 'conversation')} {BOXES[box] if n > 1 else _singular(BOXES[box])}.")
    return [_list(lines)] if lines else []


def _singular(words: str) -> str:
    """The same said of one conversation."""
    verb, _, rest = words.partition(" ")
    return {"pass": "passes", "are": "is", "lack": "lacks", "had": "had", "were": "was", "hold": "holds", "met": "met"}.get(verb, verb) + " " + rest


def _limits(summary: ComparisonSummary, outcome: Any) -> list:
    lines = []
    for why, words in UNKNOWN.items():
        n = summary.unknown[why]
        if n:
            lines.append(f"{n_of(n, 'conversation')} {words if n > 1 else _singular(words)}." + (LOSE_NOTHING if why == "loss" else ""))
    for tap, alone, flows, missed in zip(TAPS, outcome.alone, outcome.flows_alone, outcome.n_not_compared):
        for reason, words in ALONE.items():
            ports = alone.get(reason)
            if ports:
                shown = sorted(ports.items(), key=lambda item: (-item[1], item[0]))[:MAX_PORTS_SHOWN]
                listed = ", ".join(f"{n:,} to port {port}" if port else f"{n:,} to other ports" for port, n in shown)
                lines.append(f"{n_of(sum(ports.values()), 'connection')} only {tap}, {words} ({listed}).")
        if flows:
            listed = ", ".join(f"{wire(name)} {n:,}" for name, n in flows.most_common(MAX_PORTS_SHOWN))
            lines.append(f"{n_of(sum(flows.values()), 'mail conversation')} only {tap} ({listed}).")
        if missed:
            lines.append(f"{n_of(missed, 'conversation')} {tap} found no room; filter with --host, --port, --since or --until.")
    if outcome.n_ambiguous:
        lines.append(f"{n_of(outcome.n_ambiguous, 'conversation')} could each be one of several in the other capture, and {'was' if outcome.n_ambiguous == 1 else 'were'} left out.")
    dropped = [sum(one.dropped or 0 for one in captures) for captures in outcome.captures]
    for tap, n in zip(TAPS, dropped):
        if n:
            lines.append(f"{n_of(n, 'packet')} never reached the {tap} capture: the interface or kernel dropped them.")
    cut = [file_name(one.name) for captures in outcome.captures for one in captures if not one.complete]
    if cut:
        lines.append(f"Cut off or damaged: {', '.join(cut[:4])}.")
    lines += [f"Not read: {wire(str(error), 300)}" for error in outcome.errors[:10]]
    return [_list(lines)] if lines else []


def _list(lines: list[str]) -> Padding:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(ratio=1)
    grid.expand = True
    for line in lines:
        grid.add_row(Text("•", style="dim"), Text(line))
    return Padding(grid, (0, 0, 0, 2))
