"""What a run is worse in than a baseline: PS305, PS319, PS429 and PS903 against earlier captures."""
from __future__ import annotations

import dataclasses
import pickle

import pytest

from pcapsec.records import Capture, Certificate
from pcapsec.rules import Judge
from pcapsec.rules.remembered import Remembered
from pcapsec.rules.remembering import gather
from tests.rules.comparisons import _plain, clear, handshake, implicit, looked, upgraded
from tests.rules.conftest import check_finding

DAY = 86_400
NOW_NS = 1_800_000_000 * 10**9
GONE = {"greeting": "220 other.example"}


def remembered(*runs) -> Remembered:
    """What runs leave behind, merged as a file does it."""
    known: dict = {}
    for sessions in runs:
        judge = Judge()
        for session in sessions:
            session.capture = "old/monday.pcap"
            session.findings = []
            judge.session(session)
        for row in gather(judge.site.collected, NOW_NS).rows():
            n_key = 3 if row.__class__.__name__ == "VersionSeen" else 4
            key, other = (row.__class__, *row[:n_key]), row
            if key in known:
                old = known[key]
                other = row._replace(**{name: (min if "first" in name else max)(getattr(old, name) or getattr(row, name), getattr(row, name) or getattr(old, name))
                                        for name in row._fields[n_key:] if name.endswith("_ns")})
            known[key] = other
    result = Remembered()
    for row in known.values():
        result.add(row)
    return result


def judged(before: Remembered, *sessions, rule: str):
    """Findings of a rule; two workers whose collections travel say the same."""
    said = []
    for n_workers in (1, 2):
        workers = [Judge() for _ in range(n_workers)]
        for n, session in enumerate(sessions if n_workers == 1 else sessions[::-1]):
            session.findings = []
            workers[n % n_workers].session(session)
        last = Judge()
        last.site.remembered = before
        for worker in workers[::-1]:
            last.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
        said.append([one for one in last.capture([Capture(name="a.pcap")]) if one.rule.id == rule])
        assert not last.faults, last.fault_log
    assert [_plain(one) for one in said[0]] == [_plain(one) for one in said[1]]
    for one in said[0]:
        check_finding(one)
    return said[0]


def test_an_offer_that_is_gone():
    before = remembered([looked(0), looked(50)])
    [one] = judged(before, looked(DAY, offer=False), looked(DAY + 60, offer=False), rule="PS305")
    assert (one.severity, one.confidence, one.variant, one.ends.session_id) == ("medium", "low", "baseline", f"{DAY * 10000:016x}")
    assert one.title == "203.0.113.5 port 25 offered STARTTLS in earlier captures and does not now; something on the way may remove it"
    assert one.evidence == {
        "server": "203.0.113.5:25", "without_session": f"{DAY * 10000:016x}", "with_first": "2023-11-14T22:13:20Z", "with_last": "2023-11-14T22:14:10Z",
        "without_first": "2023-11-15T22:13:20Z", "without_last": "2023-11-15T22:14:20Z", "without_since": "2023-11-15T22:13:20Z", "n_without": 2, "missing": ["STARTTLS"], "masked": [],
        "order": "ended", "networks_without": ["198.51.100.0/24"], "earlier_from": "baseline", "earlier_source": "monday.pcap",
        "ruled_out": ["bytes that the capture lacks", "another machine with other software"],
        "not_ruled_out": ["a change of the server's configuration", "a server that treats this client differently from others", "a server whose TLS was out of order for a while",
                          "several machines behind the server's address"],
        "related_session_ids": [f"{DAY * 10000:016x}", f"{(DAY + 60) * 10000:016x}"]}


@pytest.mark.parametrize("before, now", [
    ([[]], [looked(DAY, offer=False)]),  # nothing is known
    ([[looked(0)]], [looked(DAY)]),  # as before
    ([[looked(0, offer=False)]], [looked(DAY)]),  # it learnt TLS
    ([[looked(0, offer=False)]], [looked(DAY, offer=False)]),  # it never had it
    ([[looked(0)]], [looked(DAY, offer=False, **GONE)]),  # another server
    ([[looked(0), looked(10, offer=False), looked(20)]], [looked(DAY, offer=False)]),  # several machines
    ([[looked(0)], [looked(2 * DAY)]], [looked(DAY, offer=False)]),  # it has come back since
    ([[looked(0)]], [looked(DAY, offer=False, capabilities=("X", "Y"))]),  # another list
    ([[looked(0)]], [looked(DAY, offer=False, unseen_server="gap", capabilities_complete=False)]),  # not whole
    ([[looked(0)]], [looked(DAY, offer=False, server_ip="203.0.113.9")]),
    ([[looked(DAY, offer=False)], [looked(DAY)]], [looked(DAY, offer=False)]),  # at the same time
])
def test_no_offer_that_is_gone(before, now):
    assert judged(remembered(*before), *now, rule="PS305") == []


def test_what_both_in_one_run_is_told_as_ever():
    [one] = judged(remembered([looked(0)]), looked(DAY), looked(DAY + 10, offer=False), looked(DAY + 20), rule="PS305")
    assert one.variant == "smtp" and "earlier_from" not in one.evidence


def test_the_same_capture_again_and_the_day_after():
    """It is told again for as long as it lasts, and says since when."""
    before = remembered([looked(0)], [looked(DAY, offer=False)])
    assert [one.evidence["without_since"] for one in judged(before, looked(DAY, offer=False), rule="PS305")] == ["2023-11-15T22:13:20Z"]
    [one] = judged(before, looked(2 * DAY, offer=False), rule="PS305")
    assert (one.evidence["without_since"], one.evidence["without_first"]) == ("2023-11-15T22:13:20Z", "2023-11-16T22:13:20Z")


STRONG, WEAK = {"auth_mechanisms": ("SCRAM-SHA-256", "PLAIN")}, {"auth_mechanisms": ("PLAIN", "LOGIN")}


@pytest.mark.parametrize("before, now, expected", [
    (looked(0, **STRONG), looked(DAY, offer=False, **WEAK), ("strong-gone", True)),
    (looked(0, **STRONG), looked(DAY, **WEAK), ("strong-gone", False)),
    (looked(0, "imap", offer=False, **STRONG), looked(DAY, "imap", offer=False, **WEAK), ("strong-gone", False)),
    (looked(0), looked(DAY, offer=False, **WEAK), ("auth-in-clear", True)),
])
def test_mechanisms_that_are_gone(before, now, expected):
    [one] = judged(remembered([before]), now, rule="PS319")
    assert (one.variant, one.evidence["offer_lost"]) == expected
    assert (one.evidence["strong_first"], one.evidence["strong_last"], one.evidence["without_first"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z", "2023-11-15T22:13:20Z")
    assert (one.evidence["earlier_from"], one.evidence["earlier_source"]) == ("baseline", "monday.pcap")
    found = judged(remembered([before]), now, rule="PS305")
    assert one.because_of == (found[0].finding_id if found else None) and bool(found) == expected[1]


@pytest.mark.parametrize("before, now", [
    ([looked(0, **STRONG)], looked(DAY, **STRONG)), ([looked(0, **WEAK)], looked(DAY, **WEAK)), ([looked(0, **STRONG)], looked(DAY)), ([looked(0)], looked(DAY, **WEAK)),
    ([looked(0, **STRONG), looked(10, **WEAK), looked(20, **STRONG)], looked(DAY, **WEAK)), ([looked(0, **STRONG)], looked(DAY, **WEAK, **GONE)),
])
def test_mechanisms_that_are_not(before, now):
    assert judged(remembered(before), now, rule="PS319") == []


def test_tls_in_an_earlier_capture():
    before = remembered([upgraded(0), upgraded(60)])
    [one] = judged(before, clear(DAY, offer=False), rule="PS903")
    assert (one.severity, one.confidence, one.variant, one.ends.session_id) == ("high", "medium", "baseline", f"{DAY * 10000:016x}")
    assert one.title == "198.51.100.7 used TLS with 203.0.113.5 port 25 in an earlier capture, and speaks in clear to it now"
    assert one.evidence == {
        "session_id_clear": f"{DAY * 10000:016x}", "tls_first": "2023-11-14T22:13:20Z", "tls_time": "2023-11-14T22:14:20Z", "clear_time": "2023-11-15T22:13:20Z",
        "clear_since": "2023-11-15T22:13:20Z", "server": "203.0.113.5:25", "client_name": "relay.example", "n_clear": 1, "n_without_offer": 1, "tls_version": "TLSv1.2",
        "earlier_from": "baseline", "earlier_source": "monday.pcap", "ruled_out": ["another server at the same address since then", "a change of the client's settings"],
        "not_ruled_out": ["another program or host behind the same address", "a change of the server's settings"], "related_session_ids": [f"{DAY * 10000:016x}"]}
    [nameless] = judged(remembered([upgraded(0, "imap", client_name=None)]), clear(DAY, "imap", client_name=None), rule="PS903")
    assert (nameless.severity, nameless.confidence) == ("medium", "low")


@pytest.mark.parametrize("before, now", [
    ([upgraded(0)], [upgraded(DAY)]), ([clear(0)], [clear(DAY)]), ([upgraded(2 * DAY)], [clear(DAY)]), ([upgraded(0), clear(10), upgraded(20)], [clear(DAY)]),
    ([upgraded(0)], [clear(DAY, client_name="other.example")]), ([upgraded(0)], [clear(DAY, client_ip="198.51.100.8")]), ([upgraded(0)], [clear(DAY, offer=False, **GONE)]),
    ([upgraded(0)], [looked(DAY)]), ([clear(0)], [clear(DAY), upgraded(DAY + 10)]),
])
def test_no_regression(before, now):
    assert judged(remembered(before), *now, rule="PS903") == []


def keyed(seconds: float, n: int, issuer: str = "CN=CA"):
    own = Certificate(**{**{field.name: None for field in dataclasses.fields(Certificate) if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING},
                         "sha256": f"{n:064x}", "spki_sha256": f"{n:064x}", "issuer": issuer})
    return implicit(seconds, "imaps", 993, tls=handshake(sni="mail.example", certificates=(own,)))


@pytest.mark.parametrize("issuer, said", [("CN=CA", ("low", "low", "key")), ("CN=Other", ("medium", "medium", "issuer"))])
def test_another_key_than_before(issuer, said):
    before = remembered_keys((0, 1, "CN=CA"), (60, 1, "CN=CA"))
    [one] = judged_keys(before, (DAY, 2, issuer))
    assert (one.severity, one.confidence, one.variant) == said
    assert one.evidence == {
        "server": "203.0.113.5:993", "sni": "mail.example", "old_spki_sha256": f"{1:064x}", "new_spki_sha256": f"{2:064x}", "old_issuer": "CN=CA", "new_issuer": issuer,
        "last_seen_old": "2023-11-14T22:14:20Z", "first_seen_new": "2023-11-15T22:13:20Z", "n_keys": 2, "earlier_from": "baseline", "earlier_source": "monday.pcap"}


@pytest.mark.parametrize("before, now", [
    ([(0, 1, "CN=CA")], [(DAY, 1, "CN=CA")]), ([(0, 1, "CN=CA"), (10, 2, "CN=CA"), (20, 1, "CN=CA")], [(DAY, 3, "CN=CA")]), ([(2 * DAY, 1, "CN=CA")], [(DAY, 2, "CN=CA")]),
    ([(0, 1, "CN=CA"), (10, 2, "CN=CA")], [(DAY, 2, "CN=CA")]),  # it changed in an earlier run, which said so
])
def test_a_key_that_is_known_or_one_of_a_pool(before, now):
    assert judged_keys(remembered_keys(*before), *now) == []


def collect_keys(judge: Judge, capture: str, *keys) -> None:
    for key in keys:
        session = keyed(*key)
        session.capture = capture
        judge.site.collected.session(session)


def remembered_keys(*keys) -> Remembered:
    judge = Judge()
    collect_keys(judge, "old/monday.pcap", *keys)
    return gather(judge.site.collected, NOW_NS)


def judged_keys(before: Remembered, *keys):
    judge = Judge()
    judge.site.remembered = before
    collect_keys(judge, "a.pcap", *keys)
    found = [one for one in judge.capture([Capture(name="a.pcap")]) if one.rule.id == "PS429"]
    assert not judge.faults, judge.fault_log
    for one in found:
        check_finding(one)
    return found


def test_times_that_cannot_be_are_not_remembered():
    judge = Judge()
    for session in (looked(0), looked(10**9), looked(1, start_ns=5, end_ns=6)):
        judge.session(session)
    assert [row.first_ns for row in gather(judge.site.collected, NOW_NS).rows()] == [1_700_000_000 * 10**9]
