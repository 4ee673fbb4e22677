"""The proxy of RPC over HTTP, as a part of `web.py`'s handler: RPC_IN_DATA and RPC_OUT_DATA (version 2), RPC_CONNECT (version 1), both to a server of ncacn_http.

Of version 2 it speaks what a short connection needs: CONN/A1 and CONN/B1 are taken, CONN/A3 and CONN/C2 answered ([MS-RPCH] §2.2.4), RTS PDUs of the client dropped.
"""
from __future__ import annotations

import socket
import struct
import threading

RTS = 20
GREETING = b"ncacn_http/1.0"
WINDOW, TIMEOUT_MS = 262144, 120000


def rts(*commands: bytes, flags: int = 0) -> bytes:
    """An RTS PDU ([MS-RPCH] §2.2.3.6)."""
    body = b"".join(commands)
    return struct.pack("<BBBBIHHIHH", 5, 0, RTS, 3, 0x10, 20 + len(body), 0, 0, flags, len(commands)) + body


VERSION, RECEIVE_WINDOW, CONNECTION_TIMEOUT = struct.pack("<II", 6, 1), struct.pack("<II", 0, WINDOW), struct.pack("<II", 2, TIMEOUT_MS)
CONN_A3, CONN_C2 = rts(CONNECTION_TIMEOUT), rts(VERSION, RECEIVE_WINDOW, CONNECTION_TIMEOUT)


def virtual_connection(pdu: bytes) -> bytes:
    """The cookie of CONN/A1 or CONN/B1: their second command, behind the version."""
    return pdu[32:48]


class Waiting:
    """Half-open virtual connections: the channel that comes first waits for the other."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.servers: dict[bytes, socket.socket] = {}

    def open(self, cookie: bytes, address: str, port: int) -> socket.socket:
        """The connection to the server behind a virtual connection; the first channel makes it."""
        with self.lock:
            if cookie not in self.servers:
                server = socket.create_connection((address, port), timeout=20)
                greeting = b""
                while len(greeting) < len(GREETING):
                    greeting += server.recv(len(GREETING) - len(greeting))
                self.servers[cookie] = server
            return self.servers[cookie]


WAITING = Waiting()


class RpcProxy:
    """Mixed into an http.server handler that has `login()`."""

    rpc_server = "127.0.0.1"

    def read_pdu(self) -> bytes:
        head = self.rfile.read(16)
        if len(head) < 16:
            return b""
        return head + self.rfile.read(struct.unpack_from("<H", head, 8)[0] - 16)

    def target_port(self) -> int:
        return int(self.path.rpartition(":")[2])

    def echo(self) -> bool:
        """An empty request (a client looks whether the proxy is there, or logs in): [MS-RPCH] §2.1.2.1.5."""
        if int(self.headers.get("Content-Length", 0)) > 16:
            return False
        body = rts(flags=0x40)
        self.send_response(200, "Success")
        self.send_header("Content-Type", "application/rpc")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def go_on(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue" and not self.behind_another:
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()

    def handle_expect_100(self) -> bool:
        return True  # the answer depends on the login: see go_on

    def do_RPC_OUT_DATA(self) -> None:
        if self.login() is None or self.echo():
            return
        self.go_on()
        server = WAITING.open(virtual_connection(self.read_pdu()), self.rpc_server, self.target_port())
        self.send_response(200, "Success")
        self.send_header("Content-Type", "application/rpc")
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        self.wfile.write(CONN_A3)
        self.wfile.write(CONN_C2)
        self.wfile.flush()
        try:
            while data := server.recv(65536):
                self.wfile.write(data)
                self.wfile.flush()
        except OSError:
            pass
        self.close_connection = True

    def do_RPC_IN_DATA(self) -> None:
        if self.login() is None or self.echo():
            return
        self.go_on()
        server = WAITING.open(virtual_connection(self.read_pdu()), self.rpc_server, self.target_port())
        while pdu := self.read_pdu():
            if pdu[2] != RTS:
                server.sendall(pdu)
        server.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_RPC_CONNECT(self) -> None:
        """Version 1: after the answer the connection is the server's."""
        if self.login() is None:
            return
        server = socket.create_connection((self.rpc_server, self.target_port()), timeout=20)
        self.send_response(200, "OK")
        self.end_headers()
        self.wfile.flush()

        def back() -> None:
            while data := server.recv(65536):
                self.wfile.write(data)
                self.wfile.flush()

        thread = threading.Thread(target=back)
        thread.start()
        while pdu := self.read_pdu():
            server.sendall(pdu)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        self.close_connection = True
