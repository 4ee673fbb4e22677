"""What holds for every rule, and what a broken one does."""
from __future__ import annotations

import ast
import pathlib
import subprocess
import sys
import types

import pytest

from pcapsec.errors import DefinitionError
from pcapsec.rules import registry
from pcapsec.rules.rule import MAIL, PASS, Rule

FOLDER = pathlib.Path(registry.__file__).parent

# RULES.md §11, the base severities, for the rules that there are so far
SEVERITIES = {
    "critical": "PS311 PS304 PS312 PS313 PS314 PS101 PS102 PS107 PS108 PS110 PS111 PS112 PS113 PS114 PS115 PS116 PS117 PS122 PS214 PS601 PS401 PS404 PS406 PS417",
    "high": "PS307 PS205 PS305 PS308 PS903 PS306 PS309 PS317 PS103 PS104 PS105 PS106 PS124 PS125 PS126 PS202 PS204 PS206 PS209 PS210 PS212 PS301 PS501 PS502 PS503 PS505 PS512 PS516 PS602 PS604 PS605 PS207 PS402 PS405 PS407 PS411 PS419 PS421 PS425 PS426 PS901 PS906 PS907 PS802 PS803 PS811 PS902",
    "medium": "PS319 PS904 PS911 PS912 PS302 PS303 PS310 PS315 PS109 PS121 PS123 PS127 PS201 PS211 PS213 PS215 PS216 PS504 PS506 PS507 PS513 PS603 PS608 PS403 PS408 PS409 PS413 PS414 PS415 PS420 PS422 PS423 PS424 PS429 PS441 PS452 PS703 PS705 PS708 PS710 PS908 PS905 PS804",
    "low": "PS318 PS316 PS003 PS004 PS005 PS119 PS120 PS203 PS508 PS510 PS518 PS410 PS412 PS418 PS427 PS440 PS450 PS706 PS709",
    "info": "PS453 PS001 PS002 PS006 PS007 PS008 PS009 PS010 PS118 PS217 PS218 PS219 PS509 PS511 PS514 PS515 PS517 PS606 PS607 PS208 PS416 PS428 PS430 PS442 PS454 PS455 PS456 PS701 PS702 PS704 PS707 PS909 PS910 PS801 PS810 PS805 PS806 PS807 PS808 PS809",
}
BY_ID = {rule_id: severity for severity, ids in SEVERITIES.items() for rule_id in ids.split()}


def test_all_rules_with_the_severities_of_the_catalogue(rules):
    assert {rule_id: rule.severity for rule_id, rule in rules.items()} == BY_ID
    assert list(rules) == sorted(rules)


def test_every_file_is_one_rule_named_after_it(rules):
    files = {path.stem for family in registry.FAMILIES for path in (FOLDER / family).glob("*.py") if path.stem != "__init__"}
    assert files == {f"{rule.id}_{rule.slug}".lower().replace("-", "_") for rule in rules.values()}
    for path in (path for family in registry.FAMILIES for path in (FOLDER / family).glob("ps*.py")):
        rule = rules[path.stem[:5].upper()]
        assert rule.category == path.parent.name
        assert rule.judge.__module__.endswith(path.stem)


@pytest.mark.parametrize("rule_id", sorted(BY_ID))
def test_manual_page(rules, rule_id):
    rule = rules[rule_id]
    lines = rule.page.splitlines()
    assert lines[0].startswith(rule_id + ": ") and lines[0].endswith(".")
    heads = [index for index, line in enumerate(lines) if line in registry.SECTIONS]
    assert [lines[index] for index in heads] == list(registry.SECTIONS)
    for begin, end in zip(heads, heads[1:] + [len(lines)]):
        assert any(line.startswith("    ") for line in lines[begin + 1:end]), f"nothing under {lines[begin]}"
    references = " ".join(" ".join(lines[heads[-1]:]).split())
    assert [reference for reference in rule.references if reference not in references] == []


@pytest.mark.parametrize("rule_id", sorted(BY_ID))
def test_judge_fits_a_screen(rules, rule_id):
    path = next(FOLDER.glob(f"*/{rule_id.lower()}_*.py"))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, (path, node.name)


def test_rules_never_import_other_rooms():
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(room in name.split(".") for name in names for room in ("streams", "protocols", "tables", "report", "pipeline", "cli", "capture", "kernels")), path


def test_no_rule_reveals_a_secret():
    assert [path for path in FOLDER.rglob("*.py") if "reveal" in path.read_text()] == []


def test_import_is_light():
    code = ("import sys; before = set(sys.modules); import pcapsec.rules as r; r.all_rules(); "
            "print([m for m in ('yaml', 'pandas', 'numpy', 'numba', 'ipaddress') if m in sys.modules and m not in before])")  # an editable installation imports some itself
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=FOLDER.parents[1], check=True)
    assert run.stdout.strip() == "[]"


# --- broken rules

GOOD_PAGE = "PS998: a test.\n\nWhat\n    a\n\nWhy\n    b\n\nEvidence\n    c\n\nNot a finding when\n    d\n\nReferences\n    RFC 1\n"


def module(*, name="pcapsec.rules.capture.ps098_made_up", page=GOOD_PAGE, with_judge=True, with_rule=True, **fields):
    made = types.ModuleType(name, page)
    fields = {"id": "PS098", "slug": "made-up", "title": "t", "severity": "low", "confidence": "high", "category": "capture", "scope": "session",
              "protocols": MAIL, "remediation": "r", "references": ("RFC 1",), **fields}
    if with_rule:
        made.RULE = Rule(**fields)
    if with_judge:
        made.judge = lambda session, facts, site: PASS
    return made


def test_a_whole_rule_is_taken():
    made = module()
    assert registry.collect([made]) == {"PS098": made.RULE}
    assert made.RULE.page == GOOD_PAGE and made.RULE.judge is made.judge


@pytest.mark.parametrize("broken, message", [
    (module(with_rule=False), "no RULE"),
    (module(with_judge=False), "no function judge"),
    (module(page=""), "lacks the section 'What'"),
    (module(page=GOOD_PAGE.replace("Not a finding when\n", "")), "lacks the section 'Not a finding when'"),
    (module(page=GOOD_PAGE.replace("What\n", "x\n").replace("References\n", "What\n").replace("x\n", "References\n")), "another order"),
    (module(id="PS98"), "not PS and three digits"),
    (module(slug="Made_Up"), "is not words joined by -"),
    (module(name="pcapsec.rules.capture.ps097_made_up"), "ps098_made_up.py"),
    (module(severity="fatal"), "severity 'fatal'"),
    (module(confidence="sure"), "confidence 'sure'"),
    (module(category="credential"), "does not go with the id"),
    (module(scope="packet"), "scope 'packet'"),
    (module(protocols=()), "protocols ()"),
    (module(protocols=("ftp",)), "protocols ('ftp',)"),
    (module(scope="login", several=True), "several findings at once"),
    (module(needs=("client",)), "needs ('client',)"),
    (module(remediation=""), "must say something"),
])
def test_a_missing_piece_is_an_error(broken, message):
    with pytest.raises(DefinitionError, match="pcapsec.rules.capture.ps09") as error:
        registry.collect([broken])
    assert message in str(error.value)


def test_an_id_is_never_used_twice():
    with pytest.raises(DefinitionError, match="PS098 is taken by made-up"):
        registry.collect([module(), module()])
