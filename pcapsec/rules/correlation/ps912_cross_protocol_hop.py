"""PS912: a mail that came to a server over TLS probably left it in clear.

What
    A server took mail over TLS, and within 300 s it opened a connection of its own to another server and sent mail of about that size in clear.

Why
    The sender sees TLS and takes the whole way for protected. The next hop is what anybody on that way reads.

Evidence
    session_id_tls, session_id_clear: both conversations; the second is the one that this finding points at.
    tls_time, clear_time, delta_s: when, and the seconds between their begins.
    relay: address of the server in the middle; next_server: address and port of the next.
    bytes_tls: what the client sent inside TLS, with what TLS adds; bytes_clear: what the relay sent on; size_delta: the difference.
    matched_envelope: sender and recipient are equal, where TLS was read with keys; null otherwise.
    n_candidates: conversations over TLS that came in question, at most 64.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: both.

Not a finding when
    - sizes differ by more than 2 KiB and a twentieth: TLS, commands and a Received field need some;
    - the mail is smaller than 8 KiB, for then nearly every mail fits, unless exactly one came in question: confidence low;
    - the clear connection goes back to the client of the first.
    It is probable, never certain, unless the envelope was read with keys: queues and batches mix mails.

References
    RFC 3207 §6
    RFC 8314 §4.3
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Iterator, NamedTuple

from ...records import Capture, Finding
from ..comparing import MAX_FINDINGS, SECOND_NS, Answer, answer, captures_of, finding_at, losses, named, root_of
from ..handshake import when
from ..innocence import QUEUED, SAME_SIZE, causes
from ..rule import SMTP, Rule, Verdict
from ..site import Site
from ..visit_flags import DECRYPTED, DELIVERED, ESTABLISHED, STARTED, UNSEEN_CLIENT
from ..visits import Visit, Visits

RULE = Rule(
    id="PS912", slug="cross-protocol-hop", title="Secure submission followed by clear onward relay", severity="medium", confidence="medium",
    category="correlation", scope="capture", protocols=SMTP, several=True,
    remediation="Set the connector of the server in the middle to require TLS for the next hop.",
    references=("RFC 3207 §6", "RFC 8314 §4.3"),
)
WINDOW_NS = 300 * SECOND_NS
MAX_CANDIDATES = 64
SLACK_BYTES, LEAST_BYTES = 2048, 8192
_OVER_TLS = frozenset(("smtp", "submission", "submissions"))


class Hop(NamedTuple):
    """A mail in, a mail out."""

    tls: Visit
    clear: Visit
    n_candidates: int
    same_envelope: bool | None


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    import numpy

    rows = visits.rows()
    flags = rows["flags"]
    over_tls = numpy.array([kind is not None and kind[1] in _OVER_TLS for kind in visits.kinds.values])[rows["kind"]] & ((flags & (STARTED | ESTABLISHED)) == STARTED | ESTABLISHED)
    delivered = (flags & (DELIVERED | STARTED)) == DELIVERED
    relays = _relays(visits)
    is_relay = numpy.zeros(len(visits.servers.values), dtype=bool)
    is_relay[list(relays)] = True
    senders = numpy.zeros(len(visits.clients.values), dtype=bool)
    senders[list(set(relays.values()))] = True
    incoming, outgoing = rows[over_tls & is_relay[rows["server"]]], rows[delivered & senders[rows["client"]]]
    found = []
    for one in _hops(visits, incoming, outgoing, relays):
        found.append(_finding(one))
        if len(found) == MAX_FINDINGS:  # they come in order of time
            break
    return Answer(found, captures_of(visits, outgoing), losses(visits, rows, senders[rows["client"]] & ((flags & (UNSEEN_CLIENT | STARTED)) == UNSEEN_CLIENT)))


def _relays(visits: Visits) -> dict[int, int]:
    """Number of each server whose address is also a client's -> number of that client."""
    clients = visits.clients.ids
    return {number: clients[server[0]] for number, server in enumerate(visits.servers.values) if server is not None and server[0] in clients}


def _hops(visits: Visits, incoming: Any, outgoing: Any, relays: dict[int, int]) -> Iterator[Hop]:
    arrived: dict[int, tuple[list[int], list[int]]] = {}  # client number of a relay -> times and places of what came to it
    for index, (server, start_ns) in enumerate(zip(incoming["server"].tolist(), incoming["start_ns"].tolist())):
        times, places = arrived.setdefault(relays[server], ([], []))
        times.append(start_ns), places.append(index)
    for index, (client, start_ns) in enumerate(zip(outgoing["client"].tolist(), outgoing["start_ns"].tolist())):
        times, places = arrived.get(client, ([], []))
        begin, end = bisect_left(times, start_ns - WINDOW_NS), bisect_right(times, start_ns)
        if begin < end:
            one = _best(visits.look_up(outgoing[index]), [visits.look_up(incoming[place]) for place in places[max(begin, end - MAX_CANDIDATES):end]])
            if one is not None:
                yield one


def _best(clear: Visit, candidates: list[Visit]) -> Hop | None:
    """The conversation over TLS that a mail most likely came by."""
    candidates = [one for one in candidates if one.client_ip not in (clear.server_ip, clear.client_ip)]
    for one in candidates:
        if one.flags & DECRYPTED and one.envelope and one.envelope == clear.envelope:
            return Hop(one, clear, len(candidates), True)
    fits = [one for one in candidates if not (one.flags & DECRYPTED and one.envelope) and abs(one.bytes_client - clear.bytes_client) <= SLACK_BYTES + clear.bytes_client // 20]
    if not fits or clear.size < LEAST_BYTES and len(candidates) > 1:
        return None
    return Hop(min(fits, key=lambda one: (abs(one.bytes_client - clear.bytes_client), -one.start_ns, one.session_id)), clear, len(candidates), None)


def _finding(one: Hop) -> Finding:
    tls, clear = one.tls, one.clear
    confidence = "high" if one.same_envelope else "low" if clear.size < LEAST_BYTES else RULE.confidence
    probably = "" if one.same_envelope else "probably "
    return finding_at(
        RULE, clear, tls.session_id, variant="matched" if one.same_envelope else "probable", confidence=confidence, because_of=root_of(clear, RULE.severity),
        title=f"A mail that {clear.client_ip} took over TLS {probably}went on in clear to {clear.server_ip} port {clear.server_port}",
        evidence={
            "session_id_tls": tls.session_id, "session_id_clear": clear.session_id, "tls_time": when(tls.start_ns), "clear_time": when(clear.start_ns),
            "delta_s": (clear.start_ns - tls.start_ns) // SECOND_NS, "relay": clear.client_ip, "next_server": named(clear), "bytes_tls": tls.bytes_client,
            "bytes_clear": clear.bytes_client, "size_delta": tls.bytes_client - clear.bytes_client, "matched_envelope": one.same_envelope, "n_candidates": one.n_candidates,
            **causes((SAME_SIZE, bool(one.same_envelope)), (QUEUED, False)),
            "related_session_ids": [tls.session_id, clear.session_id]})
