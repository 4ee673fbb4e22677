"""UDP that matters: the Initial packets of QUIC, IKE and what begins a tunnel are kept, connectionless DCE/RPC is counted, everything else is passed over. ESP and AH are kept likewise.
DNS is looked at in names.py.

What hides or wraps mail (ESP, AH, tunnels) is only put aside here and worked on by a kernel of its own (carriers.py), which is compiled when a capture holds any.
"""
from __future__ import annotations

from numba import int64

from .flow_table import pair_hash
from .jit import part
from .layers import DPORT, DST_HIGH, DST_LOW, IP_ID, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, PROTOCOL, SPI, SPORT, SRC_HIGH, SRC_LOW, TTL, TUNNEL, VLAN, W_ESP_NULL, WRAPPED
from .memory import copy, u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_LEAST = 20  # bytes of an Initial packet with two empty connection ids and next to nothing in it
_IKE_PORT, _NAT_T, OPENVPN_PORT, _DNS_PORT = 500, 4500, 1194, 53
_MOST = 4096  # bytes kept of IKE (offers of every algorithm, a key of every kind and some certificates have room) and of tunnels
INITIATION = 148  # bytes of WireGuard's first packet (Donenfeld 2017, §5.4.2)
RESET_CLIENT, RESET_CLIENT_3 = 0x38, 0x50  # P_CONTROL_HARD_RESET_CLIENT_V2 and _V3 with key 0 (OpenVPN, draft-openvpn-wire-protocol §4)
HEADROOM = 40  # bytes before an ESP packet, where an IP header for what it carries can be written
_RPC_HEADER = 80  # bytes of a connectionless PDU's header (C706 §12.5.2)


@part
def is_initial(data, at, end):
    """A QUIC long header of type Initial: version 1 (RFC 9000 §17.2.2), 2 (RFC 9369 §3.2) or an IETF draft from 22 on."""
    if end - at < _LEAST or data[at] & 0xC0 != 0xC0:
        return False
    version = (int64(data[at + 1]) << 24) | (int64(data[at + 2]) << 16) | (int64(data[at + 3]) << 8) | int64(data[at + 4])
    kind = (int64(data[at]) >> 4) & 3
    if version == 0x6B3343CF:
        return kind == 1
    return kind == 0 and (version == 1 or 0xFF000016 <= version <= 0xFF000022)


@part
def is_rpc(data, at, end):
    """A connectionless DCE/RPC header: version 4, a type up to 10, sane data representation, a body as long as it says."""
    if end - at < _RPC_HEADER or data[at] != 4 or data[at + 1] > 10 or int64(data[at + 4]) & 0xEF or data[at + 5] > 3 or data[at + 6]:
        return False
    low, high = int64(data[at + 74]), int64(data[at + 75])
    length = low | high << 8 if data[at + 4] else low << 8 | high
    return length <= end - at - _RPC_HEADER


@part
def may_begin_openvpn(data, at, length, packet):
    """A client's reset with key 0, on its port or with packet id 0 at its end; what it is worth is found out where tunnels are counted (vpn.py)."""
    if length < 14 or data[at] != RESET_CLIENT and data[at] != RESET_CLIENT_3:
        return False
    return packet[SPORT] == OPENVPN_PORT or packet[DPORT] == OPENVPN_PORT or length < 100 and u32(data, at + length - 4) == 0 and packet[SPORT] != _DNS_PORT and packet[DPORT] != _DNS_PORT


@part
def _hides(data, at, length, t):
    """D_IKE on its ports (on 4500 behind four zero bytes, RFC 3948 §2.2), D_TUNNEL for what begins WireGuard or OpenVPN or may go on with it, else -1."""
    packet, known = t.packet, t.scalars[C_TUNNELS]
    sport, dport, word = packet[SPORT], packet[DPORT], u32(data, at)
    if sport == _IKE_PORT or dport == _IKE_PORT or word == 0 and (sport == _NAT_T or dport == _NAT_T):
        return D_IKE
    if word & 0xFFFFFF == 0:
        return D_TUNNEL if known or word >> 24 == 1 and length == INITIATION else -1
    return D_TUNNEL if known and 1 <= word >> 27 <= 11 or may_begin_openvpn(data, at, length, packet) else -1


@part
def of_use(data, packet, t):
    """What kind of a UDP datagram is to be kept (D_QUIC, D_IKE, D_TUNNEL), and as much of it as PAYLOAD_LENGTH says then; -1: it is not."""
    scalars, parameters = t.scalars, t.parameters
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    kind = D_QUIC
    rpc = is_rpc(data, at, at + length)
    if not rpc and not is_initial(data, at, at + length):
        if parameters[P_JOB] or length < 14:  # these are told by one worker, which sees them all
            return -1
        kind = _hides(data, at, length, t)
        if kind < 0:
            return -1
        if kind == D_TUNNEL and scalars[C_TUNNELS] == 0:
            scalars[C_TUNNELS] = 1
        packet[PAYLOAD_LENGTH] = min(length, _MOST)
    s0, s1, d0, d1 = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW]
    swapped = s0 > d0 or s0 == d0 and s1 > d1
    pair = pair_hash(d0, d1, s0, s1, parameters[P_SEED]) if swapped else pair_hash(s0, s1, d0, d1, parameters[P_SEED])
    if kind == D_QUIC and parameters[P_JOBS] > 1 and ((pair >> 20) & 0xFFFFFF) % parameters[P_JOBS] != parameters[P_JOB]:
        return -1
    if parameters[P_HOST_SET] and not ((s0 & parameters[P_HOST_MASK0]) == parameters[P_HOST0] and (s1 & parameters[P_HOST_MASK1]) == parameters[P_HOST1]
                                       or (d0 & parameters[P_HOST_MASK0]) == parameters[P_HOST0] and (d1 & parameters[P_HOST_MASK1]) == parameters[P_HOST1]):
        return -1
    if parameters[P_PORT] and packet[SPORT] != parameters[P_PORT] and packet[DPORT] != parameters[P_PORT]:
        return -1
    if rpc:
        scalars[C_RPC_UDP] += 1
        scalars[C_RPC_UDP_BYTES] += length
        return -1
    return kind


@part
def keep(data, at, length, kind, t, ts_ns, frame):
    """Keep a datagram, an answer, an ESP packet, or of AH the mere fact: DONE, or DATAGRAMS_FULL when the kept ones must be fetched before it is offered again."""
    packet, scalars = t.packet, t.scalars
    row, place = scalars[DATAGRAM_TOP], scalars[DATAGRAM_BYTES]
    if kind == D_AH:
        length = 0
    elif kind == D_ESP:
        if length < 12 or packet[WRAPPED] & W_ESP_NULL:  # one inside the other is counted once
            return DONE
        place += HEADROOM
    if row >= len(t.datagrams) or place + length > len(t.datagram_data):
        return DATAGRAMS_FULL if row else DONE
    copy(t.datagram_data, place, data, at, length)
    t.datagrams[row, D_SRC0] = packet[SRC_HIGH]
    t.datagrams[row, D_SRC1] = packet[SRC_LOW]
    t.datagrams[row, D_DST0] = packet[DST_HIGH]
    t.datagrams[row, D_DST1] = packet[DST_LOW]
    t.datagrams[row, D_PORTS] = (packet[SPORT] << 48) | (packet[DPORT] << 32) | (packet[SPI] if kind == D_AH else packet[TUNNEL])
    t.datagrams[row, D_NS] = ts_ns
    t.datagrams[row, D_FRAME] = frame
    t.datagrams[row, D_AT] = place
    t.datagrams[row, D_LENGTH] = length
    t.datagrams[row, D_STATE] = (packet[WRAPPED] << WRAP_SHIFT) | (packet[VLAN] << VLAN_SHIFT) | kind
    t.datagrams[row, D_IP] = packet[IP_ID] | (packet[TTL] << 16) | (packet[PROTOCOL] << 24) | (packet[PAYLOAD_WIRE] << 32)
    scalars[DATAGRAM_TOP] = row + 1
    scalars[DATAGRAM_BYTES] = place + length
    if kind > D_ANSWER:
        scalars[C_CARRIED] += 1
    return DONE
