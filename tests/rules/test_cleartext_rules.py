"""PS2xx: TLS that is missing, refused or unused."""
from __future__ import annotations

import pytest

MAIL = ("smtp", "lmtp", "imap", "pop3", "nntp", "managesieve")
PRIVATE = {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2"}


def shown(finding):
    return finding.severity, finding.confidence, finding.variant, finding.evidence


# --- PS201

@pytest.mark.parametrize("protocol", MAIL)
class TestPS201:
    def test_fires(self, court, listed, protocol):
        judged = listed(protocol)
        finding = court.finding(judged, "PS201")
        assert shown(finding) == ("medium", "high", "lmtp" if protocol == "lmtp" else "", {
            "capabilities": list(judged.facts.capabilities), "capabilities_at": 20, "server_name": "220 mail.example"})
        assert (finding.side, finding.at) == (1, 20)
        assert finding.title == f"203.0.113.5 port {judged.server_port} does not offer {'STLS' if protocol == 'pop3' else 'STARTTLS'}"

    def test_offered(self, court, listed, protocol):
        assert court.verdict(listed(protocol, offer=True), "PS201") == ("pass", "")

    def test_tls_came_all_the_same(self, court, listed, protocol):
        assert court.verdict(listed(protocol, starttls_requested=True, starttls_accepted=True, tls_started=True), "PS201") == ("pass", "")

    def test_cut_list(self, court, listed, protocol):
        for reason in ("gap", "snaplen", "midstream"):
            judged = listed(protocol, capabilities_complete=False, starttls_offered=None, unseen_server=reason)
            assert court.verdict(judged, "PS201") == ("not_observable", reason)

    def test_never_asked(self, court, session, protocol):
        assert court.verdict(session(protocol), "PS201") == ("not_observable", "no_capability_list")

    def test_one_side(self, court, session, protocol):
        assert court.verdict(session(protocol, unseen_server="one_sided"), "PS201") == ("not_observable", "one_sided")

    def test_only_the_server_side_is_enough(self, court, listed, protocol):
        assert court.finding(listed(protocol, unseen_client="one_sided"), "PS201")

    def test_late_list(self, court, listed, protocol):
        judged = listed(protocol, unseen_server="midstream", unseen_client="midstream", greeting_code=None, greeting=None)
        assert court.verdict(judged, "PS201") == ("not_observable", "midstream")

    def test_masked(self, court, listed, protocol):
        token = "XXXX" if protocol == "pop3" else "XXXXXXXA"
        judged = listed(protocol, masked_tokens=("XXXXXXXXXX", token))
        assert court.verdict(judged, "PS201") == ("not_observable", "masked_token")

    def test_other_masked_words(self, court, listed, protocol):
        assert court.finding(listed(protocol, masked_tokens=("XXXXXXXXXX",)), "PS201")

    def test_private(self, court, listed, protocol):
        finding = court.finding(listed(protocol, **PRIVATE), "PS201")
        assert (finding.severity, finding.severity_reason) == ("low", "both ends private")


def test_ps201_after_helo_and_refused_ehlo(court, session):
    assert court.verdict(session("smtp", hello_verb="HELO"), "PS201") == ("not_observable", "no_capability_list")
    assert court.verdict(session("smtp", hello_verb="HELO", ehlo_reject_code="502"), "PS201") == ("not_observable", "ehlo_rejected")


def test_ps201_preauth(court, listed):
    assert court.verdict(listed("imap", preauth=True, greeting_code="PREAUTH"), "PS201") == ("not_applicable", "")


def test_ps201_exchange_hubs(court, listed):
    words = ("PIPELINING", "X-ANONYMOUSTLS")
    assert court.verdict(listed("smtp", capabilities=words, **PRIVATE), "PS201") == ("pass", "")
    assert court.finding(listed("smtp", capabilities=words), "PS201")


def test_ps201_implicit_tls(court, session):
    assert court.verdict(session("tls", tls_mode="implicit"), "PS201") == ("not_applicable", "")


def test_ps201_long_lists_are_cut(court, listed):
    assert len(court.finding(listed("smtp", capabilities=("X",) * 500), "PS201").evidence["capabilities"]) == 40


# --- PS202

class TestPS202:
    def accepted(self, listed, **fields):
        return listed("smtp", **{"server_port": 587, "service": "submission", "first_clear_command": "AUTH", "first_clear_command_at": 50,
                                 "accepted_clear_command": "AUTH", "accepted_clear_code": "334", **fields})

    def test_fires(self, court, listed, login):
        finding = court.finding(self.accepted(listed, logins=[login()]), "PS202")
        assert shown(finding) == ("high", "high", "587", {"command": "AUTH", "reply_code": "334", "authenticated": True})
        assert (finding.side, finding.at, finding.title) == (0, 50, "203.0.113.5 port 587 accepted AUTH without TLS")

    def test_mail_from_outside(self, court, listed):
        assert court.finding(self.accepted(listed, accepted_clear_command="MAIL", accepted_clear_code="250"), "PS202").evidence["command"] == "MAIL"

    def test_mail_from_a_trusted_network(self, court, listed):
        judged = self.accepted(listed, accepted_clear_command="MAIL", accepted_clear_code="250", **PRIVATE)
        assert court.verdict(judged, "PS202") == ("not_observable", "trusted_client")

    def test_login_on_any_port(self, court, listed, login):
        assert court.finding(self.accepted(listed, server_port=25, service="smtp", logins=[login()]), "PS202").variant == "25"

    def test_another_command_first(self, court, listed, login, message):
        assert court.finding(self.accepted(listed, accepted_clear_command="VRFY", logins=[login()]), "PS202").evidence["command"] == "AUTH"
        assert court.finding(self.accepted(listed, accepted_clear_command="VRFY", messages=[message()]), "PS202").evidence["command"] == "MAIL"
        assert court.verdict(self.accepted(listed, accepted_clear_command="VRFY"), "PS202") == ("pass", "")

    def test_server_enforces(self, court, listed):
        judged = self.accepted(listed, accepted_clear_command=None, accepted_clear_code=None, encryption_required_code="530")
        assert court.verdict(judged, "PS202") == ("pass", "")

    def test_relay(self, court, listed):
        assert court.verdict(self.accepted(listed, server_port=25, service="smtp", accepted_clear_command="MAIL"), "PS202") == ("not_applicable", "")

    def test_gap(self, court, session):
        assert court.verdict(session("smtp", server_port=587, service="submission", unseen_server="gap"), "PS202") == ("not_observable", "gap")


# --- PS203

class TestPS203:
    HELO = {"hello_verb": "HELO", "client_name": "printer", "first_clear_command": "MAIL", "first_clear_command_at": 14}

    def test_fires(self, court, session):
        finding = court.finding(session("smtp", **self.HELO), "PS203")
        assert shown(finding) == ("low", "high", "", {"helo": "printer", "command": "MAIL"})

    @pytest.mark.parametrize("fields, verdict", [
        ({"hello_verb": "EHLO"}, ("pass", "")), ({"ehlo_reject_code": "502"}, ("not_applicable", "")), ({"first_clear_command": None}, ("not_applicable", "")),
        ({"unseen_client": "gap"}, ("not_observable", "gap")), ({"hello_verb": None, "unseen_client": "midstream"}, ("not_observable", "midstream")),
        ({"capabilities": ("SIZE",)}, ("pass", "")),
    ])
    def test_near_misses(self, court, session, fields, verdict):
        assert court.verdict(session("smtp", **{**self.HELO, **fields}), "PS203") == verdict


# --- PS204

COMMANDS = {"smtp": "MAIL", "lmtp": "MAIL", "imap": "LOGIN", "pop3": "USER", "nntp": "AUTHINFO", "managesieve": "AUTHENTICATE"}


@pytest.mark.parametrize("protocol", MAIL)
class TestPS204:
    def unused(self, listed, protocol, **fields):
        return listed(protocol, offer=True, **{"first_clear_command": COMMANDS[protocol], "first_clear_command_at": 50, "client_name": "pc", **fields})

    def test_fires(self, court, listed, protocol):
        judged = self.unused(listed, protocol)
        finding = court.finding(judged, "PS204")
        assert shown(finding) == ("high", "high", "", {"command": COMMANDS[protocol], "offered_at": 30, "client_name": "pc", "server_name": "220 mail.example"})
        assert (finding.side, finding.at) == (0, 50)
        assert finding.title == f"198.51.100.7 sent {COMMANDS[protocol]} in clear to 203.0.113.5 port {judged.server_port} and did not use the STARTTLS on offer"

    def test_used(self, court, listed, protocol):
        assert court.verdict(self.unused(listed, protocol, starttls_requested=True, tls_started=True), "PS204") == ("pass", "")

    def test_asked_and_refused(self, court, listed, protocol):
        assert court.verdict(self.unused(listed, protocol, starttls_requested=True, starttls_accepted=False), "PS204") == ("pass", "")

    def test_not_offered(self, court, listed, protocol):
        assert court.verdict(listed(protocol, first_clear_command="MAIL"), "PS204") == ("not_applicable", "")

    def test_probe(self, court, listed, protocol):
        finding = court.finding(self.unused(listed, protocol, first_clear_command=None, first_clear_command_at=None), "PS204")
        assert (finding.severity, finding.variant, finding.severity_reason, finding.side, finding.at) == ("info", "probe", "only probed", 1, 30)

    def test_not_over_yet(self, court, listed, protocol):
        assert court.verdict(self.unused(listed, protocol, first_clear_command=None, finished=False), "PS204") == ("not_observable", "unfinished")

    def test_client_said_nothing(self, court, listed, protocol):
        judged = self.unused(listed, protocol, first_clear_command=None, starttls_requested=None, n_commands=0)
        assert court.verdict(judged, "PS204") == ("not_applicable", "")

    def test_request_may_be_lost(self, court, listed, protocol):
        assert court.verdict(self.unused(listed, protocol, starttls_requested=None, unseen_client="gap"), "PS204") == ("not_observable", "gap")
        assert court.verdict(self.unused(listed, protocol, first_clear_command=None, unseen_client="snaplen"), "PS204") == ("not_observable", "snaplen")

    def test_loss_behind_the_command(self, court, listed, protocol):
        assert court.finding(self.unused(listed, protocol, unseen_client="gap"), "PS204").confidence == "medium"

    def test_offer_not_seen(self, court, session, protocol):
        assert court.verdict(session(protocol, first_clear_command="MAIL", unseen_server="one_sided"), "PS204") == ("not_observable", "one_sided")

    def test_enforced(self, court, listed, protocol):
        finding = court.finding(self.unused(listed, protocol, encryption_required_code="530"), "PS204")
        assert (finding.severity, finding.variant, finding.severity_reason) == ("medium", "enforced", "server insisted on TLS")
        assert finding.evidence["encryption_required"] == "530"

    def test_sealed_by_sasl(self, court, listed, protocol):
        assert court.verdict(self.unused(listed, protocol, sasl_wrapped=True), "PS204") == ("pass", "")

    def test_private(self, court, listed, protocol):
        assert court.finding(self.unused(listed, protocol, **PRIVATE), "PS204").severity == "medium"


@pytest.mark.parametrize("protocol", ["imap", "pop3", "nntp"])
def test_ps204_offer_after_the_command(court, listed, protocol):
    judged = listed(protocol, offer=True, starttls_offered_at=80, first_clear_command="LOGIN", first_clear_command_at=50)
    assert court.verdict(judged, "PS204") == ("not_applicable", "")


# --- PS206

class TestPS206:
    def test_fires(self, court, session, message):
        judged = session("smtp", server_port=587, messages=[message(direction="submitted")])
        finding = court.finding(judged, "PS206")
        assert shown(finding) == ("high", "high", "submitted", {
            "direction": "submitted", "message_id": "<1@a.example>", "from_domain": "a.example", "to_domains": ["b.example"], "size_bytes": 500, "subject_length": 5,
            "content_type": "text/plain", "protection": "none", "reply_code": "250"})
        assert (finding.side, finding.at, judged.verdict) == (0, 100, "exposed")

    @pytest.mark.parametrize("protocol, side", [("imap", 1), ("pop3", 1), ("lmtp", 0)])
    def test_other_protocols(self, court, session, message, protocol, side):
        assert court.finding(session(protocol, messages=[message(side=side, direction="fetched")]), "PS206").severity == "high"

    def test_between_exchangers(self, court, session, message, login):
        finding = court.finding(session("smtp", messages=[message()]), "PS206")
        assert (finding.severity, finding.severity_reason) == ("medium", "port 25 between mail servers")
        assert court.finding(session("smtp", messages=[message()], logins=[login()]), "PS206").severity == "high"

    @pytest.mark.parametrize("protection, severity, verdict", [
        ("smime-encrypted", "low", "weak"), ("pgp-mime-encrypted", "low", "weak"), ("smime-signed", "high", "exposed"), ("pgp-inline", "high", "exposed"),
    ])
    def test_encrypted_content(self, court, session, message, protection, severity, verdict):
        judged = session("smtp", server_port=587, messages=[message(protection=protection)])
        assert (court.finding(judged, "PS206").severity, judged.verdict) == (severity, verdict)

    def test_encrypted_between_exchangers(self, court, session, message):
        finding = court.finding(session("smtp", messages=[message(protection="smime-encrypted")], **PRIVATE), "PS206")
        assert (finding.severity, finding.severity_reason) == ("info", "port 25 between mail servers;message encrypted")

    def test_public_articles_and_reports(self, court, session, message):
        judged = session("nntp", messages=[message()])
        assert (court.finding(judged, "PS206").severity, judged.verdict) == ("info", "weak")
        assert court.finding(session("smtp", messages=[message(content_type="multipart/report", mail_from="")]), "PS206").severity == "info"

    @pytest.mark.parametrize("fields", [{"has_content": False, "size_bytes": 0}, {"size_bytes": 0}])
    def test_no_content(self, court, session, message, fields):
        judged = session("smtp", messages=[message(**fields)])
        assert court.verdict(judged, "PS206") == ("pass", "") and judged.verdict == "weak"

    def test_one_side(self, court, session, message):
        assert court.finding(session("smtp", unseen_server="one_sided", messages=[message()]), "PS206").confidence == "medium"
        assert court.verdict(session("pop3", unseen_server="one_sided"), "PS206") == ("not_observable", "one_sided")

    def test_sealed_by_sasl(self, court, session):
        assert court.verdict(session("imap", sasl_wrapped=True), "PS206") == ("not_observable", "encrypted")


# --- PS209-PS212

def test_ps209_preauth(court, listed):
    judged = listed("imap", preauth=True, greeting_code="PREAUTH", greeting="* PREAUTH hi", greeting_at=0, n_mailbox_commands=2)
    finding = court.finding(judged, "PS209")
    assert shown(finding) == ("high", "high", "", {"greeting": "* PREAUTH hi", "mailbox_commands": 2})
    assert (finding.side, finding.at, judged.verdict) == (1, 0, "exposed")


def test_ps209_loopback(court, listed):
    finding = court.finding(listed("imap", preauth=True, greeting_code="PREAUTH", client_ip="127.0.0.1", server_ip="127.0.0.1"), "PS209")
    assert (finding.severity, finding.severity_reason) == ("info", "both ends loopback")


def test_ps209_near_miss_and_gap(court, session):
    assert court.verdict(session("imap", greeting_code="OK"), "PS209") == ("pass", "")
    assert court.verdict(session("imap", greeting_code=None, unseen_server="midstream"), "PS209") == ("not_observable", "midstream")


class TestPS210:
    def judged(self, listed, login, disabled_at=30, **fields):
        details = fields.pop("details", {"login_disabled": True})
        return listed("imap", offer=True, login_disabled=True, login_disabled_at=disabled_at, logins=[
            login("LOGIN-COMMAND", protocol="imap", result="failed", reply_code="NO", details=details)], **fields)

    def test_fires(self, court, listed, login):
        judged = self.judged(listed, login)
        finding = court.finding(judged, "PS210")
        assert shown(finding) == ("high", "high", "", {"auth_result": "failed", "disabled_at": 30, "login_at": 60})
        root = next(other for other in judged.findings if other.rule.id == "PS110")
        assert (finding.because_of, finding.principal) == (root.finding_id, "alice@example.com")

    def test_list_after_the_login(self, court, listed, login):
        assert court.verdict(self.judged(listed, login, details={"login_disabled": False}), "PS210") == ("pass", "")
        assert court.verdict(self.judged(listed, login, disabled_at=90, details={}), "PS210") == ("pass", "")

    def test_allowed(self, court, listed, login):
        assert court.verdict(listed("imap", logins=[login("LOGIN-COMMAND")]), "PS210") == ("pass", "")

    def test_gap(self, court, session):
        assert court.verdict(session("imap", unseen_server="gap"), "PS210") == ("not_observable", "gap")

    def test_private(self, court, listed, login):
        assert court.finding(self.judged(listed, login, **PRIVATE), "PS210").severity == "medium"


class TestPS211:
    def test_fires(self, court, listed):
        judged = listed("imap", offer=True)
        assert shown(court.finding(judged, "PS211")) == ("medium", "high", "", {"capabilities": list(judged.facts.capabilities)})

    @pytest.mark.parametrize("offer, fields, verdict", [
        (True, {"login_disabled": True}, ("pass", "")), (False, {}, ("not_applicable", "")), (True, {"preauth": True}, ("not_applicable", "")),
        (True, {"login_disabled": None, "unseen_server": "gap"}, ("not_observable", "gap")), (True, {"starttls_offered": None}, ("not_observable", "no_capability_list")),
    ])
    def test_near_misses(self, court, listed, offer, fields, verdict):
        assert court.verdict(listed("imap", offer=offer, **fields), "PS211") == verdict


class TestPS212:
    @pytest.mark.parametrize("protocol, fields, role", [
        ("imap", {"n_mailbox_commands": 3}, "mailbox commands"), ("pop3", {"n_mailbox_commands": 1}, "mailbox commands"), ("imap", {"preauth": True}, "preauth"),
    ])
    def test_fires(self, court, session, protocol, fields, role):
        finding = court.finding(session(protocol, first_clear_command_at=40, **fields), "PS212")
        assert shown(finding) == ("high", "high", protocol, {"role": role, "logins": 0, "mailbox_commands": fields.get("n_mailbox_commands", 0)})

    @pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3", "managesieve"])
    def test_login(self, court, session, login, protocol):
        assert court.finding(session(protocol, logins=[login()]), "PS212").evidence["role"] == "login"

    @pytest.mark.parametrize("fields, verdict", [
        ({"tls_started": True}, ("pass", "")), ({"sasl_wrapped": True}, ("pass", "")), ({"encryption_required_code": "PRIVACYREQUIRED"}, ("pass", "")),
        ({"starttls_requested": None, "unseen_client": "gap"}, ("not_observable", "gap")),
    ])
    def test_near_misses(self, court, session, login, fields, verdict):
        assert court.verdict(session("imap", logins=[login("LOGIN-COMMAND")], **fields), "PS212") == verdict

    def test_nothing_happened(self, court, session):
        assert court.verdict(session("imap"), "PS212") == ("pass", "")
        assert court.verdict(session("imap", unseen_client="midstream"), "PS212") == ("not_observable", "midstream")

    def test_relay_and_news(self, court, session, message):
        assert court.verdict(session("smtp", messages=[message()]), "PS212") == ("not_applicable", "")
        assert court.verdict(session("nntp", n_mailbox_commands=5), "PS212") == ("not_applicable", "")


# --- relays

class TestPS213:
    LOCAL = {"client_ip": "10.0.0.9"}

    def test_without_policy(self, court, session, message):
        finding = court.finding(session("smtp", client_name="printer", messages=[message(mailer="Scan 1.0")], **self.LOCAL), "PS213")
        assert shown(finding) == ("medium", "low", "", {"client_name": "printer", "rcpt_external": 1, "rcpt_internal": 0, "local_domains_known": False, "mailer": "Scan 1.0"})

    def test_with_policy(self, make_court, session, message):
        court = make_court(local_domains=("contoso.com",))
        finding = court.finding(session("smtp", messages=[message(rcpt_accepted=["a@contoso.com", "b@b.example"])], **self.LOCAL), "PS213")
        assert (finding.confidence, finding.evidence["rcpt_external"], finding.evidence["rcpt_internal"]) == ("medium", 1, 1)

    def test_internal_mail(self, make_court, session, message):
        court = make_court(local_domains=("contoso.com",))
        for recipients in (["a@contoso.com"], ["a@mail.contoso.com"], ["root"], ["root@localhost"], []):
            assert court.verdict(session("smtp", messages=[message(rcpt_accepted=recipients)], **self.LOCAL), "PS213") == ("pass", "")

    @pytest.mark.parametrize("fields", [{"client_ip": "198.51.100.7"}, {"server_port": 587}, {"tls_started": True}, {"client_ip": "127.0.0.1"}])
    def test_not_a_device(self, court, session, message, fields):
        assert court.verdict(session("smtp", messages=[message()], **{**self.LOCAL, **fields}), "PS213") == ("not_applicable", "")

    def test_logged_in(self, court, session, message, login):
        assert court.verdict(session("smtp", messages=[message()], logins=[login()], **self.LOCAL), "PS213") == ("not_applicable", "")

    def test_answers_missing(self, court, session, message):
        judged = session("smtp", unseen_server="one_sided", messages=[message(rcpt_accepted=[])], **self.LOCAL)
        assert court.verdict(judged, "PS213") == ("not_observable", "one_sided")


class TestPS214:
    def test_fires(self, make_court, session, message):
        finding = make_court(local_domains=("contoso.com",)).finding(session("smtp", messages=[message()]), "PS214")
        assert shown(finding) == ("critical", "medium", "", {"mail_from_domain": "a.example", "rcpt_domains": ["b.example"], "reply_code": "250"})

    def test_without_policy(self, court, session, message):
        assert court.verdict(session("smtp", messages=[message()]), "PS214") == ("not_observable", "local_domains_unknown")
        assert court.verdict(session("smtp", messages=[message(accepted=False)]), "PS214") == ("pass", "")

    @pytest.mark.parametrize("fields", [
        {"rcpt_accepted": ["a@contoso.com"]}, {"mail_from": "a@contoso.com"}, {"mail_from": ""}, {"accepted": False}, {"accepted": None}, {"rcpt_accepted": []},
        {"rcpt_accepted": ["postmaster"]}, {"mail_from": None},
    ])
    def test_near_misses(self, make_court, session, message, fields):
        assert make_court(local_domains=("contoso.com",)).verdict(session("smtp", messages=[message(**fields)]), "PS214") == ("pass", "")

    def test_not_from_outside(self, make_court, session, message, login):
        court = make_court(local_domains=("contoso.com",))
        assert court.verdict(session("smtp", client_ip="10.0.0.1", messages=[message()]), "PS214") == ("not_applicable", "")
        assert court.verdict(session("smtp", messages=[message()], logins=[login()]), "PS214") == ("not_applicable", "")

    def test_gap(self, make_court, session, message):
        judged = session("smtp", unseen_server="gap", messages=[message(accepted=None)])
        assert make_court(local_domains=("contoso.com",)).verdict(judged, "PS214") == ("not_observable", "gap")


# --- PS215

class TestPS215:
    def refused(self, listed, protocol="smtp", code="454", **fields):
        return listed(protocol, offer=True, starttls_requested=True, starttls_requested_at=40, starttls_verb="STLS" if protocol == "pop3" else "STARTTLS",
                      **{"starttls_accepted": False, "starttls_reply_code": code, "starttls_reply_text": "no", "starttls_answered_at": 90, "n_starttls_requests": 1, **fields})

    @pytest.mark.parametrize("protocol, code, variant", [
        ("smtp", "454", "temp"), ("smtp", "421", "temp"), ("smtp", "500", "unknown_command"), ("smtp", "502", "unknown_command"), ("smtp", "554", "policy"),
        ("imap", "BAD", "unknown_command"), ("imap", "NO", "policy"), ("pop3", "-ERR", "policy"), ("nntp", "580", "policy"), ("nntp", "502", "policy"),
        ("managesieve", "NO", "policy"),
    ])
    def test_fires(self, court, listed, protocol, code, variant):
        finding = court.finding(self.refused(listed, protocol, code), "PS215")
        assert shown(finding) == ("medium", "high", variant, {"offered": True, "reply_code": code, "reply_text": "no", "next": "quit"})
        assert (finding.side, finding.at) == (1, 90)

    @pytest.mark.parametrize("fields, went_on", [({"first_clear_command": "MAIL"}, "clear"), ({"n_starttls_requests": 2}, "retry")])
    def test_what_came_next(self, court, listed, fields, went_on):
        assert court.finding(self.refused(listed, **fields), "PS215").evidence["next"] == went_on

    def test_wrong_time(self, court, listed, login):
        assert court.verdict(self.refused(listed, code="503"), "PS215") == ("not_applicable", "")
        assert court.verdict(self.refused(listed, "imap", "BAD", logins=[login("LOGIN-COMMAND", at=10, secret_at=10)]), "PS215") == ("not_applicable", "")

    def test_accepted_or_not_asked(self, court, listed):
        assert court.verdict(self.refused(listed, starttls_accepted=True), "PS215") == ("pass", "")
        assert court.verdict(listed("smtp"), "PS215") == ("not_applicable", "")

    def test_unknown(self, court, listed):
        assert court.verdict(self.refused(listed, starttls_accepted=None, unseen_server="gap"), "PS215") == ("not_observable", "gap")
        assert court.verdict(self.refused(listed, starttls_accepted=None), "PS215") == ("not_observable", "unanswered")
        assert court.verdict(listed("smtp", starttls_requested=None, unseen_client="gap"), "PS215") == ("not_observable", "gap")


# --- PS216-PS219

@pytest.mark.parametrize("where, variant, side", [(("ehlo",), "ehlo", 1), (("ehlo", "mail"), "mail", 0)])
def test_ps216_requiretls(court, listed, where, variant, side):
    finding = court.finding(listed("smtp", requiretls=where, requiretls_at=33), "PS216")
    assert shown(finding) == ("medium", "high", variant, {"seen_in": list(where)}) and (finding.side, finding.at) == (side, 33)


def test_ps216_header(court, listed, message):
    finding = court.finding(listed("smtp", messages=[message(tls_required_no=True)]), "PS216")
    assert shown(finding) == ("info", "high", "tls-required-no", {"seen_in": ["header"]})


def test_ps216_near_misses(court, listed):
    assert court.verdict(listed("smtp", offer=True, tls_started=True, requiretls=("ehlo",)), "PS216") == ("pass", "")
    assert court.verdict(listed("smtp"), "PS216") == ("pass", "")
    assert court.verdict(listed("smtp", unseen_client="gap"), "PS216") == ("not_observable", "gap")


def test_ps217_names_before_tls(court, listed):
    judged = listed("smtp", offer=True, tls_started=True, tls_mode="starttls", starttls_requested=True, client_name="pc.corp.example", identity={"xclient": "ADDR=1.2.3.4"})
    finding = court.finding(judged, "PS217")
    assert shown(finding) == ("info", "high", "", {"client_name": "pc.corp.example", "identity": {"xclient": "ADDR=1.2.3.4"}, "command": None})
    assert judged.verdict == "protected"


def test_ps217_near_misses(court, listed):
    assert court.verdict(listed("smtp", client_name="pc"), "PS217") == ("not_applicable", "")
    assert court.verdict(listed("imap", offer=True, tls_started=True), "PS217") == ("pass", "")
    assert court.verdict(listed("imap", offer=True, tls_started=True, unseen_client="gap"), "PS217") == ("not_observable", "gap")


@pytest.mark.parametrize("protocol", ["imap", "nntp"])
def test_ps218_compressed(court, session, protocol):
    assert shown(court.finding(session(protocol, compressed=True, compressed_at=44), "PS218")) == ("info", "high", "", {"compressed_at": 44, "inflated": True})
    assert court.verdict(session(protocol), "PS218") == ("pass", "")
    assert court.verdict(session(protocol, unseen_client="gap"), "PS218") == ("not_observable", "gap")


def test_ps219_anonymoustls(court, listed):
    used = {"starttls_verb": "X-ANONYMOUSTLS", "starttls_requested": True, "starttls_requested_at": 30, "starttls_reply_code": "220"}
    finding = court.finding(listed("smtp", tls_started=True, starttls_accepted=True, **used), "PS219")
    assert shown(finding) == ("info", "medium", "", {"verb": "X-ANONYMOUSTLS", "reply_code": "220"})
    assert court.verdict(listed("smtp", capabilities=("X-ANONYMOUSTLS",)), "PS219") == ("pass", "")
    assert court.verdict(listed("smtp", starttls_accepted=False, **used), "PS219") == ("pass", "")
    assert court.verdict(listed("smtp", unseen_client="gap"), "PS219") == ("not_observable", "gap")
