"""What is mutated: capture files, and conversations that are wrapped into frames afresh each time."""
from __future__ import annotations

import base64
import random
import struct

from tests.frames import Segment, Talk, mirrored, pcap
from tests.helpers import dialogue

from .mutations import Turn, mutate_dialogue

PORTS = (25, 25, 587, 143, 110, 119, 4190, 465, 993, 24, 2525, 8080, 1080, 40001, 2000, 433, 80, 80, 135, 389, 443, 445, 593, 636, 3128, 6001, 49152)


def _packed(*words: bytes) -> str:
    return base64.b64encode(b"\0".join(words)).decode()


def _ntlm(kind: int, *fields: bytes) -> str:
    """An NTLM message whose fields stand behind its fixed part."""
    head = b"NTLMSSP\0" + struct.pack("<I", kind)
    fixed = {1: 16, 2: 32, 3: 52}[kind] + 20
    places, body = b"", b""
    for one in fields:
        places += struct.pack("<HHI", len(one), len(one), 12 + fixed + 8 * len(fields) + len(body))
        body += one
    flags = struct.pack("<I", 0xA2898205)
    middle = flags + places if kind == 1 else places[:8] + flags + bytes(range(8)) + bytes(8) + places[8:] if kind == 2 else places + flags
    return base64.b64encode(head + middle + b"\x0a\0\x63\x45\0\0\0\x0f" + bytes(12 + fixed + 8 * len(fields) - 20 - len(middle)) + body).decode()


_WIDE = "alice".encode("utf-16-le")
_PAIRS = b"\x02\0\x06\0C\0R\0P\0\x04\0\x06\0a\0.\0b\0\x07\0\x08\0" + bytes(8) + bytes(4)
_TARGET = b"C\0R\0"
_NT_RESPONSE = bytes(16) + b"\x01\x01" + bytes(26) + _PAIRS
_DOMAIN, _WORKSTATION = "CO".encode("utf-16-le"), "PC".encode("utf-16-le")


def _der(tag: int, *parts: bytes) -> bytes:
    """A DER value with a length of two octets."""
    inner = b"".join(parts)
    return bytes((tag, 0x82)) + struct.pack(">H", len(inner)) + inner


_SERVICE = _der(0x30, _der(0xA0, b"\x02\x01\x01"), _der(0xA1, _der(0x30, _der(0x1B, b"smtp"), _der(0x1B, b"mx.example.org"))))
_TICKET = _der(0x60, bytes.fromhex("06092a864886f712010202"), b"\1\0", _der(0x6E, _der(0x30, _der(0xA0, b"\x02\x01\x05"), _der(0xA3, _der(0x61, _der(
    0x30, _der(0xA1, _der(0x1B, b"EXAMPLE.ORG")), _der(0xA2, _SERVICE), _der(0xA3, _der(0x30, _der(0xA0, b"\x02\x01\x12"), bytes(8)))))))))
_WRAPPED = b"\x05\x04\x01\xff\0\x0c\0\0" + bytes(8) + b"\x02\0\x10\0alice" + bytes(12)
_HELLO = (b"\x16\x03\x01\x00\x71\x01\x00\x00\x6d\x03\x03" + bytes(32) + b"\x00\x00\x06\x13\x01\xc0\x2f\x00\xff\x01\x00\x00\x3e" + b"\x00\x00\x00\x0c\x00\x0a\x00\x00\x07mail.ex"
          + b"\x00\x2b\x00\x05\x04\x03\x04\x03\x03" + b"\x00\x10\x00\x07\x00\x05\x04imap" + b"\x00\x15\x00\x12" + bytes(18))
_ANSWER = b"\x16\x03\x03\x00\x2e\x02\x00\x00\x2a\x03\x03" + bytes(32) + b"\x00\x13\x01\x00\x00\x02\x00\x2b\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x10" + bytes(16)


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


_MAIL = """Received: from a.example (a.example [192.0.2.1]) by b.example with ESMTPS (TLS1.2:ECDHE-RSA-AES256:256) id 1; Mon, 1 Jan 2024 10:00:00 +0000
Received: from c by a.example with SMTP; Mon, 1 Jan 2024 09:59:59 +0000
From: "A" <alice@example.org>
To: Bob <bob@example.net>, carol@example.com
Subject: =?utf-8?Q?x?=
Message-ID: <1@example.org>
Content-Type: multipart/signed; micalg=pgp-sha256; protocol="application/pgp-signature"; boundary="b"

--b
Content-Type: application/pkcs7-mime; smime-type=enveloped-data

-----BEGIN PGP MESSAGE-----
..dot
--b--"""


def _mail(side: str) -> str:
    return "\n".join(f"{side}: {line}" for line in _MAIL.split("\n"))


DIALOGUES = {
    "smtp": f"""
S: 220 mx.example.org ESMTP Postfix
C: EHLO pc.example.org
S: 250-mx.example.org
S: 250-SIZE 10240000
S: 250-AUTH PLAIN LOGIN CRAM-MD5 DIGEST-MD5 NTLM GSSAPI SCRAM-SHA-1 XOAUTH2
S: 250-AUTH=LOGIN
S: 250-STARTTLS
S: 250-REQUIRETLS
S: 250-XCLIENT NAME ADDR
S: 250 CHUNKING
C: XCLIENT ADDR=192.0.2.7 NAME=x LOGIN=alice
S: 220 mx.example.org ESMTP
C: EHLO pc.example.org
S: 250-mx.example.org
S: 250 AUTH PLAIN LOGIN NTLM
C: AUTH PLAIN {_packed(b"", b"alice", b"secret")}
S: 535 5.7.8 no
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YWxpY2U=
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 2.7.0 ok
C: MAIL FROM:<alice@example.org> SIZE=1000 BODY=8BITMIME REQUIRETLS
C: RCPT TO:<bob@example.net> NOTIFY=NEVER
C: DATA
S: 250 2.1.0 ok
S: 250 2.1.5 ok
S: 354 go
{_mail("C")}
C: .
S: 250 2.0.0 queued as 1
C: MAIL FROM:<>
S: 250 ok
C: RCPT TO: bob@example.net
S: 550 no
C: BDAT 20
C> 0123456789
C> 0123456789
S: 250 ok
C: BDAT 0 LAST
S: 250 ok
C: QUIT
S: 221 bye""",
    "smtp-sasl": f"""
S: 220 mx ESMTP
C: EHLO pc
S: 250-mx
S: 250 AUTH CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256 NTLM GSSAPI OAUTHBEARER XOAUTH2 EXTERNAL ANONYMOUS
C: AUTH CRAM-MD5
S: 334 {_packed(b"<1.2@mx>")}
C: {_packed(b"alice 0123456789abcdef0123456789abcdef")}
S: 535 no
C: AUTH DIGEST-MD5
S: 334 {_packed(b'realm="example.org",nonce="abc",qop="auth,auth-int",algorithm=md5-sess,charset=utf-8,cipher="rc4,3des"')}
C: {_packed(b'username="alice",realm="example.org",nonce="abc",cnonce="d",nc=00000001,qop=auth-int,digest-uri="smtp/mx",response=0123456789abcdef0123456789abcdef')}
S: 334 {_packed(b"rspauth=0123456789abcdef0123456789abcdef")}
C:
S: 235 ok
C: AUTH SCRAM-SHA-256 {_packed(b"n,a=bob,n=ali=2Cce,r=abcdef")}
S: 334 {_packed(b"r=abcdefghi,s=QSXCR+Q6sek8bf92,i=4096")}
C: {_packed(b"c=biws,r=abcdefghi,p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")}
S: 334 {_packed(b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")}
C:
S: 235 ok
C: AUTH NTLM
S: 334
C: {_ntlm(1, b"CORP", b"PC1")}
S: 334 {_ntlm(2, _TARGET, _PAIRS)}
C: {_ntlm(3, bytes(24), _NT_RESPONSE, _DOMAIN, _WIDE, _WORKSTATION, b"")}
S: 235 ok
C: AUTH GSSAPI {_packed(_TICKET)}
S: 334
C:
S: 334 {_packed(_WRAPPED)}
C: {_packed(_WRAPPED)}
S: 235 ok
C: AUTH XOAUTH2 {_packed(b"user=alice@x" + bytes([1]) + b"auth=Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIiwiZXhwIjoxNzAwMDAwMDAwLCJhdWQiOlsiYSJdfQ.x" + bytes([1, 1]))}
S: 334 {_packed(b'{"status":"401"}')}
C:
S: 535 no
C: AUTH OAUTHBEARER {_packed(b"n,a=alice@x," + bytes([1]) + b"host=mx" + bytes([1]) + b"port=25" + bytes([1]) + b"auth=Bearer abc" + bytes([1, 1]))}
S: 235 ok
C: AUTH EXTERNAL =
S: 235 ok
C: AUTH ANONYMOUS dHJhY2U=
S: 235 ok""",
    "smtp-starttls": f"""
S: 220 mx ESMTP
C: EHLO pc
S: 250-mx
S: 250 STARTTLS
C: STARTTLS
C: RSET
S: 220 go
C> {_escaped(_HELLO)}
S> {_escaped(_ANSWER)}
C> \\x14\\x03\\x03\\x00\\x01\\x01\\x15\\x03\\x03\\x00\\x02\\x02\\x30""",
    "lmtp": """
S: 220 mx LMTP
C: LHLO pc
S: 250-mx
S: 250 PIPELINING
C: MAIL FROM:<a@b>
C: RCPT TO:<c@d>
C: RCPT TO:<e@f>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go
C: From: a@b
C:
C: text
C: .
S: 250 ok
S: 450 no""",
    "imap": f"""
S: * OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR STARTTLS LOGINDISABLED AUTH=PLAIN AUTH=NTLM ID] ready
C: a0 ID ("name" "x" "version" NIL)
S: * ID ("name" "Dovecot")
S: a0 OK
C: a1 CAPABILITY
S: * CAPABILITY IMAP4rev1 AUTH=PLAIN COMPRESS=DEFLATE
S: a1 OK done
C: a2 LOGIN {{5}}
S: + go
C: alice {{6+}}
C: secret
S: a2 NO [AUTHENTICATIONFAILED] x
C: a3 LOGIN "al\\\\"ice" "sec ret"
S: a3 NO [PRIVACYREQUIRED] x
C: a4 AUTHENTICATE PLAIN {_packed(b"", b"alice", b"secret")}
S: * CAPABILITY IMAP4rev1
S: a4 OK [CAPABILITY IMAP4rev1] in
C: a5 AUTHENTICATE NTLM
S: +
C: {_ntlm(1, b"CORP", b"PC1")}
S: + {_ntlm(2, _TARGET, _PAIRS)}
C: {_ntlm(3, bytes(24), bytes(24), _DOMAIN, _WIDE, _WORKSTATION, b"")}
S: a5 OK
C: a6 SELECT INBOX
S: * 3 EXISTS
S: * FLAGS (\\\\Seen)
S: a6 OK [READ-WRITE] done
C: a7 UID FETCH 1:* (FLAGS BODY[] BODY[HEADER.FIELDS (FROM TO)])
S: * 1 FETCH (UID 1 FLAGS (\\\\Seen) BODY[] {{60}}
S: From: a@example.org
S: To: b@example.net
S:
S: 0123456789012
S:  BODY[HEADER.FIELDS (FROM TO)] {{23}}
S: From: a@example.org
S:
S: )
S: a7 OK done
C: a8 APPEND Sent (\\\\Seen) "01-Jan-2024 10:00:00 +0000" {{43+}}
C: From: a@example.org
C: To: b@x.example
C:
C:
S: a8 OK
C: a9 IDLE
S: + idling
S: * 4 EXISTS
C: DONE
S: a9 OK
C: b1 COMPRESS DEFLATE
S: b1 OK
C> \\x4b\\x54\\x50\\x70\\x0c\\x0d
S> \\xd2\\x02""",
    "imap-starttls": f"""
S: * PREAUTH hello
C: a STARTTLS
S: a OK go
C> {_escaped(_HELLO)}
S> {_escaped(_ANSWER)}""",
    "pop3": f"""
S: +OK ready <1.2@pop.example.org>
C: CAPA
S: +OK
S: USER
S: SASL PLAIN NTLM
S: STLS
S: IMPLEMENTATION x
S: .
C: USER alice smith
S: +OK
C: PASS  sec ret
S: -ERR [AUTH] no
C: APOP alice 0123456789abcdef0123456789abcdef
S: -ERR [IN-USE] no
C: AUTH PLAIN
S: +
C: {_packed(b"", b"alice", b"secret")}
S: +OK in
C: STAT
S: +OK 1 300
C: UIDL
S: +OK
S: 1 x
S: .
C: RETR 1
S: +OK 300 octets
{_mail("S")}
S: .
C: TOP 1 0
S: +OK
S: From: a@b
S:
S: .
C: STLS
S: +OK go
C> {_escaped(_HELLO)}
S> {_escaped(_ANSWER)}""",
    "nntp": f"""
S: 201 news ready
C: CAPABILITIES
S: 101 list
S: VERSION 2
S: AUTHINFO USER SASL
S: SASL PLAIN DIGEST-MD5
S: STARTTLS
S: .
C: AUTHINFO USER alice
S: 381 more
C: AUTHINFO PASS secret
S: 481 no
C: AUTHINFO SASL PLAIN {_packed(b"", b"alice", b"secret")}
S: 281 ok
C: GROUP a.b
S: 211 3 1 3 a.b
C: ARTICLE <1@x>
S: 220 1 <1@x> article
{_mail("S")}
S: .
C: POST
S: 340 go
C: From: a@b
C: Newsgroups: a.b
C:
C: x
C: .
S: 240 ok
C: IHAVE <2@x>
S: 335 go
C: From: a@b
C:
C: .
S: 235 ok
C: XOVER 1-3
S: 224 x
S: .
C: STARTTLS
S: 382 go
C> {_escaped(_HELLO)}""",
    "managesieve": f"""
S: "IMPLEMENTATION" "Dovecot Pigeonhole"
S: "SASL" "PLAIN LOGIN SCRAM-SHA-1"
S: "SIEVE" "fileinto"
S: "STARTTLS"
S: "VERSION" "1.0"
S: OK "ready"
C: AUTHENTICATE "PLAIN" "{_packed(b"", b"alice", b"secret")}"
S: NO (AUTH-TOO-WEAK) "no"
C: AUTHENTICATE "PLAIN" {{20+}}
C: AGFsaWNlAHNlY3JldA==
S: OK (WARNINGS) {{5}}
S: hello
C: PUTSCRIPT "x" {{10+}}
C: if true {{}}
S: OK
C: LISTSCRIPTS
S: "x" ACTIVE
S: OK
C: STARTTLS
S: OK
C> {_escaped(_HELLO)}""",
    "tls": f"C> {_escaped(_HELLO)}\nS> {_escaped(_ANSWER)}\nC> \\x17\\x03\\x03\\x00\\x05abcde\nS> \\x17\\x03\\x03\\x00\\x05abcde",
    "sslv2": "C> \\x80\\x1f\\x01\\x00\\x02\\x00\\x06\\x00\\x00\\x00\\x10\\x01\\x00\\x80\\x03\\x00\\x800123456789abcdef\nS> \\x80\\x20\\x04\\x00\\x01\\x00\\x02abcdefghijklmnopqrstuvwxyz",
    "connect": "C: CONNECT mx.example.org:25 HTTP/1.1\nC: Host: mx\nC:\nS: HTTP/1.1 407 no\nS: Content-Length: 3\nS:\nS> abc\nC: CONNECT mx:25 HTTP/1.1\nC: Proxy-Authorization: Basic eDp5\nC:\n"
               "S: HTTP/1.0 200 ok\nS:\nS: 220 mx ESMTP\nC: EHLO pc\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 235 ok",
    "socks5": "C> \\x05\\x02\\x00\\x02\nS> \\x05\\x02\nC> \\x01\\x05alice\\x06secret\nS> \\x01\\x00\nC> \\x05\\x01\\x00\\x03\\x02mx\\x00\\x19\nS> \\x05\\x00\\x00\\x01\\x7f\\x00\\x00\\x01\\x00\\x19\n"
              "S: +OK pop\nC: USER a\nS: +OK\nC: PASS b\nS: +OK",
    "socks4": "C> \\x04\\x01\\x00\\x19\\x00\\x00\\x00\\x01user\\x00mx.example.org\\x00\nS> \\x00\\x5a\\x00\\x19\\x7f\\x00\\x00\\x01\nS: * OK IMAP4rev1 ready\nC: a LOGIN b c\nS: a OK",
    "proxy1": "C: PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\nS: 220 mx ESMTP\nC: HELO pc\nS: 250 mx\nC: AUTH LOGIN YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 ok",
    "proxy2": "C> \\r\\n\\r\\n\\x00\\r\\nQUIT\\n\\x21\\x11\\x00\\x0c\\xc0\\x00\\x02\\x01\\xc0\\x00\\x02\\x02\\x03\\xe8\\x00\\x19\nS: 220 mx ESMTP\nC: EHLO pc\nS: 250 mx",
    "ftp": "S: 220 ProFTPD\nC: USER anonymous\nS: 331 password\nC: PASS x\nS: 230 in\nC: SYST\nS: 215 UNIX",
}


def dialogues() -> dict[str, list[Turn]]:
    """The conversations above as turns."""
    return {name: [(side, data) for side, data in dialogue(text) if isinstance(data, bytes)] for name, text in DIALOGUES.items()}


def frame_it(turns: list[Turn], chance: random.Random) -> bytes:
    """A conversation as a capture: any port, addresses, cut, numbers near the wrap, and what mirrors do."""
    wide = chance.random() < 0.2
    talk = Talk(client="2001:db8::10" if wide else "192.0.2.10", server="2001:db8::20" if wide else "198.51.100.20", client_port=chance.choice((40000, 40000, 1025, 25)),
                server_port=chance.choice(PORTS), isn=(chance.choice((1000, 0, 0xFFFFFFF0, 0x7FFFFFFF)), chance.choice((5000, 0xFFFFFFFF))),
                step_ns=chance.choice((1_000_000, 1, 3_000_000_000, 400_000_000_000)))
    if chance.random() < 0.85:
        talk.open()
    talk.turns(turns, chance.choice((1400, 1400, 1400, 8000, 100, 7, 1) if sum(len(data) for _side, data in turns) < 4000 else (1400, 1400, 30_000)))
    if chance.random() < 0.7:
        talk.close()
    segments = talk.segments
    way = chance.random()
    if way < 0.25:
        segments = mirrored(segments, chance, lost=chance.choice((0, 0.05, 0.3)), reordered=chance.choice((0, 0.1, 0.5)), duplicated=chance.choice((0, 0.1, 0.5)))
    elif way < 0.32:
        side = chance.randrange(2)
        segments = [one for one in segments if one.side == side]
    for _ in range(chance.choice((0, 0, 0, 0, 1, 3)) if segments else 0):
        _overlap(segments, chance)
    frames = talk.__class__(**{**{name: getattr(talk, name) for name in ("client", "client_port", "server", "server_port")}, "segments": segments}).frames()
    original = None
    if chance.random() < 0.08:
        snap = chance.choice((54, 60, 74, 96, 200, 1000))
        original = [len(frame) for _ts, frame in frames]
        frames = [(ts_ns, frame[:snap]) for ts_ns, frame in frames]
    return pcap(frames, original=original)


def _overlap(segments: list[Segment], chance: random.Random) -> None:
    """Another segment that says something else about numbers that were said, or lies in its flags."""
    one = chance.choice(segments)
    payload = bytearray(one.payload)
    if payload and chance.random() < 0.7:
        payload[chance.randrange(len(payload))] ^= chance.randrange(1, 256)
    if chance.random() < 0.3:
        payload += chance.randbytes(chance.choice((1, 20, 500)))
    made = Segment(side=one.side, sequence=(one.sequence + chance.choice((0, 0, -1, 1, -20, 1 << 20, 1 << 31))) & 0xFFFFFFFF,
                   acknowledgement=(one.acknowledgement + chance.choice((0, 0, 1, -50, 1 << 30))) & 0xFFFFFFFF, flags=chance.choice((one.flags, one.flags, chance.randrange(256))),
                   payload=bytes(payload), ts_ns=one.ts_ns + chance.choice((0, 1, 1_000_000, 30_000_000, 10_000_000_000)), identification=chance.choice((0, 77)),
                   bad_checksum=chance.random() < 0.3)
    segments.insert(chance.randrange(len(segments) + 1), made)


def mutated_conversation(all_turns: list[list[Turn]], chance: random.Random) -> bytes:
    """One of the conversations, hurt and framed."""
    return frame_it(mutate_dialogue(chance.choice(all_turns), chance.choice(all_turns), chance), chance)
