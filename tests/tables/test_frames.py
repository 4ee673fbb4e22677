"""DataFrames: dtypes, missing values, saving and loading."""
from __future__ import annotations

import os
import pickle

import numpy as np
import pandas as pd
import pytest

from pcapsec.errors import OutputError
from pcapsec.records import Certificate
from pcapsec.secret import Fingerprints
from pcapsec.tables import schema
from pcapsec.tables.files import FORMATS
from pcapsec.tables.frames import FrameSink, Result, frame, load
from tests import sessions as made
from tests.tables.test_files import write_tables


def result_of(*sessions, reveal=False, workers=1):
    sinks = [FrameSink(reveal=reveal, fingerprints=Fingerprints(b"k" * 32)) for _ in range(workers)]
    for n, session in enumerate(sessions):
        sinks[n % workers].session(session)
    sinks[0].findings([made.drops()])
    parts = [pickle.loads(pickle.dumps(sink.close())) for sink in sinks]
    return Result.of_parts(parts, [made.capture()], made.RULES, {"PS101": [1, 0, 0, 0]}, reveal=reveal)


@pytest.mark.parametrize("sessions", [(), (made.submission(), made.imaps(), made.mapi(), made.webmail())])
def test_dtypes_are_real_even_without_rows(sessions):
    result = result_of(*sessions)
    kinds = {"time": "datetime64[ns, UTC]", "list": "object", "dict": "object"}
    for table in schema.TABLES:
        data = getattr(result, table)
        assert list(data.columns) == [c.name for c in schema.columns(table)]
        for column in schema.columns(table):
            kind = data[column.name].dtype
            if column.dtype == "category":
                assert isinstance(kind, pd.CategoricalDtype), (table, column.name)
                assert kind.ordered == bool(column.order)
            else:
                assert str(kind) == kinds.get(column.dtype, column.dtype), (table, column.name)


def test_unknown_is_na_and_values_are_values():
    result = result_of(made.submission(), made.imaps(1))
    mail, tls = result.sessions.to_dict("records")
    assert mail["starttls_offered"] is True and mail["starttls_requested"] is False and pd.isna(mail["starttls_accepted"])
    assert all(pd.isna(tls[name]) for name in ("starttls_offered", "banner", "capabilities"))
    assert mail["capabilities"] == ["SIZE 1000", "STARTTLS", "AUTH PLAIN"] and mail["principals"] == ["alice@example.com"] and tls["principals"] == []
    assert mail["start"] == pd.Timestamp(made.T0, tz="UTC") and mail["end"].nanosecond == 123
    assert (mail["messages"], mail["client_port"]) == (1, 40000)
    assert pd.isna(tls["worst_severity"]) and mail["worst_severity"] == "critical"
    message = result.messages.to_dict("records")[0]
    assert message["rcpt_to"] == ["bob@example.org", "eve@example.net"] and pd.isna(message["n_clear_hops"])
    finding = result.findings.to_dict("records")[0]
    assert finding["rule_id"] == "PS005" and pd.isna(finding["client_ip"]) and pd.isna(finding["client_port"])
    assert result.findings.to_dict("records")[1]["evidence"] == {"initial_response": True, "reply_code": "235"}
    assert (result.findings.severity >= "high").tolist() == [False, True, True]


def test_times_that_are_unknown_are_nat_and_last():
    nowhere = made.drops()
    nowhere.ts_ns = nowhere.frame = 0
    sink = FrameSink()
    sink.findings([nowhere]), sink.session(made.submission())
    result = Result.of_parts([sink.close()], [], made.RULES, {})
    assert result.findings["rule_id"].tolist() == ["PS101", "PS204", "PS005"]
    assert result.findings["time"].isna().tolist() == [False, False, True]


def test_the_secret_survives_whatever_its_bytes():
    assert "secret" not in result_of(made.submission()).credentials.columns
    (secret,) = result_of(made.submission(), reveal=True).credentials["secret"]
    assert secret.encode("utf-8", "surrogateescape") == made.PASSWORD


def test_rows_are_in_time_order_over_workers():
    result = result_of(*(made.submission(n) for n in (5, 3, 9, 1, 7)), workers=3)
    assert result.sessions["client_port"].tolist() == [40001, 40003, 40005, 40007, 40009]


@pytest.mark.parametrize("reveal", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_save_writes_what_the_command_line_writes(tmp_path, format, reveal):
    sessions = [made.submission(n) for n in range(5)] + [made.imaps(n) for n in range(5, 8)] + [made.mapi(8), made.webmail(9)]
    sessions[0].facts.greeting = "=1+1"
    expected, _, _ = write_tables(tmp_path / "command", sessions, format=format, reveal=reveal)
    paths = result_of(*sessions, reveal=reveal).save(tmp_path / "saved", format=format)
    assert sorted(map(os.path.basename, paths)) == sorted(os.listdir(expected))
    for table in schema.TABLES:
        one, two = tmp_path / "saved" / f"{table}.{format}", expected / f"{table}.{format}"
        if format == "parquet":
            pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(two))
        else:
            assert one.read_bytes() == two.read_bytes(), table
        assert oct(one.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("format", FORMATS)
def test_load_gives_back_what_was_saved(tmp_path, format):
    sessions = [made.submission(0), made.imaps(1), made.mapi(2), made.webmail(3)]
    sessions[0].facts.logins[0].principal = "=alice"
    sessions[0].facts.greeting = "''=x"
    sessions[1].tls.certificates = (Certificate(sha256="00", sans=("a", "b"), not_before_ns=-(10**20), not_after_ns=10**20, key_bits=100_000, self_signed=True),)
    result = result_of(*sessions)
    result.save(tmp_path / "out", format=format)
    again = load(tmp_path / "out")
    for table in schema.TABLES:
        pd.testing.assert_frame_equal(getattr(again, table), getattr(result, table))
    again.save(tmp_path / "twice", format=format)
    for table in schema.TABLES:
        if format != "parquet":
            assert (tmp_path / "twice" / f"{table}.{format}").read_bytes() == (tmp_path / "out" / f"{table}.{format}").read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_a_filtered_frame_can_be_saved(tmp_path, format):
    result = result_of(made.submission(0), made.submission(1), made.imaps(2))
    result.findings = result.findings[result.findings.severity == "critical"]
    result.sessions = result.sessions[result.sessions.protocol == "tls"].reset_index(drop=True)
    result.save(tmp_path / "out", format=format)
    again = load(tmp_path / "out")
    assert again.findings["rule_id"].tolist() == ["PS101", "PS101"] and again.sessions["session_id"].tolist() == result.sessions["session_id"].tolist()


def test_saving_twice_needs_force(tmp_path):
    result = result_of(made.submission())
    result.save(tmp_path / "out")
    with pytest.raises(OutputError, match="--force|exists"):
        result.save(tmp_path / "out")
    result.save(tmp_path / "out", force=True)


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(OutputError, match="holds no table findings"):
        load(tmp_path)
    result_of().save(tmp_path / "out")
    (tmp_path / "out" / "tls.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputError, match="tls.csv is not a table"):
        load(tmp_path / "out")
    (tmp_path / "out" / "tls.csv").write_bytes(b"")
    with pytest.raises(OutputError, match="tls.csv is not a table"):
        load(tmp_path / "out")


def test_an_edited_frame_without_a_column_cannot_be_saved(tmp_path):
    result = result_of()
    result.tls = result.tls.drop(columns=["sni"])
    with pytest.raises(OutputError, match="tls lacks the columns sni"):
        result.save(tmp_path / "out")


def test_extreme_values():
    row = [None] * len(schema.columns("captures"))
    names = [c.name for c in schema.columns("captures")]
    row[names.index("packets")] = (1 << 64) - 1
    row[names.index("first_time")] = np.iinfo(np.int64).min + 1
    data = frame("captures", [tuple(row)])
    assert data["packets"][0] == (1 << 64) - 1 and data["first_time"][0].year == 1677
