"""Which expression fills which column of which table: what `compile.py` makes row functions of."""
from __future__ import annotations

from .schema import between

_ENDS = {"session_id": "@E", "client_ip": "@E", "client_port": "@E", "server_ip": "@E", "server_port": "@E"}
_PLACE = {"time": "@P", "capture": "@P", "frame": "@P"}
_NAMES = {"protocol": "@N", "service": "@N", "server_name": "@N"}
_FILTERS = {"display_filter": "@D", "community_id": "@D"}

CERTIFICATE = {  # column of table `tls` -> expression over a certificate; all of one stand side by side and are formatted once
    "certificate_sha256": "c.sha256", "subject": "c.subject", "sans": "c.sans", "issuer": "c.issuer", "not_before": "in_range(c.not_before_ns)",
    "not_after": "in_range(c.not_after_ns)",
    "key_type": "c.key_type", "key_bits": "c.key_bits", "signature_algorithm": "c.signature_algorithm", "curve": "c.curve", "spki_sha256": "c.spki_sha256",
    "serial": "c.serial", "self_signed": "c.self_signed", "ca": "c.is_ca", "certificate_malformed": "c.malformed",
}

FILL: dict[str, tuple[str, dict[str, str]]] = {  # table -> arguments, column -> expression
    "findings": ("x, g, R, P, E, N, D, direction", {
        "finding_id": "x.finding_id", "rule_id": "@R[0]", "slug": "@R[0]", "title": "x.title", "severity": "x.severity", "confidence": "x.confidence",
        "category": "x.rule.category", "variant": "x.variant or None", **_PLACE, **_ENDS, **_NAMES,
        "principal": "x.principal", "mechanism": "x.mechanism", "auth_result": "x.auth_result", "evidence": "x.evidence",
        "remediation": "@R[1]", "references": "@R[1]", "group_id": "g", "because_of": "x.because_of", "severity_reason": "x.severity_reason or None", "suppressed": "x.suppressed",
        "direction": "direction", "evidence_offset": "x.at", **_FILTERS,
    }),
    "sessions": ("s, f, t, state, principals, n_messages, n_findings, E, N, D, C", {
        **_ENDS, "start": "s.start_ns", "end": "s.end_ns", "capture": "@C", "frame": "@C", "last_frame": "s.last_frame", **_NAMES,
        "service_source": "s.service_source", "service_confidence": "s.service_confidence", "provider": "s.provider", "role_source": "s.role_source", "encapsulation": "s.encapsulation or None",
        "tunnel": "f.tunnel", "tunnel_target": "f.tunnel_target", "completeness": "s.completeness", "unseen_client": "s.unseen_client",
        "unseen_server": "s.unseen_server", "unparsed": "s.unparsed", "banner": "f.greeting", "client_name": "f.client_name",
        "capabilities": "f.capabilities", "capabilities_complete": "f.capabilities_complete", "starttls_offered": "f.starttls_offered",
        "starttls_requested": "f.starttls_requested", "starttls_accepted": "f.starttls_accepted", "starttls_reply_code": "f.starttls_reply_code",
        "starttls_state": "state", "masked_tokens": "f.masked_tokens", "injected_client_bytes": "f.injected_client_bytes",
        "injected_server_bytes": "f.injected_server_bytes", "tls_mode": "s.tls_mode", "tls_version": "t.version", "tls_sni": "t.sni", "decrypted": "s.decrypted",
        "auth_mechanisms": "f.auth_mechanisms or (None if f.capabilities is None else ())", "principals": "principals",
        "logins": "len(f.logins)", "messages": "n_messages", "mailbox_commands": "f.n_mailbox_commands", "compressed": "f.compressed",
        "packets_client": "s.packets_client", "packets_server": "s.packets_server", "bytes_client": "s.bytes_client", "bytes_server": "s.bytes_server",
        "ttl_client": "s.ttl_client", "ttl_server": "s.ttl_server", "reset_by": "sides[s.reset_by]", "ttl_outliers": "s.ttl_outliers",
        "gap_bytes": "s.gap_bytes_client + s.gap_bytes_server", "truncated_frames": "s.n_truncated_frames", "duplicate_frames": "s.n_duplicate_frames",
        "overlap_conflicts": "s.n_overlap_conflicts", "verdict": "s.verdict", "worst_severity": "s.worst_severity", "findings": "n_findings", **_FILTERS,
    }),
    "credentials": ("l, fp, secret, length, name, decrypted, P, E", {
        **_PLACE, **_ENDS, "protocol": "l.protocol", "server_name": "name", "mechanism": "l.mechanism", "principal": "l.principal", "domain": "l.domain",
        "authzid": "l.authzid", "exposure": "l.exposure", "auth_result": "l.result", "auth_reason": "l.reason", "reply_code": "l.reply_code",
        "secret_fp": "fp", "secret_length": "length", "decrypted": "decrypted", "secret": "secret",
    }),
    "messages": ("m, decrypted, P, E", {
        **_PLACE, **_ENDS, "protocol": "m.protocol", "direction": "m.direction", "mail_from": "m.mail_from", "rcpt_to": "m.rcpt_to",
        "reply_code": "m.reply_code", "accepted": "m.accepted", "message_id": "m.message_id", "size_bytes": "m.size_bytes", "complete": "m.complete",
        "protection": "m.protection", "content_type": "m.content_type", "from_domain": "m.from_domain", "to_domains": "m.to_domains",
        "subject_length": "m.subject_length", "mailer": "m.mailer", "n_hops": "m.n_hops", "n_clear_hops": "m.n_clear_hops", "decrypted": "decrypted",
    }),
    "hops": ("m, h, capture, frame, session_id, decrypted", {
        "session_id": "session_id", "capture": "capture", "frame": "frame", "message_id": "m.message_id", "hop": "h.hop", "from_host": "h.from_host", "by_host": "h.by_host",
        "with_protocol": "h.with_protocol", "tls_version": "h.tls_version", "tls_cipher": "h.tls_cipher", "protected": "h.protected", "time": "h.time_ns",
        "from_ip": "h.from_ip", "local": "h.local", "decrypted": "decrypted",
    }),
    "tls": ("t, o, u, K, P, E", {  # handshake, what its client offers, the client's certificate, block of the server's
        **_PLACE, **_ENDS, "version": "t.version", "offered_versions": "t.offered_versions", "cipher_suite": "t.cipher_suite", "cipher_recommended": "t.cipher_recommended",
        "group": "t.group", "dh_bits": "t.dh_bits", "forward_secret": "t.forward_secret", "signature_scheme": "t.signature", "compression": "t.compression",
        "extended_master_secret": "t.extended_master_secret", "encrypt_then_mac": "t.encrypt_then_mac", "secure_renegotiation": "t.secure_renegotiation",
        "downgrade_sentinel": "t.downgrade_sentinel", "hello_retry": "t.hello_retry", "early_data": "t.early_data", "sni": "t.sni", "alpn": "t.alpn",
        "alpn_chosen": "t.alpn_chosen", "ja3": "o.ja3", "ja4": "o.ja4", "ech_offered": "o.encrypted_client_hello", "resumed": "t.resumed",
        "resumption": "t.resumption", "established": "t.established", "alert": "t.alert", "alerts": "t.alerts",
        **dict.fromkeys(CERTIFICATE, "@K"), "chain_length": "t.chain_length", "name_matches": "t.name_matches", "name_matched_by": "t.name_matched_by",
        "trusted": "t.trusted", "trust_error": "t.trust_error", "client_certificate": "t.client_certificate_sent", "client_subject": "u.subject",
        "client_certificate_sha256": "u.sha256",
    }),
    "certificates": ("sender, position, K, P, E", {**_PLACE, **_ENDS, "sent_by": "sender", "position": "position", **dict.fromkeys(CERTIFICATE, "@K")}),
    "rpc": ("c, r, l, d, decrypted, P, E", {  # context, its association, its login, what its mechanism's messages say
        **_PLACE, **_ENDS, "context_id": "c.context_id", "interface_uuid": "c.interface_uuid", "interface": "c.interface", "interface_version": "c.interface_version",
        "interface_source": "c.interface_source", "transfer_syntax": "c.transfer_syntax", "transport": "c.transport", "pipe": "r.pipe", "accepted": "c.accepted",
        "reject_reason": "c.reject_reason", "auth_type": "c.auth_type", "auth_level": "c.auth_level", "auth_level_name": "LEVEL_NAMES.get(c.auth_level)",
        "auth_level_announced": "c.levels_announced", "requests_by_level": "{str(k): c.levels[k] for k in sorted(c.levels)}",
        "mechanisms_offered": "offered(c)", "header_signing": "r.header_signing",
        "principal": "l.principal", "domain": "l.domain", "auth_result": "l.result",
        "ntlm_version": "d.get('ntlm_version')", "ntlm_flags": "hexadecimal(d.get('ntlm_flags'))", "key_bits": "d.get('key_bits')",
        "kerberos_etype": "d.get('ticket_etype')", "authenticator_etype": "d.get('authenticator_etype')", "spn": "d.get('spn')",
        "requests": "c.requests", "responses": "c.responses", "opnums": "sorted(c.opnums)", "calls": "c.call_names",
        "stub_bytes": "c.stub_bytes", "clear_stub_bytes": "c.clear_stub_bytes", "obfuscation": "c.obfuscation",
        "user_dn": "c.mapi and c.mapi.user_dn", "client_version": "c.mapi and c.mapi.client_version", "server_version": "c.mapi and c.mapi.server_version",
        "rops": "tuple(c.mapi.rop_names) if c.mapi else ()", "faults": "[hexadecimal(status) for status in c.faults]", "decrypted": "decrypted",
    }),
    "http": ("q, result, decrypted, P, E", {
        **_PLACE, **_ENDS, "method": "q.method", "host": "q.host", "path": "q.path", "http_version": "q.version", "status": "q.status",
        "auth_scheme": "q.auth_scheme", "auth_offered": "q.auth_offered", "proxy": "q.proxy", "principal": "q.principal", "auth_result": "result",
        "service": "q.service", "service_sure": "q.service_sure", "user_agent": "q.user_agent", "location": "q.location", "content_type": "q.content_type",
        "response_type": "q.response_type", "request_bytes": "q.request_bytes", "response_bytes": "q.response_bytes", "request_type": "q.request_type",
        "device_id": "q.device_id", "cookies": "q.cookies", "set_cookies": "q.set_cookies", "session_cookie": "q.session_cookie",
        "email_seen": "q.email_seen", "rpc_target": "q.rpc_target", "decrypted": "decrypted",
    }),
    "paths": ("p, n, t, P", {
        **_PLACE, "session_id": "p.first.session_id", "path_id": "p.path_id", "path_verdict": "p.verdict", "complete": "p.complete", "step": "n", "role": "t.role", "sender": "t.sender",
        "receiver": "t.receiver", "verdict": "t.verdict", "tls_version": "t.tls", "source": "t.source", "sessions": "t.n_sessions", "sessions_so": "t.n_worst", "senders": "t.n_senders",
        "receivers": "t.n_receivers", "messages": "p.n_messages", "messages_sealed": "p.n_sealed", "from_domains": "p.from_domains", "to_domains": "p.to_domains",
    }),
    "dns_policy": ("a, w", {  # answer, where it was first seen
        "time": "w.ts_ns", "capture": "w.capture", "frame": "w.frame", "asked_by": "w.asked_by", "answered_by": "w.answered_by", "record": "a.kind", "domain": "a.domain", "name": "a.name",
        "values": "a.values", "valid": "a.valid", "authenticated": "a.authenticated", "signed": "a.signed",
    }),
    "anomalies": ("a, protocol, side, P, E", {
        **_PLACE, **_ENDS, "protocol": "protocol", "code": "a.code", "side": "side", "stream_offset": "a.at", "detail": "a.detail or None",
    }),
    "assessments": ("session_id, J, C", {
        "session_id": "session_id", "rule_id": "@J", "verdict": "@J", "reason": "@J", "capture": "@C", "frame": "@C",
    }),
    "rule_summary": ("rule, counts, first", {
        "rule_id": "rule.id", "slug": "rule.slug", "n_fail": "counts[0]", "n_pass": "counts[1]", "n_not_applicable": "counts[2]", "n_not_observable": "counts[3]",
        "capture": "first[1]", "frame": "first[2]", "session_id": "first[3]",
    }),
    "captures": ("c", {
        "capture": "c.name", "format": "c.format", "compression": "c.compression", "link_types": "c.link_types", "snap_length": "c.snap_length",
        "packets": "c.packets", "bytes": "c.bytes", "first_time": "c.first_ns", "last_time": "c.last_ns", "dropped": "c.dropped",
        "truncated_frames": "c.truncated_frames", "skipped_bytes": "c.skipped_bytes", "undecoded_frames": "c.undecoded_frames",
        "duplicate_frames": "c.duplicate_frames", "evicted_flows": "c.evicted_flows", "internal_errors": "c.internal_errors", "sessions": "c.sessions", "decrypted_sessions": "c.decrypted_sessions",
        "complete": "c.complete", "time_backsteps": "c.time_backsteps", "notes": "c.notes",
    }),
}
TOGETHER: dict[str, tuple[tuple[str, str], ...]] = {  # table -> first and last of columns whose values repeat together: their text is made once
    "findings": (("severity", "variant"), ("severity_reason", "direction")),
    "sessions": (("service_source", "banner"), ("capabilities", "tls_version"), ("logins", "compressed"), ("ttl_outliers", "findings")),
    "credentials": (("protocol", "mechanism"), ("exposure", "reply_code")),
    "messages": (("protocol", "direction"), ("reply_code", "accepted"), ("complete", "to_domains"), ("mailer", "n_clear_hops")),
    "hops": (("from_host", "protected"),),
    "tls": (("version", "early_data"), ("alpn", "alerts"), ("chain_length", "client_certificate_sha256")),
    "rpc": (("interface_uuid", "auth_level_announced"),),
    "http": (("http_version", "proxy"), ("service", "response_type"), ("cookies", "email_seen")),
}
BLOCKS: dict[str, tuple[str, str, dict[str, str]]] = {  # block -> table it is declared in, arguments, column -> expression
    "P": ("anomalies", "ns, capture, frame", {"time": "ns", "capture": "capture", "frame": "frame"}),
    "P0": ("anomalies", "no_ns, capture, frame", {"time": "no_ns", "capture": "capture", "frame": "frame"}),
    "E": ("findings", "s", {"session_id": "s.session_id", "client_ip": "s.client_ip", "client_port": "s.client_port", "server_ip": "s.server_ip",
                            "server_port": "s.server_port"}),
    "N": ("findings", "s, name", {"protocol": "s.protocol", "service": "s.service", "server_name": "name"}),
    "D": ("findings", "display_filter, community", {"display_filter": "display_filter", "community_id": "community"}),
    "C": ("assessments", "s", {"capture": "s.capture", "frame": "s.frame"}),
    "J": ("assessments", "rule_id, verdict, reason", {"rule_id": "rule_id", "verdict": "verdict", "reason": "reason or None"}),
    "K": ("tls", "c", CERTIFICATE),
    "R0": ("findings", "r", {"rule_id": "r.id", "slug": "r.slug"}),
    "R1": ("findings", "r", {"remediation": "r.remediation", "references": "r.references"}),
}
SHARED: dict[str, tuple[str, str, str]] = {  # block -> table, first and last of the columns that regular TLS conversations share with another one; A B sessions, T tls
    "A": ("sessions", "protocol", "compressed"), "B": ("sessions", "ttl_outliers", "findings"), "T": ("tls", "version", "client_certificate_sha256"),
}


def _shared(table: str) -> dict[str, str]:
    return {column.name: f"@{block}" for block, (of, first, last) in SHARED.items() if of == table for column in between(table, first, last)}


REGULAR: dict[str, tuple[str, str, dict[str, str]]] = {  # rows of such conversations -> table, arguments, column -> expression
    "regular": ("sessions", "s, A, B, E, D, C", {**FILL["sessions"][1], **_shared("sessions")}),
    "regular_tls": ("tls", "T, P, E", {**FILL["tls"][1], **_shared("tls")}),
}
