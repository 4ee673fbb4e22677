"""PS903: client and server used TLS before, and now speak in clear.

What
    A client had TLS with a server, and later, with no TLS since, it sent mail to that server, logged in or read a mailbox there in clear (variant regressed).
    Or it did so in between, and used TLS again afterwards (variant temporary). Variant other-address: TLS was with another address of the same name.
    Variant baseline: TLS was in an earlier capture that a baseline remembers, and this one has none.

Why
    Both can do TLS, as they have shown. Something changed: a setting, a certificate that ran out, or a box on the way that takes the offer out.

Evidence
    session_id_tls, session_id_clear: the last conversation with TLS before, and the first in clear, which this finding points at.
    tls_time, clear_time: when.
    server: address and port; tls_server: where TLS was.
    client_name: name that the client gave.
    n_tls, n_clear: conversations of either kind.
    n_without_offer: of those in clear, how many had a whole list without STARTTLS.
    n_fingerprints: different ClientHellos (JA4) of this client.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: at most 20.
    earlier_from, earlier_source: `baseline`, and the capture of that TLS, where it is known from the baseline.
    tls_first, tls_version, clear_since: for those, when TLS was seen first, its version, and when the client was first seen in clear since.

Not a finding when
    - TLS failed in between: PS205 tells it;
    - the name that the client gave differs: several programs or hosts share the address;
    - TLS and clear text take turns, and those in clear had no offer below another greeting: several machines share the address, one of them without TLS;
    - the first conversation was in clear: then the client learnt TLS, or goes on and off (PS911).
    Without names, as in IMAP and POP3, several programs may share the address: confidence is low and it is one step less severe. It is low too where TLS
    was used again.

References
    RFC 3207 §6
"""
from __future__ import annotations

from typing import Any, Iterator

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, chosen, finding_at, groups, has, losses, meeting, named, root_of, session_ids, used_in_clear
from ..handshake import cut, when
from ..histories import Mixture, fallbacks, history, mixture, mixtures
from ..innocence import CLIENT_SETTINGS, FAILED_FIRST, OTHER_PROGRAM, OTHER_SERVER, SERVER_SETTINGS, SEVERAL_MACHINES, causes
from ..regressions import PairChange, pair_changes
from ..rule import LOWER, MAIL, Rule, Verdict
from ..site import Site
from ..visit_flags import ESTABLISHED, UNSEEN_CLIENT
from ..visits import MORE, Visits, ordered

RULE = Rule(
    id="PS903", slug="tls-regression", title="Peer pair used TLS before, clear now", severity="high", confidence="medium",
    category="correlation", scope="capture", protocols=MAIL, several=True,
    remediation="Find out what changed between the two times: the client's settings, the server's certificate, a firewall on the way. Require TLS for this peer.",
    references=("RFC 3207 §6",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    rows = visits.rows()
    told = {one.clear.session_id for one in fallbacks(visits, site.collected.dns)}
    found = [_finding(one) for one in [*mixtures(visits), *_elsewhere(visits)] if is_regression(one) and one.first_clear.session_id not in told]
    told |= {one.evidence["session_id_clear"] for one in found}
    earlier = [one for one in pair_changes(visits, site.remembered) if one.first_clear.session_id not in told]
    found += map(_against_baseline, earlier)
    flags = rows["flags"]
    return Answer(found, captures_of(visits, rows, (flags & ESTABLISHED) != 0), losses(visits, rows, (flags & (UNSEEN_CLIENT | ESTABLISHED)) == UNSEEN_CLIENT))


def is_regression(one: Mixture) -> bool:
    """TLS came before the first clear text, and in turn with it only from the same machine."""
    return one.by_time == "ended" or not one.by_time and one.first_tls.start_ns < one.first_clear.start_ns and not one.other_machines


def _elsewhere(visits: Visits) -> Iterator[Mixture]:
    """TLS with one address of a name, clear text with another, by one program."""
    import numpy

    rows = visits.rows()
    is_named = (rows["name"] > MORE) & (rows["client_name"] > MORE)
    rows = meeting(rows, ("client", "name"), is_named & ((rows["flags"] & ESTABLISHED) != 0), is_named & used_in_clear(rows["flags"]))
    rows = ordered(rows[(rows["name"] > MORE) & (rows["client_name"] > MORE)], "client", "name", "client_name")
    starts, flags = groups(rows, "client", "name", "client_name"), rows["flags"]
    several = numpy.minimum.reduceat(rows["server"], starts) != numpy.maximum.reduceat(rows["server"], starts) if len(starts) else has(flags, starts)
    for group in chosen(rows, starts, several & has((flags & ESTABLISHED) != 0, starts) & has(used_in_clear(flags), starts)):
        one = mixture(visits, history(group), list(range(len(group))), True, True)
        if one is not None and one.by_time == "ended" and one.first_clear.server_port == one.last_tls.server_port and not _meet(visits, group):
            yield one


def _meet(visits: Visits, group: Any) -> bool:
    """Whether some address had both TLS and clear text: then that pair is looked at by itself."""
    flags = group["flags"]
    return bool(set(group["server"][(flags & ESTABLISHED) != 0].tolist()) & set(group["server"][used_in_clear(flags)].tolist()))


def _finding(one: Mixture) -> Finding:
    clear, tls = one.first_clear, one.last_tls if one.by_time else one.first_tls
    severity = RULE.severity if one.named else LOWER[RULE.severity]
    sure = one.named and one.by_time and not one.elsewhere and one.n_fingerprints < 2
    return finding_at(
        RULE, clear, f"{clear.client_name}\n{tls.session_id}", severity=severity, reason="the client's program is not known", confidence=RULE.confidence if sure else "low",
        variant="other-address" if one.elsewhere else "regressed" if one.by_time else "temporary",
        title=f"{clear.client_ip} used TLS with {tls.server_ip} port {tls.server_port} before, and speaks in clear to " + (f"{clear.server_ip}" if one.elsewhere else "it") + " now",
        because_of=root_of(clear, severity),
        evidence={
            "session_id_tls": tls.session_id, "session_id_clear": clear.session_id, "tls_time": when(tls.start_ns), "clear_time": when(clear.start_ns), "server": named(clear),
            "tls_server": named(tls), "client_name": clear.client_name and cut(clear.client_name), "n_tls": one.n_tls, "n_clear": one.n_clear,
            "n_without_offer": one.n_stripped, "n_fingerprints": one.n_fingerprints,
            **causes((FAILED_FIRST, True), (OTHER_PROGRAM, False), (SEVERAL_MACHINES, not one.other_machines and not one.elsewhere),
                     (CLIENT_SETTINGS, one.n_unasked == 0), (SERVER_SETTINGS, one.n_stripped == 0 and one.n_unasked > 0)),
            "related_session_ids": session_ids(one.related)})


def _against_baseline(one: PairChange) -> Finding:
    clear, before, named_ = one.first_clear, one.before, bool(one.before.client_name)
    severity = RULE.severity if named_ else LOWER[RULE.severity]
    same_server = bool(before.banner) and not one.n_unasked
    return finding_at(
        RULE, clear, f"{clear.client_name}\nbaseline", severity=severity, reason="the client's program is not known", confidence=RULE.confidence if named_ else "low", variant="baseline",
        title=f"{clear.client_ip} used TLS with {clear.server_ip} port {clear.server_port} in an earlier capture, and speaks in clear to it now", because_of=root_of(clear, severity),
        evidence={
            "session_id_clear": clear.session_id, "tls_first": when(before.tls_first_ns), "tls_time": when(before.tls_last_ns), "clear_time": when(clear.start_ns),
            "clear_since": when(one.since_ns), "server": named(clear), "client_name": clear.client_name and cut(clear.client_name), "n_clear": one.n_clear,
            "n_without_offer": one.n_stripped, "tls_version": before.version or None, "earlier_from": "baseline", "earlier_source": before.source,
            **causes((OTHER_SERVER, same_server), (OTHER_PROGRAM, False), (CLIENT_SETTINGS, one.n_unasked == 0), (SERVER_SETTINGS, one.n_stripped == 0 and one.n_unasked > 0)),
            "related_session_ids": session_ids(one.related)})
