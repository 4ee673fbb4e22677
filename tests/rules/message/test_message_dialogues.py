"""Whole conversations through the real parsers: which findings about messages each of them gives."""
from __future__ import annotations

import importlib

import pytest

from tests.helpers import converse, dialogue

PARSERS = {"smtp": "SmtpParser", "imap": "ImapParser", "pop3": "Pop3Parser"}
ENVELOPED = "MIIBAAYJKoZIhvcNAQcDoIHyMIHvAgEAMYGsMIGpAgEAMBIwDTELMAkGA1UEAwwC"  # the front of an enveloped structure
RECEIVED = "C: Received: from a.example ([192.0.2.1]) by b.example with ESMTP id 1; Mon, 1 Jan 2024 00:00:00 +0000"


def smtp(*lines: str) -> str:
    return ("S: 220 mx ESMTP\nC: EHLO pc\nS: 250 mx\nC: MAIL FROM:<a@x.example>\nS: 250 ok\nC: RCPT TO:<b@y.example>\nS: 250 ok\nC: DATA\nS: 354 go\n"
            + "\n".join(lines) + "\nC: .\nS: 250 queued\nC: QUIT\nS: 221 bye\n")


CASES = {
    "plain": ("smtp", smtp("C: Subject: x", "C:", "C: hi"), {"PS705": "medium"}),
    "a list": ("smtp", smtp("C: List-Id: <x.example>", "C:", "C: hi"), {"PS705": "low"}),
    "confidential": ("smtp", smtp("C: Sensitivity: Private", "C:", "C: hi"), {"PS705": "high"}),
    "S/MIME": ("smtp", smtp("C: Subject: merger", "C: Content-Type: application/pkcs7-mime; smime-type=enveloped-data", "C:", f"C: {ENVELOPED}"), {"PS701": "info", "PS706": "low"}),
    "S/MIME with a hidden subject": ("smtp", smtp("C: Subject: [...]", "C: Content-Type: application/pkcs7-mime; smime-type=enveloped-data", "C:", f"C: {ENVELOPED}"), {"PS701": "info"}),
    "signed": ("smtp", smtp("C: Subject: x", 'C: Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha1; boundary=b', "C:", "C: --b", "C:", "C: hi", "C: --b--"),
               {"PS702": "info", "PS703": "medium", "PS705": "medium"}),
    "a clear hop": ("smtp", smtp(RECEIVED, "C: Subject: x", "C:", "C: hi"), {"PS705": "medium", "PS708": "medium"}),
    "a weak hop": ("smtp", smtp(RECEIVED.replace("ESMTP id", "ESMTPS (TLSv1:RC4-SHA:128) id"), "C: Subject: x", "C:", "C: hi"), {"PS705": "medium", "PS709": "low"}),
    "winmail.dat": ("smtp", smtp("C: Content-Type: multipart/mixed; boundary=b", "C:", "C: --b", "C: Content-Type: application/ms-tnef; name=winmail.dat", "C:", "C: eJ8+I", "C: --b--"),
                    {"PS705": "medium", "PS707": "info"}),
    "POP3": ("pop3", "S: +OK hi\nC: RETR 1\nS: +OK\nS: Subject: x\nS:\nS: hi\nS: .\nC: QUIT\nS: +OK\n", {"PS705": "medium"}),
    "POP3, headers only": ("pop3", "S: +OK hi\nC: TOP 1 0\nS: +OK\nS: Subject: x\nS: Content-Type: text/plain\nS:\nS: .\nC: QUIT\nS: +OK\n", {}),
    "IMAP": ("imap", "S: * OK hi\nC: a FETCH 1 BODY[]\nS: * 1 FETCH (BODY[] {18}\nS: Subject: x\nS:\nS: hi\nS: )\nS: a OK\n", {"PS705": "medium"}),
    "IMAP, text only": ("imap", "S: * OK hi\nC: a FETCH 1 BODY[TEXT]\nS: * 1 FETCH (BODY[TEXT] {4}\nS: hi\nS: )\nS: a OK\n", {}),
}


def judged(court, session, protocol: str, text: str, **losses):
    turns = dialogue(text)
    parser = converse(getattr(importlib.import_module(f"pcapsec.protocols.{protocol}"), PARSERS[protocol]), turns)
    made = session(protocol, **losses)
    made.facts = parser.facts
    return court.try_session(made)


@pytest.mark.parametrize("name", CASES)
def test_dialogue(court, session, name):
    protocol, text, expected = CASES[name]
    made = judged(court, session, protocol, text)
    assert {finding.rule.id: finding.severity for finding in made.findings if finding.rule.category == "message"} == expected


def test_nothing_is_said_about_what_was_lost(court, session):
    text = CASES["S/MIME"][1].replace("C: Subject: merger", "C! 30\nC: 7bit")
    made = judged(court, session, "smtp", text, unseen_client="gap")
    assert [finding.rule.id for finding in made.findings if finding.rule.category == "message"] == []
    verdicts = {rule_id: (verdict, reason) for rule_id, verdict, reason in made.assessments if rule_id.startswith("PS7")}
    assert {rule_id: verdicts[rule_id] for rule_id in ("PS701", "PS702", "PS705", "PS708")} == dict.fromkeys(("PS701", "PS702", "PS705", "PS708"), ("not_observable", "gap"))
