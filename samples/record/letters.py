"""Letters that protect themselves, made by openssl and gpg for one recording, and letters that only look so: `letters.py NAME ADDRESS PORT`.

Each function below is one NAME: it makes its letters with fresh keys in a folder that goes away again, and sends them in one session.
"""
from __future__ import annotations

import base64
import os
import pathlib
import random
import smtplib
import subprocess
import sys
import tempfile

from servers import DOMAIN

NAME = "client.example.net"
TEXT = "Content-Type: text/plain; charset=utf-8\r\n\r\nThe offer stands until Friday.\r\n"
ALGORITHM = ("--cipher-algo", "AES256")


class Desk:
    """A folder with the keys of those who write and read."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        (folder / "text").write_text(TEXT, newline="")
        (folder / "gnupg").mkdir(mode=0o700)

    def run(self, *argv: str, data: bytes | None = None) -> bytes:
        done = subprocess.run(argv, cwd=self.folder, input=data, capture_output=True, env=os.environ | {"GNUPGHOME": str(self.folder / "gnupg")})
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr.decode()}")
        return done.stdout

    def certificate(self, name: str, bits: int = 2048) -> None:
        self.run("openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "3650", "-subj", f"/CN={name}/emailAddress={name}@{DOMAIN}")

    def cms(self, *words: str, padding: tuple[str, ...] = ()) -> bytes:
        """What `openssl cms` makes of the text, as a message without From and the like."""
        return self.run("openssl", "cms", *words, "-in", "text", *(["-recip", "bob.crt", *padding] if "-encrypt" in words else ["-signer", "alice.crt", "-inkey", "alice.key"]))

    def pgp_keys(self) -> None:
        for name, kinds in (("bob", "Key-Type: RSA\nKey-Length: 2048\nSubkey-Type: RSA\nSubkey-Length: 2048"), ("carol", "Key-Type: EDDSA\nKey-Curve: ed25519\nSubkey-Type: ECDH\nSubkey-Curve: cv25519")):
            self.gpg("--gen-key", data=f"%no-protection\n{kinds}\nName-Email: {name}@{DOMAIN}\nExpire-Date: 0\n%commit\n".encode())

    def gpg(self, *words: str, data: bytes | None = None) -> bytes:
        return self.run("gpg", "--batch", "--yes", "--quiet", "--no-auto-key-locate", "--trust-model", "always", "--pinentry-mode", "loopback", "--armor", *words, data=data)


def head(name: str, subject: str) -> bytes:
    return f"From: Alice <alice@{DOMAIN}>\r\nTo: Bob <bob@{DOMAIN}>\r\nSubject: {subject}\r\nMessage-ID: <{name}@{DOMAIN}>\r\n".encode()


def text(name: str, body: bytes, subject: str = "Offer") -> bytes:
    return head(name, subject) + b"Content-Type: text/plain\r\n\r\n" + body


def lines(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def pgp_mime(name: str, armor: bytes, subject: str) -> bytes:
    return (head(name, subject) + b'MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="sealed"\r\n\r\n'
            b"--sealed\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--sealed\r\nContent-Type: application/octet-stream; name=encrypted.asc\r\n\r\n" + lines(armor) + b"\r\n--sealed--\r\n")


def send(host: str, port: int, letters: list[bytes]) -> None:
    with smtplib.SMTP(host, port, local_hostname=NAME, timeout=20) as smtp:
        for letter in letters:
            smtp.sendmail(f"alice@{DOMAIN}", [f"bob@{DOMAIN}"], letter)


def smime(host: str, port: int, desk: Desk) -> None:
    """AES in CBC mode, triple DES, RC2 with 40 bits; signed clear, opaque, and clear over SHA-1."""
    desk.certificate("alice")
    desk.certificate("bob")
    send(host, port, [head(name, "Offer") + lines(desk.cms(*words)) for name, words in (
        ("cbc", ("-encrypt", "-aes256")), ("3des", ("-encrypt", "-des3", "-stream")), ("rc2", ("-encrypt", "-rc2-40", "-provider", "legacy", "-provider", "default")),
        ("clear-signed", ("-sign",)), ("opaque", ("-sign", "-nodetach")), ("sha1", ("-sign", "-md", "sha1")))])


def smime_strong(host: str, port: int, desk: Desk) -> None:
    """AES-GCM, and the subject hidden."""
    desk.certificate("bob", 3072)
    send(host, port, [head("gcm", "[...]") + lines(desk.cms("-encrypt", "-aes-256-gcm", padding=("-keyopt", "rsa_padding_mode:oaep")))])


def openpgp(host: str, port: int, desk: Desk) -> None:
    """PGP/MIME with a hidden subject, inline for two, inline with a password, inline in the old way without integrity; signed inline."""
    desk.pgp_keys()
    bob, carol = ("--recipient", f"bob@{DOMAIN}"), ("--recipient", f"carol@{DOMAIN}")
    send(host, port, [
        pgp_mime("pgp-mime", desk.gpg("--encrypt", "--sign", "--local-user", f"bob@{DOMAIN}", *bob, "-o", "-", "text"), "..."),
        text("pgp-two", lines(desk.gpg("--encrypt", *bob, *carol, "-o", "-", "text"))),
        text("pgp-password", lines(desk.gpg("--symmetric", *ALGORITHM, "--passphrase-fd", "0", "-o", "-", "text", data=b"noon-and-stone\n"))),
        text("pgp-old", lines(desk.gpg("--encrypt", "--rfc2440", "--disable-mdc", *bob, "-o", "-", "text"))),
        text("pgp-signed", lines(desk.gpg("--clearsign", "--local-user", f"bob@{DOMAIN}", "-o", "-", "text")))])
    desk.run("gpgconf", "--kill", "all")


def lookalikes(host: str, port: int, desk: Desk) -> None:
    """A .p7m that is none, enveloped by its type alone, a message quoted in a reply, a public key, a message that is only signed in the same armor; Outlook's format; one that is marked private."""
    desk.certificate("alice")
    desk.pgp_keys()
    noise = base64.encodebytes(random.Random(5).randbytes(600)).replace(b"\n", b"\r\n")
    armor = lines(desk.gpg("--encrypt", "--recipient", f"bob@{DOMAIN}", "-o", "-", "text"))
    attached = b"Content-Transfer-Encoding: base64\r\n\r\n"
    send(host, port, [
        head("named-p7m", "Offer") + b"Content-Type: application/octet-stream; name=smime.p7m\r\n" + attached + noise,
        head("only-declared", "Offer") + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\r\n" + b"This is a text that anybody can read.\r\n" * 5,
        text("quoted", b"> " + armor.replace(b"\r\n", b"\r\n> ") + b"\r\nWhat is this?\r\n"),
        text("public-key", lines(desk.gpg("--export", f"bob@{DOMAIN}"))),
        text("armored-signed", lines(desk.gpg("--sign", "--local-user", f"bob@{DOMAIN}", "-o", "-", "text"))),
        head("winmail", "Offer") + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n" + attached
        + base64.b64encode(b"\x78\x9f\x3e\x22\0\0\x01") + b"\r\n--b--\r\n",
        head("private", "Offer") + b"Sensitivity: Private\r\n\r\n" + TEXT.encode()])
    desk.run("gpgconf", "--kill", "all")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="pcapsec-letters-") as folder:
        globals()[sys.argv[1].replace("-", "_")](sys.argv[2], int(sys.argv[3]), Desk(pathlib.Path(folder)))
