"""PS507: a Kerberos login uses a weak encryption type.

What
    The AP-REQ of a login shows a ticket or an authenticator encrypted with DES, RC4 or 3DES. The ticket's type is that of the service's key, the
    authenticator's is that of the session key, which protects what follows.

Why
    DES is broken by trying all keys, and RC4 keys are the bare hash of a password: a ticket under one lets anyone guess the service account's
    password offline. RC4 and 3DES are deprecated for what they protect, too.

Evidence
    auth_result, auth_reason, reply_code: what the server answered.
    ticket_etype, authenticator_etype: encryption types by name; the weaker one is the variant.
    spn, realm: service and realm of the ticket.
    random_key: the service is one of computer accounts, whose keys are random, so that guessing its password from the ticket is hopeless.
    sealed, token_algorithm: what per-message tokens of RPC confirm: whether they seal, and the algorithm.
    secret_length, initial_response, authzid, cancelled: how the exchange went.

Not a finding when
    - both types are AES (17 to 20) or Camellia;
    - no ticket passed.
    DES is critical, the export variant of RC4 high, RC4 medium, 3DES low.

References
    RFC 3961
    RFC 4757
    RFC 6649
    RFC 8429
    [MS-KILE] §3.4.5.4
"""
from __future__ import annotations

from ...records import CLIENT, Finding, Login, Session
from ..exchange import security_of
from ..logins import login_finding
from ..rule import MAIL, PASS, TOKENS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS507", slug="kerberos-weak-etype", title="Weak Kerberos encryption type", severity="medium", confidence="high",
    category="rpc", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT,), mechanisms=("GSSAPI", "GSS-SPNEGO", "GS2-KRB5", "NEGOTIATE", "KERBEROS"),
    remediation="Give the accounts AES keys only and switch RC4 and DES off (msDS-SupportedEncryptionTypes).",
    references=("RFC 3961", "RFC 4757", "RFC 6649", "RFC 8429", "[MS-KILE] §3.4.5.4"),
)
NAMES = {
    1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 5: "des3-cbc-md5", 7: "des3-cbc-sha1-old", 16: "des3-cbc-sha1", 17: "aes128-sha1", 18: "aes256-sha1",
    19: "aes128-sha256", 20: "aes256-sha384", 23: "rc4-hmac", 24: "rc4-hmac-exp", 25: "camellia128", 26: "camellia256",
}
WEAK = {
    1: ("des", "critical"), 2: ("des", "critical"), 3: ("des", "critical"), 24: ("rc4-export", "high"), 23: ("rc4", "medium"),
    16: ("3des", "low"), 5: ("3des", "low"), 7: ("3des", "low"),
}
ORDER = ("des", "rc4-export", "rc4", "3des")
RANDOM_KEYS = frozenset((  # services of computer accounts
    "exchangemdb", "exchangerfr", "exchangeab", "smtpsvc", "host", "ldap", "gc", "cifs", "rpcss", "rpc", "krbtgt",
))


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    ticket, authenticator = details.get("ticket_etype", details.get("etype")), details.get("authenticator_etype")
    weak = [WEAK[etype] for etype in (ticket, authenticator) if etype in WEAK]
    if not weak:
        return PASS
    variant, severity = min(weak, key=lambda one: ORDER.index(one[0]))
    evidence = {}
    for name, etype in (("ticket_etype", ticket), ("authenticator_etype", authenticator)):
        if etype is not None:
            evidence[name] = NAMES.get(etype, str(etype))
    for name in ("spn", "realm"):
        if details.get(name):
            evidence[name] = details[name]
    if ticket in WEAK and str(details.get("spn") or "").partition("/")[0].lower() in RANDOM_KEYS:
        evidence["random_key"] = True
    known = security_of(session.facts, login)
    if known is not None:
        if known[1].sealed_tokens is not None:
            evidence["sealed"] = known[1].sealed_tokens
        if known[1].token_algorithm is not None:
            evidence["token_algorithm"] = known[1].token_algorithm
    whose = f"of {login.principal[:64]} " if login.principal else ""
    which = " and ".join(name for name, etype in (("ticket", ticket), ("session key", authenticator)) if etype in WEAK)
    return login_finding(
        RULE, session, login, f"Kerberos login {whose}to {session.server_ip} port {session.server_port} uses {variant.upper()} ({which})",
        variant=variant, severity=severity, reason="" if severity == RULE.severity else f"encryption type {variant}", evidence=evidence)
