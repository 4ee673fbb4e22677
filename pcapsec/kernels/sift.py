"""What a flow's first bytes may be: a cheap maybe, decided for good by protocols/detect.py.

Source of the words: RFC 5321 §4.1, RFC 3501 §6, RFC 1939, RFC 3977, RFC 5804, RFC 1928, RFC 9110 §9, RFC 8446 §5.1, C706 §12.6.3, RFC 4511 §4.1.1,
[MS-SMB2] §2.1.
"""
from __future__ import annotations

import numpy

from numba import int64

from .jit import part

# answers
MORE, MAIL, TLS, TUNNEL, HTTP, OTHER, RPC, RPC_HTTP, LDAP, SMB = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9


def _codes(words: str) -> numpy.ndarray:
    return numpy.array([int.from_bytes(word.encode().ljust(4), "big") for word in words.split()], dtype=numpy.int64)


# first four letters, upper case
_VERBS = _codes("EHLO HELO LHLO MAIL RCPT DATA AUTH STAR QUIT NOOP RSET VRFY EXPN XCLI XFOR BDAT X-EX X-AN USER PASS CAPA STLS APOP STAT LIST UIDL RETR "
                "TOP DELE MODE GROU ARTI HEAD BODY NEWS XOVE OVER POST IHAV CHEC TAKE DATE HELP LIST LAST NEXT SLAV COMP LANG UTF8 ETRN LOGO HAVE PUTS SETA GETS ID NAME")
_IMAP_VERBS = _codes("CAPA LOGI AUTH STAR NOOP LOGO SELE EXAM NAME LIST LSUB IDLE ENAB FETC STAT COMP APPE CLOS UNSE STOR SEAR COPY XLIS CREA SUBS")
_HTTP_VERBS = _codes("GET POST HEAD PUT OPTI DELE PATC TRAC PROP SUBS SEAR MKCO RPC_ RTS_ NOTI POLL")

MAIL_PORTS = numpy.zeros(65536, dtype=numpy.uint8)  # 1: a mail line protocol is expected, 2: mail within TLS
MAIL_PORTS[[25, 26, 587, 2525, 24, 143, 110, 119, 4190, 2000, 1025, 8025]] = 1
MAIL_PORTS[[465, 993, 995, 563]] = 2


@part
def _upper4(data, at):
    word = 0
    for i in range(4):
        letter = int64(data[at + i])
        if 97 <= letter <= 122:
            letter -= 32
        word = (word << 8) | letter
    return word


@part
def _listed(word, codes):
    for code in codes:
        if code == word:
            return True
    return False


@part
def _digit(byte):
    return 48 <= byte <= 57


@part
def _rpc_header(data, at, end):
    """Whether a connection-oriented PDU header stands here: version 5.0 or 5.1, type to 20, sane data representation and lengths."""
    if end - at < 16 or data[at] != 5 or data[at + 1] > 1 or data[at + 2] > 20:
        return False
    if int64(data[at + 4]) & 0xEF or data[at + 5] > 3 or data[at + 6] or data[at + 7]:
        return False
    if data[at + 4]:
        length, blob = int64(data[at + 8]) | (int64(data[at + 9]) << 8), int64(data[at + 10]) | (int64(data[at + 11]) << 8)
    else:
        length, blob = (int64(data[at + 8]) << 8) | int64(data[at + 9]), (int64(data[at + 10]) << 8) | int64(data[at + 11])
    return length >= 16 and blob <= length - 16


@part
def _ldap_message(data, at, end):
    """LDAPMessage ::= SEQUENCE { messageID INTEGER, protocolOp [APPLICATION n] … } with definite lengths."""
    if end - at < 7 or data[at] != 0x30:
        return False
    form = int64(data[at + 1])
    place = at + 2
    if form & 0x80:
        if form == 0x80 or form > 0x84:
            return False
        place += form & 0x7F
    if place + 3 > end or data[place] != 2 or data[place + 1] == 0 or data[place + 1] > 4:
        return False
    place += 2 + int64(data[place + 1])
    if place >= end:
        return False
    operation = int64(data[place])
    return operation == 0x42 or operation == 0x4A or operation == 0x50 or 0x60 <= operation <= 0x79


@part
def _smb_header(data, at, end):
    """NetBIOS session message with SMB 1, 2 or encrypted 3 inside, or a NetBIOS session request."""
    if end - at < 8 or data[at + 1] > 1:
        return False
    if data[at] == 0:
        return data[at + 4] >= 0xFD and data[at + 5] == 83 and data[at + 6] == 77 and data[at + 7] == 66
    return data[at] == 0x81 and data[at + 1] == 0 and data[at + 2] == 0 and data[at + 3] == 0x44 and data[at + 4] == 0x20


@part
def sift(data, at, end, is_mail_port):
    """What bytes data[at:end] at the start of one side may begin.

    Args:
        data uint8[:]  at, end int64  is_mail_port int64 (0, 1, 2 as in MAIL_PORTS)
    Returns: one of the answers above. Never reads at or past `end`.
    """
    n = end - at
    if n <= 0:
        return MORE
    first = int64(data[at])
    if first == 0x16:
        if n < 3:
            return MORE
        return TLS if data[at + 1] == 3 and data[at + 2] <= 4 else OTHER
    if first & 0x80 and n >= 5 and data[at + 2] == 1 and (data[at + 3] == 3 or data[at + 3] == 0):  # SSLv2's CLIENT-HELLO, its lengths adding up (RFC 6101 App. E)
        if is_mail_port:
            return TLS
        if n >= 11 and n == 2 + ((first & 0x7F) << 8 | int64(data[at + 1])):
            specs = int64(data[at + 5]) << 8 | int64(data[at + 6])
            session = int64(data[at + 7]) << 8 | int64(data[at + 8])
            challenge = int64(data[at + 9]) << 8 | int64(data[at + 10])
            if n == 11 + specs + session + challenge and specs > 0 and specs % 3 == 0:
                return TLS
    if n < 4:
        return MORE if 32 <= first < 127 or first == 5 or first == 4 else OTHER
    second, third, fourth = int64(data[at + 1]), int64(data[at + 2]), int64(data[at + 3])
    if first == 5 and _rpc_header(data, at, end):
        return RPC
    if first == 0x30:
        return LDAP if _ldap_message(data, at, end) else OTHER
    if first == 0 or first == 0x81:
        return SMB if _smb_header(data, at, end) else OTHER
    if first == 5:  # SOCKS5: number of methods and nothing behind them
        return TUNNEL if n == 2 + second and second > 0 or n == 2 and second < 3 else OTHER
    if first == 4:
        return TUNNEL if (second == 1 or second == 2) and 9 <= n < 600 and data[end - 1] == 0 else OTHER
    if first == 0x0D and second == 0x0A and third == 0x0D and fourth == 0x0A:
        return TUNNEL
    if _digit(first) and _digit(second) and _digit(third):
        return MAIL if (fourth == 32 or fourth == 45) and 49 <= first <= 53 else OTHER
    if first == 43 and second == 79 and third == 75:
        return MAIL
    if first == 45 and second == 69 and third == 82 and fourth == 82:
        return MAIL
    if first == 42 and second == 32:
        return MAIL
    if first == 34:
        return MAIL
    word = _upper4(data, at)
    if word == 0x434F4E4E or word == 0x50524F58:  # CONN(ECT), PROX(Y)
        return TUNNEL
    if word == 0x5250435F:  # RPC_: a channel of RPC over HTTP
        return RPC_HTTP
    if word == 0x4E434143 and n >= 10 and data[at + 9] == 112:  # ncacn_http
        return RPC
    if word == 0x48545450:  # HTTP
        return TUNNEL if n > 12 and data[at + 9] == 50 and data[at + 10] == 48 and data[at + 11] == 48 else HTTP
    if _listed(word, _VERBS):
        if _listed(word, _HTTP_VERBS):
            for i in range(4, min(n, 2000)):
                byte = int64(data[at + i])
                if byte == 10 or byte == 13:
                    break
                if byte == 47 or byte == 58:  # a path or a URL
                    return HTTP
        return MAIL
    if _listed(word, _HTTP_VERBS):
        return HTTP
    for i in range(1, min(n, 24)):  # IMAP: tag, space, command
        byte = int64(data[at + i])
        if byte == 32:
            if at + i + 5 <= end and _listed(_upper4(data, at + i + 1), _IMAP_VERBS):
                return MAIL
            if at + i + 4 <= end and (int64(data[at + i + 1]) | 32) == 105 and (int64(data[at + i + 2]) | 32) == 100 and data[at + i + 3] == 32:
                return MAIL
            if at + i + 4 <= end and int64(data[at + i + 1]) == 79 and int64(data[at + i + 2]) == 75 and data[at + i + 3] == 32:
                return MAIL  # tagged OK of a server in mid-conversation
            if at + i + 5 <= end and (int64(data[at + i + 1]) | 32) == 117 and (int64(data[at + i + 2]) | 32) == 105 and (int64(data[at + i + 3]) | 32) == 100:
                return MAIL
            break
        if byte < 33 or byte > 126:
            break
    return OTHER
