"""PS314: the server's side has clear text between its consent to STARTTLS and TLS.

What
    Behind the line by which the server accepts STARTTLS (220, OK, +OK, 382) more clear bytes follow, and then TLS begins.

Why
    Somebody on the way can add answers there. A client that keeps them in its buffer takes them for answers that came inside TLS: a false mailbox list, a
    false greeting, a list of login methods that lets the password pass. Thunderbird, Apple Mail, mutt, Exim and others were vulnerable once.

Evidence
    bytes: how many.
    kind: replies (they begin as a reply of this protocol), text or blank.
    same_packet: whether they came in the packet that brought the consent.
    handshake: what became of TLS: went on, broke off or unknown.
    injected_client_bytes: clear bytes of the client at the same place (PS313), which these may answer.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - they are further lines of the consent itself (`220-`, `220 `);
    - bytes of the server are missing there, or they are no text: not_observable, they may be the middle of a record;
    - TLS never began: PS317 speaks of it.
    Blanks and line ends alone are low.

References
    CVE-2020-15685 (Thunderbird), CVE-2020-14954 (mutt), CVE-2020-9941 (Apple), CVE-2021-38371 (Exim)
    NO STARTTLS, USENIX Security 2021
    RFC 3207 §4
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..innocence import LOST, MULTILINE, SECURITY_TEST, causes
from ..rule import MAIL, NOT_APPLICABLE, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS314", slug="response-injection-s2c", title="Plaintext server data between STARTTLS OK and ServerHello", severity="critical", confidence="high",
    category="stripping", scope="session", protocols=MAIL, needs=(SERVER,),
    remediation="Update the mail program so that it discards what it received in clear before TLS; use implicit TLS (993, 995, 465); find out who added the text.",
    references=("CVE-2020-15685 (Thunderbird), CVE-2020-14954 (mutt), CVE-2020-9941 (Apple), CVE-2021-38371 (Exim)", "NO STARTTLS, USENIX Security 2021", "RFC 3207 §4"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    odd = facts.oddities
    if not facts.injected_server_bytes or odd is None or odd.server_clear is None:
        return unless_unseen(session, SERVER) if facts.tls_started or facts.starttls_requested is None else NOT_APPLICABLE
    if odd.server_clear == "binary":
        return not_observable("not_text")
    if not facts.starttls_accepted:  # the consent itself was not seen: these bytes may be it
        return not_observable(session.unseen_server or "unanswered")
    blank = odd.server_clear == "blank"
    established = session.tls.established if session.tls is not None else None
    locate = session.locate
    same = None if locate is None or facts.starttls_answered_at is None else locate(SERVER, facts.starttls_answered_at)[:2] == locate(SERVER, odd.server_clear_at)[:2]
    return Finding(
        rule=RULE, severity="low" if blank else RULE.severity, severity_reason="only blanks" if blank else "", confidence=RULE.confidence, variant=odd.server_clear,
        title=f"{'Blanks' if blank else 'Clear text'} came from {session.server_ip} port {session.server_port} behind its consent to {facts.starttls_verb or 'STARTTLS'} and before TLS",
        side=SERVER, at=odd.server_clear_at,
        evidence={"bytes": facts.injected_server_bytes, "kind": odd.server_clear, "same_packet": same, "handshake": {True: "went on", False: "broke off", None: "unknown"}[established],
                  "injected_client_bytes": facts.injected_client_bytes, **causes((MULTILINE, True), (LOST, session.unseen_server is None), (SECURITY_TEST, False))},
    )
