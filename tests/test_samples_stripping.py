"""Recordings of boxes on the path and of their innocent twins: which rules must speak on each, and which must not.

`test_samples.py` compares all findings of each recording; here stands what matters about stripping and what is told across sessions, so that it is seen at a glance.
A rule that is not built yet is named on the output.
"""
from __future__ import annotations

import struct

import pytest
from samples import FOLDER, SAMPLES, Sample, analysed, built, rows

CLIENT, SERVER = 0, 1

TAMPERED = ("PS301", "PS302", "PS303", "PS304", "PS305", "PS306", "PS307", "PS308", "PS309", "PS310", "PS311", "PS312", "PS313", "PS314", "PS315", "PS316", "PS317", "PS318", "PS319")
ACROSS = ("PS205", "PS903", "PS904", "PS905", "PS911", "PS912")
SPEAK = {  # sample -> rules about tampering and about sessions together that must speak; the others must not
    "strip-smtp-removed-inside": "",
    "strip-smtp-removed-outside": "",
    "strip-smtp-masked-inside": "PS301",
    "strip-smtp-masked-outside": "",
    "strip-smtp-inspected-inside": "PS301 PS302 PS303",
    "strip-smtp-inspected-outside": "",
    "strip-smtp-pix-inside": "PS303 PS309",
    "strip-smtp-pix-outside": "PS309",
    "strip-smtp-pix-banner-inside": "PS303",
    "strip-smtp-pix-banner-outside": "",
    "strip-smtp-ehlo-refused-inside": "PS309 PS318",
    "strip-smtp-ehlo-refused-outside": "",
    "strip-smtp-ehlo-to-helo-inside": "",
    "strip-smtp-ehlo-to-helo-outside": "",
    "strip-smtp-garbled-inside": "PS205 PS304 PS306",
    "strip-smtp-garbled-outside": "PS304",
    "strip-smtp-refused-inside": "PS205 PS306 PS318",
    "strip-smtp-refused-outside": "",
    "strip-smtp-padded-inside": "PS310",
    "strip-smtp-padded-outside": "",
    "strip-smtp-last-line-inside": "PS310",
    "strip-smtp-last-line-outside": "",
    "strip-smtp-overlap-inside": "PS310 PS311 PS318",
    "strip-smtp-overlap-outside": "",
    "strip-smtp-desync-inside": "PS317 PS318",
    "strip-smtp-desync-outside": "",
    "strip-smtp-reset-inside": "PS205 PS307 PS308",
    "strip-smtp-reset-outside": "PS205 PS307",
    "strip-imap-removed-inside": "",
    "strip-imap-removed-outside": "",
    "strip-imap-masked-inside": "PS301",
    "strip-imap-masked-outside": "",
    "strip-imap-logindisabled-inside": "",
    "strip-imap-logindisabled-outside": "",
    "strip-imap-preauth-inside": "",
    "strip-imap-preauth-outside": "",
    "strip-imap-refused-inside": "PS306 PS318",
    "strip-imap-refused-outside": "",
    "strip-pop3-removed-inside": "",
    "strip-pop3-removed-outside": "",
    "strip-pop3-masked-inside": "PS301",
    "strip-pop3-masked-outside": "",
    "strip-pop3-garbled-inside": "PS304 PS306",
    "strip-pop3-garbled-outside": "PS304",
    "strip-managesieve-removed-inside": "",
    "strip-managesieve-removed-outside": "",
    "strip-managesieve-masked-inside": "PS301",
    "strip-managesieve-masked-outside": "",
    "strip-nntp-garbled-inside": "PS304 PS306",
    "strip-nntp-garbled-outside": "PS304",
    "strip-nntp-removed-inside": "",
    "strip-nntp-removed-outside": "",
    "strip-smtp-for-a-while-inside": "PS305 PS903",
    "strip-smtp-for-a-while-outside": "PS903 PS911",
    "strip-imap-mechanisms-inside": "PS305 PS319 PS903",
    "strip-imap-mechanisms-outside": "PS903 PS911",
    "strip-submission-mechanisms-inside": "PS305 PS319 PS903",
    "strip-submission-mechanisms-outside": "PS903 PS911",
    "inject-smtp-command-inside": "",
    "inject-smtp-command-outside": "PS313",
    "inject-submission-command-inside": "",
    "inject-submission-command-outside": "PS313",
    "inject-imap-command-inside": "",
    "inject-imap-command-outside": "PS313",
    "inject-pop3-command-inside": "",
    "inject-pop3-command-outside": "PS313",
    "inject-managesieve-command-inside": "",
    "inject-managesieve-command-outside": "PS313",
    "inject-nntp-command-inside": "",
    "inject-nntp-command-outside": "PS313",
    "inject-imap-mailboxes-inside": "PS315",
    "inject-imap-mailboxes-outside": "",
    "inject-imap-referral-inside": "PS315",
    "inject-imap-referral-outside": "",
    "inject-smtp-response-inside": "PS314",
    "inject-smtp-response-outside": "",
    "inject-imap-response-inside": "PS314",
    "inject-imap-response-outside": "",
    "inject-pop3-response-inside": "PS314",
    "inject-pop3-response-outside": "",
    "twin-no-tls-inside": "",
    "twin-no-tls-outside": "",
    "twin-nat-inside": "",
    "twin-nat-outside": "",
    "twin-balanced-inside": "",
    "twin-balanced-outside": "",
    "twin-proxy-inside": "",
    "twin-proxy-outside": "",
    "twin-tls-proxy-inside": "",
    "twin-tls-proxy-outside": "",
    "twin-switched-on": "",
    "twin-switched-off": "PS305 PS903",  # innocent, but so looks a box from its first day on: unsure, and said to be a change, see below
    "twin-refused": "PS205 PS306",  # nobody can tell this 454 from a box's
    "twin-distrusted": "",
    "twin-unverified": "",
    "twin-reset-after-quit": "",
    "twin-decrypted": "PS317",  # as what it is, see below
    "twin-hello-ahead": "",
    "twin-chosen": "PS305",  # nor this choice from a box on the path of one client
    "fallback-protocol": "PS205",
    "fallback-then-tls": "PS205 PS307",
    "fallback-deferred": "",
    "regression-client": "PS903",
    "chain": "PS905 PS912",
    "chain-hop": "",
    "chain-fetched": "",
    "hop-claims-tls": "PS905",
}
CHANGED = {  # recording -> what the box changed: who sent it, what was sent, what arrived
    "strip-smtp-removed": [(SERVER, b"250-STARTTLS\r\n", b"")],
    "strip-smtp-masked": [(SERVER, b"STARTTLS", b"XXXXXXXA")],
    "strip-smtp-inspected": [(SERVER, b"mail.example.org ESMTP Postfix\r\n", b"*" * 30 + b"\r\n"), (SERVER, b"PIPELINING", b"X" * 10), (SERVER, b"STARTTLS", b"XXXXXXXA"),
                             (SERVER, b"ENHANCEDSTATUSCODES", b"X" * 19), (SERVER, b"DSN", b"XXX"), (SERVER, b"SMTPUTF8", b"X" * 8), (SERVER, b"CHUNKING", b"X" * 8)],
    "strip-smtp-pix": [(SERVER, b"mail.example.org ESMTP Postfix\r\n", b"*" * 30 + b"\r\n"), (CLIENT, b"EHLO", b"XXXX")],
    "strip-smtp-pix-banner": [(SERVER, b"mail.example.org ESMTP Postfix\r\n", b"*" * 30 + b"\r\n")],
    "strip-smtp-ehlo-refused": [(CLIENT, b"EHLO branch.example.net\r\n", b""), (SERVER, b"", b"500 5.5.1 Command unrecognized\r\n")],
    "strip-smtp-ehlo-to-helo": [(CLIENT, b"EHLO", b"HELO")],
    "strip-smtp-garbled": [(CLIENT, b"STARTTLS", b"XXXXXXXX")],
    "strip-smtp-refused": [(CLIENT, b"STARTTLS\r\n", b""), (SERVER, b"", b"454 4.7.0 TLS not available due to temporary reason\r\n")],
    "strip-smtp-padded": [(SERVER, b"STARTTLS", b" " * 8)],
    "strip-smtp-last-line": [(SERVER, b"250 STARTTLS\r\n", b"")],
    "strip-smtp-overlap": [(SERVER, b"250-STARTTLS\r\n", b"250-8BITMIME\r\n")],
    "strip-smtp-desync": [(CLIENT, b"STARTTLS\r\n", b""), (SERVER, b"", b"220 2.0.0 Ready to start TLS\r\n")],
    "inject-smtp-command": [(CLIENT, b"STARTTLS\r\n", b"STARTTLS\r\nRSET\r\n")],
    "inject-submission-command": [(CLIENT, b"STARTTLS\r\n", b"STARTTLS\r\nRSET\r\n")],
    "inject-imap-command": [(CLIENT, b"STARTTLS\r\n", b"STARTTLS\r\nx1 NOOP\r\n")],
    "inject-pop3-command": [(CLIENT, b"STLS\r\n", b"STLS\r\nNOOP\r\n")],
    "inject-managesieve-command": [(CLIENT, b"STARTTLS\r\n", b"STARTTLS\r\nNOOP\r\n")],
    "inject-nntp-command": [(CLIENT, b"STARTTLS\r\n", b"STARTTLS\r\nDATE\r\n")],
    "inject-imap-mailboxes": [(SERVER, b"* CAPABILITY", b'* LIST (\\Noselect) "/" Payroll\r\n* 7 EXISTS\r\n* CAPABILITY')],
    "strip-managesieve-masked": [(SERVER, b"STARTTLS", b"XXXXXXXX")],
    "strip-nntp-garbled": [(CLIENT, b"STARTTLS", b"XXXXXXXX")],
    "inject-smtp-response": [(SERVER, b"Ready to start TLS\r\n", b"Ready to start TLS\r\n250-mail.example.org\r\n250 AUTH PLAIN LOGIN\r\n")],
    "inject-imap-response": [(SERVER, b"Begin TLS negotiation now.\r\n", b"Begin TLS negotiation now.\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")],
    "inject-pop3-response": [(SERVER, b"Begin TLS negotiation now.\r\n", b"Begin TLS negotiation now.\r\n+OK Logged in.\r\n")],
    "strip-imap-removed": [(SERVER, b" STARTTLS", b"")] * 2,
    "strip-imap-masked": [(SERVER, b"STARTTLS", b"XXXXXXXX")] * 2,
    "strip-imap-logindisabled": [(SERVER, b" STARTTLS LOGINDISABLED", b"")] * 2,
    "strip-imap-preauth": [(SERVER, b"* OK [", b"* PREAUTH [")],
    "strip-imap-refused": [(CLIENT, b"a2 STARTTLS\r\n", b""), (SERVER, b"", b"a2 NO TLS is not available.\r\n")],
    "strip-pop3-removed": [(SERVER, b"STLS\r\n", b"")],
    "strip-pop3-masked": [(SERVER, b"STLS", b"XXXX")],
    "strip-pop3-garbled": [(CLIENT, b"STLS", b"XXXX")],
    "strip-managesieve-removed": [(SERVER, b'"STARTTLS"\r\n', b"")],
    "strip-nntp-removed": [(SERVER, b"STARTTLS\r\n", b"")],
    "twin-no-tls": [],
    "twin-nat": [],
    "twin-proxy": [],
}
BY_NAME = {sample.name.partition(".")[0]: sample for sample in SAMPLES}


@pytest.mark.parametrize("name", SPEAK)
def test_rules_speak_where_they_must_and_nowhere_else(name: str):
    found = set(analysed(BY_NAME[name]).findings["rule_id"])
    assert sorted(found.intersection(TAMPERED + ACROSS)) == built(tuple(SPEAK[name].split()))


PREFIXES = ("strip-", "inject-", "twin-", "fallback-", "regression-", "chain", "hop-")


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.name.startswith(PREFIXES)], ids=lambda sample: sample.name)
def test_each_recording_of_a_box_and_each_twin_stands_here(sample: Sample):
    """With the same rules as samples.csv names."""
    assert [rule_id for rule_id in sample.findings if rule_id in TAMPERED + ACROSS] == SPEAK[sample.name.partition(".")[0]].split()


def streams(name: str) -> tuple[bytes, bytes]:
    """What client and server sent in the first connection of a recording, as its receiver took it: of overlapping segments the first counts."""
    data = (FOLDER / f"{name}.pcap").read_bytes()
    at, client, first = 24, None, [0, 0]
    taken: tuple[dict[int, int], dict[int, int]] = {}, {}
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        ip = data[at + 16 + 14:at + 16 + length]
        at += 16 + length
        ports, sequence, flags = struct.unpack("!HH", ip[20:24]), struct.unpack("!I", ip[24:28])[0], ip[33]
        payload = ip[20 + (ip[32] >> 4) * 4:struct.unpack("!H", ip[2:4])[0]]
        if client is None:
            client = ports
        if sorted(ports) != sorted(client):
            continue
        side = ports != client
        if flags & 2:
            first[side] = sequence + 1
        for index, byte in enumerate(payload):
            taken[side].setdefault((sequence - first[side] + index) % (1 << 32), byte)
    return tuple(bytes(side[number] for number in sorted(side)) for side in taken)


@pytest.mark.parametrize("name", CHANGED)
def test_the_two_sides_of_a_box_differ_by_what_it_did(name: str):
    """What `pcapsec compare` must name: every other byte of the connection is the same on both sides."""
    inside, outside = streams(f"{name}-inside"), streams(f"{name}-outside")
    for side, sent, arrived in ((CLIENT, inside[CLIENT], outside[CLIENT]), (SERVER, outside[SERVER], inside[SERVER])):
        at = 0
        for changed_by, old, new in CHANGED[name]:
            if changed_by == side:
                at = arrived.index(new, at) if old == b"" else sent.index(old, at)
                sent = sent[:at] + new + sent[at + len(old):]
                at += len(new)
        assert sent == arrived


def test_a_chain_of_three_servers_is_told_by_the_message_at_its_end():
    """TLS to Postfix, clear to Exim, TLS to Postfix, then local delivery; the reader fetched it in clear."""
    hops = analysed(BY_NAME["chain-fetched"]).hops
    assert rows(hops, "hop", "from_host", "by_host", "with_protocol", "tls_version", "protected") == [
        "1 client.example.net office.example.org ESMTPS TLSv1.3 True", "2 office.example.org exim.example.org ESMTP - False",
        "3 exim.example.org mx.example.org ESMTPS TLSv1.3 True", "4 mx.example.org mail.example.org LMTP - False"]
    assert rows(analysed(BY_NAME["chain-hop"]).hops, "hop", "by_host", "protected") == ["1 office.example.org True"]


def test_what_a_tap_decrypted_is_not_called_a_downgrade():
    findings = analysed(BY_NAME["twin-decrypted"]).findings
    assert rows(findings[findings["rule_id"] == "PS317"], "severity", "variant") == ["info decrypted-in-place"]


def test_a_change_in_time_is_told_from_an_offer_that_comes_and_goes():
    def offers(name: str) -> list[str]:
        findings = analysed(BY_NAME[name]).findings
        return rows(findings[findings["rule_id"] == "PS305"], "severity", "confidence", "variant")

    assert offers("twin-switched-off") == ["medium low config-change"]
    assert offers("strip-smtp-for-a-while-inside") == ["high high smtp"]
    assert offers("twin-chosen") == ["high low by-client"]
