"""QUIC version 1 Initial packets, really encrypted (RFC 9001 §5), so that readers that decrypt them find a ClientHello; everything later is random."""
from __future__ import annotations

import hashlib
import hmac
import struct

import numpy as np

SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # RFC 9001 §5.2
SAMPLE_AT = 4  # the header protection sample begins where a four-byte packet number would end


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context, one block (RFC 8446 §7.1)."""
    label = b"tls13 " + label
    return hmac.new(secret, struct.pack("!HB", length, len(label)) + label + b"\0\1", hashlib.sha256).digest()[:length]


def initial(client_id: bytes, destination: bytes, source: bytes, frames: bytes, server: bool) -> bytes:
    """An Initial packet with packet number 0; `client_id` is the destination id of the client's first packet."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    secret = _expand(hmac.new(SALT_V1, client_id, hashlib.sha256).digest(), b"server in" if server else b"client in", 32)
    length = 0x4000 | 2 + len(frames) + 16
    header = b"\xc1\0\0\0\1" + bytes([len(destination)]) + destination + bytes([len(source)]) + source + b"\0" + struct.pack("!H", length) + b"\0\0"
    sealed = AESGCM(_expand(secret, b"quic key", 16)).encrypt(_expand(secret, b"quic iv", 12), frames, header)
    protector = Cipher(algorithms.AES(_expand(secret, b"quic hp", 16)), modes.ECB()).encryptor()
    sample = sealed[SAMPLE_AT - 2:SAMPLE_AT - 2 + 16]
    mask = protector.update(sample)
    return bytes([header[0] ^ mask[0] & 0x0F]) + header[1:-2] + bytes([mask[1], mask[2]]) + sealed


def crypto(data: bytes) -> bytes:
    """A CRYPTO frame at offset 0 (RFC 9000 §19.6)."""
    return b"\6\0" + struct.pack("!H", 0x4000 | len(data)) + data


def hello_packets(rng: np.random.Generator, client_hello: bytes, server_hello: bytes, server_id: bytes) -> tuple[bytes, bytes, bytes]:
    """Client Initial, server Initial, server Handshake; the hellos are handshake messages without record headers."""
    client_id, source = rng.bytes(8), rng.bytes(8)
    first = initial(client_id, client_id, source, crypto(client_hello).ljust(1_180, b"\0"), False)
    answer = initial(client_id, source, server_id, (b"\2\0\0\0\0" + crypto(server_hello)).ljust(1_180, b"\0"), True)
    body = rng.bytes(900)
    handshake = b"\xe1\0\0\0\1\x08" + source + bytes([len(server_id)]) + server_id + struct.pack("!H", 0x4000 | len(body)) + body
    return first, answer, handshake
