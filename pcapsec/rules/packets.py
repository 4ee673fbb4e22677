"""How packets were sent, as rules about tampering cite it: corroboration, never proof by itself."""
from __future__ import annotations

from typing import Any

from ..records import SIDE_NAMES, Overlap, Reset, Sent, Session, Stranger, Version

FORGED_TTL = 3  # hops from what its side had sent: an RST with that came from elsewhere
MAX_SHOWN = 8  # packets in evidence
SURE = frozenset(("late_data", "stepped"))  # signs of a forger; ttl and ip_id only tell that another box sent it, which may be one that answers for the host


def reset_signs(resets: list[Reset]) -> tuple[str, ...]:
    """What says that resets of one side were not sent by it: ttl (FORGED_TTL), late_data (the host went on), stepped (a burst that guesses sequence numbers), ip_id (outside its host's
    series)."""
    guesses = {one.ahead for one in resets if one.ahead is not None and one.ahead >= 0 and not one.fin}
    return tuple(name for name, is_so in (
        ("ttl", any(one.ttl_differs >= FORGED_TTL for one in resets)), ("late_data", any(one.n_later for one in resets)),
        ("stepped", len(guesses) > 1), ("ip_id", any(one.ip_id_fits is False for one in resets))) if is_so)


def sent(one: Sent) -> dict[str, Any]:
    """How a packet was sent, as evidence."""
    return {"frame": one.frame, "ttl": one.ttl, "ip_id": one.ip_id, "checksum": one.checksum}


def version(one: Version) -> dict[str, Any]:
    """One of two versions of the same bytes, as evidence."""
    return {**sent(one.sent), "content": one.content, "offers_starttls": one.offers_starttls}


def overlap(one: Overlap) -> dict[str, Any]:
    """Bytes that came twice and differ, as evidence."""
    return {"side": SIDE_NAMES[one.side], "offset": one.at, "length": one.length, "first": version(one.first), "second": version(one.second),
            "acknowledged_first": one.acknowledged_first}


def stranger(one: Stranger) -> dict[str, Any]:
    """A packet that came otherwise than its neighbours, as evidence."""
    return {"side": SIDE_NAMES[one.side], **sent(one), "usual_ttl": one.usual_ttl, "signs": list(one.signs)}


def reset(one: Reset) -> dict[str, Any]:
    """An RST or FIN, as evidence."""
    return {"side": SIDE_NAMES[one.side], "kind": "fin" if one.fin else "rst", "frame": one.frame, "ttl": one.ttl, "usual_ttl": one.usual_ttl, "ip_id": one.ip_id, "last_ip_ids": list(one.last_ids),
            "ahead": one.ahead, "later_packets": one.n_later}


def corroboration(session: Session, side: int | None = None, at: int | None = None) -> dict[str, Any]:
    """What packets say beside a finding about tampering, as evidence `packet_hints`; empty where they say nothing.

    Args:
        side, at: a place in a stream; None: the whole conversation. With a place, an odd packet counts only if it brought those bytes, and conflicts if they cover it.
    """
    if not session.n_hints:
        return {}
    hints, found = session.packet_hints, {}
    frame = session.locate(side, at)[1] if session.locate is not None and side is not None and at is not None else None
    strangers = [stranger(one) for one in hints.strangers if one.signs and (frame is None or one.frame == frame)]
    overlaps = [overlap(one) for one in hints.overlaps if one.explained is None and (at is None or one.side == side and one.at <= at < one.at + one.length)]
    if strangers:
        found["packets"] = strangers[:MAX_SHOWN]
    if overlaps:
        found["overlaps"] = overlaps[:MAX_SHOWN]
    return {"packet_hints": found} if found else {}
