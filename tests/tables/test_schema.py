"""The declaration against what CONTRACT.md promises, written down here a second time on purpose."""
from __future__ import annotations

import pytest

from pcapsec.tables import schema
from pcapsec.tables.rows import FILL

PROMISED = {
    "captures": "capture, format, link_types, snap_length, packets, bytes, first_time, last_time, dropped, truncated_frames, skipped_bytes, undecoded_frames, "
                "duplicate_frames, evicted_flows, internal_errors, sessions, complete",
    "sessions": "session_id, start, end, client_ip, client_port, server_ip, server_port, protocol, service, service_source, community_id, display_filter, completeness, "
                "banner, starttls_offered, starttls_requested, starttls_accepted, starttls_state, tls_mode, tls_version, tls_sni, auth_mechanisms, principals, messages, "
                "bytes_client, bytes_server, gap_bytes, verdict, worst_severity",
    "findings": "finding_id, rule_id, slug, title, severity, confidence, category, variant, time, client_ip, client_port, server_ip, server_port, protocol, server_name, "
                "principal, mechanism, auth_result, evidence, remediation, references, group_id, because_of, display_filter, community_id",
    "credentials": "time, protocol, mechanism, principal, domain, exposure, auth_result, auth_reason, secret_fp",
    "messages": "time, protocol, direction, mail_from, rcpt_to, reply_code, message_id, size_bytes, protection, n_hops, n_clear_hops",
    "hops": "message_id, hop, from_host, by_host, with_protocol, tls_version, tls_cipher, protected, time",
    "paths": "time, path_id, path_verdict, complete, step, role, sender, receiver, verdict, tls_version, source, sessions, messages, messages_sealed",
    "tls": "version, offered_versions, cipher_suite, group, sni, alpn, ja4, resumed, established, alert, certificate_sha256, subject, sans, issuer, not_before, "
           "not_after, key_type, key_bits, signature_algorithm, chain_length, name_matches",
    "certificates": "sent_by, position, certificate_sha256, subject, sans, issuer, serial, not_before, not_after, key_type, key_bits, signature_algorithm, self_signed",
    "rpc": "interface_uuid, interface, interface_version, transport, accepted, auth_type, auth_level, auth_level_name, auth_level_announced, principal, domain, "
           "ntlm_version, ntlm_flags, key_bits, kerberos_etype, requests, opnums, clear_stub_bytes, obfuscation",
    "http": "method, host, path, status, auth_scheme, principal, service, user_agent",
    "dns_policy": "time, asked_by, answered_by, record, domain, name, values, valid, authenticated, signed",
    "assessments": "session_id, rule_id, verdict, reason",
    "rule_summary": "rule_id, slug, n_fail, n_pass, n_not_applicable, n_not_observable",
    "anomalies": "session_id, protocol, code, side, stream_offset, detail",
}


def test_the_tables_are_those_promised():
    assert set(schema.TABLES) == set(PROMISED)


@pytest.mark.parametrize("table", PROMISED)
def test_promised_columns_are_there(table):
    names = [column.name for column in schema.columns(table)]
    assert [name for name in PROMISED[table].split(", ") if name not in names] == []
    assert len(names) == len(set(names))
    if table != "captures":
        assert {"capture", "frame"} | (set() if table == "dns_policy" else {"session_id"}) <= set(names)


def test_secret_is_a_column_only_when_revealed():
    revealed = {(table, column.name) for table in schema.TABLES for column in schema.columns(table, True)}
    usual = {(table, column.name) for table in schema.TABLES for column in schema.columns(table)}
    assert revealed - usual == {("credentials", "secret")}


@pytest.mark.parametrize("table", FILL)
def test_every_column_has_an_expression(table):
    assert set(FILL[table][1]) == {column.name for column in schema.columns(table, True)}


@pytest.mark.parametrize("table", schema.TABLES)
def test_columns_say_what_they_mean(table):
    kinds = {"string", "category", "boolean", "UInt8", "UInt16", "UInt32", "UInt64", "Int64", "time", "list", "dict"}
    for column in schema.TABLES[table]:
        assert column.dtype in kinds and column.meaning and column.missing, column


def test_each_table_is_filled():
    assert set(schema.TABLES) == set(FILL)
