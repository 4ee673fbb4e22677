"""Scapy and Wireshark (through pyshark) look at the samples too: the same packets, the same conversations, and filters that Wireshark takes."""
from __future__ import annotations

import asyncio

import pyshark
import pytest
import scapy.packet
from cryptography import x509
from samples import FOLDER, SAMPLES, Sample, analysed
from scapy.utils import PcapReader

PLAIN = [sample for sample in SAMPLES if sample.name.endswith((".pcap", ".pcapng"))]
N_FILTERED = 6  # samples on which tshark is started once more for each session


@pytest.mark.parametrize("sample", PLAIN, ids=lambda sample: sample.name)
def test_scapy_counts_the_same_packets(sample: Sample):
    captures = analysed(sample).captures
    for path, (_, row) in zip(sample.paths, captures.iterrows(), strict=True):
        with PcapReader(path) as reader:
            packets: list[scapy.packet.Packet] = list(reader)
        assert (row["packets"], row["bytes"]) == (len(packets), sum(len(bytes(packet.original)) for packet in packets))


def test_the_certificate_of_a_recording_is_nobodys():
    """A readable handshake (TLS 1.2) shows a certificate made for the recording: self-signed, for a name that is reserved for examples."""
    data = (FOLDER / "submission-tls12.pcap").read_bytes()
    at = data.index(b"\x0b\x00") + 1  # Handshake type certificate (RFC 5246 §7.4.2): 3 bytes length, 3 of the list, 3 of the first, then DER
    while data[at + 9:at + 11] != b"\x30\x82":
        at = data.index(b"\x0b\x00", at) + 1
    length = int.from_bytes(data[at + 6:at + 9])
    certificate = x509.load_der_x509_certificate(data[at + 9:at + 9 + length])
    assert certificate.subject.rfc4514_string() == certificate.issuer.rfc4514_string() == "CN=mail.example.org"


@pytest.fixture(scope="module", autouse=True)
def loop():
    """pyshark asks for the current event loop, and other tests may have closed theirs; it uses this one to the end, so it stays open."""
    asyncio.set_event_loop(asyncio.new_event_loop())


def frames(path: str, display_filter: str) -> list[int]:
    with pyshark.FileCapture(path, display_filter=display_filter, keep_packets=False) as capture:
        return [int(packet.number) for packet in capture]


@pytest.mark.parametrize("sample", [sample for sample in PLAIN if len(sample.files) == 1 and sample.sessions][:N_FILTERED], ids=lambda sample: sample.name)
def test_wireshark_finds_each_conversation_by_our_filter(sample: Sample):
    """`display_filter` of a session selects a whole TCP conversation: its first frame is the session's first, and all filters together miss no frame with mail."""
    path = str(FOLDER / sample.name)
    selected: list[int] = []
    for _, session in analysed(sample).sessions.iterrows():
        found = frames(path, session["display_filter"])
        assert found[0] == session["frame"]
        selected += found
    assert sorted(selected) == frames(path, "tcp")
