"""How a conversation's packets were sent: the rows of kernels/hints.py as PacketHints."""
from __future__ import annotations

from typing import Any, Callable

from ..kernels import layers, tables
from ..kernels.hints import (CLASH, CLASH_BYTES, END, H_COUNT, H_FRAME, H_FRAME1, H_INFO, H_INFO1, H_INFO2, H_KIND, H_LATE, H_NS, H_NS1, H_OFFSET, H_PLACE, H_PLACE1, H_SIDE,
                             H_STAMP, H_STAMP1, RUN)
from ..kernels.tables import R_DUPLICATES, R_SENT_A, R_START
from ..packet_records import ID_STEP, Overlap, PacketHints, Reset, Sent, Stranger, Version

MAX_HINTS = 64  # rows kept of a conversation
MOST_RUNS = 7  # of a side; where its packets came in more ways than that, or a quarter of them are odd, none is
FEW = 2  # packets that may be strangers among the others
SHORTEST_FRAME = 46  # bytes of an IP packet in the shortest frame of Ethernet: some boxes count in what fills an acknowledgement up to it
LEAST_USUAL = 3  # packets that make a way the usual one
CLOCK_STEPS = 100_000  # of the timestamps option, by which segments that overtook one another may differ
_STAMP_MASK = 0x7FFFFFFF
_PSH = 8
_TEXT = frozenset(range(32, 127)) | {9, 10, 13}
Locate = Callable[[int], tuple[str, int]]


def content_of(data: bytes) -> str:
    """What kind of bytes these are, without saying which."""
    if len(set(data)) < 2 and (len(data) > 1 or not data or data == b"\0"):
        return "filler"
    if len(data) >= 3 and 20 <= data[0] <= 24 and data[1] == 3 and data[2] <= 4:
        return "tls"
    return "text" if sum(byte in _TEXT for byte in data) * 20 >= len(data) * 19 else "binary"


def looked_at(sent: int) -> int:
    """Packets that R_SENT_A or R_SENT_B speaks of."""
    return sent >> 8


def collect(hints: list[tuple], rows: list[list[int]], data: bytes, base: list[int]) -> list[tuple]:
    """Add rows of kernels/hints.py to those that a conversation has; `data` and `base` are those of their piece."""
    hints += [_overlap(row, data, base[row[H_SIDE]]) if row[H_KIND] == CLASH else (row, 0) for row in rows[:MAX_HINTS - len(hints)]]
    return hints


def _overlap(row: list[int], data: bytes, base: int) -> tuple[list[int], int, str, bool, str, bool]:
    """A CLASH, with what its bytes are: those are gone soon. Returns the row, its offset in the stream, and content and offer of the first and second version."""
    length = min(row[H_COUNT], CLASH_BYTES)
    first, second = data[row[H_PLACE1]:row[H_PLACE1] + length], data[row[H_PLACE]:row[H_PLACE] + length]
    line = data[max(0, row[H_PLACE1] - 16):row[H_PLACE1]]  # a word may begin before the first byte that differs
    return (row, base + row[H_OFFSET], "filler" if _is_filled_up(row[H_INFO1]) else content_of(first), _offers(line + first),
            "filler" if _is_filled_up(row[H_INFO]) else content_of(second), _offers(line + second))


def _is_filled_up(info: int) -> bool:
    """Whether a packet looks like an acknowledgement whose IP length counts in the padding of its frame."""
    return info != 0 and not info & _PSH and (info >> 16) & 0xFFFF <= SHORTEST_FRAME


def _offers(data: bytes) -> bool:
    shown = data.upper()
    return b"STARTTLS" in shown or b"STLS" in shown


def read_hints(conversation: Any, locate: Locate) -> PacketHints:
    """What stands behind `Session.packet_hints`.

    Args:
        conversation: pipeline.conversation.Conversation, finished.
        locate: global frame number -> (capture name, frame in it).
    """
    flip, totals = conversation.flip, conversation.totals
    start, several_taps = totals[R_START], totals[R_DUPLICATES] > 0
    ipv4 = conversation.row[tables.KEY_A0] == 0 and (conversation.row[tables.KEY_A1] >> 32) & 0xFFFFFFFF == 0xFFFF
    syn_ttls = [(start >> 8) & 0xFF or None, (start >> 16) & 0xFF or None]
    runs: tuple[list[list[int]], list[list[int]]] = ([], [])
    resets, overlaps = [], []
    for row, at, *contents in conversation.hints or ():
        side = row[H_SIDE]
        if row[H_KIND] == RUN:
            runs[side].append(row)
        elif row[H_KIND] == END:
            resets.append(_reset(row, side ^ flip, None if several_taps else syn_ttls[side], several_taps, ipv4, locate))
        elif row[H_KIND] == CLASH:
            first, first_offers, second, second_offers = contents
            overlaps.append(Overlap(
                side=side ^ flip, at=at, length=row[H_COUNT], acknowledged_first=bool(row[H_LATE]),
                first=Version(sent=_sent(row[H_FRAME1], row[H_NS1], row[H_INFO1], row[H_STAMP1], ipv4, locate), content=first, offers_starttls=first_offers),
                second=Version(sent=_sent(row[H_FRAME], row[H_NS], row[H_INFO], row[H_STAMP], ipv4, locate), content=second, offers_starttls=second_offers)))
    ttls = [usual_ttl(totals[R_SENT_A + side], runs[side]) for side in (0, 1)]
    strangers = []
    if not several_taps:
        for side in (0, 1):
            strangers += _strangers(runs[side], side ^ flip, ttls[side], syn_ttls[side], ipv4, locate)
    return PacketHints(
        reset_first=bool(conversation.row[tables.STATE] & tables.ENDED_RST), ttl_client=ttls[flip], ttl_server=ttls[1 - flip], ttl_syn_client=syn_ttls[flip], ttl_syn_server=syn_ttls[1 - flip], resets=tuple(resets), strangers=tuple(strangers),
        overlaps=tuple(overlaps), n_paths=len(runs[0]) + len(runs[1]))


def usual_ttl(sent: int, runs: list[list[int]]) -> int | None:
    """TTL of most packets of a side: R_SENT_A of its first piece, and its RUN rows."""
    if not runs:
        return sent & 0xFF or None
    counts: dict[int, int] = {}
    for row in runs:
        ttl = _ttl(row[H_INFO])
        counts[ttl] = counts.get(ttl, 0) + row[H_COUNT]
    return max(counts, key=counts.__getitem__) or None


def _ttl(info: int) -> int:
    return (info >> 8) & 0xFF


def _ip_id(info: int) -> int:
    return (info >> 47) & 0xFFFF


def _details(frame: int, ts_ns: int, info: int, stamp: int, ipv4: bool, locate: Locate) -> dict[str, Any]:
    marks = info >> 40
    checksum = None
    if marks & tables.MARK_CHECKED:
        checksum = "right" if not marks & tables.MARK_BAD_CHECKSUM else "offload" if marks & tables.MARK_OFFLOAD else "wrong"
    return {"frame": locate(frame)[1] if frame else 0, "ts_ns": ts_ns, "ttl": _ttl(info) or None, "ip_id": _ip_id(info) if ipv4 and info else None,
            "timestamp": stamp if info & tables.STAMPED else None, "checksum": checksum}


def _sent(frame: int, ts_ns: int, info: int, stamp: int, ipv4: bool, locate: Locate) -> Sent:
    return Sent(**_details(frame, ts_ns, info, stamp, ipv4, locate))


def _reset(row: list[int], side: int, syn_ttl: int | None, several_taps: bool, ipv4: bool, locate: Locate) -> Reset:
    before, earlier = row[H_INFO1], row[H_INFO2]
    ahead, acknowledged = _signed(row[H_COUNT] >> 32), _signed(row[H_COUNT])
    return Reset(
        **_details(row[H_FRAME], row[H_NS], row[H_INFO], row[H_STAMP], ipv4, locate), side=side, fin=not row[H_INFO] & layers.RST, ahead=ahead, acknowledged_ahead=acknowledged,
        usual_ttl=None if several_taps else _ttl(before) or syn_ttl, last_ids=tuple(_ip_id(info) for info in (before, earlier) if info) if ipv4 else (), n_later=row[H_LATE])


def _signed(bits: int) -> int | None:
    """31 bits of S_AT as the signed number that they are; None: not known."""
    number = ((bits & _STAMP_MASK) ^ 0x40000000) - 0x40000000
    return None if number == tables.UNEXPECTED else number


def _strangers(runs: list[list[int]], side: int, usual: int | None, syn_ttl: int | None, ipv4: bool, locate: Locate) -> list[Stranger]:
    """Packets that came otherwise than those before and after them, which came alike."""
    if not 2 <= len(runs) <= MOST_RUNS or usual is None:
        return []
    found = []
    for number, row in enumerate(runs[:-1]):
        following = runs[number + 1]
        info = row[H_INFO]
        if row[H_COUNT] > FEW or _ttl(info) == _ttl(following[H_INFO]) and info & tables.STAMPED >= following[H_INFO] & tables.STAMPED:
            continue
        if number:
            alike = _ttl(runs[number - 1][H_INFO]) == _ttl(following[H_INFO]) and runs[number - 1][H_INFO] & tables.STAMPED == following[H_INFO] & tables.STAMPED
        else:
            alike = syn_ttl == _ttl(following[H_INFO]) and following[H_COUNT] >= LEAST_USUAL
        if not alike or _ttl(following[H_INFO]) != usual:
            continue
        stamped = info & tables.STAMPED and following[H_INFO] & tables.STAMPED
        found.append(Stranger(
            **_details(row[H_FRAME], row[H_NS], info, row[H_STAMP], ipv4, locate), side=side, n=row[H_COUNT], usual_ttl=usual, ttl_differs=abs(_ttl(info) - usual),
            lacks_timestamp=bool(following[H_INFO] & tables.STAMPED and not info & tables.STAMPED),
            timestamp_off=bool(stamped and number and not _between(row[H_STAMP], row[H_STAMP1], following[H_STAMP], _STAMP_MASK, CLOCK_STEPS, 1 << 24)),
            ip_id_off=bool(ipv4 and number and _ip_id(info) and not _between(_ip_id(info), _ip_id(row[H_INFO1]), _ip_id(following[H_INFO]), 0xFFFF, 64, ID_STEP))))
    return found if len(found) < 2 or len(found) * 4 <= sum([row[H_COUNT] for row in runs]) else []


def _between(number: int, before: int, after: int, mask: int, slack: int, most: int) -> bool:
    """Whether a number stands between two others of a series that counts on; True where those two do not count on."""
    step = (after - before) & mask
    if not 0 < step < most:
        return True
    return (number - before + slack) & mask <= step + 2 * slack
