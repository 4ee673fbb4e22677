"""Content of messages: headers, protection, hops, limits."""
from __future__ import annotations

import base64
import random
import time

import pytest
from helpers import told

from pcapsec.protocols.message import MAX_HEADER_BYTES, MessageReader, read_domains, subject_length
from pcapsec.records import CLIENT, Message


def read(content: bytes | str, *, pieces=None, complete=True) -> Message:
    if isinstance(content, str):
        content = content.replace("\n", "\r\n").encode()
    reader = MessageReader(Message(protocol="smtp", direction="relayed", side=CLIENT, at=0))
    pos = 0
    while pos < len(content):
        n = pieces() if pieces else len(content)
        reader.feed(content[pos:pos + n])
        pos += n
    reader.finish(complete)
    return reader.message


def facts(content, *leave_out, **keywords) -> dict:
    """What the content told, the same whole, byte by byte and cut at random."""
    whole = told(read(content, **keywords), "protocol", "direction", "side", "at", "complete", "size_bytes", *leave_out)
    chance = random.Random(1)
    for pieces in (lambda: 1, lambda: chance.randint(1, 90), lambda: 8192):
        assert told(read(content, pieces=pieces, **keywords), "protocol", "direction", "side", "at", "complete", "size_bytes", *leave_out) == whole
    return whole


def test_headers():
    assert facts("""Received: from a.example (a.example [192.0.2.1])
\tby b.example (Postfix) with ESMTPS id 1; Mon, 1 Jan 2024 00:00:00 +0000
received: from c.example by d.example with SMTP; Mon, 1 Jan 2024 00:00:00 +0000
MESSAGE-ID: <1@a.example>
From: "Doe, John" <john@Corp.Example>
To: a@x.example, "b@not.example" <b@Y.example>,
 Undisclosed: c@z.example;
Cc: (comment@no.example) d@x.example
Subject: =?utf-8?B?w6TDtg==?= =?iso-8859-1?Q?=FC_x?= tail
User-Agent: Mutt/2.2
TLS-Required: No
Content-Type: Text/HTML; charset=utf-8

From: not@header.example
""") == {"message_id": "<1@a.example>", "content_type": "text/html", "from_domain": "corp.example", "to_domains": ("x.example", "y.example", "z.example"),
         "subject_length": 10, "mailer": "Mutt/2.2", "n_hops": 2, "n_clear_hops": 1, "tls_required_no": True, "hops": [
             {"hop": 2, "from_host": "a.example", "from_ip": "192.0.2.1", "by_host": "b.example", "with_protocol": "ESMTPS", "protected": True, "time_ns": 1704067200 * 10**9},
             {"hop": 1, "from_host": "c.example", "by_host": "d.example", "with_protocol": "SMTP", "protected": False, "time_ns": 1704067200 * 10**9}]}


def test_bare_line_feeds_and_no_headers_at_all():
    assert facts(b"Subject: abc\nX-Mailer: m\n\nFrom: no@x.example\n") == {"subject_length": 3, "mailer": "m"}
    assert facts(b"\r\nSubject: no\r\n") == facts(b"\nSubject: no\n") == {"lacks": "no-headers"}
    assert facts(b"") == {} and facts(b"just text without any colon") == {}


def test_what_was_not_seen():
    assert facts("Subject: abc\n\n") == facts("Subject: abc\n\n", complete=False) == {"subject_length": 3, "lacks": "body"}
    assert facts("Subject: abc\n\nx", complete=False) == {"subject_length": 3}
    assert facts("Subject: abc\n", complete=False) == {"subject_length": 3, "lacks": "headers"}
    assert facts("Subject: abc\n") == {"subject_length": 3}  # that was all of it
    reader = MessageReader(Message(protocol="imap", direction="fetched", side=CLIENT, at=0))
    reader.feed(b"\r\n")  # the text of a message, asked for alone
    reader.shorten(2)
    reader.feed(b"Subject: no\r\n\r\n")
    reader.finish(True)
    assert told(reader.message, "side", "at", "protocol", "direction") == {"lacks": "no-headers", "size_bytes": 15, "complete": True}


def test_size_and_completeness():
    message = read(b"Subject: x\r\n\r\n" + b"a" * 100000, complete=False)
    assert (message.size_bytes, message.complete, message.subject_length) == (100014, False, 1)


def test_a_last_line_that_may_be_cut_is_not_believed():
    assert facts("Subject: whole\nTo: a@exam", complete=False) == {"subject_length": 5, "lacks": "headers"}
    assert facts("Subject: whole\nTo: a@exam", complete=True) == {"subject_length": 5, "to_domains": ("exam",)}


def test_nothing_is_read_behind_a_loss():
    reader = MessageReader(Message(protocol="smtp", direction="relayed", side=CLIENT, at=0))
    reader.feed(b"Subject: abc\r\nTo: x@half")
    reader.lost()
    reader.feed(b"y.example\r\nFrom: a@b.example\r\n\r\nbody")
    reader.finish(True)
    assert told(reader.message, "side", "at", "protocol", "direction") == {"subject_length": 3, "size_bytes": 60, "complete": True, "lacks": "headers"}


@pytest.mark.parametrize("value, length", [
    (b"plain", 5), (b"  ", 0), ("häh".encode(), 3), (b"h\xe4h", 3), (b"=?utf-8?Q?a=20b?=", 3), (b"=?utf-8?B?YQ==?= =?utf-8?B?Yg==?=", 2), (b"=?utf-8?B?YQ==?= b", 3),
    (b"=?unknown-8bit?Q?=E4?=", 1), (b"=?iso-8859-12?Q?=E4?=", 1), (b"=?punycode?Q?abc?=", 3), (b"=?utf-8?X?abc?=", 15), (b"=?utf-8?B?!?=", 0), (b"=?utf-8*en?q?x?=", 1),
])
def test_subject_length(value, length):
    assert subject_length(value) == length


@pytest.mark.parametrize("value, domains", [
    (b"a@b.example", ("b.example",)), (b" A <a@b.example> ", ("b.example",)), (b"", ()), (b"<>", ()), (b"nobody", ()), (b'"x@y" <a@b>', ("b",)), (b"a@b, c@b", ("b",)),
    (b'"open quote <a@b>', ()), (b"a@b.", ("b",)), (b"<@r:a@b>", ("b",)),
])
def test_domains(value, domains):
    assert read_domains(value) == domains


@pytest.mark.parametrize("received, clear", [
    ("from a by b with ESMTP id 1", 1), ("from a by b with ESMTPSA id 1", 0), ("from a by b with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384", 0),
    ("from a by b (using TLSv1.3 with cipher X (256/256 bits)) with ESMTP", 0), ("from a by b with ESMTP (version=TLSv1.2 cipher=X bits=256 verify=NOT)", 0),
    ("from a by b with Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.1", 0), ("from a by b with Microsoft SMTP Server id 8.1", 1),
    ("from a by b with Microsoft SMTP Server (TLS) id 14.3", 0), ("from a by b with (AES256-SHA encrypted) SMTP", 0), ("from localhost (localhost [127.0.0.1]) by b with ESMTP", None),
    ("from a by b with mapi id 15.1", None), ("by 10.0.0.1 with SMTP id x; date", None), ("from a by b id 1", None), ("from a by b via Frontend Transport with ESMTP", None), ("from a by b with", None),
    ("from a by b with ESMTP tls TLS_AES_128_GCM_SHA256", 0),
])
def test_hops(received, clear):
    message = read(f"Received: {received}\n\n")
    assert (message.n_hops, message.n_clear_hops) == (1, clear)


def cms(number: str) -> str:
    return base64.encodebytes(bytes.fromhex("30820200" + "06092a864886f70d0107" + number + "a08201f0") + b"x" * 200).decode()


ENCRYPTED_ARMOR = base64.b64encode(bytes([0x85, 1, 12, 3]) + b"k" * 44).decode()
SIGNED_ARMOR = base64.b64encode(bytes([0xA3, 1, 12, 3]) + b"k" * 44).decode()


@pytest.mark.parametrize("content, protection", [
    ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\nx", "smime-encrypted"),
    ('Content-Type: application/x-pkcs7-mime;\n smime-type="authEnveloped-data"\n\nx', "smime-encrypted"),
    ("Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nx", "smime-signed"),
    ("Content-Type: application/pkcs7-mime; smime-type=compressed-data\n\nx", "none"),
    ("Content-Type: application/pkcs7-mime; name=smime.p7m\n\n" + cms("03"), "smime-encrypted"),
    ("Content-Type: application/pkcs7-mime; name=smime.p7m\n\n" + cms("02"), "smime-signed"),
    ("Content-Type: application/pkcs7-mime; name=smime.p7m\n\n", "none"),
    ('Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256\n\n', "smime-signed"),
    ('Content-Type: multipart/signed; protocol="application/pgp-signature"\n\n', "pgp-mime-signed"),
    ('Content-Type: multipart/encrypted; boundary=x;\n\tprotocol="application/pgp-encrypted"\n\n', "pgp-mime-encrypted"),
    ("Content-Type: application/ms-tnef; name=winmail.dat\n\n", "tnef"),
    ("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/ms-tnef\n\n", "tnef"),
    ("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Disposition: attachment; filename=winmail.dat\n\n", "tnef"),
    (f"Content-Type: text/plain\n\n-----BEGIN PGP MESSAGE-----\nVersion: x\n\n{ENCRYPTED_ARMOR}\n", "pgp-inline"),
    (f"Subject: x\n\nhello\n-----BEGIN PGP MESSAGE-----\n\n{ENCRYPTED_ARMOR}\n", "pgp-inline"),
    (f"Subject: x\n\n-----BEGIN PGP MESSAGE-----\n\n{SIGNED_ARMOR}\n", "none"),
    (f"Subject: x\n\n> -----BEGIN PGP MESSAGE-----\n\n{ENCRYPTED_ARMOR}\n", "none"),
    ("Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\n", "none"),
    ("Subject: x\n\n" + "y" * 9000 + f"\n-----BEGIN PGP MESSAGE-----\n\n{ENCRYPTED_ARMOR}\n", "none"),
    ("Content-Type: text/plain\n\nhello", "none"),
    ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\n" + cms("02"), "smime-signed"),
    ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nThis is a clear text, whatever the type says, and it goes on for a while.", "none"),
    ("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMAA=\n", "none"),
    ("Content-Type: application/octet-stream; name=smime.p7m\n\n" + cms("03"), "smime-encrypted"),
    ("Content-Type: application/octet-stream; name=smime.p7m\n\n" + base64.encodebytes(bytes(300)).decode(), "none"),
    ("Content-Type: application/octet-stream; name=x.bin\n\n" + cms("03"), "none"),
    ("Content-Type: multipart/encrypted; boundary=x; protocol=\"application/pgp-encrypted\"\n\nno armor here", "none"),
    ("Content-Type: multipart/encrypted; boundary=x; protocol=\"application/other\"\n\nx", "none"),
    ("Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream\n\neJ8+Iabc\n", "tnef"),
    ("Content-Type: multipart/mixed; boundary=x\n\n--x\n\nmy winmail.dat\n--x\nContent-Type: text/plain\n\napplication/ms-tnef\n", "none"),
])
def test_protection(content, protection):
    assert facts(content).get("protection", "none") == protection


def test_headers_beyond_the_limit_are_not_kept():
    content = b"Subject: abc\r\n" + b"X-Pad: " + b"y" * MAX_HEADER_BYTES + b"\r\nTo: a@b.example\r\n\r\nbody"
    assert facts(content) == {"subject_length": 3, "lacks": "headers"}


@pytest.mark.parametrize("block", [
    b'From: ' + b'"\\' * 30000, b"To: " + b"(" * 60000, b"To: " + b"a@b.c," * 10000, b"Subject: " + b"=?" * 30000, b"Subject: =?utf-8?B?" + b" " * 50000, b"Received: with " * 4000,
    b"Received: x\r\n" * 4500, b"X: " + b"\r\n " * 20000, b"Content-Type: " + b"; a" * 20000, b"Content-Type: multipart/mixed" + b'; boundary="' * 5000, b"\n" * 60000, b"Received: from a " + b"(" * 60000,
    b"Received: from a (" + b"x encrypted " * 5000, b"Received: " + b"tls:" * 15000, b"Received: from x by " + b"a" * 60000, b"MSIP_Labels: " + b"MSIP_Label_a_Name=" * 3000, b"From: " + b" " * 60000 + b"@", b"Subject: " + b"?= " * 20000,
    b"From: " + b"a" * 30000 + b"@" * 30000,
])
def test_hostile_headers_take_linear_time(block):
    started = time.process_time()
    read(block + b"\r\n\r\n")
    read(b"X: y\r\n" + block, pieces=lambda: 50)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("seed", range(100))
def test_nothing_raises(seed):
    chance = random.Random(seed)
    words = [b"Subject: ", b"From: ", b"To: ", b"Received: ", b"Content-Type: ", b"application/pkcs7-mime", b"multipart/encrypted; protocol=", b"; ", b"\r\n", b"\n", b"\r", b" ", b"\t", b"<a@b>", b'"', b"=?utf-8?B?",
             b"?=", b"with ESMTP", b"from a (b [192.0.2.1]) by c ", b"(using TLSv1.2 with cipher X)", b"; Mon, 1 Jan 2024 00:00:00 +0000", b"multipart/mixed; boundary=x", b"--x", b"--x--",
             b"multipart/signed; protocol=application/pkcs7-signature; boundary=x", b"application/pkcs7-signature", b"MIIB", b"hQEM", b"-----END PGP", b"Content-Type: application/pkcs7-mime; name=x.p7m\r\n\r\n",
 b"\r\n\r\n", b"\n-----BEGIN PGP MESSAGE-----\n", b"\xff\0", b"(", b"@"]
    read(b"".join(chance.choice(words) for _ in range(200)), pieces=lambda: chance.randint(1, 100))
