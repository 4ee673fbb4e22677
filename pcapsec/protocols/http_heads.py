"""HTTP/1 heads as bytes: start lines, header fields, what they say of the body, lists of schemes and cookies (RFC 9110, RFC 9112).

Everything is read leniently, as servers and browsers do: bare LF ends a line, a field may be folded (RFC 9112 §5.2), blanks before the colon are dropped. Repeated fields are
joined by LF, which no value can hold.
"""
from __future__ import annotations

import re

MAX_HEAD_BYTES = 98304  # of one head: a Kerberos token of 48 KiB is 64 KiB in base64; servers refuse more than 16 KiB to 64 KiB
MAX_FIELDS = 512  # of one head that are looked at; Apache refuses more than 100
MAX_LENGTH_DIGITS = 18  # of Content-Length and chunk sizes: fits 63 bits
MAX_COOKIES = 100
MAX_SCHEMES = 16

# request-line = method SP request-target SP HTTP-version (RFC 9112 §3); the target's first path segment by itself. Possessive: a line is read once, whatever stands in it.
REQUEST_LINE = re.compile(rb"([A-Za-z][A-Za-z_-]{1,23}+) (?:(/[^/?;\r\n ]*+)([^\r\n]*)|([^/\r\n ][^\r\n]*)) HTTP/1\.\d[ \t]*+\r?\n").match
# status-line = HTTP-version SP status-code SP [reason-phrase] (RFC 9112 §4)
STATUS_LINE = re.compile(rb"HTTP/1\.\d ([1-9]\d\d)(?=[ \t\r\n])").match
STATUS_START = b"HTTP/1."
HEAD_END = re.compile(rb"\n\r?\n").search
# The blank line, or a field that makes a head worth a closer look, whichever comes first. Of an answer: group 1 a plain Content-Length, group 2 anything odd, neither: chunked
REQUEST_MARK = re.compile(
    rb"\n(?:\r?\n|(?i:authorization|proxy-authorization|content-length|transfer-encoding|upgrade|x-requesttype)[ \t]*+:)").search
ANSWER_MARK = re.compile(
    rb"\n(?:\r?\n|(?i:content-length:[ \t]*+(\d{1,18}+)[ \t]*+\r?(?=\n)|transfer-encoding:[ \t]*+chunked[ \t]*+\r?(?=\n)|(?:content-length|transfer-encoding)[ \t]*+(:)))").search
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4

LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
METHODS = frozenset(  # after damage and in mid-conversation only these begin a request; RFC 9110 §9, WebDAV and its kin, Exchange 2000 to 2007, [MS-RPCH] §2.1
    b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH MKCALENDAR ACL SUBSCRIBE UNSUBSCRIBE NOTIFY POLL BPROPFIND "
    b"BPROPPATCH BDELETE BCOPY BMOVE X-MS-ENUMATTS RPC_IN_DATA RPC_OUT_DATA RPC_CONNECT MERGE CHECKOUT CHECKIN PURGE".split())

_FOLDED = re.compile(rb"\r?\n[ \t]+")


# `field-name ":" OWS field-value OWS` (RFC 9112 §5), those fields that somebody asks for
REQUEST_FIELDS = re.compile(
    rb"\n(?i:(authorization|proxy-authorization|content-length|content-type|transfer-encoding|upgrade|x-requesttype|host|user-agent|cookie))[ \t]*+:[ \t]*+([^\r\n]*)").findall
ANSWER_FIELDS = re.compile(
    rb"\n(?i:(www-authenticate|proxy-authenticate|content-length|content-type|transfer-encoding|upgrade|location|set-cookie|x-owa-version|ms-webstorage|x-feserver|x-diaginfo"
    rb"|x-calculatedbetarget|x-beserver))[ \t]*+:[ \t]*+([^\r\n]*)").findall


def fields(head: bytes, find) -> dict[bytes, bytes]:
    """Fields of a head by their names in lower case; `find` is one of the two patterns above."""
    if b"\n " in head or b"\n\t" in head:
        head = _FOLDED.sub(b" ", head)
    out: dict[bytes, bytes] = {}
    for name, value in find(head)[:MAX_FIELDS]:
        name = name.lower()
        out[name] = value.rstrip() if name not in out else out[name] + b"\n" + value.rstrip()
    return out


def content_length(named: dict[bytes, bytes]) -> int | None:
    """`Content-Length = 1*DIGIT` (RFC 9110 §8.6); None when there is none, -1 when it is damaged or two differ."""
    value = named.get(b"content-length")
    if value is None:
        return None
    values = {one.strip() for one in value.replace(b"\n", b",").split(b",")}
    one = values.pop()
    return int(one) if not values and one.isdigit() and len(one) <= MAX_LENGTH_DIGITS else -1


def is_chunked(named: dict[bytes, bytes]) -> bool:
    """Whether the last transfer coding is chunked (RFC 9112 §6.1)."""
    value = named.get(b"transfer-encoding")
    return value is not None and value.lower().rstrip(b" ,;\t\n").endswith(b"chunked")


CHUNK_SIZE = re.compile(rb"[ \t]*+(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15}+)[ \t]*+(?:;[^\n]*+)?\r?\n").match  # chunk-size [ chunk-ext ] CRLF (RFC 9112 §7.1)


def text(value: bytes | None, limit: int = 200) -> str | None:
    """UTF-8 where it is UTF-8, Latin-1 otherwise; None for nothing."""
    if not value:
        return None
    try:
        return value.decode()[:limit]
    except UnicodeDecodeError:
        return value.decode("latin-1")[:limit]


# --- authentication (RFC 9110 §11)

_QUOTED = re.compile(rb'"(?:[^"\\\n]|\\.)*+\\?(?:"|\Z|(?=\n))')  # an open one ends with its line: else each quote would be tried anew
_SCHEME = re.compile(rb"(?:^|[,\n])[ \t]*+([A-Za-z][A-Za-z0-9-]{1,39}+)(?=[ \t]*+(?:[,\n]|\Z)|[ \t]++[^=\s,])")
_PAIR = re.compile(rb'[ \t,]*+([A-Za-z][A-Za-z0-9*_-]{0,31}+)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^",\s]*+)[ \t]*+(?=,|\Z)', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TOKEN68 = rb"[ \t]++([A-Za-z0-9+/._~-]++=*+)[ \t]*+(?:[,\n]|\Z)"
_CHALLENGES: dict[str, re.Pattern[bytes]] = {}


def schemes(value: bytes | None) -> tuple[str, ...]:
    """Scheme names of WWW-Authenticate or Proxy-Authenticate in order, upper case: `1#( auth-scheme [ 1*SP ( token68 / #auth-param ) ] )`."""
    if not value:
        return ()
    found = dict.fromkeys(name.decode("ascii").upper() for name in _SCHEME.findall(_QUOTED.sub(b"", value[:MAX_HEAD_BYTES])))
    return tuple(found)[:MAX_SCHEMES]


def challenge_token(value: bytes | None, scheme: str) -> bytes | None:
    """The token68 behind a scheme in a challenge, in base64; None when the scheme stands there bare or not at all."""
    if not value:
        return None
    pattern = _CHALLENGES.get(scheme)
    if pattern is None:
        if len(_CHALLENGES) > 16:
            _CHALLENGES.clear()
        pattern = _CHALLENGES[scheme] = re.compile(rb"(?:^|[,\n])[ \t]*+" + re.escape(scheme.encode("latin-1", "replace")) + _TOKEN68, re.IGNORECASE)
    match = pattern.search(value)
    return match[1] if match is not None else None


def parameters(value: bytes) -> dict[str, bytes]:
    """`name = ( token / quoted-string )` separated by commas, up to the first thing that is none; of a repeated name the first counts."""
    pairs: dict[str, bytes] = {}
    pos = 0
    value = value[:8192]
    while (match := _PAIR.match(value, pos)) is not None:
        pos = match.end()
        name, content = match.groups()
        if content[:1] == b'"':
            content = _ESCAPED.sub(rb"\1", content[1:-1])
        pairs.setdefault(name.decode("ascii").lower(), content)
    return pairs


# --- cookies (RFC 6265 §4)

def cookie_names(value: bytes | None) -> tuple[str, ...]:
    """Names in `Cookie: name=value; …` that have a value."""
    if not value:
        return ()
    names = {}
    for pair in value.replace(b"\n", b";").split(b";", MAX_COOKIES)[:MAX_COOKIES]:
        name, _, content = pair.partition(b"=")
        if content.strip(b' "'):
            names[name.strip()[:100].decode("latin-1")] = None
    return tuple(names)


def set_cookie_names(value: bytes | None) -> tuple[str, ...]:
    """Names in one or more `Set-Cookie: name=value; attributes`; those that are set to nothing are taken away, not set."""
    if not value:
        return ()
    return cookie_names(b"\n".join(line.partition(b";")[0] for line in value.split(b"\n", MAX_COOKIES)[:MAX_COOKIES]))


# --- names of hosts, percent-encoding

_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")


def unquote(value: bytes, plus: bool = False) -> bytes:
    """Percent-decoding (RFC 3986 §2.1); `plus` is a blank in forms."""
    if plus:
        value = value.replace(b"+", b" ")
    return _PERCENT.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), value) if b"%" in value else value


def host_of(value: bytes | None) -> str | None:
    """`uri-host [ ":" port ]` without the port, in lower case and without brackets (RFC 9110 §7.2)."""
    if not value:
        return None
    name = value.partition(b"\n")[0].strip().rpartition(b"@")[2]
    if name[:1] == b"[":
        name = name[1:].partition(b"]")[0]
    elif name.count(b":") == 1:
        name = name.partition(b":")[0]
    return text(name.rstrip(b".").lower(), 255)
