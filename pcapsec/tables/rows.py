"""A session as rows of every table.

Blocks that several rows share (endpoints, place, names, filters, what a rule always says) are formatted once; generated functions (`compile.py`) do the
rest. Budget: 15 µs per conversation with its findings, login and message.
"""
from __future__ import annotations

import binascii
import functools
import hashlib
import re
import socket
import zlib
from typing import Any, Callable, Iterable

from ..records import CLIENT, SERVER, Capture, Facts, Finding, Session, TlsHandshake
from ..secret import Fingerprints
from . import schema
from .compile import row_function
from .text import MAX_MEMO_ENTRIES

UNKNOWN_TIME = (1 << 63) - 1  # sorts rows without a time behind all others
_NO_TLS = TlsHandshake()
_SIDES = {None: None, CLIENT: "client", SERVER: "server"}
_UPGRADABLE = frozenset(("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve"))

_ENDS = {"session_id": "@E", "client_ip": "@E", "client_port": "@E", "server_ip": "@E", "server_port": "@E"}
_PLACE = {"time": "@P", "capture": "@P", "frame": "@P"}
_NAMES = {"protocol": "@N", "service": "@N", "server_name": "@N"}
_FILTERS = {"display_filter": "@D", "community_id": "@D"}

FILL: dict[str, tuple[str, dict[str, str]]] = {  # table -> arguments, column -> expression
    "findings": ("x, g, R, P, E, N, D, direction", {
        "finding_id": "x.finding_id", "rule_id": "@R[0]", "slug": "@R[0]", "title": "x.title", "severity": "x.severity", "confidence": "x.confidence",
        "category": "x.rule.category", "variant": "x.variant or None", **_PLACE, **_ENDS, **_NAMES,
        "principal": "x.principal", "mechanism": "x.mechanism", "auth_result": "x.auth_result", "evidence": "x.evidence",
        "remediation": "@R[1]", "references": "@R[1]", "group_id": "g", "because_of": "x.because_of", "severity_reason": "x.severity_reason or None",
        "direction": "direction", "evidence_offset": "x.at", **_FILTERS,
    }),
    "sessions": ("s, f, t, state, principals, n_messages, n_findings, E, N, D, C", {
        **_ENDS, "start": "s.start_ns", "end": "s.end_ns", "capture": "@C", "frame": "@C", "last_frame": "s.last_frame", **_NAMES,
        "service_source": "s.service_source", "role_source": "s.role_source", "encapsulation": "s.encapsulation or None",
        "tunnel": "f.tunnel", "tunnel_target": "f.tunnel_target", "completeness": "s.completeness", "unseen_client": "s.unseen_client",
        "unseen_server": "s.unseen_server", "unparsed": "s.unparsed", "banner": "f.greeting", "client_name": "f.client_name",
        "capabilities": "f.capabilities", "capabilities_complete": "f.capabilities_complete", "starttls_offered": "f.starttls_offered",
        "starttls_requested": "f.starttls_requested", "starttls_accepted": "f.starttls_accepted", "starttls_reply_code": "f.starttls_reply_code",
        "starttls_state": "state", "masked_tokens": "f.masked_tokens", "injected_client_bytes": "f.injected_client_bytes",
        "injected_server_bytes": "f.injected_server_bytes", "tls_mode": "s.tls_mode", "tls_version": "t.version", "tls_sni": "t.sni",
        "auth_mechanisms": "f.auth_mechanisms or (None if f.capabilities is None else ())", "principals": "principals",
        "logins": "len(f.logins)", "messages": "n_messages", "mailbox_commands": "f.n_mailbox_commands", "compressed": "f.compressed",
        "packets_client": "s.packets_client", "packets_server": "s.packets_server", "bytes_client": "s.bytes_client", "bytes_server": "s.bytes_server",
        "gap_bytes": "s.gap_bytes_client + s.gap_bytes_server", "truncated_frames": "s.n_truncated_frames", "duplicate_frames": "s.n_duplicate_frames",
        "overlap_conflicts": "s.n_overlap_conflicts", "verdict": "s.verdict", "worst_severity": "s.worst_severity", "findings": "n_findings", **_FILTERS,
    }),
    "credentials": ("l, fp, secret, length, name, P, E", {
        **_PLACE, **_ENDS, "protocol": "l.protocol", "server_name": "name", "mechanism": "l.mechanism", "principal": "l.principal", "domain": "l.domain",
        "authzid": "l.authzid", "exposure": "l.exposure", "auth_result": "l.result", "auth_reason": "l.reason", "reply_code": "l.reply_code",
        "secret_fp": "fp", "secret_length": "length", "secret": "secret",
    }),
    "messages": ("m, P, E", {
        **_PLACE, **_ENDS, "protocol": "m.protocol", "direction": "m.direction", "mail_from": "m.mail_from", "rcpt_to": "m.rcpt_to",
        "reply_code": "m.reply_code", "accepted": "m.accepted", "message_id": "m.message_id", "size_bytes": "m.size_bytes", "complete": "m.complete",
        "protection": "m.protection", "content_type": "m.content_type", "from_domain": "m.from_domain", "to_domains": "m.to_domains",
        "subject_length": "m.subject_length", "mailer": "m.mailer", "n_hops": "m.n_hops", "n_clear_hops": "m.n_clear_hops",
    }),
    "tls": ("t, P, E", {
        **_PLACE, **_ENDS, "version": "t.version", "offered_versions": "t.offered_versions", "cipher_suite": "t.cipher_suite", "sni": "t.sni", "alpn": "t.alpn",
        "established": "t.established", "alert": "t.alert",
        **{name: "None" for name in ("group", "ja4", "resumed", "certificate_sha256", "subject", "sans", "issuer", "not_before", "not_after", "key_type", "key_bits",
                                     "signature_algorithm", "chain_length", "name_matches")},
    }),
    "anomalies": ("a, protocol, side, P, E", {
        **_PLACE, **_ENDS, "protocol": "protocol", "code": "a.code", "side": "side", "stream_offset": "a.at", "detail": "a.detail or None",
    }),
    "assessments": ("session_id, J, C", {
        "session_id": "session_id", "rule_id": "@J", "verdict": "@J", "reason": "@J", "capture": "@C", "frame": "@C",
    }),
    "rule_summary": ("rule, counts, first", {
        "rule_id": "rule.id", "slug": "rule.slug", "n_fail": "counts[0]", "n_pass": "counts[1]", "n_not_applicable": "counts[2]", "n_not_observable": "counts[3]",
        "capture": "first[1]", "frame": "first[2]", "session_id": "first[3]",
    }),
    "captures": ("c", {
        "capture": "c.name", "format": "c.format", "compression": "c.compression", "link_types": "c.link_types", "snap_length": "c.snap_length",
        "packets": "c.packets", "bytes": "c.bytes", "first_time": "c.first_ns", "last_time": "c.last_ns", "dropped": "c.dropped",
        "truncated_frames": "c.truncated_frames", "skipped_bytes": "c.skipped_bytes", "undecoded_frames": "c.undecoded_frames",
        "duplicate_frames": "c.duplicate_frames", "evicted_flows": "c.evicted_flows", "internal_errors": "c.internal_errors", "sessions": "c.sessions",
        "complete": "c.complete", "time_backsteps": "c.time_backsteps", "notes": "c.notes",
    }),
}
TOGETHER: dict[str, tuple[tuple[str, str], ...]] = {  # table -> first and last of columns whose values repeat together: their text is made once
    "findings": (("severity", "variant"), ("severity_reason", "direction")),
    "sessions": (("service_source", "banner"), ("capabilities", "tls_version"), ("logins", "compressed"), ("gap_bytes", "findings")),
    "credentials": (("protocol", "mechanism"), ("exposure", "reply_code")),
    "messages": (("protocol", "direction"), ("reply_code", "accepted"), ("complete", "to_domains"), ("mailer", "n_clear_hops")),
    "tls": (("version", "cipher_suite"), ("alpn", "alert")),
}
BLOCKS: dict[str, tuple[str, str, dict[str, str]]] = {  # block -> table it is declared in, arguments, column -> expression
    "P": ("anomalies", "ns, capture, frame", {"time": "ns", "capture": "capture", "frame": "frame"}),
    "P0": ("anomalies", "no_ns, capture, frame", {"time": "no_ns", "capture": "capture", "frame": "frame"}),
    "E": ("findings", "s", {"session_id": "s.session_id", "client_ip": "s.client_ip", "client_port": "s.client_port", "server_ip": "s.server_ip",
                            "server_port": "s.server_port"}),
    "N": ("findings", "s, name", {"protocol": "s.protocol", "service": "s.service", "server_name": "name"}),
    "D": ("findings", "display_filter, community", {"display_filter": "display_filter", "community_id": "community"}),
    "C": ("assessments", "s", {"capture": "s.capture", "frame": "s.frame"}),
    "J": ("assessments", "rule_id, verdict, reason", {"rule_id": "rule_id", "verdict": "verdict", "reason": "reason or None"}),
    "R0": ("findings", "r", {"rule_id": "r.id", "slug": "r.slug"}),
    "R1": ("findings", "r", {"remediation": "r.remediation", "references": "r.references"}),
}


class _Packed(dict):
    """`packed[ip]` is the address in network order, b"" when it is none."""

    def __missing__(self, ip: str) -> bytes:
        try:
            value = socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)
        except (OSError, ValueError):
            value = b""
        if len(self) >= MAX_MEMO_ENTRIES:
            self.clear()
        self[ip] = value
        return value


_packed = _Packed()


def community_id(client_ip: str, client_port: int, server_ip: str, server_port: int) -> str:
    """Community ID v1 of a TCP conversation with seed 0: SHA-1 over both endpoints, the smaller first. Source: the Community ID specification, version 1."""
    one, two = _packed[client_ip], _packed[server_ip]
    if one > two or one == two and client_port > server_port:
        one, two, client_port, server_port = two, one, server_port, client_port
    digest = hashlib.sha1(b"\0\0" + one + two + b"\x06\0" + (client_port << 16 | server_port).to_bytes(4, "big"), usedforsecurity=False).digest()
    return "1:" + binascii.b2a_base64(digest, newline=False).decode("ascii")


def display_filter(s: Session) -> str:
    """A Wireshark display filter for the conversation: addresses, ports, and the frames of the input that holds its start."""
    kind = "ipv6" if ":" in s.client_ip else "ip"
    text = (f"{kind}.addr == {s.client_ip} && {kind}.addr == {s.server_ip} && tcp.port == {s.client_port} && tcp.port == {s.server_port}")
    if s.last_frame < s.frame:  # it ends in the next file: no last frame in this one
        return f"{text} && frame.number >= {s.frame}"
    return f"{text} && frame.number in {{{s.frame}..{s.last_frame}}}"


_HOST = re.compile(r"(?:\d{3}[ -])?<?(?:[^@\s]*@)?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)>?(?:\s|$)").match
_APOP = re.compile(r"<[^@<>\s]{1,200}@([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)>").search
_host_names: dict[str, str | None] = {}


def greeting_host(greeting: str | None) -> str | None:
    """The host that a greeting names: first word of an SMTP greeting (RFC 5321 §4.3.1), or the right side of POP3's timestamp (RFC 1939 §7)."""
    if not greeting:
        return None
    try:
        return _host_names[greeting]
    except KeyError:
        pass
    head = greeting[:300]
    found = _HOST(head) or _APOP(head)
    name = found.group(1).lower() if found and not found.group(1).replace(".", "").isdigit() else None
    if len(_host_names) >= MAX_MEMO_ENTRIES:
        _host_names.clear()
    _host_names[greeting] = name
    return name


def server_name(s: Session) -> str | None:
    """Best name of the server."""
    return s.tls.sni if s.tls is not None and s.tls.sni else greeting_host(s.facts.greeting)


def starttls_state(s: Session, f: Facts, t: TlsHandshake) -> str | None:
    """RULES §0.8; None where STARTTLS has no place."""
    if s.tls_mode == "starttls":
        return "tls_established" if t.established else "tls_clienthello" if t.established is None else "tls_failed"
    if s.tls_mode == "implicit" or s.protocol not in _UPGRADABLE:
        return None
    if f.starttls_accepted is not None:
        return "accepted" if f.starttls_accepted else "refused"
    if f.starttls_requested:
        return "requested"
    if f.starttls_offered is not None:
        return "offered" if f.starttls_offered else "not_offered"
    return "no_capability_seen"


class _Nobody:
    """Stands for the session in judgements on a whole capture."""

    session_id = client_ip = client_port = server_ip = server_port = protocol = service = None


_NOBODY: Any = _Nobody()


def tie_of(session_id: str) -> int:
    """What orders rows of one time that belong to different conversations: the same in every run, job and format."""
    try:
        return int(session_id[:15], 16)
    except ValueError:
        return zlib.crc32(session_id.encode("utf-8", "surrogatepass"))


Entry = tuple[int, int, Any]  # time in ns, tie, row
First = tuple[int, str | None, int | None, str | None]  # ts_ns, capture, frame, session_id


def note_first(firsts: dict[str, First], rule_id: str, first: First) -> None:
    """Keep the earlier one; of two at one time always the same, whoever comes first."""
    known = firsts.get(rule_id)
    if known is None or (first[0], first[1] or "", first[2] or 0, first[3] or "") < (known[0], known[1] or "", known[2] or 0, known[3] or ""):
        firsts[rule_id] = first


def join_firsts(several: Iterable[dict[str, First]]) -> dict[str, First]:
    """What several workers noted, as one."""
    joined: dict[str, First] = {}
    for firsts in several:
        for rule_id, first in firsts.items():
            note_first(joined, rule_id, first)
    return joined


@functools.cache
def _functions(text: bool, reveal: bool) -> tuple[dict[str, Callable[..., Any]], dict[str, Callable[..., Any]]]:
    """What writes the rows of each table, and what writes each block; made once, with the texts that they remember."""
    write = {table: row_function(table, arguments, schema.columns(table, reveal), fill, text=text, together=TOGETHER.get(table, ()))
             for table, (arguments, fill) in FILL.items()}
    block = {name: row_function(name, arguments, [c for c in schema.TABLES[table] if c.name in fill], fill, text=text, line=False)
             for name, (table, arguments, fill) in BLOCKS.items()}
    return write, block


class Rows:
    """Collects rows, as CSV text or as tuples.

    Args:
        text: rows are CSV lines; False: tuples of values in the order of the schema.
        reveal: credentials have their secret.
        fingerprints: what makes `secret_fp`; one for the whole run.
        wanted: tables to fill; None: all.

    Attributes:
        entries: table -> (time in int64 ns, tie, row) of each row; the tie orders rows of one time, a number made of the session's id.
        firsts: rule_id -> (ts_ns, capture, frame, session_id) of its first finding.
    """

    def __init__(self, *, text: bool, reveal: bool = False, fingerprints: Fingerprints | None = None, wanted: Iterable[str] | None = None):
        self.text, self.reveal = text, reveal
        self.fingerprints = fingerprints or Fingerprints()
        self.wanted = frozenset(schema.TABLES if wanted is None else wanted)
        self.firsts: dict[str, First] = {}
        self._write, self._block = _functions(text, reveal)
        self._place_block = self._block["P"]
        self._tie = 0
        self._rules: dict[str, tuple] = {}
        self._answers: dict[tuple, Any] = {}  # (rule_id, verdict, reason) -> block
        self._told: dict[tuple, tuple[Any, list]] = {}  # rules that failed, id of a shared tuple of verdicts -> that tuple (so that its id stays taken), blocks
        self._only_findings = self.wanted <= {"findings"}
        self._nobody = (self._block["E"](_NOBODY), self._block["N"](_NOBODY, None), self._block["D"](None, None))
        self.clear()

    def clear(self) -> None:
        """Forget the rows collected so far."""
        self.entries: dict[str, list[Entry]] = {table: [] for table in schema.TABLES}
        self._counted = dict.fromkeys(schema.TABLES, 0)
        self._size = 0

    def size(self) -> int:
        """Characters collected so far; rows as tuples count 512 each."""
        for table, entries in self.entries.items():
            begin = self._counted[table]
            if len(entries) > begin:
                self._size += sum([len(entry[2]) for entry in entries[begin:]]) if self.text else 512 * (len(entries) - begin)
                self._counted[table] = len(entries)
        return self._size

    # --- a conversation

    def session(self, s: Session) -> None:
        """All rows of a conversation."""
        tie = self._tie = tie_of(s.session_id)
        findings = s.findings
        if self._only_findings:
            if findings:
                self._findings(findings, s, self._block["E"](s), self._block["N"](s, server_name(s)), self._block["D"](display_filter(s), self._community(s)), {})
            return
        f, block, write = s.facts, self._block, self._write
        t = s.tls or _NO_TLS
        name = server_name(s)
        start = s.start_ns
        E, N, C = block["E"](s), block["N"](s, name), block["C"](s)
        D = block["D"](display_filter(s), self._community(s))
        places: dict = {}
        logins, n_messages = f.logins, 0
        if f.messages:
            n_messages = self._messages(s, E, places)
        if logins:
            principals = (logins[0].principal,) if len(logins) == 1 else tuple(dict.fromkeys(login.principal for login in logins))
            if None in principals:
                principals = tuple(p for p in principals if p is not None)
            self._logins(s, name, E, places)
        else:
            principals = ()
        self.entries["sessions"].append((start, tie, write["sessions"](s, f, t, starttls_state(s, f, t), principals, n_messages, len(findings), E, N, D, C)))
        if findings:
            self._findings(findings, s, E, N, D, places)
        self._assessments(s, C)
        if s.tls is not None and (t.version is not None or t.client_hello_at is not None or t.server_hello_at is not None):
            side, at = (SERVER, t.server_hello_at) if t.client_hello_at is None else (CLIENT, t.client_hello_at)
            ns, P, _, _ = self._place(s, side, at, places)
            self.entries["tls"].append((ns, tie, write["tls"](t, P, E)))
        for a in f.anomalies:
            ns, P, _, _ = self._place(s, a.side, a.at, places)
            self.entries["anomalies"].append((ns, tie, write["anomalies"](a, s.protocol, _SIDES[a.side], P, E)))

    def _community(self, s: Session) -> str:
        return community_id(s.client_ip, s.client_port, s.server_ip, s.server_port)

    def _place(self, s: Session, side: int | None, at: int | None, places: dict) -> tuple[int, Any, str, int]:
        """Time, place block, capture and frame of a stream offset; the session's first frame when there is none."""
        key = (side, at)
        found = places.get(key)
        if found is None:
            if at is None or side is None or s.locate is None:
                capture, frame, ns = s.capture, s.frame, s.start_ns
            else:
                capture, frame, ns = s.locate(side, at)
            found = places[key] = (ns, self._place_block(ns, capture, frame), capture, frame)
        return found

    def _findings(self, findings: list[Finding], s: Session | None, E: Any, N: Any, D: Any, places: dict) -> None:
        write, rules, firsts, tie, append = self._write["findings"], self._rules, self.firsts, self._tie, self.entries["findings"].append
        groups: dict[tuple, str] = {}
        pair = f"{s.client_ip}\n{s.server_ip}\n{s.server_port}" if s is not None else None
        for x in findings:
            rule_id, side = x.rule.id, x.side
            R = rules.get(rule_id)
            if R is None:
                R = rules[rule_id] = (self._block["R0"](x.rule), self._block["R1"](x.rule))
            if x.frame or s is None:
                ns, capture, frame = x.ts_ns or UNKNOWN_TIME, x.capture or None, x.frame or None
                P = self._place_block(ns, capture, frame) if ns != UNKNOWN_TIME else self._block["P0"](None, capture, frame)
            else:
                ns, P, capture, frame = places.get((side, x.at)) or self._place(s, side, x.at, places)
            first = firsts.get(rule_id)
            if first is None or ns <= first[0]:
                note_first(firsts, rule_id, (ns, capture, frame, s.session_id if s is not None else None))
            key = x.variant, x.principal, x.mechanism
            group = groups.get(key)
            if group is None:
                text = f"{x.capture if pair is None else pair}\n{x.variant}\n{x.principal}\n{x.mechanism}"
                group = groups[key] = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]
            append((ns, tie, write(x, f"{rule_id}-{group}", R, P, E, N, D, _SIDES[side])))

    def _logins(self, s: Session, name: str | None, E: Any, places: dict) -> None:
        write = self._write["credentials"]
        for login in s.facts.logins:
            ns, P, _, _ = self._place(s, CLIENT, login.at, places)
            secret = login.secret
            if secret is None:
                row = write(login, None, None, None, name, P, E)
            else:
                shown = secret.reveal().decode("utf-8", "surrogateescape") if self.reveal else None
                row = write(login, self.fingerprints.of(secret), shown, secret.length_bucket(), name, P, E)
            self.entries["credentials"].append((ns, self._tie, row))

    def _messages(self, s: Session, E: Any, places: dict) -> int:
        write, n, tie, append = self._write["messages"], 0, self._tie, self.entries["messages"].append
        for message in s.facts.messages:
            if message.has_content:  # a transaction whose content never came is no message
                n += 1
                ns, P, _, _ = self._place(s, message.side, message.at, places)
                append((ns, tie, write(message, P, E)))
        return n

    def _assessments(self, s: Session, C: Any) -> None:
        source: Any = s.assessments or s.not_observable
        failed = () if s.assessments else tuple([x.rule.id for x in s.findings])
        known = self._told.get((failed, id(source)))
        blocks = known[1] if known is not None else self._tell(failed, source, source is s.assessments)
        if not blocks:
            return
        if self.text:
            head, tail = s.session_id + ",", f",{C}\n"
            self.entries["assessments"].append((s.start_ns, self._tie, head + (tail + head).join(blocks) + tail))
        else:
            self.entries["assessments"] += [(s.start_ns, self._tie, (s.session_id, *block, *C)) for block in blocks]

    def _tell(self, failed: tuple[str, ...], source: Any, full: bool) -> list:
        """Blocks of a session's verdicts; sessions with the same verdicts share one tuple, which is then looked at once."""
        if full:
            answers = [tuple(one) for one in source]
        else:
            answers = [(rule_id, "fail", None) for rule_id in dict.fromkeys(failed)] + [(rule_id, "not_observable", reason) for rule_id, reason in source]
        blocks = [self._answer(one) for one in answers]
        if isinstance(source, tuple):
            if len(self._told) >= 8192:
                self._told.clear()
            self._told[failed, id(source)] = source, blocks
        return blocks

    def _answer(self, one: tuple) -> Any:
        block = self._answers.get(one)
        if block is None:
            if len(self._answers) >= MAX_MEMO_ENTRIES:
                self._answers.clear()
            block = self._answers[one] = self._block["J"](*one)
        return block

    # --- the whole run

    def capture_findings(self, findings: list[Finding]) -> None:
        """Judgements on a capture, without a conversation."""
        self._tie = 0
        self._findings(findings, None, *self._nobody, {})

    def captures(self, captures: Iterable[Capture]) -> None:
        for capture in captures:
            self.entries["captures"].append((UNKNOWN_TIME if capture.first_ns is None else capture.first_ns, 0, self._write["captures"](capture)))

    def rule_summary(self, rules: dict[str, Any], counts: dict[str, Any], firsts: dict[str, tuple]) -> None:
        """One row per rule, in the order of their ids."""
        for rule_id in sorted(rules):
            row = self._write["rule_summary"](rules[rule_id], counts.get(rule_id, (0, 0, 0, 0)), firsts.get(rule_id, (None,) * 4))
            self.entries["rule_summary"].append((0, 0, row))
