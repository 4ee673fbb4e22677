"""What rules may know beyond one session: the policy, which addresses are whose, and what was said before."""
from __future__ import annotations

import ipaddress

from .addresses import Addresses
from .collected import Collected
from .policy import Policy
from .remembered import Remembered
from .requirements import Requirements

LOOPBACK, PRIVATE, PUBLIC = "loopback", "private", "public"
MAX_REMEMBERED = 65536  # servers already reported; beyond it memory starts afresh, which costs a repeated line at worst
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
        known = [(ipaddress.ip_network(text), scope) for scope, texts in ((LOOPBACK, _LOOPBACK), (PRIVATE, _PRIVATE)) for text in texts]
        self._scopes = Addresses(known + [(network, PRIVATE) for network in self.policy.internal_networks], PUBLIC)
        self.sites = Addresses([(network, name) for name, networks in self.policy.sites for network in networks])  # address -> the policy's site, None: none
        self.private_rpc = Addresses([(network, str(network)) for network in self.policy.require_rpc_privacy])  # server's address -> the network that the policy names
        self.requirements = Requirements(self.policy.require_tls, self)
        self._said: set[tuple] = set()
        self.consulted: list[str] = []  # rules that asked for the first time of something; the judge empties it
        self.collected = Collected()  # of all sessions, for rules about captures
        self.remembered = Remembered()  # of earlier captures, where there is a baseline

    def scope(self, address: str) -> str:
        """loopback, private (also the policy's internal networks) or public."""
        return self._scopes[address]

    def nearness(self, client: str, server: str) -> str | None:
        """loopback or private when both ends are, else None."""
        scopes = self._scopes
        one = scopes[server]
        if one is PUBLIC:  # a mail server is seen more often than its client: its scope is at hand
            return None
        other = scopes[client]
        return None if other is PUBLIC else one if one is other else PRIVATE

    def direction(self, client: str, server: str) -> str | None:
        """inbound, outbound or internal, by which end has an internal address; None: neither has."""
        from_inside, to_inside = self._scopes[client] is not PUBLIC, self._scopes[server] is not PUBLIC
        return ("internal" if to_inside else "outbound") if from_inside else "inbound" if to_inside else None

    def is_local(self, domain: str) -> bool:
        """Whether the policy names a mail domain, or one above it, as one's own."""
        domain = domain.lower().rstrip(".")
        while domain:
            if domain in self.local_domains:
                return True
            domain = domain.partition(".")[2]
        return False

    def first_time(self, key: tuple) -> bool:
        """True once per key, a tuple that begins with the rule's id."""
        self.consulted.append(key[0])
        if key in self._said:
            return False
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said.add(key)
        return True
