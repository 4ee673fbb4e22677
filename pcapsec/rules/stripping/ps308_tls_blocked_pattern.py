"""PS308: TLS with a server never comes about, while clear text works.

What
    At least three times a client began TLS with a server and the connection was cut, stayed without an answer, or nothing came after STARTTLS was accepted.
    No attempt succeeded, and mail, logins or mailboxes were served in clear.

Why
    A box that lets STARTTLS pass and drops what follows makes opportunistic senders fall back to clear text. No single conversation shows it.

Evidence
    server: address and port.
    n_attempts: all attempts that failed; failures: how many for each reason.
    n_resets: of them, those that a RST ended.
    n_clear: conversations in clear; clear_session: the first.
    first_attempt, last_attempt: when.
    networks: of the clients whose attempts failed.
    ruled_out, not_ruled_out: harmless causes.
    related_session_ids: attempts that failed, at most 20.

Not a finding when
    - TLS with that server worked once, for anybody;
    - fewer than three attempts ended without a word: an alert names its cause (PS452), a refusal too (PS215), and a client may give up by itself;
    - nothing was served in clear.
    A broken server looks the same from here: compare with another place.

References
    RFC 8461
    RFC 7672
    RFC 3207 §6
"""
from __future__ import annotations

from collections import Counter
from typing import Any

from ...records import Capture, Finding
from ..comparing import Answer, answer, captures_of, chosen, finding_at, groups, has, losses, meeting, named, networks, session_ids, used_in_clear
from ..handshake import cut, when
from ..innocence import ALERT, OVERLOADED, OWN_TLS, REFUSAL, causes
from ..rule import MAIL, Rule, Verdict
from ..site import Site
from ..visit_flags import ESTABLISHED, FAILED, RESET, STARTED, UNSEEN_CLIENT, UNSEEN_SERVER
from ..visits import Visits, ordered

RULE = Rule(
    id="PS308", slug="tls-blocked-pattern", title="TLS to this server always fails while cleartext works", severity="high", confidence="medium",
    category="stripping", scope="capture", protocols=MAIL, several=True,
    remediation="Try TLS to this server from elsewhere; if it works there, find the box on the way. MTA-STS or DANE makes senders wait instead of falling back.",
    references=("RFC 8461", "RFC 7672", "RFC 3207 §6"),
)
MIN_ATTEMPTS = 3
SILENT = ("closed", "unanswered", "not begun")


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    return answer(RULE, capture, site, _find)


def _find(visits: Visits, site: Site) -> Answer:
    import numpy

    rows = visits.rows()
    flags = rows["flags"]
    compared = captures_of(visits, rows, (flags & (FAILED | ESTABLISHED)) != 0)
    unclear = losses(visits, rows, ((flags & STARTED) != 0) & ((flags & (FAILED | ESTABLISHED)) == 0) & ((flags & (UNSEEN_CLIENT | UNSEEN_SERVER)) != 0))
    rows = ordered(meeting(rows, ("server",), (flags & FAILED) != 0, used_in_clear(flags)), "server")
    starts, flags = groups(rows, "server"), rows["flags"]
    failed = (flags & FAILED) != 0
    silent = failed & numpy.isin(rows["reason"], [visits.texts.ids[reason] for reason in SILENT if reason in visits.texts.ids])
    often = numpy.add.reduceat(silent.astype("<i8"), starts) >= MIN_ATTEMPTS if len(starts) else has(silent, starts)
    blocked = often & has(used_in_clear(flags), starts) & ~has((flags & ESTABLISHED) != 0, starts)
    return Answer((_finding(visits, group) for group in chosen(rows, starts, blocked)), compared, unclear)


def _finding(visits: Visits, group: Any) -> Finding:
    failed, clear = group[(group["flags"] & FAILED) != 0], group[used_in_clear(group["flags"])]
    reasons = Counter(cut(visits.texts.values[number]) for number in failed["reason"].tolist())
    visit, last = visits.look_up(failed[0]), visits.look_up(failed[-1])
    n_silent = sum(reasons[reason] for reason in SILENT)
    return finding_at(
        RULE, visit, f"{visit.server_ip}\n{visit.server_port}", variant=visit.protocol, confidence=RULE.confidence if n_silent == len(failed) else "low",
        title=f"TLS with {visit.server_ip} port {visit.server_port} failed {len(failed)} times and never worked, while clear text did",
        evidence={
            "server": named(visit), "n_attempts": len(failed), "failures": dict(sorted(reasons.items())), "n_resets": int(((failed["flags"] & RESET) != 0).sum()),
            "n_clear": len(clear), "clear_session": visits.look_up(clear[0]).session_id, "first_attempt": when(visit.start_ns), "last_attempt": when(last.start_ns),
            "networks": networks(visits, failed),
            **causes((REFUSAL, True), (ALERT, n_silent == len(failed)), (OWN_TLS, False),
                     (OVERLOADED, False)),
            "related_session_ids": session_ids(failed["session_id"].tolist())})
