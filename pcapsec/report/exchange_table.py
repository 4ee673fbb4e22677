"""The summary's table of Exchange access: for each server who came by which road, what protected it outside and inside, and the worst finding."""
from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..records import SEVERITIES
from .exchange import MAIL_ROADS, NOTHING, Road
from .words import STYLE, n_of, wire

if TYPE_CHECKING:
    from .summary import Summary

MAX_SERVERS_SHOWN = 10
MAX_ROWS_SHOWN = 15  # per server
WIDE = 100  # columns from which on accounts and protections are given more room
LOGIN_WORDS = {"password": "none (password)", "token": "none (token)", "guessable": "none (challenge)"}
HIDDEN = "not visible"


class Row(NamedTuple):
    """One line of the table."""

    worst: tuple[int, str]
    account: str | None
    road: str
    outer: str
    inner: str
    n: int


def exchange_parts(summary: Summary, width: int) -> list:
    """What to print; nothing where no conversation with Exchange was seen."""
    access = summary.exchange
    if not access.roads:
        return []
    by_server: dict[str, list[Row]] = {}
    for (server_ip, account, road, outer, inner), use in access.roads.items():
        by_server.setdefault(server_ip, []).append(_row(account, road, outer, inner, use))
    _add_mail(summary, by_server)
    for rows in by_server.values():
        rows.sort(key=lambda row: (-row.worst[0], row.account is None, row.account or "", row.road, row.outer, row.inner))
    servers = sorted(by_server, key=lambda ip: (-by_server[ip][0].worst[0], -len(by_server[ip]), ip))
    parts: list = []
    for server_ip in servers[:MAX_SERVERS_SHOWN]:
        parts += _server(server_ip, access.names.get(server_ip), by_server[server_ip], width)
    if len(servers) > MAX_SERVERS_SHOWN:
        parts.append(Text(f"\n… and {n_of(len(servers) - MAX_SERVERS_SHOWN, 'more server')}", style="dim"))
    if access.n_more:
        parts.append(Text(f"\n… and {n_of(access.n_more, 'use')} of roads that are not listed here", style="dim"))
    if len(servers) > MAX_SERVERS_SHOWN or access.n_more or any(len(rows) > MAX_ROWS_SHOWN for rows in by_server.values()):
        parts.append(Text("All of them: pcapsec analyze -o DIR CAPTURE writes rpc.csv, http.csv and credentials.csv.", style="dim"))
    return parts


def _row(account: str | None, road: str, outer: str, inner: str, use: Road) -> Row:
    return Row(use.worst, account, road, outer, inner, use.n)


def _add_mail(summary: Summary, by_server: dict[str, list[Row]]) -> None:
    """Other roads to the same servers: logins of mail protocols in clear, and conversations inside TLS."""
    found: dict[tuple[str, str | None, str, str], tuple[tuple[int, str], int]] = {}
    for (server_ip, _port, protocol), accounts in summary.accounts.items():
        road = MAIL_ROADS.get(protocol)
        if road is not None and server_ip in by_server:
            for principal, account in accounts.items():
                key = server_ip, principal, road, LOGIN_WORDS[account.exposure]
                worst, n = found.get(key, (NOTHING, 0))
                found[key] = max(worst, account.worst), n + account.n
    for (server_ip, principal, road, inner), (worst, n) in found.items():
        by_server[server_ip].append(Row(worst, principal, road, "none", inner, n))
    for (server_ip, road, outer), n in summary.exchange.encrypted.items():
        if server_ip in by_server:
            by_server[server_ip].append(Row(NOTHING, None, road, outer, HIDDEN, n))


def _server(server_ip: str, name: str | None, rows: list[Row], width: int) -> list:
    accounts = {row.account for row in rows if row.account is not None}
    head = Text("\n")
    head.append(f"{wire(name)} ({server_ip})" if name else server_ip, style="bold")
    head.append("  " + n_of(len(accounts), "account") if accounts else "  no account seen", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("account", width=32 if width >= WIDE else 18, overflow="fold")
    table.add_column("road", width=13, no_wrap=True)
    table.add_column("outside", width=8, no_wrap=True)
    table.add_column("inside", width=31 if width >= WIDE else 16)
    table.add_column("worst finding", width=14, no_wrap=True)
    for row in rows[:MAX_ROWS_SHOWN]:
        table.add_row(*_cells(row))
    parts = [head, Padding(table, (0, 0, 0, 2))]
    if len(rows) > MAX_ROWS_SHOWN:
        parts.append(Text(f"  … and {n_of(len(rows) - MAX_ROWS_SHOWN, 'more line')}", style="dim"))
    return parts


def _cells(row: Row) -> list[Text]:
    unseen = "(not visible)" if row.inner == HIDDEN else "(name not seen)"
    account = Text(wire(row.account)) if row.account else Text(unseen, style="dim")
    outer = Text(row.outer, style="red" if row.outer == "none" else "green")
    readable = row.inner.startswith("none") or "readable" in row.inner
    times = f", {row.n:,}×" if row.inner == HIDDEN and row.n > 1 else ""
    inner = Text(wire(row.inner) + times, style="red" if readable and row.outer == "none" else "dim" if row.inner == HIDDEN else "")
    rank, rule_id = row.worst
    worst = Text("·", style="dim")
    if rank >= 0:
        severity = SEVERITIES[rank]
        worst = Text(f"{severity} {rule_id}", style=STYLE[severity].replace("bold white on red", "bold red"))
    return [account, Text(row.road), outer, inner, worst]
