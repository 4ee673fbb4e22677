"""A finished conversation as the Session that rules judge and tables show."""
from __future__ import annotations

import hashlib
import socket
import struct

from ..kernels import layers, tables
from ..kernels.assembly import R_BAD_A, R_CHECKED_A, R_CONFLICTS, R_DUPLICATES, R_MAX_IP, R_SENT_A, R_TRUNCATED, R_TRUNCATED_BYTES, R_UNSEEN_A
from ..protocols.x509_trust import TrustStore
from ..records import CLIENT, SERVER, Facts, Session
from .conversation import Conversation
from .packets import read_hints
from .services import provider_of, service_of, sureness

_DAY_NS = 86_400_000_000_000
_WRAP_NAMES = ((layers.W_VLAN, "vlan"), (layers.W_MPLS, "mpls"), (layers.W_PPPOE, "pppoe"), (layers.W_GRE, "gre"), (layers.W_ERSPAN, "erspan"),
               (layers.W_VXLAN, "vxlan"), (layers.W_GENEVE, "geneve"), (layers.W_IPIP, "ipip"), (layers.W_GTP, "gtp"), (layers.W_TEREDO, "teredo"), (layers.W_AH, "ah"),
               (layers.W_ESP_NULL, "esp-null"))
_MASK64 = (1 << 64) - 1
_addresses: dict[tuple[int, int], str] = {}


def address_text(high: int, low: int) -> str:
    """Two int64 of the flow table as an address in text; ::ffff:0:0/96 is IPv4."""
    known = _addresses.get((high, low))
    if known is None:
        if len(_addresses) > 65536:
            _addresses.clear()
        if high == 0 and (low >> 32) & 0xFFFFFFFF == 0xFFFF:
            known = socket.inet_ntop(socket.AF_INET, struct.pack("!I", low & 0xFFFFFFFF))
        else:
            known = socket.inet_ntop(socket.AF_INET6, struct.pack("!QQ", high & _MASK64, low & _MASK64))
        _addresses[(high, low)] = known
    return known


def session_id(row: list[int], first_sequence: tuple[int, int]) -> str:
    """The same conversation has the same id in any file, window, job or run: protocol number, endpoints, tunnel, first sequence of each side, day."""
    return hashed_id(6, row, first_sequence, row[tables.FIRST_NS])


def hashed_id(protocol: int, key, first_sequence: tuple[int, int], ts_ns: int) -> str:
    """A session id from the IP protocol number, five words of a flow's key, the first sequences and the day."""
    packed = struct.pack("!B5q2Iq", protocol, key[0], key[1], key[2], key[3], key[4], first_sequence[0], first_sequence[1], ts_ns // _DAY_NS)
    return hashlib.blake2b(packed, digest_size=8).hexdigest()


def encapsulation(state: int) -> str:
    wrapped = (state >> tables.WRAP_SHIFT) & 0xFFF
    if not wrapped:
        return ""
    vlan = (state >> tables.VLAN_SHIFT) & 0xFFF
    return "/".join(f"vlan.{vlan}" if bit == layers.W_VLAN else name for bit, name in _WRAP_NAMES if wrapped & bit)


def reset_by(state: int, flip: int) -> int | None:
    """The side that sent a RST, the server if both did."""
    if not state & (tables.RST_A | tables.RST_B):
        return None
    return SERVER if state & (tables.RST_A if flip else tables.RST_B) else CLIENT


def goodbye(state: int) -> bool | None:
    """Whether who closed a TLS connection of mail had sent an alert before; None: nobody closed, or nobody looked."""
    if state & tables.CLASS_MASK not in (tables.MAIL, tables.MAIL_TLS) or not state & (tables.COUNT_A | tables.COUNT_B):
        return None
    if not state & (tables.FIN_A | tables.FIN_B | tables.RST_A | tables.RST_B):
        return None
    return bool(state & (tables.ALERT_B if state & tables.ENDED_B else tables.ALERT_A))


def build_session(conversation: Conversation, locate_frame) -> Session:
    """Sum a conversation up.

    Args:
        conversation: a finished one, protocol recognised or on a mail port.
        locate_frame: global frame number -> (capture name, frame in it).
    """
    row, totals = conversation.row, conversation.totals
    flip = conversation.flip
    state = row[tables.STATE]
    a_ip, b_ip = address_text(row[0], row[1]), address_text(row[2], row[3])
    port_a, port_b = conversation.ports()
    bytes_a, bytes_b = row[tables.BYTES_A], row[tables.BYTES_B]
    if flip == 0:
        client_ip, client_port, server_ip, server_port, bytes_c, bytes_s = a_ip, port_a, b_ip, port_b, bytes_a, bytes_b
        a, b, seen_c, seen_s = 0, 1, state & tables.ISN_A, state & tables.ISN_B
    else:
        client_ip, client_port, server_ip, server_port, bytes_c, bytes_s = b_ip, port_b, a_ip, port_a, bytes_b, bytes_a
        a, b, seen_c, seen_s = 1, 0, state & tables.ISN_B, state & tables.ISN_A
    facts = conversation.facts
    protocol = conversation.protocol or "unknown"
    if facts is None:
        facts = Facts(protocol=protocol)
    if protocol not in ("tls", "other"):
        protocol = facts.protocol
    unparsed = conversation.fault
    if protocol == "other":
        protocol = "unknown"
        facts.protocol = "unknown"
        unparsed = "no mail protocol recognised"
    handshake = conversation.handshake
    implicit = protocol == "tls"

    unseen = list(conversation.unseen)
    start_seen = bool(state & (tables.ISN_A | tables.ISN_B))
    packets_c, packets_s = bytes_c & 0xFFFFFF, bytes_s & 0xFFFFFF
    unseen_c, unseen_s = (totals[R_UNSEEN_A + side] - bool(totals[R_UNSEEN_A + side] and state & (tables.FIN_A, tables.FIN_B)[side]) for side in (a, b))  # a FIN is acknowledged too
    silent_c = not bytes_c >> 24 and (unseen_c > 0 or packets_c == 0 and not seen_c)
    silent_s = not bytes_s >> 24 and (unseen_s > 0 or packets_s == 0 and not state & (tables.SYNACK_B if flip == 0 else tables.SYNACK_A))
    if silent_c:
        unseen[CLIENT] = "one_sided"
    if silent_s:
        unseen[SERVER] = "one_sided"
    if not seen_c and unseen[CLIENT] is None:
        unseen[CLIENT] = "midstream"
    if not seen_s and unseen[SERVER] is None:
        unseen[SERVER] = "midstream"
    if state & tables.EVICTED:
        unseen = [unseen[0] or "evicted", unseen[1] or "evicted"]
        completeness = "evicted"
    elif silent_c or silent_s:
        completeness = "one_sided"
    elif not start_seen:
        completeness = "midstream"
    elif conversation.n_gaps and conversation.n_gaps > totals[R_TRUNCATED]:
        completeness = "gapped"
    elif totals[R_TRUNCATED]:
        completeness = "truncated"
    else:
        completeness = "full"
    service, source = service_of(protocol, facts, handshake, server_port)
    frames = row[tables.FRAMES]
    first_frame = frames >> 28
    name, frame = locate_frame(first_frame)
    last_name, last_frame = locate_frame(first_frame + (frames & 0xFFFFFFF))
    if last_name != name:
        last_frame = frame

    def locate(side: int, at: int) -> tuple[str, int, int]:
        where, ts_ns = conversation.place(side, at)
        found, number = locate_frame(where)
        return found, number, ts_ns

    session = Session(
        session_id=session_id(row, conversation.first_sequence), capture=name, start_ns=row[tables.FIRST_NS], end_ns=row[tables.LAST_NS], frame=frame,
        last_frame=last_frame, client_ip=client_ip, client_port=client_port, server_ip=server_ip, server_port=server_port,
        role_source=conversation.role_source, facts=facts, tls=handshake, protocol=protocol, service=service, service_source=source,
        service_confidence=sureness(source, handshake), provider=provider_of(handshake),
        tls_mode="starttls" if facts.tls_started or conversation.turned_tls or state & tables.TURNED_TLS else "implicit" if implicit else "none", completeness=completeness,
        unseen_client=unseen[CLIENT], unseen_server=unseen[SERVER], start_seen=start_seen, packets_client=packets_c, packets_server=packets_s,
        bytes_client=bytes_c >> 24, bytes_server=bytes_s >> 24, gap_bytes_client=conversation.gap_bytes[CLIENT],
        gap_bytes_server=conversation.gap_bytes[SERVER], n_gaps=conversation.n_gaps, n_truncated_frames=totals[R_TRUNCATED],
        truncated_bytes=totals[R_TRUNCATED_BYTES], n_duplicate_frames=totals[R_DUPLICATES], n_overlap_conflicts=totals[R_CONFLICTS],
        n_checked_client=totals[R_CHECKED_A + a], n_checked_server=totals[R_CHECKED_A + b], n_bad_checksum_client=totals[R_BAD_A + a],
        n_bad_checksum_server=totals[R_BAD_A + b], max_ip_length=totals[R_MAX_IP], acked_unseen_client=unseen_c, acked_unseen_server=unseen_s,
        finished=bool(state & (tables.FIN_A | tables.FIN_B | tables.RST_A | tables.RST_B)), reset_by=reset_by(state, flip), unparsed=unparsed, encapsulation=encapsulation(state), locate=locate,
        ttl_client=totals[R_SENT_A + a] & 0xFF or None, ttl_server=totals[R_SENT_A + b] & 0xFF or None, n_hints=len(conversation.hints or ()),
        packets=lambda: read_hints(conversation, locate_frame))
    if handshake is not None:
        session.goodbye = goodbye(state)
        if session.goodbye is not None:
            session.closed_by = (1 if state & tables.ENDED_B else 0) ^ flip
    if conversation.hints:
        session.ttl_client, session.ttl_server = session.packet_hints.ttl_client, session.packet_hints.ttl_server
    return session


def verify(session: Session, trust: TrustStore) -> None:
    """Say in the session's handshake whether the server's certificates lead to a root that the user gave, at the time when they were sent."""
    tls = session.tls
    if tls is None or tls.chain_length is None:
        return
    ns = session.start_ns
    if session.locate is not None and tls.certificate_at is not None:
        ns = session.locate(SERVER, tls.certificate_at)[2]
    tls.trust_error = trust.why_not(tls.certificates, ns)
    tls.trusted = tls.trust_error is None
