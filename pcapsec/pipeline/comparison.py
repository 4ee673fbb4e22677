"""Two captures of the same traffic: what was changed between the two points where they were taken, and what kind of box stands there."""
from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol, Sequence

from ..errors import CaptureError
from ..kernels import openings
from ..kernels.assembly import locate
from ..records import CLIENT, SERVER, Capture, Difference, TapPair
from ..rules import Judge, Policy
from .comparison_pairs import Pairing, connections_alone, pair, sequences_agree
from .comparison_streams import LINES, Range, Stream, compare, stream_of
from .comparison_taps import Tap, TapFlow, inputs_of
from .comparison_words import Dialogue, Words, meaning, of_list, read
from .run import Filters, parameters_of
from .session import address_text

MAX_TIMES = 200  # segments of a conversation whose times are looked at for that
BETWEEN_NS = 2000  # a client's and a server's bytes must be this much further apart in the two captures before anybody says which tap is nearer to whom


class Sink(Protocol):
    """Takes what a comparison finds."""

    def pair(self, pair: TapPair) -> None: ...


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What a comparison leaves behind besides what its sink took."""

    captures: tuple[list[Capture], list[Capture]] = field(default_factory=lambda: ([], []))
    errors: list[CaptureError] = field(default_factory=list)
    internal_errors: list[str] = field(default_factory=list)
    n_pairs: int = 0
    n_equal: int = 0  # pairs in which nothing differs and nothing was missing
    n_flows: tuple[int, int] = (0, 0)  # conversations that could be compared, at each tap
    n_ambiguous: int = 0  # conversations that could be one of several
    n_not_compared: tuple[int, int] = (0, 0)  # there was no room for them
    offset_ns: int | None = None  # how much the second clock is ahead; None: no pair tells
    spread_ns: int = 0
    overlap_ns: int | None = None  # common time of both captures, clocks corrected; negative: none
    n_connections: int = 0  # TCP connections of any kind whose opening is in both
    alone: tuple[dict, dict] = field(default_factory=lambda: ({}, {}))  # reason -> server port -> connections opened at one tap and not seen at the other
    flows_alone: tuple[Counter, Counter] = field(default_factory=lambda: (Counter(), Counter()))  # service -> conversations without a partner
    counts: dict[str, list[int]] = field(default_factory=dict)


def run(inside: Any, outside: Any, *, sink: Sink, policy: Policy | None = None, filters: Filters | None = None,
        progress: Callable[[int, int, int], None] | None = None) -> Comparison:
    """Compare two captures.

    Args:
        inside, outside: path (file, directory, glob, "-"), or several of one capture.
        sink: takes the pairs, judged: findings stand in `pair.sessions[0].findings`.
        policy, filters: as for an analysis; times of `filters` are those of each capture's own clock.
        progress: called with bytes done, bytes in all, 0.

    Raises: CaptureError: one of them cannot be read, so that there is nothing to compare. PcapsecError for filters that make no sense.
    """
    parameters = parameters_of(filters)
    given = [inputs_of(one) for one in (inside, outside)]
    total = sum(size for _groups, size in given)
    key = os.urandom(32)
    taps = tuple(Tap(str(name), parameters, key) for name in (inside, outside))
    try:
        done = 0
        for tap, (groups, size) in zip(taps, given):
            tap.read(groups, progress, done, total)
            done += size
            if tap.errors and not any(capture.packets for capture in tap.captures):
                raise tap.errors[0]
        return _Work(taps, Judge(policy), sink).run()
    finally:
        for tap in taps:
            tap.close()


class _Work:
    """The comparison of two taps that were read."""

    def __init__(self, taps: tuple[Tap, Tap], judge: Judge, sink: Sink):
        self.taps, self.judge, self.sink = taps, judge, sink

    def run(self) -> Comparison:
        first, second = self.taps
        pairing: Pairing = pair(first, second)
        out = Comparison(
            captures=(first.captures, second.captures), errors=first.errors + second.errors, internal_errors=first.faults + second.faults, n_pairs=len(pairing.pairs),
            n_flows=(len(first.flows), len(second.flows)), n_ambiguous=pairing.n_ambiguous,
            n_not_compared=(first.n_more_flows + first.n_unkept, second.n_more_flows + second.n_unkept), offset_ns=pairing.offset_ns, spread_ns=pairing.spread_ns)
        offset = pairing.offset_ns or 0
        if first.span is not None and second.span is not None:
            out.overlap_ns = min(first.span[1], second.span[1] - offset) - max(first.span[0], second.span[0] - offset)
        ends = ({a.ends for a, _b, _why in pairing.pairs}, {b.ends for _a, b, _why in pairing.pairs})
        out.n_connections, alone_first = connections_alone(first, second, offset, ends[0])
        _n, alone_second = connections_alone(second, first, -offset, ends[1])
        out.alone = alone_first, alone_second
        for counter, tap in zip(out.flows_alone, self.taps):
            counter.update(flow.service or flow.protocol for flow in tap.flows if not flow.partner)
        shakes = tuple(_handshakes(tap, which) for tap, which in zip(self.taps, ends))
        self.votes = Counter(_near_client(_handshake_times(a, b, shakes)) for a, b, _why in pairing.pairs)
        for a, b, why in sorted(pairing.pairs, key=lambda one: (one[0].start_ns, one[0].session_id)):
            found = self._pair(a, b, why, shakes, out)
            self.judge.comparison(found)
            out.n_equal += not found.n_differences and not found.unknown and found.box not in ("tls-proxy", "tls-one-sided")
            self.sink.pair(found)
        out.internal_errors += self.judge.fault_log
        out.counts = {rule_id: row for rule_id, row in self.judge.counts.items() if self.judge.rules[rule_id].scope == "comparison"}
        return out

    def _pair(self, a: TapFlow, b: TapFlow, why: str, shakes: tuple[dict, dict], out: Comparison) -> TapPair:
        found = TapPair(sessions=(a.session(), b.session()), joined_by=why, box="none", tls=(_tls_of(a), _tls_of(b)))
        try:
            blobs = a.data(), b.data()
            ranges = _compare_streams(found, a, b, blobs)
            limits = [min((min(one.at) for whose, _protocol, one in ranges if whose == side), default=1 << 62) for side in (CLIENT, SERVER)]
            near = _near_client([one + other for one, other in zip(_handshake_times(a, b, shakes), _data_times(a, b, limits))])
            self.votes[near] += 1
            found.near_client = near
            if near is None and self.votes[0] != self.votes[1]:  # as it is with most others
                found.near_client = int(self.votes[1] > self.votes[0])
            found.differences = _explained(found, a, b, blobs, ranges) if ranges else []
        except Exception as error:  # a fault of ours, told without what it was about; the other conversations go on
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            found.fault = f"{type(error).__name__} at line {place.tb_lineno if place is not None else '?'} while comparing"
            found.differences, found.n_differences, found.unknown = [], 0, ("fault",)
            out.internal_errors.append(f"{found.fault}, frame {a.frame} of {a.capture}")
        _name_box(found, a, b, shakes)
        return found


# --- streams

def _tls_of(flow: TapFlow) -> str | None:
    if flow.tls_from is None:
        return None
    return flow.tls_version or "TLS"


def _goes_on(clear: TapFlow, encrypted: TapFlow) -> bool:
    """Whether a conversation without TLS says more than the clear beginning of its counterpart: else it may only have been captured too briefly."""
    if clear.ended[CLIENT] and clear.ended[SERVER]:
        return True
    said = max((clear.pieces[i + 1] + clear.pieces[i + 2] for i in range(0, len(clear.pieces), 4) if clear.pieces[i] == CLIENT), default=0)
    return said > encrypted.tls_from[CLIENT]


def _compare_streams(found: TapPair, a: TapFlow, b: TapFlow, blobs: tuple[bytes, bytes]) -> list[tuple[int, str, Range]]:
    """Fill in counts; returns what differs: side, what is spoken there, bytes."""
    one_sided = (a.tls_from is None) != (b.tls_from is None) and (_goes_on(a, b) if a.tls_from is None else _goes_on(b, a))
    split_tls = one_sided or bool(a.tls_from is not None and a.client_random and b.client_random and a.client_random != b.client_random)
    found.box = "tls-one-sided" if one_sided else "tls-proxy" if split_tls else "none"
    ranges: list[tuple[int, str, Range]] = []
    unknown: set[str] = set()
    lost = [0, 0]
    lines = a.protocol in LINES or b.protocol in LINES
    protocol = a.protocol if a.protocol in LINES or b.protocol not in LINES else b.protocol
    for side in (CLIENT, SERVER):
        parts: list[tuple[str, Stream, Stream]] = []
        clear_ends = [None if flow.tls_from is None else flow.tls_from[side] for flow in (a, b)]
        if not (clear_ends[0] == 0 and clear_ends[1] == 0):
            streams = [stream_of(flow, blob, side, tap, 0, end, lines) for tap, (flow, blob, end) in enumerate(zip((a, b), blobs, clear_ends))]
            for stream, end in zip(streams, clear_ends):
                if end is not None and split_tls:
                    stream.hole(stream.end, 0, "encrypted")
            parts.append((protocol, streams[0], streams[1]))
        if a.tls_from is not None and b.tls_from is not None and not split_tls:
            parts.append(("tls", *(stream_of(flow, blob, side, tap, flow.tls_from[side], None, False) for tap, (flow, blob) in enumerate(zip((a, b), blobs)))))
        elif split_tls and clear_ends[0] == 0 and clear_ends[1] == 0:
            unknown.add("encrypted")
        for spoken, one, other in parts:
            result = compare(one, other)
            found.compared_bytes += result.compared
            found.equal_bytes += result.equal
            found.n_differences += result.n_ranges
            unknown |= one.unknown | other.unknown
            lost[0] += one.unknown_bytes
            lost[1] += other.unknown_bytes
            ranges += [(side, spoken, one_range) for one_range in result.ranges]
    found.unknown = tuple(sorted(unknown - ({"encrypted"} if not split_tls and a.tls_from is not None else set())))
    found.unknown_bytes = lost[0], lost[1]
    return ranges


def _explained(found: TapPair, a: TapFlow, b: TapFlow, blobs: tuple[bytes, bytes], ranges: list[tuple[int, str, Range]]) -> list[Difference]:
    """Ranges with what they mean, in the order of the conversation."""
    dialogues = Dialogue(a, blobs[0]), Dialogue(b, blobs[1])
    capabilities = dialogues[0].capabilities | dialogues[1].capabilities
    segments = a.segments(), b.segments()
    said = []
    for side, protocol, one in ranges:
        words: list[Words | None] = []
        for tap, flow in enumerate((a, b)):
            line = one.lines[tap]
            if line is None and one.length[tap] == 0:
                words.append(None)
                continue
            line_at = one.line_at[tap]
            if protocol == "tls":
                words.append(Words("tls", _handshake_message(flow, blobs[tap], side, one.at[tap])))
                continue
            awaited = dialogues[tap].awaited(side, line_at) if line is not None else "content"
            read_as = read(flow.protocol if flow.protocol in LINES else protocol, side, line or b"", awaited, line_at == 0 and flow.isn[side] is not None, capabilities)
            words.append(of_list(read_as, one.lines, tap, one.at[tap] - line_at, one.length[tap]))
        if words[0] is None and words[1] is None:
            words[0] = Words("bytes")
        sender = _sender_tap(found, side)
        sent, arrived = words[sender], words[1 - sender]
        lengths = one.length[sender], one.length[1 - sender]
        told = meaning(sent, arrived)
        if told in ("reply-changed", "capability-changed") and protocol in ("smtp", "lmtp") and _only_dash(one):
            told = "list-end-moved"
        elif one.lines[0] is not None and one.lines[1] is not None and _addresses_replaced(one.lines[0], a, b) == one.lines[1]:
            told = "address-rewritten"
        about = arrived if sent is None or arrived is not None and sent.word is None else sent
        frames = [_frame_of(flow, marks, side, one.at[tap]) for tap, (flow, marks) in enumerate(zip((a, b), segments))]
        said.append(Difference(
            side=side, kind="added" if not lengths[0] else "removed" if not lengths[1] else "changed", meaning=told, what=about.what, at=one.at, length=one.length, word=about.word,
            shown=(words[0].shown if words[0] is not None else None, words[1].shown if words[1] is not None else None),
            captures=(frames[0][0], frames[1][0]), frames=(frames[0][1], frames[1][1]), times_ns=(frames[0][2], frames[1][2])))
    said.sort(key=lambda one: (one.times_ns[0], one.side == CLIENT, one.at))
    return said


def _sender_tap(found: TapPair, side: int) -> int:
    """The tap that the bytes of a side pass first; where nothing tells which one is nearer to the client, the first is, as the command's arguments say."""
    near = found.near_client or 0
    return near if side == CLIENT else 1 - near


def _only_dash(one: Range) -> bool:
    first, second = one.lines
    return first is not None and second is not None and {first[3:4], second[3:4]} == {b"-", b" "} and first[:3] == second[:3] and first[4:] == second[4:]


def _addresses_replaced(line: bytes, a: TapFlow, b: TapFlow) -> bytes:
    for mine, theirs in ((a.client_ip, b.client_ip), (a.server_ip, b.server_ip)):
        if mine != theirs:
            line = line.replace(mine.encode(), theirs.encode())
    return line


_MESSAGES = {1: "ClientHello", 2: "ServerHello", 4: "NewSessionTicket", 11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest", 14: "ServerHelloDone",
             15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished"}


def _handshake_message(flow: TapFlow, blob: bytes, side: int, at: int) -> str | None:
    """Which handshake message the record at a stream offset holds (RFC 8446 §5.1)."""
    pieces, begin = flow.pieces, flow.tls_from[side]
    data = b"".join(blob[pieces[i + 3]:pieces[i + 3] + pieces[i + 2]] for i in range(0, len(pieces), 4) if pieces[i] == side and pieces[i + 3] >= 0 and pieces[i + 1] + pieces[i + 2] > begin)
    pos = next((begin - pieces[i + 1] for i in range(0, len(pieces), 4) if pieces[i] == side and pieces[i + 3] >= 0 and pieces[i + 1] + pieces[i + 2] > begin), 0)
    place = begin - max(0, pos)
    pos = max(0, pos)
    for _record in range(256):
        if pos + 6 > len(data):
            return None
        length = 5 + int.from_bytes(data[pos + 3:pos + 5], "big")
        if place + pos + length > at:
            return _MESSAGES.get(data[pos + 5], "handshake") if data[pos] == 22 else {20: "ChangeCipherSpec", 21: "alert", 23: "application data"}.get(data[pos])
        pos += length
    return None


def _frame_of(flow: TapFlow, marks: Any, side: int, at: int) -> tuple[str, int, int]:
    """(capture, frame, ts_ns) of the segment that brought a stream offset, the last one before it where there is none, the conversation's first frame without either."""
    row = locate(marks, 0, len(marks), side ^ flow.flip, at) if len(marks) else -1
    if row < 0:
        return flow.capture, flow.frame, flow.start_ns
    name, frame = flow.files.locate(int(marks[row, 2]))
    return name, frame, int(marks[row, 3])


# --- what stands between

def _handshakes(tap: Tap, ends: set[tuple]) -> dict[tuple, dict[int, list[int]]]:
    """Ends of a conversation -> 0: the row of its SYN, 1: of its SYN/ACK (kernels/openings.py); the first ones of the sequence number that was used last."""
    found: dict[tuple, dict[int, list[int]]] = {}
    for row in tap.openings.tolist():
        answer = row[openings.O_ANSWER]
        source = address_text(row[openings.O_SRC0], row[openings.O_SRC1]), row[openings.O_PORTS] >> 16
        target = address_text(row[openings.O_DST0], row[openings.O_DST1]), row[openings.O_PORTS] & 0xFFFF
        key = (*target, *source) if answer else (*source, *target)
        if key in ends:
            known = found.setdefault(key, {})
            if answer not in known or known[answer][openings.O_SEQ] != row[openings.O_SEQ]:
                known[answer] = row
    return found


def _shakes_of(flow: TapFlow, side: int, shakes: dict) -> list[int] | None:
    row = shakes.get(flow.ends, {}).get(side)
    return row if row is not None and flow.isn[side] is not None and (row[openings.O_SEQ] + 1) & 0xFFFFFFFF == flow.isn[side] else None


def _handshake_times(a: TapFlow, b: TapFlow, shakes: tuple[dict, dict]) -> tuple[list[int], list[int]]:
    """How much later, by the clocks, each side's SYN is at the second tap; empty where it is not the same one."""
    times: tuple[list[int], list[int]] = ([], [])
    for side in (CLIENT, SERVER):
        rows = _shakes_of(a, side, shakes[0]), _shakes_of(b, side, shakes[1])
        if rows[0] is not None and rows[1] is not None and rows[0][openings.O_SEQ] == rows[1][openings.O_SEQ]:
            times[side].append(rows[1][openings.O_NS] - rows[0][openings.O_NS])
    return times


def _data_times(a: TapFlow, b: TapFlow, limits: list[int]) -> tuple[list[int], list[int]]:
    """The same of segments that begin at one offset, in front of the first difference of their side."""
    marks = [{(int(side) ^ flow.flip, int(at)): int(ns) for side, at, _frame, ns in flow.segments()[:MAX_TIMES].tolist()} for flow in (a, b)]
    times: tuple[list[int], list[int]] = ([], [])
    for (side, at), ns in marks[0].items():
        other = marks[1].get((side, at))
        if other is not None and at < limits[side] and a.isn[side] is not None and b.isn[side] is not None:
            times[side].append(other - ns)
    return times


def _near_client(times: Sequence[list[int]]) -> int | None:
    """Which tap is nearer to the client: what the client sends comes later at the other one, what the server sends comes earlier, whatever the clocks say.

    None: times of the two sides overlap, as they do where segments were captured out of order, or lie closer together than `BETWEEN_NS`.
    """
    if not times[CLIENT] or not times[SERVER]:
        return None
    client, server = sorted(times[CLIENT]), sorted(times[SERVER])
    few = [len(client) // 10, len(server) // 10]  # captured late, or again
    if client[few[0]] - server[-1 - few[1]] >= BETWEEN_NS:
        return 0
    return 1 if server[few[1]] - client[-1 - few[0]] >= BETWEEN_NS else None


def _name_box(found: TapPair, a: TapFlow, b: TapFlow, shakes: tuple[dict, dict]) -> None:
    """Fill in `changed` and `box`."""
    changed = []
    if (a.client_ip, a.server_ip) != (b.client_ip, b.server_ip):
        changed.append("addresses")
    if (a.client_port, a.server_port) != (b.client_port, b.server_port):
        changed.append("ports")
    _equal, different = sequences_agree(a, b)
    if different:
        changed.append("sequence-numbers")
    rows = [[_shakes_of(flow, side, of) for flow, of in zip((a, b), shakes)] for side in (CLIENT, SERVER)]
    known = [(one, other) for one, other in rows if one is not None and other is not None]
    if any(one[openings.O_TTL] != other[openings.O_TTL] for one, other in known):
        changed.append("ttl")
    own_stack = any(one[column] != other[column] for one, other in known for column in (openings.O_WINDOW, openings.O_SHAPE, openings.O_TIMESTAMP))
    if own_stack or any(one[openings.O_MSS] != other[openings.O_MSS] for one, other in known):
        changed.append("tcp-options")
    if not found.n_differences and not found.unknown and _boundaries(a) != _boundaries(b):
        changed.append("segments")
    if found.box in ("tls-proxy", "tls-one-sided"):
        changed.append("tls")
    elif different and (own_stack or "segments" in changed):
        found.box = "tcp-proxy"
    elif different:
        found.box = "sequence-rewriting"
    elif "addresses" in changed or "ports" in changed:
        found.box = "nat"
    elif "segments" in changed:
        found.box = "resegmenting"
    elif "ttl" in changed:
        found.box = "router"
    found.changed = tuple(changed)


def _boundaries(flow: TapFlow) -> set[tuple[int, int]]:
    return {(int(side) ^ flow.flip, int(at)) for side, at, _frame, _ns in flow.segments().tolist()}
