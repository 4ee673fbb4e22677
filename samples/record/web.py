"""The web side of an Exchange-like server: `web.py ADDRESS PORT [WORD...]`. OWA, EWS, ActiveSync, Autodiscover, MAPI over HTTP, RPC over HTTP, a webmail and a plain page.

Words: how it asks for a login (`basic`, `ntlm`, `negotiate`, `bearer`), or `trusted` where nginx in front has asked already; `behind` when another server is in front.
Negotiate needs python3-gssapi and KRB5_KTNAME. Runs in the server's namespace with Debian's Python.
"""
from __future__ import annotations

import base64
import http.server
import struct
import sys
import urllib.parse

import exchange_stubs as stubs
from exchange import NtlmServer
from net import SERVER
from rpc_proxy import RpcProxy
from servers import ACCOUNTS, DOMAIN, token

HOST = f"mail.{DOMAIN}"
LOGIN_PAGE = b"""<!DOCTYPE html><html><head><title>Outlook Web App</title></head><body><form action="/owa/auth.owa" method="POST">
<input type="hidden" name="destination"><input type="hidden" name="flags"><input name="username"><input name="password" type="password"><input type="submit"></form></body></html>"""
INBOX = b"<!DOCTYPE html><html><head><title>Inbox - Outlook Web App</title></head><body><ul><li>Bob: Lunch</li><li>Carol: Report</li></ul></body></html>"
FOLDER = b"""<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><m:GetFolderResponse
 xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><m:ResponseMessages/></m:GetFolderResponse></s:Body></s:Envelope>"""
SETTINGS = f"""<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"><Response><Account><AccountType>email</AccountType>
<Protocol><Type>EXCH</Type><Server>{stubs.SERVER_NAME}</Server></Protocol></Account></Response></Autodiscover>""".encode()


class Handler(RpcProxy, http.server.BaseHTTPRequestHandler):
    """One connection; NTLM and Negotiate log it in as a whole, Basic and Bearer each request."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Microsoft-IIS/8.5", ""
    words: tuple[str, ...] = ()
    wbufsize = -1  # an answer in few segments

    def setup(self) -> None:
        super().setup()
        self.ntlm: NtlmServer | None = None
        self.gss = None
        self.user: str | None = None
        self.behind_another = "behind" in self.words

    def log_message(self, *_) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", kind: str = "text/html; charset=utf-8", **headers: str | list[str]) -> None:
        self.send_response(status)
        for name, values in headers.items():
            for value in [values] if isinstance(values, str) else values:
                self.send_header(name.replace("_", "-"), value)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while length := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    # --- logins -----------------------------------------------------------------------------------------------------------------------------

    def challenge(self, *offers: str) -> None:
        """401; the connection stays, for NTLM goes on in it."""
        if self.command not in ("RPC_IN_DATA", "RPC_OUT_DATA"):
            self.body()
        self.answer(401, b"Unauthorized", "text/plain", WWW_Authenticate=list(offers) or [self.OFFERS[word] for word in self.words if word in self.OFFERS])

    OFFERS = {"negotiate": "Negotiate", "ntlm": "NTLM", "basic": f'Basic realm="{HOST}"', "bearer": 'Bearer authorization_uri="https://login.example.org/token"'}

    def login(self) -> str | None:
        """The account, or None after 401 has been answered."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        scheme = scheme.lower()
        if "trusted" in self.words:
            return base64.b64decode(value).decode().partition(":")[0] or None
        if self.user is not None and not value:
            return self.user
        if scheme not in self.words:
            return self.challenge()
        if scheme == "basic":
            name, _, password = base64.b64decode(value).decode().partition(":")
            name = name.rpartition("\\")[2].partition("@")[0]
            return name if ACCOUNTS.get(name) == password else self.challenge()
        if scheme == "bearer":
            return next((name for name in ACCOUNTS if token(name) == value), None) or self.challenge('Bearer error="invalid_token"')
        message = base64.b64decode(value)
        return self.ntlm_login(message) if scheme == "ntlm" else self.gss_login(message)

    def ntlm_login(self, message: bytes) -> str | None:
        if message[8] == 1:
            self.ntlm = NtlmServer()
            return self.challenge("NTLM " + base64.b64encode(self.ntlm.answer(message)).decode())
        if self.ntlm is None or not self.ntlm.finish(message):
            return self.challenge()
        self.user = self.ntlm.user
        return self.user

    def gss_login(self, message: bytes) -> str | None:
        import gssapi
        if self.gss is None:
            self.gss = gssapi.SecurityContext(usage="accept")
        try:
            reply = self.gss.step(message)
        except gssapi.exceptions.GSSError:
            self.gss = None
            return self.challenge()
        self.user = str(self.gss.initiator_name)
        self.proof = "Negotiate " + base64.b64encode(reply or b"").decode()
        return self.user

    # --- pages ------------------------------------------------------------------------------------------------------------------------------

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].lower()
        if path in ("/owa/", "/owa"):
            if "cadata=" in self.headers.get("Cookie", ""):
                return self.answer(200, INBOX, X_OWA_Version="14.3.123.4")
            return self.answer(302, Location=f"http://{HOST}/owa/auth/logon.aspx?replaceCurrent=1&url=http%3a%2f%2f{HOST}%2fowa%2f")
        if path == "/owa/auth/logon.aspx":
            return self.answer(200, LOGIN_PAGE)
        if path == "/autodiscover/autodiscover.xml":
            return self.answer(302, Location=f"https://{HOST}/autodiscover/autodiscover.xml")
        if path == "/private/":
            if self.login() is None:
                return None
            more = {"WWW_Authenticate": self.proof} if getattr(self, "proof", "") else {}
            return self.answer(200, b"<p>Members only</p>", **more)
        if path == "/":
            return self.answer(200, b"<h1>Opening hours</h1><p>Nine to five.</p>")
        return self.answer(404, b"Not Found", "text/plain")

    do_HEAD = do_GET

    def do_OPTIONS(self) -> None:
        if self.login() is not None:
            self.answer(200, MS_ASProtocolVersions="2.5,12.0,12.1,14.0,14.1", MS_ASProtocolCommands="Sync,SendMail,FolderSync,Provision,Ping", Public="OPTIONS,POST")

    def do_POST(self) -> None:
        path = self.path.partition("?")[0].lower()
        if path == "/owa/auth.owa":
            return self.form_login(self.body())
        if path == "/webmail/":
            fields = dict(urllib.parse.parse_qsl(self.body().decode()))
            ok = ACCOUNTS.get(fields.get("_user", "").partition("@")[0]) == fields.get("_pass")
            return self.answer(302, Location="./?_task=mail", Set_Cookie=f"roundcube_sessauth={stubs.WEBMAIL_COOKIE}; path=/; HttpOnly") if ok else self.answer(401, LOGIN_PAGE)
        user = self.login()
        if user is None:
            return None
        body = self.body()
        if path == "/ews/exchange.asmx":
            return self.answer(200, FOLDER, "text/xml; charset=utf-8")
        if path == "/microsoft-server-activesync":
            return self.answer(200, bytes.fromhex("03016a00000756524b0a4d030001000101"), "application/vnd.ms-sync.wbxml", MS_Server_ActiveSync="14.3")
        if path == "/autodiscover/autodiscover.xml":
            return self.answer(200, SETTINGS, "text/xml; charset=utf-8")
        if path in ("/mapi/emsmdb/", "/mapi/nspi/"):
            return self.mapi(body)
        return self.answer(404, b"Not Found", "text/plain")

    def form_login(self, body: bytes) -> None:
        """Exchange's form: to the wanted page with five cookies, or back with reason 2."""
        fields = dict(urllib.parse.parse_qsl(body.decode()))
        name = fields.get("username", "").rpartition("\\")[2].partition("@")[0]
        if ACCOUNTS.get(name) == fields.get("password"):
            return self.answer(302, Location=fields.get("destination", f"http://{HOST}/owa/"), Set_Cookie=[f"{cookie}={stubs.COOKIE_VALUE}; path=/; HttpOnly" for cookie in stubs.COOKIES])
        return self.answer(302, Location=f"http://{HOST}/owa/auth/logon.aspx?replaceCurrent=1&reason=2&url=http%3a%2f%2f{HOST}%2fowa%2f")

    def mapi(self, body: bytes) -> None:
        """MAPI over HTTP ([MS-OXCMAPIHTTP] §2.2.4): Connect, Execute, Disconnect, Bind, Unbind."""
        kind = self.headers.get("X-RequestType", "")
        data = struct.pack("<II", 0, 0)
        if kind == "Connect":
            data += struct.pack("<III", 60000, 6, 10000) + b"\0" + "Alice\0".encode("utf-16-le") + struct.pack("<I", 0)
        elif kind == "Execute":
            length = struct.unpack_from("<I", body, 4)[0]
            rops = stubs.header_ext(stubs.rops_answered(body[16:8 + length]))
            data += struct.pack("<II", 0, len(rops)) + rops + struct.pack("<I", 0)
        elif kind == "Bind":
            data += bytes(16) + struct.pack("<I", 0)
        said = b"PROCESSING\r\nDONE\r\nX-ElapsedTime: 12\r\nX-StartTime: Mon, 06 May 2024 09:00:00 GMT\r\n\r\n" + data
        cookies = [f"MapiContext={stubs.MAPI_CONTEXT}; path=/mapi/", "MapiSequence=1; path=/mapi/"]
        self.answer(200, said, "application/mapi-http", X_RequestType=kind, X_ResponseCode="0", X_RequestId=self.headers.get("X-RequestId", ""), X_ServerApplication="Exchange/15.00.0847.032", Set_Cookie=cookies)


if __name__ == "__main__":
    Handler.words, Handler.rpc_server = tuple(sys.argv[3:]), SERVER
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
