"""What mail clients do over HTTP and curl cannot: `web_clients.py NAME ADDRESS PORT [WORD...]`. Runs in the client's namespace with Debian's Python."""
from __future__ import annotations

import base64
import http.client
import socket
import ssl
import struct
import sys
import uuid

import exchange_stubs as stubs
from clients import loose
from impacket.dcerpc.v5 import transport
from rpc_clients import EMSMDB, mailbox
from servers import ACCOUNTS, DOMAIN

HOST = f"mail.{DOMAIN}"


def connection(address: str, port: str) -> http.client.HTTPConnection:
    """With the server's name in Host, though it is reached by address."""
    context: ssl.SSLContext | None = loose() if port == "443" else None
    return http.client.HTTPSConnection(address, int(port), context=context) if context else http.client.HTTPConnection(address, int(port))


def basic(user: str, domain: str = "EXAMPLE") -> str:
    return "Basic " + base64.b64encode(f"{domain}\\{user}:{ACCOUNTS[user]}".encode()).decode()


def mapi(address: str, port: str, user: str) -> None:
    """MAPI over HTTP: Connect, two Executes, Disconnect; then Bind to the directory and Unbind."""
    link = connection(address, port)
    cookies = ""
    requests = [("emsmdb", "Connect", stubs.user_dn(user).encode() + b"\0" + struct.pack("<IIIII", 0, 1252, 1033, 1033, 0))]
    for step in ("logon", "write"):
        rops = stubs.header_ext(stubs.rops_asked(step, user), stubs.XOR_MAGIC if step == "write" else 0)
        requests.append(("emsmdb", "Execute", struct.pack("<II", 0, len(rops)) + rops + struct.pack("<II", 0x8007, 0)))
    requests += [("emsmdb", "Disconnect", struct.pack("<I", 0)), ("nspi", "Bind", struct.pack("<IBI", 0, 0, 0)), ("nspi", "Unbind", struct.pack("<II", 0, 0))]
    for number, (place, kind, body) in enumerate(requests):
        headers = {"Host": HOST, "Content-Type": "application/mapi-http", "X-RequestType": kind, "X-RequestId": f"{{{uuid.UUID(int=7)}}}:{number}", "X-ClientApplication": "Outlook/15.0.4420.1017",
                   "User-Agent": "Microsoft Office/15.0 (Windows NT 6.1; Microsoft Outlook 15.0.4420; Pro)", "Authorization": basic(user)}
        if cookies:
            headers["Cookie"] = cookies
        link.request("POST", f"/mapi/{place}/?MailboxId=8a4d6e9c-0000-4000-8000-000000000001@{DOMAIN}", body, headers)
        answer = link.getresponse()
        answer.read()
        cookies = "; ".join(value.partition(";")[0] for name, value in answer.getheaders() if name == "Set-Cookie") or cookies
    link.close()


def activesync(address: str, port: str, user: str) -> None:
    """ActiveSync: OPTIONS, then a FolderSync with the device in the query; one connection."""
    link = connection(address, port)
    headers = {"Host": HOST, "User-Agent": "Android-Mail/2023.11", "Authorization": basic(user), "MS-ASProtocolVersion": "14.1"}
    link.request("OPTIONS", "/Microsoft-Server-ActiveSync", headers=headers)
    link.getresponse().read()
    folder_sync = bytes.fromhex("03016a000007565203300001010100")
    link.request("POST", f"/Microsoft-Server-ActiveSync?Cmd=FolderSync&User={user}&DeviceId=androidc0ffee0123&DeviceType=Android", folder_sync, headers | {"Content-Type": "application/vnd.ms-sync.wbxml"})
    link.getresponse().read()
    link.close()


class Version1(transport.TCPTransport):
    """RPC over HTTP version 1: one connection, RPC_CONNECT, the proxy's answer, the server's greeting, then DCE/RPC."""

    user = ""

    def connect(self) -> int:
        super().connect()
        link: socket.socket = self.get_socket()
        link.sendall(f"RPC_CONNECT exch1:593 HTTP/1.1\r\nUser-Agent: RPC\r\nHost: {HOST}\r\nAuthorization: {basic(self.user)}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"ncacn_http/1.0"):
            piece = link.recv(4096)
            if not piece:
                raise SystemExit(f"no tunnel: {answer!r}")
            answer += piece
        return 1


def rpc_connect(address: str, port: str, user: str) -> None:
    """A mailbox session without protection of its own through an RPC proxy of version 1."""
    link = Version1(address, int(port))
    link.user = user
    dce = link.get_dce_rpc()
    dce.connect()
    dce.bind(EMSMDB)
    mailbox(dce, user, stubs.XOR_MAGIC)
    dce.disconnect()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
