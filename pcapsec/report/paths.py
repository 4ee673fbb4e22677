"""The ways that mail takes, from the client to the mailbox, and what protects each step: the builder behind the summary's mail paths and the table of them.

Two sources are put together. Messages that were read tell their whole way, by what was captured and by their Received fields. Conversations in which no
message could be read tell which servers speak with which, and how: steps of one server are put behind one another, and nothing is said of who wrote what to
whom. What was not seen is a step that says so. Ways that are alike are one path, however many messages took it; everything is bounded.
"""
from __future__ import annotations

from hashlib import blake2b
from typing import Any, Iterable, NamedTuple

from ..rules.collected import Collected
from ..rules.journeys import Journey, Step, journeys
from ..rules.visit_flags import CONTENT, ESTABLISHED, LOGGED_IN, MAIL_SENT, PROBE, STARTED
from ..rules.visits import MORE, VERDICT_SHIFT, Visits

MAX_PATHS = 2000
MAX_EDGES = 10_000
MAX_CLIENTS = 10_000  # of an edge, for counting
MAX_ENDS = 3  # servers of one step that are named; of more the step tells how many
WORST = ("exposed", "weak", "unknown", "protected")  # in the order in which they should be read
_ROLE = {"smtp": "relay", "submission": "submission", "submissions": "submission", "lmtp": "delivery", "imap": "mailbox", "imaps": "mailbox", "pop3": "mailbox", "pop3s": "mailbox"}
_ROLES = ("", "submission", "relay", "delivery", "mailbox")
_SUBMISSION, _RELAY, _DELIVERY = 1, 2, 3


class PathStep(NamedTuple):
    """One step of a path."""

    role: str  # submission, relay, delivery, mailbox
    sender: str | None  # who connects: a name or an address; None: clients, or not known
    receiver: str | None
    verdict: str
    tls: str | None  # version, or TLS where several or none is told
    source: str  # captured, header, both, guessed, unseen
    n_sessions: int = 0  # captured conversations
    n_worst: int = 0  # of those, the ones with the step's verdict
    n_senders: int = 1
    n_receivers: int = 1


class Place(NamedTuple):
    """Where a path was seen first."""

    ts_ns: int
    capture: str
    frame: int
    session_id: str


class MailPath(NamedTuple):
    """A way of mail."""

    path_id: str
    verdict: str  # the worst of what was seen
    complete: bool  # nothing of it is unseen or unknown, from the first step to the mailbox
    steps: tuple[PathStep, ...]
    n_messages: int  # that were read
    n_sealed: int  # of those, the ones that are encrypted themselves
    from_domains: tuple[str, ...]  # at most MAX_ENDS + 1
    to_domains: tuple[str, ...]
    first: Place


class Paths(NamedTuple):
    """All of them, the worst first."""

    paths: tuple[MailPath, ...]
    n_more: int  # that are not kept


def build(collected: Collected | None) -> Paths:
    """The paths of a run; the same whatever the number of workers."""
    if collected is None:
        return Paths((), 0)
    visits = collected.visits
    ways = journeys(collected.trail, visits)
    told = {int(session_id, 16) for journey in ways for step in journey.steps for session_id in step.session_ids if _is_hex(session_id)}
    seen = _Seen(visits, ways, told)
    found = [*_of_messages(ways, seen), *seen.paths()]
    found.sort(key=lambda path: (WORST.index(path.verdict), -path.n_messages, -sum(step.n_sessions for step in path.steps), path.first, path.path_id))
    return Paths(tuple(found[:MAX_PATHS]), max(0, len(found) - MAX_PATHS))


# --- from messages

def _of_messages(ways: list[Journey], seen: "_Seen") -> Iterable[MailPath]:
    groups: dict[tuple, list[tuple[Journey, tuple[PathStep, ...]]]] = {}
    for journey in ways:
        steps = tuple(seen.step(step, first=at == 0) for at, step in enumerate(journey.steps))
        key = journey.n_earlier > 0, tuple((step.role, step.sender, step.receiver, step.verdict, step.source) for step in steps)
        groups.setdefault(key, []).append((journey, steps))
    for (earlier, _), group in groups.items():
        alike = [steps for _, steps in group]
        steps = [_summed([one[at] for one in alike]) for at in range(len(alike[0]))]
        if earlier:
            steps.insert(0, PathStep("relay", None, steps[0].sender, "unknown", None, "unseen"))
        last = group[0][0].steps[-1]
        if last.role != "mailbox":
            steps.append(seen.mailbox(seen.label(last.to_ip, last.to_name)))
        legs = [journey.leg for journey, _ in group]
        n_sealed = sum(leg.sealed for leg in legs)
        first = min(Place(leg.ts_ns, leg.capture, leg.frame, leg.session_id) for leg in legs)
        yield _path(steps, len(legs), n_sealed, _few(leg.from_domain for leg in legs), _few(leg.rcpt_domain for leg in legs), first)


def _summed(steps: list[PathStep]) -> PathStep:
    """The same step of several messages."""
    one = steps[0]
    versions = {step.tls for step in steps}
    n = sum(step.n_sessions for step in steps)
    return one._replace(tls=one.tls if len(versions) == 1 else "TLS" if one.tls else None, n_sessions=n, n_worst=n)


# --- from conversations

class _Edge:
    """Conversations of one kind between clients and a server."""

    __slots__ = ("counts", "clients", "versions", "first")

    def __init__(self, first: Place):
        self.counts = dict.fromkeys(WORST, 0)
        self.clients: set[str] = set()
        self.versions: dict[str, set[str | None]] = {word: set() for word in WORST}  # None: without TLS, or its version was not seen
        self.first = first

    def step(self, role: str, sender: str | None, receiver: str | None) -> PathStep:
        verdict = next(word for word in WORST if self.counts[word])
        versions = self.versions[verdict]
        tls = next(iter(versions)) if len(versions) == 1 else "TLS" if None not in versions else None
        if verdict == "protected":
            tls = tls or "TLS"
        elif verdict != "weak":
            tls = None
        return PathStep(role, sender, receiver, verdict, tls, "captured", sum(self.counts.values()), self.counts[verdict], len(self.clients))


class _Seen:
    """What conversations say beside the messages: edges between servers, and the names of hosts."""

    def __init__(self, visits: Visits, ways: list[Journey], told: set[int]):
        self.names: dict[str, str] = {}  # of addresses: what their servers call themselves, else what others do
        self.edges: dict[tuple[str, str | None, str], _Edge] = {}  # role, who sends (None: clients), who takes
        self._used: set[str] = set()  # servers whose mailbox step stands in a path
        if len(visits):
            self._name(visits)
        others: dict[str, str] = {}
        for journey in ways:
            for step in journey.steps:
                for address, name in ((step.to_ip, step.to_name), (step.from_ip, step.from_name)):
                    if address and name and address not in self.names:
                        others[address] = min(name, others.get(address, name))
        self.names |= others
        if len(visits):
            self._look(visits, told)

    def _name(self, visits: Visits) -> None:
        import numpy

        rows, servers, texts = visits.rows(), visits.servers.values, visits.texts.values
        pairs, counts = numpy.unique((rows["server"].astype("i8") << 32 | rows["name"])[rows["name"] > MORE], return_counts=True)
        best: dict[str, tuple[int, str]] = {}
        for pair, n in zip(pairs.tolist(), counts.tolist()):
            address, name = servers[pair >> 32][0], texts[pair & 0xFFFFFFFF]
            best[address] = min(best.get(address, (1, "")), (-n, name))
        self.names = {address: name for address, (_, name) in best.items()}

    def _look(self, visits: Visits, told: set[int]) -> None:
        import numpy

        rows = visits.rows()
        kinds = visits.kinds.values
        wide = {name: rows[name].astype("i8") for name in ("client", "server", "kind")}
        flags = rows["flags"].astype("i8")
        role = numpy.array([_ROLES.index(_ROLE.get(kind[1] or kind[0], "")) if kind else 0 for kind in kinds])[wide["kind"]]
        role = numpy.where((role == _RELAY) & ((flags & LOGGED_IN) != 0), _SUBMISSION, role)
        passed = (flags & (ESTABLISHED | STARTED | CONTENT | MAIL_SENT | LOGGED_IN)) != 0
        chosen = numpy.flatnonzero(passed & ((flags & PROBE) == 0) & (role > 0) & ~numpy.isin(rows["session_id"], numpy.array(sorted(told), dtype="<u8")))
        between = (role == _RELAY) | (role == _DELIVERY)  # only of servers it matters who they are
        told_by = flags >> VERDICT_SHIFT & 3 | numpy.where((flags & ESTABLISHED) != 0, 4, 0) | numpy.where((flags & STARTED) != 0, 8, 0)
        alike = (((role * (1 << 21) + numpy.where(between, wide["client"], 0)) * (1 << 19) + wide["server"]) * (1 << 16) + wide["kind"]) * 16 + told_by
        _, firsts, places = numpy.unique(alike[chosen], return_index=True, return_inverse=True)
        counts = numpy.bincount(places, minlength=len(firsts)).tolist()
        for n, row, number in sorted(zip(counts, rows[chosen[firsts]], role[chosen[firsts]].tolist()), key=lambda one: (int(one[1]["start_ns"]), int(one[1]["session_id"]))):
            self._add(visits, row, _ROLES[number], n)
        pairs = numpy.unique((wide["server"] * (1 << 21) + wide["client"])[chosen] * 8 + role[chosen])
        for one in pairs.tolist():
            pair, number = divmod(one, 8)
            server, client = divmod(pair, 1 << 21)
            if not between_servers(_ROLES[number]):
                edge = self.edges.get((_ROLES[number], None, self.label(visits.servers.values[server][0], None) or ""))
                if edge is not None and len(edge.clients) < MAX_CLIENTS:
                    edge.clients.add(visits.clients.values[client])

    def _add(self, visits: Visits, row: Any, role: str, n: int) -> None:
        """So many conversations, of which this is the first."""
        visit = visits.look_up(row)
        sender = self.label(visit.client_ip, visit.client_name) if between_servers(role) else None
        key = role, sender, self.label(visit.server_ip, None) or visit.server_ip
        edge = self.edges.get(key)
        if edge is None:
            if len(self.edges) >= MAX_EDGES:
                return
            edge = self.edges[key] = _Edge(Place(visit.start_ns, visit.capture, visit.frame, visit.session_id))
        begun = visit.flags & STARTED and not visit.flags & ESTABLISHED
        verdict = "unknown" if visit.verdict in ("weak", "protected") and begun else visit.verdict
        edge.counts[verdict] += n
        edge.versions[verdict].add(visit.version if visit.flags & ESTABLISHED else None)
        if sender is not None:
            edge.clients.add(visit.client_ip)

    def label(self, address: str | None, name: str | None) -> str | None:
        """What a host is called: a name that a server gave or was asked for, else the one in a Received field or EHLO, else its address."""
        known = self.names.get(address) if address else None
        return known or (name if name and "." in name.strip("[]") else None) or address or name

    def step(self, step: Step, first: bool) -> PathStep:
        """A message's step; who submits is one of many clients."""
        sender = None if first and step.role == "submission" or step.role == "mailbox" else self.label(step.from_ip, step.from_name)
        n = len(step.session_ids)
        return PathStep(step.role, sender, self.label(step.to_ip, step.to_name), step.verdict, step.tls, step.source, n, n)

    def mailbox(self, server: str | None) -> PathStep:
        """How mailboxes of a server are read."""
        edge = self.edges.get(("mailbox", None, server or ""))
        if edge is None:
            return PathStep("mailbox", None, server, "unknown", None, "unseen")
        self._used.add(server or "")
        return edge.step("mailbox", None, server)

    def paths(self) -> Iterable[MailPath]:
        """Ways put together from what servers were seen to do."""
        outward: dict[str, list[tuple[str, str | None, str]]] = {}
        for key in sorted(self.edges, key=_edge_order):
            if key[0] in ("relay", "delivery"):
                outward.setdefault(key[1] or "", []).append(key)
        submitted = {key[2]: key for key in self.edges if key[0] == "submission"}
        for server in sorted(submitted):
            edge = self.edges[submitted[server]]
            begin = edge.step("submission", None, server)
            for relay in self._together(outward.get(server, [])):
                yield _path([begin, *relay], 0, 0, (), (), edge.first)
            if server not in outward:
                yield _path([begin, self.mailbox(server)], 0, 0, (), (), edge.first)
        inward: dict[str, list[tuple[str, str | None, str]]] = {}
        for server, keys in outward.items():
            if server not in submitted:
                if len(keys) > MAX_ENDS:
                    for relay in self._together(keys):
                        yield _path(relay, 0, 0, (), (), min(self.edges[key].first for key in keys))
                    continue
                for key in keys:
                    inward.setdefault(key[2], []).append(key)
        for server in sorted(inward):
            keys = inward[server]
            for group in [keys] if len(keys) > MAX_ENDS else [[key] for key in keys]:
                steps = [self._joined(group), self.mailbox(server)]
                yield _path(steps, 0, 0, (), (), min(self.edges[key].first for key in group))
        for key in sorted(self.edges, key=_edge_order):
            if key[0] == "mailbox" and key[2] not in self._used:
                edge = self.edges[key]
                yield _path([edge.step("mailbox", None, key[2])], 0, 0, (), (), edge.first)

    def _together(self, keys: list[tuple[str, str | None, str]]) -> Iterable[list[PathStep]]:
        """What a server sends on: to each of a few others, or to many."""
        if len(keys) > MAX_ENDS:
            yield [self._joined(keys), PathStep("mailbox", None, None, "unknown", None, "unseen")]
        else:
            for key in keys:
                yield [self.edges[key].step(key[0], key[1], key[2]), self.mailbox(key[2])]

    def _joined(self, keys: list[tuple[str, str | None, str]]) -> PathStep:
        """Several edges that have one end in common as one step."""
        whole = _Edge(min(self.edges[key].first for key in keys))
        for key in keys:
            edge = self.edges[key]
            for word, n in edge.counts.items():
                whole.counts[word] += n
            for word, versions in edge.versions.items():
                whole.versions[word] |= versions
            whole.clients |= edge.clients
        senders, receivers = {key[1] for key in keys}, {key[2] for key in keys}
        step = whole.step(keys[0][0], keys[0][1] if len(senders) == 1 else None, keys[0][2] if len(receivers) == 1 else None)
        return step._replace(n_senders=len(senders), n_receivers=len(receivers))


# --- both

def _path(steps: list[PathStep], n_messages: int, n_sealed: int, from_domains: tuple[str, ...], to_domains: tuple[str, ...], first: Place) -> MailPath:
    known = [step.verdict for step in steps if step.source != "unseen"]
    verdict = min(known, key=WORST.index, default="unknown")
    if verdict == "exposed" and n_messages and n_sealed == n_messages:
        verdict = "weak"  # the way can be read, the content cannot
    begun = steps[0].role == "submission" or n_messages > 0 and steps[0].role != "mailbox"  # Received fields tell where a message comes from
    complete = begun and all(step.source != "unseen" and step.verdict != "unknown" for step in steps)
    text = repr((from_domains, to_domains, [(step.role, step.sender, step.receiver, step.verdict, step.source, step.n_senders, step.n_receivers) for step in steps]))
    return MailPath(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(), verdict, complete, tuple(steps), n_messages, n_sealed, from_domains, to_domains, first)


def _few(domains: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({domain for domain in domains if domain})[:MAX_ENDS + 1])


def _edge_order(key: tuple[str, str | None, str]) -> tuple[str, str, str]:
    return key[0], key[1] or "", key[2]


def between_servers(role: str) -> bool:
    return role in ("relay", "delivery")


def _is_hex(text: str) -> bool:
    try:
        return int(text, 16) >= 0
    except ValueError:
        return False
