"""PS513: the proxy of Outlook Anywhere takes Basic logins.

What
    On the path of the RPC proxy a client sent `Authorization: Basic`, or the server offered Basic.

Why
    The password itself reaches the proxy at every connection: it is as safe as TLS and the proxy are, and over http:// it is readable (PS117).

Evidence
    host, path: what was asked for.
    offered: schemes that the server offered.
    used: schemes that the client used; the variant says used or offered.
    status: the last answer to such a request.

Not a finding when
    - neither side names Basic: NTLM, Negotiate or a token is used;
    - the answer that would offer it, or the request that would use it, is lost: not_observable;
    - the connection is HTTPS and was not decrypted with a key log: Basic looks like NTLM there: not_observable.

References
    RFC 7617 §4
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, HttpRequest, Session
from ..exchange import RPC_METHODS
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS513", slug="rpc-proxy-basic-auth", title="Outlook Anywhere proxy uses Basic", severity="medium", confidence="high",
    category="rpc", scope="session", protocols=("dcerpc", "http", "tls"), needs=(CLIENT, SERVER),
    remediation="Use NTLM or Negotiate towards the proxy, or modern authentication with MAPI over HTTP.",
    references=("RFC 7617 §4",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.inner is not None:
        facts = session.inner
    http = facts.http
    if http is None:
        return not_observable("encrypted") if session.protocol == "tls" and session.server_port == 443 else NOT_APPLICABLE
    requests = [request for request in http.requests if _to_proxy(request)]
    if not requests:
        answer = unless_unseen(session, CLIENT)
        return NOT_APPLICABLE if answer is PASS else answer
    used = [request for request in requests if request.auth_scheme == "BASIC"]
    offering = [request for request in requests if "BASIC" in request.auth_offered]
    if not used and not offering:
        return unless_unseen(session, CLIENT, SERVER)
    first = (used or offering)[0]
    evidence = {
        "offered": sorted({scheme for request in requests for scheme in request.auth_offered}),
        "used": sorted({request.auth_scheme for request in requests if request.auth_scheme}),
    }
    for name, value in (("host", first.host), ("path", first.path), ("status", (used or offering)[-1].status)):
        if value is not None:
            evidence[name] = value
    side, at = (CLIENT, first.at) if used or first.status_at is None else (SERVER, first.status_at)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="used" if used else "offered",
        title=f"The RPC proxy {first.host or session.server_ip} port {session.server_port} {'was used with' if used else 'offers'} Basic",
        side=side, at=at, principal=first.principal, mechanism="BASIC", auth_result=first.login.result if first.login is not None else None, evidence=evidence,
    )


def _to_proxy(request: HttpRequest) -> bool:
    return request.service == "rpc-proxy" or request.method in RPC_METHODS
