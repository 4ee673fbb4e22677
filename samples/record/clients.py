"""What a client does in one recording, with Python's own mail clients or, where those cannot, over a plain socket: `clients.py NAME ADDRESS PORT [WORD...]`.

Each function below is one NAME. It runs inside the client's namespace; passwords come from `servers.ACCOUNTS`.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
import imaplib
import poplib
import re
import smtplib
import socket
import ssl
import sys

from servers import ACCOUNTS, DOMAIN, token

NAME = "client.example.net"


def address(user: str) -> str:
    return user if "@" in user else f"{user}@{DOMAIN}"


def loose() -> ssl.SSLContext:
    """The server's certificate is made for the recording; nobody can have signed it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Talk:
    """A line dialogue over a socket."""

    def __init__(self, host: str, port: int, tls: bool = False):
        self.socket = socket.create_connection((host, port), timeout=20)
        if tls:
            self.start_tls()
        self.file = self.socket.makefile("rb")

    def start_tls(self) -> None:
        self.socket = loose().wrap_socket(self.socket, server_hostname=f"mail.{DOMAIN}")
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, pattern: bytes) -> bytes:
        """Lines up to and including the first that matches."""
        lines = []
        while line := self.file.readline():
            lines.append(line)
            if re.match(pattern, line):
                return b"".join(lines)
        raise SystemExit(f"the server closed before {pattern!r}: {lines!r}")

    def ask(self, line: bytes, pattern: bytes) -> bytes:
        self.send(line + b"\r\n")
        return self.until(pattern)


def b64(data: bytes) -> bytes:
    return base64.b64encode(data)


# --- SMTP ---------------------------------------------------------------------------------------------------------------------------------

MAIL = f"""From: Alice <alice@{DOMAIN}>
To: Bob <bob@{DOMAIN}>
Subject: Figures for Monday
Message-ID: <{{id}}@{DOMAIN}>
Date: Mon, 06 May 2024 09:00:00 +0000

Please find the figures below.
.a line that begins with a dot
""".replace("\n", "\r\n")

PGP = f"""From: Alice <alice@{DOMAIN}>
To: Bob <bob@{DOMAIN}>
Subject: ...
Message-ID: <pgp@{DOMAIN}>
MIME-Version: 1.0
Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="b1"

--b1
Content-Type: application/pgp-encrypted

Version: 1

--b1
Content-Type: application/octet-stream

-----BEGIN PGP MESSAGE-----

hF4DAAAAAAAAAAASAQdA
-----END PGP MESSAGE-----
--b1--
""".replace("\n", "\r\n")

SMIME = f"""From: Alice <alice@{DOMAIN}>
To: Bob <bob@{DOMAIN}>
Subject: ...
Message-ID: <smime@{DOMAIN}>
MIME-Version: 1.0
Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m
Content-Transfer-Encoding: base64

MIIBAAYJKoZIhvcNAQcDoIHyMIHvAgEAMYGsMIGpAgEAMBIwDTELMAkGA1UEAwwC
""".replace("\n", "\r\n")


def smtp_send(host: str, port: int, user: str = "", mechanism: str = "", *words: str) -> None:
    """smtplib: EHLO, AUTH when a user is given, one message."""
    with smtplib.SMTP(host, port, local_hostname=NAME, timeout=20) as smtp:
        if "starttls" in words:
            smtp.starttls(context=loose())
        smtp.ehlo()
        if user:
            smtp.user, smtp.password = address(user), ACCOUNTS[user]
            smtp.auth(mechanism, getattr(smtp, "auth_" + mechanism.lower().replace("-", "_")))
        smtp.sendmail(f"alice@{DOMAIN}", [f"bob@{DOMAIN}", f"carol@{DOMAIN}"], MAIL.format(id="smtplib").encode())


def smtp_kinds(host: str, port: int) -> None:
    """Three messages in one session: OpenPGP, S/MIME, and one without protection."""
    with smtplib.SMTP(host, port, local_hostname=NAME, timeout=20) as smtp:
        for text in (PGP, SMIME, MAIL.format(id="open")):
            smtp.sendmail(f"alice@{DOMAIN}", [f"bob@{DOMAIN}"], text.encode())


def smtp_bdat(host: str, port: int) -> None:
    """RFC 3030: commands pipelined, content in two chunks, the second one last."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    content = MAIL.format(id="bdat").encode()
    half = len(content) // 2
    talk.send(b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<carol@example.org>\r\n"
              + b"BDAT %d\r\n" % half + content[:half] + b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
    for _ in range(5):
        talk.until(b"250 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_proxied(host: str, port: int) -> None:
    """A PROXY preamble (version 1) as a load balancer sends it, then a message."""
    talk = Talk(host, port)
    talk.send(b"PROXY TCP4 203.0.113.9 10.7.0.1 40000 25\r\n")
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"250 ")
    talk.ask(b"RCPT TO:<bob@example.org>", b"250 ")
    talk.ask(b"DATA", b"354 ")
    talk.ask(MAIL.format(id="proxied").encode() + b".", b"250 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_cancelled(host: str, port: int) -> None:
    """AUTH LOGIN given up with an asterisk, AUTH PLAIN refused for a wrong password, then AUTH PLAIN with continuation."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"AUTH LOGIN", b"334 ")
    talk.ask(b"*", b"501 ")
    talk.ask(b"AUTH PLAIN " + b64(b"\0alice@example.org\0not-my-password"), b"535 ")
    talk.ask(b"AUTH PLAIN", b"334 ")
    talk.ask(b64(b"\0alice@example.org\0" + ACCOUNTS["alice"].encode()), b"235 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_refused(host: str, port: int) -> None:
    """A server that wants TLS first answers 530."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"530 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_without_tls(host: str, port: int) -> None:
    """STARTTLS is refused; the client goes on all the same."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"STARTTLS", b"50[0-9] ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"250 ")
    talk.ask(b"RCPT TO:<bob@example.org>", b"250 ")
    talk.ask(b"DATA", b"354 ")
    talk.ask(MAIL.format(id="refused").encode() + b".", b"250 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_injected(host: str, port: int) -> None:
    """A command pipelined behind STARTTLS (the server drops it), then TLS."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.send(b"STARTTLS\r\nRSET\r\n")
    talk.until(b"220 ")
    talk.start_tls()
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"QUIT", b"221 ")


# --- SASL ---------------------------------------------------------------------------------------------------------------------------------

def scram(user: str, name: str):
    """RFC 5802 §5, client side: a generator that takes server messages and yields client messages."""
    nonce = "fyko+d2lbbFgONRv9qkxdawL"
    first = f"n={address(user)},r={nonce}"
    server = yield f"n,,{first}".encode()
    fields = dict(part.split("=", 1) for part in server.decode().split(","))
    salted = hashlib.pbkdf2_hmac(name, ACCOUNTS[user].encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    client_key = hmac.digest(salted, b"Client Key", name)
    without_proof = f"c=biws,r={fields['r']}"
    signature = hmac.digest(hashlib.new(name, client_key).digest(), f"{first},{server.decode()},{without_proof}".encode(), name)
    proof = bytes(a ^ b for a, b in zip(client_key, signature))
    yield f"{without_proof},p={base64.b64encode(proof).decode()}".encode()
    yield b""


def digest(user: str, service: str):
    """RFC 2831 §2.1, client side, qop auth."""
    server = yield b""
    fields = dict(re.findall(r'([a-z]+)="?([^",]*)"?', server.decode()))
    realm, nonce, cnonce, uri = fields.get("realm", DOMAIN), fields["nonce"], "OA6MG9tEQGm2hh", f"{service}/mail.{DOMAIN}"
    def h(data: bytes) -> bytes:
        return hashlib.md5(data).digest()
    a1 = h(f"{user}:{realm}:{ACCOUNTS[user]}".encode()) + f":{nonce}:{cnonce}".encode()
    answer = h(f"{h(a1).hex()}:{nonce}:00000001:{cnonce}:auth:{h(f'AUTHENTICATE:{uri}'.encode()).hex()}".encode()).hex()
    yield f'charset=utf-8,username="{user}",realm="{realm}",nonce="{nonce}",nc=00000001,cnonce="{cnonce}",digest-uri="{uri}",response={answer},qop=auth'.encode()
    yield b""


def cram(user: str):
    server = yield b""
    yield f"{address(user)} {hmac.new(ACCOUNTS[user].encode(), server, 'md5').hexdigest()}".encode()


def tokens(mechanism: str, user: str, service: str):
    """The client's messages of one mechanism, as a generator like `scram`; a first b"" means: the server speaks first."""
    name, secret = address(user), ACCOUNTS[user]
    if mechanism.startswith("SCRAM-"):
        return scram(user, {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism])
    if mechanism == "DIGEST-MD5":
        return digest(user, service)
    if mechanism == "CRAM-MD5":
        return cram(user)
    said = {"PLAIN": [f"\0{name}\0{secret}"], "LOGIN": ["", name, secret], "ANONYMOUS": ["guest@example.net"],
            "XOAUTH2": [f"user={name}\x01auth=Bearer {token(user)}\x01\x01"], "OAUTHBEARER": [f"n,a={name},\x01auth=Bearer {token(user)}\x01\x01"]}[mechanism]

    def play():
        for text in said:
            yield text.encode()
        while True:
            yield b""
    return play()


def imap_sasl(host: str, port: int, mechanism: str, user: str, *words: str) -> None:
    """AUTHENTICATE, with the first message in the command (SASL-IR) where the mechanism has one and `late` is not asked for."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    if "starttls" in words:
        talk.ask(b"a0 STARTTLS", b"a0 OK")
        talk.start_tls()
    exchange = tokens(mechanism, user, "imap")
    initial = next(exchange)
    line = b"a1 AUTHENTICATE " + mechanism.encode()
    if initial and "late" not in words:
        line += b" " + b64(initial)
        initial = None
    answer = talk.ask(line, rb"(\+|a1)")
    while answer.startswith(b"+"):
        if initial:
            message, initial = initial, None
        else:
            message = exchange.send(base64.b64decode(answer[2:].strip() or b""))
        answer = talk.ask(b64(message), rb"(\+|a1)")
    talk.ask(b"a9 LOGOUT", b"a9 OK")


def smtp_sasl(host: str, port: int, mechanism: str, user: str) -> None:
    """AUTH with one mechanism, then QUIT."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    exchange = tokens(mechanism, user, "smtp")
    initial = next(exchange)
    answer = talk.ask(b"AUTH " + mechanism.encode() + (b" " + b64(initial) if initial else b""), b"[2345]")
    while answer.startswith(b"334"):
        answer = talk.ask(b64(exchange.send(base64.b64decode(answer[4:].strip()))), b"[2345]")
    talk.ask(b"QUIT", b"221 ")


# --- IMAP ---------------------------------------------------------------------------------------------------------------------------------

def imap_read(host: str, port: int, user: str, *words: str) -> None:
    """imaplib: LOGIN, SELECT, FETCH of every message, LOGOUT."""
    if "tls" in words:
        imap = imaplib.IMAP4_SSL(host, port, ssl_context=loose(), timeout=20)
    else:
        imap = imaplib.IMAP4(host, port, timeout=20)
    if "starttls" in words:
        imap.starttls(loose())
    imap.login(address(user), ACCOUNTS[user])
    imap.select("INBOX")
    imap.fetch("1:*", "(FLAGS BODY[])")
    imap.logout()


def imap_refused(host: str, port: int, user: str) -> None:
    """LOGIN although the server says LOGINDISABLED: it answers NO [PRIVACYREQUIRED]."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 CAPABILITY", b"a1 OK")
    talk.ask(b'a2 LOGIN "' + address(user).encode() + b'" "' + ACCOUNTS[user].encode() + b'"', b"a2 NO")
    talk.ask(b"a3 LOGOUT", b"a3 OK")


def imap_literals(host: str, port: int) -> None:
    """Passwords that need care: a quoted string with escapes, a synchronising literal, a non-synchronising one."""
    dave = ACCOUNTS["dave"].encode()
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b'a1 LOGIN dave@example.org "' + dave.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"', b"a1 OK")
    talk.ask(b"a2 LOGOUT", b"a2 OK")
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"b1 LOGIN {16}", rb"\+")
    talk.ask(b"dave@example.org {%d}" % len(dave), rb"\+")
    talk.ask(dave, b"b1 OK")
    talk.ask(b"b2 LOGOUT", b"b2 OK")
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    carol = ACCOUNTS["carol"].encode()
    talk.send(b"c1 LOGIN {17+}\r\ncarol@example.org {%d+}\r\n" % len(carol) + carol + b"\r\n")
    talk.until(b"c1 OK")
    talk.ask(b"c2 LOGOUT", b"c2 OK")


def imap_append(host: str, port: int, user: str) -> None:
    """APPEND of a message that itself holds a line like a LOGIN command: content, not a login."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 LOGIN " + address(user).encode() + b" " + ACCOUNTS[user].encode(), b"a1 OK")
    content = MAIL.format(id="append").encode() + b"a7 LOGIN mallory@example.org not-a-login\r\n"
    talk.ask(b"a2 CREATE Drafts", b"a2 OK")
    talk.ask(b"a3 APPEND Drafts {%d}" % len(content), rb"\+")
    talk.ask(content, b"a3 OK")
    talk.ask(b"a4 LOGOUT", b"a4 OK")


def imap_idle(host: str, port: int, user: str) -> None:
    """Log in, say so, and read on once told: a capture can begin in between."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 LOGIN " + address(user).encode() + b" " + ACCOUNTS[user].encode(), b"a1 OK")
    print("logged in", flush=True)
    sys.stdin.readline()
    talk.ask(b"a2 SELECT INBOX", b"a2 OK")
    talk.ask(b"a3 FETCH 1 (FLAGS BODY[])", b"a3 OK")
    talk.ask(b"a4 LOGOUT", b"a4 OK")


def imap_compressed(host: str, port: int, user: str) -> None:
    """RFC 4978: everything after COMPRESS is deflated."""
    import zlib
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 LOGIN " + address(user).encode() + b" " + ACCOUNTS[user].encode(), b"a1 OK")
    talk.ask(b"a2 COMPRESS DEFLATE", b"a2 OK")
    deflate, inflate = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
    for line, end in ((b"a3 SELECT INBOX", b"a3 OK"), (b"a4 LOGOUT", b"a4 OK")):
        talk.send(deflate.compress(line + b"\r\n") + deflate.flush(zlib.Z_SYNC_FLUSH))
        text = b""
        while end not in text:
            text += inflate.decompress(talk.file.read1(4096))


# --- POP3 ---------------------------------------------------------------------------------------------------------------------------------

def pop3_read(host: str, port: int, user: str, *words: str) -> None:
    """poplib: CAPA, USER and PASS (or APOP), LIST, RETR, QUIT."""
    if "tls" in words:
        pop = poplib.POP3_SSL(host, port, context=loose(), timeout=20)
    else:
        pop = poplib.POP3(host, port, timeout=20)
    pop.capa()
    if "stls" in words:
        pop.stls(loose())
    if "apop" in words:
        pop.apop(address(user), ACCOUNTS[user])
    else:
        pop.user(address(user))
        pop.pass_(ACCOUNTS[user])
    pop.list()
    pop.retr(1)
    pop.quit()


def pop3_wrong(host: str, port: int, user: str) -> None:
    """A wrong password, then AUTH PLAIN in two steps with the right one."""
    talk = Talk(host, port)
    talk.until(rb"\+OK")
    talk.ask(b"USER " + address(user).encode(), rb"\+OK")
    talk.ask(b"PASS last years password", rb"-ERR")
    talk.ask(b"AUTH PLAIN", rb"\+")
    talk.ask(b64(b"\0" + address(user).encode() + b"\0" + ACCOUNTS[user].encode()), rb"\+OK")
    talk.ask(b"QUIT", rb"\+OK")


# --- NNTP ---------------------------------------------------------------------------------------------------------------------------------

def nntp_read(host: str, port: int, *words: str) -> None:
    """CAPABILITIES, AUTHINFO USER and PASS, GROUP, ARTICLE, POST; `starttls` first when asked, `wrong` password first."""
    talk = Talk(host, port)
    talk.until(b"20[01]")
    talk.ask(b"CAPABILITIES", rb"\.\r")
    if "starttls" in words:
        talk.ask(b"STARTTLS", b"382")
        talk.start_tls()
        talk.ask(b"CAPABILITIES", rb"\.\r")
    if "wrong" in words:
        talk.ask(b"AUTHINFO USER erin", b"381")
        talk.ask(b"AUTHINFO PASS letmein", b"481")
        talk.ask(b"QUIT", b"205")
        return
    talk.ask(b"GROUP local.test", b"480")
    talk.ask(b"AUTHINFO USER erin", b"381")
    talk.ask(b"AUTHINFO PASS " + ACCOUNTS["erin"].encode(), b"281")
    talk.ask(b"POST", b"340")
    talk.ask(b"From: erin@example.org\r\nNewsgroups: local.test\r\nSubject: Minutes\r\nMessage-ID: <posted-%s@example.org>\r\n\r\nThe minutes.\r\n." % ("tls" if "starttls" in words else "clear").encode(),
             b"240")
    talk.ask(b"GROUP local.test", b"211")
    talk.ask(b"QUIT", b"205")


# --- ManageSieve --------------------------------------------------------------------------------------------------------------------------

def sieve_put(host: str, port: int, user: str, *words: str) -> None:
    """AUTHENTICATE "PLAIN" and one script stored."""
    talk = Talk(host, port)
    talk.until(b"OK")
    if "starttls" in words:
        talk.ask(b"STARTTLS", b"OK")
        talk.start_tls()
        talk.until(b"OK")
    blob = b64(b"\0" + address(user).encode() + b"\0" + ACCOUNTS[user].encode())
    if "literal" in words:
        talk.ask(b'AUTHENTICATE "PLAIN" {%d+}\r\n' % len(blob) + blob, b"OK")
    else:
        talk.ask(b'AUTHENTICATE "PLAIN" "' + blob + b'"', b"OK")
    script = b"keep;\r\n"
    talk.ask(b'PUTSCRIPT "main" {%d+}\r\n' % len(script) + script, b"OK")
    talk.ask(b"LOGOUT", b"OK")


# --- not mail -----------------------------------------------------------------------------------------------------------------------------

def irc(host: str, port: int) -> None:
    """IRC: PASS, NICK, USER, a line that talks of mail, QUIT."""
    talk = Talk(host, port)
    talk.send(b"PASS " + ACCOUNTS["bob"].split()[0].encode() + b"\r\nNICK alice\r\nUSER alice 0 * :Alice\r\n")
    talk.until(rb":\S+ (376|422) ")
    talk.send(b"JOIN #mail\r\nPRIVMSG #mail :EHLO everybody, LOGIN now\r\nQUIT :bye\r\n")
    talk.until(rb"(ERROR|:\S+ QUIT)")


def resolver(host: str, port: int, *questions: str) -> None:
    """Ask a resolver, `TYPE/name` each, with the AD bit: whether DNSSEC proved the answer is of interest."""
    import dns.flags
    import dns.message
    import dns.query

    for question in questions:
        kind, _, name = question.partition("/")
        query = dns.message.make_query(name, kind)
        query.flags |= dns.flags.AD
        dns.query.udp(query, host, timeout=5, port=port)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
