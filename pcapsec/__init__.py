"""Finds mail logins, mail and missing encryption in packet captures.

    import pcapsec
    result = pcapsec.analyze("monday.pcapng")
    result.findings  # a pandas DataFrame

Nothing heavy is imported before it is used.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["CaptureError", "PcapsecError", "analyze", "compare", "load", "__version__"]

if TYPE_CHECKING:
    from .api import analyze, compare, load
    from .errors import CaptureError, PcapsecError

_HOMES = {"analyze": "api", "compare": "api", "load": "api", "CaptureError": "errors", "PcapsecError": "errors"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pcapsec' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
