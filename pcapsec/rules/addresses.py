"""Which of several networks an address belongs to, asked millions of times."""
from __future__ import annotations

import socket
from typing import Any, Iterable

MAX_REMEMBERED = 65536  # addresses; beyond it memory starts afresh
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 §2.5.5.2


class Addresses(dict):
    """`addresses[address]` is what the narrowest network that holds the address stands for; of equal ones the first.

    Args:
        networks: (ipaddress network, what it stands for).
        default: of an address in none of them, and of a text that is no address.
    """

    def __init__(self, networks: Iterable[tuple[Any, Any]], default: Any = None):
        super().__init__()
        self._networks = sorted(networks, key=lambda one: -one[0].prefixlen)
        self._default = default
        self._by_first_byte: dict[int, list[list[tuple[int, int, Any]]]] | None = None  # bytes of an address -> first byte -> (mask, network, value)

    def __missing__(self, address: str) -> Any:
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        value = self[address] = self._look_up(address.partition("%")[0])
        return value

    def _look_up(self, address: str) -> Any:
        try:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except (OSError, ValueError):
            return self._default
        if packed.startswith(_MAPPED):
            packed = packed[12:]
        if self._by_first_byte is None:
            self._by_first_byte = self._table()
        number = int.from_bytes(packed, "big")
        for mask, network, value in self._by_first_byte[len(packed)][packed[0]]:
            if number & mask == network:
                return value
        return self._default

    def _table(self) -> dict[int, list[list[tuple[int, int, Any]]]]:
        table: dict[int, list[list[tuple[int, int, Any]]]] = {4: [[] for _ in range(256)], 16: [[] for _ in range(256)]}
        for network, value in self._networks:
            size = network.max_prefixlen // 8
            for first in range(network.network_address.packed[0], network.broadcast_address.packed[0] + 1):
                table[size][first].append((int(network.netmask), int(network.network_address), value))
        return table
