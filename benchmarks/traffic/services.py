"""What carries mail besides its own protocols: DCE/RPC as Outlook speaks it, HTTP with some mail services among much else, TLS with whole handshakes.

A certificate that is to be another one in each connection has a slot as its serial number, so its signature does not hold; nobody here verifies it.
"""
from __future__ import annotations

import struct
from typing import Callable

import numpy as np

from .certificates import NAMES, SERIAL, usual_chain
from .script import CLIENT, MESSAGE, MS, PASSWORD, SERVER, USER, Pool, Region, Script, Span
from .tls_bytes import client_hello, close_tls, encrypted, handshake, open_tls, record, server_hello, tls_data

CALLS = 50
REQUESTS = 10
MAIL_SHARE = 0.05  # of the HTTP connections
_NDR = bytes.fromhex("045d888aeb1cc9119fe808002b10486002000000")
_INTERFACES = {  # share of connections, UUID and version on the wire, opnums
    "emsmdb": (0.5, "00dbf1a447ca6710b31f00dd010662da51000000", (11,)), "nspi": (0.2, "185accf564421a108c5908002b2f842638000000", (3, 9, 20)),
    "samr": (0.3, "785734123412cdabef000123456789ac01000000", (5, 7, 17, 34)),
}
_SIGN_SEAL_128_KEY_EXCHANGE = 0x60088232  # with OEM names, NTLM and extended session security


class ServiceWriter:
    """Writes scripts of one kind each."""

    def __init__(self, pool: Pool, rng: np.random.Generator, tls: Region, ceiling: int):
        self.pool, self.rng, self.region, self.ceiling = pool, rng, tls, ceiling

    def _script(self, kind: str, port: int, servers: str = "office", protocol: str | None = None) -> Script:
        script = Script(self.pool, kind, port, protocol)
        script.servers = servers
        return script

    def _pause(self, low_ms: float, high_ms: float) -> int:
        return int(self.rng.uniform(low_ms, high_ms) * MS)

    # --- DCE/RPC

    def _pdu(self, kind: int, call: int, body: bytes, flags: int = 3, level: int = 0, token: bytes = b"", padding: int = 0) -> bytes:
        """Header, body, and a sec_trailer with its token where there is one ([MS-RPCE] §2.2.2)."""
        trailer = struct.pack("<BBBBI", 10, level, padding, 0, 79231) + token if token else b""
        body += bytes(padding)
        return struct.pack("<BBBB4sHHI", 5, 0, kind, flags, b"\x10\0\0\0", 16 + len(body) + len(trailer), len(token), call) + body + trailer

    def rpc(self, alter: bool = False) -> Script:
        """Bind with NTLM in three steps, then 50 calls: at privacy, or bound at CONNECT and called in clear.

        Args:
            alter: the third step is an alter_context with an answer, as with SPNEGO, and not an auth3. Suricata 7 reports an error at an auth3 and reads no
                call behind it, so the two cost it differently.
        """
        draw = self.rng.random()
        name = "emsmdb" if draw < 0.5 else "nspi" if draw < 0.7 else "samr"
        _share, interface, opnums = _INTERFACES[name]
        level = 6 if self.rng.random() < 0.7 else 2
        script = self._script(f"rpc-{name}-level{level}", 49152 + int(self.rng.integers(8)), protocol="dcerpc")
        script.ending = ("fin-client", "reset")[int(self.rng.integers(2))]
        rng = self.rng
        context = struct.pack("<HHIB3xHBx", 5840, 5840, 0, 1, 0, 1) + bytes.fromhex(interface) + _NDR
        negotiate = b"NTLMSSP\0" + struct.pack("<II", 1, _SIGN_SEAL_128_KEY_EXCHANGE) + bytes(16) + bytes.fromhex("0a00614a0000000f")
        bound = script.client(self._pdu(11, 1, context, 7, level, negotiate), think_ns=self._pause(0.2, 5))
        target = b"".join(struct.pack("<HH", number, 10) + "DOM01".encode("utf-16-le") for number in (2, 1)) + bytes(4)
        challenge = b"NTLMSSP\0" + struct.pack("<IHHII", 2, 5, 5, 56, _SIGN_SEAL_128_KEY_EXCHANGE | 0x800000) + rng.bytes(8) + bytes(8) \
            + struct.pack("<HHI", len(target), len(target), 61) + bytes.fromhex("0a00614a0000000f") + b"DOM01" + target
        answer = struct.pack("<HHIH6s", 5840, 5840, int(rng.integers(1, 1 << 30)), 6, b"49152\0") + b"\1\0\0\0" + bytes(4) + _NDR
        challenged = script.server(self._pdu(12, 1, answer, 7, level, challenge), think_ns=self._pause(0.3, 3))
        proof, names = rng.bytes(16) + b"\1\1" + rng.bytes(26) + target + bytes(4), (b"DOM01", 7, b"CLIENT7")
        at, fields = 72, []
        for size in (5, 7, 7, 24, len(proof), 16):
            fields.append(struct.pack("<HHI", size, size, at))
            at += size
        token_head = b"NTLMSSP\0" + struct.pack("<I", 3) + fields[3] + fields[4] + fields[0] + fields[1] + fields[2] + fields[5] \
            + struct.pack("<I", _SIGN_SEAL_128_KEY_EXCHANGE) + bytes.fromhex("0a00614a0000000f")
        token_tail = names[2] + bytes(24) + proof + rng.bytes(16)
        length = len(token_head) + 5 + 7 + len(token_tail)
        kind, body = (14, context) if alter else (16, bytes(4))
        before = struct.pack("<BBBB4sHHI", 5, 0, kind, 3, b"\x10\0\0\0", 24 + len(body) + length, length, 1) + body + struct.pack("<BBBBI", 10, level, 0, 0, 79231)
        named = script.client(before + token_head + b"DOM01", USER, token_tail, think_ns=self._pause(0.2, 3))
        if alter:
            script.server(self._pdu(15, 1, answer, 3), think_ns=self._pause(0.3, 3))
        for call in range(2, CALLS + 2):
            opnum = opnums[int(rng.integers(len(opnums)))]
            asked, told = (int(size) * 16 for size in rng.integers(2, 60, 2))
            extended = bytes(20) + struct.pack("<IHHHH", 200, 0, 4, asked, asked) if name == "emsmdb" and level == 2 else b""
            head = struct.pack("<IHH", asked, 0, opnum)
            sealed = (6, struct.pack("<I", 1) + rng.bytes(12)) if level == 6 else (0, b"")
            asked_first = script.client(self._pdu(0, call, head + extended + rng.bytes(asked), 3, *sealed), think_ns=self._pause(0.2, 20))
            sealed = (6, struct.pack("<I", 1) + rng.bytes(12)) if level == 6 else (0, b"")
            answered = script.server(self._pdu(2, call, struct.pack("<IHBx", told, 0, 0) + rng.bytes(told), 3, *sealed), think_ns=self._pause(0.3, 8))
            if call == 2:
                script.login("NTLM", "success", (USER,), (bound, challenged, named), named, asked_first, answered)
        return script

    # --- HTTP

    def _answer(self, script: Script, status: bytes, size: int, more: bytes = b"", kind: bytes = b"text/html; charset=utf-8") -> None:
        script.server(b"HTTP/1.1 " + status + b"\r\nServer: nginx\r\nDate: Fri, 03 May 2024 10:00:00 GMT\r\nContent-Type: " + kind
                      + b"\r\nContent-Length: %d\r\nConnection: keep-alive\r\n" % size + more + b"\r\n" + self.rng.bytes(size // 2).hex().encode() + b"=" * (size % 2),
                      think_ns=self._pause(1, 40))

    def web(self) -> Script:
        """Ten requests for pages and files, with nothing of mail."""
        script = self._script("web", 80, "internet")
        script.ending = ("fin-client", "fin-server")[int(self.rng.integers(2))]
        host = b"www%d.example.org" % int(self.rng.integers(200))
        for _n in range(REQUESTS):
            post = self.rng.random() < 0.1
            body = b"q=" + self.rng.bytes(40).hex().encode() if post else b""
            script.client((b"POST" if post else b"GET") + b" /assets/" + self.rng.bytes(9).hex().encode() + b".html?v=3 HTTP/1.1\r\nHost: " + host
                          + b"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0\r\nAccept: text/html,application/xhtml+xml\r\n"
                          b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nCookie: visitor=" + self.rng.bytes(12).hex().encode()
                          + (b"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d" % len(body) if post else b"") + b"\r\n\r\n" + body,
                          think_ns=self._pause(1, 100))
            self._answer(script, b"304 Not Modified" if self.rng.random() < 0.1 else b"200 OK", int(self.rng.integers(200, 9000)) if self.rng.random() < 0.9 else 30_000)
        return script

    def web_mail(self) -> Script:
        """Ten requests of a mail client over clear HTTP with Basic."""
        script = self._script("web-mail", 80, "office", "http")
        token = script.token(b"CONTOSO\\user", USER, b":Sommer!", PASSWORD)
        path = (b"/Microsoft-Server-ActiveSync?Cmd=Sync&User=user&DeviceId=ABC123&DeviceType=iPhone", b"/EWS/Exchange.asmx", b"/autodiscover/autodiscover.xml",
                b"/mapi/emsmdb/?MailboxId=1")[int(self.rng.integers(4))]
        named = None
        for number in range(REQUESTS):
            size = int(self.rng.integers(100, 2000))
            head = b"POST " + path + b" HTTP/1.1\r\nHost: mail.contoso.example\r\nUser-Agent: Microsoft Office/16.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n" % size
            if number:
                sent = script.client(head + b"Authorization: Basic ", token, b"\r\n\r\n" + b"<x>" + b"a" * (size - 7) + b"</x>", think_ns=self._pause(1, 100))
                self._answer(script, b"200 OK", int(self.rng.integers(200, 6000)), kind=b"text/xml")
                if named is None:
                    named = sent
                    script.login("BASIC", "success", (b"CONTOSO\\user", USER), (), named, named, Span(SERVER, script.length[SERVER] - 1, script.length[SERVER]))
            else:
                script.client(head + b"\r\n" + b"<x>" + b"a" * (size - 7) + b"</x>", think_ns=self._pause(1, 100))
                self._answer(script, b"401 Unauthorized", 60, b'WWW-Authenticate: Basic realm="mail.contoso.example"\r\n')
        return script

    # --- TLS

    def tls(self, distinct: bool) -> Script:
        """A whole TLS 1.2 handshake, a little data, and the end."""
        script = self._script("tls-distinct" if distinct else "tls-same", 443, "internet", "tls")
        script.ending = ("fin-client", "fin-server", "reset")[int(self.rng.integers(3))]
        hello = script.client(client_hello(self.rng, NAMES[int(self.rng.integers(len(NAMES)))], (b"h2", b"http/1.1"), False), think_ns=self._pause(0.2, 2))
        chain = b"".join(len(one).to_bytes(3, "big") + one for one in usual_chain())
        before, _, after = record(22, handshake(11, len(chain).to_bytes(3, "big") + chain)).partition(SERIAL)
        exchange = b"\x03\0\x1d\x20" + self.rng.bytes(32) + b"\x08\x04\1\0" + self.rng.bytes(256)
        answer = script.server(record(22, server_hello(self.rng, False, b"\xc0\x2f")) + before, MESSAGE if distinct else SERIAL,
                      after + record(22, handshake(12, exchange)) + record(22, handshake(14, b"")), think_ns=self._pause(0.5, 20))
        script.implicit_tls(hello, answer)
        script.client(record(22, handshake(16, b"\x20" + self.rng.bytes(32))) + record(20, b"\1") + record(22, self.rng.bytes(40)), think_ns=self._pause(0.3, 3))
        script.server(record(20, b"\1") + record(22, self.rng.bytes(40)), think_ns=self._pause(0.3, 20))
        script.client(encrypted(self.rng, int(self.rng.integers(100, 900))), think_ns=self._pause(0.2, 3))
        script.server(encrypted(self.rng, int(self.rng.integers(100, 4000))), think_ns=self._pause(0.5, 40))
        close_tls(script, self.rng)
        return script

    def https(self) -> Script:
        """A long transfer."""
        script = self._script("https", 443, "internet", "tls")
        script.implicit_tls(*open_tls(script, self.rng, b"cdn%d.shop.example" % int(self.rng.integers(500)), (b"h2", b"http/1.1"), self.rng.random() < 0.75))
        for _n in range(1 + int(self.rng.integers(8))):
            tls_data(script, self.rng, CLIENT, int(self.rng.integers(120, 1_400)), self.region, think_ns=self._pause(1, 50))
            tls_data(script, self.rng, SERVER, int(min(self.rng.lognormal(np.log(400_000), 1.5), self.ceiling)), self.region, think_ns=self._pause(1, 30))
        close_tls(script, self.rng)
        return script


# kind -> ((share of the conversations, what writes one, how many scripts), …)
KINDS: dict[str, tuple[tuple[float, Callable[[ServiceWriter], Script], int], ...]] = {
    "rpc": ((1.0, ServiceWriter.rpc, 64),),
    "rpc-alter": ((1.0, lambda writer: writer.rpc(True), 64),),
    "web": ((1 - MAIL_SHARE, ServiceWriter.web, 96), (MAIL_SHARE, ServiceWriter.web_mail, 16)),
    "tls-same": ((1.0, lambda writer: writer.tls(False), 64),),
    "tls-distinct": ((1.0, lambda writer: writer.tls(True), 64),),
    "https": ((1.0, ServiceWriter.https, 64),),
}
