"""The sift: a cheap maybe that never loses mail and lets go of what cannot be any."""
from __future__ import annotations

import numpy
import pytest

from pcapsec.kernels import sift

MAIL = [b"220 mx.example ESMTP\r\n", b"220-mx.example\r\n", b"554 no\r\n", b"421 busy\r\n", b"+OK ready\r\n", b"-ERR no\r\n", b"* OK IMAP4rev1\r\n", b"* PREAUTH x\r\n",
        b"200 news\r\n", b"201 news\r\n", b'"IMPLEMENTATION" "x"\r\n', b"EHLO a\r\n", b"ehlo a\r\n", b"HELO a\r\n", b"LHLO a\r\n", b"MAIL FROM:<a@b>\r\n", b"RCPT TO:<a@b>\r\n",
        b"AUTH PLAIN AAAA\r\n", b"STARTTLS\r\n", b"QUIT\r\n", b"USER a\r\n", b"PASS b\r\n", b"CAPA\r\n", b"STLS\r\n", b"APOP a 0123\r\n", b"MODE READER\r\n", b"AUTHINFO USER a\r\n",
        b"GROUP misc.test\r\n", b"CAPABILITIES\r\n", b"XCLIENT NAME=a\r\n", b"X-ANONYMOUSTLS\r\n", b"a1 LOGIN u p\r\n", b"A001 CAPABILITY\r\n", b"t.1 AUTHENTICATE PLAIN\r\n",
        b"x ID NIL\r\n", b"7 UID FETCH 1 FLAGS\r\n", b"a OK done\r\n", b"LIST\r\n", b"POST\r\n", b"HEAD <a@b>\r\n", b"250 2.1.0 Ok\r\n", b"354 go\r\n"]
TUNNEL = [b"CONNECT mail.example:25 HTTP/1.1\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11", b"\x05\x02\x00\x02",
          b"\x04\x01\x00\x19\xc0\x00\x02\x01user\0"]
TLS = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x16\x03\x03\x00"]
HTTP = [b"GET / HTTP/1.1\r\n", b"POST /login HTTP/1.1\r\n", b"HEAD http://a/ HTTP/1.0\r\n", b"OPTIONS * HTTP/1.1\r\n", b"HTTP/1.1 404 Not Found\r\n"]
RPC = [b"\x05\x00\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0", b"\x05\x01\x0c\x07\0\0\0\0\x01\0\0\x10\0\0\0\x01", b"ncacn_http/1.0"]
RPC_HTTP = [b"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\n", b"RPC_CONNECT a:593 HTTP/1.1\r\n"]
LDAP = [b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", b"\x30\x84\0\0\0\x05\x02\x01\x02\x42\0", b"\x30\x81\x85\x02\x02\x01\0\x63"]
SMB = [b"\0\0\0\x85\xffSMB", b"\0\0\0\xb0\xfeSMB\x40\0", b"\0\0\0\xb0\xfdSMB", b"\x81\0\0\x44 EOEPE"]
OTHER = [b"SSH-2.0-OpenSSH_9\r\n", b"\0\0\0\x85\xffSMA", b"\x05\0\x0b\x03\x10\0\0\0\x08\0\0\0\x01\0\0\0", b"\x30\x80\x02\x01\x01\x60\0\0", b"\x30\x0c\x02\x01\x01\x04\0\0",
         b"*1\r\n$4\r\nPING\r\n", b"NICK joe\r\n", b":irc.example 001 joe\r\n", b"\x17\x03\x03\x00\x20", b"\x7fELF", b"hello world",
         b"999 nothing", b"220xnothing", b"\xff\xfb\x01\xff", b"\x16\x04\x01\x02", b"RFB 003.008\n"]


def ask(data: bytes, port_kind: int = 0) -> int:
    window = numpy.frombuffer(bytearray(b"\xaa" * 7 + data + b"\xaa" * 7), dtype=numpy.uint8)
    return sift.sift(window, 7, 7 + len(data), port_kind)


@pytest.mark.parametrize("answer, lines", [(sift.MAIL, MAIL), (sift.TUNNEL, TUNNEL), (sift.TLS, TLS), (sift.HTTP, HTTP), (sift.RPC, RPC), (sift.RPC_HTTP, RPC_HTTP),
                                           (sift.LDAP, LDAP), (sift.SMB, SMB), (sift.OTHER, OTHER)])
def test_first_bytes(answer, lines):
    assert [line for line in lines if ask(line) != answer] == []


def test_a_start_of_mail_is_never_taken_for_something_else():
    assert [line[:n] for line in MAIL for n in range(1, 4) if ask(line[:n]) not in (sift.MORE, sift.MAIL)] == []


def test_short_beginnings_are_kept_for_detection():
    assert [ask(line) for line in (b"\x05\x01\x00", b"\x05\x00", b"E", b"")] == [sift.MORE] * 4


def test_an_sslv2_hello_is_tls_when_it_is_whole_or_on_a_mail_port():
    cut = b"\x80\x2e\x01\x03\x01\x00\x15"
    assert (ask(cut, 2), ask(cut, 0)) == (sift.TLS, sift.OTHER)
    hello = b"\x80\x1c\x01\x00\x02\x00\x03\x00\x00\x00\x10\x07\x00\xc0" + bytes(16)
    assert (ask(hello, 2), ask(hello, 0), ask(hello + b"x", 0)) == (sift.TLS, sift.TLS, sift.OTHER)


def test_compiled_and_plain_python_say_the_same_on_anything():
    rng = numpy.random.default_rng(7)
    lines = MAIL + TUNNEL + TLS + HTTP + RPC + RPC_HTTP + LDAP + SMB + OTHER + [rng.integers(0, 256, n, dtype=numpy.uint8).tobytes() for n in range(200)]
    for line in lines:
        for end in {*range(min(len(line), 20)), len(line)}:
            data = numpy.frombuffer(bytearray(line[:end] or b"\0"), dtype=numpy.uint8)
            for kind in (0, 1):
                assert sift.sift(data, 0, len(line[:end]), kind) == sift.sift.py_func(data, 0, len(line[:end]), kind), line
