"""Where a run falls behind what is remembered of the same servers: lists that lost the offer or their strong mechanisms, and clients that spoke TLS before.

What is remembered counts as earlier only where all of it lies ahead of what this run saw. Where both kinds took turns in the past they are several machines
behind one address, or a server that comes and goes: no regression.
"""
from __future__ import annotations

from typing import Any, Iterable, Iterator, NamedTuple

from .comparing import MAX_FINDINGS, groups, has, once, used_in_clear
from .offer_changes import MAX_OFFERS, OTHER, likeness, lists, same_words
from .remembered import OfferSeen, PairSeen, Remembered, plain
from .visit_flags import ESTABLISHED, LISTED, OFFERED
from .visits import MORE, Offer, Visit, Visits, ordered


class ListChange(NamedTuple):
    """One server, below one greeting, whose lists of this run differ from those before."""

    rows: Any  # of this run, in order of time
    first: Visit
    last: Visit
    before: list[OfferSeen]  # lists of old that those of now may be compared with, earliest first
    now: list[Offer]
    lost_offer: bool  # they offered STARTTLS; else both do, or neither does
    since_ns: int  # when the list was first like that: in this run, or before

    @property
    def latest(self) -> OfferSeen:
        """Of the lists of old the one seen last."""
        return max(self.before, key=lambda one: (one.last_ns, one.listed))

    @property
    def first_ns(self) -> int:
        return min(one.first_ns for one in self.before)


def list_changes(visits: Visits, remembered: Remembered) -> list[ListChange]:
    """All of them, in any order."""
    return once(visits, "list changes", lambda visits: list(_list_changes(visits, remembered)))


def _list_changes(visits: Visits, remembered: Remembered) -> Iterator[ListChange]:
    if not remembered.offers:
        return
    rows = visits.rows()
    rows = ordered(rows[((rows["flags"] & LISTED) != 0) & (rows["banner"] != MORE)], "server", "banner")
    starts = groups(rows, "server", "banner").tolist()
    for begin, end in zip(starts, [*starts[1:], len(rows)]):
        first = visits.look_up(rows[begin])
        known = remembered.offers.get((plain(first.server_ip), first.server_port, plain(first.banner)))
        change = _compare(visits, rows[begin:end], first, known) if known is not None else None
        if change is not None:
            yield change


def _compare(visits: Visits, rows: Any, first: Visit, known: list[OfferSeen]) -> ListChange | None:
    offered = (rows["flags"] & OFFERED) != 0
    if offered.any() and not offered.all():
        return None  # the run shows both by itself
    is_offered = bool(offered[0])
    had = [one for one in known if one.offered]
    lost_offer = not is_offered and bool(had)
    if lost_offer and _in_turn(had, [one for one in known if not one.offered], first.start_ns):
        return None
    now = [offer for _number, offer in lists(visits, rows)]
    before = []
    for one in sorted(had if lost_offer else known, key=lambda one: (one.first_ns, one.listed))[:MAX_OFFERS]:
        old = one.offer
        if any(likeness(first.protocol, old, offer) != OTHER if lost_offer else same_words(old, offer) for offer in now):
            before.append(one)
    if not before:
        return None
    since_ns = min([first.start_ns, *(one.first_ns for one in known if lost_offer and not one.offered and one.first_ns > max(good.last_ns for good in had))])
    return ListChange(rows, first, visits.look_up(rows[-1]), before, now, lost_offer, since_ns)


def _in_turn(good: Iterable[OfferSeen], bad: Iterable[OfferSeen], now_ns: int) -> bool:
    """Whether the good kind is not all behind us, or took turns with the bad one."""
    last = max(one.last_ns for one in good)
    first = min(one.first_ns for one in good)
    return last >= now_ns or any(one.first_ns < last and one.last_ns > first for one in bad)


def weakened(change: ListChange, is_strong: Any, is_weak: Any) -> list[OfferSeen]:
    """Of a change's lists of old those with strong mechanisms, when all of them were so until a moment and those of now are weak; else none."""
    strong = [one for one in change.before if is_strong(one.offer)]
    weak = [one for one in change.before if not is_strong(one.offer)]
    if not strong or not all(map(is_weak, change.now)) or _in_turn(strong, weak, change.first.start_ns):
        return []
    return strong


class PairChange(NamedTuple):
    """A client that used TLS with a server in the past, and is served in clear by it now."""

    before: PairSeen
    first_clear: Visit
    n_clear: int
    n_unasked: int  # of them, how many had STARTTLS on offer and did not ask for it
    n_stripped: int  # of them, how many had a whole list without the offer
    since_ns: int  # when it was first in clear since that TLS
    related: list[int]


def pair_changes(visits: Visits, remembered: Remembered) -> Iterator[PairChange]:
    """All of them, at most MAX_FINDINGS, in any order."""
    import numpy

    rows = visits.rows()
    of_client, of_server = visits.clients.ids, visits.servers.ids
    wanted = {(client, server) for one in remembered.pairs.values() if one.tls_last_ns
              and (client := of_client.get(one.client_ip)) is not None and (server := of_server.get((one.server_ip, one.server_port))) is not None}
    if not wanted:
        return
    pairs = rows["client"].astype("<i8") << 32 | rows["server"]
    rows = ordered(rows[numpy.isin(pairs, [client << 32 | server for client, server in wanted])], "client", "server")
    starts = groups(rows, "client", "server")
    served = has(used_in_clear(rows["flags"]), starts)
    ends = [*starts[1:].tolist(), len(rows)]
    n = 0
    for begin, end, is_served in zip(starts.tolist(), ends, served.tolist()):
        if is_served and n < MAX_FINDINGS:
            for change in _pair(visits, remembered, rows[begin:end]):
                n += 1
                yield change


def _pair(visits: Visits, remembered: Remembered, rows: Any) -> Iterator[PairChange]:
    import numpy

    clear = used_in_clear(rows["flags"])
    names = rows["client_name"]
    with_tls = set(names[(rows["flags"] & ESTABLISHED) != 0].tolist())
    for name in numpy.unique(names[clear]).tolist():
        if name == MORE or name in with_tls or MORE in with_tls or 0 in with_tls:
            continue  # this run shows TLS too, or somebody's that may be his
        mine = rows[clear & (names == name)]
        first = visits.look_up(mine[0])
        before = remembered.pairs.get((plain(first.client_ip), plain(first.client_name), plain(first.server_ip), first.server_port))
        if before is None or not before.tls_last_ns or before.tls_last_ns >= first.start_ns:
            continue
        if before.clear_first_ns and before.clear_first_ns < before.tls_last_ns and before.clear_last_ns > before.tls_first_ns:
            continue  # it goes on and off
        flags = mine["flags"]
        n_stripped = int(((flags & (LISTED | OFFERED)) == LISTED).sum())
        if n_stripped == len(mine) and before.banner and first.banner and "***" not in first.banner and before.banner != plain(first.banner):
            continue  # another server stands there now
        since_ns = min(first.start_ns, before.clear_first_ns) if before.clear_first_ns > before.tls_last_ns else first.start_ns
        yield PairChange(before, first, len(mine), int(((flags & OFFERED) != 0).sum()), n_stripped, since_ns, mine["session_id"].tolist())
