"""PS106: an NTLM login can be read, so that the password can be guessed offline.

What
    Outside TLS a client answered an NTLM challenge; challenge and response are both in the capture. In RPC the login itself is never encrypted, whatever
    level protects the calls behind it.

Why
    The response lets anyone try passwords offline, and an on-path attacker can relay it to another server. It is usually a Windows domain account.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    domain, workstation: as the client sent them.
    ntlm_version: NTLMv2, NTLMv1 or LM, by the length of the responses; also the variant.
    nt_length: length of the NT response in bytes.
    target: the server's host and domain names from its challenge.
    mic, channel_binding: the login has an integrity code, and is bound to a TLS channel; missing where the message says nothing of it.
    secret_length, initial_response, challenge_seen, cancelled: how the exchange went.

Not a finding when
    - only the first message passed (PS120 says what it tells);
    - the login is anonymous: no user and no response (PS118, PS508);
    - the challenge was not seen: the response alone cannot be tested. In RPC over HTTP it comes over the other channel: not_observable.
    A machine account (`NAME$`) has a random password that nobody guesses: medium.

References
    [MS-NLMP] §2.2.1.3, §3.3
    [MS-SMTPNTLM]
    [MS-OXPOP3]
    [MS-RPCE] §2.2.2.11
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import carried_by, challenge_unseen, login_finding, who
from ..rule import MAIL, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS106", slug="ntlm-auth-clear", title="NTLM exchange readable (NetNTLM hash capturable)", severity="high", confidence="high",
    category="credential", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT,), mechanisms=("NTLM", "GSS-SPNEGO"),
    remediation="Use Kerberos or OAuth inside TLS with channel binding; switch NTLM off.",
    references=("[MS-NLMP] §2.2.1.3, §3.3", "[MS-SMTPNTLM]", "[MS-OXPOP3]", "[MS-RPCE] §2.2.2.11"),
)
VERSIONS = ("NTLMv2", "NTLMv1", "LM")


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    version = details.get("ntlm_version")
    if version not in VERSIONS or not login.secret:
        return PASS
    if not details.get("server_challenge_seen"):
        return challenge_unseen(session, login)
    machine = login.principal is not None and login.principal.endswith("$")
    evidence = {"ntlm_version": version}
    if login.domain is not None:
        evidence["domain"] = login.domain
    for name in ("workstation", "nt_length", "target", "mic", "channel_binding"):
        if details.get(name) is not None:
            evidence[name] = details[name]
    where = f"{session.server_ip} port {session.server_port}"
    return login_finding(
        RULE, session, login, f"Password of {who(login)} can be guessed offline: NTLM{carried_by(login)} to {where} in clear",
        variant=version, severity="medium" if machine else None, reason="machine account" if machine else "", evidence=evidence)
