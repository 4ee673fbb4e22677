"""PS307: connections to a server are reset just where TLS begins.

What
    Within 2 s of the ClientHello, or of the server's consent to STARTTLS, an RST came in the server's name, before any answer; at least twice, while
    conversations without TLS with the same server went well (variant reset). Or the resets show that somebody forged them (variant forged): then it matters
    not what else went well, and one is enough if two things show it.

Why
    Who can only put packets into a path, and not take any away, breaks TLS by resetting it: many mail servers then try again in clear.

Evidence
    attempts: conversations that were reset so. clear_conversations: those with the same server that had a login, mail or a mailbox in clear. tls_conversations: those whose TLS came about.
    stages: how often it came after the ClientHello (client-hello) and after the consent to STARTTLS (starttls).
    wait_ms: shortest and longest time from there to the reset.
    signs: what shows that somebody else sent them: ttl (3 hops or more from the server's packets), late_data (the server went on after it), stepped (several resets that guess the
        sequence number), ip_id (outside the server's series); with the number of attempts for each.
    first_reset: of the first attempt: side, kind (rst or fin), frame, ttl and usual_ttl, ip_id and last_ip_ids, ahead: how far its sequence number is from what the side would have sent next,
        later_packets.
    related_session_ids: the others, at most 20.
    ruled_out, not_ruled_out: harmless explanations.

Not a finding when
    - the reset has the server's TTL, the expected sequence number and the next IP id: the server itself hung up, as one without a certificate does (PS452 tells);
    - a FIN or an alert came first, whoever sent it, or more than 2 s passed;
    - it was the client's: its programs give up for many reasons, and scanners do;
    - TLS with the same server came about, and the resets have no sign: then it refuses some clients;
    - they have a TTL and IP ids of their own and nothing more, and it was once, or no conversation in clear went well: load balancers reset like that.
    Confidence is low without any sign, high where an attempt has late_data or stepped and another sign.

References
    Weaver, Sommer, Paxson, Detecting Forged TCP Reset Packets, NDSS 2009
    RFC 3207 §6
"""
from __future__ import annotations

from collections import Counter

from ...records import Capture, Finding
from ..comparing import MAX_RELATED, used_in_clear
from ..innocence import ALERT, ANSWERED_FOR, GAVE_UP, IDLE, NO_TLS_LET_PASS, SERVER_ITSELF, causes
from ..packets import SURE
from ..resets import Attempt
from ..rule import MAIL, NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site
from ..visit_flags import ESTABLISHED
from ..visits import Visits

RULE = Rule(
    id="PS307", slug="rst-after-clienthello", title="Connection reset right after STARTTLS or ClientHello", severity="high", confidence="medium",
    category="stripping", scope="capture", protocols=(*MAIL, "tls"), several=True,
    remediation="Require TLS for this server (MTA-STS, DANE, or the connector's own setting), so that mail waits instead of passing in clear; capture on the server's side to see whether it sent "
                "the resets, and ask who runs the firewalls between.",
    references=("Weaver, Sommer, Paxson, Detecting Forged TCP Reset Packets, NDSS 2009", "RFC 3207 §6"),
)
LEAST_ATTEMPTS = 2


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    servers = site.collected.resets.by_server()
    if not servers:
        return NOT_APPLICABLE
    found = []
    for (address, port), attempts in servers.items():
        if attempts[0].capture == capture.name:
            clear, protected = _others(site.collected.visits, address, port)
            finding = _judged(attempts, clear, protected)
            if finding is not None:
                found.append(finding)
    return found or PASS


def _others(visits: Visits, address: str, port: int) -> tuple[int, int]:
    """How many conversations with a server had a login, mail or a mailbox in clear, and in how many TLS came about."""
    number = visits.servers.ids.get((address, port))
    if number is None:
        return 0, 0
    rows = visits.rows()
    flags = rows["flags"][rows["server"] == number]
    return int(used_in_clear(flags).sum()), int(((flags & ESTABLISHED) != 0).sum())


def _judged(attempts: list[Attempt], clear: int, protected: int) -> Finding | None:
    sure = [one for one in attempts if SURE & set(one.signs)]
    surest = [one for one in sure if len(one.signs) > 1]
    if surest or len(sure) >= LEAST_ATTEMPTS:
        variant, confidence = "forged", "high" if surest else "medium"
        attempts = [one for one in attempts if one.signs]
    else:
        attempts = [one for one in attempts if not one.is_own]
        signed = any(one.signs for one in attempts)
        if len(attempts) < LEAST_ATTEMPTS or not clear or protected and not signed:
            return None
        variant, confidence = "reset", "medium" if signed else "low"
    first = attempts[0]
    server = f"{first.ends.server_ip} port {first.ends.server_port}"
    times = "once" if len(attempts) == 1 else f"{len(attempts)} times"
    elsewhere = variant == "forged" or all("ttl" in one.signs for one in attempts)
    how = "Somebody forged a reset of" if variant == "forged" else "Another box than the server reset" if elsewhere else "Something reset"
    waits = [one.wait_ms for one in attempts]
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=confidence, variant=variant, title=f"{how} the connection to {server} {times} just where TLS was to begin",
        finding_id=finding_id(RULE.id, variant, f"{first.ends.server_ip} {first.ends.server_port}", first.ends.session_id), capture=first.capture, frame=first.frame, ts_ns=first.ts_ns, ends=first.ends,
        evidence={
            "attempts": len(attempts), "clear_conversations": clear, "tls_conversations": protected, "stages": dict(sorted(Counter(one.stage for one in attempts).items())),
            "wait_ms": [min(waits), max(waits)], "signs": dict(sorted(Counter(sign for one in attempts for sign in one.signs).items())), "first_reset": first.first,
            **causes((GAVE_UP, True), (IDLE, True), (ALERT, True), (SERVER_ITSELF, elsewhere), (ANSWERED_FOR, False), (NO_TLS_LET_PASS, False)),
            "related_session_ids": [one.ends.session_id for one in attempts[1:MAX_RELATED + 1]]},
    )
