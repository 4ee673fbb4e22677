"""PS450: a server chose a weaker suite than it could.

What
    In TLS 1.2 a server agreed on a suite, although the client also offered a better one that the same server chose elsewhere in the capture.

Why
    The better suite was there for both and was not used.

Evidence
    server: address and port.
    chosen: the suite.
    better: the one that both know.
    client_order: the client had put the weaker one first.
    session: the conversation.

Not a finding when
    - nothing shows that the server knows the better suite.
    A server that obeys the client's order chooses what the client put first: then less sure.

References
    RFC 9325 §4.2
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..collected import Place
from ..handshake import suite
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS450", slug="server-weak-preference", title="Server picked weaker suite although better common suite existed", severity="low", confidence="medium",
    category="tls", scope="capture", protocols=TLS, several=True,
    remediation="Let the server's order of suites decide, the best first.",
    references=("RFC 9325 §4.2",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    findings, seen = [], False
    for (address, port), choices in sorted(site.collected.choices.items()):
        supported = {chosen for chosen, _ in choices}
        worst: tuple[Place, str, str, bool] | None = None
        for (chosen, offered), place in choices.items():
            seen = seen or place.capture == capture.name
            better = _better(chosen, offered, supported)
            if better is not None and (worst is None or place < worst[0]):
                worst = place, chosen, better, offered.index(chosen) < offered.index(better) if chosen in offered else False
        if worst is not None and worst[0].capture == capture.name:
            findings.append(_finding(address, port, *worst))
    return findings or (PASS if seen else NOT_APPLICABLE)


def rank(name: str) -> tuple[bool, bool, bool, bool]:
    """How good a suite is; more bits than 128 make no difference."""
    one = suite(name)
    return one.weakness is None, one.is_ephemeral, one.is_aead, (one.bits or 0) >= 128


def _better(chosen: str, offered: tuple[str, ...], supported: set[str]) -> str | None:
    common = [name for name in offered if name in supported and rank(name) > rank(chosen)]
    return max(common, key=rank) if common else None


def _finding(address: str, port: int, place: Place, chosen: str, better: str, client_order: bool) -> Finding:
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="low" if client_order else RULE.confidence, capture=place.capture, frame=place.frame, ts_ns=place.ts_ns,
        finding_id=finding_id(RULE.id, "", f"{address}\n{port}", ""), title=f"{address} port {port} chose {chosen}, although both know {better}",
        evidence={"server": place.server, "chosen": chosen, "better": better, "client_order": client_order, "session": place.session_id},
    )
