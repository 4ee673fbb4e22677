"""Finds the rules: every module of a family is one.

A rule that lacks a piece stops the start: a rule skipped in silence would look like a clean network.
"""
from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

from ..errors import DefinitionError
from ..records import CLIENT, CONFIDENCES, SERVER, SEVERITIES
from .rule import ANY, CATEGORIES, PROTOCOLS, SCOPES, Rule

FAMILIES = ("capture", "credential", "cleartext", "stripping", "tls", "rpc", "web", "message", "network", "correlation")
SECTIONS = ("What", "Why", "Evidence", "Not a finding when", "References")
_ID = re.compile(r"PS\d{3}\Z")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_rules: dict[str, Rule] | None = None


def all_rules() -> dict[str, Rule]:
    """Every rule by its id, in order of ids; loaded once.

    Raises:
        DefinitionError: a rule's module lacks a piece, or two rules have one id.
    """
    global _rules
    if _rules is None:
        _rules = collect(_modules())
    return _rules


def _modules() -> list[ModuleType]:
    found = []
    for family in FAMILIES:
        package = importlib.import_module(f"{__package__}.{family}")
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            found.append(importlib.import_module(f"{package.__name__}.{info.name}"))
    return found


def collect(modules: list[ModuleType]) -> dict[str, Rule]:
    """Check modules and put page and function into their rules.

    Raises:
        DefinitionError: naming the module and what it lacks.
    """
    rules: dict[str, Rule] = {}
    for module in modules:
        rule = _checked(module)
        if rule.id in rules:
            raise DefinitionError(f"{module.__name__}: the id {rule.id} is taken by {rules[rule.id].slug}; ids are never used twice")
        rule.page = (module.__doc__ or "").strip() + "\n"
        rule.judge = module.judge
        rules[rule.id] = rule
    return dict(sorted(rules.items()))


def _checked(module: ModuleType) -> Rule:
    name = module.__name__
    rule = getattr(module, "RULE", None)
    if not isinstance(rule, Rule):
        raise DefinitionError(f"{name}: no RULE; a rule's module has RULE = Rule(…)")
    if not callable(getattr(module, "judge", None)):
        raise DefinitionError(f"{name}: no function judge(…)")
    sections = [line for line in (module.__doc__ or "").splitlines() if line in SECTIONS]
    if sections != list(SECTIONS):
        missing = [section for section in SECTIONS if section not in sections]
        fault = f"lacks the section {missing[0]!r}" if missing else "has its sections in another order"
        raise DefinitionError(f"{name}: the docstring {fault}; it is the manual page with {' / '.join(SECTIONS)}")
    file_name = name.rpartition(".")[2]
    expected = f"{rule.id}_{rule.slug}".lower().replace("-", "_")
    for wrong, what in (
        (not _ID.match(rule.id), f"id {rule.id!r} is not PS and three digits"),
        (not _SLUG.match(rule.slug), f"slug {rule.slug!r} is not words joined by -"),
        (file_name != expected, f"file is named {file_name}.py, but its rule is {rule.id} {rule.slug}: {expected}.py"),
        (rule.severity not in SEVERITIES, f"severity {rule.severity!r} is none of {', '.join(SEVERITIES)}"),
        (rule.confidence not in CONFIDENCES, f"confidence {rule.confidence!r} is none of {', '.join(CONFIDENCES)}"),
        (rule.category != CATEGORIES.get(rule.id[2:3]), f"category {rule.category!r} does not go with the id {rule.id}"),
        (rule.scope not in SCOPES, f"scope {rule.scope!r} is none of {', '.join(SCOPES)}"),
        (not rule.protocols or not set(rule.protocols) <= {*PROTOCOLS, *ANY}, f"protocols {rule.protocols!r} must be of {', '.join(PROTOCOLS)}, or ANY"),
        (rule.several and rule.scope not in ("session", "capture"), "several findings at once are for rules about sessions and captures"),
        (not set(rule.needs) <= {CLIENT, SERVER}, f"needs {rule.needs!r} must be sides: CLIENT, SERVER"),
        (not rule.title or not rule.remediation or not rule.references, "title, remediation and references must say something"),
    ):
        if wrong:
            raise DefinitionError(f"{name}: {what}")
    return rule
