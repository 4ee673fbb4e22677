"""Policy files, and errors that name the line."""
from __future__ import annotations

import datetime
import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcapsec.errors import DefinitionError
from pcapsec.rules import Policy
from pcapsec.rules.policy import Match, Requirement, StsPolicy, Suppression

WHOLE = """\
version: 1
internal_networks: [10.0.0.0/8, 192.0.2.0/24, "2001:db8::/32"]
local_domains:
  - Contoso.com
  - example.org.
sites: {dublin: [10.1.0.0/16], amsterdam: [10.2.0.0/16, 10.3.0.0/16]}
require_tls:
  - id: partner-fabrikam
    match: {rcpt_domain: [Fabrikam.com, "*.fabrikam.com"], direction: outbound}
    min_tls: TLS1.2
    names: ["*.mail.protection.outlook.com"]
  - id: all-submission
    match:
      server_port: [587, 465]
      ip: 203.0.113.7
      protocol: [SMTP, imap]
      service: imaps
      helo: "*.example.net"
require_rpc_privacy: [10.1.5.0/24]
mta_sts:
  fabrikam.com: {mode: enforce, mx: ["*.mail.protection.outlook.com"]}
  example.net: {mode: none}
baseline: history.sqlite
suppress:
  - rule: [ps204, PS901]
    match: {server: [10.0.0.25], principal: Alice@contoso.com, group: PS101-0123456789ABCDEF, finding: 'fedcba9876543210'}
    reason: replaced in   March
    expires: 2026-03-31
  - {rule: PS206, reason: known}
"""
NETWORK = ipaddress.ip_network


def test_a_whole_policy():
    assert Policy.parse(WHOLE, "p.yml") == Policy(
        internal_networks=(NETWORK("10.0.0.0/8"), NETWORK("192.0.2.0/24"), NETWORK("2001:db8::/32")),
        local_domains=("contoso.com", "example.org"),
        sites=(("dublin", (NETWORK("10.1.0.0/16"),)), ("amsterdam", (NETWORK("10.2.0.0/16"), NETWORK("10.3.0.0/16")))),
        require_tls=(
            Requirement(id="partner-fabrikam", match=Match(rcpt_domain=("fabrikam.com", "*.fabrikam.com"), direction=("outbound",)), min_tls="TLSv1.2",
                        names=("*.mail.protection.outlook.com",)),
            Requirement(id="all-submission", match=Match(server_port=(587, 465), ip=(NETWORK("203.0.113.7/32"),), protocol=("smtp", "imap"), service=("imaps",),
                                                         helo=("*.example.net",)))),
        require_rpc_privacy=(NETWORK("10.1.5.0/24"),),
        mta_sts=(("fabrikam.com", StsPolicy(mode="enforce", mx=("*.mail.protection.outlook.com",))), ("example.net", StsPolicy(mode="none"))),
        baseline="history.sqlite",
        suppress=(
            Suppression(rules=("PS204", "PS901"), reason="replaced in March", expires=datetime.date(2026, 3, 31), place="p.yml, line 25",
                        match=Match(server=(NETWORK("10.0.0.25/32"),), principal=("alice@contoso.com",), group=("PS101-0123456789abcdef",), finding=("fedcba9876543210",))),
            Suppression(rules=("PS206",), match=Match(), reason="known", expires=None, place="p.yml, line 29")),
    )


def test_the_least_policy(tmp_path):
    path = tmp_path / "p.yml"
    path.write_text("version: 1\nlocal_domains:\nsites:\nrequire_tls:\nmta_sts:\nsuppress:\nbaseline:\n")
    assert Policy.load(path) == Policy()


def test_the_baseline_lies_beside_the_policy(tmp_path):
    path = tmp_path / "p.yml"
    path.write_text("version: 1\nbaseline: sub/h.sqlite\n")
    assert Policy.load(path).baseline == str(tmp_path / "sub" / "h.sqlite")
    path.write_text("version: 1\nbaseline: /var/h.sqlite\n")
    assert Policy.load(path).baseline == "/var/h.sqlite"


def test_notes_tell_of_suppressions_that_have_expired_or_never_will():
    policy = Policy.parse(WHOLE, "p.yml")
    day = lambda text: int(datetime.datetime.fromisoformat(text + "+00:00").timestamp()) * 10**9  # noqa: E731
    never = "p.yml, line 29: the suppression of PS206 never expires; give it a day to look again, such as `expires: 2030-12-31`"
    assert policy.notes(day("2026-03-31T23:59:59")) == [never]
    assert policy.notes(day("2026-04-01T00:00:00")) == [
        "p.yml, line 25: the suppression of PS204, PS901 expired on 2026-03-31 and suppresses nothing any more (reason: replaced in March)", never]


@pytest.mark.parametrize("text, message", [
    ("", "p.yml, line 1: empty; the least is `version: 1`"),
    ("# nothing\n", "p.yml, line 1: empty; the least is `version: 1`"),
    ("- 1\n", "p.yml, line 1: expected names with values, such as `version: 1`"),
    ("local_domains: [a.b]\n", "p.yml, line 1: no `version`; write `version: 1`"),
    ("\nversion: 2\n", "p.yml, line 2: version '2' is not known; this pcapsec reads version 1"),
    ("version: [1]\n", "p.yml, line 1: version a sequence is not known; this pcapsec reads version 1"),
    ("version: 1\nlocal_domain: [a.b]\n", "p.yml, line 2: `local_domain` is not known; did you mean `local_domains`?"),
    ("version: 1\nzzz: 3\n", "p.yml, line 2: `zzz` is not known; known are version, internal_networks, local_domains, sites, require_tls, require_rpc_privacy, mta_sts, baseline, suppress"),
    ("version: 1\n\nversion: 1\n", "p.yml, line 3: `version` stands here a second time"),
    ("version: 1\ninternal_networks: 10.0.0.0/8\n", "p.yml, line 2: `internal_networks` must be a list, such as [10.0.0.0/8]"),
    ("version: 1\nlocal_domains: {a: b}\n", "p.yml, line 2: `local_domains` must be a list, such as [contoso.com]"),
    ("version: 1\ninternal_networks:\n  - 10.0.0.0/8\n  - 10.0.0.300\n", "p.yml, line 4: '10.0.0.300' is not a network such as 10.0.0.0/8 or 2001:db8::/32"),
    ("version: 1\ninternal_networks: [10.1.2.3/8]\n", "p.yml, line 2: '10.1.2.3/8' has bits set behind its prefix; did you mean 10.0.0.0/8?"),
    ("version: 1\nlocal_domains: [[a.b]]\n", "p.yml, line 2: `local_domains` holds plain values, found a sequence"),
    ("version: 1\nlocal_domains:\n- ok.example\n- 'no spaces.example'\n", "p.yml, line 4: 'no spaces.example' is not a mail domain such as contoso.com"),
    ("version: 1\nlocal_domains: [a..b]\n", "p.yml, line 2: 'a..b' is not a mail domain such as contoso.com"),
    ("version: 1\nlocal_domains: [&a x.example]\n", "p.yml, line 2: anchors (&) and aliases (*) have no place in a policy; write the values out, or put the text between quotes"),
    ("version: 1\nlocal_domains: [*.x.example]\n", "p.yml, line 2: a text that begins with * must stand between quotes"),
    ("version: 1\nlocal_domains: !!python/object/apply:os.system [id]\n", "p.yml, line 2: tags (!) have no place in a policy; put the text between quotes"),
    ("!!map {version: 1}\n", "p.yml, line 1: tags (!) have no place in a policy; put the text between quotes"),
    ("version: 1\nsites: [a]\n", "p.yml, line 2: `sites` must be names with values, such as {dublin: [10.1.0.0/16]}"),
    ("version: 1\nsites:\n  a: [10.0.0.0/8]\n  a: []\n", "p.yml, line 4: `a` stands here a second time"),
    ("version: 1\nsites:\n  a: [10.0.0.0/8]\n  b: [10.0.0.0/8]\n", "p.yml, line 4: 10.0.0.0/8 belongs to both a and b"),
    ("version: 1\nsites: {a: 10.0.0.0/8}\n", "p.yml, line 2: `a` must be a list, such as [10.1.0.0/16]"),
    ("version: 1\nrequire_tls: {id: a}\n", "p.yml, line 2: `require_tls` must be a list, such as [{id: all-submission, match: {server_port: [587]}}]"),
    ("version: 1\nrequire_tls: [a]\n", "p.yml, line 2: `require_tls` holds entries with names, found a scalar"),
    ("version: 1\nrequire_tls:\n- id: a\n", "p.yml, line 3: this entry of `require_tls` has no `match`"),
    ("version: 1\nrequire_tls:\n- match: {server_port: 25}\n", "p.yml, line 3: this entry of `require_tls` has no `id`"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {}\n", "p.yml, line 4: `match` is empty and would mean every conversation; name ports, networks, domains or the like"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_port: []}\n", "p.yml, line 4: `server_port` is empty; leave it out, or write such as [587]"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_prt: [25]}\n", "p.yml, line 4: `server_prt` is not known in `match`; did you mean `server_port`?"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {principal: [bob]}\n", "p.yml, line 4: `principal` is not known in `match`; known are ip, client, server, server_port, protocol, service, direction, "
     "helo, server_name, mx, rcpt_domain, from_domain"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_port: [70000]}\n", "p.yml, line 4: '70000' is not a port, 1 to 65535"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_port: [\u0661]}\n", "p.yml, line 4: '\u0661' is not a port, 1 to 65535"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {protocol: smpt}\n", "p.yml, line 4: 'smpt' is not known as `protocol`; did you mean `smtp`?"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {direction: [[out]]}\n", "p.yml, line 4: `direction` holds plain values, found a sequence"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {direction: sideways}\n", "p.yml, line 4: 'sideways' is not known as `direction`; known are inbound, outbound, internal"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_port: 25}\n  min_tls: TLS1.4\n", "p.yml, line 5: 'TLS1.4' is not a TLS version; write one of TLS1.0, TLS1.1, TLS1.2, TLS1.3"),
    ("version: 1\nrequire_tls:\n- id: a\n  match: {server_port: 25}\n  names: [a.*.b]\n", "p.yml, line 5: 'a.*.b' is not a name such as mail.contoso.com or *.contoso.com"),
    ("version: 1\nrequire_tls:\n- {id: a, match: {server_port: 25}}\n- {id: a, match: {server_port: 26}}\n", "p.yml, line 4: the id 'a' is taken by an entry above"),
    ("version: 1\nrequire_tls:\n- {id: [a], match: {server_port: 25}}\n", "p.yml, line 3: `id` must be a text"),
    ("version: 1\nmta_sts: {x.example: enforce}\n", "p.yml, line 2: `mta_sts` has a domain and what its policy says, such as {contoso.com: {mode: enforce, mx: ['*.contoso.com']}}"),
    ("version: 1\nmta_sts: {x.example: {mx: [a.b]}}\n", "p.yml, line 2: this entry of `mta_sts` has no `mode`: enforce, testing or none"),
    ("version: 1\nmta_sts: {x.example: {mode: forced}}\n", "p.yml, line 2: 'forced' is not known as `mode`; did you mean `enforce`?"),
    ("version: 1\nbaseline: [a]\n", "p.yml, line 2: `baseline` must be the path of a file"),
    ("version: 1\nsuppress:\n- rule: PS204\n", "p.yml, line 3: this entry of `suppress` has no `reason`"),
    ("version: 1\nsuppress:\n- reason: x\n", "p.yml, line 3: this entry of `suppress` has no `rule`"),
    ("version: 1\nsuppress:\n- {rule: PS2, reason: x}\n", "p.yml, line 3: 'PS2' is not a rule such as PS204; `pcapsec rules` lists them"),
    ("version: 1\nsuppress:\n- {rule: PS204, reason: ''}\n", "p.yml, line 3: `reason` must be a text"),
    ("version: 1\nsuppress:\n- {rule: PS204, reason: x, expires: soon}\n", "p.yml, line 3: 'soon' is not a day such as 2030-12-31"),
    ("version: 1\nsuppress:\n- {rule: PS204, reason: x, expires: 2025-02-30}\n", "p.yml, line 3: '2025-02-30' is not a day such as 2030-12-31"),
    ("version: 1\nsuppress:\n- {rule: PS204, reason: x, match: {finding: abc}}\n", "p.yml, line 3: 'abc' is no id as the columns finding_id and group_id have them; put it between quotes"),
    ("version: 1\nsuppress:\n- {rule: PS204, reason: x, match: {helo: abc}}\n", "p.yml, line 3: `helo` is not known in `match`; known are ip, client, server, server_port, protocol, principal, group, finding"),
    ("version: 1\nsuppress: [" + "{rule: PS204, reason: x}," * 1001 + "]\n", "p.yml, line 2: `suppress` has 1001 entries, more than 1000"),
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
    (b"\x00\x01\x02\xff" * 100, "p.yml: not YAML: "),
    ('version: 1\nbaseline: "\\UFFFFFFFF"\n', "p.yml: not YAML: "),
    ("version: 1\n---\nversion: 1\n", "p.yml, line 2: not YAML: "),
    ("%YAML 9.9\n---\nversion: 1\n", "p.yml, line 1: not YAML: "),
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


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    text = "version: 1\na: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
    with pytest.raises(DefinitionError, match="line 2: anchors"):
        Policy.parse(text, "p.yml")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_policy_is_an_error_or_a_policy(data):
    """Bytes of a good one changed, cut or doubled: nothing but DefinitionError comes out of the reader."""
    text = bytearray(WHOLE.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at:at + data.draw(st.integers(0, 3))] = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from((b"[", b"{", b"]", b"\n", b": ", b"- ", b"&x ", b"!x ", b"'", b'"', b"\\"))))
    try:
        Policy.parse(bytes(text), "p.yml")
    except DefinitionError as error:
        assert str(error).startswith("p.yml")
