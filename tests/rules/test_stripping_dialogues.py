"""Whole conversations with somebody on the way, through the real parsers: findings, which of them is the root, and what innocent twins must not give."""
from __future__ import annotations

import random

import pytest

from tests.helpers import cut, dialogue, merged
from tests.rules.test_dialogues import EHLO, HELLO, MAIL, QUIT, TOKEN, judged

LIST = "S: 250-STARTTLS\nS: 250 SIZE 1\n"
STRIPPING = {f"PS{n}" for n in range(301, 320)}
IMAP = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n"
POP3 = "S: +OK hi\nC: CAPA\nS: +OK\nS: USER\nS: UIDL\nS: STLS\nS: .\n"
NNTP = "S: 200 news\nC: CAPABILITIES\nS: 101 x\nS: VERSION 2\nS: STARTTLS\nS: .\n"
SIEVE = 'S: "SASL" "PLAIN"\nS: "STARTTLS"\nS: OK\n'
IMAP_LOGIN = "C: z LOGIN bob correct-horse\nS: z OK in\n"
POP3_LOGIN = "C: USER bob\nS: +OK\nC: PASS correct-horse\nS: +OK\nC: QUIT\nS: +OK\n"
NNTP_LOGIN = "C: AUTHINFO USER bob\nS: 381 more\nC: AUTHINFO PASS correct-horse\nS: 281 ok\nC: QUIT\nS: 205 bye\n"
SIEVE_LOGIN = f'C: AUTHENTICATE "PLAIN" "{TOKEN}"\nS: OK\nC: LOGOUT\nS: OK\n'
SHELLO = "S> \\x16\\x03\\x03\\x00\\x05abcde\n"

CASES = {  # name -> protocol, port, dialogue, findings of the family with their severities, root of the missing protection -> those that hang on it
    "masked": ("smtp", 25, EHLO + "S: 250-XXXXXXXA\nS: 250-8BITMIME\nS: 250-CHUNKING\nS: 250 SMTPUTF8\n" + MAIL + QUIT, {"PS301": "high"}, ("PS301", {"PS206", "PS705"})),
    "all masked": ("smtp", 25, "S: 220 ****************\nC: EHLO pc\nS: 250-mx\nS: 250-XXXA\nS: 250-XXXXXXXB\nS: 250 XXXXXXXXXC\n" + MAIL + QUIT,
                   {"PS301": "high", "PS302": "medium", "PS303": "medium"}, ("PS301", {"PS206", "PS302", "PS303", "PS705"})),
    "asterisks and no offer": ("smtp", 25, "S: 220 ****************\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + MAIL + QUIT, {"PS303": "medium"}, ("PS303", {"PS206", "PS705"})),
    "EHLO refused": ("smtp", 25, "S: 220 mx ESMTP\nC: EHLO pc\nS: 502 what\nC: HELO pc\nS: 250 mx\n" + MAIL + QUIT, {"PS309": "high"}, ("PS309", {"PS206", "PS705"})),
    "EHLO written over": ("smtp", 25, "S: 220 mx ESMTP\nC: XXXX pc\nS: 500 what\nC: HELO pc\nS: 250 mx\n" + MAIL + QUIT, {"PS309": "high"}, ("PS309", {"PS203", "PS206", "PS705"})),
    "request written over": ("smtp", 25, EHLO + LIST + "C: XXXXXXXX\nS: 500 what\n" + MAIL + QUIT, {"PS304": "critical"}, ("PS304", {"PS204", "PS206", "PS705"})),
    "request written over, LMTP": ("smtp", 24, "S: 220 mx LMTP\nC: LHLO pc\nS: 250-mx\n" + LIST + "C: XXXXXXXX\nS: 500 what\n" + MAIL + QUIT, {"PS304": "critical"},
                                   ("PS304", {"PS204", "PS206", "PS705"})),
    "contradiction": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 502 what\n" + MAIL + QUIT, {"PS304": "high", "PS306": "high"}, ("PS304", {"PS206", "PS215", "PS306", "PS705"})),
    "echo": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 500 unrecognized: \"XXXXXXXX\"\n" + MAIL + QUIT, {"PS304": "critical", "PS306": "high"}, ("PS304", {"PS206", "PS215", "PS306", "PS705"})),
    "refused for now": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 454 later\n" + MAIL + QUIT, {"PS306": "medium"}, ("PS306", {"PS206", "PS215", "PS705"})),
    "line padded": ("smtp", 25, EHLO + "S: 250-        \nS: 250 SIZE 1\n" + MAIL + QUIT, {"PS310": "medium"}, ("PS310", {"PS206", "PS705"})),
    "line cut, the last one": ("smtp", 25, EHLO + "S: 250-SIZE 1\nC: HELO pc\nS: 250 mx\n" + MAIL + QUIT, {"PS310": "medium"}, ("PS310", {"PS206", "PS705"})),
    "one list of two edited": ("imap", 143, IMAP + "C: a CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: a OK\n" + IMAP_LOGIN, {"PS310": "medium"}, ("PS310", set())),
    "consent and clear text": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 220 go\n" + MAIL + QUIT, {"PS317": "high"}, ("PS317", {"PS206", "PS705"})),
    "commands behind the request": ("smtp", 25, EHLO + LIST + "C> STARTTLS\\r\\nRSET\\r\\n\nS: 220 go\n" + HELLO, {"PS313": "critical"}, ("PS313", {"PS217"})),
    "and answered": ("smtp", 25, EHLO + LIST + "C> STARTTLS\\r\\nRSET\\r\\n\nS> 220 go\\r\\n250 ok\\r\\n\n" + HELLO + SHELLO, {"PS313": "critical", "PS314": "critical"},
                     ("PS313", {"PS217", "PS314"})),
    "replies behind the consent": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS> 220 go\\r\\n250 ok\\r\\n\n" + HELLO + SHELLO, {"PS314": "critical"}, ("PS314", {"PS217"})),
    "IMAP masked": ("imap", 143, "S: * OK [CAPABILITY IMAP4rev1 XXXXXXXX] hi\n" + IMAP_LOGIN, {"PS301": "high"}, ("PS301", {"PS212"})),
    "IMAP written over": ("imap", 143, IMAP + "C: a XXXXXXXX\nS: a BAD what\n" + IMAP_LOGIN, {"PS304": "critical"}, ("PS304", {"PS204", "PS212"})),
    "IMAP contradiction": ("imap", 143, IMAP + "C: a STARTTLS\nS: a BAD what\n" + IMAP_LOGIN, {"PS304": "high", "PS306": "high"}, ("PS304", {"PS212", "PS215", "PS306"})),
    "IMAP commands": ("imap", 143, IMAP + "C> a STARTTLS\\r\\nb NOOP\\r\\n\nS: a OK\n" + HELLO, {"PS313": "critical"}, ("PS313", set())),
    "IMAP replies": ("imap", 143, IMAP + "C: a STARTTLS\nS> a OK\\r\\n* LIST () \"/\" INBOX\\r\\n\n" + HELLO + SHELLO, {"PS314": "critical"}, ("PS314", set())),
    "IMAP mailboxes before a login": ("imap", 143, IMAP + "C: a CAPABILITY\nS: * LIST () \"/\" INBOX\nS: * CAPABILITY IMAP4rev1 STARTTLS\nS: a OK\nC: b STARTTLS\nS: b OK\n" + HELLO,
                                      {"PS315": "medium"}, ("PS315", set())),
    "POP3 masked": ("pop3", 110, POP3.replace("STLS", "XXXX") + POP3_LOGIN, {"PS301": "high"}, ("PS301", {"PS212"})),
    "POP3 written over": ("pop3", 110, POP3 + "C: XXXX\nS: -ERR what\n" + POP3_LOGIN, {"PS304": "critical"}, ("PS304", {"PS204", "PS212"})),
    "POP3 contradiction": ("pop3", 110, POP3 + "C: STLS\nS: -ERR Unknown command.\n" + POP3_LOGIN, {"PS304": "high", "PS306": "high"}, ("PS304", {"PS212", "PS215", "PS306"})),
    "POP3 replies": ("pop3", 110, POP3 + "C: STLS\nS> +OK go\\r\\n+OK in\\r\\n\n" + HELLO + SHELLO, {"PS314": "critical"}, ("PS314", set())),
    "NNTP masked": ("nntp", 119, NNTP.replace("STARTTLS", "XXXXXXXX") + NNTP_LOGIN, {"PS301": "high"}, ("PS301", set())),
    "NNTP written over": ("nntp", 119, NNTP + "C: XXXXXXXX\nS: 500 what\n" + NNTP_LOGIN, {"PS304": "critical"}, ("PS304", {"PS204"})),
    "NNTP commands": ("nntp", 119, NNTP + "C> STARTTLS\\r\\nDATE\\r\\n\nS: 382 go\n" + HELLO, {"PS313": "critical"}, ("PS313", set())),
    "ManageSieve masked": ("managesieve", 4190, SIEVE.replace("STARTTLS", "XXXXXXXX") + SIEVE_LOGIN, {"PS301": "high"}, ("PS301", {"PS212"})),
    "ManageSieve written over": ("managesieve", 4190, SIEVE + 'C: XXXXXXXX\nS: NO "what"\n' + SIEVE_LOGIN, {"PS304": "critical"}, ("PS304", {"PS204", "PS212"})),
    "ManageSieve contradiction": ("managesieve", 4190, SIEVE + 'C: STARTTLS\nS: NO "unknown command"\n' + SIEVE_LOGIN, {"PS304": "high", "PS306": "high"}, ("PS304", {"PS212", "PS215", "PS306"})),
    "login, then STARTTLS": ("smtp", 587, EHLO + LIST + f"C: AUTH PLAIN {TOKEN}\nS: 235 ok\nC: STARTTLS\nS: 503 out of order\n" + QUIT, {"PS316": "low"}, ("PS316", set())),
    "decrypted in place": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 220 go\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + MAIL + QUIT, {"PS317": "info"}, ("PS317", set())),
    "decrypted in place, IMAP": ("imap", 143, IMAP + "C: a STARTTLS\nS: a OK\nC: b CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN\nS: b OK\n" + IMAP_LOGIN, {"PS317": "info"}, ("PS317", set())),
    "decrypted in place, POP3": ("pop3", 110, POP3 + "C: STLS\nS: +OK\nC: CAPA\nS: +OK\nS: USER\nS: .\n" + POP3_LOGIN, {"PS317": "info"}, ("PS317", set())),
    "decrypted in place, ManageSieve": ("managesieve", 4190, SIEVE + 'C: STARTTLS\nS: OK\nC: CAPABILITY\nS: "SASL" "PLAIN"\nS: OK\n' + SIEVE_LOGIN, {"PS317": "info"}, ("PS317", set())),
}
TWINS = {  # nothing of the family
    "a server without TLS": ("smtp", 25, EHLO + "S: 250 SIZE 1\n" + MAIL + QUIT),
    "a server that never heard of STARTTLS": ("smtp", 25, EHLO + "S: 250 SIZE 1\nC: STARTTLS\nS: 502 what\n" + MAIL + QUIT),
    "an old server": ("smtp", 25, "S: 220 old Sendmail 5.65\nC: EHLO pc\nS: 500 what\nC: HELO pc\nS: 250 old\n" + MAIL + QUIT),
    "EHLO without a name": ("smtp", 25, "S: 220 mx ESMTP\nC: EHLO\nS: 501 Syntax: EHLO hostname\nC: HELO pc\nS: 250 mx\n" + MAIL + QUIT),
    "a greeting in a box of asterisks": ("smtp", 25, "S: 220-************************\nS: 220-* mx.example         *\nS: 220 ************************\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + QUIT),
    "vendors' keywords": ("smtp", 25, EHLO + "S: 250-XCLIENT NAME\nS: 250-XEXCH50\nS: 250-X-EXPS NTLM\nS: 250 X-ANONYMOUSTLS\n" + MAIL + QUIT),
    "a slip of the hand": ("smtp", 25, EHLO + LIST + "C: STARTLS\nS: 500 what\nC: STARTTLS\nS: 220 go\n" + HELLO),
    "a slip of the hand and no more": ("smtp", 25, EHLO + LIST + "C: STARTLS\nS: 500 what\n" + QUIT),
    "a ClientHello ahead of the answer": ("imap", 143, IMAP + f"C> a STARTTLS\\r\\n{HELLO[3:-1]}\nS: a OK\n"),
    "a consent of two lines": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS> 220-ready\\r\\n220 go\\r\\n\n" + HELLO + SHELLO),
    "consent and farewell": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 220 go\nC: QUIT\nS: 221 bye\n"),
    "STARTTLS in a message": ("smtp", 25, EHLO + "S: 250 SIZE 1\n" + MAIL.replace("C: hi", "C: XXXXXXXX\nC: STARTTLS\nC: 250-XXXXXXXX") + QUIT),
    "a list that ends with OK": ("smtp", 25, EHLO + "S: 250-8BITMIME\nS: 250-AUTH LOGIN\nS: 250-AUTH=LOGIN\nS: 250 OK\n" + MAIL + QUIT),
    "mailboxes after a login": ("imap", 143, IMAP + IMAP_LOGIN + "C: b LIST \"\" *\nS: * LIST () \"/\" INBOX\nS: b OK\nC: c NOOP\nS: * OK [ALERT] full\nS: c OK\n"),
    "maintenance announced": ("imap", 143, "S: * OK [ALERT] down at noon\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: a OK\n" + IMAP_LOGIN),
    "POP3 without STLS": ("pop3", 110, POP3.replace("S: STLS\n", "") + "C: STLS\nS: -ERR unknown command\n" + POP3_LOGIN),
    "POP3 without CAPA": ("pop3", 110, "S: +OK hi\nC: CAPA\nS: -ERR what\n" + POP3_LOGIN),
    "NNTP after MODE READER": ("nntp", 119, NNTP + "C: MODE READER\nS: 200 hi\nC: CAPABILITIES\nS: 101 x\nS: VERSION 2\nS: READER\nS: .\n" + NNTP_LOGIN),
    "a list after the login": ("managesieve", 4190, SIEVE + f'C: AUTHENTICATE "PLAIN" "{TOKEN}"\nS: OK\nC: CAPABILITY\nS: "SASL" "PLAIN"\nS: OK\nC: LOGOUT\nS: OK\n'),
    "tried again, and then TLS": ("smtp", 25, EHLO + LIST + "C: STARTTLS\nS: 454 later\nC: STARTTLS\nS: 220 go\n" + HELLO),
}


def family(session) -> dict[str, str]:
    return {finding.rule.id: finding.severity for finding in session.findings if finding.rule.id in STRIPPING}


@pytest.mark.parametrize("name", CASES)
def test_somebody_on_the_way(court, session, name):
    protocol, port, text, expected, (root, hang) = CASES[name]
    made = judged(court, session, protocol, port, text)
    assert family(made) == expected
    by_id = {finding.rule.id: finding for finding in made.findings}
    assert by_id[root].because_of is None
    assert {finding.rule.id for finding in made.findings if finding.because_of == by_id[root].finding_id} == hang
    assert "PS201" not in by_id, "nobody knows what the server offers"
    for rule_id in expected.keys() - {"PS316"}:
        evidence = by_id[rule_id].evidence
        assert evidence["ruled_out"] and evidence["not_ruled_out"] and not set(evidence["ruled_out"]) & set(evidence["not_ruled_out"])
        assert "attack" not in by_id[rule_id].title


@pytest.mark.parametrize("name", TWINS)
def test_innocent_twins(court, session, name):
    protocol, port, text = TWINS[name]
    assert family(judged(court, session, protocol, port, text)) == {}


@pytest.mark.parametrize("name", CASES)
def test_cut_in_any_way(court, session, name):
    """Byte by byte, and at random: the same findings with the same evidence, but for what hangs on packets."""
    protocol, port, text, _, _ = CASES[name]

    def told(turns):
        made = judged(court, session, protocol, port, turns, locate=lambda side, at: ("a.pcap", 1, at + 1000 * side))
        return [(finding.rule.id, finding.severity, finding.variant, finding.at, {**finding.evidence, "same_packet": None}) for finding in made.findings if finding.rule.id in STRIPPING]

    turns = dialogue(text)
    expected = told(turns)
    chance = random.Random(name)
    assert told(cut(turns, lambda: 1)) == expected
    for _ in range(3):
        assert told(cut(merged(turns), lambda: chance.randint(1, 30))) == expected


@pytest.mark.parametrize("name", CASES)
def test_server_side_missing(court, session, name):
    """What needs the server's bytes is not said without them: of the client's alone only what is behind its own request for TLS."""
    protocol, port, text, _, _ = CASES[name]
    made = judged(court, session, protocol, port, "\n".join(line for line in text.splitlines() if line.startswith("C")), unseen_server="one_sided", bytes_server=0, packets_server=0)
    assert set(family(made)) <= {"PS313", "PS316"}


@pytest.mark.parametrize("name", CASES)
def test_client_side_missing(court, session, name):
    """Without the client's bytes nothing is said about its commands; a list that was written over shows all the same."""
    protocol, port, text, expected, _ = CASES[name]
    made = judged(court, session, protocol, port, "\n".join(line for line in text.splitlines() if line.startswith("S")), unseen_client="one_sided", bytes_client=0, packets_client=0)
    assert set(family(made)) <= {"PS301", "PS302", "PS303", "PS310"} & set(expected)


@pytest.mark.parametrize("name", TWINS)
def test_twins_with_one_side_missing(court, session, name):
    protocol, port, text = TWINS[name]
    for letter, losses in (("C", {"unseen_server": "one_sided", "bytes_server": 0}), ("S", {"unseen_client": "one_sided", "bytes_client": 0})):
        made = judged(court, session, protocol, port, "\n".join(line for line in text.splitlines() if line.startswith(letter)), **losses)
        assert family(made) == {}


@pytest.mark.parametrize("name", [*CASES, *TWINS])
@pytest.mark.parametrize("start", [1, 2, 3, 4, 5])
def test_late_starts_invent_nothing(court, session, name, start):
    """A capture that begins in the conversation says at most what the whole one says."""
    protocol, port, text = (CASES.get(name) or TWINS[name])[:3]
    expected = set(CASES[name][3]) if name in CASES else set()
    lines = [line for line in text.splitlines() if line]
    made = judged(court, session, protocol, port, "\n".join(lines[start:]), start_seen=False, unseen_client="midstream", unseen_server="midstream")
    assert set(family(made)) <= expected
