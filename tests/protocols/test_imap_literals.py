"""IMAP: literals on both sides, fetched and appended messages, compression, hostile bytes."""
from __future__ import annotations

import time
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from pcapsec.protocols.imap import ImapParser
from pcapsec.protocols.layers import Inflater
from pcapsec.records import CLIENT, SERVER, Message
from pcapsec.secret import Secret
from tests.helpers import converse, cut, dialogue, one_sided, same_however_cut, swallow

MAIL = b"From: joe@example.org\r\nSubject: hi\r\nMessage-ID: <1@example.org>\r\n\r\na LOGIN mallory none\r\n"
HEADER = MAIL[:MAIL.index(b"\r\n\r\n") + 4]
TEXT = MAIL[len(HEADER):]


def fetch(*pieces: bytes) -> list:
    """A conversation whose FETCH is answered with these bytes."""
    return dialogue("S: * OK hi\nC: a FETCH 1 (x)") + [(SERVER, b"".join(pieces))] + dialogue("S: a OK done\nC: b LOGIN joe secret\nS: b OK")


def literal(content: bytes) -> bytes:
    return b"{%d}\r\n%s" % (len(content), content)


def check_after(facts) -> None:
    """What follows the literal is read as if nothing had been."""
    assert [(login.principal, login.secret, login.result) for login in facts.logins] == [("joe", Secret(b"secret"), "success")]


@pytest.mark.parametrize("item", [b"BODY[]", b"RFC822", b"body[]", b"UID 7 FLAGS (\\Seen) BODY[]", b"BINARY[]", b"BODY[]<0>"])
def test_fetched_message(item):
    head = b"* 1 FETCH (" + item + b" "
    facts = same_however_cut(ImapParser, fetch(head, literal(MAIL), b")\r\n")).facts
    assert facts.messages == [Message(
        protocol="imap", direction="fetched", side=SERVER, at=len(b"* OK hi\r\n") + len(head) + len(b"{%d}\r\n" % len(MAIL)), accepted=True,
            message_id="<1@example.org>",
        size_bytes=len(MAIL), complete=item[-1:] != b">", from_domain="example.org", subject_length=2)]
    check_after(facts)


def test_header_then_text_is_one_message():
    facts = same_however_cut(ImapParser, fetch(b"* 1 FETCH (BODY[HEADER] ", literal(HEADER), b" BODY[TEXT] ", literal(TEXT), b")\r\n")).facts
    assert [(message.message_id, message.size_bytes, message.complete) for message in facts.messages] == [("<1@example.org>", len(MAIL), True)]
    check_after(facts)


def test_header_alone_and_text_alone():
    facts = same_however_cut(ImapParser, fetch(b"* 1 FETCH (RFC822.HEADER ", literal(HEADER), b")\r\n* 2 FETCH (BODY[TEXT] ", literal(HEADER + TEXT),
        b" FLAGS ())\r\n")).facts
    assert [(message.message_id, message.size_bytes, message.complete) for message in facts.messages] == [("<1@example.org>", len(HEADER), False),
        (None, len(MAIL), True)]
    check_after(facts)


def test_partial_fetches_are_one_message():
    pieces = b"".join(b"* 1 FETCH (BODY[]<%d> %s)\r\n" % (at, literal(MAIL[at:at + 40])) for at in range(0, len(MAIL), 40))
    facts = same_however_cut(ImapParser, fetch(pieces)).facts
    assert [(message.message_id, message.size_bytes, message.complete) for message in facts.messages] == [("<1@example.org>", len(MAIL), True)]


@pytest.mark.parametrize("head", [b"* 1 FETCH (BODY[HEADER.FIELDS (FROM TO)] ", b"* 1 FETCH (BODY[1] ", b"* 1 FETCH (ENVELOPE (NIL ", b'* LIST () "/" ',
    b"* 1 FETCH (X-BODY[] "])
def test_small_parts_are_no_messages_and_their_text_is_no_response(head):
    text = b"a OK done\r\n* PREAUTH [CAPABILITY STARTTLS]\r\nb OK x\r\n"
    facts = same_however_cut(ImapParser, fetch(head, literal(text), b")\r\n")).facts
    assert (facts.messages, facts.preauth, facts.starttls_offered, facts.anomalies) == ([], False, None, [])
    check_after(facts)


@pytest.mark.parametrize("line", [b"* OK not a literal {12}", b"* 1 FETCH (FLAGS ()) {x}", b"a OK {5}", b"* OK {}", b"* LIST () {99999999999999999999999}"])
def test_what_only_looks_like_a_literal(line):
    check_after(same_however_cut(ImapParser, fetch(line + b"\r\n")).facts)


def append(*pieces: bytes, answer: str = "S: a OK") -> list:
    return dialogue("S: * OK hi") + [(CLIENT, pieces[0])] + dialogue("S: + go") + [(CLIENT,
        b"".join(pieces[1:]))] + dialogue(answer + "\nC: b LOGIN joe secret\nS: b OK")


def test_appended_message():
    turns = append(b'a APPEND "Sent box" (\\Seen) {%d}\r\n' % len(MAIL), MAIL, b"\r\n")
    facts = same_however_cut(ImapParser, turns).facts
    assert facts.messages == [Message(protocol="imap", direction="submitted", side=CLIENT, at=len(turns[1][1]), reply_code="OK", accepted=True,
        message_id="<1@example.org>",
                                      size_bytes=len(MAIL), complete=True, from_domain="example.org", subject_length=2)]
    assert facts.n_mailbox_commands == 1
    check_after(facts)


def test_append_with_literal_mailbox_and_two_messages():
    turns = append(b"a APPEND {4}\r\n", b"Sent ~{%d+}\r\n" % len(MAIL), MAIL, b" (\\Seen) {%d+}\r\n" % len(MAIL), MAIL, b"\r\n",
        answer="S: a NO [OVERQUOTA] full")
    facts = same_however_cut(ImapParser, turns).facts
    assert [(message.size_bytes, message.complete, message.accepted, message.reply_code) for message in facts.messages] == [(len(MAIL), True, False,
        "NO [OVERQUOTA]")] * 2
    check_after(facts)


def test_append_that_was_refused_has_no_message():
    facts = same_however_cut(ImapParser, "S: * OK hi\nC: a APPEND x {200}\nS: a NO [TRYCREATE] none\nC: b LOGIN joe secret\nS: b OK").facts
    assert facts.messages == []
    check_after(facts)


def test_command_text_in_an_appended_message_is_content():
    text = b"a LOGIN eve none\r\na STARTTLS\r\na AUTHENTICATE PLAIN AGEAYg==\r\n"
    facts = same_however_cut(ImapParser, append(b"a APPEND x {%d}\r\n" % len(text), text, b"\r\n")).facts
    check_after(facts)
    assert (facts.starttls_requested, facts.n_commands) == (False, 2)


@pytest.mark.parametrize("start, length", [(0, 5), (30, 20), (len(MAIL) - 4, 4), (0, len(MAIL))])
def test_gap_within_a_fetched_literal_is_stepped_over(start, length):
    turns = dialogue("S: * OK hi\nC: a FETCH 1 (x)") + [
        (SERVER, b"* 1 FETCH (BODY[] {%d}\r\n" % len(MAIL) + MAIL[:start]), (SERVER, length), (SERVER, MAIL[start + length:] + b")\r\na OK done\r\n")
    ] + dialogue("C: b LOGIN joe secret\nS: b OK")
    facts = converse(ImapParser, turns).facts
    assert [(message.size_bytes, message.complete) for message in facts.messages] == ([(len(MAIL) - length, False)] if start else [])
    assert facts.anomalies == [] and facts.accepted_clear_command == "FETCH"
    check_after(facts)


def test_gap_beyond_a_literal_resynchronises():
    turns = dialogue("S: * OK hi\nC: a FETCH 1 (x)") + [(SERVER, b"* 1 FETCH (BODY[] {50}\r\n" + MAIL[:30]), (SERVER, 40),
        (SERVER, b"rest of a line\r\na OK done\r\n")] + dialogue("C: b LOGIN joe secret\nS: b OK")
    facts = converse(ImapParser, turns).facts
    assert [(message.size_bytes, message.complete) for message in facts.messages] == [(30, False)]
    assert facts.accepted_clear_command == "FETCH"
    check_after(facts)


def test_gap_within_an_appended_literal():
    turns = dialogue("S: * OK hi") + [(CLIENT, b"a APPEND x {%d+}\r\n" % len(MAIL) + MAIL[:30]), (CLIENT, 20),
        (CLIENT, MAIL[50:] + b"\r\nb LOGIN joe secret\r\n")] + dialogue("S: a OK\nS: b OK")
    facts = converse(ImapParser, turns).facts
    assert [(message.size_bytes, message.complete, message.accepted) for message in facts.messages] == [(len(MAIL) - 20, False, True)]
    check_after(facts)


def test_end_within_a_literal():
    facts = converse(ImapParser, fetch(b"* 1 FETCH (BODY[] {5000}\r\n", MAIL)[:3]).facts
    assert [(message.size_bytes, message.complete, message.message_id) for message in facts.messages] == [(len(MAIL), False, "<1@example.org>")]


def test_server_side_alone_reads_messages():
    facts = one_sided(ImapParser, fetch(b"* 1 FETCH (BODY[] ", literal(MAIL), b")\r\n"), SERVER).facts
    assert [(message.size_bytes, message.complete) for message in facts.messages] == [(len(MAIL), True)]


# --- compression

def compressed(plain: list, raw_until: int) -> list:
    """Turns of which those from `raw_until` on are deflated, each flushed."""
    streams = [zlib.compressobj(9, zlib.DEFLATED, -15) for _ in range(2)]
    return plain[:raw_until] + [(side, streams[side].compress(data) + streams[side].flush(zlib.Z_SYNC_FLUSH)) for side, data in plain[raw_until:]]


def compressed_conversation(answer: str = "a OK on") -> list:
    plain = dialogue(f"""
        S: * OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi
        C: a COMPRESS DEFLATE
        S: {answer}
        C: b LOGIN joe secret
        S: b OK in
        C: c FETCH 1 (x)
        """) + [
        (SERVER, b"* 1 FETCH (BODY[] " + literal(MAIL) + b")\r\nc OK\r\n")]
    return compressed(plain, 3)


def told(facts) -> tuple:
    return ([(login.principal, login.secret, login.result) for login in facts.logins], [(message.size_bytes, message.complete) for message in facts.messages],
            facts.compressed, facts.compressed_at, facts.n_commands, facts.anomalies)


def test_compressed_conversation_is_read_on():
    turns = compressed_conversation()
    parser = converse(ImapParser, turns)
    compressed_at = len(turns[0][1])
    expected = ([("joe", Secret(b"secret"), "success")], [(len(MAIL), True)], True, compressed_at, 3, [])
    assert told(parser.facts) == expected
    assert parser.facts.logins[0].at == len(turns[1][1])  # of the compressed chunk
    assert told(converse(ImapParser, cut(turns, lambda: 1)).facts) == expected
    both = turns[:2] + [(SERVER, turns[2][1] + turns[4][1]), turns[3], *turns[5:]]  # the answer and compressed bytes in one chunk
    assert told(converse(ImapParser, both).facts)[1:] == expected[1:]


def test_compressed_client_alone():
    facts = one_sided(ImapParser, compressed_conversation(), CLIENT).facts
    assert facts.compressed and [(login.principal, login.secret, login.result) for login in facts.logins] == [("joe", Secret(b"secret"), "unknown")]


def test_refused_compression():
    facts = same_however_cut(ImapParser, "S: * OK hi\nC: a COMPRESS DEFLATE\nS: a NO\nC: b LOGIN joe secret\nS: b OK").facts
    assert not facts.compressed
    check_after(facts)
    facts = one_sided(ImapParser, "S: * OK hi\nC: a COMPRESS DEFLATE\nS: a NO\nC: b LOGIN joe secret\nS: b OK", CLIENT).facts
    assert not facts.compressed and facts.logins[0].secret == Secret(b"secret")


def test_damage_in_a_compressed_stream():
    turns = compressed_conversation()
    facts = converse(ImapParser, turns[:3] + [(CLIENT, 10)] + turns[3:]).facts
    assert (facts.logins, [anomaly.code for anomaly in facts.anomalies], len(facts.messages)) == ([], ["inflate-gap"], 1)
    facts = converse(ImapParser, turns[:3] + [(CLIENT, b"\xff\xff\xff\xff plain")] + turns[4:]).facts
    assert [anomaly.code for anomaly in facts.anomalies] == ["inflate-failed"]


def test_end_of_a_compressed_stream():
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = deflated.compress(b"x") + deflated.flush()
    inflater = Inflater()
    assert (inflater.feed(stream), inflater.failed) == (b"x", None)  # as Dovecot does when it closes
    assert (inflater.feed(b"y"), inflater.failed) == (b"", "inflate-ended")


def test_bomb():
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflated.compress(b"x\r\n" * (20 << 20)) + deflated.flush()
    inflater = Inflater()
    assert len(inflater.feed(bomb)) < 8 << 20 and inflater.failed == "inflate-bomb" and inflater.feed(b"x") == b""


# --- hostile

WORDS = st.sampled_from([b"a ", b"* ", b"+ ", b"LOGIN ", b"AUTHENTICATE ", b"PLAIN ", b"APPEND x ", b"FETCH ", b"OK ", b"NO ", b"BAD ", b"[CAPABILITY ",
    b"STARTTLS", b"COMPRESS DEFLATE", b"ID (",
                         b"{3}", b"{3+}", b"{0}", b"~{2}", b"{99999}", b'"', b"\\", b"\r\n", b"\n", b"\0", b"(BODY[] ", b"BODY[HEADER]", b"BODY[TEXT] ",
                         b"BODY[]<0> ", b"1 FETCH (",
                         b"joe ", b"*\r\n", b"DONE", b"AGEAYg==", b"\x16\x03\x01", b"GSSAPI", b")", b"]", b"<5>", b"PREAUTH ", b"BYE "])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.one_of(WORDS, WORDS, WORDS, st.binary(max_size=12), st.integers(1, 6))), max_size=60), st.booleans())
def test_nothing_raises(turns, start_seen):
    parser = converse(ImapParser, turns, start_seen=start_seen)
    for message in parser.facts.messages:
        assert message.size_bytes >= 0


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 1 << 30))
def test_random_bytes(data, seed):
    swallow(ImapParser, data, seed=seed)
    swallow(ImapParser, data, seed=seed, start_seen=False)


@pytest.mark.parametrize("side, unit", [
    (CLIENT, b"a LOGIN {1+}\r\nx \r\n"), (CLIENT, b"a APPEND x {1+}\r\nx {1+}\r\nx\r\n"), (CLIENT, b"a\r\n"), (CLIENT, b"a ID (" + b'"a" ' * 50 + b")\r\n"),
    (CLIENT, b"a LOGIN " + b'"\\' * 100 + b"\r\n"),
    (SERVER, b"* CAPABILITY " + b"X " * 200 + b"\r\n"), (SERVER, b"* 1 FETCH (BODY[] {1}\r\nx)\r\n"), (SERVER, b"* 1 FETCH (BODY[]<0> {1}\r\nx)\r\n"),
    (SERVER, b"a OK x\r\n"), (SERVER, b"x\r\n"),
])
def test_repetition_costs_no_more_than_linear_time(side, unit):
    def seconds(n_bytes):
        parser = ImapParser()
        data = unit * (n_bytes // len(unit))
        start = time.process_time()
        parser.feed(side, data, 0)
        parser.finish()
        return time.process_time() - start

    seconds(20_000)
    assert min(seconds(400_000) for _again in range(3)) < 40 * max(seconds(40_000), 0.004)
