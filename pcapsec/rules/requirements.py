"""Which entries of require_tls mean a conversation, and what of it they mean."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple

from ..greetings import greeting_host
from ..records import Facts, Finding, Message, Session
from .addresses import Addresses
from .policy import Match, Requirement

if TYPE_CHECKING:
    from .site import Site

PROTOCOLS = ("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve", "http", "ldap")  # what TLS may protect
_PROTOCOL_OF = {  # service -> protocol, for conversations that are TLS from the first byte and show no more
    "submission": "smtp", "submissions": "smtp", "smtps": "smtp", "imaps": "imap", "pop3s": "pop3", "nntps": "nntp", "sieve": "managesieve", "ldaps": "ldap",
    **dict.fromkeys(("https", "exchange-online", "exchange", "autodiscover", "owa", "ews", "ecp", "oab", "activesync", "mapi-http", "rpc-proxy", "webmail", "caldav"), "http"),
}
SERVICES = tuple(dict.fromkeys((*PROTOCOLS, *_PROTOCOL_OF)))
_UNPROTECTED = frozenset(("no-tls", "before-tls"))  # variants of PS901: something passed in clear
MAX_SHOWN = 80  # characters of a name that was matched
_NAMES = ("server_name", "mx", "helo")
_ENVELOPE = ("rcpt_domain", "from_domain")


class Meant(NamedTuple):
    """A requirement that means a conversation."""

    requirement: Requirement
    matched_on: dict[str, Any]  # name of each list that held -> what of the conversation it held for
    messages: list[Message] | None  # those that it means; None: the conversation as a whole
    unseen: str | None = None  # why nobody can tell whether it does, else None


class Requirements:
    """All entries of require_tls, ready to be tried on conversations."""

    def __init__(self, requirements: Iterable[Requirement], site: "Site"):
        self._site = site
        self._tests = [(requirement, _quick(requirement.match), requirement.match) for requirement in requirements]

    def of(self, session: Session) -> list[Meant]:
        """The requirements that mean a conversation, or may."""
        found = []
        for requirement, tests, match in self._tests:
            matched: dict[str, Any] = {}
            for name, test in tests:
                value = test(session, self._site)
                if value is None:
                    break
                matched[name] = value
            else:
                meant = self._by_name(requirement, match, session, matched)
                if meant is not None:
                    found.append(meant)
        return found

    def _by_name(self, requirement: Requirement, match: Match, session: Session, matched: dict[str, Any]) -> Meant | None:
        """The lists of names and domains, which cost more."""
        unseen = None
        for name in _NAMES:
            patterns = getattr(match, name)
            if patterns:
                names = _ASK[name](session, self._site)
                value = next((one for one in names if covered(one, patterns)), None)
                if value is not None:
                    matched[name] = value[:MAX_SHOWN]
                elif names or not _hides(session, name):
                    return None
                else:
                    unseen = "encrypted"
        messages = None
        if match.rcpt_domain or match.from_domain:
            messages = [message for facts in _facts(session) for message in facts.messages if _is_meant(message, match)]
            if messages:
                first = messages[0]
                if match.rcpt_domain:
                    matched["rcpt_domain"] = next(domain for domain in map(domain_of, first.rcpt_to) if covered(domain, match.rcpt_domain))[:MAX_SHOWN]
                if match.from_domain:
                    matched["from_domain"] = domain_of(first.mail_from)[:MAX_SHOWN]
            elif session.tls_mode != "none" and session.inner is None and session.protocol in ("tls", "smtp", "lmtp"):
                unseen = "encrypted"
            elif session.unseen_client is not None:
                unseen = session.unseen_client
            else:
                return None
        return Meant(requirement, matched, messages, unseen)


def went_against(findings: Iterable[Finding]) -> str | None:
    """Which entry of the policy a session without TLS goes against, by its findings."""
    return next((finding.evidence["policy_id"] for finding in findings if finding.rule.id == "PS901" and finding.variant in _UNPROTECTED), None)


def covered(name: str | None, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns stands for a name; *.example.com stands for all below example.com."""
    if not name:
        return False
    name = name.lower().rstrip(".")
    return any(name == pattern or pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in patterns)


def domain_of(address: str | None) -> str:
    """Domain of a mail address, lower case; empty where it has none."""
    return address.rpartition("@")[2].lower().rstrip(".") if address and "@" in address else ""


def _is_meant(message: Message, match: Match) -> bool:
    return (not match.rcpt_domain or any(covered(domain_of(address), match.rcpt_domain) for address in message.rcpt_to)) and (
        not match.from_domain or covered(domain_of(message.mail_from), match.from_domain))


def _facts(session: Session) -> list[Facts]:
    return [session.facts] if session.inner is None else [session.facts, session.inner]


# --- what is quickly told: ports, addresses, words

def _quick(match: Match) -> list[tuple[str, Callable[[Session, "Site"], Any]]]:
    tests: list[tuple[str, Callable[[Session, Site], Any]]] = []
    if match.server_port:
        tests.append(("server_port", lambda session, site, ports=frozenset(match.server_port): session.server_port if session.server_port in ports else None))
    if match.server:
        tests.append(("server", lambda session, site, networks=_networks(match.server): networks[session.server_ip]))
    if match.client:
        tests.append(("client", lambda session, site, networks=_networks(match.client): networks[session.client_ip]))
    if match.ip:
        tests.append(("ip", lambda session, site, networks=_networks(match.ip): networks[session.server_ip] or networks[session.client_ip]))
    if match.direction:
        tests.append(("direction", lambda session, site, wanted=match.direction: _one_of(site.direction(session.client_ip, session.server_ip), wanted)))
    if match.service:
        tests.append(("service", lambda session, site, wanted=match.service: _one_of(session.service, wanted)))
    if match.protocol:
        tests.append(("protocol", lambda session, site, wanted=match.protocol: _one_of(_protocol(session), wanted)))
    return tests


def _networks(networks: tuple[Any, ...]) -> Addresses:
    return Addresses([(network, str(network)) for network in networks])


def _one_of(word: str | None, wanted: tuple[str, ...]) -> str | None:
    return word if word in wanted else None


def _protocol(session: Session) -> str | None:
    return _PROTOCOL_OF.get(session.service or "", session.service) if session.protocol == "tls" else session.protocol


# --- names

def _server_names(session: Session, site: "Site") -> list[str]:
    """What the client and DNS call the server, else what it calls itself."""
    found = []
    if session.tls is not None:
        found += [name for name in (session.tls.sni, session.tls.dns_name) if name]
    for facts in _facts(session):
        if (host := greeting_host(facts.greeting)) is not None:
            found.append(host)
        if facts.http is not None:
            found += list(dict.fromkeys(request.host for request in facts.http.requests if request.host))
    return found


def _exchanger_names(session: Session, site: "Site") -> list[str]:
    """Those, and what DNS calls the host that takes mail at its address."""
    return site.collected.dns.exchanger_names(session.server_ip, session.end_ns) + _server_names(session, site)


def _client_names(session: Session, site: "Site") -> list[str]:
    return [facts.client_name for facts in _facts(session) if facts.client_name]


_ASK = {"server_name": _server_names, "mx": _exchanger_names, "helo": _client_names}


def _hides(session: Session, name: str) -> bool:
    """Whether the name may have passed inside TLS from the first byte."""
    return session.tls_mode == "implicit" and session.inner is None and (name == "helo" or session.tls is None or session.tls.sni is None)
