"""PS905 and the journeys of messages that it reads: three mail servers, of which some steps are captured in clear, some inside TLS, some not at all."""
from __future__ import annotations

import pickle

import pytest

from pcapsec.records import Capture, Facts, Hop, TlsHandshake
from pcapsec.rules import Judge
from pcapsec.rules.journeys import journeys
from tests.rules.conftest import check_finding, make_message, make_session

PC, RELAY, MX, STORE = "192.0.2.9", "192.0.2.1", "198.51.100.2", "198.51.100.3"
SECOND = 10**9
T0 = 1_700_000_000 * SECOND
HOPS = [
    Hop(hop=3, from_host="mx.example", from_ip=MX, by_host="store.example", with_protocol="ESMTP", protected=False, time_ns=T0 + 30 * SECOND),
    Hop(hop=2, from_host="relay.example", from_ip=RELAY, by_host="mx.example", with_protocol="ESMTPS", tls_version="TLSv1.3", protected=True, time_ns=T0 + 20 * SECOND),
    Hop(hop=1, from_host="pc.example", from_ip=PC, by_host="relay.example", with_protocol="ESMTPSA", tls_version="TLSv1.2", protected=True, time_ns=T0 + 10 * SECOND),
]
NAMES = {PC: "pc.example", RELAY: "relay.example", MX: "mx.example", STORE: "store.example"}


def clear(number: int, client: str, server: str, n_hops: int, start_s: int, *, message: dict | None = None, **fields):
    """A step in clear, of a message that has so many Received fields."""
    return make_session("smtp", **{
        "session_id": f"{number:016x}", "client_ip": client, "server_ip": server, "client_name": NAMES.get(client), "greeting": f"220 {NAMES.get(server, 'x')} ESMTP",
        "start_ns": T0 + start_s * SECOND, "end_ns": T0 + (start_s + 1) * SECOND, "frame": number, "service": "smtp", "first_clear_command": "MAIL",
        "messages": [make_message(hops=HOPS[3 - n_hops:], n_hops=n_hops, size_bytes=5000, **(message or {}))], **fields})


def inside(number: int, client: str, server: str, start_s: int, *, established: bool = True, **fields):
    """A conversation inside TLS."""
    return make_session("smtp", **{
        "session_id": f"{number:016x}", "client_ip": client, "server_ip": server, "client_name": NAMES.get(client), "greeting": f"220 {NAMES.get(server, 'x')} ESMTP",
        "start_ns": T0 + start_s * SECOND, "end_ns": T0 + (start_s + 1) * SECOND, "frame": number, "service": "smtp", "tls_mode": "starttls", "tls_started": True,
        "starttls_requested": True, "starttls_accepted": True, "bytes_client": 6000,
        "tls": TlsHandshake(version="TLSv1.3", established=established, alert=None if established else "client:fatal:48 unknown_ca", alert_fatal=None if established else True), **fields})


def judged(*sessions):
    """(findings of PS905, counts, journeys), the same for one judge and for two workers."""
    answers = []
    for jobs in (1, 2):
        workers = [Judge() for _ in range(jobs)]
        for number, one in enumerate(sessions[::-1] if jobs == 2 else sessions):
            one.findings = []
            workers[number % jobs].session(one)
            assert not workers[number % jobs].faults, workers[number % jobs].fault_log
        last = Judge()
        for worker in workers:
            last.merge(worker.counts)
            last.site.collected.merge(pickle.loads(pickle.dumps(worker.site.collected)))
        ways = journeys(last.site.collected.trail, last.site.collected.visits)
        findings = [finding for finding in last.capture([Capture(name="a.pcap", packets=10)]) if finding.rule.id == "PS905"]
        assert not last.faults, last.fault_log
        for finding in findings:
            check_finding(finding)
        answers.append((findings, last.counts["PS905"], [journey._replace(steps=tuple(step._replace(leg=None) for step in journey.steps)) for journey in ways]))
    assert [[(f.title, f.evidence, f.finding_id, f.confidence, f.severity, f.ends) for f in one[0]] for one in answers][0] == [
        (f.title, f.evidence, f.finding_id, f.confidence, f.severity, f.ends) for f in answers[1][0]]
    assert answers[0][1:] == answers[1][1:]
    return answers[0]


def told(ways) -> list[list[tuple]]:
    return [[(step.role, step.from_name, step.to_name, step.verdict, step.tls, step.source) for step in journey.steps] for journey in ways]


def test_ps905_one_clear_step_tells_the_whole_way():
    """mx to store is read; the two steps before it went inside TLS, one of which was captured."""
    [finding], counts, ways = judged(inside(1, RELAY, MX, 19), clear(2, MX, STORE, 2, 29))
    assert told(ways) == [[
        ("submission", "pc.example", "relay.example", "protected", "TLSv1.2", "header"), ("relay", "relay.example", "mx.example", "protected", "TLSv1.3", "both"),
        ("relay", "mx.example", "store.example", "exposed", None, "captured")]]
    assert (finding.severity, finding.confidence, finding.variant, finding.because_of) == ("medium", "medium", "mixed", None)
    assert finding.title == "A message went encrypted from relay.example to mx.example and in clear from mx.example to store.example"
    assert finding.evidence == {
        "message_ids": ["<1@a.example>"], "n_messages": 1, "n_earlier": 0, "related_session_ids": ["0000000000000001", "0000000000000002"],
        "steps": [
            {"role": "submission", "from": "pc.example", "to": "relay.example", "protected": True, "source": "header"},
            {"role": "relay", "from": "relay.example", "to": "mx.example", "protected": True, "source": "both", "session": "0000000000000001"},
            {"role": "relay", "from": "mx.example", "to": "store.example", "protected": False, "source": "captured", "session": "0000000000000002"}]}
    assert (finding.capture, finding.frame, finding.ends.session_id, finding.ends.server_name) == ("a.pcap", 2, "0000000000000002", "store.example") and counts == [1, 0, 0, 0]


def test_ps905_read_with_keys():
    wire = clear(1, RELAY, MX, 1, 19)
    wire.inner, wire.facts, wire.tls_mode, wire.tls = wire.facts, Facts(protocol="smtp"), "implicit", TlsHandshake(version="TLSv1.3", established=True)
    [finding], _, ways = judged(wire, clear(2, MX, STORE, 2, 29))
    assert [step[3:] for step in told(ways)[0]] == [("protected", "TLSv1.2", "header"), ("protected", "TLS", "captured"), ("exposed", None, "captured")]
    assert (finding.confidence, finding.variant) == ("high", "mixed")


def test_ps905_all_in_clear():
    [finding], _, ways = judged(clear(1, RELAY, MX, 1, 19), clear(2, MX, STORE, 2, 29))
    assert [step[5] for step in told(ways)[0]] == ["header", "captured", "captured"]
    assert (finding.severity, finding.severity_reason, finding.confidence, finding.variant) == ("low", "no step was seen encrypted", "high", "clear")
    assert finding.title == "A message went 2 steps in clear, the last from mx.example to store.example"


def test_ps905_sent_on_inside_tls():
    """Clear to the mx, which then sends one thing of that size on, inside TLS."""
    [finding], _, ways = judged(clear(1, RELAY, MX, 1, 19), inside(2, MX, STORE, 22))
    assert told(ways)[0][-1] == ("relay", "mx.example", "store.example", "protected", "TLSv1.3", "guessed")
    assert (finding.confidence, finding.ends.session_id) == ("low", "0000000000000001")
    assert finding.title == "A message went encrypted from mx.example to store.example and in clear from relay.example to mx.example"


def test_ps905_many_messages_on_one_way_are_one_finding():
    sessions = [one for n in range(5) for one in (inside(2 * n, RELAY, MX, 19 + n), clear(2 * n + 1, MX, STORE, 2, 29 + n, message={"message_id": f"<{n}@a.example>"}))]
    [finding], _, _ = judged(*sessions)
    assert (finding.evidence["n_messages"], len(finding.evidence["message_ids"])) == (5, 5) and finding.title.startswith("5 messages went encrypted from")


@pytest.mark.parametrize("sessions", [
    [inside(1, RELAY, MX, 19, established=False), clear(2, MX, STORE, 2, 29)],
    [inside(1, RELAY, MX, 900), clear(2, MX, STORE, 2, 29)],  # later than the copy that it should have led to
    [inside(1, RELAY, MX, 19, start_ns=T0 - 5000 * SECOND, end_ns=T0 - 4999 * SECOND), clear(2, MX, STORE, 2, 29)],  # at another time than the field says
    [inside(1, PC, MX, 19), clear(2, MX, STORE, 2, 29)],  # from somebody else
    [inside(1, RELAY, MX, 19), clear(2, RELAY, MX, 0, 18, message={"message_id": "<other@a.example>"}), clear(3, MX, STORE, 2, 29)],  # clear mail between the two as well
    [clear(1, RELAY, MX, 1, 19), inside(2, MX, STORE, 22), inside(3, MX, PC, 23)],  # it sent something else too
    [clear(1, RELAY, MX, 1, 19), inside(2, MX, STORE, 22), inside(3, PC, MX, 17)],  # it took something else too
    [clear(1, RELAY, MX, 1, 19), inside(2, MX, STORE, 22, bytes_client=900_000)], [clear(1, RELAY, MX, 1, 19), inside(2, MX, STORE, 200)],
    [inside(1, RELAY, MX, 19), clear(2, MX, STORE, 2, 29, message={"bulk": True})],
], ids=["failed", "later", "earlier", "another client", "clear mail too", "two sent", "two taken", "too large", "much later", "a list"])
def test_ps905_near_misses(sessions):
    findings, counts, _ = judged(*sessions)
    assert findings == [] and counts[0] == 0


def test_ps905_where_only_one_step_was_captured():
    assert judged(clear(2, MX, STORE, 2, 29))[:2] == ([], [0, 0, 0, 1])
    assert judged(inside(2, MX, STORE, 29))[:2] == ([], [0, 0, 1, 0])
    lost = clear(2, MX, STORE, 2, 29, message={"lacks": "headers"})
    assert judged(inside(1, RELAY, MX, 19), lost)[:2] == ([], [0, 0, 1, 0])


def test_steps_within_a_host_are_left_out_and_those_before_what_was_kept_are_counted():
    local = Hop(hop=3, from_host="localhost", by_host="mx.example", with_protocol="ESMTP", local=True)
    _, _, [way] = judged(make_session(
        "smtp", session_id="0002", client_ip=MX, server_ip=STORE, service="smtp", messages=[make_message(hops=[local, HOPS[1]], n_hops=3)]))
    assert ([step.source for step in way.steps], way.n_earlier) == (["header", "captured"], 1)
