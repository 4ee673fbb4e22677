"""PS709: an earlier hop of a message used weak TLS.

What
    A Received field names SSL, TLS 1.0 or TLS 1.1, or a cipher suite with RC4, triple DES, DES, export keys or no encryption.

Why
    Such a connection can be broken, or attacked more easily, though it counts as protected everywhere.

Evidence
    hops: those steps, at most ten: number (1 is the first), who handed over (from, ip), who took it (by), tls_version, tls_cipher.
    n_hops: steps in all.
    message_id: which message.

Not a finding when
    - the field names TLS without version and suite, or `TLSv1/SSLv3`: that is the family of the suite, and no version.
    Confidence is medium where such a hop is the last one before the captured conversation, low for older ones (RFC 3848 §3).

References
    RFC 8996
    RFC 8314 §4.3
"""
from __future__ import annotations

import functools
import re

from ...records import CLIENT, SERVER, Finding, Message, Session
from ..messages import MAX_SHOWN_HOPS, PRIVATE_MAIL, adjacent, hop_evidence, hop_text, without_sealing
from ..rule import Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS709", slug="received-weak-tls-hop", title="Received chain shows weak TLS on a hop", severity="low", confidence="medium",
    category="message", scope="message", protocols=PRIVATE_MAIL, needs=(CLIENT, SERVER),
    remediation="Update the servers of that hop: TLS 1.2 at least, without RC4 and 3DES.",
    references=("RFC 8996", "RFC 8314 §4.3"),
)
WEAK_VERSIONS = frozenset(("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"))
WEAK_CIPHERS = re.compile(r"RC4|ARCFOUR|3DES|DES[-_]CBC|DES[-_]EDE|\bEXP|EXPORT|NULL|ADH[-_]|AECDH[-_]|ANON", re.IGNORECASE)


def judge(session: Session, message: Message, site: Site) -> Finding | Verdict:
    weak = [hop for hop in message.hops if hop.protected and is_weak(hop.tls_version, hop.tls_cipher)]
    if not weak:
        return without_sealing(session, message)
    first = weak[0]
    return Finding(
        rule=RULE, severity=RULE.severity, confidence="medium" if adjacent(message, first) else "low",
        title=f"A mail went from {hop_text(first)} with weak TLS ({first.tls_version or first.tls_cipher}), its header says", side=message.side, at=message.at,
        evidence={"hops": [hop_evidence(hop) for hop in weak[:MAX_SHOWN_HOPS]], "n_hops": message.n_hops, "message_id": message.message_id},
    )


@functools.lru_cache(1024)
def is_weak(version: str | None, cipher: str | None) -> bool:
    """Whether a TLS version or cipher suite, as a Received field names them, is weak."""
    return version in WEAK_VERSIONS or cipher is not None and WEAK_CIPHERS.search(cipher) is not None
