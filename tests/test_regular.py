"""TLS that went the usual way is read from digests (kernels/handshakes.py, pipeline/regular.py): what comes out is the same, byte for byte, as on the general way."""
from __future__ import annotations

import pathlib
import random

import pytest
from frames import Talk, pcap
from samples import SAMPLES
from tls_bytes import (ALPN, CCS, CHOSE_13, CLIENT_KEY, DATA, DONE, FINISHED, SNI, VERSIONS, alpn, certificates, client_hello, codes, dhe, ecdhe, extension, make_certificate,
                       message, record, server_hello, sni, tls12, tls13, u16, vector)

from pcapsec import pipeline
from pcapsec.records import RegularSession
from pcapsec.report.summary import Summary
from pcapsec.rules import all_rules
from pcapsec.secret import Fingerprints
from pcapsec.streams.engine import Engine
from pcapsec.tables.files import Destination, FileSink, merge_runs

CLIENT, SERVER = 0, 1
START_NS = 1_714_550_400_000_000_000


class _Sinks:
    """Tables and the summary of one run."""

    def __init__(self, directory: str, format_: str):
        self.parts = FileSink(directory, format_, fingerprints=Fingerprints(b"k" * 32)), Summary()
        self.n_regular = 0

    def session(self, session):
        self.n_regular += session.__class__ is RegularSession
        for part in self.parts:
            part.session(session)

    def findings(self, findings, capture=""):
        for part in self.parts:
            part.findings(findings, capture)

    def close(self):
        return [part.close() for part in self.parts] + [self.n_regular]


def results(paths: list[str], folder: pathlib.Path, format_: str, regular: bool, monkeypatch, **options) -> tuple[dict[str, bytes], int]:
    """All tables and the summary, and how many sessions were taken from a digest without being judged in full."""
    monkeypatch.setattr(Engine, "tells_regular", regular)
    monkeypatch.setattr("pcapsec.streams.engine.OUT_BYTES", 16384)  # small batches: what one teaches is known from the next on
    folder.mkdir()
    destination = Destination(str(folder / "tables"), format_)
    outcome = pipeline.run(paths, make_sink=lambda worker: _Sinks(str(folder), format_), **options)
    assert outcome.internal_errors == []
    merge_runs([tables for tables, _summary, _n in outcome.partials], destination, outcome.captures, all_rules(), outcome.counts, str(folder))
    found = {path.name: path.read_bytes() for path in sorted((folder / "tables").iterdir())}
    summary = Summary()
    for _tables, part, _n in outcome.partials:
        summary.merge(part)
    found["summary"] = repr(_spelt_out(summary)).encode()
    return found, sum(n for _tables, _summary, n in outcome.partials)


def _spelt_out(value):
    if isinstance(value, dict):
        return {str(key): _spelt_out(one) for key, one in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [_spelt_out(one) for one in value]
    names = list(getattr(value, "__dict__", ())) or list(getattr(value, "__slots__", ()))
    return {name: _spelt_out(getattr(value, name)) for name in names} if names and type(value).__module__.startswith("pcapsec.report") else str(value)


def assert_same(paths: list[str], folder: pathlib.Path, monkeypatch, format_: str = "csv", **options) -> int:
    quick, n_regular = results(paths, folder / "quick", format_, True, monkeypatch, **options)
    general, none = results(paths, folder / "general", format_, False, monkeypatch, **options)
    assert none == 0
    assert quick.keys() == general.keys()
    for name in general:
        assert quick[name] == general[name], name
    return n_regular


# --- conversations of all kinds

HEAD = client_hello(extensions=SNI + ALPN)
TICKET = extension(35, b"\x01" * 40)
CHOSE_12 = extension(0xFF01, b"\0") + extension(23) + alpn(b"imap")
RESUMED_12 = [(SERVER, record(22, server_hello(session=b"S" * 32)) + CCS + FINISHED), (CLIENT, CCS + FINISHED + DATA)]


def kinds() -> list[list[tuple[int, bytes]]]:
    """Handshakes, most of them regular."""
    leaf, other = make_certificate(), make_certificate("CN=other", names=(), serial=7)
    full = [
        tls12(chain=(leaf, other), exchange=ecdhe()), tls12(chain=(leaf,), exchange=ecdhe(29, 0x0804), server=server_hello(extensions=CHOSE_12)),
        tls12(chain=(other,), server=server_hello(suite=0x009C)), tls12(chain=(leaf,), server=server_hello(0x0301, suite=0xC013), exchange=ecdhe()),
        tls12(chain=(leaf,), server=server_hello(suite=0x009E), exchange=dhe(b"\xff" * 256)), tls12(chain=(leaf,), client=client_hello(), exchange=ecdhe()),
        tls12(chain=(leaf,), client=client_hello(0x0301), server=server_hello(0x0300, suite=0x0035)),
        tls12(chain=(leaf,), exchange=ecdhe(), server=server_hello(nonce=bytes(24) + b"DOWNGRD\x01")), tls12(chain=(), exchange=ecdhe()),
        tls12(chain=(b"\x30\x03\x02\x01\x05",), exchange=ecdhe()),
        tls13(), tls13(client=client_hello(extensions=VERSIONS + SNI + ALPN, session=bytes(32))), tls13(client=client_hello(extensions=VERSIONS + extension(42), session=bytes(32))),
        tls13(server=server_hello(suite=0x1301, extensions=CHOSE_13 + extension(41, u16(0)), session=bytes(32))),
        tls13(server=server_hello(suite=0x1301, extensions=extension(43, u16(0x0304)) + extension(51, u16(29)), nonce=bytes.fromhex(
            "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"))),
    ]
    for session in (b"", b"S" * 32, b"T" * 32):
        for more in (b"", TICKET):
            full.append([(CLIENT, record(22, client_hello(extensions=SNI + more, session=session))), *RESUMED_12])
    flight = [server_hello(extensions=CHOSE_12), certificates(leaf), message(22, b"\1" + bytes(50)), ecdhe(), DONE]
    full.append([(CLIENT, record(22, HEAD)), (SERVER, record(22, b"".join(flight))), (CLIENT, record(22, CLIENT_KEY) + CCS + FINISHED),
                 (SERVER, record(22, message(4, bytes(60))) + CCS + FINISHED)])
    full.append([*full[-1][:2], (CLIENT, record(21, b"\2\x30"))])
    full.append([*full[0][:3]])
    grease = extension(0x5A5A) + extension(10, vector(codes(0xBABA, 29, 23))) + extension(13, vector(codes(0x0403, 0x0804))) + SNI + extension(0xFAFA, b"\0")
    full += [tls12(client=client_hello(extensions=grease, suites=codes(first, 0xC02F)), exchange=ecdhe(), chain=(leaf,)) for first in (0x1A1A, 0xEAEA)]
    full.append(tls12(client=client_hello(extensions=grease + grease), exchange=ecdhe(), chain=(leaf,)))
    full += [tls12(client=client_hello(extensions=sni(name) + ALPN), chain=(leaf,), exchange=ecdhe()) for name in ("mail.example", "autodiscover.com", "outlook.office365.com", "x" * 300)]
    return full


def damaged(turns: list[tuple[int, bytes]], chance: random.Random) -> list[tuple[int, bytes]]:
    """Some bytes are other ones, too many or too few, or a turn is missing."""
    turns = [(side, bytearray(data)) for side, data in turns if data]
    for _ in range(chance.randint(1, 3)):
        side, data = turns[chance.choice((0, 0, 1, 1, 1, chance.randrange(len(turns)))) % len(turns)]
        at = chance.choice((chance.randrange(len(data)), chance.randrange(min(len(data), 120))))
        what = chance.random()
        if what < 0.7:
            data[at] = chance.choice((0, 1, 2, 3, 22, 23, 255, data[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
        elif what < 0.8:
            del data[at:at + chance.randint(1, 9)]
        elif what < 0.9:
            data[at:at] = chance.randbytes(chance.randint(1, 9))
        else:
            del data[at:]
        if not data:
            data += b"\x16"
    if chance.random() < 0.1:
        del turns[chance.randrange(len(turns))]
    return [(side, bytes(data)) for side, data in turns] or [(CLIENT, b"\x16")]


def talks(conversations: list[list[tuple[int, bytes]]], chance: random.Random) -> bytes:
    """A capture with one after the other, from some clients to some servers, now and then with a lost, repeated or late segment."""
    frames = []
    for number, turns in enumerate(conversations):
        wide = chance.random() < 0.3
        talk = Talk(client=f"2001:db8::{chance.randrange(9):x}" if wide else f"192.0.2.{chance.randrange(9)}", client_port=20000 + number,
                    server=chance.choice(("2001:db8:ffff::1", "fe80::1")) if wide else f"198.51.100.{chance.randrange(3)}", server_port=chance.choice((443,) * 9 + (993, 8443, 25)),
                    isn=(chance.randrange(1 << 32), chance.randrange(1 << 32)), clock=START_NS + number * 20_000_000, step_ns=1_000)
        talk.open().turns(turns, chance.choice((60, 500, 1400)))
        if chance.random() < 0.8:
            talk.close()
        segments = talk.segments
        what = chance.random()
        if what < 0.05:
            del segments[chance.randrange(len(segments))]
        elif what < 0.1:
            segments.insert(chance.randrange(len(segments)), segments[chance.randrange(len(segments))])
        elif what < 0.15:
            at = chance.randrange(len(segments) - 1)
            segments[at], segments[at + 1] = segments[at + 1], segments[at]
        frames += [(segment.ts_ns, talk.frame(segment)) for segment in segments]
    return pcap(frames)


def test_samples(tmp_path, monkeypatch):
    assert_same([path for sample in SAMPLES if sample.tls for path in sample.paths], tmp_path, monkeypatch, join=False)


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_each_kind_again_and_again(format_, tmp_path, monkeypatch):
    chance = random.Random(1)
    path = tmp_path / "all.pcap"
    path.write_bytes(talks(kinds() * 24, chance))
    n_regular = assert_same([str(path)], tmp_path, monkeypatch, format_, full_assessments=format_ == "csv")
    assert n_regular > len(kinds()) * 4


@pytest.mark.parametrize("seed", range(4))
def test_damage(seed, tmp_path, monkeypatch):
    chance = random.Random(seed)
    whole = kinds()
    conversations = [one for turns in whole * 8 for broken in [damaged(turns, chance)] for one in (*[broken] * 6, chance.choice(whole))]
    path = tmp_path / "damaged.pcap"
    path.write_bytes(talks(conversations, chance))
    assert assert_same([str(path)], tmp_path, monkeypatch) > 100


def test_several_files_and_workers(tmp_path, monkeypatch):
    chance = random.Random(3)
    paths = [tmp_path / f"{number}.pcap" for number in range(2)]
    monkeypatch.setattr("secrets.randbits", lambda n: 12345)  # the same share of address pairs for each worker in both runs
    for path in paths:
        path.write_bytes(talks(kinds() * 8, chance))
    assert assert_same(list(map(str, paths)), tmp_path, monkeypatch, jobs=2) > 40


def test_memory_has_ceilings(tmp_path, monkeypatch):
    """With room for few kinds they are forgotten and learnt again, and nothing else changes."""
    from pcapsec.pipeline import regular

    for name in ("MAX_KINDS", "MAX_PIECES", "MAX_ONCE"):
        monkeypatch.setattr(regular, name, 3)
    monkeypatch.setattr("pcapsec.tables.rows.MAX_LIKES", 2)
    monkeypatch.setattr("pcapsec.rules.judge.MAX_PROFILES", 2)
    path = tmp_path / "all.pcap"
    path.write_bytes(talks([one for one in kinds() for _ in range(6)], random.Random(5)))
    assert_same([str(path)], tmp_path, monkeypatch)


def test_other_bytes_with_the_same_hash_are_other_certificates(tmp_path, monkeypatch):
    """The kernel's hash only finds: whoever hits it with other certificates gains nothing."""
    monkeypatch.setattr("pcapsec.pipeline.regular.CHAIN_KEY_BYTES", 0)
    leaves = [make_certificate(f"CN={name}.example", names=(f"{name}.example",)) for name in "abc"]
    path = tmp_path / "chains.pcap"
    path.write_bytes(talks([tls12(chain=(leaf,), exchange=ecdhe()) for leaf in leaves] * 20, random.Random(6)))
    assert_same([str(path)], tmp_path, monkeypatch)
