"""Sizes as people write them."""
from __future__ import annotations

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_in_bytes(text: str) -> int:
    """'500M' as bytes; K, M and G are powers of 1024."""
    text = text.strip().upper().removesuffix("B")
    unit = text[-1:] if text[-1:] in UNITS else ""
    return int(float(text.removesuffix(unit)) * UNITS[unit])
