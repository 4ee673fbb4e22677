"""What rules may know beyond one session: the policy, which addresses are whose, and what was said before."""
from __future__ import annotations

from .policy import Policy

LOOPBACK, PRIVATE, PUBLIC = "loopback", "private", "public"
MAX_REMEMBERED = 65536  # addresses, and servers already reported; beyond it memory starts afresh, which costs a repeated line at worst
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")  # RFC 1918, 3927, 4193, 4291 §2.5.6
_LOOPBACK = ("127.0.0.0/8", "::1/128")


class Site:
    """Addresses and memory of one run.

    `ipaddress.is_private` is not asked: it is also true for documentation and other special networks and would lower severities wrongly.
    """

    def __init__(self, policy: Policy | None = None):
        self.policy = policy or Policy()
        self.now_ns = 0  # the present, for rules about timestamps; the judge sets it
        self.local_domains = frozenset(self.policy.local_domains)
        self._scopes: dict[str, str] = {}
        self._nearness: dict[tuple[str, str], str | None] = {}
        self._said: set[object] = set()
        self._networks: tuple[tuple, tuple] | None = None

    def scope(self, address: str) -> str:
        """loopback, private (also the policy's internal networks) or public."""
        known = self._scopes.get(address)
        if known is None:
            if len(self._scopes) >= MAX_REMEMBERED:
                self._scopes.clear()
            known = self._scopes[address] = self._look_up(address)
        return known

    def nearness(self, client: str, server: str) -> str | None:
        """loopback or private when both ends are, else None."""
        pair = client, server
        try:
            return self._nearness[pair]
        except KeyError:
            if len(self._nearness) >= MAX_REMEMBERED:
                self._nearness.clear()
            ends = {self.scope(client), self.scope(server)}
            near = None if PUBLIC in ends else PRIVATE if PRIVATE in ends else LOOPBACK
            self._nearness[pair] = near
            return near

    def is_local(self, domain: str) -> bool:
        """Whether the policy names a mail domain, or one above it, as one's own."""
        domain = domain.lower().rstrip(".")
        while domain:
            if domain in self.local_domains:
                return True
            domain = domain.partition(".")[2]
        return False

    def first_time(self, key: object) -> bool:
        """True once per key."""
        if key in self._said:
            return False
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said.add(key)
        return True

    def _look_up(self, address: str) -> str:
        import ipaddress

        if self._networks is None:
            loopback = tuple(map(ipaddress.ip_network, _LOOPBACK))
            self._networks = loopback, tuple(map(ipaddress.ip_network, _PRIVATE)) + tuple(self.policy.internal_networks)
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return PUBLIC
        ip = getattr(ip, "ipv4_mapped", None) or ip
        loopback, private = self._networks
        if any(ip in network for network in loopback):
            return LOOPBACK
        return PRIVATE if any(ip in network for network in private) else PUBLIC
