"""The shape of the project: who may import whom, what is written nowhere, how long a file may be, and that no dependency is idle."""
from __future__ import annotations

import ast
import fnmatch
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "pcapsec"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# A room imports from rooms with a higher number only; rooms of one number never import one another.
ROOMS = {"__main__": 0, "cli": 1, "__init__": 2, "api": 3, "pipeline": 4, "report": 5, "streams": 6, "protocols": 6, "rules": 6, "tables": 6, "capture": 6, "records": 7, "times": 7, "greetings": 7,
         "service_records": 7.5, "packet_records": 7.6,
         "secret": 8, "kernels": 9, "errors": 10}
MAY_PRINT_OR_EXIT = ("cli", "__main__")
LONGER_THAN_500 = {  # path: why it is not a folder of several
    "tests/rules/test_cleartext_rules.py": "a short section for each rule of one family",
}
IMPORT_NAMES = {"pyyaml": "yaml", "dnspython": "dns"}  # distribution name, lower case, where it is not the module's
NOT_IMPORTED_BY_THE_PACKAGE = {  # dependency: reason; each must then be imported by a test
    "scapy": "what users asked for; tests take it as a second opinion on frames, live capture will use it",
    "pytest": "runs the tests",
    "hypothesis": "thinks of inputs for tests",
}


def python_files(*folders: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def kept_files() -> list[pathlib.Path]:
    """What git keeps or would keep: everything but what .gitignore names."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"], capture_output=True, check=True).stdout
    return [path for name in names.decode().split("\0") if name and (path := ROOT / name).is_file()]


def room_of(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def imported_rooms(path: pathlib.Path) -> set[str]:
    """Rooms of our package that a file imports, at its top or inside a function."""
    package = ("pcapsec", *path.relative_to(PACKAGE).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            targets = [(*module, alias.name) for alias in node.names] if module == ("pcapsec",) else [module]
        else:
            continue
        for target in targets:
            if target[0] == "pcapsec":
                found.add(target[1] if len(target) > 1 and target[1] in ROOMS else "__init__")
    return found


def test_each_room_is_known():
    rooms = {room_of(path) for path in python_files(PACKAGE)}
    assert sorted(rooms - set(ROOMS)) == []


def test_rooms_import_downwards_only():
    wrong = []
    for path in python_files(PACKAGE):
        here = room_of(path)
        for there in imported_rooms(path) - {here}:
            version_only = there == "__init__"  # the version number stands at the top of the package
            if ROOMS[there] <= ROOMS[here] and not version_only:
                wrong.append(f"{path.relative_to(ROOT)} ({here}) imports {there}")
    assert wrong == []


def test_the_import_rule_sees_each_form(tmp_path, monkeypatch):
    """The finder above knows absolute and relative imports, also those inside functions."""
    package = tmp_path / "pcapsec"
    (package / "rules" / "deep").mkdir(parents=True)
    path = package / "rules" / "deep" / "x.py"
    path.write_text("import pcapsec.streams\nfrom ...protocols import smtp\nfrom ... import tables\nfrom pcapsec import cli\ndef f():\n    from ...capture.files import open_it\n    from ..rule import RULE\n")
    monkeypatch.setitem(globals(), "PACKAGE", package)
    assert imported_rooms(path) == {"streams", "protocols", "tables", "cli", "capture", "rules"}


def test_kernels_import_nothing_of_ours():
    assert {str(path.relative_to(ROOT)): rooms for path in python_files(PACKAGE / "kernels") if (rooms := imported_rooms(path) - {"kernels", "errors"})} == {}


def test_only_the_command_line_prints_or_exits():
    wrong = []
    for path in python_files(PACKAGE):
        if room_of(path) in MAY_PRINT_OR_EXIT:
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "exit", "quit", "sys.exit", "click.echo", "sys.stdout.write", "sys.stderr.write"):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {called}")
    assert wrong == []


def test_no_word_about_the_machine_it_was_written_on():
    """Machine paths and the addresses of package registries have no place in the project."""
    words = ["/" + "work/", "/opt" + "/venv", "/root" + "/", "py" + "pi.org", "files.python" + "hosted", "deb." + "debian.org", "registry." + "npmjs", "proxy.golang" + ".org", "crates" + ".io"]
    pattern = re.compile("|".join(map(re.escape, words)).encode())
    found = []
    for path in kept_files():
        if ".pcap" in path.name or path.name == "LICENSE":
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0].decode()}" for match in pattern.finditer(path.read_bytes())]
    assert found == []


def test_files_stay_readable_in_one_sitting():
    lengths = {str(path.relative_to(ROOT)): n for path in kept_files() if path.suffix == ".py" and (n := path.read_bytes().count(b"\n")) > 500}
    assert {name: n for name, n in lengths.items() if name not in LONGER_THAN_500} == {}
    assert [name for name in LONGER_THAN_500 if not (ROOT / name).is_file()] == []


def distributions() -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = PROJECT["project"]["dependencies"] + [line for lines in extras.values() for line in lines]
    return {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in wanted}


def modules(*folders: pathlib.Path) -> set[str]:
    found = set()
    for path in python_files(*folders):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_each_dependency_is_imported():
    ours, by_tests = modules(PACKAGE), modules(ROOT / "tests")
    idle = {name for name in distributions() if IMPORT_NAMES.get(name, name) not in ours}
    assert idle == set(NOT_IMPORTED_BY_THE_PACKAGE)
    assert {name for name in idle if name not in by_tests} == set()


def test_each_import_is_a_dependency():
    names = {IMPORT_NAMES.get(name, name) for name in distributions()} | {"pcapsec"}
    assert {module for module in modules(PACKAGE) if module not in sys.stdlib_module_names} - names == set()


def test_data_files_are_installed():
    """Whatever lies beside the modules matches a pattern of package-data, or an installed pcapsec would lack it."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    there = [path for path in kept_files() if PACKAGE in path.parents and path.suffix != ".py"]
    assert [str(path.relative_to(ROOT)) for path in there if not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)] == []


def test_each_folder_of_the_package_is_a_package():
    """setuptools leaves out folders without __init__.py."""
    assert [str(path.parent.relative_to(ROOT)) for path in python_files(PACKAGE) if not (path.parent / "__init__.py").exists()] == []


def test_the_licence_is_the_one_that_is_named():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:7] == ["GNU", "GENERAL", "PUBLIC", "LICENSE", "Version", "2,", "June"]
    assert PROJECT["project"]["license"] == "GPL-2.0-or-later"
