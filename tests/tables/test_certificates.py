"""A row for each certificate, whoever meets it first."""
from __future__ import annotations

from pathlib import Path

import pcapsec
from pcapsec.tables.files import first_of_each

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def test_each_certificate_of_a_chain_has_its_row():
    result = pcapsec.analyze(str(SAMPLES / "submission-tls12.pcap"))
    (handshake,) = result.tls.to_dict("records")
    rows = result.certificates[["sent_by", "position", "certificate_sha256", "subject", "session_id"]].to_dict("records")
    assert rows[0] == {"sent_by": "server", "position": 0, **{name: handshake[name] for name in ("certificate_sha256", "subject", "session_id")}}
    assert len(rows) == handshake["chain_length"]


def test_a_certificate_that_comes_again_has_one_row_whatever_the_jobs():
    captures = [str(SAMPLES / name) for name in ("submission-tls12.pcap", "smtp-relay-starttls.pcap", "submission-tls12.pcap")]
    one, two = (pcapsec.analyze(captures, jobs=jobs) for jobs in (1, 2))
    assert one.certificates.certificate_sha256.is_unique and len(one.certificates)
    assert one.certificates.equals(two.certificates)
    assert set(one.tls.certificate_sha256.dropna()) <= set(one.certificates.certificate_sha256)


def test_of_rows_about_one_certificate_the_first_stays():
    first, second, other = (b"1,x,%s,a\n" % (b"ab" * 32), b"2,y,%s,b\n" % (b"ab" * 32), b"3,z,%s,c\n" % (b"cd" * 32))
    assert list(first_of_each([first + other, second])) == [first + other, b""]
