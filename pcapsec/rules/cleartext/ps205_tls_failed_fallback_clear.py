"""PS205: TLS failed, and the client then went on in clear.

What
    A mail server asked another for TLS and was refused, or the handshake failed. On the same connection, or on another within the hour, it sent mail
    to that server in clear (variants same-connection, reconnect), or to another exchanger of the same domain, as DNS in the captures names them
    (other-exchanger).

Why
    Opportunistic TLS gives way: whoever breaks the handshake gets the mail readable. Postfix (level may), Exim, Cisco ESA and others do so by
    themselves, at once or when they try again.

Evidence
    session_id_tls_attempt, session_id_clear: both conversations; the second is the one that this finding points at.
    attempt_time, clear_time, delta_s: when, and the seconds between.
    failure: an alert's name, closed, unanswered, not begun, given up (by the client), or the reply code of the refusal.
    server: address and port of the one that took it in clear; attempt_server: of the one with which TLS failed.
    domain: that the mail was for.
    n_attempts, n_clear: conversations in which TLS failed in a row, and those in clear that followed.
    client_name: name that the client gave; same_name: it gave it both times, null when one of them is not known.
    matched_envelope: sender and recipient are equal, null where one of them was not seen.
    later_tls: when TLS worked again, within an hour.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: at most 20.

Not a finding when
    - TLS worked in between;
    - the server refused what it had not offered: it has no TLS (PS201, PS215);
    - the client names differ: then several programs share the address;
    - the server took nothing before TLS.
    Confidence is high on one connection or where the envelope is the same, low where a name is missing, the envelopes differ, or TLS worked again afterwards.

References
    RFC 3207 §4, §6
    Postfix TLS_README (level may)
    Cisco document 118955
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..comparing import SECOND_NS, Answer, answer, captures_of, finding_at, losses, named, session_ids
from ..handshake import cut, when
from ..histories import Fallback, fallbacks
from ..innocence import OTHER_MAIL, OTHER_PROGRAM, OWN_TLS, WORKED_BETWEEN, causes
from ..rule import SMTP, Rule, Verdict
from ..site import Site
from ..visit_flags import FAILED, REFUSED, STARTED, UNSEEN_CLIENT, UNSEEN_SERVER
from ..visits import Visits

RULE = Rule(
    id="PS205", slug="tls-failed-fallback-clear", title="TLS failed and mail then went in clear", severity="high", confidence="medium",
    category="cleartext", scope="capture", protocols=SMTP, several=True,
    remediation="Repair what made TLS fail (certificate, versions, a box on the way), and require TLS for this peer so that mail waits instead.",
    references=("RFC 3207 §4, §6", "Postfix TLS_README (level may)", "Cisco document 118955"),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    rows = visits.rows()
    flags = rows["flags"]
    unseen = ((flags & (UNSEEN_CLIENT | UNSEEN_SERVER)) != 0) & ((flags & STARTED) == 0)
    return Answer(map(_finding, fallbacks(visits, site.collected.dns)), captures_of(visits, rows, (flags & (FAILED | REFUSED)) != 0), losses(visits, rows, unseen))


def _finding(one: Fallback) -> Finding:
    attempt, clear = one.attempt, one.clear
    at_once = attempt.session_id == clear.session_id
    confidence = RULE.confidence
    if at_once or one.same_envelope:
        confidence = "high"
    elif one.same_envelope is False or one.same_name is None or one.later_tls_ns is not None:
        confidence = "low"
    return finding_at(
        RULE, clear, attempt.session_id, confidence=confidence, variant="same-connection" if at_once else "other-exchanger" if one.elsewhere else "reconnect",
        title=f"TLS between {clear.client_ip} and {attempt.server_ip} port {attempt.server_port} failed ({cut(attempt.reason)}), then mail went "
              + (f"in clear to {clear.server_ip}, another exchanger of {cut(clear.rcpt_domain)}" if one.elsewhere else "there in clear"),
        evidence={
            "session_id_tls_attempt": attempt.session_id, "session_id_clear": clear.session_id, "attempt_time": when(attempt.start_ns), "clear_time": when(clear.start_ns),
            "delta_s": 0 if at_once else max(0, clear.start_ns - attempt.end_ns) // SECOND_NS, "failure": cut(attempt.reason), "server": named(clear), "attempt_server": named(attempt),
            "domain": clear.rcpt_domain and cut(clear.rcpt_domain), "n_attempts": one.n_attempts,
            "n_clear": one.n_clear, "client_name": clear.client_name and cut(clear.client_name), "same_name": True if at_once else one.same_name,
            "matched_envelope": None if at_once else one.same_envelope, "later_tls": when(one.later_tls_ns) if one.later_tls_ns is not None else None,
            **causes((WORKED_BETWEEN, True), (OTHER_PROGRAM, at_once or bool(one.same_name)),
                     (OTHER_MAIL, at_once or bool(one.same_envelope)), (OWN_TLS, False)),
            "related_session_ids": session_ids(one.related)})
