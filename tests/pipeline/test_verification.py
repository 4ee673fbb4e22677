"""Wireshark's opinion beside ours: agreement on recorded samples, and each kind of difference told."""
from __future__ import annotations

import io
import re

import pytest
from samples import FOLDER

from pcapsec import pipeline
from pcapsec.cli.main import run
from pcapsec.pipeline import verification
from pcapsec.pipeline.verification import Comparison, Difference, Memory, Opinion, compare
from pcapsec.report.second_opinion import render

AGREED = {  # sample -> aspect -> facts
    "submission-plain.pcap": {"protocol": 1, "TLS mode": 1, "user names": 1},
    "submission-login.pcap": {"protocol": 1, "TLS mode": 1, "user names": 1},
    "imap-login.pcap": {"protocol": 1, "TLS mode": 1, "user names": 1},
    "pop3-user-pass.pcap": {"protocol": 1, "TLS mode": 1, "user names": 1},
    "submission-tls12.pcap": {"protocol": 1, "TLS mode": 1, "TLS version": 1, "cipher suite": 1},
    "keys-owa.pcap": {"protocol": 1, "TLS mode": 1, "TLS version": 1, "cipher suite": 1, "SNI": 1},
    "http-basic.pcap": {"protocol": 3, "TLS mode": 3, "user names": 3, "HTTP login": 3},
    "rpc-mapi-levels.pcap": {"protocol": 3, "TLS mode": 3, "RPC interfaces": 3},
    "path-vxlan.pcap": {"protocol": 1, "TLS mode": 1},
}


def verified(name: str, change=lambda memory: None) -> Comparison:
    memories: list[Memory] = []

    def make_sink(_worker: int) -> Memory:
        memories.append(Memory())
        return memories[-1]

    path = str(FOLDER / name)
    outcome = pipeline.run([path], make_sink=make_sink)
    change(memories[0])
    return compare(memories[0], outcome.captures, {path: path})


@pytest.mark.parametrize("name", AGREED)
def test_both_agree_on_samples(name: str):
    comparison = verified(name)
    assert comparison.differences == [] and comparison.complete
    assert {aspect: comparison.agreed[aspect] for aspect in AGREED[name]} == AGREED[name]


def one_of(memory: Memory) -> Opinion:
    [[opinion]] = memory.opinions.values()
    return opinion


def changed(name: str, **fields) -> list[Difference]:
    def change(memory: Memory) -> None:
        for field, value in fields.items():
            setattr(one_of(memory), field, value)

    return [found._replace(capture="") for found in verified(name, change).differences]


def test_each_kind_of_difference():
    where = re.escape("10.7.0.2 port ") + r"\d+" + re.escape(" -> 10.7.0.1 port ")
    [found] = changed("submission-plain.pcap", users={"mallory@example.org"})
    assert (found.aspect, found.ours, found.theirs) == ("user names", "mallory@example.org", "alice@example.org") and re.fullmatch(where + "587", found.where) and found.frame > 1
    [found] = changed("imap-login.pcap", protocols={"pop3"})
    assert (found.aspect, found.ours, found.theirs) == ("protocol", "pop3", "imap")
    [found] = changed("submission-tls12.pcap", tls_mode="implicit")
    assert (found.aspect, found.ours, found.theirs) == ("TLS mode", "implicit", "starttls")
    assert [found[0:1] + found[2:4] for found in changed("keys-owa.pcap", version="TLSv1.0", suite="0x1234", sni="mail.example.com")] == [
        ("TLS version", "TLSv1.0", "TLSv1.2"), ("cipher suite", "0x1234", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), ("SNI", "mail.example.com", "mail.example.org")]
    [found] = changed("rpc-mapi-none.pcap", interfaces=set())
    assert (found.aspect, found.ours, found.theirs) == ("RPC interfaces", "-", "a4f1db00-ca47-1067-b31f-00dd010662da")


def test_a_conversation_that_only_wireshark_has():
    comparison = verified("imap-login.pcap", lambda memory: memory.opinions.clear())
    [found] = comparison.differences
    assert (found.aspect, found.ours, found.theirs, comparison.sessions) == ("conversation", "-", "imap", 0)


def test_passwords_are_not_remembered():
    """Wireshark shows them beside the names."""
    memory = Memory()
    pipeline.run([str(FOLDER / "http-basic.pcap"), str(FOLDER / "submission-login.pcap"), str(FOLDER / "imap-login.pcap")], make_sink=lambda _worker: memory)
    theirs = [opinion for name in ("http-basic", "submission-login", "imap-login", "submission-plain", "pop3-user-pass")
              for opinion in verification._theirs(str(FOLDER / f"{name}.pcap"), verification.wireshark.find())[0]]
    text = repr(memory.opinions) + repr(theirs)
    assert "alice" in text and [secret for secret in ("Tr0ub4dor", "correct horse", "winter-2024", "VHIwdWI0") if secret in text] == []


def test_limits_and_what_cannot_be_compared(monkeypatch, tmp_path):
    monkeypatch.setattr(verification, "MAX_PACKETS", 5)
    comparison = verified("imap-login.pcap")
    assert (comparison.packets, comparison.complete, comparison.sessions, comparison.not_compared, comparison.differences) == (5, False, 0, 1, [])
    monkeypatch.setattr(verification, "MAX_PACKETS", 1000)
    monkeypatch.setattr(verification, "MAX_DISSECTED", 2)
    comparison = verified("imap-login.pcap")
    assert (comparison.complete, comparison.not_compared) == (False, 1)
    monkeypatch.setattr(verification, "MAX_SESSIONS", 2)
    memory = Memory()
    pipeline.run([str(FOLDER / "http-basic.pcap")], make_sink=lambda _worker: memory)
    assert (memory.n, memory.n_more) == (2, 1)
    assert compare(memory, [], {}).not_compared == 1


def test_an_input_that_cannot_be_read_twice():
    memory = Memory()
    outcome = pipeline.run(io.BytesIO((FOLDER / "imap-login.pcap").read_bytes()), make_sink=lambda _worker: memory)
    comparison = compare(memory, outcome.captures, {})
    assert (comparison.not_compared, comparison.skipped) == (1, ["<stream>: not a file that can be read twice"])


def test_on_the_command_line(capfd):
    assert run(["analyze", str(FOLDER / "imap-login.pcap"), "--verify", "--csv", "-"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("finding_id,") and "Second opinion: Wireshark read 23 packets and was compared on 1 conversation: 3 facts agreed, 0 differed." in err
    assert "agreed: TLS mode 1, protocol 1, user names 1" in err


def test_tshark_is_missing(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["analyze", str(FOLDER / "imap-login.pcap"), "--verify"]) == 2
    assert "tshark is not installed" in capfd.readouterr().err


def test_the_table():
    comparison = Comparison(packets=1234, complete=False, sessions=2, not_compared=3, only_ours=1, skipped=["-: not a file that can be read twice"])
    comparison.agreed["protocol"] += 2
    comparison.differed["SNI"] += 60
    comparison.differences = [Difference("SNI", "192.0.2.1 port 5 -> 192.0.2.2 port 443", "a\x1b[31m", "b", "one.pcap", 7)] * 60
    out = io.StringIO()
    render(comparison, out)
    lines = out.getvalue().splitlines()
    assert lines[0] == ("Second opinion: Wireshark read 1,234 packets (the beginning; the rest was not compared) and was compared on 2 conversations: 2 facts agreed, 60 differed.")
    assert lines[-1] == "… and 10 more" and "\x1b" not in out.getvalue()
    assert [line.split() for line in lines if line.startswith("SNI")][0] == ["SNI", "192.0.2.1", "port", "5", "->", "192.0.2.2", "port", "443", "a\\x1b[31m", "b", "7"]
