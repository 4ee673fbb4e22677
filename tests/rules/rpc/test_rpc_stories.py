"""One conversation of RPC, HTTP, LDAP or SMB is one story."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest, Login
from pcapsec.secret import Secret
from rpc_sessions import ANONYMOUS, association, context, facts_of, kerberos, mapi, ntlm, security


def told(court, judged):
    """Rule -> the rule that is its root, None for roots."""
    court.try_session(judged)
    by_id = {finding.finding_id: finding for finding in judged.findings}
    for finding in judged.findings:
        if finding.because_of is not None:
            root = by_id[finding.because_of]
            assert root.because_of is None, "a root is a root"
            order = ("info", "low", "medium", "high", "critical")
            assert order.index(root.severity) >= order.index(finding.severity)
    return {(finding.rule.id, finding.principal): by_id[finding.because_of].rule.id if finding.because_of else None for finding in judged.findings}


def by_rule(found):
    return {rule_id: root for (rule_id, _), root in found.items()}


def readable(login, level=2, **fields):
    return context("emsmdb", {level: 4}, security(login, level), obfuscation="xor", mapi=mapi(n_decoded=2, rop_names={"RopLogon": 1}, client_version="11.0.1"), **fields)


def basic(**fields):
    return Login(**{"protocol": "http", "mechanism": "BASIC", "at": 0, "principal": "alice", "secret": Secret(b"correct horse"), "secret_at": 0, "exposure": "password",
                    "result": "success", **fields})


def test_an_unencrypted_mailbox(rpc, court):
    assert by_rule(told(court, rpc(readable(ntlm()), client_ip="10.0.0.9"))) == {
        "PS502": None, "PS106": "PS502", "PS503": "PS502", "PS516": "PS502", "PS517": "PS502"}


def test_broken_ntlm_is_worse_than_what_it_should_protect(rpc, court):
    assert by_rule(told(court, rpc(readable(ntlm(version="NTLMv1"))))) == {
        "PS107": None, "PS106": "PS107", "PS502": "PS107", "PS503": "PS107", "PS516": "PS107", "PS517": "PS107"}


def test_sealed_by_ntlm(rpc, court):
    login = ntlm(details={"spnego_offered": ["KERBEROS", "NTLM"]})
    judged = rpc(context("emsmdb", {6: 4}, security(login, 6, auth_type=9)), association={"header_signing": False}, client_ip="10.0.0.9")
    assert by_rule(told(court, judged)) == {"PS106": None, "PS504": "PS106", "PS509": "PS106", "PS510": "PS106"}


def test_a_weak_key_is_as_bad_as_the_login(rpc, court):
    judged = rpc(context("emsmdb", {6: 4}, security(ntlm(0x20), 6)))
    assert by_rule(told(court, judged)) == {"PS106": None, "PS505": "PS106", "PS506": "PS106"}


def test_the_directory_is_less_than_the_login(rpc, court):
    judged = rpc(context("nspi", {2: 4}, security(ntlm(), 2), mapi=mapi(strings={"utf16": 2})))
    assert by_rule(told(court, judged)) == {"PS106": None, "PS502": "PS106", "PS516": "PS106"}


def test_no_authentication_on_the_directory(rpc, court):
    assert by_rule(told(court, rpc(context("nspi", {1: 4})))) == {"PS501": None, "PS502": "PS501"}


def test_no_authentication_on_the_mailbox(rpc, court):
    assert by_rule(told(court, rpc(context("emsmdb", {1: 4})))) == {"PS502": None, "PS501": "PS502"}


def test_several_interfaces_have_one_root(rpc, court):
    one = security(ntlm(), 2)
    judged = court.try_session(rpc(context("emsmdb", {2: 4}, one), context("nspi", {2: 4}, one, context_id=1, first_request_at=600, weakest_request_at=600)))
    roots = [finding for finding in judged.findings if finding.because_of is None]
    assert [(finding.rule.id, finding.variant) for finding in roots] == [("PS502", "emsmdb")]


def test_refused_and_encrypted_then(rpc, court):
    judged = rpc(context("emsmdb", {2: 1, 6: 9}, security(kerberos(), 2, 6), mapi=mapi(not_encrypted_refused=1, not_encrypted_at=220, user_dn="/o=X/cn=alice")))
    assert by_rule(told(court, judged)) == {"PS502": None, "PS511": "PS502", "PS516": "PS502"}


def test_anonymous(rpc, court):
    judged = rpc(context("svcctl", {1: 1}, security(ntlm(ANONYMOUS, version="anonymous"), 6)))
    assert by_rule(told(court, judged)) == {"PS508": None, "PS118": "PS508"}


def test_rpc_over_http_is_the_root_of_what_runs_inside(session, court):
    inner = association(readable(ntlm(at=500, secret_at=520), transport="http"))
    judged = session("http", http=HttpFacts(requests=[HttpRequest(at=0, method="RPC_IN_DATA", service="rpc-proxy", status=200)]), **facts_of(inner))
    found = by_rule(told(court, judged))
    assert {rule_id: found[rule_id] for rule_id in ("PS512", "PS502", "PS503", "PS516", "PS106")} == {
        "PS512": None, "PS502": "PS512", "PS503": "PS512", "PS516": "PS512", "PS106": "PS512"}


def test_a_password_to_the_proxy_is_worse(session, court):
    login = basic()
    request = HttpRequest(at=0, method="RPC_IN_DATA", service="rpc-proxy", status=200, auth_scheme="BASIC", principal="alice", login=login)
    found = by_rule(told(court, session("http", http=HttpFacts(requests=[request]), logins=[login])))
    assert {rule_id: found[rule_id] for rule_id in ("PS117", "PS512", "PS513", "PS605")} == {"PS117": None, "PS512": "PS117", "PS513": "PS117", "PS605": "PS117"}


def test_each_account_is_a_root(session, court):
    logins = [basic(), basic(at=900, secret_at=900, principal="bob")]
    requests = [HttpRequest(at=login.at, method="GET", path="/owa/", service="owa", status=200, auth_scheme="BASIC", principal=login.principal, login=login, response_bytes=900)
                for login in logins]
    found = told(court, session("http", http=HttpFacts(requests=requests), logins=logins))
    assert {key: root for key, root in found.items() if key[0] == "PS117"} == {("PS117", "alice"): None, ("PS117", "bob"): None}
    assert {root for (rule_id, _), root in found.items() if rule_id == "PS602"} == {"PS117"}


def test_ntlm_over_the_web_is_told_once(session, court):
    login = ntlm(protocol="http")
    request = HttpRequest(at=300, method="GET", path="/ews/exchange.asmx", service="ews", status=200, auth_scheme="NTLM", principal="alice", login=login, response_bytes=900)
    found = by_rule(told(court, session("http", http=HttpFacts(requests=[request]), logins=[login])))
    assert {rule_id: found[rule_id] for rule_id in ("PS106", "PS124", "PS602", "PS605")} == {"PS106": None, "PS124": "PS106", "PS602": "PS106", "PS605": "PS106"}


def test_login_of_another_account_stays_a_root(session, court):
    """Its exchange hangs on nobody else's password."""
    logins = [basic(), ntlm(protocol="http", at=800, secret_at=900, principal="bob", version="NTLMv1")]
    found = told(court, session("http", http=HttpFacts(), logins=logins))
    assert found[("PS117", "alice")] is None and found[("PS107", "bob")] is None
    assert (found[("PS106", "bob")], found[("PS124", "bob")]) == ("PS107", "PS107")


def test_ldap(session, court):
    login = Login(protocol="ldap", mechanism="SIMPLE-BIND", at=10, principal="cn=alice", secret=Secret(b"Password1"), secret_at=10, exposure="password", result="success")
    judged = court.try_session(session("ldap", logins=[login]))
    found = {finding.rule.id: finding for finding in judged.findings}
    assert set(found) == {"PS116", "PS126"}
    assert found["PS126"].evidence["source_finding_id"] == found["PS116"].finding_id and found["PS126"].because_of is None


def test_one_finding_has_no_story(rpc, court):
    assert told(court, rpc(context("svcctl", {1: 1}, faults={5: 1}, first_fault_at=9))) == {("PS518", None): None}


def test_all_on_one_host(rpc, court):
    """Loopback makes all of them info: the order decides."""
    found = told(court, rpc(readable(ntlm()), client_ip="127.0.0.1", server_ip="127.0.0.1"))
    assert by_rule(found)["PS502"] is None and set(by_rule(found).values()) == {None, "PS502"}


@pytest.mark.parametrize("protocol", ["smtp", "imap"])
def test_mail_keeps_its_own_stories(session, court, protocol):
    judged = court.try_session(session(protocol, logins=[kerberos(23, 23, protocol=protocol)]))
    assert {finding.rule.id: finding.because_of for finding in judged.findings if finding.rule.id in ("PS127", "PS507")} == {"PS127": None, "PS507": None}
