"""What DNS answers in the captures say of mail: who takes it for a domain, which domains promise TLS, which services they have.

All workers read all answers, so each knows the same. Nothing is ever forgotten or overwritten, and what came after the end of a conversation is not told to
rules about it: so it does not matter when a worker gets round to judging it.
"""
from __future__ import annotations

from typing import Iterable, Iterator

from ..records import DnsAnswer, Sighting
from .rule import PASS, Verdict, not_observable

MAX_ANSWERS = 20_000  # distinct ones, a KiB each
MAX_RELATED = 64  # hosts of a domain, addresses of a host, hosts of an address
TLS_SERVICES = ("submissions", "imaps", "pop3s")  # RFC 8314 §5.1
_DANE_USAGES = frozenset((2, 3))  # RFC 7672 §3.1: certificates of public authorities do not count between mail servers
_NONE: dict = {}


class Dns:
    """The answers.

    Attributes:
        seen: answer -> where it was first seen.
        n_more: answers that no longer fitted.
    """

    def __init__(self) -> None:
        self.seen: dict[DnsAnswer, Sighting] = {}
        self.n_more = 0
        self._index = _Index()

    def __reduce__(self):
        return _restored, (self.seen, self.n_more)

    def take(self, answer: DnsAnswer, sighting: Sighting) -> None:
        known = self.seen.get(answer)
        if known is None:
            if len(self.seen) >= MAX_ANSWERS:
                self.n_more += 1
                return
            self.seen[answer] = sighting
            self._index.add(answer, sighting.ts_ns)
        elif sighting < known:
            self.seen[answer] = sighting
            self._index.add(answer, sighting.ts_ns)

    def merge(self, other: "Dns") -> None:
        """Add what another worker collected: the same, unless one of them ended early."""
        for answer, sighting in other.seen.items():
            self.take(answer, sighting)
        self.n_more = max(self.n_more, other.n_more)

    def __bool__(self) -> bool:
        return bool(self.seen)

    def answer_of_nothing(self) -> Verdict:
        """What a rule about answers says where it found none to speak of."""
        return PASS if self.seen else not_observable("no_dns_seen")

    # --- who takes mail

    def exchangers(self, domain: str, until_ns: int | None = None) -> dict[str, int]:
        """Hosts that take mail for a domain -> preference."""
        return {host: preference for host, (preference, ts_ns) in self._index.hosts.get(domain, _NONE).items() if until_ns is None or ts_ns <= until_ns}

    def exchanger_names(self, address: str, until_ns: int | None = None) -> list[str]:
        """Mail exchangers that have an address, by the answers seen."""
        return [host for host in _known(self._index.names, address, until_ns) if any(until_ns is None or ts_ns <= until_ns for ts_ns in self._index.serves.get(host, _NONE).values())]

    def hosts_at(self, domain: str, address: str, until_ns: int | None = None) -> list[str]:
        """Exchangers of a domain that have an address."""
        named = _known(self._index.names, address, until_ns)
        return [host for host in named if host in self.exchangers(domain, until_ns)] if named else []

    def addresses(self, host: str) -> list[str]:
        return _known(self._index.addresses, host, None)

    # --- what was promised

    def of(self, kind: str) -> Iterator[tuple[str, list[tuple[DnsAnswer, Sighting]]]]:
        """All answers of a kind by the domain or host that they are about, in order of names; of each the first seen comes first."""
        for domain in sorted(self._index.by_kind.get(kind, ())):
            yield domain, self.about(kind, domain)

    def about(self, kind: str, domain: str) -> list[tuple[DnsAnswer, Sighting]]:
        return sorted([(answer, self.seen[answer]) for answer in self._index.by_kind.get(kind, _NONE).get(domain, ())], key=lambda one: (one[1], one[0].values))

    def promises_sts(self, domain: str) -> DnsAnswer | None:
        """The record by which a domain says that it has an MTA-STS policy; what the policy says is fetched inside TLS."""
        return next((answer for answer, _ in self.about("mta-sts", domain) if answer.valid), None)

    def promises_dane(self, host: str, port: int) -> DnsAnswer | None:
        """TLSA records that a sender must obey: proven by DNSSEC as far as the resolver's word goes, and of a usage that counts for mail (RFC 7672 §2.2, §3.1)."""
        for answer, _ in self.about("tlsa", host):
            if (answer.authenticated or answer.signed) and any(record[0] == port and record[1] in _DANE_USAGES for record in answer.records):
                return answer
        return None

    def is_proven(self, domain: str) -> bool:
        """Whether the list of a domain's exchangers came with DNSSEC's word for it."""
        return any(answer.authenticated or answer.signed for answer, _ in self.about("mx", domain))

    # --- which services a domain has

    def implicit_tls(self, domain: str) -> dict[str, list[tuple[str, int]]]:
        """Services with TLS from the first byte that a domain's SRV records offer: submissions, imaps, pop3s -> (host, port), the preferred first."""
        return {service: places for service in TLS_SERVICES if (places := [(target, port) for _, _, port, target in self._services(domain, service) if target])}

    def not_offered(self, domain: str) -> set[str]:
        """Services that a domain's SRV records say it has not (target `.`, RFC 6186 §3.4): submission, imap, pop3 …"""
        found = {record[0] for answer, _ in self.about("srv", domain) for record in answer.records}
        return {service for service in found if all(not target for *_, target in self._services(domain, service))}

    def _services(self, domain: str, service: str) -> list[tuple[int, int, int, str]]:
        return sorted({record[1:] for answer, _ in self.about("srv", domain) for record in answer.records if record[0] == service}, key=lambda one: (one[0], -one[1], one[2:]))


def _restored(seen: dict[DnsAnswer, Sighting], n_more: int) -> Dns:
    dns = Dns()
    for answer, sighting in seen.items():
        dns.take(answer, sighting)
    dns.n_more = n_more
    return dns


class _Index:
    """The same answers by what is asked for. Times are those of the earliest answer that says so."""

    def __init__(self) -> None:
        self.by_kind: dict[str, dict[str, set[DnsAnswer]]] = {}
        self.hosts: dict[str, dict[str, tuple[int, int]]] = {}  # domain -> host -> (preference, time)
        self.serves: dict[str, dict[str, int]] = {}  # host -> domain -> time
        self.addresses: dict[str, dict[str, int]] = {}  # host -> address -> time
        self.names: dict[str, dict[str, int]] = {}  # address -> host -> time

    def add(self, answer: DnsAnswer, ts_ns: int) -> None:
        self.by_kind.setdefault(answer.kind, {}).setdefault(answer.domain, set()).add(answer)
        if answer.kind == "mx":
            for preference, host in answer.records:
                if host:
                    hosts = self.hosts.setdefault(answer.domain, {})
                    known = hosts.get(host)
                    if known is not None or len(hosts) < MAX_RELATED:
                        hosts[host] = (preference, ts_ns) if known is None else (min(preference, known[0]), min(ts_ns, known[1]))
                    _earliest(self.serves, host, answer.domain, ts_ns)
        elif answer.kind == "address":
            for address in answer.values:
                _earliest(self.addresses, answer.domain, address, ts_ns)
                _earliest(self.names, address, answer.domain, ts_ns)


def _earliest(table: dict[str, dict[str, int]], key: str, value: str, ts_ns: int) -> None:
    row = table.setdefault(key, {})
    known = row.get(value)
    if known is not None or len(row) < MAX_RELATED:
        row[value] = ts_ns if known is None else min(ts_ns, known)


def _known(table: dict[str, dict[str, int]], key: str, until_ns: int | None) -> list[str]:
    return sorted(value for value, ts_ns in table.get(key, _NONE).items() if until_ns is None or ts_ns <= until_ns)


def covers(patterns: Iterable[str], host: str) -> bool:
    """Whether an MTA-STS policy lists a host: its wildcard stands for exactly one label (RFC 8461 §4.1)."""
    return any(host == pattern or pattern.startswith("*.") and host.partition(".")[2] == pattern[2:] for pattern in patterns)
