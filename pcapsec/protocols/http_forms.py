"""Logins in bodies: forms (application/x-www-form-urlencoded, multipart/form-data) and JSON objects with a password field and a user field.

Field names are compared by their letters and digits alone, in lower case. Only the first password field counts; an empty one is no login. Where a body was cut, its last field
is left out, as half a password is none.
"""
from __future__ import annotations

import json
import re

from ..records import Login
from ..secret import Secret
from .http_heads import text, unquote

MAX_FORM_BYTES = 16384  # of a body that is kept to look for a login; such forms stay below 2 KiB
MAX_FORM_FIELDS = 256
MAX_JSON_VALUES = 256
MAX_JSON_DEPTH = 3  # {"user": {"password": …}}
MAX_NAME_CHARACTERS = 512

_PASSWORD_ENDS = ("password", "passwd", "pwd", "pass", "passphrase", "secretkey", "passwort", "kennwort")
_NO_PASSWORDS = ("bypass", "compass", "encompass", "hasspass", "forgotpassword", "resetpassword", "showpassword", "rememberpassword", "savepassword", "lostpassword")
_USERS = frozenset((
    "user", "username", "userid", "login", "loginname", "loginid", "loginuser", "loginusername", "logonname", "email", "emailaddress", "mail", "mailaddress", "account", "accountname",
    "uid", "usr", "uname", "name", "log", "horde_user", "hordeuser", "imapuser", "jusername", "useremail", "loginemail", "rainloopemail", "identifier", "principal", "member"))
_USER_ENDS = ("username", "userid", "login", "email", "user")
_OTHER = re.compile(r"[^a-z0-9]+")
_DISPOSITION = re.compile(rb'content-disposition[ \t]*+:[^\r\n]*?[; \t]name[ \t]*+=[ \t]*+(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY = re.compile(rb'boundary[ \t]*+=[ \t]*+(?:"([^"\r\n]{1,200})"|([^\s;,"]{1,200}))', re.IGNORECASE)


def _names_a_password(body: bytes | bytearray) -> bool:
    """Whether anything in a body may be a password field's name; a search by one pattern takes seven times as long."""
    lower = body.lower()
    return b"pass" in lower or b"pwd" in lower or b"secretkey" in lower or b"kennwort" in lower


def may_hold_login(content_type: bytes | None) -> str | None:
    """Which kind of body a content type announces: urlencoded, multipart, json; None when it is no form."""
    if content_type is None:
        return None
    kind = content_type[:40].lower()
    if b"x-www-form-urlencoded" in kind:
        return "urlencoded"
    if b"multipart/form-data" in kind:
        return "multipart"
    return "json" if b"json" in kind else None


def read_fields(body: bytes, kind: str, content_type: bytes, complete: bool) -> list[tuple[str, bytes]]:
    """Names and values of a body, in order."""
    if kind == "json":
        return _read_json(body) if complete else []
    if kind == "multipart":
        return _read_multipart(body, content_type, complete)
    pairs = body.split(b"&", MAX_FORM_FIELDS)[:MAX_FORM_FIELDS]
    if not complete:
        pairs.pop()
    out = []
    for pair in pairs:
        name, found, value = pair.partition(b"=")
        if found:
            out.append((unquote(name, plus=True).decode("latin-1")[:100], unquote(value.strip(), plus=True)))
    return out


def _read_multipart(body: bytes, content_type: bytes, complete: bool) -> list[tuple[str, bytes]]:
    """`--boundary CRLF fields CRLF CRLF content CRLF --boundary …--` (RFC 7578 §4.1)."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        return []
    parts = body.split(b"--" + (match[1] or match[2]), MAX_FORM_FIELDS)[1:MAX_FORM_FIELDS]
    if not complete:
        parts = parts[:-1]
    out = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        name = _DISPOSITION.search(head[:1024])
        if name is not None:
            out.append(((name[1] or name[2] or b"").decode("latin-1")[:100], content.removesuffix(b"\r\n")))
    return out


def _read_json(body: bytes) -> list[tuple[str, bytes]]:
    try:
        root = json.loads(body)
    except (ValueError, RecursionError):
        return []
    out: list[tuple[str, bytes]] = []
    level = [root]
    for _ in range(MAX_JSON_DEPTH):
        deeper = []
        for node in level:
            for name, value in node.items() if isinstance(node, dict) else ():
                if isinstance(value, str):
                    out.append((name[:100], value.encode("utf-8", "surrogatepass")))
                elif isinstance(value, dict):
                    deeper.append(value)
                if len(out) + len(deeper) >= MAX_JSON_VALUES:
                    return out
        level = deeper
    return out


def _is_password(name: str) -> bool:
    return name.endswith(_PASSWORD_ENDS) and name not in _NO_PASSWORDS


def _is_user(name: str) -> bool:
    return name in _USERS or name.endswith(_USER_ENDS)


def form_login(body: bytes | bytearray, kind: str, content_type: bytes, complete: bool, at: int, body_at: int, alone: bool) -> Login | None:
    """The login in a body; None when there is none.

    Args:
        body: its first bytes, transfer coding undone.
        kind: as `may_hold_login` says.
        complete: `body` is all of it.
        at: client stream offset of the request line.
        body_at: that of the body.
        alone: a password field is enough, as the path says that this is a login.
    """
    if not _names_a_password(body):
        return None
    body = bytes(body)
    user = password = None
    user_field = password_field = ""
    for name, value in read_fields(body, kind, content_type, complete):
        plain = _OTHER.sub("", name.lower())
        if password is None and _is_password(plain):
            if value:
                password, password_field = value, name
        elif user is None and value and _is_user(plain):
            user, user_field = value, name
    if password is None or (user is None and not alone):
        return None
    login = Login(protocol="http", mechanism="FORM", at=at, principal=text(user, MAX_NAME_CHARACTERS), secret=Secret(password), secret_at=body_at, exposure="password")
    login.details["form"] = kind
    login.details["fields"] = [text(name.encode("latin-1", "replace"), 40) for name in (user_field, password_field) if name]
    return login
