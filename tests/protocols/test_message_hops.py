"""Received fields of many servers, as they write them."""
from __future__ import annotations

import pytest
from helpers import told

from pcapsec.protocols import received as module
from pcapsec.protocols.message import MessageReader
from pcapsec.protocols.received import MAX_HOPS, MAX_KEPT_HOPS, read_date, understand
from pcapsec.records import CLIENT, Message

DATE = "; Mon, 13 May 2024 08:00:11 +0200"
T = 1715580011 * 10**9
A, IP, B = "a.example", "192.0.2.1", "b.example"


def read(*fields: str) -> Message:
    reader = MessageReader(Message(protocol="smtp", direction="relayed", side=CLIENT, at=0))
    reader.feed("".join(f"Received: {field}\r\n" for field in fields).encode("latin-1") + b"\r\nbody")
    reader.finish(True)
    return reader.message


def hop(field: str) -> dict:
    [one] = read(field + DATE).hops
    assert (one.hop, one.time_ns) == (1, T)
    return told(one, "hop", "time_ns")


def step(with_protocol: str | None, protected: bool | None, version: str | None = None, cipher: str | None = None, **more) -> dict:
    told_all = {"from_host": A, "from_ip": IP, "by_host": B, "with_protocol": with_protocol, "protected": protected, "tls_version": version, "tls_cipher": cipher, **more}
    return {name: value for name, value in told_all.items() if value is not None}


FIELDS = {
    "Postfix, TLS 1.3": (
        "from a.example (a.example [192.0.2.1])\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\r\n"
        "\t(No client certificate requested)\r\n\tby b.example (Postfix) with ESMTPS id 4VdK\r\n\tfor <x@b.example>", step("ESMTPS", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    "Postfix, clear": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (Postfix) with ESMTP id 4VdK\r\n\tfor <x@b.example>", step("ESMTP", False)),
    "Postfix, IPv6": ("from a.example (unknown [IPv6:2001:db8::1])\r\n\tby b.example (Postfix) with SMTPUTF8 id 4VdK", step("SMTPUTF8", None, from_ip="2001:db8::1")),
    "Postfix, a user of the host": ("by b.example (Postfix, from userid 1000)\r\n\tid 4VdK", {"by_host": B, "local": True}),
    "Postfix behind its filter": ("from b.example ([127.0.0.1])\r\n\tby localhost (b.example [127.0.0.1]) (amavisd-new, port 10024)\r\n\twith ESMTP id x",
                                  {"from_host": B, "from_ip": "127.0.0.1", "by_host": "localhost", "with_protocol": "ESMTP", "local": True}),
    "Exim 4.96": ("from a.example ([192.0.2.1]:55202)\r\n\tby b.example with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\r\n\t(Exim 4.96)\r\n\t(envelope-from <y@a.example>)\r\n\tid 1s6NaB-0001",
                  step("ESMTPS", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    "Exim 4.92": ("from [192.0.2.1] (helo=a.example)\r\n\tby b.example with esmtpsa (TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256) (Exim 4.92) id 1s6NaB-0001",
                  step("ESMTPSA", True, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")),
    "Exim 4.7 with GnuTLS": ("from a.example ([192.0.2.1])\r\n\tby b.example with esmtps (TLS1.0:DHE_RSA_AES_256_CBC_SHA1:32)\r\n\t(Exim 4.72) id 1", step("ESMTPS", True, "TLSv1.0", "DHE_RSA_AES_256_CBC_SHA1")),
    "Exim, clear": ("from a.example ([192.0.2.1] helo=mx)\r\n\tby b.example with esmtp (Exim 4.96)\r\n\t(envelope-from <y@a.example>)\r\n\tid 1s6NaB-0001", step("ESMTP", False)),
    "Exim, local": ("from root by b.example with local (Exim 4.96)\r\n\t(envelope-from <root@b.example>)\r\n\tid 1s6", {"from_host": "root", "by_host": B, "with_protocol": "local", "local": True}),
    "Sendmail 8.17": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (8.17.1/8.17.1) with ESMTPS id 44D601\r\n\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NOT)\r\n\tfor <x@b.example>",
                      step("ESMTPS", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    "Sendmail 8.14": ("from a.example ([192.0.2.1]) (authenticated bits=0) by b.example (8.14.4/8.14.4) with ESMTP id q999 (version=TLSv1/SSLv3 cipher=DHE-RSA-AES128-SHA bits=128 verify=NO) for <x@b>",
                      step("ESMTP", True, None, "DHE-RSA-AES128-SHA")),
    "Sendmail 8.8": ("from a.example (a.example [192.0.2.1]) via ESMTP by b.example (8.8.7/L.3.00) id PAA15493", step("ESMTP", False)),
    "Sendmail, submitted on the host": ("(from root@localhost) by b.example (8.14.7/8.14.7/Submit) id tB8LU0vs014629", {"by_host": B, "local": True}),
    "Exchange Online": ("from a.example (2603:10a6:208:12::34)\r\n by B.example (2603:10a6:20b:2d::7) with Microsoft SMTP\r\n Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id\r\n 15.20.7544.55",
                        step("Microsoft SMTP Server", True, "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", from_ip="2603:10a6:208:12::34")),
    "Exchange 2016": ("from a.example (192.0.2.1) by B.example (10.0.0.2) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384_P384) id 15.1.2507.35",
                      step("Microsoft SMTP Server", True, "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384_P384")),
    "Exchange 2016, into its front end in clear": ("from a.example (192.0.2.1) by B.example (10.0.0.2) with Microsoft SMTP Server id 15.1.2507.35 via Frontend Transport",
                                                   step("Microsoft SMTP Server", None, local=True)),
    "Exchange 2016, into its front end": ("from a.example (192.0.2.1) by B.example (10.0.0.2) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_AES) id 15.1.2507.35 via Frontend Transport",
                                          step("Microsoft SMTP Server", True, "TLSv1.2", "TLS_AES", local=True)),
    "Exchange 2010, TLS": ("from a.example (192.0.2.1) by B.example (10.0.0.2) with Microsoft SMTP Server (TLS) id 14.3.123.3", step("Microsoft SMTP Server", True)),
    "Exchange 2007, clear": ("from a.example (192.0.2.1) by B.example (10.0.0.2) with Microsoft SMTP Server id 8.1.436.0", step("Microsoft SMTP Server", False)),
    "Exchange, mapi": ("from A.example ([fe80::f936:ca4b]) by B.example ([fe80::c4c:e335%15]) with mapi id 14.02.0318.004", step("mapi", None, from_ip="fe80::f936:ca4b", local=True)),
    "Exchange 2003 and IIS": ("from a.example ([192.0.2.1]) by b.example with Microsoft SMTPSVC(6.0.3790.4675)", step("Microsoft SMTPSVC", False)),
    "Exchange 5.5": ("from a.example (a.example [192.0.2.1]) by b.example with SMTP (Microsoft Exchange Internet Mail Service Version 5.5.2650.21) id WF54", step("SMTP", False)),
    "Gmail": ("from a.example (a.example. [192.0.2.1])\r\n        by b.example with ESMTPS id ffacd0b85a97d\r\n        for <x@b.example>\r\n        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256)",
              step("ESMTPS", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    "Gmail's own": ("by 2002:a05:6a10:9f02:b0:1a2:b3c4 with SMTP id z2csp1", {"by_host": "2002:a05:6a10:9f02:b0:1a2:b3c4", "with_protocol": "SMTP"}),
    "Gmail's web": ("by 10.1.2.3 with HTTP", {"by_host": "10.1.2.3", "with_protocol": "HTTP"}),
    "qmail": ("from unknown (HELO a.example) (192.0.2.1)\r\n  by b.example with SMTP", step("SMTP", False)),
    "qmail with TLS": ("from unknown (HELO a.example) (user@[192.0.2.1])\r\n          (envelope-sender <y@a.example>)\r\n          by b.example (qmail-ldap-1.03) with (AES256-SHA encrypted) SMTP\r\n          for <x@b.example>",
                       step("SMTP", True, None, "AES256-SHA")),
    "netqmail with TLS": ("from unknown (HELO a.example) (192.0.2.1)\r\n  by b.example with DHE-RSA-AES256-SHA encrypted SMTP", step("SMTP", True, None, "DHE-RSA-AES256-SHA")),
    "qmail, by hand": ("(qmail 1246 by uid 1741)", {"local": True}),
    "qmail, from the network": ("(qmail 1246 invoked from network)", {}),
    "qpsmtpd": ("from a.example (HELO a.example) (192.0.2.1)\r\n    by b.example (qpsmtpd/0.84) with (ECDHE-RSA-AES256-GCM-SHA384 encrypted) ESMTPS", step("ESMTPS", True, None, "ECDHE-RSA-AES256-GCM-SHA384")),
    "Courier": ("from a.example (a.example [::ffff:192.0.2.1])\r\n  (TLS: TLSv1.2,256bits,ECDHE-RSA-AES256-GCM-SHA384)\r\n  by b.example with ESMTPS\r\n  id 00000000000A.01", step("ESMTPS", True, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")),
    "old Courier": ("from a.example (a.example [::ffff:192.0.2.1])\r\n  (TLS: TLSv1/SSLv3,256bits,AES256-SHA)\r\n  by b.example with esmtp", step("ESMTP", True, None, "AES256-SHA")),
    "Haraka": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (Haraka/3.0.3) with ESMTPS id 4A1C.1\r\n\tenvelope-from <y@a.example>\r\n\ttls TLS_AES_256_GCM_SHA384", step("ESMTPS", True, None, "TLS_AES_256_GCM_SHA384")),
    "Haraka 2": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (Haraka/2.8.28) with ESMTPS id 4A1C.1\r\n\tenvelope-from <y@a.example> (cipher=ECDHE-RSA-AES128-GCM-SHA256)", step("ESMTPS", True, None, "ECDHE-RSA-AES128-GCM-SHA256")),
    "OpenSMTPD": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (OpenSMTPD) with ESMTPS id 8d4c1b2e (TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO)\r\n\tfor <x@b.example>",
                  step("ESMTPS", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")),
    "OpenSMTPD, clear": ("from a.example (a.example [192.0.2.1])\r\n\tby b.example (OpenSMTPD) with ESMTP id 8d4c1b2e\r\n\tfor <x@b.example>", step("ESMTP", False)),
    "Zimbra": ("from localhost (localhost [127.0.0.1])\r\n\tby b.example (Postfix) with ESMTP id 1A", {"from_host": "localhost", "from_ip": "127.0.0.1", "by_host": B, "with_protocol": "ESMTP", "local": True}),
    "Zimbra, delivery to itself": ("from b.example (LHLO b.example) (192.0.2.1) by\r\n b.example with LMTP", {"from_host": B, "from_ip": IP, "by_host": B, "with_protocol": "LMTP", "local": True}),
    "MDaemon": ("from a.example [192.0.2.1] by b.example with ESMTP (SSL) (MDaemon PRO v11.0.0)\r\n\tid md50000001.msg", step("ESMTP", True)),
    "MDaemon, newer": ("from a.example by b.example (10.0.0.1) (MDaemon PRO v21.5.0) \r\n\twith ESMTPSA id md5001.msg", step("ESMTPSA", True, from_ip=None)),
    "Domino": ("from a.example ([192.0.2.1])\r\n          by b.example (Lotus Domino Release 8.5.3FP6)\r\n          with ESMTP id 2024051308001100-1 ", step("ESMTP", False)),
    "IronPort": ("from a.example ([192.0.2.1])\r\n  by b.example with ESMTP/TLS/ECDHE-RSA-AES256-GCM-SHA384", step("ESMTP", True, None, "ECDHE-RSA-AES256-GCM-SHA384")),
    "CommuniGate": ("from [192.0.2.1] (HELO a.example)\r\n  by b.example (CommuniGate Pro SMTP 6.2.5)\r\n  with ESMTPS id 1", step("ESMTPS", True)),
    "SmarterMail": ("from a.example (a.example [192.0.2.1]) by b.example with SMTP\r\n\t(version=Tls12\r\n\tcipher=Aes256 bits=256)", step("SMTP", True, "TLSv1.2", "Aes256")),
    "MailEnable": ("from a.example ([192.0.2.1]) by b.example with MailEnable ESMTP", step("ESMTP", False)),
    "Kerio": ("from a.example ([192.0.2.1])\r\n\tby b.example (Kerio Connect 9.2.0)\r\n\twith ESMTPS (using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384)", step("ESMTPS", True, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")),
    "RFC 8314": ("from a.example (a.example [192.0.2.1]) by b.example with ESMTPS tls TLS_DHE_RSA_WITH_AES_128_CBC_SHA group ffdhe2048 id 1", step("ESMTPS", True, None, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA")),
    "RFC 8314, by number": ("from a.example (a.example [192.0.2.1]) by b.example with ESMTPS id 1 tls 0x1302", step("ESMTPS", True, None, "0x1302")),
    "no TLS by the comment": ("from a.example (a.example [192.0.2.1]) by b.example with ESMTP id 1 (version=NONE cipher=NONE bits=0 verify=NO)", step("ESMTP", False)),
    "a client that calls itself localhost": ("from localhost (unknown [192.0.2.1]) by b.example (Postfix) with ESMTP id 1", step("ESMTP", False, from_host="localhost")),
    "from itself by another name": ("from web (b.example [192.0.2.1]) by b.example with ESMTP id 1", step("ESMTP", None, from_host="web", local=True)),
    "Sender unknown": ("from unknown ([192.0.2.1]) by b.example with ESMTP id 1", step("ESMTP", False, from_host="[192.0.2.1]")),
    "HTTPS": ("from a.example (192.0.2.1) by b.example with HTTPS", step("HTTPS", True)),
    "no words known": ("mail for somebody", {}),
    "a name that looks like an address": ("from a.example (fade.cafe) by b.example with ESMTP id 1", step("ESMTP", False, from_ip=None)),
    "SSLv3": ("from a.example ([192.0.2.1]) by b.example with ESMTPS id 1 (version=SSLv3 cipher=RC4-MD5 bits=128)", step("ESMTPS", True, "SSLv3", "RC4-MD5")),
}


@pytest.mark.parametrize("name", FIELDS)
def test_received(name):
    field, expected = FIELDS[name]
    assert hop(field) == expected
    assert hop(field) == expected  # once more, from memory
    other = field.replace(" id 4VdK", " id other").replace("1s6NaB", "ZZZ")
    assert hop(other) == expected


def test_numbers_count_from_the_lowest():
    message = read("from c.example by d.example with ESMTPS" + DATE, "from b.example by c.example with SMTP" + DATE, "by b.example with HTTP")
    assert [(one.hop, one.from_host, one.protected, one.time_ns) for one in message.hops] == [(3, "c.example", True, T), (2, "b.example", False, T), (1, None, None, None)]
    assert (message.n_hops, message.n_clear_hops) == (3, 1)


def test_what_stands_behind_the_id_is_not_remembered_for_others():
    sealed = read("from a.example by b.example with ESMTP id 1 (version=TLSv1.2 cipher=AES128-SHA bits=128)" + DATE)
    clear = read("from a.example by b.example with ESMTP id 1 for <x@b.example>" + DATE)
    tls = read("from a.example by b.example with ESMTP id 1 tls TLS_AES_128_GCM_SHA256" + DATE)
    assert [message.hops[0].protected for message in (sealed, clear, tls)] == [True, False, True]


def test_the_newest_hops_are_kept():
    message = read(*["from a.example by b.example with SMTP" + DATE] * 70)
    assert (message.n_hops, len(message.hops), message.hops[0].hop, message.hops[-1].hop) == (70, MAX_KEPT_HOPS, 70, 21)
    assert message.n_clear_hops == MAX_KEPT_HOPS
    assert read(*["x"] * 300).n_hops == MAX_HOPS


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MAX_KNOWN", 10)
    for number in range(40):
        read(f"from a{number}.example by b.example with SMTP id 1; Mon, {number % 28 + 1} May 2024 08:00:11 +0200")
        assert len(module._known) <= 10 and len(module._days) <= 10
    assert understand("x" * 5000)[0] is None


@pytest.mark.parametrize("text, seconds", [
    (" Mon, 13 May 2024 08:00:11 +0200", 1715580011), ("13 May 2024 06:00:11 GMT", 1715580011), (" Mon, 13 May 2024 06:00 -0000", 1715580000), ("Mon,13 May 2024 08:00:11 +0200 (CEST)", 1715580011),
    (" Thu, 11 Nov 99 15:16:45 -0600", 942355005), (" Mon May 13 08:00:11 +0200 2024", 1715580011), (" Thu, 29 Feb 2024 23:59:60 EST", 1709269200), (" mon, 13 MAY 2024 08:00:11 +0200", 1715580011),
    (" Mon, 13 May 2024 08:00:11", None), (" Mon, 13 Mai 2024 08:00:11 +0200", None), (" Thu, 29 Feb 2023 08:00:11 +0200", None), (" Mon, 13 May 2024 24:00:11 +0200", None), (" 13 May 9999 08:00:11 +0200", None),
    (" 13 May 1969 08:00:11 +0200", None), (" 13 May 2024 08:00:11 +9900", None), (" ", None), ("", None), (" , , , , ,", None), (" 13 May 2024 08:00:11 XYZ", None), (" ² May 2024 08:00:11 +0200", None),
    (" 13 May 2024 0²:00:11 +0200", None), (" 13 May 2024 ::: +0200", None), (" 13 May 02024 08:00:11 +0200", None),
])
def test_dates(text, seconds):
    assert read_date(text.encode("latin-1")) == (seconds and seconds * 10**9)
