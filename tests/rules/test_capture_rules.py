"""PS001-PS010: what the capture itself lacks."""
from __future__ import annotations

import pytest

from pcapsec.records import Capture

NOW = 1_800_000_000 * 10**9


def shown(finding):
    return finding.severity, finding.confidence, finding.variant, finding.evidence


def test_sound_session_passes_all(court, session):
    judged = court.try_session(session("smtp"))
    assert {rule_id: verdict for rule_id, verdict, _ in judged.assessments if rule_id < "PS1"} == dict.fromkeys(
        ("PS001", "PS002", "PS003", "PS004", "PS006", "PS008", "PS009"), "pass")


def test_one_look_agrees_with_the_rules(court, session, rules):
    """The judge asks no rule about a session that looks sound: each of them must pass it."""
    sound = session("smtp")
    for rule in rules.values():
        if rule.category == "capture" and rule.scope == "session":
            assert rule.judge(sound, sound.facts, court.judge.site).name == "pass", rule.id


class TestPS001:
    def test_one_side(self, court, session):
        finding = court.finding(session("smtp", bytes_server=0, packets_server=0, completeness="one_sided", unseen_server="one_sided"), "PS001")
        assert shown(finding) == ("info", "high", "", {"seen": "client", "bytes_client": 200, "bytes_server": 0, "unseen_bytes": 0})
        assert finding.title == "Only the client's side of a connection to 203.0.113.5 port 25 was captured; the server's is missing"

    def test_acknowledged_but_never_seen(self, court, session):
        finding = court.finding(session("smtp", bytes_client=0, packets_client=9, acked_unseen_client=77, unseen_client="one_sided"), "PS001")
        assert finding.evidence == {"seen": "server", "bytes_client": 0, "bytes_server": 300, "unseen_bytes": 77}

    def test_server_that_sent_nothing(self, court, session):
        assert court.verdict(session("smtp", bytes_server=0, packets_server=5), "PS001") == ("pass", "")

    def test_no_bytes_at_all(self, court, session):
        assert court.verdict(session("smtp", bytes_server=0, bytes_client=0), "PS001") == ("not_applicable", "")


def test_ps002_late_start(court, session):
    finding = court.finding(session("smtp", start_seen=False, role_source="port", frame=7), "PS002")
    assert shown(finding) == ("info", "high", "", {"first_frame": 7, "role_source": "port"})


def test_ps003_gap(court, session):
    finding = court.finding(session("smtp", n_gaps=2, gap_bytes_client=10, gap_bytes_server=1460, unseen_server="gap"), "PS003")
    assert shown(finding) == ("low", "high", "", {"gap_count": 2, "gap_bytes_client": 10, "gap_bytes_server": 1460})
    assert finding.title == "1470 bytes are missing in a connection to 203.0.113.5 port 25"


def test_ps004_cut_packets(court, session):
    finding = court.finding(session("smtp", n_truncated_frames=3, truncated_bytes=900, unseen_client="snaplen"), "PS004")
    assert shown(finding) == ("low", "high", "", {"truncated_frames": 3, "truncated_bytes": 900})


class TestPS006:
    def test_one_side_wrong(self, court, session):
        finding = court.finding(session("smtp", n_bad_checksum_client=10), "PS006")
        assert shown(finding) == ("info", "high", "", {"bad_checksums_client": 10, "bad_checksums_server": 0, "checked_client": 10, "checked_server": 10, "host": "198.51.100.7"})

    def test_server_side(self, court, session):
        assert court.finding(session("smtp", n_bad_checksum_server=10), "PS006").evidence["host"] == "203.0.113.5"

    @pytest.mark.parametrize("fields", [
        {"n_bad_checksum_client": 10, "n_bad_checksum_server": 10},  # both sides: damage or tampering
        {"n_bad_checksum_client": 9},  # nine in ten is not above
        {"n_bad_checksum_client": 3, "n_checked_client": 3},  # too few to say
        {"n_bad_checksum_client": 10, "n_bad_checksum_server": 2},  # the other side is not right either
        {"n_bad_checksum_client": 10, "n_checked_server": 0},  # nothing to compare with
    ])
    def test_near_misses(self, court, session, fields):
        assert court.verdict(session("smtp", **fields), "PS006") == ("pass", "")

    def test_not_checked(self, court, session):
        assert court.verdict(session("smtp", n_checked_client=0, n_checked_server=0), "PS006") == ("not_applicable", "")


def test_ps008_duplicates(court, session):
    finding = court.finding(session("smtp", n_duplicate_frames=5), "PS008")
    assert shown(finding) == ("info", "medium", "", {"duplicate_frames": 5, "duplicate_ratio": 0.25})


class TestPS009:
    def test_unknown(self, court, session):
        judged = session("unknown", server_port=25, service="smtp", unparsed="no parser took it")
        assert shown(court.finding(judged, "PS009")) == ("info", "high", "unknown", {"reason": "no parser took it", "bytes_client": 200, "bytes_server": 300})
        assert judged.verdict == "unknown"

    def test_parser_gave_up(self, court, session):
        assert court.finding(session("imap", unparsed="fault", unseen_client="unparsed"), "PS009").variant == "imap"

    def test_nothing_captured(self, court, session):
        assert court.verdict(session("unknown", bytes_client=0, bytes_server=0), "PS009") == ("not_applicable", "")

    def test_tls_is_no_fault(self, court, session):
        assert court.verdict(session("tls", tls_mode="implicit"), "PS009") == ("pass", "")

    def test_rules_of_the_ports_protocol_cannot_tell(self, court, session):
        judged = court.try_session(session("unknown", server_port=143, service="imap", unparsed="no parser took it"))
        verdicts = {rule_id: (verdict, reason) for rule_id, verdict, reason in judged.assessments}
        assert verdicts["PS110"] == verdicts["PS201"] == ("not_observable", "unparsed")
        assert verdicts["PS101"] == ("not_applicable", "")


# --- the captures as such

def only(court, capture):
    """The one finding about a capture, without its rule: that is the caller's to name."""
    found = court.judge.capture([capture])
    assert len(found) == 1
    return found[0]


def good(**fields):
    return Capture(**{"name": "a.pcapng", "packets": 100, "first_ns": 1_700_000_000 * 10**9, "last_ns": 1_700_000_900 * 10**9, "dropped": 0, **fields})


def test_good_capture(court):
    assert court.judge.capture([good()]) == []
    assert {rule_id: court.judge.counts[rule_id] for rule_id in ("PS005", "PS007", "PS010")} == dict.fromkeys(("PS005", "PS007", "PS010"), [0, 1, 0, 0])


def test_ps005_drops(court):
    finding = only(court, good(dropped=12))
    assert (finding.rule.id, shown(finding)) == ("PS005", ("low", "high", "", {"dropped": 12, "packets": 100}))
    assert (finding.capture, finding.frame, finding.ts_ns) == ("a.pcapng", 1, 1_700_000_000 * 10**9)


def test_ps005_without_a_counter(court):
    assert court.judge.capture([good(dropped=None)]) == []
    assert court.judge.counts["PS005"] == [0, 0, 0, 1]


@pytest.mark.parametrize("largest, confidence", [(65000, "high"), (9000, "medium")])
def test_ps007_superframes(court, largest, confidence):
    finding = only(court, good(superframes=4, max_ip_length=largest))
    assert (finding.rule.id, shown(finding)) == ("PS007", ("info", confidence, "", {"superframes": 4, "largest_packet": largest}))


@pytest.mark.parametrize("fields, variant", [
    ({"first_ns": 0}, "before-1995"), ({"last_ns": NOW + 2 * 86400 * 10**9}, "future"), ({"time_backsteps": 3}, "backsteps"),
])
def test_ps010_clock(court, fields, variant):
    capture = good(**fields)
    finding = only(court, capture)
    assert (finding.rule.id, shown(finding)) == ("PS010", ("info", "medium", variant, {
        "first_time_ns": capture.first_ns, "last_time_ns": capture.last_ns, "backsteps": capture.time_backsteps}))


def test_ps010_clocks_may_differ_by_hours(court):
    assert court.judge.capture([good(last_ns=NOW + 3600 * 10**9)]) == []


def test_ps010_without_packets(court):
    assert court.judge.capture([good(first_ns=None, last_ns=None, packets=0)]) == []
    assert court.judge.counts["PS010"] == [0, 0, 1, 0]


def test_each_capture_has_its_own_finding(court):
    one, other = court.judge.capture([good(dropped=1), good(name="b.pcapng", dropped=1)])
    assert one.finding_id != other.finding_id and (one.capture, other.capture) == ("a.pcapng", "b.pcapng")
