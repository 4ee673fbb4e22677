"""Reads policy files: YAML in, a `Policy` out, or an error that names the line and says what to write instead.

It walks YAML nodes instead of values, because nodes know their lines. Anchors, aliases and tags are refused: a policy needs none, and a small file can
say enormous things with them.
"""
from __future__ import annotations

import datetime
import os
from typing import Any, Callable, Iterable, NoReturn

from ..errors import DefinitionError
from .policy import DIRECTIONS, TLS_VERSIONS, Match, Policy, Requirement, StsPolicy, Suppression
from .requirements import PROTOCOLS, SERVICES

KEYS = ("version", "internal_networks", "local_domains", "sites", "require_tls", "require_rpc_privacy", "mta_sts", "baseline", "suppress")
REQUIREMENT = ("id", "match", "min_tls", "names")
SUPPRESSION = ("rule", "match", "reason", "expires")
STS = ("mode", "mx")
MODES = ("enforce", "testing", "none")
NETWORKS, NAMES = ("ip", "client", "server"), ("helo", "server_name", "mx", "rcpt_domain", "from_domain")
CONVERSATION = (*NETWORKS, "server_port", "protocol", "service", "direction", *NAMES)  # what a requirement matches
FINDING = (*NETWORKS, "server_port", "protocol", "principal", "group", "finding")  # what a suppression matches
MAX_ENTRIES = 1000  # of one list: each is tried on every conversation
MAX_TEXT = 500  # characters of an id or a reason


class _Refused(Exception):
    """Something that YAML has and a policy has not."""

    def __init__(self, line: int, what: str):
        self.line, self.what = line, what


class PolicyReader:
    """Reads one file.

    Args:
        name: as it stands in messages.
        folder: from which paths in the file count.
    """

    def __init__(self, name: str, folder: str = ""):
        self.name, self.folder = name, folder

    def read(self, data: bytes | str) -> Policy:
        """The policy; raises DefinitionError."""
        root = self._compose(data)
        if root is None:
            self.fail(1, "empty; the least is `version: 1`")
        if root.id != "mapping":
            self.fail(_line(root), "expected names with values, such as `version: 1`")
        values = self._names(root, KEYS)
        if "version" not in values:
            self.fail(_line(root), "no `version`; write `version: 1`")
        version = values["version"]
        if getattr(version, "value", None) != "1":
            self.fail(_line(version), f"version {_shown(version)} is not known; this pcapsec reads version 1")
        return Policy(
            internal_networks=self._list(values, "internal_networks", self._network, "10.0.0.0/8"),
            local_domains=self._list(values, "local_domains", self._domain, "contoso.com"),
            sites=self._sites(values.get("sites")),
            require_tls=self._requirements(values),
            require_rpc_privacy=self._list(values, "require_rpc_privacy", self._network, "10.0.0.0/8"),
            mta_sts=self._sts(values.get("mta_sts")),
            baseline=self._baseline(values.get("baseline")),
            suppress=tuple(self._suppression(node) for node in self._items(values.get("suppress"), "suppress", "{rule: PS204, reason: accepted}", "mapping")),
        )

    def fail(self, line: int | None, text: str) -> NoReturn:
        raise DefinitionError(f"{self.name}: {text}" if line is None else f"{self.name}, line {line}: {text}")

    def _compose(self, data: bytes | str) -> Any:
        import yaml

        class Loader(yaml.SafeLoader):
            def compose_node(self, parent: Any, index: Any) -> Any:
                event = self.peek_event()
                if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                    raise _Refused(event.start_mark.line + 1, "anchors (&) and aliases (*) have no place in a policy; write the values out, or put the text between quotes")
                if getattr(event, "tag", None) not in (None, "!"):
                    raise _Refused(event.start_mark.line + 1, "tags (!) have no place in a policy; put the text between quotes")
                return super().compose_node(parent, index)

        try:
            return yaml.compose(data, Loader=Loader)
        except _Refused as error:
            line, text = error.line, error.what
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, text = mark.line + 1 if mark else None, f"not YAML: {error.problem or error.context}"
            if "alias" in (error.context or ""):
                text = "a text that begins with * must stand between quotes"
        except (yaml.YAMLError, UnicodeError) as error:  # characters that YAML does not allow, or not UTF-8
            line, text = None, f"not YAML: {str(error).splitlines()[0]}"
        except RecursionError:
            line, text = None, "nested too deep for a policy"
        except (ValueError, IndexError, OverflowError):  # the scanner's own, on escapes such as \UFFFFFFFF
            line, text = None, "not YAML: an escape that stands for no character"
        self.fail(line, text)

    # --- shapes

    def _names(self, node: Any, known: tuple[str, ...], where: str = "") -> dict[str, Any]:
        """The entries of a mapping by their names, each known and there once."""
        values: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if isinstance(key.value, str) else "?"
            if name in values:
                self.fail(_line(key), f"`{name}` stands here a second time")
            if name not in known:
                self.fail(_line(key), f"`{name[:60]}` is not known{where}" + _instead(name, known))
            values[name] = value
        return values

    def _items(self, node: Any, name: str, example: str, kind: str = "scalar") -> list[Any]:
        """The items of a list, all of one kind; none where nothing was written."""
        if node is None or node.tag.endswith(":null"):
            return []
        if node.id != "sequence":
            self.fail(_line(node), f"`{name}` must be a list, such as [{example}]")
        if len(node.value) > MAX_ENTRIES:
            self.fail(_line(node), f"`{name}` has {len(node.value)} entries, more than {MAX_ENTRIES}")
        for item in node.value:
            if item.id != kind:
                self.fail(_line(item), f"`{name}` holds {'plain values' if kind == 'scalar' else 'entries with names'}, found a {item.id}")
        return node.value

    def _list(self, values: dict[str, Any], name: str, read: Callable[[Any], Any], example: str) -> tuple[Any, ...]:
        return tuple([read(node) for node in self._items(values.get(name), name, example)])

    def _some(self, values: dict[str, Any], name: str, read: Callable[[Any], Any], example: str) -> tuple[Any, ...]:
        """The same of a list in a match: one plain value may stand for a list of one, and an empty one is an error, for it would match nothing or everything."""
        node = values.get(name)
        if node is not None and node.id == "scalar" and not node.tag.endswith(":null"):
            return (read(node),)
        if node is not None and not self._items(node, name, example):
            self.fail(_line(node), f"`{name}` is empty; leave it out, or write such as [{example}]")
        return self._list(values, name, read, example)

    def _mapping(self, node: Any, name: str, example: str) -> list[tuple[Any, Any]]:
        if node is None or node.tag.endswith(":null"):
            return []
        if node.id != "mapping":
            self.fail(_line(node), f"`{name}` must be names with values, such as {{{example}}}")
        if len(node.value) > MAX_ENTRIES:
            self.fail(_line(node), f"`{name}` has {len(node.value)} entries, more than {MAX_ENTRIES}")
        return node.value

    def _text(self, node: Any, name: str) -> str:
        if node is None or node.id != "scalar" or not node.value.strip():
            self.fail(_line(node) if node is not None else None, f"`{name}` must be a text")
        if len(node.value) > MAX_TEXT:
            self.fail(_line(node), f"`{name}` is longer than {MAX_TEXT} characters")
        return " ".join(node.value.split())

    def _word(self, node: Any, name: str, known: Iterable[str]) -> str:
        known = tuple(known)
        if node.id != "scalar" or node.value.lower() not in known:
            self.fail(_line(node), f"{_shown(node)} is not known as `{name}`" + _instead(node.value.lower() if node.id == "scalar" else "", known))
        return node.value.lower()

    # --- values

    def _network(self, node: Any) -> Any:
        import ipaddress

        text = node.value
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            try:
                meant = ipaddress.ip_network(text, strict=False)
            except ValueError:
                self.fail(_line(node), f"{_shown(node)} is not a network such as 10.0.0.0/8 or 2001:db8::/32")
            self.fail(_line(node), f"{_shown(node)} has bits set behind its prefix; did you mean {meant}?")

    def _domain(self, node: Any) -> str:
        domain = node.value.lower().rstrip(".")
        if not _is_name(domain):
            self.fail(_line(node), f"{_shown(node)} is not a mail domain such as contoso.com")
        return domain

    def _pattern(self, node: Any) -> str:
        name = node.value.lower().rstrip(".")
        if not _is_name(name.removeprefix("*.")):
            self.fail(_line(node), f"{_shown(node)} is not a name such as mail.contoso.com or *.contoso.com")
        return name

    def _port(self, node: Any) -> int:
        if not (node.value.isascii() and node.value.isdigit() and len(node.value) < 6 and 0 < int(node.value) < 65536):
            self.fail(_line(node), f"{_shown(node)} is not a port, 1 to 65535")
        return int(node.value)

    def _hexadecimal(self, node: Any) -> str:
        text = node.value.lower()
        digits = text.rpartition("-")[2]
        if len(digits) != 16 or not all(c in "0123456789abcdef" for c in digits):
            self.fail(_line(node), f"{_shown(node)} is no id as the columns finding_id and group_id have them; put it between quotes")
        return text if "-" not in text else text[:-17].upper() + text[-17:]

    def _rule(self, node: Any) -> str:
        text = node.value.upper()
        if len(text) != 5 or not text.startswith("PS") or not (text[2:].isascii() and text[2:].isdigit()):
            self.fail(_line(node), f"{_shown(node)} is not a rule such as PS204; `pcapsec rules` lists them")
        return text

    def _version(self, node: Any) -> str | None:
        if node is None:
            return None
        text = node.value.lower().replace(" ", "") if node.id == "scalar" else ""
        version = "TLSv" + text.removeprefix("tls").removeprefix("v")
        if version not in TLS_VERSIONS:
            self.fail(_line(node), f"{_shown(node)} is not a TLS version; write one of TLS1.0, TLS1.1, TLS1.2, TLS1.3")
        return version

    def _day(self, node: Any) -> datetime.date | None:
        if node is None:
            return None
        try:
            return datetime.date.fromisoformat(node.value if node.id == "scalar" else "")
        except ValueError:
            self.fail(_line(node), f"{_shown(node)} is not a day such as 2030-12-31")

    # --- entries

    def _match(self, node: Any, known: tuple[str, ...]) -> Match:
        if node.id != "mapping":
            self.fail(_line(node), "`match` must be names with values, such as {server_port: [587]}")
        values = self._names(node, known, " in `match`")
        found: dict[str, tuple[Any, ...]] = {}
        for name in known:
            if name in NETWORKS:
                found[name] = self._some(values, name, self._network, "10.0.0.0/8")
            elif name in NAMES:
                found[name] = self._some(values, name, self._pattern, "mail.contoso.com")
        found["server_port"] = self._some(values, "server_port", self._port, "587")
        found["protocol"] = self._some(values, "protocol", lambda n: self._word(n, "protocol", PROTOCOLS), "smtp")
        found["service"] = self._some(values, "service", lambda n: self._word(n, "service", SERVICES), "submission")
        found["direction"] = self._some(values, "direction", lambda n: self._word(n, "direction", DIRECTIONS), "outbound")
        found["principal"] = self._some(values, "principal", lambda n: self._text(n, "principal").lower(), "alice@contoso.com")
        for name in ("group", "finding"):
            found[name] = self._some(values, name, self._hexadecimal, "'0123456789abcdef'")
        return Match(**found)

    def _requirements(self, values: dict[str, Any]) -> tuple[Requirement, ...]:
        found: dict[str, Requirement] = {}
        for node in self._items(values.get("require_tls"), "require_tls", "{id: all-submission, match: {server_port: [587]}}", "mapping"):
            entry = self._names(node, REQUIREMENT, " in an entry of `require_tls`")
            for name in ("id", "match"):
                if name not in entry:
                    self.fail(_line(node), f"this entry of `require_tls` has no `{name}`")
            made = Requirement(id=self._text(entry["id"], "id"), match=self._match(entry["match"], CONVERSATION), min_tls=self._version(entry.get("min_tls")),
                               names=self._some(entry, "names", self._pattern, "'*.contoso.com'"))
            if not made.match.given():
                self.fail(_line(entry["match"]), "`match` is empty and would mean every conversation; name ports, networks, domains or the like")
            if made.id in found:
                self.fail(_line(entry["id"]), f"the id {made.id!r} is taken by an entry above")
            found[made.id] = made
        return tuple(found.values())

    def _suppression(self, node: Any) -> Suppression:
        entry = self._names(node, SUPPRESSION, " in an entry of `suppress`")
        for name in ("rule", "reason"):
            if name not in entry:
                self.fail(_line(node), f"this entry of `suppress` has no `{name}`")
        return Suppression(
            rules=self._some(entry, "rule", self._rule, "PS204"), match=self._match(entry["match"], FINDING) if "match" in entry else Match(),
            reason=self._text(entry["reason"], "reason"), expires=self._day(entry.get("expires")), place=f"{self.name}, line {_line(node)}")

    def _sites(self, node: Any) -> tuple[tuple[str, tuple[Any, ...]], ...]:
        found: dict[str, tuple[Any, ...]] = {}
        taken: dict[Any, str] = {}
        for key, value in self._mapping(node, "sites", "dublin: [10.1.0.0/16]"):
            name = self._text(key, "sites")
            if name in found:
                self.fail(_line(key), f"`{name}` stands here a second time")
            found[name] = tuple([self._network(item) for item in self._items(value, name, "10.1.0.0/16")])
            for network in found[name]:
                if taken.setdefault(network, name) != name:
                    self.fail(_line(key), f"{network} belongs to both {taken[network]} and {name}")
        return tuple(found.items())

    def _sts(self, node: Any) -> tuple[tuple[str, StsPolicy], ...]:
        found: dict[str, StsPolicy] = {}
        for key, value in self._mapping(node, "mta_sts", "contoso.com: {mode: enforce, mx: ['*.contoso.com']}"):
            if key.id != "scalar" or value.id != "mapping":
                self.fail(_line(key), "`mta_sts` has a domain and what its policy says, such as {contoso.com: {mode: enforce, mx: ['*.contoso.com']}}")
            domain, entry = self._domain(key), self._names(value, STS, " in an entry of `mta_sts`")
            if "mode" not in entry:
                self.fail(_line(value), "this entry of `mta_sts` has no `mode`: enforce, testing or none")
            if domain in found:
                self.fail(_line(key), f"`{domain}` stands here a second time")
            found[domain] = StsPolicy(mode=self._word(entry["mode"], "mode", MODES), mx=self._some(entry, "mx", self._pattern, "'*.contoso.com'"))
        return tuple(found.items())

    def _baseline(self, node: Any) -> str | None:
        if node is None or node.tag.endswith(":null"):
            return None
        if node.id != "scalar" or "\0" in node.value:
            self.fail(_line(node), "`baseline` must be the path of a file")
        return os.path.join(self.folder, node.value)


def _is_name(name: str) -> bool:
    labels = name.split(".")
    return len(name) <= 253 and all(0 < len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels)


def _instead(name: str, known: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(known)}"


def _line(node: Any) -> int:
    return node.start_mark.line + 1


def _shown(node: Any) -> str:
    value = node.value
    return repr(value[:60]) if isinstance(value, str) else f"a {node.id}"
