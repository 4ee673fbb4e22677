"""How the packets of a conversation were sent: what says something of who sent them, where their bytes say nothing.

A host's packets to another come with one TTL, with or without the timestamps option (RFC 7323 §3.2), and often with IP ids that count on. These records hold what broke with that,
and how the connection was reset. They hold no bytes of the wire.
"""
from __future__ import annotations

from dataclasses import dataclass

TTL_JUMP = 2  # hops by which one packet's way seldom differs from the next one's
MOST_APART_NS = 300_000_000_000  # between two copies of the same bytes: TCP sends again within two minutes (RFC 6298 §5.5), a forger races
ID_STEP = 4096  # IP ids further on than this are of another series; busy hosts with one counter for all send that many between two packets of ours


@dataclass(slots=True, kw_only=True)
class Sent:
    """How one packet was sent."""

    frame: int = 0  # within the input that holds it
    ts_ns: int = 0
    ttl: int | None = None  # TTL or hop limit as captured
    ip_id: int | None = None  # None: IPv6
    timestamp: int | None = None  # lower 31 bits of TSval; None: without the option
    checksum: str | None = None  # right, wrong, offload (left to the sender's card); None: not computed


@dataclass(slots=True, kw_only=True)
class Reset(Sent):
    """An RST, or a FIN with another TTL than what its side had sent."""

    side: int  # whose address it carries
    fin: bool = False
    ahead: int | None = None  # its sequence number, counted from the one that its side would have sent next; None: that was not known
    acknowledged_ahead: int | None = None  # the same for its acknowledgement
    usual_ttl: int | None = None  # of what its side had sent; None: nothing was seen of it
    last_ids: tuple[int, ...] = ()  # IP ids of its side's last packets with data, at most two, the last one first; IPv4 only
    n_later: int = 0  # packets with data of its side that came after it and go on from its sequence number: whoever has reset a connection sends none

    @property
    def ttl_differs(self) -> int:
        """By how many hops its way differs from that of what its side had sent."""
        return abs(self.ttl - self.usual_ttl) if self.ttl and self.usual_ttl else 0

    @property
    def ip_id_fits(self) -> bool | None:
        """Whether its IP id goes on from its side's; None: theirs do not count on, or it has none of its own, as where no socket sent it."""
        if len(self.last_ids) < 2 or not self.ip_id or not 0 < (self.last_ids[0] - self.last_ids[1]) & 0xFFFF < ID_STEP:
            return None
        return (self.ip_id - self.last_ids[0]) & 0xFFFF < ID_STEP


@dataclass(slots=True, kw_only=True)
class Stranger(Sent):
    """One packet, or two, with data that came otherwise than those of its side before and after it."""

    side: int
    n: int = 1
    usual_ttl: int | None = None
    ttl_differs: int = 0  # hops
    lacks_timestamp: bool = False  # the others of its side have the option
    timestamp_off: bool = False  # its time is far from that of the others
    ip_id_off: bool = False  # its IP id is outside the series of the others

    @property
    def signs(self) -> tuple[str, ...]:
        """What is odd about it: ttl, timestamp, ip_id, checksum."""
        return tuple(name for name, odd in (("ttl", self.ttl_differs >= TTL_JUMP), ("timestamp", self.lacks_timestamp or self.timestamp_off), ("ip_id", self.ip_id_off),
                                            ("checksum", self.checksum == "wrong")) if odd)


@dataclass(slots=True, kw_only=True)
class Version:
    """One of two versions of the same bytes."""

    sent: Sent
    content: str  # text, tls, binary, filler (one byte again and again, or the padding of an acknowledgement)
    offers_starttls: bool  # it has the word that offers TLS


@dataclass(slots=True, kw_only=True)
class Overlap:
    """Bytes of a stream that were sent twice, and differ."""

    side: int
    at: int  # stream offset of the first byte that differs
    length: int  # bytes from there on that both versions have
    first: Version  # the one that stands in the stream
    second: Version
    acknowledged_first: bool = False  # its receiver was seen to acknowledge these bytes before the second version came

    @property
    def explained(self) -> str | None:
        """Why it is no other content: checksum (one version was damaged on its way, and its receiver dropped it), filler (one version holds nothing), probe (one byte, as keep-alives and
        window probes send), time (so far apart that it is another conversation, or a capture put together by hand); None: nothing explains it."""
        if "wrong" in (self.first.sent.checksum, self.second.sent.checksum):
            return "checksum"
        if "filler" in (self.first.content, self.second.content):
            return "filler"
        if self.length == 1:
            return "probe"
        return "time" if abs(self.second.sent.ts_ns - self.first.sent.ts_ns) > MOST_APART_NS else None


@dataclass(slots=True, kw_only=True)
class PacketHints:
    """How the packets of a conversation were sent, as far as they were kept: those in clear, and of handshakes.

    Lists are bounded; what does not fit is left out.
    """

    ttl_client: int | None = None  # of most packets with data; of the SYN where there are none
    ttl_server: int | None = None
    ttl_syn_client: int | None = None  # of the SYN
    ttl_syn_server: int | None = None  # of the SYN/ACK
    reset_first: bool = False  # an RST came before any FIN
    resets: tuple[Reset, ...] = ()  # in the order of the capture, at most eight
    strangers: tuple[Stranger, ...] = ()  # none where packets were captured twice, for taps stand at several distances
    overlaps: tuple[Overlap, ...] = ()  # at most eight
    n_paths: int = 0  # runs of packets with another TTL or other options, both sides; many: packets of a side go several ways

    def stranger_at(self, frame: int) -> Stranger | None:
        """The odd packet in a frame, if that is one."""
        return next((one for one in self.strangers if one.frame == frame), None)
