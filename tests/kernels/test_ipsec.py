"""ESP without encryption is opened whatever its form, nothing else is; associations and tunnels are counted, and tables keep their bounds."""
from __future__ import annotations

import random
import struct

import numpy
import pytest
from scapy.layers.inet import IP, fragment

from pcapsec.kernels import carriers, tables
from pcapsec.streams.engine import FORGET, GO_ON, Engine
from tests.frames import Talk, window
from tests.ipsec_frames import AH, SPIS, associations, ethernet, ip, random_esp, sealed, wesp
from tests.kernels.test_flows import DIALOGUE, SAID, conversations

V6 = {"client": "2001:db8::10", "server": "2001:db8::20"}
GATEWAYS, GATEWAYS6 = ("203.0.113.1", "203.0.113.2"), ("2001:db8:1::1", "2001:db8:2::1")


def talk(**ends) -> Talk:
    return Talk(**ends).open().turns(DIALOGUE).close()


def wrapped(frames) -> set[int]:
    """The wrappings that conversations came in."""
    engine, found = Engine(), set()
    data, rows = window(frames)
    for source in (engine.take(data, rows, len(frames), 1), engine.finish()):
        for batch in source:
            found |= {flow[tables.STATE] >> tables.WRAP_SHIFT & 0xFFF for flow in batch.flows}
            engine.steer(batch.entries, [FORGET] * len(batch.entries))
    return found


@pytest.mark.parametrize("crypt, auth", [("NULL", "HMAC-SHA1-96"), ("NULL", "SHA2-256-128"), ("NULL", "SHA2-384-192"), ("NULL", "SHA2-512-256"), ("NULL", "HMAC-MD5-96"), ("NULL", "AES-CMAC-96"),
                                         ("AES-NULL-GMAC", None)])
@pytest.mark.parametrize("ends", [{}, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("tunnel", [None, GATEWAYS, GATEWAYS6], ids=["transport", "tunnel", "tunnel-v6"])
def test_esp_without_encryption_is_opened(crypt, auth, ends, tunnel):
    frames = sealed(talk(**ends), associations(crypt, auth, tunnel=tunnel))
    said, engine = conversations(frames)
    assert said == [SAID]
    assert wrapped(frames) == {2048}
    rows = engine.carriers()
    icv = {"HMAC-SHA1-96": 12, "HMAC-MD5-96": 12, "AES-CMAC-96": 12, "SHA2-256-128": 16, "SHA2-384-192": 24, "SHA2-512-256": 32, None: 16}[auth]
    assert {row[tables.V_KEY]: (row[tables.V_STATE], row[tables.V_FORM], row[tables.V_FAILS]) for row in rows} == {
        tables.KIND_ESP << 32 | spi: (tables.CARRIER_CLEAR, (8 if auth is None else 0) << 8 | icv, 0) for spi in SPIS}
    assert sum(row[tables.V_PACKETS] for row in rows) == len(talk().segments)
    assert all(row[tables.V_NEXT] == (6 if tunnel is None else 4 if ":" not in talk(**ends).client else 41) for row in rows)


@pytest.mark.parametrize("udp", [False, True], ids=["ip", "udp"])
@pytest.mark.parametrize("crypt, auth", [("AES-GCM", None), ("AES-CBC", "SHA2-256-128")])
def test_esp_that_encrypts_stays_shut(crypt, auth, udp):
    said, engine = conversations(sealed(talk(), associations(crypt, auth, tunnel=GATEWAYS, udp=udp)))
    assert said == []
    rows = engine.carriers()
    assert sorted(row[tables.V_KEY] for row in rows) == sorted(tables.KIND_ESP << 32 | spi for spi in SPIS)
    assert [row[tables.V_PASSES] for row in rows] == [0, 0] and all(row[tables.V_FAILS] == row[tables.V_PACKETS] for row in rows)
    assert {row[tables.V_PORTS] for row in rows} == ({4500 << 16 | 4500} if udp else {0})


def test_esp_in_udp_without_encryption():
    said, engine = conversations(sealed(talk(), associations(tunnel=GATEWAYS, udp=True)))
    assert said == [SAID]


@pytest.mark.parametrize("words", [{}, {"padded": True}, {"before": 8, "icv": 16}, {"udp": True}, {"udp": True, "padded": True, "icv": 24}], ids=str)
@pytest.mark.parametrize("ends", [{}, V6], ids=["v4", "v6"])
def test_wesp_says_it_itself(words, ends):
    said, engine = conversations(wesp(talk(**ends), **words))
    assert said == [SAID]
    assert {row[tables.V_KEY] >> 32 for row in engine.carriers()} == {tables.KIND_WESP}


@pytest.mark.parametrize("words", [{"encrypted": True}, {"version": 1}], ids=str)
def test_wesp_that_encrypts_or_is_of_another_version_stays_shut(words):
    said, _engine = conversations(wesp(talk(), **words))
    assert said == []


def test_esp_in_fragments():
    frames = []
    for ts_ns, frame in sealed(talk(), associations(tunnel=GATEWAYS)):
        frames += [(ts_ns, ethernet(bytes(part))) for part in fragment(IP(frame[14:]), fragsize=400)]
    said, engine = conversations(frames)
    assert said == [SAID] and engine.scalars[tables.C_FRAGMENTS] > 0


def test_what_the_snap_length_cut_is_only_believed_in_tunnel_mode():
    for tunnel in (GATEWAYS, None):
        frames = sealed(talk(), associations(tunnel=tunnel))
        long = [n for n, (_ts, frame) in enumerate(frames) if len(frame) > 1000]
        original = [len(frame) for _ts, frame in frames]
        cut = [(ts_ns, frame[:200] if n in long else frame) for n, (ts_ns, frame) in enumerate(frames)]
        data, rows = window(cut, original=original)
        engine = Engine()
        lengths = []
        for source in (engine.take(data, rows, len(cut), 1), engine.finish()):
            for batch in source:
                lengths += [turn[3] for turn in batch.turns if turn[0] != 0]
                engine.steer(batch.entries, [FORGET if r[-1] else GO_ON for r in batch.results])
        assert len(long) == 1 and (lengths != []), tunnel


def test_ah_is_counted_and_passed():
    frames = sealed(talk(), associations(protocol=AH, auth="SHA2-256-128"))
    said, engine = conversations(frames)
    assert said == [SAID] and wrapped(frames) == {1024}
    assert {(row[tables.V_KEY] >> 32, row[tables.V_KEY] & 0xFFFFFFFF) for row in engine.carriers()} == {(tables.KIND_AH, spi) for spi in SPIS}


def test_esp_inside_esp_is_opened_once():
    inner = sealed(talk(), associations(spis=(5, 6)))
    outer = associations(tunnel=GATEWAYS)
    frames = [(ts_ns, ethernet(bytes(outer[segment.side].encrypt(IP(frame[14:]))))) for (ts_ns, frame), segment in zip(inner, talk().segments)]
    said, engine = conversations(frames)
    assert said == [] and len(engine.carriers()) == 2


def test_a_capture_full_of_esp_overflows_nothing(monkeypatch):
    monkeypatch.setattr(tables, "DATAGRAMS", 16)
    monkeypatch.setattr(tables, "DATAGRAM_ROOM", 8192)
    said, engine = conversations([frame for n in range(40) for frame in sealed(talk(client_port=30000 + n), associations(spis=(100 + n, 200 + n)))])
    assert said == [SAID] * 40


def test_a_flood_of_associations_leaves_the_busy_ones():
    rng = random.Random(1)
    made = associations()
    frames = sealed(talk(), made)
    noise = [(frames[-1][0] + n, ethernet(ip(struct.pack("!II", rng.getrandbits(32), 1) + rng.randbytes(60), 50))) for n in range(20_000)]
    last = talk(client_port=50000)
    last.segments = [segment for segment in last.segments]
    said, engine = conversations(frames + noise + [(ts_ns + 10_000_000, frame) for ts_ns, frame in sealed(last, made)])
    assert said == [SAID, SAID]
    assert len(engine.carriers()) <= tables.CARRIER_SETS * tables.WAYS
    busy = {row[tables.V_KEY]: row[tables.V_PACKETS] for row in engine.carriers() if row[tables.V_STATE] == tables.CARRIER_CLEAR}
    assert set(busy) == {tables.KIND_ESP << 32 | spi for spi in SPIS} and sum(busy.values()) == 2 * len(talk().segments)


def examined(packets: numpy.ndarray, spi_of=None) -> tuple[list[list[int]], int]:
    """Rows of associations, and packets opened, of ESP payloads given as one array a row."""
    engine = Engine()
    t = engine.tables
    n, size = packets.shape
    rows = numpy.zeros((n, tables.N_DATAGRAM), dtype=numpy.int64)
    rows[:, tables.D_SRC1], rows[:, tables.D_DST1] = 0xFFFF << 32 | 0xC000020A, 0xFFFF << 32 | 0xC6336414
    rows[:, tables.D_NS] = numpy.arange(n)
    rows[:, tables.D_FRAME] = numpy.arange(1, n + 1)
    rows[:, tables.D_AT] = numpy.arange(n) * (size + 40) + 40
    rows[:, tables.D_LENGTH] = size
    rows[:, tables.D_STATE] = tables.D_ESP
    rows[:, tables.D_IP] = size << 24
    data = numpy.zeros((n, size + 40), dtype=numpy.uint8)
    data[:, 40:] = packets
    _kept, n_inside = carriers.examine(t, rows, data.reshape(-1), n, numpy.zeros((n, 5), dtype=numpy.int64))
    return engine.carriers(), n_inside


@pytest.mark.parametrize("size", [64, 72, 100])
def test_random_bytes_are_never_taken_for_esp_without_encryption(size):
    """A million packets of associations with random SPIs, so that each is tried: none is opened."""
    rng = numpy.random.default_rng(size)
    for _ in range(4):
        _rows, n_inside = examined(rng.integers(0, 256, (84_000, size), dtype=numpy.uint8))
        assert n_inside == 0


def test_random_bytes_with_a_good_trailer_and_header_are_stopped_by_the_checksum():
    """What the checksum alone is worth: of packets that look right otherwise one in 65,536 passes, so the million above stands for very many more."""
    rng = numpy.random.default_rng(7)
    packets = rng.integers(0, 256, (200_000, 8 + 40 + 12), dtype=numpy.uint8)
    packets[:, 8 + 12], packets[:, 8 + 13] = 0x50, 0x18  # TCP header of 20 bytes, PSH and ACK
    packets[:, 46], packets[:, 47] = 0, 6  # no padding, TCP
    rows, n_inside = examined(packets)
    assert n_inside < 20  # 3 expected
    assert not any(row[tables.V_STATE] == tables.CARRIER_CLEAR for row in rows)


def test_an_encrypted_association_is_given_up():
    _said, engine = conversations(random_esp(400, random.Random(5)))
    [row] = engine.carriers()
    assert (row[tables.V_STATE], row[tables.V_PASSES], row[tables.V_FAILS], row[tables.V_PACKETS], row[tables.V_ORDERLY]) == (tables.CARRIER_SEALED, 0, 16, 400, 400)


def test_every_cut_of_an_esp_packet_is_survived():
    for frames in (sealed(talk(), associations(tunnel=GATEWAYS)), wesp(talk()), sealed(talk(), associations(udp=True)), sealed(talk(**V6), associations(protocol=AH, auth="SHA2-256-128"))):
        _ts, frame = max(frames[:6], key=lambda one: len(one[1]))
        conversations([(n, frame[:n]) for n in range(len(frame))])


def udp(payload: bytes, sport: int, dport: int, back: bool = False) -> bytes:
    ends = ("198.51.100.20", "192.0.2.10") if back else ("192.0.2.10", "198.51.100.20")
    return ethernet(ip(struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload, 17, *ends))


def times(*frames: bytes) -> list[tuple[int, bytes]]:
    return [(1_700_000_000_000_000_000 + n * 1_000_000, frame) for n, frame in enumerate(frames)]


def tunnels(*frames: bytes) -> list[tuple[int, int, int, int]]:
    """(kind, answered, packets, side that began) of each."""
    _said, engine = conversations(times(*frames))
    return [(row[tables.V_KEY] >> 32, row[tables.V_STATE], row[tables.V_PACKETS], row[tables.V_FORM]) for row in engine.carriers()]


INITIATION = udp(b"\1\0\0\0ABCD" + bytes(range(140)), 40000, 51820)
RESPONSE = udp(b"\2\0\0\0WXYZABCD" + bytes(range(80)), 51820, 40000, back=True)
DATA = udp(b"\4\0\0\0WXYZ" + bytes(8) + bytes(range(112)), 40000, 51820)


def test_wireguard():
    assert tunnels(INITIATION, RESPONSE, DATA, DATA) == [(tables.KIND_WIREGUARD, tables.CARRIER_CLEAR, 4, 1)]
    assert tunnels(INITIATION, DATA) == [(tables.KIND_WIREGUARD, tables.CARRIER_OPEN, 2, 1)]  # nobody answered
    assert tunnels(RESPONSE, DATA) == []
    assert tunnels(INITIATION[:-4] + b"\0" * 4, RESPONSE.replace(b"ABCD", b"ABCE"))[0][1] == tables.CARRIER_OPEN


SESSION, SERVERS = b"sessionC", b"sessionS"


@pytest.mark.parametrize("hmac", [b"", b"h" * 20 + b"\0\0\0\1\0\0\0\2", b"h" * 32 + b"\0\0\0\1\0\0\0\2"], ids=["plain", "sha1", "sha256"])
def test_openvpn(hmac):
    reset, answer = b"\x38" + SESSION + hmac + b"\0\0\0\0\0", b"\x40" + SERVERS + hmac + b"\1\0\0\0\0" + SESSION + b"\0\0\0\0"
    assert tunnels(udp(reset, 40000, 443), udp(answer, 443, 40000, back=True), udp(b"\x48" + bytes(100), 40000, 443)) == [(tables.KIND_OPENVPN, tables.CARRIER_CLEAR, 3, 1)]
    assert tunnels(udp(reset, 40000, 443), udp(answer.replace(SESSION, SERVERS), 443, 40000, back=True))[0][1] == tables.CARRIER_OPEN
    assert tunnels(udp(reset, 40000, 53), udp(answer, 53, 40000, back=True)) == []


def test_openvpn_with_tls_crypt_is_known_on_its_port():
    reset, answer = b"\x38" + SESSION + bytes(range(45)), b"\x40" + SERVERS + bytes(range(57))
    assert tunnels(udp(reset, 40000, 1194), udp(answer, 1194, 40000, back=True)) == [(tables.KIND_OPENVPN, tables.CARRIER_CLEAR, 2, 1)]
    assert tunnels(udp(reset, 40000, 443), udp(answer, 443, 40000, back=True)) == []


def test_the_kernel_has_one_signature():
    conversations(sealed(talk(), associations()))
    assert len(carriers.examine.signatures) == 1
