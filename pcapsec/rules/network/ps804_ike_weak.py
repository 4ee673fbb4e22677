"""PS804: IKE agreed on weak parameters.

What
    Two hosts set up IPsec by IKE, and what passed in clear of that shows something weak: IKEv1; its aggressive mode with a pre-shared key; a Diffie-Hellman
    group, encryption or integrity that RFC 8247 or RFC 9395 rules out, in the proposal that the responder took.

Why
    Whoever breaks IKE reads and alters everything inside the tunnel, mail included, and recordings of today can be opened later. In aggressive mode the
    responder sends a hash over the pre-shared key before it knows who asks: a short key is guessed offline within hours. Groups 1, 2 and 22 are within
    reach of large organisations (Logjam).

Evidence
    version, mode, exchanges: what was spoken.
    weak: what is weak in it, the worst first.
    chosen: encryption, key_bits, integrity, prf, group and auth_method that the responder took.
    offered, auth_offered: what the initiator proposed, the first few.
    hash_seen: the responder's hash of aggressive mode passed.
    identities: who the two said they are, in aggressive mode.
    went_on: exchanges followed that need a finished one.

Not a finding when
    - a weak algorithm was offered and not chosen.
    Without the responder's answer algorithms cannot be judged: not_observable. What protects the traffic itself (ESP) is agreed on under encryption and
    is not seen.

References
    RFC 8247 §2.1
    RFC 8247 §2.3
    RFC 8247 §2.4
    RFC 9395 §3
    RFC 2409 §5.4
"""
from __future__ import annotations

from ...records import Facts, Finding, IkeFacts, Session
from ..ike_strength import weaknesses
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS804", slug="ike-weak", title="Weak IKE parameters", severity="medium", confidence="high", category="network", scope="session", protocols=("ike",),
    remediation="Configure IKEv2 with AES-GCM, SHA-256 or better and group 19, 31 or 14 on both ends, and switch IKEv1 off; replace a pre-shared key that was used in aggressive mode.",
    references=("RFC 8247 §2.1", "RFC 8247 §2.3", "RFC 8247 §2.4", "RFC 9395 §3", "RFC 2409 §5.4"),
)
MAX_OFFERED = 16


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    ike = facts.ike
    if ike is None:
        return NOT_APPLICABLE
    found = weaknesses(ike)
    if not found:
        return PASS if ike.chosen is not None else not_observable("one_sided" if session.completeness == "one_sided" else "refused" if ike.error else "midstream")
    worst = found[0]
    return Finding(
        rule=RULE, severity=worst.severity, confidence=RULE.confidence, variant=worst.variant, severity_reason="" if worst.severity == RULE.severity else f"the worst is {worst.variant}",
        title=f"IPsec between {session.client_ip} and {session.server_ip} is set up weakly: {worst.text}",
        evidence={"version": ike.version, "mode": ike.mode, "exchanges": list(ike.exchanges), "weak": [one.text for one in found], "chosen": _chosen(ike), "offered": list(ike.offered[:MAX_OFFERED]), "auth_offered": list(ike.auth_offered),
                  "hash_seen": ike.hash_seen, "identities": list(ike.identities), "went_on": ike.went_on},
    )


def _chosen(ike: IkeFacts) -> dict[str, object] | None:
    one = ike.chosen
    if one is None:
        return None
    every = {"encryption": one.encryption, "key_bits": one.key_bits, "integrity": one.integrity, "prf": one.prf, "group": one.group, "more_groups": list(one.more_groups) or None,
             "auth_method": one.auth_method}
    return {name: value for name, value in every.items() if value is not None}
