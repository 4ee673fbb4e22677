"""What is weak in what two ends of IKE agreed on.

Source: RFC 8247 (September 2017) §2.1-2.4 and RFC 9395 (April 2023) §3-4. MUST NOT and deprecated algorithms are `broken`, SHOULD NOT ones `old`. RFC 8247 allows 3DES still; its block of 64 bits
makes it old here, as RFC 8221 §5 has it for ESP. SHA-1 as HMAC is not reported: both RFCs keep it.
"""
from __future__ import annotations

from typing import NamedTuple

from ..records import IkeFacts, IkeProposal

BROKEN_ENCRYPTION = frozenset(("DES", "DES-IV64", "DES-IV32", "NULL", "NULL-AES-GMAC", "RC5", "IDEA", "CAST", "BLOWFISH", "3IDEA"))
OLD_ENCRYPTION = frozenset(("3DES",))
BROKEN_INTEGRITY = frozenset(("HMAC-MD5", "HMAC-MD5-96", "HMAC-MD5-128", "DES-MAC", "KPDK-MD5", "HMAC-TIGER"))
BROKEN_GROUPS = frozenset((1, 22))
OLD_GROUPS = frozenset((2, 5, 23, 24))
_PRESHARED = ("PSK", "XAUTH-PSK")


class Weakness(NamedTuple):
    """One thing that is weak."""

    variant: str  # aggressive-psk, group, encryption, integrity, ikev1
    severity: str
    text: str


def weaknesses(facts: IkeFacts) -> list[Weakness]:
    """The worst first; of algorithms only those that the responder chose."""
    found = []
    chosen = facts.chosen
    if facts.mode == "aggressive" and facts.hash_seen and chosen is not None and chosen.auth_method in _PRESHARED:
        found.append(Weakness("aggressive-psk", "high", "aggressive mode with a pre-shared key: a hash passed in clear from which the key can be guessed"))
    if chosen is not None:
        found += _of_algorithms(chosen)
    if facts.version == "IKEv1":
        found.append(Weakness("ikev1", "low", "IKEv1, which RFC 9395 deprecates"))
    return found


def _of_algorithms(chosen: IkeProposal) -> list[Weakness]:
    found = []
    if chosen.group in BROKEN_GROUPS or chosen.group in OLD_GROUPS:
        found.append(Weakness("group", "medium", f"Diffie-Hellman group {chosen.group}, which {'must' if chosen.group in BROKEN_GROUPS else 'should'} not be used"))
    if chosen.encryption in BROKEN_ENCRYPTION:
        found.append(Weakness("encryption", "medium", f"encryption with {chosen.encryption}" if "NULL" not in chosen.encryption else "no encryption"))
    elif chosen.encryption in OLD_ENCRYPTION:
        found.append(Weakness("encryption", "low", f"encryption with {chosen.encryption}"))
    for name in dict.fromkeys((chosen.integrity, chosen.prf)):
        if name in BROKEN_INTEGRITY:
            found.append(Weakness("integrity", "medium", f"integrity with {name}"))
    return sorted(found, key=lambda one: one.severity != "medium")
