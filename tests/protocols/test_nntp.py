"""NNTP: logins, capabilities, STARTTLS, compression, articles, damage."""
from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.protocols.nntp import NntpParser, probe
from pcapsec.records import CLIENT, SERVER, Facts, Login, Message
from pcapsec.secret import Secret
from tests.helpers import converse, cut, dialogue, one_sided, same_however_cut, swallow

GREETING = "S: 200 news.example InterNetNews ready (posting ok)\n"
HELLO = "\\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x00"
ARTICLE = r"From: a@b.example\r\nNewsgroups: misc.test\r\nMessage-ID: <1@b>\r\n\r\nHi\r\n..\r\n..dot\r\n381 no reply\r\n.\r\n"
CONTENT = b"From: a@b.example\r\nNewsgroups: misc.test\r\nMessage-ID: <1@b>\r\n\r\nHi\r\n.\r\n.dot\r\n381 no reply\r\n"


def facts(text, **keywords) -> Facts:
    return same_however_cut(NntpParser, text, **keywords).facts


def login(text, **keywords) -> Login:
    logins = facts(text, **keywords).logins
    assert len(logins) == 1
    return logins[0]


# --- logins

def test_whole_session():
    text = r"""
        S: 201 hello
        C: AUTHINFO USER anna
        S: 381 Enter password
        C: AUTHINFO PASS  two words 
        S: 281 ok
        C: GROUP misc.test
        S: 211 3 1 3 misc.test
        C: QUIT
        S: 205 bye
    """
    assert facts(text) == Facts(
        protocol="nntp", greeting="201 hello", greeting_code="201", greeting_at=0, starttls_requested=False, first_clear_command="AUTHINFO", first_clear_command_at=0,
        accepted_clear_command="AUTHINFO", accepted_clear_code="381", n_mailbox_commands=1, n_commands=4, n_replies=5,
        logins=[Login(protocol="nntp", mechanism="AUTHINFO", at=0, principal="anna", secret=Secret(b" two words "), secret_at=20, exposure="password", result="success",
                      reply_code="281")])


@pytest.mark.parametrize("answer, expected", [
    ("281 ok", ("success", None, "281")), ("481 no", ("failed", "wrong-credentials", "481")), ("482 out of sequence", ("failed", "malformed", "482")),
    ("502 no permission", ("failed", "refused", "502")), ("403 not now", ("unknown", "temporary", "403")), ("483 encryption first", ("failed", "refused", "483"))])
def test_what_an_answer_says(answer, expected):
    found = facts(GREETING + f"C: AUTHINFO USER a\nS: 381\nC: AUTHINFO PASS b\nS: {answer}")
    one, = found.logins
    assert (one.result, one.reason, one.reply_code) == expected
    assert found.encryption_required_code == ("483" if answer[:3] == "483" else None)


def test_success_straight_after_the_name_means_no_password():
    assert login(GREETING + "C: AUTHINFO USER a\nS: 281 welcome") == Login(protocol="nntp", mechanism="AUTHINFO", at=0, principal="a", result="success", reply_code="281")


def test_381_alone_decides_nothing():
    found = login(GREETING + "C: authinfo user a\nS: 381\nC: QUIT\nS: 205")
    assert (found.result, found.exposure, found.reply_code) == ("unknown", "none", None)


def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_sasl_plain():
    plain = token("\0anna\0pw")
    for text in (f"C: AUTHINFO SASL PLAIN {plain}\nS: 281 ok", f"C: AUTHINFO SASL PLAIN\nS: 383 =\nC: {plain}\nS: 283 =\nC: DATE\nS: 111 20260101000000"):
        found = login(GREETING + text)
        assert (found.mechanism, found.principal, found.secret, found.result, found.exposure) == ("PLAIN", "anna", Secret(b"pw"), "success", "password")


def test_sasl_cancelled():
    found = login(GREETING + "C: AUTHINFO SASL CRAM-MD5\nS: 383 PDFAeD4=\nC: *\nS: 481 cancelled")
    assert (found.mechanism, found.result, found.reason, found.exposure) == ("CRAM-MD5", "failed", "cancelled", "none")


def test_authinfo_simple():
    found = login(GREETING + "C: AUTHINFO SIMPLE\nS: 350 continue\nC: anna pass word\nS: 250 ok")
    assert (found.principal, found.secret, found.result, found.details) == ("anna", Secret(b"pass word"), "success", {"variant": "simple"})


def test_authinfo_generic_keeps_its_arguments_to_itself():
    found = login(GREETING + "C: AUTHINFO GENERIC ANY anna pw\nS: 502 no")
    assert (found.principal, found.secret, found.exposure, found.result, found.details) == (None, None, "none", "failed", {"variant": "generic"})


def test_client_side_alone():
    found = one_sided(NntpParser, GREETING + "C: AUTHINFO USER a\nS: 381\nC: AUTHINFO PASS b\nS: 281", CLIENT).facts.logins
    assert [(one.principal, one.secret, one.result) for one in found] == [("a", Secret(b"b"), "unknown")]


def test_lost_answer_leaves_the_result_unknown():
    found = login(GREETING + "C: AUTHINFO USER a\nS: 381\nC: AUTHINFO PASS b\nS! 8\nC: DATE\nS: 111 20260101000000")
    assert (found.result, found.exposure) == ("unknown", "password")


# --- capabilities and STARTTLS

CAPABILITIES = "C: CAPABILITIES\nS: 101 list\nS: VERSION 2\nS: READER\nS: AUTHINFO USER SASL\nS: SASL PLAIN cram-md5\nS: {}\nS: .\n"


def test_capabilities():
    found = facts(GREETING + CAPABILITIES.format("STARTTLS"))
    assert (found.capabilities, found.capabilities_complete, found.starttls_offered, found.auth_mechanisms, found.masked_tokens) == (
        ("VERSION 2", "READER", "AUTHINFO USER SASL", "SASL PLAIN cram-md5", "STARTTLS"), True, True, ("USER", "PLAIN", "CRAM-MD5"), ())
    assert found.first_clear_command is None


@pytest.mark.parametrize("word, masked", [("XXXXXXXX", ("XXXXXXXX",)), ("XXXXXXXA", ("XXXXXXXA",)), ("STARTTLX", ("STARTTLX",)), ("STREAMING", ()), ("XXXX", ()), ("OVER MSGID", ())])
def test_masked_offer(word, masked):
    found = facts(GREETING + CAPABILITIES.format(word))
    assert (found.masked_tokens, found.starttls_offered) == (masked, False)


def test_authinfo_without_user_offers_no_password_command():
    assert facts(GREETING + "C: CAPABILITIES\nS: 101\nS: AUTHINFO SASL\nS: .").auth_mechanisms == ()


def test_cut_list_denies_nothing():
    found = facts(GREETING + "C: CAPABILITIES\nS: 101\nS: VERSION 2")
    assert (found.capabilities_complete, found.starttls_offered) == (False, None)


def test_list_after_login_denies_nothing():
    assert facts(GREETING + "C: AUTHINFO USER a\nS: 281\n" + CAPABILITIES.format("OVER")).starttls_offered is None


def test_server_side_alone():
    found = one_sided(NntpParser, GREETING + CAPABILITIES.format("STARTTLS") + f"C: ARTICLE 1\nS: 220 1 <1@b>\nS> {ARTICLE}\nC: QUIT\nS: 205", SERVER).facts
    assert (found.starttls_offered, found.starttls_requested, [one.message_id for one in found.messages], found.n_replies) == (True, None, ["<1@b>"], 4)


def test_starttls():
    parser = same_however_cut(NntpParser, GREETING + f"C: STARTTLS\nS: 382 go on\nC> {HELLO}")
    found = parser.facts
    assert (found.starttls_accepted, found.starttls_reply_code, found.starttls_verb, found.tls_started, parser.handover.to) == (True, "382", "STARTTLS", True, "tls")


@pytest.mark.parametrize("code", ["580", "502", "483"])
def test_starttls_refused(code):
    found = facts(GREETING + f"C: STARTTLS\nS: {code} no\nC: AUTHINFO USER a\nS: 381")
    assert (found.starttls_accepted, found.starttls_reply_code, len(found.logins)) == (False, code, 1)


# --- compression

def deflated(lines: list[str], level: int = 6) -> list[bytes]:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return [stream.compress(line.encode()) + stream.flush(zlib.Z_SYNC_FLUSH) for line in lines]


def test_compressed_lines_are_read_on():
    client = deflated(["AUTHINFO USER anna\r\n", "AUTHINFO PASS pw\r\n", "ARTICLE 1\r\n"])
    server = deflated(["381 more\r\n", "281 ok\r\n", "220 1 <1@b>\r\nMessage-ID: <1@b>\r\n\r\nHi\r\n.\r\n"])
    turns = dialogue(GREETING + "C: COMPRESS DEFLATE\nS: 206 active")
    for said, answered in zip(client, server):
        turns += [(CLIENT, said), (SERVER, answered)]
    for step in (1, 7, 100000):
        found = converse(NntpParser, cut(turns, lambda: step)).facts
        assert [(one.principal, one.secret, one.result) for one in found.logins] == [("anna", Secret(b"pw"), "success")]
        assert (found.compressed, [one.message_id for one in found.messages], found.n_replies, found.anomalies) == (True, ["<1@b>"], 5, [])


def test_refused_compression_changes_nothing():
    found = facts(GREETING + "C: COMPRESS DEFLATE\nS: 403 no\nC: AUTHINFO USER a\nS: 381")
    assert (found.compressed, len(found.logins)) == (False, 1)


# --- articles

@pytest.mark.parametrize("command, code, content", [("ARTICLE", "220", CONTENT), ("HEAD", "221", b"A: b\r\nMessage-ID: <1@b>\r\n"), ("BODY", "222", b"Hi\r\n")])
def test_fetched(command, code, content):
    wire = {"ARTICLE": ARTICLE, "HEAD": r"A: b\r\nMessage-ID: <1@b>\r\n.\r\n", "BODY": r"Hi\r\n.\r\n"}[command]
    found = facts(GREETING + f"C: {command} 7\nS: {code} 7 <1@b>\nS> {wire}\nC: QUIT\nS: 205")
    message, = found.messages
    assert (message.direction, message.side, message.size_bytes, message.complete, message.accepted, message.reply_code) == (
        "fetched", SERVER, len(content), True, True, code)
    assert message.message_id == (None if command == "BODY" else "<1@b>")
    assert found.n_replies == 3


def test_xhdr_with_221_is_no_message():
    found = facts(GREETING + "C: XHDR Subject 1-2\nS: 221 Subject follows\nS: 1 Re: x\nS: 2 y\nS: .\nC: QUIT\nS: 205")
    assert (found.messages, found.n_replies) == ([], 3)
    assert one_sided(NntpParser, GREETING + "S: 221 Subject follows\nS: 1 Re: x\nS: .\nS: 205", SERVER).facts.messages == []


@pytest.mark.parametrize("command, go, done, accepted", [
    ("POST", "340", "240", True), ("POST", "340", "441", False), ("IHAVE <1@b>", "335", "235", True), ("IHAVE <1@b>", "335", "437", False)])
def test_submitted(command, go, done, accepted):
    found = facts(GREETING + f"C: {command}\nS: {go} send\nC> {ARTICLE}\nS: {done} end\nC: QUIT\nS: 205")
    assert found.messages == [Message(
        protocol="nntp", direction="submitted", side=CLIENT, at=len(command) + 2, reply_code=done, accepted=accepted, message_id="<1@b>", size_bytes=len(CONTENT), complete=True,
        from_domain="b.example")]
    assert (found.n_commands, found.n_replies) == (2, 4)


def test_takethis_does_not_wait():
    found = facts(GREETING + f"C> TAKETHIS <1@b>\\r\\n{ARTICLE}TAKETHIS <2@b>\\r\\n{ARTICLE}\nS: 239 <1@b>\nS: 439 <2@b>")
    assert [(one.accepted, one.reply_code) for one in found.messages] == [(True, "239"), (False, "439")]


@pytest.mark.parametrize("text", ["C: POST\nS: 440 no posting", "C: IHAVE <1@b>\nS: 435 have it"])
def test_refused_post_is_no_message(text):
    found = facts(GREETING + text + "\nC: AUTHINFO USER a\nS: 381")
    assert (found.messages, len(found.logins)) == ([], 1)


def test_post_without_the_servers_side():
    found = one_sided(NntpParser, GREETING + f"C: POST\nC> {ARTICLE}\nC: QUIT", CLIENT).facts
    assert ([(one.message_id, one.accepted) for one in found.messages], found.n_commands) == ([("<1@b>", None)], 2)


@pytest.mark.parametrize("command, answer", [
    ("LIST", "215\nS: misc.test 3 1 y\nS: ."), ("GROUP a.b", "211 1 1 1 a.b"), ("LISTGROUP a.b", "211 1 1 1 a.b\nS: 381\nS: ."), ("HELP", "100\nS: 381 x\nS: ."), ("DATE", "111 2026"),
    ("OVER 1-2", "224\nS: 1\tx\nS: ."), ("STAT 1", "223 1 <a@b>"), ("NEWNEWS * 2026", "230\nS: <a@b>\nS: ."), ("FOO", "500 what"), ("MODE READER", "200 ok")])
def test_blocks_keep_replies_paired(command, answer):
    found = facts(GREETING + f"C: {command}\nS: {answer}\nC: AUTHINFO USER a\nS: 281")
    assert (found.n_replies, found.logins[0].result, found.messages) == (3, "success", [])


def test_gap_swallows_the_end_of_an_article():
    found = facts(GREETING + "C: ARTICLE 1\nS: 220 1\nS: A: b\nS: \nS! 100\nC: AUTHINFO USER a\nS: 381\nC: AUTHINFO PASS b\nS: 281")
    assert ([one.complete for one in found.messages], found.logins[0].result) == ([False], "success")


def test_late_start():
    found = facts("C: AUTHINFO PASS b\nS: 281 ok", start_seen=False)
    assert [(one.principal, one.secret, one.result) for one in found.logins] == [(None, Secret(b"b"), "success")]
    assert (found.greeting, found.starttls_requested) == (None, None)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.lists(st.sampled_from([
    b"200 \r\n", b"381\r\n", b"383 =\r\n", b"206\r\n", b"340\r\n", b"220\r\n", b"221 x\r\n", b"101\r\n", b"AUTHINFO USER a\r\n", b"AUTHINFO SASL LOGIN\r\n", b"AUTHINFO SIMPLE\r\n",
    b"COMPRESS DEFLATE\r\n", b"CAPABILITIES\r\n", b"STARTTLS\r\n", b".\r\n", b"\x16\x03\x01\0", b"POST\r\n", b"A: b\r\n", b"\r\n", b"TAKETHIS\r\n", b"\n", b"\0"]),
    max_size=40).map(b"".join), st.integers(0, 9), st.booleans())
def test_never_raises(data, seed, start_seen):
    swallow(NntpParser, data, seed=seed, start_seen=start_seen)


@pytest.mark.parametrize("client, server, expected", [
    (b"", b"200 news.example InterNetNews server\r\n", True), (b"", b"200 hello\r\n", None), (b"CAPABILITIES\r\n", b"200 hello\r\n", True), (b"MODE READER\r\n", b"", True),
    (b"USER a\r\n", b"200 hello\r\n", False), (b"", b"220 x\r\n", False), (b"GET / HTTP/1.0\r\n", b"", False), (b"", b"20", None), (b"HELP\r\n", b"", None), (b"", b"2000\r\n", False)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected
