"""ManageSieve: capability lines, STARTTLS, AUTHENTICATE in all its forms, scripts in literals."""
from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings, strategies as st

from pcapsec.protocols.managesieve import ManageSieveParser, probe
from pcapsec.records import CLIENT, SERVER, Facts, Login
from pcapsec.secret import Secret
from tests.helpers import converse, dialogue, one_sided, same_however_cut, swallow

PLAIN = base64.b64encode(b"\0joe\0secret").decode()
GREETING = '''
    S: "IMPLEMENTATION" "Dovecot Pigeonhole"
    S: "SIEVE" "fileinto reject"
    S: "SASL" "PLAIN login"
    S: "STARTTLS"
    S: "VERSION" "1.0"
    S: OK "Dovecot ready."
    '''


def test_whole_conversation():
    turns = dialogue(GREETING + f'''
        C: AUTHENTICATE "PLAIN" "{PLAIN}"
        S: OK "Logged in."
        C: LISTSCRIPTS
        S: "roundcube" ACTIVE
        S: "STARTTLS"
        S: OK
        C: LOGOUT
        S: OK
        ''')
    parser = same_however_cut(ManageSieveParser, turns)
    greeting_at = b"".join(data for side, data in turns if side == SERVER).index(b"OK")
    assert parser.facts == Facts(
        protocol="managesieve", greeting='OK "Dovecot ready."', greeting_code="OK", greeting_at=greeting_at,
        capabilities=("IMPLEMENTATION Dovecot Pigeonhole", "SIEVE fileinto reject", "SASL PLAIN login", "STARTTLS", "VERSION 1.0"),
            capabilities_complete=True, capabilities_at=0,
        starttls_offered=True, starttls_offered_at=0, starttls_requested=False, auth_mechanisms=("PLAIN", "LOGIN"), auth_mechanisms_at=0,
        first_clear_command="AUTHENTICATE", first_clear_command_at=0, accepted_clear_command="AUTHENTICATE", accepted_clear_code="OK", n_mailbox_commands=1,
            n_commands=3, n_replies=4,
        logins=[Login(protocol="managesieve", mechanism="PLAIN", at=0, principal="joe", secret=Secret(b"secret"), secret_at=0, exposure="password",
            result="success", reply_code="OK",
                      details={"initial_response": True, "prompts": 0})])


@pytest.mark.parametrize("text, initial", [
    (f'C: AUTHENTICATE "PLAIN" "{PLAIN}"', True), (f'C: authenticate "plain" {{{len(PLAIN)}+}}\nC: {PLAIN}', True),
    (f'C: AUTHENTICATE "PLAIN"\nS: ""\nC: "{PLAIN}"', False), (f'C: AUTHENTICATE "PLAIN"\nS: {{0}}\nS: \nC: {{{len(PLAIN)}+}}\nC: {PLAIN}', False),
    (f'C: AUTHENTICATE "PLAIN"\nS: ""\nC: {PLAIN}', False),
])
def test_forms_of_authenticate(text, initial):
    facts = same_however_cut(ManageSieveParser, GREETING + text + "\nS: OK\nC: LISTSCRIPTS\nS: OK").facts
    login = facts.logins[0]
    assert (login.mechanism, login.principal, login.secret, login.exposure, login.result, login.details["initial_response"]) == ("PLAIN", "joe",
        Secret(b"secret"), "password", "success", initial)
    assert (facts.n_mailbox_commands, facts.anomalies) == (1, [])


def test_prompts_and_cancel():
    user, password = (base64.b64encode(word).decode() for word in (b"joe", b"secret"))
    begin = GREETING + 'C: AUTHENTICATE "LOGIN"\n'
    text = begin + f'S: {{12}}\nS: VXNlcm5hbWU6\nC: "{user}"\nS: "UGFzc3dvcmQ6"\nC: "{password}"\nS: NO "wrong"'
    login = same_however_cut(ManageSieveParser, text).facts.logins[0]
    assert (login.principal, login.secret, login.result, login.reason, login.reply_code, login.details["prompts"]) == ("joe", Secret(b"secret"), "failed",
        None, "NO", 2)
    login = same_however_cut(ManageSieveParser, begin + f'S: ""\nC: "{user}"\nS: ""\nC: "*"\nS: NO "cancelled"').facts.logins[0]
    assert (login.principal, login.secret, login.result, login.reason) == ("joe", None, "failed", "cancelled")


@pytest.mark.parametrize("answer, result, reason, code", [
    ('NO "no"', "failed", None, "NO"), ('NO (ENCRYPT-NEEDED) "TLS"', "failed", "refused", "NO (ENCRYPT-NEEDED)"),
    ('no ("AUTH-TOO-WEAK")', "failed", "refused", "NO (AUTH-TOO-WEAK)"),
    ("NO (TRYLATER)", "unknown", "temporary", "NO (TRYLATER)"), ('BYE "too many"', "failed", None, "BYE"), ('OK (SASL "cnNwYXV0aA==")', "success", None, "OK"),
    ("NO {5}\nS: wrong", "failed", None, "NO"),
])
def test_answers(answer, result, reason, code):
    facts = same_however_cut(ManageSieveParser, GREETING + f'C: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: {answer}\nC: LOGOUT\nS: OK').facts
    login = facts.logins[0]
    assert (login.result, login.reason, login.reply_code, login.secret) == (result, reason, code, Secret(b"secret"))
    assert facts.encryption_required_code == ("ENCRYPT-NEEDED" if "ENCRYPT" in answer else None)
    assert facts.anomalies == []


def test_starttls():
    parser = same_however_cut(ManageSieveParser, GREETING + 'C: STARTTLS\nS: OK "Begin TLS"\n' + r"C> \x16\x03\x01\x00\x05hello")
    facts = parser.facts
    assert (facts.starttls_requested, facts.starttls_accepted, facts.starttls_reply_code, facts.tls_started, parser.handover.to) == (True, True, "OK", True,
        "tls")
    facts = same_however_cut(ManageSieveParser, GREETING + 'C: STARTTLS\nS: NO "broken"\nC: CAPABILITY\nS: "IMPLEMENTATION" "x"\nS: OK').facts
    assert (facts.starttls_accepted, facts.starttls_reply_code, facts.starttls_reply_text, facts.starttls_offered) == (False, "NO", '"broken"', False)


def test_not_offered_and_masked():
    facts = converse(ManageSieveParser, 'S: "IMPLEMENTATION" "x"\nS: "XXXXXXXX"\nS: "SASL" ""\nS: OK').facts
    assert (facts.starttls_offered, facts.masked_tokens, facts.auth_mechanisms, facts.auth_mechanisms_at) == (False, ("XXXXXXXX",), (), None)
    facts = converse(ManageSieveParser, 'S: "IMPLEMENTATION" "x"\nS: "SASL" "PLAIN"').facts
    assert (facts.starttls_offered, facts.capabilities) == (None, None)  # no OK: the list may go on
    facts = converse(ManageSieveParser, 'S: "IMPLEMENTATION" "x"\nS! 20\nS: "x"\nS: OK').facts
    assert (facts.starttls_offered, facts.capabilities) == (None, None)


def test_list_after_the_login_does_not_withdraw_the_offer():
    text = GREETING + f'C: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: OK\nC: CAPABILITY\nS: "IMPLEMENTATION" "x"\nS: OK'
    assert converse(ManageSieveParser, text).facts.starttls_offered is True
    assert one_sided(ManageSieveParser, text, SERVER).facts.starttls_offered is True


def test_scripts_are_never_commands():
    script = b'AUTHENTICATE "PLAIN" "AGEAYg=="\r\nSTARTTLS\r\n'
    turns = dialogue(GREETING) + [(CLIENT, b'PUTSCRIPT "x" {%d+}\r\n' % len(script) + script + b"\r\n")] + dialogue('S: OK\nC: GETSCRIPT "x"') + [
        (SERVER, b"{%d}\r\n" % len(script) + script + b"\r\nOK\r\n")] + dialogue(f'C: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: OK')
    facts = same_however_cut(ManageSieveParser, turns).facts
    assert [(login.principal, login.result) for login in facts.logins] == [("joe", "success")]
    assert (facts.n_commands, facts.n_mailbox_commands, facts.starttls_requested, facts.anomalies) == (3, 2, False, [])


def test_one_side_only():
    text = GREETING + f'C: AUTHENTICATE "PLAIN"\nS: ""\nC: "{PLAIN}"\nS: OK\nC: PUTSCRIPT "x" {{6+}}\nC: LOGOUT\nS: OK'
    facts = one_sided(ManageSieveParser, text, CLIENT).facts
    assert [(login.principal, login.secret, login.result) for login in facts.logins] == [("joe", Secret(b"secret"), "unknown")]
    assert (facts.starttls_offered, facts.n_commands) == (None, 2)
    facts = one_sided(ManageSieveParser, text, SERVER).facts
    assert (facts.logins, facts.starttls_offered, facts.starttls_requested) == ([], True, None)
    parser = one_sided(ManageSieveParser, GREETING + "C: STARTTLS\nS: OK\n" + r"S> \x16\x03\x03\x00\x05hello", SERVER)
    assert parser.handover.to == "tls" and parser.facts.tls_started


def test_gap_within_a_script_and_late_start():
    turns = dialogue(GREETING) + [(CLIENT, b'PUTSCRIPT "x" {100+}\r\nkeep'), (CLIENT, 90),
        (CLIENT, b"ended;\r\n")] + dialogue(f'S: OK\nC: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: OK')
    facts = converse(ManageSieveParser, turns).facts
    assert [(login.principal, login.result) for login in facts.logins] == [("joe", "success")]
    assert facts.anomalies == []
    facts = converse(ManageSieveParser, f'C: nd of a line\nC: LISTSCRIPTS\nS: "x"\nS: OK\nC: AUTHENTICATE "PLAIN" "{PLAIN}"\nS: NO', start_seen=False).facts
    assert [(login.principal, login.result) for login in facts.logins] == [("joe", "failed")]
    assert (facts.starttls_offered, facts.capabilities, facts.greeting) == (None, None, None)


def test_gap_in_a_token():
    facts = converse(ManageSieveParser, GREETING + f'C: AUTHENTICATE "PLAIN" {{{len(PLAIN)}+}}\nC! {len(PLAIN)}\nC: \nS: OK\nC: LISTSCRIPTS\nS: OK').facts
    assert [(login.mechanism, login.secret, login.result) for login in facts.logins] == [("PLAIN", None, "success")]
    assert facts.n_mailbox_commands == 1


@pytest.mark.parametrize("client, server, expected", [
    (b"", b'"IMPLEMENTATION" "x"\r\n', True), (b"", b'"sieve" ""\r\n', True), (b'AUTHENTICATE "PLAIN"\r\n', b"", True), (b'PUTSCRIPT "x" {3+}\r\n', b"", True),
    (b"LISTSCRIPTS\r\n", b"OK\r\n", True), (b"STARTTLS\r\nLISTSCRIPTS\r\n", b"", True),
    (b"", b"", None), (b"", b'"IMPL', None), (b"STARTTLS\r\n", b"", None), (b"", b"OK\r\n", None), (b"CAPA", b"", None), (b"", b"O", None),
    (b"", b"220 x ESMTP\r\n", False), (b"", b"+OK\r\n", False), (b"", b"* OK\r\n", False), (b"EHLO x\r\n", b"", False), (b"a LOGIN x y\r\n", b"", False),
    (b"", b'"hello" world\r\n', False),
    (b"", b"HTTP/1.1 200\r\n", False), (b"STARTTLS\r\n", b"220 go\r\n", False), (b"\x16\x03\x01\x00\x05hello\n", b"", False),
])
def test_probe(client, server, expected):
    assert probe(client, server) is expected


WORDS = st.sampled_from([b'"', b'"PLAIN" ', b"AUTHENTICATE ", b"PUTSCRIPT ", b"{3+}", b"{0+}", b"{2}", b"\r\n", b"OK ", b"NO ", b"BYE ", b"(SASL \"x\")",
    b"STARTTLS", b'"SASL" ', b'"STARTTLS"', b"\\",
                         b"*", b"\0", b"CAPABILITY", b"\x16\x03\x01", b"AGEAYg==", b"(", b"GSSAPI"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(WORDS, WORDS, WORDS, st.binary(max_size=12), st.integers(1, 6))), max_size=60), st.booleans())
def test_nothing_raises(turns, start_seen):
    converse(ManageSieveParser, turns, start_seen=start_seen)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 1 << 30))
def test_random_bytes(data, seed):
    swallow(ManageSieveParser, data, seed=seed)
    swallow(ManageSieveParser, data, seed=seed, start_seen=False)
