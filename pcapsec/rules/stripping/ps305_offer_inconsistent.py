"""PS305: one server offers STARTTLS in some conversations and not in others.

What
    Whole capability lists of one server (address, port, and the same host and software in its greeting) have STARTTLS (POP3: STLS) in some conversations
    and lack it in others. Variant baseline: earlier captures, which a baseline remembers, had it, and no conversation of this one has.

Why
    A middlebox on the way of some clients may take the offer out, so that they send everything in clear. They cannot tell: the server looks like one
    without TLS. Who compares conversations can.

Evidence
    server: address and port.
    with_session, without_session: one conversation of either kind; the second is the one that this finding points at.
    with_first, with_last, without_first, without_last: when the offer was there, and when not.
    n_with, n_without: conversations.
    missing: entries that the one list has and the other lacks, at most 20.
    masked: words that stand where the offer should be.
    order: ended (offers before, none after), began (the other way round), mixed.
    same_client: one client, known by address and name, got both answers.
    networks_with, networks_without: where the clients are.
    earlier_from, earlier_source: `baseline`, and the capture that had the offer last, where it is known from the baseline; without_since: for those, when the list was
        first seen without.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: conversations without the offer, at most 20.

Not a finding when
    - a list is not whole, was sent inside TLS, or after a login;
    - the greetings differ in host or software, or the lists in more than STARTTLS and what hangs on it: then several machines share the address;
    - a client got no offer at first and did so from a moment on: then the server learnt TLS.
    With a baseline the same holds, and where offer and none took turns in the past nothing is said. It is one step less severe, confidence is low.
    Variant config-change: the same clients saw the offer until a moment and never again, which an administrator may have done: one step less severe, confidence
    low. Variant by-client: no client got both answers, so that the server may choose by client, which cannot be told from a middlebox on the way of some:
    confidence low. Confidence is high only where one client got both in turn and the lists differ in nothing but the offer; it is low where further words are missing.

References
    RFC 3207 §6
    RFC 4643 §2.1
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, finding_at, losses, named, networks, once, root_of, session_ids
from ..handshake import cut, when
from ..innocence import CHANGE, LOST, OTHER_SOFTWARE, OUTAGE, POLICY, SEVERAL_CLIENTS, SEVERAL_MACHINES, causes
from ..offer_changes import FEWER, ONLY, OfferChange, missing, offer_changes
from ..regressions import ListChange, list_changes
from ..rule import LOWER, MAIL, Rule, Verdict
from ..site import Site
from ..visit_flags import CLEAR, LISTED, UNSEEN_SERVER
from ..visits import Visits

RULE = Rule(
    id="PS305", slug="offer-inconsistent", title="Same server offers STARTTLS to some sessions but not to others", severity="high", confidence="medium",
    category="stripping", scope="capture", protocols=MAIL, several=True,
    remediation="Look for a middlebox on the way of the clients that get no offer (firewall, mail scanner), and let them require TLS.",
    references=("RFC 3207 §6", "RFC 4643 §2.1"),
)
MAX_SHOWN = 20


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    import numpy

    rows = visits.rows()
    listed = (rows["flags"] & LISTED) != 0
    often = numpy.bincount(rows["server"][listed], minlength=len(visits.servers.values)) > 1
    unseen = ((rows["flags"] & (LISTED | CLEAR)) == CLEAR) & ((rows["flags"] & UNSEEN_SERVER) != 0)
    earlier = [against_baseline(visits, change) for change in list_changes(visits, site.remembered) if change.lost_offer]
    return Answer([*findings(visits).values(), *earlier], captures_of(visits, rows, listed & often[rows["server"]]), losses(visits, rows, unseen))


def findings(visits: Visits) -> dict[tuple[int, int], Finding]:
    """The findings, by the numbers of server and greeting."""
    return once(visits, "PS305 findings", lambda visits: {change.key: _finding(visits, change) for change in offer_changes(visits) if not _learnt(change)})


def _learnt(change: OfferChange) -> bool:
    """Whether the server offers TLS since a moment, and did not before: the same clients saw it."""
    return change.by_time == "began" and change.same_address and not change.names_differ


def _finding(visits: Visits, change: OfferChange) -> Finding:
    visit, by_clients = change.primary, not change.same_address or change.names_differ
    ended = change.by_time == "ended" and not by_clients
    severity = LOWER[RULE.severity] if ended else RULE.severity
    confidence = "low" if ended or by_clients or change.likeness == FEWER else RULE.confidence
    if change.likeness == ONLY and change.same_client and not change.by_time:
        confidence = "high"
    who = "until a moment and not since" if ended else "to some clients and not to others" if by_clients else "at some times and not at others"
    return finding_at(
        RULE, visit, f"{visit.server_ip}\n{visit.server_port}\n{visit.banner}", severity=severity, reason="configuration change likely", confidence=confidence,
        variant="config-change" if ended else "by-client" if by_clients else visit.protocol,
        title=f"{visit.server_ip} port {visit.server_port} offers STARTTLS {who}; " + ("its own choice, or something on their way removes it" if by_clients else "something on the way may remove it"),
        because_of=root_of(visit, severity) if visit.offer is not None and visit.offer.masked else None,
        evidence={
            "server": named(visit), "with_session": change.first_with.session_id, "without_session": visit.session_id,
            "with_first": when(change.first_with.start_ns), "with_last": when(change.last_with.start_ns), "without_first": when(change.first_without.start_ns),
            "without_last": when(change.last_without.start_ns), "n_with": len(change.with_offer), "n_without": len(change.without),
            "missing": [cut(entry) for entry in change.missing[:MAX_SHOWN]], "masked": [cut(word) for word in change.list_without.masked[:MAX_SHOWN]],
            "order": change.by_time or "mixed", "same_client": change.same_client,
            "networks_with": networks(visits, change.with_offer), "networks_without": networks(visits, change.without),
            **causes((LOST, True), (CHANGE, not change.by_time),
                     (POLICY, change.same_client),
                     (OUTAGE, change.interleaved),
                     (SEVERAL_CLIENTS, change.same_client or not change.same_address),
                     (SEVERAL_MACHINES, False)),
            "related_session_ids": session_ids(change.without["session_id"].tolist())})


def against_baseline(visits: Visits, change: ListChange) -> Finding:
    """The finding about a server that offered STARTTLS in earlier captures."""
    visit, before, severity = change.first, change.latest, LOWER[RULE.severity]
    return finding_at(
        RULE, visit, f"{visit.server_ip}\n{visit.server_port}\n{visit.banner}\nbaseline", severity=severity, reason="configuration change likely", confidence="low", variant="baseline",
        title=f"{visit.server_ip} port {visit.server_port} offered STARTTLS in earlier captures and does not now; something on the way may remove it",
        because_of=root_of(visit, severity) if visit.offer is not None and visit.offer.masked else None,
        evidence={
            "server": named(visit), "without_session": visit.session_id, "with_first": when(change.first_ns), "with_last": when(before.last_ns),
            "without_first": when(visit.start_ns), "without_last": when(change.last.start_ns), "without_since": when(change.since_ns), "n_without": len(change.rows),
            "missing": [cut(entry) for entry in missing(before.offer, change.now[0])[:MAX_SHOWN]], "masked": [cut(word) for word in change.now[0].masked[:MAX_SHOWN]],
            "order": "ended", "networks_without": networks(visits, change.rows), "earlier_from": "baseline", "earlier_source": before.source,
            **causes((LOST, True), (OTHER_SOFTWARE, bool(visit.banner)), (CHANGE, False), (POLICY, False), (OUTAGE, False), (SEVERAL_MACHINES, False)),
            "related_session_ids": session_ids(change.rows["session_id"].tolist())})
