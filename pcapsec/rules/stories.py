"""Which findings of a session tell one story, and which of them is its root.

A credential that was sent stands above what made that possible; without one, the missing or unused protection stands above what passed in clear.
A root is never weaker than what hangs on it: whoever counts roots only must not miss the worse one.
"""
from __future__ import annotations

from ..records import SEVERITIES, Finding

CREDENTIALS = frozenset(f"PS{n}" for n in range(101, 115))
PROTECTION = frozenset(("PS201", "PS202", "PS204"))
BEHIND_CREDENTIAL = frozenset(("PS115", "PS121", "PS204", "PS206", "PS210", "PS211", "PS212", "PS217"))
BEHIND_PROTECTION = frozenset(("PS206", "PS212", "PS217", "PS705"))
OF_ONE_LOGIN = frozenset(("PS106", "PS115", "PS126", "PS210"))  # they share their place with the finding about the login itself
INVOLVED = CREDENTIALS | PROTECTION | BEHIND_CREDENTIAL | BEHIND_PROTECTION | OF_ONE_LOGIN
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def link(findings: list[Finding]) -> None:
    """Set `because_of`, and for PS126 name the finding that carries the secret.

    Args:
        findings: those of one session that are INVOLVED, with ids and final severities.
    """
    credential = protection = None
    n_credentials = 0
    for finding in findings:
        rule_id = finding.rule.id
        if rule_id in CREDENTIALS:
            n_credentials += 1
            if credential is None or RANK[finding.severity] > RANK[credential.severity]:
                credential = finding
        elif rule_id in PROTECTION and (protection is None or RANK[finding.severity] > RANK[protection.severity]):
            protection = finding
    if credential is None and protection is None:
        return
    by_login = _strongest_by_login(findings) if n_credentials > 1 else None
    for finding in findings:
        rule_id = finding.rule.id
        root = None
        if credential is not None:
            if rule_id in OF_ONE_LOGIN:
                root = credential if by_login is None else by_login.get(finding.at)
                if rule_id == "PS126":
                    if root is not None:
                        finding.evidence["source_finding_id"] = root.finding_id
                    continue
                if rule_id == "PS106" and (root is None or root.rule.id != "PS107"):
                    continue
            elif rule_id in BEHIND_CREDENTIAL:
                root = credential
        if root is None or RANK[root.severity] < RANK[finding.severity]:
            root = protection if rule_id in BEHIND_PROTECTION else None
        if root is not None and root is not finding and RANK[root.severity] >= RANK[finding.severity]:
            finding.because_of = root.finding_id


def _strongest_by_login(findings: list[Finding]) -> dict[int | None, Finding]:
    strongest: dict[int | None, Finding] = {}
    for finding in findings:
        if finding.rule.id in CREDENTIALS:
            known = strongest.get(finding.at)
            if known is None or RANK[finding.severity] > RANK[known.severity]:
                strongest[finding.at] = finding
    return strongest
