"""PS305 and PS319: a server that offers STARTTLS in some conversations, and what may explain it."""
from __future__ import annotations

import pytest

from pcapsec.rules.offer_changes import FEWER, ONLY, OTHER, TIED, likeness
from pcapsec.rules.visits import Offer
from tests.rules.comparisons import answer, clear, implicit, judged, looked, upgraded

ELSEWHERE = {"client_ip": "192.0.2.9", "client_name": "other.example"}


def said(findings):
    return [(one.severity, one.confidence, one.variant, one.ends.session_id) for one in findings]


def test_whole_finding():
    [one] = judged(looked(0), looked(100, offer=False, **ELSEWHERE), looked(200), upgraded(300), clear(400, offer=False, **ELSEWHERE), rule="PS305")
    assert (one.severity, one.confidence, one.variant, one.severity_reason, one.because_of) == ("high", "low", "by-client", "", None)
    assert one.title == "203.0.113.5 port 25 offers STARTTLS to some clients and not to others; its own choice, or something on their way removes it"
    assert (one.capture, one.frame, one.ts_ns) == ("a.pcap", 1_000_001, 1_700_000_100 * 10**9)
    assert one.ends == ("00000000000f4240", "192.0.2.9", 40000, "203.0.113.5", 25, "smtp", None, 1_000_001, 1_000_020, "mail.example")
    assert one.evidence == {
        "server": "203.0.113.5:25", "with_session": "0000000000000000", "without_session": "00000000000f4240", "with_first": "2023-11-14T22:13:20Z", "with_last": "2023-11-14T22:18:20Z",
        "without_first": "2023-11-14T22:15:00Z", "without_last": "2023-11-14T22:20:00Z", "n_with": 3, "n_without": 2, "missing": ["STARTTLS"], "masked": [], "order": "mixed",
        "same_client": False, "networks_with": ["198.51.100.0/24"], "networks_without": ["192.0.2.0/24"],
        "ruled_out": ["bytes that the capture lacks", "a change of the server's configuration", "a server whose TLS was out of order for a while", "several clients behind one address"],
        "not_ruled_out": ["a server that treats this client differently from others", "several machines behind the server's address"],
        "related_session_ids": ["00000000000f4240", "00000000003d0900"]}


@pytest.mark.parametrize("protocol", ["smtp", "lmtp", "imap", "pop3", "nntp", "managesieve"])
def test_one_client_that_got_both_in_turn(protocol):
    assert said(judged(*(looked(n * 10, protocol, offer=n % 2 == 0) for n in range(4)), rule="PS305")) == [("high", "high", protocol, f"{100000:016x}")]


@pytest.mark.parametrize("sessions, expected", [
    ([looked(0), looked(10), looked(500, offer=False), looked(600, offer=False)], [("medium", "low", "config-change", f"{5000000:016x}")]),  # one client saw the change
    ([looked(0, offer=False), looked(10, offer=False), looked(500), looked(600)], []),  # the server learnt TLS
    ([looked(0), looked(500, offer=False, **ELSEWHERE)], [("high", "low", "by-client", f"{5000000:016x}")]),  # time or client, nobody can tell
    ([looked(0, offer=False), looked(500, **ELSEWHERE)], [("high", "low", "by-client", "0" * 16)]),
    ([looked(0), looked(10, offer=False, client_name="pc2.example"), looked(20), looked(30, offer=False, client_name="pc2.example")],
     [("high", "low", "by-client", f"{100000:016x}")]),  # several programs behind one address
])
def test_time_and_clients(sessions, expected):
    assert said(judged(*sessions, rule="PS305")) == expected


def test_the_title_of_a_change_gives_no_blame():
    [one] = judged(looked(0), looked(500, offer=False), rule="PS305")
    assert one.severity_reason == "configuration change likely" and one.title.startswith("203.0.113.5 port 25 offers STARTTLS until a moment and not since")
    assert (one.evidence["with_last"], one.evidence["without_first"], one.evidence["order"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:21:40Z", "ended")
    assert "a change of the server's configuration" in one.evidence["not_ruled_out"]


def both_ways(**fields):
    """The same client, in turn."""
    return [looked(0), looked(10, offer=False, **fields), looked(20), looked(30, offer=False, **fields)]


@pytest.mark.parametrize("fields, expected", [
    ({"greeting": "220 backend2.example ESMTP"}, []),  # another machine behind the address
    ({"greeting": "220 mail.example Exim 4.96"}, []),
    ({"capabilities": ("SIZE 10240000", "PIPELINING")}, []),  # another order
    ({"capabilities": ("PIPELINING", "SIZE 10240000", "CHUNKING")}, []),  # a word that the other does not have
    ({"capabilities": ("PIPELINING",)}, [("high", "low")]),  # further words are gone
    ({"capabilities": ("PIPELINING", "SIZE 10240000", "AUTH PLAIN")}, [("high", "medium")]),
    ({"capabilities": ("PIPELINING", "SIZE 5")}, [("high", "medium")]),
    ({"capabilities": ("PIPELINING", "SIZE 10240000", "XXXXXXXA"), "masked_tokens": ("XXXXXXXA",)}, [("high", "high")]),
    ({"capabilities_complete": False}, []),
    ({"unseen_server": "midstream", "greeting_code": None}, []),
    ({"preauth": True}, []),
    ({"server_port": 587}, []),
    ({"server_ip": "203.0.113.6"}, []),
])
def test_other_machines_and_lists_that_are_not_whole(fields, expected):
    assert [(one.severity, one.confidence) for one in judged(*both_ways(**fields), rule="PS305")] == expected


def test_a_masked_word_hangs_on_its_own_finding():
    sessions = both_ways(capabilities=("PIPELINING", "SIZE 10240000", "XXXXXXXA"), masked_tokens=("XXXXXXXA",))
    [one] = judged(*sessions, rule="PS305")
    assert one.because_of == [finding for finding in sessions[1].findings if finding.rule.id == "PS301"][0].finding_id
    assert one.evidence["masked"] == ["XXXXXXXA"]


def test_loopback_and_private():
    here = {"client_ip": "127.0.0.1", "server_ip": "127.0.0.1"}
    [one] = judged(looked(0, **here), looked(10, offer=False, **here), looked(20, **here), rule="PS305")
    assert (one.severity, one.severity_reason) == ("info", "both ends loopback")
    inside = {"client_ip": "10.0.0.1", "server_ip": "10.0.0.2"}
    [one] = judged(looked(0, **inside), looked(10, offer=False, **inside), looked(20, **inside), rule="PS305")
    assert one.severity == "high"


def test_answers():
    assert answer(looked(0), looked(10), rule="PS305") == "pass"
    assert answer(looked(0), rule="PS305") == "not_applicable"
    assert answer(implicit(0, "imaps", 993), rule="PS305") == "not_applicable"
    assert answer(clear(0, capabilities=None, capabilities_complete=False, starttls_offered=None, unseen_server="gap"), rule="PS305") == "not_observable(gap)"


def test_findings_stand_in_the_capture_of_their_first_evidence():
    found = judged(looked(0), looked(10, offer=False, capture="b.pcap"), looked(20), looked(1, server_ip="203.0.113.7"),
                   looked(5, offer=False, server_ip="203.0.113.7"), rule="PS305", captures=("b.pcap", "a.pcap", "c.pcap"))
    assert [(one.capture, one.ends.server_ip) for one in found] == [("b.pcap", "203.0.113.5"), ("a.pcap", "203.0.113.7")]


@pytest.mark.parametrize("mine, theirs, expected", [
    (("A", "STARTTLS", "B"), ("A", "B"), ONLY), (("A", "starttls", "B"), ("A", "B"), ONLY), (("A", "STARTTLS"), ("B",), OTHER), (("A", "STARTTLS", "B"), ("B",), FEWER),
    (("A", "STARTTLS", "LOGINDISABLED"), ("A", "AUTH=PLAIN", "AUTH=LOGIN"), TIED), (("A", "STARTTLS"), (), FEWER), (("STARTTLS",), (), ONLY),
])
def test_likeness(mine, theirs, expected):
    assert likeness("imap", Offer(mine, (), ()), Offer(theirs, (), ())) == expected


# --- PS319

STRONG, PLAIN = ("SCRAM-SHA-256", "PLAIN"), ("PLAIN", "LOGIN")


def downgraded(protocol="smtp", mine=STRONG, theirs=PLAIN, **fields):
    with_auth = {"auth_mechanisms": mine, "auth_mechanisms_at": 25}
    without = {"auth_mechanisms": theirs, "auth_mechanisms_at": 25, **fields}
    return [looked(0, protocol, **with_auth), looked(10, protocol, offer=False, **without), looked(20, protocol, **with_auth)]


def test_strong_logins_go_with_the_offer():
    sessions = downgraded()
    [one] = judged(*sessions, rule="PS319")
    [root] = judged(*sessions, rule="PS305")
    assert (one.severity, one.confidence, one.variant, one.because_of) == ("medium", "low", "strong-gone", root.finding_id)
    assert one.title == "Where 203.0.113.5 port 25 lacks STARTTLS it offers no strong login; elsewhere it is otherwise"
    assert one.evidence == {
        "server": "203.0.113.5:25", "with_session": "0" * 16, "without_session": f"{100000:016x}", "with_first": "2023-11-14T22:13:20Z", "without_first": "2023-11-14T22:13:30Z",
        "mechanisms_with": ["SCRAM-SHA-256", "PLAIN"], "mechanisms_without": ["PLAIN", "LOGIN"], "login_disabled": False,
        "ruled_out": ["another machine with other software", "a change of the server's configuration", "lists that differ by client"], "not_ruled_out": [],
        "related_session_ids": [f"{100000:016x}"]}


@pytest.mark.parametrize("sessions, expected", [
    (downgraded(mine=()), ["auth-in-clear"]),
    (downgraded("imap", mine=()), ["auth-in-clear"]),
    (downgraded(mine=PLAIN), []),
    (downgraded(theirs=STRONG), []),
    (downgraded(theirs=()), []),
    (downgraded() + [looked(30, auth_mechanisms=PLAIN)], []),  # the weak list stands beside an offer too
    (downgraded(greeting="220 other.example ESMTP"), []),
    ([looked(0, offer=False, auth_mechanisms=PLAIN), looked(10, auth_mechanisms=STRONG)], []),  # the server learnt TLS
    ([looked(0, auth_mechanisms=PLAIN), looked(10, auth_mechanisms=STRONG)], []),
    (downgraded("nntp"), []),
])
def test_what_goes_with_the_offer(sessions, expected):
    assert [one.variant for one in judged(*sessions, rule="PS319")] == expected


def test_logindisabled_goes_with_the_offer():
    words = ("IMAP4rev1", "IDLE", "STARTTLS", "LOGINDISABLED")
    sessions = [looked(0, "imap", capabilities=words), looked(10, "imap", offer=False), looked(20, "imap", capabilities=words)]
    [one] = judged(*sessions, rule="PS319")
    assert (one.variant, one.evidence["login_disabled"]) == ("auth-in-clear", True)
    assert answer(*sessions, rule="PS319") == "fail"
    assert answer(looked(0), looked(10), rule="PS319") == "not_applicable"
    assert answer(*both_ways(), rule="PS319") == "pass"


def test_hostile_lists():
    sessions = [looked(n, offer=n % 2 == 0, capabilities=tuple(f"{'=' * n}X{m} \udcff\x00" for m in range(n % 90)) + (("STARTTLS",) if n % 2 == 0 else ()), client_name="\x1b[31m")
                for n in range(200)]
    judged(*sessions, rule="PS305")
