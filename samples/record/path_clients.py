"""What clients do in the recordings of boxes on the path where the clients of `clients.py` do not serve: `path_clients.py NAME ADDRESS PORT [WORD...]`."""
from __future__ import annotations

import contextlib
import imaplib
import smtplib
import socket
import ssl
import struct
import sys

from clients import MAIL, NAME, Talk, address, loose
from servers import ACCOUNTS, DOMAIN


def smtp_goes_on(host: str, port: int) -> None:
    """STARTTLS is accepted, but this client takes no notice and sends its message in clear."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"STARTTLS", b"220 ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"250 ")
    talk.ask(b"RCPT TO:<bob@example.org>", b"250 ")
    talk.ask(b"DATA", b"354 ")
    talk.ask(MAIL.format(id="went-on").encode() + b".", b"250 ")
    talk.ask(b"QUIT", b"221 ")


def smtp_distrusts(host: str, port: int) -> None:
    """smtplib with Python's own trust: the handshake ends with an alert."""
    with smtplib.SMTP(host, port, local_hostname=NAME, timeout=20) as smtp:
        smtp._host = f"mail.{DOMAIN}"  # the name that the certificate must have
        with contextlib.suppress(ssl.SSLCertVerificationError):
            smtp.starttls(context=ssl.create_default_context())
        smtp.close()


def smtp_hangs_up(host: str, port: int, *words: str) -> None:
    """A session that ends well, and then with a reset instead of FIN; without TLS a message is sent."""
    talk = Talk(host, port)
    talk.until(b"220 ")
    talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    if "starttls" in words:
        talk.ask(b"STARTTLS", b"220 ")
        talk.start_tls()
        talk.ask(b"EHLO " + NAME.encode(), b"250 ")
    talk.ask(b"MAIL FROM:<alice@example.org>", b"250 ")
    talk.ask(b"RCPT TO:<bob@example.org>", b"250 ")
    talk.ask(b"DATA", b"354 ")
    talk.ask(MAIL.format(id="hung-up").encode() + b".", b"250 ")
    talk.ask(b"QUIT", b"221 ")
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.file.close()
    talk.socket.close()


def imap_goes_on(host: str, port: int, user: str) -> None:
    """STARTTLS is refused; the client logs in all the same."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 CAPABILITY", b"a1 OK")
    talk.ask(b"a2 STARTTLS", b"a2 (NO|BAD)")
    talk.ask(b"a3 LOGIN " + address(user).encode() + b" " + ACCOUNTS[user].encode(), b"a3 OK")
    talk.ask(b"a4 SELECT INBOX", b"a4 OK")
    talk.ask(b"a5 LOGOUT", b"a5 OK")


def imap_preauth(host: str, port: int) -> None:
    """imaplib: believes that it is logged in, cannot start TLS then, and stores a draft."""
    imap = imaplib.IMAP4(host, port, timeout=20)
    for step in (lambda: imap.starttls(loose()), lambda: imap.append("Drafts", None, None, MAIL.format(id="draft").encode()), imap.logout):
        with contextlib.suppress(imaplib.IMAP4.error):
            step()


def imap_hello_ahead(host: str, port: int) -> None:
    """RFC 9051 §6.2.1 lets a client begin TLS before the server's answer has come."""
    talk = Talk(host, port)
    talk.until(rb"\* OK")
    talk.ask(b"a1 CAPABILITY", b"a1 OK")
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = loose().wrap_bio(theirs, ours, server_hostname=f"mail.{DOMAIN}")

    def begun() -> bool:
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            return True
        return False

    begun()
    talk.send(b"a2 STARTTLS\r\n" + ours.read())
    talk.until(b"a2 OK")
    while not begun():
        theirs.write(talk.file.read1(65536))
    tls.write(b"a3 LOGOUT\r\n")
    talk.send(ours.read())
    talk.file.read()


def pop3_goes_on(host: str, port: int, user: str) -> None:
    """STLS is refused; the client logs in all the same."""
    talk = Talk(host, port)
    talk.until(rb"\+OK")
    talk.ask(b"CAPA", rb"\.\r")
    talk.ask(b"STLS", rb"-ERR")
    talk.ask(b"USER " + address(user).encode(), rb"\+OK")
    talk.ask(b"PASS " + ACCOUNTS[user].encode(), rb"\+OK")
    talk.ask(b"QUIT", rb"\+OK")


def nntp_goes_on(host: str, port: int) -> None:
    """STARTTLS is refused; the client logs in all the same."""
    talk = Talk(host, port)
    talk.until(b"20[01]")
    talk.ask(b"CAPABILITIES", rb"\.\r")
    talk.ask(b"STARTTLS", b"5")
    talk.ask(b"AUTHINFO USER erin", b"381")
    talk.ask(b"AUTHINFO PASS " + ACCOUNTS["erin"].encode(), b"281")
    talk.ask(b"QUIT", b"205")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
