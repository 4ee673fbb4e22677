"""What bytes that differ are, what the difference does, and how much of them may be shown.

Shown are protocol words alone: greetings, capability lists, the names of commands, reply codes, names of header fields. Arguments of commands, texts of
replies, values of header fields, logins and messages are told by length only.
"""
from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from ..protocols.detect import PARSERS
from ..protocols.imap_grammar import COMMANDS as IMAP_COMMANDS
from ..protocols.imap_grammar import KNOWN_CAPABILITIES as IMAP_CAPABILITIES
from ..protocols.managesieve import COMMANDS as SIEVE_COMMANDS
from ..protocols.managesieve import KNOWN_CAPABILITIES as SIEVE_CAPABILITIES
from ..protocols.masking import edit_distance, looks_masked
from ..protocols.nntp import CAPABILITIES as NNTP_CAPABILITIES
from ..protocols.nntp import VERBS as NNTP_VERBS
from ..protocols.pop3 import CAPABILITIES as POP3_CAPABILITIES
from ..protocols.pop3 import VERBS as POP3_VERBS
from ..protocols.smtp_grammar import KNOWN_KEYWORDS
from ..records import CLIENT, SERVER
from .comparison_taps import TapFlow

MAX_SHOWN = 200  # characters of a line
OFFERS = frozenset(("STARTTLS", "STLS", "X-ANONYMOUSTLS"))

_VERBS = {
    "smtp": frozenset("EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP ETRN TURN ATRN AUTH STARTTLS X-ANONYMOUSTLS X-EXPS XCLIENT XFORWARD BURL".split()),
    "imap": frozenset(name.decode() for name in IMAP_COMMANDS), "pop3": frozenset(name.decode() for name in POP3_VERBS),
    "nntp": frozenset(name.decode() for name in NNTP_VERBS), "managesieve": frozenset(name.decode() for name in SIEVE_COMMANDS),
    "http": frozenset("GET HEAD POST PUT DELETE OPTIONS CONNECT TRACE PATCH PROPFIND PROPPATCH SEARCH SUBSCRIBE MKCOL REPORT RPC_IN_DATA RPC_OUT_DATA".split()),
}
_CAPABILITIES = {"smtp": KNOWN_KEYWORDS, "imap": IMAP_CAPABILITIES, "pop3": POP3_CAPABILITIES, "nntp": NNTP_CAPABILITIES, "managesieve": SIEVE_CAPABILITIES}
_MECHANISMS = frozenset("PLAIN LOGIN CRAM-MD5 DIGEST-MD5 NTLM GSSAPI GSS-SPNEGO EXTERNAL ANONYMOUS XOAUTH2 OAUTHBEARER SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS".split())
_SCHEMES = frozenset("BASIC DIGEST NTLM NEGOTIATE BEARER".split())
_PROXY_FIELDS = frozenset("via forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-forwarded-server x-real-ip connection keep-alive proxy-connection "
                          "x-client-ip x-originating-ip age x-cache te".split())
_FIELDS = _PROXY_FIELDS | frozenset(
    "host user-agent accept accept-encoding accept-language authorization proxy-authorization www-authenticate proxy-authenticate authentication-info cookie set-cookie location "
    "server date content-type content-length transfer-encoding content-encoding cache-control pragma expires etag last-modified strict-transport-security upgrade "
    "upgrade-insecure-requests referer origin x-powered-by x-owa-version x-requesttype x-clientinfo ms-asprotocolversion".split())
_RUN = re.compile(r"([Xx*_.-])\1{2,}.?\Z")
_CODE = re.compile(rb"(\d{3})(?:[ -]([245]\.\d{1,3}\.\d{1,3})(?= |\r|\n|\Z))?")
_RESPONSE_CODE = re.compile(rb"[ \t]*\[([A-Z][A-Z0-9/-]{1,39})")
_START_LINE = re.compile(rb"[A-Z_]{3,20} [^ ]{1,8000} HTTP/1\.[01]\r?\n|HTTP/1\.[01] \d{3}[ \r\n]")
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9-]{0,60}):[ \t]*([A-Za-z]+)?")


class Words(NamedTuple):
    """What a line is: greeting, capability, command, reply, login, content, header, tls, bytes; the word it is about, whether that is one, and what may be shown."""

    what: str
    word: str | None = None
    known: bool = True
    shown: str | None = None


class Dialogue:
    """What each line of a conversation at one tap was taken for: `awaited(side, offset of the line)`."""

    def __init__(self, flow: TapFlow, blob: bytes):
        self._flow = flow
        self._at: tuple[list[int], list[int]] = ([], [])
        self._said: tuple[list[str], list[str]] = ([], [])
        self._open = [False, False]  # in the middle of a line
        self._head = [False, False]  # HTTP: in a head
        self._parser = None
        if flow.protocol != "http":
            name = "tunnel" if flow.tunnel else "smtp" if flow.protocol == "lmtp" else flow.protocol
            if name in PARSERS and name not in ("tls", "dcerpc", "ldap", "smb"):
                self._parser = PARSERS[name](start_seen=flow.start_seen, server_port=flow.server_port)
        pieces = flow.pieces
        for index in range(0, len(pieces), 4):
            side, at, length, place = pieces[index:index + 4]
            if place < 0:
                self._open[side] = self._head[side] = False
                self._gap(side, length, at)
            else:
                self._lines(side, blob[place:place + length], at)
        self.capabilities = frozenset(flow.capabilities)

    def awaited(self, side: int, at: int) -> str:
        index = bisect_right(self._at[side], at) - 1
        return self._said[side][index] if index >= 0 else "content"

    def _note(self, side: int, at: int, what: str) -> None:
        self._at[side].append(at)
        self._said[side].append(what)

    def _gap(self, side: int, length: int, at: int) -> None:
        self._note(side, at, "content")
        self._feed(lambda: self._parser.gap(side, length, at))

    def _lines(self, side: int, data: bytes, at: int) -> None:
        pos = 0
        while pos < len(data):
            end = data.find(b"\n", pos) + 1 or len(data)
            line = data[pos:end]
            if not self._open[side]:
                self._note(side, at + pos, self._class(side, line))
            self._open[side] = not line.endswith(b"\n")
            self._feed(lambda: self._parser.feed(side, line, at + pos))
            pos = end

    def _class(self, side: int, line: bytes) -> str:
        if self._flow.protocol == "http":
            if not self._head[side]:
                self._head[side] = _START_LINE.match(line) is not None
                return "line" if self._head[side] else "content"
            self._head[side] = bool(line.strip())
            return "field"
        return self._parser.awaits(side) if self._parser is not None and hasattr(self._parser, "awaits") else "content"

    def _feed(self, step) -> None:
        """A parser that raises is a fault that was told when the capture was read; what it would have said is not known."""
        if self._parser is None:
            return
        try:
            step()
            given = self._parser.handover
        except Exception:
            self._parser = None
            return
        if given is None:
            return
        self._parser = None
        if given.to == "detect" and self._flow.protocol in PARSERS:
            self._parser = PARSERS[self._flow.protocol](start_seen=True, server_port=self._flow.server_port)
            for side in (CLIENT, SERVER):
                if given.rest[side]:
                    self._lines(side, bytes(given.rest[side]), given.at[side])


def visible_line(line: bytes) -> str:
    text = line.rstrip(b"\r\n").decode("latin-1")
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN - 1] + "…"


def read(protocol: str, side: int, line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    """What a line is, as far as the protocol says.

    Args:
        awaited: what the dialogue says of its place; first: it is the first of its side; capabilities: what the server offered, at both taps.
    """
    protocol = "smtp" if protocol == "lmtp" else protocol
    if awaited == "token":
        return Words("login")
    if awaited == "content" or protocol not in _VERBS:
        return Words("content" if protocol in _VERBS else "tls" if protocol == "tls" else "bytes")
    if protocol == "http":
        return _http(side, line, awaited)
    return _command(protocol, line) if side == CLIENT else _SERVER_LINES[protocol](line, awaited, first, capabilities)


def _command(protocol: str, line: bytes) -> Words:
    parts = line.split(None, 3)
    index = 1 if protocol == "imap" and len(parts) > 1 else 0
    if line[:6] == b"PROXY " or line[:12] == b"\r\n\r\n\0\r\nQUIT\n":
        return Words("command", "PROXY", True, "PROXY")
    raw = parts[index] if len(parts) > index else b""
    word = raw[:64].decode("latin-1").upper()
    if word not in _VERBS[protocol]:
        near = _RUN.match(word) or any(edit_distance(word, verb) <= (2 if len(verb) >= 8 else 1) for verb in _VERBS[protocol] if abs(len(verb) - len(word)) <= 2)
        return Words("command", word if near else None, False, raw[:64].decode("latin-1") if near else None)
    shown = word
    if word in ("AUTH", "AUTHENTICATE", "X-EXPS") and len(parts) > index + 1:
        mechanism = parts[index + 1][:40].strip(b'"').decode("latin-1").upper()
        shown = f"{word} {mechanism}" if mechanism in _MECHANISMS else word
    return Words("command", word, True, shown)


def _smtp_reply(line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    found = _CODE.match(line)
    if found is None:
        return Words("reply", None, False)
    code = found[1].decode()
    if first:
        return Words("greeting", code, True, visible_line(line))
    text = line[4:].strip().decode("latin-1")
    word = re.split(r"[ =]", text, maxsplit=1)[0].upper()
    if code == "250" and (text in capabilities or word in KNOWN_KEYWORDS and word == text.upper()):
        return Words("capability", word, word in KNOWN_KEYWORDS, visible_line(line))
    return _reply(found)


def _reply(found: re.Match) -> Words:
    code = found[1].decode()
    return Words("reply", code, True, f"{code} {found[2].decode()}" if found[2] else code)


def _nntp_reply(line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    if awaited == "list":
        return _listed("nntp", line)
    found = _CODE.match(line)
    if found is None:
        return Words("reply", None, False)
    return Words("greeting", found[1].decode(), True, visible_line(line)) if first else _reply(found)


def _listed(protocol: str, line: bytes) -> Words:
    text = visible_line(line)
    word = text.split(" ", 1)[0].strip('"').upper()
    return Words("capability", word, word in _CAPABILITIES[protocol], text)


def _pop3_reply(line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    if awaited == "list":
        return _listed("pop3", line)
    word = line[:4].rstrip().decode("latin-1").upper()
    if word not in ("+OK", "-ERR"):
        return Words("reply", None, False)
    if first:
        return Words("greeting", word, True, visible_line(line))
    code = _RESPONSE_CODE.match(line, len(word))
    return Words("reply", word, True, f"{word} [{code[1].decode()}]" if code else word)


def _imap_reply(line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    parts = line.split(None, 2)
    word = parts[1].decode("latin-1").upper()[:40] if len(parts) > 1 else ""
    if first and word in ("OK", "PREAUTH", "BYE"):
        return Words("greeting", word, True, visible_line(line))
    if parts and parts[0] == b"*" and word == "CAPABILITY":
        return Words("capability", "CAPABILITY", True, visible_line(line))
    if parts and parts[0] == b"+":
        return Words("reply", "+", True, "+")
    if word in ("OK", "NO", "BAD", "BYE", "PREAUTH"):
        code = _RESPONSE_CODE.match(parts[2] if len(parts) > 2 else b"")
        return Words("reply", word, True, f"{word} [{code[1].decode()}]" if code else word)
    if parts and parts[0] == b"*" and word in ("FLAGS", "LIST", "LSUB", "STATUS", "SEARCH", "ENABLED", "ID", "NAMESPACE"):
        return Words("reply", word, True, "* " + word)
    if len(parts) > 2 and parts[0] == b"*" and parts[1].isdigit() and parts[2].split(None, 1)[0].upper() in (b"EXISTS", b"RECENT", b"EXPUNGE", b"FETCH"):
        word = parts[2].split(None, 1)[0].upper().decode()
        return Words("reply", word, True, f"* {word}")
    return Words("reply", None, False)


def _sieve_reply(line: bytes, awaited: str, first: bool, capabilities: frozenset[str]) -> Words:
    text = visible_line(line)
    if line[:1] == b'"':
        word = text[1:].partition('"')[0].upper()
        return Words("capability", word, word in SIEVE_CAPABILITIES, text) if text in capabilities or word in SIEVE_CAPABILITIES or looks_masked(word) else Words("reply", None, False)
    word = line[:4].split(None, 1)[0].decode("latin-1").upper() if line.strip() else ""
    return Words("reply", word, True, word) if word in ("OK", "NO", "BYE") else Words("reply", None, False)


_SERVER_LINES = {"smtp": _smtp_reply, "nntp": _nntp_reply, "pop3": _pop3_reply, "imap": _imap_reply, "managesieve": _sieve_reply}


def _http(side: int, line: bytes, awaited: str) -> Words:
    if awaited == "field":
        found = _FIELD.match(line)
        name = found[1].decode().lower() if found else None
        if name is None or name not in _FIELDS:
            return Words("header", None, False)
        scheme = found[2].decode() if found[2] and found[2].decode().upper() in _SCHEMES and name.endswith("authenticate") else None
        return Words("header", name, True, f"{found[1].decode()}: {scheme}" if scheme else found[1].decode())
    if side == CLIENT:
        word = line.split(b" ", 1)[0].decode("latin-1")
        return Words("command", word, word in _VERBS["http"], word if word in _VERBS["http"] else None)
    return Words("reply", line[9:12].decode("latin-1"), True, line[9:12].decode("latin-1"))


# --- what a difference does

def of_list(words: Words | None, lines: tuple[bytes | None, bytes | None], tap: int, begin: int, length: int) -> Words | None:
    """Of a list in one line only the words that differ, those in lines[tap][begin:begin + length]; None when these bytes are no word of it.

    Where the other tap's line is no such list, it is the whole line that differs.
    """
    line = lines[tap]
    if words is None or line is None or words.what not in ("capability", "greeting") or any(one is None or b"CAPABILITY " not in one.upper() for one in lines):
        return words
    end = begin + length
    if end < line.upper().index(b"CAPABILITY "):
        return words
    if not length and (not line[begin:begin + 1].isalnum() or not line[begin - 1:begin].isalnum()):
        return None
    while line[begin:begin + 1] == b" ":
        begin += 1
    while begin > 0 and line[begin - 1:begin] not in (b" ", b"["):
        begin -= 1
    while end < len(line) and line[end:end + 1] not in (b" ", b"]", b"\r", b"\n"):
        end += 1
    atoms = visible_line(line[begin:end]).split()
    word = next((atom.upper() for atom in atoms if atom.upper() in OFFERS), atoms[0].upper() if atoms else None)
    return Words("capability", word, word is None or word in IMAP_CAPABILITIES or "=" in word, " ".join(atoms) or None)


def meaning(sent: Words | None, arrived: Words | None) -> str:
    """What a difference does, told from what was sent and what arrived; None where there is nothing."""
    words = sent or arrived
    assert words is not None
    what = "reply" if words.word == "CAPABILITY" else words.what  # a whole list in one line
    if sent is None or arrived is None:
        if what == "command" and words.word in ("PROXY", "XCLIENT", "XFORWARD") or what == "header" and words.word in _PROXY_FIELDS:
            return "proxy-mark-added" if sent is None else "proxy-mark-removed"
        if what == "capability":
            noun = "offer" if words.word in OFFERS else "capability"
            return f"{noun}-added" if sent is None else f"{noun}-removed"
        if what == "header" and words.word == "strict-transport-security" and arrived is None:
            return "offer-removed"
        return (f"{what}-injected" if what == "reply" else f"{what}-added") if sent is None else f"{what}-removed"
    if what == "greeting" and sent.word != arrived.word:  # PREAUTH in place of OK
        return "reply-changed"
    if what == "capability" or arrived.what == "capability":
        if sent.word == arrived.word:
            return "capability-changed"
        if sent.word in OFFERS:
            return "offer-masked" if not arrived.known else "offer-removed"
        return "capability-masked" if not arrived.known else "capability-changed"
    if what == "command":
        return "command-garbled" if sent.known and not arrived.known else "command-changed"
    return f"{what}-changed"
