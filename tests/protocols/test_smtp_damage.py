"""SMTP with late starts, one side, lost bytes and hostile bytes: nothing is invented, and as much as possible is found."""
from __future__ import annotations

import random

import pytest
from helpers import converse, dialogue, merged, one_sided, same_however_cut, swallow, told

from pcapsec.protocols.smtp import SmtpParser
from pcapsec.records import CLIENT, SERVER

WHOLE = dialogue(r"""
    S: 220 mx.example ESMTP
    C: EHLO c.example
    S: 250-mx.example
    S: 250-SIZE 1000
    S: 250-AUTH LOGIN PLAIN
    S: 250-STARTTLS
    S: 250 8BITMIME
    C: AUTH LOGIN
    S: 334 VXNlcm5hbWU6
    C: dGlt
    S: 334 UGFzc3dvcmQ6
    C: cHc=
    S: 235 ok
    C: MAIL FROM:<a1@b.example>
    S: 250 ok
    C: RCPT TO:<c1@d.example>
    S: 250 ok
    C: DATA
    S: 354 go
    C: Subject: one
    C:
    C: QUIT
    C: MAIL FROM:<fake@x.example>
    C: AUTH PLAIN AGZha2UAZmFrZQ==
    C: RCPT TO:<fake@x.example>
    C: DATA
    C: .
    S: 250 queued
    C: MAIL FROM:<a2@b.example>
    C: RCPT TO:<c2@d.example>
    C: DATA
    S: 250 ok
    S: 250 ok
    S: 354 go
    C: Subject: three
    C:
    C: text
    C: .
    S: 250 queued
    C: QUIT
    S: 221 bye
""")
CAPABILITIES = ("SIZE 1000", "AUTH LOGIN PLAIN", "STARTTLS", "8BITMIME")


def invented_nothing(parser):
    """What was found is among what was there, with the right answers."""
    facts = parser.facts
    for message in facts.messages:
        assert message.mail_from in (None, "a1@b.example", "a2@b.example")
        assert set(message.rcpt_to) <= {"c1@d.example", "c2@d.example"} and len(message.rcpt_to) <= 1
        assert message.subject_length in (None, 3, 5)
        assert message.reply_code in (None, "250") and message.mail_from_reply in (None, 250)
        if message.mail_from == "a1@b.example":
            assert message.subject_length in (None, 3) and message.rcpt_to in ([], ["c1@d.example"])
    assert len([message for message in facts.messages if message.has_content]) <= 2
    for login in facts.logins:
        assert (login.mechanism, login.principal or "tim", login.secret.reveal() if login.secret else b"pw") == ("LOGIN", "tim", b"pw")
        assert login.result in ("success", "unknown")
    assert len(facts.logins) <= 1
    if facts.capabilities_complete:
        assert facts.capabilities == CAPABILITIES
    assert facts.starttls_offered is not False
    assert set(facts.capabilities or ()) <= set(CAPABILITIES)
    assert not facts.tls_started and facts.cleartext_after_accept is None and parser.handover is None


@pytest.mark.parametrize("k", range(len(WHOLE)))
def test_any_line_may_be_lost(k):
    side, data = WHOLE[k]
    turns = WHOLE[:k] + [(side, len(data))] + WHOLE[k + 1:]
    invented_nothing(same_however_cut(SmtpParser, turns, rounds=3))


@pytest.mark.parametrize("seed", range(300))
def test_any_bytes_may_be_lost(seed):
    chance = random.Random(seed)
    turns = merged(WHOLE)
    for _ in range(chance.choice((1, 1, 2, 4))):
        k = chance.randrange(len(turns))
        side, data = turns[k]
        if isinstance(data, int) or len(data) < 2:
            continue
        start = chance.randrange(len(data))
        end = min(len(data), start + chance.choice((1, 3, 10, 200)))
        pieces = [(side, data[:start]), (side, end - start), (side, data[end:])]
        turns[k:k + 1] = [piece for piece in pieces if piece[1]]
    invented_nothing(same_however_cut(SmtpParser, turns, seed=seed, rounds=3))


@pytest.mark.parametrize("k", range(1, len(WHOLE)))
def test_a_capture_may_start_anywhere(k):
    invented_nothing(same_however_cut(SmtpParser, WHOLE[k:], rounds=3, start_seen=False))


@pytest.mark.parametrize("seed", range(100))
def test_a_capture_may_start_inside_a_line(seed):
    chance = random.Random(seed)
    k = chance.randrange(len(WHOLE))
    turns = [(WHOLE[k][0], WHOLE[k][1][chance.randrange(len(WHOLE[k][1])):])] + WHOLE[k + 1:]
    side = chance.choice((None, CLIENT, SERVER))
    if side == CLIENT:  # a transcript inside a message cannot be told from the real thing without the server: two commands in a row are believed
        turns = [turn for turn in turns if turn[1] != b"RCPT TO:<fake@x.example>\r\n"]
    turns = [turn for turn in turns if side is None or turn[0] == side]
    invented_nothing(same_however_cut(SmtpParser, turns, seed=seed, rounds=3, start_seen=False))


def test_the_client_alone():
    assert told(one_sided(SmtpParser, WHOLE, CLIENT).facts) == {
        "protocol": "smtp", "client_name": "c.example", "hello_verb": "EHLO", "starttls_requested": False, "first_clear_command": "AUTH", "first_clear_command_at": 16,
        "n_commands": 9,
        "logins": [{"protocol": "smtp", "mechanism": "LOGIN", "at": 16, "principal": "tim", "secret": b"pw", "secret_at": 34, "exposure": "password",
                    "details": {"initial_response": False, "prompts": 0}}],
        "messages": [
            {"protocol": "smtp", "direction": "submitted", "side": 0, "at": 96, "mail_from": "a1@b.example", "rcpt_to": ["c1@d.example"], "size_bytes": 111, "complete": True,
             "subject_length": 3},
            {"protocol": "smtp", "direction": "submitted", "side": 0, "at": 266, "mail_from": "a2@b.example", "rcpt_to": ["c2@d.example"], "size_bytes": 24, "complete": True,
             "subject_length": 5}]}


def test_the_server_alone():
    assert told(one_sided(SmtpParser, WHOLE, SERVER).facts) == {
        "protocol": "smtp", "greeting": "220 mx.example ESMTP", "greeting_code": "220", "greeting_at": 0, "capabilities": CAPABILITIES, "capabilities_complete": True,
        "capabilities_at": 22, "starttls_offered": True, "starttls_offered_at": 75, "auth_mechanisms": ("LOGIN", "PLAIN"), "auth_mechanisms_at": 53, "n_replies": 14}


def test_the_server_alone_shows_an_upgrade():
    parser = same_however_cut(SmtpParser, "S: 220 mx ESMTP\nS: 250-mx\nS: 250 STARTTLS\nS: 220 go\nS> \\x16\\x03\\x03\\0\\x7a")
    assert (parser.facts.tls_started, parser.facts.starttls_requested, parser.facts.starttls_accepted, parser.handover.rest) == (True, None, True, (b"", b"\x16\x03\x03\0\x7a"))


def test_the_client_alone_shows_an_upgrade():
    parser = same_however_cut(SmtpParser, "C: EHLO c\nC: STARTTLS\nC> \\x16\\x03\\x01\\0\\x05hello")
    assert (parser.facts.tls_started, parser.facts.starttls_requested, parser.facts.starttls_accepted) == (True, True, None)
    assert parser.handover.at[CLIENT] == 18


def test_starttls_itself_may_be_lost():
    parser = same_however_cut(SmtpParser, "S: 220 mx ESMTP\nC: EHLO c\nS: 250-mx\nS: 250 STARTTLS\nC! 10\nS: 220 go\nC> \\x16\\x03\\x01\\0\\x05hello")
    assert (parser.facts.tls_started, parser.facts.starttls_requested) == (True, None)


def test_a_list_that_lost_its_end_denies_nothing():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250-SIZE\nS! 40\nC: MAIL FROM:<a@b>\nS: 250 ok")
    assert (parser.facts.capabilities, parser.facts.capabilities_complete, parser.facts.starttls_offered) == (("SIZE",), False, None)
    assert parser.facts.messages[0].mail_from_reply == 250


def test_a_list_that_lost_its_beginning_denies_nothing():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS! 20\nS: 250-SIZE\nS: 250 8BITMIME\nC: QUIT")
    assert (parser.facts.capabilities, parser.facts.capabilities_complete, parser.facts.starttls_offered) == (("SIZE", "8BITMIME"), False, None)


def test_a_list_that_never_ends_denies_nothing():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250-mx\nS: 250-SIZE\n")
    assert (parser.facts.capabilities, parser.facts.capabilities_complete, parser.facts.starttls_offered) == (("SIZE",), False, None)


def test_content_with_a_hole_keeps_its_headers_and_end():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250 mx\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\n"
                              "C: Subject: abc\nC:\nC: first\nC! 500\nC: last\nC: .\nS: 250 ok\nC: QUIT\nS: 221 bye")
    assert told(parser.facts)["messages"] == [{
        "protocol": "smtp", "direction": "relayed", "side": 0, "at": 46, "mail_from": "a@b", "rcpt_to": ["c@d"], "rcpt_accepted": ["c@d"], "mail_from_reply": 250,
        "reply_code": "250", "accepted": True, "size_bytes": 29, "complete": True, "subject_length": 3}]
    assert parser.facts.n_commands == 5


def test_content_whose_end_was_lost():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250 mx\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\n"
                              "C: Subject: abc\nC:\nC: first\nC! 500\nS: 250 ok\nC: MAIL FROM:<e@f>\nS: 250 ok\nC: QUIT\nS: 221 bye")
    assert [(message.mail_from, message.accepted, message.complete, message.has_content) for message in parser.facts.messages] == [("a@b", True, False, True), ("e@f", None, False, False)]
    assert parser.facts.n_commands == 6


def test_a_hole_inside_a_chunk_is_counted_off():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250 mx\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC> BDAT 100 LAST\\r\\nSubject: abc\\r\\n\\r\\n\n"
                              "C! 80\nC> 12345QUIT\\r\\n\nS: 250 ok\nS: 221 bye")
    message = parser.facts.messages[0]
    assert (message.complete, message.accepted, message.size_bytes, parser.facts.n_commands) == (True, True, 20, 5)


def test_the_conversation_ends_inside_content():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 250 mx\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: DATA\nS: 354 go\nC: Subject: abc\nC:\nC> text\\r\\n\nS: 421 timeout")
    message = parser.facts.messages[0]
    assert (message.complete, message.accepted, message.reply_code, message.size_bytes, message.subject_length) == (False, False, "421", 22, 3)


def test_a_password_without_its_beginning():
    parser = same_however_cut(SmtpParser, WHOLE[10:13], start_seen=False)
    assert told(parser.facts)["logins"] == [{"protocol": "smtp", "mechanism": "LOGIN", "at": 0, "secret": b"pw", "secret_at": 0, "exposure": "password", "result": "success",
                                             "reply_code": "235", "details": {"initial_response": False, "prompts": 1}}]


def test_many_commands_without_a_server_stay_bounded():
    parser = converse(SmtpParser, [(CLIENT, b"NOOP\r\n" * 5000 + b"RCPT TO:<a@b>\r\n" * 100)])
    assert len(parser._pending) <= 1000 and parser.facts.n_commands == 5100


WORDS = [data for _, data in WHOLE] + [
    b"BDAT 7\r\n", b"BDAT 3 LAST\r\n", b"BDAT 99999999999 LAST\r\n", b"STARTTLS\r\n", b"220 go\r\n", b"454 no\r\n", b"\x16\x03\x01\0\x05", b"334 \r\n", b"*\r\n", b"AUTH NTLM\r\n",
    b"TlRMTVNTUAACAAAA\r\n", b"XEXCH50 9 2\r\n", b"PROXY TCP4\r\n", b"LHLO x\r\n", b"353 x\r\n", b"TURN\r\n", b"\n.\n", b"\r\n.\r\n", b".", b"\r", b"\n", b"\0\xff", b"MAIL FROM:<\"a\r\n",
    b"250-\r\n", b"250\r\n", b"999 x\r\n", b"12", b"AUTH\r\n", b"MAIL\r\n", b"RCPT\r\n", b"XCLIENT\r\n", b"EHLO\r\n", b"AUTH DIGEST-MD5 =\r\n"]


@pytest.mark.parametrize("seed", range(150))
def test_nothing_raises(seed):
    chance = random.Random(seed)
    text = b"".join(chance.choice(WORDS) if chance.random() < 0.9 else bytes(chance.randrange(256) for _ in range(chance.randrange(12))) for _ in range(200))
    swallow(SmtpParser, text, seed=seed, start_seen=bool(seed % 3))


@pytest.mark.parametrize("seed", range(150))
def test_shuffled_lines_say_the_same_however_cut(seed):
    chance = random.Random(seed)
    turns = [(chance.randrange(2), chance.choice(WORDS)) for _ in range(40)]
    turns = [(side, len(data)) if chance.random() < 0.03 else (side, data) for side, data in turns]
    if not converse(SmtpParser, merged(turns), start_seen=bool(seed % 4)).facts.injected_server_bytes:  # once handed over, later clear bytes are the TLS parser's to count
        same_however_cut(SmtpParser, turns, seed=seed, rounds=2, start_seen=bool(seed % 4))


def test_a_lost_starttls_line_is_known_by_its_answer_and_what_followed():
    turns = dialogue("S: 220 mx.example ESMTP\nC: EHLO a.example\nS: 250-mx.example\nS: 250 STARTTLS\nC! 10\nS: 220 2.0.0 Ready\nC> \\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00\n")
    parser = converse(SmtpParser, turns)
    assert (parser.facts.starttls_accepted, parser.facts.starttls_reply_code, parser.facts.tls_started) == (True, "220", True)
    without_answer = converse(SmtpParser, [turn for turn in turns if turn[1] != b"220 2.0.0 Ready\r\n"])
    assert (without_answer.facts.starttls_accepted, without_answer.facts.tls_started) == (None, True)


def test_a_reply_that_never_ends_is_not_ended_by_the_next_one():
    """A box cut the last line out of the reply to EHLO; the client waits, then says HELO."""
    facts = same_however_cut(SmtpParser, r"""
        S: 220 mx.example ESMTP
        C: EHLO c.example
        S: 250-mx.example
        S: 250-SIZE 1000
        C: HELO c.example
        S: 250 mx.example
        C: MAIL FROM:<a1@b.example>
        S: 250 ok
        C: RCPT TO:<c1@d.example>
        S: 550 no
    """).facts
    assert (facts.capabilities, facts.capabilities_complete) == (("SIZE 1000",), False)
    assert [(message.mail_from_reply, message.rcpt_to, message.rcpt_accepted) for message in facts.messages] == [(250, ["c1@d.example"], [])]
