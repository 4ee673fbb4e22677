"""Two captures of one conversation: each manipulation is named with its exact bytes, and nothing is said that is not so."""
from __future__ import annotations

import io
import random

import pytest
from tests.frames import START_NS, mirrored
from tests.two_taps import EHLO_REPLY, PASSWORD, SMTP, TEXT, capture, compared, replaced, talk, told

IMAP = [
    (1, b"* OK [CAPABILITY IMAP4rev1 LITERAL+ STARTTLS AUTH=PLAIN] Dovecot ready.\r\n"), (0, b"a1 CAPABILITY\r\n"),
    (1, b"* CAPABILITY IMAP4rev1 LITERAL+ STARTTLS AUTH=PLAIN\r\na1 OK done\r\n"), (0, b"a2 LOGIN alice S3cret-horse\r\n"), (1, b"a2 OK [CAPABILITY IMAP4rev1 IDLE] in\r\n"),
    (0, b"a3 SELECT INBOX\r\n"), (1, b"* 1 EXISTS\r\na3 OK [READ-WRITE] done\r\n"), (0, b"a4 FETCH 1 BODY[]\r\n"),
    (1, b"* 1 FETCH (BODY[] {%d}\r\n" % len(TEXT) + TEXT + b")\r\na4 OK done\r\n"), (0, b"a5 LOGOUT\r\n"), (1, b"* BYE bye\r\na5 OK done\r\n")]
POP3 = [
    (1, b"+OK Dovecot ready. <20240102030405.77abcdef@mail.example.org>\r\n"), (0, b"CAPA\r\n"), (1, b"+OK\r\nTOP\r\nUIDL\r\nSTLS\r\nUSER\r\n.\r\n"), (0, b"USER alice\r\n"),
    (1, b"+OK\r\n"), (0, b"PASS S3cret-horse\r\n"), (1, b"+OK Logged in.\r\n"), (0, b"RETR 1\r\n"), (1, b"+OK 99 octets\r\n" + TEXT + b".\r\n"), (0, b"QUIT\r\n"), (1, b"+OK bye\r\n")]
NNTP = [
    (1, b"200 news.example.org InterNetNews ready\r\n"), (0, b"CAPABILITIES\r\n"), (1, b"101 list\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\nAUTHINFO USER\r\n.\r\n"),
    (0, b"AUTHINFO USER alice\r\n"), (1, b"381 more\r\n"), (0, b"AUTHINFO PASS S3cret-horse\r\n"), (1, b"281 ok\r\n"), (0, b"QUIT\r\n"), (1, b"205 bye\r\n")]
SIEVE = [
    (1, b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SASL" "PLAIN"\r\n"STARTTLS"\r\nOK "ready"\r\n'), (0, b'AUTHENTICATE "PLAIN" "AGFsaWNlAFMzY3JldC1ob3JzZQ=="\r\n'), (1, b"OK\r\n"),
    (0, b"LOGOUT\r\n"), (1, b"OK\r\n")]
HTTP = [
    (0, b"GET /owa/ HTTP/1.1\r\nHost: mail.example.org\r\nAuthorization: Basic YWxpY2U6UzNjcmV0LWhvcnNl\r\n\r\n"),
    (1, b"HTTP/1.1 200 OK\r\nServer: IIS\r\nStrict-Transport-Security: max-age=31536000\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 13\r\n\r\nhidden text\r\n")]
PORTS = {"smtp": 25, "imap": 143, "pop3": 110, "nntp": 119, "sieve": 4190, "http": 80}
TALKS = {"smtp": SMTP, "imap": IMAP, "pop3": POP3, "nntp": NNTP, "sieve": SIEVE, "http": HTTP}
REFUSED = [*SMTP[:3], (0, b"STARTTLS\r\n"), (1, b"220 2.0.0 Ready to start TLS\r\n"), *SMTP[-2:]]


def both(name, at_client=None, at_server=None, turns=None):
    """One conversation: what the client's side of the box shows, and what the server's side does."""
    turns = TALKS[name] if turns is None else turns
    return talk(turns, at_client, server_port=PORTS[name]), talk(turns, at_server, server_port=PORTS[name])


# a manipulation: what stands inside in place of what was sent or received outside, and each difference in the order of two_taps.DIFFERENCE without its frames
S, C = "server", "client"
CASES = {
    "the line is removed": ("smtp", replaced(b"250-STARTTLS\r\n", b""), None, SMTP, [
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, "250-STARTTLS", 74, 74, 0, 14)]),
    "the last line is removed": ("smtp", replaced(b"250-8BITMIME\r\n250 STARTTLS\r\n", b"250 8BITMIME\r\n"), None,
                                 [(s, d.replace(EHLO_REPLY, b"250-mail.example.org\r\n250-8BITMIME\r\n250 STARTTLS\r\n")) for s, d in SMTP], [
        (S, "changed", "list-end-moved", "capability", "8BITMIME", "250 8BITMIME", "250-8BITMIME", 61, 61, 1, 1),
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, "250 STARTTLS", 72, 72, 0, 14)]),
    "the keyword is masked": ("smtp", replaced(b"250-STARTTLS\r\n", b"250-XXXXXXXA\r\n"), None, SMTP, [
        (S, "changed", "offer-masked", "capability", "STARTTLS", "250-XXXXXXXA", "250-STARTTLS", 78, 78, 8, 8)]),
    "other keywords are masked too": ("smtp", lambda _s, d: d.replace(b"250-STARTTLS", b"250-XXXXXXXX").replace(b"250-PIPELINING", b"250-XXXXXXXXXX"), None, SMTP, [
        (S, "changed", "capability-masked", "capability", "PIPELINING", "250-XXXXXXXXXX", "250-PIPELINING", 62, 62, 10, 10),
        (S, "changed", "offer-masked", "capability", "STARTTLS", "250-XXXXXXXX", "250-STARTTLS", 78, 78, 8, 8)]),
    "the greeting is masked": ("smtp", replaced(b"mail.example.org ESMTP Postfix", b"*" * 30), None, SMTP, [
        (S, "changed", "greeting-changed", "greeting", "220", "220 " + "*" * 30, "220 mail.example.org ESMTP Postfix", 4, 4, 30, 30)]),
    "the command is garbled": ("smtp", replaced(b"220 2.0.0 Ready to start TLS", b"500 5.5.1 unrecognized"), lambda _s, d: d.replace(b"STARTTLS\r\n", b"XXXXXXXX\r\n") if d[:1] == b"S"
                               else d.replace(b"220 2.0.0 Ready to start TLS", b"500 5.5.1 unrecognized"), REFUSED, [
        (C, "changed", "command-garbled", "command", "STARTTLS", "STARTTLS", "XXXXXXXX", 21, 21, 8, 8)]),
    "the box answers itself": ("smtp", replaced(b"220 2.0.0 Ready to start TLS", b"454 4.7.0 TLS not available"), lambda s, d: d if d[:8] not in (b"STARTTLS", b"220 2.0.") else b"", REFUSED, [
        (C, "removed", "command-removed", "command", "STARTTLS", "STARTTLS", None, 21, 21, 10, 0),
        (S, "added", "reply-injected", "reply", "454", "454 4.7.0", None, 112, 112, 29, 0)]),
    "a command is added": ("smtp", None, lambda s, d: d.replace(b"EHLO pc.example.net\r\n", b"XCLIENT ADDR=192.0.2.10\r\nEHLO pc.example.net\r\n"), SMTP, [
        (C, "added", "proxy-mark-added", "command", "XCLIENT", None, "XCLIENT", 0, 0, 0, 25)]),
    "a reply's text is changed": ("smtp", replaced(b"250 2.1.5 Ok", b"250 2.1.5 OK"), None, SMTP, [
        (S, "changed", "reply-changed", "reply", "250", "250 2.1.5", "250 2.1.5", 187, 187, 1, 1)]),
    "a password is changed": ("smtp", None, replaced(b"UzNjcmV0LWhvcnNl", b"UzNjcmV0LWhvcnNm"), SMTP, [
        (C, "changed", "login-changed", "login", None, None, None, 58, 58, 1, 1)]),
    "text is changed": ("smtp", None, replaced(b"text number 7 that nobody", b"text number 7 that everybody"), SMTP, None),
    "a word of a list is removed": ("imap", replaced(b"+ STARTTLS AUTH", b"+ AUTH"), None, IMAP, [
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, "STARTTLS", 35, 35, 0, 9),
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, "STARTTLS", 95, 104, 0, 9)]),
    "a word of a list is masked": ("imap", replaced(b"* CAPABILITY IMAP4rev1 LITERAL+ STARTTLS", b"* CAPABILITY IMAP4rev1 LITERAL+ XXXXXXXX"), None, IMAP, [
        (S, "changed", "offer-masked", "capability", "STARTTLS", "XXXXXXXX", "STARTTLS", 105, 105, 8, 8)]),
    "STLS is removed": ("pop3", replaced(b"STLS\r\n", b""), None, POP3, [(S, "removed", "offer-removed", "capability", "STLS", None, "STLS", 79, 79, 0, 6)]),
    "STLS is masked": ("pop3", replaced(b"STLS\r\n", b"XXXX\r\n"), None, POP3, [(S, "changed", "offer-masked", "capability", "STLS", "XXXX", "STLS", 79, 79, 4, 4)]),
    "STARTTLS of news is removed": ("nntp", replaced(b"STARTTLS\r\n", b""), None, NNTP, [
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, "STARTTLS", 70, 70, 0, 10)]),
    "STARTTLS of ManageSieve is removed": ("sieve", replaced(b'"STARTTLS"\r\n', b""), None, SIEVE, [
        (S, "removed", "offer-removed", "capability", "STARTTLS", None, '"STARTTLS"', 55, 55, 0, 12)]),
    "a header is removed": ("http", replaced(b"Strict-Transport-Security: max-age=31536000\r\n", b""), None, HTTP, [
        (S, "removed", "offer-removed", "header", "strict-transport-security", None, "Strict-Transport-Security", 30, 30, 0, 45)]),
    "a weaker scheme is asked for": ("http", replaced(b"WWW-Authenticate: Negotiate", b"WWW-Authenticate: Basic"), None, HTTP, [
        (S, "changed", "header-changed", "header", "www-authenticate", "WWW-Authenticate: Basic", "WWW-Authenticate: Negotiate", 93, 93, 5, 9)]),
    "a proxy adds its mark": ("http", None, replaced(b"Host:", b"X-Forwarded-For: 192.0.2.10\r\nHost:"), HTTP, [
        (C, "added", "proxy-mark-added", "header", "x-forwarded-for", None, "X-Forwarded-For", 20, 20, 0, 29)]),
}


@pytest.mark.parametrize("name", CASES)
def test_each_manipulation_is_named_with_its_bytes(name):
    protocol, at_client, at_server, turns, expected = CASES[name]
    inside, outside = both(protocol, at_client, at_server, turns)
    result = compared(inside, outside)
    assert len(result.pairs) == 1
    if expected is not None:
        assert [row[:11] for row in told(result)] == expected
    else:
        assert [row[:4] for row in told(result)] == [(C, "changed", "content-changed", "content")]
    assert result.findings["rule_id"].tolist() == ["PS312"]
    for side, name in enumerate((C, S)):  # with the bytes that are told put in place of one another, one stream is the other
        streams = [b"".join(one.payload for one in made.segments if one.side == side) for made in (inside, outside)]
        made, at = b"", 0
        for row in (row for row in told(result) if row[0] == name):
            made += streams[0][at:row[7]] + streams[1][row[8]:row[8] + row[10]]
            at = row[7] + row[9]
            for tap, segments in enumerate((inside.segments, outside.segments)):
                assert segments[row[11 + tap] - 1].side == side and streams[tap][row[7 + tap]:][:row[9 + tap]] in segments[row[11 + tap] - 1].payload
        assert made + streams[0][at:] == streams[1]


@pytest.mark.parametrize("name", TALKS)
def test_equal_captures_say_nothing(name):
    result = compared(*both(name))
    assert (len(result.pairs), len(result.differences), len(result.findings)) == (1, 0, 0)
    assert result.pairs[["box", "joined_by", "differences"]].values.tolist() == [["none", "sequence-numbers", 0]]
    assert result.pairs["compared_bytes"].tolist() == result.pairs["equal_bytes"].tolist() == [sum(len(data) for _side, data in TALKS[name])]
    assert result.outcome.n_equal == 1 and result.outcome.counts == {"PS312": [0, 1, 0, 0]}


def test_the_finding_says_what_was_done_and_where():
    result = compared(*both("smtp", replaced(b"250-STARTTLS\r\n", b"")))
    [finding] = result.findings.to_dict("records")
    assert (finding["severity"], finding["confidence"], finding["variant"], finding["frame"], finding["protocol"], finding["server_name"]) == (
        "critical", "high", "offer-removed", 8, "smtp", "mail.example.org")
    assert finding["title"] == "A box between the two captures removed STARTTLS from the reply of 198.51.100.20 port 25"
    evidence = finding["evidence"]
    assert evidence.pop("differences") == [{
        "side": "server", "kind": "removed", "meaning": "offer-removed", "what": "capability", "word": "STARTTLS", "shown_inside": None, "shown_outside": "250-STARTTLS",
        "offset_inside": 74, "offset_outside": 74, "length_inside": 0, "length_outside": 14, "frame_inside": 8, "frame_outside": 8}]
    session = result.pairs["session_id"][0]
    sizes = sum(len(data) for _side, data in SMTP) - 14
    assert evidence == {
        "capture_inside": "<stream>", "capture_outside": "<stream>", "frame_inside": 8, "frame_outside": 8, "session_inside": session, "session_outside": session,
        "joined_by": "sequence-numbers", "box": "none", "changed": [], "nearer_client": "unknown", "meanings": {"offer-removed": 1}, "n_differences": 1,
        "compared_bytes": sizes, "equal_bytes": sizes, "unknown_bytes_inside": 0, "unknown_bytes_outside": 0, "unknown": [],
        "ruled_out": ["loss in one of the captures", "other settings of the server for this client: what it sent is in a capture", "two conversations taken for one"],
        "not_ruled_out": ["a firewall, mail gateway or proxy of your own that inspects mail"]}
    assert result.differences["finding_id"].tolist() == [finding["finding_id"]]


@pytest.mark.parametrize("at_client, at_server, severity", [
    (replaced(b"mail.example.org ESMTP Postfix", b"*" * 30), None, "high"), (None, replaced(b"EHLO", b"XCLIENT ADDR=192.0.2.10\r\nEHLO"), "low"),
    (replaced(b"250-STARTTLS\r\n", b""), replaced(b"EHLO", b"XCLIENT ADDR=192.0.2.10\r\nEHLO"), "critical")])
def test_what_proxies_do_weighs_less(at_client, at_server, severity):
    finding = compared(*both("smtp", at_client, at_server)).findings.iloc[0]
    assert finding["severity"] == severity and (severity == "critical") == (str(finding["severity_reason"]) == "<NA>")


def test_no_secret_and_no_text_is_shown():
    for name, turns in TALKS.items():
        for old in (b"S3cret-horse", b"UzNjcmV0LWhvcnNl", b"AGFsaWNlAFMzY3JldC1ob3JzZQ==", b"nobody else shall", b"private", b"alice"):
            for new in (b"", b"other-words", old[::-1]):
                result = compared(*both(name, replaced(old, new)))
                shown = result.findings.to_csv() + result.differences.to_csv() + result.pairs.to_csv()
                assert not any(word.decode() in shown for word in (PASSWORD, b"UzNjcmV0", b"AGFsaWNl", b"nobody", b"private", b"alice", b"other-words", old[::-1])), (name, old)
                assert bool(len(result.differences)) == any(old in data for _side, data in turns)


def test_two_captures_of_other_traffic_have_nothing_in_common():
    result = compared(talk(), talk(IMAP, server_port=143, isn=(7, 8), client_port=50000, clock=START_NS))
    assert len(result.pairs) == len(result.findings) == 0 and result.outcome.n_flows == (1, 1)
    later = [(side, data.replace(b"4F1Yx83Tz2", b"4F9Qw11Ab7").replace(b"20240102030405.ABCD", b"20240103030405.EFGH")) for side, data in SMTP]
    for turns, clock in ((SMTP[:-5] + SMTP[-2:], 0), (later, 3600 * 10**9), (later, 10**8)):  # the same client and server, another time or other content
        other = talk(turns, isn=(123456, 99), client_port=40001, clock=START_NS + clock)
        assert len(compared(talk(), other).pairs) == (0 if turns is later else len(compared(talk(), other).pairs))


@pytest.mark.parametrize("seed", range(25))
def test_loss_reordering_and_late_starts_are_no_differences(seed):
    rng = random.Random(seed)
    edited = seed % 2 == 1
    edit = (lambda _s, d: d.replace(b"250-STARTTLS\r\n", b"").replace(b"number 20 ", b"number 2O ")) if edited else None
    ends = rng.choice([{}, {"client": "203.0.113.9", "client_port": 61234}, {"isn": (7777, 99999)}])
    a = talk(edit=edit, size=rng.choice([1400, 536, 100]))
    b = talk(size=rng.choice([1400, 536, 100]), clock=START_NS + rng.choice([0, 10**9, -10**12]), **ends)
    taps = []
    for made in (a, b):
        segments = mirrored(made.segments, rng, lost=rng.choice([0, 0.02, 0.1, 0.3]), reordered=rng.choice([0, 0.1]), duplicated=rng.choice([0, 0.1]))
        cut = rng.choice([(0, len(segments)), (0, len(segments)), (rng.randint(0, len(segments) // 3), len(segments)), (0, rng.randint(len(segments) // 2, len(segments)))])
        taps.append(capture((made, segments[slice(*cut)])))
    found = {row[2:3] + row[9:11] for row in told(compared(*taps))}
    assert found <= ({("offer-removed", 0, 14), ("content-changed", 1, 1)} if edited else set())


@pytest.mark.parametrize("tap", [0, 1])
def test_each_frame_may_be_lost(tap):
    made = talk()
    for index in range(3, len(made.segments)):
        taps = [capture(made), capture(made)]
        taps[tap] = capture((made, made.segments[:index] + made.segments[index + 1:]))
        result = compared(*taps)
        assert (len(result.pairs), told(result)) == (1, []), index
        if made.segments[index].payload:
            assert set(result.pairs["unknown"][0]) & {"loss", "early-end", "late-start"}, index
            assert result.outcome.counts["PS312"] in ([0, 0, 0, 1], [0, 1, 0, 0])


@pytest.mark.parametrize("lost", range(4, 30, 3))
def test_a_manipulation_is_seen_beside_losses(lost):
    inside, outside = both("smtp", replaced(b"250-STARTTLS\r\n", b""))
    segments = outside.segments[:lost] + outside.segments[lost + 1:]
    found = [row[2] for row in told(compared(inside, capture((outside, segments))))]
    holds_it = b"STARTTLS" in outside.segments[lost].payload
    assert found == ([] if holds_it else ["offer-removed"])


def test_one_direction_and_the_middle_of_a_conversation():
    inside, outside = both("smtp", replaced(b"250-STARTTLS\r\n", b""))
    for side, expected in ((0, []), (1, ["offer-removed"])):
        result = compared(inside, capture((outside, [one for one in outside.segments if one.side == side])))
        assert [row[2] for row in told(result)] == expected and "one-sided" in result.pairs["unknown"][0]
    result = compared(inside, capture((outside, outside.segments[12:])))
    assert told(result) == [] and "late-start" in result.pairs["unknown"][0] and result.pairs["compared_bytes"][0] > 1000


def test_the_clocks_may_differ():
    inside, outside = both("smtp", replaced(b"250-STARTTLS\r\n", b""))
    for ahead in (-10**13, -5_000_000, 3_600_000_000_000):
        made = talk(clock=START_NS + ahead)
        shift = made.segments[0].ts_ns - inside.segments[0].ts_ns
        result = compared(inside, made)
        assert result.outcome.offset_ns == shift and result.outcome.spread_ns == 0 and [row[2] for row in told(result)] == ["offer-removed"]


def test_a_large_message_is_compared_beyond_what_is_kept():
    body = b"".join(b"%d of a large message, %s\r\n" % (number, b"x" * (number % 50)) for number in range(20_000))
    turns = [*SMTP[:15], (0, b"Message-ID: <20240102030405.ABCD@example.net>\r\n\r\n" + body + b".\r\n"), *SMTP[-3:]]
    equal = compared(talk(turns), talk(turns))
    assert told(equal) == [] and equal.pairs["equal_bytes"][0] > 0.85 * len(body)
    result = compared(talk(turns), talk(turns, replaced(b"17000 of a large", b"17000 of the large")))
    [row] = told(result)
    at = b"".join(data for side, data in turns if side == 0).index(b"17000 of a large")
    assert row[1:4] == ("changed", "content-changed", "content") and row[7] <= at < row[7] + row[9] < at + 140_000 and row[10] == row[9] + 2
    shifted = compared(talk(turns, replaced(b"EHLO pc.example.net", b"EHLO pc")), talk(turns))
    assert [row[2] for row in told(shifted)] == ["command-changed"]


def test_compressed_captures_and_the_same_one_twice(tmp_path):
    import gzip
    inside, outside = both("imap", replaced(b" STARTTLS", b""))
    packed = tmp_path / "outside.pcap.gz"
    packed.write_bytes(gzip.compress(capture(outside).getvalue()))
    plain = tmp_path / "inside.pcap"
    plain.write_bytes(capture(inside).getvalue())
    assert [row[2] for row in told(compared_paths(plain, packed))] == ["offer-removed", "offer-removed"]
    assert told(compared_paths(plain, plain)) == []


def compared_paths(inside, outside):
    import pcapsec
    return pcapsec.compare(inside, outside)


def test_many_differences_are_counted():
    result = compared(*both("smtp", None, lambda side, data: data.replace(b"t", b"T") if side == 0 else data))
    assert len(result.differences) <= 400 and result.pairs["differences"][0] >= len(result.differences) > 50
    assert result.findings["evidence"][0]["n_differences"] == result.pairs["differences"][0]


@pytest.mark.parametrize("seed", range(6))
def test_hostile_bytes_raise_nothing(seed):
    rng = random.Random(seed)
    noise = [(rng.randint(0, 1), rng.choice([rng.randbytes(rng.randint(1, 3000)), b"\n" * 900, b"250-" * 300, bytes(3000), SMTP[2][1]])) for _ in range(30)]
    a, b = talk(SMTP[:4] + noise), talk(SMTP[:4] + noise, lambda _s, d: bytes(byte ^ (rng.random() < 0.01) for byte in d))
    compared(a, b)
    damaged = bytearray(capture(b).getvalue())
    for _ in range(200):
        damaged[rng.randrange(24, len(damaged))] = rng.randrange(256)
    compared(a, io.BytesIO(bytes(damaged)))
