"""How TCP connections were opened: one row for each SYN and SYN/ACK, whatever the connection carries."""
from __future__ import annotations

from numba import int64

from .jit import kernel
from .layers import ACK, ACK_FLAG, DPORT, DST_HIGH, DST_LOW, FLAGS, SEQ, SPORT, SRC_HIGH, SRC_LOW, SYN, TCP, TCP_AT, TTL, decode
from .memory import u16, u32
from .tables import P_HOST0, P_HOST1, P_HOST_MASK0, P_HOST_MASK1, P_HOST_SET, P_PORT, P_SINCE, P_UNTIL

# columns of a row, int64[N_OPENING]
O_SRC0, O_SRC1, O_DST0, O_DST1, O_PORTS, O_SEQ, O_ACK, O_NS, O_FRAME = 0, 1, 2, 3, 4, 5, 6, 7, 8  # O_PORTS: source << 16 | destination
O_ANSWER, O_TTL, O_WINDOW, O_MSS, O_SHAPE, O_TIMESTAMP = 9, 10, 11, 12, 13, 14  # O_ANSWER: 1 for SYN/ACK; O_SHAPE: kinds of TCP options in order, folded; -1: not there
N_OPENING = 15


@kernel
def openings(data, frames, first, last, frame_base, parameters, packet, out, n):
    """Note the SYNs of a window.

    Args:
        data uint8[:]           the window
        frames int64[n, 5]      offset, captured length, original length, ts_ns, link type
        first, last int64       rows to take
        frame_base int64        number of row 0 over the whole capture, from 1
        parameters int64[:]     as kernels/tables.py lays them out: which hosts, ports and times
        packet int64[N_PACKET]  scratch
        out int64[:, N_OPENING] written from row n on
    Returns: (row to go on at, rows written so far): `last` when all were taken, less when `out` is full.
    """
    for i in range(first, last):
        ts_ns = frames[i, 3]
        if ts_ns < parameters[P_SINCE] or ts_ns >= parameters[P_UNTIL]:
            continue
        at = frames[i, 0]
        end = at + frames[i, 1]
        if decode(data, at, end, frames[i, 4], at + max(frames[i, 1], frames[i, 2]), 0, packet) != TCP or not packet[FLAGS] & SYN:
            continue
        if parameters[P_PORT] and packet[SPORT] != parameters[P_PORT] and packet[DPORT] != parameters[P_PORT]:
            continue
        if parameters[P_HOST_SET]:
            m0, m1 = parameters[P_HOST_MASK0], parameters[P_HOST_MASK1]
            h0, h1 = parameters[P_HOST0], parameters[P_HOST1]
            if not (packet[SRC_HIGH] & m0 == h0 and packet[SRC_LOW] & m1 == h1 or packet[DST_HIGH] & m0 == h0 and packet[DST_LOW] & m1 == h1):
                continue
        if n >= len(out):
            return i, n
        out[n, O_SRC0] = packet[SRC_HIGH]
        out[n, O_SRC1] = packet[SRC_LOW]
        out[n, O_DST0] = packet[DST_HIGH]
        out[n, O_DST1] = packet[DST_LOW]
        out[n, O_PORTS] = packet[SPORT] << 16 | packet[DPORT]
        out[n, O_SEQ] = packet[SEQ]
        out[n, O_ACK] = packet[ACK]
        out[n, O_NS] = ts_ns
        out[n, O_FRAME] = frame_base + i
        out[n, O_ANSWER] = 1 if packet[FLAGS] & ACK_FLAG else 0
        out[n, O_TTL] = packet[TTL]
        pos = packet[TCP_AT]
        out[n, O_WINDOW] = u16(data, pos + 14)
        out[n, O_MSS] = out[n, O_TIMESTAMP] = -1
        shape = 0
        stop = min(end, pos + (int64(data[pos + 12]) >> 4) * 4)
        pos += 20
        while pos < stop:  # RFC 9293 §3.1: kind, and length for all but 0 and 1
            kind = int64(data[pos])
            shape = (shape * 31 + kind + 1) & 0xFFFFFFFF
            if kind == 0:
                break
            if kind == 1:
                pos += 1
                continue
            if pos + 2 > stop:
                break
            length = int64(data[pos + 1])
            if length < 2 or pos + length > stop:
                break
            if kind == 2 and length == 4:
                out[n, O_MSS] = u16(data, pos + 2)
            elif kind == 8 and length == 10:
                out[n, O_TIMESTAMP] = u32(data, pos + 2)
            pos += length
        out[n, O_SHAPE] = shape
        n += 1
    return last, n
