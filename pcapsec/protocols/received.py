"""Received fields: which way a message came, and whether each step says that it was under TLS.

    read_hops(text, lower, at, message)      # `at`: of the line end before the first Received field

Every server words the field its own way (RFC 5321 §4.4 leaves the comments free). Known are Postfix, Exim, Sendmail, Exchange from 5.5 to Online, IIS, Gmail,
qmail and qpsmtpd, Courier, Haraka, OpenSMTPD, Zimbra, MDaemon, Domino, IronPort, CommuniGate, MailEnable, SmarterMail, and
whatever resembles one of them. What stands before the id clause is the same for all mail between two hosts, so it is understood once and remembered; id,
recipient and date are what differs.

A step names TLS, or names a protocol without it, or says nothing. Steps within a host (Postfix to its filter, Exchange's `with mapi`, `by uid`) and steps that
name nobody who handed the message over (Gmail's own) are no steps over a network: they are never counted as clear.
"""
from __future__ import annotations

import re

from ..records import Hop, Message

MAX_HOPS = 200  # counted; RFC 5321 §6.3 expects loops to be cut at 100
MAX_KEPT_HOPS = 50  # read into records, the newest first: those that one's own servers wrote
MAX_HOP_BYTES = 2048  # of one field; the longest honest ones have some 600
MAX_HOST = 255  # RFC 1035 §2.3.4
MAX_WITH = 60
_MAX_KNOWN = 4096  # beginnings of fields, and days, that are remembered
_MAX_KNOWN_BYTES = 600

CLEAR = frozenset("SMTP ESMTP ESMTPA LMTP LMTPA UTF8SMTP UTF8SMTPA UTF8LMTP UTF8LMTPA HTTP ASMTP".split())  # RFC 3848 §1, RFC 6531 §4.3; ASMTP: Exim 3
OVER_TLS = frozenset("SMTPS ESMTPS ESMTPSA LMTPS LMTPSA UTF8SMTPS UTF8SMTPSA UTF8LMTPS UTF8LMTPSA HTTPS".split())
KEYWORDS = CLEAR | OVER_TLS
_MICROSOFT = frozenset(("microsoft smtp server", "microsoft smtpsvc"))  # Exchange never writes ESMTPS: without TLS in parentheses it was clear
_ENDS_WITH = frozenset("id for from by via tls with envelope-from".split())  # words that end the with clause

_FOLDS = bytes.maketrans(b"\t", b" ")
_PARENTHESIS = re.compile(r"[()]")
_ADDRESS = re.compile(r"[\[(](?:ipv6:)?(?:[^@\s()\[\]]{1,64}@)?\[?((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4}:[0-9a-f:.]{1,44})(?:%[0-9a-z]{1,15})?[\])]")
_HELO = re.compile(r"\b(?:helo|ehlo)[= ]\[?([a-z0-9_.:-]{1,255})")
_VERSION = re.compile(r"(?<![a-z0-9])(tls|ssl)[v_ ]?v?(\d)(?:[._]?(\d))?(?![0-9a-z])")
_CIPHER = re.compile(r"\bcipher[ =]([a-z0-9_+./-]{1,80})")
_COLONS = re.compile(r"(?:tls|ssl)[v0-9._]{1,6}:([a-z0-9_+-]{3,80})")  # Exim, OpenSMTPD, Sendmail's own comment
_COMMAS = re.compile(r"tls: ?[^,()]{3,20}, ?\d{2,4} ?bits, ?([a-z0-9_+-]{3,80})")  # Courier
_ENCRYPTED = re.compile(r"(?<![a-z0-9_+-])([a-z0-9_+-]{3,80}) encrypted\b")  # qmail, qpsmtpd
_SLASHES = re.compile(r"\be?smtp/tls/([a-z0-9_+-]{3,80})")  # IronPort
_CLAUSE = re.compile(r"\btls (0x[0-9a-f]{4}|(?:tls|ssl|ecdhe|dhe|rsa|aes|ecdh|psk|adh|aecdh|cdhe|exp|des|rc4|camellia)[a-z0-9_+-]{2,80})")  # RFC 8314 §4.3, Exim
_SAYS_TLS = re.compile(r"version=(?:tls|ssl)|\busing (?:tls|ssl)|\((?:tls|ssl)\)|\((?:tls|ssl)[v0-9._]{1,6}[):]|\(tls:|\bx=tls|\(cipher ")
_LOOPBACK = re.compile(r"localhost|\b127\.0\.0\.1|::1[\])]")
_LOCAL = re.compile(r"via frontend transport|via mailbox transport|\bfrom userid \d|\bby uid \d|\binvoked (?:by|for|from) (?!network)"
                    r"|/submit\)|messageswitch|listexpand")
_NO_NETWORK = frozenset("mapi local httprest nnfmp spool stdio store bsmtp internal".split())  # with clauses of one system

Known = tuple[str | None, str | None, str | None, str | None, str | None, str | None, bool | None, bool]  # a Hop without its number and date
_NOTHING: Known = (None, None, None, None, None, None, None, False)
_known: dict[bytes, Known] = {}
_days: dict[tuple[str, str, str], int | None] = {}

_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_ZONES = {  # RFC 5322 §4.3; minutes
    "gmt": 0, "ut": 0, "utc": 0, "z": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420,
}


def read_hops(text: bytes, lower: bytes, at: int, message: Message) -> None:
    """Fill hops, n_hops and n_clear_hops of a message.

    Args:
        text: the header section, with a line end before it and two behind it.
        lower: the same in lower case.
        at: of the line end before the first Received field.
    """
    fields: list[tuple[Known, bytes]] = []
    n_hops = 0
    known_get = _known.get
    while at >= 0 and n_hops < MAX_HOPS:
        n_hops += 1
        start = at + 10
        end = text.find(b"\n", start)
        while text[end + 1] in b" \t":
            end = text.find(b"\n", end + 1)
        if n_hops <= MAX_KEPT_HOPS:
            field, _, date = text[start:min(end, start + MAX_HOP_BYTES)].translate(_FOLDS, b"\r\n").rpartition(b";")
            if not field:
                field, date = date, b""
            head, clause, tail = field.partition(b" id ")
            if b"(envelope-from" in head:  # Exim
                head = head[:head.find(b"(envelope-from")]
            known = known_get(head) if b"(" not in tail and b"tls" not in tail and b" via " not in tail else None
            if known is None:
                known = _understood(head, clause, tail)
            fields.append((known, date))
        at = lower.find(b"\nreceived:", end)
    message.n_hops = n_hops
    hops, n_clear, says = message.hops, 0, False
    number = n_hops
    for known, date in fields:
        from_host, from_ip, by_host, with_protocol, version, cipher, protected, local = known
        hops.append(Hop(hop=number, from_host=from_host, from_ip=from_ip, by_host=by_host, with_protocol=with_protocol, tls_version=version, tls_cipher=cipher,
                        protected=protected, local=local, time_ns=read_date(date) if date else None))
        number -= 1
        if protected is not None:
            says = True
            n_clear += not protected
    message.n_clear_hops = n_clear if says else None


def _understood(head: bytes, clause: bytes, tail: bytes) -> Known:
    """A field that was not seen before; remembered where nothing behind the id clause tells more."""
    if b"(" in tail or b"tls" in tail or b" via " in tail:
        key = head + clause + _telling(tail)
        known = _known.get(key)
    else:
        key, known = head, None
    if known is None:
        known = understand(key.decode("latin-1"))
        if len(key) <= _MAX_KNOWN_BYTES:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[key] = known
    return known


def _telling(tail: bytes) -> bytes:
    """What of the text behind `id` tells about TLS or the way: comments, a tls clause, a via clause; not the id and the recipients."""
    pieces = []
    at = tail.find(b"(")
    if at >= 0:
        pieces.append(tail[at:tail.rfind(b")") + 1])
    for word in (b" tls ", b" via "):
        at = tail.find(word)
        if at >= 0:
            pieces.append(tail[at:at + 100])
    return b" ".join(pieces)


def understand(field: str) -> Known:
    """Who, to whom, with what, and whether under TLS: the text of a field without its date (RFC 5321 §4.4)."""
    lower = field.lower()
    plain = _without_comments(lower)
    if plain is None:
        return _NOTHING
    words = plain.split()
    clauses = _clauses(words)
    by_at = lower.find(" by ") if words[:1] != ["by"] else 0
    origin = lower[:by_at] if by_at >= 0 else lower[:300]
    from_host, from_ip = _origin(clauses.get("from"), origin)
    by_host = _host(clauses.get("by"))
    way = clauses.get("with") or (clauses.get("via") if clauses.get("via", "").upper() in KEYWORDS else None)  # old Sendmail: "via ESMTP"
    protocol, keyword = _protocol(way, field, lower)
    says_tls = _SAYS_TLS.search(lower) is not None
    cipher = _first(field, lower, _CIPHER, _COLONS, _COMMAS, _CLAUSE, _SLASHES)
    if cipher is None and "encrypted" in lower:
        cipher = _first(field, lower, _ENCRYPTED)
    if cipher is not None and cipher.lower() in ("none", "null"):
        cipher = None
    version = _version(lower)
    local = _LOCAL.search(lower) is not None or (way or "") in _NO_NETWORK or by_host is not None and (from_host == by_host or f"({by_host} [" in origin)
    if from_ip is None or from_ip.startswith("127.") or from_ip == "::1":  # with another address, "localhost" is only what a client calls itself
        local = local or _LOOPBACK.search(lower) is not None
    protected: bool | None = None
    if says_tls or cipher is not None or keyword in OVER_TLS:
        protected = True
    elif not local and "from" in clauses and (keyword in CLEAR or keyword in _MICROSOFT):
        protected = False
    return from_host, from_ip, by_host, protocol, version if protected else None, cipher, protected, local


def _without_comments(lower: str) -> str | None:
    """The text outside parentheses; None where they nest absurdly."""
    if "(" not in lower:
        return lower
    out, depth, start = [], 0, 0
    for match in _PARENTHESIS.finditer(lower):
        if match[0] == "(":
            if depth == 0:
                out.append(lower[start:match.start()])
            depth += 1
            if depth > 20:
                return None
        elif depth:
            depth -= 1
            start = match.end()
    if not depth:
        out.append(lower[start:])
    return " ".join(out)


def _clauses(words: list[str]) -> dict[str, str]:
    """First value of each of the clauses from, by, via and with."""
    found: dict[str, str] = {}
    n = min(len(words), 60)
    i = 0
    while i < n:
        word = words[i]
        if word == "by" and words[i + 1:i + 2] == ["uid"]:  # qmail: a user of the host itself
            break
        if word in ("from", "by", "via") and word not in found and i + 1 < n and (word != "from" or not found):
            found[word] = words[i + 1]
            i += 1
        elif word == "with" and word not in found:
            value = []
            while i + 1 < n and words[i + 1] not in _ENDS_WITH and len(value) < 5:
                value.append(words[i + 1])
                i += 1
            found["with"] = " ".join(value)
        elif word in ("id", "for"):
            break
        i += 1
    return found


def _origin(name: str | None, origin: str) -> tuple[str | None, str | None]:
    """Host and address of the from clause."""
    address = _ADDRESS.search(origin)
    ip = address[1].removeprefix("::ffff:") if address is not None else None
    host = _host(name)
    if host is None or host == "unknown" or host[0] == "[":
        helo = _HELO.search(origin)
        if helo is not None:
            host = helo[1].rstrip(".")
        elif host == "unknown" and ip is not None:
            host = None
        elif host is not None and host[0] == "[" and ip is not None:
            host = f"[{ip}]"
    return host if host is not None or ip is None else f"[{ip}]", ip


def _host(word: str | None) -> str | None:
    return word.strip(",;").rstrip(".")[:MAX_HOST] or None if word else None


def _protocol(way: str | None, field: str, lower: str) -> tuple[str | None, str | None]:
    """What the with clause is called in a table, and the keyword that it comes down to."""
    if not way:
        return None, None
    words = way.upper().split()
    first = words[0].partition("/")[0]
    if first in KEYWORDS:
        return first, first
    if words[-1] in KEYWORDS:  # "MailEnable ESMTP", "AES256-SHA encrypted SMTP"
        return words[-1], words[-1]
    at = lower.find(way)
    shown = (field[at:at + len(way)] if at >= 0 else way)[:MAX_WITH]
    for name in _MICROSOFT:
        if way.startswith(name):
            return (shown[:len(name)], name)
    return shown, None


def _first(field: str, lower: str, *patterns: re.Pattern[str]) -> str | None:
    """What the first matching pattern captures, in the field's own letters."""
    for pattern in patterns:
        match = pattern.search(lower)
        if match is not None:
            return field[match.start(1):match.end(1)].rstrip(".")
    return None


def _version(lower: str) -> str | None:
    """The TLS version that a field names. Old Sendmail and Courier write TLSv1/SSLv3, the family of the cipher suite: that tells no version."""
    if "tlsv1/sslv3" in lower:
        return None
    match = _VERSION.search(lower)
    if match is None:
        return None
    kind, major, minor = match.groups()
    if kind == "ssl":
        return f"SSLv{major}" if major in "23" and minor in (None, "0") else None
    return f"TLSv1.{minor or 0}" if major == "1" and (minor or "0") in "0123" else None


# --- dates

def read_date(value: bytes) -> int | None:
    """A date of RFC 5322 §3.3 (and asctime's order) in ns since 1970 UTC; None without a zone, or when it is none."""
    words = value.decode("latin-1").lower().split(None, 8)
    if words and words[0][-1] == ",":
        del words[0]
    elif words and "," in words[0]:  # "Mon,13 May 2024"
        words[0] = words[0].partition(",")[2]
    n = len(words)
    if n < 5:
        return None
    if words[0][0].isdigit():
        day, month, year, clock, zone = words[:5]
    elif n >= 6 and ":" in words[3]:  # Sun Sep 27 08:01:09 +0000 2015
        _, month, day, clock, zone, year = words[:6]
    else:
        return None
    key = day, month, year
    try:
        days = _days[key]
    except KeyError:
        days = _remembered_day(key)
    offset = _minutes(zone)
    if days is None or offset is None:
        return None
    parts = clock.split(":")
    if not 2 <= len(parts) <= 3 or not all(len(part) <= 2 and part.isascii() and part.isdigit() for part in parts):
        return None
    hour, minute, second = int(parts[0]), int(parts[1]), int(parts[2]) if len(parts) == 3 else 0
    if hour > 23 or minute > 59 or second > 60:
        return None
    return (days * 86400 + hour * 3600 + (minute - offset) * 60 + second) * 1_000_000_000


def _remembered_day(key: tuple[str, str, str]) -> int | None:
    days = _day(*key)
    if len(_days) >= _MAX_KNOWN:
        _days.clear()
    if sum(map(len, key)) < 40:
        _days[key] = days
    return days


def _day(day: str, month: str, year: str) -> int | None:
    """Days since 1970-01-01; years that int64 ns cannot hold are no dates."""
    import datetime

    number = _MONTHS.get(month)
    if number is None or not (day.isascii() and day.isdigit() and len(day) <= 2 and year.isascii() and year.isdigit() and len(year) <= 4):
        return None
    full = int(year)
    if len(year) < 4:  # RFC 5322 §4.3
        full += 2000 if len(year) == 2 and full < 50 else 1900
    if not 1971 <= full <= 2261:
        return None
    try:
        return datetime.date(full, number, int(day)).toordinal() - 719163
    except ValueError:
        return None


def _minutes(zone: str) -> int | None:
    """Minutes east of UTC."""
    if len(zone) == 5 and zone[0] in "+-" and zone.isascii() and zone[1:].isdigit():
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        return None if minutes > 1440 else -minutes if zone[0] == "-" else minutes
    return _ZONES.get(zone)
