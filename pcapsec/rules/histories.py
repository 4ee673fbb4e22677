"""What one client did with one server in the course of time: TLS that failed, TLS that worked, clear text, in order.

A client is an address and the name that its program gives (EHLO, IMAP's ID): behind one address there may be several. A conversation whose name was not seen
counts for any of them, and makes what follows from it less sure.
"""
from __future__ import annotations

from typing import Any, Iterator, NamedTuple

from .comparing import SECOND_NS, chosen, groups, has, meeting, once, used_in_clear
from .dns_policy import Dns
from .rule import SMTP
from .visit_flags import ESTABLISHED, FAILED, LISTED, MASKED, OFFERED, REFUSED, REQUESTED
from .visits import MORE, Visit, Visits, ordered

WINDOW_NS = 3600 * SECOND_NS  # a mail server that defers a mail after TLS failed sends it in clear within the hour
MAX_NAMES = 64  # programs of one client that are told apart
_TRIED = ESTABLISHED | FAILED | REFUSED


class Fallback(NamedTuple):
    """TLS failed, and then the same client was served in clear."""

    attempt: Visit  # the last one that failed; the same as `clear` where one connection saw both
    clear: Visit
    n_attempts: int  # that failed in a row
    related: list[int]  # ids of all conversations that belong to it
    n_clear: int
    same_name: bool | None  # client names; None: one of them is not known
    same_envelope: bool | None  # sender and recipient; None: one of them was not seen
    later_tls_ns: int | None  # TLS worked again within the window
    elsewhere: bool = False  # in clear to another server of the same domain


class History(NamedTuple):
    """One client with one server: rows in order of time, and what stands in them."""

    rows: Any
    starts: list[int]
    ends: list[int]
    flags: list[int]
    names: list[int]
    clear: list[bool]  # served without TLS


def histories(visits: Visits) -> list[History]:
    """Those in which something was served in clear, and TLS was tried or worked; in any order."""
    return once(visits, "histories", lambda visits: list(_histories(visits)))


def _histories(visits: Visits) -> Iterator[History]:
    rows = visits.rows()
    rows = ordered(meeting(rows, ("client", "server"), used_in_clear(rows["flags"]), (rows["flags"] & _TRIED) != 0), "client", "server")
    starts = groups(rows, "client", "server")
    clear, tried = used_in_clear(rows["flags"]), (rows["flags"] & _TRIED) != 0
    for group in chosen(rows, starts, has(clear, starts) & has(tried, starts)):
        yield history(group)


def history(group: Any) -> History:
    """Rows of one client, in order of time."""
    starts = group["start_ns"]
    return History(group, starts.tolist(), (starts + group["duration_ms"].astype("<i8") * 1_000_000).tolist(), group["flags"].tolist(), group["client_name"].tolist(),
                   used_in_clear(group["flags"]).tolist())


def fallbacks(visits: Visits, dns: Dns) -> list[Fallback]:
    """Those of mail that is sent, in any order."""
    return once(visits, "fallbacks", lambda visits: [
        *[one for each in histories(visits) if visits.look_up(each.rows[0]).protocol in SMTP for one in _fallbacks(visits, each)], *_to_other_exchangers(visits, dns)])


def tls_failed(flags: Any) -> Any:
    """Whether a visit's flags, or an array of them, say that TLS was to be had and did not come about. A server that does not offer it and refuses it has none: nothing failed."""
    return ((flags & FAILED) != 0) | ((flags & REFUSED) != 0) & ((flags & (LISTED | OFFERED | MASKED)) != LISTED)


class _Attempt:
    """TLS that failed and was not yet followed by TLS that works."""

    __slots__ = ("at", "n", "clear", "n_clear", "related")

    def __init__(self) -> None:
        self.at = -1
        self.n = 0
        self.clear: int | None = None  # the first that followed in clear
        self.n_clear = 0
        self.related: list[int] = []


def _fallbacks(visits: Visits, each: History) -> Iterator[Fallback]:
    attempts: dict[int, _Attempt] = {}
    for index, (flags, name, clear) in enumerate(zip(each.flags, each.names, each.clear)):
        name = name if name > MORE else MORE
        if tls_failed(flags):
            attempt = attempts.get(name)
            if attempt is None or attempt.clear is not None:
                if attempt is not None:
                    yield _told(visits, each, attempt)
                elif len(attempts) >= MAX_NAMES:
                    continue
                attempt = attempts[name] = _Attempt()
            attempt.at = index
            attempt.n += 1
            attempt.related.append(index)
            if clear:
                attempt.clear, attempt.n_clear = index, 1
        elif flags & ESTABLISHED:
            for known in (name, MORE) if name != MORE else tuple(attempts):
                if known in attempts and (attempt := attempts.pop(known)).clear is not None:
                    yield _told(visits, each, attempt, index)
        elif clear:
            attempt = _latest(attempts, name)
            if attempt is not None and each.starts[index] - each.ends[attempt.at] <= WINDOW_NS:
                if attempt.clear is None:
                    attempt.clear = index
                attempt.n_clear += 1
                attempt.related.append(index)
    for attempt in attempts.values():
        if attempt.clear is not None:
            yield _told(visits, each, attempt)


def _latest(attempts: dict[int, _Attempt], name: int) -> _Attempt | None:
    """The last attempt of a program; of one without a name, anybody's."""
    mine = attempts.values() if name == MORE else [attempts[known] for known in (name, MORE) if known in attempts]
    return max(mine, key=lambda attempt: attempt.at, default=None)


def _told(visits: Visits, each: History, attempt: _Attempt, later: int | None = None) -> Fallback:
    one, other = visits.look_up(each.rows[attempt.at]), visits.look_up(each.rows[attempt.clear])
    later_ns = each.starts[later] if later is not None and each.starts[later] - each.starts[attempt.clear] <= WINDOW_NS else None
    return Fallback(one, other, attempt.n, each.rows["session_id"][attempt.related].tolist(), attempt.n_clear, *alike(one, other), later_ns)


def _to_other_exchangers(visits: Visits, dns: Dns) -> Iterator[Fallback]:
    """TLS failed with one exchanger of a domain, and mail for the domain went to another in clear. Who takes mail for whom is told by DNS in the captures."""
    if not dns:
        return
    rows = visits.rows()
    to_domain = used_in_clear(rows["flags"]) & (rows["rcpt_domain"] > MORE)
    rows = ordered(meeting(rows, ("client",), tls_failed(rows["flags"]), to_domain), "client")
    starts, exchangers = groups(rows, "client"), {}
    for group in chosen(rows, starts, starts >= 0):
        each, attempts = history(group), {}
        domains, servers = group["rcpt_domain"].tolist(), group["server"].tolist()
        for index, (flags, server, domain) in enumerate(zip(each.flags, servers, domains)):
            if tls_failed(flags):
                attempts[server] = index
            elif flags & ESTABLISHED:
                attempts.pop(server, None)
            elif each.clear[index] and domain > MORE and server not in attempts:
                if domain not in exchangers:
                    name = visits.texts.values[domain]
                    exchangers[domain] = frozenset(address for host in dns.exchangers(name) for address in dns.addresses(host))
                one = _at_another(visits, each, index, attempts, exchangers[domain])
                if one is not None:
                    yield one


def _at_another(visits: Visits, each: History, index: int, attempts: dict[int, int], exchangers: frozenset[str]) -> Fallback | None:
    """The last attempt with another exchanger that clear text followed on; it is told once."""
    address, port = visits.servers.values[int(each.rows["server"][index])]
    if address not in exchangers:
        return None
    others = [number for other in exchangers if other != address and (number := visits.servers.ids.get((other, port))) in attempts]
    last = max(others, key=attempts.__getitem__, default=None)
    if last is None or each.starts[index] - each.ends[attempts[last]] > WINDOW_NS:
        return None
    one, other = visits.look_up(each.rows[attempts[last]]), visits.look_up(each.rows[index])
    same_name, same_envelope = alike(one, other)
    if same_name is False:
        return None
    related = each.rows["session_id"][[attempts.pop(last), index]].tolist()
    return Fallback(one, other, 1, related, 1, same_name, same_envelope, None, True)


def alike(one: Visit, other: Visit) -> tuple[bool | None, bool | None]:
    """Whether two conversations have the same client name, and the same sender and recipient."""
    return (one.client_name == other.client_name if one.client_name and other.client_name else None,
            one.envelope == other.envelope if one.envelope and other.envelope else None)


class Mixture(NamedTuple):
    """One program that used TLS with a server and was served in clear by it."""

    first_tls: Visit
    last_tls: Visit
    first_clear: Visit
    last_clear: Visit
    n_tls: int
    n_clear: int
    by_time: str  # "ended": TLS before a moment, clear text after; "began": the other way round; "": in turn
    named: bool  # the client's name is known
    n_unasked: int  # clear conversations in which STARTTLS was on offer and not asked for
    n_stripped: int  # clear conversations whose whole list had no offer
    n_fingerprints: int  # different ClientHellos
    related: list[int]
    elsewhere: bool = False  # TLS and clear text with different addresses of one name
    other_machines: bool = False  # those in clear had no offer and greetings of their own: a balancer shows several machines as one


def mixtures(visits: Visits) -> list[Mixture]:
    """All of them, in any order: a program of a known name by itself, those without a name together."""
    return once(visits, "mixtures", lambda visits: [one for each in histories(visits) for one in _mixtures(visits, each)])


def _mixtures(visits: Visits, each: History) -> Iterator[Mixture]:
    by_name: dict[int, list[int]] = {}
    for index, name in enumerate(each.names):
        by_name.setdefault(name if name > MORE else MORE, []).append(index)
    for name, indexes in list(by_name.items())[:MAX_NAMES]:
        one = mixture(visits, each, indexes, name != MORE)
        if one is not None:
            yield one


def mixture(visits: Visits, each: History, indexes: list[int], is_named: bool, elsewhere: bool = False) -> Mixture | None:
    """What some rows of a history say; None where TLS or clear text is missing."""
    tls = [index for index in indexes if each.flags[index] & ESTABLISHED]
    clear = [index for index in indexes if each.clear[index]]
    if not tls or not clear:
        return None
    unasked = [index for index in clear if each.flags[index] & (OFFERED | REQUESTED) == OFFERED]
    stripped = [index for index in clear if each.flags[index] & (LISTED | OFFERED) == LISTED]
    greetings = [set(each.rows["banner"][some].tolist()) for some in (tls, clear)]
    other_machines = len(stripped) == len(clear) and greetings[0].isdisjoint(greetings[1]) and all(number > MORE and "***" not in visits.texts.values[number] for number in greetings[0] | greetings[1])
    return Mixture(
        *[visits.look_up(each.rows[index]) for index in (tls[0], tls[-1], clear[0], clear[-1])], len(tls), len(clear), "ended" if tls[-1] < clear[0] else "began" if clear[-1] < tls[0] else "", is_named,
        len(unasked), len(stripped),
        len(set(each.rows["ja4"][tls].tolist()) - {0}), each.rows["session_id"][sorted({*tls[:1], *clear})].tolist(), elsewhere, other_machines)
