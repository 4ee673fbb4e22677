"""Tunnels that hide what they carry, known by how they begin: WireGuard and OpenVPN. One is believed when its first packet was answered by one that repeats its number."""
from __future__ import annotations

from numba import int64

from .ipsec import carrier, find_carrier
from .jit import part
from .layers import DPORT, DST_HIGH, DST_LOW, SPORT, SRC_HIGH, SRC_LOW
from .memory import u16, u32
from .tables import *  # noqa: F403 - the layout's names are this module's vocabulary

_INITIATION, _RESPONSE = 148, 92  # bytes (WireGuard, Donenfeld 2017, §5.4.2-3)
_RESET_CLIENT_2, _RESET_SERVER_2, _RESET_CLIENT_3 = 7, 8, 10  # P_CONTROL_HARD_RESET_* (OpenVPN wire protocol, draft-openvpn-wire-protocol §4)
_OPENVPN_PORT = 1194
_TLS_CRYPT = 54  # bytes of a client's reset where tls-crypt hides all but its session id


@part
def _reset(data, at, length, port):
    """Whether a packet begins OpenVPN: opcode with key 0, session id, perhaps an HMAC with number and time, then no acknowledgements and packet id 0; tls-crypt shows only the opcode."""
    if data[at] != _RESET_CLIENT_2 << 3 and data[at] != _RESET_CLIENT_3 << 3 or u32(data, at + 1) == 0:
        return False
    auth = length - 14 - 8  # bytes of HMAC: MD5, SHA-1, SHA-2
    if length == 14 or auth == 16 or auth == 20 or auth == 28 or auth == 32 or auth == 48 or auth == 64:
        if u32(data, at + length - 4) == 0 and data[at + length - 5] == 0:
            return True
    return port and length >= _TLS_CRYPT


@part
def _count(data, at, length, t, kind, ts_ns, frame, begins, answers):
    """Count a packet of a tunnel: it is begun, answered (`answers` is the number that the first packet had), or goes on."""
    packet = t.packet
    s0, s1, d0, d1, sport, dport = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], packet[SPORT], packet[DPORT]
    side = 1
    if s0 > d0 or s0 == d0 and (s1 > d1 or s1 == d1 and sport > dport):
        s0, s1, d0, d1, sport, dport, side = d0, d1, s0, s1, dport, sport, 2
    key = kind << 32 | sport << 16 | dport
    row, _victim = find_carrier(t, s0, s1, d0, d1, key, ts_ns)
    if row < 0 and begins < 0:
        return
    row = carrier(t, s0, s1, d0, d1, key, ts_ns, frame, length)
    rows = t.carriers
    rows[row, V_LAST_FRAME] = frame
    rows[row, V_PORTS] = sport << 16 | dport
    if begins >= 0 and rows[row, V_STATE] == CARRIER_OPEN:
        rows[row, V_NEXT] = begins
        rows[row, V_FORM] = side
        t.scalars[C_TUNNELS] = 1
    elif answers >= 0 and answers == rows[row, V_NEXT] and side != rows[row, V_FORM]:
        rows[row, V_STATE] = CARRIER_CLEAR


@part
def note_tunnel(data, at, length, t, ts_ns, frame):
    """Look at a UDP datagram."""
    first = int64(data[at])
    if 1 <= first <= 4 and length >= 32 and data[at + 1] == 0 and data[at + 2] == 0 and data[at + 3] == 0:
        begins = u32(data, at + 4) if first == 1 and length == _INITIATION else -1
        answers = u32(data, at + 8) if first == 2 and length == _RESPONSE else -1
        if begins >= 0 or t.scalars[C_TUNNELS]:
            _count(data, at, length, t, KIND_WIREGUARD, ts_ns, frame, begins, answers)
        return
    port = t.packet[SPORT] == _OPENVPN_PORT or t.packet[DPORT] == _OPENVPN_PORT
    if length >= 14 and _reset(data, at, length, port):
        _count(data, at, length, t, KIND_OPENVPN, ts_ns, frame, u32(data, at + 5), int64(-1))
    elif t.scalars[C_TUNNELS] and 1 <= first >> 3 <= 11:
        answers = -1
        if first == _RESET_SERVER_2 << 3 and length >= 26:  # it ends with the session id that it answers and a packet id; under tls-crypt that cannot be read
            answers = u32(data, at + length - 8)
            if port and length == _TLS_CRYPT + 12:
                row_answer = _client_number(t, ts_ns)
                answers = row_answer if row_answer >= 0 else answers
        _count(data, at, length, t, KIND_OPENVPN, ts_ns, frame, int64(-1), answers)


@part
def _client_number(t, ts_ns):
    """The number that the reset of this pair had, -1 when there was none."""
    packet = t.packet
    s0, s1, d0, d1, sport, dport = packet[SRC_HIGH], packet[SRC_LOW], packet[DST_HIGH], packet[DST_LOW], packet[SPORT], packet[DPORT]
    if s0 > d0 or s0 == d0 and (s1 > d1 or s1 == d1 and sport > dport):
        s0, s1, d0, d1, sport, dport = d0, d1, s0, s1, dport, sport
    row, _victim = find_carrier(t, s0, s1, d0, d1, KIND_OPENVPN << 32 | sport << 16 | dport, ts_ns)
    return t.carriers[row, V_NEXT] if row >= 0 else -1


@part
def note_tunnel_tcp(data, at, length, t, ts_ns, frame):
    """Look at the first segment of a TCP conversation: OpenVPN puts a length before each packet."""
    if length >= 16 and u16(data, at) == length - 2:
        port = t.packet[SPORT] == _OPENVPN_PORT or t.packet[DPORT] == _OPENVPN_PORT
        if _reset(data, at + 2, length - 2, port):
            _count(data, at + 2, length - 2, t, KIND_OPENVPN_TCP, ts_ns, frame, u32(data, at + 7), int64(-1))
