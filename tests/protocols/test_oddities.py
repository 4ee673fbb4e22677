"""What parsers put down of STARTTLS tampered with: each manipulation in each protocol, and the innocent conversation that looks like it."""
from __future__ import annotations

import importlib

import pytest
from helpers import converse, dialogue, one_sided, same_however_cut, told

from pcapsec.protocols.masking import is_run_of_x
from pcapsec.records import CLIENT, SERVER

HELLO = "C> \\x16\\x03\\x01\\0\\x05hello"
PARSERS = {"smtp": "SmtpParser", "imap": "ImapParser", "pop3": "Pop3Parser", "nntp": "NntpParser", "managesieve": "ManageSieveParser"}
START = {  # greeting and a list with the offer
    "smtp": "S: 220 mx ESMTP\nC: EHLO pc\nS: 250-mx\nS: 250-SIZE 1\nS: 250 STARTTLS\n",
    "imap": "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\n",
    "pop3": "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS: STLS\nS: .\n",
    "nntp": "S: 200 news hi\nC: CAPABILITIES\nS: 101 list\nS: VERSION 2\nS: STARTTLS\nS: .\n",
    "managesieve": 'S: "IMPLEMENTATION" "x"\nS: "SASL" "PLAIN"\nS: "STARTTLS"\nS: OK "hi"\n',
}
REQUEST = {"smtp": "STARTTLS", "imap": "a STARTTLS", "pop3": "STLS", "nntp": "STARTTLS", "managesieve": "STARTTLS"}
CONSENT = {"smtp": "220 go", "imap": "a OK go", "pop3": "+OK go", "nntp": "382 go", "managesieve": 'OK "go"'}
UNKNOWN = {"smtp": "500 5.5.1 what", "imap": "a BAD unknown command", "pop3": "-ERR unknown command", "nntp": "500 what", "managesieve": 'NO "unknown command"'}
MORE = {"smtp": ("RSET", ("RSET",)), "imap": ("b NOOP", ("NOOP",)), "pop3": ("NOOP", ("NOOP",)), "nntp": ("DATE", ("DATE",)), "managesieve": ("NOOP", ("NOOP",))}
REPLY = {"smtp": "250 fine", "imap": "* LIST () \"/\" INBOX", "pop3": "+OK fine", "nntp": "111 20240101", "managesieve": 'OK "fine"'}

each_protocol = pytest.mark.parametrize("protocol", PARSERS)


def parser_of(protocol: str):
    return getattr(importlib.import_module(f"pcapsec.protocols.{protocol}"), PARSERS[protocol])


def facts_of(protocol: str, text: str, **keywords):
    return same_however_cut(parser_of(protocol), text, **keywords).facts


def odd(facts) -> dict:
    return {} if facts.oddities is None else told(facts.oddities)


# --- the request written over

@each_protocol
@pytest.mark.parametrize("letter", "XA")
def test_a_request_written_over(protocol, letter):
    offer = parser_of(protocol).offer
    word = letter * len(offer)
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol].replace(offer, word)}\nS: {UNKNOWN[protocol]}\n")
    at = sum(len(data) for side, data in dialogue(START[protocol]) if side == CLIENT)
    found = odd(facts)["commands"][0]
    assert (found["word"], found["like"], found["at"], found["offered"], found["reply_code"]) == (word, offer, at, True, UNKNOWN[protocol].removeprefix("a ").split()[0])
    assert facts.starttls_requested is False


@each_protocol
def test_other_unknown_words_are_not_kept(protocol):
    tag = "a " if protocol == "imap" else ""
    assert odd(facts_of(protocol, START[protocol] + f"C: {tag}hunter2secret\nS: {UNKNOWN[protocol]}\nC: {tag}XYZZY\nS: {UNKNOWN[protocol]}\n")) == {}


@each_protocol
def test_a_word_one_letter_away(protocol):
    offer = parser_of(protocol).offer
    word = offer[:-1] + "X"
    assert odd(facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol].replace(offer, word)}\nS: {UNKNOWN[protocol]}\n"))["commands"][0]["word"] == word


def test_ehlo_written_over():
    found = odd(facts_of("smtp", "S: 220 mx ESMTP\nC: XXXX pc\nS: 500 what is that\nC: HELO pc\nS: 250 mx\nC: QUIT\nS: 221 bye"))
    assert found == {"commands": [{"word": "XXXX", "like": "EHLO", "at": 0, "has_argument": True, "reply_code": "500", "reply_text": "what is that"}]}


def test_no_more_than_a_few_are_kept():
    facts = facts_of("smtp", START["smtp"] + "C: XXXXXXXX\nS: 500 no\n" * 20)
    assert len(facts.oddities.commands) == 8 and all(one.reply_code == "500" for one in facts.oddities.commands)


# --- clear bytes at the switch

@each_protocol
def test_commands_pipelined_behind_the_request(protocol):
    line, verbs = MORE[protocol]
    facts = facts_of(protocol, START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{line}\\r\\n\nS: {CONSENT[protocol]}\n{HELLO}")
    assert (facts.tls_started, facts.injected_client_bytes, facts.oddities.client_clear, facts.oddities.client_verbs) == (True, len(line) + 2, "commands", verbs)
    assert facts.oddities.client_clear_at == facts.starttls_requested_at + len(REQUEST[protocol]) + 2


@each_protocol
def test_a_client_hello_ahead_of_the_answer_is_allowed(protocol):
    facts = facts_of(protocol, START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{HELLO[3:]}\nS: {CONSENT[protocol]}")
    assert (facts.tls_started, facts.injected_client_bytes, odd(facts)) == (True, 0, {})


@each_protocol
@pytest.mark.parametrize("pipelined, kind", [("\\r\\n", "blank"), ("\\0\\0\\r\\n", "blank"), ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\\r\\n", "proxy"), ("what is this\\r\\n", "text"),
                                            ("\\x01\\x02\\xff\\r\\n", "binary")])
def test_what_was_pipelined(protocol, pipelined, kind):
    facts = facts_of(protocol, START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{pipelined}\nS: {CONSENT[protocol]}\n{HELLO}")
    assert (facts.tls_started, facts.oddities.client_clear, facts.oddities.client_verbs) == (True, kind, ())


@each_protocol
def test_pipelined_and_refused_is_parsed_on(protocol):
    line, _ = MORE[protocol]
    refused = UNKNOWN[protocol]
    facts = facts_of(protocol, START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{line}\\r\\n\nS: {refused}\nS: {REPLY[protocol].replace('* LIST () ', 'b OK ')}\n")
    assert (facts.starttls_accepted, facts.injected_client_bytes, odd(facts)) == (False, 0, {})


@each_protocol
def test_replies_behind_the_consent(protocol):
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol]}\nS> {CONSENT[protocol]}\\r\\n{REPLY[protocol]}\\r\\n\n{HELLO}\nS> \\x16\\x03\\x03\\0\\x05hello")
    assert (facts.tls_started, facts.injected_server_bytes, facts.oddities.server_clear) == (True, len(REPLY[protocol]) + 2, "replies")
    assert facts.oddities.server_clear_at == facts.starttls_answered_at + len(CONSENT[protocol]) + 2


def test_a_consent_of_several_lines_is_one():
    facts = facts_of("smtp", START["smtp"] + f"C: STARTTLS\nS: 220-ready\nS: 220 go\n{HELLO}")
    assert (facts.tls_started, facts.injected_server_bytes, odd(facts)) == (True, 0, {})


@each_protocol
def test_lost_server_bytes_at_the_switch_are_no_injection(protocol):
    facts = converse(parser_of(protocol), START[protocol] + f"C: {REQUEST[protocol]}\nS: {CONSENT[protocol]}\nS! 100\nS> middle of a record\\n\\xff\\xfe\n{HELLO}").facts
    assert (facts.tls_started, facts.injected_server_bytes, odd(facts)) == (True, 0, {})


def test_an_ssl2_server_hello_is_binary():
    facts = facts_of("smtp", START["smtp"] + f"C: STARTTLS\nS: 220 go\nS> \\x80\\x20\\x04\\x00\\x01\\x00\\x02\\xff\\xfe\n{HELLO}")
    assert facts.oddities.server_clear == "binary"


@each_protocol
def test_the_clients_side_alone_shows_an_injection(protocol):
    line, verbs = MORE[protocol]
    turns = dialogue(START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{line}\\r\\n\n{HELLO}")
    facts = one_sided(parser_of(protocol), turns, CLIENT).facts
    assert (facts.tls_started, facts.injected_client_bytes, facts.oddities.client_verbs) == (True, len(line) + 2, verbs)


@each_protocol
def test_the_clients_side_alone_of_a_refusal_is_none(protocol):
    """Refused, asked again, accepted: what stands between the two requests was answered."""
    line, _ = MORE[protocol]
    again = REQUEST[protocol].replace("a ", "c ")
    facts = one_sided(parser_of(protocol), dialogue(START[protocol] + f"C: {REQUEST[protocol]}\nC: {line}\nC: {again}\n{HELLO}"), CLIENT).facts
    assert (facts.tls_started, facts.injected_client_bytes) == (True, 0)


@each_protocol
def test_pipelined_and_tls_never_comes(protocol):
    line, verbs = MORE[protocol]
    facts = facts_of(protocol, START[protocol] + f"C> {REQUEST[protocol]}\\r\\n{line}\\r\\n\nS: {CONSENT[protocol]}\n")
    assert (facts.tls_started, facts.injected_client_bytes, facts.oddities.pipelined_bytes, facts.oddities.client_verbs) == (False, 0, len(line) + 2, verbs)


# --- clear text goes on

AFTERWARDS = {  # what follows the consent: the first command, a list without the offer, a list with it
    "smtp": ("C: EHLO pc\n", "S: 250-mx\nS: 250 SIZE 1\n", "S: 250-mx\nS: 250-SIZE 1\nS: 250 STARTTLS\n"),
    "imap": ("C: b CAPABILITY\n", "S: * CAPABILITY IMAP4rev1 AUTH=PLAIN\nS: b OK\n", "S: * CAPABILITY IMAP4rev1 STARTTLS\nS: b OK\n"),
    "pop3": ("C: CAPA\n", "S: +OK\nS: UIDL\nS: .\n", "S: +OK\nS: UIDL\nS: STLS\nS: .\n"),
    "nntp": ("C: CAPABILITIES\n", "S: 101 list\nS: VERSION 2\nS: .\n", "S: 101 list\nS: VERSION 2\nS: STARTTLS\nS: .\n"),
    "managesieve": ("C: CAPABILITY\n", 'S: "IMPLEMENTATION" "x"\nS: OK\n', 'S: "IMPLEMENTATION" "x"\nS: "STARTTLS"\nS: OK\n'),
}


@each_protocol
@pytest.mark.parametrize("place, offered", [(1, False), (2, True)])
def test_lists_behind_the_consent_do_not_touch_those_before(protocol, place, offered):
    lists = AFTERWARDS[protocol]
    before = facts_of(protocol, START[protocol])
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol]}\nS: {CONSENT[protocol]}\n" + lists[0] + lists[place])
    assert (facts.oddities.offer_after_accept, facts.starttls_offered, facts.capabilities) == (offered, True, before.capabilities)
    assert facts.n_replies > facts.oddities.n_replies_before and facts.cleartext_after_accept == lists[0].split()[-1 if protocol == "imap" else 1]


# --- misuse

@each_protocol
def test_parameters_and_a_second_request(protocol):
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol]} now\nS: {UNKNOWN[protocol]}\n")
    assert odd(facts) == {"misuse": ("parameters",)}
    again = REQUEST[protocol].replace("a ", "c ")
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol]}\nS: {CONSENT[protocol]}\nC: {MORE[protocol][0]}\nS: {REPLY[protocol]}\nC: {again}\nS: {UNKNOWN[protocol].replace('a ', 'c ')}\n")
    assert facts.oddities.misuse == ("again",)
    facts = facts_of(protocol, START[protocol] + f"C: {REQUEST[protocol]}\nS: {UNKNOWN[protocol]}\nC: {again}\nS: {CONSENT[protocol].replace('a ', 'c ')}\n{HELLO}")
    assert (facts.tls_started, odd(facts)) == (True, {})


# --- lists

def notes(facts) -> list[tuple[str, int, str]]:
    return [] if facts.oddities is None else [(note.code, note.at, note.detail) for note in facts.oddities.list_notes]


EHLO = "S: 220 mx ESMTP\nC: EHLO pc\nS: 250-mx\n"
QUIT = "C: QUIT\nS: 221 bye\n"


@pytest.mark.parametrize("rest, expected", [
    ("S: 250-        \nS: 250 SIZE 1\n" + QUIT, [("padded-line", 22, "8 blanks")]),
    ("S: 250-\nS: 250 SIZE 1\n" + QUIT, [("empty-line", 22, "")]),
    ("S: 250-SIZE 1\nS: 250 \n" + QUIT, []),
    ("S: 250-8BITMIME\nS: 250-SIZE 1\nS: 250 8BITMIME\n" + QUIT, [("repeated-word", 48, "")]),
    ("S: 250-AUTH PLAIN\nS: 250-AUTH=PLAIN\nS: 250-SIZE\nS: 250 SIZE\n" + QUIT, []),
    ("S: 250-XXXXXXXX\nS: 250 XXXXXXXX\n" + QUIT, []),
    ("S: 250 SIZE 1\nS: 250 PIPELINING\n" + QUIT, [("lines-after-end", 34, "")]),
    ("S: 250 SIZE 1\nS: 250-PIPELINING\nS: 250 DSN\n" + QUIT, [("lines-after-end", 34, "")]),
    ("S: 250 SIZE 1\nC: MAIL FROM:<a@b.c>\nS: 250 ok\n" + QUIT, []),
    ("S: 250-SIZE 1\n", [("unfinished", 22, "")]),
    ("S: 250-SIZE 1\nC: HELO pc\nS: 250 mx\n" + QUIT, [("unfinished", 22, "the client greeted anew")]),
    ("S: 250-SIZE 1\nS: 421 too slow\n", [("unfinished", 22, "another reply came")]),
    ("S: 250-SIZE 1\nS! 30\nS: 421 too slow\n", []),
    ("S: 250-SIZE 1\nS: 250 STARTTLS\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + QUIT, [("offer-withdrawn", 48, "")]),
    ("S: 250 SIZE 1\nC: EHLO pc\nS: 250-mx\nS: 250-SIZE 1\nS: 250 STARTTLS\n" + QUIT, [("offer-appeared", 34, "")]),
    ("S: 250-SIZE 1\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 later\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + QUIT, []),
    ("S: 250-SIZE 1\nS: 250 STARTTLS\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 2\n" + QUIT, []),
    ("S: 250-SIZE 1\nS: 250 STARTTLS\nC: XCLIENT NAME=x\nS: 220 mx ESMTP\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + QUIT, []),
    ("S: 250-SIZE 1\nS: 250 STARTTLS\nC: AUTH PLAIN AGEAYg==\nS: 235 ok\nC: EHLO pc\nS: 250-mx\nS: 250 SIZE 1\n" + QUIT, []),
])
def test_ehlo_lists(rest, expected):
    assert notes(facts_of("smtp", EHLO + rest)) == expected


@pytest.mark.parametrize("text, expected", [
    ("S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1          IDLE\nS: a OK", [("padded-line", 9, "10 blanks")]),
    ("S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1  IDLE\nS: a OK", [("empty-line", 9, "2 blanks")]),
    ("S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 UNSELECT UNSELECT \nS: a OK", [("repeated-word", 9, "")]),
    ("S: * OK [CAPABILITY IMAP4rev1 IDLE STARTTLS] hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: a OK", [("offer-withdrawn", 46, "")]),
    ("S: * OK [CAPABILITY IMAP4rev1 IDLE] hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE STARTTLS\nS: a OK", [("offer-appeared", 37, "")]),
    ("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: a OK", []),
    ("S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\nC: a LOGIN b c\nS: a OK [CAPABILITY IMAP4rev1] in\nC: b CAPABILITY\nS: * CAPABILITY IMAP4rev1\nS: b OK", []),
    ("S: * OK hi\nC: a LOGIN b c\nS: a OK in\nC: b CAPABILITY\nS: * CAPABILITY IMAP4rev1  IDLE\nS: b OK", []),
])
def test_imap_lists(text, expected):
    assert notes(facts_of("imap", text)) == expected


@pytest.mark.parametrize("protocol, text, expected", [
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS:     \nS: .\nC: QUIT\nS: +OK", [("padded-line", 19, "4 blanks")]),
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS: UIDL\nS: .\nC: QUIT\nS: +OK", [("repeated-word", 19, "")]),
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS: USER\n", [("unfinished", 13, "")]),
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS! 9\nS: USER\n", []),
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: UIDL\nS: STLS\nS: .\nC: CAPA\nS: +OK\nS: UIDL\nS: .\nC: QUIT\nS: +OK", [("offer-withdrawn", 33, "")]),
    ("pop3", "S: +OK hi\nC: CAPA\nS: +OK\nS: STLS\nS: UIDL\nS: .\nC: USER a\nS: +OK\nC: PASS b\nS: +OK\nC: CAPA\nS: +OK\nS: UIDL\nS: .\nC: QUIT\nS: +OK", []),
    ("nntp", "S: 200 news\nC: CAPABILITIES\nS: 101 x\nS: VERSION 2\nS:         \nS: .\nC: QUIT\nS: 205 bye", [("padded-line", 28, "8 blanks")]),
    ("nntp", "S: 200 news\nC: CAPABILITIES\nS: 101 x\nS: VERSION 2\nS: STARTTLS\nS: .\nC: CAPABILITIES\nS: 101 x\nS: VERSION 2\nS: .\nC: QUIT\nS: 205 bye", [("offer-withdrawn", 48, "")]),
    ("managesieve", 'S: "SASL" "PLAIN"\nS: ""\nS: OK\nC: LOGOUT\nS: OK', [("empty-line", 0, "")]),
    ("managesieve", 'S: "SASL" "PLAIN"\n', [("unfinished", 0, "")]),
    ("managesieve", 'S: "SASL" "PLAIN"\nS: "STARTTLS"\nS: OK\nC: CAPABILITY\nS: "SASL" "PLAIN"\nS: OK\nC: LOGOUT\nS: OK', [("offer-withdrawn", 32, "")]),
])
def test_other_lists(protocol, text, expected):
    assert notes(facts_of(protocol, text)) == expected


@pytest.mark.parametrize("greeting, stars", [
    ("220 ********************************0*2****02*****", 91), ("220 ************", 100), ("220 *********", None), ("220 **************** Welcome", None),
    ("220 2*0000000000000000", 5), ("220-****************\nS: 220 ****************", 100), ("220-****************\nS: 220 mx ESMTP", None), ("554 ****************", None),
])
def test_greetings_of_asterisks(greeting, stars):
    facts = facts_of("smtp", f"S: {greeting}\n" + QUIT)
    assert (facts.oddities.greeting_stars if facts.oddities is not None else None) == stars


@pytest.mark.parametrize("word, is_mask", [("XXXX", True), ("XXXA", True), ("XXXXXXXXXXXXXXXXXXXG", True), ("XXX", True), ("xxxxx", True), ("XX", False), ("XCLIENT", False), ("XEXCH50", False),
                                           ("XXXXAB", False), ("AAAAAA", False)])
def test_runs_of_x(word, is_mask):
    assert is_run_of_x(word) is is_mask


def test_an_inspected_list():
    """As Cisco's inspection writes one of Exchange 2003: lines are masked whole, and counted in their last letters."""
    facts = facts_of("smtp", EHLO + "S: 250-XXXA\nS: 250-SIZE\nS: 250-8bitmime\nS: 250-BINARYMIME\nS: 250-XXXXXXXB\nS: 250-AUTH LOGIN\nS: 250 XI\n" + QUIT)
    assert (facts.masked_tokens, facts.capabilities_complete, facts.starttls_offered) == (("XXXA", "XXXXXXXB"), True, False)


# --- IMAP before a login

@pytest.mark.parametrize("lines, expected", [
    ('S: * LIST () "/" INBOX\n', [("mailbox-data", "LIST")]), ("S: * 3 EXISTS\n", [("mailbox-data", "EXISTS")]),
    ("S: * BYE [REFERRAL imap://bob@evil.example/] go there\n", [("referral", "evil.example")]),
    ("S: * OK [ALERT] your mailbox is full\n", [("alert", "")]), ("S: * NO [NEWNAME a b] renamed\n", [("newname", "")]),
    ("S: * OK still here\n", []), ("C: b LOGIN x y\nS: * OK [ALERT] full\nS: b OK in\nS: * 3 EXISTS\n", [("alert", "")]), ("C: b LOGIN x y\nS: * 3 EXISTS\nS: b OK in\n", []),
    ("C: b SELECT INBOX\nS: * 3 EXISTS\nS: b OK\n", []),
])
def test_imap_before_a_login(lines, expected):
    facts = facts_of("imap", "S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 STARTTLS\nS: a OK\n" + lines)
    assert [(note.code, note.detail) for note in (facts.oddities.early_data if facts.oddities else ())] == expected


def test_imap_without_its_start_or_its_client():
    text = "C: a SELECT INBOX\nS: * 3 EXISTS\nS: a OK\n"
    assert odd(facts_of("imap", text, start_seen=False)) == {}
    assert odd(one_sided(parser_of("imap"), "S: * OK hi\nC: a LOGIN b c\nS: a OK in\nC: b SELECT INBOX\nS: * 3 EXISTS\nS: b OK\n", SERVER).facts) == {}
