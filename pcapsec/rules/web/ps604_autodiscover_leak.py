"""PS604: a mail program looks for Autodiscover under a name that anybody may own.

What
    The Host header of a request, or the server name of a TLS handshake, is `autodiscover.` right below a public suffix (autodiscover.com,
    autodiscover.co.uk); or below a parent of one of the policy's own mail domains that is not one's own.

Why
    Programs that find no Autodiscover under their own domain drop one label after the other and ask there, often with the user's name and password in the first
    request. Whoever registered that name collects them.

Evidence
    name: the name that was asked for.
    names: all such names on this connection, in order.
    source: http (Host header) or tls (server name).
    auth_scheme, principal: login that was sent along in clear.

Not a finding when
    - the name is autodiscover below a registered domain, such as a hoster's (autodiscover.outlook.com);
    - the suffix is one for private use (autodiscover.local).
    The list of suffixes is a small one of our own; a single label that it does not know makes low confidence.

References
    Guardicore (Akamai), Autodiscovering the Great Leak, 2021
    CVE-2016-9940
    CVE-2017-2414
"""
from __future__ import annotations

from ...records import CLIENT, Facts, Finding, Session
from ..requests import cut, distinct
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, not_observable, unless_unseen
from ..site import Site
from ..suffixes import is_suffix
from ..webnames import MAYBE_WEB

RULE = Rule(
    id="PS604", slug="autodiscover-leak", title="Autodiscover goes to a parent/foreign domain", severity="high", confidence="medium",
    category="web", scope="session", protocols=("http", "tls"), needs=(CLIENT,),
    remediation="Block autodiscover.TLD names at the proxy and in DNS, update the mail program, and publish Autodiscover under the right name.",
    references=("Guardicore (Akamai), Autodiscovering the Great Leak, 2021", "CVE-2016-9940", "CVE-2017-2414"),
)
LABEL = "autodiscover."


def judge(session: Session, facts: Facts, site: Site) -> Finding | Verdict:
    http, tls = facts.http, session.tls
    if http is None:
        if tls is None or session.service not in MAYBE_WEB:
            return NOT_APPLICABLE
        name = tls.sni
        if name is None:
            return not_observable(session.unseen_client or "no_sni")
        kind = leak(name.lower().rstrip("."), site) if name.lower().startswith(LABEL) else None
        if kind is None:
            return PASS
        return _finding(session, name, kind, tls.client_hello_at, {"name": name, "names": [name], "source": "tls"})
    hosts: dict[str, tuple[str, str] | None] = {}
    first = None
    for request in http.requests:
        host = request.host
        if host is None or not host.startswith(LABEL):
            continue
        if host not in hosts:
            hosts[host] = leak(host.rstrip("."), site)
        if hosts[host] is not None and (first is None or first.auth_scheme is None and request.auth_scheme is not None):
            first = request
    if first is None:
        return unless_unseen(session, CLIENT)
    evidence = {"name": first.host, "names": distinct(host for host, kind in hosts.items() if kind is not None), "source": "http"}
    if first.auth_scheme is not None:
        evidence["auth_scheme"] = first.auth_scheme
        if first.principal is not None:
            evidence["principal"] = first.principal
    finding = _finding(session, first.host or "", hosts[first.host] or ("", ""), first.at, evidence)
    finding.principal, finding.mechanism = first.principal, first.auth_scheme
    return finding


def leak(name: str, site: Site) -> tuple[str, str] | None:
    """(variant, confidence) for a name that begins with autodiscover; None where it is the owner's own affair."""
    parent = name[len(LABEL):]
    if site.is_local(parent):
        return None
    suffix = is_suffix(parent)
    if suffix is not False:
        return "public-suffix", "medium" if suffix else "low"
    return ("parent", "medium") if any(domain.endswith("." + parent) for domain in site.local_domains) else None


def _finding(session: Session, name: str, kind: tuple[str, str], at: int | None, evidence: dict) -> Finding:
    variant, confidence = kind
    whose = "which anybody may register" if variant == "public-suffix" else "above one's own domain"
    return Finding(rule=RULE, severity=RULE.severity, confidence=confidence, variant=variant, title=f"Autodiscover was looked for under {cut(name)}, {whose}",
                   side=CLIENT if at is not None else None, at=at, evidence=evidence)
