"""PS506: NTLM protects RPC less than the authentication level promises.

What
    RPC runs at level 5 or 6 over NTLM, and the last message of the login lacks SIGN, or SEAL at level 6; or where calls are signed (level 4 and
    up; 3 counts as 4) it lacks the key exchange or extended session security; or it has no integrity code although it says that it has one.

Why
    Without SIGN and SEAL the level is a promise only; without key exchange all sessions of a user share a key made from the password's hash; a
    missing integrity code is how a relayed login is altered on its way ("Drop the MIC").

Evidence
    missing: which of SEAL, SIGN, KEY_EXCH, MIC and EXTENDED_SESSIONSECURITY is missing; the first is also the variant.
    auth_level, auth_level_name: highest level in force on calls.
    interfaces: what was called under it.
    ntlm_flags, ntlm_flag_names, ntlm_version, key_bits, spec_key_bits: as the last message of the login says.
    av_flags: what the response says of itself, hexadecimal.

Not a finding when
    - SEAL is missing at levels 2 to 4, which do not ask for it (PS502 speaks of those), and the key exchange and extended session security at
      level 2, which uses no session key;
    - the login is anonymous (PS508);
    - the last message of the login is not in the capture: not_observable.
    For interfaces that are not Exchange's it is info; where the server was not seen to go on with the login it is less sure.

References
    [MS-NLMP] §2.2.2.5
    CVE-2019-1040
"""
from __future__ import annotations

from typing import Any

from ...records import CLIENT, Facts, Finding, Session
from ..exchange import (
    CALL, INTEGRITY, MAX_FINDINGS, PRIVACY, columns, interface_names, level_name, level_of, named, nothing_to_judge, ntlm_evidence, securities,
    serves_mail, unless_lost, users,
)
from ..rule import NOT_APPLICABLE, PASS, RPC, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS506", slug="ntlm-no-seal-or-sign", title="NTLM session without SEAL/SIGN or KEY_EXCH", severity="medium", confidence="high",
    category="rpc", scope="session", protocols=RPC, several=True, needs=(CLIENT,),
    remediation="Require NTLMv2 session security with 128 bits on clients and servers, and install updates; better, use Kerberos.",
    references=("[MS-NLMP] §2.2.2.5", "CVE-2019-1040"),
)
VARIANTS = {"SEAL": "no-seal", "SIGN": "no-sign", "KEY_EXCH": "no-key-exchange", "MIC": "no-mic", "EXTENDED_SESSIONSECURITY": "no-ess"}
MIC_PRESENT = 0x2  # MsvAvFlags ([MS-NLMP] §2.2.2.1)


def judge(session: Session, facts: Facts, site: Site) -> list[Finding] | Verdict:
    findings, unsure, judged = [], PASS, False
    for association, security in securities(facts):
        login = security.login
        if security.mechanism != "NTLM" or login is not None and login.details.get("anonymous"):
            continue
        under = users(association, security)
        level = max((level for context in under if (level := level_of(context, security)) is not None), default=0)
        if login is None or login.details.get("seal") is None:
            if level or session.unseen_client is not None:  # else the login was begun and given up
                unsure = not_observable(session.unseen_client or "midstream")
            continue
        judged = True
        missing = _missing(login.details, level)
        if not missing or len(findings) >= MAX_FINDINGS:
            continue
        mail, names = serves_mail(under), interface_names(under)
        evidence = {"missing": missing, "interfaces": names, **ntlm_evidence(login)}
        if level:
            evidence |= {"auth_level": level, "auth_level_name": level_name(level)}
        if login.details.get("av_flags") is not None:
            evidence["av_flags"] = f"0x{login.details['av_flags']:x}"
        findings.append(Finding(
            rule=RULE, severity=RULE.severity if mail else "info", severity_reason="" if mail else "not an interface of Exchange",
            confidence="high" if security.established else "medium",
            variant=VARIANTS[missing[0]],
            title=f"NTLM{named(login)} to {session.server_ip} port {session.server_port} agreed on no {', '.join(missing)}",
            side=CLIENT, at=login.at if login.secret_at is None else login.secret_at, **columns(login, "NTLM"), evidence=evidence,
        ))
    if findings or unsure is not PASS:
        return findings or unsure
    if not facts.rpc:
        return nothing_to_judge(session, facts)
    answer = unless_lost(session, facts, CLIENT)
    return answer if judged or answer is not PASS else NOT_APPLICABLE


def _missing(details: dict[str, Any], level: int) -> list[str]:
    missing = []
    if level >= PRIVACY and details.get("seal") is False:
        missing.append("SEAL")
    if level >= INTEGRITY and details.get("sign") is False:
        missing.append("SIGN")
    if level >= CALL and details.get("key_exchange") is False:
        missing.append("KEY_EXCH")
    if details.get("mic") is False and (details.get("av_flags") or 0) & MIC_PRESENT:
        missing.append("MIC")
    if level >= CALL and details.get("ess") is False:
        missing.append("EXTENDED_SESSIONSECURITY")
    return missing
