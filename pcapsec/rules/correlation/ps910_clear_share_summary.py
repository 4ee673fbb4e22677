"""PS910: how much of the mail went over TLS, with whom.

What
    All conversations with mail servers, by network of the client, organisation of the server and what they were for: over TLS, in clear, and those that
    cannot be told.

Why
    One clear conversation is an accident, a share of them is a setting. Peers that never use TLS are the ones to talk to.

Evidence
    n_sessions, n_tls, n_clear, n_unknown, n_with_mail: conversations in all; with_mail: those in which mail or a mailbox was read in clear.
    bytes_tls, bytes_clear, bytes_unknown: bytes that clients sent in them.
    peers: client network, server (its organisation where a name is known, else its address), role and the same numbers for each, those with the most clear
    conversations first; n_peers: how many there are.

Not a finding when
    - fewer than ten conversations with mail servers were captured: shares of so few say nothing.
    A conversation that cannot be told is never counted as one over TLS. A probe, which only looked what the server offers, is not counted.

References
    RFC 7435
"""
from __future__ import annotations

import ipaddress
from typing import Any

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of
from ..rule import MAIL, Rule, Verdict, finding_id
from ..site import Site
from ..suffixes import registrable
from ..visit_flags import CONTENT, ESTABLISHED, PROBE, STARTED
from ..visits import MORE, VERDICTS, VERDICT_SHIFT, Visits

RULE = Rule(
    id="PS910", slug="clear-share-summary", title="Share of mail bytes/sessions protected per peer", severity="info", confidence="high",
    category="correlation", scope="capture", protocols=MAIL, several=True,
    remediation="Talk to the peers that never use TLS, and require it where all conversations use it already.",
    references=("RFC 7435",),
)
LEAST = 10
MAX_PEERS = 50
ROLES = ("other", "relay", "submission", "access", "delivery")
_ROLE = {"smtp": 1, "submission": 2, "submissions": 2, "imap": 3, "imaps": 3, "pop3": 3, "pop3s": 3, "managesieve": 3, "nntp": 3, "nntps": 3, "lmtp": 4}
_TLS, _CLEAR, _UNKNOWN = range(3)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    rows = visits.rows()
    rows = rows[(rows["flags"] & PROBE) == 0]
    return Answer([_finding(visits, rows)] if len(rows) >= LEAST else (), captures_of(visits, rows))


def _finding(visits: Visits, rows: Any) -> Finding:
    import numpy

    nets, net_of = _numbered([None if address is None else _network(address) for address in visits.clients.values])
    peers, peer_of = _numbered([*(registrable(text) if text else None for text in visits.texts.values), *(server and server[0] for server in visits.servers.values)])
    role_of = numpy.array([_ROLE.get(kind[1], 0) if kind else 0 for kind in visits.kinds.values])
    named = rows["name"] > MORE
    key = (net_of[rows["client"]].astype("i8") * len(peers) + peer_of[numpy.where(named, rows["name"], rows["server"] + len(visits.texts.values))]) * len(ROLES) + role_of[rows["kind"]]
    groups, place = numpy.unique(key, return_inverse=True)
    state = _states(rows["flags"])
    counts = numpy.bincount(place * 3 + state, minlength=3 * len(groups)).reshape(-1, 3)
    sizes = numpy.bincount(place * 3 + state, weights=rows["bytes_client"], minlength=3 * len(groups)).astype("i8").reshape(-1, 3)
    mails = numpy.bincount(place, weights=(rows["flags"] & CONTENT) != 0, minlength=len(groups)).astype("i8")
    shown = []
    for group, (n_tls, n_clear, n_unknown), (b_tls, b_clear, b_unknown), n_mail in zip(groups.tolist(), counts.tolist(), sizes.tolist(), mails.tolist()):
        rest, role = divmod(group, len(ROLES))
        net, peer = divmod(rest, len(peers))
        shown.append({"client_net": nets[net], "server": peers[peer], "role": ROLES[role], "n_tls": n_tls, "n_clear": n_clear, "n_unknown": n_unknown, "n_with_mail": n_mail,
                      "bytes_tls": b_tls, "bytes_clear": b_clear, "bytes_unknown": b_unknown})
    shown.sort(key=lambda row: (-row["n_clear"], -row["n_unknown"], -row["n_tls"], row["server"] or "", row["client_net"] or "", row["role"]))
    total = {name: sum(row[name] for row in shown) for name in list(shown[0])[3:]}
    n = len(rows)
    first = visits.look_up(rows[0])
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, finding_id=finding_id(RULE.id, "", first.session_id, ""), capture=first.capture, frame=first.frame, ts_ns=first.start_ns,
        title=f"{total['n_tls'] / n:.0%} of {n:,} mail conversations went over TLS, {total['n_clear'] / n:.0%} in clear, {total['n_unknown'] / n:.0%} cannot be told",
        evidence={"n_sessions": n, **total, "peers": shown[:MAX_PEERS], "n_peers": len(shown)})


def _states(flags: Any) -> Any:
    """TLS, clear or unknown: what passed in clear before TLS began counts as clear."""
    import numpy

    verdict = flags >> VERDICT_SHIFT & 3
    exposed, unknown = verdict == VERDICTS.index("exposed"), verdict == VERDICTS.index("unknown")
    return numpy.where(exposed, _CLEAR, numpy.where((flags & ESTABLISHED) != 0, _TLS, numpy.where(unknown | ((flags & STARTED) != 0), _UNKNOWN, _CLEAR)))


def _numbered(values: list[Any]) -> tuple[list[Any], Any]:
    """Distinct values, and for each place the number of its value."""
    import numpy

    known: dict[Any, int] = {}
    places = [known.setdefault(value, len(known)) for value in values]
    return list(known), numpy.array(places)


def _network(address: str) -> str:
    """The /24 or /48 of an address."""
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/{48 if ':' in address else 24}", strict=False))
    except ValueError:
        return address
