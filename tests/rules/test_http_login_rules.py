"""PS116, PS117 and PS122-PS125: logins in LDAP binds and HTTP requests."""
from __future__ import annotations

import pytest

from pcapsec.records import HttpFacts, HttpRequest
from pcapsec.secret import Secret

RULES = {"PS117": "BASIC", "PS122": "FORM", "PS123": "DIGEST", "PS124": "NTLM"}


def ask(at=0, **fields) -> HttpRequest:
    """A request that the server answered with a page of 100 bytes."""
    fields = {"method": "GET", "host": "mail.example.com", "path": "/", "version": "1.1", "status": 200, "status_at": at, "response_bytes": 100, **fields}
    return HttpRequest(at=at, **fields)


def web(session, *requests, **fields):
    """An HTTP session of such requests, with the logins in them."""
    logins = list({id(request.login): request.login for request in requests if request.login is not None}.values())
    return session("http", **{"server_port": 80, "http": HttpFacts(requests=list(requests), n_requests=len(requests)), "logins": logins, **fields})


def http_login(login, mechanism="BASIC", **fields):
    kind = {"DIGEST": {"exposure": "guessable", "secret": Secret(b"0123456789abcdef")}, "NTLM": {"exposure": "guessable", "secret": Secret(b"x" * 60)}}.get(mechanism, {})
    return login(mechanism, **{"protocol": "http", "at": 0, "secret_at": 0, "reply_code": "200", **kind, **fields})


def with_login(session, login, mechanism="BASIC", request=None, **fields):
    given = http_login(login, mechanism, **fields)
    return web(session, ask(**{"auth_scheme": mechanism, "principal": given.principal, "login": given, **(request or {})}))


# --- PS117 HTTP Basic

def test_basic(court, session, login):
    judged = with_login(session, login, request={"path": "/Microsoft-Server-ActiveSync", "service": "activesync", "user_agent": "Apple-iPhone", "status": 200})
    finding = court.finding(judged, "PS117")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("critical", "high", "activesync", 0, 0)
    assert finding.title == "Password of alice@example.com sent readable to mail.example.com (203.0.113.5 port 80) (HTTP Basic)"
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "12+", "host": "mail.example.com", "path": "/Microsoft-Server-ActiveSync",
                                "status": 200, "user_agent": "Apple-iPhone", "service": "activesync"}
    assert (finding.principal, finding.mechanism, finding.auth_result) == ("alice@example.com", "BASIC", "success")
    assert judged.verdict == "exposed"


def test_basic_to_a_proxy_that_refused(court, session, login):
    judged = with_login(session, login, result="failed", reason="wrong-credentials", reply_code="407",
                        request={"method": "CONNECT", "host": "mail.example.org", "path": None, "status": 407, "proxy": True})
    finding = court.finding(judged, "PS117")
    assert (finding.severity, finding.severity_reason, finding.variant) == ("high", "login failed", "proxy")
    assert finding.title.endswith("mail.example.org (203.0.113.5 port 80) (HTTP Basic to a proxy)")
    assert finding.evidence == {"auth_result": "failed", "auth_reason": "wrong-credentials", "reply_code": "407", "secret_length": "12+", "host": "mail.example.org",
                                "status": 407, "proxy": True}


def test_basic_whose_request_was_not_kept(court, session, login):
    given = http_login(login, principal="bob", at=500, secret_at=500)
    judged = web(session, ask(0, auth_scheme="BASIC", principal="alice"), logins=[given])
    finding = court.finding(judged, "PS117")
    assert (finding.title, finding.variant) == ("Password of bob sent readable to 203.0.113.5 port 80 (HTTP Basic)", "")
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "12+"}
    assert court.finding(web(session, logins=[given], http=None), "PS117").evidence == finding.evidence


def test_each_login_finds_its_own_request(court, session, login):
    logins = [http_login(login, principal=f"user{n}", at=100 * n, secret_at=100 * n) for n in range(50)]
    judged = web(session, *(ask(100 * n, path=f"/{n}", auth_scheme="BASIC", principal=f"user{n}", login=logins[n]) for n in range(50)))
    assert [finding.evidence["path"] for finding in court.findings(judged, "PS117")] == [f"/{n}" for n in range(50)]


def test_basic_without_a_password(court, session, login):
    assert court.verdict(with_login(session, login, secret=Secret(b"")), "PS117") == ("pass", "")
    assert court.verdict(with_login(session, login, secret=None, exposure="none"), "PS117") == ("pass", "")
    assert court.verdict(web(session, ask(status=401, auth_offered=("BASIC",))), "PS117") == ("pass", "")


# --- all of HTTP

@pytest.mark.parametrize("rule_id", [*RULES, "PS601"])
class TestLosses:
    def test_gap(self, court, session, rule_id):
        assert court.verdict(web(session, ask(), unseen_client="gap"), rule_id) == ("not_observable", "gap")
        assert court.verdict(web(session, unseen_server="one_sided"), rule_id) == ("pass", "")

    def test_other_protocols(self, court, session, rule_id):
        assert court.verdict(session("smtp"), rule_id) == ("not_applicable", "")
        assert court.verdict(session("ldap"), rule_id) == ("not_applicable", "")


@pytest.mark.parametrize("rule_id, mechanism", RULES.items())
def test_answer_not_seen(court, session, login, rules, rule_id, mechanism):
    finding = court.finding(with_login(session, login, mechanism, result="unknown", reply_code=None, request={"status": None}), rule_id)
    assert (finding.severity, finding.confidence) == (rules[rule_id].severity, "medium")


# --- PS122 forms

def test_form(court, session, login):
    judged = with_login(session, login, "FORM", reply_code="302", details={"fields": ["_user", "_pass"]},
                        request={"method": "POST", "path": "/roundcube/", "service": "webmail", "service_sure": False, "status": 302, "location": "http://mail.example.com"})
    finding = court.finding(judged, "PS122")
    assert (finding.severity, finding.variant) == ("critical", "webmail")
    assert finding.title == "Password of alice@example.com sent readable to mail.example.com (203.0.113.5 port 80) (web form)"
    assert finding.evidence == {"auth_result": "success", "reply_code": "302", "secret_length": "12+", "host": "mail.example.com", "path": "/roundcube/", "status": 302,
                                "location": "http://mail.example.com", "service": "webmail", "fields": ["_user", "_pass"]}
    assert court.verdict(judged, "PS601") == ("pass", "")


@pytest.mark.parametrize("path, generation", [
    ("/owa/auth.owa", "2010"), ("/OWA/Auth.OWA", "2010"), ("/owa/auth/owaauth.dll", "2007"), ("/exchweb/bin/auth/owaauth.dll", "2003"), ("/CookieAuth.dll", "proxy"),
])
def test_owa_form_is_ps601(court, session, login, path, generation):
    judged = with_login(session, login, "FORM", reply_code="302", request={"method": "POST", "path": path, "service": "owa", "status": 302})
    finding = court.finding(judged, "PS601")
    assert (finding.severity, finding.confidence, finding.variant, finding.principal) == ("critical", "high", generation, "alice@example.com")
    assert finding.title == "Password of alice@example.com sent readable to mail.example.com (203.0.113.5 port 80) (Outlook on the web, login form)"
    assert finding.evidence == {"auth_result": "success", "reply_code": "302", "secret_length": "12+", "host": "mail.example.com", "path": path, "status": 302,
                                "service": "owa", "form": generation}
    assert court.verdict(judged, "PS122") == ("pass", "")


def test_owa_form_refused_or_empty(court, session, login):
    refused = with_login(session, login, "FORM", result="failed", reason="wrong-credentials", reply_code="302", request={"path": "/owa/auth.owa", "status": 302})
    finding = court.finding(refused, "PS601")
    assert (finding.severity, finding.severity_reason) == ("high", "login failed")
    assert court.verdict(with_login(session, login, "FORM", secret=Secret(b""), request={"path": "/owa/auth.owa"}), "PS601") == ("pass", "")
    assert court.verdict(with_login(session, login, "FORM", secret=Secret(b""), request={"path": "/login"}), "PS122") == ("pass", "")


# --- PS123 Digest

def test_digest(court, session, login):
    judged = with_login(session, login, "DIGEST", principal="alice", domain="example", details={"algorithm": "SHA-256-sess", "qop": "auth", "realm": "mail"})
    finding = court.finding(judged, "PS123")
    assert (finding.severity, finding.confidence, finding.variant) == ("medium", "high", "SHA-256-sess")
    assert finding.title == "Password of alice can be guessed offline: HTTP Digest to mail.example.com (203.0.113.5 port 80) in clear"
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "12+", "host": "mail.example.com", "path": "/", "status": 200,
                                "realm": "mail", "algorithm": "SHA-256-sess", "qop": "auth"}


def test_digest_of_the_old_form_and_with_a_hashed_name(court, session, login):
    old = court.finding(with_login(session, login, "DIGEST", domain="mail", details={}), "PS123")
    assert (old.variant, old.evidence["realm"]) == ("rfc2069", "mail")
    hashed = court.finding(with_login(session, login, "DIGEST", principal="488869477bf257147b804c45308cd62ac4e25eb717b12b298c79e62dcea254ec",
                                      details={"userhash": True, "qop": "auth"}), "PS123")
    assert "an account (its name is hashed)" in hashed.title and hashed.variant == "MD5" and hashed.evidence["userhash"] is True
    assert court.verdict(with_login(session, login, "DIGEST", exposure="none", secret=None), "PS123") == ("pass", "")


# --- PS124 Negotiate and NTLM

def test_ntlm(court, session, login):
    judged = with_login(session, login, "NTLM", principal="alice", domain="CORP", request={"path": "/EWS/Exchange.asmx", "service": "ews"},
                        details={"ntlm_version": "NTLMv2", "server_challenge_seen": True, "workstation": "PC1"})
    finding = court.finding(judged, "PS124")
    assert (finding.severity, finding.confidence, finding.variant) == ("high", "high", "NTLM")
    assert finding.title == "NTLM login of alice sent readable to mail.example.com (203.0.113.5 port 80) (HTTP NTLM)"
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "12+", "host": "mail.example.com", "path": "/EWS/Exchange.asmx",
                                "status": 200, "service": "ews", "inner_mechanism": "NTLM", "domain": "CORP", "ntlm_version": "NTLMv2", "workstation": "PC1"}


def test_kerberos(court, session, login):
    judged = with_login(session, login, "NEGOTIATE", principal=None, domain="EXAMPLE.COM", exposure="ticket", secret=Secret(b"ticket"),
                        details={"spn": "HTTP/mail.example.com", "ticket_etype": 18, "realm": "EXAMPLE.COM"})
    finding = court.finding(judged, "PS124")
    assert (finding.severity, finding.variant, finding.title) == (
        "high", "KERBEROS", "A Kerberos login sent readable to mail.example.com (203.0.113.5 port 80) (HTTP Negotiate)")
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "1-7", "host": "mail.example.com", "path": "/", "status": 200,
                                "inner_mechanism": "KERBEROS", "domain": "EXAMPLE.COM", "spn": "HTTP/mail.example.com", "ticket_etype": 18}


@pytest.mark.parametrize("fields", [{"exposure": "none", "secret": None, "details": {"type1_only": True}}, {"details": {"anonymous": True}}, {"secret": Secret(b"")}])
def test_ntlm_near_misses(court, session, login, fields):
    assert court.verdict(with_login(session, login, "NTLM", **fields), "PS124") == ("pass", "")


# --- PS116 LDAP

def ldap(session, *logins, **fields):
    return session("ldap", server_port=389, logins=list(logins), **fields)


def bind(login, **fields):
    return login("SIMPLE-BIND", **{"protocol": "ldap", "principal": "cn=admin,dc=example", "at": 0, "secret_at": 0, "reply_code": "0", **fields})


def test_simple_bind(court, session, login):
    judged = ldap(session, bind(login))
    finding = court.finding(judged, "PS116")
    assert (finding.severity, finding.confidence, finding.variant, finding.mechanism) == ("critical", "high", "", "SIMPLE-BIND")
    assert finding.title == "Password of cn=admin,dc=example sent readable to 203.0.113.5 port 389 (LDAP simple bind)"
    assert finding.evidence == {"auth_result": "success", "reply_code": "0", "secret_length": "12+", "dn": "cn=admin,dc=example"}
    assert judged.verdict == "exposed"


@pytest.mark.parametrize("reason, expected", [("wrong-credentials", ("high", "high", "login failed")), ("refused", ("critical", "medium", ""))])
def test_simple_bind_that_failed(court, session, login, reason, expected):
    finding = court.finding(ldap(session, bind(login, result="failed", reason=reason, reply_code="49")), "PS116")
    assert (finding.severity, finding.confidence, finding.severity_reason) == expected


def test_unauthenticated_bind(court, session, login):
    finding = court.finding(ldap(session, bind(login, secret=None, secret_at=None, exposure="none", details={"unauthenticated": True})), "PS116")
    assert (finding.severity, finding.severity_reason, finding.variant) == ("low", "empty password", "unauthenticated")
    assert finding.title == "cn=admin,dc=example bound to 203.0.113.5 port 389 by LDAP with an empty password"
    assert finding.evidence == {"auth_result": "success", "reply_code": "0", "dn": "cn=admin,dc=example"}


def test_simple_bind_near_misses(court, session, login):
    assert court.verdict(ldap(session, bind(login, principal=None, secret=None, exposure="none", details={"anonymous": True})), "PS116") == ("pass", "")
    assert court.verdict(ldap(session, login("GSSAPI", protocol="ldap", exposure="ticket")), "PS116") == ("pass", "")
    assert court.verdict(ldap(session, unseen_client="midstream"), "PS116") == ("not_observable", "midstream")
    assert court.verdict(session("http", server_port=80), "PS116") == ("not_applicable", "")


# --- PS125 cookies

@pytest.mark.parametrize("names, kept", [
    (("cadata", "sessionid", "lang"), ["cadata", "sessionid"]), (("cadataKey", "cadataIV", "cadataSig", "X-OWA-CANARY"), ["cadataIV", "cadataKey", "cadataSig"]),
    (("MapiContext", "MapiSequence"), ["MapiContext", "MapiSequence"]), (("roundcube_sessauth", "roundcube_sessid"), ["roundcube_sessauth"]),
])
def test_session_cookies(court, session, names, kept):
    finding = court.finding(web(session, ask(path="/other"), ask(300, path="/owa/", service="owa", cookies=names, principal="alice")), "PS125")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("high", "medium", "sent", 0, 300)
    assert finding.title == "The cookie of a mail login went to mail.example.com (203.0.113.5 port 80) readable"
    assert finding.evidence == {"cookies": kept, "host": "mail.example.com", "path": "/owa/", "service": "owa", "set": False, "user": "alice"}
    assert finding.principal == "alice"


def test_session_cookie_that_was_set(court, session, login):
    given = http_login(login, "FORM", principal="bob")
    finding = court.finding(web(session, ask(path="/owa/auth.owa", service="owa", status_at=40, set_cookies=("cadata", "sessionid"), login=given)), "PS125")
    assert (finding.variant, finding.side, finding.at, finding.principal) == ("set", 1, 40, "bob")
    assert finding.title == "The cookie of a mail login came from mail.example.com (203.0.113.5 port 80) readable"
    assert finding.evidence == {"cookies": ["cadata", "sessionid"], "host": "mail.example.com", "path": "/owa/auth.owa", "service": "owa", "set": True, "user": "bob"}


def test_session_cookie_near_misses(court, session):
    page = {"path": "/owa/", "service": "owa"}
    assert court.verdict(web(session, ask(cookies=("X-OWA-CANARY", "BIGipServerpool", "sessionid"), **page)), "PS125") == ("pass", "")
    assert court.verdict(web(session, ask(cookies=("cadata",), service="other")), "PS125") == ("not_applicable", "")
    assert court.verdict(web(session, ask(**page), unseen_client="gap"), "PS125") == ("not_observable", "gap")
    assert court.verdict(web(session, ask(**page), unseen_server="one_sided"), "PS125") == ("not_observable", "one_sided")
    assert court.verdict(web(session, ask(), unseen_client="midstream"), "PS125") == ("not_observable", "midstream")


# --- PS108, PS121, PS104 and PS109 beyond mail protocols

def test_bearer(court, session, login):
    details = {"token_type": "JWT", "jwt_iss": "https://login.example", "jwt_exp": 1_800_000_000}
    judged = with_login(session, login, "BEARER", exposure="token", secret=Secret(b"eyJhbGciOi"), details=details, request={"path": "/EWS/Exchange.asmx", "service": "ews"})
    finding = court.finding(judged, "PS108")
    assert (finding.severity, finding.variant) == ("critical", "BEARER")
    assert finding.evidence == {"auth_result": "success", "reply_code": "200", "secret_length": "8-11", "host": "mail.example.com", "path": "/EWS/Exchange.asmx", "status": 200,
                                "service": "ews", "token_type": "JWT", "jwt_iss": "https://login.example", "jwt_exp": 1_800_000_000}


def test_basic_offered(court, session):
    finding = court.finding(web(session, ask(), ask(300, path="/owa/", status=401, status_at=90, auth_offered=("NTLM", "BASIC"))), "PS121")
    assert (finding.severity, finding.confidence, finding.side, finding.at) == ("medium", "high", 1, 90)
    assert finding.title == "mail.example.com (203.0.113.5 port 80) invites passwords without TLS: BASIC"
    assert finding.evidence == {"mechanisms": ["BASIC"], "host": "mail.example.com", "path": "/owa/", "proxy": False}
    assert court.verdict(web(session, ask(status=401, auth_offered=("NTLM", "DIGEST"))), "PS121") == ("pass", "")
    assert court.verdict(web(session, ask(), unseen_server="gap"), "PS121") == ("not_observable", "gap")


@pytest.mark.parametrize("rule_id, mechanism", [("PS104", "DIGEST-MD5"), ("PS109", "SCRAM-SHA-256")])
def test_ldap_sasl(court, session, login, rule_id, mechanism):
    given = login(mechanism, protocol="ldap", exposure="guessable", secret=Secret(b"r" * 32))
    assert court.finding(ldap(session, given), rule_id).title.startswith("Password of alice@example.com can be guessed offline")
