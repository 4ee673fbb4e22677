"""Tunnels that hide what they carry, known by how they begin: WireGuard and OpenVPN. One is believed when its first packet was answered by one that repeats its number."""
from __future__ import annotations

from numba import int64

from .datagrams import INITIATION, OPENVPN_PORT, may_begin_openvpn
from .ipsec import carrier, find_carrier
from .jit import part
from .layers import DPORT, DST_HIGH, DST_LOW, SPORT, SRC_HIGH, SRC_LOW
from .memory import u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_RESPONSE = 92  # bytes of WireGuard's answer (Donenfeld 2017, §5.4.3)
_RESET_SERVER = 0x40  # P_CONTROL_HARD_RESET_SERVER_V2 with key 0 (OpenVPN, draft-openvpn-wire-protocol §4)
_TLS_CRYPT = 66  # bytes of the server's reset where tls-crypt hides all but its session id


@part
def _begins_openvpn(data, at, length, packet):
    """Whether a packet begins OpenVPN: session id, perhaps an HMAC with number and time, no acknowledgements, packet id 0. With tls-crypt only the opcode can be read: the port must tell."""
    if not may_begin_openvpn(data, at, length, packet) or u32(data, at + 1) == 0:
        return False
    if packet[SPORT] == OPENVPN_PORT or packet[DPORT] == OPENVPN_PORT:
        return True
    auth = length - 22  # bytes of HMAC: MD5, SHA-1, SHA-2
    return (length == 14 or auth == 16 or auth == 20 or auth == 28 or auth == 32 or auth == 48 or auth == 64) and u32(data, at + length - 4) == 0 and data[at + length - 5] == 0


@part
def tunnel(t, data, at, length, wire, ts_ns, frame):
    """Count a packet that begins a tunnel, answers or goes on with what was begun."""
    packet, rows = t.packet, t.carriers
    sport, dport = packet[SPORT], packet[DPORT]
    a0, a1, b0, b1, side = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], 1
    if a0 > b0 or a0 == b0 and (a1 > b1 or a1 == b1 and sport > dport):
        a0, a1, b0, b1, sport, dport, side = b0, b1, a0, a1, dport, sport, 2
    first = int64(data[at])
    port = sport == OPENVPN_PORT or dport == OPENVPN_PORT
    kind, begins, answers = KIND_OPENVPN, -1, -1
    if 1 <= first <= 4:
        kind = KIND_WIREGUARD
        if first == 1 and wire == INITIATION:
            begins = u32(data, at + 4)
        elif first == 2 and wire == _RESPONSE:
            answers = u32(data, at + 8)
    elif _begins_openvpn(data, at, length, packet):
        begins = u32(data, at + 5)
    elif first == _RESET_SERVER and 26 <= wire == length:  # it ends with the session id that it answers and a packet id
        answers = u32(data, at + length - 8)
    key = kind << 32 | sport << 16 | dport
    row, _victim = find_carrier(t, a0, a1, b0, b1, key, ts_ns)
    if row < 0 and begins < 0:
        return
    if begins >= 0:
        t.scalars[C_TUNNELS] = 2
    row = carrier(t, a0, a1, b0, b1, key, ts_ns, frame, wire)
    rows[row, V_PORTS] = sport << 16 | dport
    if begins >= 0:
        if rows[row, V_STATE] == CARRIER_OPEN:
            rows[row, V_NEXT] = begins
            rows[row, V_FORM] = side
    elif answers >= 0 and side != rows[row, V_FORM] and (answers == rows[row, V_NEXT] or port and wire == _TLS_CRYPT):
        rows[row, V_STATE] = CARRIER_CLEAR
