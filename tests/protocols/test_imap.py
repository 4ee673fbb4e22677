"""IMAP: greeting, capabilities, STARTTLS, logins by LOGIN and AUTHENTICATE, and how answers pair with commands."""
from __future__ import annotations

import base64

import pytest

from pcapsec.protocols.imap import ImapParser
from pcapsec.records import CLIENT, SERVER, Facts, Login
from pcapsec.secret import Secret
from tests.helpers import converse, dialogue, merged, one_sided, same_however_cut


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def offset(turns, side, word: bytes) -> int:
    return b"".join(data for of, data in turns if of == side).index(word)


def test_whole_conversation():
    turns = dialogue(r"""
        S: * OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS AUTH=PLAIN auth=login] Dovecot ready.
        C: a1 CAPABILITY
        S: * CAPABILITY IMAP4rev1 SASL-IR STARTTLS AUTH=PLAIN auth=login
        S: a1 OK listed
        C: a2 ID ("name" "Mailer" "version" NIL "x-token" "abc")
        S: * ID NIL
        S: a2 OK
        C: a3 login joe secret
        S: a3 OK [CAPABILITY IMAP4rev1 IDLE] in
        C: a4 SELECT INBOX
        S: * FLAGS (\\Seen)
        S: * 3 EXISTS
        S: a4 OK [READ-WRITE] selected
        C: a5 LOGOUT
        S: * BYE
        S: a5 OK
        """)
    parser = same_however_cut(ImapParser, turns)
    capability_at = offset(turns, SERVER, b"* CAPABILITY")
    login_at = offset(turns, CLIENT, b"a3 login")
    assert parser.facts == Facts(
        protocol="imap", greeting="* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS AUTH=PLAIN auth=login] Dovecot ready.", greeting_code="OK", greeting_at=0,
        capabilities=("IMAP4rev1", "SASL-IR", "STARTTLS", "AUTH=PLAIN", "auth=login"), capabilities_complete=True, capabilities_at=capability_at,
        starttls_offered=True, starttls_offered_at=0, starttls_requested=False, auth_mechanisms=("PLAIN", "LOGIN"), auth_mechanisms_at=capability_at,
        login_disabled=False, first_clear_command="LOGIN", first_clear_command_at=login_at, accepted_clear_command="LOGIN", accepted_clear_code="OK",
        n_mailbox_commands=1, n_commands=5, n_replies=11, identity={"imap-id": "name=Mailer"},
        logins=[Login(protocol="imap", mechanism="LOGIN-COMMAND", at=login_at, principal="joe", secret=Secret(b"secret"), secret_at=login_at,
            exposure="password",
                      result="success", reply_code="OK", details={"tag": "a3", "login_disabled": False, "form": "atom"})])


def login_of(command: str, answer: str = "S: a OK") -> Login:
    return same_however_cut(ImapParser, "S: * OK hi\n" + command + "\n" + answer).facts.logins[0]


@pytest.mark.parametrize("command, principal, secret, form", [
    (r"C: a LOGIN joe secret", "joe", b"secret", "atom"),
    (r'C: a LOGIN "joe" "se cret"', "joe", b"se cret", "quoted"),
    (r'C: a LOGIN "j\\"o\\\\e" "a\\\\b\\"c"', 'j"o\\e', b'a\\b"c', "quoted"),
    ("C: a LOGIN {3}\nS: + go\nC: joe {6}\nS: + go\nC: secret", "joe", b"secret", "literal"),
    (r"C: a LOGIN {3+}" "\n" r"C: joe {8+}" "\n" r"C: se\r\ncret", "joe", b"se\r\ncret", "literal+"),
    ("C: a LOGIN joe {6}\nS: + go\nC: secret", "joe", b"secret", "literal"),
    ("C: a LOGIN {3}\nS: +\nC: joe \"pass word\"", "joe", b"pass word", "quoted"),
    ("C: a LOGIN joe {12}\nS: + go\nC: a b LOGIN no", "joe", b"a b LOGIN no", "literal"),
    (r"C: a LOGIN jos\xc3\xa9 p\xe9", "jos\u00e9", b"p\xe9", "atom"),
    ("C: a LOGIN anonymous me@example.org", "anonymous", b"me@example.org", "atom"),
])
def test_login_forms(command, principal, secret, form):
    login = login_of(command)
    assert (login.mechanism, login.principal, login.secret, login.exposure, login.result, login.well_formed, login.details["form"]) == (
        "LOGIN-COMMAND", principal, Secret(secret), "password", "success", True, form)


@pytest.mark.parametrize("command, principal, secret, exposure", [
    ("C: a LOGIN joe", "joe", None, "none"),
    ("C: a LOGIN", None, None, "none"),
    ("C: a LOGIN joe pass word", "joe", Secret(b"pass word"), "password"),
    ('C: a LOGIN joe "secret', "joe", Secret(b"secret"), "password"),
    (r'C: a LOGIN joe "a\\bc"', "joe", Secret(b"abc"), "password"),
])
def test_login_not_well_formed(command, principal, secret, exposure):
    login = login_of(command, "S: a BAD no")
    assert (login.principal, login.secret, login.exposure, login.well_formed, login.result, login.reason) == (principal, secret, exposure, False, "unknown",
        "malformed")


def test_empty_password_is_none():
    login = login_of('C: a LOGIN joe ""', "S: a NO")
    assert (login.principal, login.secret, login.exposure, login.well_formed, login.result) == ("joe", None, "none", True, "failed")


def test_announced_password_that_was_refused_never_passed():
    parser = same_however_cut(ImapParser, "S: * OK\nC: a LOGIN joe {6}\nS: a NO [PRIVACYREQUIRED] use TLS\nC: b LOGOUT\nS: b OK")
    login = parser.facts.logins[0]
    assert (login.principal, login.secret, login.exposure, login.result, login.reason, login.reply_code) == ("joe", None, "none", "failed", "refused",
        "NO [PRIVACYREQUIRED]")
    assert parser.facts.encryption_required_code == "PRIVACYREQUIRED"
    assert parser.facts.n_commands == 2


def test_announced_password_that_never_came():
    login = converse(ImapParser, "S: * OK\nC: a LOGIN joe {6}").facts.logins[0]
    assert (login.principal, login.secret, login.result) == ("joe", None, "unknown")
    login = converse(ImapParser, "S: * OK\nC: a LOGIN joe {6}\nS: + go\nC> sec").facts.logins[0]
    assert (login.principal, login.secret) == ("joe", None)


@pytest.mark.parametrize("answer, result, reason, code", [
    ("OK done", "success", None, "OK"), ("NO wrong", "failed", None, "NO"), ("BAD what", "unknown", "malformed", "BAD"),
    ("NO [AUTHENTICATIONFAILED] x", "failed", "wrong-credentials", "NO [AUTHENTICATIONFAILED]"),
    ("NO [authorizationfailed] x", "success", "authorization-failed", "NO [AUTHORIZATIONFAILED]"),
    ("NO [UNAVAILABLE] x", "unknown", "temporary", "NO [UNAVAILABLE]"), ("NO [EXPIRED] x", "failed", "locked", "NO [EXPIRED]"),
    ("NO [REFERRAL imap://joe@other/] x", "unknown", None, "NO [REFERRAL]"),
])
def test_answers_to_login(answer, result, reason, code):
    for command in ("C: a LOGIN joe secret", "C: a AUTHENTICATE PLAIN " + b64(b"\0joe\0secret")):
        login = login_of(command, "S: a " + answer)
        assert (login.principal, login.secret, login.result, login.reason, login.reply_code) == ("joe", Secret(b"secret"), result, reason, code)


def test_answers_pair_by_tag():
    parser = same_however_cut(ImapParser, "S: * OK\nC: a LOGIN joe one\nC: b LOGIN ann two\nS: b OK\nS: a NO\nS: x NO\n")
    assert [(login.principal, login.result) for login in parser.facts.logins] == [("joe", "failed"), ("ann", "success")]
    assert parser.facts.accepted_clear_command == "LOGIN"


@pytest.mark.parametrize("text", [
    "C: a AUTHENTICATE PLAIN {token}", "C: a AUTHENTICATE PLAIN\nS: +\nC: {token}", "C: a authenticate plain\nS: + \nC: {token}",
    "C: a AUTHENTICATE PLAIN\nC: {token}\nS: + ",
])
def test_authenticate_plain(text):
    login = login_of(text.format(token=b64(b"\0joe\0secret")))
    assert (login.mechanism, login.principal, login.secret, login.exposure, login.result) == ("PLAIN", "joe", Secret(b"secret"), "password", "success")


def test_authenticate_login_and_cancel():
    login = login_of(f"C: a AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nC: {b64(b'joe')}\nS: + UGFzc3dvcmQ6\nC: {b64(b'secret')}", "S: a NO")
    assert (login.mechanism, login.principal, login.secret, login.result) == ("LOGIN", "joe", Secret(b"secret"), "failed")
    login = login_of(f"C: a AUTHENTICATE LOGIN\nS: + VXNlcm5hbWU6\nC: {b64(b'joe')}\nS: + UGFzc3dvcmQ6\nC: *", "S: a BAD cancelled")
    assert (login.principal, login.secret, login.result, login.reason, login.reply_code) == ("joe", None, "failed", "cancelled", "BAD")
    login = login_of("C: a AUTHENTICATE PLAIN =", "S: a NO")
    assert (login.principal, login.secret, login.exposure) == (None, None, "none")


def test_authenticate_cram_md5():
    digest = "0123456789abcdef0123456789abcdef"
    login = login_of(f"C: a AUTHENTICATE CRAM-MD5\nS: + {b64(b'<1.2@host>')}\nC: {b64(b'joe ' + digest.encode())}")
    assert (login.mechanism, login.principal, login.secret, login.exposure, login.details["challenge_seen"]) == ("CRAM-MD5", "joe", Secret(digest.encode()),
        "guessable", True)


def test_exchange_whose_answer_is_missing_ends_with_the_next_command():
    token = b64(b"x\0joe\0secret")
    parser = converse(ImapParser, f"S: * OK\nC: a AUTHENTICATE PLAIN\nS: + \nC: {token}\nS! 10\nC: b SELECT INBOX\nS: * x\nS: b OK")
    assert [(login.principal, login.result) for login in parser.facts.logins] == [("joe", "unknown")]
    assert parser.facts.n_mailbox_commands == 1


def test_starttls():
    turns = dialogue(r"""
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
        C: . STARTTLS
        S: . OK Begin TLS
        C> \x16\x03\x01\x00\x05hello
        """)
    parser = same_however_cut(ImapParser, turns)
    facts = parser.facts
    assert (facts.starttls_offered, facts.starttls_requested, facts.starttls_accepted, facts.starttls_reply_code, facts.starttls_reply_text,
        facts.tls_started) == (
        True, True, True, "OK", "Begin TLS", True)
    assert (facts.login_disabled, facts.login_disabled_at, facts.first_clear_command) == (True, 0, None)
    assert (parser.handover.to, parser.handover.at[CLIENT]) == ("tls", len(b". STARTTLS\r\n"))


def test_starttls_refused():
    parser = same_however_cut(ImapParser, "S: * OK\nC: a STARTTLS\nS: a NO [UNAVAILABLE] later\nC: b LOGIN joe secret\nS: b OK")
    facts = parser.facts
    assert (facts.starttls_accepted, facts.starttls_reply_code, facts.starttls_reply_text, parser.handover) == (False, "NO", "[UNAVAILABLE] later", None)
    assert facts.logins[0].secret == Secret(b"secret")


def test_clear_text_after_an_accepted_starttls():
    facts = converse(ImapParser, "S: * OK\nC: a STARTTLS\nS: a OK go\nC: b LOGIN joe secret\nS: b OK").facts
    assert (facts.starttls_accepted, facts.cleartext_after_accept, facts.tls_started) == (True, "LOGIN", False)
    assert facts.logins[0].result == "success"


def test_server_side_alone_shows_tls():
    parser = one_sided(ImapParser, r"""
        S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
        C: a STARTTLS
        S: a OK Begin TLS
        C> \x16\x03\x01\x00\x05hello
        S> \x16\x03\x03\x00\x05hello
        """, SERVER)
    assert parser.handover.to == "tls" and parser.handover.rest == (b"", b"\x16\x03\x03\x00\x05hello")
    assert (parser.facts.starttls_offered, parser.facts.starttls_requested) == (True, None)


def test_not_offered():
    facts = same_however_cut(ImapParser, "S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4 IMAP4rev1 AUTH=NTLM\nS: a OK").facts
    assert (facts.starttls_offered, facts.capabilities_complete, facts.auth_mechanisms, facts.login_disabled) == (False, True, ("NTLM",), False)


@pytest.mark.parametrize("text", [
    "S: * OK hi\nC: a LOGIN joe x\nS: * CAPABILITY IMAP4rev1 IDLE\nS: a OK",  # some servers send it ahead of the answer
    "S: * OK hi\nC: a LOGIN joe x\nS: a OK [CAPABILITY IMAP4rev1 IDLE] in",
    "S: * OK hi\nC: a LOGIN joe x\nS: a OK\nC: b CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: b OK",
    "S: * PREAUTH [CAPABILITY IMAP4rev1 IDLE] in",
    "S: * OK hi\nS: a OK in\nS: * CAPABILITY IMAP4rev1 IDLE",  # the client's side is missing
    "S! 60\nC: b CAPABILITY\nS: b OK x\nS: * CAPABILITY IMAP4rev1 IDLE\nS: b OK",
])
def test_a_list_from_after_the_login_says_nothing_about_starttls(text):
    facts = same_however_cut(ImapParser, text).facts
    assert (facts.capabilities, facts.capabilities_complete, facts.starttls_offered, facts.login_disabled) == (("IMAP4rev1", "IDLE"), False, None, None)


def test_later_list_does_not_withdraw_the_offer():
    text = "S: * OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\nC: a LOGIN joe x\nS: a OK [CAPABILITY IMAP4rev1 IDLE] in"
    for turns in (dialogue(text), [turn for turn in dialogue(text) if turn[0] == SERVER]):
        facts = converse(ImapParser, turns).facts
        assert (facts.starttls_offered, facts.auth_mechanisms, facts.capabilities) == (True, ("PLAIN",), ("IMAP4rev1", "STARTTLS", "AUTH=PLAIN"))


def test_last_list_before_the_login_counts():
    facts = converse(ImapParser, """
        S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi
        C: a CAPABILITY
        S: * CAPABILITY IMAP4rev1 LOGINDISABLED
        S: a OK
        C: b LOGIN joe x
        S: b NO
        """).facts
    assert (facts.login_disabled, facts.login_disabled_at, facts.auth_mechanisms) == (True, 43, ())
    assert facts.logins[0].details["login_disabled"] is True


def test_preauth():
    facts = same_however_cut(ImapParser, "S: * PREAUTH in already\nC: a SELECT INBOX\nS: a OK").facts
    assert (facts.preauth, facts.greeting_code, facts.first_clear_command, facts.accepted_clear_command) == (True, "PREAUTH", "SELECT", "SELECT")
    assert converse(ImapParser, "S: * OK hi\nS: * PREAUTH late").facts.preauth is False


@pytest.mark.parametrize("word, masked", [
    ("XXXXXXXX", True), ("XXXXXXXA", True), ("STARTTLX", True), ("STARTTL", True), ("XSTARTTLS", True), ("CHILDREN", False), ("UNSELECT", False),
    ("XXXXXXX", False),
    ("AUTH=XXX", False), ("SORT", False), ("XXXXXXXXX", False),
])
def test_masked_tokens(word, masked):
    facts = converse(ImapParser, f"S: * OK [CAPABILITY IMAP4rev1 {word} LITERAL+] hi").facts
    assert facts.masked_tokens == ((word,) if masked else ())


def test_idle_noise_and_unknown_words():
    facts = same_however_cut(ImapParser, """
        S: * OK hi
        C: a IDLE
        S: + idling
        S: * 4 EXISTS
        S: * OK Still here
        C: DONE
        S: a OK done
        C: b NOOP
        S: * VANISHED 1
        S: b OK
        C: c XFROBNICATE 1
        S: c BAD
        """).facts
    assert (facts.n_commands, facts.n_mailbox_commands, facts.first_clear_command, facts.anomalies, facts.n_replies) == (3, 1, "IDLE", [], 8)


def test_identity_by_literal():
    facts = same_however_cut(ImapParser, 'S: * OK\nC: a ID ("name" {5}\nS: + go\nC: Thing "os" "x")\nS: a OK').facts
    assert facts.identity == {"imap-id": "name=Thing; os=x"}


def test_lone_line_feeds_are_accepted():
    facts = converse(ImapParser, r"S> * OK hi\n" "\n" r"C> a LOGIN joe secret\n" "\n" r"S> a OK\n").facts
    assert facts.lf_only and facts.logins[0].secret == Secret(b"secret") and facts.logins[0].result == "success"


def test_security_layer():
    login = "S: * OK\nC: a AUTHENTICATE GSSAPI\nS: +\nC: " + b64(b"token") + "\nS: a OK\n"
    parser = same_however_cut(ImapParser, login + r"C> \x00\x00\x00\x05abcde" "\n" r"S> \x00\x00\x00\x05a\r\ncd")
    assert parser.facts.sasl_wrapped and parser.facts.logins[0].result == "success" and parser.facts.anomalies == []
    parser = same_however_cut(ImapParser, login + "C: b SELECT INBOX\nS: b OK")
    assert not parser.facts.sasl_wrapped and parser.facts.n_mailbox_commands == 1


def test_client_side_alone():
    parser = one_sided(ImapParser, f"""
        S: * OK
        C: a LOGIN {{3}}
        S: + go
        C: joe {{6}}
        S: + go
        C: secret
        S: a OK
        C: b AUTHENTICATE PLAIN
        S: +
        C: {b64(bytes(1) + b'ann' + bytes(1) + b'other')}
        S: b OK
        C: c APPEND x {{20}}
        S: +
        C: d LOGIN mallory none
        C: e LOGOUT
        """, CLIENT)
    assert [(login.principal, login.secret, login.result, login.reply_code) for login in parser.facts.logins] == [
        ("joe", Secret(b"secret"), "unknown", None), ("ann", Secret(b"other"), "unknown", None), ("mallory", Secret(b"none"), "unknown", None)]
    assert (parser.facts.capabilities, parser.facts.starttls_offered, parser.facts.greeting) == (None, None, None)


def test_server_side_alone():
    facts = one_sided(ImapParser, "S: * OK hi\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1 LOGINDISABLED\nS: a OK\nC: b LOGIN joe x\nS: b NO", SERVER).facts
    assert (facts.starttls_offered, facts.login_disabled, facts.logins, facts.starttls_requested, facts.n_commands) == (False, True, [], None, 0)


def test_capture_that_starts_late():
    facts = converse(ImapParser, "C> words to LOGIN now please\nC: \nC: to login now please\nC: a7 SELECT INBOX\nS: part of a line\nS: * 4 EXISTS\nS: a7 OK\n"
                                 "C: a8 LOGIN joe secret\nS: a8 OK",
                     start_seen=False).facts
    assert [login.principal for login in facts.logins] == ["joe"]
    assert (facts.greeting, facts.n_mailbox_commands, facts.starttls_requested, facts.anomalies) == (None, 1, None, [])
    assert converse(ImapParser, "S: * OK Still here\nS: * CAPABILITY IMAP4rev1", start_seen=False).facts.greeting is None
    facts = converse(ImapParser, "S: * OK [CAPABILITY IMAP4rev1] server ready\nS: * CAPABILITY IMAP4rev1", start_seen=False).facts
    assert (facts.greeting_code, facts.starttls_offered) == ("OK", False)


def test_gap_between_lines():
    facts = converse(ImapParser, "S: * OK [CAPABILITY IMAP4rev1 STARTTLS] hi\nC> a LOG\nC! 20\nC: rest of a line\nC: b9 SELECT INBOX\nS: b9 OK\nS! 5\nS: x\n"
                                 "C: c LOGIN joe secret\nS: c OK").facts
    assert (facts.logins[0].principal, facts.logins[0].result, facts.n_commands, facts.starttls_requested) == ("joe", "success", 2, None)


def test_gap_in_a_login_literal():
    facts = converse(ImapParser, "S: * OK\nC: a LOGIN joe {10}\nS: + go\nC> sec\nC! 4\nC: ret\nS: a OK\nC: b LOGIN ann other\nS: b OK").facts
    assert [(login.principal, login.secret, login.result, login.well_formed) for login in facts.logins] == [("joe", None, "success", False),
        ("ann", Secret(b"other"), "success", True)]
    facts = converse(ImapParser, "S: * OK\nC: a LOGIN {3}\nS: + go\nC! 3\nC:  {6}\nS: + go\nC: secret\nS: a OK").facts
    assert [(login.principal, login.secret) for login in facts.logins] == [(None, Secret(b"secret"))]


def test_refused_literal_whose_answer_is_missing():
    facts = same_however_cut(ImapParser, "S: * OK\nC: a LOGIN joe {20}\nS! 30\nC: b LOGOUT\nS: x\nS: b OK").facts
    assert [(login.principal, login.secret) for login in facts.logins] == [("joe", None)]
    assert facts.n_commands == 2


def test_merged_turns_still_pair():
    parser = converse(ImapParser, merged(dialogue("S: * OK\nC: a LOGIN {3+}\nC: joe {6+}\nC: secret\nC: b SELECT INBOX\nS: a OK\nS: b OK")))
    assert (parser.facts.logins[0].secret, parser.facts.n_mailbox_commands) == (Secret(b"secret"), 1)
