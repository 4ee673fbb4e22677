"""Whole HTTP conversations through the real parser: which findings each of them gives, and which it must not."""
from __future__ import annotations

import base64

import pytest

from tests.rules.test_dialogues import judged

BASIC = base64.b64encode(b"CORP\\alice:correct horse").decode()
FORM = "destination=http%3A%2F%2Fmail.example%2Fowa%2F&flags=0&username=CORP%5Calice&password={}&isUtf8=1"


def ask(line: str, *fields: str, body: str = "") -> str:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "".join(f"C: {text}\n" for text in (f"{line} HTTP/1.1", "Host: mail.example", *fields, *length, "")) + (f"C> {body}\n" if body else "")


def answer(status: int, *fields: str, body: str = "hello") -> str:
    body = "" if status == 304 else body
    return "".join(f"S: {text}\n" for text in (f"HTTP/1.1 {status} Word", *fields, f"Content-Length: {len(body)}", "")) + (f"S> {body}\n" if body else "")


def owa_form(path: str, password: str = "correct+horse") -> str:
    return ask(f"POST {path}", "Content-Type: application/x-www-form-urlencoded", body=FORM.format(password))


CASES = {
    "OWA 2010": (ask("GET /owa/auth/logon.aspx?replaceCurrent=1") + answer(200) + owa_form("/owa/auth.owa")
                 + answer(302, "Location: http://mail.example/owa/", "Set-Cookie: sessionid=1; path=/", "Set-Cookie: cadata=abc; HttpOnly", body="")
                 + ask("GET /owa/", "Cookie: sessionid=1; cadata=abc") + answer(200), "exposed", {"PS601": "critical", "PS602": "high", "PS125": "high"}),
    "OWA 2010, wrong password": (owa_form("/owa/auth.owa") + answer(302, "Location: http://mail.example/owa/auth/logon.aspx?url=x&reason=2", body=""), "exposed", {"PS601": "high"}),
    "OWA 2003": (owa_form("/exchweb/bin/auth/owaauth.dll") + answer(302, "Location: http://mail.example/exchange/", "Set-Cookie: cadata=a; path=/", body=""), "exposed",
                 {"PS601": "critical", "PS125": "high"}),
    "TMG": (owa_form("/CookieAuth.dll?Logon") + answer(302, "Location: http://mail.example/owa/", "Set-Cookie: cadata=a", body=""), "exposed",
            {"PS601": "critical", "PS125": "high"}),
    "OWA, nothing typed": (owa_form("/owa/auth.owa", "") + answer(302, "Location: http://mail.example/owa/auth/logon.aspx?reason=2", body=""), "weak", {}),
    "sent to https at once": (ask("GET /owa/") + answer(301, "Location: https://mail.example/owa/", body=""), "weak", {}),
    "ActiveSync": (ask("OPTIONS /Microsoft-Server-ActiveSync") + answer(401, 'WWW-Authenticate: Basic realm="mail"')
                   + ask("POST /Microsoft-Server-ActiveSync?Cmd=Sync&User=alice&DeviceId=Appl1&DeviceType=iPhone", f"Authorization: Basic {BASIC}") + answer(200), "exposed",
                   {"PS117": "critical", "PS121": "medium", "PS605": "high"}),
    "EWS refused": (ask("POST /EWS/Exchange.asmx", body="<soap/>") + answer(401, "WWW-Authenticate: NTLM"), "weak", {"PS605": "low"}),
    "Autodiscover probe": (ask("GET /autodiscover/autodiscover.xml") + answer(302, "Location: https://mail.example/autodiscover/autodiscover.xml", body=""), "weak", {"PS603": "low"}),
    "Autodiscover with an address": (ask("POST /autodiscover/autodiscover.xml", "Content-Type: text/xml", body="<EMailAddress>alice@corp.example</EMailAddress>") + answer(404), None,
                                     {"PS603": "high"}),
    "Autodiscover with a password": (ask("POST /autodiscover/autodiscover.xml", f"Authorization: Basic {BASIC}", body="<EMailAddress>a@corp.example</EMailAddress>") + answer(200),
                                     "exposed", {"PS117": "critical", "PS603": "critical"}),
    "Roundcube": (ask("GET /roundcube/") + answer(200, "Set-Cookie: roundcube_sessid=x"), None, {"PS602": "low"}),
    "Digest": (ask("GET /dav/", 'Authorization: Digest username="alice", realm="mail", nonce="n1", uri="/dav/", response="0123456789abcdef0123456789abcdef", qop=auth, nc=1, cnonce="c"',
                   ) + answer(207), "exposed", {"PS123": "medium", "PS605": "high"}),
    "Bearer": (ask("POST /EWS/Exchange.asmx", "Authorization: Bearer " + "a" * 40, body="<soap/>") + answer(200), "exposed", {"PS108": "critical", "PS602": "high", "PS605": "high"}),
}


@pytest.mark.parametrize("name", CASES)
def test_dialogue(court, session, name):
    text, verdict, expected = CASES[name]
    made = judged(court, session, "http", 80, text)
    assert {finding.rule.id: finding.severity for finding in made.findings} == expected
    assert verdict is None or made.verdict == verdict
    assert [rule_id for rule_id, verdict, _ in made.assessments if verdict == "fail"] == sorted(expected)


def test_the_place_is_that_of_the_request(court, session):
    made = judged(court, session, "http", 80, CASES["ActiveSync"][0])
    places = {finding.rule.id: made.locate(finding.side, finding.at)[1] for finding in made.findings}
    assert {rule_id: frame for rule_id, frame in places.items()} == {"PS117": places["PS117"], "PS605": 1, "PS121": places["PS121"]}
    assert places["PS605"] < places["PS121"] < places["PS117"]


def test_server_side_missing(court, session):
    for name in CASES:
        client_only = "\n".join(line for line in CASES[name][0].splitlines() if line.startswith("C"))
        made = judged(court, session, "http", 80, client_only, unseen_server="one_sided", bytes_server=0, packets_server=0)
        verdicts = {rule_id: (verdict, reason) for rule_id, verdict, reason in made.assessments}
        assert verdicts["PS602"] in (("not_observable", "one_sided"), ("not_applicable", "")), name
        assert verdicts["PS121"] == ("not_observable", "one_sided"), name
        assert [finding.rule.id for finding in made.findings if finding.confidence == "high" and finding.rule.id not in ("PS001", "PS603")] == [], name
