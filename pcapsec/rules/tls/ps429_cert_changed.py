"""PS429: a server came with another key.

What
    One address, port and name showed certificates with different keys, one after the other. Variant `issuer`: another authority signed the new one.

Why
    Keys change when certificates are renewed, and when somebody steps in between with a certificate of his own.

Evidence
    server: address and port.
    sni: the name asked for.
    old_spki_sha256, new_spki_sha256: hashes of both public keys.
    old_issuer, new_issuer: who signed.
    last_seen_old, first_seen_new: when.
    n_keys: how many keys were seen.

Not a finding when
    - keys take turns: a pool of servers behind one address;
    - the certificate was renewed with the same key.
    Certificates that TLS 1.3 hides are not compared.

References
    RFC 7469
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..collected import Collected, KeyUse
from ..handshake import cut, when
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS429", slug="cert-changed", title="Server key/cert changed during capture", severity="medium", confidence="medium",
    category="tls", scope="capture", protocols=TLS, several=True,
    remediation="Ask whoever runs the server whether the change was his.",
    references=("RFC 7469",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    findings, seen = [], False
    collected: Collected = site.collected
    for name, uses in sorted(collected.keys.items()):
        seen = seen or any(use.first.capture == capture.name for use in uses.values())
        changed = _change(uses) if len(uses) > 1 else None
        if changed is not None and changed[1][1].first.capture == capture.name:
            findings.append(_finding(name, *changed, len(uses)))
    return findings or (PASS if seen else NOT_APPLICABLE)


def _change(uses: dict[str, KeyUse]) -> tuple[tuple[str, KeyUse], tuple[str, KeyUse]] | None:
    """The last two keys, when each was only seen after the one before it had gone."""
    order = sorted(uses.items(), key=lambda item: item[1].first)
    for (_, one), (_, two) in zip(order, order[1:]):
        if two.first.ts_ns <= one.last_ns:
            return None
    return order[-2], order[-1]


def _finding(name: tuple[str, int, str], old: tuple[str, KeyUse], new: tuple[str, KeyUse], n_keys: int) -> Finding:
    address, port, sni = name
    other = old[1].issuer != new[1].issuer
    first = new[1].first
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="issuer" if other else "key", capture=first.capture, frame=first.frame, ts_ns=first.ts_ns,
        finding_id=finding_id(RULE.id, "issuer" if other else "key", f"{address}\n{port}\n{sni}", new[0]),
        title=f"{address} port {port} came with another key{f', signed by {cut(new[1].issuer)}' if other else ''}",
        evidence={"server": first.server, "sni": cut(sni) if sni else None, "old_spki_sha256": old[0], "new_spki_sha256": new[0], "old_issuer": cut(old[1].issuer),
                  "new_issuer": cut(new[1].issuer), "last_seen_old": when(old[1].last_ns), "first_seen_new": when(first.ts_ns), "n_keys": n_keys},
    )
