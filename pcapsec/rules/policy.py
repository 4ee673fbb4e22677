"""The site's own knowledge, from a YAML file: what is ours, who must use TLS, and which findings were looked at and accepted.

    version: 1
    internal_networks: [10.0.0.0/8, 192.0.2.0/24]
    local_domains: [contoso.com]
    sites: {dublin: [10.1.0.0/16], amsterdam: [10.2.0.0/16]}
    require_tls:
      - id: partner-fabrikam
        match: {rcpt_domain: [fabrikam.com], direction: outbound}
        min_tls: TLS1.2
        names: ["*.mail.protection.outlook.com"]
    require_rpc_privacy: [10.1.5.0/24]
    mta_sts: {fabrikam.com: {mode: enforce, mx: ["*.mail.protection.outlook.com"]}}
    baseline: history.sqlite
    suppress:
      - rule: PS204
        match: {server: [10.0.0.25]}
        reason: replaced in March, ticket 4711
        expires: 2026-03-31

`policy_reader` reads it; any name that it does not know is an error, for a misspelt one would be obeyed by nobody.
"""
from __future__ import annotations

import datetime
import os
from dataclasses import dataclass, fields
from typing import Any

from ..errors import DefinitionError

MAX_POLICY_BYTES = 1 << 20  # written by hand; more is some other file
DIRECTIONS = ("inbound", "outbound", "internal")
TLS_VERSIONS = ("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")  # the order is that of strength


@dataclass(slots=True, frozen=True, kw_only=True)
class Match:
    """Which conversations an entry means: each list that is given must hold, by one of what it lists."""

    ip: tuple[Any, ...] = ()  # ipaddress networks, of either end
    client: tuple[Any, ...] = ()
    server: tuple[Any, ...] = ()
    server_port: tuple[int, ...] = ()
    protocol: tuple[str, ...] = ()  # smtp also stands for submissions and the like: TLS around it or not
    service: tuple[str, ...] = ()  # as in table sessions
    direction: tuple[str, ...] = ()  # DIRECTIONS, by which end has an internal address
    helo: tuple[str, ...] = ()  # names in lower case; *.example.com is any name below
    server_name: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    rcpt_domain: tuple[str, ...] = ()
    from_domain: tuple[str, ...] = ()
    principal: tuple[str, ...] = ()  # of findings: the account, in lower case
    group: tuple[str, ...] = ()  # of findings: group_id
    finding: tuple[str, ...] = ()  # of findings: finding_id

    def given(self) -> tuple[str, ...]:
        """Names of the lists that are given."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))


@dataclass(slots=True, frozen=True, kw_only=True)
class Requirement:
    """One entry of require_tls: whoever it means must use TLS."""

    id: str
    match: Match
    min_tls: str | None = None  # one of TLS_VERSIONS; None: any
    names: tuple[str, ...] = ()  # of which the server's certificate must hold one; none: it may hold any


@dataclass(slots=True, frozen=True, kw_only=True)
class Suppression:
    """One entry of suppress: findings that somebody looked at and accepted."""

    rules: tuple[str, ...]
    match: Match
    reason: str
    expires: datetime.date | None  # the last day on which it holds, UTC; None: for ever
    place: str  # "policy.yaml, line 7"

    def holds(self, now_ns: int) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now_ns < _day_after(self.expires)


@dataclass(slots=True, frozen=True, kw_only=True)
class StsPolicy:
    """What a domain's MTA-STS policy says (RFC 8461 §3.2), which is fetched inside TLS and so told by the user."""

    mode: str  # enforce, testing, none
    mx: tuple[str, ...] = ()  # names in lower case; the wildcard stands for one label


@dataclass(slots=True, frozen=True, kw_only=True)
class Policy:
    """What the user told about the site; empty where nothing was told."""

    internal_networks: tuple[Any, ...] = ()  # ipaddress networks
    local_domains: tuple[str, ...] = ()  # lower case, without trailing dot; a domain stands for those below it too
    sites: tuple[tuple[str, tuple[Any, ...]], ...] = ()  # name, its networks
    require_tls: tuple[Requirement, ...] = ()
    require_rpc_privacy: tuple[Any, ...] = ()  # networks of servers that must only be called at RPC level privacy
    mta_sts: tuple[tuple[str, StsPolicy], ...] = ()  # domain, what its policy says
    baseline: str | None = None  # path of the history file, as seen from where the program runs
    suppress: tuple[Suppression, ...] = ()

    def notes(self, now_ns: int) -> list[str]:
        """What somebody who uses this policy should be told, one line each."""
        said = []
        for entry in self.suppress:
            what = f"{entry.place}: the suppression of {', '.join(entry.rules)}"
            if entry.expires is None:
                said.append(f"{what} never expires; give it a day to look again, such as `expires: 2030-12-31`")
            elif not entry.holds(now_ns):
                said.append(f"{what} expired on {entry.expires} and suppresses nothing any more (reason: {entry.reason})")
        return said

    @staticmethod
    def load(path: str) -> Policy:
        """Read a policy file.

        Raises:
            DefinitionError: the file cannot be read or is not well formed; the message names the line.
        """
        from .policy_reader import PolicyReader

        try:
            with open(path, "rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
        except OSError as error:
            raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from None
        if len(data) > MAX_POLICY_BYTES:
            raise DefinitionError(f"{path}: over {MAX_POLICY_BYTES} bytes; this is no policy file")
        return PolicyReader(str(path), os.path.dirname(path)).read(data)

    @staticmethod
    def parse(data: bytes | str, name: str = "policy") -> Policy:
        """Read a policy from text; `name` stands in messages.

        Raises:
            DefinitionError: not well formed; the message names the line.
        """
        from .policy_reader import PolicyReader

        return PolicyReader(name).read(data)


def _day_after(day: datetime.date) -> int:
    """The first instant behind a day, ns since 1970 UTC."""
    return (day.toordinal() + 1 - datetime.date(1970, 1, 1).toordinal()) * 86_400 * 10**9
