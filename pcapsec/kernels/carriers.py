"""Works on what scan() put aside: ESP, AH, WireGuard, OpenVPN are counted by association and pair, and ESP that does not encrypt is opened.

A kernel of its own, so that nobody waits for its compilation whose captures hold none of them.
"""
from __future__ import annotations

from .ipsec import esp, note_ah
from .jit import kernel, part
from .layers import (DPORT, DST_HIGH, DST_LOW, IP_VERSION, PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE, PROTOCOL, SPI, SPORT, SRC_HIGH, SRC_LOW, TUNNEL, VLAN, WRAPPED, inner_link)
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary
from .vpn import tunnel

_IPV4, _IPV6 = 4, 41  # next headers of a whole packet


@part
def _put(data, at, n, value):
    for i in range(n):
        data[at + i] = (value >> (8 * (n - 1 - i))) & 255


@part
def _header(data, at, wire, following, about, packet):
    """Write an IP header before a transport header that ESP carried without one; returns its length. Nobody looks at its checksum."""
    if packet[IP_VERSION] == 4:
        at -= 20
        _put(data, at, 4, 0x45000000 | (min(wire + 20, 0xFFFF)))
        _put(data, at + 4, 4, (about & 0xFFFF) << 16)
        _put(data, at + 8, 4, ((about >> 16) & 255) << 24 | following << 16)
        _put(data, at + 12, 4, packet[SRC_LOW])
        _put(data, at + 16, 4, packet[DST_LOW])
        return 20
    at -= 40
    _put(data, at, 4, 0x60000000)
    _put(data, at + 4, 4, min(wire, 0xFFFF) << 16 | following << 8 | ((about >> 16) & 255))
    _put(data, at + 8, 8, packet[SRC_HIGH])
    _put(data, at + 16, 8, packet[SRC_LOW])
    _put(data, at + 24, 8, packet[DST_HIGH])
    _put(data, at + 32, 8, packet[DST_LOW])
    return 40


@kernel
def examine(t, rows, data, n_rows, out_frames):
    """Count what was put aside, and open what can be opened.

    Args:
        t Tables                        `carriers` and `packet` are written
        rows int64[n, N_DATAGRAM]       kept datagrams; those that Python wants are moved to the front
        data uint8[:]                   their bytes; IP headers are written before what ESP carried
        n_rows int64                    how many
        out_frames int64[n, 5]          written: packets found inside, as scan() takes them with frame base 0
    Returns: (rows moved to the front, frames written).
    """
    packet = t.packet
    kept = n_inside = 0
    for i in range(n_rows):
        kind = rows[i, D_STATE] & D_KIND
        if kind <= D_ANSWER:
            if kept < i:
                for k in range(N_DATAGRAM):
                    rows[kept, k] = rows[i, k]
            kept += 1
            continue
        ports, state, about = rows[i, D_PORTS], rows[i, D_STATE], rows[i, D_IP]
        packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW] = rows[i, D_SRC0], rows[i, D_SRC1], rows[i, D_DST0], rows[i, D_DST1]
        packet[IP_VERSION] = 4 if packet[SRC_HIGH] == 0 and packet[SRC_LOW] >> 32 == 0xFFFF else 6
        packet[SPORT], packet[DPORT], packet[TUNNEL] = (ports >> 48) & 0xFFFF, (ports >> 32) & 0xFFFF, ports & 0xFFFFFFFF
        packet[WRAPPED], packet[VLAN] = (state >> WRAP_SHIFT) & 0xFFF, (state >> VLAN_SHIFT) & 0xFFF
        ts_ns, frame, at, length, wire = rows[i, D_NS], rows[i, D_FRAME], rows[i, D_AT], rows[i, D_LENGTH], about >> 32
        if kind == D_AH:
            packet[SPI] = ports & 0xFFFFFFFF
            note_ah(t, ts_ns, frame, wire)
        elif kind == D_TUNNEL:
            tunnel(t, data, at, length, wire, ts_ns, frame)
        else:
            packet[PROTOCOL] = (about >> 24) & 255
            packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE] = at, length, max(length, wire)
            following = esp(data, t, ts_ns, frame)
            if following >= 0 and n_inside < len(out_frames):
                begin, length, wire = packet[PAYLOAD_AT], packet[PAYLOAD_LENGTH], packet[PAYLOAD_WIRE]
                head = 0
                if following != _IPV4 and following != _IPV6:
                    head = _header(data, begin, wire, following, about, packet)
                out_frames[n_inside, 0] = begin - head
                out_frames[n_inside, 1] = length + head
                out_frames[n_inside, 2] = (wire + head) | ((frame - n_inside) << 32)
                out_frames[n_inside, 3] = ts_ns
                out_frames[n_inside, 4] = inner_link(packet)
                n_inside += 1
    if t.scalars[C_TUNNELS] == 1:
        t.scalars[C_TUNNELS] = 0
    return kept, n_inside
