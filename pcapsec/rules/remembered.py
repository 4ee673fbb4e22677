"""What is known of servers from earlier captures: plain records, as a baseline file keeps them and as rules compare a run with them.

Times are packet times, ns since 1970 UTC. Texts hold no surrogates, so that any file can keep them; `plain` makes one comparable.
"""
from __future__ import annotations

import json
from typing import Iterator, NamedTuple

from .visits import Offer

MAX_OFFERS, MAX_KEYS, MAX_VERSIONS = 50_000, 50_000, 50_000  # rows that are kept of each kind: those seen last
MAX_PAIRS = 200_000
MAX_LIST_BYTES = 4096  # of a capability list with its mechanisms, as JSON; a longer one is not remembered
MAX_TEXT = 300  # characters


class OfferSeen(NamedTuple):
    """A whole capability list that a server sent before TLS."""

    server_ip: str
    server_port: int
    banner: str  # "": no greeting was seen
    listed: str  # the list as JSON, see `packed`
    protocol: str
    name: str  # of the server; "": not known
    offered: int  # 1: STARTTLS stands in the list
    first_ns: int
    last_ns: int
    n: int  # conversations in one run, at most
    source: str  # capture in which it was seen last

    @property
    def offer(self) -> Offer:
        return Offer(*map(tuple, json.loads(self.listed)))


class KeySeen(NamedTuple):
    """A public key that a server showed."""

    server_ip: str
    server_port: int
    sni: str
    spki_sha256: str
    issuer: str
    first_ns: int
    last_ns: int
    source: str


class VersionSeen(NamedTuple):
    """A TLS version that a server chose."""

    server_ip: str
    server_port: int
    version: str
    first_ns: int
    last_ns: int
    n: int
    source: str


class PairSeen(NamedTuple):
    """What one client, by address and name, did with one server; 0 stands for a time that there is not."""

    client_ip: str
    client_name: str  # "": not known
    server_ip: str
    server_port: int
    tls_first_ns: int
    tls_last_ns: int
    clear_first_ns: int
    clear_last_ns: int
    banner: str  # greeting of the server ahead of the last TLS; "": not seen
    version: str  # of that TLS; "": not known
    source: str


class Remembered:
    """All of it, by what rules ask for."""

    def __init__(self) -> None:
        self.offers: dict[tuple[str, int, str], list[OfferSeen]] = {}  # by address, port and greeting
        self.keys: dict[tuple[str, int, str], dict[str, KeySeen]] = {}  # by address, port and name asked for
        self.versions: dict[tuple[str, int, str], VersionSeen] = {}
        self.pairs: dict[tuple[str, str, str, int], PairSeen] = {}  # by client, its name, address and port

    def add(self, row: OfferSeen | KeySeen | VersionSeen | PairSeen) -> None:
        if row.__class__ is OfferSeen:
            self.offers.setdefault(row[:3], []).append(row)  # type: ignore[arg-type]
        elif row.__class__ is KeySeen:
            self.keys.setdefault(row[:3], {})[row.spki_sha256] = row  # type: ignore[union-attr,arg-type,assignment]
        elif row.__class__ is VersionSeen:
            self.versions[row[:3]] = row  # type: ignore[index,assignment]
        else:
            self.pairs[row[:4]] = row  # type: ignore[index,assignment]

    def rows(self) -> Iterator[OfferSeen | KeySeen | VersionSeen | PairSeen]:
        for offers in self.offers.values():
            yield from offers
        for keys in self.keys.values():
            yield from keys.values()
        yield from self.versions.values()
        yield from self.pairs.values()


def plain(text: str | None) -> str:
    """A text as a file can keep it, cut; "" for none."""
    return (text or "")[:MAX_TEXT].encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:MAX_TEXT]


def packed(offer: Offer) -> str | None:
    """A list as JSON; None for one that is too long."""
    text = json.dumps([offer.capabilities, offer.mechanisms, offer.masked], separators=(",", ":"))
    return text if len(text) <= MAX_LIST_BYTES else None
