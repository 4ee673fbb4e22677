"""PS603: Autodiscover is asked over plain HTTP.

What
    A mail program asked for its settings over http://. The first step of that, a GET to http://autodiscover.DOMAIN/ that is answered with a redirect to
    https://, is how Autodiscover works; a mail address or a login in such a request is not.

Why
    Whoever answers first decides which server the program talks to next, and may ask it for the password. What is sent along is readable at once.

Evidence
    host, domain: who was asked, and the registered part of that name.
    method, status, location: the request, and where the answer sends it (scheme and host).
    auth_scheme: login sent with the request.
    email_seen: the body holds a mail address.
    principal: the account, of a login.

Not a finding when
    - no request for Autodiscover passed in clear.
    A bare redirect probe is low; one that is redirected to http:// or to another organisation's name, or is answered with content, is medium. With a mail
    address or a login in it the request is high, with a password or token that can be read (Basic, Bearer) critical.

References
    [MS-OXDISCO] §3.1.5
    [MS-OXDSCLI] §3.2.5
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, HttpRequest, Session
from ..requests import nothing_seen, of_services, redirected, server, to_https
from ..rule import Rule, Verdict
from ..site import Site
from ..suffixes import registrable

RULE = Rule(
    id="PS603", slug="autodiscover-http", title="Autodiscover over plain HTTP", severity="medium", confidence="high",
    category="web", scope="session", protocols=("http",), needs=(CLIENT,),
    remediation="Publish Autodiscover by DNS SRV or CNAME with https, set ExcludeHttpRedirect on clients, and let nothing answer on port 80 of that name but a redirect to https.",
    references=("[MS-OXDISCO] §3.1.5", "[MS-OXDSCLI] §3.2.5"),
)
SERVICES = frozenset(("autodiscover",))
READABLE = frozenset(("BASIC", "BEARER", "FORM"))
ORDER = ("low", "medium", "high", "critical")


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    requests = of_services(facts, SERVICES)
    if not requests:
        return nothing_seen(session)
    request, (severity, variant, reason) = max(((request, weigh(request)) for request in requests), key=lambda item: ORDER.index(item[1][0]))
    evidence = {"method": request.method, "email_seen": request.email_seen}
    if request.host is not None:
        evidence["host"], evidence["domain"] = request.host, registrable(request.host)
    for name in ("status", "location", "auth_scheme", "principal"):
        if getattr(request, name) is not None:
            evidence[name] = getattr(request, name)
    return Finding(
        rule=RULE, severity=severity, severity_reason="" if severity == RULE.severity else reason, variant=variant, confidence=RULE.confidence,
        title=f"Autodiscover was asked over http:// at {server(session, request)}: {reason}", side=CLIENT, at=request.at, principal=request.principal,
        mechanism=request.auth_scheme, auth_result=request.login.result if request.login is not None else None, evidence=evidence)


def weigh(request: HttpRequest) -> tuple[str, str, str]:
    """Severity, variant and reason of one request."""
    if request.auth_scheme is not None:
        return ("critical" if request.auth_scheme in READABLE else "high"), "login", "a login was sent with it"
    if request.email_seen:
        return "high", "address", "a mail address was sent with it"
    if redirected(request):
        if not to_https(request):
            return "medium", "redirect-http", "the answer does not lead to https"
        if registrable((request.location or "").partition("://")[2].partition("/")[0].partition(":")[0]) != registrable(request.host or ""):
            return "medium", "redirect-elsewhere", "the answer leads to another organisation's name"
        return "low", "probe", "redirect probe without credentials"
    if request.status is not None and 200 <= request.status < 300:
        return "medium", "answered", "settings were given over http://"
    return "low", "probe", "redirect probe without credentials"
