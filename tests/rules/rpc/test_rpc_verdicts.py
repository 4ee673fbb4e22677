"""The one word for a session of RPC, HTTP, LDAP or SMB."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest, Login, SmbFacts
from pcapsec.secret import Secret
from rpc_sessions import ANONYMOUS, EXCHANGE, association, context, facts_of, kerberos, ntlm, security

AES, RC4 = security(kerberos(), 6), security(kerberos(23, 23), 6)


@pytest.mark.parametrize("kind", EXCHANGE)
@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_readable_calls_to_exchange(rpc, court, kind, level):
    assert court.try_session(rpc(context(kind, {level: 1, 6: 9}, AES))).verdict == "exposed"


@pytest.mark.parametrize("one, verdict", [
    (AES, "protected"), (RC4, "weak"), (security(kerberos(18, 23), 6), "weak"), (security(kerberos(23, 18), 6), "protected"), (security(kerberos(18, None), 6), "protected"),
    (security(kerberos(None, None), 6), "unknown"), (security(kerberos(3, 3), 6), "weak"),
    (security(kerberos(), 6, token_algorithm="AES", sealed_tokens=True), "protected"), (security(kerberos(), 6, token_algorithm="AES", sealed_tokens=False), "weak"),
    (security(kerberos(18, None), 6, token_algorithm="RC4", sealed_tokens=True), "weak"), (security(None, 6, mechanism="KERBEROS", token_algorithm="AES"), "protected"),
    (security(None, 6, mechanism="KERBEROS"), "unknown"), (security(None, 6, mechanism=None, auth_type=9), "unknown"), (security(ntlm(), 6), "weak"),
    (security(ntlm(0x20), 6), "weak"), (security(ntlm(ANONYMOUS, version="anonymous"), 6), "weak"), (security(ntlm(version="NTLMv1"), 6), "exposed"),
    (security(ntlm(version="LM"), 6), "exposed"), (security(None, 6, mechanism="SCHANNEL", auth_type=14), "protected"),
    (security(None, 6, mechanism="NETLOGON", auth_type=68), "unknown"),
])
def test_what_level_6_is_worth(rpc, court, one, verdict):
    assert court.try_session(rpc(context("emsmdb", {6: 9}, one))).verdict == verdict


def test_the_weakest_of_two_securities(rpc, court):
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES, security(ntlm(), 6)))).verdict == "weak"
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES), context("nspi", {6: 9}, RC4))).verdict == "weak"
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES), context("nspi", {6: 9}))).verdict == "unknown"


@pytest.mark.parametrize("kind, levels, one, verdict", [
    ("epm", {1: 2}, None, "weak"), ("svcctl", {2: 2}, AES, "weak"), ("svcctl", {6: 2}, AES, "protected"), ("svcctl", {6: 2}, RC4, "weak"), ("emsmdb", {}, AES, "weak"),
    (None, {1: 2}, None, "unknown"), (None, {6: 2}, AES, "protected"), ("svcctl", {5: 2}, security(ntlm(), 5), "weak"),
])
def test_other_interfaces(rpc, court, kind, levels, one, verdict):
    assert court.try_session(rpc(context(kind, levels, *([one] if one else [])))).verdict == verdict


def test_asking_the_mapper_on_the_way_takes_nothing_away(rpc, court):
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES), context("epm", {1: 1}, context_id=1))).verdict == "protected"


def test_a_refused_context_counts_for_nothing(rpc, court):
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES), context("nspi", {}, accepted=False))).verdict == "protected"


@pytest.mark.parametrize("fields", [{"unseen_client": "gap"}, {"unseen_server": "one_sided"}])
def test_losses(rpc, session, court, fields):
    assert court.try_session(rpc(context("emsmdb", {6: 9}, AES), **fields)).verdict == "unknown"
    assert court.try_session(rpc(context("emsmdb", {2: 9}, AES), **fields)).verdict == "exposed"
    assert court.try_session(session("http", http=HttpFacts(), **fields)).verdict == "unknown"
    assert court.try_session(session("ldap", **fields)).verdict == "unknown"


@pytest.mark.parametrize("fields, verdict", [
    ({"service": "owa", "status": 200, "response_bytes": 900, "path": "/owa/"}, "exposed"), ({"service": "ews", "status": 200, "request_bytes": 900, "path": "/ews/x"}, "exposed"),
    ({"service": "owa", "status": 302, "response_bytes": 900, "path": "/owa/"}, "weak"), ({"service": "owa", "status": 200, "response_bytes": 0, "path": "/owa/"}, "weak"),
    ({"service": "owa", "status": 200, "response_bytes": 900, "path": "/owa/auth/logon.aspx"}, "weak"), ({"service": "other", "status": 200, "response_bytes": 900}, "weak"),
    ({"service": "webmail", "status": 200, "response_bytes": 900, "path": "/webmail/", "service_sure": False}, "weak"),
    ({"service": "webmail", "status": 200, "response_bytes": 900, "path": "/webmail/", "service_sure": False, "session_cookie": True}, "exposed"),
    ({"service": "autodiscover", "status": 200, "response_bytes": 900, "path": "/autodiscover/autodiscover.xml"}, "weak"),
    ({"service": "rpc-proxy", "status": 200, "response_bytes": 900, "method": "RPC_OUT_DATA"}, "weak"),
])
def test_web(session, court, fields, verdict):
    request = HttpRequest(**{"at": 0, "method": "GET", **fields})
    assert court.try_session(session("http", http=HttpFacts(requests=[request]))).verdict == verdict


@pytest.mark.parametrize("login, verdict", [
    (Login(protocol="http", mechanism="BASIC", at=0, secret=Secret(b"x"), exposure="password"), "exposed"),
    (Login(protocol="http", mechanism="BEARER", at=0, secret=Secret(b"x"), exposure="token"), "exposed"),
    (ntlm(protocol="http"), "exposed"), (kerberos(protocol="http"), "weak"), (ntlm(ANONYMOUS, protocol="http", version="anonymous"), "weak"),
])
def test_web_logins(session, court, login, verdict):
    assert court.try_session(session("http", http=HttpFacts(), logins=[login])).verdict == verdict


def test_rpc_over_http(session, court):
    """Sealed inside, but the outer protection is missing."""
    for levels, one, verdict in (({6: 4}, AES, "weak"), ({2: 4}, AES, "exposed"), ({6: 4}, security(ntlm(), 6), "weak")):
        inner = association(context("emsmdb", levels, one, transport="http"))
        assert court.try_session(session("http", http=HttpFacts(), **facts_of(inner))).verdict == verdict


@pytest.mark.parametrize("fields, verdict", [
    ({}, "weak"), ({"tls_started": True, "tls_mode": "starttls"}, "protected"), ({"logins": [ntlm(protocol="ldap")]}, "exposed"),
    ({"logins": [ntlm(protocol="ldap", details={"layer": "confidentiality"})], "sasl_wrapped": True}, "weak"),
    ({"logins": [ntlm(protocol="ldap", details={"layer": "integrity"})], "sasl_wrapped": True}, "exposed"),
    ({"logins": [ntlm(protocol="ldap", version="NTLMv1")], "sasl_wrapped": True}, "exposed"),
    ({"logins": [kerberos(protocol="ldap", details={"layer": "confidentiality"})], "sasl_wrapped": True}, "protected"),
    ({"logins": [kerberos(23, 23, protocol="ldap", details={"layer": "confidentiality"})], "sasl_wrapped": True}, "weak"),
    ({"logins": [kerberos(protocol="ldap", details={"layer": "integrity"})], "sasl_wrapped": True}, "weak"), ({"logins": [kerberos(protocol="ldap")]}, "weak"),
    ({"sasl_wrapped": True}, "weak"),
    ({"logins": [Login(protocol="ldap", mechanism="SIMPLE-BIND", at=0), kerberos(protocol="ldap", details={"layer": "confidentiality"})], "sasl_wrapped": True}, "protected"),
    ({"logins": [kerberos(protocol="ldap"), kerberos(protocol="ldap", details={"layer": "confidentiality"})], "sasl_wrapped": True}, "weak"),
    ({"logins": [Login(protocol="ldap", mechanism="X", at=0, details={"layer": "integrity"})], "sasl_wrapped": True}, "weak"),
    ({"logins": [Login(protocol="ldap", mechanism="SIMPLE-BIND", at=0, secret=Secret(b"x"), exposure="password")]}, "exposed"),
    ({"logins": [Login(protocol="ldap", mechanism="SIMPLE-BIND", at=0)]}, "weak"),
])
def test_directories(session, court, fields, verdict):
    assert court.try_session(session("ldap", **fields)).verdict == verdict


@pytest.mark.parametrize("smb, verdict", [(SmbFacts(encrypted=True), "protected"), (SmbFacts(signed=True), "weak"), (None, "weak")])
def test_smb(session, court, smb, verdict):
    assert court.try_session(session("smb", smb=smb)).verdict == verdict
    inner = association(context("nspi", {1: 4}, transport="smb"))
    assert court.try_session(session("smb", smb=SmbFacts(), **facts_of(inner))).verdict == "exposed"
