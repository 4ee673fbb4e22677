"""PS605: ActiveSync, Exchange Web Services, MAPI over HTTP or calendars go over plain HTTP.

What
    Over http:// a program used /Microsoft-Server-ActiveSync, /EWS, /mapi, /rpc, /OAB or a CalDAV directory.

Why
    These carry mail, contacts and calendars, and the login with each request. ActiveSync even names user and device in the address of its requests.

Evidence
    host, endpoint: server and path of the first such request.
    services, methods: which services were used and how, the first few.
    request_type: X-RequestType of MAPI over HTTP, or the command of ActiveSync.
    user, device_id: as the requests name them.
    auth_scheme: login sent with them.
    statuses: how they were answered.
    n_requests: how many there were.

Not a finding when
    - they were answered with a redirect, or that nothing is there (404, 410).
    Directories that other programs use too (/dav, /rpc) make it medium confidence, and so do answers that were not seen. Where the server refused all of them
    and none named a user or a device, as a scanner's do, it is low.

References
    [MS-ASHTTP] §2.2.1
    [MS-OXCMAPIHTTP] §2.2.2, §2.2.3.3.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..requests import REDIRECTS, SERVICE_NAMES, distinct, nothing_seen, of_services, server
from ..rule import Rule, Verdict, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS605", slug="eas-ews-clear", title="ActiveSync / EWS / MAPI-HTTP / CalDAV over http://", severity="high", confidence="high",
    category="web", scope="session", protocols=("http",), needs=(CLIENT, SERVER),
    remediation="Require TLS on these virtual directories and give clients https:// addresses.",
    references=("[MS-ASHTTP] §2.2.1", "[MS-OXCMAPIHTTP] §2.2.2, §2.2.3.3.1"),
)
SERVICES = frozenset(("activesync", "ews", "mapi-http", "rpc-proxy", "oab", "caldav"))
NOT_THERE = REDIRECTS | {404, 410}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    requests = of_services(facts, SERVICES)
    if not requests:
        return nothing_seen(session)
    used = [request for request in requests if request.status not in NOT_THERE]
    if not used:
        return unless_unseen(session, CLIENT, SERVER)
    first = next((request for request in used if request.service_sure), used[0])
    user = next((request.principal for request in used if request.principal), None)
    evidence = {
        "host": first.host, "endpoint": first.path, "services": distinct(request.service for request in used), "methods": distinct(request.method for request in used),
        "statuses": sorted({request.status for request in used if request.status}), "n_requests": len(used),
        "request_type": next((request.request_type for request in used if request.request_type), None), "user": user,
        "device_id": next((request.device_id for request in used if request.device_id), None),
        "auth_scheme": next((request.auth_scheme for request in used if request.auth_scheme), None),
    }
    told = bool(user) or any(request.auth_scheme or request.device_id for request in used)
    refused = not told and all(request.status is not None and request.status >= 400 for request in used)
    return Finding(
        rule=RULE, severity="low" if refused else RULE.severity, severity_reason="refused, and nothing was sent that names a user" if refused else "",
        confidence="high" if first.service_sure and evidence["statuses"] else "medium", variant=first.service,
        title=f"A program used {SERVICE_NAMES[first.service]} over http:// at {server(session, first)} port {session.server_port}",
        side=CLIENT, at=first.at, principal=user, evidence={name: value for name, value in evidence.items() if value is not None})
