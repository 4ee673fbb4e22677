"""LDAP over TCP (RFC 4511), as directories and Active Directory's global catalogue speak it: binds, StartTLS, the root DSE, SASL security layers.

Only binds, extended operations and the root DSE are kept whole; every other message is counted and skipped by its length. A bind is matched to its answer by
message id; the steps of a SASL bind (RFC 4513 §5.2) and of Microsoft's Sicily ([MS-ADTS] §5.1.1.1.3) make one login.
Resync after damage: the next place where a whole head fits, looked for within a limit; beyond it the side is only counted.
"""
from __future__ import annotations

import binascii

from ..records import CLIENT, SERVER, Handover, Login
from ..secret import Secret
from . import negotiation, sasl
from .ldap_messages import (
    BIND, BIND_IN_PROGRESS, BIND_RESPONSE, CONFIDENTIALITY_REQUIRED, EXTENDED, EXTENDED_RESPONSE, REQUESTS, RESULTS, SASL, SEARCH, SEARCH_ENTRY,
    SICILY_DISCOVERY, SICILY_NEGOTIATE, SICILY_RESPONSE, SIMPLE, STARTTLS_OID, STRONGER_AUTH_REQUIRED, SUCCESS, BindRequest, Head, Result,
    active_directory_code, is_root_entry, is_root_search, judge, late, peek_bytes, peek_code, probe, read_bind, read_entry, read_head, read_request_name,
    read_result)
from .lines import LineParser, looks_like_tls
from .sasl import to_text

__all__ = ["LdapParser", "late", "probe"]

MAX_KEPT_BYTES = 262144  # of one bind, extended operation or root DSE; a Kerberos ticket with a large PAC reaches 64 KiB
MAX_RESYNC_BYTES = 262144  # of a side, looked through for the next message after damage; then the side is only counted
MAX_LOGINS = 1000  # of one conversation; a guesser's tool binds again and again
MAX_PENDING = 64  # binds and root searches whose answer was not seen; RFC 4511 §4.2.1 allows one bind at a time
MAX_LAYER_BYTES = 1 << 24  # of one wrapped buffer (RFC 4422 §3.7 leaves it to the mechanism, RFC 4752 §3.1 has 24 bits)
_LAYER_HEAD_BYTES = 48  # length, token header, checksum and the head of the message inside

_RAW = frozenset(("GSSAPI", "GSS-SPNEGO", "NTLM", "SICILY"))  # tokens as they are, not text
_SUPPORTED_EXTENSION, _SUPPORTED_MECHANISMS = b"supportedextension", b"supportedsaslmechanisms"
_WANTED = frozenset((_SUPPORTED_EXTENSION, _SUPPORTED_MECHANISMS))


class _Bind:
    """A SASL or Sicily bind of one or more steps."""

    __slots__ = ("mechanism", "at", "name", "exchange", "tokens", "goes_on")

    def __init__(self, mechanism: str, at: int):
        self.mechanism, self.at, self.name = mechanism, at, b""
        self.tokens: negotiation.Exchange | None = negotiation.Exchange("ldap", at) if mechanism in _RAW else None
        self.exchange: sasl.Exchange | None = None if mechanism in _RAW else sasl.Exchange("ldap", mechanism, at)
        self.goes_on: bool | None = None  # the last answer: saslBindInProgress or not; None: not seen

    def client(self, token: bytes | None, at: int) -> None:
        if token is None:
            return
        if self.tokens is not None:
            self.tokens.client(token, at)
        else:
            self.exchange.client(binascii.b2a_base64(token, newline=False), at)

    def server(self, token: bytes) -> None:
        if self.tokens is not None:
            self.tokens.server(token)
        else:
            self.exchange.server(binascii.b2a_base64(token, newline=False))

    def login(self, result: str, reason: str | None, code: str | None) -> Login:
        login = self.tokens.login(result, reason, code) if self.tokens is not None else self.exchange.finish(result, reason, code)
        if login is None:
            login = Login(protocol="ldap", mechanism=self.mechanism, at=self.at, result=result, reason=reason, reply_code=code)
        login.details["sasl_mechanism"] = self.mechanism
        if login.principal is None and self.name and login.details.get("ntlm_version") != "anonymous":
            login.principal = to_text(self.name)
        return login


class LdapParser(LineParser):
    """Both sides of an LDAP conversation; messages instead of lines, StartTLS as the line protocols have it."""

    protocol = "ldap"

    def __init__(self, *, start_seen: bool = True, server_port: int = 0):
        super().__init__(start_seen=start_seen, server_port=server_port)
        self._need = [0, 0]  # bytes of the message under way, before which looking again is useless
        self._skip = [0, 0]  # bytes of the current message that are of no interest
        self._dead = [False, False]  # a side that is only counted: behind a security layer, or never found again
        self._looked = [0, 0]  # bytes looked through for the next message
        self._client_whole = start_seen
        self._binds: dict[int, Login | _Bind] = {}  # message id -> what waits for its BindResponse
        self._open: _Bind | None = None  # a bind that may have more steps
        self._last: Login | None = None  # the last login that may have brought a security layer
        self._logins_dropped = False
        self._may_wrap = False  # a SASL bind passed
        self._root_searches: set[int] = set()
        self._starttls_id: int | None = None
        self._walked = 0  # held client bytes that were walked for the first TLS record

    # --- for the pipeline

    def feed(self, side: int, data: bytes, at: int) -> None:
        """Bytes of one side in conversation order; `at` is the stream offset of the first."""
        if not data or self._dead[side] or (self._waiting or self._switching) and self._hold(side, data, at):
            return
        rest = self._rest[side]
        if rest:
            at -= len(rest)
            if len(rest) + len(data) < self._need[side]:
                if type(rest) is bytes:
                    rest = self._rest[side] = bytearray(rest)
                rest += data
                return
            data = bytes(rest) + data
        self._rest[side] = self._lines(side, data, at)
        if self._switching:
            self._settle()

    def gap(self, side: int, length: int, at: int) -> None:
        """`length` bytes of a side, from stream offset `at` on, are missing."""
        if self._dead[side]:
            return
        if not (self._waiting or self._switching) and self._skip[side] >= length:
            self._skip[side] -= length
            return
        self._skip[side] = 0
        super().gap(side, length, at)

    def lost(self, side: int, length: int, at: int) -> None:
        if side == CLIENT:
            self._client_whole = False
        if self._open is not None and self._open.exchange is not None:
            self._open.exchange.lost()

    def ended(self) -> None:
        if self._open is not None:
            self._end_bind(self._open, "unknown", None, None)
        facts = self.facts
        if facts.starttls_requested is None and facts.n_commands and self._client_whole:
            facts.starttls_requested = False

    def command_word(self, line: bytes) -> str:
        head = read_head(line, 0, CLIENT) if line else None
        return REQUESTS[head.tag] if head else "LDAP"

    # --- messages

    def _lines(self, side: int, data: bytes, at: int) -> bytes:
        """Consume whole messages and bytes to be skipped; return what is left for the next call."""
        pos, n = 0, len(data)
        while pos < n:
            skip = self._skip[side]
            if skip:
                step = min(skip, n - pos)
                self._skip[side] = skip - step
                pos += step
                continue
            if self._dead[side]:
                return b""
            if self._skipping[side]:
                pos = self._resync(side, data, pos, at)
                if self._skipping[side]:
                    break
            head = read_head(data, pos, side)
            if head is None:
                self._need[side] = n - pos + 1
                break
            if head is False:
                if self._layer(side, data, pos):
                    break
                if self._dead[side] or self._tls_of_server(side, data, pos, at):
                    return b""
                self._damaged(side, at + pos)
                pos += 1
                continue
            reach = peek_bytes(head)
            if n >= reach and (head.tag in _KEPT or head.tag == SEARCH_ENTRY and is_root_entry(data, head)):
                reach = head.stop
            if reach - pos > MAX_KEPT_BYTES:
                self.anomaly("ldap-message-too-long", side, at + pos, f"{reach - pos} bytes")
            elif n < reach:
                self._need[side] = reach - pos
                break
            else:
                (self._request if side == CLIENT else self._reply)(data, head, at + pos)
            if head.stop > n:
                self._skip[side] = head.stop - n
                return b""
            pos = head.stop
            if self._switching or (side == CLIENT and self._waiting):
                if pos < n:
                    self._keep(side, data[pos:], at + pos)
                return b""
        return data[pos:] if pos < n else b""

    def _damaged(self, side: int, at: int) -> None:
        self.anomaly("not-an-ldap-message", side, at)
        self._skipping[side] = True
        self._looked[side] += 1
        if side == CLIENT:
            self._client_whole = False

    def _resync(self, side: int, data: bytes, pos: int, at: int) -> int:
        """The place of the next whole head, with `_skipping` taken back; else where the bytes to be kept begin."""
        begin = pos
        while (found := data.find(b"\x30", pos)) >= 0:
            head = read_head(data, found, side)
            if head is not False:
                self._looked[side] += found - begin
                if head is not None:
                    self._skipping[side] = False
                else:
                    self._need[side] = len(data) - found + 1
                return found
            pos = found + 1
            if self._looked[side] + pos - begin > MAX_RESYNC_BYTES:
                break
        self._looked[side] += len(data) - begin
        if self._looked[side] > MAX_RESYNC_BYTES:
            self.anomaly("no-ldap-message-found", side, at + begin, f"in {MAX_RESYNC_BYTES} bytes")
            self._dead[side] = True
        return len(data)

    def _request(self, data: bytes, head: Head, at: int) -> None:
        facts = self.facts
        facts.n_commands += 1
        tag = head.tag
        if tag == BIND:
            self._bind(read_bind(data, head.start, head.end), head.message_id, at)
        elif tag == EXTENDED:
            if read_request_name(data, head.start, head.end) == STARTTLS_OID:
                self._starttls_id, self._walked = head.message_id, 0
                self.starttls_requested("STARTTLS", at)
                return
        elif tag == SEARCH:
            if is_root_search(data, head):
                if len(self._root_searches) < MAX_PENDING:
                    self._root_searches.add(head.message_id)
                return
        if facts.first_clear_command is None and tag not in _HARMLESS:
            facts.first_clear_command, facts.first_clear_command_at = REQUESTS[tag], at

    def _reply(self, data: bytes, head: Head, at: int) -> None:
        tag = head.tag
        if tag == SEARCH_ENTRY:
            if is_root_entry(data, head):
                self._root_entry(read_entry(data, head.start, head.end, _WANTED), at)
            return
        if tag not in RESULTS:
            return
        facts = self.facts
        facts.n_replies += 1
        code = peek_code(data, head)
        if tag == BIND_RESPONSE:
            self._bind_answered(read_result(data, head.start, head.end), head.message_id)
        elif tag == EXTENDED_RESPONSE:
            result = read_result(data, head.start, head.end)
            if result.name == STARTTLS_OID or self._waiting and head.message_id == self._starttls_id:
                text = to_text(result.diagnostic)
                self.starttls_answered(result.code == SUCCESS, "" if result.code is None else str(result.code), text, at)
                return
        elif head.message_id in self._root_searches:
            self._root_searches.discard(head.message_id)
            return
        if code in _ENCRYPTION_REQUIRED and head.message_id and facts.encryption_required_code is None:
            facts.encryption_required_code = str(code)
        if code == SUCCESS and facts.accepted_clear_command is None:
            facts.accepted_clear_command, facts.accepted_clear_code = RESULTS[tag], "0"

    def _root_entry(self, entry: dict[bytes, list[bytes]], at: int) -> None:
        """supportedExtension and supportedSASLMechanisms of the root DSE (RFC 4512 §5.1), where the client asked for them."""
        facts = self.facts
        extensions = entry.get(_SUPPORTED_EXTENSION)
        if extensions is not None:
            facts.starttls_offered, facts.starttls_offered_at = STARTTLS_OID in extensions, at
        mechanisms = entry.get(_SUPPORTED_MECHANISMS)
        if mechanisms is not None:
            facts.auth_mechanisms, facts.auth_mechanisms_at = tuple(dict.fromkeys(to_text(word).upper() for word in mechanisms)), at

    # --- binds

    def _bind(self, request: BindRequest, message_id: int, at: int) -> None:
        choice = request.choice
        if choice == SASL:
            self._sasl(to_text(request.mechanism).upper()[:40], request, message_id, at)
        elif choice in _SICILY:
            self._sasl("SICILY", request, message_id, at)
        else:
            self._end_open()
            self._await(message_id, self._simple(request, at))

    def _simple(self, request: BindRequest, at: int) -> Login:
        """A name and a password (RFC 4513 §5.1): without both anonymous, without a password unauthenticated."""
        login = Login(protocol="ldap", mechanism="SIMPLE-BIND", at=at, principal=to_text(request.name) or None)
        if request.choice != SIMPLE:  # krbv42LDAP and krbv42DSA of RFC 1777 §4.1, or what nobody knows
            login.mechanism = "KERBEROS-V4" if request.choice in (0x81, 0x82) else "UNKNOWN-BIND"
            login.well_formed = request.choice is not None
        elif request.credentials:
            login.secret, login.secret_at, login.exposure = Secret(request.credentials), at, "password"
        else:
            login.details["unauthenticated" if request.name else "anonymous"] = True
        if request.version is not None and request.version != 3:
            login.details["ldap_version"] = request.version
        self._note(login)
        return login

    def _sasl(self, mechanism: str, request: BindRequest, message_id: int, at: int) -> None:
        bind = self._open
        token = request.credentials
        if bind is not None and (bind.mechanism != mechanism or bind.goes_on is False or bind.goes_on is None and _begins(mechanism, token)):
            self._end_bind(bind, "unknown", "cancelled" if bind.goes_on else None, None)
            bind = None
        if bind is None:
            bind = self._open = _Bind(mechanism, at)
        if request.name and not bind.name:
            bind.name = request.name
        bind.goes_on = None
        if not (request.choice == SICILY_DISCOVERY and not token):
            bind.client(token, at)
        self._may_wrap = True
        self._await(message_id, bind)

    def _await(self, message_id: int, what: Login | _Bind) -> None:
        if len(self._binds) >= MAX_PENDING:
            del self._binds[next(iter(self._binds))]
        self._binds[message_id] = what

    def _bind_answered(self, result: Result, message_id: int) -> None:
        what = self._binds.pop(message_id, None)
        if type(what) is Login:
            what.result, what.reason, what.reply_code = judge(result)
            self._tell_code(what, result)
            return
        if what is None or what is not self._open:
            return
        token = result.credentials
        if what.mechanism == "SICILY":  # the list of packages and the challenge come where matchedDN stands, with success
            goes_on = result.code in (SUCCESS, BIND_IN_PROGRESS) and not what.tokens.has_login
            token = token or result.matched
        else:
            goes_on = result.code == BIND_IN_PROGRESS
        if token:
            what.server(token)
        what.goes_on = goes_on
        if not goes_on:
            self._end_bind(what, *judge(result), result)

    def _tell_code(self, login: Login, result: Result | None) -> None:
        found = None if result is None or login.result == "success" else active_directory_code(result.diagnostic)
        if found is not None:
            login.details["ad_error"] = found

    def _end_open(self) -> None:
        if self._open is not None:
            self._end_bind(self._open, "unknown", None, None)

    def _end_bind(self, bind: _Bind, result: str, reason: str | None, code: str | None, answer: Result | None = None) -> None:
        if bind is self._open:
            self._open = None
        login = bind.login(result, reason, code)
        self._tell_code(login, answer)
        self._note(login)
        self._last = login

    def _note(self, login: Login) -> None:
        logins = self.facts.logins
        if len(logins) < MAX_LOGINS:
            logins.append(login)
        elif not self._logins_dropped:
            self._logins_dropped = True
            self.anomaly("too-many-logins", CLIENT, login.at, f"more than {MAX_LOGINS}")

    # --- SASL security layers

    def _layer(self, side: int, data: bytes, pos: int) -> bool:
        """Whether more bytes are needed to tell a wrapped buffer from damage; notes a layer where there is one.

        Four octets of length, then the mechanism's token (RFC 4422 §3.7): sealed, or signed with the message in clear inside.
        """
        if not self._may_wrap or data[pos] != 0:
            return False
        n = len(data) - pos
        if n < 4:
            self._need[side] = 4
            return True
        length = int.from_bytes(data[pos:pos + 4], "big")
        if not 16 <= length < MAX_LAYER_BYTES:
            return False
        wanted = min(4 + length, _LAYER_HEAD_BYTES)
        if n < wanted:
            self._need[side] = wanted
            return True
        sealed = _is_sealed(data[pos + 4:pos + wanted], side)
        self.facts.sasl_wrapped = True
        self._dead[side] = True
        if self._open is not None:  # nobody wraps before the server said yes
            self._end_bind(self._open, "success", None, None)
        login = self._last
        if login is not None:
            if sealed is None and login.mechanism == "DIGEST-MD5":  # its sealed messages have no header
                sealed = True
            if sealed is not None:
                login.details.setdefault("layer", "confidentiality" if sealed else "integrity")
        return False

    # --- TLS

    def _tls_of_server(self, side: int, data: bytes, pos: int, at: int) -> bool:
        """TLS where only the server's yes was captured: the client asked for it in bytes that are missing."""
        if side == SERVER and self.facts.starttls_accepted and self.facts.starttls_requested is None and looks_like_tls(data[pos:pos + 5]):
            self.facts.tls_started = True
            self.handover = Handover(to="tls", rest=(b"", data[pos:]), at=(0, at + pos))
            self._end()
            return True
        return False

    def _hold(self, side: int, data: bytes, at: int) -> bool:
        if side == SERVER and self._waiting and self._skip[SERVER]:
            return False
        return super()._hold(side, data, at)

    def _clear_before_tls(self, client: bytes) -> int | None:
        """How many clear bytes stand before the first TLS record: whole messages, or all that came before the answer."""
        if looks_like_tls(client):
            return 0
        if self._early and looks_like_tls(client[self._early:self._early + 5]):
            return self._early
        while self._walked < len(client):
            head = read_head(client, self._walked, CLIENT)
            if not head or head.stop > len(client):
                break
            self._walked = head.stop
            if looks_like_tls(client[head.stop:head.stop + 5]):
                return head.stop
        return None

    def _hand_over(self, clear: int) -> None:
        """Whole messages of the server between its yes and the first record are an injection; what follows them is TLS."""
        server, pos = self._held[SERVER], 0
        while pos < len(server) and (head := read_head(server, pos, SERVER)) and head.stop <= len(server):
            pos = head.stop
        if pos and looks_like_tls(server[pos:pos + 5]):
            self.facts.injected_server_bytes = pos
            self.anomaly("clear-reply-before-tls", SERVER, self._held_at[SERVER], f"{pos} clear bytes behind the accepting reply")
            self._held[SERVER] = server[pos:]
            self._held_at[SERVER] += pos
        super()._hand_over(clear)


_KEPT = frozenset((BIND, EXTENDED, BIND_RESPONSE, EXTENDED_RESPONSE))
_HARMLESS = frozenset(tag for tag, name in REQUESTS.items() if name in ("UNBIND", "ABANDON"))
_SICILY = frozenset((SICILY_DISCOVERY, SICILY_NEGOTIATE, SICILY_RESPONSE))
_ENCRYPTION_REQUIRED = frozenset((STRONGER_AUTH_REQUIRED, CONFIDENTIALITY_REQUIRED))
_KRB5_OID = bytes.fromhex("06092a864886f712010202")


def _begins(mechanism: str, token: bytes | None) -> bool:
    """Whether a token begins a new exchange, where answers are missing that would tell."""
    if mechanism not in _RAW:
        return mechanism != "DIGEST-MD5" or not token
    return token is not None and (token[:1] == b"\x60" or token[:12] == b"NTLMSSP\0\1\0\0\0")


def _is_sealed(token: bytes, side: int) -> bool | None:
    """Whether the start of a wrapped buffer belongs to a sealed message or to one only signed; None when it is no token that is known.

    Kerberos: RFC 4121 §4.2.6.2 (05 04, flags, bit 2 sealed) and RFC 1964 §1.2.2 (02 01, SGN_ALG, SEAL_ALG, FFFF for none). NTLM: version 1, checksum 8,
    sequence 4, message ([MS-NLMP] §2.2.2.9). DIGEST-MD5 puts its checksum behind the message (RFC 2831 §2.3).
    """
    if token[:2] == b"\x05\x04":
        return bool(token[2] & 2)
    found = token.find(_KRB5_OID + b"\2\1", 0, 24)
    if token[0] == 0x60 and found >= 0:
        at = found + len(_KRB5_OID)
        return token[at + 4:at + 6] != b"\xff\xff"
    if token[:4] == b"\1\0\0\0":
        return not _has_head(token, 16, side)
    return False if _has_head(token, 0, side) else None


def _has_head(token: bytes, pos: int, side: int) -> bool:
    return pos < len(token) and read_head(token, pos, side) is not False
