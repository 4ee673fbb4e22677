"""PS452: a TLS handshake failed.

What
    A fatal alert was sent in clear, or the connection was closed before both ends had finished the handshake.

Why
    Mail did not pass this way; if it then passed in clear, PS205 tells. Who refused, and why, shows what to repair.

Evidence
    sender: client or server, where an alert says it.
    description: the alert's name.
    stage: client_hello, server_hello, certificate, or key_exchange: how far it went.
    version, cipher_suite: what was agreed on by then.
    hidden: an encrypted alert of TLS 1.3 is all that was seen; it is told by its length.

Not a finding when
    - bytes are missing, or the capture ends before the connection does: not_observable;
    - the alert is a warning or close_notify.

References
    RFC 8446 §6.2
"""
from __future__ import annotations

from ...records import CLIENT, SERVER, SIDE_NAMES, Facts, Finding, Session, TlsHandshake
from ..handshake import fail, place, why_failed
from ..rule import NOT_APPLICABLE, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS452", slug="tls-handshake-failed", title="TLS handshake failed", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Repair what the alert names: certificate, name, version or suites.",
    references=("RFC 8446 §6.2",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    why = why_failed(session, tls)
    if why.__class__ is not str:
        return why
    if why == "unanswered":
        return _closed(session, tls, "was closed without an answer")
    if why == "closed":
        return _closed(session, tls, "was closed before the handshake ended")
    who = session.client_ip if tls.alert_side == CLIENT else place(session)
    return fail(RULE, tls, f"{who} refused TLS: {why.replace('_', ' ')}",
                {"sender": SIDE_NAMES[tls.alert_side], "description": why, "stage": _stage(tls), "version": tls.version, "cipher_suite": tls.cipher_suite, "hidden": False},
                variant=why, side=tls.alert_side, at=tls.alert_at)


def _closed(session: Session, tls: TlsHandshake, what: str) -> Finding:
    sender = SIDE_NAMES[tls.hidden_alert] if tls.hidden_alert is not None else None
    return fail(RULE, tls, f"TLS with {place(session)} {what}",
                {"sender": sender, "description": None, "stage": _stage(tls), "version": tls.version, "cipher_suite": tls.cipher_suite, "hidden": tls.hidden_alert is not None},
                variant="closed", confidence="medium", side=CLIENT if tls.server_hello_at is None else SERVER)


def _stage(tls: TlsHandshake) -> str:
    if tls.client_key_bytes is not None:
        return "key_exchange"
    if tls.certificates:
        return "certificate"
    return "client_hello" if tls.server_hello_at is None else "server_hello"
