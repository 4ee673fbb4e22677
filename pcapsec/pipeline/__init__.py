"""One capture's way through the house; the only place that knows all rooms."""
from __future__ import annotations

from .run import Filters, Outcome, run

__all__ = ["Filters", "Outcome", "run"]
