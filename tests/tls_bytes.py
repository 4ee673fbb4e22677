"""TLS messages and certificates for tests, written by hand from the grammars of RFC 8446, RFC 5246 and the SSL 2.0 specification."""
from __future__ import annotations

import datetime
import functools
import random

from pcapsec.protocols.tls import TlsParser
from pcapsec.records import CLIENT, SERVER, TlsHandshake


def u16(n: int) -> bytes:
    return n.to_bytes(2, "big")


def u24(n: int) -> bytes:
    return n.to_bytes(3, "big")


def vector(body: bytes, size: int = 2) -> bytes:
    """A body behind its length."""
    return len(body).to_bytes(size, "big") + body


def codes(*numbers: int) -> bytes:
    return b"".join(map(u16, numbers))


def record(kind: int, body: bytes, version: int = 0x0301) -> bytes:
    return bytes([kind]) + u16(version) + vector(body)


def message(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + vector(body, 3)


def extension(kind: int, body: bytes = b"") -> bytes:
    return u16(kind) + vector(body)


def client_hello(version: int = 0x0303, extensions: bytes = b"", session: bytes = b"", suites: bytes = codes(0x2A2A, 0x1301, 0xC02F), compressions: bytes = b"\0") -> bytes:
    body = u16(version) + bytes(range(32)) + vector(session, 1) + vector(suites) + vector(compressions, 1)
    return message(1, body + (vector(extensions) if extensions else b""))


def server_hello(version: int = 0x0303, suite: int = 0xC02F, extensions: bytes = b"", nonce: bytes = bytes(32), session: bytes = b"", compression: int = 0) -> bytes:
    body = u16(version) + nonce + vector(session, 1) + u16(suite) + bytes([compression])
    return message(2, body + (vector(extensions) if extensions else b""))


def certificates(*ders: bytes) -> bytes:
    return message(11, vector(b"".join(vector(der, 3) for der in ders), 3))


def ecdhe(group: int = 23, signature: int = 0x0403) -> bytes:
    return message(12, b"\3" + u16(group) + vector(bytes(65), 1) + u16(signature) + vector(bytes(70)))


def dhe(prime: bytes, signature: int | None = 0x0401) -> bytes:
    return message(12, vector(prime) + vector(b"\2") + vector(bytes(len(prime))) + (u16(signature) if signature is not None else b"") + vector(bytes(256)))


def sni(name: str) -> bytes:
    return extension(0, vector(b"\0" + vector(name.encode())))


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(b"".join(vector(name, 1) for name in names)))


DONE = message(14)
CLIENT_KEY = message(16, bytes(66))
CCS = record(20, b"\1")
FINISHED = record(22, bytes(range(40)))
DATA = record(23, bytes(100))
VERSIONS = extension(43, vector(codes(0x4A4A, 0x0304, 0x0303), 1))
SNI, ALPN = sni("mail.example"), alpn(b"\x1a\x1a", b"imap", b"smtp")
CHOSE_13 = extension(43, u16(0x0304)) + extension(51, u16(29) + vector(bytes(32)))

Turn = tuple[int, "bytes | int"]


def tls12(*, client: bytes | None = None, server: bytes | None = None, chain: tuple[bytes, ...] = (), exchange: bytes | None = None) -> list[Turn]:
    """A full handshake of TLS 1.2 or less, and a record of data."""
    client = client_hello(extensions=SNI + ALPN) if client is None else client
    server = server_hello() if server is None else server
    return [(CLIENT, record(22, client)),
            (SERVER, record(22, server) + record(22, certificates(*chain)) + (record(22, exchange) if exchange else b"") + record(22, DONE)),
            (CLIENT, record(22, CLIENT_KEY) + CCS + FINISHED), (SERVER, CCS + FINISHED), (CLIENT, DATA)]


def tls13(*, client: bytes | None = None, server: bytes | None = None) -> list[Turn]:
    """A full handshake of TLS 1.3 as middleboxes like it."""
    client = client_hello(extensions=VERSIONS + SNI, session=bytes(32)) if client is None else client
    server = server_hello(suite=0x1301, extensions=CHOSE_13, session=bytes(32)) if server is None else server
    return [(CLIENT, record(22, client)), (SERVER, record(22, server) + CCS + DATA), (CLIENT, CCS + DATA), (SERVER, DATA)]


def parse(turns, *, finish: bool = False, **keywords) -> TlsParser:
    """The parser after all turns; an int is that many lost bytes."""
    parser = TlsParser(**keywords)
    at = [0, 0]
    for side, data in turns:
        if isinstance(data, int):
            parser.gap(side, data, at[side])
            at[side] += data
        else:
            parser.feed(side, data, at[side])
            at[side] += len(data)
    if finish:
        parser.finish()
    return parser


def cut(turns, seed: int):
    """The same bytes in other pieces; seed 0: byte by byte."""
    chance = random.Random(seed)
    for side, data in turns:
        while data:
            n = chance.randint(1, 60) if seed else 1
            yield side, data[:n]
            data = data[n:]


def same(turns, anomalies: tuple[str, ...] = ()) -> TlsHandshake:
    """The handshake, after checking that cuts change neither it nor the anomalies."""
    whole = parse(turns)
    for seed in range(6):
        other = parse(cut(turns, seed))
        assert other.handshake == whole.handshake
        assert other.anomalies == whole.anomalies
    assert tuple(one.code for one in whole.anomalies) == anomalies
    return whole.handshake


# --- certificates, made by `cryptography`

@functools.cache
def key(kind: str = "EC", size: int = 256):
    """A private key; one of each sort in a run."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    if kind == "RSA":
        return rsa.generate_private_key(65537, size)
    if kind == "DSA":
        return dsa.generate_private_key(size)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key({256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}[size])


def make_certificate(subject: str = "CN=mail.example", *, issuer: str | None = None, signer=None, public=None, names=("mail.example",), begin: str = "2024-01-01",
                     end: str = "2025-01-01", hash_name: str = "SHA256", ca: bool | None = None, identifiers: bool = True, serial: int = 0x1234, purposes=("1.3.6.1.5.5.7.3.1",)) -> bytes:
    """DER of a certificate; self-signed unless it has an issuer."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    public = public or key()
    signer = signer or public
    builder = (x509.CertificateBuilder().subject_name(x509.Name.from_rfc4514_string(subject)).issuer_name(x509.Name.from_rfc4514_string(issuer or subject))
               .public_key(public.public_key()).serial_number(serial).not_valid_before(datetime.datetime.fromisoformat(begin)).not_valid_after(datetime.datetime.fromisoformat(end)))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() or ":" in name else x509.RFC822Name(name) if "@" in name else x509.DNSName(name) for name in names]), False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier(one) for one in purposes]), False)
    if identifiers:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    algorithm = None if type(signer).__name__.startswith(("Ed", "_Ed")) else getattr(hashes, hash_name)()
    return builder.sign(signer, algorithm).public_bytes(serialization.Encoding.DER)
