"""DER by hand, only as far as authentication tokens need it (X.690 §8.1): definite lengths, one-byte tags, every length checked against the bytes there are."""
from __future__ import annotations

MAX_ELEMENTS = 64  # siblings walked at one level; no structure read here has more than about a dozen
_MAX_OID_BYTES = 64


def read_der(data: bytes, pos: int, end: int) -> tuple[int, int, int] | None:
    """Tag, start and end of the value at `pos`; None when it does not fit."""
    if pos + 2 > end:
        return None
    tag, length = data[pos], data[pos + 1]
    pos += 2
    if length & 0x80:
        n = length & 0x7F
        if not 1 <= n <= 4 or pos + n > end:
            return None
        length = int.from_bytes(data[pos:pos + n], "big")
        pos += n
    return (tag, pos, pos + length) if pos + length <= end else None


def child(data: bytes, pos: int, end: int, tag: int) -> tuple[int, int] | None:
    """Start and end of the first value with a tag among the elements between `pos` and `end`."""
    for _ in range(MAX_ELEMENTS):
        element = read_der(data, pos, end)
        if element is None:
            return None
        if element[0] == tag:
            return element[1], element[2]
        pos = element[2]
    return None


def descend(data: bytes, span: tuple[int, int] | None, *tags: int) -> tuple[int, int] | None:
    """The value reached by going into the first element of each tag in turn."""
    for tag in tags:
        if span is None:
            return None
        span = child(data, *span, tag)
    return span


def children(data: bytes, span: tuple[int, int] | None) -> dict[int, tuple[int, int]]:
    """The elements of a SEQUENCE by tag, as far as they fit; of a repeated tag the first counts."""
    out: dict[int, tuple[int, int]] = {}
    if span is None:
        return out
    pos, end = span
    for _ in range(MAX_ELEMENTS):
        element = read_der(data, pos, end)
        if element is None:
            break
        pos = element[2]
        out.setdefault(element[0], (element[1], pos))
    return out


def integer(data: bytes, span: tuple[int, int] | None) -> int | None:
    """A signed INTEGER or ENUMERATED of at most 4 bytes; all that Kerberos has here are Int32 (RFC 4120 §5.2.4)."""
    if span is None or span[1] - span[0] > 4:
        return None
    return int.from_bytes(data[span[0]:span[1]], "big", signed=True)


def dotted_oid(value: bytes) -> str | None:
    """An OBJECT IDENTIFIER's value as text; None when its last arc is cut (X.690 §8.19)."""
    if not value or len(value) > _MAX_OID_BYTES or value[-1] & 0x80:
        return None
    arcs, arc = [], 0
    for byte in value:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
