"""The switch to TLS, damage and limits, with a protocol that knows nothing but STARTTLS."""
from __future__ import annotations

import time

import pytest
from helpers import converse, dialogue, outcome, same_however_cut, swallow, told

from pcapsec.protocols.lines import MAX_ANOMALIES, MAX_LINE_BYTES, LineParser, looks_like_tls
from pcapsec.records import CLIENT, SERVER

HELLO = "\\x16\\x03\\x01\\0\\x05hello"


class Echo(LineParser):
    """Keeps all lines; STARTTLS asks, `go` accepts, `no` refuses."""

    protocol = "echo"

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.seen: list[str] = []

    def client_line(self, line, at):
        self.seen.append(f"C{at} {line.decode('latin-1')}")
        if line == b"STARTTLS":
            self.starttls_requested("STARTTLS", at)

    def server_line(self, line, at):
        self.seen.append(f"S{at} {line.decode('latin-1')}")
        if line in (b"go", b"no"):
            self.starttls_answered(line == b"go", "220" if line == b"go" else "454", line.decode(), at)

    def lost(self, side, length, at):
        self.seen.append(f"{'CS'[side]}{at} lost {length}")

    def ended(self):
        self.seen.append("ended")


REQUESTED = {"protocol": "echo", "starttls_requested": True, "starttls_requested_at": 0, "starttls_verb": "STARTTLS", "n_starttls_requests": 1}
ACCEPTED = REQUESTED | {"starttls_accepted": True, "starttls_reply_code": "220", "starttls_reply_text": "go", "starttls_answered_at": 0}
REFUSED = ACCEPTED | {"starttls_accepted": False, "starttls_reply_code": "454", "starttls_reply_text": "no"}


def injected(n, at=10):
    return {"code": "pipelined-behind-starttls", "side": CLIENT, "at": at, "detail": f"{n} clear bytes before the first TLS record"}


def odd(side="client", kind="text", at=10, **more):
    """What is put down of clear bytes at the switch."""
    return {"oddities": {f"{side}_clear": kind, f"{side}_clear_at": at, **more}}


def test_tls_after_the_answer_is_handed_over_with_its_bytes():
    parser = same_however_cut(Echo, f"C: STARTTLS\nS: go\nC> {HELLO}")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True}
    assert parser.seen == ["C0 STARTTLS", "S0 go", "ended"]
    assert parser.handover.to == "tls" and parser.handover.rest == (b"\x16\x03\x01\0\x05hello", b"") and parser.handover.at[CLIENT] == 10


def test_a_client_hello_pipelined_behind_starttls_is_no_injection():
    parser = same_however_cut(Echo, f"C> STARTTLS\\r\\n{HELLO}\nS: go")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True}


@pytest.mark.parametrize("text", [
    f"C> STARTTLS\\r\\nNOOP\\r\\n\nS: go\nC> {HELLO}",
    f"C> STARTTLS\\r\\nNOOP\\r\\n{HELLO}\nS: go",
    f"C: STARTTLS\nC: NOOP\nS: go\nC> {HELLO}",
])
def test_clear_bytes_behind_starttls_are_an_injection_also_when_tls_comes_later(text):
    parser = same_however_cut(Echo, text)
    assert told(parser.facts) == ACCEPTED | {"tls_started": True, "injected_client_bytes": 6, "anomalies": [injected(6)]} | odd()
    assert parser.handover.at[CLIENT] == 16 and parser.seen == ["C0 STARTTLS", "S0 go", "ended"]


def test_injected_bytes_without_a_line_end_are_counted_too():
    parser = converse(Echo, f"C> STARTTLS\\r\\nNOO\nS: go\nC> {HELLO}")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True, "injected_client_bytes": 3, "anomalies": [injected(3)]} | odd()


def test_clear_reply_between_the_answer_and_tls():
    parser = same_however_cut(Echo, f"C: STARTTLS\nS: go\nS: more\nC> {HELLO}")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True, "injected_server_bytes": 6, "anomalies": [
        {"code": "clear-reply-before-tls", "side": SERVER, "at": 4, "detail": "6 clear bytes behind the accepting reply"}]} | odd("server", "replies", 4)


def test_refusal_lets_the_held_lines_pass_before_the_servers_next_line():
    parser = same_however_cut(Echo, "C> STARTTLS\\r\\none\\r\\ntwo\\r\\n\nS> no\\r\\nyes\\r\\n\nC: three")
    assert parser.seen == ["C0 STARTTLS", "S0 no", "C10 one", "C15 two", "S4 yes", "C20 three", "ended"]
    assert told(parser.facts) == REFUSED


def test_refusal_with_a_second_request_among_the_held_lines():
    parser = same_however_cut(Echo, f"C> STARTTLS\\r\\nSTARTTLS\\r\\n\nS: no\nS: go\nC> {HELLO}")
    assert told(parser.facts) == ACCEPTED | {"starttls_answered_at": 4, "n_starttls_requests": 2, "tls_started": True}


def test_clear_text_after_the_answer_decides_once_the_server_goes_on_in_clear():
    parser = same_however_cut(Echo, "C: STARTTLS\nS: go\nC: hello x\nS: fine\nC: bye")
    assert told(parser.facts) == ACCEPTED | {"cleartext_after_accept": "HELLO", "cleartext_after_accept_at": 10, "oddities": {"n_replies_before": 0}}
    assert parser.seen == ["C0 STARTTLS", "S0 go", "C10 hello x", "S4 fine", "C19 bye", "ended"]


def test_pipelined_clear_text_that_the_server_answers_in_clear():
    parser = same_however_cut(Echo, "C> STARTTLS\\r\\nnoop\\r\\n\nS: go\nS: fine")
    assert told(parser.facts) == ACCEPTED | {"cleartext_after_accept": "NOOP", "cleartext_after_accept_at": 10} | odd(pipelined_bytes=6)


def test_pipelined_clear_text_and_nothing_after_it_is_no_verdict():
    parser = same_however_cut(Echo, "C> STARTTLS\\r\\nnoop\\r\\n\nS: go")
    assert told(parser.facts) == ACCEPTED | odd(pipelined_bytes=6)
    assert parser.seen == ["C0 STARTTLS", "S0 go", "C10 noop", "ended"]


def test_injection_then_clear_text_is_a_switch_that_did_not_happen():
    parser = same_however_cut(Echo, "C> STARTTLS\\r\\nnoop\\r\\n\nS: go\nC: mail\nS: fine")
    assert told(parser.facts) == ACCEPTED | {"cleartext_after_accept": "MAIL", "cleartext_after_accept_at": 16} | odd(pipelined_bytes=6, n_replies_before=0)


@pytest.mark.parametrize("text", [
    f"C: STARTTLS\nC> {HELLO}\nS> \\x16\\x03\\x03",
    f"C: STARTTLS\nS! 5\nC> {HELLO}\nS> \\x16\\x03\\x03",
    f"C: STARTTLS\nC> {HELLO}",
    f"C: STARTTLS\nC> {HELLO}\nS! 5",
])
def test_tls_goes_on_although_the_answer_was_lost(text):
    parser = same_however_cut(Echo, text)
    assert told(parser.facts) == REQUESTED | {"tls_started": True}
    assert parser.handover.at[CLIENT] == 10


@pytest.mark.parametrize("text", ["C: STARTTLS\nS! 5\nC: mail\nS: fine", "C: STARTTLS\nC: mail\nS! 5\nS: fine"])
def test_clear_text_goes_on_and_the_answer_was_lost(text):
    parser = same_however_cut(Echo, text)
    assert told(parser.facts) == REQUESTED
    assert "C10 mail" in parser.seen


def test_client_bytes_lost_at_the_switch_prove_nothing_when_text_follows():
    parser = same_however_cut(Echo, "C: STARTTLS\nS: go\nC! 9\nC: rest of\nC: mail\nS: fine")
    assert told(parser.facts) == ACCEPTED
    assert parser.seen == ["C0 STARTTLS", "S0 go", "C10 lost 9", "C28 mail", "S4 fine", "ended"]


def test_client_bytes_lost_at_the_switch_and_records_follow():
    parser = same_however_cut(Echo, "C: STARTTLS\nS: go\nC! 9\nC> \\x9a\\xff\\x01\\x02\\x9a\\xff\\x01\\x02")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True}


def test_client_bytes_lost_while_the_answer_is_awaited():
    parser = same_however_cut(Echo, "C> STARTTLS\\r\\none\\r\\n\nC! 7\nC: part\nC: two\nS: no\nC: three")
    assert parser.seen == ["C0 STARTTLS", "S0 no", "C10 one", "C15 lost 18", "ended"]


def test_server_records_show_the_switch_when_the_client_was_not_captured():
    parser = same_however_cut(Echo, "C: STARTTLS\nS: go\nS> \\x16\\x03\\x03\\0\\x7a")
    assert told(parser.facts) == ACCEPTED | {"tls_started": True}


def test_after_a_gap_a_side_resumes_at_its_next_line_end():
    parser = same_however_cut(Echo, "C: one\nC> tw\nC! 3\nC> o and\\r\\nthree\\r\\n\nS: fine")
    assert parser.seen == ["C0 one", "C7 lost 3", "C17 three", "S0 fine", "ended"]


def test_a_late_start_keeps_a_plausible_first_line_and_drops_a_fragment():
    parser = same_however_cut(Echo, "C: .9) rest\nC: two\nS: whole", start_seen=False)
    assert parser.seen == ["C10 two", "S0 whole", "ended"]


def test_bare_line_feeds_are_noted():
    parser = same_however_cut(Echo, "C> one\\ntwo\\r\\n")
    assert told(parser.facts) == {"protocol": "echo", "lf_only": True} and parser.seen == ["C0 one", "C4 two", "ended"]


def test_an_overlong_line_is_dropped_up_to_its_end_and_noted_once():
    turns = [(CLIENT, b"a" * (3 * MAX_LINE_BYTES) + b"\r\nnext\r\n")]
    parser = converse(Echo, turns)
    assert parser.seen == [f"C{3 * MAX_LINE_BYTES + 2} next", "ended"]
    assert told(parser.facts) == {"protocol": "echo", "anomalies": [
        {"code": "line-too-long", "side": CLIENT, "at": 0, "detail": f"over {MAX_LINE_BYTES} bytes without a line end"}]}
    for n in (1000, 1460, 65536, 65537):
        pieces = [(CLIENT, turns[0][1][pos:pos + n]) for pos in range(0, len(turns[0][1]), n)]
        assert outcome(converse(Echo, pieces)) == outcome(parser)


def test_many_small_pieces_of_a_long_line_take_linear_time():
    parser = Echo()
    started = time.process_time()
    for at in range(60000):
        parser.feed(CLIENT, b"a", at)
    parser.feed(CLIENT, b"\r\n", 60000)
    assert time.process_time() - started < 1.0  # each piece joined to the whole would copy 1.8 GB
    assert parser.seen == ["C0 " + "a" * 60000]


def test_anomalies_have_a_ceiling_that_says_so():
    parser = Echo()
    for at in range(MAX_ANOMALIES + 50):
        parser.anomaly("x", CLIENT, at)
    assert [found.code for found in parser.facts.anomalies] == ["x"] * MAX_ANOMALIES + ["more-anomalies-dropped"]


@pytest.mark.parametrize("data, verdict", [
    (b"", None), (b"\x16", None), (b"\x16\x03", None), (b"\x16\x03\x01", True), (b"\x16\x03\x04", True), (b"\x16\x03\x05", False), (b"\x16\x02", False),
    (b"EHLO", False), (b"\x80\x2e\x01\x00", None), (b"\x80\x2e\x01\x00\x02", True), (b"\x80\x2e\x01\x03\x01", True), (b"\x80\x2e\x02\x03\x01", False),
])
def test_looks_like_tls(data, verdict):
    assert looks_like_tls(data) is verdict


@pytest.mark.parametrize("seed", range(60))
def test_nothing_raises(seed):
    import random
    chance = random.Random(seed)
    words = [b"STARTTLS\r\n", b"go\r\n", b"no\r\n", b"x" * 30, b"\r\n", b"\n", b"\x16\x03\x01\0\5", b"\x80\x2e\x01\x03\x01", bytes(chance.randrange(256) for _ in range(9))]
    swallow(Echo, b"".join(chance.choice(words) for _ in range(300)), seed=seed)


def test_dialogue_reads_all_its_marks():
    assert dialogue("# note\n  C: a\\tb\nS> \\x00\\0\\\\\n\nC! 12") == [(CLIENT, b"a\tb\r\n"), (SERVER, b"\0\0\\"), (CLIENT, 12)]
