"""PS710: a Received field says something else than the wire.

What
    A message was captured on one hop, and again further on. There its header has the field that the server of the first hop wrote, and it names TLS, though
    the hop was seen in clear; or it names no TLS, though the hop was TLS that was read with its keys.

Why
    Something between the two ends takes TLS off or puts it on: a load balancer or mail gateway that nobody thinks of, or somebody else.

Evidence
    message_id, hop: which message, and which of its Received fields; 1 is the first.
    claim: what the field says.
    observed: clear or TLS.
    from_host, by_host: the ends of the hop as the field names them.
    wire_session, wire_server: the conversation that was captured on that hop, and its server.
    header_session: the conversation whose message has the field.

Not a finding when
    - the field's sender is neither the client's address nor its name in the conversation on the wire, or it is not the next field above those that the
      message then had.
    - one of the two ends is this host itself.
    A TLS offloader in front of the server is the usual and harmless cause.

References
    RFC 3848 §3
    RFC 5321 §4.4
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site
from ..trail import Contradiction

RULE = Rule(
    id="PS710", slug="received-contradicts-wire", title="Received header contradicts captured session", severity="medium", confidence="medium",
    category="message", scope="capture", protocols=("smtp", "lmtp", "imap", "pop3"), several=True,
    remediation="Find out what stands between the two servers and handles TLS: load balancer, gateway, proxy.",
    references=("RFC 3848 §3", "RFC 5321 §4.4"),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    trail = site.collected.trail
    if capture.name not in trail.compared():
        return NOT_APPLICABLE
    return [_finding(one) for one in trail.contradictions() if one.header.capture == capture.name] or PASS


def _finding(one: Contradiction) -> Finding:
    wire, header, hop = one.wire, one.header, one.hop
    claim = " ".join(filter(None, ("TLS" if hop.protected else "no TLS:", hop.with_protocol, hop.tls_version, hop.tls_cipher)))
    seen = "TLS" if wire.protected else "clear"
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant="claims-tls" if hop.protected else "claims-clear",
        finding_id=finding_id(RULE.id, "", header.session_id, f"{one.message_id} {hop.hop} {wire.session_id}"),
        title=f"The header of a mail says that it came to {(hop.by_host or wire.server)[:80]} {'over TLS' if hop.protected else 'in clear'}, the capture shows "
              + ("TLS" if wire.protected else "that hop in clear"),
        capture=header.capture, frame=header.frame, ts_ns=header.ts_ns,
        evidence={
            "message_id": one.message_id, "hop": hop.hop, "claim": claim, "observed": seen, "from_host": hop.from_host, "by_host": hop.by_host,
            "wire_session": wire.session_id, "wire_server": wire.server, "header_session": header.session_id,
        },
    )
