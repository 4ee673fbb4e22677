"""Decoding: every link type and wrapping leads to the same TCP segment, and nothing is read past a frame's end. scapy builds the frames."""
from __future__ import annotations

import struct

import numpy
import pytest
from scapy.contrib.erspan import ERSPAN_II, ERSPAN_III
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPPDUSessionContainer
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting
from scapy.layers.l2 import CookedLinux, Dot1AD, Dot1Q, Ether, GRE, GRE_PPTP, LLC, SNAP
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from pcapsec.kernels import layers

PAYLOAD = b"220 mx.example ESMTP\r\n"
TCP4 = IP(src="192.0.2.1", dst="198.51.100.2", id=77, ttl=61) / TCP(sport=25, dport=40000, seq=0xFFFFFFFE, ack=7, flags="PA", options=[("Timestamp", (1, 2))]) / Raw(PAYLOAD)
TCP6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=25, dport=40000, seq=0xFFFFFFFE, ack=7, flags="PA") / Raw(PAYLOAD)
SEGMENT6 = TCP(sport=25, dport=40000, seq=0xFFFFFFFE, ack=7, flags="PA") / Raw(PAYLOAD)


def outer(port, dst="10.0.0.2"):
    return Ether() / IP(src="10.0.0.1", dst=dst) / UDP(sport=5555, dport=port)


def sll2(packet, kind=0x0800):
    return struct.pack("!HHIHBB8s", kind, 0, 3, 1, 0, 6, b"\x02\0\0\0\0\1\0\0") + bytes(packet)


CASES = {
    "ethernet": (1, Ether() / TCP4), "ethernet-v6": (1, Ether() / TCP6), "vlan": (1, Ether() / Dot1Q(vlan=10) / TCP4),
    "qinq": (1, Ether() / Dot1AD(vlan=5) / Dot1Q(vlan=10) / TCP4), "old-qinq": (1, Ether(type=0x9100) / Raw(bytes(Dot1Q(vlan=10) / TCP4))),
    "mpls": (1, Ether() / MPLS(label=100, s=0) / MPLS(label=5, s=1) / TCP4), "mpls-v6": (1, Ether() / MPLS(label=5, s=1) / TCP6),
    "mpls-pseudowire": (1, Ether() / MPLS(label=5, s=1) / Raw(b"\0\0\0\1" + bytes(Ether(dst="02:00:00:00:00:01") / TCP4))),
    "pppoe": (1, Ether() / PPPoE(sessionid=1) / PPP() / TCP4), "ppp": (9, PPP() / TCP4), "ppp-hdlc": (50, Raw(b"\xff\x03\0\x21" + bytes(TCP4))),
    "ppp-compressed": (9, Raw(b"\x21" + bytes(TCP4))), "chdlc": (104, Raw(b"\x0f\0\x08\0" + bytes(TCP4))),
    "snap": (1, Ether(dst="02:00:00:00:00:01", type=len(TCP4) + 8) / Raw(b"\xaa\xaa\x03\0\0\0\x08\0" + bytes(TCP4))),
    "sll": (113, CookedLinux(proto=0x0800) / TCP4), "sll2": (276, Raw(sll2(TCP4))), "sll2-vlan": (276, Raw(sll2(b"\0\x0a\x08\0" + bytes(TCP4), 0x8100))),
    "null-little": (0, Raw(b"\x02\0\0\0" + bytes(TCP4))), "null-big-v6": (0, Raw(b"\0\0\0\x1e" + bytes(TCP6))), "loop": (108, Raw(b"\0\0\0\x02" + bytes(TCP4))),
    "raw": (101, TCP4), "raw-old": (12, TCP6), "ipv4": (228, TCP4), "ipv6": (229, TCP6), "pflog": (117, Raw(b"\x3d" + bytes(63) + bytes(TCP4))),
    "ipv6-extensions": (1, Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / SEGMENT6),
    "gre": (1, Ether() / IP() / GRE() / TCP4), "gre-key": (1, Ether() / IP() / GRE(key_present=1, key=9, chksum_present=1, seqnum_present=1) / TCP4),
    "gre-ethernet": (1, Ether() / IP() / GRE(proto=0x6558) / Ether() / TCP4), "pptp": (1, Ether() / IP() / GRE_PPTP(seqnum_present=1, acknum_present=1) / PPP() / TCP4),
    "erspan-1": (1, Ether() / IP() / GRE(proto=0x88BE) / Ether() / TCP4),
    "erspan-2": (1, Ether() / IP() / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / Ether() / TCP4),
    "erspan-3": (1, Ether() / IP() / GRE(proto=0x22EB, seqnum_present=1) / ERSPAN_III() / Ether() / Dot1Q(vlan=3) / TCP4),
    "vxlan": (1, outer(4789) / VXLAN(vni=5000) / Ether() / TCP4), "vxlan-v6": (1, outer(4789) / VXLAN(vni=5000) / Ether() / TCP6),
    "geneve": (1, outer(6081) / GENEVE(vni=7, proto=0x6558) / Ether() / TCP4), "geneve-ip": (1, outer(6081) / GENEVE(vni=7, proto=0x0800) / TCP4),
    "gtp": (1, outer(2152) / GTP_U_Header(teid=1, gtp_type=255) / TCP4),
    "gtp-extension": (1, outer(2152) / GTP_U_Header(teid=1, gtp_type=255, E=1, next_ex=0x85) / GTPPDUSessionContainer(QFI=1) / TCP4),
    "ipip": (1, Ether() / IP() / TCP4), "6in4": (1, Ether() / IP(proto=41) / TCP6), "4in6": (1, Ether() / IPv6(nh=4) / TCP4),
    "teredo": (1, outer(3544) / Raw(bytes(TCP6))), "ah": (1, Ether() / IP(src="192.0.2.1", dst="198.51.100.2", id=77, ttl=61, proto=51)
                                                       / Raw(b"\x06\x04\0\0" + bytes(20) + bytes(TCP4)[20:])),
    "mirror-of-a-mirror": (1, outer(4789) / VXLAN(vni=1) / Ether() / Dot1Q(vlan=4) / IP() / GRE(proto=0x88BE, seqnum_present=1) / ERSPAN_II() / Ether() / TCP4),
}


def run(frame: bytes, link: int, original: int | None = None):
    data = numpy.frombuffer(bytearray(frame or b"\0"), dtype=numpy.uint8)
    packet = numpy.zeros(layers.N_PACKET, dtype=numpy.int64)
    status = layers.decode(data, 0, len(frame), link, original or len(frame), 0, packet)
    return status, packet


@pytest.mark.parametrize("name", CASES)
def test_every_wrapping_leads_to_the_segment(name):
    link, built = CASES[name]
    frame = bytes(built)
    status, packet = run(frame, link)
    assert status == layers.TCP
    at, length = packet[layers.PAYLOAD_AT], packet[layers.PAYLOAD_LENGTH]
    assert frame[at:at + length] == PAYLOAD
    assert (packet[layers.SPORT], packet[layers.DPORT], packet[layers.SEQ], packet[layers.ACK], packet[layers.FLAGS]) == (25, 40000, 0xFFFFFFFE, 7, 0x18)
    if packet[layers.IP_VERSION] == 4:
        assert (packet[layers.SRC_LOW], packet[layers.DST_LOW], packet[layers.TTL]) == (0xFFFFC0000201, 0xFFFFC6336402, 61)
        assert packet[layers.IP_ID] == 77
    else:
        assert (packet[layers.SRC_HIGH], packet[layers.SRC_LOW], packet[layers.DST_LOW]) == (0x20010DB800000000, 1, 2)
    if name != "ah":
        data = numpy.frombuffer(bytearray(frame), dtype=numpy.uint8)
        assert layers.checksum_state(data, packet) == 1
        data[at] ^= 1
        assert layers.checksum_state(data, packet) == 0


@pytest.mark.parametrize("name", CASES)
def test_any_cut_is_survived_and_never_read_past(name):
    link, built = CASES[name]
    frame = bytes(built)
    for cut in range(len(frame)):
        status, packet = run(frame[:cut], link, len(frame))
        if status == layers.TCP:
            assert packet[layers.PAYLOAD_AT] + packet[layers.PAYLOAD_LENGTH] <= cut
            assert packet[layers.PAYLOAD_WIRE] == len(PAYLOAD)


def test_tunnels_are_part_of_the_key_and_vlans_are_not():
    def tunnel(frame):
        return run(bytes(frame), 1)[1][layers.TUNNEL]

    assert tunnel(outer(4789) / VXLAN(vni=1) / Ether() / TCP4) != tunnel(outer(4789) / VXLAN(vni=2) / Ether() / TCP4) != 0
    assert tunnel(Ether() / Dot1Q(vlan=1) / TCP4) == tunnel(Ether() / Dot1Q(vlan=2) / TCP4) == 0


def test_padding_is_not_payload():
    status, packet = run(bytes(Ether() / IP(src="192.0.2.1", dst="198.51.100.2") / TCP(flags="A")) + bytes(6), 1)
    assert (status, packet[layers.PAYLOAD_LENGTH], packet[layers.PAYLOAD_WIRE]) == (layers.TCP, 0, 0)


@pytest.mark.parametrize("frame, link, status", [
    (bytes(Ether() / IP() / UDP() / Raw(b"x" * 20)), 1, layers.UDP), (bytes(Ether(type=0x0806) / Raw(bytes(28))), 1, layers.UNDECODED),
    (bytes(Ether() / LLC() / SNAP(code=0x9999) / Raw(bytes(40))), 1, layers.UNDECODED), (b"", 1, layers.UNDECODED), (bytes(60), 99999, layers.UNDECODED),
    (bytes(Ether() / IP(frag=5) / Raw(bytes(64))), 1, layers.FRAGMENT), (bytes(Ether() / IP(proto=6) / Raw(bytes(10))), 1, layers.CUT),
    (bytes(Ether() / IP(ihl=3) / Raw(bytes(40))), 1, layers.UNDECODED)])
def test_what_is_no_segment_is_said_to_be_none(frame, link, status):
    assert run(frame, link)[0] == status


def test_random_bytes_are_survived():
    rng = numpy.random.default_rng(1)
    links = [1, 0, 9, 50, 51, 101, 104, 108, 109, 113, 117, 276, 228, 229, 12, 147]
    for link in links:
        for _ in range(300):
            run(rng.integers(0, 256, rng.integers(0, 200), dtype=numpy.uint8).tobytes(), link)


def test_compiled_and_plain_python_say_the_same():
    for link, built in CASES.values():
        frame = bytes(built)
        for cut in (len(frame), len(frame) - 5, len(frame) // 2):
            data = numpy.frombuffer(bytearray(frame[:cut]), dtype=numpy.uint8)
            compiled, plain = numpy.zeros(layers.N_PACKET, dtype=numpy.int64), numpy.zeros(layers.N_PACKET, dtype=numpy.int64)
            assert layers.decode(data, 0, cut, link, len(frame), 0, compiled) == layers.decode.py_func(data, 0, cut, link, len(frame), 0, plain)
            assert compiled.tolist() == plain.tolist()
