"""HTTP/1: which bytes are heads and bodies, which answer belongs to which request, and which requests become rows."""
from __future__ import annotations

import pytest
from tests.helpers import converse, dialogue, one_sided, same_however_cut, told

from pcapsec.protocols.http import HttpParser, late, probe
from pcapsec.records import CLIENT, SERVER, Handover

OWA = "C: GET /owa/ HTTP/1.1\nC: Host: mail.example\nC:\n"
OK = "S: HTTP/1.1 200 OK\nS: Content-Length: 2\nS:\nS> ok\n"
ROW = {"at": 0, "method": "GET", "host": "mail.example", "path": "/owa/", "version": "1.1", "service": "owa"}
ANSWERED = {**ROW, "status": 200, "status_at": 0, "response_bytes": 2}


def http(text: str, **keywords):
    """The HTTP facts, equal however the bytes were cut."""
    return same_however_cut(HttpParser, text, **keywords).http


def rows(text: str, **keywords) -> list[dict]:
    return [told(row) for row in http(text, **keywords).requests]


def brief(text: str, **keywords) -> list[tuple]:
    return [(row.method, row.path, row.status, row.request_bytes, row.response_bytes) for row in http(text, **keywords).requests]


# --- rows

def test_one_request_for_mail():
    assert rows(OWA + OK) == [ANSWERED]


def test_requests_that_nobody_asks_for_are_counted():
    found = http("C: GET / HTTP/1.1\nC: Host: a\nC:\n" + OK + "C: POST /api HTTP/1.1\nC: Content-Length: 3\nC:\nC> a=b\n" + OK + OWA + OK)
    assert (found.n_requests, found.n_responses, [row.path for row in found.requests]) == (3, 3, ["/owa/"])


def test_parser_counts_commands_and_replies():
    facts = converse(HttpParser, OWA + OK).facts
    assert (facts.protocol, facts.n_commands, facts.n_replies, facts.anomalies, facts.logins) == ("http", 1, 1, [], [])


def test_all_that_a_row_tells():
    assert rows(
        "C: POST http://Mail.Example:8080/owa/auth.owa?x=1 HTTP/1.1\nC: Host: other\nC: User-Agent: Tester/1\nC: Content-Type: text/XML; charset=utf-8\n"
        "C: Cookie: cadata=abc; lang=de; gone=\nC: Content-Length: 2\nC:\nC> hi\n"
        "S: HTTP/1.1 302 Found\nS: Location: HTTPS://Mail.Example:443/owa/?a=b\nS: Set-Cookie: sessionid=1; path=/\nS: Set-Cookie: old=; expires=now\nS: Content-Type: Text/HTML\n"
        "S: Content-Length: 0\nS:\n") == [{
            "at": 0, "method": "POST", "host": "mail.example", "path": "/owa/auth.owa", "version": "1.1", "status": 302, "status_at": 0, "service": "owa",
            "user_agent": "Tester/1", "location": "https://mail.example", "content_type": "text/xml", "response_type": "text/html", "request_bytes": 2,
            "cookies": ("cadata", "lang"), "set_cookies": ("sessionid",), "session_cookie": True}]


@pytest.mark.parametrize("line, service, sure", [
    ("GET /OWA/", "owa", True), ("GET /owa", "owa", True), ("GET /owa?x", "owa", True), ("GET /exchweb/bin/auth/owalogon.asp", "owa", True), ("GET /CookieAuth.dll?GetLogon", "owa", True),
    ("GET /exchange/anna/", "owa", False), ("PROPFIND /exchange/anna/Inbox", "owa", True), ("GET /exchange/anna/?Cmd=contents", "owa", True), ("SEARCH /public/x", "owa", True),
    ("POST /EWS/Exchange.asmx", "ews", True), ("GET /ecp/", "ecp", True), ("GET /oab/1/oab.xml", "oab", True), ("POST /mapi/emsmdb/?MailboxId=a", "mapi-http", True),
    ("POST /mapi/other", "mapi-http", False), ("OPTIONS /Microsoft-Server-ActiveSync", "activesync", True), ("GET /autodiscover/autodiscover.xml", "autodiscover", True),
    ("GET http://autodiscover.example/Autodiscover/Autodiscover.xml", "autodiscover", True), ("GET /rpc/rpcproxy.dll?mail:6001", "rpc-proxy", True),
    ("RPC_IN_DATA /x", "rpc-proxy", True), ("GET /webmail/", "webmail", False), ("GET /SOGo/dav/anna", "caldav", True), ("PROPFIND /.well-known/caldav", "caldav", True),
    ("PROPFIND /remote.php/dav/calendars/anna", "caldav", True), ("GET /dav/x", "caldav", False)])
def test_service_by_path_and_method(line, service, sure):
    found = http(f"C: {line} HTTP/1.1\nC: Host: a\nC:\n" + OK)
    assert [(row.service, row.service_sure) for row in found.requests] == [(service, sure)]


@pytest.mark.parametrize("line", ["GET /", "GET /owax/", "GET /x/owa/", "GET /public/app.js", "POST /rpc", "GET /.well-known/acme-challenge/x", "GET /remote.php/webdav/x", "OPTIONS *",
                                  "GET http://a", "GET http://a/x/owa", "GET /?next=/owa/", "M-SEARCH *"])
def test_paths_that_are_no_mail_service(line):
    found = http(f"C: {line} HTTP/1.1\nC: Host: a\nC:\n" + OK)
    assert (found.n_requests, found.requests) == (1, [])


def test_service_by_fields():
    found = http("C: POST /x HTTP/1.1\nC: X-RequestType: Execute\nC: Content-Type: application/mapi-http\nC: Content-Length: 0\nC:\n" + OK)
    assert [(row.service, row.request_type, row.content_type) for row in found.requests] == [("mapi-http", "Execute", "application/mapi-http")]


def test_answer_makes_the_service_sure():
    answer = "S: HTTP/1.1 200 OK\nS: X-OWA-Version: 6.5.7226\nS: Content-Length: 0\nS:\n"
    assert [row.service_sure for row in http("C: GET /exchange/ HTTP/1.1\nC:\n" + answer).requests] == [True]


@pytest.mark.parametrize("query, user, device, command", [
    ("Cmd=Sync&User=EXAMPLE%5Canna&DeviceId=ab12&DeviceType=SP", "EXAMPLE\\anna", "ab12", "Sync"),
    ("jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l", None, "v140Device", "Sync"),
    ("jRIJBAL/AAQBAgMEAlNQCARhbm5h", "anna", "ff00", "Ping"),
    ("jRIJBA", None, None, None), ("AAAAAAAA", None, None, None), ("", None, None, None)])
def test_activesync_query(query, user, device, command):
    found = http(f"C: POST /Microsoft-Server-ActiveSync?{query} HTTP/1.1\nC: Content-Length: 0\nC:\n" + OK)
    assert [(row.principal, row.device_id, row.request_type) for row in found.requests] == [(user, device, command)]


def test_query_and_path_parameters_are_left_out():
    assert [row.path for row in http("C: GET /owa/x;jsessionid=SECRET?token=SECRET HTTP/1.1\nC:\n" + OK).requests] == ["/owa/x"]


def test_mail_address_in_an_autodiscover_body():
    body = "<Autodiscover><Request><EMailAddress>anna@example.com</EMailAddress></Request></Autodiscover>"
    found = http(f"C: POST /autodiscover/autodiscover.xml HTTP/1.1\nC: Content-Type: text/xml\nC: Content-Length: {len(body)}\nC:\nC> {body}\n" + OK)
    assert [(row.email_seen, row.request_bytes) for row in found.requests] == [(True, len(body))]


def test_login_that_is_asked_for_makes_a_row():
    found = http("C: GET /secret HTTP/1.1\nC: Host: a\nC:\nS: HTTP/1.1 401 Unauthorized\nS: WWW-Authenticate: Negotiate, NTLM\n"
                 "S: www-authenticate: Basic realm=\"a, Digest b\"\nS: Content-Length: 0\nS:\n")
    assert [told(row) for row in found.requests] == [{
        "at": 0, "method": "GET", "host": "a", "path": "/secret", "version": "1.1", "status": 401, "status_at": 0, "auth_offered": ("NEGOTIATE", "NTLM", "BASIC")}]


# --- bodies

@pytest.mark.parametrize("answer, n_bytes", [
    ("S: HTTP/1.1 200 OK\nS: Transfer-Encoding: chunked\nS:\nS> 5;a=b\\r\\nhello\\r\\n003\\r\\nabc\\r\\n0\\r\\nTrailer: x\\r\\n\\r\\n\n", 8),
    ("S: HTTP/1.1 200 OK\nS: Transfer-Encoding: gzip, chunked\nS: Content-Length: 99\nS:\nS> 1\\nx\\n0\\n\\n\n", 1),
    ("S: HTTP/1.1 200 OK\nS: Content-Length: 3\nS: Content-Length: 3\nS:\nS> abc\n", 3),
    ("S: HTTP/1.1 204 No Content\nS:\n", 0), ("S: HTTP/1.1 304 Not Modified\nS: Content-Length: 99\nS:\n", 0),
    ("S: HTTP/1.1 100 Continue\nS:\nS: HTTP/1.1 103 Early Hints\nS: Link: x\nS:\nS: HTTP/1.1 200 OK\nS: Content-Length: 1\nS:\nS> x\n", 1),
    ("S> HTTP/1.1 200 OK\\nContent-Length: 2\\n\\nok\n", 2), ("S: HTTP/1.1 200\nS: Content-Length : 2\nS:\nS> ok\n", 2),
    ("S: \nS: HTTP/1.1 200 OK\nS: Content-Length:\nS:  2\nS:\nS> ok\n", 2)])
@pytest.mark.parametrize("first", [OWA, "C: GET / HTTP/1.1\nC: Host: mail.example\nC:\n"])
def test_where_an_answer_ends(first, answer, n_bytes):
    found = http(first + answer + OWA + OK)
    assert (found.n_requests, found.n_responses) == (2, 2)
    assert [row.response_bytes for row in found.requests] == ([n_bytes, 2] if first is OWA else [2])
    assert {row.status for row in found.requests} <= {200, 204, 304}


def test_answer_to_head_has_no_body():
    for path in ("/", "/owa/"):
        found = http(f"C: HEAD {path} HTTP/1.1\nC:\nS: HTTP/1.1 200 OK\nS: Content-Length: 500\nS:\n" + OWA + OK)
        assert (found.n_responses, found.requests[-1].status, found.requests[-1].response_bytes) == (2, 200, 2)


def test_body_until_close():
    assert brief(OWA + "S: HTTP/1.0 200 OK\nS:\nS> one HTTP/1.1 200 OK\nS> \\nHTTP/1.1 200 OK\\r\\n\\r\\n") == [("GET", "/owa/", 200, 0, 39)]


def test_body_that_was_not_until_close_after_all():
    found = http(OWA + "S: HTTP/1.1 200 OK\nS:\nS> some\n" + OWA + OK)
    assert [(row.status, row.response_bytes) for row in found.requests] == [(200, 4), (200, 2)]


def test_refused_body_is_not_sent():
    """A client that waits for 100 and gets a final answer goes on without its body."""
    found = http("C: POST /ews/x HTTP/1.1\nC: Content-Length: 500\nC: Expect: 100-continue\nC:\nS: HTTP/1.1 401 No\nS: Content-Length: 0\nS:\n" + OWA + OK)
    assert [(row.path, row.status, row.request_bytes) for row in found.requests] == [("/ews/x", 401, 0), ("/owa/", 200, 0)]


def test_early_answer_does_not_end_a_body():
    found = http("C: POST /ews/x HTTP/1.1\nC: Content-Length: 10\nC:\nC> POST \nS: HTTP/1.1 200 OK\nS: Content-Length: 0\nS:\nC> ABCDE\n" + OWA + OK)
    assert [(row.path, row.status, row.request_bytes) for row in found.requests] == [("/ews/x", 200, 10), ("/owa/", 200, 0)]


# --- pairing

def test_pipelined():
    turns = [(CLIENT, b"GET /owa/1 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nHEAD /owa/2 HTTP/1.1\r\n\r\nGET /ecp/ HTTP/1.1\r\n\r\n"),
             (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nxxHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 403 No\r\n"
                      b"Content-Length: 0\r\n\r\n")]
    found = same_however_cut(HttpParser, turns).http
    assert [(row.path, row.status) for row in found.requests] == [("/owa/1", 200), ("/owa/2", 200), ("/ecp/", 403)]
    assert (found.n_requests, found.n_responses) == (4, 4)


def test_lost_answer_does_not_shift_the_others():
    assert brief(OWA + "S! 60\n" + "C: GET /ecp/ HTTP/1.1\nC:\n" + OK) == [("GET", "/owa/", None, 0, 0), ("GET", "/ecp/", 200, 0, 2)]


def test_lost_request_takes_no_answer():
    found = http("C! 40\n" + OK + OWA + OK)
    assert ([row.status for row in found.requests], found.n_requests, found.n_responses) == ([200], 1, 2)


def test_bytes_lost_inside_a_body_of_known_length():
    found = same_however_cut(HttpParser, OWA + "S: HTTP/1.1 200 OK\nS: Content-Length: 100\nS:\nS> 1234\nS! 90\nS> 567890\n" + OWA + OK)
    assert [(row.status, row.response_bytes) for row in found.http.requests] == [(200, 100), (200, 2)]


@pytest.mark.parametrize("framing", ["Content-Length: 30000", "Transfer-Encoding: chunked", "Server: until-close"])
@pytest.mark.parametrize("path", ["/", "/owa/x"])
def test_dropped_rest_of_a_long_body(framing, path):
    head = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode()
    body = (b"2710\r\n" if "chunked" in framing else b"") + b"x" * 10000
    parser = HttpParser()
    request = f"GET {path} HTTP/1.1\r\n\r\n".encode()
    parser.feed(CLIENT, request, 0)
    parser.feed(SERVER, head + body, 0)
    parser.skipped(SERVER, 20000, len(head + body))
    parser.feed(CLIENT, b"GET /ecp/ HTTP/1.1\r\n\r\n", len(request))
    parser.feed(SERVER, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", len(head + body) + 20000)
    parser.finish()
    assert [(row.path, row.status) for row in parser.http.requests][-1] == ("/ecp/", 403)
    assert (parser.http.n_requests, parser.http.n_responses) == (2, 2)
    if path != "/" and "Length" in framing:
        assert parser.http.requests[0].response_bytes == 30000


# --- one side, late start

def test_client_side_alone():
    found = one_sided(HttpParser, OWA + OK + OWA + OK, CLIENT).http
    assert ([(row.path, row.status) for row in found.requests], found.n_responses) == ([("/owa/", None)] * 2, 0)


def test_server_side_alone():
    asking = "S: HTTP/1.1 401 No\nS: WWW-Authenticate: Basic realm=x\nS: Content-Length: 0\nS:\n"
    found = one_sided(HttpParser, OWA + OK + OWA + asking, SERVER).http
    assert [told(row) for row in found.requests] == [{"at": 0, "method": "", "status": 401, "status_at": 40, "auth_offered": ("BASIC",)}]
    assert (found.n_requests, found.n_responses) == (0, 2)


def test_late_start():
    text = "C> e: gzip\\r\\n\\r\\n\nS> lf a body\\r\\nHTTP/1.1 maybe\n" + OWA + OK
    found = http(text, start_seen=False)
    assert [(row.path, row.status) for row in found.requests] == [("/owa/", 200)]
    assert same_however_cut(HttpParser, text, start_seen=False).facts.anomalies == []


def test_late_start_on_a_line_of_a_body():
    text = [(CLIENT, b"some words GET /owa/ HTTP/1.1\r\n\r\nGOT /owa/ HTTP/1.1\r\n\r\nGET /owa/x HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/2.0 200 HTTP/1.1 200 OK\r\nHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n")]
    assert [(row.path, row.status) for row in same_however_cut(HttpParser, text, start_seen=False).http.requests] == [("/owa/x", 201)]


# --- what is not HTTP/1 any more

def test_http2_in_clear():
    found = same_however_cut(HttpParser, "C> PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\x04\\0\nS> \\0\\0\\x06\\x04\\0\n")
    assert (found.http.http2, found.http.n_requests, found.facts.anomalies) == (True, 0, [])


@pytest.mark.parametrize("word, http2", [("websocket", False), ("h2c", True)])
def test_upgrade(word, http2):
    parser = same_however_cut(HttpParser, f"C: GET /x HTTP/1.1\nC: Upgrade: {word}\nC: Connection: Upgrade\nC:\nS: HTTP/1.1 101 Switching\nS: Upgrade: {word}\nS:\n"
                              "S> \\x81\\x05HTTP/1.1 200 OK\\r\\n\nC> GET /owa/ HTTP/1.1\\r\\n\\r\\n")
    assert (parser.http.upgraded, parser.http.http2, parser.http.requests, parser.facts.anomalies) == (word, http2, [], [])


def test_upgrade_that_is_refused():
    assert brief("C: GET /owa/ HTTP/1.1\nC: Upgrade: h2c\nC:\n" + OK + OWA + OK) == [("GET", "/owa/", 200, 0, 2)] * 2


def test_upgrade_to_tls():
    text = dialogue("C: OPTIONS * HTTP/1.1\nC: Upgrade: TLS/1.0\nC:\nS: HTTP/1.1 101 Switching\nS: Upgrade: TLS/1.0, HTTP/1.1\nS:\nC> \\x16\\x03\\x01")
    assert converse(HttpParser, text).handover == Handover(to="tls", rest=(b"", b""), at=(40, 54))


def test_connect_inside_a_conversation():
    text = dialogue(OWA + OK + "C: CONNECT mail.example:25 HTTP/1.1\nC:\nS: HTTP/1.1 200 Established\nS:\nS> 220 hi")
    parser = converse(HttpParser, text)
    assert (parser.handover.to, parser.facts.tunnel, parser.facts.tunnel_target, parser.facts.n_commands) == ("detect", "http-connect", "mail.example:25", 2)
    whole = HttpParser()
    for side, data, at in ((CLIENT, b"CONNECT a:25 HTTP/1.1\r\n\r\nEHLO x\r\n", 0), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n220 hi\r\n", 0)):
        whole.feed(side, data, at)
    assert whole.handover == Handover(to="detect", rest=(b"EHLO x\r\n", b"220 hi\r\n"), at=(25, 19))


def test_refused_connect_goes_on_as_http():
    text = "C: CONNECT a:25 HTTP/1.1\nC:\nC> GET /owa/ HTTP/1.1\\r\\n\\r\\n\nS: HTTP/1.1 403 No\nS: Content-Length: 2\nS:\nS> no\n" + OK
    parser = same_however_cut(HttpParser, text)
    assert (parser.handover, [(row.path, row.status) for row in parser.http.requests]) == (None, [("/owa/", 200)])


@pytest.mark.parametrize("client, server, expected", [
    (b"GET / HTTP/1.1\r\n", b"", True), (b"GET /a b HTTP/1.0\n", b"", True), (b"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\n", b"", True), (b"OPTIONS * HTTP/1.1\r\n", b"", True),
    (b"PRI * HTTP/2.0\r\n\r\nSM", b"", True), (b"GET /" + b"a" * 3000, b"", True), (b"GET http://a/ HTTP/1.1\r\n", b"", True),
    (b"GET /index.html\r\n", b"", False), (b"CONNECT a:25 HTTP/1.1\r\n\r\n", b"", False), (b"OPTIONS rtsp://a RTSP/1.0\r\n", b"", False), (b"EHLO x\r\n", b"", False),
    (b"USER anna\r\n", b"", False), (b"DELE 1\r\n", b"", False), (b"\x16\x03\x01", b"", False), (b"HELLO / HTTP/1.1", b"", False), (b"INVITE sip:a@b SIP/2.0\r\n", b"", False),
    (b"GET", b"", None), (b"GET /x", b"", None), (b"GET /x HTT", b"", None), (b"RPC_CON", b"", None), (b"PRI * HT", b"", None),
    (b"", b"HTTP/1.1 200 OK\r\n", True), (b"", b"HTTP/1.1 200\r\n", True), (b"", b"HTTP/1.", None), (b"", b"HTTP/1.1 Moved ", False), (b"", b"220 x\r\n", False), (b"", b"", None),
    (b"", b"HTTP/1.1 200 Connection established\r\n\r\n", False)])
def test_probe(client, server, expected):
    assert probe(client, server) is expected


@pytest.mark.parametrize("client, server, expected", [
    (b"x\r\n\r\nGET /owa/ HTTP/1.1\r\nHost: a\r\n", b"", True), (b"", b"tail\nHTTP/1.1 200 OK\r\nServer: x\r\n", True), (b"", b"", False),
    (b"see GET /owa/ HTTP/1.1\r\nHost: a", b"", False), (b"FOO /owa/ HTTP/1.1\r\nHost: a", b"", False), (b"GET /owa/ HTTP/1.1\r\n", b"", False),
    (b"", b"HTTP/1.1 200 OK\r\n\r\n", False), (b"EHLO x\r\n", b"250 HTTP/1.1 200 OK\r\nA: b", False)])
def test_late(client, server, expected):
    assert late(client, server) is expected
