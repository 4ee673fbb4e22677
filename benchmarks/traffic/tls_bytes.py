"""TLS as it looks on the wire: hellos in full (RFC 8446 §4.1, RFC 5246 §7.4), everything encrypted as random bytes of the right length."""
from __future__ import annotations

import datetime
import struct
from functools import lru_cache

import numpy as np

from .script import CLIENT, SERVER, US, Pool, Region, Script, Span

RECORD_BYTES = 5 + 16384 + 17  # full TLS 1.3 record: header, plaintext, content type and tag


def record(content_type: int, body: bytes) -> bytes:
    return struct.pack("!BHH", content_type, 0x0303, len(body)) + body


def handshake(message_type: int, body: bytes) -> bytes:
    return bytes([message_type]) + len(body).to_bytes(3, "big") + body


def _extension(number: int, body: bytes) -> bytes:
    return struct.pack("!HH", number, len(body)) + body


def client_hello(rng: np.random.Generator, server_name: bytes, alpn: tuple[bytes, ...], tls13: bool = True, transport_parameters: bool = False) -> bytes:
    """The record with a ClientHello as OpenSSL 3 sends it."""
    suites = bytes.fromhex("130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f00ff")
    name = struct.pack("!HBH", len(server_name) + 3, 0, len(server_name)) + server_name
    extensions = _extension(0, name) + _extension(11, b"\x03\0\1\2") + _extension(10, bytes.fromhex("0008001d001700180019"))
    extensions += _extension(35, b"") + _extension(22, b"") + _extension(23, b"")
    if alpn:
        names = b"".join(bytes([len(name)]) + name for name in alpn)
        extensions += _extension(16, struct.pack("!H", len(names)) + names)
    extensions += _extension(13, bytes.fromhex("001c040305030603080708080809080a080b080408050806040105010601"))
    if tls13:
        extensions += _extension(43, b"\x04\x03\x04\x03\x03") + _extension(45, b"\x01\x01")
        extensions += _extension(51, struct.pack("!HHH", 36, 29, 32) + rng.bytes(32))
    if transport_parameters:  # RFC 9000 §18.2: idle timeout 30 s, flow control windows
        extensions += _extension(57, bytes.fromhex("0104800075300404804000000504802000000604802000000704802000000802406409024064"))
    body = b"\x03\x03" + rng.bytes(32) + b"\x20" + rng.bytes(32) + struct.pack("!H", len(suites)) + suites + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    return b"\x16\x03\x01" + struct.pack("!H", len(body) + 4) + handshake(1, body)


def server_hello(rng: np.random.Generator, tls13: bool = True, suite12: bytes = b"\xc0\x2b") -> bytes:
    """The handshake message alone; TLS_AES_256_GCM_SHA384, or in TLS 1.2 the given suite, ECDHE-ECDSA with AES-128-GCM."""
    if tls13:
        extensions = _extension(43, b"\x03\x04") + _extension(51, struct.pack("!HH", 29, 32) + rng.bytes(32))
    else:
        extensions = _extension(0xFF01, b"\0") + _extension(11, b"\x03\0\1\2") + _extension(23, b"")
    suite = b"\x13\x02" if tls13 else suite12
    return handshake(2, b"\x03\x03" + rng.bytes(32) + b"\x20" + rng.bytes(32) + suite + b"\0" + struct.pack("!H", len(extensions)) + extensions)


@lru_cache(maxsize=None)
def certificate_chain() -> tuple[bytes, ...]:
    """Leaf and issuer, Ed25519 from fixed keys, so that the same bytes come out each time."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509.oid import NameOID

    issuer_key, leaf_key = Ed25519PrivateKey.from_private_bytes(bytes(range(32))), Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Trust Services"),
                        x509.NameAttribute(NameOID.COMMON_NAME, "Example Issuing CA 3")])
    leaf = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.net")])
    names = x509.SubjectAlternativeName([x509.DNSName(f"{host}{n}.example.net") for n in range(12) for host in ("mail", "imap", "smtp", "www")])
    chain = []
    for subject, key, serial in ((leaf, leaf_key, 0x5EED01), (issuer, issuer_key, 0x5EED02)):
        builder = x509.CertificateBuilder(issuer, subject, key.public_key(), serial, datetime.datetime(2024, 3, 1), datetime.datetime(2025, 3, 1))
        if subject is leaf:
            builder = builder.add_extension(names, critical=False)
        chain.append(builder.sign(issuer_key, None).public_bytes(serialization.Encoding.DER))
    return tuple(chain)


def tls_region(rng: np.random.Generator, pool: Pool) -> Region:
    """Endless full records of application data."""
    period = RECORD_BYTES * 128
    data = np.frombuffer(rng.bytes(period), np.uint8).copy().reshape(128, RECORD_BYTES)
    data[:, :5] = np.frombuffer(struct.pack("!BHH", 23, 0x0303, RECORD_BYTES - 5), np.uint8)
    return pool.region(data.tobytes())


def encrypted(rng: np.random.Generator, length: int) -> bytes:
    """One record of application data that hides `length` bytes."""
    return record(23, rng.bytes(length + 17))


def open_tls(script: Script, rng: np.random.Generator, server_name: bytes, alpn: tuple[bytes, ...] = (), tls13: bool = True) -> tuple[Span, Span]:
    """Both sides' handshake; the spans of ClientHello and ServerHello."""
    hello = script.client(client_hello(rng, server_name, alpn, tls13), think_ns=300 * US)
    answer = server_hello(rng, tls13)
    if tls13:
        flight = record(22, answer) + record(20, b"\1") + b"".join(record(23, rng.bytes(length)) for length in (40, 1900, 97, 69))
        sent = script.server(flight, think_ns=900 * US)
        script.client(record(20, b"\1") + record(23, rng.bytes(69)), think_ns=400 * US)
        if rng.random() < 0.7:
            script.server(record(23, rng.bytes(250)) + record(23, rng.bytes(250)))
        return hello, Span(SERVER, sent.start, sent.start + 5 + len(answer))
    chain = b"".join(len(one).to_bytes(3, "big") + one for one in certificate_chain())
    exchange = b"\x03\0\x1d\x20" + rng.bytes(32) + b"\x08\x07\0\x40" + rng.bytes(64)
    certificates = handshake(11, len(chain).to_bytes(3, "big") + chain)
    flight = b"".join(record(22, message) for message in (answer, certificates, handshake(12, exchange), handshake(14, b"")))
    sent = script.server(flight, think_ns=900 * US)
    script.client(record(22, handshake(16, b"\x20" + rng.bytes(32))) + record(20, b"\1") + record(22, rng.bytes(40)), think_ns=600 * US)
    script.server(record(20, b"\1") + record(22, rng.bytes(40)), think_ns=500 * US)
    return hello, Span(SERVER, sent.start, sent.start + 5 + len(answer))


def tls_data(script: Script, rng: np.random.Generator, side: int, length: int, region: Region, think_ns: int = 300 * US) -> None:
    """`length` plaintext bytes as full records and a shorter last one."""
    full, rest = divmod(length, 16384)
    if full:
        script.bulk(side, region, full * RECORD_BYTES, at=int(rng.integers(128)) * RECORD_BYTES, think_ns=think_ns)
        think_ns = 0
    if rest:
        script.send(side, encrypted(rng, rest), think_ns=think_ns)


def close_tls(script: Script, rng: np.random.Generator, side: int = CLIENT, think_ns: int = 200 * US) -> None:
    """The encrypted close_notify."""
    script.send(side, record(23, rng.bytes(19)), think_ns=think_ns)
