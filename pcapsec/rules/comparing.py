"""What the rules that compare conversations share: an answer for each capture out of one look at all visits, and how findings tell what they compared."""
from __future__ import annotations

import ipaddress
from typing import Any, Callable, Iterable

from ..records import Capture, Finding
from .rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from .site import Site
from .stories import RANK
from .visit_flags import CLEAR, CONTENT, ENFORCED, LOGGED_IN, LOST_MASK, MAIL_SENT, lost
from .visits import Visit, Visits

MAX_FINDINGS = 10_000  # of one rule: the earliest; more are not read by anybody
MAX_RELATED = 20  # conversations named in evidence
MAX_NETWORKS = 10
MAX_CLIENTS = 10_000  # whose networks are looked at
SECOND_NS = 10**9


class Answer:
    """What a rule says of all captures.

    Attributes:
        findings: by the capture of their primary evidence.
        compared: captures in which there was something to compare.
        unclear: captures in which there may have been -> what was lacking.
    """

    def __init__(self, found: Iterable[Finding], compared: Iterable[str] = (), unclear: dict[str, str] | None = None):
        self.findings: dict[str, list[Finding]] = {}
        for finding in sorted(found, key=_place)[:MAX_FINDINGS]:
            self.findings.setdefault(finding.capture, []).append(finding)
        self.compared, self.unclear = frozenset(compared), unclear or {}


def answer(rule: Rule, capture: Capture, site: Site, find: Callable[[Visits, Site], Answer]) -> list[Finding] | Verdict:
    """What a rule says of one capture; `find` is called once for all of them."""
    known = once(site.collected.visits, rule.id, lambda visits: find(visits, site))
    found = known.findings.get(capture.name)
    if found:
        return found
    if capture.name in known.compared:
        return PASS
    reason = known.unclear.get(capture.name)
    return not_observable(reason) if reason else NOT_APPLICABLE


def once(visits: Visits, name: str, find: Callable[[Visits], Any]) -> Any:
    """What a function makes of all visits, remembered until there are more of them."""
    if name not in visits.answers:
        visits.answers[name] = find(visits)
    return visits.answers[name]


def finding_at(rule: Rule, visit: Visit, subject: str, *, severity: str = "", reason: str = "", confidence: str = "", variant: str = "", title: str, evidence: dict[str, Any],
               because_of: str | None = None) -> Finding:
    """A finding whose primary evidence is a visit.

    Args:
        subject: what it is about, beside the visit: makes its id.
    """
    return Finding(
        rule=rule, severity=severity or rule.severity, severity_reason=reason if severity and severity != rule.severity else "", confidence=confidence or rule.confidence,
        variant=variant, title=title, evidence=evidence, because_of=because_of, finding_id=finding_id(rule.id, "", subject, visit.session_id),
        capture=visit.capture, frame=visit.frame, ts_ns=visit.start_ns, ends=visit.ends)


def root_of(visit: Visit, severity: str) -> str | None:
    """The finding of the visit's own story that one of a severity hangs on: it is never weaker than what hangs on it."""
    return visit.root if visit.root_rank >= RANK[severity] else None


def used_in_clear(flags: Any) -> Any:
    """Whether a visit's flags, or an array of them, say that mail, a login or a mailbox was served without TLS."""
    return ((flags & (CLEAR | ENFORCED)) == CLEAR) & ((flags & (MAIL_SENT | LOGGED_IN | CONTENT)) != 0)


def captures_of(visits: Visits, rows: Any, wanted: Any = True) -> set[str]:
    """Names of the captures that hold rows which are wanted."""
    import numpy

    return {visits.captures.values[number] for number in numpy.unique(rows["capture"][wanted]).tolist()}


def losses(visits: Visits, rows: Any, wanted: Any) -> dict[str, str]:
    """Capture -> why bytes of a row in it were not seen, of those rows that are wanted; the same reason in every run."""
    import numpy

    told = numpy.unique(rows["capture"][wanted].astype("<i8") << 32 | rows["flags"][wanted] & numpy.uint32(LOST_MASK)).tolist()
    found: dict[str, str] = {}
    for capture, reason in sorted((visits.captures.values[number >> 32], lost(number & 0xFFFFFFFF)) for number in told):
        if reason:
            found.setdefault(capture, reason)
    return found


def meeting(rows: Any, columns: tuple[str, ...], *wanted: Any) -> Any:
    """Rows whose value of each column has, for each mask, a row in it: few are worth sorting."""
    import numpy

    kept = numpy.ones(len(rows), dtype=bool)
    for column in columns:
        values = rows[column]
        for mask in wanted:
            seen = numpy.zeros(int(values.max(initial=0)) + 1, dtype=bool)
            seen[values[mask]] = True
            kept &= seen[values]
    return rows[kept]


def groups(rows: Any, *columns: str) -> Any:
    """Begin of each group of rows that are equal in columns, of rows sorted by them: an array."""
    import numpy

    if not len(rows):
        return numpy.zeros(0, dtype=numpy.int64)
    differs = numpy.ones(len(rows), dtype=bool)
    differs[1:] = False
    for column in columns:
        differs[1:] |= rows[column][1:] != rows[column][:-1]
    return numpy.flatnonzero(differs)


def has(wanted: Any, starts: Any) -> Any:
    """Whether any row of each group is wanted: an array of groups."""
    import numpy

    return numpy.logical_or.reduceat(wanted, starts) if len(starts) else numpy.zeros(0, dtype=bool)


def chosen(rows: Any, starts: Any, wanted: Any) -> list[Any]:
    """Rows of the groups that are wanted, at most MAX_FINDINGS of them: those that begin earliest. Copies, so that the rest can go."""
    import numpy

    ends = numpy.append(starts[1:], len(rows))
    places = numpy.flatnonzero(wanted)
    if len(places) > MAX_FINDINGS:
        first = rows[starts[places]]
        places = places[numpy.lexsort((first["session_id"], numpy.minimum.reduceat(rows["start_ns"], starts)[places]))[:MAX_FINDINGS]]
    return [rows[begin:end].copy() for begin, end in zip(starts[places].tolist(), ends[places].tolist())]


def named(visit: Visit) -> str:
    """Address and port of the server, as evidence shows them."""
    return f"[{visit.server_ip}]:{visit.server_port}" if ":" in visit.server_ip else f"{visit.server_ip}:{visit.server_port}"


def networks(visits: Visits, rows: Any) -> list[str]:
    """Networks of the clients of rows, /24 or /48, in order; at most MAX_NETWORKS."""
    import numpy

    found = set()
    for number in numpy.unique(rows["client"])[:MAX_CLIENTS].tolist():
        address = (visits.clients.values[number] or "").partition("%")[0]
        try:
            found.add(ipaddress.ip_network(f"{address}/{48 if ':' in address else 24}", strict=False))
        except ValueError:
            continue
    return [str(network) for network in sorted(found, key=lambda network: (network.version, network))[:MAX_NETWORKS]]


def session_ids(numbers: Iterable[int]) -> list[str]:
    """Ids as evidence shows them, each once, at most MAX_RELATED."""
    return [f"{number:016x}" for number in list(dict.fromkeys(numbers))[:MAX_RELATED]]


def _place(finding: Finding) -> tuple:
    return finding.ts_ns, finding.capture, finding.frame, finding.ends.session_id if finding.ends is not None else "", finding.finding_id
