"""PS505: NTLM agreed on a sealing key of 40 or 56 bits.

What
    The last message of an NTLM login sets SEAL but not what makes the key 128 bits long.

Why
    40 bits are tried out in hours, 56 bits in days on rented machines, however strong the password: what was sealed can be read.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    key_bits: length as implementations have it; also the variant.
    spec_key_bits: length by the specification's pseudo-code, which without extended session security takes the whole key.
    ntlm_flags, ntlm_flag_names, ntlm_version: as the last message says.
    domain: as the client sent it.
    auth_level, interfaces: protection in force on RPC calls, and on which interfaces.
    secret_length, challenge_seen: how the exchange went.

Not a finding when
    - both the 56-bit and the 128-bit flag are set: with extended session security that is 128;
    - SEAL is not set: nothing is sealed;
    - only the first message was seen: it offers and agrees on nothing;
    - the login is anonymous (PS508).
    Where RPC calls were seen and none of them was sealed, the key protects nothing: info.

References
    [MS-NLMP] §3.4.5.3
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..exchange import PRIVACY, interface_names, level_of, ntlm_evidence, security_of, users
from ..logins import login_finding, who
from ..rule import LESS_SURE, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS505", slug="ntlm-weak-seal-key", title="NTLM sealing key 40/56 bit", severity="high", confidence="high",
    category="rpc", scope="login", protocols=TOKENS, needs=(CLIENT,), mechanisms=("NTLM", "GSS-SPNEGO"),
    remediation="Require 128 bits: NtlmMinClientSec and NtlmMinServerSec 0x20080000.",
    references=("[MS-NLMP] §3.4.5.3",),
)
PROTOCOLS = frozenset(("dcerpc", "ldap", "smb"))


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    bits, spec_bits = details.get("key_bits"), details.get("spec_key_bits")
    if login.protocol not in PROTOCOLS or bits not in (40, 56) or not details.get("seal") or details.get("nt_length") is None or details.get("anonymous"):
        return PASS
    evidence = ntlm_evidence(login)
    if login.domain is not None:
        evidence["domain"] = login.domain
    severity, reason = None, ""
    known = security_of(session.facts, login)
    if known is not None:
        under = users(*known)
        levels = [level for context in under if (level := level_of(context, known[1])) is not None]
        if levels:
            evidence["auth_level"], evidence["interfaces"] = max(levels), interface_names(under)
            if max(levels) < PRIVACY:
                severity, reason = "info", "nothing sealed with it"
    return login_finding(
        RULE, session, login, f"NTLM of {who(login)} to {session.server_ip} port {session.server_port} seals with a key of {bits} bits",
        variant=str(bits), severity=severity, reason=reason, evidence=evidence,
        confidence=LESS_SURE[RULE.confidence] if spec_bits not in (None, bits) else None)
