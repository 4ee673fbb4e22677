"""A session as rows of every table.

Blocks that several rows share (endpoints, place, names, filters, what a rule always says) are formatted once; generated functions (`compile.py`) do the
rest. Budget: 15 µs per conversation with its findings, login and message.
"""
from __future__ import annotations

import binascii
import functools
import hashlib
import socket
import zlib
from dataclasses import replace
from typing import Any, Callable, Iterable

from ..greetings import greeting_host
from ..records import CLIENT, SERVER, Capture, DnsAnswer, Facts, Finding, HttpFacts, Message, RegularSession, RpcFacts, Session, Sighting, TlsHandshake, group_hash
from ..secret import Fingerprints
from . import schema
from .access import NO_CERTIFICATE, NO_DETAILS, NO_LOGIN, NO_OFFER, login_of
from .compile import row_function
from .expressions import BLOCKS, FILL, REGULAR, SHARED, TOGETHER
from .text import MAX_MEMO_ENTRIES

UNKNOWN_TIME = (1 << 63) - 1  # sorts rows without a time behind all others
MAX_LIKES = 4096  # sessions that others are like, 3 KB each
MAX_CERTIFICATES = 4096  # whose columns are remembered, a KiB each
MAX_CERTIFIED = 1 << 17  # that are known to have their row, 150 bytes each; beyond it one may get a second, which the merge takes out again
_NO_TLS = TlsHandshake()
_SIDES = {None: None, CLIENT: "client", SERVER: "server"}
_UPGRADABLE = frozenset(("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve"))


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


_PROTOCOL_NUMBERS = {"quic": 17, "ike": 17, "esp": 50}  # all others are TCP
_OVER_UDP = {"quic": "udp", "ike": "isakmp", "esp": "esp"}  # what stands for the ports in a display filter; those of IPsec change on the way


def community_id(client_ip: str, client_port: int, server_ip: str, server_port: int, number: int = 6) -> str:
    """Community ID v1 of a conversation with seed 0: SHA-1 over both endpoints, the smaller first, and the IP protocol's number. Source: the Community ID specification, version 1."""
    one, two = _packed[client_ip], _packed[server_ip]
    if one > two or one == two and client_port > server_port:
        one, two, client_port, server_port = two, one, server_port, client_port
    ports = (client_port << 16 | server_port).to_bytes(4, "big") if number != 50 else b""
    digest = hashlib.sha1(b"\0\0" + one + two + bytes((number, 0)) + ports, usedforsecurity=False).digest()
    return "1:" + binascii.b2a_base64(digest, newline=False).decode("ascii")


def display_filter(s: Session) -> str:
    """A Wireshark display filter for the conversation: addresses, ports, and the frames of the input that holds its start."""
    if "esp-null" in getattr(s.like if s.__class__ is RegularSession else s, "encapsulation", ""):  # Wireshark sees what is around it
        return f"esp && frame.number >= {s.frame}" if s.last_frame < s.frame else f"esp && frame.number in {{{s.frame}..{s.last_frame}}}"
    kind = "ipv6" if ":" in s.client_ip else "ip"
    over = _OVER_UDP.get(s.protocol, "tcp")
    ports = f"{over}.port == {s.client_port} && {over}.port == {s.server_port}" if over in ("tcp", "udp") else over
    text = f"{kind}.addr == {s.client_ip} && {kind}.addr == {s.server_ip} && {ports}"
    if s.last_frame < s.frame:  # it ends in the next file: no last frame in this one
        return f"{text} && frame.number >= {s.frame}"
    return f"{text} && frame.number in {{{s.frame}..{s.last_frame}}}"


def server_name(s: Session) -> str | None:
    """Best name of the server."""
    if s.tls is not None and s.tls.sni:
        return s.tls.sni
    f = s.facts if s.inner is None or s.tls_mode != "implicit" else s.inner
    if f.greeting:
        return greeting_host(f.greeting)
    return next((q.host for q in f.http.requests if q.host), None) if f.http is not None else None


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


def as_shown(s: Session, inner: Facts) -> Facts:
    """What a conversation that was decrypted looks like in table `sessions`: what was read inside; what passed in clear before STARTTLS stays as it was."""
    f = s.facts
    if s.tls_mode == "implicit":
        return replace(inner, tunnel=f.tunnel, tunnel_target=f.tunnel_target)
    return replace(f, auth_mechanisms=inner.auth_mechanisms or f.auth_mechanisms, logins=f.logins + inner.logins, messages=f.messages + inner.messages,
                   n_mailbox_commands=f.n_mailbox_commands + inner.n_mailbox_commands)


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
    for name, (table, first, last) in SHARED.items():
        arguments, fill = FILL[table]
        block[name] = row_function(name, arguments, schema.between(table, first, last), fill, text=text, line=False)
    for name, (table, arguments, fill) in REGULAR.items():
        write[name] = row_function(name, arguments, schema.columns(table, reveal), fill, text=text)
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
        self._certificates: dict[str | None, Any] = {}  # sha256 -> block
        self._certified: set[str] = set()  # sha256 of those that have their row
        self._likes: dict[int, tuple] = {}  # id of a session that others are like -> that session, what their rows share
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
        if s.__class__ is RegularSession and not self._only_findings:
            self._regular(s, findings)
            return
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
        inner = s.inner
        if inner is not None:
            self._inner(s, inner, name, E, places)
        if f.messages:
            n_messages = self._messages(s, f, E, places, False)
        if logins:
            self._logins(s, f, name, E, places, False)
        if inner is not None:
            f = as_shown(s, inner)
            logins, n_messages = f.logins, sum(message.has_content for message in f.messages)
        if logins:
            principals = (logins[0].principal,) if len(logins) == 1 else tuple(dict.fromkeys(login.principal for login in logins))
            if None in principals:
                principals = tuple(p for p in principals if p is not None)
        else:
            principals = ()
        self.entries["sessions"].append((start, tie, write["sessions"](s, f, t, starttls_state(s, f, t), principals, n_messages, len(findings), E, N, D, C)))
        if findings:
            self._findings(findings, s, E, N, D, places)
        self._assessments(s, C)
        if s.tls is not None and (t.version is not None or t.client_hello_at is not None or t.server_hello_at is not None):
            side, at = (SERVER, t.server_hello_at) if t.client_hello_at is None else (CLIENT, t.client_hello_at)
            ns, P, _, _ = self._place(s, side, at, places)
            chain, others = t.certificates, t.client_certificates
            K = self._certificate(chain[0] if chain else NO_CERTIFICATE)
            self.entries["tls"].append((ns, tie, write["tls"](t, t.offer or NO_OFFER, others[0] if others else NO_CERTIFICATE, K, P, E)))
            if chain or others:
                self._chains(t, ns, tie, P, E)
        f = s.facts
        if f.http is not None:
            self._requests(s, f.http, E, places, False)
        if f.rpc is not None:
            self._contexts(s, f.rpc, E, places, False)
        for a in f.anomalies if inner is None else f.anomalies + inner.anomalies:
            ns, P, _, _ = self._place(s, a.side, a.at, places)
            self.entries["anomalies"].append((ns, tie, write["anomalies"](a, s.protocol, _SIDES[a.side], P, E)))

    def _inner(self, s: Session, inner: Facts, name: str | None, E: Any, places: dict) -> None:
        """Rows of what was read inside TLS; its anomalies stand among the others."""
        if inner.messages:
            self._messages(s, inner, E, places, True)
        if inner.logins:
            self._logins(s, inner, name, E, places, True)
        if inner.http is not None:
            self._requests(s, inner.http, E, places, True)
        if inner.rpc is not None:
            self._contexts(s, inner.rpc, E, places, True)

    def _regular(self, s: Any, findings: list[Finding]) -> None:
        """The same rows of a conversation that is like another: what both share is written once."""
        block, write, entries, tie, like = self._block, self._write, self.entries, self._tie, s.like
        known = self._likes.get(id(like))
        is_new = known is None
        if is_new:
            known = self._like(like)
        _like, name, N, A, T, ends = known
        found = s.worst_severity, len(findings)
        B = ends.get(found)
        if B is None:
            f, t = s.facts, s.tls
            B = ends[found] = block["B"](s, f, t, None, (), 0, len(findings), None, None, None, None)
        E, C = block["E"](s), block["C"](s)
        D = block["D"](display_filter(s), self._community(s))
        entries["sessions"].append((s.start_ns, tie, write["regular"](s, A, B, E, D, C)))
        P = self._place_block(s.hello_ns, s.capture, s.hello_frame)
        if findings:
            self._findings(findings, s, E, N, D, {(CLIENT, s.tls.client_hello_at): (s.hello_ns, P, s.capture, s.hello_frame)})
        self._assessments(s, C)
        entries["tls"].append((s.hello_ns, tie, write["regular_tls"](T, P, E)))
        if is_new and s.tls.certificates:
            self._chains(s.tls, s.hello_ns, tie, P, E)

    def _like(self, like: Session) -> tuple:
        """What the rows of a conversation share with those that are like it; the conversation itself keeps its id from being taken by another."""
        f, t, block = like.facts, like.tls, self._block
        name = server_name(like)
        N = block["N"](like, name)
        A = block["A"](like, f, t, starttls_state(like, f, t), (), 0, 0, None, N, None, None)
        K = self._certificate(t.certificates[0] if t.certificates else NO_CERTIFICATE)
        T = block["T"](t, t.offer or NO_OFFER, NO_CERTIFICATE, K, None, None)
        if len(self._likes) >= MAX_LIKES:
            self._likes.clear()
        known = self._likes[id(like)] = like, name, N, A, T, {}
        return known

    def _chains(self, t: TlsHandshake, ns: int, tie: int, P: Any, E: Any) -> None:
        """A row for each certificate that was not seen before."""
        for sender, chain in (("server", t.certificates), ("client", t.client_certificates)):
            for position, c in enumerate(chain):
                if c.sha256 not in self._certified:
                    if len(self._certified) >= MAX_CERTIFIED:
                        self._certified.clear()
                    self._certified.add(c.sha256)
                    self.entries["certificates"].append((ns, tie, self._write["certificates"](sender, position, self._certificate(c), P, E)))

    def _certificate(self, c: Any) -> Any:
        """The columns of a certificate; the same one is a block once."""
        known = self._certificates.get(c.sha256)
        if known is None:
            if len(self._certificates) >= MAX_CERTIFICATES:
                self._certificates.clear()
            known = self._certificates[c.sha256] = self._block["K"](c)
        return known

    def _community(self, s: Session) -> str:
        number = _PROTOCOL_NUMBERS.get(s.protocol, 6)
        return community_id(s.client_ip, s.client_port, s.server_ip, s.server_port, 17 if number == 50 and s.client_port else number)

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
            if x.frame or s is None or s is x.ends:
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
                group = groups[key] = group_hash(x.capture if pair is None else pair, x)
            append((ns, tie, write(x, f"{rule_id}-{group}", R, P, E, N, D, _SIDES[side])))

    def _logins(self, s: Session, f: Facts, name: str | None, E: Any, places: dict, decrypted: bool) -> None:
        write = self._write["credentials"]
        for login in f.logins:
            ns, P, _, _ = self._place(s, CLIENT, login.at, places)
            secret = login.secret
            if secret is None:
                row = write(login, None, None, None, name, decrypted, P, E)
            else:
                shown = secret.reveal().decode("utf-8", "surrogateescape") if self.reveal else None
                row = write(login, self.fingerprints.of(secret), shown, secret.length_bucket(), name, decrypted, P, E)
            self.entries["credentials"].append((ns, self._tie, row))

    def _messages(self, s: Session, f: Facts, E: Any, places: dict, decrypted: bool) -> int:
        write, n, tie, append = self._write["messages"], 0, self._tie, self.entries["messages"].append
        for message in f.messages:
            if message.has_content:  # a transaction whose content never came is no message
                n += 1
                ns, P, capture, frame = self._place(s, message.side, message.at, places)
                append((ns, tie, write(message, decrypted, P, E)))
                if message.hops:
                    self._hops(s, message, capture, frame, decrypted)
        return n

    def _hops(self, s: Session, message: Message, capture: str, frame: int, decrypted: bool) -> None:
        write, tie, append = self._write["hops"], self._tie, self.entries["hops"].append
        for hop in reversed(message.hops):  # the first one first
            append((UNKNOWN_TIME if hop.time_ns is None else hop.time_ns, tie, write(message, hop, capture, frame, s.session_id, decrypted)))

    def _requests(self, s: Session, http: HttpFacts, E: Any, places: dict, decrypted: bool) -> None:
        write, tie, append = self._write["http"], self._tie, self.entries["http"].append
        for request in http.requests:
            ns, P, _, _ = self._place(s, CLIENT, request.at, places)
            append((ns, tie, write(request, request.login and request.login.result, decrypted, P, E)))

    def _contexts(self, s: Session, associations: list[RpcFacts], E: Any, places: dict, decrypted: bool) -> None:
        write, tie, append = self._write["rpc"], self._tie, self.entries["rpc"].append
        side = CLIENT if s.bytes_client or not s.bytes_server else SERVER  # whose PDU is the context's first evidence
        for association in associations:
            for context in association.contexts:
                ns, P, _, _ = self._place(s, side, context.at, places)
                login = login_of(context)
                append((ns, tie, write(context, association, login or NO_LOGIN, login.details if login is not None else NO_DETAILS, decrypted, P, E)))

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
        """Judgements on whole captures, with the conversation that they point at, where it is one."""
        block = self._block
        for finding in findings:
            s: Any = finding.ends
            if s is None:
                self._tie = 0
                self._findings([finding], None, *self._nobody, {})
            else:
                self._tie = tie_of(s.session_id)
                self._findings([finding], s, block["E"](s), block["N"](s, s.server_name), block["D"](display_filter(s), self._community(s)), {})

    def answers(self, answers: Iterable[tuple[DnsAnswer, Sighting]]) -> None:
        """What DNS said of mail, and where."""
        if not self._only_findings:
            self.entries["dns_policy"] += [(where.ts_ns, zlib.crc32(answer.name.encode()), self._write["dns_policy"](answer, where)) for answer, where in answers]

    def captures(self, captures: Iterable[Capture]) -> None:
        for capture in captures:
            self.entries["captures"].append((UNKNOWN_TIME if capture.first_ns is None else capture.first_ns, 0, self._write["captures"](capture)))

    def paths(self, paths: Iterable[Any]) -> None:
        """Ways of mail, a row for each step."""
        for path in paths:
            ts_ns, capture, frame, session_id = path.first
            P = self._place_block(ts_ns, capture, frame)
            for number, step in enumerate(path.steps, 1):
                self.entries["paths"].append((ts_ns, tie_of(session_id), self._write["paths"](path, number, step, P)))

    def rule_summary(self, rules: dict[str, Any], counts: dict[str, Any], firsts: dict[str, tuple]) -> None:
        """One row per rule, in the order of their ids."""
        for rule_id in sorted(rules):
            row = self._write["rule_summary"](rules[rule_id], counts.get(rule_id, (0, 0, 0, 0)), firsts.get(rule_id, (None,) * 4))
            self.entries["rule_summary"].append((0, 0, row))
