"""Mutations of capture files and of conversations.

Everything is drawn from a `random.Random` that the caller seeds, so that the number of a mutation is all that is needed to make it again.
"""
from __future__ import annotations

import base64
import random
import re
import struct

MAX_BYTES = 400_000  # a mutated file is cut there: speed, not size, is what finds faults
SPECIAL_BYTES = b"\x00\x01\x7f\x80\xff\r\n \t\"\\'{}()<>[]*+-=.,:;/@%0129AZaz\xb2\xc2\x1b\x16\x17\x15"
SPECIAL_SIZES = (0, 1, 2, 3, 4, 7, 8, 12, 16, 20, 255, 256, 1499, 1500, 32767, 32768, 65534, 65535, 1 << 18, 262145, 1 << 24, (1 << 28) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)

Turn = tuple[int, bytes]


# --- files ---------------------------------------------------------------------------------------------------------------------------------------


def records_of(data: bytes) -> list[tuple[int, int, int]]:
    """(place of the record's head, place of its frame, captured length) of each record of a pcap or pcapng that is not damaged yet."""
    found = []
    if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        order = "<" if data[0] in (0xD4, 0x4D) else ">"
        at = 24
        while at + 16 <= len(data):
            captured = struct.unpack_from(order + "I", data, at + 8)[0]
            if at + 16 + captured > len(data):
                break
            found.append((at, at + 16, captured))
            at += 16 + captured
    elif data[:4] == b"\x0a\x0d\x0d\x0a":
        order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
        at = 0
        while at + 12 <= len(data):
            kind, length = struct.unpack_from(order + "II", data, at)
            if length < 12 or at + length > len(data):
                break
            if kind == 6 and length >= 32:
                found.append((at, at + 28, min(struct.unpack_from(order + "I", data, at + 20)[0], length - 32)))
            at += length
    return found


def _ip_at(frame: bytes) -> int:
    """Where an IP header seems to begin in a frame of any link type, -1 when nowhere."""
    for at in range(0, min(len(frame) - 40, 120)):
        if frame[at] == 0x45 and frame[at + 9] in (4, 6, 17, 41, 47) and int.from_bytes(frame[at + 2:at + 4], "big") <= len(frame) - at:
            return at
        if frame[at] >> 4 == 6 and frame[at + 6] in (0, 6, 43, 44, 60) and frame[at + 4:at + 6] != b"\0\0":
            return at
    return -1


# field of an IPv4 header with TCP behind it -> (offset from the IP header, size)
_FIELDS = ((0, 1), (2, 2), (4, 2), (6, 2), (8, 1), (9, 1), (10, 2), (12, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 1), (33, 1), (34, 2), (36, 2), (38, 2), (40, 1), (41, 1))


def _put(data: bytearray, at: int, size: int, value: int, order: str = "big") -> None:
    data[at:at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)


def _size(chance: random.Random) -> int:
    return chance.choice(SPECIAL_SIZES) if chance.random() < 0.7 else chance.randrange(1 << 16)


def _flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    n = chance.choice((1, 2, 4, 8, 40, 400))
    data[at:at + n] = bytes(n) if chance.random() < 0.2 else b"\xff" * n if chance.random() < 0.2 else chance.randbytes(n)


def _delete(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at:at + chance.choice((1, 2, 3, 16, 100, 2000))]


def _double(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    piece = data[at:at + chance.choice((1, 4, 16, 100, 2000))]
    data[at:at] = piece * chance.choice((1, 1, 2, 10, 100))


def _cut(data: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.7:
        del data[chance.randrange(len(data)):]
    else:
        del data[:chance.randrange(min(len(data), 200))]


def _length_field(data: bytearray, chance: random.Random) -> None:
    """A word anywhere becomes a length that lies; most often one of a record's head."""
    records = records_of(bytes(data))
    if records and chance.random() < 0.8:
        head, _frame, _captured = chance.choice(records)
        at = head + chance.choice((0, 4, 8, 12, 16, 20, 24))
    else:
        at = chance.choice((0, 4, 8, 12, 16, 20, chance.randrange(len(data))))
    if at + 4 <= len(data):
        _put(data, at, 4, _size(chance), chance.choice(("little", "little", "big")))


def _header_field(data: bytearray, chance: random.Random) -> None:
    """Fields of IP and TCP headers, in one frame or in several."""
    records = records_of(bytes(data))
    for _ in range(chance.choice((1, 1, 3, 20))):
        if not records:
            return
        _head, begin, captured = chance.choice(records)
        at = _ip_at(bytes(data[begin:begin + captured]))
        if at < 0 or chance.random() < 0.2:
            at, size = chance.randrange(max(1, min(captured, 120))), chance.choice((1, 2, 4))
        else:
            offset, size = chance.choice(_FIELDS)
            at += offset
        if begin + at + size > len(data):
            continue
        old = int.from_bytes(data[begin + at:begin + at + size], "big")
        way = chance.randrange(5)
        value = _size(chance) if way < 2 else chance.getrandbits(8 * size) if way == 2 else old + chance.choice((-1, 1, -20, 20, 1448, 1 << 15, 1 << 29, 1 << 30, 1 << 31)) if way == 3 else old ^ (1 << chance.randrange(8 * size))
        _put(data, begin + at, size, value)


def _payload(data: bytearray, chance: random.Random) -> None:
    """Bytes behind the headers: the walk stays whole and the parsers are met."""
    records = [record for record in records_of(bytes(data)) if record[2] > 70]
    for _ in range(chance.choice((1, 2, 5, 30))):
        if not records:
            return
        _head, begin, captured = chance.choice(records)
        at = begin + chance.randrange(54, captured)
        if at < len(data):
            data[at] = chance.choice(SPECIAL_BYTES) if chance.random() < 0.6 else chance.randrange(256)


def _records(data: bytearray, chance: random.Random) -> None:
    """Frames dropped, doubled, moved."""
    records = records_of(bytes(data))
    if len(records) < 3:
        return
    start = records[0][0]
    ends = [record[0] for record in records[1:]] + [len(data)]
    pieces = [bytes(data[record[0]:end]) for record, end in zip(records, ends)]
    way = chance.randrange(4)
    for _ in range(chance.choice((1, 2, 5, 20))):
        at = chance.randrange(len(pieces))
        if way == 0 and len(pieces) > 2:
            del pieces[at]
        elif way == 1:
            pieces.insert(chance.randrange(len(pieces)), pieces[at])
        else:
            pieces.insert(chance.randrange(len(pieces)), pieces.pop(at))
    if way == 3:
        chance.shuffle(pieces)
    data[start:] = b"".join(pieces)


def _times(data: bytearray, chance: random.Random) -> None:
    """Clocks that jump."""
    for head, _frame, _captured in records_of(bytes(data)):
        if chance.random() < 0.2:
            at = head if data[:1] != b"\x0a" else head + 12
            _put(data, at, 4, chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32))), "little")
            if chance.random() < 0.5:
                _put(data, at + 4, 4, chance.choice((0, 999_999, 1_000_000, 0x7FFFFFFF, 0xFFFFFFFF)), "little")


def mutate_file(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """A capture file, hurt once to four times; `other` is what may be spliced into it."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4))):
        if not changed:
            break
        way = chance.choices((_flip_bits, _overwrite, _delete, _double, _cut, _length_field, _header_field, _payload, _records, _times, None),
                             (8, 8, 5, 5, 4, 10, 22, 18, 8, 4, 6))[0]
        if way is not None:
            way(changed, chance)
        elif other:  # a splice
            at, begin = chance.randrange(len(changed)), chance.randrange(len(other))
            if chance.random() < 0.5:
                changed[at:] = other[begin:]
            else:
                changed[at:at] = other[begin:begin + chance.choice((24, 100, 1000, 5000))]
        del changed[MAX_BYTES:]
    return bytes(changed)


# --- conversations -------------------------------------------------------------------------------------------------------------------------------

_DIGITS = re.compile(rb"\d+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{6,}={0,2}")
_QUOTED = re.compile(rb'"[^"\r\n]*"|<[^>\r\n]*>|\([^()\r\n]*\)|\{[^}\r\n]*\}')
_NUMBERS = (b"0", b"1", b"-1", b"+1", b"00000000000000000000000000001", b"2147483648", b"4294967296", b"18446744073709551616", b"9" * 30, b"9" * 5000, b"1e9", b"0x10", b"\xb2", b"\xc2\xb2",
            b"\xd9\xa1", b"1 2", b"", b"5.7.8")
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b" ", b"\t", b"\xff\xfe", b"\xff\xf4\xff\xfd\x06", b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x1b[31m", b"=cmd|' /C calc'!A0", b"\"", b"\\", b"\\\"",
    b"STARTTLS\r\n", b"a1 STARTTLS\r\n", b"STLS\r\n", b"EHLO x\r\n", b"EHLO " + b"x" * 3000 + b"\r\n", b"HELO\r\n", b"LHLO a\r\n", b"MAIL FROM:<a@b> SIZE=9999999999999999999999\r\n", b"MAIL FROM: a\r\n",
    b"MAIL FROM:<>\r\n", b"RCPT TO:<\xff@\xff>\r\n", b"RCPT TO:<@a,@b:c@d>\r\n", b"DATA\r\n", b".\r\n", b"..\r\n", b"\r\n.\r\n", b"\n.\n", b"BDAT 5 LAST\r\n", b"BDAT 18446744073709551616 LAST\r\n", b"BDAT -1\r\n",
    b"BDAT \xb2\r\n", b"RSET\r\n", b"QUIT\r\n", b"NOOP\r\n", b"HELP\r\n", b"XCLIENT ADDR=1.2.3.4 LOGIN=+ZZ NAME=[UNAVAILABLE]\r\n", b"X-ANONYMOUSTLS\r\n", b"X-EXPS NTLM\r\n", b"X-EXPS GSSAPI\r\n", b"ETRN #x\r\n",
    b"AUTH\r\n", b"AUTH PLAIN\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"AUTH PLAIN =\r\n", b"AUTH LOGIN\r\n", b"AUTH LOGIN =\r\n", b"AUTH CRAM-MD5\r\n", b"AUTH DIGEST-MD5\r\n", b"AUTH NTLM\r\n", b"AUTH GSSAPI\r\n",
    b"AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9cg==\r\n", b"AUTH XOAUTH2 dXNlcj1hAWF1dGg9QmVhcmVyIHRva2VuAQE=\r\n", b"AUTH OAUTHBEARER bixhPWEsAWF1dGg9QmVhcmVyIGEuYi5jAQE=\r\n", b"AUTH EXTERNAL =\r\n", b"AUTH ANONYMOUS eA==\r\n",
    b"*\r\n", b"=\r\n", b"+\r\n", b"+ \r\n", b"+OK\r\n", b"+OK <1.2@c>\r\n", b"-ERR [AUTH] no\r\n", b"AGFsaWNlAHNlY3JldA==\r\n", b"334 \r\n", b"334 VXNlcm5hbWU6\r\n", b"235 ok\r\n", b"235-2.7.0 a\r\n235 b\r\n", b"220 x ESMTP\r\n",
    b"250-STARTTLS\r\n", b"250-AUTH PLAIN LOGIN NTLM\r\n", b"250 AUTH=LOGIN\r\n", b"250-XXXXXXXA\r\n", b"250\r\n", b"250-", b"354 go\r\n", b"421 bye\r\n", b"454 no\r\n", b"500 what\r\n", b"530 5.7.0 Must issue STARTTLS\r\n", b"999 x\r\n",
    b"a1 LOGIN a b\r\n", b"a1 LOGIN {5}\r\n", b"a1 LOGIN {5+}\r\nalice {3+}\r\nabc\r\n", b"a LOGIN \"a\\\"b\" \"c\r\n", b"a1 AUTHENTICATE PLAIN\r\n", b"a1 AUTHENTICATE NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==\r\n",
    b"a1 COMPRESS DEFLATE\r\n", b"a1 OK\r\n", b"a1 NO [AUTHENTICATIONFAILED] x\r\n", b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN]\r\n", b"* PREAUTH x\r\n", b"* BYE x\r\n", b"* CAPABILITY\r\n",
    b"* 1 FETCH (BODY[] {300}\r\nReceived: x\r\n\r\n", b"{99999999999999999999}\r\n", b"{0}\r\n", b"{4294967295+}\r\n", b"~{5}\r\n", b"{\xb2}\r\n", b"{-1}\r\n", b"{5", b"a1 IDLE\r\n", b"DONE\r\n", b"a1 ID (\"name\" {3}\r\n",
    b"a1 APPEND INBOX {310}\r\n", b"a1 APPEND INBOX (\\Seen) \"01-Jan-2020 00:00:00 +0000\" {9+}\r\nSubject: \r\n", b"(" * 2000, b")" * 200, b"\"" * 300, b"USER a b\r\n", b"PASS  x y \r\n", b"PASS\r\n", b"APOP a 0123456789abcdef0123456789abcdef\r\n",
    b"APOP\r\n", b"CAPA\r\n", b"RETR 1\r\n", b"TOP 1 0\r\n", b"+OK 300 octets\r\n", b"AUTHINFO USER a\r\n", b"AUTHINFO PASS b\r\n", b"AUTHINFO SASL PLAIN AGEAYg==\r\n", b"381 x\r\n", b"281 x\r\n", b"383 dGVzdA==\r\n", b"POST\r\n",
    b"340 x\r\n", b"ARTICLE 1\r\n", b"220 1 <a@b> article\r\n", b"CAPABILITIES\r\n", b"101 x\r\nSTARTTLS\r\n.\r\n", b"AUTHENTICATE \"PLAIN\" \"AGEAYg==\"\r\n", b"AUTHENTICATE \"PLAIN\" {8+}\r\nAGEAYg==\r\n", b"\"IMPLEMENTATION\" \"x\"\r\n",
    b"\"SASL\" \"PLAIN\"\r\n", b"OK (SASL \"cnNwYXV0aD0=\")\r\n", b"NO \"x\"\r\n", b"OK\r\n", b"BYE (REFERRAL \"sieve://x\")\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", b"\x16\x03\x03\x40\x00", b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\x00\x10" + bytes(16), b"\x80\x2e\x01\x03\x01", b"\x17\x03\x03\xff\xff", b"CONNECT mx:25 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 407 x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"GET /owa/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n\r\n", b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"0\r\n\r\n", b"-1\r\n", b"1;" + b"x" * 9000 + b"\r\n",
    b"Content-Length: -1\r\n", b"Content-Length: 5, 6\r\n", b"Transfer-Encoding: chunked, gzip\r\n", b"Authorization: Digest " + b'a="b",' * 900 + b"\r\n", b"Authorization: NTLM TlRMTVNTUAADAAAA\r\n", b"WWW-Authenticate: Negotiate\r\n",
    b"HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM TlRMTVNTUAACAAAA\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Cookie: " + b"a=b; " * 2000 + b"\r\n", b"\x05\x00\x0b\x03\x10\0\0\0\xff\xff\0\0\1\0\0\0", b"\x05\x00\x00\x03\x10\0\0\0\x18\0\0\0\2\0\0\0" + bytes(8), b"\x05\x00\x03\x03\x10\0\0\0\x20\0\0\0\2\0\0\0" + bytes(16),
    b"ncacn_http/1.0", b"\x30\x84\xff\xff\xff\xff\2\1\1\x60", b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0", b"\0\0\0\x40\xfeSMB\x40\0" + bytes(58), b"\0\xff\xff\xff\xffSMB\x73" + bytes(40), b"\x60\x82\xff\xff\6\6\x2b\6\1\5\5\2\xa0\x84",
    b"\x16\3\3\0\4\x0b\xff\xff\xff", b"\x16\3\3\0\0" * 300, b"\x18\3\3\0\3\1\xff\xff",
    b"\x05\x01\x00", b"\x05\x00", b"\x05\x01\x00\x03\x02mx\x00\x19", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19", b"\x04\x01\x00\x19\x00\x00\x00\x01u\x00mx\x00", b"\x00\x5a\x00\x19\x7f\x00\x00\x01", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 25\r\n",
    b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x19", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", b"NTLMSSP\0\x03\0\0\0" + b"\xff" * 60,
    b"Received: from a by b with ESMTPS; Thu, 1 Jan 1970 00:00:00 +9999\r\n", b"Received: " * 200 + b"\r\n", b"Content-Type: multipart/mixed; boundary=\"\"\r\n", b"Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n",
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n", b"Content-Type:" + b" a;" * 500 + b"\r\n", b"--b\r\n", b"--b--\r\n", b"-----BEGIN PGP MESSAGE-----\r\n", b"Subject: =?utf-8?B?\xff?=\r\n", b"From: <a@\xff\xfe>\r\n",
    b"To: " + b"a@b.c, " * 600 + b"\r\n", b"TLS-Required: No\r\n", b"Message-ID: <\xff\0>\r\n", b": \r\n", b" folded\r\n", b"x" * 70_000, b"\r\n" * 3000, b"a " * 2000,
)


def _some(text: bytearray, chance: random.Random, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
    found = list(pattern.finditer(bytes(text[:20_000])))
    return chance.choice(found) if found else None


def _number(text: bytearray, chance: random.Random) -> None:
    found = _some(text, chance, _DIGITS)
    if found:
        text[found.start():found.end()] = chance.choice(_NUMBERS)


def _packed(text: bytearray, chance: random.Random) -> None:
    """Bytes inside a base64 token."""
    found = _some(text, chance, _BASE64)
    if not found:
        return
    token = found[0].rstrip(b"=")
    try:
        inner = bytearray(base64.b64decode(token + b"=" * (-len(token) % 4)))
    except ValueError:
        return
    if inner:
        chance.choice((_flip_bits, _overwrite, _delete, _double, _word, _token, _number))(inner, chance)
    packed = base64.b64encode(bytes(inner))
    text[found.start():found.end()] = packed.rstrip(b"=") if chance.random() < 0.1 else packed


def _word(text: bytearray, chance: random.Random) -> None:
    """A little-endian or big-endian length somewhere inside."""
    size = chance.choice((1, 2, 3, 4))
    if len(text) > size:
        _put(text, chance.randrange(len(text) - size), size, _size(chance), chance.choice(("little", "big")))


def _token(text: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(text) + 1)
    if chance.random() < 0.6:  # where a line begins
        at = text.find(b"\n", at) + 1
    text[at:at] = chance.choice(TOKENS)


def _special(text: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 6))):
        text[chance.randrange(len(text))] = chance.choice(SPECIAL_BYTES)


def _inside(text: bytearray, chance: random.Random) -> None:
    """What stands between quotes or brackets: gone, doubled, nested, or replaced."""
    found = _some(text, chance, _QUOTED)
    if found:
        old = found[0]
        text[found.start():found.end()] = chance.choice((b"", old[:1] + old[-1:], old * 3, old[:1] + old + old[-1:], old[:-1], old[1:], old[:1] + chance.choice(TOKENS) + old[-1:]))


def _stretch(text: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(text))
    text[at:at] = bytes((text[at],)) * chance.choice((10, 600, 3000, 70_000))


def _head(text: bytearray, chance: random.Random) -> None:
    """The first bytes, where types, flags and lengths of most messages stand."""
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(min(len(text), 90))
        text[at] = chance.choice((0, 1, 2, 0x7F, 0x80, 0x84, 0xFF, text[at] ^ 1 << chance.randrange(8), (text[at] + 1) & 0xFF, chance.randrange(256)))


_TEXT_WAYS = ((_flip_bits, 6), (_special, 14), (_overwrite, 3), (_delete, 8), (_double, 5), (_token, 22), (_number, 12), (_packed, 18), (_word, 4), (_inside, 8), (_stretch, 2))


_BINARY_WAYS = ((_flip_bits, 8), (_head, 22), (_word, 26), (_overwrite, 8), (_delete, 10), (_double, 8), (_special, 6), (_number, 3), (_packed, 6), (_token, 2), (_stretch, 3))


def _is_binary(text: bytes | bytearray) -> bool:
    return b"\0" in text[:40] or text[:1] > b"\x7f"


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """A message, hurt once."""
    text = bytearray(data)
    if text:
        ways = _BINARY_WAYS if _is_binary(text) else _TEXT_WAYS
        chance.choices([one for one, _weight in ways], [weight for _one, weight in ways])[0](text, chance)
    return bytes(text[:200_000])


def mutate_dialogue(turns: list[Turn], other: list[Turn], chance: random.Random) -> list[Turn]:
    """A conversation with one to eight things wrong in it."""
    turns = list(turns)
    for _ in range(chance.choice((1, 1, 2, 2, 3, 5, 8))):
        if not turns:
            break
        at = chance.randrange(len(turns))
        way = chance.random()
        if way < 0.78:
            side, data = turns[at]
            turns[at] = (side, mutate_bytes(data, chance))
        elif way < 0.82:
            del turns[at]
        elif way < 0.86:
            turns[at:at] = [turns[at]] * chance.choice((1, 1, 3, 40))
        elif way < 0.89:
            turns.insert(chance.randrange(len(turns)), turns.pop(at))
        elif way < 0.92:
            turns[at] = (1 - turns[at][0], turns[at][1])
        elif way < 0.95:
            turns.insert(at, (chance.randrange(2), chance.choice(TOKENS)))
        elif way < 0.97 and other:
            begin = chance.randrange(len(other))
            turns[at:] = other[begin:]
        elif other:
            begin = chance.randrange(len(other))
            turns[at:at] = other[begin:begin + 4]
        if sum(len(data) for _side, data in turns) > MAX_BYTES:
            del turns[len(turns) // 2:]
    return turns
