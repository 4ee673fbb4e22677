"""What rows about TLS, DCE/RPC and HTTP take from more than one record."""
from __future__ import annotations

from ..records import Login, RpcContext

LEVEL_NAMES = {1: "none", 2: "connect", 3: "call", 4: "packet", 5: "integrity", 6: "privacy"}  # [MS-RPCE] §2.2.1.1.8


class _NoLogin:
    """Stands for the login of a context that has none."""

    principal = domain = result = None


class _NoOffer:
    """Stands for the ClientHello that was not seen."""

    ja4 = ja3 = encrypted_client_hello = None


class _NoCertificate:
    """Stands for the certificate that was not seen."""

    sha256 = subject = sans = issuer = not_before_ns = not_after_ns = key_type = key_bits = signature_algorithm = self_signed = None
    curve = spki_sha256 = serial = is_ca = malformed = None


NO_LOGIN, NO_OFFER, NO_CERTIFICATE = _NoLogin(), _NoOffer(), _NoCertificate()
NO_DETAILS: dict = {}
LATEST_NS = (1 << 63) - 2  # one more stands for an unknown time
EARLIEST_NS = 1 - (1 << 63)


def login_of(context: RpcContext) -> Login | None:
    """The account behind a context: the first of its securities that names one, else the first that logged in at all."""
    anonymous = None
    for security in context.securities:
        login = security.login
        if login is not None:
            if login.principal:
                return login
            anonymous = anonymous or login
    return anonymous


def offered(context: RpcContext) -> tuple[str, ...]:
    """What SPNEGO offered for it."""
    securities = context.securities
    if len(securities) == 1:
        return securities[0].mechanisms_offered
    return tuple(dict.fromkeys(name for security in securities for name in security.mechanisms_offered))


def hexadecimal(number: int | None) -> str | None:
    """32 bits as Wireshark writes them."""
    return None if number is None else f"0x{number:08x}"


def in_range(ts_ns: int | None) -> int | None:
    """A time that a certificate names, within what 64 bits of nanoseconds hold (1677 to 2262): 99991231235959Z means "no end" (RFC 5280 §4.1.2.5)."""
    return None if ts_ns is None else max(EARLIEST_NS, min(ts_ns, LATEST_NS))
