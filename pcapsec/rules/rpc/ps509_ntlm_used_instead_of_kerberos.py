"""PS509: the client offered Kerberos first, and NTLM was used.

What
    The client's list of mechanisms begins with Kerberos, yet the login went on with NTLM.

Why
    Kerberos did not work here, mostly for a missing or doubled service principal name. NTLM is weaker: it shows a response to guess from, and RC4.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    spnego_offered, spnego_selected: the client's list, and the server's choice.
    spn, refused_spn: the service that the client meant, by NTLM and by the Kerberos ticket that was not taken.
    kerberos_error: the error that the server answered to the ticket.
    domain: as the client sent it.
    secret_length, challenge_seen, initial_response, cancelled: how the exchange went.

Not a finding when
    - the client addressed the server by an IP address, or comes from outside, where it reaches no domain controller: NTLM is expected then;
    - the client's list has NTLM first or no Kerberos, or NTLM was used without negotiation;
    - the login is anonymous.

References
    RFC 4178 App. C
    RFC 1964
    [MS-SPNG]
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import login_finding, who
from ..requests import request_of
from ..rule import PASS, RPC, Rule, Verdict
from ..site import PUBLIC, Site

RULE = Rule(
    id="PS509", slug="ntlm-used-instead-of-kerberos", title="NTLM used where Kerberos is normal", severity="info", confidence="high",
    category="rpc", scope="login", protocols=RPC, needs=(CLIENT,), mechanisms=("NTLM", "GSS-SPNEGO", "NEGOTIATE"),
    remediation="Find the missing or doubled service principal name (setspn -X) and register it.",
    references=("RFC 4178 App. C", "RFC 1964", "[MS-SPNG]"),
)
KERBEROS = frozenset(("KERBEROS", "MS-KERBEROS"))
VERSIONS = frozenset(("NTLMv2", "NTLMv1", "LM"))


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    offered = details.get("spnego_offered")
    if login.protocol not in ("dcerpc", "http") or not offered or offered[0] not in KERBEROS or details.get("ntlm_version") not in VERSIONS:
        return PASS
    if site.scope(session.client_ip) is PUBLIC or _is_address(_target(session, login)):
        return PASS
    evidence = {"spnego_offered": list(offered)}
    if login.domain is not None:
        evidence["domain"] = login.domain
    for name in ("spnego_selected", "spn", "refused_spn", "kerberos_error"):
        if details.get(name) is not None:
            evidence[name] = details[name]
    return login_finding(
        RULE, session, login, f"{who(login)} offered Kerberos first and used NTLM to {session.server_ip} port {session.server_port}",
        variant=login.protocol, evidence=evidence, outcome_matters=False)


def _target(session: Session, login: Login) -> str:
    """The host that the client meant: of its service name, else of the request; empty when neither says."""
    spn = login.details.get("spn") or login.details.get("refused_spn")
    if spn:
        return spn.partition("/")[2].partition("@")[0].partition("/")[0]
    request = request_of(session, login)
    return request.host or "" if request is not None else ""


def _is_address(host: str) -> bool:
    """An IP address in text, with or without brackets or a port."""
    if host.startswith("[") or host.count(":") > 1:
        return True
    labels = host.partition(":")[0].split(".")
    return len(labels) == 4 and all(label.isdecimal() for label in labels)
