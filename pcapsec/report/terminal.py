"""The summary that `pcapsec analyze` prints: what was exposed, whose passwords to change, what the capture can and cannot show.

Everything from the wire passes `visible` and is put into rich `Text` objects, never into markup, so that no byte of a capture steers the terminal.
"""
from __future__ import annotations

import io
import os
import shutil
from typing import Iterable, TextIO

from rich.console import Console, Group as Stack
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..records import SEVERITIES, Capture
from ..tables.text import visible
from .exchange_table import exchange_parts
from .paths import Paths
from .paths_table import path_parts
from .progress import size, span
from .summary import Account, Group, Server, Share, Summary
from .words import MAX_CELL, STYLE, file_name as _file, n_of as _n, percent as _percent, when as _when, wire as _wire

NARROWEST, WIDEST, NO_TERMINAL = 80, 120, 100
MAX_GROUPS_SHOWN = 40
MAX_SERVERS_SHOWN = 4  # per finding; the table has them all
MAX_PARTS_SHOWN = 4
MAX_ACCOUNT_SERVERS = 20
MAX_ACCOUNTS_SHOWN = 25  # per server
MAX_SHARES_SHOWN = 14
MAX_NOTES_SHOWN = 10

EXPOSURE = {"password": "password readable", "token": "access token readable", "guessable": "can be guessed offline"}
RESULT = {"success": "login worked", "failed": "login refused: mistyped or old?", "unknown": "answer not seen"}
SERVICE = {  # what the names in the tables mean to somebody who runs a mail server
    "smtp": "SMTP", "submission": "SMTP submission", "submissions": "SMTP submission over TLS", "smtps": "SMTP over TLS", "lmtp": "LMTP", "imap": "IMAP",
    "imaps": "IMAP over TLS", "pop3": "POP3", "pop3s": "POP3 over TLS", "nntp": "NNTP", "nntps": "NNTP over TLS", "managesieve": "ManageSieve",
    "sieve": "ManageSieve", "http": "HTTP", "https": "HTTPS", "owa": "Outlook on the web", "ecp": "Exchange control panel", "ews": "Exchange Web Services",
    "activesync": "ActiveSync", "autodiscover": "Autodiscover", "mapi-http": "MAPI over HTTP", "rpc-proxy": "RPC over HTTP", "oab": "offline address book",
    "webmail": "webmail", "caldav": "CalDAV, CardDAV", "dcerpc": "DCE/RPC", "rpc": "DCE/RPC", "mapi": "MAPI (mailbox)",
    "nspi": "MAPI (directory)", "rfr": "MAPI (referral)", "epmapper": "RPC endpoint mapper", "ldap": "LDAP", "ldaps": "LDAP over TLS", "smb": "SMB",
    "tls": "TLS, purpose unknown", "unknown": "not understood",
}
NOT_MAIL = frozenset(("tls", "unknown", "http", "https", "rpc", "dcerpc", "epmapper", "ldap", "ldaps", "smb"))  # of themselves: other programs use them too
LOSS = {  # completeness -> what it means, and what to do
    "one_sided": "were captured in one direction only, so answers (or commands) are missing; let the mirror port copy both directions",
    "midstream": "had begun before the capture did, so their logins may be missing; start the capture earlier",
    "gapped": "lack bytes in between; capture closer to the server, or with larger buffers (tcpdump -B 65536)",
    "truncated": "have cut packets; capture without a snap length (tcpdump -s 0)",
    "evicted": "were dropped because too many were open at once; filter with --host or --port",
}

TOLD = frozenset(("PS001", "PS002", "PS003", "PS004", "PS005", "PS008"))  # rules that say what LOSS and the counts of the captures say


def render(summary: Summary, captures: list[Capture], *, unread: Iterable[str] = (), elapsed_s: float | None = None, file: TextIO | None = None,
           width: int | None = None, color: bool | None = None, paths: Paths | None = None) -> str:
    """The whole summary as text, between 80 and 120 columns wide; without colour where `file` is no terminal or NO_COLOR is set.

    Args:
        summary: of all workers.
        captures: inputs as they were read.
        unread: inputs that could not be read.
        elapsed_s: how long it took.
        file: where it will be printed, which decides on width and colour; standard output when None.
        width: columns; found out when None.
        color: colour on or off; found out when None.
        paths: ways of mail.
    """
    probe = Console(file=file)
    if width is None:
        width = shutil.get_terminal_size((NO_TERMINAL, 25)).columns if probe.is_terminal or os.environ.get("COLUMNS") else NO_TERMINAL
    if color is None:
        color = probe.is_terminal and not probe.is_dumb_terminal and not os.environ.get("NO_COLOR")
    text = io.StringIO()  # rendered first and written by the caller: a reader that goes away is the caller's affair
    out = Console(file=text, width=min(max(width, NARROWEST), WIDEST), force_terminal=color, no_color=not color, color_system="standard" if color else None,
                  highlight=False, emoji=False, markup=False, legacy_windows=False)
    _print(out, summary, captures, list(unread), elapsed_s, paths)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _print(out: Console, summary: Summary, captures: list[Capture], unread: list[str], elapsed_s: float | None, paths: Paths | None) -> None:
    out.print(_head(captures, elapsed_s))
    out.print()
    out.print(_verdict(summary, captures))
    for title, parts in (
        ("Findings, worst first", _findings(summary)),
        ("Passwords to change", _accounts(summary)),
        ("Exchange access, by server and account", exchange_parts(summary, out.width)),
        ("Mail paths", path_parts(paths) if paths is not None else []),
        ("What this capture shows", _shares(summary, captures, out.width)),
        ("What this capture cannot show", _limits(summary, captures, unread)),
    ):
        if parts:
            out.print()
            out.print(Text(title.upper(), style="bold"))
            for part in parts:
                out.print(part)
    if summary.n_findings:
        out.print()
        out.print(Text("All findings with their evidence: pcapsec analyze -o DIR. About a rule: pcapsec explain ID.", style="dim"))


# --- pieces

def _head(captures: list[Capture], elapsed_s: float | None) -> Text:
    text = Text()
    if not captures:
        text.append("Nothing was read", style="bold")
        return text
    if len(captures) <= 3:
        text.append(", ".join(_file(c.name) for c in captures), style="bold")
    else:
        text.append(f"{len(captures):,} captures", style="bold")
        text.append(f", from {_file(captures[0].name)} to {_file(captures[-1].name)}")
    facts = [_n(sum(c.packets for c in captures), "packet"), size(sum(c.bytes for c in captures))]
    if elapsed_s is not None:
        facts.append(f"read in {elapsed_s:.1f} s" if elapsed_s < 60 else f"read in {span(elapsed_s)}")
    text.append("\n" + " · ".join(facts), style="dim")
    first = [c.first_ns for c in captures if c.first_ns is not None]
    last = [c.last_ns for c in captures if c.last_ns is not None]
    if first and last:
        begin, end = min(first), max(last)
        same_day = _when(begin, "%Y-%m-%d") == _when(end, "%Y-%m-%d")
        text.append(f"\n{_when(begin)} to {_when(end, '%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S')} UTC ({span((end - begin) / 1e9)})", style="dim")
    return text


def _verdict(summary: Summary, captures: list[Capture]) -> Text:
    """The one sentence for those who read no further."""
    text = Text()
    n_exposed = sum(1 for accounts in summary.accounts.values() for account in accounts.values())
    counts = {severity: sum(group.severities[severity] for group in _judged(summary)) for severity in reversed(SEVERITIES)}
    roots = sum(counts.values())
    mail = sum(share.sessions for label, share in summary.shares.items() if label not in NOT_MAIL)
    if n_exposed:
        servers = len(summary.accounts)
        more = "more than " if summary.n_more_accounts else ""
        text.append(f" {more}{_n(n_exposed, 'account')} exposed ", style=STYLE["critical"])
        text.append(f" on {_n(servers, 'server')}: whoever could see this traffic can log in, or try to.")
    elif roots:
        text.append(f" {_n(roots, 'finding')} ", style=STYLE[next(s for s in counts if counts[s])])
        text.append(" but no password was seen in clear.")
    elif mail:
        text.append(" Nothing exposed was seen ", style="bold green")
        text.append(f" in {_n(mail, 'mail conversation')}. Read below what the capture could not show.")
    elif not any(c.packets for c in captures):
        text.append("No packets were read, so nothing can be said.", style="bold")
    else:
        text.append("No mail was seen in this capture.", style="bold")
        text.append(" Was it taken where the mail passes? Encrypted mail on unusual ports is not recognised.")
    if roots:
        text.append("\n ")
        for i, (severity, n) in enumerate((s, n) for s, n in counts.items() if n):
            text.append(", " if i else "")
            text.append(f"{n:,} {severity}", style=STYLE[severity].replace("bold white on red", "bold red"))
        text.append(" finding" if roots == 1 else " findings")
        related = summary.n_findings - summary.n_suppressed - sum(summary.roots.values())
        if related > 0:
            text.append(f", and {related:,} related", style="dim")
    return text


def _judged(summary: Summary) -> list[Group]:
    """What was found in the traffic; judgements on the capture itself stand under what it cannot show."""
    return [group for group in summary.worst_first() if group.category != "capture"]


def _findings(summary: Summary) -> list:
    groups = _judged(summary)
    parts: list = []
    for group in groups[:MAX_GROUPS_SHOWN]:
        parts.append(Padding(_group(group, summary), (1, 0, 0, 0)))
    if len(groups) > MAX_GROUPS_SHOWN:
        parts.append(Text(f"\n… and {_n(len(groups) - MAX_GROUPS_SHOWN, 'rule')} more", style="dim"))
    if summary.n_suppressed:
        parts.append(Text(f"\n{_n(summary.n_suppressed, 'finding')} more, suppressed by the policy; column suppressed of the findings says why", style="dim"))
    return parts


def _group(group: Group, summary: Summary) -> Table:
    """One rule's findings: severity and title, where, what to do."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(ratio=1)
    grid.expand = True
    title = Text()
    title.append(visible(group.title), style="bold")
    title.append(f"  {group.rule_id}", style="dim")
    if group.n > 1:
        mixed = [f"{group.severities[s]:,} {s}" for s in reversed(SEVERITIES) if group.severities[s]]
        title.append(f"  {group.n:,}×" + (f" ({', '.join(mixed)})" if len(mixed) > 1 else ""))
    grid.add_row(Text(f" {group.worst.upper()} ", style=STYLE[group.worst]), title)
    body: list = []
    servers = sorted(group.servers.items(), key=lambda item: (-item[1].n, item[0]))
    for key, server in servers[:MAX_SERVERS_SHOWN]:
        body.append(_server_line(key, server, summary))
    hidden = sum(server.n for _, server in servers[MAX_SERVERS_SHOWN:]) + group.n_elsewhere
    if hidden:
        more = len(servers) - MAX_SERVERS_SHOWN
        body.append(Text(f"… and {hidden:,}× on {'more than ' if group.n_elsewhere else ''}{_n(max(more, 1), 'other server')}", style="dim"))
    if group.part_of_it:
        also = sorted(group.part_of_it.items(), key=lambda item: (-item[1], item[0]))
        text = Text("With it: ", style="dim")
        text.append("; ".join(f"{visible(title)} ({rule_id})" for (rule_id, title), _ in also[:MAX_PARTS_SHOWN]))
        if len(also) > MAX_PARTS_SHOWN:
            text.append(f"; {len(also) - MAX_PARTS_SHOWN} more")
        body.append(text)
    todo = Text()
    todo.append("What to do: ", style="bold green")
    todo.append(visible(_sentence(group.remediation)))
    body.append(todo)
    if group.first is not None and group.first[2]:
        ts_ns, capture, frame, title = group.first
        body.append(Text(f"{'First' if group.n > 1 else 'Seen'}: {_wire(title, 200)}; {_when(ts_ns)}, {_file(capture)} frame {frame}", style="dim"))
    grid.add_row("", Stack(*body))
    return grid


def _sentence(text: str) -> str:
    text = text.strip()
    return (text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")) if text else ""


def _place(name: str | None, ip: str, port: int) -> str:
    where = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    return f"{_wire(name)} ({where})" if name else where


def _server_line(key: tuple[str, int], server: Server, summary: Summary) -> Text:
    text = Text(_place(server.name, *key))
    seen = []
    if server.accounts:
        seen.append(_n(len(server.accounts), "account"))
    if server.clients:
        seen.append(_n(len(server.clients), "client"))
    times = f"{server.n:,}×" if server.n > 1 else ""
    text.append("  " + ", ".join(part for part in (times, *seen) if part), style="dim")
    return text


def _accounts(summary: Summary) -> list:
    if not summary.accounts:
        return []
    parts: list = []
    worst = {key: max(_account_rank(account) for account in accounts.values()) for key, accounts in summary.accounts.items() if accounts}
    keys = sorted(worst, key=lambda key: (tuple(-n for n in worst[key]), -len(summary.accounts[key]), key))
    for key in keys[:MAX_ACCOUNT_SERVERS]:
        ip, port, protocol = key
        accounts = sorted(summary.accounts[key].items(), key=lambda item: (tuple(-n for n in _account_rank(item[1])), item[0] or ""))
        head = Text("\n")
        head.append(_place(summary.names.get(key), ip, port), style="bold")
        head.append(f"  {SERVICE.get(protocol, protocol)}, {_n(len(accounts), 'account')}", style="dim")
        parts.append(head)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(max_width=MAX_CELL, overflow="fold")
        for _ in range(3):
            grid.add_column(no_wrap=True)
        for principal, account in accounts[:MAX_ACCOUNTS_SHOWN]:
            name = Text(_wire(principal) if principal else "(name not seen)", style="" if principal else "dim")
            seen = f"{account.n:,}×, last {_when(account.last_ns)}" if account.n > 1 else _when(account.last_ns)
            grid.add_row(name, Text(EXPOSURE[account.exposure], style="red" if account.exposure != "guessable" else "yellow"),
                         Text(RESULT[account.result], style="" if account.result == "success" else "dim"), Text(seen, style="dim"))
        parts.append(Padding(grid, (0, 0, 0, 2)))
        if len(accounts) > MAX_ACCOUNTS_SHOWN:
            parts.append(Text(f"  … and {_n(len(accounts) - MAX_ACCOUNTS_SHOWN, 'more account')}", style="dim"))
    if len(keys) > MAX_ACCOUNT_SERVERS:
        parts.append(Text(f"\n… and accounts on {_n(len(keys) - MAX_ACCOUNT_SERVERS, 'more server')}", style="dim"))
    if summary.n_more_accounts:
        parts.append(Text(f"\n… and {_n(summary.n_more_accounts, 'login')} of accounts that are not listed here", style="dim"))
    if len(keys) > MAX_ACCOUNT_SERVERS or summary.n_more_accounts or any(len(a) > MAX_ACCOUNTS_SHOWN for a in summary.accounts.values()):
        parts.append(Text("The full list: pcapsec analyze -o DIR CAPTURE writes it to credentials.csv.", style="dim"))
    return parts


def _account_rank(account: Account) -> tuple[int, int]:
    return ({"success": 2, "unknown": 1, "failed": 0}[account.result], {"password": 2, "token": 1, "guessable": 0}[account.exposure])


def _shares(summary: Summary, captures: list[Capture], width: int) -> list:
    parts: list = []
    if summary.shares:
        table = Table(box=None, pad_edge=False, padding=(0, 3 if width >= NO_TERMINAL else 1, 0, 0), header_style="dim")
        table.add_column("")
        for name in ("conversations", "encrypted", "exposed", "in clear", "cannot tell", "bytes"):
            table.add_column(name, justify="right", no_wrap=True)
        shares = sorted(summary.shares.items(), key=lambda item: (-item[1].sessions, item[0]))
        if len(shares) > MAX_SHARES_SHOWN:
            rest = Share()
            for _, share in shares[MAX_SHARES_SHOWN - 1:]:
                rest.merge(share)
            shares = [*shares[:MAX_SHARES_SHOWN - 1], ("other", rest)]
        total = Share()
        for label, share in shares:
            total.merge(share)
            table.add_row(*_share_row(SERVICE.get(label, visible(label)), share))
        if len(shares) > 1:
            table.add_row(*_share_row("all", total), style="bold")
        parts.append(Padding(table, (1, 0, 0, 2)))
        fine = total.verdicts["protected"]
        if fine:
            with_keys = sum(capture.decrypted_sessions for capture in captures)
            told = f"nobody without the keys could read them; with the keys {with_keys} were read" if with_keys else "nothing in them could be read here"
            parts.append(_indented(Text(f"{_n(fine, 'conversation')} ({_percent(fine, total.sessions)}) went encrypted: {told}.", style="green")))
        weak = total.verdicts["weak"]
        if weak:
            parts.append(_indented(Text(f"In clear: {_n(weak, 'conversation')} without TLS in which nothing that matters was seen to pass.", style="dim")))
    others: dict[str, list[int]] = {}
    for capture in captures:
        for label, (flows, n_bytes) in capture.flows_by_class.items():
            known = others.setdefault(label, [0, 0])
            known[0] += flows
            known[1] += n_bytes
    if others:
        ordered = sorted(others.items(), key=lambda item: -item[1][1])[:6]
        listed = ", ".join(f"{visible(label)} {_n(flows, 'connection')} with {size(n_bytes)}" for label, (flows, n_bytes) in ordered)
        parts.append(_indented(Text(f"All traffic by kind: {listed}", style="dim")))
    return parts


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _share_row(label: str, share: Share) -> list[Text]:
    def number(n: int, style: str) -> Text:
        return Text(f"{n:,}" if n else "·", style=style if n else "dim")

    v = share.verdicts
    return [Text(label), number(share.sessions, ""), number(v["protected"], "green"), number(v["exposed"], "bold red"), number(v["weak"], "yellow"),
            number(v["unknown"], "magenta"), Text(size(share.bytes))]


def _limits(summary: Summary, captures: list[Capture], unread: list[str]) -> list:
    """What is missing, as a share where it has one, and how to get it next time."""
    lines: list[str] = []
    total = summary.n_sessions
    for word, meaning in LOSS.items():
        n = summary.completeness.get(word, 0)
        if n:
            if word == "gapped" and summary.gap_bytes:
                meaning = meaning.replace("lack bytes", f"lack {size(summary.gap_bytes)}")
            lines.append(f"{n:,} of {_n(total, 'conversation')} ({_percent(n, total)}) {meaning}.")
    if summary.n_unparsed:
        lines.append(f"{_n(summary.n_unparsed, 'conversation')} on a mail port could not be understood; their protocol may be unusual, or damaged.")
    dropped = sum(c.dropped or 0 for c in captures)
    if dropped:
        lines.append(f"{_n(dropped, 'packet')} never reached the capture: the interface or kernel dropped them.")
    cut = [c for c in captures if not c.complete]
    if cut:
        named = ", ".join(_file(c.name) for c in cut[:3]) + (f" and {len(cut) - 3} more" if len(cut) > 3 else "")
        lines.append(f"Cut off or damaged: {named}.")
    skipped = sum(c.skipped_bytes for c in captures)
    if skipped:
        lines.append(f"{size(skipped)} of damage in the files were stepped over.")
    undecoded, packets = sum(c.undecoded_frames for c in captures), sum(c.packets for c in captures)
    if undecoded and undecoded * 20 > packets:
        lines.append(f"{_n(undecoded, 'packet')} ({_percent(undecoded, packets)}) hold no IP that pcapsec can read.")
    evicted = sum(c.evicted_flows for c in captures)
    if evicted:
        lines.append(f"{_n(evicted, 'connection')} had to be dropped because a table was full; filter with --host or --port.")
    duplicates = sum(c.duplicate_frames for c in captures)
    if duplicates:
        lines.append(f"{_n(duplicates, 'packet')} ({_percent(duplicates, packets)}) were captured twice and counted once; that is harmless.")
    backsteps = sum(c.time_backsteps for c in captures)
    if backsteps:
        lines.append(f"The clock jumped back {_n(backsteps, 'time')}; times may be wrong.")
    for group in summary.worst_first():
        if group.category == "capture" and group.rule_id not in TOLD:
            lines.append(f"{visible(group.title)} ({group.rule_id}, {group.n:,}×). {_sentence(group.remediation)}")
    notes = [(capture.name, note) for capture in captures for note in capture.notes]
    lines += [f"{_file(name)}: {_wire(note, 300)}" if len(captures) > 1 else _wire(note, 300) for name, note in notes[:MAX_NOTES_SHOWN]]
    if len(notes) > MAX_NOTES_SHOWN:
        lines.append(f"… and {_n(len(notes) - MAX_NOTES_SHOWN, 'more note')} in captures.csv")
    lines += [f"Not read: {_wire(text, 300)}" for text in unread[:MAX_NOTES_SHOWN]]
    if not lines:
        return []
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(ratio=1)
    grid.expand = True
    for text in lines:
        grid.add_row(Text("•", style="dim"), Text(text))
    return [Padding(grid, (1, 0, 0, 2))]
