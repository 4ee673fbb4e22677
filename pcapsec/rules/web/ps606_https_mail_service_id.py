"""PS606: an encrypted web service for mail was recognised by its name.

What
    The server name of a TLS handshake, or a name in the server's certificate, is one that mail web services bear: mail., owa., webmail., autodiscover.,
    exchange., legacy., eas., or a name of Microsoft's cloud.

Why
    This is the good case. It shows that the service exists and is used with TLS, so that the same service over http:// stands out (PS608).

Evidence
    sni: server name the client asked for.
    cert_sans: names in the certificate that matched.
    alpn: application protocol.
    service_guess, score: what the name suggests, and how strongly, 0 to 1.

Not a finding when
    - the port or the application protocol already says which mail service it is (IMAP over TLS …).
    A name says nothing about the login inside: Basic, NTLM and OAuth look alike from here.

References
    RFC 6066 §3
"""
from __future__ import annotations

from typing import Any

from ...records import CLIENT, SERVER, Facts, Finding, Session, TlsHandshake
from ..requests import MAX_LISTED, cut
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable
from ..site import Site
from ..webnames import MAYBE_WEB, guess

RULE = Rule(
    id="PS606", slug="https-mail-service-id", title="Encrypted mail web service identified", severity="info", confidence="medium",
    category="web", scope="session", protocols=("tls",),
    remediation="Nothing to do; see that http:// on the same host answers with a redirect only.",
    references=("RFC 6066 §3",),
)


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    if tls is None or session.service not in MAYBE_WEB:
        return NOT_APPLICABLE
    names = certificate_names(tls)
    if tls.sni is None and not names:
        return not_observable(session.unseen_client or "no_sni")
    best = guess(tls.sni) if tls.sni is not None else None
    matched = []
    for name in names:
        found = guess(name)
        if found is not None:
            matched.append(name)
            if best is None:
                best = found
    if best is None:
        return PASS
    service, score = best
    if tls.alpn in ("h2", "http/1.1"):
        score = min(score + 0.1, 1.0)
    evidence: dict[str, Any] = {"service_guess": service, "score": round(score, 1)}
    for key, value in (("sni", tls.sni), ("alpn", tls.alpn), ("cert_sans", matched[:MAX_LISTED])):
        if value:
            evidence[key] = value
    side, at = (SERVER, tls.server_hello_at) if tls.client_hello_at is None else (CLIENT, tls.client_hello_at)
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence if score >= 0.6 else "low", variant=service, side=side if at is not None else None, at=at,
        title=f"Mail web service behind TLS: {cut(tls.sni or matched[0])}, by its name {service}", evidence=evidence)


def certificate_names(tls: TlsHandshake) -> tuple[str, ...]:
    """Names in the server's certificate, where it was seen."""
    return tls.certificates[0].dns_names if tls.certificates else ()
