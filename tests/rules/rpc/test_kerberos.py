"""PS507: encryption types of Kerberos."""
from __future__ import annotations

import pytest

from rpc_sessions import context, kerberos, ntlm, security


def under(rpc, login, **fields):
    return rpc(context("emsmdb", {6: 5}, security(login, 6, **fields)))


def test_rc4(rpc, shown):
    judged = under(rpc, kerberos(23, 23), sealed_tokens=True, token_algorithm="RC4")
    assert shown(judged, "PS507") == {
        "severity": "medium", "severity_reason": "", "confidence": "high", "variant": "rc4",
        "title": "Kerberos login to 203.0.113.5 port 6001 uses RC4 (ticket and session key)", "side": 0, "at": 110, "principal": None, "mechanism": "GSSAPI",
        "auth_result": "success",
        "evidence": {"auth_result": "success", "secret_length": "12+", "ticket_etype": "rc4-hmac", "authenticator_etype": "rc4-hmac", "spn": "exchangeMDB/mail.corp.example",
                     "realm": "CORP.EXAMPLE", "random_key": True, "sealed": True, "token_algorithm": "RC4"},
    }
    assert judged.verdict == "weak"


@pytest.mark.parametrize("ticket, authenticator, severity, variant, which", [
    (1, 18, "critical", "des", "ticket"), (18, 3, "critical", "des", "session key"), (2, 2, "critical", "des", "ticket and session key"),
    (24, 24, "high", "rc4-export", "ticket and session key"), (18, 23, "medium", "rc4", "session key"), (23, 18, "medium", "rc4", "ticket"),
    (16, 16, "low", "3des", "ticket and session key"), (5, 18, "low", "3des", "ticket"), (18, 7, "low", "3des", "session key"), (23, 3, "critical", "des", "ticket and session key"),
    (16, 23, "medium", "rc4", "ticket and session key"), (None, 23, "medium", "rc4", "session key"),
])
def test_weak_types(rpc, court, ticket, authenticator, severity, variant, which):
    finding = court.finding(under(rpc, kerberos(ticket, authenticator)), "PS507")
    assert (finding.severity, finding.variant, finding.severity_reason) == (severity, variant, "" if severity == "medium" else f"encryption type {variant}")
    assert finding.title.endswith(f"uses {variant.upper()} ({which})")


def test_an_aes_ticket_with_an_rc4_session_key_shows_both(rpc, court):
    evidence = court.finding(under(rpc, kerberos(18, 23)), "PS507").evidence
    assert (evidence["ticket_etype"], evidence["authenticator_etype"], "random_key" in evidence) == ("aes256-sha1", "rc4-hmac", False)


@pytest.mark.parametrize("spn, random", [("exchangeMDB/mail", True), ("HOST/mail", True), ("ldap/dc1/corp", True), ("HTTP/intranet", False), ("MSSQLSvc/db:1433", False), (None, False)])
def test_keys_of_computer_accounts_are_random(rpc, court, spn, random):
    finding = court.finding(under(rpc, kerberos(23, 23, spn=spn)), "PS507")
    assert (finding.evidence.get("random_key", False), finding.severity) == (random, "medium")


@pytest.mark.parametrize("ticket, authenticator", [(17, 17), (18, 18), (19, 20), (25, 26), (18, None), (None, None), (99, 18)])
def test_strong_types(rpc, court, ticket, authenticator):
    assert court.verdict(under(rpc, kerberos(ticket, authenticator)), "PS507") == ("pass", "")


def test_ntlm_has_no_types(rpc, court):
    assert court.verdict(under(rpc, ntlm()), "PS507") == ("pass", "")


@pytest.mark.parametrize("protocol, mechanism", [
    ("smtp", "GSSAPI"), ("imap", "GSSAPI"), ("pop3", "GSS-SPNEGO"), ("ldap", "GSSAPI"), ("ldap", "GSS-SPNEGO"), ("http", "NEGOTIATE"), ("smb", "GSSAPI"),
])
def test_in_every_protocol(session, court, protocol, mechanism):
    finding = court.finding(session(protocol, logins=[kerberos(23, 23, protocol=protocol, mechanism=mechanism)]), "PS507")
    assert (finding.variant, finding.mechanism) == ("rc4", mechanism)


def test_mail_logins_name_the_tickets_type_only(session, court):
    login = kerberos(details={"ticket_etype": None, "authenticator_etype": None}, protocol="smtp")
    del login.details["ticket_etype"], login.details["authenticator_etype"]
    login.details["etype"] = 23
    assert court.finding(session("smtp", logins=[login]), "PS507").evidence["ticket_etype"] == "rc4-hmac"


def test_outcomes(rpc, court):
    finding = court.finding(under(rpc, kerberos(3, 3, result="failed")), "PS507")
    assert (finding.severity, finding.severity_reason) == ("high", "encryption type des;login failed")
    assert court.finding(under(rpc, kerberos(23, 23, result="unknown")), "PS507").confidence == "medium"


def test_lost(rpc, court):
    assert court.verdict(rpc(context("emsmdb", {6: 5}, security(None, 6, mechanism="KERBEROS", token_algorithm="RC4")), unseen_client="midstream"), "PS507") == (
        "not_observable", "midstream")
