"""A second opinion: what Wireshark makes of the same capture, conversation by conversation.

tshark reads the capture once more, driven through pyshark, and only shows the packets that say something about who speaks what, who logs in and how TLS begins. What is
compared are facts, never judgements. Where Wireshark knows a protocol by its port alone, or not at all, that is told apart from a difference.
"""
from __future__ import annotations

import base64
import binascii
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterable, NamedTuple

from ..errors import PcapsecError
from ..protocols.tls_names import version_name
from ..protocols.tls_suites import suite_name
from ..records import CLIENT, Capture, Session
from . import wireshark

MAX_PACKETS = 2_000_000  # read by tshark of each file
MAX_DISSECTED = 100_000  # of them that are taken apart in Python, a minute's work
MAX_SESSIONS = 50_000  # of ours that are remembered, 1 KiB each
MAX_DIFFERENCES = 1000  # listed
MAX_NAMES = 100  # of a conversation
ASPECTS = ("conversation", "protocol", "TLS mode", "TLS version", "cipher suite", "SNI", "user names", "HTTP login", "RPC interfaces")
_TELLING = ("smtp.req or smtp.rsp or imap.request or pop.request or nntp.request or http.request or dcerpc.cn_bind_to_uuid or ldap.protocolOp "
            "or smb.cmd == 0x72 or smb2.cmd == 0 or ntlmssp.messagetype == 3 or tls.handshake.type == 1 or tls.handshake.type == 2")
_LAYERS = "ip ip.src ip.dst ipv6 ipv6.src ipv6.dst tcp tcp.stream tcp.srcport tcp.dstport smtp imap pop nntp http dcerpc ntlmssp ldap smb smb2 tls"
_CLEAR = {"smtp": "smtp", "imap": "imap", "pop": "pop3", "nntp": "nntp", "http": "http", "dcerpc": "dcerpc", "ldap": "ldap", "smb": "smb", "smb2": "smb"}  # Wireshark's name -> ours
_LINES = frozenset(("smtp", "imap", "pop3", "nntp"))
_KNOWN = frozenset(_CLEAR.values()) | {"tls"}  # what both can tell


class Difference(NamedTuple):
    """One fact on which the two do not agree."""

    aspect: str
    where: str  # conversation: client and server
    ours: str
    theirs: str
    capture: str
    frame: int


@dataclass(slots=True)
class Opinion:
    """One conversation as one of the two sees it."""

    ends: tuple
    first: int
    last: int
    where: str = ""
    protocols: set[str] = field(default_factory=set)
    tls_mode: str = "none"
    version: str | None = None
    suite: str | None = None
    sni: str | None = None
    users: set[str] = field(default_factory=set)
    schemes: set[str] = field(default_factory=set)
    interfaces: set[str] = field(default_factory=set)
    frames: dict[str, int] = field(default_factory=dict)  # aspect -> frame that told


@dataclass(slots=True)
class Comparison:
    """What came out.

    packets: read by both; sessions: compared; not_compared: ours behind the part that was read, or that span files; only_ours: Wireshark had no opinion on their protocol.
    """

    packets: int = 0
    complete: bool = True
    sessions: int = 0
    not_compared: int = 0
    only_ours: int = 0
    agreed: Counter = field(default_factory=Counter)
    differed: Counter = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # inputs that tshark could not be given, and why


class Memory:
    """A sink that remembers what is to be compared."""

    def __init__(self) -> None:
        self.opinions: dict[str, list[Opinion]] = {}
        self.n = self.n_more = 0

    def session(self, session: Session) -> None:
        if self.n >= MAX_SESSIONS:
            self.n_more += 1
            return
        self.n += 1
        self.opinions.setdefault(session.capture, []).append(_ours(session))

    def findings(self, findings: list, capture: str = "") -> None:
        pass

    def close(self) -> "Memory":
        return self

    def merge(self, other: "Memory") -> None:
        """Add what another worker remembers."""
        for name, opinions in other.opinions.items():
            self.opinions.setdefault(name, []).extend(opinions)
        self.n += other.n
        self.n_more += other.n_more


def _ours(session: Session) -> Opinion:
    """Only what passed in clear: Wireshark gets no keys."""
    facts, tls = session.facts, session.tls
    opinion = Opinion(ends=_ends(session.client_ip, session.client_port, session.server_ip, session.server_port), first=session.frame, last=session.last_frame,
                      where=f"{session.client_ip} port {session.client_port} -> {session.server_ip} port {session.server_port}")
    protocol = "tls" if session.tls_mode == "implicit" else session.protocol
    opinion.protocols.add("smtp" if protocol == "lmtp" else protocol)
    opinion.tls_mode = session.tls_mode
    if tls is not None:
        opinion.version, opinion.suite, opinion.sni = tls.version, tls.cipher_suite, tls.sni.lower() if tls.sni else None
    for login in facts.logins[:MAX_NAMES]:
        if login.principal:
            opinion.users.add(_bare(login.principal))
            _note(opinion, "user names", session, login.at)
    for request in facts.http.requests if facts.http is not None else ():
        if request.auth_scheme not in (None, "FORM") and len(opinion.schemes) < MAX_NAMES:
            opinion.schemes.add(request.auth_scheme)
            _note(opinion, "HTTP login", session, request.at)
    for association in facts.rpc or ():
        for context in association.contexts[:MAX_NAMES]:
            if context.interface_uuid is not None and context.interface_source == "bind":
                opinion.interfaces.add(context.interface_uuid)
    return opinion


def _note(opinion: Opinion, aspect: str, session: Session, at: int) -> None:
    if aspect not in opinion.frames and session.locate is not None:
        opinion.frames[aspect] = session.locate(CLIENT, at)[1]


def _ends(ip: str, port: int, other_ip: str, other_port: int) -> tuple:
    return tuple(sorted(((ip, port), (other_ip, other_port))))


def _bare(name: str) -> str:
    """A user name as both write it: NTLM keeps the domain apart, Basic does not."""
    return name.rpartition("\\")[2].strip('"').lower()


def compare(memory: Memory, captures: Iterable[Capture], paths: dict[str, str], *, all_of_it: bool = True) -> Comparison:
    """Let Wireshark read the captures and set its opinion beside ours.

    Args:
        memory: what our run remembered.
        captures: as they were read.
        paths: name of a capture -> file.
        all_of_it: no filter was in use, so a conversation that only Wireshark has is a difference.

    Raises:
        PcapsecError: tshark or pyshark is missing.
    """
    tshark = wireshark.find()
    comparison = Comparison(not_compared=memory.n_more)
    for capture in captures:
        ours = memory.opinions.get(capture.name, [])
        path = paths.get(capture.name)
        if path is None:
            comparison.skipped.append(f"{capture.name}: not a file that can be read twice")
            comparison.not_compared += len(ours)
            continue
        try:
            theirs, last = _theirs(path, tshark)
        except PcapsecError as error:
            comparison.skipped.append(f"{capture.name}: {error}")
            comparison.not_compared += len(ours)
            continue
        if last is None:
            last = min(capture.packets, MAX_PACKETS)
        comparison.packets += min(last, capture.packets)
        comparison.complete = comparison.complete and last >= capture.packets
        _set_beside(comparison, capture.name, ours, theirs, last, all_of_it)
    return comparison


def _theirs(path: str, tshark: str) -> tuple[list[Opinion], int | None]:
    """Wireshark's opinions, and the packet at which we stopped (None: at the end, or at MAX_PACKETS)."""
    streams: dict[str, Opinion] = {}
    with tempfile.TemporaryDirectory(prefix="pcapsec-") as folder, wireshark.Packets(
            path, tshark=tshark, folder=folder, display_filter=_TELLING, parameters=["-c", str(MAX_PACKETS), "-J", _LAYERS],
            preferences={"tcp.reassemble_out_of_order": "TRUE"}) as packets:
        for n, packet in enumerate(packets, 1):
            _take(streams, packet)
            if n >= MAX_DISSECTED:
                return list(streams.values()), int(packet.number)
    return list(streams.values()), None


def _take(streams: dict[str, Opinion], packet: Any) -> None:
    """What one packet tells."""
    address = source = None
    for layer in packet.layers:
        if layer.layer_name in ("ip", "ipv6"):
            source, address = layer.get_field("src"), layer.get_field("dst")
    if "tcp" not in packet or source is None or address is None:
        return
    tcp, frame = packet.tcp, int(packet.number)
    number = str(tcp.get_field("stream"))
    opinion = streams.get(number)
    if opinion is None:
        if len(streams) >= MAX_SESSIONS:
            return
        ends = str(source), int(tcp.get_field("srcport")), str(address), int(tcp.get_field("dstport"))
        opinion = streams[number] = Opinion(ends=_ends(*ends), first=frame, last=frame, where=f"{ends[0]} port {ends[1]} -> {ends[2]} port {ends[3]}")
    opinion.last = frame
    for layer in packet.layers:
        name = _CLEAR.get(layer.layer_name)
        if name is not None:
            opinion.protocols.add(name)
            _take_names(opinion, layer, frame)
        elif layer.layer_name == "ntlmssp":
            _add_user(opinion, _values(layer, "auth_username"), frame)
        elif layer.layer_name == "tls":
            _take_tls(opinion, layer, frame)


def _take_names(opinion: Opinion, layer: Any, frame: int) -> None:
    """Names and mechanisms in a clear protocol; of what holds a password too, only the name is looked at."""
    kind = layer.layer_name
    if kind == "smtp":
        names = [_text64(value) for value in _values(layer, "auth_username")]
        names += [_second(_text64(value)) for value in _values(layer, "auth_username_password")]
        _add_user(opinion, names, frame)
    elif kind == "imap":
        _add_user(opinion, _values(layer, "request_username"), frame)
    elif kind == "pop":
        for command, parameter in zip(_values(layer, "request_command"), _values(layer, "request_parameter")):
            if command.upper() in ("USER", "APOP"):
                _add_user(opinion, [parameter.partition(" ")[0] if command.upper() == "APOP" else parameter], frame)
    elif kind == "http":
        for value in _values(layer, "authorization") + _values(layer, "proxy_authorization"):
            if len(opinion.schemes) < MAX_NAMES:
                opinion.schemes.add(value.partition(" ")[0].upper())
                opinion.frames.setdefault("HTTP login", frame)
        _add_user(opinion, [value.partition(":")[0] for value in _values(layer, "authbasic")], frame)
    elif kind == "dcerpc":
        for value in _values(layer, "cn_bind_to_uuid"):
            if len(opinion.interfaces) < MAX_NAMES:
                opinion.interfaces.add(value.lower())
                opinion.frames.setdefault("RPC interfaces", frame)


def _take_tls(opinion: Opinion, layer: Any, frame: int) -> None:
    kinds = _values(layer, "handshake_type")
    if not {"1", "2"} & set(kinds):
        return
    if "tls" not in opinion.protocols:
        opinion.tls_mode = "starttls" if opinion.protocols & (_LINES | {"ldap"}) else "implicit"
        opinion.protocols.add("tls")
        opinion.frames.setdefault("TLS mode", frame)
    if "1" in kinds and opinion.sni is None:
        names = _values(layer, "handshake_extensions_server_name")
        opinion.sni = names[0].lower() if names else None
        opinion.frames.setdefault("SNI", frame)
    if "2" in kinds and "1" not in kinds:
        versions, suites = _values(layer, "handshake_extensions_supported_version") or _values(layer, "handshake_version"), _values(layer, "handshake_ciphersuite")
        if versions and suites:  # of two hellos in a connection (RFC 8446 §4.1.4) the last one holds
            opinion.version, opinion.suite = version_name(int(versions[0], 16)), suite_name(int(suites[0], 16))
            opinion.frames.setdefault("TLS version", frame)
            opinion.frames.setdefault("cipher suite", frame)


def _values(layer: Any, name: str) -> list[str]:
    found = layer.get_field(name)
    return [str(one.show if one.show is not None else one) for one in found.all_fields] if found is not None else []


def _text64(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return value


def _second(text: str) -> str:
    """`authzid NUL authcid NUL password` (RFC 4616 §2)."""
    parts = text.split("\0")
    return parts[1] if len(parts) == 3 else ""


def _add_user(opinion: Opinion, names: Iterable[str], frame: int) -> None:
    for name in names:
        if name and name.upper() != "NULL" and len(opinion.users) < MAX_NAMES:
            opinion.users.add(_bare(name))
            opinion.frames.setdefault("user names", frame)


def _set_beside(comparison: Comparison, capture: str, ours: list[Opinion], theirs: list[Opinion], last: int, all_of_it: bool) -> None:
    by_ends: dict[tuple, list[Opinion]] = {}
    for opinion in theirs:
        by_ends.setdefault(opinion.ends, []).append(opinion)
    for mine in sorted(ours, key=lambda one: one.first):
        if mine.last > last or mine.first > last or mine.last == mine.first:  # behind what was read, or it goes on in another file
            comparison.not_compared += 1
            _match(by_ends, mine)
            continue
        comparison.sessions += 1
        other = _match(by_ends, mine)
        if other is None or not other.protocols:
            comparison.only_ours += 1
            continue
        _compare(comparison, capture, mine, other)
    if not all_of_it:
        return
    for rest in by_ends.values():
        for other in rest:
            if other.protocols & (_LINES | {"tls"}):
                _differ(comparison, Difference("conversation", other.where, "-", "/".join(sorted(other.protocols)), capture, other.first))


def _match(by_ends: dict[tuple, list[Opinion]], mine: Opinion) -> Opinion | None:
    """Wireshark's opinion on the same conversation; it is taken out."""
    known = by_ends.get(mine.ends, [])
    for number, other in enumerate(known):
        if mine.first <= other.first <= max(mine.last, mine.first):
            return known.pop(number)
    return None


def _compare(comparison: Comparison, capture: str, mine: Opinion, other: Opinion) -> None:
    def told(aspect: str, ours: str | None, theirs: str | None, same: bool) -> None:
        if same:
            comparison.agreed[aspect] += 1
        else:
            _differ(comparison, Difference(aspect, mine.where, ours or "-", theirs or "-", capture, mine.frames.get(aspect) or other.frames.get(aspect) or mine.first))

    if mine.protocols & _KNOWN:
        told("protocol", "/".join(sorted(mine.protocols)), "/".join(sorted(other.protocols)), bool(mine.protocols & other.protocols))
    else:
        comparison.only_ours += 1
    if mine.protocols & other.protocols:
        told("TLS mode", mine.tls_mode, other.tls_mode, mine.tls_mode == other.tls_mode)
    if mine.version or other.version:
        told("TLS version", mine.version, other.version, mine.version == other.version)
        told("cipher suite", mine.suite, other.suite, mine.suite == other.suite)
    if mine.sni or other.sni:
        told("SNI", mine.sni, other.sni, mine.sni == other.sni)
    for aspect, ours, theirs in (("user names", mine.users, other.users), ("HTTP login", mine.schemes, other.schemes), ("RPC interfaces", mine.interfaces, other.interfaces)):
        if theirs:  # Wireshark does not know every mechanism; where it says nothing it does not object
            told(aspect, ", ".join(sorted(ours)), ", ".join(sorted(theirs)), theirs <= ours)


def _differ(comparison: Comparison, difference: Difference) -> None:
    comparison.differed[difference.aspect] += 1
    if len(comparison.differences) < MAX_DIFFERENCES:
        comparison.differences.append(difference)
