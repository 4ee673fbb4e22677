"""PS810: mail passes inside another tunnel.

What
    Mail conversations were taken out of a tunnel that does not encrypt (GRE, VXLAN, GENEVE, GTP, IP in IP, MPLS, Teredo), or a WireGuard or OpenVPN tunnel
    passes between two hosts that also exchange mail in the capture.

Why
    A tunnel without encryption is no protection: who is on its way reads the mail like anywhere else, though the mail servers believe themselves on a private
    line. A tunnel that encrypts may carry mail that this capture does not show.

Evidence
    encapsulation: the wrappings, outermost first, or wireguard, openvpn.
    n_sessions, n_clear: mail conversations taken out, and how many of them were without TLS.
    first_session: the first of them.
    ends, packets, bytes: of WireGuard and OpenVPN: the two ends, the one that began it first.

Not a finding when
    - the wrapping only brings the capture here or belongs to the link: ERSPAN, VLAN, PPPoE. Some mirror ports deliver by GRE or VXLAN as well; those look the
      same as a tunnel of the mail's own.
    - WireGuard's or OpenVPN's first packet was not answered by one that repeats its number, or one of the ends has no mail conversation.
    - it is SSH, where mail inside cannot be told from an administrator's login, or OpenVPN over TCP.

References
    RFC 2784
    RFC 7348
    RFC 8926
    RFC 4380
    WireGuard (Donenfeld 2017) §5.4
"""
from __future__ import annotations

from ...records import Capture, Finding
from ..carriers import Tunnel, Wrapped
from ..rule import NOT_APPLICABLE, PASS, Rule, Verdict, finding_id
from ..site import Site

RULE = Rule(
    id="PS810", slug="vpn-or-tunnel-wrap", title="Mail traffic inside another tunnel", severity="info", confidence="high", category="network", scope="capture",
    protocols=("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve", "tls", "dcerpc", "http"), several=True,
    remediation="Do not count on a tunnel without encryption: use TLS for the mail inside it.",
    references=("RFC 2784", "RFC 7348", "RFC 8926", "RFC 4380", "WireGuard (Donenfeld 2017) §5.4"),
)


def judge(capture: Capture, site: Site) -> list[Finding] | Verdict:
    carriers = site.collected.carriers
    if not carriers.hosts:
        return NOT_APPLICABLE
    findings = [_wrapped(capture.name, stack, one) for (name, stack), one in sorted(carriers.stacks.items(), key=lambda item: item[0]) if name == capture.name]
    return findings + [_tunnel(frame, one) for frame, one in carriers.tunnels if one.capture == capture.name and carriers.are_mail_hosts(one.ends[0], one.ends[2])] or PASS


def _wrapped(capture: str, stack: str, one: Wrapped) -> Finding:
    ts_ns, _name, frame, ends = one.first
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=stack, finding_id=finding_id(RULE.id, stack, capture, ""),
        title=f"{one.n_sessions} mail conversation{'s' if one.n_sessions != 1 else ''} passed inside {stack}, which does not encrypt",
        capture=capture, frame=frame, ts_ns=ts_ns, ends=ends,
        evidence={"encapsulation": stack, "n_sessions": one.n_sessions, "n_clear": one.n_clear, "first_session": ends.session_id},
    )


def _tunnel(frame: int, one: Tunnel) -> Finding:
    client, client_port, server, server_port = one.ends
    return Finding(
        rule=RULE, severity=RULE.severity, confidence=RULE.confidence, variant=one.kind, finding_id=finding_id(RULE.id, one.kind, f"{one.ends}", one.first_ns),
        title=f"A tunnel ({one.kind}) passes between the mail hosts {client} and {server}", capture=one.capture, frame=frame, ts_ns=one.first_ns,
        evidence={"encapsulation": one.kind, "ends": [f"{client} port {client_port}", f"{server} port {server_port}"], "packets": one.packets, "bytes": one.bytes},
    )
