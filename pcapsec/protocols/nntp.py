"""NNTP (RFC 3977) with AUTHINFO (RFC 4643, RFC 2980 §3.1), STARTTLS (RFC 4642), COMPRESS (RFC 8054), streaming (RFC 4644).

The reply code alone says whether a block follows (RFC 3977 §3.2), so that the server's side can be read without the client's; 211 is the exception.
Resync after damage: the next line end of the side that lost bytes; inside a block, the block's dot or the client's next command.
"""
from __future__ import annotations

import re

from ..records import CLIENT, SERVER, Login
from ..secret import Secret
from .dotted import MAX_CACHE, Block, Capabilities, DottedParser, ListBlock, MessageBlock
from .sasl import to_text

CAPABILITIES = frozenset((
    "VERSION READER IHAVE POST NEWNEWS HDR OVER LIST STARTTLS SASL AUTHINFO MODE-READER STREAMING IMPLEMENTATION COMPRESS XPAT XHDR XOVER XSECRET "
    "LISTGROUP XFEATURE-COMPRESS").split())  # RFC 3977 §3.3.2, the IANA registry, INN and others
VERBS = frozenset((
    b"CAPABILITIES MODE QUIT HELP DATE GROUP LISTGROUP LAST NEXT ARTICLE HEAD BODY STAT POST IHAVE NEWGROUPS NEWNEWS OVER HDR LIST XOVER XHDR XPAT "
    b"XGTITLE XROVER XPATH CHECK TAKETHIS AUTHINFO STARTTLS COMPRESS XFEATURE XZVER XZHDR XINDEX XTHREAD SLAVE").split())
HARMLESS = frozenset((b"CAPABILITIES", b"MODE", b"HELP", b"QUIT", b"STARTTLS"))
MAILBOX = frozenset((
    b"GROUP LISTGROUP LAST NEXT ARTICLE HEAD BODY STAT POST IHAVE NEWNEWS OVER HDR XOVER XHDR XPAT TAKETHIS").split())
BLOCK_CODES = frozenset((
    b"100 101 202 215 218 220 221 222 224 225 230 231 282 288").split())  # RFC 3977 Appendix C; the others from RFC 2980
MAX_GREETING = 200

_ARTICLE_CODES = {b"220": (b"ARTICLE", False), b"221": (b"HEAD", False), b"222": (b"BODY", True)}
_HEADER = re.compile(rb"[!-9;-~]{1,76}:(?:[ \t]|\Z)")
_capabilities: dict[bytes, Capabilities] = {}


def _mechanisms(words: list[str]) -> list[str]:
    if words[0] == "SASL":
        return words[1:]
    return ["USER"] if words[0] == "AUTHINFO" and "USER" in words[1:] else []


def read_capabilities(block: bytes) -> Capabilities:
    """The lines of a CAPABILITIES reply (RFC 3977 §5.2), without its dot."""
    found = _capabilities.get(block)
    if found is None:
        if len(_capabilities) >= MAX_CACHE:
            _capabilities.clear()
        found = _capabilities[block] = Capabilities(block, "STARTTLS", CAPABILITIES, _mechanisms)
    return found


class NntpParser(DottedParser):
    """Both sides of an NNTP conversation."""

    protocol = "nntp"
    verbs = VERBS

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self.simple: Login | None = None  # AUTHINFO SIMPLE: the client's next line is name and password
        self.article_due = False  # POST or IHAVE passed: a header line from the client begins the article, also when the server's 340 is not seen

    def awaits(self, side: int) -> str:
        return "token" if side == CLIENT and (self.simple is not None or self.article_due) else super().awaits(side)

    def is_reply(self, line: bytes) -> bool:
        return line[:3].isdigit() and line[3:4] in (b" ", b"\r", b"") and b"1" <= line[:1] <= b"5"

    # --- client

    def client_line(self, line: bytes, at: int) -> None:
        at = self.where(CLIENT, at)
        if self.exchange is not None and self.take_token(line, at):
            return
        if self.simple is not None and self._simple_line(line, at):
            return
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if self.article_due:
            self.article_due = False
            if verb not in VERBS and _HEADER.match(line):
                self._article(b"POST.", False).take(line + b"\r\n", at)
                return
        facts = self.facts
        facts.n_commands += 1
        self.end_damaged_block()
        if verb not in VERBS:
            verb = verb.strip()
            if verb not in VERBS:
                self.expect(b"?", self.odd_command(verb, at, bool(argument)))
                return
        if verb in MAILBOX:
            facts.n_mailbox_commands += 1
        if facts.first_clear_command is None and verb not in HARMLESS:
            facts.first_clear_command, facts.first_clear_command_at = verb.decode(), at
        handle = _COMMANDS.get(verb)
        if handle is None:
            self.expect(verb)
        else:
            handle(self, verb, argument, at)

    def _authinfo(self, verb: bytes, argument: bytes, at: int) -> None:
        """`AUTHINFO USER name`, `PASS password`, `SASL mechanism [initial]` (RFC 4643 §2.3, §2.4), `SIMPLE` and `GENERIC` (RFC 2980 §3.1.2, §3.1.3)."""
        word, _, value = argument.strip().partition(b" ")
        word = word.upper()
        if word == b"SASL":
            words = value.split(None, 1)
            if words:
                self.expect(b"SASL", self.begin_exchange(words[0], words[1] if len(words) > 1 else None, at))
                return
        elif word == b"PASS":
            login = self.user
            if login is None:
                login = self._login(at, self.user_name)
            self.user = None
            login.result, login.reason, login.reply_code = "unknown", None, None
            login.secret_at = at
            value = argument.lstrip()[5:]  # everything behind the one blank: passwords may begin and end with blanks
            if value:
                login.secret, login.exposure = Secret(value), "password"
            self.expect(b"PASS", login)
            return
        elif word == b"USER":
            self.user_name = to_text(value.strip()) or None
            self.user = self._login(at, self.user_name)
            self.expect(b"USER", self.user)
            return
        elif word in (b"SIMPLE", b"GENERIC"):
            login = self._login(at, None)
            login.details["variant"] = word.decode().lower()
            if word == b"SIMPLE":
                self.simple = login
            self.expect(word, login)
            return
        self.expect(verb)

    def _login(self, at: int, principal: str | None) -> Login:
        login = Login(protocol="nntp", mechanism="AUTHINFO", at=at, principal=principal)
        self.facts.logins.append(login)
        return login

    def _simple_line(self, line: bytes, at: int) -> bool:
        """`name password`, asked for by 350 (RFC 2980 §3.1.2)."""
        login, self.simple = self.simple, None
        name, blank, password = line.partition(b" ")
        if not blank or name.upper() in VERBS:
            return False
        login.principal = to_text(name) or None
        login.secret_at = at
        if password:
            login.secret, login.exposure = Secret(password), "password"
        self.expect(b"PASS", login)
        return True

    def _starttls(self, verb: bytes, argument: bytes, at: int) -> None:
        self.expect(verb)
        if self._inflaters is None:  # RFC 8054 §2.1: not once compression is active
            self.starttls_requested("STARTTLS", at, bool(argument.strip()))

    def _compress_command(self, verb: bytes, argument: bytes, at: int) -> None:
        self.expect(verb)
        if self._inflaters is None and argument.strip().upper() == b"DEFLATE":
            self.compress_requested()

    def _compress_reply(self, code: bytes, line: bytes, at: int, what: object) -> None:
        """206 is active, 403 and 502 are not (RFC 8054 §2.2)."""
        self.compress_answered(code == b"206", at)

    def _post(self, verb: bytes, argument: bytes, at: int) -> None:
        self.expect(verb)
        self.article_due = True

    def _takethis(self, verb: bytes, argument: bytes, at: int) -> None:
        """The article follows at once (RFC 4644 §2.5)."""
        self._article(b"TAKETHIS.", False)

    def _article(self, verb: bytes, asked: bool) -> MessageBlock:
        """The client's article comes; `asked`: the server's 340 or 335 was seen and its reply belongs to what waits first."""
        block = MessageBlock(self, CLIENT, "submitted")
        if asked:
            self.pending.appendleft((verb, block))
        else:
            if verb == b"POST." and self.pending and self.pending[-1][0] in (b"POST", b"IHAVE"):
                self.pending.pop()
            self.expect(verb, block)
        return block

    # --- server

    def server_line(self, line: bytes, at: int) -> None:
        at = self.where(SERVER, at)
        code = line[:3]
        if len(code) != 3 or not code.isdigit() or line[3:4] not in (b" ", b""):
            return
        facts = self.facts
        facts.n_replies += 1
        if not self.greeted:
            self.greeted = True
            if (self.start_seen or (not self.pending and not facts.n_commands)) and code in (b"200", b"201", b"400", b"502"):
                facts.greeting, facts.greeting_at = line[:MAX_GREETING].decode("latin-1"), at
                facts.greeting_code = code.decode()
                return
        if code == b"483":
            facts.encryption_required_code = "483"
        verb, what = self.pending.popleft() if self.pending else (b"", None)
        if facts.accepted_clear_command is None and verb and code < b"400" and verb not in HARMLESS and verb != b"?":
            name = verb.rstrip(b".") if verb in VERBS or verb[-1:] == b"." else b"AUTHINFO"
            facts.accepted_clear_command, facts.accepted_clear_code = name.decode(), code.decode()
        handle = _REPLIES.get(verb)
        if verb == b"?" and what is not None:
            self.odd_answered(what, code.decode(), line[4:].decode("latin-1"))
        if handle is not None:
            handle(self, code, line, at, what)
        elif code in BLOCK_CODES:
            self._block(code, verb, line, at)
        elif code == b"211" and (verb == b"LISTGROUP" or (not verb and b"list follows" in line.lower())):
            Block(self, SERVER)

    def _block(self, code: bytes, verb: bytes, line: bytes, at: int) -> None:
        article = _ARTICLE_CODES.get(code)
        if code == b"101":
            ListBlock(self, at, self._capabilities_read)
            return
        if article is not None and (verb in (article[0], b"?") or not verb):
            block = ArticleBlock(self, SERVER, "fetched", reply_code=code.decode(), body_only=article[1])
            block.by_shape = not verb and code == b"221"
            return
        block = Block(self, SERVER)
        if b"COMPRESS=GZIP" in line:  # XFEATURE COMPRESS GZIP: a zlib stream stands in the place of the lines and may hide the dot
            block.damaged = True

    def _capabilities_read(self, block: bytes, at: int, complete: bool) -> None:
        if block or complete:
            self.note_capabilities(read_capabilities(block), complete, at)

    def _starttls_reply(self, code: bytes, line: bytes, at: int, what: object) -> None:
        self.starttls_answered(code == b"382", code.decode(), line[4:].decode("latin-1"), at)

    @staticmethod
    def judge(code: bytes) -> tuple[str, str | None]:
        """What a reply code says about a login (RFC 4643 §2.3.2, §2.4.2; 250 and 452 from RFC 2980): result and reason."""
        if code in (b"281", b"283", b"250"):
            return "success", None
        if code in (b"481", b"452"):
            return "failed", "wrong-credentials"
        if code == b"482":
            return "failed", "malformed"
        if code in (b"400", b"403", b"436"):
            return "unknown", "temporary"
        if code[:1] in b"45":
            return "failed", "refused"
        return "unknown", None

    def _login_reply(self, code: bytes, line: bytes, at: int, what: Login) -> None:
        if code in (b"381", b"350") and what.secret is None:  # more is asked for; nothing is decided
            return
        if what.details.get("variant") == "simple" and what is self.simple:
            self.simple = None
        what.result, what.reason = self.judge(code)
        what.reply_code = code.decode()
        if what.result == "success":
            self.logged_in = True
            self.user = None

    def _user_reply(self, code: bytes, line: bytes, at: int, what: Login) -> None:
        if code != b"381" and what.secret is None:
            self._login_reply(code, line, at, what)

    def _sasl_reply(self, code: bytes, line: bytes, at: int, what: object) -> None:
        if code == b"383":
            self.pending.appendleft((b"SASL", what))
            if self.exchange is what:
                challenge = line[4:].strip()
                self.prompt(b"" if challenge == b"=" else challenge)
            return
        result, reason = self.judge(code)
        if code == b"283":
            what.server(line[4:].strip())
        if what.cancelled and result != "success":
            result, reason = "failed", "cancelled"
        self.end_exchange(what, result, reason, code.decode())

    def _post_reply(self, code: bytes, line: bytes, at: int, what: object) -> None:
        if code in (b"340", b"335"):
            self.article_due = False
            if self.bulk[CLIENT] is None:
                self._article(b"POST.", True)
        else:
            self.article_due = False

    def _article_reply(self, code: bytes, line: bytes, at: int, what: MessageBlock) -> None:
        if code in (b"340", b"335"):  # comes late where the client did not wait
            self.pending.appendleft((b"POST.", what))
            return
        message = what.message
        if message is not None:
            message.reply_code, message.accepted = code.decode(), code[:1] == b"2"


class ArticleBlock(MessageBlock):
    """A fetched article; `by_shape`: the command was not seen and 221 may also answer XHDR, whose lines are no header."""

    __slots__ = ("by_shape",)

    def take(self, content: bytes, at: int) -> None:
        if self.by_shape and self.reader is None and not _HEADER.match(content[:80].split(b"\n", 1)[0]):
            self.wanted = False
            return
        super().take(content, at)


_COMMANDS = {
    b"AUTHINFO": NntpParser._authinfo, b"STARTTLS": NntpParser._starttls, b"COMPRESS": NntpParser._compress_command, b"POST": NntpParser._post,
    b"IHAVE": NntpParser._post, b"TAKETHIS": NntpParser._takethis}
_REPLIES = {
    b"USER": NntpParser._user_reply, b"PASS": NntpParser._login_reply, b"SIMPLE": NntpParser._login_reply, b"GENERIC": NntpParser._login_reply,
    b"SASL": NntpParser._sasl_reply, b"STARTTLS": NntpParser._starttls_reply, b"COMPRESS": NntpParser._compress_reply,
    b"POST": NntpParser._post_reply, b"IHAVE": NntpParser._post_reply, b"POST.": NntpParser._article_reply, b"TAKETHIS.": NntpParser._article_reply}

# --- first bytes

_DECISIVE = frozenset((
    b"CAPABILITIES ARTICLE LISTGROUP IHAVE NEWGROUPS NEWNEWS XOVER XHDR XPAT TAKETHIS AUTHINFO XFEATURE OVER XZVER").split())
_WEAK = frozenset((
    b"HELP QUIT DATE POST LIST STAT HEAD BODY NEXT LAST HDR STARTTLS CHECK GROUP MODE SLAVE COMPRESS").split())
_LISTS = frozenset(b"ACTIVE NEWSGROUPS OVERVIEW.FMT ACTIVE.TIMES HEADERS EXTENSIONS DISTRIB.PATS".split())
_SERVER_WORDS = re.compile(rb"nntp|news|posting|usenet|\binn\b|leafnode|inn\d|diablo|cyclone", re.IGNORECASE)


def probe(client: bytes, server: bytes) -> bool | None:
    """Whether the first bytes are NNTP: 200 or 201 greets, or 400, 502 with the word; other protocols use 200 too, so words or verbs have to agree."""
    said = _client_says(client) if client else None
    if said is False or not server:
        return said
    code = server[:3]
    if not any(known.startswith(code) for known in (b"200", b"201", b"400", b"502")) or server[3:4] not in (b"", b" ", b"\r", b"\n"):
        return False
    end = server.find(b"\n")
    if end < 0:
        return False if len(server) > 1024 else None
    if said or _SERVER_WORDS.search(server[:min(end, 400)]):
        return True
    following = server[end + 1:end + 5]
    if following[:3] in (b"101", b"211", b"215", b"381", b"382") or (following[:3] in (b"200", b"201") and len(following) == 4):
        return True
    return None


def _client_says(client: bytes) -> bool | None:
    lines = client[:2048].split(b"\n")
    partial = lines.pop()
    for line in lines[:12]:
        verb, _, argument = line.strip().partition(b" ")
        verb, argument = verb.upper(), argument.upper()
        if verb in _DECISIVE or (verb == b"MODE" and argument in (b"READER", b"STREAM")) or (verb == b"GROUP" and b"." in argument):
            return True
        if verb == b"LIST" and argument.split(b" ")[0] in _LISTS:
            return True
        if verb not in _WEAK:
            return False
    if not lines:
        word = partial[:16].split(b" ", 1)[0].rstrip(b"\r").upper()
        return None if any(verb.startswith(word) for verb in VERBS) else False
    return None
