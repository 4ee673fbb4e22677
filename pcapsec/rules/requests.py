"""What the rules about HTTP share: the request that a login came with, what a path is for, and how requests are shown."""
from __future__ import annotations

from bisect import bisect_right
from typing import Any, Iterable

from ..records import Facts, HttpRequest, Login, Session
from .rule import NOT_APPLICABLE, Verdict, not_observable

SERVICE_NAMES = {  # as titles name them
    "owa": "Outlook on the web", "ecp": "the Exchange control panel", "ews": "Exchange Web Services", "activesync": "ActiveSync", "autodiscover": "Autodiscover",
    "mapi-http": "MAPI over HTTP", "rpc-proxy": "the RPC proxy (Outlook Anywhere)", "oab": "the offline address book", "webmail": "webmail", "caldav": "CalDAV or CardDAV",
}
MAIL_SERVICES = frozenset(SERVICE_NAMES)
MAX_LISTED = 5  # hosts, paths and the like in evidence
OWA_LOGIN_PATHS = {  # where Outlook Web App's forms go, and since which Exchange
    "/owa/auth.owa": "2010", "/owa/auth/owaauth.dll": "2007", "/exchweb/bin/auth/owaauth.dll": "2003", "/cookieauth.dll": "proxy",
}
_STATIC = frozenset(("css", "js", "gif", "png", "jpg", "jpeg", "ico", "svg", "woff", "woff2", "ttf", "eot", "map", "htc", "cur", "wav", "mp3", "txt"))
_LOGIN_PAGES = ("/auth/", "/logon", "/login", "/signin", "/cookieauth.dll", "/languageselection", "/expiredpassword")
REDIRECTS = frozenset((301, 302, 303, 307, 308))


def of_services(facts: Facts, services: Iterable[str]) -> list[HttpRequest]:
    """The requests to some services."""
    http = facts.http
    return [request for request in http.requests if request.service in services] if http is not None else []


def nothing_seen(session: Session) -> Verdict:
    """The answer where no request concerned a rule: none was there, or it may be among the bytes that are missing."""
    return NOT_APPLICABLE if session.unseen_client is None else not_observable(session.unseen_client)


def request_of(session: Session, login: Login, facts: Facts | None = None) -> HttpRequest | None:
    """The request that carried a login; None when it is not among those kept. Requests stand in the order of their offsets."""
    http = (session.facts if facts is None else facts).http
    if http is None:
        return None
    requests = http.requests
    for at in (login.secret_at, login.at):
        if at is None:
            continue
        index = bisect_right(requests, at, key=_at) - 1
        if index >= 0 and (requests[index].login is login or (requests[index].auth_scheme == login.mechanism and requests[index].principal == login.principal)):
            return requests[index]
    return None


def _at(request: HttpRequest) -> int:
    return request.at


def shown(request: HttpRequest | None) -> dict[str, Any]:
    """Where a login went, as evidence."""
    if request is None:
        return {}
    evidence: dict[str, Any] = {}
    for name in ("host", "path", "status", "location", "user_agent", "rpc_target"):
        value = getattr(request, name)
        if value is not None:
            evidence[name] = value
    if request.service != "other":
        evidence["service"] = request.service
    if request.proxy:
        evidence["proxy"] = True
    return evidence


def variant_of(request: HttpRequest | None) -> str:
    """The sub-case of a login: to a proxy, or the service it was for."""
    if request is None:
        return ""
    return "proxy" if request.proxy else "" if request.service == "other" else request.service


def target(session: Session, request: HttpRequest | None) -> str:
    """The server as titles name it: host, address and port."""
    where = f"{session.server_ip} port {session.server_port}"
    return f"{cut(request.host)} ({where})" if request is not None and _has_name(session, request) else where


def server(session: Session, request: HttpRequest) -> str:
    """Host and address."""
    return f"{cut(request.host)} ({session.server_ip})" if _has_name(session, request) else session.server_ip  # type: ignore[arg-type]


def _has_name(session: Session, request: HttpRequest) -> bool:
    return bool(request.host) and request.host.strip("[]") != session.server_ip  # type: ignore[union-attr]


def cut(text: str, most: int = 80) -> str:
    """Wire text short enough for a title."""
    return text if len(text) <= most else text[:most] + "…"


def owa_login(request: HttpRequest | None) -> str | None:
    """Which generation of Outlook Web App's login form a request is; None for any other request."""
    return OWA_LOGIN_PATHS.get((request.path or "").lower()) if request is not None else None


def is_page_around(path: str | None) -> bool:
    """A login page, or a static file: what anybody may see."""
    name = (path or "").lower()
    if any(word in name for word in _LOGIN_PAGES):
        return True
    last = name.rpartition("/")[2]
    return "." in last and last.rpartition(".")[2] in _STATIC


def distinct(values: Iterable[str | None]) -> list[str]:
    """The first few different ones."""
    found: dict[str, None] = {}
    for value in values:
        if value is not None and value not in found:
            found[value] = None
            if len(found) == MAX_LISTED:
                break
    return list(found)


def redirected(request: HttpRequest) -> bool:
    return request.status in REDIRECTS


def to_https(request: HttpRequest) -> bool:
    """The answer sends the client to https."""
    return redirected(request) and (request.location or "").lower().startswith("https://")


