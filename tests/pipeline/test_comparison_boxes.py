"""What stands between two taps is told from what differs besides the bytes: addresses, numbers, segments, TLS. And what one tap alone shows is counted."""
from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from tests.frames import ACK, START_NS, SYN, Segment, Talk
from tests.tls_talk import SUBMISSION, TLS12, TLS13, encrypted
from tests.two_taps import EHLO_REPLY, SMTP, capture, compared, replaced, talk, told

UPGRADE = [(1, b"220 mail.example.org ESMTP\r\n"), (0, b"EHLO pc.example.net\r\n"), (1, EHLO_REPLY), (0, b"STARTTLS\r\n"), (1, b"220 2.0.0 Ready to start TLS\r\n")]
NAT = {"client": "203.0.113.9", "client_port": 61234}
OTHER_NUMBERS = {"isn": (4_000_000_000, 77)}


def through(**how):
    """The same conversation outside, without any byte changed."""
    return compared(talk(), talk(clock=START_NS + 200_000, **how))


@pytest.mark.parametrize("how, box, changed", [
    ({}, "none", []),
    ({"ttl": (63, 65)}, "router", ["ttl"]),
    (NAT, "nat", ["addresses", "ports"]),
    ({"server": "10.0.0.25", "server_port": 2525}, "nat", ["addresses", "ports"]),
    ({"size": 300}, "resegmenting", ["segments"]),
    (OTHER_NUMBERS, "sequence-rewriting", ["sequence-numbers"]),
    ({**OTHER_NUMBERS, "size": 300}, "tcp-proxy", ["sequence-numbers", "segments"]),
    ({**OTHER_NUMBERS, **NAT, "size": 300, "ttl": (60, 60)}, "tcp-proxy", ["addresses", "ports", "sequence-numbers", "ttl", "segments"]),
])
def test_what_changes_no_byte_is_named_and_no_finding(how, box, changed):
    result = through(**how)
    assert result.pairs[["box", "differences"]].values.tolist() == [[box, 0]] and result.pairs["changed"][0] == changed
    assert len(result.findings) == 0


@pytest.mark.parametrize("how", [{}, NAT, OTHER_NUMBERS, {**OTHER_NUMBERS, **NAT, "size": 300}])
def test_a_change_is_found_through_each_of_them(how):
    result = compared(talk(edit=replaced(b"250-STARTTLS\r\n", b"")), talk(clock=START_NS + 10**12, **how))
    assert [row[2] for row in told(result)] == ["offer-removed"]


def test_a_proxy_is_known_by_its_own_tcp():
    """Other numbers in equal segments: a firewall; with options and a clock of its own, a proxy."""
    def with_options(made: Talk, timestamp: int):
        frames = []
        for segment in made.segments:
            frame = made.frame(segment)
            if segment.flags & SYN:
                options = struct.pack("!BBHBBIIBB", 2, 4, 1460, 8, 10, timestamp, 0, 1, 0)
                frame = frame[:14] + bytes([frame[14]]) + frame[15:16] + struct.pack("!H", len(frame) - 14 + len(options)) + frame[18:46] + bytes([(20 + len(options)) // 4 << 4]) + frame[47:54] + options
            frames.append((segment.ts_ns, frame))
        return frames
    import io
    from tests.frames import pcap
    inside, outside = talk(), talk(**OTHER_NUMBERS)
    for stamps, box in (((5, 5), "sequence-rewriting"), ((5, 9), "tcp-proxy")):
        result = compared(io.BytesIO(pcap(with_options(inside, stamps[0]))), io.BytesIO(pcap(with_options(outside, stamps[1]))))
        assert result.pairs["box"].tolist() == [box]


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("before", [[], UPGRADE], ids=["implicit", "starttls"])
def test_tls_that_passes_through(version, before):
    wire, _log = encrypted(SUBMISSION, version)
    port = 587 if before else 465
    result = compared(talk(before + wire, server_port=port), talk(before + wire, server_port=port, size=500, **{**OTHER_NUMBERS, **NAT}))
    assert told(result) == [] and result.pairs[["joined_by", "box"]].values.tolist() == [["tls-random", "tcp-proxy"]]
    assert result.pairs["tls_inside"].tolist() == result.pairs["tls_outside"].tolist() != [None]


def test_bytes_of_a_handshake_that_were_changed():
    wire, _log = encrypted(SUBMISSION, TLS12)
    at = wire[0][1].rindex(b"mail.example.org")
    changed = [(0, wire[0][1][:at] + b"mail.example.com" + wire[0][1][at + 16:]), *wire[1:]]
    [row] = told(compared(talk(wire, server_port=465), talk(changed, server_port=465)))
    assert row[:7] == ("client", "changed", "tls-changed", "tls", "ClientHello", None, None) and (row[7], row[9]) == (at + 13, 3)


@pytest.mark.parametrize("how", [{}, OTHER_NUMBERS, {"isn": (4_000_000_000, 77), "client": "198.51.100.1", "client_port": 50505}])
@pytest.mark.parametrize("before, port", [([], 465), (UPGRADE, 587)], ids=["implicit", "starttls"])
def test_a_box_that_ends_tls(how, before, port):
    inside, outside = encrypted(SUBMISSION)[0], encrypted(SUBMISSION)[0]
    result = compared(talk(before + inside, server_port=port), talk(before + outside, server_port=port, clock=START_NS + 400_000, **how))
    assert result.pairs[["box", "differences"]].values.tolist() == [["tls-proxy", 0]] and "encrypted" in result.pairs["unknown"][0]
    assert len(result.findings) == 0 and result.outcome.n_equal == 0 and result.outcome.counts == {"PS312": [0, 0, 0, 1]}


def test_starttls_is_removed_by_a_proxy_that_goes_on_with_tls():
    clear = [(side, data.replace(b"250-STARTTLS\r\n", b"")) for side, data in SMTP]
    outside = UPGRADE[:1] + UPGRADE[1:] + encrypted(SMTP[1:])[0]
    outside[0] = SMTP[0]
    result = compared(talk(clear), talk(outside, clock=START_NS + 300_000, **OTHER_NUMBERS))
    assert result.pairs["box"].tolist() == ["tls-one-sided"]
    assert [row[:7] for row in told(result)] == [
        ("server", "removed", "offer-removed", "capability", "STARTTLS", None, "250-STARTTLS"), ("client", "added", "command-added", "command", "STARTTLS", None, "STARTTLS"),
        ("server", "removed", "reply-removed", "reply", "220", None, "220 2.0.0")]
    assert result.findings["variant"].tolist() == ["offer-removed"] and result.findings["severity"].tolist() == ["critical"]


def test_addresses_rewritten_by_address_translation():
    said = [(side, data.replace(b"EHLO pc.example.net", b"EHLO [192.0.2.10]")) for side, data in SMTP]
    result = compared(talk(said), talk(said, replaced(b"192.0.2.10", b"203.0.113.9"), **NAT))
    assert [row[:5] for row in told(result)] == [("client", "changed", "address-rewritten", "command", "EHLO")]
    assert result.findings[["severity", "severity_reason"]].values.tolist() == [["low", "only addresses rewritten, or marks of a proxy"]]


def delayed(made: Talk, client_ns: int, server_ns: int):
    """Segments as another tap has them: what each side sends comes that much later there."""
    return capture((made, [replace(one, ts_ns=one.ts_ns + (server_ns if one.side else client_ns)) for one in made.segments]))


@pytest.mark.parametrize("client_ns, server_ns, near, kind", [(500_000, -500_000, "inside", "removed"), (-500_000, 500_000, "outside", "added"), (0, 0, None, "removed")])
@pytest.mark.parametrize("offset", [0, 7_000_000_000])
def test_which_tap_is_nearer_to_the_client(client_ns, server_ns, near, kind, offset):
    """An edit that leaves a line outside and none inside removed it where the client is inside, and added it where the client is outside."""
    inside, outside = talk(edit=replaced(b"250-STARTTLS\r\n", b"")), talk()
    result = compared(inside, delayed(outside, offset + client_ns, offset + server_ns))
    assert [None if value != value else value for value in result.pairs["nearer_client"]] == [near]
    assert [row[1:3] for row in told(result)] == [(kind, f"offer-{kind}")]


def test_many_conversations_find_their_own():
    inside, outside = [], []
    for number in range(40):
        turns = [(side, data.replace(b"4F1Yx83Tz2", b"4F1Yx%05d" % number).replace(b"20240102030405.ABCD", b"2024010203.%05dABCD" % number)) for side, data in SMTP]
        ends = {"client_port": 40_000 + number, "isn": (1000 + number * 7919, 5000 + number * 104_729), "clock": START_NS + number * 20_000_000}
        inside.append(talk(turns, replaced(b"250-STARTTLS\r\n", b"") if number % 2 else None, **ends))
        outside.append(talk(turns, **{**ends, "client": "203.0.113.9", "client_port": 10_000 + number * 3, "isn": ends["isn"] if number % 3 else (number, 9_000_000 + number)}))
    result = compared(capture(*inside), capture(*outside))
    assert len(result.pairs) == 40 and result.outcome.n_ambiguous == 0
    assert ((result.pairs["client_port"].astype(int) - 40_000) * 3 == result.pairs["client_port_outside"].astype(int) - 10_000).all()
    assert len(result.findings) == 20


def test_two_that_nothing_tells_apart_are_left_out():
    same = [talk(SMTP[:3], **{"client_port": 40_000 + number}) for number in range(2)]
    other = [talk(SMTP[:3], isn=(99, 98 + number), **{"client": "203.0.113.9", "client_port": 50_000 + number}) for number in range(2)]
    result = compared(capture(*same), capture(*other))
    assert len(result.pairs) == 0 and result.outcome.n_ambiguous >= 1


# --- what one tap alone shows

def asked(port: int, isn: int, clock: int, answered: bool = False) -> tuple[Talk, list[Segment]]:
    made = Talk(server_port=port, isn=(isn, 7), clock=clock, client_port=isn % 60_000 + 1024)
    made._add(0, SYN)
    if answered:
        made._add(1, SYN | ACK)
    return made, made.segments


def test_connections_of_one_tap_are_counted_with_their_reasons():
    mail, start = talk(), START_NS
    late = asked(993, 777, start + 10**10)
    inside = capture(mail, asked(25, 555, start), asked(25, 556, start), asked(443, 666, start, True), late)
    result = compared(inside, capture(talk(), asked(110, 888, start)))
    assert result.outcome.alone == ({"unanswered": {25: 2}, "answered": {443: 1}, "before-or-after": {993: 1}}, {"unanswered": {110: 1}})
    assert result.outcome.n_connections == 1


def test_a_capture_that_ended_early_lacks_what_came_later():
    first, second = talk(), talk(client_port=41_000, isn=(8, 9), clock=START_NS + 10**9)
    result = compared(capture(first, second), capture(first))
    assert len(result.pairs) == 1 and result.outcome.alone[0] == {"before-or-after": {25: 1}} and result.outcome.flows_alone == ({"smtp": 1}, {})
    whole, cut = talk(), talk()
    result = compared(whole, capture((cut, cut.segments[:20])))
    assert told(result) == [] and "early-end" in result.pairs["unknown"][0] and result.pairs["compared_bytes"][0] > 100


def test_filters_apply_to_both():
    imap = talk([(1, b"* OK ready\r\n"), (0, b"a CAPABILITY\r\n"), (1, b"* CAPABILITY IMAP4rev1\r\na OK done\r\n"), (0, b"b LOGOUT\r\n")], server_port=143, client_port=42_000, isn=(3, 4))
    both = capture(talk(), imap).getvalue()
    import io
    assert compared(io.BytesIO(both), io.BytesIO(both), port=143).pairs["protocol"].tolist() == ["imap"]
    assert compared(io.BytesIO(both), io.BytesIO(both), host="192.0.2.99").outcome.n_flows == (0, 0)
