"""PS124: an NTLM or Kerberos login to a web service crosses the network readable.

What
    Outside TLS a request carried `Authorization: NTLM` or `Negotiate` with the client's answer to the server's challenge, or with a Kerberos ticket.

Why
    Nothing binds what follows to the login: an attacker on the way can take over the connection or pass the login on to another server. An NTLM response can
    also be guessed offline (PS106, PS107), a ticket with a weak encryption type too (PS507).

Evidence
    auth_result, auth_reason, reply_code: only 2xx means success; a 401 with a token goes on with the exchange.
    inner_mechanism: NTLM or KERBEROS, whichever was really used; also the variant.
    ntlm_version, workstation: of an NTLM response. domain: NTLM domain or Kerberos realm.
    spn, ticket_etype: service and encryption type of a Kerberos ticket.
    host, path, status, location, service, user_agent, proxy, rpc_target: the request.
    secret_length, challenge_seen, initial_response: how the exchange went.

Not a finding when
    - only the first NTLM message passed, or nothing but an offer;
    - the login is anonymous;
    - it is one of the RPC inside RPC over HTTP (PS106).

References
    [MS-NTHT] §2.2
    RFC 4559 §4.1, §4.2
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import request_of, shown, target
from ..rule import PASS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS124", slug="http-negotiate-clear", title="HTTP Negotiate/NTLM over http://", severity="high", confidence="high",
    category="credential", scope="login", protocols=("http",), needs=(CLIENT,), mechanisms=("NTLM", "NEGOTIATE"),
    remediation="Offer the service over HTTPS only, with Extended Protection (channel binding).",
    references=("[MS-NTHT] §2.2", "RFC 4559 §4.1, §4.2"),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    if login.protocol != "http" or login.exposure not in ("guessable", "ticket") or not login.secret or details.get("anonymous"):
        return PASS
    inner = "KERBEROS" if login.exposure == "ticket" else "NTLM"
    request = request_of(session, login)
    evidence = {**shown(request), "inner_mechanism": inner}
    if login.domain is not None:
        evidence["domain"] = login.domain
    for name in ("ntlm_version", "workstation", "spn", "ticket_etype"):
        if details.get(name) is not None:
            evidence[name] = details[name]
    whose = f"{'Kerberos' if inner == 'KERBEROS' else 'NTLM'} login of {who(login)}" if login.principal else f"A {'Kerberos' if inner == 'KERBEROS' else 'NTLM'} login"
    return login_finding(RULE, session, login, f"{whose} sent readable to {target(session, request)} (HTTP {'Negotiate' if login.mechanism == 'NEGOTIATE' else 'NTLM'})",
                         variant=inner, evidence=evidence)
