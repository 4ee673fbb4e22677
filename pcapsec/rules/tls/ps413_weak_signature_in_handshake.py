"""PS413: a handshake signed over MD5 or SHA-1.

What
    In TLS 1.2 the server signed its key exchange over MD5 or SHA-1.

Why
    Collisions of both can be computed: a signature over one message may do for another (SLOTH).

Evidence
    sigalg: signature scheme.

Not a finding when
    - the version is TLS 1.1 or less, which always sign over both: PS403 speaks of those;
    - the suite has no signed key exchange.

References
    RFC 9155 §2, §3, §4, §5
    RFC 9325 §4.5
"""
from __future__ import annotations

from ...records import SERVER, Facts, Finding, Session
from ..handshake import fail, no_hello, place
from ..rule import NOT_APPLICABLE, PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS413", slug="weak-signature-in-handshake", title="MD5/SHA-1 handshake signature", severity="medium", confidence="high", category="tls", scope="session", protocols=TLS,
    remediation="Leave MD5 and SHA-1 out of the server's signature algorithms.",
    references=("RFC 9155 §2, §3, §4, §5", "RFC 9325 §4.5"),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None:
        return NOT_APPLICABLE
    if tls.signature is None:
        return no_hello(session, tls) if tls.version is None else NOT_APPLICABLE
    if not tls.signature.endswith(("_sha1", "_md5")):
        return PASS
    return fail(RULE, tls, f"{place(session)} signed its key exchange with {tls.signature}", {"sigalg": tls.signature}, side=SERVER, at=tls.key_exchange_at)
