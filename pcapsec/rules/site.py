"""What rules may know beyond one session: the policy, which addresses are whose, and what was said before."""
from __future__ import annotations

import socket
from typing import Any

from .collected import Collected
from .policy import Policy

LOOPBACK, PRIVATE, PUBLIC = "loopback", "private", "public"
MAX_REMEMBERED = 65536  # addresses, and servers already reported; beyond it memory starts afresh, which costs a repeated line at worst
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")  # RFC 1918, 3927, 4193, 4291 §2.5.6
_LOOPBACK = ("127.0.0.0/8", "::1/128")
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2


class Site:
    """Addresses and memory of one run.

    `ipaddress.is_private` is not asked: it is also true for documentation and other special networks and would lower severities wrongly.
    """

    def __init__(self, policy: Policy | None = None):
        self.policy = policy or Policy()
        self.now_ns = 0  # the present, for rules about timestamps; the judge sets it
        self.local_domains = frozenset(self.policy.local_domains)
        self._scopes = _Scopes(self.policy.internal_networks)
        self._said: set[tuple] = set()
        self.consulted: list[str] = []  # rules that asked for the first time of something; the judge empties it
        self.collected = Collected()  # of all sessions, for rules about captures

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


class _Scopes(dict):
    """`scopes[address]` is the scope of an address in text; a text that is no address counts as public."""

    def __init__(self, internal: tuple[Any, ...]):
        super().__init__()
        self._internal = internal
        self._by_first_byte: dict[int, list[list[tuple[int, int, str]]]] | None = None  # bytes of an address -> first byte -> (mask, network, scope)

    def __missing__(self, address: str) -> str:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        scope = self[address] = self._look_up(address.partition("%")[0])
        return scope

    def _look_up(self, address: str) -> str:
        try:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except (OSError, ValueError):
            return PUBLIC
        if packed.startswith(_MAPPED):
            packed = packed[12:]
        if self._by_first_byte is None:
            self._by_first_byte = self._networks()
        number = int.from_bytes(packed, "big")
        for mask, network, scope in self._by_first_byte[len(packed)][packed[0]]:
            if number & mask == network:
                return scope
        return PUBLIC

    def _networks(self) -> dict[int, list[list[tuple[int, int, str]]]]:
        import ipaddress

        table: dict[int, list[list[tuple[int, int, str]]]] = {4: [[] for _ in range(256)], 16: [[] for _ in range(256)]}
        known = [(ipaddress.ip_network(text), scope) for scope, texts in ((LOOPBACK, _LOOPBACK), (PRIVATE, _PRIVATE)) for text in texts]
        for network, scope in known + [(network, PRIVATE) for network in self._internal]:
            size = network.max_prefixlen // 8
            for first in range(network.network_address.packed[0], network.broadcast_address.packed[0] + 1):
                table[size][first].append((int(network.netmask), int(network.network_address), scope))
        return table
