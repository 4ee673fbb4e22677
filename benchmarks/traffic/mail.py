"""The mail conversations: what each kind says, and the facts that a reader must find in it."""
from __future__ import annotations

from typing import Callable, Iterator

import numpy as np

from .message import DOMAINS, FIRST, LAST, Message, compose, pick, stuffed
from .script import CLIENT, MESSAGE, MS, PASSWORD, RECIPIENT, SERVER, USER, Pool, Region, Script, Span, Text, width
from .tls_bytes import close_tls, open_tls, tls_data

SOFTWARE = ("Postfix", "Exim 4.97", "Sendmail 8.17.1", "Microsoft ESMTP MAIL Service")


class Mailer:
    """Writes scripts; message sizes come in from outside.

    Args:
        pool: where bytes go.
        rng: decides everything that differs between scripts of one kind.
        region: endless TLS records.
        sizes: endless message sizes.
    """

    def __init__(self, pool: Pool, rng: np.random.Generator, region: Region, sizes: Iterator[int]):
        self.pool, self.rng, self.region, self.sizes = pool, rng, region, sizes

    # --- pieces

    def _script(self, kind: str, port: int, protocol: str, clients: str = "office", servers: str = "mail") -> Script:
        script = Script(self.pool, kind, port, protocol)
        script.clients, script.servers = clients, servers
        script.ending = ("fin-client", "fin-server", "fin-client", "fin-server", "reset")[int(self.rng.integers(5))]
        return script

    def _address(self, slot=USER) -> Text:
        return (f"{pick(self.rng, FIRST)}.{pick(self.rng, LAST)}.".encode(), slot, b"@" + pick(self.rng, DOMAINS).encode())

    def _account(self) -> Text:
        """A login name: an address, or a short name in one of three."""
        return (pick(self.rng, LAST).encode(), USER) if self.rng.random() < 0.33 else self._address()

    def _password(self) -> Text:
        return (("Sommer!", "pw-", "Qx", "geheim.")[int(self.rng.integers(4))].encode(), PASSWORD)

    def _compose(self, suffix: bytes, received: int) -> Message:
        recipients = tuple(self._address(RECIPIENT) for _ in range(1 + int(self.rng.random() < 0.2) + int(self.rng.random() < 0.1)))
        return compose(self.rng, next(self.sizes), self._address(), recipients, suffix, received)

    def _think(self, low_ms: float, high_ms: float) -> int:
        return int(self.rng.uniform(low_ms, high_ms) * MS)

    def _smtp_hello(self, script: Script, starttls: bool, auth: bytes = b"") -> Span:
        """Greeting and EHLO; the span of the capability list."""
        host = b"mx%d.example.net" % int(self.rng.integers(1, 9))
        script.server(b"220 " + host + b" ESMTP " + pick(self.rng, list(SOFTWARE)).encode() + b"\r\n", think_ns=self._think(1, 30))
        return self._ehlo(script, host, starttls, auth)

    def _ehlo(self, script: Script, host: bytes, starttls: bool, auth: bytes) -> Span:
        script.client(b"EHLO host-", USER, b"." + pick(self.rng, DOMAINS).encode() + b"\r\n")
        words = [b"PIPELINING", b"SIZE 52428800", b"VRFY", b"ETRN", *[b"STARTTLS"] * starttls, *[b"AUTH " + auth] * bool(auth),
                 b"ENHANCEDSTATUSCODES", b"8BITMIME", b"DSN", b"CHUNKING"]
        lines = [host] + words
        return script.server(b"".join(b"250" + (b" " if n == len(lines) - 1 else b"-") + line + b"\r\n" for n, line in enumerate(lines)))

    def _mail(self, script: Script, message: Message, direction: str, pipelined: bool) -> None:
        """MAIL, RCPT, DATA, content and the answer to it."""
        size = b" SIZE=%d" % message.size if self.rng.random() < 0.6 else b""
        mail: Text = (b"MAIL FROM:<", *message.sender, b">" + size + b"\r\n")
        rcpts: list[Text] = [(b"RCPT TO:<", *recipient, b">\r\n") for recipient in message.recipients]
        if pipelined:
            together: list = []
            for text in (mail, *rcpts, (b"DATA\r\n",)):
                together += text
            span = script.client(*together, think_ns=self._think(0.2, 3))
            script.server(b"250 2.1.0 Ok\r\n" + b"250 2.1.5 Ok\r\n" * len(rcpts) + b"354 End data with <CR><LF>.<CR><LF>\r\n", think_ns=self._think(0.5, 5))
            at, spans = span.start, []
            for text in (mail, *rcpts, (b"DATA\r\n",)):
                spans.append(Span(CLIENT, at, at + width(text)))
                at += width(text)
        else:
            spans = []
            for text, answer in ((mail, b"250 2.1.0 Ok\r\n"), *((text, b"250 2.1.5 Ok\r\n") for text in rcpts),
                                 ((b"DATA\r\n",), b"354 End data with <CR><LF>.<CR><LF>\r\n")):
                spans.append(script.client(*text, think_ns=self._think(0.2, 3)))
                script.server(answer, think_ns=self._think(0.5, 5))
        content = script.client(*stuffed(message.text), b".\r\n", think_ns=self._think(0.2, 3))
        answered = script.server(b"250 2.0.0 Ok: queued as ", MESSAGE, b"\r\n", think_ns=self._think(2, 60))
        script.message(direction, message.message_id, content, message.head_bytes, message.size, (message.sender, spans[0]),
                       tuple(zip(message.recipients, spans[1:-1])), answered, (spans[-1],))

    def _quit(self, script: Script, command: bytes, answer: bytes) -> None:
        script.client(command + b"\r\n", think_ns=self._think(0.2, 20))
        script.server(answer + b"\r\n")

    def _tls_dialogue(self, script: Script, turns: int, side: int) -> None:
        """Small encrypted turns around one message that `side` sends."""
        for turn in range(turns):
            tls_data(script, self.rng, CLIENT, int(self.rng.integers(12, 90)), self.region, think_ns=self._think(0.2, 8))
            if turn == turns - 2:
                tls_data(script, self.rng, side, next(self.sizes), self.region)
            tls_data(script, self.rng, SERVER, int(self.rng.integers(20, 220)), self.region, think_ns=self._think(0.5, 12))
        close_tls(script, self.rng)

    def _upgrade(self, script: Script, offered: Span, requested: Span, answered: Span, name: bytes, turns: int, side: int) -> None:
        hellos = open_tls(script, self.rng, name, tls13=self.rng.random() < 0.75)
        script.starttls(offered, requested, answered, *hellos)
        self._tls_dialogue(script, turns, side)

    # --- SMTP

    def relay_clear(self) -> Script:
        script = self._script("smtp-relay-clear", 25, "smtp", clients="internet")
        self._smtp_hello(script, starttls=False)
        pipelined = self.rng.random() < 0.6
        for n in range(1 + int(self.rng.random() < 0.15)):
            self._mail(script, self._compose(b"%d" % n, int(self.rng.integers(1, 5))), "relayed", pipelined)
        self._quit(script, b"QUIT", b"221 2.0.0 Bye")
        return script

    def relay_starttls(self) -> Script:
        return self._smtp_starttls("smtp-relay-starttls", 25, "internet", b"")

    def submission_starttls(self) -> Script:
        return self._smtp_starttls("submission-starttls", 587, "office", b"PLAIN LOGIN")

    def _smtp_starttls(self, kind: str, port: int, clients: str, auth: bytes) -> Script:
        script = self._script(kind, port, "smtp", clients=clients)
        offered = self._smtp_hello(script, starttls=True, auth=auth if self.rng.random() < 0.3 else b"")
        requested = script.client(b"STARTTLS\r\n")
        answered = script.server(b"220 2.0.0 Ready to start TLS\r\n")
        self._upgrade(script, offered, requested, answered, b"mx%d.example.net" % int(self.rng.integers(1, 9)), 6, CLIENT)
        return script

    def submission_plain(self) -> Script:
        script = self._script("submission-auth-plain", 587, "smtp")
        self._smtp_hello(script, starttls=False, auth=b"PLAIN LOGIN")
        self._auth_plain(script, True)
        self._mail(script, self._compose(b"s", 0), "submitted", False)
        self._quit(script, b"QUIT", b"221 2.0.0 Bye")
        return script

    def submission_login(self) -> Script:
        script = self._script("submission-auth-login", 587, "smtp")
        self._smtp_hello(script, starttls=False, auth=b"PLAIN LOGIN")
        self._auth_login(script, True)
        self._mail(script, self._compose(b"s", 0), "submitted", False)
        self._quit(script, b"QUIT", b"221 2.0.0 Bye")
        return script

    def _auth_answer(self, script: Script, success: bool) -> Span:
        return script.server(b"235 2.7.0 Authentication successful\r\n" if success else b"535 5.7.8 Error: authentication failed\r\n",
                             think_ns=self._think(3, 40))

    def _auth_plain(self, script: Script, success: bool) -> None:
        account = self._account()
        token = script.token(b"\0", *account, b"\0", *self._password())
        sent = script.client(b"AUTH PLAIN ", token, b"\r\n")
        script.login("PLAIN", "success" if success else "failed", account, (sent,), sent, sent, self._auth_answer(script, success))

    def _auth_login(self, script: Script, success: bool) -> None:
        account = self._account()
        name, password = script.token(*account), script.token(*self._password())
        command = script.client(b"AUTH LOGIN\r\n")
        script.server(b"334 VXNlcm5hbWU6\r\n")
        principal = script.client(name, b"\r\n")
        script.server(b"334 UGFzc3dvcmQ6\r\n")
        secret = script.client(password, b"\r\n")
        script.login("LOGIN", "success" if success else "failed", account, (command,), principal, secret, self._auth_answer(script, success))

    def submission_failed(self) -> Script:
        script = self._script("submission-auth-failed", 587, "smtp", clients="internet")
        self._smtp_hello(script, starttls=False, auth=b"PLAIN LOGIN")
        (self._auth_login if self.rng.random() < 0.6 else self._auth_plain)(script, False)
        self._quit(script, b"QUIT", b"221 2.0.0 Bye")
        return script

    # --- IMAP

    def _imap_hello(self, script: Script, words: bytes) -> Span:
        capability = b"CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+" + words
        return script.server(b"* OK [" + capability + b"] Dovecot ready.\r\n", think_ns=self._think(1, 20))

    def _imap_login(self, script: Script, tag: bytes, success: bool) -> None:
        account, password = self._account(), self._password()
        quote = b'"' if self.rng.random() < 0.5 else b""
        sent = script.client(tag + b" LOGIN " + quote, *account, quote + b" " + quote, *password, quote + b"\r\n", think_ns=self._think(1, 20))
        answer = b" OK [CAPABILITY IMAP4rev1 IDLE NAMESPACE UIDPLUS] Logged in\r\n" if success else b" NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
        answered = script.server(tag + answer, think_ns=self._think(3, 40))
        script.login("LOGIN-COMMAND", "success" if success else "failed", account, (sent,), sent, sent, answered)

    def imap_clear(self) -> Script:
        script = self._script("imap-clear", 143, "imap")
        self._imap_hello(script, b" AUTH=PLAIN")
        self._imap_login(script, b"a1", True)
        script.client(b"a2 SELECT INBOX\r\n")
        script.server(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* 42 EXISTS\r\n* 1 RECENT\r\n* OK [UIDVALIDITY 1715580000] UIDs valid\r\n"
                      b"* OK [UIDNEXT 4243] Predicted next UID\r\na2 OK [READ-WRITE] Select completed.\r\n", think_ns=self._think(1, 10))
        for n in range(1 + int(self.rng.random() < 0.25)):
            tag, message = b"a%d" % (3 + n), self._compose(b"f%d" % n, int(self.rng.integers(1, 4)))
            script.client(tag + b" UID FETCH %d (UID FLAGS BODY.PEEK[])\r\n" % (4200 + n))
            head = b"* %d FETCH (UID %d FLAGS (\\Seen) BODY[] {%d}\r\n" % (41 + n, 4200 + n, message.size)
            sent = script.server(head, *message.text, b")\r\n" + tag + b" OK Fetch completed.\r\n", think_ns=self._think(1, 15))
            content = Span(SERVER, sent.start + len(head), sent.start + len(head) + message.size)
            script.message("fetched", message.message_id, content, message.head_bytes, message.size, opened=(Span(SERVER, sent.start, content.start),))
        script.client(b"a9 LOGOUT\r\n", think_ns=self._think(1, 60))
        script.server(b"* BYE Logging out\r\na9 OK Logout completed.\r\n")
        return script

    def imap_starttls(self) -> Script:
        script = self._script("imap-starttls", 143, "imap")
        offered = self._imap_hello(script, b" STARTTLS LOGINDISABLED")
        requested = script.client(b"a1 STARTTLS\r\n")
        answered = script.server(b"a1 OK Begin TLS negotiation now.\r\n")
        self._upgrade(script, offered, requested, answered, b"imap.example.net", 7, SERVER)
        return script

    def imap_failed(self) -> Script:
        script = self._script("imap-login-failed", 143, "imap", clients="internet")
        self._imap_hello(script, b" AUTH=PLAIN")
        self._imap_login(script, b"1", False)
        script.client(b"2 LOGOUT\r\n")
        script.server(b"* BYE Logging out\r\n2 OK Logout completed.\r\n")
        return script

    # --- POP3

    def _pop3_login(self, script: Script, success: bool) -> None:
        account, password = self._account(), self._password()
        user = script.client(b"USER ", *account, b"\r\n", think_ns=self._think(0.5, 10))
        script.server(b"+OK\r\n")
        secret = script.client(b"PASS ", *password, b"\r\n")
        answered = script.server(b"+OK Logged in.\r\n" if success else b"-ERR [AUTH] Authentication failed.\r\n", think_ns=self._think(3, 40))
        script.login("USER-PASS", "success" if success else "failed", account, (), user, secret, answered)

    def pop3_clear(self) -> Script:
        script = self._script("pop3-clear", 110, "pop3")
        script.server(b"+OK Dovecot ready.\r\n", think_ns=self._think(1, 20))
        self._pop3_login(script, True)
        messages = [self._compose(b"p%d" % n, int(self.rng.integers(1, 4))) for n in range(1 + int(self.rng.random() < 0.2))]
        script.client(b"STAT\r\n")
        script.server(b"+OK %d %d\r\n" % (len(messages), sum(message.size for message in messages)))
        for n, message in enumerate(messages, 1):
            asked = script.client(b"RETR %d\r\n" % n)
            head = b"+OK %d octets\r\n" % message.size
            text = stuffed(message.text)
            sent = script.server(head, *text, b".\r\n", think_ns=self._think(1, 15))
            script.message("fetched", message.message_id, Span(SERVER, sent.start + len(head), sent.end), message.head_bytes, message.size,
                           opened=(Span(SERVER, sent.start, sent.start + len(head)), asked))
        self._quit(script, b"QUIT", b"+OK Logging out.")
        return script

    def pop3_stls(self) -> Script:
        script = self._script("pop3-stls", 110, "pop3")
        script.server(b"+OK Dovecot ready.\r\n", think_ns=self._think(1, 20))
        script.client(b"CAPA\r\n")
        offered = script.server(b"+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nSTLS\r\nSASL\r\n.\r\n")
        requested = script.client(b"STLS\r\n")
        answered = script.server(b"+OK Begin TLS negotiation now.\r\n")
        self._upgrade(script, offered, requested, answered, b"pop.example.net", 5, SERVER)
        return script

    def pop3_failed(self) -> Script:
        script = self._script("pop3-login-failed", 110, "pop3", clients="internet")
        script.server(b"+OK Dovecot ready.\r\n", think_ns=self._think(1, 20))
        self._pop3_login(script, False)
        self._quit(script, b"QUIT", b"+OK Logging out")
        return script

    # --- NNTP

    def nntp(self) -> Script:
        """A reader; half of them log in first, one in six in vain."""
        script = self._script("nntp-reader", 119, "nntp")
        script.server(b"200 news.example.net InterNetNews server ready (posting ok)\r\n", think_ns=self._think(1, 20))
        script.client(b"MODE READER\r\n")
        script.server(b"200 Posting allowed\r\n")
        chance = self.rng.random()
        if chance < 0.5:
            account = (pick(self.rng, LAST).encode(), USER)
            user = script.client(b"AUTHINFO USER ", *account, b"\r\n")
            script.server(b"381 Enter password\r\n")
            secret = script.client(b"AUTHINFO PASS ", *self._password(), b"\r\n")
            success = chance >= 1 / 6
            answered = script.server(b"281 Authentication succeeded\r\n" if success else b"481 Authentication failed\r\n", think_ns=self._think(2, 20))
            script.login("AUTHINFO", "success" if success else "failed", account, (), user, secret, answered)
        if chance >= 1 / 6:
            script.client(b"GROUP comp.mail.misc\r\n")
            script.server(b"211 1234 3000 4234 comp.mail.misc\r\n")
            message = compose(self.rng, min(next(self.sizes), 8_000), self._address(), (self._address(RECIPIENT),), b"n", 0)
            asked = script.client(b"ARTICLE 4000\r\n")
            head: Text = (b"220 4000 ", *message.message_id, b" article\r\n")
            sent = script.server(*head, *stuffed(message.text), b".\r\n", think_ns=self._think(1, 10))
            content = Span(SERVER, sent.start + width(head), sent.end)
            script.message("fetched", message.message_id, content, message.head_bytes, message.size, opened=(Span(SERVER, sent.start, content.start), asked))
        self._quit(script, b"QUIT", b"205 Bye!")
        return script

    # --- implicit TLS

    def _implicit(self, kind: str, port: int, protocol: str, name: bytes, turns: int, side: int) -> Script:
        script = self._script(kind, port, protocol)
        script.implicit_tls(*open_tls(script, self.rng, name, tls13=self.rng.random() < 0.75))
        tls_data(script, self.rng, SERVER, int(self.rng.integers(30, 120)), self.region, think_ns=self._think(0.5, 9))
        self._tls_dialogue(script, turns, side)
        return script

    def smtps(self) -> Script:
        return self._implicit("submissions-465", 465, "smtp", b"smtp.example.net", 8, CLIENT)

    def imaps(self) -> Script:
        return self._implicit("imaps-993", 993, "imap", b"imap.example.net", 7, SERVER)

    def pop3s(self) -> Script:
        return self._implicit("pop3s-995", 995, "pop3", b"pop.example.net", 6, SERVER)


# share of conversations, in percent, and what writes one
MIX: tuple[tuple[float, Callable[[Mailer], Script]], ...] = (
    (20, Mailer.relay_clear), (20, Mailer.relay_starttls), (4, Mailer.submission_plain), (2, Mailer.submission_login), (8, Mailer.submission_starttls),
    (6, Mailer.smtps), (11, Mailer.imaps), (4, Mailer.pop3s), (8, Mailer.imap_clear), (3, Mailer.imap_starttls), (5, Mailer.pop3_clear), (2, Mailer.pop3_stls),
    (2, Mailer.submission_failed), (1.5, Mailer.imap_failed), (1, Mailer.pop3_failed), (2.5, Mailer.nntp),
)
