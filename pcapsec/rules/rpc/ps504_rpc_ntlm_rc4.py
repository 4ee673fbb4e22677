"""PS504: RPC is encrypted by NTLM, that is by RC4 with keys that hang on the password.

What
    Calls at level 6 are sealed by NTLM with 128-bit keys: what Outlook's settings call 128-bit RPC encryption.

Why
    There is no forward secrecy: whoever learns the password's hash later, by guessing from the same login or from the domain controller, decrypts
    all of it. RC4 itself is deprecated.

Evidence
    interfaces: what was called under it.
    auth_level: 6.
    auth_type, spnego: how NTLM was negotiated: its own authentication type, or chosen by SPNEGO.
    ntlm_flags, ntlm_flag_names, ntlm_version: as the last message of the login says, which is what holds; the first one only offers.
    key_bits, spec_key_bits: length of the sealing key as implementations and as the specification's pseudo-code have it.

Not a finding when
    - the context is Kerberos;
    - the key is shorter (PS505), or extended session security, SEAL or the 128-bit flag is missing (PS505, PS506);
    - the login is anonymous (PS508);
    - the login's last message is not in the capture: not_observable.
    For interfaces that are not Exchange's it is info; where the server was not seen to go on with the login it is less sure.

References
    [MS-NLMP] §2.2.2.5, §3.4.3, §3.4.5.3
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, RpcContext, RpcSecurity, Session
from ..exchange import (
    MAX_FINDINGS, PRIVACY, columns, contexts, interface_names, level_of, named, nothing_to_judge, ntlm_evidence, securities, serves_mail, unless_lost,
    users,
)
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS504", slug="rpc-ntlm-rc4", title="'128-bit RPC encryption': NTLM sealing (RC4, no forward secrecy)", severity="medium", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT,),
    remediation="Use Kerberos with AES, or MAPI over HTTP inside TLS 1.2 or later.",
    references=("[MS-NLMP] §2.2.2.5, §3.4.3, §3.4.5.3",),
)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    findings, unsure, sealed = [], PASS, False
    for association, security in securities(facts):
        if security.mechanism not in ("NTLM", None) or security.established is False:
            continue
        under = [context for context in users(association, security) if level_of(context, security) == PRIVACY]
        if not under:
            continue
        sealed = True
        details = security.login.details if security.login is not None else None
        if details is None or details.get("nt_length") is None:  # only the last message of the login has a response
            unsure = not_observable(session.unseen_client or "midstream")
        elif details.get("seal") and details.get("ess") and details.get("key_bits") == 128 and not details.get("anonymous") and len(findings) < MAX_FINDINGS:
            findings.append(_finding(session, security, under))
    if findings or unsure is not PASS:
        return findings or unsure
    if not facts.rpc:
        return nothing_to_judge(session, facts)
    if not sealed and any(context.auth_level == PRIVACY and not context.securities for _, context in contexts(facts)):
        return not_observable(session.unseen_client or "midstream")  # sealed by something whose beginning was not seen
    answer = unless_lost(session, facts, CLIENT)
    return answer if answer is not PASS or any(context.requests for _, context in contexts(facts)) else NOT_APPLICABLE


def _finding(session: Session, security: RpcSecurity, under: list[RpcContext]) -> Finding:
    login, mail = security.login, serves_mail(under)
    names = interface_names(under)
    evidence = {"interfaces": names, "auth_level": PRIVACY, "auth_type": security.auth_type, "spnego": security.auth_type == 9, **ntlm_evidence(login)}
    return Finding(
        rule=RULE, severity=RULE.severity if mail else "info", severity_reason="" if mail else "not an interface of Exchange",
        confidence="high" if security.established else "medium",
        variant="mail" if mail else "other",
        title=f"RPC{named(login)} to {session.server_ip} port {session.server_port} ({', '.join(names[:3])}) is sealed by NTLM's RC4",
        side=security.side, at=security.at, **columns(login, "NTLM"), evidence=evidence,
    )
