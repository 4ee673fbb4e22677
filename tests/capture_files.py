"""Captures written byte by byte, and a slow obvious reader of them, so that the walk is never its own witness."""
from __future__ import annotations

import struct

DAY_NS = 86400 * 1_000_000_000
START_NS = 1_700_000_000 * 1_000_000_000


def pcap_head(*, order="<", magic=0xA1B2C3D4, version=(2, 4), snap_length=65535, link=1) -> bytes:
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snap_length, link)


def pcap_record(frame: bytes, ts_ns: int = START_NS, *, order="<", nano=False, original=None, extra=b"") -> bytes:
    """One record; `extra` stands behind the four words, as old variants have it."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    original = len(frame) if original is None else original
    return struct.pack(order + "IIII", seconds, rest if nano else rest // 1000, len(frame), original) + extra + frame


def pcap(frames, *, start_ns=START_NS, step_ns=1_000_000, order="<", nano=False, link=1) -> bytes:
    """A whole file with a frame every step_ns."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    records = [pcap_record(frame, start_ns + n * step_ns, order=order, nano=nano) for n, frame in enumerate(frames)]
    return pcap_head(order=order, magic=magic, link=link) + b"".join(records)


def frames(n: int, size: int = 60) -> list[bytes]:
    """n frames of different lengths; no byte sequence in them could pass for a record header."""
    return [bytes(0x80 | (n + k) % 127 for k in range(size + n % 7)) for n in range(n)]


def option(code: int, value: bytes, order="<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, order="<") -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order="<", options=b"") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link=1, snap_length=0, order="<", options=b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snap_length) + options, order)


def enhanced(frame: bytes, ticks: int, which=0, *, original=None, captured=None, order="<", options=b"") -> bytes:
    """An enhanced packet block; ticks in the interface's own unit."""
    original = len(frame) if original is None else original
    captured = len(frame) if captured is None else captured
    body = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, captured, original)
    return block(6, body + frame + bytes(-len(frame) % 4) + options, order)


def simple(frame: bytes, original=None, order="<") -> bytes:
    return block(3, struct.pack(order + "I", len(frame) if original is None else original) + frame, order)


def old_packet(frame: bytes, ticks: int, which=0, drops=0xFFFF, order="<") -> bytes:
    body = struct.pack(order + "HHIIII", which, drops, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(2, body + frame, order)


def statistics(which=0, order="<", if_dropped=None, os_dropped=None) -> bytes:
    options = b""
    if if_dropped is not None:
        options += option(5, struct.pack(order + "Q", if_dropped), order)
    if os_dropped is not None:
        options += option(7, struct.pack(order + "Q", os_dropped), order)
    return block(5, struct.pack(order + "III", which, 0, 0) + options, order)


def pcapng(list_of_frames, *, start_ns=START_NS, step_ns=1_000_000, order="<", link=1) -> bytes:
    """A whole file of one section and one interface, microseconds."""
    packets = [enhanced(frame, (start_ns + n * step_ns) // 1000, order=order) for n, frame in enumerate(list_of_frames)]
    return section(order) + interface(link, order=order) + b"".join(packets)


def read_pcap_slowly(data: bytes) -> list[tuple[bytes, int, int, int]]:
    """(frame, original length, ts_ns, link type) of every whole record of an undamaged standard pcap."""
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    nano = data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    rows, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, captured, original = struct.unpack(order + "IIII", data[at : at + 16])
        if at + 16 + captured > len(data):
            break
        rows.append((data[at + 16 : at + 16 + captured], original, seconds * 10**9 + fraction * (1 if nano else 1000), link))
        at += 16 + captured
    return rows


def read_pcapng_slowly(data: bytes) -> list[tuple[bytes, int, int, int]]:
    """The same of every enhanced, simple and old packet block of an undamaged pcapng; exact fractions, no 64-bit limits."""
    rows, at, order, interfaces, last_ns = [], 0, "<", [], 0
    while at + 12 <= len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = [] if at + struct.unpack(order + "I", data[at + 4 : at + 8])[0] <= len(data) else interfaces
        kind, length = struct.unpack(order + "II", data[at : at + 8])
        if at + length > len(data):
            break
        body = data[at + 8 : at + length - 4]
        if kind == 1:
            link, _, snap = struct.unpack(order + "HHI", body[:8])
            units, offset = 10**6, 0
            place = 8
            while place + 4 <= len(body):
                code, size = struct.unpack(order + "HH", body[place : place + 4])
                value = body[place + 4 : place + 4 + size]
                if code == 9:
                    units = 2 ** (value[0] & 127) if value[0] & 128 else 10 ** value[0]
                if code == 14:
                    offset = struct.unpack(order + "q", value)[0]
                place += 4 + size + (-size % 4)
            interfaces.append((link, snap, units, offset))
        elif kind in (2, 6):
            which, high, low, captured, original = struct.unpack(order + "IIIII", body[:20])
            if kind == 2:
                which = struct.unpack(order + "H", body[:2])[0]
            link, _, units, offset = interfaces[which]
            last_ns = ((high << 32) | low) * 10**9 // units + offset * 10**9
            rows.append((body[20 : 20 + captured], original, last_ns, link))
        elif kind == 3:
            original = struct.unpack(order + "I", body[:4])[0]
            link, snap, _, _ = interfaces[0]
            captured = min(original, len(body) - 4, snap or original)
            rows.append((body[4 : 4 + captured], original, last_ns, link))
        at += length
    return rows
