"""What a run has to tell to those that come after it, taken out of its memory of conversations."""
from __future__ import annotations

from typing import Any, Iterator

from .collected import Collected
from .comparing import groups, used_in_clear
from .handshake import YEAR_1995_NS
from .remembered import MAX_KEYS, MAX_OFFERS, MAX_PAIRS, MAX_VERSIONS, KeySeen, OfferSeen, PairSeen, Remembered, VersionSeen, packed, plain
from .visit_flags import ESTABLISHED, LISTED, OFFERED
from .visits import MORE, Visits, ordered

DAY_NS = 86_400 * 10**9


def gather(collected: Collected, now_ns: int) -> Remembered:
    """What a run has to add: of times that can be true, for a wrong clock would make everything else look old."""
    visits, found = collected.visits, Remembered()
    rows = visits.rows()
    rows = rows[(rows["start_ns"] >= YEAR_1995_NS) & (rows["start_ns"] <= now_ns + DAY_NS)]
    _offers(visits, rows, found)
    _versions(visits, rows, found)
    _pairs(visits, rows, found)
    for (address, port, sni), uses in sorted(collected.keys.items()):
        for spki, use in sorted(uses.items()):
            if YEAR_1995_NS <= use.first.ts_ns <= use.last_ns <= now_ns + DAY_NS and len(found.keys) < MAX_KEYS:
                found.add(KeySeen(plain(address), port, plain(sni), plain(spki), plain(use.issuer), use.first.ts_ns, use.last_ns, source_of(use.first.capture)))
    return found


def source_of(capture: str) -> str:
    """A capture's name without its folder."""
    return plain(capture.rpartition("/")[2])


def _spans(rows: Any, most: int, *columns: str) -> Iterator[Any]:
    """Rows of each group, in order of time; of too many groups those seen last."""
    import numpy

    rows = ordered(rows, *columns)
    starts = groups(rows, *columns)
    ends = numpy.append(starts[1:], len(rows))[:len(starts)]
    if len(starts) > most:
        last = rows[ends - 1]
        chosen = numpy.lexsort((last["session_id"], last["start_ns"]))[-most:]
        starts, ends = starts[chosen], ends[chosen]
    for begin, end in zip(starts.tolist(), ends.tolist()):
        yield rows[begin:end]


def _offers(visits: Visits, rows: Any, found: Remembered) -> None:
    rows = rows[((rows["flags"] & LISTED) != 0) & (rows["banner"] != MORE) & (rows["offer"] > MORE)]
    for group in _spans(rows, MAX_OFFERS, "server", "banner", "offer"):
        last = visits.look_up(group[-1])
        listed = packed(last.offer)  # type: ignore[arg-type]
        if listed is not None:
            found.add(OfferSeen(plain(last.server_ip), last.server_port, plain(last.banner), listed, last.protocol, plain(last.name), int(bool(last.flags & OFFERED)),
                                int(group["start_ns"][0]), last.start_ns, len(group), source_of(last.capture)))


def _versions(visits: Visits, rows: Any, found: Remembered) -> None:
    spans: dict[tuple[str, int, str], VersionSeen] = {}
    for group in _spans(rows[(rows["flags"] & ESTABLISHED) != 0], MAX_VERSIONS, "server", "kind"):
        last = visits.look_up(group[-1])
        if last.version is not None:
            key = plain(last.server_ip), last.server_port, plain(last.version)
            row = VersionSeen(*key, int(group["start_ns"][0]), last.start_ns, len(group), source_of(last.capture))
            known = spans.get(key)  # one version, under several names of the service
            spans[key] = row if known is None else VersionSeen(*key, min(known.first_ns, row.first_ns), max(known.last_ns, row.last_ns), known.n + row.n,
                                                              max((known.last_ns, known.source), (row.last_ns, row.source))[1])
    for row in spans.values():
        found.add(row)


def _pairs(visits: Visits, rows: Any, found: Remembered) -> None:
    flags = rows["flags"]
    rows = rows[((flags & ESTABLISHED) != 0) | used_in_clear(flags)]
    for group in _spans(rows[rows["client_name"] != MORE], MAX_PAIRS, "client", "client_name", "server"):
        tls, clear = group[(group["flags"] & ESTABLISHED) != 0], group[used_in_clear(group["flags"])]
        last = visits.look_up(tls[-1] if len(tls) else clear[-1])
        found.add(PairSeen(
            plain(last.client_ip), plain(last.client_name), plain(last.server_ip), last.server_port, *(int(side["start_ns"][at]) if len(side) else 0 for side in (tls, clear) for at in (0, -1)),
            plain(last.banner) if len(tls) else "", plain(last.version) if len(tls) else "", source_of(last.capture)))
