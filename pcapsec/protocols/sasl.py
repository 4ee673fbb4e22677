"""SASL exchanges as every mail protocol carries them: base64 tokens in both directions, then a result.

The protocol modules know the framing (AUTH and 334, AUTHENTICATE and +, AUTHINFO SASL and 383, quoted strings) and map their replies to a result;
this module knows what the tokens of each mechanism hold. Tokens are kept as they come and read once, when the exchange is over, because clients pipeline
their answers before the challenge arrives and captures lose bytes in between: whatever can be told from a token itself is told from it, not from its place.

A token that does not decode or does not hold the mechanism's grammar makes `well_formed` False; nothing here raises, whatever the bytes.
"""
from __future__ import annotations

import binascii
import json
import re
from typing import Callable

from ..records import Login
from ..secret import Secret
from . import kerberos, negotiation, ntlm

MAX_TOKEN_BYTES = 65536  # a Kerberos ticket with a large PAC reaches 48 KiB; RFC 4954 §4 names 12288
MAX_TOKENS = 16  # of one side; GSS-SPNEGO needs about 4
MAX_NAME_CHARACTERS = 512  # account names and the like that go into tables
MAX_DIGEST_BYTES = 8192  # RFC 2831 §2.1.1, §2.1.2 allow 2048 and 4096
MAX_JSON_BYTES = 8192  # payload of a JWT
LEAST_ITERATIONS = 4096  # RFC 5802 §5.1, RFC 7677 §4

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEX32 = re.compile(rb"[0-9A-Fa-f]{32}\Z")


def decode_base64(token: bytes) -> bytes | None:
    """Decode one base64 token; None when it is none.

    Missing padding and blanks around are forgiven, foreign characters are not: dropping them silently would turn a sentence into a password.
    """
    text = token.strip()
    if len(text) > MAX_TOKEN_BYTES:
        return None
    text = text.rstrip(b"=")
    if text.translate(None, _BASE64) or len(text) % 4 == 1:
        return None
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return None


def to_text(value: bytes) -> str:
    """UTF-8 where it is UTF-8, Latin-1 otherwise, cut to a length fit for a table."""
    try:
        return value.decode()[:MAX_NAME_CHARACTERS]
    except UnicodeDecodeError:
        return value.decode("latin-1")[:MAX_NAME_CHARACTERS]


class Exchange:
    """One attempt to log in by SASL.

    Args:
        protocol: smtp, imap and so on, for the Login.
        mechanism: as registered, upper case.
        at: client stream offset of the command that begins the attempt.
    """

    __slots__ = ("protocol", "mechanism", "at", "client_tokens", "server_tokens", "_places", "_lost_after", "initial_response", "cancelled", "too_many")

    def __init__(self, protocol: str, mechanism: str, at: int):
        self.protocol, self.at = protocol, at
        self.mechanism = mechanism[:40]
        self.client_tokens: list[tuple[bytes | None, int]] = []  # decoded (None: not base64), offset
        self._places: list[tuple[int, int | None]] = []  # for each: prompts before it, and prompts before the last loss (None: nothing lost)
        self.server_tokens: list[bytes | None] = []
        self._lost_after: int | None = None
        self.initial_response = self.cancelled = self.too_many = False

    def client(self, token: bytes, at: int, *, initial: bool = False) -> None:
        """One client token, still in base64; `=` is the empty one, `*` cancels.

        Args:
            token: without line end or quotes.
            at: client stream offset of its line. Equal to the command's own offset for an initial response.
            initial: it stood in the command itself, for callers that give another offset.
        """
        if initial or at == self.at:
            self.initial_response = True
        elif token.strip() == b"*":
            self.cancelled = True
            return
        if len(self.client_tokens) < MAX_TOKENS:
            self.client_tokens.append((decode_base64(token), at))
            self._places.append((len(self.server_tokens), self._lost_after))
        else:
            self.too_many = True

    def server(self, token: bytes) -> None:
        """One server challenge in base64; servers also send none, or plain words."""
        if len(self.server_tokens) < MAX_TOKENS:
            self.server_tokens.append(decode_base64(token))
        else:
            self.too_many = True

    def lost(self) -> None:
        """Bytes of either side are missing at this point."""
        self._lost_after = len(self.server_tokens)

    def finish(self, result: str, reason: str | None = None, reply_code: str | None = None) -> Login:
        """Read the tokens and build the login.

        Args:
            result: success, failed or unknown.
            reason: why, where the answer said more.
            reply_code: the answer itself.
        """
        login = Login(protocol=self.protocol, mechanism=self.mechanism, at=self.at, result=result, reason=reason, reply_code=reply_code)
        details = login.details
        details["initial_response"] = self.initial_response
        details["prompts"] = len(self.server_tokens)
        if self.cancelled:
            details["cancelled"] = True
            if reason is None:
                login.reason = "cancelled"
        if self.too_many:
            login.well_formed = False
        read = _READERS.get(self.mechanism)
        if read is None and self.mechanism.startswith("SCRAM-"):
            read = _scram
        if read is not None:
            read(self, login)
        return login


# --- one reader per mechanism: from an exchange's tokens into a login

def _plain(exchange: Exchange, login: Login) -> None:
    """`[authzid] NUL authcid NUL passwd` (RFC 4616 §2)."""
    for token, at in exchange.client_tokens:
        if token == b"":  # `AUTH PLAIN =` or an empty line: nothing passed
            continue
        if token is None or b"\0" not in token:
            login.well_formed = False
            continue
        fields = token.split(b"\0", 2)
        if len(fields) == 2:
            fields.insert(0, b"")
        authzid, authcid, password = fields
        login.well_formed = token.count(b"\0") == 2
        login.principal = to_text(authcid or authzid) or None
        login.authzid = to_text(authzid) if authzid and authcid else None
        _take_secret(login, password, at, "password")
        return


def _login(exchange: Exchange, login: Login) -> None:
    """User, then password, told apart by their order and never by the prompts, as servers word them differently ([MS-XLOGIN] §4).

    Only where bytes were lost before the first token seen does the prompt's first letter decide, if that prompt came after the loss; otherwise the token
    is dropped, since a password shown as a name leaks it.
    """
    place = 0
    for (token, at), (prompts, lost_after) in zip(exchange.client_tokens, exchange._places):
        if lost_after is not None and place == 0:
            last = (exchange.server_tokens[prompts - 1] or b"") if prompts > lost_after else b""
            place = {b"u": 0, b"p": 1}.get(last[:1].lower(), 2)
            if place == 2:
                login.well_formed = False
                continue
        if token is None:
            login.well_formed = False
        elif place == 0:
            login.principal = to_text(token) or None
        elif place == 1:
            _take_secret(login, token, at, "password")
        else:
            login.well_formed = False
        place += 1


def _cram_md5(exchange: Exchange, login: Login) -> None:
    """Challenge `<…@…>`, answer `user SP 32HEXDIG` (RFC 2195 §2)."""
    login.details["challenge_seen"] = any(exchange.server_tokens)
    for token, at in exchange.client_tokens:
        user, blank, digest = (token or b"").rpartition(b" ")
        if blank and _HEX32.match(digest):
            login.principal = to_text(user) or None
            _take_secret(login, digest, at, "guessable")
        elif token != b"":
            login.well_formed = False


_PAIR = re.compile(rb'\s*+([A-Za-z-]{1,32})\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^",\s]*+)\s*+(?:,|\Z)', re.DOTALL)


def read_pairs(token: bytes) -> dict[str, bytes]:
    """`name=value` or `name="quoted \\" value"`, separated by commas (RFC 2831 §7.1), up to the first thing that is none; of a repeated name the first counts."""
    token = token[:MAX_DIGEST_BYTES]
    pairs: dict[str, bytes] = {}
    pos = 0
    while (match := _PAIR.match(token, pos)) is not None and match.end() > pos:
        pos = match.end()
        name, value = match.groups()
        if value[:1] == b'"':
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1], flags=re.DOTALL)
        pairs.setdefault(name.decode("ascii").lower(), value)
    return pairs


def _digest_md5(exchange: Exchange, login: Login) -> None:
    """Challenge `realm=,nonce=,qop=,…`, response `username=,…,response=32LHEX`, then `rspauth=` (RFC 2831 §2.1)."""
    details = login.details
    challenge = next((pairs for pairs in (read_pairs(token) for token in exchange.server_tokens if token) if "nonce" in pairs), {})
    details["challenge_seen"] = bool(challenge)
    answered = False
    for token, at in exchange.client_tokens:
        if not token:
            login.well_formed = login.well_formed and token is not None
            continue
        pairs = read_pairs(token)
        if answered:  # RFC 2831 §2.1.3: an empty answer to rspauth, nothing else
            continue
        answered = True
        login.principal = to_text(pairs.get("username", b"")) or None
        login.authzid = to_text(pairs.get("authzid", b"")) or None
        login.domain = to_text(pairs.get("realm", b"")) or None
        details["realm"] = login.domain
        details["qop"] = to_text(pairs.get("qop", b"auth")).lower()
        for key, name in (("cipher", "cipher"), ("digest_uri", "digest-uri")):
            if name in pairs:
                details[key] = to_text(pairs[name])
        response = pairs.get("response", b"")
        if _HEX32.match(response):
            _take_secret(login, response, at, "guessable")
        login.well_formed = login.well_formed and bool(_HEX32.match(response)) and login.principal is not None and "nonce" in pairs
    if challenge and "realm" not in details and "realm" in challenge:
        details["realm"] = to_text(challenge["realm"])


def _ntlm(exchange: Exchange, login: Login) -> None:
    """Messages of type 1, 2 and 3, each known by its own type field ([MS-NLMP] §2.2.1)."""
    negotiate = challenge = None
    authenticate, authenticate_at = None, 0
    for token in exchange.server_tokens:
        found = ntlm.find_message(token) if token else None
        if found is not None and found.kind == 2:
            challenge = found
    for token, at in exchange.client_tokens:
        found = ntlm.find_message(token) if token else None
        if found is None:
            if token is None or token:
                login.well_formed = False
        elif found.kind == 1:
            negotiate = found
        elif found.kind == 3:
            authenticate, authenticate_at = found, at
    kind = ntlm.describe(negotiate, challenge, authenticate, login.details)
    if authenticate is None:
        return
    login.well_formed = login.well_formed and authenticate.well_formed
    login.principal = (authenticate.user or None) and authenticate.user[:MAX_NAME_CHARACTERS]
    login.domain = (authenticate.domain or None) and authenticate.domain[:MAX_NAME_CHARACTERS]
    if kind is not None and kind != "anonymous":
        _take_secret(login, authenticate.nt_response or authenticate.lm_response, authenticate_at, "guessable")


def _spnego(exchange: Exchange, login: Login) -> None:
    """RFC 4178 around NTLM or Kerberos, then the security layer's offer and choice in wrap tokens ([RFC 4752] §3.1 with this mechanism's name)."""
    tokens = negotiation.Exchange(exchange.protocol, exchange.at)
    for token in exchange.server_tokens:
        tokens.server(token or b"")
    for token, at in exchange.client_tokens:
        if token is None:
            login.well_formed = False
        elif tokens.has_login and not tokens.authenticate and kerberos.read(token) is None and (choice := kerberos.unwrap_clear(token)) is not None:
            _layer(choice, login)
        else:
            tokens.client(token, at)
    tokens.describe(login)


def _layer(choice: bytes, login: Login) -> None:
    """Layer 1, maximum message size 3, authorization identity (RFC 4752 §3.1)."""
    if len(choice) >= 4:
        login.details["layer"] = kerberos.LAYERS.get(choice[0])
        login.principal = to_text(choice[4:]) or login.principal


def _gssapi(exchange: Exchange, login: Login) -> None:
    """AP-REQ, AP-REP, then the offer and choice of a security layer in wrap tokens (RFC 4752 §3.1, §3.3)."""
    details = login.details
    for token, at in exchange.client_tokens:
        if not token:
            login.well_formed = login.well_formed and token is not None
            continue
        ticket = kerberos.find_ap_req(token)
        if ticket is not None:
            login.domain = ticket.realm[:MAX_NAME_CHARACTERS] or None
            details["realm"], details["spn"], details["etype"] = login.domain, ticket.spn[:MAX_NAME_CHARACTERS], ticket.ticket_etype
            details["ticket_etype"], details["authenticator_etype"] = ticket.ticket_etype, ticket.authenticator_etype
            _take_secret(login, token, at, "ticket")
            continue
        choice = kerberos.unwrap_clear(token)
        if choice is not None and len(choice) >= 4:
            _layer(choice, login)
        elif login.secret is None:
            login.well_formed = False


def _scram(exchange: Exchange, login: Login) -> None:
    """client-first `gs2-header n=user,r=nonce`, server-first `r=,s=,i=`, client-final `c=,r=,p=` (RFC 5802 §5, §7)."""
    details = login.details
    details["challenge_seen"] = False
    for token in exchange.server_tokens:
        fields = _scram_fields(token or b"")
        if b"i" in fields and b"s" in fields:
            details["challenge_seen"] = True
            salt = decode_base64(fields[b"s"])
            details["salt_length"] = None if salt is None else len(salt)
            if fields[b"i"].isdigit() and len(fields[b"i"]) <= 9:
                details["iterations"] = int(fields[b"i"])
                details["low_iterations"] = details["iterations"] < LEAST_ITERATIONS
            else:
                login.well_formed = False
    for token, at in exchange.client_tokens:
        if token == b"":
            continue
        fields = _scram_fields(token or b"")
        if b"p" in fields and b"c" in fields:
            _take_secret(login, fields[b"p"], at, "guessable")
        elif b"n" in fields and b"r" in fields and token[:1] in b"nyp":
            login.principal = to_text(_saslname(fields[b"n"])) or None
            login.authzid = to_text(_saslname(fields.get(b"a", b""))) or None
        else:
            login.well_formed = False


def _scram_fields(token: bytes) -> dict[bytes, bytes]:
    """Attributes of a SCRAM message by their letter; the channel binding flag of the header is no attribute."""
    parts = token[:MAX_TOKEN_BYTES].split(b",", 16)
    if parts[0] in (b"n", b"y") or (parts[0][:2] == b"p=" and len(parts) > 2 and (not parts[1] or parts[1][:2] == b"a=")):
        parts = parts[1:]
    return {part[:1]: part[2:] for part in parts if part[1:2] == b"="}


def _saslname(name: bytes) -> bytes:
    return name.replace(b"=2C", b",").replace(b"=3D", b"=")


def _oauth(exchange: Exchange, login: Login) -> None:
    """XOAUTH2 `user=U ^A auth=Bearer T ^A ^A`; OAUTHBEARER `n,a=U, ^A host= ^A port= ^A auth=Bearer T ^A ^A` (RFC 7628 §3.1).

    The empty answer, or a lone ^A, that follows a server's error report is no credential.
    """
    for token, at in exchange.client_tokens:
        if token in (b"", b"\1"):
            continue
        if token is None:
            login.well_formed = False
            continue
        fields = token[:MAX_TOKEN_BYTES].split(b"\1")
        named = dict(field.split(b"=", 1) for field in fields if b"=" in field)
        header = fields[0]
        user = named.get(b"user")
        if user is None and header[:2] in (b"n,", b"y,", b"p="):
            user = next((part[2:] for part in header.split(b",") if part[:2] == b"a="), b"")
            user = _saslname(user)
        scheme, _, bearer = named.get(b"auth", b"").partition(b" ")
        bearer = bearer.strip()
        login.principal = to_text(user or b"") or None
        if scheme.lower() == b"bearer" and bearer:
            _take_secret(login, bearer, at, "token")
            describe_token(bearer, login.details)
        else:
            login.well_formed = False
        if user is None or token[-2:] != b"\1\1":
            login.well_formed = False
        return


_ACCOUNT_CLAIMS = ("upn", "preferred_username", "unique_name", "smtp", "email")  # as Entra ID, AD FS, Keycloak and Google name the account


def describe_token(bearer: bytes, details: dict) -> str | None:
    """Issuer, audience and expiry of a JWT, from its payload, unverified (RFC 7519 §4.1); anything else is opaque. Returns the account that it names, if any."""
    details["token_type"] = "opaque"
    parts = bearer.split(b".")
    if len(parts) != 3 or len(parts[1]) > MAX_JSON_BYTES:
        return None
    try:
        header, payload = (json.loads(decode_base64(part.replace(b"-", b"+").replace(b"_", b"/")) or b"") for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(payload, dict) or "alg" not in header:
        return None
    details["token_type"] = "JWT"
    audience = payload.get("aud")
    if isinstance(audience, list):
        audience = " ".join(str(one) for one in audience[:8] if isinstance(one, str))
    for key, value in (("jwt_iss", payload.get("iss")), ("jwt_aud", audience)):
        if isinstance(value, str):
            details[key] = _writable(value)
    expiry = payload.get("exp")
    if isinstance(expiry, (int, float)) and not isinstance(expiry, bool) and 0 <= expiry < 1 << 40:
        details["jwt_exp"] = int(expiry)
    names = (payload.get(claim) for claim in _ACCOUNT_CLAIMS)
    return next((_writable(name) for name in names if isinstance(name, str) and name), None)


def _writable(value: str) -> str:
    """Text of JSON fit for a table: JSON can spell half of a surrogate pair, which no encoding can."""
    return value[:MAX_NAME_CHARACTERS].encode("utf-8", "replace").decode()


def _external(exchange: Exchange, login: Login) -> None:
    """An authorization identity or nothing (RFC 4422 Appendix A.1)."""
    for token, _ in exchange.client_tokens:
        if token is None:
            login.well_formed = False
        elif token:
            login.principal = login.authzid = to_text(token)


def _anonymous(exchange: Exchange, login: Login) -> None:
    """A trace, such as a mail address, or nothing (RFC 4505 §2)."""
    for token, _ in exchange.client_tokens:
        if token is None:
            login.well_formed = False
        elif token:
            login.details["trace"] = to_text(token)


def _take_secret(login: Login, value: bytes, at: int, exposure: str) -> None:
    if value:
        login.secret, login.secret_at, login.exposure = Secret(value), at, exposure


_READERS: dict[str, Callable[[Exchange, Login], None]] = {
    "PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5, "DIGEST-MD5": _digest_md5, "NTLM": _ntlm, "GSS-SPNEGO": _spnego, "GSSAPI": _gssapi,
    "XOAUTH2": _oauth, "OAUTHBEARER": _oauth, "EXTERNAL": _external, "ANONYMOUS": _anonymous,
}
