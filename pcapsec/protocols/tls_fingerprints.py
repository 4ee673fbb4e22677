"""Fingerprints of TLS clients: what a ClientHello offers, as one short text.

JA3: https://github.com/salesforce/ja3 (BSD 3-clause). JA4 for TLS clients alone: https://github.com/FoxIO-LLC/ja4 (BSD 3-clause); its siblings for servers, HTTP and
certificates have another licence and are not here. GREASE (RFC 8701) is left out everywhere.
"""
from __future__ import annotations

import hashlib
from typing import Sequence

_JA4_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NOTHING = "000000000000"
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def decimal_list(codes: Sequence[int]) -> str:
    """A list as JA3 writes it: `4865-4866`."""
    return "-".join(map(str, codes))


def hex_list(codes: Sequence[int]) -> str:
    """A list as JA4 writes it: `1301,1302`."""
    return ",".join(["%04x" % code for code in codes])


def short_hash(text: str) -> str:
    """First 12 hex digits of SHA-256; zeros for nothing."""
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else _NOTHING


def ja3(version: int, suites: str, extensions: str, groups: str, formats: str) -> str:
    """`version,suites,extensions,groups,point formats`, each list in the order sent and written by `decimal_list`, as MD5."""
    return hashlib.md5(f"{version},{suites},{extensions},{groups},{formats}".encode(), usedforsecurity=False).hexdigest()


def ja4(transport: str, version: int, n_suites: int, suite_hash: str, extensions: Sequence[int], signatures: str, alpn: bytes | None) -> str:
    """Three parts: what it is, which suites, which extensions and signature algorithms.

    Args:
        transport: t for TCP, q for QUIC.
        version: highest offered.
        n_suites: how many suites.
        suite_hash: `short_hash` of the sorted suites' `hex_list`.
        extensions: numbers in any order.
        signatures: `hex_list` of the signature algorithms in the order sent.
        alpn: first protocol offered.
    """
    first, last = "0", "0"
    if alpn:
        if alpn[0] in _ALPHANUMERIC and alpn[-1] in _ALPHANUMERIC:
            first, last = chr(alpn[0]), chr(alpn[-1])
        else:
            first, last = f"{alpn[0]:02x}"[0], f"{alpn[-1]:02x}"[1]
    text = hex_list(sorted([kind for kind in extensions if kind != 0 and kind != 16]))
    extension_hash = short_hash(f"{text}_{signatures}" if text and signatures else text)
    name = "d" if 0 in extensions else "i"
    return f"{transport}{_JA4_VERSIONS.get(version, '00')}{name}{min(n_suites, 99):02}{min(len(extensions), 99):02}{first}{last}_{suite_hash}_{extension_hash}"
