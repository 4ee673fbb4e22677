"""What parsers learn of logins, and of services beside the mail protocols: DCE/RPC and MAPI, HTTP, SMB, TLS and its certificates, DNS.

`records.py` offers these too, and is where everybody imports them from.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .secret import Secret

CLIENT, SERVER = 0, 1


@dataclass(slots=True, kw_only=True)
class Login:
    """One attempt to log in that was readable on the wire."""

    protocol: str
    mechanism: str  # SASL name as registered, or LOGIN-COMMAND, USER-PASS, APOP, AUTHINFO
    at: int  # client stream offset of the command or line that begins the attempt
    principal: str | None = None  # account as sent; None when not seen
    domain: str | None = None  # NTLM domain, Kerberos or DIGEST realm
    authzid: str | None = None
    secret: Secret | None = None  # password, token or guessable response; None when none passed
    secret_at: int | None = None  # client stream offset of the line that carried the secret
    exposure: str = "none"  # password, token, guessable, ticket, none
    result: str = "unknown"  # success, failed, unknown
    reason: str | None = None  # why, when the answer says more: refused, cancelled, locked, wrong-credentials, temporary, malformed
    reply_code: str | None = None  # "235", "OK", "NO [AUTHENTICATIONFAILED]", "-ERR [IN-USE]"
    well_formed: bool = True  # False: the mechanism's grammar did not hold (confidence drops)
    details: dict[str, Any] = field(default_factory=dict)  # mechanism's own non-secret facts, see protocols/sasl.py


@dataclass(slots=True, kw_only=True)
class RpcSecurity:
    """One DCE/RPC security context: what was negotiated under one auth_context_id ([MS-RPCE] §2.2.2.11)."""

    at: int  # client stream offset of the PDU whose sec_trailer began it; server's when only that was seen
    side: int = CLIENT  # whose offset `at` is
    auth_context_id: int
    auth_type: int  # as sent: 9 SPNEGO, 10 NTLM, 16 Kerberos, 14 Schannel, 68 Netlogon, …
    levels_announced: tuple[int, ...] = ()  # distinct auth_level of bind, alter_context and auth3, in order
    mechanism: str | None = None  # what is really used: NTLM, KERBEROS, NETLOGON, SCHANNEL; None while SPNEGO has not shown it
    mechanisms_offered: tuple[str, ...] = ()  # SPNEGO mechTypes in order, by name or OID
    established: bool | None = None  # the server went on with it; False: refused; None: not seen
    login: Login | None = None  # the account behind it; its `details` hold NTLM's and Kerberos' facts
    sealed_tokens: bool | None = None  # Kerberos per-message tokens say sealed (True) or only signed (False)
    token_algorithm: str | None = None  # from per-message tokens: RC4, AES, DES


@dataclass(slots=True, kw_only=True)
class RpcContext:
    """A DCE/RPC presentation context as used: a row of table `rpc`."""

    at: int  # client stream offset of the bind or alter_context that defines it, else of its first request; of a server PDU when only those were seen
    side: int = CLIENT  # whose offset `at` is
    context_id: int
    interface_uuid: str | None = None  # lower case; None: the capture starts late and nothing else tells
    interface: str | None = None  # name, "EMSMDB"
    interface_version: str | None = None  # "0.81"
    interface_source: str | None = None  # bind, epm, port (seen elsewhere in the capture), calls (shape of the calls)
    transfer_syntax: str | None = None  # ndr, ndr64, or the UUID
    transport: str = "tcp"  # tcp, http, smb
    accepted: bool | None = None  # None: no answer seen
    reject_reason: int | None = None
    securities: list[RpcSecurity] = field(default_factory=list)  # contexts that were in force on its requests, else announced with it
    auth_type: str | None = None  # name of the weakest request's security: NTLM, KERBEROS, SPNEGO, NETLOGON, SCHANNEL; None: none
    auth_level: int | None = None  # lowest in force on a request, 1-6; None: no request seen
    levels: dict[int, int] = field(default_factory=dict)  # level in force -> requests
    levels_announced: tuple[int, ...] = ()
    requests: int = 0
    responses: int = 0
    opnums: dict[int, int] = field(default_factory=dict)  # opnum -> requests
    call_names: tuple[str, ...] = ()  # names of the opnums, Exchange's interfaces and endpoint mapper
    first_request_at: int | None = None
    weakest_request_at: int | None = None  # client offset of the first request at `auth_level`
    stub_bytes: int = 0  # of requests and responses
    clear_stub_bytes: int = 0  # of those at a level below 6
    obfuscation: str | None = None  # of RPC_HEADER_EXT or EcDoRpc payloads read in clear: none, xor, compressed, both; None: none read
    mapi: "MapiFacts | None" = None
    faults: dict[int, int] = field(default_factory=dict)  # fault status -> count
    first_fault_at: int | None = None  # server offset


@dataclass(slots=True, kw_only=True)
class MapiFacts:
    """What Exchange calls show in clear; names and counts, never content."""

    user_dn: str | None = None  # szUserDN of EcDoConnectEx or EcDoConnect
    user_dn_at: int | None = None
    mailbox_dn: str | None = None  # Essdn of the first RopLogon: whose mailbox was opened
    client_version: str | None = None  # "12.0.4518.1014" of rgwClientVersion
    server_version: str | None = None
    rop_names: dict[str, int] = field(default_factory=dict)  # MS-OXCROPS name -> count
    n_header_ext: int = 0  # RPC_HEADER_EXT seen
    flags: int = 0  # their flags, or-ed
    n_decoded: int = 0  # payloads whose obfuscation was undone and that made sense
    decoded_bytes: int = 0
    not_encrypted_refused: int = 0  # responses with ecNotEncrypted
    not_encrypted_at: int | None = None  # server offset
    strings: dict[str, int] = field(default_factory=dict)  # kind of readable string -> count: legacy-dn, utf16, smtp-address
    bind_codepage: int | None = None  # NSPI


@dataclass(slots=True, kw_only=True)
class RpcEndpoint:
    """An endpoint mapper's answer: this interface is reached there."""

    at: int  # server offset
    interface_uuid: str
    interface: str | None
    interface_version: str
    protocol: str  # ncacn_ip_tcp, ncacn_http, ncacn_np, ncadg_ip_udp
    port: int | None = None
    address: str | None = None
    pipe: str | None = None


@dataclass(slots=True, kw_only=True)
class RpcFacts:
    """One DCE/RPC association's connection."""

    contexts: list[RpcContext] = field(default_factory=list)
    securities: list[RpcSecurity] = field(default_factory=list)
    endpoints: list[RpcEndpoint] = field(default_factory=list)
    association_group: int | None = None
    header_signing: bool | None = None  # PFC_SUPPORT_HEADER_SIGN in bind and bind_ack; None: not both seen
    bind_at: int | None = None
    big_endian: bool = False
    ncacn_http: bool = False  # greeted with ncacn_http/1.0 (RPC over HTTP v1)
    n_pdus: int = 0
    pdu_types: dict[int, int] = field(default_factory=dict)
    naks: list[tuple[int, int]] = field(default_factory=list)  # (reject reason, server offset), at most 20
    pipe: str | None = None  # SMB named pipe that carries it


@dataclass(slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request that matters to mail: a row of table `http`."""

    at: int  # client offset of the request line
    method: str
    host: str | None = None  # Host header or absolute target, lower case, without the port
    path: str | None = None  # without query, at most 200 characters
    version: str | None = None  # "1.1"
    status: int | None = None  # final status; 1xx are skipped
    status_at: int | None = None  # server offset
    auth_scheme: str | None = None  # what the client sent: BASIC, DIGEST, NTLM, NEGOTIATE, BEARER, FORM, or the unknown word
    auth_offered: tuple[str, ...] = ()  # schemes of WWW-Authenticate or Proxy-Authenticate, upper case
    proxy: bool = False  # Proxy-Authorization or Proxy-Authenticate
    principal: str | None = None
    service: str = "other"  # owa, ews, activesync, autodiscover, mapi-http, rpc-proxy, ecp, oab, webmail, caldav, other
    service_sure: bool = True  # False: told by a directory name that anybody may use
    user_agent: str | None = None
    location: str | None = None  # scheme://host of a redirect's target
    content_type: str | None = None  # of the request
    response_type: str | None = None
    request_bytes: int = 0  # body
    response_bytes: int = 0
    request_type: str | None = None  # X-RequestType of MAPI over HTTP, Cmd of ActiveSync
    device_id: str | None = None
    cookies: tuple[str, ...] = ()  # names sent
    set_cookies: tuple[str, ...] = ()  # names set
    session_cookie: bool = False  # a cookie that carries a login (cadata, sessionid, X-BackEndCookie …) was sent
    email_seen: bool = False  # the body holds a mail address (autodiscover)
    rpc_target: str | None = None  # "host:port" of rpcproxy.dll?host:port or RPC_CONNECT
    login: Login | None = None


@dataclass(slots=True, kw_only=True)
class HttpFacts:
    """One HTTP/1 connection."""

    requests: list[HttpRequest] = field(default_factory=list)  # those that matter, at most 10,000
    n_requests: int = 0  # all
    n_responses: int = 0
    http2: bool = False  # h2c preface
    upgraded: str | None = None
    mapi: "MapiFacts | None" = None  # what bodies of MAPI over HTTP show
    obfuscation: str | None = None  # of their payloads: none, xor, compressed, both; None: none read


@dataclass(slots=True, kw_only=True)
class RpcChannel:
    """Half of an RPC over HTTP v2 virtual connection ([MS-RPCH] §2.2): the PDUs of one RPC_IN_DATA or RPC_OUT_DATA body."""

    side: int  # CLIENT for an IN channel, SERVER for an OUT channel
    virtual_connection: bytes | None = None  # RTS cookie
    association_group: bytes | None = None
    pieces: list[tuple[int, bytes]] = field(default_factory=list)  # (offset in this conversation's stream of `side`, PDU bytes), RTS PDUs left out
    n_bytes: int = 0
    complete: bool = True  # False: bytes are missing or a limit was reached
    target: str | None = None  # "host:port"
    share: Any = field(default=None, compare=False, repr=False)  # accounts for the pieces; its `release` is called when they were read


@dataclass(slots=True, kw_only=True)
class SmbFacts:
    """What SMB says of the pipes that carry RPC."""

    dialect: str | None = None  # "3.1.1"
    signing_required: bool | None = None
    signed: bool | None = None  # pipe traffic was signed
    encrypted: bool = False  # SMB3 TRANSFORM seen
    pipes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Certificate:
    """An X.509 certificate as sent (RFC 5280 §4.1). The same certificate is one object in a whole run: never changed once read."""

    sha256: str  # of its DER bytes, hex
    der: bytes = field(default=b"", repr=False)
    malformed: str | None = None  # the part where reading stopped; what stands before it was read
    version: int | None = None  # 1, 2, 3
    serial: str | None = None  # hex, without leading zeros
    subject: str | None = None  # RFC 4514: "CN=mail.example,O=Example"
    issuer: str | None = None
    common_name: str | None = None  # the most specific one of the subject
    sans: tuple[str, ...] = ()  # subject alternative names: DNS names as sent, addresses, mail addresses, URIs; at most 1,000
    dns_names: tuple[str, ...] = ()  # those that are DNS names, lower case
    ip_addresses: tuple[str, ...] = ()
    not_before_ns: int | None = None  # ns since 1970 UTC; may lie outside of what 64 bits hold
    not_after_ns: int | None = None
    key_type: str | None = None  # RSA, EC, DSA, Ed25519 …, or the algorithm's OID
    key_bits: int | None = None
    curve: str | None = None  # secp256r1; "explicit" when its parameters are spelled out
    exponent: int | None = None  # of an RSA key
    spki_sha256: str | None = None  # of the SubjectPublicKeyInfo: equal keys look equal whatever certifies them
    signature_algorithm: str | None = None  # sha256WithRSAEncryption …, or its OID
    self_issued: bool = False  # subject and issuer are the same
    self_signed: bool = False  # self-issued, and its key identifiers do not say otherwise
    is_ca: bool | None = None  # basicConstraints; None: no such extension
    extended_key_usage: tuple[str, ...] | None = None  # serverAuth, clientAuth, any … or OIDs; None: no such extension
    subject_key_id: str | None = None  # hex
    authority_key_id: str | None = None

    def covers(self, host: str) -> str | None:
        """How the certificate names a host: "san", "cn" (only a certificate without DNS names may; RFC 7817 §3 allows it, RFC 9525 §2 does not), None: not at all.

        A wildcard stands for exactly the left-most label (RFC 9525 §6.3).
        """
        host = host.rstrip(".").lower()
        if host in self.dns_names or host in self.ip_addresses:
            return "san"
        wildcard = "*" + host[host.find("."):] if "." in host else None
        if wildcard in self.dns_names:
            return "san"
        if not self.dns_names and not self.ip_addresses and self.common_name is not None and self.common_name.lower() in (host, wildcard):
            return "cn"
        return None


@dataclass(slots=True, kw_only=True)
class TlsOffer:
    """What a ClientHello offers, without what differs from one connection of a client to its next. Shared by equal hellos: never changed. GREASE is left out of every list."""

    legacy_version: str  # the hello's own version field
    versions: tuple[str, ...] = ()  # supported_versions, else the version field
    suites: tuple[str, ...] = ()  # IANA names, or 0x1234; SSL_CK_… in a hello of SSL 2.0
    groups: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()  # signature_algorithms
    alpn: tuple[str, ...] = ()
    compressions: tuple[str, ...] = ()
    extensions: tuple[int, ...] = ()
    ja3: str | None = None  # MD5, hex
    ja4: str | None = None
    grease: bool = False
    secure_renegotiation: bool = False  # renegotiation_info or its SCSV
    fallback_scsv: bool = False
    extended_master_secret: bool = False
    encrypt_then_mac: bool = False
    heartbeat: bool = False
    early_data: bool = False
    encrypted_client_hello: bool = False  # a real one and a GREASE one look the same


@dataclass(slots=True, kw_only=True)
class TlsHandshake:
    """What TLS says in clear."""

    version: str | None = None  # negotiated: SSLv2 … TLSv1.3, TLSv1.3-draft28, 0x1234
    offered_versions: tuple[str, ...] = ()
    cipher_suite: str | None = None  # IANA name, or 0x1234
    sni: str | None = None
    alpn: str | None = None  # chosen by the server where seen, else first offered
    client_hello_at: int | None = None  # client stream offset
    server_hello_at: int | None = None  # server stream offset
    established: bool | None = None  # application data or CCS+Finished on both sides; False after a fatal alert; None unknown
    alert: str | None = None  # "client:48 unknown_ca" in clear; a fatal one goes before a warning
    complete: bool = False  # nothing more to learn: the flow may be counted only
    offer: TlsOffer | None = None  # None: no ClientHello read
    alpn_chosen: bool = False  # `alpn` is the server's choice; TLS 1.3 hides it
    cipher_recommended: str | None = None  # IANA's column: Y, N, D (discouraged); None: not in the registry
    group: str | None = None  # of the key exchange: x25519, ffdhe2048, modp1024, dh (no known group); None: none, or not seen
    group_recommended: str | None = None
    dh_bits: int | None = None  # prime of ServerKeyExchange
    temporary_rsa_bits: int | None = None  # export-grade RSA key of ServerKeyExchange
    signature: str | None = None  # scheme of ServerKeyExchange, TLS 1.2 only
    key_exchange_at: int | None = None  # server offset of ServerKeyExchange
    client_key_bytes: int | None = None  # length of ClientKeyExchange
    forward_secret: bool | None = None  # by suite, or by key_share in TLS 1.3; None: suite not known
    compression: str | None = None  # chosen: null, DEFLATE, LZS
    extended_master_secret: bool | None = None  # agreed; None: no ServerHello of TLS 1.2 or less
    encrypt_then_mac: bool | None = None
    secure_renegotiation: bool | None = None  # the server's renegotiation_info
    heartbeat: bool | None = None  # agreed; None: no ServerHello that could say it
    heartbeat_overread: tuple[int, int] | None = None  # (length claimed, length of the record) of a clear request that asks for more than it sent
    heartbeat_side: int | None = None  # who sent it
    heartbeat_at: int | None = None
    heartbeat_answer: int = 0  # longest clear heartbeat record that went back
    downgrade_sentinel: str | None = None  # TLSv1.2, TLSv1.1: the ServerHello says that its server could do more than that
    hello_retry: bool = False
    early_data: bool = False  # the client sent data behind its hello, before the server spoke
    resumed: bool | None = None
    resumption: str | None = None  # how: id, ticket, psk
    ticket_issued: bool = False  # NewSessionTicket in clear
    ocsp_stapled: bool = False  # CertificateStatus in clear
    certificates: tuple[Certificate, ...] = ()  # the server's as sent, at most 16
    chain_length: int | None = None  # certificates sent; None: no Certificate message read
    certificate_at: int | None = None  # server offset of the Certificate message
    dns_name: str | None = None  # name that DNS in the capture gave to the server's address; only looked up where there is no `sni`
    name_matches: bool | None = None  # the first certificate names `sni`; None: one of both was not seen
    name_matched_by: str | None = None  # san, cn
    trusted: bool | None = None  # the chain leads to a given root; None: none were given
    trust_error: str | None = None  # why it does not
    certificate_requested: bool = False  # from the client, in clear
    client_certificates: tuple[Certificate, ...] = ()
    client_certificate_sent: bool | None = None  # False: asked for and answered with none
    alerts: tuple[str, ...] = ()  # all in clear, in order: "client:fatal:48 unknown_ca"; at most 16
    alert_side: int | None = None  # who sent `alert`
    alert_at: int | None = None
    alert_fatal: bool | None = None
    hidden_alert: int | None = None  # side whose first encrypted record of TLS 1.3 has the length of an alert
    client_random: bytes | None = None  # of the first ClientHello: what a key log names the connection by


@dataclass(slots=True, kw_only=True)
class IkeProposal:
    """Algorithms of an IKE association, or one alternative of an offer."""

    encryption: str | None = None  # AES-CBC, AES-GCM-16, 3DES; a number where it is unknown
    key_bits: int | None = None  # as said; None: the algorithm has one size
    integrity: str | None = None  # HMAC-SHA2-256-128; IKEv1 has one hash for both
    prf: str | None = None
    group: int | None = None  # Diffie-Hellman group or other key exchange method
    more_groups: tuple[int, ...] = ()  # key exchanges beside it (RFC 9370)
    auth_method: str | None = None  # IKEv1: PSK, RSA-signature, XAUTH-PSK

    def words(self) -> tuple[str, ...]:
        """The algorithms without the groups, as text."""
        encryption = f"{self.encryption}-{self.key_bits}" if self.encryption is not None and self.key_bits else self.encryption
        return tuple(dict.fromkeys(word for word in (encryption, self.integrity, self.prf) if word is not None))


@dataclass(slots=True, kw_only=True)
class IkeFacts:
    """What two ends of IKE said in clear."""

    version: str | None = None  # IKEv1, IKEv2
    exchanges: tuple[str, ...] = ()  # kinds of exchanges in the order of their first message
    mode: str | None = None  # IKEv1: main, aggressive
    offered: tuple[str, ...] = ()  # algorithms and groups that the initiator proposed
    auth_offered: tuple[str, ...] = ()  # IKEv1: how it would authenticate
    chosen: IkeProposal | None = None  # what the responder took; None: its answer was not seen
    error: str | None = None  # the responder's refusal: NO_PROPOSAL_CHOSEN
    hash_seen: bool = False  # aggressive mode: the responder's hash passed in clear; with a shared secret it can be guessed from
    identities: tuple[str | None, str | None] = (None, None)  # aggressive mode: who the initiator and the responder say they are
    went_on: bool = False  # exchanges followed that need a finished one


@dataclass(slots=True, kw_only=True)
class EspAssociation:
    """One direction of ESP or WESP, or of AH, by its SPI (RFC 4303 §2.1)."""

    spi: int
    source: str
    destination: str
    kind: str  # esp, wesp, ah
    ports: tuple[int, int] | None = None  # of UDP that carries it; None: none does
    packets: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    frame: int = 0  # first, counted over the whole capture
    orderly: int = 0  # how often the sequence number went up by a little
    clear: bool = False  # it does not encrypt: what it carries was read
    sealed: bool = False  # packets were tried, and none can be read without decryption
    icv_bytes: int | None = None  # where it is clear
    iv_bytes: int | None = None  # 8: GMAC (RFC 4543)
    tested: int = 0  # packets that were whole without decryption
    tunnel: bool | None = None  # where it is clear: whole IP packets are inside


@dataclass(slots=True, kw_only=True)
class EspFacts:
    """The associations between two hosts."""

    associations: list[EspAssociation] = field(default_factory=list)
    n_more: int = 0  # associations that no longer fitted


class DnsAnswer(NamedTuple):
    """What DNS says of how a domain's mail is sent or read: a row of table `dns_policy`, once it is known where it was seen."""

    kind: str  # mx, mta-sts, tlsrpt, tlsa, srv, autodiscover, address (of a mail exchanger)
    domain: str  # whose mail it is about; of tlsa and address the host. Lower case, without the dot at its end
    name: str  # that was asked for
    values: tuple[str, ...]  # as in a zone file, in order of the alphabet
    records: tuple[tuple, ...]  # the same taken apart: mx (preference, host); tlsa (port, usage, selector, matching type, hex of what must match); srv (service, priority, weight, port, target, "" for none)
    valid: bool | None  # mta-sts, tlsrpt: there is one record, and it is well formed; None: nothing can be wrong with it
    authenticated: bool  # the resolver says that DNSSEC proves it (AD)
    signed: bool  # its signatures came along (RRSIG)


class Sighting(NamedTuple):
    """Where an answer was first seen; the smallest is the first, and the same in every run."""

    ts_ns: int
    capture: str
    frame: int
    asked_by: str  # address
    answered_by: str
