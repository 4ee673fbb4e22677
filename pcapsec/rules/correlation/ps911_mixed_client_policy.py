"""PS911: one client sometimes asks for TLS and sometimes does not, while the server always offers it.

What
    Every whole list that a client got from a server has STARTTLS. In some conversations the client used it, in others it sent mail, logged in or read a mailbox
    in clear, in turn (variant mixed). Variant reconnected: the client began in clear, nothing of value passed, and within a minute it came back with TLS.

Why
    Nothing but the client's settings decides: a program, profile or connector among several that was forgotten. Reconnected says that the offer which it
    did not use (PS204) weighs less: it found its way to TLS.

Evidence
    session_id_clear: the first conversation in clear, which this finding points at.
    session_id_tls: one with TLS; for reconnected the one that followed.
    clear_time, tls_time: when.
    server: address and port.
    client_name: name that the client gave.
    n_tls, n_clear: conversations of either kind.
    n_fingerprints: different ClientHellos (JA4) of this client.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: at most 20.

Not a finding when
    - the server did not offer in one of those in clear (PS305, PS903);
    - all TLS came before all clear text (PS903), or after it: then the client learnt TLS;
    - the names that the client gave differ.
    Without a name, or with several fingerprints, several programs may share the address: confidence is low. Reconnected is one step less severe.

References
    RFC 8314 §5.2
    RFC 3207 §6
"""
from __future__ import annotations

from typing import Any, Iterator, NamedTuple

from ...records import Capture, Finding
from ..comparing import SECOND_NS, Answer, answer, captures_of, chosen, finding_at, groups, has, losses, meeting, named, root_of, session_ids
from ..handshake import cut, when
from ..histories import Mixture, mixtures
from ..innocence import SEVERAL_PROGRAMS, SOMETIMES, causes
from ..rule import LOWER, MAIL, Rule, Verdict
from ..site import Site
from ..visit_flags import CLEAR, CONTENT, ENFORCED, ESTABLISHED, LOGGED_IN, OFFERED, REQUESTED, UNSEEN_CLIENT
from ..visits import MORE, Visit, Visits, ordered

RULE = Rule(
    id="PS911", slug="mixed-client-policy", title="One client sometimes upgrades, sometimes not, to the same server", severity="medium", confidence="medium",
    category="correlation", scope="capture", protocols=MAIL, several=True,
    remediation="Set every program, profile and connector of this client to require TLS.",
    references=("RFC 8314 §5.2", "RFC 3207 §6"),
)
AT_ONCE_NS = 60 * SECOND_NS
_UNUSED = CLEAR | OFFERED


class Return(NamedTuple):
    """A client that began in clear and came back with TLS."""

    clear: Visit
    tls: Visit


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    rows = visits.rows()
    found = [_mixed(one) for one in mixtures(visits) if not one.by_time and one.n_unasked == one.n_clear] + [_returned(one) for one in _returns(visits)]
    flags = rows["flags"]
    return Answer(found, captures_of(visits, rows, (flags & OFFERED) != 0), losses(visits, rows, (flags & (UNSEEN_CLIENT | ESTABLISHED | OFFERED)) == UNSEEN_CLIENT | OFFERED))


def _returns(visits: Visits) -> Iterator[Return]:
    rows = visits.rows()
    is_named = rows["client_name"] > MORE
    rows = meeting(rows, ("client", "server"), is_named & _only_looked(rows["flags"]), is_named & ((rows["flags"] & ESTABLISHED) != 0))
    rows = ordered(rows[rows["client_name"] > MORE], "client", "server", "client_name")
    starts, flags = groups(rows, "client", "server", "client_name"), rows["flags"]
    for group in chosen(rows, starts, has(_only_looked(flags), starts) & has((flags & ESTABLISHED) != 0, starts)):
        last = None
        for index, (flag, only_looked) in enumerate(zip(group["flags"].tolist(), _only_looked(group["flags"]).tolist())):
            if only_looked:
                last = index
            elif flag & ESTABLISHED and last is not None:
                one = Return(visits.look_up(group[last]), visits.look_up(group[index]))
                last = None
                if one.tls.start_ns - one.clear.end_ns <= AT_ONCE_NS:
                    yield one


def _only_looked(flags: Any) -> Any:
    """Whether a visit's flags, or an array of them, say that a client left the offer unused and nothing of value passed."""
    return ((flags & (_UNUSED | REQUESTED)) == _UNUSED) & (((flags & (CONTENT | LOGGED_IN)) == 0) | ((flags & (ENFORCED | LOGGED_IN)) == ENFORCED))


def _mixed(one: Mixture) -> Finding:
    clear, tls = one.first_clear, one.first_tls
    sure = one.named and one.n_fingerprints < 2
    return finding_at(
        RULE, clear, f"{clear.client_name}", variant="mixed", confidence=RULE.confidence if sure else "low", because_of=root_of(clear, RULE.severity),
        title=f"{clear.client_ip} uses the STARTTLS of {clear.server_ip} port {clear.server_port} in {one.n_tls} of {one.n_tls + one.n_clear} conversations",
        evidence={**_both(clear, tls), "n_tls": one.n_tls, "n_clear": one.n_clear, "n_fingerprints": one.n_fingerprints,
                  **causes((SOMETIMES, True), (SEVERAL_PROGRAMS, False)),
                  "related_session_ids": session_ids(one.related)})


def _returned(one: Return) -> Finding:
    seconds = max(0, one.tls.start_ns - one.clear.end_ns) // SECOND_NS
    severity = LOWER[RULE.severity]
    return finding_at(
        RULE, one.clear, f"{one.clear.client_name}\nreconnected", variant="reconnected", severity=severity, reason="came back with TLS", because_of=root_of(one.clear, severity),
        title=f"{one.clear.client_ip} began in clear with {one.clear.server_ip} port {one.clear.server_port} and came back with TLS within {seconds + 1} s",
        evidence={**_both(one.clear, one.tls), "n_tls": 1, "n_clear": 1, "n_fingerprints": 1,
                  **causes((SOMETIMES, True), (SEVERAL_PROGRAMS, False)),
                  "related_session_ids": [one.clear.session_id, one.tls.session_id]})


def _both(clear: Visit, tls: Visit) -> dict:
    return {"session_id_clear": clear.session_id, "session_id_tls": tls.session_id, "clear_time": when(clear.start_ns), "tls_time": when(tls.start_ns), "server": named(clear),
            "client_name": clear.client_name and cut(clear.client_name)}
