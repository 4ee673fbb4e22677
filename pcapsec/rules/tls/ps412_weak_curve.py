"""PS412: a weak or odd elliptic curve.

What
    Keys were agreed over a curve that is discouraged, or one whose parameters the server spelled out itself.

Why
    Small curves are within reach of large computations; binary and odd ones are hardly ever implemented with care, and parameters of one's own may be a trap.

Evidence
    curve: its name.
    recommended: IANA's column: Y, N, D for discouraged.

Not a finding when
    - the curve is P-256, P-384, P-521, X25519, X448, a brainpool curve, or one of a hybrid with ML-KEM;
    - a client only offers such a curve.

References
    RFC 8422 §5.1.1
    RFC 9325 §4.5
    RFC 9847
"""
from __future__ import annotations

import re

from ...records import SERVER, Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict, not_observable
from ..site import Site

RULE = Rule(
    id="PS412", slug="weak-curve", title="Weak or odd curve", severity="low", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Use X25519 or P-256.",
    references=("RFC 8422 §5.1.1", "RFC 9325 §4.5", "RFC 9847"),
)
LEAST_BITS = 224
_SIZE = re.compile(r"sec[pt](\d+)")
GOOD = frozenset(("secp256r1", "secp384r1", "secp521r1"))


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    group = tls.group
    if group is None:
        if tls.cipher_suite is None:
            return no_hello(session, tls)
        if "ECDHE" not in tls.cipher_suite and "ECDH_anon" not in tls.cipher_suite or tls.established is False:
            return NOT_APPLICABLE
        return not_observable("resumed_session" if tls.resumed else session.unseen_server or "no_key_exchange_seen")
    explicit = group.startswith("arbitrary_explicit")
    if group in GOOD or not explicit and not group.startswith(("secp", "sect")):
        return PASS
    size = _SIZE.match(group)
    small = size is not None and int(size[1]) < LEAST_BITS
    return fail(RULE, tls, f"{place(session)} agrees on keys over {'a curve of its own' if explicit else group}", {"curve": group, "recommended": tls.group_recommended},
                severity="medium" if small else None, reason="under 224 bits" if small else "", side=SERVER, at=tls.key_exchange_at)
