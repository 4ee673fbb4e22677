"""The typed values that cross rooms.

Parsers fill `Facts`, the pipeline wraps them into a `Session`, rules turn a session into `Finding`s, tables turn all of them into rows.
These records are mutable and slotted, not frozen: a parser fills them while bytes pass, and a frozen dataclass costs four times as much to build.
Unknown is None, never False or 0. Offsets (`*_at`) are positions in the reassembled stream of one side; the pipeline turns them into frames with `Session.locate`.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

from .secret import Secret

CLIENT, SERVER = 0, 1
INNER = 1 << 46  # added to offsets in the plaintext of TLS, which are positions in another stream
SIDE_NAMES = ("client", "server")
SEVERITIES = ("info", "low", "medium", "high", "critical")
CONFIDENCES = ("low", "medium", "high")


@dataclass(slots=True, kw_only=True)
class Anomaly:
    """A protocol violation or a loss that a parser or the reassembly saw."""

    code: str  # stable, kebab-case: "line-too-long", "overlap-conflict"
    side: int  # CLIENT or SERVER
    at: int  # stream offset
    detail: str = ""  # what was seen, by length and class; never raw wire bytes of a secret


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
class Hop:
    """One Received field: a step on a message's way, as the server that took it wrote it down. Nothing proves what servers before one's own wrote."""

    hop: int  # 1 is the first step, the lowest field
    from_host: str | None = None  # who handed it over, lower case: what it called itself, else its address
    from_ip: str | None = None  # its address where the field has one
    by_host: str | None = None  # who took it, lower case
    with_protocol: str | None = None  # keyword of RFC 3848 in upper case, else what the field says: "Microsoft SMTP Server", "mapi"
    tls_version: str | None = None  # TLSv1.2; None: not told
    tls_cipher: str | None = None  # as written
    protected: bool | None = None  # it names TLS; None: it does not say, or it is no step over a network
    local: bool = False  # within one host, or within a mail system
    time_ns: int | None = None  # date of the field, UTC


@dataclass(slots=True, kw_only=True)
class Sealing:
    """The cryptography of a message itself, S/MIME (RFC 8551) or OpenPGP (RFC 9580), as far as it shows from outside."""

    system: str  # smime, pgp
    form: str  # enveloped-data, authEnveloped-data, signed-data, compressed-data, certs-only, encrypted-data, multipart-signed, multipart-encrypted, inline, pkcs7-mime
    encrypted: bool | None = False  # None: the bytes that tell were not seen
    signed: bool = False
    partial: bool = False  # only a part of the message, beside parts that are readable
    smime_type: str | None = None  # parameter of Content-Type, lower case
    content_oid: str | None = None  # of the CMS structure
    encryption: str | None = None  # AES-256-CBC, 3DES-CBC, RC2-CBC; OpenPGP hides it but for the newer packets
    encryption_oid: str | None = None
    key_bits: int | None = None  # of the content encryption
    authenticated: bool | None = None  # altered ciphertext is noticed: AEAD, or OpenPGP's MDC; None: not seen
    packet: str | None = None  # OpenPGP: SED (no integrity), SEIPDv1, SEIPDv2, OCB
    key_transports: tuple[str, ...] = ()  # RSA, RSA-OAEP, ECDH, KEK, password
    recipient_key_bits: int | None = None  # smallest RSA key of a recipient
    n_recipients: int | None = None  # None: not all seen
    key_ids: tuple[str, ...] = ()  # OpenPGP keys it is encrypted to, at most 50; all zeros hide one
    digests: tuple[str, ...] = ()  # SHA-256, SHA-1, MD5: of the signature
    signatures: tuple[str, ...] = ()  # RSA, RSA-PSS, ECDSA, Ed25519
    micalg: str | None = None  # parameter of multipart/signed, lower case
    header_protection: str | None = None  # parameter hp or protected-headers of the signed part: cipher, clear, v1
    cut: bool = False  # not all of it was kept or captured
    malformed: bool = False  # it says that it is CMS or OpenPGP, and is not


@dataclass(slots=True, kw_only=True)
class Message:
    """One mail message or article, or the SMTP transaction around it, seen in clear."""

    protocol: str
    direction: str  # submitted, relayed, delivered, fetched
    side: int  # which side sent the content
    at: int  # stream offset of the first header byte
    mail_from: str | None = None  # as sent, without angle brackets; "" is the null sender
    rcpt_to: list[str] = field(default_factory=list)  # as sent, accepted or not
    rcpt_accepted: list[str] = field(default_factory=list)
    mail_from_reply: int | None = None
    reply_code: str | None = None  # final answer to the content, None when not seen
    accepted: bool | None = None  # the server took the content: 2xx to DATA/BDAT/POST, or the fetched bytes arrived
    message_id: str | None = None
    size_bytes: int = 0  # content bytes seen (after dot-unstuffing)
    complete: bool = False  # the end of the content was seen
    protection: str = "none"  # none, smime-encrypted, smime-signed, pgp-mime-encrypted, pgp-mime-signed, pgp-inline, tnef
    content_type: str | None = None  # top media type, lower case
    from_domain: str | None = None  # of the From: header, lower case
    to_domains: tuple[str, ...] = ()  # of To: and Cc:, lower case
    subject_length: int | None = None  # characters; the text itself is never kept
    mailer: str | None = None  # X-Mailer or User-Agent
    n_hops: int = 0  # Received headers
    n_clear_hops: int | None = None  # those that name a protocol without TLS; None when hops do not say
    hops: list[Hop] = field(default_factory=list)  # the newest first, as they stand; at most 50
    lacks: str | None = None  # what was not seen of it: "headers" (not all of them), "no-headers" (none were sent), "body"; a body may still be cut
    sealing: Sealing | None = None  # None: no sign of S/MIME or OpenPGP
    tnef: bool = False  # Outlook's own format, winmail.dat
    part_types: tuple[str, ...] = ()  # media types of the parts of multipart/mixed, signed, encrypted, as far as they were kept
    subject_hidden: bool = False  # the Subject is empty or a placeholder, only told of encrypted messages
    bulk: bool = False  # List-Id, or Precedence bulk, list or junk
    labels: tuple[str, ...] = ()  # confidentiality that headers claim: "sensitivity: private", names of Microsoft labels
    tls_required_no: bool = False  # header "TLS-Required: No" (RFC 8689 §5)
    requiretls: bool = False  # MAIL FROM carried REQUIRETLS
    has_content: bool = True  # False: a transaction (MAIL, RCPT) whose content was never sent


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
class Handover:
    """A parser passes the flow on, with the bytes that it held back."""

    to: str  # "tls", or the protocol inside a tunnel: "detect"
    rest: tuple[bytes, bytes]  # client's and server's bytes not consumed
    at: tuple[int, int]  # their stream offsets


@dataclass(slots=True, kw_only=True)
class Facts:
    """What the parsers of one conversation learnt; facts never judge.

    Only bytes outside TLS count. `*_at` of client commands are client offsets, of replies server offsets.
    """

    protocol: str = "unknown"
    greeting: str | None = None  # server's first words, at most 200 characters, without line ends
    greeting_code: str | None = None  # "220", "OK", "PREAUTH", "+OK"
    greeting_at: int | None = None
    client_name: str | None = None  # argument of EHLO, HELO or LHLO
    hello_verb: str | None = None  # EHLO, HELO, LHLO: the last one accepted, or sent when answers are not seen
    ehlo_reject_code: str | None = None  # reply code when EHLO was refused
    capabilities: tuple[str, ...] | None = None  # as sent before TLS, in order, one line or atom each; None: no list seen
    capabilities_complete: bool = False  # last line of the list seen
    capabilities_at: int | None = None
    masked_tokens: tuple[str, ...] = ()  # capability words that are runs of one letter or close to the STARTTLS word
    starttls_offered: bool | None = None  # None: no complete list seen
    starttls_offered_at: int | None = None
    starttls_requested: bool | None = None  # None: client bytes that could hold it were not seen
    starttls_requested_at: int | None = None
    starttls_verb: str | None = None  # STARTTLS, STLS, X-ANONYMOUSTLS
    starttls_accepted: bool | None = None
    starttls_reply_code: str | None = None
    starttls_reply_text: str | None = None
    starttls_answered_at: int | None = None
    n_starttls_requests: int = 0
    tls_started: bool = False  # the client's next bytes were TLS
    cleartext_after_accept: str | None = None  # first clear command word after an accepted STARTTLS
    cleartext_after_accept_at: int | None = None
    injected_client_bytes: int = 0  # clear bytes between the STARTTLS line and the first TLS record
    injected_server_bytes: int = 0  # clear bytes between the accepting reply and the first TLS record
    auth_mechanisms: tuple[str, ...] = ()  # advertised in clear, upper case; USER for POP3's USER capability, LOGIN-COMMAND is never listed
    auth_mechanisms_at: int | None = None
    login_disabled: bool | None = None  # IMAP LOGINDISABLED in the last clear capability list; None: no list seen
    login_disabled_at: int | None = None
    preauth: bool = False  # IMAP PREAUTH greeting
    first_clear_command: str | None = None  # first verb beyond greeting, capability discovery, STARTTLS, NOOP, RSET, HELP, QUIT
    first_clear_command_at: int | None = None
    accepted_clear_command: str | None = None  # first such verb that the server answered positively
    accepted_clear_code: str | None = None
    encryption_required_code: str | None = None  # the server answered "TLS first": 530, 538, 483, PRIVACYREQUIRED, ENCRYPT-NEEDED
    n_mailbox_commands: int = 0  # commands that read or change a mailbox or group
    n_commands: int = 0  # client commands seen in clear
    n_replies: int = 0  # server replies seen in clear
    compressed: bool = False  # COMPRESS DEFLATE active outside TLS
    compressed_at: int | None = None
    requiretls: tuple[str, ...] = ()  # where seen in clear: "ehlo", "mail"
    requiretls_at: int | None = None
    identity: dict[str, str] = field(default_factory=dict)  # what else named the client in clear: {"imap-id": …, "xclient": …, "proxy": …}
    sasl_wrapped: bool = False  # a SASL security layer covers what follows
    tunnel: str | None = None  # "http-connect", "socks4", "socks5", "proxy-protocol": what the mail was carried in
    tunnel_target: str | None = None  # "host:port" the tunnel was asked for
    lf_only: bool = False  # bare LF line ends seen
    logins: list[Login] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    rpc: list[RpcFacts] | None = None  # DCE/RPC associations: one over TCP or HTTP, one per pipe over SMB
    http: HttpFacts | None = None
    smb: SmbFacts | None = None
    channels: list[RpcChannel] | None = None  # RPC over HTTP, to be joined with the other channel's


@dataclass(slots=True, kw_only=True)
class Session:
    """One rebuilt conversation as rules and tables see it."""

    session_id: str
    capture: str  # name of the input that holds its first frame
    start_ns: int
    end_ns: int
    frame: int  # first frame, 1-based in `capture`
    last_frame: int
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    role_source: str  # syn, synack, port, content
    facts: Facts
    tls: TlsHandshake | None = None
    decrypted: bool = False  # bytes inside TLS were read with somebody's keys
    inner: Facts | None = None  # what they say: protected, so never judged as if it had passed in clear; offsets count from INNER on. None: not decrypted, or nothing known spoken inside
    protocol: str = "unknown"  # facts.protocol, or "tls" for implicit TLS
    service: str | None = None
    service_source: str | None = None  # content, port, sni, dns, alpn, certificate, epm, tunnel
    service_confidence: str | None = None  # high: the bytes say it, or the name of a large provider's host; medium: a port, or a name that people chose
    provider: str | None = None  # the large mail provider whose host it is, by the name asked for or in the certificate; None: nobody's that is known
    tls_mode: str = "none"  # none, starttls, implicit
    completeness: str = "full"  # full, one_sided, midstream, gapped, truncated, evicted
    unseen_client: str | None = None  # why not all clear client bytes were seen: one_sided, midstream, gap, snaplen, evicted, unparsed; None: all seen
    unseen_server: str | None = None  # the same for the server's bytes
    start_seen: bool = True  # SYN or SYN/ACK seen
    packets_client: int = 0
    packets_server: int = 0
    bytes_client: int = 0  # payload bytes captured, duplicates and retransmissions left out
    bytes_server: int = 0
    gap_bytes_client: int = 0
    gap_bytes_server: int = 0
    n_gaps: int = 0
    n_truncated_frames: int = 0
    truncated_bytes: int = 0
    n_duplicate_frames: int = 0
    n_overlap_conflicts: int = 0
    n_checked_client: int = 0  # frames whose TCP checksum was computed
    n_checked_server: int = 0
    n_bad_checksum_client: int = 0
    n_bad_checksum_server: int = 0
    max_ip_length: int = 0  # largest IP total length of the flow's frames, bytes
    acked_unseen_client: int = 0  # client bytes the server acknowledged but the capture lacks altogether
    acked_unseen_server: int = 0
    finished: bool = False  # FIN or RST seen
    unparsed: str | None = None  # why no parser took it, or which fault of ours stopped it
    encapsulation: str = ""  # outer layers, "vlan.10/vxlan.5000"
    verdict: str = "unknown"  # protected, exposed, weak, unknown: set by the judge
    worst_severity: str | None = None
    findings: list["Finding"] = field(default_factory=list)
    not_observable: list[tuple[str, str]] = field(default_factory=list)  # (rule_id, reason)
    assessments: list[tuple[str, str, str]] | None = None  # (rule_id, verdict, reason) of every rule, only when asked for
    locate: Callable[[int, int], tuple[str, int, int]] | None = None  # (side, stream offset) -> (capture, frame, ts_ns)


class RegularSession(Session):
    """A conversation that says what another one said, between other endpoints, at another time. What is not set here is the other's.

    Only for TLS that went the usual way (kernels/handshakes.py): such conversations are many, and equal in nearly everything.

    Args:
        like: the other one; never changed once it was judged.
        hello_frame, hello_ns: where the ClientHello stands, frame within `capture`.
        alike: what the judge said of all that are like it.
        places: (side, stream offset) -> (capture, frame, ts_ns), which is only made a `locate` of when somebody asks: called with `marks`, side and offset.
    """

    __slots__ = ("like", "hello_frame", "hello_ns", "places", "marks", "alike")
    VARYING = frozenset((
        "session_id", "capture", "start_ns", "end_ns", "frame", "last_frame", "client_ip", "client_port", "server_ip", "packets_client", "packets_server", "bytes_client",
        "bytes_server", "n_checked_client", "n_checked_server", "max_ip_length", "locate"))  # what is not the other's

    def __init__(self, like: Session, session_id: str, capture: str, start_ns: int, end_ns: int, frame: int, last_frame: int, client_ip: str, client_port: int, server_ip: str,
                 packets_client: int, packets_server: int, bytes_client: int, bytes_server: int, n_checked_client: int, n_checked_server: int, max_ip_length: int,
                 hello_frame: int, hello_ns: int, places: Callable, marks: tuple, alike: Any):
        self.like, self.session_id, self.capture, self.start_ns, self.end_ns, self.frame, self.last_frame = like, session_id, capture, start_ns, end_ns, frame, last_frame
        self.client_ip, self.client_port, self.server_ip, self.server_port = client_ip, client_port, server_ip, like.server_port
        self.packets_client, self.packets_server, self.bytes_client, self.bytes_server = packets_client, packets_server, bytes_client, bytes_server
        self.n_checked_client, self.n_checked_server, self.max_ip_length = n_checked_client, n_checked_server, max_ip_length
        self.hello_frame, self.hello_ns, self.places, self.marks, self.alike = hello_frame, hello_ns, places, marks, alike
        self.facts, self.tls, self.tls_mode, self.protocol, self.service = like.facts, like.tls, like.tls_mode, like.protocol, like.service  # asked for most

    def __getattr__(self, name: str) -> Any:  # a slot that was not set
        if name == "locate":
            return self._place
        return getattr(self.like, name)

    def _place(self, side: int, at: int) -> tuple[str, int, int]:
        return self.places(*self.marks, side, at)


@dataclass(slots=True, kw_only=True)
class Finding:
    """A judgement by a rule."""

    rule: Any  # rules.Rule
    severity: str
    confidence: str
    title: str
    variant: str = ""
    severity_reason: str = ""  # modifiers that were applied, separated by ";"
    side: int | None = None  # where the primary evidence stands; None: at the session's first frame
    at: int | None = None
    principal: str | None = None
    mechanism: str | None = None
    auth_result: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    finding_id: str = ""
    because_of: str | None = None  # finding_id of the root of the same story
    capture: str = ""
    frame: int = 0
    ts_ns: int = 0


@dataclass(slots=True, kw_only=True)
class Capture:
    """One input as it was read."""

    name: str
    format: str = "pcap"  # pcap, pcapng, snoop, netmon
    compression: str | None = None  # gzip, zstd, lz4, bzip2
    link_types: tuple[int, ...] = ()
    snap_length: int | None = None  # smallest declared; None: none declared
    packets: int = 0
    bytes: int = 0  # captured packet bytes
    first_ns: int | None = None
    last_ns: int | None = None
    dropped: int | None = None  # by interface or kernel as the capture says; None: the format cannot say
    truncated_frames: int = 0  # captured shorter than sent
    skipped_bytes: int = 0  # damage that the walk stepped over
    undecoded_frames: int = 0  # no IP packet found in them
    duplicate_frames: int = 0
    evicted_flows: int = 0
    internal_errors: int = 0
    sessions: int = 0
    decrypted_sessions: int = 0  # of those, the ones that were read with keys
    complete: bool = True  # False: cut off or damaged
    notes: list[str] = field(default_factory=list)
    superframes: int = 0  # IP length above 1500 on Ethernet
    max_ip_length: int = 0
    time_backsteps: int = 0  # packets more than 1 h older than the newest before them
    flows_by_class: dict[str, tuple[int, int]] = field(default_factory=dict)  # class -> (flows, payload bytes)
    unknown_starts: int = 0  # flows whose SYN slot had been overwritten
