"""PS429: a server came with another key.

What
    One address, port and name showed certificates with different keys, one after the other, in this capture or in those that a baseline remembers.
    Variant `issuer`: another authority signed the new one.

Why
    Keys change when certificates are renewed, and when somebody steps in between with a certificate of his own.

Evidence
    server: address and port.
    sni: the name asked for.
    old_spki_sha256, new_spki_sha256: hashes of both public keys.
    old_issuer, new_issuer: who signed.
    last_seen_old, first_seen_new: when.
    n_keys: how many keys were seen.
    earlier_from, earlier_source: `baseline`, and the capture that showed the old key last, where it is known from the baseline alone.

Not a finding when
    - keys take turns: a pool of servers behind one address;
    - the certificate was renewed with the same key.
    Certificates that TLS 1.3 hides are not compared. Between a baseline and this capture lies time for a renewal: when the same authority signed both, it is one step
    less severe and confidence is low.

References
    RFC 7469
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..collected import Collected, KeyUse, Place
from ..handshake import cut, when
from ..remembered import KeySeen, plain
from ..rule import LOWER, NOT_APPLICABLE, PASS, TLS, Rule, Verdict, finding_id
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
        before = site.remembered.keys.get((plain(name[0]), name[1], plain(name[2])), {})
        every = _with_earlier(uses, before) if before else uses
        changed = _change(every) if len(every) > 1 else None
        if changed is not None and changed[1][0] in uses and changed[1][1].first.capture == capture.name:
            old = changed[0][0]
            findings.append(_finding(name, *changed, len(every), before.get(old) if old not in uses else None))
    return findings or (PASS if seen else NOT_APPLICABLE)


def _with_earlier(uses: dict[str, KeyUse], before: dict[str, KeySeen]) -> dict[str, KeyUse]:
    """Keys of this run and of a baseline."""
    every = dict(uses)
    for spki, key in before.items():
        mine = uses.get(spki)
        earlier = Place(key.first_ns, "", 0, "", "")  # of no capture of this run
        if mine is None:
            every[spki] = KeyUse(earlier, key.last_ns, key.issuer)
        else:
            every[spki] = KeyUse(earlier if key.first_ns < mine.first.ts_ns else mine.first, max(mine.last_ns, key.last_ns), mine.issuer)
    return every


def _change(uses: dict[str, KeyUse]) -> tuple[tuple[str, KeyUse], tuple[str, KeyUse]] | None:
    """The last two keys, when each was only seen after the one before it had gone."""
    order = sorted(uses.items(), key=lambda item: item[1].first)
    for (_, one), (_, two) in zip(order, order[1:]):
        if two.first.ts_ns <= one.last_ns:
            return None
    return order[-2], order[-1]


def _finding(name: tuple[str, int, str], old: tuple[str, KeyUse], new: tuple[str, KeyUse], n_keys: int, earlier: KeySeen | None) -> Finding:
    address, port, sni = name
    other = old[1].issuer != new[1].issuer
    first = new[1].first
    renewed = earlier is not None and not other
    return Finding(
        rule=RULE, severity=LOWER[RULE.severity] if renewed else RULE.severity, severity_reason="renewal likely" if renewed else "", confidence="low" if renewed else RULE.confidence, variant="issuer" if other else "key", capture=first.capture, frame=first.frame, ts_ns=first.ts_ns,
        finding_id=finding_id(RULE.id, "issuer" if other else "key", f"{address}\n{port}\n{sni}", new[0]),
        title=f"{address} port {port} came with another key{f', signed by {cut(new[1].issuer)}' if other else ''}",
        evidence={"server": first.server, "sni": cut(sni) if sni else None, "old_spki_sha256": old[0], "new_spki_sha256": new[0], "old_issuer": cut(old[1].issuer),
                  "new_issuer": cut(new[1].issuer), "last_seen_old": when(old[1].last_ns), "first_seen_new": when(first.ts_ns), "n_keys": n_keys,
                  **({} if earlier is None else {"earlier_from": "baseline", "earlier_source": earlier.source})},
    )
