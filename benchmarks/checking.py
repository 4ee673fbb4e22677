"""Tables against truth: what pcapsec found in a made capture, compared with what was put in (traffic/truth.py).

Conversations that lost no payload must be found exactly: digests over all their sessions, logins, messages and message sizes have to be equal. Of the
others, each field whose bytes are in the capture counts as knowable: it is found, missed, or wrong. What stands in the tables and was never made is
invented.

    python benchmarks/checking.py DIR CAPTURE      compares tables that are already there

With a capture made with --list it names the conversations that differ.
"""
from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator

from traffic.truth import LOGIN_FIELDS, MESSAGE_FIELDS, MESSAGE_SIZE_FIELDS, SESSION_FIELDS, fact_hash

PROTOCOLS = ("smtp", "imap", "pop3", "nntp", "dcerpc", "http", "tls")
IMPLICIT_PORTS = {"465": "smtp", "993": "imap", "995": "pop3", "563": "nntp"}
WEB_PORT = "443"  # counts where TLS is what the capture was made for (traffic/services.py)
MASK = 0xFFFFFFFFFFFFFFFF
MAX_EXAMPLES = 20
Key = tuple[str, str]  # client address and port: unique in a made capture


@dataclass(slots=True)
class Line:
    """One comparison: what was asked, what was found, whether it is right. `right` None: for information."""

    what: str
    expected: Any
    found: Any
    right: bool | None


@dataclass(slots=True)
class Report:
    lines: list[Line] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return all(line.right is not False for line in self.lines)

    def same(self, what: str, expected: Any, found: Any) -> None:
        self.lines.append(Line(what, expected, found, expected == found))

    def example(self, text: str) -> None:
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(text)


def _rows(directory: Path, table: str, columns: list[str]) -> Iterator[dict[str, str]]:
    """Rows of a CSV table as text; an unknown cell is an empty text."""
    import pandas

    for chunk in pandas.read_csv(directory / f"{table}.csv", usecols=columns, dtype=str, keep_default_na=False, chunksize=50_000):
        yield from (dict(zip(chunk.columns, row)) for row in chunk.itertuples(index=False, name=None))


def _yes(cell: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(cell.lower())


def _brackets(text: str) -> str:
    """A Message-ID with its angle brackets."""
    return text if text.startswith("<") or not text else f"<{text}>"


def _login(row: dict[str, str]) -> dict[str, Any]:
    return {"protocol": row["protocol"], "mechanism": row["mechanism"], "principal": row["principal"], "result": row["auth_result"]}


def _message(row: dict[str, str]) -> dict[str, Any]:
    recipients = json.loads(row["rcpt_to"]) if row["rcpt_to"] else []
    return {"protocol": row["protocol"], "direction": row["direction"], "message_id": _brackets(row["message_id"]), "mail_from": row["mail_from"],
            "rcpt_to": ",".join(recipients), "size": row["size_bytes"], "accepted": row["accepted"]}


class _Found:
    """The tables, split into the conversations of `gapped` and the rest."""

    def __init__(self, directory: Path, gapped: dict[Key, dict[str, Any]], made: Iterable[str]):
        ports = IMPLICIT_PORTS | ({WEB_PORT: "tls"} if "tls" in made else {})
        self.counts: Counter[str] = Counter()
        self.digests: dict[str, int] = defaultdict(int)
        self.sessions: dict[Key, list[dict[str, str]]] = defaultdict(list)
        self.logins: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        self.messages: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        self.mechanisms: Counter[str] = Counter()
        self.results: Counter[str] = Counter()
        self.protocols: Counter[str] = Counter()
        self.message_kinds: Counter[str] = Counter()
        self.other_protocols: Counter[str] = Counter()
        self.duplicates = 0
        ends = ["client_ip", "client_port", "server_ip", "server_port"]
        columns = [*ends, "protocol", "tls_mode", "starttls_offered", "starttls_requested", "starttls_accepted", "starttls_state", "duplicate_frames",
                   "completeness"]
        for row in _rows(directory, "sessions", columns):
            key = self._key(row, gapped)
            if key is not None:
                self.sessions[key].append(row)
                continue
            protocol = row["protocol"]
            if row["tls_mode"] == "implicit":
                protocol = ports.get(row["server_port"], "other tls")
            if protocol not in PROTOCOLS:
                self.other_protocols[protocol] += 1
                continue
            self.duplicates += int(row["duplicate_frames"] or 0)
            self.protocols[protocol] += 1
            self._add("sessions", row, SESSION_FIELDS)
            if row["tls_mode"] == "implicit":
                self.counts["implicit_tls"] += 1
            if row["tls_mode"] == "starttls" and _yes(row["starttls_offered"]) and _yes(row["starttls_requested"]) and _yes(row["starttls_accepted"]):
                self.counts["starttls"] += 1
        for row in _rows(directory, "credentials", [*ends, "protocol", "mechanism", "principal", "auth_result"]):
            login, key = _login(row), self._key(row, gapped)
            if key is not None:
                self.logins[key].append(login)
                continue
            self.mechanisms[login["mechanism"]] += 1
            self.results[login["result"]] += 1
            self._add("logins", login, LOGIN_FIELDS)
        for row in _rows(directory, "messages", [*ends, "protocol", "direction", "message_id", "mail_from", "rcpt_to", "size_bytes", "accepted"]):
            message, key = _message(row), self._key(row, gapped)
            if key is not None:
                self.messages[key].append(message)
                continue
            self.message_kinds[f"{message['protocol']} {message['direction']}"] += 1
            self._add("messages", message, MESSAGE_FIELDS)
            self._add("message_sizes", message, MESSAGE_SIZE_FIELDS)

    def _add(self, name: str, fact: dict[str, Any], fields: tuple[str, ...]) -> None:
        self.counts[name] += 1
        self.digests[name] = (self.digests[name] + fact_hash(fact, fields)) & MASK

    @staticmethod
    def _key(row: dict[str, str], gapped: dict[Key, dict[str, Any]]) -> Key | None:
        key = (row["client_ip"], row["client_port"])
        if key in gapped:
            return key
        turned = (row["server_ip"], row["server_port"])  # client and server may be mixed up where the start is missing
        return turned if turned in gapped else None


def _listed(path: Path) -> dict[Key, dict[str, Any]]:
    with open(path) as lines:
        return {(one["client_ip"], str(one["client_port"])): one for one in map(json.loads, lines)}


def check(directory: Path, capture: Path) -> Report:
    """Compare the CSV tables of `pcapsec analyze -o directory capture` with the truth beside the capture."""
    truth = json.loads(capture.with_suffix(".json").read_text())
    gapped = _listed(capture.with_name(truth["mail"]["gapped"]["file"]))
    certain = truth["mail"]["certain"]
    report, found = Report(), _Found(directory, gapped, truth["mail"]["made"]["conversations"]["by_protocol"])
    captures = list(_rows(directory, "captures", ["packets", "bytes", "duplicate_frames", "internal_errors"]))
    report.same("frames", truth["frames"], sum(int(row["packets"]) for row in captures))
    report.same("bytes of frames", truth["bytes"] - 24 - 16 * truth["frames"], sum(int(row["bytes"]) for row in captures))
    report.same("internal errors", 0, sum(int(row["internal_errors"] or 0) for row in captures))
    report.same("sessions by protocol", certain["conversations"]["by_protocol"], dict(sorted(found.protocols.items())))
    report.same("STARTTLS sessions", certain["starttls"]["total"], found.counts["starttls"])
    report.same("implicit TLS sessions", certain["implicit_tls"]["total"], found.counts["implicit_tls"])
    report.same("logins by mechanism", certain["logins"]["by_mechanism"], dict(sorted(found.mechanisms.items())))
    report.same("logins by result", certain["logins"]["by_result"], dict(sorted(found.results.items())))
    report.same("messages", certain["messages"]["by_protocol"], dict(sorted(found.message_kinds.items())))
    for name, digest in certain["digests"].items():
        report.same(f"digest of {name}", f"{digest:016x}", f"{found.digests[name]:016x}")
    report.lines.append(Line("other sessions in the table", None, dict(found.other_protocols), None))
    doubled = truth["duplicated_frames"]
    report.lines.append(Line("duplicate frames (made: mail with payload, all)", [doubled["mail"]["with_payload"], sum(doubled["all"].values())],
                             sum(int(row["duplicate_frames"] or 0) for row in captures), None))
    _check_conversations(report, found, gapped, "gapped conversations", 0.98)
    return report


def differences(directory: Path, capture: Path) -> Report:
    """The same for every single mail conversation; needs a capture made with --list."""
    report, listed = Report(), _listed(capture.with_name(capture.stem + ".conversations.jsonl"))
    made = json.loads(capture.with_suffix(".json").read_text())["mail"]["made"]["conversations"]["by_protocol"]
    _check_conversations(report, _Found(directory, listed, made), listed, "conversations that lost nothing", 1.0)
    return report


def _check_conversations(report: Report, found: _Found, gapped: dict[Key, dict[str, Any]], title: str, least: float) -> None:
    """One conversation after the other: knowable fields found, missed, wrong; rows that nothing made explains."""
    score: Counter[str] = Counter()
    for key, one in gapped.items():
        where = f"{one['client_ip']}:{one['client_port']} {one['kind']} lost {one['lost']}"
        sessions = found.sessions.get(key, [])
        if len(sessions) == 1:
            score["sessions found"] += 1
        else:
            score["sessions missed" if not sessions else "sessions torn"] += 1
            report.example(f"{where}: {len(sessions)} session rows")
        session = sessions[0] if sessions else defaultdict(str)
        if sessions and not any(fact["unknowable"] for fact in one["facts"]):
            for name in ("protocol", "tls_mode"):
                _count(report, score, where, f"session {name}", one[name], session[name], session[name] == "unknown")
        logins, messages = list(found.logins.get(key, ())), list(found.messages.get(key, ()))
        for fact in one["facts"]:
            if fact["kind"] == "login":
                _match(report, score, where, fact, logins, ("principal", "mechanism", "result"))
            elif fact["kind"] == "message":
                fact["size"] = str(fact["size"])
                _match(report, score, where, fact, messages, ("message_id", "mail_from", "rcpt_to", "size"))
            elif fact["kind"] == "starttls":
                for name in ("offered", "requested", "accepted"):
                    if name not in fact["unknowable"]:
                        seen = _yes(session[f"starttls_{name}"])
                        _count(report, score, where, f"starttls {name}", True, seen, seen is None)
        for rows, what in ((logins, "login"), (messages, "message")):
            for row in rows:
                partial = any(fact["kind"] == what and fact["unknowable"] for fact in one["facts"])
                score[f"{what} rows beside what was made" if partial else f"{what} rows invented"] += 1
                if not partial:
                    report.example(f"{where}: invented {what} {row}")
    knowable = score["fields found"] + score["fields missed"] + score["fields wrong"]
    share = score["fields found"] / knowable if knowable else 1.0
    invented = score["login rows invented"] + score["message rows invented"] + score["fields wrong"]
    report.lines.append(Line(f"{title}: sessions found", len(gapped), dict(sorted(score.items())),
                             score["sessions missed"] == 0 and score["sessions torn"] == 0))
    report.lines.append(Line(f"{title}: knowable fields found", f">= {least:.0%}", f"{share:.2%} of {knowable}", share >= least))
    report.lines.append(Line(f"{title}: invented or wrong", 0, invented, invented == 0))


def _match(report: Report, score: Counter[str], where: str, fact: dict[str, Any], rows: list[dict[str, Any]], fields: tuple[str, ...]) -> None:
    """Take the row that fits a fact best out of `rows` and score its knowable fields."""
    knowable = [name for name in fields if name in fact and name not in fact["unknowable"]]
    best = max(rows, key=lambda row: sum(row.get(name) == fact[name] for name in knowable), default=None) if knowable else None
    if best is not None and any(best.get(name) == fact[name] for name in knowable):
        rows.remove(best)
        for name in knowable:
            _count(report, score, where, f"{fact['kind']} {name}", fact[name], best.get(name), best.get(name) in ("", None, "unknown"))
        return
    for name in knowable:
        score["fields missed"] += 1
        report.example(f"{where}: {fact['kind']} {name} missed, made {fact[name]!r}")


def _count(report: Report, score: Counter[str], where: str, what: str, made: Any, seen: Any, nothing: bool) -> None:
    if seen == made:
        score["fields found"] += 1
        return
    score["fields missed" if nothing else "fields wrong"] += 1
    report.example(f"{where}: {what} is {seen!r}, made {made!r}")


def main() -> None:
    import sys

    directory, capture = Path(sys.argv[1]), Path(sys.argv[2])
    report = check(directory, capture)
    if capture.with_name(capture.stem + ".conversations.jsonl").exists():
        single = differences(directory, capture)
        report.lines += single.lines
        report.examples += single.examples
    show(report)
    sys.exit(not report.right)


def show(report: Report) -> None:
    """Print a report, indented."""
    for line in report.lines:
        print(f"  {'    ' if line.right is None else 'ok  ' if line.right else 'BAD '}{line.what}: {line.found}"
              + ("" if line.right else f"   made: {line.expected}"))
    for example in report.examples:
        print(f"      {example}")


if __name__ == "__main__":
    main()
