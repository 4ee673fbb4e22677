"""PS313: clear commands came between STARTTLS and the first byte of TLS.

What
    Behind the line with STARTTLS (STLS) the client's side has clear bytes, and then TLS begins.

Why
    Somebody on the way can add commands there: a server that keeps them in its buffer carries them out after TLS began, as if they had come inside it, and
    may hand over the user's mail or password. Postfix and others were vulnerable once; a repaired server discards the bytes or ends the connection.

Evidence
    bytes: how many.
    kind: commands, text, proxy (a line of the PROXY protocol) or blank.
    verbs: known commands among them.
    same_packet: whether they came in the packet that brought the request.
    handshake: what became of TLS: went on, broke off or unknown. A server that discards the bytes goes on as well.
    answered: whether the server sent clear text before TLS too (PS314), which may be the answer.
    ruled_out, not_ruled_out: harmless causes that the capture excludes, and those that it leaves open.

Not a finding when
    - the bytes are a ClientHello that did not wait for the answer: RFC 9051 allows that;
    - the server refused, or its answer was not seen and TLS did not begin;
    - they are neither text nor blank: not_observable, they may be a damaged record.
    Blanks and line ends alone are low; a PROXY line is medium; without TLS after it one step less severe (variant no-tls).

References
    CVE-2011-0411 (Postfix), CVE-2021-33515 (Dovecot), CVE-2020-15955, CVE-2021-38084
    CERT VU#555316
    RFC 3207 §4
    RFC 9051 §6.2.1
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..innocence import EAGER_CLIENT, HELLO_AHEAD, LOST, SECURITY_TEST, causes
from ..rule import LESS_SURE, LOWER, MAIL, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site

RULE = Rule(
    id="PS313", slug="command-injection-c2s", title="Plaintext pipelined after STARTTLS, client to server", severity="critical", confidence="high",
    category="stripping", scope="session", protocols=MAIL, needs=(CLIENT,),
    remediation="Update the mail server so that it discards what it received in clear before TLS; find out who added the commands.",
    references=("CVE-2011-0411 (Postfix), CVE-2021-33515 (Dovecot), CVE-2020-15955, CVE-2021-38084", "CERT VU#555316", "RFC 3207 §4", "RFC 9051 §6.2.1"),
)
SEVERITY = {"blank": "low", "proxy": "medium"}
WORDS = {"blank": "blanks", "proxy": "a PROXY line", "text": "text"}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    odd = facts.oddities
    n_bytes = facts.injected_client_bytes or (odd.pipelined_bytes if odd is not None else 0)
    if not n_bytes or odd is None or odd.client_clear is None:
        return PASS if facts.tls_started else unless_unseen(session, CLIENT)
    kind, at = odd.client_clear, odd.client_clear_at
    if kind == "binary":
        return not_observable("not_text")
    severity, reason = SEVERITY.get(kind, RULE.severity), f"only {WORDS[kind]}" if kind in SEVERITY else ""
    if not facts.tls_started:
        severity, reason = LOWER[severity], f"{reason};no TLS followed" if reason else "no TLS followed"
    what = WORDS.get(kind) or ", ".join(odd.client_verbs)
    established = session.tls.established if session.tls is not None else None
    return Finding(
        rule=RULE, severity=severity, severity_reason=reason, confidence=RULE.confidence if facts.starttls_accepted else LESS_SURE[RULE.confidence],
        variant=kind if facts.tls_started else "no-tls", side=CLIENT, at=at,
        title=f"Clear {what} came from {session.client_ip} to {session.server_ip} port {session.server_port} behind {facts.starttls_verb or 'STARTTLS'} and before TLS",
        evidence={"bytes": n_bytes, "kind": kind, "verbs": list(odd.client_verbs), "same_packet": _same_packet(session, facts.starttls_requested_at, at),
                  "handshake": {True: "went on", False: "broke off", None: "unknown"}[established], "answered": bool(facts.injected_server_bytes),
                  **causes((HELLO_AHEAD, True), (LOST, session.unseen_client is None), (EAGER_CLIENT, False), (SECURITY_TEST, False))},
    )


def _same_packet(session: Session, asked_at: int | None, at: int | None) -> bool | None:
    if session.locate is None or asked_at is None or at is None:
        return None
    return session.locate(CLIENT, asked_at)[:2] == session.locate(CLIENT, at)[:2]
