"""PS602: pages of Outlook on the web or another webmail cross the network readable.

What
    Over http:// a server answered requests under the directories of Exchange (/owa, /ecp, /exchange, /public, /ews, /mapi) or of another webmail with
    content: status 200 and a body.

Why
    Anyone on the way reads the mail, the calendar and the address book as the user sees them, and can alter each page, the next login form included.

Evidence
    host, paths, statuses: what was asked for and how it was answered; the first few different ones.
    n_pages, n_bytes: answers with content, and the length of their bodies.
    cookies_sent: the client sent cookies along.
    logged_in: a login or a cookie that carries one was seen on the connection.

Not a finding when
    - all answers are redirects, refusals or empty;
    - the pages are a login page and static files only: then it is low, for the form that they show will be posted the same way.
    Names that only hint at webmail (/webmail, /roundcube …) make it medium confidence; and where no login was seen on such a connection, it is low.

References
    CWE-319
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..requests import SERVICE_NAMES, distinct, is_page_around, nothing_seen, of_services, server
from ..rule import Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS602", slug="owa-content-clear", title="OWA/webmail page content over http://", severity="high", confidence="high",
    category="web", scope="session", protocols=("http",), needs=(CLIENT, SERVER),
    remediation="Require TLS on the web server of the mail service; let http:// answer with nothing but a redirect.",
    references=("CWE-319",),
)
SERVICES = frozenset(("owa", "ecp", "ews", "mapi-http", "webmail"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    requests = of_services(facts, SERVICES)
    if not requests:
        return nothing_seen(session)
    pages = [request for request in requests if request.status == 200 and request.response_bytes]
    if not pages:
        return unless_unseen(session, CLIENT, SERVER)
    content = [request for request in pages if not is_page_around(request.path)]
    logged_in = bool(facts.logins) or any(request.session_cookie or request.auth_scheme is not None for request in requests)
    sure = any(request.service_sure for request in content or pages)
    severity, reason = RULE.severity, ""
    if not content:
        severity, reason = "low", "login page or static files only"
    elif not sure and not logged_in:
        severity, reason = "low", "no login seen"
    first = (content or pages)[0]
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, variant=first.service, confidence="high" if sure else "medium",
        title=f"Pages of {SERVICE_NAMES[first.service]} crossed the network readable from {server(session, first)} port {session.server_port}",
        side=CLIENT, at=first.at,
        evidence={
            "host": first.host, "paths": distinct(request.path for request in content or pages), "statuses": sorted({request.status for request in requests if request.status}),
            "n_pages": len(pages), "n_bytes": sum(request.response_bytes for request in pages), "cookies_sent": any(request.cookies for request in requests),
            "logged_in": logged_in,
        },
    )
