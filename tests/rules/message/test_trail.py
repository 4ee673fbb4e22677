"""PS710: what a Received field says about a hop that was captured."""
from __future__ import annotations

import pickle
import random

import pytest

from pcapsec.records import Capture, Facts, Finding, Hop, Message
from pcapsec.rules import trail as module
from pcapsec.rules.trail import Trail

RELAY, MX, STORE = "192.0.2.1", "198.51.100.2", "198.51.100.3"
CLAIM = {"hop": 2, "from_host": "relay.example", "from_ip": RELAY, "by_host": "mx.example", "with_protocol": "ESMTPS", "tls_version": "TLSv1.3", "tls_cipher": "X", "protected": True}
FIRST = Hop(hop=1, from_host="pc.example", by_host="relay.example", with_protocol="ESMTPSA", protected=True)


@pytest.fixture
def legs(session, message):
    """The two conversations: relay to mx with one Received field, mx to its store with two. `legs(claim={…}, wire={…}, header={…})`."""
    def made(claim=None, wire=None, header=None, first_id="<1@a.example>", second_id="<1@a.example>"):
        on_wire = session("smtp", **{"session_id": "aaaa", "client_ip": RELAY, "server_ip": MX, "client_name": "Relay.example", "start_ns": 1000, "frame": 5, **(wire or {}),
                                     "messages": [message(message_id=first_id, hops=[FIRST], n_hops=1, n_clear_hops=0)]})
        hops = [Hop(**{**CLAIM, **(claim or {})}), FIRST]
        later = session("lmtp", **{"session_id": "bbbb", "client_ip": MX, "server_ip": STORE, "client_name": "mx.example", "start_ns": 2000, "frame": 50, **(header or {}),
                                   "messages": [message(message_id=second_id, protocol="lmtp", direction="delivered", hops=hops, n_hops=2)]})
        return on_wire, later
    return made


def judged(court, *sessions) -> list[Finding]:
    for one in sessions:
        court.try_session(one)
    findings = court.judge.capture([Capture(name="a.pcap", packets=10)])
    return [finding for finding in findings if finding.rule.id == "PS710"]


def test_ps710_fires(court, legs):
    [finding] = judged(court, *legs())
    assert (finding.severity, finding.confidence, finding.variant, finding.capture, finding.frame, finding.ts_ns) == ("medium", "medium", "claims-tls", "a.pcap", 50, 2000)
    assert finding.title == "The header of a mail says that it came to mx.example over TLS, the capture shows that hop in clear"
    assert finding.evidence == {
        "message_id": "<1@a.example>", "hop": 2, "claim": "TLS ESMTPS TLSv1.3 X", "observed": "clear", "from_host": "relay.example", "by_host": "mx.example", "wire_session": "aaaa",
        "wire_server": f"{MX}:25", "header_session": "bbbb"}
    assert court.judge.counts["PS710"] == [1, 0, 0, 0]


@pytest.mark.parametrize("change", [
    {"wire": {"client_ip": "203.0.113.9"}},  # the relay is behind an address translator: its name tells
    {"claim": {"from_host": "other.example"}},  # or its address
    {"header": {"start_ns": 10}},  # whichever conversation came first in the capture
])
def test_ps710_one_of_name_and_address_is_enough(court, legs, change):
    assert len(judged(court, *legs(**change))) == 1


@pytest.mark.parametrize("change, counts", [
    ({"claim": {"protected": False, "with_protocol": "ESMTP"}}, [0, 1, 0, 0]),  # header and wire agree
    ({"claim": {"protected": None}}, [0, 0, 1, 0]), ({"claim": {"local": True}}, [0, 0, 1, 0]),
    ({"claim": {"from_host": "other.example", "from_ip": "203.0.113.1"}}, [0, 0, 1, 0]),  # it tells of another hop
    ({"claim": {"hop": 3}}, [0, 0, 1, 0]), ({"second_id": "<2@a.example>"}, [0, 0, 1, 0]), ({"header": {"session_id": "aaaa"}}, [0, 0, 1, 0]),
])
def test_ps710_near_misses(court, legs, change, counts):
    assert judged(court, *legs(**change)) == []
    assert court.judge.counts["PS710"] == counts


def test_ps710_the_other_way_round(court, legs, session, message):
    """The hop was TLS, read with its keys; the header knows of none."""
    wire, later = legs(claim={"protected": False, "with_protocol": "ESMTP", "tls_version": None, "tls_cipher": None})
    wire.inner, wire.facts = wire.facts, Facts(protocol="smtp")
    [finding] = judged(court, wire, later)
    assert (finding.variant, finding.evidence["claim"], finding.evidence["observed"]) == ("claims-clear", "no TLS: ESMTP", "TLS")
    assert finding.title == "The header of a mail says that it came to mx.example in clear, the capture shows TLS"


def test_ps710_fetched_copies_tell_too(court, legs, session, message):
    wire, later = legs()
    fetched = session("imap", session_id="cccc", start_ns=3000, messages=[Message(
        protocol="imap", direction="fetched", side=1, at=9, message_id="<1@a.example>", size_bytes=9, n_hops=2, hops=[Hop(**CLAIM), FIRST])])
    assert [finding.evidence["header_session"] for finding in judged(court, wire, later, fetched)] == ["bbbb", "cccc"]


def test_ps710_headers_that_were_not_seen(court, legs):
    wire, later = legs()
    wire.facts.messages[0].lacks = "headers"
    assert judged(court, wire, later) == []


def test_whoever_saw_what_the_answer_is_the_same(make_court, legs):
    """Several workers, in any order."""
    answers = []
    for seed in range(6):
        chance = random.Random(seed)
        sessions = [one for n in range(4) for one in legs(first_id=f"<{n}@a>", second_id=f"<{n}@a>", wire={"session_id": f"a{n}"}, header={"session_id": f"b{n}"})]
        sessions += [legs(first_id=f"<{n}@a>", wire={"session_id": f"c{n}{m}", "start_ns": 500 + m})[0] for n in range(4) for m in range(9)]
        chance.shuffle(sessions)
        trails = [Trail() for _ in range(3)]
        for number, one in enumerate(sessions):
            trails[number % 3].take(one, one.facts, False)
        whole = Trail()
        for one in trails:
            whole.merge(pickle.loads(pickle.dumps(one)))
        answers.append((whole.contradictions(), whole.compared(), {message_id: sorted(legs_, key=module._order) for message_id, legs_ in sorted(whole.legs.items())}))
    assert all(answer == answers[0] for answer in answers) and len(answers[0][0]) > 0


def test_memory_is_bounded(monkeypatch, legs, session, message):
    monkeypatch.setattr(module, "MAX_MESSAGES", 3)
    trail = Trail()
    for number in range(10):
        one = session("smtp", session_id=f"{number:04x}", start_ns=number, messages=[message(message_id=f"<{number % 5}>", hops=[FIRST] * 50, n_hops=50)])
        trail.take(one, one.facts, False)
    trail.legs.settle()
    assert (len(trail.legs), trail.legs.full) == (3, True) and all(len(leg.hops) == module.MAX_CLAIMS for found in trail.legs.values() for leg in found)
    kept = next(iter(trail.legs))
    for number in range(20):
        one = session("smtp", session_id=f"{number:04x}", start_ns=number, messages=[message(message_id=kept)])
        trail.take(one, one.facts, False)
    assert [leg.ts_ns for leg in trail.legs[kept] if leg.n_hops == 0] == [0, 1]
    for number in range(40):
        one = session("smtp", session_id=f"{number:04x}", start_ns=number, messages=[message(message_id=kept, n_hops=number)])
        trail.take(one, one.facts, False)
    assert len(trail.legs[kept]) == module.MAX_LEGS
