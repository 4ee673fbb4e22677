"""From a frame's first byte to the TCP segment inside it: link layers, wrappings of mirror ports, IPv4, IPv6, TCP.

Every read is preceded by a check against `end`; no length field of the wire is trusted. Layers are peeled in one loop with a depth limit.
Addresses are two int64 (IPv4 in the mapped form ::ffff:a.b.c.d of RFC 4291 §2.5.5.2), so both families share every table.
"""
from __future__ import annotations

from numba import int64

from .jit import part
from .memory import i64, u16, u32

# status of decode()
UNDECODED, TCP, OTHER_IP, FRAGMENT, CUT, UDP, ESP = 0, 1, 2, 3, 4, 5, 6
MAX_LAYERS = 24  # a mirror of a mirror of MPLS over VXLAN is below 15; more is an attack on the loop

# fields that decode() leaves in `packet`, int64[N_PACKET]
SRC_HIGH, SRC_LOW, DST_HIGH, DST_LOW = 0, 1, 2, 3
SPORT, DPORT, SEQ, ACK, FLAGS = 8, 9, 10, 11, 12
PAYLOAD_AT, PAYLOAD_LENGTH, PAYLOAD_WIRE = 13, 14, 15  # captured bytes, and bytes on the wire by the IP length
TCP_AT, TCP_LENGTH, TCP_CHECKSUM = 16, 17, 18
IP_ID, IP_LENGTH, IP_VERSION, TTL = 19, 20, 21, 22
TUNNEL, VLAN, WRAPPED = 23, 24, 25  # VNI or GRE key folded, innermost VLAN id, bit set of wrappings seen
FRAGMENT_AT, FRAGMENT_MORE, FRAGMENT_ID, FRAGMENT_PROTOCOL, FRAGMENT_START, FRAGMENT_END = 26, 27, 28, 29, 30, 31
PROTOCOL, SPI = 32, 33  # of what decode() calls ESP: 50, 141 (WESP) or 17 (in UDP); of the innermost AH
N_PACKET = 34

# bits of WRAPPED
W_VLAN, W_MPLS, W_PPPOE, W_GRE, W_ERSPAN, W_VXLAN, W_GENEVE, W_IPIP, W_GTP, W_TEREDO, W_AH, W_ESP_NULL = 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048
_NAT_T = 4500  # ESP and IKE in UDP (RFC 3948)

# what the loop is looking at
_NONE, _ETHERNET, _ETHERTYPE, _IP, _IPV4, _IPV6, _PPP, _MPLS, _TRANSPORT = 0, 1, 2, 3, 4, 5, 6, 7, 8

FIN, SYN, RST, ACK_FLAG = 1, 2, 4, 16
_MAPPED = 0xFFFF << 32


@part
def _first_layer(data, at, end, link):
    """Where the first known layer of a link type starts: (kind, offset, ethertype).

    Source: the LINKTYPE_ registry of tcpdump.org. Kind 0 when the link type is unknown or the frame too short.
    """
    n = end - at
    if link == 1:  # ETHERNET
        return _ETHERNET, at, 0
    if link == 113 and n >= 16:  # LINUX_SLL
        return _ETHERTYPE, at + 16, u16(data, at + 14)
    if link == 276 and n >= 20:  # LINUX_SLL2
        return _ETHERTYPE, at + 20, u16(data, at)
    if link == 101 or link == 12 or link == 14 or link == 228 or link == 229:  # RAW, its old numbers, IPV4, IPV6
        return _IP, at, 0
    if (link == 0 or link == 108) and n >= 4:  # NULL (host order of whoever captured), LOOP (network order)
        return _IP, at + 4, 0
    if (link == 9 or link == 50) and n >= 2:  # PPP, PPP_HDLC
        if data[at] == 0xFF and data[at + 1] == 0x03:
            return _PPP, at + 2, 0
        if link == 50 and (data[at] == 0x0F or data[at] == 0x8F) and n >= 4:
            return _ETHERTYPE, at + 4, u16(data, at + 2)
        return _PPP, at, 0
    if link == 104 and n >= 4:  # C_HDLC
        return _ETHERTYPE, at + 4, u16(data, at + 2)
    if link == 51 and n >= 8:  # PPP_ETHER: PPPoE header without Ethernet
        return _PPP, at + 6, 0
    if link == 117 and n >= 4:  # PFLOG: length of its own header, padded to four
        head = (int64(data[at]) + 3) & ~3
        if head < n:
            return _IP, at + head, 0
    if link == 109 and n >= 12:  # ENC
        return _IP, at + 12, 0
    return _NONE, at, 0


@part
def _fold(tunnel, identifier):
    return (tunnel * 1000003 + identifier + 1) & 0xFFFFFFFF


@part
def _gre(data, at, end, packet):
    """GRE (RFC 2784, 2890), its version 1 for PPTP (RFC 2637), ERSPAN I-III inside: (kind, offset, ethertype)."""
    if end - at < 4:
        return _NONE, at, 0
    flags = u16(data, at)
    kind = u16(data, at + 2)
    version = flags & 7
    pos = at + 4
    if version == 1:
        pos = at + 8
        if flags & 0x1000:
            pos += 4
        if flags & 0x0080:
            pos += 4
        packet[WRAPPED] |= W_GRE
        return _PPP, pos, 0
    if flags & 0x8000:
        pos += 4
    if flags & 0x2000:
        if pos + 4 > end:
            return _NONE, at, 0
        packet[TUNNEL] = _fold(packet[TUNNEL], u32(data, pos))
        pos += 4
    sequenced = flags & 0x1000
    if sequenced:
        pos += 4
    if kind == 0x88BE:  # ERSPAN type I has no header of its own, type II has eight bytes
        packet[WRAPPED] |= W_ERSPAN
        return _ETHERNET, pos + (8 if sequenced else 0), 0
    if kind == 0x22EB:  # ERSPAN type III: twelve bytes, eight more when the O bit is set
        packet[WRAPPED] |= W_ERSPAN
        if pos + 12 > end:
            return _NONE, at, 0
        return _ETHERNET, pos + (20 if data[pos + 11] & 1 else 12), 0
    packet[WRAPPED] |= W_GRE
    if kind == 0x6558:
        return _ETHERNET, pos, 0
    return _ETHERTYPE, pos, kind


@part
def _udp(data, at, end, packet):
    """Tunnels over UDP by port and by header: VXLAN (RFC 7348), GENEVE (RFC 8926), GTP-U (3GPP TS 29.281), Teredo (RFC 4380)."""
    if end - at < 16:
        return _NONE, at, 0
    sport, dport = u16(data, at), u16(data, at + 2)
    pos = at + 8
    if dport == 4789 or dport == 8472:
        if data[pos] & 0x08 and data[pos + 7] == 0:
            packet[TUNNEL] = _fold(packet[TUNNEL], u32(data, pos + 4) >> 8)
            packet[WRAPPED] |= W_VXLAN
            return _ETHERNET, pos + 8, 0
    elif dport == 6081:
        if data[pos] >> 6 == 0:
            packet[TUNNEL] = _fold(packet[TUNNEL], u32(data, pos + 4) >> 8)
            packet[WRAPPED] |= W_GENEVE
            kind = u16(data, pos + 2)
            inside = pos + 8 + 4 * (int64(data[pos]) & 0x3F)
            if kind == 0x6558:
                return _ETHERNET, inside, 0
            return _ETHERTYPE, inside, kind
    elif dport == 2152 or sport == 2152:
        if data[pos] >> 4 == 3 and data[pos + 1] == 255:  # version 1, GTP, G-PDU; the TEID differs by direction, so it is no part of the key
            inside = pos + 8
            if data[pos] & 7:
                if inside + 4 > end:
                    return _NONE, at, 0
                extension = int64(data[inside + 3]) if data[pos] & 4 else 0
                inside += 4
                steps = 0
                while extension and steps < 8:
                    if inside >= end or data[inside] == 0:
                        return _NONE, at, 0
                    length = 4 * int64(data[inside])
                    if inside + length > end:
                        return _NONE, at, 0
                    extension = int64(data[inside + length - 1])
                    inside += length
                    steps += 1
            packet[WRAPPED] |= W_GTP
            return _IP, inside, 0
    elif dport == 3544 or sport == 3544:
        if data[pos] == 0 and data[pos + 1] == 1:  # authentication indicator
            if pos + 4 > end:
                return _NONE, at, 0
            pos += 13 + int64(data[pos + 2]) + int64(data[pos + 3])
        if pos + 8 <= end and data[pos] == 0 and data[pos + 1] == 0:  # origin indicator
            pos += 8
        if pos + 40 <= end and data[pos] >> 4 == 6:
            packet[WRAPPED] |= W_TEREDO
            return _IPV6, pos, 0
    return _NONE, at, 0


@part
def inner_link(packet):
    """What stands for the link type of an IP packet that was taken out of the one at hand: the wrappings around it, VLAN and tunnel."""
    return -2 - (packet[WRAPPED] | packet[VLAN] << 12 | packet[TUNNEL] << 24)


@part
def decode(data, at, end, link, original_end, protocol, packet):
    """Peel a frame down to TCP.

    Args:
        data  uint8[:]      the window
        at, end  int64      the frame's captured bytes are data[at:end]
        link  int64         LINKTYPE_ number; -1: `at` is a transport header of `protocol` whose addresses stand in `packet` already; below: an IP packet, see `inner_link`
        original_end int64  where the frame would end had it not been cut
        protocol int64      IP protocol number, only for link -1
        packet int64[N_PACKET]  written
    Returns: UNDECODED, TCP, UDP, ESP, OTHER_IP, FRAGMENT or CUT (an IP packet too short in the capture for its TCP header).
    """
    size = len(data)
    if at < 0 or end > size or at > end:
        return UNDECODED
    transport_end = original_end
    ethertype = 0
    if link >= 0:
        packet[TUNNEL] = 0
        packet[VLAN] = 0
        packet[WRAPPED] = 0
        kind, pos, ethertype = _first_layer(data, at, end, link)
    elif link < -1:
        about = -2 - link
        packet[TUNNEL] = about >> 24
        packet[VLAN] = (about >> 12) & 0xFFF
        packet[WRAPPED] = about & 0xFFF
        kind, pos = _IP, at
    else:
        kind, pos = _TRANSPORT, at
    seen_ip = link < 0
    for _layer in range(MAX_LAYERS):
        if kind == _ETHERNET:
            if pos + 14 > end:
                break
            ethertype = u16(data, pos + 12)
            pos += 14
            if ethertype < 1536:  # a length: LLC, of which only SNAP carries IP (IEEE 802.2, RFC 1042)
                if pos + 8 > end or data[pos] != 0xAA or data[pos + 1] != 0xAA:
                    break
                ethertype = u16(data, pos + 6)
                pos += 8
            kind = _ETHERTYPE
        if kind == _ETHERTYPE:
            if ethertype == 0x0800:
                kind = _IPV4
            elif ethertype == 0x86DD:
                kind = _IPV6
            elif ethertype == 0x8100 or ethertype == 0x88A8 or ethertype == 0x9100 or ethertype == 0x9200:
                if pos + 4 > end:
                    break
                packet[VLAN] = u16(data, pos) & 0xFFF
                packet[WRAPPED] |= W_VLAN
                ethertype = u16(data, pos + 2)
                pos += 4
                if ethertype < 1536:
                    break
                continue
            elif ethertype == 0x8847 or ethertype == 0x8848:
                kind = _MPLS
            elif ethertype == 0x8864:
                if pos + 8 > end:
                    break
                packet[WRAPPED] |= W_PPPOE
                pos += 6
                kind = _PPP
            elif ethertype == 0x880B:
                kind = _PPP
            elif ethertype == 0x6558:
                kind = _ETHERNET
                continue
            elif ethertype == 0x88BE or ethertype == 0x22EB:
                break
            else:
                break
        if kind == _PPP:
            if pos + 2 <= end and data[pos] == 0xFF and data[pos + 1] == 0x03:
                pos += 2
            if pos + 2 > end:
                break
            if data[pos] & 1:  # protocol field compression (RFC 1661 §6.5)
                protocol = int64(data[pos])
                pos += 1
            else:
                protocol = u16(data, pos)
                pos += 2
            if protocol == 0x21:
                kind = _IPV4
            elif protocol == 0x57:
                kind = _IPV6
            elif protocol == 0x281:
                kind = _MPLS
            else:
                break
        if kind == _MPLS:
            packet[WRAPPED] |= W_MPLS
            bottom = False
            for _label in range(16):
                if pos + 4 > end:
                    break
                bottom = bool(data[pos + 2] & 1)
                pos += 4
                if bottom:
                    break
            if not bottom or pos >= end:
                break
            nibble = data[pos] >> 4
            if nibble == 4:
                kind = _IPV4
            elif nibble == 6:
                kind = _IPV6
            elif nibble == 0 and pos + 4 <= end:  # pseudowire control word (RFC 4385), then Ethernet
                pos += 4
                kind = _ETHERNET
                continue
            else:
                kind = _ETHERNET
                continue
        if kind == _IP:
            if pos >= end:
                break
            nibble = data[pos] >> 4
            if nibble == 4:
                kind = _IPV4
            elif nibble == 6:
                kind = _IPV6
            else:
                break
        if kind == _IPV4:
            if pos + 20 > end or data[pos] >> 4 != 4:
                break
            header = (int64(data[pos]) & 15) * 4
            if header < 20 or pos + header > end:
                break
            total = u16(data, pos + 2)
            if total == 0:  # segmentation offload leaves it empty
                total = original_end - pos
            if total < header:
                break
            seen_ip = True
            packet[SRC_HIGH] = 0
            packet[SRC_LOW] = _MAPPED | u32(data, pos + 12)
            packet[DST_HIGH] = 0
            packet[DST_LOW] = _MAPPED | u32(data, pos + 16)
            packet[IP_ID] = u16(data, pos + 4)
            packet[IP_LENGTH] = total
            packet[IP_VERSION] = 4
            packet[TTL] = int64(data[pos + 8])
            protocol = int64(data[pos + 9])
            fragment = u16(data, pos + 6) & 0x3FFF
            transport_end = min(pos + total, original_end)
            end = min(end, pos + total)
            pos += header
            if fragment:
                packet[FRAGMENT_AT] = (fragment & 0x1FFF) * 8
                packet[FRAGMENT_MORE] = 1 if fragment & 0x2000 else 0
                packet[FRAGMENT_ID] = packet[IP_ID]
                packet[FRAGMENT_PROTOCOL] = protocol
                packet[FRAGMENT_START] = pos
                packet[FRAGMENT_END] = end
                return FRAGMENT
            kind = _TRANSPORT
        elif kind == _IPV6:
            if pos + 40 > end or data[pos] >> 4 != 6:
                break
            seen_ip = True
            total = u16(data, pos + 4) + 40
            if total == 40 and data[pos + 6] != 59:  # jumbogram or offload
                total = original_end - pos
            packet[SRC_HIGH] = i64(data, pos + 8)
            packet[SRC_LOW] = i64(data, pos + 16)
            packet[DST_HIGH] = i64(data, pos + 24)
            packet[DST_LOW] = i64(data, pos + 32)
            packet[IP_ID] = 0
            packet[IP_LENGTH] = total
            packet[IP_VERSION] = 6
            packet[TTL] = int64(data[pos + 7])
            protocol = int64(data[pos + 6])
            transport_end = min(pos + total, original_end)
            end = min(end, pos + total)
            pos += 40
            for _extension in range(16):
                if protocol == 0 or protocol == 43 or protocol == 60 or protocol == 135 or protocol == 139 or protocol == 140:
                    if pos + 8 > end:
                        break
                    protocol = int64(data[pos])
                    pos += 8 * (int64(data[pos + 1]) + 1)
                elif protocol == 44:
                    if pos + 8 > end:
                        break
                    fragment = u16(data, pos + 2)
                    if fragment & 0xFFF9:
                        packet[FRAGMENT_AT] = fragment & 0xFFF8
                        packet[FRAGMENT_MORE] = fragment & 1
                        packet[FRAGMENT_ID] = u32(data, pos + 4)
                        packet[FRAGMENT_PROTOCOL] = int64(data[pos])
                        packet[FRAGMENT_START] = pos + 8
                        packet[FRAGMENT_END] = end
                        return FRAGMENT
                    protocol = int64(data[pos])  # an atomic fragment (RFC 6946)
                    pos += 8
                else:
                    break
            kind = _TRANSPORT
        if kind == _TRANSPORT:
            if pos > end:
                return CUT
            if protocol == 6:
                if pos + 20 > end:
                    return CUT
                header = (data[pos + 12] >> 4) * 4
                if header < 20:
                    return OTHER_IP
                packet[SPORT] = u16(data, pos)
                packet[DPORT] = u16(data, pos + 2)
                packet[SEQ] = u32(data, pos + 4)
                packet[ACK] = u32(data, pos + 8)
                packet[FLAGS] = int64(data[pos + 13])
                packet[TCP_AT] = pos
                packet[TCP_CHECKSUM] = u16(data, pos + 16)
                packet[PAYLOAD_AT] = min(pos + header, end)
                packet[PAYLOAD_LENGTH] = max(0, end - pos - header)
                packet[PAYLOAD_WIRE] = max(0, transport_end - pos - header)
                packet[TCP_LENGTH] = max(0, transport_end - pos)
                return TCP
            if protocol == 17:
                header_at = pos
                kind, pos, ethertype = _udp(data, pos, end, packet)
                if kind == _NONE:
                    if header_at + 8 > end:
                        return OTHER_IP
                    packet[SPORT] = u16(data, header_at)
                    packet[DPORT] = u16(data, header_at + 2)
                    packet[PAYLOAD_AT] = header_at + 8
                    packet[PAYLOAD_LENGTH] = end - header_at - 8
                    packet[PAYLOAD_WIRE] = transport_end - header_at - 8
                    if (packet[SPORT] == _NAT_T and (packet[DPORT] == _NAT_T or packet[DPORT] > 1023) or packet[DPORT] == _NAT_T and packet[SPORT] > 1023) \
                            and end - header_at >= 20 and u32(data, header_at + 8) != 0:  # four zero bytes lead IKE, a keep-alive has one byte (RFC 3948 §2)
                        packet[PROTOCOL] = 17
                        return ESP
                    return UDP
            elif protocol == 47:
                kind, pos, ethertype = _gre(data, pos, end, packet)
                if kind == _NONE:
                    return OTHER_IP
            elif protocol == 4 or protocol == 41:
                packet[WRAPPED] |= W_IPIP
                kind = _IP
            elif protocol == 137:
                kind = _MPLS
            elif protocol == 51:  # AH (RFC 4302 §2): length in 32-bit words minus two
                if pos + 12 > end:
                    return CUT
                packet[WRAPPED] |= W_AH
                packet[SPI] = u32(data, pos + 4)
                protocol = int64(data[pos])
                pos += 4 * (int64(data[pos + 1]) + 2)
            elif protocol == 50 or protocol == 141:  # ESP (RFC 4303), WESP (RFC 5840)
                packet[PROTOCOL] = protocol
                packet[SPORT] = 0
                packet[DPORT] = 0
                packet[PAYLOAD_AT] = pos
                packet[PAYLOAD_LENGTH] = end - pos
                packet[PAYLOAD_WIRE] = transport_end - pos
                return ESP
            else:
                return OTHER_IP
            original_end = transport_end
    return OTHER_IP if seen_ip else UNDECODED


@part
def timestamp(data, packet):
    """TSval of the timestamps option (RFC 7323 §3.2), -1 without one."""
    at, end = packet[TCP_AT] + 20, packet[PAYLOAD_AT]
    if at + 12 <= end and u32(data, at) == 0x0101080A:  # two fillers and the option, as nearly everybody sends it (RFC 7323 appendix A)
        return u32(data, at + 4)
    while at + 10 <= end:
        kind = int64(data[at])
        if kind == 8:
            return u32(data, at + 2) if data[at + 1] == 10 else -1
        if kind == 0 or kind > 1 and data[at + 1] < 2:
            return -1
        at += int64(data[at + 1]) if kind > 1 else 1
    return -1


@part
def checksum_state(data, packet, protocol=6):
    """Whether the TCP checksum holds (RFC 9293 §3.1), or that of UDP or ICMPv6: 1 right, 0 wrong, 2 left to offload (pseudo-header only), -1 not computable.

    The sum runs over 16-bit words with end-around carry; words are added as even and odd bytes so that the loop compiles to vector code.
    """
    length = packet[TCP_LENGTH]
    at = packet[TCP_AT]
    if length <= 0 or at + length > len(data) or packet[PAYLOAD_LENGTH] < packet[PAYLOAD_WIRE]:
        return -1
    pseudo = length + protocol
    for i in range(4):
        word = packet[SRC_HIGH + i]
        if packet[IP_VERSION] == 4:
            word &= 0xFFFFFFFF
        pseudo += ((word >> 48) & 0xFFFF) + ((word >> 32) & 0xFFFF) + ((word >> 16) & 0xFFFF) + (word & 0xFFFF)
    high = 0
    low = 0
    segment = data[at:at + length]
    for i in range(length >> 1):
        high += int64(segment[2 * i])
        low += int64(segment[2 * i + 1])
    if length & 1:
        high += int64(segment[length - 1])
    total = (high << 8) + low + pseudo
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    if total == 0xFFFF:
        return 1
    while pseudo >> 16:
        pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    return 2 if packet[TCP_CHECKSUM] == pseudo else 0
