"""Which findings of a session tell one story, and which of them is its root.

A credential that was sent stands above what made that possible; without one, the missing or unused protection stands above what passed in clear.
A root is never weaker than what hangs on it: whoever counts roots only must not miss the worse one.
"""
from __future__ import annotations

from ..records import SEVERITIES, Finding

CREDENTIALS = frozenset(f"PS{n}" for n in range(101, 115))
BEHIND_CREDENTIAL = frozenset(("PS115", "PS121", "PS204", "PS206", "PS210", "PS211", "PS212", "PS217"))
PROTECTION = frozenset(("PS201", "PS202", "PS204"))
BEHIND_PROTECTION = frozenset(("PS206", "PS212", "PS217", "PS705"))
_RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def link(findings: list[Finding]) -> None:
    """Set `because_of`, and for PS126 the finding that carries the secret."""
    credential = protection = None
    by_login: dict[int | None, Finding] | None = None
    for finding in findings:
        rule_id = finding.rule.id
        if rule_id in CREDENTIALS:
            if credential is None or _RANK[finding.severity] > _RANK[credential.severity]:
                credential = finding
        elif rule_id in PROTECTION and (protection is None or _RANK[finding.severity] > _RANK[protection.severity]):
            protection = finding
    if credential is None and protection is None:
        return
    for finding in findings:
        rule_id = finding.rule.id
        if rule_id in _OF_ONE_LOGIN:
            if by_login is None:
                by_login = _strongest_by_login(findings)
            source = by_login.get(finding.at)
            if rule_id == "PS126":
                if source is not None:
                    finding.evidence["source_finding_id"] = source.finding_id
                continue
            if source is not None and source is not finding and (rule_id == "PS115" or source.rule.id == "PS107"):
                _hang(finding, source)
        elif rule_id in BEHIND_CREDENTIAL:
            _hang(finding, credential)
        if finding.because_of is None and finding is not protection and rule_id in BEHIND_PROTECTION:
            _hang(finding, protection)


_OF_ONE_LOGIN = frozenset(("PS106", "PS115", "PS126"))  # they share their place with the finding about the login itself


def _strongest_by_login(findings: list[Finding]) -> dict[int | None, Finding]:
    strongest: dict[int | None, Finding] = {}
    for finding in findings:
        if finding.rule.id in CREDENTIALS:
            known = strongest.get(finding.at)
            if known is None or _RANK[finding.severity] > _RANK[known.severity]:
                strongest[finding.at] = finding
    return strongest


def _hang(finding: Finding, root: Finding | None) -> None:
    if root is not None and _RANK[root.severity] >= _RANK[finding.severity]:
        finding.because_of = root.finding_id
