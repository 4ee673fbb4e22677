"""TLS newer than Debian's: `new_tls.py pq-server|pq-client|h3-server|h3-client ADDRESS PORT NAME [CERTIFICATE KEY]`.

`pq`: pyOpenSSL, whose OpenSSL offers a post-quantum key share first. `h3`: HTTP/3 over QUIC with aioquic. Both come into a folder of the recording (`tls.new_tls`),
which PYTHONPATH names. Servers answer until they are stopped.
"""
from __future__ import annotations

import asyncio
import socket
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from OpenSSL import SSL

LINE, PAGE = b"a1 NOOP\r\n", b"<p>Members only</p>\n"


def pq_server(address: str, port: str, _name: str, certificate: str, key: str) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate)
    context.use_privatekey_file(key)
    listener = socket.create_server((address, int(port)))
    while True:
        link, _ = listener.accept()
        connection = SSL.Connection(context, link)
        connection.set_accept_state()
        connection.do_handshake()
        connection.sendall(connection.recv(200))
        connection.shutdown()
        link.close()


def pq_client(address: str, port: str, name: str) -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), socket.create_connection((address, int(port))))
    connection.set_tlsext_host_name(name.encode())
    connection.set_connect_state()
    connection.do_handshake()
    connection.sendall(LINE)
    connection.recv(200)
    connection.shutdown()


class Web(QuicConnectionProtocol):
    """Either side of one HTTP/3 connection: a server answers each request, a client waits for the end of an answer."""

    def __init__(self, *words, **keywords):
        super().__init__(*words, **keywords)
        self.http: H3Connection | None = None
        self.done = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event) -> None:
        if self.http is None:
            self.http = H3Connection(self._quic)
        for one in self.http.handle_event(event):
            if isinstance(one, HeadersReceived) and not self._quic.configuration.is_client:
                self.http.send_headers(one.stream_id, [(b":status", b"200"), (b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode())])
                self.http.send_data(one.stream_id, PAGE, end_stream=True)
                self.transmit()
            elif isinstance(one, DataReceived) and one.stream_ended and not self.done.done():
                self.done.set_result(None)


async def h3_server(address: str, port: str, _name: str, certificate: str, key: str) -> None:
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=False)
    configuration.load_cert_chain(certificate, key)
    await serve(address, int(port), configuration=configuration, create_protocol=Web)
    await asyncio.Event().wait()


async def h3_client(address: str, port: str, name: str) -> None:
    configuration = QuicConfiguration(alpn_protocols=["h3"], is_client=True, server_name=name, verify_mode=ssl.CERT_NONE)
    async with connect(address, int(port), configuration=configuration, create_protocol=Web) as web:
        web.http = web.http or H3Connection(web._quic)
        stream = web._quic.get_next_available_stream_id()
        web.http.send_headers(stream, [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", name.encode()), (b":path", b"/owa/")], end_stream=True)
        web.transmit()
        await asyncio.wait_for(web.done, 10)


if __name__ == "__main__":
    done = {"pq-server": pq_server, "pq-client": pq_client, "h3-server": h3_server, "h3-client": h3_client}[sys.argv[1]](*sys.argv[2:])
    if done is not None:
        asyncio.run(done)
