"""Policy files, and errors that name the line."""
from __future__ import annotations

import ipaddress

import pytest

from pcapsec.errors import DefinitionError
from pcapsec.rules import Policy

WHOLE = """\
version: 1
internal_networks: [10.0.0.0/8, 192.0.2.0/24, "2001:db8::/32"]
local_domains:
  - Contoso.com
  - example.org.
sites: {dublin: [10.1.0.0/16]}
require_tls:
  - id: partner
"""


def test_a_whole_policy():
    assert Policy.parse(WHOLE, "p.yml") == Policy(
        internal_networks=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")),
        local_domains=("contoso.com", "example.org"),
        unused=("p.yml, line 6: `sites` is not used yet", "p.yml, line 8: `require_tls` is not used yet"),
    )


def test_the_least_policy(tmp_path):
    path = tmp_path / "p.yml"
    path.write_text("version: 1\nlocal_domains:\n")
    assert Policy.load(path) == Policy()


@pytest.mark.parametrize("text, message", [
    ("", "p.yml, line 1: empty; the least is `version: 1`"),
    ("# nothing\n", "p.yml, line 1: empty; the least is `version: 1`"),
    ("- 1\n", "p.yml, line 1: expected names with values, such as `version: 1`"),
    ("local_domains: [a.b]\n", "p.yml, line 1: no `version`; write `version: 1`"),
    ("\nversion: 2\n", "p.yml, line 2: version '2' is not known; this pcapsec reads version 1"),
    ("version: [1]\n", "p.yml, line 1: version a sequence is not known; this pcapsec reads version 1"),
    ("version: 1\nlocal_domain: [a.b]\n", "p.yml, line 2: `local_domain` is not known; did you mean `local_domains`?"),
    ("version: 1\nzzz: 3\n", "p.yml, line 2: `zzz` is not known; known are version, internal_networks, local_domains"),
    ("version: 1\n\nversion: 1\n", "p.yml, line 3: `version` stands here a second time"),
    ("version: 1\ninternal_networks: 10.0.0.0/8\n", "p.yml, line 2: `internal_networks` must be a list, such as [10.0.0.0/8]"),
    ("version: 1\nlocal_domains: {a: b}\n", "p.yml, line 2: `local_domains` must be a list, such as [contoso.com]"),
    ("version: 1\ninternal_networks:\n  - 10.0.0.0/8\n  - 10.0.0.300\n", "p.yml, line 4: '10.0.0.300' is not a network such as 10.0.0.0/8 or 2001:db8::/32"),
    ("version: 1\ninternal_networks: [10.1.2.3/8]\n", "p.yml, line 2: '10.1.2.3/8' has bits set behind its prefix; did you mean 10.0.0.0/8?"),
    ("version: 1\nlocal_domains: [[a.b]]\n", "p.yml, line 2: `local_domains` holds plain values, found a sequence"),
    ("version: 1\nlocal_domains:\n- ok.example\n- 'no spaces.example'\n", "p.yml, line 4: 'no spaces.example' is not a mail domain such as contoso.com"),
    ("version: 1\nlocal_domains: [a..b]\n", "p.yml, line 2: 'a..b' is not a mail domain such as contoso.com"),
])
def test_errors_name_the_line(text, message):
    with pytest.raises(DefinitionError) as error:
        Policy.parse(text, "p.yml")
    assert str(error.value) == message


@pytest.mark.parametrize("text, start", [
    ("version: 1\nlocal_domains: [a.b\n", "p.yml, line 3: not YAML: "),
    ("version: 1\n  x: [\n", "p.yml, line 2: not YAML: "),
    (b"version: 1\nlocal_domains: [\xff\xfe]\n", "p.yml: not YAML: "),
    ("version: 1\nlocal_domains: [\x07]\n", "p.yml: not YAML: "),
    ("[" * 3000, "p.yml: nested too deep"),
])
def test_what_is_not_yaml(text, start):
    with pytest.raises(DefinitionError) as error:
        Policy.parse(text, "p.yml")
    assert str(error.value).startswith(start)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DefinitionError, match="none.yml: cannot be read: No such file"):
        Policy.load(tmp_path / "none.yml")


def test_a_file_that_is_no_policy(tmp_path):
    path = tmp_path / "big.yml"
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(DefinitionError, match="no policy file"):
        Policy.load(path)
