"""The way of each message, step by step: what was captured of it, and what its Received fields say of the rest.

A copy of a message is followed back through its Received fields. A step that was captured too is told by the capture. One that went inside TLS shows no
Message-ID; it is taken for a captured conversation where the field names its two ends and there was no other between them at that time but TLS. A copy that was
captured may have gone on inside TLS: only where its server took nothing else and sent nothing else within a minute is that taken for the same message.
"""
from __future__ import annotations

from bisect import bisect_left
from typing import Any, Iterable, NamedTuple, Sequence

from ..records import Hop
from .handshake import OBSOLETE
from .trail import Leg, Trail, written_about
from .visit_flags import ESTABLISHED
from .visits import MORE, Visit, Visits

QUEUE_NS = 3600 * 10**9  # how long a message may have waited between two steps
CLOCK_NS = 300 * 10**9  # how wrong the clock behind a Received field may be
LONG_NS = 600 * 10**9  # how long a conversation may take to deliver a message
SOON_NS = 60 * 10**9  # a copy that goes on within that time, alone, is the same message
MAX_CANDIDATES = 64  # conversations looked at for a step
MAX_STEPS = 16
LEAST_SHARE, ROOM_BYTES = 0.9, 8192  # of a message's size that a conversation inside TLS must have; what commands and TLS itself may add to it
_SENDING = frozenset(("smtp", "submission", "submissions", "lmtp"))

Pair = tuple[str, str]  # address of the client; the server's address, or its name


class Step(NamedTuple):
    """One step of a message."""

    role: str  # submission, relay, delivery, mailbox
    from_name: str | None
    from_ip: str | None
    to_name: str | None
    to_ip: str | None
    verdict: str  # protected, exposed, weak, unknown: of the way, not of the message
    tls: str | None  # version; "TLS" where it is not told; None: none, or unknown
    source: str  # captured, header, both (captured inside TLS, and the field names it), guessed (captured inside TLS, told by time and size)
    session_ids: tuple[str, ...] = ()
    leg: Leg | None = None


class Journey(NamedTuple):
    """A copy of a message and how it came here, and perhaps went on."""

    message_id: str
    steps: tuple[Step, ...]
    n_earlier: int  # steps before, of which nothing was kept
    leg: Leg  # the copy


def journeys(trail: Trail, visits: Visits) -> list[Journey]:
    """All of them, in order of time; the same in every run."""
    known = trail.answers.get("journeys")
    if known is None:
        trail.legs.settle()
        sessions = _Sessions(visits, [leg for legs in trail.legs.values() for leg in legs])
        known = [journey for message_id, legs in trail.legs.items() for journey in _of_message(message_id, legs, sessions)]
        known.sort(key=lambda journey: (*_order(journey.leg), journey.message_id))
        trail.answers["journeys"] = known
    return known


def _of_message(message_id: str, legs: list[Leg], sessions: "_Sessions") -> Iterable[Journey]:
    """Each copy that no later copy comes from, and what led to it."""
    used: set[str] = set()
    for leg in sorted(legs, key=lambda leg: (-leg.n_hops, leg.sent, _order(leg))):  # what was fetched is later than what was sent
        if leg.session_id not in used:
            journey = _back(message_id, leg, legs, sessions)
            used.update(step.leg.session_id for step in journey.steps if step.leg is not None)
            yield journey


def _back(message_id: str, leg: Leg, legs: list[Leg], sessions: "_Sessions") -> Journey:
    hops = sorted(leg.hops, key=lambda hop: hop.hop)
    writers = {hop.hop: newer.from_ip for hop, newer in zip(hops, hops[1:])}  # who wrote a field is who handed the message on
    if hops:
        writers[hops[-1].hop] = leg.client_ip if leg.sent else leg.ends.server_ip
    steps = []
    for hop in hops:
        wire = next((one for one in legs if one is not leg and written_about(one, leg) is hop), None)
        if wire is not None:
            steps.append(_captured(wire, hop))
        elif not hop.local and (hop.from_ip is None or hop.from_ip != writers.get(hop.hop)):
            steps.append(_told(hop, writers.get(hop.hop), leg, sessions))
    steps.append(_captured(leg, None))
    if leg.sent and not leg.bulk:
        onward = sessions.onward(leg)
        if onward is not None:
            steps.append(_inside(onward))
    earlier = leg.n_hops - len(hops) + max(0, len(steps) - MAX_STEPS)
    return Journey(message_id, tuple(steps[-MAX_STEPS:]), earlier, leg)


def _captured(leg: Leg, hop: Hop | None) -> Step:
    """A step whose message was read; `hop`: the field that its server wrote, seen later."""
    service, protocol = leg.ends.service, leg.ends.protocol
    role = "delivery" if protocol == "lmtp" else "relay" if leg.sent else "mailbox"
    if leg.sent and service in ("submission", "submissions"):
        role = "submission"
    names = (hop.from_host, hop.by_host) if hop is not None else (leg.client_name, leg.ends.server_name)
    if leg.protected:
        verdict, tls = (leg.verdict if leg.verdict in ("protected", "weak") else "protected"), "TLS"
    else:
        verdict, tls = "exposed", None
    return Step(role, names[0] or leg.client_name, leg.client_ip, names[1] or leg.ends.server_name, leg.ends.server_ip, verdict, tls, "captured", (leg.session_id,), leg)


def _told(hop: Hop, writer_ip: str | None, leg: Leg, sessions: "_Sessions") -> Step:
    """A step that a Received field tells of, and perhaps the conversation inside TLS that it was."""
    words = (hop.with_protocol or "").upper()
    role = "delivery" if words.startswith("LMTP") else "submission" if words.startswith(("ESMTP", "UTF8SMTP")) and words.endswith("A") else "relay"
    if hop.protected is None:
        verdict = "unknown"
    elif hop.protected:
        verdict = "weak" if hop.tls_version in OBSOLETE else "protected"
    else:
        verdict = "exposed"
    tls = (hop.tls_version or "TLS") if hop.protected else None
    found = sessions.inward(hop, writer_ip, leg) if hop.protected is not False else []
    if found:
        first = found[0]
        verdict = "weak" if any(visit.verdict == "weak" for visit in found) else "protected"
        return Step(role, hop.from_host, hop.from_ip, hop.by_host, writer_ip, verdict, first.version or tls or "TLS", "both", tuple(visit.session_id for visit in found))
    return Step(role, hop.from_host, hop.from_ip, hop.by_host, writer_ip, verdict, tls, "header")


def _inside(visit: Visit) -> Step:
    role = "delivery" if visit.service == "lmtp" else "relay"
    return Step(role, visit.client_name, visit.client_ip, visit.name, visit.server_ip, "weak" if visit.verdict == "weak" else "protected", visit.version or "TLS", "guessed", (visit.session_id,))


class _Sessions:
    """Conversations between mail servers that messages may have passed in, by their two ends."""

    def __init__(self, visits: Visits, legs: list[Leg]):
        self._visits = visits
        self._rows: Any = ()  # of visits; the lists hold places in it
        self._by_pair: dict[Pair, list[int]] = {}
        self._by_name: dict[Pair, list[int]] = {}
        self._by_client: dict[str, list[int]] = {}
        self._by_server: dict[str, list[int]] = {}
        wanted = {leg.ends.server_ip for leg in legs if leg.sent} | {leg.client_ip for leg in legs} | {hop.from_ip for leg in legs for hop in leg.hops if hop.from_ip}
        if not len(visits) or not wanted:
            return
        import numpy

        rows = visits.rows()
        clients, servers = visits.clients.values, visits.servers.values
        near = numpy.zeros(len(clients), dtype=bool)
        near[[number for number, address in enumerate(clients) if number > 1 and address in wanted]] = True
        ours = numpy.zeros(len(servers), dtype=bool)
        ours[[number for number, server in enumerate(servers) if number > 1 and server[0] in wanted]] = True
        kinds = numpy.zeros(len(visits.kinds.values), dtype=bool)
        kinds[[number for number, kind in enumerate(visits.kinds.values) if kind is not None and kind[1] in _SENDING]] = True
        rows = self._rows = rows[(near[rows["client"]] | ours[rows["server"]]) & kinds[rows["kind"]]]
        texts = visits.texts.values
        for at, (one, other, name) in enumerate(zip(rows["client"].tolist(), rows["server"].tolist(), rows["name"].tolist())):
            client, server = clients[one], servers[other][0]
            if name > MORE:
                self._by_name.setdefault((client, texts[name]), []).append(at)
            self._by_pair.setdefault((client, server), []).append(at)
            self._by_client.setdefault(client, []).append(at)
            self._by_server.setdefault(server, []).append(at)

    def inward(self, hop: Hop, server_ip: str | None, leg: Leg) -> list[Visit]:
        """Conversations inside TLS of which one is the step that a field tells of; none where some of them was not inside TLS."""
        if hop.from_ip is None:
            return []
        if hop.time_ns is not None:
            begin, end = hop.time_ns - CLOCK_NS - LONG_NS, min(hop.time_ns + CLOCK_NS, leg.end_ns)
        else:
            begin, end = leg.ts_ns - QUEUE_NS, leg.end_ns
        found, least = [], leg.size_bytes * LEAST_SHARE - ROOM_BYTES
        places = {*self._between(self._by_pair.get((hop.from_ip, server_ip or ""), ()), begin, end), *self._between(self._by_name.get((hop.from_ip, hop.by_host or ""), ()), begin, end)}
        if len(places) >= MAX_CANDIDATES:  # more than were looked at
            return []
        for at in sorted(places):
            row = self._rows[at]
            if hop.time_ns is not None and self._start(at) + int(row["duration_ms"]) * 1_000_000 < hop.time_ns - CLOCK_NS or row["bytes_client"] < least:
                continue
            if not row["flags"] & ESTABLISHED:
                return []
            found.append(self._visits.look_up(row))
        return found

    def onward(self, leg: Leg) -> Visit | None:
        """The one conversation, inside TLS, in which the server of a copy sent something of that size soon after; None where it took or sent anything else."""
        begin, end = leg.ts_ns - SOON_NS, leg.end_ns + SOON_NS
        taken = self._between(self._by_server.get(leg.ends.server_ip, ()), begin, end)
        sent = self._between(self._by_client.get(leg.ends.server_ip, ()), begin, end)
        if len(taken) != 1 or len(sent) != 1 or "%016x" % int(self._rows[taken[0]]["session_id"]) != leg.session_id.zfill(16):
            return None
        row = self._rows[sent[0]]
        if not row["flags"] & ESTABLISHED or int(row["start_ns"]) < leg.ts_ns:
            return None
        if not leg.size_bytes <= row["bytes_client"] <= leg.size_bytes * 1.1 + ROOM_BYTES:
            return None
        return self._visits.look_up(row)

    def _between(self, places: Sequence[int], begin: int, end: int) -> list[int]:
        """The first few conversations that began between two times; they are in order of time."""
        first = bisect_left(places, begin, key=self._start)
        return [at for at in places[first:first + MAX_CANDIDATES] if self._start(at) <= end]

    def _start(self, at: int) -> int:
        return int(self._rows[at]["start_ns"])


def _order(leg: Leg) -> tuple[int, str, int, str]:
    return leg[:4]
