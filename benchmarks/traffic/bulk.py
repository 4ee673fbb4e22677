"""What is not mail: HTTPS, HTTP, QUIC, SSH, SMB, DNS, and three text protocols that a careless reader takes for mail (FTP, Redis, IRC)."""
from __future__ import annotations

import struct
from typing import Callable

import numpy as np

from .quic_bytes import hello_packets
from .script import CLIENT, MS, SERVER, US, Pool, Region, Script
from .tls_bytes import client_hello, close_tls, open_tls, server_hello, tls_data

QUIC_DATAGRAM_BYTES = 1252
QUIC_SERVER_ID = bytes.fromhex("1c835f09aa421077")


def _log_normal(rng: np.random.Generator, median: float, sigma: float, ceiling: int) -> int:
    return int(min(max(rng.lognormal(np.log(median), sigma), 200), ceiling))


class Regions:
    """Endless payloads, drawn once."""

    def __init__(self, pool: Pool, rng: np.random.Generator, tls: Region):
        self.tls = tls
        self.binary = pool.region(rng.bytes(1 << 20))
        words = b" ".join([b"<p>lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore</p>\n"] * 64)
        self.text = pool.region(words)
        datagrams = np.frombuffer(rng.bytes(QUIC_DATAGRAM_BYTES * 256), np.uint8).copy().reshape(256, QUIC_DATAGRAM_BYTES)
        datagrams[:, 0] = 0x40 | datagrams[:, 0] & 0x3F  # RFC 9000 §17.3.1: short header
        datagrams[:, 1:9] = np.frombuffer(QUIC_SERVER_ID, np.uint8)
        self.quic = pool.region(datagrams.tobytes())


class BulkWriter:
    """Writes scripts of everything but mail; `ceiling` is the largest transfer in bytes."""

    def __init__(self, pool: Pool, rng: np.random.Generator, regions: Regions, ceiling: int):
        self.pool, self.rng, self.regions, self.ceiling = pool, rng, regions, ceiling

    def _script(self, kind: str, port: int, udp: bool = False, servers: str = "internet", ending: str = "fin-client") -> Script:
        script = Script(self.pool, kind, port, udp=udp)
        script.servers, script.ending = servers, ending
        return script

    def _pause(self, low_ms: float = 5, high_ms: float = 400) -> int:
        return int(self.rng.uniform(low_ms, high_ms) * MS)

    def _https(self, kind: str, tls13: bool) -> Script:
        script = self._script(kind, 443, ending=("fin-client", "fin-server", "reset")[int(self.rng.integers(3))])
        name = b"cdn%d.shop.example" % int(self.rng.integers(500))
        open_tls(script, self.rng, name, (b"h2", b"http/1.1"), tls13)
        total = _log_normal(self.rng, 18_000, 1.8, self.ceiling)
        exchanges = 1 + min(int(self.rng.geometric(0.3)), 12)
        upload = self.rng.random() < 0.06
        for share in self.rng.dirichlet(np.ones(exchanges)):
            tls_data(script, self.rng, CLIENT, int(total * share) if upload else int(self.rng.integers(120, 1_400)), self.regions.tls,
                     think_ns=self._pause(1, 250))
            tls_data(script, self.rng, SERVER, int(self.rng.integers(80, 900)) if upload else int(total * share) + 80, self.regions.tls,
                     think_ns=self._pause(1, 60))
        close_tls(script, self.rng, think_ns=self._pause(100, 1_500))
        return script

    def https13(self) -> Script:
        return self._https("https-tls13", True)

    def https12(self) -> Script:
        return self._https("https-tls12", False)

    def http(self) -> Script:
        script = self._script("http", 80, ending="fin-server")
        for _n in range(1 + min(int(self.rng.geometric(0.5)), 6)):
            length = _log_normal(self.rng, 15_000, 1.8, self.ceiling)
            text = self.rng.random() < 0.4
            path = self.rng.bytes(9).hex().encode()
            script.client(b"GET /files/" + path
                          + b" HTTP/1.1\r\nHost: www%d.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\n"
                          b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n" % int(self.rng.integers(200)),
                          think_ns=self._pause(1, 300))
            kind = b"text/html; charset=utf-8" if text else b"application/octet-stream"
            script.server(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: " + kind
                          + b"\r\nContent-Length: %d\r\nLast-Modified: Fri, 03 May 2024 10:00:00 GMT\r\n"
                          b"Connection: keep-alive\r\n\r\n" % length, think_ns=self._pause(1, 40))
            script.bulk(SERVER, self.regions.text if text else self.regions.binary, length)
        return script

    def quic(self) -> Script:
        script = self._script("quic", 443, udp=True)
        hello = client_hello(self.rng, b"video%d.stream.example" % int(self.rng.integers(200)), (b"h3",), transport_parameters=True)[5:]
        for side, packet in zip((CLIENT, SERVER, SERVER), hello_packets(self.rng, hello, server_hello(self.rng), QUIC_SERVER_ID)):
            script.send(side, packet, think_ns=MS)
        for _n in range(1 + min(int(self.rng.geometric(0.4)), 8)):
            script.client(b"\x44" + QUIC_SERVER_ID + self.rng.bytes(int(self.rng.integers(60, 700))), think_ns=self._pause(1, 200))
            total = _log_normal(self.rng, 20_000, 1.8, self.ceiling)
            sent = 0
            while sent < total:
                burst = min(int(self.rng.integers(4, 24)), (total - sent) // QUIC_DATAGRAM_BYTES + 1)
                script.bulk(SERVER, self.regions.quic, burst * QUIC_DATAGRAM_BYTES, at=int(self.rng.integers(256)) * QUIC_DATAGRAM_BYTES, think_ns=200 * US)
                sent += burst * QUIC_DATAGRAM_BYTES
                for _ack in range(1 + burst // 8):
                    script.client(b"\x45" + QUIC_SERVER_ID + self.rng.bytes(int(self.rng.integers(28, 44))), think_ns=30 * US)
        return script

    def ssh(self) -> Script:
        script = self._script("ssh", 22, servers="office")
        script.server(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", think_ns=3 * MS)
        script.client(b"SSH-2.0-OpenSSH_9.6\r\n")
        names = (b"curve25519-sha256,ecdh-sha2-nistp256", b"ssh-ed25519,rsa-sha2-512", *[b"chacha20-poly1305@openssh.com,aes256-ctr"] * 2,
                 *[b"hmac-sha2-256"] * 2, *[b"none"] * 2, b"", b"")
        lists = b"".join(struct.pack("!I", len(name)) + name for name in names)
        for side in (CLIENT, SERVER):
            body = b"\x14" + self.rng.bytes(16) + lists + b"\0" * 5
            padding = 8 - (len(body) + 5) % 8 + 8
            script.send(side, struct.pack("!IB", len(body) + padding + 1, padding) + body + b"\0" * padding, think_ns=MS)
        if self.rng.random() < 0.5:
            for _key in range(int(self.rng.integers(10, 120))):
                script.client(self.rng.bytes(36), think_ns=self._pause(5, 60))
                script.server(self.rng.bytes(int(self.rng.integers(9, 60)) * 4))
        else:
            upload = self.rng.random() < 0.5
            script.client(self.rng.bytes(400))
            script.server(self.rng.bytes(120))
            script.bulk(CLIENT if upload else SERVER, self.regions.binary, _log_normal(self.rng, 150_000, 1.5, self.ceiling),
                        at=int(self.rng.integers(1 << 20)), think_ns=MS)
            script.send(SERVER if upload else CLIENT, self.rng.bytes(60), think_ns=MS)
        return script

    def smb(self) -> Script:
        """Reads and writes of files: NetBIOS length, SMB2 header, data."""
        script = self._script("smb", 445, servers="office", ending="reset")
        for number in range(1 + min(int(self.rng.geometric(0.12)), 40)):
            command = (8, 9)[int(self.rng.random() < 0.3)]
            length = min(_log_normal(self.rng, 30_000, 1.2, 1 << 20), self.ceiling)
            request = b"\xfeSMB\x40\0\1\0\0\0\0\0" + struct.pack("<HHIIQIIQ16s", command, 64, 0, 0, number, 0xFEFF, 5, 0x1122334455667788, b"")
            answer = b"\xfeSMB\x40\0\1\0\0\0\0\0" + struct.pack("<HHIIQIIQ16s", command, 64, 1, 0, number, 0xFEFF, 5, 0x1122334455667788, b"")
            file_id = bytes.fromhex("0d000000000000000d00000000000000")
            if command == 8:
                body = struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, length, number << 16, file_id, 0, 0, 0, 0, 0) + b"\0"
                script.client(struct.pack("!I", len(request) + len(body)) + request + body, think_ns=self._pause(0.1, 20))
                body = struct.pack("<HBBIII", 17, 80, 0, length, 0, 0)
                script.server(struct.pack("!I", len(answer) + len(body) + length) + answer + body, think_ns=self._pause(0.1, 3))
                script.bulk(SERVER, self.regions.binary, length, at=int(self.rng.integers(1 << 20)))
            else:
                body = struct.pack("<HHIQ16sIIHHI", 49, 112, length, number << 16, file_id, 0, 0, 0, 0, 0)
                script.client(struct.pack("!I", len(request) + len(body) + length) + request + body, think_ns=self._pause(0.1, 20))
                script.bulk(CLIENT, self.regions.binary, length, at=int(self.rng.integers(1 << 20)))
                body = struct.pack("<HHIIHH", 17, 0, length, 0, 0, 0)
                script.server(struct.pack("!I", len(answer) + len(body)) + answer + body, think_ns=self._pause(0.1, 3))
        return script

    def dns(self) -> Script:
        script = self._script("dns", 53, udp=True, servers="office")
        name = b"".join(bytes([len(label)]) + label for label in (b"cdn%d" % int(self.rng.integers(500)), b"shop", b"example")) + b"\0"
        question = name + b"\0\1\0\1"
        number = self.rng.bytes(2)
        script.client(number + b"\1\0\0\1\0\0\0\0\0\0" + question)
        answers = int(self.rng.integers(1, 9))
        script.server(number + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0) + question
                      + b"".join(b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + b"\x64\x40" + self.rng.bytes(2) for _n in range(answers)), think_ns=self._pause(0.2, 30))
        return script

    def ftp(self) -> Script:
        script = self._script("ftp", 21, servers="office")
        script.server(b"220 ProFTPD Server ready.\r\n", think_ns=2 * MS)
        for command, answer in ((b"USER backup", b"331 Password required for backup"), (b"PASS not-a-mail-password", b"230 User backup logged in"),
                                (b"TYPE I", b"200 Type set to I"), (b"EPSV", b"229 Entering Extended Passive Mode (|||49200|)"),
                                (b"STOR daily.tar", b"150 Opening BINARY mode data connection"), (b"QUIT", b"221 Goodbye.")):
            script.client(command + b"\r\n", think_ns=self._pause(1, 30))
            script.server(answer + b"\r\n")
        return script

    def redis(self) -> Script:
        script = self._script("redis", 6379, servers="office", ending="open")
        for number in range(int(self.rng.integers(2, 40))):
            key = b"session:%d" % number
            script.client(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5\r\nvalue\r\n" % (len(key), key), think_ns=self._pause(1, 80))
            script.server(b"+OK\r\n")
        return script

    def irc(self) -> Script:
        script = self._script("irc", 6667, servers="office", ending="open")
        script.client(b"NICK tester\r\nUSER tester 0 * :Tester\r\n")
        script.server(b":irc.example NOTICE AUTH :*** Looking up your hostname\r\n:irc.example 001 tester :Welcome\r\n"
                      b":irc.example 376 tester :End of MOTD\r\n", think_ns=5 * MS)
        script.client(b"JOIN #ops\r\n")
        script.server(b":tester!t@host JOIN #ops\r\n:irc.example 366 tester #ops :End of NAMES list\r\n")
        for _n in range(int(self.rng.integers(1, 20))):
            script.server(b":other!o@host PRIVMSG #ops :deployment finished\r\n", think_ns=self._pause(10, 300))
        return script


# share of the bytes that are not mail, in percent, what writes one, and how many scripts of it there are
MIX: tuple[tuple[float, Callable[[BulkWriter], Script], int], ...] = (
    (48.6, BulkWriter.https13, 96), (14, BulkWriter.https12, 48), (9, BulkWriter.http, 48), (16, BulkWriter.quic, 48), (5, BulkWriter.ssh, 24),
    (6.9, BulkWriter.smb, 24), (0.4, BulkWriter.dns, 32), (0.04, BulkWriter.ftp, 1), (0.04, BulkWriter.redis, 8), (0.02, BulkWriter.irc, 4),
)
