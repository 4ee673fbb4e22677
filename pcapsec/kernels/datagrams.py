"""UDP that matters: the Initial packets of QUIC and IKE are kept, connectionless DCE/RPC and tunnels are counted, everything else is passed over."""
from __future__ import annotations

from numba import int64

from .flow_table import pair_hash
from .jit import part
from .layers import DPORT, DST_HIGH, DST_LOW, PAYLOAD_AT, PAYLOAD_LENGTH, SPORT, SRC_HIGH, SRC_LOW, TUNNEL, VLAN, WRAPPED
from .memory import copy, u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary
from .vpn import note_tunnel

_LEAST = 20  # bytes of an Initial packet with two empty connection ids and next to nothing in it
_IKE_PORT, _NAT_T = 500, 4500
_IKE_HEADER = 28
_IKE_MOST = 4096  # bytes kept of an IKE message: offers of every algorithm, a key of every kind and some certificates have room
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
def ike_at(data, at, end, packet):
    """Where an IKE message begins, -1 when there is none: port 500, or 4500 behind four zero bytes (RFC 3948 §2.2), a version and exchange that exist, as long as it says (RFC 7296 §3.1)."""
    if packet[SPORT] == _NAT_T or packet[DPORT] == _NAT_T:
        if end - at < 4 or u32(data, at) != 0:
            return -1
        at += 4
    elif packet[SPORT] != _IKE_PORT and packet[DPORT] != _IKE_PORT:
        return -1
    if end - at < _IKE_HEADER or u32(data, at + 24) != end - at or u32(data, at) == 0 and u32(data, at + 4) == 0:
        return -1
    exchange = int64(data[at + 18])
    if data[at + 17] >> 4 == 2 and 34 <= exchange <= 44 or data[at + 17] >> 4 == 1 and (1 <= exchange <= 6 or exchange == 32 or exchange == 33):
        return at
    return -1


@part
def _readable(data, at, length):
    """How many bytes of an IKE message are of use: all where it is not encrypted, else its header."""
    encrypted = data[at + 16] == 46 or data[at + 16] == 53 if data[at + 17] >> 4 == 2 else data[at + 19] & 1
    return _IKE_HEADER if encrypted else min(length, _IKE_MOST)


@part
def datagram(data, t, ts_ns, frame):
    """One UDP packet: DONE, or DATAGRAMS_FULL when the kept ones must be fetched before it is offered again."""
    packet, scalars, parameters = t.packet, t.scalars, t.parameters
    at, length = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH]
    kind = D_QUIC
    rpc = is_rpc(data, at, at + length)
    if not rpc and not is_initial(data, at, at + length):
        if parameters[P_JOB]:  # these are told by one worker, which sees them all
            return DONE
        begin = ike_at(data, at, at + length, packet)
        if begin < 0:
            if length >= 14:
                note_tunnel(data, at, length, t, ts_ns, frame)
            return DONE
        kind = D_IKE
        length = _readable(data, begin, at + length - begin)
        at = begin
    s0, s1, d0, d1 = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW]
    swapped = s0 > d0 or s0 == d0 and s1 > d1
    pair = pair_hash(d0, d1, s0, s1, parameters[P_SEED]) if swapped else pair_hash(s0, s1, d0, d1, parameters[P_SEED])
    if kind != D_IKE and parameters[P_JOBS] > 1 and ((pair >> 20) & 0xFFFFFF) % parameters[P_JOBS] != parameters[P_JOB]:
        return DONE
    ports = (packet[SPORT] << 48) | (packet[DPORT] << 32) | packet[TUNNEL]
    if parameters[P_HOST_SET] and not ((s0 & parameters[P_HOST_MASK0]) == parameters[P_HOST0] and (s1 & parameters[P_HOST_MASK1]) == parameters[P_HOST1]
                                       or (d0 & parameters[P_HOST_MASK0]) == parameters[P_HOST0] and (d1 & parameters[P_HOST_MASK1]) == parameters[P_HOST1]):
        return DONE
    if parameters[P_PORT] and packet[SPORT] != parameters[P_PORT] and packet[DPORT] != parameters[P_PORT]:
        return DONE
    if rpc:
        scalars[C_RPC_UDP] += 1
        scalars[C_RPC_UDP_BYTES] += length
        return DONE
    row, place = scalars[DATAGRAM_TOP], scalars[DATAGRAM_BYTES]
    if row >= len(t.datagrams) or place + length > len(t.datagram_data):
        return DATAGRAMS_FULL if row else DONE
    copy(t.datagram_data, place, data, at, length)
    t.datagrams[row, D_SRC0] = s0
    t.datagrams[row, D_SRC1] = s1
    t.datagrams[row, D_DST0] = d0
    t.datagrams[row, D_DST1] = d1
    t.datagrams[row, D_PORTS] = ports
    t.datagrams[row, D_NS] = ts_ns
    t.datagrams[row, D_FRAME] = frame
    t.datagrams[row, D_AT] = place
    t.datagrams[row, D_LENGTH] = length
    t.datagrams[row, D_STATE] = (packet[WRAPPED] << WRAP_SHIFT) | (packet[VLAN] << VLAN_SHIFT) | kind
    scalars[DATAGRAM_TOP] = row + 1
    scalars[DATAGRAM_BYTES] = place + length
    return DONE
