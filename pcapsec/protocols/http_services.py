"""Which mail service an HTTP request is for, told by path, method and header fields, and its row for the table `http`.

Directory names are those that Exchange installs (2000 to 2019), that RULES PS602 names for other webmail, and ActiveSync's query ([MS-ASHTTP] §2.2.1.1.1). A name that anybody may
give to a directory makes the service not sure, unless method, query or the answer's fields say more.
"""
from __future__ import annotations

from ..records import HttpRequest
from .http_heads import REQUEST_FIELDS, REQUEST_LINE, cookie_names, fields, host_of, text, unquote
from .sasl import decode_base64

MAX_PATH_CHARACTERS = 200

# First segment of the path, lower case -> (service, sure)
SEGMENTS: dict[bytes, tuple[str, bool]] = {
    b"/owa": ("owa", True), b"/exchweb": ("owa", True), b"/cookieauth.dll": ("owa", True), b"/exchange": ("owa", False), b"/public": ("owa", False),
    b"/ews": ("ews", True), b"/ecp": ("ecp", True), b"/oab": ("oab", True), b"/mapi": ("mapi-http", False),
    b"/microsoft-server-activesync": ("activesync", True), b"/autodiscover": ("autodiscover", True),
    b"/rpc": ("rpc-proxy", False), b"/rpcwithcert": ("rpc-proxy", False),
    b"/webmail": ("webmail", False), b"/roundcube": ("webmail", False), b"/roundcubemail": ("webmail", False), b"/squirrelmail": ("webmail", False), b"/zimbra": ("webmail", False),
    b"/horde": ("webmail", False), b"/rainloop": ("webmail", False), b"/snappymail": ("webmail", False), b"/sogo": ("webmail", False),
    b"/caldav": ("caldav", True), b"/carddav": ("caldav", True), b"/dav": ("caldav", False), b"/.well-known": ("caldav", True), b"/remote.php": ("caldav", False),
}
WEBDAV = frozenset((b"PROPFIND", b"PROPPATCH", b"REPORT", b"SEARCH", b"BPROPFIND", b"BPROPPATCH", b"BDELETE", b"BCOPY", b"BMOVE", b"SUBSCRIBE", b"UNSUBSCRIBE", b"POLL",
                    b"X-MS-ENUMATTS", b"MKCALENDAR", b"MKCOL", b"MOVE", b"COPY", b"LOCK", b"UNLOCK", b"ACL"))
RPC_METHODS = frozenset((b"RPC_IN_DATA", b"RPC_OUT_DATA", b"RPC_CONNECT"))
LOGIN_PATHS = frozenset(("/owa/auth.owa", "/owa/auth/owaauth.dll", "/exchweb/bin/auth/owaauth.dll", "/cookieauth.dll"))  # of Exchange 2010 on, 2007, 2003, ISA and TMG
EXCHANGE_FIELDS = (b"x-owa-version", b"ms-webstorage", b"x-feserver", b"x-diaginfo", b"x-calculatedbetarget", b"x-beserver")  # of answers; they make Exchange sure

# Cookies that carry a mail session: Exchange's forms login (all begin with cadata), its back end's, MAPI over HTTP's, other webmail's. The canary and load balancers' do not.
SESSION_COOKIES = frozenset(("x-backendcookie", "x-backendcookie2", "mapicontext", "roundcube_sessauth", "zm_auth_token", "0xhighflyxsogo", "sqmsessid"))

EAS_VERSIONS = frozenset((121, 140, 141, 160, 161))  # [MS-ASHTTP] §2.2.1.1.1.1
EAS_COMMANDS = {  # [MS-ASHTTP] §2.2.1.1.1.1.2
    0: "Sync", 1: "SendMail", 2: "SmartForward", 3: "SmartReply", 4: "GetAttachment", 9: "FolderSync", 10: "FolderCreate", 11: "FolderDelete", 12: "FolderUpdate", 13: "MoveItems",
    14: "GetItemEstimate", 15: "MeetingResponse", 16: "Search", 17: "Settings", 18: "Ping", 19: "ItemOperations", 20: "Provision", 21: "ResolveRecipients", 22: "ValidateCert", 23: "Find"}
EAS_USER = 8  # tag of the command parameter, §2.2.1.1.1.1.3


def split_target(target: bytes) -> tuple[str | None, bytes, bytes]:
    """Host, path and query of `origin-form / absolute-form / authority-form / asterisk-form` (RFC 9112 §3.2)."""
    host = None
    if target[:1] != b"/":
        scheme, found, rest = target.partition(b"://")
        if found and scheme.isalnum():
            authority, slash, rest = rest.partition(b"/")
            authority, question, query = authority.partition(b"?")
            host = host_of(authority)
            target = slash + rest or b"/" + question + query
    path, _, query = target.partition(b"?")
    return host, path, query


def classify(method: bytes, path: bytes, query: bytes, named: dict[bytes, bytes]) -> tuple[str, bool]:
    """Service and whether that is sure; `path` in lower case. ("other", True) when no mail service shows."""
    if method in RPC_METHODS or path.endswith(b"/rpcproxy.dll"):
        return "rpc-proxy", True
    if b"x-requesttype" in named or named.get(b"content-type", b"").lower().startswith(b"application/mapi-http"):
        return "mapi-http", True
    if path[:1] != b"/":
        return "other", True
    slash = path.find(b"/", 1)
    service, sure = SEGMENTS.get(path[:slash] if slash > 0 else path, ("other", True))
    if sure:
        return (service, sure) if service != "caldav" or not path.startswith(b"/.well-known") or path[13:] in (b"caldav", b"carddav") else ("other", True)
    if service == "rpc-proxy":
        return "other", True  # any remote procedure call service may be named so
    if service == "mapi-http":
        return service, path in (b"/mapi/emsmdb", b"/mapi/emsmdb/", b"/mapi/nspi", b"/mapi/nspi/")
    if service == "owa":
        evident = method in WEBDAV or b"cmd=" in query.lower()
        return ("owa", evident) if evident or not path.startswith(b"/public") else ("other", True)
    if path.startswith(b"/sogo/dav"):
        return "caldav", True
    if service == "caldav":
        if path.startswith(b"/remote.php") and not path.startswith((b"/remote.php/dav", b"/remote.php/caldav", b"/remote.php/carddav")):
            return "other", True
        return service, b"calendar" in path or b"addressbook" in path
    return service, sure


def request_row(method: bytes, target: bytes, version: bytes, named: dict[bytes, bytes], at: int, parts: tuple[str | None, bytes, bytes], found: tuple[str, bool]) -> HttpRequest:
    """The row of a request; logins and the answer are filled in later. Query and path parameters may hold secrets (;jsessionid=) and are left out.

    Args:
        method, target, version: of the request line.
        named: its fields.
        at: client stream offset.
        parts: what `split_target` says.
        found: what `classify` says.
    """
    host, path, query = parts
    service, sure = found
    if method in (b"CONNECT", b"RPC_CONNECT"):
        host = host_of(target)
    row = HttpRequest(at=at, method=method.decode("latin-1"), host=host or host_of(named.get(b"host")), path=text(path.partition(b";")[0], MAX_PATH_CHARACTERS), version=text(version), service=service,
                      service_sure=sure, user_agent=text(named.get(b"user-agent")), content_type=media_type(named.get(b"content-type")))
    cookies = named.get(b"cookie")
    if cookies is not None:
        row.cookies = cookie_names(cookies)
        row.session_cookie = has_session(row.cookies)
    request_type = named.get(b"x-requesttype")
    if request_type is not None:
        row.request_type = text(request_type, 64)
    if service == "activesync":
        row.principal, row.device_id, row.request_type = activesync_query(query)
    elif service == "rpc-proxy":
        row.rpc_target = text(target if method == b"RPC_CONNECT" else query.partition(b"&")[0], 255)
    return row


def row_of(head: bytes, at: int) -> HttpRequest:
    """The same from a head that `REQUEST_LINE` matches."""
    line = REQUEST_LINE(head)
    target, _, version = line[0].rstrip()[len(line[1]) + 1:].rpartition(b" HTTP/")
    named, parts = fields(head, REQUEST_FIELDS), split_target(target)
    return request_row(line[1], target, version, named, at, parts, classify(line[1], parts[1].lower(), parts[2], named))


def first_segment(target: bytes) -> bytes:
    """The path's first segment in `absolute-form` (RFC 9112 §3.2.2), nothing when there is none."""
    start = target.find(b"/", target.find(b"://") + 3)
    if start < 0:
        return b""
    end = target.find(b"/", start + 1)
    segment = target[start:end] if end > 0 else target[start:]
    return segment.partition(b"?")[0].partition(b";")[0]


def media_type(value: bytes | None) -> str | None:
    """`type "/" subtype` of a Content-Type, lower case, without parameters."""
    return text(value.partition(b";")[0].strip().lower(), 100) if value else None


def location_of(value: bytes | None) -> str | None:
    """`scheme://host` of a Location; None for a target on the same host."""
    if not value:
        return None
    scheme, found, rest = value.partition(b"://")
    if not found or not scheme.isalnum() or len(scheme) > 16:
        return None
    host = host_of(rest.partition(b"/")[0].partition(b"?")[0])
    return f"{scheme.decode('ascii').lower()}://{host}" if host else None


def has_session(names: tuple[str, ...]) -> bool:
    """Whether one of these cookies lets its bearer into a mailbox."""
    for name in names:
        name = name.lower()
        if name.startswith("cadata") or name in SESSION_COOKIES:
            return True
    return False


# --- ActiveSync

def activesync_query(query: bytes) -> tuple[str | None, str | None, str | None]:
    """User, device id and command of an ActiveSync query, plain (`Cmd=&User=&DeviceId=&DeviceType=`) or as one base64 value."""
    if not query:
        return None, None, None
    if b"=" in query.rstrip(b"=") or b"&" in query:
        named = {}
        for pair in query.split(b"&", 32)[:32]:
            name, _, value = pair.partition(b"=")
            named.setdefault(name.lower(), unquote(value, plus=True))
        return text(named.get(b"user"), 512), text(named.get(b"deviceid"), 64), text(named.get(b"cmd"), 64)
    return _activesync_blob(decode_base64(unquote(query)))


def _activesync_blob(blob: bytes | None) -> tuple[str | None, str | None, str | None]:
    """version 1, command 1, locale 2, then device id, policy key and device type, each behind its length, then parameters as tag 1, length 1, value."""
    if not blob or len(blob) < 6 or blob[0] not in EAS_VERSIONS:
        return None, None, None
    command = EAS_COMMANDS.get(blob[1], str(blob[1]))
    pos, found = 4, []
    for _ in range(3):
        if pos >= len(blob):
            break
        end = pos + 1 + blob[pos]
        found.append(blob[pos + 1:end])
        pos = end
    device = found[0]
    user = None
    while pos + 2 <= len(blob):
        end = pos + 2 + blob[pos + 1]
        if blob[pos] == EAS_USER and end <= len(blob):
            user = text(blob[pos + 2:end], 512)
        pos = end
    return user, text(device, 64) if device.isascii() and device.isalnum() else device.hex()[:64] or None, command
