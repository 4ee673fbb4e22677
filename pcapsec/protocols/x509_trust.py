"""Whether a chain as sent leads to a root that the user gave (`--ca FILE`) at the time of the packet, and whether a certificate signed itself (RFC 5280 §6.1).

Signatures are verified with `cryptography`. Who may sign for others is asked of the issuers in the chain, dates of all of it; names, purposes, revocation and the
strength of keys and hashes are not looked at here: rules judge them, each with words of its own.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterable

from ..errors import DefinitionError
from ..records import Certificate
from .certificates import certificate

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Parsed

MAX_DEPTH = 10  # certificates between a leaf and its root
MAX_KNOWN = 4096  # chains and signatures remembered
MAX_FILE_BYTES = 64 << 20
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def _ders(data: bytes) -> list[bytes]:
    """Certificates of a PEM file, or the one of a DER file."""
    import base64
    import binascii

    if _BEGIN not in data:
        return [data]
    found = []
    for part in data.split(_BEGIN)[1:]:
        try:
            found.append(base64.b64decode(b"".join(part.partition(_END)[0].split()), validate=True))
        except binascii.Error:
            continue
    return found


def _parsed(one: Certificate) -> Parsed | None:
    from cryptography.x509 import load_der_x509_certificate

    try:
        return load_der_x509_certificate(one.der)
    except ValueError:
        return None


class TrustStore:
    """Roots that a user trusts.

    Args:
        roots: their certificates.
    """

    def __init__(self, roots: list[Certificate]):
        self._roots = {root.sha256 for root in roots}
        self._keys = {root.spki_sha256 for root in roots}
        self._by_subject: dict[str | None, list[Certificate]] = {}
        for root in roots:
            self._by_subject.setdefault(root.subject, []).append(root)
        self._chains: dict[tuple[str, ...], tuple[str | None, tuple[Certificate, ...]]] = {}
        self._signed: dict[tuple[str, str], bool | None] = {}

    def __len__(self) -> int:
        return len(self._roots)

    @classmethod
    def load(cls, path: str | Path) -> TrustStore:
        """Roots of a PEM or DER file.

        Raises:
            DefinitionError: it cannot be read or holds no certificate.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_FILE_BYTES)
        except OSError as error:
            raise DefinitionError(f"{path}: {error.strerror or error}") from None
        roots = [one for one in map(certificate, _ders(data)) if one.malformed is None]
        if not roots:
            raise DefinitionError(f"{path}: no certificate found; expected PEM blocks that begin with {_BEGIN.decode()}")
        return cls(roots)

    def why_not(self, chain: tuple[Certificate, ...], ns: int | None = None) -> str | None:
        """Why a chain, leaf first, leads to none of the roots; None when it does.

        Args:
            chain: as sent.
            ns: when, ns since 1970 UTC; None: dates are not asked.
        """
        if not chain:
            return "no certificate"
        key = tuple([one.sha256 for one in chain])
        known = self._chains.get(key)
        if known is None:
            if len(self._chains) >= MAX_KNOWN:
                self._chains.clear()
            known = self._chains[key] = self._walk(chain)
        error, path = known
        if error is not None or ns is None:
            return error
        for one in path:
            whose = "" if one is chain[0] else "issuer "
            if one.not_after_ns is not None and ns > one.not_after_ns:
                return whose + "expired"
            if one.not_before_ns is not None and ns < one.not_before_ns:
                return whose + "not yet valid"
        return None

    def _walk(self, chain: tuple[Certificate, ...]) -> tuple[str | None, tuple[Certificate, ...]]:
        """What is wrong, and the certificates from the leaf to the root that counts."""
        current, path = chain[0], [chain[0]]
        for _ in range(MAX_DEPTH):
            if current.sha256 in self._roots or current.self_issued and current.spki_sha256 in self._keys:
                return None, tuple(path)
            if current.self_signed:
                return "self-signed" if current is chain[0] else "unknown root", ()
            if current is not chain[0] and current.is_ca is not True:
                return "issuer is no CA", ()
            roots = [one for one in self._by_subject.get(current.issuer, ()) if self._has_signed(one, current)]
            if roots:
                return None, (*path, max(roots, key=lambda one: one.not_after_ns or 0))  # a root that was renewed has the same key
            others = [one for one in chain if one.subject == current.issuer and all(one is not other for other in path)]
            if not others:
                issuers = self._by_subject.get(current.issuer, ())
                return self._bad(issuers, current) if issuers else "issuer unknown", ()
            signers = [one for one in others if self._has_signed(one, current)]
            if not signers:
                return self._bad(others, current), ()
            current = signers[0]
            path.append(current)
        return "chain too long", ()

    def _bad(self, issuers: Iterable[Certificate], subject: Certificate) -> str:
        return "signature of an unknown kind" if any(self._has_signed(one, subject) is None for one in issuers) else "bad signature"

    def _has_signed(self, issuer: Certificate, subject: Certificate) -> bool | None:
        key = issuer.sha256, subject.sha256
        if key not in self._signed:
            if len(self._signed) >= MAX_KNOWN:
                self._signed.clear()
            self._signed[key] = has_signed(issuer, subject)
        return self._signed[key]


def has_signed(issuer: Certificate, subject: Certificate) -> bool | None:
    """Whether one certificate's key made the signature of another (RFC 5280 §4.1.1.3); None: of a key or an algorithm that cannot be verified.

    Old hashes are verified too, where `cryptography` alone would refuse: that they are weak is another matter, and has a rule of its own.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    above, below = _parsed(issuer), _parsed(subject)
    if above is None or below is None:
        return False
    try:
        if above.subject != below.issuer:
            return False
        key, signed = above.public_key(), (below.signature, below.tbs_certificate_bytes)
        bare = below.signature_hash_algorithm is None  # Ed25519 and Ed448 hash by themselves
        if bare != isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            return False
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(*signed, below.signature_algorithm_parameters, below.signature_hash_algorithm)  # type: ignore[arg-type]
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(*signed, ec.ECDSA(below.signature_hash_algorithm))  # type: ignore[arg-type]
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(*signed, below.signature_hash_algorithm)  # type: ignore[arg-type]
        elif bare:
            key.verify(*signed)
        else:
            return None
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError, TypeError):
        return None
    return True
