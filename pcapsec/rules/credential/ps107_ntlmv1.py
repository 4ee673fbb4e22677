"""PS107: an NTLM login used NTLMv1 or LM, from which the password hash can be computed.

What
    Outside TLS a client answered an NTLM challenge with a 24-byte NT response (NTLMv1) or with nothing but a LM response.

Why
    Such a response is DES under pieces of the NT hash: the hash is found by trying all keys, however strong the password, and the hash alone logs in.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    ntlm_version: NTLMv1 or LM; also the variant.
    nt_length, lm_length: lengths of the responses in bytes.
    ess: extended session security was agreed.
    ntlm_flags: flags of the last message, hexadecimal.
    domain: as the client sent it.
    secret_length, initial_response, challenge_seen, cancelled: how the exchange went.

Not a finding when
    - the NT response is longer than 24 bytes: that is NTLMv2, whose LM field also has 24 bytes;
    - the LM response is all zero;
    - the challenge was not seen.

References
    [MS-NLMP] §3.3.1
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..logins import carried_by, challenge_unseen, login_finding, who
from ..rule import MAIL, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS107", slug="ntlmv1", title="NTLMv1 or LM response used", severity="critical", confidence="high",
    category="credential", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT,), mechanisms=("NTLM", "GSS-SPNEGO"),
    remediation="Set LmCompatibilityLevel 5 on clients and servers and change the password; better, switch NTLM off.",
    references=("[MS-NLMP] §3.3.1",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    version = details.get("ntlm_version")
    if version not in ("NTLMv1", "LM") or not login.secret:
        return PASS
    if not details.get("server_challenge_seen"):
        return challenge_unseen(session, login)
    evidence = {"ntlm_version": version}
    if login.domain is not None:
        evidence["domain"] = login.domain
    for name in ("nt_length", "lm_length", "ess"):
        if details.get(name) is not None:
            evidence[name] = details[name]
    if details.get("ntlm_flags") is not None:
        evidence["ntlm_flags"] = f"0x{details['ntlm_flags']:08x}"
    where = f"{session.server_ip} port {session.server_port}"
    return login_finding(
        RULE, session, login, f"Password hash of {who(login)} can be computed: {version}{carried_by(login)} to {where} in clear",
        variant=version, evidence=evidence)
