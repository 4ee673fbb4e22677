"""Judgements: facts of a session in, findings out.

One file a rule, in the folder of its family. `all_rules()` loads them, a `Judge` applies them, a `Policy` tells it about the site.
"""
from __future__ import annotations

from .judge import Judge
from .policy import Policy
from .registry import all_rules
from .rule import Rule

__all__ = ["Judge", "Policy", "Rule", "all_rules"]
