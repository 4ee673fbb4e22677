"""One capture's way through the house; the only place that knows all rooms."""
from __future__ import annotations

from ..protocols.x509_trust import TrustStore
from .comparison import Comparison
from .comparison import run as compare
from .history import History
from .keylog import KeyLog
from .run import Filters, Outcome, run

__all__ = ["Comparison", "Filters", "History", "KeyLog", "Outcome", "TrustStore", "compare", "run"]
