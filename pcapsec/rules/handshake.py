"""What the rules about TLS share: what a cipher suite is made of, which certificate speaks for the server, and how strong a handshake is by BCP 195.

Source: RFC 9325 (BCP 195) §3.1, §4.1, §4.2, §4.5; RFC 7465; RFC 7568; RFC 8996; RFC 9150.
"""
from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..records import SERVER, Certificate, Finding, Session, TlsHandshake, TlsOffer
from .rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable

RELAY_PORTS = frozenset((25, 26))  # between mail servers TLS is opportunistic: whoever insisted on more would send in clear instead (RFC 7435, RFC 7672 §8.2)
ACCESS_PORTS = frozenset((110, 143, 465, 563, 587, 993, 995, 119, 2525, 4190))
ACCESS_SERVICES = frozenset(("submission", "submissions", "imap", "imaps", "pop3", "pop3s", "nntp", "nntps", "managesieve"))
OBSOLETE = frozenset(("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"))
YEAR_1995_NS = 788_918_400 * 10**9  # packet times before it are no times (PS010)
MAX_SHOWN = 20  # suites and names in evidence
MAX_TEXT = 200  # characters of a name from the wire
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CIPHER_BITS = (  # the first that occurs in the name
    ("NULL", 0), ("EXPORT1024_WITH_RC4_56", 56), ("EXPORT40", 40), ("DES40", 40), ("RC4_40", 40), ("RC2_CBC_40", 40), ("DES_CBC_40", 40), ("RC4_56", 56),
    ("EXPORT", 56), ("3DES", 112), ("DES_192_EDE3", 112), ("DES_64", 56), ("DES_CBC", 56), ("_256", 256), ("CHACHA20", 256), ("_128", 128), ("SEED", 128), ("IDEA", 128), ("SM4", 128),
)


class Suite(NamedTuple):
    """A cipher suite by its name."""

    name: str
    weakness: str | None  # the worst there is: null, anonymous, export, rc4, des, 3des, md5, rc2, idea; None: none of them
    bits: int | None  # of the cipher; None: the name does not say
    is_cbc: bool
    is_aead: bool
    is_ephemeral: bool  # ephemeral key exchange; suites of TLS 1.3 too


_suites: dict[str, Suite] = {}


def suite(name: str) -> Suite:
    """What a suite's name says; remembered, for there are few."""
    known = _suites.get(name)
    if known is None:
        known = _suites[name] = _read(name)
    return known


def _read(name: str) -> Suite:
    tls13 = name.startswith("TLS_") and "_WITH_" not in name and not name.endswith("_SCSV")
    weakness = next((word for mark, word in _WEAK if mark in name), None)
    if name in ("TLS_SHA256_SHA256", "TLS_SHA384_SHA384"):  # RFC 9150: integrity alone
        weakness = "null"
    elif name.startswith("0x") or name.endswith("_SCSV"):
        weakness = None
    elif weakness is None and name.endswith("_MD5"):
        weakness = "md5"
    bits = 0 if weakness == "null" else next((bits for mark, bits in _CIPHER_BITS if mark in name), None)
    return Suite(
        name, weakness, bits, "_CBC_" in name and not name.startswith("SSL_"), any(mark in name for mark in ("_GCM", "_CCM", "POLY1305", "AEGIS", "_MGM")),
        tls13 or name.startswith(("TLS_DHE_", "TLS_ECDHE_", "TLS_PSK_DHE_", "TLS_ECCPWD")) or "_anon_" in name)


_WEAK = (("_NULL_", "null"), ("_anon_", "anonymous"), ("EXPORT", "export"), ("RC4", "rc4"), ("3DES", "3des"), ("EDE3", "3des"), ("DES_CBC", "des"), ("DES_64", "des"), ("RC2", "rc2"), ("IDEA", "idea"))


def weak_suites(offer: TlsOffer) -> tuple[str, ...]:
    """Suites that a client offers and should not (RFC 9325 §4.1); remembered for the same list."""
    known = _weak.get(offer.suites)
    if known is None:
        if len(_weak) >= 4096:
            _weak.clear()
        known = _weak[offer.suites] = tuple(name for name in offer.suites if suite(name).weakness is not None)
    return known


_weak: dict[tuple[str, ...], tuple[str, ...]] = {}


def is_modern(version: str | None) -> bool:
    """TLS 1.3, its drafts included."""
    return version is not None and version.startswith("TLSv1.3")


def is_relay(session: Session) -> bool:
    """Whether mail servers talk to one another here."""
    return session.server_port in RELAY_PORTS


def is_access(session: Session) -> bool:
    """Whether a user's program submits or reads mail here (RFC 8314)."""
    return session.server_port in ACCESS_PORTS or session.service in ACCESS_SERVICES


def no_hello(session: Session, tls: TlsHandshake) -> Verdict:
    """The answer where the server chose nothing that was seen."""
    return NOT_APPLICABLE if tls.established is False else not_observable(session.unseen_server or "no_server_hello")


def leaf(session: Session, tls: TlsHandshake | None) -> Certificate | Verdict:
    """The server's own certificate, else why there is none to look at."""
    if tls is None:
        return NOT_APPLICABLE
    if tls.certificates:
        return tls.certificates[0]
    return no_certificate(session, tls)


def no_certificate(session: Session, tls: TlsHandshake) -> Verdict:
    """Why no certificate was seen."""
    if is_modern(tls.version):
        return not_observable("tls13_cert_hidden")
    if tls.resumed:
        return not_observable("resumed_session")
    if tls.version is None:
        return no_hello(session, tls)
    if tls.established is False or tls.cipher_suite is not None and ("_anon_" in tls.cipher_suite or "PSK" in tls.cipher_suite or "SRP_SHA_WITH" in tls.cipher_suite):
        return NOT_APPLICABLE
    return not_observable(session.unseen_server or "no_certificate_seen")


def why_failed(session: Session, tls: TlsHandshake) -> str | Verdict:
    """Why a handshake failed: the name of a fatal alert, "unanswered" or "closed"; PASS when it did not, not_observable when nobody can tell."""
    if tls.established:
        return PASS
    if tls.alert_fatal and tls.alert is not None and tls.alert_side is not None:
        return tls.alert.partition(" ")[2]
    if tls.client_hello_at is None:
        return not_observable(session.unseen_client or "no_client_hello")
    if not session.bytes_server and not session.acked_unseen_server and session.finished and session.packets_server:
        return "unanswered"
    if session.unseen_server or session.unseen_client or session.n_gaps or not session.finished:
        return not_observable(session.unseen_server or session.unseen_client or ("gap" if session.n_gaps else "not_finished"))
    return "closed"


def place(session: Session) -> str:
    """The server, as titles name it."""
    return f"{session.server_ip} port {session.server_port}"


def cut(text: str | None) -> str:
    """A name from the wire, as titles and evidence show it."""
    shown = (text or "?")[:MAX_TEXT]
    return shown if shown.isprintable() else "".join([c if c.isprintable() else "?" for c in shown])


def when(ns: int) -> str:
    """A time as evidence shows it, to the second."""
    try:
        return (_EPOCH + timedelta(seconds=ns // 1_000_000_000)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return "?"


def describe(one: Certificate) -> dict[str, Any]:
    """A certificate, as evidence."""
    return {"subject": cut(one.subject), "issuer": cut(one.issuer), "sha256": one.sha256}


def fail(rule: Rule, tls: TlsHandshake, title: str, evidence: dict[str, Any], *, severity: str | None = None, reason: str = "", variant: str = "", confidence: str | None = None,
         side: int = SERVER, at: int | None = None) -> Finding:
    """A finding; its place is the ServerHello unless another is given."""
    severity = severity or rule.severity
    if at is None:
        at = tls.server_hello_at if side == SERVER else tls.client_hello_at
    return Finding(rule=rule, severity=severity, confidence=confidence or rule.confidence, title=title, variant=variant, severity_reason=reason if severity != rule.severity else "",
                   side=side if at is not None else None, at=at, evidence=evidence)


def bits_of(tls: TlsHandshake) -> int | None:
    """Size of the temporary key by which keys were agreed, where it has a size of its own."""
    return tls.dh_bits if tls.dh_bits is not None else tls.temporary_rsa_bits


def is_weak(tls: TlsHandshake) -> bool:
    """Whether a handshake is below what BCP 195 demands (its MUST and MUST NOT): version, cipher, key exchange, compression."""
    if tls.version is None or tls.cipher_suite is None:
        return tls.version in OBSOLETE
    chosen = suite(tls.cipher_suite)
    size = bits_of(tls)
    return tls.version in OBSOLETE or chosen.weakness is not None and chosen.weakness not in ("3des", "md5", "idea") or size is not None and size < 2048
