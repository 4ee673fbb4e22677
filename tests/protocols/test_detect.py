"""Which protocol first bytes are: ours on any port, look-alikes never, one side alone, late starts."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rpc_bytes import EMSMDB, ack, bind

from pcapsec.protocols.detect import PARSERS, detect
from pcapsec.protocols.tunnel import PROXY_V2

ANY = 40000  # a port that says nothing
HELLO = b"\x16\x03\x01\0\x05\1\0\0\1\0"

OURS = [
    ("smtp", b"EHLO a\r\n", b"220 mail.example ESMTP\r\n"), ("smtp", b"EHLO a\r\n", b"220 mail.example\r\n"), ("smtp", b"", b"220 mail.example ESMTP Postfix\r\n"),
    ("smtp", b"HELO a\r\n", b""), ("smtp", b"LHLO a\r\n", b"220 x\r\n"), ("smtp", b"EHLO a\r\nAUTH LOGIN\r\n", b""), ("smtp", b"", b"220-mail.example ESMTP\r\n220 hi\r\n"),
    ("smtp", b"", b"554 mail.example ESMTP not accepting messages\r\n"), ("smtp", b"EHLO a\r\n", b"220 ftp.example ESMTP\r\n"),
    ("imap", b"", b"* OK [CAPABILITY IMAP4rev1] ready\r\n"), ("imap", b"a1 LOGIN b c\r\n", b""), ("imap", b"a1 CAPABILITY\r\n", b"* PREAUTH hi\r\n"),
    ("pop3", b"", b"+OK POP3 ready\r\n"), ("pop3", b"USER a\r\n", b"+OK\r\n"), ("pop3", b"CAPA\r\n", b""), ("pop3", b"APOP a b\r\n", b"+OK <1@2>\r\n"), ("pop3", b"", b"+OK Hello there.\r\n"),
    ("pop3", b"AUTH PLAIN\r\n", b"+OK hi\r\n"),
    ("nntp", b"", b"200 news.example InterNetNews ready\r\n"), ("nntp", b"CAPABILITIES\r\n", b"201 hello\r\n"), ("nntp", b"AUTHINFO USER a\r\n", b""), ("nntp", b"GROUP misc.test\r\n", b"200 hi\r\n"),
    ("managesieve", b"", b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SASL" "PLAIN"\r\nOK "ready"\r\n'),
    ("tls", HELLO, b""), ("tls", b"", b"\x16\x03\x03\0\x30\2" + bytes(48)), ("tls", b"\x80\x2e\1\3\1\0\x15", b""),
    ("tunnel", b"CONNECT a:25 HTTP/1.1\r\n\r\n", b""), ("tunnel", b"\5\1\0", b"\5\0"), ("tunnel", b"\4\1\0\x19\0\0\0\1\0a\0", b""), ("tunnel", PROXY_V2 + b"\x20\0\0\0", b""),
    ("tunnel", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 25\r\nEHLO a\r\n", b""),
    ("http", b"GET / HTTP/1.1\r\n", b""), ("http", b"POST /x HTTP/1.1\r\nHost: a\r\n\r\nMAIL FROM:<a@b>\r\n", b""), ("http", b"", b"HTTP/1.1 200 OK\r\n\r\n"),
    ("http", b"RPC_IN_DATA /rpc/rpcproxy.dll?ex:6001 HTTP/1.1\r\n", b""),
    ("dcerpc", bind((0, EMSMDB, 0x510000)), b""), ("dcerpc", bind((0, EMSMDB, 0x510000)), ack()), ("dcerpc", b"", b"ncacn_http/1.0"), ("dcerpc", b"\5\0\x0b", b"ncacn_http/1.0"),
    ("ldap", b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0", b""), ("smb", b"\0\0\0\x2f\xffSMB\x72" + bytes(40), b""), ("smb", b"\0\0\0\x44\xfeSMB\x40\0" + bytes(60), b""),
]

FOREIGN = [
    (b"USER anonymous\r\n", b"220 (vsFTPd 3.0.3)\r\n"), (b"USER anonymous\r\nPASS x\r\n", b"220 ready\r\n331 password\r\n"), (b"", b"220 ready\r\n331 password\r\n"),
    (b"AUTH TLS\r\n", b"220 files.example\r\n"), (b"FEAT\r\n", b"220 x\r\n"), (b"", b"220 FTP server ready.\r\n"), (b"AUTH GSSAPI\r\nADAT x\r\n", b"220 grid.example GridFTP Server\r\n"),
    (b"USER a\r\nPASS b\r\nSYST\r\nPASV\r\n", b""), (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"), (b"*3\r\n$3\r\nSET\r\n", b"+OK\r\n"), (b"SET a b\r\n", b"+OK\r\n"),
    (b"NICK a\r\nUSER a 0 * :b\r\n", b""), (b"USER a 0 * :b\r\n", b":irc.example NOTICE\r\n"), (b"SSH-2.0-OpenSSH\r\n", b"SSH-2.0-x\r\n"), (b"", b"SSH-2.0-x\r\n"),
    (b"\xff\xfd\x03", b"\xff\xfb\x01login: "), (b"\0\0\0\x2f\xffSNB", b""), (b"\5\0\x0b\3\x20" + bytes(20), b""),
    (b"OPTIONS rtsp://a RTSP/1.0\r\n", b"RTSP/1.0 200 OK\r\n"), (b"", b"\x4a\0\0\0\x0a5.7.1\0"), (b"\x16\x01\x02", b""), (b"", b"RFB 003.008\n"),
]


@pytest.mark.parametrize("name, client, server", OURS)
def test_found_on_any_port(name, client, server):
    assert detect(client, server, ANY, True) == name
    for port in (25, 110, 21):
        assert detect(client, server, port, True) == name


@pytest.mark.parametrize("client, server", FOREIGN)
def test_look_alikes_are_none_of_ours(client, server):
    for port in (ANY, 25, 110, 119, 143, 4190):
        assert detect(client, server, port, True) in ("other", None)
        assert detect(client, server, port, True, final=True) == "other"
    assert detect(client, server, ANY, True) == "other"


@pytest.mark.parametrize("name, client, server", OURS)
def test_every_beginning_is_undecided_or_right(name, client, server):
    for n in range(len(client)):
        assert detect(client[:n], b"", ANY, True) in (None, name)
    for n in range(len(server)):
        assert detect(b"", server[:n], ANY, True) in (None, name)


@pytest.mark.parametrize("client, server, port, expected", [
    (b"", b"220 host\r\n", 25, "smtp"), (b"", b"220 host\r\n", 587, "smtp"), (b"", b"220 host\r\n", 2525, "smtp"), (b"", b"220 host\r\n", 21, None), (b"", b"220 host\r\n", ANY, None),
    (b"", b"+OK\r\n", 110, "pop3"), (b"", b"+OK\r\n", 6379, None), (b"", b"200 hi\r\n", 119, "nntp"), (b"", b"200 hi\r\n", ANY, None), (b"QUIT\r\n", b"220 host\r\n", 25, "smtp"),
    (b"USER a\r\n", b"", 110, "pop3"), (b"USER a\r\n", b"", 21, None), (b"AUTH PLAIN\r\n", b"", 110, "pop3"), (b"AUTH PLAIN\r\n", b"", 25, "smtp"), (b"", b"", 25, None)])
def test_the_port_breaks_ties(client, server, port, expected):
    assert detect(client, server, port, True) == expected
    if expected is None:
        assert detect(client, server, port, True, final=True) == "other"


@pytest.mark.parametrize("client, server, port, expected", [
    (b"t: line of a mail\r\n.\r\nMAIL FROM:<a@b.example>\r\n", b"", ANY, "smtp"), (b"", b"250 2.1.0 Ok\r\n", ANY, "smtp"), (b"", b"ed\r\n250 2.0.0 Ok: queued as 1\r\n", ANY, "smtp"),
    (b"", b"354 End data with <CR><LF>.<CR><LF>\r\n", ANY, "smtp"), (b"RSET\r\n", b"250 ok\r\n", 25, "smtp"), (b"RSET\r\n", b"250 ok\r\n", ANY, None),
    (b"RETR 2\r\n", b"", ANY, "pop3"), (b"", b"+OK 1204 octets\r\nFrom: a\r\n", ANY, "pop3"), (b"PASS x\r\n", b"+OK\r\n", 110, "pop3"), (b"", b"+OK\r\n", 6379, None),
    (b"", b"220 3 <a@b> article\r\n", ANY, "nntp"), (b"ARTICLE 7\r\n", b"", ANY, "nntp"), (b"", b"* 3 EXISTS\r\na2 OK done\r\n", ANY, "imap"), (b"a5 UID FETCH 1 (FLAGS)\r\n", b"", ANY, "imap"),
    (b"\x17\x03\x03\0\x20" + bytes(32), b"", 993, "tls"), (b"", b"\x17\x03\x03\0\x20" + bytes(32) + b"\x17\x03\x03\0\x10", ANY, "tls")])
def test_late_start(client, server, port, expected):
    assert detect(client, server, port, False) == expected


@pytest.mark.parametrize("client, server", [
    (b"RETR file.txt\r\n", b"150 Opening\r\n226 done\r\n"), (b"", b"250 Directory successfully changed.\r\n"), (b"DELE x\r\n", b"250 Deleted\r\n"), (b"GET key\r\n", b"$3\r\nabc\r\n"),
    (b"\x17\x99\x03\0\x20" + bytes(32), b"")])
def test_late_look_alikes(client, server):
    assert detect(client, server, ANY, False) in ("other", None)
    assert detect(client, server, ANY, False, final=True) == "other"


def test_every_answer_has_a_parser():
    assert {name for name, _, _ in OURS} == PARSERS.keys()
    for name, parser in PARSERS.items():
        made = parser(start_seen=False, server_port=25)
        assert (made.protocol, made.handover) == (name, None)


def test_enough_nonsense_is_something_else():
    assert detect(b"x" * 5000, b"", ANY, True) == "other"
    assert detect(b"x" * 5000, b"", 25, False) == "other"


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=100), st.binary(max_size=100), st.sampled_from([0, 21, 25, 110, 119, 143, 993, 4190]), st.booleans(), st.booleans())
def test_never_raises(client, server, port, start_seen, final):
    found = detect(client, server, port, start_seen, final=final)
    assert found in PARSERS or found == "other" or (found is None and not final)
