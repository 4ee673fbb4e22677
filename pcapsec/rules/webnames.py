"""What the name of a host says about the mail service behind it, and whose it is. A guess where a person chose the name, and good knowledge for hosts of large providers.

Sessions take their service from here where nothing better tells (`pipeline/services.py`), rules of the web family their evidence: one table for both.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ..records import Session
from .providers import PROVIDERS, REGIONAL

SURE, LIKELY, PERHAPS = 0.9, 0.6, 0.4
WEB_SERVICES = frozenset(("https", "exchange-online", "autodiscover", "owa", "ews", "ecp", "oab", "activesync", "mapi-http", "rpc-proxy", "exchange", "webmail", "caldav", "jmap", "gmail-api"))
MAYBE_WEB = WEB_SERVICES | {None}  # of a TLS session that may carry HTTP
_FIRST_LABEL = {
    "autodiscover": ("autodiscover", SURE), "owa": ("owa", LIKELY), "webmail": ("webmail", LIKELY), "exchange": ("exchange", LIKELY), "eas": ("activesync", LIKELY),
    "activesync": ("activesync", LIKELY), "ews": ("ews", LIKELY), "outlook": ("exchange", LIKELY), "mapi": ("mapi-http", LIKELY), "mail": ("webmail", PERHAPS), "legacy": ("exchange", PERHAPS),
    "imap": ("imaps", LIKELY), "imap4": ("imaps", LIKELY), "imaps": ("imaps", LIKELY), "pop": ("pop3s", LIKELY), "pop3": ("pop3s", LIKELY), "pop3s": ("pop3s", LIKELY),
    "smtp": ("submissions", LIKELY), "smtps": ("submissions", LIKELY), "submission": ("submissions", LIKELY), "sieve": ("managesieve", LIKELY), "ldap": ("ldaps", LIKELY), "ldaps": ("ldaps", LIKELY),
}
MAX_LABELS = 12
MAX_NAMES = 32  # of a certificate that are looked at: those of shared hosts have hundreds, and say nothing
_NOT_TOLD = frozenset((None, "https"))  # services that TLS may have without anything to do with mail
MAX_NAME = 255  # RFC 1035 §2.3.4
MAX_MEMO = 4096
_memo: dict[str, "Known"] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a host name tells."""

    provider: str | None = None  # None: nobody's that is known
    service: str | None = None  # as table `sessions` names it; None: suggests no mail
    score: float = 0.0  # how strongly, 0 to 1


NOTHING = Known()


def look_up(name: str) -> Known:
    """What a host name, or the name in a certificate, tells. Remembered: the same few names come again and again."""
    try:
        return _memo[name]
    except KeyError:
        pass
    if len(name) > MAX_NAME:
        return NOTHING
    if len(_memo) >= MAX_MEMO:
        _memo.clear()
    found = _memo[name] = _look_up(name.lower().rstrip(".").removeprefix("*."))
    return found


def guess(name: str) -> tuple[str, float] | None:
    """(web service, score) for a host name, None where it suggests no mail."""
    found = look_up(name)
    return (found.service, found.score) if found.service in WEB_SERVICES else None


def _look_up(name: str) -> Known:
    first, dot, rest = name.partition(".")
    labels = name.split(".")
    if len(labels) > MAX_LABELS:
        return NOTHING
    suggested = _FIRST_LABEL.get(first) if dot and rest else None
    for n in range(len(labels), 1, -1):
        entry = PROVIDERS.get(".".join(labels[-n:]))
        if entry is None:
            continue
        provider, service = entry
        if first == "autodiscover":
            service = "autodiscover"
        elif service is None and suggested is not None:
            service = suggested[0]
        return Known(provider=provider, service=service, score=SURE if service is not None else 0.0)
    if len(labels) > 2:
        entry = REGIONAL.get((first, ".".join(labels[-2:])))
        if entry is not None:
            return Known(provider=entry[0], service=entry[1], score=SURE)
    return Known(service=suggested[0], score=suggested[1]) if suggested is not None else NOTHING


def of_mail(session: Session, is_local: Callable[[str], bool]) -> bool:
    """Whether TLS protects mail, as far as the port, the application protocol and names tell.

    HTTPS to a host whose name tells nothing of mail is shown and not judged, unless its domain is one's own (`is_local`, by the policy). The name that the client
    asked for decides, else the one that DNS gave to the server, else those in its certificate.
    """
    if session.service not in _NOT_TOLD or session.provider is not None or session.tls is None:
        return True
    tls = session.tls
    name = tls.sni if tls.sni is not None else tls.dns_name
    if name is not None:
        names: tuple[str, ...] = (name,)
    else:
        names = tls.certificates[0].dns_names[:MAX_NAMES] if tls.certificates else ()
    return any(look_up(name).service is not None or is_local(name) for name in names)
