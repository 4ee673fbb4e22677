"""PS512: RPC over HTTP runs without TLS.

What
    Outside TLS a client sent RPC_IN_DATA, RPC_OUT_DATA or RPC_CONNECT, or a server greeted with `ncacn_http/1.0`.

Why
    Outlook Anywhere relies on HTTPS: without it the login to the proxy can be read or relayed, and the mailbox traffic is only as safe as the RPC
    inside, which is often not encrypted at all.

Evidence
    method: the first of the HTTP methods; the version (v2, v1) or ncacn_http is the variant.
    host, path, target: what was asked for, and the server behind the proxy.
    auth_scheme, auth_offered: the login to the proxy.
    user_agent, status: as sent, and the answer.
    requests: how many of these there are.
    inner_levels: levels in force on RPC calls inside, with the number of requests; missing where they were not read.

Not a finding when
    - the server answered each of them by a redirect to https;
    - it runs inside TLS, where nothing is seen.
    Behind a load balancer that ends TLS it is clear all the same; where both ends are private it is one step less severe.

References
    [MS-RPCH] §2.1.1.1, §2.1.2.1.6
"""
from __future__ import annotations

from typing import Any

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..exchange import RPC_METHODS, contexts, level_name
from ..requests import to_https
from ..rule import LOWER, NOT_APPLICABLE, PASS, Rule, Verdict, unless_unseen
from ..site import PRIVATE, Site

RULE = Rule(
    id="PS512", slug="rpc-over-http-clear", title="RPC over HTTP without TLS", severity="high", confidence="high",
    category="rpc", scope="session", protocols=("dcerpc", "http"), needs=(CLIENT,),
    remediation="Tick 'Connect using SSL only'; let no load balancer end TLS without IPsec behind it.",
    references=("[MS-RPCH] §2.1.1.1, §2.1.2.1.6",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.http is None:
        greeted = [association for association in facts.rpc or () if association.ncacn_http]
        if greeted:
            return _finding(session, facts, site, "ncacn_http", f"A server at {session.server_ip} port {session.server_port} speaks RPC over HTTP without TLS",
                            SERVER, 0, {})
        return NOT_APPLICABLE
    requests = [request for request in facts.http.requests if request.method in RPC_METHODS]
    if not requests:
        answer = unless_unseen(session, CLIENT)
        return NOT_APPLICABLE if answer is PASS else answer
    if all(to_https(request) for request in requests):
        return PASS
    first = next(request for request in requests if not to_https(request))
    login = next((request for request in requests if request.auth_scheme), first)
    offered = sorted({scheme for request in requests for scheme in request.auth_offered})
    evidence: dict[str, Any] = {"method": first.method, "requests": len(requests), "auth_offered": offered}
    for name, value in (("host", first.host), ("path", first.path), ("target", first.rpc_target), ("auth_scheme", login.auth_scheme),
                        ("user_agent", first.user_agent), ("status", first.status)):
        if value is not None:
            evidence[name] = value
    finding = _finding(
        session, facts, site, "v1" if first.method == "RPC_CONNECT" else "v2",
        f"{session.client_ip} uses RPC over HTTP to {first.host or session.server_ip} port {session.server_port} without TLS", CLIENT, first.at, evidence)
    finding.principal, finding.mechanism = login.principal, login.auth_scheme
    return finding


def _finding(session: Session, facts: Facts, site: Site, variant: str, title: str, side: int, at: int, evidence: dict[str, Any]) -> Finding:
    levels: dict[str, int] = {}
    for _, context in contexts(facts):
        for level, count in sorted(context.levels.items()):
            levels[level_name(level)] = levels.get(level_name(level), 0) + count
    if levels:
        evidence["inner_levels"] = levels
    near = site.nearness(session.client_ip, session.server_ip) is PRIVATE
    return Finding(
        rule=RULE, severity=LOWER[RULE.severity] if near else RULE.severity, severity_reason="both ends private" if near else "", confidence=RULE.confidence,
        variant=variant, title=title, side=side, at=at, evidence=evidence,
    )
