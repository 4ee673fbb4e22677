"""PS301, PS302, PS303, PS310: what a middlebox does to greeting and list."""
from __future__ import annotations

import pytest

from pcapsec.records import Note, Oddities
from pcapsec.rules.innocence import CARELESS_SERVER, LOST, OTHER_KEYWORD, OWN_FIREWALL, POLICY, SCANNER

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

    def test_evidence(self, court, listed):
        finding = court.finding(listed("smtp", capabilities=("8BITMIME", "SIZE 1", "XXXXXXXA"), masked_tokens=("XXXXXXXA",)), "PS301")
        assert finding.evidence == {
            "token": "XXXXXXXA", "length": 8, "position": 2, "distance": 8, "could_be": ["STARTTLS", "CHUNKING", "SMTPUTF8"], "masked": ["XXXXXXXA"], "requested": False, "reply_code": None,
            "ruled_out": [LOST], "not_ruled_out": [OTHER_KEYWORD, OWN_FIREWALL, SCANNER]}
        assert "probably STARTTLS" in finding.title

    def test_a_masked_word_that_must_be_chunking(self, court, listed):
        """BINARYMIME is nothing without CHUNKING: of a list with one masked word of eight letters it is that one."""
        words = ("BINARYMIME", "8BITMIME", "XXXXXXXB", "XXXA")
        judged = listed("smtp", capabilities=words, masked_tokens=("XXXXXXXB", "XXXA"))
        assert court.verdict(judged, "PS301") == ("not_observable", "masked_list")
        assert court.verdict(listed("smtp", capabilities=words, masked_tokens=("XXXXXXXB", "XXXA")), "PS201") == ("not_observable", "masked_token")
        assert court.finding(listed("smtp", capabilities=words + ("XXXXXXXC",), masked_tokens=("XXXXXXXB", "XXXA", "XXXXXXXC")), "PS301")

    def test_masked_and_used_all_the_same(self, court, listed):
        finding = court.finding(listed("smtp", masked_tokens=("XXXXXXXX",), starttls_requested=True, starttls_accepted=True, tls_started=True), "PS301")
        assert (finding.severity, finding.severity_reason) == ("medium", "TLS was used all the same")

    @pytest.mark.parametrize("protocol, token, confidence", [("smtp", "STARTTL", "low"), ("smtp", "STARTTLX", "medium"), ("pop3", "STLX", "low"), ("nntp", "XXXXXXXX", "medium")])
    def test_near_words(self, court, listed, protocol, token, confidence):
        assert court.finding(listed(protocol, masked_tokens=(token,)), "PS301").confidence == confidence

    @pytest.mark.parametrize("protocol, token", [("smtp", "X-STARTTLS"), ("smtp", "START-TLS"), ("pop3", "SASL"), ("pop3", "UTF8"), ("pop3", "LANG")])
    def test_words_of_vendors(self, court, listed, protocol, token):
        assert court.verdict(listed(protocol, masked_tokens=(token,)), "PS301") == ("pass", "")

    def test_control_characters_are_not_shown(self, court, listed):
        assert "8 control characters" in court.finding(listed("smtp", masked_tokens=("\0" * 8,)), "PS301").title


class TestPS302:
    def test_fires(self, court, listed):
        finding = court.finding(listed("smtp", capabilities=("SIZE 1", "XXXA", "8BITMIME", "XXXXXXXXXB"), masked_tokens=("XXXA", "XXXXXXXXXB")), "PS302")
        assert (finding.severity, finding.confidence, finding.side, finding.at) == ("medium", "high", 1, 20)
        assert finding.evidence == {
            "tokens": ["XXXA", "XXXXXXXXXB"], "lengths": [4, 10], "counted": True, "offer": "missing",
            "could_be": {"4": ["AUTH", "ETRN", "HELP", "TURN", "VRFY"], "10": ["BINARYMIME", "PIPELINING"]}, "ruled_out": [LOST], "not_ruled_out": [OWN_FIREWALL, SCANNER]}

    @pytest.mark.parametrize("offer, tokens, told", [(True, ("XXXX", "XXXXXXXXXX"), "stands"), (False, ("XXXXXXXX", "XXXXXXXXXX"), "masked")])
    def test_what_became_of_the_offer(self, court, listed, offer, tokens, told):
        finding = court.finding(listed("smtp", offer=offer, masked_tokens=tokens), "PS302")
        assert (finding.evidence["offer"], finding.confidence, finding.evidence["counted"]) == (told, "medium", False)

    @pytest.mark.parametrize("tokens", [("XXXXXXXXXX",), ("XXXX", "STARTTLX"), ()])
    def test_near_misses(self, court, listed, tokens):
        assert court.verdict(listed("smtp", masked_tokens=tokens), "PS302") == ("pass", "")

    def test_gap(self, court, listed, session):
        assert court.verdict(listed("smtp", capabilities_complete=False, unseen_server="gap"), "PS302") == ("not_observable", "gap")
        assert court.verdict(session("imap"), "PS302") == ("not_applicable", "")

    def test_it_makes_a_missing_offer_unknown(self, court, listed):
        assert court.verdict(listed("smtp", masked_tokens=("XXXX", "XXXXXXXXXX")), "PS201") == ("not_observable", "masked_list")


class TestPS303:
    def test_fires(self, court, listed):
        finding = court.finding(listed("smtp", greeting="220 ****************", greeting_at=0, oddities=Oddities(greeting_stars=93)), "PS303")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("medium", "high", "offer-missing", 1, 0)
        assert finding.evidence == {"banner": "220 ****************", "asterisks": 93, "offer": "missing", "ruled_out": [LOST], "not_ruled_out": [OWN_FIREWALL]}
        assert "firewall" in finding.title and "attack" not in finding.title

    @pytest.mark.parametrize("fields, variant", [({"offer": True}, "offer-stands"), ({"masked_tokens": ("XXXXXXXX",)}, "offer-masked"), ({"capabilities_complete": False}, "offer-unknown")])
    def test_variants(self, court, listed, fields, variant):
        assert court.finding(listed("smtp", oddities=Oddities(greeting_stars=100), **fields), "PS303").variant == variant

    def test_near_misses(self, court, listed):
        assert court.verdict(listed("smtp", oddities=Oddities(greeting_stars=79)), "PS303") == ("pass", "")
        assert court.verdict(listed("smtp"), "PS303") == ("pass", "")

    def test_gap(self, court, session):
        assert court.verdict(session("smtp", greeting=None, unseen_server="midstream"), "PS303") == ("not_observable", "midstream")

    def test_it_makes_a_missing_offer_unknown(self, court, listed):
        assert court.verdict(listed("smtp", oddities=Oddities(greeting_stars=100)), "PS201") == ("not_observable", "masked_greeting")


class TestPS310:
    def edited(self, listed, code, detail="", at=20, **fields):
        return listed(fields.pop("protocol", "smtp"), oddities=Oddities(list_notes=[Note(code=code, at=at, detail=detail)]), **fields)

    @pytest.mark.parametrize("protocol", ["smtp", "lmtp", "imap", "pop3", "nntp", "managesieve"])
    @pytest.mark.parametrize("code, severity, confidence", [
        ("offer-withdrawn", "medium", "medium"), ("offer-appeared", "medium", "medium"), ("padded-line", "medium", "medium"), ("lines-after-end", "medium", "low"),
        ("repeated-word", "low", "low"), ("empty-line", "low", "low")])
    def test_fires(self, court, listed, protocol, code, severity, confidence):
        finding = court.finding(self.edited(listed, code, protocol=protocol), "PS310")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == (severity, confidence, code, 1, 20)
        assert court.verdict(self.edited(listed, code, protocol=protocol), "PS201") == ("not_observable", "edited_list")

    def test_evidence(self, court, listed):
        judged = listed("smtp", oddities=Oddities(list_notes=[Note(code="empty-line", at=22), Note(code="padded-line", at=30, detail="8 blanks")]))
        assert court.finding(judged, "PS310").evidence == {
            "sign": "blanks where a keyword may have stood", "detail": "8 blanks", "capabilities": ["PIPELINING", "SIZE 10240000"], "other_signs": ["empty-line"],
            "ruled_out": [LOST, POLICY], "not_ruled_out": [CARELESS_SERVER, OWN_FIREWALL, SCANNER]}

    @pytest.mark.parametrize("code, stands", [("padded-line", ("pass", "")), ("unfinished", ("pass", "")), ("offer-appeared", ("fail", ""))])
    def test_the_offer_stands(self, court, listed, code, stands):
        assert court.verdict(self.edited(listed, code, offer=True), "PS310") == stands

    def test_an_unfinished_list(self, court, listed):
        fields = {"capabilities_complete": False, "starttls_offered": None}
        end = 20 + 5 * 10**9
        assert court.finding(self.edited(listed, "unfinished", end_ns=end, **fields), "PS310").confidence == "low"
        assert court.finding(self.edited(listed, "unfinished", "the client greeted anew", end_ns=20, **fields), "PS310").evidence["detail"] == "the client greeted anew"
        assert court.verdict(self.edited(listed, "unfinished", end_ns=end - 1, **fields), "PS310") == ("not_observable", "unfinished")
        assert court.verdict(self.edited(listed, "unfinished", end_ns=end, finished=False, **fields), "PS310") == ("not_observable", "unfinished")

    def test_gap(self, court, listed):
        assert court.verdict(self.edited(listed, "padded-line", unseen_server="gap"), "PS310") == ("not_observable", "gap")
        assert court.verdict(self.edited(listed, "offer-withdrawn", unseen_client="one_sided"), "PS310") == ("not_observable", "one_sided")
        assert court.finding(self.edited(listed, "padded-line", unseen_client="gap"), "PS310")
        assert court.verdict(listed("smtp", capabilities_complete=False, unseen_server="gap"), "PS310") == ("not_observable", "gap")
        assert court.verdict(listed("smtp"), "PS310") == ("pass", "")
