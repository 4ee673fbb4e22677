"""Which findings of a session tell one story, and which of them is its root.

Where somebody on the way changed the conversation so that TLS did not come about (TAMPERING), that stands above all that is missing because of it, and
above its own weaker signs. A credential stays a root of its own beside it: its password must be changed whoever is to blame.
A credential that was sent stands above what made that possible; without one, the missing or unused protection stands above what passed in clear.
A root is never weaker than what hangs on it: whoever counts roots only must not miss the worse one. What else is said about the content of a message hangs
on the finding that it passed in clear (PS206), or on that one's root.

HTTP, RPC, LDAP and SMB: a conversation is one story, whose root is the strongest finding. Between equals the order is RPC's missing encryption (outer,
then inner: PS512, PS502, PS501), then credentials, then content. What speaks of one login hangs on the strongest of its kind for that login: NTLMv1
(PS107) above the readable exchange (PS106) above the web login that carried it (PS124). A credential stays a root of its own beside the session's, for
there may be several accounts, unless RPC's missing encryption is the root: then the login is part of that story.
"""
from __future__ import annotations

from ..records import SEVERITIES, Finding

TAMPERING = ("PS313", "PS314", "PS311", "PS304", "PS301", "PS306", "PS307", "PS309", "PS317", "PS310", "PS303", "PS302", "PS315")  # the first is the root of equally strong ones
BEHIND_TAMPERING = frozenset((*TAMPERING, "PS201", "PS202", "PS203", "PS204", "PS206", "PS212", "PS215", "PS217", "PS316", "PS705"))
CREDENTIALS = frozenset(f"PS{n}" for n in range(101, 115))
PROTECTION = frozenset(("PS201", "PS202", "PS204"))
BEHIND_CREDENTIAL = frozenset(("PS115", "PS121", "PS204", "PS206", "PS210", "PS211", "PS212", "PS217"))
BEHIND_PROTECTION = frozenset(("PS206", "PS212", "PS217", "PS705"))
OF_ONE_LOGIN = frozenset(("PS106", "PS115", "PS126", "PS210"))  # they share their place with the finding about the login itself
BEHIND_CONTENT = frozenset(("PS705", "PS706"))
INVOLVED = BEHIND_TAMPERING | CREDENTIALS | PROTECTION | BEHIND_CREDENTIAL | BEHIND_PROTECTION | BEHIND_CONTENT | OF_ONE_LOGIN
LAYERED = frozenset(("dcerpc", "http", "ldap", "smb"))  # protocols whose story is told by `link_layered`
_TIES = (
    "PS512", "PS502", "PS501", "PS601", "PS117", "PS122", "PS116", "PS108", "PS107", "PS106", "PS124", "PS123", "PS125", "PS605", "PS602", "PS603",
    "PS503", "PS516", "PS505", "PS504", "PS507", "PS508",
)  # the first is the root of an equally strong one behind it; others follow in order of their ids
TRAFFIC = frozenset(("PS512", "PS502", "PS501"))
LOGINS = frozenset(("PS106", "PS107", "PS108", "PS116", "PS117", "PS122", "PS123", "PS124", "PS601"))
BEHIND_LAYERED = frozenset((*(f"PS{n}" for n in range(501, 519)), "PS118", "PS119", "PS121", "PS125", "PS127", "PS602", "PS603", "PS605", "PS607", "PS608"))
INVOLVED |= LOGINS | BEHIND_LAYERED
RANK = {severity: rank for rank, severity in enumerate(SEVERITIES)}


def link(findings: list[Finding]) -> None:
    """Set `because_of`, and for PS126 name the finding that carries the secret.

    Args:
        findings: those of one session that are INVOLVED, with ids and final severities.
    """
    credential = protection = tampering = None
    n_credentials = 0
    contents: dict[int | None, Finding] = {}  # offset of a message -> that it passed in clear
    for finding in findings:
        rule_id = finding.rule.id
        if rule_id in CREDENTIALS:
            n_credentials += 1
            if credential is None or RANK[finding.severity] > RANK[credential.severity]:
                credential = finding
        elif rule_id in PROTECTION:
            if protection is None or RANK[finding.severity] > RANK[protection.severity]:
                protection = finding
        elif rule_id == "PS206":
            contents[finding.at] = finding
        elif rule_id in TAMPERING and finding.severity != "info" and (tampering is None or _above(finding, tampering)):
            tampering = finding
    if tampering is not None:
        for finding in findings:
            if finding.rule.id in BEHIND_TAMPERING and finding is not tampering and RANK[tampering.severity] >= RANK[finding.severity]:
                finding.because_of = tampering.finding_id
    if credential is not None or protection is not None:
        _link_to(findings, credential, protection, n_credentials)
    if contents:
        for finding in findings:
            if finding.rule.id in BEHIND_CONTENT and finding.because_of is None:
                content = contents.get(finding.at)
                if content is not None and RANK[content.severity] >= RANK[finding.severity]:
                    finding.because_of = content.because_of or content.finding_id


def _link_to(findings: list[Finding], credential: Finding | None, protection: Finding | None, n_credentials: int) -> None:
    """Hang findings on the strongest credential that was sent, else on the strongest missing protection."""
    by_login = _strongest_by_login(findings) if n_credentials > 1 else None
    for finding in findings:
        rule_id = finding.rule.id
        root = None
        if finding.because_of is not None:
            continue
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
            finding.because_of = root.because_of or root.finding_id


def _above(finding: Finding, other: Finding) -> bool:
    """Which of two signs of tampering is the root."""
    return (RANK[finding.severity], -TAMPERING.index(finding.rule.id)) > (RANK[other.severity], -TAMPERING.index(other.rule.id))


def _strongest_by_login(findings: list[Finding]) -> dict[int | None, Finding]:
    strongest: dict[int | None, Finding] = {}
    for finding in findings:
        if finding.rule.id in CREDENTIALS:
            known = strongest.get(finding.at)
            if known is None or RANK[finding.severity] > RANK[known.severity]:
                strongest[finding.at] = finding
    return strongest


def link_layered(findings: list[Finding]) -> None:
    """Set `because_of` in a conversation of HTTP, RPC, LDAP or SMB.

    Args:
        findings: those of one session that are INVOLVED, with ids and final severities.
    """
    if len(findings) < 2:
        return
    ordered = sorted(findings, key=_strength)
    root = next((finding for finding in ordered if finding.rule.id != "PS126"), None)
    leaders: dict[int | None, Finding] = {}
    for finding in ordered:
        if finding.rule.id in LOGINS:
            leaders.setdefault(finding.at, finding)
    for finding in ordered:
        rule_id, leader = finding.rule.id, leaders.get(finding.at)
        if rule_id == "PS126":
            if leader is not None:
                finding.evidence["source_finding_id"] = leader.finding_id
        elif finding is root:
            continue
        elif rule_id in LOGINS:
            if root.rule.id in TRAFFIC:
                finding.because_of = root.finding_id
            elif leader is not finding:
                finding.because_of = leader.because_of or leader.finding_id
        elif rule_id in BEHIND_LAYERED:
            finding.because_of = root.finding_id


def _strength(finding: Finding) -> tuple[int, int, str]:
    rule_id = finding.rule.id
    return -RANK[finding.severity], _TIES.index(rule_id) if rule_id in _TIES else len(_TIES), rule_id
