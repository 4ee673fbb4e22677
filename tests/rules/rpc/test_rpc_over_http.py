"""PS512 and PS513: Outlook Anywhere."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest, Login
from pcapsec.secret import Secret
from rpc_sessions import association, context, facts_of, kerberos, ntlm, security


def asked(method="RPC_IN_DATA", **fields):
    return HttpRequest(**{"at": 0, "method": method, "host": "mail.corp.example", "path": "/rpc/rpcproxy.dll", "version": "1.1", "status": 200, "status_at": 40,
                          "service": "rpc-proxy", "user_agent": "MSRPC", "rpc_target": "exch01:6001", **fields})


def over(session, *requests, **fields):
    return session("http", server_port=80, http=HttpFacts(requests=list(requests), n_requests=len(requests)), **fields)


def basic(**fields):
    login = Login(protocol="http", mechanism="BASIC", at=0, principal="alice", secret=Secret(b"correct horse"), secret_at=0, exposure="password", result="success")
    return asked(auth_scheme="BASIC", principal="alice", login=login, auth_offered=("BASIC", "NTLM"), **fields), login


# --- PS512

def test_in_clear(session, shown):
    judged = over(session, asked(status=401, auth_offered=("NTLM", "BASIC")), asked(at=300, auth_scheme="NTLM", principal="alice"), asked("GET", service="other", at=900))
    assert shown(judged, "PS512") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": "v2", "title": "198.51.100.7 uses RPC over HTTP to mail.corp.example port 80 without TLS",
        "side": 0, "at": 0, "principal": "alice", "mechanism": "NTLM", "auth_result": None,
        "evidence": {"method": "RPC_IN_DATA", "requests": 2, "auth_offered": ["BASIC", "NTLM"], "host": "mail.corp.example", "path": "/rpc/rpcproxy.dll",
                     "target": "exch01:6001", "auth_scheme": "NTLM", "user_agent": "MSRPC", "status": 401},
    }


@pytest.mark.parametrize("method, variant", [("RPC_IN_DATA", "v2"), ("RPC_OUT_DATA", "v2"), ("RPC_CONNECT", "v1")])
def test_methods(session, court, method, variant):
    finding = court.finding(over(session, asked(method, path=None, host=None, user_agent=None, rpc_target=None, status=None)), "PS512")
    assert (finding.variant, finding.evidence) == (variant, {"method": method, "requests": 1, "auth_offered": []})
    assert finding.title == "198.51.100.7 uses RPC over HTTP to 203.0.113.5 port 80 without TLS"


def test_what_runs_inside_is_named(session, court):
    inner = association(context("emsmdb", {6: 4}, security(kerberos(), 6), transport="http"), context("nspi", {2: 3, 6: 1}, transport="http", context_id=1))
    judged = over(session, asked(), **facts_of(inner))
    assert court.finding(judged, "PS512").evidence["inner_levels"] == {"privacy": 5, "connect": 3}


def test_behind_a_load_balancer(session, court):
    finding = court.finding(over(session, asked(), client_ip="10.0.0.1", server_ip="192.168.1.1"), "PS512")
    assert (finding.severity, finding.severity_reason) == ("medium", "both ends private")
    assert court.finding(over(session, asked(), client_ip="10.0.0.1"), "PS512").severity == "high"
    finding = court.finding(over(session, asked(), client_ip="127.0.0.1", server_ip="127.0.0.1"), "PS512")
    assert (finding.severity, finding.severity_reason) == ("info", "both ends loopback")


def test_ncacn_http_on_593(rpc, shown):
    judged = rpc(context("epm", {1: 2}, transport="http"), association={"ncacn_http": True}, server_port=593)
    assert shown(judged, "PS512") == {
        "severity": "high", "severity_reason": "", "confidence": "high", "variant": "ncacn_http", "title": "A server at 203.0.113.5 port 593 speaks RPC over HTTP without TLS",
        "side": 1, "at": 0, "principal": None, "mechanism": None, "auth_result": None, "evidence": {"inner_levels": {"none": 2}},
    }


@pytest.mark.parametrize("request_, expected", [
    (asked(status=302, location="https://mail.corp.example"), ("pass", "")), (asked("GET", service="owa"), ("not_applicable", "")),
    (asked("POST", service="rpc-proxy"), ("not_applicable", "")),
])
def test_in_clear_near_misses(session, court, request_, expected):
    assert court.verdict(over(session, request_), "PS512") == expected


@pytest.mark.parametrize("status, location", [(302, "http://other.example"), (401, None), (403, None), (None, None)])
def test_what_was_sent_in_clear_was_sent(session, court, status, location):
    assert court.finding(over(session, asked(status=status, location=location)), "PS512").severity == "high"


def test_redirected_once_and_used_once(session, court):
    judged = over(session, asked(status=302, location="https://mail.corp.example"), asked(at=500))
    assert court.finding(judged, "PS512").at == 500


def test_in_clear_lost(session, rpc, court):
    assert court.verdict(over(session, unseen_client="one_sided"), "PS512") == ("not_observable", "one_sided")
    assert court.verdict(over(session), "PS512") == ("not_applicable", "")
    assert court.verdict(rpc(context("emsmdb", {6: 1}), unseen_client="gap"), "PS512") == ("not_applicable", "")
    assert court.verdict(session("tls", tls_mode="implicit", server_port=443), "PS512") == ("not_applicable", "")


# --- PS513

def test_basic_used(session, shown):
    request, login = basic()
    judged = over(session, asked(status=401, auth_offered=("BASIC", "NTLM")), request, logins=[login])
    assert shown(judged, "PS513") == {
        "severity": "medium", "severity_reason": "", "confidence": "high", "variant": "used", "title": "The RPC proxy mail.corp.example port 80 was used with Basic",
        "side": 0, "at": 0, "principal": "alice", "mechanism": "BASIC", "auth_result": "success",
        "evidence": {"offered": ["BASIC", "NTLM"], "used": ["BASIC"], "host": "mail.corp.example", "path": "/rpc/rpcproxy.dll", "status": 200},
    }


def test_basic_offered(session, court):
    finding = court.finding(over(session, asked("RPC_OUT_DATA", status=401, auth_offered=("BASIC",)), asked(at=90, auth_scheme="NTLM")), "PS513")
    assert (finding.variant, finding.side, finding.at, finding.evidence["used"]) == ("offered", 1, 40, ["NTLM"])


def test_basic_near_misses(session, court):
    assert court.verdict(over(session, asked(auth_scheme="NTLM", auth_offered=("NTLM", "NEGOTIATE"))), "PS513") == ("pass", "")
    assert court.verdict(over(session, asked("GET", service="owa", auth_offered=("BASIC",), auth_scheme="BASIC")), "PS513") == ("not_applicable", "")


@pytest.mark.parametrize("fields", [{"unseen_client": "gap"}, {"unseen_server": "gap"}])
def test_basic_lost(session, court, fields):
    assert court.verdict(over(session, asked(auth_scheme="NTLM", auth_offered=("NTLM",)), **fields), "PS513") == ("not_observable", "gap")
    assert court.finding(over(session, basic()[0], **fields), "PS513").variant == "used"


def test_basic_inside_https_looks_like_anything(session, court):
    assert court.verdict(session("tls", tls_mode="implicit", server_port=443), "PS513") == ("not_observable", "encrypted")
    assert court.verdict(session("tls", tls_mode="implicit", server_port=993), "PS513") == ("not_applicable", "")


def test_no_secret_in_evidence(session, court):
    request, login = basic()
    judged = court.try_session(over(session, request, logins=[login], **{"rpc": [association(context("emsmdb", {2: 1}, security(ntlm(), 2)))]}))
    assert "horse" not in str([(finding.title, finding.evidence) for finding in judged.findings])
