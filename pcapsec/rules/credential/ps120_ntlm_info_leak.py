"""PS120: an NTLM exchange tells the names of hosts and domains.

What
    The server's NTLM challenge names its host and domain, by NetBIOS and DNS, and its version; or a client's first message names its own.

Why
    Anyone who asks gets it, without an account: internal names and patch levels help whoever plans an attack.

Evidence
    nb_host, nb_domain, dns_host, dns_domain: the server's names, from the target information.
    os_version: version of the server's operating system where it says, else the client's.
    workstation, client_domain: the client's names.
    auth_result, auth_reason, reply_code, initial_response, challenge_seen, cancelled, secret_length, authzid: how the exchange went.

Not a finding when
    - the same server was reported before in this run: once for each server is enough.

References
    [MS-NLMP] §2.2.1.2, §2.2.2.1
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Finding, Login, Session
from ..logins import login_finding
from ..rule import MAIL, NOT_APPLICABLE, PASS, TOKENS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS120", slug="ntlm-info-leak", title="NTLM type 1/2 discloses host and domain names", severity="low", confidence="high",
    category="credential", scope="login", protocols=MAIL + TOKENS, needs=(CLIENT, SERVER), mechanisms=("NTLM", "GSS-SPNEGO"),
    remediation="Offer NTLM inside TLS only, and not to the internet.",
    references=("[MS-NLMP] §2.2.1.2, §2.2.2.1",),
)


def judge(session: Session, login: Login, site: Site) -> Finding | Verdict:
    details = login.details
    target = details.get("target")
    if target:
        variant, names = "server", dict(target)
        version = details.get("target_os_version")
    else:
        variant, names = "client", {key: details[key] for key in ("workstation", "client_domain") if details.get(key)}
        version = details.get("os_version")
    if not names:
        return PASS
    if not site.first_time((RULE.id, variant, session.server_ip)):
        return NOT_APPLICABLE
    if version:
        names["os_version"] = version
    shown = names.get("dns_host") or names.get("nb_host") or names.get("workstation") or names.get("nb_domain") or "its names"
    whose = f"Server {session.server_ip}" if variant == "server" else f"A client of {session.server_ip}"
    finding = login_finding(RULE, session, login, f"{whose} tells its internal names by NTLM: {shown[:80]}", variant=variant, evidence=names)
    finding.finding_id = finding_id(RULE.id, variant, session.server_ip, "")
    return finding
