"""A switch with two ports, to-client and to-server, in user space: it forwards frames, spoils the path when asked, and copies frames to its mirror port.

    relay.py [--lose N] [--swap N] [--mirror FORMAT]

--lose N: of the frames with TCP payload, drop every Nth (the sender repeats it). --swap N: hold every Nth back until the next one has passed (or 20 ms).
--mirror plain | vlan | qinq | vlan-sides | routed-twice | erspan2 | erspan1 | gretap | gre: each forwarded frame also leaves by to-probe, as the named kind of mirror port sends it;
ah | esp-null | esp-gmac | esp-gcm: as the two hosts, or gateways before them (esp-gmac), would send it with this kind of IPsec.
It runs in a namespace of its own, where `tc netem` and the tunnel modules, which many kernels lack, are not needed.
"""
from __future__ import annotations

import argparse
import select
import socket
import struct
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
PROBE_MAC, SWITCH_MAC = bytes.fromhex("0200000000fe"), bytes.fromhex("0200000000fd")
COLLECTOR, EXPORTER = bytes([10, 9, 0, 2]), bytes([10, 9, 0, 1])
HOLD_S = 0.02


def tagged(frame: bytes, *tags: tuple[int, int]) -> bytes:
    """The frame with VLAN tags (EtherType, id), outermost first."""
    return frame[:12] + b"".join(struct.pack("!HH", kind, vlan) for kind, vlan in tags) + frame[12:]


def checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def in_ip(payload: bytes, number: int) -> bytes:
    """An Ethernet frame from exporter to collector around GRE."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number & 0xFFFF, 0x4000, 64, 47, 0, EXPORTER, COLLECTOR)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return PROBE_MAC + SWITCH_MAC + b"\x08\x00" + header + payload


def routed(frame: bytes) -> bytes:
    """An IPv4 frame as it looks behind a router: other addresses on the link, TTL one less."""
    if frame[12:14] != b"\x08\x00":
        return frame
    header = bytearray(frame[14:34])
    header[8] -= 1
    header[10:12] = b"\0\0"
    header[10:12] = struct.pack("!H", checksum(bytes(header)))
    return SWITCH_MAC + PROBE_MAC + frame[12:14] + bytes(header) + frame[34:]


def mirrored(frame: bytes, kind: str, number: int, from_client: bool) -> list[bytes]:
    """The frames that a mirror port of this kind sends for one frame."""
    if kind == "plain":
        return [frame]
    if kind == "vlan":
        return [tagged(frame, (0x8100, 10))]
    if kind == "qinq":
        return [tagged(frame, (0x88A8, 200), (0x8100, 10))]
    if kind == "vlan-sides":  # asymmetric VLANs: each direction carries another tag
        return [tagged(frame, (0x8100, 10 if from_client else 20))]
    if kind == "routed-twice":  # both sides of a router are mirrored: each packet shows in two VLANs
        return [tagged(frame, (0x8100, 10)), tagged(routed(frame), (0x8100, 20))]
    if kind == "erspan1":  # GRE without sequence number, no ERSPAN header
        return [in_ip(struct.pack("!HH", 0, 0x88BE) + frame, number)]
    if kind == "erspan2":  # draft-foschiano-erspan §4.2
        return [in_ip(struct.pack("!HHI", 0x1000, 0x88BE, number) + struct.pack("!HHI", 1 << 12 | 10, 7, 3) + frame, number)]
    if kind == "gretap":  # RFC 2784 with transparent Ethernet bridging
        return [in_ip(struct.pack("!HH", 0, 0x6558) + frame, number)]
    if kind == "gre":  # the packet alone, with a key (RFC 2890)
        return [in_ip(struct.pack("!HHI", 0x2000, struct.unpack("!H", frame[12:14])[0], 77) + frame[14:], number)]
    raise ValueError(kind)


def protection(kind: str):
    """What puts IPv4 frames into IPsec, one association for each direction, by scapy."""
    from scapy.layers.inet import IP
    from scapy.layers.ipsec import AH, ESP, SecurityAssociation

    words = {
        "ah": (AH, {"auth_algo": "SHA2-256-128", "auth_key": bytes(32)}), "esp-null": (ESP, {"crypt_algo": "NULL", "auth_algo": "HMAC-SHA1-96", "auth_key": bytes(20)}),
        "esp-gmac": (ESP, {"crypt_algo": "AES-NULL-GMAC", "crypt_key": bytes(20)}), "esp-gcm": (ESP, {"crypt_algo": "AES-GCM", "crypt_key": bytes(20)}),
    }[kind]
    gateways = ("10.7.9.1", "10.7.9.2")
    made = [SecurityAssociation(words[0], spi=spi, **words[1], **({"tunnel_header": IP(src=gateways[side], dst=gateways[1 - side])} if kind == "esp-gmac" else {}))
            for side, spi in enumerate((0xC0A80001, 0xC0A80002))]

    def protect(frame: bytes, from_client: bool) -> list[bytes]:
        return [frame[:14] + bytes(made[0 if from_client else 1].encrypt(IP(frame[14:])))] if frame[12:14] == b"\x08\x00" else []

    return protect


def tcp_payload(frame: bytes) -> int:
    """Bytes of TCP payload in an IPv4 frame without tags, 0 for anything else."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return 0
    header = (frame[14] & 15) * 4
    return struct.unpack("!H", frame[16:18])[0] - header - (frame[14 + header + 12] >> 4) * 4


def port(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((device, ETH_P_ALL))
    opened.setsockopt(263, 1, struct.pack("iHH8s", socket.if_nametoindex(device), 1, 0, b""))  # SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC
    return opened


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--lose", type=int, default=0)
    ask.add_argument("--swap", type=int, default=0)
    ask.add_argument("--mirror")
    ask = ask.parse_args()
    client, server, probe = port("to-client"), port("to-server"), port("to-probe")
    other = {client: server, server: client}
    protect = protection(ask.mirror) if ask.mirror in ("ah", "esp-null", "esp-gmac", "esp-gcm") else None
    held: list[tuple[socket.socket, bytes, float]] = []
    n_mirrored = n_data = 0
    print("ready", flush=True)

    def forward(out: socket.socket, frame: bytes) -> None:
        nonlocal n_mirrored
        out.send(frame)
        if protect is not None:
            for copy in protect(frame, out is server):
                probe.send(copy)
        elif ask.mirror:
            for copy in mirrored(frame, ask.mirror, n_mirrored, out is server):
                probe.send(copy)
                n_mirrored += 1

    while True:
        ready, _, _ = select.select([client, server], [], [], HOLD_S if held else None)
        for source in ready:
            frame, (_, _, kind, *_) = source.recvfrom(65536)
            if kind == PACKET_OUTGOING:
                continue
            if tcp_payload(frame):
                n_data += 1
                if ask.lose and n_data % ask.lose == 0:
                    continue
                if ask.swap and n_data % ask.swap == 0:
                    held.append((other[source], frame, time.monotonic()))
                    continue
            forward(other[source], frame)
            for out, late, _ in [h for h in held if h[0] is other[source] and tcp_payload(frame)]:
                forward(out, late)
                held[:] = [h for h in held if h[1] is not late]
        for out, late, since in list(held):
            if time.monotonic() - since > HOLD_S:
                forward(out, late)
                held[:] = [h for h in held if h[1] is not late]


if __name__ == "__main__":
    main()
