"""Logins in HTTP heads: Basic (RFC 7617), Digest (RFC 7616), Bearer (RFC 6750), NTLM and Negotiate ([MS-NTHT], RFC 4559), towards the server or a proxy; the outcome by the answer.

- Basic, Digest, Bearer: 401 (407 towards a proxy) is failed, 2xx and 3xx success, anything else unknown. 403 is unknown with reason "forbidden": some servers say it after a
  right password to a locked door, others to a wrong one. A proxy's login succeeded once the answer is any but 407, since then it came from behind the proxy (502 to 504 are unknown).
- NTLM, Negotiate: an exchange that belongs to the connection. 401 with a token goes on with it, 401 without one after the login is failed, only 2xx is success.
- Forms: PS601 tells Exchange's and its proxies' answers; elsewhere 401 and 403 are failed and the rest is unknown.

Equal logins of one connection are one `Login`, counted in details["n_requests"]: 10,000 requests with one password are one exposed password. Equal means mechanism, account,
secret, host, proxy and outcome; what differs in each request by design (Digest's response, NTLM's, tickets) is left out of the comparison.
"""
from __future__ import annotations

import re
from typing import Any

from ..records import CLIENT, Facts, HttpRequest, Login
from ..secret import Secret
from . import sasl
from .http_framing import note
from .http_heads import challenge_token, parameters, set_cookie_names, text, unquote
from .http_services import LOGIN_PATHS, has_session
from .negotiation import Exchange

MAX_LOGINS = 10000  # distinct ones of a connection; a guesser's attempts are all told up to here
MAX_NAME_CHARACTERS = 512
EXCHANGED = frozenset(("NTLM", "NEGOTIATE", "KERBEROS"))
KNOWN = EXCHANGED | {"BASIC", "DIGEST", "BEARER"}
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9-]{1,19}\Z").match  # AWS4-HMAC-SHA256, SharedKey, token
_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\Z").match


class Attempt:
    """One Authorization or Proxy-Authorization field, until its answer comes."""

    __slots__ = ("login", "exchange", "scheme", "proxy")

    def __init__(self, scheme: str, proxy: bool, login: Login | None = None, exchange: Exchange | None = None):
        self.scheme, self.proxy, self.login, self.exchange = scheme, proxy, login, exchange


class Logins:
    """The logins of one connection.

    Args:
        facts: gets the logins.

    Attributes:
        bound: whom the connection belongs to since NTLM succeeded on it; later requests carry no login ([MS-NTHT] §1.3).
    """

    def __init__(self, facts: Facts):
        self._facts = facts
        self.bound: str | None = None
        self._known: dict[tuple, Login] = {}
        self._exchanges: dict[bool, tuple[Exchange, HttpRequest]] = {}  # towards the server and the proxy: the one under way and the request that carried its last token
        self._full = False

    def attempt(self, row: HttpRequest, value: bytes, at: int, proxy: bool) -> Attempt | None:
        """Read `credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]` (RFC 9110 §11.4) of a request into its row."""
        word, _, rest = value.partition(b"\n")[0].partition(b" ")
        word, rest = word.rstrip(b",:"), rest.strip()
        scheme = word.decode("latin-1").upper()
        if scheme not in KNOWN and (not rest or _SCHEME(word) is None):  # a token without a scheme: no byte of it may be shown
            rest, scheme = value.strip(), "BEARER" if _JWT(value) is not None else "OTHER"
        row.auth_scheme = scheme
        if proxy:
            row.proxy = True
        login = None
        if scheme in EXCHANGED:
            return self._token(row, scheme, rest, at, proxy)
        if scheme == "BASIC":
            login = _basic(rest, at)
        elif scheme == "DIGEST":
            login = _digest(rest, at)
        elif scheme == "BEARER":
            login = _bearer(rest, at)
        else:
            return None
        if login is None:
            note(self._facts, "http-credentials-malformed", CLIENT, at, scheme)
            return None
        if login.principal is None and login.secret is None:  # Basic with nothing on either side of the colon
            return None
        if login.principal is not None:
            row.principal = login.principal
        return Attempt(scheme, proxy, login)

    def _token(self, row: HttpRequest, scheme: str, rest: bytes, at: int, proxy: bool) -> Attempt | None:
        token = sasl.decode_base64(rest)
        if not token:
            note(self._facts, "http-credentials-malformed", CLIENT, at, scheme)
            return None
        found = self._exchanges.get(proxy)
        first = token[:12] == b"NTLMSSP\0\1\0\0\0"
        if found is None or (first and (found[0].challenge is not None or found[0].has_login)):
            if found is not None:
                self._close(proxy, "unknown", None)
            exchange = Exchange("http", at)
        else:
            exchange = found[0]
        exchange.client(token, at)
        self._exchanges[proxy] = exchange, row
        return Attempt(scheme, proxy, None, exchange)

    # --- outcomes

    def settle(self, attempts: list[Attempt], row: HttpRequest, status: int | None, named: dict[bytes, bytes], accepted: bool = False) -> None:
        """The final answer to a request, or None when none was seen; `accepted`: what came later shows what it was."""
        for attempt in attempts:
            proxy = attempt.proxy
            if attempt.exchange is not None:
                if accepted:
                    self._close(proxy, "success", None)
                else:
                    self._settle_exchange(attempt, status, named)
                continue
            login = attempt.login
            login.result, login.reason = ("success", None) if accepted else _outcome(status, proxy)
            row.login = self.add(login, row, status, proxy)

    def settle_form(self, login: Login, row: HttpRequest, status: int | None, named: dict[bytes, bytes]) -> None:
        """The same for a login in a body."""
        login.result, login.reason = _form_outcome(row, status, named)
        row.login = self.add(login, row, status, False)

    def _settle_exchange(self, attempt: Attempt, status: int | None, named: dict[bytes, bytes]) -> None:
        proxy, exchange = attempt.proxy, attempt.exchange
        found = self._exchanges.get(proxy)
        if found is None or found[0] is not exchange:
            return
        refused = 407 if proxy else 401
        challenge = named.get(b"proxy-authenticate" if proxy else b"www-authenticate")
        token = challenge_token(challenge, attempt.scheme)
        if token is not None:
            exchange.server(sasl.decode_base64(token) or b"")
        if status is None or (status == refused and token is not None):
            return
        if status == refused:
            self._close(proxy, "failed", status)
        elif exchange.has_login:
            success = 200 <= status < 300 or (proxy and status not in (401, 502, 503, 504))
            self._close(proxy, "success" if success else "unknown", status)
        else:
            self._close(proxy, "unknown", status)

    def _close(self, proxy: bool, result: str, status: int | None) -> None:
        exchange, row = self._exchanges.pop(proxy, (None, None))
        if exchange is None:
            return
        login = exchange.login(result if exchange.has_login else "unknown", "forbidden" if status == 403 else None)
        if login is None:
            return
        if login.result == "failed" and login.reason is None:
            login.reason = "wrong-credentials"
        if login.principal is not None:
            row.principal = login.principal
            if login.mechanism == "NTLM" and login.result == "success" and not proxy:
                self.bound = login.principal
        row.login = self.add(login, row, status, proxy)

    def add(self, login: Login, row: HttpRequest, status: int | None, proxy: bool) -> Login:
        """Keep a login whose outcome is known; returns the equal one that was there before, if any."""
        mechanism = login.mechanism
        secret = login.secret if mechanism in ("BASIC", "BEARER", "FORM") else login.details.get("spn") or login.details.get("ntlm_version") or login.details.get("realm")
        key = (mechanism, login.principal, login.domain, secret, row.host, proxy, login.result)
        known = self._known.get(key) or self._same_but_for_an_answer(key, login, status)
        if known is not None:
            known.details["n_requests"] += 1
            return known
        if len(self._known) >= MAX_LOGINS:
            if not self._full:
                self._full = True
                note(self._facts, "http-too-many-logins", CLIENT, login.at, f"more than {MAX_LOGINS}")
            return login
        self._known[key] = login
        if status is not None:
            login.reply_code = str(status)
        details = login.details
        details["n_requests"] = 1
        details["proxy"], details["host"], details["path"], details["service"] = proxy, row.host, row.path, row.service
        self._facts.logins.append(login)
        return login

    def _same_but_for_an_answer(self, key: tuple, login: Login, status: int | None) -> Login | None:
        """The equal login of another request where the answer to one of both was not seen: it is told with the outcome that was."""
        if status is None:
            return next((known for result in ("success", "failed") if (known := self._known.get((*key[:-1], result))) is not None), None)
        silent = self._known.get((*key[:-1], "unknown"))
        if silent is None or silent.reply_code is not None or login.result == "unknown":
            return None
        del self._known[(*key[:-1], "unknown")]
        silent.result, silent.reason, silent.reply_code = login.result, login.reason, str(status)
        self._known[key] = silent
        return silent

    def finish(self) -> None:
        """Nothing more comes: exchanges under way end without an outcome."""
        for proxy in list(self._exchanges):
            self._close(proxy, "unknown", None)


def _outcome(status: int | None, proxy: bool) -> tuple[str, str | None]:
    if status is None:
        return "unknown", None
    if status == (407 if proxy else 401):
        return "failed", "wrong-credentials"
    if proxy:
        return ("unknown" if status in (502, 503, 504) else "success"), None
    if 200 <= status < 400:
        return "success", None
    return "unknown", "forbidden" if status == 403 else "temporary" if status == 503 else None


def _form_outcome(row: HttpRequest, status: int | None, named: dict[bytes, bytes]) -> tuple[str, str | None]:
    if status is None:
        return "unknown", None
    if status in (401, 403):
        return "failed", "wrong-credentials" if status == 401 else "forbidden"
    if has_session(row.set_cookies or set_cookie_names(named.get(b"set-cookie"))):
        return "success", None
    if 300 <= status < 400 and (row.path or "").lower() in LOGIN_PATHS and b"reason=2" in named.get(b"location", b"").lower().partition(b"?")[2]:
        return "failed", "wrong-credentials"
    return "unknown", None


# --- one reader per scheme

def _basic(rest: bytes, at: int) -> Login | None:
    """base64 of `user-id ":" password` (RFC 7617 §2); the first colon ends the user."""
    decoded = sasl.decode_base64(rest)
    if decoded is None or not rest:
        return None
    user, colon, password = decoded.partition(b":")
    login = Login(protocol="http", mechanism="BASIC", at=at, well_formed=bool(colon))
    if not colon:  # half a credential; shown as a name it might be the password
        user, password = b"", decoded
    login.principal = sasl.to_text(user) or None
    if password:
        login.secret, login.secret_at, login.exposure = Secret(password), at, "password"
    return login


def _digest(rest: bytes, at: int) -> Login | None:
    """`username=, realm=, nonce=, uri=, response=, …` (RFC 7616 §3.4); everything that a guess needs but the method is in the field itself."""
    pairs = parameters(rest)
    response = pairs.get("response", b"")
    if not response and "username" not in pairs and "username*" not in pairs:
        return None
    login = Login(protocol="http", mechanism="DIGEST", at=at)
    user = pairs.get("username")
    if user is None and "username*" in pairs:  # RFC 8187: charset'language'percent-encoded
        user = unquote(pairs["username*"].split(b"'", 2)[-1])
    login.principal = sasl.to_text(user or b"") or None
    login.domain = sasl.to_text(pairs.get("realm", b"")) or None
    details: dict[str, Any] = login.details
    details["realm"] = login.domain
    details["qop"] = text(pairs.get("qop", b"").lower(), 20)  # None: the old form of RFC 2069
    details["algorithm"] = (text(pairs.get("algorithm"), 40) or "MD5").upper()
    details["challenge_seen"] = "nonce" in pairs
    if pairs.get("userhash", b"").lower() == b"true":
        details["userhash"] = True
    if "uri" in pairs:
        details["digest_uri"] = text(pairs["uri"].partition(b"?")[0])
    hexadecimal = len(response) in (32, 64) and not response.translate(None, b"0123456789abcdefABCDEF")
    if hexadecimal:
        login.secret, login.secret_at, login.exposure = Secret(response), at, "guessable"
    login.well_formed = hexadecimal and "nonce" in pairs and "uri" in pairs and login.principal is not None
    return login


def _bearer(rest: bytes, at: int) -> Login | None:
    """`b64token` (RFC 6750 §2.1); the account is in a JWT's claims, if anywhere."""
    token = rest.split(b" ", 1)[0]
    if not token:
        return None
    login = Login(protocol="http", mechanism="BEARER", at=at, secret=Secret(token), secret_at=at, exposure="token", well_formed=token == rest)
    login.principal = sasl.describe_token(token, login.details)
    return login
