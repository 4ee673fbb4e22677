"""A tap that decrypts in place, as monitoring gear does that was given a certificate: `decrypting.py ADDRESS PORT SERVER CERTIFICATE KEY`.

It ends TCP and TLS on both sides (STARTTLS of SMTP), and writes the conversation of the two to its mirror port as if it had passed in clear: STARTTLS, 220, and then readable commands.
"""
from __future__ import annotations

import select
import socket
import ssl
import struct
import sys

from on_path import ACK, CLIENT, FIN, PSH, SERVER, SYN, Segment
from relay import PROBE_MAC, SWITCH_MAC, port


class Mirror:
    """One TCP conversation as frames."""

    def __init__(self, out: socket.socket, client: tuple[str, int], server: tuple[str, int]):
        self.out = out
        self.ends = tuple((socket.inet_aton(address), number) for address, number in (client, server))
        self.next = [0x1000, 0x2000]
        self.segment(CLIENT, SYN)
        self.segment(SERVER, SYN | ACK)
        self.segment(CLIENT, ACK)

    def segment(self, side: int, flags: int, data: bytes = b"") -> None:
        (source, source_port), (target, target_port) = self.ends[side], self.ends[1 - side]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0x4000, 64, 6, 0, source, target)
        tcp = struct.pack("!HHIIBBHHH", source_port, target_port, self.next[side], self.next[1 - side] if flags & ACK else 0, 0x50, flags, 65535, 0, 0)
        macs = (SWITCH_MAC, PROBE_MAC) if side == CLIENT else (PROBE_MAC, SWITCH_MAC)
        self.out.send(Segment(b"".join(macs) + b"\x08\x00", bytearray(ip), bytearray(tcp), data).built())
        self.next[side] += len(data) + bool(flags & (SYN | FIN))


def contexts(certificate: str, key: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    towards_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    towards_client.load_cert_chain(certificate, key)
    towards_server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    towards_server.check_hostname, towards_server.verify_mode = False, ssl.CERT_NONE
    return towards_client, towards_server


def converse(sides: list[socket.socket], mirror: Mirror, certificate: str, key: str) -> None:
    asked = False
    while True:
        waiting = [one for one in sides if isinstance(one, ssl.SSLSocket) and one.pending()]
        for source in waiting or select.select(sides, [], [])[0]:
            side = sides.index(source)
            data = source.recv(65536)
            if not data:
                mirror.segment(side, FIN | ACK)
                mirror.segment(1 - side, FIN | ACK)
                mirror.segment(side, ACK)
                return
            mirror.segment(side, PSH | ACK, data)
            sides[1 - side].sendall(data)
            if asked and side == SERVER and data.startswith(b"220 "):
                towards_client, towards_server = contexts(certificate, key)
                sides[SERVER] = towards_server.wrap_socket(sides[SERVER])
                sides[CLIENT] = towards_client.wrap_socket(sides[CLIENT], server_side=True)
                asked = False
                break
            asked = side == CLIENT and data.upper() == b"STARTTLS\r\n"


def main() -> None:
    address, number, server, certificate, key = sys.argv[1:]
    listening = socket.create_server((address, int(number)))
    out = port("to-probe")
    print("ready", flush=True)
    while True:
        client, peer = listening.accept()
        upstream = socket.create_connection((server, int(number)))
        converse([client, upstream], Mirror(out, peer, (server, int(number))), certificate, key)
        client.close()
        upstream.close()


if __name__ == "__main__":
    main()
