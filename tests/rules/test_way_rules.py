"""PS904 and PS912: clear text where TLS stands ready, and mail that went on in clear."""
from __future__ import annotations

import pytest

from pcapsec.records import Facts
from tests.dns_bytes import answer as answered
from tests.rules.comparisons import answer, clear, failed, handshake, implicit, judged, looked, number_of, upgraded
from tests.rules.conftest import make_login, make_message

USER = {"client_ip": "192.0.2.50", "client_name": None}


def said(findings):
    return [(one.severity, one.confidence, one.variant, one.ends.session_id) for one in findings]


# --- PS904

def test_whole_clear_use_of_a_server_with_tls():
    password = clear(100, "imap", **USER)
    [one] = judged(implicit(50, "imaps", 993), implicit(20, "imaps", 993), password, clear(200, "imap", **USER), rule="PS904")
    assert (one.severity, one.confidence, one.variant) == ("medium", "medium", "imap")
    assert one.because_of == [finding for finding in password.findings if finding.rule.id == "PS110"][0].finding_id
    assert one.title == "192.0.2.50 uses IMAP in clear on 203.0.113.5 port 143, which has it with TLS on port 993"
    assert (one.ts_ns, one.ends.server_port) == (1_700_000_100 * 10**9, 143)
    assert one.evidence == {
        "server": "203.0.113.5:143", "tls_server": "203.0.113.5:993", "session_id_tls": number_of(20), "tls_time": "2023-11-14T22:13:40Z", "clear_time": "2023-11-14T22:15:00Z",
        "domain": None, "n_clear": 2, "related_session_ids": [number_of(100), number_of(200)]}


@pytest.mark.parametrize("tls, sessions, expected", [
    (("pop3s", 995), [clear(10, "pop3")], ["pop3"]),
    (("nntps", 563), [clear(10, "nntp")], ["nntp"]),
    (("submissions", 465), [clear(10, service="submission", server_port=587)], ["smtp"]),
    (("submissions", 465), [clear(10, service="smtp", logins=[make_login()])], ["smtp"]),
    (("submissions", 465), [clear(10, service="smtp")], []),  # mail between servers
    (("imaps", 993), [clear(10, "pop3")], []),
    (("imaps", 993), [looked(10, "imap")], []),
    (("imaps", 993), [upgraded(10, "imap")], []),
    (("imaps", 993), [clear(10, "imap", server_ip="203.0.113.6")], []),
    (("imaps", 993), [clear(10, "imap", encryption_required_code="PRIVACYREQUIRED", accepted_clear_command=None)], []),
    (("imaps", 993), [clear(10, "imap"), clear(20, "imap", client_ip="192.0.2.1"), clear(30, "imap", server_port=1143)], ["imap"] * 3),
])
def test_ports(tls, sessions, expected):
    assert [one.variant for one in judged(implicit(0, *tls), *sessions, rule="PS904")] == expected


def test_tls_that_failed_is_no_service():
    assert judged(implicit(0, "imaps", 993, tls=handshake(established=None)), clear(10, "imap"), rule="PS904") == []
    assert answer(clear(10, "imap"), rule="PS904") == "pass"
    assert answer(implicit(0, "imaps", 993), rule="PS904") == "not_applicable"
    assert answer(clear(10, "imap", first_clear_command=None, logins=[], unseen_client="gap"), rule="PS904") == "not_observable(gap)"


# --- PS912

RELAY = "203.0.113.5"


def submitted(seconds, size=20_000, **fields):
    """A mail that the relay took over TLS."""
    return upgraded(seconds, service="submission", server_port=587, bytes_client=size + 1500, **{**USER, **fields})


def relayed(seconds, size=20_000, **fields):
    """A mail that the relay sent on in clear."""
    return clear(seconds, client_ip=RELAY, server_ip="198.51.100.25", offer=False, bytes_client=size + 700, messages=[make_message(size_bytes=size)], service="smtp", **fields)


def test_whole_hop():
    second = relayed(40)
    [one] = judged(submitted(0, 90_000), submitted(10), second, rule="PS912")
    assert (one.severity, one.confidence, one.variant) == ("medium", "medium", "probable")
    assert one.because_of == [finding for finding in second.findings if finding.rule.id == "PS206"][0].because_of or one.because_of is not None
    assert one.title == "A mail that 203.0.113.5 took over TLS probably went on in clear to 198.51.100.25 port 25"
    assert one.evidence == {
        "session_id_tls": number_of(10), "session_id_clear": number_of(40), "tls_time": "2023-11-14T22:13:30Z", "clear_time": "2023-11-14T22:14:00Z", "delta_s": 30,
        "relay": "203.0.113.5", "next_server": "198.51.100.25:25", "bytes_tls": 21_500, "bytes_clear": 20_700, "size_delta": 800, "matched_envelope": None, "n_candidates": 2,
        "ruled_out": [], "not_ruled_out": ["another mail of the same size", "a mail that waited in a queue"], "related_session_ids": [number_of(10), number_of(40)]}


@pytest.mark.parametrize("sessions, expected", [
    ([submitted(0), relayed(300)], ["medium"]),
    ([submitted(0), relayed(301)], []),
    ([submitted(10), relayed(0)], []),
    ([submitted(0), relayed(30, 25_000)], []),  # another size
    ([submitted(0, 100_000), relayed(30, 97_000)], ["medium"]),
    ([submitted(0, 2000), relayed(30, 2000)], ["low"]),
    ([submitted(0, 2000), submitted(5, 2000), relayed(30, 2000)], []),  # small mails all look alike
    ([submitted(0, client_ip="198.51.100.25"), relayed(30)], []),  # back to where it came from
    ([failed(0, bytes_client=21_500), relayed(30)], []),
    ([submitted(0, server_ip="203.0.113.6"), relayed(30)], []),
    ([implicit(0, "submissions", 465, bytes_client=21_500, **USER), relayed(30)], ["medium"]),
    ([implicit(0, "imaps", 993, bytes_client=21_500, **USER), relayed(30)], []),
    ([submitted(0), relayed(30, first_clear_command="MAIL"), relayed(31, server_port=26)], ["medium", "medium"]),
    ([clear(0, server_ip=RELAY), relayed(30)], []),
])
def test_hops(sessions, expected):
    assert [one.confidence for one in judged(*sessions, rule="PS912")] == expected


def test_an_envelope_that_was_read_with_keys():
    inner = Facts(protocol="smtp", messages=[make_message(size_bytes=900)])
    [one] = judged(submitted(0, 5000, inner=inner), submitted(1, 900), relayed(30, 900), rule="PS912")
    assert (one.confidence, one.variant, one.evidence["session_id_tls"], one.evidence["matched_envelope"]) == ("high", "matched", number_of(0), True)
    assert one.title == "A mail that 203.0.113.5 took over TLS went on in clear to 198.51.100.25 port 25"
    other = Facts(protocol="smtp", messages=[make_message(mail_from="else@a.example")])
    assert judged(submitted(0, inner=other), relayed(30), rule="PS912") == []


def test_answers_about_hops():
    assert answer(submitted(0), relayed(301), rule="PS912") == "pass"
    assert answer(submitted(0), rule="PS912") == "not_applicable"
    assert answer(submitted(0), looked(10, client_ip=RELAY, server_ip="198.51.100.25", unseen_client="one_sided"), rule="PS912") == "not_observable(one_sided)"


def test_nothing_at_all():
    for rule in ("PS205", "PS305", "PS308", "PS319", "PS903", "PS904", "PS911", "PS912"):
        assert answer(rule=rule) == "not_applicable"


# --- what SRV records say

SRV = ("_imaps._tcp.example.org. 60 IN SRV 0 1 993 imap.example.org.",)
ABSENT = ("_pop3._tcp.example.org. 60 IN SRV 0 0 0 .",)


def named(seconds, protocol="imap", name="imap.example.org", **fields):
    return clear(seconds, protocol, greeting=f"{name} ready", **{**USER, **fields})


def test_whole_promise():
    [one] = judged(named(0), named(10), rule="PS904", dns=[answered(*SRV)])
    assert one.title == "192.0.2.50 uses IMAP in clear on 203.0.113.5 port 143; example.org has it with TLS on imap.example.org:993"
    assert (one.severity, one.confidence, one.variant) == ("medium", "medium", "imap-srv")
    assert one.evidence == {
        "server": "203.0.113.5:143", "tls_server": "imap.example.org:993", "session_id_tls": None, "tls_time": None, "clear_time": "2023-11-14T22:13:20Z", "domain": "example.org",
        "n_clear": 2, "related_session_ids": [number_of(0), number_of(10)]}


@pytest.mark.parametrize("sessions, expected", [
    ([named(0, "pop3", "pop.example.org")], ["pop3-not-offered"]),
    ([named(0, "pop3", "pop.example.net")], []),
    ([named(0, "pop3", "imap.example.org")], ["pop3-not-offered"]),
    ([named(0, name="mail.example.org")], []),  # another host
    ([named(0, "nntp")], []),
    ([named(0), implicit(5, "imaps", 993)], ["imap"]),  # the port was seen
    ([named(0), named(1, client_ip="192.0.2.51"), clear(2, "imap")], ["imap-srv", "imap-srv"]),
    ([upgraded(0, "imap", greeting="imap.example.org ready")], []),
])
def test_promises(sessions, expected):
    assert [one.variant for one in judged(*sessions, rule="PS904", dns=[answered(*SRV), answered(*ABSENT)])] == expected
    assert not [one for one in judged(*sessions, rule="PS904") if "-" in one.variant]
