"""What a server's greeting says of who it is: its host, and its words without what changes each time."""
from __future__ import annotations

import re

MAX_REMEMBERED = 32768  # greetings, a few MiB at worst
_HOST = re.compile(r"(?:\d{3}[ -])?<?(?:[^@\s]*@)?([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)>?(?:\s|$)").match
_APOP = re.compile(r"<[^@<>\s]{1,200}@([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+)>").search
_VARYING = re.compile(  # a remark, POP3's timestamp, IMAP's capabilities, times and their zones, days, dates, queue ids
    r";.*|<[^<>]*>|\[[^\]]*(?:\]|$)|\d{1,4}[:/-]\d\d(?:[:/-]\d{2,4})?|[+-]\d{4}\b|\([A-Z]{3,5}\)|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\b,?"
    r"|\b\d{1,2}\s+(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b(?:\s+\d{4})?|(?<!\S)(?=\S*[A-Za-z])(?=(?:\S*\d){4})[0-9A-Za-z._=-]{12,}(?!\S)", re.DOTALL).sub
_hosts: dict[str, str | None] = {}
_shapes: dict[str, str] = {}


def greeting_host(greeting: str | None) -> str | None:
    """The host that a greeting names: first word of an SMTP greeting (RFC 5321 §4.3.1), or the right side of POP3's timestamp (RFC 1939 §7)."""
    if not greeting:
        return None
    try:
        return _hosts[greeting]
    except KeyError:
        pass
    head = greeting[:300]
    found = _HOST(head) or _APOP(head)
    name = found.group(1).lower() if found and not found.group(1).replace(".", "").isdigit() else None
    if len(_hosts) >= MAX_REMEMBERED:
        _hosts.clear()
    _hosts[greeting] = name
    return name


def greeting_shape(greeting: str) -> str:
    """Host and software as a greeting has them, without times, numbers of the connection and capabilities: equal for all conversations of one server."""
    try:
        return _shapes[greeting]
    except KeyError:
        pass
    head = greeting[:600]
    found = _HOST(head)
    rest = head[found.end(1):] if found else head
    shape = " ".join([greeting_host(greeting) or "", *_VARYING(" ", rest).split()])
    if len(_shapes) >= MAX_REMEMBERED:
        _shapes.clear()
    _shapes[greeting] = shape
    return shape
