"""A security exchange of raw tokens, as DCE/RPC, HTTP, LDAP and SMB carry them: NTLM, Kerberos, SPNEGO around either, and the login that they make.

Tokens may come in any order and from either of two connections: RPC over HTTP can send NTLM's types 1 and 3 on one channel and type 2 on the other. Each is read
when it comes and `login` may be asked again when more have come. What is used is told from what passed, not from what was offered: a client's first SPNEGO token may
guess Kerberos and the exchange go on with NTLM. Nothing here raises, whatever the bytes.
"""
from __future__ import annotations

from ..records import Login
from ..secret import Secret
from . import kerberos, ntlm, spnego

MAX_TOKENS = 64  # of one exchange; NTLM needs 3, Kerberos with user to user and SPNEGO about 6
MAX_DEPTH = 4  # SPNEGO inside SPNEGO; one level is legal, more never occurs
MAX_NAME_CHARACTERS = 512
_REASONS = {6: "wrong-credentials", 18: "locked", 24: "wrong-credentials"}  # of KRB-ERROR codes


class Exchange:
    """One attempt to set up a security context.

    Args:
        protocol: dcerpc, http, ldap or smb, for the Login.
        at: client stream offset of what begins the attempt.
    """

    __slots__ = ("protocol", "at", "offered", "selected", "well_formed", "n_tokens", "negotiate", "challenge", "authenticate", "ticket", "ap_rep", "error",
                 "state", "has_mic", "negoex", "_secret_at", "_ticket_secret", "_ticket_at")

    def __init__(self, protocol: str, at: int):
        self.protocol, self.at = protocol, at
        self.offered: tuple[str, ...] = ()  # mechanisms of the client's NegTokenInit, in order
        self.selected: str | None = None  # supportedMech of the server
        self.well_formed = True
        self.n_tokens = 0
        self.negotiate: ntlm.NtlmMessage | None = None
        self.challenge: ntlm.NtlmMessage | None = None
        self.authenticate: ntlm.NtlmMessage | None = None
        self.ticket: kerberos.KerberosToken | None = None  # the AP-REQ
        self.ap_rep: kerberos.KerberosToken | None = None
        self.error: kerberos.KerberosToken | None = None
        self.state: str | None = None  # the server's last negState
        self.has_mic = False  # a mechListMIC passed
        self.negoex = False
        self._secret_at = self._ticket_at = at
        self._ticket_secret = b""

    def client(self, token: bytes, at: int) -> None:
        """One token of the client, raw; `at` is the client stream offset of the message that carries it."""
        self._read(token, at, True)

    def server(self, token: bytes) -> None:
        """One token of the server, raw."""
        self._read(token, 0, False)

    @property
    def mechanism(self) -> str | None:
        """NTLM, KERBEROS or the OID that is really used; None while that is not known."""
        if self.authenticate is not None or self.challenge is not None:
            return "NTLM"
        if self.selected is not None:
            return "KERBEROS" if self.selected in spnego.KERBEROS_NAMES else self.selected
        if self.ap_rep is not None or self.ticket is not None or self.error is not None:
            return "KERBEROS"
        if self.negotiate is not None:
            return "NTLM"
        return None

    @property
    def has_login(self) -> bool:
        """An AUTHENTICATE message passed, or an AP-REQ that was not given up for another mechanism."""
        return self.authenticate is not None or (self.ticket is not None and self.mechanism == "KERBEROS")

    @property
    def result(self) -> str:
        """What the tokens themselves say of the outcome: success, failed or unknown."""
        if self.state == "reject":
            return "failed"
        if self.error is not None and self.ap_rep is None and self.mechanism == "KERBEROS":
            return "failed"
        if self.has_login and (self.state == "accept-completed" or (self.ap_rep is not None and self.authenticate is None)):
            return "success"
        return "unknown"

    def login(self, result: str = "unknown", reason: str | None = None, reply_code: str | None = None, mechanism: str | None = None) -> Login | None:
        """The login as far as it is known; None when no token was understood.

        Args:
            result: success, failed or unknown, by the carrying protocol; unknown is filled from the tokens where they say it.
            reason: why, where the answer says more.
            reply_code: the answer itself.
            mechanism: name for the Login, instead of NTLM, or NEGOTIATE (http) and GSSAPI for all else.
        """
        used = self.mechanism
        if used is None and not self.offered:
            return None
        if mechanism is None:
            mechanism = "NTLM" if used == "NTLM" else "NEGOTIATE" if self.protocol == "http" else "GSSAPI"
        if result == "unknown":
            result = self.result
        if reason is None and result == "failed" and self.error is not None and used == "KERBEROS":
            reason = _REASONS.get(self.error.error, "refused")
        login = Login(protocol=self.protocol, mechanism=mechanism, at=self.at, result=result, reason=reason, reply_code=reply_code)
        self.describe(login)
        return login

    def describe(self, login: Login) -> None:
        """Fill a login's account, secret and details."""
        used, details = self.mechanism, login.details
        login.well_formed = login.well_formed and self.well_formed
        if self.offered or self.selected is not None:
            details["spnego_offered"], details["spnego_selected"] = list(self.offered), self.selected
            if self.has_mic:
                details["spnego_mic"] = True
        if used == "NTLM":
            self._fill_ntlm(login)
            if self.ticket is not None:  # Kerberos was tried first: what it was tried for
                details["refused_spn"] = self.ticket.spn
        elif used == "KERBEROS":
            self._fill_kerberos(login)

    def _fill_ntlm(self, login: Login) -> None:
        message = self.authenticate
        kind = ntlm.describe(self.negotiate, self.challenge, message, login.details)
        if message is None:
            return
        login.well_formed = login.well_formed and message.well_formed
        login.principal = message.user[:MAX_NAME_CHARACTERS] or None
        login.domain = message.domain[:MAX_NAME_CHARACTERS] or None
        response = message.nt_response or message.lm_response
        if kind is not None and kind != "anonymous" and response:
            login.secret, login.secret_at, login.exposure = Secret(response), self._secret_at, "guessable"

    def _fill_kerberos(self, login: Login) -> None:
        details, ticket = login.details, self.ticket
        if ticket is not None:
            login.domain = ticket.realm or None
            login.well_formed = login.well_formed and ticket.well_formed
            details["realm"], details["spn"] = login.domain, ticket.spn
            details["ticket_etype"] = details["etype"] = ticket.ticket_etype
            details["authenticator_etype"] = ticket.authenticator_etype
            details["mutual"] = ticket.mutual
            if ticket.user_to_user:
                details["user_to_user"] = True
            login.secret, login.secret_at, login.exposure = Secret(self._ticket_secret), self._ticket_at, "ticket"
        if self.error is not None:
            details["kerberos_error"] = self.error.error
            if self.error.error in kerberos.ERRORS:
                details["kerberos_error_name"] = kerberos.ERRORS[self.error.error]
            if self.error.client_principal:
                details["client_principal"] = self.error.client_principal
                login.principal = self.error.client_principal.partition("@")[0] or None

    # --- reading

    def _read(self, token: bytes, at: int, from_client: bool) -> None:
        if not token:
            return
        self.n_tokens += 1
        if self.n_tokens > MAX_TOKENS:
            self.well_formed = False
            return
        for _ in range(MAX_DEPTH):
            if token[:8] == ntlm.SIGNATURE:
                self._read_ntlm(token, at, from_client)
                return
            head = token[0]
            if head in (0x60, 0xA0, 0xA1):
                message = spnego.read(token)
                if message is not None:
                    token = self._read_spnego(message, from_client)
                    if not token:
                        return
                    continue
            if head in (0x60, 0x6E, 0x6F, 0x7E):
                found = kerberos.read(token)
                if found is not None:
                    self._read_kerberos(found, token, at, from_client)
                    return
            if token[:8] == spnego.NEGOEX_SIGNATURE:
                self.negoex = True
                return
            break
        # Damaged or unknown wrapping: a message inside is still one, anything else is not understood.
        message = ntlm.find_message(token[:ntlm.MAX_MESSAGE_BYTES], True)
        if message is not None:
            self.well_formed = False
            self._keep_ntlm(message, at, from_client)
        elif (ticket := kerberos.find_ap_req(token[:spnego.MAX_TOKEN_BYTES])) is not None:
            self.well_formed = False
            self._read_kerberos(ticket, token, at, from_client)

    def _read_spnego(self, message: spnego.SpnegoToken, from_client: bool) -> bytes:
        if not message.well_formed:
            self.well_formed = False
        if message.has_mic:
            self.has_mic = True
        if message.kind == "init":
            if from_client and not self.offered:
                self.offered = message.mechanisms
        elif not from_client:
            if message.selected is not None:
                self.selected = message.selected
            if message.state is not None:
                self.state = message.state
        return message.token

    def _read_ntlm(self, token: bytes, at: int, from_client: bool) -> None:
        message = ntlm.find_message(token)
        if message is None:
            self.well_formed = False
        else:
            self._keep_ntlm(message, at, from_client)

    def _keep_ntlm(self, message: ntlm.NtlmMessage, at: int, from_client: bool) -> None:
        # Each type has its sender. One of the other side counts only where the right one is missing: roles of a late or one-sided capture are a guess.
        if message.kind == 1:
            if from_client or self.negotiate is None:
                self.negotiate = message
        elif message.kind == 2:
            if not from_client or self.challenge is None:
                self.challenge = message
        elif from_client or self.authenticate is None:
            self.authenticate, self._secret_at = message, at if from_client else self.at

    def _read_kerberos(self, message: kerberos.KerberosToken, token: bytes, at: int, from_client: bool) -> None:
        if message.kind == "ap-req":
            if from_client or self.ticket is None:
                self.ticket, self._ticket_secret, self._ticket_at = message, token, at
        elif message.kind == "ap-rep":
            if not from_client:  # DCE style has a third leg, an AP-REP of the client
                self.ap_rep = message
        elif message.kind == "error":
            self.error = message
