"""Logins over HTTP: each scheme, its outcome, what is one login and what are several, forms, proxies."""
from __future__ import annotations

import base64
import json

import pytest
from tests.helpers import converse, one_sided, same_however_cut, told

from pcapsec.protocols.http import HttpParser
from pcapsec.protocols.http_forms import MAX_FORM_BYTES
from pcapsec.protocols.tunnel import TunnelParser
from pcapsec.records import CLIENT, SERVER
from pcapsec.secret import Secret


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def ntlm(kind: int) -> str:
    """A message of NTLM with as little in it as its grammar allows; type 3 names anna of EXAMPLE and has a 24-byte response."""
    if kind == 1:
        return b64(b"NTLMSSP\0\1\0\0\0" + (0x00088201).to_bytes(4, "little") + bytes(16))
    if kind == 2:
        return b64(b"NTLMSSP\0\2\0\0\0" + bytes(8) + (0x00088201).to_bytes(4, "little") + b"8" * 8 + bytes(16))
    fields, payload, at = b"", b"", 64
    for value in (b"\0" * 24, b"r" * 24, "EXAMPLE".encode("utf-16-le"), "anna".encode("utf-16-le"), b"", b""):
        fields += len(value).to_bytes(2, "little") * 2 + at.to_bytes(4, "little")
        payload, at = payload + value, at + len(value)
    return b64(b"NTLMSSP\0\3\0\0\0" + fields + (0x00088201).to_bytes(4, "little") + payload)


def get(authorization: str = "", *, path: str = "/", host: str = "mail.example", field: str = "Authorization") -> str:
    return f"C: GET {path} HTTP/1.1\nC: Host: {host}\n" + (f"C: {field}: {authorization}\n" if authorization else "") + "C:\n"


def answer(status: int, *fields: str) -> str:
    return f"S: HTTP/1.1 {status} x\n" + "".join(f"S: {field}\n" for field in fields) + "S: Content-Length: 0\nS:\n"


def facts(text: str, **keywords):
    return same_however_cut(HttpParser, text, **keywords).facts


def login(text: str, **keywords):
    found = facts(text, **keywords).logins
    assert len(found) == 1
    return found[0]


def test_basic():
    found = facts(get("Basic " + b64("EXAMPLE\\anna:p:w"), path="/owa/?q=1") + answer(200))
    expected = {
        "protocol": "http", "mechanism": "BASIC", "at": 0, "principal": "EXAMPLE\\anna", "secret": b"p:w", "secret_at": 0, "exposure": "password", "result": "success",
        "reply_code": "200", "details": {"n_requests": 1, "proxy": False, "host": "mail.example", "path": "/owa/", "service": "owa"}}
    assert [told(one) for one in found.logins] == [expected]
    row = found.http.requests[0]
    assert (row.auth_scheme, row.principal, row.login is found.logins[0], row.proxy) == ("BASIC", "EXAMPLE\\anna", True, False)


@pytest.mark.parametrize("status, result, reason", [
    (200, "success", None), (302, "success", None), (401, "failed", "wrong-credentials"), (403, "unknown", "forbidden"), (404, "unknown", None), (500, "unknown", None),
    (503, "unknown", "temporary"), (407, "unknown", None)])
@pytest.mark.parametrize("credentials", ["Basic YTpi", "Bearer abc", 'Digest username="a", nonce="n", uri="/", response="' + "0" * 32 + '"'])
def test_outcome_by_status(credentials, status, result, reason):
    found = login(get(credentials) + answer(status))
    assert (found.result, found.reason, found.reply_code) == (result, reason, str(status))


@pytest.mark.parametrize("status, result", [(200, "success"), (401, "success"), (404, "success"), (407, "failed"), (502, "unknown"), (504, "unknown")])
def test_outcome_at_a_proxy(status, result):
    found = facts(get("Basic YTpi", field="Proxy-Authorization") + answer(status))
    assert [(one.result, one.details["proxy"]) for one in found.logins] == [(result, True)]
    assert found.http.requests[0].proxy


def test_proxy_and_server_in_one_request():
    text = get("Basic YTpi").replace("C:\n", "C: Proxy-Authorization: Basic Yzpk\nC:\n") + answer(401, "WWW-Authenticate: Basic")
    assert [(one.principal, one.result, one.details["proxy"]) for one in facts(text).logins] == [("a", "failed", False), ("c", "success", True)]


@pytest.mark.parametrize("value, principal, secret, well_formed", [
    ("Basic " + b64("ann\u00e9:p\u00e4ss"), "ann\u00e9", "p\u00e4ss".encode(), True), ("basic  " + b64(b"ann\xe9:x"), "ann\u00e9", b"x", True),
    ("Basic YTpi\u00a0".strip("\u00a0"), "a", b"b", True), ("Basic YTpiYg", "a", b"bb", True), ("Basic " + b64("anna:"), "anna", None, True),
    ("Basic " + b64(":pw"), None, b"pw", True), ("Basic " + b64("password"), None, b"password", False)])
def test_spellings_of_basic(value, principal, secret, well_formed):
    found = login(get(value) + answer(200))
    assert (found.principal, found.secret and found.secret.reveal(), found.well_formed, found.exposure) == (principal, secret, well_formed, "password" if secret else "none")


@pytest.mark.parametrize("value, scheme, anomalies", [
    ("Basic ???", "BASIC", 1), ("Basic", "BASIC", 1), ("Basic " + b64(":"), "BASIC", 0), ("Digest realm=x", "DIGEST", 1), ("NTLM ???", "NTLM", 1), ("Bearer", "BEARER", 1),
    ("AWS4-HMAC-SHA256 Credential=x", "AWS4-HMAC-SHA256", 0), ("s3cr3t", "OTHER", 0), ("s3c/r3t x", "OTHER", 0), ("0" * 60 + " x", "OTHER", 0)])
def test_no_login_in_it(value, scheme, anomalies):
    found = facts(get(value) + answer(200))
    assert (found.logins, [row.auth_scheme for row in found.http.requests], len(found.anomalies)) == ([], [scheme], anomalies)


def test_equal_logins_are_counted():
    text = (get("Basic YTpi") + answer(200)) * 3 + get("Basic YTpj") + answer(401) + get("Basic YTpj") + answer(200) + get("Basic YTpi", host="other") + answer(200)
    found = facts(text)
    assert [(one.secret.reveal(), one.result, one.details["host"], one.details["n_requests"]) for one in found.logins] == [
        (b"b", "success", "mail.example", 3), (b"c", "failed", "mail.example", 1), (b"c", "success", "mail.example", 1), (b"b", "success", "other", 1)]
    assert [row.login for row in found.http.requests] == [found.logins[place] for place in (0, 0, 0, 1, 2, 3)]


def test_digest():
    value = ('Digest username="an\\\\"na", realm="Mail, all", nonce="abc", uri="/x?secret=1", qop=auth, nc=00000001, cnonce="d", algorithm=SHA-256, response="' + "ab" * 32 + '"')
    assert told(login(get(value) + answer(200))) == {
        "protocol": "http", "mechanism": "DIGEST", "at": 0, "principal": 'an"na', "domain": "Mail, all", "secret": b"ab" * 32, "secret_at": 0, "exposure": "guessable",
        "result": "success", "reply_code": "200",
        "details": {"realm": "Mail, all", "qop": "auth", "algorithm": "SHA-256", "challenge_seen": True, "digest_uri": "/x", "n_requests": 1, "proxy": False,
                    "host": "mail.example", "path": "/", "service": "other"}}


def test_digest_of_rfc_2069_and_hashed_or_encoded_names():
    tail = ', realm="r", nonce="n", uri="/", response="' + "0" * 32 + '"'
    assert login(get('Digest username="a"' + tail) + answer(200)).details["qop"] is None
    assert login(get('Digest username="0f0f", userhash=true' + tail) + answer(200)).details["userhash"] is True
    assert login(get("Digest username*=UTF-8''ann%C3%A9" + tail) + answer(200)).principal == "ann\u00e9"


def test_digest_answers_differ_in_each_request():
    text = "".join(get(f'Digest username="a", realm="r", nonce="n", uri="/{n}", nc={n}, response="{n:032x}"') + answer(200) for n in range(5))
    assert login(text).details["n_requests"] == 5


def jwt(payload: dict) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, payload)) + ".c2ln"


def test_bearer():
    token = jwt({"iss": "https://login.example", "aud": ["a", "b"], "exp": 1700000000, "upn": "anna@example.com"})
    found = login(get("Bearer " + token, path="/EWS/Exchange.asmx") + answer(200))
    assert (found.mechanism, found.principal, found.secret, found.exposure) == ("BEARER", "anna@example.com", Secret(token.encode()), "token")
    assert {key: found.details[key] for key in ("token_type", "jwt_iss", "jwt_aud", "jwt_exp", "service")} == {
        "token_type": "JWT", "jwt_iss": "https://login.example", "jwt_aud": "a b", "jwt_exp": 1700000000, "service": "ews"}
    assert login(get("Bearer opaque") + answer(401)).details["token_type"] == "opaque"


def test_token_without_a_scheme_is_never_shown():
    found = facts(get(jwt({"sub": "x"})) + answer(200))
    assert ([row.auth_scheme for row in found.http.requests], [(one.mechanism, one.exposure) for one in found.logins]) == (["BEARER"], [("BEARER", "token")])


# --- NTLM and Negotiate

DANCE = (get() + answer(401, "WWW-Authenticate: NTLM", "WWW-Authenticate: Basic realm=x") + get("NTLM " + ntlm(1)) + answer(401, "WWW-Authenticate: NTLM " + ntlm(2)) + get("NTLM " + ntlm(3)))


@pytest.mark.parametrize("status, result, reason", [(200, "success", None), (401, "failed", "wrong-credentials"), (403, "unknown", "forbidden"), (302, "unknown", None)])
def test_ntlm(status, result, reason):
    found = facts(DANCE + answer(status, "WWW-Authenticate: NTLM"))
    assert [(one.mechanism, one.principal, one.domain, one.exposure, one.result, one.reason, one.details["ntlm_version"], one.details["challenge_seen"])
            for one in found.logins] == [("NTLM", "anna", "EXAMPLE", "guessable", result, reason, "NTLMv1", True)]
    assert [(row.status, row.auth_scheme, row.principal, row.login is not None) for row in found.http.requests] == [
        (401, None, None, False), (401, "NTLM", None, False), (status, "NTLM", "anna", True)]


def test_ntlm_towards_a_proxy_under_negotiate():
    text = (get("Negotiate " + ntlm(1), field="Proxy-Authorization") + answer(407, "Proxy-Authenticate: Negotiate " + ntlm(2))
            + get("Negotiate " + ntlm(3), field="Proxy-Authorization") + answer(404))
    found = login(text)
    assert (found.mechanism, found.principal, found.result, found.details["proxy"]) == ("NTLM", "anna", "success", True)


def test_requests_behind_ntlm_belong_to_its_account():
    found = facts(DANCE + answer(200) + get(path="/owa/") + answer(200)).http.requests[-1]
    assert (found.path, found.principal, found.auth_scheme, found.login) == ("/owa/", "anna", None, None)
    assert facts(DANCE + answer(401) + get(path="/owa/") + answer(200)).http.requests[-1].principal is None


def test_ntlm_whose_challenge_was_lost():
    found = login(get("NTLM " + ntlm(1)) + "S! 200\n" + get("NTLM " + ntlm(3)) + answer(200))
    assert (found.principal, found.result, found.details["challenge_seen"]) == ("anna", "success", False)


def test_ntlm_twice_on_one_connection_is_one_login():
    assert login(DANCE + answer(200) + DANCE + answer(200)).details["n_requests"] == 2


def test_ntlm_again_after_a_failure():
    assert [one.result for one in facts(DANCE + answer(401, "WWW-Authenticate: NTLM") + DANCE + answer(200)).logins] == ["failed", "success"]


def test_first_message_alone_is_no_login():
    found = facts(get("NTLM " + ntlm(1)) + answer(401, "WWW-Authenticate: NTLM"))
    assert [(one.mechanism, one.exposure, one.result, one.details["type1_only"]) for one in found.logins] == [("NTLM", "none", "unknown", True)]


def test_ntlm_client_side_alone():
    found = one_sided(HttpParser, DANCE + answer(200), CLIENT).facts.logins
    assert [(one.principal, one.result, one.details["challenge_seen"]) for one in found] == [("anna", "unknown", False)]
    assert one_sided(HttpParser, DANCE + answer(200), SERVER).facts.logins == []


# --- forms

def post(body: str, *, path: str = "/login", kind: str = "application/x-www-form-urlencoded", length: int | None = None) -> str:
    shown = body.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
    return f"C: POST {path} HTTP/1.1\nC: Host: h\nC: Content-Type: {kind}\nC: Content-Length: {len(body.encode()) if length is None else length}\nC:\nC> {shown}\n"


MULTIPART = '--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nanna\r\n--b\r\ncontent-disposition: form-data; name=pass; x=y\r\nContent-Type: text/plain\r\n\r\np\r\nw\r\n--b--\r\n'


@pytest.mark.parametrize("body, kind, principal, secret, fields", [
    ("username=EX%5Canna&password=p%26w+x", "application/x-www-form-urlencoded", "EX\\anna", b"p&w x", ["username", "password"]),
    ("a=b&_user=anna@x&_pass=pw", "application/x-www-form-urlencoded; charset=utf-8", "anna@x", b"pw", ["_user", "_pass"]),
    ("login_username=anna&secretkey=pw", "application/x-www-form-urlencoded", "anna", b"pw", ["login_username", "secretkey"]),
    ("email=a%40b&Passwd=pw&password=", "application/x-www-form-urlencoded", "a@b", b"pw", ["email", "Passwd"]),
    (MULTIPART, "multipart/form-data; boundary=b", "anna", b"p\r\nw", ["user", "pass"]),
    ('{"userName": "anna", "password": "p\\u00e4"}', "application/json", "anna", "p\u00e4".encode(), ["userName", "password"]),
    ('{"data": {"email": "a@b", "user_password": "x"}}', "application/json", "a@b", b"x", ["email", "user_password"])])
def test_forms(body, kind, principal, secret, fields):
    found = facts(post(body, kind=kind) + answer(200))
    assert [told(one) for one in found.logins] == [{
        "protocol": "http", "mechanism": "FORM", "at": 0, "principal": principal, "secret": secret, "secret_at": len(HEAD) + len(kind) + len(str(len(body.encode()))), "exposure": "password",
        "reply_code": "200", "details": {"form": {"a": "json"}.get(kind[12:13], "json") if "json" in kind else "multipart" if "multi" in kind else "urlencoded", "fields": fields,
                                         "n_requests": 1, "proxy": False, "host": "h", "path": "/login", "service": "other"}}]
    assert [(row.auth_scheme, row.principal, row.request_bytes) for row in found.http.requests] == [("FORM", principal, len(body.encode()))]


HEAD = "POST /login HTTP/1.1\r\nHost: h\r\nContent-Type: \r\nContent-Length: \r\n\r\n"


@pytest.mark.parametrize("body, kind", [
    ("q=password", "application/x-www-form-urlencoded"), ("username=a&password=", "application/x-www-form-urlencoded"), ("password=x", "application/x-www-form-urlencoded"),
    ("username=a&bypass=1", "application/x-www-form-urlencoded"), ("username=a&password=b", "text/plain"), ('{"username": "a", "password": true}', "application/json"),
    ('{"username": "a", "password": "b"', "application/json"), ("[" * 500 + "pass", "application/json"), (MULTIPART, "multipart/form-data"),
    ('{"a":' * 50 + '{"username": "a", "password": "b"}' + "}" * 50, "application/json")])
def test_bodies_without_a_login(body, kind):
    found = facts(post(body, kind=kind) + answer(200))
    assert (found.logins, found.http.requests, found.http.n_requests, found.http.n_responses) == ([], [], 1, 1)


def test_form_that_is_cut_loses_its_last_field():
    assert facts(post("username=anna&password=secr", length=40) + "C! 13\n" + answer(200)).logins == []
    found = login(post("username=anna&password=secret&x=", length=60) + "C! 28\n" + answer(200))
    assert (found.secret, found.result) == (Secret(b"secret"), "unknown")
    parser = converse(HttpParser, post("username=anna&password=secr", length=40))
    assert parser.facts.logins == []


def test_long_form_is_read_as_far_as_it_is_kept():
    body = "username=anna&password=pw&x=" + "y" * MAX_FORM_BYTES
    found = converse(HttpParser, post(body) + answer(200)).facts
    assert [(one.principal, one.secret) for one in found.logins] == [("anna", Secret(b"pw"))]
    assert found.http.requests[0].request_bytes == len(body)


def test_answer_before_the_form_is_over():
    found = login("C: POST /owa/auth.owa HTTP/1.1\nC: Content-Length: 21\nC:\nC> username=a&\n" + answer(302, "Set-Cookie: cadata=x") + "C> password=b\n")
    assert (found.principal, found.result) == ("a", "success")


FBA = "destination=http%3A%2F%2Fh%2Fowa&flags=0&username=EX%5Canna&password=pw&isUtf8=1"


@pytest.mark.parametrize("path, fields, result, reason", [
    ("/owa/auth.owa", ["Location: http://h/owa/", "Set-Cookie: cadata=x; path=/"], "success", None),
    ("/owa/auth/owaauth.dll", ["Location: http://h/owa/auth/logon.aspx?url=x&reason=2"], "failed", "wrong-credentials"),
    ("/exchweb/bin/auth/owaauth.dll", ["Set-Cookie: sessionid=1", "Set-Cookie: cadata=\"2x\""], "success", None),
    ("/CookieAuth.dll?Logon", ["Location: /CookieAuth.dll?GetLogon?url=%2F&reason=2&formdir=3"], "failed", "wrong-credentials"),
    ("/owa/auth.owa", ["Location: http://h/owa/auth/logon.aspx?reason=4"], "unknown", None), ("/owa/auth.owa", ["Set-Cookie: cadata=; path=/"], "unknown", None),
    ("/webmail/?_task=login", ["Set-Cookie: roundcube_sessauth=x"], "success", None), ("/login", ["Location: /home"], "unknown", None)])
def test_outcome_of_forms(path, fields, result, reason):
    found = login(post(FBA, path=path) + answer(302, *fields))
    assert (found.principal, found.result, found.reason) == ("EX\\anna", result, reason)


def test_password_alone_is_enough_where_the_path_says_login():
    assert login(post("password=pw", path="/owa/auth.owa") + answer(302)).principal is None


# --- CONNECT

def connect(authorization: str = "") -> str:
    return "C: CONNECT mail.example:143 HTTP/1.1\n" + (f"C: Proxy-Authorization: {authorization}\n" if authorization else "") + "C:\n"


def test_login_at_the_proxy_of_a_tunnel():
    text = connect("Basic YTpi") + "S: HTTP/1.1 407 Again\nS: Proxy-Authenticate: Basic\nS: Content-Length: 2\nS:\nS> no\n" + connect("Basic Yzpk") + "S: HTTP/1.1 200 Ok\nS:\nS: * OK IMAP\n"
    parser = converse(TunnelParser, text)
    assert (parser.handover.to, parser.facts.tunnel) == ("detect", "http-connect")
    assert [(one.protocol, one.principal, one.result, one.details["proxy"], one.details["host"]) for one in parser.facts.logins] == [
        ("http", "a", "failed", True, "mail.example"), ("http", "c", "success", True, "mail.example")]
    assert [(row.method, row.path, row.status) for row in parser.facts.http.requests] == [("CONNECT", "mail.example:143", 407), ("CONNECT", "mail.example:143", 200)]


def test_login_at_the_proxy_that_refuses():
    parser = converse(TunnelParser, connect("Basic YTpi") + answer(403))
    assert (parser.handover, parser.failed, [one.principal for one in parser.facts.logins]) == (None, True, ["a"])
    assert converse(TunnelParser, connect() + answer(403)).facts.http is None


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_answer_makes_no_second_login(lost):
    request = b"GET /ews/ HTTP/1.1\r\nHost: mail.example\r\nAuthorization: Basic dTpw\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    parser = HttpParser(start_seen=True, server_port=80)
    for number in range(2):
        parser.feed(CLIENT, request, number * len(request))
        if number == lost:
            parser.gap(SERVER, len(answer), number * len(answer))
        else:
            parser.feed(SERVER, answer, number * len(answer))
    parser.finish()
    assert [(login.principal, login.result, login.reply_code, login.details["n_requests"]) for login in parser.facts.logins] == [("u", "success", "200", 2)]
