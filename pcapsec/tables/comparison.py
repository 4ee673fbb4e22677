"""What `pcapsec compare` finds as rows: findings as always, differences, pairs."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable

from ..records import CLIENT, TapPair
from . import schema
from .compile import row_function
from .files import Destination, FileSink, line_encoder, merged_findings
from .rows import UNKNOWN_TIME, Rows, server_name, tie_of

if TYPE_CHECKING:
    import pandas

MAX_ROWS = 500_000  # of differences and of pairs, 1 KB each; what no longer fits is counted
_TAPS = {None: None, 0: "inside", 1: "outside"}
_ENDS = {"session_id": "s.session_id", "client_ip": "s.client_ip", "client_port": "s.client_port", "server_ip": "s.server_ip", "server_port": "s.server_port",
         "protocol": "s.protocol", "service": "s.service", "server_name": "name", "session_outside": "o.session_id"}
_FILL = {
    "differences": ("d, s, o, name, side, finding_id", _ENDS | {
        "time": "d.times_ns[0]", "capture": "d.captures[0]", "frame": "d.frames[0]", "side": "side", "kind": "d.kind", "meaning": "d.meaning", "what": "d.what", "word": "d.word",
        "shown_inside": "d.shown[0]", "shown_outside": "d.shown[1]", "offset_inside": "d.at[0]", "offset_outside": "d.at[1]", "length_inside": "d.length[0]",
        "length_outside": "d.length[1]", "capture_outside": "d.captures[1]", "frame_outside": "d.frames[1]", "time_outside": "d.times_ns[1]", "finding_id": "finding_id"}),
    "pairs": ("p, s, o, name, near", _ENDS | {
        "time": "s.start_ns", "capture": "s.capture", "frame": "s.frame", "capture_outside": "o.capture", "frame_outside": "o.frame", "client_ip_outside": "o.client_ip",
        "client_port_outside": "o.client_port", "server_ip_outside": "o.server_ip", "server_port_outside": "o.server_port", "joined_by": "p.joined_by", "box": "p.box",
        "changed": "p.changed", "nearer_client": "near", "tls_inside": "p.tls[0]", "tls_outside": "p.tls[1]", "differences": "p.n_differences",
        "compared_bytes": "p.compared_bytes", "equal_bytes": "p.equal_bytes", "unknown_bytes_inside": "p.unknown_bytes[0]", "unknown_bytes_outside": "p.unknown_bytes[1]",
        "unknown": "p.unknown"}),
}


class ComparisonRows:
    """Collects rows of differences and pairs.

    Args:
        text: rows are CSV lines; False: tuples of values in the order of the schema.
    """

    def __init__(self, *, text: bool):
        self._write = {table: row_function(table, arguments, schema.columns(table), fill, text=text) for table, (arguments, fill) in _FILL.items()}
        self.entries: dict[str, list[tuple[int, int, Any]]] = {table: [] for table in _FILL}
        self.n_more = 0

    def pair(self, pair: TapPair) -> None:
        inside, outside = pair.sessions
        name, tie = server_name(inside) or server_name(outside), tie_of(inside.session_id)
        finding_id = inside.findings[0].finding_id if inside.findings else None
        rows = [("differences", one.times_ns[0], self._write["differences"](one, inside, outside, name, "client" if one.side == CLIENT else "server", finding_id))
                for one in pair.differences]
        rows.append(("pairs", inside.start_ns, self._write["pairs"](pair, inside, outside, name, _TAPS[pair.near_client])))
        for table, ns, row in rows:
            if len(self.entries[table]) < MAX_ROWS:
                self.entries[table].append((ns, tie, row))
            else:
                self.n_more += 1

    def sorted(self, table: str) -> list[Any]:
        return [entry[2] for entry in sorted(self.entries[table], key=lambda entry: entry[:2])]


class ComparisonFiles:
    """Rows on their way to files.

    Args:
        directory: where runs of findings go; private to the user.
        format: csv, jsonl or parquet.
    """

    def __init__(self, directory: str, format: str):
        self.directory, self.format = directory, format
        self._findings = FileSink(directory, format, wanted=("findings",))
        self.rows = ComparisonRows(text=format == "csv")

    def pair(self, pair: TapPair) -> None:
        if pair.sessions[0].findings:
            self._findings.session(pair.sessions[0])
        self.rows.pair(pair)

    def close(self) -> Any:
        """The findings, as `findings_csv` takes them."""
        return self._findings.close()

    def write(self, part: Any, destination: Destination) -> list[str]:
        """Write all tables; returns their paths."""
        paths = [destination.write("findings", merged_findings([part]))]
        for table in self.rows.entries:
            lines: Iterable[Any] = self.rows.sorted(table)
            if self.format != "csv":
                lines = map(line_encoder(table, self.format, False), lines)
            paths.append(destination.write(table, (line.encode("utf-8", "backslashreplace") for line in lines)))
        return paths


class ComparisonFrames:
    """Rows on their way to DataFrames."""

    def __init__(self):
        self._findings = Rows(text=False, wanted=("findings",))
        self.rows = ComparisonRows(text=False)

    def pair(self, pair: TapPair) -> None:
        if pair.sessions[0].findings:
            self._findings.session(pair.sessions[0])
        self.rows.pair(pair)

    def frames(self) -> "dict[str, pandas.DataFrame]":
        """Table -> DataFrame."""
        from .frames import frame

        found = self._findings.entries["findings"]
        found.sort(key=lambda entry: (UNKNOWN_TIME if entry[0] is None else entry[0], entry[1]))
        return {"findings": frame("findings", [entry[2] for entry in found])} | {table: frame(table, self.rows.sorted(table)) for table in self.rows.entries}
