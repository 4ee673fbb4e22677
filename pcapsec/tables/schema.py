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
    _count("client_port", "its port", "UInt16", missing="a judgement on a whole capture"),
    _own("server_ip", "who was connected to", "a judgement on a whole capture"),
    _count("server_port", "its port", "UInt16", missing="a judgement on a whole capture"),
)
NAMES = (
    _word("protocol", "what the bytes prove: smtp, lmtp, imap, pop3, nntp, managesieve, tls, unknown", "a judgement on a whole capture"),
    _word("service", "what it is for: smtp, submission, imaps …", "no port or content told"),
    _text("server_name", "best name of the server: from SNI, else from its greeting", "neither was seen"),
)
FILTERS = (
    _own("display_filter", "Wireshark display filter for the conversation", "a judgement on a whole capture"),
    _own("community_id", "Community ID v1, seed 0, as Suricata, Zeek and Arkime print it", "a judgement on a whole capture"),
)
_SESSION_PLACE = (
    _text("capture", "the input that holds the conversation's first frame", "no conversation"),
    _count("frame", "its first frame, 1-based", missing="no conversation"),
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
        _word("direction", "who sent the evidence: client, server", "the whole conversation shows it"),
        _count("evidence_offset", "position of the evidence in the stream of that side", "Int64", "bytes", "the whole conversation shows it"),
        *FILTERS,
    ),
    "sessions": (
        *ENDS, _time("start", "first frame"), _time("end", "last frame"), *_SESSION_PLACE,
        _count("last_frame", "its last frame"),
        *NAMES,
        _word("service_source", "why: content, port, sni, alpn, tunnel", "no service known"),
        _word("role_source", "how client and server were told apart: syn, synack, port, content"),
        _own("encapsulation", "outer layers, outermost first", "none"),
        _word("tunnel", "what carried the mail: http-connect, socks4, socks5, proxy-protocol", "nothing"),
        _text("tunnel_target", "host:port the tunnel was asked for", "no tunnel, or not seen"),
        _word("completeness", "full, one_sided, midstream, gapped, truncated, evicted"),
        _word("unseen_client", "why not all clear client bytes were seen: one_sided, midstream, gap, snaplen, evicted, unparsed", "all were"),
        _word("unseen_server", "the same for the server's", "all were"),
        _text("unparsed", "why no parser took it", "one did"),
        _text("banner", "the server's greeting, at most 200 characters"),
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
        _text("tls_sni", "the name the client asked for"),
        _list("auth_mechanisms", "advertised in clear", "no list seen"),
        _various("principals", "accounts that tried to log in, in clear", NEVER, "list"),
        _count("logins", "login attempts in clear"),
        _count("messages", "messages seen in clear"),
        _count("mailbox_commands", "clear commands that read or change a mailbox or group"),
        _flag("compressed", "COMPRESS without TLS: what follows is unreadable, not protected"),
        _count("packets_client", "frames from the client", "UInt64"), _count("packets_server", "frames from the server", "UInt64"),
        _count("bytes_client", "the client's payload as captured, repeats left out", "UInt64", "bytes"),
        _count("bytes_server", "the server's", "UInt64", "bytes"),
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
        _text("mechanism", "SASL name as registered, or LOGIN-COMMAND, USER-PASS, APOP, AUTHINFO", NEVER),
        _various("principal", "account as sent"), _text("domain", "NTLM domain, Kerberos or DIGEST realm"),
        _text("authzid", "account to act as", "none sent"),
        _word("exposure", "password, token, guessable, ticket, none"),
        _word("auth_result", "success, failed, unknown"),
        _text("auth_reason", "refused, cancelled, locked, wrong-credentials, temporary, malformed", "the answer does not say"),
        _text("reply_code", "the server's answer"),
        _own("secret_fp", "HMAC of the secret under a key of this run: equal secrets look equal, nothing can be guessed from it", "no secret passed"),
        _word("secret_length", "0, 1-7, 8-11, 12+ bytes", "no secret passed"),
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
    ),
    "hops": (
        _own("session_id", "as in sessions"), *_SESSION_PLACE,
        _text("message_id", "Message-ID header"), _count("hop", "1 is the first"),
        _text("from_host", "who handed it over"), _text("by_host", "who took it"), _text("with_protocol", "ESMTPS …"),
        _text("tls_version", "as the header says"), _text("tls_cipher", "as the header says"),
        _flag("protected", "the hop names TLS", "the header does not say"), _time("time", "as the header says", "no date"),
    ),
    "tls": (
        *PLACE, *ENDS,
        _own("version", "negotiated", "no ServerHello seen"), _list("offered_versions", "by the client"),
        _own("cipher_suite", "IANA name, or 0x1234", "no ServerHello seen"), _own("group", "key exchange group", "not seen"),
        _text("sni", "the name the client asked for"), _text("alpn", "application protocol chosen, else first offered"),
        _own("ja4", "client fingerprint", "no ClientHello seen"), _flag("resumed", "an earlier session was resumed", "not seen"),
        _flag("established", "both sides went on to encrypted data", "not seen"), _own("alert", "alert in clear: sender, number and name", "none"),
        _own("certificate_sha256", "of the server's certificate", "not seen"), _text("subject", "of that certificate"),
        _list("sans", "names in that certificate", "not seen"), _text("issuer", "who signed it"),
        _time("not_before", "valid from", "not seen"), _time("not_after", "valid to", "not seen"), _own("key_type", "RSA, EC …", "not seen"),
        _count("key_bits", "its size", "UInt16", "bits", "not seen"), _own("signature_algorithm", "of the certificate", "not seen"),
        _count("chain_length", "certificates sent", "UInt16", missing="not seen"), _flag("name_matches", "the certificate holds the name asked for", "not seen"),
    ),
    "rpc": (
        _own("session_id", "as in sessions"), *_SESSION_PLACE,
        _own("interface_uuid", "interface bound"), _own("interface", "its name", "unknown UUID"), _own("interface_version", "major.minor"),
        _word("transport", "tcp, http, smb"), _flag("accepted", "the server took the context", "no answer seen"),
        _word("auth_type", "NTLM, Kerberos …", "none"), _count("auth_level", "lowest in force on a request", "UInt8", missing="no request seen"),
        _word("auth_level_name", "its name", "no request seen"), _list("auth_level_announced", "levels in bind, alter_context, auth3"),
        _text("principal", "account"), _text("domain", "its domain"), _word("ntlm_version", "NTLMv1, NTLMv2", "no NTLM"),
        _count("ntlm_flags", "negotiated", missing="no NTLM"), _count("key_bits", "sealing key", "UInt16", "bits", "not seen"),
        _count("kerberos_etype", "encryption type of the ticket", "Int64", missing="no Kerberos"), _count("requests", "request PDUs", "UInt64"),
        _list("opnums", "operations called"), _count("clear_stub_bytes", "request and response bytes that were not encrypted", "UInt64", "bytes"),
        _word("obfuscation", "xor, lz …", "none"),
    ),
    "http": (
        *PLACE, _own("session_id", "as in sessions"),
        _own("method", "GET, POST …"), _text("host", "Host header"), _text("path", "without its query"),
        _count("status", "of the answer", "UInt16", missing="no answer seen"), _word("auth_scheme", "BASIC …", "none"), _text("principal", "account", "none"),
        _word("service", "owa, ews, activesync, autodiscover, mapi-http, rpc-proxy, other"), _text("user_agent", "User-Agent header"),
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
        _count("sessions", "rows in the sessions table", "UInt64"), _flag("complete", "False: cut off or damaged"),
        _count("time_backsteps", "frames more than an hour older than the newest before them", "UInt64"),
        _list("notes", "what else a reader should know"),
    ),
    "anomalies": (
        *PLACE, *ENDS,
        _word("protocol", "as in sessions"), _own("code", "what was wrong, stable"), _word("side", "client, server"),
        _count("stream_offset", "position in that side's stream", "UInt64", "bytes"), _text("detail", "more, in words", "nothing more to say"),
    ),
}

ORDER_BY = {"sessions": "start", "captures": "first_time"}  # what time order means where the column is not `time`


def columns(table: str, reveal: bool = False) -> tuple[Column, ...]:
    """The columns of a table as they are written; `secret` only when revealed."""
    return tuple(c for c in TABLES[table] if reveal or not c.secret)


def header(table: str, reveal: bool = False) -> str:
    """CSV header line with its line end."""
    return ",".join(c.name for c in columns(table, reveal)) + "\n"
