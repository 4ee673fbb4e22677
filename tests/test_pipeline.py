"""The way through the house as a whole: workers, files that follow one another, faults."""
from __future__ import annotations

import pathlib

import pandas
import pytest
from tests.frames import Talk, pcap
from tests.rpc_bytes import CLIENT, SERVER, fault, request

import pcapsec
from pcapsec import pipeline
from pcapsec.errors import OutputError
from pcapsec.protocols.smtp import SmtpParser

SAMPLES = pathlib.Path(__file__).parent.parent / "samples"
TABLES = ("captures", "sessions", "findings", "credentials", "messages", "tls", "assessments", "rule_summary", "anomalies")


def test_the_number_of_workers_changes_nothing():
    names = ["capture-rotated-1.pcapng", "capture-rotated-2.pcapng", "capture-rotated-3.pcapng", "submission-plain.pcap", "imap-ipv6.pcap", "path-vxlan.pcap", "pop3-attempts.pcap"]
    one, three = (pcapsec.analyze([str(SAMPLES / name) for name in names], jobs=jobs) for jobs in (1, 3))
    assert len(one.sessions) == 5
    for table in TABLES:
        mine, theirs = (getattr(result, table).drop(columns="secret_fp", errors="ignore") for result in (one, three))
        pandas.testing.assert_frame_equal(mine, theirs)


def test_sessions_that_wait_for_others_stand_where_they_were(tmp_path):
    """An RPC session of unknown interface is judged when all captures are read: its frames are still those of its own."""
    late = Talk(server_port=49152).turns([(CLIENT, request(7, 3)), (SERVER, fault(7, 5))])
    mail = Talk(server_port=25, clock=late.clock + 10**12).open().turns([(SERVER, b"220 mx ESMTP\r\n"), (CLIENT, b"EHLO pc\r\n"), (SERVER, b"250 mx\r\n")]).close()
    for name, talk in (("first.pcap", late), ("second.pcap", mail)):
        (tmp_path / name).write_bytes(pcap(talk.frames()))
    result = pcapsec.analyze([str(tmp_path / "first.pcap"), str(tmp_path / "second.pcap")])
    found = result.findings[result.findings["rule_id"] == "PS518"]
    assert found[["capture", "frame", "time"]].values.tolist() == [[str(tmp_path / "first.pcap"), 2, pandas.Timestamp(late.segments[1].ts_ns, tz="UTC")]]
    assert result.captures["sessions"].tolist() == [1, 1]


def test_a_parser_that_raises_spoils_its_conversation_only(monkeypatch):
    def broken(self, side, data, at):
        raise KeyError("S3cret")

    monkeypatch.setattr(SmtpParser, "feed", broken)
    result = pcapsec.analyze([str(SAMPLES / "smtp-relay-clear.pcap"), str(SAMPLES / "imap-login.pcap")])
    assert result.credentials["principal"].tolist() == ["alice@example.org"]
    smtp = result.sessions[result.sessions["server_port"] == 25]
    assert smtp["unparsed"].str.startswith("KeyError in SmtpParser").tolist() == [True]
    assert not smtp["unparsed"].str.contains("S3cret").any()
    assert result.captures["internal_errors"].sum() == 1


def test_nothing_readable_is_an_error(tmp_path):
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(b"")
    with pytest.raises(pcapsec.CaptureError):
        pcapsec.analyze(str(empty))


class _Failing:
    """A sink that cannot take a session."""

    def __init__(self, error: Exception):
        self.error = error

    def session(self, session):
        raise self.error

    def findings(self, findings, capture=""):
        pass

    def close(self):
        return None


def test_what_a_worker_cannot_write_is_said_as_without_workers():
    with pytest.raises(OutputError, match="disk is full"):
        pipeline.run([str(SAMPLES / "imap-login.pcap")], make_sink=lambda worker: _Failing(OutputError("disk is full")), jobs=2)


def test_a_worker_that_breaks_quotes_nothing():
    outcome = pipeline.run([str(SAMPLES / "imap-login.pcap")], make_sink=lambda worker: _Failing(KeyError("S3cret")), jobs=2)
    assert len(outcome.internal_errors) == 1
    assert "KeyError in test_pipeline.py" in outcome.internal_errors[0] and "S3cret" not in outcome.internal_errors[0]


def test_a_client_that_only_hangs_up_is_not_missing(tmp_path):
    """The server acknowledges its FIN, which is no byte."""
    talk = Talk().open().say(1, b"220 mx.example.org ESMTP\r\n", acknowledge=True).close()
    (tmp_path / "a.pcap").write_bytes(pcap(talk.frames()))
    result = pcapsec.analyze(str(tmp_path / "a.pcap"))
    assert list(result.sessions["completeness"]) == ["full"]
    assert "PS001" not in set(result.findings["rule_id"])
