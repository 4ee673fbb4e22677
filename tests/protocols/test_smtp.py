"""SMTP conversations captured whole: what the facts must say, however the bytes were cut."""
from __future__ import annotations

import pytest
from helpers import converse, dialogue, merged, same_however_cut, told

from pcapsec.protocols.smtp import SmtpParser
from pcapsec.protocols.masking import edit_distance, looks_masked
from pcapsec.protocols.smtp_grammar import probe, read_ehlo, read_path

GREETED = "S: 220 mx.example ESMTP\nC: EHLO c.example\nS: 250-mx.example\nS: 250-PIPELINING\nS: 250 8BITMIME\n"  # client 16 bytes, server 64
START = {"protocol": "smtp", "greeting": "220 mx.example ESMTP", "greeting_code": "220", "greeting_at": 0, "client_name": "c.example", "hello_verb": "EHLO",
         "capabilities": ("PIPELINING", "8BITMIME"), "capabilities_complete": True, "capabilities_at": 22, "starttls_offered": False, "starttls_requested": False}
MAILED = {"first_clear_command": "MAIL", "first_clear_command_at": 16, "accepted_clear_command": "MAIL", "accepted_clear_code": "250"}


def mail(**fields):
    out = {"protocol": "smtp", "direction": "relayed", "side": 0, "mail_from": "a@b.example", "rcpt_to": ["c@d.example"], "rcpt_accepted": ["c@d.example"],
           "mail_from_reply": 250, "reply_code": "250", "accepted": True, "complete": True} | fields
    return {name: value for name, value in out.items() if value is not None}


def check(text, expected, **keywords):
    parser = same_however_cut(SmtpParser, text, **keywords)
    assert told(parser.facts) == expected
    return parser


ENVELOPE = "C: MAIL FROM:<a@b.example>\nS: 250 2.1.0 Ok\nC: RCPT TO:<c@d.example>\nS: 250 2.1.5 Ok\n"  # client 25 + 23 bytes


def test_a_plain_relayed_message():
    check(GREETED + ENVELOPE + """
        C: DATA
        S: 354 go
        C: From: Ann <ann@B.example>
        C: To: c@d.example
        C: Subject: hi there
        C:
        C: ..a line that begins with a dot
        C: MAIL FROM:<not@envelope.example>
        C: AUTH PLAIN AGEAYg==
        C: .
        S: 250 2.0.0 queued
        C: QUIT
        S: 221 bye
    """, START | MAILED | {"n_commands": 5, "n_replies": 7, "messages": [
        mail(at=70, size_bytes=152, from_domain="b.example", to_domains=("d.example",), subject_length=8)]})


def test_pipelined_envelope_and_a_refused_recipient():
    check(GREETED + """
        C: MAIL FROM:<a@b.example> SIZE=12 BODY=8BITMIME
        C: RCPT TO:<c@d.example> NOTIFY=NEVER
        C: rcpt to: <e@f.example>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 550 5.1.1 no such user
        S: 354 go
        C: .
        S: 554 empty
    """, START | MAILED | {"n_commands": 5, "n_replies": 7, "messages": [
        mail(at=16, rcpt_to=["c@d.example", "e@f.example"], has_content=False, reply_code="554", accepted=False)]})


def test_refused_data_goes_back_to_commands():
    check(GREETED + "C: MAIL FROM:<>\nS: 250 ok\nC: DATA\nS: 503 no recipients\nC: RSET\nS: 250 ok\n" + ENVELOPE + "C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n",
          START | MAILED | {"n_commands": 7, "n_replies": 9, "messages": [
              {"protocol": "smtp", "direction": "relayed", "side": 0, "at": 16, "mail_from": "", "mail_from_reply": 250, "has_content": False},
              mail(at=96, size_bytes=3)]})


def test_content_that_does_not_wait_for_354():
    check(GREETED + """
        C: MAIL FROM:<a@b.example>
        C: RCPT TO:<c@d.example>
        C: DATA
        C: Subject: x
        C:
        C: text
        C: .
        C: QUIT
        S: 250 ok
        S: 250 ok
        S: 354 go
        S: 250 queued
        S: 221 bye
    """, START | MAILED | {"n_commands": 5, "n_replies": 7, "messages": [mail(at=70, size_bytes=20, subject_length=1)]})


def test_commands_pipelined_behind_a_data_that_is_refused():
    check(GREETED + "C: DATA\nC: QUIT\nS: 503 bad sequence\nS: 221 bye\n",
          START | {"first_clear_command": "DATA", "first_clear_command_at": 16, "n_commands": 3, "n_replies": 4})


def test_chunks():
    check(GREETED + ENVELOPE + """
        C> BDAT 20\\r\\nSubject: chunks\\r\\n\\r\\n.BDAT 5\\r\\n\\r\\n.\\r\\nBDAT 2 LAST\\r\\n\\r\\nQUIT\\r\\n
        S: 250 ok
        S: 250 ok
        S: 250 2.0.0 queued
        S: 221 bye
    """, START | MAILED | {"n_commands": 7, "n_replies": 8, "messages": [mail(at=73, size_bytes=27, subject_length=6)]})


def test_refused_chunks_are_stepped_over():
    check(GREETED + ENVELOPE + "C> BDAT 9\\r\\nSubject: \nC> BDAT 6 LAST\\r\\nRSET\\r\\n\nS: 552 too big\nS: 503 no\nC: QUIT\nS: 221 bye",
          START | MAILED | {"n_commands": 6, "n_replies": 7, "messages": [mail(at=72, size_bytes=15, reply_code="552", accepted=False, subject_length=4)]})


@pytest.mark.parametrize("line", ["BDAT", "BDAT many", "BDAT 5 FIRST", "BDAT -5"])
def test_a_malformed_bdat_has_no_octets(line):
    parser = check(GREETED + ENVELOPE + f"C: {line}\nS: 501 syntax\nC: QUIT\nS: 221 bye",
                   START | MAILED | {"n_commands": 5, "n_replies": 6, "messages": [
                       mail(at=16, reply_code=None, accepted=None, complete=None, has_content=False)]})
    assert not parser.facts.anomalies


def test_an_accepted_ehlo_resets_and_a_refused_one_does_not():
    first = {"protocol": "smtp", "direction": "relayed", "side": 0, "at": 16, "mail_from": "a@b.example", "mail_from_reply": 250, "has_content": False}
    end = "RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok"
    text = GREETED + "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: EHLO c.example\nS: {}\nC: " + end
    assert told(same_however_cut(SmtpParser, text.format("501 no")).facts)["messages"] == [mail(at=86, size_bytes=3)]
    assert told(same_however_cut(SmtpParser, GREETED + "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: EHLO c.example\nS: 250 mx\nC: MAIL FROM:<a@b.example>\nS: 250 ok\nC: " + end).facts)[
        "messages"] == [first, mail(at=111, size_bytes=3)]


def test_a_nested_mail_is_refused_and_the_first_stands():
    parser = same_however_cut(SmtpParser, GREETED + "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: MAIL FROM:<z@z.example>\nS: 503 nested\nC: RCPT TO:<c@d.example>\nS: 250 ok")
    assert told(parser.facts)["messages"] == [mail(at=16, reply_code=None, accepted=None, complete=None, has_content=False)]


def test_lmtp_answers_for_each_recipient():
    check("""
        S: 220 lda.example LMTP
        C: LHLO c.example
        S: 250 lda.example
        C: MAIL FROM:<a@b.example>
        C: RCPT TO:<c@d.example>
        C: RCPT TO:<e@f.example>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: x
        C: .
        S: 250 stored
        S: 452 full
        C: QUIT
        S: 221 bye
    """, {"protocol": "lmtp", "greeting": "220 lda.example LMTP", "greeting_code": "220", "greeting_at": 0, "client_name": "c.example", "hello_verb": "LHLO",
          "capabilities": (), "capabilities_complete": True, "capabilities_at": 22, "starttls_offered": False, "starttls_requested": False, **MAILED,
          "n_commands": 6, "n_replies": 9, "messages": [mail(
              protocol="lmtp", direction="delivered", at=93, rcpt_to=["c@d.example", "e@f.example"], rcpt_accepted=["c@d.example", "e@f.example"], size_bytes=3)]})


@pytest.mark.parametrize("end", ["\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n"])
def test_an_end_of_content_that_only_the_server_recognised(end):
    parser = same_however_cut(SmtpParser, GREETED + ENVELOPE + f"C: DATA\nS: 354 go\nC> Subject: x\\r\\n\\r\\nline{end}\nS: 250 queued\nC: QUIT\nS: 221 bye")
    message = parser.facts.messages[0]
    assert (message.complete, message.accepted, parser.facts.n_commands) == (True, True, 5)
    assert message.size_bytes == 14 + 4 + (2 if end.startswith("\\r\\n") else 1)


def test_content_with_bare_line_feeds_ends_at_its_dot():
    check(GREETED + ENVELOPE + "C: DATA\nS: 354 go\nC> Subject: x\\n\\n..y\\n.\\nQUIT\\r\\n\nS: 250 queued\nS: 221 bye", START | MAILED | {
        "n_commands": 5, "n_replies": 7, "messages": [mail(at=70, size_bytes=15, subject_length=1)]})


def test_a_dot_line_with_a_bare_line_feed_inside_ordinary_content_is_content():
    parser = same_however_cut(SmtpParser, GREETED + ENVELOPE + "C: DATA\nS: 354 go\nC> Subject: x\\r\\n\\r\\na\\n.\\nMAIL FROM:<evil@x.example>\\r\\nDATA\\r\\n.\\r\\n\nS: 250 queued")
    assert [message.mail_from for message in parser.facts.messages] == ["a@b.example"]


def test_encryption_required():
    text = GREETED + "C: MAIL FROM:<a@b.example>\nS: {}\n"
    assert same_however_cut(SmtpParser, text.format("530 5.7.0 Must issue a STARTTLS command first")).facts.encryption_required_code == "530"
    assert same_however_cut(SmtpParser, text.format("554 5.7.3 TLS required")).facts.encryption_required_code == "554"
    assert same_however_cut(SmtpParser, text.format("538 5.7.11 Encryption needed")).facts.encryption_required_code == "538"
    assert same_however_cut(SmtpParser, text.format("530 5.7.0 Authentication required")).facts.encryption_required_code is None
    assert same_however_cut(SmtpParser, text.format("550 5.7.1 relaying denied")).facts.encryption_required_code is None


def test_requiretls_xclient_proxy_and_auth_parameter():
    parser = same_however_cut(SmtpParser, """
        C: PROXY TCP4 192.0.2.1 198.51.100.2 4711 25
        S: 220 mx.example ESMTP
        C: EHLO c.example
        S: 250-mx.example
        S: 250-XCLIENT NAME ADDR
        S: 250 REQUIRETLS
        C: XCLIENT NAME=dev.example ADDR=192.0.2.9
        S: 220 mx.example ESMTP
        C: EHLO c.example
        S: 250 mx.example
        C: MAIL FROM:<a@b.example> REQUIRETLS AUTH=ann
        S: 250 ok
    """)
    facts = parser.facts
    assert facts.identity == {"proxy": "TCP4 192.0.2.1 198.51.100.2 4711 25", "xclient": "NAME=dev.example ADDR=192.0.2.9", "mail-auth": "ann"}
    assert (facts.tunnel, facts.tunnel_target) == ("proxy-protocol", "198.51.100.2:25")
    assert (facts.requiretls, facts.requiretls_at, facts.messages[0].requiretls) == (("ehlo", "mail"), 61, True)
    assert facts.n_commands == 4 and facts.messages[0].mail_from_reply == 250


def test_helo_says_nothing_about_starttls():
    parser = same_however_cut(SmtpParser, "S: 220 mx\nC: EHLO c\nS: 502 what\nC: HELO c\nS: 250 mx\nC: QUIT\nS: 221 bye")
    assert told(parser.facts) == {"protocol": "smtp", "greeting": "220 mx", "greeting_code": "220", "greeting_at": 0, "client_name": "c", "hello_verb": "HELO",
                                  "ehlo_reject_code": "502", "oddities": {"ehlo_rejected_at": 8, "ehlo_reject_text": "what"}, "starttls_requested": False, "n_commands": 3, "n_replies": 4}


def test_unknown_commands_keep_replies_in_step_and_are_described_by_class_only():
    parser = same_however_cut(SmtpParser, GREETED + "C: XXXXXXXX\nS: 500 what\nC: hunter2 secret\nS: 500 what\n" + ENVELOPE)
    assert [(found.code, found.detail) for found in parser.facts.anomalies] == [
        ("unknown-command", "8 characters, one letter repeated"), ("unknown-command", "7 characters, printable")]
    assert parser.facts.messages[0].rcpt_accepted == ["c@d.example"] and parser.facts.first_clear_command == "MAIL"


def test_binary_data_of_exchange_is_stepped_over():
    parser = same_however_cut(SmtpParser, GREETED + "C: MAIL FROM:<a@b.example>\nS: 250 ok\nC: XEXCH50 12 2\nS: 354 send\nC> \\0\\1\\r\\nQUIT\\r\\n\\r\\n\nS: 250 ok\n"
                              "C: RCPT TO:<c@d.example>\nS: 250 ok".replace("\\1", "\\x01"))
    assert told(parser.facts)["messages"] == [mail(at=16, reply_code=None, accepted=None, complete=None, has_content=False)]
    assert parser.facts.n_commands == 4


def test_changed_roles_are_not_read():
    parser = same_however_cut(SmtpParser, GREETED + "C: TURN\nS: 250 ok\nS: EHLO mx\nC: 250 c")
    assert [found.code for found in parser.facts.anomalies] == ["roles-turned"] and parser.facts.n_commands == 2


LOGIN = {"protocol": "smtp", "mechanism": "PLAIN", "at": 16, "principal": "tim", "secret": b"pw", "exposure": "password"}


@pytest.mark.parametrize("answer, result, reason", [
    ("235 ok", "success", None), ("535 5.7.8 wrong", "failed", "wrong-credentials"), ("454 4.7.0 later", "unknown", "temporary"), ("538 encrypt", "failed", "refused"),
    ("534 weak", "failed", "refused"), ("504 unknown", "failed", "refused"), ("501 what", "failed", "malformed"), ("432 change", "failed", "refused"), ("421 bye", "unknown", "temporary"),
])
def test_results_of_auth_plain(answer, result, reason):
    parser = same_however_cut(SmtpParser, GREETED + f"C: AUTH PLAIN AHRpbQBwdw==\nS: {answer}\n")
    expected = LOGIN | {"secret_at": 16, "result": result, "reason": reason, "reply_code": answer[:3], "details": {"initial_response": True, "prompts": 0}}
    assert told(parser.facts)["logins"] == [{name: value for name, value in expected.items() if value not in (None, "unknown")}]


def test_auth_plain_by_continuation_and_pipelined_before_the_challenge():
    expected = LOGIN | {"secret_at": 28, "result": "success", "reply_code": "235", "details": {"initial_response": False, "prompts": 1}}
    for text in ("C: AUTH PLAIN\nS: 334 \nC: AHRpbQBwdw==\nS: 235 ok", "C: AUTH PLAIN\nC: AHRpbQBwdw==\nS: 334 \nS: 235 ok", "C: auth plain\nS: 334\nC: AHRpbQBwdw==\nS: 235 ok"):
        assert told(same_however_cut(SmtpParser, GREETED + text).facts)["logins"] == [expected | {"secret_at": 28 + (len(text.split("\n")[0]) - 13)}], text


def test_auth_login_with_odd_prompts_then_submitted_mail():
    parser = same_however_cut(SmtpParser, GREETED + "C: AUTH LOGIN\nS: 334 aGE=\nC: dGlt\nS: 334 aHU=\nC: cHc=\nS: 235 ok\n" + ENVELOPE)
    assert told(parser.facts)["logins"] == [LOGIN | {
        "mechanism": "LOGIN", "secret_at": 34, "result": "success", "reply_code": "235", "details": {"initial_response": False, "prompts": 2}}]
    assert parser.facts.messages[0].direction == "submitted"


def test_auth_cancelled_and_the_session_goes_on():
    parser = same_however_cut(SmtpParser, GREETED + "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dGlt\nS: 334 UGFzc3dvcmQ6\nC: *\nS: 501 cancelled\n" + ENVELOPE)
    assert told(parser.facts)["logins"] == [{"protocol": "smtp", "mechanism": "LOGIN", "at": 16, "principal": "tim", "result": "failed", "reason": "cancelled", "reply_code": "501",
                                             "details": {"initial_response": False, "prompts": 2, "cancelled": True}}]
    assert parser.facts.messages[0].rcpt_accepted == ["c@d.example"]


def test_a_command_where_a_token_was_asked_for_is_a_token_as_servers_have_it():
    parser = same_however_cut(SmtpParser, GREETED + "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: QUIT\nS: 334 UGFzc3dvcmQ6\n")
    assert parser.facts.logins[0].principal == "AB\x13" and parser.facts.n_commands == 2


def test_a_command_that_does_not_wait_for_the_end_of_auth():
    parser = same_however_cut(SmtpParser, GREETED + "C: AUTH PLAIN AHRpbQBwdw==\nC: MAIL FROM:<a@b.example>\nS: 535 no\nS: 530 no\n")
    assert (parser.facts.logins[0].result, parser.facts.messages[0].mail_from_reply) == ("failed", 530)


def test_base64_in_a_message_is_no_login():
    parser = same_however_cut(SmtpParser, GREETED + ENVELOPE + "C: DATA\nS: 354 go\nC: AUTH PLAIN\nC: AHRpbQBwdw==\nC: .\nS: 250 ok")
    assert parser.facts.logins == []


def test_x_exps_is_auth():
    parser = same_however_cut(SmtpParser, GREETED + "C: X-EXPS NTLM\nS: 334 NTLM supported\nC: *\nS: 501 no")
    assert (parser.facts.logins[0].mechanism, parser.facts.logins[0].reason, parser.facts.first_clear_command) == ("NTLM", "cancelled", "X-EXPS")


def test_keyword_lists():
    block = (b"250-mx AUTH\r\n250-auth=LOGIN\r\n250-AUTH PLAIN LOGIN gssapi\r\n250-STARTTLS \r\n250-X-EXPS=NTLM\r\n250-SIZE 10\r\n250 REQUIRETLS\r\n")
    assert read_ehlo(block) == (("auth=LOGIN", "AUTH PLAIN LOGIN gssapi", "STARTTLS", "X-EXPS=NTLM", "SIZE 10", "REQUIRETLS"), block.index(b"250-STARTTLS"), ("LOGIN", "PLAIN", "GSSAPI", "NTLM"), block.index(b"250-auth"), (), block.index(b"250 REQ"), 6, ())
    assert same_however_cut(SmtpParser, "S: 220 x\nC: EHLO c\nS: 250-STARTTLS\nS: 250 SIZE").facts.starttls_offered is False  # the first line names the server


@pytest.mark.parametrize("word, masked", [
    ("XXXXXXXX", True), ("XXXXXXXA", True), ("STARTTLX", True), ("STARTLS", True), ("STARTTLSX", True), ("XXXXXXXXXX", False), ("XXXX", False), ("XXXXXABC", False),
    ("XCLIENTS", False), ("STANDARD", False),
])
def test_masked_words(word, masked):
    assert looks_masked(word) is masked


def test_known_words_of_the_same_length_are_not_masked():
    assert read_ehlo(b"250-x\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250-XEXCH50\r\n250 STARTTLS\r\n").masked == ()


def test_edit_distance():
    assert [edit_distance(one, other) for one, other in (("", "abc"), ("abc", "abc"), ("kitten", "sitting"), ("ab", "ba"))] == [3, 0, 3, 2]


@pytest.mark.parametrize("text, expected", [
    (b"<a@b>", ("a@b", b"")), (b" <a@b> SIZE=1", ("a@b", b" SIZE=1")), (b"a@b SIZE=1", ("a@b", b"SIZE=1")), (b"<>", ("", b"")), (b'<"x>y"@b> Z', ('"x>y"@b', b" Z")),
    (b"<a@b", ("a@b", b"")), (b"<@r1,@r2:a@b>", ("@r1,@r2:a@b", b"")), ("<ä@b>".encode(), ("ä@b", b"")), (b"<\xe4@b>", ("ä@b", b"")), (b"", ("", b"")),
])
def test_paths(text, expected):
    assert read_path(text) == expected


@pytest.mark.parametrize("client, server, verdict", [
    (b"EHLO x\r\n", b"", True), (b"ehlo x\r\n", b"220 x\r\n", True), (b"LHLO x\r\n", b"", True), (b"EHL", b"", None), (b"", b"220 mx ESMTP\r\n", True), (b"", b"220 x\r\n", None),
    (b"", b"22", None), (b"", b"220 ProFTPD ready\r\n", False), (b"USER x\r\n", b"220 x\r\n", False), (b"AUTH TLS\r\n", b"220 x\r\n", None), (b"AUTH LOGIN\r\n", b"", True),
    (b"", b"* OK imap\r\n", False), (b"", b"+OK pop\r\n", False), (b"NICK x\r\n", b"", False), (b"", b"SSH-2.0-x\r\n", False), (b"GET / HTTP/1.1\r\n", b"", False),
    (b"PING\r\n", b"+PONG\r\n", False), (b"MAIL FROM:<a@b>\r\n", b"", True), (b"", b"250-mx\r\n250-SIZE 1\r\n250 8BITMIME\r\n", True), (b"", b"250 2.1.0 Ok\r\n", True),
    (b"", b"354 go\r\n", True), (b"", b"", None), (b"\x16\x03\x01", b"", False), (b"", b"200 news\r\n", None), (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nEHLO x\r\n", b"", True),
    (b"XXXX x\r\n", b"220 ****\r\n", None), (b"", b"211-Features:\r\n MDTM\r\n UTF8\r\n211 End\r\n", None), (b"", b"220-FTP server\r\n", False), (b"", b":irc.x NOTICE\r\n", False),
])
def test_probe(client, server, verdict):
    assert probe(client, server) is verdict


def test_a_reply_may_be_missing_without_a_gap():
    turns = merged(dialogue(GREETED + "C: MAIL FROM:<a@b.example>\nC: RCPT TO:<c@d.example>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 queued\nC: QUIT\nS: 221 bye"))
    facts = converse(SmtpParser, turns).facts
    assert (facts.messages[0].reply_code, facts.messages[0].complete, facts.n_commands) == ("250", True, 5)
