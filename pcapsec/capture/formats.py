"""What the first bytes of a file say: which capture, which compression, or what else it looks like and what to do about it."""
from __future__ import annotations

import struct

import numpy as np

from ..errors import CaptureError
from ..kernels import walk
from . import legacy

ENOUGH_HEAD = 24  # bytes that every format can be told by; a pcap head is that long

GZIP, ZSTD, LZ4, BZIP2, XZ = "gzip", "zstd", "lz4", "bzip2", "xz"

# draft-ietf-opsawg-pcap §4 and Wireshark's list of relatives: magic as a big-endian reader sees it -> (nanoseconds, bytes behind the head, record header lengths)
_PCAP_MAGICS = {
    0xA1B2C3D4: (0, 0, (16, 24, 20)),  # standard; some writers (Linux 2.2's libpcap, Nokia IPSO) lengthen the record header without saying so
    0xA1B23C4D: (1, 0, (16,)),
    0xA1B2CD34: (0, 0, (24, 28)),  # Alexey Kuznetsov's: interface, protocol and packet type behind the lengths, later two more words
    0x1C0001AB: (0, 4, (16,)),  # IXIA lcap, software time stamps: length of all records behind the head
    0x1C0001AC: (1, 4, (16,)),  # IXIA lcap, hardware time stamps
}
_LONG_FRAME_LINKS = (189, 220, 231, 249, 279)  # USB, D-Bus, EBHSCR: Wireshark lets their frames be longer than MAX_CAPTURED_BYTES

_EDITCAP = "convert it with: editcap -F pcapng FILE NEW.pcapng"
_UNPACK = "unpack it and give the capture inside"
_ELSEWHERE = (
    (b"TRSNIFF data    \x1a", "a Sniffer capture", _EDITCAP),
    (b"XCP\0", "a NetXRay or Windows Sniffer capture", _EDITCAP),
    (b"\x7fver", "an OmniPeek capture", _EDITCAP),
    (b"iptrace ", "an AIX iptrace capture", _EDITCAP),
    (b"5Vw", "a 5View capture", _EDITCAP),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x1f\x9d", "a file packed by compress (.Z)", "unpack it first: uncompress FILE"),
    (b"\x02\x21\x4c\x18", "an lz4 file in the old format", "unpack it first: lz4 -d FILE"),
    (b"\x7fELF", "a program", ""),
    (b"MZ", "a Windows program", ""),
    (b"ElfFile\0", "a Windows event log", "an .etl trace of packets becomes pcapng with etl2pcapng"),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"%PDF-", "a PDF document", ""),
)


def compression_of(head: bytes) -> str | None:
    """Name of the compression that a file's first bytes announce, None when it is not compressed."""
    if head[:3] == b"\x1f\x8b\x08":
        return GZIP
    if head[:4] == b"\x28\xb5\x2f\xfd" or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):  # skippable frames: pzstd writes them
        return ZSTD
    if head[:4] == b"\x04\x22\x4d\x18":
        return LZ4
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return BZIP2
    if head[:6] == b"\xfd7zXZ\0":
        return XZ
    return None


def format_of(head: bytes) -> str | None:
    """"pcap", "pcapng", "snoop", "netmon", or None when the bytes begin none of them."""
    if head[:4] == b"\x0a\x0d\x0d\x0a":
        return "pcapng" if head[8:12] in (b"\x1a\x2b\x3c\x4d", b"\x4d\x3c\x2b\x1a") else None
    if len(head) >= 4 and (int.from_bytes(head[:4], "big") in _PCAP_MAGICS or int.from_bytes(head[:4], "little") in _PCAP_MAGICS):
        return "pcap"
    return legacy.format_of(head)


def looks_like(head: bytes) -> tuple[str, str]:
    """What bytes that are no capture seem to be, and what to do."""
    for magic, found, hint in _ELSEWHERE:
        if head.startswith(magic):
            return found, hint
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page", "the download gave a web page instead of the file"
    if start.startswith(b"<?xml"):
        return "an XML document", "pcapsec reads the capture itself, not what was exported from it"
    if start.startswith((b"client_random ", b"# ssl/tls secrets", b"client_handshake_traffic_secret ", b"server_handshake_traffic_secret ")):
        return "a TLS key log", "give it with --keylog, beside the capture"
    if head and not head.strip(b"\0"):
        return "nothing but zero bytes", "the file was never written or its disk lost it"
    sample = head[:512]
    if _is_text(sample):
        return "text", "pcapsec reads captures (tcpdump -w FILE), not what was printed of them; text2pcap turns a hex dump into one"
    return f"bytes {sample[:8].hex(' ')}", "if Wireshark opens it, " + _EDITCAP


def _is_text(sample: bytes) -> bool:
    try:
        text = sample.decode()
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 3 or error.start == 0:  # a character cut by the sample's end is none of the text's fault
            return False
        text = sample[: error.start].decode()
    return bool(text) and all(letter >= " " or letter in "\t\n\r\f\x1b" for letter in text)


def start_of_capture(name: str, head: bytes, unpacked_from: str | None) -> tuple[str, np.ndarray]:
    """Format of a capture and the state with which its walk begins.

    Args:
        name: the path for error messages.
        head: the capture's first bytes, unpacked; ENOUGH_HEAD or as many as there are, more help to tell old variants.
        unpacked_from: the compression around it, for error messages.

    Raises:
        CaptureError: the bytes do not begin a capture.
    """
    inside = f" inside {unpacked_from}" if unpacked_from else ""
    if not head:
        if unpacked_from:
            raise CaptureError(name, 0, "a capture", f"nothing{inside}", "the file is empty or its packing is broken")
        raise CaptureError(name, 0, "a capture", "an empty file", "the capturing program wrote nothing; was it stopped before its first packet, or out of disk space?")
    form = format_of(head)
    if form is None:
        if len(head) < 12 and head[:4] == b"\x0a\x0d\x0d\x0a":
            raise CaptureError(name, len(head), "a pcapng section header of 28 bytes", f"the end of the file after {len(head)}", "the file was cut off")
        found, hint = looks_like(head)
        again = compression_of(head)
        if again:
            found, hint = f"{again} data", "it was packed twice; unpack it once"
        raise CaptureError(name, 0, "a pcap, pcapng, snoop or Network Monitor capture", found + inside, hint)
    state = np.zeros(walk.STATE_COLUMNS, np.int64)
    if form == "pcapng":
        return form, state
    if form != "pcap":
        legacy.start(name, form, head, state)
        return form, state
    if len(head) < 24:
        raise CaptureError(name, len(head), "a pcap head of 24 bytes", f"the end of the file after {len(head)}", "the file was cut off")
    read_pcap_head(head, state)
    return form, state


def read_pcap_head(head: bytes, state: np.ndarray) -> None:
    """Set what a pcap's head decides; state[AT] becomes the place of its first record, counted from the head's first byte.

    Source: draft-ietf-opsawg-pcap §4. The link type has 16 bits; those above it (reserved, length of the frame check sequence) are left out.
    """
    magic = int.from_bytes(head[:4], "big")
    order = ">" if magic in _PCAP_MAGICS else "<"
    nano, behind, lengths = _PCAP_MAGICS[magic if order == ">" else int.from_bytes(head[:4], "little")]
    major, minor, _zone, _precision, snap_length, link = struct.unpack(order + "HHiIII", head[4:24])
    state[walk.BIG] = order == ">"
    state[walk.NANO] = nano
    state[walk.LINK] = link & 0xFFFF
    state[walk.LENGTH_ORDER] = (1 if minor < 3 else 2 if minor == 3 else 0) if major == 2 else 0
    limit = walk.MAX_CAPTURED_BYTES
    if walk.MAX_CAPTURED_BYTES < snap_length <= walk.MAX_BLOCK_BYTES:
        limit = snap_length
    if link & 0xFFFF in _LONG_FRAME_LINKS:
        limit = walk.MAX_BLOCK_BYTES
    state[walk.LIMIT] = limit
    if snap_length and (state[walk.SNAP_LENGTH] == 0 or snap_length < state[walk.SNAP_LENGTH]):
        state[walk.SNAP_LENGTH] = snap_length
    state[walk.AT] = 24 + behind
    state[walk.HEADER] = lengths[0]
    if _n_records(head, 24 + behind, lengths[0], order) < 2:  # three in a row are no accident: the head of a damaged standard file must not pass for another kind
        for length in lengths[1:]:
            if _n_records(head, 24 + behind, length, order) >= 3:
                state[walk.HEADER] = length


def _n_records(head: bytes, at: int, header: int, order: str) -> int:
    """How many believable records with headers of this length, a day apart at most, follow one another from `at` on (3 are enough)."""
    n = previous = 0
    while n < 3 and at + 16 <= len(head):
        seconds, fraction, captured, original = struct.unpack_from(order + "IIII", head, at)
        if n and abs(seconds - previous) > walk.NEAR_S:
            break
        previous = seconds
        if not 0 < captured <= walk.MAX_CAPTURED_BYTES or original < captured or original > walk.MAX_ORIGINAL_BYTES or fraction >= 1_000_000_000:
            break
        n += 1
        at += header + captured
    return n
