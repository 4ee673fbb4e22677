"""Times as users write them."""
from __future__ import annotations

import re
from datetime import datetime, timezone

from .errors import PcapsecError

_FRACTION = re.compile(r"(\d{2}:\d{2}:\d{2})[.,](\d{1,9})\d*")
_EPOCH = re.compile(r"(\d{9,10})(?:\.(\d{1,9}))?\Z")
_ZERO = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(text: str | int | None) -> int | None:
    """A time as int64 ns since 1970 UTC.

    Args:
        text: ISO 8601 (`2024-05-01`, `2024-05-01 08:00`, `2024-05-01T08:00:00.5+02:00`; UTC unless it says otherwise), seconds since 1970, or ns as an int.

    Raises:
        PcapsecError: not a time.
    """
    if text is None or isinstance(text, int):
        return text
    text = text.strip()
    epoch = _EPOCH.match(text)
    if epoch:
        return int(epoch.group(1)) * 1_000_000_000 + int((epoch.group(2) or "0").ljust(9, "0"))
    fraction = _FRACTION.search(text)
    ns = int(fraction.group(2).ljust(9, "0")) if fraction else 0
    whole = _FRACTION.sub(r"\1", text)
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise PcapsecError(f"{text!r} is not a time; write it like 2024-05-01T08:00 or 2024-05-01T08:00:00+02:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    delta = moment - _ZERO
    return (delta.days * 86400 + delta.seconds) * 1_000_000_000 + ns
