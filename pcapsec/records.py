"""The typed values that cross rooms.

Parsers fill `Facts`, the pipeline wraps them into a `Session`, rules turn a session into `Finding`s, tables turn all of them into rows.
These records are mutable and slotted, not frozen: a parser fills them while bytes pass, and a frozen dataclass costs four times as much to build.
Unknown is None, never False or 0. Offsets (`*_at`) are positions in the reassembled stream of one side; the pipeline turns them into frames with `Session.locate`.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

from .packet_records import Overlap, PacketHints, Reset, Sent, Stranger, Version  # noqa: F401 - offered here to all
from .service_records import (  # noqa: F401 - offered here to all
    CLIENT, SERVER, Login, RpcSecurity, RpcContext, MapiFacts, RpcEndpoint, RpcFacts, HttpRequest, HttpFacts, RpcChannel, SmbFacts, Certificate, TlsOffer, TlsHandshake,
    IkeProposal, IkeFacts, EspAssociation, EspFacts, DnsAnswer, Sighting)

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
class Handover:
    """A parser passes the flow on, with the bytes that it held back."""

    to: str  # "tls", or the protocol inside a tunnel: "detect"
    rest: tuple[bytes, bytes]  # client's and server's bytes not consumed
    at: tuple[int, int]  # their stream offsets


@dataclass(slots=True, kw_only=True)
class Note:
    """Something odd, by a stable code, and where it stands."""

    code: str
    at: int  # stream offset; of which side follows from the field that holds it
    detail: str = ""  # made of numbers and known words; never raw wire bytes


@dataclass(slots=True, kw_only=True)
class OddCommand:
    """A client line whose first word no table knows, and which may be STARTTLS or EHLO written over on the way."""

    word: str  # as sent: a run of one letter, or one or two letters away from the command
    like: str  # what it may have been: STARTTLS, STLS, EHLO
    at: int
    has_argument: bool = False
    offered: bool = False  # the server had offered TLS before
    reply_code: str | None = None  # None: no answer seen
    reply_text: str | None = None  # at most 200 characters


@dataclass(slots=True, kw_only=True)
class Oddities:
    """What few conversations have: that somebody on the way, or one of both sides, leaves the protocol around STARTTLS."""

    commands: list[OddCommand] = field(default_factory=list)  # at most 8
    list_notes: list[Note] = field(default_factory=list)  # of capability lists, server offsets: unfinished, lines-after-end, empty-line, padded-line, repeated-word, offer-withdrawn, offer-appeared
    greeting_stars: int | None = None  # per cent of asterisks in an SMTP greeting that has nothing but asterisks, 0 and 2
    ehlo_rejected_at: int | None = None
    ehlo_reject_text: str | None = None  # at most 200 characters
    client_clear: str | None = None  # what the clear bytes behind an accepted STARTTLS were: commands, text, proxy, blank, binary
    client_verbs: tuple[str, ...] = ()  # known commands among them, at most 8
    client_clear_at: int | None = None
    pipelined_bytes: int = 0  # clear bytes sent before the accepting answer, where TLS never came
    server_clear: str | None = None  # what the server's clear bytes behind its accepting answer were: replies, text, blank, binary
    server_clear_at: int | None = None
    misuse: tuple[str, ...] = ()  # of STARTTLS: parameters, again (after it was accepted)
    early_data: list[Note] = field(default_factory=list)  # IMAP before a login, server offsets: mailbox-data, referral, newname, alert; at most 8
    n_replies_before: int | None = None  # clear replies before the client went on in clear after an accepted STARTTLS; None: it did not
    offer_after_accept: bool | None = None  # a clear capability list behind an accepted STARTTLS has the offer; None: no such list


@dataclass(slots=True, kw_only=True)
class Facts:
    """What the parsers of one conversation learnt; facts never judge.

    Only bytes outside TLS count. `*_at` of client commands are client offsets, of replies server offsets.
    """

    protocol: str = "unknown"
    greeting: str | None = None  # server's first words, at most 500 characters, without line ends
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
    oddities: Oddities | None = None
    logins: list[Login] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    rpc: list[RpcFacts] | None = None  # DCE/RPC associations: one over TCP or HTTP, one per pipe over SMB
    http: HttpFacts | None = None
    smb: SmbFacts | None = None
    channels: list[RpcChannel] | None = None  # RPC over HTTP, to be joined with the other channel's
    ike: IkeFacts | None = None
    esp: EspFacts | None = None


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
    reset_by: int | None = None  # side that sent a RST, the server if both did; None: none seen
    closed_by: int | None = None  # side whose FIN or RST came first; only told where `goodbye` is
    goodbye: bool | None = None  # TLS of mail: who closed it had sent an alert record before; None: not closed, or nobody looked
    ttl_client: int | None = None  # TTL or hop limit of most of the client's packets with data, of its SYN where there are none; as captured, so it says how far away that was
    ttl_server: int | None = None
    n_hints: int = 0  # things that are odd about how its packets were sent; 0: `packet_hints` has nothing to say beyond TTLs
    packets: PacketHints | Callable[[], PacketHints] | None = None  # what `packet_hints` is made of
    unparsed: str | None = None  # why no parser took it, or which fault of ours stopped it
    encapsulation: str = ""  # outer layers, "vlan.10/vxlan.5000"
    verdict: str = "unknown"  # protected, exposed, weak, unknown: set by the judge
    worst_severity: str | None = None
    findings: list["Finding"] = field(default_factory=list)
    not_observable: list[tuple[str, str]] = field(default_factory=list)  # (rule_id, reason)
    assessments: list[tuple[str, str, str]] | None = None  # (rule_id, verdict, reason) of every rule, only when asked for
    locate: Callable[[int, int], tuple[str, int, int]] | None = None  # (side, stream offset) -> (capture, frame, ts_ns)

    @property
    def packet_hints(self) -> PacketHints:
        """How its packets were sent; made when it is asked for."""
        made = self.packets
        if made.__class__ is not PacketHints:
            made = self.packets = made() if made is not None else PacketHints(ttl_client=self.ttl_client, ttl_server=self.ttl_server)
        return made

    @property
    def ttl_outliers(self) -> int:
        """Packets with another TTL than those of their side before and after them."""
        return sum([one.n for one in self.packet_hints.strangers if one.ttl_differs]) if self.n_hints else 0


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
        "bytes_server", "n_checked_client", "n_checked_server", "max_ip_length", "ttl_client", "ttl_server", "reset_by", "packets", "packet_hints", "locate"))  # what is not the other's

    def __init__(self, like: Session, session_id: str, capture: str, start_ns: int, end_ns: int, frame: int, last_frame: int, client_ip: str, client_port: int, server_ip: str,
                 packets_client: int, packets_server: int, bytes_client: int, bytes_server: int, n_checked_client: int, n_checked_server: int, max_ip_length: int,
                 ttl_client: int | None, ttl_server: int | None, reset_by: int | None, hello_frame: int, hello_ns: int, places: Callable, marks: tuple, alike: Any):
        self.like, self.session_id, self.capture, self.start_ns, self.end_ns, self.frame, self.last_frame = like, session_id, capture, start_ns, end_ns, frame, last_frame
        self.client_ip, self.client_port, self.server_ip, self.server_port = client_ip, client_port, server_ip, like.server_port
        self.packets_client, self.packets_server, self.bytes_client, self.bytes_server = packets_client, packets_server, bytes_client, bytes_server
        self.n_checked_client, self.n_checked_server, self.max_ip_length = n_checked_client, n_checked_server, max_ip_length
        self.ttl_client, self.ttl_server, self.reset_by, self.packets = ttl_client, ttl_server, reset_by, None
        self.hello_frame, self.hello_ns, self.places, self.marks, self.alike = hello_frame, hello_ns, places, marks, alike
        self.facts, self.tls, self.tls_mode, self.protocol, self.service = like.facts, like.tls, like.tls_mode, like.protocol, like.service  # asked for most

    def __getattr__(self, name: str) -> Any:  # a slot that was not set
        if name == "locate":
            return self._place
        return getattr(self.like, name)

    def _place(self, side: int, at: int) -> tuple[str, int, int]:
        return self.places(*self.marks, side, at)


class Ends(NamedTuple):
    """The conversation that a judgement on whole captures points at, as its row shows it."""

    session_id: str
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    protocol: str
    service: str | None
    frame: int  # its first
    last_frame: int
    server_name: str | None = None


def ends_of(session: Session, server_name: str | None = None) -> Ends:
    """A session as findings of capture scope carry it."""
    return Ends(session.session_id, session.client_ip, session.client_port, session.server_ip, session.server_port, session.protocol, session.service, session.frame,
                session.last_frame, server_name)


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
    ends: Ends | None = None  # capture scope: the conversation that holds the primary evidence; None: the finding's own session, or no single one
    suppressed: str | None = None  # why the policy says that nobody needs to be alarmed; None: it says nothing


def group_hash(place: str, finding: Finding) -> str:
    """What repeats of a judgement at one place have in common, 16 hex digits.

    Args:
        place: client, server and server port, one a line; the capture's name for a judgement on a capture.
    """
    text = f"{place}\n{finding.variant}\n{finding.principal}\n{finding.mechanism}"
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]


def group_id(finding: Finding, ends: Session | Ends | None) -> str:
    """Equal for repeats of the same judgement on the same pair, account and mechanism."""
    place = finding.capture if ends is None else f"{ends.client_ip}\n{ends.server_ip}\n{ends.server_port}"
    return f"{finding.rule.id}-{group_hash(place, finding)}"


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


@dataclass(slots=True, kw_only=True)
class Difference:
    """Bytes of one side of a conversation that are not the same at two places of the network. What stands in pairs is (at the first tap, at the second)."""

    side: int  # whose bytes: CLIENT or SERVER
    kind: str  # in the direction in which they travel: removed, added, changed
    meaning: str  # what it does: offer-removed, offer-masked, command-garbled, reply-injected, … (pipeline/comparison_words.py)
    what: str  # what the bytes are: greeting, capability, command, reply, login, content, header, tls, bytes
    at: tuple[int, int]  # stream offset of the first byte; where there is nothing, the offset at which it would stand
    length: tuple[int, int]
    word: str | None = None  # the protocol word that it is about: a keyword, a command, a reply code
    shown: tuple[str | None, str | None] = (None, None)  # the line in protocol words; None: nothing stands there, or it holds more than protocol words
    frames: tuple[int, int] = (0, 0)  # of that offset
    times_ns: tuple[int, int] = (0, 0)
    captures: tuple[str, str] = ("", "")


@dataclass(slots=True, kw_only=True)
class TapPair:
    """One conversation as it was captured at two places."""

    sessions: tuple[Session, Session]  # at the first tap and at the second; only who, when and what was spoken is filled in
    joined_by: str  # what told that they are one: sequence-numbers, endpoints, tls-random, content, time
    box: str  # what must stand between: none, router, nat, resegmenting, sequence-rewriting, tcp-proxy, tls-proxy, tls-one-sided
    changed: tuple[str, ...] = ()  # what else differs: addresses, ports, sequence-numbers, segments, ttl, tcp-options, tls
    near_client: int | None = None  # the tap that is nearer to the client; None: nothing tells
    differences: list[Difference] = field(default_factory=list)  # at most MAX_DIFFERENCES of pipeline/comparison_streams.py
    n_differences: int = 0  # all of them
    compared_bytes: int = 0  # of both sides, at the first tap
    equal_bytes: int = 0
    unknown_bytes: tuple[int, int] = (0, 0)  # lost, cut, encrypted otherwise or not kept at each tap, as far as their number is known
    unknown: tuple[str, ...] = ()  # why not all could be compared: loss, late-start, early-end, one-sided, encrypted, not-kept
    fault: str | None = None  # a fault of ours stopped the comparison
    tls: tuple[str | None, str | None] = (None, None)  # TLS version at each tap; None: clear, or not seen
