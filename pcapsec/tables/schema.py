"""Every table and every column, declared once.

The declaration makes the CSV header, the pandas dtypes, the Parquet schema, the row builders in `rows.py` and the documentation. Renaming or
dropping a column breaks what others rely on; adding one is fine. Columns of one scope that are filled together (`time, capture, frame`;
`session_id … server_port`) stand side by side in every table, because `rows.py` formats such a block once and shares it between rows.
"""
from __future__ import annotations

from dataclasses import dataclass

SEVERITY_ORDER = ("info", "low", "medium", "high", "critical")
CONFIDENCE_ORDER = ("low", "medium", "high")
NEVER = "never"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: as in every output.
        dtype: string, category, boolean, UInt8 … UInt64, Int64, time (int64 ns since 1970 UTC; datetime64[ns, UTC] in pandas), list, dict (JSON in CSV).
        meaning: one line.
        unit: of a number; "" where it has none.
        missing: when the cell is empty; `never` when it always holds something.
        ours: the text is made of our own words, addresses and digits, so that it needs no quoting; False: it may hold bytes from the wire.
        order: categories in rising order, when they have one.
        secret: the column exists only when the user asked for secrets.
        distinct: its values hardly ever repeat, so remembering their cells is of no use.
    """

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    missing: str = NEVER
    ours: bool = False
    order: tuple[str, ...] = ()
    secret: bool = False
    distinct: bool = False

    @property
    def nullable(self) -> bool:
        return self.missing != NEVER


def _word(name: str, meaning: str, missing: str = NEVER, order: tuple[str, ...] = ()) -> Column:
    return Column(name, "category", meaning, missing=missing, ours=True, order=order)


def _own(name: str, meaning: str, missing: str = NEVER) -> Column:
    return Column(name, "string", meaning, missing=missing, ours=True)


def _text(name: str, meaning: str, missing: str = "not seen") -> Column:
    return Column(name, "string", meaning, missing=missing)


def _various(name: str, meaning: str, missing: str = "not seen", dtype: str = "string") -> Column:
    return Column(name, dtype, meaning, missing=missing, distinct=True)


def _flag(name: str, meaning: str, missing: str = NEVER) -> Column:
    return Column(name, "boolean", meaning, missing=missing)


def _time(name: str, meaning: str, missing: str = NEVER) -> Column:
    return Column(name, "time", meaning, unit="ns", missing=missing)


def _count(name: str, meaning: str, dtype: str = "UInt32", unit: str = "", missing: str = NEVER) -> Column:
    return Column(name, dtype, meaning, unit=unit, missing=missing)


def _list(name: str, meaning: str, missing: str = NEVER) -> Column:
    return Column(name, "list", meaning, missing=missing)


# blocks that several tables share, in this order
PLACE = (
    _time("time", "packet time of the first evidence", "a judgement on a whole capture"),
    _text("capture", "the input that holds the first evidence, as named on the command line", "a judgement on several inputs"),
    _count("frame", "frame number of the first evidence in that input, 1-based, as Wireshark counts", missing="no single frame shows it"),
)
ENDS = (
    _own("session_id", "the conversation; equal in any file, window, job or run", "a judgement on a whole capture"),
    _own("client_ip", "who opened the connection", "a judgement on a whole capture"),
    _count("client_port", "its port; 0: ESP, which has none", "UInt16", missing="a judgement on a whole capture"),
    _own("server_ip", "who was connected to", "a judgement on a whole capture"),
    _count("server_port", "its port", "UInt16", missing="a judgement on a whole capture"),
)
NAMES = (
    _word("protocol", "what the bytes prove: smtp, lmtp, imap, pop3, nntp, managesieve, http, dcerpc, ldap, smb, tls, esp, ike, unknown", "a judgement on a whole capture"),
    _word("service", "what it is for: smtp, submission, imaps …", "no port or content told"),
    _text("server_name", "best name of the server: from SNI, else from its greeting or the Host header", "none was seen"),
)
FILTERS = (
    _own("display_filter", "Wireshark display filter for the conversation", "a judgement on a whole capture"),
    _own("community_id", "Community ID v1, seed 0, as Suricata, Zeek and Arkime print it", "a judgement on a whole capture"),
)
_DECRYPTED = _flag("decrypted", "it passed inside TLS and was read with a key log: nobody without the keys could")
_SESSION_PLACE = (
    _text("capture", "the input that holds the conversation's first frame", "no conversation"),
    _count("frame", "its first frame, 1-based", missing="no conversation"),
)

_CERTIFICATE = (
    _own("certificate_sha256", "of the certificate", "not seen"), _various("subject", "of that certificate"),
    _various("sans", "names in that certificate", "not seen", "list"), _text("issuer", "who signed it"),
    _time("not_before", "valid from", "not seen"), _time("not_after", "valid to; after 2262-04-11 that day", "not seen"), _own("key_type", "RSA, EC …", "not seen"),
    _count("key_bits", "its size", unit="bits", missing="not seen"), _own("signature_algorithm", "of the certificate", "not seen"),
    _own("curve", "of an EC key", "not seen"), _own("spki_sha256", "of its public key", "not seen"), _own("serial", "hex", "not seen"),
    _flag("self_signed", "signed with its own key", "not seen"), _flag("ca", "basicConstraints: it may sign others", "no such extension, or not seen"),
    _own("certificate_malformed", "the part where reading it stopped", "it could be read, or was not seen"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "findings": (
        _own("finding_id", "hash of rule, variant, session and place: equal input gives an equal id"),
        _word("rule_id", "the rule, `pcapsec explain` knows it"),
        _word("slug", "the rule's short name; may change, the id never does"),
        _various("title", "one line", NEVER),
        _word("severity", "after modifiers", order=SEVERITY_ORDER),
        _word("confidence", "how sure the bytes make us", order=CONFIDENCE_ORDER),
        _word("category", "family of the rule: credential, cleartext, stripping, tls, rpc, web, message, network, correlation, capture"),
        _text("variant", "sub-case: mechanism, port role …", "the rule has none"),
        *PLACE, *ENDS, *NAMES,
        _various("principal", "account as sent", "no account involved"),
        _text("mechanism", "login mechanism", "no login involved"),
        _word("auth_result", "success, failed, unknown", "no login involved"),
        Column("evidence", "dict", "what was seen, rule by rule; never a secret, never raw bytes"),
        _text("remediation", "what to do", NEVER),
        _list("references", "where it is written"),
        _own("group_id", "equal for repeats of the same judgement on the same pair, account and mechanism"),
        _own("because_of", "finding_id of the root of the same story", "this finding is a root"),
        _text("severity_reason", "modifiers that were applied, separated by ;", "none"),
        _text("suppressed", "why the policy says that this finding was looked at and accepted; it counts for no exit code", "it is not"),
        _word("direction", "who sent the evidence: client, server", "the whole conversation shows it"),
        _count("evidence_offset", "position of the evidence in the stream of that side", "Int64", "bytes", "the whole conversation shows it"),
        *FILTERS,
    ),
    "sessions": (
        *ENDS, _time("start", "first frame"), _time("end", "last frame"), *_SESSION_PLACE,
        _count("last_frame", "its last frame"),
        *NAMES,
        _word("service_source", "why: content, port, sni, dns, alpn, certificate, epm, tunnel", "no service known"),
        _word("service_confidence", "how sure that is: high, medium", "no service known"),
        _word("provider", "large mail provider whose host it is, by the names that TLS shows", "nobody's that is known, or no name seen"),
        _word("role_source", "how client and server were told apart: syn, synack, port, content"),
        _own("encapsulation", "outer layers, outermost first", "none"),
        _word("tunnel", "what carried the mail: http-connect, socks4, socks5, proxy-protocol", "nothing"),
        _text("tunnel_target", "host:port the tunnel was asked for", "no tunnel, or not seen"),
        _word("completeness", "full, one_sided, midstream, gapped, truncated, evicted"),
        _word("unseen_client", "why not all clear client bytes were seen: one_sided, midstream, gap, snaplen, evicted, unparsed", "all were"),
        _word("unseen_server", "the same for the server's", "all were"),
        _text("unparsed", "why no parser took it", "one did"),
        _text("banner", "the server's greeting, at most 500 characters"),
        _various("client_name", "argument of EHLO, HELO or LHLO"),
        _list("capabilities", "what the server offered before TLS, in order", "no list seen"),
        _flag("capabilities_complete", "its last line was seen"),
        _flag("starttls_offered", "STARTTLS or STLS was in the list", "not observable"),
        _flag("starttls_requested", "the client asked for it", "not observable"),
        _flag("starttls_accepted", "the server agreed", "not observable"),
        _text("starttls_reply_code", "the server's answer", "no answer seen"),
        _word("starttls_state", "no_capability_seen, not_offered, offered, requested, refused, accepted, tls_clienthello, tls_failed, tls_established",
              "TLS from the first byte, or not a mail protocol"),
        _list("masked_tokens", "capability words that stand where STARTTLS should be"),
        _count("injected_client_bytes", "clear bytes between the STARTTLS line and the first TLS record", unit="bytes"),
        _count("injected_server_bytes", "clear bytes between the accepting reply and the first TLS record", unit="bytes"),
        _word("tls_mode", "none, starttls, implicit"),
        _own("tls_version", "negotiated", "no ServerHello seen"),
        _text("tls_sni", "the name the client asked for"), _flag("decrypted", "what TLS hid was read with a key log"),
        _list("auth_mechanisms", "advertised in clear", "no list seen"),
        _various("principals", "accounts that tried to log in, in clear", NEVER, "list"),
        _count("logins", "login attempts in clear"),
        _count("messages", "messages seen in clear"),
        _count("mailbox_commands", "clear commands that read or change a mailbox or group"),
        _flag("compressed", "COMPRESS without TLS: what follows is unreadable, not protected"),
        _count("packets_client", "frames from the client", "UInt64"), _count("packets_server", "frames from the server", "UInt64"),
        _count("bytes_client", "the client's payload as captured, repeats left out", "UInt64", "bytes"),
        _count("bytes_server", "the server's", "UInt64", "bytes"),
        _count("ttl_client", "TTL or hop limit of most of the client's packets as captured", "UInt8", missing="none kept"),
        _count("ttl_server", "the server's", "UInt8", missing="none kept"),
        _word("reset_by", "who sent an RST: client, server (or both)", "nobody"),
        _count("ttl_outliers", "packets with another TTL than those of their side before and after them"),
        _count("gap_bytes", "bytes missing inside, both sides", "UInt64", "bytes"),
        _count("truncated_frames", "frames cut by the snap length"), _count("duplicate_frames", "frames seen twice"),
        _count("overlap_conflicts", "places sent twice with different bytes"),
        _word("verdict", "protected, exposed, weak, unknown"),
        _word("worst_severity", "of its findings", "no findings", SEVERITY_ORDER),
        _count("findings", "findings on it"),
        *FILTERS,
    ),
    "credentials": (
        *PLACE, *ENDS,
        _word("protocol", "as in sessions"),
        _text("server_name", "as in sessions", "not seen"),
        _text("mechanism", "SASL name as registered, or LOGIN-COMMAND, USER-PASS, APOP, AUTHINFO, BASIC, DIGEST, NEGOTIATE, BEARER, FORM, SIMPLE-BIND", NEVER),
        _various("principal", "account as sent"), _text("domain", "NTLM domain, Kerberos or DIGEST realm"),
        _text("authzid", "account to act as", "none sent"),
        _word("exposure", "password, token, guessable, ticket, none"),
        _word("auth_result", "success, failed, unknown"),
        _text("auth_reason", "refused, cancelled, locked, wrong-credentials, temporary, malformed", "the answer does not say"),
        _text("reply_code", "the server's answer"),
        _own("secret_fp", "HMAC of the secret under a key of this run: equal secrets look equal, nothing can be guessed from it", "no secret passed"),
        _word("secret_length", "0, 1-7, 8-11, 12+ bytes", "no secret passed"), _DECRYPTED,
        Column("secret", "string", "the secret itself", missing="no secret passed", secret=True),
    ),
    "messages": (
        *PLACE, *ENDS,
        _word("protocol", "as in sessions"),
        _word("direction", "submitted, relayed, delivered, fetched"),
        _various("mail_from", "envelope sender without brackets; the null sender is an empty text, not a missing one", "not seen, or fetched mail"),
        _various("rcpt_to", "envelope recipients as sent, accepted or not", NEVER, "list"),
        _text("reply_code", "final answer to the content"), _flag("accepted", "the server took it", "no answer seen"),
        _various("message_id", "Message-ID header"),
        _count("size_bytes", "content bytes seen", "UInt64", "bytes"), _flag("complete", "its end was seen"),
        _word("protection", "none, smime-encrypted, smime-signed, pgp-mime-encrypted, pgp-mime-signed, pgp-inline, tnef"),
        _text("content_type", "top media type"), _text("from_domain", "of the From header"), _list("to_domains", "of To and Cc"),
        _count("subject_length", "length of the subject; its text is never kept", unit="characters", missing="no Subject header seen"),
        _text("mailer", "X-Mailer or User-Agent"),
        _count("n_hops", "Received headers"), _count("n_clear_hops", "those that name a protocol without TLS", missing="the hops do not say"),
        _DECRYPTED,
    ),
    "hops": (
        _own("session_id", "the conversation that carried the message"),
        _text("capture", "the input that holds the message's first byte", NEVER), _count("frame", "its frame, 1-based"),
        _text("message_id", "Message-ID header"), _count("hop", "1 is the first step, the lowest Received field; the 50 newest are told"),
        _text("from_host", "who handed it over, as the header says", "the header does not say"),
        _text("by_host", "who took it and wrote the header", "the header does not say"),
        _text("with_protocol", "keyword of RFC 3848 in upper case, else the header's words", "the header does not say"),
        _own("tls_version", "as the header says", "the header does not say"), _text("tls_cipher", "as the header says", "the header does not say"),
        _flag("protected", "the hop names TLS; false: it names a network protocol without", "the header does not say, or it is no hop over a network"),
        _time("time", "as the header says", "no date with a zone"),
        _text("from_ip", "address of who handed it over, as the header says", "the header does not say"),
        _flag("local", "a step inside one host or one mail system"), _DECRYPTED,
    ),
    "tls": (
        *PLACE, *ENDS,
        _own("version", "negotiated", "no ServerHello seen"), _list("offered_versions", "by the client"),
        _own("cipher_suite", "IANA name, or 0x1234", "no ServerHello seen"),
        _word("cipher_recommended", "IANA's column Recommended: Y, N, D (discouraged)", "no ServerHello seen, or not registered"),
        _own("group", "key exchange group: x25519, ffdhe2048, modp1024, dh (no known group)", "not seen"),
        _count("dh_bits", "prime of a finite-field key exchange", unit="bits", missing="not seen"),
        _flag("forward_secret", "each session has new keys", "not seen"), _own("signature_scheme", "of the server's key exchange, TLS 1.2", "not seen"),
        _word("compression", "chosen: null, DEFLATE, LZS", "not seen"), _flag("extended_master_secret", "agreed", "TLS 1.3, or not seen"),
        _flag("encrypt_then_mac", "agreed", "TLS 1.3, or not seen"), _flag("secure_renegotiation", "the server knows it", "TLS 1.3, or not seen"),
        _word("downgrade_sentinel", "the server says that it could do more than this version", "it does not"),
        _flag("hello_retry", "the server asked for another hello"), _flag("early_data", "the client sent data before the server spoke"),
        _text("sni", "the name the client asked for"), _text("alpn", "application protocol chosen, else first offered"),
        _flag("alpn_chosen", "the server chose it; TLS 1.3 hides its choice"), _own("ja3", "client fingerprint", "no ClientHello seen"),
        _own("ja4", "client fingerprint", "no ClientHello seen"), _flag("ech_offered", "the hello holds an encrypted one, or what looks like it", "no ClientHello seen"),
        _flag("resumed", "an earlier session was resumed", "not seen"), _word("resumption", "how: id, ticket, psk", "not resumed, or not seen"),
        _flag("established", "both sides went on to encrypted data", "not seen"), _own("alert", "alert in clear: sender, number and name", "none"),
        _list("alerts", "all alerts in clear"),
        *_CERTIFICATE,
        _count("chain_length", "certificates sent", missing="not seen"), _flag("name_matches", "the certificate holds the name asked for", "not seen"),
        _word("name_matched_by", "san, cn", "it does not, or not seen"),
        _flag("trusted", "the chain leads to a given root", "no roots given, or not seen"), _text("trust_error", "why it does not", "it does, or not known"),
        _flag("client_certificate", "the client sent one", "not seen"), _various("client_subject", "of that certificate", "none"),
        _own("client_certificate_sha256", "of that certificate", "none"),
    ),
    "certificates": (
        *PLACE, *ENDS, _word("sent_by", "who sent it: server, client"), _count("position", "in the chain; 0 is the sender's own", "UInt16"), *_CERTIFICATE,
    ),
    "rpc": (
        *PLACE, *ENDS,
        _count("context_id", "presentation context", "UInt16"),
        _own("interface_uuid", "interface bound", "the capture starts late and nothing tells"), _own("interface", "its name", "unknown UUID"),
        _own("interface_version", "major.minor", "not seen"), _word("interface_source", "what told the interface: bind, epm, port, calls", "nothing did"),
        _own("transfer_syntax", "ndr, ndr64, or its UUID", "not seen"),
        _word("transport", "tcp, http, smb"), _text("pipe", "named pipe", "not over SMB"),
        _flag("accepted", "the server took the context", "no answer seen"), _count("reject_reason", "why it did not", "UInt16", missing="accepted, or no answer seen"),
        _word("auth_type", "of its weakest request: NTLM, KERBEROS, SPNEGO (mechanism not seen), NETLOGON, SCHANNEL", "none"),
        _count("auth_level", "lowest in force on a request, 1-6", "UInt8", missing="no request seen"),
        _word("auth_level_name", "none, connect, call, packet, integrity, privacy", "no request seen"),
        _list("auth_level_announced", "levels in bind, alter_context, auth3"),
        Column("requests_by_level", "dict", "request PDUs at each level"),
        _list("mechanisms_offered", "by SPNEGO, in order"), _flag("header_signing", "headers are signed too", "not agreed in sight"),
        _text("principal", "account"), _text("domain", "its domain"), _text("auth_result", "success, failed, unknown", "no login seen"),
        _word("ntlm_version", "NTLMv1, NTLMv2, LM, anonymous", "no NTLM"),
        _own("ntlm_flags", "negotiated, hexadecimal", "no NTLM"), _count("key_bits", "NTLM sealing key", "UInt16", "bits", "not seen"),
        _count("kerberos_etype", "encryption type of the ticket", "Int64", missing="no Kerberos"),
        _count("authenticator_etype", "encryption type of the authenticator", "Int64", missing="no Kerberos"),
        _text("spn", "Kerberos service name", "no Kerberos"),
        _count("requests", "request PDUs", "UInt64"), _count("responses", "response PDUs", "UInt64"),
        _list("opnums", "operations called"), _list("calls", "their names, for Exchange's interfaces and the endpoint mapper"),
        _count("stub_bytes", "request and response bytes", "UInt64", "bytes"),
        _count("clear_stub_bytes", "of those, the ones below level 6", "UInt64", "bytes"),
        _word("obfuscation", "of MAPI payloads read in clear: none, xor, compressed, both", "none read"),
        _text("user_dn", "mailbox that MAPI opened"), _text("client_version", "of the MAPI client"), _text("server_version", "of the MAPI server"),
        _list("rops", "MAPI operations read"), _list("faults", "fault statuses, hexadecimal"), _DECRYPTED,
    ),
    "http": (
        *PLACE, *ENDS,
        _text("method", "GET, POST …", NEVER), _text("host", "Host header, or target, without the port"), _text("path", "without its query"),
        _text("http_version", "1.1"), _count("status", "of the answer, 1xx left out", "UInt16", missing="no answer seen"),
        Column("auth_scheme", "category", "BASIC, DIGEST, NTLM, NEGOTIATE, BEARER, FORM, or another word that the client sent", missing="no login in it"),
        _list("auth_offered", "schemes that the server asked for"), _flag("proxy", "the login is one to a proxy"),
        _text("principal", "account", "none"), _word("auth_result", "success, failed, unknown", "no login in it"),
        _word("service", "owa, ews, activesync, autodiscover, mapi-http, rpc-proxy, ecp, oab, webmail, caldav, other"),
        _flag("service_sure", "False: told by a directory name that anybody may use"),
        _text("user_agent", "User-Agent header"), _text("location", "scheme and host of a redirect's target", "no redirect"),
        _text("content_type", "of the request"), _text("response_type", "of the answer"),
        _count("request_bytes", "body of the request", "UInt64", "bytes"), _count("response_bytes", "body of the answer", "UInt64", "bytes"),
        _text("request_type", "X-RequestType of MAPI over HTTP, Cmd of ActiveSync", "neither"), _text("device_id", "of ActiveSync", "none"),
        _list("cookies", "names sent"), _list("set_cookies", "names set"),
        _flag("session_cookie", "a cookie that carries a login was sent"), _flag("email_seen", "the body holds a mail address"),
        _text("rpc_target", "host:port that the RPC proxy is asked for", "no RPC over HTTP"), _DECRYPTED,
    ),
    "paths": (
        *PLACE, _own("session_id", "conversation that shows the path first"),
        _own("path_id", "equal for the steps of one path, and in any run that sees the same"), _word("path_verdict", "the worst of its steps: exposed, weak, unknown, protected; weak too where only the way can be read and the content is encrypted"),
        _flag("complete", "nothing of the way to the mailbox is unseen or unknown"),
        _count("step", "1 is the first"), _word("role", "submission, relay, delivery, mailbox"),
        _text("sender", "who connects: a name, else an address", "clients, or not seen"), _text("receiver", "who was connected to", "several, or not seen"),
        _word("verdict", "of this step: protected, exposed, weak, unknown"), _own("tls_version", "of this step; TLS where several or none are told", "none, or not known"),
        _word("source", "how that is known: captured, header (Received), both, guessed (captured, told by time and size), unseen"),
        _count("sessions", "captured conversations of this step"), _count("sessions_so", "of those, the ones with this verdict"),
        _count("senders", "distinct clients or servers that connect"), _count("receivers", "distinct servers"),
        _count("messages", "that were read and went this way"), _count("messages_sealed", "of those, the ones encrypted by the sender"),
        _list("from_domains", "of those messages, the first few"), _list("to_domains", "of their recipients, the first few"),
    ),
    "dns_policy": (
        _time("time", "when it was first answered"), _text("capture", "the input that holds that answer", NEVER), _count("frame", "its frame, 1-based"),
        _own("asked_by", "address that asked"), _own("answered_by", "address that answered"),
        _word("record", "mx, mta-sts, tlsrpt, tlsa, srv, autodiscover, address (of a mail exchanger)"),
        _text("domain", "whose mail it is about; of tlsa and address the host", NEVER), _text("name", "that was asked for", NEVER),
        _list("values", "what was answered, as in a zone file"), _flag("valid", "mta-sts, tlsrpt: there is one record and it is well formed", "other records"),
        _flag("authenticated", "the resolver says that DNSSEC proves it"), _flag("signed", "its signatures came along"),
    ),
    "assessments": (
        _own("session_id", "as in sessions"),
        _word("rule_id", "the rule"), _word("verdict", "fail, pass, not_applicable, not_observable"),
        _text("reason", "why it was not observable or not applicable", "no reason needed"),
        *_SESSION_PLACE,
    ),
    "rule_summary": (
        _word("rule_id", "the rule"), _word("slug", "its short name"),
        _count("n_fail", "findings' sessions", "UInt64"), _count("n_pass", "sessions that were fine", "UInt64"),
        _count("n_not_applicable", "sessions the rule does not concern", "UInt64"),
        _count("n_not_observable", "sessions where the capture cannot tell", "UInt64"),
        _text("capture", "where its first finding stands", "no finding"), _count("frame", "first evidence of that finding", missing="no finding"),
        _own("session_id", "conversation of that finding", "no finding"),
    ),
    "captures": (
        _text("capture", "the input as named on the command line", NEVER), _word("format", "pcap, pcapng, snoop, netmon"), _word("compression", "gzip, zstd, lz4, bzip2", "none"),
        _list("link_types", "LINKTYPE numbers"), _count("snap_length", "smallest declared", unit="bytes", missing="none declared"),
        _count("packets", "frames read", "UInt64"), _count("bytes", "captured packet bytes", "UInt64", "bytes"),
        _time("first_time", "first frame", "no frames"), _time("last_time", "last frame", "no frames"),
        _count("dropped", "frames that the interface or kernel lost", "UInt64", missing="the format does not say"),
        _count("truncated_frames", "frames captured shorter than sent", "UInt64"), _count("skipped_bytes", "damage stepped over", "UInt64", "bytes"),
        _count("undecoded_frames", "frames without an IP packet", "UInt64"), _count("duplicate_frames", "frames seen twice", "UInt64"),
        _count("evicted_flows", "conversations dropped because a table was full", "UInt64"), _count("internal_errors", "faults of ours", "UInt64"),
        _count("sessions", "rows in the sessions table", "UInt64"),
        _count("decrypted_sessions", "of those, the ones that were read with keys", "UInt64"), _flag("complete", "False: cut off or damaged"),
        _count("time_backsteps", "frames more than an hour older than the newest before them", "UInt64"),
        _list("notes", "what else a reader should know"),
    ),
    "anomalies": (
        *PLACE, *ENDS,
        _word("protocol", "as in sessions"), _own("code", "what was wrong, stable"), _word("side", "client, server"),
        _count("stream_offset", "position in that side's stream", "UInt64", "bytes"), _text("detail", "more, in words", "nothing more to say"),
    ),
}

_OUTSIDE = (
    _text("capture_outside", "the input of the other capture that holds the counterpart", NEVER),
    _count("frame_outside", "its frame there, 1-based"),
)
COMPARISON_TABLES: dict[str, tuple[Column, ...]] = {  # what `pcapsec compare` writes; columns without a tap in their name are those of the first capture, the inside
    "findings": TABLES["findings"],
    "differences": (
        *PLACE, *ENDS, *NAMES,
        _word("side", "whose bytes they are: client, server"),
        _word("kind", "removed, added, changed, in the direction in which the bytes travel"),
        _word("meaning", "what it does: offer-removed, offer-masked, command-garbled, reply-injected, content-changed …"),
        _word("what", "what the bytes are: greeting, capability, command, reply, login, content, header, tls, bytes"),
        _various("word", "protocol word that it is about", "it is about none"),
        _various("shown_inside", "the line inside, as far as it is protocol words", "nothing stands there, or more than protocol words"),
        _various("shown_outside", "the same outside", "nothing stands there, or more than protocol words"),
        _count("offset_inside", "position in the side's stream inside", "UInt64", "bytes"), _count("offset_outside", "the same outside", "UInt64", "bytes"),
        _count("length_inside", "bytes there inside; 0: nothing stands there", "UInt64", "bytes"), _count("length_outside", "the same outside", "UInt64", "bytes"),
        *_OUTSIDE, _time("time_outside", "packet time there, by that capture's clock"), _own("session_outside", "the conversation in the other capture"),
        _own("finding_id", "the finding that it belongs to", "no finding"),
    ),
    "pairs": (
        *PLACE, *ENDS, *NAMES, *_OUTSIDE,
        _own("session_outside", "the conversation in the other capture"),
        _own("client_ip_outside", "its client"), _count("client_port_outside", "its port", "UInt16"),
        _own("server_ip_outside", "its server"), _count("server_port_outside", "its port", "UInt16"),
        _word("joined_by", "what shows that both are one: sequence-numbers, endpoints, tls-random, content, time"),
        _word("box", "what must stand between: none, router, nat, resegmenting, sequence-rewriting, tcp-proxy, tls-proxy, tls-one-sided"),
        _list("changed", "what differs besides content: addresses, ports, sequence-numbers, segments, ttl, tcp-options, tls"),
        _word("nearer_client", "the capture that was taken nearer to the client: inside, outside", "nothing tells"),
        _own("tls_inside", "TLS version inside", "clear, or not seen"), _own("tls_outside", "TLS version outside", "clear, or not seen"),
        _count("differences", "places where bytes differ", "UInt64"),
        _count("compared_bytes", "bytes inside that could be compared", "UInt64", "bytes"), _count("equal_bytes", "of those, the ones that are the same outside", "UInt64", "bytes"),
        _count("unknown_bytes_inside", "lost, cut or not kept inside, as far as their number is known", "UInt64", "bytes"),
        _count("unknown_bytes_outside", "the same outside", "UInt64", "bytes"),
        _list("unknown", "why not all could be compared: loss, late-start, early-end, one-sided, encrypted, not-kept, fault"),
    ),
}

ORDER_BY = {"sessions": "start", "captures": "first_time"}  # what time order means where the column is not `time`


def between(table: str, first: str, last: str) -> tuple[Column, ...]:
    """The columns of a table from one to another."""
    names = [column.name for column in TABLES[table]]
    return TABLES[table][names.index(first):names.index(last) + 1]


def columns(table: str, reveal: bool = False) -> tuple[Column, ...]:
    """The columns of a table as they are written; `secret` only when revealed."""
    return tuple(c for c in TABLES.get(table) or COMPARISON_TABLES[table] if reveal or not c.secret)


def header(table: str, reveal: bool = False) -> str:
    """CSV header line with its line end."""
    return ",".join(c.name for c in columns(table, reveal)) + "\n"
