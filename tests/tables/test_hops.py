"""Rows of table hops: in files, as tuples, as a DataFrame."""
from __future__ import annotations

import pandas as pd

import pcapsec
from pcapsec.records import Capture, Hop, Message
from pcapsec.tables import schema
from pcapsec.tables.files import WEIGH_EVERY, FileSink
from pcapsec.tables.frames import FrameSink, Result
from pcapsec.tables.rows import UNKNOWN_TIME, Rows
from tests import sessions as made

DAY = made.T0 - 3600 * 10**9
HOPS = [
    Hop(hop=3, from_host="relay.example", from_ip="192.0.2.1", by_host="mx.example", with_protocol="ESMTPS", tls_version="TLSv1.3", tls_cipher="TLS_AES_256_GCM_SHA384", protected=True, time_ns=DAY + 2),
    Hop(hop=2, by_host="=cmd|x,\x1b[2J", with_protocol="=1+1", protected=False),
    Hop(hop=1, from_host="pc", by_host="relay.example", local=True, time_ns=DAY),
]


def with_hops(n: int = 0, **changes):
    session = made.submission(n)
    session.facts.messages[0].hops = HOPS
    session.facts.messages[0].n_hops = 3
    for name, value in changes.items():
        setattr(session, name, value)
    return session


def test_rows_as_csv():
    rows = Rows(text=True)
    rows.session(with_hops())
    begin = "0000000000000000,monday.pcap,12,<1@example.com>,"
    assert [(ns, text) for ns, _, text in rows.entries["hops"]] == [
        (DAY, begin + "1,pc,relay.example,,,,,2024-05-01T07:00:00.000000000Z,,true,false\n"),
        (UNKNOWN_TIME, begin + '2,,"\'=cmd|x,\\x1b[2J",\'=1+1,,,false,,,false,false\n'),
        (DAY + 2, begin + "3,relay.example,mx.example,ESMTPS,TLSv1.3,TLS_AES_256_GCM_SHA384,true,2024-05-01T07:00:00.000000002Z,192.0.2.1,false,false\n"),
    ]


def test_what_was_read_inside_tls():
    session = made.imaps()
    session.inner = made.Facts(protocol="imap", messages=[Message(protocol="imap", direction="fetched", side=1, at=0, hops=HOPS[:1], n_hops=1)])
    rows = Rows(text=False)
    rows.session(session)
    [(_, _, row)] = rows.entries["hops"]
    values = dict(zip((column.name for column in schema.columns("hops")), row))
    assert (values["decrypted"], values["hop"], values["message_id"], values["session_id"]) == (True, 3, None, session.session_id)


def test_a_transaction_without_content_has_none():
    session = with_hops()
    session.facts.messages[0].has_content = False
    rows = Rows(text=True)
    rows.session(session)
    assert rows.entries["hops"] == []


def test_hops_in_the_result_and_back_from_files(tmp_path):
    sink = FrameSink()
    for n in (1, 0):
        sink.session(with_hops(n))
    result = Result.of_parts([sink.close()], [Capture(name="monday.pcap", packets=9)], made.RULES, {}, reveal=False)
    table = result.hops
    assert list(table["hop"]) == [1, 1, 3, 3, 2, 2]  # in order of their times, those without one last
    assert list(table["session_id"].str[:8]) == ["00000000", "00000001"] * 3
    assert table["time"].dtype == "datetime64[ns, UTC]" and table["protected"].dtype == "boolean" and pd.isna(table["protected"][0]) and pd.isna(table["time"][5])
    assert table["by_host"][4] == "=cmd|x,\x1b[2J"
    result.save(tmp_path / "out")
    again = pcapsec.load(tmp_path / "out").hops
    assert again["by_host"][4] == "=cmd|x,\\x1b[2J"  # files show escapes
    pd.testing.assert_frame_equal(again.drop(columns="by_host"), table.drop(columns="by_host"))


def test_many_hops_are_weighed_in_time(tmp_path):
    """A worker's rows are put aside before they fill its memory, also when few messages have many hops."""
    sink = FileSink(str(tmp_path), run_bytes=50_000)
    for n in range(2 * WEIGH_EVERY // 100):
        session = with_hops(n)
        session.facts.messages = [Message(protocol="smtp", direction="relayed", side=0, at=0, hops=HOPS * 33, n_hops=99)]
        sink.session(session)
    assert len(sink._runs) >= 1
