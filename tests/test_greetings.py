"""What greetings say of their server."""
from __future__ import annotations

import pytest

from pcapsec.greetings import greeting_host, greeting_shape


@pytest.mark.parametrize("greeting, host", [
    (None, None), ("", None), ("mail.example.com ESMTP Postfix", "mail.example.com"), ("220 MAIL.Example.com ESMTP", "mail.example.com"), ("220-mx1.example.com ready", "mx1.example.com"),
    ("localhost ESMTP", None), ("+OK POP3 ready <1896.697170952@dbc.mtview.ca.us>", "dbc.mtview.ca.us"), ("* OK Dovecot ready.", None), ("OK [CAPABILITY IMAP4rev1] ready", None),
    ("220 1.2.3.4 ESMTP", None), ("********", None),
])
def test_greeting_host(greeting, host):
    assert greeting_host(greeting) == host


@pytest.mark.parametrize("one, other", [
    ("220 mx.example.com ESMTP Sendmail 8.15.2/8.15.2; Mon, 1 Jan 2024 10:00:00 GMT", "220 MX.example.com ESMTP Sendmail 8.15.2/8.15.2; Tue, 2 Jan 2024 11:30:01 GMT"),
    ("220 mx.google.example ESMTP d2e1a72fcca58-0123456789abcdef.123 - gsmtp", "220 mx.google.example ESMTP 41be03b00d2f7-aa23456789abcd1f.77 - gsmtp"),
    ("220 a.example Microsoft ESMTP MAIL Service ready at Mon, 1 Jan 2024 10:00:00 +0000", "220 a.example Microsoft ESMTP MAIL Service ready at Fri, 12 Feb 2024 1:00:00 +0100"),
    ("+OK POP3 ready <1896.697170952@dbc.example.us>", "+OK POP3 ready <77.697170999@dbc.example.us>"),
    ("* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.", "* OK [CAPABILITY IMAP4rev1] Dovecot ready."),
    ("* OK [CAPABILITY IMAP4rev1 STARTTLS", "* OK [CAPABILITY IMAP4rev1 AUTH=PL"),
    ("220 mail.example.com Exim 4.96 2024-01-01 10:00:00 (UTC)", "220 mail.example.com Exim 4.96 2024-02-11 23:59:59 (CEST)"),
])
def test_one_server_has_one_shape(one, other):
    assert greeting_shape(one) == greeting_shape(other)


@pytest.mark.parametrize("one, other", [
    ("220 mx1.example.com ESMTP Postfix", "220 mx2.example.com ESMTP Postfix"),
    ("220 mx.example.com ESMTP Postfix", "220 mx.example.com ESMTP Exim 4.96"),
    ("220 mx.example.com ESMTP Exim 4.95", "220 mx.example.com ESMTP Exim 4.96"),
    ("220 mx2024-0101a.example.com ESMTP", "220 mx2024-0102a.example.com ESMTP"),
    ("* OK Dovecot ready.", "* OK Cyrus IMAP ready."),
])
def test_different_servers_have_different_shapes(one, other):
    assert greeting_shape(one) != greeting_shape(other)


def test_hostile_greetings_end():
    for text in ("<" * 5000, "a1" * 5000, "[" * 300, "1:" * 500, " ".join(["1" * 11] * 50), ";\n" * 200):
        greeting_shape(text)
