"""TLS conversations made in memory by OpenSSL, with the key log that the client writes."""
from __future__ import annotations

import datetime
import functools
import pathlib
import ssl
import tempfile

HOST = "mail.example.org"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

SUBMISSION = [
    (1, b"220 mail.example.org ESMTP\r\n"), (0, b"EHLO pc.example.net\r\n"), (1, b"250-mail.example.org\r\n250 AUTH PLAIN\r\n"), (0, b"AUTH PLAIN AGFsaWNlAFMzY3JldC0x\r\n"),
    (1, b"235 2.7.0 ok\r\n"), (0, b"MAIL FROM:<alice@example.org>\r\n"), (1, b"250 ok\r\n"), (0, b"RCPT TO:<bob@example.org>\r\n"), (1, b"250 ok\r\n"), (0, b"DATA\r\n"),
    (1, b"354 go\r\n"), (0, b"Message-ID: <1@example.org>\r\nSubject: hello\r\n\r\n" + b"lines of text\r\n" * 2000 + b".\r\n"), (1, b"250 queued\r\n"), (0, b"QUIT\r\n"), (1, b"221 bye\r\n")]
PASSWORD = b"S3cret-1"


@functools.cache
def _certificate() -> tuple[str, str]:
    """Paths of a certificate and its key, made once for all tests of a run."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime(2023, 1, 1)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7).not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=3650)).sign(key, hashes.SHA256()))
    folder = pathlib.Path(_folder().name)
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "cert.pem"), str(folder / "key.pem")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


def encrypted(turns: list[tuple[int, bytes]], version: ssl.TLSVersion = TLS13, alpn: list[str] | None = None) -> tuple[list[tuple[int, bytes]], str]:
    """(what passes on the wire, key log) when two sides say `turns` (side, bytes) inside TLS."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(*_certificate())
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    log = pathlib.Path(_folder().name) / "keys"
    log.unlink(missing_ok=True)
    client.keylog_filename = str(log)
    client.minimum_version = client.maximum_version = version
    for context in (server, client) if alpn else ():
        context.set_alpn_protocols(alpn)
    buffers = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]  # incoming, outgoing
    ends = [client.wrap_bio(*buffers[0], server_hostname=HOST), server.wrap_bio(*buffers[1], server_side=True)]
    wire: list[tuple[int, bytes]] = []

    def carry() -> None:
        for side in (0, 1):
            data = buffers[side][1].read()
            if data:
                wire.append((side, data))
                buffers[1 - side][0].write(data)

    for _round in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            carry()
    for side, data in turns:
        ends[side].write(data)
        carry()
        left = len(data)
        while left:
            left -= len(ends[1 - side].read(left))
    return wire, log.read_text()
