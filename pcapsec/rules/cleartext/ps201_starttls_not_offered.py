"""PS201: a server does not offer STARTTLS on a port without TLS.

What
    The server's complete capability list, sent in clear, lacks STARTTLS (POP3: STLS), and the conversation is not inside TLS.

Why
    Nobody can protect mail to this server, however willing the client: all of it passes readable.

Evidence
    capabilities: the list as sent, at most 40 entries.
    capabilities_at: server stream offset of the list.
    server_name: name or words of the server's greeting.

Not a finding when
    - the list is incomplete, or was never asked for, or the client used HELO (PS203): not_observable;
    - EHLO was refused: not_observable;
    - a word of the list looks like the offer masked by a middlebox (PS301), or the list or the greeting shows that somebody writes over them (PS302, PS303,
      PS310): not_observable;
    - the list was sent inside TLS, or after a login, where the offer is rightly missing;
    - the capture begins after the greeting, and the list may be one of those: not_observable;
    - an Exchange server offers X-ANONYMOUSTLS to a host of its own network.

References
    RFC 3207 §2, §4
    RFC 2595
    RFC 4642
    RFC 5804
    RFC 8314 §3, §4
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..offers import rewritten
from ..rule import MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS201", slug="starttls-not-offered", title="STARTTLS/STLS not offered on a cleartext port", severity="medium", confidence="high",
    category="cleartext", scope="session", protocols=MAIL, needs=(SERVER,),
    remediation="Enable STARTTLS with a valid certificate; for mailbox access and submission serve implicit TLS (993, 995, 465).",
    references=("RFC 3207 §2, §4", "RFC 2595", "RFC 4642", "RFC 5804", "RFC 8314 §3, §4"),
)
MAX_SHOWN = 40  # entries of the list in the evidence


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    if facts.starttls_offered or facts.tls_started or facts.starttls_accepted:
        return PASS
    if facts.preauth:
        return NOT_APPLICABLE
    if not facts.capabilities_complete or facts.capabilities is None or facts.starttls_offered is None:
        if facts.ehlo_reject_code is not None:
            return not_observable("ehlo_rejected")
        return not_observable(session.unseen_server or "no_capability_list")
    if session.unseen_server == "midstream" and facts.greeting_code is None:
        return not_observable("midstream")
    if facts.masked_tokens or facts.oddities is not None:
        why = rewritten(facts, session.protocol)
        if why is not None:
            return not_observable(why)
    if "X-ANONYMOUSTLS" in " ".join(facts.capabilities).upper() and _lists_anonymous(facts.capabilities) and site.nearness(session.client_ip, session.server_ip) is not None:
        return PASS
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="lmtp" if session.protocol == "lmtp" else "",
        title=f"{session.server_ip} port {session.server_port} does not offer {'STLS' if session.protocol == 'pop3' else 'STARTTLS'}",
        side=SERVER, at=facts.capabilities_at,
        evidence={"capabilities": list(facts.capabilities[:MAX_SHOWN]), "capabilities_at": facts.capabilities_at, "server_name": facts.greeting},
    )


def _lists_anonymous(capabilities: tuple[str, ...]) -> bool:
    return any(word.upper() == "X-ANONYMOUSTLS" for word in capabilities)
