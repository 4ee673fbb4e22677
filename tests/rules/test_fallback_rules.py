"""PS205, PS308, PS903 and PS911: what one client did with one server in the course of time."""
from __future__ import annotations

import pytest

from pcapsec.records import TlsOffer
from pcapsec.rules import histories
from tests.dns_bytes import answer as answered
from tests.rules.comparisons import answer, at, clear, failed, handshake, implicit, judged, looked, number_of, refused, upgraded
from tests.rules.conftest import make_login, make_message, make_session

OTHER = {"client_name": "other.example"}
NAMELESS = {"client_name": None}


def said(findings):
    return [(one.severity, one.confidence, one.variant, one.ends.session_id) for one in findings]


# --- PS205

def test_whole_fallback():
    [one] = judged(looked(0), failed(10, alert="client:48 unknown_ca"), failed(20, alert="client:48 unknown_ca"), clear(421), clear(500), rule="PS205")
    assert (one.severity, one.confidence, one.variant, one.severity_reason, one.because_of) == ("high", "medium", "reconnect", "", None)
    assert one.title == "TLS between 198.51.100.7 and 203.0.113.5 port 25 failed (unknown_ca), then mail went there in clear"
    assert (one.capture, one.frame, one.ts_ns, one.ends.client_ip, one.ends.server_port) == ("a.pcap", 4_210_001, 1_700_000_421 * 10**9, "198.51.100.7", 25)
    assert one.evidence == {
        "session_id_tls_attempt": number_of(20), "session_id_clear": number_of(421), "attempt_time": "2023-11-14T22:13:40Z", "clear_time": "2023-11-14T22:20:21Z", "delta_s": 400,
        "failure": "unknown_ca", "server": "203.0.113.5:25", "attempt_server": "203.0.113.5:25", "domain": "b.example", "n_attempts": 2, "n_clear": 2, "client_name": "relay.example", "same_name": True, "matched_envelope": None,
        "later_tls": None, "ruled_out": ["TLS that worked in between", "another program or host behind the same address"],
        "not_ruled_out": ["another mail than the one that TLS failed for", "a fault of the server's own TLS"],
        "related_session_ids": [number_of(10), number_of(20), number_of(421), number_of(500)]}


@pytest.mark.parametrize("sessions, expected", [
    ([failed(0), clear(2)], [("high", "medium", "reconnect", number_of(2))]),
    ([failed(0), clear(3601)], [("high", "medium", "reconnect", number_of(3601))]),
    ([failed(0), clear(3602)], []),  # too late
    ([clear(0), failed(10)], []),
    ([failed(0), upgraded(5), clear(10)], []),  # TLS worked in between
    ([failed(0), clear(10), upgraded(20)], [("high", "low", "reconnect", number_of(10))]),  # a passing fault
    ([failed(0), clear(10), upgraded(5000)], [("high", "medium", "reconnect", number_of(10))]),
    ([failed(0, **OTHER), clear(10)], []),  # several programs behind one address
    ([failed(0, **NAMELESS), clear(10)], [("high", "low", "reconnect", number_of(10))]),
    ([failed(0), clear(10, **NAMELESS)], [("high", "low", "reconnect", number_of(10))]),
    ([failed(0, client_ip="192.0.2.1"), clear(10)], []),
    ([failed(0, server_ip="203.0.113.77"), clear(10)], []),
    ([refused(0), clear(10, offer=False)], [("high", "medium", "reconnect", number_of(10))]),
    ([refused(0, offer=False), clear(10, offer=False)], []),  # a server without TLS
    ([refused(0, capabilities=None, capabilities_complete=False, starttls_offered=None), clear(10, offer=False)], [("high", "medium", "reconnect", number_of(10))]),
    ([refused(0, "lmtp"), clear(10, "lmtp")], [("high", "medium", "reconnect", number_of(10))]),
    ([refused(0, code="503"), clear(10)], []),
    ([refused(0, first_clear_command="MAIL", accepted_clear_command="MAIL", messages=[make_message()])], [("high", "high", "same-connection", number_of(0))]),
    ([failed(0), looked(10)], []),  # it only looked
    ([failed(0), clear(10, encryption_required_code="530", accepted_clear_command=None)], []),
    ([failed(0), clear(10), failed(20), clear(30), clear(40)], [("high", "medium", "reconnect", number_of(10)), ("high", "medium", "reconnect", number_of(30))]),
    ([failed(0, finished=False), clear(10)], []),  # nobody saw it fail
    ([failed(0, unseen_server="gap"), clear(10)], []),
    ([failed(0, "imap", **NAMELESS), clear(10, "imap", **NAMELESS)], []),  # no mail between servers
])
def test_fallbacks(sessions, expected):
    assert said(judged(*sessions, rule="PS205")) == expected


@pytest.mark.parametrize("mails, confidence, matched", [
    (({}, {}), "high", True), (({}, {"mail_from": "other@a.example"}), "low", False), (({"rcpt_to": []}, {}), "medium", None),
])
def test_envelopes(mails, confidence, matched):
    one, other = [[make_message(**fields)] for fields in mails]
    [finding] = judged(refused(0, messages=[one[0]]), clear(10, messages=other), rule="PS205")
    assert (finding.confidence, finding.evidence["matched_envelope"]) == (confidence, matched)


MX = ("b.example. 60 IN MX 10 mx1.b.example.", "b.example. 60 IN MX 20 mx2.b.example.")
WHERE = "mx1.b.example. 60 IN A 203.0.113.5", "mx2.b.example. 60 IN A 203.0.113.6"
SECOND_MX = {"server_ip": "203.0.113.6"}


def of_b_example():
    return [answered(*MX, more=WHERE)]


def test_another_exchanger_of_the_domain():
    [one] = judged(failed(0), clear(30, **SECOND_MX), clear(40, **SECOND_MX), rule="PS205", dns=of_b_example())
    assert (one.severity, one.confidence, one.variant) == ("high", "medium", "other-exchanger")
    assert one.title == "TLS between 198.51.100.7 and 203.0.113.5 port 25 failed (closed), then mail went in clear to 203.0.113.6, another exchanger of b.example"
    assert (one.evidence["attempt_server"], one.evidence["server"], one.evidence["domain"]) == ("203.0.113.5:25", "203.0.113.6:25", "b.example")
    assert one.evidence["related_session_ids"] == [number_of(0), number_of(30)]


@pytest.mark.parametrize("sessions, expected", [
    ([failed(0), clear(30, server_ip="203.0.113.7")], []),  # no exchanger of the domain
    ([failed(0, server_ip="203.0.113.7"), clear(30, **SECOND_MX)], []),
    ([failed(0), clear(30, messages=[make_message(rcpt_to=["y@c.example"])], **SECOND_MX)], []),
    ([failed(0), upgraded(10), clear(30, **SECOND_MX)], []),
    ([failed(0), clear(3602, **SECOND_MX)], []),
    ([failed(0), clear(30, **SECOND_MX, **OTHER)], []),
    ([failed(0), clear(30, server_port=587, **SECOND_MX)], []),
    ([failed(0), clear(20), clear(30, **SECOND_MX)], ["reconnect", "other-exchanger"]),
    ([failed(0), failed(1, **SECOND_MX), clear(30, **SECOND_MX)], ["reconnect"]),
    ([refused(0, offer=False), clear(30, **SECOND_MX)], []),
])
def test_other_exchangers(sessions, expected):
    assert [one.variant for one in judged(*sessions, rule="PS205", dns=of_b_example())] == expected


def test_private_ends_are_one_step_down_once():
    inside = {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2"}
    [one] = judged(failed(0, **inside), clear(10, **inside), rule="PS205")
    assert (one.severity, one.severity_reason) == ("medium", "both ends private")


def test_answers_about_fallbacks():
    assert answer(failed(0), rule="PS205") == "pass"
    assert answer(clear(0), rule="PS205") == "not_applicable"
    assert answer(clear(0, unseen_client="midstream"), rule="PS205") == "not_observable(midstream)"


def test_many_programs_behind_one_address(monkeypatch):
    monkeypatch.setattr(histories, "MAX_NAMES", 5)
    sessions = [failed(n, client_name=f"c{n}") for n in range(10)] + [clear(20 + n, client_name=f"c{n}") for n in range(10)]
    assert [one.evidence["client_name"] for one in judged(*sessions, rule="PS205")] == [f"c{n}" for n in range(5)]


# --- PS308

def cut_off(n, **fields):
    return [failed(10 * each, **fields) for each in range(n)]


def test_whole_blocked_pattern():
    [one] = judged(*cut_off(2, reset_by=1), looked(25, starttls_requested=True, starttls_accepted=True), refused(27), failed(30, client_ip="192.0.2.9"), clear(40, **OTHER), rule="PS308")
    assert (one.severity, one.confidence, one.variant) == ("high", "medium", "smtp")
    assert one.title == "TLS with 203.0.113.5 port 25 failed 4 times and never worked, while clear text did"
    assert (one.frame, one.ts_ns) == (1, 1_700_000_000 * 10**9)
    assert one.evidence == {
        "server": "203.0.113.5:25", "n_attempts": 4, "failures": {"closed": 3, "not begun": 1}, "n_resets": 2, "n_clear": 1, "clear_session": number_of(40), "first_attempt": "2023-11-14T22:13:20Z",
        "last_attempt": "2023-11-14T22:13:50Z", "networks": ["192.0.2.0/24", "198.51.100.0/24"],
        "ruled_out": ["a refusal that the server spoke", "an alert that names its cause"], "not_ruled_out": ["a fault of the server's own TLS", "a server that was overloaded"],
        "related_session_ids": [number_of(0), number_of(10), number_of(25), number_of(30)]}


@pytest.mark.parametrize("sessions, expected", [
    (cut_off(3) + [clear(100)], ["medium"]),
    (cut_off(2) + [clear(100)], []),
    (cut_off(3), []),
    (cut_off(3) + [looked(100)], []),
    (cut_off(3) + [clear(100), upgraded(110, client_ip="192.0.2.9")], []),  # TLS works for somebody
    (cut_off(3, alert="client:48 unknown_ca") + [clear(100)], []),  # an alert names the cause
    (cut_off(3) + [failed(50, alert="server:40 handshake_failure"), clear(100)], ["low"]),
    (cut_off(3, unseen_server="gap") + [clear(100)], []),
    ([refused(n) for n in range(5)] + [clear(100)], []),
    ([looked(n, starttls_requested=True, starttls_accepted=True, reset_by=0) for n in range(3)] + [clear(100)], []),  # the client gave up
    ([looked(n, starttls_requested=True, starttls_accepted=True, reset_by=1) for n in range(3)] + [clear(100)], ["medium"]),
    (cut_off(3) + [clear(100, server_port=587)], []),
])
def test_blocked_patterns(sessions, expected):
    assert [one.confidence for one in judged(*sessions, rule="PS308")] == expected


def test_answers_about_blocked_tls():
    assert answer(failed(0), rule="PS308") == "pass"
    assert answer(upgraded(0), rule="PS308") == "pass"
    assert answer(clear(0), rule="PS308") == "not_applicable"
    assert answer(failed(0, unseen_server="snaplen"), rule="PS308") == "not_observable(snaplen)"


# --- PS903

def test_whole_regression():
    sessions = [upgraded(0), upgraded(50), clear(100, offer=False), clear(200, offer=False)]
    [one] = judged(*sessions, rule="PS903")
    assert (one.severity, one.confidence, one.variant, one.because_of) == ("high", "medium", "regressed", None)
    assert one.title == "198.51.100.7 used TLS with 203.0.113.5 port 25 before, and speaks in clear to it now"
    assert one.evidence == {
        "session_id_tls": number_of(50), "session_id_clear": number_of(100), "tls_time": "2023-11-14T22:14:10Z", "clear_time": "2023-11-14T22:15:00Z", "server": "203.0.113.5:25",
        "tls_server": "203.0.113.5:25", "client_name": "relay.example", "n_tls": 2, "n_clear": 2, "n_without_offer": 2, "n_fingerprints": 1,
        "ruled_out": ["TLS that failed at first (PS205)", "several machines behind the server's address", "a change of the client's settings"],
        "not_ruled_out": ["another program or host behind the same address", "a change of the server's settings"],
        "related_session_ids": [number_of(0), number_of(100), number_of(200)]}


@pytest.mark.parametrize("sessions, expected", [
    ([upgraded(0), clear(100)], [("high", "medium", "regressed", number_of(100))]),
    ([upgraded(0), failed(50), clear(100)], []),  # PS205 tells it
    ([upgraded(0), failed(50), clear(5000)], [("high", "medium", "regressed", number_of(5000))]),  # too long ago for that
    ([clear(0), upgraded(100)], []),  # the client learnt TLS
    ([upgraded(0), clear(100), upgraded(200)], [("high", "low", "temporary", number_of(100))]),
    ([clear(0), upgraded(100), clear(200)], []),  # PS911
    ([upgraded(0), clear(100, offer=False), upgraded(200)], [("high", "low", "temporary", number_of(100))]),
    ([upgraded(0, greeting="220 a.example"), clear(100, offer=False, greeting="220 b.example"), upgraded(200, greeting="220 a.example")], []),  # a balancer
    ([upgraded(0, greeting="220 a.example"), clear(100, offer=False, greeting="220 b.example")], [("high", "medium", "regressed", number_of(100))]),
    ([upgraded(0, greeting="220 a.example"), clear(100, greeting="220 b.example"), upgraded(200, greeting="220 a.example")], [("high", "low", "temporary", number_of(100))]),
    ([upgraded(0, greeting="220 a.example"), clear(100, offer=False, greeting="220 ******************"), upgraded(200, greeting="220 a.example")], [("high", "low", "temporary", number_of(100))]),
    ([upgraded(0), clear(100, **OTHER)], []),
    ([upgraded(0), looked(100, offer=False)], []),
    ([upgraded(0, "imap", **NAMELESS), clear(100, "imap", **NAMELESS)], [("medium", "low", "regressed", number_of(100))]),
    ([upgraded(0, "imap", **NAMELESS), clear(100, "imap", offer=False, **NAMELESS), upgraded(200, "imap", **NAMELESS)], [("medium", "low", "temporary", number_of(100))]),
    ([failed(0), clear(5000)], []),
    ([upgraded(0, greeting="220 mx.example"), clear(100, server_ip="203.0.113.99", greeting="220 mx.example")], [("high", "low", "other-address", number_of(100))]),
    ([upgraded(0, greeting="220 mx.example"), clear(100, server_ip="203.0.113.99", greeting="220 mx2.example")], []),
    ([upgraded(0, greeting="220 mx.example"), clear(100, server_ip="203.0.113.99", server_port=587, greeting="220 mx.example")], []),
    ([upgraded(0, greeting="220 mx.example"), clear(100, server_ip="203.0.113.99", greeting="220 mx.example", **OTHER)], []),
])
def test_regressions(sessions, expected):
    for one in sessions:  # without a password: no story of its own that is worse
        one.facts.logins = []
    assert said(judged(*sessions, rule="PS903")) == expected


def test_a_regression_hangs_on_a_worse_story():
    password = clear(100, server_port=587, logins=[make_login()])
    [one] = judged(upgraded(0, server_port=587), password, rule="PS903")
    assert one.because_of == [finding for finding in password.findings if finding.rule.id == "PS101"][0].finding_id
    unused = clear(100)
    [one] = judged(upgraded(0), unused, rule="PS903")
    assert one.because_of == [finding for finding in unused.findings if finding.rule.id == "PS204"][0].finding_id


def test_several_fingerprints_make_it_less_sure():
    other = handshake(offer=TlsOffer(legacy_version="TLSv1.2", ja4="t12d0002"))
    [one] = judged(upgraded(0), upgraded(10, tls=other), clear(100), rule="PS903")
    assert (one.confidence, one.evidence["n_fingerprints"]) == ("low", 2)


def test_answers_about_regressions():
    assert answer(upgraded(0), rule="PS903") == "pass"
    assert answer(clear(0), rule="PS903") == "not_applicable"
    assert answer(clear(0, unseen_client="gap"), rule="PS903") == "not_observable(gap)"


# --- PS911

def test_whole_mixture():
    sessions = [upgraded(0), clear(100), upgraded(200), clear(300)]
    [one] = judged(*sessions, rule="PS911")
    assert (one.severity, one.confidence, one.variant) == ("medium", "medium", "mixed")
    assert one.because_of == [finding for finding in sessions[1].findings if finding.rule.id == "PS204"][0].finding_id
    assert one.title == "198.51.100.7 uses the STARTTLS of 203.0.113.5 port 25 in 2 of 4 conversations"
    assert one.evidence == {
        "session_id_clear": number_of(100), "session_id_tls": number_of(0), "clear_time": "2023-11-14T22:15:00Z", "tls_time": "2023-11-14T22:13:20Z", "server": "203.0.113.5:25",
        "client_name": "relay.example", "n_tls": 2, "n_clear": 2, "n_fingerprints": 1, "ruled_out": ["a server that does not always offer TLS"],
        "not_ruled_out": ["several programs or hosts behind one address"], "related_session_ids": [number_of(0), number_of(100), number_of(300)]}


@pytest.mark.parametrize("sessions, expected", [
    ([clear(0), upgraded(100), clear(200)], [("medium", "medium", "mixed", number_of(0))]),
    ([clear(0), upgraded(100)], []),  # it learnt TLS
    ([upgraded(0), clear(100)], []),  # PS903
    ([clear(0), upgraded(100), clear(200, offer=False)], []),  # PS305
    ([clear(0), upgraded(100, **OTHER), clear(200)], []),
    ([clear(0, "imap", **NAMELESS), upgraded(100, "imap", **NAMELESS), clear(200, "imap", **NAMELESS)], [("medium", "low", "mixed", number_of(0))]),
    ([looked(0), upgraded(100), looked(200)], []),
    ([clear(0, messages=[]), upgraded(30)], [("low", "medium", "reconnected", number_of(0))]),
    ([clear(0, messages=[]), upgraded(62)], []),
    ([clear(0, messages=[]), upgraded(30, **OTHER)], []),
    ([clear(0, messages=[], **NAMELESS), upgraded(30, **NAMELESS)], []),
    ([clear(0), upgraded(30)], []),  # a mail passed
    ([clear(0, messages=[], offer=False), upgraded(30)], []),
    ([clear(0, encryption_required_code="530", accepted_clear_command=None, messages=[]), upgraded(3)], [("low", "medium", "reconnected", number_of(0))]),
])
def test_mixtures(sessions, expected):
    assert said(judged(*sessions, rule="PS911")) == expected


def test_whole_return():
    before = clear(0, messages=[])
    [one] = judged(before, upgraded(30), rule="PS911")
    assert one.because_of == [finding for finding in before.findings if finding.rule.id == "PS204"][0].finding_id
    assert one.title == "198.51.100.7 began in clear with 203.0.113.5 port 25 and came back with TLS within 30 s"
    assert one.severity_reason == "came back with TLS"
    assert one.evidence["related_session_ids"] == [number_of(0), number_of(30)]


def test_answers_about_mixtures():
    assert answer(upgraded(0), rule="PS911") == "pass"
    assert answer(clear(0, offer=False), rule="PS911") == "not_applicable"
    assert answer(implicit(0, "imaps", 993), rule="PS911") == "not_applicable"
    assert answer(make_session("imap", **{**at(0), "capabilities": ("STARTTLS",), "starttls_offered": True, "unseen_client": "one_sided"}), rule="PS911") == "pass"
