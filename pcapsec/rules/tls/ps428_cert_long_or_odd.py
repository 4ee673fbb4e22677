"""PS428: an unusual certificate.

What
    Something about the server's certificate is unusual: valid for longer than public CAs may issue, no DNS name, a wildcard, one of a CA, not meant for
    servers, or a default name that a vendor's installer gave.

Why
    Each is a hint at a certificate that nobody cares for, or at a private CA with rules of its own.

Evidence
    odd: what is unusual: long-validity, no-dns-name, wildcard, ca, no-server-auth, default-name, malformed.
    days: validity in days.
    common_name: of its subject.
    subject, issuer, sha256: which certificate.

Not a finding when
    - the same certificate of the same server was already reported in this run;
    - it was hidden by TLS 1.3 or by resumption: not_observable.

References
    RFC 5280 §4.2.1.6, §4.2.1.9, §4.2.1.12
    CA/Browser Forum Baseline Requirements §6.3.2, ballot SC-081v3
"""
from __future__ import annotations

from ...records import SERVER, Certificate, Facts, Finding, Session
from ..handshake import cut, describe, fail, leaf, place
from ..rule import PASS, TLS, Rule, Verdict
from ..site import Site

RULE = Rule(
    id="PS428", slug="cert-long-or-odd", title="Unusual certificate", severity="info", confidence="medium", category="tls", scope="session", protocols=TLS,
    remediation="Look at whether this certificate is meant to be there.",
    references=("RFC 5280 §4.2.1.6, §4.2.1.9, §4.2.1.12", "CA/Browser Forum Baseline Requirements §6.3.2, ballot SC-081v3"),
)
DAY_NS = 86_400 * 10**9
LIMITS = (  # begin of validity since which public CAs may issue for so many days: 2020-09-01, 2026-03-15, 2027-03-15, 2029-03-15
    (1_868_227_200 * 10**9, 47), (1_805_068_800 * 10**9, 100), (1_773_532_800 * 10**9, 200), (1_598_918_400 * 10**9, 398))
DEFAULTS = frozenset(("localhost", "localhost.localdomain", "example.com", "www.example.com", "ubuntu", "debian", "mail.example.com", "exchange", "vps", "server"))
_odd: dict[str, tuple[str, ...]] = {}


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    tls = session.tls
    own = leaf(session, tls)
    if own.__class__ is not Certificate or tls is None:
        return own
    odd = _odd.get(own.sha256)
    if odd is None:
        if len(_odd) >= 8192:
            _odd.clear()
        odd = _odd[own.sha256] = tuple(_oddities(own))
    if not odd or not site.first_time((RULE.id, session.server_ip, session.server_port, own.sha256)):
        return PASS
    days = (own.not_after_ns - own.not_before_ns) // DAY_NS if own.not_after_ns is not None and own.not_before_ns is not None else None
    return fail(RULE, tls, f"The certificate of {place(session)} is unusual: {', '.join(odd)}",
                {"odd": list(odd), "days": days, "common_name": cut(own.common_name) if own.common_name else None, **describe(own)}, side=SERVER, at=tls.certificate_at)


def _oddities(own: Certificate):
    if own.malformed is not None:
        yield "malformed"
        return
    begin, end = own.not_before_ns, own.not_after_ns
    if begin is not None and end is not None and not own.self_issued:
        limit = next((days for since, days in LIMITS if begin >= since), None)
        if limit is not None and end - begin > limit * DAY_NS:
            yield "long-validity"
    if not own.dns_names:
        yield "no-dns-name"
    if any(name.startswith("*.") for name in own.dns_names):
        yield "wildcard"
    if own.is_ca:
        yield "ca"
    if own.extended_key_usage is not None and not {"serverAuth", "any"} & set(own.extended_key_usage):
        yield "no-server-auth"
    name = (own.common_name or "").lower()
    if name in DEFAULTS or own.self_issued and name and "." not in name:
        yield "default-name"
