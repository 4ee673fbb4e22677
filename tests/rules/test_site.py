"""Addresses, domains, memory; the words that mask an offer."""
from __future__ import annotations

import ipaddress

import pytest

from pcapsec.rules import addresses, site as site_module
from pcapsec.rules.offers import distance, masked_offer, masks_offer
from pcapsec.rules.policy import Policy
from pcapsec.rules.site import Site


@pytest.mark.parametrize("address, scope", [
    ("127.0.0.1", "loopback"), ("127.8.8.8", "loopback"), ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"),
    ("10.1.2.3", "private"), ("172.16.0.1", "private"), ("172.31.255.255", "private"), ("192.168.1.1", "private"), ("169.254.9.9", "private"),
    ("fd00::1", "private"), ("fe80::1", "private"), ("fe80::1%eth0", "private"), ("::ffff:10.0.0.1", "private"),
    ("172.32.0.1", "public"), ("192.0.2.1", "public"), ("198.51.100.1", "public"), ("203.0.113.1", "public"), ("100.64.0.1", "public"),
    ("2001:db8::1", "public"), ("8.8.8.8", "public"), ("not an address", "public"),
])
def test_scope(address, scope):
    assert Site().scope(address) == scope


def test_internal_networks_are_private():
    site = Site(Policy(internal_networks=(ipaddress.ip_network("192.0.2.0/24"),)))
    assert (site.scope("192.0.2.9"), site.scope("192.0.3.9"), site.scope("2001:db8::1")) == ("private", "public", "public")


@pytest.mark.parametrize("client, server, near", [
    ("127.0.0.1", "127.0.0.1", "loopback"), ("10.0.0.1", "192.168.0.1", "private"), ("127.0.0.1", "10.0.0.1", "private"), ("10.0.0.1", "8.8.8.8", None),
])
def test_nearness(client, server, near):
    site = Site()
    assert site.nearness(client, server) == near
    assert site.nearness(client, server) == near


def test_local_domains_stand_for_those_below_them():
    site = Site(Policy(local_domains=("contoso.com",)))
    assert [site.is_local(domain) for domain in ("contoso.com", "Mail.Contoso.com.", "notcontoso.com", "com", "")] == [True, True, False, False, False]


def test_memory_has_a_ceiling(monkeypatch):
    monkeypatch.setattr(site_module, "MAX_REMEMBERED", 3)
    monkeypatch.setattr(addresses, "MAX_REMEMBERED", 3)
    site = Site()
    for n in range(20):
        site.scope(f"10.0.0.{n}")
        site.nearness(f"10.0.0.{n}", "10.0.0.1")
        assert site.first_time(("PS000", n)) and not site.first_time(("PS000", n))
        assert max(len(site._scopes), len(site._said)) <= 3


@pytest.mark.parametrize("token, protocol, masks", [
    ("XXXXXXXX", "smtp", True), ("XXXXXXXA", "smtp", True), ("xxxxxxxx", "smtp", True), ("STARTTLX", "imap", True), ("STARTLS", "smtp", True), ("XTARTTLSX", "smtp", True),
    ("STARTTLS", "smtp", False), ("8BITMIME", "smtp", False), ("CHUNKING", "smtp", False), ("SMTPUTF8", "smtp", False), ("XXXXXXXXXX", "smtp", False),
    ("XXXX", "smtp", False), ("XXXXXXAB", "smtp", False), ("X-ANONYMOUSTLS", "smtp", False), ("XCLIENT", "smtp", False), ("XEXCH50", "smtp", False),
    ("XXXX", "pop3", True), ("XXXA", "pop3", True), ("USER", "pop3", False), ("UIDL", "pop3", False), ("XXXXXXXX", "pop3", False), ("XXXXXXXX", "http", False),
])
def test_words_that_mask_the_offer(token, protocol, masks):
    assert masks_offer(token, protocol) is masks


def test_first_masked_word():
    assert masked_offer(("XXXXXXXXXX", "XXXX", "XXXXXXXA", "XXXXXXXX"), "smtp") == "XXXXXXXA"
    assert masked_offer(("XXXXXXXXXX",), "smtp") is None


def test_distance():
    assert [distance(*pair) for pair in (("", ""), ("a", ""), ("kitten", "sitting"), ("STARTTLS", "STARTTLS"), ("STRATTLS", "STARTTLS"))] == [0, 1, 3, 0, 2]
