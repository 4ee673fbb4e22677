"""DNS answers and mail in one capture: from frames to tables."""
from __future__ import annotations

import io

import pandas
from tests import dns_bytes as made
from tests.frames import START_NS, Talk, pcap
from tests.helpers import dialogue

import pcapsec
from pcapsec.pipeline import dns as module

LETTER = dialogue("""
S: 220 mx1.b.example ESMTP
C: EHLO mail.a.example
S: 250-mx1.b.example
S: 250 STARTTLS
C: MAIL FROM:<x@a.example>
S: 250 ok
C: RCPT TO:<y@b.example>
S: 250 ok
C: DATA
S: 354 go
C: Subject: x
C:
C: hello
C: .
S: 250 taken
C: QUIT
S: 221 bye
""")
MAP = made.answer(*made.MX, more=("mx1.b.example. 60 IN A 198.51.100.20",), ad=True)


def letter(n: int = 0, clock: int = START_NS + 10**9):
    return Talk(client=made.CLIENT, client_port=40000 + n, server="198.51.100.20", clock=clock).open().turns(LETTER).close().frames()


def capture() -> list[tuple[int, bytes]]:
    messages = [MAP, made.answer(*made.TLSA, ad=True), made.answer(*made.RPT), made.answer(*made.SRV), made.answer("www.b.example. 60 IN A 198.51.100.9")]
    return [made.udp(message, START_NS + n * 1000) for n, message in enumerate(messages)] + made.tcp(made.answer(*made.STS), START_NS + 10**8) + letter() + letter(1, START_NS + 2 * 10**9)


def written(tmp_path, frames):
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(sorted(frames)))
    return str(path)


def test_promises_and_what_became_of_them(tmp_path):
    result = pcapsec.analyze(written(tmp_path, capture()))
    table = result.dns_policy
    assert sorted(table["record"]) == ["address", "mta-sts", "mx", "srv", "tlsa", "tlsrpt"] and table["time"].is_monotonic_increasing
    mx = table[table["record"] == "mx"].iloc[0]
    assert (mx["frame"], mx["asked_by"], mx["answered_by"], mx["domain"], mx["values"], bool(mx["authenticated"])) == (
        1, made.CLIENT, made.RESOLVER, "b.example", ["10 mx1.b.example", "20 mx2.b.example"], True)
    assert table[table["record"] == "mta-sts"]["frame"].tolist() == [9]
    found = result.findings
    broken = found[found["rule_id"] == "PS902"].iloc[0]
    assert (broken["variant"], broken["server_ip"], broken["evidence"]["n_messages"], broken["evidence"]["sts_record"]["frame"]) == ("both", "198.51.100.20", 2, 9)
    assert broken["session_id"] == result.sessions[result.sessions["server_port"] == 25]["session_id"].iloc[0]
    assert sorted(rule_id for rule_id in found["rule_id"] if rule_id.startswith("PS80")) == ["PS805", "PS806", "PS807", "PS808", "PS809"]


def test_workers_change_nothing(tmp_path):
    path = written(tmp_path, capture())
    one, three = (pcapsec.analyze(path, jobs=jobs) for jobs in (1, 3))
    for table in ("findings", "dns_policy", "sessions", "rule_summary"):
        pandas.testing.assert_frame_equal(getattr(one, table), getattr(three, table))


def test_tables_are_written_and_read_again(tmp_path):
    result = pcapsec.analyze(written(tmp_path, capture()))
    for format_ in ("csv", "jsonl"):
        result.save(str(tmp_path / format_), format=format_)
        pandas.testing.assert_frame_equal(pcapsec.load(str(tmp_path / format_)).dns_policy, result.dns_policy)


def test_answers_of_the_same_window_are_known_in_time(tmp_path):
    """A rule about a conversation knows what was answered before its end, though both lie in one window."""
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 1\nrequire_tls: [{id: x, match: {mx: [mx9.b.example]}}]\n")
    early = made.udp(made.answer("b.example. 60 IN MX 5 mx9.b.example.", more=("mx9.b.example. 60 IN A 198.51.100.20",)), START_NS)
    late = (START_NS + 10**10, early[1])
    for answer, expected in ((early, 1), (late, 0)):
        found = pcapsec.analyze(written(tmp_path, [answer, *letter()]), policy=str(policy)).findings
        assert len(found[found["rule_id"] == "PS901"]) == expected


def test_a_flood_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_READ", 20)
    frames = [made.udp(made.answer(f"d{n}.example. 60 IN MX 10 mx.d{n}.example."), START_NS + n) for n in range(100)]
    assert len(pcapsec.analyze(io.BytesIO(pcap(frames))).dns_policy) == 20


def test_texts_of_the_wire_are_escaped_where_they_are_shown(tmp_path):
    frames = [made.udp(made.answer('_mta-sts.b.example. 60 IN TXT "v=STSv1; id=1; \x1b[31m=cmd|x"'), START_NS)]
    result = pcapsec.analyze(written(tmp_path, frames))
    assert result.dns_policy["values"].tolist() == [["v=STSv1; id=1; \x1b[31m=cmd|x"]]
    result.save(str(tmp_path / "out"))
    assert b"\x1b" not in (tmp_path / "out" / "dns_policy.csv").read_bytes() + (tmp_path / "out" / "findings.csv").read_bytes()
