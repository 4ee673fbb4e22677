"""Which conversation of one capture is which of the other.

What proves it, in this order: both initial sequence numbers (through NAT too), the random number of a ClientHello, identifiers in the content (message ids,
queue ids, challenges). From such pairs the offset of the two clocks is told; with it, addresses, lines that both say and the time join what a box in between
gave other numbers. Without a proof in the whole capture the clocks are taken to agree. Two that are equally likely are left apart and counted.
"""
from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Iterable

import numpy

from ..kernels import openings
from .comparison_taps import Tap, TapFlow

TOLERANCE_NS = 1_000_000_000  # between the starts of one conversation at both taps, clocks corrected: a proxy may look up names before it goes on
TLS_OVERHEAD = 6144  # bytes by which two handshakes, with other certificates, may differ
SLACK_NS = 100_000_000  # by which the clocks may differ where nothing tells
ENDS_NS = 20_000_000  # conversations that also end within this time of one another
ALIKE_NS = 50_000_000  # starts that differ by less do not tell two conversations apart
MAX_LOST_BYTES = 65_536  # that a capture may lack before what it has of a conversation
MOSTLY = 0.75  # share of a conversation's identifiers that the other must have
MAX_RARE = 4  # conversations of a capture that may share an identifier
MAX_CANDIDATES = 64  # of one conversation
PROOF, LIKELY = 100, 40
_SEQUENCES, _SEQUENCE, _ENDPOINTS, _SERVER, _CLIENT, _PORT, _RANDOM, _TELLING, _STATIC, _TIME, _NAME, _BOX, _ENDS = 120, 60, 40, 10, 5, 3, 120, 60, 20, 20, 10, 15, 21


@dataclass(slots=True)
class Pairing:
    """The result: pairs, and what is known of the two clocks.

    offset_ns: how much the second clock is ahead of the first; None: nothing told. spread_ns: half of the pairs are closer to it than this.
    """

    pairs: list[tuple[TapFlow, TapFlow, str]] = field(default_factory=list)
    offset_ns: int | None = None
    spread_ns: int = 0
    n_ambiguous: int = 0


def pair(first: Tap, second: Tap) -> Pairing:
    """Join the conversations of two taps; sets `partner` of those that were joined."""
    found = Pairing()
    flows, others = first.flows, second.flows
    proofs = _Index(others)
    scored = [one for flow in flows for one in proofs.proven(flow)]
    _take(scored, PROOF, found)
    apart = [b.start_ns - a.start_ns for a, b, _why in found.pairs if a.start_seen and b.start_seen]
    apart = apart or [b.start_ns - a.start_ns for a, b, _why in found.pairs]
    offset = 0
    if apart:
        offset = found.offset_ns = int(numpy.median(numpy.array(apart, dtype=numpy.int64)))
        found.spread_ns = int(numpy.median(numpy.abs(numpy.array(apart, dtype=numpy.int64) - offset)))
    likely = _Likely([flow for flow in others if flow.partner is None], offset)
    _take([one for flow in flows if flow.partner is None for one in likely.of(flow)], LIKELY, found)
    return found


Scored = tuple[int, int, TapFlow, TapFlow, str]  # how sure, how far apart their starts are in ns, both, why


def _take(scored: list[Scored], threshold: int, found: Pairing) -> None:
    """Join what is most likely first; of two that are equally likely, and start as close together, neither."""
    of_flow: dict[int, list[Scored]] = defaultdict(list)
    for one in scored:
        of_flow[id(one[2])].append(one)
        of_flow[id(one[3])].append(one)
    for one in sorted(scored, key=lambda one: (-one[0], one[1])):
        score, apart, a, b, why = one
        if score < threshold or a.partner is not None or b.partner is not None:
            continue
        rivals = [other for other in (*of_flow[id(a)], *of_flow[id(b)])
                  if other[0] == score and other is not one and other[1] < 2 * apart + ALIKE_NS and other[2].partner is None and other[3].partner is None]
        if rivals:
            found.n_ambiguous += 1
            for _score, _apart, x, y, _why in (one, *rivals):
                x.partner = y.partner = False  # one of them, and nobody knows which
            continue
        a.partner, b.partner = b, a
        found.pairs.append((a, b, why))


def sequences_agree(a: TapFlow, b: TapFlow) -> tuple[int, int]:
    """How many of the initial sequence numbers that both taps know are equal, and how many are not."""
    equal = different = 0
    for x, y in zip(a.isn, b.isn):
        if x is not None and y is not None:
            if x == y:
                equal += 1
            else:
                different += 1
    return equal, different


def _sequences_near(a: TapFlow, b: TapFlow) -> bool:
    """Whether both sides' numbers lie as close together as they must where one capture began later; by chance that happens to one pair in millions."""
    for side in (0, 1):
        if a.silent[side] or b.silent[side] or not a.bytes[side] or not b.bytes[side]:
            return False
        apart = ((a.first[side] - b.first[side] + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        if abs(apart) > max(a.bytes[side], b.bytes[side]) + MAX_LOST_BYTES:
            return False
    return True


class _Index:
    """The second capture's conversations by what proves that they are a certain one."""

    def __init__(self, flows: Iterable[TapFlow]):
        self._by_isn: dict[tuple[int, int], list[TapFlow]] = defaultdict(list)
        self._by_ends: dict[tuple, list[TapFlow]] = defaultdict(list)
        self._by_token: dict[object, list[TapFlow]] = defaultdict(list)
        for flow in flows:
            for side, isn in enumerate(flow.isn):
                if isn is not None:
                    self._by_isn[side, isn].append(flow)
            self._by_ends[flow.ends].append(flow)
            for token in (*flow.telling, *((flow.client_random,) if flow.client_random else ())):
                known = self._by_token[token]
                if len(known) <= MAX_RARE:
                    known.append(flow)

    def proven(self, flow: TapFlow) -> list[Scored]:
        near: dict[int, TapFlow] = {}
        for side, isn in enumerate(flow.isn):
            if isn is not None:
                near.update((id(one), one) for one in self._by_isn.get((side, isn), ())[:MAX_CANDIDATES])
        near.update((id(one), one) for one in self._by_ends.get(flow.ends, ())[:MAX_CANDIDATES])
        shared: dict[int, int] = defaultdict(int)
        for token in flow.telling:
            holders = self._by_token.get(token, ())
            if len(holders) <= MAX_RARE:
                for one in holders:
                    near[id(one)] = one
                    shared[id(one)] += 1
        if flow.client_random:
            near.update((id(one), one) for one in self._by_token.get(flow.client_random, ())[:MAX_CANDIDATES])
        return [(score, abs(one.start_ns - flow.start_ns), flow, one, why) for one in near.values() for score, why in [_proof(flow, one, shared[id(one)])] if score >= PROOF]


def _proof(a: TapFlow, b: TapFlow, n_telling: int) -> tuple[int, str]:
    equal, different = sequences_agree(a, b)
    same_ends = a.ends == b.ends
    lines = _shared_lines(a, b)
    if equal == 2 and not different or equal == 1 and same_ends or not different and same_ends and _sequences_near(a, b):
        return _SEQUENCES + (_ENDPOINTS if same_ends else 0) + min(n_telling, 2) * _TELLING + int(lines * _STATIC), "sequence-numbers"
    if a.client_random and a.client_random == b.client_random:
        return _RANDOM + (_ENDPOINTS if same_ends else 0), "tls-random"
    if n_telling < MOSTLY * min(len(a.telling), len(b.telling)):  # the same account or the same daily report, on another day
        n_telling = 0
    score = min(n_telling, 3) * _TELLING + (_ENDPOINTS if same_ends else 0) + (equal + (not different and _sequences_near(a, b))) * _SEQUENCE
    if different and n_telling < 2 and not same_ends:
        score = 0
    return score + int(lines * _STATIC), "content" if n_telling else "endpoints"


def _shared_lines(a: TapFlow, b: TapFlow) -> float:
    fewer = min(len(a.static), len(b.static))
    return len(a.static & b.static) / fewer if fewer else 0.0


class _Likely:
    """The second capture's conversations by their time, on the first one's clock."""

    def __init__(self, flows: Iterable[TapFlow], offset_ns: int):
        self._flows = sorted(flows, key=lambda flow: flow.start_ns)
        self._starts = [flow.start_ns - offset_ns for flow in self._flows]
        self._offset = offset_ns
        self._by_ends: dict[tuple, list[TapFlow]] = defaultdict(list)
        for flow in self._flows:
            self._by_ends[flow.ends].append(flow)

    def of(self, flow: TapFlow) -> list[Scored]:
        index = bisect_left(self._starts, flow.start_ns - TOLERANCE_NS)
        near = {id(one): one for one in self._by_ends.get(flow.ends, ())}
        while index < len(self._starts) and self._starts[index] <= flow.start_ns + TOLERANCE_NS and len(near) < MAX_CANDIDATES:
            near[id(self._flows[index])] = self._flows[index]
            index += 1
        return [(score, abs(one.start_ns - self._offset - flow.start_ns), flow, one, why) for one in near.values() for score, why in [self._score(flow, one)] if score >= LIKELY]

    def _score(self, a: TapFlow, b: TapFlow) -> tuple[int, str]:
        equal, different = sequences_agree(a, b)
        apart = abs(b.start_ns - self._offset - a.start_ns)
        begin, end = max(a.start_ns, b.start_ns - self._offset), min(a.end_ns, b.end_ns - self._offset)
        if equal and different or a.start_seen and b.start_seen and apart > TOLERANCE_NS or 2 * (end - begin + SLACK_NS) < min(a.end_ns - a.start_ns, b.end_ns - b.start_ns):
            return 0, ""
        same_ends = a.ends == b.ends
        if not different and _sequences_near(a, b):
            return (_ENDPOINTS if same_ends else 0) + _SEQUENCES, "sequence-numbers"
        same_name = bool(a.sni and a.sni == b.sni)
        through_box = a.client_ip == b.server_ip or b.client_ip == a.server_ip
        lines = _shared_lines(a, b)
        together = apart <= SLACK_NS and abs(b.end_ns - self._offset - a.end_ns) <= ENDS_NS and a.start_seen and b.start_seen
        if not same_ends and (_speaks(a) != _speaks(b) or not self._is_alike(a, b, lines, same_name or through_box or together)):
            return 0, ""
        score = (_ENDPOINTS if same_ends else 0) + (_SERVER if a.server_ip == b.server_ip else 0) + (_CLIENT if a.client_ip == b.client_ip else 0)
        score += (_PORT if a.server_port == b.server_port else 0) + (_NAME if same_name else 0) + (_BOX if through_box else 0) + (_ENDS if together else 0) + min(len(a.telling & b.telling), 2) * _TELLING
        score += int(lines * _STATIC) + int(_TIME * max(0, 1 - apart / TOLERANCE_NS))
        return score, "endpoints" if same_ends else "content" if lines >= 0.5 or a.telling & b.telling else "time"

    def _is_alike(self, a: TapFlow, b: TapFlow, lines: float, linked: bool) -> bool:
        """Whether two conversations at one time, whose ends are not the same, say so much the same that they are one, as far as both can be read."""
        if a.tls_mode == b.tls_mode == "none":
            both, fewer = len(a.telling & b.telling), min(len(a.telling), len(b.telling))
            return lines >= MOSTLY - 0.15 and both >= fewer / 2
        if a.tls_mode == b.tls_mode == "starttls" or {a.tls_mode, b.tls_mode} == {"starttls", "none"}:
            clear = [len(flow.static) for flow in (a, b) if flow.tls_mode == "starttls"]
            if len(a.static & b.static) < MOSTLY * min(clear):
                return False
        linked = linked or a.server_ip == b.server_ip or a.client_ip == b.client_ip
        if {a.tls_mode, b.tls_mode} == {"starttls", "none"}:
            return linked
        return linked and all(abs(x - y) <= TLS_OVERHEAD + max(x, y) // 5 for x, y in zip(a.bytes, b.bytes))


_FAMILY = {"submission": "smtp", "submissions": "smtp", "smtps": "smtp", "lmtp": "smtp", "imaps": "imap", "pop3s": "pop3", "nntps": "nntp", "https": "http", "ldaps": "ldap"}


def _speaks(flow: TapFlow) -> str:
    """What is spoken, whether inside TLS or not, as far as protocol and port tell."""
    word = flow.service if flow.protocol in ("tls", "unknown") else flow.protocol
    return _FAMILY.get(word or "", word or "tls")


# --- connections of any kind, by their SYNs

ALONE = ("before-or-after", "unanswered", "answered", "midstream")  # why a connection was seen at one tap alone


def connections_alone(tap: Tap, other: Tap, offset_ns: int, paired: set[tuple]) -> tuple[int, dict[str, dict[int, int]]]:
    """Connections that were opened in one capture, and those of them that the other does not show.

    Args:
        offset_ns: what is to be added to this tap's times to have them on the other's clock.
        paired: ends (client, port, server, port) of conversations that were joined by other means.

    Returns:
        how many are in both, and reason -> server port -> how many are here alone.
    """
    from .session import address_text

    rows = tap.openings
    asked = rows[rows[:, openings.O_ANSWER] == 0]
    theirs = other.openings
    theirs = theirs[theirs[:, openings.O_ANSWER] == 0]
    known = set(theirs[:, openings.O_SEQ].tolist())
    ends: dict[tuple, list[int]] = defaultdict(list)
    for row in theirs.tolist():
        ends[tuple(row[:openings.O_SEQ])].append(row[openings.O_NS])
    answers = {(row[openings.O_DST0], row[openings.O_DST1], row[openings.O_SRC0], row[openings.O_SRC1], row[openings.O_PORTS] & 0xFFFF, row[openings.O_PORTS] >> 16)
               for row in rows[rows[:, openings.O_ANSWER] == 1].tolist()}
    span = other.span
    alone: dict[str, dict[int, int]] = {}
    n_both, seen = 0, set()
    for row in asked.tolist():
        ports = row[openings.O_PORTS]
        key = (*row[:openings.O_PORTS], ports >> 16, ports & 0xFFFF)
        if (key, row[openings.O_SEQ]) in seen:
            continue
        seen.add((key, row[openings.O_SEQ]))
        ns = row[openings.O_NS] + offset_ns
        same_ends = any(abs(one - ns) <= TOLERANCE_NS for one in ends.get(tuple(row[:openings.O_SEQ]), ()))
        if row[openings.O_SEQ] in known or same_ends or (address_text(*key[:2]), key[4], address_text(*key[2:4]), key[5]) in paired:
            n_both += 1
            continue
        reason = "before-or-after" if span is None or not span[0] - SLACK_NS <= ns <= span[1] + SLACK_NS else "answered" if key in answers else "unanswered"
        ports_alone = alone.setdefault(reason, {})
        port = key[5] if key[5] in ports_alone or len(ports_alone) < 64 else 0
        ports_alone[port] = ports_alone.get(port, 0) + 1
    return n_both, alone
