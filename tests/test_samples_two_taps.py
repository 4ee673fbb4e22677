"""Recordings with a box between client and server, captured on both sides of it: what is compared is what the box was told to do, byte for byte (samples/record/scenarios_stripping.py)."""
from __future__ import annotations

import pathlib

import pytest
from tests.two_taps import told

import pcapsec
from pcapsec.cli.main import run

SAMPLES = pathlib.Path(__file__).parent.parent / "samples"
STARTTLS_CUT = [("offer-removed", "STARTTLS", 0, 14)]
GREETING = ("greeting-changed", "220", 30, 30)

# recording -> (meaning, word, bytes inside, bytes outside) of each difference in the order of the conversation
BOXES = {
    "strip-smtp-removed": STARTTLS_CUT, "strip-smtp-last-line": STARTTLS_CUT, "strip-smtp-for-a-while": STARTTLS_CUT * 2,
    "strip-smtp-masked": [("offer-masked", "STARTTLS", 8, 8)], "strip-smtp-padded": [("offer-removed", "STARTTLS", 8, 8)], "strip-smtp-overlap": [("offer-removed", "STARTTLS", 8, 8)],
    "strip-smtp-inspected": [GREETING, *(("capability-masked" if word != "STARTTLS" else "offer-masked", word, len(word), len(word))
                                         for word in "PIPELINING STARTTLS ENHANCEDSTATUSCODES DSN SMTPUTF8 CHUNKING".split())],
    "strip-smtp-pix": [GREETING, ("command-garbled", "EHLO", 4, 4)], "strip-smtp-pix-banner": [GREETING],
    "strip-smtp-ehlo-refused": [("command-removed", "EHLO", 25, 0), ("reply-injected", "500", 32, 0)], "strip-smtp-ehlo-to-helo": [("command-changed", "EHLO", 2, 2)],
    "strip-smtp-garbled": [("command-garbled", "STARTTLS", 8, 8)], "strip-smtp-refused": [("command-removed", "STARTTLS", 10, 0), ("reply-injected", "454", 53, 0)],
    "strip-smtp-desync": [("command-removed", "STARTTLS", 10, 0), ("reply-injected", "220", 30, 0)],
    "strip-submission-mechanisms": [("offer-removed", "STARTTLS", 0, 14), ("capability-changed", "AUTH", 0, 72)],
    "strip-imap-removed": [("offer-removed", "STARTTLS", 0, 9)] * 2, "strip-imap-masked": [("offer-masked", "STARTTLS", 8, 8)] * 2,
    "strip-imap-logindisabled": [("offer-removed", "STARTTLS", 0, 23)] * 2, "strip-imap-mechanisms": [("offer-removed", "STARTTLS", 10, 141)],
    "strip-imap-preauth": [("reply-changed", "OK", 7, 2)], "strip-imap-refused": [("command-removed", "STARTTLS", 13, 0), ("reply-injected", "NO", 29, 0)],
    "strip-pop3-removed": [("offer-removed", "STLS", 0, 6)], "strip-pop3-masked": [("offer-masked", "STLS", 4, 4)], "strip-pop3-garbled": [("command-garbled", "STLS", 4, 4)],
    "strip-nntp-removed": [("offer-removed", "STARTTLS", 0, 10)], "strip-managesieve-removed": [("offer-removed", "STARTTLS", 0, 12)],
    "inject-smtp-command": [("command-added", "RSET", 0, 6)], "inject-submission-command": [("command-added", "RSET", 0, 6)], "inject-imap-command": [("command-added", "NOOP", 0, 9)],
    "inject-smtp-response": [("reply-injected", "250", 22, 0)] * 2, "inject-imap-response": [("reply-injected", "CAPABILITY", 35, 0)],
    "inject-imap-mailboxes": [("reply-injected", "LIST", 32, 0), ("reply-injected", "EXISTS", 12, 0)], "inject-imap-referral": [("reply-changed", "OK", 56, 229)],
    "inject-managesieve-command": [("command-added", "NOOP", 0, 6)], "inject-nntp-command": [("command-added", "DATE", 0, 6)], "inject-pop3-command": [("command-added", "NOOP", 0, 6)],
    "strip-managesieve-masked": [("offer-masked", "STARTTLS", 8, 8)], "strip-nntp-garbled": [("command-garbled", "STARTTLS", 8, 8)],
    "inject-pop3-response": [("reply-injected", "+OK", 16, 0)],
    "strip-smtp-reset": [],  # it resets connections and changes no byte
}
TWINS = {  # innocent: how each conversation is told to be one, and by what kind of box it went
    "twin-no-tls": [("sequence-numbers", "none")], "twin-nat": [("sequence-numbers", "nat")] * 2, "twin-proxy": [("content", "tcp-proxy"), ("tls-random", "tcp-proxy")],
    "twin-balanced": [("tls-random", "tcp-proxy"), ("content", "tcp-proxy")] * 2, "twin-tls-proxy": [("time", "tls-one-sided")],
}


def taps(name):
    return pcapsec.compare(SAMPLES / f"{name}-inside.pcap", SAMPLES / f"{name}-outside.pcap")


def test_recordings_that_are_not_listed_here_are_told_apart_too():
    for name in sorted({path.name.removesuffix("-inside.pcap") for path in SAMPLES.glob("*-inside.pcap")} - {*BOXES, *TWINS}):
        result = taps(name)
        assert result.outcome.internal_errors == [] and bool(len(result.findings)) != name.startswith("twin-"), name


@pytest.mark.parametrize("name", BOXES)
def test_what_the_box_did_is_named_byte_for_byte(name):
    result = taps(name)
    assert [(row[2], row[4], row[9], row[10]) for row in told(result)] == BOXES[name]
    assert result.outcome.internal_errors == [] and set(result.pairs["nearer_client"]) == {"inside"} and set(result.pairs["box"]) == {"none"}
    assert set(result.pairs["joined_by"]) == {"sequence-numbers"} and result.outcome.flows_alone == ({}, {}) and result.outcome.alone == ({}, {})
    assert set(result.findings["severity"]) == ({"high"} if BOXES[name] == [GREETING] else {"critical"} if BOXES[name] else set())


@pytest.mark.parametrize("name", TWINS)
def test_innocent_boxes_are_named_and_blamed_for_nothing(name):
    result = taps(name)
    assert (len(result.differences), len(result.findings), result.outcome.internal_errors) == (0, 0, [])
    assert [tuple(row) for row in result.pairs[["joined_by", "box"]].values.tolist()] == TWINS[name]


def test_recordings_of_other_traffic_of_the_same_hosts_have_nothing_in_common():
    names = ["submission-starttls", "submission-tls12", "http-basic", "http-plain", "nntp-authinfo", "nntp-starttls", "path-vlan", "path-qinq", "owa-login", "owa-wrong", "smtp-bdat", "smtp-kinds"]
    for one, other in zip(names[::2], names[1::2]):
        result = pcapsec.compare(SAMPLES / f"{one}.pcap", SAMPLES / f"{other}.pcap")
        assert len(result.pairs) == 0 and min(result.outcome.n_flows) >= 1, (one, other)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.pcap*"))[::6], ids=lambda path: path.name)
def test_a_recording_equals_itself(path):
    result = pcapsec.compare(path, path)
    assert len(result.differences) == result.outcome.n_ambiguous == 0 and set(result.pairs["box"]) <= {"none"} and result.outcome.internal_errors == []
    assert len(result.pairs) == result.outcome.n_flows[0] == result.outcome.n_flows[1]


@pytest.mark.parametrize("name", [*BOXES, *TWINS])
def test_no_secret_of_a_recording_is_shown(name, tmp_path, capsys):
    from tests.test_secrets import leaks

    secrets = set()
    for tap in ("inside", "outside"):
        found = pcapsec.analyze(SAMPLES / f"{name}-{tap}.pcap", reveal_secrets=True).credentials["secret"].dropna()
        secrets |= {str(value).encode("utf-8", "surrogateescape") for value in found}
    paths = [str(SAMPLES / f"{name}-{tap}.pcap") for tap in ("inside", "outside")]
    assert run(["compare", *paths]) == run(["compare", *paths, "-o", str(tmp_path / "tables")]) == 0
    said = "".join(capsys.readouterr()).encode() + b"".join(path.read_bytes() for path in (tmp_path / "tables").iterdir())
    assert leaks(said, secrets) == []
