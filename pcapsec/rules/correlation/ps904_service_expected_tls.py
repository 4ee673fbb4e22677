"""PS904: a client used the clear port of a server that serves the same with TLS from the first byte.

What
    Logins, mailboxes or submitted mail passed in clear on 143, 110 or 587, while the same address answered on 993, 995 or 465, seen in the capture. Or SRV
    records in the capture say that the host has the service with TLS (variants that end in -srv), or that its domain does not have the one in clear at
    all (-not-offered).

Why
    The server is ready for RFC 8314's implicit TLS; only this client's settings say otherwise. Moving it costs a change of port.

Evidence
    server: address and port in clear; tls_server: address and port with TLS.
    session_id_tls: a conversation with TLS on that port, by anybody; tls_time: when; null where only SRV records say it.
    domain: whose SRV records say it; null where the port was seen.
    clear_time: the first in clear, which this finding points at.
    n_clear: conversations of this client in clear with this server.
    related_session_ids: of those, at most 20.

Not a finding when
    - nothing passed in clear but questions, or the server took nothing before TLS;
    - it is mail between servers on port 25 without a login;
    - TLS on the other port failed each time, and no SRV record names it.

References
    RFC 8314 §4.1, §5.1, §5.2
    RFC 6186 §3.4
"""
from __future__ import annotations

from typing import Any, NamedTuple

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, chosen, finding_at, groups, losses, named, root_of, session_ids, used_in_clear
from ..dns_policy import Dns
from ..handshake import cut, when
from ..rule import Rule, Verdict
from ..site import Site
from ..visit_flags import ESTABLISHED, IMPLICIT, LOGGED_IN, UNSEEN_CLIENT
from ..visits import Visit, Visits, ordered

RULE = Rule(
    id="PS904", slug="service-expected-tls", title="Client used clear port although server offers TLS port/record", severity="medium", confidence="medium",
    category="correlation", scope="capture", protocols=("smtp", "imap", "pop3", "nntp"), several=True,
    remediation="Move this client to the port with TLS: 993 for IMAP, 995 for POP3, 465 for submission; then close the clear one.",
    references=("RFC 8314 §4.1, §5.1, §5.2", "RFC 6186 §3.4"),
)
SUBMISSION, IMAP, POP3, NNTP = 1, 2, 3, 4
_ENCRYPTED = {"submissions": SUBMISSION, "imaps": IMAP, "pop3s": POP3, "nntps": NNTP}
_CLEAR = {"smtp": SUBMISSION, "imap": IMAP, "pop3": POP3, "nntp": NNTP}
_NOT_OFFERED = {"submission": SUBMISSION, "imap": IMAP, "pop3": POP3}
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
    tls_keys, firsts = numpy.unique(where[encrypted] + tls_class[rows["kind"][encrypted]], return_index=True)  # the first of each: they are in order of time
    clear_keys = where + clear_class[rows["kind"]]
    met = clear & numpy.isin(clear_keys, tls_keys)
    place = dict(zip(tls_keys.tolist(), numpy.flatnonzero(encrypted)[firsts].tolist()))
    found = [_seen(visits, group, rows[place[int(addresses[group["server"][0]] * 8 + clear_class[group["kind"][0]])]]) for group in _of_each(rows[met])]
    if promises := _promises(site.collected.dns):
        told = clear & ~met
        told[told] = _is_told(visits, rows[["name", "server"]][told], promises)
        for group in _of_each(rows[told]):
            visit = visits.look_up(group[0])
            promise = _promised(visit, _CLEAR[visit.protocol], promises)
            if promise is not None:
                found.append(_finding(visit, group, *promise))
    return Answer(found, captures_of(visits, rows, clear), losses(visits, rows, (flags & (UNSEEN_CLIENT | ESTABLISHED)) == UNSEEN_CLIENT))


def _of_each(rows: Any) -> list[Any]:
    """Rows of each client with each server."""
    rows = ordered(rows, "client", "server")
    starts = groups(rows, "client", "server")
    return chosen(rows, starts, starts >= 0)


class Promises(NamedTuple):
    """What SRV records say."""

    hosts: dict[tuple[str, int], tuple[str, str]]  # host or address, service -> domain, host and port with TLS
    absent: set[tuple[str, int]]  # domain, service that it does not offer


def _promises(dns: Dns) -> Promises | None:
    hosts: dict[tuple[str, int], tuple[str, str]] = {}
    absent: set[tuple[str, int]] = set()
    for domain, _ in dns.of("srv"):
        for service, places in dns.implicit_tls(domain).items():
            for host, port in places:
                for name in (host, *dns.addresses(host)):
                    hosts.setdefault((name, _ENCRYPTED[service]), (domain, f"{host}:{port}"))
        for service in dns.not_offered(domain):
            if service in _NOT_OFFERED:
                absent.add((domain, _NOT_OFFERED[service]))
    return Promises(hosts, absent) if hosts or absent else None


def _is_told(visits: Visits, rows: Any, promises: Promises) -> Any:
    """Whether a record may speak of the server: by its name or address, whatever the service. An array of rows."""
    import numpy

    spoken = {name for name, _ in promises.hosts}
    above = {domain for domain, _ in promises.absent}
    names = [number for number in numpy.unique(rows["name"]).tolist() if (name := visits.texts.values[number]) and (name in spoken or any(domain in above for domain in _domains(name)))]
    servers = [number for number in numpy.unique(rows["server"]).tolist() if visits.servers.values[number][0] in spoken]
    return numpy.isin(rows["name"], names) | numpy.isin(rows["server"], servers)


def _domains(name: str) -> list[str]:
    """A host's name and the domains above it."""
    labels = name.split(".")
    return [".".join(labels[index:]) for index in range(len(labels))]


def _promised(visit: Visit, kind: int, promises: Promises) -> tuple[str, str, str | None] | None:
    """(what ends the variant, domain, host and port with TLS), None where no record speaks of the server."""
    known = promises.hosts.get((visit.name or "", kind)) or promises.hosts.get((visit.server_ip, kind))
    if known is not None:
        return "-srv", *known
    return next((("-not-offered", domain, None) for domain in _domains(visit.name or "") if (domain, kind) in promises.absent), None)


def _same_address(visits: Visits) -> list[int]:
    """For each server's number the number of the first that has its address."""
    first: dict[str, int] = {}
    return [0 if server is None else first.setdefault(server[0], number) for number, server in enumerate(visits.servers.values)]


def _seen(visits: Visits, group: Any, first: Any) -> Finding:
    """A finding about a port with TLS that was seen."""
    tls = visits.look_up(first)
    return _finding(visits.look_up(group[0]), group, "", None, named(tls), tls)


def _finding(clear: Visit, group: Any, suffix: str, domain: str | None, tls_server: str | None, tls: Visit | None = None) -> Finding:
    what = f"{_NAMES[_CLEAR[clear.protocol]]} in clear on {clear.server_ip} port {clear.server_port}"
    if tls is not None:
        why = f", which has it with TLS on port {tls.server_port}"
    else:
        why = f"; {cut(domain)} has it with TLS on {cut(tls_server)}" if tls_server else f", a service that {cut(domain)} says it does not have"
    return finding_at(
        RULE, clear, f"{clear.client_ip}\n{clear.server_port}", variant=clear.protocol + suffix, because_of=root_of(clear, RULE.severity), title=f"{clear.client_ip} uses {what}{why}",
        evidence={"server": named(clear), "tls_server": tls_server and cut(tls_server), "session_id_tls": tls and tls.session_id, "tls_time": tls and when(tls.start_ns),
                  "clear_time": when(clear.start_ns), "domain": domain and cut(domain), "n_clear": len(group), "related_session_ids": session_ids(group["session_id"].tolist())})
