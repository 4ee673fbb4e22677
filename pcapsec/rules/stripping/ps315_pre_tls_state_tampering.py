"""PS315: an IMAP server speaks of mailboxes, or sends the client elsewhere, before anybody logged in.

What
    Before TLS and before any login the server's side has mailbox data (LIST, FETCH, EXISTS: variant mailbox-data), a referral to another server (referral), a
    new mailbox name (newname), or a text that mail programs show to the user ([ALERT]: variant alert).

Why
    No server does so of itself. Somebody on the way can add such lines while the conversation is clear: the mail program keeps them, shows false folders
    or messages, or takes the password to another server.

Evidence
    response: the kind of response.
    host: where a referral leads.
    tls_followed: whether the conversation went on to TLS.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - a login or PREAUTH came before, or was waiting for its answer, or the client had asked for mailboxes;
    - the response is CAPABILITY, OK, NO, BAD or BYE without one of these codes;
    - the client did not ask for TLS and only an [ALERT] came: servers announce maintenance so;
    - bytes of either side are missing: not_observable.
    An [ALERT] before TLS is low.

References
    CVE-2021-29969 (Thunderbird)
    RFC 2221
    RFC 2193
    NO STARTTLS, USENIX Security 2021
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, Facts, Finding, Session
from ..innocence import LATER_LOGIN, LOST, causes
from ..rule import Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS315", slug="pre-tls-state-tampering", title="Suspicious untagged data before STARTTLS completes", severity="medium", confidence="medium",
    category="stripping", scope="session", protocols=("imap",), needs=(CLIENT, SERVER),
    remediation="Use implicit TLS (993) and a mail program that forgets what came before TLS; find out who adds the lines.",
    references=("CVE-2021-29969 (Thunderbird)", "RFC 2221", "RFC 2193", "NO STARTTLS, USENIX Security 2021"),
)
SAYS = {"mailbox-data": "speaks of mailboxes before any login", "referral": "sends {client} to another server before any login",
        "newname": "names a mailbox before any login", "alert": "shows {client} a text before TLS"}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    notes = facts.oddities.early_data if facts.oddities is not None else ()
    if not (facts.starttls_requested or facts.tls_started):
        notes = [note for note in notes if note.code != "alert"]
    if not notes:
        return unless_unseen(session, CLIENT, SERVER)
    unseen = session.unseen_client or session.unseen_server
    if unseen is not None:
        return not_observable(unseen)
    note = min(notes, key=lambda one: tuple(SAYS).index(one.code))
    alert = note.code == "alert"
    return Finding(
        rule=RULE, severity="low" if alert else RULE.severity, severity_reason="servers announce maintenance so" if alert else "", confidence="low" if alert else RULE.confidence,
        variant=note.code, title=f"{session.server_ip} port {session.server_port} {SAYS[note.code].format(client=session.client_ip)}: a middlebox may have added it", side=SERVER, at=note.at,
        evidence={"response": note.detail if note.code == "mailbox-data" else note.code.upper(), "host": note.detail if note.code == "referral" else None,
                  "tls_followed": facts.tls_started,
                  **causes((LOST, True), (LATER_LOGIN, True), ("a server that announces maintenance" if alert else "a server that does not keep to the protocol", False))},
    )
