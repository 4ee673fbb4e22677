"""PS304, PS306, PS309, PS313-PS317: what happens to the request for TLS, and at the switch."""
from __future__ import annotations

import pytest

from pcapsec.records import Note, OddCommand, Oddities, TlsHandshake
from pcapsec.rules.innocence import (BROKEN_CLIENT, BROKEN_KEY, BUILT_WITHOUT, DECRYPTED, EAGER_CLIENT, HELLO_AHEAD, LATER_LOGIN, LIMIT, LOST, MULTILINE, NO_TLS, OLD_SERVER,
                                     OWN_FIREWALL, SCANNER, SECURITY_TEST, TYPED)

MAIL = ("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve")
UNKNOWN = {"smtp": "500", "lmtp": "502", "imap": "BAD", "pop3": "-ERR", "nntp": "500", "managesieve": "NO"}
each_protocol = pytest.mark.parametrize("protocol", MAIL)


def offer_of(protocol: str) -> str:
    return "STLS" if protocol == "pop3" else "STARTTLS"


def in_one_packet(side: int, at: int):
    return "a.pcap", 7, 7


class TestPS304:
    def odd(self, protocol="smtp", word=None, **fields):
        offer = offer_of(protocol)
        fields = {"like": offer, "at": 50, "offered": True, "reply_code": UNKNOWN[protocol], "reply_text": "what", **fields}
        return Oddities(commands=[OddCommand(word=word or "X" * len(offer), **fields)])

    def judged(self, listed, protocol="smtp", word=None, odd=None, **fields):
        return listed(protocol, **{"offer": True, "oddities": self.odd(protocol, word, **(odd or {})), "locate": in_one_packet, **fields})

    @each_protocol
    def test_fires(self, court, listed, protocol):
        finding = court.finding(self.judged(listed, protocol, first_clear_command="MAIL", first_clear_command_at=90), "PS304")
        word = "X" * len(offer_of(protocol))
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("critical", "medium", "masked", 0, 50)
        assert finding.evidence == {"word": word, "reply_code": UNKNOWN[protocol], "reply_text": "what", "offered": True, "next": "clear",
                                    "ruled_out": [LOST, NO_TLS, TYPED], "not_ruled_out": [BROKEN_CLIENT, OWN_FIREWALL, SCANNER]}
        assert "middlebox" in finding.title and "attack" not in finding.title

    def test_without_an_offer(self, court, listed):
        finding = court.finding(self.judged(listed, odd={"offered": False}, offer=False), "PS304")
        assert (finding.severity, finding.confidence, finding.severity_reason, NO_TLS in finding.evidence["ruled_out"]) == ("high", "low", "no offer seen", False)

    def test_letters_changed(self, court, listed):
        finding = court.finding(self.judged(listed, word="STARTTLX"), "PS304")
        assert (finding.severity, finding.confidence, finding.variant) == ("medium", "low", "changed")

    def test_the_answer_quotes_it(self, court, listed):
        judged = listed("smtp", offer=True, starttls_requested=True, starttls_requested_at=50, starttls_accepted=False, starttls_reply_code="500", starttls_answered_at=70,
                        starttls_reply_text='5.5.1 Command unrecognized: "XXXXXXXX"')
        finding = court.finding(judged, "PS304")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at, finding.evidence["word"]) == ("critical", "high", "echo", 1, 70, "XXXXXXXX")

    def test_seen_near_the_client(self, court, listed):
        judged = listed("smtp", offer=True, starttls_requested=True, starttls_requested_at=50, starttls_accepted=False, starttls_reply_code="502", starttls_answered_at=70,
                        starttls_reply_text="command not recognized")
        finding = court.finding(judged, "PS304")
        assert (finding.severity, finding.confidence, finding.variant, finding.evidence["word"]) == ("high", "medium", "unknown", None)
        assert BUILT_WITHOUT in finding.evidence["not_ruled_out"]

    @pytest.mark.parametrize("fields, answer", [
        ({"word": "STARTLS"}, ("not_applicable", "")),  # a slip
        ({"odd": {"reply_code": "250"}}, ("not_applicable", "")),
        ({"odd": {"reply_code": None}}, ("not_observable", "unanswered")),
        ({"odd": {"reply_code": None}, "unseen_server": "one_sided"}, ("not_observable", "one_sided")),
        ({"first_clear_command_at": 40, "first_clear_command": "MAIL"}, ("not_applicable", "")),
        ({"locate": lambda side, at: ("a.pcap", at, at)}, ("not_applicable", "")),  # a packet for each letter: typed
        ({"starttls_requested": True, "starttls_accepted": True, "tls_started": True}, ("pass", "")),
        ({"odd": {"like": "EHLO"}}, ("pass", "")), ({"oddities": None}, ("pass", "")), ({"oddities": None, "unseen_client": "gap"}, ("not_observable", "gap")),
        ({"oddities": None, "starttls_requested": True, "starttls_accepted": False, "starttls_reply_code": "454"}, ("pass", "")),
    ])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.judged(listed, **fields), "PS304") == answer


class TestPS306:
    def refused(self, listed, protocol, code, **fields):
        return listed(protocol, **{"offer": True, "starttls_requested": True, "starttls_requested_at": 50, "starttls_accepted": False, "starttls_reply_code": code, "starttls_answered_at": 70,
                                   "starttls_verb": offer_of(protocol), "starttls_reply_text": "unknown command", "n_starttls_requests": 1, **fields})

    @each_protocol
    def test_contradiction(self, court, listed, protocol):
        finding = court.finding(self.refused(listed, protocol, UNKNOWN[protocol]), "PS306")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", "medium", "unknown_command", 1, 70)
        assert finding.evidence == {"offered_at": 30, "reply_code": UNKNOWN[protocol], "reply_text": "unknown command", "requests": 1, "next": "quit",
                                    "ruled_out": [LOST, NO_TLS, BROKEN_KEY, LIMIT], "not_ruled_out": [BUILT_WITHOUT, OWN_FIREWALL, SCANNER]}
        assert "middlebox" in finding.title

    @pytest.mark.parametrize("protocol, code, variant", [("smtp", "454", "temp"), ("smtp", "554", "refused"), ("imap", "NO", "refused"), ("pop3", "-ERR", "refused"), ("nntp", "580", "refused"),
                                                         ("nntp", "502", "refused"), ("managesieve", "NO", "refused")])
    def test_what_servers_in_trouble_say(self, court, listed, protocol, code, variant):
        finding = court.finding(self.refused(listed, protocol, code, starttls_reply_text="TLS is out of order"), "PS306")
        assert (finding.severity, finding.confidence, finding.variant, finding.severity_reason) == ("medium", "low", variant, "servers in trouble answer so")
        assert BROKEN_KEY in finding.evidence["not_ruled_out"] and "middlebox" not in finding.title

    @pytest.mark.parametrize("fields, answer", [
        ({"offer": False}, ("not_applicable", "")), ({"starttls_requested": False}, ("not_applicable", "")), ({"starttls_reply_code": "503"}, ("not_applicable", "")),
        ({"oddities": Oddities(misuse=("parameters",))}, ("not_applicable", "")), ({"starttls_offered_at": 60}, ("not_applicable", "")), ({"starttls_accepted": True}, ("pass", "")),
        ({"starttls_accepted": None}, ("not_observable", "unanswered")), ({"starttls_accepted": None, "unseen_server": "gap"}, ("not_observable", "gap")),
        ({"starttls_requested": None, "unseen_client": "gap"}, ("not_observable", "gap")), ({"starttls_offered": None, "unseen_server": "midstream"}, ("not_observable", "midstream")),
        ({"tls_started": True, "starttls_accepted": None}, ("pass", "")),
    ])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.refused(listed, "smtp", fields.pop("starttls_reply_code", "500"), **fields), "PS306") == answer

    def test_after_a_login(self, court, listed, login):
        assert court.verdict(self.refused(listed, "smtp", "502", logins=[login(at=40)]), "PS306") == ("not_applicable", "")


class TestPS309:
    def refused(self, session, **fields):
        return session("smtp", **{"greeting": "220 mx.example ESMTP Postfix", "ehlo_reject_code": "500", "hello_verb": "HELO",
                                  "oddities": Oddities(ehlo_rejected_at=40, ehlo_reject_text="unrecognized"), **fields})

    def test_refused(self, court, session):
        finding = court.finding(self.refused(session), "PS309")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", "medium", "refused", 1, 40)
        assert finding.evidence == {"banner": "220 mx.example ESMTP Postfix", "word": None, "reply_code": "500", "reply_text": "unrecognized", "next": "HELO",
                                    "ruled_out": [LOST, OLD_SERVER, BROKEN_CLIENT], "not_ruled_out": [OWN_FIREWALL, SCANNER]}

    def test_behind_asterisks(self, court, session):
        finding = court.finding(self.refused(session, greeting="220 **********", oddities=Oddities(greeting_stars=100)), "PS309")
        assert OLD_SERVER in finding.evidence["not_ruled_out"]

    def test_written_over(self, court, session):
        odd = Oddities(commands=[OddCommand(word="XXXX", like="EHLO", at=0, has_argument=True, reply_code="500", reply_text="what")])
        finding = court.finding(self.refused(session, ehlo_reject_code=None, oddities=odd), "PS309")
        assert (finding.variant, finding.side, finding.at, finding.evidence["word"], finding.evidence["next"]) == ("written_over", 0, 0, "XXXX", "HELO")

    @pytest.mark.parametrize("fields, answer", [
        ({"ehlo_reject_code": "501"}, ("pass", "")), ({"ehlo_reject_code": "450"}, ("pass", "")), ({"ehlo_reject_code": "550"}, ("pass", "")),
        ({"greeting": "220 old.example Sendmail 4.1 ready"}, ("not_applicable", "")), ({"greeting_code": "554"}, ("not_applicable", "")), ({"capabilities": ("SIZE",)}, ("pass", "")),
        ({"tls_started": True}, ("pass", "")), ({"greeting": None}, ("not_observable", "no_greeting")), ({"greeting": None, "unseen_server": "midstream"}, ("not_observable", "midstream")),
        ({"ehlo_reject_code": None, "oddities": None, "unseen_server": "one_sided"}, ("not_observable", "one_sided")),
    ])
    def test_near_misses(self, court, session, fields, answer):
        assert court.verdict(self.refused(session, **fields), "PS309") == answer


class TestPS313:
    def injected(self, listed, protocol="smtp", kind="commands", verbs=("RSET",), **fields):
        return listed(protocol, **{"offer": True, "starttls_requested": True, "starttls_requested_at": 50, "starttls_accepted": True, "starttls_answered_at": 60, "tls_started": True,
                                   "injected_client_bytes": 6, "starttls_verb": offer_of(protocol), "locate": in_one_packet, "tls_mode": "starttls",
                                   "oddities": Oddities(client_clear=kind, client_verbs=verbs, client_clear_at=60), **fields})

    @each_protocol
    def test_fires(self, court, listed, protocol):
        finding = court.finding(self.injected(listed, protocol), "PS313")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("critical", "high", "commands", 0, 60)
        assert finding.evidence == {"bytes": 6, "kind": "commands", "verbs": ["RSET"], "same_packet": True, "handshake": "unknown", "answered": False,
                                    "ruled_out": [HELLO_AHEAD, LOST], "not_ruled_out": [EAGER_CLIENT, SECURITY_TEST]}
        assert "RSET" in finding.title

    @pytest.mark.parametrize("established, told", [(True, "went on"), (False, "broke off"), (None, "unknown")])
    def test_what_the_server_did_changes_nothing(self, court, listed, established, told):
        finding = court.finding(self.injected(listed, tls=TlsHandshake(established=established)), "PS313")
        assert (finding.severity, finding.evidence["handshake"]) == ("critical", told)

    @pytest.mark.parametrize("kind, severity, reason", [("text", "critical", ""), ("blank", "low", "only blanks"), ("proxy", "medium", "only a PROXY line")])
    def test_kinds(self, court, listed, kind, severity, reason):
        finding = court.finding(self.injected(listed, kind=kind, verbs=()), "PS313")
        assert (finding.severity, finding.severity_reason, finding.variant) == (severity, reason, kind)

    def test_no_tls_followed(self, court, listed):
        odd = Oddities(client_clear="commands", client_verbs=("RSET",), client_clear_at=60, pipelined_bytes=6)
        finding = court.finding(self.injected(listed, tls_started=False, injected_client_bytes=0, oddities=odd), "PS313")
        assert (finding.severity, finding.variant, finding.severity_reason) == ("high", "no-tls", "no TLS followed")

    def test_the_answer_was_not_seen(self, court, listed):
        assert court.finding(self.injected(listed, starttls_accepted=None, unseen_server="one_sided"), "PS313").confidence == "medium"

    @pytest.mark.parametrize("fields, answer", [
        ({"kind": "binary", "verbs": ()}, ("not_observable", "not_text")), ({"injected_client_bytes": 0, "oddities": None}, ("pass", "")),
        ({"injected_client_bytes": 0, "oddities": None, "tls_started": False, "unseen_client": "gap"}, ("not_observable", "gap")),
    ])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.injected(listed, **fields), "PS313") == answer


class TestPS314:
    def injected(self, listed, protocol="smtp", kind="replies", **fields):
        return listed(protocol, **{"offer": True, "starttls_requested": True, "starttls_requested_at": 50, "starttls_accepted": True, "starttls_answered_at": 60, "tls_started": True,
                                   "injected_server_bytes": 10, "locate": in_one_packet, "oddities": Oddities(server_clear=kind, server_clear_at=68), "tls_mode": "starttls", **fields})

    @each_protocol
    def test_fires(self, court, listed, protocol):
        finding = court.finding(self.injected(listed, protocol), "PS314")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("critical", "high", "replies", 1, 68)
        assert finding.evidence == {"bytes": 10, "kind": "replies", "same_packet": True, "handshake": "unknown", "injected_client_bytes": 0, "ruled_out": [MULTILINE, LOST],
                                    "not_ruled_out": [SECURITY_TEST]}

    def test_blanks(self, court, listed):
        assert court.finding(self.injected(listed, kind="blank"), "PS314").severity == "low"

    @pytest.mark.parametrize("fields, answer", [
        ({"kind": "binary"}, ("not_observable", "not_text")), ({"injected_server_bytes": 0, "oddities": None}, ("pass", "")), ({"starttls_accepted": None}, ("not_observable", "unanswered")),
        ({"injected_server_bytes": 0, "oddities": None, "unseen_server": "gap"}, ("not_observable", "gap")),
        ({"injected_server_bytes": 0, "oddities": None, "tls_started": False, "starttls_accepted": False}, ("not_applicable", "")),
    ])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.injected(listed, **fields), "PS314") == answer

    def test_an_answer_to_injected_commands_is_the_same_story(self, court, listed):
        odd = Oddities(client_clear="commands", client_verbs=("RSET",), client_clear_at=60, server_clear="replies", server_clear_at=68)
        judged = court.try_session(self.injected(listed, injected_client_bytes=6, oddities=odd))
        found = {finding.rule.id: finding for finding in judged.findings}
        assert found["PS313"].because_of is None and found["PS314"].because_of == found["PS313"].finding_id and found["PS313"].evidence["answered"]


class TestPS315:
    def early(self, listed, code, detail="", **fields):
        return listed("imap", **{"offer": True, "starttls_requested": True, "tls_started": True, "oddities": Oddities(early_data=[Note(code=code, at=44, detail=detail)]), **fields})

    @pytest.mark.parametrize("code, detail, severity, confidence, response, host", [
        ("mailbox-data", "LIST", "medium", "medium", "LIST", None), ("referral", "evil.example", "medium", "medium", "REFERRAL", "evil.example"),
        ("newname", "", "medium", "medium", "NEWNAME", None), ("alert", "", "low", "low", "ALERT", None)])
    def test_fires(self, court, listed, code, detail, severity, confidence, response, host):
        finding = court.finding(self.early(listed, code, detail), "PS315")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == (severity, confidence, code, 1, 44)
        assert (finding.evidence["response"], finding.evidence["host"], finding.evidence["tls_followed"], finding.evidence["ruled_out"]) == (response, host, True, [LOST, LATER_LOGIN])

    @pytest.mark.parametrize("fields, answer", [
        ({"starttls_requested": False, "tls_started": False}, ("pass", "")), ({"unseen_client": "gap"}, ("not_observable", "gap")), ({"unseen_server": "gap"}, ("not_observable", "gap")),
        ({"oddities": None}, ("pass", ""))])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.early(listed, "alert", **fields), "PS315") == answer


class TestPS316:
    def asked(self, listed, protocol="smtp", **fields):
        return listed(protocol, **{"offer": True, "starttls_requested": True, "starttls_requested_at": 50, "starttls_verb": offer_of(protocol), "n_starttls_requests": 1, **fields})

    @each_protocol
    @pytest.mark.parametrize("word", ["again", "parameters"])
    def test_misuse(self, court, listed, protocol, word):
        finding = court.finding(self.asked(listed, protocol, oddities=Oddities(misuse=(word,)), starttls_reply_code="501"), "PS316")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("low", "high", word, 0, 50)
        assert finding.evidence == {"reply_code": "501", "tls_followed": False}

    def test_after_a_login(self, court, listed, login):
        assert court.finding(self.asked(listed, logins=[login(at=40)]), "PS316").variant == "after_auth"
        assert court.verdict(self.asked(listed, logins=[login(at=40, result="failed")]), "PS316") == ("pass", "")
        assert court.verdict(self.asked(listed, logins=[login(at=60)]), "PS316") == ("pass", "")

    def test_out_of_order(self, court, listed):
        assert court.finding(self.asked(listed, starttls_reply_code="503", starttls_accepted=False), "PS316").variant == "out_of_order"

    def test_gap(self, court, listed):
        assert court.verdict(listed("smtp", starttls_requested=None, unseen_client="gap"), "PS316") == ("not_observable", "gap")
        assert court.verdict(self.asked(listed), "PS316") == ("pass", "")


class TestPS317:
    def went_on(self, listed, protocol="smtp", command="EHLO", offered=True, **fields):
        return listed(protocol, **{"offer": True, "starttls_requested": True, "starttls_requested_at": 50, "starttls_accepted": True, "starttls_answered_at": 60, "cleartext_after_accept": command,
                                   "cleartext_after_accept_at": 62, "n_replies": 5, "oddities": Oddities(n_replies_before=3, offer_after_accept=offered), "first_clear_command": "MAIL",
                                   "starttls_verb": offer_of(protocol), **fields})

    @each_protocol
    def test_fires(self, court, listed, protocol):
        finding = court.finding(self.went_on(listed, protocol), "PS317")
        assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", "high", "", 0, 62)
        assert finding.evidence == {"command": "EHLO", "replies": 2, "offer_afterwards": True, "next": "clear", "ruled_out": [LOST, DECRYPTED], "not_ruled_out": [BROKEN_CLIENT, OWN_FIREWALL]}

    @each_protocol
    def test_decrypted_in_place(self, court, listed, protocol):
        finding = court.finding(self.went_on(listed, protocol, offered=False), "PS317")
        assert (finding.severity, finding.confidence, finding.variant, DECRYPTED in finding.evidence["not_ruled_out"]) == ("info", "low", "decrypted-in-place", True)
        assert "decrypted in place?" in finding.title

    def test_no_list_afterwards(self, court, listed):
        finding = court.finding(self.went_on(listed, command="MAIL", offered=None), "PS317")
        assert (finding.severity, finding.confidence) == ("high", "medium")

    @pytest.mark.parametrize("fields, answer", [
        ({"command": "QUIT", "first_clear_command": None}, ("not_applicable", "")), ({"n_replies": 3}, ("not_applicable", "")), ({"tls_started": True}, ("pass", "")),
        ({"starttls_accepted": False}, ("pass", "")), ({"unseen_client": "gap"}, ("not_observable", "gap")), ({"unseen_server": "gap"}, ("not_observable", "gap")),
        ({"cleartext_after_accept": None}, ("pass", "")), ({"cleartext_after_accept": None, "unseen_client": "one_sided"}, ("not_observable", "one_sided")),
        ({"oddities": Oddities(pipelined_bytes=6, client_clear="text")}, ("pass", "")),
    ])
    def test_near_misses(self, court, listed, fields, answer):
        assert court.verdict(self.went_on(listed, **fields), "PS317") == answer
