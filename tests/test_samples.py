"""Every recorded sample holds what samples.csv says: sessions, logins, messages, findings, nothing else."""
from __future__ import annotations

import pytest
from samples import FOLDER, SAMPLES, Sample, analysed, built, handshakes, rows

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
LARGEST_SAMPLE, ALL_SAMPLES = 60_000, 3_000_000  # bytes: they are part of every clone


@each_sample
def test_sessions(sample: Sample):
    assert rows(analysed(sample).sessions, "protocol", "service", "tls_mode", "starttls_state", "completeness") == list(sample.sessions)


@each_sample
def test_logins(sample: Sample):
    assert rows(analysed(sample).credentials, "mechanism", "principal", "exposure", "auth_result") == list(sample.logins)


@each_sample
def test_messages(sample: Sample):
    assert rows(analysed(sample).messages, "protocol", "direction", "mail_from", "rcpt_to", "message_id", "protection") == list(sample.messages)


@each_sample
def test_findings(sample: Sample):
    assert sorted(set(analysed(sample).findings["rule_id"])) == built(sample.findings)


@each_sample
def test_rpc(sample: Sample):
    assert rows(analysed(sample).rpc, "transport", "interface", "auth_type", "auth_level", "requests", "ntlm_version", "key_bits", "kerberos_etype", "authenticator_etype", "obfuscation",
                "client_version") == list(sample.rpc)


@each_sample
def test_http(sample: Sample):
    assert rows(analysed(sample).http, "method", "service", "auth_scheme", "auth_result", "principal", "status", "request_type") == list(sample.http)


@each_sample
def test_tls(sample: Sample):
    assert handshakes(analysed(sample).tls) == list(sample.tls)


@each_sample
def test_read_without_faults(sample: Sample):
    captures = analysed(sample).captures
    assert list(captures["internal_errors"]) == [0] * len(sample.files)
    assert list(captures["complete"]) == [True] * len(sample.files)
    assert list(captures["skipped_bytes"]) == [0] * len(sample.files)


@each_sample
def test_secrets_where_asked_for(sample: Sample):
    """With reveal_secrets each password that a login row says was readable is one that the recording used."""
    table = analysed(sample, reveal_secrets=True).credentials
    readable = table[table["exposure"].isin(["password", "token"])]
    assert set(readable["secret"]) <= set(sample.secrets)
    assert readable["secret"].notna().all()


def test_each_file_is_described_and_each_description_has_its_file():
    described = [name for sample in SAMPLES for name in sample.files]
    there = [path.name for path in FOLDER.iterdir() if ".pcap" in path.name]
    assert sorted(described) == sorted(there)


def test_samples_are_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir() if ".pcap" in path.name}
    assert {name: size for name, size in sizes.items() if size > LARGEST_SAMPLE} == {}
    assert sum(sizes.values()) < ALL_SAMPLES


def test_the_readme_of_the_samples_lists_each_file():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for sample in SAMPLES for name in sample.files if f"{name}" not in text] == []
