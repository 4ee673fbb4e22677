"""First bytes: compressions, formats, pcap heads and their relatives, and what else a file may be."""
from __future__ import annotations

import bz2
import gzip
import lzma
import struct

import lz4.frame
import pytest
import zstandard

from pcapsec.capture import formats
from pcapsec.errors import CaptureError
from pcapsec.kernels import walk
from tests import capture_files as made


@pytest.mark.parametrize(
    "packed, name",
    [
        (gzip.compress(b"x"), "gzip"),
        (zstandard.compress(b"x"), "zstd"),
        (struct.pack("<II", 0x184D2A53, 4) + b"abcd" + zstandard.compress(b"x"), "zstd"),
        (lz4.frame.compress(b"x"), "lz4"),
        (bz2.compress(b"x"), "bzip2"),
        (bz2.compress(b""), "bzip2"),
        (lzma.compress(b"x"), "xz"),
        (b"", None),
        (b"BZhello world", None),
        (made.pcap([]), None),
        (made.section(), None),
    ],
)
def test_compression_is_told_by_content(packed, name):
    assert formats.compression_of(packed[:10]) == name


@pytest.mark.parametrize(
    "head, expected",
    [
        (made.pcap_head(), {walk.BIG: 0, walk.NANO: 0, walk.HEADER: 16, walk.LINK: 1, walk.LIMIT: 262144, walk.SNAP_LENGTH: 65535, walk.AT: 24}),
        (made.pcap_head(order=">", magic=0xA1B23C4D, link=276), {walk.BIG: 1, walk.NANO: 1, walk.LINK: 276}),
        (made.pcap_head(link=0xF0000001), {walk.LINK: 1}),  # frame check sequence of 4 bytes announced above the link type
        (made.pcap_head(link=0x2C000071), {walk.LINK: 113}),
        (made.pcap_head(snap_length=1 << 20), {walk.LIMIT: 1 << 20}),
        (made.pcap_head(snap_length=0xFFFFFFFF), {walk.LIMIT: 262144, walk.SNAP_LENGTH: 0xFFFFFFFF}),
        (made.pcap_head(snap_length=0, link=249), {walk.LIMIT: walk.MAX_BLOCK_BYTES, walk.SNAP_LENGTH: 0}),
        (made.pcap_head(version=(2, 2)), {walk.LENGTH_ORDER: 1}),
        (made.pcap_head(version=(2, 3)), {walk.LENGTH_ORDER: 2}),
        (made.pcap_head(version=(543, 0)), {walk.LENGTH_ORDER: 0}),
        (made.pcap_head(magic=0xA1B2CD34), {walk.HEADER: 24}),
        (made.pcap_head(magic=0x1C0001AC) + bytes(4), {walk.NANO: 1, walk.AT: 28, walk.HEADER: 16}),
    ],
)
def test_a_pcap_head_decides_how_its_records_are_walked(head, expected):
    form, state = formats.start_of_capture("x", head, None)
    assert form == "pcap"
    assert {column: state[column] for column in expected} == expected


@pytest.mark.parametrize("magic, extra", [(0xA1B2C3D4, 0), (0xA1B2C3D4, 4), (0xA1B2C3D4, 8), (0xA1B2CD34, 8), (0xA1B2CD34, 12)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_longer_record_headers_are_told_by_three_records(magic, extra, order, n):
    records = [made.pcap_record(frame, made.START_NS + k, order=order, extra=bytes(extra)) for k, frame in enumerate(made.frames(n))]
    data = made.pcap_head(magic=magic, order=order) + b"".join(records)
    usual = 16 if magic == 0xA1B2C3D4 else 24
    assert formats.start_of_capture("x", data, None)[1][walk.HEADER] == (16 + extra if n >= 3 else usual)


@pytest.mark.parametrize(
    "data, found, hint",
    [
        (b"", "an empty file", "before its first packet"),
        (b"\0" * 100, "zero bytes", "never written"),
        (b"<!DOCTYPE HTML><html>", "HTML page", "download"),
        (b"\xef\xbb\xbf  <html>", "HTML page", "download"),
        (b"<?xml version='1.0'?><pdml>", "XML", "exported"),
        (b"12:00:01.000 IP 10.0.0.1.25 > 10.0.0.2.4000: Flags [S]\n", "text", "tcpdump -w"),
        (b"CLIENT_RANDOM 0011 2233\n", "TLS key log", "--keylog"),
        (b"TRSNIFF data    \x1a", "Sniffer", "editcap"),
        (b"PK\3\4....", "zip archive", "unpack"),
        (b"\0" * 100 + b"a" * 157 + b"ustar\0", "tar archive", "unpack"),
        (bytes(range(130, 200)), "bytes 82 83 84", "Wireshark"),
        (made.pcap_head()[:23], "end of the file after 23", "cut off"),
        (made.section()[:9], "end of the file after 9", "cut off"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcd\1\0\0\0", "bytes 0a 0d 0d 0a", "Wireshark"),
        (gzip.compress(b"x"), "gzip data", "packed twice"),
    ],
)
def test_what_is_no_capture_is_named_with_something_to_try(data, found, hint):
    with pytest.raises(CaptureError) as caught:
        formats.start_of_capture("name", data, None)
    assert found in caught.value.found and hint in caught.value.hint
    assert caught.value.path == "name" and found in str(caught.value)
    with pytest.raises(CaptureError) as caught:
        formats.start_of_capture("name", data, "gzip")
    assert "gzip" in caught.value.found or "end of the file" in caught.value.found
