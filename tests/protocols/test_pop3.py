"""POP3: logins, capabilities, STLS, messages, damage."""
from __future__ import annotations

import base64

import pytest
from tests.helpers import converse, dialogue, one_sided, same_however_cut, swallow, told
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.protocols.pop3 import Pop3Parser, probe, read_capabilities
from pcapsec.records import CLIENT, SERVER, Facts, Login, Message
from pcapsec.secret import Secret

GREETING = "S: +OK POP3 server ready\n"


def facts(text, **keywords) -> Facts:
    return same_however_cut(Pop3Parser, text, **keywords).facts


def login(text, **keywords) -> Login:
    logins = facts(text, **keywords).logins
    assert len(logins) == 1
    return logins[0]


# --- USER and PASS

def test_whole_session():
    text = r"""
        S: +OK hello <1.2@mail.example>
        C: USER anna
        S: +OK
        C: PASS  two words 
        S: +OK Logged in.
        C: STAT
        S: +OK 1 120
        C: QUIT
        S: +OK Bye
    """
    assert facts(text) == Facts(
        protocol="pop3", greeting="+OK hello <1.2@mail.example>", greeting_code="+OK", greeting_at=0, starttls_requested=False, first_clear_command="USER",
        first_clear_command_at=0, accepted_clear_command="USER", accepted_clear_code="+OK", n_mailbox_commands=1, n_commands=4, n_replies=5,
        logins=[Login(protocol="pop3", mechanism="USER-PASS", at=0, principal="anna", secret=Secret(b" two words "), secret_at=11, exposure="password", result="success",
                      reply_code="+OK")])


@pytest.mark.parametrize("answer, expected", [
    ("+OK", ("success", None, "+OK")),
    ("-ERR [AUTH] wrong password", ("failed", "wrong-credentials", "-ERR [AUTH]")),
    ("-ERR [IN-USE] Do you have another POP session running?", ("success", "locked", "-ERR [IN-USE]")),
    ("-ERR unable to lock the maildrop", ("success", "locked", "-ERR")),
    ("-ERR [LOGIN-DELAY] minimum time between mail checks", ("unknown", "temporary", "-ERR [LOGIN-DELAY]")),
    ("-ERR [SYS/TEMP] try later", ("unknown", "temporary", "-ERR [SYS/TEMP]")),
    ("-ERR [SYS/PERM] ask the administrator", ("unknown", None, "-ERR [SYS/PERM]")),
    ("-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.", ("failed", "refused", "-ERR [AUTH]")),
    ("-ERR no", ("failed", None, "-ERR")),
    ("-ERR account locked", ("failed", None, "-ERR")),
])
def test_what_an_answer_says(answer, expected):
    found = login(GREETING + f"C: USER a\nS: +OK\nC: PASS b\nS: {answer}")
    assert (found.result, found.reason, found.reply_code) == expected


def test_tls_demanded_is_noted():
    assert facts(GREETING + "C: USER a\nS: -ERR you must issue STLS first").encryption_required_code == "-ERR"
    assert facts(GREETING + "C: USER a\nS: -ERR no such user").encryption_required_code is None


def test_user_alone_has_no_secret():
    assert login(GREETING + "C: USER a b\nS: -ERR never heard of\nC: QUIT\nS: +OK") == Login(
        protocol="pop3", mechanism="USER-PASS", at=0, principal="a b", result="failed", reply_code="-ERR")


def test_two_users_then_a_password():
    first, second = facts(GREETING + "C: USER a\nS: +OK\nC: USER b\nS: +OK\nC: PASS c\nS: +OK").logins
    assert (first.principal, first.secret, first.exposure, first.result) == ("a", None, "none", "unknown")
    assert (second.principal, second.secret, second.exposure, second.result) == ("b", Secret(b"c"), "password", "success")


def test_password_again_without_user():
    first, second = facts(GREETING + "C: USER a\nS: +OK\nC: PASS b\nS: -ERR\nC: PASS c\nS: +OK").logins
    assert (first.principal, first.result, second.principal, second.result) == ("a", "failed", "a", "success")


def test_empty_password_is_no_secret():
    found = login(GREETING + "C: USER a\nS: +OK\nC: PASS \nS: -ERR")
    assert (found.secret, found.exposure) == (None, "none")


def test_pipelined():
    text = GREETING + "C> USER a\\r\\nPASS b\\r\\nSTAT\\r\\nRETR 1\\r\\nQUIT\\r\\n\nS> +OK\\r\\n+OK in\\r\\n+OK 1 9\\r\\n+OK\\r\\nA: b\\r\\n\\r\\nx\\r\\n.\\r\\n+OK bye\\r\\n"
    found = facts(text)
    assert (found.logins[0].result, found.n_replies, found.messages[0].size_bytes) == ("success", 6, 11)


def test_client_side_alone():
    text = dialogue(GREETING + "C: USER a\nS: +OK\nC: PASS b\nS: +OK\nC: STAT\nS: +OK 0 0")
    found = one_sided(Pop3Parser, text, CLIENT).facts
    assert found.logins == [Login(protocol="pop3", mechanism="USER-PASS", at=0, principal="a", secret=Secret(b"b"), secret_at=8, exposure="password")]
    assert (found.n_commands, found.n_replies, found.greeting) == (3, 0, None)


def test_lost_answer_leaves_the_result_unknown():
    found = login(GREETING + "C: USER a\nS: +OK\nC: PASS b\nS! 5\nC: STAT\nS: +OK 2 320")
    assert (found.result, found.exposure) == ("unknown", "password")


def test_lost_user_command_leaves_the_name_unknown():
    found = facts(GREETING + "C: USER a\nS: +OK\nC! 8\nS: +OK\nC: PASS b\nS: +OK")
    assert [(one.principal, one.secret) for one in found.logins] == [("a", None), (None, Secret(b"b"))]
    assert found.starttls_requested is None


def test_late_start():
    found = facts("C: PASS secret\nS: +OK Logged in\nC: STAT\nS: +OK 0 0", start_seen=False)
    assert [(one.principal, one.secret, one.result) for one in found.logins] == [(None, Secret(b"secret"), "success")]
    assert (found.greeting, found.starttls_requested) == (None, None)


def test_greeting_that_is_missing_shifts_nothing():
    found = facts("C: CAPA\nS: +OK Capability list follows\nS: TOP\nS: .\nC: USER a\nS: +OK\nC: PASS b\nS: -ERR no")
    assert (found.greeting, found.capabilities, found.logins[0].result) == (None, ("TOP",), "failed")
    hasty = facts("C> USER a\\r\\nPASS b\\r\\n\nS: +OK POP3 server ready\nS: +OK\nS: -ERR no")
    assert (hasty.greeting, hasty.logins[0].result) == ("+OK POP3 server ready", "failed")


# --- APOP

DIGEST = "c4c9334bac560ecc979e58001b3e22fb"


@pytest.mark.parametrize("greeting, digest, expected", [
    ("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>", DIGEST, (True, False, True)),
    ("+OK POP3 server ready <1896.697170952>", DIGEST, (True, True, True)),
    ("+OK <a\\xffb@x>", DIGEST, (True, True, True)),
    ("+OK POP3 server ready", DIGEST, (False, False, True)),
    ("+OK <1@2>", "nonsense", (True, False, False)),
])
def test_apop(greeting, digest, expected):
    found = login(f"S: {greeting}\nC: APOP mrose {digest}\nS: +OK maildrop has 1 message")
    assert (found.details["challenge_seen"], found.details["malformed_timestamp"], found.well_formed) == expected
    assert (found.mechanism, found.principal, found.secret, found.exposure, found.result) == ("APOP", "mrose", Secret(digest.encode()), "guessable", "success")


# --- AUTH

def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_auth_plain_with_initial_response():
    found = login(GREETING + f"C: AUTH PLAIN {token(chr(0) + 'anna' + chr(0) + 'pw')}\nS: +OK\nC: STAT\nS: +OK 0 0")
    assert (found.mechanism, found.principal, found.secret, found.result, found.details["initial_response"]) == ("PLAIN", "anna", Secret(b"pw"), "success", True)


def test_auth_login_prompted():
    text = GREETING + f"C: AUTH LOGIN\nS: + {token('Username:')}\nC: {token('anna')}\nS: + {token('Password:')}\nC: {token('pw')}\nS: -ERR [AUTH] no"
    found = login(text)
    assert (found.mechanism, found.principal, found.secret, found.result, found.reason) == ("LOGIN", "anna", Secret(b"pw"), "failed", "wrong-credentials")
    alone = one_sided(Pop3Parser, text, CLIENT).facts.logins
    assert [(one.principal, one.secret, one.result) for one in alone] == [("anna", Secret(b"pw"), "unknown")]


def test_commands_behind_a_pipelined_auth_are_no_tokens():
    text = GREETING + f"C> AUTH PLAIN {token(chr(0) + 'a' + chr(0) + 'b')}\\r\\nSTAT\\r\\nQUIT\\r\\n\nS> +OK\\r\\n+OK 0 0\\r\\n+OK\\r\\n"
    found = facts(text)
    assert (found.logins[0].result, found.n_commands, found.n_mailbox_commands) == ("success", 3, 1)


def test_auth_cancelled():
    found = login(GREETING + "C: AUTH PLAIN\nS: + \nC: *\nS: -ERR cancelled")
    assert (found.result, found.reason, found.exposure) == ("failed", "cancelled", "none")


def test_auth_refused_before_any_token():
    found = login(GREETING + "C: AUTH CRAM-MD5\nS: -ERR unknown mechanism\nC: QUIT\nS: +OK")
    assert (found.mechanism, found.result, found.exposure) == ("CRAM-MD5", "failed", "none")


def test_ntlm_is_asked_for_with_ok():
    text = GREETING + f"C: AUTH NTLM\nS: +OK\nC: {token('NTLMSSP' + chr(0))}\nS: -ERR no\nC: QUIT\nS: +OK"
    found = facts(text)
    assert [(one.mechanism, one.result) for one in found.logins] == [("NTLM", "failed")]
    assert (found.accepted_clear_command, found.n_commands) == (None, 2)


def test_bare_auth_lists_mechanisms():
    found = facts(GREETING + "C: AUTH\nS: +OK list\nS: CRAM-MD5\nS: plain\nS: .\nC: QUIT\nS: +OK")
    assert (found.auth_mechanisms, found.first_clear_command, found.logins) == (("CRAM-MD5", "PLAIN"), None, [])


# --- capabilities and STLS

CAPA = "C: CAPA\nS: +OK list follows\nS: TOP\nS: USER\nS: SASL PLAIN cram-md5\nS: {}\nS: UIDL\nS: .\n"


def test_capabilities():
    found = facts(GREETING + CAPA.format("STLS"))
    assert (found.capabilities, found.capabilities_complete) == (("TOP", "USER", "SASL PLAIN cram-md5", "STLS", "UIDL"), True)
    assert (found.auth_mechanisms, found.starttls_offered, found.masked_tokens) == (("USER", "PLAIN", "CRAM-MD5"), True, ())
    assert found.starttls_offered_at == len("+OK POP3 server ready\r\n+OK list follows\r\nTOP\r\nUSER\r\nSASL PLAIN cram-md5\r\n")
    assert (found.first_clear_command, found.accepted_clear_command) == (None, None)


@pytest.mark.parametrize("word, masked", [
    ("XXXX", ("XXXX",)), ("xxxx", ("xxxx",)), ("XXXA", ("XXXA",)), ("STLX", ("STLX",)), ("XTLS", ("XTLS",)), ("UTF8", ()), ("LANG", ()), ("EXPIRE 60", ()), ("XXXXXXXX", ()),
    ("RESP-CODES", ()), ("TEST", ())])
def test_masked_offer(word, masked):
    found = facts(GREETING + CAPA.format(word))
    assert (found.masked_tokens, found.starttls_offered) == (masked, False)


def test_capa_refused_says_nothing():
    found = facts(GREETING + "C: CAPA\nS: -ERR unknown command\nC: QUIT\nS: +OK")
    assert (found.capabilities, found.starttls_offered, found.capabilities_complete) == (None, None, False)


def test_cut_list_denies_nothing():
    found = facts(GREETING + "C: CAPA\nS: +OK\nS: TOP\nS: UIDL")
    assert (found.capabilities, found.capabilities_complete, found.starttls_offered) == (("TOP", "UIDL"), False, None)


def test_list_with_a_gap_denies_nothing():
    found = facts(GREETING + "C: CAPA\nS: +OK\nS: TOP\nS! 6\nS: UIDL\nS: .\nC: QUIT\nS: +OK")
    assert (found.capabilities_complete, found.starttls_offered, found.n_replies) == (False, None, 3)


def test_list_after_login_denies_nothing():
    start = GREETING + "C: USER a\nS: +OK\nC: PASS b\nS: +OK\n"
    assert facts(start + CAPA.format("EXPIRE NEVER")).starttls_offered is None
    assert facts(GREETING + CAPA.format("STLS") + start[len(GREETING):] + CAPA.format("EXPIRE NEVER")).starttls_offered is True


def test_server_side_alone_shows_the_list():
    found = one_sided(Pop3Parser, GREETING + CAPA.format("STLS") + "C: QUIT\nS: +OK", SERVER).facts
    assert (found.capabilities_complete, found.starttls_offered, found.starttls_requested, found.n_replies) == (True, True, None, 3)


def test_lists_read_once_are_the_same_object():
    assert read_capabilities(b"TOP\r\nSTLS\r\n") is read_capabilities(b"TOP\r\nSTLS\r\n")


HELLO = "\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00"


def test_stls():
    parser = same_however_cut(Pop3Parser, GREETING + f"C: STLS\nS: +OK begin TLS\nC> {HELLO}")
    found = parser.facts
    assert (found.starttls_requested, found.starttls_accepted, found.starttls_verb, found.starttls_reply_code, found.starttls_reply_text, found.tls_started) == (
        True, True, "STLS", "+OK", "begin TLS", True)
    assert (parser.handover.to, parser.handover.at[CLIENT]) == ("tls", 6)
    assert (found.first_clear_command, found.accepted_clear_command) == (None, None)


def test_user_name_before_stls_is_kept():
    parser = same_however_cut(Pop3Parser, GREETING + f"C: USER a\nS: +OK\nC: STLS\nS: +OK\nC> {HELLO}")
    assert [(one.principal, one.exposure) for one in parser.facts.logins] == [("a", "none")]


def test_stls_refused():
    found = facts(GREETING + "C: STLS\nS: -ERR not here\nC: USER a\nS: +OK\nC: PASS b\nS: +OK")
    assert (found.starttls_requested, found.starttls_accepted, found.starttls_reply_code, found.tls_started) == (True, False, "-ERR", False)
    assert found.logins[0].result == "success"


def test_clear_text_after_accepted_stls():
    found = facts(GREETING + "C: STLS\nS: +OK\nC: USER a\nS: +OK\nC: PASS b\nS: +OK")
    assert (found.cleartext_after_accept, found.tls_started, found.logins[0].result) == ("USER", False, "success")


# --- messages and listings

MESSAGE = r"From: a@b.example\r\nTo: c@d.example\r\nMessage-ID: <1@b>\r\n\r\nHi\r\n..\r\n..dot\r\nPASS not a command\r\n.\r\n"


def test_retr():
    text = GREETING + f"C: RETR 1\nS: +OK 100 octets\nS> {MESSAGE}\nC: QUIT\nS: +OK"
    found = facts(text)
    content = b"From: a@b.example\r\nTo: c@d.example\r\nMessage-ID: <1@b>\r\n\r\nHi\r\n.\r\n.dot\r\nPASS not a command\r\n"
    assert found.messages == [Message(
        protocol="pop3", direction="fetched", side=SERVER, at=len("+OK POP3 server ready\r\n+OK 100 octets\r\n"), reply_code="+OK", accepted=True, message_id="<1@b>",
        size_bytes=len(content), complete=True, from_domain="b.example", to_domains=("d.example",))]
    assert (found.n_replies, found.logins) == (3, [])


@pytest.mark.parametrize("command", ["RETR 1", "TOP 1 0", "retr 1"])
def test_refused_or_empty_fetch_is_no_message(command):
    assert facts(GREETING + f"C: {command}\nS: -ERR no such message\nC: QUIT\nS: +OK").messages == []
    assert facts(GREETING + f"C: {command}\nS: +OK\nS: .\nC: QUIT\nS: +OK").messages == []


def test_fetch_cut_off():
    found, = facts(GREETING + "C: RETR 1\nS: +OK\nS: A: b\nS: ").messages
    assert (found.complete, found.accepted, found.size_bytes) == (False, None, 8)


def test_gap_inside_a_message():
    text = GREETING + "C: RETR 1\nS: +OK\nS: A: b\nS: \nS! 100\nS: end\nS: .\nC: DELE 1\nS: +OK gone\nC: QUIT\nS: +OK"
    found = facts(text)
    assert ([one.complete for one in found.messages], found.n_replies) == ([True], 4)


def test_gap_swallows_the_end_of_a_message():
    text = GREETING + "C: RETR 1\nS: +OK\nS: A: b\nS: \nS! 100\nC: DELE 1\nS: +OK gone\nC: USER a\nS: +OK\nC: PASS b\nS: +OK"
    found = facts(text)
    assert ([one.complete for one in found.messages], found.n_replies, found.logins[0].result) == ([False], 5, "success")


@pytest.mark.parametrize("command, answer", [
    ("LIST", "+OK 2\nS: 1 120\nS: 2 200\nS: ."), ("LIST 2", "+OK 2 200"), ("UIDL", "+OK\nS: 1 whqtswO00WBw418f9t5JxYwZ\nS: ."), ("UIDL 1", "+OK 1 abc"),
    ("LANG", "+OK\nS: en English\nS: ."), ("LANG en", "+OK en"), ("XTND XLST Subject", "+OK\nS: 1 Subject: +OK\nS: ."), ("FOO", "+OK nothing"), ("FOO", "+OK\nS: 1 -ERR\nS: ."),
    ("UTF8", "+OK"), ("LAST", "+OK 1"), ("NOOP", "+OK"), ("RSET", "+OK")])
def test_listings_keep_replies_paired(command, answer):
    found = facts(GREETING + f"C: {command}\nS: {answer}\nC: USER a\nS: +OK\nC: PASS b\nS: -ERR no")
    assert (found.n_replies, found.logins[0].result, found.messages) == (4, "failed", [])


def test_server_side_alone_shows_the_message():
    found = one_sided(Pop3Parser, GREETING + f"C: LIST\nS: +OK\nS: 1 100\nS: .\nC: RETR 1\nS: +OK 100 octets\nS> {MESSAGE}\nC: QUIT\nS: +OK", SERVER).facts
    assert ([one.message_id for one in found.messages], found.n_replies, found.capabilities) == (["<1@b>"], 4, None)


def test_xtnd_xmit():
    found = facts(GREETING + f"C: XTND XMIT\nS: +OK start\nC> {MESSAGE}\nS: +OK sent\nC: QUIT\nS: +OK")
    assert [(one.direction, one.side, one.accepted, one.reply_code, one.message_id) for one in found.messages] == [("submitted", CLIENT, True, "+OK", "<1@b>")]
    assert found.n_commands == 2


def test_bare_line_feeds():
    found = facts("S> +OK hi\\n\nC> RETR 1\\n\nS> +OK\\nA: b\\n\\ntext\\n.\\n\nC> QUIT\\n\nS> +OK\\n")
    assert (found.lf_only, found.n_replies, [one.complete for one in found.messages]) == (True, 3, [True])


# --- hostile input

@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.lists(st.sampled_from([
    b"+OK\r\n", b"-ERR [AUTH]\r\n", b"+ \r\n", b"USER a\r\n", b"PASS b\r\n", b"AUTH LOGIN\r\n", b"AUTH\r\n", b"CAPA\r\n", b"STLS\r\n", b".\r\n", b"..\r\n", b"\x16\x03\x01\0",
    b"RETR 1\r\n", b"A: b\r\n", b"\r\n", b"XTND XMIT\r\n", b"APOP\r\n", b"\n", b"\0"]), max_size=40).map(b"".join), st.integers(0, 9), st.booleans())
def test_never_raises(data, seed, start_seen):
    swallow(Pop3Parser, data, seed=seed, start_seen=start_seen)


def test_empty_pieces_change_nothing():
    parser = Pop3Parser()
    for side, data in ((SERVER, b""), (CLIENT, b""), (SERVER, b"\n"), (CLIENT, b"\r\n")):
        parser.feed(side, data, 0)
    assert (parser.facts.logins, parser.facts.greeting) == ([], None)


def test_many_unanswered_commands_stay_bounded():
    parser = Pop3Parser()
    parser.feed(CLIENT, b"NOOP\r\n" * 5000, 0)
    assert len(parser.pending) <= 1024
    assert parser.facts.n_commands == 5000


def test_no_token_becomes_a_command():
    found = facts(GREETING + f"C! 20\nC: {token('secret')}\nS: +OK")
    assert (found.first_clear_command, found.accepted_clear_command) == (None, None)


@pytest.mark.parametrize("client, server, expected", [
    (b"", b"+OK Dovecot ready.\r\n", True), (b"CAPA\r\n", b"+OK\r\n", True), (b"USER a\r\nPASS b\r\nUIDL\r\n", b"", True), (b"", b"+O", None), (b"", b"+OK\r\n", None),
    (b"USER a\r\n", b"", None), (b"USER a\r\nPASS b\r\nSYST\r\n", b"", False), (b"*1\r\n$4\r\nPING\r\n", b"+OK\r\n", False), (b"", b"+PONG\r\n", False), (b"", b"220 x\r\n", False),
    (b"USER a 0 * :b\r\n", b"", False), (b"EHLO a\r\n", b"", False), (b"USER a\r\n", b"+OK\r\n+OK\r\n", True), (b"SET a b\r\n", b"+OK\r\n", False)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected


def test_unfinished_exchange_is_unknown():
    found = converse(Pop3Parser, GREETING + f"C: AUTH LOGIN\nS: + \nC: {token('anna')}").facts.logins
    assert [(one.principal, one.secret, one.result) for one in found] == [("anna", None, "unknown")]


@pytest.mark.parametrize("command", ["AUTH PLAIN", "USER anna", "PASS secret", "APOP anna " + "0" * 32, "STLS", "XTND XMIT"])
@pytest.mark.parametrize("answer", ["+OK", "-ERR no"])
def test_a_stray_line_end_before_a_command_changes_nothing(command, answer):
    """A bare CR that an earlier line left over stands before the verb."""
    plain, stray = (facts(GREETING + f"C: {before}{command}\nS: {answer}\nC: QUIT\nS: +OK") for before in ("", "\\r"))
    assert [told(one, "at", "secret_at") for one in stray.logins] == [told(one, "at", "secret_at") for one in plain.logins]
    assert (stray.n_commands, stray.starttls_requested, stray.first_clear_command) == (plain.n_commands, plain.starttls_requested, plain.first_clear_command)
