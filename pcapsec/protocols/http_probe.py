"""Whether bytes are HTTP/1, for the decision which parser gets a conversation."""
from __future__ import annotations

import re

from .http_heads import HTTP2_PREFACE, LETTERS, METHODS, REQUEST_LINE, STATUS_LINE, STATUS_START

_WITHOUT_PATH = frozenset((b"OPTIONS", b"RPC_CONNECT", b"PRI"))  # their targets may begin with anything


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of either side are HTTP/1's: `METHOD SP target SP HTTP/1.x` or `HTTP/1.x NNN`. A connection that begins with CONNECT is a tunnel's (tunnel.py)."""
    if client:
        if client[0] not in LETTERS:
            return False
        if client[:8] == b"CONNECT ":
            return False
        if REQUEST_LINE(client) is not None or client.startswith(HTTP2_PREFACE[:18]):
            return True
        end = client.find(b"\n")
        if end >= 0:
            return False
        method, blank, target = client[:24].partition(b" ")
        if not blank:
            return None if len(client) < 24 and any(known.startswith(method) for known in METHODS) or HTTP2_PREFACE.startswith(client) else False
        if method not in METHODS and method != b"PRI" or target and target[:1] not in b"/hH*" and method not in _WITHOUT_PATH:
            return False
        return None if len(client) < 2048 else True
    if not server:
        return None
    if len(server) < 13:
        return None if STATUS_START.startswith(server[:7]) else False
    return STATUS_LINE(server) is not None and b"established" not in server[:200].partition(b"\n")[0].lower()


_LATE_CLIENT = re.compile(rb"(?:^|\n)([A-Z][A-Z_-]{2,23}+) (?:/|https?://)[^\r\n ]{0,4000}+ HTTP/1\.[01]\r?\n[A-Za-z-]{2,40}+:").search
_LATE_SERVER = re.compile(rb"(?:^|\n)HTTP/1\.[01] [1-5]\d\d [^\r\n]{0,200}+\r?\n[A-Za-z-]{2,40}+:").search


def late(client: bytes, server: bytes) -> bool:
    """Whether a capture that begins in mid-conversation shows a whole start line with a field behind it on either side."""
    match = _LATE_CLIENT(client) if client else None
    return match is not None and match[1] in METHODS or bool(server) and _LATE_SERVER(server) is not None
