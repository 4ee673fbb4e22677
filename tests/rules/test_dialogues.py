"""Whole conversations through the real parsers: which findings each of them gives, and which it must not."""
from __future__ import annotations

import base64
import importlib

import pytest

from tests.helpers import converse, dialogue

PARSERS = {"smtp": "SmtpParser", "imap": "ImapParser", "pop3": "Pop3Parser", "nntp": "NntpParser", "managesieve": "ManageSieveParser",
           "http": "HttpParser"}
TOKEN = base64.b64encode(b"\0alice\0correct horse").decode()
EHLO = "S: 220 mx ESMTP\nC: EHLO pc\nS: 250-mx\n"
QUIT = "C: QUIT\nS: 221 bye\n"
MAIL = "C: MAIL FROM:<a@x.example>\nS: 250 ok\nC: RCPT TO:<b@y.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: Subject: x\nC:\nC: hi\nC: .\nS: 250 queued\n"
HELLO = "C> \\x16\\x03\\x01\\x00\\x05abcde\n"

CASES = {
    "submission, offer ignored": ("smtp", 587, EHLO + f"S: 250-STARTTLS\nS: 250 AUTH PLAIN\nC: AUTH PLAIN {TOKEN}\nS: 235 ok\n" + MAIL + QUIT, "exposed",
                                  {"PS101": "critical", "PS115": "critical", "PS121": "medium", "PS202": "high", "PS204": "high", "PS206": "high", "PS212": "high",
                                   "PS705": "medium"}),
    "relay without offer": ("smtp", 25, EHLO + "S: 250 SIZE 1\n" + MAIL + QUIT, "exposed", {"PS201": "medium", "PS206": "medium", "PS705": "medium"}),
    "relay with STARTTLS": ("smtp", 25, EHLO + "S: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n" + HELLO, "protected", {"PS217": "info"}),
    "probe": ("smtp", 25, EHLO + "S: 250 STARTTLS\n" + QUIT, "weak", {"PS204": "info"}),
    "server insists": ("smtp", 587, EHLO + "S: 250 STARTTLS\nC: MAIL FROM:<a@x.example>\nS: 530 5.7.0 Must issue a STARTTLS command first\n" + QUIT, "weak",
                       {"PS204": "medium"}),
    "refused for now": ("smtp", 25, EHLO + "S: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 TLS not available\n" + QUIT, "weak", {"PS215": "medium", "PS306": "medium"}),
    "masked": ("smtp", 25, EHLO + "S: 250-XXXXXXXA\nS: 250 SIZE 1\n" + QUIT, "weak", {"PS301": "high"}),
    "masked 8BITMIME beside the offer": ("smtp", 25, EHLO + "S: 250-XXXXXXXX\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n" + HELLO, "protected", {"PS217": "info"}),
    "HELO": ("smtp", 25, "S: 220 mx\nC: HELO pc\nS: 250 mx\n" + MAIL + QUIT, "exposed", {"PS203": "low", "PS206": "medium", "PS705": "medium"}),
    "base64 in a message": ("smtp", 25, EHLO + "S: 250 STARTTLS\n" + MAIL.replace("C: hi", f"C: AUTH PLAIN {TOKEN}\nC: STARTTLS") + QUIT, "exposed",
                            {"PS204": "high", "PS206": "medium", "PS705": "medium"}),
    "AUTH cancelled": ("smtp", 587, EHLO + "S: 250 AUTH PLAIN\nC: AUTH PLAIN\nS: 334\nC: *\nS: 501 cancelled\n" + QUIT, "weak",
                       {"PS121": "medium", "PS201": "medium", "PS202": "high", "PS212": "high"}),
    "LOGIN forbidden": ("imap", 143, "S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\nC: a LOGIN bob \"correct horse\"\nS: a NO [PRIVACYREQUIRED] no\n"
                                     "C: b LOGOUT\nS: * BYE\nS: b OK\n", "exposed", {"PS110": "critical", "PS115": "critical", "PS204": "medium", "PS210": "high"}),
    "IMAP list after the login only": ("imap", 143, "S: * OK hi\nC: a LOGIN bob correct-horse\nS: a OK [CAPABILITY IMAP4rev1 IDLE] in\nC: b LOGOUT\nS: * BYE\nS: b OK\n", "exposed",
                                       {"PS110": "critical", "PS212": "high"}),
    "LOGIN in a literal": ("imap", 143, "S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\nC: a ID (\"x\" {13+}\nC: b LOGIN a b\nC: )\nS: a OK\n"
                                        "C: c STARTTLS\nS: c OK\n" + HELLO, "protected", {}),
    "PREAUTH": ("imap", 143, "S: * PREAUTH [CAPABILITY IMAP4rev1] hi\nC: a SELECT INBOX\nS: a OK\n", "exposed", {"PS209": "high", "PS212": "high"}),
    "POP3": ("pop3", 110, "S: +OK hi\nC: CAPA\nS: +OK\nS: USER\nS: .\nC: USER bob\nS: +OK\nC: PASS correct  horse\nS: +OK\nC: QUIT\nS: +OK\n", "exposed",
             {"PS112": "critical", "PS121": "medium", "PS201": "medium", "PS212": "high"}),
    "POP3 masked": ("pop3", 110, "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS: USER\nS: XXXX\nS: .\nC: QUIT\nS: +OK\n", "weak", {"PS121": "medium", "PS301": "high"}),
    "NNTP": ("nntp", 119, "S: 200 hi\nC: AUTHINFO USER bob\nS: 381 more\nC: AUTHINFO PASS correct-horse\nS: 281 ok\nC: QUIT\nS: 205 bye\n", "exposed", {"PS113": "critical"}),
    "ManageSieve": ("managesieve", 4190, f'S: "SASL" "PLAIN"\nS: "STARTTLS"\nS: OK\nC: AUTHENTICATE "PLAIN" "{TOKEN}"\nS: OK\nC: LOGOUT\nS: OK\n', "exposed",
                    {"PS114": "critical", "PS115": "critical", "PS121": "medium", "PS204": "high", "PS212": "high"}),
}


def judged(court, session, protocol: str, port: int, text, **losses):
    """The session of a dialogue, or of its turns, after a parser and the judge."""
    turns = dialogue(text) if isinstance(text, str) else text
    parser = converse(getattr(importlib.import_module(f"pcapsec.protocols.{protocol}"), PARSERS[protocol]), turns, server_port=port, start_seen=losses.get("start_seen", True))
    numbers: tuple[list, list] = ([], [])
    at = [0, 0]
    for number, (side, data) in enumerate(turns):
        numbers[side].append((at[side], number))
        at[side] += len(data)

    def locate(side: int, offset: int) -> tuple[str, int, int]:
        number = max(number for start, number in numbers[side] if start <= offset)
        return "a.pcap", number + 1, number

    made = session(protocol, **{"server_port": port, "locate": locate, "tls_mode": "starttls" if parser.facts.tls_started else "none", **losses})
    made.facts, made.protocol = parser.facts, parser.facts.protocol
    return court.try_session(made)


@pytest.mark.parametrize("name", CASES)
def test_dialogue(court, session, name):
    protocol, port, text, verdict, expected = CASES[name]
    made = judged(court, session, protocol, port, text)
    assert ({finding.rule.id: finding.severity for finding in made.findings}, made.verdict) == (expected, verdict)
    assert [rule_id for rule_id, verdict, _ in made.assessments if verdict == "fail"] == sorted(expected)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[0] == "smtp"])
def test_server_side_missing(court, session, name):
    """Nothing about what a server offers or lacks may be said without its bytes."""
    protocol, port, text, _, _ = CASES[name]
    client_only = "\n".join(line for line in text.splitlines() if line.startswith("C"))
    made = judged(court, session, protocol, port, client_only, unseen_server="one_sided", bytes_server=0, packets_server=0)
    assert {finding.rule.id for finding in made.findings} & {"PS115", "PS121", "PS201", "PS204", "PS215", "PS301"} == set()
    verdicts = {rule_id: (verdict, reason) for rule_id, verdict, reason in made.assessments}
    if not made.facts.tls_started:
        assert verdicts["PS201"] == ("not_observable", "one_sided")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[0] == "smtp"])
def test_client_side_missing(court, session, name):
    protocol, port, text, _, _ = CASES[name]
    server_only = "\n".join(line for line in text.splitlines() if line.startswith("S"))
    made = judged(court, session, protocol, port, server_only, unseen_client="one_sided", bytes_client=0, packets_client=0)
    assert [finding.rule.id for finding in made.findings if finding.rule.id.startswith("PS1") and finding.rule.id != "PS121"] == []
    assert {finding.rule.id for finding in made.findings} & {"PS203", "PS204", "PS212", "PS215"} == set()
