"""The pieces of IMAP's grammar that need no state: strings, literals, capability lists, FETCH items, and telling IMAP from other protocols."""
from __future__ import annotations

import re

from .masking import looks_masked

MAX_CACHED_LISTS = 512  # servers send the same capability list to everyone
MAX_CAPABILITIES = 256  # atoms of one list; real servers send about 40
MAX_ATOM_CHARACTERS = 128  # of one capability
MAX_LITERAL_DIGITS = 19  # number64 of RFC 9051 §9

# Commands and what they tell: discovery leaves the conversation where it was, mailbox commands read or change mail, access is the rest.
DISCOVERY, MAILBOX, ACCESS = range(3)
COMMANDS: dict[bytes, tuple[str, int]] = {name.encode(): (name, kind) for kind, names in (
    # RFC 9051 §6.1-6.2; ID (RFC 2971) and LANGUAGE (RFC 5255) are asked before STARTTLS by careful clients as well
    (DISCOVERY, "CAPABILITY NOOP LOGOUT STARTTLS ID LANGUAGE"),
    (ACCESS, "LOGIN AUTHENTICATE UNAUTHENTICATE ENABLE COMPRESS"),
    # RFC 9051 §6.3-6.4 and extensions: RFC 2086, 2087, 2177, 2342, 3516, 3691, 4467, 5256, 5258, 5464, 5465, 6154, 6851, 8508, 9586
    (MAILBOX, "SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB XLIST RLIST RLSUB NAMESPACE STATUS APPEND IDLE CHECK CLOSE UNSELECT"
              " EXPUNGE SEARCH ESEARCH FETCH STORE COPY MOVE UID SORT THREAD REPLACE GETQUOTA SETQUOTA GETQUOTAROOT SETACL DELETEACL GETACL LISTRIGHTS"
              " MYRIGHTS GETMETADATA SETMETADATA GETANNOTATION SETANNOTATION NOTIFY GENURLAUTH RESETKEY URLFETCH UIDBATCHES CONVERT CONVERSIONS PARTIAL"
              " BBOARD FIND XMOVE"),
) for name in names.split()}

# IANA "IMAP Capabilities" registry, 2025, without the forms that end in "=", and words of servers in wide use.
KNOWN_CAPABILITIES = frozenset((
    "ACL ANNOTATE-EXPERIMENT-1 APPENDLIMIT BINARY CATENATE CHILDREN CONDSTORE CONVERT CREATE-SPECIAL-USE ENABLE ESEARCH ESORT FILTERS ID IDLE"
    " IMAP4 IMAP4REV1 IMAP4REV2 INPROGRESS JMAPACCESS LANGUAGE LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS LIST-STATUS LITERAL+ LITERAL- LOGIN-REFERRALS"
    " LOGINDISABLED MAILBOX-REFERRALS MESSAGELIMIT METADATA METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH NAMESPACE NOTIFY OBJECTID OBJECTID+ PARTIAL"
    " PREVIEW QRESYNC QUOTA QUOTASET REPLACE SAVEDATE SAVELIMIT SEARCHRES SASL-IR SORT SPECIAL-USE STARTTLS STATUS=SIZE UIDBATCHES UIDONLY UIDPLUS"
    " UNAUTHENTICATE UNSELECT URL-PARTIAL URLAUTH UTF8 UTF8=ACCEPT UTF8=ONLY WITHIN SNIPPET=FUZZY"
    " LISTEXT LIST-SUBSCRIBED LIST-EXTENDED SCAN XLIST XMOVE XAPPLEPUSHSERVICE XAPPLELITERAL X-GM-EXT-1 XYMHIGHESTMODSEQ XKEYWORDS X-NETSCAPE XSERVERINFO"
    " XSENDER XORDER XFIRST XLISTEXT XWARRANTY XANNOTATEMORE XUM1 CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE"
).split())

OFFER = "STARTTLS"
_BLANKS = re.compile(rb" {2,}(?=[^ ])")


class CapabilityList:
    """One list of capabilities, read."""

    __slots__ = ("atoms", "offers_starttls", "mechanisms", "login_disabled", "masked", "notes")

    def __init__(self, text: bytes):
        self.atoms = tuple(atom[:MAX_ATOM_CHARACTERS] for atom in text.decode("latin-1").split()[:MAX_CAPABILITIES])
        upper = [atom.upper() for atom in self.atoms]
        self.offers_starttls = OFFER in upper
        self.login_disabled = "LOGINDISABLED" in upper
        self.mechanisms = tuple(atom[5:] for atom in upper if atom[:5] == "AUTH=")
        self.masked = tuple(atom for atom, word in zip(self.atoms, upper) if 6 <= len(atom) <= 10 and "=" not in atom and word not in KNOWN_CAPABILITIES and looks_masked(word))
        blanks = max(map(len, _BLANKS.findall(text)), default=0)
        repeated = any(len(word) == len(OFFER) and upper.count(word) > 1 for word in upper)
        self.notes = (("padded-line" if blanks > len(OFFER) else "empty-line", f"{blanks} blanks"),) * bool(blanks) + (("repeated-word", ""),) * repeated


_lists: dict[bytes, CapabilityList] = {}


def capability_list(text: bytes) -> CapabilityList:
    """Atoms separated by blanks (RFC 9051 §7.2.2), from a cache where they were read before."""
    found = _lists.get(text)
    if found is None:
        if len(_lists) >= MAX_CACHED_LISTS:
            _lists.clear()
        found = _lists[text] = CapabilityList(text)
    return found


def literal_at_end(line: bytes) -> tuple[int, int, bool] | None:
    """`literal = "{" number64 ["+"] "}" CRLF`, `literal8 = "~{" …` (RFC 9051 §9, RFC 7888 §8), as (where it begins, octets, waits for "+")."""
    if line[-1:] != b"}":
        return None
    start = line.rfind(b"{")
    digits = line[start + 1:-1]
    waits = digits[-1:] != b"+"
    if not waits:
        digits = digits[:-1]
    if start < 0 or not digits.isdigit() or len(digits) > MAX_LITERAL_DIGITS:
        return None
    if line[start - 1:start] == b"~":
        start -= 1
    return start, int(digits), waits


def read_strings(text: bytes) -> tuple[list[tuple[bytes, str]], bool]:
    """Blank-separated `astring`s (RFC 9051 §9) as (value, "atom" or "quoted"), and whether the grammar held.

    Atoms may hold any character but a blank: servers differ in what they let pass, and a password is one even when it should have been quoted.
    """
    out: list[tuple[bytes, str]] = []
    well_formed = True
    pos, n = 0, len(text)
    while pos < n:
        if text[pos] == 32:
            pos += 1
        elif text[pos] != 34:
            end = text.find(b" ", pos)
            end = n if end < 0 else end
            out.append((text[pos:end], "atom"))
            pos = end
        else:
            end = text.find(b'"', pos + 1)
            value = text[pos + 1:end] if end >= 0 else None
            if value is None or b"\\" in value:
                value, end, clean = _unquote(text, pos + 1)
                well_formed = well_formed and clean
            out.append((value, "quoted"))
            pos = end + 1
            if pos < n and text[pos] != 32:
                well_formed = False
    return out, well_formed


_SPECIAL = re.compile(rb'["\\]')


def _unquote(text: bytes, pos: int) -> tuple[bytes, int, bool]:
    """A quoted string with `\\"` and `\\\\` from behind its opening quote on: value, place of the closing quote, whether both were in order."""
    pieces, clean = [], True
    while True:
        found = _SPECIAL.search(text, pos)
        if found is None:
            pieces.append(text[pos:])
            return b"".join(pieces), len(text), False
        pieces.append(text[pos:found.start()])
        if found[0] == b'"':
            return b"".join(pieces), found.start(), clean
        escaped = text[found.end():found.end() + 1]
        clean = clean and escaped in (b'"', b"\\")
        pieces.append(escaped)
        pos = found.end() + 1


WHOLE, HEADER, TEXT = "whole", "header", "text"
_ITEM = re.compile(rb"(?:(BODY|BINARY)\[(HEADER|TEXT)?\]|RFC822(\.HEADER|\.TEXT)?)(?:<(\d{1,19})>)? ?\Z", re.IGNORECASE)
_PARTS = {b"BODY[]": (WHOLE, None), b"RFC822": (WHOLE, None), b"BODY[HEADER]": (HEADER, None), b"RFC822.HEADER": (HEADER, None), b"BODY[TEXT]": (TEXT, None)}


def fetched_part(text: bytes) -> tuple[str, int | None] | None:
    """What the literal behind these words of a FETCH response holds, as (part of the message, origin octet of a partial fetch); None for small parts.

    `"BODY" section ["<" number64 ">"] SP nstring / "RFC822" [".HEADER" / ".TEXT"] SP nstring` (RFC 9051 §9, RFC 3501 §9).
    """
    tail = text[-48:]
    common = _PARTS.get(tail[tail.rfind(b" ", 0, -1) + 1:].strip(b"( "))
    if common is not None:
        return common
    found = _ITEM.search(tail)
    if found is None or tail[found.start() - 1:found.start()] not in (b"", b" ", b"("):
        return None
    part = (found[2] or (found[3] or b"")[1:]).upper()
    origin = found[4]
    return HEADER if part == b"HEADER" else TEXT if part == b"TEXT" else WHOLE, None if origin is None else int(origin)


# --- detection

_LOOK_AT = 2048  # bytes of each side that a decision may use
_FOREIGN_TAGS = frozenset(  # first words of other protocols' commands, which a tag may resemble: "AUTH LOGIN", "LIST STATUS", "USER id"
    b"AUTH EHLO HELO LHLO MAIL RCPT DATA BDAT RSET VRFY EXPN HELP NOOP QUIT ETRN USER PASS APOP CAPA STLS STAT LIST RETR DELE TOP UIDL"
    b" NICK JOIN PRIVMSG NOTICE PING PONG PROXY MODE GET HEAD POST PUT DELETE OPTIONS CONNECT PATCH TRACE CWD SITE TYPE PASV PORT EPSV NLST STOR SYST"
    b" FEAT OPTS PBSZ PROT GROUP ARTICLE BODY XOVER OVER AUTHINFO CAPABILITIES AUTHENTICATE STARTTLS SELECT SET CONFIG CLIENT ACL COMMAND INFO".split())
_TAG = rb'[^\x00-\x20\x7f-\xff(){%*"\\+]{1,64}'
_COMMAND = re.compile(
    rb"(" + _TAG + rb") (?:(?:CAPABILITY|STARTTLS|NOOP|LOGOUT|IDLE|NAMESPACE|UNSELECT|EXPUNGE) *\r?\Z"
    rb"|LOGIN (?:[^ ]+ +[^ ]|\"|.*\{\d+\+?\}\r?\Z)|AUTHENTICATE [\"A-Z]|ID (?:\(|NIL)|ENABLE [A-Z]|COMPRESS DEFLATE"
    rb"|(?:SELECT|EXAMINE|STATUS|APPEND|CREATE|SUBSCRIBE|GETQUOTAROOT|MYRIGHTS) [^ ]|(?:LIST|LSUB|XLIST) [^ ]+ "
    rb"|UID (?:FETCH|SEARCH|STORE|COPY|MOVE|EXPUNGE|SORT|THREAD) "
    rb"|(?:FETCH|STORE) [\d:*,]+ |SEARCH [A-Z\d(])", re.IGNORECASE)
_ANSWER = re.compile(rb"(" + _TAG + rb") (?:OK|NO|BAD)(?: |\r?\Z)")
_UNTAGGED = re.compile(
    rb"\* (?:\d+ (?:EXISTS|RECENT|EXPUNGE)\r?\Z|\d+ FETCH \(|(?:LIST|LSUB|XLIST) \(|FLAGS \(|CAPABILITY IMAP4"
    rb"|SEARCH(?: \d|\r?\Z)|STATUS .*\(|OK \[(?:UID|PERMANENT|UNSEEN|CAPABILITY|READ)"
    rb"|NAMESPACE (?:\(|NIL)|BYE )", re.IGNORECASE)
_GREETING = re.compile(rb"\* (?:OK|PREAUTH|BYE)(?:[ \r\n])", re.IGNORECASE)
_FOREIGN_SERVER = re.compile(rb"\d{3}[ -]|\+OK|-ERR|HTTP/|SSH-|RFB |:|\"|[\x00-\x08\x0e-\x1f\x80-\xff]")
_FOREIGN_CLIENT = re.compile(
    rb"(?:EHLO|HELO|LHLO|NICK|USER|PASS|CAPA|APOP|GET|HEAD|POST|PUT|OPTIONS|CONNECT|PROXY|SSH-|AUTH|MODE|CAPABILITIES|QUIT|PING|XCLIENT)[ \r\n-]"
    rb"|[*$]\d", re.IGNORECASE)


def is_command(line: bytes) -> bool:
    """Whether a line has the form of an IMAP command that is known, and of no other protocol's."""
    found = _COMMAND.match(line)
    return found is not None and found[1].upper() not in _FOREIGN_TAGS


def is_sure_command(line: bytes) -> bool:
    """The same where the line may be one of a message: "so log in now" has the form of a LOGIN, but words of a text are letters only."""
    return is_command(line) and not line.partition(b" ")[0].isalpha()


def is_response(line: bytes) -> bool:
    """Whether a line has the form of a response that is known."""
    return _UNTAGGED.match(line) is not None or _ANSWER.match(line) is not None or _GREETING.match(line + b"\n") is not None or line[:2] == b"+ "


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of both sides are IMAP: a greeting or one unmistakable command is enough, answers only together with more.

    Args:
        client: first bytes of the client, may be empty or begin within a line.
        server: first bytes of the server, likewise.

    Returns: True, False, or None when more bytes are needed.
    """
    if _GREETING.match(server):
        return True
    if _FOREIGN_SERVER.match(server):
        return False
    client, server = client[:_LOOK_AT], server[:_LOOK_AT]
    client_lines, server_lines = client.split(b"\n"), server.split(b"\n")
    points = 0
    for number, line in enumerate(client_lines[:-1]):
        if is_command(line):
            points += 1 if number else 2
    for line in server_lines[:-1]:
        if _UNTAGGED.match(line):
            points += 1
        else:
            answer = _ANSWER.match(line)
            if answer is not None and answer[1].upper() not in _FOREIGN_TAGS:
                points += 1
    if points >= 2:
        return True
    if client and client[0] not in b"\r\n" and not 32 < client[0] < 127:
        return False
    if len(client) >= _LOOK_AT or len(server) >= _LOOK_AT or len(client_lines) > 4 and len(server_lines) > 4:
        return False
    if not points and len(client_lines) > 1 and _FOREIGN_CLIENT.match(client):
        return False
    return None
