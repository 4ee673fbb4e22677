"""POP3 (RFC 1939) with CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034), UTF8 and LANG (RFC 6856), response codes (RFC 2449 §8, RFC 3206) and [MS-POP3].

Resync after damage: the next line end of the side that lost bytes. Replies to commands that were waiting stay unknown. A reply whose
command was not seen is told by its shape: what follows `+OK` is another reply, a capability list, a message (its header) or a listing.
"""
from __future__ import annotations

import re

from ..records import CLIENT, SERVER, Login
from ..secret import Secret
from .dotted import MAX_CACHE, Block, Capabilities, DottedParser, ListBlock, MessageBlock
from .sasl import to_text

CAPABILITIES = frozenset((
    "TOP USER SASL RESP-CODES LOGIN-DELAY PIPELINING EXPIRE UIDL IMPLEMENTATION AUTH-RESP-CODE STLS UTF8 LANG APOP CAPA XTND LAST STAT LIST RETR "
    "DELE NOOP RSET QUIT").split())  # RFC 2449 §6, the IANA registry; then commands that servers list too
VERBS = frozenset((
    b"USER PASS APOP AUTH CAPA STLS STAT LIST RETR DELE NOOP RSET QUIT TOP UIDL LAST RPOP XTND UTF8 LANG XSENDER HELP").split())
HARMLESS = frozenset((b"CAPA", b"STLS", b"NOOP", b"RSET", b"QUIT", b"HELP", b"AUTH?"))  # discovery; AUTH? is AUTH without a mechanism
MAILBOX = frozenset((b"STAT", b"LIST", b"RETR", b"DELE", b"TOP", b"UIDL", b"LAST"))
MAX_GREETING = 200

_TIMESTAMP = re.compile(rb"<[^<>]*>")
_GOOD_TIMESTAMP = re.compile(rb"<[!-;=?A-~]+@[!-;=?A-~]+>\Z")  # RFC 1939 §7: a msg-id, so printable ASCII around one @
_HEX32 = re.compile(rb"[0-9A-Fa-f]{32}\Z")
_TLS_FIRST = re.compile(
    rb"(?:tls|ssl|stls|encrypt|secure).*(?:requir|must|first|disallow|not allowed|disabled|only)"
    rb"|(?:requir|must|disallow|not allowed|disabled|only).*(?:tls|ssl|stls|encrypt|secure)", re.IGNORECASE)
_LOCKED = re.compile(rb"lock (?:the )?mail(?:drop|box)|mail(?:drop|box) (?:is )?(?:already |currently )?(?:locked|in use)|already locked", re.IGNORECASE)
_GREETING = re.compile(rb"<[^<>]*@[^<>]*>|\bready\b|\bPOP|\bserver\b|\bwelcome\b|\bhello\b", re.IGNORECASE)  # where a command came before it
_HEADER = re.compile(rb"[!-9;-~]{1,76}:[ \t]")
_capabilities: dict[bytes, Capabilities] = {}


def _mechanisms(words: list[str]) -> list[str]:
    if words[0] == "SASL":
        return words[1:]
    return ["USER"] if words[0] == "USER" else []


def read_capabilities(block: bytes) -> Capabilities:
    """The lines of a CAPA reply (RFC 2449 §5), without its dot."""
    found = _capabilities.get(block)
    if found is None:
        if len(_capabilities) >= MAX_CACHE:
            _capabilities.clear()
        found = _capabilities[block] = Capabilities(block, "STLS", CAPABILITIES, _mechanisms)
    return found


class Pop3Parser(DottedParser):
    """Both sides of a POP3 conversation."""

    protocol = "pop3"
    verbs = VERBS
    offer = "STLS"

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self.timestamp: bytes | None = None  # of the greeting, with its brackets
        self.loose = False  # the last reply was +OK to a command that was not seen: what follows may be its block

    def is_reply(self, line: bytes) -> bool:
        return line[:4] in (b"+OK ", b"+OK\r", b"+OK", b"-ERR") or line[:2] == b"+ "

    # --- client

    def client_line(self, line: bytes, at: int) -> None:
        if self.exchange is not None and self.take_token(line, at):
            return
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        facts = self.facts
        facts.n_commands += 1
        self.end_damaged_block()
        if verb not in VERBS:
            stripped = verb.strip()
            verb = stripped if stripped in VERBS else b"?"
            if verb == b"?":
                self.expect(verb, self.odd_command(stripped, at, bool(argument)))
                return
        handle = _COMMANDS.get(verb)
        if handle is not None:
            verb = handle(self, verb, argument, at)
            if verb is None:
                return
        else:
            if verb in MAILBOX:
                facts.n_mailbox_commands += 1
            if not argument and verb in _LISTINGS:
                verb += b"*"
            self.expect(verb)
        if facts.first_clear_command is None and verb not in HARMLESS and verb != b"?":
            facts.first_clear_command, facts.first_clear_command_at = verb.decode().rstrip("*"), at

    def _user(self, verb: bytes, argument: bytes, at: int) -> bytes:
        """`USER name` (RFC 1939 §7); names with blanks exist."""
        self.user_name = to_text(argument.strip()) or None
        self.user = Login(protocol="pop3", mechanism="USER-PASS", at=at, principal=self.user_name)
        self.facts.logins.append(self.user)
        self.expect(verb, self.user)
        return verb

    def _pass(self, verb: bytes, argument: bytes, at: int) -> bytes:
        """`PASS string`: everything behind the first blank belongs to the password (RFC 1939 §7)."""
        login = self.user
        if login is None:
            login = Login(protocol="pop3", mechanism="USER-PASS", at=at, principal=self.user_name)
            self.facts.logins.append(login)
        self.user = None
        login.result, login.reason, login.reply_code = "unknown", None, None
        login.secret_at = at
        if argument:
            login.secret, login.exposure = Secret(argument), "password"
        self.expect(verb, login)
        return verb

    def _apop(self, verb: bytes, argument: bytes, at: int) -> bytes:
        """`APOP name digest` (RFC 1939 §7)."""
        name, blank, digest = argument.strip().rpartition(b" ")
        if not blank:
            name, digest = digest, b""
        login = Login(protocol="pop3", mechanism="APOP", at=at, principal=to_text(name.strip()) or None)
        login.well_formed = _HEX32.match(digest) is not None
        login.details["challenge_seen"] = self.timestamp is not None
        login.details["malformed_timestamp"] = self.timestamp is not None and _GOOD_TIMESTAMP.match(self.timestamp) is None
        if digest:
            login.secret, login.secret_at, login.exposure = Secret(digest), at, "guessable"
        self.facts.logins.append(login)
        self.expect(verb, login)
        return verb

    def _auth(self, verb: bytes, argument: bytes, at: int) -> bytes:
        """`AUTH mechanism [initial-response]` (RFC 5034 §4); without a mechanism old servers list theirs."""
        words = argument.split(None, 1)
        if not words:
            self.expect(b"AUTH?")
            return b"AUTH?"
        exchange = self.begin_exchange(words[0], words[1] if len(words) > 1 else None, at)
        self.expect(verb, exchange)
        return verb

    def _stls(self, verb: bytes, argument: bytes, at: int) -> bytes:
        self.expect(verb)
        self.starttls_requested("STLS", at, bool(argument.strip()))
        return verb

    def _xtnd(self, verb: bytes, argument: bytes, at: int) -> bytes:
        """`XTND XMIT` takes a message from the client (RFC 1082); other subcommands answer with a block or not."""
        self.expect(b"XMIT" if argument.upper().startswith(b"XMIT") else b"XTND")
        return verb

    # --- server

    def server_line(self, line: bytes, at: int) -> None:
        first = line[:1]
        if first == b"+":
            if line[:3].upper() == b"+OK":
                self._reply(True, line, at)
                return
            if line == b"+" or line[:2] == b"+ ":
                self.prompt(line[2:])
                return
        elif first == b"-" and line[:4].upper() == b"-ERR":
            self._reply(False, line, at)
            return
        if self.loose:
            self._loose_block(line, at)

    def _reply(self, positive: bool, line: bytes, at: int) -> None:
        facts = self.facts
        facts.n_replies += 1
        self.loose = False
        if not self.greeted:
            self.greeted = True
            if self.start_seen and not self.pending or _GREETING.search(line, 0, 400) is not None and (self.start_seen or not facts.n_commands):
                self._greeting(line, at)
                return
        if not self.pending:
            self.loose = positive
            return
        verb, what = self.pending.popleft()
        handle = _REPLIES.get(verb)
        if positive and facts.accepted_clear_command is None and verb not in HARMLESS and not (verb == b"AUTH" and self._goes_on(what)):
            name = verb.rstrip(b"*")
            if name in VERBS:
                facts.accepted_clear_command, facts.accepted_clear_code = name.decode(), "+OK"
        if handle is not None:
            handle(self, positive, line, at, what)
        elif verb == b"?" or verb == b"XTND":
            self.loose = positive
            if what is not None:
                self.odd_answered(what, "+OK" if positive else "-ERR", line.partition(b" ")[2].decode("latin-1"))

    def _greeting(self, line: bytes, at: int) -> None:
        facts = self.facts
        facts.greeting, facts.greeting_at = line[:MAX_GREETING].decode("latin-1"), at
        facts.greeting_code = "+OK" if line[:1] == b"+" else "-ERR"
        found = _TIMESTAMP.search(line)
        if found is not None:
            self.timestamp = found[0]

    def _login_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        result, reason, code = self.judge(positive, line)
        if type(what) is Login:
            what.result, what.reason, what.reply_code = result, reason, code
            if result == "success":
                self.logged_in = True
        else:
            self.end_exchange(what, result, reason, code)

    def judge(self, positive: bool, line: bytes) -> tuple[str, str | None, str]:
        """What an answer says about a login: result, reason, reply code.

        [IN-USE] comes after the password was found right, [LOGIN-DELAY] says nothing about it (RFC 2449 §8.1); nor does [SYS/...], and [AUTH] means wrong (RFC 3206).
        """
        if positive:
            return "success", None, "+OK"
        code = "-ERR"
        text = line[5:].strip()
        word = b""
        if text[:1] == b"[":
            word = text[1:].partition(b"]")[0][:40].upper()
            code = f"-ERR [{word.decode('latin-1')}]"
        if _TLS_FIRST.search(text[:400]):
            self.facts.encryption_required_code = self.facts.encryption_required_code or code
            return "failed", "refused", code
        if word == b"IN-USE":
            return "success", "locked", code
        if word == b"AUTH":
            return "failed", "wrong-credentials", code
        if word in (b"LOGIN-DELAY", b"SYS/TEMP"):
            return "unknown", "temporary", code
        if word.startswith(b"SYS/"):
            return "unknown", None, code
        if not word and _LOCKED.search(text[:400]):
            return "success", "locked", code
        return "failed", None, code

    def _user_reply(self, positive: bool, line: bytes, at: int, what: Login) -> None:
        """+OK to USER does not even say that the mailbox exists; -ERR ends the attempt unless a PASS was sent all the same."""
        if not positive and what.secret is None:
            what.result, what.reason, what.reply_code = self.judge(False, line)

    @staticmethod
    def _goes_on(what: object) -> bool:
        """[MS-POP3] §3.1.5: +OK to AUTH NTLM asks for the first token."""
        return not what.client_tokens and what.mechanism == "NTLM"

    def _auth_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive and self.exchange is what and self._goes_on(what):
            self.pending.appendleft((b"AUTH", what))
            self.prompt(b"")
            return
        result, reason, code = self.judge(positive, line)
        if what.cancelled:
            result, reason = "failed", "cancelled"
        self.end_exchange(what, result, reason, code)

    def _stls_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        self.starttls_answered(positive, "+OK" if positive else "-ERR", line.partition(b" ")[2].decode("latin-1"), at)

    def _capa_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive:
            ListBlock(self, at, self._capabilities_read)

    def _capabilities_read(self, block: bytes, at: int, complete: bool) -> None:
        if block or complete:
            self.note_capabilities(read_capabilities(block), complete, at)

    def _mechanisms_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive:
            ListBlock(self, at, self._mechanisms_read)

    def _mechanisms_read(self, block: bytes, at: int, complete: bool) -> None:
        names = [word for word in block.decode("latin-1").upper().split("\n") if word.strip()]
        if names:
            facts = self.facts
            facts.auth_mechanisms = tuple(dict.fromkeys((*facts.auth_mechanisms, *(name.split()[0] for name in names))))
            if facts.auth_mechanisms_at is None:
                facts.auth_mechanisms_at = at

    def _message_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive:
            MessageBlock(self, SERVER, "fetched", reply_code="+OK")

    def _listing_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive:
            Block(self, SERVER)

    def _xmit_reply(self, positive: bool, line: bytes, at: int, what: object) -> None:
        if positive:
            block = MessageBlock(self, CLIENT, "submitted")
            self.pending.appendleft((b"XMIT.", block))

    def _xmit_end_reply(self, positive: bool, line: bytes, at: int, what: MessageBlock) -> None:
        if what.message is not None:
            what.message.accepted, what.message.reply_code = positive, "+OK" if positive else "-ERR"

    def _loose_block(self, line: bytes, at: int) -> None:
        """A line behind a +OK whose command is not known: begin of a block, told by its first line."""
        self.loose = False
        if line == b".":
            return
        word = line.split(b" ", 1)[0].upper().decode("latin-1")
        if word in CAPABILITIES:
            ListBlock(self, at, self._capabilities_read)
        elif _HEADER.match(line):
            MessageBlock(self, SERVER, "fetched", reply_code="+OK")
        else:
            Block(self, SERVER)
        self.bulk[SERVER].take(line + b"\r\n", at)


_LISTINGS = frozenset((b"LIST", b"UIDL", b"LANG"))  # a block follows when there is no argument
_COMMANDS = {
    b"USER": Pop3Parser._user, b"PASS": Pop3Parser._pass, b"APOP": Pop3Parser._apop, b"AUTH": Pop3Parser._auth, b"STLS": Pop3Parser._stls,
    b"XTND": Pop3Parser._xtnd}
_REPLIES = {
    b"USER": Pop3Parser._user_reply, b"PASS": Pop3Parser._login_reply, b"APOP": Pop3Parser._login_reply, b"AUTH": Pop3Parser._auth_reply,
    b"STLS": Pop3Parser._stls_reply, b"CAPA": Pop3Parser._capa_reply, b"AUTH?": Pop3Parser._mechanisms_reply, b"RETR": Pop3Parser._message_reply,
    b"TOP": Pop3Parser._message_reply, b"LIST*": Pop3Parser._listing_reply, b"UIDL*": Pop3Parser._listing_reply, b"LANG*": Pop3Parser._listing_reply,
    b"XMIT": Pop3Parser._xmit_reply, b"XMIT.": Pop3Parser._xmit_end_reply}

# --- first bytes

_DECISIVE = frozenset((b"CAPA", b"APOP", b"STLS", b"UIDL", b"TOP", b"RETR", b"XTND"))  # RETR only with a number
_ALSO_FTP = frozenset((b"USER", b"PASS", b"AUTH", b"STAT", b"LIST", b"QUIT", b"NOOP", b"DELE", b"HELP", b"LANG", b"UTF8", b"RSET", b"LAST", b"RPOP"))
_FTP = frozenset((b"SYST", b"FEAT", b"PASV", b"EPSV", b"PORT", b"EPRT", b"TYPE", b"CWD", b"PWD", b"OPTS", b"PBSZ", b"PROT", b"ACCT", b"XPWD", b"NICK"))


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes are POP3: `+OK text` or `-ERR text` greets, POP3's own verbs answer. A bare `+OK` is also Redis, `USER` also FTP and IRC."""
    if server:
        if server[:1] == b"-":
            if not b"-ERR ".startswith(server[:5].upper()):
                return False
        elif not b"+OK".startswith(server[:3].upper()) or server[3:4] not in (b"", b" ", b"\r", b"\n"):
            return False
    said = _client_says(client) if client else None
    if said is False or not server:
        return said
    end = server.find(b"\n")
    if end < 0:
        return False if len(server) > 1024 else None
    if said or (server[:4] == b"+OK " and (not client or b" " in server[4:end].strip() or b"POP" in server[:end].upper())):
        return True
    if not client and server[:1] == b"-":
        return None
    return True if client and client.split(None, 1)[:1] and client.split(None, 1)[0].upper() in _ALSO_FTP else None


def _client_says(client: bytes) -> bool | None:
    lines = client[:2048].split(b"\n")
    partial = lines.pop()
    for line in lines[:12]:
        verb, _, argument = line.strip().partition(b" ")
        verb = verb.upper()
        if verb in _DECISIVE:
            if verb != b"RETR" or argument.isdigit():
                return True
            return False
        if verb in _FTP:
            return False
        if verb == b"AUTH" and argument.upper() in (b"TLS", b"SSL", b"TLS-C"):
            return False
        if verb == b"DELE":
            return argument.isdigit()
        if verb == b"LIST" and argument.isdigit():
            return True
        if verb == b"USER" and argument.count(b" ") >= 3:  # IRC: USER name mode * :real name
            return False
        if verb not in _ALSO_FTP and line is lines[0]:
            return False
    if not lines:
        word = partial[:16].split(b" ", 1)[0].rstrip(b"\r").upper()
        return None if any(verb.startswith(word) for verb in VERBS) else False
    return None
