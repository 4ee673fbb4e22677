"""Telling IMAP from everything else by the first bytes."""
from __future__ import annotations

import pytest

from pcapsec.protocols.imap import probe

GREETING = b"* OK ready\r\n"


@pytest.mark.parametrize("client, server", [
    (b"", GREETING), (b"", b"* PREAUTH in\r\n"), (b"", b"* bye bye\r\n"), (b"", b"* OK\r\n"), (b"a1 LOGIN joe x\r\n", GREETING),
    (b"a1 CAPABILITY\r\n", b""), (b"1 starttls\r\n", b""), (b"A142 LOGIN joe secret\r\n", b""), (b". LOGIN {3}\r\n", b""), (b'x AUTHENTICATE PLAIN\r\n', b""),
    (b"a LOGOUT\r\n", b""),
    (b'1 ID ("name" "x")\r\n', b""), (b"a SELECT INBOX\r\n", b""), (b"a7 UID FETCH 1:* (FLAGS)\r\n", b""), (b"a NOOP\r\n", b""),
    (b"", b"* 12 EXISTS\r\n* 0 RECENT\r\n"), (b"", b"* FLAGS (\\Seen)\r\na1 OK [READ-WRITE] done\r\n"),
    (b"", b"end of a line\r\n* 1 FETCH (FLAGS ())\r\na OK done\r\n"),
    (b"DONE\r\na8 IDLE\r\na9 NOOP\r\n", b""), (b"a OK\r\n", GREETING),
])
def test_is_imap(client, server):
    assert probe(client, server) is True


@pytest.mark.parametrize("client, server", [
    (b"", b"220 mail.example.org ESMTP\r\n"), (b"EHLO x\r\n", b"220 mail.example.org ESMTP\r\n"), (b"EHLO x\r\nAUTH LOGIN\r\n", b""), (b"", b"+OK ready\r\n"),
    (b"USER joe\r\n", b""),
    (b"", b"-ERR no\r\n"), (b"NICK joe\r\nUSER joe 0 * :Joe\r\n", b":irc.example.org NOTICE * :hi\r\n"), (b"NICK joe\r\n", b""),
    (b"", b":irc.example.org 001 joe :hi\r\n"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n", b""), (b"", b"HTTP/1.1 200 OK\r\n"), (b"", b"SSH-2.0-x\r\n"), (b"\x16\x03\x01\x02\x00", b""), (b"", b"\x16\x03\x03"),
    (b"", b'"IMPLEMENTATION" "Dovecot"\r\n'), (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"), (b"AUTH LOGIN\r\n", b""), (b"CONNECT x:25 HTTP/1.1\r\n", b""),
    (b"", b"word " * 500), (b"words\r\n" * 6, b"words\r\n" * 6), (b"MODE READER\r\n", b""),
])
def test_is_not_imap(client, server):
    assert probe(client, server) is False


@pytest.mark.parametrize("client, server", [
    (b"", b""), (b"", b"* O"), (b"", b"* PREAU"), (b"a1 LOG", b""), (b"a1 LOGIN joe x", b""), (b"", b"* 12 EXISTS\r\n"), (b"", b"a OK done\r\n"),
    (b"DONE\r\n", b""),
    (b"LIST STATUS\r\n", b""), (b"a LOGIN\r\n", b""), (b"USER LOGIN x y"[:9], b""),
])
def test_undecided(client, server):
    assert probe(client, server) is None
