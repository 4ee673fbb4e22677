"""PS319: strong login mechanisms disappear from a server's list together with STARTTLS.

What
    In conversations where a server offers STARTTLS its list has SCRAM, CRAM-MD5, GSSAPI, XOAUTH2 or the like, and in those without the offer only PLAIN or
    LOGIN (variant strong-gone). Or it takes no login before TLS, and where the offer is missing it lists PLAIN or LOGIN in clear (variant auth-in-clear).
    Against a baseline strong mechanisms that every list of earlier captures had count by themselves, whether the offer went with them or not.

Why
    Whoever removes the offer wants the password too: with these lists a client sends it readable, without a warning.

Evidence
    server: address and port.
    with_session, without_session: one conversation of either kind; the second is the one that this finding points at.
    with_first, without_first: when.
    mechanisms_with, mechanisms_without: the lists.
    login_disabled: IMAP's LOGINDISABLED stands in the one list and not in the other.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: conversations without the offer, at most 20.
    earlier_from, earlier_source: `baseline`, and the capture that had the strong list last, where it is known from the baseline.
    strong_first, strong_last, offer_lost: for those, when the strong list was seen, and whether the offer of STARTTLS is gone too.

Not a finding when
    - PS305 has nothing to say of the server: lists of other machines, or a server that learnt TLS;
    - some conversation with the offer has the weak list too.
    A server may also have lists for some clients; confidence is low.

References
    RFC 4643 §2.2
    RFC 4422 §6.1.2
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, finding_at, named, session_ids
from ..handshake import cut, when
from ..innocence import CHANGE, OTHER_LISTS, OTHER_SOFTWARE, causes
from ..offer_changes import OfferChange, offer_changes
from ..regressions import ListChange, list_changes, weakened
from ..remembered import OfferSeen
from ..rule import Rule, Verdict
from ..site import Site
from ..stories import RANK
from ..visits import Offer, Visits
from .ps305_offer_inconsistent import against_baseline, findings

RULE = Rule(
    id="PS319", slug="auth-mech-downgrade", title="Strong mechanisms disappear together with STARTTLS", severity="medium", confidence="low",
    category="stripping", scope="capture", protocols=("smtp", "imap", "pop3"), several=True,
    remediation="Look for a middlebox on the way of these clients, and let them insist on TLS before they log in.",
    references=("RFC 4643 §2.2", "RFC 4422 §6.1.2"),
)
WEAK = frozenset(("PLAIN", "LOGIN", "USER"))
MAX_SHOWN = 20


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    inconsistent, found, compared = findings(visits), [], set()
    for change in offer_changes(visits):
        if change.key in inconsistent and change.primary.protocol in RULE.protocols:
            compared |= captures_of(visits, change.without)
            variant = _variant(visits, change)
            if variant:
                found.append(_finding(change, variant, inconsistent[change.key]))
    for change in list_changes(visits, site.remembered):
        if change.first.protocol in RULE.protocols:
            compared |= captures_of(visits, change.rows)
            strong = weakened(change, _has_strong, _is_weak)
            variant = "strong-gone" if strong else "auth-in-clear" if change.lost_offer and _opened([one.offer for one in change.before], change.now) else ""
            if variant:
                found.append(_against_baseline(visits, change, variant, strong or change.before))
    return Answer(found, compared)


def _has_strong(offer: Offer) -> bool:
    return any(map(is_strong, offer.mechanisms))


def _is_weak(offer: Offer) -> bool:
    return bool(WEAK.intersection(offer.mechanisms)) and not _has_strong(offer)


def is_strong(mechanism: str) -> bool:
    """Whether a password does not pass readable by it."""
    return mechanism.startswith(("SCRAM-", "CRAM-", "GSS", "DIGEST-")) or mechanism in ("NTLM", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "APOP")


def _offers(visits: Visits, rows) -> list[Offer]:
    import numpy

    return [offer for number in numpy.unique(rows["offer"]).tolist() if (offer := visits.offers.values[number]) is not None]


def _variant(visits: Visits, change: OfferChange) -> str:
    mine, theirs = _offers(visits, change.with_offer), _offers(visits, change.without)
    if all(map(_has_strong, mine)) and all(map(_is_weak, theirs)):
        return "strong-gone"
    return "auth-in-clear" if _opened(mine, theirs) else ""


def _opened(mine: list[Offer], theirs: list[Offer]) -> bool:
    """Whether no login was to be had before TLS, and now is."""
    return not any(offer.mechanisms for offer in mine) and (all(map(_is_weak, theirs)) or all(map(_disabled, mine)) and not any(map(_disabled, theirs)))


def _disabled(offer: Offer) -> bool:
    return any(entry.upper() == "LOGINDISABLED" for entry in offer.capabilities)


def _finding(change: OfferChange, variant: str, inconsistent: Finding) -> Finding:
    visit = change.primary
    what = "offers no strong login" if variant == "strong-gone" else "takes logins in clear"
    return finding_at(
        RULE, visit, f"{visit.server_ip}\n{visit.server_port}\n{visit.banner}", variant=variant,
        title=f"Where {visit.server_ip} port {visit.server_port} lacks STARTTLS it {what}; elsewhere it is otherwise",
        because_of=inconsistent.finding_id if RANK[inconsistent.severity] >= RANK[RULE.severity] else None,
        evidence={
            "server": named(visit), "with_session": change.first_with.session_id, "without_session": visit.session_id, "with_first": when(change.first_with.start_ns),
            "without_first": when(change.first_without.start_ns), "mechanisms_with": [cut(one) for one in change.list_with.mechanisms[:MAX_SHOWN]],
            "mechanisms_without": [cut(one) for one in change.list_without.mechanisms[:MAX_SHOWN]],
            "login_disabled": _disabled(change.list_with) and not _disabled(change.list_without),
            **causes((OTHER_SOFTWARE, True), (CHANGE, not change.by_time),
                     (OTHER_LISTS, change.same_client)),
            "related_session_ids": session_ids(change.without["session_id"].tolist())})


def _against_baseline(visits: Visits, change: ListChange, variant: str, before: list[OfferSeen]) -> Finding:
    visit, latest = change.first, max(before, key=lambda one: (one.last_ns, one.listed))
    what = "offers no strong login" if variant == "strong-gone" else "takes logins in clear"
    return finding_at(
        RULE, visit, f"{visit.server_ip}\n{visit.server_port}\n{visit.banner}\nbaseline", variant=variant,
        title=f"{visit.server_ip} port {visit.server_port} {what} now; in earlier captures it was otherwise",
        because_of=against_baseline(visits, change).finding_id if change.lost_offer else None,
        evidence={
            "server": named(visit), "without_session": visit.session_id, "strong_first": when(min(one.first_ns for one in before)), "strong_last": when(latest.last_ns),
            "without_first": when(visit.start_ns), "mechanisms_with": [cut(one) for one in latest.offer.mechanisms[:MAX_SHOWN]],
            "mechanisms_without": [cut(one) for one in change.now[0].mechanisms[:MAX_SHOWN]], "login_disabled": _disabled(latest.offer) and not _disabled(change.now[0]),
            "offer_lost": change.lost_offer, "earlier_from": "baseline", "earlier_source": latest.source,
            **causes((OTHER_SOFTWARE, bool(visit.banner)), (CHANGE, False), (OTHER_LISTS, False)),
            "related_session_ids": session_ids(change.rows["session_id"].tolist())})
