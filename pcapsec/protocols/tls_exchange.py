"""The handshake messages between the hellos and Finished that TLS 1.2 and less send in clear: Certificate and ServerKeyExchange (RFC 5246 §7.4.2, §7.4.3).

Each function reads one whole message into a handshake and answers with the code of an anomaly, or None.
"""
from __future__ import annotations

from ..records import Certificate, TlsHandshake
from .certificates import certificate
from .tls_names import GROUPS_RECOMMENDED, group_name, signature_name
from .tls_suites import key_exchange

MAX_CHAIN = 16  # certificates read of one message; honest chains have up to five
MAX_CERTIFICATE_BYTES = 65536  # of one certificate
MALFORMED, CHAIN_TOO_LONG = "malformed-handshake-message", "certificate-chain-too-long"

EXPLICIT_PRIME, EXPLICIT_CHAR2, NAMED_CURVE = 1, 2, 3
# Beginnings of the primes of RFC 7919 Appendix A and of RFC 2409 §6 and RFC 3526; a prime's length tells which of them it is
_PRIMES = ((bytes.fromhex("ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1"), "ffdhe", GROUPS_RECOMMENDED[256]),
           (bytes.fromhex("ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1"), "modp", None))
_exchanges: dict[str, str] = {}


def read_certificates(data: bytes, pos: int, end: int) -> tuple[str | None, int, tuple[Certificate, ...]]:
    """`certificate_list length(3), each: length(3) certificate`.

    Returns: anomaly, how many were sent, the first `MAX_CHAIN`.
    """
    if end - pos < 3:
        return MALFORMED, 0, ()
    stop = pos + 3 + (data[pos] << 16 | data[pos + 1] << 8 | data[pos + 2])
    pos += 3
    anomaly = None
    if stop > end:
        anomaly, stop = MALFORMED, end
    chain, n = [], 0
    while pos + 3 <= stop:
        start = pos + 3
        pos = start + (data[pos] << 16 | data[pos + 1] << 8 | data[pos + 2])
        if pos > stop:
            return MALFORMED, n, tuple(chain)
        n += 1
        if n <= MAX_CHAIN:
            chain.append(certificate(data[start:min(pos, start + MAX_CERTIFICATE_BYTES)]))
    return CHAIN_TOO_LONG if n > MAX_CHAIN else anomaly, n, tuple(chain)


def read_server_key_exchange(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> str | None:
    """What it carries is known from the cipher suite alone (RFC 5246 §7.4.3, RFC 8422 §5.4, RFC 4279 §2 to §4)."""
    suite = handshake.cipher_suite
    if suite is None:
        return None
    exchange = _exchanges.get(suite)
    if exchange is None:
        exchange = _exchanges[suite] = key_exchange(suite)
    if exchange.endswith("PSK"):  # an identity hint goes before
        pos += 2 + (data[pos] << 8 | data[pos + 1]) if end - pos >= 2 else 2
        if pos > end:
            return MALFORMED
    if exchange.startswith("ECDHE") or exchange == "ECDH_anon":
        pos = _elliptic(handshake, data, pos, end)
    elif exchange.startswith("DHE") or exchange == "DH_anon":
        pos = _finite_field(handshake, data, pos, end)
    elif exchange == "RSA":  # export-grade: modulus and exponent of a temporary key (RFC 2246 §7.4.3)
        start, stop = _vector(data, pos, end)
        if start < 0:
            return MALFORMED
        handshake.temporary_rsa_bits = _bit_length(data, start, stop)
        pos = _vector(data, stop, end)[1]
    else:
        return None
    if pos < 0:
        return MALFORMED
    if handshake.version == "TLSv1.2" and pos + 4 <= end and not exchange.endswith(("_anon", "PSK")):
        handshake.signature = signature_name(data[pos] << 8 | data[pos + 1])
    return None


def _vector(data: bytes, pos: int, end: int) -> tuple[int, int]:
    """Start and end of `length(2) bytes`; (-1, -1) when it does not fit."""
    if pos < 0 or pos + 2 > end:
        return -1, -1
    start = pos + 2
    stop = start + (data[pos] << 8 | data[pos + 1])
    return (start, stop) if stop <= end else (-1, -1)


def _bit_length(data: bytes, pos: int, stop: int) -> int:
    while pos < stop and not data[pos]:
        pos += 1
    return (stop - pos - 1) * 8 + data[pos].bit_length() if pos < stop else 0


def _elliptic(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> int:
    """`curve_type(1) named_curve(2) point length(1) point` (RFC 8422 §5.4); returns where the signature begins, -1 when malformed."""
    if end - pos < 4:
        return -1
    kind = data[pos]
    if kind == NAMED_CURVE:
        group = data[pos + 1] << 8 | data[pos + 2]
        handshake.group, handshake.group_recommended = group_name(group), GROUPS_RECOMMENDED.get(group)
        pos += 4 + data[pos + 3]
        return pos if pos <= end else -1
    if kind in (EXPLICIT_PRIME, EXPLICIT_CHAR2):  # parameters spelled out: where they end is not worth knowing
        handshake.group = "arbitrary_explicit_prime_curves" if kind == EXPLICIT_PRIME else "arbitrary_explicit_char2_curves"
        handshake.group_recommended = GROUPS_RECOMMENDED[0xFF01]
        return end
    return -1


def _finite_field(handshake: TlsHandshake, data: bytes, pos: int, end: int) -> int:
    """`prime<2> generator<2> public value<2>` (RFC 5246 §7.4.3); returns where the signature begins, -1 when malformed."""
    start, stop = _vector(data, pos, end)
    if start < 0:
        return -1
    handshake.dh_bits = _bit_length(data, start, stop)
    prime = data[start:start + 24]
    handshake.group = "dh"
    for beginning, name, recommended in _PRIMES:
        if prime == beginning:
            handshake.group, handshake.group_recommended = f"{name}{handshake.dh_bits}", recommended
    _, pos = _vector(data, stop, end)
    return _vector(data, pos, end)[1]
