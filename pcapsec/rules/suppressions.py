"""Which findings the policy says were looked at and accepted. They stay in the tables, with the reason, and nobody is alarmed by them."""
from __future__ import annotations

from typing import Any, Iterable

from ..records import Ends, Finding, Session, group_id
from .addresses import Addresses
from .policy import Suppression


class Suppressions:
    """The entries that have not expired.

    Args:
        entries: of the policy.
        now_ns: the present.
    """

    def __init__(self, entries: Iterable[Suppression], now_ns: int):
        self._by_rule: dict[str, list[tuple[Suppression, dict[str, Addresses]]]] = {}
        for entry in entries:
            if entry.holds(now_ns):
                networks = {name: Addresses([(network, True) for network in getattr(entry.match, name)]) for name in ("ip", "client", "server") if getattr(entry.match, name)}
                for rule_id in entry.rules:
                    self._by_rule.setdefault(rule_id, []).append((entry, networks))

    def __bool__(self) -> bool:
        return bool(self._by_rule)

    def apply(self, finding: Finding, ends: Session | Ends | None) -> bool:
        """Write the reason into a finding that an entry means; whether one did.

        Args:
            ends: its conversation; None: it speaks of a capture as a whole.
        """
        for entry, networks in self._by_rule.get(finding.rule.id, ()):
            if _means(entry, networks, finding, ends):
                finding.suppressed = entry.reason
                return True
        return False


def _means(entry: Suppression, networks: dict[str, Addresses], finding: Finding, ends: Any) -> bool:
    match = entry.match
    if match.finding and finding.finding_id not in match.finding:
        return False
    if match.principal and (finding.principal or "").lower() not in match.principal:
        return False
    if match.group and not {group_id(finding, ends), group_id(finding, ends)[len(finding.rule.id) + 1:]} & set(match.group):
        return False
    if not (networks or match.server_port or match.protocol):
        return True
    return ends is not None and (
        (not match.server_port or ends.server_port in match.server_port)
        and (not match.protocol or ends.protocol in match.protocol)
        and ("client" not in networks or bool(networks["client"][ends.client_ip]))
        and ("server" not in networks or bool(networks["server"][ends.server_ip]))
        and ("ip" not in networks or bool(networks["ip"][ends.client_ip] or networks["ip"][ends.server_ip])))
