"""The summary's mail paths: for each way that mail took, step by step, what protected it and how that is known; the worst ways first."""
from __future__ import annotations

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .paths import WORST, MailPath, Paths, PathStep
from .words import n_of, wire

MAX_PATHS_SHOWN = 4
MAX_STEPS_SHOWN = 8  # of one path: the last ones
STYLE = {"exposed": "bold red", "weak": "yellow", "unknown": "magenta", "protected": "green"}
ROLE = {"submission": "submission", "relay": "relay", "delivery": "delivery", "mailbox": "mailbox"}
SOURCE = {"captured": "captured", "header": "Received header", "both": "captured, Received header", "guessed": "captured, by time and size", "unseen": ""}


def path_parts(paths: Paths) -> list:
    """What to print; nothing where no mail was seen to go anywhere."""
    parts: list = []
    for path in paths.paths[:MAX_PATHS_SHOWN]:
        parts.append(Padding(_path(path), (1, 0, 0, 0)))
    rest = paths.paths[MAX_PATHS_SHOWN:]
    if rest or paths.n_more:
        counts = ", ".join(f"{n:,} {word}" for word in WORST if (n := sum(path.verdict == word for path in rest)))
        parts.append(Text(f"\n… and {n_of(len(rest) + paths.n_more, 'more path')}{': ' + counts if counts else ''}. All of them: pcapsec analyze -o DIR CAPTURE writes paths.csv.", style="dim"))
    return parts


def _path(path: MailPath) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(ratio=1)
    grid.expand = True
    grid.add_row(Text(path.verdict.upper(), style=STYLE[path.verdict]), _head(path))
    steps = Table.grid(padding=(0, 2))
    steps.add_column(no_wrap=True)
    steps.add_column(overflow="fold")
    steps.add_column(no_wrap=True)
    steps.add_column(overflow="fold")
    for step in path.steps[-MAX_STEPS_SHOWN:]:
        steps.add_row(Text(ROLE[step.role], style="dim"), _ends(step), _protection(step), _source(step))
    if len(path.steps) > MAX_STEPS_SHOWN:
        steps.add_row("", Text(f"and {n_of(len(path.steps) - MAX_STEPS_SHOWN, 'step')} before", style="dim"), "", "")
    grid.add_row("", steps)
    return grid


def _head(path: MailPath) -> Text:
    text = Text()
    if path.n_messages:
        text.append(n_of(path.n_messages, "message"), style="bold")
        for word, domains in ((" from ", path.from_domains), (" to ", path.to_domains)):
            if domains:
                text.append(word + (wire(domains[0], 40) if len(domains) == 1 else f"{wire(domains[0], 40)} and others"))
        if path.n_sealed == path.n_messages:
            text.append("; content encrypted by the sender", style="green")
        elif path.n_sealed:
            text.append(f"; content of {path.n_sealed:,} encrypted by the sender")
        else:
            text.append("; content not encrypted by the sender")
    else:
        text.append(n_of(sum(step.n_sessions for step in path.steps), "conversation"), style="bold")
        text.append("; the messages in it are not known" if sum(step.n_sessions for step in path.steps) == 1 else "; the messages in them are not known")
    if not path.complete:
        text.append("; part of the way not seen", style="dim")
    return text


def _ends(step: PathStep) -> Text:
    if step.source == "unseen" and step.role != "mailbox":
        return Text(f"… → {wire(step.receiver or step.sender or '?')}", style="dim")
    sender = wire(step.sender) if step.sender else n_of(step.n_senders, "server" if step.role in ("relay", "delivery") else "client")
    receiver = wire(step.receiver) if step.receiver else n_of(step.n_receivers, "server") if step.n_receivers > 1 else "?"
    if step.source == "unseen":
        return Text(f"… → {receiver}" if step.receiver else "…", style="dim")
    return Text(f"{sender} → {receiver}")


def _protection(step: PathStep) -> Text:
    if step.source == "unseen":
        return Text("not seen", style="dim")
    if step.verdict == "exposed":
        return Text("no TLS", style=STYLE["exposed"])
    if step.verdict == "unknown":
        return Text("cannot be told", style=STYLE["unknown"])
    return Text((step.tls or "no TLS") + (", weak" if step.verdict == "weak" and step.tls else ""), style=STYLE[step.verdict])


def _source(step: PathStep) -> Text:
    text = SOURCE[step.source]
    if step.n_sessions > step.n_worst:
        text = f"{step.n_worst:,} of {n_of(step.n_sessions, 'conversation')} captured"
    elif step.source == "captured" and step.n_sessions > 1:
        text = f"{step.n_sessions:,} captured"
    return Text(text, style="dim")
