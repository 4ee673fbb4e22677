"""LDAP messages built field by field (RFC 4511 §4)."""
from __future__ import annotations

from tests.security_tokens import der

STARTTLS = b"1.3.6.1.4.1.1466.20037"


def number(value: int, tag: int = 2) -> bytes:
    return der(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def message(message_id: int, operation: bytes, controls: bytes = b"") -> bytes:
    return der(0x30, number(message_id), operation, controls)


def bind(message_id: int, name: bytes, choice: bytes, version: int = 3) -> bytes:
    return message(message_id, der(0x60, number(version), der(4, name), choice))


def simple(message_id: int, name: bytes, password: bytes, version: int = 3) -> bytes:
    return bind(message_id, name, der(0x80, password), version)


def sasl(message_id: int, mechanism: bytes, token: bytes | None = None, name: bytes = b"") -> bytes:
    return bind(message_id, name, der(0xA3, der(4, mechanism), b"" if token is None else der(4, token)))


def result(message_id: int, code: int = 0, *more: bytes, tag: int = 0x61, matched: bytes = b"", text: bytes = b"") -> bytes:
    """A BindResponse, or with another tag another answer that holds an LDAPResult."""
    return message(message_id, der(tag, number(code, 0x0A), der(4, matched), der(4, text), *more))


def challenge(message_id: int, token: bytes, code: int = 14) -> bytes:
    return result(message_id, code, der(0x87, token))


def search(message_id: int, base: bytes = b"dc=example", scope: int = 2, *attributes: bytes) -> bytes:
    return message(message_id, der(
        0x63, der(4, base), number(scope, 0x0A), number(0, 0x0A), number(0), number(0), der(1, b"\0"), der(0x87, b"objectClass"),
        der(0x30, *(der(4, name) for name in attributes))))


def entry(message_id: int, name: bytes = b"cn=x,dc=example", **attributes: list[bytes]) -> bytes:
    listed = (der(0x30, der(4, kind.encode()), der(0x31, *(der(4, value) for value in values))) for kind, values in attributes.items())
    return message(message_id, der(0x64, der(4, name), der(0x30, *listed)))


def extended(message_id: int, name: bytes) -> bytes:
    return message(message_id, der(0x77, der(0x80, name)))


def extended_answer(message_id: int, code: int = 0, name: bytes = b"", text: bytes = b"") -> bytes:
    return result(message_id, code, *([der(0x8A, name)] if name else []), tag=0x78, text=text)


def wrapped(token: bytes) -> bytes:
    """A buffer under a SASL security layer (RFC 4422 §3.7)."""
    return len(token).to_bytes(4, "big") + token


UNBIND = bytes.fromhex("30050201074200")
DONE = 0x65
CLIENT_HELLO = bytes.fromhex("160301000501000001fe")
SERVER_HELLO = bytes.fromhex("160303000502000001fd")
