"""LDAP messages as bytes (RFC 4511 §4, §5.1; X.690 with definite lengths): where one begins and ends, and what a bind, a result or the root entry says.

Heads are read in place, so that a search answer of many megabytes costs one look per message. Every length is checked against the bytes there are; what does
not fit is None or empty, never an exception.
"""
from __future__ import annotations

import re
from typing import NamedTuple

from .der import read_der

MAX_MESSAGE_BYTES = 1 << 26  # Active Directory refuses requests over 10 MiB; a length beyond this is no LDAP message
MAX_ATTRIBUTES = 256  # of the root entry; real ones have about 30
MAX_VALUES = 256  # of one of its attributes; Active Directory lists about 40 supportedControl

# protocolOp tags (RFC 4511 §4.2-§4.14)
BIND, UNBIND, SEARCH, MODIFY, ADD, DELETE, MODIFY_DN, COMPARE, ABANDON, EXTENDED = 0x60, 0x42, 0x63, 0x66, 0x68, 0x4A, 0x6C, 0x6E, 0x50, 0x77
BIND_RESPONSE, SEARCH_ENTRY, SEARCH_REFERENCE, EXTENDED_RESPONSE, INTERMEDIATE = 0x61, 0x64, 0x73, 0x78, 0x79
REQUESTS = {
    BIND: "BIND", UNBIND: "UNBIND", SEARCH: "SEARCH", MODIFY: "MODIFY", ADD: "ADD", DELETE: "DELETE", MODIFY_DN: "MODIFY-DN", COMPARE: "COMPARE",
    ABANDON: "ABANDON", EXTENDED: "EXTENDED"}
RESULTS = {
    BIND_RESPONSE: "BIND", 0x65: "SEARCH", 0x67: "MODIFY", 0x69: "ADD", 0x6B: "DELETE", 0x6D: "MODIFY-DN", 0x6F: "COMPARE", EXTENDED_RESPONSE: "EXTENDED"}
SIMPLE, SASL, SICILY_DISCOVERY, SICILY_NEGOTIATE, SICILY_RESPONSE = 0x80, 0xA3, 0x89, 0x8A, 0x8B  # AuthenticationChoice; Sicily: [MS-ADTS] §5.1.1.1.3

# The tag with which the content of each operation begins; None where it may be anything. It tells a message from bytes that only look like its head.
FIRST_TAGS: tuple[dict[int, tuple[int, ...] | None], dict[int, tuple[int, ...] | None]] = (
    {BIND: (0x02,), UNBIND: None, SEARCH: (0x04,), MODIFY: (0x04,), ADD: (0x04,), DELETE: None, MODIFY_DN: (0x04,), COMPARE: (0x04,), ABANDON: None,
     EXTENDED: (0x80,)},
    {SEARCH_ENTRY: (0x04,), SEARCH_REFERENCE: (0x04,), INTERMEDIATE: (0x80, 0x81), **{tag: (0x0A,) for tag in RESULTS}})

STARTTLS_OID = b"1.3.6.1.4.1.1466.20037"  # RFC 4511 §4.14.1
SUCCESS, STRONGER_AUTH_REQUIRED, CONFIDENTIALITY_REQUIRED, BIND_IN_PROGRESS, INVALID_CREDENTIALS = 0, 8, 13, 14, 49  # RFC 4511 Appendix A
_AD_CODE = re.compile(rb"\bdata ([0-9a-fA-F]{1,8})\b")


class Head(NamedTuple):
    """A message as its first bytes announce it; all places are indexes into the data that was looked at."""

    tag: int  # of the operation
    start: int  # of the operation's content
    end: int
    stop: int  # of the message, with its controls
    message_id: int


class BindRequest(NamedTuple):
    """The content of a BindRequest."""

    version: int | None
    name: bytes
    choice: int | None  # tag of the AuthenticationChoice; None when it is cut
    mechanism: bytes  # of SASL
    credentials: bytes | None  # password, SASL credentials or Sicily token; None when left out


class Result(NamedTuple):
    """The content of a BindResponse or ExtendedResponse."""

    code: int | None
    matched: bytes  # matchedDN; Sicily puts its challenge here
    diagnostic: bytes
    credentials: bytes | None  # serverSaslCreds
    name: bytes | None  # responseName


def _length(data: bytes, pos: int, n: int) -> tuple[int, int] | bool | None:
    """A definite length and the place behind it; None when bytes are missing, False when it is none."""
    if pos >= n:
        return None
    length = data[pos]
    if length < 0x80:
        return length, pos + 1
    size = length & 0x7F
    if not 1 <= size <= 4:
        return False
    if pos + 1 + size > n:
        return None
    return int.from_bytes(data[pos + 1:pos + 1 + size], "big"), pos + 1 + size


def read_head(data: bytes, pos: int, side: int) -> Head | bool | None:
    """`SEQUENCE { messageID INTEGER (0..2^31-1), protocolOp CHOICE, controls [0] }` (RFC 4511 §4.1.1).

    Args:
        data: bytes of a side.
        pos: where the message begins; less than the length of `data`.
        side: CLIENT or SERVER, whose operations differ.

    Returns: the head; None when more bytes are needed; False when no message begins here.
    """
    if data[pos] != 0x30:
        return False
    n = len(data)
    found = _length(data, pos + 1, n)
    if not found:
        return found
    length, i = found
    if not 5 <= length <= MAX_MESSAGE_BYTES:
        return False
    stop = i + length
    if i >= n:
        return None
    if data[i] != 0x02:
        return False
    if i + 1 >= n:
        return None
    size = data[i + 1]
    if not 1 <= size <= 5:  # five: a leading zero
        return False
    tag_at = i + 2 + size
    if tag_at >= n:
        return None
    tag = data[tag_at]
    tags = FIRST_TAGS[side]
    if tag not in tags:
        return False
    message_id = int.from_bytes(data[i + 2:tag_at], "big")
    found = _length(data, tag_at + 1, n)
    if not found:
        return found
    length, start = found
    end = start + length
    if end > stop or message_id > 0xFFFFFFFF or end < stop < end + 2:
        return False
    if end != stop and end < n and data[end] != 0xA0:
        return False
    first = tags[tag]
    if first is None:
        if tag == UNBIND and length or tag == ABANDON and not 1 <= length <= 5:
            return False
    elif length < 2:
        return False
    elif start >= n:
        return None
    elif data[start] not in first:
        return False
    return Head(tag, start, end, stop, message_id)


def peek_bytes(head: Head) -> int:
    """How far data must reach for `is_root_search`, `is_root_entry` and `peek_code`."""
    return min(head.start + 8, head.end)


def is_root_search(data: bytes, head: Head) -> bool:
    """A SearchRequest for the root DSE: `baseObject "" scope baseObject(0)` (RFC 4512 §5.1)."""
    return data[head.start:head.start + 5] == b"\x04\0\x0a\1\0"


def is_root_entry(data: bytes, head: Head) -> bool:
    """A SearchResultEntry of the root DSE, whose name is empty."""
    return data[head.start:head.start + 2] == b"\x04\0"


def peek_code(data: bytes, head: Head) -> int | None:
    """The resultCode at the start of an LDAPResult."""
    return data[head.start + 2] if data[head.start:head.start + 2] == b"\x0a\1" and head.start + 2 < head.end else None


def read_bind(data: bytes, start: int, end: int) -> BindRequest:
    """`version INTEGER, name LDAPDN, authentication { simple [0], sasl [3] SEQUENCE { mechanism, credentials OPTIONAL } }` (RFC 4511 §4.2)."""
    version, name, choice, mechanism, credentials = None, b"", None, b"", None
    element = read_der(data, start, end)
    if element is not None and element[0] == 0x02 and 1 <= element[2] - element[1] <= 4:
        version = int.from_bytes(data[element[1]:element[2]], "big")
        element = read_der(data, element[2], end)
        if element is not None and element[0] == 0x04:
            name = data[element[1]:element[2]]
            element = read_der(data, element[2], end)
            if element is not None:
                choice, inside, stop = element
                if choice == SASL:
                    word = read_der(data, inside, stop)
                    if word is not None and word[0] == 0x04:
                        mechanism = data[word[1]:word[2]]
                        token = read_der(data, word[2], stop)
                        if token is not None and token[0] == 0x04:
                            credentials = data[token[1]:token[2]]
                else:
                    credentials = data[inside:stop]
    return BindRequest(version, name, choice, mechanism, credentials)


def read_result(data: bytes, start: int, end: int) -> Result:
    """`resultCode, matchedDN, diagnosticMessage, referral [3]`, then `serverSaslCreds [7]` or `responseName [10], responseValue [11]` (RFC 4511 §4.1.9)."""
    code, matched, diagnostic, credentials, name = None, b"", b"", None, None
    element = read_der(data, start, end)
    if element is not None and element[0] == 0x0A and 1 <= element[2] - element[1] <= 4:
        code = int.from_bytes(data[element[1]:element[2]], "big")
        texts = []
        for _ in range(6):
            element = read_der(data, element[2], end)
            if element is None:
                break
            tag, inside, stop = element
            if tag == 0x04 and len(texts) < 2:
                texts.append(data[inside:stop])
            elif tag == 0x87:
                credentials = data[inside:stop]
            elif tag == 0x8A:
                name = data[inside:stop]
        if texts:
            matched = texts[0]
        if len(texts) > 1:
            diagnostic = texts[1]
    return Result(code, matched, diagnostic, credentials, name)


def read_request_name(data: bytes, start: int, end: int) -> bytes:
    """`requestName [0] LDAPOID` of an ExtendedRequest (RFC 4511 §4.12)."""
    element = read_der(data, start, end)
    return data[element[1]:element[2]] if element is not None and element[0] == 0x80 else b""


def read_entry(data: bytes, start: int, end: int, wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    """The wanted attributes of `objectName, attributes SEQUENCE OF SEQUENCE { type, vals SET OF value }` (RFC 4511 §4.5.2), by lower-case name."""
    out: dict[bytes, list[bytes]] = {}
    element = read_der(data, start, end)
    element = None if element is None else read_der(data, element[2], end)
    if element is None or element[0] != 0x30:
        return out
    pos, end = element[1], element[2]
    for _ in range(MAX_ATTRIBUTES):
        attribute = read_der(data, pos, end)
        if attribute is None:
            break
        pos = attribute[2]
        name = read_der(data, attribute[1], pos)
        if name is None or name[0] != 0x04:
            continue
        kind = data[name[1]:min(name[2], name[1] + 64)].lower()
        values = read_der(data, name[2], pos)
        if kind not in wanted or values is None or values[0] != 0x31:
            continue
        listed = out.setdefault(kind, [])
        place = values[1]
        while len(listed) < MAX_VALUES:
            value = read_der(data, place, values[2])
            if value is None:
                break
            listed.append(data[value[1]:value[2]][:256])
            place = value[2]
    return out


def active_directory_code(diagnostic: bytes) -> str | None:
    """`52e` of Active Directory's "80090308: LdapErr: …, AcceptSecurityContext error, data 52e, v1db1"."""
    found = _AD_CODE.search(diagnostic[:512])
    return found[1].decode().lower() if found else None


# What a result code says of a login besides yes and no
_REFUSED = frozenset((7, 8, 13, 48, 50, 53))  # policy: authMethodNotSupported, strongerAuthRequired, confidentialityRequired, inappropriateAuthentication, …
_TEMPORARY = frozenset((51, 52))  # busy, unavailable
# Active Directory's codes are Windows errors in hexadecimal: 1328-1331, 1793, 1907, 1909; no such user and wrong password are 525 and 52e
_LOCKED = frozenset(("530", "531", "532", "533", "701", "773", "775"))


def judge(result: Result) -> tuple[str, str | None, str | None]:
    """What a BindResponse says: result, reason and reply code of a Login."""
    code = result.code
    if code == SUCCESS:
        return "success", None, "0"
    if code is None:
        return "unknown", "malformed", None
    reason = None
    if code == INVALID_CREDENTIALS:
        reason = "locked" if active_directory_code(result.diagnostic) in _LOCKED else "wrong-credentials"
    elif code in _REFUSED:
        reason = "refused"
    elif code in _TEMPORARY:
        return "unknown", "temporary", str(code)
    elif code == 2:  # protocolError
        reason = "malformed"
    elif code == 10 or code == BIND_IN_PROGRESS:  # a referral: ask another server
        return "unknown", None, str(code)
    return "failed", reason, str(code)


# --- first bytes

def _looks(data: bytes, pos: int, side: int) -> bool | None:
    """Whether a message of a side begins at `pos`, by more than its head: version of a bind, scope of a search, a numeric OID."""
    head = read_head(data, pos, side)
    if not head:
        return head
    tag, start, end = head.tag, head.start, head.end
    begin = data[start:min(start + 4, end)]
    whole = len(begin) == 4
    if not whole and start + len(begin) < end:
        return None
    if tag == BIND:
        return whole and begin[1] == 1 and 1 <= begin[2] <= 3 and begin[3] == 0x04
    if tag == EXTENDED:
        return whole and begin[1] < 0x80 and begin[2:] in (b"0.", b"1.", b"2.")
    if tag in RESULTS:
        return whole and begin[1] == 1 and begin[2] <= 123 and begin[3] == 0x04
    if tag in (UNBIND, ABANDON, DELETE):  # nearly nothing in them can be checked: what follows has to be a message too
        return len(data) == head.stop or len(data) > head.stop and read_head(data, head.stop, side) is not False
    return True


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes of either side are an LDAP message of that side."""
    if client:
        return _looks(client, 0, 0)
    return _looks(server, 0, 1) if server else None


MAX_LATE_BYTES = 2048  # how far the start of a whole message is looked for


def late(client: bytes, server: bytes) -> bool:
    """Whether bytes from the middle of a conversation are LDAP: two messages one behind the other, or one that ends with the bytes or begins with them."""
    for side, data in enumerate((client, server)):
        pos = data.find(b"\x30", 0, MAX_LATE_BYTES)
        while pos >= 0:
            if _looks(data, pos, side):
                stop = read_head(data, pos, side).stop
                if pos == 0 or stop == len(data) or stop < len(data) and read_head(data, stop, side) is not False:
                    return True
            pos = data.find(b"\x30", pos + 1, MAX_LATE_BYTES)
    return False
