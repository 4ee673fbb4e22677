"""Times as users write them."""
from __future__ import annotations

import pytest

from pcapsec.errors import PcapsecError
from pcapsec.times import parse_time

T = 1_714_550_400_000_000_000


@pytest.mark.parametrize("text, ns", [
    (None, None), (5, 5), ("2024-05-01T08:00", T), ("2024-05-01 08:00:00", T), ("2024-05-01T08:00:00Z", T), ("2024-05-01T10:00:00+02:00", T), (" 2024-05-01T08 ", T),
    ("2024-05-01T08:00:00.123456789Z", T + 123456789), ("2024-05-01T08:00:00.5-01:00", T + 3_600_500_000_000), ("2024-05-01", T - 8 * 3600 * 10**9), ("1714550400", T),
    ("1714550400.000000001", T + 1), ("1969-12-31T23:59:59.25Z", -750_000_000),
])
def test_times(text, ns):
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "noon", "2024-13-01", "2024-05-01T25:00", "17:00", "2024-05-01T08:00:00 CET", "99999999999999"])
def test_what_is_no_time(text):
    with pytest.raises(PcapsecError, match="is not a time; write it like"):
        parse_time(text)
