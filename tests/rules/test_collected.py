"""What is collected of all sessions for rules about captures, and PS608, which reads it."""
from __future__ import annotations

import pickle

import pytest

from pcapsec.records import Capture
from pcapsec.rules import collected as module
from pcapsec.rules import Judge
from pcapsec.rules.collected import Collected, Place
from tests.rules.test_http_login_rules import ask, web
from tests.rules.test_web_rules import https

OWA = {"path": "/owa/", "service": "owa"}


def judged(*sessions, captures=("a.pcap",)):
    """Findings of PS608 and its counts, by one judge, and by two workers whose collections travel."""
    one = Judge()
    workers = Judge(), Judge()
    for n, session in enumerate(sessions):
        one.session(session)
        session.findings = []
        workers[n % 2].session(session)
    several = Judge()
    for worker in workers[::-1]:
        several.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
    said = []
    for judge in (one, several):
        found = [finding for finding in judge.capture([Capture(name=name) for name in captures]) if finding.rule.id == "PS608"]
        assert not judge.faults, judge.fault_log
        fails, passes, na, unobservable = judge.counts["PS608"]
        said.append(([(x.title, x.severity, x.confidence, x.evidence, x.capture, x.frame, x.ts_ns, x.finding_id) for x in found],
                     {"fail": fails, "pass": passes, "not_applicable": na, "not_observable": unobservable} if judge is one else None))
        assert sum(judge.counts["PS608"][:1]) == len(found)
    assert said[0][0] == said[1][0]
    return said[0]


def counted(**counts):
    return {"fail": 0, "pass": 0, "not_applicable": 0, "not_observable": 0, **counts}


def test_both_ways_to_one_host(session):
    found, counts = judged(
        web(session, ask(500, path="/rfc", service="other"), ask(700, **OWA), ask(800, path="/ecp/", service="ecp"), ask(900, status=404, path="/x", service="owa"), session_id="aa"),
        https(session, "MAIL.example.com", session_id="bb"), web(session, ask(100, **OWA), session_id="cc", start_ns=5))
    assert counts == counted(fail=1)
    [(title, severity, confidence, evidence, capture, frame, ts_ns, finding_id)] = found
    assert (title, severity, confidence) == ("mail.example.com answers for its mail service over http:// as well as over https://", "medium", "high")
    assert evidence == {"host": "mail.example.com", "paths": ["/ecp/", "/owa/"], "statuses": [200], "n_requests": 3, "http_server": "203.0.113.5:80",
                        "https_server": "203.0.113.5:443", "http_session": "cc", "https_session": "bb"}
    assert (capture, frame, ts_ns) == ("a.pcap", 100, 100)
    assert len(finding_id) == 16


def test_without_names_the_address_is_the_host(session):
    found, _ = judged(web(session, ask(host=None, **OWA), server_ip="2001:db8::5"), https(session, None, server_ip="2001:db8::5"))
    assert [(x[0], x[3]["http_server"], x[3]["https_server"]) for x in found] == [
        ("2001:db8::5 answers for its mail service over http:// as well as over https://", "[2001:db8::5]:80", "[2001:db8::5]:443")]
    found, _ = judged(web(session, ask(**OWA)), https(session, None))
    assert [x[3]["host"] for x in found] == ["mail.example.com"]


def test_one_finding_for_each_host_in_the_capture_that_shows_it_first(session):
    names = ("b.example", "a.example")
    found, counts = judged(
        web(session, *(ask(n, host=name, **OWA) for n, name in enumerate(names))), *(https(session, name) for name in names), captures=("z.pcap", "a.pcap"))
    assert [x[3]["host"] for x in found] == ["a.example", "b.example"] and len({x[-1] for x in found}) == 2
    assert {x[4] for x in found} == {"a.pcap"}
    assert counts == counted(fail=2, not_applicable=1)


@pytest.mark.parametrize("clear, encrypted, counts", [
    ([ask(status=301, **OWA)], "mail.example.com", counted(not_applicable=1)),
    ([ask(path="/.well-known/acme-challenge/x", service="other")], "mail.example.com", counted(not_applicable=1)),
    ([ask(**OWA)], "other.example.com", counted(**{"pass": 1})),
    ([ask(**OWA)], None, counted(not_observable=1)),
])
def test_near_misses(session, clear, encrypted, counts):
    sessions = [web(session, *clear)] + ([https(session, encrypted)] if encrypted else [])
    assert judged(*sessions) == ([], counts)


def test_tls_that_proves_nothing(session):
    failed, unanswered = https(session), https(session)
    failed.tls.established, unanswered.tls.version = False, None
    imaps = https(session, service="imaps")
    assert judged(web(session, ask(**OWA)), failed, unanswered, imaps) == ([], counted(not_observable=1))


def test_everything_has_a_ceiling(monkeypatch, session):
    monkeypatch.setattr(module, "MAX_HOSTS", 3)
    collected = Collected()
    for n in range(10):
        collected.session(web(session, *(ask(at, host=f"h{n}", path=f"/owa/{at}", service="owa") for at in range(20))))
        collected.session(https(session, f"h{n}"))
    assert (len(collected.clear), len(collected.encrypted), collected.n_more) == (3, 3, 14)
    assert {len(host.paths) for host in collected.clear.values()} == {module.MAX_LISTED}
    twice = Collected()
    twice.merge(collected), twice.merge(collected)
    assert (len(twice.clear), len(twice.encrypted), twice.n_more, twice.clear["h0"].n_requests) == (3, 3, 28, 40)
    other = Collected()
    other.session(web(session, ask(host="new", **OWA))), other.session(https(session, "new"))
    twice.merge(other)
    assert (len(twice.clear), len(twice.encrypted), twice.n_more) == (3, 3, 30)


def test_the_earliest_place_is_kept(session):
    for order in (1, -1):
        collected = Collected()
        for start in (30, 10, 20)[::order]:
            collected.session(https(session, "x.example", start_ns=start, session_id=f"{start:02x}"))
        assert collected.encrypted == {"x.example": Place(10, "a.pcap", 1, "0a", "203.0.113.5:443")}
