"""PS508: RPC or SMB was used with an anonymous NTLM session.

What
    The last message of an NTLM login has neither user nor response.

Why
    The server lets people in without an account, and whatever level RPC asks for, an anonymous session has no key that protects anything.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    ntlm_flags, ntlm_flag_names, ntlm_version: as the last message says.
    key_bits, spec_key_bits: what it claims about the sealing key.
    interfaces, auth_level, auth_level_name: what was called, and the highest level in force.
    challenge_seen, cancelled, initial_response, secret_length: how the exchange went.

Not a finding when
    - the account is a machine's (`NAME$`): it has a name and a response;
    - the client logs in to the server on its own host, where name and response stay away too.
    Without the flag that says anonymous the confidence is medium. Where no interface of Exchange was called it is info.

References
    [MS-NLMP] §3.2.5.1.2, §3.4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..exchange import exchange_contexts, interface_names, level_name, level_of, ntlm_evidence, security_of, serves_mail, users
from ..logins import login_finding
from ..rule import LESS_SURE, PASS, RPC, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS508", slug="ntlm-anonymous", title="NTLM anonymous session on RPC", severity="low", confidence="high",
    category="rpc", scope="login", protocols=RPC, needs=(CLIENT,), mechanisms=("NTLM", "GSS-SPNEGO"),
    remediation="Block anonymous RPC: RestrictRemoteClients and RestrictAnonymous on the server.",
    references=("[MS-NLMP] §3.2.5.1.2, §3.4",),
)
ANONYMOUS = 0x800  # flag of the last message


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    if login.protocol not in ("dcerpc", "smb") or login.principal or details.get("ntlm_version") != "anonymous":
        return PASS
    evidence = ntlm_evidence(login)
    mail = bool(exchange_contexts(session.facts))  # SMB's login is that of all its pipes
    known = security_of(session.facts, login)
    what = "SMB" if login.protocol == "smb" else "RPC"
    if known is not None:
        under = users(*known)
        mail = serves_mail(under)
        evidence["interfaces"] = interface_names(under)
        level = max((level for context in under if (level := level_of(context, known[1])) is not None), default=None)
        if level is not None:
            evidence["auth_level"], evidence["auth_level_name"] = level, level_name(level)
    return login_finding(
        RULE, session, login, f"Anonymous NTLM session on {what} to {session.server_ip} port {session.server_port}", variant=what.lower(),
        severity=None if mail else "info", reason="" if mail else "not an interface of Exchange",
        confidence=None if (details.get("ntlm_flags") or 0) & ANONYMOUS else LESS_SURE[RULE.confidence], evidence=evidence)
