"""PS301: the offer written over."""
from __future__ import annotations

import pytest

PRIVATE = {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2"}


class TestPS301:
    COMMON = ("8BITMIME", "CHUNKING", "SMTPUTF8")

    @pytest.mark.parametrize("protocol, token, words, confidence", [
        ("smtp", "XXXXXXXA", ("SIZE 1", "XXXXXXXA"), "medium"), ("smtp", "XXXXXXXX", COMMON + ("XXXXXXXX",), "high"), ("imap", "STARTTLX", ("STARTTLX",), "medium"),
        ("pop3", "XXXX", ("USER", "UIDL", "XXXX"), "medium"), ("pop3", "XXXX", ("TOP", "XXXX"), "low"), ("managesieve", "XXXXXXXX", ('"XXXXXXXX"',), "medium"),
    ])
    def test_fires(self, court, listed, protocol, token, words, confidence):
        finding = court.finding(listed(protocol, capabilities=words, masked_tokens=(token,)), "PS301")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", confidence, protocol, 1, 20)
        assert {key: finding.evidence[key] for key in ("token", "length", "position", "masked")} == {
            "token": token, "length": len(token), "position": len(words) - 1, "masked": [token]}
        assert "middlebox" in finding.title and "attack" not in finding.title

    def test_asked_all_the_same(self, court, listed):
        judged = listed("smtp", masked_tokens=("XXXXXXXA",), starttls_requested=True, starttls_accepted=False, starttls_reply_code="500")
        assert court.finding(judged, "PS301").confidence == "high"

    @pytest.mark.parametrize("fields", [{"offer": True, "masked_tokens": ("XXXXXXXX",)}, {"masked_tokens": ("XXXXXXXXXX",)}, {"masked_tokens": ("XXXX",)}, {}])
    def test_near_misses(self, court, listed, fields):
        assert court.verdict(listed("smtp", **fields), "PS301") == ("pass", "")

    def test_gap(self, court, listed):
        assert court.verdict(listed("smtp", capabilities_complete=False, unseen_server="gap"), "PS301") == ("not_observable", "gap")

    def test_place_in_a_managesieve_list(self, court, listed):
        words = ('"SASL" "PLAIN"', '"XXXXXXXX"', '"VERSION" "1.0"')
        assert court.finding(listed("managesieve", capabilities=words, masked_tokens=("XXXXXXXX",)), "PS301").evidence["position"] == 1

    def test_private_changes_nothing(self, court, listed):
        assert court.finding(listed("smtp", masked_tokens=("XXXXXXXX",), **PRIVATE), "PS301").severity == "high"
