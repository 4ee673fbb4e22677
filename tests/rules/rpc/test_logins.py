"""Rules about logins where those are raw tokens: DCE/RPC, HTTP, LDAP and SMB."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, Login
from pcapsec.secret import Secret
from rpc_sessions import ANONYMOUS, association, context, facts_of, kerberos, ntlm, security

CARRIED = {"dcerpc": " in RPC", "http": " in HTTP", "ldap": " in LDAP", "smb": " in SMB"}


@pytest.mark.parametrize("protocol, words", CARRIED.items())
class TestNtlm:
    def test_readable(self, session, shown, protocol, words):
        login = ntlm(protocol=protocol, details={"workstation": "PC1", "target": {"nb_host": "EXCH"}, "mic": True, "channel_binding": False})
        assert shown(session(protocol, server_port=80, logins=[login]), "PS106") == {
            "severity": "high", "severity_reason": "", "confidence": "high", "variant": "NTLMv2",
            "title": f"Password of alice can be guessed offline: NTLM{words} to 203.0.113.5 port 80 in clear", "side": 0, "at": 300, "principal": "alice",
            "mechanism": "NTLM", "auth_result": "success",
            "evidence": {"auth_result": "success", "secret_length": "12+", "challenge_seen": True, "ntlm_version": "NTLMv2", "domain": "CORP", "workstation": "PC1",
                         "nt_length": 200, "target": {"nb_host": "EXCH"}, "mic": True, "channel_binding": False},
        }

    def test_machine_accounts_are_not_guessed(self, session, court, protocol, words):
        finding = court.finding(session(protocol, logins=[ntlm(protocol=protocol, principal="EXCH01$")]), "PS106")
        assert (finding.severity, finding.severity_reason) == ("medium", "machine account")

    def test_version_1(self, session, court, protocol, words):
        judged = session(protocol, logins=[ntlm(protocol=protocol, version="NTLMv1")])
        finding = court.finding(judged, "PS107")
        assert (finding.severity, finding.title) == ("critical", f"Password hash of alice can be computed: NTLMv1{words} to 203.0.113.5 port 25 in clear")
        assert judged.verdict == "exposed"

    def test_version_2_is_not_version_1(self, session, court, protocol, words):
        """Its LM field has 24 bytes, too."""
        assert court.verdict(session(protocol, logins=[ntlm(protocol=protocol, details={"lm_length": 24})]), "PS107") == ("pass", "")

    def test_without_the_challenge(self, session, court, protocol, words):
        login = ntlm(protocol=protocol, version="NTLMv1", details={"server_challenge_seen": False, "challenge_seen": False})
        for rule_id in ("PS106", "PS107"):
            assert court.verdict(session(protocol, logins=[login]), rule_id) == ("pass", "")
            assert court.verdict(session(protocol, logins=[login], unseen_server="gap"), rule_id) == ("not_observable", "gap")

    def test_first_message_only(self, session, court, protocol, words):
        login = ntlm(protocol=protocol, secret=None, exposure="none", principal=None, details={"ntlm_version": None, "nt_length": None, "type1_only": True})
        assert court.verdict(session(protocol, logins=[login]), "PS106") == ("pass", "")

    def test_anonymous_is_neither(self, session, court, protocol, words):
        judged = court.try_session(session(protocol, logins=[ntlm(ANONYMOUS, protocol=protocol, version="anonymous")]))
        assert {finding.rule.id for finding in judged.findings} & {"PS106", "PS107", "PS124"} == set()

    def test_failed_and_unknown(self, session, court, protocol, words):
        finding = court.finding(session(protocol, logins=[ntlm(protocol=protocol, result="failed", reason="wrong-credentials")]), "PS106")
        assert (finding.severity, finding.severity_reason) == ("medium", "login failed")
        finding = court.finding(session(protocol, logins=[ntlm(protocol=protocol, result="unknown")]), "PS106")
        assert (finding.severity, finding.confidence) == ("high", "medium")

    def test_lost(self, session, court, protocol, words):
        for rule_id in ("PS106", "PS107"):
            assert court.verdict(session(protocol, unseen_client="gap"), rule_id) == ("not_observable", "gap")
            assert court.verdict(session(protocol, unseen_server="gap"), rule_id) == ("pass", "")

    def test_names_of_the_server_are_told_once(self, session, court, protocol, words):
        login = ntlm(protocol=protocol, details={"target": {"dns_host": "exch.corp.example"}, "target_os_version": "10.0.17763"})
        finding = court.finding(session(protocol, logins=[login]), "PS120")
        assert (finding.severity, finding.variant, finding.evidence["dns_host"], finding.evidence["os_version"]) == ("low", "server", "exch.corp.example", "10.0.17763")
        assert court.verdict(session(protocol, logins=[login]), "PS120") == ("pass", "")


def test_sealed_calls_do_not_hide_the_login_before_them(rpc, court):
    """The tokens of bind and auth3 are readable at every level."""
    assert court.finding(rpc(context("emsmdb", {6: 9}, security(ntlm(), 6))), "PS106").severity == "high"


def test_ntlm_on_any_interface_is_guessable(rpc, court):
    assert court.finding(rpc(context("svcctl", {6: 9}, security(ntlm(), 6))), "PS106").variant == "NTLMv2"


def test_the_challenge_on_the_other_channel(session, court):
    """RPC over HTTP: types 1 and 3 on the IN channel, type 2 on the OUT channel that is not in the capture."""
    login = ntlm(version="NTLMv1", details={"server_challenge_seen": False, "challenge_seen": False})
    judged = session("http", http=HttpFacts(), **facts_of(association(context("emsmdb", {6: 3}, security(login, 6), transport="http"))))
    for rule_id in ("PS106", "PS107"):
        assert court.verdict(judged, rule_id) == ("not_observable", "one_sided")


def test_a_login_inside_rpc_over_http_is_no_web_login(session, court):
    judged = session("http", http=HttpFacts(), **facts_of(association(context("emsmdb", {6: 3}, security(ntlm(), 6), transport="http"))))
    assert court.finding(judged, "PS106").title.startswith("Password of alice can be guessed offline: NTLM in RPC")
    assert [finding for finding in judged.findings if finding.rule.id == "PS124"] == []


@pytest.mark.parametrize("protocol, expected", [("dcerpc", ["PS118", "PS508"]), ("ldap", ["PS118"]), ("http", ["PS118"]), ("smb", ["PS508"])])
def test_anonymous(session, court, protocol, expected):
    judged = court.try_session(session(protocol, logins=[ntlm(ANONYMOUS, protocol=protocol, version="anonymous")]))
    assert sorted(finding.rule.id for finding in judged.findings) == expected


def bind(principal=None, secret=None, **fields):
    return Login(protocol="ldap", mechanism="SIMPLE-BIND", at=10, principal=principal, secret=secret and Secret(secret), secret_at=secret and 10,
                 exposure="password" if secret else "none", result="success", **fields)


@pytest.mark.parametrize("login, fires", [
    (bind(details={"anonymous": True}), True), (bind("cn=app", details={"unauthenticated": True}), False), (bind("cn=anonymous", b"secret123"), False), (bind(None, b"secret123"), False),
])
def test_anonymous_bind(session, court, login, fires):
    verdict = court.verdict(session("ldap", server_port=389, logins=[login]), "PS118")
    assert verdict[0] == ("fail" if fires else "pass")
    if fires:
        assert court.finding(session("ldap", server_port=389, logins=[login]), "PS118").title == "Anonymous login to 203.0.113.5 port 389 (SIMPLE-BIND)"


def test_an_empty_password_is_not_a_name_alone(session, court):
    """PS116 speaks of it."""
    assert court.verdict(session("ldap", logins=[bind("cn=app", details={"unauthenticated": True})]), "PS119") == ("pass", "")


def test_name_without_a_response(session, court):
    login = ntlm(secret=None, exposure="none", details={"ntlm_version": None, "nt_length": 0})
    assert court.finding(session("dcerpc", logins=[login]), "PS119").principal == "alice"


@pytest.mark.parametrize("layer, fires", [(None, True), ("integrity", True), ("confidentiality", False)])
def test_kerberos_in_ldap(session, court, layer, fires):
    login = kerberos(protocol="ldap", details={} if layer is None else {"layer": layer})
    assert court.verdict(session("ldap", logins=[login]), "PS127")[0] == ("fail" if fires else "pass")
    assert court.verdict(session("http", logins=[kerberos(protocol="http")]), "PS127") == ("not_applicable", "")


@pytest.mark.parametrize("protocol, mechanism", [("http", "BASIC"), ("http", "FORM"), ("ldap", "SIMPLE-BIND")])
def test_weak_passwords(session, court, protocol, mechanism):
    login = Login(protocol=protocol, mechanism=mechanism, at=10, principal="alice", secret=Secret(b"Password1"), secret_at=10, exposure="password", result="success")
    finding = court.finding(session(protocol, logins=[login]), "PS126")
    assert (finding.variant, "Password1" in str(finding.evidence)) == ("common", False)
    assert finding.evidence["source_finding_id"]
