"""Servers that offer STARTTLS in some conversations and not in others, and what may explain it: time, who asks, another machine behind the address, or something on the way.

Only whole capability lists count, and only those below one greeting: another host or software in the greeting is another machine behind the same address, as
are lists that differ in words which do not hang on STARTTLS.
"""
from __future__ import annotations

from typing import Any, Iterator, NamedTuple

from .comparing import chosen, groups, has, meeting, once
from .offers import OFFER, masks_offer
from .visit_flags import LISTED, OFFERED
from .visits import MORE, NONE, Offer, Visit, Visits, ordered

MAX_OFFERS = 16  # different lists of one server that are compared; more are nobody's configuration
ONLY, TIED, FEWER, OTHER = range(4)  # how lists differ: only in the offer; also in words that hang on it; words are missing; otherwise
_TIED = frozenset(("AUTH", "LOGINDISABLED", "SASL", "SASL-IR", "REQUIRETLS", "USER", "X-EXPS", "EXPS", "X-ANONYMOUSTLS"))


class OfferChange(NamedTuple):
    """One server whose offer comes and goes."""

    key: tuple[int, int]  # numbers of server and greeting
    likeness: int  # ONLY, TIED or FEWER
    missing: tuple[str, ...]  # entries that one list has and the other lacks
    by_time: str  # "ended": offers before a moment, none after; "began": the other way round; "": neither
    interleaved: bool  # an offer stands between two conversations without one
    same_client: bool  # a client that is known by its name got both
    same_address: bool  # an address did
    names_differ: bool  # at every address that got both, programs with other names did
    with_offer: Any  # rows, in order of time
    without: Any
    list_with: Offer
    list_without: Offer
    first_with: Visit
    last_with: Visit
    primary: Visit  # the first conversation without the offer after one with it, else the first without
    first_without: Visit
    last_without: Visit


def offer_changes(visits: Visits) -> list[OfferChange]:
    """All of them, in any order."""
    return once(visits, "offer changes", lambda visits: list(_found(visits)))


def _found(visits: Visits) -> Iterator[OfferChange]:
    rows = visits.rows()
    rows = meeting(rows, ("server", "banner"), (rows["flags"] & (LISTED | OFFERED)) == LISTED | OFFERED, (rows["flags"] & (LISTED | OFFERED)) == LISTED)
    rows = ordered(rows[(rows["flags"] & LISTED) != 0], "server", "banner")
    starts = groups(rows, "server", "banner")
    offered = (rows["flags"] & OFFERED) != 0
    for group in chosen(rows, starts, has(offered, starts) & has(~offered, starts) & (rows["banner"][starts] != MORE)):
        change = _compare(visits, group)
        if change is not None:
            yield change


def _compare(visits: Visits, group: Any) -> OfferChange | None:
    import numpy

    offered = (group["flags"] & OFFERED) != 0
    protocol = visits.look_up(group[0]).protocol
    lists_with, lists_without = lists(visits, group[offered]), lists(visits, group[~offered])
    pairs = [(likeness(protocol, mine, theirs), n, m) for n, (_, mine) in enumerate(lists_with) for m, (_, theirs) in enumerate(lists_without)]
    pairs = [pair for pair in pairs if pair[0] != OTHER]
    if not pairs:
        return None
    best, n, m = min(pairs)
    kept = group[numpy.isin(group["offer"], [lists_with[n][0] for _, n, _ in pairs] + [lists_without[m][0] for _, _, m in pairs])]
    offered = (kept["flags"] & OFFERED) != 0
    mine, theirs = kept[offered], kept[~offered]
    first, last = mine["start_ns"][[0, -1]].tolist()
    after = theirs[theirs["start_ns"] > first]
    both = numpy.intersect1d(mine["client"], theirs["client"])
    known = [set(zip(*(side[side["client_name"] > MORE][column].tolist() for column in ("client", "client_name")))) for side in (mine, theirs)]
    nameless = numpy.isin(kept["client"], both) & (kept["client_name"] <= MORE)
    list_with, list_without = lists_with[n][1], lists_without[m][1]
    return OfferChange(
        key=(int(group[0]["server"]), int(group[0]["banner"])), likeness=best, missing=missing(list_with, list_without),
        by_time="ended" if last < theirs["start_ns"][0] else "began" if theirs["start_ns"][-1] < first else "",
        interleaved=bool(((mine["start_ns"] > theirs["start_ns"][0]) & (mine["start_ns"] < theirs["start_ns"][-1])).any()), same_client=bool(known[0] & known[1]), same_address=bool(len(both)), names_differ=bool(len(both)) and not known[0] & known[1] and not nameless.any(),
        with_offer=mine, without=theirs, list_with=list_with, list_without=list_without, first_with=visits.look_up(mine[0]), last_with=visits.look_up(mine[-1]),
        primary=visits.look_up(after[0] if len(after) else theirs[0]), first_without=visits.look_up(theirs[0]), last_without=visits.look_up(theirs[-1]))


def lists(visits: Visits, rows: Any) -> list[tuple[int, Offer]]:
    """(number, list) of the different lists in rows: the first MAX_OFFERS of them in order of time."""
    found: dict[int, None] = {}
    for number in rows["offer"].tolist():
        if number not in (NONE, MORE) and number not in found:
            found[number] = None
            if len(found) == MAX_OFFERS:
                break
    return [(number, visits.offers.values[number]) for number in found]


def _word(entry: str) -> str:
    return entry.partition(" ")[0].partition("=")[0].strip('"').upper()


def same_words(mine: Offer, theirs: Offer) -> bool:
    """Whether two lists differ in nothing but words that hang on STARTTLS and what stands behind words."""
    return _untied([_word(entry) for entry in mine.capabilities]) == _untied([_word(entry) for entry in theirs.capabilities])


def likeness(protocol: str, mine: Offer, theirs: Offer) -> int:
    """How a list without the offer differs from one with it."""
    token = OFFER.get(protocol, "STARTTLS")
    one = [entry for entry in mine.capabilities if _word(entry) != token]
    other = [entry for entry in theirs.capabilities if entry not in theirs.masked or not masks_offer(_word(entry), protocol)]
    if one == other:
        return ONLY
    words = [[_word(entry) for entry in entries] for entries in (one, other)]
    if _untied(words[0]) == _untied(words[1]):
        return TIED
    left = iter(words[0])
    return FEWER if len(words[1]) < len(words[0]) and all(word in left for word in words[1]) else OTHER


def _untied(words: list[str]) -> list[str]:
    return [word for word in words if word not in _TIED]


def missing(mine: Offer, theirs: Offer) -> tuple[str, ...]:
    """Entries of the one that the other lacks."""
    there = {entry.upper() for entry in theirs.capabilities}
    return tuple([entry for entry in mine.capabilities if entry.upper() not in there])
