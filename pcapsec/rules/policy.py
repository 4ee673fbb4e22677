"""The site's own knowledge, from a YAML file: which networks and which mail domains are ours.

    version: 1
    internal_networks: [10.0.0.0/8, 192.0.2.0/24]
    local_domains: [contoso.com]

Names that later versions will use are accepted and listed in `unused`; any other name is an error, for a misspelt one would be obeyed by nobody.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import DefinitionError

LATER = ("sites", "require_tls", "require_rpc_privacy", "baseline")
KEYS = ("version", "internal_networks", "local_domains")
MAX_POLICY_BYTES = 1 << 20  # written by hand; more is some other file


@dataclass(slots=True, frozen=True, kw_only=True)
class Policy:
    """What the user told about the site; empty where nothing was told."""

    internal_networks: tuple[Any, ...] = ()  # ipaddress networks
    local_domains: tuple[str, ...] = ()  # lower case, without trailing dot; a domain stands for those below it too
    unused: tuple[str, ...] = ()  # one line each: what the file says and this version does not use yet

    @staticmethod
    def load(path: str) -> Policy:
        """Read a policy file.

        Raises:
            DefinitionError: the file cannot be read or is not well formed; the message names the line.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
        except OSError as error:
            raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from None
        if len(data) > MAX_POLICY_BYTES:
            raise DefinitionError(f"{path}: over {MAX_POLICY_BYTES} bytes; this is no policy file")
        return Policy.parse(data, str(path))

    @staticmethod
    def parse(data: bytes | str, name: str = "policy") -> Policy:
        """Read a policy from text; `name` stands in messages.

        Raises:
            DefinitionError: not well formed; the message names the line.
        """
        return _Reader(name).read(data)


class _Reader:
    """Walks YAML nodes instead of values, because nodes know their lines."""

    def __init__(self, name: str):
        self.name = name

    def fail(self, line: int | None, text: str) -> DefinitionError:
        return DefinitionError(f"{self.name}: {text}" if line is None else f"{self.name}, line {line}: {text}")

    def read(self, data: bytes | str) -> Policy:
        import yaml

        try:
            root = yaml.compose(data, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self.fail(mark.line + 1 if mark else None, f"not YAML: {error.problem or error.context}") from None
        except yaml.YAMLError as error:  # characters that YAML does not allow, or not UTF-8
            raise self.fail(None, f"not YAML: {str(error).splitlines()[0]}") from None
        except RecursionError:
            raise self.fail(None, "nested too deep for a policy") from None
        if root is None:
            raise self.fail(1, "empty; the least is `version: 1`")
        if not isinstance(root, yaml.MappingNode):
            raise self.fail(_line(root), "expected names with values, such as `version: 1`")
        values = self._names(root)
        if "version" not in values:
            raise self.fail(_line(root), "no `version`; write `version: 1`")
        version = values["version"]
        if getattr(version, "value", None) != "1":
            raise self.fail(_line(version), f"version {self._shown(version)} is not known; this pcapsec reads version 1")
        return Policy(
            internal_networks=tuple(self._network(node) for node in self._list(values.get("internal_networks"), "internal_networks")),
            local_domains=tuple(self._domain(node) for node in self._list(values.get("local_domains"), "local_domains")),
            unused=tuple(f"{self.name}, line {_line(values[key])}: `{key}` is not used yet" for key in values if key in LATER),
        )

    def _names(self, root: Any) -> dict[str, Any]:
        import difflib

        values: dict[str, Any] = {}
        for key, value in root.value:
            name = key.value if isinstance(key.value, str) else "?"
            if name in values:
                raise self.fail(_line(key), f"`{name}` stands here a second time")
            if name not in KEYS and name not in LATER:
                near = difflib.get_close_matches(name, KEYS + LATER, 1)
                raise self.fail(_line(key), f"`{name[:60]}` is not known" + (f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(KEYS)}"))
            values[name] = value
        return values

    def _list(self, node: Any, name: str) -> list[Any]:
        if node is None or node.tag.endswith(":null"):
            return []
        if node.id != "sequence":
            raise self.fail(_line(node), f"`{name}` must be a list, such as [{'10.0.0.0/8' if 'net' in name else 'contoso.com'}]")
        for item in node.value:
            if item.id != "scalar":
                raise self.fail(_line(item), f"`{name}` holds plain values, found a {item.id}")
        return node.value

    def _network(self, node: Any) -> Any:
        import ipaddress

        text = node.value
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            try:
                meant = ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise self.fail(_line(node), f"{self._shown(node)} is not a network such as 10.0.0.0/8 or 2001:db8::/32") from None
            raise self.fail(_line(node), f"{self._shown(node)} has bits set behind its prefix; did you mean {meant}?") from None

    def _domain(self, node: Any) -> str:
        domain = node.value.lower().rstrip(".")
        labels = domain.split(".")
        if len(domain) > 253 or not all(0 < len(label) < 64 and label.replace("-", "").replace("_", "").isalnum() for label in labels):
            raise self.fail(_line(node), f"{self._shown(node)} is not a mail domain such as contoso.com")
        return domain

    def _shown(self, node: Any) -> str:
        value = node.value
        return repr(value[:60]) if isinstance(value, str) else f"a {node.id}"


def _line(node: Any) -> int:
    return node.start_mark.line + 1
