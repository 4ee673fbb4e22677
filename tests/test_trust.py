"""`--ca FILE`: certificates of the samples against the root that signed them, another root, and files that are none."""
from __future__ import annotations

import base64
import datetime
import pathlib

import pandas
import pytest
from samples import FOLDER

import pcapsec
from pcapsec import pipeline
from pcapsec.cli.main import run
from pcapsec.errors import DefinitionError
from pcapsec.protocols.certificates import certificate
from pcapsec.protocols.x509_trust import TrustStore
from pcapsec.records import Certificate, Session
from tests.tls_bytes import key, make_certificate


class Sessions:
    """A sink that keeps them."""

    def __init__(self):
        self.sessions: list[Session] = []
        self.session = self.sessions.append

    def findings(self, found: list, capture: str = "") -> None:
        pass

    def close(self) -> list[Session]:
        return self.sessions


def chains(name: str) -> list[tuple[Certificate, ...]]:
    """Certificates as sent in a sample's connections."""
    outcome = pipeline.run([str(FOLDER / name)], make_sink=lambda worker: Sessions())
    return [session.tls.certificates for session in outcome.partials[0]]


def pem(path: pathlib.Path, *certificates: Certificate) -> str:
    path.write_text("".join(f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(one.der).decode()}-----END CERTIFICATE-----\n" for one in certificates))
    return str(path)


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, str]:
    """The root that a chain of cert-chains.pcap ends with, and the one that signed an RSA leaf there."""
    folder = tmp_path_factory.mktemp("roots")
    sent = chains("cert-chains.pcap")
    return {"root": pem(folder / "root.pem", sent[3][2]), "old": pem(folder / "old.pem", sent[2][1]), "both": pem(folder / "both.pem", sent[3][2], sent[2][1]),
            "middle": pem(folder / "middle.pem", sent[1][1])}


def verified(sample: str, ca: str, **more) -> list[tuple]:
    table = pcapsec.analyze(str(FOLDER / sample), ca=ca, **more).tls
    return [tuple(None if pandas.isna(value) else value for value in row) for row in table[["trusted", "trust_error"]].astype(object).itertuples(index=False, name=None)]


TRUSTED, UNKNOWN = (True, None), (False, "issuer unknown")


def test_chains(roots):
    assert verified("cert-chains.pcap", roots["root"]) == [UNKNOWN, TRUSTED, (False, "unknown root"), TRUSTED]
    assert verified("cert-chains.pcap", roots["old"]) == [UNKNOWN, UNKNOWN, TRUSTED, (False, "unknown root")]
    assert verified("cert-chains.pcap", roots["both"]) == [UNKNOWN, TRUSTED, TRUSTED, TRUSTED]
    assert verified("cert-chains.pcap", roots["middle"]) == [TRUSTED, TRUSTED, (False, "unknown root"), TRUSTED]


def test_the_rule_about_chains_believes_the_roots(roots):
    def found(**more) -> list[str]:
        table = pcapsec.analyze(str(FOLDER / "cert-chains.pcap"), **more).findings
        return list(table[table["rule_id"] == "PS427"]["variant"])

    assert found() == ["leaf-only"]
    assert found(ca=roots["root"]) == ["leaf-only", "untrusted"]
    assert found(ca=roots["both"]) == ["leaf-only"]
    assert found(ca=roots["middle"]) == ["untrusted"]


def test_jobs_change_nothing(roots):
    assert verified("cert-chains.pcap", roots["both"], jobs=2) == verified("cert-chains.pcap", roots["both"])


def test_without_roots_nothing_is_said():
    table = pcapsec.analyze(str(FOLDER / "cert-chains.pcap")).tls
    assert table["trusted"].isna().all() and table["trust_error"].isna().all()


def test_hidden_certificates_stay_unknown(roots):
    assert verified("cert-hidden.pcap", roots["root"]) == [(None, None)] * 2
    assert verified("tls-resumed.pcap", roots["middle"]) == [TRUSTED, (None, None), TRUSTED, (None, None), (None, None), (None, None)]


def leaf(begin: str = "2024-01-01", end: str = "2025-01-01", **more) -> Certificate:
    return certificate(make_certificate(issuer="CN=Middle", signer=key("EC", 521), begin=begin, end=end, **more))


def middle(begin: str = "2023-01-01", end: str = "2026-01-01", ca: bool | None = True) -> Certificate:
    return certificate(make_certificate("CN=Middle", issuer="CN=Root", signer=key("EC", 384), public=key("EC", 521), ca=ca, names=(), begin=begin, end=end))


def root(end: str = "2030-01-01") -> Certificate:
    return certificate(make_certificate("CN=Root", public=key("EC", 384), ca=True, names=(), begin="2020-01-01", end=end))


def at(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day + "T12:00:00+00:00").timestamp()) * 10**9


@pytest.mark.parametrize("chain, day, expected", [
    ((leaf(), middle()), "2024-06-01", None), ((leaf(), middle()), "2023-12-31", "not yet valid"), ((leaf(), middle()), "2025-01-02", "expired"),
    ((leaf(), middle(end="2024-05-01")), "2024-06-01", "issuer expired"), ((leaf(), middle(begin="2024-07-01")), "2024-06-01", "issuer not yet valid"),
    ((leaf(), middle(end="2024-05-01")), "2024-04-01", None), ((leaf(end="2040-01-01"), middle(end="2040-01-01")), "2031-01-01", "issuer expired"),
    ((leaf(), middle(ca=None)), "2024-06-01", "issuer is no CA"), ((leaf(), middle(ca=False)), "2024-06-01", "issuer is no CA")])
def test_dates_and_the_right_to_sign(chain, day, expected):
    store = TrustStore([root()])
    assert store.why_not(chain, at(day)) == expected
    assert store.why_not(chain, at(day)) == expected  # remembered
    assert store.why_not(chain) == (expected if expected == "issuer is no CA" else None)


def test_of_two_roots_with_one_key_the_younger_counts():
    assert TrustStore([root(end="2023-01-01"), root()]).why_not((leaf(), middle()), at("2024-06-01")) is None
    assert TrustStore([root(end="2023-01-01")]).why_not((leaf(), middle()), at("2024-06-01")) == "issuer expired"


def test_each_chain_is_verified_once(monkeypatch):
    from pcapsec.protocols import x509_trust

    calls = []
    monkeypatch.setattr(x509_trust, "has_signed", lambda issuer, subject: calls.append((issuer.subject, subject.subject)) or True)
    store = TrustStore([root()])
    chain = leaf(), middle()
    for day in ("2024-06-01", "2024-06-02", "2026-06-01"):
        store.why_not(chain, at(day))
    assert calls == [("CN=Middle", "CN=mail.example"), ("CN=Root", "CN=Middle")]


@pytest.mark.parametrize("content, words", [(None, "No such file"), ("hello", "no certificate found"), ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate found")])
def test_files_that_hold_no_roots(tmp_path, capsys, content, words):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DefinitionError, match=words):
        pcapsec.analyze(str(FOLDER / "cert-chains.pcap"), ca=path)
    assert run(["analyze", "--quiet", "--ca", str(path), str(FOLDER / "cert-chains.pcap")]) == 2
    assert words in capsys.readouterr().err


def test_the_command(roots, tmp_path):
    assert run(["analyze", "--quiet", "-o", str(tmp_path / "out"), "--ca", roots["root"], str(FOLDER / "cert-chains.pcap")]) == 0
    assert list(pcapsec.load(tmp_path / "out").tls["trusted"]) == [False, True, False, True]


@pytest.mark.parametrize("kind, size", [("EC", 256), ("EC", 384), ("RSA", 2048), ("DSA", 2048), ("Ed25519", 0), ("Ed448", 0)])
def test_each_kind_of_key_signs(kind, size):
    signer = key(kind, size)
    above = certificate(make_certificate("CN=Root", public=signer, ca=True, names=()))
    other = certificate(make_certificate("CN=Root", public=key("EC", 521), ca=True, names=()))
    below = certificate(make_certificate(issuer="CN=Root", signer=signer))
    assert (TrustStore([above]).why_not((below,)), TrustStore([other]).why_not((below,))) == (None, "bad signature")


def test_what_cannot_be_verified_is_not_called_bad(monkeypatch):
    from pcapsec.protocols import x509_trust

    monkeypatch.setattr(x509_trust, "has_signed", lambda issuer, subject: None)
    assert TrustStore([root()]).why_not((leaf(), middle())) == "signature of an unknown kind"
    assert TrustStore([certificate(make_certificate("CN=Middle", names=()))]).why_not((leaf(),)) == "signature of an unknown kind"
