"""Words of SMTP, and what single lines and replies say (RFC 5321, RFC 2033 and the extensions named below)."""
from __future__ import annotations

import re
from typing import NamedTuple

from .masking import is_run_of_x, looks_masked

MAX_CACHED_LISTS = 2048  # EHLO replies repeat: a network has few servers and many conversations
MAX_CACHED_LIST_BYTES = 2048
MASKED_LENGTH = 8  # of STARTTLS: what is put in its place without moving other bytes is as long
MIN_PADDING = 4  # blanks in the place of a keyword; one may be a slip
MAX_ADDRESS_BYTES = 512  # RFC 5321 §4.5.3.1.3 says 256

# IANA "SMTP Service Extensions" as of 2024, and vendors' keywords seen in public logs; only these are never taken for a masked word
KNOWN_KEYWORDS = frozenset(
    "8BITMIME ATRN AUTH BINARYMIME BURL CHECKPOINT CHUNKING CONNEG CONPERM CONPOST DELIVERBY DSN ENHANCEDSTATUSCODES ETRN EXPN FUTURERELEASE HELP LIMITS "
    "MT-PRIORITY MTRK NO-SOLICITING ONEX PIPELINING REQUIRETLS RRVS SAML SEND SIZE SMTPUTF8 SOML STARTTLS SUBMITTER TURN UTF8SMTP VERB VRFY 8BITSMTP "
    "DATAFAST EHLO HELO MAIL NOOP PRDR QUIT RCPT RSET TLS TIME X-ADAT X-ANONYMOUSTLS X-EXPS X-LINK2STATE X-RCPTLIMIT XADR XAUTH XCIRCUIT XCLIENT XEXCH50 "
    "XEXPS XFORWARD XGEN XLOOP XOAUTH XONE XOORG XPIPELINING XPROXY XPROXYFROM XPROXYTO XRDST XREMOTEQUEUE XSHADOW XSHADOWREQUEST XSTA XTRN XUSR XVRB XVERP XWARN "
    "XMESSAGECONTEXT XORIGFROM XSESSIONPARAMS XSYSPROBE XMAILFLOW XDFLG XATTR XATTRDIRECT XNOTIFY".split())

STRICT_COMMAND = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO) [\x21-\x7e]+|MAIL FROM:? ?<[^<>]*>?[^<>]*(?: AUTH=<>)?|RCPT TO:? ?<[^<>]+>[^<>]*|MAIL FROM: ?[^\s<>@]+@[^\s<>]+|RCPT TO: ?[^\s<>@]+@[^\s<>]+"
    rb"|BDAT \d+(?: LAST)?|(?:AUTH|X-EXPS) [A-Z][A-Z0-9_-]{2,19}(?: [A-Za-z0-9+/]*=*)?|DATA|RSET|NOOP|QUIT|STARTTLS|X-ANONYMOUSTLS|ETRN [^\s]+|VRFY [^\s]+|EXPN [^\s]+)[ \t]*\Z", re.IGNORECASE)
"""A line that is a command beyond doubt, for places where it might as well be message text or a token."""

_PATH = re.compile(rb'<((?:"(?:[^"\\]|\\.)*+"|[^">])*+)>?')
_TLS_REQUIRED = re.compile(rb"starttls|\btls\b[^.]{0,20}\b(?:required|needed|first)|(?:require|need|must)[^.]{0,30}\b(?:tls|ssl|encrypt)|encryption (?:required|needed)|secure connection", re.IGNORECASE)
_ENHANCED = re.compile(rb"[2-5]\d\d[ -][245]\.\d{1,3}\.\d{1,3}\b")
_MAIL_WORDS = re.compile(rb"\bE?SMTP\b|\bLMTP\b|\bpostfix\b|\bsendmail\b|\bexim\b|\bMAIL Service\b|mail transfer agent", re.IGNORECASE)

AUTH_RESULTS = {  # RULES.md PS101, RFC 4954 §4, §6
    b"235": ("success", None), b"535": ("failed", "wrong-credentials"), b"454": ("unknown", "temporary"), b"432": ("failed", "refused"),
    b"504": ("failed", "refused"), b"530": ("failed", "refused"), b"534": ("failed", "refused"), b"538": ("failed", "refused"), b"501": ("failed", "malformed"),
    b"500": ("failed", "refused"), b"502": ("failed", "refused"), b"503": ("failed", "refused"), b"421": ("unknown", "temporary"),
}


class EhloList(NamedTuple):
    """The keyword list of one EHLO reply; places are offsets into the reply, -1 when absent."""

    capabilities: tuple[str, ...]
    starttls_place: int
    auth_mechanisms: tuple[str, ...]
    auth_place: int
    masked: tuple[str, ...]
    requiretls_place: int
    n_known: int
    notes: tuple[tuple[str, int, str], ...]  # signs that a line was edited: code, place, detail


_known_lists: dict[bytes, EhloList] = {}


def read_ehlo(block: bytes) -> EhloList:
    """The list in a reply `250-domain CRLF 250-KEYWORD parameters CRLF … 250 KEYWORD CRLF` (RFC 5321 §4.1.1.1); the first line is no keyword."""
    known = _known_lists.get(block)
    if known is None:
        known = _read_ehlo(block)
        if len(block) <= MAX_CACHED_LIST_BYTES and block.startswith(b"250 ", block.rfind(b"\n", 0, -2) + 1):  # complete ones only, see is_known_list
            if len(_known_lists) >= MAX_CACHED_LISTS:
                _known_lists.clear()
            _known_lists[block] = known
    return known


def is_known_list(block: bytes) -> bool:
    """Whether bytes are a keyword list that was read before, and so one complete reply and nothing else."""
    return block in _known_lists


def _read_ehlo(block: bytes) -> EhloList:
    capabilities: list[str] = []
    mechanisms: dict[str, None] = {}
    masked: list[str] = []
    notes: list[tuple[str, int, str]] = []
    starttls_place = auth_place = requiretls_place = -1
    n_known = 0
    place = block.find(b"\n") + 1 or len(block)
    for line in block[place:].split(b"\n"):
        text = line[4:].strip()
        if text:
            capability = text.decode("latin-1")
            capabilities.append(capability)
            words = capability.upper().replace("=", " ", 1).split() if capability[:5].upper() == "AUTH=" or capability[:7].upper() == "X-EXPS=" else capability.upper().split()
            keyword = words[0]
            if keyword in KNOWN_KEYWORDS:
                n_known += 1
                if keyword == "STARTTLS":
                    starttls_place = place
                elif keyword in ("AUTH", "X-EXPS"):
                    auth_place = auth_place if auth_place >= 0 else place
                    mechanisms.update(dict.fromkeys(words[1:]))
                elif keyword == "REQUIRETLS":
                    requiretls_place = place
                elif len(text) == MASKED_LENGTH and capability in capabilities[:-1]:
                    notes.append(("repeated-word", place, ""))
            elif looks_masked(keyword) or is_run_of_x(keyword):
                masked.append(capability.split()[0])
        elif len(line) > 3 and (line[3:4] == b"-" or len(line) > 4 + MIN_PADDING):
            n_blanks = len(line) - 4 - line.endswith(b"\r")
            notes.append(("padded-line", place, f"{n_blanks} blanks") if n_blanks >= MIN_PADDING else ("empty-line", place, ""))
        place += len(line) + 1
    return EhloList(tuple(capabilities), starttls_place, tuple(mechanisms), auth_place, tuple(masked), requiretls_place, n_known, tuple(notes))


def read_path(line: bytes, start: int = 0) -> tuple[str, bytes]:
    """Address and parameters behind `FROM:` or `TO:`, with or without angle brackets and blanks (RFC 5321 §4.1.2 and what clients send)."""
    if line[start:start + 1] == b"<":
        end = line.find(b">", start)
        if end >= 0 and line.find(b'"', start, end) < 0:
            return _address(line[start + 1:end]), line[end + 1:]
    text = line[start:].lstrip(b" \t")
    if text[:1] == b"<":
        match = _PATH.match(text)
        return (_address(match[1]), text[match.end():]) if match else (_address(text[1:]), b"")
    address, _, parameters = text.partition(b" ")
    return _address(address.rstrip(b">")), parameters


def _address(text: bytes) -> str:
    text = text[:MAX_ADDRESS_BYTES]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def asks_for_tls(code: bytes, reply: bytes) -> bool:
    """Whether a refusal means that TLS must come first: 538 and 523 by number (RFC 4954 §6, RFC 5248), others by their words.

    530 alone does not: it also means that a login is missing.
    """
    return code in (b"538", b"523") or _TLS_REQUIRED.search(reply, 0, 1024) is not None


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of a flow are SMTP or LMTP; None when more are needed. FTP, which greets with 220 too, is told apart by its words."""
    client_says = _probe_client(client)
    if client_says or client[:1] and not 32 <= client[0] < 127:
        return client_says
    server_says = _probe_server(server, client)
    return client_says if server_says is None else server_says


_CLIENT_YES = re.compile(rb"(?:EHLO|HELO|LHLO)(?: |\r?\n)|MAIL FROM ?:|RCPT TO ?:|STARTTLS\r?\n|X-ANONYMOUSTLS\r?\n|BDAT \d+[ \r\n]|X-EXPS |XCLIENT |AUTH (?!TLS|SSL|GSSAPI|KERB)[A-Z0-9-]+[ \r\n]|PROXY (?:TCP|UNKN)[^\n]*\n(?:EHLO|HELO|LHLO) ", re.IGNORECASE)
_CLIENT_BOTH = frozenset(b"QUIT NOOP HELP RSET VRFY EXPN ETRN DATA AUTH PROXY EHLO HELO LHLO MAIL RCPT STARTTLS X-ANONYMOUSTLS BDAT X-EXPS XCLIENT XFORWARD".split())


def _probe_client(client: bytes) -> bool | None:
    if not client:
        return None
    if not 32 <= client[0] < 127:
        return False
    if _CLIENT_YES.match(client):
        return True
    line, newline, _ = client[:256].partition(b"\n")
    words = line.split(None, 1)
    word = words[0].upper() if words else b""
    if newline or len(client) >= 256:
        return None if word in _CLIENT_BOTH or not word.isalpha() or set(word) == {word[0]} else False
    return None if any(verb.startswith(word) for verb in _CLIENT_BOTH) or not word.isalpha() else False


def _probe_server(server: bytes, client: bytes) -> bool | None:
    if not server:
        return None
    if not server[:3].isdigit():
        return False
    if len(server) < 4:
        return None
    code = server[:3]
    if server[3:4] not in b" -\r\n" or code[:1] not in b"245" and code not in (b"334", b"354"):
        return False
    text = server[:2048]
    if b"FTP" in text.upper() and not _MAIL_WORDS.search(text):
        return False
    if _MAIL_WORDS.search(text) or _ENHANCED.match(text) or code in (b"334", b"354"):
        return True
    if text[:4] == b"250-" and read_ehlo(text[:text.rfind(b"\n") + 1]).n_known >= 2 and not any(word in text for word in (b"UTF8\r", b"MDTM", b"MLST", b"REST STREAM")):
        return True
    if b"\n" in server and client[:5].upper() in (b"QUIT\r", b"QUIT\n", b"HELP\r", b"NOOP\r") and re.search(rb"\bmail\b|\bmx\d*\b|\bsmtp", text, re.IGNORECASE):
        return True
    return None
