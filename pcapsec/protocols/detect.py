"""Which protocol the first bytes of a conversation are. The content decides; the port only breaks ties and lets a weaker proof do.

Several protocols share their words: SMTP, FTP and NNTP answer with three digits, POP3, FTP and IRC know USER, POP3 and Redis say +OK. So a look-alike is
ruled out first, by what only it says, and then each mail protocol's own `probe` is asked. One that says True wins; while one still wants more bytes nothing is
decided unless the port agrees.
"""
from __future__ import annotations

import re

from . import dcerpc, http, imap_grammar, ldap, managesieve, nntp, pop3, smb, smtp_grammar, tls, tunnel
from .dcerpc import DcerpcParser
from .http import HttpParser
from .imap import ImapParser
from .ldap import LdapParser
from .managesieve import ManageSieveParser
from .nntp import NntpParser
from .pop3 import Pop3Parser
from .smb import SmbParser
from .smtp import SmtpParser
from .tls import TlsParser, record_header
from .tunnel import TunnelParser

PARSERS: dict[str, type] = {
    "smtp": SmtpParser, "imap": ImapParser, "pop3": Pop3Parser, "nntp": NntpParser, "managesieve": ManageSieveParser, "tls": TlsParser, "tunnel": TunnelParser,
    "dcerpc": DcerpcParser, "http": HttpParser, "ldap": LdapParser, "smb": SmbParser}

MAX_GREETING_BYTES = 1024  # of one line; RFC 5321 §4.5.3.1.5 allows 512
MAX_LOOK_BYTES = 4096  # of each side; what has not shown itself by then is something else

# Registered and common mail ports; those of implicit TLS too, since a plain service there is a finding of its own
PORTS = {
    24: "smtp", 25: "smtp", 26: "smtp", 465: "smtp", 587: "smtp", 1025: "smtp", 2525: "smtp", 8025: "smtp",
    110: "pop3", 995: "pop3", 119: "nntp", 433: "nntp", 563: "nntp", 143: "imap", 993: "imap", 2000: "managesieve", 4190: "managesieve"}

_PROBES = {"smtp": smtp_grammar.probe, "imap": imap_grammar.probe, "pop3": pop3.probe, "nntp": nntp.probe, "managesieve": managesieve.probe}

# --- what is none of ours

_FOREIGN_CLIENT = re.compile(
    rb"[A-Z]{3,16} \S{1,2000} (?:HTTP|RTSP|SIP|ICAP)/|SSH-|\*\d{1,9}\r\n|\xff[\xf0-\xfe]|NICK |CAP LS|PASS \S+\r?\nNICK "
    rb"|PRI \* HTTP|\x00|JOIN |PRIVMSG |GET /|<\?xml|<stream|\{",
    re.IGNORECASE)
_FOREIGN_SERVER = re.compile(rb"SSH-|(?:HTTP|RTSP|SIP|ICAP)/|:|\xff[\xf0-\xfe]|RFB |<|@RSYNCD|\{|\+PONG|\$-?\d|\x00", re.IGNORECASE)
_FTP_CLIENT = re.compile(
    rb"(?:SYST|FEAT|PASV|PWD|XPWD|CDUP|REIN|MLSD|EPSV)\r?$|(?:PORT|EPRT|TYPE|CWD|OPTS|PBSZ|PROT|ACCT|ADAT|STOR|NLST|SITE|MKD|RNFR|SIZE|MDTM) \S"
    rb"|PBSZ\b|AUTH (?:TLS|SSL|TLS-C|TLS-P)\r?$",
    re.IGNORECASE | re.MULTILINE)
_FTP_GREETING = re.compile(rb"ftp(?!\.)|FileZilla|Serv-U|Microsoft FTP", re.IGNORECASE)
_MAIL_GREETING = re.compile(rb"\bE?SMTPS?\b|\bLMTP\b|mail", re.IGNORECASE)
_FTP_SERVER = re.compile(rb"(?:331|230|227|229|257)[ -]|234 AUTH|(?:211|214)-.{0,40}(?:Features|Extensions|FTP)|334 ADAT", re.IGNORECASE)
_EXTENSIONS = re.compile(rb"^(?:EHLO|HELO|LHLO|MAIL FROM:|RCPT TO:)", re.IGNORECASE | re.MULTILINE)


def _is_foreign(client: bytes, server: bytes) -> bool:
    if _FOREIGN_CLIENT.match(client) or _FOREIGN_SERVER.match(server) or b"\0" in client[:32].partition(b"\n")[0] or b"\0" in server[:32].partition(b"\n")[0]:
        return True
    if client and (client[0] > 0x7e or client[0] < 0x20 and client[0] not in b"\t\r\n"):
        return True
    if server[:3] == b"220" and server[3:4] in (b" ", b"-"):
        if client and _EXTENSIONS.match(client):
            return False
        head, _, following = server.partition(b"\n")
        if _FTP_GREETING.search(head) and not _MAIL_GREETING.search(head):
            return True
        while following[:3] == b"220":
            following = following.partition(b"\n")[2]
        if _FTP_SERVER.match(following):
            return True
        word = client[:5].upper()
        if word in (b"USER ", b"PASS ") or _FTP_CLIENT.match(client) or (word == b"AUTH " and client[5:11].upper() == b"GSSAPI"):
            return True
    elif not server and client[:5].upper() in (b"USER ", b"AUTH ") and _FTP_CLIENT.search(client):
        return True
    return False


# --- services that are no mail protocol but carry mail, or logins to it

def _beginning(data: bytes) -> str | None:
    """Which service a side's first byte may begin."""
    first = data[0]
    if first == 5 or data[:6] == b"ncacn_":
        return "dcerpc"
    if first == 0x30:
        return "ldap"
    if first == 0 or first == 0x81:
        return "smb"
    return "http" if 65 <= first <= 90 else None


_SERVICES = {"dcerpc": dcerpc, "http": http, "ldap": ldap, "smb": smb}


def _service(client: bytes, server: bytes, start_seen: bool) -> tuple[str | None, bool]:
    """(dcerpc, http, ldap or smb where the bytes say so, whether one of them wants more bytes)."""
    for data in (client, server):
        name = _beginning(data) if data else None
        if name is not None:
            verdict = _SERVICES[name].probe(client, server)
            if verdict:
                return name, False
            if verdict is None:
                return None, True
    if not start_seen:
        for name, module in _SERVICES.items():
            if module.late(client, server):
                return name, False
    return None, False


# --- captures that begin in the middle of a conversation

_ANY_CASE = re.IGNORECASE | re.MULTILINE
_LATE = {  # what the client says, what the server says
    "smtp": (
        re.compile(rb"^(?:(?:EHLO|HELO|LHLO) \S+|MAIL FROM: ?<[^>\r\n]*>.*|RCPT TO: ?<[^>\r\n]+>.*|BDAT \d+(?: LAST)?)\r?\n", _ANY_CASE),
        re.compile(
            rb"^(?:2[25][01][ -][25]\.\d\.\d |354[ -].*(?:\.|mail|data|input)|250 .*(?:queued|sender|recipient)|235[ -]2\.7\.0|334 (?:VXNlcm5hbWU6|UGFzc3dvcmQ6)"
            rb"|250-(?:PIPELINING|SIZE|8BITMIME|STARTTLS|ENHANCEDSTATUSCODES|AUTH|CHUNKING|SMTPUTF8|DSN)\b|[45]5[0-4][ -][45]\.\d\.\d )", _ANY_CASE)),
    "pop3": (
        re.compile(rb"^(?:UIDL(?: \d+)?|RETR \d+|TOP \d+ \d+|DELE \d+|STLS|CAPA|APOP \S+ [0-9a-f]{32})\r?\n", _ANY_CASE),
        re.compile(
            rb"^(?:\+OK \d+ (?:octets|bytes|messages|\d+\r?\n)|\+OK .*(?:octets|messages|maildrop|mailbox|logged in|deleted|POP)"
            rb"|-ERR \[(?:AUTH|IN-USE|SYS|LOGIN))", _ANY_CASE)),
    "nntp": (
        re.compile(
            rb"^(?:GROUP [a-z0-9+_-]+\.\S+|(?:ARTICLE|HEAD|BODY)(?: \d+| <[^>\r\n]+>)|X?OVER \d+(?:-\d*)?|XHDR \S+ \S+|AUTHINFO (?:USER|PASS|SASL) \S.*"
            rb"|MODE (?:READER|STREAM)|(?:CHECK|TAKETHIS|IHAVE) <[^>\r\n]+>|NEWGROUPS \d+ .*)\r?\n", _ANY_CASE),
        re.compile(
            rb"^(?:22[0-3] \d+ <[^>\r\n]+>|211 \d+ \d+ \d+ \S+\.\S|(?:238|239|438|439) <[^>\r\n]+>|(?:281|381) .*(?:auth|pass)"
            rb"|215 .*(?:newsgroups|list))", _ANY_CASE)),
}
# Enough on the protocol's own port, where any reply or verb of it may begin the capture
_LATE_ON_PORT = {
    "smtp": (re.compile(rb"^(?:EHLO|HELO|LHLO|MAIL|RCPT|DATA|BDAT|RSET|QUIT|NOOP|AUTH|STARTTLS|VRFY)\b[^\r\n]*\r?\n", re.IGNORECASE),
             re.compile(rb"^(?:2(?:20|21|35|50|51|52)|334|354|4(?:21|50|51|52|54)|5(?:0[0-4]|3[045]|38|5[0-5]))[ -][^\n]*\n")),
    "pop3": (re.compile(rb"^(?:USER \S|PASS |APOP|AUTH|CAPA|STLS|STAT|LIST|RETR|DELE|UIDL|TOP|NOOP|RSET|QUIT)[^\n]*\n", re.IGNORECASE),
             re.compile(rb"^(?:\+OK\b|-ERR\b)[^\n]*\n", re.IGNORECASE)),
    "nntp": (re.compile(rb"^(?:" + b"|".join(sorted(nntp.VERBS)) + rb")\b[^\n]*\n", re.IGNORECASE), re.compile(rb"^[1-5]\d\d [^\n]*\n")),
}


def _late(client: bytes, server: bytes, expected: str | None) -> str | None:
    for side, data in ((0, client), (1, server)):
        for name, patterns in _LATE.items():
            if data and patterns[side].search(data):
                return name
    if expected in _LATE_ON_PORT:
        for side, data in ((0, client), (1, server)):
            pattern = _LATE_ON_PORT[expected][side]
            if data and (pattern.match(data) or pattern.match(data.partition(b"\n")[2])):
                return expected
    return None


def is_client_hello(data: bytes) -> bool:
    """Whether bytes begin with a TLS record that holds a ClientHello and, as far as lengths tell, nothing else (RFC 8446 §5.1, §4)."""
    if len(data) < 44 or data[0] != 0x16 or data[1] != 3 or data[2] > 3 or data[5] != 1 or data[9] != 3 or data[10] > 3 or data[43] > 32:
        return False
    return int.from_bytes(data[6:9], "big") + 4 >= int.from_bytes(data[3:5], "big")


def _late_tls(data: bytes) -> bool:
    """Whether a side begins with a record and, where the bytes reach that far, goes on with another."""
    if len(data) < 6 or not record_header(data, 0):
        return False
    end = 5 + (data[3] << 8 | data[4])
    return len(data) < end + 5 or record_header(data, end)


_USUAL_GREETING = {"smtp": b"220", "pop3": b"+OK", "nntp": b"200"}
_USUAL_COMMANDS = {"smtp": frozenset((b"EHLO ", b"HELO ")), "pop3": frozenset((b"CAPA\r", b"STLS\r", b"APOP ")), "nntp": frozenset((b"MODE ", b"CAPAB"))}


def detect(client: bytes, server: bytes, server_port: int = 0, start_seen: bool = True, *, final: bool = False) -> str | None:
    """The protocol that the first bytes of both sides are.

    Args:
        client: the client's first bytes, perhaps none yet.
        server: the server's.
        server_port: breaks ties.
        start_seen: the bytes begin with the connection; False: perhaps in the middle of a line.
        final: no more bytes will come, so that a tie is decided now.

    Returns: smtp, imap, pop3, nntp, managesieve, dcerpc, http, ldap, smb, tls, tunnel, other; None when more bytes are needed.
    """
    if start_seen:  # the usual beginnings, each on its own port
        expected = PORTS.get(server_port)
        if expected is not None and _USUAL_GREETING.get(expected) == server[:3] and client[:5].upper() in _USUAL_COMMANDS[expected]:
            return expected
    if not client and not server:
        return "other" if final else None
    client, server = client[:MAX_LOOK_BYTES], server[:MAX_LOOK_BYTES]
    if start_seen:
        usual = _USUAL.get(server[:4])
        if usual is not None and client[:4].upper() in usual[1]:
            return usual[0]
        if server[:5] == b"* OK ":
            return "imap"
    expected = PORTS.get(server_port)
    nothing = "other" if final else None
    found, wants_more = _service(client, server, start_seen)
    if found is not None:
        return found
    if wants_more and not final:
        return None
    if not start_seen and (_late_tls(client) or not client and _late_tls(server)):
        return "tls"
    if client and not 32 <= client[0] < 128 or not client and server[0] < 32:
        verdict = tls.probe(client, server)
        if verdict:
            return "tls"
        if verdict is None:
            return nothing
    if start_seen:
        if client[:1] in _TUNNEL_STARTS or not client:
            verdict = tunnel.probe(client, server)
            if verdict:
                return "tunnel"
            if verdict is None and client:
                return nothing
        if server[:3] == b"220" and b"\n" not in server and not client and len(server) < MAX_GREETING_BYTES:
            return nothing
        if _is_foreign(client, server):
            return "other"
    else:
        found = _late(client, server, expected)
        if found is not None:
            return found
    sure, waiting = [], []
    for name in (start_seen and _GREETERS.get(server[:3])) or _PROBES:
        verdict = _PROBES[name](client, server)
        if verdict:
            sure.append(name)
        elif verdict is None:
            waiting.append(name)
    if sure:
        if not server and client[:5].upper() == b"AUTH ":
            return _who_says_auth(client, expected) or ("smtp" if final else None)
        return expected if expected in sure else sure[0]
    if expected in waiting and (final or b"\n" in server or b"\n" in client):
        return expected
    if final or len(client) >= MAX_LOOK_BYTES or len(server) >= MAX_LOOK_BYTES:
        return "other"
    return None if waiting or not start_seen and expected is not None else "other"


def _who_says_auth(client: bytes, expected: str | None) -> str | None:
    """AUTH as the first command, without any answer: SMTP and POP3 write it alike, what comes later differs."""
    if expected in ("smtp", "pop3") and b"\n" in client:
        return expected
    found = _late(client, b"", None)
    return found if found in ("smtp", "pop3") else None


_TUNNEL_STARTS = frozenset((b"C", b"c", b"P", b"\r", b"\4", b"\5"))
# The usual greetings say at once whom to ask
_GREETERS = {b"220": ("smtp",), b"+OK": ("pop3",), b"* O": ("imap",), b"* P": ("imap",), b"200": ("nntp",), b"201": ("nntp",)}
# Greeting and first verb that leave no doubt: most conversations are settled here
_SMTP, _POP3, _NNTP = (frozenset(words.split()) for words in (b"EHLO HELO LHLO", b"USER CAPA APOP AUTH STLS", b"MODE AUTH CAPA GROU XOVE"))
_USUAL = {
    b"220 ": ("smtp", _SMTP), b"220-": ("smtp", _SMTP), b"+OK ": ("pop3", _POP3), b"+OK\r": ("pop3", _POP3), b"200 ": ("nntp", _NNTP), b"201 ": ("nntp", _NNTP)}
