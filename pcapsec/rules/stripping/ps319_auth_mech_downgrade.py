"""PS319: strong login mechanisms disappear from a server's list together with STARTTLS.

What
    In conversations where a server offers STARTTLS its list has SCRAM, CRAM-MD5, GSSAPI, XOAUTH2 or the like, and in those without the offer only PLAIN or
    LOGIN (variant strong-gone). Or it takes no login before TLS, and where the offer is missing it lists PLAIN or LOGIN in clear (variant auth-in-clear).

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
from ..rule import Rule, Verdict
from ..site import Site
from ..stories import RANK
from ..visits import Offer, Visits
from .ps305_offer_inconsistent import findings

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
    return Answer(found, compared)


def is_strong(mechanism: str) -> bool:
    """Whether a password does not pass readable by it."""
    return mechanism.startswith(("SCRAM-", "CRAM-", "GSS", "DIGEST-")) or mechanism in ("NTLM", "XOAUTH2", "OAUTHBEARER", "EXTERNAL", "APOP")


def _offers(visits: Visits, rows) -> list[Offer]:
    import numpy

    return [offer for number in numpy.unique(rows["offer"]).tolist() if (offer := visits.offers.values[number]) is not None]


def _variant(visits: Visits, change: OfferChange) -> str:
    mine, theirs = _offers(visits, change.with_offer), _offers(visits, change.without)
    weak = [bool(WEAK.intersection(offer.mechanisms)) and not any(map(is_strong, offer.mechanisms)) for offer in theirs]
    if all(any(map(is_strong, offer.mechanisms)) for offer in mine) and all(weak):
        return "strong-gone"
    if not any(offer.mechanisms for offer in mine) and (all(weak) or all(_disabled(offer) for offer in mine) and not any(_disabled(offer) for offer in theirs)):
        return "auth-in-clear"
    return ""


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
