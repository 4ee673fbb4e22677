"""PS607: an NTLM login inside HTTPS is not bound to its TLS channel.

What
    In traffic that was decrypted with a key log, the client's NTLM response carries no channel binding, or an empty one.

Why
    Without it an attacker who got between the two, with a certificate that the client accepts, can pass the login on to the real server.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    channel_binding: false; the response says which: av_flags and the names of what it holds show nothing more.
    av_flags: flags of the response, as sent.
    target: the server's host and domain names from its challenge.
    host, path, status, location, service, user_agent, proxy, rpc_target: the request.
    secret_length, challenge_seen, initial_response: how the exchange went.

Not a finding when
    - the traffic was not decrypted: then nobody can tell, and the verdict is not_observable;
    - the login carries a channel binding, or is not NTLM, or is one of DCE/RPC inside HTTPS.

References
    [MS-NLMP] §2.2.2.1
    RFC 5929 §4
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..logins import login_finding, who
from ..requests import request_of, shown, target
from ..rule import NOT_APPLICABLE, Rule, Verdict, not_observable, unless_unseen
from ..site import Site
from ..webnames import MAYBE_WEB, guess

RULE = Rule(
    id="PS607", slug="ntlm-over-https-channel-binding", title="NTLM inside HTTPS without channel binding", severity="info", confidence="low",
    category="web", scope="session", protocols=("tls",), needs=(CLIENT,),
    remediation="Switch on Extended Protection for Authentication on the server, and update clients that do not send channel bindings.",
    references=("[MS-NLMP] §2.2.2.1", "RFC 5929 §4"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if session.inner is not None:
        facts = session.inner
    if facts.http is None:
        tls = session.tls
        mail = tls is not None and tls.sni is not None and session.service in MAYBE_WEB and guess(tls.sni) is not None
        return not_observable("encrypted") if mail else NOT_APPLICABLE
    for login in facts.logins:
        details = login.details
        if login.protocol != "http" or not login.secret or details.get("ntlm_version") != "NTLMv2" or details.get("channel_binding"):
            continue
        request = request_of(session, login, facts)
        evidence = {**shown(request), "channel_binding": False}
        for name in ("av_flags", "target"):
            if details.get(name) is not None:
                evidence[name] = details[name]
        return login_finding(RULE, session, login, f"NTLM login of {who(login)} to {target(session, request)} is not bound to its TLS channel",
                             evidence=evidence, outcome_matters=False)
    return unless_unseen(session, CLIENT)
