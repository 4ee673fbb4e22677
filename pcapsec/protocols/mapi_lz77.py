"""LZ77 with DIRECT2 encoding, as Exchange compresses RPC payloads: it hides nothing ([MS-OXCRPC] §3.1.4.1.1.2, [MS-XCA] §2.4 "Plain LZ77").

The data is groups of a 32-bit bitmask, highest bit first, and what it describes: 0 is a byte to copy, 1 is a match of two or more bytes, 13 bits of offset and 3
of length. A length of 7 goes on in half a byte (the two halves of one byte serve two matches), then a byte, then two, then four.
"""
from __future__ import annotations

MAX_OUTPUT_BYTES = 65535  # SizeActual is 16 bits wide; [MS-OXCRPC] allows 32 KiB, and more in a response's first buffer


def expand(data: bytes, size: int = MAX_OUTPUT_BYTES) -> bytes | None:
    """The first `size` bytes that the data expands to; fewer where it ends before; None where it is no such data.

    A match that reaches behind the output's beginning, or one that is cut, makes the data none. Work is bounded by the input and `size`.
    """
    size = min(size, MAX_OUTPUT_BYTES)
    out = bytearray()
    pos, end, shared_at = 0, len(data), -1  # shared_at: byte whose upper half is not used yet
    while len(out) < size:
        if pos + 4 > end:
            return bytes(out) if pos == end and out else None
        mask = int.from_bytes(data[pos:pos + 4], "little")
        pos += 4
        left = 32
        while left and len(out) < size:
            literals = left - (mask & (1 << left) - 1).bit_length()
            if literals:
                left -= literals
                out += data[pos:pos + literals]
                pos += literals
                if pos > end:
                    return bytes(out[:size]) if len(out) >= size else None
                continue
            left -= 1
            if pos == end:  # a 1 behind the last element ends the data
                return bytes(out)
            if pos + 2 > end:
                return None
            match = data[pos] | data[pos + 1] << 8
            pos += 2
            length, distance = match & 7, (match >> 3) + 1
            if length == 7:
                if shared_at < 0:
                    if pos >= end:
                        return None
                    length, shared_at = data[pos] & 15, pos
                    pos += 1
                else:
                    length, shared_at = data[shared_at] >> 4, -1
                if length == 15:
                    if pos >= end:
                        return None
                    length = data[pos]
                    pos += 1
                    if length == 255:
                        if pos + 2 > end:
                            return None
                        length = data[pos] | data[pos + 1] << 8
                        pos += 2
                        if length == 0:
                            if pos + 4 > end:
                                return None
                            length = int.from_bytes(data[pos:pos + 4], "little")
                            pos += 4
                        if length < 22:
                            return None
                        length -= 22
                    length += 15
                length += 7
            length = min(length + 3, size - len(out))
            start = len(out) - distance
            if start < 0:
                return None
            if length <= distance:
                out += out[start:start + length]
            else:  # a match may run into what it writes itself
                out += (out[start:] * (length // distance + 1))[:length]
    return bytes(out[:size])
