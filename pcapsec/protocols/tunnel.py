"""What mail may be carried in: HTTP CONNECT (RFC 9110 §9.3.6), SOCKS 4, 4a and 5 (RFC 1928, RFC 1929), the PROXY preamble (HAProxy's, versions 1 and 2).

Once the tunnel stands, `handover` passes both sides on with the bytes behind the negotiation; a tunnel that was refused never sets it. Where only one side
was captured, what that side sends behind its own part shows that the tunnel stood. Negotiations are short: a gap inside one ends the reading.
"""
from __future__ import annotations

import ipaddress

from ..records import CLIENT, SERVER, Facts, Handover
from .http import HttpParser

MAX_HEAD_BYTES = 16384  # of an HTTP head; common servers refuse more than 8 KiB
MAX_HELD_BYTES = 65536  # of one side behind its own negotiation while the other side's is awaited
MAX_BODY_BYTES = 1 << 20  # of an answer that refuses, before the client asks again with credentials
PROXY_V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")
MAX_PROXY_V1 = 107  # bytes of the longest line, with its end (PROXY protocol §2.1)


class TunnelParser:
    """Both sides of a connection that begins with a tunnel's negotiation.

    Attributes:
        facts: only `tunnel`, `tunnel_target` and, for the PROXY preamble, `identity["proxy"]` are filled; they belong to the inner conversation. So do `http` and `logins`,
            filled when CONNECT carried or was asked for a login at the proxy, whether or not the tunnel stood.
        handover: to "detect", once the tunnel stands.
        failed: refused, damaged or none of these after all; nothing more will come.
    """

    protocol = "tunnel"

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        self.facts = Facts(protocol="tunnel")
        self.handover: Handover | None = None
        self.failed = False
        self._data = [bytearray(), bytearray()]
        self._at = [0, 0]
        self._seen = [False, False]
        self._body = 0  # bytes of a refusing answer's body still to come
        self._heads: HttpParser | None = None  # reads the logins in HTTP's heads

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        if self.failed or self.handover is not None:
            return
        held = self._data[side]
        if not held:
            self._at[side] = at
        held += data
        self._seen[side] = True
        if self._heads is not None:
            self._heads.feed(side, data, at)
        elif side == CLIENT and held[:1] in b"Cc" and not self._seen[SERVER]:
            self._heads = HttpParser()
            self._heads.feed(side, data, at)
        self._step(False)
        if self.handover is None and len(held) > MAX_HELD_BYTES:
            self._step(True)
            self.failed = self.handover is None
        if self.failed:
            self._keep_logins()

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if self.handover is None and not self.failed:
            self._step(True)
            self.failed = self.handover is None
            if self.failed:
                self._keep_logins()

    def finish(self) -> None:
        """No more bytes will come; one side alone may show that the tunnel stood."""
        if self.handover is None and not self.failed:
            self._step(True)
            self._keep_logins()

    # --- inside

    def _keep_logins(self) -> None:
        """What the heads said of logins at the proxy, once nothing more comes of them."""
        heads, self._heads = self._heads, None
        if heads is not None:
            heads.finish()
            if heads.http.requests:
                self.facts.http, self.facts.logins = heads.http, heads.facts.logins

    def _step(self, last: bool) -> None:
        """Read as far as the bytes allow; `last`: the other side will not say more."""
        client, server = self._data
        if client and (client.startswith((b"PROXY ", PROXY_V2)) or b"PROXY ".startswith(client) or PROXY_V2.startswith(client)):
            self._proxy(client)
        elif client[:1] in (b"\4", b"\5") or (not client and server[:1] in (b"\0", b"\5")):
            (self._socks4 if (client[:1] == b"\4" or (not client and server[:1] == b"\0")) else self._socks5)(last)
        elif client or server[:5] == b"HTTP/":
            self._http(last)

    def _stands(self, kind: str, client_used: int, server_used: int) -> None:
        self.facts.tunnel = kind
        self._keep_logins()
        client, server = self._data
        self.handover = Handover(to="detect", rest=(bytes(client[client_used:]), bytes(server[server_used:])),
                                 at=(self._at[CLIENT] + client_used, self._at[SERVER] + server_used))
        self._data = [bytearray(), bytearray()]

    def _drop(self, side: int, used: int) -> None:
        del self._data[side][:used]
        self._at[side] += used

    # --- HTTP CONNECT

    def _http(self, last: bool) -> None:
        """`CONNECT host:port HTTP/1.1 CRLF *(field CRLF) CRLF`, answered by 2xx; 407 may come first."""
        while self.handover is None and not self.failed:
            client, server = self._data
            if self._body:
                used = min(self._body, len(server))
                self._body -= used
                self._drop(SERVER, used)
                if self._body:
                    return
            client_head = _head_end(client)
            if client and client_head == 0:
                self.failed = len(client) > MAX_HEAD_BYTES or not b"CONNECT ".startswith(bytes(client[:8]).upper())
                return
            if client_head:
                words = bytes(client[:512]).split(b"\n", 1)[0].split()
                if len(words) < 2 or words[0].upper() != b"CONNECT":
                    self.failed = True
                    return
                self.facts.tunnel_target = words[1][:255].decode("latin-1")
            server_head = _head_end(server)
            if not server_head:
                if len(server) > MAX_HEAD_BYTES or (server and not b"HTTP/1.".startswith(bytes(server[:7]))):
                    self.failed = True
                elif last and not self._seen[SERVER] and len(client) > client_head > 0:
                    self._stands("http-connect", client_head, 0)
                return
            head = bytes(server[:server_head])
            status = head.split(b" ", 2)[1][:3] if head.count(b" ") else b""
            if status[:1] == b"2":
                if client or not self._seen[CLIENT]:
                    self._stands("http-connect", client_head, server_head)
                return
            if status != b"407" and status[:1] != b"1":
                self.failed = True
                return
            self._drop(SERVER, server_head)
            if status == b"407":
                self._drop(CLIENT, client_head)
                self._body = _content_length(head)
                if self._body > MAX_BODY_BYTES:
                    self.failed = True

    # --- SOCKS

    def _socks4(self, last: bool) -> None:
        """`4 1 port(2) address(4) user NUL [name NUL]`, answered by `0 90 port(2) address(4)`; the name follows an address 0.0.0.x (4a)."""
        client, server = self._data
        used = 0
        if client:
            if len(client) < 9:
                return
            if client[1] != 1:
                self.failed = True
                return
            end = client.find(b"\0", 8, 8 + 512)
            if end < 0:
                self.failed = len(client) >= 8 + 512
                return
            host = ".".join(str(n) for n in client[4:8])
            used = end + 1
            if client[4:7] == b"\0\0\0" and client[7]:
                stop = client.find(b"\0", used, used + 256)
                if stop < 0:
                    self.failed = len(client) >= used + 256
                    return
                host = bytes(client[used:stop]).decode("latin-1")
                used = stop + 1
            self.facts.tunnel_target = f"{host}:{client[2] << 8 | client[3]}"
        if len(server) >= 8:
            if server[0] == 0 and server[1] == 90:
                self._stands("socks4", used, 8)
            else:
                self.failed = True
        elif last and not self._seen[SERVER] and len(client) > used > 0:
            self._stands("socks4", used, 0)

    def _socks5(self, last: bool) -> None:
        """Greeting and choice of a method, name and password if chosen, then request and reply (RFC 1928 §3-§6, RFC 1929 §2).

        Everything is read anew from the start at each call: it is a few dozen bytes.
        """
        client, server = self._data
        method = server[1] if len(server) >= 2 else None
        if server and (server[0] != 5 or method not in (None, 0, 2)):
            self.failed = True
            return
        used = 0
        if client:
            if len(client) < 2 or len(client) < 2 + client[1]:
                return
            used = 2 + client[1]
            if method == 2 or (method is None and client[used:used + 1] == b"\1"):
                end = used + 2
                if len(client) < end:
                    return
                end += client[end - 1] + 1
                if len(client) < end:
                    return
                end += client[end - 1]
                if len(client) < end:
                    return
                used = end
            target = _socks5_address(client, used)
            if target is None:
                self.failed = len(client) > used + 262
                return
            if client[used + 1] != 1:
                self.failed = True
                return
            self.facts.tunnel_target, used = target
        if not self._seen[SERVER]:
            if last and len(client) > used > 0:
                self._stands("socks5", used, 0)
            return
        at = 2
        if method == 2:
            if len(server) < 4:
                return
            if server[3] != 0:
                self.failed = True
                return
            at = 4
        if len(server) < at + 2:
            return
        if server[at] != 5 or server[at + 1] != 0:
            self.failed = True
            return
        bound = _socks5_address(server, at)
        if bound is not None:
            self._stands("socks5", used, bound[1])

    # --- PROXY

    def _proxy(self, client: bytearray) -> None:
        """`PROXY TCP4 source destination sport dport CRLF`, or the 12 signature bytes, version and command, family, length and addresses."""
        if client[:1] == b"P":
            end = client.find(b"\r\n", 0, MAX_PROXY_V1)
            if end < 0:
                self.failed = len(client) >= MAX_PROXY_V1
                return
            words = bytes(client[:end]).decode("latin-1").split(" ")
            if len(words) == 6 and words[1] in ("TCP4", "TCP6"):
                self._proxied(words[2], words[4], words[3], words[5])
            self._stands("proxy-protocol", end + 2, 0)
            return
        if len(client) < 16:
            return
        end = 16 + (client[14] << 8 | client[15])
        if client[12] >> 4 != 2:
            self.failed = True
            return
        if len(client) < end:
            return
        size = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}.get(client[13])
        if client[12] & 15 == 1 and size is not None and end - 16 >= 2 * size + 4:
            source, target = (str(ipaddress.ip_address(bytes(client[at:at + size]))) for at in (16, 16 + size))
            ports = 16 + 2 * size
            self._proxied(source, str(client[ports] << 8 | client[ports + 1]), target, str(client[ports + 2] << 8 | client[ports + 3]))
        self._stands("proxy-protocol", end, 0)

    def _proxied(self, source: str, source_port: str, target: str, target_port: str) -> None:
        self.facts.identity["proxy"] = _with_port(source, source_port)
        self.facts.tunnel_target = _with_port(target, target_port)


def _with_port(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _head_end(data: bytearray) -> int:
    """Where an HTTP head ends, behind its blank line; 0 when it did not yet."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
    bare = data.find(b"\n\n", 0, end if end >= 0 else MAX_HEAD_BYTES)
    if bare >= 0:
        return bare + 2
    return end + 4 if end >= 0 else 0


def _content_length(head: bytes) -> int:
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            value = value.strip()
            return int(value) if value.isdigit() and len(value) < 10 else MAX_BODY_BYTES + 1
    return 0


def _socks5_address(data: bytearray, pos: int) -> tuple[str, int] | None:
    """`5 code 0 type address port(2)` as (target, end); None when it is not whole or not one."""
    if len(data) < pos + 5:
        return None
    kind = data[pos + 3]
    if data[pos] != 5 or kind not in (1, 3, 4):
        return None
    start = pos + (5 if kind == 3 else 4)
    end = start + {1: 4, 4: 16}.get(kind, data[pos + 4])
    if len(data) < end + 2:
        return None
    raw = bytes(data[start:end])
    host = raw.decode("latin-1") if kind == 3 else str(ipaddress.ip_address(raw))
    return _with_port(host, str(data[end] << 8 | data[end + 1])), end + 2


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes negotiate a tunnel."""
    if client:
        first = client[0]
        if first == 0x43:  # C
            if b"CONNECT ".startswith(client[:8].upper()):
                if len(client) < 8:
                    return None
                line = client.split(b"\n", 1)[0]
                return b" HTTP/1." in line.upper() if b"\n" in client else (None if len(client) < 1024 else False)
            return False
        if first == 0x50:  # P
            return len(client) >= 6 or None if b"PROXY ".startswith(client[:6]) else False
        if first == 0x0D:
            return len(client) >= 12 or None if PROXY_V2.startswith(client[:12]) else False
        if first == 4:
            if len(client) < 9:
                return None if len(client) < 2 or client[1] == 1 else False
            return client[1] == 1 and b"\0" in client[8:8 + 256]
        if first == 5:
            if len(client) < 2:
                return None
            methods = client[1]
            if not 1 <= methods <= 8 or any(method not in (0, 1, 2, 3, 5, 6, 7, 8, 9) for method in client[2:2 + methods]):
                return False
            return None if len(client) < 2 + methods else len(client) == 2 + methods or client[2 + methods] in (1, 5)
        return False
    if server[:5] == b"HTTP/":
        line = server[:512].split(b"\n", 1)[0].lower()
        if b"\n" not in server[:512]:
            return None
        return b" 200 " in line and b"established" in line
    if server[:1] == b"\5":
        return len(server) >= 12 and server[1] == 0 and server[2:5] == b"\5\0\0" and server[5] in (1, 3, 4)
    return None if not server else False
