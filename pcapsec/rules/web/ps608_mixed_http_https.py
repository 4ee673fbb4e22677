"""PS608: the same mail host answers over http:// and over https://.

What
    A host answered a request to a mail service over http:// with 200, and the capture also has a TLS conversation with the same host.

Why
    Encryption is there and can be gone around: a user who types the name without https://, an old bookmark or an attacker's link leads to the readable
    copy of the service, and nobody notices.

Evidence
    host: name in the Host header, or the address.
    paths, statuses: what was answered over http://, the first few.
    n_requests: how many requests were.
    http_server, https_server: address and port of both.
    http_session, https_session: the first conversation of each kind.

Not a finding when
    - http:// only answers with redirects (301, 308) or refusals;
    - the requests are for something else than a mail service, such as certificates' /.well-known/acme-challenge;
    - TLS to that host failed.
    Without any TLS to web servers in the capture nobody can tell: not_observable.

References
    RFC 6797 §7.2
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..collected import Collected
from ..requests import cut
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id, not_observable
from ..site import Site

RULE = Rule(
    id="PS608", slug="mixed-http-https", title="Same mail host answers business paths on both 80 and 443", severity="medium", confidence="high",
    category="web", scope="capture", protocols=("http", "tls"), several=True,
    remediation="Answer http:// with a redirect to https:// only, and send Strict-Transport-Security over https://.",
    references=("RFC 6797 §7.2",),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    collected = site.collected
    hosts = [name for name, host in collected.clear.items() if host.first.capture == capture.name]
    if not hosts:
        return NOT_APPLICABLE
    findings = [finding for name in sorted(hosts) if (finding := _mixed(name, collected)) is not None]
    if findings:
        return findings
    return PASS if collected.encrypted else not_observable("no_tls_seen")


def _mixed(name: str, collected: Collected) -> Finding | None:
    host = collected.clear[name]
    encrypted = next((collected.encrypted[key] for key in (name, *sorted(host.addresses)) if key in collected.encrypted), None)
    if encrypted is None:
        return None
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, finding_id=finding_id(RULE.id, "", name, ""),
        title=f"{cut(name)} answers for its mail service over http:// as well as over https://",
        capture=host.first.capture, frame=host.first.frame, ts_ns=host.first.ts_ns,
        evidence={
            "host": name, "paths": sorted(host.paths), "statuses": [200], "n_requests": host.n_requests, "http_server": host.first.server,
            "https_server": encrypted.server, "http_session": host.first.session_id, "https_session": encrypted.session_id,
        },
    )
