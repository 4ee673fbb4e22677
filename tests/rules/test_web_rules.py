"""PS6xx: mail services over http:// and https://."""
from __future__ import annotations

import pytest

from pcapsec.records import Certificate, HttpFacts, TlsHandshake
from pcapsec.rules.suffixes import is_suffix, registrable
from pcapsec.rules.webnames import guess
from tests.rules.test_http_login_rules import ask, http_login, web


def https(session, sni="mail.example.com", alpn="h2", **fields):
    names = fields.pop("names", ())
    certificates = (Certificate(sha256="00", dns_names=names),) if names else ()
    tls = TlsHandshake(version="TLSv1.2", sni=sni, alpn=alpn, client_hello_at=0, server_hello_at=0, established=True, certificates=certificates)
    return session("tls", **{"tls_mode": "implicit", "server_port": 443, "tls": tls, **fields})


# --- PS602 pages

def page(at=0, **fields):
    return ask(at, **{"path": "/owa/", "service": "owa", "cookies": ("UserContext",), **fields})


def test_owa_pages(court, session):
    judged = web(session, page(0, path="/owa/auth/logon.aspx"), page(500, path="/owa/", response_bytes=4000, session_cookie=True), page(900, path="/owa/", response_bytes=50),
                 page(950, status=304, response_bytes=0))
    finding = court.finding(judged, "PS602")
    assert (finding.severity, finding.confidence, finding.severity_reason, finding.variant, finding.side, finding.at) == ("high", "high", "", "owa", 0, 500)
    assert finding.title == "Pages of Outlook on the web crossed the network readable from mail.example.com (203.0.113.5) port 80"
    assert finding.evidence == {"host": "mail.example.com", "paths": ["/owa/"], "statuses": [200, 304], "n_pages": 3, "n_bytes": 4150, "cookies_sent": True, "logged_in": True}


def test_login_page_and_static_files_only(court, session):
    judged = web(session, page(0, path="/owa/auth/logon.aspx"), page(1, path="/owa/14.1.438.0/themes/resources/logon.css"), page(2, path="/owa/", status=302, response_bytes=0))
    finding = court.finding(judged, "PS602")
    assert (finding.severity, finding.severity_reason, finding.confidence) == ("low", "login page or static files only", "high")
    assert finding.evidence["paths"] == ["/owa/auth/logon.aspx", "/owa/14.1.438.0/themes/resources/logon.css"]


@pytest.mark.parametrize("fields, expected", [
    ({"cookies": ()}, ("low", "medium", "no login seen")), ({"auth_scheme": "BASIC"}, ("high", "medium", "")), ({"session_cookie": True}, ("high", "medium", "")),
])
def test_other_webmail_is_less_sure(court, session, fields, expected):
    judged = web(session, page(path="/roundcube/", service="webmail", service_sure=False, host=None, **fields))
    finding = court.finding(judged, "PS602")
    assert (finding.severity, finding.confidence, finding.severity_reason) == expected
    assert finding.title == "Pages of webmail crossed the network readable from 203.0.113.5 port 80"


def test_pages_near_misses(court, session):
    for answer in ({"status": 302, "location": "https://mail.example.com"}, {"status": 401}, {"response_bytes": 0}, {"status": None}):
        assert court.verdict(web(session, page(**answer)), "PS602") == ("pass", ""), answer
    assert court.verdict(web(session, page(status=None), unseen_server="one_sided"), "PS602") == ("not_observable", "one_sided")
    assert court.verdict(web(session, ask()), "PS602") == ("not_applicable", "")
    assert court.verdict(web(session, ask(), unseen_client="gap"), "PS602") == ("not_observable", "gap")
    assert court.verdict(session("smtp"), "PS602") == ("not_applicable", "")


# --- PS603 Autodiscover over HTTP

def probe(at=0, **fields):
    return ask(at, **{"host": "autodiscover.contoso.co.uk", "path": "/autodiscover/autodiscover.xml", "service": "autodiscover", "status": 302, "response_bytes": 0, **fields})


@pytest.mark.parametrize("fields, severity, variant, reason", [
    ({"location": "https://mail.contoso.co.uk"}, "low", "probe", "redirect probe without credentials"),
    ({"status": None}, "low", "probe", "redirect probe without credentials"),
    ({"status": 404}, "low", "probe", "redirect probe without credentials"),
    ({"location": "https://autodiscover-s.outlook.com"}, "medium", "redirect-elsewhere", "the answer leads to another organisation's name"),
    ({"location": "http://mail.contoso.co.uk"}, "medium", "redirect-http", "the answer does not lead to https"),
    ({}, "medium", "redirect-http", "the answer does not lead to https"),
    ({"status": 200, "response_bytes": 900}, "medium", "answered", "settings were given over http://"),
    ({"method": "POST", "email_seen": True, "location": "https://mail.contoso.co.uk"}, "high", "address", "a mail address was sent with it"),
    ({"auth_scheme": "NTLM", "status": 401}, "high", "login", "a login was sent with it"),
    ({"auth_scheme": "BASIC", "email_seen": True}, "critical", "login", "a login was sent with it"),
])
def test_autodiscover(court, session, fields, severity, variant, reason):
    finding = court.finding(web(session, probe(**fields)), "PS603")
    assert (finding.severity, finding.confidence, finding.variant) == (severity, "high", variant)
    assert finding.severity_reason == ("" if severity == "medium" else reason)
    assert finding.title == f"Autodiscover was asked over http:// at autodiscover.contoso.co.uk (203.0.113.5): {reason}"
    assert (finding.evidence["host"], finding.evidence["domain"], finding.evidence["method"]) == ("autodiscover.contoso.co.uk", "contoso.co.uk", fields.get("method", "GET"))


def test_the_worst_autodiscover_request_counts(court, session, login):
    given = http_login(login, principal="alice", at=700)
    judged = web(session, probe(0), probe(300, method="POST", email_seen=True), probe(700, method="POST", email_seen=True, auth_scheme="BASIC", principal="alice",
                                                                                   login=given, status=200), probe(900, auth_scheme="BASIC"))
    finding = court.finding(judged, "PS603")
    assert (finding.at, finding.principal, finding.mechanism, finding.auth_result) == (700, "alice", "BASIC", "success")
    assert finding.evidence == {"method": "POST", "email_seen": True, "host": "autodiscover.contoso.co.uk", "domain": "contoso.co.uk", "status": 200, "auth_scheme": "BASIC",
                                "principal": "alice"}


def test_autodiscover_near_misses(court, session):
    assert court.verdict(web(session, ask()), "PS603") == ("not_applicable", "")
    assert court.verdict(web(session, ask(), unseen_client="gap"), "PS603") == ("not_observable", "gap")
    assert court.verdict(session("ldap"), "PS603") == ("not_applicable", "")


# --- PS604 Autodiscover under a name of somebody else

@pytest.mark.parametrize("name, confidence", [("autodiscover.com", "medium"), ("autodiscover.co.uk", "medium"), ("autodiscover.de", "medium"), ("autodiscover.xn--p1ai", "medium"),
                                              ("autodiscover.contoso", "low")])
def test_a_name_anybody_may_register(court, session, name, confidence):
    judged = web(session, probe(0, host="autodiscover.contoso.com"), probe(200, host=name), probe(400, host=name, auth_scheme="BASIC", principal="alice"))
    finding = court.finding(judged, "PS604")
    assert (finding.severity, finding.confidence, finding.variant, finding.at, finding.principal, finding.mechanism) == ("high", confidence, "public-suffix", 400, "alice", "BASIC")
    assert finding.title == f"Autodiscover was looked for under {name}, which anybody may register"
    assert finding.evidence == {"name": name, "names": [name], "source": "http", "auth_scheme": "BASIC", "principal": "alice"}
    encrypted = court.finding(https(session, sni=name.upper()), "PS604")
    assert (encrypted.evidence, encrypted.confidence) == ({"name": name.upper(), "names": [name.upper()], "source": "tls"}, confidence)


def test_a_parent_of_ones_own_domain(make_court, session):
    court = make_court(local_domains=("mail.contoso.com", "fabrikam.com"))
    finding = court.finding(web(session, probe(host="autodiscover.contoso.com")), "PS604")
    assert (finding.variant, finding.confidence, finding.title) == ("parent", "medium", "Autodiscover was looked for under autodiscover.contoso.com, above one's own domain")
    assert court.verdict(web(session, probe(host="autodiscover.mail.contoso.com")), "PS604") == ("pass", "")
    assert court.verdict(web(session, probe(host="autodiscover.fabrikam.com")), "PS604") == ("pass", "")
    assert court.verdict(web(session, probe(host="autodiscover.partner.com")), "PS604") == ("pass", "")


@pytest.mark.parametrize("name", ["autodiscover.contoso.com", "autodiscover.outlook.com", "autodiscover.local", "autodiscover", "autodiscover.contoso.co.uk", "autodiscover.10.1.2.3"])
def test_a_name_of_somebody(court, session, name):
    assert court.verdict(web(session, probe(host=name)), "PS604") == ("pass", "")
    assert court.verdict(https(session, sni=name), "PS604") == ("pass", "")


def test_autodiscover_leak_without_a_name(court, session):
    assert court.verdict(web(session, probe(host=None), unseen_client="gap"), "PS604") == ("not_observable", "gap")
    assert court.verdict(https(session, sni=None), "PS604") == ("not_observable", "no_sni")
    assert court.verdict(https(session, sni=None, unseen_client="midstream"), "PS604") == ("not_observable", "midstream")
    assert court.verdict(https(session, sni=None, service="imaps"), "PS604") == ("not_applicable", "")
    assert court.verdict(session("imap", unseen_client="gap"), "PS604") == ("not_applicable", "")


# --- PS605 ActiveSync and the like

def test_activesync(court, session):
    common = {"path": "/Microsoft-Server-ActiveSync", "service": "activesync"}
    judged = web(session, ask(0, method="OPTIONS", status=401, **common), ask(200, method="POST", principal="alice", device_id="Appl1", request_type="Sync", auth_scheme="BASIC", **common),
                 ask(400, path="/EWS/Exchange.asmx", service="ews", method="POST"))
    finding = court.finding(judged, "PS605")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at, finding.principal) == ("high", "high", "activesync", 0, 0, "alice")
    assert finding.title == "A program used ActiveSync over http:// at mail.example.com (203.0.113.5) port 80"
    assert finding.evidence == {"host": "mail.example.com", "endpoint": "/Microsoft-Server-ActiveSync", "services": ["activesync", "ews"], "methods": ["OPTIONS", "POST"],
                                "statuses": [200, 401], "n_requests": 3, "request_type": "Sync", "user": "alice", "device_id": "Appl1", "auth_scheme": "BASIC"}


@pytest.mark.parametrize("service, sure, confidence", [("mapi-http", True, "high"), ("ews", True, "high"), ("oab", True, "high"), ("rpc-proxy", True, "high"), ("caldav", False, "medium")])
def test_programs_over_http(court, session, service, sure, confidence):
    finding = court.finding(web(session, ask(service=service, service_sure=sure, host="203.0.113.5")), "PS605")
    assert (finding.severity, finding.confidence, finding.variant) == ("high", confidence, service)
    assert finding.title.endswith(" over http:// at 203.0.113.5 port 80")
    assert court.finding(web(session, ask(service=service, service_sure=sure, status=None)), "PS605").confidence == "medium"


@pytest.mark.parametrize("fields, severity", [({}, "low"), ({"principal": "alice"}, "high"), ({"device_id": "Appl1"}, "high"), ({"auth_scheme": "NTLM"}, "high")])
def test_programs_that_were_refused(court, session, fields, severity):
    finding = court.finding(web(session, ask(service="activesync", status=401, **fields)), "PS605")
    assert (finding.severity, finding.severity_reason) == (severity, "refused, and nothing was sent that names a user" if severity == "low" else "")


def test_programs_near_misses(court, session):
    for status in (301, 302, 307, 308, 404):
        assert court.verdict(web(session, ask(service="ews", status=status)), "PS605") == ("pass", ""), status
    assert court.verdict(web(session, ask(service="ews", status=301), unseen_server="gap"), "PS605") == ("not_observable", "gap")
    assert court.verdict(web(session, ask(service="owa")), "PS605") == ("not_applicable", "")
    assert court.verdict(web(session, ask(), unseen_client="one_sided"), "PS605") == ("not_observable", "one_sided")


# --- PS606, PS607

@pytest.mark.parametrize("sni, alpn, service, score, confidence", [
    ("outlook.office365.com", "h2", "exchange-online", 1.0, "medium"), ("eur01.mail.protection.outlook.com", None, "exchange-online", 0.9, "medium"),
    ("autodiscover-s.outlook.com", None, "autodiscover", 0.9, "medium"), ("autodiscover.contoso.com", None, "autodiscover", 0.9, "medium"),
    ("Webmail.Contoso.com", "http/1.1", "webmail", 0.7, "medium"), ("red001.mail.microsoftonline.com", None, "exchange-online", 0.9, "medium"),
    ("mail.contoso.com", None, "webmail", 0.4, "low"),
])
def test_mail_web_service_by_name(court, session, sni, alpn, service, score, confidence):
    finding = court.finding(https(session, sni=sni, alpn=alpn), "PS606")
    assert (finding.severity, finding.confidence, finding.variant, finding.side, finding.at) == ("info", confidence, service, 0, 0)
    assert finding.title == f"Mail web service behind TLS: {sni}, by its name {service}"
    assert finding.evidence == {"service_guess": service, "score": score, "sni": sni, **({"alpn": alpn} if alpn else {})}


def test_mail_web_service_by_certificate(court, session):
    finding = court.finding(https(session, sni=None, alpn=None, names=("www.contoso.com", "owa.contoso.com", "autodiscover.contoso.com")), "PS606")
    assert finding.evidence == {"service_guess": "owa", "score": 0.6, "cert_sans": ["owa.contoso.com", "autodiscover.contoso.com"]}
    assert finding.title == "Mail web service behind TLS: owa.contoso.com, by its name owa"


def test_https_near_misses(court, session):
    assert court.verdict(https(session, sni="www.contoso.com"), "PS606") == ("pass", "")
    assert court.verdict(https(session, sni="mail"), "PS606") == ("pass", "")
    assert court.verdict(https(session, sni="outlook.com.evil.example"), "PS606")[0] == "fail"  # "outlook." is a name for a mail host wherever it stands
    assert court.verdict(https(session, sni="notoutlook.com"), "PS606") == ("pass", "")
    assert court.verdict(https(session, sni=None), "PS606") == ("not_observable", "no_sni")
    assert court.verdict(https(session, service="imaps", service_source="port", server_port=993), "PS606") == ("not_applicable", "")
    assert court.verdict(session("http", server_port=80), "PS606") == ("not_applicable", "")


def test_channel_binding_is_hidden_by_tls(court, session):
    assert court.verdict(https(session), "PS607") == ("not_observable", "encrypted")
    assert court.verdict(https(session, sni="www.contoso.com"), "PS607") == ("not_applicable", "")
    assert court.verdict(session("http", server_port=80), "PS607") == ("not_applicable", "")


@pytest.mark.parametrize("binding", [None, False, True])
def test_channel_binding_in_decrypted_traffic(court, session, login, binding):
    details = {"ntlm_version": "NTLMv2", "target": {"dns_host": "ex1.contoso.com"}, **({} if binding is None else {"channel_binding": binding})}
    given = http_login(login, "NTLM", principal="alice", details=details, result="unknown")
    request = ask(path="/EWS/Exchange.asmx", service="ews", auth_scheme="NTLM", principal="alice", login=given)
    judged = https(session, http=HttpFacts(requests=[request]), logins=[given])
    if binding:
        assert court.verdict(judged, "PS607") == ("pass", "")
        return
    finding = court.finding(judged, "PS607")
    assert (finding.severity, finding.confidence) == ("info", "low")
    assert finding.title == "NTLM login of alice to mail.example.com (203.0.113.5 port 443) is not bound to its TLS channel"
    assert finding.evidence == {"auth_result": "unknown", "reply_code": "200", "secret_length": "12+", "host": "mail.example.com", "path": "/EWS/Exchange.asmx", "status": 200,
                                "service": "ews", "channel_binding": False, "target": {"dns_host": "ex1.contoso.com"}}


# --- names

@pytest.mark.parametrize("name, expected", [
    ("com", True), ("de", True), ("email", True), ("xn--p1ai", True), ("local", False), ("corp", False), ("contoso", None), ("", False), ("7", False),
    ("co.uk", True), ("com.au", True), ("or.jp", True), ("gob.mx", True), ("me.uk", True), ("govt.nz", True), ("com.br", True), ("co.de", False), ("web.de", False),
    ("contoso.uk", False), ("contoso.com", False), ("id.me", False), ("a.co.uk", False), ("co.at", True),
])
def test_suffixes(name, expected):
    assert is_suffix(name) is expected


@pytest.mark.parametrize("host, expected", [
    ("mail.contoso.co.uk", "contoso.co.uk"), ("MAIL.Contoso.com.", "contoso.com"), ("contoso.com", "contoso.com"), ("localhost", "localhost"), ("10.1.2.3", "10.1.2.3"),
    ("2001:db8::1", "2001:db8::1"), ("a.b.c.d.e.org", "e.org"), ("co.uk", "co.uk"), ("", ""),
])
def test_registrable(host, expected):
    assert registrable(host) == expected


def test_names_are_remembered_within_bounds(monkeypatch):
    from pcapsec.rules import webnames

    monkeypatch.setattr(webnames, "MAX_MEMO", 3)
    assert [guess(f"owa.{n}.example") for n in range(10)] == [("owa", 0.6)] * 10
    assert len(webnames._memo) <= 3
