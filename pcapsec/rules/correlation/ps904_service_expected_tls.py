"""PS904: a client used the clear port of a server that serves the same with TLS from the first byte.

What
    Logins, mailboxes or submitted mail passed in clear on 143, 110 or 587, while the same address answered on 993, 995 or 465, seen in the capture.

Why
    The server is ready for RFC 8314's implicit TLS; only this client's settings say otherwise. Moving it costs a change of port.

Evidence
    server: address and port in clear; tls_server: address and port with TLS.
    session_id_tls: a conversation with TLS on that port, by anybody; tls_time: when.
    clear_time: the first in clear, which this finding points at.
    n_clear: conversations of this client in clear with this server.
    related_session_ids: of those, at most 20.

Not a finding when
    - nothing passed in clear but questions, or the server took nothing before TLS;
    - it is mail between servers on port 25 without a login;
    - TLS on the other port failed each time.

References
    RFC 8314 §4.1, §5.1, §5.2
"""
from __future__ import annotations

from typing import Any

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, chosen, finding_at, groups, losses, named, root_of, session_ids, used_in_clear
from ..handshake import when
from ..rule import Rule, Verdict
from ..site import Site
from ..visit_flags import ESTABLISHED, IMPLICIT, LOGGED_IN, UNSEEN_CLIENT
from ..visits import Visit, Visits, ordered

RULE = Rule(
    id="PS904", slug="service-expected-tls", title="Client used clear port although server offers TLS port/record", severity="medium", confidence="medium",
    category="correlation", scope="capture", protocols=("smtp", "imap", "pop3", "nntp"), several=True,
    remediation="Move this client to the port with TLS: 993 for IMAP, 995 for POP3, 465 for submission; then close the clear one.",
    references=("RFC 8314 §4.1, §5.1, §5.2",),
)
SUBMISSION, IMAP, POP3, NNTP = 1, 2, 3, 4
_ENCRYPTED = {"submissions": SUBMISSION, "imaps": IMAP, "pop3s": POP3, "nntps": NNTP}
_CLEAR = {"smtp": SUBMISSION, "imap": IMAP, "pop3": POP3, "nntp": NNTP}
_NAMES = {SUBMISSION: "submission", IMAP: "IMAP", POP3: "POP3", NNTP: "NNTP"}


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    import numpy

    rows = visits.rows()
    flags = rows["flags"]
    addresses = numpy.array(_same_address(visits), dtype="<i8")
    clear_class, tls_class = numpy.zeros(len(visits.kinds.values), dtype="<i8"), numpy.zeros(len(visits.kinds.values), dtype="<i8")
    relay = numpy.zeros(len(visits.kinds.values), dtype=bool)
    for number, kind in enumerate(visits.kinds.values):
        if kind is not None:
            clear_class[number], tls_class[number], relay[number] = _CLEAR.get(kind[0], 0), _ENCRYPTED.get(kind[1], 0), kind[0] == "smtp" and kind[1] != "submission"
    where = addresses[rows["server"]] * 8
    encrypted = ((flags & (IMPLICIT | ESTABLISHED)) == IMPLICIT | ESTABLISHED) & (tls_class[rows["kind"]] > 0)
    clear = used_in_clear(flags) & (clear_class[rows["kind"]] > 0) & (~relay[rows["kind"]] | ((flags & LOGGED_IN) != 0))
    tls_keys, firsts = _earliest(where[encrypted] + tls_class[rows["kind"][encrypted]], rows[encrypted])
    clear_keys = where + clear_class[rows["kind"]]
    met = clear & numpy.isin(clear_keys, tls_keys)
    found, kept = [], ordered(rows[met], "client", "server")
    starts = groups(kept, "client", "server")
    place = dict(zip(tls_keys.tolist(), firsts))
    for group in chosen(kept, starts, numpy.ones(len(starts), dtype=bool)):
        key = int(addresses[group["server"][0]] * 8 + clear_class[group["kind"][0]])
        found.append(_finding(visits.look_up(group[0]), visits.look_up(place[key]), key & 7, group))
    return Answer(found, captures_of(visits, rows, clear), losses(visits, rows, (flags & (UNSEEN_CLIENT | ESTABLISHED)) == UNSEEN_CLIENT))


def _same_address(visits: Visits) -> list[int]:
    """For each server's number the number of the first that has its address."""
    first: dict[str, int] = {}
    return [0 if server is None else first.setdefault(server[0], number) for number, server in enumerate(visits.servers.values)]


def _earliest(keys: Any, rows: Any) -> tuple[Any, list[Any]]:
    """Each key once, and the earliest of its rows."""
    import numpy

    keys, index = numpy.unique(keys, return_index=True)  # the first of each: they are in order of time
    return keys, list(rows[index])


def _finding(clear: Visit, tls: Visit, kind: int, group: Any) -> Finding:
    return finding_at(
        RULE, clear, f"{clear.client_ip}\n{clear.server_port}", variant=clear.protocol, because_of=root_of(clear, RULE.severity),
        title=f"{clear.client_ip} uses {_NAMES[kind]} in clear on {clear.server_ip} port {clear.server_port}, which has it with TLS on port {tls.server_port}",
        evidence={"server": named(clear), "tls_server": named(tls), "session_id_tls": tls.session_id, "tls_time": when(tls.start_ns), "clear_time": when(clear.start_ns),
                  "n_clear": len(group), "related_session_ids": session_ids(group["session_id"].tolist())})
